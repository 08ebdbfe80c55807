"""Market regimes: the one word for the state of the market that a param-set may give values for.

The word is a pure function of what the decision sees and of the set's own thresholds, without hysteresis and without
memory, so that a recorded decision can be recomputed from its view and its set alone. A policy that must not flicker
has its own hysteresis (`placement.calm_exit_ratio`).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from sor.features import Features


class Regime(StrEnum):
    """The words, from the one that is asked for first."""

    WIDE = "wide"
    BUSY = "busy"
    CALM = "calm"


class Thresholds(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Where one regime ends and another begins: the parameters `regime.*` of one set, venue and symbol."""

    wide_spread_min: float
    busy_volatility_min: float
    window_s_min: float


THRESHOLDS: tuple[str, ...] = tuple(f"regime.{field}" for field in Thresholds.__struct_fields__)
"""What a set gives, all of it, if it speaks of regimes."""


def regime_of(features: Features, thresholds: Thresholds) -> Regime | None:
    """The regime of a moment; None while the volatility of a market that is not wide rests on too little data."""
    if features.spread_bps >= thresholds.wide_spread_min:
        return Regime.WIDE
    if features.window_s < thresholds.window_s_min:
        return None
    return Regime.BUSY if features.volatility >= thresholds.busy_volatility_min else Regime.CALM
