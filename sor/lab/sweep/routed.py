"""Parents of any policy on the kernel's tables: what `sor replay` does with them, without router, venue and journal.

The policy is the object of production. It is shown the views that the router would show it, at exactly the instants at
which the router would ask, and its answer goes through the invariants and the risk gate. Written again are the router's
rules for a parent that is alone (`sor.lab.sweep.solo`) and those of the recorded venue (`exchange`), on tables
(`ground`). Each parent has an account and a time of its own.

Calls of one instant come in the order in which the router's scheduler has them. One order it does not tell: whether a
fill comes before or after what else happens at that very nanosecond. Where that could matter the parent is `Beyond`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from heapq import heappop, heappush
from typing import Final

import msgspec
import numpy as np

from sor.decide import ruled
from sor.errors import CallerError
from sor.ids import ClOrdId
from sor.instruments import Instrument
from sor.lab.sweep.exchange import Beyond, Exchange, Fill, Sent, capabilities_of
from sor.lab.sweep.ground import Ground
from sor.lab.sweep.hands import Hands
from sor.lab.sweep.kernel import BEYOND_PLACE, BEYOND_TIE, DONE, ENDED, NEVER, UNFINISHED, Floats, Ints
from sor.lab.sweep.places import Places
from sor.lab.sweep.solo import Solo
from sor.lab.sweep.steps import WATCH, holds
from sor.limits import limits_of
from sor.market import MarketView, Trust
from sor.orders import ExecType, ParentOrder, RejectKind
from sor.params import ParamSet
from sor.parent import Parent
from sor.policy import Decision, Policy
from sor.regime import Regime
from sor.revisit import Revisit
from sor.snapshot import Costs, View
from sor.units import rate_bps

_REPORT: Final = 0
_OURS: Final = 1
_REQUEST: Final = 2
"""What a call is: a report that comes, something of our own time, a request that arrives."""
_Call = tuple[int, int, int, int, Callable[[], None]]
"""When, number, when it was made, what it is, and the call."""
SCHEDULE: Final = "immediate"
"""The schedule that the lane has."""
_EPOCH: Final = 1
_SESSION: Final = 1


class Routed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of one parent.

    state    `DONE`, or `ENDED` by itself with something left, or a key of `sor.lab.sweep.lane.BEYOND`.
    orders   sent; amends and cancels of them; asked: how often the policy was.
    arrival_hticks    the mid that it is measured against, half-ticks; 0 where it never saw one.
    """

    state: int
    fills: tuple[Fill, ...]
    orders: int
    amends: int
    cancels: int
    timeouts: int
    asked: int
    arrival_hticks: int


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How the venue is reached and what it does: constant delays each way, queue model, whether it amends."""

    entry_ns: int
    response_ns: int
    shared: bool
    amends: bool = True


class Desk:
    """Runs parents, one after another; the surroundings of each `Solo`."""

    def __init__(
        self,
        ground: Ground,
        terms: Terms,
        *,
        instrument: Instrument,
        param_set: ParamSet,
        policies: Mapping[str, Policy],
    ) -> None:
        """Raises `CallerError` for delays of nothing."""
        if min(terms.entry_ns, terms.response_ns) < 1:
            raise CallerError("the lane needs delays of at least a nanosecond each way; nothing was replayed")
        self._ground = ground
        self._terms = terms
        self._stretch_ns = 2 * (terms.entry_ns + terms.response_ns)
        self._instrument = instrument
        self._param_set = param_set
        self._policies = policies
        self._capabilities = capabilities_of(
            entry_ns=terms.entry_ns, response_ns=terms.response_ns, amends=terms.amends
        )
        self._exchange = Exchange(ground, instrument, shared=terms.shared, tell=self._answered)
        self._levels: Floats = np.zeros(2)
        self._watch: Ints = np.zeros(WATCH, np.int64)
        self._parents = 0

    def run(self, order: ParentOrder, start_ns: int) -> Routed:
        """One parent from its start, local time, to its end or to where the recording ends.

        Raises `CallerError` for an order that the lane does not have, or whose param-set lacks what its policy needs.
        """
        self._begin(order, start_ns)
        solo = self._solo
        state = UNFINISHED
        try:
            solo.begin(start_ns)
            self._send()
            while not solo.done and self._go_on():
                pass
            if solo.done:
                state = DONE if self._hands.filled_lots == self._parent.ledger.order_lots else ENDED
        except Beyond as beyond:
            state = beyond.code
        return Routed(
            state=state,
            fills=tuple(self._exchange.fills),
            orders=self._hands.orders,
            amends=self._amends,
            cancels=self._cancels,
            timeouts=solo.timeouts,
            asked=self._asked,
            arrival_hticks=solo.arrival_hticks,
        )

    def _begin(self, order: ParentOrder, start_ns: int) -> None:
        """Everything as before the first call of a new parent."""
        instrument = self._instrument
        policy = self._policies.get(order.policy)
        if policy is None:
            known = ", ".join(self._policies)
            raise CallerError(f"there is no policy {order.policy!r}; nothing was replayed. Installed: {known}")
        if order.reduce_only or order.schedule != SCHEDULE:
            what = "parents that only reduce" if order.reduce_only else f"schedule {order.schedule!r}"
            raise CallerError(f"the lane does not have {what}; nothing was replayed. Use sor replay")
        params = self._param_set.resolve(instrument.venue, instrument.symbol, now_ns=start_ns)
        missing = params.missing(policy.needs)
        if missing:
            raise CallerError(
                f"{params.set_id} lacks {', '.join(missing)}; nothing was replayed. Use another param-set"
            )
        self._policy = policy
        self._params = params
        self._by_regime = any(params.within(regime) is not params for regime in Regime)
        self._parents += 1
        self._parent = Parent(
            no=self._parents,
            order=order,
            intent=None,
            venue=instrument.venue,
            instrument=instrument,
            set_name=params.set_id,
            now_ns=start_ns,
        )
        limits, capabilities = limits_of(params), self._capabilities
        costs = Costs(
            rate_bps(instrument.maker_fee_e8),
            rate_bps(instrument.taker_fee_e8),
            capabilities.submit_rtt_ns,
            capabilities.cancel_rtt_ns,
        )
        self._hands = Hands(self, self._parent, limits=limits, capabilities=capabilities)
        self._solo = Solo(self, self._hands, self._parent, params=params, limits=limits, costs=costs)
        self._exchange.begin()
        self._places = Places(self._ground.steps)
        self._outward: list[tuple[int, Callable[[], None]]] = []
        self._now_ns = start_ns
        self._calls: list[_Call] = []
        self._made = 0
        self._blurred_ns: set[int] = set()
        self._filled_ns = -1
        self._armed_ns = 0
        self._alarms_ns: list[int] = []
        self._serial = 0
        self._watch_no = self._watch_ns = self._watched_ns = 0
        self._watching = False
        self._group = 0
        self._view: MarketView | None = None
        self._view_ns = -1
        self._asked = self._amends = self._cancels = 0

    # --- time -------------------------------------------------------------------------------------------------------

    def _call_at(self, at_ns: int, kind: int, call: Callable[[], None], no: int = 0, made_ns: int = -1) -> None:
        """Call at that time, in the order of the calls made; `no` and `made_ns` of one whose turn was kept for it."""
        if not no:
            self._made = no = self._made + 2
        made_ns = self._now_ns if made_ns < 0 else made_ns
        heappush(self._calls, (max(at_ns, self._now_ns), no, made_ns, kind, call))

    def _go_on(self) -> bool:
        """Let the next thing happen; False when nothing does, or the recording has ended before."""
        calls = self._calls
        until_ns = min(calls[0][0] if calls else NEVER, self._ground.end_ns)
        if self._watching and until_ns > self._watched_ns:
            # A stretch at once: where it is replaced before, nothing has come of it.
            self._watched_ns = max(until_ns, self._now_ns + self._stretch_ns)
            due_ns = int(self._ground.steps.awaited(self._watch, self._levels, self._watched_ns))
            if due_ns < NEVER:
                self._watching = False
                self._call_at(due_ns, _OURS, partial(self._fire, self._serial), self._watch_no, self._watch_ns)
                until_ns = min(until_ns, due_ns)
        if self._exchange.levels:
            level = self._exchange.due(until_ns)
            if level is not None:
                self._now_ns = self._filled_ns = level.due_ns
                self._exchange.fill(level)
                return True
        if not calls or calls[0][0] > self._ground.end_ns:
            return False
        at_ns, _, made_ns, kind, call = heappop(calls)
        if made_ns in self._blurred_ns:
            self._check_order(at_ns, made_ns, kind)
        self._now_ns = at_ns
        if kind != _REQUEST and at_ns == self._filled_ns:
            self._blurred_ns.add(at_ns)
        call()
        return True

    def _check_order(self, at_ns: int, made_ns: int, kind: int) -> None:
        """Raise `Beyond` where nobody can tell whether we hear of a fill before or after something else.

        A request that arrives beside either changes nothing by its place, but what follows from them is as unsure.
        """
        for call in self._calls:
            if call[0] == at_ns and call[2] == made_ns and call[3] != kind:
                if _REQUEST not in (kind, call[3]):
                    raise Beyond(BEYOND_TIE)
                self._blurred_ns.add(at_ns)

    # --- what the parent wants --------------------------------------------------------------------------------------

    def market(self) -> MarketView:
        """As known now."""
        view = self._view
        if view is None or self._view_ns != self._now_ns:
            view, group = self._ground.view(self._now_ns, self._instrument, self._group)
            self._view, self._view_ns, self._group = view, self._now_ns, group + 1
        return view

    def decided(self, view: View) -> Decision:
        """What the policy answers, after the invariants; the regime is looked for only where values depend on it."""
        self._asked += 1
        if view.resting:
            self._places.show(view)
        regime = self._params.regime_of(view.market.features) if self._by_regime else None
        return ruled(self._policy, view, self._params, regime)[0]

    def next_id(self, child_no: int) -> ClOrdId:
        """As the router's desk names its orders."""
        codec = self._capabilities.client_ids
        return codec.encode(_EPOCH, self._parent.no, child_no, closing=False, session=_SESSION)

    def stands(self, sent: Sent, *, anew: bool, filled: bool) -> None:
        """It is known to rest."""
        self._places.stand(sent, self._now_ns, anew=anew, filled=filled)

    def place(self, sent: Sent) -> None:
        """Send a new order, once this turn is through."""
        at_ns = self._now_ns + self._terms.entry_ns
        self._outward.append((at_ns, partial(self._exchange.enter, sent, at_ns)))

    def cancel(self, sent: Sent) -> None:
        """Ask for it to be withdrawn, once this turn is through."""
        self._cancels += 1
        at_ns = self._now_ns + self._terms.entry_ns
        self._outward.append((at_ns, partial(self._exchange.cancel, sent, at_ns)))

    def amend(self, sent: Sent, *, qty_lots: int, price_ticks: int) -> None:
        """Ask for other terms, once this turn is through."""
        self._amends += 1
        at_ns = self._now_ns + self._terms.entry_ns
        call = partial(self._exchange.amend, sent, at_ns, qty_lots=qty_lots, price_ticks=price_ticks)
        self._outward.append((at_ns, call))

    def _send(self) -> None:
        """The turn is through: what it wants of the venue leaves."""
        for at_ns, call in self._outward:
            self._call_at(at_ns, _REQUEST, call)
        self._outward.clear()

    def _answered(self, sent: Sent, kind: ExecType, at_ns: int, lots: int, ticks: int, reject: RejectKind) -> None:
        """A report leaves the venue."""
        call = partial(self._reported, sent, kind, lots, ticks, reject)
        self._call_at(at_ns + self._terms.response_ns, _REPORT, call)

    def _reported(self, sent: Sent, kind: ExecType, lots: int, ticks: int, reject: RejectKind) -> None:
        self._solo.heard(sent, kind, self._now_ns, lots, ticks, reject)
        self._send()

    # --- wake-ups and conditions ------------------------------------------------------------------------------------

    def arm(self, at_ns: int) -> None:
        """Remember the next wake-up; a call that comes no later will look after it, as the dispatcher has it."""
        self._armed_ns = at_ns
        if at_ns:
            self._see_to(at_ns)

    def _see_to(self, at_ns: int) -> None:
        alarms_ns = self._alarms_ns
        if not alarms_ns or at_ns < alarms_ns[-1]:
            alarms_ns.append(at_ns)
            self._call_at(at_ns, _OURS, self._wake)

    def _wake(self) -> None:
        self._alarms_ns.pop()
        armed_ns = self._armed_ns
        if not armed_ns:
            return
        if armed_ns <= self._now_ns:
            self._armed_ns = 0
            self._solo.woke(self._now_ns)
            self._send()
        else:
            self._see_to(armed_ns)

    def watch(self, revisit: Revisit | None, seen: MarketView) -> None:
        """Wait for the market conditions of a revisit, instead of those before."""
        self._serial += 1
        self._watching = False
        if revisit is None:
            return
        if revisit.queue_ahead_below_lots:
            raise Beyond(BEYOND_PLACE)
        self._made += 2
        self._watch_no, self._watch_ns = self._made, self._now_ns
        self._set_watch(revisit, seen)

    def _set_watch(self, revisit: Revisit, seen: MarketView) -> None:
        now_ns = self._now_ns
        moved = (revisit.best_moved_ticks or 0) if seen.bids and seen.asks else 0
        bid, ask = (seen.bids[0][0], seen.asks[0][0]) if seen.bids and seen.asks else (0, 0)
        signs, since_ns = [0, 0], [0, 0]
        used, other_ns = 0, NEVER
        for trigger in revisit.triggers:
            if trigger.feature == "spread_bps" and used < len(signs):
                sign = signs[used] = 1 if trigger.above else -1
                self._levels[used] = trigger.level
                held = seen.trust is Trust.OK and holds(sign, trigger.level, bid, ask)
                since_ns[used] = NEVER if held else now_ns
                used += 1
            else:
                other_ns = min(other_ns, self._ground.next_trigger(now_ns, trigger, seen))
        if other_ns < NEVER:
            self._call_at(other_ns, _OURS, partial(self._fire, self._serial), self._watch_no + 1, now_ns)
        # As `NEXT`, `BID` and so on have them.
        self._watch[:] = (
            self._group,
            bid,
            ask,
            moved,
            revisit.on_untrusted,
            signs[0],
            since_ns[0],
            signs[1],
            since_ns[1],
        )
        self._watching = bool(revisit.on_untrusted or moved or used)
        self._watched_ns = 0

    def _fire(self, serial: int) -> None:
        if serial == self._serial:
            self._serial += 1
            self._watching = False
            self._solo.revisited(self._now_ns)
            self._send()
