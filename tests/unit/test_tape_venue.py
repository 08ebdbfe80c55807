"""The recorded venue, fill by fill: each case is worked out by hand from a recording of a few events."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
import pytest

from sor.adapter import AccountState, Audited, OpenOrder, OwnFeed, Position, VenueAdapter, VenueOrder
from sor.errors import CallerError
from sor.ids import ClOrdId, ClOrdIdCodec, Symbol, VenueName, VenueOrderId
from sor.market import MarketView, Trust
from sor.orders import ExecType, FeeSource, OrdStatus, Provenance, Side, Tif
from sor.revisit import Revisit, Trigger
from sor.tape import save_tape
from tests.fakes.tape_script import INSTRUMENT, NOW, SYMBOL, Book, Print, Told, Trader, at_once, market_of, tape_of
from venues.simulated.tape import TapeVenue, open_tape_venue
from venues.simulated.tape_latency import Delay, Line, local_times, read_delay
from venues.simulated.tape_market import TapeMarket
from venues.simulated.tape_settings import TapeSettings

BUY, SELL = Side.BUY, Side.SELL
Events = list[Book | Print]

# Bids 1000 x 5, 999 x 7; asks 1001 x 4, 1002 x 6, 1005 x 20.
OPEN = Book(100, {1000: 5, 999: 7}, {1001: 4, 1002: 6, 1005: 20}, snapshot=True)


def made(at_ns: int, order: str, lots: int, ticks: int) -> Told:
    return Told(at_ns, "trade", order, lots, ticks, maker=True)


def took(at_ns: int, order: str, lots: int, ticks: int) -> Told:
    return Told(at_ns, "trade", order, lots, ticks, maker=False)


# --- makers -----------------------------------------------------------------------------------------------------


def test_a_trade_at_our_price_serves_the_queue_first() -> None:
    trader = Trader(
        market_of(
            [
                OPEN,
                Print(200, SELL, 1000, 3),  # 5 ahead, 2 left
                Book(210, {1000: 2}, {}),
                Print(300, SELL, 1000, 4),  # 2 for them, 2 for us
                Print(400, SELL, 1000, 9),  # the last one
            ]
        )
    )
    trader.rest(150, "a", BUY, 3, 1000)
    assert trader.run() == [Told(150, "new", "a"), made(300, "a", 2, 1000), made(400, "a", 1, 1000)]


def test_a_trade_through_our_price_fills_whole() -> None:
    trader = Trader(market_of([OPEN, Print(200, SELL, 999, 1)]))
    trader.rest(150, "a", BUY, 30, 1000)
    assert trader.run() == [Told(150, "new", "a"), made(200, "a", 30, 1000)]


def test_the_opposite_best_at_our_price_fills_whole() -> None:
    trader = Trader(market_of([OPEN, Book(200, {1000: 0}, {1000: 1})]))
    trader.rest(150, "a", BUY, 30, 1000)
    assert trader.run() == [Told(150, "new", "a"), made(200, "a", 30, 1000)]


def test_a_crossed_book_fills_nobody() -> None:
    # The bid at 1001 and the ask at 1000 cannot both be true.
    trader = Trader(market_of([OPEN, Book(200, {1001: 3}, {1000: 1})]))
    trader.rest(150, "a", BUY, 30, 1000)
    assert trader.run() == [Told(150, "new", "a")]


def test_trades_of_the_other_aggressor_and_at_worse_prices_fill_nobody() -> None:
    trader = Trader(market_of([OPEN, Print(200, BUY, 1000, 50), Print(210, SELL, 1001, 50)]))
    trader.rest(150, "a", BUY, 3, 1000)
    assert trader.run() == [Told(150, "new", "a")]


@pytest.mark.parametrize(("queue", "filled"), [("risk_averse", 0), ("moderate", 2), ("power", 2), ("log_2", 0)])
def test_cancels_bring_us_forward_as_the_model_says(queue: str, filled: int) -> None:
    # 40 ahead and 60 behind after the book grew; 20 of the 100 go. Front: 40, 33.8, 32 or 37.8; then 36 trade.
    events: Events = [
        Book(100, {1000: 40}, {1001: 4}, snapshot=True),
        Book(200, {1000: 100}, {}),
        Book(300, {1000: 80}, {}),
        Print(400, SELL, 1000, 36),
    ]
    trader = Trader(market_of(events), TapeSettings(queue=queue, entry=NOW, response=NOW))
    trader.rest(150, "a", BUY, 2, 1000)
    trader.run()
    fills = [report.last_lots for _, report in trader.reports if report.exec_type is ExecType.TRADE]
    assert sum(fills) == filled


def test_a_sell_mirrors_a_buy() -> None:
    trader = Trader(market_of([OPEN, Print(200, BUY, 1001, 5), Print(300, BUY, 1002, 1)]))
    trader.rest(150, "a", SELL, 3, 1001)
    assert trader.run() == [Told(150, "new", "a"), made(200, "a", 1, 1001), made(300, "a", 2, 1001)]


def test_improving_the_touch_puts_us_first() -> None:
    trader = Trader(market_of([OPEN._replace(asks={1003: 4}), Print(200, SELL, 1001, 2)]))
    trader.rest(150, "a", BUY, 3, 1001)
    assert trader.run() == [Told(150, "new", "a"), made(200, "a", 2, 1001)]


@pytest.mark.parametrize("ticks", [1001, 1004])
def test_a_post_only_order_that_would_take_is_refused(ticks: int) -> None:
    trader = Trader(market_of([OPEN]))
    trader.rest(150, "a", BUY, 3, ticks)
    assert trader.run() == [Told(150, "rejected:would_take", "a")]
    assert trader.venue.audit() == ()


def test_post_only_is_judged_when_the_order_arrives() -> None:
    # Sent while the ask is 1002; at 1001 by the time it is there.
    events: Events = [OPEN._replace(asks={1002: 6}), Book(155, {}, {1001: 4})]
    trader = Trader(market_of(events), TapeSettings(entry=Delay(median_ns=10), response=Delay(median_ns=5)))
    trader.rest(150, "a", BUY, 3, 1001)
    assert trader.run() == [Told(165, "rejected:would_take", "a")]


def test_orders_of_one_owner_queue_behind_each_other() -> None:
    # 5 ahead; of 9 the older gets 3 and the newer what is left over, 1. Alone it would have got 4.
    trader = Trader(market_of([OPEN, Print(200, SELL, 1000, 9), Print(300, SELL, 1000, 1)]))
    trader.rest(150, "a", BUY, 3, 1000)
    trader.rest(160, "b", BUY, 4, 1000)
    assert trader.run() == [
        Told(150, "new", "a"),
        Told(160, "new", "b"),
        made(200, "a", 3, 1000),
        made(200, "b", 1, 1000),
        made(300, "b", 1, 1000),
    ]


def test_an_order_that_joins_while_another_looks_ahead_starts_where_it_arrives() -> None:
    # "a" walks ahead after the trade of 200; "b" joins at 310, behind the 8 displayed then.
    trader = Trader(
        market_of(
            [
                OPEN,
                Print(200, SELL, 1000, 1),
                Book(250, {1000: 4}, {}),
                Book(300, {1000: 8}, {}),
                Print(400, SELL, 1000, 2),
                Print(500, SELL, 1000, 3),
                Print(600, SELL, 1000, 6),
            ]
        )
    )
    trader.rest(150, "a", BUY, 2, 1000)
    trader.rest(310, "b", BUY, 9, 1000)
    # a: 5, 4, then 2 left of 4 at 400; at 500 one lot over; at 600 the other. b: 8, 6, 3 + 1 taken by a, then 4 - 5.
    assert trader.run() == [
        Told(150, "new", "a"),
        Told(310, "new", "b"),
        made(500, "a", 1, 1000),
        made(600, "a", 1, 1000),
        made(600, "b", 1, 1000),
    ]


def test_cancelling_the_older_leaves_the_newer_where_it_is() -> None:
    trader = Trader(market_of([OPEN, Print(200, SELL, 1000, 2), Print(300, SELL, 1000, 4)]))
    trader.rest(150, "a", BUY, 3, 1000)
    trader.rest(160, "b", BUY, 4, 1000)
    trader.cancel(250, "a")
    assert trader.run() == [
        Told(150, "new", "a"),
        Told(160, "new", "b"),
        Told(250, "canceled", "a"),
        made(300, "b", 1, 1000),
    ]


# --- time -------------------------------------------------------------------------------------------------------


def test_at_one_instant_trades_come_first_then_the_book_then_we() -> None:
    # The order of 200 misses the trade of 200 and joins behind the 8 that the book shows from 200 on.
    trader = Trader(market_of([OPEN, Print(200, SELL, 1000, 50), Book(200, {1000: 8}, {}), Print(300, SELL, 1000, 9)]))
    trader.rest(200, "a", BUY, 3, 1000)
    assert trader.run() == [Told(200, "new", "a"), made(300, "a", 1, 1000)]


def test_a_trade_meets_the_book_as_it_was_before_its_instant() -> None:
    # 5 ahead, 4 trade, 1 is left ahead of us; were the book first, the same 4 would bring us forward twice.
    events: Events = [OPEN, Print(200, SELL, 1000, 4), Book(200, {1000: 1}, {}), Print(300, SELL, 1000, 2)]
    trader = Trader(market_of(events), TapeSettings(queue="moderate", entry=NOW, response=NOW))
    trader.rest(150, "a", BUY, 3, 1000)
    assert trader.run() == [Told(150, "new", "a"), made(300, "a", 1, 1000)]


def test_a_cancel_loses_to_a_fill_of_its_instant() -> None:
    trader = Trader(market_of([OPEN, Print(200, SELL, 999, 1)]))
    trader.rest(150, "a", BUY, 3, 1000)
    trader.cancel(200, "a")
    assert trader.run() == [
        Told(150, "new", "a"),
        made(200, "a", 3, 1000),
        Told(200, "cancel_rejected:too_late", "a"),
    ]


def test_a_cancel_races_with_its_latency() -> None:
    # Sent 5 before the trade, there 5 after it: we learn of the fill first.
    events: Events = [OPEN, Print(200, SELL, 999, 1)]
    settings = TapeSettings(entry=Delay(median_ns=10), response=Delay(median_ns=30))
    trader = Trader(market_of(events), settings)
    trader.rest(150, "a", BUY, 3, 1000)
    trader.cancel(195, "a")
    assert trader.run() == [
        Told(190, "new", "a"),
        made(230, "a", 3, 1000),
        Told(235, "cancel_rejected:too_late", "a"),
    ]
    winner = Trader(market_of(events), settings)
    winner.rest(150, "a", BUY, 3, 1000)
    winner.cancel(189, "a")
    assert winner.run() == [Told(190, "new", "a"), Told(229, "canceled", "a")]


def test_a_cancel_never_overtakes_its_order() -> None:
    market = market_of([OPEN])
    for seed in range(20):
        settings = TapeSettings(seed=seed, entry=Delay(median_ns=50, sigma=2.0), response=NOW)
        trader = Trader(market, settings)
        trader.rest(150, "a", BUY, 3, 1000)
        trader.cancel(150, "a")
        assert [told.what for told in trader.run()] == ["new", "canceled"]


def test_before_the_first_snapshot_there_is_no_market() -> None:
    trader = Trader(market_of([Book(50, {1000: 5}, {1001: 5}), OPEN]))
    trader.place(60, "a", BUY, 3)
    trader.rest(60, "b", BUY, 3, 900)
    assert trader.run() == [Told(60, "rejected:venue_closed", "a"), Told(60, "rejected:venue_closed", "b")]


def test_after_the_last_event_takers_meet_the_book_as_it_was() -> None:
    market = market_of([OPEN, Print(200, SELL, 1000, 1)])
    trader = Trader(market)
    trader.rest(300, "a", BUY, 3, 1000)
    trader.place(400, "b", SELL, 3, 1000, tif=Tif.IOC)
    trader.cancel(500, "a")
    assert (market.start_ns, market.end_ns) == (100, 200)
    assert trader.run() == [
        Told(300, "new", "a"),
        Told(400, "rejected:self_trade", "b"),
        Told(500, "canceled", "a"),
    ]


def test_a_snapshot_takes_away_what_it_does_not_name() -> None:
    # 1000 x 5 are gone at 200, 1 is back at 300: that one is ahead of us, whoever it is.
    events: Events = [
        OPEN,
        Book(200, {999: 7}, {1001: 4}, snapshot=True),
        Book(300, {1000: 1}, {}),
        Print(400, SELL, 1000, 2),
    ]
    trader = Trader(market_of(events))
    trader.rest(150, "a", BUY, 3, 1000)
    trader.place(250, "b", SELL, 9, 999, tif=Tif.IOC)
    trader.place(260, "c", BUY, 9, 1005, tif=Tif.IOC)
    assert trader.run() == [
        Told(150, "new", "a"),
        Told(250, "rejected:self_trade", "b"),
        Told(260, "new", "c"),
        took(260, "c", 4, 1001),
        Told(260, "expired:no_liquidity", "c"),
        made(400, "a", 2, 1000),
    ]


# --- takers -----------------------------------------------------------------------------------------------------


def test_a_taker_walks_the_book() -> None:
    trader = Trader(market_of([OPEN]))
    trader.place(150, "a", BUY, 12)
    assert trader.run() == [
        Told(150, "new", "a"),
        took(150, "a", 4, 1001),
        took(150, "a", 6, 1002),
        took(150, "a", 2, 1005),
    ]


def test_a_taker_walks_deeper_than_any_view_shows() -> None:
    deep = Book(100, {1000: 1}, {1001 + 3 * level: 2 for level in range(40)}, snapshot=True)
    trader = Trader(market_of([deep]))
    trader.place(150, "a", BUY, 81)
    assert trader.run() == [
        Told(150, "new", "a"),
        *(took(150, "a", 2, 1001 + 3 * level) for level in range(40)),
        Told(150, "expired:no_liquidity", "a"),
    ]


def test_an_ioc_stops_at_its_price() -> None:
    trader = Trader(market_of([OPEN]))
    trader.place(150, "a", SELL, 8, 1000, tif=Tif.IOC)
    assert trader.run() == [
        Told(150, "new", "a"),
        took(150, "a", 5, 1000),
        Told(150, "expired:no_liquidity", "a"),
    ]


@pytest.mark.parametrize(("lots", "whats"), [(10, ["new", "trade", "trade"]), (11, ["new", "expired:no_liquidity"])])
def test_a_fok_takes_all_or_nothing(lots: int, whats: list[str]) -> None:
    trader = Trader(market_of([OPEN]))
    trader.place(150, "a", BUY, lots, 1004, tif=Tif.FOK)
    assert [told.what for told in trader.run()] == whats


def test_an_owner_gets_no_lot_twice_until_the_level_changes() -> None:
    trader = Trader(market_of([OPEN, Book(200, {}, {1002: 6}), Book(300, {}, {1001: 4})]))
    trader.place(150, "a", BUY, 3, 1001, tif=Tif.IOC)
    trader.place(160, "b", BUY, 3, 1001, tif=Tif.IOC)
    trader.place(210, "c", BUY, 3, 1001, tif=Tif.IOC)  # another level changed, this one did not
    trader.place(310, "d", BUY, 3, 1001, tif=Tif.IOC)
    assert trader.run() == [
        Told(150, "new", "a"),
        took(150, "a", 3, 1001),
        Told(160, "new", "b"),
        took(160, "b", 1, 1001),
        Told(160, "expired:no_liquidity", "b"),
        Told(210, "new", "c"),
        Told(210, "expired:no_liquidity", "c"),
        Told(310, "new", "d"),
        took(310, "d", 3, 1001),
    ]


def test_owners_know_nothing_of_each_other() -> None:
    trader = Trader(market_of([OPEN, Print(200, BUY, 1002, 1)]), owner_of=lambda cl_ord_id: cl_ord_id[0])
    trader.place(150, "a1", BUY, 4, 1001, tif=Tif.IOC)
    trader.place(150, "b1", BUY, 4, 1001, tif=Tif.IOC)
    trader.rest(160, "c1", SELL, 2, 1001)
    trader.place(170, "d1", BUY, 4, 1001, tif=Tif.IOC)
    assert trader.run() == [
        Told(150, "new", "a1"),
        took(150, "a1", 4, 1001),
        Told(150, "new", "b1"),
        took(150, "b1", 4, 1001),
        Told(160, "new", "c1"),
        Told(170, "new", "d1"),
        took(170, "d1", 4, 1001),
        made(200, "c1", 2, 1001),
    ]


def test_what_is_left_of_a_limit_order_rests() -> None:
    # It takes 4 + 6 up to 1003; the rest overlaps the levels it took, which do not fill it again.
    events: Events = [
        OPEN,
        Book(200, {}, {1005: 30}),
        Book(210, {}, {1002: 0}),
        Book(300, {}, {1001: 9}),
        Book(400, {}, {}),
    ]
    trader = Trader(market_of(events))
    trader.place(150, "a", BUY, 13, 1003)
    assert trader.run() == [
        Told(150, "new", "a"),
        took(150, "a", 4, 1001),
        took(150, "a", 6, 1002),
        made(300, "a", 3, 1003),  # new size at 1001
    ]


def test_a_limit_order_behind_the_touch_simply_rests() -> None:
    trader = Trader(market_of([OPEN, Print(200, SELL, 999, 8)]))
    trader.place(150, "a", BUY, 3, 999)
    assert trader.run() == [Told(150, "new", "a"), made(200, "a", 1, 999)]


def test_a_market_order_into_nothing_is_refused() -> None:
    trader = Trader(market_of([Book(100, {1000: 5}, {}, snapshot=True)]))
    trader.place(150, "a", BUY, 3)
    assert trader.run() == [Told(150, "rejected:no_liquidity", "a")]


def test_an_order_that_would_reach_one_of_its_owner_is_refused_whole() -> None:
    trader = Trader(market_of([OPEN]))
    trader.rest(150, "a", SELL, 3, 1002)
    trader.place(160, "b", BUY, 4)  # done at 1001
    trader.place(170, "c", BUY, 5)  # would go on to 1002
    trader.place(180, "d", BUY, 5, 1001, tif=Tif.IOC)
    assert trader.run() == [
        Told(150, "new", "a"),
        Told(160, "new", "b"),
        took(160, "b", 4, 1001),
        Told(170, "rejected:self_trade", "c"),
        Told(180, "new", "d"),
        Told(180, "expired:no_liquidity", "d"),
    ]


def test_own_post_only_orders_do_not_cross_each_other() -> None:
    trader = Trader(market_of([OPEN._replace(asks={1010: 1})]))
    trader.rest(150, "a", SELL, 3, 1005)
    trader.rest(160, "b", BUY, 3, 1005)
    assert trader.run() == [Told(150, "new", "a"), Told(160, "rejected:self_trade", "b")]


# --- amending, cancelling, asking -------------------------------------------------------------------------------


def test_less_at_the_same_price_keeps_the_place() -> None:
    trader = Trader(market_of([OPEN, Book(200, {1000: 50}, {}), Print(300, SELL, 1000, 9)]))
    trader.rest(150, "a", BUY, 8, 1000)
    trader.amend(250, "a", 3, 1000)
    assert trader.run() == [Told(150, "new", "a"), Told(250, "replaced", "a"), made(300, "a", 3, 1000)]
    assert trader.reports[1][1].order_lots == 3
    assert trader.reports[1][1].price_ticks == 1000


@pytest.mark.parametrize(("lots", "ticks"), [(9, 1000), (8, 999)])
def test_more_or_another_price_is_a_new_place(lots: int, ticks: int) -> None:
    trader = Trader(market_of([OPEN, Book(200, {1000: 50, 999: 50}, {}), Print(300, SELL, ticks, 51)]))
    trader.rest(150, "a", BUY, 8, 1000)
    trader.amend(250, "a", lots, ticks)
    # 1000 is through 999: a trade there would have filled the old order whole.
    assert trader.run() == [Told(150, "new", "a"), Told(250, "replaced", "a"), made(300, "a", 1, ticks)]


def test_an_amended_quantity_counts_for_those_behind() -> None:
    # Of the 9 that trade 5 are ahead; "a" wants but 1 of the rest, so 3 are left for "b".
    trader = Trader(market_of([OPEN, Print(200, SELL, 1000, 1), Print(300, SELL, 1000, 8)]))
    trader.rest(150, "a", BUY, 8, 1000)
    trader.rest(160, "b", BUY, 8, 1000)
    trader.amend(250, "a", 1, 1000)
    assert trader.run()[3:] == [made(300, "a", 1, 1000), made(300, "b", 3, 1000)]


def test_an_amend_may_take() -> None:
    trader = Trader(market_of([OPEN]))
    trader.place(150, "a", BUY, 6, 999)
    trader.amend(160, "a", 6, 1001)
    assert trader.run() == [Told(150, "new", "a"), Told(160, "replaced", "a"), took(160, "a", 4, 1001)]
    assert [order.leaves_lots for order in trader.venue.audit()] == [2]


def test_amends_that_change_nothing() -> None:
    trader = Trader(market_of([OPEN, Print(200, SELL, 1000, 7)]))
    trader.rest(150, "a", BUY, 6, 1000)
    trader.rest(150, "b", SELL, 6, 1004)
    trader.amend(210, "a", 6, 1001)
    trader.amend(211, "a", 6, 0)
    trader.amend(212, "a", 0, 1000)  # no more than what is filled: the end of it
    trader.amend(213, "a", 6, 1000)
    trader.amend(214, "x", 6, 1000)
    assert trader.run() == [
        Told(150, "new", "a"),
        Told(150, "new", "b"),
        made(200, "a", 2, 1000),
        Told(210, "amend_rejected:would_take", "a"),
        Told(211, "amend_rejected:bad_terms", "a"),
        Told(212, "canceled", "a"),
        Told(213, "amend_rejected:too_late", "a"),
        Told(214, "amend_rejected:unknown_order", "x"),
    ]


def test_cancels_and_queries() -> None:
    trader = Trader(market_of([OPEN, Print(200, SELL, 1000, 6), Print(300, SELL, 999, 1)]))
    trader.rest(150, "a", BUY, 3, 1000)
    trader.query(160, "a")
    trader.query(200, "a")
    trader.query(300, "a")
    trader.query(310, "x")
    trader.cancel(320, "x")
    assert trader.run() == [
        Told(150, "new", "a"),
        Told(160, "status:new", "a"),
        made(200, "a", 1, 1000),
        Told(200, "status:partially_filled", "a"),
        made(300, "a", 2, 1000),
        Told(300, "status:filled", "a"),
        Told(310, "not_found:unknown_order", "x"),
        Told(320, "cancel_rejected:unknown_order", "x"),
    ]
    status = trader.reports[3][1]
    assert (status.cum_lots, status.avg_hticks, status.provenance) == (1, 2000, Provenance.QUERY)


def test_terms_that_are_refused() -> None:
    instrument = msgspec.structs.replace(
        INSTRUMENT, min_qty_lots=2, max_qty_lots=50, min_notional=Decimal("0.3")
    )  # 0.3 / (0.001 x 0.1 x 1000) = 3 lots at 1000
    trader = Trader(market_of([OPEN], instrument=instrument))
    trader.rest(150, "a", BUY, 1, 1000)
    trader.rest(151, "b", BUY, 2, 1000)
    trader.rest(152, "c", BUY, 51, 1000)
    trader.rest(153, "d", BUY, 3, 1000)
    trader.rest(154, "d", BUY, 3, 1000)
    trader.place(155, "e", BUY, 3, 1000, tif=Tif.GTD)
    trader.place(156, "f", BUY, 3, 1000, tif=Tif.IOC, post_only=True)
    trader.place(157, "g", SELL, 3, 1001, reduce_only=True)
    assert trader.run() == [
        Told(150, "rejected:bad_terms", "a"),
        Told(151, "rejected:bad_terms", "b"),
        Told(152, "rejected:bad_terms", "c"),
        Told(153, "new", "d"),
        Told(154, "rejected:duplicate_id", "d"),
        Told(155, "rejected:bad_terms", "e"),
        Told(156, "rejected:bad_terms", "f"),
        Told(157, "rejected:nothing_to_reduce", "g"),
    ]


# --- reduce-only ------------------------------------------------------------------------------------------------


def test_a_reduce_only_taker_stops_at_flat() -> None:
    trader = Trader(market_of([OPEN]))
    trader.place(150, "a", BUY, 3)
    trader.place(160, "b", SELL, 5, reduce_only=True)
    assert trader.run() == [
        Told(150, "new", "a"),
        took(150, "a", 3, 1001),
        Told(160, "new", "b"),
        took(160, "b", 3, 1000),
        Told(160, "expired:no_liquidity", "b"),
    ]


def test_resting_reduce_only_orders_end_with_the_position() -> None:
    # Two of 4 over a position of 6: the trade fills the first and half of the second, and there is nothing left.
    settings = TapeSettings(entry=NOW, response=NOW, opening_lots=6)
    trader = Trader(market_of([OPEN, Print(200, BUY, 1001, 30)]), settings)
    trader.place(150, "a", SELL, 4, 1001, post_only=False, reduce_only=True)
    trader.place(151, "b", SELL, 4, 1001, post_only=False, reduce_only=True)
    trader.place(152, "c", SELL, 4, 1004, post_only=False, reduce_only=True)
    assert trader.run() == [
        Told(150, "new", "a"),
        Told(151, "new", "b"),
        Told(152, "new", "c"),
        made(200, "a", 4, 1001),
        made(200, "b", 2, 1001),
        Told(200, "canceled:nothing_to_reduce", "b"),
        Told(200, "canceled:nothing_to_reduce", "c"),
    ]


def test_a_resting_reduce_only_order_that_the_book_reaches_ends_with_the_position() -> None:
    settings = TapeSettings(entry=NOW, response=NOW, opening_lots=-2)
    trader = Trader(market_of([OPEN, Book(200, {1000: 0}, {1000: 5})]), settings)
    trader.place(150, "a", BUY, 4, 1000, reduce_only=True)
    assert trader.run() == [
        Told(150, "new", "a"),
        made(200, "a", 2, 1000),
        Told(200, "canceled:nothing_to_reduce", "a"),
    ]


def test_a_reduce_only_order_that_closes_on_arrival_does_not_rest() -> None:
    settings = TapeSettings(entry=NOW, response=NOW, opening_lots=3)
    trader = Trader(market_of([OPEN]), settings)
    trader.place(150, "a", SELL, 8, 1000, reduce_only=True)
    assert trader.run() == [
        Told(150, "new", "a"),
        took(150, "a", 3, 1000),
        Told(150, "canceled:nothing_to_reduce", "a"),
    ]


# --- reports, money, books --------------------------------------------------------------------------------------


def test_a_trade_report_says_everything() -> None:
    settings = TapeSettings(entry=Delay(median_ns=7), response=Delay(median_ns=11))
    trader = Trader(market_of([OPEN]), settings)
    trader.place(150, "a", BUY, 9)
    trader.run()
    new, first, second = (report for _, report in trader.reports)
    assert (new.exec_type, new.venue_ns, new.recv_ns, new.cum_lots) == (ExecType.NEW, 157, 168, 0)
    assert (new.provenance, new.ord_status, new.venue_order_id) == (Provenance.ACK, OrdStatus.NEW, VenueOrderId("1"))
    assert [at_ns for at_ns, _ in trader.reports] == [168, 168, 168]
    assert (first.venue, first.symbol, first.venue_ns, first.recv_ns) == ("rec", SYMBOL, 157, 168)
    assert (first.last_lots, first.last_ticks, first.cum_lots, first.avg_hticks) == (4, 1001, 4, 2002)
    assert (second.last_lots, second.last_ticks, second.cum_lots) == (5, 1002, 9)
    assert second.avg_hticks == 2003  # (4 x 2002 + 5 x 2004) / 9 = 2003.1
    assert (first.fee_source, first.fee_asset, first.is_maker) == (FeeSource.WS_SETTLED, "USDT", False)
    assert first.fee_atoms == 4 * 1001 * 50_000  # of 10**-12 USDT
    assert INSTRUMENT.money_exp == 12
    assert first.exec_id != second.exec_id


def test_a_maker_pays_the_makers_fee() -> None:
    instrument = msgspec.structs.replace(INSTRUMENT, maker_fee_e8=-5_000, venue=VenueName("rebate"))
    trader = Trader(market_of([OPEN, Print(200, SELL, 999, 1)]), instrument=instrument)
    trader.rest(150, "a", BUY, 3, 1000)
    trader.run()
    fill = trader.reports[1][1]
    assert (fill.venue, fill.is_maker, fill.fee_atoms) == ("rebate", True, 3 * 1000 * -5_000)


def test_the_account_closes() -> None:
    # Buys 4 @ 1001, sells 4 @ 1000: 4 lot-ticks lost, and 8004 lot-ticks at 5 bps in fees.
    trader = Trader(market_of([OPEN]))
    trader.place(150, "a", BUY, 4)
    trader.clock.run_until(155)
    held = at_once(trader.venue.account())
    trader.place(160, "b", SELL, 4)
    trader.run()
    flat = at_once(trader.venue.account())
    fees = Decimal("0.0001") * 4004 * Decimal("0.0005")
    value = Decimal("0.0001") * 4 * (Decimal("1000.5") - 1001)
    equity = 1_000_000 + value - fees
    assert held == AccountState(
        equity=equity,
        available=equity,
        asset="USDT",
        positions=(Position(symbol=SYMBOL, qty_lots=4),),
        venue_ns=155,
    )
    equity = 1_000_000 - Decimal("0.0001") * 4 - Decimal("0.0001") * 8004 * Decimal("0.0005")
    assert flat == AccountState(equity=equity, available=equity, asset="USDT", positions=(), venue_ns=160)


def test_an_inverse_account_closes() -> None:
    # One contract is worth 100 USD: 4 bought at 100.0 and sold at 125.0 are 4 - 3.2 = 0.8 coins, fees apart.
    instrument = msgspec.structs.replace(
        INSTRUMENT,
        inverse=True,
        lot_size=Decimal(1),
        multiplier=Decimal(100),
        settle="BTC",
        maker_fee_e8=0,
        taker_fee_e8=100_000,
    )
    events: Events = [
        Book(100, {999: 9}, {1000: 9}, snapshot=True),
        Book(200, {1250: 9}, {1252: 9, 1000: 0}),
    ]
    trader = Trader(market_of(events, instrument=instrument))
    trader.place(150, "a", BUY, 4)
    trader.clock.run_until(160)
    held = at_once(trader.venue.account())
    trader.place(250, "b", SELL, 4)
    trader.run()
    flat = at_once(trader.venue.account())
    # 4 coins bought, worth 400 / 99.95 of a coin at the mid; 0.1 % of 4 coins in fees.
    assert held.equity == pytest.approx(1_000_000 + Decimal(4) - Decimal(400) / Decimal("99.95") - Decimal("0.004"))
    assert flat.equity == 1_000_000 + Decimal("0.8") - Decimal("0.004") - Decimal("0.0032")
    assert (flat.asset, flat.positions) == ("BTC", ())


def test_the_books_can_be_read() -> None:
    trader = Trader(market_of([OPEN, Print(200, SELL, 1000, 6)]))
    trader.rest(150, "a", BUY, 3, 1000)
    trader.place(160, "b", SELL, 9, 1003, tif=Tif.IOC)
    trader.clock.run_until(250)
    assert at_once(trader.venue.open_orders()) == (
        OpenOrder(
            cl_ord_id=ClOrdId("a"),
            venue_order_id=VenueOrderId("1"),
            symbol=SYMBOL,
            side=BUY,
            price_ticks=1000,
            leaves_lots=2,
            created_ns=150,
        ),
    )
    fills = at_once(trader.venue.fills_since(200))
    assert [(fill.cl_ord_id, fill.last_lots, fill.venue_ns) for fill in fills] == [("a", 1, 200)]
    assert at_once(trader.venue.fills_since(201)) == ()
    assert trader.venue.audit() == (
        VenueOrder(
            cl_ord_id=ClOrdId("a"),
            symbol=SYMBOL,
            side=BUY,
            order_lots=3,
            filled_lots=1,
            leaves_lots=2,
            exec_ids=("1-1",),
        ),
        VenueOrder(
            cl_ord_id=ClOrdId("b"), symbol=SYMBOL, side=SELL, order_lots=9, filled_lots=0, leaves_lots=0, exec_ids=()
        ),
    )
    assert at_once(trader.venue.server_time_ns()) == 250


def test_it_is_an_ordinary_adapter() -> None:
    trader = Trader(market_of([OPEN]))
    assert isinstance(trader.venue, VenueAdapter)
    assert isinstance(trader.venue, OwnFeed)
    assert isinstance(trader.venue, Audited)
    assert (trader.instruments, trader.links, trader.venue.name) == ([INSTRUMENT], [True], "rec")
    trader.venue.subscribe(SYMBOL)
    with pytest.raises(CallerError, match="rec has no ETHUSDT; nothing was sent"):
        trader.venue.subscribe(Symbol("ETHUSDT"))
    with pytest.raises(CallerError, match="no leverage"):
        at_once(trader.venue.set_leverage(SYMBOL, Decimal(3)))
    with pytest.raises(CallerError, match="no dead-man's switch"):
        at_once(trader.venue.arm_dead_man(10.0))
    with pytest.raises(CallerError, match="not connected"):
        TapeVenue(market_of([OPEN])).feed(SYMBOL, lambda key: None)
    other = msgspec.structs.replace(INSTRUMENT, tick_size=Decimal("0.5"))
    with pytest.raises(CallerError, match="other steps"):
        TapeVenue(market_of([OPEN]), instrument=other)


def test_what_is_on_its_way_when_we_disconnect_is_lost_but_happened() -> None:
    trader = Trader(market_of([OPEN]), TapeSettings(entry=NOW, response=Delay(median_ns=50)))
    trader.place(150, "a", BUY, 3)
    trader.clock.run_until(180)
    at_once(trader.venue.disconnect())
    assert trader.run() == []
    at_once(trader.venue.connect(trader, trader.clock))
    assert [fill.last_lots for fill in at_once(trader.venue.fills_since(0))] == [3]


# --- the feed ---------------------------------------------------------------------------------------------------


class Watcher(Trader):
    """Somebody who watches the feed; `woken` has the time and the key of each wake."""

    def __init__(self, events: list[Book | Print], *, feed_ns: int = 0) -> None:
        super().__init__(market_of(events, feed=Delay(median_ns=feed_ns)))
        self.feed = self.venue.feed(SYMBOL, lambda key: self.woken.append((self.clock.now_ns(), key)))
        self.woken: list[tuple[int, int]] = []

    def view(self, now_ns: int) -> MarketView:
        self.clock.run_until(now_ns)
        return self.feed.view(now_ns)

    def woken_in_the_end(self) -> list[tuple[int, int]]:
        self.clock.run()
        return self.woken


MOVES: list[Book | Print] = [OPEN, Book(200, {1000: 1}, {}), Book(300, {1000: 0}, {}), Book(400, {998: 3, 999: 0}, {})]


def test_a_view_is_known_after_the_feeds_delay() -> None:
    watcher = Watcher(MOVES, feed_ns=30)
    assert watcher.view(129).trust is Trust.EMPTY
    assert watcher.feed.mid_hticks(129) == 0
    view = watcher.view(130)
    assert (view.bids, view.asks) == (((1000, 5), (999, 7)), ((1001, 4), (1002, 6), (1005, 20)))
    assert (view.venue, view.venue_ns, view.recv_ns) == ("rec", 100, 130)
    assert watcher.feed.mid_hticks(130) == 2001
    assert watcher.feed.mid_hticks(330) == 2000


def test_a_view_carries_the_venues_own_name() -> None:
    trader = Trader(market_of([OPEN]), instrument=msgspec.structs.replace(INSTRUMENT, venue=VenueName("other")))
    assert trader.venue.feed(SYMBOL, lambda key: None).view(150).venue == "other"


@pytest.mark.parametrize(("ticks", "at_ns"), [(1, 300), (2, 400)])
def test_a_moved_best_wakes(ticks: int, at_ns: int) -> None:
    watcher = Watcher(MOVES)
    watcher.feed.watch(7, Revisit(best_moved_ticks=ticks), watcher.view(150), 150)
    assert watcher.woken_in_the_end() == [(at_ns, 7)]


def test_a_trigger_wakes_when_it_becomes_true() -> None:
    watcher = Watcher(MOVES, feed_ns=30)
    low_bid = Trigger("bid_touch_lots", above=False, level=5)
    watcher.feed.watch(7, Revisit(triggers=(low_bid,)), watcher.view(150), 150)
    assert watcher.woken_in_the_end() == [(230, 7)]


def test_a_trigger_that_held_must_first_become_false() -> None:
    # Below 6 at 100, 7 from 300 on, 3 from 400 on.
    watcher = Watcher(MOVES)
    low_bid = Trigger("bid_touch_lots", above=False, level=6)
    watcher.feed.watch(7, Revisit(triggers=(low_bid,)), watcher.view(150), 150)
    assert watcher.woken_in_the_end() == [(400, 7)]


def test_a_condition_that_came_true_since_it_was_seen_wakes_at_once() -> None:
    watcher = Watcher(MOVES)
    seen = watcher.view(150)
    watcher.clock.run_until(350)
    watcher.feed.watch(7, Revisit(best_moved_ticks=1), seen, 350)
    assert watcher.woken == []
    watcher.clock.run_until(350)
    assert watcher.woken == [(350, 7)]


def test_a_book_that_loses_a_side_wakes() -> None:
    watcher = Watcher([OPEN, Book(200, {}, {1001: 0, 1002: 0, 1005: 0}), Book(300, {}, {1001: 1})])
    watcher.feed.watch(7, Revisit(), watcher.view(150), 150)
    watcher.feed.watch(8, Revisit(on_untrusted=False), watcher.view(150), 150)
    watcher.clock.run_until(250)
    watcher.feed.watch(9, Revisit(), watcher.view(250), 250)
    assert watcher.woken_in_the_end() == [(200, 7), (300, 9)]


def test_a_replaced_or_forgotten_watch_does_not_wake() -> None:
    watcher = Watcher(MOVES)
    seen = watcher.view(150)
    watcher.feed.watch(7, Revisit(best_moved_ticks=1), seen, 150)
    watcher.feed.watch(7, Revisit(best_moved_ticks=2), seen, 150)
    watcher.feed.watch(8, Revisit(best_moved_ticks=1), seen, 150)
    watcher.feed.unwatch(8)
    watcher.feed.unwatch(9)
    assert watcher.woken_in_the_end() == [(400, 7)]


def test_an_unknown_feature_is_refused_and_the_older_watch_stays() -> None:
    watcher = Watcher(MOVES)
    seen = watcher.view(150)
    watcher.feed.watch(7, Revisit(best_moved_ticks=1), seen, 150)
    with pytest.raises(CallerError, match="no market feature is called 'colour'"):
        watcher.feed.watch(7, Revisit(triggers=(Trigger("colour", above=True, level=1.0),)), seen, 150)
    assert watcher.woken_in_the_end() == [(300, 7)]


def test_an_unknown_feature_is_refused_behind_a_condition_that_has_come_true() -> None:
    watcher = Watcher(MOVES)
    revisit = Revisit(best_moved_ticks=1, triggers=(Trigger("colour", above=True, level=1.0),))
    seen = watcher.view(150)
    watcher.clock.run_until(350)
    with pytest.raises(CallerError, match="no market feature is called 'colour'"):
        watcher.feed.watch(7, revisit, seen, 350)


@pytest.mark.parametrize("ticks", [1, 63, 64, 65, 150, 299])
def test_a_far_move_is_found_however_many_lie_before_it(ticks: int) -> None:
    # One tick up every 10, beginning with the move at 110.
    steps = [
        Book(100 + 10 * at, {1000 + at: 1, 999 + at: 0}, {1000 + at: 0, 1001 + at: 1}, snapshot=not at)
        for at in range(300)
    ]
    watcher = Watcher(list(steps))
    watcher.feed.watch(7, Revisit(best_moved_ticks=ticks), watcher.view(105), 105)
    watcher.feed.watch(8, Revisit(best_moved_ticks=300), watcher.view(105), 105)
    assert watcher.woken_in_the_end() == [(100 + 10 * ticks, 7)]


def test_the_first_book_of_a_recording_makes_it_sound() -> None:
    watcher = Watcher(MOVES)
    watcher.feed.watch(7, Revisit(), watcher.view(50), 50)
    assert watcher.woken_in_the_end() == [(100, 7)]


# --- options and delays -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "delay"),
    [
        ("0", Delay(median_ns=0)),
        ("1500", Delay(median_ns=1_500)),
        ("250us", Delay(median_ns=250_000)),
        ("2.5ms", Delay(median_ns=2_500_000)),
        ("1s", Delay(median_ns=1_000_000_000)),
        ("5ms~0.4", Delay(median_ns=5_000_000, sigma=0.4)),
    ],
)
def test_delays_are_read(text: str, delay: Delay) -> None:
    assert read_delay(text) == delay


@pytest.mark.parametrize("text", ["", "ms", "-1ms", "5 minutes", "5ms~", "5ms~-1", "nan", "inf", "5ms~99", "5mss"])
def test_what_is_no_delay_is_refused(text: str) -> None:
    with pytest.raises(CallerError, match="is no delay; nothing was opened"):
        read_delay(text)


def test_log_normal_delays_have_their_median_and_keep_order() -> None:
    delay = Delay(median_ns=1_000_000, sigma=0.5)
    line = Line(delay, seed=3, way="entry/")
    far_apart = [line.arrival_ns(sent) - sent for sent in range(0, 4001 * 10**9, 10**9)]
    assert np.median(far_apart) == pytest.approx(1_000_000, rel=0.05)
    assert np.std(np.log(far_apart)) == pytest.approx(0.5, rel=0.05)
    crowded = [line.arrival_ns(10**13 + sent) for sent in range(100)]
    assert crowded == sorted(crowded)
    venue_ns = np.arange(4000, dtype=np.int64) * 10**9
    local_ns = local_times(venue_ns, delay, seed=3, way="groups")
    assert np.median(local_ns - venue_ns) == pytest.approx(1_000_000, rel=0.05)
    assert (local_times(venue_ns, delay, seed=3, way="groups") == local_ns).all()
    assert (local_times(venue_ns, delay, seed=4, way="groups") != local_ns).any()


def test_measured_delays_are_drawn_from(tmp_path: Path) -> None:
    path = tmp_path / "delays.txt"
    path.write_text("4ms\n9ms 5.5ms\n250us\n")
    delay = read_delay(f"@{path}")
    assert delay == Delay(median_ns=4_000_000, measured_ns=(4_000_000, 9_000_000, 5_500_000, 250_000))
    line = Line(delay, seed=3, way="entry/")
    taken = [line.arrival_ns(sent) - sent for sent in range(0, 4000 * 10**9, 10**9)]
    venue_ns = np.arange(4000, dtype=np.int64) * 10**9
    for delays in (taken, (local_times(venue_ns, delay, seed=3, way="groups") - venue_ns).tolist()):
        assert sorted(set(delays)) == [250_000, 4_000_000, 5_500_000, 9_000_000]
        assert all(900 < delays.count(each) < 1100 for each in delay.measured_ns)
    again = Line(delay, seed=3, way="entry/")
    assert [again.arrival_ns(sent) - sent for sent in range(0, 4000 * 10**9, 10**9)] == taken


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), ("", "holds 0 delays"), ("5ms\nsoon", "entry 2, 'soon', is no delay"), ("é", "read")],
)
def test_measured_delays_that_do_not_read_are_refused(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "delays.txt"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(CallerError, match=message):
        read_delay(f"@{path}")


def test_no_delay_stays_none_however_it_is_spread() -> None:
    delay = read_delay("0~0.4")
    venue_ns = np.arange(3, dtype=np.int64)
    assert (local_times(venue_ns, delay, seed=3, way="groups") == venue_ns).all()
    assert Line(delay, seed=3, way="entry/").arrival_ns(7) == 7


def saved(path: Path) -> str:
    tape = tape_of([OPEN, Print(200, SELL, 1000, 3), Book(250, {1000: 2}, {}), Print(300, SELL, 1000, 4)])
    late = msgspec.structs.replace(tape, group_recv_ns=tape.group_venue_ns + 40, trade_recv_ns=tape.trade_venue_ns + 40)
    save_tape(late, path, findings=(), source=(), importer="test")
    return str(path)


def test_an_unconnected_venue_is_opened_from_options(tmp_path: Path) -> None:
    options = {
        "tape": saved(tmp_path / "tape"),
        "queue": "moderate",
        "seed": "3",
        "feed": "recorded",
        "entry": "10",
        "response": "20",
        "maker_fee_bps": "-0.5",
        "taker_fee_bps": "4.25",
        "name": "paper",
        "opening_lots": "-2",
        "equity": "2500",
    }
    trader = Trader(market_of([OPEN]))
    trader.venue = venue = open_tape_venue(options)
    at_once(venue.connect(trader, trader.clock))
    assert (venue.name, venue.capabilities.submit_rtt_ns) == ("paper", 30)
    account = at_once(venue.account())
    assert account.equity == 2500
    assert account.positions == (Position(symbol=SYMBOL, qty_lots=-2),)
    feed = venue.feed(SYMBOL, lambda key: None)
    assert (feed.view(139).trust, feed.view(140).venue) == (Trust.EMPTY, "paper")
    trader.rest(140, "a", BUY, 1, 1000)
    trader.place(141, "b", BUY, 1)
    assert trader.run() == [
        Told(170, "new", "a"),
        Told(171, "new", "b"),
        took(171, "b", 1, 1001),
        made(320, "a", 1, 1000),
    ]
    assert [report.fee_atoms for _, report in trader.reports[-2:]] == [1001 * 42_500, -1000 * 5_000]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs the option tape"),
        ({"tape": "x", "colour": "red"}, "'colour' is no option"),
        ({"tape": "x", "market": "zi"}, "market 'zi' is no recording"),
        ({"tape": "x", "amends": "maybe"}, "amends: 'maybe' is none; nothing was opened. Use yes or no"),
        ({"tape": "x", "owners": "many"}, "owners: 'many' is none; nothing was opened. Use one of one, parents"),
        ({"tape": "nowhere"}, "there is no tape at"),
        ({"tape": "x", "queue": "hopeful"}, "'hopeful' is no queue model"),
        ({"tape": "x", "entry": "soon"}, "'soon' is no delay"),
        ({"tape": "x", "seed": "1.5"}, "option seed: 1.5 is not a whole number"),
        ({"tape": "x", "equity": "much"}, "option equity: 'much' is not a number"),
        ({"tape": "{tape}", "taker_fee_bps": "4.00001"}, "option taker_fee_bps: 4.00001 has more than four decimals"),
    ],
)
def test_bad_options_are_refused(tmp_path: Path, options: dict[str, str], message: str) -> None:
    named = {name: text.format(tape=tmp_path / "tape") for name, text in options.items()}
    saved(tmp_path / "tape")
    with pytest.raises(CallerError, match=message):
        open_tape_venue(named)


def test_a_parent_is_an_owner_where_options_say_so(tmp_path: Path) -> None:
    # Two children of parent 1, one of parent 2, one order of somebody else; whoever owns the bid may not sell into it.
    path = saved(tmp_path / "tape")
    codec = ClOrdIdCodec()
    bid, same, other = (codec.encode(9, parent, child, closing=False) for parent, child in ((1, 1), (1, 2), (2, 1)))
    ends: dict[str, list[str]] = {}
    for owners in ("one", "parents"):
        trader = Trader(market_of([OPEN]))
        trader.venue = venue = open_tape_venue(
            {"market": "tape", "tape": path, "owners": owners, "entry": "0", "response": "0"}
        )
        at_once(venue.connect(trader, trader.clock))
        trader.rest(140, bid, BUY, 3, 1000)
        for name in (same, other, "manual"):
            trader.place(150, name, SELL, 1, 1000, tif=Tif.IOC)
        trader.clock.run_until(160)
        ends[owners] = [told.what for told in trader.told()]
    refused = "rejected:self_trade"
    assert ends == {
        "one": ["new", refused, refused, refused],
        "parents": ["new", refused, "new", "trade", "new", "trade"],
    }


def test_delays_of_a_parent_do_not_depend_on_others() -> None:
    # The draws are the parent's own: not of who came before it, nor of the journal it is written in.
    settings = TapeSettings(entry=Delay(median_ns=50, sigma=1.0), response=Delay(median_ns=50, sigma=1.0))
    settings = msgspec.structs.replace(settings, owners="parents")
    codec = ClOrdIdCodec()
    told: list[list[tuple[int, str]]] = []
    for epoch, parents in ((4, (2,)), (5, (1, 2, 3))):
        trader = Trader(market_of([OPEN]), settings)
        for parent in parents:
            for child in (1, 2, 3):
                trader.rest(150 + child, codec.encode(epoch, parent, child, closing=False), BUY, 1, 1000)
        second = codec.encode(epoch, 2, 1, closing=False)[:19]
        told.append([(one.at_ns, one.what) for one in trader.run() if one.order.startswith(second)])
    assert len(told[0]) == 3
    assert told[0] == told[1]


def market_at(path: str, **options: str) -> TapeMarket:
    return open_tape_venue({"tape": path, **options}).market


def test_a_recording_is_indexed_once_for_all_venues_on_it(tmp_path: Path) -> None:
    path = saved(tmp_path / "tape")
    first = market_at(path)
    assert market_at(path, queue="moderate", seed="3", maker_fee_bps="1", name="paper", owners="parents") is first
    assert market_at(path, feed="7ms") is not first
    assert market_at(path) is first
    drawn = market_at(path, feed="7ms~0.5", seed="1")
    assert market_at(path, feed="7ms~0.5", seed="2") is not drawn


def test_a_recording_that_changed_is_indexed_again(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    first = market_at(saved(path))
    other = tape_of([OPEN, Print(200, SELL, 1000, 3)])
    save_tape(other, path, findings=(), source=(), importer="test", overwrite=True)
    second = market_at(str(path))
    assert (first.trade_count, second.trade_count) == (2, 1)
    # The digest is that of the columns alone: another instrument, the same digest, another market.
    finer = msgspec.structs.replace(other, instrument=msgspec.structs.replace(INSTRUMENT, tick_size=Decimal("0.01")))
    save_tape(finer, path, findings=(), source=(), importer="test", overwrite=True)
    third = market_at(str(path))
    assert (third.tape.digest, third.tape.instrument.tick_size) == (second.tape.digest, Decimal("0.01"))
