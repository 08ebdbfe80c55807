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
symbol and regime, else estimates from measured flow, depth and volatility that nobody has fitted.

An order that rests keeps its place (same price, same expiry) until spread or volatility leave the calm limits by
`placement.calm_exit_ratio`, or the touch has run `placement.chase_bps_min` away and the order is `placement.dwell_ms`
old. Then 2 to 4 are asked again for the new touch: chase, at most `placement.requotes_max` times a slice and no longer
than a chase is cheaper than what a maker saves, or cross. A timeout ends it, and the ladder says what is next.

Urgency u prices the risk of waiting: `placement.risk_weight` * u / (1 - u) standard deviations of the mid over the
wait. 0 is risk-neutral, 1 always crosses.
Until flow and volatility rest on `placement.window_s_min` of data there is no estimate: in a calm spread it rests for
`placement.unmeasured_timeout_s` and names no cost.

Collar and crossing cost are those of `cross`. Own orders that stand at the touch are not chased by themselves.
"""

from __future__ import annotations

import msgspec

from policies import ladder
from policies.case import NEEDS, Case, Why, begin
from policies.ladder import Rung, rung_of
from policies.outlook import FLOW_NEEDS, Outlook, Wait, best_wait, flow_outlook
from sor.params import Params
from sor.policy import Alternative, Decision
from sor.reasons import TimeoutBound
from sor.snapshot import View

_NOT_MEASURED = Alternative("rest", None, None, "flow and volatility are not measured yet")


class CostAware:
    """Placement policy: a post-only order while that is expected to pay, else a taking one."""

    name = "cost_aware"
    needs = tuple(
        sorted(
            {
                *NEEDS,
                *FLOW_NEEDS,
                *ladder.NEEDS,
                "chase.cost_bps",
                "placement.calm_imbalance_max",
                "placement.calm_volatility_max",
                "placement.risk_weight",
                "placement.timeout_s_max",
                "placement.unmeasured_timeout_s",
                "placement.wait_ratio_max",
            }
        )
    )

    def decide(self, view: View, params: Params) -> Decision:
        """Rest, keep, chase or cross what is due; hold while the book is not sound or the limit forbids the rest."""
        case = begin(view, params)
        if isinstance(case, Decision):
            return case
        if not case.crossable:
            return case.stay_within_limit()
        forbidden = case.forbidden()
        if forbidden is not None:
            return case.cross(forbidden)
        rung, ended = rung_of(case)
        if rung is Rung.CROSS:
            assert ended is not None
            return case.cross(ended)
        return _stay(case, rung) if case.own else _rest(case, rung, Why.REST)


class _Way(msgspec.Struct, frozen=True, gc=False):
    """One price to rest at, and the resting time that is worth most there."""

    name: str
    price: int
    outlook: Outlook
    wait: Wait

    def alternative(self, cross_bps: float) -> Alternative:
        """As the record has it."""
        wait = self.wait
        return Alternative(self.name, cross_bps - wait.saving_bps, wait.se_bps, self.outlook.note)


def _stay(case: Case, rung: Rung) -> Decision:
    """Keep what rests, chase the touch, or cross."""
    params = case.params
    uneasy = case.uneasy(params["placement.calm_exit_ratio"])
    if uneasy is not None:
        return case.cross(uneasy)
    kept = case.kept() if rung is Rung.REST else case.kept(_least_price(case, rung), 1)
    if kept is not None:
        return kept
    return case.cross(Why.RAN_AWAY) if case.chased_out() else _rest(case, rung, Why.CHASE)


def _least_price(case: Case, rung: Rung) -> int:
    """The least bold price that a rung allows a new order."""
    return case.maker_price() if rung is Rung.IMPROVE else case.near


def _rest(case: Case, rung: Rung, reason: Why) -> Decision:
    """Rest at the best of the prices if the market is calm, there is time, and the wait is worth it; else cross."""
    params = case.params
    if case.late():
        return case.cross(Why.TOO_LATE)
    uneasy = case.uneasy(1.0)
    if uneasy is not None:
        return case.cross(uneasy)
    if case.leaning():
        return case.cross(Why.LEANING)
    if not case.measured:
        return _rest_unmeasured(case)
    longest_s, bound = case.bounded_s(params["placement.timeout_s_max"])
    case.inputs["longest_s"] = longest_s
    if longest_s < case.floor_s:
        return case.cross(Why.EXCURSION if bound is TimeoutBound.EXCURSION else Why.TOO_LATE)
    outlooks = [(name, price, flow_outlook(case, price)) for name, price in _prices(case, rung)]
    patience_s = case.left_s * params["placement.wait_ratio_max"]
    quick = [(name, price, one) for name, price, one in outlooks if one.fill_rate * patience_s >= 1.0]
    if not quick:
        case.inputs["fill_rate"] = max([one.fill_rate for _, _, one in outlooks])
        return case.cross(Why.SLOW)
    ways = [_Way(name, price, one, best_wait(one, case.floor_s, longest_s)) for name, price, one in quick]
    return _choose(case, ways, reason, longest_s, bound)


def _prices(case: Case, rung: Rung) -> tuple[tuple[str, int], ...]:
    """The prices to be weighed, by name; the bolder last."""
    inside = case.maker_price()
    if inside == case.near:
        return (("join", inside),)
    improve = ("improve", inside)
    return (improve,) if rung is Rung.IMPROVE else (("join", case.near), improve)


def _choose(case: Case, ways: list[_Way], reason: Why, longest_s: float, bound: TimeoutBound) -> Decision:
    """Rule (2): the way that is worth most, if that is worth more than nothing and than the churn that it takes."""
    best = ways[0]
    for way in ways[1:]:
        if way.wait.worth_bps > best.wait.worth_bps:
            best = way
    wait = best.wait
    least_bps = case.params["chase.cost_bps"] if reason is Why.CHASE else 0.0
    case.inputs |= {
        "ahead_lots": float(case.ahead_lots(best.price)),
        "fill_rate": best.outlook.fill_rate,
        "fill_probability": wait.fill_probability,
        "drift_bps": wait.drift_bps,
        "saving_bps": wait.saving_bps,
        "worth_bps": wait.worth_bps,
        "worth_bps_min": least_bps,
    }
    resting = tuple([way.alternative(case.cost_bps) for way in ways])
    if wait.worth_bps <= least_bps:
        return case.cross(Why.NOT_WORTH_IT, resting)
    if wait.timeout_s < longest_s:
        bound = TimeoutBound.HAZARD
    why = f"Expected to save {wait.saving_bps:.2f} bps, filled with probability {wait.fill_probability:.2f}."
    return case.post(reason, best.price, wait.timeout_s, bound, resting, why=why)


def _rest_unmeasured(case: Case) -> Decision:
    """Rest for a fixed time, as there is nothing to estimate a better one from."""
    timeout_s, bound = case.bounded_s(case.params["placement.unmeasured_timeout_s"])
    if timeout_s < case.floor_s:
        return case.cross(Why.TOO_LATE)
    why = "Flow is not measured yet."
    return case.post(Why.REST_UNMEASURED, case.maker_price(), timeout_s, bound, (_NOT_MEASURED,), why=why)
