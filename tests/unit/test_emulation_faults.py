"""Every byte fault over both carriers, and the switches they are armed with."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sor.errors import CallerError
from sor.units import MS
from tests.fakes.raw_client import (
    CLOSED,
    GET,
    OPEN,
    RESET,
    SWITCHED,
    UPGRADE,
    MemoryBench,
    Step,
    masked,
    over_memory,
    over_tcp,
    reply,
)
from tests.fakes.ws import BINARY, frame
from venues.emulation.app import HttpReply, HttpRequest
from venues.emulation.faults import (
    KINDS,
    Aim,
    ByteFault,
    ByteFaults,
    Chunked,
    CloseOnReuse,
    CutOff,
    HalfOpen,
    Hits,
    Interim,
    Pieces,
    Reset,
)

ASK = GET % b"/echo"
R = reply(b"GET /echo")
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n4\r\nGET \r\n4\r\n/ech\r\n1\r\no\r\n0\r\n\r\n"
)
HELLO = frame(b"hello")

Case = tuple[Sequence[str], Sequence[Step], str, int, list[str]]
"""Faults switched before; steps; how it ends; requests the app saw; what its socket was told."""

CASES: Mapping[str, Case] = {
    "none": ((), [(ASK, R), (ASK, R)], OPEN, 2, []),
    "pieces": (["pieces=bytes_each=7"], [(ASK, R), (ASK, R)], OPEN, 2, []),
    "pieces with gaps": (["pieces=bytes_each=100,gap_ms=1"], [(ASK + ASK, R + R)], OPEN, 2, []),
    "chunked": (["chunked=bytes_each=4"], [(ASK, CHUNKED), (ASK, R)], OPEN, 2, []),
    "interim": (["interim=status=103,replies=2"], [(ASK, b"HTTP/1.1 103 Early Hints\r\n\r\n" * 2 + R)], OPEN, 1, []),
    "interim, to what is no request": (
        ["interim", "cut-off=after_bytes=12"],
        [(b"?\r\n\r\n", b"HTTP/1.1 400")],
        CLOSED,
        0,
        [],
    ),
    "cut off before": (["cut-off"], [(ASK, b"")], CLOSED, 1, []),
    "cut off in the head": (["cut-off=after_bytes=10"], [(ASK, R[:10])], CLOSED, 1, []),
    "cut off in the body": ([f"cut-off=after_bytes={len(R) - 1}"], [(ASK, R[:-1])], CLOSED, 1, []),
    "cut off after": (["cut-off=after_bytes=9999"], [(ASK, R)], CLOSED, 1, []),
    "reset before": (["reset"], [(ASK, b"")], RESET, 1, []),
    "reset in the middle": (["reset=after_bytes=10"], [(ASK, R[:10])], RESET, 1, []),
    "half-open before": (["half-open"], [(ASK, b""), (ASK, b"")], OPEN, 1, []),
    "half-open in the middle": (["half-open=after_bytes=10"], [(ASK, R[:10]), (ASK, b"")], OPEN, 1, []),
    "keep-alive race": (["close-on-reuse"], [(ASK, R), (ASK, b"")], CLOSED, 1, []),
    "keep-alive race, pipelined": (["close-on-reuse"], [(ASK + ASK, R)], CLOSED, 1, []),
    "keep-alive race, reset": (["close-on-reuse=reset=true"], [(ASK, R), (ASK, b"")], RESET, 1, []),
    "the second reply": (["reset=every=2"], [(ASK, R), (ASK, b"")], RESET, 2, []),
    "only that path": (["reset=path=/sing"], [(ASK, R), (GET % b"/sing?x", b"")], RESET, 2, []),
    "only that method": (["reset=method=POST"], [(ASK, R), (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b"")], RESET, 2, []),
    "several together": (
        ["chunked=bytes_each=4", "pieces=bytes_each=3", f"cut-off=after_bytes={len(CHUNKED) - 3}"],
        [(ASK, CHUNKED[:-3])],
        CLOSED,
        1,
        [],
    ),
    "switched off again": (["reset=count=0", "-reset"], [(ASK, R)], OPEN, 1, []),
    "switched on in between": ((), [(ASK, R), ("reset", b""), (ASK, b"")], RESET, 2, []),
    "a connection cut off at once": (["cut-off=hits=connection"], [(b"", b"")], CLOSED, 0, []),
    "a connection reset at once": (["reset=hits=connection"], [(b"", b"")], RESET, 0, []),
    "a connection that is deaf": (["half-open=hits=connection"], [(ASK, b"")], OPEN, 0, []),
    "a connection cut off in its second reply": (
        [f"cut-off=hits=connection,after_bytes={len(R) + 5}"],
        [(ASK, R), (ASK, R[:5])],
        CLOSED,
        2,
        [],
    ),
    "a connection with chunks": (
        ["chunked=hits=connection,bytes_each=4"],
        [(ASK, CHUNKED), (ASK, CHUNKED)],
        OPEN,
        2,
        [],
    ),
    "standing connections reset": ((), [(ASK, R), ("reset=hits=standing", b"")], RESET, 1, []),
    "a standing socket goes deaf": (
        (),
        [(UPGRADE, SWITCHED), ("half-open=hits=standing", b""), (masked(b"hello"), b"")],
        OPEN,
        1,
        [],
    ),
    "a standing socket is reset": (
        (),
        [(UPGRADE, SWITCHED), ("reset=hits=standing", b"")],
        RESET,
        1,
        ["reset by a fault"],
    ),
    "a frame in pieces": (["pieces=hits=message"], [(UPGRADE, SWITCHED), (masked(b"hello"), HELLO)], OPEN, 1, []),
    "a truncated frame, then gone": (
        ["cut-off=hits=message,after_bytes=3"],
        [(UPGRADE, SWITCHED), (masked(b"hello"), HELLO[:3])],
        CLOSED,
        1,
        ["cut off by a fault"],
    ),
    "a truncated frame, then reset": (
        ["reset=hits=message,after_bytes=3"],
        [(UPGRADE, SWITCHED), (masked(b"hello", BINARY), frame(b"hello", BINARY)[:3])],
        RESET,
        1,
        ["reset by a fault"],
    ),
    "gone without a close frame": (
        ["cut-off=hits=message,every=2"],
        [(UPGRADE, SWITCHED), (masked(b"hello"), HELLO), (masked(b"hello"), b"")],
        CLOSED,
        1,
        ["cut off by a fault"],
    ),
    "a frame that is never finished": (
        ["half-open=hits=message,after_bytes=3"],
        [(UPGRADE, SWITCHED), (masked(b"hello"), HELLO[:3]), (masked(b"hello"), b"")],
        OPEN,
        1,
        [],
    ),
    "a handshake cut off": (["cut-off=after_bytes=20"], [(UPGRADE, SWITCHED[:20])], CLOSED, 1, ["cut off by a fault"]),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_in_memory(case: Case) -> None:
    first, steps, end, asked, told = case
    assert over_memory(first, steps).seen == ([due for _, due in steps], end, asked, told)


@pytest.mark.anyio
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_over_tcp(case: Case, anyio_backend: str) -> None:
    first, steps, end, asked, told = case
    # Unlike in memory the client has left by now, which ends an open socket, unless that is half-open.
    left = (
        ["closed by the client"] if end == OPEN and steps[0][0] == UPGRADE and "half" not in f"{first}{steps}" else []
    )
    talk = await over_tcp(first, steps, end_due=end, closed_due=len(told + left))
    assert talk.seen == ([due for _, due in steps], end, asked, told + left)


FAULTS = st.one_of(
    st.builds(Pieces, st.integers(1, 40), st.sampled_from([0.0, 1.0, 300.0])),
    st.builds(Chunked, st.integers(1, 40)),
    st.builds(Interim, st.sampled_from([100, 103]), st.integers(1, 3)),
    st.builds(CutOff, st.integers(0, 200)),
    st.builds(Reset, st.integers(0, 200)),
    st.builds(HalfOpen, st.integers(0, 200)),
    st.builds(CloseOnReuse, reset=st.booleans()),
)
AIMS = st.builds(Aim, hits=st.sampled_from(Hits), count=st.integers(0, 2), every=st.integers(1, 3))
SENT = st.sampled_from(
    [
        *(ASK, ASK + ASK, ASK[:9], GET % b"/later", GET % b"/never", GET % b"/bye", b"what?\r\n\r\n", UPGRADE),
        *(masked(word) for word in (b"hello", b"ping", b"close", b"drop", b"abort", b"\xff")),
        masked(b"\x03\xe8", 8),
    ]
)


@given(
    actions=st.lists(
        st.one_of(SENT, st.tuples(FAULTS, AIMS), st.sampled_from(["dial", "leave", "cut", "wait", "answer"])),
        max_size=20,
    )
)
def test_whatever_happens_nothing_breaks(actions: list[bytes | str | tuple[ByteFault, Aim]]) -> None:
    """No call raises, each socket's end is told at most once, and in the end no connection is left anywhere."""
    bench = MemoryBench(up_ns=MS, down_ns=MS)
    clients = [bench.dial()]
    for action in actions:
        stream = clients[-1].stream
        assert stream is not None
        match action:
            case bytes():
                stream.write(action)
                bench.run(100 * MS)
            case "dial":
                clients.append(bench.dial())
            case "leave":
                stream.close()
            case "cut":
                stream.abort()
            case "answer":
                while bench.app.unanswered:
                    bench.app.unanswered.pop()(HttpReply(body=b"at last"))
            case "wait":
                bench.run(10_000 * MS)
            case (fault, aim):
                with suppress(CallerError):  # not every fault fits every aim
                    bench.server.faults.arm(fault, aim)
            case _:
                raise AssertionError(action)
    for client in clients:
        assert client.stream is not None
        client.stream.close()
    bench.run(600_000 * MS)
    assert bench.net.standing == 0
    assert len(bench.app.closed) <= len(bench.app.sockets)
    fired = bench.server.faults.fired
    bench.server.faults.arm(Reset(), Aim(hits=Hits.STANDING))
    assert bench.server.faults.fired == fired


