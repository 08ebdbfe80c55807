"""The dispatcher: takes facts in, lets the core step, journals the turn, then carries the wishes out.

One turn: every fact that waits is stepped, and what a step wants to look at is looked at within it; then one write to
the journal; only then does anything leave for a venue (D9). Plain calls throughout: the same dispatcher runs under
asyncio, trio and virtual time, which differ only in the `Scheduler`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from typing import Final, Protocol

from sor.adapter import Feed, Identified, OrderRef, OwnFeed, Reach, Request, RequestFailed, Scheduler, VenueAdapter
from sor.commands import (
    Alarm,
    Amend,
    AnyWish,
    Cancel,
    Decided,
    Ended,
    EndMark,
    Gone,
    Happening,
    Look,
    MarkAt,
    Place,
    Query,
    Recorded,
    Rehearse,
    Stand,
    Tell,
    WakeAt,
    Watch,
    Wish,
)
from sor.desk import ref_of
from sor.errors import CallerError, JournalFault, NotSent, SorError
from sor.events import (
    AnyFact,
    EndMarked,
    InstrumentAdopted,
    Looked,
    Marked,
    Reported,
    RequestLost,
    VenueDown,
    VenueUp,
    Woke,
)
from sor.experiment.shadow import shadowed
from sor.feed import LiveFeed
from sor.ids import ClOrdId, ExecId, Symbol, VenueName
from sor.instruments import Instrument, canonical_symbol
from sor.market import MarketEvent, MarketView
from sor.orders import ExecutionReport, RejectKind
from sor.router import Core
from sor.tca import HORIZONS_NS
from sor.units import NS

DOWN_ALARM_NS = 5 * NS
"""A venue that is away for this long while something of ours is at work there is an alarm; a gap is over sooner."""
AWAY_ALARM_NS = 60 * NS
"""The alarm is raised again after this, with what is said about it by then."""
_EXCUSES: Final = frozenset({RejectKind.RATE_LIMITED, RejectKind.NOT_NOW})
"""Refusals that speak of the moment and not of the order."""
TURN_FACTS_MAX = 1_000
"""More waiting facts than this go into the next turn, so that a flood cannot hold back what must be sent."""


class _Time(Enum):
    """When a wish is carried out."""

    WITHIN = 0
    """At once, within the turn: it follows from the facts."""
    AFTER = 1
    """After the turn is on disk."""
    RECORDED = 2
    """After the turn is on disk, as a part of it."""


_Way = tuple[Callable[..., None], _Time]
_WITHIN: Final = _Time.WITHIN
_RECORDED: Final = _Time.RECORDED


class Recorder(Protocol):
    """What the dispatcher writes turns to."""

    def append(self, records: Sequence[AnyFact | Recorded]) -> int:
        """Put one turn on disk; raises `JournalFault` when it cannot."""


class Dispatcher:
    """Core, journal, venues and feeds of one router.

    back      told when a venue that was away is there again, after the core.
    gathers   what comes from outside waits until the loop has come round, and everything that came meanwhile is one
              turn: where a turn is dear, as a sync is, the next sync serves all of it (group commit).
    misses    how many requests in a row a venue has not answered, or only with an excuse, and what came last.
    """

    def __init__(
        self,
        core: Core,
        *,
        scheduler: Scheduler,
        recorder: Recorder,
        tell: Callable[[Happening], None] | None = None,
        alarm: Callable[[Alarm], None] | None = None,
        stopped: Callable[[JournalFault], None] | None = None,
        back: Callable[[], None] | None = None,
        gathers: bool = False,
        horizons_ns: tuple[int, ...] = HORIZONS_NS,
    ) -> None:
        self.core = core
        self.scheduler = scheduler
        self.recorder = recorder
        self.venues: dict[VenueName, VenueAdapter] = {}
        self.fault: JournalFault | None = None
        self.turns = 0
        self._tell = tell
        self._alarm = alarm
        self._stopped = stopped
        self._back = back
        self._gathers = gathers
        self._gathering = False
        self._horizons_ns = horizons_ns
        self._feeds: dict[tuple[VenueName, Symbol], Feed] = {}
        self._live: dict[tuple[VenueName, Symbol], LiveFeed] = {}
        self._unheard: dict[VenueName, list[Symbol]] = {}
        self._early_up: dict[VenueName, bool] = {}
        self.misses: dict[VenueName, tuple[int, str]] = {}
        self._told_away: set[VenueName] = set()
        self._away: dict[VenueName, tuple[int, str]] = {}
        self._queue: deque[AnyFact] = deque()
        self._running = False
        self._armed: dict[int, int] = {}
        self._scheduled: dict[int, list[int]] = {}  # when calls will come, the next one last
        self._marks: tuple[deque[tuple[int, int, ExecId]], ...] = tuple(deque() for _ in horizons_ns)
        # By type, because a chain of isinstance costs more than most wishes do. Every wish is in it.
        self._ways: dict[type[Wish], _Way] = {
            Look: (self._look, _Time.WITHIN),
            EndMark: (self._mark_end, _Time.WITHIN),
            WakeAt: (self._arm, _Time.WITHIN),
            Watch: (self._watch, _Time.WITHIN),
            Stand: (self._stand, _Time.WITHIN),
            Gone: (self._gone, _Time.WITHIN),
            Tell: (self._tell_listener, _Time.AFTER),
            MarkAt: (self._mark_fill, _Time.AFTER),
            Rehearse: (self._rehearse_later, _Time.AFTER),
            Place: (self._place, _Time.RECORDED),
            Cancel: (self._cancel, _Time.RECORDED),
            Amend: (self._amend, _Time.RECORDED),
            Query: (self._query, _Time.RECORDED),
            Alarm: (self._raise_alarm, _Time.RECORDED),
            Decided: (_only_recorded, _Time.RECORDED),
            Ended: (_only_recorded, _Time.RECORDED),
        }

    # --- facts in --------------------------------------------------------------------------------------------------

    def post(self, fact: AnyFact) -> None:
        """Take a fact in; returns when the turn it started has been carried out, or at once inside a running turn."""
        self._queue.append(fact)
        if not self._running:
            self._drain()

    def arrived(self, fact: AnyFact) -> None:
        """As `post`, for what came by itself and nobody waits for: where turns gather, it has yet to be carried out."""
        self._queue.append(fact)
        self._see_to_queue()

    def record(self, fact: AnyFact) -> None:
        """As `post`, for whoever goes on only if it counts. Raises the `JournalFault` that has stopped the router."""
        if self.fault is not None:
            raise self.fault
        self.post(fact)

    @property
    def in_turn(self) -> bool:
        """Whether a turn is being taken in or carried out."""
        return self._running

    def now_ns(self) -> int:
        """The router's clock, wall nanoseconds."""
        return self.scheduler.now_ns()

    def sink(self, adapter: VenueAdapter) -> VenueSink:
        """Where `adapter` puts what it learns. Its market data, and that it is up, wait until it is `connected`."""
        self.venues[adapter.name] = adapter
        self._unheard[adapter.name] = []
        return VenueSink(self, adapter)

    def market(self, venue: VenueName, event: MarketEvent) -> None:
        """A market event of a subscribed symbol; others are nobody's business."""
        feed = self._live.get((venue, event.symbol))
        if feed is not None:
            feed.on_event(event)

    def feed(self, venue: VenueName, symbol: Symbol) -> Feed:
        """The feed of a symbol, subscribing to it the first time it is wanted."""
        feed = self._feeds.get((venue, symbol))
        if feed is None:
            adapter = self.venues[venue]
            if isinstance(adapter, OwnFeed):
                feed = adapter.feed(symbol, self._wake_by_market)
            else:
                feed = self._live[venue, symbol] = LiveFeed(
                    venue=venue, symbol=symbol, wake=self._wake_by_market, scheduler=self.scheduler
                )
            self._feeds[venue, symbol] = feed
            if venue in self._unheard:
                self._unheard[venue].append(symbol)
            else:
                adapter.subscribe(symbol)
        return feed

    def listen(self, adapter: VenueAdapter) -> None:
        """Ask `adapter`, which has a session, for the market data that is wanted; nothing else goes on yet."""
        wanted = self._unheard[adapter.name]
        while wanted:
            adapter.subscribe(wanted.pop(0))

    def connected(self, adapter: VenueAdapter) -> None:
        """`adapter` has a session for the first time: from now on orders may be sent, and market data be asked for."""
        for symbol in self._unheard.pop(adapter.name, []):
            adapter.subscribe(symbol)
        if self._early_up.pop(adapter.name, False):
            self.link(adapter, up=True, reason="")

    def link(self, adapter: VenueAdapter, *, up: bool, reason: str) -> None:
        """The session is there, or gone. Before `connected` it is only noted: nothing goes on during a start."""
        if adapter.name in self._unheard:
            self._early_up[adapter.name] = up
            return
        now = self.scheduler.now_ns()
        if up:
            away_ns = self._away.pop(adapter.name, (0, ""))[0]
            if adapter.name in self._told_away and self._alarm is not None:
                self._told_away.remove(adapter.name)
                text = f"{adapter.name} is back after {round((now - away_ns) / NS)} s; what may be there is looked up"
                self._alarm(Alarm(0, adapter.name, text, halts=False))
            self.post(
                VenueUp(
                    now_ns=now,
                    venue=adapter.name,
                    capabilities=adapter.capabilities,
                    identity=identity_of(adapter),
                )
            )
            if away_ns and self._back is not None:
                self._back()
        else:
            since_ns = self._away[adapter.name][0] if adapter.name in self._away else 0
            self._away[adapter.name] = since_ns or now, reason
            if not since_ns:
                self.scheduler.call_at(now + DOWN_ALARM_NS, lambda: self._still_away(adapter.name, now))
            self.post(VenueDown(now_ns=now, venue=adapter.name, reason=reason))

    def _still_away(self, venue: VenueName, since_ns: int) -> None:
        """Nobody looks after what is at work at a venue that is away: somebody should know, and know on."""
        away_ns, reason = self._away.get(venue, (0, ""))
        if away_ns != since_ns or self.fault is not None or self._alarm is None:
            return
        now = self.scheduler.now_ns()
        theirs = [parent for parent in self.core.parents.at_work.values() if parent.venue == venue]
        there = [child.order.cl_ord_id for parent in theirs for child in parent.open_children]
        if theirs:
            what = (
                f"{', '.join(there)} may still be there: look, and cancel by hand what must not wait"
                if there
                else f"{', '.join(parent.id for parent in theirs)} cannot go on; nothing of it is there"
            )
            self._told_away.add(venue)
            text = f"{venue} has been away for {round((now - since_ns) / NS)} s ({reason}), and {what}"
            self._alarm(Alarm(0, venue, text, halts=False))
        self.scheduler.call_at(now + AWAY_ALARM_NS, lambda: self._still_away(venue, since_ns))

    def missed(self, venue: VenueName, code: str, text: str) -> None:
        """A request came to nothing, through no fault of its own."""
        before = self.misses.get(venue, (0, ""))[0]
        self.misses[venue] = before + 1, f"{code} {text}".strip()

    def look(self, venue: VenueName, spelling: str) -> MarketView:
        """What is known of a market now."""
        return self.feed(venue, canonical_symbol(spelling)).view(self.scheduler.now_ns())

    def _wake_by_market(self, key: int) -> None:
        self.arrived(Woke(now_ns=self.scheduler.now_ns(), parent_no=key, market=True))

    # --- one turn after another ------------------------------------------------------------------------------------

    def _see_to_queue(self) -> None:
        """What has come is taken in: now, or once everything has come that comes at this moment."""
        if self._running:
            return
        if not self._gathers:
            self._drain()
        elif not self._gathering:
            self._gathering = True
            self.scheduler.call_at(self.scheduler.now_ns(), self._gathered)

    def _gathered(self) -> None:
        self._gathering = False
        self._drain()

    def _drain(self) -> None:
        self._running = True
        try:
            while self._queue and self.fault is None:
                self._turn()
        finally:
            self._running = False
            if self.fault is not None:
                self._queue.clear()  # venues go on telling, and nobody will ever take it in

    def _turn(self) -> None:
        queue, step = self._queue, self.core.step
        ways = self._ways
        records: list[AnyFact | Recorded] = []
        outward: list[tuple[Callable[..., None], AnyWish]] = []
        facts = 0
        try:
            while queue and (facts < TURN_FACTS_MAX or isinstance(queue[0], Looked | EndMarked)):
                fact = queue.popleft()
                facts += 1
                records.append(fact)
                for wish in step(fact):
                    carry_out, when = ways[type(wish)]
                    if when is _WITHIN:
                        carry_out(wish)
                        continue
                    if when is _RECORDED:
                        records.append(wish)  # type: ignore[arg-type]  # `_ways` says so
                    outward.append((carry_out, wish))
        except BaseException as error:
            # A bug, or an interrupt in mid-step: what the core now holds is nobody's record.
            self._stop_sending(
                JournalFault(
                    f"a turn could not be finished ({type(error).__name__}: {error}); it was not recorded and nothing "
                    "of it was sent; cancels were asked for all open orders. Start the router again on the same journal"
                )
            )
            raise
        try:
            self.turns = self.recorder.append(records)
        except JournalFault as fault:
            self._stop_sending(fault)
            raise
        for carry_out, wish in outward:
            carry_out(wish)

    # Adapters answer through the sink. One that raises instead has said just as well how far the request got: nobody
    # knows, unless it says otherwise. The wishes after it must still be carried out.

    def _place(self, wish: Place) -> None:
        try:
            self.venues[wish.venue].submit(wish.order)
        except Exception as error:  # noqa: BLE001 - an adapter's bug must not stop the router or leave orders resting
            self._failed(wish.venue, wish.order.cl_ord_id, Request.PLACE, error)

    def _cancel(self, wish: Cancel) -> None:
        self._withdraw(wish.venue, wish.ref)

    def _withdraw(self, venue: VenueName, ref: OrderRef) -> None:
        try:
            self.venues[venue].cancel(ref)
        except Exception as error:  # noqa: BLE001 - an adapter's bug must not stop the router or leave orders resting
            self._failed(venue, ref.cl_ord_id, Request.CANCEL, error)

    def _amend(self, wish: Amend) -> None:
        try:
            self.venues[wish.venue].amend(wish.ref, qty_lots=wish.qty_lots, price_ticks=wish.price_ticks)
        except Exception as error:  # noqa: BLE001 - an adapter's bug must not stop the router or leave orders resting
            self._failed(wish.venue, wish.ref.cl_ord_id, Request.AMEND, error)

    def _query(self, wish: Query) -> None:
        try:
            self.venues[wish.venue].query(wish.ref)
        except Exception as error:  # noqa: BLE001 - an adapter's bug must not stop the router or leave orders resting
            self._failed(wish.venue, wish.ref.cl_ord_id, Request.QUERY, error)

    def _failed(self, venue: VenueName, cl_ord_id: ClOrdId, request: Request, error: Exception) -> None:
        if isinstance(error, AssertionError):
            raise error  # a broken invariant: nobody catches it
        reach = Reach.NOT_SENT if isinstance(error, CallerError | NotSent) else Reach.IN_DOUBT
        text = str(error)
        if not isinstance(error, SorError):
            text = f"the adapter of {venue} raised {type(error).__name__} on {request.value} of {cl_ord_id}: {error}"
            if self._alarm is not None:
                self._alarm(Alarm(0, venue, text, halts=False))
        failed = RequestFailed(cl_ord_id=cl_ord_id, request=request, reach=reach, text=text)
        self._queue.append(RequestLost(now_ns=self.scheduler.now_ns(), venue=venue, failed=failed))

    def _tell_listener(self, wish: Tell) -> None:
        if self._tell is not None:
            self._tell(wish.happening)

    def _mark_fill(self, wish: MarkAt) -> None:
        if self._horizons_ns:
            self._mark_at(0, wish.fill_ns, wish.parent_no, wish.exec_id)

    def _rehearse_later(self, wish: Rehearse) -> None:
        """Once the loop has come round: what trades goes first."""
        self.scheduler.call_at(self.scheduler.now_ns(), partial(self._rehearse, wish))

    def _rehearse(self, wish: Rehearse) -> None:
        for fact in shadowed(self.core, wish, now_ns=self.scheduler.now_ns()):
            self.post(fact)

    def _raise_alarm(self, wish: Alarm) -> None:
        if self._alarm is not None:
            self._alarm(wish)

    def _stop_sending(self, fault: JournalFault) -> None:
        """What cannot be recorded is not sent; cancels are the exception, they can only take risk away."""
        self.fault = fault
        for parent in tuple(self.core.parents.at_work.values()):
            for child in parent.open_children:
                self._withdraw(child.venue, ref_of(child))
        if self._stopped is not None:
            self._stopped(fault)

    # --- looks, times, watches, marks ------------------------------------------------------------------------------

    def _look(self, wish: Look) -> None:
        """Answer in this turn, before any other fact that waits."""
        parent = self.core.parents[wish.parent_no - 1]
        now = self.scheduler.now_ns()
        feed = self.feed(parent.venue, parent.instrument.symbol)
        view = feed.view(now)
        ahead = feed.ahead(parent.no, now) if parent.open_children else ()
        self._queue.appendleft(Looked(now_ns=now, parent_no=parent.no, cause=wish.cause, market=view, ahead=ahead))

    def _mark_end(self, wish: EndMark) -> None:
        """Answer in this turn, before any other fact that waits."""
        parent = self.core.parents[wish.parent_no - 1]
        now = self.scheduler.now_ns()
        view = self.feed(parent.venue, parent.instrument.symbol).view(now)
        self._queue.appendleft(EndMarked(now_ns=now, parent_no=parent.no, market=view))

    def _watch(self, wish: Watch) -> None:
        parent = self.core.parents[wish.parent_no - 1]
        feed = self.feed(parent.venue, parent.instrument.symbol)
        if wish.revisit is None or wish.seen is None:
            feed.unwatch(parent.no)
        else:
            feed.watch(parent.no, wish.revisit, wish.seen, self.scheduler.now_ns())

    def _stand(self, wish: Stand) -> None:
        feed = self.feed(wish.venue, wish.symbol)
        feed.stand(wish.parent_no, wish.own, anew=wish.anew, now_ns=self.scheduler.now_ns())

    def _gone(self, wish: Gone) -> None:
        feed = self._feeds.get((wish.venue, wish.symbol))
        if feed is not None:
            feed.gone(wish.cl_ord_id)

    def _arm(self, wish: WakeAt) -> None:
        """Remember the next wake-up of a parent; a call that comes no later will look after it."""
        if not wish.at_ns:
            self._armed.pop(wish.parent_no, None)
            return
        self._armed[wish.parent_no] = wish.at_ns
        self._see_to(wish.parent_no, wish.at_ns)

    def _see_to(self, parent_no: int, at_ns: int) -> None:
        """Call the scheduler for `at_ns`, unless it calls sooner anyway.

        Calls cannot be taken back, and a deadline may be hours away: one that was made for it stays good, so that a
        parent has as many as it had nested waits, and not one for each time that it waited.
        """
        calls = self._scheduled.setdefault(parent_no, [])
        if not calls or at_ns < calls[-1]:
            calls.append(at_ns)
            self.scheduler.call_at(at_ns, partial(self._wake, parent_no))

    def _wake(self, parent_no: int) -> None:
        calls = self._scheduled[parent_no]
        calls.pop()
        if not calls:
            del self._scheduled[parent_no]
        armed = self._armed.get(parent_no)
        now = self.scheduler.now_ns()
        if armed is None:
            return
        if armed <= now:
            del self._armed[parent_no]
            self.arrived(Woke(now_ns=now, parent_no=parent_no, market=False))
        else:
            self._see_to(parent_no, armed)

    def _mark_at(self, horizon: int, fill_ns: int, parent_no: int, exec_id: ExecId) -> None:
        """Queue a fill for one horizon; when it is marked there it moves to the next, so a fill waits in one place."""
        queue = self._marks[horizon]
        queue.append((fill_ns, parent_no, exec_id))
        if len(queue) == 1:
            self.scheduler.call_at(fill_ns + self._horizons_ns[horizon], lambda: self._mark(horizon))

    def _mark(self, horizon: int) -> None:
        queue = self._marks[horizon]
        now = self.scheduler.now_ns()
        while queue and queue[0][0] + self._horizons_ns[horizon] <= now:
            fill_ns, parent_no, exec_id = queue.popleft()
            parent = self.core.parents.get(parent_no)
            if parent is None:
                continue  # forgotten: nobody will read it
            mid = self.feed(parent.venue, parent.instrument.symbol).mid_hticks(now)
            self._queue.append(
                Marked(
                    now_ns=now,
                    parent_no=parent_no,
                    exec_id=exec_id,
                    horizon_ns=self._horizons_ns[horizon],
                    mid_hticks=mid,
                )
            )
            if horizon + 1 < len(self._horizons_ns):
                self._mark_at(horizon + 1, fill_ns, parent_no, exec_id)
        if queue:
            self.scheduler.call_at(queue[0][0] + self._horizons_ns[horizon], lambda: self._mark(horizon))
        self._see_to_queue()


