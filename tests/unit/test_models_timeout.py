from math import exp, inf, sqrt
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sor.errors import CallerError
from sor.models.fill_time import Exponential, FillTime, LogNormal, Tabulated, Weibull
from sor.models.timeout import (
    Timeout,
    behind_lots,
    competing_exits_bps,
    excursion_probability,
    excursion_s,
    hazard_s,
    least,
    rest_bps,
    resting_time,
    schedule_s,
    static_rest,
    waiting_bps_per_s,
)
from sor.reasons import TimeoutBound

WEIBULL = Weibull(0.6, 8.0)
LOG_NORMAL = LogNormal(6.0, 1.2)


def cost(fill: FillTime, until_s: float, *, advantage: float = 4.0, waiting: float = 0.25) -> float:
    return rest_bps(fill, until_s=until_s, advantage_bps=advantage, waiting_bps_per_s=waiting)


def best(fill: FillTime, *, advantage: float = 4.0, waiting: float = 0.25, longest_s: float = inf) -> float:
    return hazard_s(fill, advantage_bps=advantage, waiting_bps_per_s=waiting, longest_s=longest_s)


def tabulated(fill: FillTime, *, until_s: float, count: int) -> Tabulated:
    times = tuple(until_s * n / count for n in range(count + 1))
    return Tabulated(times, tuple(fill.survival(time) for time in times))


# --- (a) the hazard rule ----------------------------------------------------------------------------------------------


def test_the_weibull_timeout_of_the_sheet() -> None:
    # Methods 6.2 (a), tagged [R]: A = 4, m = .25, shape .6, scale 8.
    found = best(WEIBULL)
    assert found == pytest.approx(12.62, abs=5e-3)
    assert cost(WEIBULL, found) == pytest.approx(-1.4564, abs=5e-5)
    assert 1.0 - WEIBULL.survival(found) == pytest.approx(0.7314, abs=5e-5)


@pytest.mark.parametrize(("until_s", "expected"), [(5.0, -1.3238), (30.0, -1.3405), (60.0, -1.1606)])
def test_the_costs_of_other_waits_of_the_sheet(until_s: float, expected: float) -> None:
    assert cost(WEIBULL, until_s) == pytest.approx(expected, abs=5e-5)


def test_the_log_normal_timeout_of_the_sheet() -> None:
    assert best(LOG_NORMAL) == pytest.approx(20.66, abs=5e-3)


def test_an_exponential_rests_for_ever_or_not_at_all() -> None:
    assert best(Exponential(0.07)) == inf
    assert best(Exponential(0.07), longest_s=9.0) == 9.0
    assert best(Exponential(0.06)) == 0.0
    assert cost(Exponential(0.07), inf) == pytest.approx(0.25 / 0.07 - 4.0)


@pytest.mark.parametrize("fill", [WEIBULL, LOG_NORMAL, Weibull(1.4, 8.0), Weibull(0.9, 2.0), LogNormal(3.0, 0.4)])
@pytest.mark.parametrize("waiting", [0.02, 0.25, 0.6])
@pytest.mark.parametrize("longest_s", [3.0, 60.0])
def test_no_wait_on_a_grid_is_cheaper(fill: FillTime, waiting: float, longest_s: float) -> None:
    found = best(fill, waiting=waiting, longest_s=longest_s)
    assert 0.0 <= found <= longest_s
    grid = np.linspace(0.0, longest_s, 1_001)
    least_cost = min(cost(fill, float(until_s), waiting=waiting) for until_s in grid)
    assert cost(fill, found, waiting=waiting) <= least_cost + 1e-9


@pytest.mark.parametrize("fill", [WEIBULL, LOG_NORMAL])
def test_a_table_of_a_curve_finds_the_same_wait(fill: FillTime) -> None:
    table = tabulated(fill, until_s=60.0, count=1_200)
    found = best(table, longest_s=60.0)
    assert found == pytest.approx(best(fill), abs=0.1)
    assert cost(table, found) == pytest.approx(cost(fill, best(fill)), abs=2e-3)


def test_a_table_with_two_humps_takes_the_deeper() -> None:
    # Fills at 0 to 1 s and 5 to 6 s, none between: the second is worth the wait only if it is cheap.
    table = Tabulated((0.0, 1.0, 5.0, 6.0, 9.0), (1.0, 0.5, 0.5, 0.1, 0.1))
    assert table.falls_to(0.05) == (1.0, 6.0)
    assert best(table, waiting=0.1) == 6.0
    assert best(table, waiting=1.0) == 1.0
    assert best(table, waiting=6.0) == 0.0


