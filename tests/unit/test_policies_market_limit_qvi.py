"""`market_limit_qvi`: one unit is rule (2), units make way one by one, and a slice comes to its end."""

from math import expm1, sqrt

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.case import Why
from policies.market_limit_qvi import MarketLimitQvi, QviWhy
from sor.market import MarketView, Trust
from sor.models.drift import selection
from sor.models.rule import expected_difference_bps
from sor.orders import Side
from sor.params import Params
from sor.policy import Decision, Forceable, Policy, Rest, Take
from sor.reasons import TimeoutBound
from sor.snapshot import Resting, View
from sor.units import NS
from tests.fakes.views import BASELINE, NOW_NS, VENUE, market, only, params, resting, view

POLICY = MarketLimitQvi()
UNIT = 20  # a fifth of 100 lots
END_NS = NOW_NS + 15 * NS


def asked(seen: View, values: Params = BASELINE) -> Decision:
    return POLICY.decide(seen, values)


def seen_in(found: MarketView | None = None, **changes: object) -> View:
    """A market that fills us in some seconds, and nobody who pays for risk."""
    return view(market(sell_flow=500.0) if found is None else found, **{"urgency": 0.0, **changes})


def sizes(decision: Decision) -> tuple[list[int], int]:
    """(lots of each order that rests, lots that cross)."""
    rest = [one.qty_lots for one in decision.placements if isinstance(one, Rest)]
    return rest, sum(one.qty_lots for one in decision.placements if isinstance(one, Take))


def units(count: int, price: int = 100_000, since_ns: int = NOW_NS - NS) -> tuple[Resting, ...]:
    """Own orders of a unit each, the youngest first, each to expire a nanosecond after the one before it."""
    return tuple(
        resting(price, UNIT, since_ns=since_ns + no, expire_ns=END_NS + no, child=no) for no in reversed(range(count))
    )


def test_it_is_a_policy_that_names_every_parameter_it_reads() -> None:
    assert isinstance(POLICY, Policy)
    alone = only(POLICY.needs)
    views = [
        view(),
        view(market(window_s=1.0)),
        view(may_rest=False),
        view(resting=units(3)),
        view(limit_ticks=99_990),
        view(market(trust=Trust.GAP)),
    ]
    assert [asked(seen, alone) for seen in views] == [asked(seen) for seen in views]


def test_all_units_rest_as_orders_of_their_own() -> None:
    decision = asked(seen_in())
    order = Rest(VENUE, UNIT, 100_000, END_NS, TimeoutBound.FIXED)
    assert decision.placements == (order,) * 5
    assert decision.reason == QviWhy.REST
    inputs = dict(decision.inputs)
    assert inputs["fill_rate"] == pytest.approx(350.0 / 1_100.0)
    assert inputs["advantage_bps"] == pytest.approx(3.0 + 20_000.0 / 200_001.0)
    chance = -expm1(-15.0 * 350.0 / 1_100.0)
    lost = 0.75 * 0.5 * sqrt(15.0) * (1.0 - chance) * selection(chance)
    assert inputs["carry_bps_per_s"] == pytest.approx(lost * inputs["fill_rate"] / chance)
    assert decision.revisit.at_ns == NOW_NS + 2 * NS  # the review comes before the next moment
    assert inputs["next_s"] == 15.0  # it is filled fast enough never to be behind
    slower = asked(seen_in(market(sell_flow=60.0)))
    assert slower.reason == QviWhy.REST
    assert 2.0 < dict(slower.inputs)["next_s"] < 13.0
    assert decision.note == f"Rest 0.100; the next unit crosses in {inputs['next_s']:.1f} s if nothing changes."
    cross, rest = decision.alternatives
    assert (cross.name, rest.name) == ("cross", "rest")
    assert cross.cost_bps is not None
    assert rest.cost_bps is not None
    assert 0.0 < cross.cost_bps - rest.cost_bps < inputs["advantage_bps"]


