"""`cost_aware`: rest where and for as long as that is expected to cost less than crossing now.

Order of questions, each a reason of its own in the record:

    1  May it rest?       The caller allows it, urgency is below 1, the excursion budget is not used up, and the ladder
                          (`policies.ladder`) has not come to its end.
    2  Is the market calm?  Spread, volatility and the lean of the touch within the `placement.calm_*` limits: outside
                          of them no estimate has support.
    3  Is there time?     The least of three bounds (methods 6.2): the excursion budget, the time left after a cancel
                          and a crossing, and `placement.timeout_s_max`; below two round trips it does not post at all.
    4  Is it worth it?    Rule (2) of methods section 0 for each price that the ladder allows: joining the touch, and
                          the maker price of S1 a tick inside where there is room. Own book walk and fees are in; the
                          resting time that is worth most is the timeout. The best of them is compared with crossing.

What is expected of a wait comes from `policies.outlook`: fitted models where the param-set has them for this venue,
symbol and regime, else estimates from measured flow, depth and volatility that nobody has fitted. Our own size counts
in both: crossing costs what the square-root law says where that is more than the book walk, a fill takes the flow of
what is ahead and of our own, and (fitted) the mid leaves an order that is shown.

An order that rests keeps its place until spread or volatility leave the calm limits by `placement.calm_exit_ratio`, or
it is to be moved. Unfitted, that is when the touch has run `placement.chase_bps_min` away and the order is
`placement.dwell_ms` old: then 2 to 4 are asked again for the new touch; its expiry stays. Fitted, it is weighed anew
each `chase.review_ms` with the queue that is ahead of it now: staying, moving and crossing, whichever is expected to
cost least. An order that is not filled in time may rest once more while time is left, and what is weighed knows that;
one that stays gets the time that staying is worth now: the horizon of the fit bounds a look, not the parent. How the
touch leans is one of the covariates, so fitted it is no question by itself.

A move has a price of its own, `chase.cost_bps`, beside the place it gives up; there are at most
`placement.requotes_max` a slice, no more than the saving of a fill pays for (methods 6.4), and none sooner after the
one before than two round trips, the dwell and `chase.per_s_max` allow. A timeout ends it, and the ladder says what is
next.

Urgency u prices the risk of waiting: `placement.risk_weight` * u / (1 - u) standard deviations of the mid over the
wait. 0 is risk-neutral, 1 always crosses.
Until flow and volatility rest on `placement.window_s_min` of data there is no estimate: in a calm spread it rests for
`placement.unmeasured_timeout_s` and names no cost.

Collar and crossing cost are those of `cross`. Own orders that stand at the touch are not chased by themselves.
"""

from __future__ import annotations

import msgspec

from policies import ladder
from policies.case import NEEDS, Case, Why
from policies.ladder import Rung, rung_of
from policies.outlook import (
    FLOW_NEEDS,
    NEVER_AGAIN,
    Again,
    Outlook,
    Wait,
    best_wait,
    fitted_outlook,
    flow_outlook,
    forecast_of,
    waits,
)
from policies.resting import RestingPolicy
from sor.models.chase import cadence_s, chases_max
from sor.models.forecast import Forecast
from sor.policy import Alternative, Decision
from sor.reasons import TimeoutBound
from sor.snapshot import Resting
from sor.units import BPS, MS, NS

_STAY = "stay"
_NOT_MEASURED = Alternative("rest", None, None, "flow and volatility are not measured yet")


