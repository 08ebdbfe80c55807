"""A taking order over venues with concave impact: equal venues, dear ones, and the conditions of the optimum."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.models.venue_split import in_whole_lots, split_taking

VENUES = st.lists(st.tuples(st.floats(-2.0, 10.0), st.floats(0.01, 5.0)), min_size=1, max_size=6)


def cost(taken: NDArray[np.float64], touch: NDArray[np.float64], impact: NDArray[np.float64]) -> float:
    return float((touch * taken + impact * taken**1.5).sum())


def test_equal_venues_get_equal_parts() -> None:
    found = split_taking(12.0, touch=np.full(3, 5.0), impact=np.full(3, 0.2))
    assert found.tolist() == pytest.approx([4.0, 4.0, 4.0])


def test_a_venue_that_is_dear_at_its_first_unit_gets_nothing() -> None:
    # Two venues with marginal cost 1 + 1.5 sqrt(4) = 4 for 8 units: a third is used only below that.
    two = split_taking(8.0, touch=np.array([1.0, 1.0, 4.01]), impact=np.ones(3))
    assert two.tolist() == pytest.approx([4.0, 4.0, 0.0])
    three = split_taking(8.0, touch=np.array([1.0, 1.0, 3.9]), impact=np.ones(3))
    assert three[2] > 0.0


@given(venues=VENUES, total=st.floats(0.0, 1e4))
def test_marginal_costs_are_one_where_something_is_taken(venues: list[tuple[float, float]], total: float) -> None:
    touch, impact = (np.array(column) for column in zip(*venues, strict=True))
    taken = split_taking(total, touch=touch, impact=impact)
    assert float(taken.min()) >= 0.0
    assert float(taken.sum()) == pytest.approx(total)
    marginal = touch + 1.5 * impact * np.sqrt(taken)
    used = taken > 1e-6 * max(total, 1.0)
    if used.any():
        assert float(np.ptp(marginal[used])) < 1e-3 * max(1.0, float(marginal.max()))
        assert float(marginal[~used].min(initial=np.inf)) >= float(marginal[used].min()) - 1e-2
    more = split_taking(total + 1.0, touch=touch, impact=impact)
    assert bool((more >= taken - 1e-6 * max(total, 1.0)).all())  # no venue gets less of a larger order


def test_it_is_cheaper_than_by_hand() -> None:
    touch, impact = np.array([1.0, 2.0, 2.5]), np.array([0.5, 0.1, 0.9])
    best = cost(split_taking(100.0, touch=touch, impact=impact), touch, impact)
    for other in ([100.0, 0.0, 0.0], [0.0, 100.0, 0.0], [20.0, 78.0, 2.0], [10.0, 88.0, 2.0], [5.0, 94.0, 1.0]):
        assert best <= cost(np.array(other), touch, impact) + 1e-9


def test_whole_lots_by_largest_remainder() -> None:
    assert in_whole_lots(np.array([1.0, 1.0, 1.0]), total_lots=10) == (4, 3, 3)
    assert in_whole_lots(np.array([5.4, 3.9, 0.7]), total_lots=10) == (5, 4, 1)
    assert in_whole_lots(np.array([0.0, 2.0]), total_lots=7) == (0, 7)
    assert in_whole_lots(np.array([0.3, 0.3]), total_lots=0) == (0, 0)


@given(quantities=st.lists(st.floats(0.01, 1e6), min_size=1, max_size=8), lots=st.integers(0, 10**9))
def test_whole_lots_add_up_and_are_within_one(quantities: list[float], lots: int) -> None:
    shares = np.array(quantities)
    found = in_whole_lots(shares, total_lots=lots)
    assert sum(found) == lots
    assert float(np.abs(np.array(found) - shares * (lots / shares.sum())).max()) < 1.0 + 1e-6


def test_what_cannot_be_split_is_refused() -> None:
    one = np.ones(1)
    for total, touch, impact in (
        (-1.0, one, one),
        (1.0, one, np.zeros(1)),
        (1.0, np.ones(2), one),
        (1.0, one[:0], one[:0]),
    ):
        with pytest.raises(CallerError, match="cannot be split"):
            split_taking(total, touch=touch, impact=impact)
    for quantities, lots in ((np.zeros(2), 1), (np.array([1.0, -1.0]), 1), (one, -1)):
        with pytest.raises(CallerError, match="cannot be shared"):
            in_whole_lots(quantities, total_lots=lots)
