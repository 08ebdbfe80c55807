"""One WebSocket as the server has it: frames by wsproto, what the app wishes, and what it is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Protocol

from wsproto.connection import Connection as Frames
from wsproto.connection import ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from venues.emulation.app import SocketHandler
from venues.emulation.faults import ByteFault, Hits
from venues.emulation.server import Server
from venues.emulation.valve import Valve


class Bearer(Protocol):
    """The connection below."""

    def close(self) -> None:
        """End it (FIN)."""

    def abort(self) -> None:
        """End it (RST)."""

    def strike(self, *faults: ByteFault) -> None:
        """Byte faults from now on."""


class _Phase(Enum):
    EARLY = auto()
    OPEN = auto()
    CLOSING = auto()
    """We sent a close frame and wait for the other's; the handler is told nothing any more."""
    OVER = auto()


class Session:
    """The server's end of one WebSocket, a `ServerSocket`."""

    def __init__(self, server: Server, bearer: Bearer, out: Valve) -> None:
        self._server = server
        self._bearer = bearer
        self._out = out
        self._frames = Frames(ConnectionType.SERVER)
        self._phase = _Phase.EARLY
        self._early: list[Callable[[], None]] = []
        """What the app asked for before the handshake was answered."""
        self._handler: SocketHandler | None = None
        self._message = bytearray()

    # --- from the app -----------------------------------------------------------------------------------------------

    def send_text(self, payload: bytes) -> None:
        """One text message."""
        self._when_open(lambda: self._send(TextMessage(data=payload.decode())))

    def send_binary(self, payload: bytes) -> None:
        """One binary message."""
        self._when_open(lambda: self._send(BytesMessage(data=payload)))

    def ping(self, payload: bytes = b"") -> None:
        """A ping frame."""
        self._when_open(lambda: self._out.send(self._frames.send(Ping(payload=payload))))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close with a close frame."""
        self._when_open(lambda: self._say_close(code, reason))

    def drop(self) -> None:
        """End without a close frame."""
        self._when_open(self._drop)

    def abort(self) -> None:
        """Reset."""
        self._when_open(self._abort)

    def strike(self, *faults: ByteFault) -> None:
        """Byte faults from now on."""
        self._when_open(lambda: self._bearer.strike(*faults))

    # --- from the connection ----------------------------------------------------------------------------------------

    def refused(self) -> None:
        """The app refused the handshake."""
        self._phase = _Phase.OVER

    def open(self, handler: SocketHandler, handshake: bytes, faults: Sequence[ByteFault]) -> None:
        """Answer the handshake, and then with what the app has already asked for."""
        self._phase, self._handler = _Phase.OPEN, handler
        self._out.send(handshake, faults)
        for action in self._early:
            self._when_open(action)
        self._early.clear()

    def received(self, data: bytes) -> None:
        """Some bytes of frames."""
        if self._is_over():
            return
        self._frames.receive_data(data)
        for event in self._frames.events():
            match event:
                case TextMessage() | BytesMessage():
                    self._collect(event)
                case Ping():
                    if self._frames.state is ConnectionState.OPEN:
                        self._out.send(self._frames.send(event.response()))
                case Pong():
                    if self._phase is _Phase.OPEN and self._handler is not None:
                        self._handler.ponged(bytes(event.payload))
                case CloseConnection():
                    self._told_close(event)
                case _:
                    pass
            if self._is_over():
                return

    def lost(self, why: str) -> None:
        """The client has gone."""
        told, self._phase = self._phase is _Phase.OPEN, _Phase.OVER
        if told and self._handler is not None:
            self._handler.closed(why)

    def cut(self, why: str) -> None:
        """A fault ended the connection."""
        if self._phase is _Phase.OPEN and self._handler is not None:
            handler, scheduler = self._handler, self._server.scheduler
            scheduler.call_at(scheduler.now_ns(), lambda: handler.closed(why))
        self._phase = _Phase.OVER

    def _is_over(self) -> bool:
        return self._phase is _Phase.OVER or self._out.sealed

    # --- the parts --------------------------------------------------------------------------------------------------

    def _when_open(self, action: Callable[[], None]) -> None:
        if self._phase is _Phase.OPEN:
            action()
        elif self._phase is _Phase.EARLY:
            self._early.append(action)

    def _send(self, message: TextMessage | BytesMessage) -> None:
        self._out.send(self._frames.send(message), self._server.faults.take(Hits.MESSAGE))

    def _collect(self, event: TextMessage | BytesMessage) -> None:
        if self._phase is not _Phase.OPEN or self._handler is None:
            return
        text = isinstance(event, TextMessage)
        self._message += event.data.encode() if isinstance(event, TextMessage) else event.data
        if len(self._message) > self._server.limits.message_bytes_max:
            self._fail(1009, "message too large")
        elif event.message_finished:
            message = bytes(self._message)
            self._message.clear()
            self._handler.received(message, text=text)

    def _say_close(self, code: int, reason: str) -> None:
        self._phase = _Phase.CLOSING
        self._out.send(self._frames.send(CloseConnection(code=code, reason=reason)))
        scheduler = self._server.scheduler
        scheduler.call_at(scheduler.now_ns() + self._server.limits.close_wait_ns, self._drop)

    def _told_close(self, event: CloseConnection) -> None:
        """A close frame, the answer to ours, or frames that cannot be read."""
        if self._frames.state is ConnectionState.OPEN:
            self._fail(int(event.code), "")  # wsproto's words depend on how the bytes were cut
            return
        if self._frames.state is ConnectionState.REMOTE_CLOSING:
            self._out.send(self._frames.send(event.response()))
        self._bearer.close()
        self.lost(f"closed by the client: {int(event.code)} {event.reason or ''}".rstrip())

    def _fail(self, code: int, why: str) -> None:
        """Close at once because of what the client sent."""
        self._out.send(self._frames.send(CloseConnection(code=code, reason=why)))
        self._bearer.close()
        self.lost(f"the client broke the protocol: {code} {why}".rstrip())

    def _drop(self) -> None:
        if self._phase is not _Phase.OVER:
            self._phase = _Phase.OVER
            self._bearer.close()

    def _abort(self) -> None:
        self._phase = _Phase.OVER
        self._bearer.abort()
