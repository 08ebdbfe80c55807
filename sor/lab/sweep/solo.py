"""One parent alone on its account, as the router works it: when its policy is asked, and what becomes of the answer.

The rules are those of `sor.router`, `sor.placement`, `sor.desk` and `sor.child` for what can happen to a parent alone
on a venue that answers every request in time: no doubt, no lost session, no caller who changes his mind, one slice.
Tests hold every view that the policy is shown, every request and every fill to theirs. What decides is not written
again: the policy is asked by `sor.decide`, its answer goes through the invariants and the risk gate of production.
"""

from __future__ import annotations

from typing import Final

import msgspec

from sor.deciding import HOLD_POLL_NS, MARKET_POLL_NS, MARKET_POLL_NS_MAX
from sor.invariants import apply as apply_invariants
from sor.lab.sweep.exchange import AMEND, LIVE, NOTHING, OVER, PENDING, Beyond, Report, Sent
from sor.lab.sweep.hands import Hands, Surroundings
from sor.lab.sweep.kernel import BEYOND_FAULT, NEVER
from sor.limits import Limits
from sor.market import MarketView, Trust
from sor.orders import ExecType, OnNoMarket, RejectKind
from sor.params import Params
from sor.parent import Parent
from sor.placement import cross_decision
from sor.policy import POLICY_FAULT, Decision, Memory
from sor.revisit import Revisit
from sor.snapshot import Cause, Costs, Resting, View
from sor.units import BPS, MS

WAITING: Final = 0
WORKING: Final = 1
CROSSING: Final = 2
STOPPING: Final = 3
ENDED: Final = 4
"""Stages of a parent, as `ParentLife` has them."""

# Members by name: CPython 3.11 takes longer to read a member off its enum than to compare it.
_OK: Final = Trust.OK
_DEADLINE: Final = Cause.DEADLINE
_TIMEOUT: Final = Cause.TIMEOUT
_FILL: Final = Cause.FILL
_ORDER_EVENT: Final = Cause.ORDER_EVENT
_REVISIT: Final = Cause.REVISIT
_RETRY: Final = Cause.RETRY
_START: Final = Cause.START
_NEW: Final = ExecType.NEW
_TRADE: Final = ExecType.TRADE
_REPLACED: Final = ExecType.REPLACED
_REJECTED: Final = ExecType.REJECTED
_AMEND_REJECTED: Final = ExecType.AMEND_REJECTED
_CANCEL_REJECTED: Final = ExecType.CANCEL_REJECTED


