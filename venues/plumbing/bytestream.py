"""One connection as bytes in plain calls: what a lean client and an emulator's memory network have in common.

So the same HTTP and WebSocket code runs over TCP and, under virtual time, over a pair of pipes in one process.
"""

from __future__ import annotations

from typing import Protocol


class ByteStream(Protocol):
    """One end of an open connection. Plain calls that return at once."""

    def write(self, data: bytes) -> None:
        """Send bytes; once `close` or `abort` was called, or the other end is gone, they go nowhere."""

    def close(self) -> None:
        """Send what was written, then end. Nothing more is told to the listener."""

    def abort(self) -> None:
        """End now; the other end finds the connection reset. Nothing more is told to the listener."""


class ByteListener(Protocol):
    """Who owns one end. Plain calls."""

    def connected(self, stream: ByteStream) -> None:
        """It stands; told once, before anything else."""

    def received(self, data: bytes) -> None:
        """Some bytes, never empty, cut anywhere."""

    def ended(self, why: str, *, never_connected: bool) -> None:
        """It is over, told once: closed or reset by the other end, or never came about."""


class Dialer(Protocol):
    """Opens connections to one address."""

    def dial(self, listener: ByteListener) -> None:
        """Start connecting; answered by `connected`, or by `ended` with `never_connected`, never within this call."""