def _only_recorded(wish: Decided | Ended) -> None:
    """The record is all there is to carry out."""
    del wish


def identity_of(adapter: VenueAdapter) -> str:
    """Which account it is connected with, "" if it cannot tell."""
    return adapter.identity if isinstance(adapter, Identified) else ""


class VenueSink:
    """One venue's way into the dispatcher."""

    __slots__ = ("_adapter", "_dispatcher")

    def __init__(self, dispatcher: Dispatcher, adapter: VenueAdapter) -> None:
        self._dispatcher = dispatcher
        self._adapter = adapter

    def execution(self, event: ExecutionReport | RequestFailed) -> None:
        """A report, with our mid of this moment, or a request that has no answer."""
        dispatcher = self._dispatcher
        now = dispatcher.scheduler.now_ns()
        if isinstance(event, RequestFailed):
            dispatcher.missed(self._adapter.name, event.code, event.text)
            dispatcher.arrived(RequestLost(now_ns=now, venue=self._adapter.name, failed=event))
            return
        if event.reject in _EXCUSES:
            dispatcher.missed(event.venue, event.code, event.text)
        elif dispatcher.misses:
            dispatcher.misses.pop(event.venue, None)
        mid = 0
        if event.last_lots:
            mid = dispatcher.feed(event.venue, event.symbol).mid_hticks(now)
        dispatcher.arrived(Reported(now_ns=now, report=event, mid_hticks=mid))

    def market(self, event: MarketEvent) -> None:
        """Books, trades and marks: not facts, they only change what a look will show."""
        self._dispatcher.market(self._adapter.name, event)

    def instrument(self, instrument: Instrument) -> None:
        """A listed instrument; told to the core only when it is new or changed."""
        dispatcher = self._dispatcher
        if dispatcher.core.in_force.instruments.get((instrument.venue, instrument.symbol)) != instrument:
            dispatcher.post(InstrumentAdopted(now_ns=dispatcher.scheduler.now_ns(), instrument=instrument))

    def link(self, up: bool, reason: str) -> None:
        """The session is there, or gone."""
        self._dispatcher.link(self._adapter, up=up, reason=reason)
