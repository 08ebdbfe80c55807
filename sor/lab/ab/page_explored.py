"""The page of parents that explored: what `sor.lab.ab.explored` found, by each estimator of logged propensities."""

from __future__ import annotations

import numpy as np

from sor.experiment.bounds import TAIL
from sor.lab.ab.explored import Explored, Way, part_of
from sor.lab.ab.figures import Shown
from sor.lab.ab.offpolicy import DRAWS, differences
from sor.lab.ab.page import Flags, Forest, Page, between, watched, with_interval
from sor.lab.ab.page_live import AFTERWARDS, Explaining, course_of, groups_of, worst_of
from sor.lab.ab.paired import Decision
from sor.lab.charts import Span

_STREAM = 7
_GROUP_MIN = 10
"""Parents of each way without which a group has a mean and no interval."""
_DIFFERENCE = 2
NAMES = {"ips": "IPS", "snips": "SNIPS", "dr": "doubly robust"}
_UNWEIGHTED = (
    "Costs of a way are those of the parents that went it, in the charts below without weights: where the chance was "
    "not the same for all of them the estimates above hold, not the look of the charts."
)


def page_of_explored(found: Explored, explaining: Explaining, *, seed: int = 0) -> Page:
    """A policy's own way and the others."""
    arms = [_shown(way, found) for way in found.ways]
    says = {way.letter: way.says for way in found.ways}
    any_look, p_value = watched(found.looks)
    decided = found.decision is not Decision.UNDECIDED
    return Page(
        title=f"{found.policy}: its own way against the others",
        decision=str(found.decision),
        says=f"{found.decision} ({says[found.decision]})" if decided else found.decision,
        why=found.why,
        setting=f"{len(found.cost)} parents of {found.policy} that had a choice, by logged chances. {_UNWEIGHTED}",
        facts=[
            *(row for way, arm in zip(found.ways, arms, strict=True) for row in _way_facts(way, arm)),
            *(
                (f"cost(a) - cost(b), {NAMES[name]}, one look", f"{with_interval(one.mean, one.low, one.high)} bps")
                for name, one in found.estimates.items()
            ),
            ("however often one looks", any_look),
            ("always valid p", p_value),
            ("however often, by betting alone", between(float(found.bets.low[-1]), float(found.bets.high[-1]))),
            (f"parents to see {found.effect_bps:.3f} bps", "-" if found.needed is None else f"{found.needed:,}"),
        ],
        versus=(),
        guards=[("", guard) for guard in found.guards],
        arms=arms,
        courses=[course_of(found.counted, found.looks, "The difference as it came")],
        units="parents",
        groups_head=("at arrival", "cost(a) - cost(b), bps, doubly robust"),
        groups=_groups(found, seed=seed),
        groups_note=AFTERWARDS,
        worst=worst_of(arms, explaining),
        forests=_forests(found),
    )


def _shown(way: Way, found: Explored) -> Shown:
    reports = [one for one, went in zip(found.reports, way.went, strict=True) if went]
    return Shown(letter=way.letter, name=way.says.partition(",")[0], costs=found.cost[way.went], reports=reports)


def _way_facts(way: Way, arm: Shown) -> list[tuple[str, str]]:
    chance = way.log.weight[way.went] ** -1.0
    weighs = (
        f"{chance.min():.3f} to {chance.max():.3f}, {way.weights.effective:.1f}, "
        f"{way.weights.most:.2f}, {way.weights.mean:.3f}"
    )
    told = ", ".join(f"{NAMES[name]} {value:+.4f}" for name, value in way.bps.items())
    return [
        (f"{arm.label}: parents, {TAIL:.0%} below", f"{len(arm.costs)}, {np.quantile(arm.costs, TAIL):+.3f} bps"),
        (f"{way.letter}: chance, effective parents, largest and mean weight", weighs),
        (f"{way.letter}: mean cost, bps", told),
    ]


def _forests(found: Explored) -> list[Forest]:
    means = []
    for series, way in enumerate(found.ways):
        for name, value in way.bps.items():
            interval = way.intervals.get(name)
            low, high = (None, None) if interval is None else (interval.low, interval.high)
            means.append(Span(name=f"{way.letter}, {NAMES[name]}", at=value, low=low, high=high, series=series))
    apart = [
        Span(name=NAMES[name], at=one.mean, low=one.low, high=one.high, series=_DIFFERENCE)
        for name, one in found.estimates.items()
    ]
    return [
        Forest(title="cost(a) - cost(b) by estimator", rows=apart),
        Forest(title="Mean cost of each way by estimator", rows=means),
    ]


def _groups(found: Explored, *, seed: int) -> list[tuple[str, str]]:
    """The doubly robust difference within each group, and how many parents of either way are behind it."""
    rows = []
    for name, chosen in groups_of(found.parents, found.parents):
        told = _apart(found, chosen, seed=seed)
        if told:
            rows.append((name, told))
    return rows


def _apart(found: Explored, chosen: Flags, *, seed: int) -> str:
    ours, theirs = (int((way.went & chosen).sum()) for way in found.ways)
    if not ours or not theirs:
        return ""
    first, second = (part_of(way.log, chosen) for way in found.ways)
    one = differences(first, second, np.random.default_rng([seed, _STREAM]), draws=DRAWS)["dr"]
    enough = min(ours, theirs) >= _GROUP_MIN
    low, high = (one.low, one.high) if enough else (None, None)
    return f"{with_interval(one.mean, low, high)}, {ours} and {theirs}"
