"""How an order ended: its exit code, a sentence where it did not complete, a table for people, JSON for programs.

Exit codes: 0 completed as ordered; 3 the venue filled more than was ordered; 4 partly filled; 5 nothing filled; 6 left
with orders that are not confirmed gone; 128 and the signal's number where a signal ended it and nothing was left.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from sor.child import Child
from sor.cli.common import say_json
from sor.cli.venue import Access
from sor.cli.watch import fees_told
from sor.cli.words import amount, bps, count, plain, verb
from sor.commands import Alarm
from sor.ids import ParentId
from sor.instruments import Instrument
from sor.orders import Fill, ParentStatus, RejectKind
from sor.parent import Parent
from sor.reasons import EndReason
from sor.records import fills_of_parent
from sor.tca import ParentReport
from sor.units import NS

EXIT_OVERFILLED = 3
EXIT_PARTLY = 4
EXIT_NOTHING = 5
EXIT_UNCONFIRMED = 6

ADVICE = {
    RejectKind.NO_MARGIN: "Add margin, or order less",
    RejectKind.RATE_LIMITED: "Wait before the next order: going on may end in a ban",
    RejectKind.NOTHING_TO_REDUCE: "There is no position that it could reduce",
    RejectKind.BAD_TERMS: "Compare it with what `sor doctor` says of the instrument and of the position mode",
    RejectKind.VENUE_CLOSED: "Try again once it trades",
    RejectKind.WOULD_TAKE: "The market moved; try again, or cross",
    RejectKind.NOT_NOW: "Try again in a moment",
    RejectKind.NOT_ALLOWED: "See what `sor doctor` says of keys, rights, position mode and the instrument",
    RejectKind.OTHER: "See what `sor doctor` says of keys, rights, clock and account",
}
"""What to do about a refusal of the venue."""


def story_of(parent_id: ParentId, journal: Path) -> str:
    """The command that tells the whole story of a parent."""
    return f"sor explain {shlex.quote(parent_id)} --journal {shlex.quote(str(journal))}"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One parent as it was left.

    signal        that ended it, 0 for none. unconfirmed: orders that may still be at the venue.
    denials       why the risk gate refused last, in words.
    known         it had ended before: nothing was sent now.
    """

    parent: Parent
    costs: ParentReport
    access: Access
    journal: Path
    signal: int = 0
    unconfirmed: tuple[str, ...] = ()
    denials: str = ""
    alarms: tuple[Alarm, ...] = ()
    known: bool = False

    @property
    def exit_code(self) -> int:
        """See the module."""
        if self.unconfirmed:
            return EXIT_UNCONFIRMED
        if self.parent.ledger.over_lots:
            return EXIT_OVERFILLED
        if self.signal:
            return 128 + self.signal
        if self.parent.status is ParentStatus.FILLED:
            return 0
        return EXIT_PARTLY if self.costs.filled_lots else EXIT_NOTHING

    @property
    def explain(self) -> str:
        """The command that tells its whole story."""
        return story_of(self.parent.id, self.journal)

    @property
    def sentence(self) -> str:
        """What has to be said about an order that did not simply complete; "" for one that did."""
        parent, instrument = self.parent, self.parent.instrument
        done = f"{instrument.quantity(parent.ledger.cum_lots)} of {amount(instrument, parent.order.quantity)} filled"
        if self.unconfirmed:
            orders = ", ".join(self.unconfirmed)
            again = f"Run the same command with --id {shlex.quote(parent.id)} to settle it, or cancel it at the venue"
            forgotten = (
                f"if the venue knows nothing of it, add --settle {self.unconfirmed[0]}=FILLED with what you see there"
            )
            return (
                f"left before it was known what became of {orders}, which may still rest or fill; {done}. {again}; "
                f"{forgotten}"
            )
        if parent.ledger.over_lots:
            over = instrument.quantity(parent.ledger.over_lots)
            return (
                f"{parent.venue} filled {over} more than was ordered ({done}); nothing rests. Look at the position now"
            )
        if parent.status is ParentStatus.FILLED:
            return ""
        left = "nothing of it rests at the venue" if parent.children else "nothing was sent"
        return f"{done} and {left}: {self._why}{self._advice}"

    @property
    def _why(self) -> str:
        """Why it ended without having completed."""
        parent, instrument = self.parent, self.parent.instrument
        text = f" ({parent.end_text})" if parent.end_text else ""
        match parent.end_reason:
            case EndReason.CALLER | EndReason.SHUTDOWN:
                return "it was interrupted" if self.signal else f"it was withdrawn{text}"
            case EndReason.UNWOUND:
                return f"it was left alone for too long and withdrawn{text}"
            case EndReason.DEADLINE:
                return f"the deadline came{text}{self._obstacle}"
            case EndReason.LIMIT_PRICE:
                return f"the deadline came, and the limit forbade to cross{text}"
            case EndReason.NO_MARKET:
                return f"{parent.venue} gave no book to trade on{text}"
            case EndReason.VENUE_REJECTS:
                return f"{parent.venue} refused {count(self.costs.rejects, 'order')}{text}"
            case EndReason.NOTHING_LEFT_TO_REDUCE:
                return f"there was no position left to reduce{text}"
            case EndReason.BELOW_MINIMUM:
                what = "what was left" if parent.children else "that"
                least = instrument.quantity(instrument.min_qty_lots)
                value = f"{instrument.min_notional:f} {instrument.quote}"
                return f"{what} is less than {parent.venue} takes, which is at least {least} and {value}"
            case EndReason.DAILY_LOSS:
                return f"too much was lost today{text}"
            case EndReason.HALTED:
                return f"{parent.instrument.symbol} was halted{text}"
            case EndReason.DENIED | EndReason.POLICY_FAULT | EndReason.KILL_SWITCH | EndReason.COMPLETE | None:
                return f"{plain(parent.end_reason or parent.status)}{text}"

    @property
    def _obstacle(self) -> str:
        """What kept it from completing in time, where that is known."""
        refused = self._refused
        if refused is not None and refused.reject is not None:
            said = f"{refused.reject.code} {refused.reject.text}".strip() or plain(refused.reject.reject)
            return f", and its last order had been refused ({said})"
        if self.denials:
            return f", and the risk gate had refused its orders: {self.denials}"
        return ""

    @property
    def _refused(self) -> Child | None:
        """The last order that the venue refused."""
        refused = [child for child in self.parent.children if child.reject is not None]
        return refused[-1] if refused else None

    @property
    def _advice(self) -> str:
        refused = self._refused
        kind = RejectKind.NONE if refused is None or refused.reject is None else refused.reject.reject
        return f". {ADVICE[kind]}" if kind in ADVICE else ""


