"""One socket of BingX, whichever it is: gzip in binary frames, a `Ping` every five seconds, an end without a word.

Everything that is sent is a gzip member in a binary frame, pings and acknowledgements too; what comes is plain text.
Whoever leaves six pings without a `Pong` is dropped half a second after the last, with no close frame.
"""

from __future__ import annotations

import gzip
from typing import Final

from sor.adapter import Scheduler
from sor.units import MS, NS
from venues.bingx.emulator.faults import Faults, Strike
from venues.bingx.emulator.render import Json, encode
from venues.emulation.app import ServerSocket

PING_NS: Final = 5 * NS
UNANSWERED_MAX: Final = 6
DROP_NS: Final = 500 * MS
BAD_FRAME: Final = 80014


def packed(message: bytes) -> bytes:
    """A frame's payload; the same message makes the same bytes."""
    return gzip.compress(message, compresslevel=1, mtime=0)


PING: Final = packed(b"Ping")


class Line:
    """One open socket.

    which    "market" or "account", for faults that single one out.
    """

    __slots__ = ("_faults", "_scheduler", "_socket", "_unanswered", "hub", "is_open", "which")

    def __init__(self, socket: ServerSocket, hub: Sockets, *, which: str) -> None:
        self.hub = hub
        self.which = which
        self.is_open = True
        self._socket = socket
        self._scheduler = hub.scheduler
        self._faults = hub.faults
        self._unanswered = 0
        hub.enter(self)
        self._scheduler.call_at(self._scheduler.now_ns() + PING_NS, self._ping)

    # --- told by the connection ---------------------------------------------------------------------------------------

    def received(self, payload: bytes, *, text: bool) -> None:
        """A whole message of the client's."""
        if text and payload == b"Pong":
            self._unanswered = 0
        elif self.is_open:
            self.said(payload if text else b"")

    def ponged(self, payload: bytes) -> None:
        """A pong frame: BingX sends no ping frames, so it means nothing."""

    def closed(self, why: str) -> None:
        """The other end has gone."""
        self._leave()

    # --- for who speaks on it -----------------------------------------------------------------------------------------

    def said(self, payload: bytes) -> None:
        """A message other than `Pong`; b"" stands for one that is not text."""
        raise NotImplementedError

    def gone(self) -> None:
        """It is over."""

    def send(self, frame: bytes) -> None:
        """Send a frame's payload (`packed`)."""
        if self.is_open and not self._is_struck("zombie"):
            self._socket.send_binary(frame)

    def say(self, value: Json) -> None:
        """Send one message."""
        self.send(packed(encode(value)))

    def end(self, *, with_close: bool) -> None:
        """Close it, or drop it without a close frame."""
        if self.is_open:
            self._leave()
            if with_close:
                self._socket.close()
            else:
                self._socket.drop()

    def _leave(self) -> None:
        if self.is_open:
            self.is_open = False
            self.hub.leave(self)
            self.gone()

    def _ping(self) -> None:
        if not self.is_open:
            return
        self._scheduler.call_at(self._scheduler.now_ns() + PING_NS, self._ping)
        if self._is_struck("no-ping"):
            self._unanswered = 0
            return
        self._socket.send_binary(PING)
        self._unanswered += 1
        if self._unanswered >= UNANSWERED_MAX:
            self._scheduler.call_at(self._scheduler.now_ns() + DROP_NS, self._drop_silent)

    def _drop_silent(self) -> None:
        if self._unanswered >= UNANSWERED_MAX:
            self.end(with_close=False)

    def _is_struck(self, name: str) -> bool:
        strike = self._faults.is_on(name)
        return strike is not None and means(strike, self.which)


def means(strike: Strike, which: str) -> bool:
    """Whether a fault is about this kind of socket."""
    return strike.text("which") in ("all", which)


class Sockets:
    """Every open socket, in the order in which they were opened."""

    def __init__(self, scheduler: Scheduler, faults: Faults) -> None:
        self.scheduler = scheduler
        self.faults = faults
        self._lines: dict[int, Line] = {}
        faults.on_switch("drop-sockets", self._drop)

    def __len__(self) -> int:
        return len(self._lines)

    def count(self, which: str) -> int:
        """How many of one kind are open."""
        return sum([line.which == which for line in self._lines.values()])

    def enter(self, line: Line) -> None:
        """One was opened."""
        self._lines[id(line)] = line

    def leave(self, line: Line) -> None:
        """One is over."""
        self._lines.pop(id(line), None)

    def _drop(self, strike: Strike) -> None:
        for line in list(self._lines.values()):
            if means(strike, line.which):
                line.end(with_close=strike.text("close") == "yes")
