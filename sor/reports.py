"""What venues say of our orders, and what follows for their parents.

The desk takes it into the order's life and the parent's ledger (`sor.desk`); here it is told on, and where it says that
something is wrong, trading stops. A refusal ends a parent, makes it wait, or is counted (`sor.refusals`).
"""

from __future__ import annotations

from typing import Final

from sor.adapter import Request
from sor.breakers import Breakers
from sor.child import Child, Life, Pending
from sor.commands import Happening, Tell
from sor.desk import Desk
from sor.events import Contradicted, Reported, RequestLost
from sor.foreign import Foreign
from sor.in_force import InForce
from sor.limits import Limits
from sor.orders import ExecType, OrdStatus, ParentStatus, RejectKind
from sor.parent import Parent
from sor.parents import Parents
from sor.reasons import EndReason
from sor.refusals import REFUSALS, Consequence
from sor.retirement import Retirement
from sor.settling import Settling, ask, missed
from sor.snapshot import Cause

# Members by name: CPython 3.11 takes longer to read a member off its enum than to compare it, and these are read for
# every report.
_LIVE: Final = Life.LIVE
_IN_DOUBT: Final = Life.IN_DOUBT
_NOTHING_PENDING: Final = Pending.NONE
_REPLACED: Final = ExecType.REPLACED
_TRADE: Final = ExecType.TRADE
_AMEND_REJECTED: Final = ExecType.AMEND_REJECTED
_TIMEOUT: Final = Cause.TIMEOUT
_FILL: Final = Cause.FILL
_ORDER_EVENT: Final = Cause.ORDER_EVENT
_REJECTED: Final = OrdStatus.REJECTED
_WAITS: Final = Consequence.WAITS
_ENDS: Final = Consequence.ENDS
_CLOSED: Final = Consequence.CLOSED


