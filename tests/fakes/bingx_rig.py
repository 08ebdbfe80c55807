"""A BingX adapter on its emulator over memory, in virtual time: every byte is real, no clock and no network is."""

from __future__ import annotations

import gzip
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import anyio.lowlevel

from sor.adapter import NewOrder, OrderRef, RequestFailed, Scheduler
from sor.errors import SorError
from sor.ids import ClOrdId, ClOrdIdCodec, Symbol, VenueOrderId
from sor.instruments import Instrument
from sor.market import MarketEvent
from sor.orders import ExecType, ExecutionReport, OrdType, PositionSide, Side, Tif
from sor.sim.world import VirtualScheduler
from sor.units import MS, NS
from venues.bingx.adapter import BingxVenue
from venues.bingx.emulator.contracts import DEFAULTS, Contract
from venues.bingx.emulator.emulator import BingxEmulator, EmulatorSettings
from venues.bingx.emulator.market import start_quiet
from venues.bingx.emulator.settings import HEDGE, ONE_WAY, AccountSettings, Settings
from venues.bingx.options import read
from venues.emulation.app import Answer, App, HttpReply, HttpRequest, ServerSocket, SocketHandler
from venues.emulation.memory import MemoryNet
from venues.emulation.server import Server
from venues.plumbing.frames import Address
from venues.plumbing.link_lean import LeanTransport
from venues.plumbing.link_pipe import Located, StreamPipe
from venues.plumbing.links import Locate

T = TypeVar("T")
START_NS = 1_760_000_000 * NS
WAY_NS = 5 * MS
"""One way between adapter and emulator."""
BTC = Symbol("BTCUSDT")
CODEC = ClOrdIdCodec()
PLACE = "/openApi/swap/v2/trade/order"
SECRETS = (ONE_WAY.api_key, ONE_WAY.secret, HEDGE.api_key, HEDGE.secret)


class MemoryLinks:
    """`Links` to one emulator."""

    def __init__(self, net: MemoryNet) -> None:
        self._net = net
        self._transport: LeanTransport | None = None
        self.lost: Callable[[str], None] | None = None

    async def open(self, base_url: str, *, scheduler: Scheduler, lost: Callable[[str], None]) -> LeanTransport:
        assert base_url.startswith("http://127.0.0.1")
        self.lost = lost
        self._transport = LeanTransport(self._net, host=b"127.0.0.1", scheduler=scheduler)
        return self._transport

    def carrier(self, locate: Locate) -> StreamPipe:
        def find(located: Located) -> None:
            try:
                answer: Address | SorError = locate()
            except SorError as error:
                answer = error
            located(answer)

        return StreamPipe(find, lambda frames: self._net)

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def drop(self) -> None:
        """End every connection of the transport, as a network does; it goes on."""
        assert self._transport is not None
        for lane in tuple(self._transport._lanes):
            lane.ended("cut", never_connected=False)


class Ear:
    """A sink that notes."""

    def __init__(self) -> None:
        self.reports: list[ExecutionReport | RequestFailed] = []
        self.markets: list[MarketEvent] = []
        self.instruments: dict[Symbol, Instrument] = {}
        self.links: list[tuple[bool, str]] = []

    def execution(self, event: ExecutionReport | RequestFailed) -> None:
        self.reports.append(event)

    def market(self, event: MarketEvent) -> None:
        self.markets.append(event)

    def instrument(self, instrument: Instrument) -> None:
        self.instruments[instrument.symbol] = instrument

    def link(self, up: bool, reason: str) -> None:
        self.links.append((up, reason))


async def in_time(time: VirtualScheduler, awaitable: Awaitable[T], *, within_s: float = 60.0) -> T:
    """Await something while virtual time passes, a millisecond at a time."""
    results: list[T] = []
    failures: list[Exception] = []

    async def run() -> None:
        try:
            results.append(await awaitable)
        except Exception as error:  # noqa: BLE001 - raised below, outside the group that would wrap it
            failures.append(error)

    until_ns = time.now_ns() + int(within_s * NS)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        while not results and not failures:
            for _ in range(5):  # from an event to the coroutine that waits for it
                await anyio.lowlevel.checkpoint()
            if not results and not failures:
                assert time.now_ns() < until_ns, "it does not come back"
                time.run_until(time.now_ns() + MS)
    if failures:
        raise failures[0]
    return results[0]


class Meddler:
    """An `App` around the emulator that can say on an account socket what the emulator never would."""

    def __init__(self) -> None:
        self.app: App | None = None
        self._sockets: list[ServerSocket] = []

    def request(self, request: HttpRequest, answer: Answer) -> None:
        assert self.app is not None
        self.app.request(request, answer)

    def socket(self, request: HttpRequest, socket: ServerSocket) -> SocketHandler | HttpReply:
        assert self.app is not None
        if b"listenKey" in request.query:
            self._sockets.append(socket)
        return self.app.socket(request, socket)

    def push(self, event: dict[str, object]) -> None:
        """An event on the newest account socket, as BingX packs them."""
        self.raw(gzip.compress(json.dumps(event).encode()))

    def raw(self, frame: bytes) -> None:
        """Any frame."""
        self._sockets[-1].send_binary(frame)


