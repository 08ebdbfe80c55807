"""`cost_aware` by fitted models: a param-set with a hazard and a drift that can be worked out by hand."""

from math import exp, log, log1p, sqrt
from statistics import NormalDist

import msgspec
import pytest

from policies.case import Why
from policies.cost_aware import CostAware
from policies.outlook import forecast_of
from sor.market import MarketView
from sor.models.covariates import COVARIATES, FADING
from sor.models.drift import DRIFT_COVARIATES
from sor.models.forecast import FORECAST_NEEDS
from sor.orders import Side
from sor.params import Params
from sor.policy import Decision, Rest, Take
from sor.reasons import TimeoutBound
from sor.snapshot import Resting, View
from sor.units import MS, NS
from tests.fakes.views import BASELINE, NOW_NS, VENUE, market, params, resting, view

POLICY = CostAware()
TICK_BPS = 2e4 / 200_001
EDGES_S = (1.0, 2.0, 4.0, 8.0)


def fitted(*, hazard: float = 0.2, base: float = 0.3, changes: dict[str, float] | None = None) -> Params:
    """A fill with this probability in each bin, whatever the covariates, and a drift of `base` times its bound."""
    values = {f"fill.edge_{number:02}": edge for number, edge in enumerate(EDGES_S)}
    values |= {f"fill.alpha_{number:02}": log(hazard / (1.0 - hazard)) for number in range(len(EDGES_S))}
    values |= {f"fill.{name}": 0.0 for name in COVARIATES} | {f"fading.{name}": 0.0 for name in FADING}
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


def saved_bps(filled: float, timeout_s: float) -> float:
    """Rule (2) by hand: p A - (1 - p) D; A is a tick (0.1 bps) and 3 bps of fees."""
    return filled * (3.0 + TICK_BPS) - drift_bps(filled, timeout_s)


BY_8_S = 1.0 - 0.8**4
"""Of the orders are filled by the horizon."""


def hurried(left_s: float, *, own: tuple[Resting, ...] = (), seen: MarketView | None = None) -> View:
    """A parent with so much time left to rest in: the margin and the round trips come on top."""
    end_ns = NOW_NS + round(left_s * NS) + 600 * MS
    return view(seen, resting=own, due_ns=end_ns - 500 * MS, deadline_ns=end_ns)


FIT = fitted()


def test_without_time_to_rest_again_it_is_rule_2() -> None:
    # A look takes a second and a round trip of 0.1 s: of 2 s and its half only the whole is judged.
    seen = numbers(asked(hurried(2.0), fitted()))
    by_2_s = 1.0 - 0.8**2
    assert seen["again_bps"] == 0.0
    assert seen["saving_bps"] == pytest.approx(saved_bps(by_2_s, 2.0))


def test_what_is_not_filled_rests_again_only_as_long_as_that_fits_in() -> None:
    # In 3 s: once for 3 s, or twice for 1.5 s. The second bin begins at 1 s, the third at 2 s and lasts 2 s.
    seen = numbers(asked(hurried(3.0), fitted()))
    short, long = 1.0 - 0.8**1.5, 1.0 - 0.8**2.5
    twice = saved_bps(short, 1.5) + (1.0 - short) * saved_bps(short, 1.5)
    assert twice > saved_bps(long, 3.0)
    assert seen["timeout_s"] == 1.5
    assert seen["saving_bps"] == pytest.approx(twice)
    assert seen["again_bps"] == pytest.approx((1.0 - short) * saved_bps(short, 1.5))


def test_a_wait_is_weighed_by_the_fitted_models_and_no_longer_than_they_reach() -> None:
    # With time left, who is not filled rests once more: as good as now.
    values = fitted()
    decision = asked(view(), values)
    filled = BY_8_S
    again = (1.0 - filled) * saved_bps(filled, 8.0)
    saving = saved_bps(filled, 8.0) + again
    assert decision.placements == (Rest(VENUE, 100, 100_000, NOW_NS + 8 * NS, TimeoutBound.FIXED),)
    assert decision.reason is Why.REST
    seen = numbers(decision)
    assert seen["fill_probability"] == pytest.approx(filled)
    assert seen["fill_rate"] == pytest.approx(-log(0.8))
    assert seen["again_bps"] == pytest.approx(again)
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
    # Its time was up in 4 s. It gets what staying is worth now: as long as the models reach.
    assert (rest.price_ticks, rest.expire_ns) == (100_000, NOW_NS + 8 * NS)
    assert [one.name for one in decision.alternatives] == ["cross", "stay"]
    saved = saved_bps(BY_8_S, 8.0)
    assert numbers(decision)["saving_bps"] == pytest.approx(saved + (1.0 - BY_8_S) * saved)


