"""Looking at a comparison after every parent without being fooled: bounds that hold at all times at once.

An interval at 95 % that is looked at ten times misses the truth in one comparison of five; looked at for ever, in all
of them. What stands here holds for every look together, however many and whenever one stops.

- `MixtureBound`: the two-sided normal mixture of Howard, Ramdas, McAuliffe and Sekhon (2021). Intrinsic time is the sum
  of variances; a rate `r` chosen for one time makes it tightest there, 1.55 times the interval of a fixed sample.
- `Msprt`: the mixture likelihood ratio of Johari, Koomen, Pekelis and Walsh (2022) and its always valid p-value.
- `stitched`, `polynomial_stitched`: bounds that shrink at the rate of the iterated logarithm, without a time to choose.
- `e_values`: the mixture likelihood ratio of differences whose variance nobody knows (Wang, Ramdas 2025): what several
  comparisons are weighed by together (`sor.lab.ab.betting.discoveries`).
- `asymptotic`: the mixture bound with an estimated variance (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2024). It is
  what parents get, whose variance nobody knows; it holds in the limit, hence `LOOKS_FROM`.

All sums are of differences in the order in which they came. Source: methods 8.2.
"""

from __future__ import annotations

from math import ceil, exp, inf, log, sqrt
from statistics import NormalDist

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.experiment.bounds import LOOKS_FROM

Floats = NDArray[np.float64]

_ZETA_TERMS = 20
"""Summed one by one before the tail is integrated: eleven digits for the powers that are of use."""

_LOG_E_MAX = 300.0
"""More evidence than this is as much as anybody asks for, and still a number."""


class MixtureBound(msgspec.Struct, frozen=True, kw_only=True):
    """The sum of differences without effect stays within +- `at(v)` at all times v, but for a share `alpha` of streams.

    rate    `r` > 0 in units of intrinsic time.
    """

    alpha: float
    rate: float

    @classmethod
    def tightest_at(cls, time: float, *, alpha: float) -> MixtureBound:
        """The bound that is tightest at one intrinsic time > 0."""
        _check_level(alpha)
        if not time > 0.0:
            raise CallerError(f"a bound cannot be tightest at time {time:g}; nothing was computed. Times are above 0")
        most = 2.0 * log(1.0 / alpha)
        return cls(alpha=alpha, rate=time / (most + log(1.0 + most)))

    def at(self, time: Floats) -> Floats:
        """Half-width of the sum at intrinsic times, (n,) -> (n,)."""
        late = time + self.rate
        bound: Floats = np.sqrt(late * np.log(late / (self.rate * self.alpha**2)))
        return bound


