"""Whether `cost_aware` with fitted models beats `maker_first` with a fixed timeout: the same parents under every arm.

    python -m benchmarks.placement --part synthetic|busy|slow|wide|bitstamp|perpetual [--hours N] [--json]

Design
- What is scored is never what was fitted: other seeds of a made-up market, later hours of a recording, another date.
- All arms meet the same parents: start times, sides, size, deadline, delays and fees (maker 2 bps, taker 5 bps). A
  parent that ends unfilled is completed by crossing, so patience is not flattered.
- Differences are paired, and their intervals are a block bootstrap over start time (`sor.lab.bootstrap`); markets of
  several seeds are pooled block by block, as no block reaches from one into another.
- The oracle rests at the touch if that order will be filled by the deadline, else crosses at arrival: nobody can do
  that. Its saving over `cross` is what an arm's saving is a share of.
- An arm that rests for a fixed time is `maker_first@tN`: the base set with another `placement.timeout_s_max`.

Same arguments, same figures. Tapes and journals go to a scratch directory.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from math import inf, nan
from pathlib import Path
from typing import TypedDict, Unpack

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.lab.bootstrap import Difference, Interval, block_of, difference, interval
from sor.lab.calibrate import calibrate
from sor.lab.calibration import Calibration, CalibrationPlan
from sor.lab.importers import Terms, import_recording
from sor.lab.order_hits import NEVER
from sor.lab.probes import columns_with_delay
from sor.lab.publish import param_set_of
from sor.lab.queue_fills import Orders, QueueFills
from sor.lab.recorder import record_market
from sor.lab.replay import Comparison, Plan, Replayer, tape_ground
from sor.params import ParamSet, ParamStore, parse
from sor.plugins import Plugins
from sor.tape import Tape, open_whole, save_tape
from sor.units import BPS, MS, to_ns

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Progress = Callable[[str], None]

BASE = "baseline"
DAY = "2026-11-21"
TIMEOUTS_S = (1, 5, 15, 60)
MAKER_BPS, TAKER_BPS = 2, 5
LATENCY = "20ms~0.3"
LATENCY_NS = 20 * MS
FEED_NS = 5 * MS
"""Of market data, as the recorded venue has it unless told otherwise."""
BUDGET_BPS = 5.0
"""The excursion budget that the tail is held against; the parents themselves have none."""
FIXED = tuple(f"maker_first@t{timeout_s}" for timeout_s in TIMEOUTS_S)
UNFITTED, FITTED, BOLD = "cost_aware@unfitted", "cost_aware@fitted", "cost_aware@bold"
"""`bold` begins on the improve rung: it rests a tick inside the touch wherever there is room, or crosses."""
_Z_LEVEL, _Z_POWER = 1.959963984540054, 0.8416212335729143
"""Two-sided 5 %, and a power of 80 %."""


class Scene(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One market that is scored.

    tape, path        of it. from_s, until_s: of its time, counted from its beginning; by default all but the warm-up.
    fitted            the set that was fitted elsewhere; None: every horizon was refused, and its arms are left out.
    """

    tape: Tape
    path: Path
    fitted: ParamSet | None
    from_s: float = 0.0
    until_s: float | None = None


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """How parents are put on the scenes.

    parents      on each scene. deadline_s: of each. block_s: the shortest block of time.
    spread_bps   `placement.calm_spread_max` of every arm. stale_ms: `market.stale_ms_max` likewise.
    arms         beside `cross`, the fixed timeouts and `cost_aware`, as `sor.lab.replay.Plan` names them.
    """

    deadline_s: float
    queue: str
    parents: int
    block_s: float = 0.0
    seed: int = 11
    latency: str = LATENCY
    spread_bps: float = 5.0
    stale_ms: float = 3_000.0
    arms: tuple[str, ...] = ()


class ArmScore(msgspec.Struct, frozen=True, kw_only=True):
    """One arm over all scenes. Costs in bps against the arrival mid.

    saved           against `cross`, paired. captured: the share of the oracle's saving.
    p95             of the cost. excess_p95: of what it cost more than `cross`, parent by parent.
    """

    arm: str
    cost: Interval
    saved: Difference
    captured: float
    p95: float
    excess_p95: float
    passive_share: float
    requotes: float
    timeouts: int
    fallbacks: int


