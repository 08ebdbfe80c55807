"""Every HTTP transport against a server that misbehaves byte by byte: one table of behaviours, the same expectations.

What every case asks: is the outcome right, and is "not sent" said only when the server saw nothing?
"""

from __future__ import annotations

import gzip
import logging
import socket
import time
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from itertools import count

import anyio
import anyio.lowlevel
import msgspec
import pytest

from sor.adapter import Reach
from sor.errors import CallerError
from sor.units import MS, NS
from tests.fakes.byte_server import ByteServer, Connection, Script, serving
from tests.fakes.loop import Backend, LoopClock, backend
from tests.fakes.patience import PATIENCE_S, until
from venues.plumbing.link_httpx import HttpxSettings, HttpxTransport
from venues.plumbing.link_lean import LeanSettings, LeanTransport
from venues.plumbing.transport import Broken, Cause, Header, Outcome, Transport, WireReply, WireRequest, unpacked

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n" + b'{"code":0}'


def order(
    *, within_ms: int = 60_000, target: bytes = b"/order?a=[1]&sig=f00", headers: tuple[Header, ...] = ()
) -> WireRequest:
    return WireRequest(method="POST", target=target, headers=headers, deadline_ns=time.monotonic_ns() + within_ms * MS)


async def ask(transport: Transport, request: WireRequest) -> Outcome:
    outcomes: list[Outcome] = []
    answered = anyio.Event()

    def note(outcome: Outcome) -> None:
        outcomes.append(outcome)
        answered.set()

    transport.send(request, note)
    await answered.wait()
    await anyio.lowlevel.checkpoint()
    assert len(outcomes) == 1
    return outcomes[0]


async def ask_in_time(server: ByteServer, transport: Transport, *, within_ms: int) -> Outcome:
    """With a deadline by which no answer comes. Who did not get as far as sending, on a slow machine, has more time."""
    before = len(server.requests)
    while True:
        outcome = await ask(transport, order(within_ms=within_ms))
        if not isinstance(outcome, Broken) or outcome.reach is not Reach.NOT_SENT:
            return outcome
        assert (outcome.cause, len(server.requests)) == (Cause.TIMEOUT, before)
        within_ms *= 4


def reply(outcome: Outcome) -> tuple[int, bytes]:
    assert isinstance(outcome, WireReply), outcome
    return outcome.status, outcome.body


def broken(outcome: Outcome) -> tuple[Reach, Cause]:
    assert isinstance(outcome, Broken), outcome
    return outcome.reach, outcome.cause


class Link:
    """One of the transports."""

    def __init__(self, name: str) -> None:
        self.name = name

    @asynccontextmanager
    async def opened(self, url: str, **bounds: float) -> AsyncIterator[Transport]:
        """A transport to an address; the bounds that both have are called the same."""
        if self.name == "httpx":
            async with HttpxTransport.opened(
                url, now_ns=time.monotonic_ns, settings=msgspec.convert(bounds, HttpxSettings)
            ) as transport:
                yield transport
            return
        async with anyio.create_task_group() as timers:
            async with LeanTransport.opened(
                url, scheduler=LoopClock(timers), settings=msgspec.convert(bounds, LeanSettings)
            ) as lean:
                yield lean
            timers.cancel_scope.cancel()

    @asynccontextmanager
    async def talking(self, *scripts: Script, **bounds: float) -> AsyncIterator[tuple[ByteServer, Transport]]:
        """A transport to a server of these scripts."""
        async with serving(*scripts) as server, self.opened(server.url, **bounds) as transport:
            yield server, transport


@pytest.fixture(params=["httpx-asyncio", "httpx-trio", "lean-asyncio", "lean-uvloop"])
def way(request: pytest.FixtureRequest) -> str:
    """A transport and what it runs on; the lean one needs connections that are plain calls, which trio has not."""
    assert isinstance(request.param, str)
    return request.param


@pytest.fixture
def link(way: str) -> Link:
    return Link(way.partition("-")[0])


@pytest.fixture
def anyio_backend(way: str) -> Backend:
    return backend(way.partition("-")[2])


def answering(*parts: bytes) -> Script:
    """Answers every request with the same bytes."""

    async def script(connection: Connection) -> None:
        while await connection.request():
            await connection.send(*parts)

    return script


