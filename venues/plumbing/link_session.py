"""One session of links: what stands while they are open, and the relay in front of it.

What stands is a block in a host (`link_host`), which may end of itself and be entered again; the relay stays the same.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, Protocol, TypeVar

from sor.errors import CallerError
from venues.plumbing.link_host import Host
from venues.plumbing.relay import Relay
from venues.plumbing.transport import Transport


class Standing(Protocol):
    """What stands while links are open."""

    @property
    def transport(self) -> Transport:
        """What carries requests."""


StandingT = TypeVar("StandingT", bound=Standing)


class LinkSession(Generic[StandingT]):
    """Opens and closes links, and has the relay say what carries requests now.

    ended      called with the reason each time what stood has ended of itself, before whoever opened it is told.
    entered    called with what stands each time it does.
    """

    def __init__(self, *, ended: Callable[[str], None], entered: Callable[[StandingT], None] | None = None) -> None:
        self.inside: StandingT | None = None
        self._entered = entered
        self._ended = ended
        self._host: Host[StandingT] | None = None
        self._relay = Relay()

    async def open(
        self, block: Callable[[], AbstractAsyncContextManager[StandingT]], *, lost: Callable[[str], None]
    ) -> Relay:
        """Enter the block; raises what that raises, and `CallerError` when it is open already."""
        if self._host is not None:
            raise CallerError("these links are open already; nothing was sent")

        def ended(why: str) -> None:
            self.inside = self._relay.inner = None
            self._ended(why)
            lost(why)

        host = self._host = Host(block, lost=ended, back=self._enter)
        try:
            self._enter(await host.open())
        except BaseException:
            self._host = None
            raise
        return self._relay

    def check_open(self) -> None:
        """Raises `CallerError` when these links are not open."""
        if self._host is None:
            raise CallerError("these links are not open; nothing was sent")

    async def close(self) -> None:
        """Leave the block; harmless where nothing is open."""
        host, self._host = self._host, None
        if host is not None:
            await host.close()
        self.inside = self._relay.inner = None

    def _enter(self, inside: StandingT) -> None:
        self.inside = inside
        self._relay.inner = inside.transport
        if self._entered is not None:
            self._entered(inside)
