"""One parent alone on its account, as the router works it: when its policy is asked, and what becomes of the answer.

The rules are those of `sor.router`, `sor.placement`, `sor.desk` and `sor.child` for what can happen to a parent alone
on a venue that answers every request in time: no doubt, no lost session, no caller who changes his mind, one slice.
Tests hold every view that the policy is shown, every request and every fill to theirs. What decides is not written
again: the policy is asked by `sor.decide`, its answer goes through the invariants and the risk gate of production.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Protocol

import msgspec

from sor.adapter import AmendModel, Capabilities
from sor.desk import VenueState
from sor.events import TradingMode
from sor.ids import ClOrdId
from sor.instruments import Instrument
from sor.invariants import apply as apply_invariants
from sor.lab.sweep.exchange import AMEND, CANCEL, LIVE, NOTHING, OVER, PENDING, Beyond, Sent
from sor.lab.sweep.kernel import BEYOND_FAULT
from sor.limits import Limits
from sor.market import MarketView, Trust
from sor.orders import ExecType, OnNoMarket, RejectKind, Side
from sor.own_book import OwnBook
from sor.params import Params
from sor.parent import Parent
from sor.placement import cross_decision, fitting, stays_for
from sor.policy import POLICY_FAULT, Decision, Memory, Placement, Rest, Take
from sor.reasons import Denial
from sor.revisit import Revisit
from sor.risk import Proposal, deny
from sor.router import HOLD_POLL_NS, MARKET_POLL_NS, MARKET_POLL_NS_MAX
from sor.snapshot import Cause, Costs, Resting, View
from sor.units import BPS, MS, rate_bps


class Stage(IntEnum):
    """Where the parent is, as `ParentLife` has it."""

    WAITING = 0
    WORKING = 1
    CROSSING = 2
    STOPPING = 3
    DONE = 4


# Members by name: CPython 3.11 takes longer to read a member off its enum than to compare it.
_WAITING: Final = Stage.WAITING
_WORKING: Final = Stage.WORKING
_CROSSING: Final = Stage.CROSSING
_STOPPING: Final = Stage.STOPPING
_DONE: Final = Stage.DONE
_OK: Final = Trust.OK
_ACTIVE: Final = TradingMode.ACTIVE
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


class Surroundings(Protocol):
    """What a parent needs of whoever runs it."""

    def market(self) -> MarketView:
        """As known now."""

    def decided(self, view: View) -> Decision:
        """What the policy answers, after the invariants."""

    def arm(self, at_ns: int) -> None:
        """Call `Solo.woke` then, and not when that was asked for before; 0 for never."""

    def watch(self, revisit: Revisit | None, seen: MarketView) -> None:
        """Call `Solo.revisited` when a market condition comes true, and for none before; None for none at all."""

    def place(self, sent: Sent) -> None:
        """Send a new order."""

    def cancel(self, sent: Sent) -> None:
        """Ask for it to be withdrawn."""

    def amend(self, sent: Sent, *, qty_lots: int, price_ticks: int) -> None:
        """Ask for other terms."""

    def stands(self, sent: Sent, *, anew: bool, filled: bool) -> None:
        """It is known to rest under its terms, at a new place or where it stood; some of it has just been filled."""

    def next_id(self, child_no: int) -> ClOrdId:
        """The client id of its order of that number, from 1."""


class Solo:
    """See the module. `done`: it has ended, and nothing of it is at the venue."""

    __slots__ = (
        "_around",
        "_book",
        "_can_amend",
        "_costs",
        "_deadline_ns",
        "_instrument",
        "_limits",
        "_market",
        "_memory",
        "_pace",
        "_params",
        "_parent",
        "_refusals",
        "_replan",
        "_requotes",
        "_retry_ns",
        "_revisit",
        "_side",
        "_total_lots",
        "_venue",
        "_wake_ns",
        "_watching",
        "arrival_hticks",
        "cross_attempts",
        "denials",
        "filled_lots",
        "misses",
        "open",
        "orders",
        "stage",
        "timeouts",
    )

    def __init__(
        self,
        around: Surroundings,
        parent: Parent,
        *,
        params: Params,
        limits: Limits,
        capabilities: Capabilities,
    ) -> None:
        """`parent` carries its terms for the risk gate; nothing of it is changed."""
        instrument = parent.instrument
        self._around = around
        self._parent = parent
        self._side: Side = parent.side
        self._instrument: Instrument = instrument
        self._params = params
        self._limits = limits
        self._venue = VenueState(capabilities)
        self._venue.up = True
        self._pace = self._venue.pace(parent.order.account)
        self._book = OwnBook()
        self._can_amend = capabilities.amend is AmendModel.NATIVE_SAME_ID
        self._costs = Costs(
            rate_bps(instrument.maker_fee_e8),
            rate_bps(instrument.taker_fee_e8),
            capabilities.submit_rtt_ns,
            capabilities.cancel_rtt_ns,
        )
        self._total_lots = parent.ledger.order_lots
        self._deadline_ns = parent.deadline_ns
        self._market: MarketView | None = None
        self._memory: Memory = {}
        self._replan: Cause | None = None
        self._revisit: Revisit | None = None
        self._watching = False
        self._wake_ns = 0
        self._retry_ns = 0
        self._requotes = self._refusals = 0
        self.arrival_hticks = 0
        self.cross_attempts = self.denials = self.misses = 0
        self.filled_lots = self.timeouts = 0
        self.open: list[Sent] = []
        self.orders = 0
        self.stage = _WAITING

    @property
    def done(self) -> bool:
        """It has ended."""
        return self.stage is _DONE

    # --- what happens to it -----------------------------------------------------------------------------------------

    def begin(self, now_ns: int) -> None:
        """It is accepted."""
        self._ask(_START)
        self._settle(now_ns)

    def woke(self, now_ns: int) -> None:
        """Its time has come."""
        self._wake_ns = 0
        self._settle(now_ns)

    def revisited(self, now_ns: int) -> None:
        """A market condition of its revisit has come true."""
        self._watching = False
        if self.stage < _STOPPING:
            self._ask(_REVISIT)
        self._settle(now_ns)

    def heard(self, sent: Sent, kind: ExecType, now_ns: int, lots: int, ticks: int, reject: RejectKind) -> None:
        """A report of one of its orders; `lots` and `ticks` of a trade, or the terms after an amend."""
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
        self.filled_lots += lots
        self.denials = self.misses = 0
        if sent.counted_lots == lots:
            self._pace.traded.add(now_ns)
        if sent.qty_lots < sent.counted_lots and sent.qty_lots < sent.asked_lots:
            sent.pending, sent.no_amend = NOTHING, True  # only what was asked for allows so much
            sent.settle(sent.asked_lots, sent.asked_ticks)
        if sent.counted_lots >= sent.reserved_lots:
            self._close(sent, now_ns)
            return
        self._set_check(sent, now_ns)
        self._follow(sent)
        if self.stage < _STOPPING:
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
        if sent.pending == NOTHING and self.stage < _STOPPING:
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
        if sent.pending == NOTHING and self.stage < _STOPPING:
            self._ask(_ORDER_EVENT)

    def _follow(self, sent: Sent) -> None:
        """Say where it stands, when that has changed; less at the same price keeps its place."""
        before, now = sent.stood, (sent.price_ticks, sent.qty_lots, sent.counted_lots)
        if sent.expire_ns and now != before:
            sent.stood = now
            anew = before is None or before[0] != now[0] or before[1] < now[1]
            counted_before = 0 if before is None else now[2] if anew else before[2]
            self._around.stands(sent, anew=anew, filled=now[2] > counted_before)

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
        self.open.remove(sent)
        if sent.timed_out:
            self.timeouts += 1
            self.misses = 0
        if self.stage >= _STOPPING:
            return
        if refused or not (sent.counted_lots or sent.cancel_wanted):
            self._missed(now_ns)
            self._refusals += sent.expire_ns > 0
        self._ask(_TIMEOUT if sent.timed_out else _FILL if sent.counted_lots else _ORDER_EVENT)

    def _missed(self, now_ns: int) -> None:
        self.misses += 1
        self._retry_ns = now_ns + self._limits.retry_ns(self.misses)

    # --- settling ---------------------------------------------------------------------------------------------------

    def _ask(self, cause: Cause) -> None:
        if self._replan is not _DEADLINE and (self._replan is not _TIMEOUT or cause is _DEADLINE):
            self._replan = cause

    def _settle(self, now_ns: int) -> None:
        for sent in tuple(self.open):
            if now_ns >= sent.check_ns:
                self._tend(sent, now_ns)
        if self.stage < _STOPPING:
            self._look_at_time(now_ns)
        if self.stage is _STOPPING:
            for sent in self.open:
                if not sent.cancel_wanted:
                    self._withdraw(sent, now_ns)
            if not self.open:
                self.stage = _DONE
                self._unwatch()
        elif self._replan is not None and now_ns >= self._retry_ns and not self._busy():
            cause = self._replan
            self._replan = None
            self._retry_ns = 0
            self._look(cause, now_ns)
            return
        self._rearm(now_ns)

    def _tend(self, sent: Sent, now_ns: int) -> None:
        if sent.life != LIVE or sent.pending:
            raise Beyond(BEYOND_FAULT)  # an answer is overdue
        if sent.cancel_wanted:
            self._send_cancel(sent, now_ns)
        elif not sent.expire_ns:
            raise Beyond(BEYOND_FAULT)  # so is a taker's end
        elif now_ns >= sent.expire_ns:
            sent.timed_out = sent.cancel_wanted = True
            self._send_cancel(sent, now_ns)
        else:
            sent.check_ns = sent.expire_ns

    def _look_at_time(self, now_ns: int) -> None:
        if self.filled_lots == self._total_lots or now_ns >= self._deadline_ns:
            self._stop()
            return
        if self.stage is _WORKING and now_ns >= self._deadline_ns - self._limits.cross_margin_ns:
            self.stage = _CROSSING
            for sent in self.open:
                if sent.expire_ns and not sent.cancel_wanted:
                    self._withdraw(sent, now_ns)
            self._retry_ns = self.denials = self.misses = 0
            self._ask(_DEADLINE)
        revisit = self._revisit
        if revisit is not None and revisit.at_ns is not None and now_ns >= revisit.at_ns:
            self._revisit = None
            self._ask(_REVISIT)
        if self._retry_ns and now_ns >= self._retry_ns and self._replan is None:
            self._ask(_RETRY)

    def _stop(self) -> None:
        self.stage = _STOPPING
        self._replan = self._revisit = None
        self._retry_ns = 0

    def _busy(self) -> bool:
        crossing = self.stage is _CROSSING
        for sent in self.open:
            if sent.life == PENDING or sent.pending or sent.cancel_wanted or crossing or not sent.expire_ns:
                return True
        return False

    def _rearm(self, now_ns: int) -> None:
        at_ns = 0
        for sent in self.open:
            if not at_ns or sent.check_ns < at_ns:
                at_ns = sent.check_ns
        if self.stage < _STOPPING:
            due_ns = self._deadline_ns
            if self.stage is _WORKING:
                due_ns -= self._limits.cross_margin_ns
            if due_ns < at_ns or not at_ns:
                at_ns = due_ns
            revisit_ns = None if self._revisit is None else self._revisit.at_ns
            if revisit_ns and revisit_ns < at_ns:
                at_ns = revisit_ns
            if now_ns < self._retry_ns < at_ns:
                at_ns = self._retry_ns
        if at_ns and at_ns <= now_ns:
            at_ns = now_ns + MS
        if at_ns != self._wake_ns:
            self._wake_ns = at_ns
            self._around.arm(at_ns)

    def _withdraw(self, sent: Sent, now_ns: int) -> None:
        sent.cancel_wanted = True
        if sent.pending == AMEND:
            sent.pending = NOTHING
        if sent.life == LIVE and not sent.pending:
            self._send_cancel(sent, now_ns)

    def _send_cancel(self, sent: Sent, now_ns: int) -> None:
        self._pace.withdrawing(now_ns)
        sent.pending = CANCEL
        sent.check_ns = now_ns + self._limits.ack_timeout_ns
        self._around.cancel(sent)

    def _watch(self, revisit: Revisit, market: MarketView, now_ns: int) -> None:
        if revisit.at_ns is not None and revisit.at_ns <= now_ns:
            revisit = msgspec.structs.replace(revisit, at_ns=now_ns + MS)
        self._revisit = revisit
        if (
            revisit.best_moved_ticks is not None
            or revisit.triggers
            or revisit.on_untrusted
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
        # Where there is no time for what the policy may want, settling will see to the crossing.
        if self.stage is not _WAITING or (
            self._known(market, now_ns) and now_ns < self._deadline_ns - self._limits.cross_margin_ns
        ):
            self._decide(cause, market, now_ns)
        self._settle(now_ns)

    def _known(self, market: MarketView, now_ns: int) -> bool:
        """Whether a waiting parent may start working on what it sees; if not, it looks again, ever less often."""
        mid_hticks = market.mid_hticks
        if market.trust is _OK and mid_hticks is not None:
            self.stage = _WORKING
            self.arrival_hticks = mid_hticks
            return True
        if self._parent.order.on_no_market is OnNoMarket.REFUSE:
            self._stop()
            return False
        poll_ns = max(MARKET_POLL_NS, min(MARKET_POLL_NS_MAX, (now_ns - self._parent.accepted_ns) // 8))
        self._watch(Revisit(at_ns=now_ns + poll_ns), market, now_ns)
        return False

    def _decide(self, cause: Cause, market: MarketView, now_ns: int) -> None:
        ladder = market.ladder(self._side)
        left = self._total_lots - self.filled_lots
        touch_ticks = ladder[0][0] if ladder else None
        if not self.open and left < self._instrument.least_lots(touch_ticks=touch_ticks, reduce_only=False):
            self._stop()
            return
        view = self._view(cause, market, left, now_ns)
        if self.stage is _CROSSING:
            decision = apply_invariants(cross_decision(view, self._limits), view, self._params, pressed=True).decision
        else:
            decision = self._around.decided(view)
            if decision.reason == POLICY_FAULT:
                raise Beyond(BEYOND_FAULT)
        self._memory = decision.memory
        self._carry_out(view, decision)

    def _view(self, cause: Cause, market: MarketView, left: int, now_ns: int) -> View:
        parent, order = self._parent, self._parent.order
        bids, asks = market.bids, market.asks
        adverse = 0.0
        if bids and asks:
            arrival = self.arrival_hticks
            adverse = BPS * self._side * (bids[0][0] + asks[0][0] - arrival) / arrival
        resting = tuple(
            [
                Resting(
                    sent.cl_ord_id,
                    parent.venue,
                    sent.price_ticks,
                    sent.leaves_lots,
                    sent.sent_ns,
                    sent.expire_ns,
                )
                for sent in self.open
                if sent.expire_ns and sent.life == LIVE
            ]
        )
        return View(
            now_ns,
            cause,
            self._side,
            self._total_lots,
            left,
            left,
            self.filled_lots,
            self._deadline_ns - self._limits.cross_margin_ns,
            self._deadline_ns,
            self.arrival_hticks,
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
            self._requotes,
            self._refusals,
            market,
            self._instrument,
            self._costs,
            self._memory,
            order.parent_id,
        )

    def _carry_out(self, view: View, decision: Decision) -> None:
        """Work out what a decision changes and do it: as `sor.placement.carry_out`, and what follows in the router."""
        now_ns = view.now_ns
        wanted = decision.placements
        left = [want.qty_lots for want in wanted]
        unmatched: list[Sent] = []
        for sent in self.open:
            if not sent.expire_ns or sent.life != LIVE or sent.cancel_wanted:
                continue
            found = stays_for(sent, wanted, left)
            if found is None:
                unmatched.append(sent)
                continue
            no, want = found
            left[no] -= sent.leaves_lots
            sent.expire_ns = sent.check_ns = want.expire_ns
        least = self._instrument.min_qty_lots
        missing = [
            (want, lots) for want, lots in zip(wanted, left, strict=True) if lots == want.qty_lots or lots >= least
        ]
        placed, denials = 0, 0
        if unmatched and len(unmatched) == len(missing) == 1 and self._moves(unmatched[0], *missing[0], view):
            unmatched, placed = [], 1
        elif unmatched:
            for sent in unmatched:
                self._withdraw(sent, now_ns)
            self._requotes += any(isinstance(want, Rest) for want, _ in missing)
            self._ask(_ORDER_EVENT)
        else:
            placed, denials = self._place_all(missing, view)
        if self.stage is _CROSSING:
            self.cross_attempts += 1
            self._revisit = None
            self._unwatch()
            if not placed and not unmatched:
                if self.cross_attempts >= self._limits.cross_attempts_max:
                    self._stop()
                    return
                if not denials:
                    self._missed(now_ns)
                    self._ask(_RETRY)
        else:
            revisit = decision.revisit
            if revisit.at_ns is None and not placed and not self.open:
                revisit = msgspec.structs.replace(revisit, at_ns=now_ns + HOLD_POLL_NS)
            self._watch(revisit, view.market, now_ns)
        if denials:
            self.denials += 1
            self._retry_ns = now_ns + self._limits.retry_ns(self.denials)
        elif placed:
            self.denials = 0

    def _free_lots(self) -> int:
        """What is neither filled nor at the venue."""
        return self._total_lots - self.filled_lots - sum([sent.leaves_lots for sent in self.open])

    def _denied(self, proposal: Proposal, view: View) -> Denial | None:
        self._book.open_lots[self._side] = sum([sent.leaves_lots for sent in self.open])
        return deny(
            proposal,
            parent=self._parent,
            book=self._book,
            venue=self._venue,
            market=view.market,
            mode=_ACTIVE,
            limits=self._limits,
            now_ns=view.now_ns,
        )

    def _moves(self, sent: Sent, want: Placement, lots: int, view: View) -> bool:
        """Amend an order to what is wanted instead, where venue and gate allow it."""
        if not self._can_amend or sent.no_amend or sent.pending or not isinstance(want, Rest):
            return False
        lots = min(lots, self._free_lots() + sent.leaves_lots)
        lots = fitting(self._parent, lots, want.price_ticks, self._limits)
        if self._denied(Proposal(takes=False, lots=lots, ticks=want.price_ticks), view) is not None:
            return False
        now_ns = view.now_ns
        sent.pending = AMEND
        sent.asked_lots, sent.asked_ticks = sent.counted_lots + lots, want.price_ticks
        sent.reserved_lots = max(sent.qty_lots, sent.asked_lots)
        sent.check_ns = now_ns + self._limits.ack_timeout_ns
        sent.expire_ns = want.expire_ns
        self._pace.sends.append(now_ns)
        self._pace.withdrawing(now_ns)
        self._requotes += 1
        self._around.amend(sent, qty_lots=sent.asked_lots, price_ticks=want.price_ticks)
        return True

    def _place_all(self, missing: list[tuple[Placement, int]], view: View) -> tuple[int, int]:
        """Send what is missing: how many orders were placed, and how many denied."""
        placed = denials = 0
        now_ns = view.now_ns
        for want, wanted_lots in missing:
            takes = isinstance(want, Take)
            ticks = want.collar_ticks if isinstance(want, Take) else want.price_ticks
            lots = fitting(self._parent, min(wanted_lots, self._free_lots()), ticks, self._limits)
            if lots <= 0:
                continue
            if self._denied(Proposal(takes=takes, lots=lots, ticks=ticks), view) is not None:
                denials += 1
                continue
            self.orders += 1
            sent = Sent(
                self._around.next_id(self.orders),
                self._side,
                lots,
                ticks,
                sent_ns=now_ns,
                expire_ns=0 if isinstance(want, Take) else want.expire_ns,
            )
            sent.check_ns = now_ns + self._limits.ack_timeout_ns
            self.open.append(sent)
            self._pace.sends.append(now_ns)
            self._around.place(sent)
            placed += 1
        return placed, denials
