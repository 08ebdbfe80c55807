"""The replay kernel: parents of one parametric resting policy over a recording, jumping from event to event.

The rules are those of the tape-fed venue (`venues.simulated.tape`, `tape_level`) and of `maker_first` behind the
router; a test holds the fills of both to the same nanosecond, price and size. Whatever else could happen to a parent
(see the `BEYOND_` codes) is not guessed at: the parent is marked and is for the production engine to answer.

Everything here is plain Python over arrays and runs as it stands. It is written in what numba compiles, which
`sor.lab.sweep.compiled` does: no objects but named tuples of arrays and numbers, one type a variable. Where the two
could differ in a last bit, the arithmetic is spelled out: a square is a product and no power.

Prices are signed where a name says so, side x ticks: larger is more aggressive for both sides. At one instant the
trades come before the group and the group before our request.
"""

from __future__ import annotations

from math import floor, inf
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bytes = NDArray[np.int8]
Ints32 = NDArray[np.int32]
Floats = NDArray[np.float64]

NEVER: Final = 1 << 62
"""Later than every event, and beyond every price: the best prices of an empty side are -NEVER and NEVER."""
NS: Final = 1_000_000_000
BPS: Final = 10_000.0

EMPTY: Final = 0
OK: Final = 1
CROSSED: Final = 2
"""What is known of a book; EMPTY is also one with a side missing."""

DONE: Final = 0
UNFINISHED: Final = 1
BEYOND_BOOK: Final = 2
BEYOND_SILENCE: Final = 3
BEYOND_DEPTH: Final = 4
BEYOND_MINIMUM: Final = 5
BEYOND_TIME: Final = 6
ROOM: Final = 7
ENDED: Final = 8
BEYOND_TIE: Final = 9
BEYOND_PLACE: Final = 10
BEYOND_TOGETHER: Final = 11
BEYOND_FAULT: Final = 12
"""How a parent was left: done; the recording ended first; the book was not sound, silent for longer than a book may
be, or too thin for its crossing; less than the venue's minimum was left; its time was up; no room for its fills.
In the lane of policies also: ended with something left; a fill and something else came at one instant; its policy
waits for a place in the queue; too many orders would rest at one price; its policy failed, or the router raised an
alarm."""


_SIZE: Final = 0
_NAMED: Final = 1
_CHANGES: Final = 2
"""What is known of a level while a recording is put into tables."""


class Market(NamedTuple):
    """One recording: G groups, T trades, C changes of K levels.

    group_ns, trade_ns        venue time of each; group_local_ns, trade_local_ns: when it was known to us.
    bid, ask, trust           (G,) best prices in ticks after each group, and what the book is.
    trade_side, _ticks, _lots (T,) aggressor, price and size.
    level_key                 (K,) ascending, 2 x ticks + (1 for a bid). level_first (K+1,): whose changes are where.
    change_group, _lots       (C,) by level, then time: group and the size it left.
    """

    group_ns: Ints
    group_local_ns: Ints
    bid: Ints
    ask: Ints
    trust: Ints
    trade_ns: Ints
    trade_local_ns: Ints
    trade_side: Ints
    trade_ticks: Ints
    trade_lots: Ints
    level_key: Ints
    level_first: Ints
    change_group: Ints
    change_lots: Ints


