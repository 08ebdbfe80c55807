"""Market data: what adapters push, and the frozen picture of it that a decision is based on.

Prices in ticks, quantities in lots, `_hticks` are half-ticks so that mids are exact. `venue_ns` is the venue's clock,
`recv_ns` ours.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from sor.features import Features
from sor.ids import Symbol, VenueName
from sor.orders import Side

Level = tuple[int, int]
"""(price_ticks, qty_lots)."""
Levels = tuple[Level, ...]
"""Best first."""

VIEW_DEPTH = 10
"""Levels a side that a `MarketView` carries."""


class BookUpdate(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A change of the book: levels with their new total size, 0 removes one; a snapshot replaces everything.

    seq, prev_seq    the venue's update ids: an update whose `prev_seq` is not the last `seq` leaves a gap open until
                     the next snapshot. -1 in `prev_seq`: the venue has no chain and gaps cannot be seen.
    """

    symbol: Symbol
    bids: Levels
    asks: Levels
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
    """The venue's mark price, in ticks; finer than the tick, hence a float and an estimate."""

    symbol: Symbol
    mark_ticks: float
    venue_ns: int
    recv_ns: int


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

    @property
    def mid_hticks(self) -> int | None:
        """Mid in half-ticks, or None while a side is empty."""
        if not self.bids or not self.asks:
            return None
        return self.bids[0][0] + self.asks[0][0]

    def ladder(self, side: Side) -> Levels:
        """The levels an order of `side` would take: asks for a buy."""
        return self.asks if side is Side.BUY else self.bids
