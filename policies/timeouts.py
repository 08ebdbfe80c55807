"""How long to rest: fill probability, drift and the three bounds of the timeout (methods 6.2), from measured features.

Estimates, not calibrations. They rest on three things that can be said before anything is fitted:

    fill       taker flow against our level over the queue that has to go first is a rate, known at best up to a factor.
               Mixing over an exponential belief about it gives a hazard that falls with time, and the fill probability
               p = x / (1 + x) with x = rate * tau. (An order not filled yet has probably met less flow than thought.)
    drift      the mid has no drift of its own, so what an unfilled order loses is what a filled one is spared. At the
               worst the unfilled are exactly those from which a Gaussian mid ran furthest: then
               (1 - p) D = sigma sqrt(tau) phi(Phi^-1(p)).
    choice     rest if p A > (1 - p) D plus the price of the risk meanwhile: rule (2) of methods section 0.

Durations in seconds, moves and costs in bps.
"""

from __future__ import annotations

from math import exp, inf, pi, sqrt
from statistics import NormalDist

import msgspec

_INV_CDF = NormalDist().inv_cdf
_ROOT_2PI = sqrt(2.0 * pi)
_HALVINGS_MAX = 16
"""Times that are judged at most: ten minutes down to 18 ms."""


class Wait(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A resting time and what it is expected to bring against crossing now.

    timeout_s           how long to rest.
    fill_probability    of being filled by then.
    drift_bps           (1 - p) D: what the unfilled share loses, averaged over all.
    saving_bps          p A - (1 - p) D, without the price of risk; positive is good.
    worth_bps           the saving less the price of risk: rest if this is positive.
    """

    timeout_s: float
    fill_probability: float
    drift_bps: float
    saving_bps: float
    worth_bps: float


def gaussian_loss(probability: float) -> float:
    """phi(Phi^-1(p)): mean of a standard normal over its worst 1 - p, times 1 - p. 0 at the ends of [0, 1]."""
    if not 0.0 < probability < 1.0:
        return 0.0
    z = _INV_CDF(probability)
    return exp(-0.5 * z * z) / _ROOT_2PI


def judge_wait(
    timeout_s: float,
    *,
    advantage_bps: float,
    fill_rate: float,
    drift_root_s: float,
    risk_root_s: float,
) -> Wait:
    """What resting for `timeout_s` is expected to bring.

    advantage_bps    A of equation (1): spread, fee difference and walk that a fill at our price saves.
    fill_rate        taker flow over the lots that must trade first, 1/s, >= 0.
    drift_root_s     volatility times the drift scale, bps/sqrt(s). risk_root_s: volatility times the weight of risk.
    """
    expected = fill_rate * timeout_s
    probability = expected / (1.0 + expected)
    root = sqrt(timeout_s)
    drift = drift_root_s * root * gaussian_loss(probability)
    saving = probability * advantage_bps - drift
    return Wait(timeout_s, probability, drift, saving, saving - risk_root_s * root)


def best_wait(
    *,
    shortest_s: float,
    longest_s: float,
    advantage_bps: float,
    fill_rate: float,
    drift_root_s: float,
    risk_root_s: float,
) -> Wait:
    """The resting time worth most, among `longest_s` and its halves down to `shortest_s` (0 <= shortest <= longest).

    All of them are judged: the worth may have two humps, as a wait that is all but sure to fill loses little again.
    """
    best: Wait | None = None
    timeout_s = longest_s
    for _ in range(_HALVINGS_MAX):
        wait = judge_wait(
            timeout_s,
            advantage_bps=advantage_bps,
            fill_rate=fill_rate,
            drift_root_s=drift_root_s,
            risk_root_s=risk_root_s,
        )
        if best is None or wait.worth_bps > best.worth_bps:
            best = wait
        timeout_s *= 0.5
        if timeout_s < shortest_s:
            break
    assert best is not None
    return best


def excursion_s(*, budget_bps: float, volatility: float, tolerance: float) -> float:
    """tau_B: how long a driftless mid stays within the budget with probability 1 - tolerance (methods 6.2 (d)).

    budget_bps    what is left of the adverse move that waiting may cost. volatility: bps/sqrt(s); 0 gives infinity.
    tolerance     in (0, 1).
    """
    if budget_bps <= 0.0:
        return 0.0
    if volatility <= 0.0:
        return inf
    root = budget_bps / (volatility * _INV_CDF(1.0 - 0.5 * tolerance))
    return root * root