def test_a_wait_that_pays_in_full_may_cost_when_cut_short() -> None:
    # The log-normal's hazard starts at 0: the first second costs and fills hardly anything.
    assert cost(LOG_NORMAL, 0.2) > 0.0
    assert best(LOG_NORMAL, longest_s=0.2) == 0.0
    assert best(LOG_NORMAL, longest_s=10.0) == 10.0


@given(st.floats(0.2, 0.95), st.floats(0.5, 60.0), st.floats(0.1, 10.0), st.floats(0.01, 2.0))
def test_more_to_gain_rests_longer_and_dearer_waiting_shorter(
    shape: float, scale_s: float, advantage: float, waiting: float
) -> None:
    fill = Weibull(shape, scale_s)
    one = best(fill, advantage=advantage, waiting=waiting, longest_s=600.0)
    assert best(fill, advantage=1.5 * advantage, waiting=waiting, longest_s=600.0) >= one
    assert best(fill, advantage=advantage, waiting=1.5 * waiting, longest_s=600.0) <= one
    # Where it ends of itself, a fill in the next moment is worth exactly the moment.
    if 0.0 < one < 600.0:
        assert fill.hazard(one) * advantage == pytest.approx(waiting)


def test_waiting_that_costs_nothing_lasts_and_a_fill_that_saves_nothing_is_not_waited_for() -> None:
    assert best(WEIBULL, waiting=0.0, longest_s=30.0) == 30.0
    assert best(WEIBULL, waiting=-0.1, longest_s=30.0) == 30.0
    assert best(WEIBULL, advantage=0.0) == 0.0
    assert best(WEIBULL, advantage=-1.0) == 0.0


def test_waiting_is_charged_for_drift_and_risk() -> None:
    found = waiting_bps_per_s(drift_bps_per_s=0.05, volatility=2.0, remaining_lots=30.0, risk_aversion=0.001)
    assert found == pytest.approx(0.05 + 0.001 * 4.0 * 30.0)
    assert waiting_bps_per_s(drift_bps_per_s=0.05, volatility=2.0, remaining_lots=30.0) == 0.05


# --- (b) static orders ------------------------------------------------------------------------------------------------


def test_the_shortest_wait_within_an_error_of_the_least() -> None:
    # Costs by hand: 0, -1.2 + .7 = -.5, -2 + .75 = -1.25, -2.4 + 1.08 = -1.32, -2.8 + 1.5 = -1.3.
    times = (0.0, 1.0, 5.0, 15.0, 60.0)
    survived = (1.0, 0.7, 0.5, 0.4, 0.3)
    drifts = (0.0, 1.0, 1.5, 2.7, 5.0)

    def chosen(se_bps: float) -> tuple[float, float]:
        found = static_rest(times_s=times, survived=survived, drift_bps=drifts, advantage_bps=4.0, se_bps=se_bps)
        assert found.least_bps == pytest.approx(-1.32)
        return found.timeout_s, round(found.cost_bps, 9)

    assert chosen(0.0) == (15.0, -1.32)
    assert chosen(0.1) == (5.0, -1.25)
    assert chosen(1.0) == (1.0, -0.5)
    assert chosen(2.0) == (0.0, 0.0)


def test_a_static_order_stops_where_the_drift_outruns_the_hazard() -> None:
    # D'(tau) > hazard (A + D) is the condition of the sheet for the same minimum: S = exp(-.1 t), D = .3 t, A = 4.
    times = [0.01 * n for n in range(2_001)]
    found = static_rest(
        times_s=times,
        survived=[exp(-0.1 * time) for time in times],
        drift_bps=[0.3 * time for time in times],
        advantage_bps=1.0,
        se_bps=0.0,
    )
    # .3 against .1 (1 + .3 t): rest from t = 6.67 on, stop before; from 0 it costs at first, and pays late.
    assert found.timeout_s == times[-1]
    slow = static_rest(
        times_s=times,
        survived=[exp(-0.1 * time) for time in times],
        drift_bps=[0.05 * time * time for time in times],
        advantage_bps=1.0,
        se_bps=0.0,
    )
    # .1 t = .1 (1 + .05 t^2): t = 10 - sqrt(80).
    assert slow.timeout_s == pytest.approx(10.0 - sqrt(80.0), abs=0.006)


