"""The parts of the comparison: what each is fitted, tuned and scored on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict, Unpack

import msgspec
import numpy as np

from benchmarks.placement.markets import BITSTAMP, HOUR_S, MADE_UP, PERPETUAL, made_up, recorded
from benchmarks.placement.scales import budget_of, scales_of
from benchmarks.placement.scores import Pool, Score, Tuning, costs_of
from benchmarks.placement.study import (
    CAREFUL,
    CROSS,
    DAY,
    FITTED,
    LATENCY_NS,
    RUNGS,
    TUNED,
    UNFITTED,
    Scene,
    Study,
    arms_of,
    base_set,
    compare,
    fixed_of,
)
from benchmarks.placement.tails import tail_of
from sor.lab.calibrate import calibrate
from sor.lab.calibration import Calibration, CalibrationPlan
from sor.lab.publish import param_set_of
from sor.params import ParamSet
from sor.tape import Tape

Progress = Callable[[str], None]

FIT_HOURS: Mapping[str, int] = {"busy": 1, "slow": 6, "wide": 3}
"""Of market to fit on, a seed an hour: two of the slow one were refused, as they forecast worse than Kaplan-Meier."""
SPREADS_BPS = (2.0, 5.0, 15.0, 50.0)
"""Spread thresholds that are tried on tuning markets; 50 is the invariant's."""
QUEUES = ("risk_averse", "moderate")
DEADLINES_S = (15.0, 60.0)
"""Of parents on made-up markets."""
FIT_SEED, TUNE_SEED, SCORE_SEED = 101, 201, 401
"""First of the seeds of each use; none is shared."""
TUNE_PARENTS = 200
"""On each tuning market, at most."""
TUNE_PARENTS_SEED = 5
PATIENCES = (0.6, 0.4, 0.2)
"""Shares of the time that are tried, the longest first, where the tail is missed on what is not scored."""


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """Where things lie and who is told.

    hours         of made-up market to score. parents: an hour of it. queues, deadlines_s: in turn.
    brief         only `cross`, the fixed waits and the fitted arms, for the many hours that a close comparison asks.
    """

    scratch: Path
    data: Path
    say: Progress
    hours: int = 4
    parents: int = 250
    queues: tuple[str, ...] = QUEUES
    deadlines_s: tuple[float, ...] = DEADLINES_S
    brief: bool = False


class FitTerms(TypedDict, total=False):
    """What a calibration may be told beside its tapes and horizons, see `CalibrationPlan`."""

    from_s: float
    until_s: float
    holdout: float
    queue: str


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


def pooled(name: str, scenes: Sequence[Scene], study: Study, desk: Desk) -> Pool:
    """What all arms cost on all scenes."""
    pool = Pool()
    for at, scene in enumerate(scenes):
        desk.say(f"{name}: {scene.tape.name}, deadline {study.deadline_s:g} s, queue {study.queue}")
        own = msgspec.structs.replace(study, seed=study.seed + at)
        arms = arms_of(scene, study, brief=desk.brief)
        pool.add(scene, compare(scene, own, desk.scratch / "runs", arms), study)
    return pool


def tuned(scenes: Sequence[Scene], study: Study, desk: Desk) -> tuple[Study, Tuning | None]:
    """The study with the spread threshold and the first rung with which `cost_aware` is cheapest on tuning markets.

    First the threshold, with the whole ladder, then the rung; without a fitted set nothing is tuned.
    """
    if any(scene.fitted is None for scene in scenes):
        return study, None
    study = msgspec.structs.replace(study, rung=next(iter(RUNGS)))

    def costs(**asked: float | str) -> float:
        parents = min(study.parents, TUNE_PARENTS)
        own = msgspec.structs.replace(study, parents=parents, seed=TUNE_PARENTS_SEED, **asked)
        found = [costs_of(compare(scene, own, desk.scratch / "runs", (TUNED,)))[TUNED] for scene in scenes]
        return float(np.nanmean(np.concatenate(found)))

    spreads = {spread_bps: costs(spread_bps=spread_bps) for spread_bps in SPREADS_BPS}
    best = min(spreads, key=lambda spread_bps: spreads[spread_bps])
    study = msgspec.structs.replace(study, spread_bps=best)
    rungs = {rung: costs(rung=rung) for rung in RUNGS}
    tuning = Tuning(spreads={f"{spread_bps:g}": cost for spread_bps, cost in spreads.items()}, rungs=rungs)
    desk.say(f"tuning at {study.deadline_s:g} s: {tuning}")
    return msgspec.structs.replace(study, rung=min(rungs, key=lambda rung: rungs[rung])), tuning


def careful(scene: Scene, study: Study, desk: Desk) -> Study:
    """The study with the longest patience by which the tail is met on a market that is not scored.

    There is none where `TUNED` meets it with all the time, and where no share that is tried meets it.
    """
    own = msgspec.structs.replace(study, seed=TUNE_PARENTS_SEED)
    fixed = fixed_of(study.deadline_s)
    costs = costs_of(compare(scene, own, desk.scratch / "runs", (CROSS, *fixed, TUNED)))
    for patience in (None, *PATIENCES):
        arm = TUNED
        if patience is not None:
            arm = CAREFUL
            own = msgspec.structs.replace(own, patience=patience)
            costs |= costs_of(compare(scene, own, desk.scratch / "runs", (CAREFUL,)))
        known = np.all([np.isfinite(one) for one in costs.values()], axis=0)
        tail = tail_of(
            arm,
            {name: values[known] for name, values in costs.items()},
            cross=CROSS,
            fixed=fixed,
            budget_bps=study.budget_bps,
            block=np.zeros(int(known.sum()), np.int64),
            rng=np.random.default_rng(0),  # of one block nothing is drawn
        )
        desk.say(f"tail at {study.deadline_s:g} s with a patience of {patience or 1.0:g}: {tail}")
        if tail.met:
            return msgspec.structs.replace(study, patience=patience)
    return study


