"""The simulated venue with nothing going wrong: rules, money, time on the way, market data and connections.

The ladder: bids from 599998 down, asks from 600003 up, ten levels of 1000 lots a side; tick 0.1, lot 0.001.
"""

from decimal import Decimal
from itertools import pairwise

import pytest

from sor.adapter import (
    AccountState,
    AmendModel,
    Audited,
    OpenOrder,
    OwnFeed,
    Position,
    Reach,
    Request,
    RequestFailed,
    SelfTrade,
    VenueAdapter,
    VenueOrder,
)
from sor.errors import CallerError, NotSent
from sor.ids import ClOrdId, Symbol, VenueName, VenueOrderId
from sor.market import BookReset, BookUpdate, MarkUpdate, TradePrint
from sor.orders import FeeSource, Provenance, Side, Tif
from sor.sim.world import at_once
from sor.units import MS, NS
from tests.fakes.simulated import ASK, BID, START_NS, SYMBOL, Customer, Heard, ref

BUY, SELL = Side.BUY, Side.SELL
ZI = {"market": "zi", "latency": "zero", "zi.burn_in_s": "2"}
SLOW = {"entry": "20ms", "response": "30ms", "feed": "5ms"}


# --- orders ---------------------------------------------------------------------------------------------------------


def test_it_is_an_ordinary_adapter_whose_books_may_be_read() -> None:
    venue = Customer().venue
    assert isinstance(venue, VenueAdapter)
    assert isinstance(venue, Audited)
    assert not isinstance(venue, OwnFeed)
    assert venue.name == "simulated"


def test_an_order_that_rests_and_one_that_takes() -> None:
    we = Customer()
    we.place("rest", BUY, 10, BID)
    assert we.news() == [Heard("new", "rest")]
    we.place("walk", BUY, 1_500, ASK + 1)
    assert we.news() == [Heard("trade", "walk", 1_000, ASK), Heard("trade", "walk", 500, ASK + 1)]
    assert we.venue.audit() == (
        VenueOrder(
            cl_ord_id=ClOrdId("rest"),
            symbol=SYMBOL,
            side=BUY,
            order_lots=10,
            filled_lots=0,
            leaves_lots=10,
            exec_ids=(),
        ),
        VenueOrder(
            cl_ord_id=ClOrdId("walk"),
            symbol=SYMBOL,
            side=BUY,
            order_lots=1_500,
            filled_lots=1_500,
            leaves_lots=0,
            exec_ids=("1t", "2t"),
        ),
    )


def test_a_limit_order_takes_what_it_can_and_rests_with_the_remainder() -> None:
    we = Customer()
    we.place("a", SELL, 1_200, BID)
    assert we.news() == [Heard("new", "a"), Heard("trade", "a", 1_000, BID)]
    assert we.book("a").leaves_lots == 200


def test_what_a_trade_report_says() -> None:
    we = Customer()
    we.place("a", BUY, 2, ASK)
    (report,) = we.reports
    assert (report.exec_id, report.cum_lots, report.is_maker) == ("1t", 2, False)
    assert (report.provenance, report.venue_order_id) == (Provenance.ACK, "1")
    assert (report.venue_ns, report.recv_ns) == (START_NS, START_NS)
    # 0.002 x 60000.3 x 5 bps
    assert we.instruments[0].money(report.fee_atoms or 0) == Decimal("0.0600003")
    assert (report.fee_asset, report.fee_source) == ("USDT", FeeSource.REST_SETTLED)


def test_post_only_is_refused_when_it_would_take() -> None:
    we = Customer()
    we.place("a", BUY, 10, ASK, post_only=True)
    we.place("b", BUY, 10, ASK - 1, post_only=True)
    assert we.news() == [Heard("rejected: would_take", "a"), Heard("new", "b")]


def test_ioc_takes_what_there_is_and_expires() -> None:
    we = Customer()
    we.place("a", BUY, 1_200, ASK, tif=Tif.IOC)
    we.place("b", BUY, 5, ASK, tif=Tif.IOC)
    assert we.news() == [Heard("trade", "a", 1_000, ASK), Heard("expired", "a", 1_000), Heard("expired", "b", 0)]


