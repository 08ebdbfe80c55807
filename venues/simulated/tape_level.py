"""Own resting orders at one price of one owner, and when the recording does something to them next.

Three things fill a resting order:

1. a trade at its price by the opposite aggressor, once those ahead of it are served: in part, by the queue model;
2. a trade strictly through its price: whole;
3. the opposite best at or beyond its price: whole.

The rest of a limit order that took everything up to its price overlaps the recorded levels it took. Those cannot fill
it a second time; the first level that the recording shows afresh at its price or better does, whole.

A level looks for the next stop (2 or 3) in bounded stretches of the recording, and walks ahead from trade to trade at
its own price in bounded bursts. Nothing is done about what it finds before `due_ns`. A new order has looked, not
walked: one that is cancelled at once has cost little.
"""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from sor.models.queues import QueueModel
from sor.orders import Side
from venues.simulated.tape_conditions import NEVER
from venues.simulated.tape_market import Moment, TapeMarket
from venues.simulated.tape_walk import QueueWalk

_STRETCH = 1 << 10, 1 << 15
"""Slots looked at together for the next stop: first, and at most."""
_BURST = 1, 1 << 6
"""Trades at our price walked ahead together: first, and at most."""


class Wanting(Protocol):
    """An order, as far as a level must know it."""

    @property
    def leaves_lots(self) -> int:
        """Lots it still wants."""


OrderT = TypeVar("OrderT", bound=Wanting)


class Level(Protocol[OrderT]):
    """Own orders at one price, oldest first, whoever knows their places.

    orders    who rests here; change it only through `join` and `drop`.
    due_ns    venue time of what happens next, `NEVER` when the recording has nothing more; valid after `plan`.
    """

    orders: list[OrderT]
    due_ns: int
    side: Side
    price_ticks: int
    signed: int

    def join(self, order: OrderT, at: Moment) -> None:
        """One more order arrives; everything due by then has been played. Call `plan` afterwards."""

    def drop(self, order: OrderT) -> None:
        """An order leaves. Where others stay and it was not `play` that ended it, `rewind` first; then `plan`."""

    def rewind(self, at: Moment) -> None:
        """Forget what was found ahead of this moment, because what an order wants has changed."""

    def plan(self) -> None:
        """Find out when something happens next."""

    def play(self) -> list[tuple[OrderT, int]]:
        """Let happen what is due at `due_ns`: the orders that it fills, with the lots of each, oldest first.

        Apply the fills, `drop` the orders that are done, then call `plan`.
        """


class OwnLevel(Generic[OrderT]):
    """Orders whose places are estimated by a queue model."""

    __slots__ = (
        "_ahead",
        "_at_stop",
        "_burst",
        "_given",
        "_market",
        "_slot",
        "_stop",
        "_stop_ns",
        "_stretch",
        "_sweeps",
        "_trade",
        "_walk",
        "due_ns",
        "orders",
        "price_ticks",
        "side",
        "signed",
    )

    def __init__(self, market: TapeMarket, model: QueueModel, side: Side, *, price_ticks: int, at: Moment) -> None:
        """Begin at this moment."""
        self.side = side
        self.price_ticks = price_ticks
        self.signed = side * price_ticks
        self.orders: list[OrderT] = []
        self.due_ns = NEVER
        self._market = market
        self._walk = QueueWalk(market, model, side, price_ticks=price_ticks, group=at.group, trade=at.trade)
        self._ahead: QueueWalk | None = None
        self._given: list[int] | None = None
        self._burst = 0
        self._at_stop = False
        self._trade = at.trade
        self._slot = at.group + 1
        self._stretch = _STRETCH[0]
        # The next stop: how many trades precede it, when it is, and whether it fills us or is only where the stretch
        # that was looked at ends.
        self._stop = 0
        self._stop_ns = NEVER
        self._sweeps = False
        if market.opposite_best(side, at.group) <= self.signed:
            self._find_refill(at.group)
        else:
            self._find_stop()

    # --- who rests here -----------------------------------------------------------------------------------------

    def join(self, order: OrderT, at: Moment) -> None:
        """One more order arrives, behind all that is displayed."""
        if self.orders:
            self.rewind(at)
        self.orders.append(order)
        self._walk.join()

    def drop(self, order: OrderT) -> None:
        """An order leaves, and those behind it stay where they are."""
        at = self.orders.index(order)
        del self.orders[at]
        del self._walk.places[at]

    def rewind(self, at: Moment) -> None:
        """Forget what was found ahead, and stand at this moment."""
        self._ahead = self._given = None
        self._walk.seek(group=at.group, trade=at.trade)

    # --- what happens to them -----------------------------------------------------------------------------------

    def plan(self) -> None:
        """Walk ahead from trade to trade, as far as the next stop."""
        walk, stop = self._walk, self._stop
        self._ahead = self._given = None
        trade = walk.next_trade()
        if trade < stop and self._burst:
            wants = [order.leaves_lots for order in self.orders]
            self._ahead = walk = walk.copy()
            for _ in range(self._burst):
                self._given = walk.step(wants)
                if self._given is not None:
                    break
                trade = walk.next_trade()
                if trade >= stop:
                    break
        self._burst = min(2 * self._burst, _BURST[1]) or _BURST[0]
        self._at_stop = trade >= stop
        self.due_ns = self._stop_ns if trade >= stop else self._market.trade_ns[trade]

    def play(self) -> list[tuple[OrderT, int]]:
        """Serve the orders that a trade or a stop reaches, oldest first."""
        if self._ahead is not None:
            self._walk = self._ahead
        given = self._given
        self._ahead = self._given = None
        orders = self.orders
        if self._at_stop:
            if self._sweeps:
                return [(order, order.leaves_lots) for order in orders]
            self._find_stop()
            return []
        if given is None:
            given = self._walk.step([order.leaves_lots for order in orders])
            if given is None:
                return []
        # An order may have been cut since the walk went ahead.
        return [(order, min(lots, order.leaves_lots)) for order, lots in zip(orders, given, strict=True) if lots]

    # --- looking ahead ------------------------------------------------------------------------------------------

    def _find_stop(self) -> None:
        """Look for the next trade through our price or the next opposite best that reaches it."""
        market, side, signed = self._market, self.side, self.signed
        slot, last = self._slot, market.group_count
        end = min(slot + self._stretch, last + 1)
        while (hit := market.next_reach(side, signed, slot=slot, end_slot=end)) >= 0:
            trade = market.through(side, signed, slot=hit, trade=self._trade)
            if trade >= 0:
                self._set_stop(trade, market.trade_ns[trade], sweeps=True)
                return
            if market.reaches(side, signed, group=hit):
                self._set_stop(market.slot_first[hit + 1], market.group_ns[hit], sweeps=True)
                return
            slot = hit + 1  # a trade of our first slot that was over before we came
        if end > last:
            self._set_stop(market.trade_count, NEVER, sweeps=False)
        else:
            self._set_stop(market.slot_first[end], market.group_ns[end - 1], sweeps=False)
        self._slot = end
        self._stretch = min(2 * self._stretch, _STRETCH[1])

    def _find_refill(self, group: int) -> None:
        """Look for the first group that shows new size on the other side at our price or better."""
        market = self._market
        refill = market.next_refill(self.side, self.signed, group=group)
        if refill < 0:
            self._set_stop(market.trade_count, NEVER, sweeps=False)
        else:
            self._set_stop(market.slot_first[refill + 1], market.group_ns[refill], sweeps=True)

    def _set_stop(self, trade: int, at_ns: int, *, sweeps: bool) -> None:
        self._stop = trade
        self._stop_ns = at_ns
        self._sweeps = sweeps
