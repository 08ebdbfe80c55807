from math import e, exp, pi, sqrt

import pytest

from sor.models.latency import latency_cost, shading_deviations

DAY_S = 23_400.0
SIGMA = 1.92 / sqrt(DAY_S)
DELTA = 0.058


@pytest.mark.parametrize(
    ("delay_s", "cost", "off"),
    [(0.5, 0.212, 5e-4), (0.05, 0.0994, 5e-5), (0.005, 0.0391, 5e-5), (0.0005, 0.0144, 5e-5)],
)
def test_the_table_of_the_sheet(delay_s: float, cost: float, off: float) -> None:
    # Methods 1.5, tagged [C]: sigma = 1.92 per day of 23 400 s, delta = 0.058.
    assert latency_cost(volatility=SIGMA, delay_s=delay_s, premium_bps=DELTA) == pytest.approx(cost, abs=off)


def test_the_shading_balances_premium_and_risk() -> None:
    found = shading_deviations(volatility=0.4, delay_s=0.01, premium_bps=1.0)
    assert found is not None
    assert exp(-0.5 * found * found) / sqrt(2 * pi) == pytest.approx(0.4 * 0.1)


def test_a_longer_delay_costs_more_as_far_as_it_is_told() -> None:
    most = 1.0 / (2.0 * pi * e)  # of (sigma sqrt(dt) / delta)^2
    costs = [latency_cost(volatility=1.0, delay_s=most * n / 50, premium_bps=1.0) for n in range(51)]
    told = [cost for cost in costs if cost is not None]
    assert len(told) == 51
    assert told == sorted(told)
    assert told[0] == 0.0
    assert told[-1] == pytest.approx(1.0 / sqrt(2.0 * pi * e))


def test_beyond_its_reach_it_says_nothing() -> None:
    assert latency_cost(volatility=1.0, delay_s=0.06, premium_bps=1.0) is None
    assert latency_cost(volatility=1.0, delay_s=0.01, premium_bps=0.0) is None
    assert latency_cost(volatility=0.0, delay_s=1.0, premium_bps=1.0) == 0.0


def test_only_the_ratio_counts() -> None:
    one = latency_cost(volatility=1.0, delay_s=0.01, premium_bps=1.0)
    assert one is not None
    assert latency_cost(volatility=3.0, delay_s=0.01, premium_bps=3.0) == pytest.approx(one)
    assert latency_cost(volatility=0.5, delay_s=0.04, premium_bps=1.0) == pytest.approx(one)
