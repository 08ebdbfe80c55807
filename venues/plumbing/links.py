"""Links: what carries one session's requests and sockets, as an adapter is handed it.

An adapter builds its machines over these and knows neither event loop nor network: over TCP they are `link_net`, under
virtual time a pair of pipes to an emulator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sor.adapter import Scheduler
from venues.plumbing.frames import Address
from venues.plumbing.socket import Pipe, SocketSession
from venues.plumbing.transport import Transport

Locate = Callable[[], Address]
"""Where a socket connects to, asked anew for every attempt. Raises `SorError` when that is not known."""


class Carrier(Pipe, Protocol):
    """The connections of one socket session."""

    def drive(self, session: SocketSession) -> None:
        """Tell this session what happens, and start it."""


class Links(Protocol):
    """The links of one session. Opened once and closed once, not necessarily by the same task."""

    async def open(self, base_url: str, *, scheduler: Scheduler, lost: Callable[[str], None]) -> Transport:
        """Start, and carry requests to `base_url` (scheme, host and port only). Raises `CallerError` for another one.

        lost    called with the reason when the links end of themselves: what was in flight is told so, sockets too.
                They are opened again a few times, and until then nothing is carried; the reason says so, and the last
                one that they stay closed. What is carried again shows that they are back.
        """

    def carrier(self, locate: Locate) -> Carrier:
        """Connections of one more socket, between `open` and `close`."""

    async def close(self) -> None:
        """End everything: what is in flight is told so, sockets say goodbye. Nothing is told after it returns.

        The sessions that were driven are to be closed before. Harmless where nothing is open.
        """
