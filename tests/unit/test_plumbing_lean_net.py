"""The lean links of a session over TCP: requests and a socket, opened here and closed there."""

from __future__ import annotations

import anyio
import pytest

from sor.adapter import Reach
from sor.errors import CallerError, NotSent
from tests.fakes.byte_server import Connection, serving
from tests.fakes.loop import Backend, LoopClock, backend
from tests.fakes.patience import until
from tests.fakes.sockets import Ear, Raw
from tests.fakes.ws import ServerSocket, frame
from venues.bingx.adapter import open_venue
from venues.bingx.options import TransportKind, read
from venues.plumbing.frames import Address
from venues.plumbing.link_lean_net import LeanLinks
from venues.plumbing.socket import SocketRules, SocketSession
from venues.plumbing.transport import Broken, Cause, Outcome, WireReply, WireRequest

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    return backend(request.param)


async def answers(connection: Connection) -> None:
    """A request, or a socket that says one thing and listens."""
    if (await connection.request()).startswith(b"POST"):
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await connection.request()


async def speaks(connection: Connection) -> None:
    socket = await ServerSocket.accepted(connection)
    await connection.send(frame(b"hello"))
    while (await socket.next())[0] >= 0:
        pass


def order(scheduler: LoopClock) -> WireRequest:
    return WireRequest(method="POST", target=b"/o", deadline_ns=scheduler.now_ns() + 5_000_000_000)


async def test_requests_and_a_socket_share_one_life() -> None:
    lost: list[str] = []
    outcomes: list[Outcome] = []
    ear = Ear()
    async with anyio.create_task_group() as tasks, serving(answers, speaks) as server:
        scheduler = LoopClock(tasks)
        links = LeanLinks()
        with pytest.raises(CallerError, match="not open"):
            links.carrier(lambda: Address("ws://x"))
        transport = await links.open(server.url, scheduler=scheduler, lost=lost.append)
        with pytest.raises(CallerError, match="open already"):
            await links.open(server.url, scheduler=scheduler, lost=lost.append)
        transport.send(order(scheduler), outcomes.append)
        await until(lambda: bool(outcomes))
        addresses = [f"ws://127.0.0.1:{server.port}/"]

        def locate() -> Address:
            if not addresses:
                raise NotSent("no listen key")
            return Address(addresses.pop())

        pipe = links.carrier(locate)
        session = SocketSession(
            rules=SocketRules(acks=False), dialect=Raw(), pipe=pipe, listener=ear, scheduler=scheduler, draw=lambda: 0.5
        )
        session.subscribe("")
        pipe.drive(session)
        await until(lambda: bool(ear.messages))
        session.close()
        await links.close()
        await links.close()
        transport.send(order(scheduler), outcomes.append)
        tasks.cancel_scope.cancel()
    assert isinstance(outcomes[0], WireReply)
    assert isinstance(outcomes[1], Broken)
    assert (outcomes[1].reach, outcomes[1].cause) == (Reach.NOT_SENT, Cause.CLOSED)
    assert (ear.told, ear.messages, lost) == (["up"], [b"hello"], [])


async def test_an_address_with_a_path_is_refused() -> None:
    async with anyio.create_task_group() as tasks:
        with pytest.raises(CallerError, match="base address"):
            await LeanLinks().open("http://127.0.0.1:1/path", scheduler=LoopClock(tasks), lost=print)


def test_bingx_takes_them_by_option() -> None:
    assert read({"transport": "lean"}).transport is TransportKind.LEAN
    assert read({}).transport is TransportKind.HTTPX
    assert open_venue({"transport": "lean"}).name == "bingx"
    with pytest.raises(CallerError, match="transport"):
        read({"transport": "quic"})
