"""The book and its features once more, by the definitions and without any cleverness: what the real ones must equal.

Every question is answered from the whole list of events, each time anew.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from math import sqrt

from sor.features import Features
from sor.ids import Symbol, VenueName
from sor.market import BookReset, BookUpdate, Levels, MarketEvent, MarketView, MarkUpdate, TradePrint, Trust
from sor.orders import Side
from sor.units import NS

VENUE = VenueName("acme")
SYMBOL = Symbol("BTCUSDT")

Touch = tuple[int, int, int, int]
"""Bid ticks and lots, ask ticks and lots."""


class Known:
    """What the events so far leave behind."""

    def __init__(self, events: Sequence[MarketEvent]) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.trust = Trust.EMPTY
        self.venue_ns = self.recv_ns = 0
        self.mark: float | None = None
        self.seq = -1
        self.just_loaded = False
        self.running = False
        self.run: list[tuple[int, Touch]] = []
        self.trades: list[tuple[int, int, int]] = []
        for event in events:
            self.take(event)

    def take(self, event: MarketEvent) -> None:
        if isinstance(event, MarkUpdate):
            self.mark = event.mark_ticks
        elif isinstance(event, TradePrint):
            if self.running:
                self.trades.append((event.recv_ns, int(event.side), event.qty_lots))
        elif isinstance(event, BookReset):
            self.mark = None
            self.lose()
        elif event.snapshot:
            self.bids = {price: lots for price, lots in dict(event.bids).items() if lots}
            self.asks = {price: lots for price, lots in dict(event.asks).items() if lots}
            self.seq, self.just_loaded, self.trust = event.seq, True, Trust.OK
            self.running = self.running and bool(self.bids or self.asks)
            self.applied(event)
        elif self.trust is not Trust.GAP and self.recv_ns and self.follows(event):
            for levels, changes in ((self.bids, event.bids), (self.asks, event.asks)):
                for price, lots in changes:
                    levels[price] = lots
                    if not lots:
                        del levels[price]
            self.applied(event)

    def follows(self, update: BookUpdate) -> bool:
        chained = update.prev_seq >= 0
        old = 0 <= update.seq <= self.seq if not chained else update.prev_seq != self.seq and update.seq <= self.seq
        if old:
            if not chained and not self.just_loaded:
                self.lose()
            return False
        overlaps = self.just_loaded and 0 <= update.prev_seq < self.seq
        if chained and update.prev_seq != self.seq and not overlaps:
            self.lose()
            return False
        self.just_loaded = False
        self.seq = max(update.seq, self.seq) if not chained else update.seq
        return True

    def lose(self) -> None:
        if self.recv_ns:
            self.trust = Trust.GAP
            self.running = False

    def applied(self, update: BookUpdate) -> None:
        self.venue_ns, self.recv_ns = update.venue_ns, update.recv_ns
        if not self.bids or not self.asks:
            self.trust = Trust.EMPTY
            return
        bid, ask = max(self.bids), min(self.asks)
        self.trust = Trust.OK if bid < ask else Trust.CROSSED
        if self.trust is Trust.OK:
            if not self.running:
                self.running, self.run, self.trades = True, [], []
            self.run.append((update.recv_ns, (bid, self.bids[bid], ask, self.asks[ask])))


def view_of(events: Sequence[MarketEvent], now_ns: int) -> MarketView:
    """What a book that was given `events` says at `now_ns`."""
    known = Known(events)
    bids: Levels = tuple(sorted(known.bids.items(), reverse=True)[:10])
    asks: Levels = tuple(sorted(known.asks.items())[:10])
    features = _features(known, now_ns) if known.trust is Trust.OK else None
    return MarketView(VENUE, SYMBOL, known.trust, known.venue_ns, known.recv_ns, bids, asks, known.mark, features)


def _features(known: Known, now_ns: int) -> Features:
    bid, bid_lots, ask, ask_lots = known.run[-1][1]
    mid = Fraction(bid + ask, 2)
    reach = mid * 5 / 10_000
    since_ns = known.run[0][0]
    covered_ns = min(now_ns - since_ns, 10 * NS)
    rate_s = max(covered_ns, NS) / NS
    taken = {side: sum(lots for at, of, lots in known.trades if of == side and now_ns - 10 * NS < at) for side in Side}
    taken_1s = {side: sum(lots for at, of, lots in known.trades if of == side and now_ns - NS < at) for side in Side}
    made = {side: sum(of == side and now_ns - 10 * NS < at for at, of, _ in known.trades) for side in Side}
    ofi_lots = ofi_1s_lots = moves = 0
    for (_, old), (at, new) in pairwise(known.run):
        if at > now_ns - 10 * NS:
            step_lots = new[1] * (new[0] >= old[0]) - old[1] * (new[0] <= old[0])
            step_lots += old[3] * (new[2] >= old[2]) - new[3] * (new[2] <= old[2])
            ofi_lots += step_lots
            ofi_1s_lots += step_lots * (at > now_ns - NS)
            moves += (new[0] != old[0]) + (new[2] != old[2])
    seconds = range(since_ns // NS + 1, now_ns // NS + 1)
    mids = [[state[0] + state[2] for at, state in known.run if at < second * NS][-1] for second in seconds][-61:]
    changes = [(new - old) ** 2 for old, new in pairwise(mids)]
    return Features(
        mid_hticks=bid + ask,
        spread_ticks=ask - bid,
        spread_bps=20_000 * (ask - bid) / (bid + ask),
        bid_touch_lots=bid_lots,
        ask_touch_lots=ask_lots,
        bid_near_lots=sum(lots for price, lots in known.bids.items() if mid - price <= reach),
        ask_near_lots=sum(lots for price, lots in known.asks.items() if price - mid <= reach),
        imbalance=bid_lots / (bid_lots + ask_lots),
        micro_ticks=bid + (ask - bid) * bid_lots / (bid_lots + ask_lots),
        buy_flow=taken[Side.BUY] / rate_s,
        sell_flow=taken[Side.SELL] / rate_s,
        ofi_lots=ofi_lots,
        best_moves_per_s=moves / rate_s,
        volatility=10_000 * sqrt(sum(changes) / len(changes)) / (bid + ask) if changes else 0.0,
        window_s=covered_ns / NS,
        ofi_1s_lots=ofi_1s_lots,
        buy_flow_1s=float(taken_1s[Side.BUY]),
        sell_flow_1s=float(taken_1s[Side.SELL]),
        buy_trades_per_s=made[Side.BUY] / rate_s,
        sell_trades_per_s=made[Side.SELL] / rate_s,
    )
