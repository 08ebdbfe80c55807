"""When hypothetical resting orders would have been filled on a tape: many at once, each alone in its queue.

The rules are those of the tape-fed venue (methods 7.1 and 7.2), and a test holds the two to the same fills: an order
joins behind what is displayed at its price; a trade at its price serves those ahead first; a trade strictly through
its price, or an opposite best that reaches it in a book that is not crossed, fills it whole; one that would take on
arrival is refused. Nothing reacts to the orders and none is cancelled before its end.

At one instant trades come before the group, and a request after both. A *position* counts events in that order, so
that an order that arrives at position p has seen the events before p.

Where the tape has every order by its id, `exact` knows whom an order waits for: it is filled when a trade reaches an
order at its price that joined after it, or one at a worse price, or the opposite best its price.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.lab.columns import FeatureColumns
from sor.lab.order_hits import NEVER, order_hits
from sor.lab.passage import Lowest
from sor.models.queues import EXACT
from sor.tape import ByteColumn, IntColumn, Tape, level_changes

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


class Orders(NamedTuple):
    """N post-only orders: side +1 or -1, price, size, when they arrive at the venue, and when they are given up."""

    side: ByteColumn
    price_ticks: IntColumn
    lots: IntColumn
    arrived_ns: IntColumn
    until_ns: IntColumn


class Fates(NamedTuple):
    """What became of N orders.

    refused    would have taken on arrival, or there was no book yet.
    filled_ns  venue time at which nothing was left of the order, `NEVER` where that is not before its end.
    ahead_lots displayed at its price when it joined.
    """

    refused: Bools
    filled_ns: IntColumn
    ahead_lots: IntColumn


# --- queue models -----------------------------------------------------------------------------------------------------

Front = Callable[[Floats, Floats, int, int], Floats]
"""(lots ahead, lots traded since the last change, size before, size now) -> lots ahead, for orders at one price."""


def risk_averse(front: Floats, traded: Floats, before: int, now: int) -> Floats:
    """Only trades bring an order forward, and a level that shrank below what was ahead of it."""
    del traded, before
    cut: Floats = np.minimum(front, now)
    return cut


def moderate(front: Floats, traded: Floats, before: int, now: int) -> Floats:
    """Cancels are split by the power law with n = 2 between those ahead and those behind (methods 7.1)."""
    gone = before - now - traded
    back = before - front
    weight = np.where(back > 0.0, back, 0.0) ** 2
    share = weight / np.maximum(weight + front**2, 1e-300)
    spare = np.minimum(back - share * gone, 0.0)
    moved = np.maximum(front - (1.0 - share) * gone + spare, 0.0)
    cut: Floats = np.minimum(np.where((gone > 0.0) & (front > 0.0), moved, front), now)
    return cut


QUEUES: Mapping[str, Front] = MappingProxyType({"risk_averse": risk_averse, "moderate": moderate})
"""Estimates of the place in a queue by name; `exact` is none."""


# --- the tape, indexed ------------------------------------------------------------------------------------------------


class QueueFills:
    """One tape, indexed once, that says what becomes of orders.

    tape, columns    of the same recording; only the columns' prices are used, not their local times.
    queue            `risk_averse`, `moderate`, or `exact` where the tape has every order.
    event_ns         (E,) venue time of each trade and group, in order of position.
    """

    def __init__(self, tape: Tape, columns: FeatureColumns, *, queue: str = "risk_averse") -> None:
        if queue != EXACT and queue not in QUEUES:
            known = ", ".join((*QUEUES, EXACT))
            raise CallerError(f"{queue!r} is no queue model; nothing was computed. Use one of {known}")
        if queue == EXACT and tape.order_id is None:
            raise CallerError(
                f"tape {tape.name} does not have every order, so nobody's exact place is known; nothing was computed. "
                "Use risk_averse or moderate"
            )
        self._tape = tape
        self._queue = queue
        self._first_ns = int(np.append(tape.group_venue_ns, NEVER)[columns.first_group])
        group_ns, trade_ns = tape.group_venue_ns, tape.trade_venue_ns
        self._group_at = np.arange(len(group_ns)) + trade_ns.searchsorted(group_ns, "right")
        self._trade_at = np.arange(len(trade_ns)) + group_ns.searchsorted(trade_ns, "left")
        self.event_ns = np.empty(len(group_ns) + len(trade_ns), np.int64)
        self.event_ns[self._group_at] = group_ns
        self.event_ns[self._trade_at] = trade_ns
        bids = np.where(columns.bid_depth > 0, columns.bid_ticks[:, 0].astype(np.int64), -NEVER)
        asks = np.where(columns.ask_depth > 0, columns.ask_ticks[:, 0].astype(np.int64), NEVER)
        self._opposite = {1: asks, -1: -bids}
        sound = bids < asks
        self._reach = {side: np.where(sound, opposite, NEVER) for side, opposite in self._opposite.items()}
        key, group, lots = level_changes(tape)
        self._change_key, self._change_at, self._change_lots = key, self._group_at[group], lots
        trade_key = 2 * tape.trade_ticks + (tape.trade_side < 0)  # of the level that a trade takes from
        order = np.argsort(trade_key, kind="stable")
        self._trade_key, self._trade_pos = trade_key[order], self._trade_at[order]
        self._trade_lots = tape.trade_lots[order]

    def fates(self, orders: Orders) -> Fates:
        """What becomes of orders that go in together without meeting each other."""
        group = self._tape.group_venue_ns.searchsorted(orders.arrived_ns, "right") - 1
        refused = (group < 0) | (orders.arrived_ns < self._first_ns)
        row = np.maximum(group, 0)
        signed = orders.side * orders.price_ticks
        for side, opposite in self._opposite.items():
            if len(opposite):
                refused |= (orders.side == side) & (opposite[row] <= signed)
        begin = self.event_ns.searchsorted(orders.arrived_ns, "right")
        end = np.where(refused, begin, self.event_ns.searchsorted(orders.until_ns, "right"))
        ahead = np.zeros(len(signed), np.int64)
        if self._queue == EXACT:
            filled_ns = np.minimum(self._ns_of(self.sweeps(orders, begin, end, trades=False)), self._served(orders))
            filled_ns[refused | (filled_ns > orders.until_ns)] = NEVER
            self._walk(orders, begin, end, ahead, only_displayed=True)
        else:
            swept = self.sweeps(orders, begin, end, trades=True)
            served = self._walk(orders, begin, np.minimum(end, swept), ahead)
            filled_ns = self._ns_of(np.minimum(swept, served))
        return Fates(refused, filled_ns, ahead)

    def _ns_of(self, position: IntColumn) -> IntColumn:
        at_ns: IntColumn = np.append(self.event_ns, NEVER)[np.minimum(position, len(self.event_ns))]
        return at_ns

    def sweeps(self, orders: Orders, begin: IntColumn, end: IntColumn, *, trades: bool) -> IntColumn:
        """Position of the first opposite best that reaches each order, or trade through its price; E for none."""
        tape, found = self._tape, np.full(len(begin), len(self.event_ns))
        for side, reach in self._reach.items():
            stops = np.full(len(self.event_ns), NEVER)
            stops[self._group_at] = reach
            if trades:
                met = tape.trade_side == -side
                stops[self._trade_at[met]] = tape.trade_ticks[met] * side + 1
            ours = np.flatnonzero(orders.side == side)
            signed = side * orders.price_ticks[ours]
            found[ours] = Lowest(stops).first_at_most(signed, start=begin[ours], stop=end[ours])
        return found

    def _walk(
        self, orders: Orders, begin: IntColumn, end: IntColumn, ahead: IntColumn, *, only_displayed: bool = False
    ) -> IntColumn:
        """Position of the trade that fills each order from its queue before `end`, E for none; fills in `ahead`."""
        found = np.full(len(begin), len(self.event_ns))
        key = 2 * orders.price_ticks + (orders.side > 0)
        order = np.lexsort((begin, key))
        starts = np.flatnonzero(np.diff(key[order], prepend=-1))
        for ours in np.split(order, starts[1:]) if len(order) else []:
            level = self.level(int(key[ours[0]]), int(begin[ours[0]]), int(end[ours].max()))
            ahead[ours] = level.displayed(begin[ours])
            if not only_displayed:
                walk_level(
                    level,
                    QUEUES[self._queue],
                    orders=ours,
                    begin=begin[ours],
                    end=end[ours],
                    ahead=ahead[ours],
                    lots=orders.lots[ours],
                    found=found,
                )
        return found

    def level(self, key: int, begin: int, end: int) -> Level:
        """What happens at a price of a side, 2 x ticks + (1 for a bid), in [begin, end), and the last change before."""
        first, last = self._change_key.searchsorted((key, key + 1))
        change_at = self._change_at[first:last]
        low, high = change_at.searchsorted((begin, end))
        low = max(int(low) - 1, 0)
        first_trade, last_trade = self._trade_key.searchsorted((key, key + 1))
        trade_at = self._trade_pos[first_trade:last_trade]
        trade_low, trade_high = trade_at.searchsorted((begin, end))
        return Level(
            change_at[low:high],
            self._change_lots[first:last][low:high],
            trade_at[trade_low:trade_high],
            self._trade_lots[first_trade:last_trade][trade_low:trade_high],
        )

    # --- by order id --------------------------------------------------------------------------------------------------

    def _served(self, orders: Orders) -> IntColumn:
        """When a trade reached an order behind each of ours, or at a worse price; `NEVER` for none before its end."""
        filled_ns = np.full(len(orders.side), NEVER)
        hits = order_hits(self._tape)
        by_arrival = np.argsort(orders.arrived_ns, kind="stable")
        arrived = orders.arrived_ns[by_arrival]
        longest_ns = int((orders.until_ns - orders.arrived_ns).max(initial=0))
        for hit_ns, side, ticks, joined_ns in zip(*(column.tolist() for column in hits), strict=True):
            low, high = arrived.searchsorted((hit_ns - longest_ns, hit_ns))  # it was there before the message came
            there = by_arrival[low:high]
            signed = side * orders.price_ticks[there]
            behind = (signed == side * ticks) & (orders.arrived_ns[there] < joined_ns)
            reached = there[(orders.side[there] == side) & ((signed > side * ticks) | behind)]
            filled_ns[reached] = np.minimum(filled_ns[reached], hit_ns)
        return filled_ns


class Level(NamedTuple):
    """One price: positions and sizes of its changes, the first of them maybe before the rest; and of its trades."""

    change_at: IntColumn
    change_lots: IntColumn
    trade_at: IntColumn
    trade_lots: IntColumn

    def displayed(self, position: IntColumn) -> IntColumn:
        """Size just before each position."""
        size: IntColumn = np.append(0, self.change_lots)[self.change_at.searchsorted(position, "left")]
        return size


def walk_level(
    level: Level,
    model: Front,
    *,
    orders: IntColumn,
    begin: IntColumn,
    end: IntColumn,
    ahead: IntColumn,
    lots: IntColumn,
    found: IntColumn,
) -> None:
    """Take the orders at one price along what happens there: once past the events, all orders in each step.

    orders    (n,) their numbers, by arrival: `found[number]` becomes the position of the trade that fills it.
    begin     (n,) position at which each arrives, ascending; end: beyond its last. ahead, lots: at arrival.
    """
    positions = np.concatenate((level.change_at, level.trade_at))
    sizes = np.concatenate((level.change_lots, level.trade_lots))
    is_trade = np.arange(len(positions)) >= len(level.change_at)
    order = np.argsort(positions, kind="stable")
    there: IntColumn = np.zeros(0, np.int64)
    nobody: Floats = np.zeros(0)
    front = traded = left = nobody
    joined, displayed = 0, 0
    waiting = begin.tolist()
    events = zip(positions[order].tolist(), sizes[order].tolist(), is_trade[order].tolist(), strict=True)
    for position, size, trade in events:
        first = joined
        while joined < len(waiting) and waiting[joined] <= position:
            joined += 1
        if joined > first:
            there = np.append(there, np.arange(first, joined))
            front = np.append(front, ahead[first:joined].astype(np.float64))
            traded = np.append(traded, np.zeros(joined - first))
            left = np.append(left, lots[first:joined].astype(np.float64))
        if len(there):
            kept = end[there] > position
            if not kept.all():
                there, front, traded, left = there[kept], front[kept], traded[kept], left[kept]
        if not trade:
            if len(there):
                front = model(front, traded, displayed, size)
                traded = np.zeros(len(there))
            displayed = size
        elif len(there):
            traded = traded + size
            front = front - size
            over = np.floor(0.5 - front)
            reached = over > 0.0
            if reached.any():
                front = np.where(reached, 0.0, front)
                left = left - np.where(reached, np.minimum(over, size), 0.0)
                done = left <= 0.0
                found[orders[there[done]]] = position
                kept = ~done
                there, front, traded, left = there[kept], front[kept], traded[kept], left[kept]
        if not len(there) and joined == len(waiting):
            return
