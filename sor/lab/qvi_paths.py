"""What a course of `sor.models.qvi` does on drawn markets: units crossed, and what it saves against its target.

The benchmark buys along the target at mid + `cross_cost`. What a path saves has two parts that do not depend on one
another: what its fills and crossings earned against the mid of their moment, and the mid's moves while path and target
held different quantities. The second has mean 0 and a variance that follows from the path, so it is not drawn along it:
`mean` is free of its noise, and `deviation` and `drawn` contain it, whatever the volatility.

From one arrival to the next nothing happens but crossings at moments that are known, so paths advance by arrivals.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.models.qvi import Course, FloatArray, Task, best_depths

IntArray = NDArray[np.int64]
Reached = Callable[[FloatArray, IntArray], tuple[FloatArray, FloatArray]]
"""(probability that an arrival fills us, gain of the fill against the mid) at (P,) times with (P,) units bought."""

_GRID = 4_096


class Outcome(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """P paths.

    crossed     (P,) units crossed.
    saved       (P,) price per unit against the target bought at mid + cross_cost, with the mid at rest.
    exposure_s  (P,) seconds: integral of the squared distance from the target, as a share of all units.
    """

    crossed: IntArray
    saved: FloatArray
    exposure_s: FloatArray

    def mean(self) -> tuple[float, float]:
        """(mean saving in price per unit, its standard error)."""
        return float(self.saved.mean()), float(self.saved.std(ddof=1)) / sqrt(len(self.saved))

    def drawn(self, variance_per_s: float, rng: np.random.Generator) -> FloatArray:
        """(P,) what is saved with the mid drawn too, as many small moves of this variance per second: for quantiles."""
        noise: FloatArray = np.sqrt(variance_per_s * self.exposure_s) * rng.standard_normal(len(self.saved))
        return self.saved + noise

    def deviation(self, variance_per_s: float) -> float:
        """Standard deviation of what is saved, for a mid of this variance per second."""
        return sqrt(float(self.saved.var(ddof=1)) + variance_per_s * float(self.exposure_s.mean()))


def depth_paths(task: Task, course: Course, *, decay: float, paths: int, rng: np.random.Generator) -> Outcome:
    """Paths of an order at the best depth."""
    depths = best_depths(course, decay=decay)

    def reached(at_s: FloatArray, bought: IntArray) -> tuple[FloatArray, FloatArray]:
        depth: FloatArray = depths[_row(course, at_s), bought]
        share: FloatArray = np.exp(-decay * depth)
        return share, depth

    return _paths(task, course, reached, paths, rng)


def touch_paths(
    task: Task, course: Course, *, gain: float, fill_share: float, paths: int, rng: np.random.Generator
) -> Outcome:
    """Paths of an order at the touch, or nowhere where a fill would be worth less than nothing."""
    rests = gain > course.waiting()

    def reached(at_s: FloatArray, bought: IntArray) -> tuple[FloatArray, FloatArray]:
        share: FloatArray = np.where(rests[_row(course, at_s), bought], fill_share, 0.0)
        return share, np.full(len(at_s), gain)

    return _paths(task, course, reached, paths, rng)


def _row(course: Course, at_s: FloatArray) -> IntArray:
    row: IntArray = np.minimum(np.rint(at_s / course.step_s), len(course.values) - 1).astype(np.int64)
    return row


def _paths(task: Task, course: Course, reached: Reached, paths: int, rng: np.random.Generator) -> Outcome:
    units = task.units
    grid = np.linspace(0.0, task.horizon_s, _GRID + 1, dtype=np.float64)
    target: FloatArray = np.array([task.target(float(at_s)) for at_s in grid])
    first, second = _integral(target, grid), _integral(target * target, grid)
    next_s = np.append(course.cross_s, np.inf)  # who is done crosses no more
    now_s = np.zeros(paths)
    bought = np.zeros(paths, dtype=np.int64)
    crossed = np.zeros(paths, dtype=np.int64)
    earned = np.zeros(paths)
    off = np.zeros(paths)

    def wait_until(at_s: FloatArray) -> None:
        off_now = (
            np.interp(at_s, grid, second)
            - np.interp(now_s, grid, second)
            - 2.0 * bought * (np.interp(at_s, grid, first) - np.interp(now_s, grid, first))
            + bought * bought * (at_s - now_s)
        )
        off[:] += off_now
        now_s[:] = at_s

    while bool((now_s < task.horizon_s).any()):
        arrival_s = now_s + rng.exponential(1.0 / task.arrivals_per_s, size=paths)
        until_s = np.minimum(arrival_s, task.horizon_s)
        while bool((crosses := next_s[bought] <= until_s).any()):
            wait_until(np.where(crosses, np.maximum(now_s, next_s[bought]), now_s))
            bought += crosses
            crossed += crosses
            earned -= task.cross_cost * crosses
        wait_until(until_s)
        meets = np.flatnonzero((arrival_s < task.horizon_s) & (bought < units))
        share, gain = reached(now_s[meets], bought[meets])
        filled = rng.random(len(meets)) < share
        bought[meets] += filled
        earned[meets] += gain * filled
    return Outcome(crossed=crossed, saved=task.cross_cost + earned / units, exposure_s=off / units**2)


def _integral(values: FloatArray, at: FloatArray) -> FloatArray:
    """Integral from the first point to each, by trapezia."""
    found: FloatArray = np.append(0.0, np.cumsum(0.5 * (values[1:] + values[:-1]) * np.diff(at)))
    return found
