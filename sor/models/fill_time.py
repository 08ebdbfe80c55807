"""Distributions of the time until a resting order fills, in the form that a timeout is worked out from.

Each gives survival, hazard, the mean time that an order rests when it is given up at some time, and the times at which
its hazard falls to a rate: between 0 and infinity the cost of a wait has its minimum at one of those or at an end.

Closed forms, microseconds each. Durations in seconds, rates in 1/s.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import accumulate, pairwise
from math import erfc, exp, gamma, inf, isinf, log, pi, sqrt
from typing import Protocol

import msgspec

from sor.errors import CallerError

_ROOT_2 = sqrt(2.0)
_ROOT_2PI = sqrt(2.0 * pi)
_STEPS_MAX = 100
_PRECISION = 1e-12
_LOG_MAX = 700.0
_TAIL = 25.0
"""Standard deviations from which the tail of a normal is worked out by its expansion (error below 1e-7 of itself)."""


class FillTime(Protocol):
    """What a timeout needs to know of the time to fill."""

    def survival(self, at_s: float) -> float:
        """P(not filled by `at_s`), `at_s` >= 0 or infinite."""

    def hazard(self, at_s: float) -> float:
        """Rate of fills at `at_s`, 1/s, among orders that were not filled before."""

    def resting_s(self, until_s: float) -> float:
        """Mean time that an order rests which is given up at `until_s`: the integral of the survival."""

    def falls_to(self, rate: float) -> tuple[float, ...]:
        """Times at which the hazard falls to `rate` > 0 from above, ascending."""


class Exponential(msgspec.Struct, frozen=True, gc=False):
    """A constant hazard, `rate` > 0 in 1/s."""

    rate: float

    def __post_init__(self) -> None:
        _check_positive(rate=self.rate)

    def survival(self, at_s: float) -> float:
        """exp(-rate t)."""
        return exp(-self.rate * at_s)

    def hazard(self, at_s: float) -> float:
        """The rate, at any time."""
        return self.rate if at_s >= 0.0 else 0.0

    def resting_s(self, until_s: float) -> float:
        """(1 - exp(-rate t)) / rate."""
        return (1.0 - exp(-self.rate * until_s)) / self.rate

    def falls_to(self, rate: float) -> tuple[float, ...]:
        """Never: it does not fall."""
        assert rate > 0.0
        return ()


class Weibull(msgspec.Struct, frozen=True, gc=False):
    """Survival exp(-(t / scale)^shape): the hazard falls for a shape below 1 and rises for one above."""

    shape: float
    scale_s: float

    def __post_init__(self) -> None:
        _check_positive(shape=self.shape, scale_s=self.scale_s)

    def survival(self, at_s: float) -> float:
        """exp(-(t / scale)^shape)."""
        return exp(-math.pow(at_s / self.scale_s, self.shape))

    def hazard(self, at_s: float) -> float:
        """(shape / scale) (t / scale)^(shape - 1); infinite at 0 for a shape below 1."""
        if at_s <= 0.0 and self.shape < 1.0:
            return inf
        return self.shape / self.scale_s * math.pow(at_s / self.scale_s, self.shape - 1.0)

    def resting_s(self, until_s: float) -> float:
        """Of those given up t S(t), of those filled before an incomplete gamma function."""
        order = 1.0 + 1.0 / self.shape
        if isinf(until_s):
            return self.scale_s * gamma(order)
        reach = math.pow(until_s / self.scale_s, self.shape)
        return until_s * exp(-reach) + self.scale_s * _lower_gamma(order, reach)

    def falls_to(self, rate: float) -> tuple[float, ...]:
        """At scale (shape / (scale rate))^(1 / (1 - shape)) for a shape below 1, else never."""
        if self.shape >= 1.0:
            return ()
        try:
            return (self.scale_s * math.pow(self.shape / (self.scale_s * rate), 1.0 / (1.0 - self.shape)),)
        except OverflowError:
            return ()  # a shape all but 1: it falls too slowly to get there


class LogNormal(msgspec.Struct, frozen=True, gc=False):
    """log T normal around log(median) with standard deviation `shape`: the hazard rises from 0 and falls again."""

    median_s: float
    shape: float

    def __post_init__(self) -> None:
        _check_positive(median_s=self.median_s, shape=self.shape)

    def survival(self, at_s: float) -> float:
        """Phi(-log(t / median) / shape)."""
        return 0.5 * erfc(self._deviations(at_s) / _ROOT_2)

    def hazard(self, at_s: float) -> float:
        """phi(z) / (Phi(-z) shape t) with z = log(t / median) / shape."""
        if at_s <= 0.0 or isinf(at_s):
            return 0.0
        return _hazard(self._deviations(at_s)) / (self.shape * at_s)

    def resting_s(self, until_s: float) -> float:
        """Of those given up t S(t), of those filled before a log-normal's partial mean."""
        mean_s = self.median_s * exp(0.5 * self.shape * self.shape)
        if isinf(until_s):
            return mean_s
        before = 0.5 * erfc((self.shape - self._deviations(until_s)) / _ROOT_2)
        return until_s * self.survival(until_s) + mean_s * before

    def falls_to(self, rate: float) -> tuple[float, ...]:
        """The time on the falling side; none where the hazard never is that high.

        The log of the hazard is concave in z = log(t / median) / shape, so that Newton's steps from far out on the
        falling side come ever nearer to the root and never pass it: a step that arrives where it rises has found none.
        """
        level = log(rate * self.shape * self.median_s)
        z = 1.0
        while not self._falls_below(z, level):
            z *= 2.0
        for _ in range(_STEPS_MAX):
            hazard = _hazard(z)
            slope = hazard - z - self.shape
            if slope >= 0.0 or hazard <= 0.0:
                return ()
            step = (log(hazard) - self.shape * z - level) / slope
            z -= step
            if abs(step) <= _PRECISION * max(1.0, abs(z)):
                break
        reach = self.shape * z
        return (self.median_s * exp(reach),) if reach < _LOG_MAX else ()  # beyond any float it falls too slowly

    def _falls_below(self, z: float, level: float) -> bool:
        """Whether the hazard is falling at `z`, and is below the level already."""
        hazard = _hazard(z)
        return hazard - z < self.shape and log(hazard) - self.shape * z < level

    def _deviations(self, at_s: float) -> float:
        return log(at_s / self.median_s) / self.shape if at_s > 0.0 else -inf