class Reports:
    """Takes in reports, requests without an answer, and readings that contradict what was told."""

    def __init__(
        self,
        desk: Desk,
        parents: Parents,
        *,
        in_force: InForce,
        settling: Settling,
        breakers: Breakers,
        retirement: Retirement,
        foreign: Foreign,
    ) -> None:
        self._desk = desk
        self._parents = parents
        self._in_force = in_force
        self._settling = settling
        self._breakers = breakers
        self._retirement = retirement
        self._foreign = foreign

    def reported(self, fact: Reported) -> None:
        """A venue has said what became of an order."""
        report = fact.report
        child = self._retirement.child(report.cl_ord_id, fact.now_ns)
        if child is None or child.venue != report.venue:
            self._foreign.reported(report)  # somebody else's order: manual orders are never touched (R5)
            return
        parent = self._parent_of(child, fact.now_ns)
        now = fact.now_ns
        limits = self._in_force.limits(parent, fact.now_ns)
        doubted = child.life is _IN_DOUBT
        over_lots = parent.ledger.over_lots
        effect = self._desk.report(parent, child, report, mid_hticks=fact.mid_hticks, now_ns=now, limits=limits)
        if report.cl_ord_id in self._foreign.suspects:
            self._foreign.cleared(report, effect)
        if effect.new_lots:
            parent.rejects = parent.denials = parent.misses = 0
            if parent.recalled:
                self._retirement.filled_late(parent, child, effect.new_lots, now)
        if effect.new_lots or effect.life_moved:
            self._desk.out.append(Tell(Happening(parent.no, report=report, order_status=child.status)))
        if effect.fault or parent.ledger.over_lots > over_lots:
            text = effect.fault or f"parent {parent.id} is overfilled by {parent.ledger.over_lots} lots"
            self._breakers.halt(parent, text, now, parent_no=parent.no)
            if parent.ended and parent.open_children:
                self._parents.at_work[parent.no] = parent  # an order of it has come back to life
        if report.exec_type is _TRADE or effect.new_lots:
            self._breakers.watch_loss(parent, limits, now)
        if effect.closed:
            self._child_closed(parent, child, now, limits)
        elif effect.new_lots and parent.active:
            ask(parent, _FILL)
        elif child.life is _LIVE and (
            doubted or (child.pending is _NOTHING_PENDING and report.exec_type in (_REPLACED, _AMEND_REJECTED))
        ):
            ask(parent, _ORDER_EVENT)
        self._settling.settle(parent, now, limits)

    def _child_closed(self, parent: Parent, child: Child, now: int, limits: Limits) -> None:
        """An order is known to hold nothing any more: what follows for its parent."""
        if child.timed_out:
            parent.timeouts += 1
            parent.misses = 0
        if not parent.active:
            if parent.ended and not parent.open_children:
                self._parents.at_work.pop(parent.no, None)
            return
        if child.status is _REJECTED:
            self._child_rejected(parent, child, now, limits)
        elif not child.counted_lots and not child.cancel_wanted:
            missed(parent, now, limits)  # took and found nothing, or the venue did not let it rest after all
            parent.refusals += child.rests
        ask(parent, _TIMEOUT if child.timed_out else _FILL if child.counted_lots else _ORDER_EVENT)

    def _child_rejected(self, parent: Parent, child: Child, now: int, limits: Limits) -> None:
        kind = RejectKind.OTHER if child.reject is None else child.reject.reject
        said = "" if child.reject is None else f"{child.reject.code} {child.reject.text}".strip()
        consequence = REFUSALS[kind]
        if consequence is _CLOSED:
            self._settling.stop(parent, ParentStatus.COMPLETED_BY_OTHERS, EndReason.NOTHING_LEFT_TO_REDUCE, said)
            return
        missed(parent, now, limits)
        if consequence is _WAITS:
            parent.refusals += kind is RejectKind.WOULD_TAKE and child.rests
            return  # the market moved, or it was not the moment: neither says that the order was wrong
        parent.rejects += 1
        if parent.rejects >= limits.rejects_max or consequence is _ENDS:
            self._settling.stop(parent, ParentStatus.REJECTED, EndReason.VENUE_REJECTS, said)
        book = self._desk.book_of(parent)
        book.rejects += 1
        if book.rejects >= limits.breaker_rejects:
            text = f"{book.rejects} orders in a row were refused, last: {said or kind.value}"
            self._breakers.halt(parent, text, now, parent_no=parent.no)

    def lost(self, fact: RequestLost) -> None:
        """A request of ours has no answer."""
        child = self._retirement.child(fact.failed.cl_ord_id, fact.now_ns)
        if child is None or child.venue != fact.venue:
            self._foreign.reports += 1
            return
        parent = self._parent_of(child, fact.now_ns)
        limits = self._in_force.limits(parent, fact.now_ns)
        if fact.failed.request is Request.QUERY:
            self._foreign.suspects.pop(fact.failed.cl_ord_id, None)
        effect = self._desk.lost(parent, child, fact.failed, now_ns=fact.now_ns, limits=limits)
        if effect.life_moved:
            self._desk.out.append(Tell(Happening(parent.no, order_status=child.status, failed=fact.failed)))
        if effect.fault:
            self._breakers.halt(parent, effect.fault, fact.now_ns, parent_no=parent.no)
        if effect.closed:
            self._child_closed(parent, child, fact.now_ns, limits)
        elif fact.failed.request is Request.AMEND and child.life is _LIVE and child.pending is _NOTHING_PENDING:
            ask(parent, _ORDER_EVENT)
        self._settling.settle(parent, fact.now_ns, limits)

    def contradicted(self, fact: Contradicted) -> None:
        """The venue's books are not what we were told: ask about the order, whose answer counts as ever."""
        child = self._retirement.child(fact.cl_ord_id, fact.now_ns)
        if child is None:
            return  # forgotten between the reading and now
        parent = self._parent_of(child, fact.now_ns)
        self._foreign.suspect(fact)
        self._desk.look_up(child, fact.now_ns, self._in_force.limits(parent, fact.now_ns))
        self._settling.settle(parent, fact.now_ns)

    def _parent_of(self, child: Child, now: int) -> Parent:
        """The parent of an order that something is heard of."""
        parent = self._parents.working[child.parent_no]
        parent.heard_ns = now
        return parent
