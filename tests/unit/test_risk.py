"""The risk gate, rule by rule, on the edge and one step beyond it."""

from decimal import Decimal

import msgspec
import pytest

from sor.adapter import Capabilities
from sor.desk import VenueState
from sor.events import TradingMode
from sor.ids import AccountId
from sor.limits import Limits, limits_of
from sor.market import MarketView
from sor.orders import PositionSide, Side
from sor.own_book import OwnBook
from sor.params import parse
from sor.parent import Parent
from sor.reasons import Denial
from sor.risk import Proposal, deny, reducible_lots
from sor.units import NS
from tests.fakes.bench import BTC, BTC_A, START_NS, SURE, A, Bench, book, param_text, parent_order
from tests.fakes.policies import Wanting, decision
from tests.fakes.policies import rest as resting

LIMITS = limits_of(parse(param_text(), where="test").resolve(A, BTC, now_ns=START_NS))
BUY, SELL = Side.BUY, Side.SELL


def parent_of(side: Side = BUY, **terms: object) -> Parent:
    instrument = terms.pop("instrument", BTC_A)
    return Parent(
        no=1,
        order=parent_order(side=side, **terms),  # type: ignore[arg-type]
        intent=None,
        venue=A,
        instrument=instrument,  # type: ignore[arg-type]
        set_name="baseline",
        now_ns=START_NS,
    )


def verdict(
    proposal: Proposal,
    parent: Parent | None = None,
    *,
    own: OwnBook | None = None,
    market: MarketView | None = None,
    mode: TradingMode = TradingMode.ACTIVE,
    limits: Limits = LIMITS,
    up: bool = True,
    sends: tuple[int, ...] = (),
    capabilities: Capabilities = SURE,
) -> Denial | None:
    venue = VenueState(capabilities)
    venue.up = up
    parent = parent_of() if parent is None else parent
    venue.pace(parent.order.account).sends.extend(sends)
    venue.pace(AccountId("another")).sends.extend([START_NS] * 1_000)  # is nothing to this one
    return deny(
        proposal,
        parent=parent,
        book=OwnBook() if own is None else own,
        venue=venue,
        market=book() if market is None else market,
        mode=mode,
        limits=limits,
        now_ns=START_NS,
    )


def take(ticks: int, lots: int = 10) -> Proposal:
    return Proposal(takes=True, lots=lots, ticks=ticks)


def rest(ticks: int, lots: int = 10) -> Proposal:
    return Proposal(takes=False, lots=lots, ticks=ticks)


def limits(**changes: float) -> Limits:
    return msgspec.structs.replace(LIMITS, **changes)


@pytest.mark.parametrize(
    ("proposal", "side", "terms", "denied"),
    [
        (take(10_051), BUY, {}, None),
        (take(10_052), BUY, {}, Denial.COLLAR),
        (take(9_950), SELL, {}, None),
        (take(9_949), SELL, {}, Denial.COLLAR),
        (take(10_001), BUY, {}, None),
        (take(10_000), BUY, {}, Denial.COLLAR),  # would not reach the touch
        (take(10_000), BUY, {"limit": Decimal(10_000)}, Denial.LIMIT_PRICE),
        (take(10_001), BUY, {"limit": Decimal(10_000)}, Denial.LIMIT_PRICE),
        (take(9_999), SELL, {"limit": Decimal(10_000)}, Denial.LIMIT_PRICE),
        (rest(10_000), BUY, {}, None),
        (rest(10_001), BUY, {}, Denial.WOULD_TAKE),
        (rest(10_000), SELL, {}, None),
        (rest(9_999), SELL, {}, Denial.WOULD_TAKE),
        (rest(9_999), BUY, {"limit": Decimal(9_998)}, Denial.LIMIT_PRICE),
        (rest(9_998), BUY, {"limit": Decimal(9_998)}, None),
        (rest(0), BUY, {}, Denial.NO_MARKET),
    ],
)
def test_price(proposal: Proposal, side: Side, terms: dict[str, object], denied: Denial | None) -> None:
    assert verdict(proposal, parent_of(side, **terms)) is denied


@pytest.mark.parametrize(("side", "market"), [(BUY, book(asks=())), (SELL, book(bids=()))])
def test_no_market(side: Side, market: MarketView) -> None:
    assert verdict(rest(9_000), parent_of(side), market=market) is Denial.NO_MARKET


def test_the_venues_own_bounds_of_size() -> None:
    instrument = msgspec.structs.replace(BTC_A, min_qty_lots=5, max_qty_lots=50, min_notional=Decimal(90_000))
    parent = parent_of(instrument=instrument)
    # 9 lots at 10_000 are worth 90_000.
    expected = [(4, Denial.MIN_QTY), (8, Denial.MIN_NOTIONAL), (9, None), (50, None), (51, Denial.MAX_QTY)]
    assert [(lots, verdict(rest(10_000, lots), parent)) for lots, _ in expected] == expected
    leaving = parent_of(instrument=instrument, reduce_only=True)
    assert verdict(rest(10_000, 8), leaving) is None  # venues let a remainder be closed


def test_order_notional() -> None:
    tight = limits(order_notional_max=100_000.0)
    assert verdict(rest(10_000, 10), limits=tight) is None
    assert verdict(rest(10_000, 11), limits=tight) is Denial.ORDER_NOTIONAL


