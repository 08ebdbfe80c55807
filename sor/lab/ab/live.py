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

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.experiment.assignment import arm_of_period
from sor.experiment.bounds import COSTED_MIN, LOOKS_FROM, TAIL, TIGHTEST_AT
from sor.experiment.definition import Arm, By, Experiment
from sor.experiment.running import Running
from sor.lab.ab.adjust import CLUSTERS_MIN, effect
from sor.lab.ab.document import conclusion, estimate_document
from sor.lab.ab.guards import RATIO_LEVEL, Guard, sample_ratio, tail, uniform
from sor.lab.ab.live_rows import Rows, reports_of, rows_of
from sor.lab.ab.paired import ALPHA, Decision, by_winner
from sor.lab.ab.sequential import Looks, asymptotic, e_values, needed
from sor.lab.ab.switchback import Switchback
from sor.lab.bootstrap import block_of
from sor.router import Core
from sor.tca import ParentReport

try:
    from scipy.stats import t as student
except ImportError as error:  # the base install has no scipy: routing compares nothing
    why = "comparing needs scipy, which is not installed; nothing was computed. Install sor[lab]"
    raise CallerError(why) from error

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]

OVERLAP_MAX = 0.2
"""Share of parents that may work beside one of the other arm: more, and arms touch each other."""
PLACEBOS = 200
PERIODS_MIN = 20


class Live(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a comparison of live parents came to; differences are cost(a) - cost(b), bps.

    units        what the coin was thrown for: parents, or periods with a parent that has a cost.
    low, high    95 % interval of one look; None where the design is too small for one. Of several comparisons it holds
                 for all at once, as do the p-value and the sequence.
    looks        the sequence, None without one. counted: (units - 1,) what each coin but the first says of the
                 difference, empty in a switchback with a lag. e_value: evidence of the same coins against none.
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
    counted: Floats
    e_value: float | None
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
    return compare_pair(
        core,
        running,
        (first, second),
        reports_of(core, experiment),
        seed=seed,
        effect_bps=effect_bps,
        margin_bps=margin_bps,
    )


def compare_pair(
    core: Core,
    running: Running,
    arms: tuple[Arm, Arm],
    reports: Mapping[int, ParentReport],
    *,
    seed: int,
    effect_bps: float | None,
    margin_bps: float,
    letters: str = "ab",
    comparisons: int = 1,
) -> Live:
    """Compare two arms. letters: what they are called in words; comparisons: of which this is one.

    reports    `reports_of` the experiment. Raises `CallerError` where no parent of one of them has a cost.
    """
    experiment, (first, second) = running.experiment, arms
    rows = rows_of(core, experiment, first.name, second.name, reports)
    if rows.ours.all() or not rows.ours.any():
        raise CallerError("one arm has no parent with a cost yet; nothing was compared. Let the experiment run on")
    rng = np.random.default_rng([seed, 5])
    by_period, level = experiment.by is By.PERIOD, ALPHA / comparisons
    measured = (
        _by_period(experiment, rows, first.name, rng, level=level) if by_period else _by_parent(rows, rng, level=level)
    )
    effect_of = abs(measured.mean) if effect_bps is None else effect_bps
    likely = Decision.A if measured.mean < 0.0 else Decision.B
    guards = (*_guards(rows, likely, margin_bps, letters=letters, by_period=by_period), *measured.guards)
    same = (first.policy, first.param_set) == (second.policy, second.param_set)
    called = letters[0 if likely is Decision.A else 1]
    clear, why = _decided(measured, called, guards, running, arms, level=level, same=same)
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
        p_value=None if measured.p_value is None else min(1.0, comparisons * measured.p_value),
        explained=measured.explained,
        looks=measured.looks,
        counted=measured.counted,
        e_value=measured.e_value,
        effect_bps=effect_of,
        needed=needed(error=measured.error, count=len(rows.cost), effect=effect_of, alpha=level),
        guards=guards,
        decision=likely if clear else Decision.UNDECIDED,
        why=why,
    )


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
    counted: Floats
    e_value: float | None = None
    guards: tuple[Guard, ...] = ()
    too_small: str = ""


def _by_parent(rows: Rows, rng: np.random.Generator, *, level: float) -> _Measured:
    block = block_of(rows.start_ns, deadline_ns=rows.deadline_ns)
    blocks, units = len(np.unique(block)), len(rows.cost)
    counted = _counted(rows.cost, rows.ours, rows.chance)
    looks, e_value = _looks(counted, level=level), _evidence(counted, level=level)
    if blocks < CLUSTERS_MIN:
        mean = float(rows.cost[rows.ours].mean() - rows.cost[~rows.ours].mean())
        few = (
            f"{blocks} blocks of four deadlines are too few for an error that can be believed: it takes {CLUSTERS_MIN}"
        )
        return _Measured(
            units=units, blocks=blocks, mean=mean, looks=looks, counted=counted, e_value=e_value, too_small=few
        )
    found = effect(rows.cost, rows.ours, rows.known, block)
    reach = reach_of(found.error, blocks, level=level)
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
        counted=counted,
        e_value=e_value,
        guards=(_placebos(rows, block, rng),),
    )


