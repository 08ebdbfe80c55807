"""HTTP/1.1 of the emulator core, in bytes."""

from collections.abc import Mapping
from http import HTTPStatus
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.raw_client import (
    CLOSED,
    GET,
    OPEN,
    RESET,
    SWITCHED,
    UPGRADE,
    MemoryBench,
    Recorder,
    masked,
    reply,
)
from venues.emulation.app import HttpReply, HttpRequest
from venues.emulation.server import Limits

SMALL = Limits(head_bytes_max=400, body_bytes_max=20, message_bytes_max=20, ahead_bytes_max=100, connections_max=2)
CLOSE = b"Connection: close\r\n"
TOO_LARGE = b"413 " + HTTPStatus(413).phrase.encode()  # which Python 3.13 renamed
FIRST_SECOND = b"Date: Thu, 01 Jan 1970 00:00:01 GMT\r\n"


def post(body: bytes, *headers: bytes) -> bytes:
    return b"POST /o HTTP/1.1\r\nHost: x\r\n" + b"".join(one + b"\r\n" for one in headers) + b"\r\n" + body


def refused(status: bytes, why: bytes) -> bytes:
    """What cannot be read gets an answer in plain text, and the connection ends."""
    return (
        b"HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n" % status
        + FIRST_SECOND
        + b"Content-Length: %d\r\n\r\n%s\n" % (len(why) + 1, why)
    )


def odd(status: bytes, body: bytes, head: bytes = b"") -> bytes:
    """A handshake that is none; the connection goes on."""
    return b"HTTP/1.1 %s\r\n%s" % (status, head) + FIRST_SECOND + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


