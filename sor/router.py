"""The core: facts in, wishes out, for all parents. Pure: no clock, no I/O, no randomness.

Each fact moves at most what it concerns, then the parent is settled (`sor.settling`): what is due is done, what ended
is withdrawn, and where a decision is wanted the market is asked for. What it answers is decided on (`sor.deciding`),
what venues say of orders is taken in (`sor.reports`). Here is what each fact is for, and what callers, the clock and
the comings and goings of venues do to a parent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeVar

from sor.breakers import Breakers
from sor.commands import Alarm, AnyWish, Happening, Tell
from sor.deciding import Decider, Deciding
from sor.desk import Desk, VenueState
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
    VenueDown,
    VenueUp,
    WalletKnown,
    WalletMoved,
    Woke,
)
from sor.foreign import Foreign
from sor.ids import VenueName
from sor.in_force import InForce
from sor.instruments import canonical_symbol
from sor.leverage import LeverageClaims
from sor.orders import ParentStatus
from sor.own_book import OwnBook
from sor.parent import GoParent, Parent, ParentEvent, ParentLife
from sor.parents import Parents, ParentsById
from sor.policy import Policy, Schedule
from sor.reasons import EndReason
from sor.reports import Reports
from sor.retirement import Retirement
from sor.settling import Settling, ask
from sor.snapshot import Cause
from sor.units import NS, to_ns
from sor.wallets import Wallets

# Members by name: CPython 3.11 takes longer to read a member off its enum than to compare it, and these are read for
# every parent.
_CROSSING: Final = ParentLife.CROSSING
_REVISIT: Final = Cause.REVISIT
_START: Final = Cause.START

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
    """State of the whole router as a fold of its facts; each part of it is written by the one that holds it.

    parents    all that are not forgotten (`sor.parents`). by_id: the same by the callers' ids.
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
        self.now_ns = 0
        self.out: list[AnyWish] = []
        self.parents = parents = Parents(keep=keep)
        self.by_id = ParentsById(parents)
        self.desk = desk = Desk(self.out, parents)
        self.in_force = in_force = InForce(self.out)
        self.claims = LeverageClaims(desk)
        self.foreign = Foreign(desk)
        self.wallets = Wallets(desk)
        self.retirement = retirement = Retirement(
            desk, parents, in_force=in_force, foreign=self.foreign, claims=self.claims
        )
        self.settling = settling = Settling(desk, parents, in_force=in_force, retirement=retirement)
        self.breakers = breakers = Breakers(desk, parents, in_force=in_force, settling=settling)
        self.deciding = Deciding(
            desk,
            in_force=in_force,
            settling=settling,
            breakers=breakers,
            policies=policies,
            schedules=schedules,
            decider=decider,
        )
        self.reports = Reports(
            desk,
            parents,
            in_force=in_force,
            settling=settling,
            breakers=breakers,
            retirement=retirement,
            foreign=self.foreign,
        )
        self._handlers = self._whose()

    def step(self, fact: AnyFact) -> list[AnyWish]:
        """Take one fact in; returns the wishes it causes, in the order in which they must be carried out."""
        self.now_ns = fact.now_ns
        self._handlers[type(fact)](fact)
        self.retirement.go_on(fact.now_ns)
        wishes = self.out.copy()
        self.out.clear()
        return wishes

    def _of_parent(self, handle: Callable[[Parent, _OfParent], None], fact: _OfParent) -> None:
        """Take in a fact of one parent; of one that is forgotten there is nothing to be moved any more."""
        parent = self.retirement.heard(fact.parent_no, fact.now_ns)
        if parent is not None:
            handle(parent, fact)

    def _whose(self) -> dict[type[Fact], Callable[..., None]]:
        """Who takes each kind of fact in."""
        return {
            SessionStarted: self._session,
            InstrumentAdopted: self._instrument,
            ParamsAdopted: self.in_force.adopt_params,
            VenueUp: self._venue_up,
            VenueDown: self._venue_down,
            PositionKnown: self._position,
            PositionMoved: self.foreign.moved,
            WalletKnown: self.wallets.known,
            WalletMoved: self.wallets.moved,
            StrayFound: self.foreign.stray_found,
            NeighbourFound: self.foreign.neighbour_found,
            Contradicted: self.reports.contradicted,
            Submitted: self._submitted,
            Looked: partial(self._of_parent, self.deciding.looked),
            Reported: self.reports.reported,
            RequestLost: self.reports.lost,
            Woke: partial(self._of_parent, self._woke),
            CancelAsked: partial(self._of_parent, self._cancel_asked),
            PauseAsked: partial(self._of_parent, self._pause_asked),
            ResumeAsked: partial(self._of_parent, self._resume_asked),
            AmendAsked: partial(self._of_parent, self._amend_asked),
            ModeSet: self.breakers.set_mode,
            HaltLifted: self.breakers.lift_halt,
            FitContradicted: self.in_force.contradict_fit,
            FitTrusted: self.in_force.trust_fit,
            ExperimentAdopted: self.in_force.adopt_experiment,
            ArmStopped: self.in_force.stop_arm,
            Shadowed: partial(self._of_parent, self._shadowed),
            Marked: partial(self._of_parent, self._marked),
            EndMarked: partial(self._of_parent, self._end_marked),
        }

    # --- what callers and the clock want of a parent ------------------------------------------------------------------

    def _submitted(self, fact: Submitted) -> None:
        order = fact.order
        instrument = self.in_force.instruments[fact.venue, canonical_symbol(order.symbol)]
        parent = Parent(
            no=self.parents.given + 1,
            order=order,
            intent=fact.intent,
            venue=fact.venue,
            instrument=instrument,
            set_name=order.param_set or self.in_force.default_set,
            now_ns=fact.now_ns,
            assigned=fact.assigned,
        )
        self.parents.add(parent)
        self.claims.enter(parent)
        ask(parent, _START)
        self.settling.settle(parent, fact.now_ns)

    def _cancel_asked(self, parent: Parent, fact: CancelAsked) -> None:
        self.settling.stop(
            parent, ParentStatus.CANCELED, EndReason.SHUTDOWN if fact.shutdown else EndReason.CALLER, fact.reason
        )
        self.settling.settle(parent, fact.now_ns)

    def _pause_asked(self, parent: Parent, fact: PauseAsked) -> None:
        if isinstance(parent.apply(ParentEvent.PAUSE), GoParent):
            self.settling.withdraw(parent, fact.now_ns)
            self.desk.book_of(parent).give_way(parent.side, parent.no)
            parent.replan = None
            parent.revisit = None
            self.out.append(Tell(Happening(parent.no, status=parent.status)))
        self.settling.settle(parent, fact.now_ns)

    def _resume_asked(self, parent: Parent, fact: ResumeAsked) -> None:
        if isinstance(parent.apply(ParentEvent.RESUME), GoParent):
            ask(parent, Cause.RESUMED)
        self.settling.settle(parent, fact.now_ns)

    def _amend_asked(self, parent: Parent, fact: AmendAsked) -> None:
        if not parent.active:
            parent.absorbed += 1  # it ended between the question and now
            return
        if fact.quantity is not None:
            parent.ledger.resize(max(parent.instrument.lots(fact.quantity), parent.ledger.cum_lots))
            if parent.ledger.shrink_lots:
                self.settling.withdraw(parent, fact.now_ns)
        if fact.limit is not None:
            parent.limit_ticks = parent.instrument.ticks(fact.limit)
            self.settling.withdraw(parent, fact.now_ns, beyond_ticks=parent.limit_ticks)
        if fact.deadline_s is not None:
            parent.deadline_ns = fact.now_ns + to_ns(fact.deadline_s)
            if (
                parent.life is _CROSSING
                and fact.now_ns < parent.deadline_ns - self.in_force.limits(parent, fact.now_ns).cross_margin_ns
            ):
                parent.apply(ParentEvent.TIME_GIVEN)
                parent.cross_attempts = 0
                parent.replan = None  # the crossing that may have been wanted
        if fact.urgency is not None:
            parent.urgency = fact.urgency
        ask(parent, Cause.AMENDED)
        self.settling.settle(parent, fact.now_ns)

    def _woke(self, parent: Parent, fact: Woke) -> None:
        if fact.market:
            parent.watching = False
            if parent.active:
                ask(parent, _REVISIT)
        else:
            parent.wake_ns = 0
        self.settling.settle(parent, fact.now_ns)

    @staticmethod
    def _shadowed(parent: Parent, fact: Shadowed) -> None:
        parent.shadows[fact.shadow] = fact.decision.memory

    @staticmethod
    def _marked(parent: Parent, fact: Marked) -> None:
        if fact.mid_hticks:
            parent.markouts.append((fact.exec_id, fact.horizon_ns, fact.mid_hticks))

    @staticmethod
    def _end_marked(parent: Parent, fact: EndMarked) -> None:
        parent.end_market = fact.market

    # --- the world around ---------------------------------------------------------------------------------------------

    def _session(self, fact: SessionStarted) -> None:
        """A process starts: what the one before had on its way is not known."""
        self.desk.epoch = fact.epoch
        self.desk.session += 1
        self.foreign.suspects.clear()  # who asked is no more
        self.in_force.default_set = fact.default_set
        self.retirement.retire_ns, self.retirement.forget_ns = fact.retire_ns, fact.forget_ns
        for state in self.desk.venues.values():
            state.up = state.here = False
            if fact.same_accounts:
                state.identity = ""
        for parent in tuple(self.parents.at_work.values()):
            parent.looking = None
            parent.watching = False
            parent.wake_ns = 0
            for child in parent.open_children:
                self.desk.session_lost(parent, child, fact.now_ns)
                child.early_queries = 0  # their answers died with the process that asked
            self._unwind(parent, fact)
            # Nothing is decided before its venue is up: without a book what rests would lose its place for nothing.
            self.settling.settle(parent, fact.now_ns)

    def _unwind(self, parent: Parent, fact: SessionStarted) -> None:
        """End a parent that was left alone for longer than it allows; what of it rests is withdrawn."""
        limit_s = parent.order.unwind_after_s
        if limit_s is None or not fact.last_ns or fact.now_ns - fact.last_ns <= to_ns(limit_s):
            return
        text = f"no process has worked it for {(fact.now_ns - fact.last_ns) / NS:.1f} s; it allows {limit_s:g} s"
        self.settling.stop(parent, ParentStatus.CANCELED, EndReason.UNWOUND, text)

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
        for parent in tuple(self.parents.at_work.values()):
            if parent.venue == fact.venue:
                for child in parent.open_children:
                    self.desk.session_lost(parent, child, fact.now_ns)
                    self.desk.restate(child)
                if parent.active:
                    ask(parent, _REVISIT)
                self.settling.settle(parent, fact.now_ns)

    def stranger(self, venue: VenueName, identity: str) -> str:
        """Why the account that `identity` names is not to be asked about what is at work at a venue, "" if it may be.

        With nothing at work any account will do, and where one of the two has no identity nobody can tell.
        """
        state = self.desk.venues.get(venue)
        if state is None or not state.identity or not identity or identity == state.identity:
            return ""
        theirs = [parent.id for parent in self.parents.at_work.values() if parent.venue == venue]
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

    def _instrument(self, fact: InstrumentAdopted) -> None:
        old = self.in_force.adopt_instrument(fact)
        if old is None:
            return
        new = fact.instrument
        # Whatever counts in steps that the venue no longer has is not to be relied upon: positions are asked for anew.
        for (venue, _, symbol), own in self.desk.books.items():
            if (venue, symbol) == (new.venue, new.symbol):
                own.forget_positions()
                for realised in own.realised.values():
                    realised.relist(old, new)
        for parent in tuple(self.parents.at_work.values()):
            if parent.active and (parent.venue, parent.instrument.symbol) == (new.venue, new.symbol):
                self.breakers.halt(parent, f"{new.symbol}: the venue changed its tick or lot size", fact.now_ns)

    def _position(self, fact: PositionKnown) -> None:
        key = (fact.venue, fact.account, fact.symbol)
        book = self.desk.books.get(key)
        if book is None:
            book = self.desk.books[key] = OwnBook()
        book.base(fact.position_side, fact.qty_lots, fact.now_ns)
