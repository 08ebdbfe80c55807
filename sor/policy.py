"""What a placement policy and a schedule must be, and what they return.

A policy is a pure function of what it sees: no clock, no randomness, nothing kept between calls. It says which
placements it wants *now*; the machine works out the difference to what is there, never the policy. Packages add
policies and schedules through the entry-point groups `sor.policies` and `sor.schedules` (S8).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol, TypeGuard, runtime_checkable

import msgspec

from sor.ids import VenueName
from sor.orders import ParentOrder
from sor.params import Params
from sor.reasons import TimeoutBound
from sor.revisit import Revisit
from sor.snapshot import View

Memory = dict[str, float]
"""What a policy wants to remember; handed back unchanged in the next view of the same parent."""


class Rest(msgspec.Struct, frozen=True, gc=False, tag="rest", array_like=True):
    """A post-only LIMIT order that rests until `expire_ns` at the latest.

    qty_lots       > 0; what the machine allows may be less.
    price_ticks    never through the market: a price that would take is denied, not sent.
    expire_ns      absolute; the machine cancels then and asks again.
    bound_by       which term of the timeout rule bound (S4).
    """

    venue: VenueName
    qty_lots: int
    price_ticks: int
    expire_ns: int
    bound_by: TimeoutBound


class Take(msgspec.Struct, frozen=True, gc=False, tag="take", array_like=True):
    """Cross now, at `collar_ticks` or better: MARKET where the book walk lies inside the collar, else IOC at it."""

    venue: VenueName
    qty_lots: int
    collar_ticks: int


Placement = Rest | Take


class Alternative(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One way that was costed: expected cost in bps of the arrival mid, fees in, positive when bad; None if unknown."""

    name: str
    cost_bps: float | None
    se_bps: float | None = None
    note: str = ""


POLICY_FAULT = "policy_fault"
"""Reason of the decision that stands in for one a policy failed to make; it ends the parent."""


class Decision(msgspec.Struct, frozen=True, gc=False, kw_only=True, array_like=True):
    """What a policy answers.

    placements      everything wanted now; empty means hold: whatever rests is cancelled.
    reason          a short stable word, the policy's own enum; `note` is one sentence for a person.
    inputs          the numbers that decided, by name, for `sor explain`.
    propensity      probability with which this action was chosen, given what came before; 1.0 for a deterministic
                    policy.
    admissible      names of the alternatives that no invariant removed.
    removed         names of the invariants that removed the others, whether the policy asked for those or not.
    regime          the market regime whose parameters counted, "" where there was none.

    What is admissible, what removed the rest, and the regime are not for the policy to say.
    """

    placements: tuple[Placement, ...]
    revisit: Revisit
    reason: str
    note: str = ""
    inputs: tuple[tuple[str, float], ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    propensity: float = 1.0
    admissible: tuple[str, ...] = ()
    memory: Memory = msgspec.field(default_factory=dict)
    regime: str = ""
    removed: tuple[str, ...] = ()


@runtime_checkable
class Policy(Protocol):
    """A placement policy: how to place what is due now."""

    @property
    def name(self) -> str:
        """The entry-point name."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Ids of the parameters it reads; a param-set without one of them is refused with the parent."""

    def decide(self, view: View, params: Params) -> Decision:
        """Placements wanted now. Pure; a raised exception ends the parent safely and is a bug of the policy."""


@runtime_checkable
class ChecksOrder(Protocol):
    """What a policy may have besides, to refuse at the door a parent that it could not work."""

    def check(self, order: ParentOrder) -> None:
        """Raise `CallerError` for terms that make no sense with this policy."""


@lru_cache(maxsize=256)
def _checks_orders(kind: type) -> bool:
    return issubclass(kind, ChecksOrder)


def checks_orders(policy: Policy) -> TypeGuard[ChecksOrder]:
    """Whether a policy looks at orders itself; asked once of its class, as a protocol takes 17 us to answer."""
    return _checks_orders(type(policy))


@runtime_checkable
class Forceable(Policy, Protocol):
    """What a policy may have besides, so that `explore:NAME` can make it do what it would not have done by itself."""

    @property
    def ways(self) -> tuple[str, ...]:
        """Names of what it can be told to do, as its alternatives call them; the order is kept for good."""

    def decide_as(self, view: View, params: Params, way: str) -> Decision | None:
        """As `decide`, going one of `ways` instead of choosing; None where that is not possible now. Pure."""


class Due(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a schedule answers: `target_lots` of the parent in total should be done, by `by_ns`.

    next_ns    when the target grows next; None when it no longer does.
    """

    target_lots: int
    by_ns: int
    next_ns: int | None


@runtime_checkable
class Schedule(Protocol):
    """How much should be done by when; composable with any policy.

    Conserves quantity: `target_lots` never falls with time, and reaches the parent's quantity at the deadline.
    """

    @property
    def name(self) -> str:
        """The entry-point name."""

    def check(self, args: dict[str, float]) -> None:
        """Raise `CallerError` for arguments that make no sense."""

    def due(
        self, *, qty_lots: int, start_ns: int, deadline_ns: int, now_ns: int, min_lots: int, args: dict[str, float]
    ) -> Due:
        """The cumulative target at `now_ns`, in lots; no slice smaller than `min_lots` except the last."""
