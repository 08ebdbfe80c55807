"""Connections to an emulator without a network: pairs of byte pipes under a scheduler, virtual or real."""

from __future__ import annotations

from collections.abc import Callable

from sor.units import NS
from venues.emulation.connection import Server
from venues.plumbing.bytestream import ByteListener

Delay = int | Callable[[], int]
"""One-way delay in ns, or what draws one for each write."""


class MemoryNet:
    """A `Dialer` to one server.

    up, down        one-way delays, client to server and back.
    refusing        switch: connections are refused.
    black_hole      switch: connects are swallowed, and given up by the system after `connect_ns`.
    """

    def __init__(self, server: Server, *, up: Delay = 0, down: Delay = 0, connect_ns: int = 127 * NS) -> None:
        self.refusing = False
        self.black_hole = False

    def dial(self, listener: ByteListener) -> None:
        """Start connecting; answered by `connected`, or by `ended` with `never_connected`, never within this call."""
