"""What an experiment decided for one parent at the door; it is journaled with the parent and never changes."""

from __future__ import annotations

import msgspec


class Assigned(msgspec.Struct, frozen=True, gc=False, kw_only=True, array_like=True):
    """The arm of a parent, with the chance that it had.

    digest             of the experiment's content.
    arm                "" where the parent goes by its own terms: `why` says why it was left out.
    policy, param_set  of the arm.
    chances            what each arm that took parents then had, in the file's order, together 1; empty without an arm.
    period             of a switchback: number of the period since the experiment began, from 0; -1 by parent.
    """

    experiment: str
    digest: str
    arm: str = ""
    policy: str = ""
    param_set: str = ""
    chances: tuple[tuple[str, float], ...] = ()
    period: int = -1
    why: str = ""

    @property
    def propensity(self) -> float:
        """The chance that its arm had, 1.0 where nothing was left to chance."""
        return dict(self.chances).get(self.arm, 1.0)
