"""Tasks in several processes, with word of how far each has come.

What a task gives must not depend on where it runs: the results are those of one process, in the order of the tasks.
Tasks and results go between our own processes only, as the standard library packs them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from queue import Empty
from typing import Generic, TypeVar

import msgspec

Task = TypeVar("Task")
Result = TypeVar("Result")
Tell = Callable[[int], None]
"""How far a task has come, in its own units."""

_LOOK_S = 0.1


class WorkerLost(RuntimeError):
    """A process ended without saying what came of its task: killed from outside, or out of memory."""


class _Come(msgspec.Struct, frozen=True):
    no: int
    done: int


class _Ended(msgspec.Struct, Generic[Result], frozen=True):
    no: int
    result: Result | None
    error: BaseException | None


def in_processes(
    work: Callable[[Task, Tell], Result],
    tasks: Sequence[Task],
    *,
    jobs: int,
    progress: Callable[[int, int], None],
) -> list[Result]:
    """Carry tasks out, `jobs` at a time, each in a process of its own, and give their results in order.

    work        a function of a module, which another process can import.
    progress    called here with a task's number, counted from 0, and how far it has come.
    Raises      what a task raises, or WorkerLost. The others are then interrupted, as by Ctrl-C, and waited for.

    One job, or one task, is carried out in this process.
    """
    if jobs == 1 or len(tasks) <= 1:
        return [work(task, partial(progress, no)) for no, task in enumerate(tasks)]
    # Spawned, not forked: a fork takes along the locks of whoever calls, and differs between systems.
    context = get_context("spawn")
    said: Queue[_Come | _Ended[Result]] = context.Queue()
    waiting = list(enumerate(tasks))[::-1]
    running: dict[int, BaseProcess] = {}
    results: dict[int, Result] = {}
    try:
        while len(results) < len(tasks):
            while waiting and len(running) < jobs:
                no, task = waiting.pop()
                running[no] = context.Process(target=_carry_out, args=(work, no, task, said), daemon=True)
                running[no].start()
            lost = [no for no, process in running.items() if process.exitcode is not None]
            try:
                word = said.get(timeout=_LOOK_S)
            except Empty:
                if lost:  # it was over before we looked, and what it had said by then has been read
                    raise WorkerLost(f"process {lost[0] + 1} of {len(tasks)} ended without a result") from None
                continue
            if isinstance(word, _Come):
                progress(word.no, word.done)
                continue
            if word.error is not None:
                raise word.error
            running.pop(word.no).join()
            results[word.no] = word.result  # type: ignore[assignment]  # no error, so it is there, None if work gives None
    finally:
        for process in running.values():
            if process.is_alive() and process.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGINT)  # lets it clear up, where terminate would not
        while any(process.is_alive() for process in running.values()):
            with suppress(Empty):  # who has much to say cannot end before somebody has read it
                said.get(timeout=_LOOK_S)
    return [results[no] for no in range(len(tasks))]


def _carry_out(work: Callable[[Task, Tell], Result], no: int, task: Task, said: Queue[_Come | _Ended[Result]]) -> None:
    def tell(done: int) -> None:
        said.put(_Come(no, done))

    try:
        said.put(_Ended(no, work(task, tell), None))
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever it is, who gave the task raises it
        said.put(_Ended(no, None, error))
