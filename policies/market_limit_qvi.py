"""`market_limit_qvi`: rest at the touch in units, and cross a unit once waiting for it costs more.

Cartea and Jaimungal's problem with orders at the touch only (methods 6.1). The parent is worked in `qvi.units` units,
each an order of its own, so that one can be withdrawn and crossed while the others keep their place. Takers who come
fill each at the rate of their flow, times `placement.fill_rate_scale`, over the queue ahead and what is ours. Each unit
that is not done costs `carry` a second, and being behind the straight line through the slice `qvi.tracking_bps`.
Backwards from the end of the slice this gives for each unit the moment from which on it is better crossed: units whose
moment has come are crossed at once, the youngest orders first, and at the next moment it asks again.

    gain     half the spread less the maker fee. Crossing a unit costs half the spread, its own walk and the taker fee.
    carry    what a unit is expected to lose over its mean wait: (1 - p) D, with p its chance to be filled within the
             slice and D the drift of the unfilled at most (`placement.drift_scale`), and the price of risk,
             `placement.risk_weight` * u / (1 - u) standard deviations of the mid at urgency u. With it one unit does
             what rule (2) of methods section 0 says: it rests with a sure fill, and it crosses with none.

Units rest only while a fill is worth something; else nothing does, and it waits for the moment to cross.
The slice is worked for `qvi.horizon_s` from its first decision on, less where the time left or the excursion budget
bind; then what is left crosses. The course is solved anew with what is measured at each decision, at the latest after
`qvi.review_ms`: in a millisecond or two, and the same for the same view.

It leaves when the spread opens beyond `placement.calm_exit_ratio` times the calm one. When the touch has run
`placement.chase_bps_min` away and the orders are `placement.dwell_ms` old, they follow it, at most
`placement.requotes_max` times a slice. While the market has come through an order of ours nothing changes: it is about
to be filled. Until flow and volatility are measured all units rest.
"""

from __future__ import annotations

from enum import StrEnum
from math import expm1, sqrt

import msgspec

from policies.case import NEEDS, Case, Why, kept_rests
from policies.cross import walk_ticks
from policies.parts import least_lots
from policies.resting import RestingPolicy
from sor.models.drift import gaussian_loss
from sor.models.impact import fill_rate
from sor.models.qvi import Course, Task, solve_touch
from sor.policy import Alternative, Decision, Rest, Take
from sor.pricing import collar_ticks, nearer_ticks
from sor.reasons import TimeoutBound
from sor.snapshot import Resting
from sor.units import BPS, MS, NS

_STEPS = 64
"""Of the course's grid: its moments are within a hundredth of the slice, which is less than the flow is known to."""
_ROUNDING_BPS = 1e-9
_NOT_MEASURED = Alternative("rest", None, None, "flow and volatility are not measured yet")
_NOTE = "course of the slice; estimate, not calibrated"


class QviWhy(StrEnum):
    """Why `market_limit_qvi` answered as it did, beside the reasons of `policies.case.Why`."""

    REST = "rest_units"
    CROSS = "cross_units"
    CROSS_AND_REST = "cross_and_rest"
    WAIT = "wait"


class MarketLimitQvi(RestingPolicy):
    """Placement policy: the units of an order rest at the touch, and cross one by one as their moments come."""

    name = "market_limit_qvi"
    needs = tuple(
        sorted(
            {
                *NEEDS,
                "placement.drift_scale",
                "placement.fill_rate_scale",
                "placement.refusals_max",
                "placement.risk_weight",
                "placement.timeout_s_max",
                "placement.timeouts_max",
                "qvi.horizon_s",
                "qvi.review_ms",
                "qvi.tracking_bps",
                "qvi.units",
            }
        )
    )

    def work(self, case: Case) -> Decision:
        """Rest units, cross units, or both."""
        tired = case.worn_out()
        if tired is not None:
            return case.cross(tired)
        if case.too_wide(case.params["placement.calm_exit_ratio"] if case.own else 1.0):
            return case.cross(Why.WIDE)
        return _work(case)


class _Units(msgspec.Struct, frozen=True, gc=False):
    """The slice in units. `left`: units of `lots` still to do, the last of which may be smaller or a little larger."""

    lots: int
    left: int
    whole: float


