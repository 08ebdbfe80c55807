"""Whether a comparison may be believed at all: arms as large as they were meant, A/A runs that find nothing, tails.

Source: methods 8.2; Fabijan et al., Diagnosing sample ratio mismatch in online controlled experiments, KDD 2019.
"""

from __future__ import annotations

from math import sqrt

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError

try:
    from scipy.stats import chisquare, kstest
except ImportError as error:  # the base install has no scipy: routing compares nothing
    why = "comparing needs scipy, which is not installed; nothing was computed. Install sor[lab]"
    raise CallerError(why) from error

Floats = NDArray[np.float64]

RATIO_LEVEL = 0.001
"""Below this a sample ratio is no chance, and the comparison stops."""


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that must hold. says: in words, whichever it is."""

    name: str
    holds: bool
    says: str


def sample_ratio(counts: dict[str, int], shares: dict[str, float]) -> Guard:
    """Whether arms got the parents that they were meant to get.

    counts    parents of each arm. shares: what each was meant to get, together 1.
    """
    if counts.keys() != shares.keys() or abs(sum(shares.values()) - 1.0) > 1e-9 or min(shares.values()) <= 0.0:
        raise CallerError("each arm needs a share above 0, and shares must add up to 1; nothing was computed")
    total = sum(counts.values())
    if not total:
        return Guard(name="sample ratio", holds=True, says="no parents yet")
    p_value = float(chisquare([counts[arm] for arm in shares], [total * share for share in shares.values()]).pvalue)
    told = ", ".join(f"{arm} {count} of {total * shares[arm]:.0f} expected" for arm, count in counts.items())
    return Guard(name="sample ratio", holds=p_value >= RATIO_LEVEL, says=f"{told} (p = {p_value:.3g})")


def uniform(p_values: Floats) -> float:
    """P-value of A/A p-values being uniform (Kolmogorov, Smirnov): small where an analysis finds what is not there."""
    if not p_values.size or not ((p_values >= 0.0) & (p_values <= 1.0)).all():
        raise CallerError("p-values must lie in [0, 1]; nothing was computed")
    return float(kstest(p_values, "uniform").pvalue)


def tail(ours: Floats, theirs: Floats, *, winner: str, margin_bps: float, quantile: float = 0.95) -> Guard:
    """Whether the arm that would win has a tail no worse than the other's by more than a margin.

    ours, theirs    (n,), (m,) costs of parents in bps, of the arm that would win and of the other. winner: its letter.
    """
    mine, other = float(np.quantile(ours, quantile)), float(np.quantile(theirs, quantile))
    says = f"{quantile:.0%} of parents of {winner} cost at most {mine:+.3f} bps, of the other {other:+.3f}"
    return Guard(name="tail", holds=mine <= other + margin_bps, says=says)


def false_positives_allowed(runs: int, *, alpha: float) -> float:
    """Share of A/A runs that may find something: nominal and 2.6 binomial standard errors."""
    return alpha + 2.6 * sqrt(alpha * (1.0 - alpha) / runs)
