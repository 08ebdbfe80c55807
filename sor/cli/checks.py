"""What can be looked at of any venue before it is traded on. Adapters that know more bring checks of their own.

Nothing is ordered and nothing is changed. Where there is no session, the rest is not looked at.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import anyio

from sor.adapter import Check, CheckState, DeadMan, Feed, OwnFeed, RequestFailed, Scheduler, VenueAdapter
from sor.cli.venue import listed_on
from sor.cli.words import count, seen
from sor.errors import CallerError, SorError
from sor.feed import LiveFeed
from sor.ids import Symbol, VenueName
from sor.instruments import Instrument
from sor.market import MarketEvent, Trust
from sor.orders import ExecutionReport, PositionSide
from sor.units import MS, NS, rate_bps

ANSWER_S_MAX = 15.0
"""How long one check may take."""
POLL_S = 0.05
CLOCK_NS_MAX = NS
"""A clock this far from the venue's is worth a note: venues refuse requests that seem old."""
AFTERWARDS = ("instrument", "clock", "account", "open orders", "market data")
"""What is looked at once there is a session, in order."""


class _Ear:
    """A sink that keeps what the checks want to know."""

    def __init__(self) -> None:
        self.instruments: dict[tuple[VenueName, Symbol], Instrument] = {}
        self.feed: LiveFeed | None = None
        self.up = False

    def execution(self, event: ExecutionReport | RequestFailed) -> None:
        """Orders are nobody's business here."""

    def market(self, event: MarketEvent) -> None:
        """Into the book."""
        if self.feed is not None:
            self.feed.on_event(event)

    def instrument(self, instrument: Instrument) -> None:
        """Keep it."""
        self.instruments[instrument.venue, instrument.symbol] = instrument

    def link(self, up: bool, reason: str) -> None:
        """Keep the state."""
        del reason
        self.up = up