class Terms(NamedTuple):
    """The policy and what surrounds it, as numbers.

    clip_lots      of one order; 0 for all that is left. A parent goes on with the next when one is filled.
    inside         1: rest one tick inside the touch where there is room, as S1 has it; 0: at the touch.
    requote_ticks  withdraw and rest anew when the price it would rest at is so far from where it rests; 0: never.
    timeout_s      an order rests for so long, infinite for ever. timeouts_max, refusals_max: as of the policies.
    crosses        1: what has timed out crosses, as does what is wide or late; 0: it rests again.
    spread_max     bps: wider than this it crosses at once; spread_exit: and withdraws what rests.
    collar_bps     how far beyond the touch a crossing reaches.
    deadline_ns    from the start of a parent until its orders must be gone, a cancel and a crossing before the last.
    trips_ns       of a cancel and a submission together: less than that is too late to rest.
    entry_ns, response_ns    our way to the venue and back.
    shared         1: cancels are shared by the power law with n = 2 (`moderate`); 0: `risk_averse`.
    retry_ns, retry_ns_max   before it tries again what was not let rest, twice as long each time, and at most.
    stale_ns       a book that was silent for longer is not acted on.
    min_lots, min_value      smallest order: so many lots, and lots x ticks.
    on_feed        1: it acts only when market data comes, as a strategy does that looks at nothing else.
    """

    clip_lots: int
    inside: int
    requote_ticks: int
    timeout_s: float
    timeouts_max: int
    refusals_max: int
    crosses: int
    spread_max: float
    spread_exit: float
    collar_bps: float
    deadline_ns: int
    trips_ns: int
    entry_ns: int
    response_ns: int
    shared: int
    retry_ns: int
    retry_ns_max: int
    stale_ns: int
    min_lots: int
    min_value: int
    on_feed: int


class Asked(NamedTuple):
    """N parents: side +1 or -1, quantity, and when each starts, in local time."""

    side: Ints
    lots: Ints
    start_ns: Ints


class Filled(NamedTuple):
    """Room for what happened, to be filled in.

    parent, ns, ticks, lots, maker    of each fill: whose, venue time, price, size, and 1 for a maker's.
    state          (N,) how each parent was left. orders: (N,) how many it sent.
    timeouts       (N,) how many of them ran out of time.
    """

    parent: Ints
    ns: Ints
    ticks: Ints
    lots: Ints
    maker: Bytes
    state: Bytes
    orders: Ints
    timeouts: Ints


class Place(NamedTuple):
    """Where an order stands in its queue, and how far along the recording it has been followed.

    ahead, traded    as in `sor.models.queues`. shown: displayed at its price.
    change, last     the next one there, and where they end.
    group, trade     the next ones. ns, got: when it was filled last, `NEVER` if not by then, and how many lots.
    """

    ahead: float
    traded: int
    shown: int
    change: int
    last: int
    group: int
    trade: int
    ns: int
    got: int


def past(times: Ints, at_ns: int, low: int) -> int:
    """How many of ascending `times` are not after `at_ns`; no less than `low`, from where it is looked for."""
    count = len(times)
    step = 1
    high = low
    while high < count and times[high] <= at_ns:
        low = high + 1
        high += step
        step *= 2
    high = min(high, count)
    while low < high:
        middle = (low + high) >> 1
        if times[middle] <= at_ns:
            low = middle + 1
        else:
            high = middle
    return low


def told_apart(ticks: Ints, low: int, place_of: Ints32, found: Ints) -> int:
    """Put each of `ticks` into `found` once, as they come; how many there are. `low` is the least of them.

    place_of    (highest - low + 1,) zeros, which are marked.
    """
    count = 0
    for row in range(len(ticks)):
        tick = ticks[row]
        if not place_of[tick - low]:
            place_of[tick - low] = 1
            found[count] = tick
            count += 1
    return count


def tabled(
    group_first: Ints,
    group_snapshot: Bytes,
    level_side: Bytes,
    level_ticks: Ints,
    level_lots: Ints,
    low: int,
    place_of: Ints32,
    market: Market,
) -> int:
    """Fill in the best prices after each group, what the book is, and the changes of all levels; how many they are.

    Nothing is known before the first snapshot, and what a snapshot does not name is removed by it. Of a level that is
    named twice in one group the last word counts.

    level_ticks    (L,) of each level change its price: `place_of[ticks - low]` is the place of its level for asks among
                   half as many prices as `market.level_key` has, ascending.
    """
    levels = len(market.level_key)
    held = np.zeros((levels, 3), np.int64)  # of each level its size, who named it last, and how many changes it has
    held[:, _NAMED] = -1
    _books(group_first, group_snapshot, level_side, level_ticks, level_lots, low, place_of, held, market)
    count = 0
    for level in range(levels):
        market.level_first[level] = count
        count += held[level, _CHANGES]
        held[level, _SIZE], held[level, _NAMED], held[level, _CHANGES] = 0, -1, market.level_first[level]
    market.level_first[levels] = count
    _changes(group_first, group_snapshot, level_side, level_ticks, level_lots, low, place_of, held, market)
    return count


