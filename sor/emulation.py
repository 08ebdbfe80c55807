"""What an emulated venue is to the command line: a server on loopback, with its faults on switches (D12, V4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import msgspec

from sor.adapter import Scheduler
from sor.ids import VenueName


class FaultHelp(msgspec.Struct, frozen=True, kw_only=True):
    """One fault that can be switched on: its name, how its arguments are written ("" for none), and what it does."""

    name: str
    args: str
    text: str


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """An emulator that is up.

    addresses    what to point a client at, by what it is ("rest", "socket", "control").
    notes        what else a user needs, by name: test keys, symbols.
    """

    venue: VenueName
    port: int
    addresses: Mapping[str, str]
    notes: Mapping[str, str]


@runtime_checkable
class Emulator(Protocol):
    """One emulated venue. Made by an entry point of group `sor.emulators`."""

    @property
    def port(self) -> int:
        """Where it listens unless told otherwise; the venue's adapter looks for it there."""

    @property
    def faults(self) -> tuple[FaultHelp, ...]:
        """Every fault it knows."""

    def switch(self, fault: str) -> None:
        """Switch a fault on (`NAME` or `NAME=ARGS`) or off (`-NAME`). Raises `CallerError` for one it does not know."""

    async def serve(self, *, port: int, scheduler: Scheduler, started: Callable[[Serving], None]) -> None:
        """Serve on loopback until cancelled; port 0 takes a free one. Raises `CallerError` when the port is taken.

        The caller runs the scheduler, for as long as this runs: everything in the emulator lives by that one time.
        """


OpenEmulator = Callable[[dict[str, str]], Emulator]
"""An entry point of group `sor.emulators`: options in, an emulator out that does not serve yet.

Options that every emulator knows: `synthetic` (a seed) or `tape` (a directory), `symbol` (several with commas between),
`speed` (virtual seconds in a real one). Raises `CallerError` for one it does not know, or cannot use.
"""
