"""The shell: the only module with tasks, timers and files. Runs on asyncio (uvloop too) and on trio.

    async with Router(settings, venues=[adapter]) as router:
        handle = await router.submit(ParentOrder(...))
        print(await handle.result())

A parent is on disk before `submit` returns. Leaving the block cancels every parent and waits until nothing of ours
rests any more; what could not be confirmed in time is named in the error, never passed over.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from secrets import randbelow
from types import TracebackType
from weakref import WeakValueDictionary

import anyio
import anyio.abc
import msgspec

from sor import __version__
from sor.adapter import AccountState, Keyed, Recalling, Selective, Situated, VenueAdapter
from sor.caretaker import Caretaker, Listener, all_of, open_children
from sor.child import Life
from sor.clock import Clock, LoopScheduler, OpenClock
from sor.commands import Alarm, Happening
from sor.decide import Recorded as RecordedDecisions
from sor.decide import decide
from sor.dispatch import Dispatcher, identity_of
from sor.errors import CallerError, InDoubt, JournalFault, NotSent, VenueFault
from sor.events import (
    AmendAsked,
    AnyFact,
    CancelAsked,
    FitTrusted,
    HaltLifted,
    ModeSet,
    ParamsAdopted,
    PauseAsked,
    Reported,
    ResumeAsked,
    SessionStarted,
    Submitted,
    TradingMode,
)
from sor.experiment.door import assigned_of, with_arm
from sor.experiment.keeper import Keeper
from sor.fit_watch import Doubt, FitWatches, WatchedRecorder
from sor.halts import check_lift
from sor.handle import ParentHandle
from sor.ids import EPOCH_BOUND, ClOrdId, ParentId, VenueName
from sor.instruments import Instrument, canonical_symbol
from sor.intake import Foresight, admit, as_recorded, check_amend, check_size, listed, parent_of, preview
from sor.journal import Durability, Journal, Record, turns
from sor.journal.switch import SwitchAsked, switch_asked, take_switch
from sor.journal.wanted import LiftAsked, asked_in, refuse_wanted, take_wanted, wanted
from sor.kill import marked
from sor.lookout import Lookout
from sor.market import MarketView, Trust
from sor.orders import (
    Action,
    ExecType,
    ExecutionReceipt,
    ExecutionReport,
    Intent,
    ParentOrder,
)
from sor.params import Adopted, ParamStore, Refused
from sor.parent import Parent, ParentLife
from sor.plugins import Plugins
from sor.policy import Decision
from sor.recall import recalled
from sor.reconciliation import Reconciled as Reconciled
from sor.reconciliation import check_memory
from sor.records import receipt_of
from sor.recovery import fold
from sor.router import Core
from sor.settings import Settings as Settings
from sor.units import NS, to_ns

CLOCK_BEHIND_S = 1.0
"""A wall clock this far behind the journal is an alarm: it was set back, or was wrong before."""
BOOK_WAIT_S = 3.0
"""How long a start waits for the books of what rests."""
BOOK_POLL_S = 0.01
ENDED_HANDLES_MAX = 1_000
"""Handles of ended parents that are kept, with all their happenings, when nobody holds them; then the oldest go."""


OpenJournal = Callable[[Settings], Journal]


class Router:
    """A running router. Use it as an async context manager; its methods belong to the loop that entered it."""

    def __init__(
        self,
        settings: Settings,
        *,
        venues: Sequence[VenueAdapter],
        plugins: Plugins | None = None,
        open_clock: OpenClock = LoopScheduler,
        open_journal: OpenJournal | None = None,
    ) -> None:
        """`plugins`: its policies and schedules, all that are installed when None.

        open_clock, open_journal    another time than the real one, another disk: the simulator's business.
        """
        if not venues:
            raise CallerError("a router needs at least one venue; nothing was started")
        check_memory(settings)
        self._settings = settings
        self._adapters = tuple(venues)
        self._connected: list[VenueAdapter] = []
        self._handles: WeakValueDictionary[int, ParentHandle] = WeakValueDictionary()
        self._at_work: dict[int, ParentHandle] = {}
        self._ended: deque[ParentHandle] = deque(maxlen=ENDED_HANDLES_MAX)
        self._alarms: deque[Alarm] = deque(maxlen=1_000)
        self._fits = FitWatches()
        self._listener: Listener | None = None
        self._store = ParamStore(*settings.param_dirs)
        self._offered: dict[str, str] = {}
        self._journal: Journal | None = None
        self._tasks: anyio.abc.TaskGroup | None = None
        self._plugins = plugins
        self._open_clock = open_clock
        self._open_journal = open_journal or journal_of
        self._scheduler: Clock | None = None
        self._dispatcher: Dispatcher | None = None
        self._caretaker: Caretaker | None = None
        self._patience: anyio.CancelScope | None = None
        self._stuck: SwitchAsked | None = None
        self._keeper: Keeper | None = None
        self._unremoved: dict[Path, None] = {}
        self._caring: list[tuple[anyio.CancelScope, anyio.Event]] = []
        self.core = Core(policies={}, schedules={}, decider=decide)
        self.recovered: Reconciled | None = None
        """What was found at the venues at the start."""

    # --- life ---------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Router:
        settings = self._settings
        self._check_environment()
        for adapter in self._adapters:
            if isinstance(adapter, Keyed):
                adapter.check_keys()  # before a journal is made that nobody will use
        journal = self._open_journal(settings)
        tasks = anyio.create_task_group()
        await tasks.__aenter__()
        try:
            await self._start(journal, tasks)
        except BaseException:
            self._dispatcher = None
            try:
                with anyio.CancelScope(shield=True):
                    await self._stop_caring()
                    for adapter in reversed(self._connected):
                        await adapter.disconnect()
            finally:
                self._stop_tasks(tasks)
                try:
                    await tasks.__aexit__(None, None, None)
                finally:
                    journal.close()
            raise
        self._tasks = tasks
        return self

    def _alarm(self, text: str) -> None:
        """An alarm of the shell's own, about no parent and no venue."""
        self._alarms.append(Alarm(0, VenueName(""), text, halts=False))

    def _doubted(self, doubt: Doubt) -> None:
        """Outcomes contradict a fit: what is fitted is not rested by any more, and that is a fact like any other."""
        if doubt.fit.fitted:
            self._post(doubt.fact(self._now()))
        else:
            self._alarm(doubt.text)

    def _seen_again(self, path: Path) -> Iterator[list[Record]]:
        """The turns of the journal so far; fits are watched as if it had never stopped, and no alarm is repeated."""
        for turn in turns(path):
            for record in turn.records:
                self._fits.see(record)  # what it doubts and no record has told is told by the start
            yield turn.records

    async def _start(self, journal: Journal, tasks: anyio.abc.TaskGroup) -> None:
        """Fold the journal, connect, and let its parents go on last: a start that fails has placed nothing."""
        settings = self._settings
        self._journal = journal
        self._patience = anyio.CancelScope()
        plugins = self._plugins or Plugins.installed()
        self.core = fold(
            self._seen_again(journal.path),
            policies=plugins.policies,
            schedules=plugins.schedules,
            decisions=RecordedDecisions(),
        )
        self.core.deciding.decider = decide
        last_ns = self.core.now_ns
        self._check_venues()
        scheduler = self._scheduler = self._open_clock(self.core.now_ns)
        behind_s = scheduler.behind_ns / NS
        if behind_s > CLOCK_BEHIND_S:
            text = f"the clock is {behind_s:.0f} s behind the journal; time goes on from where the journal ends"
            self._alarm(text)
        if journal.torn_tail_bytes:
            sure = "" if settings.durability is Durability.SYNCED else "unless the power failed, "
            self._alarm(
                f"{journal.torn_tail_bytes} bytes of a turn that was not recorded whole were cut off the journal's "
                f"end; {sure}nothing of it was acted upon"
            )
        dispatcher = self._dispatcher = Dispatcher(
            self.core,
            scheduler=scheduler,
            recorder=WatchedRecorder(journal, self._fits, self._doubted),
            tell=self._tell,
            alarm=self._alarms.append,
            stopped=self._give_up,
            back=self._came_back,
            gathers=settings.durability is Durability.SYNCED,
        )
        care = self._caretaker = Caretaker(
            self.core,
            dispatcher,
            settings=settings,
            adapters=self._adapters,
            alarm=self._alarms.append,
            listener=self._listener,
        )
        sinks = [dispatcher.sink(adapter) for adapter in self._adapters]
        self._store.get(settings.default_set, now_ns=scheduler.now_ns())
        self._adopt_sets()
        dispatcher.post(
            SessionStarted(
                last_ns=last_ns,
                now_ns=scheduler.now_ns(),
                epoch=journal.epoch,
                version=__version__,
                default_set=settings.default_set,
                same_accounts=settings.same_accounts,
                retire_ns=to_ns(settings.retire_s),
                forget_ns=to_ns(settings.forget_s),
            )
        )
        journal.sync()  # whatever the power takes, the next session has another number, and its orders other ids
        for doubt in tuple(self._fits.unrecorded.values()):
            self._doubted(doubt)  # of an earlier process, which ended before it could say so
        if settings.resume is not None:
            # Before a venue is there: what is to go must not place anything first.
            for parent in tuple(self.core.parents.at_work.values()):
                if parent.id not in settings.resume:
                    dispatcher.post(
                        CancelAsked(now_ns=scheduler.now_ns(), parent_no=parent.no, reason="left by an earlier process")
                    )
        self._keeper = Keeper(self.core, post=dispatcher.post, scheduler=scheduler)
        self._keeper.resume()
        self._heed_wanted(journal.path)
        self._heed_switch(journal.path)
        tasks.start_soon(scheduler.run)
        learned: dict[VenueName, bool] = {}
        met: list[Reconciled] = []
        for adapter, sink in zip(self._adapters, sinks, strict=True):
            if isinstance(adapter, Recalling):
                for order in recalled(self.core, adapter.name):
                    adapter.recall(order)
            await adapter.connect(sink, scheduler)
            self._connected.append(adapter)
            self._check_account(adapter)
            met.append(await care.meet(adapter))
            if settings.dead_man_s:
                await care.arm_dead_man(adapter)
                self._care_by(tasks, partial(care.keep_dead_man, adapter))
            learned[adapter.name] = await care.learn_positions(adapter)
        for spelling in settings.watch:
            instrument = self._watched(spelling)
            dispatcher.feed(instrument.venue, instrument.symbol)
        self.recovered = all_of(met)
        await self._see_what_rests(dispatcher)
        for adapter in self._adapters:
            dispatcher.connected(adapter)
            self._care_by(tasks, partial(care.keep_refreshed, adapter))
            self._care_by(tasks, partial(care.keep_positions, adapter, learned[adapter.name]))
        self._care_by(tasks, care.keep_reconciled)
        if settings.params_poll_s:
            tasks.start_soon(self._watch_params)
        Lookout(dispatcher, alarm=self._alarms.append).start()
        tasks.start_soon(self._watch_switch, tasks)
        if settings.kill_signal:
            tasks.start_soon(self._hear_signal)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel every parent, wait until nothing of ours rests, close.

        Raises `InDoubt`, naming the orders, when that could not be confirmed within `shutdown_s`; what the block itself
        raised is then its context.
        """
        dispatcher, tasks, journal = self._dispatcher, self._tasks, self._journal
        assert dispatcher is not None
        assert tasks is not None
        assert journal is not None
        left: list[ClOrdId] = []
        try:
            # Shielded: a cancelled caller (Ctrl-C) must not leave orders behind.
            with anyio.CancelScope(shield=True):
                await self._withdraw_everything(dispatcher)
                left = [child.order.cl_ord_id for child in open_children(self.core)]
                await self._stop_caring()
                # Backwards: what was opened last, tasks included, must be closed first.
                for adapter in reversed(self._adapters):
                    if self._settings.dead_man_s:
                        await self._care.leave_dead_man(adapter)
                    await adapter.disconnect()
        finally:
            # Outside the shield, whose scope lies within that of the tasks. A cancelled caller may end here.
            self._tasks = None
            self._stop_tasks(tasks)
            try:
                await tasks.__aexit__(None, None, None)
            finally:
                journal.close()
                if left:
                    raise InDoubt(
                        f"left with {len(left)} orders not confirmed gone: {', '.join(left)}. Start the router again "
                        "on the same journal to settle them, or cancel them at the venue"
                    )

    async def _withdraw_everything(self, dispatcher: Dispatcher) -> None:
        """Cancel every parent and wait, for a time, until nothing of theirs rests."""
        if dispatcher.fault is not None:
            return  # it has asked for all cancels already, and can record no answer
        parents = tuple(self.core.parents.at_work.values())
        for parent in parents:
            dispatcher.post(CancelAsked(now_ns=self._now(), parent_no=parent.no, shutdown=True))
        assert self._patience is not None
        with self._patience, anyio.move_on_after(self._settings.shutdown_s):
            for parent in parents:
                await self._handle(parent).ended()

    async def _see_what_rests(self, dispatcher: Dispatcher) -> None:
        """Give the books of resting orders a moment to come: who sees none withdraws them, and loses their place."""
        for adapter in self._adapters:
            resting = [
                dispatcher.feed(adapter.name, parent.instrument.symbol)
                for parent in self.core.parents.at_work.values()
                if parent.venue == adapter.name and parent.active and parent.open_children
            ]
            if resting:
                dispatcher.listen(adapter)
            with anyio.move_on_after(BOOK_WAIT_S):
                for feed in resting:
                    while feed.view(self._now()).trust is not Trust.OK:  # noqa: ASYNC110 - nobody is told of a book
                        await anyio.sleep(BOOK_POLL_S)

    def _care_by(self, tasks: anyio.abc.TaskGroup, keep: Callable[[], Awaitable[None]]) -> None:
        """Run something that goes on asking venues, until they are left."""
        scope, ended = anyio.CancelScope(), anyio.Event()
        self._caring.append((scope, ended))

        async def run() -> None:
            try:
                with scope:
                    await keep()
            finally:
                ended.set()

        tasks.start_soon(run)

    async def _stop_caring(self) -> None:
        """Nobody asks a venue anything any more: one that is closed would answer with an error."""
        caring, self._caring = self._caring, []
        for scope, _ in caring:
            scope.cancel()
        for _, ended in caring:
            await ended.wait()

    def _stop_tasks(self, tasks: anyio.abc.TaskGroup) -> None:
        tasks.cancel_scope.cancel()
        if self._scheduler is not None:
            self._scheduler.stop()

    def hurry(self) -> None:
        """Leaving waits no longer: what is not confirmed gone by then is named in the `InDoubt` that it raises."""
        if self._patience is not None:
            self._patience.cancel()

    # --- what strategies call -----------------------------------------------------------------------------------

    async def submit(self, order: ParentOrder) -> ParentHandle:
        """Hand a parent order in; it is on disk when this returns. The same order again is the same parent (P4).

        Raises, with nothing sent, `CallerError` for one that makes no sense, `VenueFault` while its symbol is halted,
        and `JournalFault` when it cannot be recorded.
        """
        return self._submit(order, None)

    def preview(self, order: ParentOrder) -> Decision:
        """What the order's policy would decide now, alternatives with their expected costs included; nothing is sent.

        Raises as `foresee`.
        """
        return self.foresee(order).decision

    def foresee(self, order: ParentOrder) -> Foresight:
        """What `preview` says, and what the risk gate would say of each placement.

        Raises `CallerError` for an order that would be refused, and while its market is not known.
        """
        venue = self._admit(order)
        if isinstance(venue, Parent):
            raise CallerError(f"parent {order.parent_id!r} is submitted already; preview another id")
        now_ns = self._now()
        order = with_arm(order, assigned_of(self.core, order, venue, now_ns=now_ns))
        return preview(self.core, order, venue, self._running().look(venue, order.symbol), now_ns=now_ns)

    def market(self, symbol: str, *, venue: VenueName | None = None) -> MarketView:
        """What is known now of the market of `symbol`, in any spelling, which is followed from the first question on.

        venue     None: the first that lists it. Raises `CallerError` where none does.
        """
        instrument = listed(self.core, symbol, () if venue is None else (venue,))
        return self._running().look(instrument.venue, instrument.symbol)

    async def submit_intent(self, intent: Intent) -> ExecutionReceipt:
        """Carry an intent out and answer with its receipt (P2). Raises as `submit`.

        A plain limit order that an intent asks for is answered once it rests; everything else once it has ended. Its
        leverage is set before anything is sent, on entering only; where that fails, nothing is sent.
        """
        self._running()
        self._check_tradable(intent.asset)
        if intent.leverage is None and intent.action is Action.ENTER:
            # Into the journal with it: whoever enters by default holds on to that leverage like everybody else (B3).
            intent = msgspec.structs.replace(intent, leverage=self._settings.intent_leverage)
        order = parent_of(self.core, intent, policy=self._settings.intent_policy)
        leverage: int | None = None
        if intent.leverage is None or intent.action is Action.EXIT or order.parent_id in self.core.by_id:
            handle = self._submit(order, intent)
        else:
            handle, leverage = await self._enter(order, intent, intent.leverage)
        if order.limit is None:
            await handle.ended()
        else:
            await handle.answered()
        receipt = receipt_of(handle.parent, intent, self.core, now_ns=self._now())
        return receipt if leverage is None else msgspec.structs.replace(receipt, leverage=leverage)

    def cancel(self, parent_id: ParentId, reason: str = "") -> None:
        """Ask for a parent's end; `reason` goes into its record. Raises `CallerError` when there is none of that id."""
        asked = CancelAsked(now_ns=self._now(), parent_no=self._parent(parent_id).no, reason=reason)
        self._post(as_recorded(asked))

    def pause(self, parent_id: ParentId) -> None:
        """Withdraw what rests and wait; the deadline runs on."""
        self._post(PauseAsked(now_ns=self._now(), parent_no=self._parent(parent_id).no))

    def resume(self, parent_id: ParentId) -> None:
        """Go on after a pause."""
        self._post(ResumeAsked(now_ns=self._now(), parent_no=self._parent(parent_id).no))

    def amend(
        self,
        parent_id: ParentId,
        *,
        quantity: Decimal | None = None,
        limit: Decimal | None = None,
        deadline_s: float | None = None,
        urgency: float | None = None,
    ) -> None:
        """New terms for a working parent (P5); None leaves a term alone. Raises `CallerError`, nothing changed."""
        parent = self._parent(parent_id)
        asked = as_recorded(
            AmendAsked(
                now_ns=self._now(),
                parent_no=parent.no,
                quantity=quantity,
                limit=limit,
                deadline_s=deadline_s,
                urgency=urgency,
            )
        )
        check_amend(parent, asked)
        self._post(asked)

    def set_mode(self, mode: TradingMode, reason: str) -> None:
        """Move the kill switch: HALTED ends every parent and withdraws everything of ours.

        Raises `CallerError`, nothing changed, for what is no mode.
        """
        self._post(as_recorded(ModeSet(now_ns=self._now(), mode=mode, reason=reason)))

    async def kill(self, reason: str) -> tuple[ClOrdId, ...]:
        """Halt everything, withdraw what is ours, and read the venues' open orders to see that it is gone.

        Returns    what of ours is there still after `shutdown_s`; empty is the venues' own word that nothing is.
        Raises     `NotSent` or `InDoubt` when a venue cannot be asked; it is halted all the same.
        """
        self.set_mode(TradingMode.HALTED, reason)
        return await self._what_is_left()

    def lift_halt(self, venue: VenueName, symbol: str, *, reason: str) -> None:
        """Somebody has looked at a halted symbol and takes responsibility for trading on.

        Raises `CallerError`, nothing changed, where it is not halted, or an order of it is not known to be over.
        """
        lifted = check_lift(self.core, venue, canonical_symbol(symbol))
        self._post(as_recorded(HaltLifted(now_ns=self._now(), venue=venue, symbol=lifted, reason=reason)))

    def trust_fit(self, name: str, *, reason: str) -> None:
        """Somebody has looked at a set that outcomes contradict and takes responsibility: orders rest by it again.

        name      of the set, or of the family whose set it is. Another content of it is trusted anyway.
        Raises    `CallerError`, nothing changed, where nothing contradicts it.
        """
        doubted = dict.fromkeys(told.set_id for told in self.core.in_force.doubted_fits.values())
        newest = self.core.in_force.sets.get(name)
        set_id = name if name in doubted or newest is None else newest.set_id
        if set_id not in doubted:
            listing = ", ".join(doubted) or "nothing"
            raise CallerError(f"outcomes do not contradict {name!r}, nothing was changed. They contradict {listing}")
        self._post(as_recorded(FitTrusted(now_ns=self._now(), set_id=set_id, reason=reason)))

    def settle(self, cl_ord_id: ClOrdId, *, filled: Decimal, reason: str) -> None:
        """Somebody has looked an order in doubt up at the venue and takes responsibility: it is over, with this fill.

        For what the router cannot settle by evidence: a venue that gives no bound, or has forgotten the order.

        filled    its total filled quantity; what is known already cannot be taken back.
        Raises    `CallerError`, nothing changed, unless it is an order of ours in doubt.
        """
        child = self.core.desk.children.get(cl_ord_id)
        if child is None or child.life is not Life.IN_DOUBT:
            raise CallerError(f"{cl_ord_id!r} is no order of ours in doubt; nothing was changed")
        instrument = self.core.parents[child.parent_no - 1].instrument
        lots = instrument.lots(filled) if filled else 0
        if not child.counted_lots <= lots <= child.reserved_lots:
            low, high = instrument.quantity(child.counted_lots), instrument.quantity(child.reserved_lots)
            raise CallerError(f"{cl_ord_id} has filled {low} to {high}, not {filled}; nothing was changed")
        report = ExecutionReport(
            venue=child.venue,
            symbol=instrument.symbol,
            cl_ord_id=cl_ord_id,
            exec_type=ExecType.CANCELED,
            cum_lots=lots,
            text=f"settled by hand: {reason}",
        )
        self._post(Reported(now_ns=self._now(), report=report, mid_hticks=0))

    def parents(self) -> tuple[ParentHandle, ...]:
        """Handles of all parents of the journal that are not forgotten, also those from before a restart."""
        return tuple(self._handle(parent) for parent in self.core.parents)

    def handle(self, parent_id: ParentId) -> ParentHandle:
        """The handle of a parent of this journal. Raises `CallerError` when there is none of that id."""
        return self._handle(self._parent(parent_id))

    def alarms(self) -> tuple[Alarm, ...]:
        """What somebody should look at, oldest first, of this process."""
        return tuple(self._alarms)

    async def state(self, venue: VenueName) -> AccountState:
        """The venue's word on capital and positions. Raises `CallerError`, `NotSent` or `InDoubt`."""
        return await self._adapter(venue).account()

    def follow(self, listener: Listener) -> None:
        """Tell `listener` what venues say of the account after fills; one at most, from the next start on."""
        self._listener = listener

    async def reconcile(self, symbol: str | None = None) -> Reconciled:
        """Set the venues' open orders and fills beside ours: strays are canceled, others are not touched.

        symbol     open orders of this one only, in any spelling.
        Raises     `NotSent` or `InDoubt` when a venue cannot be asked.
        """
        self._running()
        return await self._care.reconcile(symbol)

    def reload_params(self) -> list[Adopted | Refused]:
        """Look for changed param-set files now; a bad one is refused whole and the old set stays."""
        news = self._store.reload()
        self._adopt_sets()  # also without news: a set may have become valid since
        return news

    # --- inside -------------------------------------------------------------------------------------------------

    def _submit(self, order: ParentOrder, intent: Intent | None) -> ParentHandle:
        self._running()
        venue = self._admit(order)
        if isinstance(venue, Parent):
            return self._handle(venue)
        feed = self._running().feed(venue, canonical_symbol(order.symbol))
        assigned = assigned_of(self.core, order, venue, now_ns=self._now())
        check_size(self.core, with_arm(order, assigned), venue, feed, now_ns=self._now())
        if order.schedule_args:  # the caller may change his dictionary, but not what was recorded
            order = msgspec.structs.replace(order, schedule_args=dict(order.schedule_args))
        # The handle must be there before the parent can end, which may happen within the turn.
        self._post(Submitted(now_ns=self._now(), order=order, venue=venue, intent=intent, assigned=assigned))
        self._trials.given(assigned)
        return self._handle(self.core.by_id[order.parent_id])

    def _handle(self, parent: Parent) -> ParentHandle:
        handle = self._handles.get(parent.no)
        if handle is None:
            handle = self._handles[parent.no] = ParentHandle(parent, core=self.core, cancel=self.cancel)
            if not parent.ended:
                self._at_work[parent.no] = handle
                if self._dispatcher is not None and self._dispatcher.fault is not None:
                    handle.give_up(self._dispatcher.fault)
        return handle

    def _tell(self, happening: Happening) -> None:
        parent = self.core.parents[happening.parent_no - 1]
        if self.core.in_force.experiments:
            self._trials.told(happening)
        handle = self._handle(parent)
        handle.tell(happening)
        if happening.report is not None:
            self._care.heard(parent)
        if parent.ended:
            self._at_work.pop(parent.no, None)
            if not self._ended or self._ended[-1] is not handle:
                self._ended.append(handle)

    def _came_back(self) -> None:
        self._care.came_back()

    def _give_up(self, fault: JournalFault) -> None:
        """Nothing more will be heard of any parent: whoever waits for one is told why."""
        for handle in self._at_work.values():
            handle.give_up(fault)

    def _running(self) -> Dispatcher:
        dispatcher = self._dispatcher
        if dispatcher is None:
            raise CallerError("the router is not running; nothing was sent. Use it as `async with Router(...)`")
        if dispatcher.fault is not None:
            raise dispatcher.fault
        return dispatcher

    @property
    def _care(self) -> Caretaker:
        assert self._caretaker is not None, "it is running"
        return self._caretaker

    @property
    def _trials(self) -> Keeper:
        assert self._keeper is not None, "it is running"
        return self._keeper

    def _post(self, fact: AnyFact) -> None:
        self._running().post(fact)

    def _now(self) -> int:
        return self._running().scheduler.now_ns()

    def _parent(self, parent_id: ParentId) -> Parent:
        parent = self.core.by_id.get(parent_id)
        if parent is None:
            raise CallerError(f"there is no parent {parent_id!r}; nothing was changed")
        return parent

    def _adapter(self, venue: VenueName) -> VenueAdapter:
        for adapter in self._adapters:
            if adapter.name == venue:
                return adapter
        known = ", ".join(adapter.name for adapter in self._adapters)
        raise CallerError(f"venue {venue!r} is not configured. Configured: {known}")

    def _check_environment(self) -> None:
        """Raises `CallerError` for a venue that is not in the environment of the journal (B7)."""
        said = self._settings.environment.value
        for adapter in self._adapters:
            if isinstance(adapter, Situated) and adapter.environment != said:
                raise CallerError(
                    f"orders on {adapter.name} would be {adapter.environment}, and this router's are to be {said}; "
                    "nothing was started. Say in its settings which environment is meant: demo and live never mix"
                )

    def _check_account(self, adapter: VenueAdapter) -> None:
        """Raises `CallerError` for a venue that is connected with another account than that of its orders here."""
        stranger = self.core.stranger(adapter.name, identity_of(adapter))
        if stranger:
            raise CallerError(
                f"{stranger}. They would not be found there and count as never sent, so nothing was looked up and "
                "nothing was sent. Start with the keys of that account until they have ended, or use another journal "
                "for this one; if it is the same account under another name, say so (`same_accounts`, `--same-account`)"
            )

    def _check_venues(self) -> None:
        """Raises `CallerError` when the journal has parents at work where this router does not trade."""
        names = [adapter.name for adapter in self._adapters]
        mine = self._settings.account
        for parent in self.core.parents.at_work.values():
            if parent.venue in names and parent.order.account == mine:
                continue
            raise CallerError(
                f"parent {parent.id!r} of this journal is at work on {parent.venue}, account {parent.order.account!r}, "
                f"which is not configured; nothing was started. Configured: {', '.join(names)}, account {mine!r}"
            )

    def _admit(self, order: ParentOrder) -> VenueName | Parent:
        """Check an order as `intake.admit` does, and that it is for the account that these venues trade."""
        mine = self._settings.account
        if order.account != mine:
            raise CallerError(f"account {order.account!r} is not traded here; nothing was sent. This is {mine!r}")
        self._check_tradable(order.symbol)
        return admit(self.core, order)

    def _check_tradable(self, spelling: str) -> None:
        """Raises `CallerError`, with the reason, for a symbol that a venue lists and does not let be traded now."""
        symbol = canonical_symbol(spelling)
        if any((adapter.name, symbol) in self.core.in_force.instruments for adapter in self._adapters):
            return
        for adapter in self._adapters:
            why = adapter.why_not(symbol) if isinstance(adapter, Selective) else ""
            if why:
                raise CallerError(f"{spelling!r} cannot be traded on {adapter.name} now: {why}; nothing was sent")

    def _watched(self, spelling: str) -> Instrument:
        """The instrument to watch: on the first venue that lists it. Raises `CallerError` where none does."""
        symbol = canonical_symbol(spelling)
        for adapter in self._adapters:
            instrument = self.core.in_force.instruments.get((adapter.name, symbol))
            if instrument is not None:
                return instrument
        raise CallerError(f"{spelling!r}, which is to be watched, is listed on no venue; nothing was started")

    async def _enter(self, order: ParentOrder, intent: Intent, leverage: Decimal) -> tuple[ParentHandle, int | None]:
        """Submit an order once its leverage is in force; nobody else sets that symbol's in between (B3)."""
        venue = self._admit(order)
        assert not isinstance(venue, Parent), "its id is not known yet"
        symbol = canonical_symbol(order.symbol)
        care = self._care
        async with care.alone(venue, symbol):
            if order.parent_id in self.core.by_id:  # the same intent was quicker
                return self._submit(order, intent), None
            in_force = await care.set_leverage(self._adapter(venue), symbol, strategy=order.strategy, leverage=leverage)
            return self._submit(order, intent), in_force

    def _adopt_sets(self) -> None:
        """Tell the core, once, every set whose content is not in force yet."""
        now = self._now()
        for name, param_set in self._store.in_force(now_ns=now).items():
            current = self.core.in_force.sets.get(name)
            known = self._offered.get(name, "" if current is None else current.digest)
            if known != param_set.digest:
                self._offered[name] = param_set.digest
                self._post(ParamsAdopted(now_ns=now, name=name, digest=param_set.digest, text=param_set.text))

    async def _what_is_left(self) -> tuple[ClOrdId, ...]:
        """Wait until nothing is at work that the switch forbids, then ask the venues whether it is so."""
        mode = self.core.breakers.mode
        with anyio.move_on_after(self._settings.shutdown_s):
            while any(one.life is ParentLife.STOPPING for one in self.core.parents.at_work.values()):  # noqa: ASYNC110
                await anyio.sleep(BOOK_POLL_S)
        left: list[ClOrdId] = []
        for adapter in self._adapters:
            orders = await adapter.open_orders()
            codec = adapter.capabilities.client_ids
            left += [one.cl_ord_id for one in marked(orders, codec, epoch=self.core.desk.epoch, mode=mode)]
        return tuple(left)

    def _heed_switch(self, journal: Path) -> bool:
        """Move the kill switch if somebody has asked for it; whether trading was restricted."""
        asked = switch_asked(journal)
        if asked is None or asked == self._stuck:
            return False
        self.set_mode(asked.mode, asked.reason)
        self._alarm(f"trading is {asked.mode.value} from now on, as was asked for: {asked.reason}")
        self._stuck = None
        try:
            take_switch(journal)
        except OSError as error:
            self._stuck = asked
            self._alarm(f"what was asked for is in force, but its file cannot be removed: {error}")
        return asked.mode is not TradingMode.ACTIVE

    def _heed_wanted(self, journal: Path) -> None:
        """Start and stop experiments and lift halts as was asked for; what cannot be is refused, with the reason."""
        for path in wanted(journal):
            if path in self._unremoved:
                continue
            try:
                try:
                    asked = asked_in(path)
                    if isinstance(asked, LiftAsked):
                        self.lift_halt(VenueName(asked.venue), asked.symbol, reason=asked.reason)
                        self._alarm(f"{asked.symbol} on {asked.venue} is halted no more: {asked.reason}")
                    else:
                        self._trials.heed(asked)
                    take_wanted(path)
                except CallerError as error:
                    self._alarm(f"what was asked for is refused: {error}")
                    refuse_wanted(path, str(error))
            except OSError as error:
                self._unremoved[path] = None
                self._alarm(f"what was asked for was heeded, but its file cannot be removed: {error}")

    async def _watch_switch(self, tasks: anyio.abc.TaskGroup) -> None:
        """Go on looking whether somebody wants the kill switch moved, or an experiment started or stopped."""
        assert self._journal is not None
        while True:
            await anyio.sleep(self._settings.switch_poll_s)
            if self._dispatcher is None or self._dispatcher.fault is not None:
                return
            self._heed_wanted(self._journal.path)
            if self._heed_switch(self._journal.path):
                tasks.start_soon(self._say_what_is_left)  # somebody may want it moved on meanwhile

    async def _hear_signal(self) -> None:
        """SIGUSR1 halts everything."""
        with anyio.open_signal_receiver(signal.SIGUSR1) as signals:
            async for _ in signals:
                self.set_mode(TradingMode.HALTED, "signal SIGUSR1")
                self._alarm("trading is halted from now on: SIGUSR1 came")
                await self._say_what_is_left()

    async def _say_what_is_left(self) -> None:
        """Have the venues' word in the alarms."""
        try:
            left = await self._what_is_left()
        except (CallerError, NotSent, InDoubt, VenueFault) as error:
            self._alarm(f"whether anything is left that the switch forbids could not be read: {error}")
            return
        named = ", ".join(left)
        self._alarm(
            f"{len(left)} orders are left that the switch forbids: {named}"
            if left
            else "nothing is left that the switch forbids, by the venues' own word"
        )

    async def _watch_params(self) -> None:
        while True:
            await anyio.sleep(self._settings.params_poll_s)
            if self._dispatcher is None or self._dispatcher.fault is not None:
                return
            for news in self.reload_params():
                if isinstance(news, Refused):
                    text = f"param-set {news.where}:{news.line} is refused, the old one stays: {news.reason}"
                    self._alarm(text)


def journal_of(settings: Settings) -> Journal:
    """The journal of these settings, made if there is none."""
    if (settings.journal / "journal.json").exists():
        return Journal.open(settings.journal, environment=settings.environment, durability=settings.durability)
    return Journal.create(
        settings.journal,
        epoch=randbelow(EPOCH_BOUND),
        environment=settings.environment,
        durability=settings.durability,
    )
