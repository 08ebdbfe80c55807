"""What latency costs a pegged order: the price it has to stand off by, because it is seen late.

A pegged order is shaded by x sigma sqrt(dt), where x balances the premium given away against the risk of being hit at
a stale price: phi(x) = sigma sqrt(dt) / delta.

Source    Moallemi, Saglam, The cost of latency in high-frequency trading, Operations Research 61 (5), 2013;
          methods 1.5.
"""

from __future__ import annotations

from math import e, log, pi, sqrt

_TWO_PI = 2.0 * pi
_REACH = 1.0 / (_TWO_PI * e)
"""(sigma sqrt(dt) / delta)^2 where the approximation turns down: beyond it a longer delay would seem to cost less."""


def shading_deviations(*, volatility: float, delay_s: float, premium_bps: float) -> float | None:
    """x: how many standard deviations of the mid over the delay a pegged order has to stand off.

    volatility     bps/sqrt(s), >= 0; any unit that `premium_bps` shares will do. delay_s: >= 0.
    premium_bps    delta: what a fill at once would earn, half the spread and the rebate, say.
    Returns        None where the approximation does not hold: there is no premium, or the mid moves a quarter of it and
                   more within the delay. 0.0 without a delay or a move, where there is nothing to stand off from.
    """
    if premium_bps <= 0.0:
        return None
    ratio = volatility * volatility * delay_s / (premium_bps * premium_bps)
    if ratio <= 0.0:
        return 0.0
    return sqrt(-log(_TWO_PI * ratio)) if ratio <= _REACH else None


def latency_cost(*, volatility: float, delay_s: float, premium_bps: float) -> float | None:
    """Share of the liquidity premium that a delay costs, 0 to 0.242; None and arguments as `shading_deviations`."""
    deviations = shading_deviations(volatility=volatility, delay_s=delay_s, premium_bps=premium_bps)
    if deviations is None:
        return None
    return deviations * volatility * sqrt(delay_s) / premium_bps
