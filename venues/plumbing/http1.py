"""HTTP/1.1 as a client speaks it, without I/O: the bytes of a request, and replies out of bytes that are cut anywhere.

Small on purpose. It understands what venues send and nothing else: a reply that is framed in any other way, or in two
ways at once, raises `Garbled`, and its request is in doubt. A wrong reply would be worse than none.

Rules
- A reply ends where its length or its last chunk says. One that would end with its connection is garbled: nobody can
  tell it from one that was cut off.
- Interim replies (1xx) are passed over; 101 answers a question that is never asked, so it is garbled.
- Everything is bounded: heads, interim ones included, at `HEAD_BYTES_MAX`, chunk lines and trailers too, bodies by
  whoever makes the reader.
- No text of a failure quotes what was sent or received.

Source: RFC 9112, sections 4 to 7 and 9.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from sor.errors import CallerError, VenueFault
from venues.plumbing.transport import Header, WireRequest, unpacked

HEAD_BYTES_MAX: Final = 64 * 1024
"""Of one reply's heads together, and of its trailers."""
_CHUNK_LINE_MAX = 1024
_NO_BODY = frozenset({204, 304})
_BODILESS_METHODS = frozenset({"GET", "DELETE", "HEAD"})

_VALUE = rb"[\t\x20-\x7e\x80-\xff]*"
_NAME = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# Possessive throughout: what one part has taken no other may try, so no input takes longer than its length.
_FIELDS = rb"(?:" + _NAME + rb"+:" + _VALUE + rb"+\r\n)*+"
_HEAD = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: " + _VALUE + rb"+)?+\r\n(" + _FIELDS + rb")\r\n")
_FIELD = re.compile(rb"([^:\r\n]+):([^\r\n]*)\r\n")
_TRAILERS = re.compile(_FIELDS + rb"\r\n")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;" + _VALUE + rb")?\r\n")


class Garbled(VenueFault):
    """What came is no reply that can be read."""


class Answer:
    """One whole reply. `keep`: the connection may carry another request."""

    __slots__ = ("body", "headers", "keep", "status")

    def __init__(self, *, status: int, headers: list[Header], body: bytes, keep: bool) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.keep = keep


def base_address(base_url: str) -> tuple[str, int, bool, bytes]:
    """Name, port, whether TLS, and what requests call the host, of an http(s) address without path and user.

    Raises `CallerError` for any other.
    """
    try:
        url = urlsplit(base_url)
        port = url.port
    except ValueError:
        raise CallerError("a base address is http(s)://host[:port]; nothing was sent") from None
    bare = url.path in {"", "/"} and not url.query and not url.fragment and "@" not in url.netloc
    if url.scheme not in {"http", "https"} or not url.hostname or not bare:
        raise CallerError(f"a base address is http(s)://host[:port], not one of {url.scheme!r}; nothing was sent")
    secure = url.scheme == "https"
    return url.hostname, port or (443 if secure else 80), secure, url.netloc.encode()


def request_bytes(request: WireRequest, host: bytes) -> bytes:
    """The request as it is written. It must be `transport.sendable`.

    host    what goes into the Host field: the name, and the port unless it is the scheme's own.
    """
    body = request.body
    lines = [b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (request.method.encode(), request.target, host)]
    for name, value in request.headers:
        lines.append(b"%b: %b\r\n" % (name, value))
    if body or request.method not in _BODILESS_METHODS:
        lines.append(b"Content-Length: %d\r\n" % len(body))
    lines.append(b"\r\n")
    lines.append(body)
    return b"".join(lines)


