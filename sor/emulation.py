"""What an emulated venue is to the command line: a server on loopback, with its faults on switches (D12, V4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Protocol, runtime_checkable

import msgspec

from sor.adapter import Position, Scheduler, VenueOrder
from sor.ids import ClOrdId, VenueName


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


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What a router needs to trade on an emulator that serves.

    options        of the venue's adapter, which reaches it with these and nothing else.
    environment    variables that its process is to have, test keys among them: they stand in no file.
    symbol         to be traded. account: its name in the emulator's books.
    """

    options: Mapping[str, str]
    environment: Mapping[str, str]
    symbol: str
    account: str


class OrderMoney(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What one order's fills came to: sum of lots x ticks, and fees, positive when paid."""

    value_lot_ticks: int
    fee: Decimal


class AccountBooks(msgspec.Struct, frozen=True, kw_only=True):
    """One account in the emulator's own books: every order ever accepted. `duplicate`: orders that came again.

    wallet    what it holds of the asset that it settles in, unrealised results left out; None where nobody says.
    """

    name: str
    orders: tuple[VenueOrder, ...]
    money: dict[ClOrdId, OrderMoney]
    positions: tuple[Position, ...]
    duplicate: int
    wallet: Decimal | None = None


class EmulatorBooks(msgspec.Struct, frozen=True, kw_only=True):
    """All accounts, and every rule of the books that does not hold, one sentence each."""

    accounts: tuple[AccountBooks, ...]
    broken: tuple[str, ...]


@runtime_checkable
class Battlefield(Protocol):
    """An `Emulator` that `sor chaos` can kill routers against.

    Its `Serving` has an address "control", under which these are answered in JSON: `POST faults` takes
    {"switch": [fault, ...]}, `DELETE faults` ends them all, `GET faults` counts in "struck" how often each one struck,
    `GET audit` gives `EmulatorBooks`; fields beside these are nobody's business.
    """

    @property
    def weather(self) -> tuple[str, ...]:
        """Faults as they are written, each of them over by itself within seconds; the same one may stand twice."""

    @property
    def bans(self) -> tuple[str, ...]:
        """Faults after which the venue's adapter keeps away for minutes, though they are over within seconds.

        Some may stand in one, with " + " between them: they strike together.
        """

    @property
    def banned_s_max(self) -> float:
        """For how long it keeps away after one of them, at most."""

    @property
    def accounts(self) -> tuple[str, ...]:
        """Accounts to trade on by their names in the books, such as one for each position mode; the usual one first."""

    @property
    def calm(self) -> tuple[str, ...]:
        """What is switched when all faults have ended, so that nobody waits for what came of them."""

    def ground(self, serving: Serving, folder: Path, *, account: str) -> Ground:
        """Where a router trades on it. `folder` is for the adapter's files, which outlive its process."""


OpenEmulator = Callable[[dict[str, str]], Emulator]
"""An entry point of group `sor.emulators`: options in, an emulator out that does not serve yet.

Options that every emulator knows: `synthetic` (a seed) or `tape` (a directory), `symbol` (several with commas between),
`speed` (virtual seconds in a real one). Raises `CallerError` for one it does not know, or cannot use.
"""
