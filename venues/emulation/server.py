"""What a carrier serves, and within which bounds."""

from __future__ import annotations

import msgspec

from sor.adapter import Scheduler
from sor.units import NS
from venues.emulation.app import App
from venues.emulation.faults import ByteFaults


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of a server.

    connections_max     at one time; the carrier sees to it.
    head_bytes_max      request line and headers; more is a 431.
    body_bytes_max      of a request; more is a 413.
    message_bytes_max   one socket message of a client; more closes with 1009.
    ahead_bytes_max     what a client may write ahead of an answer; more resets the connection.
    held_bytes_max      what waits to be written; more resets the connection: the client does not read.
    close_wait_ns       how long the answer to a close frame is waited for.
    """

    connections_max: int = 256
    head_bytes_max: int = 64 * 1024
    body_bytes_max: int = 1024 * 1024
    message_bytes_max: int = 1024 * 1024
    ahead_bytes_max: int = 1024 * 1024
    held_bytes_max: int = 16 * 1024 * 1024
    close_wait_ns: int = 5 * NS


class Server:
    """What a carrier serves: an app, its time, its byte faults and its bounds."""

    def __init__(
        self, app: App, *, scheduler: Scheduler, faults: ByteFaults | None = None, limits: Limits | None = None
    ) -> None:
        self.app = app
        self.scheduler = scheduler
        self.faults = faults if faults is not None else ByteFaults()
        self.limits = limits or Limits()