def _books(
    group_first: Ints,
    group_snapshot: Bytes,
    level_side: Bytes,
    level_ticks: Ints,
    level_lots: Ints,
    low: int,
    place_of: Ints32,
    held: Ints,
    market: Market,
) -> None:
    """The best prices after each group and what the book is; how many changes each level has."""
    levels = len(held)
    best_bid, best_ask = -1, levels >> 1
    known = False
    for group in range(len(group_first) - 1):
        if group_snapshot[group]:
            known = True
            best_bid, best_ask = -1, levels >> 1
            for level in range(levels):
                if held[level, _SIZE]:
                    held[level, _SIZE], held[level, _NAMED] = 0, group
                    held[level, _CHANGES] += 1
        for row in range(group_first[group], group_first[group + 1]):
            place, lots, buys = place_of[level_ticks[row] - low], level_lots[row], level_side[row] > 0
            level = 2 * place + buys
            held[level, _SIZE] = lots
            if held[level, _NAMED] != group:
                held[level, _NAMED] = group
                held[level, _CHANGES] += 1
            there = lots > 0
            if buys:
                if place >= best_bid + there:  # seldom: better, or the best and gone
                    best_bid = max(best_bid, place if there else -1)
                    while best_bid >= 0 and held[2 * best_bid + 1, _SIZE] == 0:
                        best_bid -= 1
            elif place <= best_ask - there:
                best_ask = min(best_ask, place if there else levels)
                while 2 * best_ask < levels and held[2 * best_ask, _SIZE] == 0:
                    best_ask += 1
        bids, asks = known and best_bid >= 0, known and 2 * best_ask < levels
        market.bid[group] = market.level_key[2 * best_bid] >> 1 if bids else -NEVER
        market.ask[group] = market.level_key[2 * best_ask] >> 1 if asks else NEVER
        market.trust[group] = EMPTY
        if bids and asks:
            market.trust[group] = OK if best_bid < best_ask else CROSSED


def _changes(
    group_first: Ints,
    group_snapshot: Bytes,
    level_side: Bytes,
    level_ticks: Ints,
    level_lots: Ints,
    low: int,
    place_of: Ints32,
    held: Ints,
    market: Market,
) -> None:
    """Put the changes of each level where its next one belongs."""
    levels = len(held)
    for group in range(len(group_first) - 1):
        if group_snapshot[group]:
            for level in range(levels):
                if held[level, _SIZE]:
                    at = held[level, _CHANGES]
                    market.change_group[at], market.change_lots[at] = group, 0
                    held[level, _SIZE], held[level, _NAMED], held[level, _CHANGES] = 0, group, at + 1
        for row in range(group_first[group], group_first[group + 1]):
            level = 2 * place_of[level_ticks[row] - low] + (level_side[row] > 0)
            at = held[level, _CHANGES]
            if held[level, _NAMED] == group:
                at -= 1
            held[level, _SIZE], held[level, _NAMED], held[level, _CHANGES] = level_lots[row], group, at + 1
            market.change_group[at], market.change_lots[at] = group, level_lots[row]


def level_at(market: Market, side: int, ticks: int) -> int:
    """Number of a level, -1 for one that never was."""
    key = 2 * ticks + (1 if side > 0 else 0)
    near = key - market.level_key[0]
    if 0 <= near < len(market.level_key) and market.level_key[near] == key:
        return int(near)  # every price between the extremes occurs, as is usual
    at = past(market.level_key, key, 0) - 1
    return at if at >= 0 and market.level_key[at] == key else -1


def change_at(market: Market, level: int, group: int) -> int:
    """The first change of a level that is after `group`."""
    low = market.level_first[level]
    left = market.level_first[level + 1] - low
    while left > 0:  # without a branch that nobody could predict
        half = (left + 1) >> 1
        low += half * (market.change_group[low + half - 1] <= group)
        left -= half
    return int(low)


