"""Links over TCP and TLS without a task for each request: the lean transport and the lean pipes, on asyncio and uvloop.

The fast form of `link_net.NetLinks`: the same bounds, the same suites of faults passed (one for transports, one for
pipes). It needs an asyncio loop and says so.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sor.adapter import Scheduler
from sor.errors import NotSent, SorError
from venues.plumbing.frames import Address, Frames
from venues.plumbing.http1 import base_address
from venues.plumbing.link_lean import LeanSettings, LeanTransport
from venues.plumbing.link_pipe import Located, StreamPipe
from venues.plumbing.link_session import LinkSession
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
        self._session = LinkSession[_Inside](ended=self._ended)
        self._carriers: list[StreamPipe] = []

    async def open(self, base_url: str, *, scheduler: Scheduler, lost: Callable[[str], None]) -> Relay:
        """Start. Raises `CallerError` for an address with a path or a user, when it is open already, and on trio."""
        return await self._session.open(lambda: self._block(base_url, scheduler), lost=lost)

    def carrier(self, locate: Locate) -> StreamPipe:
        """Connections of one more socket."""
        self._session.check_open()

        def find(located: Located) -> None:
            answer: Address | SorError = NotSent(AWAY)
            if self._session.inside is not None:
                try:
                    answer = locate()
                except SorError as error:
                    answer = error
            located(answer)

        def dialer_to(frames: Frames) -> TcpDialer:
            inside = self._session.inside
            assert inside is not None, "`find` has just looked"
            return inside.net.dialer(frames.host, frames.port, secure=frames.secure)

        pipe = StreamPipe(find, dialer_to, message_bytes_max=self._socket.message_bytes_max)
        self._carriers.append(pipe)
        return pipe

    async def close(self) -> None:
        """End everything; harmless where nothing is open. Sessions that were driven are to be closed before."""
        await self._session.close()
        self._carriers.clear()

    def _ended(self, why: str) -> None:
        for pipe in self._carriers:
            pipe.cut(why)

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
