"""The parents of an experiment as a table: what each was given, what it cost, and what was known before.

Costs are intention to treat, cut at the experiment's limits; chances are those that the journal holds with each parent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.experiment.definition import Experiment
from sor.parent import Parent
from sor.records import record_of
from sor.router import Core
from sor.tca import ParentReport, report
from sor.units import to_ns

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]

COVARIATES = ("spread_bps", "volatility", "size")


class Rows(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """N parents of the two arms that are over and have a cost, in the order in which they were given arms.

    cost         (N,) bps. ours: (N,) whether of arm a. chance: (N,) of arm a among the two.
    start_ns     (N,). period: (N,), -1 by parent. known: (N, C) from before the arm was drawn.
    over         parents of both arms that are over, with a cost or without. given: parents of each arm.
    reports      (N) of TCA. parents: (N) as the core has them.
    overlapping  share of parents that worked beside one of the other arm on the same market.
    deadline_ns  the longest.
    """

    cost: Floats
    ours: Flags
    chance: Floats
    start_ns: Ints
    period: Ints
    known: Floats
    over: int
    given: tuple[int, int]
    expected: tuple[float, float]
    overlapping: float
    deadline_ns: int
    reports: tuple[ParentReport, ...]
    parents: tuple[Parent, ...]


def reports_of(core: Core, experiment: Experiment) -> dict[int, ParentReport]:
    """What parents of an experiment that are over have cost, by their numbers; without what contradicts itself."""
    return reported(
        core,
        (
            parent
            for parent in core.parents
            if _arm(parent) and parent.ended and parent.assigned and parent.assigned.experiment == experiment.name
        ),
    )


def reported(core: Core, parents: Iterable[Parent]) -> dict[int, ParentReport]:
    """What parents that are over have cost, by their numbers; without what contradicts itself."""
    found = {}
    for parent in parents:
        with suppress(CallerError):
            found[parent.no] = report(record_of(parent, core))
    return found


def costed(
    parents: Sequence[Parent], reports: Mapping[int, ParentReport], *, cut_bps: float
) -> tuple[list[int], Floats, tuple[ParentReport, ...]]:
    """Places of the parents that have a cost, these costs cut at so many bps either way, and their reports."""
    kept, costs, told = [], [], []
    for at, parent in enumerate(parents):
        one = reports.get(parent.no)
        if one is not None and one.arrival_cost_bps is not None:
            kept.append(at)
            costs.append(one.arrival_cost_bps)
            told.append(one)
    return kept, np.clip(np.array(costs, np.float64), -cut_bps, cut_bps), tuple(told)


def rows_of(core: Core, experiment: Experiment, a: str, b: str, reports: Mapping[int, ParentReport]) -> Rows:
    """The parents of two arms, those given one while both took parents. reports: `reports_of` the experiment."""
    mine: list[tuple[Parent, float]] = []
    periods: list[int] = []
    given: Counter[str] = Counter()
    expected: Counter[str] = Counter()
    for parent in core.parents:
        assigned = parent.assigned
        if assigned is None or assigned.experiment != experiment.name or assigned.arm not in (a, b):
            continue
        chances = dict(assigned.chances)
        if a not in chances or b not in chances:
            continue
        chance = chances[a] / (chances[a] + chances[b])
        given[assigned.arm] += 1
        expected[a] += chance  # type: ignore[assignment]  # a share of a parent
        if parent.ended:
            mine.append((parent, chance))
            periods.append(assigned.period)
    kept, cost, told = costed([parent for parent, _ in mine], reports, cut_bps=float(experiment.guards.cut_bps))
    total = given[a] + given[b]
    return Rows(
        cost=cost,
        ours=np.array([_arm(mine[at][0]) == a for at in kept], np.bool_),
        chance=np.array([mine[at][1] for at in kept], np.float64),
        start_ns=np.array([mine[at][0].accepted_ns for at in kept], np.int64),
        period=np.array([periods[at] for at in kept], np.int64),
        known=known_of([mine[at][0] for at in kept]),
        over=len(mine),
        given=(given[a], given[b]),
        expected=(float(expected[a]), total - float(expected[a])),
        overlapping=_overlapping([parent for parent, _ in mine]),
        deadline_ns=max((to_ns(parent.order.deadline_s) for parent, _ in mine), default=0),
        reports=told,
        parents=tuple(mine[at][0] for at in kept),
    )


def _arm(parent: Parent) -> str:
    return "" if parent.assigned is None else parent.assigned.arm


def known_at_arrival(parent: Parent) -> tuple[float, float, float]:
    """What was known at arrival, in the order of `COVARIATES`; nan where it was not.

    The size is the logarithm of what was asked for over what the side that it would take showed.
    """
    market = parent.arrival_market
    if market is None or market.features is None:
        return (np.nan, np.nan, np.nan)
    shown = sum(lots for _, lots in market.ladder(parent.side))
    size = np.log(parent.instrument.lots(parent.order.quantity) / shown) if shown else np.nan
    features = market.features
    return (_number(features.spread_bps), _number(features.volatility), float(size))


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


def known_of(parents: Sequence[Parent]) -> Floats:
    """What was known at arrival, (N, C): what was not has the mean, and columns that say nothing are left out."""
    known = np.array([known_at_arrival(parent) for parent in parents], np.float64).reshape(
        len(parents), len(COVARIATES)
    )
    columns = []
    for column in known.T:
        seen = np.isfinite(column)
        if seen.any() and np.ptp(column[seen]) > 0.0:
            columns.append(np.where(seen, column, column[seen].mean()))
    return np.column_stack(columns) if columns else np.zeros((len(known), 0))


def _overlapping(parents: Sequence[Parent]) -> float:
    """Share of parents that worked while one of the other arm did, on the same market."""
    touched: set[int] = set()
    working: dict[tuple[str, str], list[Parent]] = {}
    for parent in sorted(parents, key=lambda one: (one.accepted_ns, one.no)):
        key = (parent.venue, parent.instrument.symbol)
        beside = [one for one in working.get(key, []) if one.ended_ns > parent.accepted_ns]
        others = [one.no for one in beside if _arm(one) != _arm(parent)]
        touched.update(others)
        if others:
            touched.add(parent.no)
        working[key] = [*beside, parent]
    return len(touched) / len(parents) if parents else 0.0
