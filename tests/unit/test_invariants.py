import msgspec
import pytest

from sor.ids import VenueName
from sor.invariants import Admissible, Ruled, Veto, admissible, apply
from sor.market import MarketView, Trust
from sor.orders import Side
from sor.policy import Decision, Placement, Rest, Take
from sor.reasons import TimeoutBound
from sor.revisit import Revisit, Trigger
from sor.snapshot import View
from sor.units import MS, NS
from tests.fakes.views import BASELINE, NOW_NS, VENUE, market, params, resting, view

EXPIRE_NS = NOW_NS + 10 * NS
REST = Rest(VENUE, 100, 100_000, EXPIRE_NS, TimeoutBound.FIXED)
TAKE = Take(VENUE, 100, 100_101)
WATCHED = Revisit(NOW_NS + 3 * NS + 1, None, (Trigger("spread_bps", above=True, level=50.0),))


def decided(*placements: Placement, revisit: Revisit | None = None) -> Decision:
    return Decision(placements=placements, revisit=revisit or Revisit(), reason="any", note="why", memory={"kept": 1.0})


def ruled(seen: View, *placements: Placement) -> tuple[tuple[Placement, ...], tuple[str, ...]]:
    found = apply(decided(*placements), seen, BASELINE)
    return found.decision.placements, found.vetoes


def test_a_sound_decision_is_left_alone() -> None:
    both = decided(REST, msgspec.structs.replace(TAKE, qty_lots=1), revisit=Revisit(NOW_NS + NS, 3))
    seen = view(open_lots=101)
    assert apply(both, seen, BASELINE) == Ruled(
        msgspec.structs.replace(
            both,
            admissible=("rest", "take"),
            revisit=Revisit(NOW_NS + NS, 3, WATCHED.triggers),
        ),
        (),
    )


def test_what_takes_is_not_watched() -> None:
    assert apply(decided(TAKE, revisit=Revisit(on_untrusted=False)), view(), BASELINE).decision.revisit == Revisit(
        on_untrusted=False
    )


@pytest.mark.parametrize(
    ("seen", "veto"),
    [
        (market(trust=Trust.EMPTY), Veto.BOOK_EMPTY),
        (market(trust=Trust.GAP), Veto.BOOK_GAP),
        (market(trust=Trust.CROSSED), Veto.BOOK_CROSSED),
        (market(bids=()), Veto.BOOK_EMPTY),
        (market(asks=()), Veto.BOOK_EMPTY),
        (market(bids=((100_001, 5),)), Veto.BOOK_CROSSED),  # locked
        (market(bids=((100_002, 5),)), Veto.BOOK_CROSSED),
        (market(recv_ns=NOW_NS - 3 * NS - 1), Veto.BOOK_STALE),
    ],
)
@pytest.mark.parametrize("placement", [REST, TAKE])
def test_nothing_is_placed_on_a_book_that_is_not_sound(seen: MarketView, veto: Veto, placement: Placement) -> None:
    before = decided(placement)
    assert admissible(view(seen), BASELINE) == Admissible(may_rest=False, may_take=False, vetoes=(veto,))
    assert apply(before, view(seen), BASELINE) == Ruled(
        msgspec.structs.replace(before, placements=(), revisit=Revisit(NOW_NS + 3 * NS, 1), removed=(veto,)), (veto,)
    )


def test_a_book_at_the_stale_limit_still_counts() -> None:
    assert ruled(view(market(recv_ns=NOW_NS - 3 * NS)), TAKE) == ((TAKE,), ())


def test_no_calibration_makes_an_old_book_fresh() -> None:
    lenient = params({"market.stale_ms_max": 60_000.0})
    old = [market(recv_ns=NOW_NS - age) for age in (10 * NS, 10 * NS + 1)]
    assert [admissible(view(seen), lenient).may_take for seen in old] == [True, False]


def test_holding_on_an_unsound_book_changes_nothing_and_asks_again() -> None:
    hold = decided(revisit=Revisit(NOW_NS + 5, None))
    assert apply(hold, view(market(trust=Trust.GAP)), BASELINE) == Ruled(
        msgspec.structs.replace(hold, revisit=Revisit(NOW_NS + 5, 1), removed=("book_gap",)), ()
    )


# bid 9975, ask 10025: a spread of exactly 50 bps; one tick more is too wide.
AT_50 = market(bids=((9_975, 500),), asks=((10_025, 500),))
OVER_50 = market(bids=((9_975, 500),), asks=((10_026, 500),))


def test_nothing_rests_above_50_bps() -> None:
    rest = Rest(VENUE, 100, 9_976, EXPIRE_NS, TimeoutBound.FIXED)
    assert ruled(view(AT_50), rest) == ((rest,), ())
    assert ruled(view(OVER_50), rest) == ((Take(VENUE, 100, 10_026 + 20),), (Veto.SPREAD_TOO_WIDE,))
    generous = params({"placement.calm_spread_max": 1_000.0})
    assert not admissible(view(OVER_50), generous).may_rest


