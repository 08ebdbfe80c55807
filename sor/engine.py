"""The shell: the only module with tasks, timers and files. Runs on asyncio (uvloop too) and on trio.

    async with Router(settings, venues=[adapter]) as router:
        handle = await router.submit(ParentOrder(...))
        print(await handle.result())

A parent is on disk before `submit` returns. Leaving the block cancels every parent and waits until nothing of ours
rests any more; what could not be confirmed in time is named in the error, never passed over.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from secrets import randbelow
from types import TracebackType
from weakref import WeakValueDictionary

import anyio
import anyio.abc
import msgspec

from sor import __version__
from sor.adapter import AccountState, DeadMan, OrderRef, VenueAdapter
from sor.child import Child, Life
from sor.clock import LoopScheduler
from sor.commands import Alarm, Happening
from sor.decide import Recorded as RecordedDecisions
from sor.decide import decide
from sor.dispatch import Dispatcher
from sor.errors import CallerError, InDoubt, JournalFault, NotSent
from sor.events import (
    AmendAsked,
    AnyFact,
    CancelAsked,
    HaltLifted,
    ModeSet,
    ParamsAdopted,
    PauseAsked,
    PositionKnown,
    Reported,
    ResumeAsked,
    SessionStarted,
    Submitted,
    TradingMode,
)
from sor.handle import ParentHandle
from sor.ids import EPOCH_BOUND, AccountId, ClOrdId, ParentId, Symbol, VenueName
from sor.instruments import Instrument, canonical_symbol
from sor.intake import admit, as_recorded, check_amend, listed, parent_of, preview
from sor.journal import Durability, Environment, Journal, turns
from sor.market import MarketView
from sor.orders import (
    Action,
    ExecType,
    ExecutionReceipt,
    ExecutionReport,
    Intent,
    ParentOrder,
    PositionSide,
)
from sor.params import Adopted, ParamStore, Refused
from sor.parent import Parent
from sor.plugins import Plugins
from sor.policy import Decision
from sor.records import receipt_of
from sor.recovery import fold
from sor.router import Core
from sor.units import NS

POSITION_QUIET_NS = 5 * NS
"""A venue's word on a position counts where no fill of ours is younger than this: account reads lag behind fills."""
POSITION_RETRY_S = 1.0
"""Positions that could not be read at all are asked for again after this."""
CLOCK_BEHIND_S = 1.0
"""A wall clock this far behind the journal is an alarm: it was set back, or was wrong before."""
ENDED_HANDLES_MAX = 1_000
"""Handles of ended parents that are kept, with all their happenings, when nobody holds them; then the oldest go."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a router runs.

    journal           directory of the journal; made when it is not there.
    environment       what the venues are; a journal belongs to one and is refused by another.
    durability        KERNEL: every turn is handed to the kernel (survives `kill -9`); SYNCED: to the disk (power loss).
    default_set       param-set of parents that name none.
    param_dirs        further directories of param-sets, searched after the packaged ones.
    watch             symbols, in any spelling, whose books are followed from the start, so that features rest on data
                      when a parent comes. Others are followed from their first parent on.
    intent_policy     policy of intents whose metadata names none.
    resume            which parents of the journal go on where an earlier process left them; others that were still at
                      work are withdrawn before anything else. None: all go on.
    dead_man_s        the venues cancel everything of ours when they have not heard of us for this long; 0 for no such
                      switch. Starting is refused where a venue has none, or where its scope is an account or a symbol
                      that is not declared `exclusive`: it would cancel what others placed there.
    exclusive         nobody but this router trades on the accounts of these venues.
    account           what the account of these venues is called; parents that name another one are refused.
    positions_s       how often the venues' positions are set beside ours: where nothing of ours has moved lately the
                      venue's word counts, and a difference is an alarm. 0 for at the start only.
    reconcile_s       how often the venues' open orders are set beside ours: strays of our own mark are withdrawn, with
                      an alarm. 0 for at the start only.
    shutdown_s        how long leaving waits until everything is withdrawn.
    params_poll_s     how often param-set files are looked at for changes; 0 for never.
    """

    journal: Path
    environment: Environment = Environment.SIMULATED
    durability: Durability = Durability.KERNEL
    default_set: str = "baseline"
    param_dirs: tuple[Path, ...] = ()
    watch: tuple[str, ...] = ()
    intent_policy: str = "cross"
    resume: tuple[ParentId, ...] | None = None
    dead_man_s: float = 0.0
    exclusive: bool = False
    account: AccountId = AccountId("default")
    positions_s: float = 30.0
    reconcile_s: float = 60.0
    shutdown_s: float = 30.0
    params_poll_s: float = 2.0


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """What a reconciliation found: our live orders, strays, which were canceled, and how many are others'.

    A stray carries our mark, and yet nobody works it: it is not in our journal, or was over before the venue was asked.
    """

    ours: tuple[ClOrdId, ...]
    strays: tuple[ClOrdId, ...]
    foreign: int


