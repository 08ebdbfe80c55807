"""Frames: the client's side of one WebSocket connection, bytes in and bytes out, without a socket.

websockets' sans-I/O protocol does the handshake, the masking, the answers to pings and the closing; here are messages
put together from fragments, sizes bounded, and everything that can go wrong turned into one `Ended`. Payloads stay
bytes: whoever decodes JSON checks the text anyway.

Nearly everything that a venue sends is one whole unmasked frame of under 64 KiB, and cutting that out of what was read
is five times as quick as the library. So such frames are cut out here, and the library is given every other byte:
handshake, control frames, fragments and what comes between them, larger frames; and from the first frame that looks
wrong on everything, so that it alone says what is wrong. It is given frames whole, so it stands between two of them
when one passes it by. tests/property/test_plumbing_frames.py holds this against the library alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import msgspec
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from sor.errors import CallerError
from venues.plumbing.transport import Header

# websockets logs whole requests, listen keys included, when its logger is set to debug; this one hears nothing.
_SILENT = logging.getLogger(__name__)
_SILENT.setLevel(logging.CRITICAL + 1)


class Opened(msgspec.Struct, frozen=True, gc=False):
    """The handshake is done."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """One whole text or binary message."""

    payload: bytes


class Control(msgspec.Struct, frozen=True, gc=False):
    """A ping (answered already) or a pong: the other side lives."""


class Ended(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The connection is over. `status`: of HTTP when the handshake was refused, else 0; `code`: of WebSocket."""

    code: int = 0
    status: int = 0
    text: str = ""


FrameEvent = Opened | Message | Control | Ended


class Address:
    """Where to connect; may hold a listen key, so it shows only its host and cannot be encoded by accident."""

    __slots__ = ("headers", "url")

    def __init__(self, url: str, *, headers: Sequence[Header] = ()) -> None:
        self.url = url
        self.headers = headers

    def __repr__(self) -> str:
        return f"<{self.url.partition('://')[2].partition('/')[0].partition('?')[0].rpartition('@')[2]}>"


_PLAIN: Final = frozenset({0x81, 0x82})
"""First bytes of whole messages, text and binary."""
_ORDERLY: Final = frozenset({0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8A})
"""First bytes that may be: those, fragments, close, ping and pong, none with the bit of an extension."""
_FIRST_PARTS: Final = frozenset({0x01, 0x02})
_LAST_PART: Final = 0x80
_WRONG: Final = 0xFF
_CUT_MAX: Final = 65_535
"""Larger frames come in many pieces, which the library puts together without copying them again and again."""
_HEAD_END: Final = b"\r\n\r\n"


