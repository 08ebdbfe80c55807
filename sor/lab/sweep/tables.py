"""A recording as the arrays that the replay kernel reads."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from sor.errors import CallerError
from sor.lab.sweep.compiled import Kernel
from sor.lab.sweep.kernel import Bytes, Ints, Market
from sor.tape import Tape

Column = TypeVar("Column", Ints, Bytes)
_NARROW = 1 << 24
"""Prices no further apart than this, in ticks, are found in a table instead of being searched for."""


def market_of(tape: Tape, kernel: Kernel, *, group_local_ns: Ints, trade_local_ns: Ints) -> Market:
    """The tables of a tape whose groups and trades become known at the given local times.

    Raises `CallerError` for a recording without a book.
    """
    if not len(tape.level_ticks):
        raise CallerError(f"tape {tape.name} holds no book; nothing was replayed")
    count = len(tape.group_venue_ns)
    bid, ask, trust = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.int8)
    prices, place = _places(tape.level_ticks)
    first, change_group, change_lots = kernel.tabled(
        _plain(tape.group_first),
        _plain(tape.group_snapshot),
        _plain(tape.level_side),
        place,
        _plain(tape.level_lots),
        prices,
        bid,
        ask,
        trust,
    )
    return Market(
        group_ns=_plain(tape.group_venue_ns),
        group_local_ns=_plain(group_local_ns),
        bid=bid,
        ask=ask,
        trust=trust,
        trade_ns=_plain(tape.trade_venue_ns),
        trade_local_ns=_plain(trade_local_ns),
        trade_side=_plain(tape.trade_side),
        trade_ticks=_plain(tape.trade_ticks),
        trade_lots=_plain(tape.trade_lots),
        level_key=(2 * prices[:, None] + np.array([0, 1])).ravel(),
        level_first=first,
        change_group=change_group,
        change_lots=change_lots,
    )


def _places(ticks: Ints) -> tuple[Ints, Ints]:
    """The prices that occur, ascending, and where among them each of `ticks` is."""
    low, high = int(ticks.min()), int(ticks.max())
    if high - low >= _NARROW:
        prices, place = np.unique(ticks, return_inverse=True)
        return prices, place
    above = ticks - low
    occurs = np.zeros(high - low + 1, np.bool_)
    occurs[above] = True
    found = np.flatnonzero(occurs)
    places = np.empty(high - low + 1, np.int32)  # memory that is never touched costs nothing
    places[found] = np.arange(len(found), dtype=np.int32)
    return found + low, places[above].astype(np.int64)


def _plain(column: Column) -> Column:
    """The column as the compiler expects it: in memory, in one piece, and not the view of a file."""
    if type(column) is np.ndarray and column.flags.writeable and column.flags.c_contiguous:
        return column
    return np.array(column, order="C")