TABLE: Mapping[str, tuple[bytes, bytes, str]] = {
    "plain": (GET % b"/echo", reply(b"GET /echo"), OPEN),
    "nothing is decoded": (GET % b"/a%2Fb?b=%7B&a=1&a=&x", reply(b"GET /a%2Fb?b=%7B&a=1&a=&x"), OPEN),
    "absolute form": (GET % b"http://x/echo?a", reply(b"GET http://x/echo?a"), OPEN),
    "any method": (b"DELETE /o HTTP/1.1\r\nHost: x\r\n\r\n", reply(b"DELETE /o"), OPEN),
    "body": (post(b"abc", b"Content-Length: 3"), reply(b"POST /o abc"), OPEN),
    "empty body": (post(b"", b"Content-Length: 0"), reply(b"POST /o"), OPEN),
    "chunks": (
        post(b"2\r\nab\r\n1;x=y\r\nc\r\n0\r\nX: y\r\n\r\n", b"Transfer-Encoding: chunked"),
        reply(b"POST /o abc"),
        OPEN,
    ),
    "100-continue": (
        post(b"abc", b"Expect: 100-continue", b"Content-Length: 3"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + reply(b"POST /o abc"),
        OPEN,
    ),
    "HEAD": (b"HEAD /o HTTP/1.1\r\nHost: x\r\n\r\n", reply(b"HEAD /o")[: -len(b"HEAD /o")], OPEN),
    "pipelined": (
        GET % b"/1" + GET % b"/2" + GET % b"/3",
        reply(b"GET /1") + reply(b"GET /2") + reply(b"GET /3"),
        OPEN,
    ),
    "pipelined, the first is late": (GET % b"/later" + GET % b"/2", reply(b"GET /later") + reply(b"GET /2"), OPEN),
    "pipelined, the first never": (GET % b"/never" + GET % b"/2", b"", OPEN),
    "the client closes": (
        b"GET /1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + GET % b"/2",
        reply(b"GET /1")[: -len(b"GET /1") - 2] + CLOSE + b"\r\nGET /1",
        CLOSED,
    ),
    "the app closes": (GET % b"/bye" + GET % b"/2", reply(b"GET /bye", head=CLOSE), CLOSED),
    "HTTP/1.0": (b"GET /1 HTTP/1.0\r\n\r\n", reply(b"GET /1")[: -len(b"GET /1") - 2] + CLOSE + b"\r\nGET /1", CLOSED),
    "HTTP/2 is offered": (
        b"GET /1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + GET % b"/2",
        reply(b"GET /1") + reply(b"GET /2"),
        OPEN,
    ),
    "garbage": (b"\x16\x03\x01\r\n\r\n", refused(b"400 Bad Request", b"illegal request line"), CLOSED),
    "garbage after a request": (
        GET % b"/1" + b"what?\r\n\r\n",
        reply(b"GET /1") + refused(b"400 Bad Request", b"illegal request line"),
        CLOSED,
    ),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", refused(b"400 Bad Request", b"Missing mandatory Host: header"), CLOSED),
    "two lengths": (
        post(b"abc", b"Content-Length: 3", b"Content-Length: 4"),
        refused(b"400 Bad Request", b"conflicting Content-Length headers"),
        CLOSED,
    ),
    "head too large": (
        GET % (b"/" + b"a" * 500),
        refused(b"431 Request Header Fields Too Large", b"the head is too large"),
        CLOSED,
    ),
    "head as large as it may be": (GET % (b"/" + b"a" * 373), reply(b"GET /" + b"a" * 373), OPEN),
    "head one byte larger": (
        GET % (b"/" + b"a" * 374),
        refused(b"431 Request Header Fields Too Large", b"the head is too large"),
        CLOSED,
    ),
    "body declared too large": (
        post(b"", b"Content-Length: 21"),
        refused(TOO_LARGE, b"the body is too large"),
        CLOSED,
    ),
    "body too large in chunks": (
        post(b"15\r\n" + b"a" * 21 + b"\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"),
        refused(TOO_LARGE, b"the body is too large"),
        CLOSED,
    ),
    "an encoding that is not known": (
        post(b"", b"Transfer-Encoding: gzip"),
        refused(b"501 Not Implemented", b"Only Transfer-Encoding: chunked is supported"),
        CLOSED,
    ),
    "no proxy": (
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        refused(b"405 Method Not Allowed", b"this is no proxy"),
        CLOSED,
    ),
    "too far ahead": (GET % b"/never" + b"a" * 90, b"", OPEN),
    "handshake": (UPGRADE, SWITCHED, OPEN),
    "handshake of another version": (
        UPGRADE.replace(b"13", b"8") + GET % b"/2",
        odd(b"426 Upgrade Required", b"this is version 13 only\n", b"Sec-WebSocket-Version: 13\r\n") + reply(b"GET /2"),
        OPEN,
    ),
    "handshake without a key": (
        UPGRADE.replace(b"dGhl", b""),
        odd(b"400 Bad Request", b"this is no WebSocket handshake\n"),
        OPEN,
    ),
    "handshake with a key that is none": (
        UPGRADE.replace(b"dGhl", b"!"),
        odd(b"400 Bad Request", b"this is no WebSocket handshake\n"),
        OPEN,
    ),
    "handshake without upgrade": (
        UPGRADE.replace(b"Connection: Upgrade", b"Connection: keep-alive"),
        odd(b"400 Bad Request", b"this is no WebSocket handshake\n"),
        OPEN,
    ),
    "handshake refused by the app": (
        UPGRADE.replace(b"/stream", b"/other") + GET % b"/2",
        b"HTTP/1.1 403 Forbidden\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 8\r\n\r\nnot here"
        + reply(b"GET /2"),
        OPEN,
    ),
}


@pytest.mark.parametrize("case", TABLE.values(), ids=TABLE)
def test_bytes_in_bytes_out(case: tuple[bytes, bytes, str]) -> None:
    sent, due, end = case
    bench = MemoryBench(limits=SMALL)
    client = bench.dial()
    bench.send(client, sent)
    assert (b"".join(client.pieces), client.end) == (due, end)


@pytest.mark.parametrize("case", TABLE.values(), ids=TABLE)
def test_byte_by_byte_is_the_same(case: tuple[bytes, bytes, str]) -> None:
    sent, due, end = case
    bench = MemoryBench(limits=SMALL)
    client = bench.dial()
    feed(client, sent, list(range(len(sent))))
    bench.run()
    assert (b"".join(client.pieces), client.end) == (due, end)


def feed(client: Recorder, data: bytes, cuts: list[int]) -> None:
    """Write in pieces cut at these places, all at one time."""
    assert client.stream is not None
    places = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    for start, end in pairwise(places):
        client.stream.write(data[start:end])


FRAMES = (
    masked(b"hello"),
    masked(b"\x00\x01", 2),
    masked(b"h\xc3", fin=False) + masked(b"again", 9) + masked(b"\xa4", 0),
    masked(b"", 10),
    masked(b"ping"),
    masked(b"\x03\xe8bye", 8),
    masked(b"close"),
    masked(b"drop"),
    masked(b"abort"),
    masked(b"a" * 21),
    masked(b"\xff"),
    b"\x81\x05hello",
    masked(b"", 3),
)


def session(ahead: list[bytes], frames: list[bytes] | None) -> bytes:
    return b"".join(ahead) + (b"" if frames is None else UPGRADE + b"".join(frames))


SESSIONS = st.builds(
    session,
    st.lists(st.sampled_from([sent for sent, _, _ in TABLE.values()]), max_size=4),
    st.none() | st.lists(st.sampled_from(FRAMES), max_size=6),
)


@given(data=SESSIONS, cuts=st.lists(st.integers(0, 2000), max_size=30))
def test_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    """What was asked, what was answered, how it ended, and what the app was told of its sockets."""
    seen = []
    for places in ([], cuts):
        bench = MemoryBench(limits=Limits(head_bytes_max=400, body_bytes_max=20, message_bytes_max=20))
        client = bench.dial()
        feed(client, data, places)
        bench.run(10_000_000_000)
        app = bench.app
        seen.append((app.requests, b"".join(client.pieces), client.end, app.messages, app.pongs, app.closed))
    assert seen[0] == seen[1]


def test_a_request_as_the_app_gets_it() -> None:
    bench = MemoryBench()
    client = bench.dial()
    bench.send(client, post(b"abc", b"X-Key: k", b"x-KEY: l", b"Content-Length: 3"))
    (request,) = bench.app.requests
    assert request == HttpRequest(
        method="POST",
        target=b"/o",
        headers=((b"host", b"x"), (b"x-key", b"k"), (b"x-key", b"l"), (b"content-length", b"3")),
        body=b"abc",
    )
    assert (request.header(b"x-key"), request.header(b"x-other")) == (b"k", None)
    parts = [
        (one.path, one.query)
        for one in (
            HttpRequest(method="GET", target=target)
            for target in (b"/a?b?c", b"/a%3F", b"http://h:1/a/b?c", b"http://h", b"*")
        )
    ]
    assert parts == [("/a", b"b?c"), ("/a%3F", b""), ("/a/b", b"c"), ("/", b""), ("/", b"")]


def test_the_client_may_leave_before_the_answer() -> None:
    bench = MemoryBench()
    client = bench.dial()
    bench.send(client, GET % b"/never")
    assert client.stream is not None
    client.stream.close()
    bench.run()
    (answer,) = bench.app.unanswered
    answer(HttpReply())
    bench.run()
    assert client.pieces == []


def test_a_request_is_answered_once() -> None:
    bench = MemoryBench()
    client = bench.dial()
    bench.send(client, GET % b"/never")
    (answer,) = bench.app.unanswered
    answer(HttpReply(status=204))
    with pytest.raises(AssertionError, match=r"<GET /never .*> is answered twice"):
        answer(HttpReply())
    bench.run()
    assert b"".join(client.pieces) == b"HTTP/1.1 204 No Content\r\n" + FIRST_SECOND.replace(b":01 ", b":02 ") + b"\r\n"


def test_what_is_asked_meanwhile_waits_and_is_bounded() -> None:
    bench = MemoryBench(limits=SMALL)
    client = bench.dial()
    bench.send(client, GET % b"/never")
    bench.send(client, GET % b"/2")
    (answer,) = bench.app.unanswered
    assert client.pieces == []
    answer(HttpReply(status=599, headers=((b"Date", b"-"), (b"content-length", b"7"), (b"Transfer-Encoding", b"x"))))
    bench.run()
    assert client.pieces == [b"HTTP/1.1 599 \r\nDate: -\r\nContent-Length: 0\r\n\r\n", reply(b"GET /2")]
    bench.send(client, GET % b"/never")
    bench.send(client, b"a" * 100)
    assert client.end == OPEN
    bench.send(client, b"a")
    assert client.end == RESET
