"""One life of a router in a storm: everything that dies with its process. Two depths of it.

`CoreLife` is machines, policies and dispatcher alone, in plain calls, with a journal in memory. `StackLife` is
`sor.engine.Router` itself, as whoever trades runs it: its tasks on a loop in virtual time, its journal in files.
"""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import cache, partial
from typing import Protocol, TypeVar

import anyio

from sor.adapter import Scheduler, VenueAdapter
from sor.checkpoint import freeze, thaw
from sor.commands import Alarm, Recorded
from sor.decide import Recorded as RecordedDecisions
from sor.decide import decide
from sor.dispatch import Dispatcher
from sor.engine import Router
from sor.errors import InDoubt, NotSent, SorError
from sor.events import (
    AmendAsked,
    AnyFact,
    CancelAsked,
    ParamsAdopted,
    PauseAsked,
    PositionKnown,
    ResumeAsked,
    SessionStarted,
    Submitted,
)
from sor.fit_watch import FitWatches
from sor.handle import ParentHandle
from sor.ids import ParentId
from sor.intake import admit, check_amend
from sor.journal import Journal, turns
from sor.journal.checkpoint import checkpoint_paths
from sor.journal.layout import segment_paths
from sor.journal.records import encode
from sor.market import MarketView
from sor.orders import ParentOrder, PositionSide
from sor.params import ParamSet, ParamStore
from sor.parent import Parent
from sor.plugins import Plugins
from sor.recovery import Begun, fold, fold_on
from sor.rig import Draw, Rig
from sor.router import Core
from sor.settings import Settings
from sor.sim.disk import Disk
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
LEAVING_S_MAX = 120.0
FIRST_SET = "baseline"
CORE_RETIRE_NS = NS // 100
"""So soon that the storm still rages when parents are retired, and what is late finds them so."""
CORE_FORGET_NS = NS
"""As soon as nothing that this venue has to say of an order can still be on its way."""
UNWINDING_MAX = 100
"""How many times a dead process's coroutine may try to go on waiting while it is taken down."""


@cache
def installed() -> Plugins:
    """The plug-ins, found once."""
    return Plugins.installed()


@cache
def _first_set() -> ParamSet:
    return ParamStore().get(FIRST_SET, now_ns=START_NS)


def folded(turns: Iterator[Turn], *, keep: bool = False) -> Core:
    """The state that a journal gives. keep: with all parents, whatever of them the router has forgotten."""
    plugins = installed()
    core = fold(turns, policies=plugins.policies, schedules=plugins.schedules, decisions=RecordedDecisions(), keep=keep)
    core.deciding.decider = decide
    return core


def _watched(turns: Iterator[Turn], fits: FitWatches) -> Iterator[Turn]:
    for turn in turns:
        for record in turn:
            fits.see(record)
        yield turn


class Tape:
    """A journal in memory.

    kept    after how many turns the state was written down, and as what; the newest last. None: it cannot be read.
    """

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.kept: list[tuple[int, list[bytes] | None]] = []

    def append(self, records: Sequence[AnyFact | Recorded]) -> int:
        """Keep one turn."""
        self.turns.append(list(records))
        return len(self.turns)


class Lifetime:
    """The time of one process, or of a router within it: once that has stopped, nothing that it planned happens."""

    behind_ns = 0

    def __init__(self, clock: Scheduler) -> None:
        self._clock = clock
        self.alive = True

    def now_ns(self) -> int:
        """Virtual time."""
        return self._clock.now_ns()

    def call_at(self, at_ns: int, action: Callable[[], object]) -> None:
        """Run `action` then, if it goes on until then."""
        self._clock.call_at(at_ns, lambda: action() if self.alive else None)

    async def run(self) -> None:
        """Whoever drives virtual time makes the calls."""
        await anyio.Event().wait()

    def stop(self) -> None:
        """Nothing happens any more."""
        self.alive = False


