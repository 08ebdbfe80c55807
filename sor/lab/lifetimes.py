"""Parametric models of the time to fill: log T = b0 + b'x + sigma e, right-censored.

    weibull        e extreme-value: a hazard that falls or rises with time, and the closed form of a timeout
    log_normal     e normal, log_logistic e logistic: a hazard that rises first and then falls

They are set beside the discrete hazard, which needs no shape, and are what remains when data are few.

Needs the `lab` extra. Source: methods 2.4 (3); Olsen, Note on the uniqueness of the maximum likelihood estimator for
the Tobit model, Econometrica 46, 1978, for why the search has one end.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from math import exp, log, pi
from typing import assert_never

import msgspec
import numpy as np

from sor.errors import CallerError
from sor.lab.likelihood import as_rows, covariance, minimum, sums_by_block
from sor.models.fill_time import LogNormal, Weibull
from sor.models.survival import Flags, Floats, Ints

try:
    from scipy.special import log_ndtr
except ImportError as error:  # the base install has no scipy: routing does not fit
    raise CallerError("fitting needs scipy, which is not installed; nothing was computed. Install sor[lab]") from error

_LOG_ROOT_2PI = 0.5 * log(2.0 * pi)


class Family(StrEnum):
    """What the scatter of log T looks like."""

    WEIBULL = "weibull"
    LOG_NORMAL = "log_normal"
    LOG_LOGISTIC = "log_logistic"


class Lifetime(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A fitted model, P covariates.

    coefs            (1 + P,), the intercept first, of log T in log seconds. log_scale: log sigma.
    covariance       of coefs and log_scale together, 2 + P rows of 2 + P; none if it is not known.
    log_likelihood   of the times, densities per second. ends, samples: how many ended, of how many.
    """

    family: Family
    coefs: tuple[float, ...]
    log_scale: float
    covariance: tuple[tuple[float, ...], ...]
    log_likelihood: float
    ends: int
    samples: int

    def log_survival(self, at_s: Floats, covariates: Floats) -> Floats:
        """Logarithm of P(T > t): times (N,) or (N, T) > 0 at covariates (N, P)."""
        return _terms(self.family, self._scaled(at_s, covariates), ended=False)[0]

    def log_density(self, at_s: Floats, covariates: Floats) -> Floats:
        """Logarithm of the density per second; shapes as of `log_survival`."""
        value = _terms(self.family, self._scaled(at_s, covariates), ended=True)[0]
        density: Floats = value - self.log_scale - np.log(at_s)
        return density

    def fill_time(self, covariates: Sequence[float]) -> Weibull | LogNormal:
        """The distribution of one order's time to fill, for a timeout. Raises `CallerError` for log-logistic."""
        level = self.coefs[0] + sum([coef * one for coef, one in zip(self.coefs[1:], covariates, strict=True)])
        match self.family:
            case Family.WEIBULL:
                return Weibull(shape=exp(-self.log_scale), scale_s=exp(level))
            case Family.LOG_NORMAL:
                return LogNormal(median_s=exp(level), shape=exp(self.log_scale))
            case Family.LOG_LOGISTIC:
                raise CallerError("a log-logistic time to fill has no closed form here; tabulate its survival instead")
            case _:
                assert_never(self.family)

    def _scaled(self, at_s: Floats, covariates: Floats) -> Floats:
        level = self.coefs[0] + covariates @ np.array(self.coefs[1:])
        scaled: Floats = (np.log(at_s).T - level).T * exp(-self.log_scale)
        return scaled


