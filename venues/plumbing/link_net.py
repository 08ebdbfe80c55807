"""Links over TCP and TLS: the compatible ones, httpx and anyio streams, on asyncio and on trio."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.abc

from sor.adapter import Scheduler
from sor.errors import CallerError
from venues.plumbing.frames import Address
from venues.plumbing.link_host import Host
from venues.plumbing.link_httpx import HttpxSettings, HttpxTransport
from venues.plumbing.link_socket import LinkSettings, SocketLink
from venues.plumbing.links import Locate
from venues.plumbing.relay import Relay

_CLOSING_S = 0.5


class _Inside:
    """What stands while the links are open."""

    def __init__(self, tasks: anyio.abc.TaskGroup, transport: HttpxTransport) -> None:
        self.tasks = tasks
        self.transport = transport


class NetLinks:
    """The `Links` of one session.

    http, socket    bounds. tls: certificates to trust; None: httpx's own for requests, the system's for sockets.
    """

    def __init__(
        self,
        *,
        http: HttpxSettings | None = None,
        socket: LinkSettings | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._http = http
        self._socket = socket or LinkSettings()
        self._tls = tls
        self._host: Host[_Inside] | None = None
        self._inside: _Inside | None = None
        self._relay = Relay()
        self._carriers: list[SocketLink] = []
        self._lost: Callable[[str], None] = _nobody

    async def open(self, base_url: str, *, scheduler: Scheduler, lost: Callable[[str], None]) -> Relay:
        """Start. Raises `CallerError` for an address with a path or a user, and when it is open already."""
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

    def carrier(self, locate: Locate) -> SocketLink:
        """Connections of one more socket."""
        if self._host is None:
            raise CallerError("these links are not open; nothing was sent")

        async def located() -> Address:
            return locate()

        tasks = None if self._inside is None else self._inside.tasks
        link = SocketLink(located, tasks=tasks, settings=self._socket, tls=self._tls)
        self._carriers.append(link)
        return link

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
        for link in self._carriers:
            link.move(inside.tasks)

    def _ended(self, why: str) -> None:
        self._inside = self._relay.inner = None
        for link in self._carriers:
            link.move(None)
        self._lost(why)

    @asynccontextmanager
    async def _block(self, base_url: str, scheduler: Scheduler) -> AsyncIterator[_Inside]:
        opened = HttpxTransport.opened(base_url, now_ns=scheduler.now_ns, settings=self._http, tls=self._tls)
        async with opened as transport, anyio.create_task_group() as tasks:
            try:
                yield _Inside(tasks, transport)
            finally:
                tasks.cancel_scope.deadline = anyio.current_time() + _CLOSING_S


def _nobody(why: str) -> None:
    """Nobody is to be told yet."""
    del why