def once(*parts: bytes) -> Script:
    """Answers one request, then closes."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(*parts)

    return script


async def silent(connection: Connection) -> None:
    while await connection.request():
        pass


async def test_bytes_go_out_as_given_and_connections_are_kept(link: Link) -> None:
    async with link.talking(answering(OK)) as (server, transport):
        request = WireRequest(
            method="POST",
            target=b'/order?x=[{"a":1}]&signature=ab%20',
            headers=[(b"X-KEY", b"k"), (b"Content-Type", b"text/plain")],
            body=b"hello",
            deadline_ns=time.monotonic_ns() + 60 * NS,
        )
        outcome = await ask(transport, request)
        assert reply(outcome) == (200, b'{"code":0}')
        assert isinstance(outcome, WireReply)
        assert outcome.header(b"content-type") == b"application/json"
        assert outcome.header(b"absent") is None
        assert 0 < outcome.sent_ns <= outcome.recv_ns <= time.monotonic_ns()
        get = WireRequest(method="GET", target=b"/time", deadline_ns=time.monotonic_ns() + 60 * NS)
        await ask(transport, get)
        await ask(transport, order())
        host = f"127.0.0.1:{server.port}".encode()
        assert server.requests == [
            b'POST /order?x=[{"a":1}]&signature=ab%20 HTTP/1.1\r\nHost: ' + host + b"\r\nX-KEY: k\r\n"
            b"Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
            b"GET /time HTTP/1.1\r\nHost: " + host + b"\r\n\r\n",
            b"POST /order?a=[1]&sig=f00 HTTP/1.1\r\nHost: " + host + b"\r\nContent-Length: 0\r\n\r\n",
        ]
        assert server.connections == 1


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([OK[index : index + 1] for index in range(len(OK))], (200, b'{"code":0}')),
        ([CHUNKED, b'4\r\n{"co\r\n', b'6\r\nde":0}\r\n0\r\n\r\n'], (200, b'{"code":0}')),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK], (200, b'{"code":0}')),
        ([b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nbusy"], (500, b"busy")),
        ([b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"], (302, b"")),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], (204, b"")),
    ],
    ids=["one byte at a time", "chunked", "1xx first", "5xx", "a redirect is not followed", "no body"],
)
async def test_whole_replies_in_any_shape(link: Link, parts: list[bytes], expected: tuple[int, bytes]) -> None:
    async with link.talking(answering(*parts)) as (server, transport):
        assert reply(await ask(transport, order())) == expected
        assert reply(await ask(transport, order())) == expected
        assert (len(server.requests), server.connections) == (2, 1)


async def test_a_body_that_ends_with_the_connection(link: Link) -> None:
    async with link.talking(once(b"HTTP/1.0 200 OK\r\n\r\n", b"till the end")) as (_, transport):
        outcome = await ask(transport, order())
    if link.name == "httpx":
        assert reply(outcome) == (200, b"till the end")
    else:  # the one difference: it may as well be cut off, so the lean one does not believe it
        assert broken(outcome) == (Reach.IN_DOUBT, Cause.GARBLED)


async def test_a_reply_that_comes_drop_by_drop_counts_when_it_is_whole_in_time(link: Link) -> None:
    dropped = [OK[at : at + 8] for at in range(0, len(OK), 8)]
    asked = count(1)

    async def script(connection: Connection) -> None:
        while await connection.request():
            await connection.send(*(dropped if next(asked) == 1 else dropped[:-1]))

    async with link.talking(script) as (server, transport):
        assert reply(await ask(transport, order())) == (200, b'{"code":0}')
        assert broken(await ask_in_time(server, transport, within_ms=15)) == (Reach.IN_DOUBT, Cause.TIMEOUT)
        assert len(server.requests) == 2


@pytest.mark.parametrize("stray", [OK, OK[:20], b"\r\n", b"\x00"])
async def test_what_nobody_asked_for_is_never_taken_for_an_answer(link: Link, stray: bytes) -> None:
    other = OK.replace(b'"code":0', b'"code":7')

    async with link.talking(answering(OK + stray), answering(other)) as (server, transport):
        assert reply(await ask(transport, order())) == (200, b'{"code":0}')
        assert reply(await ask(transport, order())) == (200, b'{"code":7}')
        assert server.connections == 2


async def test_what_comes_on_an_idle_connection_ends_it(link: Link) -> None:
    other = OK.replace(b'"code":0', b'"code":7')
    answered, said = anyio.Event(), anyio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK)
        await answered.wait()
        await connection.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        said.set()
        await connection.request()

    async with link.talking(script, answering(other)) as (server, transport):
        assert reply(await ask(transport, order())) == (200, b'{"code":0}')
        answered.set()
        await said.wait()
        await server.parted(0)
        assert reply(await ask(transport, order())) == (200, b'{"code":7}')
        assert server.connections == 2


@pytest.mark.parametrize("head", [b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 200 OK\r\nConnection: close\r\n"])
async def test_a_connection_that_is_to_be_closed_is_not_used_again(link: Link, head: bytes) -> None:
    async with link.talking(answering(head + b"Content-Length: 2\r\n\r\nok")) as (server, transport):
        assert reply(await ask(transport, order())) == (200, b"ok")
        assert reply(await ask(transport, order())) == (200, b"ok")
        assert server.connections == 2


def packed(encoding: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s" % (encoding, len(body), body)


@pytest.mark.parametrize(
    "body", [packed(b"gzip", gzip.compress(b"abc", mtime=0)), packed(b"deflate", zlib.compress(b"abc"))]
)
async def test_packed_bodies_are_unpacked(link: Link, body: bytes) -> None:
    async with link.talking(answering(body)) as (_, transport):
        assert reply(await ask(transport, order())) == (200, b"abc")


@pytest.mark.parametrize(
    ("parts", "cause"),
    [
        ([], Cause.CUT_OFF),
        ([OK[:20]], Cause.CUT_OFF),
        ([OK[:-3]], Cause.CUT_OFF),
        ([CHUNKED + b'4\r\n{"co\r\n'], Cause.CUT_OFF),
        ([b"\x00\x01 this is not HTTP \r\n\r\n"], Cause.GARBLED),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"], Cause.GARBLED),
        ([CHUNKED + b"xyz\r\nabc"], Cause.GARBLED),
        ([packed(b"gzip", b"not gzip")], Cause.GARBLED),
        ([packed(b"gzip", gzip.compress(b"abc", mtime=0)[:-4])], Cause.GARBLED),
        ([packed(b"br", b"abc")], Cause.GARBLED),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + b"x" * 9999], Cause.GARBLED),
        ([CHUNKED + b"2000\r\n" + b"x" * 8192 + b"\r\n", b"2000\r\n" + b"x" * 8192], Cause.GARBLED),
        ([packed(b"gzip", gzip.compress(b"x" * 9999, mtime=0))], Cause.GARBLED),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000], Cause.GARBLED),
    ],
    ids=[
        "closed before the reply",
        "closed in the status line",
        "closed in the body",
        "closed in a chunk",
        "garbage",
        "garbage for a length",
        "garbage for a chunk",
        "not gzip",
        "half of a gzip",
        "an encoding nobody asked for",
        "too large",
        "too large in the end",
        "a bomb",
        "endless headers",
    ],
)
@pytest.mark.parametrize("proven", [False, True])
async def test_after_a_byte_has_left_anything_but_a_whole_reply_is_in_doubt(
    link: Link, parts: list[bytes], cause: Cause, *, proven: bool
) -> None:
    scripts = [once(OK), once(*parts), answering(OK)] if proven else [once(*parts), answering(OK)]
    async with link.talking(*scripts, reply_bytes_max=5_000) as (server, transport):
        if proven:
            assert reply(await ask(transport, order())) == (200, b'{"code":0}')
            await server.parted(1)
        assert broken(await ask(transport, order())) == (Reach.IN_DOUBT, cause)
        assert len(server.requests) == 1 + proven  # and it was sent once
        assert reply(await ask(transport, order())) == (200, b'{"code":0}')


@pytest.mark.parametrize("said", [b"", OK[:30]])
async def test_a_reset_is_in_doubt(link: Link, said: bytes) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(said)
        await connection.reset()

    async with link.talking(script) as (server, transport):
        assert broken(await ask(transport, order())) == (Reach.IN_DOUBT, Cause.CUT_OFF)
        assert len(server.requests) == 1


@pytest.mark.parametrize("said", [b"", OK[:30], OK[:-1]])
async def test_a_reply_that_is_late_or_stops_is_in_doubt_at_the_deadline(link: Link, said: bytes) -> None:
    asked: list[Connection] = []

    async def script(connection: Connection) -> None:
        while await connection.request():
            asked.append(connection)
            await connection.send(said if len(asked) == 1 else OK)

    async with link.talking(script) as (server, transport):
        assert broken(await ask_in_time(server, transport, within_ms=30)) == (Reach.IN_DOUBT, Cause.TIMEOUT)
        assert reply(await ask(transport, order())) == (200, b'{"code":0}')
        assert (len(asked), asked[0] is asked[1]) == (2, False)  # the late reply has no one to confuse


async def test_a_kept_connection_that_was_closed_meanwhile_is_replaced(link: Link) -> None:
    async with link.talking(once(OK), answering(OK)) as (server, transport):
        assert reply(await ask(transport, order())) == (200, b'{"code":0}')
        await server.parted(1)
        assert reply(await ask(transport, order())) == (200, b'{"code":0}')
        assert server.connections == 2


async def test_a_kept_connection_that_closes_as_we_send_is_in_doubt(link: Link) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK)
        await connection.stream.receive()  # has read it, perhaps acted, and closes without a word

    async with link.talking(script) as (_, transport):
        assert reply(await ask(transport, order())) == (200, b'{"code":0}')
        assert broken(await ask(transport, order())) == (Reach.IN_DOUBT, Cause.CUT_OFF)


async def test_nobody_listens(link: Link) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # and does not listen; nobody else gets the port meanwhile
        async with link.opened(f"http://127.0.0.1:{deaf.getsockname()[1]}") as transport:
            assert broken(await ask(transport, order())) == (Reach.NOT_SENT, Cause.UNREACHABLE)


async def test_a_name_that_does_not_exist(link: Link) -> None:
    async with link.opened("http://sor.invalid") as transport:
        assert broken(await ask(transport, order())) == (Reach.NOT_SENT, Cause.UNREACHABLE)


async def test_tls_that_fails_has_sent_no_byte_of_the_request(link: Link) -> None:
    async def script(connection: Connection) -> None:
        await connection.receive()
        await connection.send(b"this is not TLS")

    async with serving(script) as server:
        address = f"https://127.0.0.1:{server.port}"
        async with link.opened(address) as transport:
            assert broken(await ask(transport, order())) == (Reach.NOT_SENT, Cause.UNREACHABLE)
        assert not server.requests


@pytest.mark.parametrize(
    ("patience_s", "within_ms", "cause"), [(0.01, 60_000, Cause.UNREACHABLE), (60.0, 50, Cause.TIMEOUT)]
)
async def test_a_connect_that_hangs_is_not_sent(link: Link, patience_s: float, within_ms: int, cause: Cause) -> None:
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # nobody accepts them: the queue is full and the next SYN goes unanswered
            each = stack.enter_context(socket.socket())
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        address = f"http://127.0.0.1:{full.getsockname()[1]}"
        async with link.opened(address, connect_timeout_s=patience_s) as transport:
            assert broken(await ask(transport, order(within_ms=within_ms))) == (Reach.NOT_SENT, cause)


async def test_who_waits_for_a_connection_has_not_been_sent(link: Link) -> None:
    waited = anyio.Event()

    async def holds(connection: Connection) -> None:
        await connection.request()
        await waited.wait()

    async with link.talking(holds, connections_max=1, waiting_max=1) as (server, transport):
        outcomes: list[Outcome] = []
        transport.send(order(within_ms=60_000), outcomes.append)
        await until(lambda: len(server.requests) == 1)
        transport.send(order(within_ms=10), outcomes.append)
        transport.send(order(), outcomes.append)
        assert [broken(each) for each in outcomes] == [(Reach.NOT_SENT, Cause.CROWDED)]
        await until(lambda: len(outcomes) == 2)
        waited.set()
        await until(lambda: len(outcomes) == 3)
        assert [broken(each) for each in outcomes[1:]] == [
            (Reach.NOT_SENT, Cause.TIMEOUT),
            (Reach.IN_DOUBT, Cause.CUT_OFF),
        ]
        assert len(server.requests) == 1


async def test_who_waited_may_no_longer_leave(link: Link) -> None:
    """Neither after its time to leave, nor where it is told so: the connection is the next one's, and no byte left."""
    async with link.talking(answering(OK), connections_max=1) as (server, transport):
        outcomes: dict[bytes, Outcome] = {}

        def note(name: bytes) -> Callable[[Outcome], None]:
            return lambda outcome: outcomes.update({name: outcome})

        requests = [order(target=b"/%d" % number) for number in range(4)]
        requests[1].leave_by_ns = time.monotonic_ns()
        requests[2].may_leave = lambda: False
        for request in requests:
            transport.send(request, note(request.target))
        await until(lambda: len(outcomes) == 4)
        assert reply(outcomes[b"/0"]) == reply(outcomes[b"/3"]) == (200, b'{"code":0}')
        not_sent = (Reach.NOT_SENT, Cause.TIMEOUT)
        assert broken(outcomes[b"/1"]) == broken(outcomes[b"/2"]) == not_sent
        assert sorted(each.split()[1] for each in server.requests) == [b"/0", b"/3"]


