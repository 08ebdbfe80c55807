"""`maker_first`: a fixed time, then a crossing. What it shares with the others is tested with `cost_aware`."""

import msgspec
import pytest

from policies.case import EXCURSION, Why
from policies.maker_first import MakerFirst
from sor.market import MarketView, Trust
from sor.orders import Side
from sor.params import Params
from sor.policy import Decision, Policy, Rest, Take
from sor.reasons import TimeoutBound
from sor.snapshot import View
from sor.units import MS, NS
from tests.fakes.views import BASELINE, NOW_NS, VENUE, market, only, params, resting, view

POLICY = MakerFirst()


def asked(seen: View, values: Params = BASELINE) -> Decision:
    return POLICY.decide(seen, values)


def test_it_is_a_policy_that_names_every_parameter_it_reads() -> None:
    assert isinstance(POLICY, Policy)
    alone = only(POLICY.needs)
    own = resting(99_990, 60)
    views = [
        view(),
        view(mae_budget_bps=5.0),
        view(may_rest=False),
        view(timeouts=1, memory={"due_ns": float(view().due_ns), "timeouts": 0.0, "requotes": 0.0, "refusals": 0.0}),
        view(resting=(own,)),
        view(resting=(own,), limit_ticks=100_000),
        view(limit_ticks=99_990),
        view(market(trust=Trust.GAP)),
    ]
    assert [asked(seen, alone) for seen in views] == [asked(seen) for seen in views]


@pytest.mark.parametrize(("side", "price"), [(Side.BUY, 100_001), (Side.SELL, 100_003)])
def test_it_rests_at_the_maker_price_for_its_time(side: Side, price: int) -> None:
    wide = market(bids=((100_000, 1_000),), asks=((100_004, 1_000),))
    decision = asked(view(wide, side=side))
    assert decision.placements == (Rest(VENUE, 100, price, NOW_NS + 15 * NS, TimeoutBound.FIXED),)
    assert decision.reason is Why.REST
    short = asked(view(wide, side=side), params({"placement.timeout_s_max": 2.0}))
    assert short.placements == (Rest(VENUE, 100, price, NOW_NS + 2 * NS, TimeoutBound.FIXED),)


@pytest.mark.parametrize(
    "seen",
    [market(volatility=90.0), market(sell_flow=0.0), market(bids=((100_000, 1_901),), asks=((100_001, 99),))],
)
def test_it_asks_for_nothing_but_the_spread(seen: MarketView) -> None:
    assert asked(view(seen)).reason is Why.REST


def test_a_spread_that_is_too_wide_is_crossed_and_one_that_opens_is_left() -> None:
    over = market(bids=((100_000, 500),), asks=((100_051, 500),))
    assert asked(view(over)).reason is Why.WIDE
    assert asked(view(over, resting=(resting(100_000, 100),))).reason is Why.KEEP
    wider = market(bids=((100_000, 500),), asks=((100_076, 500),))
    assert asked(view(wider, resting=(resting(100_000, 100),))).reason is Why.WIDE


def test_it_never_chases() -> None:
    own = resting(99_000, 100)
    decision = asked(view(resting=(own,)))
    assert decision.placements == (Rest(VENUE, 100, 99_000, own.expire_ns, TimeoutBound.NONE),)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"may_rest": False}, Why.MAY_NOT_REST),
        ({"urgency": 1.0}, Why.URGENT),
        ({"mae_budget_bps": 4.0, "adverse_bps": 4.5}, Why.EXCURSION),
        ({"mae_budget_bps": 5.0, "adverse_bps": 4.9}, Why.EXCURSION),
        ({"deadline_ns": NOW_NS + 699 * MS, "due_ns": NOW_NS + 199 * MS}, Why.TOO_LATE),
    ],
)
def test_what_may_not_rest_crosses(changes: dict[str, object], reason: Why) -> None:
    decision = asked(view(**changes))
    assert (decision.reason, decision.placements) == (reason, (Take(VENUE, 100, 100_201),))


def test_it_crosses_after_its_timeouts_and_after_so_many_refusals() -> None:
    memory = asked(view()).memory
    assert asked(view(timeouts=1, memory=memory)).reason is Why.TIMED_OUT
    assert asked(view(timeouts=1, memory=memory), params({"placement.timeouts_max": 2.0})).reason is Why.REST
    assert asked(view(refusals=4, memory=memory)).reason is Why.REST
    assert asked(view(refusals=5, memory=memory)).reason is Why.REFUSED


def test_the_excursion_budget_binds_before_its_time() -> None:
    (rest,) = asked(view(mae_budget_bps=5.0, adverse_bps=3.0)).placements
    assert isinstance(rest, Rest)
    # (2 / (0.5 * 1.644854))^2 = 5.9138 s
    assert rest.bound_by is TimeoutBound.EXCURSION
    assert (rest.expire_ns - NOW_NS) / NS == pytest.approx(5.9138, abs=1e-4)


def test_a_set_gives_a_budget_to_each_slice_of_parents_without_one() -> None:
    given = params({EXCURSION: 5.0})
    # The slice begins three against us: its own budget is whole then, whatever the parent has lost before.
    first = asked(view(adverse_bps=3.0), given)
    (rest,) = first.placements
    assert isinstance(rest, Rest)
    # (5 / (0.5 * 1.644854))^2 = 36.961 s is longer than what it rests for.
    assert rest.bound_by is TimeoutBound.FIXED
    assert first.memory["adverse_bps"] == 3.0
    (later,) = asked(view(adverse_bps=6.0, memory=first.memory), given).placements
    assert isinstance(later, Rest)
    assert later.bound_by is TimeoutBound.EXCURSION
    assert (later.expire_ns - NOW_NS) / NS == pytest.approx(5.9138, abs=1e-4)
    assert asked(view(adverse_bps=8.5, memory=first.memory), given).reason is Why.EXCURSION
    # Another slice begins anew; a parent's own budget comes first and counts from its arrival.
    assert asked(view(adverse_bps=8.5, memory={**first.memory, "due_ns": 1.0}), given).reason is Why.REST
    assert asked(view(adverse_bps=3.0, mae_budget_bps=2.0), given).reason is Why.EXCURSION
    assert "adverse_bps" not in asked(view(adverse_bps=3.0)).memory


def test_the_limit_holds() -> None:
    assert asked(view(limit_ticks=99_990)).reason is Why.REST_AT_LIMIT
    assert asked(view(may_rest=False, limit_ticks=100_050)).placements == (Take(VENUE, 100, 100_050),)
    assert asked(view(may_rest=False, limit_ticks=99_995)).reason is Why.LIMIT_AWAY


def test_it_waits_for_a_sound_book_and_for_something_to_do() -> None:
    assert asked(view(market(trust=Trust.CROSSED))).reason is Why.UNTRUSTED
    assert asked(view(msgspec.structs.replace(market(), asks=()))).placements == ()
    assert asked(view(open_lots=0)).reason is Why.NOTHING_DUE
