"""The smallest emulated venue: it echoes. For tests of what carries emulators, and of what finds and serves them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from sor.adapter import Scheduler
from sor.clock import LoopScheduler
from sor.emulation import FaultHelp, Serving
from sor.errors import CallerError
from sor.ids import VenueName
from sor.units import MS
from tests.fakes.patience import PATIENCE_S
from venues.emulation.app import Answer, HttpReply, HttpRequest, ServerSocket
from venues.emulation.faults import ByteFaults
from venues.emulation.link_tcp import serve_tcp
from venues.emulation.server import Limits, Server

PLAIN = (b"Content-Type", b"text/plain")
DATE = (b"Date", b"Thu, 01 Jan 1970 00:00:00 GMT")


class EchoSocket:
    """Sends back what it gets; some words make it do things."""

    def __init__(self, app: TinyApp, socket: ServerSocket) -> None:
        self.app = app
        self.socket = socket

    def received(self, payload: bytes, *, text: bool) -> None:
        self.app.messages.append((payload, text))
        match payload:
            case b"close":
                self.socket.close(4001, "as asked")
            case b"drop":
                self.socket.drop()
            case b"abort":
                self.socket.abort()
            case b"ping":
                self.socket.ping(b"there?")
            case _ if text:
                self.socket.send_text(payload)
            case _:
                self.socket.send_binary(payload)

    def ponged(self, payload: bytes) -> None:
        self.app.pongs.append(payload)

    def closed(self, why: str) -> None:
        self.app.closed.append(why)


class TinyApp:
    """Answers with the request; `/never`, `/later` (5 ms) and `/bye` do as they say; sockets at `/stream`.

    The test reads what it was told.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.requests: list[HttpRequest] = []
        self.unanswered: list[Answer] = []
        self.sockets: list[ServerSocket] = []
        self.messages: list[tuple[bytes, bool]] = []
        self.pongs: list[bytes] = []
        self.closed: list[str] = []

    def request(self, request: HttpRequest, answer: Answer) -> None:
        self.requests.append(request)
        said = b"%s %s" % (request.method.encode(), request.target)
        headers: tuple[tuple[bytes, bytes], ...] = (PLAIN, DATE)
        if request.body:
            said += b" " + request.body
        if request.path == "/bye":
            headers += ((b"Connection", b"close"),)
        reply = HttpReply(headers=headers, body=said)
        if request.path == "/never":
            self.unanswered.append(answer)
        elif request.path == "/later":
            self.scheduler.call_at(self.scheduler.now_ns() + 5 * MS, lambda: answer(reply))
        else:
            answer(reply)

    def socket(self, request: HttpRequest, socket: ServerSocket) -> EchoSocket | HttpReply:
        self.requests.append(request)
        if request.path != "/stream":
            return HttpReply(status=403, headers=(DATE,), body=b"not here")
        self.sockets.append(socket)
        if request.query == b"hello":
            socket.send_text(b"hello")
        return EchoSocket(self, socket)


class TinyEmulator:
    """`TinyApp` as an emulator, with one fault of its own besides the byte faults."""

    def __init__(self, options: dict[str, str]) -> None:
        self.options = options
        self.bytes = ByteFaults()
        self.grumpy = False

    @property
    def port(self) -> int:
        return 0

    @property
    def faults(self) -> tuple[FaultHelp, ...]:
        return (FaultHelp(name="grumpy", args="", text="says no"), *self.bytes.help)

    def switch(self, fault: str) -> None:
        if fault in {"grumpy", "-grumpy"}:
            self.grumpy = fault == "grumpy"
        elif not self.bytes.switch(fault):
            raise CallerError(f"there is no fault {fault!r}; nothing was switched")

    async def serve(self, *, port: int, scheduler: Scheduler, started: Callable[[Serving], None]) -> None:
        server = Server(TinyApp(scheduler), scheduler=scheduler, faults=self.bytes)

        def up(port: int) -> None:
            notes = {"options": ", ".join(f"{key}={value}" for key, value in self.options.items())}
            addresses = {"rest": f"http://127.0.0.1:{port}", "socket": f"ws://127.0.0.1:{port}/stream"}
            started(Serving(venue=VenueName("tiny"), port=port, addresses=addresses, notes=notes))

        await serve_tcp(server, port=port, started=up)


def open_emulator(options: dict[str, str]) -> TinyEmulator:
    """As an entry point of group `sor.emulators` names it."""
    for name in options:
        if name not in {"synthetic", "tape", "symbol", "speed"}:
            raise CallerError(f"a tiny emulator has no option {name!r}; nothing was started")
    if options.get("symbol") == "NOPE":
        raise CallerError("there is no symbol NOPE here; nothing was started")
    return TinyEmulator(options)


class Bench:
    """A tiny app served over TCP, as long as the block of `tcp_bench`."""

    def __init__(self, server: Server, app: TinyApp, port: int) -> None:
        self.server = server
        self.app = app
        self.port = port


@asynccontextmanager
async def tcp_bench(limits: Limits | None = None) -> AsyncIterator[Bench]:
    """Serve a tiny app on a free port."""
    scheduler = LoopScheduler()
    app = TinyApp(scheduler)
    server = Server(app, scheduler=scheduler, limits=limits)
    ports: list[int] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scheduler.run)
        up = anyio.Event()

        def started(port: int) -> None:
            ports.append(port)
            up.set()

        async def serve() -> None:
            await serve_tcp(server, port=0, started=started)

        tasks.start_soon(serve)
        with anyio.fail_after(PATIENCE_S):
            await up.wait()
        try:
            yield Bench(server, app, ports[0])
        finally:
            scheduler.stop()
            tasks.cancel_scope.cancel()
