"""Real time for tests: a scheduler whose calls are tasks of the test's own group."""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio
import anyio.abc

from sor.units import NS


class LoopClock:
    """A `Scheduler` on the monotonic clock: each call in a task of its own."""

    def __init__(self, tasks: anyio.abc.TaskGroup) -> None:
        self._tasks = tasks

    def now_ns(self) -> int:
        return time.monotonic_ns()

    def call_at(self, at_ns: int, action: Callable[[], object]) -> None:
        self._tasks.start_soon(self._call, at_ns, action)

    async def _call(self, at_ns: int, action: Callable[[], object]) -> None:
        await anyio.sleep(max(0, at_ns - self.now_ns()) / NS)
        action()
