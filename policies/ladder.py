"""The way out of a wait as data: rest, join, improve, cross, and when each rung is given up for the next.

A rung is the least that is done from there on; what is bolder stays allowed, and which of the allowed is taken is
decided by cost.

    rest       an order may stay where it is while the touch is away from it.
    join       an order stands at the touch or better: one that was left behind follows.
    improve    an order stands at the maker price of S1, a tick inside where the spread leaves room.
    cross      nothing rests any more.

Each of the first three has the same four rules in the param-set, and any of them ends it:

    ladder.<rung>.until           share of the slice's time, from its start to the last moment at which an order may
                                  rest. 0 skips the rung.
    ladder.<rung>.behind_max      catch-up: share of the slice by which it may be behind the straight line from nothing
                                  at its start to everything at its end.
    ladder.<rung>.timeouts_max    orders of the slice that ran out of time.
    ladder.<rung>.refusals_max    orders of the slice that the venue did not let rest.

The counts are those of the slice, whichever rung they fell on, so a venue that never lets anything rest ends every
rung after finitely many tries, and then it is crossed: there is no loop of refusals.
"""

from __future__ import annotations

from enum import StrEnum

from policies.case import Case, Why


class Rung(StrEnum):
    """The rungs, from the most patient on."""

    REST = "rest"
    JOIN = "join"
    IMPROVE = "improve"
    CROSS = "cross"


_RUNGS = (Rung.REST, Rung.JOIN, Rung.IMPROVE)
_RULES: tuple[tuple[str, Why], ...] = (
    ("until", Why.TOO_LATE),
    ("behind_max", Why.BEHIND),
    ("timeouts_max", Why.TIMED_OUT),
    ("refusals_max", Why.REFUSED),
)
NEEDS = tuple(sorted(f"ladder.{rung}.{rule}" for rung in _RUNGS for rule, _ in _RULES))
"""Ids of the parameters that the ladder reads."""
_IDS = tuple((rung, tuple((f"ladder.{rung}.{rule}", rule, why) for rule, why in _RULES)) for rung in _RUNGS)


def rung_of(case: Case) -> tuple[Rung, Why | None]:
    """The rung a slice has come to, and the rule that ended the one before it, None on the first.

    The numbers that were judged go into the record, with the limits of the rung it stands on or fell from last.
    """
    done = case.view.filled_lots - case.slice["filled"]
    gone = case.elapsed()
    numbers = {
        "until": gone,
        "behind_max": gone - done / (done + case.view.open_lots),
        "timeouts_max": case.timeouts(),
        "refusals_max": case.refusals(),
    }
    params = case.params
    ended: Why | None = None
    for rung, rules in _IDS:
        for param_id, rule, why in rules:
            if case.reaches(_NAMES[rule], numbers[rule], params[param_id]):
                ended = why
                break
        else:
            return rung, ended
    return Rung.CROSS, ended


_NAMES = {"until": "elapsed", "behind_max": "behind", "timeouts_max": "timeouts", "refusals_max": "refusals"}
