"""`join_and_cross`: the split by hand, rule (2) unit by unit, what rests beside what is new, and when it gives up."""

from math import exp, log, sqrt
from statistics import NormalDist

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.case import Why
from policies.join_and_cross import JoinAndCross, SplitWhy
from sor.market import MarketView, Trust
from sor.models.drift import selection
from sor.models.rule import expected_difference_bps
from sor.orders import Side
from sor.params import Params
from sor.policy import Decision, Forceable, Policy, Rest, Take
from sor.reasons import TimeoutBound
from sor.revisit import Trigger
from sor.snapshot import View
from sor.units import NS
from tests.fakes.views import BASELINE, NOW_NS, VENUE, market, only, params, resting, view

POLICY = JoinAndCross()
HORIZON_S = 15.0
NORMAL = NormalDist()


def asked(seen: View, values: Params = BASELINE) -> Decision:
    return POLICY.decide(seen, values)


def sizes(decision: Decision) -> tuple[int, int]:
    """(lots that rest, lots that cross)."""
    rest = sum(one.qty_lots for one in decision.placements if isinstance(one, Rest))
    return rest, sum(one.qty_lots for one in decision.placements if isinstance(one, Take))


def big(seen: MarketView | None = None, **changes: object) -> View:
    """A thousand lots, as much as stands at the touch: a part of them may be worth a wait. Nobody pays for risk."""
    terms: dict[str, object] = {"open_lots": 1_000, "parent_lots": 1_000, "remaining_lots": 1_000, "urgency": 0.0}
    return view(market(sell_flow=45.0) if seen is None else seen, **(terms | changes))


def test_it_is_a_policy_that_names_every_parameter_it_reads() -> None:
    assert isinstance(POLICY, Policy)
    alone = only(POLICY.needs)
    own = resting(100_000, 60)
    views = [
        view(),
        big(),
        view(market(window_s=1.0)),
        view(may_rest=False),
        view(resting=(own,)),
        view(limit_ticks=99_990),
        view(market(trust=Trust.GAP)),
    ]
    assert [asked(seen, alone) for seen in views] == [asked(seen) for seen in views]


def just_enough(advantage: float, root: float) -> float:
    """The chance at which p A = root phi(Phi^-1(p)), along another road than in the policy: by a grid of z."""
    return min((NORMAL.cdf(z / 1e4) for z in range(-40_000, 40_000, 2)), key=lambda p: _gap(p, advantage, root))


def _gap(chance: float, advantage: float, root: float) -> float:
    return abs(chance * advantage - root * NORMAL.pdf(NORMAL.inv_cdf(chance))) / chance


def test_the_split_by_hand() -> None:
    # Fees of 2 and 5 bps and a tick of spread; exponential outflow with a mean of 0.7 * 45 * 15 lots.
    decision = asked(big())
    inputs = dict(decision.inputs)
    assert inputs["advantage_bps"] == pytest.approx(3.0 + 20_000.0 / 200_001.0)
    assert inputs["outflow_lots"] == pytest.approx(472.5)
    needed = just_enough(inputs["advantage_bps"], 0.75 * 0.5 * sqrt(HORIZON_S))
    assert inputs["fill_probability_min"] == pytest.approx(needed, abs=1e-3)
    rest, take = sizes(decision)
    assert rest == pytest.approx(-472.5 * log(needed) - 1_000.0, abs=12.0)
    assert inputs["fill_probability"] == pytest.approx(exp(-(1_000.0 + rest) / 472.5))
    assert take == 1_000 - rest
    assert decision.reason == SplitWhy.SPLIT
    assert decision.note == (
        f"Rest {rest / 1000:.3f} at 10000.0 and cross {take / 1000:.3f}: "
        "what rests is what has chance enough to be filled."
    )
    assert decision.placements == (
        Rest(VENUE, rest, 100_000, NOW_NS + 15 * NS, TimeoutBound.FIXED),
        Take(VENUE, take, 100_201),
    )
    assert decision.revisit.best_moved_ticks == 6
    assert decision.revisit.triggers == (Trigger("spread_bps", above=True, level=7.5),)
    costs = {one.name: one.cost_bps or 0.0 for one in decision.alternatives}
    assert list(costs) == ["cross", "rest", "split"]
    assert costs["split"] < min(costs["cross"], costs["rest"])


