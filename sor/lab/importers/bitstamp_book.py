"""A book of price levels from Bitstamp's order events, and the fills among them.

It is the sum of the orders by id, and what the published tops of the book (`order_book`) show beyond them.

Beginning   The book begins with the first published top. What that shows beyond the orders known by then is held as
            nameless size: those orders were there before the recording. Later tops correct the nameless size of the
            levels they show, and only that. The first hour is warm-up.
Lag         A published top is older than the events around it: a level that an event touched less than `QUIET_NS` ago
            is not corrected.
Ends        Messages of one order may overtake each other: what is told of an order after its delete is ignored. A few
            orders never get their delete: one that is better than the best of a published top, or still crosses the
            book, although no event touched it for `STALE_NS`, is dropped.
Takers      An order that takes is published like any other, and its price crosses the book until its fills have been
            told, some 100 ms. It is hidden while it crosses; what is left of it when it no longer does is resting, and
            is shown. Each fill is told twice, ms apart and in either order, by the order that takes and by the one
            that rests; a taker's size is reduced by the first of the two. A market order is a taker whose price is
            changed as it walks the book: each change places it afresh.
Fills       A decrease of an order at an unchanged price, or a delete with nothing left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from sor.lab.importers.recording import BookColumns
from sor.tape import OrderKind
from sor.units import NS

WARM_UP_NS = 3600 * NS
"""By then hardly any order is left that was there before the recording began."""
QUIET_NS = NS
"""A published top says nothing of a level that changed more recently."""
STALE_NS = 5 * NS
"""An order that stays better than the published best for so long is not there."""


class _Order:
    """A live order.

    met_lots    fills of the orders it met while it took, less those that its own messages told: positive when the
                other orders' messages are ahead, negative when its own are.
    """

    __slots__ = ("hidden", "lots", "met_lots", "order_id", "side", "ticks", "touched_ns")

    def __init__(self, order_id: int, *, side: int, ticks: int, lots: int, now_ns: int) -> None:
        self.order_id = order_id
        self.side = side
        self.ticks = ticks
        self.lots = lots
        self.met_lots = 0
        self.hidden = False
        self.touched_ns = now_ns

    @property
    def shown_lots(self) -> int:
        """What is left of it, as far as is known."""
        return max(0, self.lots - max(0, self.met_lots))


class Fill(NamedTuple):
    """A decrease of one order. `lots` is 0 where the order's size before it was not known."""

    now_ns: int
    order_id: int
    side: int
    ticks: int
    lots: int
    hidden: bool


class BookSide:
    """One side as the tape shows it: sizes by price, and how much of each is nameless."""

    __slots__ = ("best", "changed", "nameless", "shown", "sign", "touched_ns")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.shown: dict[int, int] = {}
        self.nameless: dict[int, int] = {}
        self.touched_ns: dict[int, int] = {}
        self.changed: dict[int, int] = {}  # prices that changed since the last group, with the size before
        self.best = 0  # 0 while there is none

    def add(self, ticks: int, lots: int) -> None:
        """Change the size at a price by `lots`, which may be negative."""
        old = self.shown.get(ticks, 0)
        new = old + lots
        if new == old:
            return
        assert new >= 0
        self.changed.setdefault(ticks, old)
        if new:
            self.shown[ticks] = new
            if not self.best or (ticks - self.best) * self.sign > 0:
                self.best = ticks
            return
        del self.shown[ticks]
        if ticks == self.best:
            self.best = max(self.shown, default=0) if self.sign > 0 else min(self.shown, default=0)

    def set_nameless(self, ticks: int, lots: int) -> None:
        """Make the nameless size at a price `lots`."""
        old = self.nameless.pop(ticks, 0)
        if lots:
            self.nameless[ticks] = lots
        self.add(ticks, lots - old)

    def better_than(self, ticks: int) -> list[int]:
        """Prices that are shown and better than `ticks`, best first."""
        return sorted((one for one in self.shown if (one - ticks) * self.sign > 0), reverse=self.sign > 0)


