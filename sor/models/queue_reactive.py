"""Queues that react to their own size: rates by size, and how long a queue has which size in the long run.

A queue of n orders of the usual size grows at rate `limit(n)` and shrinks at `cancel(n)`, at a best price by
`market(n)` besides. As only its own size matters it is a birth-death process, and its sizes have a known law:
pi(n) is proportional to the product over j = 1..n of limit(j - 1) / (cancel(j) + market(j)).

Rates of three shapes are enough for what was measured: limit orders that hesitate to join a long queue, cancels that
grow less than in proportion to it, and market orders that hurry while it is short.

Source    Huang, Lehalle, Rosenbaum, Simulating and analyzing order book data: the queue-reactive model, Journal of the
          American Statistical Association 110 (509), 2015; methods 7.3.
"""

from __future__ import annotations

from math import exp

import msgspec
import numpy as np
from numpy.typing import NDArray

Shares = NDArray[np.float64]

SIZE_MAX = 200
"""No limit order joins a queue of so many: it bounds the tables."""


class QueueCurves(msgspec.Struct, frozen=True, kw_only=True):
    """Rates of one queue by its size n, per second; all given rates > 0, all exponents >= 0.

    limit     limit_per_s / (1 + n)^limit_fall: a constant for a fall of 0.
    cancel    cancel_per_s n^cancel_power: each order by itself for a power of 1.
    market    market_per_s exp(-market_fall n): a constant for a fall of 0.
    """

    limit_per_s: float
    cancel_per_s: float
    market_per_s: float
    limit_fall: float = 0.0
    cancel_power: float = 1.0
    market_fall: float = 0.0

    def limit(self, size: int) -> float:
        """Orders that join a queue of `size`."""
        return self.limit_per_s * (1.0 + size) ** -self.limit_fall if size < SIZE_MAX else 0.0

    def cancel(self, size: int) -> float:
        """Orders that leave it of their own accord."""
        return self.cancel_per_s * float(size) ** self.cancel_power if size else 0.0

    def market(self, size: int) -> float:
        """Market orders against it, while it is the best."""
        return self.market_per_s * exp(-self.market_fall * size)

    def stationary(self, *, best: bool) -> Shares:
        """The share of time at which the queue has 0, 1, ... `SIZE_MAX` orders, shape (SIZE_MAX + 1,).

        best    whether market orders come to it, as to a best price that does not move.
        """
        weight = np.ones(SIZE_MAX + 1)
        for size in range(1, SIZE_MAX + 1):
            out = self.cancel(size) + (self.market(size) if best else 0.0)
            weight[size] = weight[size - 1] * self.limit(size - 1) / out
        share: Shares = weight / weight.sum()
        return share
