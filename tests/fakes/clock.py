"""Virtual time: a scheduler whose clock moves only from one call to the next."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush


class VirtualClock:
    """A `Scheduler` without a machine behind it. Calls of one instant run in the order they were asked for."""

    __slots__ = ("_calls", "_count", "_now_ns")

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns
        self._calls: list[tuple[int, int, Callable[[], object]]] = []
        self._count = 0

    def now_ns(self) -> int:
        """Nanoseconds since the epoch."""
        return self._now_ns

    def call_at(self, at_ns: int, action: Callable[[], object]) -> None:
        """Run `action` at `at_ns`, or at the present instant when that has passed."""
        self._count += 1
        heappush(self._calls, (max(at_ns, self._now_ns), self._count, action))

    def run_until(self, until_ns: int) -> None:
        """Run everything up to and including `until_ns`, and stand there."""
        while self._calls and self._calls[0][0] <= until_ns:
            self._now_ns, _, action = heappop(self._calls)
            action()
        self._now_ns = max(self._now_ns, until_ns)

    def run(self) -> None:
        """Run until nothing is left to do."""
        while self._calls:
            self._now_ns, _, action = heappop(self._calls)
            action()
