"""Keeps the experiments of a running router: starts and stops what is asked, and stops what its guards say.

The guards (`watch`) are a function of the journal's parents. They are fed as parents are given arms and end; after a
restart they are fed anew from the core's parents, so that they go on where they were, and what an earlier process did
not live to record is recorded then.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sor.adapter import Scheduler
from sor.commands import Happening
from sor.errors import CallerError
from sor.events import AnyFact, ArmStopped, ExperimentAdopted
from sor.experiment.assigned import Assigned
from sor.experiment.definition import Experiment, parse_experiment
from sor.experiment.watch import ALL, Over, Stop, Watch
from sor.journal.wanted import StartAsked, StopAsked
from sor.parent import Parent
from sor.records import record_of
from sor.router import Core
from sor.tca import report


class Keeper:
    """The guards of all experiments of a core.

    watches      by the name of the experiment.
    post         where its facts go.
    scheduler    their time, and when a parent that is over is costed: once what trades has been carried out.
    """

    def __init__(self, core: Core, *, post: Callable[[AnyFact], None], scheduler: Scheduler) -> None:
        self._core = core
        self._post = post
        self._now = scheduler.now_ns
        self._later = scheduler.call_at
        self.watches = watches_of(core)

    def resume(self) -> None:
        """Record what guards say that no record has told yet."""
        for name, watch in self.watches.items():
            self._stop(name, watch.broken())

    def given(self, assigned: Assigned | None) -> None:
        """A parent was submitted with this."""
        if assigned is None or not assigned.arm:
            return
        watch = self._watch(assigned)
        watch.given(assigned)
        self._stop(assigned.experiment, watch.broken())

    def told(self, happening: Happening) -> None:
        """Something has happened to a parent, and is on disk; only the end of one that was given an arm counts."""
        parent = self._core.parents[happening.parent_no - 1]
        assigned = parent.assigned
        if assigned is None or not assigned.arm or not parent.ended or happening.status is not parent.end_status:
            return
        self._later(self._now(), partial(self._over, parent, assigned))

    def _over(self, parent: Parent, assigned: Assigned) -> None:
        watch = self._watch(assigned)
        watch.over(assigned, outcome_of(parent, self._core))
        self._stop(assigned.experiment, watch.broken())

    def heed(self, asked: StartAsked | StopAsked) -> None:
        """Do what somebody asks. Raises `CallerError`, nothing changed, where it cannot be done."""
        if isinstance(asked, StartAsked):
            experiment = parse_experiment(asked.text, where=asked.where)
            check_start(self._core, experiment)
            self._post(
                ExperimentAdopted(
                    now_ns=self._now(), name=experiment.name, digest=experiment.digest, text=experiment.text
                )
            )
            return
        check_stop(self._core, asked)
        self._post(
            ArmStopped(
                now_ns=self._now(), experiment=asked.experiment, arm=asked.arm, guard="", text=asked.reason or "asked"
            )
        )

    def _watch(self, assigned: Assigned) -> Watch:
        watch = self.watches.get(assigned.experiment)
        if watch is None:
            watch = self.watches[assigned.experiment] = Watch(
                self._core.in_force.experiments[assigned.experiment].experiment
            )
        return watch

    def _stop(self, name: str, stops: list[Stop]) -> None:
        running = self._core.in_force.experiments[name]
        posted: set[str] = set()
        for stop in stops:
            if running.stops(stop.arm) and not posted & {stop.arm, ALL}:
                posted.add(stop.arm)
                self._post(
                    ArmStopped(
                        now_ns=self._now(),
                        experiment=name,
                        arm=stop.arm,
                        guard=stop.guard,
                        text=f"guard {stop.guard}: {stop.text}",
                    )
                )


def watches_of(core: Core) -> dict[str, Watch]:
    """The guards of all experiments, fed with every parent so far: arms as they were given, ends as they came."""
    if not core.in_force.experiments:
        return {}
    watches = {name: Watch(running.experiment) for name, running in core.in_force.experiments.items()}
    given = [
        (parent, parent.assigned) for parent in core.parents if parent.assigned is not None and parent.assigned.arm
    ]
    for _, assigned in given:
        watches[assigned.experiment].given(assigned)
    for parent, assigned in sorted(given, key=lambda one: (one[0].ended_ns, one[0].no)):
        if parent.ended:
            watches[assigned.experiment].over(assigned, outcome_of(parent, core))
    return watches


def outcome_of(parent: Parent, core: Core) -> Over:
    """What became of a parent that has ended; one whose record contradicts itself has no cost."""
    try:
        costs = report(record_of(parent, core))
    except CallerError:
        return Over(cost_bps=None, rejected=False, timed_out=parent.timeouts > 0)
    return Over(cost_bps=costs.arrival_cost_bps, rejected=costs.rejects > 0, timed_out=costs.timeouts > 0)


def check_start(core: Core, experiment: Experiment) -> None:
    """Raise `CallerError` for an experiment that this journal's router cannot run."""
    known = core.in_force.experiments.get(experiment.name)
    if known is not None:
        what = "runs already" if not known.ended else "has ended, and one that goes on later is another one"
        raise CallerError(f"experiment {experiment.name} {what}; nothing was changed. Give the new one another name")
    for arm in (*experiment.arms, *experiment.shadows):
        if core.deciding.policies.get(arm.policy) is None:
            raise CallerError(
                f"{arm.name} of experiment {experiment.name} names policy {arm.policy!r}, which is not installed; "
                f"nothing was changed. Installed: {', '.join(core.deciding.policies)}"
            )
        if arm.param_set not in core.in_force.sets:
            raise CallerError(
                f"{arm.name} of experiment {experiment.name} names param-set {arm.param_set!r}, which is not loaded; "
                f"nothing was changed. Loaded: {', '.join(core.in_force.sets) or 'none'}"
            )


def check_stop(core: Core, asked: StopAsked) -> None:
    """Raise `CallerError` for an experiment or an arm that is not there."""
    running = core.in_force.experiments.get(asked.experiment)
    if running is None:
        known = ", ".join(core.in_force.experiments) or "none"
        raise CallerError(f"there is no experiment {asked.experiment!r}; nothing was changed. Started: {known}")
    names = [arm.name for arm in running.experiment.arms]
    if asked.arm and asked.arm not in names:
        raise CallerError(
            f"{asked.experiment} has no arm {asked.arm!r}; nothing was changed. It has {', '.join(names)}"
        )
