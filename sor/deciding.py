"""A parent sees its market: whether it may start, what it decides, and what of that is carried out.

A decision names the placements wanted now; the difference to what is there is worked out by `sor.placement`, cancels
first: nothing new is placed before the outcome of every cancel is known (D4).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from sor.breakers import Breakers
from sor.commands import Alarm, Decided, Happening, Rehearse, Tell, Watch
from sor.decide import PluginFault, Uninstalled, due_of
from sor.desk import Desk
from sor.events import Looked
from sor.in_force import InForce
from sor.invariants import apply as apply_invariants
from sor.limits import Limits
from sor.market import MarketView, Trust
from sor.orders import OnNoMarket, ParentStatus
from sor.params import Params
from sor.parent import Parent, ParentEvent, ParentLife
from sor.placement import Carried, carry_out, cross_decision, view_of
from sor.policy import POLICY_FAULT, Decision, Policy, Schedule
from sor.reasons import EndReason
from sor.revisit import Revisit
from sor.settling import Settling, ask, expiry_reason, missed
from sor.snapshot import Cause, View
from sor.units import MS, NS

HOLD_POLL_NS = NS
"""A policy that holds without saying when to ask again is asked after this."""
MARKET_POLL_NS = 250 * MS
"""A parent that waits for its market looks again after this, besides being woken when the book becomes sound ..."""
MARKET_POLL_NS_MAX = 10 * NS
"""... and ever less often, up to this: each look is journaled, and a market may be closed for days."""

Ruling = tuple[Decision, tuple[str, ...]]
Decider = Callable[[Parent, Policy, View, Params], Ruling]
"""Turns a view into a decision after the invariants; a fold hands in the recorded ones instead."""


# Members by name: CPython 3.11 takes longer to read a member off its enum than to compare it, and these are read for
# every report.
_PAUSED: Final = ParentLife.PAUSED
_CROSSING: Final = ParentLife.CROSSING
_WAITING: Final = ParentLife.WAITING
_ORDER_EVENT: Final = Cause.ORDER_EVENT
_OK: Final = Trust.OK
_MARKET_KNOWN: Final = ParentEvent.MARKET_KNOWN


class Deciding:
    """Has policies decide, and carries out what they want. Wishes are appended to the desk's `out`."""

    def __init__(
        self,
        desk: Desk,
        *,
        in_force: InForce,
        settling: Settling,
        breakers: Breakers,
        policies: Mapping[str, Policy],
        schedules: Mapping[str, Schedule],
        decider: Decider,
    ) -> None:
        self._desk = desk
        self._in_force = in_force
        self._settling = settling
        self._breakers = breakers
        self.policies = policies
        self.schedules = schedules
        self.decider = decider

    def looked(self, parent: Parent, fact: Looked) -> None:
        """A parent sees its market: it starts working, decides, or waits on."""
        parent.looking = None
        params, limits = self._in_force.resolved(parent.set_name, parent.instrument, fact.now_ns)
        if parent.active and parent.life is not _PAUSED:
            market = fact.market
            parent.market = market
            # Where there is no time for what the policy may want, settling will see to the crossing.
            waits = parent.life is _WAITING and not (
                self._market_known(parent, fact) and fact.now_ns < parent.deadline_ns - limits.cross_margin_ns
            )
            if not waits:
                self._decide(parent, fact, market, params, limits)
        self._settling.settle(parent, fact.now_ns, limits)

    def _market_known(self, parent: Parent, fact: Looked) -> bool:
        """Whether a waiting parent may start working on what it sees (P4)."""
        market = fact.market
        capabilities = self._desk.venues[parent.venue].capabilities
        mid = market.mid_hticks
        if market.trust is _OK and mid is not None and (market.mark_ticks is not None or not capabilities.marks):
            parent.apply(_MARKET_KNOWN)
            if parent.arrival_hticks is None:
                parent.arrival_hticks = mid
                parent.arrival_market = market
            self._desk.out.append(Tell(Happening(parent.no, status=parent.status)))
            return True
        if parent.order.on_no_market is OnNoMarket.REFUSE:
            self._settling.stop(parent, ParentStatus.DENIED, EndReason.NO_MARKET, "book or mark is not known")
            return False
        poll_ns = max(MARKET_POLL_NS, min(MARKET_POLL_NS_MAX, (fact.now_ns - parent.accepted_ns) // 8))
        self._watch(parent, Revisit(at_ns=fact.now_ns + poll_ns), market, fact.now_ns)
        return False

    def _watch(self, parent: Parent, revisit: Revisit, market: MarketView, now: int) -> None:
        if revisit.at_ns is not None and revisit.at_ns <= now:
            revisit = msgspec.structs.replace(revisit, at_ns=now + MS)  # "now" would be asked again for ever
        parent.revisit = revisit
        watches_market = revisit.best_moved_ticks is not None or revisit.triggers or revisit.on_untrusted
        if watches_market or revisit.queue_ahead_below_lots is not None:
            parent.watching = True
            self._desk.out.append(Watch(parent.no, revisit, market))
        else:
            self._settling.unwatch(parent)

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
            self._settling.stop(
                parent, ParentStatus.EXPIRED, EndReason.BELOW_MINIMUM, "what is left is below the minimum"
            )
            return
        if 0 < open_lots < least <= ledger.free_lots + ledger.working_lots and _rounds_up(params):
            open_lots = least
        if open_lots <= 0 or (open_lots < least and not parent.open_children):
            if ledger.working_lots:
                self._settling.withdraw_live(parent, now, limits)  # an amended deadline has made less due than rests
            parent.revisit = None
            self._settling.unwatch(parent)
            return
        view = view_of(
            parent,
            cause=fact.cause,
            market=market,
            open_lots=open_lots,
            due_ns=due.by_ns,
            capabilities=self._desk.venues[parent.venue].capabilities,
            now_ns=now,
            ahead=fact.ahead,
            contradicted=self._in_force.doubt_of(parent.policy, params),
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
        if parent.assigned is not None and not crossing and self._in_force.is_shadowed(parent.assigned):
            self._desk.out.append(Rehearse(parent.no, view))
        if decision.reason == POLICY_FAULT:
            self._fault(parent, decision.note)

    def _fault(self, parent: Parent, text: str) -> None:
        """A plug-in failed: its parent ends, everybody else goes on."""
        self._desk.out.append(Alarm(parent.no, parent.venue, f"parent {parent.id}: {text}", halts=False))
        self._settling.stop(parent, ParentStatus.CANCELED, EndReason.POLICY_FAULT, text)

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
        slot = len(self._desk.out)
        carried = carry_out(self._desk, parent, view, decision, mode=self._breakers.mode, limits=limits)
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
        self._desk.out.insert(slot, parent.decided)
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
            ask(parent, _ORDER_EVENT)  # ... once the cancels are known
        if parent.life is _CROSSING:
            parent.cross_attempts += 1
            parent.revisit = None
            self._settling.unwatch(parent)
            if not carried.placed and not carried.cancels:
                if parent.cross_attempts >= limits.cross_attempts_max:
                    why = (*vetoes, *(denial.value for denial in carried.denials), "nothing to take")[0]
                    self._settling.stop(parent, ParentStatus.EXPIRED, expiry_reason(parent), f"could not cross: {why}")
                    return
                if not carried.denials:
                    missed(parent, now, limits)
                    ask(parent, Cause.RETRY)
        else:
            revisit = decision.revisit
            if revisit.at_ns is None and not carried.placed and not parent.open_children:
                revisit = msgspec.structs.replace(revisit, at_ns=now + HOLD_POLL_NS)
            self._watch(parent, revisit, view.market, now)
        if carried.denials:
            if carried.nothing_to_reduce and not parent.open_children:
                self._settling.stop(parent, ParentStatus.COMPLETED_BY_OTHERS, EndReason.NOTHING_LEFT_TO_REDUCE, "")
                return
            parent.denials += 1
            parent.retry_ns = now + limits.retry_ns(parent.denials)
        elif carried.placed:
            parent.denials = 0


def _rounds_up(params: Params) -> bool:
    """Whether a slice's part below the minimum is made up to it out of what later slices would do."""
    return "remainder.rule" in params and params.choice("remainder.rule") == "round_up"
