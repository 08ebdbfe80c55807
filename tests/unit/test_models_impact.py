from math import exp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sor.models.impact import (
    Impact,
    Walk,
    almgren_cost,
    fill_rate,
    impact_bps,
    paid_bps,
    peak_bps,
    refill_blocks,
    refill_cost,
    refill_cost_even,
    resting_move_ticks,
    walk,
)
from sor.orders import Side

# --- the book, walked -------------------------------------------------------------------------------------------------

ASKS = ((10_001, 5), (10_003, 10), (10_010, 20))
BIDS = ((9_999, 5), (9_997, 10), (9_990, 20))


@pytest.mark.parametrize(("side", "ladder"), [(Side.BUY, ASKS), (Side.SELL, BIDS)])
def test_a_walk_by_hand_on_either_side(side: Side, ladder: tuple[tuple[int, int], ...]) -> None:
    # 5 at 1 tick from the mid, 10 at 3, 5 at 10: 85 tick-lots over 20 lots, in ticks of a basis point.
    found = walk(side, ladder, want_lots=20, mid_hticks=20_000)
    assert found == Walk(4.25, 20, 0)
    assert walk(side, ladder, want_lots=5, mid_hticks=20_000) == Walk(1.0, 5, 0)


def test_a_book_that_ends_says_how_much_is_missing() -> None:
    assert walk(Side.BUY, ASKS, want_lots=50, mid_hticks=20_000) == Walk(235 / 35, 35, 15)
    assert walk(Side.BUY, (), want_lots=50, mid_hticks=20_000) == Walk(0.0, 0, 50)


@given(st.integers(1, 40), st.integers(1, 40))
def test_more_costs_more(one: int, other: int) -> None:
    costs = [walk(Side.SELL, BIDS, want_lots=lots, mid_hticks=20_000).cost_bps for lots in sorted((one, other))]
    assert costs == sorted(costs)


# --- the square-root law ----------------------------------------------------------------------------------------------


def test_the_square_root_example_of_the_sheet() -> None:
    # Methods 4, tagged [C]: 2.5 % a day, a thousandth of the volume, Y = 1.
    assert peak_bps(volatility_bps=250.0, share=1e-3, coefficient=1.0) == pytest.approx(7.91, abs=5e-3)
    assert paid_bps(volatility_bps=250.0, share=1e-3, coefficient=1.0) == pytest.approx(5.27, abs=5e-3)


@given(st.floats(0.1, 1.0))
def test_what_is_paid_is_the_mean_of_the_law_along_its_path(exponent: float) -> None:
    shares = (np.arange(2_000) + 0.5) / 2_000 * 0.01
    path = [peak_bps(volatility_bps=80.0, share=float(share), coefficient=0.7, exponent=exponent) for share in shares]
    paid = paid_bps(volatility_bps=80.0, share=0.01, coefficient=0.7, exponent=exponent)
    assert paid == pytest.approx(np.mean(path), rel=2e-3)


@given(st.floats(0.01, 100.0))
def test_the_period_of_the_square_root_law_does_not_matter(periods: float) -> None:
    # Volatility grows with the root of time, volume with time.
    one = peak_bps(volatility_bps=80.0, share=1e-3, coefficient=1.0)
    other = peak_bps(volatility_bps=80.0 * periods**0.5, share=1e-3 / periods, coefficient=1.0)
    assert other == pytest.approx(one)


def test_an_expected_impact_has_the_interval_of_its_coefficient() -> None:
    found = impact_bps(
        volatility_bps=250.0,
        share=1e-3,
        coefficient=0.667,
        coefficient_low=0.4,
        coefficient_high=0.9,
        exponent=0.5,
    )
    scale = 250.0 * 1e-3**0.5
    assert found == Impact(0.667 * scale, low_bps=0.4 * scale, high_bps=0.9 * scale)


# --- Almgren, Thum, Hauptmann, Li 2005 --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("volume", "shares", "volatility", "turnover", "permanent", "rows"),
    [
        (6.561, 1728.0, 157.0, 263, 20, [(0.1, 22, 32), (0.2, 15, 25), (0.5, 8, 18)]),  # IBM
        (1.929, 168.0, 226.0, 87, 22, [(0.1, 32, 43), (0.2, 21, 32), (0.5, 12, 23)]),  # DRI
    ],
)
def test_the_published_table(
    volume: float,
    shares: float,
    volatility: float,
    turnover: int,
    permanent: int,
    rows: list[tuple[float, int, int]],
) -> None:
    # Methods 4, tagged [R]: a tenth of a day's volume over a part of a day; whole basis points are printed.
    assert round(shares / volume) == turnover
    for duration, temporary, cost in rows:
        found = almgren_cost(
            volatility_bps=volatility, share=0.1, duration_days=duration, turnover_days=shares / volume
        )
        assert (round(found.permanent_bps), round(found.temporary_bps), round(found.cost_bps)) == (
            permanent,
            temporary,
            cost,
        )


