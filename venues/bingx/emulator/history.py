"""Questions about orders, fills and income of an account."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from venues.bingx.emulator.accounts import TradingAccount
from venues.bingx.emulator.orders import FillRow, OrderKey, OrderRow
from venues.bingx.emulator.refusals import Refusal


class IncomeType(StrEnum):
    """Why money came or went."""

    TRANSFER = "TRANSFER"
    REALIZED_PNL = "REALIZED_PNL"
    FUNDING_FEE = "FUNDING_FEE"
    TRADING_FEE = "TRADING_FEE"


class IncomeRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One change of a wallet; amount is positive when it came. trade_id: 0 where there was no trade."""

    symbol: str
    type: IncomeType
    amount: Decimal
    asset: str
    at_ms: int
    id: int
    trade_id: int


class History:
    """See the module; an exchange has one. Spans and limits that BingX refuses are refused here."""

    def order(self, account: TradingAccount, key: OrderKey) -> OrderRow | Refusal:
        """One order in any state."""
        raise NotImplementedError

    def open_order(self, account: TradingAccount, key: OrderKey) -> OrderRow | Refusal:
        """One live order; an ended one is 109421."""
        raise NotImplementedError

    def open_orders(self, account: TradingAccount, *, symbol: str = "", kind: str = "") -> tuple[OrderRow, ...]:
        """Live orders, oldest first."""
        raise NotImplementedError

    def orders(
        self,
        account: TradingAccount,
        *,
        symbol: str = "",
        order_id: int = 0,
        start_ms: int = 0,
        end_ms: int = 0,
        limit: int = 500,
        live: bool = False,
    ) -> tuple[OrderRow, ...] | Refusal:
        """Orders by time of creation, newest first: ended ones (allOrders), with `live` all of them (fullOrder).

        order_id           only those with an id of at least this.
        start_ms, end_ms   at most seven days apart, both inclusive; 0: the last seven days.
        """
        raise NotImplementedError

    def fills(
        self,
        account: TradingAccount,
        *,
        symbol: str = "",
        order_id: int = 0,
        start_ms: int,
        end_ms: int,
        last_fill_id: int = 0,
    ) -> tuple[FillRow, ...] | Refusal:
        """Fills with start_ms < time <= end_ms, oldest first; of the last seven days, at most 1000."""
        raise NotImplementedError

    def income(
        self,
        account: TradingAccount,
        *,
        symbol: str = "",
        type: str = "",  # noqa: A002 - the word is BingX's
        start_ms: int = 0,
        end_ms: int = 0,
        limit: int = 100,
    ) -> tuple[IncomeRow, ...] | Refusal:
        """Income, newest first; the last seven days unless told otherwise."""
        raise NotImplementedError
