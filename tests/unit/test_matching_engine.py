"""The matching engine, one rule at a time, numbers worked by hand: tick 0.5, lot 0.01, fees 0.05 % and -0.005 %."""

from decimal import Decimal

import pytest

from sor.adapter import SelfTrade
from sor.ids import Symbol, VenueName
from sor.instruments import Instrument
from sor.orders import OrdType, RejectKind, Side, Tif
from venues.matching.engine import Engine
from venues.matching.events import (
    Accepted,
    Amended,
    AmendRejected,
    Canceled,
    CancelRejected,
    Cause,
    Event,
    Expired,
    Rejected,
    Resized,
    Trade,
)
from venues.matching.orders import Account, Order
from venues.matching.rules import FailedAmend, Oversize, Rules

BUY, SELL = Side.BUY, Side.SELL
LIMIT, MARKET = OrdType.LIMIT, OrdType.MARKET


def instrument(*, min_notional: str = "0", inverse: bool = False, max_qty_lots: int = 0) -> Instrument:
    return Instrument(
        symbol=Symbol("BTCUSDT"),
        venue=VenueName("test"),
        tick_size=Decimal("0.5"),
        lot_size=Decimal("0.01"),
        min_qty_lots=2,
        max_qty_lots=max_qty_lots,
        min_notional=Decimal(min_notional),
        inverse=inverse,
    )


class Floor:
    """An engine and three accounts: `we`, and a silent crowd of two."""

    def __init__(
        self,
        rules: Rules | None = None,
        *,
        self_trade: SelfTrade = SelfTrade.ALLOWED,
        listed: Instrument | None = None,
    ) -> None:
        self.engine = Engine(listed or instrument(), rules, tracks_levels=True)
        self.we = Account("we", maker_fee_e8=-5_000, taker_fee_e8=50_000, self_trade=self_trade)
        self.crowd = Account("crowd", silent=True)
        self.others = Account("others", silent=True)
        self.now_ns = 0
        self.n_orders = 0

    def order(
        self,
        account: Account,
        side: Side,
        lots: int,
        ticks: int = 0,
        tif: Tif = Tif.GTC,
        *,
        post_only: bool = False,
        reduce_only: bool = False,
    ) -> Order:
        self.n_orders += 1
        return Order(
            self.n_orders,
            account,
            side,
            LIMIT if ticks else MARKET,
            lots,
            ticks,
            tif,
            post_only=post_only,
            reduce_only=reduce_only,
        )

    def place(self, order: Order) -> list[Event]:
        self.now_ns += 1
        return self.engine.place(order, now_ns=self.now_ns)

    def rest(
        self, account: Account, side: Side, lots: int, ticks: int, *, post_only: bool = False, reduce_only: bool = False
    ) -> Order:
        order = self.order(account, side, lots, ticks, post_only=post_only, reduce_only=reduce_only)
        self.place(order)
        assert order.level is not None
        return order

    def hold(self, account: Account, lots: int) -> None:
        """Give an account a position, against `others` at 100 ticks on an otherwise empty spot of the book."""
        side = BUY if lots > 0 else SELL
        self.rest(self.others, side.opposite, abs(lots), 100)
        self.place(self.order(account, side, abs(lots), 100, Tif.IOC))
        assert account.position_lots == lots


def fills(events: list[Event]) -> list[tuple[int, int, int]]:
    """(maker's order id, ticks, lots) of each trade."""
    return [(e.maker.order_id, e.price_ticks, e.lots) for e in events if isinstance(e, Trade)]