def test_fok_takes_all_or_nothing() -> None:
    we = Customer()
    we.place("a", BUY, 1_001, ASK, tif=Tif.FOK)
    we.place("b", BUY, 1_000, ASK, tif=Tif.FOK)
    assert we.news() == [Heard("expired", "a", 0), Heard("trade", "b", 1_000, ASK)]


def test_market_orders_walk_the_book_without_a_bound_and_stop_at_one() -> None:
    free, bound = Customer(), Customer(market_bound_bps="0.02")
    assert free.venue.capabilities.market_bound_bps is None
    assert bound.venue.capabilities.market_bound_bps == 0.02
    free.place("a", SELL, 3_500)
    assert [one.lots for one in free.news()] == [1_000, 1_000, 1_000, 500]
    bound.place("a", SELL, 3_500)  # 0.02 bps of 599998 ticks is one tick
    assert bound.news() == [
        Heard("trade", "a", 1_000, BID),
        Heard("trade", "a", 1_000, BID - 1),
        Heard("expired", "a", 2_000),
    ]


def test_market_order_without_anybody_to_trade_with() -> None:
    we = Customer({"market": "empty", "latency": "zero"}, market_bound_bps="10")
    we.place("a", SELL, 10)
    assert we.news() == [Heard("rejected: no_liquidity", "a")]
    assert we.venue.audit() == ()


def test_reduce_only_never_opens_and_is_cut_to_the_position() -> None:
    we = Customer()
    we.place("none", SELL, 5, BID, reduce_only=True)
    we.place("open", BUY, 10, ASK)
    we.place("exit", SELL, 15, ASK + 5, reduce_only=True)
    assert we.news() == [
        Heard("rejected: nothing_to_reduce", "none"),
        Heard("trade", "open", 10, ASK),
        Heard("new", "exit"),
        Heard("replaced", "exit", 10, ASK + 5),
    ]
    we.place("less", SELL, 4, BID)
    assert we.news() == [Heard("trade", "less", 4, BID), Heard("replaced", "exit", 6, ASK + 5)]
    we.place("flat", SELL, 6, BID)
    assert we.news() == [Heard("trade", "flat", 6, BID), Heard("canceled", "exit", 0)]


def test_reduce_only_may_be_refused_when_larger() -> None:
    we = Customer(reduce_only="refuse")
    we.place("open", BUY, 10, ASK)
    we.place("exit", SELL, 15, ASK + 5, reduce_only=True)
    assert we.news()[-1] == Heard("rejected: bad_terms", "exit")


def test_amend_up_down_across_and_to_nothing() -> None:
    we = Customer()
    we.place("a", BUY, 10, BID)
    we.amend("a", 6, BID)
    we.amend("a", 8, ASK)
    assert we.news() == [
        Heard("new", "a"),
        Heard("replaced", "a", 6, BID),
        Heard("replaced", "a", 8, ASK),
        Heard("trade", "a", 8, ASK),
    ]
    we.amend("a", 9, BID)
    we.place("b", BUY, 10, BID)
    we.amend("b", 0, BID)
    assert we.news() == [Heard("amend_rejected: too_late", "a"), Heard("new", "b"), Heard("canceled", "b", 0)]


def test_amend_where_there_is_none() -> None:
    we = Customer(amend="none")
    assert we.venue.capabilities.amend is AmendModel.NONE
    we.place("a", BUY, 10, BID)
    we.amend("a", 6, BID)
    assert we.news() == [Heard("new", "a"), Heard("amend_rejected: bad_terms", "a")]


@pytest.mark.parametrize(
    ("rule", "heard"),
    [
        (SelfTrade.ALLOWED, [Heard("trade", "b", 10, ASK - 1), Heard("trade", "a", 10, ASK - 1)]),
        (SelfTrade.CANCEL_TAKER, [Heard("canceled", "b", 0)]),
        (SelfTrade.CANCEL_MAKER, [Heard("canceled", "a", 0), Heard("trade", "b", 10, ASK)]),
        (SelfTrade.CANCEL_BOTH, [Heard("canceled", "a", 0), Heard("canceled", "b", 0)]),
    ],
)
def test_self_trade(rule: SelfTrade, heard: list[Heard]) -> None:
    we = Customer(self_trade=rule.value)
    assert we.venue.capabilities.self_trade is rule
    we.place("a", SELL, 10, ASK - 1)
    we.news()
    we.place("b", BUY, 10, ASK)
    assert we.news() == heard


