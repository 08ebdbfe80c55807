"""What another policy would have cost, from decisions that were logged with their propensities.

Every decision was taken with a known chance of each admissible action; an action that an invariant ruled out has none,
for the policy that logged as for the one that is judged. A decision's weight is the chance of what was done under the
policy that is judged over the chance under the one that logged.

- `ips`: mean of weight x reward; unbiased, and as wild as its largest weight.
- `snips`: the same over the sum of the weights; hardly biased, and unmoved by a constant added to every reward.
- `dr`: a forecast of each action's reward plus the weighted errors of that forecast; right when the forecast or the
  propensities are. Forecasts must come from other decisions than the one they are used for (cross-fitting).
- `shrunk`: weights `l w / (w^2 + l)`, some bias for much less spread.

An estimate is refused where the weights leave too little: an effective sample below a tenth of the decisions, or one
weight above their root. Source: methods 8.2; Swaminathan, Joachims 2015; Dudik, Langford, Li 2011; Su, Dimakopoulou,
Krishnamurthy, Dudik 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DRAWS = 2_000
EFFECTIVE_SHARE_MIN = 0.1


class Logged(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """N logged decisions.

    reward      (N,) what came of it (a cost, in bps, as well: then less is better).
    weight      (N,) chance of what was done under the policy that is judged over its propensity when it was done.
    parent      (N,) int64: decisions of one parent are drawn together.
    forecast    (N,) reward that was forecast for what was done. expected: (N,) the same averaged over the actions of
                the policy that is judged. Both 0 without a forecast: then `dr` is `ips`.
    """

    reward: Floats
    weight: Floats
    parent: Ints
    forecast: Floats
    expected: Floats


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """What the weights say of themselves.

    mean         1 but for chance: `error` is its standard error. effective: (sum w)^2 / sum w^2. most: the largest.
    """

    mean: float
    error: float
    effective: float
    most: float
    decisions: int

    @property
    def refusal(self) -> str:
        """Why nothing may be concluded, "" if something may."""
        if self.effective < EFFECTIVE_SHARE_MIN * self.decisions:
            return (
                f"{self.decisions} decisions weigh as much as {self.effective:.0f}: the policies hardly ever agree, "
                "and no estimate can be trusted. Explore more evenly, or compare policies that are closer"
            )
        if self.most > sqrt(self.decisions):
            return f"one of {self.decisions} decisions has a weight of {self.most:.1f} and would decide alone"
        return ""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """One estimator's mean with a 95 % interval by bootstrap over parents. error: the spread of what was drawn."""

    mean: float
    low: float
    high: float
    error: float


def logged(
    *,
    reward: Floats,
    chance: Floats,
    propensity: Floats,
    parent: Ints,
    forecast: Floats | None = None,
    expected: Floats | None = None,
) -> Logged:
    """Decisions with their weights.

    chance       (N,) of what was done under the policy that is judged, [0, 1].
    propensity   (N,) of what was done under the policy that did it, (0, 1].
    Raises       CallerError for a propensity of 0, lengths that differ, or a value that is not finite.
    """
    columns = [reward, chance, propensity]
    columns += [column for column in (forecast, expected) if column is not None]
    if any(column.shape != reward.shape or not np.isfinite(column).all() for column in columns) or not reward.size:
        raise CallerError("logged decisions need one finite value each in every column; nothing was computed")
    if parent.shape != reward.shape or not ((propensity > 0.0) & (propensity <= 1.0)).all():
        raise CallerError(
            "a decision was logged without a propensity above 0, so nothing says how often it was taken; nothing was "
            "computed. Use decisions of an exploring policy"
        )
    if not ((chance >= 0.0) & (chance <= 1.0)).all() or (forecast is None) != (expected is None):
        raise CallerError("chances must lie in [0, 1], and a forecast needs its expectation; nothing was computed")
    none = np.zeros(len(reward))
    return Logged(
        reward=reward,
        weight=chance / propensity,
        parent=parent,
        forecast=none if forecast is None else forecast,
        expected=none if expected is None else expected,
    )


