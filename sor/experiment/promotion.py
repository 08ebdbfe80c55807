"""Taking over what won, and going back: both publish a new param-set that says where its values are from.

A promotion rests on the journal alone: the arm's set as the journal has it, and its difference to the first arm with
bounds that hold however often one has looked, so nobody has to say beforehand when he would look. It is refused where
the evidence does not carry it, unless somebody gives his reason, which the set then keeps.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from math import ceil, isfinite

import msgspec

from sor.errors import CallerError
from sor.experiment.bounds import COSTED_MIN, TAIL
from sor.experiment.definition import Arm, Experiment
from sor.experiment.keeper import outcome_of, watches_of
from sor.experiment.reading import named
from sor.experiment.watch import ALL, ArmWatch
from sor.param_records import Origin, ParamSet, Scope
from sor.params import parse
from sor.router import Core


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What speaks for an arm. against: why it does not carry a promotion, empty where it does.

    tail_bps, first_tail_bps    cost that 95 % of the parents stay below, of the arm and of the first; None without any.
    """

    experiment: Experiment
    arm: Arm
    watch: ArmWatch
    costed: int
    tail_bps: float | None
    first_tail_bps: float | None
    against: tuple[str, ...]


def evidence_for(core: Core, name: str, arm_name: str) -> Evidence:
    """Weigh an arm against the first. Raises `CallerError` for what there is not, and for the first itself."""
    running = named(core, name)
    experiment = running.experiment
    arms = {arm.name: arm for arm in experiment.arms}
    arm, first = arms.get(arm_name), experiment.reference
    if arm is None:
        raise CallerError(f"{name} has no arm {arm_name!r}; nothing was published. It has {', '.join(arms)}")
    if arm is first:
        raise CallerError(f"{arm_name} is what the other arms of {name} are measured by; nothing was published")
    watch = watches_of(core)[experiment.name]
    ours, theirs = watch.arms[arm.name], watch.arms[first.name]
    tails = _tail(core, experiment, arm.name), _tail(core, experiment, first.name)
    against = [
        f"{one.name} has {seen.costed} parents with a cost, and {experiment.rule.parents_min} are asked for"
        for one, seen in ((arm, ours), (first, theirs))
        if seen.costed < experiment.rule.parents_min
    ]
    against += [
        f"only {seen.costed} of {seen.over} parents of {one.name} that are over have a cost"
        for one, seen in ((arm, ours), (first, theirs))
        if seen.costed < COSTED_MIN * seen.over
    ]
    if not ours.gap.high < 0.0:
        told = f"{ours.gap.low:+.3f} to {ours.gap.high:+.3f}" if isfinite(ours.gap.high) else "not known yet"
        against.append(f"its cost less that of {first.name} is {told} bps, which does not lie below zero")
    against += [stop.text for stop in watch.broken() if stop.broken_by in (ALL, arm.name, first.name)]
    if None not in tails and tails[0] > tails[1] + float(experiment.rule.tail_margin_bps):  # type: ignore[operator]
        against.append(f"95 % of its parents cost up to {tails[0]:+.3f} bps, of {first.name} {tails[1]:+.3f}")
    against += [
        f"the param-set of {one.name} changed while it ran, so its parents are a mixture"
        for one in (arm, first)
        if one.name in running.changed
    ]
    if arm.policy != first.policy:
        against.append(f"its policy is {arm.policy}, that of {first.name} {first.policy}: a set carries no policy")
    return Evidence(
        experiment=experiment,
        arm=arm,
        watch=ours,
        costed=ours.costed + theirs.costed,
        tail_bps=tails[0],
        first_tail_bps=tails[1],
        against=tuple(against),
    )


def _tail(core: Core, experiment: Experiment, arm: str) -> float | None:
    """The cost that 95 % of an arm's parents stay below."""
    costs = sorted(
        cost
        for parent in core.parents
        if parent.ended and parent.assigned is not None
        if (parent.assigned.experiment, parent.assigned.arm) == (experiment.name, arm)
        if (cost := outcome_of(parent, core).cost_bps) is not None
    )
    return costs[ceil(TAIL * len(costs)) - 1] if costs else None


