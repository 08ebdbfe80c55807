"""What our own size does to the price: `impact.*`, fitted by `sor.lab.impact`, used by `sor.models.impact`."""

from __future__ import annotations

from sor.definition import Unit, number

ROWS = (
    number(
        "impact.coefficient",
        Unit.RATIO,
        "0",
        "10",
        "Average impact that a parent pays, over volatility times its share of volume to the impact exponent.",
    ),
    number("impact.coefficient_low", Unit.ONE, "-10", "10", "Lower end of that coefficient's 95 % interval."),
    number("impact.coefficient_high", Unit.RATIO, "0", "20", "Upper end of that coefficient's 95 % interval."),
    number("impact.exponent", Unit.RATIO, "0.1", "1", "Exponent of the share of volume; the square-root law has 0.5."),
    number(
        "impact.resting_coefficient",
        Unit.RATIO,
        "0",
        "10",
        "How far shown size moves the mid away, over half a tick times its share of the depth at the touch.",
    ),
)
