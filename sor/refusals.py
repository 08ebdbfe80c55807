"""What a refused order means for its parent, by the venue's reason: a closed table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from sor.orders import RejectKind


class Consequence(Enum):
    """What follows for the parent."""

    WAITS = "waits"
    """Nothing is wrong with the order: it is asked again, ever later."""
    COUNTS = "counts"
    """It may be the order: asked again, and `risk.rejects_max` of them in a row end the parent."""
    ENDS = "ends"
    """It stays so until somebody changes something: the parent ends at once, with the venue's code and text."""
    CLOSED = "closed"
    """There is nothing left to reduce: others have completed it."""


REFUSALS: Final[Mapping[RejectKind, Consequence]] = {
    RejectKind.NONE: Consequence.COUNTS,
    RejectKind.RATE_LIMITED: Consequence.WAITS,
    RejectKind.WOULD_TAKE: Consequence.WAITS,
    RejectKind.NOTHING_TO_REDUCE: Consequence.CLOSED,
    RejectKind.NO_MARGIN: Consequence.ENDS,
    RejectKind.BAD_TERMS: Consequence.COUNTS,
    RejectKind.UNKNOWN_ORDER: Consequence.COUNTS,
    RejectKind.TOO_LATE: Consequence.COUNTS,
    RejectKind.DUPLICATE_ID: Consequence.COUNTS,
    RejectKind.SELF_TRADE: Consequence.COUNTS,
    RejectKind.NO_LIQUIDITY: Consequence.COUNTS,
    RejectKind.VENUE_CLOSED: Consequence.COUNTS,
    RejectKind.OTHER: Consequence.COUNTS,
    RejectKind.NOT_NOW: Consequence.WAITS,
    RejectKind.NOT_ALLOWED: Consequence.ENDS,
}
"""All there are. What counts or ends also counts for the breaker of its symbol, whoever's order it was."""
