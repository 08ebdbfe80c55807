"""What our own trading does to the price: the book walked now, the market moved over the life of a parent.

Immediate     `walk`: known from the displayed book, nothing assumed.
Of a parent   the square-root law, with a coefficient that own executions calibrate (`sor.lab.impact`); two published
              models beside it to compare with: Almgren et al. for a size and a duration, Obizhaeva and Wang for a book
              that refills.
Of resting    `resting_move_ticks` and `fill_rate`: size that is shown at the touch leans the book and has to be traded
              through before it is filled to the end.

All in bps of the mid, positive when it costs us, unless the name says otherwise.

Source    methods 4.
"""

from __future__ import annotations

import math

import msgspec

from sor.market import Levels
from sor.orders import Side
from sor.pricing import sweep
from sor.units import BPS

# --- immediate --------------------------------------------------------------------------------------------------------


class Walk(msgspec.Struct, frozen=True, gc=False):
    """A book walked from its best level.

    cost_bps      average price against the mid, of what is filled, without fees; 0.0 if nothing is.
    filled_lots   displayed quantity that there is, at most what was wanted; short_lots the rest.
    """

    cost_bps: float
    filled_lots: int
    short_lots: int


def walk(side: Side, ladder: Levels, *, want_lots: int, mid_hticks: int) -> Walk:
    """Cost of taking `want_lots` > 0 from a book now; stops where the displayed depth ends.

    side      ours. ladder: the side that it takes from, best level first. mid_hticks: best bid + best ask.
    """
    cost, filled = sweep(ladder, want_lots)
    if filled == 0:
        return Walk(0.0, 0, want_lots)
    at_mid = mid_hticks * filled
    return Walk(BPS * side * (2 * cost - at_mid) / at_mid, filled, want_lots - filled)


# --- of a parent: the square-root law ---------------------------------------------------------------------------------

LAW_EXPONENT = 0.5
"""Of the square-root law: 0.489 +- 0.0015 over all liquid Tokyo stocks (Sato, Kanazawa 2024)."""


class Impact(msgspec.Struct, frozen=True, gc=False):
    """An expected impact and its interval, bps."""

    bps: float
    low_bps: float
    high_bps: float


def peak_bps(*, volatility_bps: float, share: float, coefficient: float, exponent: float = LAW_EXPONENT) -> float:
    """The peak, Y sigma (Q/V)^exponent: how far a parent has moved the price when its last lot trades.

    volatility_bps    standard deviation of the price over a period, bps. share: Q/V, quantity over the market's volume
                      in the same period, >= 0. With the exponent 1/2 the choice of period does not matter.
    coefficient       Y, of order 1.
    """
    return coefficient * volatility_bps * math.pow(share, exponent)


def paid_bps(*, volatility_bps: float, share: float, coefficient: float, exponent: float = LAW_EXPONENT) -> float:
    """What a parent that trades evenly pays on average: the mean of the law along its path, 2/3 of the peak at 1/2."""
    peak = peak_bps(volatility_bps=volatility_bps, share=share, coefficient=coefficient, exponent=exponent)
    return peak / (1.0 + exponent)


def impact_bps(
    *,
    volatility_bps: float,
    share: float,
    coefficient: float,
    coefficient_low: float,
    coefficient_high: float,
    exponent: float,
) -> Impact:
    """Expected average impact of a parent, with the interval of the calibrated coefficient.

    volatility_bps, share    as `peak_bps`. The other four are `impact.coefficient`, `impact.coefficient_low`,
                             `impact.coefficient_high` and `impact.exponent` of a param-set: fitted on shortfalls, so
                             the coefficient is that of the average that is paid and not of the peak.
    """
    scale = peak_bps(volatility_bps=volatility_bps, share=share, coefficient=1.0, exponent=exponent)
    return Impact(coefficient * scale, coefficient_low * scale, coefficient_high * scale)


# --- of a parent: Almgren, Thum, Hauptmann, Li 2005 -------------------------------------------------------------------

ALMGREN_PERMANENT = 0.314
ALMGREN_TEMPORARY = 0.142
"""Coefficients gamma and eta as published; for another market they are fitted again."""
_ALMGREN_EXPONENT = 0.6


