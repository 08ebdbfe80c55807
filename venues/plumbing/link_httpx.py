"""HTTP over httpx's engine: the compatible transport, on asyncio and on trio.

Of httpx, its HTTP/1.1 connections (httpcore) and its certificates are used. Its client costs a third of a request,
re-encodes targets, and logs every URL, signature and listen key included. Its pool slows down with every request in
flight, so each connection has room for one request (a lane), and a request that waits for a lane has provably not been
sent.

Whether a byte may have left is not guessed from the kind of exception: the connection's stream is ours, and what it was
never given has not left.
"""

from __future__ import annotations

import select
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import anyio.abc
import h11
import httpcore
import httpx
import msgspec

from sor.adapter import Reach
from sor.units import NS
from venues.plumbing.http1 import base_address
from venues.plumbing.transport import Broken, Cause, Header, Outcome, WireReply, WireRequest, sendable, unpacked

_LOST = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError)
_BODILESS = frozenset({"GET", "DELETE", "HEAD"})
_CLOSING_S = 2.0


class HttpxSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one transport.

    connections_max    requests in flight at once.
    waiting_max        requests that may wait for a connection.
    connect_timeout_s  for DNS, TCP and TLS together; a request's own deadline may be sooner.
    idle_s             a connection that has idled for longer is not used again; keep it below the venue's own limit,
                       or a request meets a connection that is being closed and is in doubt for nothing.
    reply_bytes_max    size of a reply, packed or unpacked.
    """

    connections_max: int = 8
    waiting_max: int = 64
    connect_timeout_s: float = 3.0
    idle_s: float = 30.0
    reply_bytes_max: int = 16 * 1024 * 1024


class Line(httpcore.AsyncNetworkStream):
    """One connection, anyio's in httpcore's words. `sent_ns`: when the first byte since it was last 0 was given to it.

    Whether a byte of a request may have left is read here and nowhere else: all that is written passes through.
    """

    def __init__(self, stream: anyio.abc.ByteStream, now_ns: Callable[[], int]) -> None:
        self._stream = stream
        self._now_ns = now_ns
        self._poll = select.poll()
        self._poll.register(stream.extra(anyio.abc.SocketAttribute.raw_socket).fileno(), select.POLLIN)
        self.sent_ns = 0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 -- as httpcore has it
        """What comes next; b"" is the end."""
        try:
            return await self._stream.receive(max_bytes)
        except anyio.EndOfStream:
            return b""
        except _LOST as error:
            raise httpcore.ReadError(type(error).__name__) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 -- as httpcore has it
        """Send."""
        if buffer:
            self.sent_ns = self.sent_ns or self._now_ns()
            try:
                await self._stream.send(buffer)
            except _LOST as error:
                raise httpcore.WriteError(type(error).__name__) from error

    async def aclose(self) -> None:
        """End."""
        with anyio.move_on_after(_CLOSING_S, shield=True):
            await self._stream.aclose()

    def get_extra_info(self, info: str) -> object:
        """Whether something came that nobody waits for, the end included; nothing else is known."""
        return bool(self._poll.poll(0)) if info == "is_readable" else None


class _Lane:
    """Room for one request at a time, and the connection that is kept for the next."""

    __slots__ = ("http", "line")

    def __init__(self) -> None:
        self.line: Line | None = None
        self.http: httpcore.AsyncHTTP11Connection | None = None

    @property
    def sent_ns(self) -> int:
        """When the first byte of the present request was written; 0: provably none was."""
        return self.line.sent_ns if self.line is not None else 0

    def nothing_left(self) -> bool:
        """Whether its parser holds no bytes beyond the reply: it would take them for the answer to the next request.

        httpcore tells nobody, so this looks inside. Where there is something else inside than was expected, the
        connection is not used again: dear, and a test goes red, but no order is answered by the reply to another.
        """
        inside = getattr(self.http, "_h11_state", None)
        return isinstance(inside, h11.Connection) and not inside.trailing_data[0]

    async def drop(self) -> None:
        """Close the connection: nobody knows what state it is in."""
        line, self.line, self.http = self.line, None, None
        if line is not None:
            await line.aclose()


class _Waiter:
    """A request without a lane."""

    __slots__ = ("lane", "woken")

    def __init__(self) -> None:
        self.lane: _Lane | None = None
        self.woken = anyio.Event()


class HttpxTransport:
    """A `Transport` to one host. Made by `opened`, which owns its tasks and connections."""

    def __init__(
        self,
        base_url: str,
        *,
        now_ns: Callable[[], int],
        tasks: anyio.abc.TaskGroup,
        settings: HttpxSettings,
        tls: ssl.SSLContext | None,
    ) -> None:
        name, port, secure, host = base_address(base_url)
        self._name, self._port, self._host = name, port, host
        self._scheme = b"https" if secure else b"http"
        self._origin = httpcore.Origin(self._scheme, name.encode(), port)
        self._now_ns = now_ns
        self._tasks = tasks
        self._settings = settings
        if secure and tls is None:
            tls = httpx.create_ssl_context(trust_env=False)
            tls.set_alpn_protocols(["http/1.1"])
        self._tls = tls if secure else None
        self._idle: list[_Lane] = []  # the warmest last
        self._lanes = 0
        self._waiters: deque[_Waiter] = deque()
        self._pending = 0
        self._open = True

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        base_url: str,
        *,
        now_ns: Callable[[], int],
        settings: HttpxSettings | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> AsyncIterator[HttpxTransport]:
        """A transport to `base_url` (scheme, host and port only) that lives as long as the block.

        tls   certificates to trust; None: those that httpx ships with.
        On leaving, what is in flight ends as `Cause.CLOSED`. Raises `CallerError` for an address with a path or a user.
        """
        async with anyio.create_task_group() as tasks:
            transport = cls(base_url, now_ns=now_ns, tasks=tasks, settings=settings or HttpxSettings(), tls=tls)
            try:
                yield transport
            finally:
                transport._open = False
                tasks.cancel_scope.cancel()
                with anyio.move_on_after(_CLOSING_S, shield=True):
                    for lane in transport._idle:
                        await lane.drop()

    def send(self, request: WireRequest, on_outcome: Callable[[Outcome], None]) -> None:
        """Send a request over the warmest idle connection, a new one, or the next that is free."""
        settings = self._settings
        if not self._open:
            on_outcome(Broken(reach=Reach.NOT_SENT, cause=Cause.CLOSED, text="the transport is closed"))
        elif not sendable(request):
            text = "a target, method or header with characters that HTTP does not allow"
            on_outcome(Broken(reach=Reach.NOT_SENT, cause=Cause.UNSENDABLE, text=text))
        elif self._pending >= settings.connections_max + settings.waiting_max:
            text = f"{self._pending} requests are in flight or waiting"
            on_outcome(Broken(reach=Reach.NOT_SENT, cause=Cause.CROWDED, text=text))
        else:
            self._pending += 1
            self._tasks.start_soon(self._carry, request, on_outcome)

    async def _carry(self, request: WireRequest, on_outcome: Callable[[Outcome], None]) -> None:
        """See one request through to its outcome, whatever happens."""
        outcome: Outcome | None = None
        lane: _Lane | None = None
        try:
            with anyio.move_on_after(max(0.0, (request.deadline_ns - self._now_ns()) / NS)) as scope:
                waited = not self._idle
                if waited:
                    with anyio.move_on_after(max(0.0, (request.leave_by_ns - self._now_ns()) / NS)):
                        lane = await self._lane()
                else:
                    lane = self._idle.pop()
                outcome = _NOT_FREE if lane is None else await self._exchange(lane, request, waited=waited)
        finally:
            self._pending -= 1
            if outcome is None:
                late = scope.cancelled_caught
                cause = Cause.TIMEOUT if late else Cause.CLOSED
                text = "no whole reply before the deadline" if late else "the transport was closed"
                if lane is None:
                    outcome = msgspec.structs.replace(_NOT_FREE, cause=cause)
                else:
                    outcome = _broken(lane, cause, text)
            if lane is not None:
                if not (isinstance(outcome, WireReply) and lane.nothing_left()):
                    await lane.drop()
                self._give(lane)
            on_outcome(outcome)

    async def _exchange(self, lane: _Lane, request: WireRequest, *, waited: bool) -> Outcome:
        """One round trip; raises only what a cancellation raises. waited: for its lane."""
        http = lane.http
        if http is None or not http.is_idle() or http.has_expired():
            waited = True
            await lane.drop()
            try:
                http = await self._connect(lane)
            except (*_LOST, anyio.EndOfStream, UnicodeError) as error:
                return Broken(reach=Reach.NOT_SENT, cause=Cause.UNREACHABLE, text=f"{type(error).__name__}: {error}")
        if waited and not (self._now_ns() < request.leave_by_ns and request.may_leave()):
            return _NOT_FREE
        assert lane.line is not None
        lane.line.sent_ns = 0
        body = request.body
        headers = [(b"Host", self._host), *request.headers]
        if body or request.method not in _BODILESS:
            headers.append((b"Content-Length", b"%d" % len(body)))
        url = httpcore.URL(scheme=self._scheme, host=self._origin.host, port=self._port, target=request.target)
        try:
            response = await http.handle_async_request(
                httpcore.Request(request.method.encode(), url, headers=headers, content=body)
            )
            try:
                received = await self._body(response)
            finally:
                await response.aclose()
        except httpcore.RemoteProtocolError as error:
            ended = "disconnected" in str(error) or "closed" in str(error)
            return _broken(lane, Cause.CUT_OFF if ended else Cause.GARBLED, type(error).__name__)
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            # Only its name: h11 quotes what it dislikes, which may be a key.
            return _broken(lane, Cause.CUT_OFF, type(error).__name__)
        bytes_max = self._settings.reply_bytes_max
        if received is None:
            return _broken(lane, Cause.GARBLED, f"more than {bytes_max} bytes of reply")
        encoding = _encoding(response.headers)
        plain = unpacked(received, encoding, bytes_max=bytes_max)
        if plain is None:
            return _broken(lane, Cause.GARBLED, f"a body that cannot be unpacked as {encoding!r}")
        now_ns = self._now_ns()
        return WireReply(
            status=response.status,
            headers=response.headers,
            body=plain,
            sent_ns=lane.sent_ns or now_ns,
            recv_ns=now_ns,
        )

    async def _connect(self, lane: _Lane) -> httpcore.AsyncHTTP11Connection:
        """Connect a lane. Raises `OSError`, `UnicodeError` or what anyio has for a lost connection."""
        with anyio.fail_after(self._settings.connect_timeout_s):
            stream: anyio.abc.ByteStream
            if self._tls is None:
                stream = await anyio.connect_tcp(self._name, self._port)
            else:
                # Venues end without a TLS goodbye; a reply that counts has its length, or its last chunk.
                stream = await anyio.connect_tcp(
                    self._name,
                    self._port,
                    ssl_context=self._tls,
                    tls_hostname=self._name,
                    tls_standard_compatible=False,
                )
        lane.line = Line(stream, self._now_ns)
        lane.http = httpcore.AsyncHTTP11Connection(self._origin, lane.line, keepalive_expiry=self._settings.idle_s)
        return lane.http

    async def _body(self, response: httpcore.Response) -> bytes | None:
        """The packed body, or None when it is too large."""
        parts: list[bytes] = []
        left = self._settings.reply_bytes_max
        try:
            async for part in response.aiter_stream():
                left -= len(part)
                if left >= 0:
                    parts.append(part)
                else:
                    # The stream is read on after it was closed, which fails at once: left alone, its generators
                    # would be collected unfinished, which trio forbids.
                    await response.aclose()
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError):
            if left >= 0:
                raise
        if left < 0:
            return None
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _lane(self) -> _Lane:
        if self._lanes < self._settings.connections_max:
            self._lanes += 1
            return _Lane()
        waiter = _Waiter()
        self._waiters.append(waiter)
        try:
            await waiter.woken.wait()
        except BaseException:
            if waiter.lane is None:
                self._waiters.remove(waiter)
            else:
                self._give(waiter.lane)
            raise
        assert waiter.lane is not None
        return waiter.lane

    def _give(self, lane: _Lane) -> None:
        """Hand a lane to who waits for one, or keep it."""
        if self._waiters:
            waiter = self._waiters.popleft()
            waiter.lane = lane
            waiter.woken.set()
        else:
            self._idle.append(lane)


_NOT_FREE = Broken(reach=Reach.NOT_SENT, cause=Cause.TIMEOUT, text="no connection was free")


def _broken(lane: _Lane, cause: Cause, text: str) -> Broken:
    """A failure after a lane was had: not sent only where its connection was given no byte."""
    reach = Reach.IN_DOUBT if lane.sent_ns else Reach.NOT_SENT
    return Broken(reach=reach, cause=cause, text=text)


def _encoding(headers: Sequence[Header]) -> bytes | None:
    for name, value in headers:
        if len(name) == len(_ENCODING) and name.lower() == _ENCODING:
            return value
    return None


_ENCODING = b"content-encoding"
