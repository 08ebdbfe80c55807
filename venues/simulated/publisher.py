"""Market data as the venue sends it: a snapshot on request, then changed levels and trades every so often, and a mark.

The trades of an interval are sent before the book as it is at the interval's end: a trade meets the book as it was.
Updates are chained by sequence numbers. What was not sent while the link was down is in the next snapshot.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp

from sor.adapter import Scheduler
from sor.market import BookUpdate, MarketEvent, MarkUpdate, TradePrint
from sor.units import NS
from venues.simulated.channel import Channel
from venues.simulated.exchange import Exchange
from venues.simulated.faults import Chance

ALL_LEVELS = 1 << 30
MARK_NS = NS
"""The mark moves once a second."""


class Publisher:
    """Publishes one instrument to one subscriber.

    catch_up     brings the market to a time; called before anything is read off the book.
    next_ns      when the market next does something by itself, None when it never does.
    mark_ticks   the mark so far, None when there has been none.
    refetch_ns   how long it takes to notice such a gap and fetch a snapshot.
    """

    def __init__(
        self,
        exchange: Exchange,
        *,
        scheduler: Scheduler,
        channel: Channel[MarketEvent],
        catch_up: Callable[[int], None],
        next_ns: Callable[[], int | None],
        chance: Chance,
        book_ns: int,
        mark_s: float,
        mark_ticks: float | None,
        clock_offset_ns: int,
        refetch_ns: int,
    ) -> None:
        self.mark_ticks = mark_ticks
        self._exchange = exchange
        self._engine = exchange.engine
        self._symbol = exchange.engine.instrument.symbol
        self._scheduler = scheduler
        self._channel = channel
        self._catch_up = catch_up
        self._next_ns = next_ns
        self._chance = chance
        self._book_ns = book_ns
        self._weight = 1.0 - exp(-1.0 / mark_s)
        self._offset_ns = clock_offset_ns
        self._refetch_ns = refetch_ns
        self._session = 0
        self._on = False
        self._due_ns = 0
        self._gap = False
        self._seq = 0

    def start(self) -> None:
        """Send a snapshot and a mark now, and keep on publishing. Again: another snapshot."""
        now_ns = self._scheduler.now_ns()
        self._catch_up(now_ns)
        if not self._on:
            self._on = True
            self._session += 1
            self._due_ns = 0
            self._gap = False
            self._engine.track_levels(on=True)
            self._exchange.publishes = True
            self._tick_mark(self._session)
        self._snapshot(now_ns)
        self._arm(now_ns)

    def stop(self) -> None:
        """Send nothing more until it is started again."""
        self._on = False
        self._session += 1
        self._engine.track_levels(on=False)
        self._exchange.publishes = False
        self._exchange.prints.clear()

    def touched(self, now_ns: int) -> None:
        """Somebody has changed the book, or may have: it is published at the end of this interval."""
        if self._on:
            self._come_back(now_ns)

    def _arm(self, now_ns: int) -> None:
        """Come back at the end of the interval in which the market next does something."""
        next_ns = self._next_ns()
        if next_ns is not None:
            self._come_back(max(next_ns, now_ns))

    def _come_back(self, changed_ns: int) -> None:
        due_ns = (changed_ns // self._book_ns + 1) * self._book_ns if self._book_ns else changed_ns
        if self._due_ns and self._due_ns <= due_ns:
            return
        self._due_ns = due_ns
        session = self._session
        self._scheduler.call_at(due_ns, lambda: self._due(session, due_ns))

    def _due(self, session: int, due_ns: int) -> None:
        if session != self._session or due_ns != self._due_ns:
            return  # an earlier call has taken its place
        self._due_ns = 0
        now_ns = self._scheduler.now_ns()
        self._catch_up(now_ns)
        self._publish(now_ns)
        self._arm(now_ns)

    def _publish(self, now_ns: int) -> None:
        prints = self._exchange.prints
        bids, asks = self._engine.changes()
        if not prints and not bids and not asks:
            return
        at_ns = self._channel.arrival_ns(now_ns)
        # Taken off first: whoever hears of one may send an order, and its trades are the next interval's.
        trades = prints.copy()
        prints.clear()
        for trade in trades:
            printed = TradePrint(
                symbol=self._symbol,
                side=trade.taker.side,
                price_ticks=trade.price_ticks,
                qty_lots=trade.lots,
                venue_ns=trade.ts_ns + self._offset_ns,
                recv_ns=at_ns,
            )
            self._channel.put(printed, at_ns=at_ns, now_ns=now_ns)
        if not bids and not asks:
            return
        previous, self._seq = self._seq, self._seq + 1
        if self._chance.hits(self._chance.faults.lost_market, "lost_market"):
            self._gap = True
            return
        update = BookUpdate(
            symbol=self._symbol,
            bids=bids,
            asks=asks,
            venue_ns=now_ns + self._offset_ns,
            recv_ns=at_ns,
            seq=self._seq,
            prev_seq=previous,
        )
        self._channel.put(update, at_ns=at_ns, now_ns=now_ns)
        if self._gap:
            # The first update after a lost one shows the gap to whoever receives it.
            self._gap = False
            session = self._session
            self._scheduler.call_at(at_ns + self._refetch_ns, lambda: self._refetch(session))

    def _refetch(self, session: int) -> None:
        if session == self._session:
            now_ns = self._scheduler.now_ns()
            self._catch_up(now_ns)
            self._publish(now_ns)
            self._snapshot(now_ns)

    def _snapshot(self, now_ns: int) -> None:
        self._engine.changes()
        bids, asks = self._engine.depth(ALL_LEVELS)
        self._seq += 1
        at_ns = self._channel.arrival_ns(now_ns)
        snapshot = BookUpdate(
            symbol=self._symbol,
            bids=bids,
            asks=asks,
            venue_ns=now_ns + self._offset_ns,
            recv_ns=at_ns,
            snapshot=True,
            seq=self._seq,
        )
        self._channel.put(snapshot, at_ns=at_ns, now_ns=now_ns)

    def _tick_mark(self, session: int) -> None:
        if session != self._session:
            return
        now_ns = self._scheduler.now_ns()
        self._catch_up(now_ns)
        bid, ask = self._engine.best_bid, self._engine.best_ask
        if bid and ask:
            mid_ticks = (bid + ask) / 2
            was = self.mark_ticks
            self.mark_ticks = mid_ticks if was is None else was + self._weight * (mid_ticks - was)
            at_ns = self._channel.arrival_ns(now_ns)
            mark = MarkUpdate(
                symbol=self._symbol, mark_ticks=self.mark_ticks, venue_ns=now_ns + self._offset_ns, recv_ns=at_ns
            )
            self._channel.put(mark, at_ns=at_ns, now_ns=now_ns)
        self._scheduler.call_at((now_ns // MARK_NS + 1) * MARK_NS, lambda: self._tick_mark(session))
