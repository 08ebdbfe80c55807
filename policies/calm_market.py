"""`calm_market`: rest while the market is calm by thresholds, follow the touch, and cross when it is not.

The rule that most desks have, with its thresholds in the param-set instead of in code. A market is calm while

    spread        is at most `placement.calm_spread_max`,
    volatility    is at most `placement.calm_volatility_max`, once it rests on `placement.window_s_min` of data,
    imbalance     leaves our own side at most `placement.calm_imbalance_max` of the size at the touch,
    depth         near the touch is at least `placement.calm_depth_min` times our order, on both sides.

Then it rests at the maker price (S1) for `placement.timeout_s_max`, less where the time left or the excursion budget
bind. What rests keeps its place until spread or volatility leave the calm limits by `placement.calm_exit_ratio`, or the
touch has run `placement.chase_bps_min` away and the order is `placement.dwell_ms` old: then it follows, at most
`placement.requotes_max` times a slice. It weighs no costs: nothing says that a calm market is worth a wait.
"""

from __future__ import annotations

from policies.case import NEEDS, NOT_ESTIMATED, Case, Why
from policies.resting import RestingPolicy
from sor.policy import Alternative, Decision

_BY_THRESHOLDS = Alternative("rest", None, None, "not estimated: this policy goes by thresholds")


class CalmMarket(RestingPolicy):
    """Placement policy: a post-only order that follows the touch of a calm market, else a taking one."""

    name = "calm_market"
    needs = tuple(
        sorted(
            {
                *NEEDS,
                "placement.calm_depth_min",
                "placement.calm_imbalance_max",
                "placement.calm_volatility_max",
                "placement.refusals_max",
                "placement.timeout_s_max",
                "placement.timeouts_max",
            }
        )
    )

    def work(self, case: Case) -> Decision:
        """Rest, keep, chase or cross."""
        tired = case.worn_out()
        if tired is not None:
            return case.cross(tired)
        return _stay(case) if case.own else _rest(case, Why.REST)


def _stay(case: Case) -> Decision:
    uneasy = case.uneasy(case.params["placement.calm_exit_ratio"])
    if uneasy is not None:
        return case.cross(uneasy)
    kept = case.kept()
    if kept is not None:
        return kept
    return case.cross(Why.RAN_AWAY) if case.chased_out() else _rest(case, Why.CHASE)


def _rest(case: Case, reason: Why) -> Decision:
    if case.late():
        return case.cross(Why.TOO_LATE)
    uneasy = case.uneasy(1.0)
    if uneasy is not None:
        return case.cross(uneasy)
    if case.leaning():
        return case.cross(Why.LEANING)
    if case.thin():
        return case.cross(Why.THIN)
    timeout_s, bound = case.bounded_s(case.params["placement.timeout_s_max"])
    if timeout_s < case.floor_s:
        return case.cross(Why.EXCURSION, (NOT_ESTIMATED,))
    return case.post(reason, case.maker_price(), timeout_s, bound, (_BY_THRESHOLDS,), why="The market is calm.")
