"""Frames: the client's side of one WebSocket connection, bytes in and bytes out, without a socket.

websockets' sans-I/O protocol does the handshake, the masking, the answers to pings and the closing; here are messages
put together from fragments, sizes bounded, and everything that can go wrong turned into one `Ended`. Payloads stay
bytes: whoever decodes JSON checks the text anyway.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

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


class Frames:
    """One connection. Feed it what was received, write what `outgoing` gives."""

    __slots__ = ("_ended", "_parts", "_protocol", "host", "port", "secure")

    def __init__(self, address: Address, *, message_bytes_max: int = 4 * 1024 * 1024) -> None:
        try:
            uri = parse_uri(address.url)
        except WebSocketException:
            raise CallerError(f"{address!r} is no ws:// or wss:// address; nothing was sent") from None
        self.host = uri.host
        self.port = uri.port
        self.secure = uri.secure
        self._protocol = ClientProtocol(uri, max_size=message_bytes_max, logger=_SILENT)
        self._parts: list[bytes] = []
        self._ended = False
        request = self._protocol.connect()
        for name, value in address.headers:
            request.headers[name.decode()] = value.decode()
        self._protocol.send_request(request)

    def outgoing(self) -> bytes:
        """What is to be written now; each byte is given once."""
        return b"".join(self._protocol.data_to_send())

    def received(self, data: bytes) -> list[FrameEvent]:
        """Take what was read; b"" is the end of the stream. Nothing comes after `Ended`."""
        if self._ended:
            return []
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        events: list[FrameEvent] = []
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._frame(event, events)
            elif isinstance(event, Response) and self._protocol.handshake_exc is None:
                events.append(Opened())
        if not data or self._protocol.handshake_exc or self._protocol.parser_exc or self._protocol.close_rcvd:
            self._ended = True
            events.append(self._end())
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
