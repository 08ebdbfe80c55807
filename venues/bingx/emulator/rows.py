"""From the exchange's integers to the rows that it tells."""

from __future__ import annotations

from sor.orders import PositionSide
from venues.bingx.emulator.accounts import TradingAccount
from venues.bingx.emulator.events import PositionRow
from venues.bingx.emulator.money import money, up
from venues.bingx.emulator.orders import CustomerOrder, OrderRow
from venues.bingx.emulator.pit import Pit
from venues.bingx.emulator.positions import Position

_BOTH = PositionSide.BOTH


def order_row(order: CustomerOrder, pit: Pit) -> OrderRow:
    """An order as of the last thing that was told of it."""
    return OrderRow(
        order_id=order.order_id,
        client_id=order.client_id,
        symbol=order.contract_symbol,
        side=order.side,
        position_side=order.position_side,
        kind=order.kind,
        tif=order.time_in_force,
        reduce_only=order.asks_reduce_only,
        qty=pit.qty(order.told_lots),
        price=pit.price(order.reference_ticks),
        quote_qty=order.quote_qty,
        state=order.state,
        filled=pit.qty(order.done_lots),
        cost=money(order.cost_lot_ticks * pit.unit_atoms),
        fee=money(order.fee_atoms),
        profit=money(order.profit_atoms),
        leverage=order.leverage,
        created_ms=order.created_ms,
        updated_ms=order.updated_ms,
        forced=order.forced,
    )


def closing_lots(account: TradingAccount, position: Position) -> int:
    """What pending orders would close of a position, at most all of it.

    In hedge mode the closing orders of its side; in one-way mode every order against it.
    """
    sign = -1 if position.lots > 0 else 1
    pending = sum(
        order.leaves_lots
        for order in account.live_in(position.symbol)
        if order.sign == sign and order.position_side is position.mode
    )
    return min(pending, abs(position.lots))


def position_row(account: TradingAccount, position: Position, pit: Pit) -> PositionRow:
    """A position at the present mark."""
    lots = abs(position.lots)
    leverage = account.leverage(position.symbol, PositionSide.LONG if position.side is _BOTH else position.side)
    cost = position.cost_atoms if lots else 0
    free_lots = lots - closing_lots(account, position)
    return PositionRow(
        position_id=position.position_id,
        symbol=position.symbol,
        mode=position.mode,
        side=position.side,
        qty=pit.qty(lots),
        available=pit.qty(free_lots),
        avg_price=money(cost) / pit.qty(lots) if lots else pit.price(0),
        mark=pit.price(pit.mark_ticks),
        leverage=leverage,
        margin_type=account.margin_type(position.symbol),
        margin=money(up(cost, leverage)),
        unrealised=money(position.unrealised_atoms(pit.mark_ticks)) if lots else money(0),
        realised=money(position.realised_atoms),
        updated_ms=position.updated_ms,
    )