def test_pieces_are_apart() -> None:
    """Ten bytes each 2 ms; what is said meanwhile waits for its turn, an end too."""
    bench = MemoryBench()
    faults = bench.server.faults
    client = bench.dial()
    start_ns = bench.scheduler.now_ns()
    faults.arm(Pieces(bytes_each=50, gap_ms=2))
    faults.arm(CutOff(after_bytes=60), Aim(every=2))
    bench.send(client, ASK + ASK)
    assert len(R) == 110
    assert client.told[1:] == [
        (start_ns, "received", R[:50]),
        (start_ns + 2 * MS, "received", R[50:100]),
        (start_ns + 4 * MS, "received", R[100:]),
        (start_ns + 6 * MS, "received", R[:60]),
        (start_ns + 6 * MS, "closed by the other end", b""),
    ]
    assert faults.fired == 2
    assert faults.armed == ()


def test_a_reply_may_bring_its_own_faults() -> None:
    """The app decides whether an order was carried out, its reply whether anybody hears of it."""
    bench = MemoryBench()
    client = bench.dial()
    bench.send(client, GET % b"/never")
    (answer,) = bench.app.unanswered
    answer(HttpReply(body=b"done", faults=(Reset(after_bytes=12),)))
    bench.run()
    assert (client.pieces, client.end) == ([b"HTTP/1.1 200"], RESET)


