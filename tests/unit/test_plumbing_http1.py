"""The HTTP/1.1 codec: requests as bytes, replies out of bytes that are cut anywhere, and everything else garbled."""

from __future__ import annotations

import gzip

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from venues.plumbing.http1 import HEAD_BYTES_MAX, Answer, Garbled, ReplyReader, request_bytes
from venues.plumbing.transport import Header, WireRequest

Read = tuple[int, bytes, bool]
BODY_MAX = 2_000
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def read(*parts: bytes, method: str = "POST", reader: ReplyReader | None = None) -> Answer | None:
    """What a reader makes of the reply that comes in these parts."""
    reader = reader or ReplyReader(body_bytes_max=BODY_MAX)
    reader.begin(method)
    for at, part in enumerate(parts):
        answer = reader.received(part)
        if answer is not None:
            assert at == len(parts) - 1, "it was whole before its last byte"
            return answer
    return None


def seen(*parts: bytes, method: str = "POST") -> Read | None:
    answer = read(*parts, method=method)
    return None if answer is None else (answer.status, answer.body, answer.keep)


def request(method: str, target: bytes, headers: tuple[Header, ...] = (), body: bytes = b"") -> bytes:
    return request_bytes(
        WireRequest(method=method, target=target, headers=headers, body=body, deadline_ns=0), b"a.example:8"
    )


def test_requests_are_written_as_they_are_given() -> None:
    assert request("GET", b"/time?a=[%20]") == b"GET /time?a=[%20] HTTP/1.1\r\nHost: a.example:8\r\n\r\n"
    assert request("DELETE", b"/o", ((b"X-KEY", b"k"),)) == (
        b"DELETE /o HTTP/1.1\r\nHost: a.example:8\r\nX-KEY: k\r\n\r\n"
    )
    assert request("POST", b"/o") == b"POST /o HTTP/1.1\r\nHost: a.example:8\r\nContent-Length: 0\r\n\r\n"
    assert request("DELETE", b"/o", body=b"xy") == (
        b"DELETE /o HTTP/1.1\r\nHost: a.example:8\r\nContent-Length: 2\r\n\r\nxy"
    )


@pytest.mark.parametrize(
    ("text", "method", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "POST", (200, b"abc", True)),
        (b"HTTP/1.1 200\r\ncontent-length:3\r\n\r\nabc", "POST", (200, b"abc", True)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "POST", (200, b"", True)),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", "POST", (200, b"abc", False)),
        (b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 3\r\n\r\nabc", "POST", (200, b"abc", False)),
        (b"HTTP/1.1 503 \xe9\t\r\nContent-Length: 3\r\nX: a\tb\xff \r\n\r\nabc", "POST", (503, b"abc", True)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HEAD", (200, b"", True)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD", (200, b"", True)),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "POST", (204, b"", True)),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", "GET", (304, b"", True)),
        (CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", "POST", (200, b"abc", True)),
        (CHUNKED + b"1 ;x=y\r\na\r\n0002\r\nbc\r\n000;z\r\nX-T: 1\r\nY:\r\n\r\n", "POST", (200, b"abc", True)),
        (CHUNKED + b"0\r\n\r\n", "POST", (200, b"", True)),
        (
            INTERIM + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
            "POST",
            (200, b"abc", True),
        ),
    ],
)
def test_whole_replies_however_they_are_cut(text: bytes, method: str, expected: Read) -> None:
    assert seen(text, method=method) == expected
    assert seen(*(text[at : at + 1] for at in range(len(text))), method=method) == expected
    for cut in range(1, len(text)):
        assert seen(text[:cut], method=method) is None
        assert seen(text[:cut], text[cut:], method=method) == expected


def test_headers_are_given_as_they_came_but_for_the_case_of_their_names() -> None:
    answer = read(b"HTTP/1.1 200 OK\r\nX-Remain:  4 \r\nx-remain: 5\r\nContent-Length: 0\r\n\r\n")
    assert answer is not None
    assert answer.headers == [(b"x-remain", b"4"), (b"x-remain", b"5"), (b"content-length", b"0")]


