"""Between two askings of a policy: looks at a recording, queues followed to a fill, conditions that come true.

Beside `sor.lab.sweep.kernel` and in the same manner: plain Python over arrays that numba compiles as it stands. The
rules are those of the tape-fed venue and its feed; tests hold what is seen, asked and filled to theirs.

An order and a watch are arrays that these functions change, so that a call takes few arguments. What is known of an
order's place in its queue is in (`ORDER` int64, 1 float64), what a watch waits for in (`WATCH` int64, 2 float64). The
tables come in one array, with where each begins and ends.
"""

from __future__ import annotations

from math import ceil, floor, inf
from typing import Final

import numpy as np

from sor.lab.sweep.kernel import (
    BPS,
    EMPTY,
    NEVER,
    OK,
    Floats,
    Ints,
    Market,
    Place,
    change_at,
    followed,
    joined,
    moved,
    past,
)

DEPTH: Final = 10
"""Levels a side of a look."""

DUST: Final = 1e-6
"""Lots that are nobody's, as in `sor.standing`."""
SIDE: Final = 0
TICKS: Final = 1
LEFT: Final = 2
TRADED: Final = 3
SHOWN: Final = 4
CHANGE: Final = 5
LAST: Final = 6
GROUP: Final = 7
TRADE: Final = 8
ORDER: Final = 9
"""Places in an order: its side, price and what is left of it, then as in `Place`; how many there are."""

BEGUN: Final = 0
NEXT: Final = 1
MOVED: Final = 2
TRUST: Final = 3
FIRST: Final = 4
SECOND: Final = 5
LEVELS: Final = 6
BID: Final = 8
ASK: Final = 9
FIRST_FROM: Final = 10
SECOND_FROM: Final = 11
WATCH: Final = 12
"""Places in a watch. Set by whoever waits: 0; the next group to be judged, after the one that was seen; by how many
ticks a best price must move, 0 for never; 1 if a change of trust counts; twice a condition on the spread, 1 for above,
-1 for below and 0 for none; their two levels, float64. Worked out from that: 1; the best prices seen; since when each
condition is known not to have held, `NEVER` while it has. How many there are."""


HEADER: Final = 28
"""Where the columns of a market begin and end stands before them in the array that holds them all."""


def opened(tables: Ints) -> Market:
    """The columns that one array holds: a call is the quicker the fewer arrays it takes."""
    return Market(
        tables[tables[0] : tables[1]],
        tables[tables[2] : tables[3]],
        tables[tables[4] : tables[5]],
        tables[tables[6] : tables[7]],
        tables[tables[8] : tables[9]],
        tables[tables[10] : tables[11]],
        tables[tables[12] : tables[13]],
        tables[tables[14] : tables[15]],
        tables[tables[16] : tables[17]],
        tables[tables[18] : tables[19]],
        tables[tables[20] : tables[21]],
        tables[tables[22] : tables[23]],
        tables[tables[24] : tables[25]],
        tables[tables[26] : tables[27]],
    )


def looked(tables: Ints, now_ns: int, low: int, levels: Ints) -> tuple[int, int, int, int, int]:
    """The last group known at `now_ns`, -1 before the first.

    low        no more groups than are known. levels: (2, DEPTH, 2), price and size of the bids, then of the asks.
    Returns    the group, its venue time, its trust, and how many levels of each side are in `levels`.
    """
    market = opened(tables)
    group = past(market.group_local_ns, now_ns, low) - 1
    if group < 0:
        return group, 0, 0, 0, 0
    bids, asks = _ladder(market, 1, group, levels[0]), _ladder(market, -1, group, levels[1])
    return group, market.group_ns[group], market.trust[group], bids, asks


def _ladder(market: Market, side: int, group: int, levels: Ints) -> int:
    """Fill in the best levels of a side after a group; how many there are."""
    best = market.bid[group] if side > 0 else market.ask[group]
    keys = market.level_key
    parity = 1 if side > 0 else 0
    if abs(best) == NEVER:
        return 0
    at = past(keys, 2 * best + parity, 0) - 1
    count = 0
    while 0 <= at < len(keys) and count < DEPTH:
        if keys[at] & 1 == parity:
            change = change_at(market, at, group)
            shown = market.change_lots[change - 1] if change > market.level_first[at] else 0
            if shown:
                levels[count, 0], levels[count, 1] = keys[at] >> 1, shown
                count += 1
        at -= side
    return count