@pytest.mark.parametrize(
    ("times", "survived", "drifts", "se"),
    [
        ((), (), (), 0.0),
        ((0.0, 1.0), (1.0,), (0.0, 1.0), 0.0),
        ((0.0, 1.0), (1.0, 0.5), (0.0,), 0.0),
        ((1.0, 1.0), (0.9, 0.5), (0.0, 1.0), 0.0),
        ((0.0, 1.0), (1.0, 0.5), (0.0, 1.0), -0.1),
    ],
)
def test_what_is_not_a_table_is_refused(
    times: tuple[float, ...], survived: tuple[float, ...], drifts: tuple[float, ...], se: float
) -> None:
    with pytest.raises(CallerError, match="not a table to choose from; nothing was computed"):
        static_rest(times_s=times, survived=survived, drift_bps=drifts, advantage_bps=1.0, se_bps=se)


# --- (c) two exits ----------------------------------------------------------------------------------------------------


def exits(*, fill: float, away: float) -> float:
    return competing_exits_bps(fill_rate=fill, away_rate=away, advantage_bps=4.0, loss_bps=1.5)


def test_the_two_exits_of_the_sheet() -> None:
    # Methods 6.2 (c), tagged [C].
    assert exits(fill=0.08, away=0.05) == pytest.approx(-1.8846, abs=5e-5)


@given(st.floats(0.0, 5.0), st.floats(0.0, 5.0))
def test_resting_beats_crossing_when_fills_outweigh_what_runs_away(fill: float, away: float) -> None:
    assert (exits(fill=fill, away=away) < 0.0) == (fill * 4.0 > away * 1.5)
    assert -4.0 <= exits(fill=fill, away=away) <= 1.5


def test_where_nothing_ever_happens_there_is_nothing_to_gain() -> None:
    assert exits(fill=0.0, away=0.0) == 0.0


# --- (d) the excursion budget -----------------------------------------------------------------------------------------


def within(budget: float, *, volatility: float = 1.0, tolerance: float = 0.1, drift: float = 0.0) -> float:
    return excursion_s(budget_bps=budget, volatility=volatility, tolerance=tolerance, drift_bps_per_s=drift)


def passed(time_s: float, budget: float, *, volatility: float = 1.0, drift: float = 0.0) -> float:
    return excursion_probability(within_s=time_s, budget_bps=budget, volatility=volatility, drift_bps_per_s=drift)


@pytest.mark.parametrize(("drift", "expected"), [(0.0, 9.240), (0.1, 7.192), (0.25, 5.477)])
def test_the_excursion_budgets_of_the_sheet(drift: float, expected: float) -> None:
    # Methods 6.2 (d), tagged [C]: B = 5 bps, sigma = 1 bps/sqrt(s), p = 0.1.
    assert within(5.0, drift=drift) == pytest.approx(expected, abs=5e-4)


def test_the_excursion_budget_scales_as_a_diffusion_does() -> None:
    one = within(5.0)
    assert within(10.0) == pytest.approx(4 * one)
    assert within(5.0, volatility=2.0) == pytest.approx(one / 4)
    assert within(5.0, tolerance=0.2) > one
    # With a drift: lengths by 2 and times by 4 make the drift half as fast.
    assert within(10.0, drift=0.05) == pytest.approx(4 * within(5.0, drift=0.1))


def test_by_reflection_a_driftless_mid_passes_twice_as_often_as_it_ends_beyond() -> None:
    assert passed(6.0, 3.0, volatility=0.7) == pytest.approx(2 * (1 - NormalDist().cdf(3.0 / (0.7 * sqrt(6.0)))))


@given(
    st.floats(0.01, 100.0),
    st.floats(0.01, 20.0),
    st.floats(0.001, 0.5),
    st.one_of(st.floats(-5.0, 5.0), st.floats(-1e-6, 1e-6), st.floats(-1e3, 1e3)),
)
def test_the_excursion_budget_keeps_its_promise(
    budget: float, volatility: float, tolerance: float, drift: float
) -> None:
    found = within(budget, volatility=volatility, tolerance=tolerance, drift=drift)
    if found == inf:
        assert drift < 0.0
        assert exp(2.0 * drift * budget / volatility**2) <= tolerance
    else:
        assert passed(found, budget, volatility=volatility, drift=drift) == pytest.approx(tolerance, rel=1e-5)


def test_a_favourable_drift_passes_less_often_and_perhaps_never() -> None:
    # By a change of measure: exp(-2 mu B / sigma^2) times as often as the same drift the other way, whose end is 1.
    for time_s in (1.0, 9.0, 100.0):
        against = passed(time_s, 5.0, volatility=2.0, drift=0.3)
        assert passed(time_s, 5.0, volatility=2.0, drift=-0.3) == pytest.approx(exp(-0.75) * against)
    assert passed(1e6, 5.0, volatility=2.0, drift=-0.3) == pytest.approx(exp(-0.75))
    assert within(5.0, volatility=2.0, drift=-0.3, tolerance=0.48) == inf
    assert within(5.0, volatility=2.0, drift=-0.3, tolerance=0.46) < inf