def test_cancel_and_what_cannot_be_cancelled() -> None:
    we = Customer()
    we.place("a", BUY, 10, BID)
    we.cancel("a")
    we.cancel("a")
    we.cancel("never")
    we.amend("never", 5, BID)
    assert we.news() == [
        Heard("new", "a"),
        Heard("canceled", "a", 0),
        Heard("cancel_rejected: too_late", "a"),
        Heard("cancel_rejected: unknown_order", "never"),
        Heard("amend_rejected: unknown_order", "never"),
    ]


def test_lookups() -> None:
    we = Customer()
    for name, ticks in (("open", BID), ("gone", BID - 1), ("full", ASK)):
        we.place(name, BUY, 10, ticks)
    we.cancel("gone")
    we.place("part", BUY, 1_500, ASK)
    we.news()
    for name in ("open", "gone", "full", "part", "never"):
        we.query(name)
    assert we.news() == [
        Heard("status new", "open", 0),
        Heard("status canceled", "gone", 0),
        Heard("status filled", "full", 10),
        Heard("status partially_filled", "part", 990),
        Heard("not_found", "never"),
    ]
    part = we.reports[-2]
    assert (part.order_lots, part.price_ticks, part.avg_hticks) == (1_500, ASK, 2 * ASK)


def test_a_client_id_is_used_once() -> None:
    we = Customer()
    we.place("a", BUY, 10, BID)
    we.cancel("a")
    we.place("a", BUY, 10, BID)
    assert we.news()[-1] == Heard("rejected: duplicate_id", "a")
    assert len(we.venue.audit()) == 1


def test_an_order_for_another_symbol_is_refused() -> None:
    we = Customer(symbol="ethusdt")
    we.place("a", BUY, 10, BID)
    assert we.news() == [Heard("rejected: bad_terms", "a")]


def test_rate_limit_of_orders_in_any_second() -> None:
    we = Customer(orders_per_s="2")
    assert we.venue.capabilities.orders_per_s == 2.0
    for name in ("a", "b", "c"):
        we.place(name, BUY, 10, BID)
    we.cancel("a")  # cancels and lookups are free
    we.query("b")
    assert [one.what for one in we.news()] == ["new", "new", "rejected: rate_limited", "canceled", "status new"]
    we.wait(999)
    we.amend("b", 5, BID)
    we.wait(1)
    we.amend("b", 5, BID)
    assert [one.what for one in we.news()] == ["amend_rejected: rate_limited", "replaced"]


# --- time on the way ------------------------------------------------------------------------------------------------


def test_a_request_takes_the_entry_delay_and_its_answer_the_response_delay() -> None:
    we = Customer(SLOW)
    assert we.venue.capabilities.submit_rtt_ns == 50 * MS
    we.place("a", BUY, 10, BID)
    we.wait(19.9)
    assert we.venue.audit() == ()
    we.wait(0.1)
    assert we.book("a").leaves_lots == 10
    we.wait(29.9)
    assert we.news() == []
    we.wait(0.1)
    assert we.news() == [Heard("new", "a")]
    assert (we.reports[0].venue_ns, we.reports[0].recv_ns) == (START_NS + 20 * MS, START_NS + 50 * MS)


def test_nothing_overtakes_under_random_delays() -> None:
    we = Customer(entry="5ms~1.5", response="5ms~1.5", orders_per_s="1000000")
    names = [f"o{number}" for number in range(100)]
    for name in names:
        we.place(name, BUY, 10, BID)
        we.cancel(name)
        we.wait(1)
    we.wait(5_000)
    assert we.news() == [Heard(what, name) for name in names for what in ("new", "canceled")]
    times = [report.recv_ns for report in we.reports]
    assert times == sorted(times)
    assert len(set(times)) > 5


def test_without_delays_submit_calls_the_sink_before_it_returns() -> None:
    we = Customer()
    we.place("a", BUY, 10, BID)
    assert we.news() == [Heard("new", "a")]


