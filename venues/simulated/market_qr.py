"""Queue-reactive order flow: queues around a reference price, each with rates of its own size (Huang et al. 2015).

Level i of bids and of asks is i ticks from the reference, less a half. Limit orders join each level and are cancelled
at rates of its size, market orders come to the best one at a rate of the size there. Everybody's orders count towards a
size, so the flow reacts to ours: it hesitates to join a queue that we have lengthened, and takes less of it.

When level 1 of a side has been emptied, the reference price moves past it with probability `theta`; otherwise the queue
fills again where it was, which is how prices come back. When the reference moves, the flow withdraws everything with
probability `redraw` and starts from the stationary law around the new price: news. Our orders stay where they are.

Market orders have a clock and a generator of their own, as in `market_zi`.
"""

from __future__ import annotations

from bisect import bisect_right
from math import log
from random import Random

import msgspec

from sor.models.queue_reactive import SIZE_MAX, QueueCurves
from sor.orders import OrdType, Side, Tif
from sor.units import NS
from venues.matching.engine import Engine
from venues.matching.events import Event
from venues.matching.orders import Account, Order

_BUY, _SELL = Side.BUY, Side.SELL
_SIDES = (_BUY, _SELL)


class QrParams(msgspec.Struct, frozen=True, kw_only=True):
    """The flow.

    curves       rates of each queue, one side; market orders at a best price only.
    levels       on each side, > 0. What takes more than all of them is left with the rest.
    size_lots    size of every order, > 0, raised to the venue's minimum: the unit in which queues are counted.
    theta        probability that the reference price follows when level 1 has been emptied.
    redraw       probability that a move of the reference price redraws the book.
    """

    curves: QueueCurves
    levels: int
    size_lots: int
    theta: float
    redraw: float


