"""Which resting orders trades reached, on a tape that has every order by its id: what a true queue is known by.

The feed tells of a trade and of the order that it filled in two messages, at most `SAME_NS` apart.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.tape import IntColumn, OrderKind, Tape
from sor.units import MS

NEVER = 1 << 62
"""Later than every event; as a signed price beyond every price."""
SAME_NS = 500 * MS


class Hits(NamedTuple):
    """Resting orders that a trade reached: when it was told, side and price, and when each joined its queue."""

    told_ns: IntColumn
    side: IntColumn
    ticks: IntColumn
    joined_ns: IntColumn


class _Known(msgspec.Struct, gc=False):
    joined_ns: int
    side: int
    ticks: int
    lots: int


def order_hits(tape: Tape) -> Hits:
    """Which orders of an order-by-order tape were filled while they rested, told from those that took themselves.

    An order older than the recording becomes known by its first message and counts as ahead of everybody.
    """
    columns = (tape.order_venue_ns, tape.order_kind, tape.order_id, tape.order_side, tape.order_ticks, tape.order_lots)
    rows = zip(*(column.tolist() for column in columns if column is not None), strict=True)
    live: dict[int, _Known] = {}
    found: list[tuple[int, int, int, int]] = []
    for told_ns, kind, order_id, side, ticks, lots in rows:
        before = live.get(order_id)
        filled = not lots if before is None else before.lots > lots
        if filled and (kind == OrderKind.CHANGED or not lots):
            hit = before or _Known(-NEVER, side, ticks, lots)
            found.append((told_ns, hit.side, hit.ticks, hit.joined_ns))
        if kind == OrderKind.DELETED:
            live.pop(order_id, None)
        elif before is None or before.ticks != ticks:
            live[order_id] = _Known(told_ns, side, ticks, lots)
        else:
            before.lots = lots
    told_ns, hit_side, hit_ticks, joined_ns = np.array(found, np.int64).reshape(-1, 4).T
    real = _traded_near(tape, told_ns, hit_side, hit_ticks)
    return Hits(told_ns[real], hit_side[real], hit_ticks[real], joined_ns[real])


def _traded_near(tape: Tape, at_ns: IntColumn, side: IntColumn, ticks: IntColumn) -> NDArray[np.bool_]:
    """Whether somebody took from each side at each price about then."""
    key = 2 * tape.trade_ticks + (tape.trade_side < 0)
    order = np.lexsort((tape.trade_venue_ns, key))
    # One number that orders by price, then time: the time within the recording, and prices that far apart.
    begin = int(min(tape.trade_venue_ns.min(initial=NEVER), at_ns.min(initial=NEVER))) - SAME_NS
    prices, place = np.unique(np.concatenate((key, 2 * ticks + (side > 0))), return_inverse=True)
    span = int(max(tape.trade_venue_ns.max(initial=begin), at_ns.max(initial=begin))) - begin + 2 * SAME_NS
    assert len(prices) * span < NEVER, "a recording is not that long"
    trades = place[: len(key)][order] * span + (tape.trade_venue_ns[order] - begin)
    asked = place[len(key) :] * span + (at_ns - begin)
    near: NDArray[np.bool_] = trades.searchsorted(asked - SAME_NS, "left") < trades.searchsorted(
        asked + SAME_NS, "left"
    )
    return near