def test_what_is_sent_from_within_a_report_waits_its_turn() -> None:
    """Somebody who cancels at once on hearing NEW still hears the first order's trade before the cancel's answer."""

    class Hasty(Customer):
        def execution(self, event: object) -> None:
            super().execution(event)  # type: ignore[arg-type]
            if self.heard[-1].what == "new":
                self.cancel(self.heard[-1].order)

    we = Hasty()
    we.place("a", SELL, 1_200, BID)
    assert we.news() == [Heard("new", "a"), Heard("trade", "a", 1_000, BID), Heard("canceled", "a", 1_000)]


def test_a_request_without_an_answer_in_time_is_in_doubt_and_its_late_answer_not_heard() -> None:
    we = Customer(entry="20ms", response="30ms", timeout_ms="40")
    we.place("a", BUY, 10, ASK, post_only=True)
    we.place("b", BUY, 10, BID)
    we.wait(100)
    assert we.news() == [
        Heard("place in_doubt", "a"),
        Heard("place in_doubt", "b"),
        Heard("new", "b"),  # what happens to an order is pushed too
    ]
    assert we.failed[0] == RequestFailed(
        cl_ord_id=ClOrdId("a"),
        request=Request.PLACE,
        reach=Reach.IN_DOUBT,
        code="timeout",
        text="no answer in time",
    )


def test_a_request_past_its_receive_window_is_refused() -> None:
    we = Customer(entry="30ms", receive_window_ms="20")
    assert we.venue.capabilities.receive_window_ns == 20 * MS
    we.place("a", BUY, 10, BID)
    we.cancel("a")
    we.query("a")
    we.wait(100)
    assert we.news() == [
        Heard("rejected: other", "a"),
        Heard("cancel_rejected: other", "a"),
        Heard("query in_doubt", "a"),
    ]
    assert we.venue.audit() == ()


def test_the_venues_clock_may_be_ahead() -> None:
    we = Customer(clock_offset_ms="250")
    we.venue.subscribe(SYMBOL)
    we.place("a", BUY, 10, BID)
    assert at_once(we.venue.server_time_ns()) == START_NS + 250 * MS
    assert (we.reports[0].venue_ns, we.reports[0].recv_ns) == (START_NS + 250 * MS, START_NS)
    assert we.events[-1].recv_ns == START_NS


# --- what the account says ------------------------------------------------------------------------------------------


def test_account_after_a_round_trip_and_with_a_position() -> None:
    we = Customer(maker_fee_bps="2", taker_fee_bps="5")
    assert at_once(we.venue.account()) == AccountState(
        equity=Decimal(1_000_000), available=Decimal(1_000_000), asset="USDT", positions=(), venue_ns=START_NS
    )
    we.place("in", BUY, 1_000, ASK)  # 1 coin at 60000.3, fee 30.00015
    we.place("out", SELL, 1_000, BID)  # at 59999.8, fee 29.9999
    flat = at_once(we.venue.account())
    assert (flat.equity, flat.positions) == (Decimal("999939.49995"), ())  # less 0.5 of spread
    at_once(we.venue.set_leverage(SYMBOL, Decimal("10.9")))
    we.place("short", SELL, 1_000, BID - 1)  # at 59999.7, fee 29.99985; the mid is now 60000.0
    held = at_once(we.venue.account())
    assert held.positions == (Position(symbol=SYMBOL, qty_lots=-1_000),)
    assert held.equity == Decimal("999939.49995") - Decimal("29.99985") - Decimal("0.30")
    assert held.available == held.equity - 6_000


@pytest.mark.parametrize("leverage", [0, 126])
def test_leverage_out_of_bounds(leverage: int) -> None:
    with pytest.raises(CallerError, match=f"leverage {leverage} is not from 1 to 125; nothing was sent"):
        at_once(Customer().venue.set_leverage(SYMBOL, Decimal(leverage)))


def test_open_orders_and_fills() -> None:
    we = Customer()
    we.place("a", BUY, 10, BID)
    we.wait(5)
    we.place("b", SELL, 1_005, BID)
    assert at_once(we.venue.open_orders()) == (
        OpenOrder(
            cl_ord_id=ClOrdId("a"),
            venue_order_id=VenueOrderId("1"),
            symbol=SYMBOL,
            side=BUY,
            price_ticks=BID,
            leaves_lots=5,
            created_ns=START_NS,
        ),
    )
    fills = at_once(we.venue.fills_since(START_NS + 5 * MS))
    assert [(fill.cl_ord_id, fill.last_lots, fill.is_maker) for fill in fills] == [
        ("b", 1_000, False),
        ("b", 5, False),
        ("a", 5, True),
    ]
    assert {fill.provenance for fill in fills} == {Provenance.QUERY}
    assert at_once(we.venue.fills_since(START_NS + 5 * MS + 1)) == ()