def test_open_notional_counts_both_sides() -> None:
    own = OwnBook()
    own.open_lots = {BUY: 5, SELL: 3}
    tight = limits(open_notional_max=100_000.0)
    assert verdict(rest(10_000, 2), own=own, limits=tight) is None
    assert verdict(rest(10_000, 3), own=own, limits=tight) is Denial.OPEN_NOTIONAL


def test_position_notional_counts_what_is_open_on_that_side() -> None:
    own = OwnBook()
    own.positions[PositionSide.BOTH] = 4
    own.open_lots[BUY] = 3
    tight = limits(position_notional_max=100_000.0)
    assert verdict(rest(10_000, 3), own=own, limits=tight) is None  # 4 + 3 + 3 = 10
    assert verdict(rest(10_000, 4), own=own, limits=tight) is Denial.POSITION_NOTIONAL
    assert verdict(rest(10_000, 14), parent_of(SELL), own=own, limits=tight) is None  # to -10
    assert verdict(rest(10_000, 15), parent_of(SELL), own=own, limits=tight) is Denial.POSITION_NOTIONAL
    own.positions[PositionSide.BOTH] = 50  # already beyond: only what makes it smaller
    assert verdict(rest(10_000, 1), own=own, limits=tight) is Denial.POSITION_NOTIONAL
    assert verdict(rest(10_000, 20), parent_of(SELL), own=own, limits=tight) is None
    assert verdict(rest(10_000, 1), parent_of(reduce_only=True), own=own, limits=tight) is None


@pytest.mark.parametrize(
    ("mode", "reduces", "denied"),
    [
        (TradingMode.ACTIVE, False, None),
        (TradingMode.REDUCE_ONLY, False, Denial.REDUCE_ONLY_MODE),
        (TradingMode.REDUCE_ONLY, True, None),
        (TradingMode.HALTED, False, Denial.KILL_SWITCH),
        (TradingMode.HALTED, True, Denial.KILL_SWITCH),
    ],
)
def test_the_kill_switch(mode: TradingMode, reduces: bool, denied: Denial | None) -> None:
    assert verdict(rest(10_000), parent_of(reduce_only=reduces), mode=mode) is denied


def test_a_halted_symbol_and_a_lost_session() -> None:
    own = OwnBook()
    own.halted = "the venue filled too much"
    assert verdict(rest(10_000), own=own) is Denial.SYMBOL_HALTED
    assert verdict(rest(10_000), up=False) is Denial.VENUE_DOWN


def test_nothing_rests_where_the_venue_cannot_keep_it_from_taking() -> None:
    flagless = msgspec.structs.replace(SURE, post_only=False)
    assert verdict(rest(9_999), capabilities=flagless) is Denial.NOT_SUPPORTED
    assert verdict(take(10_001), capabilities=flagless) is None


def test_the_rate_is_ours_or_the_venues_whichever_is_less_and_a_window_that_slides() -> None:
    two = limits(orders_per_s_max=2.0)
    recent, old = START_NS - NS + 1, START_NS - NS
    assert verdict(rest(10_000), limits=two, sends=(old, recent)) is None
    assert verdict(rest(10_000), limits=two, sends=(recent, recent)) is Denial.ORDER_RATE
    slow = msgspec.structs.replace(SURE, orders_per_s=1.0)
    assert verdict(rest(10_000), capabilities=slow, sends=(recent,)) is Denial.ORDER_RATE


def test_nothing_meets_our_own_orders() -> None:
    wanting = Wanting()
    bench = Bench(wanting)
    order = parent_order(side=SELL)
    wanting.wishes[order.parent_id] = lambda view: decision(resting(A, 10, 10_001, until_ns=view.now_ns + NS))
    parent = bench.submit(order)
    own, child = bench.core.desk.book_of(parent), parent.children[0]
    assert verdict(take(10_000), own=own, market=book(asks=((10_000, 5),))) is None
    assert verdict(take(10_001), own=own) is Denial.SELF_TRADE
    bench.ack(child)
    child.reserve_amend(qty_lots=10, price_ticks=9_990)  # it may be there already
    assert verdict(take(9_990), own=own, market=book(bids=((9_980, 5),), asks=((9_990, 5),))) is Denial.SELF_TRADE
    own.rests[SELL] = {}
    assert verdict(take(10_001), own=own) is None
    own.crosser[SELL] = 7  # somebody waits to sell into the bids
    assert verdict(rest(9_999), own=own) is Denial.SELF_TRADE
    assert verdict(rest(10_001), parent_of(SELL), own=own) is None


def test_what_is_left_to_reduce() -> None:
    own = OwnBook()
    leaving = parent_of(SELL, reduce_only=True)
    assert reducible_lots(leaving, own) is None
    own.positions[PositionSide.BOTH] = 60
    own.reducing[PositionSide.BOTH] = 20
    assert reducible_lots(leaving, own) == 40
    assert reducible_lots(parent_of(BUY, reduce_only=True), own) == -20  # nothing is short: nothing to buy back
    own.positions[PositionSide.BOTH] = -60
    assert reducible_lots(parent_of(BUY, reduce_only=True), own) == 40
