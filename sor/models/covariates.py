"""What a resting order's fate is explained by: the one definition of each covariate, for the router and for tapes.

Everything is in the order's own terms: *near* is its own side of the book and *far* the other one, flow *against* takes
from its side and so fills it, and signs are such that a positive value says that the price leaves it. A buy and a sell
of a mirrored market have the same covariates, so both teach one model.

    log_queue_s       log of how many seconds of taker flow against us stand before the order is done: lots ahead and
                      its own over lots per second. Of nobody's flow it is `QUEUE_S_MAX`.
    lean              2 x own side's share of the size at the touch - 1
    ofi_1s, ofi_10s   order-flow imbalance towards our side over the size at the touch of both sides, within `OFI_MAX`
    log_spread        log of the spread in ticks
    inside            1 for an order inside the spread, which is the first to be met, else 0
    log_gap           log of the share of the spread that an order inside it leaves to the other side, 0 at the touch
                      and behind it
    behind            how far an order is behind the own touch over what the price moves in a second, `unit_bps`, within
                      `BEHIND_MAX`; 0 at the touch and inside. One that is r behind is a standard deviation away over
                      r^2 seconds
    log_behind        log(1 + behind): near the touch a tick counts for more than far from it
    log_volatility    log of the volatility over the spread, both in bps
    log_flow_ratio    log of taker flow with us over against us; both are raised by a hundredth of the touch per second
    log_trades        log(1 + trades per second that take from our side)
    log_moves         log(1 + best moves per second)

A tape knows neither our latency nor the next funding payment, so neither is here: what a model cannot be taught it must
not be asked. Bounds keep a covariate finite where a window holds nothing, and a fit from leaning on outliers.

Inside and behind are told apart because nothing holds across the touch: a tick better doubles the rate of fills, a tick
worse hardly lowers it, and what is far behind waits for the price and not for the queue (decision 0065).

The effect of some fades with the age of an order, `FADING`: a queue counts at first, before the price has moved, and
being behind counts until it had time to.

Each formula is written once, over `Maths`: floats where an order is judged, columns on tapes (`sor.lab.covariates`).
"""

from __future__ import annotations

from math import log as _log
from math import log1p as _log1p
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

from sor.features import Features
from sor.orders import Side

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Number = TypeVar("Number", float, "NDArray[np.float64]")

QUEUE_S_MIN, QUEUE_S_MAX = 0.02, 600.0
OFI_MAX = 4.0
GAP_MIN = 0.01
BEHIND_MAX = 50.0
"""Roots of seconds, see `behind`."""
SPREAD_SHARE = 0.05
"""How much of the spread is added to the volatility where moves are scaled, 1/sqrt(s)."""
VOLATILITY_MIN, VOLATILITY_MAX = 0.01, 100.0
"""Bounds of the volatility over the spread."""
FLOW_FLOOR = 0.01
"""Share of the touch per second by which flows are raised before they are divided."""
_NO_FLOW = 1e-9
"""Lots per second that divide where nobody took anything."""

COVARIATES: tuple[str, ...] = (
    "log_queue_s",
    "lean",
    "ofi_1s",
    "ofi_10s",
    "log_spread",
    "inside",
    "log_gap",
    "behind",
    "log_behind",
    "log_volatility",
    "log_flow_ratio",
    "log_trades",
    "log_moves",
)
"""Names in the order in which they are always given; `fill.<name>` and `drift.<name>` are ids of parameters."""
FADING: tuple[str, ...] = ("log_queue_s", "log_behind")
"""Those of which the effect on fills changes with the log of an order's age; `fading.<name>` likewise."""


class Maths(Protocol[Number]):
    """What the formulas need beyond arithmetic."""

    def log(self, value: Number) -> Number:
        """Natural logarithm, value > 0."""

    def log1p(self, value: Number) -> Number:
        """log(1 + value), value > -1."""

    def within(self, value: Number, low: float, high: float) -> Number:
        """The value, or the bound that it exceeds."""

    def least(self, value: Number, low: float) -> Number:
        """The larger of the two."""


class Terms(NamedTuple, Generic[Number]):
    """A market and an order in the order's own terms: N orders as columns (N,), or one as floats.

    queue_lots               lots ahead of the order and its own, > 0.
    near_lots, far_lots      size at the own and at the opposite touch, > 0.
    spread_ticks             > 0. spread_bps: the same in bps of the mid.
    away_ticks               how far the price is behind the own touch, negative when inside the spread.
    flow_against, flow_with  lots per second that takers took from our side of the book, and from the other.
    trades_against           trades per second of the former.
    ofi_1s_lots, ofi_10s_lots    order-flow imbalance, positive when our own side grows.
    volatility               bps/sqrt(s). moves_per_s: of either best price.
    """

    queue_lots: Number
    near_lots: Number
    far_lots: Number
    spread_ticks: Number
    spread_bps: Number
    away_ticks: Number
    flow_against: Number
    flow_with: Number
    trades_against: Number
    ofi_1s_lots: Number
    ofi_10s_lots: Number
    volatility: Number
    moves_per_s: Number


