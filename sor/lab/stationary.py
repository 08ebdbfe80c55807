"""How sure the mean of a series of differences is: the stationary bootstrap, in blocks as long as the series asks for.

Design
- Differences of paired parents in the order of their starts are a series. A resample of it is made of blocks that begin
  anywhere and are geometrically long (Politis, Romano 1994, The stationary bootstrap, JASA 89), so that neighbours
  stay neighbours, there are no seams to place, and a resample is as stationary as the series.
- How long blocks are on average comes from the autocorrelations of the series itself (Politis, White 2004, Econometric
  Reviews 23, as corrected by Patton, Politis, White 2009, Econometric Reviews 28). `sor.lab.bootstrap` cuts the same
  differences up by time: it knows how long a parent lives and nothing of what markets remember, this the reverse.
- No block is so long that fewer than `blocks_needed` are left to draw from (six of one series). Of short series a few
  in a hundred ask for longer ones, by noise that makes the estimated spectrum vanish, not by what they remember.
- A block that reaches the end of its market goes on at that market's beginning, never in another market: each
  difference is drawn as often as any other, and markets that differ in level are drawn anew.
- The interval is studentised by the spread between the blocks that were drawn, which are independent of each other
  given the series, and scaled by the spread of the resampled means (Goetze, Kuensch 1996, Annals of Statistics 24: only
  studentised do blocks get the skewness right). Percentiles of the resampled means are too narrow, as they are with
  disjoint blocks: tests/unit/test_stationary_peers.py counts how often.
- Several series over the same parents are drawn together, with one length from the average of their autocorrelations
  (the longest of many lengths would be one that chance has made long). Their intervals hold all at once by the
  largest and the least pivot, as in `sor.lab.bootstrap.differences`.

Not promised: autocorrelations of a short series are themselves uncertain, so that it covers 93 to 95 % where 95 % are
meant (`python -m benchmarks.overlapping_parents`). What reaches over the whole series (a trend) is not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log10, sqrt

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.lab.bootstrap import DRAWS, ERROR_SHARE_MIN, NOTHING, blocks_needed, simultaneous_ends

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_ROOM = 500_000
"""Coins thrown at a time: what stays near the processor is drawn five times as fast as what does not."""


class Series(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What the stationary bootstrap says of the mean of a series.

    low, high      of the `LEVEL` interval; None with fewer differences than `blocks_needed`.
    block_parents  mean length of a block, at least 1, and no longer than leaves `blocks_needed` of them.
    """

    low: float | None
    high: float | None
    block_parents: float


def series(gaps: Floats, *, sizes: Sequence[int], rng: np.random.Generator) -> tuple[Series, ...]:
    """Intervals of the means of K series that hold all at once.

    gaps     (n, K) float64, finite, K > 0: differences in the order of time, market after market.
    sizes    how many of each market; together n, none of them 0.
    rng      seeded by the caller.
    Raises   CallerError for no differences, one that is not finite, or sizes that do not add up.
    """
    if gaps.ndim != 2 or not gaps.size or not np.isfinite(gaps).all():
        raise CallerError(f"differences of shape {gaps.shape}, or one is not finite; nothing was computed")
    if min(sizes, default=0) <= 0 or sum(sizes) != len(gaps):
        raise CallerError(f"{len(gaps)} differences of markets with {list(sizes)}; nothing was computed")
    count, columns = gaps.shape
    length = min(block_length(gaps, sizes=sizes), count / blocks_needed(columns))
    if length < 1.0:
        return (Series(low=None, high=None, block_parents=1.0),) * columns
    means = gaps.mean(axis=0)
    off, spread = _drawn_again(gaps - means, sizes, length, rng)
    errors = off.std(axis=0)
    errors[errors <= NOTHING * np.abs(means)] = 0.0
    least = np.where(errors > 0.0, ERROR_SHARE_MIN * errors, 1.0)
    pivots: Floats = np.where(errors > 0.0, off, 0.0) / np.maximum(spread, least)
    ends = simultaneous_ends(means, errors, pivots)
    return tuple(Series(low=low, high=high, block_parents=length) for low, high in ends)


