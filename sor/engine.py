"""The shell: what strategies call. Runs on asyncio (uvloop too) and on trio.

    async with Router(settings, venues=[adapter]) as router:
        handle = await router.submit(ParentOrder(...))
        print(await handle.result())

A parent is on disk before `submit` returns. Leaving the block cancels every parent and waits until nothing of ours
rests any more; what could not be confirmed in time is named in the error, never passed over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from secrets import randbelow
from types import TracebackType

import anyio
import anyio.abc
import msgspec

from sor.adapter import AccountState, VenueAdapter
from sor.by_hand import fit_trusted, halt_lifted, mode_set, settled
from sor.caretaker import Listener
from sor.clock import LoopScheduler, OpenClock
from sor.commands import Alarm
from sor.configured import Configured
from sor.decide import Recorded as RecordedDecisions
from sor.decide import decide
from sor.errors import CallerError, InDoubt
from sor.events import (
    AmendAsked,
    AnyFact,
    CancelAsked,
    PauseAsked,
    ResumeAsked,
    Submitted,
    TradingMode,
)
from sor.experiment.door import assigned_of, with_arm
from sor.fit_watch import FitWatches
from sor.handle import Handles, ParentHandle
from sor.ids import EPOCH_BOUND, ClOrdId, ParentId, VenueName
from sor.instruments import canonical_symbol
from sor.intake import Foresight, as_recorded, check_amend, check_size, listed, parent_of, preview
from sor.journal import Journal, Record, Turn
from sor.market import MarketView
from sor.orders import (
    Action,
    ExecutionReceipt,
    Intent,
    ParentOrder,
)
from sor.params import Adopted, ParamStore, Refused
from sor.parent import Parent
from sor.plugins import Plugins
from sor.policy import Decision
from sor.reconciliation import Reconciled as Reconciled
from sor.reconciliation import check_memory
from sor.records import receipt_of
from sor.recovery import behind, fold_on, newest
from sor.router import Core
from sor.session import Session
from sor.settings import Settings as Settings

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
        self._venues = Configured(venues, settings)
        self._plugins = plugins
        self._open_clock = open_clock
        self._open_journal = open_journal or journal_of
        self._store = ParamStore(*settings.param_dirs)
        self.fits = FitWatches()
        """Whether orders of this journal have filled as often as was predicted."""
        self._alarms: deque[Alarm] = deque(maxlen=1_000)
        self._listener: Listener | None = None
        self._tasks: anyio.abc.TaskGroup | None = None
        self._session: Session | None = None
        self.core = Core(policies={}, schedules={}, decider=decide)
        self._handles = Handles(self.core, cancel=self.cancel)
        self.recovered: Reconciled | None = None
        """What was found at the venues at the start."""

    # --- life ---------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Router:
        self._venues.check_start()
        journal = self._open_journal(self._settings)
        tasks = anyio.create_task_group()
        await tasks.__aenter__()
        try:
            session = self._session = self._take_up(journal, tasks)
            self.recovered = await session.start()
        except BaseException:
            failed, self._session = self._session, None
            try:
                if failed is not None:
                    with anyio.CancelScope(shield=True):
                        await failed.abandon()
            finally:
                tasks.cancel_scope.cancel()
                if failed is not None:
                    failed.stop_timers()
                try:
                    await tasks.__aexit__(None, None, None)
                finally:
                    journal.close()
            raise
        self._tasks = tasks
        return self

    def _take_up(self, journal: Journal, tasks: anyio.abc.TaskGroup) -> Session:
        """Fold a journal, and put together what works on it. Raises `CallerError` where its parents cannot go on."""
        plugins = self._plugins or Plugins.installed()
        decisions = RecordedDecisions()
        begun = newest(journal.path, policies=plugins.policies, schedules=plugins.schedules, decider=decisions)
        self.fits = begun.fits
        self.core = fold_on(begun, self._seen_again(behind(begun, journal.path)), decisions)
        self.core.deciding.decider = decide
        for text in begun.passed:
            self._alarms.append(Alarm(0, VenueName(""), f"a checkpoint was passed over: {text}", halts=False))
        self._handles = Handles(self.core, cancel=self.cancel)
        self._venues.check_at_work(self.core)
        session = Session(
            self.core,
            journal,
            tasks,
            settings=self._settings,
            venues=self._venues,
            scheduler=self._open_clock(self.core.now_ns),
            store=self._store,
            fits=self.fits,
            handles=self._handles,
            alarms=self._alarms,
            listener=self._listener,
        )
        session.checkpoints.stale = bool(begun.passed)
        return session

    def _seen_again(self, recorded: Iterator[Turn]) -> Iterator[list[Record]]:
        """The turns of the journal so far; fits are watched as if it had never stopped, and no alarm is repeated."""
        for turn in recorded:
            for record in turn.records:
                self.fits.see(record)  # what it doubts and no record has told is told by the start
            yield turn.records

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel every parent, wait until nothing of ours rests, close.

        Raises `InDoubt`, naming the orders, when that could not be confirmed within `shutdown_s`; what the block itself
        raised is then its context.
        """
        session, tasks = self._session, self._tasks
        assert session is not None
        assert tasks is not None
        left: list[ClOrdId] = []
        try:
            # Shielded: a cancelled caller (Ctrl-C) must not leave orders behind.
            with anyio.CancelScope(shield=True):
                left = await session.withdraw()
                await session.disconnect()
        finally:
            # Outside the shield, whose scope lies within that of the tasks. A cancelled caller may end here.
            self._tasks = None
            tasks.cancel_scope.cancel()
            session.stop_timers()
            try:
                await tasks.__aexit__(None, None, None)
            finally:
                session.journal.close()
                if left:
                    raise InDoubt(
                        f"left with {len(left)} orders not confirmed gone: {', '.join(left)}. Start the router again "
                        "on the same journal to settle them, or cancel them at the venue"
                    )

    def hurry(self) -> None:
        """Leaving waits no longer: what is not confirmed gone by then is named in the `InDoubt` that it raises."""
        if self._session is not None:
            self._session.hurry()

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
        venue = self._venues.admit(self.core, order)
        if isinstance(venue, Parent):
            raise CallerError(f"parent {order.parent_id!r} is submitted already; preview another id")
        now_ns = self._now()
        order = with_arm(order, assigned_of(self.core, order, venue, now_ns=now_ns))
        return preview(self.core, order, venue, self._running().dispatcher.look(venue, order.symbol), now_ns=now_ns)

    def market(self, symbol: str, *, venue: VenueName | None = None) -> MarketView:
        """What is known now of the market of `symbol`, in any spelling, which is followed from the first question on.

        venue     None: the first that lists it. Raises `CallerError` where none does.
        """
        instrument = listed(self.core, symbol, () if venue is None else (venue,))
        return self._running().dispatcher.look(instrument.venue, instrument.symbol)

    async def submit_intent(self, intent: Intent) -> ExecutionReceipt:
        """Carry an intent out and answer with its receipt (P2). Raises as `submit`.

        A plain limit order that an intent asks for is answered once it rests; everything else once it has ended. Its
        leverage is set before anything is sent, on entering only; where that fails, nothing is sent.
        """
        self._running()
        self._venues.check_tradable(self.core, intent.asset)
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
        self._post(mode_set(mode, reason, now_ns=self._now()))

    async def kill(self, reason: str) -> tuple[ClOrdId, ...]:
        """Halt everything, withdraw what is ours, and read the venues' open orders to see that it is gone.

        Returns    what of ours is there still after `shutdown_s`; empty is the venues' own word that nothing is.
        Raises     `NotSent` or `InDoubt` when a venue cannot be asked; it is halted all the same.
        """
        self.set_mode(TradingMode.HALTED, reason)
        return await self._running().outside.what_is_left()

    def lift_halt(self, venue: VenueName, symbol: str, *, reason: str) -> None:
        """Somebody has looked at a halted symbol and takes responsibility for trading on.

        Raises `CallerError`, nothing changed, where it is not halted, or an order of it is not known to be over.
        """
        self._post(halt_lifted(self.core, venue, symbol, reason=reason, now_ns=self._now()))

    def trust_fit(self, name: str, *, reason: str) -> None:
        """Somebody has looked at a set that outcomes contradict and takes responsibility: orders rest by it again.

        name      of the set, or of the family whose set it is. Another content of it is trusted anyway.
        Raises    `CallerError`, nothing changed, where nothing contradicts it.
        """
        self._post(fit_trusted(self.core, name, reason=reason, now_ns=self._now()))

    def settle(self, cl_ord_id: ClOrdId, *, filled: Decimal, reason: str) -> None:
        """Somebody has looked an order in doubt up at the venue and takes responsibility: it is over, with this fill.

        For what the router cannot settle by evidence: a venue that gives no bound, or has forgotten the order.

        filled    its total filled quantity; what is known already cannot be taken back.
        Raises    `CallerError`, nothing changed, unless it is an order of ours in doubt.
        """
        self._post(settled(self.core, cl_ord_id, filled=filled, reason=reason, now_ns=self._now()))

    def parents(self) -> tuple[ParentHandle, ...]:
        """Handles of all parents of the journal that are not forgotten, also those from before a restart."""
        return tuple(self._handles.of(parent) for parent in self.core.parents)

    def handle(self, parent_id: ParentId) -> ParentHandle:
        """The handle of a parent of this journal. Raises `CallerError` when there is none of that id."""
        return self._handles.of(self._parent(parent_id))

    def alarms(self) -> tuple[Alarm, ...]:
        """What somebody should look at, oldest first, of this process."""
        return tuple(self._alarms)

    async def state(self, venue: VenueName) -> AccountState:
        """The venue's word on capital and positions. Raises `CallerError`, `NotSent` or `InDoubt`."""
        return await self._venues.adapter(venue).account()

    def follow(self, listener: Listener) -> None:
        """Tell `listener` what venues say of the account after fills; one at most, from the next start on."""
        self._listener = listener

    async def reconcile(self, symbol: str | None = None) -> Reconciled:
        """Set the venues' open orders and fills beside ours: strays are canceled, others are not touched.

        symbol     open orders of this one only, in any spelling.
        Raises     `NotSent` or `InDoubt` when a venue cannot be asked.
        """
        return await self._running().care.reconcile(symbol)

    def checkpoint(self) -> None:
        """Write the state down now: a start goes on from there. Everything waits for it; a router does it by itself.

        Raises `CallerError` from within a turn, whose end is not on record yet, and `JournalFault` when the turns so
        far cannot be synced; then the router has to stop.
        """
        session = self._running()
        if session.dispatcher.in_turn:
            raise CallerError("in the middle of a turn there is no state to write down; nothing was written")
        session.checkpoints.write()

    def reload_params(self) -> list[Adopted | Refused]:
        """Look for changed param-set files now; a bad one is refused whole and the old set stays."""
        return self._running().reload_params()

    # --- inside -------------------------------------------------------------------------------------------------

    def _submit(self, order: ParentOrder, intent: Intent | None) -> ParentHandle:
        session = self._running()
        venue = self._venues.admit(self.core, order)
        if isinstance(venue, Parent):
            return self._handles.of(venue)
        feed = session.dispatcher.feed(venue, canonical_symbol(order.symbol))
        assigned = assigned_of(self.core, order, venue, now_ns=self._now())
        check_size(self.core, with_arm(order, assigned), venue, feed, now_ns=self._now())
        if order.schedule_args:  # the caller may change his dictionary, but not what was recorded
            order = msgspec.structs.replace(order, schedule_args=dict(order.schedule_args))
        self._post(Submitted(now_ns=self._now(), order=order, venue=venue, intent=intent, assigned=assigned))
        session.trials.given(assigned)
        return self._handles.of(self.core.by_id[order.parent_id])

    def _running(self) -> Session:
        session = self._session
        if session is None:
            raise CallerError("the router is not running; nothing was sent. Use it as `async with Router(...)`")
        if session.dispatcher.fault is not None:
            raise session.dispatcher.fault
        return session

    def _post(self, fact: AnyFact) -> None:
        self._running().dispatcher.post(fact)

    def _now(self) -> int:
        return self._running().dispatcher.now_ns()

    def _parent(self, parent_id: ParentId) -> Parent:
        parent = self.core.by_id.get(parent_id)
        if parent is None:
            raise CallerError(f"there is no parent {parent_id!r}; nothing was changed")
        return parent

    async def _enter(self, order: ParentOrder, intent: Intent, leverage: Decimal) -> tuple[ParentHandle, int | None]:
        """Submit an order once its leverage is in force; nobody else sets that symbol's in between (B3)."""
        venue = self._venues.admit(self.core, order)
        assert not isinstance(venue, Parent), "its id is not known yet"
        symbol = canonical_symbol(order.symbol)
        care = self._running().care
        async with care.alone(venue, symbol):
            if order.parent_id in self.core.by_id:  # the same intent was quicker
                return self._submit(order, intent), None
            in_force = await care.set_leverage(
                self._venues.adapter(venue), symbol, strategy=order.strategy, leverage=leverage
            )
            return self._submit(order, intent), in_force


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