def test_the_solution_agrees_with_paths() -> None:
    rng = np.random.default_rng(3)
    step_s, drift = 0.01, 0.25
    tau = within(2.0, drift=drift, tolerance=0.2)
    steps = rng.normal(drift * step_s, sqrt(step_s), (4_000, round(tau / step_s)))
    # A path seen every step misses excursions between two looks: move the bound by 0.5826 of a step's deviation.
    beyond = np.cumsum(steps, axis=1).max(axis=1) >= 2.0 - 0.5826 * sqrt(step_s)
    assert beyond.mean() == pytest.approx(0.2, abs=3 * sqrt(0.2 * 0.8 / 4_000))


def test_no_budget_is_no_time_and_a_still_market_any() -> None:
    assert within(0.0) == 0.0
    assert within(-2.0, volatility=0.0) == 0.0
    assert within(1.0, volatility=0.0) == inf
    assert within(1.0, volatility=0.0, drift=-1.0) == inf
    assert within(1.0, volatility=0.0, drift=0.5) == 2.0


def test_a_market_that_hardly_moves_but_drifts_is_left_by_its_drift() -> None:
    # exp(2 mu B / sigma^2) is beyond any float here.
    assert within(5.0, volatility=0.01, drift=2.0) == pytest.approx(2.5, rel=0.02)


# --- (e) the schedule, and all together -------------------------------------------------------------------------------


def test_what_still_has_to_fit_is_taken_off_the_time_left() -> None:
    assert schedule_s(left_s=30.0, crossing_s=2.0, cancel_rtt_s=0.2, submit_rtt_s=0.3) == 27.5
    assert schedule_s(left_s=1.0, crossing_s=2.0, cancel_rtt_s=0.2, submit_rtt_s=0.3) == -1.5


@pytest.mark.parametrize(
    ("remaining", "velocity", "left_s", "expected"),
    [(100, 2.0, 30.0, 40), (100, 4.0, 30.0, 0), (100, 0.0, 30.0, 100), (100, 2.0, -1.0, 100), (100, 1.01, 10.0, 90)],
)
def test_what_resting_will_not_fill_is_crossed_now(
    remaining: int, velocity: float, left_s: float, expected: int
) -> None:
    assert behind_lots(remaining_lots=remaining, fill_lots_per_s=velocity, left_s=left_s) == expected


def test_the_least_term_binds_and_the_first_of_equal_ones() -> None:
    terms = ((9.0, TimeoutBound.SCHEDULE), (4.0, TimeoutBound.EXCURSION), (4.0, TimeoutBound.FIXED))
    assert least(*terms, floor_s=0.5) == Timeout(4.0, TimeoutBound.EXCURSION, posted=True)
    assert least(*terms, floor_s=4.0).posted
    assert not least(*terms, floor_s=4.1).posted


def rested(*bounds: tuple[float, TimeoutBound], fill: FillTime = WEIBULL, floor_s: float = 0.4) -> Timeout:
    return resting_time(fill, *bounds, advantage_bps=4.0, waiting_bps_per_s=0.25, floor_s=floor_s)


def test_the_timeout_used_is_the_least_of_all() -> None:
    schedule = (27.5, TimeoutBound.SCHEDULE)
    found = rested(schedule, (20.0, TimeoutBound.EXCURSION))
    assert found == Timeout(best(WEIBULL), TimeoutBound.HAZARD, posted=True)
    assert rested(schedule, (9.24, TimeoutBound.EXCURSION)) == Timeout(9.24, TimeoutBound.EXCURSION, posted=True)
    assert rested((3.0, TimeoutBound.TIME_LEFT)) == Timeout(3.0, TimeoutBound.TIME_LEFT, posted=True)


def test_below_the_floor_nothing_is_posted() -> None:
    assert rested((0.3, TimeoutBound.SCHEDULE)) == Timeout(0.3, TimeoutBound.SCHEDULE, posted=False)
    assert rested((-1.0, TimeoutBound.SCHEDULE)) == Timeout(-1.0, TimeoutBound.SCHEDULE, posted=False)
    assert rested((60.0, TimeoutBound.SCHEDULE), floor_s=13.0).posted is False


def test_a_wait_that_does_not_pay_within_the_bounds_is_not_posted() -> None:
    found = rested((0.3, TimeoutBound.EXCURSION), fill=LOG_NORMAL, floor_s=0.2)
    assert found == Timeout(0.0, TimeoutBound.HAZARD, posted=False)
