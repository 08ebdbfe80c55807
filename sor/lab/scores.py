"""How good a forecast of the time to fill is, on samples that it has not seen and of which some are censored.

Every forecast, counted, fitted or parametric, is put into one form first: a curve for each sample on one grid of times,
straight in log survival between them. So a step function and a density are judged by the same score.

Selection    The right-censored log-likelihood, `log_scores`: proper if censoring is independent given the covariates.
             Differences of two models' scores, sample by sample, go to `sor.lab.bootstrap.difference` with the
             samples' blocks, for an interval and a p-value.
Beside it    The Brier score of a horizon, censored samples weighted away (Graf et al. 1999): proper if the weights are
             right, and those of a Kaplan-Meier curve are only if censoring does not depend on the covariates.
Calibration  Reliability at a horizon with intervals by block, and D-calibration over all times (Haider et al. 2020).
Never        The concordance index: it rewards order, and a timeout is worked out from levels.

Scores are per sample and good when high for `log_scores`, good when low for `brier_scores`.

Source       methods 2.5; Rindt, Hu, Steinsaltz, Sejdinovic, Survival regression with proper scoring rules, 2022; Graf,
             Schmoor, Sauerbrei, Schumacher, Statistics in Medicine 18, 1999; Haider, Hoehn, Davis, Greiner, Effective
             ways to build and evaluate individual survival distributions, JMLR 21, 2020.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from sor.errors import CallerError
from sor.lab.bootstrap import Interval, interval
from sor.models.fill_hazard import CauseHazard, FillHazard
from sor.models.survival import CENSORED, FILLED, Flags, Floats, Incidence, Ints, SurvivalCurve, censoring_curve

_LEAST = 1e-12
"""A forecast that says never is charged for a probability of this much when it happens: -27.6."""


class Forecast(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Curves of N samples on a grid of K + 1 times.

    edges_s     (K + 1,) ascending from 0. Nothing is said about later times; samples are judged up to the last.
    resting     (N, K + 1) P(no end by then), 1 at the first.
    filled      (N, K + 1) P(filled by then), 0 at the first. Where it is all that can happen, 1 - resting.
    """

    edges_s: Floats
    resting: Floats
    filled: Floats

    def at(self, horizon_s: float) -> Floats:
        """P(filled by the horizon) of each sample, (N,)."""
        return self._between(np.full(len(self.filled), horizon_s))[1]

    def resting_at(self, times_s: Floats) -> Floats:
        """P(no end by a time of its own) of each sample, (N,)."""
        return self._between(times_s)[0]

    def _between(self, times_s: Floats) -> tuple[Floats, Floats]:
        """`resting` and `filled` at one time of each sample: hazards and shares are constant within a bin."""
        edges, row = self.edges_s, np.arange(len(times_s))
        times = np.minimum(times_s, edges[-1])
        bin_no = np.clip(np.searchsorted(edges, times, side="right") - 1, 0, len(edges) - 2)
        share = (times - edges[bin_no]) / (edges[bin_no + 1] - edges[bin_no])
        start, end = self.resting[row, bin_no], self.resting[row, bin_no + 1]
        spent = np.log(np.maximum(end, _LEAST)) - np.log(np.maximum(start, _LEAST))
        resting = np.where(share >= 1.0, end, start * np.exp(spent * share))
        lost = start - end
        part = np.divide(start - resting, lost, out=np.zeros_like(lost), where=lost > 0.0)
        filled, later = self.filled[row, bin_no], self.filled[row, bin_no + 1]
        return resting, filled + (later - filled) * part


class Uniformity(msgspec.Struct, frozen=True, gc=False):
    """D-calibration: how evenly the forecast probabilities of what happened are spread.

    shares       of the samples in each of B equal bins of S(T), from the lowest; 1 / B each if calibrated.
    statistic    chi-square with B - 1 degrees of freedom if samples were independent, which overlapping ones are not.
    """

    shares: tuple[float, ...]
    statistic: float


class Reliable(msgspec.Struct, frozen=True, gc=False):
    """Samples to which about the same probability of a fill was given: what was forecast, and what happened."""

    forecast: float
    observed: Interval


# --- forecasts in one form --------------------------------------------------------------------------------------------