def test_a_market_order_walks_the_book_and_pays_each_makers_price() -> None:
    floor = Floor()
    near = floor.rest(floor.crowd, SELL, 5, 202)
    far = floor.rest(floor.crowd, SELL, 10, 204)
    floor.engine.changes()
    order = floor.order(floor.we, BUY, 8)
    events = floor.place(order)
    # One atom is 10**-11: lot x tick = 0.005 quote units = 5 x 10**-3, and rates are in 1e-8.
    fee_near, fee_far = 5 * 202 * 5 * 50_000, 3 * 204 * 5 * 50_000
    assert floor.engine.instrument.money(fee_near) == Decimal("5.05") * Decimal("0.0005")
    assert events == [
        Accepted(order=order, ts_ns=3),
        Trade(
            trade_id=1,
            ts_ns=3,
            price_ticks=202,
            lots=5,
            taker=order,
            maker=near,
            taker_cum_lots=5,
            maker_cum_lots=5,
            taker_fee_atoms=fee_near,
            maker_fee_atoms=0,
        ),
        Trade(
            trade_id=2,
            ts_ns=3,
            price_ticks=204,
            lots=3,
            taker=order,
            maker=far,
            taker_cum_lots=8,
            maker_cum_lots=3,
            taker_fee_atoms=fee_far,
            maker_fee_atoms=0,
        ),
    ]
    assert floor.engine.depth(5) == ((), ((204, 7),))
    assert floor.engine.changes() == ((), ((202, 0), (204, 7)))
    assert (floor.engine.last_ticks, floor.engine.n_trades) == (204, 2)
    assert (floor.we.position_lots, floor.we.cost_lot_ticks, floor.we.fees_atoms) == (8, 1622, fee_near + fee_far)
    assert (floor.crowd.position_lots, floor.crowd.cost_lot_ticks, floor.crowd.fees_atoms) == (-8, -1622, 0)


def test_a_maker_gets_its_rebate() -> None:
    floor = Floor()
    floor.rest(floor.we, BUY, 4, 200)
    (trade,) = floor.place(floor.order(floor.crowd, SELL, 4))
    assert isinstance(trade, Trade)
    assert trade.maker_fee_atoms == 4 * 200 * 5 * -5_000 == floor.engine.fees_atoms == floor.we.fees_atoms


def test_first_come_first_served_at_one_price() -> None:
    floor = Floor()
    first = floor.rest(floor.crowd, BUY, 5, 200)
    ours = floor.rest(floor.we, BUY, 5, 200)
    last = floor.rest(floor.others, BUY, 5, 200)
    better = floor.rest(floor.others, BUY, 2, 201)
    assert [floor.engine.lots_ahead(order) for order in (better, first, ours, last)] == [0, 2, 7, 12]
    events = floor.place(floor.order(floor.crowd, SELL, 9))
    assert fills(events) == [(better.order_id, 201, 2), (first.order_id, 200, 5), (ours.order_id, 200, 2)]
    assert [floor.engine.lots_ahead(order) for order in (ours, last)] == [0, 3]


def test_leaving_the_middle_of_a_queue_keeps_the_rest_in_order() -> None:
    floor = Floor()
    orders = [floor.rest(floor.crowd, SELL, 2, 202) for _ in range(4)]
    floor.engine.cancel(orders[1], now_ns=9)
    floor.engine.cancel(orders[3], now_ns=9)
    last = floor.rest(floor.crowd, SELL, 2, 202)
    assert [floor.engine.lots_ahead(order) for order in (orders[0], orders[2], last)] == [0, 2, 4]


@pytest.mark.parametrize("side", list(Side))
def test_a_limit_order_takes_up_to_its_price_and_rests(side: Side) -> None:
    floor = Floor()
    for step in (1, 2, 3):
        floor.rest(floor.crowd, side.opposite, 4, 200 + side * step)
    order = floor.order(floor.we, side, 10, 200 + side * 2)
    events = floor.place(order)
    assert fills(events) == [(1, 200 + side, 4), (2, 200 + side * 2, 4)]
    assert (order.filled_lots, order.leaves_lots, order.level is not None) == (8, 2, True)
    bids, asks = floor.engine.depth(3)
    assert (bids if side is BUY else asks) == ((200 + side * 2, 2),)
    assert (asks if side is BUY else bids) == ((200 + side * 3, 4),)


