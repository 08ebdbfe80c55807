"""Balances, positions and settings of accounts: questions, and changes that are no orders."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from sor.orders import PositionSide
from venues.bingx.emulator.accounts import TradingAccount
from venues.bingx.emulator.events import MarginType, PositionRow
from venues.bingx.emulator.refusals import Refusal


class BalanceRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What an account is worth: equity = balance + unrealised; available = equity - used - frozen."""

    user_id: int
    asset: str
    balance: Decimal
    equity: Decimal
    unrealised: Decimal
    realised: Decimal
    available: Decimal
    used: Decimal
    frozen: Decimal


class LeverageRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Leverage of one contract; in one-way mode both sides are the same. available_*: value and volume still open."""

    symbol: str
    long: int
    short: int
    long_max: int
    short_max: int
    available_long_value: Decimal
    available_short_value: Decimal
    available_long_qty: Decimal
    available_short_qty: Decimal
    position_long_max: Decimal
    position_short_max: Decimal


class AccountDesk:
    """See the module; an exchange has one."""

    def balance(self, account: TradingAccount) -> BalanceRow:
        """The account's only asset."""
        raise NotImplementedError

    def positions(self, account: TradingAccount, *, symbol: str = "") -> tuple[PositionRow, ...]:
        """Open positions, of one symbol or of all for ""; flat ones are absent."""
        raise NotImplementedError

    def leverage(self, account: TradingAccount, symbol: str) -> LeverageRow | Refusal:
        """Leverage of one contract."""
        raise NotImplementedError

    def set_leverage(
        self, account: TradingAccount, symbol: str, side: PositionSide | None, leverage: int
    ) -> LeverageRow | Refusal:
        """Change it: `side` is LONG or SHORT in hedge mode, BOTH in one-way mode, else 109400."""
        raise NotImplementedError

    def margin_type(self, account: TradingAccount, symbol: str) -> MarginType | Refusal:
        """How margin is kept for a contract."""
        raise NotImplementedError

    def set_margin_type(self, account: TradingAccount, symbol: str, margin_type: MarginType) -> Refusal | None:
        """Change it; refused with positions or orders of the contract."""
        raise NotImplementedError

    def set_mode(self, account: TradingAccount, *, hedge: bool) -> Refusal | None:
        """Switch the position mode of the whole account; refused with any position or order."""
        raise NotImplementedError

    def top_up(self, account: TradingAccount, amount: Decimal) -> BalanceRow:
        """Put virtual money in (getVst)."""
        raise NotImplementedError
