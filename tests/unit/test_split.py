"""One order split into crossing and resting parts: closed forms, the table of five venues, and rule (2)."""

from math import exp, lgamma, log
from statistics import NormalDist

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.models.split import (
    Outflow,
    Split,
    SplitPrices,
    WeibullOutflow,
    expected_cost,
    expected_fill,
    mean_cost,
    mean_slope,
    rest_quantity,
    split_over_venues,
)

Matrix = NDArray[np.float64]
PRICES = SplitPrices(half_spread=0.02, taker_fee=0.003, under=0.026, over=0.024, impact=0.0005)
TARGET, QUEUE, REBATE = 1000.0, 2000.0, 0.002


class Poisson(msgspec.Struct, frozen=True):
    """The law of the sheet's table, by its sum."""

    mean: float

    def cdf(self, x: float) -> float:
        return sum(exp(k * log(self.mean) - self.mean - lgamma(k + 1)) for k in range(int(x) + 1))

    def inv_cdf(self, p: float) -> float:
        total, k = 0.0, -1
        while total < p:
            k += 1
            total += exp(k * log(self.mean) - self.mean - lgamma(k + 1))
        return float(k)


POISSON = Poisson(2200.0)


def rest(prices: SplitPrices, outflow: Outflow) -> float:
    return rest_quantity(prices, target=TARGET, queue=QUEUE, rebate=REBATE, outflow=outflow)


def cost(prices: SplitPrices, limit: float, outflow: Outflow) -> float:
    return expected_cost(prices, target=TARGET, limit=limit, queue=QUEUE, rebate=REBATE, outflow=outflow)


@pytest.mark.parametrize(("impact", "limit", "value"), [(0.0, 272.0, 14.28), (0.0005, 269.0, 14.82)])
def test_one_venue_of_the_paper(impact: float, limit: float, value: float) -> None:
    prices = msgspec.structs.replace(PRICES, impact=impact)
    assert rest(prices, POISSON) == limit
    assert cost(prices, limit, POISSON) == pytest.approx(value, abs=0.01)
    assert cost(prices, limit, POISSON) < min(cost(prices, limit - 30, POISSON), cost(prices, limit + 30, POISSON))


@pytest.mark.parametrize(("under", "limit"), [(0.03, 1000.0), (0.04, 800.5), (0.05, 132.7), (0.06, 0.0)])
def test_one_venue_with_an_exponential_outflow(under: float, limit: float) -> None:
    prices = msgspec.structs.replace(PRICES, under=under)
    assert rest(prices, WeibullOutflow(2200.0)) == pytest.approx(limit, abs=0.06)


@pytest.mark.parametrize(("under", "limit"), [(0.03, 733.8), (0.04, 491.4), (0.06, 257.1), (0.12, 0.0)])
def test_one_venue_with_a_normal_outflow(under: float, limit: float) -> None:
    prices = msgspec.structs.replace(PRICES, under=under)
    assert rest(prices, NormalDist(2200.0, 500.0)) == pytest.approx(limit, abs=0.06)


@given(
    under=st.floats(0.021, 0.3),
    mean=st.floats(1.0, 20_000.0),
    shape=st.floats(0.4, 5.0),
    queue=st.floats(0.0, 5000.0),
    rebate=st.floats(-0.01, 0.01),
)
def test_no_other_split_of_one_venue_is_cheaper(
    under: float, mean: float, shape: float, queue: float, rebate: float
) -> None:
    prices, outflow = msgspec.structs.replace(PRICES, under=under), WeibullOutflow(mean, shape)
    best = rest_quantity(prices, target=TARGET, queue=queue, rebate=rebate, outflow=outflow)
    assert 0.0 <= best <= TARGET
    costs = [
        expected_cost(prices, target=TARGET, limit=limit, queue=queue, rebate=rebate, outflow=outflow)
        for limit in (best, *np.linspace(0.0, TARGET, 21).tolist())
    ]
    assert costs[0] <= min(costs) + 1e-3


def test_what_is_missing_costs_more_the_less_rests() -> None:
    dear = [
        rest(msgspec.structs.replace(PRICES, under=under), WeibullOutflow(2200.0, 2.0)) for under in (0.03, 0.05, 1.0)
    ]
    assert dear[0] > dear[1] > dear[2] == 0.0
    no_gain = msgspec.structs.replace(PRICES, half_spread=0.0, taker_fee=0.0)
    assert rest_quantity(no_gain, target=TARGET, queue=0.0, rebate=-0.01, outflow=WeibullOutflow(1e9)) == 0.0


@given(mean=st.floats(10.0, 1e5), shape=st.floats(0.5, 4.0), drift=st.floats(1e-4, 0.2))
def test_the_last_unit_that_rests_is_the_last_that_rule_2_lets_rest(mean: float, shape: float, drift: float) -> None:
    outflow = WeibullOutflow(mean, shape)
    prices = SplitPrices(half_spread=0.02, taker_fee=0.003, under=0.023 + drift, over=0.0)
    limit = rest_quantity(prices, target=TARGET, queue=QUEUE, rebate=REBATE, outflow=outflow)
    advantage = 2 * 0.02 + 0.003 + REBATE

    def pays(unit: float) -> bool:
        fill = 1.0 - outflow.cdf(QUEUE + unit)
        return fill * advantage > (1.0 - fill) * drift

    assert limit == 0.0 or pays(limit - 1e-6 * mean)
    assert limit == TARGET or not pays(limit + 1e-6 * mean)