class ReplyReader:
    """Reads the replies of one connection, one for each `begin`.

    body_bytes_max    of a body, packed or unpacked.
    """

    __slots__ = ("_buffer", "_chunks", "_head", "_heads_bytes", "_left", "_max", "_method", "_parts", "_size")

    def __init__(self, *, body_bytes_max: int) -> None:
        self._max = body_bytes_max
        self._buffer = b""
        self._method = ""
        self._head: _Head | None = None
        self._heads_bytes = 0
        self._chunks = False
        self._left = 0
        self._parts: list[bytes] = []
        self._size = 0

    def begin(self, method: str) -> None:
        """A request with this method is about to be written; its reply comes next."""
        self._method = method
        self._buffer = b""
        self._head = None
        self._heads_bytes = 0
        self._parts = []
        self._size = 0

    def received(self, data: bytes) -> Answer | None:
        """Take what was read; the reply once it is whole. Raises `Garbled`, after which only `begin` makes sense."""
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        head, at = self._head, 0
        while head is None:
            end = data.find(b"\r\n\r\n", at) + 4
            if end < 4:
                if self._heads_bytes + len(data) - at > HEAD_BYTES_MAX:
                    raise Garbled("a head without an end")
                self._buffer = data[at:]
                return None
            self._head = head = self._read_head(data, at, end)
            at = end
        if at:
            data = data[at:]
        return self._chunked(head, data) if head.chunked else self._counted(head, data)

    # --- heads --------------------------------------------------------------------------------------------------------

    def _read_head(self, data: bytes, at: int, end: int) -> _Head | None:
        """The head between two offsets; None for an interim one."""
        self._heads_bytes += end - at
        if self._heads_bytes > HEAD_BYTES_MAX:
            raise Garbled("a head that is too large")
        found = _HEAD.fullmatch(data, at, end)
        if found is None:
            raise Garbled("a head that is not HTTP")
        minor, code, fields = found.groups()
        status = int(code)
        if status == 101:
            raise Garbled("another protocol, which was not asked for")
        if status < 200:
            return None
        head = _Head(status, _FIELD.findall(fields), old=minor == b"0")
        if self._method == "HEAD" or status in _NO_BODY:
            head.chunked = False
            self._left = 0
        elif head.chunked:
            self._left = _AT_LINE
        elif head.length < 0:
            raise Garbled("a body that only the end of the connection would end")
        elif head.length > self._max:
            raise Garbled(f"more than {self._max} bytes of body")
        else:
            self._left = head.length
        return head

    # --- bodies -------------------------------------------------------------------------------------------------------

    def _counted(self, head: _Head, data: bytes) -> Answer | None:
        left = self._left
        if len(data) < left:
            self._left = left - len(data)
            self._take(data)
            return None
        if len(data) == left:
            self._take(data)
            return self._answer(head, rest=b"")
        self._take(data[:left])
        return self._answer(head, rest=data[left:])

    def _chunked(self, head: _Head, data: bytes) -> Answer | None:
        """`_left` is what the present chunk still has, its line end included, or one of the states below."""
        at, end = 0, len(data)
        while at < end:
            left = self._left
            if left == _AT_LINE:
                found = _CHUNK_LINE.match(data, at)
                if found is None:
                    if b"\n" in data[at : at + _CHUNK_LINE_MAX] or end - at >= _CHUNK_LINE_MAX:
                        raise Garbled("a chunk without a size")
                    break
                at = found.end()
                size = int(found.group(1), 16)
                if self._size + size > self._max:
                    raise Garbled(f"more than {self._max} bytes of body")
                self._left = size + 2 if size else _AT_TRAILERS
            elif left == _AT_TRAILERS:
                if data.startswith(b"\r\n", at):
                    return self._answer(head, rest=data[at + 2 :])
                stop = data.find(b"\r\n\r\n", at) + 4
                if stop < 4 and end - at <= HEAD_BYTES_MAX:
                    break
                if stop < 4 or stop - at > HEAD_BYTES_MAX or not _TRAILERS.fullmatch(data, at, stop):
                    raise Garbled("trailers that are not HTTP")
                return self._answer(head, rest=data[stop:])
            elif left > 2:
                piece = data[at : at + left - 2]
                self._take(piece)
                at += len(piece)
                self._left = left - len(piece)
            elif end - at < 2:
                break
            elif not data.startswith(b"\r\n", at):
                raise Garbled("a chunk that is longer than it says")
            else:
                at += 2
                self._left = _AT_LINE
        self._buffer = data[at:]
        return None

    def _take(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._max:
            raise Garbled(f"more than {self._max} bytes of body")
        if data:
            self._parts.append(data)

    def _answer(self, head: _Head, *, rest: bytes) -> Answer:
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        if head.encoding is not None and body:
            plain = unpacked(body, head.encoding, bytes_max=self._max)
            if plain is None:
                raise Garbled("a body that cannot be unpacked")
            body = plain
        # Bytes beyond the reply answer nothing that was asked; whatever they are, nothing more is believed here.
        return Answer(status=head.status, headers=head.headers, body=body, keep=head.keep and not rest)


_AT_LINE: Final = -1
"""A chunk's line comes next."""
_AT_TRAILERS: Final = -2


_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"content-encoding", b"connection"})


class _Head:
    """What a head says of its body and its connection. Raises `Garbled` where it says it twice, or unclearly."""

    __slots__ = ("chunked", "encoding", "headers", "keep", "length", "status")

    def __init__(self, status: int, fields: list[Header], *, old: bool) -> None:
        self.status = status
        self.chunked = False
        self.length = -1  # not said
        self.encoding: bytes | None = None
        self.keep = not old
        headers: list[Header] = []
        for name, padded in fields:
            lower, value = name.lower(), padded.strip(b" \t")
            headers.append((lower, value))
            if lower not in _FRAMING:
                continue
            if lower == b"content-length":
                if self.length >= 0 or not value.isdigit() or len(value) > 15:
                    raise Garbled("a length that is none")
                self.length = int(value)
            elif lower == b"transfer-encoding":
                if self.chunked or old or value.lower() != b"chunked":
                    raise Garbled("a transfer encoding that nobody asked for")
                self.chunked = True
            elif lower == b"content-encoding":
                if self.encoding is not None:
                    raise Garbled("two content encodings")
                self.encoding = value.lower()
            elif b"close" in value.lower():
                self.keep = False
        if self.chunked and self.length >= 0:
            raise Garbled("a body with a length and in chunks")
        self.headers = headers
