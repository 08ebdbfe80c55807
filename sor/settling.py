"""What is due for one parent, after anything has happened to it.

What has its time is done, what ended is withdrawn, and where a decision is wanted and nothing is on its way to the
venue, the market is asked for (`Look`); what is seen there is for `sor.deciding`. A parent is over once nothing of it
can be at a venue.
"""

from __future__ import annotations

from typing import Final

from sor.child import Child, Life, Pending
from sor.commands import Alarm, Ended, EndMark, Happening, Look, Tell, WakeAt, Watch
from sor.desk import Desk
from sor.ids import VenueName
from sor.in_force import InForce
from sor.limits import Limits
from sor.orders import ParentStatus
from sor.parent import GoParent, Parent, ParentEvent, ParentLife
from sor.parents import Parents
from sor.reasons import EndReason
from sor.retirement import Retirement
from sor.snapshot import Cause
from sor.units import MS

# Members by name: CPython 3.11 takes longer to read a member off its enum than to compare it, and these are read for
# every report.
_STOPPING: Final = ParentLife.STOPPING
_PAUSED: Final = ParentLife.PAUSED
_WORKING: Final = ParentLife.WORKING
_CROSSING: Final = ParentLife.CROSSING
_PENDING_NEW: Final = Life.PENDING_NEW
_LIVE: Final = Life.LIVE
_IN_DOUBT: Final = Life.IN_DOUBT
_NOTHING_PENDING: Final = Pending.NONE
_TIMEOUT: Final = Cause.TIMEOUT
_DEADLINE: Final = Cause.DEADLINE
_REVISIT: Final = Cause.REVISIT
_STOP: Final = ParentEvent.STOP
_CLEAR: Final = ParentEvent.CLEAR
_FILLED: Final = ParentStatus.FILLED
_HALTED: Final = ParentStatus.HALTED
_COMPLETE: Final = EndReason.COMPLETE


def ask(parent: Parent, cause: Cause) -> None:
    """A decision is wanted; time that is up is not forgotten for a lesser cause."""
    if parent.replan is not _DEADLINE and (parent.replan is not _TIMEOUT or cause is _DEADLINE):
        parent.replan = cause


def missed(parent: Parent, now: int, limits: Limits) -> None:
    """An order came to nothing: try again, but not in a tight loop with a venue or a book that keeps saying no."""
    parent.misses += 1
    parent.retry_ns = now + limits.retry_ns(parent.misses)


def expiry_reason(parent: Parent) -> EndReason:
    """Why a parent whose time is up has not filled."""
    if parent.arrival_hticks is None:
        return EndReason.NO_MARKET
    market, limit = parent.market, parent.limit_ticks
    if market is not None and limit is not None:
        ladder = market.ladder(parent.side)
        if ladder and parent.side * (ladder[0][0] - limit) > 0:
            return EndReason.LIMIT_PRICE
    return EndReason.DEADLINE


