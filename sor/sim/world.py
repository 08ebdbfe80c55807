"""A whole router in virtual time: core, dispatcher, venues and a heap of what happens next; no loop, clock or tasks.

The same core and dispatcher as live; only the `Scheduler` differs. One seed and one commit name a run.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Coroutine
from typing import TypeVar

from sor.adapter import VenueAdapter
from sor.commands import Alarm, Happening
from sor.dispatch import Dispatcher, Recorder
from sor.errors import CallerError
from sor.events import ParamsAdopted, SessionStarted, Submitted
from sor.experiment.door import assigned_of
from sor.experiment.keeper import Keeper
from sor.intake import admit
from sor.orders import Intent, ParentOrder
from sor.params import ParamSet
from sor.parent import Parent
from sor.router import Core

T = TypeVar("T")


class VirtualScheduler:
    """A clock that jumps from one scheduled call to the next; calls at one time run in the order of scheduling."""

    __slots__ = ("_heap", "_no", "_now_ns")

    def __init__(self, now_ns: int) -> None:
        self._now_ns = now_ns
        self._heap: list[tuple[int, int, Callable[[], object]]] = []
        self._no = 0

    def now_ns(self) -> int:
        """Virtual time."""
        return self._now_ns

    def call_at(self, at_ns: int, action: Callable[[], object]) -> None:
        """Run `action` at `at_ns`, or next when that has passed."""
        self._no += 1
        heapq.heappush(self._heap, (max(at_ns, self._now_ns), self._no, action))

    def run_until(self, at_ns: int, *, done: Callable[[], bool] | None = None) -> bool:
        """Run everything up to and including `at_ns`; stops early, returning True, once `done` says so."""
        heap = self._heap
        while heap and heap[0][0] <= at_ns:
            if done is not None and done():
                return True
            at, _, action = heapq.heappop(heap)
            self._now_ns = at
            action()
        if done is not None and done():
            return True
        self._now_ns = max(self._now_ns, at_ns)
        return False


def at_once(coroutine: Coroutine[object, object, T]) -> T:
    """Run a coroutine that never really waits, as an adapter's in virtual time must not.

    Raises `CallerError` when it does wait.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise CallerError("this venue waits for the outside world, so it cannot run in virtual time; use the live router")


class World:
    """One router and its venues in virtual time."""

    def __init__(
        self,
        core: Core,
        *,
        start_ns: int,
        recorder: Recorder,
        horizons_ns: tuple[int, ...],
        tell: Callable[[Happening], None] | None = None,
        alarm: Callable[[Alarm], None] | None = None,
    ) -> None:
        self.core = core
        self._tell = tell
        self.scheduler = VirtualScheduler(start_ns)
        self.dispatcher = Dispatcher(
            core,
            scheduler=self.scheduler,
            recorder=recorder,
            tell=self._told,
            alarm=alarm,
            horizons_ns=horizons_ns,
        )
        self.keeper = Keeper(core, post=self.dispatcher.post, scheduler=self.scheduler)

    def open(self, *, epoch: int, version: str, sets: dict[str, ParamSet], default_set: str) -> None:
        """Start the session: ownership mark and param-sets."""
        now = self.scheduler.now_ns()
        self.dispatcher.post(SessionStarted(now_ns=now, epoch=epoch, version=version, default_set=default_set))
        for name, param_set in sets.items():
            self.dispatcher.post(ParamsAdopted(now_ns=now, name=name, digest=param_set.digest, text=param_set.text))

    def connect(self, adapter: VenueAdapter) -> None:
        """Bring a venue up; its instruments are known when this returns."""
        at_once(adapter.connect(self.dispatcher.sink(adapter), self.scheduler))
        self.dispatcher.connected(adapter)

    def submit(self, order: ParentOrder, *, intent: Intent | None = None) -> Parent:
        """Hand a parent order in. Raises `CallerError`, with nothing sent, for one that makes no sense."""
        venue = admit(self.core, order)
        if isinstance(venue, Parent):
            return venue
        now = self.scheduler.now_ns()
        assigned = assigned_of(self.core, order, venue, now_ns=now)
        self.dispatcher.post(Submitted(now_ns=now, order=order, venue=venue, intent=intent, assigned=assigned))
        self.keeper.given(assigned)
        return self.core.by_id[order.parent_id]

    def _told(self, happening: Happening) -> None:
        if self.core.in_force.experiments:
            self.keeper.told(happening)
        if self._tell is not None:
            self._tell(happening)
