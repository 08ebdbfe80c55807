"""Frames cut out by hand against the library alone: the same events and the same answers, whatever comes and however.

The reference hands every byte to websockets' sans-I/O protocol and knows nothing else.
"""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from tests.fakes.ws import BINARY, CLOSE, CONT, PING, PONG, TEXT, accept, frame, unmasked
from venues.plumbing.frames import Address, Control, Ended, FrameEvent, Frames, Message, Opened

URL = "ws://venue.test/"
MOST = 300


class Reference:
    """What the library makes of the bytes after the handshake: payloads, control frames, and how it ended."""

    def __init__(self) -> None:
        self._protocol = ClientProtocol(parse_uri(URL), max_size=MOST)
        self._protocol.send_request(self._protocol.connect())
        self._protocol.receive_data(accept(b"".join(self._protocol.data_to_send())))
        self._protocol.events_received()
        self._parts: list[bytes] = []
        self.seen: list[bytes | str | None] = []

    def received(self, data: bytes) -> None:
        protocol = self._protocol
        if self.ended:
            return
        if data:
            protocol.receive_data(data)
        else:
            protocol.receive_eof()
        for event in protocol.events_received():
            assert isinstance(event, Frame)
            if event.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
                self._parts.append(bytes(event.data))
                if event.fin:
                    self.seen.append(b"".join(self._parts))
                    self._parts = []
            elif event.opcode is not Opcode.CLOSE:
                self.seen.append(None)
        if protocol.close_rcvd is not None:
            self.seen.append(f"closed {protocol.close_rcvd.code} {protocol.close_rcvd.reason}".strip())
        elif isinstance(protocol.parser_exc, EOFError):
            self.seen.append("gone")
        elif protocol.parser_exc is not None:
            self.seen.append(type(protocol.parser_exc).__name__)

    @property
    def ended(self) -> bool:
        return bool(self.seen) and isinstance(self.seen[-1], str)

    def outgoing(self) -> list[tuple[int, bytes]]:
        return unmasked(b"".join(self._protocol.data_to_send()))


def plainly(events: list[FrameEvent]) -> list[bytes | str | None]:
    seen: list[bytes | str | None] = []
    for event in events:
        match event:
            case Message(payload):
                seen.append(payload)
            case Control():
                seen.append(None)
            case Ended(code=1002, text=text):
                seen.append(text.removeprefix("not WebSocket: "))
            case Ended(code=1006):
                seen.append("gone")
            case Ended(text=text):
                seen.append(text.removeprefix("closed by the venue: ").join(("closed ", "")))
            case Opened():
                raise AssertionError("the handshake was done before")
    return seen


sizes = st.one_of(st.integers(0, 5), st.sampled_from([124, 125, 126, 127, 128, MOST - 1, MOST, MOST + 1]))
payloads = sizes.map(lambda size: b"x" * size)
whole = st.builds(frame, payloads, st.sampled_from([TEXT, BINARY]))
parts = st.builds(
    lambda data, kind, fin: frame(data, kind, fin=fin), payloads, st.sampled_from([TEXT, CONT]), st.booleans()
)
controls = st.builds(frame, st.binary(max_size=3), st.sampled_from([PING, PONG]))
closes = st.sampled_from([b"", b"\x03\xe8", b"\x03\xe9bye", b"\x03", b"\x00\x01"]).map(lambda data: frame(data, CLOSE))
odd = st.one_of(
    st.binary(min_size=1, max_size=12),
    st.builds(lambda first, data: bytes([first]) + frame(data)[1:], st.integers(0, 255), payloads),
    st.builds(lambda data: frame(data)[:1] + bytes([frame(data)[1] | 0x80]) + frame(data)[2:], payloads),  # masked
    st.builds(
        lambda data: b"\x82\x7f" + len(data).to_bytes(8, "big") + data, payloads
    ),  # a long length for a short one
    st.just(b"\x81\x7f" + b"\xff" * 8),
)
streams = st.lists(st.one_of(whole, whole, whole, parts, controls, odd, closes), max_size=12).map(b"".join)


@given(streams, st.lists(st.integers(1, 400), max_size=30), st.booleans())
@example(frame(b"a") + frame(b"b", TEXT, fin=False) + frame(b"c") + frame(b"d", CONT), [1] * 30, True)
@example(frame(b"a", TEXT, fin=False) + frame(b"p", PING) + frame(b"b", CONT) + frame(b"c"), [3], False)
@example(b"\xff\x7e", [], True)
def test_the_same_comes_out_as_of_the_library(stream: bytes, cuts: list[int], ends: bool) -> None:
    frames, reference = Frames(Address(URL), message_bytes_max=MOST), Reference()
    assert frames.received(accept(frames.outgoing())) == [Opened()]
    events: list[FrameEvent] = []
    pieces = []
    for cut in cuts:
        pieces.append(stream[:cut])
        stream = stream[cut:]
    pieces = [piece for piece in [*pieces, stream] if piece] + [b""] * ends
    for piece in pieces:
        events += frames.received(piece)
        reference.received(piece)
        assert plainly(events) == reference.seen
        assert unmasked(frames.outgoing()) == reference.outgoing()


@given(st.lists(st.integers(1, 60), max_size=8), st.lists(whole, max_size=3))
def test_the_handshake_may_be_cut_anywhere(cuts: list[int], messages: list[bytes]) -> None:
    frames = Frames(Address(URL), message_bytes_max=MOST)
    stream = accept(frames.outgoing()) + b"".join(messages)
    events: list[FrameEvent] = []
    for cut in cuts:
        if stream[:cut]:
            events += frames.received(stream[:cut])
        stream = stream[cut:]
    if stream:
        events += frames.received(stream)
    reference = Reference()
    if messages:
        reference.received(b"".join(messages))
    assert events[:1] == [Opened()]
    assert plainly(events[1:]) == reference.seen
