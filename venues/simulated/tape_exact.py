"""Own resting orders at one price of one owner where the recording has every order by its id: when their turn comes.

Nothing is estimated. An order is filled, whole, by the first of two things after it arrived:

1. the feed tells that a trade reached an order at its price that joined after it, or one at a worse price;
2. the opposite best reaches its price in a book that is not crossed.

Both are known when it joins and nothing it does later changes them: less quantity at the same price keeps the place,
anything else is a new one. Orders of one owner do not meet: each has its place among the recorded ones. The rules are
those of the probes (`sor.lab.queue_fills`), and a test holds the two to the same nanosecond.

The rest of a limit order that took everything up to its price overlaps the recorded levels it took: as by estimates, of
those only one that the recording shows afresh fills it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.lab.order_hits import order_hits
from sor.models.queues import EXACT, queue_model
from sor.orders import Side
from sor.tape import IntColumn, Tape
from venues.simulated.tape_conditions import NEVER
from venues.simulated.tape_level import Level, OrderT, OwnLevel
from venues.simulated.tape_market import Moment, TapeMarket
from venues.simulated.tape_owner import OwnOrder

NewLevel = Callable[[Side, int, Moment], Level[OwnOrder]]
"""An empty level of a side at a price, from a moment on."""


def level_maker(market: TapeMarket, queue: str) -> NewLevel:
    """How own orders find their places on a recording: by a queue model's name, or `exact`.

    Raises `CallerError` for an unknown name, and for `exact` where the recording does not have every order.
    """
    if queue == EXACT:
        truth = true_queue(market)
        return lambda side, price_ticks, at: ExactLevel(market, truth, side, price_ticks=price_ticks)
    model = queue_model(queue)
    return lambda side, price_ticks, at: OwnLevel(market, model, side, price_ticks=price_ticks, at=at)


class TrueQueue:
    """Whom trades reached on a recording, by side.

    told_ns    by side (H,) when each was told, non-decreasing. signed: its price. joined_ns: since when it rested.
    """

    __slots__ = ("_joined_ns", "_signed", "_told_ns")

    def __init__(self, tape: Tape) -> None:
        if tape.order_id is None:
            raise CallerError(
                f"tape {tape.name} does not have every order, so nobody's exact place is known; nothing was opened. "
                "Use risk_averse or moderate"
            )
        hits = order_hits(tape)
        ours = {side: hits.side == int(side) for side in Side}
        self._told_ns: dict[Side, IntColumn] = {side: hits.told_ns[rows] for side, rows in ours.items()}
        self._signed: dict[Side, IntColumn] = {side: hits.ticks[rows] * int(side) for side, rows in ours.items()}
        self._joined_ns: dict[Side, IntColumn] = {side: hits.joined_ns[rows] for side, rows in ours.items()}

    def turn_ns(self, side: Side, signed: int, *, arrived_ns: int) -> int:
        """When a trade first reaches an order behind one that arrives then, `NEVER` for none."""
        first = int(self._told_ns[side].searchsorted(arrived_ns, "right"))
        prices = self._signed[side][first:]
        behind = (prices == signed) & (self._joined_ns[side][first:] > arrived_ns)
        reached: NDArray[np.bool_] = (prices < signed) | behind
        at = int(reached.argmax()) if reached.size else 0
        return int(self._told_ns[side][first + at]) if reached.size and reached[at] else NEVER


@lru_cache(maxsize=2)
def true_queue(market: TapeMarket) -> TrueQueue:
    """Whom trades reached on a recording, kept for the next venue on it as the market itself is.

    Raises `CallerError` where the recording does not have every order.
    """
    return TrueQueue(market.tape)


class ExactLevel(Generic[OrderT]):
    """Orders whose turns are known."""

    __slots__ = ("_market", "_truth", "_turns_ns", "due_ns", "orders", "price_ticks", "side", "signed")

    def __init__(self, market: TapeMarket, truth: TrueQueue, side: Side, *, price_ticks: int) -> None:
        self.side = side
        self.price_ticks = price_ticks
        self.signed = side * price_ticks
        self.orders: list[OrderT] = []
        self.due_ns = NEVER
        self._market = market
        self._truth = truth
        self._turns_ns: list[int] = []

    def join(self, order: OrderT, at: Moment) -> None:
        """One more order arrives: its turn is that of its time, whoever else of its owner rests here."""
        turn_ns = self._truth.turn_ns(self.side, self.signed, arrived_ns=at.at_ns)
        self.orders.append(order)
        self._turns_ns.append(min(turn_ns, self._reached_ns(at.group, before_ns=turn_ns)))

    def drop(self, order: OrderT) -> None:
        """An order leaves."""
        at = self.orders.index(order)
        del self.orders[at]
        del self._turns_ns[at]

    def rewind(self, at: Moment) -> None:
        """No order's turn depends on what the others want."""

    def plan(self) -> None:
        """The earliest turn is next."""
        self.due_ns = min(self._turns_ns, default=NEVER)

    def play(self) -> list[tuple[OrderT, int]]:
        """Fill whose turn has come."""
        due_ns = self.due_ns
        turns = zip(self.orders, self._turns_ns, strict=True)
        return [(order, order.leaves_lots) for order, turn_ns in turns if turn_ns <= due_ns]

    def _reached_ns(self, group: int, *, before_ns: int) -> int:
        """When the opposite best first reaches our price after `group`; `NEVER` where not by `before_ns`."""
        market, side, signed = self._market, self.side, self.signed
        if market.opposite_best(side, group) <= signed:
            refill = market.next_refill(side, signed, group=group)
            return market.group_ns[refill] if refill >= 0 else NEVER
        slot, end = group + 1, market.group_at(before_ns) + 1
        while (hit := market.next_reach(side, signed, slot=slot, end_slot=end)) >= 0:
            if market.reaches(side, signed, group=hit):
                return market.group_ns[hit]
            slot = hit + 1  # a trade through our price alone: whom it reached is told by the feed
        return NEVER
