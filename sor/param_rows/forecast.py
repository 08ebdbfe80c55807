"""What `sor calibrate` fits and `sor.models.forecast` reads: fills and their fading, drift, markouts and ranges."""

from __future__ import annotations

from sor.definition import Definition, Unit, number
from sor.models.covariates import COVARIATES, FADING
from sor.models.drift import DRIFT_COVARIATES, MARKOUT_COVARIATES


def _coefs(part: str, names: tuple[str, ...], most: str, meaning: str) -> tuple[Definition, ...]:
    return tuple(
        number(f"{part}.{name}", Unit.ONE, f"-{most}", most, f"{meaning} for one of {name}.") for name in names
    )


ROWS = (
    number("fill.edge_NN", Unit.S, "0.001", "3600", "Later edge of each bin of time since an order rests."),
    number("fill.alpha_NN", Unit.LOG_ODDS, "-40", "40", "Log-odds of a fill within each bin, covariates at 0."),
    *_coefs("fill", COVARIATES, "20", "Change of the log-odds of a fill"),
    *_coefs("fading", FADING, "10", "Change of that change with the log of an order's age in seconds,"),
    number(
        "fill.se", Unit.RATIO, "0", "10", "Standard error of the log of the hazard up to the horizon, typical order."
    ),
    number("drift.base", Unit.ONE, "-10", "10", "Drift of the unfilled over the Gaussian bound, covariates at 0."),
    *_coefs("drift", DRIFT_COVARIATES, "10", "Change of that drift over its bound"),
    number("drift.se", Unit.RATIO, "0", "10", "Standard error of the drift over its bound, typical order."),
    number("markout.base", Unit.ONE, "-100", "100", "Markout of a fill over spread + volatility, covariates at 0."),
    *_coefs("markout", MARKOUT_COVARIATES, "100", "Change of that markout"),
    number("markout.se", Unit.BPS, "0", "100", "Standard error of the mean markout."),
    number("markout.after_s", Unit.S, "0.001", "3600", "How long after the fill the markout is taken."),
    *(
        number(f"range.{name}_{end}", Unit.ONE, "-1000", "1000", f"{which} of {name} among the orders of the fit.")
        for name in COVARIATES
        for end, which in (("low", "0.5 % quantile"), ("high", "99.5 % quantile"))
    ),
)
