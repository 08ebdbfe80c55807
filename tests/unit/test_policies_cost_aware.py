"""One test a question, in the order in which `cost_aware` asks them; `tests.fakes.views` has the calm market."""

from math import sqrt
from statistics import NormalDist

import msgspec
import pytest

from policies.case import Why
from policies.cost_aware import CostAware
from sor.market import MarketView, Trust
from sor.orders import Side
from sor.params import Params
from sor.policy import Alternative, Decision, Policy, Rest, Take
from sor.reasons import TimeoutBound
from sor.revisit import Revisit, Trigger
from sor.snapshot import View
from sor.units import MS, NS
from tests.fakes.views import ASKS, BASELINE, BIDS, NOW_NS, VENUE, market, only, params, resting, view

POLICY = CostAware()
WIDENED = (Trigger("spread_bps", above=True, level=7.5),)
DUE_NS = view().due_ns
MEMORY = {
    "due_ns": float(DUE_NS),
    "since_ns": float(NOW_NS),
    "timeouts": 0.0,
    "requotes": 0.0,
    "refusals": 0.0,
    "filled": 0.0,
}
ON_THE_FIRST_RUNG = {
    "elapsed": 0.0,
    "elapsed_max": 1.0,
    "behind": 0.0,
    "behind_max": 1.0,
    "timeouts": 0.0,
    "timeouts_max": 1.0,
    "refusals": 0.0,
    "refusals_max": 2.0,
}


def asked(seen: View, values: Params = BASELINE) -> Decision:
    return POLICY.decide(seen, values)


def rests(decision: Decision) -> Rest:
    (placement,) = decision.placements
    assert isinstance(placement, Rest), decision.reason
    return placement


def numbers(decision: Decision) -> dict[str, float]:
    """The inputs by name, each asked once."""
    assert len(dict(decision.inputs)) == len(decision.inputs)
    return dict(decision.inputs)


def test_it_is_a_policy_that_names_every_parameter_it_reads() -> None:
    assert isinstance(POLICY, Policy)
    assert sorted(POLICY.needs) == list(POLICY.needs)
    alone = only(POLICY.needs)
    own = resting(99_990, 60)
    views = [
        view(),
        view(market(window_s=1.0)),
        view(mae_budget_bps=5.0),
        view(may_rest=False),
        view(resting=(own,)),
        view(resting=(own,), limit_ticks=100_000),
        view(limit_ticks=99_990),
        view(market(trust=Trust.GAP)),
    ]
    assert [asked(seen, alone) for seen in views] == [asked(seen) for seen in views]


# --- the whole answer, by hand ----------------------------------------------------------------------------------------


def test_a_calm_market_rests_at_the_touch_for_as_long_as_it_is_worth_most() -> None:
    # One tick of spread, so it joins the bid (S1) behind 1000 lots. Sellers take 500 lots/s, of which 0.7 count:
    # 350 / (1000 + 100) = 0.31818 fills a second. The worth grows up to the cap of 15 s: x = 4.7727, p = 0.82677.
    # A = one tick (0.1 bps) + 5 - 2; drift 0.75 * 0.5 * sqrt(15) * phi(Phi^-1(p)); risk 0.1 * 1 * 0.5 * sqrt(15).
    rate = 0.7 * 500.0 / 1_100
    p = 15 * rate / (1 + 15 * rate)
    normal = NormalDist()
    drift = 0.375 * sqrt(15) * normal.pdf(normal.inv_cdf(p))
    saving = p * (3.0 + 1e4 / 100_000.5) - drift
    worth = saving - 0.05 * sqrt(15)
    cross = 5.0 + 1e4 * 0.5 / 100_000.5

    decision = asked(view())
    seen = numbers(decision)
    assert seen == pytest.approx(
        {
            **ON_THE_FIRST_RUNG,
            "left_s": 59.4,
            "left_s_min": 0.1,
            "spread_bps": 1e4 / 100_000.5,
            "spread_bps_max": 5.0,
            "volatility": 0.5,
            "volatility_max": 5.0,
            "own_touch_share": 0.5,
            "own_touch_share_max": 0.95,
            "ahead_lots": 1_000.0,
            "fill_rate": rate,
            "longest_s": 15.0,
            "fill_probability": p,
            "drift_bps": drift,
            "saving_bps": saving,
            "worth_bps": worth,
            "worth_bps_min": 0.0,
            "timeout_s": 15.0,
        }
    )
    assert [one.cost_bps for one in decision.alternatives] == pytest.approx([cross, cross - saving])
    assert msgspec.structs.replace(decision, inputs=(), alternatives=()) == Decision(
        placements=(Rest(VENUE, 100, 100_000, NOW_NS + 15 * NS, TimeoutBound.FIXED),),
        revisit=Revisit(None, 6, WIDENED),  # 0.5 bps are 5.000025 ticks: 6 are one too many
        reason=Why.REST,
        note="Rest 0.100 at 10000.0 for 15.0 s. Expected to save 2.19 bps, filled with probability 0.83.",
        memory=MEMORY,
    )


