"""The simulated venue under simulation: its options are drawn, its switches are the faults, its books are read.

No bytes: a process reaches it by plain calls, so thousands of storms a minute are possible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sor.adapter import Scheduler, VenueAdapter
from sor.errors import CallerError
from sor.ids import Symbol
from sor.orders import PositionSide
from sor.rig import BookFill, BookOrder, Books, Draw, Fault, FaultKind, Rig
from sor.units import MS
from venues.simulated.adapter import SimulatedVenue
from venues.simulated.exchange import OwnOrder
from venues.simulated.options import read

ODDS: Final = (0.05, 0.15, 0.35)
SELDOM: Final = (0.02, 0.1)
WINDOW_MS: Final = 5_000
SKEW_MS: Final = 800
SKEWS_MS: Final = (f"{SKEW_MS}", f"-{SKEW_MS}")
LATE_MS: Final = ("50", "3000")
"""The latter beyond the receive window."""
SKEW: Final = "clock_skew"
STANDING: Final[Mapping[str, str]] = {"link_down": "down_ms", "rate_limit": "burst_ms"}
FAULTS: Final = (
    FaultKind(name="lost_request", odds=ODDS),
    FaultKind(name="late_request", odds=ODDS),
    FaultKind(name="lost_ack", odds=ODDS),
    FaultKind(name="lost_push", odds=ODDS),
    FaultKind(name="duplicate", odds=ODDS),
    FaultKind(name="late", odds=ODDS),
    FaultKind(name="reorder", odds=ODDS),
    FaultKind(name="not_found", odds=ODDS),
    FaultKind(name="rate_limit", odds=SELDOM, ways=("200", "1000")),
    FaultKind(name="cancel_race", odds=ODDS),
    FaultKind(name="lost_market", odds=SELDOM),
    FaultKind(name="link_down", odds=SELDOM, ways=("200", "3000")),
    FaultKind(name=SKEW, ways=SKEWS_MS),
)
"""Every switch but `overfill`: what the venue itself breaks is answered by a halt, and tested by itself."""
MARKET: Final[Mapping[str, str]] = {
    "zi.mu": "2",
    "zi.alpha": "0.125",
    "zi.delta": "0.2",
    "zi.window": "64",
    "zi.size_lots": "100",
    "zi.burn_in_s": "1",
    "book_ms": "100",
}
"""A thin market: a twentieth of the events of the usual one, and as wide a spread."""


class SimulatedRig:
    """A `Rig`. The venue is opened for the first process, so that what lasts from the beginning is known by then."""

    def __init__(self, *, seed: int, draw: Draw, scheduler: Scheduler, folder: Path) -> None:
        del scheduler, folder  # it lives by the scheduler of whoever connects, and leaves no files
        self._venue: SimulatedVenue | None = None
        self._skewed = Counter[str]()
        self._options = {
            "seed": f"{seed}",
            **MARKET,
            "lookup_lag_ms": draw.choice(("100", "1000")),
            "latency": draw.choice(("retail", "near", "zero")),
            "amend": draw.choice(("native_same_id", "none")),
            "market_bound_bps": draw.choice(("0", "10")),
            "timeout_ms": draw.choice(("300", "1500")),
            "receive_window_ms": f"{WINDOW_MS}",
            "fault.late_ms": draw.choice(LATE_MS),
        }

    @property
    def symbol(self) -> Symbol:
        """What is traded."""
        return Symbol("BTCUSDT")

    @property
    def calm_s_max(self) -> float:
        """The longest deadline, and the longest back-off a few times."""
        return 120.0

    @property
    def settled_s(self) -> float:
        """Fees come with the trade; what is on its way arrives."""
        return 4.0

    def adapter(self) -> VenueAdapter:
        """The one venue, which outlives its connections."""
        if self._venue is None:
            self._venue = SimulatedVenue(read(self._options))
        return self._venue

    def leave(self) -> None:
        """The session is gone; orders that rest stay."""
        self._open.leave()

    def switch(self, fault: Fault) -> None:
        """Turn a switch of the venue. Raises `CallerError` for one that it has not, or that comes too late."""
        if self._venue is not None:
            raise CallerError(f"fault {fault.label} is to last, and the venue is open already; nothing was switched")
        if fault.kind == SKEW:
            self._options["clock_offset_ms"] = fault.way
            self._skewed[SKEW] += 1
            return
        if fault.kind in STANDING:
            self._options[f"fault.{STANDING[fault.kind]}"] = fault.way
        self._options[f"fault.{fault.kind}"] = f"{fault.odds}"

    def calm(self) -> None:
        """All switches off."""
        self._open.calm()

    def struck(self) -> Mapping[str, int]:
        """By the name of the switch."""
        return self._skewed + self._open.struck()

    def touch_ticks(self) -> int:
        """Where the synthetic market started."""
        return self._open.start_ticks

    def books(self) -> Books:
        """The customer's orders and position."""
        venue = self._open
        lots = venue.position_lots
        return Books(
            orders=tuple(_order(own, venue) for own in venue.orders()),
            positions={PositionSide.BOTH: lots} if lots else {},
            resent=venue.n_resent,
            late_ns=(WINDOW_MS + SKEW_MS) * MS,
        )

    def wire(self) -> str:
        """There are no bytes."""
        return ""

    @property
    def _open(self) -> SimulatedVenue:
        assert self._venue is not None, "no process has been there"
        return self._venue


def _order(own: OwnOrder, venue: SimulatedVenue) -> BookOrder:
    instrument = venue.instrument
    return BookOrder(
        cl_ord_id=own.cl_ord_id,
        symbol=instrument.symbol,
        side=own.side,
        position_side=PositionSide.BOTH,
        order_lots=own.order_lots,
        price_ticks=own.price_ticks,
        filled_lots=own.filled_lots,
        leaves_lots=own.leaves_lots,
        created_ns=own.created_ns,
        updated_ns=own.created_ns,
        fills=tuple(
            BookFill(
                exec_id=fill.exec_id,
                lots=fill.last_lots,
                ticks=fill.last_ticks,
                fee=instrument.money(fill.fee_atoms or 0),
            )
            for fill in own.fills
        ),
    )


class _OpenSimulated:
    """The entry point."""

    faults = FAULTS

    def __call__(self, *, seed: int, draw: Draw, scheduler: Scheduler, folder: Path) -> Rig:
        """A rig for one storm."""
        return SimulatedRig(seed=seed, draw=draw, scheduler=scheduler, folder=folder)


open_rig = _OpenSimulated()
