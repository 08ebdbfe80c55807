"""Market features of a whole tape as columns: any instant can be looked at without stepping through what came before.

The numbers are those of `sor.features`, with the same windows on the same clock, the caller's local one: a view here
equals, to the last bit, the view of a `sor.book.Book` that was fed the tape's trades and groups at their local times
(a trade before a group of the same instant, as on the tape). Integers are summed up once and differenced at two
places; the last division is the one the live form makes. Tapes know no update ids, hence no gaps, and no marks.

Depth is rebuilt in chunks of groups as dense matrices (groups x prices, changes summed down the columns), cut to as
many of the best prices as the ten best levels and the depth near the mid turn out to need.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.features import (
    FEATURE_NAMES,
    FLOW_FLOOR_NS,
    FLOW_WINDOW_NS,
    SHORT_WINDOW_NS,
    VOL_SAMPLE_NS,
    VOL_SAMPLES,
    Features,
    imbalance,
    micro_ticks,
    near_ask_ticks,
    near_bid_ticks,
    spread_bps,
    volatility,
)
from sor.ids import Symbol, VenueName
from sor.market import VIEW_DEPTH, Levels, MarketView, Trust
from sor.revisit import Trigger
from sor.tape import ByteColumn, IntColumn, Tape, level_changes
from sor.units import NS

FloatColumn = NDArray[np.float64]
BoolColumn = NDArray[np.bool_]
LevelColumn = NDArray[np.int32 | np.int64]

TRUSTS = (Trust.EMPTY, Trust.OK, Trust.CROSSED)
"""What the codes in `FeatureColumns.trust` mean."""
_OK = TRUSTS.index(Trust.OK)
_CROSSED = TRUSTS.index(Trust.CROSSED)

_FLOOR_S = FLOW_FLOOR_NS / NS
_SHORT_S = SHORT_WINDOW_NS / NS
_CELLS = 1 << 17
"""Cells of one dense matrix, at 8 bytes: a megabyte stays in the cache."""
_WIDTH = 128
"""Prices a side to begin with."""
_SCAN_FIRST = 1 << 8
_SCAN_MOST = 1 << 16
"""Events looked at together when skipping ahead."""

_LEVEL_FEATURES = frozenset(
    {
        "mid_hticks",
        "spread_ticks",
        "spread_bps",
        "bid_touch_lots",
        "ask_touch_lots",
        "bid_near_lots",
        "ask_near_lots",
        "imbalance",
        "micro_ticks",
    }
)
"""Features that only a change of the book can move; the others are judged at trades too."""


class FeatureColumns(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What the market looked like after each of G groups and T trades. Ticks and lots are 0 where there is no level.

    group_local_ns       (G,) when a group was known to the router; trade_local_ns (T,) likewise.
    first_group          the first snapshot, G when there is none: what is before it counts for nothing.
    trust                (G,) codes, see `TRUSTS`.
    bid_ticks, bid_lots  (G, VIEW_DEPTH) best first, int32 where that is wide enough; bid_depth (G,) how many are there.
    bid_near_lots        (G,) depth near the mid, 0 where trust is not OK.
    ofi_lots, moves      (G + 1,) order-flow imbalance, and changes of a best price, in the first g groups.
    buy_lots, sell_lots  (T + 1,) lots that buyers, and sellers, took in the first t trades.
    buys, sells          (T + 1,) how many of the first t trades buyers, and sellers, made.
    squares              squared changes of the mid, in half-ticks, from one whole second to the next: the first n.
    run                  (G,) which of the R runs a sound state belongs to. A run goes from the first sound state after
                         the book was lost until it is lost again; windows do not look back beyond it.
    run_group, run_ns    (R,) where a run begins. run_trade: (R,) the first trade that counts into it.
    run_second           (R,) the first whole second, since the epoch, at which its mid can be sampled.
    run_square           (R + 1,) where its changes begin in `squares`.
    """

    venue: VenueName
    symbol: Symbol
    group_venue_ns: IntColumn
    group_local_ns: IntColumn
    trade_local_ns: IntColumn
    first_group: int
    trust: ByteColumn
    bid_ticks: LevelColumn
    bid_lots: LevelColumn
    bid_depth: ByteColumn
    bid_near_lots: IntColumn
    ask_ticks: LevelColumn
    ask_lots: LevelColumn
    ask_depth: ByteColumn
    ask_near_lots: IntColumn
    ofi_lots: IntColumn
    moves: IntColumn
    buy_lots: IntColumn
    sell_lots: IntColumn
    buys: IntColumn
    sells: IntColumn
    squares: IntColumn
    run: IntColumn
    run_group: IntColumn
    run_ns: IntColumn
    run_trade: IntColumn
    run_second: IntColumn
    run_square: IntColumn

    def at(self, now_ns: int) -> MarketView:
        """The market as known at `now_ns`, any time: what `Book.view` says after every event up to and including it."""
        groups = int(self.group_local_ns.searchsorted(now_ns, "right"))
        if groups <= self.first_group:
            return MarketView(self.venue, self.symbol, Trust.EMPTY, 0, 0, (), (), None, None)
        row = groups - 1
        bids = _levels(self.bid_ticks[row], self.bid_lots[row], self.bid_depth.item(row))
        asks = _levels(self.ask_ticks[row], self.ask_lots[row], self.ask_depth.item(row))
        trust = TRUSTS[self.trust.item(row)]
        return MarketView(
            self.venue,
            self.symbol,
            trust,
            self.group_venue_ns.item(row),
            self.group_local_ns.item(row),
            bids,
            asks,
            None,
            self._features(now_ns, groups, bids, asks) if trust is Trust.OK else None,
        )

    def mid_hticks(self, now_ns: int) -> int:
        """Mid in half-ticks as known at `now_ns`, 0 while unknown or not to be trusted."""
        row = int(self.group_local_ns.searchsorted(now_ns, "right")) - 1
        if row < 0 or self.trust.item(row) != _OK:
            return 0
        return self.bid_ticks.item(row, 0) + self.ask_ticks.item(row, 0)

    def values(self, feature: str, now_ns: IntColumn) -> FloatColumn:
        """One feature at many instants, in any order: what `at` says at each of them, NaN while the book is not sound.

        now_ns      (N,) int64. Returns (N,).
        Raises      CallerError for an unknown feature.
        """
        _refuse_unknown(feature)
        groups = self.group_local_ns.searchsorted(now_ns, "right")
        trades = self.trade_local_ns.searchsorted(now_ns, "right")
        return self._known(feature, now_ns=now_ns, groups=groups, trades=trades)

    def next_best_move(self, after_ns: int, *, bid_ticks: int, ask_ticks: int, at_least_ticks: int) -> int | None:
        """The first local time after `after_ns` with a sound book and a best price so far from the given ones."""

        def far(first: int, stop: int) -> BoolColumn:
            bid_moved = np.abs(self.bid_ticks[first:stop, 0].astype(np.int64) - bid_ticks) >= at_least_ticks
            ask_moved = np.abs(self.ask_ticks[first:stop, 0].astype(np.int64) - ask_ticks) >= at_least_ticks
            hits: BoolColumn = (self.trust[first:stop] == _OK) & (bid_moved | ask_moved)
            return hits

        return self._next_group(after_ns, far)

    def next_trust_change(self, after_ns: int, *, trust: Trust) -> int | None:
        """The first local time after `after_ns` at which the book's trust is another one than `trust`."""
        code = TRUSTS.index(trust) if trust in TRUSTS else -1
        return self._next_group(after_ns, lambda first, stop: self.trust[first:stop] != code)

    def next_trigger(self, after_ns: int, trigger: Trigger, *, holds: bool = True) -> int | None:
        """The first event's local time after `after_ns` at which `trigger` holds (or, on demand, does not).

        Judged after each event like the live feed's: a window that empties while nothing comes is seen at the next
        event, and while the book is not sound no trigger holds. Raises `CallerError` for an unknown feature.
        """
        _refuse_unknown(trigger.feature)
        groups_ns = self.group_local_ns
        trades_ns = self.trade_local_ns
        group = int(groups_ns.searchsorted(after_ns, "right"))
        trade = int(trades_ns.searchsorted(after_ns, "right"))
        if trigger.feature in _LEVEL_FEATURES:
            trade = len(trades_ns)
        size = _SCAN_FIRST
        while group < len(groups_ns) or trade < len(trades_ns):
            # One stretch of time: up to where the shorter of the two columns' next `size` events end.
            until_ns = max(int(column[-1]) for column in (groups_ns, trades_ns) if len(column))
            if group + size < len(groups_ns):
                until_ns = min(until_ns, int(groups_ns[group + size - 1]))
            if trade + size < len(trades_ns):
                until_ns = min(until_ns, int(trades_ns[trade + size - 1]))
            group_stop = int(groups_ns.searchsorted(until_ns, "right"))
            trade_stop = max(trade, int(trades_ns.searchsorted(until_ns, "right")))
            group_ns = groups_ns[group:group_stop]
            trade_ns = trades_ns[trade:trade_stop]
            now_ns = np.concatenate((group_ns, trade_ns))
            groups = np.concatenate((np.arange(group, group_stop) + 1, groups_ns.searchsorted(trade_ns, "left")))
            trades = np.concatenate((trades_ns.searchsorted(group_ns, "right"), np.arange(trade, trade_stop) + 1))
            hits = now_ns[self._holds(trigger, now_ns=now_ns, groups=groups, trades=trades) == holds]
            if len(hits):
                return int(hits.min())
            group, trade, size = group_stop, trade_stop, min(2 * size, _SCAN_MOST)
        return None

    # --- how it is worked out -----------------------------------------------------------------------------------

    def _features(self, now_ns: int, groups: int, bids: Levels, asks: Levels) -> Features:
        """Every feature after the first `groups` groups, the last of them sound, and the trades up to `now_ns`."""
        bid, bid_lots = bids[0]
        ask, ask_lots = asks[0]
        mid_hticks = bid + ask
        spread_ticks = ask - bid
        run = self.run.item(groups - 1)
        out_ns = now_ns - FLOW_WINDOW_NS
        groups_out = max(self.run_group.item(run), int(self.group_local_ns.searchsorted(out_ns, "right")))
        trades = int(self.trade_local_ns.searchsorted(now_ns, "right"))
        trades_out = max(self.run_trade.item(run), int(self.trade_local_ns.searchsorted(out_ns, "right")))
        short_ns = now_ns - SHORT_WINDOW_NS
        groups_short = max(self.run_group.item(run), int(self.group_local_ns.searchsorted(short_ns, "right")))
        trades_short = max(self.run_trade.item(run), int(self.trade_local_ns.searchsorted(short_ns, "right")))
        window_s = min(FLOW_WINDOW_NS, now_ns - self.run_ns.item(run)) / NS
        rate_s = max(window_s, _FLOOR_S)
        passed = max(now_ns // VOL_SAMPLE_NS - self.run_second.item(run), 0)
        returns = min(passed, VOL_SAMPLES)
        first, last = self.run_square.item(run), self.run_square.item(run + 1)
        squares = self.squares.item(min(first + passed, last)) - self.squares.item(min(first + passed - returns, last))
        rms_hticks = sqrt(squares / max(returns, 1))
        return Features(
            mid_hticks,
            spread_ticks,
            spread_bps(spread_ticks, mid_hticks),
            bid_lots,
            ask_lots,
            self.bid_near_lots.item(groups - 1),
            self.ask_near_lots.item(groups - 1),
            imbalance(bid_lots, ask_lots),
            micro_ticks(bid, spread_ticks, bid_lots, ask_lots),
            (self.buy_lots.item(trades) - self.buy_lots.item(trades_out)) / rate_s,
            (self.sell_lots.item(trades) - self.sell_lots.item(trades_out)) / rate_s,
            self.ofi_lots.item(groups) - self.ofi_lots.item(groups_out),
            (self.moves.item(groups) - self.moves.item(groups_out)) / rate_s,
            volatility(rms_hticks, mid_hticks),
            window_s,
            self.ofi_lots.item(groups) - self.ofi_lots.item(groups_short),
            (self.buy_lots.item(trades) - self.buy_lots.item(trades_short)) / _SHORT_S,
            (self.sell_lots.item(trades) - self.sell_lots.item(trades_short)) / _SHORT_S,
            (self.buys.item(trades) - self.buys.item(trades_out)) / rate_s,
            (self.sells.item(trades) - self.sells.item(trades_out)) / rate_s,
        )

    def _holds(self, trigger: Trigger, *, now_ns: IntColumn, groups: IntColumn, trades: IntColumn) -> BoolColumn:
        """Whether a trigger holds at instants given by time and by how many groups and trades have come."""
        values = self._known(trigger.feature, now_ns=now_ns, groups=groups, trades=trades)
        holds: BoolColumn = values > trigger.level if trigger.above else values < trigger.level
        return holds  # a comparison with NaN is false

    def _known(self, feature: str, *, now_ns: IntColumn, groups: IntColumn, trades: IntColumn) -> FloatColumn:
        """One feature at such instants, NaN while the book is not sound."""
        values = np.full(len(now_ns), np.nan)
        sound = np.flatnonzero(groups > self.first_group)
        sound = sound[self.trust[groups[sound] - 1] == _OK]
        values[sound] = self._values(feature, now_ns=now_ns[sound], groups=groups[sound], trades=trades[sound])
        return values

    def _values(self, feature: str, *, now_ns: IntColumn, groups: IntColumn, trades: IntColumn) -> FloatColumn:
        """One feature at many instants, all of them with a sound book; `feature` is one of `FEATURE_NAMES`."""
        row = groups - 1
        bid, ask = _floats(self.bid_ticks[row, 0]), _floats(self.ask_ticks[row, 0])
        bid_lots, ask_lots = _floats(self.bid_lots[row, 0]), _floats(self.ask_lots[row, 0])
        run = self.run[row]
        short = feature.endswith(("_1s", "_1s_lots"))
        out_ns = now_ns - (SHORT_WINDOW_NS if short else FLOW_WINDOW_NS)
        window_s: FloatColumn = np.minimum(FLOW_WINDOW_NS, now_ns - self.run_ns[run]) / NS
        rate_s: FloatColumn = np.maximum(window_s, _FLOOR_S)
        match feature:
            case "mid_hticks":
                return bid + ask
            case "spread_ticks":
                return ask - bid
            case "spread_bps":
                return spread_bps(ask - bid, bid + ask)
            case "bid_touch_lots":
                return bid_lots
            case "ask_touch_lots":
                return ask_lots
            case "bid_near_lots":
                return _floats(self.bid_near_lots[row])
            case "ask_near_lots":
                return _floats(self.ask_near_lots[row])
            case "imbalance":
                return imbalance(bid_lots, ask_lots)
            case "micro_ticks":
                return micro_ticks(bid, ask - bid, bid_lots, ask_lots)
            case "buy_flow" | "sell_flow" | "buy_flow_1s" | "sell_flow_1s" | "buy_trades_per_s" | "sell_trades_per_s":
                taken = self._taken(feature)
                trades_out = np.maximum(self.run_trade[run], self.trade_local_ns.searchsorted(out_ns, "right"))
                return _floats(taken[trades] - taken[trades_out]) / (_SHORT_S if short else rate_s)
            case "ofi_lots" | "ofi_1s_lots" | "best_moves_per_s":
                groups_out = np.maximum(self.run_group[run], self.group_local_ns.searchsorted(out_ns, "right"))
                if feature != "best_moves_per_s":
                    return _floats(self.ofi_lots[groups] - self.ofi_lots[groups_out])
                return _floats(self.moves[groups] - self.moves[groups_out]) / rate_s
            case "volatility":
                passed = np.maximum(now_ns // VOL_SAMPLE_NS - self.run_second[run], 0)
                returns = np.minimum(passed, VOL_SAMPLES)
                stop, last = self.run_square[run] + passed, self.run_square[run + 1]
                squares = self.squares[np.minimum(stop, last)] - self.squares[np.minimum(stop - returns, last)]
                rms_hticks: FloatColumn = np.sqrt(squares / np.maximum(returns, 1))
                return volatility(rms_hticks, bid + ask)
            case _:
                assert feature == "window_s", feature
                return window_s

    def _taken(self, feature: str) -> IntColumn:
        """The running sums that a feature of the trades is made of."""
        if feature.endswith("_trades_per_s"):
            return self.buys if feature.startswith("buy") else self.sells
        return self.buy_lots if feature.startswith("buy") else self.sell_lots

    def _next_group(self, after_ns: int, hit: Callable[[int, int], BoolColumn]) -> int | None:
        """The local time of the first group after `after_ns` that `hit(first, stop)` marks."""
        first = int(self.group_local_ns.searchsorted(after_ns, "right"))
        size = _SCAN_FIRST
        while first < len(self.group_local_ns):
            hits = np.flatnonzero(hit(first, first + size))
            if len(hits):
                return int(self.group_local_ns[first + int(hits[0])])
            first += size
            size = min(2 * size, _SCAN_MOST)
        return None


def columns_of(tape: Tape, *, group_local_ns: IntColumn, trade_local_ns: IntColumn) -> FeatureColumns:
    """The feature columns of a tape whose groups and trades become known at the given local times.

    group_local_ns    (G,) int64, non-decreasing; trade_local_ns: (T,) likewise. Latency is the caller's to add.
    Raises            CallerError for columns of another length, or that go back.
    """
    for name, local_ns, count in (
        ("group_local_ns", group_local_ns, len(tape.group_venue_ns)),
        ("trade_local_ns", trade_local_ns, len(tape.trade_venue_ns)),
    ):
        if local_ns.shape != (count,):
            raise CallerError(f"{name} must have shape ({count},) for tape {tape.name}, not {local_ns.shape}")
        if count and bool((np.diff(local_ns) < 0).any()):
            raise CallerError(f"{name} of tape {tape.name} goes back in time; local times must never decrease")
    snapshots = np.flatnonzero(tape.group_snapshot)
    count = len(group_local_ns)
    first_group = int(snapshots[0]) if len(snapshots) else count
    bids, asks, trust = _depth(tape, first_group)
    sound = np.flatnonzero(trust == _OK)
    lost = (tape.group_snapshot != 0) & (bids.depth == 0) & (asks.depth == 0)
    runs = _Runs(lost, sound, group_local_ns, trade_local_ns)
    ofi_lots, moves = _touch_flow(bids, asks, sound, runs.joined, count)
    run_square, squares = _squares(bids, asks, sound, runs, group_local_ns)
    return FeatureColumns(
        venue=tape.instrument.venue,
        symbol=tape.instrument.symbol,
        group_venue_ns=tape.group_venue_ns,
        group_local_ns=group_local_ns,
        trade_local_ns=trade_local_ns,
        first_group=first_group,
        trust=trust,
        bid_ticks=bids.ticks,
        bid_lots=bids.lots,
        bid_depth=bids.depth,
        bid_near_lots=bids.near_lots,
        ask_ticks=asks.ticks,
        ask_lots=asks.lots,
        ask_depth=asks.depth,
        ask_near_lots=asks.near_lots,
        ofi_lots=ofi_lots,
        moves=moves,
        buy_lots=_running(np.where(tape.trade_side > 0, tape.trade_lots, 0)),
        sell_lots=_running(np.where(tape.trade_side < 0, tape.trade_lots, 0)),
        buys=_running(np.where(tape.trade_side > 0, 1, 0)),
        sells=_running(np.where(tape.trade_side < 0, 1, 0)),
        squares=squares,
        run=runs.of_group,
        run_group=runs.group,
        run_ns=group_local_ns[runs.group],
        run_trade=runs.trade,
        run_second=runs.second,
        run_square=run_square,
    )


class _SideDepth:
    """One side of the book after every group, being filled chunk by chunk.

    A key is the price in ticks, negated for asks, so that the best is the largest on both sides.

    keys           (P,) every price that ever held something, best first.
    group, column  (N,) where a size changes: group, ascending, and index into `keys`; no pair comes twice.
    delta          (N,) by how much.
    held           (P,) lots just before the chunk that comes next.
    """

    __slots__ = ("column", "delta", "depth", "group", "held", "keys", "lots", "near_lots", "sign", "ticks")

    def __init__(
        self, tape: Tape, mentions: tuple[IntColumn, IntColumn, IntColumn], first_group: int, *, sign: int
    ) -> None:
        count = len(tape.group_venue_ns)
        self.sign = sign
        self.keys, self.group, self.column, self.delta = _changes(mentions, first_group, sign)
        self.held = np.zeros(len(self.keys), np.int64)
        self.ticks = np.zeros((count, VIEW_DEPTH), _wide_enough(tape.level_ticks))
        self.lots = np.zeros((count, VIEW_DEPTH), _wide_enough(tape.level_lots))
        self.depth = np.zeros(count, np.int8)
        self.near_lots = np.zeros(count, np.int64)

    def dense(self, first: int, stop: int, width: int) -> _Dense:
        """Sizes after groups [first, stop) at the `width` best prices that hold something there at any time."""
        begin, end = self.group.searchsorted((first, stop))
        group, column, delta = self.group[begin:end], self.column[begin:end], self.delta[begin:end]
        alive = self.held > 0
        alive[column] = True
        columns = np.flatnonzero(alive)
        left_out = int(self.keys[columns[width]]) if len(columns) > width else None
        columns = columns[:width]
        place = np.full(len(self.keys), -1)
        place[columns] = np.arange(len(columns))
        at = place[column]
        kept = at >= 0
        lots = np.zeros((stop - first, max(len(columns), 1)), np.int64)
        if len(columns):
            lots[0] = self.held[columns]
            lots[group[kept] - first, at[kept]] += delta[kept]
            np.cumsum(lots, axis=0, out=lots)
        return _Dense(self.keys[columns], lots, left_out)

    def take_best(self, first: int, dense: _Dense) -> bool:
        """Fill in the best levels of a chunk that begins at group `first`; False when it does not reach far enough."""
        alive = dense.lots > 0
        count = len(alive)
        row = np.arange(count)
        rows = slice(first, first + count)
        depth = np.zeros(count, np.int8)
        for level in range(min(VIEW_DEPTH, alive.shape[1])):
            column = alive.argmax(axis=1)
            there = alive[row, column]
            self.ticks[rows, level] = np.where(there, self.sign * dense.keys[column], 0) if len(dense.keys) else 0
            self.lots[rows, level] = np.where(there, dense.lots[row, column], 0)
            depth += there
            alive[row, column] = False
        self.depth[rows] = depth
        return dense.left_out is None or bool((depth == VIEW_DEPTH).all())

    def take_near(self, first: int, dense: _Dense, near_key: IntColumn, sound: BoolColumn) -> bool:
        """Fill in the depth from `near_key` on where the book is sound; False when it does not reach far enough."""
        if dense.left_out is not None and bool((near_key[sound] <= dense.left_out).any()):
            return False
        reach = (-dense.keys).searchsorted(-near_key, "right")
        reach[~sound] = 0
        near = np.arange(dense.lots.shape[1]) < reach[:, None]
        self.near_lots[first : first + len(reach)] = dense.lots.sum(axis=1, where=near)
        return True

    def advance(self, first: int, stop: int) -> None:
        """Let groups [first, stop) be done."""
        begin, end = self.group.searchsorted((first, stop))
        np.add.at(self.held, self.column[begin:end], self.delta[begin:end])


class _Dense:
    """Sizes of one side in one chunk: (rows, prices) at `keys`, and the best key that was left out, if any."""

    __slots__ = ("keys", "left_out", "lots")

    def __init__(self, keys: IntColumn, lots: IntColumn, left_out: int | None) -> None:
        self.keys = keys
        self.lots = lots
        self.left_out = left_out


def _depth(tape: Tape, first_group: int) -> tuple[_SideDepth, _SideDepth, ByteColumn]:
    """Both sides and the trust after every group; nothing before the first snapshot."""
    count = len(tape.group_venue_ns)
    mentions = level_changes(tape)
    bids = _SideDepth(tape, mentions, first_group, sign=1)
    asks = _SideDepth(tape, mentions, first_group, sign=-1)
    trust = np.zeros(count, np.int8)
    width = _WIDTH
    first = first_group
    while first < count:
        stop = min(count, first + max(1, _CELLS // width))
        dense_bids, dense_asks = bids.dense(first, stop, width), asks.dense(first, stop, width)
        enough = bids.take_best(first, dense_bids) and asks.take_best(first, dense_asks)
        if enough:
            bid, ask = bids.ticks[first:stop, 0].astype(np.int64), asks.ticks[first:stop, 0].astype(np.int64)
            both = (bids.depth[first:stop] > 0) & (asks.depth[first:stop] > 0)
            sound = both & (bid < ask)
            trust[first:stop] = np.where(sound, _OK, np.where(both, _CROSSED, TRUSTS.index(Trust.EMPTY)))
            enough = bids.take_near(first, dense_bids, near_bid_ticks(bid + ask), sound)
            enough = enough and asks.take_near(first, dense_asks, -near_ask_ticks(bid + ask), sound)
        if enough:
            bids.advance(first, stop)
            asks.advance(first, stop)
            first = stop
        else:
            width *= 2
    return bids, asks, trust


def _changes(
    mentions: tuple[IntColumn, IntColumn, IntColumn], first_group: int, sign: int
) -> tuple[IntColumn, IntColumn, IntColumn, IntColumn]:
    """One side's changes of size as (keys, group, column, delta), see `_SideDepth`; from `first_group` on."""
    key, group, lots = mentions
    ours = ((key & 1) == (sign > 0)) & (group >= first_group)
    key, group, lots = sign * (key[ours] >> 1), group[ours], lots[ours]
    before = np.zeros(len(key), np.int64)
    before[1:] = np.where(key[1:] == key[:-1], lots[:-1], 0)
    changed = np.flatnonzero(lots != before)
    changed = changed[np.argsort(group[changed], kind="stable")]
    keys = np.unique(key)
    column = len(keys) - 1 - keys.searchsorted(key[changed])
    return keys[::-1], group[changed], column, (lots - before)[changed]


class _Runs:
    """Stretches between losses of the book: a snapshot without any level ends one, the next sound state begins one.

    group, trade, second    (R,) see `FeatureColumns`. of_group: (G,) which run a sound state belongs to.
    first, joined           of S sound states: (R,) which begin a run, and (S - 1,) whether each joins up with the next.
    """

    __slots__ = ("first", "group", "joined", "of_group", "second", "trade")

    def __init__(
        self, lost: BoolColumn, sound: IntColumn, group_local_ns: IntColumn, trade_local_ns: IntColumn
    ) -> None:
        losses = np.cumsum(lost)[sound]
        self.joined: BoolColumn = losses[1:] == losses[:-1]
        self.first = np.append(np.zeros(min(len(sound), 1), np.int64), np.flatnonzero(~self.joined) + 1)
        self.group = sound[self.first]
        self.of_group = np.zeros(len(lost), np.int64)
        self.of_group[sound[1:]] = np.cumsum(~self.joined)
        self.trade = trade_local_ns.searchsorted(group_local_ns[self.group], "right")
        self.second = group_local_ns[self.group] // VOL_SAMPLE_NS + 1


def _touch_flow(
    bids: _SideDepth, asks: _SideDepth, sound: IntColumn, joined: BoolColumn, count: int
) -> tuple[IntColumn, IntColumn]:
    """Running order-flow imbalance (methods 3) and changes of a best price, over consecutive sound states of a run."""
    bid, bid_lots = bids.ticks[sound, 0].astype(np.int64), bids.lots[sound, 0].astype(np.int64)
    ask, ask_lots = asks.ticks[sound, 0].astype(np.int64), asks.lots[sound, 0].astype(np.int64)
    bid_step, ask_step = np.diff(bid), np.diff(ask)
    ofi_lots = np.zeros(count, np.int64)
    ofi_lots[sound[1:]] = joined * (
        np.where(bid_step >= 0, bid_lots[1:], 0)
        - np.where(bid_step <= 0, bid_lots[:-1], 0)
        - np.where(ask_step <= 0, ask_lots[1:], 0)
        + np.where(ask_step >= 0, ask_lots[:-1], 0)
    )
    moves = np.zeros(count, np.int64)
    moves[sound[1:]] = joined * ((bid_step != 0).astype(np.int64) + (ask_step != 0))
    return _running(ofi_lots), _running(moves)


def _squares(
    bids: _SideDepth, asks: _SideDepth, sound: IntColumn, runs: _Runs, group_local_ns: IntColumn
) -> tuple[IntColumn, IntColumn]:
    """Where each run begins in the second column: the running squared changes of the mid from second to second.

    A second's sample is the last sound mid strictly before it. A run's last second is the one after its last sound
    state: from there on nothing changes.
    """
    mids = bids.ticks[sound, 0].astype(np.int64) + asks.ticks[sound, 0]
    sound_ns = group_local_ns[sound]
    ends = np.append(runs.first, len(sound))[1:]
    squares: list[IntColumn] = [np.zeros(0, np.int64)]
    for second, first, end in zip(runs.second.tolist(), runs.first.tolist(), ends.tolist(), strict=True):
        edges_ns = np.arange(second, sound_ns.item(end - 1) // VOL_SAMPLE_NS + 2) * VOL_SAMPLE_NS
        samples = mids[first + sound_ns[first:end].searchsorted(edges_ns, "left") - 1]
        squares.append(np.diff(samples) ** 2)
    lengths = np.array([len(part) for part in squares], np.int64)
    return np.cumsum(lengths), _running(np.concatenate(squares))


def _refuse_unknown(feature: str) -> None:
    if feature not in FEATURE_NAMES:
        raise CallerError(f"no market feature is called {feature!r}; name one of {', '.join(FEATURE_NAMES)}")


def _running(values: IntColumn) -> IntColumn:
    """Sums of the first 0, 1, 2, ... values."""
    sums = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=sums[1:])
    return sums


def _wide_enough(values: IntColumn) -> type[np.int32] | type[np.int64]:
    """The narrowest integer type that holds all of them."""
    return np.int32 if not len(values) or int(values.max()) <= np.iinfo(np.int32).max else np.int64


def _levels(ticks: LevelColumn, lots: LevelColumn, depth: int) -> Levels:
    """One row of levels as a view carries it."""
    return tuple(zip(ticks[:depth].tolist(), lots[:depth].tolist(), strict=True))


def _floats(values: LevelColumn) -> FloatColumn:
    """Integers as floats; exact below 2**53."""
    return values.astype(np.float64)
