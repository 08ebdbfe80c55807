"""Waiting for what must come: another task, thread or process, on a machine that may be slow.

The bound only ends a test that would hang for ever: nothing may depend on it, and nobody waits that long but for a bug.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio

PATIENCE_S = 120.0
"""How long anything may take that must come."""


async def until(holds: Callable[[], object]) -> None:
    """Come back when it holds; others of this loop go on meanwhile."""
    with anyio.fail_after(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - what is waited for is somebody who tells nobody
            await anyio.sleep(0.001)


def eventually(holds: Callable[[], object]) -> None:
    """The same for a test without a loop, of another thread or process."""
    until_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < until_s, f"not within {PATIENCE_S:g} s"
        time.sleep(0.02)
