"""Survival curves by counting: what a sample says about the time to an end before any model is asked.

Kaplan-Meier for one kind of end, Aalen-Johansen for several, each with a variance, and the constant rate. These are the
baselines that a fitted model has to beat, and the weights of the scores that say whether it does.

Samples    durations_s (N,) float64 >= 0: how long each was watched. causes (N,) int64: 0 if it had not ended by then
           (censored), 1 if it was filled, 2 if the touch had moved away from it.
Ties       Ends come before censorings at the same time: who was censored at t was at risk at t.
Errors     CallerError for samples that are empty, not finite, negative or of unequal length.

Not promised: variances are of independent samples. Orders that overlap in time share a market; for those, draw whole
blocks again (sor.lab.bootstrap).

Source     Kaplan, Meier 1958; Greenwood 1926; Aalen, Johansen 1978; variance of an incidence by the delta method as in
           Marubini, Valsecchi, Analysing Survival Data, 1995, section 10.2.
"""

from __future__ import annotations

from math import sqrt
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

CENSORED, FILLED, MOVED_AWAY = 0, 1, 2


class SurvivalCurve(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Kaplan-Meier: steps at M distinct times at which something ended.

    times_s     (M,) ascending. at_risk, ended: (M,) counts, at_risk as it was just before.
    survival    (M,) from each time on. variance: (M,) Greenwood's; 0 where nobody is left.
    """

    times_s: Floats
    at_risk: Ints
    ended: Ints
    survival: Floats
    variance: Floats

    def at(self, times_s: Floats) -> Floats:
        """P(T > t), of any shape."""
        return _steps(self.times_s, self.survival, times_s, start=1.0, side="right")

    def before(self, times_s: Floats) -> Floats:
        """P(T >= t), the limit from the left."""
        return _steps(self.times_s, self.survival, times_s, start=1.0, side="left")


class Incidence(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Aalen-Johansen: C causes, steps at M distinct times at which something ended.

    times_s      (M,) ascending. at_risk: (M,) as it was just before. ended: (M, C) by cause.
    survival     (M,) P(not ended), from each time on; it and the row of `incidence` sum to 1.
    incidence    (M, C) P(ended by then, for the cause); column c - 1 belongs to cause c.
    variance     (M, C) of `incidence`.
    """

    times_s: Floats
    at_risk: Ints
    ended: Ints
    survival: Floats
    incidence: Floats
    variance: Floats

    def at(self, times_s: Floats, *, cause: int) -> Floats:
        """P(ended by t for `cause`), of any shape."""
        return _steps(self.times_s, self.incidence[:, cause - 1], times_s, start=0.0, side="right")

    def resting(self, times_s: Floats) -> Floats:
        """P(not ended by t), of any shape."""
        return _steps(self.times_s, self.survival, times_s, start=1.0, side="right")


class Rate(msgspec.Struct, frozen=True, gc=False):
    """A constant hazard by maximum likelihood: ends over time at risk.

    per_s    1/s. error_per_s: its standard error, per_s / sqrt(ends). ends: how many.
    """

    per_s: float
    error_per_s: float
    ends: int


def kaplan_meier(durations_s: Floats, ended: Flags) -> SurvivalCurve:
    """Survival of samples that ended (True) or were censored (False)."""
    times, at_risk, by_cause = _counts(durations_s, ended.astype(np.int64), causes=1)
    return _curve(times, at_risk, by_cause[:, 0])


def censoring_curve(durations_s: Floats, ended: Flags) -> SurvivalCurve:
    """Kaplan-Meier of the time to censoring: P(a sample is still watched), were it not for its end.

    Who ended at t is not at risk of being censored at t.
    """
    _check(durations_s, ended)
    times, place = np.unique(durations_s, return_inverse=True)
    lost = np.bincount(place[~ended], minlength=len(times))
    gone = np.bincount(place, minlength=len(times))
    at_risk = len(durations_s) - np.cumsum(gone) + lost
    some = lost > 0
    return _curve(times[some], at_risk[some], lost[some])


def aalen_johansen(durations_s: Floats, causes: Ints) -> Incidence:
    """Cumulative incidence of each of the two causes, where the other one ends a sample too."""
    times, at_risk, by_cause = _counts(durations_s, causes, causes=MOVED_AWAY)
    ended = by_cause.sum(axis=1)
    survival: Floats = np.cumprod(1.0 - ended / at_risk, dtype=np.float64)
    before = np.concatenate(([1.0], survival))[:-1]
    share = by_cause / at_risk[:, None]
    incidence = np.cumsum(before[:, None] * share, axis=0)
    # Sums over j <= t of (F(t) - F_j)^2 a_j + b_j - 2 (F(t) - F_j) c_j, multiplied out.
    a = (ended / np.maximum(at_risk * (at_risk - ended), 1))[:, None]
    b = before[:, None] ** 2 * share * (1.0 - share) / at_risk[:, None]
    c = before[:, None] * share / at_risk[:, None]
    variance = (
        incidence**2 * np.cumsum(a, axis=0)
        - 2.0 * incidence * np.cumsum(incidence * a + c, axis=0)
        + np.cumsum(incidence**2 * a + b + 2.0 * incidence * c, axis=0)
    )
    return Incidence(
        times_s=times,
        at_risk=at_risk,
        ended=by_cause,
        survival=survival,
        incidence=incidence,
        variance=np.maximum(variance, 0.0),
    )


def by_stratum(durations_s: Floats, causes: Ints, stratum: Ints) -> dict[int, Incidence]:
    """Cumulative incidences within each stratum that has samples, by its number, ascending; `stratum` (N,) int64."""
    _check(durations_s, causes, stratum)
    return {
        int(number): aalen_johansen(durations_s[stratum == number], causes[stratum == number])
        for number in np.unique(stratum)
    }


def constant_rate(durations_s: Floats, ended: Flags) -> Rate:
    """The exponential model. Raises `CallerError` also when nobody was watched for any time."""
    _check(durations_s, ended)
    ends, exposed_s = int(np.count_nonzero(ended)), float(durations_s.sum())
    if exposed_s <= 0.0:
        raise CallerError(f"{len(durations_s)} samples were watched for no time; there is no rate. Watch them longer")
    per_s = ends / exposed_s
    return Rate(per_s, sqrt(ends) / exposed_s, ends)


def _check(durations_s: Floats, *others: Flags | Ints) -> None:
    good = (
        durations_s.ndim == 1 and durations_s.size > 0 and bool((np.isfinite(durations_s) & (durations_s >= 0)).all())
    )
    if not good or any(other.shape != durations_s.shape for other in others):
        raise CallerError(
            f"{durations_s.size} durations beside {', '.join(str(other.size) for other in others)} ends, or one is "
            "negative or not finite; nothing was computed. Give one of each for at least one sample"
        )


def _counts(durations_s: Floats, ends: Ints, *, causes: int) -> tuple[Floats, Ints, Ints]:
    """Distinct times at which something ended (M,), how many were at risk (M,), and ended by cause (M, causes)."""
    _check(durations_s, ends)
    if ends.min() < CENSORED or ends.max() > causes:
        raise CallerError(
            f"causes from {ends.min()} to {ends.max()}; nothing was computed. "
            f"{CENSORED} is censored, and there are {causes}"
        )
    times, place = np.unique(durations_s, return_inverse=True)
    gone = np.bincount(place * (causes + 1) + ends, minlength=len(times) * (causes + 1)).reshape(-1, causes + 1)
    left = gone.sum(axis=1)
    at_risk = len(durations_s) - np.cumsum(left) + left
    some = gone[:, 1:].any(axis=1)
    return times[some], at_risk[some], gone[some, 1:]


def _curve(times_s: Floats, at_risk: Ints, ended: Ints) -> SurvivalCurve:
    survival: Floats = np.cumprod(1.0 - ended / at_risk, dtype=np.float64)
    # Where nobody is left the survival is 0, whatever stands here.
    terms = ended / np.maximum(at_risk * (at_risk - ended), 1)
    variance = survival**2 * np.cumsum(terms)
    return SurvivalCurve(times_s=times_s, at_risk=at_risk, ended=ended, survival=survival, variance=variance)


def _steps(times_s: Floats, values: Floats, at_s: Floats, *, start: float, side: Literal["left", "right"]) -> Floats:
    """The value of a step function: `start` before the first time; `side` right is after a step at its very time."""
    held: Floats = np.concatenate(([start], values))[np.searchsorted(times_s, at_s, side=side)]
    return held