class Against(msgspec.Struct, frozen=True, kw_only=True):
    """One arm's cost less that of a fixed timeout, the same parents; negative is cheaper."""

    arm: str
    fixed: str
    difference: Difference

    @property
    def verdict(self) -> str:
        """What the interval says."""
        low, high = self.difference.low, self.difference.high
        if low is None or high is None or low <= 0.0 <= high:
            return "undecided"
        return "cheaper" if high < 0.0 else "dearer"


class Tail(msgspec.Struct, frozen=True, kw_only=True):
    """The tail rule for one arm: no worse than the fixed timeout with the nearest mean, and within the budget."""

    arm: str
    nearest: str
    p95: float
    nearest_p95: float
    excess_p95: float
    budget_bps: float

    @property
    def met(self) -> bool:
        """Whether both hold."""
        return self.p95 <= self.nearest_p95 + 1e-9 and self.excess_p95 <= self.budget_bps


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a study on some scenes.

    parents, broken    broken: overfills, orphans, double and missed fills in the venue's own books; must be 0.
    """

    name: str
    deadline_s: float
    queue: str
    spread_bps: float
    parents: int
    quantity: str
    broken: int
    arms: tuple[ArmScore, ...]
    against: tuple[Against, ...]
    tails: tuple[Tail, ...]


# --- one scene --------------------------------------------------------------------------------------------------------


def base_set() -> ParamSet:
    """What every arm reads but for what makes it that arm."""
    return ParamStore().get(BASE, now_ns=0)


def changed(base: ParamSet, family: str, values: Mapping[str, float]) -> ParamSet:
    """A set with other values for some of its unscoped parameters, under another name."""
    records = []
    for record in base.records:
        content = record.model_dump(mode="json", exclude_defaults=True)
        if record.id in values and not content.get("scope"):
            content["value"] = f"{values[record.id]:g}"
        records.append(content)
    content = {
        "format": 1,
        "set_id": f"{family}/{DAY}",
        "note": f"as {base.set_id} with {', '.join(f'{name}={value:g}' for name, value in values.items())}",
        "records": records,
    }
    if base.evidence != type(base.evidence)():
        content["evidence"] = base.evidence.model_dump(mode="json", exclude_defaults=True)
    return parse(json.dumps(content), where=family)


def sets_of(scene: Scene, study: Study) -> dict[str, ParamSet]:
    """The sets of all arms by the names that arms give them."""
    market = {"placement.calm_spread_max": study.spread_bps, "market.stale_ms_max": study.stale_ms}
    base = changed(base_set(), "base", market)
    sets = {BASE: base}
    for timeout_s in TIMEOUTS_S:
        sets[f"t{timeout_s}"] = changed(base, f"t{timeout_s}", {"placement.timeout_s_max": timeout_s})
    patient = {"placement.timeout_s_max": study.deadline_s, "placement.risk_weight": 0.0}
    sets["patient"] = changed(base, "patient", patient)
    sets["unfitted"] = changed(base, "unfitted", patient)
    if scene.fitted is not None:
        sets["fitted"] = changed(scene.fitted, "fitted", {**patient, **market})
        sets["bold"] = changed(sets["fitted"], "bold", {"ladder.rest.until": 0.0, "ladder.join.until": 0.0})
    return sets


def compare(scene: Scene, study: Study, runs: Path, *, seed: int, sets: Mapping[str, ParamSet]) -> Comparison:
    """Every arm on one scene."""
    arms = ["cross", *FIXED, *study.arms, UNFITTED]
    if scene.fitted is not None:
        arms += [FITTED, BOLD]
    plan = Plan(
        policies=tuple(arms),
        parents=study.parents,
        seed=seed,
        deadline_s=study.deadline_s,
        queue=study.queue,
        latency=study.latency,
        param_set=BASE,
    )
    ground = tape_ground(scene.tape, scene.path, plan)
    ground = msgspec.structs.replace(
        ground,
        ready_ns=max(ground.ready_ns, ground.first_ns + to_ns(scene.from_s)),
        end_ns=ground.end_ns if scene.until_s is None else ground.first_ns + to_ns(scene.until_s),
        options={**ground.options, "maker_fee_bps": str(MAKER_BPS), "taker_fee_bps": str(TAKER_BPS)},
    )
    replayer = Replayer.installed(plan, ground, sets=sets, runs=runs)
    return replayer.run(progress=lambda label, ended: None)


def oracle_bps(tape: Tape, comparison: Comparison, crossing: Floats, *, deadline_s: float, queue: str) -> Floats:
    """(P,) cost of each parent that knew: the touch if an order there is filled by the deadline, else crossing."""
    columns = columns_with_delay(tape, FEED_NS)
    starts = np.array([start.at_ns for start in comparison.drawn.starts], np.int64)
    side = np.array([int(start.side) for start in comparison.drawn.starts], np.int8)
    row = columns.group_local_ns.searchsorted(starts, "right") - 1
    bid, ask = (touch[row, 0].astype(np.int64) for touch in (columns.bid_ticks, columns.ask_ticks))
    price = np.where(side > 0, bid, ask)
    instrument = comparison.instrument
    lots = np.full(len(starts), instrument.lots(comparison.drawn.quantity), np.int64)
    until_ns = starts + to_ns(deadline_s)
    orders = Orders(side, price, lots, starts + LATENCY_NS, until_ns)
    fates = QueueFills(tape, columns, queue=queue).fates(orders)
    filled = ~fates.refused & (fates.filled_ns < NEVER)
    mid = (bid + ask) / 2.0
    resting = BPS * side * (price - mid) / mid + MAKER_BPS
    return np.where(filled, np.minimum(resting, crossing), crossing)


class Pool:
    """Costs of all scenes, one after the other."""

    def __init__(self) -> None:
        self.costs: dict[str, list[Floats]] = {}
        self.block: list[Ints] = []
        self.blocks = 0
        self.broken = 0
        self.counts: dict[str, list[tuple[float, int, int, int]]] = {}
        self.quantities: list[str] = []

    def add(self, scene: Scene, comparison: Comparison, study: Study) -> None:
        costs = {
            outcome.policy: np.array(
                [nan if one.arrival_cost_bps is None else one.arrival_cost_bps for one in outcome.reports]
            )
            for outcome in comparison.outcomes
        }
        costs["oracle"] = oracle_bps(
            scene.tape, comparison, costs["cross"], deadline_s=study.deadline_s, queue=study.queue
        )
        known = np.all([np.isfinite(one) for one in costs.values()], axis=0)
        starts = np.array([start.at_ns for start in comparison.drawn.starts], np.int64)
        length_ns = max(to_ns(study.deadline_s), to_ns(study.block_s / 4.0))
        block = block_of(starts, deadline_ns=length_ns)
        for arm, values in costs.items():
            self.costs.setdefault(arm, []).append(values[known])
        self.block.append(block[known] + self.blocks)
        self.blocks += int(block.max()) + 1
        for outcome in comparison.outcomes:
            verdict = outcome.verdict
            self.broken += sum(1 for one in outcome.reports if one.end_reason == "policy_fault")
            self.broken += verdict.overfills + verdict.orphans + verdict.double_fills + verdict.missed_fills
            shares = [one.passive_share for one in outcome.reports if one.passive_share is not None]
            self.counts.setdefault(outcome.policy, []).append(
                (
                    float(np.mean(shares)) if shares else 0.0,
                    sum(one.requotes for one in outcome.reports),
                    sum(one.timeouts for one in outcome.reports),
                    sum(one.fallbacks for one in outcome.reports),
                )
            )
        self.quantities.append(str(comparison.drawn.quantity))

    def cost(self, arm: str) -> Floats:
        joined: Floats = np.concatenate(self.costs[arm])
        return joined

    def score(self, name: str, study: Study) -> Score:
        block = np.concatenate(self.block)
        cross, oracle = self.cost("cross"), self.cost("oracle")
        arms = []
        for arm in self.costs:
            costs = self.cost(arm)
            counts = np.array(self.counts.get(arm, [(nan, 0, 0, 0)]))
            saving = float((cross - oracle).mean())
            arms.append(
                ArmScore(
                    arm=arm,
                    cost=interval(costs, block, self._rng(study, 2)),
                    saved=difference(ours=cross, theirs=costs, block=block, rng=self._rng(study, 3)),
                    captured=float((cross - costs).mean()) / saving if saving else 0.0,
                    p95=float(np.quantile(costs, 0.95)),
                    excess_p95=float(np.quantile(costs - cross, 0.95)),
                    passive_share=float(counts[:, 0].mean()),
                    requotes=float(counts[:, 1].sum()) / len(costs),
                    timeouts=int(counts[:, 2].sum()),
                    fallbacks=int(counts[:, 3].sum()),
                )
            )
        ours = [arm for arm in self.costs if arm not in ("cross", "oracle", *FIXED)]
        against = [
            Against(
                arm=arm,
                fixed=fixed,
                difference=difference(
                    ours=self.cost(arm), theirs=self.cost(fixed), block=block, rng=self._rng(study, 4)
                ),
            )
            for arm in ours
            for fixed in FIXED
        ]
        by_name = {one.arm: one for one in arms}
        tails = []
        for arm in ours:
            one = by_name[arm]
            nearest = min(FIXED, key=lambda fixed: abs(by_name[fixed].cost.mean - one.cost.mean))
            tails.append(
                Tail(
                    arm=arm,
                    nearest=nearest,
                    p95=one.p95,
                    nearest_p95=by_name[nearest].p95,
                    excess_p95=one.excess_p95,
                    budget_bps=BUDGET_BPS,
                )
            )
        return Score(
            name=name,
            deadline_s=study.deadline_s,
            queue=study.queue,
            spread_bps=study.spread_bps,
            parents=len(cross),
            quantity=", ".join(dict.fromkeys(self.quantities)),
            broken=self.broken,
            arms=tuple(arms),
            against=tuple(against),
            tails=tuple(tails),
        )

    def hours_needed(self, arm: str, fixed: str, *, hours: float) -> float:
        """Hours for a power of 80 % to tell the difference seen here from none, by the spread of its blocks."""
        gap = self.cost(arm) - self.cost(fixed)
        block = np.concatenate(self.block)
        mean = float(gap.mean())
        sums = np.bincount(block, weights=gap - mean)
        error = float(np.sqrt((sums**2).sum())) / len(gap)
        return hours * ((_Z_LEVEL + _Z_POWER) * error / mean) ** 2 if mean else inf

    @staticmethod
    def _rng(study: Study, stream: int) -> np.random.Generator:
        return np.random.default_rng([study.seed, stream])


class FitTerms(TypedDict, total=False):
    """What a calibration may be told beside its tapes and horizons, see `CalibrationPlan`."""

    from_s: float
    until_s: float
    holdout: float
    queue: str


# --- markets ----------------------------------------------------------------------------------------------------------


def made_up(where: Path, name: str, *, seed: int, seconds: float, options: Mapping[str, str]) -> tuple[Tape, Path]:
    """A tape of the zero-intelligence market."""
    path = where / f"{name}-{seed}-{seconds:g}"
    if not path.exists():
        venue = Plugins.installed().venue("simulated")
        made = record_market(venue, {"book_ms": "0", "feed": "0", "seed": str(seed), **options}, seconds=seconds)
        save_tape(made.tape, path, source=(), importer=made.importer, findings=made.findings)
    return open_whole(path), path


def fit(
    tapes: Sequence[Tape],
    horizons_s: tuple[float, ...],
    say: Progress,
    **terms: Unpack[FitTerms],
) -> ParamSet | None:
    """Calibrate what was recorded and say what was admitted; None where every horizon was refused."""
    instrument = tapes[0].instrument
    plan = CalibrationPlan(
        venue=instrument.venue, symbol=instrument.symbol, horizons_s=horizons_s, latency_ns=LATENCY_NS, **terms
    )
    found = calibrate(tapes, plan, say)
    say(_admitted(found))
    if found.fitted is None:
        return None
    return param_set_of(found, base_set(), set_id=f"fitted/{DAY}")[0]


# --- the parts --------------------------------------------------------------------------------------------------------

SYNTHETIC: Mapping[str, Mapping[str, str]] = {
    "busy": {},
    "slow": {"zi.mu": "0.4", "zi.alpha": "0.02", "zi.delta": "0.03"},
}
"""Made-up markets: the venue's own, and one with a tenth of its takers."""
FIT_HOURS: Mapping[str, int] = {"busy": 1, "slow": 6}
"""Of market to fit on, a seed an hour: two of the slow one were refused, as they forecast worse than Kaplan-Meier."""
WIDE: Mapping[str, str] = {"zi.mu": "1", "zi.alpha": "0.002", "zi.delta": "0.05", "zi.window": "4000"}
"""A spread of about 200 ticks, 3 bps."""
SPREADS_BPS = (2.0, 5.0, 15.0, 50.0)
"""Spread thresholds that are tried on tuning markets; 50 is the invariant's."""
QUEUES = ("risk_averse", "moderate")
HOUR_S = 3_600.0
FIT_SEED, TUNE_SEED, SCORE_SEED = 101, 201, 301
"""First of the seeds of each use; none is shared."""
RECORDINGS = Path("shared/data")


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """Where things lie and who is told. hours: of made-up market to score; parents: an hour of it; queues: in turn."""

    scratch: Path
    data: Path
    say: Progress
    hours: int = 2
    parents: int = 250
    queues: tuple[str, ...] = QUEUES


