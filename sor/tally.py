"""How often something happened within a time that ends now, counted in steps.

A step is 10 s, so what is counted is up to a step more than the time asked for. What is kept is bounded by the longest
time that anybody may ask for, however much happens.
"""

from __future__ import annotations

from typing import Final

from sor.units import NS

STEP_NS: Final = 10 * NS
WITHIN_NS_MAX: Final = 3_600 * NS
"""The longest time that is kept."""


class Tally:
    """Counts one kind of event. Tell it in the order of time."""

    __slots__ = ("_kept", "_steps")

    def __init__(self) -> None:
        self._steps: list[tuple[int, int]] = []
        self._kept = 0

    def add(self, now_ns: int) -> None:
        """It happened."""
        step = now_ns // STEP_NS
        steps = self._steps
        if steps and steps[-1][0] >= step:
            steps[-1] = steps[-1][0], steps[-1][1] + 1
        else:
            steps.append((step, 1))
            while steps[0][0] < step - WITHIN_NS_MAX // STEP_NS:
                self._kept -= steps.pop(0)[1]
        self._kept += 1

    def fewer_than(self, count: int) -> bool:
        """Whether it cannot have happened `count` times within any time: the cheap question first."""
        return self._kept < count

    def within(self, within_ns: int, now_ns: int) -> int:
        """How often it happened from `within_ns` ago on, at most `WITHIN_NS_MAX`."""
        first = (now_ns - within_ns) // STEP_NS
        found = 0
        for step, count in reversed(self._steps):
            if step < first:
                break
            found += count
        return found
