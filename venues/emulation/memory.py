"""Connections to an emulator without a network: pairs of byte pipes under a scheduler, virtual or real.

Bytes of one direction arrive in order, each write as one piece, after its delay or with the one before it, whichever is
later. A FIN or RST arrives after what was written before it. There is no window: a reader is never too slow. Given the
same delays and the same writes, everything happens in the same order at the same times.
"""

from __future__ import annotations

from collections.abc import Callable

from sor.adapter import Scheduler
from sor.units import NS
from venues.emulation.connection import Connection
from venues.emulation.server import Server
from venues.plumbing.bytestream import ByteListener

Delay = int | Callable[[], int]
"""One-way delay in ns, or what draws one for each write."""


class MemoryNet:
    """A `Dialer` to one server.

    up, down        one-way delays, client to server and back.
    connect_ns      when the system gives up a connect that nothing answers (Linux: 127 s).
    refusing        switch: connections are refused, as where nobody listens.
    black_hole      switch: connects are swallowed.
    standing        connections that the server has open.
    """

    def __init__(self, server: Server, *, up: Delay = 0, down: Delay = 0, connect_ns: int = 127 * NS) -> None:
        self.refusing = False
        self.black_hole = False
        self.standing = 0
        self._server = server
        self._up = up
        self._down = down
        self._connect_ns = connect_ns

    def dial(self, listener: ByteListener) -> None:
        """Start connecting; answered by `connected`, or by `ended` with `never_connected`, never within this call."""
        scheduler = self._server.scheduler
        if self.black_hole:
            at_ns = scheduler.now_ns() + self._connect_ns
            scheduler.call_at(at_ns, lambda: listener.ended("connecting timed out", never_connected=True))
            return
        client = _End(scheduler, self._up, listener)
        client.later(lambda: self._arrived(client))

    def _arrived(self, client: _End) -> None:
        server = _End(self._server.scheduler, self._down, Connection(self._server))
        if self.refusing or self.standing >= self._server.limits.connections_max:
            server.later(lambda: client.listener.ended("connection refused", never_connected=True))
            return
        self.standing += 1
        client.peer, server.peer, server.gone = server, client, self._gone
        server.later(lambda: client.listener.connected(client))
        server.listener.connected(server)

    def _gone(self) -> None:
        self.standing -= 1


class _End:
    """One end of a connection, a `ByteStream`."""

    __slots__ = ("_delay", "_last_ns", "_scheduler", "gone", "listener", "open", "peer")

    def __init__(self, scheduler: Scheduler, delay: Delay, listener: ByteListener) -> None:
        self.listener = listener
        self.open = True
        self.peer: _End | None = None
        self.gone: Callable[[], None] | None = None
        self._scheduler = scheduler
        self._delay = delay
        self._last_ns = 0

    def write(self, data: bytes) -> None:
        """Send."""
        peer = self.peer
        if self.open and data and peer is not None:
            self.later(lambda: peer.arrived(data))

    def close(self) -> None:
        """FIN."""
        self._end("closed by the other end")

    def abort(self) -> None:
        """RST."""
        self._end("reset by the other end")

    def later(self, action: Callable[[], None]) -> None:
        """Let something happen at the other end: one delay from now, and not before what was sent earlier."""
        delay_ns = self._delay if isinstance(self._delay, int) else self._delay()
        self._last_ns = max(self._last_ns, self._scheduler.now_ns() + delay_ns)
        self._scheduler.call_at(self._last_ns, action)

    def arrived(self, data: bytes) -> None:
        """Bytes of the other end."""
        if self.open:
            self.listener.received(data)

    def over(self, why: str) -> None:
        """The other end has gone."""
        if self.open:
            self._shut()
            self.listener.ended(why, never_connected=False)

    def _end(self, why: str) -> None:
        peer = self.peer
        if self.open and peer is not None:
            self._shut()
            self.later(lambda: peer.over(why))

    def _shut(self) -> None:
        self.open = False
        if self.gone is not None:
            self.gone()
