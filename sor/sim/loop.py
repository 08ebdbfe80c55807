"""An event loop in virtual time: coroutines run as calls of a scheduler, and nothing but the scheduler moves time.

What a coroutine awaits is ready, and then it goes on in a call that is due now, or comes with a later call. So an
adapter that was written for asyncio runs in a world without a clock, and one seed gives one order of events. There is
no selector and no thread: whoever waits for a real socket waits for ever.
"""

from __future__ import annotations

import asyncio
from asyncio.events import _get_running_loop, _set_running_loop
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import TypeVar, TypeVarTuple

from sor.adapter import Scheduler
from sor.units import NS

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class VirtualLoop(asyncio.BaseEventLoop):
    """A guest of a scheduler: `create_task` begins a coroutine, the scheduler carries it on. Close it at the end.

    Its `run_*` are not for use. What a callback raises comes out of the scheduler.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__()
        self._scheduler = scheduler
        self._began_ns = scheduler.now_ns()

    def time(self) -> float:
        """Seconds since it was made. Since the epoch they would be a float of steps of 238 ns, too coarse to wait."""
        return (self._scheduler.now_ns() - self._began_ns) / NS

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """A call that is due now, after those that are due already."""
        handle = asyncio.Handle(callback, args, self, context)
        self._carry_out_at(self._scheduler.now_ns(), handle, lambda: callback(*args), context)
        return handle

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """A call at `when`, and never before it."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        after_ns = round(when * NS)
        if after_ns / NS < when:
            after_ns += 1
        self._carry_out_at(self._began_ns + after_ns, handle, lambda: callback(*args), context)
        return handle

    def _carry_out_at(
        self, at_ns: int, handle: asyncio.Handle, call: Callable[[], object], context: Context | None
    ) -> None:
        within = context if context is not None else copy_context()

        def carry_out() -> None:
            if handle.cancelled() or self.is_closed():
                return
            before = _get_running_loop()
            _set_running_loop(self)
            try:
                within.run(call)
            finally:
                _set_running_loop(before)

        self._scheduler.call_at(at_ns, carry_out)

    def call_exception_handler(self, context: dict[str, object]) -> None:
        """A task that failed with nobody to hear of it, or was left when its world ended: who closes may not care."""
        if not self.is_closed():
            super().call_exception_handler(context)
