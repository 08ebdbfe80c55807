"""`maker_first`: rest post-only while the market is calm and the wait is worth it, else cross.

Order of questions, each a reason of its own in the record:

    1  May it rest?       The caller allows it, urgency is below 1, the excursion budget is not used up, and the slice
                          has not had its `placement.timeouts_max` timeouts yet.
    2  Is the market calm?  Spread, volatility and the lean of the touch within the `placement.calm_*` limits.
    3  Is there time?     The least of three bounds (methods 6.2): the excursion budget, the time left after a cancel
                          and a crossing, and `placement.timeout_s_max`; below two round trips it does not post at all.
    4  Is it worth it?    Rule (2) of methods section 0 with estimates from measured flow, depth and volatility
                          (`policies.timeouts`), own book walk and fees included. The resting time that is worth most is
                          the timeout.

An order that rests keeps its place (same price, same expiry) until spread or volatility leave the calm limits by
`placement.calm_exit_ratio`, or the touch has run `placement.chase_bps_min` away and the order is `placement.dwell_ms`
old. Then 2 to 4 are asked again for the new touch: chase, at most `placement.requotes_max` times a slice, or cross.
A timeout ends it, and 1 sends what is left across.

Urgency u prices the risk of waiting: `placement.risk_weight` * u / (1 - u) standard deviations of the mid over the
wait. 0 is risk-neutral, 1 always crosses.
Until flow and volatility rest on `placement.window_s_min` of data there is no estimate: in a calm spread it rests for
`placement.unmeasured_timeout_s` and names no cost. Where the limit forbids to cross, resting is all there is, and it
rests at the limit or better as long as time allows, whatever 1 to 4 would say.

Collar and crossing cost are those of `cross`. Own orders that stand at the touch are not chased by themselves.
`inputs` of a decision are the numbers that were asked for, in the order of the questions, each with its limit.
"""

from __future__ import annotations

from enum import StrEnum
from math import ceil, inf

from policies.cross import cross_bps, walk_ticks
from policies.timeouts import Wait, best_wait, excursion_s
from sor.features import Features
from sor.market import Trust
from sor.params import Params
from sor.policy import Alternative, Decision, Memory, Rest, Take
from sor.pricing import collar_ticks, maker_ticks, nearer_ticks
from sor.reasons import TimeoutBound
from sor.revisit import Revisit, Trigger
from sor.snapshot import View
from sor.units import BPS, MS, NS


class MakerFirstReason(StrEnum):
    """Why `maker_first` answered as it did: what it does, or why it does not rest."""

    REST = "rest"
    REST_UNMEASURED = "rest_unmeasured"
    REST_AT_LIMIT = "rest_at_limit"
    KEEP = "keep"
    CHASE = "chase"
    MAY_NOT_REST = "may_not_rest"
    URGENT = "urgent"
    EXCURSION = "excursion"
    TIMED_OUT = "timed_out"
    WIDE = "wide"
    VOLATILE = "volatile"
    LEANING = "leaning"
    SLOW = "slow"
    TOO_LATE = "too_late"
    NOT_WORTH_IT = "not_worth_it"
    RAN_AWAY = "ran_away"
    LIMIT_AWAY = "limit_away"
    UNTRUSTED = "untrusted"
    NOTHING_DUE = "nothing_due"


_Why = MakerFirstReason
_SOUND = Trust.OK
_ON_FILLS = Revisit(on_untrusted=False)
_WHEN_SOUND = Revisit()
_KEPT = Alternative("rest", None, None, "keeps its place; not costed anew")
_NOT_ESTIMATED = Alternative("rest", None, None, "not estimated: ruled out before")
_NOT_MEASURED = Alternative("rest", None, None, "flow and volatility are not measured yet")
_AT_LIMIT = Alternative("rest", None, None, "not estimated: the limit leaves nothing else")
_BEYOND_LIMIT = Alternative("cross", None, None, "the limit forbids it")


class MakerFirst:
    """Placement policy: a post-only order while that is expected to pay, else a taking one."""

    name = "maker_first"
    needs = (
        "deadline.margin_ms",
        "placement.calm_exit_ratio",
        "placement.calm_imbalance_max",
        "placement.calm_spread_max",
        "placement.calm_volatility_max",
        "placement.chase_bps_min",
        "placement.collar_bps",
        "placement.drift_scale",
        "placement.dwell_ms",
        "placement.excursion_tolerance",
        "placement.fill_rate_scale",
        "placement.requotes_max",
        "placement.risk_weight",
        "placement.timeout_s_max",
        "placement.timeouts_max",
        "placement.unmeasured_timeout_s",
        "placement.wait_ratio_max",
        "placement.window_s_min",
    )

    def decide(self, view: View, params: Params) -> Decision:
        """Rest, keep, chase or cross what is due; hold while the book is not sound or the limit forbids the rest."""
        market = view.market
        features = market.features
        if features is None or market.trust is not _SOUND or not market.bids or not market.asks:
            return Decision(
                placements=(),
                revisit=_WHEN_SOUND,
                reason=_Why.UNTRUSTED,
                note=f"The book is {_state(market.trust)}: wait until it is sound.",
                memory=view.memory,
            )
        if view.open_lots <= 0:
            return Decision(
                placements=(), revisit=_ON_FILLS, reason=_Why.NOTHING_DUE, note="Nothing is due.", memory=view.memory
            )
        case = _Case(view, params, features)
        if not case.crossable:
            return case.stay_within_limit()
        forbidden = case.forbidden()
        if forbidden is not None:
            return case.cross(forbidden)
        return case.stay() if case.own else case.rest(_Why.REST)


