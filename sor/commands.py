"""Wishes: the closed union of what the core asks for.

`Place`, `Cancel`, `Amend`, `Query`, `Decided`, `Ended` and `Alarm` are journaled before they are carried out; the rest
(`WakeAt`, `Look`, `Watch`, `Stand`, `Gone`, `MarkAt`, `EndMark`, `Rehearse`, `Tell`) follow from the facts and are made
anew by a fold.
"""

from __future__ import annotations

import msgspec

from sor.adapter import NewOrder, OrderRef, OwnRest, RequestFailed
from sor.ids import ClOrdId, ExecId, Symbol, VenueName
from sor.market import MarketView
from sor.orders import ExecutionReport, OrdStatus, ParentStatus
from sor.policy import Decision
from sor.reasons import Denial, EndReason
from sor.revisit import Revisit
from sor.snapshot import Cause, View


class Wish(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Base of all wishes."""


class Place(Wish, frozen=True, gc=False, array_like=True, tag="place"):
    """Send a new order. `expire_ns` is when a resting one is to be withdrawn, 0 for one that takes."""

    parent_no: int
    child_no: int
    venue: VenueName
    order: NewOrder
    expire_ns: int
    mid_hticks: int
    mark_ticks: float | None


class Cancel(Wish, frozen=True, gc=False, array_like=True, tag="cancel"):
    """Ask a venue to cancel an order."""

    parent_no: int
    venue: VenueName
    ref: OrderRef


class Amend(Wish, frozen=True, gc=False, array_like=True, tag="amend"):
    """Ask a venue for a new total quantity and price."""

    parent_no: int
    venue: VenueName
    ref: OrderRef
    qty_lots: int
    price_ticks: int


class Query(Wish, frozen=True, gc=False, array_like=True, tag="query"):
    """Look an order up."""

    parent_no: int
    venue: VenueName
    ref: OrderRef


class Decided(Wish, frozen=True, gc=False, kw_only=True, array_like=True, tag="decided"):
    """The record of one decision (S7); the market it saw is the `Looked` fact before it.

    by           the policy's name, or `deadline` when the machine crossed because time was up.
    vetoes       invariants that changed the policy's placements. denials: placements the risk gate refused.
    fallback     True when this decision crosses after resting failed, or because time was up.
    """

    parent_no: int
    cause: Cause
    by: str
    set_id: str
    params_digest: str
    open_lots: int
    remaining_lots: int
    decision: Decision
    vetoes: tuple[str, ...] = ()
    denials: tuple[Denial, ...] = ()
    fallback: bool = False


class Ended(Wish, frozen=True, gc=False, array_like=True, tag="ended"):
    """A parent is terminal: the venue holds none of its orders."""

    parent_no: int
    status: ParentStatus
    reason: EndReason
    cum_lots: int
    text: str


class Alarm(Wish, frozen=True, gc=False, array_like=True, tag="alarm"):
    """Somebody should look. `halts` when the symbol was halted for it."""

    parent_no: int
    venue: VenueName
    text: str
    halts: bool


class WakeAt(Wish, frozen=True, gc=False, array_like=True, tag="wake"):
    """Come back to this parent at `at_ns`; replaces an earlier wish, 0 withdraws it."""

    parent_no: int
    at_ns: int


class Look(Wish, frozen=True, gc=False, array_like=True, tag="want_look"):
    """Answer with `Looked` in this turn."""

    parent_no: int
    cause: Cause


class Watch(Wish, frozen=True, gc=False, array_like=True, tag="watch"):
    """Come back when a market condition holds; replaces an earlier one, None withdraws it."""

    parent_no: int
    revisit: Revisit | None
    seen: MarketView | None


class Stand(Wish, frozen=True, gc=False, array_like=True, tag="stand"):
    """Follow the place of a resting order in its queue. anew: it is at the back, also if it was followed before."""

    parent_no: int
    venue: VenueName
    symbol: Symbol
    own: OwnRest
    anew: bool


class Gone(Wish, frozen=True, gc=False, array_like=True, tag="gone"):
    """An order that was followed rests no longer."""

    venue: VenueName
    symbol: Symbol
    cl_ord_id: ClOrdId


class MarkAt(Wish, frozen=True, gc=False, array_like=True, tag="mark_at"):
    """Tell the mid at each markout horizon after this fill."""

    parent_no: int
    exec_id: ExecId
    fill_ns: int


class EndMark(Wish, frozen=True, gc=False, array_like=True, tag="end_mark"):
    """Answer with `EndMarked` in this turn."""

    parent_no: int


class Rehearse(Wish, frozen=True, gc=False, array_like=True, tag="rehearse"):
    """Have the shadows of the parent's experiment decide on this view too, once nothing else waits (`Shadowed`)."""

    parent_no: int
    view: View


class Happening(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a handle's listener is told of: a report that counted, an order's end, or a parent's new status.

    failed    a request that the venue did not answer, where that changed what is known of its order.
    """

    parent_no: int
    status: ParentStatus | None = None
    report: ExecutionReport | None = None
    order_status: OrdStatus | None = None
    text: str = ""
    failed: RequestFailed | None = None


class Tell(Wish, frozen=True, gc=False, array_like=True, tag="tell"):
    """Tell whoever listens to the parent."""

    happening: Happening


AnyWish = (
    Place
    | Cancel
    | Amend
    | Query
    | Decided
    | Ended
    | Alarm
    | WakeAt
    | Look
    | Watch
    | Stand
    | Gone
    | MarkAt
    | EndMark
    | Rehearse
    | Tell
)
Recorded = Place | Cancel | Amend | Query | Decided | Ended | Alarm
"""The wishes that go to the journal."""