class CostAware(RestingPolicy):
    """Placement policy: a post-only order while that is expected to pay, else a taking one."""

    name = "cost_aware"
    needs = tuple(
        sorted(
            {
                *NEEDS,
                *FLOW_NEEDS,
                *ladder.NEEDS,
                "chase.cost_bps",
                "chase.per_s_max",
                "chase.review_ms",
                "impact.coefficient",
                "impact.coefficient_high",
                "impact.coefficient_low",
                "impact.exponent",
                "impact.resting_coefficient",
                "placement.calm_imbalance_max",
                "placement.calm_volatility_max",
                "placement.risk_weight",
                "placement.timeout_s_max",
                "placement.unmeasured_timeout_s",
                "placement.wait_ratio_max",
            }
        )
    )

    def work(self, case: Case) -> Decision:
        """Rest, keep, chase or cross."""
        rung, ended = rung_of(case)
        if rung is Rung.CROSS:
            assert ended is not None
            return case.cross(ended)
        if case.measured:
            case.foresee_impact()
        forecast = forecast_of(case.params) if case.measured else None
        return _stay(case, rung, forecast) if case.own else _rest(case, rung, forecast)


class _Way(msgspec.Struct, frozen=True, gc=False):
    """One price to rest at, and the resting time that is worth most there."""

    name: str
    price: int
    ahead_lots: float
    outlook: Outlook
    wait: Wait

    def alternative(self, cross_bps: float) -> Alternative:
        """As the record has it."""
        wait = self.wait
        return Alternative(self.name, cross_bps - wait.saving_bps, wait.se_bps, self.outlook.note)


# --- an order that rests ----------------------------------------------------------------------------------------------


def _stay(case: Case, rung: Rung, forecast: Forecast | None) -> Decision:
    """Keep what rests, chase the touch, or cross."""
    uneasy = case.uneasy(case.params["placement.calm_exit_ratio"])
    if uneasy is not None:
        return case.cross(uneasy)
    if forecast is not None:
        return _review(case, rung, forecast)
    kept = case.kept() if rung is Rung.REST else case.kept(_least_price(case, rung), 1)
    if kept is not None:
        return kept
    if _chased_out(case):
        return case.cross(Why.RAN_AWAY)
    return _rest(case, rung, None, Why.CHASE)


def _review(case: Case, rung: Rung, forecast: Forecast) -> Decision:
    """Weigh an order that rests anew: to stay, to move or to cross."""
    params, now_ns = case.params, case.view.now_ns
    order = max(case.own, key=_leaves)
    if order.expire_ns <= now_ns:
        return case.keep(case.watch(None), "Its time is over: it is being withdrawn.")
    longest_s, bound = _longest(case, forecast)
    if longest_s <= 0.0:
        return case.cross(Why.EXCURSION if bound is TimeoutBound.EXCURSION else Why.TOO_LATE)
    stays = rung is Rung.REST or case.view.side * (_least_price(case, rung) - order.price_ticks) <= 0
    movable_ns = max([one.since_ns for one in case.own]) + round(_cadence_s(case) * NS)
    anew: list[_Way] = []
    again = NEVER_AGAIN
    if longest_s >= case.floor_s and _calm(case) and not _chased_out(case):
        anew, again = _fitted_ways(case, rung, forecast, longest_s)
    ways = [_stay_way(case, order, forecast, longest_s, again)] if stays else []
    if now_ns >= movable_ns:
        ways += [one for one in anew if one.price != order.price_ticks]
    elif not stays and now_ns < movable_ns:
        return case.keep(case.watch(None, movable_ns), "It is too early to move it.")
    if not ways:
        return case.cross(Why.RAN_AWAY)
    repeg_bps = params["chase.cost_bps"]
    best = max(ways, key=lambda way: way.wait.worth_bps - (0.0 if way.name == _STAY else repeg_bps))
    least_bps = 0.0 if best.name == _STAY else repeg_bps
    case.inputs["worth_bps_min"] = least_bps
    if best.wait.worth_bps <= least_bps:
        _record(case, best)
        return case.cross(Why.NOT_WORTH_IT, _alternatives(case, ways))
    if best.name == _STAY:
        _record(case, best)
        until_ns = min(now_ns + int(best.wait.timeout_s * NS), case.latest_ns)
        why = _expectation(best.wait)
        return case.keep(case.watch(case.tolerated), why, _alternatives(case, ways), until_ns=until_ns)
    return _post(case, best, ways, Why.CHASE, longest_s, bound)