def promoted(core: Core, found: Evidence, *, set_id: str, reason: str) -> tuple[ParamSet, str]:
    """The arm's set under a new name, and the text of its file.

    reason    why it is promoted against the evidence, "" where that carries it.
    Raises    CallerError where the evidence does not and no reason is given; where there is nothing to take over; where
              a router would not let the new set follow the one of its family that it has now.
    """
    if found.against and not reason:
        raise CallerError(
            f"the evidence does not carry {found.arm.name} of {found.experiment.name}: {'; '.join(found.against)}. "
            "Nothing was published. Let it run on, or give --force with your reason, which the set will keep"
        )
    source = core.in_force.sets[found.arm.param_set]
    now = core.in_force.sets.get(set_id.partition("/")[0])
    gap = found.watch.gap
    bounds = (gap.mean, gap.low, gap.high)
    origin = Origin(
        what="promoted",
        set_id=source.set_id,
        digest=source.digest,
        reason=reason,
        experiment=found.experiment.name,
        experiment_digest=found.experiment.digest,
        arm=found.arm.name,
        reference=found.experiment.reference.name,
        journal_epoch=core.desk.epoch,
        parents=found.costed,
        gap_bps=tuple(f"{bound:.4f}" for bound in bounds) if all(map(isfinite, bounds)) else None,  # type: ignore[arg-type]
    )
    note = f"Promoted: arm {found.arm.name} of experiment {found.experiment.name}, the values of {source.set_id}."
    return _published(source, now, set_id=set_id, note=note, origin=origin)


def rolled_back(
    sets: tuple[ParamSet, ...], *, to: str | None, reason: str, today: date
) -> tuple[str, tuple[ParamSet, str]]:
    """The name of a set that restores an earlier one of its family, and the set with the text of its file.

    sets      of the family, the oldest first. to: full name of the one to restore; None: the one before the newest.
    today     the set is dated so, or the day after the newest where that is later: the newest of a family counts.
    """
    family, newest = sets[-1].family, sets[-1]
    earlier = {one.set_id: one for one in sets[:-1]}
    wanted = to or next(reversed(earlier), None)
    source = None if wanted is None else earlier.get(wanted)
    if source is None:
        raise CallerError(
            f"there is no {to or 'set'} before {newest.set_id} to go back to; nothing was published. "
            f"Before it there are: {', '.join(earlier) or 'none'}"
        )
    day = max(today, date.fromisoformat(newest.published) + timedelta(days=1))
    origin = Origin(what="rolled_back", set_id=source.set_id, digest=source.digest, reason=reason)
    note = f"Rolled back from {newest.set_id}: the values of {source.set_id}."
    set_id = f"{family}/{day.isoformat()}"
    return set_id, _published(source, newest, set_id=set_id, note=note, origin=origin, keep=True)


def _published(
    source: ParamSet, now: ParamSet | None, *, set_id: str, note: str, origin: Origin, keep: bool = False
) -> tuple[ParamSet, str]:
    """`source` under a new name; what differs from `now` says what it supersedes.

    keep    what only `now` gives everywhere stays as it is there: under one name a set never gives less, and a router
            would refuse one that does.
    """
    records = [record.model_dump(mode="json", exclude_defaults=True) for record in source.records]
    lost = () if now is None else source.lost(now)
    if lost and not keep:
        assert now is not None
        raise CallerError(
            f"{source.set_id} lacks {', '.join(lost)}, which {now.set_id} gives, so no router would let it follow; "
            "nothing was published. Add them to the arm's set, and run the experiment with that"
        )
    if now is not None:
        records += [
            record.model_dump(mode="json", exclude_defaults=True)
            for record in now.records
            if record.group in lost and record.scope == Scope()
        ]
        values = {record.key: record.value for record in now.records}
        for record, dumped in zip(source.records, records, strict=False):
            if values.get(record.key, record.value) != record.value:
                dumped["supersedes"] = now.set_id
    content = source.model_dump(mode="json", exclude_defaults=True) | {
        "set_id": set_id,
        "note": note,
        "origin": origin.model_dump(mode="json", exclude_defaults=True),
        "records": records,
    }
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return parse(text, where=set_id), text