class Settling:
    """Settles parents. Wishes are appended to the desk's `out`."""

    def __init__(self, desk: Desk, parents: Parents, *, in_force: InForce, retirement: Retirement) -> None:
        self._desk = desk
        self._parents = parents
        self._in_force = in_force
        self._retirement = retirement

    def withdraw(self, parent: Parent, now: int, *, beyond_ticks: int | None = None) -> None:
        """Cancel everything that rests, or only what rests at a worse price than `beyond_ticks`."""
        limits = self._in_force.limits(parent, now)
        for child in parent.open_children:
            within = beyond_ticks is not None and parent.side * (child.boldest_ticks - beyond_ticks) <= 0
            if child.rests and not child.cancel_wanted and not within:
                self._desk.cancel(child, now, limits)

    def withdraw_live(self, parent: Parent, now: int, limits: Limits) -> None:
        """Cancel what is known to rest; what is in doubt is being settled already."""
        for child in parent.open_children:
            if child.life is _LIVE and child.rests and not child.cancel_wanted:
                self._desk.cancel(child, now, limits)

    def stop(self, parent: Parent, status: ParentStatus, reason: EndReason, text: str) -> None:
        """Decide a parent's end; the first reason stands."""
        if isinstance(parent.apply(_STOP), GoParent):
            parent.end_status = status
            parent.end_reason = reason
            parent.end_text = text
            parent.replan = None
            parent.revisit = None
            parent.retry_ns = 0
            self._desk.book_of(parent).give_way(parent.side, parent.no)

    def settle(self, parent: Parent, now: int, limits: Limits | None = None) -> None:
        """Do what is due for one parent, then say when to come back; `limits` are its own, where they are at hand."""
        if limits is None:
            limits = self._in_force.limits(parent, now)
        for child in tuple(parent.open_children):
            if now >= child.check_ns:
                self._tend(parent, child, now, limits)
        if parent.active:
            self._look_at_time(parent, now, limits)
        if parent.life is _STOPPING:
            for child in parent.open_children:
                if not child.cancel_wanted:
                    self._desk.cancel(child, now, limits)
            if not parent.open_children:
                self._finish(parent, now)
        elif self._may_ask(parent, now):
            assert parent.replan is not None
            parent.looking = parent.replan
            parent.replan = None
            parent.retry_ns = 0
            self._desk.out.append(Look(parent.no, parent.looking))
            return  # the answer comes within this turn, and what is due after it is worked out then
        self._rearm(parent, now, limits)

    def _tend(self, parent: Parent, child: Child, now: int, limits: Limits) -> None:
        self._desk.tend(parent, child, now, limits)
        if child.checks < limits.doubt_alarm_checks or child.alarmed:
            return
        if child.life is _IN_DOUBT:
            proof = self._desk.proof_ns(child)
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
        self._desk.out.append(Alarm(parent.no, parent.venue, text, halts=False))

    def _look_at_time(self, parent: Parent, now: int, limits: Limits) -> None:
        """Complete, too late, time to cross, or a time that a decision or schedule named."""
        if parent.remaining_lots == 0:
            self.stop(parent, _FILLED, _COMPLETE, "")
            return
        if now >= parent.deadline_ns:
            self.stop(parent, ParentStatus.EXPIRED, expiry_reason(parent), "")
            return
        if parent.life is _WORKING and now >= parent.deadline_ns - limits.cross_margin_ns:
            parent.apply(ParentEvent.TIME_UP)
            self.withdraw(parent, now)
            parent.retry_ns = parent.denials = parent.misses = 0  # the last chance does not wait for earlier ones
            ask(parent, _DEADLINE)
        revisit = parent.revisit
        if revisit is not None and revisit.at_ns is not None and now >= revisit.at_ns:
            parent.revisit = None
            ask(parent, _REVISIT)
        if parent.due is not None and parent.due.next_ns is not None and now >= parent.due.next_ns:
            parent.due = None
            ask(parent, Cause.SLICE)
        if parent.retry_ns and now >= parent.retry_ns and parent.replan is None:
            ask(parent, Cause.RETRY)

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
        state = self._desk.venues.get(venue)
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
            self._desk.out.append(WakeAt(parent.no, at))

    def _finish(self, parent: Parent, now: int) -> None:
        """Nothing of the parent is at the venue any more."""
        parent.apply(_CLEAR)
        del self._parents.at_work[parent.no]
        self._retirement.ended(parent, now)
        parent.ended_ns = now
        parent.market = parent.decided = None  # larger than all the rest, and there may be a million parents
        remaining_lots = parent.remaining_lots
        if remaining_lots == 0 and parent.end_status is not _HALTED:
            parent.end_status = _FILLED
            parent.end_reason = _COMPLETE
        assert parent.end_status is not None
        assert parent.end_reason is not None
        self.unwatch(parent)
        self._desk.out.append(
            Ended(parent.no, parent.end_status, parent.end_reason, parent.ledger.cum_lots, parent.end_text)
        )
        if remaining_lots and parent.arrival_hticks is not None:
            self._desk.out.append(EndMark(parent.no))
        self._desk.out.append(Tell(Happening(parent.no, status=parent.end_status, text=parent.end_text)))

    def unwatch(self, parent: Parent) -> None:
        """Nobody waits for its market any more."""
        if parent.watching:
            parent.watching = False
            self._desk.out.append(Watch(parent.no, None, None))
