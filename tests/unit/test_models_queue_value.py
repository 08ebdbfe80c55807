import pytest
from hypothesis import given
from hypothesis import strategies as st

from sor.models.queue_value import fill_chance, forfeit_bps, queue_value_bps


def chance(ahead: float, *, decay: float = 0.1) -> float:
    return fill_chance(ahead=ahead, through_probability=0.3, trade_rate=2.0, jump_rate=0.25, decay=decay)


def test_the_chance_falls_to_that_of_the_price_coming_through() -> None:
    assert chance(0.0) == pytest.approx(0.3 + 0.7 * 0.8)  # a trade comes before a jump either way: 2 / 2.5
    assert chance(1e6) == pytest.approx(0.3)
    assert chance(5.0, decay=0.0) == chance(0.0)


@given(st.floats(0.0, 1e3), st.floats(0.0, 1e3))
def test_no_place_is_better_for_more_ahead_of_it(one: float, more: float) -> None:
    assert 0.3 <= chance(one + more) <= chance(one) <= 1.0


def test_a_place_by_hand() -> None:
    assert queue_value_bps(fill_probability=0.6, premium_bps=0.5, selection_bps=0.1) == pytest.approx(0.2)
    front = queue_value_bps(fill_probability=chance(0.0), premium_bps=0.5, selection_bps=0.1)
    back = queue_value_bps(fill_probability=chance(40.0), premium_bps=0.5, selection_bps=0.1)
    assert forfeit_bps(now_bps=front, back_bps=back) == pytest.approx(front - back)
    assert forfeit_bps(now_bps=back, back_bps=back) == 0.0
    assert forfeit_bps(now_bps=back, back_bps=front) == 0.0
