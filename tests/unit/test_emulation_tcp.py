"""The emulator core over TCP, judged by clients that were not written here."""

import socket
from collections.abc import Callable

import anyio
import anyio.abc
import anyio.to_thread
import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from sor.clock import LoopScheduler
from sor.errors import CallerError
from tests.fakes.patience import PATIENCE_S, until
from tests.fakes.raw_client import GET, UPGRADE, masked, reply
from tests.fakes.tiny_emulator import TinyApp, tcp_bench
from venues.emulation.app import HttpReply
from venues.emulation.faults import Aim, Chunked, CloseOnReuse, CutOff, HalfOpen, Hits, Interim, Pieces, Reset
from venues.emulation.link_tcp import serve_tcp
from venues.emulation.server import Limits, Server

pytestmark = pytest.mark.anyio


def client(port: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE_S)


async def test_httpx(anyio_backend: str) -> None:
    """A real client's requests, on connections it keeps, several at once."""
    async with tcp_bench() as bench, client(bench.port) as http:
        got = await http.get("/a%2Fb?sign=%7B&b=1")
        assert (got.status_code, got.text) == (200, "GET /a%2Fb?sign=%7B&b=1")
        assert got.headers["date"] == "Thu, 01 Jan 1970 00:00:00 GMT"
        assert (await http.post("/o", content=b"x" * 100_000)).text == f"POST /o {'x' * 100_000}"
        assert (await http.put("/o", json={"a": 1})).text == 'PUT /o {"a":1}'
        assert (await http.post("/o", content=b"x" * 2_000_000)).status_code == 413
        head = await http.head("/o")
        assert (head.content, head.headers["content-length"]) == (b"", "7")
        found: list[str] = []

        async def ask(path: str) -> None:
            found.append((await http.get(path)).text)

        async with anyio.create_task_group() as tasks:
            for no in range(10):
                tasks.start_soon(ask, f"/later?{no}")
        assert sorted(found) == [f"GET /later?{no}" for no in range(10)]


async def test_httpx_and_faults(anyio_backend: str) -> None:
    """What cannot be told from a good reply is a good reply; the rest is the error that it should be."""
    async with tcp_bench() as bench, client(bench.port) as http:
        faults = bench.server.faults
        for harmless in (Pieces(3), Chunked(4), Interim(103, 3), Pieces(40, gap_ms=1)):
            faults.arm(harmless)
            assert (await http.get("/a")).text == "GET /a"
        faults.arm(CloseOnReuse())
        assert (await http.get("/a")).text == "GET /a"
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            await http.get("/b")
        assert [one.target for one in bench.app.requests][-1] == b"/a"
        faults.arm(CutOff(after_bytes=110))
        with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"):
            await http.get("/abcdefgh")
        for after_bytes in (0, 30):
            faults.arm(Reset(after_bytes=after_bytes))
            with pytest.raises(httpx.ReadError):
                await http.get("/a")
        faults.arm(HalfOpen())
        with pytest.raises(httpx.ReadTimeout):
            await http.get("/a", timeout=httpx.Timeout(PATIENCE_S, read=0.05))
        assert (await http.get("/a")).text == "GET /a"


async def rest_of(stream: anyio.abc.ByteReceiveStream) -> bytes:
    """All that comes before the end, which is no reset."""
    got = bytearray()
    with anyio.fail_after(PATIENCE_S):
        async for data in stream:
            got += data
    return bytes(got)


async def in_thread(work: Callable[[], None]) -> None:
    with anyio.fail_after(PATIENCE_S):
        await anyio.to_thread.run_sync(work)


async def test_websockets(anyio_backend: str) -> None:
    """A real client's session."""
    async with tcp_bench() as bench:

        def session() -> None:
            with connect(f"ws://127.0.0.1:{bench.port}/stream?hello", proxy=None) as socket:
                assert socket.recv() == "hello"
                for message in ("a", "ß" * 70_000, b"\x00" * 70_000, b""):
                    socket.send(message)
                    assert socket.recv() == message
                socket.send(iter(["one ", "two ", "three"]))
                assert socket.recv() == "one two three"
                assert socket.ping().wait(PATIENCE_S)
                socket.send("ping")  # and the app's ping is answered
                socket.send("last")
                assert socket.recv() == "last"
            with connect(f"ws://127.0.0.1:{bench.port}/stream", proxy=None) as socket:
                socket.send("close")
                with pytest.raises(ConnectionClosed) as caught:
                    socket.recv()
                assert caught.value.rcvd is not None
                assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4001, "as asked")
            with pytest.raises(InvalidStatus, match="403"):
                connect(f"ws://127.0.0.1:{bench.port}/other", proxy=None)

        await in_thread(session)
        assert bench.app.pongs == [b"there?"]
        assert bench.app.closed == ["closed by the client: 1000"]


async def test_websockets_and_faults(anyio_backend: str) -> None:
    """1006, as a client sees a socket that goes without a word."""
    async with tcp_bench() as bench:

        def lose() -> None:
            with connect(f"ws://127.0.0.1:{bench.port}/stream", proxy=None) as socket:
                socket.send("hello")
                with pytest.raises(ConnectionClosed) as caught:
                    socket.recv()
                assert caught.value.rcvd is None

        for fault in (CutOff(), CutOff(after_bytes=3), Reset(), Reset(after_bytes=3)):
            bench.server.faults.arm(fault, Aim(hits=Hits.MESSAGE))
            await in_thread(lose)
        await until(lambda: len(bench.app.closed) == 4)
        assert bench.app.closed == [*["cut off by a fault"] * 2, *["reset by a fault"] * 2]

        def deaf() -> None:
            with connect(f"ws://127.0.0.1:{bench.port}/stream", proxy=None, close_timeout=0.05) as socket:
                socket.send("hello")
                with pytest.raises(TimeoutError):
                    socket.recv(timeout=0.05)

        bench.server.faults.arm(HalfOpen(), Aim(hits=Hits.MESSAGE))
        await in_thread(deaf)
        assert len(bench.app.closed) == 4


