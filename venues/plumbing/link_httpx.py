"""HTTP over httpx: the compatible transport, on asyncio and on trio.

httpx's transport layer is used without its client: the client's layer costs a third of a request, re-encodes targets,
and logs every URL, signature and listen key included. Each connection is a transport of its own with room for one
request (a lane). The pool inside httpcore slows down with every request in flight; lanes do not, and a request that
waits for one has provably not been sent.

Whether a byte may have left is not guessed from the kind of exception: httpcore says when it connects and when it
starts to write. That it has not said the latter is taken as proof only after a first reply has shown that it does say
so, so that a later version with other words makes us doubt too much, never too little.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import anyio
import anyio.abc
import h11
import httpx
import msgspec

from sor.adapter import Reach
from sor.errors import CallerError
from sor.units import NS
from venues.plumbing.transport import Broken, Cause, Outcome, WireReply, WireRequest, sendable, unpacked

_NEVER_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout)
_CONNECTING = frozenset(
    f"connection.{step}.{state}" for step in ("connect_tcp", "start_tls") for state in ("started", "failed")
)
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


class _Watch:
    """What httpcore tells of one request: whether it still connects, and when the first byte was about to go."""

    __slots__ = ("_now_ns", "connecting", "sent_ns")

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self.connecting = False
        self.sent_ns = 0

    async def __call__(self, event: str, info: Mapping[str, object]) -> None:
        if event.endswith(".send_request_headers.started"):
            self.sent_ns = self._now_ns()
        self.connecting = event in _CONNECTING


class _Waiter:
    """A request without a lane."""

    __slots__ = ("lane", "woken")

    def __init__(self) -> None:
        self.lane: httpx.AsyncHTTPTransport | None = None
        self.woken = anyio.Event()


def _nothing_left(lane: httpx.AsyncHTTPTransport) -> bool:
    """Whether the lane's parser holds no bytes beyond the reply: it would take them for the answer to the next request.

    httpcore tells nobody, so this looks inside. Where there is something else inside than was expected, the lane is not
    used again: dear, and a test goes red, but never an order that is answered by the reply to another.
    """
    for held in lane._pool.connections:
        inside = getattr(getattr(held, "_connection", None), "_h11_state", None)
        if not isinstance(inside, h11.Connection) or inside.trailing_data[0]:
            return False
    return True


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
        url = httpx.URL(base_url)
        if url.scheme not in {"http", "https"} or not url.host or url.raw_path not in {b"", b"/"} or url.userinfo:
            raise CallerError(f"a base address is http(s)://host[:port], not one of {url.scheme!r}; nothing was sent")
        self._url = url
        self._host = url.netloc
        self._now_ns = now_ns
        self._tasks = tasks
        self._settings = settings
        if tls is None:
            secure = url.scheme == "https"
            tls = httpx.create_ssl_context(trust_env=False) if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls = tls
        self._idle: list[httpx.AsyncHTTPTransport] = []  # the warmest last
        self._lanes = 0
        self._waiters: deque[_Waiter] = deque()
        self._pending = 0
        self._watched = False
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
                        await lane.aclose()

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
        watch = _Watch(self._now_ns)
        outcome: Outcome | None = None
        lane: httpx.AsyncHTTPTransport | None = None
        try:
            with anyio.move_on_after(max(0.0, (request.deadline_ns - self._now_ns()) / NS)) as scope:
                lane = await self._lane()
                outcome = await self._exchange(lane, request, watch)
        finally:
            self._pending -= 1
            if outcome is None:
                late = scope.cancelled_caught
                cause = Cause.TIMEOUT if late else Cause.CLOSED
                text = "no whole reply before the deadline" if late else "the transport was closed"
                if lane is None:
                    outcome = Broken(reach=Reach.NOT_SENT, cause=cause, text="no connection was free")
                else:
                    outcome = self._broken(watch, cause, text)
            if lane is not None:
                await self._release(lane, reusable=isinstance(outcome, WireReply) and _nothing_left(lane))
            on_outcome(outcome)

    async def _exchange(self, lane: httpx.AsyncHTTPTransport, request: WireRequest, watch: _Watch) -> Outcome:
        """One round trip; raises only what a cancellation raises."""
        body = request.body
        headers = [(b"Host", self._host), *request.headers]
        if body or request.method not in {"GET", "DELETE", "HEAD"}:
            headers.append((b"Content-Length", b"%d" % len(body)))
        connect_s = self._settings.connect_timeout_s
        try:
            response = await lane.handle_async_request(
                httpx.Request(
                    request.method,
                    self._url,
                    headers=headers,
                    stream=httpx.ByteStream(body),
                    extensions={"target": request.target, "trace": watch, "timeout": {"connect": connect_s}},
                )
            )
            try:
                received = await self._body(response)
            finally:
                await response.aclose()
        except _NEVER_CONNECTED as error:
            return Broken(reach=Reach.NOT_SENT, cause=Cause.UNREACHABLE, text=f"{type(error).__name__}: {error}")
        except httpx.RemoteProtocolError as error:
            ended = "disconnected" in str(error) or "closed" in str(error)
            return self._broken(watch, Cause.CUT_OFF if ended else Cause.GARBLED, type(error).__name__)
        except (httpx.TransportError, OSError) as error:
            # Only its name: h11 quotes what it dislikes, which may be a key.
            return self._broken(watch, Cause.CUT_OFF, type(error).__name__)
        if received is None:
            return self._broken(watch, Cause.GARBLED, f"more than {self._settings.reply_bytes_max} bytes of reply")
        encoding = response.headers.get("content-encoding")
        plain = unpacked(
            received, None if encoding is None else encoding.encode(), bytes_max=self._settings.reply_bytes_max
        )
        if plain is None:
            return self._broken(watch, Cause.GARBLED, f"a body that cannot be unpacked as {encoding!r}")
        self._watched = self._watched or watch.sent_ns > 0
        now_ns = self._now_ns()
        return WireReply(
            status=response.status_code,
            headers=response.headers.raw,
            body=plain,
            sent_ns=watch.sent_ns or now_ns,
            recv_ns=now_ns,
        )

    async def _body(self, response: httpx.Response) -> bytes | None:
        """The packed body, or None when it is too large."""
        assert isinstance(response.stream, httpx.AsyncByteStream)
        parts: list[bytes] = []
        left = self._settings.reply_bytes_max
        try:
            async for part in response.stream:
                left -= len(part)
                if left >= 0:
                    parts.append(part)
                else:
                    # The stream is read on after it was closed, which fails at once: left alone, its generators
                    # would be collected unfinished, which trio forbids.
                    await response.stream.aclose()
        except (httpx.TransportError, httpx.StreamError, OSError):
            if left >= 0:
                raise
        if left < 0:
            return None
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _broken(self, watch: _Watch, cause: Cause, text: str) -> Broken:
        """A failure after the connect began: not sent only where httpcore's silence is known to be proof."""
        not_sent = not watch.sent_ns and (watch.connecting or self._watched)
        return Broken(reach=Reach.NOT_SENT if not_sent else Reach.IN_DOUBT, cause=cause, text=text)

    async def _lane(self) -> httpx.AsyncHTTPTransport:
        if self._idle:
            return self._idle.pop()
        if self._lanes < self._settings.connections_max:
            self._lanes += 1
            return self._new_lane()
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

    async def _release(self, lane: httpx.AsyncHTTPTransport, *, reusable: bool) -> None:
        """Hand a lane to who waits for one; a broken one is replaced, as nobody knows what state it is in."""
        if not reusable:
            with anyio.move_on_after(_CLOSING_S, shield=True):
                await lane.aclose()
            lane = self._new_lane()
        self._give(lane)

    def _give(self, lane: httpx.AsyncHTTPTransport) -> None:
        if self._waiters:
            waiter = self._waiters.popleft()
            waiter.lane = lane
            waiter.woken.set()
        else:
            self._idle.append(lane)

    def _new_lane(self) -> httpx.AsyncHTTPTransport:
        return httpx.AsyncHTTPTransport(
            verify=self._tls,
            trust_env=False,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=self._settings.idle_s),
        )
