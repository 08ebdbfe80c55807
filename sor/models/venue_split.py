"""A taking order split over venues whose own impact is concave: square-root law in price, 3/2 power in cost.

Taking x on venue v costs a_v x + b_v x^(3/2): `touch` a_v is its half-spread and fee, `impact` b_v its price impact
over sqrt(x). The total is least where every venue that gets something has the same marginal cost nu, and those that are
dearer at their first unit get nothing: x_v = ((nu - a_v)^+ / (1.5 b_v))^2, with nu found by bisection.

Source    methods 1.2 (KKT conditions); the square-root law: methods 4.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError

FloatArray = NDArray[np.float64]

_BISECTIONS = 100


def split_taking(total: float, *, touch: FloatArray, impact: FloatArray) -> FloatArray:
    """How much to take on each of V venues.

    total     >= 0. touch: (V,) cost per unit of the first unit, any sign. impact: (V,) > 0, cost over x^(3/2).
    Returns   (V,) quantities >= 0 that add up to `total`.
    Raises    CallerError for no venue, shapes that differ, an impact that is not positive, or a negative total.
    """
    if total < 0.0 or touch.ndim != 1 or not len(touch) or touch.shape != impact.shape or not (impact > 0.0).all():
        raise CallerError(
            f"a total of {total} cannot be split by touch costs {touch.tolist()} and impacts {impact.tolist()}: "
            "it takes one positive impact for each venue and a total of 0 or more"
        )
    # At `high` the cheapest venue alone would get everything.
    low = float(touch.min())
    cheapest = int(touch.argmin())
    high = low + 1.5 * float(impact[cheapest]) * sqrt(total)
    for _ in range(_BISECTIONS):
        marginal = 0.5 * (low + high)
        if float(_taken(marginal, touch, impact).sum()) < total:
            low = marginal
        else:
            high = marginal
    found = _taken(high, touch, impact)
    whole = float(found.sum())
    return found * (total / whole) if whole > 0.0 else found


def in_whole_lots(quantities: FloatArray, *, total_lots: int) -> tuple[int, ...]:
    """Shares of `total_lots` in whole lots by largest remainder; the first of equal remainders comes first.

    quantities    (V,) >= 0, in any unit, not all 0.
    Raises        CallerError for others.
    """
    whole = float(quantities.sum())
    if total_lots < 0 or whole <= 0.0 or bool((quantities < 0.0).any()):
        raise CallerError(f"{total_lots} lots cannot be shared like {quantities.tolist()}")
    exact = quantities * (total_lots / whole)
    lots = np.floor(exact).astype(np.int64)
    order = np.argsort(lots - exact, kind="stable")
    lots[order[: total_lots - int(lots.sum())]] += 1
    return tuple(lots.tolist())


def _taken(marginal: float, touch: FloatArray, impact: FloatArray) -> FloatArray:
    taken: FloatArray = (np.maximum(marginal - touch, 0.0) / (1.5 * impact)) ** 2
    return taken
