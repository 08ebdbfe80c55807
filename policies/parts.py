"""What the policies that cut an order into parts have in common: the smallest part, and the parts that stay."""

from __future__ import annotations

from collections.abc import Iterable

from policies.case import Case
from sor.policy import Rest
from sor.reasons import TimeoutBound
from sor.snapshot import Resting


def least_lots(case: Case) -> int:
    """The smallest part that the venue takes, whether it rests at the near touch or crosses at the other."""
    lower = min(case.near, case.touch)
    return case.view.instrument.least_lots(touch_ticks=lower, reduce_only=case.view.reduce_only)


def kept_rests(orders: Iterable[Resting], open_lots: int) -> tuple[Rest, ...]:
    """Our orders where they are, in their order, as far as what is open needs them."""
    found: list[Rest] = []
    left = open_lots
    for order in orders:
        lots = min(left, order.leaves_lots)
        if lots > 0:
            found.append(Rest(order.venue, lots, order.price_ticks, order.expire_ns, TimeoutBound.NONE))
            left -= lots
    return tuple(found)
