"""The hazard beside other models of the time to fill, on the same held-out probes and by the same scores.

Kaplan-Meier by stratum, which a fit has to beat, and the parametric families of `sor.lab.lifetimes` with the same
covariates. All are put into one form first, curves on the bins of the hazard, so a step function and a density are
judged alike. Covariates that never differ on the fitted part are left out of the families, which have no ridge; a
family whose likelihood has no maximum there is not told.

Source    methods 2.4 (3), 2.5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from sor.errors import CallerError
from sor.lab.bootstrap import interval
from sor.lab.calibration import ModelScore
from sor.lab.lifetimes import Family, Lifetime, fit_lifetime
from sor.lab.scores import Forecast, brier_scores, d_calibration, log_scores, survival_forecast, worst_group
from sor.models.survival import FILLED, Flags, Floats, Ints

HAZARD, KAPLAN_MEIER = "hazard", "kaplan_meier"
GROUPS = 5
"""Of about equal size, in which forecast and observed are compared."""
_RESOLUTION_S = 1e-3
"""Venues tell times to the millisecond: what was filled at once was filled within one."""


def lifetime_forecasts(
    waited: Floats, cause: Ints, covariates: Floats, fits: Flags, *, edges_s: tuple[float, ...]
) -> dict[str, Forecast]:
    """Forecasts for all N probes of each family that can be fitted to those that `fits` says, by its name."""
    design = covariates[:, np.ptp(covariates[fits], axis=0) > 0.0]
    found: dict[str, Forecast] = {}
    for family in Family:
        try:
            model = fit_lifetime(
                np.maximum(waited[fits], _RESOLUTION_S), cause[fits] == FILLED, design[fits], family=family
            )
        except CallerError:
            continue
        found[str(family)] = _curves(model, design, edges_s)
    return found


def _curves(model: Lifetime, design: Floats, edges_s: tuple[float, ...]) -> Forecast:
    later = np.array(edges_s[1:])
    at_s = np.tile(later, (len(design), 1))
    resting = np.concatenate((np.ones((len(design), 1)), np.exp(model.log_survival(at_s, design))), axis=1)
    return survival_forecast(resting, edges_s=edges_s)


def model_scores(
    forecasts: Mapping[str, Forecast],
    waited: Floats,
    cause: Ints,
    *,
    horizon_s: float,
    block: Ints,
    rng: np.random.Generator,
) -> tuple[ModelScore, ...]:
    """Scores of each forecast, in the order given; the first is the hazard. Samples as in `sor.lab.scores`."""
    return tuple(_scored(forecasts, waited, cause, horizon_s, block, rng))


def _scored(
    forecasts: Mapping[str, Forecast],
    waited: Floats,
    cause: Ints,
    horizon_s: float,
    block: Ints,
    rng: np.random.Generator,
) -> Iterator[ModelScore]:
    hazard = log_scores(forecasts[HAZARD], waited, cause)
    for model, forecast in forecasts.items():
        score = log_scores(forecast, waited, cause)
        lead = interval(hazard - score, block, rng)
        yield ModelScore(
            model=model,
            log_score=float(score.mean()),
            lead=lead.mean,
            lead_low=lead.low,
            lead_high=lead.high,
            brier=float(brier_scores(forecast, waited, cause, horizon_s=horizon_s).mean()),
            forecast=float(forecast.at(horizon_s).mean()),
            worst=worst_group(forecast, waited, cause, horizon_s=horizon_s, groups=GROUPS),
            unevenness=d_calibration(forecast, waited, cause).statistic,
        )