def test_it_rests_one_tick_inside_where_there_is_room() -> None:
    wide = market(bids=((100_000, 1_000),), asks=((100_004, 1_000),))
    assert rests(asked(view(wide))).price_ticks == 100_001
    assert rests(asked(view(wide, side=Side.SELL))).price_ticks == 100_003
    # Nobody stands there: the queue ahead is empty, and the rate is 350 / 100.
    assert numbers(asked(view(wide)))["fill_rate"] == pytest.approx(3.5)


def test_a_sell_is_the_mirror_of_a_buy() -> None:
    seen = market(buy_flow=400.0, sell_flow=90.0)
    decision = asked(view(seen, side=Side.SELL))
    assert rests(decision) == Rest(VENUE, 100, 100_001, NOW_NS + 15 * NS, TimeoutBound.FIXED)
    assert numbers(decision)["fill_rate"] == pytest.approx(0.7 * 400.0 / 1_100)


# --- 1 may it rest? ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"may_rest": False}, Why.MAY_NOT_REST),
        ({"urgency": 1.0}, Why.URGENT),
        ({"mae_budget_bps": 4.0, "adverse_bps": 4.5}, Why.EXCURSION),
        ({"timeouts": 1, "memory": MEMORY}, Why.TIMED_OUT),
    ],
)
@pytest.mark.parametrize("own", [(), (resting(100_000, 100),)])
def test_what_may_not_rest_crosses_whatever_rests(changes: dict[str, object], reason: Why, own: tuple[object]) -> None:
    decision = asked(view(resting=own, **changes))
    assert decision.placements == (Take(VENUE, 100, 100_201),)
    assert (decision.reason, decision.revisit) == (reason, Revisit(on_untrusted=False))
    cross, rest = decision.alternatives
    assert cross.cost_bps == pytest.approx(5.05, abs=1e-3)
    assert rest == Alternative("rest", None, None, "not estimated: ruled out before")


def test_a_slice_has_its_own_patience() -> None:
    second = view(timeouts=1, requotes=2, memory=MEMORY, due_ns=DUE_NS - 30 * NS)
    decision = asked(second)
    assert decision.reason is Why.REST
    assert decision.memory == {**MEMORY, "due_ns": float(DUE_NS - 30 * NS), "timeouts": 1.0, "requotes": 2.0}
    assert asked(view(timeouts=2, memory=decision.memory, due_ns=second.due_ns)).reason is Why.TIMED_OUT
    patient = params({"ladder.improve.timeouts_max": 2.0})
    assert asked(view(timeouts=2, memory=decision.memory, due_ns=second.due_ns), patient).reason is Why.REST


# --- 2 is the market calm? --------------------------------------------------------------------------------------------

# A spread of 50 ticks is 4.9988 bps at 100 025, one of 51 ticks 5.0987.
AT_5_BPS = market(bids=((100_000, 500),), asks=((100_050, 500),))
OVER_5_BPS = market(bids=((100_000, 500),), asks=((100_051, 500),))
LEANS_BID = market(bids=((100_000, 1_901),), asks=((100_001, 99),))


@pytest.mark.parametrize(
    ("seen", "side", "reason"),
    [
        (AT_5_BPS, Side.BUY, Why.REST),
        (OVER_5_BPS, Side.BUY, Why.WIDE),
        (market(volatility=5.0), Side.BUY, Why.NOT_WORTH_IT),
        (market(volatility=5.001), Side.BUY, Why.VOLATILE),
        (LEANS_BID, Side.BUY, Why.LEANING),
        (LEANS_BID, Side.SELL, Why.REST),
        (market(bids=((100_000, 99),), asks=((100_001, 1_901),)), Side.SELL, Why.LEANING),
        (market(bids=((100_000, 1_900),), asks=((100_001, 100),)), Side.BUY, Why.REST),
    ],
)
def test_only_a_calm_market_is_rested_in(seen: MarketView, side: Side, reason: Why) -> None:
    assert asked(view(seen, side=side)).reason is reason


