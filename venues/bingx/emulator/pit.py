"""One contract's market: the book, public trades, marks and funding."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from sor.orders import Side
from venues.bingx.emulator.contracts import Contract
from venues.bingx.emulator.events import PriceLevels, TradePrinted


class BookRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The book as it is; `update_id` is that of the last published change, so that the next one's is larger."""

    update_id: int
    at_ms: int
    bids: PriceLevels
    asks: PriceLevels


class DayRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Statistics of at most the last 24 hours. volume in the base coin, value in quote; prices 0 before any trade."""

    open: Decimal
    high: Decimal
    low: Decimal
    last: Decimal
    last_qty: Decimal
    volume: Decimal
    value: Decimal
    open_ms: int
    close_ms: int


class Candle(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One minute with trades."""

    at_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class PremiumRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Mark, index and funding; `settled_ms` is the last settlement."""

    symbol: str
    mark: Decimal
    index: Decimal
    funding_rate: Decimal
    next_funding_ms: int
    settled_ms: int
    funding_hours: int


class Pit:
    """See the module; an exchange has one per contract."""

    contract: Contract

    def book(self, n_levels: int) -> BookRow:
        """Up to `n_levels` of each side, best first."""
        raise NotImplementedError

    def trades(self, n_trades: int) -> tuple[TradePrinted, ...]:
        """The latest trades, newest first; at most the last 1000 are kept."""
        raise NotImplementedError

    def day(self) -> DayRow:
        """The ticker's figures."""
        raise NotImplementedError

    def candles(self, n_candles: int) -> tuple[Candle, ...]:
        """The latest minutes, newest first; at most 1440 are kept, minutes without a trade are absent."""
        raise NotImplementedError

    def premium(self) -> PremiumRow:
        """Mark, index and funding."""
        raise NotImplementedError

    def fundings(self) -> tuple[tuple[int, Decimal], ...]:
        """(time, rate) of settlements, newest first; at most 1000 are kept."""
        raise NotImplementedError

    def open_interest(self) -> Decimal:
        """Positions that customers hold, both sides counted once, in the base coin."""
        raise NotImplementedError

    def trade_as_crowd(self, side: Side, *, qty: Decimal, price: Decimal) -> Decimal:
        """Somebody else takes up to `qty` at `price` or better, now; what traded. For tests and the control port."""
        raise NotImplementedError