class Ground(Protocol):
    """What outlives a process: time, venue, and what went wrong."""

    @property
    def clock(self) -> VirtualScheduler:
        """Virtual time."""

    @property
    def rig(self) -> Rig:
        """The venue."""

    @property
    def alarms(self) -> list[Alarm]:
        """What processes that are dead have raised."""

    @property
    def crashes(self) -> list[str]:
        """What has ended a router, or one of its callers."""


class CoreGround(Ground, Protocol):
    """With a journal in memory."""

    @property
    def tape(self) -> Tape:
        """The journal."""


class StackGround(Ground, Protocol):
    """With a journal in files."""

    @property
    def router_settings(self) -> Settings:
        """As a router is started; its journal among them."""

    @property
    def disk(self) -> Disk:
        """Under the journal."""


class Life(Protocol):
    """One process."""

    venue: VenueAdapter

    @property
    def core(self) -> Core:
        """The router's state."""

    def start(self) -> SorError | None:
        """Come up; what kept it from that, where something did."""

    def kill(self) -> None:
        """As `kill -9`: no goodbye, no timer, no task goes on."""

    def leave(self) -> None:
        """End as a program ends that is done."""

    def alarms(self) -> Sequence[Alarm]:
        """What it has raised so far, while it lives."""

    def unanswered(self) -> Sequence[ParentId]:
        """Parents that have ended, and whoever waits for that was not told."""

    def checkpoint(self, way: str, draw: Draw) -> None:
        """Write the state down: "whole", "cut" somewhere, or "damaged" afterwards."""

    def state(self) -> tuple[Core, FitWatches]:
        """All that a checkpoint is made of."""

    def refolded(self) -> tuple[Core, FitWatches]:
        """The same as the whole journal gives it."""

    def turns(self) -> Iterator[Turn]:
        """The journal, turn by turn, from the first on."""

    def recorded(self) -> Iterator[bytes]:
        """The journal as it would be, or is, on a disk."""

    # What strategies call. Raises as the router does.

    def submit(self, order: ParentOrder) -> None:
        """Hand a parent in."""

    def cancel(self, parent_id: ParentId) -> None:
        """Ask for its end."""

    def pause(self, parent_id: ParentId) -> None:
        """Let it wait."""

    def resume(self, parent_id: ParentId) -> None:
        """Let it go on."""

    def amend(
        self,
        parent_id: ParentId,
        *,
        quantity: Decimal | None = None,
        limit: Decimal | None = None,
        deadline_s: float | None = None,
    ) -> None:
        """Give it other terms."""

    def market(self) -> MarketView:
        """What is known of the market of the rig's symbol."""

    def keep(self, name: str, what: Callable[[], Coroutine[object, object, None]]) -> None:
        """Something in the background; it may not fail."""

    def ask(self, what: Callable[[], Coroutine[object, object, T]], *, until_ns: int) -> T:
        """An answer of the adapter's, as soon as it gives one."""


