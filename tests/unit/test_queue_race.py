"""Which queue empties first: the sheet's values, and what must hold for any two queues."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sor.errors import CallerError
from sor.models.queue_race import ORDERS_MAX, up_first, up_first_limit

# methods 2.2
VALUES = {
    (1, 1): 0.5,
    (1, 2): 0.3023,
    (2, 1): 0.6977,
    (3, 1): 0.7906,
    (5, 2): 0.7560,
    (10, 5): 0.7044,
    (20, 5): 0.8439,
}


@pytest.mark.parametrize(("bid", "ask"), VALUES)
def test_values_of_the_sheet(bid: int, ask: int) -> None:
    assert up_first(bid=bid, ask=ask) == pytest.approx(VALUES[bid, ask], abs=5e-5)


@pytest.mark.parametrize(("correlation", "value"), [(0.0, 0.7048), (-0.5, 0.6816), (-0.9, 0.6692)])
def test_the_limit_of_large_queues(correlation: float, value: float) -> None:
    assert up_first_limit(bid=10.0, ask=5.0, correlation=correlation) == pytest.approx(value, abs=5e-5)


@given(bid=st.integers(1, 60), ask=st.integers(1, 60))
def test_up_or_down_and_the_walk_leads_on(bid: int, ask: int) -> None:
    assert up_first(bid=bid, ask=ask) + up_first(bid=ask, ask=bid) == pytest.approx(1.0, abs=1e-12)
    # The next event is one of four that are as likely: the probability is the mean over what they lead to.
    down = up_first(bid=bid - 1, ask=ask) if bid > 1 else 0.0
    up = up_first(bid=bid, ask=ask - 1) if ask > 1 else 1.0
    onward = (down + up + up_first(bid=bid + 1, ask=ask) + up_first(bid=bid, ask=ask + 1)) / 4.0
    assert up_first(bid=bid, ask=ask) == pytest.approx(onward, abs=1e-12)


@pytest.mark.parametrize(("bid", "ask"), [(200, 100), (2_000, 1_000), (300, 4_700), (ORDERS_MAX, ORDERS_MAX)])
def test_large_queues_come_to_their_limit(bid: int, ask: int) -> None:
    assert up_first(bid=bid, ask=ask) == pytest.approx(up_first_limit(bid=bid, ask=ask), abs=1e-4)


@given(bid=st.floats(0.0, 1e6), ask=st.floats(1e-3, 1e6), correlation=st.floats(-1.0, 0.99))
def test_the_limit_has_no_unit_and_no_side(bid: float, ask: float, correlation: float) -> None:
    found = up_first_limit(bid=bid, ask=ask, correlation=correlation)
    assert 0.0 <= found <= 1.0
    assert found + up_first_limit(bid=ask, ask=bid, correlation=correlation) == pytest.approx(1.0)
    assert up_first_limit(bid=7.0 * bid, ask=7.0 * ask, correlation=correlation) == pytest.approx(found)


def test_opposite_flows_make_it_the_share_of_the_bid() -> None:
    exact = float(Fraction(3, 4))
    assert up_first_limit(bid=3.0, ask=1.0, correlation=-1.0) == exact
    assert up_first_limit(bid=3.0, ask=1.0, correlation=-1.0 + 1e-9) == pytest.approx(exact, abs=1e-6)


def test_queues_that_cannot_be_are_refused() -> None:
    for bid, ask in ((0, 1), (1, 0), (1, ORDERS_MAX + 1)):
        with pytest.raises(CallerError, match="use the limit"):
            up_first(bid=bid, ask=ask)
    for left, right, correlation in ((-1.0, 2.0, 0.0), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (1.0, 1.0, -1.1)):
        with pytest.raises(CallerError, match="no first to be empty"):
            up_first_limit(bid=left, ask=right, correlation=correlation)