class _Plan(msgspec.Struct, frozen=True, gc=False):
    """What the course says now.

    cross       units to cross at once. rest: whether the others rest.
    next_s      until the moment at which the next one crosses; the end of the slice at the latest.
    saving_bps  what the course is expected to save per unit against crossing all of it now, the price of being
                behind included.
    """

    cross: int
    rest: bool
    next_s: float
    saving_bps: float


def _work(case: Case) -> Decision:
    """Solve the course for what is left of the slice, and do what it says now."""
    case.review_ns = round(case.params["qvi.review_ms"] * MS)
    left_s, bound = _left_s(case)
    if left_s < case.floor_s:
        return case.cross(Why.EXCURSION if bound is TimeoutBound.EXCURSION else Why.TOO_LATE)
    units = _units_of(case)
    kept: tuple[Rest, ...] = ()
    if case.own:
        stays = case.kept()
        if stays is None and case.chased_out():
            return case.cross(Why.RAN_AWAY)
        if stays is not None:
            side = case.view.side
            if any(side * (order.price_ticks - case.touch) >= 0 for order in case.own):
                return stays  # the market has come through: it is about to be filled
            kept = kept_rests(sorted(case.own, key=_since), case.view.open_lots)
    if not case.measured:
        wait_s = case.params["placement.window_s_min"] - case.features.window_s
        plan = _Plan(cross=0, rest=True, next_s=min(left_s, wait_s), saving_bps=0.0)
        return _answer(case, units, plan, kept, left_s, bound, _NOT_MEASURED)
    found = _plan(case, units, kept, left_s)
    if found is None:
        return case.cross(Why.SLOW)
    way = Alternative("rest", case.cost_bps - found.saving_bps, None, _NOTE)
    if found.cross >= units.left:
        return case.cross(Why.NOT_WORTH_IT, (way,))
    return _answer(case, units, found, kept, left_s, bound, way)


def _left_s(case: Case) -> tuple[float, TimeoutBound]:
    """Seconds until the slice's course ends, counted from its first decision, and what bounds it."""
    gone_s = (case.view.now_ns - case.slice["since_ns"]) / NS
    left_s, bound = case.bounded_s(case.params["qvi.horizon_s"] - gone_s)
    case.inputs["left_s"] = left_s
    return left_s, bound