def test_a_rest_turned_into_a_take_keeps_the_policys_words() -> None:
    before = decided(Rest(VENUE, 100, 9_976, EXPIRE_NS, TimeoutBound.FIXED))
    after = apply(before, view(OVER_50), BASELINE).decision
    removed = {"admissible": ("take",), "removed": ("spread_too_wide",)}
    assert after == msgspec.structs.replace(before, placements=after.placements, **removed)


def test_nothing_rests_that_the_caller_forbids() -> None:
    assert ruled(view(may_rest=False), REST) == ((Take(VENUE, 100, 100_201),), (Veto.MAY_NOT_REST,))
    assert ruled(view(may_rest=False), TAKE) == ((TAKE,), ())


def test_nothing_rests_when_a_cancel_and_a_crossing_no_longer_fit() -> None:
    last = view(deadline_ns=NOW_NS + 100 * MS)
    assert admissible(last, BASELINE).may_rest
    late = view(deadline_ns=NOW_NS + 100 * MS - 1)
    assert ruled(late, REST) == ((Take(VENUE, 100, 100_201),), (Veto.TOO_LATE_TO_REST,))


def test_an_expiry_leaves_time_to_cancel_and_to_cross() -> None:
    seen = view(deadline_ns=NOW_NS + 5 * NS)
    cut = Rest(VENUE, 100, 100_000, NOW_NS + 5 * NS - 100 * MS, TimeoutBound.TIME_LEFT)
    assert ruled(seen, REST) == ((cut,), (Veto.EXPIRES_TOO_LATE,))


@pytest.mark.parametrize(
    ("side", "price", "moved"),
    [(Side.BUY, 100_001, 100_000), (Side.BUY, 100_050, 100_000), (Side.SELL, 99_000, 100_001)],
)
def test_a_resting_price_that_would_take_moves_back(side: Side, price: int, moved: int) -> None:
    rest = Rest(VENUE, 100, price, EXPIRE_NS, TimeoutBound.FIXED)
    assert ruled(view(side=side), rest) == ((msgspec.structs.replace(rest, price_ticks=moved),), (Veto.WOULD_TAKE,))


@pytest.mark.parametrize(("side", "own", "beyond"), [(Side.BUY, 100_001, 100_004), (Side.SELL, 100_000, 99_996)])
def test_an_own_order_the_market_came_through_stays(side: Side, own: int, beyond: int) -> None:
    # It is in the book already: keeping it takes nothing, and withdrawing it gives the place away as it is filled.
    for price in (own, beyond):
        seen = view(side=side, resting=(resting(price, 60),))
        keep = Rest(VENUE, 60, price, EXPIRE_NS, TimeoutBound.NONE)
        assert ruled(seen, keep) == ((keep,), ())


@pytest.mark.parametrize("sizes", [(30, 50), (50, 30)])
@pytest.mark.parametrize("owned", [(30, 50), (50, 30)])
def test_each_order_the_market_came_through_is_kept_by_what_names_its_size(
    sizes: tuple[int, ...], owned: tuple[int, ...]
) -> None:
    # First come, first fitted, the fifty that are wanted would take the thirty that rest, and the other fifty would go.
    seen = view(resting=tuple([resting(100_001, lots, child=no) for no, lots in enumerate(owned)]))
    keep = [Rest(VENUE, lots, 100_001, EXPIRE_NS, TimeoutBound.NONE) for lots in sizes]
    assert ruled(seen, *keep) == (tuple(keep), ())


def test_of_orders_smaller_than_what_is_wanted_the_largest_stays() -> None:
    seen = view(resting=(resting(100_001, 20), resting(100_001, 40, child=2)))
    wanted = Rest(VENUE, 60, 100_001, EXPIRE_NS, TimeoutBound.NONE)
    assert ruled(seen, wanted) == ((msgspec.structs.replace(wanted, qty_lots=40),), (Veto.WOULD_TAKE,))


def test_an_order_the_market_came_through_is_not_added_to() -> None:
    seen = view(resting=(resting(100_001, 60), resting(100_001, 30, child=2)))
    keep = Rest(VENUE, 60, 100_001, EXPIRE_NS, TimeoutBound.NONE)
    larger = msgspec.structs.replace(keep, qty_lots=70)
    both = (larger, msgspec.structs.replace(keep, qty_lots=30))
    assert ruled(seen, *both) == ((keep, both[1]), (Veto.WOULD_TAKE,))
    moved = msgspec.structs.replace(keep, qty_lots=10, price_ticks=100_000)
    assert ruled(seen, keep, both[1], msgspec.structs.replace(keep, qty_lots=10)) == (
        (keep, both[1], moved),
        (Veto.WOULD_TAKE,),
    )


