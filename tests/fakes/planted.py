"""A market with planted fill hazards as a tape, and a calibration that is admitted on it."""

from __future__ import annotations

from decimal import Decimal
from functools import cache

import msgspec
import numpy as np

from sor.ids import Symbol, VenueName
from sor.lab.calibrate import calibrate
from sor.lab.calibration import Calibration, CalibrationPlan
from sor.orders import Side
from sor.tape import Tape
from sor.units import NS
from tests.fakes.tape_script import INSTRUMENT, Book, Print, tape_of

SMALL = msgspec.structs.replace(INSTRUMENT, min_notional=Decimal(0))
PLAN = CalibrationPlan(
    venue=VenueName("rec"),
    symbol=Symbol("BTCUSDT"),
    horizons_s=(1.0, 5.0),
    inside_ticks=(0,),
    scattered=0,
    latency_ns=0,
)
CALM, BUSY = 0.15, 0.9
MOVES = 0.4


@cache
def planted(seconds: int, seed: int = 1, *, turns: float = 1.0, tilt: float = 0.0) -> Tape:
    """A one-tick market whose spread is now one, now three ticks, and whose takers are then calm or busy.

    With a `tilt` the touch leans one way or the other: e^(tilt x lean) times as many takers come to each side while the
    spread is three ticks, and e^(-tilt x lean) times while it is one, with the lean as that side's orders see it.

    A taker sweeps the touch of either side, at the rate `CALM` while the spread is one tick and `BUSY` while it is
    three; after the share `turns` of the time it is the other way round. All prices move a tick at the rate `MOVES`.
    """
    rng = np.random.default_rng(seed)
    bid, wide, at_s = 10_000, False, 0.0
    events: list[Book | Print] = []

    sizes = [50, 50]

    def book(*, snapshot: bool = True) -> None:
        spread = 3 if wide else 1
        at_ns = round(at_s * NS)
        if tilt:
            sizes[:] = rng.integers(5, 100, 2).tolist()
        bids, asks = {bid: sizes[0], bid - 9: 900}, {bid + spread: sizes[1], bid + 12: 900}
        events.append(Book(at_ns, bids, asks, snapshot=snapshot))

    book()
    next_turn = 0.0
    while at_s < seconds:
        busy = wide == (at_s < turns * seconds)
        rates = np.array([BUSY if busy else CALM, BUSY if busy else CALM, MOVES])
        of_asks = (1.0 if wide else -1.0) * (sizes[1] - sizes[0]) / (sizes[1] + sizes[0])
        rates[:2] *= np.exp(tilt * np.array([of_asks, -of_asks]))
        at_s += rng.exponential(1 / rates.sum())
        if at_s >= next_turn:
            wide, next_turn = not wide, at_s + rng.exponential(12.0)
            book()
            continue
        what = rng.choice(3, p=rates / rates.sum())
        if what == 2:
            bid += int(rng.choice([1, -1]))
            book()
        else:
            side = Side.SELL if what else Side.BUY
            ticks = bid - 1 if what else bid + (3 if wide else 1) + 1
            events.append(Print(round(at_s * NS), side, ticks, 1))
    return msgspec.structs.replace(tape_of(events, SMALL), name="planted", digest=f"{seed:016x}")


def quietly(what: str) -> None:
    del what


@cache
def found() -> Calibration:
    """A calibration that is admitted."""
    return calibrate([planted(2_000), planted(2_000, 2)], PLAN, quietly)
