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
from heapq import heappop, heappush
from struct import Struct
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
from sor.lab.sweep.solo import ENDED as STAGE_ENDED
from sor.lab.sweep.solo import Solo
from sor.lab.sweep.steps import WATCH
from sor.limits import limits_of
from sor.market import MarketView
from sor.orders import ExecType, ParentOrder, RejectKind
from sor.params import ParamSet
from sor.parent import Parent
from sor.policy import Decision, Policy
from sor.regime import Regime
from sor.revisit import Revisit
from sor.snapshot import Costs, Resting, View
from sor.units import rate_bps

_REPORT: Final = 0
_OURS: Final = 1
_REQUEST: Final = 2
"""What a call is: a report that comes, something of our own time, a request that arrives."""
_Call = tuple[int, int, int, int, Callable[..., None], object]
"""When, number, when it was made, what it is, the call, and what it is handed besides the time: quicker than many."""
_Request = tuple[int, Callable[..., None], object]
"""When it arrives, the call, and what it is handed besides."""
_SET_WATCH: Final = Struct("6q2d").pack_into
"""Writes a watch as `sor.lab.sweep.steps` has it: a third of what it takes to set an array to so many numbers."""
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

    __slots__ = (
        "_alarms_ns",
        "_amends",
        "_armed_ns",
        "_arrivals_ns",
        "_asked",
        "_awaited",
        "_blurred_ns",
        "_by_regime",
        "_calls",
        "_cancels",
        "_capabilities",
        "_entry_ns",
        "_exchange",
        "_filled_ns",
        "_ground",
        "_group",
        "_hands",
        "_instrument",
        "_levels",
        "_made",
        "_now_ns",
        "_outward",
        "_param_set",
        "_params",
        "_parent",
        "_parents",
        "_places",
        "_policies",
        "_policy",
        "_response_ns",
        "_serial",
        "_solo",
        "_stretch_ns",
        "_watch",
        "_watch_no",
        "_watch_ns",
        "_watch_room",
        "_watched_ns",
    )

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
        self._entry_ns, self._response_ns = terms.entry_ns, terms.response_ns
        self._stretch_ns = 2 * (terms.entry_ns + terms.response_ns)
        self._instrument = instrument
        self._param_set = param_set
        self._policies = policies
        self._capabilities = capabilities_of(
            entry_ns=terms.entry_ns, response_ns=terms.response_ns, amends=terms.amends
        )
        self._exchange = Exchange(ground, instrument, shared=terms.shared, tell=self._answered)
        self._watch: Ints = np.zeros(WATCH, np.int64)
        self._watch_room = self._watch.data
        self._levels: Floats = self._watch.view(np.float64)
        self._awaited = ground.steps.awaited
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
            self._go_on()
            if solo.stage == STAGE_ENDED:
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
        self._outward: list[_Request] = []
        self._arrivals_ns: list[int] = []
        self._now_ns = start_ns
        self._calls: list[_Call] = []
        self._made = 0
        self._blurred_ns: set[int] = set()
        self._filled_ns = -1
        self._armed_ns = NEVER
        self._alarms_ns = [NEVER]
        self._serial = 0
        self._watch_no = self._watch_ns = 0
        self._watched_ns = NEVER  # how far a watch has been kept
        self._group = 0
        self._asked = self._amends = self._cancels = 0

    # --- time -------------------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Let one thing after another happen until the parent is done or the recording ends."""
        solo, exchange, calls, blurred_ns = self._solo, self._exchange, self._calls, self._blurred_ns
        end_ns, arrivals_ns = self._ground.end_ns, self._arrivals_ns
        heappush(calls, (end_ns + 1, 0, -1, _OURS, self._wake, None))
        while solo.stage != STAGE_ENDED:
            until_ns = calls[0][0]
            if until_ns > self._watched_ns:
                until_ns = self._look_out(until_ns)
            if until_ns > exchange.reached_ns:
                # Whatever is sent from then on arrives later still; what was sent before comes first.
                exchange.follow(arrivals_ns[0] if arrivals_ns else until_ns + self._entry_ns)
            if until_ns >= exchange.filled_ns:
                self._now_ns = self._filled_ns = exchange.filled_ns
                exchange.fill()
                continue
            at_ns, _, made_ns, kind, call, what = heappop(calls)
            if at_ns > end_ns:
                return
            if blurred_ns and made_ns in blurred_ns:
                self._check_order(at_ns, made_ns, kind)
            self._now_ns = at_ns
            if kind == _REQUEST:
                del arrivals_ns[0]
            elif at_ns == self._filled_ns:
                blurred_ns.add(at_ns)
            call(at_ns, what)
            if self._outward:
                self._send()

    def _look_out(self, until_ns: int) -> int:
        """Call in its turn for a condition that comes true by then; when it does, `until_ns` where none does."""
        # A stretch at once: where it is replaced before, nothing has come of it.
        self._watched_ns = watched_ns = max(until_ns, self._now_ns + self._stretch_ns)
        due_ns = self._awaited(self._watch, self._levels, watched_ns)
        if due_ns == NEVER:
            return until_ns
        self._watched_ns = NEVER
        heappush(self._calls, (due_ns, self._watch_no, self._watch_ns, _OURS, self._fire, self._serial))
        return min(due_ns, until_ns)

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
        view, group = self._ground.view(self._now_ns, self._instrument, self._group)
        self._group = group + 1
        return view

    def decided(self, view: View) -> Decision:
        """What the policy answers, after the invariants; the regime is looked for only where values depend on it."""
        self._asked += 1
        regime = self._params.regime_of(view.market.features) if self._by_regime else None
        return ruled(self._policy, view, self._params, regime)[0]

    def next_id(self, child_no: int) -> ClOrdId:
        """As the router's desk names its orders."""
        codec = self._capabilities.client_ids
        return codec.encode(_EPOCH, self._parent.no, child_no, closing=False, session=_SESSION)

    def stands(self, sent: Sent, *, anew: bool, filled: bool) -> None:
        """It is known to rest."""
        self._places.stand(sent, self._now_ns, anew=anew, filled=filled)

    def resting(self, sent: Sent, market: MarketView) -> Resting:
        """As it is shown, with a place in its queue."""
        return self._places.shown(sent, market, self._now_ns)

    def place(self, sent: Sent) -> None:
        """Send a new order, once this turn is through."""
        at_ns = self._now_ns + self._entry_ns
        self._outward.append((at_ns, self._exchange.enter, sent))

    def cancel(self, sent: Sent) -> None:
        """Ask for it to be withdrawn, once this turn is through."""
        self._cancels += 1
        at_ns = self._now_ns + self._entry_ns
        self._outward.append((at_ns, self._exchange.cancel, sent))

    def amend(self, sent: Sent, *, qty_lots: int, price_ticks: int) -> None:
        """Ask for other terms, once this turn is through."""
        self._amends += 1
        at_ns = self._now_ns + self._entry_ns
        self._outward.append((at_ns, self._exchange.amend, (sent, qty_lots, price_ticks)))

    def _send(self) -> None:
        """The turn is through: what it wants of the venue leaves."""
        made, now_ns = self._made, self._now_ns
        for at_ns, call, what in self._outward:
            made += 2
            self._arrivals_ns.append(at_ns)
            heappush(self._calls, (at_ns, made, now_ns, _REQUEST, call, what))
        self._made = made
        self._outward.clear()

    def _answered(self, sent: Sent, kind: ExecType, at_ns: int, lots: int, ticks: int, reject: RejectKind) -> None:
        """A report leaves the venue."""
        self._made = made = self._made + 2
        report = sent, kind, lots, ticks, reject
        heappush(self._calls, (at_ns + self._response_ns, made, at_ns, _REPORT, self._solo.heard, report))

    # --- wake-ups and conditions ------------------------------------------------------------------------------------

    def arm(self, at_ns: int) -> None:
        """Remember the next wake-up; a call that comes no later will look after it, as the dispatcher has it."""
        self._armed_ns = at_ns
        if at_ns < self._alarms_ns[-1]:
            self._alarms_ns.append(at_ns)
            self._made = made = self._made + 2
            heappush(self._calls, (at_ns, made, self._now_ns, _OURS, self._wake, None))

    def _wake(self, now_ns: int, _: None) -> None:
        self._alarms_ns.pop()
        if self._armed_ns > now_ns:
            self.arm(self._armed_ns)
        else:
            self._armed_ns = NEVER
            self._solo.woke(now_ns)

    def watch(self, revisit: Revisit | None, seen: MarketView) -> None:
        """Wait for the market conditions of a revisit, instead of those before."""
        self._serial += 1
        if revisit is None:
            self._watched_ns = NEVER
            return
        if revisit.queue_ahead_below_lots:
            raise Beyond(BEYOND_PLACE)
        self._made = made = self._made + 2
        self._watch_no, self._watch_ns = made, self._now_ns
        one = other = 0
        one_level, other_level = 0.0, 0.0
        other_ns = NEVER
        for trigger in revisit.triggers:
            if trigger.feature != "spread_bps" or other:
                other_ns = min(other_ns, self._ground.next_trigger(self._now_ns, trigger, seen))
            elif one:
                other, other_level = 1 if trigger.above else -1, trigger.level
            else:
                one, one_level = 1 if trigger.above else -1, trigger.level
        if other_ns < NEVER:
            heappush(self._calls, (other_ns, made + 1, self._now_ns, _OURS, self._fire, self._serial))
        moved, untrusted = revisit.best_moved_ticks or 0, revisit.on_untrusted
        _SET_WATCH(self._watch_room, 0, 0, self._group, moved, untrusted, one, other, one_level, other_level)
        self._watched_ns = 0 if untrusted or moved or one else NEVER

    def _fire(self, now_ns: int, serial: int) -> None:
        if serial == self._serial:
            self._serial += 1
            self._watched_ns = NEVER
            self._solo.revisited(now_ns)