def joined(market: Market, side: int, ticks: int, group: int, trade: int) -> Place:
    """The place of an order that arrives after `group` and after the first `trade` trades: behind all displayed."""
    level = level_at(market, side, ticks)
    if level < 0:
        return Place(0.0, 0, 0, 0, 0, group + 1, trade, NEVER, 0)
    change = change_at(market, level, group)
    shown = market.change_lots[change - 1] if change > market.level_first[level] else 0
    return Place(float(shown), 0, shown, change, market.level_first[level + 1], group + 1, trade, NEVER, 0)


def moved(ahead: float, traded: int, before: int, now: int, shared: int) -> float:
    """What is ahead after the displayed size went from `before` to `now`, `traded` of it in trades."""
    if shared:
        gone = before - traded - now
        if gone > 0 and ahead > 0.0:
            back = before - ahead
            share = 0.0
            if back > 0.0:
                share = back * back / (back * back + ahead * ahead)
            spare = back - share * gone
            ahead -= (1.0 - share) * gone
            if spare < 0.0:
                ahead += spare
            ahead = max(ahead, 0.0)
    return min(ahead, float(now))


def followed(market: Market, side: int, ticks: int, left: int, place: Place, until_ns: int, shared: int) -> Place:
    """The place of an order after its next fill, or after everything up to `until_ns`."""
    groups, trades = len(market.group_ns), len(market.trade_ns)
    signed = side * ticks
    ahead, traded, shown, change, last = place.ahead, place.traded, place.shown, place.change, place.last
    group, trade = place.group, place.trade
    next_change = market.change_group[change] if change < last else NEVER
    trade_ns = market.trade_ns[trade] if trade < trades else NEVER
    while group < groups or trade < trades:
        group_ns = market.group_ns[group] if group < groups else NEVER
        # The trades that met the book before this group, then the group.
        while trade_ns <= group_ns and trade < trades:
            if trade_ns > until_ns:
                return Place(ahead, traded, shown, change, last, group, trade, NEVER, 0)
            at_ns = trade_ns
            met = side * market.trade_ticks[trade] if market.trade_side[trade] == -side else NEVER
            size = market.trade_lots[trade]
            trade += 1
            trade_ns = market.trade_ns[trade] if trade < trades else NEVER
            if met < signed:
                return Place(ahead, traded, shown, change, last, group, trade, at_ns, left)
            if met == signed:
                traded += size
                ahead -= size
                over = floor(0.5 - ahead)
                if over > 0:
                    ahead = 0.0
                    got = min(size, over, left)
                    return Place(ahead, traded, shown, change, last, group, trade, at_ns, got)
        if group_ns > until_ns or group >= groups:
            return Place(ahead, traded, shown, change, last, group, trade, NEVER, 0)
        if next_change == group:
            size = market.change_lots[change]
            ahead = moved(ahead, traded, shown, size, shared)
            traded, shown = 0, size
            change += 1
            next_change = market.change_group[change] if change < last else NEVER
        bid, ask = market.bid[group], market.ask[group]
        opposite = ask if side > 0 else -bid
        group += 1
        if opposite <= signed and bid < ask:
            return Place(ahead, traded, shown, change, last, group, trade, group_ns, left)
    return Place(ahead, traded, shown, change, last, group, trade, NEVER, 0)


def wide(market: Market, group: int, spread_max: float) -> bool:
    """Whether the spread after a group is beyond so many bps of the mid."""
    bid, ask = market.bid[group], market.ask[group]
    return bool(2.0 * BPS * (ask - bid) / (bid + ask) > spread_max)


def rest_ticks(market: Market, side: int, group: int, inside: int) -> int:
    """Where an order of `side` rests, by the book after `group`."""
    bid, ask = market.bid[group], market.ask[group]
    room = 1 if inside and ask - bid > 1 else 0
    return int(bid + room if side > 0 else ask - room)


