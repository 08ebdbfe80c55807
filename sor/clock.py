"""Real time for the live router: a wall clock that never goes back, and calls made when they are due.

Time goes on while the machine is suspended, where its system counts that (Linux does): what comes to itself three hours
later is past its deadlines, and does not trade on as if nothing had been.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

import anyio

from sor.adapter import Scheduler
from sor.units import NS

_PASSED_NS: Final[Callable[[], int]] = (
    partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic_ns
)
"""A count that never goes back, and counts suspended time too where there is one that does."""


class Clock(Scheduler, Protocol):
    """A router's time: a `Scheduler` that one of its tasks drives."""

    @property
    def behind_ns(self) -> int:
        """How far behind its beginning the clock of the machine was, which time goes on without; mostly 0."""

    async def run(self) -> None:
        """Make the calls that are due, until `stop`."""

    def stop(self) -> None:
        """Make none any more."""


OpenClock = Callable[[int], Clock]
"""A clock for one router, that does not begin before a time, ns."""


class LoopScheduler:
    """Real time: a heap of calls and one task that runs them when they are due.

    not_before_ns    time begins here if the wall clock is behind it.
    passed_ns        carries it on: a count that never goes back.
    """

    def __init__(self, not_before_ns: int = 0, *, passed_ns: Callable[[], int] = _PASSED_NS) -> None:
        # Wall time that never goes back: the wall clock is read once.
        self._passed_ns = passed_ns
        wall_ns = time.time_ns()
        self.behind_ns = max(0, not_before_ns - wall_ns)
        self._base_ns = wall_ns + self.behind_ns - passed_ns()
        self._heap: list[tuple[int, int, Callable[[], object]]] = []
        self._no = 0
        self._poke = anyio.Event()
        self._scope = anyio.CancelScope(shield=True)

    def now_ns(self) -> int:
        """Nanoseconds since the epoch."""
        return self._base_ns + self._passed_ns()

    def call_at(self, at_ns: int, action: Callable[[], object]) -> None:
        """Run `action` at `at_ns` in the router's own task."""
        self._no += 1
        heapq.heappush(self._heap, (at_ns, self._no, action))
        if self._heap[0][1] == self._no:
            self._poke.set()

    async def run(self) -> None:
        """Run what is due, until `stop`.

        Shielded from a caller's cancellation: leaving the router takes time, and that needs timers.
        """
        with self._scope:
            while True:
                self._poke = anyio.Event()
                while self._heap and self._heap[0][0] <= self.now_ns():
                    heapq.heappop(self._heap)[2]()
                if self._heap:
                    with anyio.move_on_after(max(0.0, (self._heap[0][0] - self.now_ns()) / NS)):
                        await self._poke.wait()
                else:
                    await self._poke.wait()

    def stop(self) -> None:
        """Run nothing any more."""
        self._scope.cancel()
