"""The production model of fills: a discrete-time hazard, by logistic regression on what an order's market looks like.

Time since an order rests is cut into bins that grow with age. The probability that an order which has lasted to bin k
is filled within it is logit h(k|x) = alpha_k + b'x + log(t_k) c'z: x as in `sor.models.covariates`, taken as it stands
when asked, t_k the middle of the bin in seconds, and z those of x whose effect fades with age, or grows.

Within a bin  the rate is constant: -log(1 - h) / width, the one rate with the bin's probability. Times between edges
              need no other rule, and what leaves at different rates adds up.
Two causes    Beside fills, the touch may move away from an order. Each cause has a model of its own; an order leaves
              at the sum of the rates, and each cause's share of those that leave is its share of the rate. That is
              the Aalen-Johansen estimate for these hazards: cumulative incidences and survival sum to one.
The end       Nothing happens after the last edge: what was not observed is not promised.

Plain floats without numpy: an order is judged in microseconds. Fitting is in `sor.lab.fitting`.

Source        methods 2.4 (1, 2); Allison, Discrete-time methods for the analysis of event histories, Sociological
              Methodology 13, 1982, for the model.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from math import exp, expm1, inf, isfinite, isinf, log, log1p, sqrt
from statistics import NormalDist

import msgspec

from sor.errors import CallerError

EDGES_S = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0)
"""Bins of time since an order rests; a bin holds its later edge."""

_SMALL = 1e-9
"""Below this much hazard, a share of time lost to it is rounding."""
_COARSE = 1e-3
"""Above this much hazard, survival at both ends of a bin differs by more than rounding."""


class CauseHazard(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """How orders leave for one cause: K bins, P covariates.

    alphas        (K,) logits of a bin's probability where all covariates are 0.
    coefs         (P,) change of every logit for a unit of a covariate, at an age of one second.
    covariance    of alphas, coefs and fades together, K + P + Q rows of as many; none if it is not known.
    fades         (Q,) change of that change for a unit of log age, of the covariates that a model says fade.
    """

    alphas: tuple[float, ...]
    coefs: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...] = ()
    fades: tuple[float, ...] = ()

    def logits(self, covariates: Sequence[float], fading: Sequence[float], log_ages: Sequence[float]) -> list[float]:
        """The logit of each bin, (K,); `covariates` (P,), `fading` (Q,) those of them that fade, `log_ages` (K,)."""
        level, slope = 0.0, 0.0
        for coef, covariate in zip(self.coefs, covariates, strict=True):
            level += coef * covariate
        for fade, covariate in zip(self.fades, fading, strict=True):
            slope += fade * covariate
        return [alpha + level + slope * log_age for alpha, log_age in zip(self.alphas, log_ages, strict=True)]


class FillCurve(msgspec.Struct, frozen=True, gc=False):
    """One cause by itself, whatever else may end an order: a hazard that is constant between edges (a `FillTime`).

    edges_s    ascending from 0, (K + 1,), shared by all curves of a model.
    spent      cumulative hazard at each edge, (K + 1,), from 0.
    """

    edges_s: tuple[float, ...]
    spent: tuple[float, ...]

    def cumulative(self, at_s: float) -> float:
        """Hazard up to `at_s` >= 0; constant after the last edge."""
        edges, spent = self.edges_s, self.spent
        bin_no = bisect_right(edges, at_s) - 1
        if bin_no + 1 >= len(edges):
            return spent[-1]
        start_s = edges[bin_no]
        share = (at_s - start_s) / (edges[bin_no + 1] - start_s)
        return spent[bin_no] + (spent[bin_no + 1] - spent[bin_no]) * share

    def survival(self, at_s: float) -> float:
        """P(not left by `at_s`), `at_s` >= 0 or infinite."""
        return exp(-self.cumulative(at_s))

    def probability(self, by_s: float, *, since_s: float = 0.0) -> float:
        """P(left by `by_s` | not left by `since_s`)."""
        return -expm1(self.cumulative(since_s) - self.cumulative(by_s))

    def hazard(self, at_s: float) -> float:
        """Rate at `at_s`, 1/s; of the later bin at an edge, 0 from the last edge on."""
        edges, spent = self.edges_s, self.spent
        bin_no = bisect_right(edges, at_s) - 1
        if bin_no + 1 >= len(edges):
            return 0.0
        return (spent[bin_no + 1] - spent[bin_no]) / (edges[bin_no + 1] - edges[bin_no])

    def resting_s(self, until_s: float) -> float:
        """E[min(T, until_s)], the integral of the survival; infinite for ever if some never leave."""
        return _resting_s(self.edges_s, self.spent, until_s)

    def falls_to(self, rate: float) -> tuple[float, ...]:
        """Edges before which the hazard is above `rate` and after which it is not."""
        edges, spent = self.edges_s, self.spent
        rates = [
            (later - former) / (end_s - start_s)
            for (former, later), (start_s, end_s) in zip(pairwise(spent), pairwise(edges), strict=True)
        ]
        rates.append(0.0)
        return tuple([edges[no + 1] for no, (former, later) in enumerate(pairwise(rates)) if former > rate >= later])


class ExitCurve(msgspec.Struct, frozen=True, gc=False):
    """Two causes together: an order is filled, the touch moves away from it, or it still rests.

    fill, away    the causes by themselves, on the same edges.
    """

    fill: FillCurve
    away: FillCurve

    def survival(self, at_s: float) -> float:
        """P(still resting at `at_s`)."""
        return exp(-self.fill.cumulative(at_s) - self.away.cumulative(at_s))

    def filled(self, by_s: float) -> float:
        """P(filled by `by_s`, before the touch moved away): the cumulative incidence of fills."""
        return _incidence(self.fill, self.away, by_s)

    def moved_away(self, by_s: float) -> float:
        """P(the touch moved away by `by_s`, before a fill)."""
        return _incidence(self.away, self.fill, by_s)

    def resting_s(self, until_s: float) -> float:
        """Mean time that an order rests which is given up at `until_s`."""
        spent = tuple([one + other for one, other in zip(self.fill.spent, self.away.spent, strict=True)])
        return _resting_s(self.fill.edges_s, spent, until_s)


class Chance(msgspec.Struct, frozen=True, gc=False):
    """A probability and its interval; the ends are None where the model's covariance is not known."""

    probability: float
    low: float | None
    high: float | None


