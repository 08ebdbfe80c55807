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
    number("chase.per_s_max", Unit.PER_S, "0", "100", "Moves a second that one order may use of the rate budget."),
    number(
        "chase.review_ms",
        Unit.MS,
        "10",
        "600000",
        "An order that rests by fitted models is weighed anew after this, if nothing happens before.",
    ),
)
