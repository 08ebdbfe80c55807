"""Event loops for tests, and real time on them: a scheduler whose calls are tasks of the test's own group."""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio
import anyio.abc
import pytest

from sor.units import NS

Backend = tuple[str, dict[str, bool]]


def backend(loop: str) -> Backend:
    """What the fixture `anyio_backend` returns for asyncio, uvloop or trio; the test is skipped without uvloop."""
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    return ("trio", {}) if loop == "trio" else ("asyncio", {"use_uvloop": loop == "uvloop"})


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
