"""A parent that is over, and its orders, as bytes: an eighth of the memory, and nothing that can still matter is lost.

Kept is what reports of its orders are judged by (lots, totals, trades by ExecID, lives) and what its caller may read
(status, fills with their friction, markouts, costs). Left out is what only a decision would read, and there will be
none: its memory, its time-table, what it watches. Of the markets that it began and ended on the levels stay that its
costs are worked out from.

`tests/unit/test_retired.py` holds the lists here beside the fields that there are.
"""

from __future__ import annotations

import zlib
from operator import attrgetter
from typing import Final

import msgspec

from sor.adapter import NewOrder, RequestFailed
from sor.child import Child, Life
from sor.experiment.assigned import Assigned
from sor.ids import ParentId, VenueName, VenueOrderId
from sor.instruments import Instrument
from sor.market import Levels, MarketView
from sor.orders import ExecutionReport, Intent, OrdStatus, ParentOrder, ParentStatus, Side
from sor.parent import Ledger, Parent, ParentLife
from sor.reasons import EndReason

LEVEL: Final = 6
PATTERN_OF: Final = 6
"""After so many parents the bytes of these are the pattern for all later ones: what parents have in common (names,
venues, policies, times that begin alike) is most of them, and takes a few bytes where it stands in the pattern."""


