"""Real time: it never goes back, and what was slept through has passed."""

import sys
import time

import anyio
import pytest

from sor.clock import LoopScheduler
from sor.units import NS
from tests.fakes.patience import PATIENCE_S

pytestmark = pytest.mark.anyio


async def test_time_goes_on_from_the_wall_clock_or_from_what_was_known_before() -> None:
    passed = [7 * NS]
    clock = LoopScheduler(passed_ns=lambda: passed[0])
    began_ns = clock.now_ns()
    assert abs(began_ns - time.time_ns()) < 10 * NS
    ahead = LoopScheduler(not_before_ns=began_ns + 3_600 * NS, passed_ns=lambda: passed[0])
    passed[0] += 5 * NS
    assert clock.now_ns() == began_ns + 5 * NS
    assert ahead.now_ns() == began_ns + 3_605 * NS


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts suspended time")
async def test_time_that_the_machine_was_suspended_counts() -> None:
    counts = time.CLOCK_BOOTTIME  # CLOCK_MONOTONIC stands still meanwhile
    clock = LoopScheduler()
    before_ns = time.clock_gettime_ns(counts)
    began_ns = clock.now_ns()
    assert before_ns <= began_ns - clock._base_ns <= time.clock_gettime_ns(counts)


async def test_what_fell_due_while_nobody_ran_is_done_at_once_and_in_order() -> None:
    passed = [0]
    clock = LoopScheduler(passed_ns=lambda: passed[0])
    done: list[str] = []
    now_ns = clock.now_ns()
    clock.call_at(now_ns + 60 * NS, lambda: done.append("deadline"))
    clock.call_at(now_ns + 20 * NS, lambda: done.append("keep warm"))
    passed[0] += 10_800 * NS  # the lid was closed
    clock.call_at(clock.now_ns(), clock.stop)
    with anyio.fail_after(PATIENCE_S):
        await clock.run()
    assert done == ["keep warm", "deadline"]