@pytest.mark.parametrize("tif", [Tif.IOC, Tif.FOK])
def test_what_may_not_rest_expires(tif: Tif) -> None:
    floor = Floor()
    floor.rest(floor.crowd, SELL, 4, 202)
    floor.rest(floor.crowd, SELL, 4, 203)
    order = floor.order(floor.we, BUY, 6, 202, tif)
    events = floor.place(order)
    done_lots = 4 if tif is Tif.IOC else 0
    assert events[-1] == Expired(order=order, ts_ns=3, expired_lots=6 - done_lots)
    assert (order.filled_lots, order.leaves_lots, order.level) == (done_lots, 0, None)
    assert floor.engine.depth(3) == ((), ((203, 4),) if done_lots else ((202, 4), (203, 4)))


def test_fill_or_kill_fills_when_it_can() -> None:
    floor = Floor()
    floor.rest(floor.crowd, SELL, 4, 202)
    floor.rest(floor.crowd, SELL, 4, 203)
    order = floor.order(floor.we, BUY, 6, 203, Tif.FOK)
    assert fills(floor.place(order)) == [(1, 202, 4), (2, 203, 2)]


def test_fill_or_kill_knows_that_reduce_only_orders_shrink_on_the_way() -> None:
    # The crowd is long 6 and offers 6 plainly and 6 + 6 reduce-only. Each sale of the plain order cuts the other two,
    # so at most 6 can be had from it in all, and 8 with the 2 of the others.
    for wanted, done in ((8, 8), (9, 0)):
        floor = Floor()
        floor.hold(floor.crowd, 6)
        plain = floor.rest(floor.crowd, SELL, 4, 202)
        cut = floor.rest(floor.crowd, SELL, 6, 202, reduce_only=True)
        floor.rest(floor.crowd, SELL, 6, 202, reduce_only=True)
        other = floor.rest(floor.others, SELL, 2, 202)
        events = floor.place(floor.order(floor.we, BUY, wanted, 202, Tif.FOK))
        expected = [(plain.order_id, 202, 4), (cut.order_id, 202, 2), (other.order_id, 202, 2)]
        assert fills(events) == (expected if done else [])


def test_a_fill_or_kill_taker_holding_reduce_only_orders_counts_itself() -> None:
    # Self-trades are allowed and leave the position as it is, so both reduce-only orders trade in full.
    floor = Floor()
    floor.hold(floor.we, 6)
    first = floor.rest(floor.we, SELL, 6, 202, reduce_only=True)
    second = floor.rest(floor.we, SELL, 6, 202, reduce_only=True)
    events = floor.place(floor.order(floor.we, BUY, 12, 202, Tif.FOK))
    assert fills(events) == [(first.order_id, 202, 6), (second.order_id, 202, 6)]


def test_post_only_is_refused_where_it_would_take_and_leaves_no_trace() -> None:
    floor = Floor()
    floor.rest(floor.crowd, SELL, 4, 202)
    order = floor.order(floor.we, BUY, 4, 202, post_only=True)
    assert floor.place(order) == [
        Rejected(order=order, ts_ns=2, kind=RejectKind.WOULD_TAKE, text="post-only order would take")
    ]
    assert floor.engine.depth(3) == ((), ((202, 4),))
    assert floor.rest(floor.we, BUY, 4, 201, post_only=True).leaves_lots == 4


@pytest.mark.parametrize(
    ("lots", "ticks", "tif", "post_only", "kind"),
    [
        (1, 200, Tif.GTC, False, RejectKind.BAD_TERMS),  # below two lots
        (101, 200, Tif.GTC, False, RejectKind.BAD_TERMS),  # above a hundred
        (2, -1, Tif.GTC, False, RejectKind.BAD_TERMS),
        (2, 200, Tif.GTD, False, RejectKind.BAD_TERMS),
        (2, 200, Tif.IOC, True, RejectKind.BAD_TERMS),
        (2, 0, Tif.GTC, True, RejectKind.NO_LIQUIDITY),
        (2, 0, Tif.GTC, False, RejectKind.NO_LIQUIDITY),
        (4, 199, Tif.GTC, False, RejectKind.BAD_TERMS),  # 0.04 x 99.5 = 3.98 < 4
    ],
)
def test_bad_terms_are_refused(lots: int, ticks: int, tif: Tif, post_only: bool, kind: RejectKind) -> None:
    floor = Floor(listed=instrument(min_notional="4", max_qty_lots=100))
    (event,) = floor.place(floor.order(floor.we, BUY, lots, ticks, tif, post_only=post_only))
    assert isinstance(event, Rejected)
    assert event.kind is kind
    assert floor.engine.depth(1) == ((), ())


