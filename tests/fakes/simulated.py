"""A customer of the simulated venue: sends requests, writes down everything that is heard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sor.adapter import NewOrder, OrderRef, RequestFailed, VenueOrder
from sor.ids import ClOrdId, Symbol
from sor.instruments import Instrument
from sor.market import BookUpdate, MarketEvent
from sor.orders import ExecType, ExecutionReport, OrdType, Side, Tif
from sor.sim.world import VirtualScheduler, at_once
from sor.units import MS, NS
from venues.simulated.adapter import SimulatedVenue, open_venue

SYMBOL = Symbol("BTCUSDT")
START_NS = 1_000 * NS
# Bids 599998, 599997, ... and asks 600003, 600004, ...: ten levels of 1000 lots a side, which never move.
LADDER: Mapping[str, str] = {"market": "ladder", "latency": "zero", "ladder.spread_ticks": "5", "book_ms": "0"}
BID, ASK = 599_998, 600_003


class Heard(NamedTuple):
    """A report in short: what it said, of which order; lots and price of a trade, or the total that it states."""

    what: str
    order: str
    lots: int = 0
    ticks: int = 0


class Customer:
    """One customer and a venue of its own in virtual time.

    heard       reports and failed requests, oldest first. reports, failed: the same in full.
    events      market data. links: what was said of the link.
    """

    def __init__(self, *options: Mapping[str, str], **more: str) -> None:
        """Later options replace earlier ones; without a market among them it is the ladder."""
        venue = open_venue({key: text for one in (LADDER, *options, more) for key, text in one.items()})
        assert isinstance(venue, SimulatedVenue)
        self.venue = venue
        self.clock = VirtualScheduler(START_NS)
        self.heard: list[Heard] = []
        self.reports: list[ExecutionReport] = []
        self.failed: list[RequestFailed] = []
        self.events: list[MarketEvent] = []
        self.instruments: list[Instrument] = []
        self.links: list[bool] = []
        at_once(venue.connect(self, self.clock))

    # --- the sink ---------------------------------------------------------------------------------------------------

    def execution(self, event: ExecutionReport | RequestFailed) -> None:
        if isinstance(event, RequestFailed):
            self.failed.append(event)
            self.heard.append(Heard(f"{event.request.value} {event.reach.value}", event.cl_ord_id))
            return
        self.reports.append(event)
        self.heard.append(_heard(event))

    def market(self, event: MarketEvent) -> None:
        self.events.append(event)

    def instrument(self, instrument: Instrument) -> None:
        self.instruments.append(instrument)

    def link(self, up: bool, reason: str) -> None:
        assert reason
        self.links.append(up)

    # --- what a customer does ---------------------------------------------------------------------------------------

    def place(
        self,
        name: str,
        side: Side,
        lots: int,
        ticks: int = 0,
        *,
        tif: Tif = Tif.GTC,
        post_only: bool = False,
        reduce_only: bool = False,
    ) -> None:
        """Send an order; without a price a MARKET order."""
        self.venue.submit(
            NewOrder(
                cl_ord_id=ClOrdId(name),
                symbol=SYMBOL,
                side=side,
                ord_type=OrdType.LIMIT if ticks else OrdType.MARKET,
                qty_lots=lots,
                price_ticks=ticks,
                tif=tif if ticks else Tif.IOC,
                post_only=post_only,
                reduce_only=reduce_only,
            )
        )

    def cancel(self, name: str) -> None:
        self.venue.cancel(ref(name))

    def amend(self, name: str, lots: int, ticks: int) -> None:
        self.venue.amend(ref(name), qty_lots=lots, price_ticks=ticks)

    def query(self, name: str) -> None:
        self.venue.query(ref(name))

    def wait(self, ms: float) -> None:
        """Let time pass."""
        self.clock.run_until(self.clock.now_ns() + round(ms * MS))

    def news(self) -> list[Heard]:
        """What was heard since this was asked last."""
        news = self.heard.copy()
        self.heard.clear()
        return news

    def book(self, name: str) -> VenueOrder:
        """One order in the venue's own books."""
        (found,) = [order for order in self.venue.audit() if order.cl_ord_id == name]
        return found

    def depth(self) -> tuple[dict[int, int], dict[int, int]]:
        """Bids and asks as the market data heard so far build them, lots by price."""
        bids: dict[int, int] = {}
        asks: dict[int, int] = {}
        for event in self.events:
            if isinstance(event, BookUpdate):
                for side, levels in ((bids, event.bids), (asks, event.asks)):
                    if event.snapshot:
                        side.clear()
                    for ticks, lots in levels:
                        side.pop(ticks, None)
                        if lots:
                            side[ticks] = lots
        return bids, asks


def ref(name: str) -> OrderRef:
    """An order by our id."""
    return OrderRef(cl_ord_id=ClOrdId(name), symbol=SYMBOL)


def _heard(report: ExecutionReport) -> Heard:
    what = report.exec_type.value
    if report.exec_type is ExecType.TRADE:
        return Heard(what, report.cl_ord_id, report.last_lots, report.last_ticks)
    if report.exec_type is ExecType.STATUS:
        assert report.ord_status is not None
        return Heard(f"status {report.ord_status.value}", report.cl_ord_id, report.cum_lots)
    if report.reject:
        return Heard(f"{what}: {report.reject.value}", report.cl_ord_id)
    if report.exec_type is ExecType.REPLACED:
        return Heard(what, report.cl_ord_id, report.order_lots, report.price_ticks)
    return Heard(what, report.cl_ord_id, max(0, report.cum_lots))