def terms_of(
    features: Features, side: Side, *, bid_ticks: int, ask_ticks: int, price_ticks: int, ahead_lots: float, lots: int
) -> Terms[float]:
    """The terms of one order.

    features, bid_ticks, ask_ticks    of one sound book.
    price_ticks    where it rests or would rest.
    ahead_lots     what stands ahead of it there, >= 0; lots: its own, > 0.
    """
    if side > 0:
        return Terms(
            ahead_lots + lots,
            features.bid_touch_lots,
            features.ask_touch_lots,
            features.spread_ticks,
            features.spread_bps,
            bid_ticks - price_ticks,
            features.sell_flow,
            features.buy_flow,
            features.sell_trades_per_s,
            features.ofi_1s_lots,
            features.ofi_lots,
            features.volatility,
            features.best_moves_per_s,
        )
    return Terms(
        ahead_lots + lots,
        features.ask_touch_lots,
        features.bid_touch_lots,
        features.spread_ticks,
        features.spread_bps,
        price_ticks - ask_ticks,
        features.buy_flow,
        features.sell_flow,
        features.buy_trades_per_s,
        -features.ofi_1s_lots,
        -features.ofi_lots,
        features.volatility,
        features.best_moves_per_s,
    )


# --- the formulas -----------------------------------------------------------------------------------------------------


def log_queue_s(terms: Terms[Number], maths: Maths[Number]) -> Number:
    """Seconds of flow before the order is done."""
    flow = maths.least(terms.flow_against, _NO_FLOW)
    return maths.log(maths.within(terms.queue_lots / flow, QUEUE_S_MIN, QUEUE_S_MAX))


def lean(terms: Terms[Number]) -> Number:
    """Whose size stands at the touch, from -1 to 1."""
    return (terms.near_lots - terms.far_lots) / (terms.near_lots + terms.far_lots)


def relative_ofi(ofi_lots: Number, terms: Terms[Number], maths: Maths[Number]) -> Number:
    """Order-flow imbalance in sizes of the touch."""
    return maths.within(ofi_lots / (terms.near_lots + terms.far_lots), -OFI_MAX, OFI_MAX)


def inside(terms: Terms[Number], maths: Maths[Number]) -> Number:
    """1 inside the spread, by a tick or more."""
    return maths.within(-terms.away_ticks, 0.0, 1.0)


def log_gap(terms: Terms[Number], maths: Maths[Number]) -> Number:
    """Share of the spread to the other side."""
    return maths.log(maths.within(1.0 + terms.away_ticks / terms.spread_ticks, GAP_MIN, 1.0))


def behind(terms: Terms[Number], maths: Maths[Number]) -> Number:
    """How far behind, in moves of a second."""
    tick_bps = terms.spread_bps / terms.spread_ticks
    moved_bps = unit_bps(volatility=terms.volatility, spread_bps=terms.spread_bps)
    return maths.within(terms.away_ticks * tick_bps / moved_bps, 0.0, BEHIND_MAX)


def unit_bps(*, volatility: Number, spread_bps: Number) -> Number:
    """The scale of moves, bps/sqrt(s): a market that stood still for a minute is not one that cannot move."""
    return volatility + SPREAD_SHARE * spread_bps


def log_volatility(terms: Terms[Number], maths: Maths[Number]) -> Number:
    """Volatility of one second in spreads."""
    return maths.log(maths.within(terms.volatility / terms.spread_bps, VOLATILITY_MIN, VOLATILITY_MAX))


def log_flow_ratio(terms: Terms[Number], maths: Maths[Number]) -> Number:
    """Which way takers take."""
    floor = FLOW_FLOOR * (terms.near_lots + terms.far_lots)
    return maths.log((terms.flow_with + floor) / (terms.flow_against + floor))


def covariates(terms: Terms[Number], maths: Maths[Number]) -> tuple[Number, ...]:
    """All covariates, in the order of `COVARIATES`."""
    away = behind(terms, maths)
    return (
        log_queue_s(terms, maths),
        lean(terms),
        relative_ofi(terms.ofi_1s_lots, terms, maths),
        relative_ofi(terms.ofi_10s_lots, terms, maths),
        maths.log(terms.spread_ticks),
        inside(terms, maths),
        log_gap(terms, maths),
        away,
        maths.log1p(away),
        log_volatility(terms, maths),
        log_flow_ratio(terms, maths),
        maths.log1p(terms.trades_against),
        maths.log1p(terms.moves_per_s),
    )


# --- of one order -----------------------------------------------------------------------------------------------------


class _FloatMaths:
    """Over single numbers."""

    __slots__ = ()

    def log(self, value: float) -> float:
        return _log(value)

    def log1p(self, value: float) -> float:
        return _log1p(value)

    def within(self, value: float, low: float, high: float) -> float:
        return low if value < low else min(value, high)

    def least(self, value: float, low: float) -> float:
        return max(value, low)


_FLOATS: Maths[float] = _FloatMaths()


def covariates_of(
    features: Features, side: Side, *, bid_ticks: int, ask_ticks: int, price_ticks: int, ahead_lots: float, lots: int
) -> tuple[float, ...]:
    """The covariates of one order as the router sees the market; arguments as of `terms_of`."""
    terms = terms_of(
        features,
        side,
        bid_ticks=bid_ticks,
        ask_ticks=ask_ticks,
        price_ticks=price_ticks,
        ahead_lots=ahead_lots,
        lots=lots,
    )
    return covariates(terms, _FLOATS)