def test_what_waits_for_its_gap_is_bounded() -> None:
    """16 MiB at the most, then the connection is reset."""
    bench = MemoryBench()
    client = bench.dial()
    bench.send(client, GET % b"/never")
    (answer,) = bench.app.unanswered
    answer(HttpReply(body=bytes(17 * 1024 * 1024), faults=(Pieces(bytes_each=1024 * 1024, gap_ms=1000),)))
    bench.run(30_000 * MS)
    assert client.end == RESET
    assert len(client.pieces) == 1


def test_switches() -> None:
    faults = ByteFaults()
    assert not faults.switch("late")
    assert not faults.switch("-late")
    for text in (
        "pieces=bytes_each=3,gap_ms=0.5,count=0",
        "chunked",
        "interim=status=102",
        "cut-off=after_bytes=5",
        "reset=path=/a/b,method=POST,every=3,count=2",
        "half-open=hits=message",
        "close-on-reuse=reset=true",
    ):
        assert faults.switch(text)
    armed: list[ByteFault] = [
        Pieces(3, 0.5),
        Chunked(16),
        Interim(102),
        CutOff(5),
        Reset(),
        HalfOpen(),
        CloseOnReuse(reset=True),
    ]
    assert list(faults.armed) == armed
    assert faults.switch("-reset")
    assert list(faults.armed) == [one for one in armed if one != Reset()]
    faults.disarm()
    assert faults.armed == ()