def test_the_calm_spread_is_the_param_sets() -> None:
    assert asked(view(OVER_5_BPS), params({"placement.calm_spread_max": 6.0})).reason is Why.REST
    narrow = asked(view(AT_5_BPS), params({"placement.calm_spread_max": 1.0}))
    assert narrow.reason is Why.WIDE
    assert numbers(narrow)["spread_bps_max"] == 1.0


# --- 3 is there time? -------------------------------------------------------------------------------------------------


def ends_in(seconds: float, **changes: object) -> View:
    """A parent whose time is up in so many seconds, half a second of which is the machine's margin."""
    deadline_ns = NOW_NS + round(seconds * NS)
    return view(deadline_ns=deadline_ns, due_ns=deadline_ns - 500 * MS, **changes)


def test_below_two_round_trips_it_does_not_post() -> None:
    # 0.5 s margin, 0.1 s for a cancel and a crossing, and another 0.1 s, below which it does not post at all.
    assert asked(ends_in(0.7)).reason is not Why.TOO_LATE
    late = asked(ends_in(0.699))
    assert (late.reason, late.placements) == (Why.TOO_LATE, (Take(VENUE, 100, 100_201),))
    assert numbers(late) == pytest.approx({**ON_THE_FIRST_RUNG, "left_s": 0.099, "left_s_min": 0.1})


@pytest.mark.parametrize(
    ("seen", "timeout_s", "bound"),
    [
        (ends_in(10.6), 10.0, TimeoutBound.TIME_LEFT),
        (view(due_ns=NOW_NS + 10_100 * MS), 10.0, TimeoutBound.SCHEDULE),
        (view(), 15.0, TimeoutBound.FIXED),
        # (2 / (0.5 * 1.644854))^2 = 5.9138 s
        (view(mae_budget_bps=5.0, adverse_bps=3.0), 5.9138, TimeoutBound.EXCURSION),
        # Nobody stands ahead: 3.5 fills a second. Waiting has a price, 1.8 bps/sqrt(s), and the worth of 15 s / 2^n is
        # 0.188 at n = 4, 0.303 at n = 5 and 0.238 at n = 6.
        (
            view(market(bids=((100_000, 900),), asks=((100_002, 900),), volatility=2.0), urgency=0.9),
            0.46875,
            TimeoutBound.HAZARD,
        ),
    ],
)
def test_the_least_bound_is_the_timeout_and_is_recorded(seen: View, timeout_s: float, bound: TimeoutBound) -> None:
    decision = asked(seen)
    placement = rests(decision)
    assert placement.bound_by is bound
    assert (placement.expire_ns - NOW_NS) / NS == pytest.approx(timeout_s, abs=1e-4)
    assert numbers(decision)["timeout_s"] == pytest.approx(timeout_s, abs=1e-4)


def test_an_excursion_budget_that_leaves_no_time_crosses() -> None:
    decision = asked(view(mae_budget_bps=5.0, adverse_bps=4.9))
    assert decision.reason is Why.EXCURSION
    assert numbers(decision)["longest_s"] == pytest.approx((0.1 / (0.5 * 1.644854)) ** 2, abs=1e-6)


# --- 4 is it worth it? ------------------------------------------------------------------------------------------------


def test_too_little_flow_crosses() -> None:
    # 0.7 f / 1100 * 59.4 * 4 reaches 1 at a flow of 6.6137 lots/s.
    assert asked(view(market(sell_flow=6.61))).reason is Why.SLOW
    assert asked(view(market(sell_flow=6.62))).reason is not Why.SLOW
    assert asked(view(market(sell_flow=0.0, buy_flow=9_999.0))).reason is Why.SLOW


def test_what_resting_costs_more_is_crossed_and_both_are_costed() -> None:
    decision = asked(view(market(volatility=5.0)))
    assert (decision.reason, decision.placements) == (Why.NOT_WORTH_IT, (Take(VENUE, 100, 100_201),))
    cross, rest = decision.alternatives
    assert cross.cost_bps is not None
    assert rest.cost_bps is not None
    assert rest.cost_bps == pytest.approx(cross.cost_bps - numbers(decision)["saving_bps"])
    assert decision.note == "Cross 0.100 at 5.05 bps expected. Resting is expected to cost more."


