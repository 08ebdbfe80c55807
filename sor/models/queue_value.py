"""What a place in the queue is worth, and so what an order forfeits that is moved to the back of another.

V(q, delta) = alpha(q) delta - beta(q): the chance of a fill times what the fill earns, less the adverse selection that
comes with it. The chance falls with the place and ends at the chance that the price comes through on its own.

Source    Moallemi, Yuan, A model for queue position valuation in a limit order book, 2017; methods 1.4. Known from
          notes on the paper only, so no number of it is tested here.
"""

from __future__ import annotations

from math import exp


def fill_chance(
    *, ahead: float, through_probability: float, trade_rate: float, jump_rate: float, decay: float
) -> float:
    """alpha(q) for exponential trade sizes: pJ + (1 - pJ) mu / (mu + 2 gamma) exp(-b q).

    ahead                  q >= 0, in the unit of 1 / `decay`.
    through_probability    pJ: that the next jump of the price is the one that fills us, in [0, 1].
    trade_rate             mu: trades against our side of the touch, 1/s. jump_rate: gamma, jumps of the price each way,
                           1/s; not both 0.
    decay                  b >= 0: how fast a place loses with what is ahead of it.
    """
    traded_first = trade_rate / (trade_rate + 2.0 * jump_rate)
    return through_probability + (1.0 - through_probability) * traded_first * exp(-decay * ahead)


def queue_value_bps(*, fill_probability: float, premium_bps: float, selection_bps: float) -> float:
    """V: what an order is worth for the place it has.

    premium_bps      delta: what a fill earns, about half the spread and the rebate.
    selection_bps    beta: adverse selection expected at this place, times the chance of the fill.
    """
    return fill_probability * premium_bps - selection_bps


def forfeit_bps(*, now_bps: float, back_bps: float) -> float:
    """What a re-peg gives up: the value of the place it has over that at the back, never less than 0.

    An order whose place is worth less than the back of the queue forfeits nothing; that is a reason to leave, and it is
    weighed where the move is (methods 6.4).
    """
    return max(0.0, now_bps - back_bps)
