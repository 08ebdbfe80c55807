"""`cost_aware` on its simple cases: unfitted it is rule (2), and its grid of times finds what the closed forms find."""

from itertools import product
from math import sqrt
from statistics import NormalDist

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from policies.case import Why
from policies.cost_aware import CostAware
from policies.outlook import Wait, best_wait
from sor.models.fill_time import Exponential, FillTime, Weibull
from sor.models.rule import break_even, expected_difference_bps
from sor.models.timeout import StaticRest, hazard_s, rest_bps, static_rest
from sor.params import Params
from sor.policy import Decision, Rest, Take
from sor.snapshot import Costs
from sor.units import NS
from tests.fakes.views import BASELINE, market, params, view

POLICY = CostAware()
NORMAL = NormalDist()
TICK_BPS = 2e4 / 200_001
OPEN_LOTS, AHEAD_LOTS = 100, 1_000
WAIT_S = 10.0

# --- rule (2) ---------------------------------------------------------------------------------------------------------


def one_wait(drift_scale: float) -> Params:
    """Nothing but rule (2): one wait of ten seconds, no limit that binds, no price of risk."""
    return params(
        {
            "placement.timeout_s_max": WAIT_S,
            "placement.fill_rate_scale": 1.0,
            "placement.drift_scale": drift_scale,
            "placement.calm_volatility_max": 100.0,
            "placement.wait_ratio_max": 100.0,
        }
    )


def drift_bps(filled: float, *, volatility: float, scale: float, after_s: float = WAIT_S) -> float:
    """D of an order that was not filled, by hand: the worst 1 - p of a Gaussian mid, and of that `scale`."""
    return scale * volatility * sqrt(after_s) * NORMAL.pdf(NORMAL.inv_cdf(filled)) / (1.0 - filled)


def asked(*, flow: float, volatility: float, maker: float, taker: float, scale: float) -> Decision:
    """A spread of one tick, so there is one price; half of the wait is below two round trips, so there is one wait."""
    costs = Costs(maker_fee_bps=maker, taker_fee_bps=taker, submit_rtt_ns=3 * NS, cancel_rtt_ns=3 * NS)
    seen = view(market(sell_flow=flow, volatility=volatility), urgency=0.0, costs=costs)
    return POLICY.decide(seen, one_wait(scale))


@settings(max_examples=150, deadline=None)
@given(
    flow=st.floats(5.0, 5_000.0),
    volatility=st.floats(0.0, 20.0),
    maker=st.floats(-1.0, 5.0),
    taker=st.floats(0.0, 8.0),
    scale=st.floats(0.0, 2.0),
)
def test_unfitted_it_rests_exactly_where_rule_2_does(
    flow: float, volatility: float, maker: float, taker: float, scale: float
) -> None:
    expected = flow / (AHEAD_LOTS + OPEN_LOTS) * WAIT_S
    filled = expected / (1.0 + expected)
    advantage = TICK_BPS + taker - maker
    drift = drift_bps(filled, volatility=volatility, scale=scale)
    difference = expected_difference_bps(fill_probability=filled, advantage_bps=advantage, drift_bps=drift)
    assume(abs(difference) > 1e-9)
    decision = asked(flow=flow, volatility=volatility, maker=maker, taker=taker, scale=scale)
    (placement,) = decision.placements
    assert isinstance(placement, Rest) == (difference < 0.0)
    assert (difference < 0.0) == (filled > break_even(advantage_bps=advantage, drift_bps=drift))
    told = dict(decision.inputs)
    assert told["fill_probability"] == pytest.approx(filled)
    assert told["worth_bps"] == pytest.approx(-difference, abs=1e-9)


def test_a_hair_on_either_side_of_the_break_even_flips_it() -> None:
    even = asked(flow=110.0, volatility=1.0, maker=0.0, taker=0.0, scale=1.0)  # x = 1, p = 1/2
    drift = drift_bps(0.5, volatility=1.0, scale=1.0)
    assert dict(even.inputs)["fill_probability"] == pytest.approx(0.5)
    assert isinstance(even.placements[0], Take)
    for fee, kind in ((drift - TICK_BPS - 1e-6, Take), (drift - TICK_BPS + 1e-6, Rest)):  # A = D at p = 1/2
        decision = asked(flow=110.0, volatility=1.0, maker=0.0, taker=fee, scale=1.0)
        assert isinstance(decision.placements[0], kind)
    assert even.reason == Why.NOT_WORTH_IT


# --- the closed forms of methods 6.2 ----------------------------------------------------------------------------------


