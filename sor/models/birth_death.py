"""Best queues as birth-death processes (Cont, Stoikov, Talreja 2010): who empties first, and who is filled first.

A best queue of n unit orders grows at rate `limit_rate` and shrinks at `market_rate + n * cancel_rate`. An order of
ours that is never withdrawn has a position, counted from 1 at the front, which only ever falls: at position i the one
ahead trades or is cancelled at rate `market_rate + (i - 1) * cancel_rate`. The two sides are independent, and either
best price moves as soon as its queue is empty, or, in a spread of more than a tick, when somebody quotes inside it
(`inside_rate` on each side).

Every probability is the solution of a linear system on a lattice of queue sizes cut at `QUEUE_MAX`, where a queue no
longer grows; no transform is inverted. For the rates of the paper the cut changes nothing before the eighth digit.
Sizes are in mean limit orders. Rates share one unit of time, which the results then have too.

What the paper prints as "bid order filled before the mid moves" (its table 4) is 1 - F^T of what its own proposition
says; `fill_before_move` is the proposition's F, from which the paper's table 5 follows.

Source    Cont, Stoikov, Talreja, A stochastic model for order book dynamics, Operations Research 58 (3), 2010;
          methods 2.1.
"""

from __future__ import annotations

from math import exp, expm1

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError

Matrix = NDArray[np.float64]

QUEUE_MAX = 80
"""Queues are cut here: at the paper's rates one of 80 orders is empty in no time that matters."""


