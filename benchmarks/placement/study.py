"""What is compared: markets, how parents are put on them, and the param-set of every arm."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from sor.lab.comparison import Comparison
from sor.lab.plan import Plan, tape_ground
from sor.lab.replay import Replayer
from sor.params import ParamSet, ParamStore, parse
from sor.tape import Tape
from sor.units import MS, to_ns

BASE = "baseline"
DAY = "2026-11-21"
TIMEOUTS_S = (1, 5, 15, 60)
MAKER_BPS, TAKER_BPS = 2, 5
LATENCY = "20ms~0.3"
LATENCY_NS = 20 * MS
CROSS = "cross"
FIXED_PREFIX = "maker_first@t"
FIXED = tuple(f"{FIXED_PREFIX}{timeout_s}" for timeout_s in TIMEOUTS_S)
"""Fixed waits of every comparison; `fixed_of` has those of one."""
OTHERS = ("calm_market@patient", "join_and_cross@scaled", "market_limit_qvi@scaled")
UNFITTED, FITTED, TUNED = "cost_aware@unfitted", "cost_aware@fitted", "cost_aware@tuned"
CAREFUL = "cost_aware@careful"
RUNGS: Mapping[str, Mapping[str, float]] = {
    "rest": {},
    "join": {"ladder.rest.until": 0.0},
    "improve": {"ladder.rest.until": 0.0, "ladder.join.until": 0.0},
}
"""Where the ladder may begin. On `rest` it chooses among all prices by cost, on `improve` it rests at the maker price
or crosses."""


class Scene(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One market that is scored.

    tape, path        of it. from_s, until_s: of its time, counted from its beginning; by default all but the warm-up.
    fitted            the set that was fitted elsewhere; None: every horizon was refused, and its arms are left out.
    scales            what `join_and_cross` and `market_limit_qvi` assume, fitted elsewhere too.
    """

    tape: Tape
    path: Path
    fitted: ParamSet | None
    scales: Mapping[str, float] = msgspec.field(default_factory=dict)
    from_s: float = 0.0
    until_s: float | None = None


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """How parents are put on the scenes.

    parents      on each scene. deadline_s: of each. block_s: the shortest block of time.
    budget_bps   excursion budget of each.
    spread_bps   `placement.calm_spread_max` of every arm. stale_ms: `market.stale_ms_max` likewise.
    rung         of `RUNGS`, on which the ladder of `TUNED` begins; None: nothing was tuned, and there is no such arm.
    patience     share of the time in which `CAREFUL`, which is `TUNED` otherwise, may rest; None: there is no such arm.
    """

    deadline_s: float
    queue: str
    parents: int
    block_s: float = 0.0
    seed: int = 11
    latency: str = LATENCY
    budget_bps: float
    spread_bps: float = 5.0
    stale_ms: float = 3_000.0
    rung: str | None = None
    patience: float | None = None


def timeouts_of(deadline_s: float) -> tuple[int, ...]:
    """Fixed waits for parents of this deadline, s: `TIMEOUTS_S`, and the deadline itself where it is longer."""
    return TIMEOUTS_S if deadline_s <= TIMEOUTS_S[-1] else (*TIMEOUTS_S, int(deadline_s))


def fixed_of(deadline_s: float) -> tuple[str, ...]:
    """The arms that rest for a fixed time, the shortest first."""
    return tuple(f"{FIXED_PREFIX}{timeout_s}" for timeout_s in timeouts_of(deadline_s))


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
    for timeout_s in timeouts_of(study.deadline_s):
        sets[f"t{timeout_s}"] = changed(base, f"t{timeout_s}", {"placement.timeout_s_max": timeout_s})
    # Means are compared, so whoever weighs risk is told that it costs nothing; and time is the deadline for all.
    patient = {"placement.timeout_s_max": study.deadline_s, "placement.risk_weight": 0.0}
    horizons = {"split.horizon_s": study.deadline_s, "qvi.horizon_s": study.deadline_s, "qvi.tracking_bps": 0.0}
    sets["patient"] = changed(base, "patient", patient)
    sets["scaled"] = changed(base, "scaled", {**patient, **horizons, **scene.scales})
    sets["unfitted"] = changed(base, "unfitted", patient)
    if scene.fitted is not None:
        sets["fitted"] = changed(scene.fitted, "fitted", {**patient, **market})
        if study.rung is not None:
            sets["tuned"] = changed(sets["fitted"], "tuned", RUNGS[study.rung])
            if study.patience is not None:
                until = {f"ladder.{rung}.until": study.patience for rung in RUNGS}
                sets["careful"] = changed(sets["fitted"], "careful", {**until, **RUNGS[study.rung]})
    return sets


def arms_of(scene: Scene, study: Study, *, brief: bool = False) -> tuple[str, ...]:
    """Every arm on a scene; brief: without the other policies and what nobody fitted."""
    fitted: tuple[str, ...] = ()
    if scene.fitted is not None:
        tuned = () if study.rung is None else (TUNED,) if study.patience is None else (TUNED, CAREFUL)
        fitted = (FITTED, *tuned)
    fixed = fixed_of(study.deadline_s)
    return (CROSS, *fixed, *fitted) if brief else (CROSS, *fixed, *OTHERS, UNFITTED, *fitted)


def compare(scene: Scene, study: Study, runs: Path, arms: Sequence[str]) -> Comparison:
    """Some arms on one scene."""
    plan = Plan(
        policies=tuple(arms),
        parents=study.parents,
        seed=study.seed,
        deadline_s=study.deadline_s,
        queue=study.queue,
        latency=study.latency,
        excursion_bps=study.budget_bps,
        param_set=BASE,
    )
    ground = tape_ground(scene.tape, scene.path, plan)
    ground = msgspec.structs.replace(
        ground,
        ready_ns=max(ground.ready_ns, ground.first_ns + to_ns(scene.from_s)),
        end_ns=ground.end_ns if scene.until_s is None else ground.first_ns + to_ns(scene.until_s),
        options={**ground.options, "maker_fee_bps": str(MAKER_BPS), "taker_fee_bps": str(TAKER_BPS)},
    )
    replayer = Replayer.installed(plan, ground, sets=sets_of(scene, study), runs=runs)
    return replayer.run(progress=lambda label, ended: None)
