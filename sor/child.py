"""One order at a venue: where it is in life, which request is pending, and its quantity ledger, kept apart (D2).

Life is a table with three verdicts: `Go` moves, `Absorb` is legal and changes nothing, `Refuse` means that the venue
(or its adapter) broke the contract. Fills are deduplicated by ExecID and summed in the ledger, whatever life says; a
trade is counted once, and a cumulative quantity that the venue states raises a floor below which the count never is,
so that a lost trade is counted when the venue proves it and not again when it turns up late.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

import msgspec

from sor.adapter import NewOrder, RequestFailed
from sor.ids import ExecId, VenueName, VenueOrderId
from sor.orders import TERMINAL, ExecType, ExecutionReport, OrdStatus, RejectKind
from sor.reasons import Why


class Life(IntEnum):
    """Where an order is in life. ABSENT and DONE hold nothing at the venue."""

    PENDING_NEW = 0
    LIVE = 1
    IN_DOUBT = 2
    ABSENT = 3
    """Never reached the book: refused, provably not sent, or proven not to have arrived."""
    DONE = 4


class Pending(IntEnum):
    """Which request of ours the venue has not answered yet."""

    NONE = 0
    CANCEL = 1
    AMEND = 2


class Happened(IntEnum):
    """What can happen to an order, as far as its life is concerned."""

    ACCEPTED = 0
    REJECTED = 1
    TRADE = 2
    FILLED = 3
    """A trade or an end after which the ledger is full."""
    CLOSED = 4
    """Canceled or expired, with the filled quantity stated."""
    CLOSED_UNSTATED = 5
    """Canceled or expired, but the venue did not say how much was filled before."""
    REPLACED = 6
    CANCEL_REFUSED = 7
    CANCEL_UNKNOWN = 8
    """The cancel was refused because the venue knows no such order."""
    AMEND_REFUSED = 9
    SEEN_OPEN = 10
    """A lookup found it live."""
    NOT_FOUND = 11
    PROVEN_ABSENT = 12
    """Our own conclusion from the evidence (D3); only an order in doubt can be."""
    NOT_SENT = 13
    SILENT = 14
    """No answer to the new order: it may have arrived."""
    CANCEL_NOT_SENT = 15
    CANCEL_SILENT = 16
    QUERY_FAILED = 17


class Go(msgspec.Struct, frozen=True, gc=False):
    """The event counts, and life moves on (possibly to where it is)."""

    to: Life


class Absorb(msgspec.Struct, frozen=True, gc=False):
    """Legal, and life stays as it is. The ledger still counts what the event states."""

    why: Why


class Refuse(msgspec.Struct, frozen=True, gc=False):
    """The contract is broken: the symbol is halted until somebody has looked. Leaves no trace in the order."""

    why: Why


Verdict = Go | Absorb | Refuse

_H = Happened
_ROWS: Mapping[Life, Mapping[Happened, Verdict]] = {
    Life.PENDING_NEW: {
        _H.ACCEPTED: Go(Life.LIVE),
        _H.REJECTED: Go(Life.ABSENT),
        _H.TRADE: Go(Life.LIVE),  # a fill may overtake its ack
        _H.FILLED: Go(Life.DONE),
        _H.CLOSED: Go(Life.DONE),
        _H.CLOSED_UNSTATED: Go(Life.IN_DOUBT),
        _H.REPLACED: Go(Life.LIVE),  # proof of life, whatever was meant
        _H.CANCEL_REFUSED: Absorb(Why.NOTHING_PENDING),
        _H.CANCEL_UNKNOWN: Absorb(Why.NOTHING_PENDING),
        _H.AMEND_REFUSED: Absorb(Why.NOTHING_PENDING),
        _H.SEEN_OPEN: Go(Life.LIVE),
        _H.NOT_FOUND: Absorb(Why.NOT_YET_EVIDENCE),
        _H.PROVEN_ABSENT: Refuse(Why.NOT_YET_EVIDENCE),
        _H.NOT_SENT: Go(Life.ABSENT),
        _H.SILENT: Go(Life.IN_DOUBT),  # silence is not a refusal
        _H.CANCEL_NOT_SENT: Absorb(Why.NOTHING_PENDING),
        _H.CANCEL_SILENT: Absorb(Why.NOTHING_PENDING),
        _H.QUERY_FAILED: Absorb(Why.NOT_YET_EVIDENCE),
    },
    Life.LIVE: {
        _H.ACCEPTED: Absorb(Why.ALREADY_KNOWN),
        _H.REJECTED: Refuse(Why.REJECT_OF_LIVE),
        _H.TRADE: Go(Life.LIVE),
        _H.FILLED: Go(Life.DONE),
        _H.CLOSED: Go(Life.DONE),
        _H.CLOSED_UNSTATED: Go(Life.IN_DOUBT),
        _H.REPLACED: Go(Life.LIVE),
        _H.CANCEL_REFUSED: Go(Life.LIVE),
        _H.CANCEL_UNKNOWN: Go(Life.IN_DOUBT),  # it ended behind our back: how, a lookup must say
        _H.AMEND_REFUSED: Go(Life.LIVE),
        _H.SEEN_OPEN: Go(Life.LIVE),
        _H.NOT_FOUND: Go(Life.IN_DOUBT),
        _H.PROVEN_ABSENT: Refuse(Why.NOT_YET_EVIDENCE),
        _H.NOT_SENT: Refuse(Why.UNSENT_BUT_KNOWN),
        _H.SILENT: Absorb(Why.ANSWERED_ALREADY),
        _H.CANCEL_NOT_SENT: Go(Life.LIVE),
        _H.CANCEL_SILENT: Go(Life.LIVE),
        _H.QUERY_FAILED: Absorb(Why.NOT_YET_EVIDENCE),
    },
    Life.IN_DOUBT: {
        _H.ACCEPTED: Go(Life.LIVE),
        _H.REJECTED: Go(Life.ABSENT),
        _H.TRADE: Go(Life.IN_DOUBT),  # it existed; whether it still rests is another question
        _H.FILLED: Go(Life.DONE),
        _H.CLOSED: Go(Life.DONE),
        _H.CLOSED_UNSTATED: Go(Life.IN_DOUBT),
        _H.REPLACED: Go(Life.LIVE),
        _H.CANCEL_REFUSED: Go(Life.IN_DOUBT),
        _H.CANCEL_UNKNOWN: Go(Life.IN_DOUBT),
        _H.AMEND_REFUSED: Absorb(Why.LATE_ANSWER),
        _H.SEEN_OPEN: Go(Life.LIVE),
        _H.NOT_FOUND: Go(Life.IN_DOUBT),
        _H.PROVEN_ABSENT: Go(Life.ABSENT),
        _H.NOT_SENT: Absorb(Why.LATE_ANSWER),  # "may have left" was said before: the stronger claim needs evidence
        _H.SILENT: Absorb(Why.ALREADY_KNOWN),
        _H.CANCEL_NOT_SENT: Go(Life.IN_DOUBT),
        _H.CANCEL_SILENT: Go(Life.IN_DOUBT),
        _H.QUERY_FAILED: Go(Life.IN_DOUBT),
    },
    Life.ABSENT: {
        # Life after a refusal or proven absence: the ledger takes the quantity back, from free first, and the symbol is
        # halted until somebody has looked.
        _H.ACCEPTED: Go(Life.LIVE),
        _H.REJECTED: Absorb(Why.ALREADY_ENDED),
        _H.TRADE: Go(Life.IN_DOUBT),
        _H.FILLED: Go(Life.DONE),
        _H.CLOSED: Go(Life.DONE),
        _H.CLOSED_UNSTATED: Go(Life.IN_DOUBT),
        _H.REPLACED: Go(Life.LIVE),
        _H.CANCEL_REFUSED: Absorb(Why.ALREADY_ENDED),
        _H.CANCEL_UNKNOWN: Absorb(Why.ALREADY_ENDED),
        _H.AMEND_REFUSED: Absorb(Why.ALREADY_ENDED),
        _H.SEEN_OPEN: Go(Life.LIVE),
        _H.NOT_FOUND: Absorb(Why.ALREADY_ENDED),
        _H.PROVEN_ABSENT: Absorb(Why.ALREADY_ENDED),
        _H.NOT_SENT: Absorb(Why.ALREADY_ENDED),
        _H.SILENT: Absorb(Why.LATE_ANSWER),
        _H.CANCEL_NOT_SENT: Absorb(Why.ALREADY_ENDED),
        _H.CANCEL_SILENT: Absorb(Why.ALREADY_ENDED),
        _H.QUERY_FAILED: Absorb(Why.ALREADY_ENDED),
    },
    Life.DONE: {
        _H.ACCEPTED: Absorb(Why.ACKED_AFTER_DONE),
        _H.REJECTED: Absorb(Why.DUPLICATE_END),
        _H.TRADE: Go(Life.DONE),  # a late fill: the ledger still counts it
        _H.FILLED: Go(Life.DONE),
        _H.CLOSED: Absorb(Why.DUPLICATE_END),
        _H.CLOSED_UNSTATED: Absorb(Why.DUPLICATE_END),
        _H.REPLACED: Absorb(Why.LATE_ANSWER),
        _H.CANCEL_REFUSED: Absorb(Why.LATE_ANSWER),
        _H.CANCEL_UNKNOWN: Absorb(Why.LATE_ANSWER),
        _H.AMEND_REFUSED: Absorb(Why.LATE_ANSWER),
        _H.SEEN_OPEN: Absorb(Why.LATE_ANSWER),
        _H.NOT_FOUND: Absorb(Why.ALREADY_ENDED),
        _H.PROVEN_ABSENT: Absorb(Why.ALREADY_ENDED),
        _H.NOT_SENT: Absorb(Why.LATE_ANSWER),
        _H.SILENT: Absorb(Why.LATE_ANSWER),
        _H.CANCEL_NOT_SENT: Absorb(Why.LATE_ANSWER),
        _H.CANCEL_SILENT: Absorb(Why.LATE_ANSWER),
        _H.QUERY_FAILED: Absorb(Why.ALREADY_ENDED),
    },
}

CHILD_TABLE: Mapping[tuple[Life, Happened], Verdict] = {
    (life, happened): verdict for life, row in _ROWS.items() for happened, verdict in row.items()
}
"""Every pair has a verdict; `tests/tables` says so, and keeps `docs/machines.md` in step."""
_EVENTS = len(Happened)
_FLAT: tuple[Verdict, ...] = tuple(CHILD_TABLE[life, happened] for life in Life for happened in Happened)

_CLEARS_CANCEL = frozenset(
    {
        _H.CANCEL_REFUSED,
        _H.CANCEL_UNKNOWN,
        _H.CANCEL_NOT_SENT,
        _H.CLOSED,
        _H.CLOSED_UNSTATED,
        _H.FILLED,
        _H.SEEN_OPEN,  # still there when looked up: the cancel was lost, and is asked for again
    }
)
_CLEARS_AMEND = frozenset({_H.REPLACED, _H.AMEND_REFUSED, _H.CLOSED, _H.CLOSED_UNSTATED, _H.FILLED})
_PROVES_LIFE = frozenset(
    {
        _H.ACCEPTED,
        _H.TRADE,
        _H.FILLED,
        _H.CLOSED,
        _H.CLOSED_UNSTATED,
        _H.REPLACED,
        _H.SEEN_OPEN,
    }
)


# Members by name: CPython 3.11 takes longer to read a member off its enum than to compare it, and these are read for
# every report.
_PENDING_NEW: Final = Life.PENDING_NEW
_LIVE: Final = Life.LIVE
_IN_DOUBT: Final = Life.IN_DOUBT
_ABSENT: Final = Life.ABSENT
_NOTHING_PENDING: Final = Pending.NONE
_CANCEL_PENDING: Final = Pending.CANCEL
_AMEND_PENDING: Final = Pending.AMEND
_TRADE: Final = ExecType.TRADE
_NEW: Final = ExecType.NEW
_CANCELED: Final = OrdStatus.CANCELED
_FULL: Final = OrdStatus.FILLED
_TRADED: Final = Happened.TRADE
_FILLED: Final = Happened.FILLED
_ACCEPTED: Final = Happened.ACCEPTED
_CANCEL_UNKNOWN: Final = Happened.CANCEL_UNKNOWN
_AMEND_REFUSED: Final = Happened.AMEND_REFUSED


class Child:
    """One order. Its parent reads it; only `apply`, `reserve_amend` and the pending setters change it.

    qty_lots        total order quantity; after an amend, the new one.
    reserved_lots   what the ledger must hold for it: the larger of old and new while the outcome of an amend is open.
    asked_*         the terms of an amend whose outcome is open; else those in force.
    trades          what was counted, with our mid at that moment; `by_exec` is the place in it by ExecID.
    counted_lots    filled lots as counted: max(sum by ExecID, the floor the venue stated).
    sum_*           of its trades: lots, lots x ticks, and fees as far as they are known. booked: lots, lots x ticks and
                    fees as they are in what its symbol has realised.
    expire_ns       when a resting one is to be withdrawn; 0 for one that takes.
    check_ns        when the core should look at it again, 0 for never; `checks` counts the looks since life moved.
    no_amend        an amend was refused, or settled without its own answer: a late answer must not meet another one.
    reject, failed  the venue's last refusal of it; the last word on a request for it that has no answer.
    cancel_wanted   it should go; whether a request is on the way is `pending`.
    cancel_unknown  a cancel was refused because the venue knows no such order: half of a proof of absence.
    heard           the venue has shown that it knows the order: "not found" can no longer mean that it never arrived.
    unseen          the session was lost since the venue last spoke of it: it is looked up before it is relied upon.
    early_queries   lookups without an answer yet that were sent too early to prove absence.
    alarmed         somebody has been told that it cannot be settled.
    told_ns         the venue's clock in its last report. stood: price, quantity and filled lots as they were when its
                    place in the queue was last asked to be followed, None while it is not.
    held_*          what the parent's ledger has entered for it; only the ledger writes them.
    """

    __slots__ = (
        "absorbed",
        "alarmed",
        "asked_lots",
        "asked_ticks",
        "booked",
        "by_exec",
        "cancel_unknown",
        "cancel_wanted",
        "check_ns",
        "checks",
        "child_no",
        "counted_lots",
        "early_queries",
        "expire_ns",
        "failed",
        "floor_hticks",
        "floor_lots",
        "heard",
        "held_counted",
        "held_doubt",
        "held_working",
        "life",
        "mark_ticks",
        "mid_hticks",
        "no_amend",
        "order",
        "parent_no",
        "pending",
        "price_ticks",
        "qty_lots",
        "queried_ns",
        "reject",
        "reserved_lots",
        "sent_ns",
        "status_hint",
        "stood",
        "sum_fee_atoms",
        "sum_lot_ticks",
        "sum_lots",
        "timed_out",
        "told_ns",
        "trades",
        "unseen",
        "venue",
        "venue_order_id",
    )

    def __init__(
        self,
        *,
        parent_no: int,
        child_no: int,
        venue: VenueName,
        order: NewOrder,
        sent_ns: int,
        expire_ns: int,
        mid_hticks: int,
        mark_ticks: float | None,
    ) -> None:
        self.parent_no = parent_no
        self.child_no = child_no
        self.venue = venue
        self.order = order
        self.sent_ns = sent_ns
        self.expire_ns = expire_ns
        self.mid_hticks = mid_hticks
        self.mark_ticks = mark_ticks
        self.qty_lots = order.qty_lots
        self.reserved_lots = order.qty_lots
        self.price_ticks = order.price_ticks
        self.asked_lots = order.qty_lots
        self.asked_ticks = order.price_ticks
        self.life = _PENDING_NEW
        self.pending = _NOTHING_PENDING
        self.by_exec: dict[ExecId, int] = {}
        self.sum_lots = 0
        self.sum_lot_ticks = 0
        self.sum_fee_atoms = 0
        self.booked = (0, 0, 0)
        self.floor_lots = 0
        self.floor_hticks = 0
        self.counted_lots = 0
        self.trades: list[tuple[ExecutionReport, int]] = []
        self.venue_order_id = VenueOrderId("")
        self.status_hint: OrdStatus = _CANCELED
        self.reject: ExecutionReport | None = None
        self.failed: RequestFailed | None = None
        self.timed_out = False
        self.absorbed = 0
        self.check_ns = 0
        self.checks = 0
        self.cancel_wanted = False
        self.cancel_unknown = False
        self.heard = False
        self.unseen = False
        self.no_amend = False
        self.early_queries = 0
        self.alarmed = False
        self.queried_ns = 0
        self.told_ns = 0
        self.stood: tuple[int, int, int] | None = None
        self.held_working = 0
        self.held_doubt = 0
        self.held_counted = 0

    @property
    def leaves_lots(self) -> int:
        """What it may still fill: 0 once nothing of it is at the venue."""
        return max(0, self.reserved_lots - self.counted_lots) if self.life <= _IN_DOUBT else 0

    @property
    def closed(self) -> bool:
        """Nothing of it is at the venue, as far as is known."""
        return self.life >= _ABSENT

    @property
    def rests(self) -> bool:
        """It was sent to rest, not to take."""
        return self.expire_ns > 0

    @property
    def boldest_ticks(self) -> int:
        """The price nearest to the other side that it may have, while the outcome of an amend is open."""
        side = self.order.side
        return side * max(side * self.price_ticks, side * self.asked_ticks)

    @property
    def over_lots(self) -> int:
        """Filled beyond its own quantity."""
        return max(0, self.counted_lots - self.reserved_lots)

    @property
    def status(self) -> OrdStatus:
        """FIX OrdStatus, derived; the highest precedence wins."""
        if self.life is _IN_DOUBT:
            return OrdStatus.IN_DOUBT
        if self.life is _LIVE or self.life is _PENDING_NEW:
            if self.pending is _CANCEL_PENDING:
                return OrdStatus.PENDING_CANCEL
            if self.pending is _AMEND_PENDING:
                return OrdStatus.PENDING_REPLACE
            if self.life is _PENDING_NEW:
                return OrdStatus.PENDING_NEW
            return OrdStatus.PARTIALLY_FILLED if self.counted_lots else OrdStatus.NEW
        if self.counted_lots >= self.qty_lots:
            return _FULL
        return self.status_hint

    def verdict(self, happened: Happened) -> Verdict:
        """What the table says about `happened` now."""
        return _FLAT[self.life * _EVENTS + happened]

    def count(self, report: ExecutionReport, mid_hticks: int) -> int:
        """Enter what a report states into the ledger; returns newly counted lots (0 for what is known already)."""
        before = self.counted_lots
        if report.exec_type is _TRADE:
            known = self.by_exec.get(report.exec_id)
            if known is not None:
                if report.fee_atoms is not None and self.trades[known][0].fee_atoms is None:
                    self.trades[known] = (report, self.trades[known][1])  # the same trade with its fee settled
                return 0
            self.by_exec[report.exec_id] = len(self.trades)
            self.sum_lots += report.last_lots
            self.sum_lot_ticks += report.last_lots * report.last_ticks
            self.trades.append((report, mid_hticks))
        elif report.cum_lots > self.floor_lots:
            # Only an end or an answer to a lookup states a total that includes every trade before it; the cumulative
            # figure inside a trade may already include trades whose own reports are still on the way.
            self.floor_lots = report.cum_lots
            self.floor_hticks = report.avg_hticks
        else:
            return 0
        self.counted_lots = max(self.sum_lots, self.floor_lots)
        return self.counted_lots - before

    def apply(self, happened: Happened) -> tuple[Verdict, bool]:
        """Move life by the table; returns the verdict and whether an absent order came back to life.

        The ledger has been told before (`count`), so a refused event must be judged by `verdict` first.
        """
        verdict = self.verdict(happened)
        if not isinstance(verdict, Go):
            self.absorbed += 1
            return verdict, False
        revived = self.life is _ABSENT and (verdict.to <= _IN_DOUBT or happened is Happened.FILLED)
        if verdict.to is not self.life:
            self.life = verdict.to
            self.checks = 0
            self.alarmed = False
        if happened in _PROVES_LIFE:
            self.heard = True
            self.unseen = False
        if happened is _CANCEL_UNKNOWN:
            self.cancel_unknown = True
        elif happened is _AMEND_REFUSED:
            self.no_amend = True
        if self.pending is _CANCEL_PENDING and happened in _CLEARS_CANCEL:
            self.pending = _NOTHING_PENDING
        elif self.pending is _AMEND_PENDING and happened in _CLEARS_AMEND:
            self.pending = _NOTHING_PENDING
            self.replace(qty_lots=self.qty_lots, price_ticks=self.price_ticks)
        if self.life >= _ABSENT:
            self.pending = _NOTHING_PENDING
        return verdict, revived

    def replace(self, *, qty_lots: int, price_ticks: int) -> None:
        """These terms are in force, and no others can come into force any more."""
        self.qty_lots = self.asked_lots = self.reserved_lots = qty_lots
        self.price_ticks = self.asked_ticks = price_ticks

    def reserve_amend(self, *, qty_lots: int, price_ticks: int) -> None:
        """An amend is on the way: until its outcome is known, either quantity may fill, at either price."""
        self.pending = _AMEND_PENDING
        self.asked_lots = qty_lots
        self.asked_ticks = price_ticks
        self.reserved_lots = max(self.qty_lots, qty_lots)

    def settle_amend(self) -> None:
        """What an amend asked for is in force, as something else than its answer says; that may still come."""
        self.pending = _NOTHING_PENDING
        self.no_amend = True
        self.replace(qty_lots=self.asked_lots, price_ticks=self.asked_ticks)

    def give_up_amend(self) -> None:
        """Whether an amend arrived, or still will, cannot be told: both quantities stay reserved, the order must go."""
        self.pending = _NOTHING_PENDING
        self.cancel_wanted = True


def happened_of(report: ExecutionReport, child: Child) -> Happened:
    """What a report means for life, once the ledger has counted it."""
    full = child.counted_lots >= child.reserved_lots
    exec_type = report.exec_type
    if exec_type is _TRADE:  # most reports are one of these two, and a match asks for one case after the other
        return _FILLED if full else _TRADED
    if exec_type is _NEW:
        return _ACCEPTED
    match exec_type:
        case ExecType.CANCELED | ExecType.EXPIRED:
            return _closed(report, full=full)
        case ExecType.REJECTED:
            # "I have that id already" says that the order, or a copy of its request, did arrive: look it up.
            return Happened.SILENT if report.reject is RejectKind.DUPLICATE_ID else Happened.REJECTED
        case ExecType.REPLACED:
            return Happened.FILLED if full else Happened.REPLACED
        case ExecType.CANCEL_REJECTED:
            return Happened.CANCEL_UNKNOWN if report.reject is RejectKind.UNKNOWN_ORDER else Happened.CANCEL_REFUSED
        case ExecType.AMEND_REJECTED:
            return _FILLED if child.counted_lots >= child.qty_lots else Happened.AMEND_REFUSED
        case ExecType.NOT_FOUND:
            return Happened.NOT_FOUND
        case ExecType.STATUS:
            if report.ord_status in TERMINAL:
                return Happened.REJECTED if report.ord_status is OrdStatus.REJECTED else _closed(report, full=full)
            return Happened.FILLED if full else Happened.SEEN_OPEN


def _closed(report: ExecutionReport, *, full: bool) -> Happened:
    if full:
        return Happened.FILLED
    return Happened.CLOSED if report.cum_lots >= 0 else Happened.CLOSED_UNSTATED