@given(
    flow=st.floats(5.0, 5_000.0),
    volatility=st.floats(0.05, 3.0),
    horizon=st.floats(1.0, 50.0),
    lots=st.integers(1, 2_000),
    side=st.sampled_from(Side),
)
@settings(max_examples=50)
def test_one_unit_does_what_rule_2_says(flow: float, volatility: float, horizon: float, lots: int, side: Side) -> None:
    values = params({"qvi.units": 1.0, "qvi.tracking_bps": 0.0, "qvi.horizon_s": horizon})
    found = market(buy_flow=flow, sell_flow=flow, volatility=volatility)
    decision = asked(seen_in(found, side=side, open_lots=lots, parent_lots=lots, remaining_lots=lots), values)
    rate = 0.7 * flow / (1_000.0 + lots)
    chance = -expm1(-rate * horizon)
    difference = expected_difference_bps(
        fill_probability=chance,
        advantage_bps=dict(decision.inputs)["advantage_bps"],
        drift_bps=0.75 * volatility * sqrt(horizon) * selection(chance),
    )
    if abs(difference) < 1e-6:
        return
    assert sizes(decision) == (([lots], 0) if difference < 0.0 else ([], lots))


def test_a_sure_fill_rests_no_fill_crosses_and_so_does_a_huge_penalty() -> None:
    assert sizes(asked(seen_in(market(sell_flow=1e6)))) == ([UNIT] * 5, 0)
    nobody = asked(seen_in(market(sell_flow=0.0)))
    assert (nobody.reason, sizes(nobody)) == (Why.SLOW, ([], 100))
    slow = asked(seen_in(market(sell_flow=1e-3)))
    assert (slow.reason, sizes(slow)) == (Why.NOT_WORTH_IT, ([], 100))
    for dear in (seen_in(market(sell_flow=100.0, volatility=4.9)), seen_in(urgency=0.999)):
        decision = asked(dear, params({"placement.drift_scale": 5.0}))
        assert (decision.reason, sizes(decision)) == (Why.NOT_WORTH_IT, ([], 100))


def test_being_behind_crosses_units_and_the_youngest_make_way() -> None:
    first = asked(seen_in())
    late_ns = NOW_NS + 11 * NS
    late = msgspec.structs.replace(
        seen_in(market(sell_flow=50.0, recv_ns=late_ns), memory=first.memory, resting=units(5)), now_ns=late_ns
    )
    values = params({"qvi.tracking_bps": 30.0})
    decision = asked(late, values)
    rest, take = sizes(decision)
    assert decision.reason == QviWhy.CROSS_AND_REST
    assert 0 < take < 100
    assert take % UNIT == 0
    assert sum(rest) + take == 100
    assert rest == [UNIT] * len(rest)
    stay = [one.expire_ns for one in decision.placements if isinstance(one, Rest)]
    assert stay == [END_NS + no for no in range(len(rest))]
    # The machine withdraws the youngest and asks again: the others stay, the free ones cross.
    again = msgspec.structs.replace(late, resting=late.resting[-len(rest) :])
    assert sizes(asked(again, values)) == (rest, take)
    assert asked(late, params({"qvi.tracking_bps": 0.0})).reason == QviWhy.REST


def test_a_unit_that_is_filled_in_part_and_dust_are_not_forgotten() -> None:
    part = (resting(100_000, 7, expire_ns=END_NS, child=9), *units(2))
    decision = asked(seen_in(open_lots=47, filled_lots=53, resting=part))
    assert sizes(decision) == ([7, UNIT, UNIT], 0)
    least = msgspec.structs.replace(view().instrument, min_qty_lots=15)
    assert sizes(asked(seen_in(instrument=least, open_lots=94))) == ([20, 20, 20, 34], 0)
    large = msgspec.structs.replace(view().instrument, min_qty_lots=60)
    assert sizes(asked(seen_in(instrument=large))) == ([100], 0)


def test_a_maker_fee_is_judged_against_the_taker_fee() -> None:
    costs = msgspec.structs.replace(view().costs, maker_fee_bps=40.0, taker_fee_bps=50.0)
    assert sizes(asked(seen_in(costs=costs))) == ([UNIT] * 5, 0)
    worse = msgspec.structs.replace(costs, maker_fee_bps=50.2)
    assert sizes(asked(seen_in(costs=worse))) == ([], 100)


