"""How `market_limit_qvi` works an order unit by unit: `qvi.*`."""

from __future__ import annotations

from sor.definition import Unit, number

ROWS = (
    number("qvi.units", Unit.COUNT, "1", "50", "Units that a parent is worked in, each an order of its own."),
    number("qvi.horizon_s", Unit.S, "0.1", "600", "How long a slice is worked before what is left of it crosses."),
    number(
        "qvi.tracking_bps",
        Unit.BPS,
        "0",
        "1000",
        "Price of being behind the slice's straight line by the whole of it, for the whole of its time.",
    ),
    number("qvi.review_ms", Unit.MS, "10", "600000", "A course is solved anew after this, if nothing happens before."),
)