def test_a_weibull_outflow() -> None:
    outflow = WeibullOutflow(2200.0, 1.7)
    assert [outflow.cdf(outflow.inv_cdf(p)) for p in (0.01, 0.5, 0.99)] == pytest.approx([0.01, 0.5, 0.99])
    assert outflow.cdf(0.0) == outflow.cdf(-1.0) == 0.0
    # All that ever leaves is the mean; of the exponential law the rest has a closed form.
    assert expected_fill(limit=15_000.0, queue=0.0, outflow=outflow) == pytest.approx(2200.0, rel=1e-6)
    fill = 2200.0 * (exp(-2000.0 / 2200.0) - exp(-3000.0 / 2200.0))
    assert expected_fill(limit=1000.0, queue=QUEUE, outflow=WeibullOutflow(2200.0)) == pytest.approx(fill, rel=1e-9)
    for mean, shape in ((0.0, 1.0), (1.0, 0.0)):
        with pytest.raises(CallerError, match="positive mean and shape"):
            WeibullOutflow(mean, shape)


def drawn(venues: int, rows: int = 100_000) -> Matrix:
    return np.random.default_rng(17).poisson(2200.0, size=(rows, venues)).astype(float)


def best_over(outflows: Matrix, *, overbook: bool) -> tuple[Split, float]:
    venues = outflows.shape[1]
    queues, rebates = np.full(venues, QUEUE), np.full(venues, REBATE)
    split = split_over_venues(PRICES, outflows, target=TARGET, queues=queues, rebates=rebates, overbook=overbook)
    return split, mean_cost(PRICES, split, outflows, target=TARGET, queues=queues, rebates=rebates)[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("venues", "market", "limit", "value"),
    [
        (1, 731.0, 269.0, 14.82),
        (2, 499.0, 297.0, 6.00),
        (3, 276.0, 300.0, -2.84),
        (4, 57.0, 303.0, -11.71),
        (5, 0.0, 275.0, -19.16),
    ],
)
def test_the_table_of_one_to_five_venues(venues: int, market: float, limit: float, value: float) -> None:
    split, found = best_over(drawn(venues, 400_000), overbook=True)
    assert split.market == pytest.approx(market, abs=4.0)
    assert list(split.limits) == pytest.approx([limit] * venues, abs=4.0)
    assert found == pytest.approx(value, abs=0.03)


def test_first_order_conditions_of_two_venues() -> None:
    outflows = drawn(2)
    queues, rebates = np.full(2, QUEUE), np.full(2, REBATE)
    split = np.array([499.0, 297.0, 297.0])
    slopes = mean_slope(PRICES, split, outflows, target=TARGET, queues=queues, rebates=rebates)
    assert slopes == pytest.approx([0.0, 0.0, 0.0], abs=4e-4)
    filled = split[0] + np.clip(outflows - QUEUE, 0.0, split[1:]).sum(axis=1)
    assert float((filled < TARGET).mean()) == pytest.approx(0.9406, abs=0.008)


def test_the_slope_is_that_of_the_cost() -> None:
    outflows = drawn(3, 2_000)
    queues, rebates = np.array([1900.0, 2000.0, 2150.0]), np.array([0.002, 0.0, -0.001])
    at, step = np.array([260.3, 280.3, 310.3, 100.3]), 0.1

    def value(split: Matrix) -> float:
        market, *limits = split.tolist()
        return mean_cost(PRICES, Split(market, tuple(limits)), outflows, target=TARGET, queues=queues, rebates=rebates)[
            0
        ]

    slopes = mean_slope(PRICES, at, outflows, target=TARGET, queues=queues, rebates=rebates)
    measured = [(value(at + step * unit) - value(at - step * unit)) / (2 * step) for unit in np.eye(4)]
    assert slopes.tolist() == pytest.approx(measured, abs=1e-9)  # no outflow lies within the step


def test_all_market_and_the_standard_error() -> None:
    outflows = drawn(2, 500)
    queues, rebates = np.full(2, QUEUE), np.full(2, REBATE)
    mean, error = mean_cost(PRICES, Split(TARGET, (0.0, 0.0)), outflows, target=TARGET, queues=queues, rebates=rebates)
    assert mean == pytest.approx(23.5)
    assert error == pytest.approx(0.0, abs=1e-12)


@pytest.mark.slow
def test_capped_splits_place_no_more_than_the_target() -> None:
    outflows = drawn(5, 20_000)
    split, value = best_over(outflows, overbook=False)
    free, least = best_over(outflows, overbook=True)
    assert split.market == 0.0
    assert sum(split.limits) == pytest.approx(TARGET)
    assert list(split.limits) == pytest.approx([200.0] * 5, abs=4.0)
    assert sum(free.limits) > 1.3 * TARGET
    assert least < value


def test_outflows_of_other_venues_are_refused() -> None:
    for shape in ((100,), (100, 3), (1, 2)):
        with pytest.raises(CallerError, match="of the same venues"):
            split_over_venues(PRICES, np.ones(shape), target=1.0, queues=np.ones(2), rebates=np.ones(2), overbook=True)
