"""How far an order stands off at which stage of a slice: `ladder.*`."""

from __future__ import annotations

from sor.definition import Definition, Unit, number

STANDS = {
    "rest": "may stay behind the touch",
    "join": "stands at the touch or better",
    "improve": "stands at the maker price",
}
"""Where an order stands on each rung, in the order in which a slice goes through them."""


def _rung(name: str, stands: str) -> tuple[Definition, ...]:
    """What ends one rung."""
    during = f"Share of a slice's time during which an order {stands}."
    behind = f"Lag behind the straight line that ends rung {name}, of a slice."
    return (
        number(f"ladder.{name}.until", Unit.RATIO, "0", "1", during),
        number(f"ladder.{name}.behind_max", Unit.RATIO, "0", "1", behind),
        number(f"ladder.{name}.timeouts_max", Unit.COUNT, "1", "100", f"Timeouts of a slice that end rung {name}."),
        number(
            f"ladder.{name}.refusals_max", Unit.COUNT, "1", "100", f"Post-only refusals of a slice ending rung {name}."
        ),
    )


ROWS = tuple(row for name, stands in STANDS.items() for row in _rung(name, stands))
