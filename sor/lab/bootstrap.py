"""How sure a mean over parents is, when parents that overlap in time share the same market.

Design
- Blocks are fixed, disjoint, equally long stretches of start time; a parent belongs to the block it starts in. They are
  as long as is known of parents that overlap, whatever the costs look like, and give the randomisation test its units.
  `sor.lab.stationary` takes paired differences as the series that they are, with blocks as long as it asks for.
- A block is four deadlines long, on short recordings down to two, and longer where that would give more than
  `BLOCKS_MAX` blocks. Parents are dependent while they overlap, so blocks of length L miss about deadline / (3 L) of
  the variance at their seams. Over 60 deadlines, 30 blocks of two cover 93 % and reject a true null at 5 % in 6 to 8 %
  of runs; 15 blocks of four cover 95 % and reject in 5 to 6 %, with an interval a tenth wider.
- The interval is a bootstrap-t over whole blocks (Efron 1981; Hall 1988): the mean, studentised by the spread between
  blocks, is drawn again. With 6 to 30 blocks percentile intervals are too narrow, and costs are skewed, which a
  t-interval does not see. tests/unit/test_bootstrap.py measures what this one covers.
- With fewer than `BLOCKS_MIN` blocks there is no interval and no p-value: not even all signs alike would then be
  evidence at 5 %. They are None, the number of blocks is always said.
- Several differences over the same parents (`differences`) are drawn together, block by block, so that what ties them
  is in the draws: intervals hold all at once by the largest and the least studentised difference of each draw, p-values
  by the largest of each sign pattern, stepping down (Westfall and Young 1993; Romano and Wolf 2005). Of one difference
  that is the interval and the p-value above. More blocks are needed then (`blocks_needed`).

Not promised: dependence that lasts longer than a block (a trend over the whole recording) is not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log2

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BLOCKS_MAX = 30
"""More blocks than this make an interval hardly narrower (the factor of the t-distribution is then 4 % off), longer
blocks make it truer."""
_BLOCKS_ENOUGH = 10
"""As long as a recording gives fewer blocks of four deadlines than this, shorter ones are made."""
BLOCKS_MIN = 6
"""2 of the 2**6 sign patterns are as one-sided as can be: 3 %. With 5 blocks it would be 6 %."""
LEVEL = 0.95
DRAWS = 2_000
_FLIPS = 9_999
_EXACT_BLOCKS = 13
"""Up to this many blocks all 2**blocks sign patterns are gone through, beyond it `_FLIPS` are drawn."""
NOTHING = 1e-9
"""A spread of this part of what it is compared with is rounding."""
ERROR_SHARE_MIN = 0.25
"""A resample's own error is not believed below this part of the sample's: one that happens to miss the few blocks that
differ would otherwise count as almost infinitely far off. On costs that are alike in four blocks of five, 15 blocks
then cover as often (94 %) with an interval a thirtieth as long; on normal and skewed costs nothing changes."""


class Interval(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Mean over parents with a `LEVEL` interval. `blocks` counts those that hold a parent.

    low, high   None with fewer than BLOCKS_MIN blocks.
    """

    mean: float
    low: float | None
    high: float | None
    blocks: int
    parents: int