def test_a_deep_walk_of_our_own_flips_the_choice() -> None:
    # Fees the same for both; the market so volatile that a tick is not worth the wait, until the walk costs more.
    fees = msgspec.structs.replace(view().costs, maker_fee_bps=2.0, taker_fee_bps=2.0)
    thin = market(asks=((100_001, 50), (100_200, 5_000)), bids=((100_000, 50),), volatility=1.0)
    small, large = view(thin, costs=fees, open_lots=10), view(thin, costs=fees, open_lots=1_000)
    assert (asked(small).reason, asked(large).reason) == (Why.NOT_WORTH_IT, Why.REST)


def test_an_order_beyond_the_touch_pays_what_the_square_root_law_says_if_that_is_more() -> None:
    # 1,500 lots of a flow of 500/s at 2 bps/sqrt(s): 0.67 * 2 * sqrt(3) = 2.3209 bps; the walk of 500 lots by a tick
    # is 1/3 of a tick on average, 0.0333 bps.
    walked = 1e4 * (500 / 1_500) / 100_000.5
    decision = asked(view(market(volatility=2.0), open_lots=1_500))
    seen = numbers(decision)
    assert seen["walk_bps"] == pytest.approx(walked)
    assert seen["impact_bps"] == pytest.approx(0.67 * 2.0 * sqrt(3.0) - walked)
    cross = decision.alternatives[0]
    assert cross.cost_bps == pytest.approx(5.0 + 1e4 * 0.5 / 100_000.5 + walked + seen["impact_bps"])
    # The coefficient is known from 0.3 to 1.3, which is 3.92 standard errors.
    assert cross.se_bps == pytest.approx(1.0 * 2.0 * sqrt(3.0) / 3.92)
    within = asked(view(market(volatility=2.0), open_lots=1_000))
    assert "impact_bps" not in numbers(within)
    assert within.alternatives[0].se_bps is None


def test_our_own_impact_flips_the_choice() -> None:
    # So volatile that a wait is not worth the fees, until the crossing of a large order is dear as well.
    large = view(market(volatility=3.0, sell_flow=800.0), open_lots=2_500)
    none = params({"impact.coefficient": 0.0, "impact.coefficient_low": 0.0})
    assert (asked(large, none).reason, asked(large).reason) == (Why.NOT_WORTH_IT, Why.REST)


def test_urgency_prices_the_wait() -> None:
    decisions = [asked(view(urgency=urgency)) for urgency in (0.0, 0.5, 0.97)]
    assert [one.reason for one in decisions] == [Why.REST, Why.REST, Why.NOT_WORTH_IT]
    worths = [numbers(one)["worth_bps"] for one in decisions]
    assert worths == sorted(worths, reverse=True)


def test_unmeasured_flow_rests_for_a_fixed_time_and_names_no_cost() -> None:
    decision = asked(view(market(window_s=4.9, volatility=90.0, sell_flow=0.0)))
    assert rests(decision) == Rest(VENUE, 100, 100_000, NOW_NS + 5 * NS, TimeoutBound.FIXED)
    assert decision.reason is Why.REST_UNMEASURED
    assert decision.alternatives[1] == Alternative("rest", None, None, "flow and volatility are not measured yet")
    soon = asked(msgspec.structs.replace(ends_in(3.6), market=market(window_s=4.9)))
    assert rests(soon) == Rest(VENUE, 100, 100_000, NOW_NS + 3 * NS, TimeoutBound.TIME_LEFT)
    never = asked(view(market(window_s=4.9)), params({"placement.unmeasured_timeout_s": 0.05}))
    assert never.reason is Why.TOO_LATE
    assert asked(view(market(window_s=5.0, volatility=90.0))).reason is Why.VOLATILE


# --- what rests -------------------------------------------------------------------------------------------------------


def test_an_order_keeps_its_place_and_its_expiry() -> None:
    own = resting(99_998, 60)
    decision = asked(view(resting=(own,), open_lots=60))
    assert decision.placements == (Rest(VENUE, 60, 99_998, own.expire_ns, TimeoutBound.NONE),)
    assert (decision.reason, decision.revisit) == (Why.KEEP, Revisit(None, 4, WIDENED))
    assert (decision.note, decision.memory) == ("Keep resting. The touch is near enough.", MEMORY)
    assert (numbers(decision)["away_ticks"], numbers(decision)["away_ticks_max"]) == (2.0, 6.0)
    cross, rest = decision.alternatives
    assert cross.cost_bps == pytest.approx(5.05, abs=1e-3)
    assert rest == Alternative("rest", None, None, "keeps its place; not costed anew")


