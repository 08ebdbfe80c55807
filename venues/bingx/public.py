"""The public side of BingX: what it lists and its market, without keys."""

from __future__ import annotations

from collections.abc import Callable

from sor.adapter import MarketSink, Scheduler
from sor.errors import CallerError, InDoubt, NotSent
from sor.ids import Symbol, VenueName
from sor.units import NS
from venues.bingx import wire
from venues.bingx.listings import VENUE
from venues.bingx.market_streams import MarketStreams
from venues.bingx.options import Settings, read
from venues.bingx.session import CONTRACTS_WAIT_NS, Session
from venues.plumbing.link_ask import Later
from venues.plumbing.link_net import NetLinks
from venues.plumbing.links import Links
from venues.plumbing.outlet import MarketOutlet

SOCKET_WAIT_NS = 15 * NS
"""How long connecting waits for a socket."""


class BingxMarket:
    """A `MarketSource`. Made by `open_market`.

    links    makes the links of a session: over TCP unless somebody brings others.
    """

    def __init__(self, settings: Settings, links: Callable[[], Links] = NetLinks) -> None:
        self._settings = settings
        self._links = links
        self._session: Session | None = None
        self._streams: MarketStreams | None = None

    @property
    def name(self) -> VenueName:
        """The venue whose market it is."""
        return VENUE

    @property
    def marks(self) -> bool:
        """BingX publishes marks."""
        return True

    async def connect(self, sink: MarketSink, scheduler: Scheduler) -> None:
        """Open it: contracts are known to the sink and the link is up when this returns.

        Raises `CallerError` for contracts that cannot be routed, `NotSent` when BingX cannot be reached.
        """
        if self._session is not None:
            raise CallerError("the market of BingX is open already; nothing was sent")
        outlet = MarketOutlet(sink, scheduler)
        stands: Later[str] = Later()

        def changed(up: bool, reason: str) -> None:
            if up:
                stands.set("")
            outlet.link(up, reason)

        session = self._session = Session(
            self._settings,
            None,
            self._links(),
            scheduler=scheduler,
            outlet=outlet,
            lost=lambda why: outlet.link(False, why),
        )
        try:
            await session.open()
            leave_by_ns = scheduler.now_ns() + CONTRACTS_WAIT_NS
            session.adopt(await session.rest.demand(session.rest.contracts, wire.contracts(), leave_by_ns=leave_by_ns))
            streams = self._streams = MarketStreams(session, changed)
            scheduler.call_at(scheduler.now_ns() + SOCKET_WAIT_NS, lambda: stands.set("in time"))
            streams.start()
            if await stands.wait():
                raise NotSent("the market socket of BingX did not come about; nothing was sent. Try again later")
        except BaseException as error:
            await self.disconnect()
            if isinstance(error, InDoubt):
                raise NotSent(str(error)) from error
            raise

    async def disconnect(self) -> None:
        """Close it; harmless where it is not open."""
        session, self._session = self._session, None
        streams, self._streams = self._streams, None
        if streams is not None:
            streams.close()
        if session is not None:
            await session.close()

    def subscribe(self, symbol: Symbol) -> None:
        """Start market data of one symbol. Raises `CallerError` for one that cannot be routed."""
        session = self._connected
        assert self._streams is not None
        listing = session.listings.of(symbol)
        session.tell(listing)
        self._streams.subscribe(listing)

    async def server_time_ns(self) -> int:
        """The venue's clock."""
        return await self._connected.server_time_ns()

    @property
    def _connected(self) -> Session:
        if self._session is None:
            raise CallerError("the market of BingX is not connected; nothing was sent. Connect it first")
        return self._session


def open_market(options: dict[str, str]) -> BingxMarket:
    """The unconnected market of BingX. Raises `CallerError`, naming the option, for bad options."""
    return BingxMarket(read(options))
