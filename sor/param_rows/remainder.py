"""What becomes of a part below the venue's minimum: `remainder.*`."""

from __future__ import annotations

from sor.definition import choice

RULES = ("carry", "round_up", "cross_early", "stop")

ROWS = (
    choice(
        "remainder.rule",
        RULES,
        "carry: it waits, in the order that rests or for the next slice. round_up: a slice is made up to the minimum "
        "out of what later ones would do. cross_early: an order that rests is crossed while enough of it is left. "
        "stop: it is withdrawn, and the parent ends with that reason.",
    ),
)
