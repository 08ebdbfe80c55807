"""Several arms compared at once, so that any of all statements is wrong with a chance of 5 % at most.

Ten arms that are all alike have 45 differences, and two of them look clear to whoever takes them one by one. Which
differences are asked for is chosen beforehand: each arm against the first, the control, or each against each. All
intervals of that family hold at once, so what follows from several of them does too: an arm is the cheapest where every
other is dearer than it, or dearer than one that is. Where none is, those that nobody beat are named: the cheapest is
among them with 95 %.

Beside it e-values weigh the comparisons by e-BH (`betting.discoveries`): of the differences found so at most 5 % are
none on average, however often one has looked. That is a list of candidates and names nobody. Source: methods 8.1, 8.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from itertools import combinations

import msgspec

from sor.errors import CallerError
from sor.lab.ab.guards import Guard
from sor.lab.ab.sequential import Looks
from sor.lab.stationary import Series

LETTERS = "abcdefghij"
"""Arms in their order, the control first; as many as an experiment may have."""
UNDECIDED = "undecided"
_REASONS = 3
"""Told in one sentence at most."""


class Family(StrEnum):
    """Which differences are asked for."""

    CONTROL = "control"
    """Each other arm against the first."""
    ALL = "all"
    """Each against each: what it takes to name one of several that beat the first."""

    def pairs(self, arms: str) -> tuple[tuple[str, str], ...]:
        """The comparisons of some arms, by their letters. Raises `CallerError` for fewer than two, or too many."""
        if not 2 <= len(arms) <= len(LETTERS):
            raise CallerError(f"a comparison has 2 to {len(LETTERS)} arms, not {len(arms)}; nothing was compared")
        every = combinations(arms, 2)
        return tuple(pair for pair in every if self is Family.ALL or pair[0] == arms[0])


class Versus(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One comparison of a family; differences are cost(first) - cost(second), bps.

    low, high     of one look, all of the family at once; None where there is too little for them. p_value: adjusted.
    series        what the stationary bootstrap says of one look, likewise; None for parents that are not paired.
    looks         the sequence, likewise; None before there is one. stopped_at: when it first left zero out, in parents
                  of a replay, else in coins.
    e_value       evidence against no difference. listed: e-BH over the family gives it up.
    parents       behind it. units: blocks or coins. needed: parents for a power of 80 % to see `effect_bps`.
    decision      the letter of the cheaper, or `UNDECIDED`.
    """

    first: str
    second: str
    parents: int
    units: int
    mean: float
    low: float | None
    high: float | None
    p_value: float | None
    series: Series | None
    looks: Looks | None
    stopped_at: int | None
    e_value: float | None
    listed: bool
    effect_bps: float
    needed: int | None
    guards: tuple[Guard, ...]
    decision: str
    why: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a family came to. decision: the letter of the cheapest, or `UNDECIDED`.

    cheapest    those that nobody beat: the cheapest is among them.
    needed      parents for what the family leaves open; None where that is nothing, or nobody knows.
    """

    family: Family
    decision: str
    why: str
    cheapest: tuple[str, ...]
    needed: int | None


def verdict(family: Family, arms: str, versus: Sequence[Versus], *, leader: str) -> Verdict:
    """What follows from all comparisons together. leader: the arm whose mean is the least."""
    beats = {
        arm: [one.first if one.decision == one.second else one.second for one in versus if one.decision == arm]
        for arm in arms
    }
    below = {arm: _reached(beats, arm) for arm in arms}
    unbeaten = tuple(arm for arm in arms if not any(arm in beaten for beaten in below.values())) or tuple(arms)
    best = next((arm for arm in arms if len(below[arm]) == len(arms) - 1), None)
    asked = [one for one in versus if family is Family.CONTROL or leader in (one.first, one.second)]
    needs = [one.needed for one in asked if one.decision == UNDECIDED]
    known = [need for need in needs if need is not None]
    decision, why = best or UNDECIDED, _told(family, beats, unbeaten, versus)
    if best is not None:
        why = f"{best} is cheaper than every other arm: the intervals that say so hold all at once, and all guards hold"
    return Verdict(
        family=family,
        decision=decision,
        why=why,
        cheapest=unbeaten,
        needed=max(known) if known and len(known) == len(needs) else None,
    )


def _told(family: Family, beats: dict[str, list[str]], unbeaten: Sequence[str], versus: Sequence[Versus]) -> str:
    """What was found where nobody is the cheapest."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for arm, beaten in beats.items():
        if beaten:
            alike.setdefault(tuple(beaten), []).append(arm)
    found = [
        f"{_listed(arms, 'and')} {'is' if len(arms) == 1 else 'are'} cheaper than {_listed(beaten, 'and')}"
        for beaten, arms in alike.items()
    ]
    if not found:
        reasons = list(dict.fromkeys(one.why for one in versus))
        return "; ".join(reasons[:_REASONS]) + ("; and more" if len(reasons) > _REASONS else "")
    apart = ", which only --family all tells apart" if family is Family.CONTROL else ""
    return f"{'; '.join(found)}; the cheapest may be {_listed(unbeaten, 'or')}{apart}"


def _reached(beats: dict[str, list[str]], arm: str) -> list[str]:
    """Whom an arm beats, directly or through others, in the order in which they are found."""
    found: list[str] = []
    ahead = list(beats[arm])
    while ahead:
        one = ahead.pop()
        if one not in found:
            found.append(one)
            ahead += beats[one]
    return found


def _listed(arms: Sequence[str], word: str) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return arms[0] if len(arms) == 1 else f"{', '.join(arms[:-1])} {word} {arms[-1]}"
