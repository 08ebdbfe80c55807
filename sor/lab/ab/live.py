"""Whether one arm of an experiment is cheaper than another, from the live parents of a journal.

By parent: regression with interactions on what was known at arrival (spread, volatility, size over depth), with errors
by block of time (`adjust.effect`). By period: the self-normalised switchback estimator, and the coins thrown again. In
both the arms' chances are those that the journal holds with each parent, and costs are intention to treat, cut at the
experiment's limits.

A winner needs the sequence, which holds however often one looked, on its side of zero, the estimate too, and every
guard. The sequence is by design, as the experiment's own guard: each coin's outcome, less the mean of those before,
over the chance. A switchback with a lag has none, as one coin's periods speak of another's; there the exact test has to
do, for one look at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.experiment.assignment import arm_of_period
from sor.experiment.bounds import LOOKS_FROM, TIGHTEST_AT
from sor.experiment.definition import Arm, By, Experiment
from sor.experiment.keeper import outcome_of
from sor.experiment.running import Running
from sor.lab.ab.adjust import CLUSTERS_MIN, effect
from sor.lab.ab.document import conclusion, estimate_document
from sor.lab.ab.guards import RATIO_LEVEL, Guard, sample_ratio, tail, uniform
from sor.lab.ab.paired import ALPHA, COSTED_MIN, TAIL, Decision, by_winner
from sor.lab.ab.sequential import Looks, asymptotic, needed
from sor.lab.ab.switchback import Switchback
from sor.lab.bootstrap import block_of
from sor.parent import Parent
from sor.router import Core
from sor.units import to_ns

try:
    from scipy.stats import t as student
except ImportError as error:  # the base install has no scipy: routing compares nothing
    why = "comparing needs scipy, which is not installed; nothing was computed. Install sor[lab]"
    raise CallerError(why) from error

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]

COVARIATES = ("spread_bps", "volatility", "size")
OVERLAP_MAX = 0.2
"""Share of parents that may work beside one of the other arm: more, and arms touch each other."""
PLACEBOS = 200
PERIODS_MIN = 20


class Rows(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """N parents of the two arms that are over and have a cost, in the order in which they were given arms.

    cost         (N,) bps. ours: (N,) whether of arm a. chance: (N,) of arm a among the two.
    start_ns     (N,). period: (N,), -1 by parent. known: (N, C) from before the arm was drawn.
    over         parents of both arms that are over, with a cost or without. given: parents of each arm.
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


