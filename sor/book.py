"""The order book of one symbol, live: levels, trust, and the market features of `sor.features` kept up as events come.

Trust   EMPTY before the first snapshot and while a side has no level; GAP from a broken chain or a reset until the
        next snapshot; CROSSED while the best bid is not below the best ask; else OK. In a gap nothing is applied:
        the last levels stay to be seen, `view` says that they are not to be trusted.
Chain   an update whose `prev_seq` is the last `seq` continues; one whose `seq` is not newer is dropped; the first one
        after a snapshot may begin before it and end after it (a snapshot fetched over REST falls where it falls). Any
        other leaves a gap, and so does a chained update after a snapshot without an id. Where a venue has no chain,
        ids may skip; one that goes back is dropped if it is older than a snapshot just loaded, and is a gap otherwise,
        as nobody knows what it belongs to.
Windows start afresh with the first sound state after a gap, a reset, or a snapshot of nothing, which is how a tape
        says that its recorder had lost the book.
Clock   `recv_ns` and `now_ns`, both ours, which do not go back; an event stamped before a look that was taken sooner
        counts from that look. Exchange time is carried, never judged. Staleness is not a trust: the reader holds the
        age, now - `recv_ns`, against its own bound. Only what was applied renews `recv_ns`.

Work is bounded by what changes: an update costs its own levels, one comparison of the best prices and the events that
leave the windows; the ten best levels and the depth near the mid are made up when somebody looks. Every window holds
what came within its length and nothing else.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Mapping
from math import sqrt
from typing import Final

from sor.features import (
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
from sor.market import (
    VIEW_DEPTH,
    BookReset,
    BookUpdate,
    LateLevels,
    Level,
    Levels,
    MarketView,
    MarkUpdate,
    TradePrint,
    Trust,
)
from sor.orders import Side
from sor.units import NS

# Bound once: CPython 3.11 takes longer to read a member off its enum than to compare it, and this is read per event.
_OK: Final = Trust.OK
_EMPTY: Final = Trust.EMPTY
_CROSSED: Final = Trust.CROSSED
_BUY: Final = Side.BUY
_NEVER = 1 << 62
"""Beyond every price and every time."""
_WINDOW_S = FLOW_WINDOW_NS / NS
_FLOOR_S = FLOW_FLOOR_NS / NS
_SHORT_S = SHORT_WINDOW_NS / NS
_Totals = tuple[int, ...]
"""A time, and what had come by then since the windows began: a window is the difference of two."""


class _Ladder:
    """One side of a book. A key is the price in ticks, negated for asks, so that on both sides the largest is best.

    held          level by key; only levels that hold something.
    keys          the same keys in ascending order: what happens near the best happens near the end, where a list
                  is cheap.
    near_key      keys from here on count into `near_lots`.
    top_key       the largest key, 0 while there is none; top_lots: what it holds.
    best_levels   the best `VIEW_DEPTH` levels as a view carries them, None when one of them has changed since; a
                  change below `best_key` cannot touch them.
    late          all levels, where they have not been read: of everything else only the top is up to date.
    """

    __slots__ = (
        "best_key",
        "best_levels",
        "held",
        "keys",
        "late",
        "near_key",
        "near_lots",
        "sign",
        "top_key",
        "top_lots",
    )

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.load(())

    def load(self, levels: Levels | LateLevels) -> None:
        """Replace everything."""
        sign = self.sign
        if isinstance(levels, LateLevels):
            self.late: LateLevels | None = levels
            ticks, self.top_lots = levels.best
            self.top_key = sign * ticks
            return
        self.late = None
        held = {sign * level[0]: level for level in levels if level[1]}
        if len(held) != len(levels):  # of a price named twice, the last word counts, be it 0
            last = {sign * level[0]: level for level in levels}
            held = {key: level for key, level in last.items() if level[1]}
        self.held: dict[int, Level] = held
        self.keys = sorted(held)
        self.near_key = _NEVER
        self.near_lots = 0
        self.best_key = _NEVER
        self.best_levels: Levels | None = None
        self._top()

    def _top(self) -> None:
        """Look up the best level."""
        keys = self.keys
        self.top_key = key = keys[-1] if keys else 0
        self.top_lots = self.held[key][1] if keys else 0

    def _read(self, late: LateLevels) -> None:
        """Take in levels that were put off."""
        self.load(late.read())

    def change(self, levels: Levels | LateLevels) -> None:
        """Set each level to its new size; 0 removes it."""
        if self.late is not None:
            self._read(self.late)
        sign = self.sign
        held = self.held
        keys = self.keys
        near_key = self.near_key
        best_key = self.best_key
        read_key = near_key if near_key < best_key else best_key  # noqa: FURB136 - a call more in every event
        for level in levels:
            price_ticks, qty_lots = level
            key = sign * price_ticks
            if qty_lots:
                old = held.get(key)
                held[key] = level
                if old is None:
                    insort(keys, key)
            else:
                old = held.pop(key, None)
                if old is None:
                    continue
                del keys[bisect_left(keys, key)]
            if key >= read_key:
                if key >= near_key:
                    self.near_lots += qty_lots - (old[1] if old else 0)
                if key >= best_key:
                    self.best_levels = None
        self._top()

    def levels(self) -> Levels:
        """Up to `VIEW_DEPTH` levels, best first."""
        if self.late is not None:
            self._read(self.late)
        levels = self.best_levels
        if levels is None:
            keys = self.keys[-VIEW_DEPTH:]
            self.best_key = keys[0] if len(keys) == VIEW_DEPTH else -_NEVER
            keys.reverse()
            levels = self.best_levels = tuple(map(self.held.__getitem__, keys))
        return levels

    def size(self, key: int) -> tuple[int, bool]:
        """Lots at one price, and whether it lies within what is shown, so that none there means nobody."""
        if self.late is not None:
            self._read(self.late)
        level = self.held.get(key)
        return (level[1], True) if level is not None else (0, bool(self.keys) and key > self.keys[0])

    def near_from(self, near_key: int) -> None:
        """Let `near_lots` count from another key on; walks only the levels between the last one and this."""
        if self.late is not None:
            self._read(self.late)
        last = self.near_key
        keys = self.keys
        held = self.held
        if near_key < last:
            self.near_lots += sum([held[key][1] for key in keys[bisect_left(keys, near_key) : bisect_left(keys, last)]])
        elif near_key > last:
            self.near_lots -= sum([held[key][1] for key in keys[bisect_left(keys, last) : bisect_left(keys, near_key)]])
        self.near_key = near_key


class Book:
    """The book of one symbol at one venue; feed it each event once, in the order of arrival.

    trust        see the module.
    bid_ticks    best bid, 0 while there is none; ask_ticks likewise.
    clock_ns     the latest time that has been seen, which does not go back.
    """

    __slots__ = (
        "_ask_lots",
        "_asks",
        "_bid_lots",
        "_bids",
        "_counting",
        "_flow",
        "_flow_last",
        "_flow_out",
        "_fresh",
        "_funding_ns",
        "_funding_rate",
        "_mark_ticks",
        "_near_hticks",
        "_next_sample_ns",
        "_recv_ns",
        "_returns",
        "_sample_hticks",
        "_seq",
        "_since_ns",
        "_sound",
        "_squares",
        "_symbol",
        "_synced",
        "_touch",
        "_touch_last",
        "_touch_out",
        "_venue",
        "_venue_ns",
        "_view",
        "ask_ticks",
        "bid_ticks",
        "clock_ns",
        "trust",
    )

    def __init__(self, *, venue: VenueName, symbol: Symbol) -> None:
        self._venue = venue
        self._symbol = symbol
        self.trust = Trust.EMPTY
        self.bid_ticks = 0
        self.ask_ticks = 0
        self._bid_lots = 0
        self._ask_lots = 0
        self._bids = _Ladder(1)
        self._asks = _Ladder(-1)
        self._near_hticks = 0
        self._synced = False
        self._counting = False
        self._fresh = False
        self._seq = -1
        self.clock_ns = 0
        self._venue_ns = 0
        self._recv_ns = 0
        self._mark_ticks: float | None = None
        self._funding_ns = 0
        self._funding_rate: float | None = None
        self._view: MarketView | None = None
        self._start(0)

    def _start(self, now_ns: int) -> None:
        """Forget the windows: what they held does not join up with what comes from now on."""
        self._since_ns = now_ns
        self._sound = (0, 0, 0, 0)
        # Lots bought and sold, trades of buyers and of sellers: after each trade within the window, after the last one,
        # and after the last that has left.
        self._flow: deque[_Totals] = deque()
        self._flow_last: _Totals = (now_ns, 0, 0, 0, 0)
        self._flow_out: _Totals = self._flow_last
        # Order-flow imbalance, and changes of a best price, likewise.
        self._touch: deque[_Totals] = deque()
        self._touch_last: _Totals = (now_ns, 0, 0)
        self._touch_out: _Totals = self._touch_last
        self._next_sample_ns = _NEVER
        self._sample_hticks = 0
        self._returns: deque[int] = deque()
        self._squares = 0

    # --- what comes in ------------------------------------------------------------------------------------------

    def apply(self, update: BookUpdate) -> None:
        """Take a snapshot or an update, unless it is old or the book has a gap."""
        now_ns = update.recv_ns
        if now_ns < self.clock_ns:  # noqa: PLR1730 - `max` is a call more in every event
            now_ns = self.clock_ns
        if update.snapshot:
            self._step(now_ns)
            self._synced = True
            self._fresh = True
            self._seq = update.seq
            bids, asks = self._bids, self._asks
            bids.load(update.bids)
            asks.load(update.asks)
            self._near_hticks = 0
            if not (bids.top_key or asks.top_key):
                self._counting = False  # a snapshot of nothing: whoever made it had lost the book
        else:
            if not self._synced or not self._continues(update):
                return
            self._step(now_ns)
            if update.bids:
                self._bids.change(update.bids)
            if update.asks:
                self._asks.change(update.asks)
        self._venue_ns = update.venue_ns
        self._recv_ns = update.recv_ns
        self._view = None
        self._settle(now_ns)

    def trade(self, trade: TradePrint) -> None:
        """Take a public trade: it counts into the flow, and does not touch the levels."""
        if not self._counting:
            return
        now_ns = max(trade.recv_ns, self.clock_ns)
        self._step(now_ns)
        _, buy_lots, sell_lots, buys, sells = self._flow_last
        if trade.side is _BUY:
            totals = (now_ns, buy_lots + trade.qty_lots, sell_lots, buys + 1, sells)
        else:
            totals = (now_ns, buy_lots, sell_lots + trade.qty_lots, buys, sells + 1)
        self._flow_last = totals
        self._flow.append(totals)
        self._view = None

    def mark(self, update: MarkUpdate) -> None:
        """Take the venue's mark price, and what it says of funding, if anything."""
        self._mark_ticks = update.mark_ticks
        if update.funding_ns:
            self._funding_ns = update.funding_ns
            self._funding_rate = update.funding_rate
        self._view = None

    def reset(self, reset: BookReset) -> None:
        """The feed was lost: nothing is to be trusted until the next snapshot, and an old mark is no mark."""
        self.clock_ns = max(self.clock_ns, reset.recv_ns)
        self._mark_ticks = None
        self._lose()

    # --- what can be seen ---------------------------------------------------------------------------------------

    def view(self, now_ns: int) -> MarketView:
        """The market as known at `now_ns`; the same view again while nothing has changed and no time has passed."""
        if now_ns > self.clock_ns:
            self._step(now_ns)
        elif self._view is not None:
            return self._view
        view = self._view = MarketView(
            self._venue,
            self._symbol,
            self.trust,
            self._venue_ns,
            self._recv_ns,
            self._bids.levels(),
            self._asks.levels(),
            self._mark_ticks,
            self._features() if self.trust is _OK else None,
            self._funding_ns,
            self._funding_rate,
        )
        return view

    def mid_hticks(self) -> int:
        """Mid in half-ticks, 0 while it is unknown or not to be trusted."""
        return self.bid_ticks + self.ask_ticks if self.trust is _OK else 0

    def size_at(self, side: Side, price_ticks: int) -> tuple[int, bool]:
        """Lots displayed at a price on the side where orders of `side` rest, and whether 0 means that nobody is there.

        As of the last update that was applied; in a gap that is history, see `lost`.
        """
        return self._bids.size(price_ticks) if side is _BUY else self._asks.size(-price_ticks)

    @property
    def lost(self) -> bool:
        """There is no book: none has come, or there is a gap since."""
        return not self._synced

    @property
    def venue_ns(self) -> int:
        """The venue's time of the last update that was applied."""
        return self._venue_ns

    def feature(self, name: str, now_ns: int) -> float | None:
        """One feature, equal to the one in `view(now_ns)`, without the others; None while the book is not OK.

        name    one of `FEATURE_NAMES`; another one is the caller's bug and raises KeyError.
        """
        read = READERS[name]
        self.look(now_ns)
        return read(self) if self.trust is _OK else None

    def look(self, now_ns: int) -> None:
        """Let time pass up to `now_ns`: what `READERS` read is as of then."""
        if now_ns > self.clock_ns:
            self._view = None
            self._step(now_ns)

    # --- how it is kept -----------------------------------------------------------------------------------------

    def _continues(self, update: BookUpdate) -> bool:
        """Whether an update that is no snapshot may be applied; a break of the chain opens the gap."""
        seq = update.seq
        prev_seq = update.prev_seq
        last = self._seq
        if prev_seq >= 0:
            if prev_seq != last:
                if seq <= last:
                    return False
                if last < 0 or prev_seq > last or not self._fresh:
                    self._lose()
                    return False
        elif 0 <= seq <= last:
            if not self._fresh:
                self._lose()
            return False
        self._fresh = False
        if seq >= 0:
            self._seq = seq
        return True

    def _lose(self) -> None:
        """Open a gap; before the first snapshot the book stays EMPTY."""
        if self._synced:
            self._synced = False
            self._counting = False
            self.trust = Trust.GAP
        self._view = None

    def _step(self, now_ns: int) -> None:
        """Advance the clock to `now_ns`: take the mids at the seconds passed, and let events leave the windows."""
        self.clock_ns = now_ns
        if now_ns >= self._next_sample_ns:
            self._sample(now_ns)
        horizon_ns = now_ns - FLOW_WINDOW_NS
        queue = self._flow
        while queue and queue[0][0] <= horizon_ns:
            self._flow_out = queue.popleft()
        queue = self._touch
        while queue and queue[0][0] <= horizon_ns:
            self._touch_out = queue.popleft()

    def _sample(self, now_ns: int) -> None:
        """Sample the last sound mid at every whole second up to `now_ns`; all but the first are without a change."""
        mid_hticks = self._sound[0] + self._sound[2]
        passed = (now_ns - self._next_sample_ns) // VOL_SAMPLE_NS + 1
        self._next_sample_ns += passed * VOL_SAMPLE_NS
        returns = self._returns
        if self._sample_hticks:
            change = mid_hticks - self._sample_hticks
            returns.append(change * change)
            self._squares += change * change
        self._sample_hticks = mid_hticks
        returns.extend([0] * min(passed - 1, VOL_SAMPLES))
        while len(returns) > VOL_SAMPLES:
            self._squares -= returns.popleft()

    def _settle(self, now_ns: int) -> None:
        """After a change of the levels: the best prices, trust, and what the touch says against the last sound one."""
        bids = self._bids
        asks = self._asks
        bid = self.bid_ticks = bids.top_key
        ask = self.ask_ticks = -asks.top_key
        if not bid or not ask:
            self.trust = _EMPTY
            return
        if bid >= ask:
            self.trust = _CROSSED
            return
        self.trust = _OK
        bid_lots = self._bid_lots = bids.top_lots
        ask_lots = self._ask_lots = asks.top_lots
        bid_before, bid_lots_before, ask_before, ask_lots_before = self._sound
        if not self._counting:
            self._counting = True
            self._start(now_ns)
            self._sound = (bid, bid_lots, ask, ask_lots)
            self._next_sample_ns = (now_ns // VOL_SAMPLE_NS + 1) * VOL_SAMPLE_NS
            return
        moves = 0
        if bid == bid_before:
            ofi_lots = bid_lots - bid_lots_before
        else:
            ofi_lots = bid_lots if bid > bid_before else -bid_lots_before
            moves = 1
        if ask == ask_before:
            ofi_lots += ask_lots_before - ask_lots
        else:
            ofi_lots += ask_lots_before if ask > ask_before else -ask_lots
            moves += 1
        self._sound = (bid, bid_lots, ask, ask_lots)
        if ofi_lots or moves:
            _, ofi_before, moves_before = self._touch_last
            totals = self._touch_last = (now_ns, ofi_before + ofi_lots, moves_before + moves)
            self._touch.append(totals)

    def _features(self) -> Features:
        """Every feature, as of the clock; the book is OK."""
        bid = self.bid_ticks
        ask = self.ask_ticks
        bid_lots = self._bid_lots
        ask_lots = self._ask_lots
        mid_hticks = bid + ask
        spread_ticks = ask - bid
        if mid_hticks != self._near_hticks:
            self._look_near(mid_hticks)
        window_s, rate_s = self._windows()
        _, buy_lots, sell_lots, buys, sells = self._flow_last
        _, buy_lots_out, sell_lots_out, buys_out, sells_out = self._flow_out
        _, ofi_lots, moves = self._touch_last
        _, ofi_lots_out, moves_out = self._touch_out
        short = self._a_second_ago(self._flow, self._flow_out)
        return Features(
            mid_hticks,
            spread_ticks,
            spread_bps(spread_ticks, mid_hticks),
            bid_lots,
            ask_lots,
            self._bids.near_lots,
            self._asks.near_lots,
            imbalance(bid_lots, ask_lots),
            micro_ticks(bid, spread_ticks, bid_lots, ask_lots),
            (buy_lots - buy_lots_out) / rate_s,
            (sell_lots - sell_lots_out) / rate_s,
            ofi_lots - ofi_lots_out,
            (moves - moves_out) / rate_s,
            volatility(self._rms_hticks(), mid_hticks),
            window_s,
            ofi_lots - self._a_second_ago(self._touch, self._touch_out)[1],
            (buy_lots - short[1]) / _SHORT_S,
            (sell_lots - short[2]) / _SHORT_S,
            (buys - buys_out) / rate_s,
            (sells - sells_out) / rate_s,
        )

    def _look_near(self, mid_hticks: int) -> None:
        """Let the depth near the mid be that of `mid_hticks`."""
        self._bids.near_from(near_bid_ticks(mid_hticks))
        self._asks.near_from(-near_ask_ticks(mid_hticks))
        self._near_hticks = mid_hticks

    def _windows(self) -> tuple[float, float]:
        """Seconds that the flow windows hold, and what rates divide by."""
        window_ns = self.clock_ns - self._since_ns
        if window_ns >= FLOW_WINDOW_NS:
            return _WINDOW_S, _WINDOW_S
        window_s = window_ns / NS
        return window_s, max(window_s, _FLOOR_S)

    def _a_second_ago(self, window: deque[_Totals], out: _Totals) -> _Totals:
        """What had come before the short window began; found when asked for, so that events pay nothing for it."""
        until = bisect_right(window, (self.clock_ns - SHORT_WINDOW_NS, _NEVER))
        return window[until - 1] if until else out

    def _flow_in(self, kind: int) -> int:
        """Of `_flow`'s totals the one at `kind`, within the window."""
        return self._flow_last[kind] - self._flow_out[kind]

    def _flow_1s(self, kind: int) -> int:
        """The same within the short window."""
        return self._flow_last[kind] - self._a_second_ago(self._flow, self._flow_out)[kind]

    def _touch_in(self, kind: int) -> int:
        """Of `_touch`'s totals the one at `kind`, within the window."""
        return self._touch_last[kind] - self._touch_out[kind]

    def _rms_hticks(self) -> float:
        """Root mean square one-second change of the mid, 0.0 until there is one."""
        returns = self._returns
        return sqrt(self._squares / len(returns)) if returns else 0.0

    def _near(self, ladder: _Ladder) -> int:
        """Depth of one side near the mid."""
        mid_hticks = self.bid_ticks + self.ask_ticks
        if mid_hticks != self._near_hticks:
            self._look_near(mid_hticks)
        return ladder.near_lots


READERS: Final[Mapping[str, Callable[[Book], float]]] = {
    "mid_hticks": lambda book: book.bid_ticks + book.ask_ticks,
    "spread_ticks": lambda book: book.ask_ticks - book.bid_ticks,
    "spread_bps": lambda book: spread_bps(book.ask_ticks - book.bid_ticks, book.bid_ticks + book.ask_ticks),
    "bid_touch_lots": lambda book: book._bid_lots,
    "ask_touch_lots": lambda book: book._ask_lots,
    "bid_near_lots": lambda book: book._near(book._bids),
    "ask_near_lots": lambda book: book._near(book._asks),
    "imbalance": lambda book: imbalance(book._bid_lots, book._ask_lots),
    "micro_ticks": lambda book: micro_ticks(
        book.bid_ticks, book.ask_ticks - book.bid_ticks, book._bid_lots, book._ask_lots
    ),
    "buy_flow": lambda book: book._flow_in(1) / book._windows()[1],
    "sell_flow": lambda book: book._flow_in(2) / book._windows()[1],
    "ofi_lots": lambda book: book._touch_in(1),
    "best_moves_per_s": lambda book: book._touch_in(2) / book._windows()[1],
    "volatility": lambda book: volatility(book._rms_hticks(), book.bid_ticks + book.ask_ticks),
    "window_s": lambda book: book._windows()[0],
    "ofi_1s_lots": lambda book: book._touch_last[1] - book._a_second_ago(book._touch, book._touch_out)[1],
    "buy_flow_1s": lambda book: book._flow_1s(1) / _SHORT_S,
    "sell_flow_1s": lambda book: book._flow_1s(2) / _SHORT_S,
    "buy_trades_per_s": lambda book: book._flow_in(3) / book._windows()[1],
    "sell_trades_per_s": lambda book: book._flow_in(4) / book._windows()[1],
}
