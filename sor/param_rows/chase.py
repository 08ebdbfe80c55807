"""When moving a resting order pays: `chase.*`."""

from __future__ import annotations

from sor.definition import Unit, number

ROWS = (
    number(
        "chase.cost_bps",
        Unit.BPS,
        "0",
        "10",
        "What moving an order costs besides its place: rate budget and risk of a race.",
    ),
)
