"""The other half of the judgement: fills, money, fees, positions, costs and deadlines, as told and as booked.

Like the oracle it shares no code with the router: what is told is plain values, what is true is recomputed here from
the books alone, in exact arithmetic. Linear contracts only. It does not judge the arrival mid: nobody but the router
has seen it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

import msgspec

from sor.ids import ClOrdId, ParentId
from sor.orders import PositionSide, Side
from sor.rig import BookOrder, Books
from sor.units import NS

RELATIVE = 1e-9
"""Of figures that are told as floats."""


class ToldFill(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A fill as the router counted it. `fee`: what the venue stated, None while it has not. `cum_lots`: with it."""

    exec_id: str
    lots: int
    ticks: int
    cum_lots: int
    fee: Decimal | None


class ToldOrder(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An order as the router has it. `counted_lots` may be more than its fills: the venue's total proved the rest."""

    cl_ord_id: ClOrdId
    parent_id: ParentId
    qty_lots: int
    counted_lots: int
    full: bool
    fills: tuple[ToldFill, ...]


class ToldCost(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a parent is said to have cost. arrival_cost and notional in quote units, without completing any rest."""

    filled_lots: int
    avg_price: float | None
    fees: Decimal | None
    arrival_hticks: int | None
    arrival_cost: Decimal | None
    completion: Decimal | None


class ToldParent(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A parent as the router has it. `deadline_ns`: the latest it ever had; `ended_ns` None while it works."""

    parent_id: ParentId
    side: Side
    position_side: PositionSide
    deadline_ns: int
    ended_ns: int | None
    cost: ToldCost | None


class OrderTerms(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What is said to be in force of an order: its whole quantity, and its price."""

    lots: int
    ticks: int


class Terms(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Steps of the one instrument, in quote and base units."""

    tick: Decimal
    lot: Decimal


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a router says of its orders.

    positions    as it has them, by position side; where it knows none, it is left out.
    """

    terms: Terms
    parents: tuple[ToldParent, ...]
    orders: tuple[ToldOrder, ...]
    positions: Mapping[PositionSide, int]


def reckon(told: Told, books: Books, *, deadline_slack_ns: int | None = None) -> list[str]:
    """Everything in which the two differ, one sentence each; empty after a good run.

    deadline_slack_ns    how long after its deadline a parent may still end; None where faults may hold up any answer.
    """
    known = {order.cl_ord_id: order for order in books.orders}
    own: dict[ParentId, list[ToldOrder]] = {parent.parent_id: [] for parent in told.parents}
    found: list[str] = []
    for order in told.orders:
        own[order.parent_id].append(order)
        found += [f"{order.cl_ord_id}: {text}" for text in _order(order, known.get(order.cl_ord_id), books)]
    made: Counter[PositionSide] = Counter()
    for parent in told.parents:
        theirs = [known[order.cl_ord_id] for order in own[parent.parent_id] if order.cl_ord_id in known]
        for each in theirs:
            made[parent.position_side] += int(each.side) * each.filled_lots
        wrong = [*_cost(parent, own[parent.parent_id], theirs, told.terms, books), *_deadline(parent, theirs, books)]
        if deadline_slack_ns is not None and parent.ended_ns is not None:
            late_ns = parent.ended_ns - parent.deadline_ns
            if late_ns > deadline_slack_ns:
                wrong.append(f"it ended {late_ns / NS:.3f} s after its deadline, and nothing went wrong")
        found += [f"{parent.parent_id}: {text}" for text in wrong]
    for side in PositionSide:
        at_venue, by_fills = books.positions.get(side, 0), made[side]
        if at_venue != by_fills:
            found.append(f"position {side}: {at_venue} lots at the venue, its fills of our orders make {by_fills}")
        if told.positions.get(side, at_venue) != at_venue:
            found.append(f"position {side}: {at_venue} lots at the venue, {told.positions[side]} here")
    if books.resent:
        found.append(f"{books.resent} orders were sent again under an id that had been accepted")
    return [*found, *books.broken]


def unsettled(told: Told, books: Books, *, since_ns: int) -> list[str]:
    """Orders that changed last after `since_ns` and whose fees the venue has told and the router does not know."""
    told_of = {order.cl_ord_id: order for order in told.orders}
    found: list[str] = []
    for order in books.orders:
        ours = told_of.get(order.cl_ord_id)
        if ours is not None and order.filled_lots and order.updated_ns > since_ns and _fees(ours) is None:
            found.append(f"{order.cl_ord_id}: its fees are settled at the venue and not known here")
    return found


def unfounded(before: Mapping[ClOrdId, OrderTerms], after: Mapping[ClOrdId, OrderTerms], books: Books) -> list[str]:
    """Terms that are said to be in force since something was asked for, and are not at the venue.

    What was asked for is in force when the venue says so; who believes it sooner believes it of a refused amend, too.
    """
    there = {order.cl_ord_id: OrderTerms(lots=order.order_lots, ticks=order.price_ticks) for order in books.orders}
    return [
        f"{name}: {terms.lots} lots at {terms.ticks} are in force here since they were asked for, at the venue "
        f"{there[name].lots} at {there[name].ticks}"
        for name, terms in after.items()
        if name in before and name in there and terms not in (before[name], there[name])
    ]


def _order(ours: ToldOrder, theirs: BookOrder | None, books: Books) -> Iterator[str]:
    """One order: lots, each of them once, for the right money and fees."""
    filled = 0 if theirs is None else theirs.filled_lots
    if ours.counted_lots != filled:
        yield f"counted {ours.counted_lots} lots, the venue filled {filled}"
        return
    if theirs is None or not filled:
        return
    if filled >= theirs.order_lots == ours.qty_lots and not ours.full:
        yield "filled at the venue, and not here"
    if books.fill_by_fill:
        yield from _each_fill(ours, theirs)
    else:
        yield from _joined_fills(ours, theirs, books)
    fees, paid = _fees(ours), sum((fill.fee for fill in theirs.fills), start=Decimal(0))
    if fees is not None and abs(fees - paid) > books.fee_slack * len(ours.fills):
        yield f"its fees are {fees} here and {paid} at the venue"


def _each_fill(ours: ToldOrder, theirs: BookOrder) -> Iterator[str]:
    """Fills that are told one by one must be the venue's, each with its own lots and price."""
    given = {fill.exec_id: fill for fill in theirs.fills}
    for fill in ours.fills:
        true = given.pop(fill.exec_id, None)
        if true is None:
            yield f"fill {fill.exec_id} is not the venue's, or was counted before"
        elif (true.lots, true.ticks) != (fill.lots, fill.ticks):
            yield f"fill {fill.exec_id}: {fill.lots} lots at {fill.ticks}, the venue {true.lots} at {true.ticks}"


def _joined_fills(ours: ToldOrder, theirs: BookOrder, books: Books) -> Iterator[str]:
    """Fills that are told by the quantity reached must join without gap and overlap, for the right money."""
    reached = value = 0
    for fill in sorted(ours.fills, key=lambda one: one.cum_lots):
        if fill.cum_lots - fill.lots < reached:
            yield f"its lots up to {reached} and those of {fill.exec_id} overlap"
            return
        reached = fill.cum_lots
        value += fill.lots * fill.ticks
    paid = sum(fill.lots * fill.ticks for fill in theirs.fills)
    if _complete(ours) and abs(value - paid) > books.price_slack * theirs.filled_lots:
        yield f"{theirs.filled_lots} lots for {value} lot-ticks, at the venue for {paid}"


def _cost(
    parent: ToldParent, ours: Sequence[ToldOrder], theirs: Sequence[BookOrder], terms: Terms, books: Books
) -> Iterator[str]:
    """The parent's figures against those that the books give."""
    cost = parent.cost
    if cost is None:
        return
    fills = [fill for order in theirs for fill in order.fills]
    lots = sum(fill.lots for fill in fills)
    if cost.filled_lots != lots:
        yield f"costs are of {cost.filled_lots} lots, the venue filled {lots}"
        return
    if not lots or not all(_complete(order) for order in ours):
        return  # a price that nobody told is an estimate, and said to be one
    value = sum(fill.lots * fill.ticks for fill in fills)
    average = Fraction(value, lots) * Fraction(terms.tick)
    slack = float(books.price_slack * terms.tick) + RELATIVE * float(average)
    if cost.avg_price is None or abs(cost.avg_price - float(average)) > slack:
        yield f"its average price is {cost.avg_price}, by the books {float(average)}"
    paid = sum((fill.fee for fill in fills), start=Decimal(0))
    fee_slack = books.fee_slack * max(1, sum(len(order.fills) for order in ours))
    if any(_fees(order) is None for order in ours):
        return
    if cost.fees is None or abs(cost.fees - paid) > fee_slack:
        yield f"its fees are {cost.fees}, by the books {paid}"
    if cost.arrival_hticks is None or cost.arrival_cost is None or cost.completion is None:
        return
    unit = Fraction(terms.tick) * Fraction(terms.lot)
    true = int(parent.side) * (2 * value - lots * cost.arrival_hticks) * unit / 2 + Fraction(paid)
    bound = Fraction(fee_slack) + books.price_slack * lots * unit
    if abs(Fraction(cost.arrival_cost - cost.completion) - true) > bound:
        yield f"it cost {cost.arrival_cost - cost.completion} against arrival, by the books {float(true)}"


def _deadline(parent: ToldParent, theirs: Sequence[BookOrder], books: Books) -> Iterator[str]:
    """Nothing of it may be accepted when its time is over and all that was on the way has arrived or been refused."""
    for order in theirs:
        late_ns = order.created_ns - parent.deadline_ns
        if late_ns > books.late_ns:
            yield f"order {order.cl_ord_id} was accepted {late_ns / NS:.3f} s after the deadline"


def _complete(order: ToldOrder) -> bool:
    """Every lot that was counted was told with its price."""
    return sum(fill.lots for fill in order.fills) == order.counted_lots


def _fees(order: ToldOrder) -> Decimal | None:
    """What the venue stated for all of its lots, None where something is still to come."""
    if not _complete(order):
        return None
    total = Decimal(0)
    for fill in order.fills:
        if fill.fee is None:
            return None
        total += fill.fee
    return total