def _units_of(case: Case) -> _Units:
    view = case.view
    least = least_lots(case)
    lots = max(1, least, view.parent_lots // max(1, int(case.params["qvi.units"])))
    left = max(1, view.open_lots // lots + (view.open_lots % lots >= least))
    done = view.filled_lots - case.slice["filled"]
    return _Units(lots, left, left + done / lots)


def _plan(case: Case, units: _Units, kept: tuple[Rest, ...], left_s: float) -> _Plan | None:
    """What to do now; None where nobody would fill us."""
    view, params, features = case.view, case.params, case.features
    flow = case.flow_against() * params["placement.fill_rate_scale"]
    kept_lots = sum([order.qty_lots for order in kept])
    ahead = max(0, case.ahead_lots(case.near) - kept_lots)  # what the book shows there is ours too
    ours = units.left * units.lots
    rate = fill_rate(flow_lots_per_s=flow, ahead_lots=ahead, own_lots=ours)
    if rate <= 0.0:
        case.inputs["fill_rate"] = 0.0
        return None
    whole_s = left_s + max(0.0, (view.now_ns - case.slice["since_ns"]) / NS)
    chance = -expm1(-rate * whole_s)
    wait_s = chance / rate
    drift = params["placement.drift_scale"] * sqrt(whole_s) * gaussian_loss(chance)
    risk = case.risk_weight() * sqrt(wait_s)
    carry = features.volatility * (drift + risk) / wait_s
    half = 0.5 * features.spread_bps
    gain = half - view.costs.maker_fee_bps
    average, _ = walk_ticks(view, units.lots)
    walk = 2.0 * BPS * view.side * (average - case.touch) / case.mid_hticks
    cross_cost = half + walk + view.costs.taker_fee_bps
    case.inputs |= {
        "ahead_lots": float(ahead),
        "fill_rate": rate,
        "fill_probability": chance,
        "advantage_bps": gain + cross_cost,
        "carry_bps_per_s": carry,
        "units_left": float(units.left),
    }
    task = Task(
        units=units.left,
        horizon_s=left_s,
        arrivals_per_s=flow / units.lots,
        cross_cost=cross_cost,
        carry=carry,
        tracking=params["qvi.tracking_bps"] / (units.whole * whole_s),
        target_start=units.left - units.whole * left_s / whole_s,
        free_ahead=True,
    )
    # Each unit that rests is filled at `rate`, and there are the fewer of them the more are done.
    shares = [rate / task.arrivals_per_s * (units.left - done) for done in range(units.left)]
    return _read(solve_touch(task, gain=gain, fill_share=shares, steps=_STEPS), task, gain)


def _read(course: Course, task: Task, gain: float) -> _Plan:
    """The first line of a course; a moment within half a step of the grid is now, so that none is missed for ever."""
    cross = 0
    while cross < task.units and float(course.cross_s[cross]) <= 0.5 * course.step_s:
        cross += 1
    values = course.values[0].tolist()
    saving = float(values[0]) / task.units + task.cross_cost
    if cross == task.units:
        return _Plan(cross, rest=False, next_s=0.0, saving_bps=saving)
    # A fill that is sure to come is worth as much later: within rounding it rests.
    rests = gain + float(values[cross + 1]) - float(values[cross]) > -_ROUNDING_BPS
    return _Plan(cross, rest=rests, next_s=min(task.horizon_s, float(course.cross_s[cross])), saving_bps=saving)


def _since(order: Resting) -> int:
    return order.since_ns


def _answer(
    case: Case,
    units: _Units,
    plan: _Plan,
    kept: tuple[Rest, ...],
    left_s: float,
    bound: TimeoutBound,
    way: Alternative,
) -> Decision:
    """Cross the units whose moment has come, and let the others rest, or stay where they are.

    The youngest orders make way for what is to cross; the machine withdraws them first, and asks again.
    """
    view = case.view
    instrument, venue = view.instrument, view.market.venue
    take_lots = plan.cross * units.lots
    rest_lots = view.open_lots - take_lots if plan.rest else 0
    expire_ns = min(view.now_ns + int(left_s * NS), case.latest_ns)
    placements = _rests(case, units, kept, rest_lots, expire_ns, bound)
    said: list[str] = []
    if rest_lots:
        said.append(f"rest {instrument.quantity(rest_lots)!s}")
    if take_lots:
        collar = collar_ticks(view.side, touch_ticks=case.touch, collar_bps=case.params["placement.collar_bps"])
        placements.append(Take(venue, take_lots, nearer_ticks(view.side, collar, view.limit_ticks)))
        said.append(f"cross {instrument.quantity(take_lots)!s}")
    reason = QviWhy.WAIT
    if placements:
        reason = QviWhy.REST if not take_lots else QviWhy.CROSS_AND_REST if rest_lots else QviWhy.CROSS
    case.inputs |= {"cross_units": float(plan.cross), "next_s": plan.next_s}
    note = " and ".join(said) or "wait"
    next_ns = view.now_ns + max(MS, int(plan.next_s * NS))
    away = max([0, *[view.side * (case.near - order.price_ticks) for order in kept]])
    return Decision(
        placements=tuple(placements),
        revisit=case.watch(max(1, case.tolerated - away), next_ns),
        reason=reason,
        note=f"{note[0].upper()}{note[1:]}; the next unit crosses in {plan.next_s:.1f} s if nothing changes.",
        inputs=tuple(case.inputs.items()),
        alternatives=(case.crossing(), way),
        memory=case.slice,
    )


def _rests(
    case: Case, units: _Units, kept: tuple[Rest, ...], rest_lots: int, expire_ns: int, bound: TimeoutBound
) -> list[Rest | Take]:
    """Orders that rest: of those there are, the oldest that fit, then new ones of a unit each at the touch."""
    found: list[Rest | Take] = []
    left = rest_lots
    for order in kept:
        if order.qty_lots <= left:
            found.append(order)
            left -= order.qty_lots
    least = least_lots(case)
    while left >= least:
        lots = units.lots if left - units.lots >= least else left
        found.append(Rest(case.view.market.venue, lots, case.near, expire_ns, bound))
        left -= lots
    return found
