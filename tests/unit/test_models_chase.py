from itertools import product
from math import inf

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sor.errors import CallerError
from sor.models.chase import ChaseTable, ChaseTerms, Move, cadence_s, chases_max, repeg_now, solve_chase
from sor.models.rule import maker_advantage_bps
from sor.models.timeout import competing_exits_bps

TERMS = ChaseTerms(
    tick_bps=0.5,
    spread_bps=0.5,
    walk_bps=0.0,
    taker_fee_bps=5.0,
    maker_fee_bps=2.0,
    repeg_bps=0.0,
    advance_rate=0.5,
    away_rate=0.2,
    return_rate=0.3,
    back=3,
    ahead_kept=0,
)
LONG_S = 400.0


def terms(**changes: float) -> ChaseTerms:
    return msgspec.structs.replace(TERMS, **changes)


def solved(given_terms: ChaseTerms, *, left_s: float = LONG_S, step_s: float = 0.2, away_max: int = 6) -> ChaseTable:
    return solve_chase(given_terms, left_s=left_s, step_s=step_s, away_max=away_max)


# --- the recursion ----------------------------------------------------------------------------------------------------


def test_without_time_everything_is_crossed() -> None:
    table = solved(TERMS, left_s=10.0)
    for away, ahead in product(range(7), range(4)):
        assert table.move(left_s=0.0, away=away, ahead=ahead) is Move.CROSS
        assert table.cost(left_s=0.0, away=away, ahead=ahead) == pytest.approx(0.5 * away + 0.25 + 5.0)


def test_one_step_by_hand() -> None:
    # At the front a step of .2 s fills with .1 (-.25 + 2), leaves with .04 (5.25 + .5), and else is crossed at 5.25.
    table = solved(TERMS, left_s=0.2)
    assert table.cost(left_s=0.2, away=0, ahead=0) == pytest.approx(0.1 * 1.75 + 0.04 * 5.75 + 0.86 * 5.25)
    assert table.move(left_s=0.2, away=0, ahead=0) is Move.HOLD
    # With others ahead a step only loses, and the order is crossed at once.
    assert table.cost(left_s=0.2, away=0, ahead=2) == pytest.approx(5.25)
    assert table.move(left_s=0.2, away=0, ahead=2) is Move.CROSS
    # A tick behind: back with .06, on with .04, the first step of a new order is worth nothing.
    assert table.cost(left_s=0.2, away=1, ahead=0) == pytest.approx(5.75 + 0.06 * -0.5 + 0.04 * 0.5)


def test_with_time_the_touch_is_two_competing_exits() -> None:
    # At the front, where following is forbidden by its price and the touch never returns: methods 6.2 (c) with the loss
    # of a tick.
    found = solved(terms(repeg_bps=99.0, return_rate=0.0)).cost(left_s=LONG_S, away=0, ahead=0)
    advantage = maker_advantage_bps(spread_bps=0.5, taker_fee_bps=5.0, maker_fee_bps=2.0)
    saved = competing_exits_bps(fill_rate=0.5, away_rate=0.2, advantage_bps=advantage, loss_bps=0.5)
    assert found == pytest.approx(5.25 + saved, abs=1e-9)


def test_more_time_and_a_better_place_never_cost_more() -> None:
    table = solved(TERMS)
    assert (np.diff(table.cost_bps, axis=0) <= 1e-12).all()
    assert (np.diff(table.cost_bps, axis=1) >= -1e-12).all()
    assert (np.diff(table.cost_bps, axis=2) >= -1e-12).all()


def test_no_cost_is_above_crossing_or_below_a_fill() -> None:
    costs = solved(TERMS).cost_bps
    crossing = 5.25 + 0.5 * np.arange(7)[:, np.newaxis]
    assert (costs <= crossing + 1e-12).all()
    assert (costs >= 1.75 - 1e-12).all()


@pytest.mark.parametrize("repeg_bps", [0.0, 0.3])
@pytest.mark.parametrize("ahead_kept", [0, 3])
def test_an_order_at_the_touch_is_never_repegged(repeg_bps: float, ahead_kept: int) -> None:
    # The same price, and a place in the queue lost: the first shortcut of methods 6.4.
    table = solved(terms(repeg_bps=repeg_bps, ahead_kept=ahead_kept))
    assert not (table.moves[:, 0] == list(Move).index(Move.REPEG)).any()


def test_what_it_decides_is_what_the_market_is() -> None:
    # The touch does not come back: follow. It always does: stay. Following costs more than it can save: cross.
    assert solved(terms(return_rate=0.0)).move(left_s=LONG_S, away=1, ahead=0) is Move.REPEG
    assert solved(terms(return_rate=3.0, away_rate=0.01)).move(left_s=LONG_S, away=1, ahead=0) is Move.HOLD
    assert solved(terms(return_rate=0.0, repeg_bps=4.0)).move(left_s=LONG_S, away=1, ahead=0) is Move.CROSS


def test_an_order_that_stays_behind_is_ahead_of_those_who_left() -> None:
    costs = [
        solved(terms(repeg_bps=99.0, ahead_kept=kept)).cost(left_s=LONG_S, away=0, ahead=3) for kept in (0, 1, 2, 3)
    ]
    assert costs == sorted(costs)
    assert costs[0] < costs[1] < costs[3]


