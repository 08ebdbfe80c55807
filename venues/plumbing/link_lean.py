"""HTTP over plain byte streams: the lean transport, for the order lane.

No task, no pool and no library per request: a request is one write, a reply is read where its bytes arrive. The same
code runs over TCP and TLS (`link_tcp`, asyncio only, uvloop too) and, under virtual time, over an emulator's memory.

Rules
- A connection carries one request at a time (a lane). Requests beyond the lanes wait, up to a bound, and have then
  provably not been sent.
- Not sent is said only where not a byte of the request was given to a connection: it waited, or nothing connected.
  What was written is in doubt without a whole reply, also on a kept connection that the server was just closing: that
  it had not read our bytes cannot be seen from here.
- A lane that has done anything unexpected (bytes that nobody asked for, a broken reply, silence) is never used again.
- Nothing is timed by itself: one call to the scheduler stands for the next instant at which anything can be due.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum

import msgspec

from sor.adapter import Reach, Scheduler
from sor.errors import CallerError
from sor.units import NS
from venues.plumbing.bytestream import ByteStream, Dialer
from venues.plumbing.http1 import Answer, Garbled, ReplyReader, base_address, request_bytes
from venues.plumbing.link_tcp import tcp_net
from venues.plumbing.transport import Broken, Cause, Outcome, WireReply, WireRequest, sendable

REDIAL_NS = 1 * NS
"""A warm connection that could not be made is tried again after this."""


class LeanSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one transport; those that `link_httpx.HttpxSettings` has mean the same.

    warm    connections that are kept open without a request, so that an order need not wait for a handshake.
    """

    connections_max: int = 8
    waiting_max: int = 64
    connect_timeout_s: float = 3.0
    idle_s: float = 30.0
    reply_bytes_max: int = 16 * 1024 * 1024
    warm: int = 0

    def __post_init__(self) -> None:
        if self.connections_max < 1 or self.waiting_max < 0 or not 0 <= self.warm <= self.connections_max:
            raise CallerError("a transport needs a connection, and keeps no more warm than it may have")


class _State(Enum):
    """Where a lane is."""

    DIALING = 0
    IDLE = 1
    BUSY = 2
    DONE = 3


class _Pending:
    """One request on its way."""

    __slots__ = ("on_outcome", "request")

    def __init__(self, request: WireRequest, on_outcome: Callable[[Outcome], None]) -> None:
        self.request = request
        self.on_outcome = on_outcome


class _Lane:
    """One connection; what its stream is told goes to the transport that owns it."""

    __slots__ = ("due_ns", "pending", "reader", "sent_ns", "state", "stream", "transport")

    def __init__(self, transport: LeanTransport, due_ns: int) -> None:
        self.transport = transport
        self.due_ns = due_ns  # when it must have connected, idled long enough, or answered
        self.state = _State.DIALING
        self.stream: ByteStream | None = None
        self.reader = ReplyReader(body_bytes_max=transport.settings.reply_bytes_max)
        self.pending: _Pending | None = None
        self.sent_ns = 0

    def connected(self, stream: ByteStream) -> None:
        if self.state is _State.DIALING:
            self.stream = stream
            self.transport.lane_open(self)
        else:
            stream.abort()  # it took too long, and nobody waits any more

    def received(self, data: bytes) -> None:
        self.transport.lane_received(self, data)

    def ended(self, why: str, *, never_connected: bool) -> None:
        del never_connected  # a lane knows whether it ever was
        self.transport.lane_ended(self, why)