def test_the_minimum_notional_is_exact() -> None:
    floor = Floor(listed=instrument(min_notional="4"))
    floor.rest(floor.we, BUY, 4, 200)  # 0.04 x 100.0 = 4
    # A MARKET order is valued at the price that it would meet.
    assert isinstance(floor.place(floor.order(floor.we, SELL, 3))[0], Rejected)
    assert isinstance(floor.place(floor.order(floor.we, SELL, 4))[0], Accepted)


def test_an_inverse_contract_is_worth_the_same_at_any_price() -> None:
    floor = Floor(listed=instrument(min_notional="0.05", inverse=True))
    floor.rest(floor.crowd, BUY, 5, 1)
    assert isinstance(floor.place(floor.order(floor.we, BUY, 4, 10_000))[0], Rejected)
    (_, trade) = floor.place(floor.order(floor.we, SELL, 5))
    assert isinstance(trade, Trade)
    assert floor.engine.instrument.money(trade.taker_fee_atoms) == Decimal("0.05") * Decimal("0.0005")


def test_cancel_and_cancel_again() -> None:
    floor = Floor()
    order = floor.rest(floor.we, BUY, 5, 200)
    floor.place(floor.order(floor.crowd, SELL, 2))
    assert floor.engine.cancel(order, now_ns=7) == [
        Canceled(order=order, ts_ns=7, canceled_lots=3, cause=Cause.REQUEST)
    ]
    assert (order.filled_lots, order.leaves_lots, order.level) == (2, 0, None)
    assert floor.engine.cancel(order, now_ns=8) == [CancelRejected(order=order, ts_ns=8)]


def test_nobody_hears_of_a_silent_accounts_orders_but_their_trades() -> None:
    floor = Floor()
    order = floor.order(floor.crowd, BUY, 5, 200)
    assert floor.place(order) == []
    assert floor.engine.cancel(order, now_ns=1) == []
    floor.rest(floor.others, SELL, 4, 200)
    events = floor.place(floor.order(floor.crowd, BUY, 5, 200, Tif.IOC))
    assert [type(event) for event in events] == [Trade]


# --- amend ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("keeps", "ahead"), [(True, 0), (False, 5)])
def test_lowering_the_quantity_keeps_the_place_if_the_rules_say_so(keeps: bool, ahead: int) -> None:
    floor = Floor(Rules(size_down_keeps_priority=keeps))
    ours = floor.rest(floor.we, BUY, 8, 200)
    floor.rest(floor.crowd, BUY, 5, 200)
    events = floor.engine.amend(ours, qty_lots=6, price_ticks=200, now_ns=9)
    assert events == [Amended(order=ours, ts_ns=9, order_lots=6, price_ticks=200, kept_priority=keeps)]
    assert (floor.engine.lots_ahead(ours), ours.leaves_lots, ours.order_lots) == (ahead, 6, 6)
    assert floor.engine.depth(1) == (((200, 11),), ())


@pytest.mark.parametrize(("lots", "ticks"), [(9, 200), (8, 199), (6, 199)])
def test_every_other_change_goes_to_the_back(lots: int, ticks: int) -> None:
    floor = Floor()
    ours = floor.rest(floor.we, BUY, 8, 200)
    floor.rest(floor.crowd, BUY, 5, ticks)
    (event,) = floor.engine.amend(ours, qty_lots=lots, price_ticks=ticks, now_ns=9)
    assert event == Amended(order=ours, ts_ns=9, order_lots=lots, price_ticks=ticks, kept_priority=False)
    assert floor.engine.lots_ahead(ours) == 5


def test_an_amend_to_the_same_terms_changes_nothing() -> None:
    floor = Floor(Rules(size_down_keeps_priority=False))
    ours = floor.rest(floor.we, BUY, 8, 200)
    floor.rest(floor.crowd, BUY, 5, 200)
    (event,) = floor.engine.amend(ours, qty_lots=8, price_ticks=200, now_ns=9)
    assert event == Amended(order=ours, ts_ns=9, order_lots=8, price_ticks=200, kept_priority=True)
    assert floor.engine.lots_ahead(ours) == 0


