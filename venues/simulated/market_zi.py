"""Zero-intelligence order flow: a market whose statistics are known (Smith, Farmer, Gillemot, Krishnamurthy 2003).

Market orders arrive at rate mu, limit orders with density alpha per tick uniformly behind the opposite best price, and
each resting order is cancelled at rate delta; all independent of each other and of everything that has happened. Half
of each is on either side, so there is no drift. The flow lives in the same engine as everybody else's orders: theirs
have a real place in the queue, they move the best prices, and limit orders are placed relative to them.

With `branching` above 0 market orders call for others (`arrivals.py`): as many in the long run, but in clusters, and as
much to one side as `same_side` says. That is no longer zero intelligence, and its known spread no longer holds.

Market orders have a clock and a generator of their own. Their times, sides and sizes do not depend on what anybody else
does, so that two runs from one seed meet the same demand (common random numbers), and nobody's order fills between two
of them: whoever waits for a fill needs to look no sooner than `next_market_ns`.
"""

from __future__ import annotations

from math import exp, log
from random import Random

import msgspec

from sor.models.hawkes import HawkesRates
from sor.orders import OrdType, Side, Tif
from sor.units import NS
from venues.matching.engine import Engine
from venues.matching.events import Event
from venues.matching.orders import Account, Order
from venues.simulated.arrivals import Arrivals, Clustered, Poisson

_BUY, _SELL = Side.BUY, Side.SELL
_LIMIT, _MARKET = OrdType.LIMIT, OrdType.MARKET
_GTC, _IOC = Tif.GTC, Tif.IOC


class ZiParams(msgspec.Struct, frozen=True, kw_only=True):
    """Rates of the flow, both sides together.

    mu              market orders per second, > 0.
    alpha           limit orders per tick and second, > 0.
    delta           cancels per resting order and second, > 0.
    window_ticks    limit orders are placed up to this far behind the opposite best; several times mu / alpha, or the
                    book can run dry.
    size_lots       mean size of every order, > 0, raised to the venue's minimum. size_sigma: of its logarithm, 0 for
                    orders of one size.
    branching       market orders that each market order calls for, below 1; 0 for none. `decay_per_s`: how soon, > 0.
                    `same_side`: the share of them on its own side.
    """

    mu: float
    alpha: float
    delta: float
    window_ticks: int
    size_lots: int
    size_sigma: float = 0.0
    branching: float = 0.0
    decay_per_s: float = 1.0
    same_side: float = 0.5

    def arrivals(self) -> Arrivals:
        """Market orders, from a time before which there were none."""
        if not self.branching:
            return Poisson(self.mu)
        rates = HawkesRates.of_mean(mean_per_s=self.mu, branching=self.branching, decay_per_s=self.decay_per_s)
        return Clustered(rates, same_side=self.same_side)

    @property
    def eps(self) -> float:
        """Order size in units of the characteristic one: how granular the flow is (methods 7.3)."""
        return self.delta / self.mu

    @property
    def price_scale_ticks(self) -> float:
        """The characteristic price interval mu / alpha in ticks; should be large against one."""
        return self.mu / self.alpha