def test_what_has_become_due_rests_beside_it() -> None:
    own = resting(100_000, 60)
    both = asked(view(resting=(own,), open_lots=100))
    assert [(one.qty_lots, one.price_ticks) for one in both.placements if isinstance(one, Rest)] == [
        (60, 100_000),
        (40, 100_000),
    ]
    fewer = asked(view(resting=(own, resting(99_999, 60, child=2)), open_lots=70))
    assert [one.qty_lots for one in fewer.placements] == [60, 10]


def test_what_has_become_due_is_not_put_through_the_market() -> None:
    through = asked(view(resting=(resting(100_005, 60),), open_lots=100))
    assert [(one.qty_lots, one.price_ticks) for one in through.placements if isinstance(one, Rest)] == [
        (60, 100_005),
        (40, 100_000),
    ]


def test_what_is_due_below_the_minimum_waits() -> None:
    seen = view(resting=(resting(100_000, 60),), open_lots=100)
    least = msgspec.structs.replace(seen.instrument, min_qty_lots=41)
    assert [one.qty_lots for one in asked(msgspec.structs.replace(seen, instrument=least)).placements] == [60]


def test_a_flicker_does_not_move_it_but_what_lasts_does() -> None:
    calm = market(bids=((100_000, 500),), asks=((100_070, 500),))  # 6.998 bps, within 1.5 times 5
    over = market(bids=((100_000, 500),), asks=((100_076, 500),))  # 7.597 bps
    own = (resting(100_000, 100),)
    assert asked(view(calm, resting=own)).reason is Why.KEEP
    assert asked(view(over, resting=own)).reason is Why.WIDE
    assert asked(view(market(volatility=7.4), resting=own)).reason is Why.KEEP
    assert asked(view(market(volatility=7.6), resting=own)).reason is Why.VOLATILE


@pytest.mark.parametrize(("side", "price"), [(Side.BUY, 99_994), (Side.SELL, 100_007)])
def test_a_touch_that_ran_away_is_chased_once_the_order_is_old_enough(side: Side, price: int) -> None:
    # The dwell is 500 ms and 0.5 bps of 100 000.5 are 5.000025 ticks: 6 are too many.
    young = resting(price, 100, since_ns=NOW_NS - 499 * MS)
    waits = asked(view(side=side, resting=(young,)))
    assert (waits.reason, waits.revisit) == (Why.KEEP, Revisit(NOW_NS + MS, None, WIDENED))
    assert waits.note == "Keep resting. The touch is away, but may come back."
    old = msgspec.structs.replace(young, since_ns=NOW_NS - 500 * MS)
    chased = asked(view(side=side, resting=(old,)))
    assert chased.reason is Why.CHASE
    assert rests(chased).price_ticks == (100_000 if side is Side.BUY else 100_001)
    assert numbers(chased)["spread_bps_max"] == 5.0  # a new order is asked for the calm limit, not for the exit
    near = msgspec.structs.replace(old, price_ticks=price + side)
    assert asked(view(side=side, resting=(near,))).reason is Why.KEEP


def test_after_so_many_chases_it_crosses() -> None:
    old = (resting(99_000, 100),)
    assert asked(view(resting=old, requotes=2, memory=MEMORY)).reason is Why.CHASE
    crossed = asked(view(resting=old, requotes=3, memory=MEMORY))
    assert (crossed.reason, crossed.placements) == (Why.RAN_AWAY, (Take(VENUE, 100, 100_201),))


def test_a_market_that_came_through_the_order_leaves_it_where_it_is() -> None:
    own = resting(100_005, 100)
    decision = asked(view(resting=(own,)))
    assert decision.placements == (Rest(VENUE, 100, 100_005, own.expire_ns, TimeoutBound.NONE),)
    assert (decision.reason, decision.revisit.best_moved_ticks) == (Why.KEEP, 11)


def test_a_resting_order_is_looked_at_before_the_budget_is_used_up() -> None:
    # 0.25 bps of the mid are 2.5 ticks: a touch that moved 3 may have used them up.
    own = (resting(100_000, 100),)
    assert asked(view(resting=own, mae_budget_bps=5.0, adverse_bps=4.75)).revisit.best_moved_ticks == 3
    assert asked(view(resting=own, mae_budget_bps=5.0, adverse_bps=5.0)).revisit.best_moved_ticks == 1


