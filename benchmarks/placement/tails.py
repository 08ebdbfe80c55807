"""How sure the tail of a cost is: quantiles of arms that met the same parents, with intervals by blocks of time.

A 95th percentile of 600 parents rests on the 30 dearest of them, and as parents overlap, those are a few moves of the
market. So a percentile has an interval of its own: whole blocks are drawn again, for both arms alike where two are
compared. A quantile has no error to be studentised by, so the ends are percentiles of what was drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.lab.bootstrap import BLOCKS_MIN, LEVEL

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SHARE = 0.95
"""The percentile that is judged."""
DRAWS = 1_000


class Span(msgspec.Struct, frozen=True, gc=False):
    """The ends of an interval of `LEVEL`, None with fewer than `BLOCKS_MIN` blocks."""

    low: float | None
    high: float | None


class Tail(msgspec.Struct, frozen=True, kw_only=True):
    """The tail rule for one arm: no worse than the fixed timeout with the nearest mean, and within the budget.

    gap, excess     intervals of p95 less that of the nearest, and of excess_p95. Neither is part of the rule: they say
                    whether these parents could have told another verdict from this one.
    """

    arm: str
    nearest: str
    p95: float
    nearest_p95: float
    excess_p95: float
    budget_bps: float
    gap: Span
    excess: Span

    @property
    def met(self) -> bool:
        """Whether both hold."""
        return self.p95 <= self.nearest_p95 + 1e-9 and self.excess_p95 <= self.budget_bps


def tail_of(
    arm: str,
    costs: Mapping[str, Floats],
    *,
    cross: str,
    fixed: Sequence[str],
    budget_bps: float,
    block: Ints,
    rng: np.random.Generator,
) -> Tail:
    """The tail of one arm. `costs`: (P,) of every arm that is named, the same parents in the same order."""
    ours = costs[arm]
    excess = ours - costs[cross]
    nearest = min(fixed, key=lambda one: abs(float(costs[one].mean()) - float(ours.mean())))
    return Tail(
        arm=arm,
        nearest=nearest,
        p95=quantile(ours),
        nearest_p95=quantile(costs[nearest]),
        excess_p95=quantile(excess),
        budget_bps=budget_bps,
        gap=span(ours, costs[nearest], block, rng),
        excess=span(excess, np.zeros_like(excess), block, rng),
    )


def quantile(costs: Floats) -> float:
    """The percentile that is judged, of (P,) costs, P > 0."""
    return float(np.quantile(costs, SHARE))


def worst(costs: Floats) -> float:
    """Mean of those beyond it, whole parents, at least one: what a percentile does not see."""
    most = max(1, round((1.0 - SHARE) * len(costs)))
    return float(np.sort(costs)[-most:].mean())


def span(ours: Floats, theirs: Floats, block: Ints, rng: np.random.Generator) -> Span:
    """Of the quantile of `ours` less that of `theirs`, the same parents in the same order; theirs may be zeros.

    ours, theirs    (P,) float64, finite. block: (P,) int64, the block of time of each parent.
    """
    members = [np.flatnonzero(block == one) for one in np.unique(block)]
    if len(members) < BLOCKS_MIN:
        return Span(None, None)
    gaps = np.empty(DRAWS)
    for at in range(DRAWS):
        drawn = np.concatenate([members[one] for one in rng.integers(0, len(members), len(members))])
        gaps[at] = quantile(ours[drawn]) - quantile(theirs[drawn])
    tail = (1.0 - LEVEL) / 2.0
    return Span(float(np.quantile(gaps, tail)), float(np.quantile(gaps, 1.0 - tail)))