def opposite_at(tables: Ints, side: int, at_ns: int, low: int) -> tuple[int, int]:
    """The last group in force at venue time `at_ns`, and the price x side that an order of `side` would meet there."""
    market = opened(tables)
    group = past(market.group_ns, at_ns, low) - 1
    if group < 0:
        return group, NEVER
    return group, market.ask[group] if side > 0 else -market.bid[group]


def rested(
    tables: Ints,
    orders: Ints,
    aheads: Floats,
    row: int,
    side: int,
    ticks: int,
    lots: int,
    group: int,
    at_ns: int,
) -> None:
    """Let an order join its queue at `at_ns`, which is after `group`.

    orders, aheads    (N, ORDER) and (N, 1); it is put into that row of both.
    """
    market = opened(tables)
    orders[row, SIDE], orders[row, TICKS], orders[row, LEFT] = side, ticks, lots
    _keep(orders[row], aheads[row], joined(market, side, ticks, group, past(market.trade_ns, at_ns, 0)))


def _keep(order: Ints, ahead: Floats, place: Place) -> None:
    ahead[0] = place.ahead
    order[TRADED], order[SHOWN], order[CHANGE] = place.traded, place.shown, place.change
    order[LAST], order[GROUP], order[TRADE] = place.last, place.group, place.trade


def walked(tables: Ints, orders: Ints, aheads: Floats, got: Ints, count: int, until_ns: int, shared: int) -> int:
    """Follow the orders at one price, oldest first, to the next fill of any by `until_ns`: when; `NEVER` for none.

    orders, aheads, got    (N, ORDER), (N, 1) and (N,); the first `count` rest, all as of one moment. What each is
                           filled is in `got` and is taken off it here.
    """
    market = opened(tables)
    got[:] = 0
    if count == 1:
        order = orders[0]
        place = Place(
            aheads[0, 0],
            order[TRADED],
            order[SHOWN],
            order[CHANGE],
            order[LAST],
            order[GROUP],
            order[TRADE],
            NEVER,
            0,
        )
        place = followed(market, order[SIDE], order[TICKS], order[LEFT], place, until_ns, shared)
        _keep(order, aheads[0], place)
        order[LEFT] -= place.got
        got[0] = place.got
        return int(place.ns)
    return _walked_together(market, orders, aheads, got, count, until_ns, shared)


def _walked_together(
    market: Market, orders: Ints, aheads: Floats, got: Ints, count: int, until_ns: int, shared: int
) -> int:
    """The same for several: event by event, as what one of them is filled is not there for those behind it."""
    first = orders[0]
    side, ticks = first[SIDE], first[TICKS]
    groups, trades = len(market.group_ns), len(market.trade_ns)
    while True:
        group, trade = first[GROUP], first[TRADE]
        group_ns = market.group_ns[group] if group < groups else NEVER
        trade_ns = market.trade_ns[trade] if trade < trades else NEVER
        at_ns = min(group_ns, trade_ns)
        if at_ns == NEVER or at_ns > until_ns:
            return NEVER
        swept = False
        lots = 0
        if trade_ns <= group_ns:
            met_ticks = side * market.trade_ticks[trade] if market.trade_side[trade] == -side else NEVER
            swept = met_ticks < side * ticks
            lots = market.trade_lots[trade] if met_ticks == side * ticks else 0
            moved_on = TRADE
        else:
            bid, ask = market.bid[group], market.ask[group]
            swept = bid < ask and (ask if side > 0 else -bid) <= side * ticks
            moved_on = GROUP
        ours = 0
        for at in range(count):
            order = orders[at]
            order[moved_on] += 1
            if swept:
                got[at] = order[LEFT]
            elif lots:
                got[at] = min(_reached(order, aheads[at], lots, ours), order[LEFT])
            elif trade_ns > group_ns and order[CHANGE] < order[LAST] and market.change_group[order[CHANGE]] == group:
                size = market.change_lots[order[CHANGE]]
                aheads[at, 0] = moved(aheads[at, 0], order[TRADED], order[SHOWN], size, shared)
                order[TRADED], order[SHOWN] = 0, size
                order[CHANGE] += 1
            order[LEFT] -= got[at]
            ours += got[at]
        if ours:
            return int(at_ns)


