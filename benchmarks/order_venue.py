"""The adapter that the order lane's rows route through: BingX's dialect, budget, client and reports, nothing else.

It opens no sockets and reads no account, so that only the order path is there to be measured; every part of that path
is the production one. Limits are those of the venue, each multiplied by `ROOM`, so that every one of them is checked
and none holds an order back.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Final

import msgspec

from sor.adapter import (
    AccountState,
    Capabilities,
    LeverageSet,
    NewOrder,
    OpenOrder,
    OrderRef,
    Request,
    Scheduler,
    Sink,
)
from sor.errors import CallerError
from sor.ids import ClOrdIdCodec, Symbol, VenueName
from sor.market import BookUpdate
from sor.orders import ExecutionReport
from sor.units import NS
from venues.bingx import dialect, endpoints, wire
from venues.bingx.errors import Asked
from venues.bingx.listings import VENUE, Listings, read_listings
from venues.bingx.orders import OrderNews, read_ack, read_canceled
from venues.bingx.reports import Reports, Told
from venues.plumbing.budget import Budget, Priority
from venues.plumbing.client import Client, Endpoint, Trouble
from venues.plumbing.clock import VenueClock
from venues.plumbing.keys import Secret, Secrets
from venues.plumbing.link_httpx import HttpxTransport
from venues.plumbing.link_lean import LeanTransport
from venues.plumbing.transport import Transport

ROOM: Final = 1_000_000
KEY = "benchmark-key-0123456789"
SECRET = "benchmark-secret-0123456789"
SYMBOL = Symbol("BTCUSDT")
BEST_BID_TICKS = 600_000
CONTRACTS = msgspec.json.encode(
    {
        "code": 0,
        "msg": "",
        "data": [
            {
                "symbol": "BTC-USDT",
                "quantityPrecision": 4,
                "pricePrecision": 1,
                "makerFeeRate": 0.0002,
                "takerFeeRate": 0.0005,
                "tradeMinQuantity": 0.0001,
                "tradeMinUSDT": 2,
                "currency": "USDT",
                "asset": "BTC",
                "status": 1,
                "apiStateOpen": "true",
                "apiStateClose": "true",
            }
        ],
    }
)


class LaneVenue:
    """A `VenueAdapter` over one of the transports. lean: the lean one, else httpx."""

    def __init__(self, url: str, *, lean: bool) -> None:
        self._url = url
        self._lean = lean
        self._stack = AsyncExitStack()
        self._listings: Listings = read_listings(CONTRACTS)
        listing = self._listings.of(SYMBOL)
        self._listing = listing
        self._wire = wire.OrderWire(listing)
        self._reports = Reports()
        self._budget = Budget(
            msgspec.structs.replace(limit, capacity=limit.capacity * ROOM) for limit in dialect.limits()
        )
        self._place = self._endpoint(endpoints.PLACE, Asked.PLACE)
        self._cancel = self._endpoint(endpoints.CANCEL, Asked.CANCEL)
        self._sink: Sink | None = None
        self._scheduler: Scheduler | None = None
        self._client: Client | None = None
        self.troubles: list[Trouble] = []

    def _endpoint(self, endpoint: endpoints.Endpoint, asked: Asked) -> Endpoint[OrderNews]:
        read = read_ack if asked is Asked.PLACE else read_canceled
        listings = self._listings
        return Endpoint(
            name=dialect.endpoint_name(endpoint),
            method=endpoint.method,
            path=endpoint.path,
            read=dialect.reading(endpoint, asked, lambda body, recv_ns: read(body, listings, recv_ns)),
            cost=self._budget.cost(dialect.units(endpoint)),
        )

    @property
    def name(self) -> VenueName:
        """The venue's name."""
        return VENUE

    @property
    def capabilities(self) -> Capabilities:
        """Those of BingX that matter to a resting order."""
        return Capabilities(client_ids=ClOrdIdCodec(), receive_window_ns=5 * NS, orders_per_s=1e6)

    async def connect(self, sink: Sink, scheduler: Scheduler) -> None:
        """Open the transport."""
        transport: Transport
        if self._lean:
            transport = await self._stack.enter_async_context(LeanTransport.opened(self._url, scheduler=scheduler))
        else:
            opened = HttpxTransport.opened(self._url, now_ns=scheduler.now_ns)
            transport = await self._stack.enter_async_context(opened)
        key, secret = Secret(KEY), Secret(SECRET)
        clock = VenueClock()
        now_ns = scheduler.now_ns()
        clock.sample(sent_ns=now_ns, recv_ns=now_ns, venue_ns=now_ns)
        self._client = Client(
            transport=transport,
            dialect=dialect.BingxDialect(api_key=key, secret=secret),
            budget=self._budget,
            clock=clock,
            scheduler=scheduler,
            draw=lambda: 0.5,
            secrets=Secrets(key, secret),
            on_skew=lambda: None,
        )
        self._sink, self._scheduler = sink, scheduler
        sink.instrument(self._listing.instrument)
        sink.link(up=True, reason="")

    async def disconnect(self) -> None:
        """Close the transport."""
        await self._stack.aclose()

    def subscribe(self, symbol: Symbol) -> None:
        """One book that does not move."""
        assert self._sink is not None
        assert self._scheduler is not None
        now_ns = self._scheduler.now_ns()
        self._sink.market(
            BookUpdate(
                symbol=symbol,
                bids=tuple((BEST_BID_TICKS - i, 1_000) for i in range(20)),
                asks=tuple((BEST_BID_TICKS + 1 + i, 1_000) for i in range(20)),
                venue_ns=now_ns,
                recv_ns=now_ns,
                snapshot=True,
                seq=1,
                prev_seq=0,
            )
        )

    def submit(self, order: NewOrder) -> None:
        """Sign and send."""
        client, scheduler = self._client, self._scheduler
        assert client is not None
        assert scheduler is not None
        call = self._wire.place(order)
        self._reports.sent(order)

        def answered(answer: OrderNews | Trouble) -> None:
            if isinstance(answer, Trouble):
                self._failed(answer, Asked.PLACE, Request.PLACE, order.cl_ord_id, order.symbol)
            else:
                self._tell(self._reports.told(answer))

        client.call(
            self._place,
            call.params,
            priority=Priority.REDUCE if order.reduce_only else Priority.OPEN,
            leave_by_ns=scheduler.now_ns() + NS,
            on_answer=answered,
        )

    def cancel(self, ref: OrderRef) -> None:
        """Ask for a cancel; its answer is taken for the end here, as no socket would tell of it."""
        client, scheduler = self._client, self._scheduler
        assert client is not None
        assert scheduler is not None

        def answered(answer: OrderNews | Trouble) -> None:
            if isinstance(answer, Trouble):
                self._failed(answer, Asked.CANCEL, Request.CANCEL, ref.cl_ord_id, ref.symbol)
            else:
                self._tell(self._reports.told(msgspec.structs.replace(answer, final=True)))

        call = wire.cancel(ref, self._listing)
        leave_by_ns = scheduler.now_ns() + NS
        client.call(self._cancel, call.params, priority=Priority.CANCEL, leave_by_ns=leave_by_ns, on_answer=answered)

    def _failed(self, trouble: Trouble, asked: Asked, request: Request, cl_ord_id: str, symbol: Symbol) -> None:
        del asked, request, cl_ord_id, symbol
        self.troubles.append(trouble)

    def _tell(self, told: Told) -> None:
        sink = self._sink
        assert sink is not None
        for each in told:
            sink.execution(each)

    # --- what the rows never ask for ----------------------------------------------------------------------------------

    def amend(self, ref: OrderRef, *, qty_lots: int, price_ticks: int) -> None:
        """Not here."""
        raise CallerError("the benchmark's venue amends nothing; nothing was sent")

    def query(self, ref: OrderRef) -> None:
        """Not here."""
        raise CallerError("the benchmark's venue answers no lookups; nothing was sent")

    async def open_orders(self) -> tuple[OpenOrder, ...]:
        """None."""
        return ()

    async def fills_since(self, venue_ns: int) -> tuple[ExecutionReport, ...]:
        """None."""
        return ()

    async def account(self) -> AccountState:
        """Nothing."""
        return AccountState(equity=Decimal(0), available=Decimal(0), asset="USDT", positions=(), venue_ns=0)

    async def set_leverage(self, symbol: Symbol, leverage: Decimal) -> LeverageSet:
        """Not here."""
        raise CallerError("the benchmark's venue has no leverage; nothing was sent")

    async def arm_dead_man(self, timeout_s: float) -> None:
        """Not here."""
        raise CallerError("the benchmark's venue has no dead-man's switch; nothing was sent")

    async def server_time_ns(self) -> int:
        """Ours."""
        return 0
