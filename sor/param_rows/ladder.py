"""How far an order stands off at which stage of a slice: `ladder.*`."""

from __future__ import annotations

from sor.definition import Unit, number

ROWS = (
    number(
        "ladder.rest.until",
        Unit.RATIO,
        "0",
        "1",
        "Share of a slice's time during which an order may stay behind the touch.",
    ),
    number(
        "ladder.rest.behind_max", Unit.RATIO, "0", "1", "Lag behind the straight line that ends rung rest, of a slice."
    ),
    number("ladder.rest.timeouts_max", Unit.COUNT, "1", "100", "Timeouts of a slice that end rung rest."),
    number("ladder.rest.refusals_max", Unit.COUNT, "1", "100", "Post-only refusals in a slice that end rung rest."),
    number(
        "ladder.join.until",
        Unit.RATIO,
        "0",
        "1",
        "Share of a slice's time during which an order stands at the touch or better.",
    ),
    number(
        "ladder.join.behind_max", Unit.RATIO, "0", "1", "Lag behind the straight line that ends rung join, of a slice."
    ),
    number("ladder.join.timeouts_max", Unit.COUNT, "1", "100", "Timeouts of a slice that end rung join."),
    number("ladder.join.refusals_max", Unit.COUNT, "1", "100", "Post-only refusals in a slice that end rung join."),
    number(
        "ladder.improve.until",
        Unit.RATIO,
        "0",
        "1",
        "Share of a slice's time during which an order stands at the maker price.",
    ),
    number(
        "ladder.improve.behind_max",
        Unit.RATIO,
        "0",
        "1",
        "Lag behind the straight line that ends rung improve, of a slice.",
    ),
    number("ladder.improve.timeouts_max", Unit.COUNT, "1", "100", "Timeouts of a slice that end rung improve."),
    number(
        "ladder.improve.refusals_max", Unit.COUNT, "1", "100", "Post-only refusals in a slice that end rung improve."
    ),
)