def reach_of(error: float, groups: int, *, level: float = ALPHA) -> float:
    """Half an interval: a standard error by so many groups, at a level."""
    return float(student.ppf(1.0 - 0.5 * level, groups - 1)) * error


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


def by_design(outcome: Floats, ours: Flags, chance: Floats) -> tuple[Floats, Looks | None]:
    """What each coin but the first says of the difference, and the sequence of it; the first only sets the level."""
    counted = _counted(outcome, ours, chance)
    return counted, _looks(counted, level=ALPHA)


def _counted(outcome: Floats, ours: Flags, chance: Floats) -> Floats:
    """What each coin but the first says of the difference, (N - 1,): its outcome less the mean of those before."""
    before = np.cumsum(outcome)[:-1] / np.arange(1, len(outcome))
    off = outcome[1:] - before
    counted: Floats = np.where(ours[1:], off / chance[1:], -off / (1.0 - chance[1:]))
    return counted


def _looks(counted: Floats, *, level: float) -> Looks | None:
    return asymptotic(counted, alpha=level, tightest_at=TIGHTEST_AT) if len(counted) >= LOOKS_FROM else None


def _evidence(counted: Floats, *, level: float) -> float | None:
    if len(counted) < LOOKS_FROM:
        return None
    return float(e_values(counted, alpha=level, tightest_at=TIGHTEST_AT)[-1])


def _by_period(experiment: Experiment, rows: Rows, first: str, rng: np.random.Generator, *, level: float) -> _Measured:
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
    # A coin whose effect lasts speaks of later ones too: then there is no sequence.
    counted = _counted(outcome[seen], arms[seen] == 1, np.full(units, 0.5)) if experiment.lag == 0 else np.zeros(0)
    if not np.isfinite(mean) or units < PERIODS_MIN:
        told = f"{units} periods with a parent are too few: it takes {PERIODS_MIN}, and both arms for a lag"
        known = mean if np.isfinite(mean) else 0.0
        return _Measured(units=units, blocks=periods, mean=known, counted=counted, too_small=told)
    # Had the arms made that difference everywhere, this is how far other throws would have been off.
    alike = outcome - mean * arms
    thrown = design.assign(rng, 2_000)
    spread = design.estimate(alike, thrown)
    error = float(np.nanstd(spread))
    reach = reach_of(error, max(units, 2), level=level)
    return _Measured(
        units=units,
        blocks=periods,
        mean=mean,
        error=error,
        low=mean - reach,
        high=mean + reach,
        p_value=design.p_value(outcome, arms, rng),
        looks=_looks(counted, level=level),
        counted=counted,
        e_value=_evidence(counted, level=level),
    )


def _guards(rows: Rows, likely: Decision, margin_bps: float, *, letters: str, by_period: bool) -> tuple[Guard, ...]:
    ours, theirs = rows.cost[rows.ours], rows.cost[~rows.ours]
    found = [
        Guard(
            name="costed",
            holds=len(rows.cost) >= COSTED_MIN * rows.over,
            says=f"{len(rows.cost)} of {rows.over} parents that are over have a cost",
        ),
        tail(
            *by_winner(ours, theirs, likely=likely),
            winner=letters[0 if likely is Decision.A else 1],
            margin_bps=margin_bps,
            quantile=TAIL,
        ),
    ]
    if not by_period:
        share = rows.expected[0] / sum(rows.expected)
        shares = dict(zip(letters, (share, 1.0 - share), strict=True))
        found.append(sample_ratio(dict(zip(letters, rows.given, strict=True)), shares))
        says = f"{rows.overlapping:.0%} of the parents worked beside one of the other arm; {OVERLAP_MAX:.0%} may"
        found.append(Guard(name="overlap", holds=rows.overlapping <= OVERLAP_MAX, says=says))
    return tuple(found)


def _decided(
    measured: _Measured,
    likely: str,
    guards: Sequence[Guard],
    running: Running,
    arms: tuple[Arm, Arm],
    *,
    level: float,
    same: bool,
) -> tuple[bool, str]:
    """Whether the arm that is likely cheaper, by how it is called, is so, and why or why not."""
    if same:
        return False, "both arms are the same: whatever differs is chance"
    if measured.too_small or measured.low is None or measured.high is None or measured.p_value is None:
        return False, measured.too_small
    looks, lag = measured.looks, running.experiment.lag
    if lag == 0:
        if looks is None:
            return False, f"a sequence that may be watched takes more than {LOOKS_FROM} coins"
        if not (looks.low[-1] > 0.0 or looks.high[-1] < 0.0):
            return False, "the sequence that may be watched holds zero"
    if measured.low <= 0.0 <= measured.high:
        return False, "the interval of the difference holds zero"
    if measured.p_value >= level:
        return False, "coins thrown again come out as far from zero too often"
    broken = [guard for guard in guards if not guard.holds]
    broken += [
        Guard(name="mixture", holds=False, says=f"the param-set of {arm.name} changed while it ran")
        for arm in arms
        if arm.name in running.changed
    ]
    if broken:
        return False, f"{likely} looks cheaper, but: {'; '.join(guard.says for guard in broken)}"
    by = "for one look at the end" if lag else "however often one has looked"
    return True, f"{likely} is cheaper, {by}, and all guards hold"


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
