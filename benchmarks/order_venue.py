"""The adapter that the order lane's rows route through: BingX's, as it is used, with three things changed.

- Its sockets are silent: they are told that they stand, and pushes are handed in by the row (`canceled`), so that only
  the order path is there to be measured.
- Book and mark are such as do not move, pushed when a symbol is subscribed to.
- Every rate limit is multiplied by `ROOM`: all of them are checked and none holds an order back.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Final

import anyio
import msgspec

from sor.adapter import Capabilities, Scheduler, Sink
from sor.ids import ClOrdId, Symbol
from sor.market import BookUpdate, MarkUpdate
from venues.bingx.adapter import BingxVenue
from venues.bingx.options import read
from venues.plumbing.link_lean_net import LeanLinks
from venues.plumbing.link_net import NetLinks
from venues.plumbing.links import Carrier, Locate
from venues.plumbing.socket import SocketSession
from venues.plumbing.transport import Outcome, Transport, WireRequest

ROOM: Final = 1_000_000
KEY = "benchmark-key-0123456789"
SECRET = "benchmark-secret-0123456789"
BEST_BID_TICKS = 600_000
_LEVELS = 20


class SilentSocket:
    """A `Carrier` that stands at once and carries nothing."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.session: SocketSession | None = None
        self.no = 0

    def drive(self, session: SocketSession) -> None:
        """Start it."""
        self.session = session
        session.start()

    def open(self, no: int) -> None:
        """It stands."""
        session = self.session
        assert session is not None
        self.no = no
        self._scheduler.call_at(self._scheduler.now_ns(), lambda: session.opened(no))

    def write(self, no: int, payload: bytes) -> None:
        """To nobody."""

    def ping(self, no: int) -> None:
        """To nobody."""

    def close(self, no: int) -> None:
        """Done."""

    def push(self, payload: bytes) -> None:
        """The venue says this."""
        assert self.session is not None
        self.session.received(self.no, payload)


class Counted:
    """A `Transport` that knows how many requests are under way; the little that this costs is in our figures."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.flying = 0

    def send(self, request: WireRequest, on_outcome: Callable[[Outcome], None]) -> None:
        """Send."""
        self.flying += 1

        def landed(outcome: Outcome) -> None:
            self.flying -= 1
            on_outcome(outcome)

        self._transport.send(request, landed)


class OrderLinks:
    """The `Links` of a session whose requests travel. Its first socket, the account's, does not; others if `market`."""

    def __init__(self, *, lean: bool, market: bool = False) -> None:
        self._market = market
        self._links = LeanLinks() if lean else NetLinks()
        self._scheduler: Scheduler | None = None
        self.requests: Counted | None = None
        self.sockets: list[SilentSocket] = []

    async def open(self, base_url: str, *, scheduler: Scheduler, lost: Callable[[str], None]) -> Transport:
        """Over TCP."""
        self._scheduler = scheduler
        self.requests = Counted(await self._links.open(base_url, scheduler=scheduler, lost=lost))
        return self.requests

    def carrier(self, locate: Locate) -> Carrier:
        """Over nothing, but for the market's."""
        if self.sockets and self._market:
            return self._links.carrier(locate)
        assert self._scheduler is not None
        self.sockets.append(SilentSocket(self._scheduler))
        return self.sockets[-1]

    async def close(self) -> None:
        """As they are."""
        await self._links.close()


class LaneVenue(BingxVenue):
    """BingX's adapter, pointed at `order_server`.

    lean      over the lean transport, else httpx's.
    market    the market is that of the server's socket, and moves.
    """

    def __init__(self, url: str, *, lean: bool, market: bool = False) -> None:
        self._folder = tempfile.TemporaryDirectory()
        options = {"env": "emulator", "url": url, "symbols": "BTC-USDT", "leverage_cache": self._folder.name}
        self._order_links = OrderLinks(lean=lean, market=market)
        self._live = market
        super().__init__(read(options), lambda: self._order_links)
        self._sink: Sink | None = None
        self._now_ns: Callable[[], int] = int

    @property
    def capabilities(self) -> Capabilities:
        """The venue's, with room for orders; its account is known to be flat, so no position is waited for."""
        venue = super().capabilities
        rates = {"orders_per_s": venue.orders_per_s * ROOM, "cancels_per_s": venue.cancels_per_s * ROOM}
        return msgspec.structs.replace(venue, states_positions=False, **rates)

    async def connect(self, sink: Sink, scheduler: Scheduler) -> None:
        """Open the session, and make room in its budget."""
        self._sink, self._now_ns = sink, scheduler.now_ns
        await super().connect(sink, scheduler)
        assert self._on is not None
        for bucket in self._on.session.budget._buckets.values():
            cancels, reduces, opens, reads = (ceiling * ROOM for ceiling in bucket.ceilings)
            bucket.ceilings = (cancels, reduces, opens, reads)

    async def quiet(self) -> None:
        """Come back when no request is under way."""
        requests = self._order_links.requests
        while requests is not None and requests.flying:  # noqa: ASYNC110 -- unmeasured, and a count needs no event
            await anyio.sleep(0.001)

    async def disconnect(self) -> None:
        """Close the session."""
        await super().disconnect()
        self._folder.cleanup()

    def subscribe(self, symbol: Symbol) -> None:
        """One book and one mark that do not move, or the server's."""
        if self._live:
            super().subscribe(symbol)
            return
        assert self._sink is not None
        now_ns = self._now_ns()
        self._sink.market(
            BookUpdate(
                symbol=symbol,
                bids=tuple((BEST_BID_TICKS - i, 1_000) for i in range(_LEVELS)),
                asks=tuple((BEST_BID_TICKS + 1 + i, 1_000) for i in range(_LEVELS)),
                venue_ns=now_ns,
                recv_ns=now_ns,
                snapshot=True,
                seq=1,
                prev_seq=0,
            )
        )
        mark = float(BEST_BID_TICKS)
        self._sink.market(MarkUpdate(symbol=symbol, mark_ticks=mark, venue_ns=now_ns, recv_ns=now_ns))

    def canceled(self, cl_ord_id: ClOrdId, order_id: str) -> None:
        """The account socket tells that an order is gone."""
        now_ms = self._now_ns() // 1_000_000
        order: dict[str, str | int] = {
            "s": "BTC-USDT",
            "c": cl_ord_id,
            "i": int(order_id),
            "S": "BUY",
            "o": "LIMIT",
            "q": "0.01000000",
            "p": "59999.50000000",
            "ap": "0.00000000",
            "x": "CANCELED",
            "X": "CANCELED",
            "T": now_ms,
            "ps": "BOTH",
            "z": "0.00000000",
        }
        self._order_links.sockets[0].push(
            msgspec.json.encode({"e": "ORDER_TRADE_UPDATE", "E": now_ms, "T": now_ms, "o": order})
        )