def _reached(order: Ints, ahead: Floats, lots: int, ours: int) -> int:
    """Lots of a trade at its price that reach an order, of which those before it took `ours`."""
    reach = lots - ours
    order[TRADED] += lots
    ahead[0] -= reach
    over = floor(0.5 - ahead[0])
    if over <= 0:
        return 0
    ahead[0] = 0.0
    return int(min(reach, over))


def holds(sign: int, level: float, bid: int, ask: int) -> bool:
    """Whether the spread of a sound book, in bps of the mid, is above a level, or below it."""
    spread = 2.0 * BPS * (ask - bid) / (bid + ask)
    return bool(spread > level) if sign > 0 else bool(spread < level)


def awaited(tables: Ints, watch: Ints, levels: Floats, until_ns: int) -> int:
    """When the first condition of a watch comes true by `until_ns`, local time; `NEVER` if none does.

    levels    the same memory as `watch`, read as float64.
    """
    market = opened(tables)
    if not watch[BEGUN]:
        _begin(market, watch, levels)
    local = market.group_local_ns
    count = len(local)
    group = watch[NEXT]
    bid, ask, far = watch[BID], watch[ASK], watch[MOVED]
    one, other = watch[FIRST], watch[SECOND]
    before = market.trust[group - 1] if group > 0 else 0
    while group < count and local[group] <= until_ns:
        trust = market.trust[group]
        if watch[TRUST] and trust != before:
            return int(local[group])
        before = trust
        sound = trust == OK
        if sound and far and (abs(market.bid[group] - bid) >= far or abs(market.ask[group] - ask) >= far):
            return int(local[group])
        if one:
            held = sound and holds(one, levels[LEVELS], market.bid[group], market.ask[group])
            if held and local[group] > watch[FIRST_FROM]:
                return int(local[group])
            if not held and watch[FIRST_FROM] == NEVER:
                watch[FIRST_FROM] = local[group]
        if other:
            held = sound and holds(other, levels[LEVELS + 1], market.bid[group], market.ask[group])
            if held and local[group] > watch[SECOND_FROM]:
                return int(local[group])
            if not held and watch[SECOND_FROM] == NEVER:
                watch[SECOND_FROM] = local[group]
        group += 1
    watch[NEXT] = group
    return NEVER


def _begin(market: Market, watch: Ints, levels: Floats) -> None:
    """Note what there was to see when a watch was set."""
    seen = watch[NEXT] - 1
    trust = market.trust[seen] if seen >= 0 else EMPTY
    if trust == EMPTY:
        watch[MOVED] = 0
    else:
        watch[BID], watch[ASK] = market.bid[seen], market.ask[seen]
    watch[FIRST_FROM] = watch[SECOND_FROM] = 0
    if trust == OK and watch[FIRST] and holds(watch[FIRST], levels[LEVELS], watch[BID], watch[ASK]):
        watch[FIRST_FROM] = NEVER
    if trust == OK and watch[SECOND] and holds(watch[SECOND], levels[LEVELS + 1], watch[BID], watch[ASK]):
        watch[SECOND_FROM] = NEVER
    watch[BEGUN] = 1


