"""A made-up market that both sides of the maker benchmark trade on: the same events in either one's own form.

A book of `DEPTH` levels a side with a spread of one tick. In each event, one millisecond after the one before on
average, the best prices move (1 in 40), somebody takes from the best (1 in 7), or one level changes size. Seeded, so it
is the same market in every run and for every arm.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache

import msgspec
import numpy as np

from benchmarks.rig import START_NS
from sor.ids import Symbol, VenueName
from sor.instruments import Instrument
from sor.tape import Tape
from sor.units import MS

DEPTH = 10
FIRST_BID = 600_000
MOVES, TRADES = 0.025, 0.15
SIZE_LOTS = 200
TRADE_LOTS = 40
INSTRUMENT = Instrument(
    symbol=Symbol("BTCUSDT"),
    venue=VenueName("simulated"),
    base="BTC",
    quote="USDT",
    settle="USDT",
    tick_size=Decimal("0.1"),
    lot_size=Decimal("0.001"),
)


class Event(msgspec.Struct, frozen=True, gc=False):
    """Levels (side, ticks, lots) that change together, and the trade (aggressor, ticks, lots) that came before."""

    at_ns: int
    levels: tuple[tuple[int, int, int], ...]
    trade: tuple[int, int, int] | None = None


@cache
def events(count: int, seed: int = 1) -> tuple[Event, ...]:
    """The first `count` events; the very first is the whole book."""
    rng = np.random.default_rng(seed)
    kind = rng.random(count)
    up = rng.random(count) < 0.5
    gap = rng.exponential(MS, count).astype(np.int64) + 1
    size = rng.integers(20, SIZE_LOTS, (count, 2))
    level = rng.integers(0, DEPTH, count)
    taken = rng.integers(1, TRADE_LOTS, count)
    bid = FIRST_BID
    held = {(1, bid - i): SIZE_LOTS for i in range(DEPTH)} | {(-1, bid + 1 + i): SIZE_LOTS for i in range(DEPTH)}
    at_ns = START_NS
    made = [Event(at_ns, tuple((side, ticks, lots) for (side, ticks), lots in held.items()))]
    for i in range(1, count):
        at_ns += int(gap[i])
        side = 1 if up[i] else -1
        best = bid if side > 0 else bid + 1
        if kind[i] < MOVES:
            # Up: the best ask is gone, a bid stands in its place, and both ladders move along; down likewise.
            gone, new = (bid + 1, bid + 1 - DEPTH) if side > 0 else (bid, bid + DEPTH)
            far = gone + side * DEPTH
            bid += side
            changes = ((-side, gone, 0), (side, new, 0), (side, gone, int(size[i, 0])), (-side, far, int(size[i, 1])))
            made.append(Event(at_ns, changes))
            for which, ticks, lots in changes:
                held[which, ticks] = lots
        elif kind[i] < MOVES + TRADES:
            left = held[side, best]
            lots = min(int(taken[i]), left - 1)
            if lots > 0:
                held[side, best] = left - lots
                made.append(Event(at_ns, ((side, best, left - lots),), (-side, best, lots)))
        else:
            ticks = best - side * int(level[i])
            held[side, ticks] = int(size[i, 0])
            made.append(Event(at_ns, ((side, ticks, int(size[i, 0])),)))
    return tuple(made)


def tape(made: tuple[Event, ...]) -> Tape:
    """The events as a recording."""
    trades = [(event.at_ns, *event.trade) for event in made if event.trade is not None]
    levels = [level for event in made for level in event.levels]
    times = np.array([event.at_ns for event in made], dtype=np.int64)
    trade_times = np.array([at_ns for at_ns, *_ in trades], dtype=np.int64)
    snapshot = np.zeros(len(made), dtype=np.int8)
    snapshot[0] = 1
    return Tape(
        name="synthetic",
        digest="",
        instrument=INSTRUMENT,
        group_venue_ns=times,
        group_recv_ns=times,
        group_first=np.cumsum([0, *(len(event.levels) for event in made)], dtype=np.int64),
        group_snapshot=snapshot,
        level_side=np.array([side for side, _, _ in levels], dtype=np.int8),
        level_ticks=np.array([ticks for _, ticks, _ in levels], dtype=np.int64),
        level_lots=np.array([lots for _, _, lots in levels], dtype=np.int64),
        trade_venue_ns=trade_times,
        trade_recv_ns=trade_times,
        trade_side=np.array([side for _, side, _, _ in trades], dtype=np.int8),
        trade_ticks=np.array([ticks for _, _, ticks, _ in trades], dtype=np.int64),
        trade_lots=np.array([lots for *_, lots in trades], dtype=np.int64),
    )
