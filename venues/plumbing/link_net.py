"""Links over TCP and TLS: the compatible ones, httpx and anyio streams, on asyncio and on trio."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.abc

from sor.adapter import Scheduler
from venues.plumbing.frames import Address
from venues.plumbing.link_httpx import HttpxSettings, HttpxTransport
from venues.plumbing.link_session import LinkSession
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
        self._session = LinkSession[_Inside](ended=self._ended, entered=self._entered)
        self._carriers: list[SocketLink] = []

    async def open(self, base_url: str, *, scheduler: Scheduler, lost: Callable[[str], None]) -> Relay:
        """Start. Raises `CallerError` for an address with a path or a user, and when it is open already."""
        return await self._session.open(lambda: self._block(base_url, scheduler), lost=lost)

    def carrier(self, locate: Locate) -> SocketLink:
        """Connections of one more socket."""
        self._session.check_open()

        async def located() -> Address:
            return locate()

        inside = self._session.inside
        tasks = None if inside is None else inside.tasks
        link = SocketLink(located, tasks=tasks, settings=self._socket, tls=self._tls)
        self._carriers.append(link)
        return link

    async def close(self) -> None:
        """End everything; harmless where nothing is open. Sessions that were driven are to be closed before."""
        await self._session.close()
        self._carriers.clear()

    def _entered(self, inside: _Inside) -> None:
        for link in self._carriers:
            link.move(inside.tasks)

    def _ended(self, why: str) -> None:
        del why
        for link in self._carriers:
            link.move(None)

    @asynccontextmanager
    async def _block(self, base_url: str, scheduler: Scheduler) -> AsyncIterator[_Inside]:
        opened = HttpxTransport.opened(base_url, now_ns=scheduler.now_ns, settings=self._http, tls=self._tls)
        async with opened as transport, anyio.create_task_group() as tasks:
            try:
                yield _Inside(tasks, transport)
            finally:
                tasks.cancel_scope.deadline = anyio.current_time() + _CLOSING_S