def fit_lifetime(
    durations_s: Floats, ended: Flags, covariates: Floats, *, family: Family, blocks: Ints | None = None
) -> Lifetime:
    """Maximum likelihood.

    durations_s    (N,) > 0. ended: (N,), False if censored. covariates: (N, P), finite; P may be 0.
    blocks         (N,) int64: errors are then clustered, and none with fewer than BLOCKS_MIN blocks.
    Raises         CallerError for unequal, senseless or too few samples.
    """
    count, ends = len(durations_s), int(np.count_nonzero(ended))
    sound = durations_s.shape == ended.shape == (count,) and covariates.ndim == 2 and len(covariates) == count
    if not sound or ends < 2 or not (np.isfinite(durations_s) & (durations_s > 0.0)).all():
        raise CallerError(
            f"{durations_s.size} durations with {ends} ends, {len(covariates)} rows of covariates, or a duration that "
            "is not positive; nothing was fitted. Give one of each for a sample, at least two that end, and raise "
            "what ended at once to the clock's resolution"
        )
    middle, spread = covariates.mean(axis=0), covariates.std(axis=0)
    spread[spread == 0.0] = 1.0
    design = np.concatenate((np.ones((count, 1)), (covariates - middle) / spread), axis=1)
    width = design.shape[1]
    logs = np.log(durations_s)
    # In gamma = b / sigma and delta = 1 / sigma the likelihood is concave.
    slopes = np.concatenate((-design, logs[:, None]), axis=1)

    def terms(theta: Floats) -> tuple[Floats, Floats, Floats]:
        scaled = slopes @ theta
        lived, died = _terms(family, scaled, ended=False), _terms(family, scaled, ended=True)
        value, first, second = (np.where(ended, one, other) for one, other in zip(died, lived, strict=True))
        return value, first, second

    def objective(theta: Floats) -> tuple[float, Floats, Floats]:
        delta = float(theta[-1])
        if delta <= 0.0:
            return np.inf, np.zeros_like(theta), np.eye(len(theta))
        value, first, second = terms(theta)
        slope = slopes.T @ first
        slope[-1] += ends / delta
        bend = slopes.T @ (second[:, None] * slopes)
        bend[-1, -1] -= ends / delta**2
        return -(float(value.sum()) + ends * log(delta)) / ends, -slope / ends, -bend / ends

    deviation = max(float(logs.std()), 0.1)
    start = np.concatenate(([float(logs.mean()) / deviation], np.zeros(width - 1), [1.0 / deviation]))
    theta, bend = minimum(objective, start)
    delta = float(theta[-1])
    value, first, _ = terms(theta)
    scores = None
    if blocks is not None:
        rows = slopes * first[:, None]
        rows[:, -1] += ended / delta
        scores = sums_by_block(rows, blocks)
    errors = covariance(bend * ends, scores=scores, rows=count)
    # b = gamma / delta and log sigma = -log delta, then back to the covariates as they are given.
    slope_of = np.eye(width + 1) / delta
    slope_of[:, -1] = np.append(-theta[:-1], -delta) / delta**2
    given = np.eye(width + 1)
    given[0, 1:-1] = -(middle / spread)
    given[1:-1, 1:-1] = np.diag(1.0 / spread)
    back = given @ slope_of
    coefs = given @ np.append(theta[:-1] / delta, -log(delta))
    return Lifetime(
        family=family,
        coefs=tuple(coefs[:-1].tolist()),
        log_scale=float(coefs[-1]),
        covariance=as_rows(None if errors is None else back @ errors @ back.T),
        log_likelihood=float(value.sum()) + ends * log(delta) - float(logs[ended].sum()),
        ends=ends,
        samples=count,
    )


def _terms(family: Family, z: Floats, *, ended: bool) -> tuple[Floats, Floats, Floats]:
    """Logarithm of the density of e at z if `ended`, else of its survival, and the first two derivatives."""
    match family:
        case Family.WEIBULL:
            grown = np.exp(np.minimum(z, 500.0))
            return (z - grown, 1.0 - grown, -grown) if ended else (-grown, -grown, -grown)
        case Family.LOG_NORMAL:
            density = -0.5 * z * z - _LOG_ROOT_2PI
            if ended:
                return density, -z, -np.ones_like(z)
            left: Floats = log_ndtr(-z)
            hazard = np.exp(density - left)
            return left, -hazard, -hazard * (hazard - z)
        case Family.LOG_LOGISTIC:
            spent = np.logaddexp(0.0, z)
            chance = -np.expm1(-spent)
            bend = -chance * (1.0 - chance)
            return (z - 2.0 * spent, 1.0 - 2.0 * chance, 2.0 * bend) if ended else (-spent, -chance, bend)
        case _:
            assert_never(family)
