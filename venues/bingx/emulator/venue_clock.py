"""The venue's clock: the scheduler's time, ahead of it or behind by what a fault says."""

from __future__ import annotations

from collections.abc import Callable

from sor.adapter import Scheduler


class VenueClock:
    """A `Scheduler` whose time may be wrong. What is planned happens after the right span all the same.

    skew_ns    how far it is ahead; set it at any time.
    """

    __slots__ = ("_true", "skew_ns")

    def __init__(self, true: Scheduler) -> None:
        self._true = true
        self.skew_ns = 0

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, on the venue's clock."""
        return self._true.now_ns() + self.skew_ns

    def call_at(self, at_ns: int, action: Callable[[], object]) -> None:
        """Run `action` when this clock, going on as it does now, shows `at_ns`."""
        self._true.call_at(at_ns - self.skew_ns, action)
