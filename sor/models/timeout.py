"""How long to rest: what a wait is expected to cost against crossing now, and the bounds on it.

Two regimes. A re-pegged order follows the market: its wait costs a rate, and (a) the fill hazard says how long it pays.
A static order stays where it is: what it loses is the drift of the mid given no fill, and (b) tabulated estimates say.
(c) is the stationary case with two exits. (d) the excursion budget and (e) the schedule bound whatever (a) to (c) find,
and below the floor of two round trips nothing is posted at all.

Durations in seconds, moves and costs in bps of the arrival mid, volatility in bps/sqrt(s); negative costs are savings.

Source    methods 6.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, erfc, exp, inf, pi, sqrt
from statistics import NormalDist

import msgspec

from sor.errors import CallerError
from sor.models.fill_time import FillTime
from sor.reasons import TimeoutBound

_INV_CDF = NormalDist().inv_cdf
_ROOT_2 = sqrt(2.0)
_ROOT_2PI = sqrt(2.0 * pi)
_FAR = 25.0
"""Standard deviations from which a normal tail is worked out by its expansion."""
_STEPS_MAX = 100
_PRECISION = 1e-12


class Timeout(msgspec.Struct, frozen=True, gc=False):
    """How long to rest, and which term said so.

    posted    whether it is long enough to post at all; `timeout_s` is then at least the floor.
    """

    timeout_s: float
    bound: TimeoutBound
    posted: bool


Term = tuple[float, TimeoutBound]
"""A time that an order may rest for, and what it comes from."""


# --- (a) an order that is re-pegged -----------------------------------------------------------------------------------


def waiting_bps_per_s(
    *, drift_bps_per_s: float, volatility: float, remaining_lots: float, risk_aversion: float = 0.0
) -> float:
    """m: what a second of waiting costs, from the drift given no fill and the charge for the risk of what remains.

    risk_aversion    1 / (bps lots), such that its product with the variance and the lots is bps/s; 0 is risk-neutral.
    """
    return drift_bps_per_s + risk_aversion * volatility * volatility * remaining_lots


def rest_bps(fill: FillTime, *, until_s: float, advantage_bps: float, waiting_bps_per_s: float) -> float:
    """J(tau): expected cost against crossing now of resting until a fill or `until_s`, then crossing."""
    filled = 1.0 - fill.survival(until_s)
    waiting = waiting_bps_per_s * fill.resting_s(until_s) if waiting_bps_per_s else 0.0
    return waiting - advantage_bps * filled


def hazard_s(fill: FillTime, *, advantage_bps: float, waiting_bps_per_s: float, longest_s: float = inf) -> float:
    """tau*: the wait of least expected cost, at most `longest_s`; 0.0 if none is cheaper than crossing now.

    Resting pays while hazard x A > m, so J has its minima where the hazard falls to m / A, or at the ends. For a
    falling hazard that is the last time it is above; for one that rises first, the way there must not cost more.
    """
    waits = [longest_s]
    if advantage_bps > 0.0 and waiting_bps_per_s > 0.0:
        turns = fill.falls_to(waiting_bps_per_s / advantage_bps)
        waits = [*[turn for turn in turns if turn < longest_s], longest_s]
    best_s, best_bps = 0.0, 0.0
    for until_s in waits:
        cost = rest_bps(fill, until_s=until_s, advantage_bps=advantage_bps, waiting_bps_per_s=waiting_bps_per_s)
        if cost < best_bps:
            best_s, best_bps = until_s, cost
    return best_s


# --- (b) an order that stays where it is ------------------------------------------------------------------------------


class StaticRest(msgspec.Struct, frozen=True, gc=False):
    """A timeout of a static order: what it is expected to cost against crossing now, and the least any could, bps."""

    timeout_s: float
    cost_bps: float
    least_bps: float


def static_rest(
    *,
    times_s: Sequence[float],
    survived: Sequence[float],
    drift_bps: Sequence[float],
    advantage_bps: float,
    se_bps: float,
) -> StaticRest:
    """The shortest tabulated wait whose cost is within one standard error of the least.

    times_s      ascending; 0 among them (with 1 survived and no drift) lets crossing now be the answer.
    survived     P(not filled by then), one for each time.
    drift_bps    D: expected adverse move of the mid by then, of the orders not filled, one for each time.
    se_bps       bootstrap standard error of the least cost, >= 0; 0 takes the least itself.
    Raises       CallerError for tables that are empty or of unequal length, or times that do not rise.
    """
    sound = 0 < len(times_s) == len(survived) == len(drift_bps) and all(one < other for one, other in pairwise(times_s))
    if not sound or se_bps < 0.0:
        raise CallerError(
            f"{len(times_s)} times, {len(survived)} survivals and {len(drift_bps)} drifts with a standard error of "
            f"{se_bps} are not a table to choose from; nothing was computed. Give one of each for rising times"
        )
    costs = [left * drift - advantage_bps * (1.0 - left) for left, drift in zip(survived, drift_bps, strict=True)]
    least = min(costs)
    for time_s, cost in zip(times_s, costs, strict=True):
        if cost <= least + se_bps:
            return StaticRest(time_s, cost, least)
    raise AssertionError("the least cost is within any error of itself")


# --- (c) two exits ----------------------------------------------------------------------------------------------------


def competing_exits_bps(*, fill_rate: float, away_rate: float, advantage_bps: float, loss_bps: float) -> float:
    """Expected cost against crossing now of resting until a fill, or until the touch moves away and it is crossed.

    fill_rate, away_rate    1/s, >= 0. loss_bps: Delta, what crossing has become dearer by then.
    Returns                 negative exactly if fill_rate x A > away_rate x Delta; 0.0 if neither ever happens.
    """
    rate = fill_rate + away_rate
    return (away_rate * loss_bps - fill_rate * advantage_bps) / rate if rate > 0.0 else 0.0


# --- (d) the excursion budget -----------------------------------------------------------------------------------------


def excursion_probability(*, within_s: float, budget_bps: float, volatility: float, drift_bps_per_s: float) -> float:
    """P(the mid has been `budget_bps` away at some time up to `within_s`), a first passage of drifting Brownian motion.

    budget_bps, volatility, within_s    > 0. drift_bps_per_s: adverse is positive.
    """
    root = volatility * sqrt(within_s)
    near = (drift_bps_per_s * within_s - budget_bps) / root
    far = (drift_bps_per_s * within_s + budget_bps) / root
    passed = 0.5 * erfc(-near / _ROOT_2)
    if drift_bps_per_s <= 0.0:
        reflected = exp(2.0 * drift_bps_per_s * budget_bps / (volatility * volatility)) * 0.5 * erfc(far / _ROOT_2)
    else:
        # The same, as exp(2 mu B / sigma^2) may be beyond any float while the product with the tail is small.
        tail = 0.5 * erfc(far / _ROOT_2) * _ROOT_2PI * exp(0.5 * far * far) if far < _FAR else 1.0 / far - far**-3
        reflected = exp(-0.5 * near * near) / _ROOT_2PI * tail
    return min(1.0, passed + reflected)


def excursion_s(*, budget_bps: float, volatility: float, tolerance: float, drift_bps_per_s: float = 0.0) -> float:
    """tau_B: how long the mid stays within the budget with probability 1 - tolerance.

    budget_bps         what is left of the adverse move that waiting may cost; none left is no time.
    volatility         bps/sqrt(s); at 0 only the drift uses the budget up, and without one nothing ever does.
    tolerance          in (0, 1).
    drift_bps_per_s    adverse is positive. One that is favourable enough keeps within the budget for ever.
    """
    if budget_bps <= 0.0:
        return 0.0
    if volatility <= 0.0:
        return budget_bps / drift_bps_per_s if drift_bps_per_s > 0.0 else inf
    root = budget_bps / (volatility * _INV_CDF(1.0 - 0.5 * tolerance))
    driftless_s = root * root
    if drift_bps_per_s == 0.0:
        return driftless_s
    low_s, high_s = 0.0, driftless_s
    if drift_bps_per_s < 0.0:
        if exp(2.0 * drift_bps_per_s * budget_bps / (volatility * volatility)) <= tolerance:
            return inf
        low_s, high_s = driftless_s, inf
    # Newton's steps along the known density, halving (or doubling) where one would leave what is known to hold it.
    at_s = driftless_s
    for _ in range(_STEPS_MAX):
        excess = (
            excursion_probability(
                within_s=at_s, budget_bps=budget_bps, volatility=volatility, drift_bps_per_s=drift_bps_per_s
            )
            - tolerance
        )
        if excess > 0.0:
            high_s = at_s
        else:
            low_s = at_s
        off = (budget_bps - drift_bps_per_s * at_s) / (volatility * sqrt(at_s))
        density = budget_bps * exp(-0.5 * off * off) / (_ROOT_2PI * volatility * at_s * sqrt(at_s))
        next_s = at_s - excess / density if density > 0.0 else -1.0
        if not low_s < next_s < high_s:
            next_s = 2.0 * low_s if high_s == inf else 0.5 * (low_s + high_s)
        if abs(next_s - at_s) <= _PRECISION * at_s:
            return next_s
        at_s = next_s
    return low_s


# --- (e) the schedule, and all together -------------------------------------------------------------------------------


def schedule_s(*, left_s: float, crossing_s: float, cancel_rtt_s: float, submit_rtt_s: float) -> float:
    """tau_T: how long an order may rest so that a cancel and the crossing of what is left still fit; may be negative.

    crossing_s    time that the crossing itself takes: its size over the rate at which it may be taken.
    """
    return left_s - crossing_s - cancel_rtt_s - submit_rtt_s


def behind_lots(*, remaining_lots: int, fill_lots_per_s: float, left_s: float) -> int:
    """What has to be crossed now as resting is not expected to fill it in the time left; the remainder may rest.

    fill_lots_per_s    expected fill velocity, >= 0. Returns 0 to `remaining_lots`, rounded up.
    """
    expected = fill_lots_per_s * max(0.0, left_s)
    return min(remaining_lots, ceil(max(0.0, remaining_lots - expected)))


def least(*terms: Term, floor_s: float) -> Timeout:
    """The least of the terms; of equal ones the first.

    terms      at least one. floor_s: two round trips; an order that is to rest for less is not posted.
    """
    timeout_s, bound = terms[0]
    for other_s, other in terms:
        if other_s < timeout_s:
            timeout_s, bound = other_s, other
    return Timeout(timeout_s, bound, posted=timeout_s >= floor_s)


def resting_time(
    fill: FillTime, *bounds: Term, advantage_bps: float, waiting_bps_per_s: float, floor_s: float
) -> Timeout:
    """The timeout used: tau* within the least of the bounds (tau_B, tau_T, and what else limits it).

    tau* is looked for within the bounds and not cut to them afterwards: where the hazard rises first, a wait that pays
    in full may cost when it is cut short. Not posted below the floor, or if no wait within the bounds pays.
    """
    bounded = least(*bounds, floor_s=floor_s)
    if not bounded.posted:
        return bounded
    tau_s = hazard_s(
        fill, advantage_bps=advantage_bps, waiting_bps_per_s=waiting_bps_per_s, longest_s=bounded.timeout_s
    )
    return least((bounded.timeout_s, bounded.bound), (tau_s, TimeoutBound.HAZARD), floor_s=floor_s)
