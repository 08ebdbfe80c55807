"""A calibrated param-set as a forecast: what resting is expected to bring an order in the market of the moment.

`read_forecast(params)` reads once what `sor calibrate` fitted; a `Forecast` then answers in microseconds and keeps
nothing. What it is asked with are `sor.models.covariates.covariates_of` and the volatility and spread of the moment.

    forecast = read_forecast(params)
    order = Situation(covariates_of(features, side, ...), features.volatility, features.spread_bps)
    forecast.outlook(order, until_s=4.0)       p, D and their standard errors for one wait
    forecast.curve(order)                      the time to fill, a `FillTime` for the timeout rules
    forecast.table(order, longest_s=15.0)      waits, survival and drift as `timeout.static_rest` takes them
    forecast.strange(order)                    covariates beyond what the fit has seen: the drift alarm

A set is fitted up to a horizon, and says nothing of longer waits: `Forecast.horizon_s`.
"""

from __future__ import annotations

from itertools import pairwise
from math import exp, sqrt
from typing import NamedTuple

import msgspec

from sor.models.covariates import COVARIATES, FADING, unit_bps
from sor.models.drift import DRIFT_COVARIATES, MARKOUT_COVARIATES, Drift, Markout, selection
from sor.models.fill_hazard import CauseHazard, FillCurve, FillHazard
from sor.params import Params

EDGES, ALPHAS = "fill.edge_NN", "fill.alpha_NN"
"""Families: the later edge of each bin of time, seconds, and the log-odds of a fill within it."""

FORECAST_NEEDS: tuple[str, ...] = (
    EDGES,
    ALPHAS,
    *(f"fill.{name}" for name in COVARIATES),
    *(f"fading.{name}" for name in FADING),
    "fill.se",
    "drift.base",
    *(f"drift.{name}" for name in DRIFT_COVARIATES),
    "drift.se",
)
"""Ids that a set must give for `read_forecast`; what a policy that forecasts names in its `needs`."""
MARKOUT_IDS: tuple[str, ...] = (
    "markout.base",
    *(f"markout.{name}" for name in MARKOUT_COVARIATES),
    "markout.se",
    "markout.after_s",
)
"""Given together or not at all."""
RANGE_IDS: tuple[str, ...] = tuple(f"range.{name}_{end}" for name in COVARIATES for end in ("low", "high"))
"""Where nearly all orders of the fit lay; given together or not at all."""


class Situation(NamedTuple):
    """An order and its market: covariates as of `COVARIATES`, volatility in bps/sqrt(s), spread in bps."""

    covariates: tuple[float, ...]
    volatility: float
    spread_bps: float


class Outlook(msgspec.Struct, frozen=True, gc=False):
    """What resting until `until_s` is expected to bring.

    fill_probability, fill_se    P(filled by then), and its standard error.
    drift_bps, drift_se_bps      D: expected adverse move of the mid by then given no fill, and its standard error.
    """

    until_s: float
    fill_probability: float
    fill_se: float
    drift_bps: float
    drift_se_bps: float

    def saving_bps(self, advantage_bps: float) -> float:
        """Expected saving against crossing now, p A - (1 - p) D: minus equation (2) of methods section 0."""
        return self.fill_probability * advantage_bps - (1.0 - self.fill_probability) * self.drift_bps

    def saving_se_bps(self, advantage_bps: float) -> float:
        """Standard error of the saving from those of p and D, which count as independent."""
        from_fill = self.fill_se * (advantage_bps + self.drift_bps)
        from_drift = (1.0 - self.fill_probability) * self.drift_se_bps
        return sqrt(from_fill * from_fill + from_drift * from_drift)


class Table(NamedTuple):
    """Waits from 0 on, P(not filled by then), and D by then, bps: the arguments of `timeout.static_rest`."""

    times_s: tuple[float, ...]
    survived: tuple[float, ...]
    drift_bps: tuple[float, ...]


class Course(msgspec.Struct, frozen=True, gc=False):
    """The forecast of one order: what does not depend on how long it rests is worked out once.

    curve                    time to fill. fill_se: as of `Forecast`.
    unit_bps, form, drift_se the drift's unit in this market, its linear form, and the form's standard error.
    """

    curve: FillCurve
    fill_se: float
    unit_bps: float
    form: float
    drift_se: float

    def outlook(self, until_s: float) -> Outlook:
        """What resting for `until_s` >= 0 brings."""
        spent = self.curve.cumulative(until_s)
        survived = exp(-spent)
        bound = sqrt(until_s) * selection(1.0 - survived) * self.unit_bps
        return Outlook(
            until_s, 1.0 - survived, survived * spent * self.fill_se, bound * self.form, bound * self.drift_se
        )