class Solo:
    """See the module. `stage`: where it is; `ENDED` when nothing of it is at the venue any more."""

    __slots__ = (
        "_around",
        "_costs",
        "_cross_attempts",
        "_cross_ns",
        "_deadline_ns",
        "_denials",
        "_hands",
        "_instrument",
        "_limits",
        "_market",
        "_memory",
        "_misses",
        "_open",
        "_params",
        "_parent",
        "_refusals",
        "_replan",
        "_retry_ns",
        "_revisit_ns",
        "_side",
        "_total_lots",
        "_until_ns",
        "_wake_ns",
        "_watching",
        "arrival_hticks",
        "stage",
        "timeouts",
    )

    def __init__(
        self, around: Surroundings, hands: Hands, parent: Parent, *, params: Params, limits: Limits, costs: Costs
    ) -> None:
        """`parent` carries its terms; nothing of it is changed."""
        self._around = around
        self._hands = hands
        self._open = hands.open
        self._parent = parent
        self._side = parent.side
        self._instrument = parent.instrument
        self._params = params
        self._limits = limits
        self._costs = costs
        self._total_lots = parent.ledger.order_lots
        self._deadline_ns = parent.deadline_ns
        self._cross_ns = parent.deadline_ns - limits.cross_margin_ns
        self._until_ns = parent.deadline_ns  # when this stage is over
        self._market: MarketView | None = None
        self._memory: Memory = {}
        self._replan: Cause | None = None
        self._watching = False
        self._wake_ns = NEVER  # when it is to be woken next
        self._retry_ns = 0
        self._revisit_ns = NEVER
        self._refusals = self._cross_attempts = self._denials = self._misses = 0
        self.arrival_hticks = self.timeouts = 0
        self.stage = WAITING

    # --- what happens to it -----------------------------------------------------------------------------------------

    def begin(self, now_ns: int) -> None:
        """It is accepted."""
        self._ask(_START)
        self._settle(now_ns)

    def woke(self, now_ns: int) -> None:
        """Its time has come."""
        self._wake_ns = NEVER
        self._settle(now_ns)

    def revisited(self, now_ns: int) -> None:
        """A market condition of its revisit has come true."""
        self._watching = False
        if self.stage < STOPPING:
            self._ask(_REVISIT)
        self._settle(now_ns)

    def heard(self, now_ns: int, report: Report) -> None:
        """A report of one of its orders."""
        sent, kind, lots, ticks, reject = report
        if sent.life != OVER:
            if kind is _TRADE:
                self._traded(sent, lots, now_ns)
            elif kind is _NEW:
                sent.life = LIVE
                self._set_check(sent, now_ns)
                self._follow(sent)
            elif kind is _REPLACED:
                self._replaced(sent, lots, ticks, now_ns)
            elif kind is _AMEND_REJECTED:
                self._amend_refused(sent, now_ns)
            elif kind is _CANCEL_REJECTED:
                raise Beyond(BEYOND_FAULT)  # only what is over is refused, and that is known before
            elif kind is _REJECTED and reject is not RejectKind.WOULD_TAKE:
                raise Beyond(BEYOND_FAULT)
            else:
                self._close(sent, now_ns, refused=kind is _REJECTED)
        self._settle(now_ns)

    def _traded(self, sent: Sent, lots: int, now_ns: int) -> None:
        sent.counted_lots += lots
        self._hands.filled_lots += lots
        if self._hands.filled_lots == self._total_lots and self.stage < STOPPING:
            self._until_ns = now_ns
        self._denials = self._misses = 0
        if sent.counted_lots == lots:
            self._hands.pace.traded.add(now_ns)
        if sent.qty_lots < sent.counted_lots and sent.qty_lots < sent.asked_lots:
            sent.pending, sent.no_amend = NOTHING, True  # only what was asked for allows so much
            sent.settle(sent.asked_lots, sent.asked_ticks)
        if sent.counted_lots >= sent.reserved_lots:
            self._close(sent, now_ns)
            return
        self._set_check(sent, now_ns)
        self._follow(sent)
        if self.stage < STOPPING:
            self._ask(_FILL)

    def _replaced(self, sent: Sent, lots: int, ticks: int, now_ns: int) -> None:
        if (lots, ticks) == (sent.asked_lots, sent.asked_ticks):
            if sent.pending == AMEND:
                sent.pending = NOTHING
            sent.settle(lots, ticks)
            if sent.counted_lots >= sent.reserved_lots:
                self._close(sent, now_ns)
                return
        self._set_check(sent, now_ns)
        self._follow(sent)
        if sent.pending == NOTHING and self.stage < STOPPING:
            self._ask(_ORDER_EVENT)

    def _amend_refused(self, sent: Sent, now_ns: int) -> None:
        if sent.counted_lots >= sent.qty_lots:
            self._close(sent, now_ns)
            return
        sent.no_amend = True
        if sent.pending == AMEND:
            sent.pending = NOTHING
            sent.settle(sent.qty_lots, sent.price_ticks)
        self._set_check(sent, now_ns)
        if sent.pending == NOTHING and self.stage < STOPPING:
            self._ask(_ORDER_EVENT)

    def _follow(self, sent: Sent) -> None:
        """Say where it stands, when that has changed; less at the same price keeps its place."""
        before, now = sent.stood, (sent.price_ticks, sent.qty_lots, sent.counted_lots)
        if not sent.expire_ns or now == before:
            return
        sent.stood = now
        if before is None:
            self._around.stands(sent, anew=True, filled=sent.counted_lots > 0)
        else:
            anew = before[0] != now[0] or before[1] < now[1]
            self._around.stands(sent, anew=anew, filled=not anew and now[2] > before[2])

    def _set_check(self, sent: Sent, now_ns: int) -> None:
        if sent.pending:
            sent.check_ns = max(sent.check_ns, now_ns + self._limits.query_first_ns)
        elif sent.cancel_wanted:
            sent.check_ns = now_ns
        else:
            sent.check_ns = sent.expire_ns or now_ns + self._limits.ack_timeout_ns

    def _close(self, sent: Sent, now_ns: int, *, refused: bool = False) -> None:
        """Nothing of an order is at the venue any more: what follows from it."""
        sent.life, sent.pending = OVER, NOTHING
        self._hands.open.remove(sent)
        if sent.timed_out:
            self.timeouts += 1
            self._misses = 0
        if self.stage >= STOPPING:
            return
        if refused or not (sent.counted_lots or sent.cancel_wanted):
            self._missed(now_ns)
            self._refusals += sent.expire_ns > 0
        self._ask(_TIMEOUT if sent.timed_out else _FILL if sent.counted_lots else _ORDER_EVENT)

    def _missed(self, now_ns: int) -> None:
        self._misses += 1
        self._retry_ns = now_ns + self._limits.retry_ns(self._misses)

    # --- settling ---------------------------------------------------------------------------------------------------

    def _ask(self, cause: Cause) -> None:
        if self._replan is not _DEADLINE and (self._replan is not _TIMEOUT or cause is _DEADLINE):
            self._replan = cause

    def _settle(self, now_ns: int) -> None:
        for sent in self._open:
            if now_ns >= sent.check_ns:
                self._tend(sent, now_ns)
        if now_ns >= self._until_ns or now_ns >= self._revisit_ns or self._retry_ns:
            self._look_at_time(now_ns)
        self._settle_rest(now_ns)

    def _settle_rest(self, now_ns: int) -> None:
        """Let it end, let its policy look, or wait for what comes next."""
        cause = self._replan
        if cause is not None:
            if now_ns >= self._retry_ns and not self._busy():
                self._replan = None
                self._retry_ns = 0
                self._look(cause, now_ns)
                return
        elif self.stage == STOPPING:
            for sent in self._open:
                if not sent.cancel_wanted:
                    self._hands.withdraw(sent, now_ns)
            if not self._open:
                self.stage = ENDED
                self._unwatch()
        self._rearm(now_ns)

    def _tend(self, sent: Sent, now_ns: int) -> None:
        if sent.life != LIVE or sent.pending:
            raise Beyond(BEYOND_FAULT)  # an answer is overdue
        if sent.cancel_wanted:
            self._hands.send_cancel(sent, now_ns)
        elif not sent.expire_ns:
            raise Beyond(BEYOND_FAULT)  # so is a taker's end
        elif now_ns >= sent.expire_ns:
            sent.timed_out = sent.cancel_wanted = True
            self._hands.send_cancel(sent, now_ns)
        else:
            sent.check_ns = sent.expire_ns

    def _look_at_time(self, now_ns: int) -> None:
        if now_ns >= self._until_ns:
            if self.stage != WORKING or now_ns >= self._deadline_ns or self._hands.filled_lots == self._total_lots:
                self._stop()
                return
            self._start_crossing(now_ns)
        if now_ns >= self._revisit_ns:
            self._revisit_ns = NEVER
            self._ask(_REVISIT)
        if self._retry_ns and now_ns >= self._retry_ns and self._replan is None:
            self._ask(_RETRY)

    def _start_crossing(self, now_ns: int) -> None:
        self.stage, self._until_ns = CROSSING, self._deadline_ns
        for sent in self._open:
            if sent.expire_ns and not sent.cancel_wanted:
                self._hands.withdraw(sent, now_ns)
        self._retry_ns = self._denials = self._misses = 0
        self._ask(_DEADLINE)

    def _stop(self) -> None:
        self.stage, self._until_ns = STOPPING, NEVER
        self._replan = None
        self._retry_ns = 0
        self._revisit_ns = NEVER

    def _busy(self) -> bool:
        if self.stage == CROSSING:
            return bool(self._open)
        for sent in self._open:
            if sent.life == PENDING or sent.pending or sent.cancel_wanted or not sent.expire_ns:
                return True
        return False

    def _rearm(self, now_ns: int) -> None:
        at_ns = min(self._until_ns, self._revisit_ns)
        for sent in self._open:
            at_ns = min(at_ns, sent.check_ns)
        if now_ns < self._retry_ns < at_ns:
            at_ns = self._retry_ns
        if at_ns <= now_ns:
            at_ns = now_ns + MS
        if at_ns != self._wake_ns:
            self._wake_ns = at_ns
            self._around.arm(at_ns)

    def _watch(self, revisit: Revisit, market: MarketView, now_ns: int) -> None:
        at_ns = revisit.at_ns
        self._revisit_ns = NEVER if at_ns is None else at_ns if at_ns > now_ns else now_ns + MS
        if (
            revisit.on_untrusted
            or revisit.triggers
            or revisit.best_moved_ticks is not None
            or revisit.queue_ahead_below_lots is not None
        ):
            self._watching = True
            self._around.watch(revisit, market)
        else:
            self._unwatch()

    def _unwatch(self) -> None:
        if self._watching and self._market is not None:
            self._watching = False
            self._around.watch(None, self._market)

    # --- deciding ---------------------------------------------------------------------------------------------------

    def _look(self, cause: Cause, now_ns: int) -> None:
        market = self._market = self._around.market()
        if self.stage == WAITING and not (self._known(market, now_ns) and now_ns < self._cross_ns):
            self._settle(now_ns)  # where there is no time for what the policy may want, this will see to the crossing
            return
        self._decide(cause, market, now_ns)
        for sent in self._open:
            if now_ns >= sent.check_ns:
                self._tend(sent, now_ns)
        self._settle_rest(now_ns)

    def _known(self, market: MarketView, now_ns: int) -> bool:
        """Whether a waiting parent may start working on what it sees; if not, it looks again, ever less often."""
        mid_hticks = market.mid_hticks
        if market.trust is _OK and mid_hticks is not None:
            self.stage, self._until_ns = WORKING, self._cross_ns
            self.arrival_hticks = mid_hticks
            return True
        if self._parent.order.on_no_market is OnNoMarket.REFUSE:
            self._stop()
            return False
        poll_ns = max(MARKET_POLL_NS, min(MARKET_POLL_NS_MAX, (now_ns - self._parent.accepted_ns) // 8))
        self._watch(Revisit(at_ns=now_ns + poll_ns), market, now_ns)
        return False

    def _decide(self, cause: Cause, market: MarketView, now_ns: int) -> None:
        left = self._total_lots - self._hands.filled_lots
        if not self._open:
            ladder = market.ladder(self._side)
            touch_ticks = ladder[0][0] if ladder else None
            if left < self._instrument.least_lots(touch_ticks=touch_ticks, reduce_only=False):
                self._stop()
                return
        view = self._view(cause, market, left, now_ns)
        if self.stage == CROSSING:
            decision = apply_invariants(cross_decision(view, self._limits), view, self._params, pressed=True).decision
        else:
            decision = self._around.decided(view)
            if decision.reason == POLICY_FAULT:
                raise Beyond(BEYOND_FAULT)
        self._memory = decision.memory
        self._carry_out(view, decision)

    def _view(self, cause: Cause, market: MarketView, left: int, now_ns: int) -> View:
        parent, hands = self._parent, self._hands
        order = parent.order
        bids, asks, arrival = market.bids, market.asks, self.arrival_hticks
        adverse = 0.0
        if bids and asks:
            adverse = BPS * self._side * (bids[0][0] + asks[0][0] - arrival) / arrival
        resting: tuple[Resting, ...] = ()
        if self._open:
            around = self._around
            resting = tuple(
                [around.resting(sent, market) for sent in self._open if sent.expire_ns and sent.life == LIVE]
            )
        return View(
            now_ns,
            cause,
            self._side,
            self._total_lots,
            left,
            left,
            hands.filled_lots,
            self._cross_ns,
            self._deadline_ns,
            arrival,
            adverse,
            parent.limit_ticks,
            order.may_rest,
            order.urgency,
            order.holding_s,
            order.mae_budget_bps,
            order.max_participation,
            False,
            resting,
            self.timeouts,
            hands.requotes,
            self._refusals,
            market,
            self._instrument,
            self._costs,
            self._memory,
            order.parent_id,
        )

    def _carry_out(self, view: View, decision: Decision) -> None:
        """Do what a decision changes, and say when to ask again."""
        now_ns = view.now_ns
        placed, denials, cancels = self._hands.carry_out(view, decision.placements)
        if cancels:
            self._ask(_ORDER_EVENT)
        if self.stage == CROSSING:
            self._cross_attempts += 1
            self._revisit_ns = NEVER
            self._unwatch()
            if not placed and not cancels:
                if self._cross_attempts >= self._limits.cross_attempts_max:
                    self._stop()
                    return
                if not denials:
                    self._missed(now_ns)
                    self._ask(_RETRY)
        else:
            revisit = decision.revisit
            if not placed and not self._open and revisit.at_ns is None:
                revisit = msgspec.structs.replace(revisit, at_ns=now_ns + HOLD_POLL_NS)
            self._watch(revisit, view.market, now_ns)
        if denials:
            self._denials += 1
            self._retry_ns = now_ns + self._limits.retry_ns(self._denials)
        elif placed:
            self._denials = 0
