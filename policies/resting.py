"""The frame of every policy that may rest: what is asked before its own idea has its turn."""

from __future__ import annotations

from abc import ABC, abstractmethod

from policies import forced
from policies.case import Case, begin
from sor.params import Params
from sor.policy import Decision
from sor.snapshot import View


class RestingPolicy(ABC):
    """A placement policy that may rest.

    A view without a sound book or anything due is answered here, and so is one whose limit forbids to cross, what is
    left below the venue's minimum, and what the caller does not let rest. Everything else goes to `work`.
    """

    name: str
    needs: tuple[str, ...]
    ways = forced.WAYS

    def decide(self, view: View, params: Params) -> Decision:
        """Rest, keep, move or cross what is due; hold while the book is not sound or the limit forbids the rest."""
        case = begin(view, params)
        if isinstance(case, Decision):
            return case
        if not case.crossable:
            return case.stay_within_limit()
        left = case.remainder() if case.own else None
        if left is not None:
            return left
        forbidden = case.forbidden()
        if forbidden is not None:
            return case.cross(forbidden)
        return self.work(case)

    def decide_as(self, view: View, params: Params, way: str) -> Decision | None:
        """Cross, or rest once, because it is told to: what `explore:` asks for."""
        return forced.as_told(view, params, way)

    @abstractmethod
    def work(self, case: Case) -> Decision:
        """The policy's own idea, where crossing is possible and resting is not forbidden."""