def test_packed_bodies_are_unpacked() -> None:
    packed = gzip.compress(b"abc")
    text = b"HTTP/1.1 200 OK\r\nContent-Encoding: GZIP\r\nContent-Length: %d\r\n\r\n%b" % (len(packed), packed)
    assert seen(text) == (200, b"abc", True)
    assert seen(text[:-1]) is None


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\nabc",
        CHUNKED + b"3\r\nabc\r\n0\r\n\r\n\r\n",
        CHUNKED + b"3\r\nabc\r\n0\r\nX: y\r\n\r\nZ",
    ],
)
def test_bytes_beyond_a_reply_end_the_connection_not_the_reply(text: bytes) -> None:
    answer = read(text)
    assert answer is not None
    assert not answer.keep


@pytest.mark.parametrize(
    "text",
    [
        b"\x16\x03\x01 garbage\r\n\r\n",
        b"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n",
        b" HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: y\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2001\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * HEAD_BYTES_MAX,
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * HEAD_BYTES_MAX + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * (HEAD_BYTES_MAX // 20),
        CHUNKED + b"xyz\r\n",
        CHUNKED + b"\r\n",
        CHUNKED + b"-1\r\n",
        CHUNKED + b"0x1\r\na\r\n",
        CHUNKED + b"1\na\r\n",
        CHUNKED + b"1" * 16 + b"\r\n",
        CHUNKED + b"1;" + b"x" * 2_000,
        CHUNKED + b"3\r\nabcd\r\n",
        CHUNKED + b"3\r\nabc\n\r",
        CHUNKED + b"7d1\r\n",
        CHUNKED + b"7d0\r\n" + b"x" * 2_000 + b"\r\n1\r\n",
        CHUNKED + b"0\r\nX\r\n\r\n",
        CHUNKED + b"0\r\nX: " + b"x" * HEAD_BYTES_MAX + b"\r\n\r\n",
        CHUNKED + b"0\r\nX: " + b"x" * (HEAD_BYTES_MAX + 10),
    ],
)
def test_what_is_not_understood_is_garbled_and_not_quoted(text: bytes) -> None:
    with pytest.raises(Garbled) as whole:
        read(text)
    with pytest.raises(Garbled):
        read(*(text[at : at + 997] for at in range(0, len(text), 997)))
    assert "xxx" not in str(whole.value)


def test_a_bomb_is_bounded() -> None:
    packed = gzip.compress(b"x" * (BODY_MAX + 1))
    with pytest.raises(Garbled, match="unpacked"):
        read(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(packed), packed))


def test_one_reader_reads_one_reply_after_another_whatever_the_last_one_left() -> None:
    reader = ReplyReader(body_bytes_max=BODY_MAX)
    assert read(CHUNKED + b"3\r\nab", reader=reader) is None
    answer = read(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", reader=reader)
    assert answer is not None
    assert (answer.status, answer.body, answer.keep) == (200, b"abc", True)


# --- against h11 ------------------------------------------------------------------------------------------------------


def by_h11(data: bytes, method: str) -> Read | None:
    """The same by h11, which knows more of HTTP; None when it is not whole or not HTTP."""
    ours = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)
    ours.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    ours.send(h11.EndOfMessage())
    status, body = 0, b""
    try:
        ours.receive_data(data)
        while True:
            event = ours.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                return None
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return status, body, ours.their_state is h11.DONE and not ours.trailing_data[0]
            elif isinstance(event, h11.ConnectionClosed):
                return None
    except h11.RemoteProtocolError:
        return None