def test_the_dead_mans_switch_cancels_everything_unless_called_again() -> None:
    we = Customer()
    we.place("a", BUY, 10, BID)
    we.place("b", SELL, 10, ASK)
    at_once(we.venue.arm_dead_man(1.0))
    we.wait(900)
    at_once(we.venue.arm_dead_man(1.0))
    we.wait(999)
    assert len(at_once(we.venue.open_orders())) == 2
    we.wait(1)
    assert we.news()[-2:] == [Heard("canceled", "a", 0), Heard("canceled", "b", 0)]
    we.place("c", BUY, 10, BID)
    at_once(we.venue.arm_dead_man(1.0))
    at_once(we.venue.arm_dead_man(0.0))
    we.wait(5_000)
    assert we.book("c").leaves_lots == 10
    with pytest.raises(CallerError, match="give 0 or more"):
        at_once(we.venue.arm_dead_man(-1.0))


# --- market data ----------------------------------------------------------------------------------------------------


def test_a_snapshot_a_mark_and_then_what_changes() -> None:
    we = Customer(feed="5ms")
    we.place("early", BUY, 5, BID + 1)
    we.venue.subscribe(SYMBOL)
    we.wait(5)
    mark, snapshot = we.events
    assert isinstance(mark, MarkUpdate)
    assert mark.mark_ticks == (BID + 1 + ASK) / 2
    assert isinstance(snapshot, BookUpdate)
    assert (snapshot.snapshot, snapshot.bids[0], snapshot.asks[0]) == (True, (BID + 1, 5), (ASK, 1_000))
    assert len(snapshot.bids) == 11
    we.events.clear()
    we.place("a", BUY, 30, ASK)
    we.wait(5)
    printed, update = we.events
    now_ns = START_NS + 5 * MS
    assert printed == TradePrint(
        symbol=SYMBOL, side=BUY, price_ticks=ASK, qty_lots=30, venue_ns=now_ns, recv_ns=now_ns + 5 * MS
    )
    assert update == BookUpdate(
        symbol=SYMBOL,
        bids=(),
        asks=((ASK, 970),),
        venue_ns=now_ns,
        recv_ns=now_ns + 5 * MS,
        seq=snapshot.seq + 1,
        prev_seq=snapshot.seq,
    )


def test_changes_are_published_together_at_the_end_of_each_interval() -> None:
    we = Customer(ZI, book_ms="50")
    we.venue.subscribe(SYMBOL)
    we.wait(3_000)
    updates = [event for event in we.events if isinstance(event, BookUpdate)]
    assert len(updates) > 30
    assert {update.venue_ns % (50 * MS) for update in updates[1:]} == {0}
    assert all(
        update.prev_seq == before.seq and update.venue_ns > before.venue_ns for before, update in pairwise(updates)
    )
    assert {event.recv_ns for event in we.events if isinstance(event, MarkUpdate)} == {
        START_NS + second * NS for second in range(4)
    }


