"""A market by hand: its source pushes what a test tells it to."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from sor.adapter import MarketSink, Scheduler
from sor.errors import CallerError
from sor.ids import Symbol, VenueName
from sor.instruments import Instrument
from sor.market import BookReset, BookUpdate, MarkUpdate, TradePrint
from sor.orders import Side

BTC = Symbol("BTCUSDT")
ACME = VenueName("acme")
LISTED = Instrument(
    symbol=BTC,
    venue=ACME,
    base="BTC",
    quote="USDT",
    settle="USDT",
    tick_size=Decimal("0.1"),
    lot_size=Decimal("0.001"),
    maker_fee_e8=20_000,
    taker_fee_e8=50_000,
)


class ScriptedMarket:
    """A `MarketSource`; times of events are the scheduler's, the venue's clock is the same unless told otherwise."""

    def __init__(self, *, marks: bool = False) -> None:
        self.marks = marks
        self.subscribed: list[Symbol] = []
        self.open = False
        self._sink: MarketSink | None = None
        self._scheduler: Scheduler | None = None

    @property
    def name(self) -> VenueName:
        return ACME

    async def connect(self, sink: MarketSink, scheduler: Scheduler) -> None:
        self._sink, self._scheduler, self.open = sink, scheduler, True
        sink.instrument(LISTED)
        sink.link(True, "scripted")

    async def disconnect(self) -> None:
        self.open = False

    def subscribe(self, symbol: Symbol) -> None:
        if symbol != LISTED.symbol:
            raise CallerError(f"no {symbol} here")
        self.subscribed.append(symbol)

    async def server_time_ns(self) -> int:
        return self.now_ns

    # --- what a test says ---------------------------------------------------------------------------------------------

    @property
    def sink(self) -> MarketSink:
        assert self._sink is not None
        return self._sink

    @property
    def now_ns(self) -> int:
        assert self._scheduler is not None
        return self._scheduler.now_ns()

    def book(
        self,
        bids: Mapping[int, int],
        asks: Mapping[int, int],
        *,
        snapshot: bool = False,
        venue_ns: int | None = None,
        seq: int = -1,
        prev_seq: int = -1,
    ) -> None:
        """Sizes by price in ticks that became visible together."""
        now = self.now_ns
        self.sink.market(
            BookUpdate(
                symbol=BTC,
                bids=tuple(sorted(bids.items(), reverse=True)),
                asks=tuple(sorted(asks.items())),
                venue_ns=now if venue_ns is None else venue_ns,
                recv_ns=now,
                snapshot=snapshot,
                seq=seq,
                prev_seq=prev_seq,
            )
        )

    def trade(self, side: Side, ticks: int, lots: int, *, venue_ns: int | None = None) -> None:
        """A trade by an aggressor of `side`."""
        now = self.now_ns
        at_ns = now if venue_ns is None else venue_ns
        self.sink.market(
            TradePrint(symbol=BTC, side=side, price_ticks=ticks, qty_lots=lots, venue_ns=at_ns, recv_ns=now)
        )

    def mark(self, ticks: float) -> None:
        now = self.now_ns
        self.sink.market(MarkUpdate(symbol=BTC, mark_ticks=ticks, venue_ns=now, recv_ns=now))

    def reset(self) -> None:
        self.sink.market(BookReset(symbol=BTC, recv_ns=self.now_ns))