@given(
    flow=st.floats(10.0, 200.0),
    volatility=st.floats(0.05, 2.0),
    shape=st.floats(0.5, 4.0),
    under=st.sampled_from([0.0, 0.0, 1.5]),
    urgency=st.sampled_from([0.0, 0.0, 0.5, 0.8]),
    side=st.sampled_from(Side),
)
def test_units_rest_that_rule_2_would_let_rest(
    flow: float, volatility: float, shape: float, under: float, urgency: float, side: Side
) -> None:
    values = params({"split.outflow_shape": shape, "split.under_bps": under})
    found = market(buy_flow=flow, sell_flow=flow, volatility=volatility)
    decision = asked(big(found, side=side, urgency=urgency), values)
    inputs = dict(decision.inputs)
    rest, _ = sizes(decision)
    needed, reached = inputs["fill_probability_min"], inputs["fill_probability"]
    risk = 0.1 * urgency / (1.0 - urgency) * volatility * sqrt(HORIZON_S)
    # What a unit loses that is missing is the Gaussian bound at the chance that is just enough, and the penalty.
    if needed < 0.999:
        bound = 0.75 * volatility * sqrt(HORIZON_S) * selection(needed)
        assert inputs["loss_bps"] == pytest.approx(bound + under, rel=1e-6)

    def worth(chance: float) -> float:
        """What the rule says for a unit with this chance, less the price of risk."""
        advantage, loss = inputs["advantage_bps"], inputs["loss_bps"]
        rule = expected_difference_bps(fill_probability=chance, advantage_bps=advantage, drift_bps=loss)
        return -rule - risk

    assert needed == 1.0 or abs(worth(needed)) < 1e-9
    assert rest == inputs["rest_lots"]
    assert rest == 0 or worth(reached) > -1e-9
    # A lot more would not be worth it.
    if 0 < rest < 1_000:
        assert reached == pytest.approx(needed, abs=0.01)


def test_a_sure_fill_rests_and_no_fill_crosses() -> None:
    sure = asked(big(market(sell_flow=1e6)))
    assert (sizes(sure), sure.reason) == ((1_000, 0), SplitWhy.JOIN_ALL)
    for flow in (0.0, 1.0):
        never = asked(big(market(sell_flow=flow)))
        assert (sizes(never), never.reason) == ((0, 1_000), Why.NOT_WORTH_IT)


@pytest.mark.parametrize(
    ("changes", "values"),
    [
        ({}, {"split.under_bps": 100.0}),
        ({"urgency": 0.99}, {}),
        ({}, {"placement.drift_scale": 5.0, "split.horizon_s": 50.0}),
    ],
)
def test_a_huge_penalty_crosses(changes: dict[str, object], values: dict[str, float]) -> None:
    decision = asked(big(market(sell_flow=150.0), **changes), params(values))
    assert (sizes(decision), decision.reason) == ((0, 1_000), Why.NOT_WORTH_IT)


def test_a_part_below_the_minimum_goes_with_the_other() -> None:
    instrument = big().instrument
    rest, take = sizes(asked(big()))
    assert take > rest + 1
    few = msgspec.structs.replace(instrument, min_qty_lots=rest + 1)
    assert sizes(asked(big(instrument=few))) == (0, 1_000)
    rest, take = sizes(asked(big(market(sell_flow=60.0))))
    assert rest > take + 1
    nearly = msgspec.structs.replace(instrument, min_qty_lots=take + 1)
    assert sizes(asked(big(market(sell_flow=60.0), instrument=nearly))) == (1_000, 0)


