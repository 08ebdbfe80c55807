"""Policies, schedules and deciders that do as they are told."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from sor.decide import decide
from sor.ids import ParentId, VenueName
from sor.params import Params
from sor.parent import Parent
from sor.policy import Decision, Due, Placement, Policy, Rest, Take
from sor.reasons import TimeoutBound
from sor.revisit import Revisit
from sor.snapshot import View

QUIET = Revisit(on_untrusted=False)
"""Asks for nothing: only fills, order events and time-outs bring the policy back."""


def decision(*placements: Placement, revisit: Revisit = QUIET, reason: str = "scripted") -> Decision:
    """A decision without records."""
    return Decision(placements=placements, revisit=revisit, reason=reason)


def rest(venue: str, lots: int, ticks: int, *, until_ns: int) -> Rest:
    """A resting order wanted."""
    return Rest(VenueName(venue), lots, ticks, until_ns, TimeoutBound.FIXED)


def take(venue: str, lots: int, ticks: int) -> Take:
    """A taking order wanted."""
    return Take(VenueName(venue), lots, ticks)


class ScriptedPolicy:
    """Returns queued decisions, then holds. `seen` has every view it was shown."""

    name = "scripted"
    needs: tuple[str, ...] = ()

    def __init__(self, decisions: Iterable[Decision] = ()) -> None:
        self.queue = deque(decisions)
        self.seen: list[View] = []

    def decide(self, view: View, params: Params) -> Decision:
        del params
        self.seen.append(view)
        return self.queue.popleft() if self.queue else decision()


class Wish:
    """A policy for one decision: a function of the view."""

    name = "wish"
    needs: tuple[str, ...] = ()

    def __init__(self, wish: Callable[[View], Decision]) -> None:
        self._wish = wish

    def decide(self, view: View, params: Params) -> Decision:
        del params
        return self._wish(view)


class Wanting:
    """The real decider, invariants and all, for standing wishes: a function of the view that a test sets per parent.

    Without one a parent holds. `asked` has every view that a parent's wish was asked about.
    """

    def __init__(self) -> None:
        self.wishes: dict[ParentId, Callable[[View], Decision]] = {}
        self.asked: list[tuple[ParentId, View]] = []

    def __call__(self, parent: Parent, policy: Policy, view: View, params: Params) -> tuple[Decision, tuple[str, ...]]:
        del policy
        self.asked.append((parent.id, view))
        return decide(parent, Wish(self.wishes.get(parent.id, hold)), view, params)


def hold(view: View) -> Decision:
    """Nothing is wanted now."""
    del view
    return decision()


def ask_policy(parent: Parent, policy: Policy, view: View, params: Params) -> tuple[Decision, tuple[str, ...]]:
    """A decider without invariants: what the policy says is done."""
    del parent
    return policy.decide(view, params), ()


class Immediate:
    """Everything is due at once."""

    name = "immediate"

    def check(self, args: dict[str, float]) -> None:
        del args

    def due(
        self, *, qty_lots: int, start_ns: int, deadline_ns: int, now_ns: int, min_lots: int, args: dict[str, float]
    ) -> Due:
        del start_ns, now_ns, min_lots, args
        return Due(qty_lots, deadline_ns, None)


class Slices:
    """`count` equal slices over the parent's time, the first at once."""

    name = "slices"

    def check(self, args: dict[str, float]) -> None:
        del args

    def due(
        self, *, qty_lots: int, start_ns: int, deadline_ns: int, now_ns: int, min_lots: int, args: dict[str, float]
    ) -> Due:
        del min_lots
        count = int(args["count"])
        width = max(1, (deadline_ns - start_ns) // count)
        begun = min(count, (now_ns - start_ns) // width + 1)
        end = start_ns + begun * width
        return Due(qty_lots * begun // count, min(end, deadline_ns), end if begun < count else None)


class Greedy(Immediate):
    """Wants ten times the order, and to be asked again at once."""

    name = "greedy"

    def due(
        self, *, qty_lots: int, start_ns: int, deadline_ns: int, now_ns: int, min_lots: int, args: dict[str, float]
    ) -> Due:
        del start_ns, min_lots, args
        return Due(10 * qty_lots, deadline_ns, now_ns)


class Broken(Immediate):
    """Raises as soon as it is asked."""

    name = "broken"

    def due(
        self, *, qty_lots: int, start_ns: int, deadline_ns: int, now_ns: int, min_lots: int, args: dict[str, float]
    ) -> Due:
        raise ArithmeticError("no such time")