def test_an_order_that_stays_gets_no_more_time_than_there_is() -> None:
    (rest,) = asked(hurried(2.0, own=old(100_000).resting), fitted()).placements
    assert isinstance(rest, Rest)
    assert rest.expire_ns == NOW_NS + 2 * NS
    late = asked(hurried(0.0, own=old(100_000).resting), fitted())
    assert (late.reason, late.placements) == (Why.TOO_LATE, (Take(VENUE, 100, 100_201),))


@pytest.mark.parametrize(
    ("adverse_bps", "left_s"), [(3.0, 5.9138), (4.999, 1.4784e-6), (5.0, None), (5.001, None), (-5.0, 8.0)]
)
def test_a_budget_is_used_up_by_the_move_since_arrival_and_its_time_begins_anew_at_each_look(
    adverse_bps: float, left_s: float | None
) -> None:
    """Just under, at and over a budget of 5 bps: what is left may last (left / (sigma z_0.95))^2 from now, however old.

    A move in our favour is added to it.
    """
    decisions = [
        asked(view(resting=old(100_000, age_ns=age_s * NS).resting, mae_budget_bps=5.0, adverse_bps=adverse_bps), FIT)
        for age_s in (1, 30)
    ]
    assert decisions[0].placements == decisions[1].placements
    (placement,) = decisions[0].placements
    if left_s is None:
        assert decisions[0].reason is Why.EXCURSION
        assert isinstance(placement, Take)
    else:
        assert isinstance(placement, Rest)
        assert (placement.expire_ns - NOW_NS) / NS == pytest.approx(left_s, rel=1e-3)


def test_an_order_whose_time_is_over_is_let_go() -> None:
    over = (resting(100_000, 100, expire_ns=NOW_NS),)
    (rest,) = asked(view(resting=over), fitted()).placements
    assert isinstance(rest, Rest)
    assert rest.expire_ns == NOW_NS


def test_an_order_that_stays_is_judged_by_its_own_place_in_the_queue() -> None:
    values = fitted(changes={"fill.log_queue_s": -0.5})
    (order,) = old(100_000).resting
    first = asked(view(resting=(msgspec.structs.replace(order, ahead_lots=0),)), values)
    unknown = asked(view(resting=(order,)), values)
    assert (numbers(first)["ahead_lots"], numbers(unknown)["ahead_lots"]) == (0.0, 1_000.0)
    assert numbers(first)["fill_probability"] > numbers(unknown)["fill_probability"]
    # Behind the touch, all that stands before its price has to trade as well.
    (order,) = old(99_999).resting
    behind = asked(view(resting=(msgspec.structs.replace(order, ahead_lots=7),)), values)
    assert numbers(behind)["ahead_lots"] == 1_007.0


def test_a_touch_that_leans_is_left_to_the_models() -> None:
    leaning = market(bids=((100_000, 10_000),), asks=((100_001, 100),))
    assert asked(view(leaning), fitted()).reason is Why.REST
    # They may find that it is not worth it: here hardly anything is filled when the own side is that long.
    assert (
        asked(
            view(market(volatility=4.0, bids=leaning.bids, asks=leaning.asks)),
            fitted(base=1.0, changes={"fill.lean": -5.0}),
        ).reason
        is Why.NOT_WORTH_IT
    )


def test_an_order_whose_market_turned_is_crossed_before_its_time() -> None:
    decision = asked(view(market(volatility=4.0), resting=old(100_000).resting), fitted(hazard=0.02, base=1.0))
    assert (decision.reason, decision.placements) == (Why.NOT_WORTH_IT, (Take(VENUE, 100, 100_201),))