def hazard_forecast(model: FillHazard, covariates: Floats, *, both_causes: bool = False) -> Forecast:
    """The production model at covariates (N, P).

    both_causes    orders end also when the touch moves away; if not, a fill is all that can happen.
    """
    edges = np.array(model.edges_s)
    spent = _cumulative(model, model.fill, covariates)
    if not both_causes:
        resting = np.exp(-spent)
        return Forecast(edges_s=edges, resting=resting, filled=1.0 - resting)
    if model.away is None:
        raise CallerError("this fill hazard was fitted to fills alone; nothing was computed. Fit both causes")
    both = spent + _cumulative(model, model.away, covariates)
    resting = np.exp(-both)
    ours, all_of_it = np.diff(spent, axis=1), np.diff(both, axis=1)
    share = np.divide(ours, all_of_it, out=np.zeros_like(ours), where=all_of_it > 0.0)
    gains = -np.diff(resting, axis=1) * share
    return Forecast(edges_s=edges, resting=resting, filled=_from_zero(gains))


def bin_logits(model: FillHazard, cause: CauseHazard, covariates: Floats) -> Floats:
    """Logits of one cause in each bin, (N, K): `CauseHazard.logits` for many."""
    logits: Floats = np.array(cause.alphas) + (covariates @ np.array(cause.coefs))[:, None]
    if model.fading:
        logits += np.outer(covariates[:, model.fading_at] @ np.array(cause.fades), model.log_ages)
    return logits


def counted_forecast(curve: SurvivalCurve | Incidence, *, edges_s: tuple[float, ...], samples: int) -> Forecast:
    """The same counted curve for all samples: the baseline that a model has to beat."""
    edges = np.array(edges_s)
    if isinstance(curve, SurvivalCurve):
        resting = curve.at(edges)
        filled = 1.0 - resting
    else:
        resting, filled = curve.resting(edges), curve.at(edges, cause=FILLED)
    return Forecast(edges_s=edges, resting=np.tile(resting, (samples, 1)), filled=np.tile(filled, (samples, 1)))


def survival_forecast(resting: Floats, *, edges_s: tuple[float, ...]) -> Forecast:
    """Any survival probabilities at the edges, (N, K + 1), of one kind of end."""
    return Forecast(edges_s=np.array(edges_s), resting=resting, filled=1.0 - resting)


# --- scores -----------------------------------------------------------------------------------------------------------


def log_scores(forecast: Forecast, durations_s: Floats, causes: Ints) -> Floats:
    """Log-likelihood of each sample, (N,): of its bin and cause if it ended, of S(T) if it was censored.

    durations_s, causes    (N,), as in `sor.models.survival`. What lasts beyond the last edge is censored there. If the
                           forecast knows fills only, censor what ended for another cause first: `fills_only`.
    """
    edges, row = forecast.edges_s, np.arange(len(durations_s))
    _check(forecast, durations_s, causes)
    bin_no = np.minimum(np.searchsorted(edges[1:], durations_s, side="left"), len(edges) - 2)
    left = -np.diff(forecast.resting, axis=1)[row, bin_no]
    filled = np.diff(forecast.filled, axis=1)[row, bin_no]
    chance = np.where(causes == FILLED, filled, left - filled)
    seen = (causes != CENSORED) & (durations_s <= edges[-1])
    chance = np.where(seen, chance, forecast.resting_at(durations_s))
    scores: Floats = np.log(np.maximum(chance, _LEAST))
    return scores


def time_scores(*, log_density: Floats, log_survival: Floats, ended: Flags) -> Floats:
    """The same for models with a density per second, at each sample's own time: (N,) each."""
    return np.where(ended, log_density, log_survival)


def fills_only(causes: Ints) -> Ints:
    """Causes with all ends but fills censored: for models of fills alone."""
    return np.where(causes == FILLED, FILLED, CENSORED)


def brier_scores(forecast: Forecast, durations_s: Floats, causes: Ints, *, horizon_s: float) -> Floats:
    """Weighted squared error of P(filled by the horizon), of each sample, (N,): their mean is the score.

    Raises    CallerError if nobody is watched for as long as the horizon.
    """
    _check(forecast, durations_s, causes)
    outcome = (causes == FILLED) & (durations_s <= horizon_s)
    scores: Floats = (
        censoring_weights(durations_s, causes, horizon_s=horizon_s) * (outcome - forecast.at(horizon_s)) ** 2
    )
    return scores


