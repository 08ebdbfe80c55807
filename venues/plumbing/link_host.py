"""A host: a context manager that lives in a task of its own, so that it may be opened here and closed there.

What holds tasks (a transport, sockets) is a block in structured concurrency, and a venue's session is not one: it is
opened in one call and closed in another, inside other cancel scopes, and it must outlive its caller's cancellation,
because leaving means cancelling orders first. So the block is entered and left by a task that belongs to the loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

import anyio

from sor.errors import CallerError, NotSent

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Host(Generic[T]):
    """Keeps one block open.

    lost    called with the reason when the block ends of itself.
    """

    def __init__(self, block: AbstractAsyncContextManager[T], *, lost: Callable[[str], None]) -> None:
        self._block = block
        self._lost = lost
        self._opened = anyio.Event()
        self._stop = anyio.Event()
        self._ended = anyio.Event()
        self._task: object = None
        self._inside: list[T] = []
        self._failure: BaseException | None = None

    async def open(self) -> T:
        """Enter the block; raises what that raises. A caller that is cancelled meanwhile leaves nothing behind."""
        self._task = _spawn(self._live)
        try:
            await self._opened.wait()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.close()
            raise
        if not self._inside:
            raise self._failure or NotSent("the loop ended while a link was opened; nothing was sent")
        return self._inside[0]

    async def close(self) -> None:
        """Leave the block; comes back once it is left."""
        self._stop.set()
        await self._ended.wait()

    async def _live(self) -> None:
        try:
            async with self._block as inside:
                self._inside.append(inside)
                self._opened.set()
                await self._stop.wait()
        except Exception as error:  # noqa: BLE001 - there is nobody above; whoever opened it is told
            self._failure = _alone(error)
            if self._inside:
                _log.critical("links ended of themselves: %s", type(error).__name__, exc_info=error)
                if not self._stop.is_set():
                    self._lost(f"the links ended of themselves: {type(self._failure).__name__}")
        finally:
            self._opened.set()
            self._ended.set()


def _alone(error: Exception) -> Exception:
    """What went wrong, without the groups that task groups put around it."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _spawn(live: Callable[[], Coroutine[object, object, None]]) -> object:
    """Start a task that belongs to the loop and to nobody else; returns what keeps it from being collected."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        return loop.create_task(live())
    try:
        import trio
    except ImportError:
        raise CallerError("links run on asyncio or on trio, and neither is running here; nothing was sent") from None
    return trio.lowlevel.spawn_system_task(live)