def score(name: str, scenes: Sequence[Scene], study: Study, desk: Desk) -> Score:
    """All arms on all scenes, pooled."""
    return pooled(name, scenes, study, desk).score(name, study)


def pooled(name: str, scenes: Sequence[Scene], study: Study, desk: Desk) -> Pool:
    """What all arms cost on all scenes."""
    pool = Pool()
    for at, scene in enumerate(scenes):
        desk.say(f"{name}: {scene.tape.name}, deadline {study.deadline_s:g} s, queue {study.queue}")
        sets = sets_of(scene, study)
        pool.add(scene, compare(scene, study, desk.scratch / "runs", seed=study.seed + at, sets=sets), study)
    return pool


def synthetic(desk: Desk, name: str) -> list[Score]:
    """One made-up market: both deadlines, both queues."""
    options = SYNTHETIC[name]
    hours = range(FIT_HOURS[name])
    fits = [made_up(desk.scratch, name, seed=FIT_SEED + at, seconds=HOUR_S, options=options)[0] for at in hours]
    fitted = fit(fits, (1.0, 5.0, 15.0), desk.say)
    scenes = [_scored(desk, name, options, SCORE_SEED + at, fitted) for at in range(desk.hours)]
    scores = []
    for deadline_s in (15.0, 60.0):
        for queue in desk.queues:
            study = Study(deadline_s=deadline_s, queue=queue, parents=desk.parents)
            scores.append(score(name, scenes, study, desk))
    return scores


