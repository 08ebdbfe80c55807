"""Two policies on the same parents of recorded markets: what is known of the difference, and when nothing is.

A parent is paired with itself, so what the market did to both cancels. Parents that overlap in time share their market:
the unit that counts is a block of start time (`sor.lab.bootstrap`), and `effective` says how many independent parents
would know the mean as well. In the order of time the differences are a series, too, which the stationary bootstrap
draws again in blocks as long as its autocorrelations ask for (`sor.lab.stationary`). Both intervals are for one look at
the end; the sequence, over block means in order of time, holds however often one looks, and needs more blocks.

A winner is named only when both intervals lie on one side of zero, the randomisation test agrees (with few blocks and
skewed costs each may err alone; decision 0108), and every guard holds. Otherwise the answer is `undecided`, with the
number of parents that would see the effect asked for. Source: methods 8.1 and 8.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from math import sqrt
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.experiment.bounds import COSTED_MIN, LOOKS_FROM, TAIL
from sor.lab.ab.guards import Guard, tail
from sor.lab.ab.sequential import Looks, asymptotic, needed
from sor.lab.bootstrap import BLOCKS_MIN, LEVEL, Difference, block_of, blocks_needed, difference
from sor.lab.stationary import Series, series

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ALPHA = 1.0 - LEVEL
_STREAM = 4
SERIES_STREAM = 9
"""Of the seed: what the stationary bootstrap draws leaves all other draws as they are."""


class Decision(StrEnum):
    """Which arm is cheaper."""

    A = "a"
    B = "b"
    UNDECIDED = "undecided"


class Paired(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One market's parents under both arms.

    cost_a, cost_b    (P,) bps against the arrival mid, nan where unknown. start_ns: (P,) when each parent started.
    deadline_ns       how long a parent may live.
    """

    cost_a: Floats
    cost_b: Floats
    start_ns: Ints
    deadline_ns: int


