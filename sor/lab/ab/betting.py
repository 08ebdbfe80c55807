"""A mean of bounded values, known at every look: the hedged betting sequence, and what e-values add up to.

Somebody bets against each candidate mean m: `K_t(m) = prod (1 + l_i (x_i - m))` is his capital, whose stakes `l_i` know
only what came before. If m is the mean nobody gets rich, so what is left is every m at which the capital, half of it on
either side, never reached 1 / alpha. Nothing is assumed but the bounds, and independence of what came before.

Costs have no bounds. They are cut at limits written down beforehand, and what is estimated is then the mean of the cut
costs: whoever shows it has to say so.

Source: Waudby-Smith, Ramdas, Estimating means of bounded random variables by betting, JRSS B 2024; Wang, Ramdas, False
discovery rate control with e-values, JRSS B 2022; methods 8.2.
"""

from __future__ import annotations

from math import inf, log

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError

Floats = NDArray[np.float64]

_STAKE_SHARE = 0.5
"""Of the stake at which one value could ruin who bets."""
_GRID = 1_000
_CHUNK = 512


class Betting(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """low, high    (N,) confidence sequence of the mean after each value, running, in the units of the values."""

    low: Floats
    high: Floats


def cut(values: Floats, *, low: float, high: float) -> Floats:
    """Values moved into [low, high]."""
    _check_bounds(low, high)
    return np.clip(values, low, high)


def betting(values: Floats, *, low: float, high: float, alpha: float = 0.05) -> Betting:
    """Hedged confidence sequence of the mean of values that lie within bounds.

    values      (N,) in the order in which they came; N may be thousands: N x 1,000 stakes are computed.
    low, high   bounds of every possible value, known beforehand.
    Raises      CallerError for a value outside the bounds or a level outside (0, 1).
    """
    _check_bounds(low, high)
    if not 0.0 < alpha < 1.0:
        raise CallerError(f"a level must lie between 0 and 1, not {alpha:g}; nothing was computed")
    if values.ndim != 1 or not np.isfinite(values).all() or ((values < low) | (values > high)).any():
        raise CallerError(f"values must lie within {low:g} and {high:g}; nothing was computed. Cut them beforehand")
    shares = (values - low) / (high - low)
    stakes = _stakes(shares, alpha)
    means = (np.arange(_GRID) + 0.5) / _GRID
    before: Floats = np.zeros((2, 1, _GRID))
    alive: NDArray[np.bool_] = np.ones((1, _GRID), np.bool_)
    lows, highs = np.empty(len(shares)), np.empty(len(shares))
    for first in range(0, len(shares), _CHUNK):
        part = slice(first, first + _CHUNK)
        grown = before + np.cumsum(_growth(shares[part, np.newaxis], stakes[part, np.newaxis], means), axis=1)
        before = grown[:, -1:]
        within = grown.max(axis=0) + log(0.5) < log(1.0 / alpha)
        left = np.logical_and.accumulate(np.vstack([alive, within]), axis=0)[1:]
        alive = left[-1:]
        some = left.any(axis=1)
        # A candidate stands for the stretch around it.
        lows[part] = np.where(some, left.argmax(axis=1) / _GRID, np.nan)
        highs[part] = np.where(some, 1.0 - left[:, ::-1].argmax(axis=1) / _GRID, np.nan)
    return Betting(low=low + (high - low) * lows, high=low + (high - low) * highs)


def capital(shares: Floats, mean: float, *, alpha: float = 0.05) -> Floats:
    """What half a unit on either side has become by betting against one mean: an e-value at every look.

    shares      (..., N) values in [0, 1], streams along the last axis. mean: in (0, 1).
    alpha       the level that stakes are chosen for; the e-value holds at any.
    """
    grown = np.cumsum(_growth(shares, _stakes(shares, alpha), np.array(mean)), axis=-1)
    hedged: Floats = 0.5 * np.exp(grown.max(axis=0))
    return hedged


def discoveries(e_values: Floats, *, alpha: float = 0.05) -> NDArray[np.bool_]:
    """Which of several hypotheses are given up at a false discovery rate of alpha, however dependent (e-BH).

    e_values    (K,) >= 0, each of mean at most 1 if there is nothing: 1 over an always valid p-value is none, a
                likelihood ratio or a capital is.
    """
    if e_values.ndim != 1 or not (e_values >= 0.0).all():
        raise CallerError("e-values must be numbers of 0 or more in one row; nothing was computed")
    order = np.argsort(-e_values, kind="stable")
    count = len(e_values)
    enough = e_values[order] >= count / (alpha * np.arange(1, count + 1))
    last = int(np.flatnonzero(enough)[-1]) + 1 if enough.any() else 0
    found = np.zeros(count, np.bool_)
    found[order[:last]] = True
    return found


def _growth(shares: Floats, stakes: Floats, means: Floats) -> Floats:
    """Log growth of the capital on means above and below, (2, ...), by each value."""
    gap = shares - means
    up = np.log1p(np.minimum(stakes, _STAKE_SHARE / means) * gap)
    down = np.log1p(-np.minimum(stakes, _STAKE_SHARE / (1.0 - means)) * gap)
    return np.stack([up, down])


def _stakes(shares: Floats, alpha: float) -> Floats:
    """What is bet on each value by what came before it: more the less they vary, less and less over time."""
    count = np.arange(1, shares.shape[-1] + 1, dtype=np.float64)
    mean = (0.5 + np.cumsum(shares, axis=-1)) / (count + 1.0)
    variance = (0.25 + np.cumsum((shares - mean) ** 2, axis=-1)) / (count + 1.0)
    before = np.concatenate((np.full((*shares.shape[:-1], 1), 0.25), variance[..., :-1]), axis=-1)
    stakes: Floats = np.sqrt(2.0 * log(2.0 / alpha) / (before * count * np.log1p(count)))
    return stakes


def _check_bounds(low: float, high: float) -> None:
    if not -inf < low < high < inf:
        raise CallerError(f"bounds must be finite and apart, not {low:g} and {high:g}; nothing was computed")
