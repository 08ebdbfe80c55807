"""What a venue's emulator is to its carrier: it answers requests and speaks on sockets, in plain calls.

Rules
- A request reaches the app whole and once, byte for byte as it was written: nothing is decoded, sorted or joined,
  because what was signed is bytes.
- Whether a request is carried out is the app's business, how the bytes of its reply fare is `faults`': so "executed,
  and nobody heard" and "never arrived" are both one line.
- Requests carry keys and signatures: neither they nor replies show them in their `repr`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from venues.emulation.faults import ByteFault

Header = tuple[bytes, bytes]


class HttpRequest(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One whole request.

    target     as it stood in the request line, undecoded.
    headers    in order, names in lower case.
    """

    method: str
    target: bytes
    headers: tuple[Header, ...] = ()
    body: bytes = b""

    @property
    def path(self) -> str:
        """The target without its query (and without scheme and host, should a proxy have written those), undecoded."""
        path = self.target.partition(b"?")[0]
        if not path.startswith(b"/"):
            path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
        return path.decode("latin-1")

    @property
    def query(self) -> bytes:
        """What follows the first question mark, undecoded; b"" when there is none."""
        return self.target.partition(b"?")[2]

    def header(self, name: bytes) -> bytes | None:
        """The first header of that name (in lower case), or None."""
        for each, value in self.headers:
            if each == name:
                return value
        return None

    def __repr__(self) -> str:
        return f"<{self.method} {self.path} with {len(self.query)} bytes of query and {len(self.body)} of body>"


class HttpReply(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One reply; its framing (Content-Length, Connection, Date) is the connection's, unless Date is given.

    A header `connection: close` closes after it. faults: what happens to the bytes of this very reply.
    """

    status: int = 200
    headers: tuple[Header, ...] = ()
    body: bytes = b""
    faults: tuple[ByteFault, ...] = ()

    def __repr__(self) -> str:
        return f"<HTTP {self.status} with {len(self.body)} bytes of body>"


Answer = Callable[[HttpReply], None]
"""Answers one request, once: within the call that brought it, later, or never. Says nothing to who has gone."""


class ServerSocket(Protocol):
    """The server's end of one WebSocket. Plain calls that return at once.

    After `close`, `drop` or `abort`, and once the other end is gone, everything sent goes nowhere.
    """

    def send_text(self, payload: bytes) -> None:
        """Send one text message; `payload` is UTF-8."""

    def send_binary(self, payload: bytes) -> None:
        """Send one binary message."""

    def ping(self, payload: bytes = b"") -> None:
        """Send a ping frame of at most 125 bytes; the handler's `ponged` tells of its answer."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame, wait a bounded time for the other's, and end. Nothing more is told to the handler."""

    def drop(self) -> None:
        """End the connection (FIN) without a close frame. Nothing more is told to the handler."""

    def abort(self) -> None:
        """Reset the connection (RST). Nothing more is told to the handler."""

    def strike(self, *faults: ByteFault) -> None:
        """These byte faults on this connection, from now on.

        When a fault ends it, the handler is told by `closed`; of a half-open one nobody is told.
        """


class SocketHandler(Protocol):
    """Who listens on one WebSocket. Plain calls."""

    def received(self, payload: bytes, *, text: bool) -> None:
        """One whole message; `payload` of a text is its UTF-8."""

    def ponged(self, payload: bytes) -> None:
        """A pong frame. Pings of the other end are answered before anybody is asked."""

    def closed(self, why: str) -> None:
        """It is over, told once and never within a call of the handler's own: closed or reset by the other end."""


class App(Protocol):
    """One emulated venue, whatever carries its bytes."""

    def request(self, request: HttpRequest, answer: Answer) -> None:
        """One request; the next one on that connection is not looked at before this one is answered."""

    def socket(self, request: HttpRequest, socket: ServerSocket) -> SocketHandler | HttpReply:
        """A WebSocket handshake: who listens from now on, or the reply that refuses it.

        What is sent on the socket within this call goes out after the handshake; if it is refused, nowhere.
        """