def test_what_rests_stays_and_what_is_new_is_split_behind_it() -> None:
    own = resting(100_000, 300, since_ns=NOW_NS - NS)
    alone = asked(big(open_lots=300, resting=(own,)))
    kept = Rest(VENUE, 300, 100_000, own.expire_ns, TimeoutBound.NONE)
    assert (alone.reason, alone.placements) == (Why.KEEP, (kept,))
    more = asked(big(open_lots=1_300, resting=(own,)))
    assert more.reason == SplitWhy.SPLIT
    first, behind, across = more.placements
    assert first == kept
    assert isinstance(behind, Rest)
    assert isinstance(across, Take)
    assert behind.qty_lots + across.qty_lots == 1_000
    nobody = asked(big(market(sell_flow=1.0), open_lots=1_300, resting=(own,)))
    assert (nobody.reason, nobody.placements[0], sizes(nobody)) == (SplitWhy.CROSS_ALL, kept, (300, 1_000))


def test_a_touch_that_ran_away_is_joined_anew() -> None:
    away = resting(99_993, 1_000)
    chased = asked(big(resting=(away,)))
    assert chased.reason == SplitWhy.SPLIT
    assert all(one.price_ticks == 100_000 for one in chased.placements if isinstance(one, Rest))
    young = resting(99_993, 1_000, since_ns=NOW_NS)
    assert asked(big(resting=(young,))).reason == Why.KEEP
    tired = asked(big(resting=(away,), requotes=3, memory={**chased.memory, "requotes": 0.0}))
    assert (tired.reason, sizes(tired)) == (Why.RAN_AWAY, (0, 1_000))


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (big(may_rest=False), Why.MAY_NOT_REST),
        (big(urgency=1.0), Why.URGENT),
        (big(mae_budget_bps=1.0, adverse_bps=2.0), Why.EXCURSION),
        (big(mae_budget_bps=0.01), Why.EXCURSION),
        (big(due_ns=NOW_NS + NS // 8), Why.TOO_LATE),
        (big(market(asks=((100_060, 5_000),), sell_flow=500.0)), Why.WIDE),
        (big(market(asks=((100_090, 5_000),), sell_flow=500.0), resting=(resting(100_000, 300),)), Why.WIDE),
    ],
)
def test_it_crosses_all_where_nothing_may_rest(seen: View, reason: Why) -> None:
    decision = asked(seen)
    assert (decision.reason, sizes(decision)) == (reason, (0, 1_000))


def test_after_its_horizon_it_crosses() -> None:
    first = asked(big())
    timed_out = asked(big(open_lots=400, timeouts=1, memory=first.memory))
    assert (timed_out.reason, sizes(timed_out)) == (Why.TIMED_OUT, (0, 400))


def test_before_flow_is_measured_all_rests_for_a_fixed_time() -> None:
    decision = asked(big(market(window_s=1.0)))
    assert decision.placements == (Rest(VENUE, 1_000, 100_000, NOW_NS + 5 * NS, TimeoutBound.FIXED),)
    assert decision.reason == Why.REST_UNMEASURED


def test_the_limit_bounds_both_parts() -> None:
    at_touch = asked(big(limit_ticks=100_001))
    assert [one.collar_ticks for one in at_touch.placements if isinstance(one, Take)] == [100_001]
    within = asked(big(limit_ticks=99_990))
    assert (within.reason, sizes(within)) == (Why.REST_AT_LIMIT, (1_000, 0))


def test_what_is_below_the_minimum_keeps_resting() -> None:
    least = msgspec.structs.replace(view().instrument, min_qty_lots=50)
    own = resting(100_000, 30)
    decision = asked(big(instrument=least, open_lots=30, filled_lots=70, resting=(own,), timeouts=9))
    assert [one.qty_lots for one in decision.placements if isinstance(one, Rest)] == [30]
    assert not any(isinstance(one, Take) for one in decision.placements)


def test_it_can_be_told_to_cross_and_to_rest() -> None:
    assert isinstance(POLICY, Forceable)
    told = [POLICY.decide_as(big(), BASELINE, way) for way in POLICY.ways]
    assert [type(one.placements[0]) for one in told if one is not None] == [Take, Rest]
    assert POLICY.decide_as(big(limit_ticks=99_990), BASELINE, "cross") is None