def next_look(market: Market, at_ns: int, group: int, trade: int, on_feed: int) -> int:
    """When what is known from `at_ns` on can be acted on: then, or when the next market data comes."""
    if not on_feed:
        return at_ns
    found = NEVER
    if group > 0 and market.group_local_ns[group - 1] == at_ns:
        return at_ns
    if group < len(market.group_local_ns):
        found = market.group_local_ns[group]
    trade = past(market.trade_local_ns, at_ns - 1, trade)
    if trade < len(market.trade_local_ns):
        found = min(found, market.trade_local_ns[trade])
    return found


def withdrawn(
    market: Market, terms: Terms, side: int, ticks: int, look_ns: int, group: int, until_ns: int
) -> tuple[int, int]:
    """When an order is withdrawn that is known to rest at `look_ns`, and a state: `DONE`, or what is beyond the lane.

    group    the last one known at `look_ns`. A state that is beyond holds from that time on only.
    """
    local = market.group_local_ns
    count = len(local)
    while True:
        if terms.stale_ns:
            silent_ns = local[group] + terms.stale_ns
            if silent_ns < look_ns or (silent_ns < until_ns and (group + 1 == count or local[group + 1] > silent_ns)):
                return max(silent_ns, look_ns), BEYOND_SILENCE
        if market.trust[group] != OK:
            return look_ns, BEYOND_BOOK
        if wide(market, group, terms.spread_exit):
            return look_ns, DONE
        if terms.requote_ticks:
            price = rest_ticks(market, side, group, terms.inside)
            if abs(price - ticks) >= terms.requote_ticks:
                return look_ns, DONE
        # The next group that changes what was asked; at one instant only what it leaves is seen.
        bid, ask = market.bid[group], market.ask[group]
        group += 1
        if not terms.stale_ns:
            while group < count and market.bid[group] == bid and market.ask[group] == ask and market.trust[group] == OK:
                group += 1
        while group + 1 < count and local[group + 1] == local[group]:
            group += 1
        if group >= count or local[group] >= until_ns:
            return until_ns, DONE
        look_ns = local[group]


def taken(
    market: Market,
    side: int,
    lots: int,
    limit_ticks: int,
    group: int,
    at_ns: int,
    parent: int,
    filled: Filled,
    row: int,
) -> tuple[int, int]:
    """Take from the book after `group`, best first, no further than the limit: what is left, and the next free row."""
    keys = market.level_key
    best = market.ask[group] if side > 0 else market.bid[group]
    parity = 0 if side > 0 else 1  # of the levels that it takes from
    key = past(keys, 2 * best + parity, 0) - 1
    while 0 <= key < len(keys) and lots:
        ticks = keys[key] >> 1
        if side * ticks > side * limit_ticks:
            break
        if keys[key] & 1 == parity:
            change = change_at(market, key, group)
            shown = market.change_lots[change - 1] if change > market.level_first[key] else 0
            if shown:
                if row == len(filled.ns):
                    return lots, -1
                got = min(shown, lots)
                filled.parent[row], filled.ns[row], filled.ticks[row] = parent, at_ns, ticks
                filled.lots[row], filled.maker[row] = got, 0
                row += 1
                lots -= got
        key += side
    return lots, row


def run(market: Market, terms: Terms, asked: Asked, filled: Filled) -> int:
    """All parents, each as if it were alone. Returns how many fills were written; -1: there was no room for them."""
    row = 0
    for parent in range(len(asked.side)):
        state, row = run_parent(market, terms, asked, filled, parent, row)
        filled.state[parent] = state
        if state == ROOM:
            return -1
    return row


