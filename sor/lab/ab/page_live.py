"""The page of an experiment's live parents: what `sor.lab.ab.live` found, and how to have the dearest explained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sor.experiment.bounds import TAIL
from sor.experiment.definition import Arm, By
from sor.ids import ParentId
from sor.lab.ab.adjust import CLUSTERS_MIN, effect
from sor.lab.ab.figures import Shown
from sor.lab.ab.live import Live, reach_of
from sor.lab.ab.live_rows import COVARIATES, Rows, known_at_arrival
from sor.lab.ab.live_several import LiveSeveral
from sor.lab.ab.page import Course, Flags, Page, Worst, between, group_masks, third_edges, watched, with_interval
from sor.lab.ab.paired import ALPHA, Decision
from sor.lab.ab.sequential import Looks
from sor.lab.bootstrap import block_of
from sor.orders import Side
from sor.parent import Parent

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

Explaining = Callable[[ParentId], str]
"""The command that tells the story of a parent."""

_WORST = 5
AFTERWARDS = (
    "Looked at after the fact, and many rows of it: an interval here that leaves out zero is a question for the next "
    "experiment, not an answer. Size is over what the side that it would take showed at arrival."
)


def page_of_live(live: Live, explaining: Explaining) -> Page:
    """Two arms of an experiment."""
    rows = live.rows
    arms = [
        _shown(letter, arm, rows, chosen)
        for letter, arm, chosen in (("a", live.a, rows.ours), ("b", live.b, ~rows.ours))
    ]
    names = {"a": live.a.name, "b": live.b.name}
    any_look, p_value = watched(live.looks)
    facts = [
        *_arm_facts(arms, rows.given),
        ("cost(a) - cost(b)", f"{live.mean:+.4f} bps"),
        (f"{1 - ALPHA:.0%} interval, one look", between(live.low, live.high)),
        ("p", "-" if live.p_value is None else f"{live.p_value:.4f}"),
        ("parents, coins, blocks", f"{len(rows.cost)}, {live.units}, {live.blocks}"),
        ("known at arrival, of the variance", f"{live.explained:.0%}"),
        ("however often one looks", any_look),
        ("always valid p", p_value),
        (f"parents to see {live.effect_bps:.3f} bps", "-" if live.needed is None else f"{live.needed:,}"),
    ]
    head, groups = _groups([("a", "b", live)])
    return Page(
        title=f"{live.experiment.name}: {live.a.name} against {live.b.name}",
        decision=str(live.decision),
        says=live.decision if live.decision is Decision.UNDECIDED else f"{live.decision} ({names[live.decision]})",
        why=live.why,
        setting=_setting(live),
        facts=facts,
        versus=(),
        guards=[("", guard) for guard in live.guards],
        arms=arms,
        courses=[course_of(live.counted, live.looks, "The difference as it came")],
        units="coins",
        groups_head=head,
        groups=groups,
        groups_note=AFTERWARDS,
        worst=worst_of(arms, explaining),
    )


def page_of_live_several(found: LiveSeveral, explaining: Explaining) -> Page:
    """Several arms of an experiment, the control first; courses and groups are of the comparisons with it."""
    control = [
        (one.first, one.second, live)
        for one, live in zip(found.versus, found.lives, strict=True)
        if one.first == found.letters[0]
    ]
    first = control[0][2].rows
    arms = [
        _shown("a", found.arms[0], first, first.ours),
        *(
            _shown(second, arm, live.rows, ~live.rows.ours)
            for (_, second, live), arm in zip(control, found.arms[1:], strict=True)
        ),
    ]
    names, verdict = {arm.letter: arm.name for arm in arms}, found.verdict
    head, groups = _groups(control)
    return Page(
        title=f"{found.experiment.name}: {' against '.join(names.values())}",
        decision=verdict.decision,
        says=f"{verdict.decision} ({names[verdict.decision]})" if verdict.decision in names else verdict.decision,
        why=verdict.why,
        setting=_setting(found.lives[0]),
        facts=[
            *_arm_facts(arms, found.given),
            ("parents for what is open, of two arms", "-" if verdict.needed is None else f"{verdict.needed:,}"),
        ],
        versus=found.versus,
        guards=[(f"{one.first} - {one.second} ", guard) for one in found.versus for guard in one.guards],
        arms=arms,
        courses=[
            course_of(live.counted, live.looks, f"cost(a) - cost({second}) as it came") for _, second, live in control
        ],
        units="coins",
        groups_head=head,
        groups=groups,
        groups_note=AFTERWARDS,
        worst=worst_of(arms, explaining),
    )


def _setting(live: Live) -> str:
    by = "by parent" if live.experiment.by is By.PARENT else f"a switchback, a coin for {live.experiment.period_s} s"
    return f"Live parents of experiment {live.experiment.name} ({live.experiment.digest}), {by}."


def _shown(letter: str, arm: Arm, rows: Rows, chosen: Flags) -> Shown:
    reports = [one for one, is_ours in zip(rows.reports, chosen, strict=True) if is_ours]
    return Shown(letter=letter, name=arm.name, costs=rows.cost[chosen], reports=reports)


def _arm_facts(arms: Sequence[Shown], given: Sequence[int]) -> list[tuple[str, str]]:
    return [
        (
            f"{arm.label}: given, with a cost, mean, {TAIL:.0%} below",
            f"{count}, {len(arm.costs)}, {arm.costs.mean():+.3f}, {np.quantile(arm.costs, TAIL):+.3f} bps",
        )
        for arm, count in zip(arms, given, strict=True)
    ]


def course_of(counted: Floats, looks: Looks | None, title: str) -> Course:
    """The difference as its coins came; the first of them only sets the level."""
    return Course(title=title, gaps=counted, looks=looks, seen=np.arange(2, len(counted) + 2, dtype=np.int64))


def worst_of(arms: Sequence[Shown], explaining: Explaining) -> list[Worst]:
    """The dearest parents of each arm, with what became of them and the command that tells the rest."""
    found = []
    for arm in arms:
        costed = [(one.arrival_cost_bps, one) for one in arm.reports if one.arrival_cost_bps is not None]
        for cost, one in sorted(costed, key=lambda each: -each[0])[:_WORST]:
            what = f"{one.side.name.lower()} {one.symbol} on {one.venue}, {one.status.value.lower()}"
            came = f"{one.fill_ratio:.0%} filled, {one.orders} orders, {one.timeouts} timeouts, {one.rejects} rejects"
            told = f"{what}: {came}\n{explaining(one.parent_id)}"
            found.append(Worst(letter=arm.letter, parent_id=one.parent_id, cost_bps=cost, told=told))
    return found


def _groups(pairs: Sequence[tuple[str, str, Live]]) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    """Difference of means by side, symbol, and thirds of what was known at arrival; with an interval by block."""
    every = list(dict.fromkeys(parent for _, _, live in pairs for parent in live.rows.parents))
    rows: dict[str, list[str]] = {}
    for at, (_, _, live) in enumerate(pairs):
        mine = live.rows.parents
        cluster = (
            live.rows.period
            if live.experiment.by is By.PERIOD
            else block_of(live.rows.start_ns, deadline_ns=live.rows.deadline_ns)
        )
        for name, chosen in groups_of(mine, every):
            rows.setdefault(name, ["-"] * len(pairs))[at] = _apart(live.rows, chosen, cluster)
    head = ("at arrival", *(f"cost({first}) - cost({second}), bps" for first, second, _ in pairs))
    return head, [(name, *cells) for name, cells in rows.items() if any(cell != "-" for cell in cells)]


def groups_of(parents: Sequence[Parent], every: Sequence[Parent]) -> list[tuple[str, Flags]]:
    """Groups of parents by side, symbol and thirds of what was known at arrival; thirds are those of `every` one."""
    flags = {
        "buys": np.array([parent.side is Side.BUY for parent in parents], np.bool_),
        "sells": np.array([parent.side is Side.SELL for parent in parents], np.bool_),
    }
    symbols = list(dict.fromkeys(parent.instrument.symbol for parent in every))
    for symbol in symbols if len(symbols) > 1 else ():
        flags[symbol] = np.array([parent.instrument.symbol == symbol for parent in parents], np.bool_)
    return group_masks(flags, _measures(parents), third_edges(_measures(every)))


def _measures(parents: Sequence[Parent]) -> Mapping[str, Floats]:
    known = np.array([known_at_arrival(parent) for parent in parents], np.float64).reshape(-1, len(COVARIATES))
    return dict(zip(COVARIATES, known.T, strict=True))


def _apart(rows: Rows, chosen: Flags, cluster: Ints) -> str:
    """The difference within a group and how many parents of either arm are behind it."""
    cost, ours = rows.cost[chosen], rows.ours[chosen]
    if ours.all() or not ours.any():
        return "-"
    mean, low, high = float(cost[ours].mean() - cost[~ours].mean()), None, None
    clusters = len(np.unique(cluster[chosen]))
    if clusters >= CLUSTERS_MIN:
        found = effect(cost, ours, np.zeros((len(cost), 0)), cluster[chosen])
        reach = reach_of(found.error, clusters)
        low, high = mean - reach, mean + reach
    return f"{with_interval(mean, low, high)}, {int(ours.sum())} and {int((~ours).sum())}"