class Frames:
    """One connection. Feed it what was received, write what `outgoing` gives."""

    __slots__ = (
        "_cut_max",
        "_ended",
        "_head",
        "_in_parts",
        "_owed",
        "_parts",
        "_protocol",
        "_rest",
        "_through",
        "host",
        "port",
        "secure",
    )

    def __init__(self, address: Address, *, message_bytes_max: int = 4 * 1024 * 1024) -> None:
        try:
            uri = parse_uri(address.url)
        except WebSocketException:
            raise CallerError(f"{address!r} is no ws:// or wss:// address; nothing was sent") from None
        self.host = uri.host
        self.port = uri.port
        self.secure = uri.secure
        self._protocol = ClientProtocol(uri, max_size=message_bytes_max, logger=_SILENT)
        self._cut_max = min(message_bytes_max, _CUT_MAX)
        self._parts: list[bytes] = []
        self._ended = False
        self._through = True  # the library is given everything: before the handshake is done, and after a wrong frame
        self._head = b""  # the last bytes of the handshake so far, which the library has
        self._rest = b""  # the beginning of a frame, which it has not
        self._owed = 0  # bytes still to come of a frame whose beginning it has
        self._in_parts = False  # the first fragment of a message was seen, and not yet the last
        request = self._protocol.connect()
        for name, value in address.headers:
            request.headers[name.decode()] = value.decode()
        self._protocol.send_request(request)

    def outgoing(self) -> bytes:
        """What is to be written now; each byte is given once."""
        return b"".join(self._protocol.data_to_send())

    def received(self, data: bytes) -> list[FrameEvent]:
        """Take what was read; b"" is the end of the stream. Nothing comes after `Ended`."""
        events: list[FrameEvent] = []
        if self._ended:
            return events
        if not data:
            self._protocol.receive_data(self._rest)
            self._protocol.receive_eof()
            self._collect(events, over=True)
        elif self._through:
            self._shake(data, events)
        else:
            self._split(data, events)
        return events

    def send(self, payload: bytes) -> None:
        """Queue one text message; does nothing once the connection is closing."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_text(payload)

    def ping(self) -> None:
        """Queue a ping frame; does nothing once the connection is closing."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_ping(b"")

    def close(self) -> None:
        """Queue a close frame, if the handshake is done and none was sent."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(1000)

    # --- bytes in ---------------------------------------------------------------------------------------------------

    def _shake(self, data: bytes, events: list[FrameEvent]) -> None:
        """Give the library the handshake, and what comes behind it to `_split` if it went well."""
        known = len(self._head)
        head = self._head + data
        end = head.find(_HEAD_END)
        if end < 0 or self._protocol.state is not State.CONNECTING:
            self._head = head[-3:]
            self._give(data, events)
            return
        cut = end + len(_HEAD_END) - known
        self._give(data[:cut], events)
        self._through = self._protocol.handshake_exc is not None
        if len(data) > cut and not self._ended:
            if self._through:
                self._give(data[cut:], events)
            else:
                self._split(data[cut:], events)

    def _split(self, data: bytes, events: list[FrameEvent]) -> None:
        """Cut out whole messages, and give the library every other frame, as far as it is there."""
        at = 0
        if self._owed:
            at = min(self._owed, len(data))
            self._owed -= at
            self._give(data[:at], events)
        elif self._rest:
            data = self._rest + data
            self._rest = b""
        cut_max = self._cut_max
        have = len(data)
        while have - at >= 2 and not self._ended:
            first = data[at]
            length = data[at + 1]
            start = at + 2
            if length > 125:
                if first not in _ORDERLY or length > 127:
                    first = _WRONG
                else:
                    start = at + 4 if length == 126 else at + 10
                    if have < start:
                        break
                    length = data[at + 2] << 8 | data[at + 3] if length == 126 else int.from_bytes(data[at + 2 : start])
            end = start + length
            if first in _PLAIN and length <= cut_max and not self._in_parts:
                if have < end:
                    break
                events.append(Message(data[start:end]))
            elif first in _ORDERLY:
                if first in _FIRST_PARTS:
                    self._in_parts = True
                elif first == _LAST_PART:
                    self._in_parts = False
                self._owed = max(0, end - have)
                self._give(data[at:end], events)
            else:
                self._through = True
                self._give(data[at:], events)
                return
            at = end
        self._rest = data[at:]

    def _give(self, data: bytes, events: list[FrameEvent]) -> None:
        """Let the library have these bytes, and take what it makes of them."""
        self._protocol.receive_data(data)
        self._collect(events, over=False)

    def _collect(self, events: list[FrameEvent], *, over: bool) -> None:
        """Take what the library has seen; `over`: and nothing comes any more."""
        protocol = self._protocol
        for event in protocol.events_received():
            if isinstance(event, Frame):
                self._frame(event, events)
            elif isinstance(event, Response) and protocol.handshake_exc is None:
                events.append(Opened())
        if over or protocol.handshake_exc or protocol.parser_exc or protocol.close_rcvd:
            self._ended = True
            events.append(self._end())

    def _frame(self, frame: Frame, events: list[FrameEvent]) -> None:
        opcode = frame.opcode
        if opcode is Opcode.TEXT or opcode is Opcode.BINARY:
            if frame.fin:
                events.append(Message(bytes(frame.data)))
            else:
                self._parts = [bytes(frame.data)]
        elif opcode is Opcode.CONT:
            self._parts.append(bytes(frame.data))
            if frame.fin:
                events.append(Message(b"".join(self._parts)))
                self._parts = []
        elif opcode is not Opcode.CLOSE:
            events.append(Control())

    def _end(self) -> Ended:
        protocol = self._protocol
        refused = protocol.handshake_exc
        if isinstance(refused, InvalidStatus):
            status = refused.response.status_code
            return Ended(status=status, text=f"the handshake was refused with HTTP {status}")
        if refused is not None:
            return Ended(text=f"the handshake failed: {type(refused).__name__}")
        if protocol.close_rcvd is not None:
            code, reason = protocol.close_rcvd.code, protocol.close_rcvd.reason
            return Ended(code=code, text=f"closed by the venue: {code} {reason}".strip())
        if protocol.parser_exc is not None and not isinstance(protocol.parser_exc, EOFError):
            return Ended(code=1002, text=f"not WebSocket: {type(protocol.parser_exc).__name__}")
        return Ended(code=1006, text="the connection ended without a close")
