"""When to follow a touch that ran away: the exact answer on a grid, and the shortcuts that a policy can afford.

An order rests `away` ticks behind the touch with `ahead` buckets of queue in front of it and some time left. It holds,
is re-pegged to the back of the queue at the touch, or crosses:

    V = min{ hold    E V(next)
             re-peg  c_rep + V(0, back) + away tick
             cross   away tick + S/2 + f_T + walk }

Values are expected costs in bps against the mid of the moment at which the touch was where the order rests; a fill
costs -S/2 + f_M. While the order is at the touch, the queue ahead loses a bucket at one rate, with nothing ahead the
order fills at that rate, and the touch leaves at another; while it is behind, the touch comes back or runs on.

Not in it: how many times it was chased before. What has been paid is gone, and the best action does not depend on it;
`chases_max` bounds what a plan to follow may pay in all.

Source    methods 6.4.
"""

from __future__ import annotations

from enum import StrEnum
from math import ceil, inf

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError

_STEPS_MAX = 1_000_000


class Move(StrEnum):
    """What is done with an order whose touch may have run away; of two that cost the same, the first."""

    HOLD = "hold"
    CROSS = "cross"
    REPEG = "repeg"


_MOVES = tuple(Move)
_HOLD, _CROSS, _REPEG = range(3)


class ChaseTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Market and costs of one order; rates in 1/s, the rest in bps of the mid.

    tick_bps              > 0. spread_bps: best ask - best bid. walk_bps: of the book beyond the touch, >= 0.
    taker_fee_bps, maker_fee_bps    signed.
    repeg_bps             c_rep: what a cancel and a new order cost beside the place in the queue, >= 0.
    advance_rate          at which the queue ahead loses a bucket, and an order at its front fills.
    away_rate             at which the touch leaves the order, or runs on by another tick.
    return_rate           at which the touch comes back by a tick.
    back                  bucket that a new order joins, >= 0: the number of buckets ahead of it.
    ahead_kept            buckets of those ahead that stay at the price when the touch leaves it; 0: all follow.
    """

    tick_bps: float
    spread_bps: float
    walk_bps: float
    taker_fee_bps: float
    maker_fee_bps: float
    repeg_bps: float
    advance_rate: float
    away_rate: float
    return_rate: float
    back: int
    ahead_kept: int

    @property
    def cross_bps(self) -> float:
        """Cost of crossing at the touch."""
        return 0.5 * self.spread_bps + self.taker_fee_bps + self.walk_bps

    @property
    def fill_bps(self) -> float:
        """Cost of a fill at the touch."""
        return self.maker_fee_bps - 0.5 * self.spread_bps


class ChaseTable(msgspec.Struct, frozen=True, eq=False):
    """The exact answer: T steps, K ticks behind at most, B buckets at most.

    step_s      length of a step.
    cost_bps    (T + 1, K + 1, B + 1) expected cost with so many steps left, so many ticks behind, so many ahead.
    moves       the same shape, index into `Move`; with no step left it crosses.
    """

    step_s: float
    cost_bps: NDArray[np.float64]
    moves: NDArray[np.int8]

    def move(self, *, left_s: float, away: int, ahead: int) -> Move:
        """What to do; more time than the table has, more ticks and more buckets count as the most it has."""
        return _MOVES[int(self.moves[self._index(left_s, away, ahead)])]

    def cost(self, *, left_s: float, away: int, ahead: int) -> float:
        """Expected cost of it, bps; arguments as `move`."""
        return float(self.cost_bps[self._index(left_s, away, ahead)])

    def _index(self, left_s: float, away: int, ahead: int) -> tuple[int, int, int]:
        steps, ticks, buckets = self.cost_bps.shape
        return min(int(left_s / self.step_s), steps - 1), min(away, ticks - 1), min(ahead, buckets - 1)


def solve_chase(terms: ChaseTerms, *, left_s: float, step_s: float, away_max: int) -> ChaseTable:
    """Backward recursion over time: the reference for the shortcuts, and a table to decide by where it is affordable.

    step_s      short against every rate: rates times a step are taken as probabilities.
    away_max    ticks that are told apart, >= 1; a touch that runs beyond is crossed.
    Returns     a table of left_s / step_s + 1 layers, rounded up.
    Raises      CallerError for a step in which more than one thing is likely to happen, or a grid without extent.
    """
    busiest = max(terms.advance_rate, terms.return_rate) + terms.away_rate
    if step_s <= 0.0 or left_s < step_s or left_s > _STEPS_MAX * step_s or away_max < 1 or busiest * step_s > 1.0:
        raise CallerError(
            f"{left_s} s in steps of {step_s} s over {away_max} ticks, with {busiest} events per second; nothing was "
            f"computed. Take 1 to {_STEPS_MAX} steps, shorter than the time to the next event, and one tick at least"
        )
    steps = ceil(left_s / step_s)
    buckets = max(terms.back, terms.ahead_kept) + 1
    behind = np.repeat(np.arange(away_max + 1) * terms.tick_bps, buckets)
    ahead_of_step, ending = _one_step(terms, step_s=step_s, away_max=away_max, buckets=buckets)
    choices = np.empty((len(_MOVES), len(behind)))
    choices[_CROSS] = behind + terms.cross_bps
    cost = np.empty((steps + 1, len(behind)))
    moves = np.empty(cost.shape, dtype=np.int8)
    cost[0], moves[0] = choices[_CROSS], _CROSS
    for step in range(1, steps + 1):
        choices[_HOLD] = ahead_of_step @ cost[step - 1] + ending
        # What a new order is worth at this moment is what one is that stands at the back of the touch already.
        choices[_REPEG] = terms.repeg_bps + choices[:_REPEG, terms.back].min() + behind
        moves[step] = choices.argmin(axis=0)
        cost[step] = choices.min(axis=0)
    shape = (steps + 1, away_max + 1, buckets)
    return ChaseTable(step_s, cost.reshape(shape), moves.reshape(shape))


def _one_step(
    terms: ChaseTerms, *, step_s: float, away_max: int, buckets: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What holding for a step leads to: (S, S) probabilities of the states after it, (S,) costs of what ends in it.

    S = (away_max + 1) x buckets states, by ticks behind, then buckets ahead.
    """
    advance, leave, come = terms.advance_rate * step_s, terms.away_rate * step_s, terms.return_rate * step_s
    count = (away_max + 1) * buckets
    after, ending = np.zeros((count, count)), np.zeros(count)
    for state in range(count):
        away, ahead = divmod(state, buckets)
        if away == 0:
            nearer, further = state - 1, buckets + min(ahead, terms.ahead_kept)
            likely = advance
        else:
            nearer, further = state - buckets, state + buckets
            likely = come
        after[state, state] = 1.0 - likely - leave
        if nearer >= 0:
            after[state, nearer] += likely
        else:
            ending[state] += likely * terms.fill_bps
        if further < count:
            after[state, further] += leave
        else:
            ending[state] += leave * ((away + 1) * terms.tick_bps + terms.cross_bps)
    return after, ending


