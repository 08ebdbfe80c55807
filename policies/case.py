"""What the policies that may rest have in common: one decision in the making, in the side's own terms.

A policy asks the questions it wants asked and gives one of the answers. Every number that was asked for goes into the
record with its limit, in the order of the questions. Where the limit forbids to cross, resting is all there is, and it
rests at the limit or better as long as time allows, whatever the policy's own questions would say.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from math import ceil, inf

from policies.cross import cross_bps, walk_ticks
from sor.features import Features
from sor.market import Trust
from sor.models.impact import impact_bps, resting_move_ticks
from sor.models.timeout import excursion_s
from sor.params import Params
from sor.policy import Alternative, Decision, Memory, Rest, Take
from sor.pricing import collar_ticks, maker_ticks, nearer_ticks
from sor.reasons import TimeoutBound
from sor.revisit import Revisit, Trigger
from sor.snapshot import Resting, View
from sor.units import BPS, MS, NS


class Why(StrEnum):
    """Why a policy that may rest answered as it did: what it does, or why it does not rest."""

    REST = "rest"
    REST_UNMEASURED = "rest_unmeasured"
    REST_AT_LIMIT = "rest_at_limit"
    KEEP = "keep"
    CHASE = "chase"
    MAY_NOT_REST = "may_not_rest"
    URGENT = "urgent"
    EXCURSION = "excursion"
    TIMED_OUT = "timed_out"
    REMAINDER = "remainder"
    REFUSED = "refused"
    BEHIND = "behind"
    WIDE = "wide"
    VOLATILE = "volatile"
    LEANING = "leaning"
    THIN = "thin"
    SLOW = "slow"
    TOO_LATE = "too_late"
    NOT_WORTH_IT = "not_worth_it"
    RAN_AWAY = "ran_away"
    LIMIT_AWAY = "limit_away"
    UNTRUSTED = "untrusted"
    NOTHING_DUE = "nothing_due"
    TOLD = "told"


NEEDS = (
    "deadline.margin_ms",
    "placement.calm_exit_ratio",
    "placement.calm_spread_max",
    "placement.chase_bps_min",
    "placement.collar_bps",
    "placement.dwell_ms",
    "placement.excursion_tolerance",
    "placement.requotes_max",
    "placement.window_s_min",
    "remainder.rule",
)
"""Ids of the parameters that a `Case` reads whichever policy it serves."""
EXCURSION = "placement.excursion_bps"
"""What it reads beside these where a set gives it."""

_SOUND = Trust.OK
_INTERVAL_SES = 2 * 1.96
"""Standard errors from end to end of a 95 % interval."""
_ON_FILLS = Revisit(on_untrusted=False)
_WHEN_SOUND = Revisit()
KEPT = Alternative("rest", None, None, "keeps its place; not costed anew")
NOT_ESTIMATED = Alternative("rest", None, None, "not estimated: ruled out before")
_AT_LIMIT = Alternative("rest", None, None, "not estimated: the limit leaves nothing else")
_TOO_SMALL = Alternative("cross", None, None, "below the venue's minimum")
_BEYOND_LIMIT = Alternative("cross", None, None, "the limit forbids it")


def begin(view: View, params: Params) -> Case | Decision:
    """The case of a view, or the answer where there is none: a book that is not sound, or nothing due."""
    market = view.market
    features = market.features
    if features is None or market.trust is not _SOUND or not market.bids or not market.asks:
        state = "incomplete" if market.trust is _SOUND else market.trust.value
        return Decision(
            placements=(),
            revisit=_WHEN_SOUND,
            reason=Why.UNTRUSTED,
            note=f"The book is {state}: wait until it is sound.",
            memory=view.memory,
        )
    if view.open_lots <= 0:
        return Decision(
            placements=(), revisit=_ON_FILLS, reason=Why.NOTHING_DUE, note="Nothing is due.", memory=view.memory
        )
    return Case(view, params, features)


def kept_rests(orders: Iterable[Resting], open_lots: int, until_ns: int | None = None) -> tuple[Rest, ...]:
    """Our orders where they are, in their order, as far as what is open needs them; `until_ns` if not their expiry."""
    found: list[Rest] = []
    left = open_lots
    for order in orders:
        lots = min(left, order.leaves_lots)
        if lots > 0:
            expire_ns = order.expire_ns if until_ns is None else until_ns
            found.append(Rest(order.venue, lots, order.price_ticks, expire_ns, TimeoutBound.NONE))
            left -= lots
    return tuple(found)


class Case:
    """One decision in the making. Lives for one call of `decide`.

    near, touch    best price on our own side, clipped to the limit, and on the side that we would take from.
    crossable      the limit allows to take at the touch.
    latest_ns      until when an order may rest so that a cancel and a crossing still fit before the slice is due, or
                   before the machine's margin at the deadline; left_s seconds from now.
    floor_s        two round trips: an order that is to rest for less is not posted.
    scheduled      the schedule ends before the parent does.
    cost_bps       expected cost of crossing now, `average` the price of that book walk, ticks, and its `caveat`.
    measured       flow and volatility rest on enough data.
    moved_bps      the adverse move that the excursion budget counts: since arrival by the parent's own, since the slice
                   began by the set's. moved_bps_max: the budget, infinite without one. budget_bps: what is left of it.
    tolerated      ticks that the touch may be away from an order of ours, >= 1.
    own            our resting orders that may stay where they are as far as venue and limit are concerned.
    slice          when this slice began, and what there had been of fills, timeouts, re-quotes and refusals.
    impact_bps     what crossing is expected to cost beyond the book walk, and its standard error; 0.0 and None until
                   `foresee_impact`, and where the walk is dearer.
    review_ns      an order that rests is asked about again after this at the latest, None: only when something happens.
    inputs         the numbers asked for so far, in order; asked again, the last counts.
    """

    __slots__ = (
        "ask",
        "average",
        "bid",
        "budget_bps",
        "caveat",
        "cost_bps",
        "crossable",
        "features",
        "floor_s",
        "impact_bps",
        "impact_se_bps",
        "inputs",
        "latest_ns",
        "left_s",
        "measured",
        "mid_hticks",
        "moved_bps",
        "moved_bps_max",
        "near",
        "own",
        "params",
        "review_ns",
        "scheduled",
        "slice",
        "tolerated",
        "touch",
        "view",
    )

    def __init__(self, view: View, params: Params, features: Features) -> None:
        market = view.market
        side = view.side
        limit = view.limit_ticks
        costs = view.costs
        self.view = view
        self.params = params
        self.features = features
        self.bid = bid = market.bids[0][0]
        self.ask = ask = market.asks[0][0]
        self.mid_hticks = bid + ask
        self.touch = touch = ask if side > 0 else bid
        self.near = nearer_ticks(side, bid if side > 0 else ask, limit)
        self.crossable = limit is None or side * (touch - limit) <= 0
        last_ns = view.deadline_ns - round(params["deadline.margin_ms"] * MS)
        self.scheduled = view.due_ns < last_ns
        trips_ns = costs.cancel_rtt_ns + costs.submit_rtt_ns
        self.latest_ns = (view.due_ns if self.scheduled else last_ns) - trips_ns
        self.left_s = (self.latest_ns - view.now_ns) / NS
        self.floor_s = trips_ns / NS
        self.measured = features.window_s >= params["placement.window_s_min"]
        self.average, self.caveat = walk_ticks(view, view.open_lots)
        self.cost_bps = cross_bps(view, self.average)
        self.tolerated = max(1, ceil(params["placement.chase_bps_min"] * self.mid_hticks / (2.0 * BPS)))
        self.slice = _slice_memory(view, params)
        self.moved_bps, self.moved_bps_max = _excursion(view, params, self.slice)
        self.budget_bps = self.moved_bps_max - self.moved_bps
        self.impact_bps = 0.0
        self.impact_se_bps: float | None = None
        self.review_ns: int | None = None
        self.inputs: dict[str, float] = {}
        self.own = view.resting
        if self.own:
            self.own = tuple(
                [
                    order
                    for order in self.own
                    if order.venue == market.venue and (limit is None or side * (order.price_ticks - limit) <= 0)
                ]
            )

    # --- the questions ------------------------------------------------------------------------------------------------

    def exceeds(self, name: str, value: float, limit: float) -> bool:
        """Whether a number is above its limit; both go into the record."""
        self.inputs |= {name: value, f"{name}_max": limit}
        return value > limit

    def reaches(self, name: str, value: float, limit: float) -> bool:
        """Whether a number has come to its limit; both go into the record."""
        self.inputs |= {name: value, f"{name}_max": limit}
        return value >= limit

    def forbidden(self) -> Why | None:
        """Why the caller lets nothing rest whatever the market does, or None."""
        view = self.view
        if not view.may_rest:
            return Why.MAY_NOT_REST
        if view.urgency >= 1.0:
            return Why.URGENT
        if self.budget_bps < inf and self.exceeds("adverse_bps", self.moved_bps, self.moved_bps_max):
            return Why.EXCURSION
        return None

    def timeouts(self) -> float:
        """Resting orders of this slice that ran out of time."""
        return self.view.timeouts - self.slice["timeouts"]

    def refusals(self) -> float:
        """Post-only orders of this slice that the venue did not let rest."""
        return self.view.refusals - self.slice["refusals"]

    def worn_out(self) -> Why | None:
        """Why the slice has had enough tries at resting, or None."""
        if self.reaches("timeouts", self.timeouts(), self.params["placement.timeouts_max"]):
            return Why.TIMED_OUT
        if self.reaches("refusals", self.refusals(), self.params["placement.refusals_max"]):
            return Why.REFUSED
        return None

    def elapsed(self) -> float:
        """Share of the slice's time that is gone, from its start to the last moment at which an order may rest."""
        since_ns = self.slice["since_ns"]
        whole_ns = self.latest_ns - since_ns
        return (self.view.now_ns - since_ns) / whole_ns if whole_ns > 0.0 else 1.0

    def too_wide(self, slack: float) -> bool:
        """Whether the spread is beyond the calm limit by the factor `slack`."""
        return self.exceeds("spread_bps", self.features.spread_bps, self.params["placement.calm_spread_max"] * slack)

    def uneasy(self, slack: float) -> Why | None:
        """Which calm limit spread or volatility exceeds by the factor `slack`, or None."""
        if self.too_wide(slack):
            return Why.WIDE
        volatility_max = self.params["placement.calm_volatility_max"] * slack
        if self.measured and self.exceeds("volatility", self.features.volatility, volatility_max):
            return Why.VOLATILE
        return None

    def leaning(self) -> bool:
        """Whether nearly all that stands at the touch stands on our own side."""
        imbalance = self.features.imbalance
        share = imbalance if self.view.side > 0 else 1.0 - imbalance
        return self.exceeds("own_touch_share", share, self.params["placement.calm_imbalance_max"])

    def thin(self) -> bool:
        """Whether less stands near the touch, on either side, than a calm market has for an order like ours."""
        features = self.features
        depth = min(features.bid_near_lots, features.ask_near_lots) / self.view.open_lots
        least = self.params["placement.calm_depth_min"]
        self.inputs |= {"near_depth": depth, "near_depth_min": least}
        return depth < least

    def late(self) -> bool:
        """Whether less than two round trips are left."""
        self.inputs |= {"left_s": self.left_s, "left_s_min": self.floor_s}
        return self.left_s < self.floor_s

    def excursion_left_s(self) -> float:
        """tau_B of methods 6.2 (d) for what is left of the budget, infinite without one."""
        if self.budget_bps == inf:
            return inf
        return excursion_s(
            budget_bps=self.budget_bps,
            volatility=self.features.volatility,
            tolerance=self.params["placement.excursion_tolerance"],
        )

    def time_bound(self) -> TimeoutBound:
        """Which clock runs out first: the schedule's or the parent's."""
        return TimeoutBound.SCHEDULE if self.scheduled else TimeoutBound.TIME_LEFT

    def bounded_s(self, fixed_s: float) -> tuple[float, TimeoutBound]:
        """The least of a fixed time, the time left and the excursion budget, and which of them it is."""
        bounds = [(self.left_s, self.time_bound()), (fixed_s, TimeoutBound.FIXED)]
        if self.measured:
            bounds.append((self.excursion_left_s(), TimeoutBound.EXCURSION))
        return min(bounds, key=_first)

    def maker_price(self) -> int:
        """Where a maker rests by S1."""
        return maker_ticks(self.view.side, bid_ticks=self.bid, ask_ticks=self.ask)

    def ahead_lots(self, price: int) -> int:
        """Displayed lots that have to trade before a new order at `price`: a level that is not shown is empty."""
        view = self.view
        for ticks, lots in view.market.ladder(view.side.opposite):
            if view.side * (ticks - price) <= 0:
                return lots if ticks == price else 0
        return 0

    def ahead_of(self, order: Resting) -> int:
        """Displayed lots that have to trade before a resting order: all at better prices, and its own queue.

        The queue is what is displayed where nobody knows its place.
        """
        side = self.view.side
        better = 0
        for ticks, lots in self.view.market.ladder(side.opposite):
            if side * (ticks - order.price_ticks) <= 0:
                break
            better += lots
        queue = self.ahead_lots(order.price_ticks) if order.ahead_lots is None else order.ahead_lots
        return better + queue

    def flow_against(self) -> float:
        """Lots per second that takers took from our own side, which is what fills us."""
        return self.features.sell_flow if self.view.side > 0 else self.features.buy_flow

    def risk_weight(self) -> float:
        """Standard deviations of the wait that its risk is worth, by the urgency of the parent (below 1)."""
        urgency = self.view.urgency
        return self.params["placement.risk_weight"] * urgency / (1.0 - urgency)

    def advantage_bps(self, price: int) -> float:
        """A of equation (1): what a fill at `price` saves against walking the book now, fees included."""
        view = self.view
        gap_bps = 2.0 * BPS * view.side * (self.average - price) / self.mid_hticks
        return gap_bps + view.costs.taker_fee_bps - view.costs.maker_fee_bps + self.impact_bps

    # --- our own impact -----------------------------------------------------------------------------------------------

    def foresee_impact(self) -> None:
        """Raise the cost of crossing to what the square-root law expects where that is more than the book walk shows.

        The displayed book refills and withdraws; the law is what orders of such a share of the flow have paid. An
        order that the touch holds pays the touch, whatever any law says.
        """
        features, params = self.features, self.params
        buying = self.view.side > 0
        flow = features.buy_flow if buying else features.sell_flow
        touch_lots = features.ask_touch_lots if buying else features.bid_touch_lots
        if flow <= 0.0 or self.view.open_lots <= touch_lots:
            return
        law = impact_bps(
            volatility_bps=features.volatility,
            share=self.view.open_lots / flow,
            coefficient=params["impact.coefficient"],
            coefficient_low=params["impact.coefficient_low"],
            coefficient_high=params["impact.coefficient_high"],
            exponent=params["impact.exponent"],
        )
        walk_bps = 2.0 * BPS * abs(self.average - self.touch) / self.mid_hticks
        if law.bps > walk_bps:
            self.impact_bps = law.bps - walk_bps
            self.impact_se_bps = (law.high_bps - law.low_bps) / _INTERVAL_SES
            self.cost_bps += self.impact_bps
        self.inputs |= {"walk_bps": walk_bps, "impact_bps": self.impact_bps}

    def resting_impact_bps(self, price: int, lots: int) -> float:
        """How far the mid is expected to move away from an order of `lots` at `price` because it is shown."""
        coefficient = self.params["impact.resting_coefficient"]
        ticks = resting_move_ticks(own_lots=lots, depth_lots=self.ahead_lots(price), coefficient=coefficient)
        return 2.0 * BPS * ticks / self.mid_hticks

    # --- an order that rests ------------------------------------------------------------------------------------------

    def remainder(self) -> Decision | None:
        """What the rule for parts below the minimum says of what rests, None where it says nothing.

        A venue lets a part of a resting order trade whatever its size, but takes no new order for it: once less than
        the minimum is left, whoever withdraws it never gets it done.
        """
        view = self.view
        least = view.instrument.least_lots(touch_ticks=self.touch, reduce_only=view.reduce_only)
        lots = view.open_lots
        rule = self.params.choice("remainder.rule")
        if lots < least:
            self.inputs |= {"open_lots": float(lots), "open_lots_min": float(least)}
            if rule == "stop":
                note = "What is left is below the venue's minimum: it is withdrawn."
                return self.answer(Why.REMAINDER, note, (), _ON_FILLS, (_TOO_SMALL, KEPT))
            why = "What is left is below the venue's minimum: withdrawn it could not be done."
            return self.keep(self.watch(None), why, until_ns=self.latest_ns)
        begun = view.filled_lots > self.slice["filled"]
        if rule == "cross_early" and begun and lots < 2 * least and self.crossable:
            self.inputs |= {"open_lots": float(lots), "open_lots_min": float(2 * least)}
            return self.cross(Why.REMAINDER)
        return None

    def kept(self, price: int | None = None, tolerated: int | None = None) -> Decision | None:
        """Every order where it is, unless `price` has run away from one, and that is old enough to be moved.

        price    where an order should be, the near touch unless told; it may be less than `tolerated` ticks behind.
        """
        view = self.view
        price = self.near if price is None else price
        tolerated = self.tolerated if tolerated is None else tolerated
        away = max([view.side * (price - order.price_ticks) for order in self.own])
        if not self.reaches("away_ticks", float(away), float(tolerated)):
            return self.keep(self.watch(tolerated - away), "The touch is near enough.")
        dwell_ns = round(self.params["placement.dwell_ms"] * MS)
        old_enough_ns = max([order.since_ns for order in self.own]) + dwell_ns
        if view.now_ns < old_enough_ns:
            return self.keep(self.watch(None, old_enough_ns), "The touch is away, but may come back.")
        if not self.crossable and self.left_s < self.floor_s:
            return self.keep(self.watch(None), "No time is left for a new order.")
        return None

    def requotes(self) -> float:
        """Orders of this slice that were moved."""
        return self.view.requotes - self.slice["requotes"]

    def chased_out(self) -> bool:
        """Whether the slice has had all the chases it is allowed."""
        return self.reaches("requotes", self.requotes(), self.params["placement.requotes_max"])

    def stay_within_limit(self) -> Decision:
        """What can be done while the limit forbids to cross: rest at it, or nearer where the market is; else hold."""
        if not self.view.may_rest:
            return self.hold()
        kept = self.kept() if self.own else None
        if kept is not None:
            return kept
        return self.hold() if self.late() else self.post_at_limit()

    def watch(self, away_ticks: int | None, at_ns: int | None = None) -> Revisit:
        """When an order that rests is to be looked at: the touch ran, the budget may be used up, the spread opened."""
        if self.crossable and 0.0 <= self.budget_bps < inf:
            budget_ticks = int(self.budget_bps * self.mid_hticks / (2.0 * BPS)) + 1
            away_ticks = budget_ticks if away_ticks is None or budget_ticks < away_ticks else away_ticks
        if self.review_ns is not None:
            review_ns = self.view.now_ns + self.review_ns
            at_ns = review_ns if at_ns is None or review_ns < at_ns else at_ns
        params = self.params
        level = params["placement.calm_spread_max"] * params["placement.calm_exit_ratio"]
        return Revisit(at_ns, away_ticks, (Trigger("spread_bps", True, level),))

    # --- the answers --------------------------------------------------------------------------------------------------

    def answer(
        self,
        reason: Why,
        note: str,
        placements: tuple[Rest | Take, ...],
        revisit: Revisit,
        alternatives: tuple[Alternative, ...],
    ) -> Decision:
        """The decision, with the numbers asked for."""
        return Decision(
            placements=placements,
            revisit=revisit,
            reason=reason,
            note=note,
            inputs=tuple(self.inputs.items()),
            alternatives=alternatives,
            memory=self.slice,
        )

    def crossing(self) -> Alternative:
        """What crossing now is expected to cost, whether it is chosen or not."""
        return Alternative("cross", self.cost_bps, self.impact_se_bps, self.caveat) if self.crossable else _BEYOND_LIMIT

    def keep(
        self,
        revisit: Revisit,
        why: str,
        resting: tuple[Alternative, ...] = (KEPT,),
        *,
        until_ns: int | None = None,
    ) -> Decision:
        """Leave every order where it is, and rest beside them what has become due since.

        until_ns    a new expiry for all of them; theirs unless told.
        A part below the minimum quantity waits: it is placed with what comes next, at the latest when time is up.
        """
        view = self.view
        placements = list(kept_rests(self.own, view.open_lots, until_ns))
        left = view.open_lots - sum([one.qty_lots for one in placements])
        last = self.own[-1]
        if left >= view.instrument.min_qty_lots:
            through = view.side * (last.price_ticks - self.touch) >= 0
            price = self.near if through else last.price_ticks
            placements.append(Rest(last.venue, left, price, last.expire_ns, TimeoutBound.NONE))
        return self.answer(Why.KEEP, f"Keep resting. {why}", tuple(placements), revisit, (self.crossing(), *resting))

    def post_at_limit(self) -> Decision:
        """A new order at the maker price as far as the limit lets it, for all the time there is."""
        price = nearer_ticks(self.view.side, self.maker_price(), self.view.limit_ticks)
        why = "The limit forbids to cross."
        return self.post(Why.REST_AT_LIMIT, price, self.left_s, self.time_bound(), (_AT_LIMIT,), why=why)

    def post(
        self,
        reason: Why,
        price: int,
        timeout_s: float,
        bound: TimeoutBound,
        resting: tuple[Alternative, ...],
        *,
        why: str,
    ) -> Decision:
        """One new order for all that is open; what rests elsewhere goes. `resting`: the ways that were weighed."""
        view = self.view
        lots = view.open_lots
        instrument = view.instrument
        self.inputs["timeout_s"] = timeout_s
        expire_ns = min(view.now_ns + int(timeout_s * NS), self.latest_ns)
        return self.answer(
            reason,
            f"Rest {instrument.quantity(lots)!s} at {instrument.price(price)!s} for {timeout_s:.1f} s. {why}",
            (Rest(view.market.venue, lots, price, expire_ns, bound),),
            self.watch(max(1, self.tolerated - view.side * (self.near - price))),
            (self.crossing(), *resting),
        )

    def cross(self, reason: Why, resting: tuple[Alternative, ...] = (NOT_ESTIMATED,)) -> Decision:
        """Take all that is open, with the collar; the limit allows it."""
        view = self.view
        lots = view.open_lots
        collar = collar_ticks(view.side, touch_ticks=self.touch, collar_bps=self.params["placement.collar_bps"])
        cost = f"{self.cost_bps:.2f} bps expected{self.caveat}"
        return self.answer(
            reason,
            f"Cross {view.instrument.quantity(lots)!s} at {cost}. {_BECAUSE[reason]}",
            (Take(view.market.venue, lots, nearer_ticks(view.side, collar, view.limit_ticks)),),
            _ON_FILLS,
            (self.crossing(), *resting),
        )

    def hold(self) -> Decision:
        """Nothing, until the touch has come back to the limit."""
        limit = self.view.limit_ticks
        assert limit is not None
        away = self.view.side * (self.touch - limit)
        self.inputs["limit_away_ticks"] = float(away)
        note = f"The touch is {away} ticks beyond the limit and nothing may rest: wait until it comes back."
        return self.answer(Why.LIMIT_AWAY, note, (), Revisit(best_moved_ticks=away), (_BEYOND_LIMIT, NOT_ESTIMATED))


