from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.models.rule import Gap, break_even, expected_difference_bps, maker_advantage_bps, martingale_gap

PROBABILITIES = st.floats(0.0, 1.0)
COSTS = st.floats(0.01, 50.0)


def test_the_worked_figures_of_the_sheet() -> None:
    # Methods 0, static join for 15 s: p = .795, D = 3.737. Fees of 5 and 2 bps and a spread of a tick, 0.014 bps.
    advantage = maker_advantage_bps(spread_bps=0.014, taker_fee_bps=5.0, maker_fee_bps=2.0)
    found = expected_difference_bps(fill_probability=0.795, advantage_bps=advantage, drift_bps=3.737)
    assert found == pytest.approx(-1.630, abs=5e-4)
    # Taking adverse selection off the advantage as well counts it twice: p AS = (1 - p) D, and -0.863 is what is left.
    selection = 0.205 * 3.737 / 0.795
    twice = expected_difference_bps(fill_probability=0.795, advantage_bps=advantage - selection, drift_bps=3.737)
    assert twice == pytest.approx(-0.863, abs=1.5e-3)


def test_the_advantage_is_all_that_crossing_pays_more() -> None:
    assert maker_advantage_bps(spread_bps=1.5, taker_fee_bps=4.5, maker_fee_bps=-0.5, impact_bps=2.0) == 8.5


@given(PROBABILITIES, COSTS, COSTS)
def test_the_break_even_is_where_the_difference_is_nothing(p: float, advantage: float, drift: float) -> None:
    even = break_even(advantage_bps=advantage, drift_bps=drift)
    at_even = expected_difference_bps(fill_probability=even, advantage_bps=advantage, drift_bps=drift)
    assert at_even == pytest.approx(0.0, abs=1e-12 * (advantage + drift))
    if abs(p - even) > 1e-9:
        cheaper = expected_difference_bps(fill_probability=p, advantage_bps=advantage, drift_bps=drift) < 0.0
        assert cheaper == (p > even)


def test_the_break_even_at_its_edges() -> None:
    assert break_even(advantage_bps=3.0, drift_bps=1.0) == 0.25
    assert break_even(advantage_bps=3.0, drift_bps=0.0) == 0.0
    assert break_even(advantage_bps=3.0, drift_bps=-0.1) == -inf
    assert break_even(advantage_bps=3.0, drift_bps=-5.0) == -inf
    assert break_even(advantage_bps=0.0, drift_bps=1.0) == inf
    assert break_even(advantage_bps=-1.0, drift_bps=-2.0) == inf


def gap_of(filled: NDArray[np.bool_], moves: NDArray[np.float64]) -> Gap:
    """The identity for a sample of orders: whether each was filled, and the adverse move of the mid since."""
    unfilled = moves[~filled]
    return martingale_gap(
        orders=len(moves),
        fill_probability=float(filled.mean()),
        selection_bps=-float(moves[filled].mean()),
        drift_bps=float(unfilled.mean()),
        selection_se_bps=float(moves[filled].std() / np.sqrt(filled.sum())),
        drift_se_bps=float(unfilled.std() / np.sqrt(len(unfilled))),
    )


def test_the_gap_is_the_mean_move_with_its_own_error() -> None:
    rng = np.random.default_rng(1)
    moves = rng.normal(0.3, 2.0, 400)
    filled = moves + rng.normal(0.0, 1.0, 400) < 0.5
    found = gap_of(filled, moves)
    assert found.bps == pytest.approx(-moves.mean())
    # Variances within and between the two groups add up to the variance of all.
    assert found.se_bps == pytest.approx(moves.std() / 20.0)


def test_a_martingale_passes_and_dropped_orders_do_not() -> None:
    rng = np.random.default_rng(2)
    noise = 0
    for _ in range(200):
        moves = rng.normal(0.0, 2.0, 300)
        noise += gap_of(moves + rng.normal(0.0, 1.0, 300) < 0.5, moves).is_noise
    assert noise >= 197
    moves = rng.normal(0.0, 2.0, 2_000)
    filled = moves < 0.5
    kept = filled | (rng.random(2_000) < 0.3)
    assert not gap_of(filled[kept], moves[kept]).is_noise


def test_a_gap_is_judged_both_ways() -> None:
    assert Gap(2.9, 1.0).is_noise
    assert Gap(-2.9, 1.0).is_noise
    assert not Gap(3.1, 1.0).is_noise
    assert not Gap(-3.1, 1.0).is_noise


@pytest.mark.parametrize(("orders", "p"), [(0.0, 0.5), (-1.0, 0.5), (10.0, -0.1), (10.0, 1.1)])
def test_a_gap_of_nothing_is_refused(orders: float, p: float) -> None:
    with pytest.raises(CallerError, match="nothing was computed"):
        martingale_gap(
            orders=orders,
            fill_probability=p,
            selection_bps=1.0,
            drift_bps=1.0,
            selection_se_bps=0.1,
            drift_se_bps=0.1,
        )
