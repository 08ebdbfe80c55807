"""Several policies on the same parents of recorded markets: every difference of a family, told for all at once.

What `paired` does for two arms, with the draws shared: whole blocks of start time are drawn again, or have their signs
turned, for all arms together, so that what ties the comparisons (the market, and the arm that they have in common) is
in the draws and costs no more than it must; the stationary bootstrap draws the same stretches of time for all arms. A
parent counts where it has a cost under every arm. An arm is cheaper only where both intervals, the randomisation test
and every guard say so. Source: methods 8.1 and 8.2; decisions 0101 and 0108.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.experiment.bounds import COSTED_MIN, LOOKS_FROM, TAIL
from sor.lab.ab.betting import discoveries
from sor.lab.ab.family import LETTERS, UNDECIDED, Family, Verdict, Versus, verdict
from sor.lab.ab.guards import Guard, tail
from sor.lab.ab.paired import ALPHA, SERIES_STREAM, block_error, block_means, blocks_of, in_order, told_apart
from sor.lab.ab.sequential import Looks, asymptotic, e_values, needed
from sor.lab.bootstrap import Difference, blocks_needed, differences
from sor.lab.stationary import Series, series

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_STREAM = 8


class Together(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One market's parents under every arm.

    costs          (P, K) bps against the arrival mid, nan where unknown. start_ns: (P,) when each parent started.
    deadline_ns    how long a parent may live.
    """

    costs: Floats
    start_ns: Ints
    deadline_ns: int


class Several(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a comparison of K arms came to.

    parents, costed    put on the markets, and with a cost under every arm. blocks: of start time.
    costs              (N, K) of the costed parents, in the order of the markets. seen: (L,) parents at each look.
    """

    arms: str
    parents: int
    costed: int
    blocks: int
    versus: tuple[Versus, ...]
    verdict: Verdict
    guards: tuple[Guard, ...]
    costs: Floats
    seen: Ints


def _no_guards(_first: int, _second: int) -> Sequence[Guard]:
    return ()


def compare_together(
    markets: Sequence[Together],
    *,
    family: Family,
    seed: int,
    effect_bps: float | None = None,
    margin_bps: float = 0.0,
    guards: Sequence[Guard] = (),
    own_guards: Callable[[int, int], Sequence[Guard]] = _no_guards,
) -> Several:
    """Compare on all markets together; blocks never reach from one into another.

    effect_bps    the difference worth knowing of, for `needed`; None: of each comparison the one that was seen.
    margin_bps    by how much the tail of a cheaper arm may be worse.
    guards        further ones, of all arms. own_guards: of one comparison, by the numbers of its arms.
    Raises        CallerError where no parent has a cost under every arm, and for fewer than two arms or too many.
    """
    arms = LETTERS[: markets[0].costs.shape[1]]
    pairs = [(arms.index(first), arms.index(second)) for first, second in family.pairs(arms)]
    kept = [np.isfinite(market.costs.sum(axis=1)) for market in markets]
    parents, costed = sum(len(one) for one in kept), int(sum(one.sum() for one in kept))
    if not costed:
        raise CallerError("no parent has a cost under every arm; nothing was compared")
    costs = np.concatenate([market.costs[one] for market, one in zip(markets, kept, strict=True)])
    block, fine = blocks_of(markets, kept), blocks_of(markets, kept, fine=True)
    gaps = np.column_stack([costs[:, first] - costs[:, second] for first, second in pairs])
    found = differences(gaps, block=block, rng=np.random.default_rng([seed, _STREAM]))
    by_time, sizes = in_order(markets, kept)
    drawn = series(gaps[by_time], sizes=sizes, rng=np.random.default_rng([seed, SERIES_STREAM]))
    means, seen = np.array([block_means(gap, fine)[0] for gap in gaps.T]), block_means(gaps[:, 0], fine)[1]
    level, watched = ALPHA / len(pairs), means.shape[1] >= LOOKS_FROM
    evidence = e_values(means, alpha=level, tightest_at=means.shape[1])[:, -1]
    listed = discoveries(evidence, alpha=ALPHA)
    held = (
        Guard(
            name="costed",
            holds=costed >= COSTED_MIN * parents,
            says=f"{costed} of {parents} parents have a cost under every arm",
        ),
        *guards,
    )
    versus = [
        _versus(
            arms[pair[0]],
            arms[pair[1]],
            costs[:, list(pair)],
            found[no],
            drawn[no],
            error=block_error(gaps[:, no], block),
            looks=asymptotic(means[no], alpha=level, tightest_at=means.shape[1]) if watched else None,
            e_value=float(evidence[no]) if watched else None,
            listed=bool(listed[no]),
            seen=seen,
            effect_bps=effect_bps,
            margin_bps=margin_bps,
            guards=held,
            own_guards=own_guards(*pair),
            comparisons=len(pairs),
        )
        for no, pair in enumerate(pairs)
    ]
    return Several(
        arms=arms,
        parents=parents,
        costed=costed,
        blocks=found[0].blocks,
        versus=tuple(versus),
        verdict=verdict(family, arms, versus, leader=arms[int(costs.mean(axis=0).argmin())]),
        guards=held,
        costs=costs,
        seen=seen,
    )


def _versus(
    first: str,
    second: str,
    costs: Floats,
    found: Difference,
    drawn: Series,
    *,
    error: float,
    looks: Looks | None,
    e_value: float | None,
    listed: bool,
    seen: Ints,
    effect_bps: float | None,
    margin_bps: float,
    guards: Sequence[Guard],
    own_guards: Sequence[Guard],
    comparisons: int,
) -> Versus:
    """One comparison. costs: (N, 2)."""
    likely, ours = (first, 0) if found.mean < 0.0 else (second, 1)
    own = (
        tail(costs[:, ours], costs[:, 1 - ours], winner=likely, margin_bps=margin_bps, quantile=TAIL),
        *own_guards,
    )
    clear, why = told_apart(found, drawn, likely, (*guards, *own), comparisons=comparisons)
    look = None if looks is None else looks.stopped_at()
    effect = abs(found.mean) if effect_bps is None else effect_bps
    enough = found.blocks >= blocks_needed(comparisons)
    return Versus(
        first=first,
        second=second,
        parents=len(costs),
        units=found.blocks,
        mean=found.mean,
        low=found.low,
        high=found.high,
        p_value=found.p_value,
        series=drawn,
        looks=looks,
        stopped_at=None if look is None else int(seen[look - 1]),
        e_value=e_value,
        listed=listed,
        effect_bps=effect,
        # Each of so many at once: by Bonferroni, which asks for a few too many rather than too few.
        needed=needed(error=error, count=len(costs), effect=effect, alpha=ALPHA / comparisons) if enough else None,
        guards=own,
        decision=likely if clear else UNDECIDED,
        why=why,
    )