NAMES = st.sampled_from(
    [b"Content-Length", b"Transfer-Encoding", b"Connection", b"X-Remain", b"Date", b"content-length", b"X Y", b""]
)
VALUES = st.sampled_from([b"0", b"3", b"05", b"chunked", b"Chunked", b"close", b"keep-alive", b"x, close", b"a\x00b"])
FIELDS: st.SearchStrategy[list[tuple[bytes, bytes, bytes]]] = st.just([]) | st.lists(
    st.tuples(NAMES, st.sampled_from([b": ", b":", b" : "]), VALUES), max_size=3
)


@st.composite
def replies(draw: st.DrawFn) -> bytes:
    """Bytes that are a reply more often than not."""
    interim = draw(st.sampled_from([b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 x\r\nA: b\r\n\r\n"]))
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0"]))
    status = draw(st.sampled_from([b"200", b"200", b"204", b"304", b"404", b"500", b"101", b"99", b"999"]))
    line = b"HTTP/%b %b OK\r\n" % (version, status)
    head = b"".join(name + colon + value + b"\r\n" for name, colon, value in draw(FIELDS))
    body = draw(st.binary(max_size=12))
    framing = draw(st.sampled_from(["length", "chunks", "none", "wrong"]))
    if framing == "length":
        tail = b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    elif framing == "chunks":
        cut = draw(st.integers(0, len(body)))
        pieces = [piece for piece in (body[:cut], body[cut:]) if piece]
        trailer = draw(st.sampled_from([b"", b"", b"X-T: 1\r\n", b"junk\r\n"]))
        chunks = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), draw(EXTENSIONS), piece) for piece in pieces)
        tail = b"Transfer-Encoding: chunked\r\n\r\n%b0\r\n%b\r\n" % (chunks, trailer)
    elif framing == "wrong":
        tail = b"Content-Length: %d\r\n\r\n%b" % (draw(st.integers(0, 20)), body)
    else:
        tail = b"\r\n" + body
    return interim + line + head + tail + draw(st.sampled_from([b"", b"", b"", b"more"]))


EXTENSIONS = st.sampled_from([b"", b"", b";a=b"])


@given(replies(), st.sampled_from(["GET", "POST", "HEAD"]), st.data())
def test_cut_anywhere_gives_the_same_and_never_what_h11_would_not_say(
    text: bytes, method: str, data: st.DataObject
) -> None:
    try:
        whole = seen(text, method=method)
    except Garbled:
        whole = None
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=4)))
    reader = ReplyReader(body_bytes_max=BODY_MAX)
    reader.begin(method)
    answer: Answer | None = None
    try:
        for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
            if start < end and answer is None:
                answer = reader.received(text[start:end])
    except Garbled:
        answer = None
    if whole is None:
        assert answer is None
        return
    assert answer is not None
    assert (answer.status, answer.body) == whole[:2]
    theirs = by_h11(text, method)
    assert theirs is not None
    assert theirs[:2] == whole[:2]
    assert whole[2] <= theirs[2]  # never kept where h11 would end it


@given(
    status=st.sampled_from([200, 201, 204, 304, 400, 404, 429, 500, 503]),
    fields=st.lists(
        st.tuples(
            st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,10}", fullmatch=True).map(lambda name: "X-" + name),
            st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20),
        ),
        max_size=5,
    ),
    body=st.binary(max_size=200),
    chunked=st.booleans(),
    method=st.sampled_from(["GET", "POST", "DELETE", "HEAD"]),
)
def test_whatever_h11_writes_is_read(
    *, status: int, fields: list[tuple[str, str]], body: bytes, chunked: bool, method: str
) -> None:
    server = h11.Connection(h11.SERVER)
    server.receive_data(f"{method} / HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    while server.next_event() is not h11.NEED_DATA:
        if server.their_state is h11.DONE:
            break
    framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(body)))
    if status in {204, 304} or method == "HEAD":
        body = b""
    out = [server.send(h11.Response(status_code=status, headers=[*fields, framing]))]
    if body:
        out.append(server.send(h11.Data(data=body)))
    out.append(server.send(h11.EndOfMessage()))
    text = b"".join(part for part in out if part)
    assert seen(text, method=method) == (status, body, True)
