"""One contract's market: the book, public trades, marks and funding.

Mark = median(index, index + mean of the last five minutes' basis, last trade), rounded to the tick, once a second. The
emulator knows no other exchange: its index is the middle of its own book, and the last one known while a side is empty.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Sequence
from decimal import Decimal
from statistics import median_low
from typing import Final

import msgspec

from sor.market import Levels
from sor.orders import OrdType, Side, Tif
from sor.units import MS
from venues.bingx.emulator.contracts import Contract, instrument_of
from venues.bingx.emulator.events import BookChanged, Event, MarkMoved, PriceLevels, TradePrinted
from venues.bingx.emulator.money import rate_atoms, value_atoms
from venues.bingx.emulator.settings import Switches
from venues.matching.engine import Engine
from venues.matching.events import Event as EngineEvent
from venues.matching.events import Trade
from venues.matching.orders import Account, Order
from venues.matching.rules import FailedAmend, Rules

_TRADES_KEPT: Final = 1_000
_MINUTES_KEPT: Final = 1_440
_FUNDINGS_KEPT: Final = 1_000
_BASIS_TICKS: Final = 300
_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 3_600_000
# That a smaller order keeps its place is for the crowd; what a customer's amendment does `Exchange.amend` decides.
_RULES: Final = Rules(size_down_keeps_priority=True, amend_to_filled=FailedAmend.KEEP)


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
    """One minute with trades; value in quote."""

    at_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    value: Decimal


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
    """See the module; an exchange has one per contract.

    engine, crowd       the shared matching engine, and everybody who is no customer.
    unit_atoms          money atoms per lot-tick; fee_atoms: those and per 1e-8 of a rate.
    mark_ticks          mark price. index_ticks: index price.
    funding_rate        what the next settlement takes; may be changed.
    next_funding_ms     when it comes.
    """

    def __init__(
        self,
        contract: Contract,
        *,
        seed: str,
        switches: Switches,
        now_ms: Callable[[], int],
        tell: Callable[[Event], None],
        settle: Callable[[Pit, Sequence[EngineEvent]], None],
        funding_rate: Decimal,
    ) -> None:
        self.contract = contract
        self.instrument = instrument_of(contract)
        self.engine = Engine(self.instrument, _RULES, tracks_levels=True)
        self.crowd = Account("crowd", silent=True)
        self.unit_atoms = value_atoms(self.instrument)
        self.fee_atoms = rate_atoms(self.instrument)
        self.mark_ticks = self.index_ticks = self.instrument.ticks(contract.start_price)
        self.funding_rate = funding_rate
        self.settled_ms = 0
        self.next_funding_ms = 0
        self._seed = seed
        self._switches = switches
        self._now_ms = now_ms
        self._tell = tell
        self._settle = settle
        self._update_id = zlib.crc32(f"{seed}/{contract.symbol}".encode()) % 1_000_000_000
        self._n_updates = 0
        self._n_crowd = 0
        self._trades: deque[TradePrinted] = deque(maxlen=_TRADES_KEPT)
        self._minutes: deque[Candle] = deque(maxlen=_MINUTES_KEPT)
        self._fundings: deque[tuple[int, Decimal]] = deque(maxlen=_FUNDINGS_KEPT)
        self._basis_ticks: deque[int] = deque(maxlen=_BASIS_TICKS)

    # --- steps ------------------------------------------------------------------------------------------------------

    def price(self, ticks: int) -> Decimal:
        """Ticks in quote."""
        return ticks * self.instrument.tick_size

    def qty(self, lots: int) -> Decimal:
        """Lots in the base coin."""
        return lots * self.instrument.lot_size

    def best_against(self, sign: int) -> int:
        """The price a taker of this sign meets, in ticks; the mark while there is none."""
        best = self.engine.best_ask if sign > 0 else self.engine.best_bid
        return best or self.mark_ticks

    def would_take(self, sign: int, price_ticks: int) -> bool:
        """Whether a limit order at this price would trade at once."""
        engine = self.engine
        if sign > 0:
            return 0 < engine.best_ask <= price_ticks
        return engine.best_bid >= price_ticks

    # --- what is published ------------------------------------------------------------------------------------------

    def book(self, n_levels: int) -> BookRow:
        """Up to `n_levels` of each side, best first."""
        bids, asks = self.engine.depth(n_levels)
        return BookRow(
            update_id=self._update_id, at_ms=self._now_ms(), bids=self._decimals(bids), asks=self._decimals(asks)
        )

    def trades(self, n_trades: int) -> tuple[TradePrinted, ...]:
        """The latest trades, newest first; at most the last 1000 are kept."""
        return tuple(self._trades)[: -n_trades - 1 : -1]

    def candles(self, n_candles: int) -> tuple[Candle, ...]:
        """The latest minutes, newest first; at most 1440 are kept, minutes without a trade are absent."""
        return tuple(self._minutes)[: -n_candles - 1 : -1]

    def day(self) -> DayRow:
        """The ticker's figures."""
        now_ms = self._now_ms()
        minutes = [one for one in self._minutes if one.at_ms > now_ms - _MINUTES_KEPT * _MINUTE_MS]
        zero = Decimal(0)
        return DayRow(
            open=minutes[0].open if minutes else zero,
            high=max((one.high for one in minutes), default=zero),
            low=min((one.low for one in minutes), default=zero),
            last=self.price(self.engine.last_ticks),
            last_qty=self._trades[-1].qty if self._trades else zero,
            volume=sum((one.volume for one in minutes), zero),
            value=sum((one.value for one in minutes), zero),
            open_ms=minutes[0].at_ms if minutes else now_ms,
            close_ms=now_ms,
        )

    def premium(self) -> PremiumRow:
        """Mark, index and funding."""
        return PremiumRow(
            symbol=self.contract.symbol,
            mark=self.price(self.mark_ticks),
            index=self.price(self.index_ticks),
            funding_rate=self.funding_rate,
            next_funding_ms=self.next_funding_ms,
            settled_ms=self.settled_ms,
            funding_hours=self.contract.funding_hours,
        )

    def fundings(self) -> tuple[tuple[int, Decimal], ...]:
        """(time, rate) of settlements, newest first; at most 1000 are kept."""
        return tuple(self._fundings)[::-1]

    def open_interest(self) -> Decimal:
        """What customers hold against everybody else, in the base coin; among themselves they are not counted."""
        return self.qty(abs(self.crowd.position_lots))

    # --- what moves it ----------------------------------------------------------------------------------------------

    def trade_as_crowd(self, side: Side, *, qty: Decimal, price: Decimal) -> Decimal:
        """Somebody else takes up to `qty` at `price` or better, now; what traded. For tests and the control port.

        Raises `CallerError` for a quantity or price that is not positive or off the contract's steps.
        """
        order = self.crowd_order(side, lots=self.instrument.lots(qty), price_ticks=self.instrument.ticks(price))
        order.tif = Tif.IOC
        self.absorb(self.engine.place(order, now_ns=self._now_ms() * MS))
        return self.qty(order.filled_lots)

    def crowd_order(self, side: Side, *, lots: int, price_ticks: int) -> Order:
        """A limit order of somebody else, to be placed with the engine."""
        self._n_crowd += 1
        return Order(-self._n_crowd, self.crowd, side, OrdType.LIMIT, lots, price_ticks)

    def absorb(self, events: Sequence[EngineEvent]) -> None:
        """Take in what the engine did: customers' orders, positions and wallets follow, and listeners hear of it."""
        if events:
            self._settle(self, events)

    def print_trade(self, trade: Trade, *, trade_id: int) -> None:
        """Publish a trade; the caller numbers trades."""
        at_ms = self._now_ms()
        price, qty = self.price(trade.price_ticks), self.qty(trade.lots)
        printed = TradePrinted(
            symbol=self.contract.symbol,
            at_ms=at_ms,
            trade_id=trade_id,
            price=price,
            qty=qty,
            buyer_is_maker=trade.maker.side is Side.BUY,
        )
        self._trades.append(printed)
        minute_ms = at_ms - at_ms % _MINUTE_MS
        minutes = self._minutes
        value = price * qty
        if minutes and minutes[-1].at_ms == minute_ms:
            last = minutes[-1]
            minutes[-1] = Candle(
                at_ms=minute_ms,
                open=last.open,
                high=max(last.high, price),
                low=min(last.low, price),
                close=price,
                volume=last.volume + qty,
                value=last.value + value,
            )
        else:
            minutes.append(
                Candle(at_ms=minute_ms, open=price, high=price, low=price, close=price, volume=qty, value=value)
            )
        self._tell(printed)

    def publish_book(self) -> None:
        """Tell the levels that changed since the last time, if any did."""
        bids, asks = self.engine.changes()
        if not bids and not asks:
            return
        self._n_updates += 1
        step = 1
        if self._switches.skips_ids:
            step = 2 + zlib.crc32(f"{self._seed}/{self.contract.symbol}/{self._n_updates}".encode()) % 8
        self._update_id += step
        self._tell(
            BookChanged(
                symbol=self.contract.symbol,
                at_ms=self._now_ms(),
                update_id=self._update_id,
                bids=self._decimals(bids),
                asks=self._decimals(asks),
            )
        )

    def move_mark(self) -> None:
        """One tick of the mark."""
        engine = self.engine
        if engine.best_bid and engine.best_ask:
            self.index_ticks = (engine.best_bid + engine.best_ask) // 2
        index, last = self.index_ticks, engine.last_ticks or self.index_ticks
        basis = self._basis_ticks
        basis.append(last - index)
        self.mark_ticks = median_low((index, index + sum(basis) // len(basis), last))
        self._tell(
            MarkMoved(
                symbol=self.contract.symbol,
                at_ms=self._now_ms(),
                mark=self.price(self.mark_ticks),
                index=self.price(index),
                last=self.price(last),
            )
        )

    def plan_funding(self) -> None:
        """Set the next settlement: BingX settles at whole multiples of the interval since the epoch, in UTC."""
        interval_ms = self.contract.funding_hours * _HOUR_MS
        now_ms = self._now_ms()
        self.next_funding_ms = now_ms - now_ms % interval_ms + interval_ms

    def note_funding(self) -> None:
        """Remember a settlement at the present rate, and plan the next."""
        self.settled_ms = self._now_ms()
        self._fundings.append((self.settled_ms, self.funding_rate))
        self.plan_funding()

    def _decimals(self, levels: Levels) -> PriceLevels:
        tick, lot = self.instrument.tick_size, self.instrument.lot_size
        return tuple((ticks * tick, lots * lot) for ticks, lots in levels)