_BECAUSE = {
    Why.MAY_NOT_REST: "The caller does not let it rest.",
    Why.URGENT: "Urgency is 1.",
    Why.EXCURSION: "The excursion budget leaves no time to rest.",
    Why.TIMED_OUT: "Resting has timed out.",
    Why.REMAINDER: "Another fill could leave less than the venue's minimum.",
    Why.REFUSED: "The venue has refused to let it rest too often.",
    Why.BEHIND: "It is too far behind its schedule.",
    Why.WIDE: "The spread is too wide to be calm.",
    Why.VOLATILE: "The market is too volatile to be calm.",
    Why.LEANING: "The book leans away from us.",
    Why.THIN: "Too little stands near the touch to be calm.",
    Why.SLOW: "Too little trades against our side of the book.",
    Why.TOO_LATE: "The time left is too short to rest.",
    Why.NOT_WORTH_IT: "Resting is expected to cost more.",
    Why.RAN_AWAY: "The touch has run away too often.",
    Why.TOLD: "It was told to.",
}


def _first(bounded: tuple[float, TimeoutBound]) -> float:
    """The time of a bound; of equal ones `min` takes the one named first."""
    return bounded[0]


def _excursion(view: View, params: Params, memory: Memory) -> tuple[float, float]:
    """The adverse move that counts and the budget for it, bps: the parent's, else the set's, else none."""
    if view.mae_budget_bps is not None:
        return view.adverse_bps, view.mae_budget_bps
    if EXCURSION in params:
        return view.adverse_bps - memory.get("adverse_bps", view.adverse_bps), params[EXCURSION]
    return view.adverse_bps, inf


def _slice_memory(view: View, params: Params) -> Memory:
    """What there had been when this slice began: each slice has its own patience."""
    memory = view.memory
    due = float(view.due_ns)
    if memory.get("due_ns") == due:
        return memory
    return {
        "due_ns": due,
        "since_ns": float(view.now_ns),
        "timeouts": float(view.timeouts),
        "requotes": float(view.requotes),
        "refusals": float(view.refusals),
        "filled": float(view.filled_lots),
        **({"adverse_bps": view.adverse_bps} if EXCURSION in params else {}),
    }