def power(desk: Desk, name: str) -> dict[str, float]:
    """Hours that each comparison of `cost_aware` needs at 60 s, from an hour of tuning market."""
    options = SYNTHETIC[name]
    tape = made_up(desk.scratch, name, seed=FIT_SEED, seconds=HOUR_S, options=options)[0]
    fitted = fit([tape], (1.0, 5.0), desk.say)
    pool = pooled(
        name,
        [_scored(desk, name, options, TUNE_SEED, fitted)],
        Study(deadline_s=60.0, queue=QUEUES[0], parents=desk.parents),
        desk,
    )
    if FITTED not in pool.costs:
        return {}
    return {fixed: pool.hours_needed(FITTED, fixed, hours=1.0) for fixed in FIXED}


def wide(desk: Desk) -> list[Score]:
    """The wide market: the threshold is chosen on a tuning seed, and every threshold is scored."""
    fits = [made_up(desk.scratch, "wide", seed=FIT_SEED + at, seconds=HOUR_S, options=WIDE)[0] for at in range(3)]
    fitted = fit(fits, (1.0, 5.0, 15.0), desk.say)
    study = Study(deadline_s=60.0, queue=QUEUES[0], parents=desk.parents)
    best = chosen([_scored(desk, "wide", WIDE, TUNE_SEED, fitted)], study, desk)
    scenes = [_scored(desk, "wide", WIDE, SCORE_SEED + at, fitted) for at in range(desk.hours)]
    return [
        score("wide", scenes, msgspec.structs.replace(study, queue=queue, spread_bps=best), desk)
        for queue in desk.queues
    ]


