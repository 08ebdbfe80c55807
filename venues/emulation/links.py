"""Links over memory: an adapter's requests and sockets to an emulator in the same process, under any scheduler.

The lean transport and the lean pipe, as over TCP; what dials is a `MemoryNet`. Nothing waits and no task is made, so
under virtual time the whole stack, adapter to emulator, is plain calls.
"""

from __future__ import annotations

from collections.abc import Callable

from sor.adapter import Scheduler
from sor.errors import CallerError, SorError
from venues.plumbing.bytestream import Dialer
from venues.plumbing.frames import Address
from venues.plumbing.http1 import base_address
from venues.plumbing.link_lean import LeanSettings, LeanTransport
from venues.plumbing.link_pipe import Located, StreamPipe
from venues.plumbing.links import Locate


class MemoryLinks:
    """The `Links` of one session, all to one server.

    net         what dials, whatever the address. http: bounds.
    """

    def __init__(self, net: Dialer, *, http: LeanSettings | None = None) -> None:
        self._net = net
        self._http = http
        self._transport: LeanTransport | None = None

    async def open(self, base_url: str, *, scheduler: Scheduler, lost: Callable[[str], None]) -> LeanTransport:
        """Start. They never end of themselves, so `lost` is not called. Raises `CallerError` when open already."""
        del lost
        if self._transport is not None:
            raise CallerError("these links are open already; nothing was sent")
        host = base_address(base_url)[3]
        self._transport = LeanTransport(self._net, host=host, scheduler=scheduler, settings=self._http)
        return self._transport

    def carrier(self, locate: Locate) -> StreamPipe:
        """Connections of one more socket."""

        def find(located: Located) -> None:
            try:
                answer: Address | SorError = locate()
            except SorError as error:
                answer = error
            located(answer)

        return StreamPipe(find, lambda frames: self._net)

    async def close(self) -> None:
        """End the transport; harmless where nothing is open. Sessions that were driven are to be closed before."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