def test_a_finer_grid_says_the_same() -> None:
    coarse, fine = (solve_chase(TERMS, left_s=20.0, step_s=step, away_max=6) for step in (0.1, 0.025))
    for away, ahead in product(range(4), range(4)):
        costs = [table.cost(left_s=20.0, away=away, ahead=ahead) for table in (coarse, fine)]
        assert costs[0] == pytest.approx(costs[1], abs=0.02)


def test_beyond_the_table_its_edge_counts() -> None:
    table = solved(TERMS, left_s=10.0, away_max=2)
    assert table.cost(left_s=99.0, away=9, ahead=9) == table.cost(left_s=10.0, away=2, ahead=3)


@pytest.mark.parametrize(
    ("left_s", "step_s", "away_max"), [(10.0, 0.0, 2), (0.1, 0.2, 2), (1e9, 0.1, 2), (10.0, 0.1, 0)]
)
def test_a_grid_that_is_none_is_refused(left_s: float, step_s: float, away_max: int) -> None:
    with pytest.raises(CallerError, match="nothing was computed"):
        solve_chase(TERMS, left_s=left_s, step_s=step_s, away_max=away_max)


def test_a_step_in_which_too_much_happens_is_refused() -> None:
    with pytest.raises(CallerError, match="shorter than the time to the next event"):
        solve_chase(terms(advance_rate=9.0), left_s=10.0, step_s=0.2, away_max=2)


# --- the shortcuts ----------------------------------------------------------------------------------------------------


def shortcut(given_terms: ChaseTerms, table: ChaseTable, *, away: int) -> bool:
    """The shortcut, with the values that the exact answer has long before the end."""
    return repeg_now(
        away=away,
        tick_bps=given_terms.tick_bps,
        repeg_bps=given_terms.repeg_bps,
        back_bps=table.cost(left_s=LONG_S, away=0, ahead=given_terms.back),
        front_bps=table.cost(left_s=LONG_S, away=away - 1, ahead=0),
        further_bps=table.cost(left_s=LONG_S, away=away + 1, ahead=0),
        return_rate=given_terms.return_rate,
        away_rate=given_terms.away_rate,
    )


def test_repegging_now_agrees_with_the_exact_answer() -> None:
    seen = {Move.HOLD: 0, Move.REPEG: 0}
    for back_rate, away_rate, repeg_bps, tick_bps in product(
        (0.0, 0.02, 0.1, 0.5, 2.0), (0.02, 0.1, 0.5), (0.0, 0.1, 0.4), (0.05, 0.5)
    ):
        one = terms(return_rate=back_rate, away_rate=away_rate, repeg_bps=repeg_bps, tick_bps=tick_bps)
        table = solved(one, step_s=0.4)
        for away in (1, 2):
            move = table.move(left_s=LONG_S, away=away, ahead=0)
            if move is not Move.CROSS:
                assert shortcut(one, table, away=away) == (move is Move.REPEG), (one, away)
                seen[move] += 1
    assert min(seen.values()) > 20, seen


def test_the_same_price_is_never_a_chase() -> None:
    costs = {"back_bps": -1.0, "front_bps": 5.0, "further_bps": 9.0}
    rates = {"return_rate": 1.0, "away_rate": 1.0}
    assert not repeg_now(away=0, tick_bps=0.5, repeg_bps=0.0, **costs, **rates)
    assert repeg_now(away=1, tick_bps=0.5, repeg_bps=0.0, **costs, **rates)


def test_a_touch_that_stands_still_is_not_chased_for_what_it_may_do() -> None:
    assert not repeg_now(
        away=1,
        tick_bps=0.5,
        repeg_bps=0.0,
        back_bps=2.0,
        front_bps=2.0,
        further_bps=9.0,
        return_rate=0.0,
        away_rate=0.0,
    )


@pytest.mark.parametrize(
    ("rtt_s", "requests", "dwell_s", "expected"),
    [(0.3, 5.0, 0.1, 0.6), (0.05, 5.0, 0.1, 0.2), (0.05, 20.0, 0.7, 0.7), (0.05, 0.0, 0.7, inf)],
)
def test_the_cadence_is_bounded_by_the_slowest_of_three(
    rtt_s: float, requests: float, dwell_s: float, expected: float
) -> None:
    assert cadence_s(rtt_s=rtt_s, requests_per_s=requests, dwell_s=dwell_s) == pytest.approx(expected)


def test_a_plan_to_follow_pays_as_long_as_there_are_chases_left() -> None:
    # A touch that surely runs c ticks and then surely fills us: c (tick + c_rep) - S/2 + f_M against S/2 + f_T.
    one = terms(tick_bps=0.4, repeg_bps=0.3)
    most = chases_max(advantage_bps=one.cross_bps - one.fill_bps, tick_bps=0.4, repeg_bps=0.3)
    assert most == 4  # A = 3.5, five would use up all of it
    for chases in range(1, 9):
        followed = chases * (0.4 + 0.3) + one.fill_bps
        assert (followed < one.cross_bps - 1e-9) == (chases <= most)


@given(st.floats(-2.0, 20.0), st.floats(0.01, 3.0), st.floats(0.0, 3.0))
def test_the_most_chases_are_the_most_that_pay(advantage: float, tick: float, repeg: float) -> None:
    most = chases_max(advantage_bps=advantage, tick_bps=tick, repeg_bps=repeg)
    each = tick + repeg
    assert most == 0 or most * each < advantage * (1 + 1e-12)
    assert (most + 1) * each >= advantage * (1 - 1e-12)