def bitstamp(desk: Desk) -> list[Score]:
    """Order by order: fitted on hours 1 to 6 by exact queues, scored on 6 to 12; blocks of ten minutes or more."""
    tape, path = recorded(desk, "bitstamp", ("bitstamp-l3-20150501/bitstamp_btcusd_l3_h00-12.log.xz",))
    terms: FitTerms = {"from_s": HOUR_S, "until_s": 6 * HOUR_S, "holdout": 0.1, "queue": "exact"}
    fitted = fit([tape], (15.0, 60.0), desk.say, **terms)
    study = Study(deadline_s=60.0, queue=QUEUES[0], parents=200, block_s=600.0, stale_ms=10_000.0)
    tuning = Scene(tape=tape, path=path, fitted=fitted, from_s=HOUR_S, until_s=6 * HOUR_S)
    best = chosen([tuning], study, desk)
    scene = Scene(tape=tape, path=path, fitted=fitted, from_s=6 * HOUR_S)
    scores = []
    for deadline_s in (60.0, 300.0):
        for queue in desk.queues:
            own = msgspec.structs.replace(study, deadline_s=deadline_s, queue=queue, spread_bps=best)
            scores.append(score("bitstamp", [scene], own, desk))
    return scores


def perpetual(desk: Desk) -> list[Score]:
    """The two dates of the perpetual, each fitted on the other."""
    dates = {
        "2024-07-18": (
            "binance-20240718-btc/usdm_btcusdt_20240718.gz",
            "binance-20240718-btc/usdm_btcusdt_20240719.gz",
        ),
        "2024-08-08": ("binance-20240808-btc/usdm_btcusdt_20240808.gz",),
    }
    tapes = {date: recorded(desk, f"usdm-{date}", files) for date, files in dates.items()}
    scores = []
    for date, (tape, path) in tapes.items():
        others = [other for name, (other, _) in tapes.items() if name != date]
        desk.say(f"fitting for {date}")
        fitted = fit(others, (1.0, 5.0, 15.0, 60.0), desk.say)
        scene = Scene(tape=tape, path=path, fitted=fitted)
        for deadline_s in (15.0, 60.0):
            for queue in desk.queues:
                study = Study(deadline_s=deadline_s, queue=queue, parents=150)
                scores.append(score(date, [scene], study, desk))
    return scores


