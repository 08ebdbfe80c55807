"""One direction of one connection: what is sent first arrives first, each message after a delay of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from sor.adapter import Scheduler
from venues.simulated.tape_latency import Line

M = TypeVar("M")


class Channel(Generic[M]):
    """A queue of messages on their way.

    A message without delay is delivered inside `put`, unless others are still on their way or one is being delivered:
    then it waits for its turn, so that whoever reacts to a message by sending another never sees them out of order.
    """

    __slots__ = ("_deliver", "_delivering", "_line", "_queue", "_scheduler")

    def __init__(self, *, scheduler: Scheduler, line: Line, deliver: Callable[[M], None]) -> None:
        self._scheduler = scheduler
        self._line = line
        self._deliver = deliver
        self._queue: deque[tuple[int, M]] = deque()
        self._delivering = False

    def arrival_ns(self, now_ns: int, *, held_ns: int = 0) -> int:
        """When a message sent now, after being held up for `held_ns`, arrives: never before an earlier one."""
        return self._line.arrival_ns(now_ns + held_ns)

    def put(self, message: M, *, at_ns: int, now_ns: int) -> None:
        """Send a message to arrive at `at_ns`, as `arrival_ns` said."""
        queue = self._queue
        if at_ns <= now_ns and not queue and not self._delivering:
            self._delivering = True
            try:
                self._deliver(message)
            finally:
                self._delivering = False
            if queue:
                self._drain()
            return
        queue.append((at_ns, message))
        if len(queue) == 1 and not self._delivering:
            self._scheduler.call_at(at_ns, self._drain)

    def drop(self) -> list[M]:
        """Lose everything that is on its way; returns it, oldest first."""
        lost = [message for _, message in self._queue]
        self._queue.clear()
        return lost

    def _drain(self) -> None:
        """Deliver what has arrived and come back for the next. Harmless when what it was scheduled for is gone."""
        if self._delivering:
            return
        queue = self._queue
        self._delivering = True
        try:
            while queue and queue[0][0] <= self._scheduler.now_ns():
                self._deliver(queue.popleft()[1])
        finally:
            self._delivering = False
        if queue:
            self._scheduler.call_at(queue[0][0], self._drain)
