"""`maker_first`: rest post-only for a fixed time, then cross what is left.

The plainest policy that may rest, and the one to beat: no estimate, no chase. It rests at the maker price (S1) while
the caller allows it, the spread is at most `placement.calm_spread_max`, and there is time for it; the order stays where
it is for `placement.timeout_s_max`, less where the time left or the excursion budget bind. After
`placement.timeouts_max` timeouts of a slice, or `placement.refusals_max` orders that the venue did not let rest, it
crosses, and it crosses at once when the spread opens beyond `placement.calm_exit_ratio` times the calm one.
"""

from __future__ import annotations

from policies.case import NEEDS, NOT_ESTIMATED, Case, Why
from policies.resting import RestingPolicy
from sor.policy import Alternative, Decision

_FIXED = Alternative("rest", None, None, "not estimated by this policy")


class MakerFirst(RestingPolicy):
    """Placement policy: one post-only order for a fixed time, then a taking one."""

    name = "maker_first"
    needs = tuple(sorted({*NEEDS, "placement.refusals_max", "placement.timeout_s_max", "placement.timeouts_max"}))

    def work(self, case: Case) -> Decision:
        """Rest, keep or cross."""
        tired = case.worn_out()
        if tired is not None:
            return case.cross(tired)
        return _stay(case) if case.own else _rest(case)


def _stay(case: Case) -> Decision:
    if case.too_wide(case.params["placement.calm_exit_ratio"]):
        return case.cross(Why.WIDE)
    return case.keep(case.watch(None), "Its time is not over.")


def _rest(case: Case) -> Decision:
    if case.late():
        return case.cross(Why.TOO_LATE)
    if case.too_wide(1.0):
        return case.cross(Why.WIDE)
    timeout_s, bound = case.bounded_s(case.params["placement.timeout_s_max"])
    if timeout_s < case.floor_s:
        return case.cross(Why.EXCURSION, (NOT_ESTIMATED,))
    return case.post(Why.REST, case.maker_price(), timeout_s, bound, (_FIXED,), why="Then it crosses.")
