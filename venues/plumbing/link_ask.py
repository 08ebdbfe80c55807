"""Awaiting an answer of a client that calls back."""

from __future__ import annotations

from typing import Generic, TypeVar

import anyio

from venues.plumbing.budget import Priority
from venues.plumbing.client import Client, Endpoint, Trouble

T = TypeVar("T")


class Later(Generic[T]):
    """A value that comes later, once: set by a callback, awaited by a coroutine."""

    def __init__(self) -> None:
        self._values: list[T] = []
        self._event = anyio.Event()

    @property
    def done(self) -> bool:
        """Whether it has come."""
        return bool(self._values)

    def set(self, value: T) -> None:
        """It is there. Only the first counts."""
        if not self._values:
            self._values.append(value)
            self._event.set()

    async def wait(self) -> T:
        """The value, as soon as it is there."""
        await self._event.wait()
        return self._values[0]


def begin(
    client: Client, endpoint: Endpoint[T], params: str = "", *, priority: Priority, leave_by_ns: int
) -> Later[T | Trouble]:
    """Make a request now and await its answer later: several begun together are under way together."""
    later: Later[T | Trouble] = Later()
    client.call(endpoint, params, priority=priority, leave_by_ns=leave_by_ns, on_answer=later.set)
    return later


async def ask(
    client: Client, endpoint: Endpoint[T], params: str = "", *, priority: Priority, leave_by_ns: int
) -> T | Trouble:
    """One request and its answer. Who is cancelled meanwhile has still sent it."""
    return await begin(client, endpoint, params, priority=priority, leave_by_ns=leave_by_ns).wait()


async def demand(client: Client, endpoint: Endpoint[T], params: str = "", *, leave_by_ns: int) -> T:
    """One read and its answer; raises `NotSent`, `InDoubt` or `CallerError` when there is none."""
    answer = await ask(client, endpoint, params, priority=Priority.READ, leave_by_ns=leave_by_ns)
    if isinstance(answer, Trouble):
        raise answer.error()
    return answer
