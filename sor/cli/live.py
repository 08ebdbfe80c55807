"""Commands that are connected to a venue: signals become wishes here, never exceptions in the middle of a step.

The first signal asks such a command to stop in good order, the next one not to wait any longer. Both are plain calls
from the loop, so that no order and no journal record is ever cut in two.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from types import FrameType, TracebackType
from typing import Self, TypeVar

import anyio

from sor.cli.stopped import QUIET_S, REACHED, SIGNALS, WISHES, Stopped

T = TypeVar("T")

BEFORE_ORDERS = "interrupted before an order was sent; nothing was traded"


class Received:
    """The signals that come while a loop runs, for one task of it, from before it begins until it has been taken down.

    A loop's own receivers end before it does, and what comes in between kills, or strikes it in the middle. Here it
    waits; only where nobody takes it for so long that somebody tries again, that is `Stopped`.

    What whoever started us chose to ignore (nohup, a job in the background) stays ignored.
    """

    def __init__(self) -> None:
        self._came: deque[signal.Signals] = deque()
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        found = {number: signal.getsignal(number) for number in SIGNALS}
        self._before = {number: handler for number, handler in found.items() if handler is not signal.SIG_IGN}

    def __enter__(self) -> Self:
        for number in self._before:
            signal.signal(number, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> signal.Signals:
        self._loop = asyncio.get_running_loop()
        try:
            while not self._came:
                self._woken.clear()
                await self._woken.wait()
        finally:
            self._loop = None
        return self._came.popleft()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del frame
        again = WISHES.is_new() and bool(self._came)
        self._came.append(signal.Signals(number))
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._woken.set)
        elif again:
            raise Stopped(number)


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
    """Run a command on a loop of its own.

    Raises what it raises, and `Stopped` when a signal came while it connected.
    """
    answers: list[T] = []
    with Received() as signals:
        number = anyio.run(_heeding, work, signals, answers.append)
    if not answers:
        raise Stopped(number, "" if REACHED.text else BEFORE_ORDERS)
    return answers[0]


async def _heeding(work: Callable[[Interrupts], Awaitable[T]], signals: Received, answer: Callable[[T], None]) -> int:
    """Let `work` run to its answer, or until a signal ends it; returns the first signal."""
    scope = anyio.CancelScope()
    interrupts = Interrupts(scope.cancel)

    async def main() -> None:
        with scope:
            answer(await work(interrupts))

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