def chosen(scenes: Sequence[Scene], study: Study, desk: Desk) -> float:
    """The spread threshold with which `cost_aware` is cheapest on tuning markets."""
    costs = {}
    for spread_bps in SPREADS_BPS:
        pool = pooled("tuning", scenes, msgspec.structs.replace(study, spread_bps=spread_bps, seed=5), desk)
        costs[spread_bps] = float(pool.cost(FITTED if FITTED in pool.costs else UNFITTED).mean())
    desk.say("spread threshold, bps: " + ", ".join(f"{at:g} costs {cost:.3f}" for at, cost in costs.items()))
    return min(costs, key=lambda spread_bps: costs[spread_bps])


def recorded(desk: Desk, name: str, files: Sequence[str]) -> tuple[Tape, Path]:
    """A recording as a tape."""
    path = desk.scratch / name
    if not path.exists():
        missing = [file for file in files if not (desk.data / file).exists()]
        if missing:
            raise CallerError(f"{desk.data} lacks {', '.join(missing)}; nothing was scored. Name the folder by --data")
        import_recording([desk.data / file for file in files], path, terms=Terms(), progress=lambda read: None)
    return open_whole(path), path


def _scored(desk: Desk, name: str, options: Mapping[str, str], seed: int, fitted: ParamSet | None) -> Scene:
    tape, path = made_up(desk.scratch, name, seed=seed, seconds=HOUR_S, options=options)
    return Scene(tape=tape, path=path, fitted=fitted)


