"""One process at work on a journal: how it starts, what it keeps going meanwhile, and how it leaves.

A start that fails has placed nothing: the journal is folded, the venues are met and what is theirs and ours compared
before any parent goes on. Leaving withdraws everything, and says what could not be confirmed gone.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import anyio.abc

from sor import __version__
from sor.adapter import Recalling, VenueAdapter
from sor.caretaker import Caretaker, Listener, all_of, open_children
from sor.checkpoints import Checkpoints
from sor.clock import Clock
from sor.commands import Alarm, Happening
from sor.configured import Configured
from sor.dispatch import Dispatcher, VenueSink
from sor.errors import RateLimited
from sor.events import CancelAsked, ParamsAdopted, SessionStarted
from sor.experiment.keeper import Keeper
from sor.fit_watch import Doubt, FitWatches, WatchedRecorder
from sor.handle import Handles
from sor.ids import ClOrdId, VenueName
from sor.journal import Durability, Journal
from sor.lookout import Lookout
from sor.market import Trust
from sor.outside import Outside
from sor.params import Adopted, ParamStore, Refused
from sor.recall import recalled
from sor.reconciliation import Reconciled
from sor.router import Core
from sor.settings import Settings
from sor.uninterrupted import protect, uninterrupted
from sor.units import NS, to_ns

_log = logging.getLogger(__name__)
CLOCK_BEHIND_S = 1.0
"""A wall clock this far behind the journal is an alarm: it was set back, or was wrong before."""
BOOK_WAIT_S = 3.0
"""How long a start waits for the books of what rests."""
BOOK_POLL_S = 0.01
SPARE_S = 1.0
"""Waited on top of what a venue says, since its clock is not ours."""


class Session:
    """What a running router is made of.

    core        folded from `journal`, which whoever opened it closes. tasks: what goes on beside is run there.
    store       the param-sets on disk. fits: watched, as of what the journal holds.
    alarms      gets what somebody should look at. listener: see `Caretaker`.
    """

    def __init__(
        self,
        core: Core,
        journal: Journal,
        tasks: anyio.abc.TaskGroup,
        *,
        settings: Settings,
        venues: Configured,
        scheduler: Clock,
        store: ParamStore,
        fits: FitWatches,
        handles: Handles,
        alarms: deque[Alarm],
        listener: Listener | None,
    ) -> None:
        self._core = core
        self.journal = journal
        self._tasks = tasks
        self._settings = settings
        self._venues = venues
        self._scheduler = scheduler
        self._store = store
        self._fits = fits
        self._handles = handles
        self._alarms = alarms
        self._offered: dict[str, str] = {}
        self._connected: list[VenueAdapter] = []
        self._caring: list[tuple[anyio.CancelScope, anyio.Event]] = []
        self._patience = anyio.CancelScope()
        protect(Dispatcher.post)
        self.dispatcher = Dispatcher(
            core,
            scheduler=scheduler,
            recorder=WatchedRecorder(journal, fits, self._doubted),
            tell=self._tell,
            alarm=alarms.append,
            stopped=handles.give_up,
            back=self._came_back,
            gathers=settings.durability is Durability.SYNCED,
        )
        self.care = Caretaker(
            core,
            self.dispatcher,
            settings=settings,
            adapters=venues.adapters,
            alarm=alarms.append,
            listener=listener,
        )
        self.checkpoints = Checkpoints(core, fits, journal, every_bytes=settings.checkpoint_bytes, alarm=self._alarm)
        self.trials = Keeper(core, post=self.dispatcher.post, scheduler=scheduler)
        self.outside = Outside(
            core,
            self.dispatcher,
            trials=self.trials,
            venues=venues,
            settings=settings,
            journal=journal.path,
            alarm=self._alarm,
        )

    # --- start ------------------------------------------------------------------------------------------------------

    async def start(self) -> Reconciled:
        """Connect, and let the journal's parents go on last; returns what was found at the venues.

        Raises what connecting does, and `CallerError` where the journal's parents cannot go on here; see `abandon`.
        """
        last_ns = self._core.now_ns
        if self.checkpoints.due:
            self.checkpoints.write()  # of a state that every turn has led to twice, and nobody waits yet
        self._say_how_it_ended()
        sinks = [(adapter, self.dispatcher.sink(adapter)) for adapter in self._venues.adapters]
        self._store.get(self._settings.default_set, now_ns=self.dispatcher.now_ns())
        self.adopt_sets()
        self._begin(last_ns)
        self.trials.resume()
        self.outside.heed_wanted()
        self.outside.heed_switch()
        self._tasks.start_soon(uninterrupted(self._scheduler.run))
        care = self.care
        learned: dict[VenueName, bool] = {}
        met: list[Reconciled] = []
        for adapter, sink in sinks:
            await self._connect(adapter, sink)
            self._connected.append(adapter)
            self._venues.check_account(self._core, adapter)
        # Only now, as one venue may have let the others wait: a dead-man's switch is not kept up for who does nothing.
        for adapter in self._connected:
            met.append(await care.meet(adapter))
            if self._settings.dead_man_s:
                await care.arm_dead_man(adapter)
                self._care_by(partial(care.keep_dead_man, adapter))
            learned[adapter.name] = await care.learn_positions(adapter)
        for spelling in self._settings.watch:
            instrument = self._venues.watched(self._core, spelling)
            self.dispatcher.feed(instrument.venue, instrument.symbol)
        await self._see_what_rests()
        self.outside.heed_switch()  # somebody may have moved it while the start waited, and then nothing goes on
        for adapter in self._venues.adapters:
            self.dispatcher.connected(adapter)
            self._care_by(partial(care.keep_refreshed, adapter))
            self._care_by(partial(care.keep_positions, adapter, learned[adapter.name]))
        self._care_by(care.keep_reconciled)
        self._look_out()
        return all_of(met)

    async def _connect(self, adapter: VenueAdapter, sink: VenueSink) -> None:
        """Bring a venue up with the orders that it has of ours; where it turns us away, once its time is over."""
        latest_ns = self._scheduler.now_ns() + to_ns(self._settings.start_patience_s)
        while True:
            if isinstance(adapter, Recalling):
                for order in recalled(self._core, adapter.name):
                    adapter.recall(order)
            try:
                await adapter.connect(sink, self._scheduler)
                return
            except RateLimited as error:
                if not error.until_ns or error.until_ns > latest_ns:
                    raise
                wait_s = max(0.0, (error.until_ns - self._scheduler.now_ns()) / NS) + SPARE_S
                text = f"the start waits {wait_s:.0f} s for {adapter.name}: {error}"
                self._alarm(text)
                _log.warning(text)  # alarms are read off a router that has started
            await anyio.sleep(wait_s)

    def _say_how_it_ended(self) -> None:
        """What the process before, or the clock since, has left to be said."""
        behind_s = self._scheduler.behind_ns / NS
        if behind_s > CLOCK_BEHIND_S:
            text = f"the clock is {behind_s:.0f} s behind the journal; time goes on from where the journal ends"
            self._alarm(text)
        if self.journal.torn_tail_bytes:
            sure = "" if self._settings.durability is Durability.SYNCED else "unless the power failed, "
            self._alarm(
                f"{self.journal.torn_tail_bytes} bytes of a turn that was not recorded whole were cut off the "
                f"journal's end; {sure}nothing of it was acted upon"
            )

    def _begin(self, last_ns: int) -> None:
        """Tell the core that a process is there, and what of the one before does not go on."""
        settings, dispatcher = self._settings, self.dispatcher
        dispatcher.post(
            SessionStarted(
                last_ns=last_ns,
                now_ns=dispatcher.now_ns(),
                epoch=self.journal.epoch,
                version=__version__,
                default_set=settings.default_set,
                same_accounts=settings.same_accounts,
                retire_ns=to_ns(settings.retire_s),
                forget_ns=to_ns(settings.forget_s),
            )
        )
        self.journal.sync()  # whatever the power takes, the next session has another number, and its orders other ids
        for doubt in tuple(self._fits.unrecorded.values()):
            self._doubted(doubt)  # of an earlier process, which ended before it could say so
        if settings.resume is None:
            return
        # Before a venue is there: what is to go must not place anything first.
        for parent in tuple(self._core.parents.at_work.values()):
            if parent.id not in settings.resume:
                dispatcher.post(
                    CancelAsked(now_ns=dispatcher.now_ns(), parent_no=parent.no, reason="left by an earlier process")
                )

    async def _see_what_rests(self) -> None:
        """Give the books of resting orders a moment to come: who sees none withdraws them, and loses their place."""
        dispatcher = self.dispatcher
        for adapter in self._venues.adapters:
            resting = [
                dispatcher.feed(adapter.name, parent.instrument.symbol)
                for parent in self._core.parents.at_work.values()
                if parent.venue == adapter.name and parent.active and parent.open_children
            ]
            if resting:
                dispatcher.listen(adapter)
            with anyio.move_on_after(BOOK_WAIT_S):
                for feed in resting:
                    while feed.view(dispatcher.now_ns()).trust is not Trust.OK:  # noqa: ASYNC110 - nobody is told of a book
                        await anyio.sleep(BOOK_POLL_S)

    def _look_out(self) -> None:
        """Go on looking at what changes without anybody saying so: files, silence, a signal."""
        if self._settings.params_poll_s:
            self._tasks.start_soon(uninterrupted(self._watch_params))
        if self._settings.checkpoint_bytes:
            self._tasks.start_soon(uninterrupted(self.checkpoints.keep), self.dispatcher)
        Lookout(self.dispatcher, alarm=self._alarms.append).start()
        self._tasks.start_soon(uninterrupted(self.outside.watch), self._tasks)
        if self._settings.kill_signal:
            self._tasks.start_soon(uninterrupted(self.outside.hear_signal))

    # --- the end ----------------------------------------------------------------------------------------------------

    async def abandon(self) -> None:
        """Leave the venues after a start that failed."""
        await self._stop_caring()
        for adapter in reversed(self._connected):
            await adapter.disconnect()

    async def withdraw(self) -> list[ClOrdId]:
        """Cancel every parent and wait, for a time, until nothing of theirs rests; returns what may rest all the same.

        A router that can record nothing has asked for all cancels already, and can take in no answer.
        """
        if self.dispatcher.fault is None:
            parents = tuple(self._core.parents.at_work.values())
            for parent in parents:
                self.dispatcher.post(CancelAsked(now_ns=self.dispatcher.now_ns(), parent_no=parent.no, shutdown=True))
            with self._patience, anyio.move_on_after(self._settings.shutdown_s):
                for parent in parents:
                    await self._handles.of(parent).ended()
        return [child.order.cl_ord_id for child in open_children(self._core)]

    def hurry(self) -> None:
        """`withdraw` waits no longer."""
        self._patience.cancel()

    async def disconnect(self) -> None:
        """Leave the venues."""
        await self._stop_caring()
        # Backwards: what was opened last, tasks included, must be closed first.
        for adapter in reversed(self._venues.adapters):
            if self._settings.dead_man_s:
                await self.care.leave_dead_man(adapter)
            await adapter.disconnect()

    def stop_timers(self) -> None:
        """No timer fires any more."""
        self._scheduler.stop()

    # --- what goes on meanwhile -------------------------------------------------------------------------------------

    def _care_by(self, keep: Callable[[], Awaitable[None]]) -> None:
        """Run something that goes on asking venues, until they are left."""
        scope, ended = anyio.CancelScope(), anyio.Event()
        self._caring.append((scope, ended))

        async def run() -> None:
            try:
                with scope:
                    await keep()
            finally:
                ended.set()

        self._tasks.start_soon(uninterrupted(run))

    async def _stop_caring(self) -> None:
        """Nobody asks a venue anything any more: one that is closed would answer with an error."""
        caring, self._caring = self._caring, []
        for scope, _ in caring:
            scope.cancel()
        for _, ended in caring:
            await ended.wait()

    def reload_params(self) -> list[Adopted | Refused]:
        """Look for changed param-set files; see `Router.reload_params`."""
        news = self._store.reload()
        self.adopt_sets()  # also without news: a set may have become valid since
        return news

    def adopt_sets(self) -> None:
        """Tell the core, once, every set whose content is not in force yet."""
        now = self.dispatcher.now_ns()
        for name, param_set in self._store.in_force(now_ns=now).items():
            current = self._core.in_force.sets.get(name)
            known = self._offered.get(name, "" if current is None else current.digest)
            if known != param_set.digest:
                self._offered[name] = param_set.digest
                self.dispatcher.record(
                    ParamsAdopted(now_ns=now, name=name, digest=param_set.digest, text=param_set.text)
                )

    async def _watch_params(self) -> None:
        while True:
            await anyio.sleep(self._settings.params_poll_s)
            if self.dispatcher.fault is not None:
                return
            for news in self.reload_params():
                if isinstance(news, Refused):
                    text = f"param-set {news.where}:{news.line} is refused, the old one stays: {news.reason}"
                    self._alarm(text)

    def _tell(self, happening: Happening) -> None:
        parent = self._core.parents[happening.parent_no - 1]
        if self._core.in_force.experiments:
            self.trials.told(happening)
        self._handles.tell(parent, happening)
        if happening.report is not None:
            self.care.heard(parent)

    def _came_back(self) -> None:
        self.care.came_back()  # it is made after the dispatcher, whose venues it looks after

    def _doubted(self, doubt: Doubt) -> None:
        """Outcomes contradict a fit: what is fitted is not rested by any more, and that is a fact like any other."""
        if doubt.fit.fitted:
            self.dispatcher.record(doubt.fact(self.dispatcher.now_ns()))
        else:
            self._alarm(doubt.text)

    def _alarm(self, text: str) -> None:
        """An alarm of the shell's own, about no parent and no venue."""
        self._alarms.append(Alarm(0, VenueName(""), text, halts=False))
