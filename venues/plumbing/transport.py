"""Transport: the bytes of one request out, the bytes of one reply in, or a failure that says how far they got.

Rules
- Plain calls: `send` returns at once and the outcome comes to a callback, exactly once. So one interface serves an
  HTTP library that needs a task per request, a lean protocol that needs none, and an emulator in virtual time.
- Bytes are sent as they are given. Nothing re-encodes a target that has been signed.
- A transport never sends anything twice and follows no redirect: what may be repeated is decided in `client`.
- Not sent means that provably not one byte of the request was written. Everything else without a whole reply is in
  doubt: a reply cut off in the middle too, since the venue had acted before it spoke.
- Requests carry keys and signatures, replies carry listen keys: neither shows them in its `repr`, neither can be
  encoded by accident, and no failure quotes them.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from sor.adapter import Reach

Header = tuple[bytes, bytes]


def _at_any_time() -> bool:
    return True


class WireRequest:
    """One HTTP request, ready to be written.

    target       path and query exactly as signed.
    headers      without Host and Content-Length, which are the transport's.
    deadline_ns  when the caller stops waiting, on the scheduler's clock.
    leave_by_ns  when it is no longer to be sent; until set, the deadline. It matters where it waits for a connection.
    may_leave    asked, where it had to wait for one, right before its first byte: False and it is not sent. Requests
                 that waited together would otherwise leave together, past any rate limit.
    """

    __slots__ = ("body", "deadline_ns", "headers", "leave_by_ns", "may_leave", "method", "target")

    def __init__(
        self, *, method: str, target: bytes, headers: Sequence[Header] = (), body: bytes = b"", deadline_ns: int
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.deadline_ns = deadline_ns
        self.leave_by_ns = deadline_ns
        self.may_leave: Callable[[], bool] = _at_any_time

    def __repr__(self) -> str:
        path, _, query = self.target.partition(b"?")
        return f"<{self.method} {path!r} with {len(query)} bytes of query and {len(self.body)} of body>"


class WireReply:
    """One HTTP reply, whole. `sent_ns` is just before the first byte left, `recv_ns` just after the last came."""

    __slots__ = ("body", "headers", "recv_ns", "sent_ns", "status")

    def __init__(self, *, status: int, headers: Sequence[Header], body: bytes, sent_ns: int, recv_ns: int) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.sent_ns = sent_ns
        self.recv_ns = recv_ns

    def __repr__(self) -> str:
        return f"<HTTP {self.status} with {len(self.body)} bytes of body>"

    def header(self, name: bytes) -> bytes | None:
        """The first header of that name (in lower case), or None."""
        for each, value in self.headers:
            if each.lower() == name:
                return value
        return None


class Cause(StrEnum):
    """Why there is no reply."""

    UNREACHABLE = "unreachable"
    """No connection: name not found, refused, or TLS failed."""
    CROWDED = "crowded"
    """Too many requests of ours wait for a connection."""
    TIMEOUT = "timeout"
    """The deadline passed; or, where it was not sent, the time to leave."""
    CUT_OFF = "cut_off"
    """The connection ended before the reply did."""
    GARBLED = "garbled"
    """What came is not a reply that can be read."""
    UNSENDABLE = "unsendable"
    """The request itself is not HTTP: a line break in a header, a space in the target."""
    CLOSED = "closed"
    """We closed the transport."""


class Broken(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A request without a reply."""

    reach: Reach
    cause: Cause
    text: str


Outcome = WireReply | Broken


class Transport(Protocol):
    """Something that carries requests to one host."""

    def send(self, request: WireRequest, on_outcome: Callable[[Outcome], None]) -> None:
        """Send a request; `on_outcome` is called exactly once, perhaps before this returns."""


_NOT_IN_TARGET = re.compile(rb"[^\x21-\x7e]")
_NOT_IN_HEADER = re.compile(rb"[^\x20-\x7e]")
_NOT_IN_NAME = re.compile(rb"[^A-Za-z0-9_-]")


def sendable(request: WireRequest) -> bool:
    """Whether a request can be written as HTTP at all, and as the one request that it is.

    Checked before anything is opened: a line break in a key or a value would end up as a header or a second request.
    """
    if _NOT_IN_TARGET.search(request.target) or not request.target.startswith(b"/") or not request.method.isalpha():
        return False
    for name, value in request.headers:
        if not name or _NOT_IN_NAME.search(name) or _NOT_IN_HEADER.search(value) or value != value.strip():
            return False
    return True


def unpacked(body: bytes, encoding: bytes | None, *, bytes_max: int) -> bytes | None:
    """The body of a reply without its content encoding; None when it is not what its header says, or too large."""
    if encoding is None or encoding == b"identity":
        return body
    if encoding not in {b"gzip", b"x-gzip", b"deflate"}:
        return None
    inflate = zlib.decompressobj(47)  # gzip or zlib, whichever its header says
    try:
        plain = inflate.decompress(body, bytes_max + 1)
    except zlib.error:
        return None
    return plain if inflate.eof and len(plain) <= bytes_max else None