def test_the_new_quantity_is_a_total() -> None:
    floor = Floor()
    ours = floor.rest(floor.we, BUY, 8, 200)
    floor.place(floor.order(floor.crowd, SELL, 3))
    floor.engine.amend(ours, qty_lots=10, price_ticks=199, now_ns=9)
    assert (ours.order_lots, ours.filled_lots, ours.leaves_lots) == (10, 3, 7)


def test_an_amend_across_the_market_trades() -> None:
    floor = Floor()
    floor.rest(floor.crowd, SELL, 3, 202)
    ours = floor.rest(floor.we, BUY, 8, 200)
    events = floor.engine.amend(ours, qty_lots=8, price_ticks=203, now_ns=9)
    assert [type(event) for event in events] == [Amended, Trade]
    assert fills(events) == [(1, 202, 3)]
    assert floor.engine.depth(2) == (((203, 5),), ())


@pytest.mark.parametrize("fate", list(FailedAmend))
def test_an_amend_to_what_is_filled(fate: FailedAmend) -> None:
    floor = Floor(Rules(amend_to_filled=fate))
    ours = floor.rest(floor.we, BUY, 8, 200)
    floor.place(floor.order(floor.crowd, SELL, 3))
    (event,) = floor.engine.amend(ours, qty_lots=3, price_ticks=200, now_ns=9)
    if fate is FailedAmend.CANCEL:
        assert event == Canceled(order=ours, ts_ns=9, canceled_lots=5, cause=Cause.AMEND)
        assert floor.engine.depth(1) == ((), ())
    else:
        assert isinstance(event, AmendRejected)
        assert (event.kind, ours.leaves_lots) == (RejectKind.BAD_TERMS, 5)


@pytest.mark.parametrize("fate", list(FailedAmend))
def test_an_amend_by_which_post_only_would_take(fate: FailedAmend) -> None:
    floor = Floor(Rules(amend_would_take=fate))
    floor.rest(floor.crowd, SELL, 4, 202)
    ours = floor.rest(floor.we, BUY, 8, 200, post_only=True)
    (event,) = floor.engine.amend(ours, qty_lots=8, price_ticks=202, now_ns=9)
    if fate is FailedAmend.CANCEL:
        assert isinstance(event, Canceled)
        assert ours.level is None
    else:
        assert isinstance(event, AmendRejected)
        assert (event.kind, ours.price_ticks, ours.leaves_lots) == (RejectKind.WOULD_TAKE, 200, 8)


@pytest.mark.parametrize(("lots", "ticks"), [(1, 200), (101, 200), (8, 0), (4, 199)])
def test_a_bad_amend_leaves_the_order_alone(lots: int, ticks: int) -> None:
    floor = Floor(listed=instrument(min_notional="4", max_qty_lots=100))
    ours = floor.rest(floor.we, BUY, 8, 200)
    (event,) = floor.engine.amend(ours, qty_lots=lots, price_ticks=ticks, now_ns=9)
    assert isinstance(event, AmendRejected)
    assert (event.kind, floor.engine.depth(1)) == (RejectKind.BAD_TERMS, (((200, 8),), ()))


def test_an_order_that_ended_cannot_be_amended() -> None:
    floor = Floor()
    ours = floor.rest(floor.we, BUY, 8, 200)
    floor.place(floor.order(floor.crowd, SELL, 8))
    (event,) = floor.engine.amend(ours, qty_lots=9, price_ticks=200, now_ns=9)
    assert isinstance(event, AmendRejected)
    assert event.kind is RejectKind.TOO_LATE


# --- reduce-only ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("held", "side"), [(0, SELL), (5, BUY), (-5, SELL)])
def test_reduce_only_with_nothing_to_reduce_is_refused(held: int, side: Side) -> None:
    floor = Floor()
    if held:
        floor.hold(floor.we, held)
    (event,) = floor.place(floor.order(floor.we, side, 5, 150, reduce_only=True))
    assert isinstance(event, Rejected)
    assert event.kind is RejectKind.NOTHING_TO_REDUCE


