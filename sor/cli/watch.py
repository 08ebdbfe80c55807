"""What one parent does while it works: on a terminal a view that keeps up; above it, and elsewhere, a line an event.

It only looks: a view that cannot be shown any more, because its reader went away, is silent and the order goes on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sor.cli.words import LIMITS, amount, bps, denied, ordered, plain, reported, unanswered, verb, wanted
from sor.commands import Decided, Happening
from sor.engine import Router
from sor.handle import ParentHandle
from sor.orders import FeeSource, ParentStatus
from sor.policy import Rest
from sor.tca import ParentReport
from sor.units import BPS, NS

REFRESH_S = 0.25
RESUMED_NS = NS
"""A parent accepted longer ago than this was not submitted just now."""
STATUS_S = 5.0
"""How often a log hears that it is still at work when nothing happens."""

FEES = {
    FeeSource.ESTIMATED_TAKER: "estimated at the taker rate",
    FeeSource.ESTIMATED_MAKER: "estimated at the maker rate",
    FeeSource.WS_SETTLED: "settled, pushed by the venue",
    FeeSource.REST_SETTLED: "settled, read from the venue",
}
"""Where a fee figure comes from (F2), in words."""


class Watcher:
    """Follows one parent to its end.

    denials    why the risk gate refused last, in words, for who has to say why nothing was done.
    """

    def __init__(self, console: Console, router: Router, handle: ParentHandle, *, where: str, silent: bool) -> None:
        self.denials = ""
        self._console = console
        self._router = router
        self._handle = handle
        self._parent = handle.parent
        self._instrument = handle.parent.instrument
        self._where = where
        self._silent = silent
        self._live: Live | None = None
        self._waiting: list[Text] = []
        self._resumed = time.time_ns() - self._parent.accepted_ns > RESUMED_NS
        self._told_children = len(self._parent.children) if self._resumed else 0
        self._told_decision: Decided | None = None
        self._told_gist: tuple[object, ...] = ()
        self._told_alarms = len(router.alarms())
        self._told_up = True
        self._said_ns = time.time_ns()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it in here: a view on a terminal, else only lines."""
        if self._silent or not self._console.is_terminal:
            yield
            return
        live = self._live = Live(console=self._console, auto_refresh=False, transient=True)
        try:
            live.start()
            yield
        finally:
            self._flush()
            self._live = None
            try:
                live.stop()
            except OSError:
                self._silent = True

    async def follow(self) -> None:
        """Tell what happens, until the parent has ended. Raises `JournalFault` when the router had to stop."""
        self._line(Text(self.headline, "bold"))
        if self._resumed:
            self._event(f"goes on where an earlier process left it: {self._state()}")
        async for happening in self._handle:
            spoken = happening.report or happening.failed
            untold = self._parent.children[self._told_children :]
            if spoken is not None and any(child.order.cl_ord_id == spoken.cl_ord_id for child in untold):
                self._news()  # of an order that nobody has heard of yet
            self._happening(happening)
            self._news()

    async def refresh(self) -> None:
        """Keep the view up to date, until cancelled."""
        while True:
            self._news()
            self._draw()
            await anyio.sleep(REFRESH_S)

    @property
    def headline(self) -> str:
        """What it is."""
        parent, order = self._parent, self._parent.order
        limit = "" if order.limit is None else f", limit {order.limit}"
        only = ", reduce-only" if order.reduce_only else ""
        schedule = "" if order.schedule == "immediate" else f", schedule {order.schedule}"
        values = f", param-set {order.param_set}" if order.param_set else ""
        return (
            f"{parent.id}: {verb(parent.side)} {amount(self._instrument, order.quantity)}, {self._instrument.symbol} "
            f"on {self._where}{limit}{only}, deadline {order.deadline_s:g} s, policy {order.policy}{values}{schedule}"
        )

    def say(self, text: str, style: str = "") -> None:
        """One more line."""
        self._line(Text(text, style))

    def note(self, text: str) -> None:
        """What an adapter told its log."""
        self._event(text, "yellow")

    # --- lines ------------------------------------------------------------------------------------------------------

    def _news(self) -> None:
        """Tell what no event tells: orders sent, decisions, alarms, and the link."""
        parent = self._parent
        decided = parent.decided
        if decided is not None and parent.active and decided is not self._told_decision:
            self._told_decision = decided
            gist = _gist(decided)
            if gist != self._told_gist:  # a policy that keeps its place says so every few seconds
                self._told_gist = gist
                self._event(f"{decided.by}: {wanted(self._instrument, decided.decision, time.time_ns())}", "cyan")
            if decided.denials:
                core = self._router.core
                params, _ = core.in_force.resolved(parent.set_name, self._instrument, core.now_ns)
                limits = {name: params[name] for name in LIMITS.values() if name in params}
                refused = ", ".join(denied(denial, limits) for denial in decided.denials)
                self._event(f"the risk gate refused it: {refused}", "yellow")
                self.denials = refused
        for child in parent.children[self._told_children :]:
            self._event(f"send {child.order.cl_ord_id}: {ordered(self._instrument, child.order)}")
        self._told_children = len(parent.children)
        alarms = self._router.alarms()
        for alarm in alarms[self._told_alarms :]:
            self._event(f"alarm: {alarm.text}", "red")
        self._told_alarms = len(alarms)
        up = self._up
        if up is not self._told_up:
            self._told_up = up
            back = f"the link to {self._where} is back"
            self._event(back if up else f"the link to {self._where} is down; it is being opened again", "yellow")
        if self._live is None and time.time_ns() - self._said_ns > STATUS_S * NS:
            self._event(f"{self._state()}; {self._market()}")

    def _happening(self, happening: Happening) -> None:
        if happening.report is not None:
            text, style = reported(self._instrument, happening.report)
            self._event(f"{happening.report.cl_ord_id}: {text}", style, at_ns=happening.report.recv_ns)
        elif happening.failed is not None:
            text, style = unanswered(happening.failed)
            self._event(f"{happening.failed.cl_ord_id}: {text}", style)
        elif happening.status is not None and happening.status is not ParentStatus.WORKING:
            self._event(" ".join(part for part in (plain(happening.status), happening.text) if part))
        elif happening.text:
            self._event(happening.text, "yellow")

    def _event(self, text: str, style: str = "", *, at_ns: int = 0) -> None:
        """A line with its time, now unless it is known better."""
        since = ((at_ns or time.time_ns()) - self._parent.accepted_ns) / NS
        self._line(Text.assemble((f"{since:+9.3f} s  ", "dim"), (text, style)))

    def _line(self, text: Text) -> None:
        """Say it at once, or with the next look at the view: drawing one for each fill would hold the router up."""
        self._said_ns = time.time_ns()
        self._waiting.append(text)
        if self._live is None:
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if self._silent or not waiting:
            return
        try:
            self._console.print(Text("\n").join(waiting))
        except OSError:
            self._silent = True

    # --- the view ---------------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        self._flush()
        if self._live is None or self._silent:
            return
        costs = self._handle.report
        rows: list[Text | Table] = [Text(self._state(), "bold"), Text(self._market())]
        if self._parent.open_children:
            rows.append(self._orders())
        decided = self._parent.decided
        if decided is not None:
            note = f" {decided.decision.note}" if decided.decision.note else ""
            rows.append(Text(f"{decided.by}: {plain(decided.decision.reason)}.{note}", "cyan"))
        rows.append(Text(cost_so_far(costs)))
        try:
            self._live.update(Group(*rows), refresh=True)
        except OSError:
            self._silent = True

    def _state(self) -> str:
        parent, quantity = self._parent, self._instrument.quantity
        ledger = parent.ledger
        parts = [f"{plain(parent.status)}: {quantity(ledger.cum_lots)} of {quantity(ledger.order_lots)} filled"]
        parts += [
            f"{quantity(lots)} {what}"
            for lots, what in (
                (ledger.working_lots, "working"),
                (ledger.in_doubt_lots, "in doubt"),
                (ledger.free_lots, "free"),
            )
            if lots
        ]
        left_s = (parent.deadline_ns - time.time_ns()) / NS
        parts.append(f"{left_s:.1f} s left" if left_s > 0 else f"{-left_s:.1f} s past its deadline")
        return ", ".join(parts)

    def _market(self) -> str:
        """Best prices and the spread, or why there are none."""
        if not self._up:
            return f"the link to {self._where} is down"
        market = self._router.market(self._instrument.symbol, venue=self._parent.venue)
        if not market.bids or not market.asks:
            return f"the book is {market.trust.value}"
        (bid, bid_lots), (ask, ask_lots) = market.bids[0], market.asks[0]
        price, quantity = self._instrument.price, self._instrument.quantity
        spread = BPS * 2 * (ask - bid) / (bid + ask)
        trust = "" if market.trust.value == "ok" else f", book {market.trust.value}"
        best = f"bid {price(bid)} x {quantity(bid_lots)}, ask {price(ask)} x {quantity(ask_lots)}"
        return f"{best}, spread {spread:.3f} bps{trust}"

    def _orders(self) -> Table:
        """What is, or may be, at the venue."""
        table = Table(box=None, pad_edge=False)
        for name in ("order", "left", "price", "status", "age", "withdrawn in"):
            table.add_column(name, justify="left" if name in ("order", "status") else "right", no_wrap=True)
        now_ns = time.time_ns()
        for child in self._parent.open_children:
            withdrawn = "" if not child.expire_ns else f"{max(0.0, (child.expire_ns - now_ns) / NS):.1f} s"
            table.add_row(
                child.order.cl_ord_id,
                f"{self._instrument.quantity(child.leaves_lots)}",
                f"{self._instrument.price(child.price_ticks)}" if child.price_ticks else "market",
                plain(child.status),
                f"{(now_ns - child.sent_ns) / NS:.1f} s",
                withdrawn,
            )
        return table

    @property
    def _up(self) -> bool:
        return self._router.core.desk.venues[self._parent.venue].up


def _gist(decided: Decided) -> tuple[object, ...]:
    """What makes a decision another one: where and until when it rests, what it takes, or why it does neither."""
    placements = decided.decision.placements
    if not placements:
        return (decided.by, decided.decision.reason)
    return (
        decided.by,
        *((want.price_ticks, want.expire_ns) if isinstance(want, Rest) else want.qty_lots for want in placements),
    )


def cost_so_far(costs: ParentReport) -> str:
    """What has been paid against the mid at arrival, and the fees with where they come from."""
    if not costs.filled_lots:
        return "nothing filled yet"
    split = costs.shortfall_bps
    lines = (("timing", split.timing), ("spread", split.spread), ("fees", split.fees))
    known = [value for _, value in lines if value is not None]
    total = bps(sum(known)) if len(known) == len(lines) else "-"
    told = ", ".join(f"{name} {bps(value)}" for name, value in lines)
    return f"cost so far {total} bps: {told}; fees {fees_told(costs)}"


def fees_told(costs: ParentReport) -> str:
    """`0.012 USDT settled, pushed by the venue`: each source apart."""
    return (
        " + ".join(f"{share.amount.normalize():f} {costs.asset} {FEES[share.source]}" for share in costs.fee_shares)
        or "-"
    )
