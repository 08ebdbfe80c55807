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
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from time import monotonic
from typing import Generic, TypeVar

import msgspec

Task = TypeVar("Task")
Result = TypeVar("Result")
Tell = Callable[[int], None]
"""How far a task has come, in its own units."""

GRACE_S = 10.0
"""What a process that is interrupted has for clearing up, before it is killed."""


class WorkerLost(RuntimeError):
    """A process ended without saying what came of its task: killed from outside, or out of memory."""


class _Come(msgspec.Struct, frozen=True):
    done: int


class _Ended(msgspec.Struct, Generic[Result], frozen=True):
    result: Result | None
    error: Exception | None


class _Running(msgspec.Struct, frozen=True):
    no: int
    process: BaseProcess


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
    Raises      what a task raises, or WorkerLost. The others are then interrupted, as by Ctrl-C, and killed if they
                have not ended `GRACE_S` later: none is left behind.

    One job, or one task, is carried out in this process.
    """
    if jobs == 1 or len(tasks) <= 1:
        return [work(task, partial(progress, no)) for no, task in enumerate(tasks)]
    # Spawned, not forked: a fork takes along the locks of whoever calls, and differs between systems.
    context = get_context("spawn")
    waiting = list(enumerate(tasks))[::-1]
    # A pipe for each, and nothing that two of them share: of a queue they share the lock, and one that is ended while
    # it holds that lock leaves the others, and whoever waits for their end, waiting for ever.
    running: dict[Connection, _Running] = {}
    results: dict[int, Result] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                no, task = waiting.pop()
                ours, theirs = context.Pipe(duplex=False)
                running[ours] = _Running(no, context.Process(target=_carry_out, args=(work, task, theirs), daemon=True))
                with theirs:  # ours is told of the end by the other end's closing, so no copy of that stays here
                    running[ours].process.start()
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                no, process = running[ready].no, running[ready].process
                try:
                    word: _Come | _Ended[Result] = ready.recv()
                except (EOFError, OSError):  # at a word's end, or amid one
                    raise WorkerLost(f"process {no + 1} of {len(tasks)} ended without a result") from None
                if isinstance(word, _Come):
                    progress(no, word.done)
                    continue
                if word.error is not None:
                    raise word.error
                process.join()
                ready.close()
                del running[ready]
                results[no] = word.result  # type: ignore[assignment]  # no error, so it is there, None if work gives None
    finally:
        _end(running)
    return [results[no] for no in range(len(tasks))]


def _end(running: dict[Connection, _Running]) -> None:
    """Interrupt who still runs, and be gone only when they are."""
    started = [one.process for one in running.values() if one.process.pid is not None]
    for process in started:
        if process.pid is not None and process.is_alive():
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGINT)  # lets it clear up, where terminate would not
    for ours in running:
        ours.close()  # who has much to say, and nobody to read it, is told so rather than held up
    until = monotonic() + GRACE_S
    for process in started:
        process.join(max(0.0, until - monotonic()))
        if process.is_alive():  # an interrupt can be lost, in a destructor for one
            process.kill()
            process.join()


def _carry_out(work: Callable[[Task, Tell], Result], task: Task, ours: Connection) -> None:
    def tell(done: int) -> None:
        ours.send(_Come(done))

    # An interrupt may come amid a word, so nothing is said after one; without a reader nobody is there to be told.
    with suppress(KeyboardInterrupt, BrokenPipeError):
        try:
            ended = _Ended(work(task, tell), None)
        except Exception as error:  # noqa: BLE001 - whatever it is, who gave the task raises it
            ended = _Ended(None, error)
        ours.send(ended)
