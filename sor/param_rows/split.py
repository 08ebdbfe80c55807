"""How `join_and_cross` splits an order: `split.*`."""

from __future__ import annotations

from sor.definition import Unit, number

ROWS = (
    number("split.horizon_s", Unit.S, "0.1", "600", "How long the resting part has before what is left of it crosses."),
    number(
        "split.outflow_scale",
        Unit.RATIO,
        "0.01",
        "10",
        "Mean of what leaves the queue ahead of us over the taker flow against it.",
    ),
    number(
        "split.outflow_shape",
        Unit.RATIO,
        "0.2",
        "20",
        "How sure that outflow is, as a Weibull shape: its deviation over its mean is 1 at 1 and 0.52 at 2.",
    ),
    number(
        "split.under_bps",
        Unit.BPS,
        "0",
        "100",
        "What a unit that is not filled by the horizon costs besides crossing it after the mid has moved.",
    ),
)