# --- shortcuts --------------------------------------------------------------------------------------------------------


def repeg_now(
    *,
    away: int,
    tick_bps: float,
    repeg_bps: float,
    back_bps: float,
    front_bps: float,
    further_bps: float,
    return_rate: float,
    away_rate: float,
) -> bool:
    """Whether to re-peg at once rather than wait for the touch to come back or run on.

    away           ticks that the touch is away. At 0 it is never worth it: the same price, and the place is lost.
    back_bps       cost of an order at the back of the queue at the touch, against the mid when it is there.
    front_bps      cost of ours once the touch is a tick nearer; at one tick that is a fill at the touch that came back.
    further_bps    cost of ours once the touch is a tick further. front and further against the mid at our price.
    *_rate         of the touch coming back and running on, 1/s; with neither, waiting costs nothing and brings nothing.
    """
    if away <= 0:
        return False
    rate = return_rate + away_rate
    now = away * tick_bps + repeg_bps + back_bps
    return rate > 0.0 and now * rate < return_rate * front_bps + away_rate * further_bps


def cadence_s(*, rtt_s: float, requests_per_s: float, dwell_s: float) -> float:
    """Shortest time between two re-pegs: two round trips, our share of the rate limit, and the dwell.

    requests_per_s    that re-pegs of this order may use; 0 allows none.
    dwell_s           median life of a change of the touch that reverts: quicker than that is chasing flicker.
    """
    share_s = 1.0 / requests_per_s if requests_per_s > 0.0 else inf
    return max(2.0 * rtt_s, share_s, dwell_s)


def chases_max(*, advantage_bps: float, tick_bps: float, repeg_bps: float) -> int:
    """C: the most chases c with c (tick + c_rep) < A; after them the saving of a fill is gone.

    tick_bps    > 0: a chase follows by at least one.
    """
    return max(0, ceil(advantage_bps / (tick_bps + repeg_bps)) - 1)