class Difference(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Mean of paired differences with a `LEVEL` interval, as in `Interval`.

    p_value   two-sided, by flipping the signs of whole blocks; it tests that a block's difference is as likely to be
              x as -x. None with fewer than BLOCKS_MIN blocks.
    """

    mean: float
    low: float | None
    high: float | None
    p_value: float | None
    blocks: int
    parents: int


def block_of(start_ns: Ints, *, deadline_ns: int) -> Ints:
    """Block number of each parent.

    start_ns      (n,) int64, n > 0, in any order: when each parent starts.
    deadline_ns   > 0: how long a parent may live.
    Returns       (n,) int64 from 0, blocks of equal length between the first and the last start, >= 2 x deadline.
    Raises        CallerError for no parents or a deadline that is not positive.
    """
    if start_ns.ndim != 1 or not start_ns.size or deadline_ns <= 0:
        raise CallerError(
            f"blocks of {start_ns.size} parents with a deadline of {deadline_ns} ns; nothing was computed. "
            "Give the start times of at least one parent, and a positive deadline"
        )
    first = int(start_ns.min())
    span = int(start_ns.max()) - first + 1
    count = max(span // (4 * deadline_ns), min(_BLOCKS_ENOUGH, span // (2 * deadline_ns)), 1)
    count = min(count, BLOCKS_MAX)
    return (start_ns - first) * count // span


def interval(values: Floats, block: Ints, rng: np.random.Generator) -> Interval:
    """Mean of one value per parent, and its interval.

    values   (n,) float64, finite: the cost of each parent. block: (n,) int64, from `block_of`.
    rng      seeded by the caller; one call draws DRAWS x blocks integers from it.
    Raises   CallerError for no, unequal or not finite values.
    """
    sizes, sums = _by_block(values, block)
    mean = float(sums.sum() / sizes.sum())
    ((low, high),) = _bootstrap_t(sizes, sums[:, np.newaxis], rng)
    return Interval(mean=mean, low=low, high=high, blocks=sizes.size, parents=values.size)


def difference(*, ours: Floats, theirs: Floats, block: Ints, rng: np.random.Generator) -> Difference:
    """Mean of `ours` - `theirs` over the same parents in the same order, its interval and a p-value.

    ours, theirs   (n,) float64, finite; leave out parents for which either is unknown. Positive: ours costs more.
    """
    if ours.shape != theirs.shape:
        raise CallerError(
            f"{ours.size} parents of one policy beside {theirs.size} of another; nothing was computed. "
            "Pair them: the same parents in the same order"
        )
    (only,) = differences((ours - theirs)[:, np.newaxis], block=block, rng=rng)
    return only


def differences(gaps: Floats, *, block: Ints, rng: np.random.Generator) -> tuple[Difference, ...]:
    """Means of K differences over the same parents: intervals that hold all at once, p-values that are adjusted.

    gaps     (n, K) float64, finite, K > 0: what one policy cost a parent less what another did.
    """
    if gaps.ndim != 2 or not gaps.shape[1]:
        raise CallerError(f"differences of shape {gaps.shape}; nothing was computed. Give a column for each")
    columns = [_by_block(gap, block) for gap in gaps.T]
    sizes, sums = columns[0][0], np.column_stack([column for _, column in columns])
    means = sums.sum(axis=0) / sizes.sum()
    ends = _bootstrap_t(sizes, sums, rng)
    p_values = _sign_flips(sums, rng)
    return tuple(
        Difference(mean=float(mean), low=low, high=high, p_value=p_value, blocks=sizes.size, parents=len(gaps))
        for mean, (low, high), p_value in zip(means, ends, p_values, strict=True)
    )


def blocks_needed(comparisons: int) -> int:
    """Blocks without which nothing can be found; `BLOCKS_MIN` for one comparison.

    With fewer even signs that are all alike in one difference turn up in another by chance too often.
    """
    return ceil(log2(2 * comparisons / (1.0 - LEVEL)))


def ratio(sums: Floats, sizes: Floats, block: Ints, rng: np.random.Generator) -> Interval:
    """sum(sums) / sum(sizes), such as the slope of a line through the origin, and its interval.

    sums, sizes   (n,) float64, finite, one of each per parent; sizes >= 0, and positive in some.
    block, rng    as of `interval`. Raises `CallerError` for no, unequal or not finite values.
    """
    _, over = _by_block(sums, block)
    _, under = _by_block(sizes, block)
    ((low, high),) = _bootstrap_t(under, over[:, np.newaxis], rng)
    return Interval(mean=float(over.sum() / under.sum()), low=low, high=high, blocks=under.size, parents=sums.size)


def _by_block(values: Floats, block: Ints) -> tuple[Floats, Floats]:
    """Number of parents and sum of values of each block that holds any, both (blocks,) float64."""
    if values.ndim != 1 or values.shape != block.shape or not values.size or not np.isfinite(values).all():
        raise CallerError(
            f"{values.size} values for {block.size} parents, or one of them is not finite; nothing was computed. "
            "Give one finite value for each of at least one parent"
        )
    sizes = np.bincount(block).astype(np.float64)
    sums = np.bincount(block, weights=values).astype(np.float64)
    held = sizes > 0
    return sizes[held], sums[held]


def _bootstrap_t(
    sizes: Floats, sums: Floats, rng: np.random.Generator
) -> Sequence[tuple[float, float] | tuple[None, None]]:
    """Ends of the intervals of sums / sizes that hold all at once, one for each column of sums, (blocks, K).

    None where there are none to give.
    """
    blocks, columns = sums.shape
    if blocks < blocks_needed(columns):
        return [(None, None)] * columns
    drawn = rng.integers(0, blocks, (DRAWS, blocks))
    sizes_drawn = sizes[drawn]
    means, errors = np.empty(columns), np.empty(columns)
    pivots = np.zeros((DRAWS, columns))
    for no, column in enumerate(sums.T):
        (means[no],), (errors[no],) = _ratio(sizes[np.newaxis], column[np.newaxis])
        if errors[no] <= NOTHING * abs(means[no]):
            errors[no] = 0.0  # nothing varies: the mean is known
            continue
        again, spread = _ratio(sizes_drawn, column[drawn])
        pivots[:, no] = (again - means[no]) / np.maximum(spread, ERROR_SHARE_MIN * errors[no])
    return simultaneous_ends(means, errors, pivots)


def simultaneous_ends(means: Floats, errors: Floats, pivots: Floats) -> list[tuple[float, float]]:
    """Ends of `LEVEL` intervals of K means that hold all at once, by the largest and the least pivot of each draw.

    means, errors   (K,); an error of 0 is of a mean that is known, which has no part in how far the others are off.
    pivots          (draws, K): how far off each mean is when it is drawn again, in its own errors.
    """
    varied = pivots[:, errors > 0.0]
    if not varied.size:
        return [(float(mean), float(mean)) for mean in means]
    tail = (1 - LEVEL) / 2
    # The outer neighbour rather than an interpolation: with few blocks the pivots lie far apart.
    most = np.quantile(varied.max(axis=1), 1 - tail, method="higher")
    least = np.quantile(varied.min(axis=1), tail, method="lower")
    return [
        (float(mean - most * error), float(mean - least * error)) for mean, error in zip(means, errors, strict=True)
    ]


def _ratio(sizes: Floats, sums: Floats) -> tuple[Floats, Floats]:
    """Mean over parents and how far blocks spread it, for each row of (rows, blocks).

    The spread is the standard error but for sqrt(blocks / (blocks - 1)), which cancels in a studentised mean.
    """
    parents = sizes.sum(axis=1)
    means = sums.sum(axis=1) / parents
    off = sums - means[:, np.newaxis] * sizes
    return means, np.sqrt((off * off).sum(axis=1)) / parents


def _sign_flips(sums: Floats, rng: np.random.Generator) -> list[float] | list[None]:
    """Share of sign patterns in which any column that is no clearer lies as far from 0, of each column of (blocks, K).

    A pattern turns all columns of a block together. Exact for few blocks.
    """
    blocks, columns = sums.shape
    if blocks < blocks_needed(columns):
        return [None] * columns
    if blocks <= _EXACT_BLOCKS:
        bits = np.arange(2**blocks)[:, np.newaxis] >> np.arange(blocks) & 1
        seen = 0
    else:
        bits = rng.integers(0, 2, (_FLIPS, blocks))
        seen = 1  # the pattern that was seen is one of the possible ones
    # Turning signs leaves a column's squares as they are, so that this is as good as a t, and columns are comparable.
    norms = np.sqrt((sums**2).sum(axis=0))
    scaled = sums / np.where(norms > 0.0, norms, 1.0)
    totals = np.abs((1 - 2 * bits) @ scaled)
    lies = np.abs(scaled.sum(axis=0)) - NOTHING * np.abs(scaled).sum(axis=0)
    clearest = np.argsort(-lies, kind="stable")
    # The farthest of the columns from each one on, in that order; what was harder to find is never surer.
    farthest = np.maximum.accumulate(totals[:, clearest[::-1]], axis=1)[:, ::-1]
    as_far = np.count_nonzero(farthest >= lies[clearest], axis=0)
    p_values = np.empty(columns)
    p_values[clearest] = np.maximum.accumulate((as_far + seen) / (len(totals) + seen))
    return [float(p_value) for p_value in p_values]
