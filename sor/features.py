"""Market features: the one definition of each (D8). `sor.book` computes them live, `sor.lab.columns` on tapes.

Windows slide and are half-open, (now - window, now]: an event of age exactly the window no longer counts.
All sums are integers, so the two forms agree exactly; only the last division makes a float.
"""

from __future__ import annotations

import msgspec

FLOW_WINDOW_NS = 10_000_000_000
"""Trade flow, order-flow imbalance and best moves look back 10 s."""
VOL_SAMPLE_NS = 1_000_000_000
"""Realised volatility samples the mid at whole seconds of venue time, previous tick."""
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
    ofi_lots             order-flow imbalance at the best over FLOW_WINDOW_NS (Cont, Kukanov, Stoikov 2014).
    best_moves_per_s     changes of best bid or best ask price per second over FLOW_WINDOW_NS.
    volatility           realised, bps/sqrt(s), from one-second mids; 0.0 until two samples exist.
    window_s             seconds of data the flow figures rest on, at most FLOW_WINDOW_NS.
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


FEATURE_NAMES: tuple[str, ...] = Features.__struct_fields__
"""Names a `Trigger` may watch."""
