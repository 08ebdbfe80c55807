"""Ctrl-C is for the strategy: it strikes neither a router's tasks nor a turn, whose work the way out still needs.

asyncio hands an interrupt to the main task, where that waits. Trio raises it between any two lines of whichever task
runs, unless that is protected; then it goes to the main task as well. A timer task that died of it left every order
where it was, as no cancel was sent or heard of any more.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import ParamSpec

P = ParamSpec("P")


def protect(function: Callable[..., object]) -> None:
    """Let no interrupt strike `function`, or what it calls, on whichever loop it runs."""
    trio = sys.modules.get("trio")  # loaded where it runs, and never needed where it does not
    if trio is not None:
        trio.lowlevel.enable_ki_protection(function)


def uninterrupted(work: Callable[P, Awaitable[object]]) -> Callable[P, Coroutine[object, object, None]]:
    """`work` for a task that no interrupt strikes."""

    async def run(*args: P.args, **kwargs: P.kwargs) -> None:
        await work(*args, **kwargs)

    protect(run)
    return run
