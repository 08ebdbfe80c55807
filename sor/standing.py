"""Where an own resting order stands in its queue, estimated from price levels and trades (methods 7.1).

Joins      behind all that is displayed at its price when it is acknowledged. Not before: until then it is not there.
Trades     at its price come off the front; a fill of it says that nobody is ahead any more.
Shrinking  of the level beyond those trades is shared by the moderate rule between those ahead and those behind.
Trades and books come over two channels. A trade whose venue time is not after that of the book is in the displayed size
           already: it is played against the place before the last change of that size, which is taken in anew.
Own size   is not ahead of us. Where the venue's book shows it, it is in the displayed size from the first book whose
           venue time is not before the acknowledgement's, and is taken off from then on.
Unknown    while the book is lost, and while the price lies beyond what the book shows. In between those ahead can only
           have become fewer, so the place that was known stays as a bound, cut to what is displayed when the level is
           there again.

It is an estimate. Who cancelled is not known, hidden size is not seen, and other own orders at the price count like
anybody's. docs/decisions/0060 says what it was held against.
"""

from __future__ import annotations

from math import ceil, inf
from typing import Final

from sor.adapter import OwnRest
from sor.models.queues import QUEUES, Place

RULE: Final = "moderate"
"""How a shrinking level is shared between those ahead of us and those behind; one of `QUEUES`."""
_MODEL: Final = QUEUES[RULE]
_DUST_LOTS = 1e-6
"""A share of a cancel is not a whole number of lots, and its last bits are nobody's."""


class Standing:
    """One order's place. Tell it every displayed size at its price, and every trade there of the other side.

    key    whose order it is.
    own    its terms; replace them by `change`.
    """

    __slots__ = ("_before", "_before_lots", "_counted", "_others_lots", "_place", "_shown_lots", "key", "own")

    def __init__(self, key: int, own: OwnRest) -> None:
        self.key = key
        self.own = own
        self._place = Place(front=inf)
        self._counted = False
        self._shown_lots = -1
        self._others_lots = -1
        self._before: Place | None = None
        self._before_lots = 0

    @property
    def ahead_lots(self) -> int | None:
        """Lots ahead of it, at least 0, None while that is not known."""
        if self._others_lots < 0:
            return None
        return max(0, ceil(self._place.front - _DUST_LOTS))

    def copy(self) -> Standing:
        """The same place, to be walked ahead along a recording."""
        other = Standing(self.key, self.own)
        other._place = self._place.copy()
        other._counted = self._counted
        other._shown_lots = self._shown_lots
        other._others_lots = self._others_lots
        other._before = None if self._before is None else self._before.copy()
        other._before_lots = self._before_lots
        return other

    def change(self, own: OwnRest) -> None:
        """It keeps its place under these terms."""
        self.own = own
        if own.filled:
            self._place.front = 0.0

    def join(self, lots: int, *, inside: bool, venue_ns: int) -> None:
        """It has come to rest where `lots` are displayed; the rest as for `sees`."""
        own = self.own
        self._counted = own.shown and 0 < own.venue_ns <= venue_ns
        if lots or inside:
            self._shown_lots = lots
            self._others_lots = self._others(lots)
            self._place.front = 0.0 if own.filled else float(self._others_lots)

    def sees(self, lots: int, *, inside: bool, venue_ns: int) -> None:
        """So much is displayed at its price, all told.

        inside      the price lies within what the book shows, so that 0 means nobody.
        venue_ns    the book's venue time, 0 where it has none.
        """
        own = self.own
        if own.shown and not self._counted and (venue_ns == 0 or venue_ns >= own.venue_ns):
            self._counted = True
        elif lots == self._shown_lots:
            return
        self._shown_lots = lots
        if not lots and (not inside or self._others_lots < 0):
            self._others_lots = -1
            self._before = None
            return
        others = self._others(lots)
        place = self._place
        if self._others_lots < 0:
            place.front = min(place.front, float(others))
            place.cum_trade = 0
            self._before = None
        elif others != self._others_lots:
            self._before = place.copy()
            self._before_lots = self._others_lots
            place.changes(_MODEL, displayed_lots=self._others_lots, sizes=(others,))
        self._others_lots = others

    def lose(self) -> None:
        """The book was lost."""
        self._shown_lots = self._others_lots = -1
        self._before = None

    def traded(self, lots: int, *, late: bool) -> None:
        """So much was traded at its price by takers of the other side. late: the displayed size is without it."""
        if self._others_lots < 0:
            return
        place = self._place
        if not late:
            place.trade(lots)
        elif self._before is not None:
            before = self._before
            before.trade(lots)
            front = _MODEL.front_after(
                before.front, cum_trade=before.cum_trade, prev_lots=self._before_lots, sizes=(self._others_lots,)
            )
            place.front = min(place.front, front)

    def _others(self, lots: int) -> int:
        """Of what is displayed, what is not this order."""
        return max(0, lots - self.own.leaves_lots) if self._counted else lots
