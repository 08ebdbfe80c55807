"""The exploring form of a policy, `explore:NAME`: now and then a parent does what the policy would not have done.

What a policy never does cannot be learnt from its records. At a parent's first decision that places anything, a number
in [0, 1) decides: from `explore.epsilon` on the policy goes its own way, below it the parent follows one of the
alternatives that were possible then, each with an equal share. The number is a hash of `explore.salt` and the parent's
id: no generator, no order of drawing, so a decision can be recomputed, and who does not know the salt cannot tell which
parents explore.

The decision that chose records the probability of what was done as its `propensity`. Later decisions of the parent
follow, and have 1, as nothing is left to chance: the propensity of a parent's whole way is that of its first choice.
Where the way can no longer be followed the policy goes on by itself. An alternative is possible when the policy can
follow it (`Forceable`), it differs from what the policy chose, and the invariants leave it as it is.
"""

from __future__ import annotations

import hashlib

import msgspec

from sor.invariants import apply as apply_invariants
from sor.orders import ParentOrder
from sor.params import Params
from sor.policy import Decision, Forceable, Memory, checks_orders
from sor.snapshot import View

PREFIX = "explore:"
"""What comes before the name of a policy."""
_ARM = "explore.arm"
_OWN_WAY = 0.0
_WORDS = 2.0**-53


class Explore:
    """A policy that is made to explore; `name` is that of the policy with `explore:` before it."""

    def __init__(self, policy: Forceable) -> None:
        self._policy = policy
        self.name = f"{PREFIX}{policy.name}"
        self.needs = (*policy.needs, "explore.epsilon", "explore.salt")

    def check(self, order: ParentOrder) -> None:
        """Raise `CallerError` for a parent that the policy would not take by itself."""
        if checks_orders(self._policy):
            self._policy.check(order)

    def decide(self, view: View, params: Params) -> Decision:
        """What the policy decides, or what it decides when it is told which way to go."""
        own = msgspec.structs.replace(view, memory={key: at for key, at in view.memory.items() if key != _ARM})
        arm = view.memory.get(_ARM)
        if arm is None:
            return self._choose(own, params)
        return _remembering(self._follow(own, params, arm) or self._policy.decide(own, params), arm)

    def _follow(self, view: View, params: Params, arm: float) -> Decision | None:
        """The way that was chosen before; None on the policy's own, and where it has come to its end."""
        ways = self._policy.ways
        if arm == _OWN_WAY or arm > len(ways):
            return None
        return self._policy.decide_as(view, params, ways[int(arm) - 1])

    def _choose(self, view: View, params: Params) -> Decision:
        """The first decision: the policy's own, or one of the alternatives to it."""
        chosen = self._policy.decide(view, params)
        if not chosen.placements:
            return chosen  # nothing is placed yet, so nothing is chosen
        others = self._others(view, params, apply_invariants(chosen, view, params).decision)
        epsilon = params["explore.epsilon"] if others else 0.0
        drawn = uniform(params["explore.salt"], view.parent_id)
        inputs = (("explore_drawn", drawn), ("explore_epsilon", epsilon))
        if drawn >= epsilon:
            explored = msgspec.structs.replace(chosen, inputs=chosen.inputs + inputs, propensity=1.0 - epsilon)
            return _remembering(explored, _OWN_WAY)
        number, other = others[min(int(drawn / epsilon * len(others)), len(others) - 1)]
        way = self._policy.ways[number]
        note = f"{other.note} Exploring: by itself the policy would not have gone the way of {way} ({chosen.reason})."
        explored = msgspec.structs.replace(
            other,
            note=note.lstrip(),
            inputs=other.inputs + inputs,
            alternatives=chosen.alternatives,
            propensity=epsilon / len(others),
        )
        return _remembering(explored, number + 1.0)

    def _others(self, view: View, params: Params, done: Decision) -> list[tuple[int, Decision]]:
        """(number of the way, decision) of what could be done instead of `done`, which the invariants have seen."""
        found: list[tuple[int, Decision]] = []
        for number, way in enumerate(self._policy.ways):
            other = self._policy.decide_as(view, params, way)
            if other is not None and _kinds(other) != _kinds(done) and not apply_invariants(other, view, params).vetoes:
                found.append((number, other))
        return found


def uniform(salt: float, parent_id: str) -> float:
    """A number in [0, 1) that is a pure function of both: the first 53 bits of a keyed BLAKE2b of the id."""
    key = int(salt).to_bytes(8, "big")
    digest = hashlib.blake2b(parent_id.encode(), digest_size=8, key=key).digest()
    return (int.from_bytes(digest, "big") >> 11) * _WORDS


def _kinds(decision: Decision) -> tuple[type[object], ...]:
    """What a decision does, whatever the price: resting at another price is the policy's business."""
    return tuple(type(placement) for placement in decision.placements)


def _remembering(decision: Decision, arm: float) -> Decision:
    memory: Memory = {**decision.memory, _ARM: arm}
    return msgspec.structs.replace(decision, memory=memory)
