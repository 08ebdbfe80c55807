"""`maker_first`: rest post-only for a fixed time, then cross what is left.

The plainest policy that may rest, and the one to beat: no estimate, no chase. It rests at the maker price (S1) while
the caller allows it, the spread is at most `placement.calm_spread_max`, and there is time for it; the order stays where
it is for `placement.timeout_s_max`, less where the time left or the excursion budget bind. After
`placement.timeouts_max` timeouts of a slice, or `placement.refusals_max` orders that the venue did not let rest, it
crosses, and it crosses at once when the spread opens beyond `placement.calm_exit_ratio` times the calm one.
"""

from __future__ import annotations

from policies import forced
from policies.case import NEEDS, NOT_ESTIMATED, Case, Why, begin
from sor.params import Params
from sor.policy import Alternative, Decision
from sor.snapshot import View

_FIXED = Alternative("rest", None, None, "not estimated by this policy")


class MakerFirst:
    """Placement policy: one post-only order for a fixed time, then a taking one."""

    name = "maker_first"
    needs = tuple(sorted({*NEEDS, "placement.refusals_max", "placement.timeout_s_max", "placement.timeouts_max"}))

    ways = forced.WAYS

    def decide(self, view: View, params: Params) -> Decision:
        """Rest, keep or cross what is due; hold while the book is not sound or the limit forbids the rest."""
        case = begin(view, params)
        if isinstance(case, Decision):
            return case
        if not case.crossable:
            return case.stay_within_limit()
        left = case.remainder() if case.own else None
        if left is not None:
            return left
        forbidden = case.forbidden() or case.worn_out()
        if forbidden is not None:
            return case.cross(forbidden)
        return _stay(case) if case.own else _rest(case)

    def decide_as(self, view: View, params: Params, way: str) -> Decision | None:
        """Cross, or rest once, because it is told to: what `explore:` asks for."""
        return forced.as_told(view, params, way)


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