class Tabulated(msgspec.Struct, frozen=True, gc=False):
    """A survival curve by knots, straight between them: a Kaplan-Meier curve, or any hazard on a grid.

    times_s     ascending, the first 0.
    survived    P(not filled by then), one for each time, the first 1, never rising, within [0, 1].
    areas_s     under the curve up to each time; worked out, not given.
    Nothing fills after the last time: what was not observed is not promised.
    """

    times_s: tuple[float, ...]
    survived: tuple[float, ...]
    areas_s: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        times, survived = self.times_s, self.survived
        sound = (
            len(times) == len(survived) >= 2
            and times[0] == 0.0
            and survived[0] == 1.0
            and all(one < other for one, other in pairwise(times))
            and all(one >= other for one, other in pairwise(survived))
            and survived[-1] >= 0.0
        )
        if not sound:
            raise CallerError(
                f"a survival curve of {len(times)} times and {len(survived)} values is not one; nothing was computed. "
                "Start at time 0 with 1, let the times rise and the values never, down to 0 at most"
            )
        lengths = [other - one for one, other in pairwise(times)]
        means = [0.5 * (one + other) for one, other in pairwise(survived)]
        areas = accumulate([0.0, *[length * mean for length, mean in zip(lengths, means, strict=True)]])
        msgspec.structs.force_setattr(self, "areas_s", tuple(areas))

    def survival(self, at_s: float) -> float:
        """Straight between the knots, constant after the last."""
        knot = self._knot(at_s)
        density = self._density(knot)
        return self.survived[knot] - density * (at_s - self.times_s[knot]) if density > 0.0 else self.survived[knot]

    def hazard(self, at_s: float) -> float:
        """Density over survival; 0 after the last knot, and where no order is left."""
        density = self._density(self._knot(at_s))
        return density / self.survival(at_s) if density > 0.0 else 0.0

    def resting_s(self, until_s: float) -> float:
        """Area under the curve; infinite for ever if some are never filled."""
        knot = self._knot(until_s)
        mean = 0.5 * (self.survived[knot] + self.survival(until_s))
        since = mean * (until_s - self.times_s[knot]) if mean > 0.0 else 0.0
        return self.areas_s[knot] + since

    def falls_to(self, rate: float) -> tuple[float, ...]:
        """The knots before which the hazard is above `rate` and after which it is not."""
        return tuple(
            [
                self.times_s[knot]
                for knot in range(1, len(self.times_s))
                if self._density(knot - 1) > rate * self.survived[knot] >= self._density(knot)
            ]
        )

    def _knot(self, at_s: float) -> int:
        """The last knot at or before a time >= 0."""
        return bisect_right(self.times_s, at_s) - 1

    def _density(self, knot: int) -> float:
        """Fills per second, of all orders, between a knot and the next; 0 after the last."""
        if knot + 1 >= len(self.times_s):
            return 0.0
        return (self.survived[knot] - self.survived[knot + 1]) / (self.times_s[knot + 1] - self.times_s[knot])


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if not 0.0 < value < inf:
            raise CallerError(f"{name} {value} of a time to fill; nothing was computed. Give a positive number")


def _hazard(z: float) -> float:
    """phi(z) / Phi(-z), the hazard of a standard normal."""
    if z > _TAIL:
        return z + 1.0 / z - 2.0 / z**3
    return 2.0 * exp(-0.5 * z * z) / (_ROOT_2PI * erfc(z / _ROOT_2))


def _lower_gamma(order: float, reach: float) -> float:
    """Lower incomplete gamma function by its series; its terms fall off after about `reach` of them."""
    if reach > 100.0 + 2.0 * order:
        return gamma(order)
    term = total = 1.0 / order
    count = order
    while term > 1e-17 * total:
        count += 1.0
        term *= reach / count
        total += term
    return total * math.pow(reach, order) * exp(-reach)