def test_the_published_table_in_volatilities() -> None:
    for turnover, permanent in ((1728.0 / 6.561, 0.126), (168.0 / 1.929, 0.096)):
        found = almgren_cost(volatility_bps=1.0, share=0.1, duration_days=1.0, turnover_days=turnover)
        assert found.permanent_bps == pytest.approx(permanent, abs=6e-4)
    for duration, temporary in ((0.1, 0.142), (0.2, 0.094), (0.5, 0.054)):
        found = almgren_cost(volatility_bps=1.0, share=0.1, duration_days=duration)
        assert found.temporary_bps == pytest.approx(temporary, abs=6e-4)


# --- Obizhaeva, Wang 2013 ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resilience", "block"), [(1, 33_333), (2, 25_000), (4, 16_667), (10, 8_333), (20, 4_545), (300, 331)]
)
def test_the_published_blocks(resilience: float, block: int) -> None:
    # Methods 4, tagged [R]: 100 000 over one unit of time.
    found = refill_blocks(lots=100_000.0, resilience=resilience, duration_s=1.0)
    assert round(found.end_lots) == block
    assert 2 * found.end_lots + found.between_lots_per_s == pytest.approx(100_000.0)


@pytest.mark.parametrize(("reach", "ratio"), [(1.0, 0.9061), (2.0, 0.8808), (5.0, 0.8914), (20.0, 0.9569)])
def test_the_published_cost_ratios(reach: float, ratio: float) -> None:
    best = refill_cost(lots=7.0, resilience=reach / 3.0, duration_s=3.0, displacement=0.2)
    even = refill_cost_even(lots=7.0, resilience=reach / 3.0, duration_s=3.0, displacement=0.2)
    assert best / even == pytest.approx(ratio, abs=5e-5)


def test_the_costs_are_those_of_the_schedules() -> None:
    # Both schedules in 2001 steps, each lot paying half its own displacement and what is left of those before.
    steps, reach = 2_001, 4.0
    times = np.linspace(0.0, 1.0, steps)
    left = np.exp(-reach * np.abs(times[:, np.newaxis] - times))
    blocks = refill_blocks(lots=1.0, resilience=reach, duration_s=1.0)
    best = np.full(steps, blocks.between_lots_per_s / (steps - 1))
    best[[0, -1]] = blocks.end_lots + 0.5 * blocks.between_lots_per_s / (steps - 1)
    even = np.full(steps, 1.0 / steps)
    for schedule, cost in ((best, refill_cost), (even, refill_cost_even)):
        expected = cost(lots=1.0, resilience=reach, duration_s=1.0, displacement=2.0)
        assert float(schedule @ left @ schedule) == pytest.approx(expected, rel=1e-3)


def test_a_book_that_does_not_refill_costs_the_same_however_it_is_traded() -> None:
    for reach in (0.0, 1e-9, 1e-5):
        even = refill_cost_even(lots=3.0, resilience=reach, duration_s=1.0, displacement=1.0)
        assert even == pytest.approx(4.5, rel=1e-5)
        assert refill_cost(lots=3.0, resilience=reach, duration_s=1.0, displacement=1.0) == pytest.approx(4.5, rel=1e-5)


def test_the_even_cost_is_continuous_where_its_form_changes() -> None:
    costs = [
        refill_cost_even(lots=1.0, resilience=reach, duration_s=1.0, displacement=1.0)
        for reach in (0.000_999_999, 0.001_000_001)
    ]
    assert costs[0] == pytest.approx(costs[1], abs=1e-9)
    exact = (2e-2 - 1 + exp(-2e-2)) / 4e-4
    assert refill_cost_even(lots=1.0, resilience=2e-2, duration_s=1.0, displacement=1.0) == pytest.approx(exact)


# --- size that rests --------------------------------------------------------------------------------------------------


def test_resting_size_moves_the_mid_as_order_flow_does() -> None:
    # OFI / (2 depth) with 30 shown among 90 in all.
    assert resting_move_ticks(own_lots=30.0, depth_lots=60.0, coefficient=1.0) == pytest.approx(30 / 180)
    assert resting_move_ticks(own_lots=30.0, depth_lots=60.0, coefficient=0.0) == 0.0
    assert resting_move_ticks(own_lots=0.0, depth_lots=0.0, coefficient=1.0) == 0.0


@given(st.floats(0.0, 1e6), st.floats(0.0, 1e6), st.floats(1.0, 1e6))
def test_more_size_moves_it_more_and_never_by_half_a_tick(own: float, more: float, depth: float) -> None:
    one = resting_move_ticks(own_lots=own, depth_lots=depth, coefficient=1.0)
    other = resting_move_ticks(own_lots=own + more, depth_lots=depth, coefficient=1.0)
    assert 0.0 <= one <= other < 0.5
    assert resting_move_ticks(own_lots=own, depth_lots=depth + more, coefficient=1.0) <= one


def test_own_size_waits_for_its_own_fills_too() -> None:
    assert fill_rate(flow_lots_per_s=12.0, ahead_lots=50.0, own_lots=10.0) == 0.2
    assert fill_rate(flow_lots_per_s=12.0, ahead_lots=0.0, own_lots=60.0) == 0.2
