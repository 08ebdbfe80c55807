"""Market data: what adapters push, and the frozen picture of it that a decision is based on.

Prices in ticks, quantities in lots, `_hticks` are half-ticks so that mids are exact. `venue_ns` is the venue's clock,
`recv_ns` ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import msgspec

from sor.features import Features
from sor.ids import Symbol, VenueName
from sor.orders import Side

_BUY: Final = Side.BUY  # CPython 3.11 takes longer to read a member off its enum than to compare it

Level = tuple[int, int]
"""(price_ticks, qty_lots)."""
Levels = tuple[Level, ...]
"""Best first."""


class LateLevels(msgspec.Struct, gc=False, eq=False):
    """One side of a whole book as the floats that came; ticks and lots of all but the best are made when read.

    Most of what a venue sends of a book is never looked at, and making whole numbers of it is the dearest step.

    best        price_ticks and qty_lots > 0 of the best level, exact.
    rows        (price, quantity), each the float nearest to the venue's decimal, > 0 and no more than 2**50 steps; by
                price, best first. Of a price named twice the later one counts; less than a lot is nothing.
    *_steps     ticks and lots in one unit of price and quantity: powers of ten. Quantities are cut down to a lot;
                prices other than the best are taken as on the nearest tick, which is exact for what is on one.
    """

    best: Level
    rows: list[tuple[float, float]]
    price_steps: float
    qty_steps: float
    _levels: Levels | None = None

    def read(self) -> Levels:
        """All levels that hold something, best first, each price once."""
        if self._levels is None:
            price_steps, qty_steps = self.price_steps, self.qty_steps
            held = {round(price * price_steps): whole_lots(qty, qty_steps) for price, qty in self.rows}
            self._levels = tuple([level for level in held.items() if level[1]])
        return self._levels

    def __iter__(self) -> Iterator[Level]:
        return iter(self.read())

    def __len__(self) -> int:
        return len(self.read())

    def __getitem__(self, index: int) -> Level:
        return self.read()[index]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, LateLevels):
            return self.read() == other.read()
        return self.read() == other if isinstance(other, tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.read())


def whole_lots(qty: float, qty_steps: float) -> int:
    """The lots in the float nearest to a decimal quantity, exact: as many as that decimal holds.

    qty_steps    lots in one unit, a power of ten; `qty * qty_steps` is at most 2**50.
    """
    lots = round(qty * qty_steps)
    return lots if lots / qty_steps <= qty else lots - 1  # the quotient is the float nearest to that many lots


VIEW_DEPTH = 10
"""Levels a side that a `MarketView` carries."""


class BookUpdate(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A change of the book: levels with their new total size, 0 removes one; a snapshot replaces everything.

    bids, asks       of a snapshot they may be `LateLevels`.
    seq, prev_seq    the venue's update ids: an update whose `prev_seq` is not the last `seq` leaves a gap open until
                     the next snapshot. -1 in `prev_seq`: the venue has no chain and gaps cannot be seen.
    """

    symbol: Symbol
    bids: Levels | LateLevels
    asks: Levels | LateLevels
    venue_ns: int
    recv_ns: int
    snapshot: bool = False
    seq: int = -1
    prev_seq: int = -1


class TradePrint(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A public trade; `side` is the aggressor's."""

    symbol: Symbol
    side: Side
    price_ticks: int
    qty_lots: int
    venue_ns: int
    recv_ns: int


class MarkUpdate(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The venue's mark price, in ticks; finer than the tick, hence a float and an estimate.

    funding_ns      the venue's time of the next settlement of funding, 0 where this does not say.
    funding_rate    what longs pay shorts then, as it stands: a fraction of the notional; None where this does not say.
    """

    symbol: Symbol
    mark_ticks: float
    venue_ns: int
    recv_ns: int
    funding_ns: int = 0
    funding_rate: float | None = None


class BookReset(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The feed was lost or resubscribed: what we hold is not to be trusted until the next snapshot."""

    symbol: Symbol
    recv_ns: int


MarketEvent = BookUpdate | TradePrint | MarkUpdate | BookReset


class Trust(StrEnum):
    """Whether a book may be acted on. Staleness is judged later, by age, against the param-set."""

    OK = "ok"
    EMPTY = "empty"
    GAP = "gap"
    CROSSED = "crossed"


class MarketView(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The market at one moment as a decision sees it; small enough to be journaled with the decision.

    bids, asks    up to `VIEW_DEPTH` levels, best first.
    mark_ticks    None until the venue's mark is known.
    features      None unless both sides of the book are there and it may be trusted.
    funding_*     as in `MarkUpdate`, the last that was said.
    """

    venue: VenueName
    symbol: Symbol
    trust: Trust
    venue_ns: int
    recv_ns: int
    bids: Levels
    asks: Levels
    mark_ticks: float | None
    features: Features | None
    funding_ns: int = 0
    funding_rate: float | None = None

    @property
    def mid_hticks(self) -> int | None:
        """Mid in half-ticks, or None while a side is empty."""
        if not self.bids or not self.asks:
            return None
        return self.bids[0][0] + self.asks[0][0]

    def ladder(self, side: Side) -> Levels:
        """The levels an order of `side` would take: asks for a buy."""
        return self.asks if side is _BUY else self.bids