class QueueRates(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Rates of one best queue, the same on both sides, per unit of time.

    limit_rate     limit orders that join it, in mean limit orders.
    market_rate    market orders against it, > 0.
    cancel_rate    cancels per order in it, >= 0.
    inside_rate    limit orders inside the spread, per side: 0 where the spread is a tick.
    Raises         CallerError for a rate below zero, or none of market orders.
    """

    limit_rate: float
    market_rate: float
    cancel_rate: float
    inside_rate: float = 0.0

    def __post_init__(self) -> None:
        if self.market_rate <= 0.0 or min(self.limit_rate, self.cancel_rate, self.inside_rate) < 0.0:
            raise CallerError(f"{self} has a rate below zero, or no market orders; nothing was worked out")


def wait_mean(rates: QueueRates, position: int) -> float:
    """Mean time until an order at `position` >= 1 is filled, if it is left to rest."""
    _in_lattice(position)
    return sum(1.0 / (rates.market_rate + i * rates.cancel_rate) for i in range(position))


def fill_by(rates: QueueRates, position: int, horizon: float) -> float:
    """Probability that an order at `position` >= 1 is filled by `horizon` >= 0, if it is left to rest.

    The wait is a sum of exponentials whose rates rise by equal steps, so exp(-cancel * wait) is a Beta variable, and
    the probability of waiting longer is a sum of one positive term per order to go: exact at any length.
    """
    _in_lattice(position)
    cancel = rates.cancel_rate
    reach = -expm1(-cancel * horizon) / cancel if cancel > 0.0 else horizon
    term = total = 1.0
    for i in range(1, position):
        term *= (rates.market_rate + (i - 1) * cancel) * reach / i
        total += term
    return max(0.0, 1.0 - exp(-rates.market_rate * horizon) * total)


def up_first(rates: QueueRates, *, bid: int, ask: int) -> Matrix:
    """Probability that the next move of the mid is up.

    bid, ask    the largest queues wanted, in orders, 1 to `QUEUE_MAX`.
    Returns     (bid, ask): row b - 1, column a - 1 for b orders at the bid and a at the ask.
    """
    _in_lattice(bid, ask)
    count = QUEUE_MAX
    stay = _leaving(rates, size=count)
    # The ask queue's last order leaves, or somebody bids inside the spread.
    up = np.full(count, rates.inside_rate)
    up[0] += rates.market_rate + rates.cancel_rate
    # x_b = onward_b x_{b-1} + fixed_b, from the longest bid queue down: one block of ask queues for each bid queue.
    onward = np.zeros((count + 1, count, count))
    fixed = np.zeros((count + 1, count))
    for b in range(count, 0, -1):
        birth = rates.limit_rate if b < count else 0.0
        death = rates.market_rate + b * rates.cancel_rate
        block = stay + (birth + death + 2.0 * rates.inside_rate) * np.eye(count)
        if birth > 0.0:
            block -= birth * onward[b]
        inverse = np.linalg.inv(block)
        onward[b - 1] = death * inverse
        fixed[b - 1] = inverse @ (up + birth * fixed[b])
    found = np.empty((bid, ask))
    row = np.zeros(count)  # an empty bid queue: the mid has moved down
    for b in range(bid):
        row = onward[b] @ row + fixed[b]
        found[b] = row[:ask]
    return found


def fill_before_move(rates: QueueRates, *, bid: int, ask: int) -> Matrix:
    """Probability that an order of ours at the bid is filled before the mid moves.

    bid       the largest position wanted, our own order counted. ask: the largest ask queue.
    Returns   (bid, ask): row b - 1 for position b.
    """
    _in_lattice(bid, ask)
    return _fill_before_empty(rates, positions=bid)[1:, :ask]


def both_filled(rates: QueueRates, *, bid: int, ask: int) -> Matrix:
    """Probability that an order of ours at the bid and one at the ask are both filled before the mid moves.

    bid, ask    the largest positions wanted, our own orders counted; nobody stands behind us yet.
    Returns     (bid, ask).
    """
    _in_lattice(bid, ask)
    most = max(bid, ask)
    first = _first_then_second(rates, positions=most)
    return (first + first.T)[:bid, :ask]


def _first_then_second(rates: QueueRates, *, positions: int) -> Matrix:
    """(b, a): the order at position b of its queue is filled first, the one at a of the other next, with no move.

    Who comes behind us while we wait keeps our price from moving once we are filled: those are counted too.
    """
    behind = _leaving(rates, size=QUEUE_MAX + 1, front=False)
    # Once we are filled, those behind us are the queue that must outlast the other order; with nobody there it moves.
    after = np.zeros((positions + 1, QUEUE_MAX + 1))
    after[1:, 1:] = _fill_before_empty(rates, positions=positions)[1:]
    lost = 2.0 * rates.inside_rate
    identity = np.eye(QUEUE_MAX + 1)
    advance = rates.market_rate + np.arange(positions) * rates.cancel_rate
    value = np.zeros((positions + 1, positions + 1, QUEUE_MAX + 1))
    value[0] = after
    for b in range(1, positions + 1):
        value[b, 0] = 0.0  # the other one was first
        for a in range(1, positions + 1):
            ours, theirs = advance[b - 1], advance[a - 1]
            gains = ours * value[b - 1, a] + theirs * value[b, a - 1]
            value[b, a] = np.linalg.solve(behind + (ours + theirs + lost) * identity, gains)
    found: Matrix = value[1:, 1:, 0]
    return found


def _fill_before_empty(rates: QueueRates, *, positions: int) -> Matrix:
    """(positions + 1, QUEUE_MAX): an order at a position is filled before a queue on the other side is empty.

    Row 0 is the order that is filled already; column a - 1 is a queue of a orders.
    """
    stay = _leaving(rates, size=QUEUE_MAX)
    identity = np.eye(QUEUE_MAX)
    lost = 2.0 * rates.inside_rate
    found = np.ones((positions + 1, QUEUE_MAX))
    for i in range(positions):
        advance = rates.market_rate + i * rates.cancel_rate
        found[i + 1] = np.linalg.solve(stay + (advance + lost) * identity, advance * found[i])
    return found


def _leaving(rates: QueueRates, *, size: int, front: bool = True) -> Matrix:
    """(size, size): minus the generator of a queue among the sizes at which it is not gone.

    With `front` the sizes are 1, 2, ... and market orders count; else 0, 1, ... for those behind an order of ours,
    whom only their own cancels take away.
    """
    sizes = np.arange(size) + (1 if front else 0)
    death = sizes * rates.cancel_rate + (rates.market_rate if front else 0.0)
    birth = np.full(size, rates.limit_rate)
    birth[-1] = 0.0
    found: Matrix = np.diag(birth + death) - np.diag(birth[:-1], 1) - np.diag(death[1:], -1)
    return found


def _in_lattice(*sizes: int) -> None:
    for size in sizes:
        if not 1 <= size <= QUEUE_MAX:
            raise CallerError(f"a queue of {size} orders is not in the lattice of 1 to {QUEUE_MAX}; take larger units")


class Counts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was counted at one spread, one side of the book; sizes in lots.

    time_s              how long the spread was that wide, > 0.
    limits              limit orders that joined at this distance; limit_lots_mean their mean size, > 0.
    markets             market orders that changed the best quote; those that met hidden size are left out.
    cancels             at this distance.
    depth_lots_mean     outstanding there, averaged over time, > 0.
    inside              limit orders inside the spread, this side.
    """

    time_s: float
    limits: int
    limit_lots_mean: float
    markets: int
    market_lots_mean: float
    cancels: int
    cancel_lots_mean: float
    depth_lots_mean: float
    inside: int = 0


def rates_of(counts: Counts) -> QueueRates:
    """Rates per second from counted events, in mean limit orders (methods 2.1).

    Raises    CallerError where nothing can be divided by, or no market order was seen.
    """
    if min(counts.time_s, counts.limit_lots_mean, counts.depth_lots_mean) <= 0.0 or counts.markets <= 0:
        raise CallerError(f"{counts} has no time, no size, no depth or no market orders; count for longer")
    return QueueRates(
        limit_rate=counts.limits / counts.time_s,
        market_rate=counts.markets / counts.time_s * counts.market_lots_mean / counts.limit_lots_mean,
        # Mean sizes of cancels and depth are both in mean limit orders, which cancels out.
        cancel_rate=counts.cancels / counts.time_s * counts.cancel_lots_mean / counts.depth_lots_mean,
        inside_rate=counts.inside / counts.time_s,
    )
