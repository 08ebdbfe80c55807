"""The page of arms that were replayed: what `sor.lab.ab.run` found, with the stories of the dearest parents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sor.experiment.bounds import TAIL
from sor.ids import ParentId
from sor.lab.ab.family import LETTERS
from sor.lab.ab.figures import Shown
from sor.lab.ab.page import (
    Course,
    Flags,
    Page,
    Rows,
    Worst,
    between,
    group_masks,
    third_edges,
    watched,
    with_interval,
)
from sor.lab.ab.paired import ALPHA, Decision
from sor.lab.ab.run import Ab, AbSeveral, Market
from sor.lab.bootstrap import block_of, difference
from sor.lab.comparison import Comparison
from sor.lab.probes import columns_with_delay
from sor.orders import Side
from sor.units import to_ns

Floats = NDArray[np.float64]

Story = Callable[[Path, ParentId], str]
"""Tells of one parent out of a journal."""

_WORST, _WORST_OF_SEVERAL = 5, 2
"""Parents of each arm whose stories are on the page."""
_STREAM = 5
_AFTERWARDS = (
    "Looked at after the fact, and many rows of it: an interval here that leaves out zero is a question for the next "
    "comparison, not an answer. All parents have the same size: size is over the touch of the side that it would take."
)


def page_of_two(ab: Ab, markets: Sequence[Market], story: Story, *, setting: str) -> Page:
    """Two arms. markets: those of the comparison, in order. setting: what was run."""
    found = ab.found
    gap = found.difference
    arms = _shown((ab.a, ab.b), (found.cost_a, found.cost_b))
    names = {arm.letter: arm.name for arm in arms}
    any_look, p_value = watched(found.looks)
    facts = [
        ("mean of a, of b", f"{found.cost_a.mean():+.3f}, {found.cost_b.mean():+.3f} bps"),
        ("cost(a) - cost(b)", f"{gap.mean:+.4f} bps"),
        (f"{1 - ALPHA:.0%} interval, one look", between(gap.low, gap.high)),
        ("p by turning blocks", "-" if gap.p_value is None else f"{gap.p_value:.4f}"),
        ("the same as a series, by stationary bootstrap", between(found.series.low, found.series.high)),
        ("mean length of its blocks", f"{found.series.block_parents:.1f} parents"),
        (
            "parents, blocks, effective",
            f"{found.costed}, {gap.blocks}, {'-' if found.effective is None else f'{found.effective:.0f}'}",
        ),
        ("however often one looks", any_look),
        ("always valid p", p_value),
        (f"{TAIL:.0%} of parents cost at most", ", ".join(_tail(arm) for arm in arms)),
        (f"parents to see {found.effect_bps:.3f} bps", "-" if found.needed is None else f"{found.needed:,}"),
    ]
    head, groups = _groups((ab.a, ab.b), {"cost(a) - cost(b), bps": (0, 1)}, markets, seed=ab.plan.seed)
    course = Course(
        title="The difference as it came", gaps=found.cost_a - found.cost_b, looks=found.looks, seen=found.seen
    )
    return Page(
        title=" against ".join(names.values()),
        decision=str(found.decision),
        says=found.decision if found.decision is Decision.UNDECIDED else f"{found.decision} ({names[found.decision]})",
        why=found.why,
        setting=setting,
        facts=facts,
        versus=(),
        guards=[("", guard) for guard in found.guards],
        arms=arms,
        courses=[course],
        units="parents",
        groups_head=head,
        groups=groups,
        groups_note=_AFTERWARDS,
        worst=_worst((ab.a, ab.b), story, each=_WORST),
    )


def page_of_several(ab: AbSeveral, markets: Sequence[Market], story: Story, *, setting: str) -> Page:
    """Several arms, the control first; courses and groups are of the comparisons with it."""
    found, verdict = ab.found, ab.found.verdict
    arms = _shown(ab.arms, found.costs.T)
    names = {arm.letter: arm.name for arm in arms}
    facts = [
        *((f"{arm.label}: mean, {TAIL:.0%} below", f"{arm.costs.mean():+.3f}, {_tail(arm)}") for arm in arms),
        ("parents, blocks", f"{found.costed}, {found.blocks}"),
        ("parents for what is open", "-" if verdict.needed is None else f"{verdict.needed:,}"),
    ]
    control = [one for one in found.versus if one.first == found.arms[0]]
    pairs = {f"a - {one.second}, bps": (0, found.arms.index(one.second)) for one in control}
    head, groups = _groups(ab.arms, pairs, markets, seed=ab.plan.seed)
    return Page(
        title=" against ".join(names.values()),
        decision=verdict.decision,
        says=f"{verdict.decision} ({names[verdict.decision]})" if verdict.decision in names else verdict.decision,
        why=verdict.why,
        setting=setting,
        facts=facts,
        versus=found.versus,
        guards=[
            *(("", guard) for guard in found.guards),
            *((f"{one.first} - {one.second} ", guard) for one in found.versus for guard in one.guards),
        ],
        arms=arms,
        courses=[
            Course(
                title=f"cost(a) - cost({one.second}) as it came",
                gaps=found.costs[:, 0] - found.costs[:, found.arms.index(one.second)],
                looks=one.looks,
                seen=found.seen,
            )
            for one in control
        ],
        units="parents",
        groups_head=head,
        groups=groups,
        groups_note=_AFTERWARDS,
        worst=_worst(ab.arms, story, each=_WORST_OF_SEVERAL),
    )


def _shown(arms: Sequence[Sequence[Comparison]], costs: Sequence[Floats] | Floats) -> list[Shown]:
    return [
        Shown(
            letter=letter,
            name=runs[0].outcomes[0].policy,
            costs=cost,
            reports=[one for run in runs for one in run.outcomes[0].reports],
        )
        for letter, runs, cost in zip(LETTERS, arms, costs, strict=False)
    ]


def _tail(arm: Shown) -> str:
    return f"{np.quantile(arm.costs, TAIL):+.3f} bps"


def _worst(arms: Sequence[Sequence[Comparison]], story: Story, *, each: int) -> list[Worst]:
    """The dearest parents of each arm, dearest first, with their stories."""
    found = []
    for letter, runs in zip(LETTERS, arms, strict=False):
        costed = [
            (one.arrival_cost_bps, one.parent_id, run.outcomes[0].journal)
            for run in runs
            for one in run.outcomes[0].reports
            if one.arrival_cost_bps is not None
        ]
        for cost, parent_id, journal in sorted(costed, key=lambda one: -one[0])[:each]:
            told = story(journal, parent_id)
            found.append(Worst(letter=letter, parent_id=parent_id, cost_bps=cost, told=told))
    return found


def _groups(
    arms: Sequence[Sequence[Comparison]],
    pairs: Mapping[str, tuple[int, int]],
    markets: Sequence[Market],
    *,
    seed: int,
) -> tuple[Sequence[str], Rows]:
    """Differences by side, and by thirds of spread, volatility and size at arrival."""
    buys: list[Flags] = []
    measures: dict[str, list[Floats]] = {"spread_bps": [], "volatility": [], "size over touch": []}
    costs, blocks, before = [], [], 0
    for runs, market in zip(zip(*arms, strict=True), markets, strict=True):
        columns, drawn = columns_with_delay(market.tape, 0), runs[0].drawn
        starts = np.array([start.at_ns for start in drawn.starts], np.int64)
        buy = np.array([start.side is Side.BUY for start in drawn.starts])
        touch = np.where(buy, columns.values("ask_touch_lots", starts), columns.values("bid_touch_lots", starts))
        measures["spread_bps"].append(columns.values("spread_bps", starts))
        measures["volatility"].append(columns.values("volatility", starts))
        measures["size over touch"].append(runs[0].instrument.lots(drawn.quantity) / np.maximum(touch, 1.0))
        buys.append(buy)
        costs.append(np.column_stack([one.outcomes[0].costs_bps for one in runs]))
        own = block_of(starts, deadline_ns=to_ns(runs[0].plan.deadline_s))
        blocks.append(own + before)
        before += int(own.max()) + 1
    cost, block, side = np.concatenate(costs), np.concatenate(blocks), np.concatenate(buys)
    there = np.isfinite(cost).all(axis=1)
    known = {name: np.concatenate(parts) for name, parts in measures.items()}
    rows = []
    for name, chosen in group_masks({"buys": side, "sells": ~side}, known, third_edges(known)):
        kept = chosen & there
        if not kept.any():
            continue
        cells = []
        for first, second in pairs.values():
            rng = np.random.default_rng([seed, _STREAM])
            found = difference(ours=cost[kept, first], theirs=cost[kept, second], block=block[kept], rng=rng)
            cells.append(with_interval(found.mean, found.low, found.high))
        rows.append((name, str(int(kept.sum())), *cells))
    return ("at arrival", "parents", *pairs), rows
