"""Market features: the one definition of each (D8). `sor.book` computes them live, `sor.lab.columns` on tapes.

The clock is the router's own: events count from their `recv_ns`, and a reading at `now_ns` rests on what had arrived
by then, as the router could not know more. Windows slide and are half-open, (now - window, now]: an event of age
exactly the window no longer counts. A state is sound while both sides are there and the best bid is below the best
ask; order-flow imbalance, best moves and volatility compare sound states only and step over the others. Windows start
with the first sound state, afresh after a book was lost, and `window_s` says how much they hold.
All sums are integers, so the two forms agree exactly; only the formulas at the end of this file make floats, and
both forms call those.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar

import msgspec

from sor.units import BPS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FLOW_WINDOW_NS = 10_000_000_000
"""Trade flow, order-flow imbalance and best moves look back 10 s."""
SHORT_WINDOW_NS = 1_000_000_000
"""What is named `_1s` looks back 1 s, which is also the least that rates divide by: so these always divide by it."""
FLOW_FLOOR_NS = 1_000_000_000
"""Rates divide by at least this much: one trade a millisecond after the first snapshot is not a torrent."""
VOL_SAMPLE_NS = 1_000_000_000
"""Realised volatility samples the mid at whole seconds of the clock: the last sound one strictly before each."""
VOL_SAMPLES = 60
"""... and uses up to this many of the latest one-second returns."""
NEAR_BPS = 5.0
"""`*_near_lots` counts depth within this distance of the mid."""


class Features(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What the order book says, in the units the param-sets use.

    mid_hticks           best bid + best ask.
    spread_ticks, _bps   best ask - best bid; bps of the mid.
    bid/ask_touch_lots   size at the best.
    bid/ask_near_lots    size within NEAR_BPS of the mid (levels at price p with |p - mid| <= NEAR_BPS of mid).
    imbalance            Qb / (Qb + Qa) at the touch.
    micro_ticks          weighted mid I*a + (1-I)*b, ticks (methods 3).
    buy/sell_flow        lots per second taken by buyers / sellers over FLOW_WINDOW_NS.
    ofi_lots             order-flow imbalance at the best over FLOW_WINDOW_NS (Cont, Kukanov, Stoikov 2014), summed
                         over consecutive sound states, one after each update.
    best_moves_per_s     changes of the best bid price plus changes of the best ask price per second over
                         FLOW_WINDOW_NS.
    volatility           realised, bps/sqrt(s), root mean square one-second change of the mid in bps of the mid now;
                         0.0 until two samples exist.
    window_s             seconds of data the flow figures rest on, at most FLOW_WINDOW_NS.
    ofi_1s_lots, buy/sell_flow_1s
                         the same over SHORT_WINDOW_NS.
    buy/sell_trades_per_s
                         trades that buyers / sellers made, per second over FLOW_WINDOW_NS; a trade is what the venue
                         prints as one.
    """

    mid_hticks: int
    spread_ticks: int
    spread_bps: float
    bid_touch_lots: int
    ask_touch_lots: int
    bid_near_lots: int
    ask_near_lots: int
    imbalance: float
    micro_ticks: float
    buy_flow: float
    sell_flow: float
    ofi_lots: int
    best_moves_per_s: float
    volatility: float
    window_s: float
    # Since the first journals; those read as if nothing had come in these windows.
    ofi_1s_lots: int = 0
    buy_flow_1s: float = 0.0
    sell_flow_1s: float = 0.0
    buy_trades_per_s: float = 0.0
    sell_trades_per_s: float = 0.0


FEATURE_NAMES: tuple[str, ...] = Features.__struct_fields__
"""Names a `Trigger` may watch."""

Number = TypeVar("Number", float, "NDArray[np.float64]")
Whole = TypeVar("Whole", int, "NDArray[np.int64]")

_TWO_BPS = 2.0 * BPS
_NEAR_NUM, _NEAR_DEN = (Fraction(NEAR_BPS) / int(BPS)).as_integer_ratio()


def near_bid_ticks(mid_hticks: Whole) -> Whole:
    """The lowest bid price that is near the mid, in ticks: exact, so that a level on the edge is in for both forms."""
    return -(-mid_hticks * (_NEAR_DEN - _NEAR_NUM) // (2 * _NEAR_DEN))


def near_ask_ticks(mid_hticks: Whole) -> Whole:
    """The highest ask price that is near the mid, in ticks."""
    return mid_hticks * (_NEAR_DEN + _NEAR_NUM) // (2 * _NEAR_DEN)


def spread_bps(spread_ticks: Number, mid_hticks: Number) -> Number:
    """Best ask - best bid in bps of the mid."""
    return _TWO_BPS * spread_ticks / mid_hticks


def imbalance(bid_lots: Number, ask_lots: Number) -> Number:
    """Share of the bid in the size at the touch."""
    return bid_lots / (bid_lots + ask_lots)


def micro_ticks(bid_ticks: Number, spread_ticks: Number, bid_lots: Number, ask_lots: Number) -> Number:
    """Weighted mid: the best bid plus the bid's share of the spread."""
    return bid_ticks + spread_ticks * bid_lots / (bid_lots + ask_lots)


def volatility(rms_hticks: Number, mid_hticks: Number) -> Number:
    """Root mean square one-second change of the mid (half-ticks) in bps of the mid, which is bps/sqrt(s)."""
    return BPS * rms_hticks / mid_hticks