class Live(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a comparison of live parents came to; differences are cost(a) - cost(b), bps.

    units        what the coin was thrown for: parents, or periods with a parent that has a cost.
    low, high    95 % interval of one look; None where the design is too small for one.
    explained    share of the variance that was known at arrival, 0 in a switchback.
    """

    experiment: Experiment
    a: Arm
    b: Arm
    design: str
    rows: Rows
    units: int
    blocks: int
    mean: float
    low: float | None
    high: float | None
    p_value: float | None
    explained: float
    looks: Looks | None
    effect_bps: float
    needed: int | None
    guards: tuple[Guard, ...]
    decision: Decision
    why: str


def compare_live(
    core: Core,
    running: Running,
    *,
    a: str | None,
    b: str | None,
    seed: int = 0,
    effect_bps: float | None = None,
    margin_bps: float = 0.0,
) -> Live:
    """Compare two arms of an experiment; by default the first two.

    Raises `CallerError` for arms that there are not, and where no parent of one of them has a cost.
    """
    experiment = running.experiment
    arms = {arm.name: arm for arm in experiment.arms}
    first, second = (arms.get(a or experiment.arms[0].name), arms.get(b or experiment.arms[1].name))
    if first is None or second is None or first is second:
        raise CallerError(f"{experiment.name} has the arms {', '.join(arms)}; nothing was compared. Name two of them")
    rows = rows_of(core, experiment, first.name, second.name)
    if rows.ours.all() or not rows.ours.any():
        raise CallerError("one arm has no parent with a cost yet; nothing was compared. Let the experiment run on")
    rng = np.random.default_rng([seed, 5])
    measured = _by_period(experiment, rows, first.name, rng) if experiment.by is By.PERIOD else _by_parent(rows, rng)
    effect_of = abs(measured.mean) if effect_bps is None else effect_bps
    likely = Decision.A if measured.mean < 0.0 else Decision.B
    guards = (*_guards(rows, likely, margin_bps, by_period=experiment.by is By.PERIOD), *measured.guards)
    same = (first.policy, first.param_set) == (second.policy, second.param_set)
    decision, why = _decided(measured, likely, guards, running, (first, second), same=same)
    return Live(
        experiment=experiment,
        a=first,
        b=second,
        design="switchback" if experiment.by is By.PERIOD else "parents",
        rows=rows,
        units=measured.units,
        blocks=measured.blocks,
        mean=measured.mean,
        low=measured.low,
        high=measured.high,
        p_value=measured.p_value,
        explained=measured.explained,
        looks=measured.looks,
        effect_bps=effect_of,
        needed=needed(error=measured.error, count=len(rows.cost), effect=effect_of, alpha=ALPHA),
        guards=guards,
        decision=decision,
        why=why,
    )


def rows_of(core: Core, experiment: Experiment, a: str, b: str) -> Rows:
    """The parents of two arms, those given one while both took parents."""
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
    costs = [outcome_of(parent, core).cost_bps for parent, _ in mine]
    kept = [at for at, cost in enumerate(costs) if cost is not None]
    cut = float(experiment.guards.cut_bps)
    total = given[a] + given[b]
    return Rows(
        cost=np.clip(np.array([costs[at] for at in kept], np.float64), -cut, cut),
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
    )


def _arm(parent: Parent) -> str:
    return "" if parent.assigned is None else parent.assigned.arm


def _known(parent: Parent) -> tuple[float, float, float]:
    """What was known at arrival, in the order of `COVARIATES`; nan where it was not."""
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
    known = np.array([_known(parent) for parent in parents], np.float64).reshape(len(parents), len(COVARIATES))
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


class _Measured(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What an estimator says."""

    units: int
    blocks: int
    mean: float
    error: float = 0.0
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    explained: float = 0.0
    looks: Looks | None = None
    guards: tuple[Guard, ...] = ()
    too_small: str = ""


def _by_parent(rows: Rows, rng: np.random.Generator) -> _Measured:
    block = block_of(rows.start_ns, deadline_ns=rows.deadline_ns)
    blocks, units = len(np.unique(block)), len(rows.cost)
    looks = by_design(rows.cost, rows.ours, rows.chance)
    if blocks < CLUSTERS_MIN:
        mean = float(rows.cost[rows.ours].mean() - rows.cost[~rows.ours].mean())
        few = (
            f"{blocks} blocks of four deadlines are too few for an error that can be believed: it takes {CLUSTERS_MIN}"
        )
        return _Measured(units=units, blocks=blocks, mean=mean, looks=looks, too_small=few)
    found = effect(rows.cost, rows.ours, rows.known, block)
    reach = float(student.ppf(1.0 - 0.5 * ALPHA, blocks - 1)) * found.error
    p_value = 2.0 * float(student.sf(abs(found.mean) / found.error, blocks - 1)) if found.error > 0.0 else 1.0
    return _Measured(
        units=units,
        blocks=blocks,
        mean=found.mean,
        error=found.error,
        low=found.mean - reach,
        high=found.mean + reach,
        p_value=p_value,
        explained=found.explained,
        looks=looks,
        guards=(_placebos(rows, block, rng),),
    )


def _placebos(rows: Rows, block: Ints, rng: np.random.Generator) -> Guard:
    """The same analysis with arms that nobody traded: its p-values must be uniform, or it finds what is not there."""
    p_values = []
    for _ in range(PLACEBOS):
        drawn = rng.random(len(rows.cost)) < rows.chance
        if drawn.all() or not drawn.any():
            continue
        found = effect(rows.cost, drawn, rows.known, block)
        if found.error > 0.0:
            p_values.append(2.0 * float(student.sf(abs(found.mean) / found.error, found.clusters - 1)))
    p_value = uniform(np.array(p_values)) if p_values else 1.0
    says = f"{len(p_values)} draws of arms that nobody traded give uniform p-values (p = {p_value:.3g})"
    return Guard(name="a_a", holds=p_value >= RATIO_LEVEL, says=says)


def by_design(outcome: Floats, ours: Flags, chance: Floats) -> Looks | None:
    """The sequence by design, coin after coin; the first only sets the level."""
    if len(outcome) <= LOOKS_FROM:
        return None
    before = np.cumsum(outcome)[:-1] / np.arange(1, len(outcome))
    off = outcome[1:] - before
    counted = np.where(ours[1:], off / chance[1:], -off / (1.0 - chance[1:]))
    return asymptotic(counted, alpha=ALPHA, tightest_at=TIGHTEST_AT)


def _by_period(experiment: Experiment, rows: Rows, first: str, rng: np.random.Generator) -> _Measured:
    """Periods in order, those without a parent left empty; their arms are thrown again from the salt."""
    periods = int(rows.period.max()) + 1
    sums = np.bincount(rows.period, weights=rows.cost, minlength=periods)
    sizes = np.bincount(rows.period, minlength=periods)
    with np.errstate(invalid="ignore", divide="ignore"):
        outcome = sums / sizes
    arms = np.array([arm_of_period(experiment, period) == first for period in range(periods)], np.int8)
    seen = sizes > 0
    units = int(seen.sum())
    design = Switchback.every(experiment.coin_periods, periods, lag=experiment.lag)
    mean = float(design.estimate(outcome, arms[np.newaxis])[0])
    if not np.isfinite(mean) or units < PERIODS_MIN:
        told = f"{units} periods with a parent are too few: it takes {PERIODS_MIN}, and both arms for a lag"
        return _Measured(units=units, blocks=periods, mean=mean if np.isfinite(mean) else 0.0, too_small=told)
    # Had the arms made that difference everywhere, this is how far other throws would have been off.
    level = outcome - mean * arms
    thrown = design.assign(rng, 2_000)
    spread = design.estimate(level, thrown)
    error = float(np.nanstd(spread))
    reach = float(student.ppf(1.0 - 0.5 * ALPHA, max(units - 1, 1))) * error
    looks = by_design(outcome[seen], arms[seen] == 1, np.full(units, 0.5)) if experiment.lag == 0 else None
    return _Measured(
        units=units,
        blocks=periods,
        mean=mean,
        error=error,
        low=mean - reach,
        high=mean + reach,
        p_value=design.p_value(outcome, arms, rng),
        looks=looks,
    )


def _guards(rows: Rows, likely: Decision, margin_bps: float, *, by_period: bool) -> tuple[Guard, ...]:
    ours, theirs = rows.cost[rows.ours], rows.cost[~rows.ours]
    found = [
        Guard(
            name="costed",
            holds=len(rows.cost) >= COSTED_MIN * rows.over,
            says=f"{len(rows.cost)} of {rows.over} parents that are over have a cost",
        ),
        tail(*by_winner(ours, theirs, likely=likely), winner=likely, margin_bps=margin_bps, quantile=TAIL),
    ]
    if not by_period:
        share = rows.expected[0] / sum(rows.expected)
        found.append(sample_ratio(dict(zip("ab", rows.given, strict=True)), {"a": share, "b": 1.0 - share}))
        says = f"{rows.overlapping:.0%} of the parents worked beside one of the other arm; {OVERLAP_MAX:.0%} may"
        found.append(Guard(name="overlap", holds=rows.overlapping <= OVERLAP_MAX, says=says))
    return tuple(found)


def _decided(
    measured: _Measured,
    likely: Decision,
    guards: Sequence[Guard],
    running: Running,
    arms: tuple[Arm, Arm],
    *,
    same: bool,
) -> tuple[Decision, str]:
    undecided = Decision.UNDECIDED
    if same:
        return undecided, "both arms are the same: whatever differs is chance"
    if measured.too_small or measured.low is None or measured.high is None or measured.p_value is None:
        return undecided, measured.too_small
    looks, lag = measured.looks, running.experiment.lag
    if lag == 0:
        if looks is None:
            return undecided, f"a sequence that may be watched takes more than {LOOKS_FROM} coins"
        if not (looks.low[-1] > 0.0 or looks.high[-1] < 0.0):
            return undecided, "the sequence that may be watched holds zero"
    if measured.low <= 0.0 <= measured.high:
        return undecided, "the interval of the difference holds zero"
    if measured.p_value >= ALPHA:
        return undecided, "coins thrown again come out as far from zero too often"
    broken = [guard for guard in guards if not guard.holds]
    broken += [
        Guard(name="mixture", holds=False, says=f"the param-set of {arm.name} changed while it ran")
        for arm in arms
        if arm.name in running.changed
    ]
    if broken:
        return undecided, f"{likely} looks cheaper, but: {'; '.join(guard.says for guard in broken)}"
    by = "for one look at the end" if lag else "however often one has looked"
    return likely, f"{likely} is cheaper, {by}, and all guards hold"


def live_document(live: Live) -> dict[str, object]:
    """The `--json` document, of the same form as that of the other designs."""
    rows = live.rows
    costs = {"a": rows.cost[rows.ours], "b": rows.cost[~rows.ours]}
    return {
        "design": live.design,
        **{
            name: {
                "arm": arm.name,
                "policy": arm.policy,
                "param_set": arm.param_set,
                "given": given,
                "costed": len(costs[name]),
                "mean_bps": float(costs[name].mean()),
            }
            for name, arm, given in zip("ab", (live.a, live.b), rows.given, strict=True)
        },
        "experiment": live.experiment.name,
        "n": len(rows.cost),
        "units": live.units,
        "blocks": live.blocks,
        "estimate_bps": estimate_document(
            live.mean, live.low, live.high, p_value=live.p_value, explained=live.explained
        ),
        **conclusion(
            looks=live.looks,
            stopped_at=None if live.looks is None else live.looks.stopped_at(),
            decision=live.decision,
            why=live.why,
            effect_bps=live.effect_bps,
            needed=live.needed,
            costs=costs,
            guards=live.guards,
        ),
    }
