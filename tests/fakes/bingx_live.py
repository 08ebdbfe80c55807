"""The BingX emulator over TCP, in a thread of its own, that may go away in the middle of an order and come back.

Unlike a process that is killed it keeps its books, so what the exchange has can be set beside what the router says.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TypeVar
from urllib.parse import parse_qs

import anyio
import anyio.from_thread
import anyio.lowlevel

from sor.adapter import VenueOrder
from sor.clock import LoopScheduler
from tests.fakes.bingx_rig import PLACE
from tests.fakes.patience import PATIENCE_S
from tests.fakes.ports import free_port
from venues.bingx.emulator.audit import audit
from venues.bingx.emulator.emulator import BingxEmulator, EmulatorSettings
from venues.bingx.emulator.market import start_quiet, start_synthetic
from venues.bingx.emulator.settings import AccountSettings, Settings
from venues.emulation.app import Answer, HttpReply, HttpRequest, ServerSocket, SocketHandler
from venues.emulation.link_tcp import serve_tcp
from venues.emulation.server import Server

T = TypeVar("T")
KEY, SECRET = "planted-key-0cf31", "planted-secret-7d5e2"
HEDGE_KEY, HEDGE_SECRET = "planted-hedge-key-55a", "planted-hedge-secret-b91"
ACCOUNTS = (
    AccountSettings(name="one-way", api_key=KEY, secret=SECRET),
    AccountSettings(name="hedge", api_key=HEDGE_KEY, secret=HEDGE_SECRET, hedge=True),
)


class LiveVenue:
    """An emulator that is up, and an `App` in front of it that watches the door.

    before     called with the emulator as the first order arrives. after: once it was carried out and its answer thrown
               away, as that of a server that goes down just then.
    placed     client id of every order that arrived, in order.
    heard      listen keys that a socket was opened with.
    """

    def __init__(self, seed: str) -> None:
        self.port = free_port()
        self.placed: list[str] = []
        self.heard: list[str] = []
        self.before: Callable[[BingxEmulator], object] | None = None
        self.after: Callable[[BingxEmulator], object] | None = None
        self._scheduler = LoopScheduler()
        self._app = BingxEmulator(
            self._scheduler, EmulatorSettings(exchange=Settings(accounts=ACCOUNTS, mark_ms=100), keys=())
        )
        if seed:
            start_synthetic(self._app.exchange, seed=seed)
        else:
            start_quiet(self._app.exchange)
        self._up = threading.Event()
        self._down = threading.Event()
        self._wanted = anyio.Event()
        self._standing = anyio.CancelScope()
        self._ending = anyio.CancelScope()
        self._token = anyio.lowlevel.current_token()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    # --- from the test's thread ---------------------------------------------------------------------------------------

    def inside(self, action: Callable[[BingxEmulator], T]) -> T:
        """Look at the emulator, or do something to it, in its own thread."""
        return anyio.from_thread.run_sync(action, self._app, token=self._token)

    def switch(self, *faults: str) -> None:
        """Switch faults on or off."""
        for fault in faults:
            self.inside(lambda app, fault=fault: app.switch(fault))  # type: ignore[misc]

    def leave(self) -> None:
        """Every connection ends, and the port refuses."""
        self.inside(lambda _: self.go())
        assert self._down.wait(PATIENCE_S)

    def come_back(self) -> None:
        """On the same port, with the same books."""
        self.inside(lambda _: self._wanted.set())
        assert self._up.wait(PATIENCE_S)

    def books(self, account: str = "one-way") -> tuple[VenueOrder, ...]:
        """Every order that was ever accepted, once nothing in the books contradicts itself."""
        checked = self.inside(lambda app: audit(app.exchange))
        assert checked.broken == ()
        return next(one.orders for one in checked.accounts if one.name == account)

    def requests(self, method: str, path: str) -> int:
        """How many such requests came."""
        counts = self.inside(lambda app: app.ledger.counts())
        return sum(one.requests for one in counts if (one.method, one.path) == (method, path))

    # --- in its own thread --------------------------------------------------------------------------------------------

    def go(self) -> None:
        """Leave: to be called by `before` and `after`."""
        self._wanted = anyio.Event()
        self._standing.cancel()

    def request(self, request: HttpRequest, answer: Answer) -> None:
        """One request."""
        if (request.method, request.path) != ("POST", PLACE):
            self._app.request(request, answer)
            return
        self.placed += parse_qs(request.query.decode()).get("clientOrderId", ["none"])
        before, self.before = self.before, None
        if before is not None:
            before(self._app)
        after, self.after = self.after, None
        if after is None:
            self._app.request(request, answer)
        else:
            self._app.request(request, _unheard)
            after(self._app)

    def socket(self, request: HttpRequest, socket: ServerSocket) -> SocketHandler | HttpReply:
        """One socket."""
        self.heard += parse_qs(request.query.decode()).get("listenKey", [])
        return self._app.socket(request, socket)

    async def run(self) -> None:
        """Serve until it is ended."""
        server = Server(self, scheduler=self._scheduler, faults=self._app.byte_faults)
        with self._ending:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._scheduler.run)
                while True:
                    with anyio.CancelScope() as self._standing:
                        await serve_tcp(server, port=self.port, started=self._started)
                    self._up.clear()
                    self._down.set()
                    await self._wanted.wait()

    def end(self) -> None:
        """For good."""
        anyio.from_thread.run_sync(self._end, token=self._token)

    def _end(self) -> None:
        self._scheduler.stop()
        self._ending.cancel()

    def wait(self) -> None:
        """Until it is up."""
        assert self._up.wait(PATIENCE_S)

    def _started(self, port: int) -> None:
        self.port = port
        self._down.clear()
        self._up.set()


def _unheard(reply: HttpReply) -> None:
    """The server has gone."""


@contextmanager
def live_venue(*, seed: str = "") -> Iterator[LiveVenue]:
    """Serve on a free port. seed: of a market that moves; "" for one that stands still."""
    made: SimpleQueue[LiveVenue] = SimpleQueue()

    async def serve() -> None:
        venue = LiveVenue(seed)
        made.put(venue)
        await venue.run()

    thread = threading.Thread(target=lambda: anyio.run(serve), daemon=True)
    thread.start()
    venue = made.get(timeout=PATIENCE_S)
    venue.wait()
    try:
        yield venue
    finally:
        venue.end()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
