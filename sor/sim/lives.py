"""One life of a router in a storm: everything that dies with its process. Two depths of it.

`CoreLife` is machines, policies and dispatcher alone, in plain calls. `StackLife` is what a live router runs in one
process: the same, with the adapter's tasks and the caretaker that learns positions, reconciles and keeps watch.
"""

from __future__ import annotations

from asyncio import Task
from collections.abc import Callable, Coroutine, Sequence
from functools import cache
from typing import Protocol, TypeVar

import anyio

from sor.adapter import Recalling, VenueAdapter
from sor.caretaker import Caretaker
from sor.commands import Alarm, Happening, Recorded
from sor.dispatch import Dispatcher
from sor.errors import InDoubt, NotSent, SorError
from sor.events import AnyFact, ParamsAdopted, PositionKnown, SessionStarted
from sor.lookout import Lookout
from sor.orders import PositionSide
from sor.params import ParamSet, ParamStore
from sor.plugins import Plugins
from sor.recall import recalled
from sor.rig import Rig
from sor.router import Core
from sor.settings import Settings
from sor.sim.loop import VirtualLoop
from sor.sim.testimony import ACCOUNT
from sor.sim.world import VirtualScheduler, at_once
from sor.units import NS

T = TypeVar("T")
Turn = list[AnyFact | Recorded]

START_NS = 1_760_000_000 * NS
EPOCH = 7
STARTS_MAX = 16
CONNECTING_S_MAX = 120.0
FIRST_SET = "baseline"


@cache
def installed() -> Plugins:
    """The plug-ins, found once."""
    return Plugins.installed()


@cache
def _first_set() -> ParamSet:
    return ParamStore().get(FIRST_SET, now_ns=START_NS)


class Tape:
    """A journal in memory."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []

    def append(self, records: Sequence[AnyFact | Recorded]) -> int:
        """Keep one turn."""
        self.turns.append(list(records))
        return len(self.turns)


class Lifetime:
    """The scheduler of one process: once that is dead, nothing that it planned happens."""

    def __init__(self, clock: VirtualScheduler) -> None:
        self._clock = clock
        self.alive = True

    def now_ns(self) -> int:
        """Virtual time."""
        return self._clock.now_ns()

    def call_at(self, at_ns: int, action: Callable[[], object]) -> None:
        """Run `action` then, if the process lives."""
        self._clock.call_at(at_ns, lambda: action() if self.alive else None)

    async def run(self) -> None:
        """Whoever drives virtual time makes the calls."""
        await anyio.Event().wait()

    def stop(self) -> None:
        """As if the process had died."""
        self.alive = False


class Ground(Protocol):
    """What outlives a process: time, journal, venue, and what went wrong."""

    @property
    def clock(self) -> VirtualScheduler:
        """Virtual time."""

    @property
    def tape(self) -> Tape:
        """The journal."""

    @property
    def rig(self) -> Rig:
        """The venue."""

    @property
    def router_settings(self) -> Settings:
        """As a router is started."""

    @property
    def alarms(self) -> list[Alarm]:
        """What was raised."""

    @property
    def crashes(self) -> list[str]:
        """What would have ended a live router."""


class Life(Protocol):
    """One process."""

    core: Core
    dispatcher: Dispatcher
    venue: VenueAdapter

    def start(self) -> SorError | None:
        """Come up; what kept it from that, where something did."""

    def kill(self) -> None:
        """As `kill -9`: no goodbye, no timer, no task goes on."""

    def keep(self, name: str, coroutine: Coroutine[object, object, None]) -> None:
        """Something in the background; where it fails, a router would end."""

    def ask(self, what: Callable[[], Coroutine[object, object, T]], *, until_ns: int) -> T:
        """An answer of the adapter's, as soon as it gives one."""


class _Alike:
    """What both depths share."""

    def __init__(self, ground: Ground, core: Core) -> None:
        self.ground = ground
        self.core = core
        self.time = Lifetime(ground.clock)
        self.venue = ground.rig.adapter()
        self.dispatcher = Dispatcher(
            core,
            scheduler=self.time,
            recorder=ground.tape,
            tell=self._tell,
            alarm=ground.alarms.append,
            back=self._back,
            horizons_ns=(NS,),
        )

    def _open(self) -> None:
        now_ns, params = self.time.now_ns(), _first_set()
        post = self.dispatcher.post
        post(SessionStarted(now_ns=now_ns, epoch=EPOCH, version="simulated", default_set=FIRST_SET))
        post(ParamsAdopted(now_ns=now_ns, name=FIRST_SET, digest=params.digest, text=params.text))

    def _tell(self, happening: Happening) -> None:
        del happening

    def _back(self) -> None:
        """Nobody looks after the venue."""


