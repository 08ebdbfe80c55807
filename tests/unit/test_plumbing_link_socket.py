"""Every pipe of a socket session against a server that misbehaves byte by byte: one table, the same expectations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.abc
import pytest

from sor.errors import CallerError, NotSent
from tests.fakes.byte_server import ByteServer, Connection, Script, serving
from tests.fakes.loop import Backend, LoopClock, backend
from tests.fakes.patience import PATIENCE_S, until
from tests.fakes.sockets import Ear, Raw
from tests.fakes.ws import BINARY, CLOSE, CONT, PING, PONG, TEXT, ServerSocket, accept, frame
from venues.plumbing.backoff import Backoff
from venues.plumbing.frames import Address
from venues.plumbing.link_pipe import StreamPipe
from venues.plumbing.link_socket import LinkSettings, SocketLink
from venues.plumbing.socket import Phase, SocketRules, SocketSession

pytestmark = pytest.mark.anyio

RULES = SocketRules(acks=False, spacing_ns=0, backoff=Backoff(first_ns=1_000_000, most_ns=1_000_000))


class Links:
    """One of the pipes."""

    def __init__(self, name: str) -> None:
        self.name = name

    @asynccontextmanager
    async def opened(
        self, locate: Callable[[], Awaitable[Address]], *, settings: LinkSettings | None = None
    ) -> AsyncIterator[SocketLink | StreamPipe]:
        """A pipe to an address."""
        made: type[SocketLink | StreamPipe] = LINKS[self.name]
        async with made.opened(locate, settings=settings) as link:
            yield link


LINKS = {"anyio": SocketLink, "lean": StreamPipe}


@pytest.fixture(params=["anyio-asyncio", "anyio-trio", "lean-asyncio", "lean-uvloop"])
def way(request: pytest.FixtureRequest) -> str:
    """A pipe and what it runs on."""
    assert isinstance(request.param, str)
    return request.param


@pytest.fixture
def links(way: str) -> Links:
    return Links(way.partition("-")[0])


@pytest.fixture
def anyio_backend(way: str) -> Backend:
    return backend(way.partition("-")[2])


class Rig:
    """A session on a link to a server."""

    def __init__(self, session: SocketSession, ear: Ear, server: ByteServer) -> None:
        self.session = session
        self.ear = ear
        self.server = server


@asynccontextmanager
async def driven(
    links: Links,
    *scripts: Script,
    settings: LinkSettings | None = None,
    rules: SocketRules = RULES,
    topic: str = "a",
    ear: Ear | None = None,
    served: Callable[[], bool] = lambda: True,
) -> AsyncIterator[Rig]:
    """A session on a link that is left with the block; the server goes on until what it was to see is `served`."""
    async with anyio.create_task_group() as tasks, serving(*scripts) as server:

        async def locate() -> Address:
            return Address(f"ws://127.0.0.1:{server.port}/stream?listenKey=secret")

        async with links.opened(locate, settings=settings) as link:
            ear = ear or Ear()
            session = SocketSession(
                rules=rules,
                dialect=Raw(),
                pipe=link,
                listener=ear,
                scheduler=LoopClock(tasks),
                draw=lambda: 0.5,
            )
            session.subscribe("")
            session.subscribe(topic)
            link.drive(session)
            yield Rig(session, ear, server)
            with pytest.raises(CallerError, match="drives one session"):
                link.drive(session)
        assert session.phase is Phase.CLOSED
        await until(served)
        tasks.cancel_scope.cancel()


async def patient(connection: Connection) -> None:
    """Takes the handshake and stays until the client leaves."""
    socket = await ServerSocket.accepted(connection)
    while (got := await socket.next())[0] >= 0:
        if got[0] == CLOSE:
            await connection.send(frame(got[1], CLOSE))
            return


async def test_messages_both_ways_and_a_clean_close(links: Links) -> None:
    frames: list[tuple[int, bytes]] = []

    async def script(connection: Connection) -> None:
        socket = await ServerSocket.accepted(connection)
        await connection.send(frame(b"one") + frame(b"", PING), frame(b"\x1f\x8b", BINARY))
        whole = frame(b"spl", TEXT, fin=False) + frame(b"it", CONT)
        await connection.send(*(whole[at : at + 1] for at in range(len(whole))))
        while True:
            got = await socket.next()
            frames.append(got)
            if got[0] == CLOSE:
                await connection.send(frame(got[1], CLOSE))
                return

    async with driven(links, script, served=lambda: len(frames) == 3) as rig:
        await until(lambda: len(rig.ear.messages) == 3)
    assert rig.ear.messages == [b"one", b"\x1f\x8b", b"split"]
    assert frames == [(TEXT, b"sub a"), (PONG, b""), (CLOSE, b"\x03\xe8")]
    assert rig.ear.told == ["up"]
    assert rig.server.requests[0].startswith(b"GET /stream?listenKey=secret HTTP/1.1\r\n")


async def hangs_up(connection: Connection) -> None:
    await ServerSocket.accepted(connection)


async def resets(connection: Connection) -> None:
    await ServerSocket.accepted(connection)
    await connection.reset()


async def closes(connection: Connection) -> None:
    await ServerSocket.accepted(connection)
    await connection.send(frame(b"\x03\xe9maintenance", CLOSE))
    await connection.request()


async def cuts_a_frame(connection: Connection) -> None:
    await connection.send(accept(await connection.request()) + frame(b"whole") + frame(b"x" * 100)[:50])


async def talks_garbage(connection: Connection) -> None:
    await connection.send(accept(await connection.request()) + b"\xff\xff\xff")
    await connection.request()


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (hangs_up, "the connection ended without a close"),
        (resets, "the connection ended without a close"),
        (closes, "closed by the venue: 1001 maintenance"),
        (cuts_a_frame, "the connection ended without a close"),
        (talks_garbage, "not WebSocket: ProtocolError"),
    ],
)
async def test_every_loss_is_a_gap_and_a_new_connection(links: Links, script: Script, why: str) -> None:
    async with driven(links, script, patient) as rig:
        await until(lambda: rig.ear.told.count("up") == 2)
        assert (*rig.ear.told[:3], *rig.ear.told[4:]) == ("up", "gap ", "gap a", "up")
        assert rig.ear.told[3].startswith((why, "writing failed"))
        assert (rig.server.connections, rig.session.live("a")) == (2, True)


async def extends(connection: Connection) -> None:
    await connection.send(accept(await connection.request()) + b"\xc1" + frame(b"packed")[1:])
    await connection.request()


async def continues_nothing(connection: Connection) -> None:
    await connection.send(accept(await connection.request()) + frame(b"end", CONT))
    await connection.request()


async def never_continues(connection: Connection) -> None:
    await connection.send(accept(await connection.request()) + frame(b"begin", fin=False) + frame(b"another"))
    await connection.request()


async def continues_for_ever(connection: Connection) -> None:
    parts = [frame(b"x" * 400, CONT if number else TEXT, fin=False) for number in range(4)]
    await connection.send(accept(await connection.request()) + b"".join(parts))
    await connection.request()


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (extends, "not WebSocket: ProtocolError"),
        (continues_nothing, "not WebSocket: ProtocolError"),
        (never_continues, "not WebSocket: ProtocolError"),
        (continues_for_ever, "not WebSocket: PayloadTooBig"),
    ],
)
async def test_frames_that_no_message_is_made_of_end_the_connection(links: Links, script: Script, why: str) -> None:
    async with driven(links, script, patient, settings=LinkSettings(message_bytes_max=1_000)) as rig:
        await until(lambda: rig.ear.told.count("up") == 2)
        assert rig.ear.told == ["up", "gap ", "gap a", why, "up"]
        assert rig.ear.messages == []


async def refuses(connection: Connection) -> None:
    await connection.request()
    await connection.send(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n")


async def says_nothing(connection: Connection) -> None:
    await connection.request()


async def test_a_refused_handshake_is_told_with_its_status(links: Links) -> None:
    async with driven(links, refuses, says_nothing, patient) as rig:
        await until(lambda: "up" in rig.ear.told)
        assert rig.ear.told[0] == "the handshake was refused with HTTP 429"
        assert rig.ear.told[1].startswith("the handshake failed: InvalidMessage")
        assert rig.ear.told[2:] == ["up"]


async def test_a_handshake_that_hangs_is_given_up(links: Links) -> None:
    async def hangs(connection: Connection) -> None:
        await connection.request()
        await connection.request()

    quick = SocketRules(connect_ns=100_000_000, backoff=RULES.backoff)
    async with driven(links, hangs, patient, rules=quick) as rig:
        await until(lambda: "up" in rig.ear.told)
        *before, up = rig.ear.told
        assert (set(before), up) == ({"connecting took too long"}, "up")  # a slow machine may not get up at once


async def test_a_venue_that_does_not_read_is_a_lost_connection(links: Links) -> None:
    async def deaf(connection: Connection) -> None:
        await ServerSocket.accepted(connection)
        await anyio.sleep_forever()

    settings = LinkSettings(outgoing_bytes_max=1_000)
    flood = "x" * 20_000_000  # more than the kernel takes
    async with driven(links, deaf, patient, settings=settings, topic=flood) as rig:
        await until(lambda: len(rig.ear.told) >= 4)
        assert rig.ear.told[:3] == ["up", "gap ", f"gap {flood}"]
        assert rig.ear.told[3].endswith("the venue does not read what we write")


async def test_a_message_over_the_limit_ends_the_connection(links: Links) -> None:
    async def floods(connection: Connection) -> None:
        await connection.send(accept(await connection.request()) + frame(b"x" * 2_000))
        await connection.request()

    async with driven(links, floods, patient, settings=LinkSettings(message_bytes_max=1_000)) as rig:
        await until(lambda: rig.ear.told.count("up") == 2)
        assert rig.ear.told[3] == "not WebSocket: PayloadTooBig"


async def test_no_address_no_listener_and_a_wrong_address_are_told_without_secrets(links: Links) -> None:
    async with anyio.create_task_group() as tasks, serving(patient) as server:
        addresses: list[Address | None] = [
            None,
            Address("https://127.0.0.1/?listenKey=secret"),
            Address("ws://sor.invalid/?listenKey=secret"),
            Address("wss://127.0.0.1:1/?listenKey=secret"),
            Address(f"ws://127.0.0.1:{server.port}/"),
        ]

        async def locate() -> Address:
            address = addresses.pop(0)
            if address is None:
                raise NotSent("no listen key")
            return address

        async with links.opened(locate) as link:
            ear = Ear()
            session = SocketSession(
                rules=RULES, dialect=Raw(), pipe=link, listener=ear, scheduler=LoopClock(tasks), draw=lambda: 0.5
            )
            link.drive(session)
            await until(lambda: "up" in ear.told)
        assert ear.told[0] == "no connection: no listen key"
        assert ear.told[1] == "no connection: <127.0.0.1> is no ws:// or wss:// address; nothing was sent"
        assert [text.startswith("no connection: ") for text in ear.told] == [True] * 4 + [False]
        assert "secret" not in "".join(ear.told)
        tasks.cancel_scope.cancel()


async def test_tls_that_fails_is_no_connection(links: Links) -> None:
    async def plain(connection: Connection) -> None:
        await connection.receive()
        await connection.send(b"this is not TLS")

    async with anyio.create_task_group() as tasks, serving(plain) as server:

        async def locate() -> Address:
            return Address(f"wss://127.0.0.1:{server.port}/")

        async with links.opened(locate) as link:
            ear = Ear()
            session = SocketSession(
                rules=RULES, dialect=Raw(), pipe=link, listener=ear, scheduler=LoopClock(tasks), draw=lambda: 0.5
            )
            link.drive(session)
            await until(lambda: len(ear.told) > 0)
            assert ear.told[0].startswith("no connection: SSLError")
        tasks.cancel_scope.cancel()


async def test_closing_does_not_wait_for_a_venue_that_does_not_answer(links: Links) -> None:
    async def mute(connection: Connection) -> None:
        await ServerSocket.accepted(connection)
        await anyio.sleep_forever()

    with anyio.fail_after(PATIENCE_S):
        async with driven(links, mute) as rig:
            await until(lambda: rig.session.live("a"))
    assert rig.ear.told == ["up"]


async def test_a_bug_in_what_listens_is_not_swallowed(links: Links) -> None:
    class Broken(Ear):
        def data(self, topic: str, message: object, recv_ns: int) -> None:
            raise AssertionError(message)

    async def says(connection: Connection) -> None:
        socket = await ServerSocket.accepted(connection)
        await connection.send(frame(b"boo"))
        await socket.next()

    with pytest.raises(ExceptionGroup) as caught:
        async with driven(links, says, ear=Broken()):
            await anyio.sleep_forever()
    assert caught.group_contains(AssertionError, match="boo")