def _admitted(found: Calibration) -> str:
    refused = "; ".join(f"{one.horizon_s:g} s: {one.reason}" for one in found.refusals)
    upto = "nothing was admitted" if found.fitted is None else f"admitted up to {found.fitted.horizon_s:g} s"
    return f"{upto}. Refused: {refused or 'nothing'}"


# --- what people read -------------------------------------------------------------------------------------------------


def shown(found: Score) -> str:
    """The tables of one score."""
    title = (
        f"{found.name}: {found.parents:,} parents of {found.quantity}, deadline {found.deadline_s:g} s, "
        f"queue {found.queue}, spread to {found.spread_bps:g} bps, broken {found.broken}"
    )
    head = (
        f"{'arm':<22}{'cost':>8}{'95 %':>18}{'saved':>8}{'captured':>10}{'p95':>8}{'excess':>8}{'passive':>9}"
        f"{'moves':>7}{'t/o':>6}{'fall':>6}"
    )
    arms = [
        f"{one.arm:<22}{one.cost.mean:>8.3f}{_within(one.cost.low, one.cost.high):>18}{one.saved.mean:>8.3f}"
        f"{one.captured:>10.1%}{one.p95:>8.3f}{one.excess_p95:>8.3f}{one.passive_share:>9.1%}"
        f"{one.requotes:>7.2f}{one.timeouts:>6}{one.fallbacks:>6}"
        for one in found.arms
    ]
    against = [
        f"  {one.arm} - {one.fixed}: {one.difference.mean:+.4f} "
        f"{_within(one.difference.low, one.difference.high)} ({one.difference.blocks} blocks) {one.verdict}"
        for one in found.against
    ]
    tails = [
        f"  tail of {one.arm}: p95 {one.p95:.3f}, {one.nearest} {one.nearest_p95:.3f}; excess p95 "
        f"{one.excess_p95:.3f} of {one.budget_bps:g}: {'met' if one.met else 'not met'}"
        for one in found.tails
    ]
    return "\n".join([title, head, *arms, *against, *tails])


def _within(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:+.3f}..{high:+.3f}"


PARTS: Mapping[str, Callable[[Desk], list[Score]]] = {
    "busy": lambda desk: synthetic(desk, "busy"),
    "slow": lambda desk: synthetic(desk, "slow"),
    "wide": wide,
    "bitstamp": bitstamp,
    "perpetual": perpetual,
}


def main(argv: Sequence[str] | None = None) -> None:
    """`python -m benchmarks.placement`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.placement", description="Compare placement policies.")
    parser.add_argument("--part", choices=(*PARTS, "synthetic"), required=True, help="synthetic: busy and slow")
    parser.add_argument("--hours", type=int, default=2, help="of each made-up market to score, one seed an hour")
    parser.add_argument("--queue", choices=QUEUES, action="append", help="how own places move; default: both in turn")
    parser.add_argument("--power", action="store_true", help="only say how many hours each comparison needs")
    parser.add_argument("--data", type=Path, default=RECORDINGS, help="folder of the recordings")
    parser.add_argument("--scratch", type=Path, help="keeps tapes and journals; default: forgotten at the end")
    parser.add_argument("--json", action="store_true", help="the scores for programs")
    asked = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as forgotten:
        scratch = asked.scratch or Path(forgotten)
        scratch.mkdir(parents=True, exist_ok=True)
        desk = Desk(
            scratch=scratch,
            data=asked.data,
            say=lambda line: print(line, file=sys.stderr, flush=True),
            hours=asked.hours,
            queues=tuple(asked.queue or QUEUES),
        )
        names = tuple(SYNTHETIC) if asked.part == "synthetic" else (asked.part,)
        if asked.power:
            print(json.dumps({name: power(desk, name) for name in names if name in SYNTHETIC}, indent=2))
            return
        scores = [one for name in names for one in PARTS[name](desk)]
    if asked.json:
        print(msgspec.json.encode(scores).decode())
    else:
        print("\n\n".join(shown(one) for one in scores))


if __name__ == "__main__":
    main()