async def test_a_port_that_cannot_be_had(anyio_backend: str) -> None:
    scheduler = LoopScheduler()
    server = Server(TinyApp(scheduler), scheduler=scheduler)
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        with pytest.raises(CallerError, match=f"port {port} on 127.0.0.1 cannot be had: .*; nothing was started"):
            await serve_tcp(server, port=port, started=lambda _: None)
    with pytest.raises(CallerError, match="there is no such port"):
        await serve_tcp(server, port=65_536, started=lambda _: None)


async def test_what_stands_when_it_stops(anyio_backend: str) -> None:
    """Connections end, the app is told, and the port is free."""
    async with tcp_bench() as bench:
        stream = await anyio.connect_tcp("127.0.0.1", bench.port)
        await stream.send(UPGRADE)
        await stream.receive()
        idle = await anyio.connect_tcp("127.0.0.1", bench.port)
        await until(lambda: len(bench.app.sockets) == 1)
    for each in (stream, idle):
        with anyio.fail_after(PATIENCE_S), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await each.receive()
        await each.aclose()
    assert bench.app.closed == ["the server stopped"]
    scheduler = LoopScheduler()
    ports: list[int] = []
    with anyio.CancelScope() as scope:

        def started(port: int) -> None:
            ports.append(port)
            scope.cancel()

        await serve_tcp(Server(TinyApp(scheduler), scheduler=scheduler), port=bench.port, started=started)
    assert ports == [bench.port]


async def test_connections_beyond_the_bound_wait(anyio_backend: str) -> None:
    async with tcp_bench(Limits(connections_max=2)) as bench:
        streams = [await anyio.connect_tcp("127.0.0.1", bench.port) for _ in range(3)]
        for stream in streams:
            await stream.send(GET % b"/never")
        await until(lambda: len(bench.app.unanswered) == 2)
        for answer in tuple(bench.app.unanswered):
            answer(HttpReply(headers=((b"Connection", b"close"),)))
        for stream in streams[:2]:
            assert (await stream.receive()).startswith(b"HTTP/1.1 200 OK\r\n")
            await stream.aclose()
        await until(lambda: len(bench.app.unanswered) == 3)
        await streams[2].aclose()


async def test_a_reader_that_is_slow_and_one_that_never_reads(anyio_backend: str) -> None:
    """What the system does not take waits its turn, a close behind it; beyond the bound the connection is reset."""
    async with tcp_bench(Limits(held_bytes_max=8_000_000)) as bench:
        stream = await anyio.connect_tcp("127.0.0.1", bench.port)
        await stream.send(GET % b"/never")
        await until(lambda: len(bench.app.unanswered) == 1)
        bench.app.unanswered[0](HttpReply(body=b"a" * 8_000_000, headers=((b"Connection", b"close"),)))
        got = await rest_of(stream)
        assert got.endswith(b"\r\n\r\n" + b"a" * 8_000_000)
        await stream.aclose()

        stream = await anyio.connect_tcp("127.0.0.1", bench.port)
        await stream.send(UPGRADE)
        await until(lambda: len(bench.app.sockets) == 1)
        for _ in range(20):
            bench.app.sockets[0].send_binary(b"a" * 1_000_000)
        await until(lambda: bench.app.closed == ["the client does not read"])
        await stream.aclose()


async def test_an_answer_is_not_lost_to_what_is_still_being_sent(anyio_backend: str) -> None:
    """A refusal comes before the body is through; closing with bytes unread would reset it away."""
    async with tcp_bench() as bench:
        stream = await anyio.connect_tcp("127.0.0.1", bench.port)
        await stream.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99000000\r\n\r\n")
        for _ in range(20):
            await stream.send(b"a" * 100_000)
        assert (await rest_of(stream)).startswith(b"HTTP/1.1 413 ")
        await stream.aclose()


async def test_pieces_leave_as_pieces(anyio_backend: str) -> None:
    async with tcp_bench() as bench:
        whole = reply(b"GET /echo")
        got: list[bytes] = []
        for gap_ms in (20, 200, 2_000):  # who does not look for as long as a gap finds two at once, and looks again
            bench.server.faults.arm(Pieces(50, gap_ms=gap_ms))
            stream = await anyio.connect_tcp("127.0.0.1", bench.port)
            await stream.send(GET % b"/echo")
            got = []
            while len(b"".join(got)) < len(whole):
                got.append(await stream.receive())
            await stream.aclose()
            if len(got) == 3:
                break
        assert got == [whole[:50], whole[50:100], whole[100:]]


async def test_a_reset_by_the_client_is_told(anyio_backend: str) -> None:
    async with tcp_bench() as bench:
        with socket.create_connection(("127.0.0.1", bench.port)) as raw:
            raw.sendall(UPGRADE + masked(b"hello"))
            await until(lambda: len(bench.app.messages) == 1)
            # Bytes of ours that it has not read turn its close into a reset.
        await until(lambda: len(bench.app.closed) == 1)
        assert bench.app.closed == ["reset by the client"]