class AlmgrenCost(msgspec.Struct, frozen=True, gc=False):
    """Permanent and temporary impact, and the expected cost, half the one and all of the other; bps."""

    permanent_bps: float
    temporary_bps: float
    cost_bps: float


def almgren_cost(
    *,
    volatility_bps: float,
    share: float,
    duration_days: float,
    turnover_days: float = 1.0,
    permanent: float = ALMGREN_PERMANENT,
    temporary: float = ALMGREN_TEMPORARY,
) -> AlmgrenCost:
    """I = gamma sigma (X/V) (Theta/V)^(1/4), K = eta sigma (X / (V T))^(3/5), J = I/2 + K.

    volatility_bps    of a day. share: X/V, quantity over the volume of a day, >= 0. duration_days: T > 0.
    turnover_days     Theta/V, shares outstanding over the volume of a day. A perpetual has none: leave it at 1, or use
                      open interest over volume, and fit the coefficients again.
    Source            Direct estimation of equity market impact, Risk, July 2005.
    """
    lasting = permanent * volatility_bps * share * math.pow(turnover_days, 0.25)
    passing = temporary * volatility_bps * math.pow(share / duration_days, _ALMGREN_EXPONENT)
    return AlmgrenCost(lasting, passing, 0.5 * lasting + passing)


# --- of a parent: Obizhaeva, Wang 2013 --------------------------------------------------------------------------------


class Blocks(msgspec.Struct, frozen=True, gc=False):
    """The cheapest schedule in a book that refills: a block at each end, and an even rate (lots/s) between."""

    end_lots: float
    between_lots_per_s: float


def refill_blocks(*, lots: float, resilience: float, duration_s: float) -> Blocks:
    """X / (rho T + 2) at each end and rho times that between.

    resilience    rho, 1/s, >= 0: rate at which the book's displacement dies out. duration_s: T >= 0.
    """
    end = lots / (resilience * duration_s + 2.0)
    return Blocks(end, resilience * end)


def refill_cost(*, lots: float, resilience: float, duration_s: float, displacement: float) -> float:
    """Impact cost of that schedule, kappa X^2 / (rho T + 2), in price units times lots.

    displacement    kappa: what a lot moves the price by at first.
    """
    return displacement * lots * lots / (resilience * duration_s + 2.0)


def refill_cost_even(*, lots: float, resilience: float, duration_s: float, displacement: float) -> float:
    """Impact cost of trading evenly instead, kappa X^2 (rho T - 1 + exp(-rho T)) / (rho T)^2."""
    reach = resilience * duration_s
    if reach < 1e-3:
        share = 0.5 - reach / 6.0 + reach * reach / 24.0  # the same, where the difference would lose its digits
    else:
        share = (reach + math.expm1(-reach)) / (reach * reach)
    return displacement * lots * lots * share


# --- of size that rests -----------------------------------------------------------------------------------------------


def resting_move_ticks(*, own_lots: float, depth_lots: float, coefficient: float) -> float:
    """How far the mid is expected to move away from an order of ours because it is shown, ticks.

    Size added at the touch is order-flow imbalance, which moves the mid by OFI / (2 depth) ticks in a book of even
    depth. Here the depth has our own in it, so that the move stays below half a tick times the coefficient however
    large the order: a lean can be seen through, and nobody has to trade with it.

    own_lots       shown at the touch, >= 0. depth_lots: of others at the same price, >= 0.
    coefficient    measured over stylised impact, `impact.resting_coefficient`; 0 where it is not seen.
    Source         Cont, Kukanov, Stoikov, The price impact of order book events, 2014; methods 3.
    """
    shown = own_lots + depth_lots
    return 0.5 * coefficient * own_lots / shown if shown > 0.0 else 0.0


def fill_rate(*, flow_lots_per_s: float, ahead_lots: float, own_lots: float) -> float:
    """Rate at which an order of `own_lots` > 0 is filled to its end: the flow over all that has to trade for it, 1/s.

    Own size counts like the queue ahead: twice the order takes twice the time at the front of the queue.
    """
    return flow_lots_per_s / (ahead_lots + own_lots)
