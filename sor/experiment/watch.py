"""The guards of an experiment: fed with what parents got and what became of them, it says which arm must stop.

An arm is set against the first arm by what the coin did, parent after parent: a cost, less the mean of all costs before
it, counts for the arm over the chance that it had, or against it over the chance of the first. The mean of that is the
difference whatever the market did meanwhile, as only the coin is left to chance. In a switchback the coin is a
period's, so what counts is a period's mean, once two later periods have had a parent that is over.

Costs are intention to treat: a parent counts for the arm that it was given, with fees and with completing what was not
filled. They are cut at limits that the file states beforehand. What has no cost (no book at arrival or at the end)
counts in `over` and not in the means; `costed` beside it says how many there were.

Pure: a function of the parents in the order in which they were given arms, and ended.
"""

from __future__ import annotations

from math import inf

import msgspec

from sor.experiment.assigned import Assigned
from sor.experiment.bounds import MeanBounds, RatioTest, ShareTest
from sor.experiment.definition import Experiment

ALL = ""
"""The arm of a `Stop` that ends the whole experiment."""
_LATER = 2


class Over(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a parent.

    cost_bps    against arrival, None unknown. rejected: the venue refused an order of it. timed_out: one rested until
                its time was over.
    """

    cost_bps: float | None
    rejected: bool
    timed_out: bool


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """A guard that an arm has broken.

    arm     that stops: `ALL` where the first is at fault, or nobody can say which. broken_by: the one at fault.
    """

    arm: str
    guard: str
    broken_by: str
    text: str


class ArmWatch:
    """One arm: parents that were given to it, that are over, that have a cost, and what the streams say.

    cost    mean cost. gap: less that of the first arm; empty for the first.
    """

    def __init__(self, experiment: Experiment) -> None:
        guards = experiment.guards
        alpha = float(guards.alpha)
        self.given = 0
        self.over = 0
        self.costed = 0
        self.cost = MeanBounds(alpha=alpha)
        # Several arms against one: none of them may be said to differ more often than alpha, all together.
        self.gap = MeanBounds(alpha=alpha / (len(experiment.arms) - 1))
        self.rejects = None if guards.rejects_max is None else ShareTest(most=float(guards.rejects_max))
        self.timeouts = None if guards.timeouts_max is None else ShareTest(most=float(guards.timeouts_max))


class _Period(msgspec.Struct):
    """A period of a switchback whose parents are not all over yet."""

    assigned: Assigned
    total: float = 0.0
    count: int = 0


class Watch:
    """All arms of one experiment.

    ratio    whether arms get the parents that they should; in a switchback, periods. late: parents that were over when
             their period had been counted already.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.arms = {arm.name: ArmWatch(experiment) for arm in experiment.arms}
        self.ratio = RatioTest({arm.name: float(arm.share) for arm in experiment.arms})
        self.late = 0
        self._level = MeanBounds(alpha=float(experiment.guards.alpha))
        self._coin = -1
        self._periods: dict[int, _Period] = {}
        self._counted = -1

    def given(self, assigned: Assigned) -> None:
        """A parent was given an arm."""
        self.arms[assigned.arm].given += 1
        if assigned.period >= 0:
            coin = assigned.period // self.experiment.coin_periods
            if coin == self._coin:
                return
            self._coin = coin
        self.ratio.add(assigned.arm, dict(assigned.chances))

    def over(self, assigned: Assigned, over: Over) -> None:
        """A parent has ended."""
        arm = self.arms[assigned.arm]
        arm.over += 1
        for test, hit in ((arm.rejects, over.rejected), (arm.timeouts, over.timed_out)):
            if test is not None:
                test.add(hit)
        if over.cost_bps is not None:
            arm.costed += 1
            cut = float(self.experiment.guards.cut_bps)
            self._cost(assigned, min(max(over.cost_bps, -cut), cut))

    def _cost(self, assigned: Assigned, cost_bps: float) -> None:
        if assigned.period < 0:
            self._count(assigned, cost_bps)
            return
        if assigned.period <= self._counted:
            self.late += 1
            return
        period = self._periods.setdefault(assigned.period, _Period(assigned))
        period.total += cost_bps
        period.count += 1
        for number in sorted(self._periods):
            if number > assigned.period - _LATER:
                break
            done = self._periods.pop(number)
            self._counted = number
            self._count(done.assigned, done.total / done.count)

    def _count(self, assigned: Assigned, cost_bps: float) -> None:
        """One coin's cost: for its arm, and in the differences that it takes part in."""
        known, off = self._level.count > 0, cost_bps - self._level.mean
        self._level.add(cost_bps)
        self.arms[assigned.arm].cost.add(cost_bps)
        if not known:
            return  # the first of all has nothing to be set against, and would count for more than a hundred others
        first = self.experiment.reference.name
        chances = dict(assigned.chances)
        if first not in chances:
            return
        for name, arm in self.arms.items():
            if name == first or name not in chances or assigned.arm not in (name, first):
                continue
            ours = chances[name] / (chances[name] + chances[first])
            arm.gap.add(off / ours if assigned.arm == name else -off / (1.0 - ours))

    @property
    def ratio_told(self) -> str:
        """Counts of the arms beside what was expected, in words."""
        counts = self.ratio.counts.items()
        return ", ".join(f"{arm} {count} of {self.ratio.expected[arm]:.0f} expected" for arm, count in counts)

    def broken(self) -> list[Stop]:
        """Every guard that is broken now, whether an arm was stopped for it or not."""
        guards = self.experiment.guards
        first = self.experiment.reference.name
        level = 1.0 / float(guards.alpha)
        found: list[Stop] = []
        if self.ratio.p_value < guards.ratio_level:
            text = f"arms do not get what they should: {self.ratio_told} (p < {guards.ratio_level})"
            found.append(Stop(arm=ALL, guard="sample_ratio", broken_by=ALL, text=text))
        for name, arm in self.arms.items():
            whose = ALL if name == first else name
            if arm.gap.low > guards.harm_bps:
                text = (
                    f"{name} costs {_bounds(arm.gap)} bps more than {first}, and harm_bps is {guards.harm_bps} "
                    f"({arm.gap.count} counted)"
                )
                found.append(Stop(arm=whose, guard="harm", broken_by=name, text=text))
            if guards.cost_max_bps is not None and arm.cost.low > guards.cost_max_bps:
                text = f"{name} costs {_bounds(arm.cost)} bps, and cost_max_bps is {guards.cost_max_bps}"
                found.append(Stop(arm=whose, guard="cost", broken_by=name, text=f"{text} ({arm.cost.count} counted)"))
            for guard, what, test, most in (
                ("rejects", "an order that the venue refused", arm.rejects, guards.rejects_max),
                ("timeouts", "an order whose time ran out", arm.timeouts, guards.timeouts_max),
            ):
                if test is not None and test.evidence >= level:
                    text = f"{test.hits} of {test.count} parents of {name} had {what}, and {guard}_max is {most}"
                    found.append(Stop(arm=whose, guard=guard, broken_by=name, text=text))
        return found


def _bounds(bounds: MeanBounds) -> str:
    """Mean and interval in words."""
    if bounds.low == -inf:
        return f"{bounds.mean:+.3f}"
    return f"{bounds.mean:+.3f} ({bounds.low:+.3f} to {bounds.high:+.3f})"
