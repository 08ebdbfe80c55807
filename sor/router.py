"""The core: facts in, wishes out, for all parents. Pure: no clock, no I/O, no randomness.

Each fact moves at most what it concerns, then the parent is settled: what is due is done, what ended is withdrawn,
and where a decision is wanted and nothing is on its way to the venue, the market is asked for (`Look`). A decision
names the placements wanted now; the difference to what is there is worked out here, cancels first: nothing new is
placed before the outcome of every cancel is known (D4).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from heapq import heappop, heappush, heapreplace
from math import inf
from typing import Final, TypeVar

import msgspec

from sor.adapter import Request
from sor.child import Child, Life, Pending
from sor.commands import Alarm, AnyWish, Decided, Ended, EndMark, Happening, Look, Rehearse, Tell, WakeAt, Watch
from sor.decide import PluginFault, Uninstalled, due_of
from sor.desk import BookKey, Desk, VenueState
from sor.events import (
    AmendAsked,
    AnyFact,
    ArmStopped,
    CancelAsked,
    Contradicted,
    EndMarked,
    ExperimentAdopted,
    Fact,
    FitContradicted,
    FitTrusted,
    HaltLifted,
    InstrumentAdopted,
    Looked,
    Marked,
    ModeSet,
    NeighbourFound,
    ParamsAdopted,
    PauseAsked,
    PositionKnown,
    PositionMoved,
    Reported,
    RequestLost,
    ResumeAsked,
    SessionStarted,
    Shadowed,
    StrayFound,
    Submitted,
    TradingMode,
    VenueDown,
    VenueUp,
    WalletKnown,
    WalletMoved,
    Woke,
)
from sor.experiment.assigned import Assigned
from sor.experiment.definition import parse_experiment
from sor.experiment.running import Running
from sor.explore import PREFIX
from sor.foreign import Foreign
from sor.ids import ClOrdId, Symbol, VenueName
from sor.instruments import Instrument, canonical_symbol
from sor.invariants import apply as apply_invariants
from sor.leverage import LeverageClaims
from sor.limits import Limits, limits_of
from sor.market import MarketView, Trust
from sor.orders import ExecType, OnNoMarket, OrdStatus, ParentStatus, RejectKind
from sor.own_book import OwnBook
from sor.params import Params, ParamSet, parse
from sor.parent import GoParent, Parent, ParentEvent, ParentLife
from sor.parents import Parents, ParentsById
from sor.placement import Carried, carry_out, cross_decision, view_of
from sor.policy import POLICY_FAULT, Decision, Policy, Schedule
from sor.reasons import EndReason
from sor.refusals import REFUSALS, Consequence
from sor.revisit import Revisit
from sor.snapshot import Cause, Contradiction, View
from sor.units import MS, NS, to_ns
from sor.wallets import Wallets

HOLD_POLL_NS = NS
"""A policy that holds without saying when to ask again is asked after this."""
MARKET_POLL_NS = 250 * MS
"""A parent that waits for its market looks again after this, besides being woken when the book becomes sound ..."""
MARKET_POLL_NS_MAX = 10 * NS
"""... and ever less often, up to this: each look is journaled, and a market may be closed for days."""

RETIRED_AT_ONCE: Final = 4
"""How many parents that are over are looked at after each fact. A parent is several facts, so none are left behind."""

Ruling = tuple[Decision, tuple[str, ...]]
Decider = Callable[[Parent, Policy, View, Params], Ruling]
"""Turns a view into a decision after the invariants; a fold hands in the recorded ones instead."""


# Members by name: CPython 3.11 takes longer to read a member off its enum than to compare it, and these are read for
# every report.
_STOPPING: Final = ParentLife.STOPPING
_PAUSED: Final = ParentLife.PAUSED
_WORKING: Final = ParentLife.WORKING
_CROSSING: Final = ParentLife.CROSSING
_WAITING: Final = ParentLife.WAITING
_PENDING_NEW: Final = Life.PENDING_NEW
_LIVE: Final = Life.LIVE
_IN_DOUBT: Final = Life.IN_DOUBT
_NOTHING_PENDING: Final = Pending.NONE
_REPLACED: Final = ExecType.REPLACED
_TRADE: Final = ExecType.TRADE
_AMEND_REJECTED: Final = ExecType.AMEND_REJECTED
_TIMEOUT: Final = Cause.TIMEOUT
_DEADLINE: Final = Cause.DEADLINE
_FILL: Final = Cause.FILL
_ORDER_EVENT: Final = Cause.ORDER_EVENT
_REVISIT: Final = Cause.REVISIT
_START: Final = Cause.START
_REJECTED: Final = OrdStatus.REJECTED
_OK: Final = Trust.OK
_MARKET_KNOWN: Final = ParentEvent.MARKET_KNOWN
_STOP: Final = ParentEvent.STOP
_CLEAR: Final = ParentEvent.CLEAR
_FILLED: Final = ParentStatus.FILLED
_HALTED: Final = ParentStatus.HALTED
_COMPLETE: Final = EndReason.COMPLETE
_WAITS: Final = Consequence.WAITS
_ENDS: Final = Consequence.ENDS
_CLOSED: Final = Consequence.CLOSED


_OfParent = TypeVar(
    "_OfParent",
    Looked,
    Woke,
    CancelAsked,
    PauseAsked,
    ResumeAsked,
    AmendAsked,
    Shadowed,
    Marked,
    EndMarked,
)
"""The facts of one parent, by its number."""


class Core:
    """State of the whole router as a fold of its facts.

    parents    all that are not forgotten (`sor.parents`). by_id: the same by the callers' ids.
    at_work    those that have not ended, or have an order at a venue all the same: who goes through many goes through
               these.
    retire_ns  a parent that is over is retired once nothing was heard of it for this long, and forgotten when it has
               been retired for `forget_ns`; 0 for never. The session says.
    """

    def __init__(
        self,
        *,
        policies: Mapping[str, Policy],
        schedules: Mapping[str, Schedule],
        decider: Decider,
        keep: bool = False,
    ) -> None:
        """`keep`: keep everything whole for whoever reads it afterwards; what is wished for is the same."""
        self.policies = policies
        self.schedules = schedules
        self.decider = decider
        self.out: list[AnyWish] = []
        self.parents = Parents(keep=keep)
        self.by_id = ParentsById(self.parents)
        self.desk = Desk(self.out, self.parents)
        self.at_work: dict[int, Parent] = {}
        self.claims = LeverageClaims(self.desk)
        self.retire_ns = self.forget_ns = 0
        self._over: list[tuple[int, int]] = []
        """A heap of parents in working memory that have ended: when something was heard of them, and their numbers."""
        self.instruments: dict[tuple[VenueName, Symbol], Instrument] = {}
        self.sets: dict[str, ParamSet] = {}
        self.default_set = ""
        self.mode = TradingMode.ACTIVE
        self.mode_reason = ""
        self.foreign = Foreign(self.desk)
        self.wallets = Wallets(self.desk)
        self.now_ns = 0
        self.doubted_fits: dict[tuple[str, str], FitContradicted] = {}
        """Fits that outcomes contradict, by policy and digest of the set; an exploring policy counts as its own."""
        self.experiments: dict[str, Running] = {}
        """All that were ever started, by name."""
        self._resolved: dict[tuple[str, VenueName, Symbol], tuple[Params, Limits]] = {}
        self._handlers: dict[type[Fact], Callable[..., None]] = {
            SessionStarted: self._session,
            InstrumentAdopted: self._instrument,
            ParamsAdopted: self._params,
            VenueUp: self._venue_up,
            VenueDown: self._venue_down,
            PositionKnown: self._position,
            PositionMoved: self.foreign.moved,
            WalletKnown: self.wallets.known,
            WalletMoved: self.wallets.moved,
            StrayFound: self.foreign.stray_found,
            NeighbourFound: self.foreign.neighbour_found,
            Contradicted: self._contradicted,
            Submitted: self._submitted,
            Looked: partial(self._of_parent, self._looked),
            Reported: self._reported,
            RequestLost: self._lost,
            Woke: partial(self._of_parent, self._woke),
            CancelAsked: partial(self._of_parent, self._cancel_asked),
            PauseAsked: partial(self._of_parent, self._pause_asked),
            ResumeAsked: partial(self._of_parent, self._resume_asked),
            AmendAsked: partial(self._of_parent, self._amend_asked),
            ModeSet: self._mode_set,
            HaltLifted: self._halt_lifted,
            FitContradicted: self._fit_contradicted,
            FitTrusted: self._fit_trusted,
            ExperimentAdopted: self._experiment_adopted,
            ArmStopped: self._arm_stopped,
            Shadowed: partial(self._of_parent, self._shadowed),
            Marked: partial(self._of_parent, self._marked),
            EndMarked: partial(self._of_parent, self._end_marked),
        }

    def step(self, fact: AnyFact) -> list[AnyWish]:
        """Take one fact in; returns the wishes it causes, in the order in which they must be carried out."""
        self.now_ns = fact.now_ns
        self._handlers[type(fact)](fact)
        if self.retire_ns:
            if self._over and fact.now_ns - self._over[0][0] >= self.retire_ns:
                self._retire(fact.now_ns)
            if self.forget_ns and self.parents.retired:
                self._forget(fact.now_ns)
        wishes = self.out.copy()
        self.out.clear()
        return wishes

    # --- intake ---------------------------------------------------------------------------------------------------

    def resolved(self, name: str, instrument: Instrument) -> tuple[Params, Limits]:
        """A param-set and the machine's limits for one instrument now.

        What has run out without a successor is refused at the door, but not taken from parents at work: while anything
        they were given is missing, everything stays as it was.
        """
        key = (name, instrument.venue, instrument.symbol)
        params = self.sets[name].resolve(instrument.venue, instrument.symbol, now_ns=self.now_ns)
        found = self._resolved.get(key)
        if found is None or (found[0] is not params and not params.missing(tuple(found[0]))):
            found = self._resolved[key] = (params, limits_of(params))
        return found

    def limits(self, parent: Parent) -> Limits:
        """The machine's limits for a parent."""
        return self.resolved(parent.set_name, parent.instrument)[1]

    def _submitted(self, fact: Submitted) -> None:
        order = fact.order
        instrument = self.instruments[fact.venue, canonical_symbol(order.symbol)]
        parent = Parent(
            no=self.parents.given + 1,
            order=order,
            intent=fact.intent,
            venue=fact.venue,
            instrument=instrument,
            set_name=order.param_set or self.default_set,
            now_ns=fact.now_ns,
            assigned=fact.assigned,
        )
        self.parents.add(parent)
        self.at_work[parent.no] = parent
        self.claims.enter(parent)
        self._ask(parent, _START)
        self._settle(parent, fact.now_ns)

    # --- the world around -----------------------------------------------------------------------------------------

    def _session(self, fact: SessionStarted) -> None:
        """A process starts: what the one before had on its way is not known."""
        self.desk.epoch = fact.epoch
        self.desk.session += 1
        self.foreign.suspects.clear()  # who asked is no more
        self.default_set = fact.default_set
        self.retire_ns, self.forget_ns = fact.retire_ns, fact.forget_ns
        for state in self.desk.venues.values():
            state.up = state.here = False
            if fact.same_accounts:
                state.identity = ""
        for parent in tuple(self.at_work.values()):
            parent.looking = None
            parent.watching = False
            parent.wake_ns = 0
            for child in parent.open_children:
                self.desk.session_lost(parent, child, fact.now_ns)
                child.early_queries = 0  # their answers died with the process that asked
            self._unwind(parent, fact)
            # Nothing is decided before its venue is up: without a book what rests would lose its place for nothing.
            self._settle(parent, fact.now_ns)

    def _unwind(self, parent: Parent, fact: SessionStarted) -> None:
        """End a parent that was left alone for longer than it allows; what of it rests is withdrawn."""
        limit_s = parent.order.unwind_after_s
        if limit_s is None or not fact.last_ns or fact.now_ns - fact.last_ns <= to_ns(limit_s):
            return
        text = f"no process has worked it for {(fact.now_ns - fact.last_ns) / NS:.1f} s; it allows {limit_s:g} s"
        self._stop(parent, ParentStatus.CANCELED, EndReason.UNWOUND, text)

    def _instrument(self, fact: InstrumentAdopted) -> None:
        new = fact.instrument
        old = self.instruments.get((new.venue, new.symbol))
        self.instruments[new.venue, new.symbol] = new
        if old is None or (old.tick_size, old.lot_size, old.multiplier) == (
            new.tick_size,
            new.lot_size,
            new.multiplier,
        ):
            return
        # Whatever counts in steps that the venue no longer has is not to be relied upon: positions are asked for anew.
        for (venue, _, symbol), own in self.desk.books.items():
            if (venue, symbol) == (new.venue, new.symbol):
                own.forget_positions()
                for realised in own.realised.values():
                    realised.relist(old, new)
        for parent in tuple(self.at_work.values()):
            if parent.active and (parent.venue, parent.instrument.symbol) == (new.venue, new.symbol):
                book = self.desk.book_of(parent)
                if not book.halted:
                    key = (parent.venue, parent.order.account, parent.instrument.symbol)
                    self._halt(key, 0, f"{new.symbol}: the venue changed its tick or lot size", fact.now_ns)

    def _params(self, fact: ParamsAdopted) -> None:
        """A set comes into force under a name, unless parents that work by the name would lose what they need."""
        new = parse(fact.text, where=f"journal record of {fact.name}")
        old = self.sets.get(fact.name)
        lost = () if old is None else new.lost(old)
        if old is not None and lost:
            text = f"param-set {fact.name}: {old.set_id} stays, as {new.set_id} lacks {', '.join(lost)}"
            self.out.append(Alarm(0, VenueName(""), text, halts=False))
            return
        self.sets[fact.name] = new
        if old is not None and old.digest != new.digest:
            for running in self.experiments.values():
                running.set_changed(fact.name)
        self._resolved = {key: kept for key, kept in self._resolved.items() if key[0] != fact.name}

    def _venue_up(self, fact: VenueUp) -> None:
        state = self.desk.venues.get(fact.venue)
        if state is None:
            state = self.desk.venues[fact.venue] = VenueState(fact.capabilities)
        stranger = self.stranger(fact.venue, fact.identity)
        if stranger:
            # Asked there, every order of ours would be unknown, and so proven absent.
            state.up = state.here = False
            text = f"{stranger}; it counts as down until it is back with that account"
            self.out.append(Alarm(0, fact.venue, text, halts=False))
            return
        state.identity = fact.identity or state.identity
        state.capabilities = fact.capabilities
        state.up = state.here = True
        for parent in tuple(self.at_work.values()):
            if parent.venue == fact.venue:
                for child in parent.open_children:
                    self.desk.session_lost(parent, child, fact.now_ns)
                    self.desk.restate(child)
                if parent.active:
                    self._ask(parent, _REVISIT)
                self._settle(parent, fact.now_ns)

    def stranger(self, venue: VenueName, identity: str) -> str:
        """Why the account that `identity` names is not to be asked about what is at work at a venue, "" if it may be.

        With nothing at work any account will do, and where one of the two has no identity nobody can tell.
        """
        state = self.desk.venues.get(venue)
        if state is None or not state.identity or not identity or identity == state.identity:
            return ""
        theirs = [parent.id for parent in self.at_work.values() if parent.venue == venue]
        if not theirs:
            return ""
        return (
            f"{venue} is connected with account {identity}, and the journal has parents at work on account "
            f"{state.identity}: {', '.join(theirs)}"
        )

    def _venue_down(self, fact: VenueDown) -> None:
        state = self.desk.venues.get(fact.venue)
        if state is not None:
            state.up = False

    def _position(self, fact: PositionKnown) -> None:
        key = (fact.venue, fact.account, fact.symbol)
        book = self.desk.books.get(key)
        if book is None:
            book = self.desk.books[key] = OwnBook()
        book.base(fact.position_side, fact.qty_lots, fact.now_ns)

    def _contradicted(self, fact: Contradicted) -> None:
        """The venue's books are not what we were told: ask about the order, whose answer counts as ever."""
        child = self._child(fact.cl_ord_id)
        if child is None:
            return  # forgotten between the reading and now
        parent = self._parent_of(child)
        self.foreign.suspect(fact)
        self.desk.look_up(child, fact.now_ns, self.limits(parent))
        self._settle(parent, fact.now_ns)

    def _mode_set(self, fact: ModeSet) -> None:
        self._switch(fact.mode, EndReason.KILL_SWITCH, fact.reason, fact.now_ns)
        if fact.mode is TradingMode.ACTIVE:
            # Somebody takes responsibility for trading on: the day's loss counts anew from here.
            for book in self.desk.books.values():
                for realised in book.realised.values():
                    realised.atoms = 0

    def _switch(self, mode: TradingMode, why: EndReason, text: str, now_ns: int, *, parent_no: int = 0) -> None:
        """Move the switch, and end every parent that may not trade on; whoever calls settles parent `parent_no`."""
        self.mode = mode
        self.mode_reason = text
        if mode is TradingMode.ACTIVE:
            return
        for parent in tuple(self.at_work.values()):
            if parent.active and not (mode is TradingMode.REDUCE_ONLY and parent.order.reduce_only):
                self._stop(parent, ParentStatus.CANCELED, why, text)
                if parent.no != parent_no:
                    self._settle(parent, now_ns)

    def lost_today(self, parent: Parent, now_ns: int) -> Decimal:
        """What our fills have lost today on its account, over all symbols of its quote asset; negative for a gain."""
        lost = Decimal(0)
        for (venue, account, symbol), book in self.desk.books.items():
            instrument = self.instruments[venue, symbol]
            if account == parent.order.account and instrument.quote == parent.instrument.quote:
                lost -= sum((one.today(instrument, now_ns) for one in book.realised.values()), Decimal(0))
        return lost

    def _watch_loss(self, parent: Parent, limits: Limits, now_ns: int) -> None:
        """A loss beyond the day's limit leaves only what reduces; from there somebody has to let trading go on."""
        most = limits.daily_loss_max
        if most == inf or self.mode is not TradingMode.ACTIVE:
            return
        lost = self.lost_today(parent, now_ns)
        if lost > most:
            text = (
                f"{lost:,.2f} {parent.instrument.quote} were lost today, and risk.daily_loss_max is {most:,.2f}: only "
                "what reduces goes on, until somebody sets trading active again"
            )
            self.out.append(Alarm(parent.no, parent.venue, text, halts=False))
            self._switch(TradingMode.REDUCE_ONLY, EndReason.DAILY_LOSS, text, now_ns, parent_no=parent.no)

    def _halt_lifted(self, fact: HaltLifted) -> None:
        for (venue, _, symbol), book in self.desk.books.items():
            if venue == fact.venue and symbol == fact.symbol:
                book.halted = ""
                book.rejects = 0

    def _fit_contradicted(self, fact: FitContradicted) -> None:
        self.doubted_fits[fact.policy, fact.digest] = fact
        self.out.append(Alarm(0, VenueName(""), fact.text, halts=False))

    def _fit_trusted(self, fact: FitTrusted) -> None:
        self.doubted_fits = {key: told for key, told in self.doubted_fits.items() if told.set_id != fact.set_id}

    def doubt_of(self, policy: str, params: Params) -> Contradiction | None:
        """What contradicts the fit that a policy rests by with these values, None while nothing does."""
        if not self.doubted_fits:
            return None
        told = self.doubted_fits.get((policy.removeprefix(PREFIX), params.digest))
        return None if told is None else Contradiction(told.orders, told.filled, told.expected)

    def _experiment_adopted(self, fact: ExperimentAdopted) -> None:
        experiment = parse_experiment(fact.text, where=f"journal record of {fact.name}")
        self.experiments[fact.name] = Running(experiment=experiment, since_ns=fact.now_ns)

    def _arm_stopped(self, fact: ArmStopped) -> None:
        running = self.experiments[fact.experiment]
        if not running.stops(fact.arm):
            return
        if fact.arm:
            running.stopped[fact.arm] = fact.text
        else:
            running.ended = fact.text
        what = f"arm {fact.arm} of experiment {fact.experiment}" if fact.arm else f"experiment {fact.experiment}"
        text = f"{what} takes no more parents, those that it has go on: {fact.text}"
        self.out.append(Alarm(0, VenueName(""), text, halts=False))

    def _is_shadowed(self, assigned: Assigned) -> bool:
        running = self.experiments[assigned.experiment]
        return bool(assigned.arm and running.experiment.shadows and not running.ended)

    @staticmethod
    def _shadowed(parent: Parent, fact: Shadowed) -> None:
        parent.shadows[fact.shadow] = fact.decision.memory

    def _halt(self, key: BookKey, parent_no: int, text: str, now_ns: int) -> None:
        """Nothing more may be placed on this symbol of this account, and what rests there is withdrawn."""
        self.desk.books[key].halted = text
        self.out.append(Alarm(parent_no, key[0], text, halts=True))
        for other in tuple(self.at_work.values()):
            if other.active and (other.venue, other.order.account, other.instrument.symbol) == key:
                self._stop(other, _HALTED, EndReason.HALTED, text)
                if other.no != parent_no:
                    self._settle(other, now_ns)

    # --- one parent: what callers and the clock want ----------------------------------------------------------------

    def _cancel_asked(self, parent: Parent, fact: CancelAsked) -> None:
        self._stop(
            parent, ParentStatus.CANCELED, EndReason.SHUTDOWN if fact.shutdown else EndReason.CALLER, fact.reason
        )
        self._settle(parent, fact.now_ns)

    def _pause_asked(self, parent: Parent, fact: PauseAsked) -> None:
        if isinstance(parent.apply(ParentEvent.PAUSE), GoParent):
            self._withdraw(parent, fact.now_ns)
            self._unmark(parent)
            parent.replan = None
            parent.revisit = None
            self.out.append(Tell(Happening(parent.no, status=parent.status)))
        self._settle(parent, fact.now_ns)

    def _resume_asked(self, parent: Parent, fact: ResumeAsked) -> None:
        if isinstance(parent.apply(ParentEvent.RESUME), GoParent):
            self._ask(parent, Cause.RESUMED)
        self._settle(parent, fact.now_ns)

    def _amend_asked(self, parent: Parent, fact: AmendAsked) -> None:
        if not parent.active:
            parent.absorbed += 1  # it ended between the question and now
            return
        if fact.quantity is not None:
            parent.ledger.resize(max(parent.instrument.lots(fact.quantity), parent.ledger.cum_lots))
            if parent.ledger.shrink_lots:
                self._withdraw(parent, fact.now_ns)
        if fact.limit is not None:
            parent.limit_ticks = parent.instrument.ticks(fact.limit)
            self._withdraw(parent, fact.now_ns, beyond_ticks=parent.limit_ticks)
        if fact.deadline_s is not None:
            parent.deadline_ns = fact.now_ns + to_ns(fact.deadline_s)
            if parent.life is _CROSSING and fact.now_ns < parent.deadline_ns - self.limits(parent).cross_margin_ns:
                parent.apply(ParentEvent.TIME_GIVEN)
                parent.cross_attempts = 0
                parent.replan = None  # the crossing that may have been wanted
        if fact.urgency is not None:
            parent.urgency = fact.urgency
        self._ask(parent, Cause.AMENDED)
        self._settle(parent, fact.now_ns)

    def _woke(self, parent: Parent, fact: Woke) -> None:
        if fact.market:
            parent.watching = False
            if parent.active:
                self._ask(parent, _REVISIT)
        else:
            parent.wake_ns = 0
        self._settle(parent, fact.now_ns)

    @staticmethod
    def _marked(parent: Parent, fact: Marked) -> None:
        if fact.mid_hticks:
            parent.markouts.append((fact.exec_id, fact.horizon_ns, fact.mid_hticks))

    @staticmethod
    def _end_marked(parent: Parent, fact: EndMarked) -> None:
        parent.end_market = fact.market

    # --- one parent: what venues say --------------------------------------------------------------------------------

    def _reported(self, fact: Reported) -> None:
        report = fact.report
        child = self._child(report.cl_ord_id)
        if child is None or child.venue != report.venue:
            self.foreign.reported(report)  # somebody else's order: manual orders are never touched (R5)
            return
        parent = self._parent_of(child)
        now = fact.now_ns
        limits = self.limits(parent)
        doubted = child.life is _IN_DOUBT
        over_lots = parent.ledger.over_lots
        effect = self.desk.report(parent, child, report, mid_hticks=fact.mid_hticks, now_ns=now, limits=limits)
        if report.cl_ord_id in self.foreign.suspects:
            self.foreign.cleared(report, effect)
        if effect.new_lots:
            parent.rejects = parent.denials = parent.misses = 0
            if parent.recalled:
                self._filled_late(parent, child, effect.new_lots, now)
        if effect.new_lots or effect.life_moved:
            self.out.append(Tell(Happening(parent.no, report=report, order_status=child.status)))
        if effect.fault or parent.ledger.over_lots > over_lots:
            text = effect.fault or f"parent {parent.id} is overfilled by {parent.ledger.over_lots} lots"
            key = (parent.venue, parent.order.account, parent.instrument.symbol)
            if not self.desk.book_of(parent).halted:
                self._halt(key, parent.no, text, now)
            if parent.ended and parent.open_children:
                self.at_work[parent.no] = parent  # an order of it has come back to life
        if report.exec_type is _TRADE or effect.new_lots:
            self._watch_loss(parent, limits, now)
        if effect.closed:
            self._child_closed(parent, child, now, limits)
        elif effect.new_lots and parent.active:
            self._ask(parent, _FILL)
        elif child.life is _LIVE and (
            doubted or (child.pending is _NOTHING_PENDING and report.exec_type in (_REPLACED, _AMEND_REJECTED))
        ):
            self._ask(parent, _ORDER_EVENT)
        self._settle(parent, now, limits)

    def _child_closed(self, parent: Parent, child: Child, now: int, limits: Limits) -> None:
        """An order is known to hold nothing any more: what follows for its parent."""
        if child.timed_out:
            parent.timeouts += 1
            parent.misses = 0
        if not parent.active:
            if parent.ended and not parent.open_children:
                self.at_work.pop(parent.no, None)
            return
        if child.status is _REJECTED:
            self._child_rejected(parent, child, now, limits)
        elif not child.counted_lots and not child.cancel_wanted:
            self._missed(parent, now, limits)  # took and found nothing, or the venue did not let it rest after all
            parent.refusals += child.rests
        self._ask(parent, _TIMEOUT if child.timed_out else _FILL if child.counted_lots else _ORDER_EVENT)

    def _missed(self, parent: Parent, now: int, limits: Limits) -> None:
        """An order came to nothing: try again, but not in a tight loop with a venue or a book that keeps saying no."""
        parent.misses += 1
        parent.retry_ns = now + limits.retry_ns(parent.misses)

    def _child_rejected(self, parent: Parent, child: Child, now: int, limits: Limits) -> None:
        kind = RejectKind.OTHER if child.reject is None else child.reject.reject
        said = "" if child.reject is None else f"{child.reject.code} {child.reject.text}".strip()
        consequence = REFUSALS[kind]
        if consequence is _CLOSED:
            self._stop(parent, ParentStatus.COMPLETED_BY_OTHERS, EndReason.NOTHING_LEFT_TO_REDUCE, said)
            return
        self._missed(parent, now, limits)
        if consequence is _WAITS:
            parent.refusals += kind is RejectKind.WOULD_TAKE and child.rests
            return  # the market moved, or it was not the moment: neither says that the order was wrong
        parent.rejects += 1
        if parent.rejects >= limits.rejects_max or consequence is _ENDS:
            self._stop(parent, ParentStatus.REJECTED, EndReason.VENUE_REJECTS, said)
        book = self.desk.book_of(parent)
        book.rejects += 1
        if book.rejects >= limits.breaker_rejects and not book.halted:
            key = (parent.venue, parent.order.account, parent.instrument.symbol)
            self._halt(key, parent.no, f"{book.rejects} orders in a row were refused, last: {said or kind.value}", now)

    def _lost(self, fact: RequestLost) -> None:
        child = self._child(fact.failed.cl_ord_id)
        if child is None or child.venue != fact.venue:
            self.foreign.reports += 1
            return
        parent = self._parent_of(child)
        limits = self.limits(parent)
        if fact.failed.request is Request.QUERY:
            self.foreign.suspects.pop(fact.failed.cl_ord_id, None)
        effect = self.desk.lost(parent, child, fact.failed, now_ns=fact.now_ns, limits=limits)
        if effect.life_moved:
            self.out.append(Tell(Happening(parent.no, order_status=child.status, failed=fact.failed)))
        if effect.fault and not self.desk.book_of(parent).halted:
            key = (parent.venue, parent.order.account, parent.instrument.symbol)
            self._halt(key, parent.no, effect.fault, fact.now_ns)
        if effect.closed:
            self._child_closed(parent, child, fact.now_ns, limits)
        elif fact.failed.request is Request.AMEND and child.life is _LIVE and child.pending is _NOTHING_PENDING:
            self._ask(parent, _ORDER_EVENT)
        self._settle(parent, fact.now_ns, limits)

    # --- what is over -----------------------------------------------------------------------------------------------

    def _of_parent(self, handle: Callable[[Parent, _OfParent], None], fact: _OfParent) -> None:
        """Take in a fact of one parent; of one that is forgotten there is nothing to be moved any more."""
        parent = self.parents.working.get(fact.parent_no) or self._recall(fact.parent_no)
        if parent is not None:
            parent.heard_ns = fact.now_ns
            handle(parent, fact)

    def _child(self, cl_ord_id: ClOrdId) -> Child | None:
        """The order that a fact is about, with its parent in working memory; None for one that is nobody's."""
        child = self.desk.children.get(cl_ord_id)
        if child is None:
            retired = self.desk.order(cl_ord_id)
            if retired is not None:
                self._recall(retired.parent_no)
                child = self.desk.children[cl_ord_id]
        return child

    def _parent_of(self, child: Child) -> Parent:
        """The parent of an order that something is heard of."""
        parent = self.parents.working[child.parent_no]
        parent.heard_ns = self.now_ns
        return parent

    def _recall(self, parent_no: int) -> Parent | None:
        """A retired parent is heard of after all: it is in working memory again, as it was."""
        parent = self.parents.recall(parent_no)
        if parent is not None:
            parent.recalled = True
            self.desk.recall(parent)
            heappush(self._over, (self.now_ns, parent_no))
        return parent

    def _filled_late(self, parent: Parent, child: Child, lots: int, now: int) -> None:
        """A fill so late counts like any other; somebody should know what the venue is up to."""
        self.claims.filled_late(parent, lots)
        text = (
            f"order {child.order.cl_ord_id} has filled {lots} lots that nobody had told of when parent {parent.id} was "
            f"retired; it ended {round((now - parent.ended_ns) / NS)} s ago. They are counted, and the position with "
            "them; what its caller was told of it is not what it has become"
        )
        self.out.append(Alarm(parent.no, parent.venue, text, halts=False))

    def _retire(self, now: int) -> None:
        """Look at parents that have been over for long: a few at a time, so that none of what trades has to wait."""
        over = self._over
        for _ in range(RETIRED_AT_ONCE):
            if not over or now - over[0][0] < self.retire_ns:
                break
            no = over[0][1]
            parent = self.parents.working[no]
            if not self._is_over(parent):
                heapreplace(over, (now, no))
            elif now - parent.heard_ns < self.retire_ns:
                heapreplace(over, (parent.heard_ns, no))
            else:
                heappop(over)
                self.desk.retire(parent)
                self.claims.retire(parent)
                self.parents.retire(parent, now)

    def _forget(self, now: int) -> None:
        """Look at those that have been retired for longest, as few at a time."""
        for _ in range(RETIRED_AT_ONCE):
            oldest = self.parents.oldest()
            if oldest is None or now - oldest[1].since_ns < self.forget_ns:
                break
            parent = self.parents.get(oldest[0])
            assert parent is not None, oldest[0]
            if self._is_counted_on(parent):
                self.parents.retire_anew(parent.no, now)
            else:
                self.desk.forget(parent)
                self.parents.forget(parent.no)

    def _is_over(self, parent: Parent) -> bool:
        """Whether nothing of a parent can be at a venue, in doubt, or on its way."""
        suspects = self.foreign.suspects
        if not parent.ended or parent.open_children or parent.no in self.at_work or parent.wake_ns or parent.watching:
            return False
        return not suspects or all(child.order.cl_ord_id not in suspects for child in parent.children)

    def _is_counted_on(self, parent: Parent) -> bool:
        """Whether a retired parent is in what an experiment that goes on says of its arms."""
        if parent.assigned is None:
            return False
        running = self.experiments.get(parent.assigned.experiment)
        return running is not None and not running.ended

    # --- settling ---------------------------------------------------------------------------------------------------

    def _ask(self, parent: Parent, cause: Cause) -> None:
        """A decision is wanted; time that is up is not forgotten for a lesser cause."""
        if parent.replan is not _DEADLINE and (parent.replan is not _TIMEOUT or cause is _DEADLINE):
            parent.replan = cause

    def _withdraw(self, parent: Parent, now: int, *, beyond_ticks: int | None = None) -> None:
        """Cancel everything that rests, or only what rests at a worse price than `beyond_ticks`."""
        limits = self.limits(parent)
        for child in parent.open_children:
            within = beyond_ticks is not None and parent.side * (child.boldest_ticks - beyond_ticks) <= 0
            if child.rests and not child.cancel_wanted and not within:
                self.desk.cancel(child, now, limits)

    def _withdraw_live(self, parent: Parent, now: int, limits: Limits) -> None:
        """Cancel what is known to rest; what is in doubt is being settled already."""
        for child in parent.open_children:
            if child.life is _LIVE and child.rests and not child.cancel_wanted:
                self.desk.cancel(child, now, limits)

    def _stop(self, parent: Parent, status: ParentStatus, reason: EndReason, text: str) -> None:
        """Decide a parent's end; the first reason stands."""
        if isinstance(parent.apply(_STOP), GoParent):
            parent.end_status = status
            parent.end_reason = reason
            parent.end_text = text
            parent.replan = None
            parent.revisit = None
            parent.retry_ns = 0
            self._unmark(parent)

    def _unmark(self, parent: Parent) -> None:
        """It no longer waits to take, so that nobody has to stay out of its way."""
        crosser = self.desk.book_of(parent).crosser
        if crosser.get(parent.side) == parent.no:
            del crosser[parent.side]

    def _settle(self, parent: Parent, now: int, limits: Limits | None = None) -> None:
        """Do what is due for one parent, then say when to come back; `limits` are its own, where they are at hand."""
        if limits is None:
            limits = self.limits(parent)
        for child in tuple(parent.open_children):
            if now >= child.check_ns:
                self._tend(parent, child, now, limits)
        if parent.active:
            self._look_at_time(parent, now, limits)
        if parent.life is _STOPPING:
            for child in parent.open_children:
                if not child.cancel_wanted:
                    self.desk.cancel(child, now, limits)
            if not parent.open_children:
                self._finish(parent, now)
        elif self._may_ask(parent, now):
            assert parent.replan is not None
            parent.looking = parent.replan
            parent.replan = None
            parent.retry_ns = 0
            self.out.append(Look(parent.no, parent.looking))
            return  # the answer comes within this turn, and what is due after it is worked out then
        self._rearm(parent, now, limits)

    def _tend(self, parent: Parent, child: Child, now: int, limits: Limits) -> None:
        self.desk.tend(parent, child, now, limits)
        if child.checks < limits.doubt_alarm_checks or child.alarmed:
            return
        if child.life is _IN_DOUBT:
            proof = self.desk.proof_ns(child)
            why = "the venue gives no bound after which absence is proven" if proof is None else "still no evidence"
            text = (
                f"order {child.order.cl_ord_id} is in doubt after {child.checks} lookups: {why}. Look it up at the "
                f"venue; if nothing is known of it there, settle it (`--settle {child.order.cl_ord_id}=FILLED`, "
                "`Router.settle`)"
            )
        elif child.cancel_wanted:
            text = f"order {child.order.cl_ord_id} is to be withdrawn, and the venue still has it"
        else:
            return
        child.alarmed = True
        self.out.append(Alarm(parent.no, parent.venue, text, halts=False))

    def _look_at_time(self, parent: Parent, now: int, limits: Limits) -> None:
        """Complete, too late, time to cross, or a time that a decision or schedule named."""
        if parent.remaining_lots == 0:
            self._stop(parent, _FILLED, _COMPLETE, "")
            return
        if now >= parent.deadline_ns:
            self._stop(parent, ParentStatus.EXPIRED, self._expiry_reason(parent), "")
            return
        if parent.life is _WORKING and now >= parent.deadline_ns - limits.cross_margin_ns:
            parent.apply(ParentEvent.TIME_UP)
            self._withdraw(parent, now)
            parent.retry_ns = parent.denials = parent.misses = 0  # the last chance does not wait for earlier ones
            self._ask(parent, _DEADLINE)
        revisit = parent.revisit
        if revisit is not None and revisit.at_ns is not None and now >= revisit.at_ns:
            parent.revisit = None
            self._ask(parent, _REVISIT)
        if parent.due is not None and parent.due.next_ns is not None and now >= parent.due.next_ns:
            parent.due = None
            self._ask(parent, Cause.SLICE)
        if parent.retry_ns and now >= parent.retry_ns and parent.replan is None:
            self._ask(parent, Cause.RETRY)

    def _expiry_reason(self, parent: Parent) -> EndReason:
        if parent.arrival_hticks is None:
            return EndReason.NO_MARKET
        market, limit = parent.market, parent.limit_ticks
        if market is not None and limit is not None:
            ladder = market.ladder(parent.side)
            if ladder and parent.side * (ladder[0][0] - limit) > 0:
                return EndReason.LIMIT_PRICE
        return EndReason.DEADLINE

    def _may_ask(self, parent: Parent, now: int) -> bool:
        """Whether a wanted decision can be made now."""
        return (
            parent.replan is not None
            and parent.looking is None
            and now >= parent.retry_ns
            and parent.active
            and parent.life is not _PAUSED
            and self._seen(parent.venue)
            and not self._busy(parent)
        )

    def _seen(self, venue: VenueName) -> bool:
        """Whether a venue has been there since this process began: before that nobody knows its book."""
        state = self.desk.venues.get(venue)
        return state is None or state.here

    def _busy(self, parent: Parent) -> bool:
        """Whether an answer is on its way that the next decision must not run ahead of (D4)."""
        crossing = parent.life is _CROSSING
        for child in parent.open_children:
            if child.life is _PENDING_NEW or child.pending is not _NOTHING_PENDING:
                if child.life is not _IN_DOUBT:
                    return True
            elif child.life is _LIVE and (child.cancel_wanted or crossing or not child.rests):
                return True
        return False

    def _rearm(self, parent: Parent, now: int, limits: Limits) -> None:
        """One wake-up per parent: the earliest of everything that has a time."""
        at = 0  # never
        for child in parent.open_children:
            check_ns = child.check_ns
            if check_ns and (check_ns < at or not at):
                at = check_ns
        life = parent.life
        if life < _STOPPING:
            due_ns = parent.deadline_ns
            if life is _WORKING:
                due_ns -= limits.cross_margin_ns
            if due_ns < at or not at:
                at = due_ns
            if life is not _PAUSED:
                revisit, due = parent.revisit, parent.due
                if revisit is not None:
                    revisit_ns = revisit.at_ns
                    if revisit_ns and (revisit_ns < at or not at):
                        at = revisit_ns
                if due is not None:
                    next_ns = due.next_ns
                    if next_ns and (next_ns < at or not at):
                        at = next_ns
                retry_ns = parent.retry_ns
                if retry_ns > now and (retry_ns < at or not at):  # else an answer is awaited and will be acted upon
                    at = retry_ns
        if at and at <= now:
            at = now + MS  # whatever is due has been done in this step: never wake in a tight loop
        if at != parent.wake_ns:
            parent.wake_ns = at
            self.out.append(WakeAt(parent.no, at))

    def _finish(self, parent: Parent, now: int) -> None:
        """Nothing of the parent is at the venue any more."""
        parent.apply(_CLEAR)
        del self.at_work[parent.no]
        heappush(self._over, (now, parent.no))
        parent.ended_ns = now
        parent.market = parent.decided = None  # larger than all the rest, and there may be a million parents
        remaining_lots = parent.remaining_lots
        if remaining_lots == 0 and parent.end_status is not _HALTED:
            parent.end_status = _FILLED
            parent.end_reason = _COMPLETE
        assert parent.end_status is not None
        assert parent.end_reason is not None
        self._unwatch(parent)
        self.out.append(Ended(parent.no, parent.end_status, parent.end_reason, parent.ledger.cum_lots, parent.end_text))
        if remaining_lots and parent.arrival_hticks is not None:
            self.out.append(EndMark(parent.no))
        self.out.append(Tell(Happening(parent.no, status=parent.end_status, text=parent.end_text)))

    def _unwatch(self, parent: Parent) -> None:
        if parent.watching:
            parent.watching = False
            self.out.append(Watch(parent.no, None, None))

    # --- deciding ---------------------------------------------------------------------------------------------------

    def _looked(self, parent: Parent, fact: Looked) -> None:
        parent.looking = None
        params, limits = self.resolved(parent.set_name, parent.instrument)
        if parent.active and parent.life is not _PAUSED:
            market = fact.market
            parent.market = market
            # Where there is no time for what the policy may want, settling will see to the crossing.
            waits = parent.life is _WAITING and not (
                self._market_known(parent, fact) and fact.now_ns < parent.deadline_ns - limits.cross_margin_ns
            )
            if not waits:
                self._decide(parent, fact, market, params, limits)
        self._settle(parent, fact.now_ns, limits)

    def _market_known(self, parent: Parent, fact: Looked) -> bool:
        """Whether a waiting parent may start working on what it sees (P4)."""
        market = fact.market
        capabilities = self.desk.venues[parent.venue].capabilities
        mid = market.mid_hticks
        if market.trust is _OK and mid is not None and (market.mark_ticks is not None or not capabilities.marks):
            parent.apply(_MARKET_KNOWN)
            if parent.arrival_hticks is None:
                parent.arrival_hticks = mid
                parent.arrival_market = market
            self.out.append(Tell(Happening(parent.no, status=parent.status)))
            return True
        if parent.order.on_no_market is OnNoMarket.REFUSE:
            self._stop(parent, ParentStatus.DENIED, EndReason.NO_MARKET, "book or mark is not known")
            return False
        poll_ns = max(MARKET_POLL_NS, min(MARKET_POLL_NS_MAX, (fact.now_ns - parent.accepted_ns) // 8))
        self._watch(parent, Revisit(at_ns=fact.now_ns + poll_ns), market)
        return False

    def _watch(self, parent: Parent, revisit: Revisit, market: MarketView) -> None:
        if revisit.at_ns is not None and revisit.at_ns <= self.now_ns:
            revisit = msgspec.structs.replace(revisit, at_ns=self.now_ns + MS)  # "now" would be asked again for ever
        parent.revisit = revisit
        watches_market = revisit.best_moved_ticks is not None or revisit.triggers or revisit.on_untrusted
        if watches_market or revisit.queue_ahead_below_lots is not None:
            parent.watching = True
            self.out.append(Watch(parent.no, revisit, market))
        else:
            self._unwatch(parent)

    def _decide(self, parent: Parent, fact: Looked, market: MarketView, params: Params, limits: Limits) -> None:
        now = fact.now_ns
        ledger = parent.ledger
        ladder = market.ladder(parent.side)
        least = parent.instrument.least_lots(
            touch_ticks=ladder[0][0] if ladder else None, reduce_only=parent.order.reduce_only
        )
        try:
            due = due_of(parent, self.schedules.get(parent.order.schedule), limits, now_ns=now)
        except PluginFault as fault:
            self._fault(parent, str(fault))
            return
        crossing = parent.life is _CROSSING
        parent.due = None if crossing else due
        target = ledger.order_lots if crossing else due.target_lots
        open_lots = min(target - ledger.cum_lots - ledger.in_doubt_lots, ledger.free_lots + ledger.working_lots)
        if not parent.open_children and parent.remaining_lots < least:
            self._stop(parent, ParentStatus.EXPIRED, EndReason.BELOW_MINIMUM, "what is left is below the minimum")
            return
        if 0 < open_lots < least <= ledger.free_lots + ledger.working_lots and _rounds_up(params):
            open_lots = least
        if open_lots <= 0 or (open_lots < least and not parent.open_children):
            if ledger.working_lots:
                self._withdraw_live(parent, now, limits)  # an amended deadline has made less due than rests
            parent.revisit = None
            self._unwatch(parent)
            return
        view = view_of(
            parent,
            cause=fact.cause,
            market=market,
            open_lots=open_lots,
            due_ns=due.by_ns,
            capabilities=self.desk.venues[parent.venue].capabilities,
            now_ns=now,
            ahead=fact.ahead,
            contradicted=self.doubt_of(parent.policy, params),
        )
        vetoes: tuple[str, ...] = ()
        if crossing:
            by = "deadline"
            ruled = apply_invariants(cross_decision(view, limits), view, params, pressed=True)
            decision, vetoes = ruled.decision, ruled.vetoes
        else:
            by = parent.policy
            decision, vetoes = self.decider(parent, self.policies.get(by) or Uninstalled(by), view, params)
        self._carry_out(parent, view, decision, vetoes, by, params, limits)
        if parent.assigned is not None and not crossing and self._is_shadowed(parent.assigned):
            self.out.append(Rehearse(parent.no, view))
        if decision.reason == POLICY_FAULT:
            self._fault(parent, decision.note)

    def _fault(self, parent: Parent, text: str) -> None:
        """A plug-in failed: its parent ends, everybody else goes on."""
        self.out.append(Alarm(parent.no, parent.venue, f"parent {parent.id}: {text}", halts=False))
        self._stop(parent, ParentStatus.CANCELED, EndReason.POLICY_FAULT, text)

    def _carry_out(
        self,
        parent: Parent,
        view: View,
        decision: Decision,
        vetoes: tuple[str, ...],
        by: str,
        params: Params,
        limits: Limits,
    ) -> None:
        """Record a decision, work out what it changes, and say when to ask again."""
        parent.memory = decision.memory
        slot = len(self.out)
        carried = carry_out(self.desk, parent, view, decision, mode=self.mode, limits=limits)
        fallback = carried.takes > 0 and (parent.life is _CROSSING or parent.rested_in_vain)
        parent.fell_back = parent.fell_back or fallback
        parent.decided = Decided(
            parent_no=parent.no,
            cause=view.cause,
            by=by,
            set_id=params.set_id,
            params_digest=params.digest,
            open_lots=view.open_lots,
            remaining_lots=view.remaining_lots,
            decision=decision,
            vetoes=vetoes,
            denials=carried.denials,
            fallback=fallback,
        )
        self.out.insert(slot, parent.decided)
        self._after(parent, view, decision, vetoes, carried, limits)

    def _after(
        self,
        parent: Parent,
        view: View,
        decision: Decision,
        vetoes: tuple[str, ...],
        carried: Carried,
        limits: Limits,
    ) -> None:
        now = view.now_ns
        if carried.cancels:
            self._ask(parent, _ORDER_EVENT)  # ... once the cancels are known
        if parent.life is _CROSSING:
            parent.cross_attempts += 1
            parent.revisit = None
            self._unwatch(parent)
            if not carried.placed and not carried.cancels:
                if parent.cross_attempts >= limits.cross_attempts_max:
                    why = (*vetoes, *(denial.value for denial in carried.denials), "nothing to take")[0]
                    self._stop(parent, ParentStatus.EXPIRED, self._expiry_reason(parent), f"could not cross: {why}")
                    return
                if not carried.denials:
                    self._missed(parent, now, limits)
                    self._ask(parent, Cause.RETRY)
        else:
            revisit = decision.revisit
            if revisit.at_ns is None and not carried.placed and not parent.open_children:
                revisit = msgspec.structs.replace(revisit, at_ns=now + HOLD_POLL_NS)
            self._watch(parent, revisit, view.market)
        if carried.denials:
            if carried.nothing_to_reduce and not parent.open_children:
                self._stop(parent, ParentStatus.COMPLETED_BY_OTHERS, EndReason.NOTHING_LEFT_TO_REDUCE, "")
                return
            parent.denials += 1
            parent.retry_ns = now + limits.retry_ns(parent.denials)
        elif carried.placed:
            parent.denials = 0


def _rounds_up(params: Params) -> bool:
    """Whether a slice's part below the minimum is made up to it out of what later slices would do."""
    return "remainder.rule" in params and params.choice("remainder.rule") == "round_up"