AWAY = {"fill.log_behind": -20.0}
"""An order three ticks behind, 0.6 of what the price moves in a second, is hardly ever filled."""


def left_behind(*, age_ns: int = 5 * NS) -> View:
    """An order three ticks behind, with no time to move it later."""
    return hurried(2.0, own=old(99_997, age_ns=age_ns).resting)


def test_an_order_left_behind_waits_for_the_touch_while_it_may_move_later() -> None:
    # Fills come in the first second or hardly at all. Here it has a fair chance, and moves if that passes by.
    rates = {f"fill.alpha_{number:02}": -6.0 for number in range(1, 4)}
    values = fitted(hazard=0.9, changes={**rates, "fill.log_behind": -3.2})
    assert asked(hurried(4.0, own=old(99_997).resting), values).reason is Why.KEEP
    assert asked(hurried(1.5, own=old(99_997).resting), values).reason is Why.CHASE


def test_an_order_left_behind_moves_when_that_is_worth_its_price() -> None:
    behind = left_behind()
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
    assert asked(left_behind(age_ns=age_ns), fitted(changes={**AWAY, **changes})).reason is reason


def test_no_more_chases_than_the_saving_pays_for() -> None:
    # A is 3.09999 bps, a chase 0.09999 + 1 bps: two of them cost less, three more.
    values = fitted(hazard=0.5, changes={**AWAY, "chase.cost_bps": 1.0})
    behind = left_behind()
    memory = asked(behind, values).memory
    reasons = [asked(msgspec.structs.replace(behind, requotes=done, memory=memory), values).reason for done in range(4)]
    assert reasons == [Why.CHASE, Why.CHASE, Why.KEEP, Why.KEEP]


def test_on_the_join_rung_an_order_that_may_not_move_yet_waits_and_one_that_never_may_crosses() -> None:
    join = {**AWAY, "ladder.rest.until": 0.0}
    young = asked(old(99_997, age_ns=100 * MS), fitted(changes=join))
    assert (young.reason, young.revisit.at_ns) == (Why.KEEP, NOW_NS + 900 * MS)
    never = asked(old(99_997), fitted(changes={**join, "placement.requotes_max": 0.0}))
    assert never.reason is Why.RAN_AWAY


def test_a_sell_is_the_mirror_of_a_buy() -> None:
    # Reflected at 100,002: sides, sizes and flow change places.
    lean = fitted(hazard=0.05, changes={"fill.log_queue_s": -1.5, "fill.lean": 0.3, "drift.lean": 0.2})
    near, far = (3_000, 700), (400, 1_900)
    bought = market(
        bids=((100_000, near[0]), (99_998, near[1])),
        asks=((100_004, far[0]), (100_005, far[1])),
        buy_flow=300.0,
        sell_flow=90.0,
    )
    sold = market(
        bids=((100_000, far[0]), (99_999, far[1])),
        asks=((100_004, near[0]), (100_006, near[1])),
        buy_flow=90.0,
        sell_flow=300.0,
    )
    buy, sell = asked(view(bought), lean), asked(view(sold, side=Side.SELL), lean)
    told = [one.name for one in buy.alternatives]
    assert told == [one.name for one in sell.alternatives]
    for ours, theirs in zip(buy.alternatives, sell.alternatives, strict=True):
        assert ours.cost_bps == pytest.approx(theirs.cost_bps, rel=1e-4), ours.name
    assert numbers(buy)["fill_probability"] == pytest.approx(numbers(sell)["fill_probability"])
    # And it is no mirror when only the side is turned.
    turned = asked(view(bought, side=Side.SELL), lean)
    assert [one.cost_bps for one in turned.alternatives] != pytest.approx([one.cost_bps for one in sell.alternatives])


def test_what_the_fit_has_never_seen_is_said() -> None:
    ranges = {f"range.{name}_{end}": value for name in COVARIATES for end, value in (("low", -9.0), ("high", 9.0))}
    strange = fitted(changes={**ranges, "range.log_spread_high": -1.0})
    join = asked(view(), strange).alternatives[1]
    assert join.note == "fitted, but beyond its data in log_spread"
