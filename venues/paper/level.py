"""Paper orders that rest at one price: whom a pushed trade reaches, by the queue models of `sor.models.queues`.

Trades and book updates come over two channels, and either may be late. A trade whose venue time is not after that of
the book is in the displayed size already. It is played against the places as they were before the last change of that
size, which is then taken in anew; the front of the queue never moves back for it, and orders that joined since do not
know of it. So neither order of arrival serves an order twice for one trade.
"""

from __future__ import annotations

from sor.models.queues import Place, QueueModel
from sor.orders import Side
from venues.simulated.tape_owner import Held, Holder

Order = Held[Holder]


class _Queued:
    """One order and its place.

    before      the place before the last change of the displayed size, None for an order that came after it.
    since_ns    the venue's clock when it came: what happened by then did not meet it.
    """

    __slots__ = ("before", "order", "place", "since_ns")

    def __init__(self, order: Order, place: Place, *, since_ns: int) -> None:
        self.order = order
        self.place = place
        self.since_ns = since_ns
        self.before: Place | None = None


class PaperLevel:
    """Own orders at one price, oldest first."""

    __slots__ = ("_before_lots", "_displayed_lots", "_model", "_queue", "price_ticks", "side", "signed")

    def __init__(self, model: QueueModel, side: Side, price_ticks: int, *, displayed_lots: int) -> None:
        self.side = side
        self.price_ticks = price_ticks
        self.signed = side * price_ticks
        self._model = model
        self._queue: list[_Queued] = []
        self._displayed_lots = self._before_lots = displayed_lots

    @property
    def orders(self) -> list[Order]:
        """Who rests here, oldest first."""
        return [queued.order for queued in self._queue]

    def join(self, order: Order, *, since_ns: int) -> None:
        """One more order arrives, behind all that is displayed as of `since_ns`, venue time."""
        self._queue.append(_Queued(order, Place(front=float(self._displayed_lots)), since_ns=since_ns))

    def drop(self, order: Order) -> None:
        """An order leaves."""
        self._queue = [queued for queued in self._queue if queued.order is not order]

    def shows(self, lots: int) -> None:
        """What is displayed at this price now."""
        if lots == self._displayed_lots:
            return
        for queued in self._queue:
            queued.before = queued.place.copy()
            queued.place.changes(self._model, displayed_lots=self._displayed_lots, sizes=(lots,))
        self._before_lots, self._displayed_lots = self._displayed_lots, lots

    def reached(self, lots: int, *, venue_ns: int, late: bool) -> list[tuple[Order, int]]:
        """A trade of `lots` at this price: the orders that it fills, with the lots of each, oldest first.

        venue_ns    when it was, 0 when that is not known. late: it is in the displayed size already.
        """
        ours = 0
        filled: list[tuple[Order, int]] = []
        for queued in self._queue:
            place = queued.before if late else queued.place
            if place is None or 0 < venue_ns <= queued.since_ns:
                continue
            got = min(place.trade(lots, ours=ours), queued.order.leaves_lots)
            if late:
                front = self._model.front_after(
                    place.front,
                    cum_trade=place.cum_trade,
                    prev_lots=self._before_lots,
                    sizes=(self._displayed_lots,),
                )
                queued.place.front = min(queued.place.front, front)
            if got:
                ours += got
                filled.append((queued.order, got))
        return filled

    def swept(self, lots: int, *, venue_ns: int) -> list[tuple[Order, int]]:
        """So much was traded at worse prices, or is offered at ours: nobody is ahead any more.

        venue_ns    as of when, 0 when that is not known.
        """
        filled: list[tuple[Order, int]] = []
        for queued in self._queue:
            if 0 < venue_ns <= queued.since_ns:
                continue
            queued.place.front = 0.0
            got = min(lots, queued.order.leaves_lots)
            if got:
                lots -= got
                filled.append((queued.order, got))
        return filled