class Rig:
    """One adapter, one emulator, one ear."""

    def __init__(
        self,
        folder: Path,
        *,
        settings: dict[str, str] | None = None,
        hedge: bool = False,
        wrap: Meddler | None = None,
        account: AccountSettings | None = None,
        contracts: tuple[Contract, ...] = DEFAULTS,
    ) -> None:
        account = account or (HEDGE if hedge else ONE_WAY)
        others = [one for one in (ONE_WAY, HEDGE) if one.name != account.name]
        exchange = Settings(accounts=(account, *others), contracts=contracts)
        self.time = VirtualScheduler(START_NS)
        self.app = BingxEmulator(self.time, EmulatorSettings(exchange=exchange))
        start_quiet(self.app.exchange)
        app: App = self.app
        if wrap is not None:
            wrap.app = app
            app = wrap
        self.net = MemoryNet(Server(app, scheduler=self.time, faults=self.app.byte_faults), up=WAY_NS, down=WAY_NS)
        self.folder = folder
        self.links: list[MemoryLinks] = []
        self.ear = Ear()
        secrets = folder / "keys"
        secrets.touch(mode=0o600)
        secrets.write_text(
            f"BINGX_EMULATOR_API_KEY={account.api_key}\nBINGX_EMULATOR_API_SECRET={account.secret}\n", encoding="utf-8"
        )
        options = {"env": "emulator", "symbols": "btc-usdt", "leverage_cache": str(folder), "secrets": str(secrets)}
        self.options = {**options, **(settings or {})}
        self.venue = self.new_venue()
        self.other_ear = Ear()
        self._order_no = 0
        self._counted: dict[tuple[str, str], int] = {}

    def new_venue(self) -> BingxVenue:
        """Another process of the same user."""
        return BingxVenue(read(self.options), self._links)

    @property
    def other_venue(self) -> BingxVenue:
        """The emulator's other account, in hedge mode."""
        secrets = self.folder / "other-keys"
        secrets.touch(mode=0o600)
        secrets.write_text(
            f"BINGX_EMULATOR_API_KEY={HEDGE.api_key}\nBINGX_EMULATOR_API_SECRET={HEDGE.secret}\n", encoding="utf-8"
        )
        return BingxVenue(read({**self.options, "secrets": str(secrets)}), self._links)

    def _links(self) -> MemoryLinks:
        self.links.append(MemoryLinks(self.net))
        return self.links[-1]

    async def wait(self, awaitable: Awaitable[T], *, within_s: float = 60.0) -> T:
        """Await something of the adapter's."""
        return await in_time(self.time, awaitable, within_s=within_s)

    async def connect(self) -> Rig:
        """Connect, and begin to count."""
        await self.wait(self.venue.connect(self.ear, self.time))
        self.requests()
        return self

    def run(self, ms: int) -> None:
        """Let time pass."""
        self.time.run_until(self.time.now_ns() + ms * MS)

    def requests(self) -> list[str]:
        """Signed requests that have arrived since this was called last, as `METHOD path`, one for each."""
        new: list[str] = []
        for count in self.app.ledger.counts():
            key = f"{count.method} {count.path}", count.account
            before = self._counted.get(key, 0)
            self._counted[key] = count.requests
            if count.account:
                new += [key[0]] * (count.requests - before)
        return new

    def order(self, **terms: object) -> NewOrder:
        """A MARKET order to buy 20 lots, unless told otherwise."""
        self._order_no += 1
        known: dict[str, object] = {
            "cl_ord_id": CODEC.encode(7, 1, self._order_no, closing=False),
            "symbol": BTC,
            "side": Side.BUY,
            "ord_type": OrdType.MARKET,
            "qty_lots": 20,
            **terms,
        }
        return NewOrder(**known)  # type: ignore[arg-type]

    def resting(self, **terms: object) -> NewOrder:
        """A post-only order to buy 20 lots ten ticks below the touch of the quiet ladder."""
        known: dict[str, object] = {
            "ord_type": OrdType.LIMIT,
            "price_ticks": 599_990,
            "post_only": True,
            "tif": Tif.GTC,
            **terms,
        }
        return self.order(**known)

    def ref(self, order: NewOrder, venue_order_id: str = "") -> OrderRef:
        """How to name an order."""
        return OrderRef(cl_ord_id=order.cl_ord_id, symbol=order.symbol, venue_order_id=VenueOrderId(venue_order_id))

    def told(self, order: NewOrder | ClOrdId | None = None) -> list[str]:
        """What was told since the last time, in short; of one order, if named."""
        wanted = order.cl_ord_id if isinstance(order, NewOrder) else order
        reports, self.ear.reports = self.ear.reports, []
        return [brief(one) for one in reports if wanted is None or one.cl_ord_id == wanted]

    def switch(self, fault: str) -> None:
        """Switch a fault on or off."""
        self.app.switch(fault)


def brief(event: ExecutionReport | RequestFailed) -> str:
    """A report in a few words."""
    if isinstance(event, RequestFailed):
        return f"{event.request.value} {event.reach.value} {event.code}".rstrip()
    text = f"{event.provenance.value} {event.exec_type.value}"
    match event.exec_type:
        case ExecType.TRADE:
            fee = "" if event.fee_source is None else f" {event.fee_source.value}"
            return f"{text} {event.last_lots}@{event.last_ticks}{fee}"
        case ExecType.STATUS:
            status = "?" if event.ord_status is None else event.ord_status.value
            return f"{text} {status} {event.cum_lots}"
        case ExecType.CANCELED | ExecType.EXPIRED:
            return f"{text} {event.cum_lots}"
        case ExecType.REJECTED | ExecType.CANCEL_REJECTED | ExecType.AMEND_REJECTED:
            return f"{text} {event.reject.value} {event.code}"
        case _:
            return text


LONG, SHORT, BOTH = PositionSide.LONG, PositionSide.SHORT, PositionSide.BOTH
