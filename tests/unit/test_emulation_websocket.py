"""WebSocket of the emulator core, in frames."""

from collections.abc import Mapping

import pytest

from sor.units import NS
from tests.fakes.raw_client import CLOSED, OPEN, RESET, SWITCHED, UPGRADE, MemoryBench, Recorder, masked
from tests.fakes.ws import BINARY, CLOSE, CONT, PING, PONG, TEXT, frame
from venues.emulation.server import Limits

SMALL = Limits(message_bytes_max=300)


def opened(bench: MemoryBench) -> Recorder:
    client = bench.dial()
    bench.send(client, UPGRADE)
    assert client.pieces == [SWITCHED]
    client.told.clear()
    return client


def closing(code: int, reason: bytes = b"") -> bytes:
    return frame(code.to_bytes(2, "big") + reason, CLOSE)


LONG = b"a" * 300

TABLE: Mapping[str, tuple[bytes, bytes, str, list[str]]] = {
    "text": (masked(b"hello"), frame(b"hello"), OPEN, []),
    "not ASCII": (masked("Ωß".encode()), frame("Ωß".encode()), OPEN, []),
    "empty": (masked(b""), frame(b""), OPEN, []),
    "binary": (masked(b"\x00\xff", BINARY), frame(b"\x00\xff", BINARY), OPEN, []),
    "long": (masked(LONG), frame(LONG), OPEN, []),
    "two at once": (masked(b"1") + masked(b"2"), frame(b"1") + frame(b"2"), OPEN, []),
    "fragments, cut inside a character, a ping between": (
        masked(b"h\xc3", fin=False) + masked(b"?", PING) + masked(b"\xa4", CONT, fin=False) + masked(b"t", CONT),
        frame(b"?", PONG) + frame("hät".encode()),
        OPEN,
        [],
    ),
    "ping": (masked(b"beat", PING), frame(b"beat", PONG), OPEN, []),
    "a pong that nobody asked for": (masked(b"beat", PONG), b"", OPEN, []),
    "the app pings": (masked(b"ping"), frame(b"there?", PING), OPEN, []),
    "close": (masked(b"\x03\xe8bye", CLOSE), closing(1000, b"bye"), CLOSED, ["closed by the client: 1000 bye"]),
    "close without a code": (masked(b"", CLOSE), frame(b"", CLOSE), CLOSED, ["closed by the client: 1005"]),
    "nothing counts after a close": (
        masked(b"\x03\xe8", CLOSE) + masked(b"hello"),
        closing(1000),
        CLOSED,
        ["closed by the client: 1000"],
    ),
    "the app closes": (
        masked(b"close") + masked(b"hello") + masked(b"?", PING) + masked(b"\x0f\xa1", CLOSE),
        closing(4001, b"as asked"),
        CLOSED,
        [],
    ),
    "the app closes, nobody answers": (masked(b"close"), closing(4001, b"as asked"), CLOSED, []),
    "the app drops": (masked(b"drop") + masked(b"hello"), b"", CLOSED, []),
    "the app resets": (masked(b"abort") + masked(b"hello"), b"", RESET, []),
    "not masked": (b"\x81\x05hello", closing(1002), CLOSED, ["the client broke the protocol: 1002"]),
    "an opcode that is not known": (masked(b"", 3), closing(1002), CLOSED, ["the client broke the protocol: 1002"]),
    "not UTF-8": (masked(b"\xff"), closing(1007), CLOSED, ["the client broke the protocol: 1007"]),
    "compressed, which was not agreed": (
        b"\xc1" + masked(b"hello")[1:],
        closing(1002),
        CLOSED,
        ["the client broke the protocol: 1002"],
    ),
    "too long": (
        masked(LONG + b"a"),
        closing(1009, b"message too large"),
        CLOSED,
        ["the client broke the protocol: 1009 message too large"],
    ),
    "too long in fragments": (
        masked(LONG, fin=False) + masked(b"a", CONT),
        closing(1009, b"message too large"),
        CLOSED,
        ["the client broke the protocol: 1009 message too large"],
    ),
    "broken while the app closes": (masked(b"close") + masked(b"", 3), closing(4001, b"as asked"), CLOSED, []),
}


@pytest.mark.parametrize("case", TABLE.values(), ids=TABLE)
@pytest.mark.parametrize("each", [1, 10_000])
def test_frames_in_frames_out(case: tuple[bytes, bytes, str, list[str]], each: int) -> None:
    sent, due, end, told = case
    bench = MemoryBench(limits=SMALL)
    client = opened(bench)
    assert client.stream is not None
    for start in range(0, len(sent), each):
        client.stream.write(sent[start : start + each])
    bench.run(6 * NS)
    came = (b"".join(client.pieces), client.end if client.told else OPEN, bench.app.closed)
    assert came == (due, end, told)


def test_what_the_app_is_told() -> None:
    bench = MemoryBench()
    client = opened(bench)
    bench.send(client, masked(b"a") + masked(b"b", BINARY) + masked(b"c", PONG))
    assert (bench.app.messages, bench.app.pongs) == ([(b"a", True), (b"b", False)], [b"c"])
    assert client.stream is not None
    client.stream.close()
    bench.run()
    assert bench.app.closed == ["closed by the other end"]
    (socket,) = bench.app.sockets
    for act in (socket.close, socket.drop, socket.abort, socket.ping, lambda: socket.send_text(b"x")):
        act()  # to nobody
    bench.run()
    assert b"".join(client.pieces) == frame(b"a") + frame(b"b", BINARY)


def test_a_reset_is_told() -> None:
    bench = MemoryBench()
    client = opened(bench)
    assert client.stream is not None
    client.stream.abort()
    bench.run()
    assert bench.app.closed == ["reset by the other end"]


def test_what_the_app_says_at_once_follows_the_handshake() -> None:
    bench = MemoryBench()
    client = bench.dial()
    bench.send(client, UPGRADE.replace(b"/stream", b"/stream?hello") + masked(b"you"))
    assert b"".join(client.pieces) == SWITCHED + frame(b"hello") + frame(b"you", TEXT)


def test_an_answer_to_our_close_is_waited_for_so_long() -> None:
    bench = MemoryBench()
    client = opened(bench)
    start_ns = bench.scheduler.now_ns()
    bench.app.sockets[0].close(1012, "maintenance")
    bench.run(10 * NS)
    assert client.told == [
        (start_ns, "received", closing(1012, b"maintenance")),
        (start_ns + 5 * NS, "closed by the other end", b""),
    ]
