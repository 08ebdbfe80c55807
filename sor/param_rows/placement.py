"""What placement policies read: `placement.*`."""

from __future__ import annotations

from sor.definition import Unit, number

ROWS = (
    number(
        "placement.collar_bps",
        Unit.BPS,
        "0.1",
        "200",
        "Worst price of a taking order: this far beyond the touch that it takes from.",
    ),
    number("placement.calm_spread_max", Unit.BPS, "0", "50", "Widest spread at which a market counts as calm."),
    number("placement.calm_volatility_max", Unit.BPS_PER_ROOT_S, "0", "100", "Highest volatility of a calm market."),
    number(
        "placement.calm_imbalance_max",
        Unit.RATIO,
        "0.5",
        "1",
        "Largest share of our own side in the size at the touch: above, the book leans away from us.",
    ),
    number(
        "placement.calm_exit_ratio",
        Unit.RATIO,
        "1",
        "5",
        "A resting order stays until spread or volatility exceeds its calm limit times this.",
    ),
    number(
        "placement.window_s_min",
        Unit.S,
        "0",
        "10",
        "Flow and volatility count as measured once they rest on this much data.",
    ),
    number(
        "placement.unmeasured_timeout_s",
        Unit.S,
        "0",
        "60",
        "Timeout of a resting order while flow and volatility are not measured yet.",
    ),
    number(
        "placement.wait_ratio_max", Unit.RATIO, "0.01", "100", "Longest expected wait for the fill over the time left."
    ),
    number(
        "placement.fill_rate_scale",
        Unit.RATIO,
        "0.01",
        "10",
        "Rate of fills over taker flow / (queue ahead + own size).",
    ),
    number(
        "placement.drift_scale",
        Unit.RATIO,
        "0",
        "5",
        "Adverse drift of an unfilled order over the most that its fill probability and a Gaussian mid allow.",
    ),
    number(
        "placement.risk_weight",
        Unit.RATIO,
        "0",
        "10",
        "Price of one standard deviation of waiting, times urgency / (1 - urgency).",
    ),
    number(
        "placement.excursion_tolerance",
        Unit.RATIO,
        "0.001",
        "0.5",
        "Probability with which a wait, as judged when it is asked for, may exceed the excursion budget.",
    ),
    number(
        "placement.excursion_bps",
        Unit.BPS,
        "0.001",
        "1000",
        "Excursion budget of a slice where the parent names none: adverse move of the mid since the slice began.",
    ),
    number("placement.timeout_s_max", Unit.S, "0.1", "600", "Longest timeout of a resting order."),
    number(
        "placement.timeouts_max", Unit.COUNT, "1", "100", "Resting orders that may time out before a slice is crossed."
    ),
    number(
        "placement.refusals_max",
        Unit.COUNT,
        "1",
        "100",
        "Post-only orders that the venue may not let rest before a slice is crossed.",
    ),
    number(
        "placement.calm_depth_min",
        Unit.RATIO,
        "0",
        "1000",
        "Least depth near the touch of a calm market, on either side, over our order.",
    ),
    number(
        "placement.requotes_max", Unit.COUNT, "0", "100", "Chases of a touch that ran away before a slice is crossed."
    ),
    number("placement.dwell_ms", Unit.MS, "0", "60000", "A resting order is not chased before it is this old."),
    number(
        "placement.chase_bps_min",
        Unit.BPS,
        "0",
        "50",
        "Distance of the touch, in its favour, that a resting order tolerates.",
    ),
)
