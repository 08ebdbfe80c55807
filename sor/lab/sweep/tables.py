"""A recording as the arrays that the replay kernel reads."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from sor.errors import CallerError
from sor.lab.sweep.compiled import Kernel
from sor.lab.sweep.kernel import Bytes, Ints, Ints32, Market
from sor.lab.sweep.steps import HEADER, opened
from sor.tape import Tape

Column = TypeVar("Column", Ints, Bytes)
_NARROW = 1 << 24
"""Prices no further apart than this, in ticks, are found in a table instead of being searched for."""


def market_of(tape: Tape, kernel: Kernel, *, group_local_ns: Ints, trade_local_ns: Ints) -> Market:
    """The tables of a tape whose groups and trades become known at the given local times.

    Raises `CallerError` for a recording without a book.
    """
    return opened(packed(tape, kernel, group_local_ns=group_local_ns, trade_local_ns=trade_local_ns))


def packed(tape: Tape, kernel: Kernel, *, group_local_ns: Ints, trade_local_ns: Ints) -> Ints:
    """The same in one array, as `sor.lab.sweep.steps` takes them. Raises as `market_of`."""
    if not len(tape.level_ticks):
        raise CallerError(f"tape {tape.name} holds no book; nothing was replayed")
    groups, trades = len(tape.group_venue_ns), len(tape.trade_venue_ns)
    prices, keys, low, place_of = _places(_plain(tape.level_ticks), kernel)
    # A level that a snapshot removes was named before. What is too much is never touched and costs nothing.
    changes = len(keys) + int(tape.group_first[np.flatnonzero(tape.group_snapshot)].sum())
    sizes = [groups] * 5 + [trades] * 5 + [2 * len(prices), 2 * len(prices) + 1, changes, changes]
    stop = HEADER + np.cumsum(sizes)
    tables = np.empty(int(stop[-1]), np.int64)
    tables[1:HEADER:2] = stop
    tables[0:HEADER:2] = stop - sizes
    market = opened(tables)
    market.group_ns[:] = tape.group_venue_ns
    market.group_local_ns[:] = group_local_ns
    market.trade_ns[:] = tape.trade_venue_ns
    market.trade_local_ns[:] = trade_local_ns
    market.trade_side[:] = tape.trade_side
    market.trade_ticks[:] = tape.trade_ticks
    market.trade_lots[:] = tape.trade_lots
    market.level_key[::2] = 2 * prices
    market.level_key[1::2] = 2 * prices + 1
    count = kernel.tabled(
        _plain(tape.group_first),
        _plain(tape.group_snapshot),
        _plain(tape.level_side),
        keys,
        _plain(tape.level_lots),
        low,
        place_of,
        market,
    )
    tables[HEADER - 3 : HEADER : 2] = tables[HEADER - 4 : HEADER : 2] + count
    return tables


def _places(ticks: Ints, kernel: Kernel) -> tuple[Ints, Ints, int, Ints32]:
    """The prices that occur, ascending, and of each of `ticks` a number, the least of them, and its place by that."""
    low, high = int(ticks.min()), int(ticks.max())
    if high - low >= _NARROW:
        prices, numbers = np.unique(ticks, return_inverse=True)
        return prices, _plain(numbers), 0, np.arange(len(prices), dtype=np.int32)
    place_of = np.zeros(high - low + 1, np.int32)  # memory that is never touched costs nothing
    found = np.empty(len(ticks), np.int64)
    prices = np.sort(found[: kernel.told_apart(ticks, low, place_of, found)])
    place_of[prices - low] = np.arange(len(prices), dtype=np.int32)
    return prices, ticks, low, place_of


def _plain(column: Column) -> Column:
    """The column as the compiler expects it: in one piece, nothing but an array, and not to be written to."""
    plain = np.ascontiguousarray(column).view(np.ndarray)
    plain.flags.writeable = False
    return plain