class Repegged(msgspec.Struct, frozen=True):
    """What resting brings by 6.2 (a): a fill of any hazard, and waiting that costs a constant rate."""

    fill: FillTime
    advantage_bps: float
    waiting_bps_per_s: float
    note: str = "closed form"
    fill_rate: float = 0.0

    def wait(self, timeout_s: float) -> Wait:
        """-J(tau) as what it is worth."""
        cost = rest_bps(
            self.fill,
            until_s=timeout_s,
            advantage_bps=self.advantage_bps,
            waiting_bps_per_s=self.waiting_bps_per_s,
        )
        return Wait(timeout_s, 1.0 - self.fill.survival(timeout_s), 0.0, -cost, -cost)


def test_of_a_weibull_hazard_the_grid_takes_the_wait_next_to_the_closed_form() -> None:
    fill = Weibull(shape=0.6, scale_s=8.0)
    exact_s = hazard_s(fill, advantage_bps=4.0, waiting_bps_per_s=0.25)
    assert exact_s == pytest.approx(12.62, abs=0.005)
    for longest_s in (13.0, 20.0, 60.0, 600.0):
        found = best_wait(Repegged(fill, 4.0, 0.25), 0.1, longest_s)
        assert 0.5 < found.timeout_s / exact_s < 2.0
        assert found.worth_bps == pytest.approx(1.4564, rel=0.02)  # J = -1.4564 at the closed form's
    assert best_wait(Repegged(fill, 4.0, 0.25), 0.1, 5.0).worth_bps == pytest.approx(1.3238, abs=5e-5)  # cut short


@pytest.mark.parametrize("rate", [0.01, 0.06, 0.0624, 0.0626, 0.07, 1.0])
def test_of_an_exponential_hazard_it_is_all_or_nothing(rate: float) -> None:
    found = best_wait(Repegged(Exponential(rate), 4.0, 0.25), 0.1, 60.0)
    assert (found.worth_bps > 0.0) == (rate * 4.0 > 0.25)
    assert found.timeout_s == (60.0 if rate * 4.0 > 0.25 else pytest.approx(0.1171875))


def of_the_table(flow: float, volatility: float) -> tuple[StaticRest, Decision]:
    """6.2 (b) from a fine table of the same p and D, down to two round trips, and what the policy decides."""
    seen = view(market(sell_flow=flow, volatility=volatility), urgency=0.0)
    values = params({"placement.calm_volatility_max": 100.0, "placement.wait_ratio_max": 100.0})
    rate = flow * values["placement.fill_rate_scale"] / (AHEAD_LOTS + OPEN_LOTS)
    times = [15.0 * 0.999**step for step in range(5_000)][::-1]
    survived = [1.0 / (1.0 + rate * at) for at in times]
    drifts = [
        drift_bps(1.0 - left, volatility=volatility, scale=values["placement.drift_scale"], after_s=at)
        for at, left in zip(times, survived, strict=True)
    ]
    advantage = TICK_BPS + 3.0
    exact = static_rest(times_s=times, survived=survived, drift_bps=drifts, advantage_bps=advantage, se_bps=0.0)
    return exact, POLICY.decide(seen, values)


@pytest.mark.parametrize(
    ("flow", "volatility"),
    [*product((40.0, 300.0, 2_000.0), (0.2, 0.5)), (40.0, 1.5), (300.0, 1.5), (300.0, 4.0), (2_000.0, 4.0)],
)
def test_an_order_that_stays_gets_the_wait_of_the_static_form(flow: float, volatility: float) -> None:
    """The policy halves its times, so it may be a factor of two off, which costs less than a thousandth of a bp."""
    exact, decision = of_the_table(flow, volatility)
    assert decision.reason == Why.REST
    told = dict(decision.inputs)
    assert 0.5 < told["timeout_s"] / exact.timeout_s < 2.0
    assert exact.least_bps - 1e-9 <= -told["saving_bps"] < exact.least_bps + 0.001


def test_what_only_pays_for_less_than_two_round_trips_is_crossed() -> None:
    exact, decision = of_the_table(40.0, 4.0)
    assert (exact.timeout_s < 0.102, exact.least_bps > -0.001) == (True, True)
    assert decision.reason == Why.NOT_WORTH_IT


def test_the_baseline_has_the_numbers_that_these_cases_rest_on() -> None:
    seen = view()
    assert (seen.open_lots, seen.market.bids[0][1]) == (OPEN_LOTS, AHEAD_LOTS)
    assert BASELINE["placement.timeout_s_max"] == 15.0
    assert seen.costs.taker_fee_bps - seen.costs.maker_fee_bps == pytest.approx(3.0)
