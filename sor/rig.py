"""What a venue is to the simulator: its adapter in one process after the other, its faults by name, and its own books.

A rig is a venue and everything between it and the router, in virtual time. It draws nothing that its seed does not
decide. Found through entry points of group `sor.rigs`, so an outside package brings its venue under simulation without
a change here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import msgspec

from sor.adapter import Scheduler, VenueAdapter
from sor.ids import ClOrdId, Symbol
from sor.orders import PositionSide, Side

T = TypeVar("T")


class Draw(Protocol):
    """A seeded generator, as `random.Random` is one."""

    def random(self) -> float:
        """Uniform in [0, 1)."""

    def uniform(self, low: float, high: float, /) -> float:
        """Uniform between the two."""

    def choice(self, options: Sequence[T], /) -> T:
        """One of them."""


class FaultKind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of fault that a rig can switch on.

    ways     how it may be had, in the rig's own words; one is drawn.
    odds     for a fault that holds for the whole storm: how probable it may be on each occasion, one is drawn; () for
             one that is switched at a moment, or simply is.
    lasts    it holds from before the first connection until it is calm; else it is switched at a moment of the storm.
    share    of storms that may have it at all, for what leaves little else to go wrong.
    """

    name: str
    ways: tuple[str, ...] = ("",)
    odds: tuple[float, ...] = ()
    lasts: bool = True
    share: float = 1.0


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault of one storm. `seed` decides on which occasions it strikes; `at_s` None: it lasts.

    label    what it is called in this storm: its kind, with a number where the storm has several of one.
    """

    label: str
    kind: str
    way: str
    odds: float | None
    seed: int
    at_s: float | None


class BookFill(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One fill as the venue's books have it; the fee positive when paid."""

    exec_id: str
    lots: int
    ticks: int
    fee: Decimal


class BookOrder(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One order that the venue accepted, on the terms that are in force there; price_ticks 0 for one without a price.

    created_ns, updated_ns    when, and when last changed, by its own clock.
    """

    cl_ord_id: ClOrdId
    symbol: Symbol
    side: Side
    position_side: PositionSide
    order_lots: int
    price_ticks: int
    filled_lots: int
    leaves_lots: int
    created_ns: int
    updated_ns: int
    fills: tuple[BookFill, ...]


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """One account as the venue's own books have it, and how exactly the venue tells of it.

    positions      signed lots by position side, of the rig's one symbol.
    resent         orders that came again under an id that had been accepted.
    broken         rules of the venue's own books that do not hold, one sentence each.
    fill_by_fill   each fill is told by itself under its exec id; else several may be told as one.
    price_slack    ticks by which the price told of a lot may be off, for who tells rounded averages.
    fee_slack      by which a fee told may be off.
    late_ns        how long after it was sent an order may still be accepted, the venue's clock error included.
    """

    orders: tuple[BookOrder, ...]
    positions: Mapping[PositionSide, int]
    resent: int = 0
    broken: tuple[str, ...] = ()
    fill_by_fill: bool = True
    price_slack: int = 0
    fee_slack: Decimal = Decimal(0)
    late_ns: int = 0


class Rig(Protocol):
    """A venue under simulation."""

    @property
    def symbol(self) -> Symbol:
        """What is traded."""

    @property
    def calm_s_max(self) -> float:
        """Within this after the storm everything has ended: bans, the longest deadline, back-offs."""

    @property
    def settled_s(self) -> float:
        """How long after its end the fees of an order may take to be settled."""

    def adapter(self) -> VenueAdapter:
        """The adapter of a new process; the one before it must be gone."""

    def leave(self) -> None:
        """The process with the last adapter is gone: its connections end as the kernel ends those of the dead."""

    def switch(self, fault: Fault) -> None:
        """Let this go wrong from now on, or now."""

    def calm(self) -> None:
        """Nothing goes wrong any more; what was lost stays lost until it is looked up."""

    def struck(self) -> Mapping[str, int]:
        """How often each kind of fault has struck so far."""

    def touch_ticks(self) -> int:
        """About where the market is."""

    def books(self) -> Books:
        """The venue's own books as of now."""

    def wire(self) -> str:
        """Digest of what went over its connections, with the times; "" where there are no bytes."""


@runtime_checkable
class OpenRig(Protocol):
    """An entry point of group `sor.rigs`."""

    @property
    def faults(self) -> tuple[FaultKind, ...]:
        """Every kind of fault it knows."""

    def __call__(self, *, seed: int, draw: Draw, scheduler: Scheduler, folder: Path) -> Rig:
        """A rig for one storm. `draw` is its own; `folder`, not there yet, is for files that outlive a process."""