class _Case:
    """One decision in the making: the view in the side's own terms. Lives for one call of `decide`.

    near, touch    best price on our own side, clipped to the limit, and on the side that we would take from.
    crossable      the limit allows to take at the touch.
    latest_ns      until when an order may rest so that a cancel and a crossing still fit before the slice is due, or
                   before the machine's margin at the deadline; left_s seconds from now.
    floor_s        two round trips: an order that is to rest for less is not posted.
    scheduled      the schedule ends before the parent does.
    cost_bps       expected cost of crossing now, `average` the price of that book walk, ticks, and its `caveat`.
    measured       flow and volatility rest on enough data.
    budget_bps     what is left of the excursion budget, infinite without one.
    tolerated      ticks that the touch may be away from an order of ours, >= 1.
    own            our resting orders that may stay where they are as far as venue and limit are concerned.
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
        "inputs",
        "latest_ns",
        "left_s",
        "measured",
        "memory",
        "mid_hticks",
        "near",
        "own",
        "params",
        "scheduled",
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
        self.budget_bps = inf if view.mae_budget_bps is None else view.mae_budget_bps - view.adverse_bps
        self.tolerated = max(1, ceil(params["placement.chase_bps_min"] * self.mid_hticks / (2.0 * BPS)))
        self.memory = _slice_memory(view)
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

    def forbidden(self) -> MakerFirstReason | None:
        """Why nothing may rest whatever the market does, or None."""
        view = self.view
        if not view.may_rest:
            return _Why.MAY_NOT_REST
        if view.urgency >= 1.0:
            return _Why.URGENT
        if view.mae_budget_bps is not None and self.exceeds("adverse_bps", view.adverse_bps, view.mae_budget_bps):
            return _Why.EXCURSION
        timeouts = view.timeouts - self.memory["timeouts"]
        if self.reaches("timeouts", timeouts, self.params["placement.timeouts_max"]):
            return _Why.TIMED_OUT
        return None

    def uneasy(self, slack: float) -> MakerFirstReason | None:
        """Which calm limit spread or volatility exceeds by the factor `slack`, or None."""
        params, features = self.params, self.features
        if self.exceeds("spread_bps", features.spread_bps, params["placement.calm_spread_max"] * slack):
            return _Why.WIDE
        volatility_max = params["placement.calm_volatility_max"] * slack
        if self.measured and self.exceeds("volatility", features.volatility, volatility_max):
            return _Why.VOLATILE
        return None

    def leaning(self) -> bool:
        """Whether nearly all that stands at the touch stands on our own side."""
        imbalance = self.features.imbalance
        share = imbalance if self.view.side > 0 else 1.0 - imbalance
        return self.exceeds("own_touch_share", share, self.params["placement.calm_imbalance_max"])

    def late(self) -> bool:
        """Whether less than two round trips are left."""
        self.inputs |= {"left_s": self.left_s, "left_s_min": self.floor_s}
        return self.left_s < self.floor_s

    # --- an order that rests ------------------------------------------------------------------------------------------

    def stay(self) -> Decision:
        """Keep what rests, chase the touch, or cross."""
        uneasy = self.uneasy(self.params["placement.calm_exit_ratio"])
        if uneasy is not None:
            return self.cross(uneasy)
        kept = self.kept()
        if kept is not None:
            return kept
        requotes = self.view.requotes - self.memory["requotes"]
        if self.reaches("requotes", requotes, self.params["placement.requotes_max"]):
            return self.cross(_Why.RAN_AWAY)
        return self.rest(_Why.CHASE)

    def stay_within_limit(self) -> Decision:
        """What can be done while the limit forbids to cross: rest at it, or nearer where the market is; else hold."""
        if not self.view.may_rest:
            return self.hold()
        kept = self.kept() if self.own else None
        if kept is not None:
            return kept
        return self.hold() if self.late() else self.post_at_limit()

    def kept(self) -> Decision | None:
        """Every order where it is, unless the touch has run away from one, and that is old enough to be moved."""
        view = self.view
        away = max([view.side * (self.near - order.price_ticks) for order in self.own])
        if not self.reaches("away_ticks", float(away), float(self.tolerated)):
            return self.keep(self.watch(self.tolerated - away), "The touch is near enough.")
        dwell_ns = round(self.params["placement.dwell_ms"] * MS)
        old_enough_ns = max([order.since_ns for order in self.own]) + dwell_ns
        if view.now_ns < old_enough_ns:
            return self.keep(self.watch(None, old_enough_ns), "The touch is away, but may come back.")
        if not self.crossable and self.left_s < self.floor_s:
            return self.keep(self.watch(None), "No time is left for a new order.")
        return None

    def watch(self, away_ticks: int | None, at_ns: int | None = None) -> Revisit:
        """When an order that rests is to be looked at: the touch ran, the budget may be used up, the spread opened."""
        if self.crossable and 0.0 <= self.budget_bps < inf:
            budget_ticks = int(self.budget_bps * self.mid_hticks / (2.0 * BPS)) + 1
            away_ticks = budget_ticks if away_ticks is None or budget_ticks < away_ticks else away_ticks
        params = self.params
        level = params["placement.calm_spread_max"] * params["placement.calm_exit_ratio"]
        return Revisit(at_ns, away_ticks, (Trigger("spread_bps", True, level),))

    # --- a new order --------------------------------------------------------------------------------------------------

    def rest(self, reason: MakerFirstReason) -> Decision:
        """Rest at the maker price if the market is calm, there is time, and the wait is worth it; else cross."""
        view, params, features = self.view, self.params, self.features
        if self.late():
            return self.cross(_Why.TOO_LATE)
        uneasy = self.uneasy(1.0)
        if uneasy is not None:
            return self.cross(uneasy)
        if self.leaning():
            return self.cross(_Why.LEANING)
        price = maker_ticks(view.side, bid_ticks=self.bid, ask_ticks=self.ask)
        if not self.measured:
            return self.rest_unmeasured(price)
        buying = view.side > 0
        near_lots = features.bid_touch_lots if buying else features.ask_touch_lots
        flow = (features.sell_flow if buying else features.buy_flow) * params["placement.fill_rate_scale"]
        ahead = near_lots if price == self.near else 0
        fill_rate = flow / (ahead + view.open_lots)
        self.inputs |= {"ahead_lots": float(ahead), "fill_rate": fill_rate}
        if fill_rate * self.left_s * params["placement.wait_ratio_max"] < 1.0:
            return self.cross(_Why.SLOW)
        return self.weigh(reason, price, fill_rate)

    def rest_unmeasured(self, price: int) -> Decision:
        """Rest for a fixed time, as there is nothing to estimate a better one from."""
        fixed_s = self.params["placement.unmeasured_timeout_s"]
        if fixed_s < self.floor_s:
            return self.cross(_Why.TOO_LATE)
        timeout_s, bound = min((fixed_s, TimeoutBound.FIXED), (self.left_s, self.time_bound()), key=_first)
        return self.post(_Why.REST_UNMEASURED, price, timeout_s, bound, _NOT_MEASURED, why="Flow is not measured yet.")

    def weigh(self, reason: MakerFirstReason, price: int, fill_rate: float) -> Decision:
        """Rule (2) for an order at `price`: rest for as long as it is worth most, or cross."""
        view, params = self.view, self.params
        volatility = self.features.volatility
        longest_s, bound = min(
            (self.left_s, self.time_bound()),
            (params["placement.timeout_s_max"], TimeoutBound.FIXED),
            (self.excursion_left_s(), TimeoutBound.EXCURSION),
            key=_first,
        )
        self.inputs["longest_s"] = longest_s
        if longest_s < self.floor_s:
            return self.cross(_Why.EXCURSION if bound is TimeoutBound.EXCURSION else _Why.TOO_LATE)
        wait = best_wait(
            shortest_s=self.floor_s,
            longest_s=longest_s,
            advantage_bps=self.advantage_bps(price),
            fill_rate=fill_rate,
            drift_root_s=params["placement.drift_scale"] * volatility,
            risk_root_s=params["placement.risk_weight"] * view.urgency / (1.0 - view.urgency) * volatility,
        )
        self.inputs |= {
            "fill_probability": wait.fill_probability,
            "drift_bps": wait.drift_bps,
            "saving_bps": wait.saving_bps,
            "worth_bps": wait.worth_bps,
        }
        resting = Alternative("rest", self.cost_bps - wait.saving_bps, None, "estimate, not calibrated")
        if wait.worth_bps <= 0.0:
            return self.cross(_Why.NOT_WORTH_IT, resting)
        if wait.timeout_s < longest_s:
            bound = TimeoutBound.HAZARD
        return self.post(reason, price, wait.timeout_s, bound, resting, why=_expectation(wait))

    def advantage_bps(self, price: int) -> float:
        """A of equation (1): what a fill at `price` saves against walking the book now, fees included."""
        view = self.view
        gap_bps = 2.0 * BPS * view.side * (self.average - price) / self.mid_hticks
        return gap_bps + view.costs.taker_fee_bps - view.costs.maker_fee_bps

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

    # --- the answers --------------------------------------------------------------------------------------------------

    def answer(
        self,
        reason: MakerFirstReason,
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
            memory=self.memory,
        )

    def crossing(self) -> Alternative:
        """What crossing now is expected to cost, whether it is chosen or not."""
        return Alternative("cross", self.cost_bps, None, self.caveat) if self.crossable else _BEYOND_LIMIT

    def keep(self, revisit: Revisit, why: str) -> Decision:
        """Leave every order where it is, and rest beside them what has become due since.

        A part below the minimum quantity waits: it is placed with what comes next, at the latest when time is up.
        """
        view = self.view
        placements: list[Rest] = []
        left = view.open_lots
        last = self.own[-1]
        for order in self.own:
            lots = min(left, order.leaves_lots)
            if lots > 0:
                placements.append(Rest(order.venue, lots, order.price_ticks, order.expire_ns, TimeoutBound.NONE))
                left -= lots
        if left >= view.instrument.min_qty_lots:
            through = view.side * (last.price_ticks - self.touch) >= 0
            price = self.near if through else last.price_ticks
            placements.append(Rest(last.venue, left, price, last.expire_ns, TimeoutBound.NONE))
        return self.answer(_Why.KEEP, f"Keep resting. {why}", tuple(placements), revisit, (self.crossing(), _KEPT))

    def post_at_limit(self) -> Decision:
        """A new order at the maker price as far as the limit lets it, for all the time there is."""
        view = self.view
        price = maker_ticks(view.side, bid_ticks=self.bid, ask_ticks=self.ask)
        price = nearer_ticks(view.side, price, view.limit_ticks)
        why = "The limit forbids to cross."
        return self.post(_Why.REST_AT_LIMIT, price, self.left_s, self.time_bound(), _AT_LIMIT, why=why)

    def post(
        self,
        reason: MakerFirstReason,
        price: int,
        timeout_s: float,
        bound: TimeoutBound,
        resting: Alternative,
        *,
        why: str,
    ) -> Decision:
        """One new order for all that is open; what rests elsewhere goes."""
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
            (self.crossing(), resting),
        )

    def cross(self, reason: MakerFirstReason, resting: Alternative = _NOT_ESTIMATED) -> Decision:
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
            (self.crossing(), resting),
        )

    def hold(self) -> Decision:
        """Nothing, until the touch has come back to the limit."""
        limit = self.view.limit_ticks
        assert limit is not None
        away = self.view.side * (self.touch - limit)
        self.inputs["limit_away_ticks"] = float(away)
        note = f"The touch is {away} ticks beyond the limit and nothing may rest: wait until it comes back."
        return self.answer(_Why.LIMIT_AWAY, note, (), Revisit(best_moved_ticks=away), (_BEYOND_LIMIT, _NOT_ESTIMATED))


_BECAUSE = {
    _Why.MAY_NOT_REST: "The caller does not let it rest.",
    _Why.URGENT: "Urgency is 1.",
    _Why.EXCURSION: "The excursion budget leaves no time to rest.",
    _Why.TIMED_OUT: "Resting has timed out.",
    _Why.WIDE: "The spread is too wide to be calm.",
    _Why.VOLATILE: "The market is too volatile to be calm.",
    _Why.LEANING: "The book leans away from us.",
    _Why.SLOW: "Too little trades against our side of the book.",
    _Why.TOO_LATE: "The time left is too short to rest.",
    _Why.NOT_WORTH_IT: "Resting is expected to cost more.",
    _Why.RAN_AWAY: "The touch has run away too often.",
}


def _state(trust: Trust) -> str:
    return "incomplete" if trust is _SOUND else trust.value


def _expectation(wait: Wait) -> str:
    return f"Expected to save {wait.saving_bps:.2f} bps, filled with probability {wait.fill_probability:.2f}."


def _first(bounded: tuple[float, TimeoutBound]) -> float:
    """The time of a bound; of equal ones `min` takes the one named first."""
    return bounded[0]


def _slice_memory(view: View) -> Memory:
    """Timeouts and requotes there had been when this slice began: each slice has its own patience."""
    memory = view.memory
    due = float(view.due_ns)
    if memory.get("due_ns") == due:
        return memory
    return {"due_ns": due, "timeouts": float(view.timeouts), "requotes": float(view.requotes)}