def test_an_oversized_reduce_only_order_is_clipped_when_it_rests() -> None:
    floor = Floor()
    floor.hold(floor.we, 5)
    order = floor.order(floor.we, SELL, 8, 150, reduce_only=True)
    events = floor.place(order)
    assert events == [Accepted(order=order, ts_ns=3), Resized(order=order, ts_ns=3, order_lots=5)]
    assert floor.engine.depth(1) == ((), ((150, 5),))


def test_an_oversized_reduce_only_market_order_expires_above_the_position() -> None:
    floor = Floor()
    floor.hold(floor.we, -5)
    floor.rest(floor.crowd, SELL, 20, 150)
    order = floor.order(floor.we, BUY, 8, reduce_only=True)
    events = floor.place(order)
    assert [type(event) for event in events] == [Accepted, Trade, Expired]
    assert (order.filled_lots, floor.we.position_lots) == (5, 0)
    assert events[-1] == Expired(order=order, ts_ns=4, expired_lots=3)


def test_an_oversized_reduce_only_order_is_refused_where_the_rules_say_so() -> None:
    floor = Floor(Rules(reduce_only_oversize=Oversize.REFUSE))
    floor.hold(floor.we, 5)
    (event,) = floor.place(floor.order(floor.we, SELL, 6, 150, reduce_only=True))
    assert isinstance(event, Rejected)
    ours = floor.rest(floor.we, SELL, 5, 150, reduce_only=True)
    assert isinstance(floor.engine.amend(ours, qty_lots=6, price_ticks=150, now_ns=9)[0], AmendRejected)


def test_resting_reduce_only_orders_shrink_with_the_position_and_end_with_it() -> None:
    floor = Floor()
    floor.hold(floor.we, 10)
    near = floor.rest(floor.we, SELL, 10, 150, reduce_only=True)
    far = floor.rest(floor.we, SELL, 8, 160, reduce_only=True)
    events = floor.place(floor.order(floor.crowd, BUY, 4))
    assert events[1:] == [Resized(order=far, ts_ns=events[0].ts_ns, order_lots=6)]
    assert (near.leaves_lots, far.leaves_lots, far.order_lots) == (6, 6, 6)
    # Sold elsewhere by an order that is not reduce-only: both shrink, then end when the position is gone.
    floor.rest(floor.crowd, BUY, 6, 140)
    floor.place(floor.order(floor.we, SELL, 2))
    assert floor.engine.depth(2) == (((140, 4),), ((150, 4), (160, 4)))
    events = floor.place(floor.order(floor.we, SELL, 4))
    assert [(e.order, e.canceled_lots, e.cause) for e in events if isinstance(e, Canceled)] == [
        (near, 4, Cause.REDUCE_ONLY),
        (far, 4, Cause.REDUCE_ONLY),
    ]
    assert floor.we.reducing == {}


def test_a_sweep_never_flips_a_position_through_several_reduce_only_orders() -> None:
    floor = Floor()
    floor.hold(floor.we, 10)
    first = floor.rest(floor.we, SELL, 10, 150, reduce_only=True)
    floor.rest(floor.we, SELL, 10, 150, reduce_only=True)
    floor.rest(floor.we, SELL, 10, 151, reduce_only=True)
    far = floor.rest(floor.crowd, SELL, 10, 152)
    events = floor.place(floor.order(floor.crowd, BUY, 15))
    assert fills(events) == [(first.order_id, 150, 10), (far.order_id, 152, 5)]
    assert floor.we.position_lots == 0


def test_an_amend_cannot_lift_a_reduce_only_order_over_the_position() -> None:
    floor = Floor()
    floor.hold(floor.we, 10)
    ours = floor.rest(floor.we, SELL, 5, 150, reduce_only=True)
    (event,) = floor.engine.amend(ours, qty_lots=20, price_ticks=151, now_ns=9)
    assert event == Amended(order=ours, ts_ns=9, order_lots=10, price_ticks=151, kept_priority=False)