def run_parent(market: Market, terms: Terms, asked: Asked, filled: Filled, parent: int, row: int) -> tuple[int, int]:
    """One parent from its start: how it was left, and the next free row."""
    side, left, now_ns = asked.side[parent], asked.lots[parent], asked.start_ns[parent]
    latest_ns = now_ns + terms.deadline_ns - terms.trips_ns if terms.deadline_ns else NEVER
    floor_s = terms.trips_ns / NS
    known = trade_known = there = trade_there = 0
    timeouts = refusals = misses = 0
    while left > 0:
        # --- the look -------------------------------------------------------------------------------------------
        known = past(market.group_local_ns, now_ns, known)
        now_ns = next_look(market, now_ns, known, trade_known, terms.on_feed)
        if now_ns == NEVER:
            return UNFINISHED, row
        known = past(market.group_local_ns, now_ns, known)
        group = known - 1
        if group < 0 or market.trust[group] != OK:
            return BEYOND_BOOK, row
        if terms.stale_ns and now_ns - market.group_local_ns[group] > terms.stale_ns:
            return BEYOND_SILENCE, row
        bid, ask = market.bid[group], market.ask[group]
        touch = ask if side > 0 else bid
        least = max(terms.min_lots, -(-terms.min_value // touch))
        if left < least:
            return BEYOND_MINIMUM, row
        if terms.deadline_ns and now_ns >= asked.start_ns[parent] + terms.deadline_ns:
            return BEYOND_TIME, row
        left_s = (latest_ns - now_ns) / NS
        timeout_s = min(left_s, terms.timeout_s)
        arrived_ns = now_ns + terms.entry_ns
        there = past(market.group_ns, arrived_ns, there)
        crosses = terms.crosses and (
            timeouts >= terms.timeouts_max
            or refusals >= terms.refusals_max
            or timeout_s < floor_s
            or wide(market, group, terms.spread_max)
        )
        if not crosses and now_ns >= latest_ns:
            return UNFINISHED, row
        filled.orders[parent] += 1
        if crosses:
            reach = int(touch * terms.collar_bps / BPS)
            limit = touch + reach if side > 0 else max(1, touch - reach)
            left, row = taken(market, side, left, limit, there - 1, arrived_ns, parent, filled, row)
            if row < 0:
                return ROOM, row
            return (BEYOND_DEPTH if left else DONE), row
        # --- an order that rests --------------------------------------------------------------------------------
        price = rest_ticks(market, side, group, terms.inside)
        acked_ns = arrived_ns + terms.response_ns
        if there < 1:
            return BEYOND_BOOK, row
        opposite = market.ask[there - 1] if side > 0 else -market.bid[there - 1]
        if opposite <= side * price:
            now_ns = acked_ns + min(terms.retry_ns << min(misses, 20), terms.retry_ns_max)
            refusals += 1
            misses += 1
            continue
        until_ns = NEVER if timeout_s == inf else min(now_ns + int(timeout_s * NS), latest_ns)
        trade_there = past(market.trade_ns, arrived_ns, trade_there)
        known = past(market.group_local_ns, acked_ns, known)
        trade_known = past(market.trade_local_ns, acked_ns - 1, trade_known)
        look_ns = next_look(market, acked_ns, known, trade_known, terms.on_feed)
        known = past(market.group_local_ns, look_ns, known)
        end_ns, trouble = NEVER, DONE
        if look_ns < NEVER:
            end_ns, trouble = withdrawn(market, terms, side, price, look_ns, known - 1, until_ns)
        gone_ns = end_ns + terms.entry_ns if end_ns < NEVER else NEVER
        lots = min(left, terms.clip_lots) if terms.clip_lots else left
        place = joined(market, side, price, there - 1, trade_there)
        while lots > 0:
            place = followed(market, side, price, lots, place, gone_ns, terms.shared)
            if place.ns == NEVER:
                break
            if row == len(filled.ns):
                return ROOM, row
            filled.parent[row], filled.ns[row], filled.ticks[row] = parent, place.ns, price
            filled.lots[row], filled.maker[row] = place.got, 1
            row += 1
            lots -= place.got
            left -= place.got
            misses = 0
            if 0 < left < least:
                return BEYOND_MINIMUM, row
        if trouble and (lots > 0 or place.ns + terms.response_ns >= end_ns):
            return trouble, row
        known_ns = place.ns + terms.response_ns if lots == 0 else NEVER
        if end_ns == until_ns and known_ns > end_ns and end_ns < NEVER:
            timeouts += 1
            misses = 0
            filled.timeouts[parent] += 1
        if lots == 0:
            now_ns = known_ns
            continue
        if end_ns == NEVER:
            return UNFINISHED, row
        now_ns = gone_ns + terms.response_ns
    return DONE, row