def _stay_way(case: Case, order: Resting, forecast: Forecast, longest_s: float, again: Again) -> _Way:
    """An order of ours where it is, with the queue that is ahead of it now."""
    ahead = float(case.ahead_of(order))
    outlook = fitted_outlook(case, forecast, order.price_ticks, ahead_lots=ahead, lots=order.leaves_lots)
    found = waits(outlook, _shortest_s(case, longest_s), longest_s)
    return _Way(_STAY, order.price_ticks, ahead, outlook, outlook.best_followed(found, again))


def _shortest_s(case: Case, longest_s: float) -> float:
    """The shortest wait that is judged: until somebody looks again, and what an answer then takes to get there.

    Any wait is worth something if it is short enough; what counts is whether it is until it can be reconsidered.
    """
    return min(case.params["chase.review_ms"] * MS / NS + case.floor_s, longest_s)


def _calm(case: Case) -> bool:
    """Whether a new order may be posted as far as the market goes."""
    return case.uneasy(1.0) is None


def _least_price(case: Case, rung: Rung) -> int:
    """The least bold price that a rung allows a new order."""
    return case.maker_price() if rung is Rung.IMPROVE else case.near


def _cadence_s(case: Case) -> float:
    """Shortest time between two moves of an order."""
    params = case.params
    return cadence_s(
        rtt_s=case.floor_s,
        requests_per_s=params["chase.per_s_max"],
        dwell_s=params["placement.dwell_ms"] * MS / NS,
    )


def _chased_out(case: Case) -> bool:
    """Whether the slice has had all its chases: those it is allowed, and those that the saving of a fill pays for."""
    params = case.params
    most = chases_max(
        advantage_bps=case.advantage_bps(case.near),
        tick_bps=2.0 * BPS / case.mid_hticks,
        repeg_bps=params["chase.cost_bps"],
    )
    return case.reaches("requotes", case.requotes(), min(params["placement.requotes_max"], float(most)))


# --- a new order ------------------------------------------------------------------------------------------------------


def _rest(case: Case, rung: Rung, forecast: Forecast | None, reason: Why = Why.REST) -> Decision:
    """Rest at the best of the prices if the market is calm, there is time, and the wait is worth it; else cross."""
    if case.late():
        return case.cross(Why.TOO_LATE)
    uneasy = case.uneasy(1.0)
    if uneasy is not None:
        return case.cross(uneasy)
    if forecast is None and case.leaning():
        return case.cross(Why.LEANING)
    if not case.measured:
        return _rest_unmeasured(case)
    longest_s, bound = _longest(case, forecast)
    if longest_s < case.floor_s:
        return case.cross(Why.EXCURSION if bound is TimeoutBound.EXCURSION else Why.TOO_LATE)
    if forecast is None:
        ways = _flow_ways(case, rung, longest_s)
        if not ways:
            return case.cross(Why.SLOW)
    else:
        ways, _ = _fitted_ways(case, rung, forecast, longest_s)
    best = max(ways, key=_worth)
    least_bps = case.params["chase.cost_bps"] if reason is Why.CHASE else 0.0
    case.inputs["worth_bps_min"] = least_bps
    if best.wait.worth_bps <= least_bps:
        _record(case, best)
        return case.cross(Why.NOT_WORTH_IT, _alternatives(case, ways))
    return _post(case, best, ways, reason, longest_s, bound)


def _longest(case: Case, forecast: Forecast | None) -> tuple[float, TimeoutBound]:
    """The longest that an order may rest, and what says so; no longer than the models were fitted for."""
    fixed_s = case.params["placement.timeout_s_max"]
    if forecast is not None:
        fixed_s = min(fixed_s, forecast.horizon_s)
        case.review_ns = round(case.params["chase.review_ms"] * MS)
    longest_s, bound = case.bounded_s(fixed_s)
    case.inputs["longest_s"] = longest_s
    return longest_s, bound


