"""The exchange's own books, as an auditor reads them, and what must hold in them.

It reads what the clearing wrote beside what the matching engine kept for itself: two accounts of the same trades.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import msgspec

from sor.adapter import Position, VenueOrder
from sor.emulation import OrderMoney
from sor.ids import ClOrdId
from sor.orders import PositionSide
from venues.bingx.emulator.accounts import TradingAccount
from venues.bingx.emulator.desk import BalanceRow
from venues.bingx.emulator.exchange import Exchange
from venues.bingx.emulator.money import atoms, money
from venues.bingx.emulator.orders import CustomerOrder, State
from venues.bingx.emulator.pit import Pit


class AccountAudit(msgspec.Struct, frozen=True, kw_only=True):
    """One account: every order ever accepted with its fills, in the order of acceptance.

    An order's `exec_ids` are `<order id>:<lots filled with it>`: what the account stream tells a fill apart by.
    money                           of each order, by client id. wallet: what all of its entries make.
    accepted, duplicate, refused    new orders by how they were answered; a duplicate counts as refused too.
    """

    name: str
    orders: tuple[VenueOrder, ...]
    money: dict[ClOrdId, OrderMoney]
    positions: tuple[Position, ...]
    balance: BalanceRow
    wallet: Decimal
    accepted: int
    duplicate: int
    refused: int


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """All accounts, and every rule of the books that does not hold, one sentence each; empty when all is well."""

    accounts: tuple[AccountAudit, ...]
    broken: tuple[str, ...]


def audit(exchange: Exchange) -> Audit:
    """Read the books, and check that quantities, money and fees are conserved."""
    accounts = tuple(_account(exchange, one) for one in exchange.accounts.values())
    broken = [
        *(text for one in exchange.accounts.values() for text in _broken_account(exchange, one)),
        *(text for one in exchange.pits.values() for text in _broken_pit(exchange, one)),
    ]
    return Audit(accounts=accounts, broken=tuple(broken))


def _account(exchange: Exchange, account: TradingAccount) -> AccountAudit:
    pits = exchange.pits
    return AccountAudit(
        name=account.name,
        orders=tuple(_order(one, pits[one.contract_symbol]) for one in account.orders.values()),
        money={
            ClOrdId(one.client_id): OrderMoney(value_lot_ticks=one.cost_lot_ticks, fee=money(one.fee_atoms))
            for one in account.orders.values()
        },
        positions=tuple(
            Position(symbol=pits[one.symbol].instrument.symbol, qty_lots=one.lots, position_side=one.mode)
            for one in account.positions.values()
            if one.lots
        ),
        balance=exchange.desk.balance(account),
        wallet=money(account.wallet_atoms),
        accepted=account.n_accepted,
        duplicate=account.n_duplicate,
        refused=account.n_refused,
    )


def _order(order: CustomerOrder, pit: Pit) -> VenueOrder:
    return VenueOrder(
        cl_ord_id=ClOrdId(order.client_id),
        symbol=pit.instrument.symbol,
        side=order.side,
        order_lots=order.told_lots,
        filled_lots=order.done_lots,
        leaves_lots=order.told_lots - order.done_lots if order.live else 0,
        exec_ids=tuple(f"{order.order_id}:{pit.instrument.lots(fill.cum)}" for fill in order.fills),
    )


def _broken_account(exchange: Exchange, account: TradingAccount) -> Iterator[str]:
    who = f"account {account.name}"
    for order in account.orders.values():
        pit = exchange.pits[order.contract_symbol]
        filled_lots = sum(pit.instrument.lots(fill.qty) for fill in order.fills)
        if not filled_lots == order.done_lots == order.filled_lots <= order.told_lots:
            yield f"{who}: order {order.order_id} has {filled_lots} lots of fills, and says {order.done_lots}"
        if order.live != (order.level is not None) or order.live != (order.order_id in account.live):
            yield f"{who}: order {order.order_id} is {order.state} and does not rest accordingly"
        if (order.state is State.FILLED) != (order.done_lots == order.told_lots):
            yield f"{who}: order {order.order_id} is {order.state} with {order.done_lots} of {order.told_lots} lots"
        if sum(atoms(fill.fee) for fill in order.fills) != order.fee_atoms:
            yield f"{who}: the fees of order {order.order_id} are not those of its fills"
    for position in account.positions.values():
        pit = exchange.pits[position.symbol]
        signed_lots = sum(
            int(fill.side) * pit.instrument.lots(fill.qty)
            for fill in account.fills
            if fill.symbol == position.symbol and fill.position_side is position.mode
        )
        ledger = position.ledger
        if not position.lots == signed_lots == ledger.position_lots:
            yield f"{who}: {position.symbol} {position.mode} is {position.lots} lots, its fills make {signed_lots}"
        wrong_way = PositionSide.SHORT if position.lots > 0 else PositionSide.LONG
        if position.lots and position.mode is wrong_way:
            yield f"{who}: {position.symbol} {position.mode} stands at {position.lots} lots"
        if (position.cost_atoms > 0) != (position.lots != 0):
            yield f"{who}: {position.symbol} {position.mode} has {position.lots} lots for {position.cost_atoms} atoms"
    entries = account.deposited_atoms + account.realised_atoms + account.funding_atoms - account.fees_atoms
    if account.wallet_atoms != account.opening_atoms + entries:
        yield f"{who}: the wallet has {money(account.wallet_atoms)}, its entries make {money(entries)}"
    if sum(atoms(row.amount) for row in account.income) != entries:
        yield f"{who}: the income rows are not the entries of its wallet"


def _broken_pit(exchange: Exchange, pit: Pit) -> Iterator[str]:
    """Both sides of all trades of one contract: customers and the crowd come out at nothing, apart from fees."""
    name = pit.contract.symbol
    positions = [
        one for account in exchange.accounts.values() for one in account.positions.values() if one.symbol == name
    ]
    lots = sum(one.lots for one in positions) + pit.crowd.position_lots
    if lots:
        yield f"{name}: positions of both sides add up to {lots} lots"
    cost = sum(one.ledger.cost_lot_ticks for one in positions) + pit.crowd.cost_lot_ticks
    if cost:
        yield f"{name}: both sides paid each other {cost} lot-ticks too much"
    for position in positions:
        open_atoms = position.cost_atoms if position.lots > 0 else -position.cost_atoms
        if position.ledger.cost_lot_ticks * pit.unit_atoms != open_atoms - position.earned_atoms:
            yield f"{name} {position.ledger.name}: what it paid is not its open cost less its profit"
    fees = sum(one.ledger.fees_atoms for one in positions)
    if fees + pit.crowd.fees_atoms != pit.engine.fees_atoms:
        yield f"{name}: fees paid are not the fees collected"
    charged = sum(
        order.fee_atoms
        for account in exchange.accounts.values()
        for order in account.orders.values()
        if order.contract_symbol == name
    )
    if charged != fees * (pit.fee_atoms // pit.instrument.unit_atoms):
        yield f"{name}: fees charged to customers are not those of their trades"