class CoreLife(_Alike):
    """Plain calls only: the venue's coroutines must not wait."""

    def start(self) -> SorError | None:
        """Connect, and let the parents go on; a venue of plain calls always lets us."""
        first = not self.core.parents
        sink = self.dispatcher.sink(self.venue)  # before anything else, for parents that want to look at once
        self._open()
        at_once(self.venue.connect(sink, self.time))
        self.dispatcher.connected(self.venue)
        if first:
            self.dispatcher.post(
                PositionKnown(
                    now_ns=self.time.now_ns(),
                    venue=self.venue.name,
                    account=ACCOUNT,
                    symbol=self.ground.rig.symbol,
                    position_side=PositionSide.BOTH,
                    qty_lots=0,
                )
            )
        return None

    def kill(self) -> None:
        """Gone."""
        self.time.alive = False
        self.ground.rig.leave()

    def keep(self, name: str, coroutine: Coroutine[object, object, None]) -> None:
        """There is no background: it runs now."""
        del name
        at_once(coroutine)

    def ask(self, what: Callable[[], Coroutine[object, object, T]], *, until_ns: int) -> T:
        """An answer at once, or when the link is back."""
        clock = self.ground.clock
        while True:
            try:
                return at_once(what())
            except NotSent:
                if clock.now_ns() >= until_ns:
                    raise
                clock.run_until(clock.now_ns() + NS)


class StackLife(_Alike):
    """As the engine starts it: adapter, dispatcher, caretaker and their tasks, on a loop in virtual time."""

    def __init__(self, ground: Ground, core: Core) -> None:
        super().__init__(ground, core)
        self.loop = VirtualLoop(self.time)
        self._kept: list[Task[None]] = []
        self.care = Caretaker(
            core,
            self.dispatcher,
            settings=ground.router_settings,
            adapters=(self.venue,),
            alarm=ground.alarms.append,
            listener=None,
        )

    def start(self) -> SorError | None:
        """Come up within `CONNECTING_S_MAX`."""
        clock = self.ground.clock
        task = self.loop.create_task(self._start())
        came = clock.run_until(clock.now_ns() + round(CONNECTING_S_MAX * NS), done=task.done)
        assert came, "connecting never ends"
        error = task.exception()
        if error is None or isinstance(error, SorError):
            return error
        raise error

    async def _start(self) -> None:
        """Connect, learn, reconcile, and let the parents go on last."""
        dispatcher, care, venue = self.dispatcher, self.care, self.venue
        sink = dispatcher.sink(venue)
        self._open()
        if isinstance(venue, Recalling):
            for order in recalled(self.core, venue.name):
                venue.recall(order)
        await venue.connect(sink, self.time)
        await care.meet(venue)
        if self.ground.router_settings.dead_man_s:
            await care.arm_dead_man(venue)
            self.keep("dead-man's switch", care.keep_dead_man(venue))
        learned = await care.learn_positions(venue)
        dispatcher.connected(venue)
        Lookout(dispatcher, alarm=self.ground.alarms.append).start()
        self.keep("refresh", care.keep_refreshed(venue))
        self.keep("positions", care.keep_positions(venue, learned))
        self.keep("reconciliation", care.keep_reconciled())

    def keep(self, name: str, coroutine: Coroutine[object, object, None]) -> None:
        """A task; where it fails, a router would end."""

        async def kept() -> None:
            try:
                await coroutine
            except Exception as error:  # noqa: BLE001 - noted, as everything that is wrong in a storm
                self.ground.crashes.append(f"{name} ended the router: {type(error).__name__}: {error}")

        self._kept.append(self.loop.create_task(kept()))

    def kill(self) -> None:
        """Gone, with its connections."""
        self.time.alive = False
        self.ground.rig.leave()
        self.loop.close()

    def ask(self, what: Callable[[], Coroutine[object, object, T]], *, until_ns: int) -> T:
        """An answer at once, or when the last ban is over."""
        clock = self.ground.clock
        while True:
            task = self.loop.create_task(what())
            assert clock.run_until(until_ns, done=task.done), "it does not come back"
            if not isinstance(task.exception(), NotSent | InDoubt) or clock.now_ns() >= until_ns:
                return task.result()
            clock.run_until(clock.now_ns() + 10 * NS)

    def _tell(self, happening: Happening) -> None:
        if happening.report is not None:
            self.care.heard(self.core.parents[happening.parent_no - 1])

    def _back(self) -> None:
        self.care.came_back()


OpenLife = Callable[[Ground, Core], Life]
