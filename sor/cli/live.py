"""Commands that are connected to a venue: signals become wishes here, never exceptions in the middle of a step.

The first signal asks such a command to stop in good order, the next one not to wait any longer. Both are plain calls
from the loop, so that no order and no journal record is ever cut in two.
"""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar

import anyio

from sor.cli.stopped import QUIET_S, SIGNALS, Stopped

T = TypeVar("T")

BEFORE_ORDERS = "interrupted before an order was sent; nothing was traded"


class Interrupts:
    """The signals of one command.

    number     of the first that came, 0 while none has.
    """

    def __init__(self, stop: Callable[[], object]) -> None:
        self.number = 0
        self._stop = stop
        self._hurry: Callable[[], object] = _nothing
        self._heard_s = -QUIET_S

    def mean(self, *, stop: Callable[[], object], hurry: Callable[[], object]) -> None:
        """From now on the first signal calls `stop`, and each later one `hurry`; one that has come counts at once."""
        self._stop = stop
        self._hurry = hurry
        if self.number:
            stop()

    async def listen(self, signals: AsyncIterator[signal.Signals]) -> None:
        """Take the signals in until cancelled. Two within a second are one wish: a terminal may tell it twice."""
        async for number in signals:
            now_s = time.monotonic()
            if now_s - self._heard_s < QUIET_S:
                continue
            self._heard_s = now_s
            if self.number:
                self._hurry()
            else:
                self.number = number
                self._stop()


def run_live(work: Callable[[Interrupts], Awaitable[T]]) -> T:
    """Run a command on a loop of its own. Raises what it raises, and `Stopped` when a signal came while it connected.

    What whoever started us chose to ignore (nohup, a job in the background) stays ignored.
    """
    before = {number: signal.getsignal(number) for number in SIGNALS}
    heard = tuple(number for number, handler in before.items() if handler is not signal.SIG_IGN)
    answers: list[T] = []
    try:
        number = anyio.run(_heeding, work, heard, answers.append)
    finally:
        for each, handler in before.items():
            signal.signal(each, signal.SIG_DFL if handler is None else handler)  # the loop leaves its own behind
    if not answers:
        raise Stopped(number, BEFORE_ORDERS)
    return answers[0]


async def _heeding(
    work: Callable[[Interrupts], Awaitable[T]], numbers: tuple[int, ...], answer: Callable[[T], None]
) -> int:
    """Let `work` run to its answer, or until a signal ends it; returns the first signal."""
    scope = anyio.CancelScope()
    interrupts = Interrupts(scope.cancel)

    async def main() -> None:
        with scope:
            answer(await work(interrupts))

    with anyio.open_signal_receiver(*(signal.Signals(number) for number in numbers)) as signals:
        await beside(main, partial(interrupts.listen, signals))
    return interrupts.number


async def beside(main: Callable[[], Awaitable[None]], side: Callable[[], Awaitable[None]]) -> None:
    """Run `side` beside `main`, and no longer. What either raises comes as it is, and not in a group."""
    raised: list[Exception] = []

    async def guarded() -> None:
        try:
            await side()
        except Exception as error:  # noqa: BLE001 - handed on below: a group of one would hide it from every handler
            raised.append(error)
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(guarded)
        try:
            await main()
        except Exception as error:  # noqa: BLE001 - likewise
            raised.insert(0, error)
        tasks.cancel_scope.cancel()
    if raised:
        raise raised[0]


def _nothing() -> None:
    """There is nothing to hurry yet."""
