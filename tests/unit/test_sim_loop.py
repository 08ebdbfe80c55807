"""Coroutines in virtual time: in which order they go on, and that no time passes but the scheduler's."""

import asyncio
import time
from collections.abc import Iterator

import anyio
import pytest

from sor.sim.loop import VirtualLoop
from sor.sim.world import VirtualScheduler
from sor.units import NS


@pytest.fixture
def scheduler() -> VirtualScheduler:
    return VirtualScheduler(100 * NS)


@pytest.fixture
def loop(scheduler: VirtualScheduler) -> Iterator[VirtualLoop]:
    loop = VirtualLoop(scheduler)
    yield loop
    loop.close()


def test_what_sleeps_goes_on_when_the_scheduler_says(scheduler: VirtualScheduler, loop: VirtualLoop) -> None:
    told: list[tuple[str, float]] = []

    async def nap(name: str, duration_s: float) -> None:
        told.append((name, anyio.current_time()))
        await anyio.sleep(duration_s)
        told.append((name, loop.time()))

    began_s = time.monotonic()
    late, soon = loop.create_task(nap("late", 3_600)), loop.create_task(nap("soon", 0.5))
    assert scheduler.run_until(200 * NS, done=soon.done)
    assert not late.done()
    scheduler.call_at(300 * NS, lambda: told.append(("call", loop.time())))
    scheduler.run_until(4_000 * NS)
    assert late.done()
    assert told == [("late", 0), ("soon", 0), ("soon", 0.5), ("call", 200), ("late", 3_600)]
    assert time.monotonic() - began_s < 600


def test_an_event_that_a_call_sets_wakes_who_waits(scheduler: VirtualScheduler, loop: VirtualLoop) -> None:
    """As answers reach an adapter's coroutines: set by a plain call, outside of any task."""

    async def wait() -> float:
        event = anyio.Event()
        scheduler.call_at(107 * NS, event.set)
        with anyio.move_on_after(60):
            await event.wait()
        return anyio.current_time()

    task = loop.create_task(wait())
    assert scheduler.run_until(200 * NS, done=task.done)
    assert task.result() == 7


def test_groups_and_deadlines_are_as_elsewhere(scheduler: VirtualScheduler, loop: VirtualLoop) -> None:
    async def both() -> list[float]:
        ends: list[float] = []

        async def one(duration_s: float) -> None:
            try:
                await anyio.sleep(duration_s)
            finally:
                ends.append(anyio.current_time())

        with anyio.move_on_after(5) as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(one, 2)
                tasks.start_soon(one, 50)
        assert scope.cancelled_caught
        return ends

    task = loop.create_task(both())
    assert scheduler.run_until(200 * NS, done=task.done)
    assert task.result() == [2, 5]


def test_what_a_callback_raises_comes_out_of_the_scheduler(scheduler: VirtualScheduler, loop: VirtualLoop) -> None:
    def fail() -> None:
        raise ValueError("mine")

    loop.call_soon(fail).cancel()
    scheduler.run_until(101 * NS)
    loop.call_later(1, fail)
    with pytest.raises(ValueError, match="mine"):
        scheduler.run_until(110 * NS)
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_a_closed_loop_carries_nothing_on(scheduler: VirtualScheduler, loop: VirtualLoop) -> None:
    told: list[str] = []
    loop.call_soon(told.append, "late")
    loop.close()
    scheduler.run_until(200 * NS)
    assert told == []


def test_a_nanosecond_is_waited_for_and_not_asked_about_for_ever() -> None:
    """At the present date a float of seconds since the epoch cannot tell apart what is 1 ns away from what is now."""
    scheduler = VirtualScheduler(1_760_000_000 * NS)
    loop = VirtualLoop(scheduler)

    async def wait_until(at_ns: int) -> int:
        turns = 0
        while scheduler.now_ns() < at_ns:
            turns += 1
            await anyio.sleep((at_ns - scheduler.now_ns()) / NS)
        return turns

    for after_ns in (1, 7, 999_999_937, 31_000_000_000_001):
        task = loop.create_task(wait_until(scheduler.now_ns() + after_ns))
        assert scheduler.run_until(scheduler.now_ns() + 10 * after_ns, done=task.done)
        assert task.result() <= 2
    loop.close()