class Router:
    """A running router. Use it as an async context manager; its methods belong to the loop that entered it."""

    def __init__(self, settings: Settings, *, venues: Sequence[VenueAdapter]) -> None:
        if not venues:
            raise CallerError("a router needs at least one venue; nothing was started")
        self._settings = settings
        self._adapters = tuple(venues)
        self._connected: list[VenueAdapter] = []
        self._handles: WeakValueDictionary[int, ParentHandle] = WeakValueDictionary()
        self._at_work: dict[int, ParentHandle] = {}
        self._ended: deque[ParentHandle] = deque(maxlen=ENDED_HANDLES_MAX)
        self._alarms: deque[Alarm] = deque(maxlen=1_000)
        self._store = ParamStore(*settings.param_dirs)
        self._offered: dict[str, str] = {}
        self._journal: Journal | None = None
        self._tasks: anyio.abc.TaskGroup | None = None
        self._scheduler: LoopScheduler | None = None
        self._dispatcher: Dispatcher | None = None
        self._patience: anyio.CancelScope | None = None
        self.core = Core(policies={}, schedules={}, decider=decide)
        self.recovered: Reconciled | None = None
        """What was found at the venues at the start."""

    # --- life ---------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Router:
        settings = self._settings
        journal = _open_journal(settings)
        tasks = anyio.create_task_group()
        await tasks.__aenter__()
        try:
            await self._start(journal, tasks)
        except BaseException:
            self._dispatcher = None
            try:
                with anyio.CancelScope(shield=True):
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

    async def _start(self, journal: Journal, tasks: anyio.abc.TaskGroup) -> None:
        """Fold the journal, connect, and let its parents go on last: a start that fails has placed nothing."""
        settings = self._settings
        self._journal = journal
        self._patience = anyio.CancelScope()
        plugins = Plugins.installed()
        self.core = fold(
            (turn.records for turn in turns(journal.path)),
            policies=plugins.policies,
            schedules=plugins.schedules,
            decisions=RecordedDecisions(),
        )
        self.core.decider = decide
        self._check_venues()
        scheduler = self._scheduler = LoopScheduler(not_before_ns=self.core.now_ns)
        behind_s = (self.core.now_ns - time.time_ns()) / NS
        if behind_s > CLOCK_BEHIND_S:
            text = f"the clock is {behind_s:.0f} s behind the journal; time goes on from where the journal ends"
            self._alarms.append(Alarm(0, VenueName(""), text, halts=False))
        dispatcher = self._dispatcher = Dispatcher(
            self.core,
            scheduler=scheduler,
            recorder=journal,
            tell=self._tell,
            alarm=self._alarms.append,
            stopped=self._give_up,
        )
        sinks = [dispatcher.sink(adapter) for adapter in self._adapters]
        self._store.get(settings.default_set, now_ns=scheduler.now_ns())
        self._adopt_sets()
        dispatcher.post(
            SessionStarted(
                now_ns=scheduler.now_ns(),
                epoch=journal.epoch,
                version=__version__,
                default_set=settings.default_set,
            )
        )
        if settings.resume is not None:
            # Before a venue is there: what is to go must not place anything first.
            for parent in tuple(self.core.at_work.values()):
                if parent.id not in settings.resume:
                    dispatcher.post(
                        CancelAsked(now_ns=scheduler.now_ns(), parent_no=parent.no, reason="left by an earlier process")
                    )
        tasks.start_soon(scheduler.run)
        learned: dict[VenueName, bool] = {}
        for adapter, sink in zip(self._adapters, sinks, strict=True):
            await adapter.connect(sink, scheduler)
            self._connected.append(adapter)
            if settings.dead_man_s:
                await self._arm_dead_man(adapter)
                tasks.start_soon(self._keep_dead_man, adapter, dispatcher)
            learned[adapter.name] = await self._learn_positions(adapter)
        for spelling in settings.watch:
            instrument = self._watched(spelling)
            dispatcher.feed(instrument.venue, instrument.symbol)
        self.recovered = await self.reconcile()
        for adapter in self._adapters:
            dispatcher.connected(adapter)
            tasks.start_soon(self._keep_positions, adapter, dispatcher, learned[adapter.name])
        if settings.reconcile_s:
            tasks.start_soon(self._keep_reconciled, dispatcher)
        if settings.params_poll_s:
            tasks.start_soon(self._watch_params)

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
                left = [child.order.cl_ord_id for child in self._open_orders()]
                # Backwards: what was opened last, tasks included, must be closed first.
                for adapter in reversed(self._adapters):
                    if self._settings.dead_man_s and not left:
                        await self._disarm_dead_man(adapter)
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
        parents = tuple(self.core.at_work.values())
        for parent in parents:
            dispatcher.post(CancelAsked(now_ns=self._now(), parent_no=parent.no, shutdown=True))
        assert self._patience is not None
        with self._patience, anyio.move_on_after(self._settings.shutdown_s):
            for parent in parents:
                await self._handle(parent).ended()

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

        Raises `CallerError` for an order that would be refused, and while its market is not known.
        """
        venue = self._admit(order)
        if isinstance(venue, Parent):
            raise CallerError(f"parent {order.parent_id!r} is submitted already; preview another id")
        return preview(self.core, order, venue, self._running().look(venue, order.symbol), now_ns=self._now())

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
        order = parent_of(self.core, intent, policy=self._settings.intent_policy)
        if intent.leverage is not None and intent.action is Action.ENTER and order.parent_id not in self.core.by_id:
            await self._set_leverage(order, intent.leverage)
        handle = self._submit(order, intent)
        if order.limit is None:
            await handle.ended()
        else:
            await handle.answered()
        return receipt_of(handle.parent, intent, self.core, now_ns=self._now())

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

    def lift_halt(self, venue: VenueName, symbol: str) -> None:
        """Somebody has looked at a halted symbol and takes responsibility for trading on."""
        self._post(HaltLifted(now_ns=self._now(), venue=venue, symbol=canonical_symbol(symbol)))

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
        """Handles of all parents of the journal, also those from before a restart."""
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

    async def reconcile(self, symbol: str | None = None) -> Reconciled:
        """Set the venues' open orders beside ours: strays of our own epoch are canceled, others are not touched.

        symbol     only this one, in any spelling. Raises `NotSent` or `InDoubt` when a venue cannot be asked.
        """
        wanted = None if symbol is None else canonical_symbol(symbol)
        ours: list[ClOrdId] = []
        strays: list[ClOrdId] = []
        foreign = 0
        self._running()
        for adapter in self._adapters:
            codec = adapter.capabilities.client_ids
            asked_ns = self._now()
            working = {child.order.cl_ord_id for child in self._open_orders()}
            for order in await adapter.open_orders():
                if wanted is not None and order.symbol != wanted:
                    continue
                child = self.core.desk.children.get(order.cl_ord_id)
                owned = codec.decode(order.cl_ord_id)
                if child is not None and child.venue != adapter.name:
                    child = None
                if child is not None and (order.cl_ord_id in working or child.sent_ns >= asked_ns):
                    ours.append(order.cl_ord_id)
                elif child is not None or (owned is not None and owned.epoch == self.core.desk.epoch):
                    # Turns were lost with the power, or the venue took back an end that it had told.
                    strays.append(order.cl_ord_id)
                    adapter.cancel(
                        OrderRef(cl_ord_id=order.cl_ord_id, symbol=order.symbol, venue_order_id=order.venue_order_id)
                    )
                else:
                    foreign += 1
        return Reconciled(ours=tuple(ours), strays=tuple(strays), foreign=foreign)

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
        if order.schedule_args:  # the caller may change his dictionary, but not what was recorded
            order = msgspec.structs.replace(order, schedule_args=dict(order.schedule_args))
        # The handle must be there before the parent can end, which may happen within the turn.
        self._post(Submitted(now_ns=self._now(), order=order, venue=venue, intent=intent))
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
        handle = self._handle(parent)
        handle.tell(happening)
        if parent.ended:
            self._at_work.pop(parent.no, None)
            if not self._ended or self._ended[-1] is not handle:
                self._ended.append(handle)

    def _open_orders(self) -> Iterator[Child]:
        """Every order that is, or may be, at a venue."""
        return (child for parent in self.core.at_work.values() for child in parent.open_children)

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

    def _check_venues(self) -> None:
        """Raises `CallerError` when the journal has parents at work where this router does not trade."""
        names = [adapter.name for adapter in self._adapters]
        mine = self._settings.account
        for parent in self.core.at_work.values():
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
        return admit(self.core, order)

    def _watched(self, spelling: str) -> Instrument:
        """The instrument to watch: on the first venue that lists it. Raises `CallerError` where none does."""
        symbol = canonical_symbol(spelling)
        for adapter in self._adapters:
            instrument = self.core.instruments.get((adapter.name, symbol))
            if instrument is not None:
                return instrument
        raise CallerError(f"{spelling!r}, which is to be watched, is listed on no venue; nothing was started")

    async def _set_leverage(self, order: ParentOrder, leverage: Decimal) -> None:
        """Raises `CallerError` for one that is no whole number from 1 on, or that the venue cannot set."""
        if not leverage.is_finite() or leverage != int(leverage) or leverage < 1:
            raise CallerError(f"leverage {leverage} is no whole number from 1 on; nothing was sent")
        venue = self._admit(order)
        assert not isinstance(venue, Parent)
        await self._adapter(venue).set_leverage(canonical_symbol(order.symbol), leverage)

    async def _arm_dead_man(self, adapter: VenueAdapter) -> None:
        """Arm a venue's switch for the first time. Raises `CallerError` where it may not be (R2)."""
        scope = adapter.capabilities.dead_man
        if scope is DeadMan.NONE:
            raise CallerError(
                f"{adapter.name} has no dead-man's switch; nothing was started. Set dead_man_s to 0 and accept that "
                "orders stay when this machine dies"
            )
        if scope in (DeadMan.ACCOUNT, DeadMan.PER_SYMBOL) and not self._settings.exclusive:
            raise CallerError(
                f"the dead-man's switch of {adapter.name} cancels orders of others too ({scope.value}); nothing was "
                "started. Declare the account exclusive, or set dead_man_s to 0"
            )
        await adapter.arm_dead_man(self._settings.dead_man_s)

    async def _keep_dead_man(self, adapter: VenueAdapter, dispatcher: Dispatcher) -> None:
        """Say that we are alive, three times as often as needed, as long as we can look after what rests."""
        while True:
            await anyio.sleep(self._settings.dead_man_s / 3)
            if dispatcher.fault is not None:
                return  # let it fire
            try:
                await adapter.arm_dead_man(self._settings.dead_man_s)
            except (NotSent, InDoubt) as error:
                self._alarms.append(
                    Alarm(0, adapter.name, f"the dead-man's switch was not renewed: {error}", halts=False)
                )

    async def _disarm_dead_man(self, adapter: VenueAdapter) -> None:
        """Nothing of ours rests: an armed switch would only cancel what is placed by hand later."""
        try:
            await adapter.arm_dead_man(0)
        except (NotSent, InDoubt):
            return  # it fires on an empty account

    async def _learn_positions(self, adapter: VenueAdapter) -> bool:
        """Take the venue's word on positions where nothing of ours can have changed them lately (R5).

        Returns    whether it could be read; where it could not, reduce-only parents wait.
        """
        still_ns = self._now() - POSITION_QUIET_NS
        try:
            account = await adapter.account()
        except (NotSent, InDoubt):
            return False
        stated = {(position.symbol, position.position_side): position.qty_lots for position in account.positions}
        modes = adapter.capabilities.position_modes
        for venue, symbol in tuple(self.core.instruments):
            book = self.core.desk.books.get((venue, self._settings.account, symbol))
            if venue != adapter.name or not (book is None or book.still_since(still_ns)):
                continue
            for side in PositionSide:
                lots = stated.get((symbol, side), 0)
                known = None if book is None else book.positions.get(side)
                if side in modes and known != lots:
                    self._take_position(adapter.name, symbol, side, lots=lots, known=known)
        return True

    def _take_position(
        self, venue: VenueName, symbol: Symbol, side: PositionSide, *, lots: int, known: int | None
    ) -> None:
        if known is not None:
            text = (
                f"{symbol} on {venue}: the venue has {lots} lots, with our fills it should be {known}. Somebody else "
                "traded there, or it was liquidated; the venue's word counts from now on"
            )
            self._alarms.append(Alarm(0, venue, text, halts=False))
        self._post(
            PositionKnown(
                now_ns=self._now(),
                venue=venue,
                account=self._settings.account,
                symbol=symbol,
                position_side=side,
                qty_lots=lots,
            )
        )

    async def _keep_positions(self, adapter: VenueAdapter, dispatcher: Dispatcher, learned: bool) -> None:
        """Go on setting the venue's positions beside ours, sooner as long as nothing could be read at all."""
        every_s = self._settings.positions_s
        while every_s or not learned:
            await anyio.sleep(every_s if learned else min(POSITION_RETRY_S, every_s or POSITION_RETRY_S))
            if dispatcher.fault is not None:
                return
            learned = await self._learn_positions(adapter) or learned

    async def _keep_reconciled(self, dispatcher: Dispatcher) -> None:
        """Go on setting the venues' open orders beside ours; one that cannot be asked is asked again next time."""
        while True:
            await anyio.sleep(self._settings.reconcile_s)
            if dispatcher.fault is not None:
                return
            try:
                found = await self.reconcile()
            except (NotSent, InDoubt) as error:
                self._alarms.append(Alarm(0, VenueName(""), f"open orders were not reconciled: {error}", halts=False))
                continue
            if found.strays:
                text = f"{len(found.strays)} stray orders of our mark are withdrawn: {', '.join(found.strays)}"
                self._alarms.append(Alarm(0, VenueName(""), text, halts=False))

    def _adopt_sets(self) -> None:
        """Tell the core, once, every set whose content is not in force yet."""
        now = self._now()
        for name, param_set in self._store.in_force(now_ns=now).items():
            current = self.core.sets.get(name)
            known = self._offered.get(name, "" if current is None else current.digest)
            if known != param_set.digest:
                self._offered[name] = param_set.digest
                self._post(ParamsAdopted(now_ns=now, name=name, digest=param_set.digest, text=param_set.text))

    async def _watch_params(self) -> None:
        while True:
            await anyio.sleep(self._settings.params_poll_s)
            for news in self.reload_params():
                if isinstance(news, Refused):
                    text = f"param-set {news.where}:{news.line} is refused, the old one stays: {news.reason}"
                    self._alarms.append(Alarm(0, VenueName(""), text, halts=False))


def _open_journal(settings: Settings) -> Journal:
    """The journal of these settings, made if there is none."""
    if (settings.journal / "journal.json").exists():
        return Journal.open(settings.journal, environment=settings.environment, durability=settings.durability)
    return Journal.create(
        settings.journal,
        epoch=randbelow(EPOCH_BOUND),
        environment=settings.environment,
        durability=settings.durability,
    )