def test_an_amend_can_fill_a_reduce_only_order() -> None:
    floor = Floor()
    floor.hold(floor.we, 5)
    floor.rest(floor.crowd, BUY, 9, 140)
    ours = floor.rest(floor.we, SELL, 5, 150, reduce_only=True)
    events = floor.engine.amend(ours, qty_lots=5, price_ticks=140, now_ns=9)
    assert [type(event) for event in events] == [Amended, Trade]
    assert (floor.we.position_lots, floor.we.reducing) == (0, {})


def test_reduce_only_may_be_exempt_from_the_minimum_notional() -> None:
    for exempt in (False, True):
        floor = Floor(Rules(reduce_only_any_notional=exempt), listed=instrument(min_notional="2"))
        floor.hold(floor.we, 5)
        events = floor.place(floor.order(floor.we, SELL, 2, 150, reduce_only=True))
        assert isinstance(events[0], Accepted if exempt else Rejected)


# --- self-trade ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "types", "taker_leaves", "asks"),
    [
        (SelfTrade.ALLOWED, [Accepted, Trade, Trade], 0, ((203, 1),)),
        (SelfTrade.CANCEL_TAKER, [Accepted, Canceled], 0, ((202, 4), (203, 4))),
        (SelfTrade.CANCEL_MAKER, [Accepted, Canceled, Trade], 3, ()),
        (SelfTrade.CANCEL_BOTH, [Accepted, Canceled, Canceled], 0, ((203, 4),)),
    ],
)
def test_self_trade_rules(
    rule: SelfTrade, types: list[type], taker_leaves: int, asks: tuple[tuple[int, int], ...]
) -> None:
    floor = Floor(self_trade=rule)
    floor.rest(floor.we, SELL, 4, 202)
    floor.rest(floor.crowd, SELL, 4, 203)
    order = floor.order(floor.we, BUY, 7, 203)
    events = floor.place(order)
    assert [type(event) for event in events] == types
    assert all(event.cause is Cause.SELF_TRADE for event in events if isinstance(event, Canceled))
    assert (order.leaves_lots, floor.engine.depth(3)[1]) == (taker_leaves, asks)


def test_two_accounts_of_one_owner_are_one_for_self_trades() -> None:
    # Hedge mode: the long and the short position of one customer.
    floor = Floor()
    long = Account("we/long", owner="us", self_trade=SelfTrade.CANCEL_TAKER)
    short = Account("we/short", owner="us", self_trade=SelfTrade.CANCEL_TAKER)
    floor.rest(short, SELL, 4, 202)
    events = floor.place(floor.order(long, BUY, 4))
    assert [type(event) for event in events] == [Accepted, Canceled]


@pytest.mark.parametrize(
    ("rule", "done"),
    [
        (SelfTrade.ALLOWED, [(1, 202, 4), (2, 203, 2)]),
        (SelfTrade.CANCEL_TAKER, []),
        (SelfTrade.CANCEL_MAKER, [(1, 202, 4), (3, 203, 2)]),
        (SelfTrade.CANCEL_BOTH, []),
    ],
)
def test_fill_or_kill_does_not_count_what_self_trade_prevention_takes_away(
    rule: SelfTrade, done: list[tuple[int, int, int]]
) -> None:
    floor = Floor(self_trade=rule)
    floor.rest(floor.crowd, SELL, 4, 202)
    floor.rest(floor.we, SELL, 4, 203)
    floor.rest(floor.crowd, SELL, 4, 203)
    assert fills(floor.place(floor.order(floor.we, BUY, 6, 203, Tif.FOK))) == done


def test_level_changes_are_remembered_only_on_request() -> None:
    floor = Floor()
    floor.engine.track_levels(on=False)
    floor.rest(floor.we, BUY, 4, 200)
    assert floor.engine.changes() == ((), ())
    floor.engine.track_levels(on=True)
    floor.rest(floor.we, BUY, 4, 198)
    floor.rest(floor.we, BUY, 4, 201)
    assert floor.engine.changes() == (((201, 4), (198, 4)), ())
    assert (floor.engine.best_bid, floor.engine.best_ask) == (201, 0)