class OrderBook:
    """Order events and published tops in, groups of level changes and fills out."""

    __slots__ = ("_counts", "_ended", "_hidden", "_orders", "asks", "began_ns", "bids", "columns", "fills")

    def __init__(self, counts: Counter[str]) -> None:
        self.columns = BookColumns()
        self.fills: list[Fill] = []
        self.began_ns = 0
        self._counts = counts
        self._orders: dict[int, _Order] = {}
        self.bids = BookSide(1)
        self.asks = BookSide(-1)
        self._hidden: dict[int, _Order] = {}
        self._ended: set[int] = set()  # ids whose delete was told; messages of one order may overtake each other

    # --- order events ---

    def event(self, kind: OrderKind, order_id: int, *, side: int, ticks: int, lots: int, now_ns: int) -> None:
        """Take one order event: what is left of the order, at which price."""
        self._side(side).touched_ns[ticks] = now_ns
        order = self._orders.get(order_id)
        if order_id in self._ended:
            self._counts["told_after_end"] += 1
        elif kind is OrderKind.CREATED:
            if order is not None:
                self._counts["duplicates"] += 1
            else:
                self._place(_Order(order_id, side=side, ticks=ticks, lots=lots, now_ns=now_ns))
        elif order is None:
            self._unknown(kind, order_id, side=side, ticks=ticks, lots=lots, now_ns=now_ns)
        else:
            self._side(side).touched_ns[order.ticks] = now_ns
            order.touched_ns = now_ns
            self._known(kind, order, ticks=ticks, lots=lots, now_ns=now_ns)
        self._unhide()
        self._close(now_ns)

    def _known(self, kind: OrderKind, order: _Order, *, ticks: int, lots: int, now_ns: int) -> None:
        filled = 0
        if kind is OrderKind.DELETED:
            filled = order.lots if lots == 0 else 0
        elif ticks == order.ticks:
            filled = max(0, order.lots - lots)
        if filled:
            self.fills.append(Fill(now_ns, order.order_id, order.side, order.ticks, filled, order.hidden))
            if not order.hidden:
                self._meet(order, filled)
        if kind is OrderKind.DELETED:
            self._ended.add(order.order_id)
            self._remove(order)
        elif ticks != order.ticks:
            self._counts["repriced"] += 1
            self._remove(order)
            order.ticks, order.lots, order.met_lots = ticks, lots, 0
            self._place(order)
        else:
            before = order.shown_lots
            order.lots = lots
            if order.hidden or order.met_lots > 0:
                order.met_lots -= filled
            if not order.hidden:
                self._side(order.side).add(order.ticks, order.shown_lots - before)

    def _unknown(self, kind: OrderKind, order_id: int, *, side: int, ticks: int, lots: int, now_ns: int) -> None:
        """An event of an order that was there before the recording, or whose delete overtook its create."""
        shown = self._side(side)
        if kind is OrderKind.CHANGED:
            # It is known from here on, and no longer nameless; what was filled of it is not known.
            self._counts["unknown_changed"] += 1
            shown.set_nameless(ticks, max(0, shown.nameless.get(ticks, 0) - lots))
            self._place(_Order(order_id, side=side, ticks=ticks, lots=lots, now_ns=now_ns))
            return
        self._counts["unknown_deleted"] += 1
        self._ended.add(order_id)
        if lots:
            shown.set_nameless(ticks, max(0, shown.nameless.get(ticks, 0) - lots))
        else:
            self.fills.append(Fill(now_ns, order_id, side, ticks, 0, hidden=False))
            shown.set_nameless(ticks, 0)  # all that is known; the next published book says what is left

    # --- showing and hiding ---

    def _side(self, side: int) -> BookSide:
        return self.bids if side > 0 else self.asks

    def _crosses(self, side: int, ticks: int) -> bool:
        other = self._side(-side).best
        return other > 0 and (ticks - other) * side >= 0

    def _place(self, order: _Order) -> None:
        self._orders[order.order_id] = order
        order.hidden = self._crosses(order.side, order.ticks)
        if order.hidden:
            self._counts["takers"] += 1
            self._hidden[order.order_id] = order
        else:
            self._side(order.side).add(order.ticks, order.shown_lots)

    def _remove(self, order: _Order) -> None:
        del self._orders[order.order_id]
        if order.hidden:
            del self._hidden[order.order_id]
        else:
            self._side(order.side).add(order.ticks, -order.shown_lots)

    def _meet(self, resting: _Order, lots: int) -> None:
        """A shown order was filled: take it off the taker it met, whose own message is still to come."""
        for taker in self._hidden.values():
            if taker.side != resting.side and (taker.ticks - resting.ticks) * taker.side >= 0:
                taker.met_lots += lots
                return

    def _unhide(self) -> None:
        """Show what no longer crosses, oldest first."""
        if not self._hidden:
            return
        for order in list(self._hidden.values()):
            if not self._crosses(order.side, order.ticks):
                del self._hidden[order.order_id]
                order.hidden = False
                self._side(order.side).add(order.ticks, order.shown_lots)

    # --- published books ---

    def published(self, bids: Sequence[tuple[int, int]], asks: Sequence[tuple[int, int]], now_ns: int) -> None:
        """Compare with a published top, best first; begin with it, or correct the nameless size by it."""
        if self.began_ns and bids and asks:
            self._counts["books_compared"] += 1
            agreed = self.bids.best == bids[0][0] and self.asks.best == asks[0][0]
            self._counts["books_agreed"] += agreed
            if now_ns - self.began_ns >= WARM_UP_NS:
                self._counts["warm_books_compared"] += 1
                self._counts["warm_books_agreed"] += agreed
        for taker in [one for one in self._hidden.values() if now_ns - one.touched_ns > STALE_NS]:
            self._counts["stale_orders"] += 1
            self._remove(taker)
        for side, levels in ((self.bids, bids), (self.asks, asks)):
            if levels:
                self._drop_stale(side, levels[0][0], now_ns)
                self._correct(side, dict(levels), worst=levels[-1][0], now_ns=now_ns)
        self._unhide()
        if self.began_ns:
            self._close(now_ns)
        else:
            self.began_ns = now_ns
            self._begin(now_ns)

    def _drop_stale(self, side: BookSide, best: int, now_ns: int) -> None:
        """Drop the orders that would have to be better than the published best and have not been touched for long."""
        if (side.best - best) * side.sign <= 0:
            return
        for ticks in side.better_than(best):
            for order in [one for one in self._orders.values() if one.side == side.sign and one.ticks == ticks]:
                if now_ns - order.touched_ns > STALE_NS and not order.hidden:
                    self._counts["stale_orders"] += 1
                    self._remove(order)

    def _correct(self, side: BookSide, levels: dict[int, int], *, worst: int, now_ns: int) -> None:
        nameless, shown = side.nameless, side.shown
        inside = [ticks for ticks in nameless if (ticks - worst) * side.sign >= 0 and ticks not in levels]
        for ticks in [*levels, *inside]:
            published, held = levels.get(ticks, 0), shown.get(ticks, 0)
            if published == held or now_ns - side.touched_ns.get(ticks, 0) <= QUIET_NS:
                continue
            old = nameless.get(ticks, 0)
            new = max(0, published - (held - old))
            if new != old and not self._crosses(side.sign, ticks):
                self._counts["nameless_corrected"] += bool(self.began_ns)
                side.set_nameless(ticks, new)

    # --- groups ---

    def _begin(self, now_ns: int) -> None:
        for side in (self.bids, self.asks):
            side.changed.clear()
            for ticks in sorted(side.shown, reverse=side.sign > 0):
                self._level(side, ticks)
        self.columns.close(venue_ns=now_ns, recv_ns=now_ns, snapshot=True)

    def _close(self, now_ns: int) -> None:
        if not self.began_ns:
            return
        for side in (self.bids, self.asks):
            if side.changed:
                for ticks, old in side.changed.items():
                    if side.shown.get(ticks, 0) != old:
                        self._level(side, ticks)
                side.changed.clear()
        self.columns.close(venue_ns=now_ns, recv_ns=now_ns)

    def _level(self, side: BookSide, ticks: int) -> None:
        self.columns.side.append(side.sign)
        self.columns.ticks.append(ticks)
        self.columns.lots.append(side.shown.get(ticks, 0))