# --- the limit --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "limit", "price"),
    [(Side.BUY, 99_990, 99_990), (Side.BUY, 100_000, 100_000), (Side.SELL, 100_011, 100_011)],
)
def test_where_the_limit_forbids_to_cross_it_rests_as_long_as_it_can(side: Side, limit: int, price: int) -> None:
    # Whatever it would cross for otherwise: urgency, a used budget, timeouts, a market that is not calm.
    hurried = view(
        market(volatility=50.0),
        side=side,
        limit_ticks=limit,
        urgency=1.0,
        timeouts=7,
        mae_budget_bps=1.0,
        adverse_bps=9,
    )
    decision = asked(hurried)
    left_ns = 59_400 * MS
    assert rests(decision) == Rest(VENUE, 100, price, NOW_NS + left_ns, TimeoutBound.TIME_LEFT)
    assert decision.reason is Why.REST_AT_LIMIT
    assert decision.revisit.best_moved_ticks is not None
    assert decision.revisit.best_moved_ticks >= 1  # anything less would ask again at once, for ever
    assert [one.note for one in decision.alternatives] == [
        "the limit forbids it",
        "not estimated: the limit leaves nothing else",
    ]


def test_at_its_limit_an_order_stays_and_is_moved_up_to_it() -> None:
    own = resting(99_990, 100)
    assert asked(view(limit_ticks=99_990, resting=(own,))).reason is Why.KEEP
    moved = asked(view(limit_ticks=99_999, resting=(own,)))
    assert (moved.reason, rests(moved).price_ticks) == (Why.REST_AT_LIMIT, 99_999)
    late = msgspec.structs.replace(ends_in(0.65), limit_ticks=99_999, resting=(own,))
    kept = asked(late)
    assert (kept.reason, kept.note) == (Why.KEEP, "Keep resting. No time is left for a new order.")


def test_an_order_beyond_a_new_limit_is_given_up() -> None:
    decision = asked(view(limit_ticks=99_990, resting=(resting(99_995, 100),)))
    assert (decision.reason, rests(decision).price_ticks) == (Why.REST_AT_LIMIT, 99_990)


@pytest.mark.parametrize("changes", [{"may_rest": False}, {"deadline_ns": NOW_NS + 650 * MS, "due_ns": NOW_NS}])
def test_beyond_the_limit_and_unable_to_rest_it_holds(changes: dict[str, object]) -> None:
    decision = asked(view(limit_ticks=99_995, **changes))
    assert (decision.placements, decision.reason) == ((), Why.LIMIT_AWAY)
    assert decision.revisit == Revisit(best_moved_ticks=6)
    assert numbers(decision)["limit_away_ticks"] == 6.0


def test_the_collar_never_passes_the_limit() -> None:
    assert asked(view(may_rest=False, limit_ticks=100_050)).placements == (Take(VENUE, 100, 100_050),)


# --- holding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "note"),
    [
        (market(trust=Trust.GAP), "The book is gap: wait until it is sound."),
        (msgspec.structs.replace(market(), trust=Trust.CROSSED), "The book is crossed: wait until it is sound."),
        (market(bids=()), "The book is incomplete: wait until it is sound."),
        (msgspec.structs.replace(market(), asks=()), "The book is incomplete: wait until it is sound."),
        (msgspec.structs.replace(market(), features=None), "The book is incomplete: wait until it is sound."),
    ],
)
def test_it_waits_for_a_sound_book(seen: MarketView, note: str) -> None:
    assert asked(view(seen, memory={"kept": 1.0})) == Decision(
        placements=(), revisit=Revisit(), reason=Why.UNTRUSTED, note=note, memory={"kept": 1.0}
    )


def test_nothing_due_is_nothing_done() -> None:
    decision = asked(view(open_lots=0, memory=MEMORY))
    assert (decision.placements, decision.reason, decision.memory) == ((), Why.NOTHING_DUE, MEMORY)


def test_what_the_book_does_not_show_is_said() -> None:
    decision = asked(view(may_rest=False, open_lots=10_000))
    assert decision.alternatives[0].note == " or more: the book shows less than that"
    assert sum(lots for _, lots in ASKS) == sum(lots for _, lots in BIDS) == 6_000
