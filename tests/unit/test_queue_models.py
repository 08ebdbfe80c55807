"""Queue models: the values that hftbacktest gives for the same changes, and the edges that are ours."""

from __future__ import annotations

import pytest

from sor.errors import CallerError
from sor.models.queues import (
    QUEUES,
    Behind,
    Place,
    QueueModel,
    RiskAverse,
    Shared,
    logarithm,
    logarithm_2,
    power,
    power_2,
    power_3,
    queue_model,
)


def front_after(model: QueueModel, *, front: float, prev: int, new: int, traded: int = 0) -> float:
    return model.front_after(front, cum_trade=traded, prev_lots=prev, sizes=[new])


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        (power(1.0), 32.0),
        (power(2.0), 33.8462),
        (power(3.0), 35.4286),
        (logarithm, 30.5078),
        (power_2(1.0), 32.0),
        (power_2(2.0), 27.2),
        (power_2(3.0), 24.32),
        (logarithm_2, 37.8148),
        (power_3(1.0), 32.0),
        (power_3(2.0), 36.8),
        (power_3(3.0), 38.72),
    ],
)
def test_a_cancel_is_shared_as_the_model_says(behind: Behind, expected: float) -> None:
    # 100 displayed, 40 of them ahead of us; 20 are cancelled.
    assert front_after(Shared(behind), front=40.0, prev=100, new=80) == pytest.approx(expected, abs=5e-5)


def test_risk_averse_gives_no_cancel_to_the_front() -> None:
    assert front_after(RiskAverse(), front=40.0, prev=100, new=80) == 40.0


def test_risk_averse_cannot_stand_behind_more_than_is_there() -> None:
    assert front_after(RiskAverse(), front=40.0, prev=100, new=30) == 30.0


def test_those_behind_cancel_no_more_than_they_had() -> None:
    # 5 behind, p = 0.05: of 40 cancelled 2 were behind and 38 ahead.
    assert front_after(Shared(power(1.0)), front=95.0, prev=100, new=60) == pytest.approx(57.0)


@pytest.mark.parametrize("name", list(QUEUES))
def test_a_trade_is_not_counted_again_as_a_cancel(name: str) -> None:
    # 20 traded, then the level shows 20 less: nothing was cancelled.
    place = Place(front=40.0)
    assert place.trade(20) == 0
    place.changes(QUEUES[name], displayed_lots=100, sizes=[80])
    assert (place.front, place.cum_trade) == (20.0, 0)


@pytest.mark.parametrize("name", list(QUEUES))
def test_what_joins_behind_us_does_not_push_us_back(name: str) -> None:
    assert front_after(QUEUES[name], front=40.0, prev=100, new=300) == 40.0


@pytest.mark.parametrize("name", list(QUEUES))
def test_a_level_that_empties_leaves_nobody_ahead(name: str) -> None:
    assert front_after(QUEUES[name], front=60.0, prev=100, new=0) == 0.0


@pytest.mark.parametrize("name", list(QUEUES))
def test_the_front_is_never_less_than_nobody(name: str) -> None:
    # Under power(2) the share of 100 cancelled that falls on the 60 ahead would be 69.2.
    place = Place(front=60.0)
    place.changes(QUEUES[name], displayed_lots=100, sizes=[0, 50])
    assert place.front == 0.0
    assert place.trade(5) == 5


def test_the_log_model_takes_no_more_from_those_ahead_than_they_had() -> None:
    # 2 ahead, 998 behind, 500 cancelled: by the formula 13.7 % of them, 68, were ahead. Carried on below zero, the next
    # change would ask for the logarithm of a negative number (docs/validation.md).
    place = Place(front=2.0)
    place.changes(QUEUES["log"], displayed_lots=1000, sizes=[500, 400])
    assert place.front == 0.0
    assert place.trade(1) == 1


@pytest.mark.parametrize("name", list(QUEUES))
def test_changes_one_by_one_and_together_are_the_same(name: str) -> None:
    together, one_by_one = Place(front=70.0), Place(front=70.0)
    for place in (together, one_by_one):
        place.trade(10)
    sizes = [85, 120, 90, 90, 40, 60]
    together.changes(QUEUES[name], displayed_lots=100, sizes=sizes)
    for before, after in zip([100, *sizes[:-1]], sizes, strict=True):
        one_by_one.changes(QUEUES[name], displayed_lots=before, sizes=[after])
    assert together.front == one_by_one.front


def test_a_trade_serves_those_ahead_first() -> None:
    place = Place(front=10.0)
    assert [place.trade(lots) for lots in (4, 6, 3, 5)] == [0, 0, 3, 5]


def test_half_a_lot_over_is_a_lot() -> None:
    # A share of a cancel is not whole lots; fills are, rounded half away from zero like hftbacktest's.
    assert Place(front=2.5).trade(3) == 1
    assert Place(front=2.6).trade(3) == 0


def test_what_own_orders_ahead_take_does_not_bring_us_forward() -> None:
    # 5 strangers, then our older order of 3, then us: of a trade of 10 it gets 3 and we 2.
    place = Place(front=5.0)
    assert place.trade(10, ours=3) == 2


def test_a_trade_gives_no_more_than_its_size() -> None:
    place = Place(front=-0.4)
    assert place.trade(1) == 1
    assert place.front == 0.0


def test_moderate_is_power_two() -> None:
    assert front_after(QUEUES["moderate"], front=40.0, prev=100, new=80) == pytest.approx(440 / 13)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(CallerError, match="'optimistic' is no queue model; nothing was opened"):
        queue_model("optimistic")