def test_counts() -> None:
    """Two of them, each third one that fits."""
    faults = ByteFaults()
    faults.arm(Reset(), Aim(count=2, every=3, path="/a"))
    hit = [faults.take(Hits.REPLY, method="GET", path="/b" if n == 1 else "/ab") for n in range(10)]
    assert [n for n, taken in enumerate(hit) if taken] == [3, 6]
    assert (faults.fired, faults.armed) == (2, ())
    faults.arm(Chunked(), Aim(count=0))
    assert all(faults.take(Hits.REPLY) for _ in range(10))
    assert faults.armed == (Chunked(),)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("reset=after_bytes=x", "Expected `int`"),
        ("reset=after_bytes=-1", "0 bytes or more"),
        ("reset=colour=red", "has no 'colour'"),
        ("reset=10", "write each key once, like after_bytes=0,hits=reply|message"),
        ("reset=after_bytes=1,after_bytes=2", "write each key once"),
        ("reset=hits=nothing", "Invalid enum value 'nothing'"),
        ("reset=hits=message,path=/a", "method and path for replies only"),
        ("reset=count=-1", "a count of 0"),
        ("reset=every=0", "every 1 or more"),
        ("-reset=after_bytes=1", "write -reset alone"),
        ("pieces=bytes_each=0", "pieces of 1 byte or more"),
        ("chunked=bytes_each=0", "chunks of 1 byte or more"),
        ("interim=status=101", "an interim status"),
        ("interim=replies=0", "1 to 100 interim replies"),
        ("chunked=hits=message", "a fault of HTTP replies"),
    ],
)
def test_bad_switches_switch_nothing(text: str, says: str) -> None:
    faults = ByteFaults()
    with pytest.raises(CallerError, match=re.escape(says)) as caught:
        faults.switch(text)
    assert str(caught.value).count("; n") == 1, "one sentence, and nothing happened"
    assert faults.armed == ()


def test_every_kind_explains_itself() -> None:
    found = ByteFaults().help
    assert [one.name for one in found] == list(KINDS)
    assert all(one.text.endswith(".") and "\n" not in one.text for one in found)
    assert found[0].args == (
        "bytes_each=1,gap_ms=0.0,hits=reply|message|connection|standing,count=1,every=1,method=...,path=..."
    )


def test_requests_and_replies_do_not_show_what_they_carry() -> None:
    request = HttpRequest(method="POST", target=b"/order?key=abc", headers=((b"x-key", b"abc"),), body=b"abc")
    assert f"{request!r}" == "<POST /order with 7 bytes of query and 3 of body>"
    assert f"{HttpReply(body=b'abc')!r}" == "<HTTP 200 with 3 bytes of body>"