def censoring_weights(durations_s: Floats, causes: Ints, *, horizon_s: float) -> Floats:
    """Weight of each sample at a horizon, (N,): 1 / P(still watched) at its end or then; 0 if censored before.

    The probability is the Kaplan-Meier curve of the time to censoring, just before. Who was watched until the very
    horizon is known to have lasted.
    """
    ended = causes != CENSORED
    watched = censoring_curve(durations_s, ended)
    at_horizon = float(watched.before(np.array([horizon_s]))[0])
    if at_horizon <= 0.0:
        raise CallerError(
            f"no sample is watched for {horizon_s} s, the longest for {durations_s.max()} s; nothing can be said of "
            "that horizon. Take a shorter one"
        )
    done = ended & (durations_s <= horizon_s)
    chance = np.where(done, watched.before(durations_s), at_horizon)
    return np.where(done | (durations_s >= horizon_s), 1.0 / np.maximum(chance, _LEAST), 0.0)


# --- calibration ------------------------------------------------------------------------------------------------------


def reliability(
    forecast: Forecast,
    durations_s: Floats,
    causes: Ints,
    *,
    horizon_s: float,
    block: Ints,
    rng: np.random.Generator,
    groups: int = 10,
) -> tuple[Reliable, ...]:
    """Forecast against observed probability of a fill by the horizon, in groups of about equal size, by forecast.

    block    (N,) int64: which samples share a market; the observed have intervals by block, as in `sor.lab.bootstrap`.
    rng      seeded by the caller.
    """
    found = [
        Reliable(told, interval(known, block[inside], rng))
        for told, known, inside in _by_forecast(forecast, durations_s, causes, horizon_s, groups)
    ]
    return tuple(found)


def worst_group(forecast: Forecast, durations_s: Floats, causes: Ints, *, horizon_s: float, groups: int = 10) -> float:
    """The largest distance of forecast and observed in the groups of `reliability`, which need no interval for it."""
    parts = _by_forecast(forecast, durations_s, causes, horizon_s, groups)
    return max(abs(told - float(known.mean())) for told, known, _ in parts)


def _by_forecast(
    forecast: Forecast, durations_s: Floats, causes: Ints, horizon_s: float, groups: int
) -> Iterator[tuple[float, Floats, Flags]]:
    """Of each group: its mean forecast, what happened to each sample in it, and which samples those are."""
    _check(forecast, durations_s, causes)
    chance = forecast.at(horizon_s)
    weight = censoring_weights(durations_s, causes, horizon_s=horizon_s)
    outcome = weight * ((causes == FILLED) & (durations_s <= horizon_s))
    bounds = np.quantile(chance, np.arange(1, groups) / groups)
    group = np.searchsorted(bounds, chance, side="left")
    for number in np.unique(group[weight > 0.0]):
        inside = group == number
        # Weights are 1 on average; in a group they sum to that only nearly.
        yield float(chance[inside].mean()), outcome[inside] / weight[inside].mean(), inside


def d_calibration(forecast: Forecast, durations_s: Floats, causes: Ints, *, bins: int = 10) -> Uniformity:
    """How evenly S(T) is spread; a censored sample is spread evenly over what it can still become, [0, S(T)].

    For one kind of end: `causes` other than censored are all taken as the end, so censor others first.
    """
    _check(forecast, durations_s, causes)
    chance = forecast.resting_at(durations_s)
    ended = (causes != CENSORED) & (durations_s <= forecast.edges_s[-1])
    own = np.minimum((chance * bins).astype(np.int64), bins - 1)
    counts = np.bincount(own[ended], minlength=bins).astype(np.float64)
    left, place = chance[~ended], own[~ended]
    whole = np.maximum(left, _LEAST)
    counts += np.bincount(place, (left - place / bins) / whole, bins)
    # All bins below its own get equal parts of the rest.
    below = np.bincount(place, 1.0 / (bins * whole), bins)
    counts[:-1] += np.cumsum(below[::-1])[::-1][1:]
    expected = len(chance) / bins
    return Uniformity(tuple((counts / len(chance)).tolist()), float(((counts - expected) ** 2 / expected).sum()))


def _check(forecast: Forecast, durations_s: Floats, causes: Ints) -> None:
    count = len(forecast.resting)
    if durations_s.shape != (count,) or causes.shape != (count,) or not count:
        raise CallerError(
            f"forecasts of {count} samples, {durations_s.size} durations and {causes.size} causes; nothing was "
            "computed. Give one of each for at least one sample"
        )


def _cumulative(model: FillHazard, cause: CauseHazard, covariates: Floats) -> Floats:
    """Hazard spent at each edge, (N, K + 1)."""
    return _from_zero(np.logaddexp(0.0, bin_logits(model, cause, covariates)))


def _from_zero(gains: Floats) -> Floats:
    """Sums of (N, K) gains at the K + 1 edges around them."""
    sums: Floats = np.concatenate((np.zeros((len(gains), 1)), np.cumsum(gains, axis=1)), axis=1)
    return sums