def met(tables: Ints, side: int, group: int, limit_ticks: int, lots: int, rows: Ints) -> int:
    """What an order of `side` would take from after `group`, best first, no further than its limit, up to `lots`.

    rows    (N, 3) price, displayed size, and a number that changes whenever the level does.
    Returns how many levels there are; N may be too few.
    """
    market = opened(tables)
    keys = market.level_key
    best = market.ask[group] if side > 0 else market.bid[group]
    count = 0
    if abs(best) == NEVER:
        return count
    parity = 0 if side > 0 else 1  # of the levels that it takes from
    at = past(keys, 2 * best + parity, 0) - 1
    while 0 <= at < len(keys) and lots > 0 and count < len(rows):
        ticks = keys[at] >> 1
        if side * ticks > side * limit_ticks:
            break
        if keys[at] & 1 == parity:
            change = change_at(market, at, group)
            shown = market.change_lots[change - 1] if change > market.level_first[at] else 0
            if shown:
                rows[count, 0], rows[count, 1], rows[count, 2] = ticks, shown, change - 1
                count += 1
                lots -= shown
        at += side
    return count


def stands(tables: Ints, order: Ints, ahead: Floats, now_ns: int, filled: int) -> None:
    """Let us begin to follow, from local time `now_ns`, the place of an order with side and price: see `sor.standing`.

    Its `LEFT` is then what others show at its price, -1 while that is not known.
    """
    market = opened(tables)
    side, ticks = order[SIDE], order[TICKS]
    group = past(market.group_local_ns, now_ns, 0) - 1
    place = joined(market, side, ticks, group, past(market.trade_local_ns, now_ns, 0))
    _keep(order, ahead, place)
    order[LEFT] = order[SHOWN] = -1
    ahead[0] = inf
    if group >= 0 and (place.shown or _deeper(market, side, ticks, group)):
        order[LEFT] = order[SHOWN] = place.shown
        ahead[0] = 0.0 if filled else place.ahead


def stood(tables: Ints, order: Ints, ahead: Floats, now_ns: int) -> int:
    """Lots ahead of such an order as known at `now_ns`, -1 where that is not known."""
    market = opened(tables)
    trades = len(market.trade_ns)
    while True:
        change, trade = order[CHANGE], order[TRADE]
        while trade < trades and not (
            market.trade_side[trade] == -order[SIDE] and market.trade_ticks[trade] == order[TICKS]
        ):
            if market.trade_local_ns[trade] > now_ns:
                break
            trade += 1
        order[TRADE] = trade
        change_ns = market.group_local_ns[market.change_group[change]] if change < order[LAST] else NEVER
        trade_ns = market.trade_local_ns[trade] if trade < trades else NEVER
        if min(change_ns, trade_ns) > now_ns:
            break
        if trade_ns <= change_ns:
            order[TRADE] = trade + 1
            if order[LEFT] >= 0:
                _reached(order, ahead, market.trade_lots[trade], 0)
        else:
            order[CHANGE] = change + 1
            _sees(market, order, ahead, market.change_lots[change], market.change_group[change])
    return max(0, ceil(ahead[0] - DUST)) if order[LEFT] >= 0 else -1


def _sees(market: Market, order: Ints, ahead: Floats, lots: int, group: int) -> None:
    """So many lots are displayed at the price of such an order after `group`."""
    if lots == order[SHOWN]:
        return
    order[SHOWN] = lots
    others = order[LEFT]
    if not lots and (others < 0 or not _deeper(market, order[SIDE], order[TICKS], group)):
        order[LEFT] = -1
        return
    if others < 0:
        ahead[0] = min(ahead[0], float(lots))
    else:
        ahead[0] = moved(ahead[0], order[TRADED], others, lots, 1)
    order[TRADED] = 0
    order[LEFT] = lots


def _deeper(market: Market, side: int, ticks: int, group: int) -> bool:
    """Whether a worse price than this is displayed on its side of the book after `group`."""
    keys = market.level_key
    parity = 1 if side > 0 else 0
    key = 2 * ticks + parity
    at = past(keys, key - 1, 0) - 1 if side > 0 else past(keys, key, 0)
    while 0 <= at < len(keys):
        if keys[at] & 1 == parity:
            change = change_at(market, at, group)
            if change > market.level_first[at] and market.change_lots[change - 1]:
                return True
        at -= side
    return False


def blank_levels() -> Ints:
    """Room for a look."""
    return np.zeros((2, DEPTH, 2), np.int64)