def block_length(gaps: Floats, *, sizes: Sequence[int]) -> float:
    """Mean length of a block, at least 1, by the autocorrelations of the series, averaged where there are several.

    gaps     (n, K) float64, finite, in the order of time, market after market. sizes: how many of each market.
    Source   Politis, White 2004, section 3.2 (the rule for the lag) and equation 9; Patton, Politis, White 2009 for
             the constant of the stationary bootstrap. Constants are those of the authors' programs.
    """
    count = len(gaps)
    in_a_row = max(5, int(log10(count)))
    farthest = ceil(sqrt(count)) + in_a_row
    correlation = _autocorrelations(gaps, sizes, min(farthest, count - 1))
    small = np.abs(correlation[1:]) < 2.0 * sqrt(log10(count) / count)
    # The first lag from which on so many in a row are no more than chance.
    quiet = np.convolve(small, np.ones(in_a_row), "valid") == in_a_row if len(small) >= in_a_row else small[:0]
    lags = min(2 * (int(quiet.argmax()) + 1), farthest) if quiet.any() else farthest
    lag = np.arange(1, min(lags, len(correlation) - 1) + 1)
    weight = np.minimum(1.0, 2.0 * (1.0 - lag / lags)) * correlation[lag]
    slope, spectrum = 2.0 * float((lag * weight).sum()), float(1.0 + 2.0 * weight.sum())
    longest = ceil(min(3.0 * sqrt(count), count / 3.0))
    # slope^2 n / spectrum^2 is the length's third power; where the spectrum vanishes it is as long as it may be.
    cubed = slope**2 * count / spectrum**2 if spectrum**2 * longest**3 > slope**2 * count else longest**3
    return max(1.0, float(np.cbrt(cubed)))


def _autocorrelations(gaps: Floats, sizes: Sequence[int], lags: int) -> Floats:
    """Of lags 0 to `lags`, over pairs within a market; of several series the mean, without those that never vary."""
    off = gaps - gaps.mean(axis=0)
    spread = np.sqrt((off * off).mean(axis=0))
    varies = spread > NOTHING * np.abs(gaps).max(axis=0)
    if not varies.any():
        return np.concatenate([[1.0], np.zeros(lags)])
    off, count = off[:, varies] / spread[varies], len(gaps)
    market = np.repeat(np.arange(len(sizes)), sizes)
    return np.array(
        [
            float((off[lag:] * off[: count - lag])[market[lag:] == market[: count - lag]].sum())
            / (count * off.shape[1])
            for lag in range(lags + 1)
        ]
    )


def _drawn_again(off: Floats, sizes: Sequence[int], length: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Means of DRAWS resamples and their own errors by the blocks in them, (DRAWS, K) each.

    off   (n, K) with a mean of 0 in each column.
    """
    count, columns = off.shape
    means, errors = np.empty((DRAWS, columns)), np.empty((DRAWS, columns))
    firsts: Ints = np.cumsum([0, *sizes[:-1]])
    own, first = np.repeat(sizes, sizes), np.repeat(firsts, sizes)
    # Each market twice in a row, so that a block that goes on at the beginning is one stretch.
    around = np.concatenate(
        [np.tile(np.arange(begin, begin + size), 2) for begin, size in zip(firsts.tolist(), sizes, strict=True)]
    )
    sums = np.concatenate([np.zeros((1, columns)), np.cumsum(off[around], axis=0)])
    totals = np.repeat(np.add.reduceat(off, firsts), sizes, axis=0)
    at_once = max(1, _ROOM // count)
    for done in range(0, DRAWS, at_once):
        rows = min(at_once, DRAWS - done)
        begins = rng.random((rows, count)) < 1.0 / length
        begins[:, 0] = True
        at = np.flatnonzero(begins)
        draw, lasts = at // count, np.diff(at, append=rows * count)
        start = rng.integers(0, count, len(at))
        rounds, rest = np.divmod(lasts, own[start])
        opened = start + first[start]  # where the market's first turn holds it
        for column in range(columns):
            block = sums[opened + rest, column] - sums[opened, column] + rounds * totals[start, column]
            mean = np.bincount(draw, weights=block) / count
            apart = block - mean[draw] * lasts
            means[done : done + rows, column] = mean
            errors[done : done + rows, column] = np.sqrt(np.bincount(draw, weights=apart * apart)) / count
    return means, errors
