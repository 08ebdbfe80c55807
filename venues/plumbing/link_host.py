"""A host: a context manager that lives in a task of its own, so that it may be opened here and closed there.

What holds tasks (a transport, sockets) is a block in structured concurrency, and a venue's session is not one: it is
opened in one call and closed in another, inside other cancel scopes, and it must outlive its caller's cancellation,
because leaving means cancelling orders first. So the block is entered and left by a task that belongs to the loop.

A block that ends of itself has a bug inside. It is entered again, ever later and a few times only: one message that
nobody can read must not end a session, and one that comes again and again must not be tried for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Final, Generic, TypeVar

import anyio

from sor.errors import CallerError, NotSent

T = TypeVar("T")
AGAIN_MAX: Final = 5
"""How often in a row a block that ends of itself is entered again."""
AGAIN_S: Final = 0.2
"""What is waited before the first time; it doubles."""
STEADY_S: Final = 60.0
"""A block that has stood for this long begins to count anew."""
_log = logging.getLogger(__name__)


class Host(Generic[T]):
    """Keeps one block open.

    block    makes the block, anew each time it is entered.
    lost     called with the reason each time the block ends of itself; what it says last, if it is not entered again.
    back     called with what the block gives each time it has been entered again.
    """

    def __init__(
        self,
        block: Callable[[], AbstractAsyncContextManager[T]],
        *,
        lost: Callable[[str], None],
        back: Callable[[T], None],
    ) -> None:
        self._block = block
        self._lost = lost
        self._back = back
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
        failures = 0
        try:
            while not self._stop.is_set():
                began_s = anyio.current_time()
                error = await self._stand()
                if error is None or self._stop.is_set() or not self._inside:
                    return
                failures = 1 if anyio.current_time() - began_s > STEADY_S else failures + 1
                why = f"the links ended of themselves: {type(error).__name__}"
                if failures > AGAIN_MAX:
                    self._tell_lost(f"{why}, {failures} times in a row; they stay closed. Start the router again")
                    return
                self._tell_lost(f"{why}; they are opened again")
                with anyio.move_on_after(AGAIN_S * 2 ** (failures - 1)):
                    await self._stop.wait()
        finally:
            self._opened.set()
            self._ended.set()

    async def _stand(self) -> BaseException | None:
        """Be inside the block until it is to be left; returns what ended it before."""
        try:
            async with self._block() as inside:
                again = bool(self._inside)
                self._inside[:] = [inside]
                self._opened.set()
                if again:
                    self._back(inside)
                await self._stop.wait()
        except Exception as error:  # noqa: BLE001 - there is nobody above; whoever opened it is told
            self._failure = _alone(error)
            if self._inside:
                _log.critical("links ended of themselves: %s", type(error).__name__, exc_info=error)
            return self._failure
        return None

    def _tell_lost(self, why: str) -> None:
        try:
            self._lost(why)
        except Exception as error:  # noqa: BLE001 - likewise
            _log.critical("nobody could be told that links were lost: %s", type(error).__name__, exc_info=error)


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