class PackedChild(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The fields of `Child` that are kept, by their names."""

    child_no: int
    order: NewOrder
    sent_ns: int
    expire_ns: int
    mid_hticks: int
    mark_ticks: float | None
    qty_lots: int
    reserved_lots: int
    price_ticks: int
    asked_lots: int
    asked_ticks: int
    life: Life
    sum_lots: int
    sum_lot_ticks: int
    sum_fee_atoms: int
    booked: tuple[int, int, int]
    floor_lots: int
    floor_hticks: int
    counted_lots: int
    trades: list[tuple[ExecutionReport, int]]
    venue_order_id: VenueOrderId
    status_hint: OrdStatus
    reject: ExecutionReport | None
    failed: RequestFailed | None
    timed_out: bool
    absorbed: int
    check_ns: int
    checks: int
    cancel_wanted: bool
    cancel_unknown: bool
    heard: bool
    unseen: bool
    no_amend: bool
    early_queries: int
    alarmed: bool
    queried_ns: int
    told_ns: int
    held_working: int
    held_doubt: int
    held_counted: int


class PackedParent(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The fields of `Parent` that are kept, by their names."""

    order: ParentOrder
    intent: Intent | None
    assigned: Assigned | None
    policy: str
    set_name: str
    limit_ticks: int | None
    urgency: float
    accepted_ns: int
    start_ns: int
    deadline_ns: int
    decision_hticks: int | None
    arrival_hticks: int | None
    life: ParentLife
    next_child_no: int
    timeouts: int
    requotes: int
    refusals: int
    fell_back: bool
    cross_attempts: int
    rejects: int
    denials: int
    misses: int
    absorbed: int
    end_status: ParentStatus | None
    end_reason: EndReason | None
    end_text: str
    ended_ns: int
    markouts: list[tuple[str, int, int]]


class _Content(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A parent with its markets, the columns of its ledger, and its orders."""

    parent: PackedParent
    arrival_market: MarketView | None
    end_market: MarketView | None
    lots: tuple[int, ...]
    orders: list[PackedChild]


_CHILD: Final = PackedChild.__struct_fields__
_PARENT: Final = PackedParent.__struct_fields__
_LEDGER: Final = tuple(Ledger.__slots__)
_lots = attrgetter(*_LEDGER)
LEFT_OUT: Final = frozenset(
    {"decided", "due", "looking", "market", "memory", "replan", "retry_ns", "revisit", "shadows"}
)
"""Fields of a parent that only a decision reads."""
MADE_ANEW: Final = frozenset(
    {"arrival_market", "book", "children", "end_market", "heard_ns", "instrument", "ledger", "no", "open_children"}
    | {"recalled", "side", "venue", "wake_ns", "watching", "by_exec", "parent_no", "pending", "stood"}
)
"""Fields of a parent or a child that are found elsewhere, worked out again, or are never set when it is over."""
_write = msgspec.msgpack.Encoder().encode
_read = msgspec.msgpack.Decoder(_Content).decode


class Packed(msgspec.Struct, frozen=True, gc=False):
    """One parent that is over.

    instrument    as it traded it, shared by all that did. since_ns: when it was packed.
    pattern       what `content` was compressed by, shared by all that were.
    """

    parent_id: ParentId
    venue: VenueName
    instrument: Instrument
    since_ns: int
    pattern: bytes
    content: bytes


class Packer:
    """Packs parents one after the other, by a pattern that it takes from the `first`."""

    def __init__(self) -> None:
        self.first: list[bytes] = []
        self.pattern = b""

    def pack(self, parent: Parent, now_ns: int) -> Packed:
        """A parent that is over, packed; nothing of it may be open."""
        assert parent.ended, parent.id
        assert not parent.open_children, parent.id
        plain = _plain(parent)
        press = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=self.pattern)
        content = press.compress(plain) + press.flush()
        packed = Packed(parent.id, parent.venue, parent.instrument, now_ns, self.pattern, content)
        if not self.pattern:
            self.first.append(plain)
            if len(self.first) == PATTERN_OF:
                self.pattern = b"".join(self.first)[-(1 << zlib.MAX_WBITS) :]
                self.first.clear()
        return packed


def kept_whole(parent: Parent, now_ns: int) -> Packed:
    """The record of a parent that somebody keeps anyway."""
    return Packed(parent.id, parent.venue, parent.instrument, now_ns, b"", b"")


def _plain(parent: Parent) -> bytes:
    lots_max = parent.ledger.order_lots
    content = _Content(
        parent=PackedParent(*[getattr(parent, name) for name in _PARENT]),
        arrival_market=_cut(parent.arrival_market, parent.side, lots_max),
        end_market=_cut(parent.end_market, parent.side, lots_max),
        lots=lots_of(parent),
        orders=[PackedChild(*[getattr(child, name) for name in _CHILD]) for child in parent.children],
    )
    return _write(content)


def unpack(no: int, packed: Packed) -> Parent:
    """The parent as it was, but for what only a decision reads."""
    content = _read(zlib.decompressobj(-zlib.MAX_WBITS, zdict=packed.pattern).decompress(packed.content))
    kept = content.parent
    parent = parent_of(no, packed.venue, packed.instrument, kept, content.lots)
    parent.arrival_market, parent.end_market = content.arrival_market, content.end_market
    parent.children = [child_of(no, packed.venue, order) for order in content.orders]
    return parent


def strip(parent: Parent) -> None:
    """Take from a parent that is over what `unpack` would not give back: whoever holds it sees what others read."""
    parent.decided = parent.due = parent.looking = parent.market = parent.replan = parent.revisit = None
    parent.memory, parent.shadows = {}, {}
    parent.retry_ns = 0
    lots_max = parent.ledger.order_lots
    parent.arrival_market = _cut(parent.arrival_market, parent.side, lots_max)
    parent.end_market = _cut(parent.end_market, parent.side, lots_max)


def lots_of(parent: Parent) -> tuple[int, ...]:
    """The columns of its ledger, as `parent_of` takes them."""
    return _lots(parent.ledger)


def parent_of(no: int, venue: VenueName, instrument: Instrument, kept: PackedParent, lots: tuple[int, ...]) -> Parent:
    """A parent with the fields that were kept and the columns of its ledger; its orders are the caller's."""
    parent = Parent(
        no=no,
        order=kept.order,
        intent=kept.intent,
        venue=venue,
        instrument=instrument,
        set_name=kept.set_name,
        now_ns=kept.accepted_ns,
        assigned=kept.assigned,
    )
    for name in _PARENT:
        setattr(parent, name, getattr(kept, name))
    for name, column in zip(_LEDGER, lots, strict=True):
        setattr(parent.ledger, name, column)
    return parent


def child_of(parent_no: int, venue: VenueName, kept: PackedChild) -> Child:
    """An order with the fields that were kept."""
    child = Child(
        parent_no=parent_no,
        child_no=kept.child_no,
        venue=venue,
        order=kept.order,
        sent_ns=kept.sent_ns,
        expire_ns=kept.expire_ns,
        mid_hticks=kept.mid_hticks,
        mark_ticks=kept.mark_ticks,
    )
    for name in kept.__struct_fields__:
        setattr(child, name, getattr(kept, name))
    child.by_exec = {report.exec_id: place for place, (report, _) in enumerate(kept.trades)}
    return child


def _cut(market: MarketView | None, side: Side, lots: int) -> MarketView | None:
    """A market with what taking `lots` needs of it: the levels for that, and the best of the other side for the mid."""
    if market is None:
        return None
    taken, other = _first(market.ladder(side), lots), market.ladder(side.opposite)[:1]
    bids, asks = (other, taken) if side is Side.BUY else (taken, other)
    return msgspec.structs.replace(market, bids=bids, asks=asks, features=None)


def _first(ladder: Levels, lots: int) -> Levels:
    """The levels that hold the first `lots`, at least one."""
    for count, (_, shown) in enumerate(ladder, start=1):
        lots -= shown
        if lots <= 0:
            return ladder[:count]
    return ladder