class Findings(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a paired comparison came to; differences are cost(a) - cost(b), bps.

    parents, costed   put on the markets, and with a cost under both arms.
    difference        with the interval of a single look. effective: independent parents that know the mean as well.
    series            what the stationary bootstrap says of the same mean, for a single look too.
    looks             the sequence over blocks, None with fewer than LOOKS_FROM blocks. seen: (L,) parents at each
                      look. stopped_at: of them, when zero was first excluded.
    needed            parents for a power of 80 % to see `effect_bps`, on markets like these; None where nothing varies.
    cost_a, cost_b    (N,) of the costed parents, in the order of the markets.
    """

    parents: int
    costed: int
    difference: Difference
    series: Series
    effective: float | None
    looks: Looks | None
    seen: Ints
    stopped_at: int | None
    effect_bps: float
    needed: int | None
    guards: tuple[Guard, ...]
    decision: Decision
    why: str
    cost_a: Floats
    cost_b: Floats


def findings(
    markets: Sequence[Paired],
    *,
    seed: int,
    effect_bps: float | None = None,
    margin_bps: float = 0.0,
    guards: Sequence[Guard] = (),
) -> Findings:
    """Compare on all markets together; blocks never reach from one into another.

    effect_bps    the difference worth knowing of, for `needed`; None: the one that was seen.
    margin_bps    by how much the winner's tail may be worse.
    guards        further ones, such as what the venue's books say.
    Raises        CallerError where no parent has a cost under both arms.
    """
    kept = [np.isfinite(market.cost_a) & np.isfinite(market.cost_b) for market in markets]
    parents, costed = sum(len(one) for one in kept), int(sum(one.sum() for one in kept))
    if not costed:
        raise CallerError("no parent has a cost under both arms; nothing was compared")
    cost_a = np.concatenate([market.cost_a[one] for market, one in zip(markets, kept, strict=True)])
    cost_b = np.concatenate([market.cost_b[one] for market, one in zip(markets, kept, strict=True)])
    block = blocks_of(markets, kept)
    found = difference(ours=cost_a, theirs=cost_b, block=block, rng=np.random.default_rng([seed, _STREAM]))
    by_time, sizes = in_order(markets, kept)
    rng = np.random.default_rng([seed, SERIES_STREAM])
    (drawn,) = series((cost_a - cost_b)[by_time, np.newaxis], sizes=sizes, rng=rng)
    means, seen = block_means(cost_a - cost_b, blocks_of(markets, kept, fine=True))
    looks = asymptotic(means, alpha=ALPHA, tightest_at=len(means)) if len(means) >= LOOKS_FROM else None
    effect = abs(found.mean) if effect_bps is None else effect_bps
    error = block_error(cost_a - cost_b, block)
    known = error > 0.0 and effect > 0.0 and found.blocks >= BLOCKS_MIN
    likely = Decision.A if found.mean < 0.0 else Decision.B
    held = (
        Guard(
            name="costed",
            holds=costed >= COSTED_MIN * parents,
            says=f"{costed} of {parents} parents have a cost under both arms",
        ),
        tail(*by_winner(cost_a, cost_b, likely=likely), winner=likely, margin_bps=margin_bps, quantile=TAIL),
        *guards,
    )
    clear, why = told_apart(found, drawn, likely, held)
    return Findings(
        parents=parents,
        costed=costed,
        difference=found,
        series=drawn,
        effective=float((cost_a - cost_b).var()) / error**2 if known else None,
        looks=looks,
        seen=seen,
        stopped_at=None if looks is None or (look := looks.stopped_at()) is None else int(seen[look - 1]),
        effect_bps=effect,
        needed=needed(error=error, count=costed, effect=effect, alpha=ALPHA) if known else None,
        guards=held,
        decision=likely if clear else Decision.UNDECIDED,
        why=why,
        cost_a=cost_a,
        cost_b=cost_b,
    )


class Started(Protocol):
    """One market's parents by when they started, (P,), and how long each may live."""

    @property
    def start_ns(self) -> Ints: ...

    @property
    def deadline_ns(self) -> int: ...


def by_winner(cost_a: Floats, cost_b: Floats, *, likely: Decision) -> tuple[Floats, Floats]:
    """Costs of the arm that would win, and of the other."""
    return (cost_a, cost_b) if likely is Decision.A else (cost_b, cost_a)


def blocks_of(markets: Sequence[Started], kept: Sequence[NDArray[np.bool_]], *, fine: bool = False) -> Ints:
    """Block of each costed parent; fine: of four deadlines each, however many that makes."""
    blocks, before = [], 0
    for market, one in zip(markets, kept, strict=True):
        if fine:
            block = (market.start_ns - market.start_ns.min()) // (4 * market.deadline_ns)
        else:
            block = block_of(market.start_ns, deadline_ns=market.deadline_ns)
        blocks.append(block[one] + before)
        before += int(block.max()) + 1
    return np.concatenate(blocks)


def in_order(markets: Sequence[Started], kept: Sequence[NDArray[np.bool_]]) -> tuple[Ints, list[int]]:
    """Places of the costed parents in the order of their starts, market after market, and how many each market has."""
    places, sizes, before = [], [], 0
    for market, one in zip(markets, kept, strict=True):
        starts = market.start_ns[one]
        if starts.size:
            places.append(np.argsort(starts, kind="stable") + before)
            sizes.append(starts.size)
            before += starts.size
    return np.concatenate(places), sizes


def block_error(gap: Floats, block: Ints) -> float:
    """Standard error of the mean over parents, by blocks."""
    off = np.bincount(block, weights=gap - gap.mean())
    held = np.bincount(block) > 0
    count = int(held.sum())
    few = count / (count - 1.0) if count > 1 else 0.0
    return sqrt(few * float((off[held] ** 2).sum())) / len(gap)


def block_means(gap: Floats, block: Ints) -> tuple[Floats, Ints]:
    """Mean difference of each block that holds parents, in order, and how many parents that makes so far."""
    sizes = np.bincount(block)
    held = sizes > 0
    means: Floats = np.bincount(block, weights=gap)[held] / sizes[held]
    return means, np.cumsum(sizes[held])


def told_apart(
    found: Difference, drawn: Series, likely: str, guards: Sequence[Guard], *, comparisons: int = 1
) -> tuple[bool, str]:
    """Whether one arm is cheaper, and why or why not. likely: how it is called; comparisons: of which this is one."""
    if found.low is None or found.high is None:
        few = (
            f"{found.blocks} blocks of start time are too few for an interval: {blocks_needed(comparisons)} are needed"
        )
        return False, few
    if found.low <= 0.0 <= found.high:
        return False, "the interval of the difference holds zero"
    if found.p_value is None or found.p_value >= ALPHA:
        return False, "blocks with their signs turned come out as far from zero too often"
    if drawn.low is None or drawn.high is None:
        return False, f"{found.parents} parents are too few for an interval of the differences as a series"
    if drawn.low <= 0.0 <= drawn.high or (drawn.low > 0.0) is not (found.low > 0.0):
        return False, "the interval of the stationary bootstrap is not on one side of zero with it"
    broken = [guard for guard in guards if not guard.holds]
    if broken:
        return False, f"{likely} looks cheaper, but: {'; '.join(guard.says for guard in broken)}"
    return True, f"{likely} is cheaper: both intervals of the difference lie on its side of zero, and all guards hold"
