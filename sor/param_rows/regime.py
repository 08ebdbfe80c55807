"""Where one market regime ends and another begins: `regime.*`, read by `sor.regime` before a policy is asked."""

from __future__ import annotations

from sor.definition import Unit, number

ROWS = (
    number("regime.wide_spread_min", Unit.BPS, "0", "1000", "From this spread on the regime is wide."),
    number(
        "regime.busy_volatility_min",
        Unit.BPS_PER_ROOT_S,
        "0",
        "1000",
        "From this volatility on a market that is not wide is busy.",
    ),
    number(
        "regime.window_s_min",
        Unit.S,
        "0",
        "10",
        "With less data than this behind the volatility, a market that is not wide has no regime.",
    ),
)