# --- the parts --------------------------------------------------------------------------------------------------------


def market(desk: Desk, name: str) -> list[Score]:
    """One made-up market: both deadlines, both queues; on the wide one spread threshold and rung are tuned."""
    options, hours = MADE_UP[name], range(FIT_HOURS[name])
    fits = [made_up(desk.scratch, name, seed=FIT_SEED + at, options=options)[0] for at in hours]
    fitted = fit(fits, (1.0, 5.0, 15.0), desk.say)
    scores = []
    for deadline_s in desk.deadlines_s:
        scales = {} if fitted is None else scales_of(fits, horizon_s=deadline_s, queue=QUEUES[0])

        def scene(seed: int, scales: Mapping[str, float] = scales) -> Scene:
            tape, path = made_up(desk.scratch, name, seed=seed, options=options)
            return Scene(tape=tape, path=path, fitted=fitted, scales=scales)

        study = Study(deadline_s=deadline_s, queue=QUEUES[0], parents=desk.parents, budget_bps=budget_of(fits))
        tuning = None
        if name == "wide":
            study, tuning = tuned([scene(TUNE_SEED)], study, desk)
        scenes = [scene(SCORE_SEED + at) for at in range(desk.hours)]
        for queue in desk.queues:
            own = msgspec.structs.replace(study, queue=queue)
            scores.append(pooled(name, scenes, own, desk).score(name, own, tuning))
    return scores


def bitstamp(desk: Desk) -> list[Score]:
    """Order by order, by exact queues: fitted and tuned on hours 1 to 6, scored on 6 to 12; blocks of ten minutes."""
    tape, path = recorded(desk.scratch, "bitstamp", (BITSTAMP,), data=desk.data)
    first_s, last_s, queue = HOUR_S, 6 * HOUR_S, "exact"
    terms: FitTerms = {"from_s": first_s, "until_s": last_s, "holdout": 0.1, "queue": queue}
    fitted = fit([tape], (15.0, 60.0), desk.say, **terms)
    scores = []
    for deadline_s in (60.0, 300.0):
        scales = {}
        if fitted is not None:
            scales = scales_of([tape], horizon_s=deadline_s, queue=queue, from_s=first_s, until_s=last_s)
        scene = Scene(tape=tape, path=path, fitted=fitted, scales=scales, from_s=last_s)
        study = Study(
            deadline_s=deadline_s,
            queue=queue,
            parents=600,
            block_s=600.0,
            budget_bps=budget_of([tape], from_s=first_s, until_s=last_s),
            stale_ms=10_000.0,
        )
        seen = msgspec.structs.replace(scene, from_s=first_s, until_s=last_s)
        study, tuning = tuned([seen], study, desk)
        if tuning is not None:
            study = careful(seen, study, desk)
        scores.append(pooled("bitstamp", [scene], study, desk).score("bitstamp", study, tuning))
    return scores


def perpetual(desk: Desk) -> list[Score]:
    """The two dates of the perpetual, each fitted on the other."""
    tapes = {date: recorded(desk.scratch, f"usdm-{date}", files, data=desk.data) for date, files in PERPETUAL.items()}
    scores = []
    for date, (tape, path) in tapes.items():
        others = [other for name, (other, _) in tapes.items() if name != date]
        desk.say(f"fitting for {date}")
        fitted = fit(others, (1.0, 5.0, 15.0, 60.0), desk.say)
        for deadline_s in (15.0, 60.0):
            scales = {} if fitted is None else scales_of(others, horizon_s=deadline_s, queue=QUEUES[0])
            scene = Scene(tape=tape, path=path, fitted=fitted, scales=scales)
            for queue in desk.queues:
                study = Study(deadline_s=deadline_s, queue=queue, parents=150, budget_bps=budget_of(others))
                scores.append(pooled(date, [scene], study, desk).score(date, study))
    return scores


def power(desk: Desk, name: str) -> dict[str, float]:
    """Hours that each comparison of `cost_aware` needs at 60 s, from an hour of tuning market."""
    options = MADE_UP[name]
    fits = [made_up(desk.scratch, name, seed=FIT_SEED + at, options=options)[0] for at in range(FIT_HOURS[name])]
    tape, path = made_up(desk.scratch, name, seed=TUNE_SEED, options=options)
    scene = Scene(tape=tape, path=path, fitted=fit(fits, (1.0, 5.0, 15.0), desk.say))
    study = Study(deadline_s=60.0, queue=QUEUES[0], parents=desk.parents, budget_bps=budget_of(fits))
    arm = FITTED
    if name == "wide":
        study, tuning = tuned([scene], study, desk)
        arm = TUNED if tuning is not None else FITTED
    pool = pooled(name, [scene], study, desk)
    if arm not in pool.costs:
        arm = UNFITTED
    return {f"{arm} - {fixed}": pool.hours_needed(arm, fixed, hours=1.0) for fixed in fixed_of(study.deadline_s)}


def _admitted(found: Calibration) -> str:
    refused = "; ".join(f"{one.horizon_s:g} s: {one.reason}" for one in found.refusals)
    upto = "nothing was admitted" if found.fitted is None else f"admitted up to {found.fitted.horizon_s:g} s"
    return f"{upto}. Refused: {refused or 'nothing'}"


PARTS: Mapping[str, Callable[[Desk], list[Score]]] = {
    "busy": lambda desk: market(desk, "busy"),
    "slow": lambda desk: market(desk, "slow"),
    "wide": lambda desk: market(desk, "wide"),
    "bitstamp": bitstamp,
    "perpetual": perpetual,
}
