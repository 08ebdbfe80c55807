"""`cost_aware` by fitted models: a param-set with a hazard and a drift that can be worked out by hand."""

from math import exp, log, log1p, sqrt
from statistics import NormalDist

import pytest

from policies.case import Why
from policies.cost_aware import CostAware
from policies.outlook import forecast_of
from sor.market import MarketView
from sor.models.covariates import COVARIATES
from sor.models.drift import DRIFT_COVARIATES
from sor.models.forecast import FORECAST_NEEDS
from sor.orders import Side
from sor.params import Params
from sor.policy import Decision, Rest, Take
from sor.reasons import TimeoutBound
from sor.snapshot import View
from sor.units import MS, NS
from tests.fakes.views import BASELINE, NOW_NS, VENUE, market, params, resting, view

POLICY = CostAware()
TICK_BPS = 2e4 / 200_001
EDGES_S = (1.0, 2.0, 4.0, 8.0)


def fitted(*, hazard: float = 0.2, base: float = 0.3, changes: dict[str, float] | None = None) -> Params:
    """A fill with this probability in each bin, whatever the covariates, and a drift of `base` times its bound."""
    values = {f"fill.edge_{number:02}": edge for number, edge in enumerate(EDGES_S)}
    values |= {f"fill.alpha_{number:02}": log(hazard / (1.0 - hazard)) for number in range(len(EDGES_S))}
    values |= {f"fill.{name}": 0.0 for name in COVARIATES}
    values |= {"fill.se": 0.1, "drift.base": base, "drift.se": 0.05}
    values |= {f"drift.{name}": 0.0 for name in DRIFT_COVARIATES}
    values |= {"impact.resting_coefficient": 0.0, "placement.timeout_s_max": 15.0, "placement.risk_weight": 0.0}
    return params({**values, **(changes or {})})


def asked(seen: View, values: Params) -> Decision:
    return POLICY.decide(seen, values)


def numbers(decision: Decision) -> dict[str, float]:
    return dict(decision.inputs)


def drift_bps(filled: float, timeout_s: float, *, base: float = 0.3, volatility: float = 0.5) -> float:
    """(1 - p) D by hand: base (sigma + a twentieth of the spread) sqrt(tau) phi(Phi^-1(p))."""
    normal = NormalDist()
    return base * (volatility + 0.05 * TICK_BPS) * sqrt(timeout_s) * normal.pdf(normal.inv_cdf(filled))


def test_the_models_are_those_of_the_set() -> None:
    assert forecast_of(BASELINE) is None
    forecast = forecast_of(fitted())
    assert forecast is not None
    assert forecast.horizon_s == 8.0
    assert not fitted().missing(FORECAST_NEEDS)


def test_a_wait_is_weighed_by_the_fitted_models_and_no_longer_than_they_reach() -> None:
    # 1 - 0.8^4 of the orders are filled by the horizon of 8 s; A is a tick (0.1 bps) and 3 bps of fees.
    values = fitted()
    decision = asked(view(), values)
    filled = 1.0 - 0.8**4
    saving = filled * (3.0 + TICK_BPS) - drift_bps(filled, 8.0)
    assert decision.placements == (Rest(VENUE, 100, 100_000, NOW_NS + 8 * NS, TimeoutBound.FIXED),)
    assert decision.reason is Why.REST
    seen = numbers(decision)
    assert seen["fill_probability"] == pytest.approx(filled)
    assert seen["fill_rate"] == pytest.approx(-log(0.8))
    assert seen["saving_bps"] == pytest.approx(saving)
    cross, join = decision.alternatives
    assert (join.name, join.note) == ("join", "fitted")
    assert cross.cost_bps is not None
    assert join.cost_bps == pytest.approx(cross.cost_bps - saving)
    assert join.se_bps is not None
    assert decision.revisit.at_ns == NOW_NS + NS


