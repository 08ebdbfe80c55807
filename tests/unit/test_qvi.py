"""Limit and market orders by the quasi-variational inequality: crossing times, depths, quotes, savings, rule (2)."""

from math import exp, expm1, inf
from statistics import NormalDist

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sor.errors import CallerError
from sor.lab.qvi_paths import Outcome, depth_paths, touch_paths
from sor.models.qvi import (
    Course,
    Task,
    best_depths,
    sell_depths,
    sell_quotes,
    solve_depths,
    solve_touch,
)

# methods 6.1: half-spread and fee 0.005 each, at a price of 100 with moves of 0.01.
DECAY, CROSS, GAIN, SHARE = 50.0, 0.01, 0.005, exp(-0.25)
BPS_OF_PRICE = 100.0
MOVE = 0.01


def task(units: int, **changes: float) -> Task:
    base = Task(
        units=units,
        horizon_s=300.0,
        arrivals_per_s=5.0 * units / 300.0,
        cross_cost=CROSS,
        tracking=0.001,
        target_curve=0.02,
    )
    return msgspec.structs.replace(base, **changes)


def test_crossing_times_of_the_sheet() -> None:
    found = solve_depths(task(10), decay=DECAY, steps=3_000)
    expected = [4.20, 10.14, 16.94, 24.86, 34.38, 46.30, 62.28, 86.50, 137.15, 300.0]
    assert found.cross_s.tolist() == pytest.approx(expected, abs=0.02)


def test_the_grid_hardly_shows() -> None:
    fine, coarse = (solve_depths(task(10), decay=DECAY, steps=steps) for steps in (3_000, 300))
    assert coarse.cross_s.tolist() == pytest.approx(fine.cross_s.tolist(), abs=0.03)
    assert coarse.values[0].tolist() == pytest.approx(fine.values[0].tolist(), abs=5e-4)
    assert best_depths(coarse, decay=DECAY)[0].tolist() == pytest.approx(
        best_depths(fine, decay=DECAY)[0].tolist(), abs=5e-4
    )
    # Several orders a second and many units: explicit steps of this size would blow up.
    wild = solve_depths(task(100, arrivals_per_s=20.0, tracking=10.0), decay=DECAY, steps=60)
    assert bool(np.isfinite(wild.values).all())


def test_the_inequality_holds_everywhere() -> None:
    course = solve_depths(task(10), decay=DECAY, steps=3_000)
    h, step_s = course.values, course.step_s
    assert float((h[:, 1:] - CROSS - h[:, :-1]).max()) < 1e-12  # crossing is never better than h
    bought = np.arange(11.0)
    at = np.arange(1, 3_000)
    off = bought - np.array([[task(10).target(float(step * step_s))] for step in at])
    resting = np.zeros_like(off)
    resting[:, :-1] = task(10).arrivals_per_s / DECAY * np.exp(DECAY * (h[at, 1:] - h[at, :-1]) - 1.0)
    residual = (h[at + 1] - h[at - 1]) / (2.0 * step_s) - 0.001 * off * off + resting
    assert float(residual.max()) < 2e-4
    waits = h[1:-1, :-1] > h[1:-1, 1:] - CROSS + 1e-6
    both = waits & np.roll(waits, 1, axis=0) & np.roll(waits, -1, axis=0)
    assert float(np.abs(residual[:, :-1][both]).max()) < 2e-4


SAVINGS = [
    # units, moves/s each way, crossed mean (sd), saved bps mean (sd): recomputed of methods 6.1
    (10, 1.0, (3.354, 1.429), (2.138, 1.128)),
    (10, 10.0, (3.340, 1.438), (2.118, 3.299)),
    (10, 100.0, (3.326, 1.414), (1.902, 10.28)),
    (100, 1.0, (21.94, 4.92), (2.522, 0.253)),
    (100, 10.0, (22.02, 4.90), (2.534, 0.607)),
]
TOUCH_SAVINGS = [(10, 10.0, (1.945, 1.258), (1.206, 2.724)), (100, 10.0, (10.125, 4.229), (1.355, 0.421))]


def assert_saves(
    outcome: Outcome, moves_per_s: float, crossed: tuple[float, float], saved_bps: tuple[float, float]
) -> None:
    """Within three standard errors of the difference to 10 000 drawn paths, deviations within 3 %."""
    paths = len(outcome.saved)
    variance_per_s = 2.0 * moves_per_s * MOVE * MOVE
    deviation_bps = BPS_OF_PRICE * outcome.deviation(variance_per_s)
    mean, error = outcome.mean()
    noise = 3.0 * crossed[1] * (1.0 / paths + 1e-4) ** 0.5
    assert float(outcome.crossed.mean()) == pytest.approx(crossed[0], abs=noise)
    assert float(outcome.crossed.std()) == pytest.approx(crossed[1], rel=0.04)
    noise = 3.0 * ((BPS_OF_PRICE * error) ** 2 + saved_bps[1] ** 2 * 1e-4) ** 0.5
    assert BPS_OF_PRICE * mean == pytest.approx(saved_bps[0], abs=noise)
    assert deviation_bps == pytest.approx(saved_bps[1], rel=0.03)


