"""Balances, positions and settings of accounts: questions, and changes that are no orders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

import msgspec

from sor.orders import PositionSide
from venues.bingx.emulator import refusals
from venues.bingx.emulator.accounts import TradingAccount
from venues.bingx.emulator.checks import position_max
from venues.bingx.emulator.clearing import Clearing
from venues.bingx.emulator.events import ConfigChanged, Event, MarginType, PositionRow
from venues.bingx.emulator.margin import margin_of
from venues.bingx.emulator.money import money
from venues.bingx.emulator.pit import Pit
from venues.bingx.emulator.refusals import Refusal
from venues.bingx.emulator.rows import position_row

_BOTH, _LONG, _SHORT = PositionSide.BOTH, PositionSide.LONG, PositionSide.SHORT


class BalanceRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What an account is worth: equity = balance + unrealised; available = equity - used - frozen, never below 0."""

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
    """Leverage of one contract; in one-way mode both sides are the same. available_*: what could be opened now."""

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

    __slots__ = ("_clearing", "_now_ms", "_pits", "_tell")

    def __init__(
        self,
        pits: Mapping[str, Pit],
        clearing: Clearing,
        *,
        now_ms: Callable[[], int],
        tell: Callable[[Event], None],
    ) -> None:
        self._pits = pits
        self._clearing = clearing
        self._now_ms = now_ms
        self._tell = tell

    def balance(self, account: TradingAccount) -> BalanceRow:
        """The account's only asset."""
        margin = margin_of(account, self._pits)
        return BalanceRow(
            user_id=account.user_id,
            asset=self._clearing.asset,
            balance=money(margin.wallet),
            equity=money(margin.wallet + margin.unrealised),
            unrealised=money(margin.unrealised),
            realised=money(account.realised_atoms),
            available=money(max(0, margin.available)),
            used=money(margin.used),
            frozen=money(margin.frozen),
        )

    def positions(self, account: TradingAccount, *, symbol: str = "") -> tuple[PositionRow, ...]:
        """Open positions, of one symbol or of all for ""; flat ones are absent."""
        return tuple(
            position_row(account, one, self._pits[one.symbol])
            for one in account.positions.values()
            if one.lots and symbol in {"", one.symbol}
        )

    def leverage(self, account: TradingAccount, symbol: str) -> LeverageRow | Refusal:
        """Leverage of one contract."""
        pit = self._pits.get(symbol)
        if pit is None:
            return refusals.unknown_symbol(symbol)
        free_atoms = max(0, margin_of(account, self._pits).available)
        long, short = account.leverage(symbol, _LONG), account.leverage(symbol, _SHORT)
        mark_atoms = pit.mark_ticks * pit.unit_atoms
        return LeverageRow(
            symbol=symbol,
            long=long,
            short=short,
            long_max=pit.contract.leverage_max,
            short_max=pit.contract.leverage_max,
            available_long_value=money(free_atoms * long),
            available_short_value=money(free_atoms * short),
            available_long_qty=pit.qty(free_atoms * long // mark_atoms),
            available_short_qty=pit.qty(free_atoms * short // mark_atoms),
            position_long_max=position_max(account, pit, 1),
            position_short_max=position_max(account, pit, -1),
        )

    def set_leverage(
        self, account: TradingAccount, symbol: str, side: PositionSide | None, leverage: int
    ) -> LeverageRow | Refusal:
        """Change it: `side` is LONG or SHORT in hedge mode, BOTH in one-way mode, else 109400.

        Refused with 101204 where positions and pending orders would need more margin than there is.
        """
        pit = self._pits.get(symbol)
        if pit is None:
            return refusals.unknown_symbol(symbol)
        if account.hedge and side not in {_LONG, _SHORT}:
            return refusals.invalid("In the Hedge mode, the 'Side' field can only be set to LONG or SHORT.")
        if not account.hedge and side is not _BOTH:
            return refusals.invalid("In the One-way mode, the 'Side' field can only be set to BOTH.")
        if leverage < 1:
            return refusals.invalid("leverage must be a positive integer")
        if leverage > pit.contract.leverage_max:
            return refusals.leverage_too_high(pit.contract.leverage_max)
        assert side is not None
        before = account.leverage(symbol, _LONG if side is _BOTH else side)
        account.set_leverage(symbol, side, leverage)
        margin = margin_of(account, self._pits)
        if leverage < before and margin.available < 0:
            account.set_leverage(symbol, side, before)
            return refusals.no_margin(money(max(0, margin_of(account, self._pits).available)), pit.contract.quote)
        self._tell(self.config(account, symbol))
        answer = self.leverage(account, symbol)
        assert not isinstance(answer, Refusal)
        return answer

    def margin_type(self, account: TradingAccount, symbol: str) -> MarginType | Refusal:
        """How margin is kept for a contract."""
        return account.margin_type(symbol) if symbol in self._pits else refusals.unknown_symbol(symbol)

    def set_margin_type(self, account: TradingAccount, symbol: str, margin_type: MarginType) -> Refusal | None:
        """Change it; refused with positions or orders of the contract."""
        if symbol not in self._pits:
            return refusals.unknown_symbol(symbol)
        if margin_type is MarginType.SEPARATE_ISOLATED and not account.hedge:
            return refusals.SEPARATE_IN_ONE_WAY
        if account.in_use(symbol):
            return refusals.MARGIN_TYPE_IN_USE
        account.margin_types[symbol] = margin_type
        self._tell(self.config(account, symbol))
        return None

    def set_mode(self, account: TradingAccount, *, hedge: bool) -> Refusal | None:
        """Switch the position mode of the whole account; refused with any position or order."""
        if account.in_use():
            return refusals.MODE_IN_USE
        account.hedge = hedge
        return None

    def top_up(self, account: TradingAccount, amount: Decimal) -> BalanceRow:
        """Put virtual money in (getVst)."""
        self._clearing.deposit(account, amount)
        return self.balance(account)

    def config(self, account: TradingAccount, symbol: str) -> ConfigChanged:
        """Leverage and margin type of a listed contract, as the account stream states them all the time."""
        return ConfigChanged(
            account=account.name,
            at_ms=self._now_ms(),
            symbol=symbol,
            long_leverage=account.leverage(symbol, _LONG),
            short_leverage=account.leverage(symbol, _SHORT),
            margin_type=account.margin_type(symbol),
        )
