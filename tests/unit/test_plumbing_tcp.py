"""The bottom of both transports: asyncio's protocol as a byte stream, and anyio's stream in httpcore's words."""

from __future__ import annotations

import asyncio
import time

import anyio
import httpcore
import pytest

from tests.fakes.byte_server import Connection, serving
from tests.fakes.loop import Backend, backend
from tests.fakes.patience import until
from venues.plumbing.bytestream import ByteStream
from venues.plumbing.link_httpx import Line
from venues.plumbing.link_tcp import TcpNet, TcpStream


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Backend:
    return backend(request.param)


class FakeTransport(asyncio.Transport):
    """What asyncio would hand to a protocol."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.told.append(f"limit {high}")

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.told.append(f"write {bytes(data).decode()}")

    def close(self) -> None:
        self.told.append("close")

    def abort(self) -> None:
        self.told.append("abort")


class Ear:
    """A `ByteListener` that notes, and stumbles where it is told to."""

    def __init__(self, stumble: str = "") -> None:
        self.told: list[str] = []
        self._stumble = stumble

    def connected(self, stream: ByteStream) -> None:
        self._note("connected")

    def received(self, data: bytes) -> None:
        self._note(f"received {data.decode()}")

    def ended(self, why: str, *, never_connected: bool) -> None:
        self._note(f"ended {why} {never_connected}")

    def _note(self, text: str) -> None:
        self.told.append(text)
        if self._stumble and text.startswith(self._stumble):
            raise ZeroDivisionError(text)


async def stream_to(ear: Ear) -> tuple[TcpNet, TcpStream, FakeTransport]:
    net = TcpNet(tls=None, timeout_s=1.0, outgoing_bytes_max=7)
    stream, transport = TcpStream(ear, net), FakeTransport()
    stream.connection_made(transport)
    return net, stream, transport


def test_a_connection_from_its_beginning_to_its_end() -> None:
    async def run() -> None:
        ear = Ear()
        net, stream, transport = await stream_to(ear)
        stream.data_received(b"a")
        stream.write(b"b")
        stream.connection_lost(ConnectionResetError())
        stream.write(b"nowhere")
        stream.abort()
        await net.aclose()
        assert ear.told == ["connected", "received a", "ended ConnectionResetError False"]
        assert transport.told == ["limit 7", "write b"]

    asyncio.run(run())


def test_a_venue_that_does_not_read_is_lost_and_the_reason_is_told() -> None:
    async def run() -> None:
        ear = Ear()
        net, stream, transport = await stream_to(ear)
        stream.pause_writing()
        stream.connection_lost(None)
        await net.aclose()
        assert ear.told == ["connected", "ended the venue does not read what we write False"]
        assert transport.told == ["limit 7", "abort"]

    asyncio.run(run())


@pytest.mark.parametrize("way", ["close", "abort"])
def test_who_ends_a_connection_hears_nothing_more_of_it(way: str) -> None:
    async def run() -> None:
        ear = Ear()
        net, stream, transport = await stream_to(ear)
        if way == "close":
            stream.close()
        else:
            stream.abort()
        stream.data_received(b"late")
        stream.connection_lost(None)
        await net.aclose()
        assert (ear.told, transport.told) == (["connected"], ["limit 7", way])

    asyncio.run(run())


@pytest.mark.parametrize("stumble", ["connected", "received", "ended"])
def test_what_a_listener_raises_is_raised_to_who_made_the_net(stumble: str) -> None:
    async def run() -> None:
        net, stream, _ = await stream_to(Ear(stumble))
        stream.data_received(b"a")
        stream.connection_lost(None)
        with pytest.raises(ZeroDivisionError, match=stumble):
            await net.watch()
        await net.aclose()

    asyncio.run(run())


@pytest.mark.anyio
async def test_a_line_notes_its_first_byte_and_what_came_unasked() -> None:
    async def script(connection: Connection) -> None:
        assert await connection.receive() == b"ab"
        await connection.send(b"c")
        await connection.receive()

    async with serving(script) as server:
        line = Line(await anyio.connect_tcp("127.0.0.1", server.port), time.monotonic_ns)
        assert (line.sent_ns, line.get_extra_info("is_readable")) == (0, False)
        await line.write(b"")
        assert line.sent_ns == 0
        await line.write(b"ab")
        assert 0 < line.sent_ns <= time.monotonic_ns()
        await until(lambda: line.get_extra_info("is_readable") is True)
        assert await line.read(10) == b"c"
        assert line.get_extra_info("server_addr") is None
        await line.aclose()
        with pytest.raises(httpcore.WriteError):
            await line.write(b"x")
        with pytest.raises(httpcore.ReadError):
            await line.read(10)