def test_its_standard_error_is_that_of_the_models() -> None:
    join = asked(view(), fitted()).alternatives[1]
    survived, spent = 0.8**4, -4 * log(0.8)
    normal = NormalDist()
    bound = sqrt(8.0) * normal.pdf(normal.inv_cdf(1.0 - survived)) / survived
    drift = bound * 0.3 * (0.5 + 0.05 * TICK_BPS)
    from_fill = survived * spent * 0.1 * (3.0 + TICK_BPS + drift)
    from_drift = survived * bound * (0.5 + 0.05 * TICK_BPS) * 0.05
    assert join.se_bps == pytest.approx(sqrt(from_fill**2 + from_drift**2))


def test_a_drift_that_outweighs_the_saving_is_crossed() -> None:
    decision = asked(view(market(volatility=4.0)), fitted(hazard=0.02, base=1.0))
    assert (decision.reason, decision.placements) == (Why.NOT_WORTH_IT, (Take(VENUE, 100, 100_201),))
    assert decision.alternatives[1].cost_bps is not None


def test_size_that_is_shown_moves_the_mid_away() -> None:
    # 100 of 1,100 lots: half a tick x 1/11, for the unfilled.
    seen = numbers(asked(view(), fitted(changes={"impact.resting_coefficient": 1.0})))
    without = numbers(asked(view(), fitted()))
    moved = 0.8**4 * (0.5 * 100 / 1_100) * TICK_BPS
    assert seen["drift_bps"] - without["drift_bps"] == pytest.approx(moved)


def test_covariates_move_the_fill_probability() -> None:
    # One more unit of log(queue seconds): every logit falls by a half.
    slow = fitted(changes={"fill.log_queue_s": -0.5})
    queue_s = (1_000 + 100) / 500.0
    level = log(0.25) - 0.5 * log(queue_s)
    hazard = 1.0 / (1.0 + exp(-level))
    assert numbers(asked(view(), slow))["fill_rate"] == pytest.approx(-log1p(-hazard))


WIDE = market(bids=((100_000, 1_000),), asks=((100_004, 1_000),))


def test_joining_and_improving_are_weighed_and_the_better_is_taken() -> None:
    # Without covariates nothing is gained by going inside: it pays a tick more for the same chance.
    plain = asked(view(WIDE), fitted())
    assert [one.name for one in plain.alternatives] == ["cross", "join", "improve"]
    assert [one.price_ticks for one in plain.placements if isinstance(one, Rest)] == [100_000]
    # Where a short queue fills much more often, it is.
    queue = asked(view(WIDE), fitted(hazard=0.05, changes={"fill.log_queue_s": -1.5}))
    assert [one.price_ticks for one in queue.placements if isinstance(one, Rest)] == [100_001]


# --- what rests -------------------------------------------------------------------------------------------------------


def old(price: int, *, lots: int = 100, age_ns: int = 5 * NS) -> View:
    return view(resting=(resting(price, lots, since_ns=NOW_NS - age_ns, expire_ns=NOW_NS + 4 * NS),))


def test_an_order_that_is_still_worth_it_stays_and_is_looked_at_again() -> None:
    decision = asked(old(100_000), fitted())
    assert (decision.reason, decision.revisit.at_ns) == (Why.KEEP, NOW_NS + NS)
    (rest,) = decision.placements
    assert isinstance(rest, Rest)
    assert (rest.price_ticks, rest.expire_ns) == (100_000, NOW_NS + 4 * NS)
    assert [one.name for one in decision.alternatives] == ["cross", "stay"]
    seen = numbers(decision)
    filled = 1.0 - 0.8**3
    assert seen["saving_bps"] == pytest.approx(filled * (3.0 + TICK_BPS) - drift_bps(filled, 4.0))


def test_an_order_whose_market_turned_is_crossed_before_its_time() -> None:
    decision = asked(view(market(volatility=4.0), resting=old(100_000).resting), fitted(hazard=0.02, base=1.0))
    assert (decision.reason, decision.placements) == (Why.NOT_WORTH_IT, (Take(VENUE, 100, 100_201),))


