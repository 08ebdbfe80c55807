"""Links over TCP and TLS without a task for each request: the lean transport and the lean pipes, on asyncio and uvloop.

The fast form of `link_net.NetLinks`: the same bounds, the same suites of faults passed (one for transports, one for
pipes). It needs an asyncio loop and says so.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sor.adapter import Scheduler
from sor.errors import CallerError, NotSent, SorError
from venues.plumbing.frames import Address, Frames
from venues.plumbing.http1 import base_address
from venues.plumbing.link_host import Host
from venues.plumbing.link_lean import LeanSettings, LeanTransport
from venues.plumbing.link_pipe import Located, StreamPipe
from venues.plumbing.link_socket import LinkSettings
from venues.plumbing.link_tcp import TcpDialer, TcpNet, tcp_net
from venues.plumbing.links import Locate
from venues.plumbing.relay import AWAY, Relay


class _Inside:
    """What stands while the links are open."""

    def __init__(self, net: TcpNet, transport: LeanTransport) -> None:
        self.net = net
        self.transport = transport


class LeanLinks:
    """The `Links` of one session.

    http, socket    bounds. tls: certificates to trust; None: the system's.
    """

    def __init__(
        self,
        *,
        http: LeanSettings | None = None,
        socket: LinkSettings | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._http = http or LeanSettings()
        self._socket = socket or LinkSettings()
        self._tls = tls
        self._host: Host[_Inside] | None = None
        self._inside: _Inside | None = None
        self._relay = Relay()
        self._carriers: list[StreamPipe] = []
        self._lost: Callable[[str], None] = _nobody

    async def open(self, base_url: str, *, scheduler: Scheduler, lost: Callable[[str], None]) -> Relay:
        """Start. Raises `CallerError` for an address with a path or a user, when it is open already, and on trio."""
        if self._host is not None:
            raise CallerError("these links are open already; nothing was sent")
        self._lost = lost
        host = self._host = Host(lambda: self._block(base_url, scheduler), lost=self._ended, back=self._enter)
        try:
            self._enter(await host.open())
        except BaseException:
            self._host = None
            raise
        return self._relay

    def carrier(self, locate: Locate) -> StreamPipe:
        """Connections of one more socket."""
        if self._host is None:
            raise CallerError("these links are not open; nothing was sent")

        def find(located: Located) -> None:
            answer: Address | SorError = NotSent(AWAY)
            if self._inside is not None:
                try:
                    answer = locate()
                except SorError as error:
                    answer = error
            located(answer)

        def dialer_to(frames: Frames) -> TcpDialer:
            assert self._inside is not None, "`find` has just looked"
            return self._inside.net.dialer(frames.host, frames.port, secure=frames.secure)

        pipe = StreamPipe(find, dialer_to, message_bytes_max=self._socket.message_bytes_max)
        self._carriers.append(pipe)
        return pipe

    async def close(self) -> None:
        """End everything; harmless where nothing is open. Sessions that were driven are to be closed before."""
        host, self._host = self._host, None
        if host is not None:
            await host.close()
        self._inside = self._relay.inner = None
        self._carriers.clear()

    def _enter(self, inside: _Inside) -> None:
        self._inside = inside
        self._relay.inner = inside.transport

    def _ended(self, why: str) -> None:
        self._inside = self._relay.inner = None
        for pipe in self._carriers:
            pipe.cut(why)
        self._lost(why)

    @asynccontextmanager
    async def _block(self, base_url: str, scheduler: Scheduler) -> AsyncIterator[_Inside]:
        name, port, secure, host = base_address(base_url)
        http = self._http
        bytes_max = self._socket.outgoing_bytes_max
        async with tcp_net(tls=self._tls, timeout_s=http.connect_timeout_s, outgoing_bytes_max=bytes_max) as net:
            dialer = net.dialer(name, port, secure=secure)
            transport = LeanTransport(dialer, host=host, scheduler=scheduler, settings=http)
            try:
                yield _Inside(net, transport)
            finally:
                transport.close()


def _nobody(why: str) -> None:
    """Nobody is to be told yet."""
    del why
