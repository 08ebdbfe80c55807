from decimal import Decimal

import msgspec
import pytest

from policies.cross import Cross
from policies.plain_limit import PlainLimit, PlainLimitReason
from sor.errors import CallerError
from sor.ids import ParentId, VenueName
from sor.invariants import apply
from sor.market import MarketView, Trust
from sor.orders import ParentOrder, Side
from sor.policy import Alternative, ChecksOrder, Decision, Policy, Rest, Take
from sor.reasons import TimeoutBound
from sor.revisit import Revisit
from sor.snapshot import View
from sor.units import MS, NS
from tests.fakes.views import BASELINE, NOW_NS, VENUE, market, resting, view

POLICY = PlainLimit()
Why = PlainLimitReason
UNTIL_NS = NOW_NS + 60 * NS - 100 * MS


def asked(seen: View) -> Decision:
    return POLICY.decide(seen, BASELINE)


def at_limit(lots: int, price: int) -> Rest:
    return Rest(VENUE, lots, price, UNTIL_NS, TimeoutBound.TIME_LEFT)


def test_it_is_a_policy_that_looks_at_the_order() -> None:
    assert isinstance(POLICY, Policy)
    assert isinstance(POLICY, ChecksOrder)
    assert not isinstance(Cross(), ChecksOrder)


def test_a_parent_without_a_limit_is_refused_at_the_door() -> None:
    order = ParentOrder(parent_id=ParentId("p"), symbol="BTCUSDT", side=Side.BUY, quantity=Decimal(1))
    with pytest.raises(CallerError, match=r"^parent 'p': policy 'plain_limit' needs a limit price; nothing was sent"):
        POLICY.check(order)
    POLICY.check(msgspec.structs.replace(order, limit=Decimal(10)))


def test_beyond_the_limit_it_rests_at_it_until_time_is_up() -> None:
    # The touch to take from is 100 001. A fill at 99 990 is 10.5 ticks of 100 000.5 better than arrival, fee 2 bps.
    decision = asked(view(limit_ticks=99_990))
    rest_bps = decision.alternatives[1].cost_bps
    assert rest_bps == pytest.approx(2.0 - 1e4 * 10.5 / 100_000.5)
    assert decision == Decision(
        placements=(at_limit(100, 99_990),),
        revisit=Revisit(),
        reason=Why.REST,
        note="Rest 0.100 at the limit, 9999.0.",
        inputs=(("limit_away_ticks", 11.0), ("open_lots", 100.0)),
        alternatives=(
            Alternative("cross", None, None, "the limit forbids it"),
            Alternative("rest", rest_bps, None, "if it is filled at the limit"),
        ),
    )


@pytest.mark.parametrize(
    ("side", "limit", "collar"),
    [
        (Side.BUY, 100_001, 100_001),
        (Side.BUY, 100_150, 100_150),
        (Side.BUY, 120_000, 100_201),  # 20 bps beyond the touch, whatever the limit allows
        (Side.SELL, 100_000, 100_000),
        (Side.SELL, 99_900, 99_900),
    ],
)
def test_within_the_limit_it_takes(side: Side, limit: int, collar: int) -> None:
    decision = asked(view(side=side, limit_ticks=limit))
    assert decision.placements == (Take(VENUE, 100, collar),)
    assert (decision.reason, decision.revisit) == (Why.TAKE, Revisit(on_untrusted=False))
    assert decision.alternatives[0].cost_bps == pytest.approx(5.05, abs=1e-3)


@pytest.mark.parametrize(("side", "limit"), [(Side.BUY, 100_000), (Side.SELL, 100_001)])
def test_one_tick_from_the_touch_it_rests(side: Side, limit: int) -> None:
    decision = asked(view(side=side, limit_ticks=limit))
    assert (decision.placements, decision.reason) == ((at_limit(100, limit),), Why.REST)


def test_its_order_keeps_its_place_also_when_the_market_comes_through() -> None:
    own = resting(100_000, 60, expire_ns=NOW_NS + NS)
    for seen in (market(), market(bids=((99_900, 5),), asks=((99_901, 5),))):
        before = view(seen, limit_ticks=100_000, resting=(own,), open_lots=60)
        decision = asked(before)
        assert (decision.placements, decision.reason) == ((at_limit(60, 100_000),), Why.KEEP)
        ruled = apply(decision, before, BASELINE)
        assert (ruled.decision.placements, ruled.vetoes) == (decision.placements, ())


def test_what_is_open_besides_is_placed_beside_it() -> None:
    own = resting(100_000, 60)
    more = asked(view(limit_ticks=100_000, resting=(own,)))
    assert more.placements == (at_limit(60, 100_000), at_limit(40, 100_000))
    through = asked(view(market(bids=((99_900, 5),), asks=((99_901, 5),)), limit_ticks=100_000, resting=(own,)))
    assert through.placements == (at_limit(60, 100_000), Take(VENUE, 40, 100_000))
    fewer = asked(view(limit_ticks=100_000, resting=(own,), open_lots=20))
    assert fewer.placements == (at_limit(20, 100_000),)


def test_what_is_open_besides_and_below_the_minimum_waits() -> None:
    seen = view(limit_ticks=100_000, resting=(resting(100_000, 60),))
    least = msgspec.structs.replace(seen.instrument, min_qty_lots=41)
    assert asked(msgspec.structs.replace(seen, instrument=least)).placements == (at_limit(60, 100_000),)


def test_an_order_elsewhere_is_not_kept() -> None:
    own = msgspec.structs.replace(resting(99_990, 100), venue=VenueName("other"))
    for old in (own, resting(99_980, 100)):
        assert asked(view(limit_ticks=99_990, resting=(old,))).placements == (at_limit(100, 99_990),)


@pytest.mark.parametrize("changes", [{"may_rest": False}, {"deadline_ns": NOW_NS + 100 * MS}])
def test_where_nothing_may_rest_it_waits_for_the_touch(changes: dict[str, object]) -> None:
    decision = asked(view(limit_ticks=99_995, resting=(resting(99_990, 100),), **changes))
    assert (decision.placements, decision.reason) == ((), Why.LIMIT_AWAY)
    assert decision.revisit == Revisit(best_moved_ticks=6)


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (view(), Why.NO_LIMIT),
        (view(limit_ticks=99_990, open_lots=0), Why.NOTHING_DUE),
        (view(market(trust=Trust.GAP), limit_ticks=99_990), Why.UNTRUSTED),
        (view(market(bids=()), limit_ticks=99_990), Why.UNTRUSTED),
    ],
)
def test_it_holds_where_nothing_can_be_done(seen: View, reason: Why) -> None:
    decision = asked(seen)
    assert (decision.placements, decision.reason, decision.alternatives) == ((), reason, ())


def test_a_market_too_wide_to_rest_in_is_waited_out() -> None:
    wide: MarketView = market(bids=((9_975, 5),), asks=((10_100, 5),))
    seen = view(wide, limit_ticks=9_980)
    ruled = apply(asked(seen), seen, BASELINE)
    assert ruled.decision.placements == ()
    assert ruled.vetoes == ("spread_too_wide", "limit_price")
    assert ruled.decision.revisit.best_moved_ticks == 1
