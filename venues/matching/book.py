"""One side of an order book: price levels, each a queue in order of arrival.

Prices are keyed so that the best is always the largest: +price for bids, -price for asks. The sorted list of keys makes
the best a list's end; an order knows its level and its neighbours, so that it leaves the queue without a search.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from sor.market import Levels
from venues.matching.orders import Level, Order


class BookSide:
    """The levels of one side. `sign` is +1 for bids, -1 for asks; a key is `sign * price_ticks`.

    keys     ascending, so the best is last.
    dirty    keys whose size changed since it was last emptied, in order of first change; filled only while `tracks`.
    """

    __slots__ = ("dirty", "keys", "levels", "sign", "tracks")

    def __init__(self, *, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.levels: dict[int, Level] = {}
        self.dirty: dict[int, None] = {}
        self.tracks = False

    def add(self, order: Order) -> None:
        """Put an order at the back of the queue at its price."""
        key = self.sign * order.price_ticks
        level = self.levels.get(key)
        if level is None:
            level = self.levels[key] = Level(key)
            keys = self.keys
            if not keys or key > keys[-1]:
                keys.append(key)
            else:
                insort(keys, key)
        tail = level.tail
        if tail is None:
            level.head = order
        else:
            tail.newer = order
            order.older = tail
        level.tail = order
        level.lots += order.leaves_lots
        order.level = level
        if self.tracks:
            self.dirty[key] = None

    def remove(self, order: Order) -> None:
        """Take a resting order out of its queue; its leaves are the caller's to settle."""
        level = order.level
        assert level is not None
        older, newer = order.older, order.newer
        if older is None:
            level.head = newer
        else:
            older.newer = newer
            order.older = None
        if newer is None:
            level.tail = older
        else:
            newer.older = older
            order.newer = None
        order.level = None
        level.lots -= order.leaves_lots
        key = level.key
        if level.head is None:
            del self.levels[key]
            keys = self.keys
            if keys[-1] == key:
                keys.pop()
            else:
                del keys[bisect_left(keys, key)]
        if self.tracks:
            self.dirty[key] = None

    def cut(self, order: Order, lots: int) -> None:
        """Lower a resting order by `lots`, fewer than it has left; it keeps its place."""
        level = order.level
        assert level is not None
        assert 0 < lots < order.leaves_lots
        order.leaves_lots -= lots
        level.lots -= lots
        if self.tracks:
            self.dirty[level.key] = None

    def top(self, n_levels: int) -> Levels:
        """Up to `n_levels` (price_ticks, qty_lots), best first."""
        sign, levels = self.sign, self.levels
        return tuple((sign * key, levels[key].lots) for key in self.keys[: -n_levels - 1 : -1])

    def changes(self) -> Levels:
        """Levels changed since the last call, best first, with their present size; 0 for those that are gone."""
        sign, levels = self.sign, self.levels
        changed = sorted(self.dirty, reverse=True)
        self.dirty.clear()
        return tuple((sign * key, levels[key].lots if key in levels else 0) for key in changed)