class Checkup:
    """The checks of one adapter that brings none."""

    def __init__(self, adapter: VenueAdapter, symbol: str, scheduler: Scheduler) -> None:
        self._adapter = adapter
        self._symbol = symbol
        self._scheduler = scheduler
        self._ear = _Ear()

    async def checks(self) -> AsyncIterator[Check]:
        """One after another; the session is closed when the iteration ends."""
        adapter = self._adapter
        session = await _tried("session", self._connect)
        yield session
        if session.state is CheckState.FAILED:
            for name in AFTERWARDS:
                yield Check(name=name, state=CheckState.SKIPPED, text="there is no session")
            return
        looks: tuple[Callable[[], Awaitable[tuple[CheckState, str, str]]], ...] = (
            self._instrument,
            self._clock,
            self._account,
            self._open_orders,
            self._market,
        )
        try:
            for name, look in zip(AFTERWARDS, looks, strict=True):
                yield await _tried(name, look)
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(ANSWER_S_MAX):
                await adapter.disconnect()

    async def _connect(self) -> tuple[CheckState, str, str]:
        await self._adapter.connect(self._ear, self._scheduler)
        listed = len(self._ear.instruments)
        if not self._ear.up:
            return (
                CheckState.FAILED,
                "connected, but the link is not up",
                "Run it again",
            )
        return CheckState.OK, f"connected, {count(listed, 'instrument')} listed", ""

    async def _instrument(self) -> tuple[CheckState, str, str]:
        one = listed_on(self._ear.instruments, self._adapter.name, self._symbol)
        least = f"least {one.quantity(one.min_qty_lots)} and {one.min_notional:f} {one.quote}"
        fees = f"maker {rate_bps(one.maker_fee_e8):g} bps, taker {rate_bps(one.taker_fee_e8):g} bps"
        return CheckState.OK, f"{one.symbol}: tick {one.tick_size:f}, step {one.lot_size:f}, {least}, {fees}", ""

    async def _clock(self) -> tuple[CheckState, str, str]:
        before_ns = self._scheduler.now_ns()
        venue_ns = await self._adapter.server_time_ns()
        after_ns = self._scheduler.now_ns()
        offset_ns = venue_ns - (before_ns + after_ns) // 2
        text = f"the venue is {round(offset_ns / MS):+d} ms from ours, in {(after_ns - before_ns) / MS:.0f} ms"
        if abs(offset_ns) > CLOCK_NS_MAX:
            return CheckState.NOTE, text, "Let the system's clock be set over the network (NTP)"
        return CheckState.OK, text, ""

    async def _account(self) -> tuple[CheckState, str, str]:
        account = await self._adapter.account()
        hedged = PositionSide.BOTH not in self._adapter.capabilities.position_modes
        mode = "hedge mode" if hedged else "one-way mode"
        held = count(len(account.positions), "position")
        text = f"{mode}, equity {account.equity:,.2f} {account.asset}, available {account.available:,.2f}, {held}"
        if account.available <= 0:
            return CheckState.NOTE, text, "Nothing is available to open a position with"
        return CheckState.OK, text, ""

    async def _open_orders(self) -> tuple[CheckState, str, str]:
        orders = await self._adapter.open_orders()
        codec = self._adapter.capabilities.client_ids
        owned = [one for order in orders if (one := codec.decode(order.cl_ord_id)) is not None]
        text = f"{len(orders)} open, {len(owned)} of them with a router's mark"
        if owned:
            epochs = ", ".join(f"{epoch}" for epoch in dict.fromkeys(one.epoch for one in owned))
            advice = (
                "Start the router on their journal (`sor journal verify` says its epoch), cancel them at the venue, or "
                "have them withdrawn (`sor route --adopt`)"
            )
            return CheckState.NOTE, f"{text}, of the journal with epoch {epochs}", advice
        return CheckState.OK, text, ""

    async def _market(self) -> tuple[CheckState, str, str]:
        adapter, ear = self._adapter, self._ear
        one = listed_on(ear.instruments, adapter.name, self._symbol)
        feed: Feed
        if isinstance(adapter, OwnFeed):
            feed = adapter.feed(one.symbol, _asleep)
        else:
            feed = ear.feed = LiveFeed(venue=adapter.name, symbol=one.symbol, wake=_asleep, scheduler=self._scheduler)
            adapter.subscribe(one.symbol)
        began_ns = self._scheduler.now_ns()
        marks = adapter.capabilities.marks
        while True:
            view = feed.view(self._scheduler.now_ns())
            waited_ns = self._scheduler.now_ns() - began_ns
            if view.trust is Trust.OK and (view.mark_ticks is not None or not marks):
                return CheckState.OK, f"after {waited_ns / NS:.2f} s: {seen(one, view)}", ""
            if waited_ns > ANSWER_S_MAX * NS * 2 // 3:
                lacks = f"the book is {view.trust.value}" if view.trust is not Trust.OK else "there is no mark price"
                return CheckState.FAILED, f"{lacks} after {waited_ns / NS:.0f} s", "Nothing can be routed without it"
            await anyio.sleep(POLL_S)


def dead_man(adapter: VenueAdapter) -> list[Check]:
    """What is left at risk when this process dies, where the venue has no switch for that."""
    if adapter.capabilities.dead_man is not DeadMan.NONE:
        return []
    return [
        Check(
            name="dead-man's switch",
            state=CheckState.NOTE,
            text="none: what rests stays at the venue when this machine dies, until a router runs on its journal again",
            advice="Let nothing rest that cannot stay; keep journal and keys where `sor kill` can run without it",
        )
    ]


async def _tried(name: str, look: Callable[[], Awaitable[tuple[CheckState, str, str]]]) -> Check:
    """One look; what it raises, or that it never ends, is its answer."""
    try:
        with anyio.fail_after(ANSWER_S_MAX):
            state, text, advice = await look()
    except TimeoutError:
        state, text, advice = CheckState.FAILED, f"no answer within {ANSWER_S_MAX:g} s", "Try again; is the venue up?"
    except CallerError as error:
        state, text, advice = CheckState.FAILED, str(error), ""
    except SorError as error:
        state, text, advice = CheckState.FAILED, str(error), "Try again; is the venue up?"
    return Check(name=name, state=state, text=text, advice=advice)


def _asleep(key: int) -> None:
    """Nobody watches."""
    del key