async def test_who_waits_gets_the_next_free_connection_in_turn(link: Link) -> None:
    async with link.talking(answering(OK), connections_max=2) as (server, transport):
        outcomes: list[Outcome] = []
        for number in range(20):
            transport.send(order(target=b"/%d" % number), outcomes.append)
        await until(lambda: len(outcomes) == 20)
        assert [reply(each) for each in outcomes] == [(200, b'{"code":0}')] * 20
        assert server.connections == 2
        assert sorted(int(each.split()[1][1:]) for each in server.requests) == list(range(20))


async def test_closing_answers_everybody(link: Link) -> None:
    outcomes: list[Outcome] = []
    async with serving(silent) as server:
        async with link.opened(server.url, connections_max=1) as transport:
            transport.send(order(), outcomes.append)
            transport.send(order(), outcomes.append)
            await until(lambda: bool(server.requests))
        transport.send(order(), outcomes.append)
    assert sorted(broken(each) for each in outcomes) == [
        (Reach.IN_DOUBT, Cause.CLOSED),
        (Reach.NOT_SENT, Cause.CLOSED),
        (Reach.NOT_SENT, Cause.CLOSED),
    ]


async def test_a_bug_of_who_is_told_ends_the_transport(link: Link) -> None:
    def stumbles(outcome: Outcome) -> None:
        raise ZeroDivisionError("a bug")

    async def used() -> None:
        async with link.talking(answering(OK)) as (_, transport):
            transport.send(order(), stumbles)
            with anyio.fail_after(PATIENCE_S):
                await anyio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await used()
    assert caught.group_contains(ZeroDivisionError, match="a bug")


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        (b"/a b", ()),
        (b"/a\r\nX: y", ()),
        (b"a", ()),
        (b"/\xff", ()),
        (b"/", ((b"X-KEY", b"secret\r\nX: y"),)),
        (b"/", ((b"X KEY", b"y"),)),
        (b"/", ((b"", b"y"),)),
        (b"/", ((b"X-KEY", b"secret "),)),
    ],
)
async def test_what_is_not_http_is_not_sent_and_not_quoted(
    link: Link, target: bytes, headers: tuple[Header, ...]
) -> None:
    async with link.talking(answering(OK)) as (server, transport):
        outcome = await ask(transport, order(target=target, headers=headers))
        assert broken(outcome) == (Reach.NOT_SENT, Cause.UNSENDABLE)
        assert "secret" not in repr(outcome)
        assert server.connections == 0