def show(out: Console, outcome: Outcome) -> None:
    """The result as a table, and how to learn more."""
    parent, costs, instrument = outcome.parent, outcome.costs, outcome.parent.instrument
    split = costs.shortfall_bps
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    reason = "" if parent.end_reason is None else f" ({plain(parent.end_reason)})"
    table.add_row("status", f"{plain(parent.status)}{reason}")
    ordered = f"{verb(parent.side)} {amount(instrument, parent.order.quantity)} on {outcome.access.label}"
    table.add_row("ordered", ordered)
    table.add_row("filled", f"{instrument.quantity(costs.filled_lots)}")
    if costs.avg_price is not None:
        places = max(0, -int(instrument.tick_size.normalize().as_tuple().exponent)) + 2
        table.add_row("average price", f"{costs.avg_price:.{places}f}")
    if costs.passive_share is not None:
        table.add_row("passive", f"{costs.passive_share:.1%}")
    if costs.filled_lots:
        table.add_row("fees", fees_told(costs))
        table.add_row("slippage", f"{bps(costs.slippage_bps)} bps against the mark when sent")
        table.add_row("cost", f"{bps(costs.arrival_cost_bps)} bps against the mid at arrival, fees in")
    if costs.filled_lots < costs.qty_lots and costs.completion_bps is not None:
        what = "of it counts what" if costs.filled_lots else "is what"
        table.add_row("the rest", f"{bps(costs.completion_bps)} bps {what} completing it by crossing would have cost")
    lines = ("delay", split.delay), ("timing", split.timing), ("spread", split.spread), ("fees", split.fees)
    told = ", ".join(f"{name} {bps(value)}" for name, value in (*lines, ("opportunity", split.opportunity)))
    if costs.arrival_notional is not None:
        table.add_row("shortfall", f"{bps(split.total)} bps: {told}")
    means = [count(costs.orders, "order")]
    means += [
        count(number, noun)
        for number, noun in (
            (costs.requotes, "move"),
            (costs.rejects, "reject"),
            (costs.timeouts, "timeout"),
            (costs.fallbacks, "fallback"),
        )
        if number
    ]
    table.add_row("means", ", ".join(means))
    if costs.working_ns is not None:
        table.add_row("time", f"{costs.working_ns / NS:.3f} s")
    out.print(table)
    if outcome.known:
        out.print(f"{parent.id} had ended before: nothing was sent now.")
    out.print(f"Its story: {outcome.explain}")