@pytest.mark.parametrize("book_ms", ["0", "50"])
def test_what_is_published_is_the_book(book_ms: str) -> None:
    """Built from updates alone, the book is the one that a fresh snapshot shows."""
    we = Customer(ZI, book_ms=book_ms)
    we.venue.subscribe(SYMBOL)
    for number in range(20):
        we.place(f"o{number}", (BUY, SELL)[number % 2], 300, 600_000)
        we.wait(137)
    we.wait(13)  # to the end of an interval
    if book_ms == "50":
        we.wait(50 - (we.clock.now_ns() // MS) % 50)
    built = we.depth()
    we.events.clear()
    we.venue.subscribe(SYMBOL)
    assert we.depth() == built
    assert built[0]
    assert built[1]


def test_an_unknown_symbol_cannot_be_subscribed_to() -> None:
    with pytest.raises(CallerError, match=r"has no DOGEUSDT; nothing was sent. It trades BTCUSDT"):
        Customer().venue.subscribe(Symbol("DOGEUSDT"))


# --- the market goes on ---------------------------------------------------------------------------------------------


def test_a_resting_order_is_filled_when_somebody_comes_without_anybody_looking() -> None:
    """Reports come at the instant of the trade, not when the books are looked at next."""
    we = Customer(ZI)
    we.place("a", BUY, 10, 599_990)
    we.place("b", SELL, 10, 600_010)
    we.wait(120_000)
    trades = [report for report in we.reports if report.last_lots]
    assert {report.cl_ord_id for report in trades} == {"a", "b"}
    assert all(report.recv_ns - report.venue_ns <= 1 for report in trades)
    assert all(report.is_maker and report.provenance is Provenance.PUSH for report in trades)
    assert {report.fee_source for report in trades} == {FeeSource.WS_SETTLED}


def test_the_same_seed_is_the_same_market_and_another_is_not() -> None:
    def heard(seed: str) -> list[Heard]:
        we = Customer(ZI, seed=seed)
        we.place("a", BUY, 2_000, 599_995)
        we.place("b", SELL, 2_000, 600_005)
        we.wait(60_000)
        return we.news()

    assert heard("1") == heard("1")
    assert heard("1") != heard("2")


# --- connections ----------------------------------------------------------------------------------------------------


def test_it_outlives_its_connection() -> None:
    we = Customer(SLOW)
    we.place("rest", BUY, 10, BID)
    we.wait(100)
    we.place("late", BUY, 10, ASK)
    at_once(we.venue.disconnect())
    at_once(we.venue.disconnect())
    assert we.news() == [Heard("new", "rest")]
    with pytest.raises(CallerError, match=r"simulated is not connected; nothing was sent. Connect it first"):
        we.cancel("rest")
    with pytest.raises(NotSent, match="the link to simulated is down; nothing was sent"):
        at_once(we.venue.open_orders())
    at_once(we.venue.connect(we, we.clock))
    assert (we.links, len(we.instruments)) == ([True, True], 2)
    assert [order.cl_ord_id for order in at_once(we.venue.open_orders())] == ["rest"]
    we.query("late")
    we.wait(100)
    assert we.news() == [Heard("trade", "late", 10, ASK), Heard("status filled", "late", 10)]


def test_a_lookup_tells_a_new_session_every_trade_and_again_only_in_the_next() -> None:
    we = Customer()
    we.place("a", BUY, 10, ASK)
    we.query("a")
    assert [one.what for one in we.news()] == ["trade", "status filled"]
    at_once(we.venue.disconnect())
    at_once(we.venue.connect(we, we.clock))
    we.query("a")
    we.query("a")
    assert [one.what for one in we.news()] == ["trade", "status filled", "status filled"]


def test_a_newer_connection_displaces_an_older_and_gives_way_to_it_again() -> None:
    we = Customer()
    we.venue.subscribe(SYMBOL)
    other = Customer()
    we.events.clear()
    at_once(we.venue.connect(other, other.clock))
    assert we.links == [True, False]
    assert [type(event) for event in we.events] == [BookReset]
    we.place("a", BUY, 10, BID)
    assert (we.news(), other.news()) == ([], [Heard("new", "a")])
    we.events.clear()
    at_once(we.venue.disconnect())
    assert we.links == [True, False, True]
    assert [event.snapshot for event in we.events if isinstance(event, BookUpdate)] == [True]
    we.venue.cancel(ref("a"))
    assert we.news() == [Heard("canceled", "a", 0)]


def test_the_dead_mans_switch_outlives_the_connection() -> None:
    we = Customer()
    we.place("a", BUY, 10, BID)
    at_once(we.venue.arm_dead_man(1.0))
    at_once(we.venue.disconnect())
    we.wait(2_000)
    at_once(we.venue.connect(we, we.clock))
    assert we.book("a").leaves_lots == 0


def test_the_venue_goes_by_the_name_it_is_given() -> None:
    we = Customer(name="sim2")
    we.place("a", BUY, 10, BID)
    assert (we.venue.name, we.reports[0].venue) == ("sim2", VenueName("sim2"))
