"""Tasks in several processes, with word of each as it goes on.

What a task gives must not depend on where it runs: the results are those of one process, in the order of the tasks.
Tasks and results go between our own processes only, as the standard library packs them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from time import monotonic
from typing import Generic, TypeVar

import msgspec

Task = TypeVar("Task")
Word = TypeVar("Word")
Result = TypeVar("Result")
Tell = Callable[[int], None]
"""How far a task has come, in its own units."""

GRACE_S = 10.0
"""What a process that is interrupted has for clearing up, before it is killed."""


class WorkerLost(RuntimeError):
    """A process ended without saying what came of its task: killed from outside, or out of memory."""


class Said(msgspec.Struct, Generic[Word], frozen=True):
    """A task's word, while it goes on."""

    word: Word


class Ended(msgspec.Struct, Generic[Result], frozen=True):
    """What came of a task."""

    result: Result


class _Failed(msgspec.Struct, frozen=True):
    error: Exception


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
    """Carry tasks out as `heard` does, and give their results in order. One job, or one task, stays in this process.

    progress    called here with a task's number, counted from 0, and how far it has come.
    """
    if jobs == 1 or len(tasks) <= 1:
        return [work(task, partial(progress, no)) for no, task in enumerate(tasks)]
    results: dict[int, Result] = {}
    with closing(heard(work, tasks, jobs=jobs)) as words:
        for no, word in words:
            if isinstance(word, Said):
                progress(no, word.word)
            else:
                results[no] = word.result
    return [results[no] for no in range(len(tasks))]


def heard(
    work: Callable[[Task, Callable[[Word], None]], Result], tasks: Sequence[Task], *, jobs: int
) -> Generator[tuple[int, Said[Word] | Ended[Result]], None, None]:
    """Carry tasks out, `jobs` at a time, each in a process of its own: what each says, with its number, as it comes.

    work        a function of a module, which another process can import. What it is given takes a word of its.
    Raises      what a task raises, or WorkerLost. The others are then interrupted, as by Ctrl-C, and killed if they
                have not ended `GRACE_S` later, as when it is closed: none is left behind.
    """
    # Spawned, not forked: a fork takes along the locks of whoever calls, and differs between systems.
    context = get_context("spawn")
    waiting = list(enumerate(tasks))[::-1]
    # A pipe for each, and nothing that two of them share: of a queue they share the lock, and one that is ended while
    # it holds that lock leaves the others, and whoever waits for their end, waiting for ever. Nor do they wait for us:
    # when this process is killed, who has a word for it finds nobody there, and ends.
    running: dict[Connection, _Running] = {}
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
                no = running[ready].no
                try:
                    word: Said[Word] | Ended[Result] | _Failed = ready.recv()
                except (EOFError, OSError):  # at a word's end, or amid one
                    raise WorkerLost(f"process {no + 1} of {len(tasks)} ended without a result") from None
                if isinstance(word, _Failed):
                    raise word.error
                if isinstance(word, Ended):
                    _await([running[ready].process])
                    ready.close()
                    del running[ready]
                yield no, word
    finally:
        _end(running)


def _end(running: dict[Connection, _Running]) -> None:
    """Interrupt who still runs, and be gone only when they are."""
    started = [one.process for one in running.values() if one.process.pid is not None]
    for process in started:
        if process.pid is not None and process.is_alive():
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGINT)  # lets it clear up, where terminate would not
    for ours in running:
        ours.close()  # who has much to say, and nobody to read it, is told so rather than held up
    _await(started)


def _await(processes: Sequence[BaseProcess]) -> None:
    """Let them end by themselves, for a time."""
    until = monotonic() + GRACE_S
    for process in processes:
        process.join(max(0.0, until - monotonic()))
        if process.is_alive():  # an interrupt can be lost, in a destructor for one
            process.kill()
            process.join()


def _carry_out(work: Callable[[Task, Callable[[Word], None]], Result], task: Task, ours: Connection) -> None:
    def tell(word: Word) -> None:
        ours.send(Said(word))

    # An interrupt may come amid a word, so nothing is said after one; without a reader nobody is there to be told.
    with suppress(KeyboardInterrupt, BrokenPipeError):
        ended: Ended[Result] | _Failed
        try:
            ended = Ended(work(task, tell))
        except Exception as error:  # noqa: BLE001 - whatever it is, who gave the task raises it
            ended = _Failed(error)
        ours.send(ended)
