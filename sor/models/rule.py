"""The reference rule: rest if what a fill saves is expected to outweigh what an order that stays unfilled loses.

Every richer model must reduce to this one. All in bps of the arrival mid.

Not in the advantage: adverse selection. For a parent that must complete, measured against the arrival mid, it appears
only in the drift of the unfilled; taking it off the advantage as well counts it twice.

Source    methods section 0, equations (1) and (2).
"""

from __future__ import annotations

from math import inf, sqrt

import msgspec

from sor.errors import CallerError

_ERRORS = 3.0
"""A gap beyond this many standard errors is not noise: 3 in 1000 checks of a sound estimate are."""


def maker_advantage_bps(
    *, spread_bps: float, taker_fee_bps: float, maker_fee_bps: float, impact_bps: float = 0.0
) -> float:
    """A of equation (1): what a fill at the near touch saves against crossing now.

    spread_bps    best ask - best bid, the whole of it. impact_bps: walk of the book beyond the far touch, >= 0.
    *_fee_bps     signed, a rebate is negative.
    """
    return spread_bps + taker_fee_bps - maker_fee_bps + impact_bps


def expected_difference_bps(*, fill_probability: float, advantage_bps: float, drift_bps: float) -> float:
    """Equation (2): expected cost of resting and crossing what is left, less that of crossing now. Negative: rest.

    fill_probability    of being filled before giving up, in [0, 1].
    drift_bps           D: expected adverse move of the mid by then, given that there was no fill.
    """
    return (1.0 - fill_probability) * drift_bps - fill_probability * advantage_bps


def break_even(*, advantage_bps: float, drift_bps: float) -> float:
    """p*: rest if the fill probability is above it.

    -inf where the unfilled do not lose (D < 0 < A): any order pays. inf where a fill saves nothing (A <= 0), even if
    waiting itself would pay: that is a reason to wait, not one to rest.
    """
    if advantage_bps <= 0.0:
        return inf
    if drift_bps < 0.0:
        return -inf
    return drift_bps / (advantage_bps + drift_bps)


class Gap(msgspec.Struct, frozen=True, gc=False):
    """How far an estimate is from the martingale identity, and the standard error of that, both bps."""

    bps: float
    se_bps: float

    @property
    def is_noise(self) -> bool:
        """Whether the gap is within three standard errors of 0."""
        return abs(self.bps) <= _ERRORS * self.se_bps


def martingale_gap(
    *,
    orders: float,
    fill_probability: float,
    selection_bps: float,
    drift_bps: float,
    selection_se_bps: float,
    drift_se_bps: float,
) -> Gap:
    """The gap p AS - (1 - p) D, which is 0 if the mid has no drift of its own: a check of any estimate of the three.

    It is the mean move of the mid over all orders, in their favour; more than noise means that one of them is biased,
    usually since unfilled orders were dropped from the sample.

    orders            that the estimates rest on, > 0; of overlapping ones the effective number.
    selection_bps     AS: expected adverse move by the end of the wait given a fill. drift_bps: D, given none.
    *_se_bps          their standard errors, >= 0.
    Raises            CallerError for no orders or a probability outside [0, 1].
    """
    if orders <= 0.0 or not 0.0 <= fill_probability <= 1.0:
        raise CallerError(
            f"a fill probability of {fill_probability} over {orders} orders; nothing was computed. "
            "Give a probability and the positive number of orders it was counted over"
        )
    unfilled = 1.0 - fill_probability
    # The variance of a mixture's mean: within the filled, within the unfilled, and between the two.
    within = (fill_probability * selection_se_bps) ** 2 + (unfilled * drift_se_bps) ** 2
    between = fill_probability * unfilled * (selection_bps + drift_bps) ** 2 / orders
    return Gap(fill_probability * selection_bps - unfilled * drift_bps, sqrt(within + between))