class QueueReactive:
    """The flow itself: feeds one engine from one account.

    next_market_ns    when the next market order may come: the only events that can fill somebody else's resting order.
    """

    __slots__ = (
        "_at_reference",
        "_best_law",
        "_cancels",
        "_crowd",
        "_curves",
        "_deep_law",
        "_engine",
        "_limits",
        "_market_rng",
        "_market_top",
        "_n_orders",
        "_params",
        "_queues",
        "_quiet_ns",
        "_quiet_rng",
        "_size_lots",
        "next_market_ns",
        "reference_ticks",
    )

    def __init__(self, engine: Engine, crowd: Account, params: QrParams, *, mid_ticks: int, seed: str) -> None:
        self._engine = engine
        self._crowd = crowd
        self._params = params
        self._curves = params.curves
        self._market_rng = Random(f"{seed}/market orders")
        self._quiet_rng = Random(f"{seed}/limit orders and cancels")
        self._size_lots = max(params.size_lots, engine.instrument.min_lots_at(max(1, mid_ticks // 2)))
        self._limits = [self._curves.limit(size) for size in range(SIZE_MAX + 1)]
        self._cancels = [self._curves.cancel(size) for size in range(SIZE_MAX + 1)]
        self._market_top = self._curves.market(0)  # against an empty queue: against a longer one it only falls
        self._best_law, self._deep_law = (
            self._curves.stationary(best=best).cumsum().tolist() for best in (True, False)
        )
        self._n_orders = 0
        # The bid of level 1; its ask is a tick above. The reference price lies between the two.
        self.reference_ticks = mid_ticks
        # The flow's own orders by side and price; one that has ended stays until it is met.
        self._queues: dict[tuple[Side, int], list[Order]] = {}
        # Whether level 1 had orders when it was last looked at, by side.
        self._at_reference = dict.fromkeys(_SIDES, False)
        self._quiet_ns = 0
        self.next_market_ns = 0

    @property
    def next_ns(self) -> int:
        """When the next event may come."""
        return min(self.next_market_ns, self._quiet_ns)

    def start(self, now_ns: int, *, burn_in_s: float) -> None:
        """Fill the book by its stationary law and let the flow run from `burn_in_s` before `now_ns` to now."""
        began_ns = now_ns - round(burn_in_s * NS)
        self._redraw(began_ns)
        self.next_market_ns = began_ns + self._market_gap_ns()
        self._quiet_ns = began_ns + self._quiet_gap_ns()
        self.advance(now_ns)

    def advance(self, until_ns: int) -> list[Event]:
        """Run the flow up to and including `until_ns`; what it did that the engine tells."""
        out: list[Event] = []
        while (at_ns := self.next_ns) <= until_ns:
            self._follow(at_ns)  # somebody else may have emptied a level
            if self.next_market_ns <= self._quiet_ns:
                out += self._market(at_ns)
                self._follow(at_ns)
                self.next_market_ns = at_ns + self._market_gap_ns()
            else:
                self._limit_or_cancel(at_ns)
                self._follow(at_ns)
                # Rates of the book as it now is: what others do before the next event counts from that on.
                self._quiet_ns = at_ns + self._quiet_gap_ns()
        return out

    def _price(self, side: Side, level: int) -> int:
        return self.reference_ticks - level + 1 if side is _BUY else self.reference_ticks + level

    def _size(self, side: Side, price_ticks: int) -> int:
        """Of one queue in orders of the usual size, rounded up."""
        return -(-self._engine.lots_at(side, price_ticks) // self._size_lots)

    def _market_gap_ns(self) -> int:
        # Candidates at the largest rate of the two sides; `_market` takes as many of them as the sizes then ask.
        return int(-log(1.0 - self._market_rng.random()) / (2.0 * self._market_top) * NS)

    def _market(self, at_ns: int) -> list[Event]:
        rng, engine = self._market_rng, self._engine
        side = _BUY if rng.random() < 0.5 else _SELL
        taken = rng.random() * self._market_top
        against, best = (_SELL, engine.best_ask) if side is _BUY else (_BUY, engine.best_bid)
        if not best or taken >= self._curves.market(self._size(against, best)):
            return []
        self._n_orders += 1
        order = Order(-self._n_orders, self._crowd, side, OrdType.MARKET, self._size_lots, 0, Tif.IOC)
        return engine.place(order, now_ns=at_ns)

    def _rates(self) -> tuple[list[tuple[Side, int, float, float]], float]:
        """Side, price, limit orders and cancels per second of each queue, and the sum of them."""
        limits, cancels = self._limits, self._cancels
        rates: list[tuple[Side, int, float, float]] = []
        total = 0.0
        for side in _SIDES:
            for level in range(1, self._params.levels + 1):
                price_ticks = self._price(side, level)
                size = min(self._size(side, price_ticks), SIZE_MAX)
                limit, cancel = limits[size], cancels[size]
                rates.append((side, price_ticks, limit, cancel))
                total += limit + cancel
        return rates, total

    def _quiet_gap_ns(self) -> int:
        return int(-log(1.0 - self._quiet_rng.random()) / self._rates()[1] * NS)

    def _limit_or_cancel(self, at_ns: int) -> None:
        rates, total = self._rates()
        draw = self._quiet_rng.random() * total
        for side, price_ticks, limit, cancel in rates:
            if draw < limit:
                self._limit(side, price_ticks, at_ns)
                return
            draw -= limit
            if draw < cancel:
                self._cancel_one(side, price_ticks, at_ns)
                return
            draw -= cancel

    def _limit(self, side: Side, price_ticks: int, at_ns: int) -> None:
        self._n_orders += 1
        order = Order(
            -self._n_orders, self._crowd, side, OrdType.LIMIT, self._size_lots, price_ticks, Tif.GTC, post_only=True
        )
        self._engine.place(order, now_ns=at_ns)
        if order.level is not None:  # refused where somebody else's order stands on the other side of the reference
            self._queues.setdefault((side, price_ticks), []).append(order)

    def _cancel_one(self, side: Side, price_ticks: int, at_ns: int) -> None:
        """Each of the flow's own orders there is as likely as any other."""
        queue = self._queues.get((side, price_ticks), [])
        while queue:
            chosen = min(int(self._quiet_rng.random() * len(queue)), len(queue) - 1)
            order = queue[chosen]
            queue[chosen] = queue[-1]
            queue.pop()
            if order.level is not None:
                self._engine.cancel(order, now_ns=at_ns)
                return

    def _follow(self, at_ns: int) -> None:
        """Move the reference price past a level 1 that has been emptied, with probability `theta`."""
        for side in _SIDES:
            had = self._at_reference[side]
            self._at_reference[side] = has = bool(self._engine.lots_at(side, self._price(side, 1)))
            if had and not has and self._quiet_rng.random() < self._params.theta:
                self._move(-int(side), at_ns)
                return

    def _move(self, ticks: int, at_ns: int) -> None:
        """Move the reference price by a tick. The far level that falls out is withdrawn, the one that enters drawn."""
        behind, ahead = (_BUY, _SELL) if ticks > 0 else (_SELL, _BUY)
        levels = self._params.levels
        out_ticks = self._price(behind, levels)
        self.reference_ticks += ticks
        if self._quiet_rng.random() < self._params.redraw:
            self._redraw(at_ns)
            return
        self._withdraw(behind, out_ticks, at_ns)
        self._draw(ahead, levels, at_ns)
        self._look()

    def _redraw(self, at_ns: int) -> None:
        for side, price_ticks in tuple(self._queues):
            self._withdraw(side, price_ticks, at_ns)
        for level in range(1, self._params.levels + 1):
            for side in _SIDES:
                self._draw(side, level, at_ns)
        self._look()

    def _look(self) -> None:
        for side in _SIDES:
            self._at_reference[side] = bool(self._engine.lots_at(side, self._price(side, 1)))

    def _withdraw(self, side: Side, price_ticks: int, at_ns: int) -> None:
        for order in self._queues.pop((side, price_ticks), ()):
            if order.level is not None:
                self._engine.cancel(order, now_ns=at_ns)

    def _draw(self, side: Side, level: int, at_ns: int) -> None:
        """Give a level a size by its stationary law, with what others have there."""
        law = self._best_law if level == 1 else self._deep_law
        price_ticks = self._price(side, level)
        wanted = min(bisect_right(law, self._quiet_rng.random()), len(law) - 1)
        for _ in range(wanted - self._size(side, price_ticks)):
            self._limit(side, price_ticks, at_ns)
