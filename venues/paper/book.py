"""The whole displayed book of one symbol as paper orders meet it, and whether it may be met at all.

Chain and trust are those of the router's own book, which a property test compares: an update that does not follow the
last one leaves a gap until the next snapshot, and in a gap nothing is applied. Beyond it, each level has a version,
which changes with its size: what a paper order took from a level stays taken until then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sor.market import BookUpdate, Level
from sor.orders import Side
from venues.simulated.tape_market import FAR

_Side = dict[int, tuple[int, int]]
"""(lots > 0, version) by price in ticks."""


class VisibleBook:
    """Levels by price, all of them.

    synced      nothing is missing since the last snapshot.
    venue_ns    the venue's clock at the last change, 0 while it does not say; recv_ns: ours.
    """

    __slots__ = ("_best", "_fresh", "_seq", "_sides", "_version", "recv_ns", "synced", "venue_ns")

    def __init__(self) -> None:
        self.synced = False
        self.venue_ns = 0
        self.recv_ns = 0
        self._fresh = False
        self._seq = -1
        self._version = 0
        self._sides: dict[Side, _Side] = {Side.BUY: {}, Side.SELL: {}}
        self._best: dict[Side, int] = {}

    def apply(self, update: BookUpdate) -> bool:
        """Take a snapshot or an update. Returns whether it was applied: it is not if it is old or leaves a gap."""
        if update.snapshot:
            self.synced = self._fresh = True
            self._seq = update.seq
            for side, levels in ((Side.BUY, update.bids), (Side.SELL, update.asks)):
                self._load(side, levels)
        elif not self.synced or not self._continues(update):
            return False
        else:
            self._change(Side.BUY, update.bids)
            self._change(Side.SELL, update.asks)
        self._best.clear()
        self.venue_ns = update.venue_ns
        self.recv_ns = update.recv_ns
        return True

    def lose(self) -> None:
        """The feed was lost: nothing may be met until the next snapshot."""
        self.synced = False

    @property
    def sound(self) -> bool:
        """It may be met: nothing is missing, both sides are there, and they do not overlap."""
        if not self.synced:
            return False
        bid, ask = self.best(Side.BUY), -self.best(Side.SELL)
        return -FAR < bid < ask < FAR

    def best(self, side: Side) -> int:
        """The best price of a side, signed by it; -FAR while it is empty."""
        best = self._best.get(side)
        if best is None:
            best = self._best[side] = max((side * ticks for ticks in self._sides[side]), default=-FAR)
        return best

    def mid_hticks(self) -> int:
        """Mid in half-ticks, 0 while the book may not be met."""
        return self.best(Side.BUY) - self.best(Side.SELL) if self.sound else 0

    def lots(self, side: Side, price_ticks: int) -> int:
        """What is displayed at one price."""
        return self._sides[side].get(price_ticks, (0, 0))[0]

    def ladder(self, side: Side, *, limit_signed: int) -> Iterator[tuple[int, int, int]]:
        """What an order of `side` meets, best first: price, lots and version of each level within its limit.

        limit_signed    signed price the order will not go beyond; FAR for none.
        """
        met = self._sides[side.opposite]
        for signed in sorted(side * ticks for ticks in met):
            if signed > limit_signed:
                return
            lots, version = met[abs(signed)]
            yield abs(signed), lots, version

    def _load(self, side: Side, levels: Iterable[Level]) -> None:
        old = self._sides[side]
        self._sides[side] = {}
        for ticks, lots in levels:
            if lots:
                known = old.get(ticks)
                self._sides[side][ticks] = known if known is not None and known[0] == lots else self._dated(lots)

    def _change(self, side: Side, levels: Iterable[Level]) -> None:
        held = self._sides[side]
        for ticks, lots in levels:
            if not lots:
                held.pop(ticks, None)
            elif ticks not in held or held[ticks][0] != lots:
                held[ticks] = self._dated(lots)

    def _dated(self, lots: int) -> tuple[int, int]:
        self._version += 1
        return lots, self._version

    def _continues(self, update: BookUpdate) -> bool:
        """Whether an update that is no snapshot may be applied; a break of the chain opens the gap."""
        seq, prev_seq, last = update.seq, update.prev_seq, self._seq
        if prev_seq >= 0:
            if prev_seq != last:
                if seq <= last:
                    return False
                if last < 0 or prev_seq > last or not self._fresh:
                    self.lose()
                    return False
        elif 0 <= seq <= last:
            if not self._fresh:
                self.lose()
            return False
        self._fresh = False
        if seq >= 0:
            self._seq = seq
        return True