def _prices(case: Case, rung: Rung) -> tuple[tuple[str, int], ...]:
    """The prices to be weighed, by name; the bolder last."""
    inside = case.maker_price()
    if inside == case.near:
        return (("join", inside),)
    improve = ("improve", inside)
    return (improve,) if rung is Rung.IMPROVE else (("join", case.near), improve)


def _flow_ways(case: Case, rung: Rung, longest_s: float) -> list[_Way]:
    """By measured flow; none where hardly anything trades."""
    patience_s = case.left_s * case.params["placement.wait_ratio_max"]
    ways: list[_Way] = []
    for name, price in _prices(case, rung):
        outlook = flow_outlook(case, price)
        if outlook.fill_rate * patience_s >= 1.0:
            wait = best_wait(outlook, case.floor_s, longest_s)
            ways.append(_Way(name, price, float(case.ahead_lots(price)), outlook, wait))
        else:
            case.inputs["fill_rate"] = outlook.fill_rate
    return ways


def _fitted_ways(case: Case, rung: Rung, forecast: Forecast, longest_s: float) -> tuple[list[_Way], Again]:
    """By fitted models, and what they say of resting once more when time is up."""
    prices = _prices(case, rung)
    shortest_s = _shortest_s(case, longest_s)
    ahead = [float(case.ahead_lots(price)) for _, price in prices]
    outlooks = [
        fitted_outlook(case, forecast, price, ahead_lots=lots, lots=case.view.open_lots)
        for (_, price), lots in zip(prices, ahead, strict=True)
    ]
    judged = [waits(outlook, shortest_s, longest_s) for outlook in outlooks]
    again = Again(case.left_s, tuple([wait for found in judged for wait in found]))
    ways = [
        _Way(name, price, lots, outlook, outlook.best_followed(found, again))
        for (name, price), lots, outlook, found in zip(prices, ahead, outlooks, judged, strict=True)
    ]
    return ways, again


def _post(case: Case, best: _Way, ways: list[_Way], reason: Why, longest_s: float, bound: TimeoutBound) -> Decision:
    """The order that is worth most, with all that were weighed."""
    _record(case, best)
    wait = best.wait
    if wait.timeout_s < longest_s:
        bound = TimeoutBound.HAZARD
    return case.post(reason, best.price, wait.timeout_s, bound, _alternatives(case, ways), why=_expectation(wait))


def _rest_unmeasured(case: Case) -> Decision:
    """Rest for a fixed time, as there is nothing to estimate a better one from."""
    timeout_s, bound = case.bounded_s(case.params["placement.unmeasured_timeout_s"])
    if timeout_s < case.floor_s:
        return case.cross(Why.TOO_LATE)
    why = "Flow is not measured yet."
    return case.post(Why.REST_UNMEASURED, case.maker_price(), timeout_s, bound, (_NOT_MEASURED,), why=why)


# --- the record -------------------------------------------------------------------------------------------------------


def _record(case: Case, way: _Way) -> None:
    """The numbers of one way, as those that decided."""
    wait = way.wait
    case.inputs |= {
        "ahead_lots": way.ahead_lots,
        "fill_rate": way.outlook.fill_rate,
        "fill_probability": wait.fill_probability,
        "drift_bps": wait.drift_bps,
        "saving_bps": wait.saving_bps,
        "worth_bps": wait.worth_bps,
    }
    if wait.se_bps is not None:
        case.inputs |= {"again_bps": wait.again_bps, "fitted": 1.0}


def _alternatives(case: Case, ways: list[_Way]) -> tuple[Alternative, ...]:
    return tuple([way.alternative(case.cost_bps) for way in ways])


def _expectation(wait: Wait) -> str:
    return f"Expected to save {wait.saving_bps:.2f} bps, filled with probability {wait.fill_probability:.2f}."


def _worth(way: _Way) -> float:
    return way.wait.worth_bps


def _leaves(order: Resting) -> int:
    return order.leaves_lots