def weights(log: Logged) -> Weights:
    """How far the log can carry an estimate."""
    weight = log.weight
    count = len(weight)
    squares = float(weight @ weight)
    return Weights(
        mean=float(weight.mean()),
        error=float(weight.std(ddof=1)) / sqrt(count) if count > 1 else 0.0,
        effective=float(weight.sum()) ** 2 / squares if squares > 0.0 else 0.0,
        most=float(weight.max()),
        decisions=count,
    )


def ips(log: Logged) -> float:
    """Inverse propensity score."""
    return float((log.weight * log.reward).mean())


def snips(log: Logged) -> float:
    """Self-normalised; nan where no weight is above 0."""
    total = float(log.weight.sum())
    return float(log.weight @ log.reward) / total if total > 0.0 else float("nan")


def dr(log: Logged) -> float:
    """Doubly robust."""
    return float((log.expected + log.weight * (log.reward - log.forecast)).mean())


def shrunk(log: Logged, *, level: float) -> Logged:
    """The log with weights pulled towards 0 the larger they are; level > 0, infinite leaves them."""
    if not level > 0.0:
        raise CallerError(f"a level of shrinkage must be above 0, not {level:g}; nothing was computed")
    return msgspec.structs.replace(log, weight=log.weight / (log.weight**2 / level + 1.0))


def estimates(log: Logged, rng: np.random.Generator, *, draws: int = DRAWS) -> dict[str, Estimate]:
    """`ips`, `snips` and `dr` with intervals.

    Raises `CallerError` where the weights leave too little to conclude anything from.
    """
    refusal = weights(log).refusal
    if refusal:
        raise CallerError(f"{refusal}; nothing was computed")
    return _estimated((log,), (1.0,), rng, draws)


def differences(ours: Logged, theirs: Logged, rng: np.random.Generator, *, draws: int = DRAWS) -> dict[str, Estimate]:
    """`ips`, `snips` and `dr` of one log less those of another of the same decisions, parents drawn together.

    Whether the weights carry it is for the caller to ask; draws in which one log has no weight are left out.
    Raises   CallerError for logs of other decisions.
    """
    if not np.array_equal(ours.parent, theirs.parent):
        raise CallerError("two logs of other parents cannot be set against each other; nothing was computed")
    return _estimated((ours, theirs), (1.0, -1.0), rng, draws)


def _estimated(
    logs: Sequence[Logged], signs: Sequence[float], rng: np.random.Generator, draws: int
) -> dict[str, Estimate]:
    parents, member = np.unique(logs[0].parent, return_inverse=True)
    sums = np.zeros((len(parents), len(logs), 4))
    for no, log in enumerate(logs):
        rewarded = log.weight * log.reward
        doubly = log.expected + log.weight * (log.reward - log.forecast)
        np.add.at(sums[:, no], member, np.column_stack([np.ones(len(member)), log.weight, rewarded, doubly]))
    drawn = np.stack([sums[rng.integers(0, len(parents), len(parents))].sum(axis=0) for _ in range(draws)])
    whole = sums.sum(axis=0)
    found = {}
    for name, top, bottom in (("ips", 2, 0), ("snips", 2, 1), ("dr", 3, 0)):
        with np.errstate(invalid="ignore"):
            ratios = (drawn[..., top] / drawn[..., bottom]) @ np.array(signs)
            mean = float((whole[:, top] / whole[:, bottom]) @ np.array(signs))
        known = ratios[np.isfinite(ratios)]
        low, high = np.quantile(known, (0.025, 0.975)) if known.size else (np.nan, np.nan)
        error = float(known.std()) if known.size else np.nan
        found[name] = Estimate(mean=mean, low=float(low), high=float(high), error=error)
    return found