def test_the_end_of_the_slice_is_the_end() -> None:
    first = asked(seen_in())
    assert first.memory["since_ns"] == float(NOW_NS)
    over_ns = NOW_NS + 15 * NS
    over = msgspec.structs.replace(
        seen_in(market(sell_flow=500.0, recv_ns=over_ns), memory=first.memory, open_lots=40), now_ns=over_ns
    )
    assert (asked(over).reason, sizes(asked(over))) == (Why.TOO_LATE, ([], 40))
    timed_out = seen_in(timeouts=5, memory=first.memory, open_lots=40)
    assert (asked(timed_out).reason, sizes(asked(timed_out))) == (Why.TIMED_OUT, ([], 40))


def test_what_the_market_has_come_through_is_waited_for() -> None:
    through = (resting(100_002, 10, child=1), resting(100_002, 20, since_ns=NOW_NS - 20 * NS, child=2))
    decision = asked(seen_in(market(sell_flow=1e-3), open_lots=30, resting=through))
    assert (decision.reason, sizes(decision)) == (Why.KEEP, ([10, 20], 0))


def test_units_follow_a_touch_that_ran_away() -> None:
    away = units(5, price=99_993)
    chased = asked(seen_in(resting=away))
    assert [one.price_ticks for one in chased.placements if isinstance(one, Rest)] == [100_000] * 5
    young = asked(seen_in(resting=units(5, price=99_993, since_ns=NOW_NS)))
    assert [one.price_ticks for one in young.placements if isinstance(one, Rest)] == [99_993] * 5
    tired = asked(seen_in(resting=away, requotes=3, memory={**chased.memory, "requotes": 0.0}))
    assert (tired.reason, sizes(tired)) == (Why.RAN_AWAY, ([], 100))


def test_before_flow_is_measured_units_rest() -> None:
    decision = asked(seen_in(market(window_s=1.0)))
    assert sizes(decision) == ([UNIT] * 5, 0)
    assert decision.revisit.at_ns == NOW_NS + 2 * NS
    assert decision.alternatives[1].cost_bps is None
    soon = asked(seen_in(market(window_s=4.0)))
    assert soon.revisit.at_ns == NOW_NS + NS


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (seen_in(may_rest=False), Why.MAY_NOT_REST),
        (seen_in(urgency=1.0), Why.URGENT),
        (seen_in(mae_budget_bps=1.0, adverse_bps=2.0), Why.EXCURSION),
        (seen_in(mae_budget_bps=0.01), Why.EXCURSION),
        (seen_in(due_ns=NOW_NS + NS // 8), Why.TOO_LATE),
        (seen_in(market(asks=((100_060, 5_000),))), Why.WIDE),
        (seen_in(market(asks=((100_090, 5_000),)), resting=units(5)), Why.WIDE),
    ],
)
def test_it_crosses_all_where_nothing_may_rest(seen: View, reason: Why) -> None:
    decision = asked(seen)
    assert (decision.reason, sizes(decision)) == (reason, ([], 100))


def test_what_is_below_the_minimum_keeps_resting() -> None:
    least = msgspec.structs.replace(view().instrument, min_qty_lots=50)
    own = resting(100_000, 30)
    decision = asked(seen_in(instrument=least, open_lots=30, filled_lots=70, resting=(own,), timeouts=9))
    assert [one.qty_lots for one in decision.placements if isinstance(one, Rest)] == [30]
    assert not any(isinstance(one, Take) for one in decision.placements)


def test_it_can_be_told_to_cross_and_to_rest() -> None:
    assert isinstance(POLICY, Forceable)
    told = [POLICY.decide_as(seen_in(), BASELINE, way) for way in POLICY.ways]
    assert [type(one.placements[0]) for one in told if one is not None] == [Take, Rest]
    assert POLICY.decide_as(seen_in(limit_ticks=99_990), BASELINE, "cross") is None
