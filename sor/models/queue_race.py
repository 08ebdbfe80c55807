"""Which of two best queues empties first when orders arrive as fast as they leave (Cont, de Larrard 2013).

The balanced market: at both queues unit orders come and go at one rate, whatever the size, so that only the two sizes
matter and not the rate. `up_first` is exact for queues of unit orders; `up_first_limit` is the limit of large queues,
whose sizes may be in any unit, with a correlation between the flows at bid and ask. A queue that is half as long is not
half as likely to last: (5, 10) goes up with .30.

Source    Cont, de Larrard, Price dynamics in a Markovian limit order market, SIAM Journal on Financial Mathematics 4,
          2013; methods 2.2.
"""

from __future__ import annotations

from math import atan, pi, sqrt

import numpy as np

from sor.errors import CallerError

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
ORDERS_MAX = 5_000
"""Longest queue of unit orders that is integrated; beyond, the limit of large queues is exact enough."""


def up_first(*, bid: int, ask: int) -> float:
    """Probability that the ask is empty before the bid, which moves the mid up.

    bid, ask    orders in the queues, 1 to `ORDERS_MAX`.
    Raises      CallerError for another length.

    The integrand is smooth and turns `bid` times: as many pieces of 32 Gauss-Legendre nodes as it has turns to spare.
    """
    if not 1 <= bid <= ORDERS_MAX or not 1 <= ask <= ORDERS_MAX:
        raise CallerError(f"queues of {bid} and {ask} orders are not between 1 and {ORDERS_MAX}; use the limit")
    pieces = 2 + (bid + ask) // 8
    edges = np.linspace(0.0, pi, pieces + 1)
    half = 0.5 * pi / pieces
    t = (edges[:-1, None] + half * (1.0 + _NODES)).ravel()
    weights = np.tile(half * _WEIGHTS, pieces)
    sine = np.sin(0.5 * t)
    # 2 - cos t - sqrt((2 - cos t)^2 - 1), with 1 - cos t = 2 sin^2 (t / 2): nothing cancels near 0.
    root = 1.0 + 2.0 * sine * sine - 2.0 * sine * np.sqrt(1.0 + sine * sine)
    return float(weights @ (root**ask * np.sin(bid * t) * np.cos(0.5 * t) / sine)) / pi


def up_first_limit(*, bid: float, ask: float, correlation: float = 0.0) -> float:
    """The same for large queues that move like a Brownian motion in the quadrant.

    bid, ask       sizes in one unit, >= 0, not both 0.
    correlation    of the changes at bid and ask, in [-1, 1); at -1 it is bid / (bid + ask).
    Raises         CallerError outside of these.
    """
    if min(bid, ask) < 0.0 or bid + ask <= 0.0 or not -1.0 <= correlation < 1.0:
        raise CallerError(f"queues of {bid} and {ask} with correlation {correlation} have no first to be empty")
    lean = (bid - ask) / (bid + ask)
    if correlation == -1.0:
        return 0.5 * (1.0 + lean)
    slope = sqrt((1.0 + correlation) / (1.0 - correlation))
    return 0.5 * (1.0 + atan(slope * lean) / atan(slope))
