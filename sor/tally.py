"""How often something happened within a time that ends now, counted in steps.

A step is 10 s, so what is counted is up to a step more than the time asked for. What is kept is bounded by the longest
time that anybody may ask for, however much happens.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from sor.units import NS

STEP_NS: Final = 10 * NS
WITHIN_NS_MAX: Final = 3_600 * NS
"""The longest time that is kept."""


class Tally:
    """Counts one kind of event. Tell it in the order of time."""

    __slots__ = ("before", "count", "steps")

    def __init__(self) -> None:
        # Which steps had any, and how often it had happened before each: what a time holds is then one difference.
        self.steps: list[int] = []
        self.before: list[int] = []
        self.count = 0

    def add(self, now_ns: int) -> None:
        """It happened."""
        step = now_ns // STEP_NS
        steps = self.steps
        if not steps or steps[-1] < step:
            steps.append(step)
            self.before.append(self.count)
            old = bisect_left(steps, step - WITHIN_NS_MAX // STEP_NS)
            if old:
                del steps[:old], self.before[:old]
        self.count += 1

    def fewer_than(self, count: float) -> bool:
        """Whether it cannot have happened `count` times within any time: the cheap question first."""
        return self.count - (self.before[0] if self.before else 0) < count

    def within(self, within_ns: int, now_ns: int) -> int:
        """How often it happened from `within_ns` ago on, at most `WITHIN_NS_MAX`."""
        first = bisect_left(self.steps, (now_ns - within_ns) // STEP_NS)
        return self.count - self.before[first] if first < len(self.before) else 0
