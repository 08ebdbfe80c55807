"""WebSocket frames against bytes made by hand: fragments, splits, limits, and every way for a connection to end."""

from __future__ import annotations

import logging

import msgspec
import pytest

from sor.errors import CallerError
from tests.fakes import ws
from tests.fakes.ws import BINARY, CLOSE, CONT, PING, PONG, TEXT, accept, frame, unmasked
from venues.plumbing.frames import Address, Control, Ended, FrameEvent, Frames, Message, Opened


def fed(frames: Frames, *pieces: bytes) -> list[FrameEvent]:
    return [event for piece in pieces for event in frames.received(piece)]


def open_frames(**more: int) -> Frames:
    frames = Frames(Address("ws://venue.test/stream?listenKey=secret"), **more)
    assert fed(frames, accept(frames.outgoing())) == [Opened()]
    return frames


def test_the_handshake_asks_for_what_the_address_says() -> None:
    frames = Frames(Address("wss://venue.test/swap?listenKey=k1", headers=[(b"X-Demo", b"1")]))
    request = frames.outgoing()
    assert (frames.host, frames.port, frames.secure) == ("venue.test", 443, True)
    assert request.startswith(b"GET /swap?listenKey=k1 HTTP/1.1\r\nHost: venue.test\r\n")
    assert b"X-Demo: 1\r\n" in request
    assert frames.outgoing() == b""


MESSAGES = (
    frame(b'{"a":1}')
    + frame(b"\x1f\x8b", BINARY)
    + frame(b"ab", TEXT, fin=False)
    + frame(b"now", PING)
    + frame(b"cd", CONT, fin=False)
    + frame(b"", CONT)
    + frame(b"x" * 300)
    + frame(b"", PONG)
)
SAID = [
    Message(b'{"a":1}'),
    Message(b"\x1f\x8b"),
    Control(),
    Message(b"abcd"),
    Message(b"x" * 300),
    Control(),
]


@pytest.mark.parametrize("piece", [1, 2, 7, 10_000])
def test_messages_come_whole_however_they_were_cut(piece: int) -> None:
    frames = open_frames()
    assert fed(frames, *(MESSAGES[at : at + piece] for at in range(0, len(MESSAGES), piece))) == SAID
    assert unmasked(frames.outgoing()) == [(PONG, b"now")]


def test_the_handshake_and_the_first_messages_may_come_together() -> None:
    frames = Frames(Address("ws://venue.test/"))
    assert fed(frames, accept(frames.outgoing()) + MESSAGES) == [Opened(), *SAID]


def test_what_we_say_is_masked_text() -> None:
    frames = open_frames()
    frames.send(b"Pong")
    frames.ping()
    assert unmasked(frames.outgoing()) == [(TEXT, b"Pong"), (PING, b"")]


@pytest.mark.parametrize(
    ("bytes_in", "ended"),
    [
        ([b""], Ended(code=1006, text="the connection ended without a close")),
        ([frame(b"abc")[:3], b""], Ended(code=1006, text="the connection ended without a close")),
        (
            [frame(b"\x03\xe9bye", CLOSE)],
            Ended(code=1001, text="closed by the venue: 1001 bye"),
        ),
        ([frame(b"", CLOSE)], Ended(code=1005, text="closed by the venue: 1005")),
        ([b"\xff\xff\xff\xff"], Ended(code=1002, text="not WebSocket: ProtocolError")),
        ([frame(b"x" * 101)], Ended(code=1002, text="not WebSocket: PayloadTooBig")),
        (
            [frame(b"x" * 60, TEXT, fin=False), frame(b"x" * 60, CONT)],
            Ended(code=1002, text="not WebSocket: PayloadTooBig"),
        ),
        ([frame(b"x", CONT)], Ended(code=1002, text="not WebSocket: ProtocolError")),
    ],
    ids=[
        "gone",
        "gone in a frame",
        "closed",
        "closed silently",
        "garbage",
        "too big",
        "too big in parts",
        "loose part",
    ],
)
def test_every_end_is_told_once(bytes_in: list[bytes], ended: Ended) -> None:
    frames = open_frames(message_bytes_max=100)
    assert fed(frames, *bytes_in) == [ended]
    assert fed(frames, frame(b"late"), b"") == []
    frames.send(b"nobody hears this")
    frames.ping()
    frames.close()
    assert all(opcode == CLOSE for opcode, _ in unmasked(frames.outgoing()))


@pytest.mark.parametrize(
    ("answer", "ended"),
    [
        (
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
            Ended(status=403, text="the handshake was refused with HTTP 403"),
        ),
        (b"garbage\r\n\r\n", Ended(text="the handshake failed: InvalidMessage")),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", Ended(text="the handshake failed: InvalidUpgrade")),
        (b"", Ended(text="the handshake failed: InvalidMessage")),
    ],
)
def test_a_handshake_that_fails_says_how(answer: bytes, ended: Ended) -> None:
    frames = Frames(Address("ws://venue.test/"))
    frames.outgoing()
    assert fed(frames, answer) == [ended]


def test_closing_says_goodbye_once() -> None:
    frames = open_frames()
    frames.close()
    frames.close()
    assert unmasked(frames.outgoing()) == [(CLOSE, b"\x03\xe8")]
    assert fed(frames, frame(b"\x03\xe8", CLOSE)) == [Ended(code=1000, text="closed by the venue: 1000")]


def test_addresses_show_only_their_host(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    address = Address("wss://user:secret@venue.test/x?listenKey=secret", headers=[(b"K", b"secret")])
    assert repr(address) == "<venue.test>"
    with pytest.raises(TypeError):
        msgspec.json.encode(address)
    open_frames()
    assert "secret" not in caplog.text
    with pytest.raises(CallerError, match=r"^<> is no ws"):
        Frames(Address("venue.test?listenKey=secret"))
    with pytest.raises(CallerError, match=r"^<venue.test> is no ws"):
        Frames(Address("http://venue.test/?listenKey=secret"))


def test_the_hand_made_side_masks_and_counts_like_the_standard() -> None:
    # RFC 6455 sections 1.3 and 5.7.
    request = b"GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in accept(request)
    assert frame(b"Hello") == bytes.fromhex("810548656c6c6f")
    assert unmasked(bytes.fromhex("818537fa213d7f9f4d5158")) == [(ws.TEXT, b"Hello")]
    assert len(frame(b"x" * 70_000)) == 70_010
