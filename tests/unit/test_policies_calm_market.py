"""`calm_market`: each threshold at its edge. What it shares with the others is tested with `cost_aware`."""

import pytest

from policies.calm_market import CalmMarket
from policies.case import Why
from sor.market import MarketView, Trust
from sor.orders import Side
from sor.params import Params
from sor.policy import Decision, Policy, Rest, Take
from sor.reasons import TimeoutBound
from sor.snapshot import View
from sor.units import MS, NS
from tests.fakes.views import BASELINE, NOW_NS, VENUE, market, only, params, resting, view

POLICY = CalmMarket()


def asked(seen: View, values: Params = BASELINE) -> Decision:
    return POLICY.decide(seen, values)


def test_it_is_a_policy_that_names_every_parameter_it_reads() -> None:
    assert isinstance(POLICY, Policy)
    alone = only(POLICY.needs)
    own = resting(99_990, 60)
    views = [view(), view(mae_budget_bps=5.0), view(resting=(own,)), view(limit_ticks=99_990, resting=(own,))]
    assert [asked(seen, alone) for seen in views] == [asked(seen) for seen in views]


@pytest.mark.parametrize(
    ("seen", "side", "reason"),
    [
        (market(bids=((100_000, 500),), asks=((100_050, 500),)), Side.BUY, Why.REST),
        (market(bids=((100_000, 500),), asks=((100_051, 500),)), Side.BUY, Why.WIDE),
        (market(volatility=5.0), Side.BUY, Why.REST),
        (market(volatility=5.001), Side.BUY, Why.VOLATILE),
        (market(volatility=5.001, window_s=4.9), Side.BUY, Why.REST),
        (market(bids=((100_000, 1_901),), asks=((100_001, 99), (100_002, 500))), Side.BUY, Why.LEANING),
        (market(bids=((100_000, 1_901),), asks=((100_001, 99), (100_002, 500))), Side.SELL, Why.REST),
        # Twice the order of 100 lots has to stand near the touch, on both sides.
        (market(bids=((100_000, 200),), asks=((100_001, 200),)), Side.BUY, Why.REST),
        (market(bids=((100_000, 199),), asks=((100_001, 200),)), Side.BUY, Why.THIN),
        (market(bids=((100_000, 200),), asks=((100_001, 199),)), Side.BUY, Why.THIN),
        (market(sell_flow=0.0), Side.BUY, Why.REST),
    ],
)
def test_only_a_calm_market_is_rested_in(seen: MarketView, side: Side, reason: Why) -> None:
    decision = asked(view(seen, side=side))
    assert decision.reason is reason
    assert isinstance(decision.placements[0], Rest) == (reason is Why.REST)


def test_the_depth_that_is_asked_for_is_the_param_sets() -> None:
    assert asked(view(), params({"placement.calm_depth_min": 60.0})).reason is Why.REST  # 6,000 lots a side
    thin = asked(view(), params({"placement.calm_depth_min": 60.1}))
    assert (thin.reason, thin.placements) == (Why.THIN, (Take(VENUE, 100, 100_201),))
    assert dict(thin.inputs)["near_depth"] == 60.0


def test_it_rests_for_a_fixed_time() -> None:
    (rest,) = asked(view()).placements
    assert rest == Rest(VENUE, 100, 100_000, NOW_NS + 15 * NS, TimeoutBound.FIXED)


def test_what_rests_stays_until_the_market_is_clearly_not_calm() -> None:
    own = (resting(100_000, 100),)
    assert asked(view(market(volatility=7.4), resting=own)).reason is Why.KEEP
    assert asked(view(market(volatility=7.6), resting=own)).reason is Why.VOLATILE
    assert asked(view(market(bids=((100_000, 1_901),), asks=((100_001, 99),)), resting=own)).reason is Why.KEEP


def test_it_follows_a_touch_that_ran_away_so_many_times() -> None:
    memory = asked(view()).memory
    old = (resting(99_990, 100, since_ns=NOW_NS - 500 * MS),)
    chased = asked(view(resting=old, requotes=2, memory=memory))
    assert (chased.reason, [one.price_ticks for one in chased.placements if isinstance(one, Rest)]) == (
        Why.CHASE,
        [100_000],
    )
    assert asked(view(resting=old, requotes=3, memory=memory)).reason is Why.RAN_AWAY
    leaning = market(bids=((100_000, 1_901),), asks=((100_001, 99), (100_002, 500)))
    assert asked(view(leaning, resting=old, requotes=2, memory=memory)).reason is Why.LEANING


def test_it_crosses_after_its_timeouts_and_after_so_many_refusals() -> None:
    memory = asked(view()).memory
    assert asked(view(timeouts=1, memory=memory)).reason is Why.TIMED_OUT
    assert asked(view(refusals=5, memory=memory)).reason is Why.REFUSED


def test_the_limit_and_the_book_have_the_last_word() -> None:
    assert asked(view(limit_ticks=99_990)).reason is Why.REST_AT_LIMIT
    assert asked(view(market(trust=Trust.GAP))).reason is Why.UNTRUSTED
