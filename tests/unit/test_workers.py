"""Tasks in several processes: the same results in the same order, and an end that leaves nobody behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from sor.errors import CallerError
from sor.lab import workers
from sor.lab.workers import Tell, WorkerLost, in_processes
from tests.conftest import REPO
from tests.fakes.patience import PATIENCE_S

Told = list[tuple[int, int]]


def square(task: int, tell: Tell) -> int:
    tell(1)
    tell(2)
    return task * task


def refuse(task: int, tell: Tell) -> int:
    if task == 1:
        raise CallerError("one is not taken; nothing was done")
    time.sleep(600)
    return task


def die(task: int, tell: Tell) -> int:
    if task == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)
    return task


def chatter(task: int, tell: Tell) -> int:
    for no in range(10_000_000):
        tell(no)
    return task


def stay(task: int, tell: Tell) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tell(1)
    time.sleep(600)
    return task


def linger(task: int, tell: Tell) -> int:
    threading.Thread(target=time.sleep, args=(600,)).start()
    return task


def much(task: int, tell: Tell) -> bytes:
    tell(1)
    return bytes(1 << 20)


def run(work: Callable[[int, Tell], object], *, jobs: int, tasks: int = 3) -> tuple[list[object], Told]:
    told: Told = []
    return in_processes(work, range(tasks), jobs=jobs, progress=lambda no, done: told.append((no, done))), told


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_order_with_word_of_each(jobs: int) -> None:
    results, told = run(square, jobs=jobs)
    assert results == [0, 1, 4]
    assert sorted(told) == [(no, done) for no in range(3) for done in (1, 2)]


@pytest.mark.parametrize(("work", "error"), [(refuse, CallerError), (die, WorkerLost)])
def test_what_one_raises_is_raised_and_the_others_are_not_waited_for(
    work: Callable[[int, Tell], object], error: type[Exception]
) -> None:
    began = time.monotonic()
    with pytest.raises(error):
        run(work, jobs=2)
    assert time.monotonic() - began < 300  # each would sleep for ten minutes
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("work", [square, chatter, stay, much])
def test_an_interrupt_of_the_caller_leaves_nobody_behind(
    work: Callable[[int, Tell], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(no: int, done: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(workers, "GRACE_S", 1.0)
    for _ in range(3):  # chatter: somebody is always amid a word
        with pytest.raises(KeyboardInterrupt):
            in_processes(work, range(3), jobs=2, progress=interrupt)
        assert not multiprocessing.active_children()


def test_a_large_result_does_not_hold_anybody_up() -> None:
    results, _ = run(much, jobs=3)
    assert [len(result) for result in results if isinstance(result, bytes)] == [1 << 20] * 3


def test_who_does_not_leave_after_its_result_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "GRACE_S", 1.0)
    assert run(linger, jobs=2)[0] == [0, 1, 2]
    assert not multiprocessing.active_children()


WORKERS = """
from sor.lab.workers import heard
from tests.unit.test_workers import chatter

for no, _ in heard(chatter, range(2), jobs=2):
    print(no, flush=True)
"""
STORMS = """
from sor.sim.seeds import run, season
from sor.sim.storm import Level

for one in run(season(level=Level.CORE, rig=None, first=0, last=99_999), jobs=2):
    print(one.seed % 2, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("program", [WORKERS, STORMS], ids=["words", "storms"])
def test_a_kill_of_the_caller_leaves_nobody_behind(program: str) -> None:
    """They hold the pipe that it wrote to, as they would that of whoever waits for a whole run to end."""
    caller = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert caller.stdout is not None
    waited_for = {"0\n", "1\n"}
    while waited_for:  # until both are at work
        line = caller.stdout.readline()
        assert line
        waited_for.discard(line)
    caller.kill()
    try:
        caller.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        os.killpg(caller.pid, signal.SIGKILL)
        raise
