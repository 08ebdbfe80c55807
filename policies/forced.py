"""What the policies that may rest do when they are told to: cross, or rest once whatever they think of it."""

from __future__ import annotations

from policies.case import Case, Why, begin
from sor.params import Params
from sor.policy import Alternative, Decision
from sor.snapshot import View

WAYS: tuple[str, ...] = ("cross", "rest")
_TOLD = Alternative("rest", None, None, "not estimated: it was told to")


def as_told(view: View, params: Params, way: str) -> Decision | None:
    """One of `WAYS`; None where the caller, the limit or the time left does not allow it, or the book is not sound.

    Reads `placement.timeout_s_max` besides what every case reads.

    rest    one post-only order a slice at the maker price, for the fixed time; when that is over, or the venue has
            refused it, the way has come to its end and the policy is asked again.
    """
    case = begin(view, params)
    if isinstance(case, Decision) or not case.crossable:
        return None
    if way == "cross":
        return case.cross(Why.TOLD)
    return _resting(case)


def _resting(case: Case) -> Decision | None:
    if case.forbidden() or case.timeouts() or case.refusals():
        return None
    if case.own:
        return case.keep(case.watch(None), "It was told to rest until its time is over.")
    timeout_s, bound = case.bounded_s(case.params["placement.timeout_s_max"])
    if timeout_s < case.floor_s:
        return None
    return case.post(Why.TOLD, case.maker_price(), timeout_s, bound, (_TOLD,), why="It was told to.")
