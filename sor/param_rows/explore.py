"""How often a parent explores, and which parents do: `explore.*`, read by `explore:NAME`."""

from __future__ import annotations

from sor.definition import Unit, number

ROWS = (
    number(
        "explore.epsilon",
        Unit.RATIO,
        "0",
        "0.5",
        "Share of parents that do, where something else is possible, what their policy would not have done.",
    ),
    number(
        "explore.salt",
        Unit.COUNT,
        "0",
        "9007199254740991",
        "Which parents those are: another number, other parents. It is not told to who could trade on it.",
    ),
)
