"""A recorded market, indexed once so that any number of simulated venues can ask it things by venue time.

Order of events    by venue time; at one instant the trades, then the groups of book changes, then our own requests.
                   A *slot* makes the first two an integer: slot g holds the trades that met the book as group g-1
                   left it, then group g itself; slot G holds the trades after the last group.
Signed prices      side x ticks, so that for both sides larger is more aggressive and one rule serves buys and sells:
                   a mirrored recording mirrors every answer.
Reach              per slot and side, the least aggressive signed price at which an own resting order is filled whole:
                   the opposite best, or one tick beyond a trade by the opposite aggressor. A book that is crossed or
                   locked shows only that one of its sides is late, so its best prices reach nobody.

Nothing here changes after construction and nothing depends on our own orders: replay cannot react. After the last
event the book stays as it was.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sor.lab.columns import FeatureColumns
from sor.orders import Side
from sor.tape import IntColumn, Tape, level_changes
from venues.simulated.tape_conditions import TapeConditions

FAR = 1 << 62
"""Beyond every price; -FAR and FAR are the best prices of an empty side."""
NO_SPAN = (0, 0)


class Moment(NamedTuple):
    """An instant of venue time as a place in the recording: after `group`, and after the first `trade` trades."""

    at_ns: int
    group: int
    trade: int


class TapeMarket:
    """What one recording answers, by group, slot and price.

    Groups are numbered from 0, -1 is before the first; `group_at` says which one is in force. G groups, T trades.

    tape, columns     as given; `columns` carries the feed latency and is what strategies see.
    conditions        when the conditions that strategies watch come true on them.
    start_ns, end_ns  venue time from which the book is to be trusted, and of the last event.
    group_ns          (G,) venue time of each group.
    trade_ns          (T,) venue time, `trade_slot` and `trade_lots` of each trade.
    group_local_ns    (G,) when each group, and trade_local_ns (T,) each trade, is known to strategies.
    slot_first        (G+2,) the trades of slot g are [slot_first[g], slot_first[g+1]).
    change_group      level changes sorted by price, then time: the group of each ...
    change_lots       ... and the size it left.
    price_trade       indices of trades, sorted by aggressor and price, then time.
    best              (G,) signed best price of each side (Side.BUY: bids) after each group, -FAR where there is none;
                      before the first snapshot there is none.
    reach             (G+1,) per own side, see above.
    """

    __slots__ = (
        "_change_span",
        "_prices",
        "_trade_span",
        "best",
        "change_group",
        "change_lots",
        "columns",
        "conditions",
        "end_ns",
        "group_count",
        "group_local_ns",
        "group_ns",
        "price_trade",
        "reach",
        "slot_first",
        "start_ns",
        "tape",
        "trade_count",
        "trade_local_ns",
        "trade_lots",
        "trade_ns",
        "trade_slot",
    )

    def __init__(self, tape: Tape, columns: FeatureColumns) -> None:
        self.tape = tape
        self.columns = columns
        self.conditions = TapeConditions(columns)
        self.group_count = len(tape.group_venue_ns)
        self.trade_count = len(tape.trade_venue_ns)
        self.group_ns = _ints(tape.group_venue_ns)
        self.trade_ns = _ints(tape.trade_venue_ns)
        self.trade_lots = _ints(tape.trade_lots)
        self.group_local_ns = _ints(columns.group_local_ns)
        self.trade_local_ns = _ints(columns.trade_local_ns)
        begins = tape.group_venue_ns[columns.first_group : columns.first_group + 1].tolist()
        self.start_ns = begins[0] + tape.warm_up_ns if begins else FAR
        self.end_ns = max([*self.group_ns[-1:], *self.trade_ns[-1:]], default=-FAR)
        self._index_levels()
        self._index_trades()

    # --- positions ----------------------------------------------------------------------------------------------

    def group_at(self, venue_ns: int) -> int:
        """The last group in force at `venue_ns`, -1 before the first."""
        return bisect_right(self.group_ns, venue_ns) - 1

    def moment(self, venue_ns: int) -> Moment:
        """Where `venue_ns` is in the recording: after all events of that instant."""
        return Moment(venue_ns, self.group_at(venue_ns), bisect_right(self.trade_ns, venue_ns))

    # --- the book -----------------------------------------------------------------------------------------------

    def changes_at(self, side: Side, price_ticks: int) -> tuple[int, int]:
        """The slice of `change_group` and `change_lots` that belongs to one price of one side of the book."""
        return self._change_span.get(2 * price_ticks + (side > 0), NO_SPAN)

    def opposite_best(self, side: Side, group: int) -> int:
        """Best price on the other side of the book in the signed terms of `side`; FAR while there is none."""
        return -self.best[side.opposite][group] if group >= 0 else FAR

    def mid_hticks(self, group: int) -> int:
        """Mid after `group` in half-ticks, 0 while a side is empty."""
        if group < 0:
            return 0
        bid, ask = self.best[Side.BUY][group], -self.best[Side.SELL][group]
        return 0 if FAR in (-bid, ask) else bid + ask

    def ladder(self, side: Side, group: int, *, limit_signed: int) -> Iterator[tuple[int, int, int]]:
        """What an order of `side` meets on the other side of the book after `group`, best first, the whole depth.

        limit_signed    signed price the order will not go beyond; FAR for none.
        Yields          (price_ticks, qty_lots > 0, version): the version changes whenever the level does.
        """
        opposite = side.opposite
        best = self.best[opposite][group] if group >= 0 else -FAR
        if best == -FAR:
            return
        prices, spans = self._prices[opposite], self._change_span
        change_group, change_lots = self.change_group, self.change_lots
        bit = opposite > 0
        # Signed prices of the opposite side fall as the levels get worse.
        for at in range(bisect_left(prices, best), -1, -1):
            signed = prices[at]
            if -signed > limit_signed:
                return
            price_ticks = signed if bit else -signed
            first, last = spans[2 * price_ticks + bit]
            version = bisect_right(change_group, group, first, last) - 1
            if version >= first and (lots := change_lots[version]):
                yield price_ticks, lots, version

    def deeper(self, side: Side, price_ticks: int, *, group: int) -> bool:
        """Whether a worse price than this is displayed on its side of the book after `group`."""
        prices, spans = self._prices[side], self._change_span
        for at in range(bisect_left(prices, side * price_ticks) - 1, -1, -1):
            first, last = spans[2 * side * prices[at] + (side > 0)]
            change = bisect_right(self.change_group, group, first, last) - 1
            if change >= first and self.change_lots[change]:
                return True
        return False

    # --- what comes next ----------------------------------------------------------------------------------------

    def trades_at(self, side: Side, price_ticks: int) -> tuple[int, int]:
        """The slice of `price_trade` with the trades that can fill a resting order of `side` at its own price."""
        return self._trade_span.get(2 * price_ticks + (side < 0), NO_SPAN)

    def next_reach(self, side: Side, signed: int, *, slot: int, end_slot: int) -> int:
        """The first slot in [slot, end_slot) whose reach fills a resting order, or -1."""
        reached = self.reach[side][slot:end_slot] <= signed
        at = int(reached.argmax()) if reached.size else 0
        return slot + at if reached.size and reached[at] else -1

    def reaches(self, side: Side, signed: int, *, group: int) -> bool:
        """Whether the opposite best after `group` fills a resting order; False past the last group."""
        if group >= self.group_count:
            return False
        return self.best[side][group] < -self.best[side.opposite][group] <= signed

    def next_refill(self, side: Side, signed: int, *, group: int) -> int:
        """The first group after `group` that shows size on the other side at `signed` or better, or -1.

        For the rest of an order that took everything up to its price: the recorded levels it took are still there, and
        only what the recording shows afresh can be new.
        """
        tape = self.tape
        first = int(tape.group_first[group + 1])
        ours = (tape.level_side[first:] == -int(side)) & (tape.level_lots[first:] > 0)
        ours &= tape.level_ticks[first:] * int(side) <= signed
        hits = np.flatnonzero(ours)
        if not hits.size:
            return -1
        return int(np.searchsorted(tape.group_first, first + int(hits[0]), side="right")) - 1

    def through(self, side: Side, signed: int, *, slot: int, trade: int) -> int:
        """The first trade of `slot`, from index `trade` on, strictly through the price of a resting order, or -1."""
        start = max(trade, self.slot_first[slot])
        end = self.slot_first[slot + 1]
        if start >= end:
            return -1
        tape = self.tape
        beyond = (tape.trade_side[start:end] == -int(side)) & (tape.trade_ticks[start:end] * int(side) < signed)
        at = int(beyond.argmax())
        return start + at if beyond[at] else -1

    # --- building -----------------------------------------------------------------------------------------------

    def _index_levels(self) -> None:
        key, group, lots = level_changes(self.tape)
        self.change_group = _ints(group)
        self.change_lots = _ints(lots)
        self._change_span = _spans(key)
        columns = self.columns
        bids = np.where(columns.bid_depth > 0, columns.bid_ticks[:, 0].astype(np.int64), -FAR)
        asks = np.where(columns.ask_depth > 0, -columns.ask_ticks[:, 0].astype(np.int64), -FAR)
        sound = bids < -asks
        self.best = {Side.BUY: _ints(bids), Side.SELL: _ints(asks)}
        self.reach = {
            Side.BUY: np.append(np.where(sound, -asks, FAR), FAR),
            Side.SELL: np.append(np.where(sound, -bids, FAR), FAR),
        }
        self._prices = {side: _ints(np.unique((key[(key & 1) == (side > 0)] >> 1) * int(side))) for side in Side}

    def _index_trades(self) -> None:
        tape, count = self.tape, self.group_count
        slot = np.searchsorted(tape.group_venue_ns, tape.trade_venue_ns, side="left")
        self.trade_slot = _ints(slot)
        self.slot_first = _ints(np.searchsorted(slot, np.arange(count + 2), side="left"))
        key = 2 * tape.trade_ticks + (tape.trade_side > 0)
        order = np.argsort(key, kind="stable")
        self.price_trade = _ints(order)
        self._trade_span = _spans(key[order])
        for side, reach in self.reach.items():
            met = tape.trade_side == -int(side)
            np.minimum.at(reach, slot[met], tape.trade_ticks[met] * int(side) + 1)


def _ints(column: NDArray[np.int64]) -> Sequence[int]:
    """A view of a column whose elements come out as plain ints: indexing and bisecting it is what the hot path does."""
    return np.ascontiguousarray(column, dtype=np.int64).data


def _spans(key: IntColumn) -> dict[int, tuple[int, int]]:
    """Where each run of equal keys begins and ends."""
    starts = np.flatnonzero(np.diff(key, prepend=key[:1] - 1))
    ends = np.append(starts[1:], len(key))[: len(starts)]
    return dict(zip(key[starts].tolist(), zip(starts.tolist(), ends.tolist(), strict=True), strict=True))
