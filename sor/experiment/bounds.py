"""What may be said of a stream after each of its values, however often one looks: sums that are kept, not values.

`MeanBounds` is the asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2024) that
`sor.lab.ab.sequential.asymptotic` computes of a whole row; it needs no more than three sums here. `ShareTest` bets
that a share is above a limit: its stake does not grow on average while it is not, whatever came before (Ville 1939).
`RatioTest` is the Dirichlet-multinomial likelihood ratio of Lindon and Malek (2020), one arm after another, so that the
chances of arms may change in between. Source: methods 8.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, inf, log, sqrt

LOOKS_FROM = 30
"""Values before the first bound of a mean: a variance of a handful is no variance."""
TIGHTEST_AT = 500
"""Values at which bounds of a mean are tightest."""
COSTED_MIN = 0.99
"""Share of parents that must have a cost before anything is concluded: what is left out may be what went wrong."""
TAIL = 0.95
"""The cost that this share of the parents stays below is the tail that a winner must not make worse."""
_BETS = (0.1, 0.3, 0.6)
"""Of the stake at which one value could ruin who bets."""
_PRIOR = 50.0
"""How many parents the arms' own chances are worth to who suspects others."""


class MeanBounds:
    """Mean of a stream, and an interval that holds it at all times at once but for a share `alpha` of streams.

    low, high    running: what was excluded once stays excluded; infinite before `LOOKS_FROM` values.
    """

    def __init__(self, *, alpha: float) -> None:
        most = 2.0 * log(1.0 / alpha)
        self._rate = TIGHTEST_AT / (most + log(1.0 + most))
        self._alpha = alpha
        self.count = 0
        self.total = 0.0
        self._squares = 0.0
        self.low = -inf
        self.high = inf

    @property
    def mean(self) -> float:
        """Of the values so far, 0.0 before the first."""
        return self.total / self.count if self.count else 0.0

    def add(self, value: float) -> None:
        """One more value, finite."""
        self.count += 1
        self.total += value
        self._squares += value * value
        if self.count < LOOKS_FROM:
            return
        late = self.count + self._rate
        sd = sqrt(max(self._squares / self.count - self.mean**2, 0.0))
        half = sd * sqrt(late * log(late / (self._rate * self._alpha**2))) / self.count
        self.low = max(self.low, self.mean - half)
        self.high = min(self.high, self.mean + half)


class ShareTest:
    """Whether a share is above a limit.

    `evidence` of at least 1 / alpha says so; a limit that is kept is so accused in a share alpha of streams at most.
    """

    def __init__(self, *, most: float) -> None:
        self._most = most
        self._stakes = [1.0] * len(_BETS)
        self.count = 0
        self.hits = 0

    @property
    def evidence(self) -> float:
        """Mean of the stakes."""
        return sum(self._stakes) / len(_BETS)

    def add(self, hit: bool) -> None:
        """One more of the stream."""
        self.count += 1
        self.hits += hit
        for at, bet in enumerate(_BETS):
            self._stakes[at] *= 1.0 + bet * (hit - self._most) / self._most


class RatioTest:
    """Whether arms get the parents that their chances promise: `p_value`, valid however often one looks."""

    def __init__(self, shares: Mapping[str, float]) -> None:
        self._believed = {arm: _PRIOR * share for arm, share in shares.items()}
        self.counts = dict.fromkeys(shares, 0)
        self.expected = dict.fromkeys(shares, 0.0)
        self._log_ratio = 0.0
        self.p_value = 1.0

    def add(self, arm: str, chances: Mapping[str, float]) -> None:
        """One more parent that got an arm.

        chances    of the arms that took parents then, this one among them.
        """
        believed = self._believed[arm] / sum(self._believed[one] for one in chances)
        self._log_ratio += log(believed / chances[arm])
        self._believed[arm] += 1.0
        self.counts[arm] += 1
        for one, chance in chances.items():
            self.expected[one] += chance
        self.p_value = min(self.p_value, exp(-self._log_ratio) if self._log_ratio > 0.0 else 1.0)
