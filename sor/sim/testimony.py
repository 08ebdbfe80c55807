"""What a router says of itself, as plain values for the judges: the one place where the two sides meet.

It reads the state and the reports that a user reads, and computes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from sor.child import Child
from sor.ids import AccountId, ClOrdId, ParentId, Symbol, VenueName
from sor.instruments import Instrument
from sor.orders import FeeSource, OrdStatus
from sor.parent import Parent
from sor.records import record_of
from sor.router import Core
from sor.sim.oracle import Asked, Claimed
from sor.sim.reckoning import OrderTerms, Terms, Told, ToldCost, ToldFill, ToldOrder, ToldParent
from sor.tca import report

SETTLED = (FeeSource.WS_SETTLED, FeeSource.REST_SETTLED)
ACCOUNT = AccountId("default")


def asked_of(core: Core, asked_lots: Mapping[ParentId, int]) -> list[Asked]:
    """What was asked for. `asked_lots`: the most that was ever asked, by parent."""
    return [
        Asked(
            parent_id=parent.id,
            symbol=parent.instrument.symbol,
            side=parent.side,
            qty_lots=asked_lots[parent.id],
            terminal=parent.ended,
        )
        for parent in core.parents
    ]


def claimed_of(core: Core, *, fill_by_fill: bool) -> list[Claimed]:
    """What was counted; the exec ids only where they are the venue's own."""
    return [
        Claimed(
            parent_id=parent.id,
            filled_lots=parent.ledger.cum_lots,
            exec_ids=tuple(trade.exec_id for child in parent.children for trade, _ in child.trades)
            if fill_by_fill
            else (),
        )
        for parent in core.parents
    ]


def told_of(core: Core, *, venue: VenueName, symbol: Symbol, deadlines_ns: Mapping[ParentId, int]) -> Told:
    """Orders, fills, costs and positions. `deadlines_ns`: the latest that each parent ever had."""
    instrument = core.in_force.instruments[venue, symbol]
    book = core.desk.books.get((venue, ACCOUNT, symbol))
    return Told(
        terms=Terms(tick=instrument.tick_size, lot=instrument.lot_size * instrument.multiplier),
        parents=tuple(_parent(parent, core, deadlines_ns[parent.id]) for parent in core.parents),
        orders=tuple(_order(child, parent.id, instrument) for parent in core.parents for child in parent.children),
        positions={} if book is None else dict(book.positions),
    )


def terms_of(core: Core) -> dict[ClOrdId, OrderTerms]:
    """What is said to be in force of each order that may be open."""
    return {
        child.order.cl_ord_id: OrderTerms(lots=child.qty_lots, ticks=child.price_ticks)
        for parent in core.parents
        for child in parent.open_children
    }


def open_lots(core: Core, *, venue: VenueName, symbol: Symbol) -> list[str]:
    """What the account's book here still has open or reducing; nothing, once every parent has ended."""
    book = core.desk.books.get((venue, ACCOUNT, symbol))
    if book is None or not (any(book.open_lots.values()) or any(book.reducing.values())):
        return []
    return [f"nothing is open, and yet {book.open_lots} lots are here, {book.reducing} of them reducing"]


def _parent(parent: Parent, core: Core, deadline_ns: int) -> ToldParent:
    return ToldParent(
        parent_id=parent.id,
        side=parent.side,
        position_side=parent.order.position_side,
        deadline_ns=deadline_ns,
        ended_ns=parent.ended_ns or None,
        cost=_cost(parent, core) if parent.ended and not parent.instrument.inverse else None,
    )


def _cost(parent: Parent, core: Core) -> ToldCost:
    """As the report that a user reads has it."""
    costs = report(record_of(parent, core))
    fees = costs.shortfall.fees
    return ToldCost(
        filled_lots=costs.filled_lots,
        avg_price=costs.avg_price,
        fees=fees,
        arrival_hticks=parent.arrival_hticks,
        arrival_cost=costs.arrival_cost,
        completion=costs.completion,
    )


def _order(child: Child, parent_id: ParentId, instrument: Instrument) -> ToldOrder:
    return ToldOrder(
        cl_ord_id=child.order.cl_ord_id,
        parent_id=parent_id,
        qty_lots=child.qty_lots,
        counted_lots=child.counted_lots,
        full=child.status is OrdStatus.FILLED,
        fills=tuple(
            ToldFill(
                exec_id=trade.exec_id,
                lots=trade.last_lots,
                ticks=trade.last_ticks,
                cum_lots=trade.cum_lots,
                fee=_money(instrument, trade.fee_atoms) if trade.fee_source in SETTLED else None,
            )
            for trade, _ in child.trades
        ),
    )


def _money(instrument: Instrument, atoms: int | None) -> Decimal | None:
    return None if atoms is None else instrument.money(atoms)
