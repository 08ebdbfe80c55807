"""One parent order: its life as a table, its quantity ledger, and the state that decisions leave behind.

The ledger holds the one equation that everything rests on (D2), asserted after every entry:
`OrderQty + over == CumQty + working + in_doubt + free`, none negative.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import IntEnum
from typing import Final

import msgspec

from sor.child import Absorb, Child, Life, Refuse
from sor.commands import Decided
from sor.experiment.assigned import Assigned
from sor.ids import ParentId, VenueName
from sor.instruments import Instrument
from sor.market import MarketView
from sor.orders import Intent, OrdStatus, ParentOrder, ParentStatus, Side
from sor.own_book import OwnBook
from sor.policy import Due, Memory
from sor.reasons import EndReason, Why
from sor.revisit import Revisit
from sor.snapshot import Cause


class ParentLife(IntEnum):
    """Where a parent is."""

    WAITING = 0
    """Accepted; its market is not known yet, or not again after a pause."""
    WORKING = 1
    PAUSED = 2
    CROSSING = 3
    """Time is up: the machine takes what is left."""
    STOPPING = 4
    """Its end is decided; what rests is being withdrawn."""
    DONE = 5


class ParentEvent(IntEnum):
    """What can happen to a parent, as far as its life is concerned."""

    MARKET_KNOWN = 0
    PAUSE = 1
    RESUME = 2
    TIME_UP = 3
    STOP = 4
    """Its end is decided: full, canceled, expired, denied, rejected, halted, or completed by others."""
    CLEAR = 5
    """None of its orders can be at the venue any more."""
    TIME_GIVEN = 6
    """Its deadline was moved, and it need not cross yet."""


class GoParent(msgspec.Struct, frozen=True, gc=False):
    """The event counts, and life moves on."""

    to: ParentLife


ParentVerdict = GoParent | Absorb | Refuse

_L, _E = ParentLife, ParentEvent
_NOT_NOW = Absorb(Why.NOT_ALLOWED_NOW)
_ENDED = Absorb(Why.ALREADY_ENDED)
_KNOWN = Absorb(Why.ALREADY_KNOWN)
_TOO_SOON = Refuse(Why.NOT_YET_EVIDENCE)
PARENT_TABLE: Mapping[tuple[ParentLife, ParentEvent], ParentVerdict] = {
    (_L.WAITING, _E.MARKET_KNOWN): GoParent(_L.WORKING),
    (_L.WAITING, _E.PAUSE): GoParent(_L.PAUSED),
    (_L.WAITING, _E.RESUME): _KNOWN,
    (_L.WAITING, _E.TIME_UP): _NOT_NOW,  # without a market there is nothing to cross: the deadline will end it
    (_L.WAITING, _E.STOP): GoParent(_L.STOPPING),
    (_L.WAITING, _E.CLEAR): _TOO_SOON,
    (_L.WAITING, _E.TIME_GIVEN): _KNOWN,
    (_L.WORKING, _E.MARKET_KNOWN): _KNOWN,
    (_L.WORKING, _E.PAUSE): GoParent(_L.PAUSED),
    (_L.WORKING, _E.RESUME): _KNOWN,
    (_L.WORKING, _E.TIME_UP): GoParent(_L.CROSSING),
    (_L.WORKING, _E.STOP): GoParent(_L.STOPPING),
    (_L.WORKING, _E.CLEAR): _TOO_SOON,
    (_L.WORKING, _E.TIME_GIVEN): _KNOWN,
    (_L.PAUSED, _E.MARKET_KNOWN): _NOT_NOW,
    (_L.PAUSED, _E.PAUSE): _KNOWN,
    (_L.PAUSED, _E.RESUME): GoParent(_L.WAITING),
    (_L.PAUSED, _E.TIME_UP): _NOT_NOW,  # who pauses past the deadline has chosen not to cross
    (_L.PAUSED, _E.STOP): GoParent(_L.STOPPING),
    (_L.PAUSED, _E.CLEAR): _TOO_SOON,
    (_L.PAUSED, _E.TIME_GIVEN): _KNOWN,
    (_L.CROSSING, _E.MARKET_KNOWN): _KNOWN,
    (_L.CROSSING, _E.PAUSE): GoParent(_L.PAUSED),
    (_L.CROSSING, _E.RESUME): _KNOWN,
    (_L.CROSSING, _E.TIME_UP): _KNOWN,
    (_L.CROSSING, _E.STOP): GoParent(_L.STOPPING),
    (_L.CROSSING, _E.CLEAR): _TOO_SOON,
    (_L.CROSSING, _E.TIME_GIVEN): GoParent(_L.WORKING),
    (_L.STOPPING, _E.MARKET_KNOWN): _ENDED,
    (_L.STOPPING, _E.PAUSE): _ENDED,
    (_L.STOPPING, _E.RESUME): _ENDED,
    (_L.STOPPING, _E.TIME_UP): _ENDED,
    (_L.STOPPING, _E.STOP): _ENDED,  # the first reason stands
    (_L.STOPPING, _E.CLEAR): GoParent(_L.DONE),
    (_L.STOPPING, _E.TIME_GIVEN): _ENDED,
    (_L.DONE, _E.MARKET_KNOWN): _ENDED,
    (_L.DONE, _E.PAUSE): _ENDED,
    (_L.DONE, _E.RESUME): _ENDED,
    (_L.DONE, _E.TIME_UP): _ENDED,
    (_L.DONE, _E.STOP): _ENDED,
    (_L.DONE, _E.CLEAR): _ENDED,
    (_L.DONE, _E.TIME_GIVEN): _ENDED,
}
_EVENTS = len(ParentEvent)
_FLAT = tuple(PARENT_TABLE[life, event] for life in ParentLife for event in ParentEvent)

_STATUS_OF_LIFE = {
    ParentLife.WAITING: ParentStatus.WAITING,
    ParentLife.WORKING: ParentStatus.WORKING,
    ParentLife.PAUSED: ParentStatus.PAUSED,
    ParentLife.CROSSING: ParentStatus.WORKING,
    ParentLife.STOPPING: ParentStatus.STOPPING,
}


# Members by name: CPython 3.11 takes longer to read a member off its enum than to compare it, and these are read for
# every report.
_IN_DOUBT: Final = Life.IN_DOUBT
_STOPPING: Final = ParentLife.STOPPING
_DONE: Final = ParentLife.DONE
_WAITING: Final = ParentLife.WAITING
_UNDONE: Final = frozenset({OrdStatus.CANCELED, OrdStatus.EXPIRED})


class Ledger:
    """Where the lots of one parent are. Every entry is a movement between columns, and the equation is asserted."""

    __slots__ = ("cum_lots", "free_lots", "in_doubt_lots", "order_lots", "over_lots", "shrink_lots", "working_lots")

    def __init__(self, order_lots: int) -> None:
        self.order_lots = order_lots
        self.cum_lots = 0
        self.working_lots = 0
        self.in_doubt_lots = 0
        self.free_lots = order_lots
        self.over_lots = 0
        self.shrink_lots = 0

    def enter(self, child: Child) -> None:
        """Bring the columns in line with a child after anything happened to it, a new one included.

        What the child holds more comes out of free; where free does not reach, the venue has filled or revived more
        than the order has left, and the rest is `over`.
        """
        leaves = child.leaves_lots
        counted = child.counted_lots
        if child.life is _IN_DOUBT:
            working, doubt = 0, leaves
        else:
            working, doubt = leaves, 0
        to_working = working - child.held_working
        to_doubt = doubt - child.held_doubt
        to_cum = counted - child.held_counted
        need = to_working + to_doubt + to_cum
        self.working_lots += to_working
        self.in_doubt_lots += to_doubt
        self.cum_lots += to_cum
        child.held_working = working
        child.held_doubt = doubt
        child.held_counted = counted
        if need > 0:
            taken = min(self.free_lots, need)
            self.free_lots -= taken
            self.over_lots += need - taken
        elif need < 0:
            repaid = min(self.over_lots, -need)
            self.over_lots -= repaid
            self.free_lots += -need - repaid
            if self.shrink_lots:
                self._shrink()
        self.check()

    def resize(self, order_lots: int) -> None:
        """New total quantity, > 0. What is out at the venue cannot shrink at once: it shrinks as it comes back."""
        wanted = self.order_lots - self.shrink_lots
        if order_lots >= wanted:
            grown = order_lots - wanted
            undone = min(self.shrink_lots, grown)
            self.shrink_lots -= undone
            self.order_lots += grown - undone
            covered = min(self.over_lots, grown - undone)
            self.over_lots -= covered
            self.free_lots += grown - undone - covered
        else:
            self.shrink_lots += wanted - order_lots
            self._shrink()
        self.check()

    def _shrink(self) -> None:
        given = min(self.shrink_lots, self.free_lots)
        self.shrink_lots -= given
        self.free_lots -= given
        self.order_lots -= given

    def check(self) -> None:
        """The equation (D2). Our own arithmetic: if it fails, nothing may catch it."""
        assert self.order_lots + self.over_lots == (
            self.cum_lots + self.working_lots + self.in_doubt_lots + self.free_lots
        ), self
        # One by one: `min` of them all takes as long as the rest of an entry.
        assert self.cum_lots >= 0 and self.working_lots >= 0 and self.in_doubt_lots >= 0, self  # noqa: PT018
        assert self.free_lots >= 0 and self.over_lots >= 0, self  # noqa: PT018

    def __repr__(self) -> str:
        return (
            f"order {self.order_lots} + over {self.over_lots} == cum {self.cum_lots} + working {self.working_lots} "
            f"+ in_doubt {self.in_doubt_lots} + free {self.free_lots}"
        )


class Parent:
    """State of one parent; changed only by the core, as a function of the facts it was given.

    book       what is ours where it trades, once `Desk.book_of` has looked it up.
    rejects    orders in a row that the venue refused as wrong. denials: decisions in a row that the risk gate denied.
    misses     orders in a row that came to nothing at the venue without being wrong: they would have taken, found
               nothing to take, came too fast, or never arrived. Each makes the next try wait longer.
    refusals   post-only orders that the venue did not let rest, with its answer or later.
    decided    the last decision while it is at work, for whoever watches it.
    policy     and `set_name`: its own, or those of the arm that it was `assigned`.
    shadows    what the shadows of its experiment want to remember, by their names.
    heard_ns   when the last fact came that concerned it or an order of it. recalled: it had been retired, and is back.
    """

    __slots__ = (
        "__weakref__",
        "absorbed",
        "accepted_ns",
        "arrival_hticks",
        "arrival_market",
        "assigned",
        "book",
        "children",
        "cross_attempts",
        "deadline_ns",
        "decided",
        "decision_hticks",
        "denials",
        "due",
        "end_market",
        "end_reason",
        "end_status",
        "end_text",
        "ended_ns",
        "fell_back",
        "heard_ns",
        "instrument",
        "intent",
        "ledger",
        "life",
        "limit_ticks",
        "looking",
        "market",
        "markouts",
        "memory",
        "misses",
        "next_child_no",
        "no",
        "open_children",
        "order",
        "policy",
        "recalled",
        "refusals",
        "rejects",
        "replan",
        "requotes",
        "retry_ns",
        "revisit",
        "set_name",
        "shadows",
        "side",
        "start_ns",
        "timeouts",
        "urgency",
        "venue",
        "wake_ns",
        "watching",
    )

    def __init__(
        self,
        *,
        no: int,
        order: ParentOrder,
        intent: Intent | None,
        venue: VenueName,
        instrument: Instrument,
        set_name: str,
        now_ns: int,
        assigned: Assigned | None = None,
    ) -> None:
        self.no = no
        self.order = order
        self.side: Side = order.side
        self.intent = intent
        self.venue = venue
        self.instrument = instrument
        self.assigned = assigned
        self.policy, self.set_name = order.policy, set_name
        if assigned is not None and assigned.arm:
            self.policy, self.set_name = assigned.policy, assigned.param_set
        self.shadows: dict[str, Memory] = {}
        self.ledger = Ledger(instrument.lots(order.quantity))
        self.limit_ticks = None if order.limit is None else instrument.ticks(order.limit)
        self.urgency = order.urgency
        self.accepted_ns = now_ns
        self.heard_ns = now_ns
        self.recalled = False
        self.start_ns = now_ns
        self.deadline_ns = now_ns + round(order.deadline_s * 1_000_000_000)
        self.decision_hticks = None if order.decision_price is None else _hticks(order.decision_price, instrument)
        self.arrival_hticks: int | None = None
        self.arrival_market: MarketView | None = None
        self.life = _WAITING
        self.book: OwnBook | None = None
        self.children: list[Child] = []
        self.open_children: list[Child] = []
        self.next_child_no = 1
        self.market: MarketView | None = None
        self.revisit: Revisit | None = None
        self.due: Due | None = None
        self.memory: Memory = {}
        self.decided: Decided | None = None
        self.looking: Cause | None = None
        self.replan: Cause | None = None
        self.watching = False
        self.wake_ns = 0
        self.retry_ns = 0
        self.timeouts = 0
        self.requotes = 0
        self.refusals = 0
        self.fell_back = False
        self.cross_attempts = 0
        self.rejects = 0
        self.denials = 0
        self.misses = 0
        self.absorbed = 0
        self.end_status: ParentStatus | None = None
        self.end_reason: EndReason | None = None
        self.end_text = ""
        self.ended_ns = 0
        self.end_market: MarketView | None = None
        self.markouts: list[tuple[str, int, int]] = []

    @property
    def id(self) -> ParentId:
        """The caller's id."""
        return self.order.parent_id

    @property
    def ended(self) -> bool:
        """Terminal: the venue holds none of its orders."""
        return self.life is _DONE

    @property
    def active(self) -> bool:
        """It may still want to place something."""
        return self.life < _STOPPING

    @property
    def rested_in_vain(self) -> bool:
        """An order rested and was withdrawn, or ran out of time, before all of it was filled."""
        return any(child.rests and child.status in _UNDONE for child in self.children)

    @property
    def remaining_lots(self) -> int:
        """Not filled yet."""
        ledger = self.ledger
        left = ledger.order_lots - ledger.shrink_lots - ledger.cum_lots
        return max(0, left)

    @property
    def status(self) -> ParentStatus:
        """Where it stands, in the caller's words."""
        if self.life is _DONE:
            assert self.end_status is not None
            return self.end_status
        return _STATUS_OF_LIFE[self.life]

    def apply(self, event: ParentEvent) -> ParentVerdict:
        """Move life by the table."""
        verdict = _FLAT[self.life * _EVENTS + event]
        if isinstance(verdict, GoParent):
            self.life = verdict.to
        else:
            self.absorbed += 1
        assert not isinstance(verdict, Refuse), f"parent {self.id}: {event.name} in {self.life.name}"
        return verdict

    def close(self, child: Child) -> None:
        """A child holds nothing at the venue any more."""
        if child in self.open_children:
            self.open_children.remove(child)


def _hticks(price: Decimal, instrument: Instrument) -> int:
    """A mid in half-ticks, to the nearest: the caller's mid may come from another book."""
    return round(price * 2 / instrument.tick_size)
