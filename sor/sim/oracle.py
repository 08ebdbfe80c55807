"""The judge of a run: it sets what was asked for and what the router claims beside the venue's own books.

It shares no code with the router and trusts none of its sums: it counts lots and exec ids, nothing else. One call
judges one venue. Orders of other people in the same account are not its matter: leave them out of `books`.

What it does not judge: prices, fees, and how anything came about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from sor.adapter import VenueOrder
from sor.errors import CallerError
from sor.ids import ClOrdId, ExecId, ParentId, Symbol
from sor.orders import Side


class Asked(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a strategy asked for. `terminal`: the router has said that this parent is over."""

    parent_id: ParentId
    symbol: Symbol
    side: Side
    qty_lots: int
    terminal: bool


class Claimed(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What the router says it counted for a parent.

    exec_ids   of every fill it counted by its own report, as often as it counted it. Fills that it only inferred from
               the venue's cumulative quantity have no exec id of the venue's and are left out; their lots are not.
    """

    parent_id: ParentId
    filled_lots: int
    exec_ids: tuple[ExecId, ...]


class Verdict(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Counts of what must never be, all 0 after a good run; `details` has a sentence for each.

    overfills        parents for which the venue filled more than was asked for.
    overcommitted    parents whose fills and live orders together exceed it: the next fill may overfill (R1).
    orphans          live orders of parents that are over.
    double_fills     exec ids counted more often than the venue gave them to the parent's orders, and parents for
                     which the router counted more lots than the venue filled.
    missed_fills     parents for which the venue filled more lots than the router counted.
    unknown_orders   orders that nobody asked for: no parent stands behind them, or they are not of its symbol and side,
                     or the venue accepted them a second time under one client order id.
    """

    overfills: int
    overcommitted: int
    orphans: int
    double_fills: int
    missed_fills: int
    unknown_orders: int
    details: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Nothing is wrong."""
        return not self.details


def judge(
    *,
    asked: Sequence[Asked],
    claimed: Sequence[Claimed],
    owners: Mapping[ClOrdId, ParentId],
    books: Sequence[VenueOrder],
) -> Verdict:
    """Compare the three. A parent without a claim claims nothing.

    owners   parent of each client order id, as recorded when the order was submitted.
    books    one venue's orders, from `Audited.audit`.
    Raises   CallerError when the parents asked for or claimed are not one of each, or a claim is for none of them.
    """
    parents = {one.parent_id: one for one in asked}
    claims = {one.parent_id: one for one in claimed}
    stray = [parent_id for parent_id in claims if parent_id not in parents]
    if len(parents) < len(asked) or len(claims) < len(claimed) or stray:
        raise CallerError(
            f"{len(asked)} parents and {len(claimed)} claims are not one of each, or claims {stray} are for none; "
            "nothing was judged. Give each parent once and claims only for these"
        )
    details: list[str] = []
    orders, unknown = _sorted_out(parents, owners, books, details)
    overfills = overcommitted = orphans = doubles = missed = 0
    for parent_id, parent in parents.items():
        own = orders[parent_id]
        claim = claims.get(parent_id) or Claimed(parent_id=parent_id, filled_lots=0, exec_ids=())
        filled = sum(order.filled_lots for order in own)
        live = [order for order in own if order.leaves_lots > 0]
        leaves = sum(order.leaves_lots for order in live)
        if filled > parent.qty_lots:
            overfills += 1
            details.append(f"overfill: {parent_id} asked for {parent.qty_lots} lots, the venue filled {filled}")
        elif filled + leaves > parent.qty_lots:
            overcommitted += 1
            details.append(
                f"overcommitted: {parent_id} asked for {parent.qty_lots} lots, the venue filled {filled} "
                f"and holds orders for {leaves} more"
            )
        if parent.terminal:
            orphans += len(live)
            details += [
                f"orphan: {parent_id} is over, its order {order.cl_ord_id} rests with {order.leaves_lots} lots"
                for order in live
            ]
        wrong = _wrongly_counted(claim, own)
        if claim.filled_lots > filled:
            wrong.append(f"{parent_id} counted {claim.filled_lots} lots, the venue filled {filled}")
        doubles += len(wrong)
        details += [f"double fill: {each}" for each in wrong]
        if claim.filled_lots < filled:
            missed += 1
            details.append(f"missed fill: {parent_id} counted {claim.filled_lots} lots, the venue filled {filled}")
    return Verdict(
        overfills=overfills,
        overcommitted=overcommitted,
        orphans=orphans,
        double_fills=doubles,
        missed_fills=missed,
        unknown_orders=unknown,
        details=tuple(details),
    )


def _sorted_out(
    parents: Mapping[ParentId, Asked],
    owners: Mapping[ClOrdId, ParentId],
    books: Sequence[VenueOrder],
    details: list[str],
) -> tuple[dict[ParentId, list[VenueOrder]], int]:
    """Orders by parent, and how many nobody asked for. One accepted twice still counts to its parent."""
    orders: dict[ParentId, list[VenueOrder]] = {parent_id: [] for parent_id in parents}
    seen: set[ClOrdId] = set()
    unknown = 0
    for order in books:
        text = f"{order.side.name} {order.order_lots} lots of {order.symbol}, {order.filled_lots} filled"
        owner = owners.get(order.cl_ord_id)
        parent = None if owner is None else parents.get(owner)
        if parent is None:
            unknown += 1
            details.append(f"unknown order: {order.cl_ord_id} ({text}) belongs to no parent")
            continue
        if order.symbol != parent.symbol or order.side is not parent.side:
            unknown += 1
            details.append(
                f"unknown order: {order.cl_ord_id} ({text}) is of {owner}, which is {parent.side.name} {parent.symbol}"
            )
            continue
        if order.cl_ord_id in seen:
            unknown += 1
            details.append(f"unknown order: {order.cl_ord_id} ({text}) of {owner} was accepted twice under one id")
        seen.add(order.cl_ord_id)
        orders[parent.parent_id].append(order)
    return orders, unknown


def _wrongly_counted(claim: Claimed, own: Sequence[VenueOrder]) -> list[str]:
    """A sentence for each exec id that was counted more often than the venue gave it to the parent's orders."""
    given = Counter(exec_id for order in own for exec_id in order.exec_ids)
    wrong: list[str] = []
    for exec_id, counted in Counter(claim.exec_ids).items():
        if counted > given[exec_id]:
            wrong.append(f"{claim.parent_id} counted {exec_id} x {counted}, the venue gave it x {given[exec_id]}")
    return wrong
