"""Arms that share a market take turns in time: switchback designs, their estimators and an exact test.

Where parents of one symbol interact (one queue, one rate limit, an impact that lasts) they cannot be given arms one
by one. Time is cut into periods, and arms change only at points at which a coin is thrown. An effect that lasts `m`
periods biases what is measured just after a change; the design of Bojinov, Simchi-Levi and Zhao (2023) throws its coins
at periods 1, 2m + 1, 3m + 1, ... and counts only periods whose last m + 1 had one arm.

Of the two estimators the self-normalised one (Hajek) is the one to use: it has a sixth of the spread of the other
(Horvitz-Thompson), which is unbiased and pays for the level of the outcome. The p-value throws the coins again under
the sharp null, and is exact for either. Periods count from 1 as in the paper. Source: methods 8.2.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DRAWS = 2_000


class Estimator(StrEnum):
    """How periods are weighted."""

    HAJEK = "hajek"
    HORVITZ_THOMPSON = "horvitz_thompson"


class Switchback(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A design over T periods.

    points    (P,) ascending from 1: periods at which a fair coin is thrown; the arm stays until the next.
    lag       m: how many periods later an arm still acts.
    periods   T.
    """

    points: Ints
    lag: int
    periods: int

    @classmethod
    def optimal(cls, periods: int, *, lag: int) -> Switchback:
        """The design with the least worst-case spread for T = n m periods, n >= 4; for lag 0 a coin each period."""
        if lag == 0:
            return cls.every(1, periods, lag=0)
        if lag < 0 or periods % lag or periods // lag < 4:
            raise CallerError(
                f"no design for {periods} periods and effects that last {lag}; nothing was assigned. "
                "Use a multiple of the lag, of at least four"
            )
        later = np.arange(2, periods // lag - 1, dtype=np.int64) * lag + 1
        return cls(points=np.concatenate((np.ones(1, np.int64), later)), lag=lag, periods=periods)

    @classmethod
    def every(cls, length: int, periods: int, *, lag: int) -> Switchback:
        """A coin every `length` periods."""
        if not (1 <= length <= periods and 0 <= lag < periods):
            raise CallerError(f"no coin every {length} of {periods} periods with a lag of {lag}; nothing was assigned")
        return cls(points=np.arange(1, periods + 1, length, dtype=np.int64), lag=lag, periods=periods)

    def coins(self) -> Ints:
        """Which coin each period goes by, (T,) from 0."""
        return np.searchsorted(self.points, np.arange(1, self.periods + 1), side="right") - 1

    def assign(self, rng: np.random.Generator, draws: int = 1) -> NDArray[np.int8]:
        """Arms of all periods, (draws, T) of 0 and 1."""
        return rng.integers(0, 2, (draws, len(self.points)), dtype=np.int8)[:, self.coins()]

    def estimate(self, outcomes: Floats, arms: NDArray[np.int8], *, by: Estimator = Estimator.HAJEK) -> Floats:
        """Lasting effect of arm 1 over arm 0 on the outcome of a period.

        outcomes    (T,) or (D, T); nan where a period has none, which only the self-normalised estimator passes over.
        arms        (D, T).
        Returns     (D,); nan where an arm never stood for m + 1 periods.
        """
        width = self.lag + 1
        run = np.lib.stride_tricks.sliding_window_view(arms, width, axis=-1)
        coin = np.lib.stride_tricks.sliding_window_view(self.coins(), width)
        chance = 0.5 ** (1.0 + (np.diff(coin, axis=-1) > 0).sum(axis=-1))
        late = outcomes[..., self.lag :]
        ones = (run.min(axis=-1) == 1) / chance
        zeros = (run.max(axis=-1) == 0) / chance
        if by is Estimator.HORVITZ_THOMPSON:
            total: Floats = (late * (ones - zeros)).mean(axis=-1)
            return total
        seen = np.isfinite(late)
        late, ones, zeros = np.where(seen, late, 0.0), ones * seen, zeros * seen
        with np.errstate(invalid="ignore", divide="ignore"):
            apart: Floats = (late * ones).sum(axis=-1) / ones.sum(axis=-1) - (late * zeros).sum(axis=-1) / zeros.sum(
                axis=-1
            )
        return apart

    def p_value(
        self,
        outcomes: Floats,
        arms: NDArray[np.int8],
        rng: np.random.Generator,
        *,
        by: Estimator = Estimator.HAJEK,
        draws: int = DRAWS,
    ) -> float:
        """Share of other throws of the coins that would show as much had the arm made no difference to any period.

        outcomes    (T,). arms: (T,) as they were. Exact up to the number of draws; designs without both arms are
        drawn again.
        """
        seen = self.estimate(outcomes, arms[np.newaxis], by=by)[0]
        if not np.isfinite(seen):
            raise CallerError("one arm never stood long enough to be measured; nothing was computed. Run longer")
        others = self.estimate(outcomes, self.assign(rng, draws), by=by)
        others = others[np.isfinite(others)]
        as_far = int(np.count_nonzero(np.abs(others) >= abs(seen) - 1e-12 * (1.0 + abs(seen))))
        return (as_far + 1) / (len(others) + 1)