class Forecast(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A calibrated set's models.

    hazard     of fills, up to `horizon_s`. fill_se: standard error of the log of the cumulative hazard, typical.
    drift      given no fill. markout: after a fill, None where the set has none.
    ranges     (low, high) of each covariate in the fit, none where the set has none.
    """

    hazard: FillHazard
    fill_se: float
    drift: Drift
    markout: Markout | None
    ranges: tuple[tuple[float, float], ...]

    @property
    def horizon_s(self) -> float:
        """The longest wait that was calibrated; a longer one is judged as this one and must not be chosen."""
        return self.hazard.edges_s[-1]

    def curve(self, order: Situation) -> FillCurve:
        """The time to fill; nothing is filled after `horizon_s`. Raises `CallerError` unless all is finite."""
        return self.hazard.curve(order.covariates)

    def course(self, order: Situation) -> Course:
        """All that is said of one order, to be asked for several waits. Raises as `curve`."""
        return Course(
            self.curve(order),
            self.fill_se,
            unit_bps(volatility=order.volatility, spread_bps=order.spread_bps),
            self.drift.form(order.covariates),
            self.drift.se,
        )

    def outlook(self, order: Situation, *, until_s: float) -> Outlook:
        """What resting for `until_s` brings, 0 <= until_s; see `horizon_s`. Raises as `curve`."""
        return self.course(order).outlook(until_s)

    def table(self, order: Situation, *, longest_s: float) -> Table:
        """Waits at 0, at the edges before `longest_s`, halfway between them, and at `longest_s` or the horizon."""
        curve = self.curve(order)
        unit = unit_bps(volatility=order.volatility, spread_bps=order.spread_bps)
        rate = unit * self.drift.form(order.covariates)
        last_s = min(longest_s, self.horizon_s)
        edges = [edge for edge in self.hazard.edges_s if edge < last_s]
        edges.append(last_s)
        times = [0.0]
        for start_s, end_s in pairwise(edges):
            times += [0.5 * (start_s + end_s), end_s]
        survived = [curve.survival(time_s) for time_s in times]
        drift = [sqrt(time_s) * selection(1.0 - left) * rate for time_s, left in zip(times, survived, strict=True)]
        return Table(tuple(times), tuple(survived), tuple(drift))

    def markout_bps(self, order: Situation) -> float | None:
        """Expected markout of a fill, positive when good; None where the set has none."""
        if self.markout is None:
            return None
        return self.markout.expected_bps(order.covariates, volatility=order.volatility, spread_bps=order.spread_bps)

    def strange(self, order: Situation) -> tuple[str, ...]:
        """Names of covariates that lie beyond nearly all that the fit has seen: the forecast is then a guess."""
        return tuple(
            [
                name
                for name, value, (low, high) in zip(COVARIATES, order.covariates, self.ranges, strict=False)
                if not low <= value <= high
            ]
        )


def read_forecast(params: Params) -> Forecast:
    """The models of a param-set.

    Raises    KeyError when it lacks one of `FORECAST_NEEDS`: name them in a policy's `needs`, and such a parent is
              refused at the door. CallerError for edges and alphas that do not fit together.
    """
    has_markout = not params.missing(MARKOUT_IDS)
    has_ranges = not params.missing(RANGE_IDS)
    return Forecast(
        hazard=FillHazard(
            edges_s=(0.0, *params.family(EDGES)),
            names=COVARIATES,
            fading=FADING,
            fill=CauseHazard(
                alphas=params.family(ALPHAS),
                coefs=tuple([params[f"fill.{name}"] for name in COVARIATES]),
                fades=tuple([params[f"fading.{name}"] for name in FADING]),
            ),
        ),
        fill_se=params["fill.se"],
        drift=Drift(
            base=params["drift.base"],
            coefs=tuple([params[f"drift.{name}"] for name in DRIFT_COVARIATES]),
            se=params["drift.se"],
        ),
        markout=Markout(
            base=params["markout.base"],
            coefs=tuple([params[f"markout.{name}"] for name in MARKOUT_COVARIATES]),
            se=params["markout.se"],
            after_s=params["markout.after_s"],
        )
        if has_markout
        else None,
        ranges=tuple([(params[f"range.{name}_low"], params[f"range.{name}_high"]) for name in COVARIATES])
        if has_ranges
        else (),
    )
