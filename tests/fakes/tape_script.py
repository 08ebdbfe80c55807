"""Small recordings written by hand, and somebody who trades on them and writes down what he is told."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple, TypeVar

import numpy as np

from sor.adapter import NewOrder, OrderRef, RequestFailed
from sor.ids import ClOrdId, Symbol, VenueName
from sor.instruments import Instrument
from sor.market import MarketEvent
from sor.orders import ExecType, ExecutionReport, OrdType, Side, Tif
from sor.tape import Tape
from tests.fakes.clock import VirtualClock
from venues.simulated.tape import TapeVenue, open_market
from venues.simulated.tape_latency import Delay
from venues.simulated.tape_market import TapeMarket
from venues.simulated.tape_owner import OwnerOf
from venues.simulated.tape_settings import TapeSettings

SYMBOL = Symbol("BTCUSDT")
# One lot-tick is 0.001 x 0.1 quote units, so a fee of 1e-8 of it is exact in 10**-12: atoms are lots x ticks x rate.
INSTRUMENT = Instrument(
    symbol=SYMBOL,
    venue=VenueName("rec"),
    base="BTC",
    quote="USDT",
    settle="USDT",
    tick_size=Decimal("0.1"),
    lot_size=Decimal("0.001"),
    maker_fee_e8=20_000,
    taker_fee_e8=50_000,
)
NOW = Delay(median_ns=0)
T = TypeVar("T")


class Book(NamedTuple):
    """Sizes by price that became visible together; a size of 0 removes the level."""

    at_ns: int
    bids: Mapping[int, int]
    asks: Mapping[int, int]
    snapshot: bool = False


class Print(NamedTuple):
    """A trade by an aggressor of `side`."""

    at_ns: int
    side: Side
    ticks: int
    lots: int


def tape_of(events: Sequence[Book | Print], instrument: Instrument = INSTRUMENT) -> Tape:
    """The recording of these events, already in order of time."""
    groups = [event for event in events if isinstance(event, Book)]
    trades = [event for event in events if isinstance(event, Print)]
    levels = [
        [(1, ticks, lots) for ticks, lots in group.bids.items()]
        + [(-1, ticks, lots) for ticks, lots in group.asks.items()]
        for group in groups
    ]
    flat = np.array([level for group in levels for level in group], dtype=np.int64).reshape(-1, 3)
    group_ns = np.array([group.at_ns for group in groups], dtype=np.int64)
    trade_ns = np.array([trade.at_ns for trade in trades], dtype=np.int64)
    return Tape(
        name="script",
        digest="0" * 16,
        instrument=instrument,
        group_venue_ns=group_ns,
        group_recv_ns=group_ns,
        group_first=np.cumsum([0, *map(len, levels)], dtype=np.int64),
        group_snapshot=np.array([group.snapshot for group in groups], dtype=np.int8),
        level_side=flat[:, 0].astype(np.int8),
        level_ticks=flat[:, 1].copy(),
        level_lots=flat[:, 2].copy(),
        trade_venue_ns=trade_ns,
        trade_recv_ns=trade_ns,
        trade_side=np.array([trade.side for trade in trades], dtype=np.int8),
        trade_ticks=np.array([trade.ticks for trade in trades], dtype=np.int64),
        trade_lots=np.array([trade.lots for trade in trades], dtype=np.int64),
    )


def at_once(work: Coroutine[object, object, T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    raise AssertionError("it waits")


class Told(NamedTuple):
    """A report in short: when it reached us, what it said, of which order; trades with lots, price and side of it."""

    at_ns: int
    what: str
    order: str
    lots: int = 0
    ticks: int = 0
    maker: bool | None = None


class Trader:
    """A sink that writes down what it is told, and when, and sends orders at given times.

    reports    every execution report, with the time the scheduler delivered it at.
    """

    def __init__(
        self,
        market: TapeMarket,
        settings: TapeSettings | None = None,
        *,
        instrument: Instrument | None = None,
        owner_of: OwnerOf | None = None,
    ) -> None:
        settings = settings or TapeSettings(entry=NOW, response=NOW)
        self.venue = TapeVenue(market, settings, instrument=instrument, owner_of=owner_of)
        self.clock = VirtualClock()
        self.reports: list[tuple[int, ExecutionReport]] = []
        self.instruments: list[Instrument] = []
        self.links: list[bool] = []
        at_once(self.venue.connect(self, self.clock))

    def execution(self, event: ExecutionReport | RequestFailed) -> None:
        assert isinstance(event, ExecutionReport)
        self.reports.append((self.clock.now_ns(), event))

    def market(self, event: MarketEvent) -> None:
        raise AssertionError(f"a recording pushes nothing, got {event}")

    def instrument(self, instrument: Instrument) -> None:
        self.instruments.append(instrument)

    def link(self, up: bool, reason: str) -> None:
        del reason
        self.links.append(up)

    def place(
        self,
        at_ns: int,
        name: str,
        side: Side,
        lots: int,
        ticks: int = 0,
        *,
        tif: Tif = Tif.GTC,
        post_only: bool = False,
        reduce_only: bool = False,
    ) -> None:
        """Send an order at a time; without a price a MARKET order."""
        order = NewOrder(
            cl_ord_id=ClOrdId(name),
            symbol=SYMBOL,
            side=side,
            ord_type=OrdType.LIMIT if ticks else OrdType.MARKET,
            qty_lots=lots,
            price_ticks=ticks,
            tif=tif,
            post_only=post_only,
            reduce_only=reduce_only,
        )
        self.clock.call_at(at_ns, lambda: self.venue.submit(order))

    def rest(self, at_ns: int, name: str, side: Side, lots: int, ticks: int) -> None:
        """Send a post-only order at a time."""
        self.place(at_ns, name, side, lots, ticks, post_only=True)

    def cancel(self, at_ns: int, name: str) -> None:
        self.clock.call_at(at_ns, lambda: self.venue.cancel(_ref(name)))

    def amend(self, at_ns: int, name: str, lots: int, ticks: int) -> None:
        self.clock.call_at(at_ns, lambda: self.venue.amend(_ref(name), qty_lots=lots, price_ticks=ticks))

    def query(self, at_ns: int, name: str) -> None:
        self.clock.call_at(at_ns, lambda: self.venue.query(_ref(name)))

    def run(self) -> list[Told]:
        """Let everything happen; what was told, in order."""
        self.clock.run()
        return self.told()

    def told(self) -> list[Told]:
        """What was told so far, in order."""
        return [
            Told(at_ns, _said(report), report.cl_ord_id, report.last_lots, report.last_ticks, report.is_maker)
            for at_ns, report in self.reports
        ]


def market_of(events: Sequence[Book | Print], *, feed: Delay = NOW, instrument: Instrument = INSTRUMENT) -> TapeMarket:
    """The market of a script."""
    return open_market(tape_of(events, instrument), feed=feed)


def _ref(name: str) -> OrderRef:
    return OrderRef(cl_ord_id=ClOrdId(name), symbol=SYMBOL)


def _said(report: ExecutionReport) -> str:
    if report.exec_type is ExecType.STATUS:
        assert report.ord_status is not None
        return f"status:{report.ord_status.value}"
    return report.exec_type.value + (f":{report.reject.value}" if report.reject else "")