async def test_nothing_secret_is_logged_or_shown(link: Link, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with link.talking(answering(OK)) as (_, transport):
        request = order(target=b"/key?listenKey=secret", headers=((b"X-KEY", b"secret"),))
        outcome = await ask(transport, request)
        assert repr(request) == "<POST b'/key' with 16 bytes of query and 0 of body>"
        assert repr(outcome) == "<HTTP 200 with 10 bytes of body>"
    assert "secret" not in caplog.text


@pytest.mark.parametrize("address", ["ftp://x", "http://x/path", "http://user:secret@x", "x"])
async def test_base_addresses_name_a_host_and_nothing_else(link: Link, address: str) -> None:
    with pytest.raises((CallerError, ExceptionGroup)) as caught:
        async with HttpxTransport.opened(address, now_ns=time.monotonic_ns):
            pass
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "encoding", "plain"),
    [
        (b"abc", None, b"abc"),
        (b"abc", b"identity", b"abc"),
        (gzip.compress(b"a" * 10, mtime=0), b"gzip", b"a" * 10),
        (gzip.compress(b"a" * 11, mtime=0), b"gzip", None),
    ],
)
def test_unpacking_is_bounded(body: bytes, encoding: bytes | None, plain: bytes | None) -> None:
    assert unpacked(body, encoding, bytes_max=10) == plain
