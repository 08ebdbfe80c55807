"""Looking things up along a column for many queries at once: first passages and extremes of ranges.

Both go through a pyramid of block minima: one query looks at a few dozen values however long the column is, and all
queries take each step together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sor.tape import IntColumn

_FACTOR_BITS = 4
"""Each level of the pyramid holds the minima of 16 values of the one below."""


class Lowest:
    """The first value at most so large, and the least of a range, of one column of E int64 values."""

    __slots__ = ("_flat", "_offset", "_top", "count")

    def __init__(self, values: IntColumn) -> None:
        self.count = len(values)
        levels = [np.ascontiguousarray(values, dtype=np.int64)]
        while len(levels[-1]) > 1:
            below = levels[-1]
            padded = np.full(-(-len(below) >> _FACTOR_BITS) << _FACTOR_BITS, np.iinfo(np.int64).max)
            padded[: len(below)] = below
            levels.append(padded.reshape(-1, 1 << _FACTOR_BITS).min(axis=1))
        self._flat = np.concatenate(levels)
        self._offset = np.cumsum([0, *(len(level) for level in levels)])
        self._top = len(levels) - 1

    def first_at_most(self, bound: IntColumn, *, start: IntColumn, stop: IntColumn) -> IntColumn:
        """For each of N queries the first index in [start, stop) whose value is at most `bound`, else `count`.

        bound, start, stop    (N,) int64, 0 <= start, stop <= count.
        """
        found = np.full(len(bound), self.count, dtype=np.int64)
        query = np.flatnonzero(start < stop)
        at, level = start[query].copy(), np.zeros(len(query), dtype=np.int64)
        bound, stop = bound[query], stop[query]
        while len(query):
            low = self._flat[self._offset[level] + at] <= bound
            hit = low & (level == 0)
            found[query[hit]] = at[hit]
            # Down into a block that holds such a value, on behind one that does not, and up where a block begins.
            down = low & ~hit
            level = level - down
            at = np.where(down, at << _FACTOR_BITS, at + ~low)
            up = ~low & (at & ((1 << _FACTOR_BITS) - 1) == 0) & (level < self._top)
            level = level + up
            at = at >> (_FACTOR_BITS * up)
            left = ~hit & (at << (_FACTOR_BITS * level) < stop)
            if not left.all():
                query, at, level, bound, stop = query[left], at[left], level[left], bound[left], stop[left]
        return found


def range_max(values: NDArray[np.float64], *, start: IntColumn, stop: IntColumn) -> NDArray[np.float64]:
    """The largest value of each of N ranges [start, stop), NaN for empty ones; values (E,) without NaN."""
    largest = np.full(len(start), np.nan)
    length = stop - start
    table, width = values, 1
    while width <= int(length.max(initial=0)):
        here = np.flatnonzero((length >= width) & (length < 2 * width))
        largest[here] = np.maximum(table[start[here]], table[stop[here] - width])
        if 2 * width > len(values):
            break
        table = np.maximum(table[:-width], table[width:])
        width *= 2
    return largest
