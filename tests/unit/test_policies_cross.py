import pytest

from policies.cross import Cross, CrossReason, cross_bps, walk_ticks
from sor.market import MarketView, Trust
from sor.orders import Side
from sor.policy import Alternative, Decision, Policy, Take
from sor.revisit import Revisit
from tests.fakes.views import BASELINE, VENUE, market, params, view

CROSS = Cross()
REST = Alternative("rest", None, None, "not estimated by this policy")


def test_it_is_a_policy() -> None:
    assert isinstance(CROSS, Policy)
    assert (CROSS.name, CROSS.needs) == ("cross", ("placement.collar_bps",))


def test_it_takes_what_is_open_with_a_collar() -> None:
    # Mid 100000.5; 100 lots at 100001 are half a tick, 0.05 bps, above it; 20 bps of 100001 are 200 ticks.
    decision = CROSS.decide(view(), BASELINE)
    cost_bps = decision.alternatives[0].cost_bps
    assert cost_bps == pytest.approx(5.0 + 1e4 * 0.5 / 100_000.5)
    assert decision == Decision(
        placements=(Take(VENUE, 100, 100_201),),
        revisit=Revisit(on_untrusted=False),
        reason="cross",
        note="Cross 0.100 at 5.05 bps expected.",
        inputs=(("open_lots", 100.0), ("touch_ticks", 100_001.0), ("collar_ticks", 100_201.0)),
        alternatives=(Alternative("cross", cost_bps, None, ""), REST),
    )


def test_a_sell_takes_from_the_bids() -> None:
    decision = CROSS.decide(view(side=Side.SELL), params({"placement.collar_bps": 10.0}))
    assert decision.placements == (Take(VENUE, 100, 99_900),)


@pytest.mark.parametrize(
    ("side", "limit", "collar"),
    [
        (Side.BUY, 100_300, 100_201),
        (Side.BUY, 100_050, 100_050),
        (Side.BUY, 100_001, 100_001),
        (Side.SELL, 99_950, 99_950),
        (Side.SELL, 100_000, 100_000),
    ],
)
def test_the_collar_never_passes_the_limit(side: Side, limit: int, collar: int) -> None:
    assert CROSS.decide(view(side=side, limit_ticks=limit), BASELINE).placements == (Take(VENUE, 100, collar),)


@pytest.mark.parametrize(("side", "limit"), [(Side.BUY, 99_994), (Side.SELL, 100_007)])
def test_beyond_the_limit_it_waits_until_the_touch_is_back(side: Side, limit: int) -> None:
    assert CROSS.decide(view(side=side, limit_ticks=limit), BASELINE) == Decision(
        placements=(),
        revisit=Revisit(best_moved_ticks=7),
        reason="limit_away",
        note="The touch is 7 ticks beyond the limit: wait until it comes back.",
        inputs=(("limit_away_ticks", 7.0),),
    )


@pytest.mark.parametrize(
    "seen", [market(trust=Trust.GAP), market(trust=Trust.CROSSED), market(bids=()), market(asks=(), trust=Trust.EMPTY)]
)
def test_it_waits_for_a_sound_book(seen: MarketView) -> None:
    decision = CROSS.decide(view(seen), BASELINE)
    assert (decision.placements, decision.revisit, decision.reason) == ((), Revisit(), CrossReason.UNTRUSTED)


def test_nothing_due_is_nothing_done() -> None:
    decision = CROSS.decide(view(open_lots=0), BASELINE)
    assert (decision.placements, decision.reason) == ((), CrossReason.NOTHING_DUE)


def test_the_cost_is_spread_walk_drift_and_fee() -> None:
    # 1000 at 100001 and 500 at 100002 average 100001.333; arrival mid 99990.
    seen = view(open_lots=1_500, arrival_hticks=199_980)
    average, caveat = walk_ticks(seen, 1_500)
    assert average == pytest.approx(100_001 + 1 / 3)
    assert caveat == ""
    assert cross_bps(seen, average) == pytest.approx(1e4 * (11 + 1 / 3) / 99_990 + 5.0)


def test_a_sell_that_drifted_for_us_is_cheap() -> None:
    seen = view(side=Side.SELL, arrival_hticks=199_980)
    average, _ = walk_ticks(seen, 100)
    assert cross_bps(seen, average) == pytest.approx(-1e4 * 10 / 99_990 + 5.0)


def test_what_is_not_displayed_is_priced_at_the_last_level_and_said() -> None:
    seen = view(open_lots=10_000)
    average, caveat = walk_ticks(seen, 10_000)
    assert average == (1_000 * 100_001 + 2_000 * 100_002 + 7_000 * 100_003) / 10_000
    assert caveat == " or more: the book shows less than that"
    note = CROSS.decide(seen, BASELINE).note
    assert note == "Cross 10.000 at 5.21 bps expected or more: the book shows less than that."
