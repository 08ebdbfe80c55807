"""What a journal says of its experiments, with or without a router that writes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import isfinite

import msgspec

from sor.errors import CallerError
from sor.experiment.bounds import MeanBounds, ShareTest
from sor.experiment.keeper import watches_of
from sor.experiment.running import Running
from sor.experiment.watch import ALL, Watch
from sor.router import Core


class Interval(msgspec.Struct, frozen=True):
    """A mean in bps of `n` coins, with bounds that hold at all times at once; None while it is too early for them."""

    n: int
    mean: float | None
    low: float | None
    high: float | None


class ArmStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One arm: parents that were given to it, that are over, that have a cost.

    gap_bps              mean cost less that of the first arm; None for the first.
    rejects, timeouts    shares of parents, None where the experiment has no guard for them, or nobody is over.
    """

    name: str
    policy: str
    param_set: str
    share: str
    running: bool
    stopped: str
    given: int
    over: int
    costed: int
    cost_bps: Interval
    gap_bps: Interval | None
    rejects: float | None
    timeouts: float | None


class GuardStatus(msgspec.Struct, frozen=True):
    """One guard of one arm, "" for all of them. says: what broke it, "" while it holds."""

    guard: str
    arm: str
    limit: str
    holds: bool
    says: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """One experiment.

    own_terms    parents that named it and were left out, by the reason. late: `Watch.late`.
    """

    name: str
    digest: str
    note: str
    by: str
    since_ns: int
    running: bool
    ended: str
    arms: tuple[ArmStatus, ...]
    shadows: tuple[str, ...]
    ratio_p: float
    ratio_says: str
    guards: tuple[GuardStatus, ...]
    own_terms: dict[str, int]
    late: int


def named(core: Core, name: str | None) -> Running:
    """An experiment by its name; None means the only one there is. Raises `CallerError`."""
    known = core.in_force.experiments
    if name is None and len(known) == 1:
        return next(iter(known.values()))
    running = None if name is None else known.get(name)
    if running is None:
        asked = "say which experiment is meant" if name is None else f"there is no experiment {name!r}"
        raise CallerError(f"{asked}; nothing was changed. Started on this journal: {', '.join(known) or 'none'}")
    return running


def statuses(core: Core) -> tuple[Status, ...]:
    """How each experiment stands, in the order of their starts."""
    watches = watches_of(core)
    return tuple(_status(core, running, watches[name]) for name, running in core.in_force.experiments.items())


def _status(core: Core, running: Running, watch: Watch) -> Status:
    experiment = running.experiment
    mine = [parent.assigned for parent in core.parents if parent.assigned is not None]
    outside = Counter(one.why for one in mine if one.experiment == experiment.name and not one.arm)
    return Status(
        name=experiment.name,
        digest=experiment.digest,
        note=experiment.note,
        by=experiment.by.value,
        since_ns=running.since_ns,
        running=not running.ended,
        ended=running.ended,
        arms=tuple(_arms(running, watch)),
        shadows=tuple(f"{shadow.name}: {shadow.policy}, {shadow.param_set}" for shadow in experiment.shadows),
        ratio_p=watch.ratio.p_value,
        ratio_says=watch.ratio_told,
        guards=tuple(_guards(running, watch)),
        own_terms=dict(outside),
        late=watch.late,
    )


def _arms(running: Running, watch: Watch) -> Iterator[ArmStatus]:
    experiment = running.experiment
    for terms in experiment.arms:
        arm = watch.arms[terms.name]
        yield ArmStatus(
            name=terms.name,
            policy=terms.policy,
            param_set=terms.param_set,
            share=f"{terms.share:f}",
            running=not running.ended and terms.name not in running.stopped,
            stopped=running.stopped.get(terms.name, running.ended),
            given=arm.given,
            over=arm.over,
            costed=arm.costed,
            cost_bps=_interval(arm.cost),
            gap_bps=None if terms is experiment.reference else _interval(arm.gap),
            rejects=_share(arm.rejects),
            timeouts=_share(arm.timeouts),
        )


def _interval(bounds: MeanBounds) -> Interval:
    return Interval(
        bounds.count,
        bounds.mean if bounds.count else None,
        bounds.low if isfinite(bounds.low) else None,
        bounds.high if isfinite(bounds.high) else None,
    )


def _share(test: ShareTest | None) -> float | None:
    return test.hits / test.count if test is not None and test.count else None


def _guards(running: Running, watch: Watch) -> Iterator[GuardStatus]:
    """Every guard that the experiment has, of each arm."""
    guards = running.experiment.guards
    first = running.experiment.reference.name
    broken = {(stop.guard, stop.broken_by): stop.text for stop in watch.broken()}
    limits = {
        "harm": f"{guards.harm_bps} bps above {first}",
        "cost": "" if guards.cost_max_bps is None else f"{guards.cost_max_bps} bps",
        "rejects": "" if guards.rejects_max is None else f"{guards.rejects_max} of parents",
        "timeouts": "" if guards.timeouts_max is None else f"{guards.timeouts_max} of parents",
    }
    rows = [("sample_ratio", ALL, f"p {guards.ratio_level}")]
    for name in watch.arms:
        own = [(guard, name, limit) for guard, limit in limits.items() if limit]
        rows += own[name == first :]  # the first is not set against itself
    for guard, arm, limit in rows:
        text = broken.get((guard, arm), "")
        yield GuardStatus(guard, arm, limit, not text, text)
