"""How a view becomes a decision: the policy is asked, then the invariants have the last word.

The recorded form hands back what a journal holds instead, so that a restart folds what was decided and not what a
newer policy would decide; the checking form recomputes and compares (S7).
"""

from __future__ import annotations

from collections import deque

from sor.commands import Decided
from sor.errors import ReplayDiverged
from sor.invariants import apply as apply_invariants
from sor.params import Params
from sor.parent import Parent
from sor.policy import POLICY_FAULT, Decision, Policy
from sor.revisit import Revisit
from sor.snapshot import View


def decide(parent: Parent, policy: Policy, view: View, params: Params) -> tuple[Decision, tuple[str, ...]]:
    """Ask the policy and apply the invariants; a policy that raises gets its parent ended safely."""
    del parent
    try:
        decision = policy.decide(view, params)
    except Exception as error:  # noqa: BLE001 - a plug-in's bug must not stop the other parents or leave orders resting
        note = f"policy {policy.name!r} raised {type(error).__name__}: {error}"
        return Decision(placements=(), revisit=Revisit(), reason=POLICY_FAULT, note=note), ()
    ruled = apply_invariants(decision, view, params)
    return ruled.decision, ruled.vetoes


class Recorded:
    """Decisions read from a journal, handed back in their order."""

    def __init__(self) -> None:
        self._waiting: deque[Decided] = deque()

    def expect(self, decided: Decided) -> None:
        """The next decision of the turn that is being folded."""
        self._waiting.append(decided)

    def __call__(self, parent: Parent, policy: Policy, view: View, params: Params) -> tuple[Decision, tuple[str, ...]]:
        """The decision that was made then. Raises `ReplayDiverged` when the journal holds none for this parent."""
        decided = self._next(parent)
        del policy, view, params
        return decided.decision, decided.vetoes

    def _next(self, parent: Parent) -> Decided:
        while self._waiting and self._waiting[0].by == "deadline":
            self._waiting.popleft()  # made by the machine, which makes it anew
        if not self._waiting or self._waiting[0].parent_no != parent.no:
            raise ReplayDiverged(
                f"the journal holds no decision of parent {parent.id!r} where the fold makes one; it was written by "
                "another version, or it was changed. Nothing was sent"
            )
        return self._waiting.popleft()


class Checked(Recorded):
    """Recomputes every decision and compares it with the recorded one, bit for bit."""

    def __call__(self, parent: Parent, policy: Policy, view: View, params: Params) -> tuple[Decision, tuple[str, ...]]:
        """The recorded decision. Raises `ReplayDiverged` when the policy now decides otherwise."""
        decided = self._next(parent)
        made, vetoes = decide(parent, policy, view, params)
        if (made, vetoes) != (decided.decision, decided.vetoes):
            raise ReplayDiverged(
                f"parent {parent.id!r}: policy {policy.name!r} decided {decided.decision.reason!r} then and decides "
                f"{made.reason!r} now on the same view and parameters"
            )
        return decided.decision, decided.vetoes