AWAY = {"fill.distance": -3.0}
"""An order three spreads behind is hardly ever filled."""


def test_an_order_left_behind_moves_when_that_is_worth_its_price() -> None:
    behind = old(99_997)
    moved = asked(behind, fitted(changes=AWAY))
    assert moved.reason is Why.CHASE
    assert [one.price_ticks for one in moved.placements if isinstance(one, Rest)] == [100_000]
    assert [one.name for one in moved.alternatives] == ["cross", "stay", "join"]
    # A move that costs what it brings is not made.
    dear = fitted(changes={**AWAY, "chase.cost_bps": 5.0})
    assert asked(behind, dear).reason is Why.KEEP


@pytest.mark.parametrize(
    ("changes", "age_ns", "reason"),
    [
        ({}, 499 * MS, Why.KEEP),  # the dwell
        ({"placement.dwell_ms": 0.0}, 999 * MS, Why.KEEP),  # one move a second
        ({"placement.dwell_ms": 0.0, "chase.per_s_max": 10.0}, 199 * MS, Why.KEEP),  # two round trips of 0.1 s
        ({"placement.dwell_ms": 0.0, "chase.per_s_max": 10.0}, 201 * MS, Why.CHASE),
        ({"placement.requotes_max": 0.0}, 5 * NS, Why.KEEP),
    ],
)
def test_it_is_not_moved_too_soon_or_too_often(changes: dict[str, float], age_ns: int, reason: Why) -> None:
    assert asked(old(99_997, age_ns=age_ns), fitted(changes={**AWAY, **changes})).reason is reason


def test_no_more_chases_than_the_saving_pays_for() -> None:
    # A is 3.09999 bps, a chase 0.09999 + 1 bps: two of them cost less, three more.
    values = fitted(changes={**AWAY, "chase.cost_bps": 1.0})
    memory = asked(old(99_997), values).memory
    reasons = [
        asked(view(resting=old(99_997).resting, requotes=done, memory=memory), values).reason for done in range(4)
    ]
    assert reasons == [Why.CHASE, Why.CHASE, Why.KEEP, Why.KEEP]


def test_on_the_join_rung_an_order_that_may_not_move_yet_waits_and_one_that_never_may_crosses() -> None:
    join = {**AWAY, "ladder.rest.until": 0.0}
    young = asked(old(99_997, age_ns=100 * MS), fitted(changes=join))
    assert (young.reason, young.revisit.at_ns) == (Why.KEEP, NOW_NS + 900 * MS)
    never = asked(old(99_997), fitted(changes={**join, "placement.requotes_max": 0.0}))
    assert never.reason is Why.RAN_AWAY


def test_a_sell_is_the_mirror_of_a_buy() -> None:
    mirrored: MarketView = market(bids=((99_997, 1_000),), asks=((100_001, 1_000),))
    buy = asked(view(WIDE), fitted(hazard=0.05, changes={"fill.log_queue_s": -1.5, "fill.lean": 0.3}))
    sell = asked(
        view(mirrored, side=Side.SELL), fitted(hazard=0.05, changes={"fill.log_queue_s": -1.5, "fill.lean": 0.3})
    )
    assert numbers(buy)["fill_probability"] == pytest.approx(numbers(sell)["fill_probability"])
    assert [one.name for one in buy.alternatives] == [one.name for one in sell.alternatives]


def test_what_the_fit_has_never_seen_is_said() -> None:
    ranges = {f"range.{name}_{end}": value for name in COVARIATES for end, value in (("low", -9.0), ("high", 9.0))}
    strange = fitted(changes={**ranges, "range.log_spread_high": -1.0})
    join = asked(view(), strange).alternatives[1]
    assert join.note == "fitted, but beyond its data in log_spread"
