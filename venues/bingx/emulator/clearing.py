"""What the matching engine did, carried into orders, positions and wallets, and told.

A trade is told in this order: the public print; then the taker, then the maker, for each that is a customer the order
and then the account. Whatever else the engine did to an order is told where it happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import assert_never

from sor.units import RATE_E8
from venues.bingx.emulator.accounts import TradingAccount
from venues.bingx.emulator.events import AccountChanged, Did, Event, FundingSettled, MarginType, OrderChanged, Reason
from venues.bingx.emulator.income import IncomeRow, IncomeType
from venues.bingx.emulator.money import atoms, money, up
from venues.bingx.emulator.orders import CustomerOrder, FillRow, State
from venues.bingx.emulator.pit import Pit
from venues.bingx.emulator.positions import Position
from venues.bingx.emulator.rows import order_row, position_row
from venues.bingx.emulator.settings import Switches
from venues.matching.events import (
    Accepted,
    Amended,
    AmendRejected,
    Canceled,
    CancelRejected,
    Expired,
    Rejected,
    Resized,
    Trade,
)
from venues.matching.events import Event as EngineEvent
from venues.matching.orders import Order

_FIRST_TRADE = 500_000_000


class Clearing:
    """The books of one exchange.

    n_trades    trades so far, the crowd's among themselves included.
    """

    def __init__(
        self,
        accounts: Mapping[str, TradingAccount],
        pits: Mapping[str, Pit],
        *,
        asset: str,
        switches: Switches,
        now_ms: Callable[[], int],
        tell: Callable[[Event], None],
    ) -> None:
        self.asset = asset
        self.n_trades = 0
        self._accounts = accounts
        self._pits = pits
        self._switches = switches
        self._now_ms = now_ms
        self._tell = tell
        self._n_income = 0
        self._n_positions = 0

    def settle(self, pit: Pit, events: Sequence[EngineEvent]) -> None:
        """Take in what one call of the engine did, in its order."""
        for event in events:
            match event:
                case Trade():
                    self._trade(pit, event)
                case Accepted(order=CustomerOrder() as order):
                    self._tell_order(pit, order, Did.NEW)
                case Canceled(order=CustomerOrder() as order):
                    self.end(pit, order, State.CANCELED)
                case Expired(order=CustomerOrder() as order):
                    self.end(pit, order, self._switches.leftover)
                case Resized(order=CustomerOrder() as order, order_lots=lots):
                    self._resize(pit, order, lots)
                case Amended(order=CustomerOrder() as order, order_lots=lots):
                    self._resize(pit, order, lots)
                case Accepted() | Canceled() | Expired() | Resized() | Amended():
                    pass  # the crowd's
                case Rejected() | CancelRejected() | AmendRejected():
                    pass  # the caller's to answer; no books change
                case _:
                    assert_never(event)

    def end(self, pit: Pit, order: CustomerOrder, state: State) -> None:
        """An order leaves with something undone."""
        order.state = state
        order.updated_ms = self._now_ms()
        self._accounts[order.owner].live.pop(order.order_id, None)
        self._tell_order(pit, order, Did.EXPIRED if state is State.EXPIRED else Did.CANCELED)

    def tell_new(self, pit: Pit, order: CustomerOrder) -> None:
        """An order that the engine never sees was accepted."""
        self._tell_order(pit, order, Did.NEW)

    def _resize(self, pit: Pit, order: CustomerOrder, lots: int) -> None:
        order.told_lots = lots
        order.updated_ms = self._now_ms()
        self._tell_order(pit, order, Did.RESIZED)

    def _tell_order(self, pit: Pit, order: CustomerOrder, did: Did, fill: FillRow | None = None) -> None:
        self._tell(
            OrderChanged(account=order.owner, at_ms=self._now_ms(), did=did, order=order_row(order, pit), fill=fill)
        )

    def _trade(self, pit: Pit, trade: Trade) -> None:
        self.n_trades += 1
        trade_id = _FIRST_TRADE + self.n_trades
        pit.print_trade(trade, trade_id=trade_id)
        self._side(pit, trade, trade.taker, trade_id=trade_id, fee=trade.taker_fee_atoms, cum=trade.taker_cum_lots)
        self._side(pit, trade, trade.maker, trade_id=trade_id, fee=trade.maker_fee_atoms, cum=trade.maker_cum_lots)

    def _side(self, pit: Pit, trade: Trade, order: Order, *, trade_id: int, fee: int, cum: int) -> None:
        """One side of a trade, where it is a customer's."""
        if not isinstance(order, CustomerOrder):
            return
        account = self._accounts[order.owner]
        at_ms = self._now_ms()
        lots, ticks = trade.lots, trade.price_ticks
        position = account.positions[order.contract_symbol, order.position_side]
        self._n_positions += 1
        profit_atoms = position.take(signed_lots=order.sign * lots, price_ticks=ticks, new_id=self._n_positions)
        position.updated_ms = at_ms
        fee_atoms = fee * (pit.fee_atoms // pit.instrument.unit_atoms)
        order.done_lots = cum
        order.cost_lot_ticks += lots * ticks
        order.fee_atoms += fee_atoms
        order.profit_atoms += profit_atoms
        order.updated_ms = at_ms
        order.state = State.PARTIALLY_FILLED
        if cum >= order.told_lots:
            order.state = State.FILLED
            account.live.pop(order.order_id, None)
        fill = FillRow(
            trade_id=trade_id,
            order_id=order.order_id,
            client_id=order.client_id,
            symbol=order.contract_symbol,
            side=order.side,
            position_side=order.position_side,
            price=pit.price(ticks),
            qty=pit.qty(lots),
            value=money(lots * ticks * pit.unit_atoms),
            fee=money(fee_atoms),
            profit=money(profit_atoms),
            is_maker=order is trade.maker,
            at_ms=at_ms,
            cum=pit.qty(cum),
        )
        order.fills.append(fill)
        account.fills.append(fill)
        account.fees_atoms += fee_atoms
        account.realised_atoms += profit_atoms
        account.wallet_atoms += profit_atoms - fee_atoms
        symbol = order.contract_symbol
        if fee_atoms:
            self._note(account, IncomeType.TRADING_FEE, -fee_atoms, symbol=symbol, trade_id=trade_id)
        if profit_atoms:
            self._note(account, IncomeType.REALIZED_PNL, profit_atoms, symbol=symbol, trade_id=trade_id)
        self._tell_order(pit, order, Did.TRADE, fill)
        self._tell_account(account, Reason.ORDER, profit_atoms - fee_atoms, (position,))

    def deposit(self, account: TradingAccount, amount: Decimal) -> None:
        """Money comes in, or goes out where it is negative."""
        number = atoms(amount)
        account.wallet_atoms += number
        account.deposited_atoms += number
        self._note(account, IncomeType.TRANSFER, number)
        self._tell_account(account, Reason.WITHDRAW if number < 0 else Reason.DEPOSIT, number, ())

    def fund(self, pit: Pit) -> None:
        """Settle funding of one contract at its mark: longs pay a positive rate, shorts receive it."""
        rate_e8 = int(pit.funding_rate * RATE_E8)
        symbol = pit.contract.symbol
        self._tell(
            FundingSettled(symbol=symbol, at_ms=self._now_ms(), rate=pit.funding_rate, mark=pit.price(pit.mark_ticks))
        )
        pit.note_funding()
        for account in self._accounts.values():
            for position in account.positions.values():
                if position.symbol != symbol or not position.lots:
                    continue
                paid = position.lots * pit.mark_ticks * pit.fee_atoms * rate_e8
                account.wallet_atoms -= paid
                account.funding_atoms -= paid
                self._note(account, IncomeType.FUNDING_FEE, -paid, symbol=symbol)
                crossed = account.margin_type(symbol) is MarginType.CROSSED
                self._tell_account(account, Reason.FUNDING_FEE, -paid, () if crossed else (position,))

    def _note(
        self, account: TradingAccount, kind: IncomeType, amount: int, *, symbol: str = "", trade_id: int = 0
    ) -> None:
        self._n_income += 1
        account.income.append(
            IncomeRow(
                symbol=symbol,
                type=kind,
                amount=money(amount),
                asset=self.asset,
                at_ms=self._now_ms(),
                id=self._n_income,
                trade_id=trade_id,
            )
        )

    def _tell_account(
        self, account: TradingAccount, reason: Reason, change: int, positions: tuple[Position, ...]
    ) -> None:
        isolated = sum(
            up(position.cost_atoms, account.leverage(position.symbol, position.side))
            for position in account.positions.values()
            if position.lots and account.margin_type(position.symbol) is not MarginType.CROSSED
        )
        self._tell(
            AccountChanged(
                account=account.name,
                at_ms=self._now_ms(),
                reason=reason,
                asset=self.asset,
                wallet=money(account.wallet_atoms),
                cross=money(account.wallet_atoms - isolated),
                change=money(change),
                positions=tuple(position_row(account, one, self._pits[one.symbol]) for one in positions),
            )
        )
