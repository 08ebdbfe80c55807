"""Which arm a parent gets: the shares, the same parent the same arm, who is left out."""

import json
from collections import Counter
from decimal import Decimal

import pytest

from sor.experiment.assigned import Assigned
from sor.experiment.assignment import arm_of_period, assign
from sor.experiment.definition import Experiment, parse_experiment
from sor.ids import ParentId, Symbol, VenueName
from sor.orders import ParentOrder, Side
from sor.units import NS
from tests.fakes.experiments import buy_or_sell, experiment_text

SIMULATED, BTC = VenueName("simulated"), Symbol("BTCUSDT")
MANY = 4_000
BY_PERIOD = {"by": "period", "period_s": "60", "eligible": {"venues": ["simulated"], "symbols": ["BTCUSDT"]}}


def trial(*shares: str, **fields: object) -> Experiment:
    """Arms a, b, ... of these shares."""
    content = json.loads(experiment_text(*[(f"p{at}", "baseline") for at in range(len(shares))]))
    for arm, share in zip(content["arms"], shares, strict=True):
        arm["share"] = share
    return parse_experiment(json.dumps(content | fields), where="x")


def drawn(
    one: Experiment, number: int, *, stopped: tuple[str, ...] = (), at_s: float = 0.0, **terms: object
) -> Assigned:
    order = buy_or_sell(number, **terms)
    return assign(
        one, order=order, venue=SIMULATED, symbol=BTC, stopped=stopped, since_ns=NS, now_ns=NS + round(at_s * NS)
    )


@pytest.mark.parametrize("shares", [("0.5", "0.5"), ("0.2", "0.3", "0.5"), ("0.9", "0.1")])
def test_arms_get_their_shares_and_each_parent_its_arm_for_good(shares: tuple[str, ...]) -> None:
    one = trial(*shares)
    got = [drawn(one, number) for number in range(MANY)]
    assert got == [drawn(one, number, at_s=9_999.0) for number in range(MANY)]  # after a restart, whenever
    counts = Counter(assigned.arm for assigned in got)
    for arm, share in zip("abc", shares, strict=False):
        p = float(share)
        assert abs(counts[arm] - p * MANY) < 4.0 * (MANY * p * (1 - p)) ** 0.5
    assert {assigned.propensity for assigned in got} == {float(share) for share in shares}


def test_other_salts_and_other_names_draw_other_arms() -> None:
    one = trial("0.5", "0.5")
    for other in (trial("0.5", "0.5", salt=12), trial("0.5", "0.5", name="another")):
        same = sum(drawn(one, number).arm == drawn(other, number).arm for number in range(MANY))
        assert abs(same - MANY / 2) < 4.0 * MANY**0.5 / 2


def test_a_stopped_arm_gets_nobody_and_the_others_share_what_it_had() -> None:
    one = trial("0.2", "0.3", "0.5")
    got = [drawn(one, number, stopped=("c",)) for number in range(MANY)]
    counts = Counter(assigned.arm for assigned in got)
    assert set(counts) == {"a", "b"}
    assert abs(counts["a"] - 0.4 * MANY) < 4.0 * (MANY * 0.24) ** 0.5
    assert dict(got[0].chances) == pytest.approx({"a": 0.4, "b": 0.6})
    alone = drawn(one, 1, stopped=("c", "b"))
    assert (alone.arm, alone.why, alone.propensity) == ("", "fewer than two arms are left", 1.0)


def test_by_period_all_parents_of_a_period_have_one_arm() -> None:
    one = trial("0.5", "0.5", **BY_PERIOD)
    by_period = [{drawn(one, number, at_s=60.0 * period + 3.0).arm for number in range(5)} for period in range(400)]
    assert all(len(arms) == 1 for arms in by_period)
    heads = sum(arms == {"a"} for arms in by_period)
    assert abs(heads - 200) < 4.0 * 10.0
    assert [drawn(one, 1, at_s=at).period for at in (0.0, 59.9, 60.0, 125.0)] == [0, 0, 1, 2]


def test_with_a_lag_a_coin_stands_for_as_many_periods() -> None:
    one = trial("0.5", "0.5", **BY_PERIOD, lag=3)
    arms = [drawn(one, 1, at_s=60.0 * period).arm for period in range(120)]
    assert all(len(set(arms[at : at + 3])) == 1 for at in range(0, 120, 3))
    assert len(set(arms)) == 2
    assert [arm_of_period(one, period) for period in range(120)] == arms


@pytest.mark.parametrize(
    ("eligible", "why"),
    [
        ({}, ""),
        ({"venues": ["bingx"]}, "it trades on simulated"),
        ({"symbols": ["ETHUSDT"]}, "it trades BTCUSDT"),
        ({"side": "buy"}, ""),
        ({"side": "sell"}, "it is a buy"),
        ({"quantity_min": "0.01", "quantity_max": "0.01"}, ""),
        ({"quantity_min": "0.02"}, "0.01 is less than 0.02"),
        ({"quantity_max": "0.005"}, "0.01 is more than 0.005"),
    ],
)
def test_who_takes_part_is_data(eligible: dict[str, object], why: str) -> None:
    assigned = drawn(trial("0.5", "0.5", eligible=eligible), 1)
    assert assigned.why == why
    assert (assigned.arm == "") is bool(why)
    assert ParentOrder(
        parent_id=ParentId("x"), symbol="BTCUSDT", side=Side.BUY, quantity=Decimal(1)
    ).experiment == ""  # fmt: skip