def say_document(outcome: Outcome) -> None:
    """The result as one JSON document."""
    parent, instrument = outcome.parent, outcome.parent.instrument
    say_json(
        {
            "parent": parent.id,
            "venue": outcome.access.venue,
            "env": outcome.access.env,
            "paper": outcome.access.paper,
            "environment": outcome.access.environment,
            "symbol": instrument.symbol,
            "side": verb(parent.side),
            "policy": parent.policy,
            "status": parent.status,
            "end_reason": parent.end_reason,
            "text": outcome.sentence,
            "exit_code": outcome.exit_code,
            "quantity": parent.order.quantity,
            "filled": instrument.quantity(outcome.costs.filled_lots),
            "asset": outcome.costs.asset,
            "orders": [_order(child, parent) for child in parent.children],
            "fills": [_fill(fill, instrument) for fill in fills_of_parent(parent)],
            "costs": msgspec.to_builtins(outcome.costs),
            "unconfirmed": outcome.unconfirmed,
            "alarms": [alarm.text for alarm in outcome.alarms],
            "known_before": outcome.known,
            "journal": str(outcome.journal),
            "explain": outcome.explain,
        }
    )


def _order(child: Child, parent: Parent) -> dict[str, object]:
    """One order as programs read it."""
    instrument, order = parent.instrument, child.order
    return {
        "cl_ord_id": order.cl_ord_id,
        "venue_order_id": child.venue_order_id,
        "type": order.ord_type,
        "tif": order.tif,
        "post_only": order.post_only,
        "reduce_only": order.reduce_only,
        "quantity": instrument.quantity(child.qty_lots),
        "price": instrument.price(child.price_ticks) if child.price_ticks else None,
        "filled": instrument.quantity(child.counted_lots),
        "status": child.status,
        "sent_ns": child.sent_ns,
        "code": "" if child.reject is None else child.reject.code,
        "text": "" if child.reject is None else child.reject.text,
    }


def _fill(fill: Fill, instrument: Instrument) -> dict[str, object]:
    """One fill as programs read it."""
    return {
        "cl_ord_id": fill.cl_ord_id,
        "exec_id": fill.exec_id,
        "quantity": instrument.quantity(fill.lots),
        "price": instrument.price(fill.ticks),
        "is_maker": fill.is_maker,
        "fee": None if fill.fee_atoms is None else instrument.money(fill.fee_atoms),
        "fee_asset": fill.fee_asset,
        "fee_source": fill.fee_source,
        "slippage_bps": fill.slippage_bps,
        "exchange_ns": fill.exchange_ns,
        "recv_ns": fill.recv_ns,
        "inferred": fill.inferred,
    }