QUANTILES = [0.01, 0.25, 0.5, 0.75, 0.99]
SAVED_QUANTILES = [-0.564, 1.387, 2.148, 2.897, 4.818]
"""bps, recomputed of methods 6.1 for ten units and a move a second each way."""


def assert_saved_quantiles(outcome: Outcome, rng: np.random.Generator) -> None:
    """Within three standard errors of the difference to 10 000 drawn paths, from a normal density of that deviation."""
    saved_bps = BPS_OF_PRICE * outcome.drawn(2.0 * MOVE * MOVE, rng)
    normal = NormalDist(2.138, 1.128)
    for share, found, expected in zip(QUANTILES, np.quantile(saved_bps, QUANTILES), SAVED_QUANTILES, strict=True):
        density = normal.pdf(normal.inv_cdf(share))
        error = (share * (1.0 - share) * (1.0 / len(saved_bps) + 1e-4)) ** 0.5 / density
        assert found == pytest.approx(expected, abs=3.0 * error)


@pytest.mark.slow
@pytest.mark.parametrize("units", [10, 100])
def test_savings_of_the_sheet(units: int) -> None:
    rng = np.random.default_rng(2_015)
    course = solve_depths(task(units), decay=DECAY, steps=3_000)
    outcome = depth_paths(task(units), course, decay=DECAY, paths=40_000 // units, rng=rng)
    for row_units, moves_per_s, crossed, saved_bps in SAVINGS:
        if row_units == units:
            assert_saves(outcome, moves_per_s, crossed, saved_bps)
    if units == 10:
        assert np.quantile(outcome.crossed, QUANTILES).tolist() == [0, 2, 3, 4, 7]
        assert_saved_quantiles(outcome, rng)


@pytest.mark.slow
@pytest.mark.parametrize(("units", "moves_per_s", "crossed", "saved_bps"), TOUCH_SAVINGS)
def test_savings_of_the_sheet_at_the_touch_only(
    units: int, moves_per_s: float, crossed: tuple[float, float], saved_bps: tuple[float, float]
) -> None:
    rng = np.random.default_rng(2_015)
    course = solve_touch(task(units), gain=GAIN, fill_share=SHARE, steps=3_000)
    outcome = touch_paths(task(units), course, gain=GAIN, fill_share=SHARE, paths=40_000 // units, rng=rng)
    assert_saves(outcome, moves_per_s, crossed, saved_bps)


def test_the_value_is_what_paths_earn() -> None:
    # Without a target's curve or a price for being off it: h(0, 0) is what is earned and nothing else.
    plain = task(4, tracking=0.0, target_curve=0.0)
    course = solve_touch(plain, gain=GAIN, fill_share=SHARE, steps=1_000)
    outcome = touch_paths(plain, course, gain=GAIN, fill_share=SHARE, paths=2_000, rng=np.random.default_rng(5))
    mean, error = outcome.mean()
    assert 4.0 * (mean - CROSS) == pytest.approx(float(course.values[0, 0]), abs=4.0 * 4.0 * error + 1e-5)


@given(
    gain=st.floats(-0.5, 4.0),
    cross=st.floats(0.01, 4.0),
    carry=st.floats(0.0, 2.0),
    rate=st.floats(0.001, 0.8),
)
@settings(max_examples=40)
def test_one_unit_is_rule_2(gain: float, cross: float, carry: float, rate: float) -> None:
    # One unit and no target: rest iff p A > (1 - p) D, with (1 - p) D what carrying it costs until it is filled.
    advantage = gain + cross
    fill = -expm1(-10.0 * rate)
    lost = carry * fill / rate
    one = Task(units=1, horizon_s=10.0, arrivals_per_s=rate, cross_cost=cross, carry=carry)
    course = solve_touch(one, gain=gain, fill_share=1.0, steps=200)
    worth = fill * advantage - lost
    assert float(course.values[0, 0]) == pytest.approx(max(worth, 0.0) - cross, abs=0.03 * max(abs(worth), 0.1))
    if abs(worth) > 1e-9:
        assert crosses_at_once(course) is (worth < 0.0)


def crosses_at_once(course: Course) -> bool:
    return float(course.cross_s[0]) == 0.0


def test_sure_fill_no_fill_and_a_huge_penalty() -> None:
    sure = task(10, arrivals_per_s=100.0)
    assert not crosses_at_once(solve_touch(sure, gain=GAIN, fill_share=1.0, steps=300))
    # Nobody comes: what must be done is crossed as the target asks, the first unit when half of it is due.
    alone = task(10, arrivals_per_s=0.0)
    found = solve_touch(alone, gain=GAIN, fill_share=1.0, steps=3_000).cross_s
    assert [alone.target(float(at_s)) for at_s in found[:-1]] == pytest.approx(np.arange(9) + 0.5, abs=0.05)
    huge = task(10, tracking=1e6, target_start=10.0)
    assert crosses_at_once(solve_touch(huge, gain=GAIN, fill_share=SHARE, steps=300))
    behind = task(10, target_start=3.0)
    assert float(solve_touch(behind, gain=GAIN, fill_share=SHARE, steps=300).cross_s[1]) == 0.0


@given(penalty=st.floats(1e-5, 0.1), more=st.floats(1.5, 20.0), fills=st.floats(0.02, 2.0))
@settings(max_examples=25)
def test_dearer_waiting_crosses_earlier(penalty: float, more: float, fills: float) -> None:
    def times(tracking: float, arrivals: float) -> list[float]:
        terms = task(5, tracking=tracking, arrivals_per_s=arrivals, target_curve=0.0, target_start=5.0)
        return [float(at_s) for at_s in solve_touch(terms, gain=GAIN, fill_share=SHARE, steps=100).cross_s]

    base, dear, quick = times(penalty, fills), times(more * penalty, fills), times(penalty, more * fills)
    assert base == sorted(base)
    assert all(early <= late + 1.0 for early, late in zip(dear, base, strict=True))
    assert all(late >= early - 1.0 for early, late in zip(base, quick, strict=True))


def test_being_ahead_may_be_free() -> None:
    early = task(4, target_start=-4.0, target_curve=0.0)
    dear, free = (
        solve_touch(terms, gain=GAIN, fill_share=SHARE, steps=200)
        for terms in (early, msgspec.structs.replace(early, free_ahead=True))
    )
    assert float(free.values[0, 3]) > float(dear.values[0, 3])
    # The last line is not behind at any time, so with it nothing is paid but the crossing at the end.
    assert free.values[:, 4].tolist() == pytest.approx([0.0] * 201)


def test_depths_of_the_companion_in_closed_form() -> None:
    terms = {"arrivals_per_s": 50.0 / 60.0, "decay": 100.0, "leftover": 0.001}
    start = sell_depths(5, left_s=60.0, **terms)
    assert start.tolist() == pytest.approx([0.03960, 0.03268, 0.02864, 0.02578, 0.02356], abs=6e-6)
    late = sell_depths(5, left_s=1.0, **terms)
    assert late.tolist() == pytest.approx([0.01192, 0.00803, 0.00589, 0.00402, 0.00222], abs=6e-6)


def test_quotes_of_the_risk_averse_companion() -> None:
    terms = {"volatility": 0.3, "arrivals_per_s": 0.1, "decay": 0.3, "risk_aversion": 0.05, "leftover": 3.0}
    assert sell_quotes(6, left_s=300.0, **terms).tolist() == pytest.approx(
        [10.609, 7.874, 6.130, 4.808, 3.728, 2.807], abs=6e-4
    )
    assert sell_quotes(6, left_s=inf, **terms).tolist() == pytest.approx(
        [16.147, 11.526, 8.823, 6.905, 5.417, 4.202], abs=6e-4
    )
    assert sell_quotes(3, left_s=0.0, **terms).tolist() == pytest.approx([0.0833] * 3, abs=0.1)
    with pytest.raises(CallerError, match="above zero"):
        sell_quotes(1, left_s=1.0, **(terms | {"volatility": 0.0}))


def test_targets() -> None:
    line = task(10, target_curve=0.0, target_start=4.0)
    assert [line.target(at_s) for at_s in (0.0, 150.0, 300.0)] == [4.0, 7.0, 10.0]
    curve = task(10)
    assert curve.target(0.0) == pytest.approx(0.0)
    assert curve.target(300.0) == 10.0
    assert curve.target(50.0) == pytest.approx(10.0 * (1.0 - np.sinh(5.0) / np.sinh(6.0)))


def test_tasks_without_a_course_are_refused() -> None:
    for wrong in ({"units": 0}, {"horizon_s": 0.0}):
        with pytest.raises(CallerError, match="are no task"):
            msgspec.structs.replace(task(1), **wrong)
    for penalty in ("carry", "tracking", "arrivals_per_s", "target_curve"):
        with pytest.raises(CallerError, match="below zero"):
            msgspec.structs.replace(task(1), **{penalty: -1.0})
    with pytest.raises(CallerError, match="no grid"):
        solve_touch(task(1), gain=0.0, fill_share=1.0, steps=0)
