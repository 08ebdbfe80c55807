"""Both sides of a book as it is walked along a tape, with the best of each kept at hand."""

from __future__ import annotations

_NEAR = 64
"""Ticks within which the next best price is looked for one by one, before all are compared."""


class BothSides:
    """Lots by price in ticks; a best price is 0 while its side is empty."""

    def __init__(self) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.bid = self.ask = 0

    def clear(self) -> None:
        """Nothing is known."""
        self.bids.clear()
        self.asks.clear()
        self.bid = self.ask = 0

    def put(self, side: int, ticks: int, lots: int) -> None:
        """One level's new size; the best prices follow."""
        if side > 0:
            if lots:
                self.bids[ticks] = lots
                self.bid = max(self.bid, ticks)
            elif self.bids.pop(ticks, 0) and ticks == self.bid:
                self.bid = _next(self.bids, ticks, -1) or max(self.bids, default=0)
        elif lots:
            self.asks[ticks] = lots
            self.ask = min(self.ask or ticks, ticks)
        elif self.asks.pop(ticks, 0) and ticks == self.ask:
            self.ask = _next(self.asks, ticks, 1) or min(self.asks, default=0)

    @property
    def crossed(self) -> bool:
        """Whether both sides are there and meet."""
        return self.bid >= self.ask > 0


def _next(levels: dict[int, int], ticks: int, way: int) -> int:
    """The nearest price that holds something from `ticks` on, 0 where none is near."""
    for price in range(ticks + way, ticks + way * _NEAR, way):
        if price in levels:
            return price
    return 0
