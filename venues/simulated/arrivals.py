"""When market orders come, and on which side: one after the other by chance, or called for by those before."""

from __future__ import annotations

from math import exp, log
from random import Random
from typing import Protocol

from sor.models.hawkes import HawkesRates
from sor.orders import Side

_BUY, _SELL = Side.BUY, Side.SELL


class Arrivals(Protocol):
    """Market orders as the flow asks for them: the gap to the next, then its side, in this order, again and again."""

    def gap_s(self, rng: Random) -> float:
        """Seconds from the last one to the next."""
        ...

    def side(self, rng: Random) -> Side:
        """The side of the one that has come."""
        ...


class Poisson:
    """Independent of everything before, half on either side."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s

    def gap_s(self, rng: Random) -> float:
        """See `Arrivals`."""
        return -log(1.0 - rng.random()) / self._per_s

    def side(self, rng: Random) -> Side:
        """See `Arrivals`."""
        return _BUY if rng.random() < 0.5 else _SELL


class Clustered:
    """Each market order calls for others soon after it, of which `same_side` are on its own side.

    The two sides together are the Hawkes process of `rates`. Times are drawn by thinning (Ogata 1981): the rate only
    falls until the next arrival, so the present one bounds it.
    """

    def __init__(self, rates: HawkesRates, *, same_side: float) -> None:
        self._rates = rates
        self._same_side = same_side
        self._raised = {_BUY: 0.0, _SELL: 0.0}

    def gap_s(self, rng: Random) -> float:
        """See `Arrivals`."""
        rates, raised = self._rates, self._raised
        gap_s = 0.0
        while True:
            bound = rates.base_per_s + raised[_BUY] + raised[_SELL]
            wait_s = -log(1.0 - rng.random()) / bound
            gap_s += wait_s
            left = exp(-rates.decay_per_s * wait_s)
            raised[_BUY] *= left
            raised[_SELL] *= left
            if rng.random() * bound < rates.base_per_s + raised[_BUY] + raised[_SELL]:
                return gap_s

    def side(self, rng: Random) -> Side:
        """See `Arrivals`."""
        rates, raised = self._rates, self._raised
        half = rates.base_per_s / 2
        buys, sells = half + raised[_BUY], half + raised[_SELL]
        side = _BUY if rng.random() * (buys + sells) < buys else _SELL
        raised[side] += rates.jump_per_s * self._same_side
        raised[side.opposite] += rates.jump_per_s * (1.0 - self._same_side)
        return side