class CoreLife:
    """Plain calls only: the venue's coroutines must not wait."""

    def __init__(self, ground: CoreGround) -> None:
        self.ground = ground
        self.core = self._recovered(ground.tape)
        self.time = Lifetime(ground.clock)
        self.venue = ground.rig.adapter()
        self._alarms: list[Alarm] = []
        self.dispatcher = Dispatcher(
            self.core,
            scheduler=self.time,
            recorder=ground.tape,
            alarm=self._alarms.append,
            horizons_ns=(NS,),
        )

    def start(self) -> SorError | None:
        """Connect, and let the parents go on; a venue of plain calls always lets us."""
        first = not self.core.parents.given
        now_ns, params, post = self.time.now_ns(), _first_set(), self.dispatcher.post
        sink = self.dispatcher.sink(self.venue)  # before anything else, for parents that want to look at once
        post(
            SessionStarted(
                now_ns=now_ns,
                epoch=EPOCH,
                version="simulated",
                default_set=FIRST_SET,
                retire_ns=CORE_RETIRE_NS,
                forget_ns=CORE_FORGET_NS,
            )
        )
        post(ParamsAdopted(now_ns=now_ns, name=FIRST_SET, digest=params.digest, text=params.text))
        at_once(self.venue.connect(sink, self.time))
        self.dispatcher.connected(self.venue)
        if first:
            post(
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
        self.time.stop()
        self.ground.rig.leave()
        self.ground.alarms.extend(self._alarms)
        self._alarms.clear()

    def leave(self) -> None:
        """There is nobody who says goodbye."""

    def alarms(self) -> Sequence[Alarm]:
        """What it has raised."""
        return self._alarms

    def unanswered(self) -> Sequence[ParentId]:
        """Nobody waits."""
        return ()

    def turns(self) -> Iterator[Turn]:
        """Of the tape."""
        return iter(self.ground.tape.turns)

    @staticmethod
    def _recovered(tape: Tape) -> Core:
        """From the newest state that can be read, or from the first turn on."""
        for turn, pieces in reversed(tape.kept):
            if pieces is not None:
                plugins, decisions = installed(), RecordedDecisions()
                core, fits = thaw(pieces, policies=plugins.policies, schedules=plugins.schedules, decider=decisions)
                core = fold_on(Begun(core, fits, turn), tape.turns[turn:], decisions)
                core.deciding.decider = decide
                return core
        return folded(iter(tape.turns))

    def checkpoint(self, way: str, draw: Draw) -> None:
        """Beside the tape."""
        del draw
        if way != "cut":
            pieces = list(freeze(*self.state()).pieces())
            self.ground.tape.kept.append((len(self.ground.tape.turns), pieces if way == "whole" else None))

    def state(self) -> tuple[Core, FitWatches]:
        """Nobody watches fits."""
        return self.core, FitWatches()

    def refolded(self) -> tuple[Core, FitWatches]:
        """From the first turn on."""
        return folded(self.turns()), FitWatches()

    def recorded(self) -> Iterator[bytes]:
        """The bytes that a journal would hold."""
        return map(encode, self.ground.tape.turns)

    def submit(self, order: ParentOrder) -> None:
        """As the router does it."""
        venue = admit(self.core, order)
        assert not isinstance(venue, Parent)
        self.dispatcher.post(Submitted(now_ns=self.time.now_ns(), order=order, venue=venue))

    def cancel(self, parent_id: ParentId) -> None:
        """As the router does it."""
        self.dispatcher.post(CancelAsked(now_ns=self.time.now_ns(), parent_no=self.core.by_id[parent_id].no))

    def pause(self, parent_id: ParentId) -> None:
        """As the router does it."""
        self.dispatcher.post(PauseAsked(now_ns=self.time.now_ns(), parent_no=self.core.by_id[parent_id].no))

    def resume(self, parent_id: ParentId) -> None:
        """As the router does it."""
        self.dispatcher.post(ResumeAsked(now_ns=self.time.now_ns(), parent_no=self.core.by_id[parent_id].no))

    def amend(
        self,
        parent_id: ParentId,
        *,
        quantity: Decimal | None = None,
        limit: Decimal | None = None,
        deadline_s: float | None = None,
    ) -> None:
        """As the router does it."""
        parent, now_ns = self.core.by_id[parent_id], self.time.now_ns()
        asked = AmendAsked(now_ns=now_ns, parent_no=parent.no, quantity=quantity, limit=limit, deadline_s=deadline_s)
        check_amend(parent, asked)
        self.dispatcher.post(asked)

    def market(self) -> MarketView:
        """Of the one symbol."""
        return self.dispatcher.look(self.venue.name, self.ground.rig.symbol)

    def keep(self, name: str, what: Callable[[], Coroutine[object, object, None]]) -> None:
        """There is no background: it runs now."""
        del name
        at_once(what())

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


class StackLife:
    """The router itself, with callers who wait for their parents, every second one reading all that happens to it."""

    def __init__(self, ground: StackGround) -> None:
        self.ground = ground
        self.time = Lifetime(ground.clock)
        self.loop = VirtualLoop(self.time)
        self.venue = ground.rig.adapter()
        self.router = Router(
            ground.router_settings,
            venues=[self.venue],
            plugins=installed(),
            open_clock=lambda _: Lifetime(self.time),
            open_journal=self._open_journal,
        )
        self._journal: Journal | None = None
        self._up = False
        self._leaving = asyncio.Event()
        self._process: asyncio.Task[None] | None = None
        self._answered: dict[ParentId, bool] = {}
        self._kept: list[asyncio.Task[None]] = []  # a loop holds on to none of its tasks
        self._dead = False

    @property
    def core(self) -> Core:
        """The router's state."""
        return self.router.core

    def start(self) -> SorError | None:
        """Come up within `CONNECTING_S_MAX`."""
        clock = self.ground.clock
        process = self._process = self.loop.create_task(self._live())
        clock.run_until(clock.now_ns() + round(CONNECTING_S_MAX * NS), done=lambda: self._up or process.done())
        if self._up:
            for parent in self.core.parents.at_work.values():
                self._await(self.router.handle(parent.id))
            return None
        assert process.done(), "connecting never ends"
        error = process.exception()
        assert error is not None
        if isinstance(error, SorError):
            return error
        raise error

    async def _live(self) -> None:
        """`async with` in so many words, since a process that is killed leaves no block: nothing is closed then."""
        router = self.router
        await router.__aenter__()
        self._up = True
        try:
            try:
                await self._leaving.wait()
            except asyncio.CancelledError as error:  # one of its tasks has failed
                await router.__aexit__(type(error), error, error.__traceback__)
                raise
            await router.__aexit__(None, None, None)
        except Exception as error:  # noqa: BLE001 - noted, as everything that is wrong in a storm
            self.ground.crashes.append(f"the router ended: {_told(error)}")

    def _open_journal(self, settings: Settings) -> Journal:
        """On the simulated disk; made with a known epoch, where the router's own draws one."""
        path, sync = settings.journal, self._sync
        if path.exists():
            journal = Journal.open(path, environment=settings.environment, durability=settings.durability, sync=sync)
        else:
            journal = Journal.create(
                path, epoch=EPOCH, environment=settings.environment, durability=settings.durability, sync=sync
            )
        self._journal = journal
        return journal

    def _sync(self, fd: int) -> None:
        """Nothing is synced for the dead: closing their files is the kernel's."""
        if not self._dead:
            self.ground.disk.sync(fd)

    def kill(self) -> None:
        """Gone: time, connections, files; and then whatever still waits is taken down, which nobody notices."""
        if self._dead:
            return
        self._dead = True
        self.ground.alarms.extend(self.router.alarms())
        self.time.stop()
        self.ground.rig.leave()
        if self._journal is not None:
            self._journal.close()
        self.loop.close()
        for task in asyncio.all_tasks(self.loop):
            _unwind(task)

    def leave(self) -> None:
        """Out of the block, which withdraws what is at work; what goes wrong on the way is noted."""
        process, clock = self._process, self.ground.clock
        assert process is not None
        self._leaving.set()
        if not clock.run_until(clock.now_ns() + round(LEAVING_S_MAX * NS), done=process.done):
            self.ground.crashes.append("the router does not end")

    def alarms(self) -> Sequence[Alarm]:
        """What it has raised; of a dead one, the ground knows."""
        return () if self._dead else self.router.alarms()

    def unanswered(self) -> Sequence[ParentId]:
        """Whoever waited for an end that has come, and was not told."""
        return [name for name, told in self._answered.items() if self.core.by_id[name].ended and not told]

    def turns(self) -> Iterator[Turn]:
        """Read as a new process reads them."""
        return (turn.records for turn in turns(self.ground.router_settings.journal))

    def checkpoint(self, way: str, draw: Draw) -> None:
        """As the router does it; then what a `kill -9` leaves of one, or a disk."""
        self.router.checkpoint()
        path = checkpoint_paths(self.ground.router_settings.journal)[-1]
        at = int(path.stat().st_size * draw.random())
        if way == "cut":
            os.truncate(path, at)
            os.replace(path, path.with_name(f"{path.name}.new"))
        elif way == "damaged":
            with path.open("r+b") as file:
                file.seek(at)
                (byte,) = file.read(1)
                file.seek(at)
                file.write(bytes([byte ^ 1 << int(8 * draw.random())]))

    def state(self) -> tuple[Core, FitWatches]:
        """The router's."""
        return self.router.core, self.router.fits

    def refolded(self) -> tuple[Core, FitWatches]:
        """From the first turn on, and fits with it."""
        fits = FitWatches()
        return folded(_watched(self.turns(), fits)), fits

    def recorded(self) -> Iterator[bytes]:
        """Segment by segment."""
        return (path.read_bytes() for path in segment_paths(self.ground.router_settings.journal))

    def submit(self, order: ParentOrder) -> None:
        """Hand a parent in, and wait for it."""
        self._await(at_once(self.router.submit(order)))

    def _await(self, handle: ParentHandle) -> None:
        self._answered[handle.parent_id] = False
        self.keep(f"the caller of {handle.parent_id}", partial(self._wait_for, handle))

    async def _wait_for(self, handle: ParentHandle) -> None:
        if handle.parent.no % 2:
            async for _ in handle:
                pass
        await handle.result()
        self._answered[handle.parent_id] = True

    def cancel(self, parent_id: ParentId) -> None:
        """Ask the router."""
        self.router.cancel(parent_id)

    def pause(self, parent_id: ParentId) -> None:
        """Ask the router."""
        self.router.pause(parent_id)

    def resume(self, parent_id: ParentId) -> None:
        """Ask the router."""
        self.router.resume(parent_id)

    def amend(
        self,
        parent_id: ParentId,
        *,
        quantity: Decimal | None = None,
        limit: Decimal | None = None,
        deadline_s: float | None = None,
    ) -> None:
        """Ask the router."""
        self.router.amend(parent_id, quantity=quantity, limit=limit, deadline_s=deadline_s)

    def market(self) -> MarketView:
        """Ask the router."""
        return self.router.market(self.ground.rig.symbol)

    def keep(self, name: str, what: Callable[[], Coroutine[object, object, None]]) -> None:
        """A task of somebody who uses the router."""

        async def kept() -> None:
            try:
                await what()
            except Exception as error:  # noqa: BLE001 - noted, as everything that is wrong in a storm
                self.ground.crashes.append(f"{name} failed: {_told(error)}")

        self._kept.append(self.loop.create_task(kept()))

    def ask(self, what: Callable[[], Coroutine[object, object, T]], *, until_ns: int) -> T:
        """An answer at once, or when the last ban is over."""
        clock = self.ground.clock
        while True:
            task = self.loop.create_task(what())
            assert clock.run_until(until_ns, done=task.done), "it does not come back"
            if not isinstance(task.exception(), NotSent | InDoubt) or clock.now_ns() >= until_ns:
                return task.result()
            clock.run_until(clock.now_ns() + 10 * NS)


def _told(error: BaseException) -> str:
    """With what it is a group of."""
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else (error,)
    return "; ".join(
        _told(part) if isinstance(part, BaseExceptionGroup) else f"{type(part).__name__}: {part}" for part in parts
    )


def _unwind(task: asyncio.Task[object]) -> None:
    """Take down what a dead process was waiting in, now and not whenever garbage is collected.

    What it does on the way reaches nobody: its time stands still, its connections are cut and its journal is closed.
    """
    coroutine = task.get_coro()
    assert isinstance(coroutine, Coroutine)
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # of what it had not begun yet
        for _ in range(UNWINDING_MAX):
            with suppress(BaseException):
                coroutine.close()
                return
    raise AssertionError(f"{coroutine!r} does not end")


class AnyGround(CoreGround, StackGround, Protocol):
    """For a life of any depth."""


OpenLife = Callable[[AnyGround], Life]