class FillHazard(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A fitted model.

    edges_s    ascending from 0, (K + 1,).
    names      of the covariates, (P,), in the order in which they are given.
    fill       of fills. away: of the touch moving away; None if it was not fitted.
    fading     which of `names` have an effect that changes with the log of the age, (Q,).
    fading_at, log_ages    worked out: their places in `names`, and the log age of each bin, (K,).
    Raises     CallerError for edges, alphas, coefficients and names that do not fit together.
    """

    edges_s: tuple[float, ...]
    names: tuple[str, ...]
    fill: CauseHazard
    away: CauseHazard | None = None
    fading: tuple[str, ...] = ()
    fading_at: tuple[int, ...] = ()
    log_ages: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        edges = self.edges_s
        bins, width, fading = len(edges) - 1, len(self.names), len(self.fading)
        causes = (self.fill,) if self.away is None else (self.fill, self.away)
        sound = bins >= 1 and edges[0] == 0.0 and all(one < other for one, other in pairwise(edges)) and edges[-1] < inf
        sound = sound and all(name in self.names for name in self.fading)
        for cause in causes:
            rows = {len(cause.covariance), *map(len, cause.covariance)}
            sound = sound and (len(cause.alphas), len(cause.coefs), len(cause.fades)) == (bins, width, fading)
            sound = sound and (rows == {bins + width + fading} or not cause.covariance)
        if not sound:
            raise CallerError(
                f"a fill hazard with {len(edges)} edges and {width} covariates is not one; nothing was computed. Start "
                "the edges at 0 and let them rise, and give an alpha for each bin and a coefficient for each covariate"
            )

        msgspec.structs.force_setattr(self, "fading_at", tuple([self.names.index(name) for name in self.fading]))
        msgspec.structs.force_setattr(self, "log_ages", log_ages(edges))

    def curve(self, covariates: Sequence[float]) -> FillCurve:
        """Time to fill of an order by itself: what to ask when an order follows the touch.

        covariates    (P,), in the order of `names`.
        Raises        CallerError if there are not as many, or one is not finite.
        """
        return self._curve(self.fill, covariates)

    def exits(self, covariates: Sequence[float]) -> ExitCurve:
        """Both ends of an order that stays where it is. Raises as `curve`, and if the model has no second cause."""
        if self.away is None:
            raise CallerError("this fill hazard was fitted to fills alone; nothing was computed. Fit both causes")
        return ExitCurve(self._curve(self.fill, covariates), self._curve(self.away, covariates))

    def chance(self, covariates: Sequence[float], by_s: float, *, level: float = 0.95) -> Chance:
        """P(filled by `by_s`), alone, and how well it is known: the delta method for the log of the cumulative hazard.

        It takes the covariates as they are; what the model leaves out is not in it.
        """
        curve = self._curve(self.fill, covariates)
        spent = curve.cumulative(by_s)
        probability = -expm1(-spent)
        if not self.fill.covariance or spent <= 0.0:
            return Chance(probability, None, None)
        error = sqrt(max(_quadratic(self._slopes(covariates, by_s), self.fill.covariance), 0.0)) / spent
        reach = exp(NormalDist().inv_cdf(0.5 + 0.5 * level) * error)
        return Chance(probability, -expm1(-spent / reach), -expm1(-spent * reach))

    def _curve(self, cause: CauseHazard, covariates: Sequence[float]) -> FillCurve:
        if len(covariates) != len(self.names):
            raise CallerError(
                f"{len(covariates)} covariates for a model of {len(self.names)}; nothing was computed. "
                f"Give {', '.join(self.names)}"
            )
        total = 0.0
        spent = [total]
        for logit in self._logits(cause, covariates):  # as `_softplus`, without a call for each bin
            total += logit + log1p(exp(-logit)) if logit > 0.0 else log1p(exp(logit))
            spent.append(total)
        if not isfinite(total):
            raise CallerError("a covariate is not a finite number; nothing was computed. Leave such orders out")
        return FillCurve(self.edges_s, tuple(spent))

    def _logits(self, cause: CauseHazard, covariates: Sequence[float]) -> list[float]:
        return cause.logits(covariates, [covariates[at] for at in self.fading_at], self.log_ages)

    def _slopes(self, covariates: Sequence[float], by_s: float) -> list[float]:
        """Change of the cumulative hazard by `by_s` with each alpha, coefficient and fade, (K + P + Q,)."""
        slopes = []
        for logit, (start_s, end_s) in zip(self._logits(self.fill, covariates), pairwise(self.edges_s), strict=True):
            share = min(max((by_s - start_s) / (end_s - start_s), 0.0), 1.0)
            slopes.append(share * exp(logit - _softplus(logit)))
        level = sum(slopes)
        aged = sum([slope * log_age for slope, log_age in zip(slopes, self.log_ages, strict=True)])
        levels = [level * covariate for covariate in covariates]
        return [*slopes, *levels, *[aged * covariates[at] for at in self.fading_at]]


def log_ages(edges_s: Sequence[float]) -> tuple[float, ...]:
    """Log of the middle of each bin, seconds, (K,)."""
    return tuple([log(0.5 * (start_s + end_s)) for start_s, end_s in pairwise(edges_s)])


def rate_logit(rate: float, width_s: float) -> float:
    """Logit of the probability that something of `rate` > 0, 1/s, happens within `width_s` > 0."""
    expected = rate * width_s
    return expected + log(-expm1(-expected))


def _softplus(logit: float) -> float:
    """log(1 + e^logit): the cumulative hazard of a bin with this logit."""
    return logit + log1p(exp(-logit)) if logit > 0.0 else log1p(exp(logit))


def _resting_s(edges: tuple[float, ...], spent: tuple[float, ...], until_s: float) -> float:
    """Integral up to `until_s` of exp(-cumulative hazard), which is straight between the edges and then constant."""
    total = 0.0
    start_s, former, alive = edges[0], spent[0], 1.0
    for end_s, later in zip(edges[1:], spent[1:], strict=True):
        hazard = later - former
        if until_s < end_s:
            width_s = max(until_s - start_s, 0.0)
            return total + alive * width_s * _mean_share(hazard * width_s / (end_s - start_s))
        left = exp(-later)
        # (1 - e^-h) / h of a bin, by what is alive at its ends unless their difference is rounding
        if hazard > _COARSE:
            total += (alive - left) * (end_s - start_s) / hazard
        else:
            total += alive * (end_s - start_s) * _mean_share(hazard)
        start_s, former, alive = end_s, later, left
    beyond_s = until_s - start_s
    if beyond_s <= 0.0 or alive == 0.0:
        return total
    return inf if isinf(beyond_s) else total + alive * beyond_s


def _incidence(cause: FillCurve, other: FillCurve, by_s: float) -> float:
    """P(left by `by_s`, for `cause`): survival at the start of each bin, times what leaves within, times its share."""
    total = 0.0
    start_s, ours_before, theirs_before, alive = 0.0, 0.0, 0.0, 1.0
    for end_s, ours_after, theirs_after in zip(cause.edges_s[1:], cause.spent[1:], other.spent[1:], strict=True):
        ours, theirs = ours_after - ours_before, theirs_after - theirs_before
        if by_s < end_s:
            share = max(by_s - start_s, 0.0) / (end_s - start_s)
            return total + alive * ours * share * _mean_share((ours + theirs) * share)
        hazard = ours + theirs
        left = exp(-ours_after - theirs_after)
        total += ours * ((alive - left) / hazard if hazard > _COARSE else alive * _mean_share(hazard))
        start_s, ours_before, theirs_before, alive = end_s, ours_after, theirs_after, left
    return total


def _mean_share(hazard: float) -> float:
    """(1 - e^-h) / h: mean survival over a stretch of constant hazard."""
    return -expm1(-hazard) / hazard if hazard > _SMALL else 1.0 - 0.5 * hazard


def _quadratic(vector: Sequence[float], matrix: tuple[tuple[float, ...], ...]) -> float:
    """The quadratic form v'Mv."""
    total = 0.0
    for entry, row in zip(vector, matrix, strict=True):
        total += entry * sum([one * other for one, other in zip(row, vector, strict=True)])
    return total