class ZeroIntelligence:
    """The flow itself: feeds one engine from one account.

    next_ns           when the next order or cancel comes; `advance` to it or later.
    next_market_ns    when the next market order comes: the only events that can fill somebody else's resting order.
    """

    __slots__ = (
        "_anchor_ask",
        "_anchor_bid",
        "_arrivals",
        "_crowd",
        "_engine",
        "_least_lots",
        "_limit_rate",
        "_market_rng",
        "_n_orders",
        "_params",
        "_quiet_ns",
        "_quiet_rng",
        "_resting",
        "next_market_ns",
    )

    def __init__(self, engine: Engine, crowd: Account, params: ZiParams, *, mid_ticks: int, seed: str) -> None:
        self._engine = engine
        self._crowd = crowd
        self._params = params
        self._arrivals = params.arrivals()
        self._market_rng = Random(f"{seed}/market orders")
        self._quiet_rng = Random(f"{seed}/limit orders and cancels")
        self._limit_rate = params.alpha * params.window_ticks
        self._n_orders = 0
        # The flow keeps to the minimums as everybody does; half the price is as far as it may fall before it cannot.
        self._least_lots = engine.instrument.min_lots_at(max(1, mid_ticks // 2))
        # Every limit order placed and not yet drawn for cancellation. One that has filled stays here as a blank until
        # it is drawn: blanks thin the cancels to exactly `delta` per order that still rests.
        self._resting: list[Order] = []
        self._anchor_bid = mid_ticks
        self._anchor_ask = mid_ticks + 1
        self._quiet_ns = 0
        self.next_market_ns = 0

    def start(self, now_ns: int, *, burn_in_s: float) -> None:
        """Fill the book near its stationary shape and let the flow run from `burn_in_s` before `now_ns` to now."""
        params = self._params
        half_spread = max(1, round(0.25 * params.price_scale_ticks))
        per_tick = params.alpha / (2 * params.delta)
        placed = 0
        for distance in range(params.window_ticks):
            wanted = int((distance + 1) * per_tick)
            for _ in range(wanted - placed):
                self._limit(_BUY, self._anchor_bid - half_spread - distance)
                self._limit(_SELL, self._anchor_ask + half_spread + distance)
            placed = wanted
        began_ns = now_ns - round(burn_in_s * NS)
        self.next_market_ns = began_ns + self._market_gap_ns()
        self._quiet_ns = began_ns + self._quiet_gap_ns()
        self.advance(now_ns)

    @property
    def next_ns(self) -> int:
        """When the next event comes."""
        return min(self.next_market_ns, self._quiet_ns)

    def advance(self, until_ns: int) -> list[Event]:
        """Run the flow up to and including `until_ns`; what it did that the engine tells."""
        out: list[Event] = []
        while True:
            if self.next_market_ns <= self._quiet_ns:
                at_ns = self.next_market_ns
                if at_ns > until_ns:
                    return out
                out += self._market(at_ns)
                self.next_market_ns = at_ns + self._market_gap_ns()
            else:
                at_ns = self._quiet_ns
                if at_ns > until_ns:
                    return out
                self._limit_or_cancel(at_ns)
                self._quiet_ns = at_ns + self._quiet_gap_ns()

    def _market_gap_ns(self) -> int:
        return int(self._arrivals.gap_s(self._market_rng) * NS)

    def _quiet_gap_ns(self) -> int:
        rate = self._limit_rate + self._params.delta * len(self._resting)
        return int(-log(1.0 - self._quiet_rng.random()) / rate * NS)

    def _market(self, at_ns: int) -> list[Event]:
        rng = self._market_rng
        side = self._arrivals.side(rng)
        self._n_orders += 1
        order = Order(-self._n_orders, self._crowd, side, _MARKET, self._size(rng), 0, _IOC)
        return self._engine.place(order, now_ns=at_ns)

    def _limit_or_cancel(self, at_ns: int) -> None:
        params = self._params
        resting = self._resting
        limit_rate = self._limit_rate
        draw = self._quiet_rng.random() * (limit_rate + params.delta * len(resting))
        if draw >= limit_rate:
            chosen = min(int((draw - limit_rate) / params.delta), len(resting) - 1)
            order = resting[chosen]
            resting[chosen] = resting[-1]
            resting.pop()
            if order.level is not None:
                self._engine.cancel(order, now_ns=at_ns)
            return
        # One draw says side and distance: 2 x window equally likely places. The best of a side that has been swept away
        # is remembered, so that the flow rebuilds the book around where it was.
        engine, window = self._engine, params.window_ticks
        place = min(int(draw / params.alpha * 2), 2 * window - 1)
        if place < window:
            self._anchor_ask = ask = engine.best_ask or self._anchor_ask
            self._limit(_BUY, ask - 1 - place, at_ns)
        else:
            self._anchor_bid = bid = engine.best_bid or self._anchor_bid
            self._limit(_SELL, bid + 1 + place - window, at_ns)

    def _limit(self, side: Side, price_ticks: int, at_ns: int = 0) -> None:
        if price_ticks <= 0:
            return
        self._n_orders += 1
        order = Order(
            -self._n_orders, self._crowd, side, _LIMIT, self._size(self._quiet_rng), price_ticks, _GTC, post_only=True
        )
        self._engine.place(order, now_ns=at_ns)
        self._resting.append(order)

    def _size(self, rng: Random) -> int:
        params = self._params
        sigma = params.size_sigma
        if not sigma:
            return max(self._least_lots, params.size_lots)
        return max(self._least_lots, round(params.size_lots * exp(sigma * rng.gauss(0.0, 1.0) - sigma * sigma / 2)))