class LeanTransport:
    """A `Transport` to one host. Plain calls; `opened` makes one over TCP.

    dialer    opens connections to the host.
    host      what requests call it: its name, and the port unless it is the scheme's own.
    """

    def __init__(
        self, dialer: Dialer, *, host: bytes, scheduler: Scheduler, settings: LeanSettings | None = None
    ) -> None:
        self.settings = settings or LeanSettings()
        self._dialer = dialer
        self._host = host
        self._scheduler = scheduler
        self._idle_ns = int(self.settings.idle_s * NS)
        self._connect_ns = int(self.settings.connect_timeout_s * NS)
        self._lanes: list[_Lane] = []
        self._idle: list[_Lane] = []  # the warmest last
        self._waiting: deque[_Pending] = deque()
        self._dialing = 0
        self._wake_ns = 0
        self._redial_ns = 0
        self._open = True
        self._keep_warm()

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        base_url: str,
        *,
        scheduler: Scheduler,
        settings: LeanSettings | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> AsyncIterator[LeanTransport]:
        """A transport to `base_url` (scheme, host and port only) that lives as long as the block. On asyncio only.

        tls   certificates to trust; None: the system's.
        On leaving, what is in flight ends as `Cause.CLOSED`. Raises `CallerError` for an address with a path or a
        user, and under another event loop.
        """
        name, port, secure, host = base_address(base_url)
        chosen = settings or LeanSettings()
        async with tcp_net(tls=tls, timeout_s=chosen.connect_timeout_s) as net:
            transport = cls(net.dialer(name, port, secure=secure), host=host, scheduler=scheduler, settings=chosen)
            try:
                yield transport
            finally:
                transport.close()

    # --- requests -----------------------------------------------------------------------------------------------------

    def send(self, request: WireRequest, on_outcome: Callable[[Outcome], None]) -> None:
        """Send a request over the warmest idle connection, a new one, or the next that is free."""
        if not self._open:
            on_outcome(Broken(reach=Reach.NOT_SENT, cause=Cause.CLOSED, text="the transport is closed"))
            return
        if not sendable(request):
            text = "a target, method or header with characters that HTTP does not allow"
            on_outcome(Broken(reach=Reach.NOT_SENT, cause=Cause.UNSENDABLE, text=text))
            return
        now_ns = self._scheduler.now_ns()
        if now_ns >= request.deadline_ns:
            on_outcome(Broken(reach=Reach.NOT_SENT, cause=Cause.TIMEOUT, text="its deadline had passed"))
            return
        pending = _Pending(request, on_outcome)
        if self._idle and not self._waiting:
            if now_ns < self._idle[-1].due_ns:
                self._write(self._idle.pop(), pending, now_ns)
                return
            for lane in tuple(self._idle):  # the warmest has idled for too long, so all have
                self._drop_idle(lane)
        settings = self.settings
        if len(self._waiting) >= settings.waiting_max + settings.connections_max - self._busy():
            text = f"{len(self._waiting)} requests wait for a connection"
            on_outcome(Broken(reach=Reach.NOT_SENT, cause=Cause.CROWDED, text=text))
            return
        self._waiting.append(pending)
        self._wake_by(request.leave_by_ns)
        self._dial_for_waiting()

    def close(self) -> None:
        """End every connection; what waits was not sent, what is in flight is in doubt."""
        self._open = False
        lanes, self._lanes = self._lanes, []
        waiting, self._waiting = self._waiting, deque()
        self._idle.clear()
        self._dialing = 0
        for pending in waiting:
            pending.on_outcome(Broken(reach=Reach.NOT_SENT, cause=Cause.CLOSED, text="no connection was free"))
        for lane in lanes:
            state, lane.state = lane.state, _State.DONE
            if lane.stream is not None:
                if state is _State.IDLE:
                    lane.stream.close()
                else:
                    lane.stream.abort()
            self._fail(lane, Cause.CLOSED, "the transport was closed")

    def _busy(self) -> int:
        return len(self._lanes) - len(self._idle) - self._dialing

    def _write(self, lane: _Lane, pending: _Pending, now_ns: int) -> None:
        request = pending.request
        lane.state = _State.BUSY
        lane.pending = pending
        lane.due_ns = request.deadline_ns
        lane.sent_ns = now_ns
        lane.reader.begin(request.method)
        if not self._wake_ns or lane.due_ns < self._wake_ns:
            self._wake_by(lane.due_ns)
        stream = lane.stream
        assert stream is not None
        stream.write(request_bytes(request, self._host))

    # --- what the connections say -------------------------------------------------------------------------------------

    def lane_open(self, lane: _Lane) -> None:
        """A connection stands."""
        self._dialing -= 1
        self._rest(lane, self._scheduler.now_ns())

    def lane_received(self, lane: _Lane, data: bytes) -> None:
        """Bytes of a reply; or of nothing that was asked for, and then the connection is not to be trusted."""
        if lane.state is not _State.BUSY:
            self._discard(lane)
            self._keep_warm()
            return
        try:
            answer = lane.reader.received(data)
        except Garbled as error:
            self._abandon(lane, Cause.GARBLED, str(error))
            return
        if answer is not None:
            self._answered(lane, answer)

    def lane_ended(self, lane: _Lane, why: str) -> None:
        """A connection is over, or never came about."""
        state = lane.state
        if state is _State.DONE:
            return
        self._discard(lane)
        if state is _State.DIALING:
            self._unreachable(why)
        elif state is _State.BUSY:
            self._fail(lane, Cause.CUT_OFF, why)
            self._dial_for_waiting()
        self._keep_warm()

    def _answered(self, lane: _Lane, answer: Answer) -> None:
        pending = lane.pending
        assert pending is not None
        lane.pending = None
        now_ns = self._scheduler.now_ns()
        # The lane first: whoever hears of the reply may send at once.
        if answer.keep:
            self._rest(lane, now_ns)
        else:
            self._discard(lane)
            self._dial_for_waiting()
        pending.on_outcome(
            WireReply(
                status=answer.status,
                headers=answer.headers,
                body=answer.body,
                sent_ns=lane.sent_ns,
                recv_ns=now_ns,
            )
        )
        if not answer.keep:
            self._keep_warm()

    def _abandon(self, lane: _Lane, cause: Cause, text: str) -> None:
        """Nothing good can come of this reply any more."""
        self._discard(lane)
        self._fail(lane, cause, text)
        self._dial_for_waiting()
        self._keep_warm()

    def _fail(self, lane: _Lane, cause: Cause, text: str) -> None:
        pending, lane.pending = lane.pending, None
        if pending is not None:
            pending.on_outcome(Broken(reach=Reach.IN_DOUBT, cause=cause, text=text))

    def _unreachable(self, why: str) -> None:
        """A connect failed: whoever has waited longest hears of it, and the others try again."""
        self._redial_ns = self._scheduler.now_ns() + REDIAL_NS
        if self._waiting:
            pending = self._waiting.popleft()
            pending.on_outcome(Broken(reach=Reach.NOT_SENT, cause=Cause.UNREACHABLE, text=why))
            self._dial_for_waiting()

    # --- lanes --------------------------------------------------------------------------------------------------------

    def _rest(self, lane: _Lane, now_ns: int) -> None:
        """A lane is free: for who waits longest, else to be kept."""
        refused: list[_Pending] = []
        while self._waiting:
            pending = self._waiting.popleft()
            if now_ns < pending.request.leave_by_ns and pending.request.may_leave():
                self._write(lane, pending, now_ns)
                break
            refused.append(pending)
        else:
            lane.state = _State.IDLE
            lane.due_ns = now_ns + self._idle_ns
            self._idle.append(lane)
        for pending in refused:  # last: whoever hears of it may send at once
            pending.on_outcome(_waited_in_vain())

    def _discard(self, lane: _Lane) -> None:
        """Forget a lane and its connection; what it carried is still to be answered."""
        state, lane.state = lane.state, _State.DONE
        self._lanes.remove(lane)
        if state is _State.IDLE:
            self._idle.remove(lane)
        elif state is _State.DIALING:
            self._dialing -= 1
        if lane.stream is not None:
            lane.stream.abort()

    def _drop_idle(self, lane: _Lane) -> None:
        """Close a lane that has idled for too long."""
        lane.state = _State.DONE
        self._lanes.remove(lane)
        self._idle.remove(lane)
        if lane.stream is not None:
            lane.stream.close()

    def _dial_for_waiting(self) -> None:
        while self._open and self._dialing < len(self._waiting) and len(self._lanes) < self.settings.connections_max:
            self._dial()

    def _keep_warm(self) -> None:
        """See to it that enough connections stand, or are on their way."""
        settings = self.settings
        if not self._open or not settings.warm:
            return
        now_ns = self._scheduler.now_ns()
        if now_ns < self._redial_ns:
            self._wake_by(self._redial_ns)
            return
        while len(self._lanes) < settings.warm:
            self._dial()
        for lane in self._idle:
            self._wake_by(lane.due_ns)

    def _dial(self) -> None:
        lane = _Lane(self, self._scheduler.now_ns() + self._connect_ns)
        self._lanes.append(lane)
        self._dialing += 1
        self._wake_by(lane.due_ns)
        self._dialer.dial(lane)

    # --- time ---------------------------------------------------------------------------------------------------------

    def _wake_by(self, at_ns: int) -> None:
        if not self._wake_ns or at_ns < self._wake_ns:
            self._wake_ns = at_ns
            self._scheduler.call_at(at_ns, lambda: self._wake(at_ns))

    def _wake(self, at_ns: int) -> None:
        """Look at everything that may be due."""
        if at_ns != self._wake_ns:
            return  # an earlier call has taken its place, and looked
        self._wake_ns = 0
        now_ns = self._scheduler.now_ns()
        for lane in [each for each in self._lanes if each.due_ns <= now_ns]:
            if lane.due_ns > now_ns:
                continue  # used again by who heard of another
            if lane.state is _State.BUSY:
                self._abandon(lane, Cause.TIMEOUT, "no whole reply before the deadline")
            elif lane.state is _State.DIALING:
                self._discard(lane)
                self._unreachable("connecting took too long")
            elif lane.state is _State.IDLE:
                self._drop_idle(lane)
        late = [each for each in self._waiting if each.request.leave_by_ns <= now_ns]
        for pending in late:
            if pending in self._waiting:
                self._waiting.remove(pending)
                pending.on_outcome(_waited_in_vain())
        self._keep_warm()
        for lane in self._lanes:
            if lane.state is not _State.IDLE:
                self._wake_by(lane.due_ns)
        for pending in self._waiting:
            self._wake_by(pending.request.deadline_ns)


def _waited_in_vain() -> Broken:
    return Broken(reach=Reach.NOT_SENT, cause=Cause.TIMEOUT, text="no connection was free")