def test_what_is_smaller_than_the_order_or_elsewhere_would_take() -> None:
    # The machine withdraws an order that is larger than what is wanted, and places anew.
    smaller = Rest(VENUE, 59, 100_001, EXPIRE_NS, TimeoutBound.NONE)
    moved = msgspec.structs.replace(smaller, price_ticks=100_000)
    own = resting(100_001, 60)
    assert ruled(view(resting=(own,)), smaller) == ((moved,), (Veto.WOULD_TAKE,))
    elsewhere = msgspec.structs.replace(own, venue=VenueName("other"))
    larger = msgspec.structs.replace(smaller, qty_lots=60)
    assert ruled(view(resting=(elsewhere,)), larger) == (
        (msgspec.structs.replace(larger, price_ticks=100_000),),
        (Veto.WOULD_TAKE,),
    )


def test_an_order_beyond_a_new_limit_is_moved_to_it() -> None:
    seen = view(limit_ticks=100_000, resting=(resting(100_002, 60),))
    keep = Rest(VENUE, 60, 100_002, EXPIRE_NS, TimeoutBound.NONE)
    assert ruled(seen, keep) == ((msgspec.structs.replace(keep, price_ticks=100_000),), (Veto.LIMIT_PRICE,))


@pytest.mark.parametrize(
    ("side", "limit", "rest_at", "collar"),
    [
        (Side.BUY, 100_050, 100_000, 100_050),
        (Side.BUY, 100_001, 100_000, 100_001),
        (Side.BUY, 99_990, 99_990, None),
        (Side.SELL, 99_950, 100_001, 99_950),
        (Side.SELL, 100_020, 100_020, None),
    ],
)
def test_no_price_is_beyond_the_limit(side: Side, limit: int, rest_at: int, collar: int | None) -> None:
    seen = view(side=side, limit_ticks=limit)
    near = 100_000 if side is Side.BUY else 100_001
    rest = Rest(VENUE, 100, near, EXPIRE_NS, TimeoutBound.FIXED)
    placed = msgspec.structs.replace(rest, price_ticks=rest_at)
    assert ruled(seen, rest) == ((placed,), () if rest_at == near else (Veto.LIMIT_PRICE,))
    take = Take(VENUE, 100, near + 100 * side)
    assert ruled(seen, take) == ((() if collar is None else (Take(VENUE, 100, collar),)), (Veto.LIMIT_PRICE,))


def test_what_the_limit_withdrew_comes_back_when_the_touch_moves() -> None:
    after = apply(decided(TAKE, revisit=Revisit(NOW_NS + NS)), view(limit_ticks=99_990), BASELINE).decision
    assert (after.placements, after.revisit) == ((), Revisit(NOW_NS + NS, best_moved_ticks=1))


def test_placements_add_up_to_what_is_open() -> None:
    rest, take = msgspec.structs.replace(REST, qty_lots=70), msgspec.structs.replace(TAKE, qty_lots=70)
    assert ruled(view(open_lots=100), rest, take) == (
        (rest, msgspec.structs.replace(take, qty_lots=30)),
        (Veto.QUANTITY,),
    )
    assert ruled(view(open_lots=70), rest, take) == ((rest,), (Veto.QUANTITY,))
    assert ruled(view(open_lots=0), rest) == ((), (Veto.QUANTITY,))


@pytest.mark.parametrize("lots", [0, -5])
def test_nothing_below_one_lot_is_placed(lots: int) -> None:
    nothing = msgspec.structs.replace(TAKE, qty_lots=lots)
    assert ruled(view(), nothing, REST) == ((REST,), (Veto.QUANTITY,))


def test_another_venue_cannot_be_judged_by_this_book() -> None:
    elsewhere = msgspec.structs.replace(REST, venue=VenueName("other"))
    assert ruled(view(), elsewhere, TAKE) == ((TAKE,), (Veto.OTHER_VENUE,))


def test_several_invariants_are_named_in_their_order() -> None:
    seen = view(OVER_50, may_rest=False, deadline_ns=NOW_NS, limit_ticks=10_030)
    rest = Rest(VENUE, 200, 9_976, EXPIRE_NS, TimeoutBound.FIXED)
    assert ruled(seen, rest) == (
        (Take(VENUE, 100, 10_030),),
        (Veto.SPREAD_TOO_WIDE, Veto.MAY_NOT_REST, Veto.TOO_LATE_TO_REST, Veto.QUANTITY),
    )


def test_what_rests_is_watched_whatever_the_policy_asked_for() -> None:
    own = Trigger("spread_bps", above=True, level=7.5)
    other = Trigger("volatility", above=True, level=9.0)
    after = [
        apply(decided(REST, revisit=revisit), view(), BASELINE).decision.revisit
        for revisit in (
            Revisit(on_untrusted=False),
            Revisit(NOW_NS + 9 * NS, 4, (other,)),
            Revisit(NOW_NS + NS, None, (own,)),
        )
    ]
    assert after == [
        WATCHED,
        Revisit(WATCHED.at_ns, 4, (other, *WATCHED.triggers)),
        Revisit(NOW_NS + NS, None, (own,)),
    ]


def test_no_price_is_below_one_tick() -> None:
    rest = Rest(VENUE, 100, 0, EXPIRE_NS, TimeoutBound.FIXED)
    assert ruled(view(), rest, TAKE) == ((TAKE,), (Veto.BELOW_ONE_TICK,))