class Looks(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What may be said after each of N differences, whatever is done with it.

    low, high    (N,) confidence sequence of the mean, running: once excluded stays excluded; infinite before the
                 first look.
    p_value      (N,) always valid, of no difference; never rises.
    """

    low: Floats
    high: Floats
    p_value: Floats

    def stopped_at(self) -> int | None:
        """After how many differences zero was excluded, None if never."""
        out = np.flatnonzero((self.low > 0.0) | (self.high < 0.0))
        return int(out[0]) + 1 if out.size else None


class Msprt(msgspec.Struct, frozen=True, kw_only=True):
    """Mixture sequential probability ratio test of no difference.

    variance    of one difference, known. mixing: variance of the effects that are tested for, > 0.
    """

    variance: float
    mixing: float

    def ratio(self, count: Floats, total: Floats) -> Floats:
        """Likelihood ratio after `count` differences of sum `total`, elementwise; reject at 1 / alpha."""
        spread = self.variance + count * self.mixing
        power = self.mixing * total**2 / (2.0 * self.variance * spread)
        ratio: Floats = np.sqrt(self.variance / spread) * np.exp(np.minimum(power, 700.0))
        return ratio

    def p_values(self, differences: Floats) -> Floats:
        """Always valid p-values after each difference, along the last axis."""
        count = np.arange(1, differences.shape[-1] + 1, dtype=np.float64)
        ratio = self.ratio(count, np.cumsum(differences, axis=-1))
        p_values: Floats = np.minimum.accumulate(np.minimum(1.0, 1.0 / ratio), axis=-1)
        return p_values


def stitched(time: Floats, *, alpha: float) -> Floats:
    """Two-sided bound of the sum at intrinsic times >= 1: 1.7 sqrt(v (log log 2v + 0.72 log(10.4 / alpha)))."""
    _check_level(alpha)
    bound: Floats = 1.7 * np.sqrt(time * (np.log(np.log(2.0 * time)) + 0.72 * log(10.4 / alpha)))
    return bound


def polynomial_stitched(
    time: float, *, alpha: float, from_time: float, scale: float = 0.0, power: float = 1.4, epoch: float = 2.0
) -> float:
    """One-sided stitched bound for a sum whose terms may reach `scale` (0: sub-Gaussian), from one time on."""
    _check_level(alpha)
    late = max(time, from_time)
    spread = (epoch**0.25 + epoch**-0.25) / sqrt(2.0)
    jump = 0.5 * scale * (sqrt(epoch) + 1.0)
    level = power * log(log(epoch * late / from_time)) + log(_zeta(power) / log(epoch) ** power) + log(1.0 / alpha)
    return sqrt(spread**2 * late * level + (jump * level) ** 2) + jump * level


def asymptotic(differences: Floats, *, alpha: float, tightest_at: int) -> Looks:
    """Confidence sequence and always valid p-value of a mean whose variance is estimated as it goes.

    differences    (N,) in the order in which they came, finite.
    tightest_at    number of differences at which to be tightest; chosen beforehand, such as the sample that a power
                   analysis asks for.
    """
    _check_level(alpha)
    if not np.isfinite(differences).all() or differences.ndim != 1:
        raise CallerError("differences must be finite numbers in one row; nothing was computed")
    if tightest_at < 1:
        raise CallerError(f"a sequence cannot be tightest at {tightest_at} differences; nothing was computed")
    count = np.arange(1, len(differences) + 1, dtype=np.float64)
    mean = np.cumsum(differences) / count
    variance = np.maximum(np.cumsum(differences**2) / count - mean**2, 0.0)
    sd = np.sqrt(variance)
    rate = MixtureBound.tightest_at(float(tightest_at), alpha=alpha).rate
    looks = count >= LOOKS_FROM
    half = np.where(looks, sd * MixtureBound(alpha=alpha, rate=rate).at(count) / count, inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        known = np.where(mean == 0.0, 0.0, inf)
        scaled = np.where(variance > 0.0, (mean * count) ** 2 / variance, known)
        # The smallest alpha whose bound at this rate the sum leaves: its mixture ratio, turned round.
        p_value = np.sqrt((count + rate) / rate) * np.exp(-0.5 * scaled / (count + rate))
    p_value = np.where(looks, np.minimum(1.0, p_value), 1.0)
    return Looks(
        low=np.maximum.accumulate(mean - half),
        high=np.minimum.accumulate(mean + half),
        p_value=np.minimum.accumulate(p_value),
    )


def e_values(differences: Floats, *, alpha: float, tightest_at: int) -> Floats:
    """What a bet of one unit against no difference has become after each difference, along the last axis.

    Effects are mixed over a normal, in units of a standard deviation that is mixed over every scale alike, so nothing
    is plugged in: of normal differences without effect the mean is 1 after any number of them, where that of a ratio
    with an estimated variance is infinite. 1 before `LOOKS_FROM`, as differences are normal only as means of many.

    differences    (..., N), finite. alpha, tightest_at: level and number at which it says most, chosen beforehand.
    Source         Wang, Ramdas, Anytime-valid t-tests, Sequential Analysis 2025, theorem on the Gaussian mixture: a
                   martingale in what does not depend on the scale, so a stop must not either.
    """
    _check_level(alpha)
    if not np.isfinite(differences).all() or tightest_at < 1:
        raise CallerError("differences must be finite numbers, and a time at least 1; nothing was computed")
    rate = MixtureBound.tightest_at(float(tightest_at), alpha=alpha).rate
    count = np.arange(1, differences.shape[-1] + 1, dtype=np.float64)
    total, squares = np.cumsum(differences, axis=-1), np.cumsum(differences**2, axis=-1)
    share = np.divide(total**2, (count + rate) * squares, out=np.zeros_like(squares), where=squares > 0.0)
    log_e = 0.5 * np.log(rate / (count + rate)) - 0.5 * count * np.log1p(-share)
    values: Floats = np.where(count >= LOOKS_FROM, np.exp(np.minimum(log_e, _LOG_E_MAX)), 1.0)
    return values


def fixed_sample(*, sd: float, effect: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Pairs that a single look needs to see a mean difference of `effect` with a chance of `power`.

    Raises `CallerError` for an sd or an effect that is not above 0.
    """
    _check_level(alpha)
    if not (sd > 0.0 and effect > 0.0 and 0.0 < power < 1.0):
        raise CallerError(
            f"no sample size for an sd of {sd:g}, an effect of {effect:g}, a power of {power:g}; nothing was computed"
        )
    normal = NormalDist()
    quantiles = normal.inv_cdf(1.0 - 0.5 * alpha) + normal.inv_cdf(power)
    return ceil((quantiles * sd / effect) ** 2)


def needed(*, error: float, count: int, effect: float, alpha: float) -> int | None:
    """`fixed_sample` of units as they were seen; None where nothing varies or there is no effect to see.

    error    standard error of the mean of `count` units, with whatever ties them to each other in it.
    """
    known = error > 0.0 and effect > 0.0
    return fixed_sample(sd=error * sqrt(count), effect=effect, alpha=alpha) if known else None


def _check_level(alpha: float) -> None:
    if not 0.0 < alpha < 1.0:
        raise CallerError(f"a level must lie between 0 and 1, not {alpha:g}; nothing was computed")


def _zeta(power: float) -> float:
    """Riemann's zeta above 1 by Euler and Maclaurin."""
    head = sum(exp(-power * log(k)) for k in range(1, _ZETA_TERMS))
    n = float(_ZETA_TERMS)
    last = exp(-power * log(n))
    third = power * (power + 1.0) * (power + 2.0) * last / n**3 / 720.0
    return head + last * (n / (power - 1.0) + 0.5 + power / n / 12.0) - third
