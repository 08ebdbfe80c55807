"""Each fault of the simulated venue, one at a time and certain, and that everything is put right once it is calm."""

import pytest

from sor.adapter import Reach, RequestFailed
from sor.errors import NotSent
from sor.market import BookReset, BookUpdate
from sor.orders import ExecType, Side
from sor.sim.world import at_once
from sor.units import MS
from tests.fakes.simulated import ASK, BID, SYMBOL, Customer, Heard
from venues.simulated.faults import DURATIONS, SWITCHES

BUY, SELL = Side.BUY, Side.SELL
ZI = {"market": "zi", "latency": "zero", "zi.burn_in_s": "2"}


def plagued(fault: str, *, mean_ms: int = 100, **more: str) -> Customer:
    """A customer of a venue on which one thing always goes wrong; `mean_ms` of every duration that goes with it."""
    durations = {f"fault.{name}": str(mean_ms) for name in DURATIONS}
    return Customer({f"fault.{fault}": "1", **durations, **more})


def test_lost_request() -> None:
    we = plagued("lost_request")
    we.place("a", BUY, 10, BID)
    we.wait(999)
    assert we.news() == []
    we.wait(1)
    assert we.news() == [Heard("place in_doubt", "a")]
    assert we.venue.audit() == ()
    we.venue.calm()
    we.query("a")
    assert we.news() == [Heard("not_found", "a")]


def test_late_request_is_overtaken() -> None:
    """The order comes up to 2 s later than its cancel, which does not know it yet."""
    we = plagued("late_request", mean_ms=1000)
    we.place("a", BUY, 10, BID)
    we.venue.calm()
    we.cancel("a")
    assert we.news() == [Heard("cancel_rejected: unknown_order", "a")]
    we.wait(2_000)
    assert we.news()[-1] == Heard("new", "a")
    assert we.book("a").leaves_lots == 10


def test_late_request_past_the_receive_window_is_refused() -> None:
    we = plagued("late_request", receive_window_ms="1", timeout_ms="60000", mean_ms=10000)
    we.place("a", BUY, 10, BID)
    we.wait(20_000)
    assert we.news() == [Heard("rejected: other", "a")]
    assert we.venue.audit() == ()


def test_lost_ack() -> None:
    """Carried out, and neither answer nor push; a lookup tells the trade that nobody heard of."""
    we = plagued("lost_ack")
    we.place("a", BUY, 10, ASK)
    we.place("b", BUY, 10, BID)
    we.wait(1_000)
    assert we.news() == [Heard("place in_doubt", "a"), Heard("place in_doubt", "b")]
    we.venue.calm()
    we.query("a")
    we.query("b")
    assert we.news() == [Heard("trade", "a", 10, ASK), Heard("status filled", "a", 10), Heard("status new", "b", 0)]


def test_lost_push() -> None:
    we = plagued("lost_push")
    we.place("maker", BUY, 10, BID + 1)
    we.place("taker", SELL, 10, BID + 1)
    assert we.news() == [Heard("new", "maker"), Heard("trade", "taker", 10, BID + 1)]
    we.query("maker")
    assert we.news() == [Heard("trade", "maker", 10, BID + 1), Heard("status filled", "maker", 10)]


def test_duplicate() -> None:
    we = plagued("duplicate")
    we.place("a", BUY, 10, ASK)
    we.place("b", BUY, 10, ASK, post_only=True)
    trade, refusal = Heard("trade", "a", 10, ASK), Heard("rejected: would_take", "b")
    assert we.news() == [trade, trade, refusal, refusal]
    assert we.reports[0] == we.reports[1]


def test_late_holds_up_all_that_follows() -> None:
    we = plagued("late", mean_ms=100)
    we.place("a", BUY, 10, BID)
    we.venue.calm()
    we.place("b", BUY, 10, BID)
    assert we.news() == []
    we.wait(200)
    assert we.news() == [Heard("new", "a"), Heard("new", "b")]
    first, second = we.reports
    assert first.recv_ns == second.recv_ns > first.venue_ns


def test_reorder_is_overtaken() -> None:
    we = plagued("reorder", mean_ms=100)
    we.place("a", BUY, 10, BID)
    we.venue.calm()
    we.place("b", BUY, 10, BID)
    we.wait(200)
    assert we.news() == [Heard("new", "b"), Heard("new", "a")]


def test_not_found_within_the_lookup_lag_only() -> None:
    we = plagued("not_found", lookup_lag_ms="50")
    assert we.venue.capabilities.lookup_lag_ns == 50 * MS
    we.place("live", BUY, 10, BID)
    we.place("done", BUY, 10, ASK)
    we.news()
    we.wait(49)
    we.query("live")
    we.query("done")
    we.wait(1)
    we.query("live")
    assert we.news() == [Heard("not_found", "live"), Heard("status filled", "done", 10), Heard("status new", "live", 0)]


def test_rate_limit_is_a_burst_that_refuses_everything() -> None:
    we = plagued("rate_limit", mean_ms=10000)
    we.place("a", BUY, 10, BID)
    we.cancel("a")
    we.amend("a", 5, BID)
    we.query("a")
    assert we.news() == [
        Heard("rejected: rate_limited", "a"),
        Heard("cancel_rejected: rate_limited", "a"),
        Heard("amend_rejected: rate_limited", "a"),
        Heard("query in_doubt", "a"),
    ]
    assert we.failed[0].code == "rate_limited"
    we.venue.calm()
    we.place("a", BUY, 10, BID)
    assert we.news() == [Heard("new", "a")]


def test_cancel_race() -> None:
    """Everybody ahead in the queue is served first: 1000 lots of the ladder, then a part of us or all."""
    whole = part = 0
    for seed in range(30):
        we = plagued("cancel_race", seed=str(seed))
        we.place("a", BUY, 3, BID)
        we.cancel("a")
        filled = we.book("a").filled_lots
        trade = Heard("trade", "a", filled, BID)
        if filled == 3:
            whole += 1
            assert we.news() == [Heard("new", "a"), trade, Heard("cancel_rejected: too_late", "a")]
        else:
            part += 1
            assert filled in (1, 2)
            assert we.news() == [Heard("new", "a"), trade, Heard("canceled", "a", filled)]
        we.venue.subscribe(SYMBOL)
        assert BID not in we.depth()[0]
    assert whole
    assert part


def test_overfill() -> None:
    we = plagued("overfill")
    we.place("a", BUY, 10, ASK)
    first, second = we.news()
    assert first == Heard("trade", "a", 10, ASK)
    assert (second.what, second.order, second.ticks) == ("trade", "a", ASK)
    book = we.book("a")
    assert (book.order_lots, book.filled_lots, book.leaves_lots) == (10, 10 + second.lots, 0)
    assert book.exec_ids == ("1t", "2t")
    (position,) = at_once(we.venue.account()).positions
    assert position.qty_lots == book.filled_lots


def test_overfill_meets_own_orders_by_the_rule_for_self_trades() -> None:
    we = plagued("overfill", self_trade="cancel_maker")
    we.place("mine", SELL, 10, ASK)
    we.place("a", BUY, 1_000, ASK)  # all that was there before us
    told = we.news()
    assert told[:3] == [Heard("new", "mine"), Heard("trade", "a", 1_000, ASK), Heard("canceled", "mine", 0)]
    assert [(one.what, one.order, one.ticks) for one in told[3:]] == [("trade", "a", ASK + 1)]
    assert at_once(we.venue.open_orders()) == ()


def test_lost_market_is_a_gap_until_the_next_snapshot() -> None:
    we = plagued("lost_market", entry="20ms", response="30ms")
    we.venue.subscribe(SYMBOL)
    we.place("a", BUY, 10, ASK)
    we.wait(21)
    before = we.depth()
    assert before[1][ASK] == 1_000  # lost
    we.venue.calm()
    we.place("b", BUY, 5, ASK)
    we.wait(21)
    updates = [event for event in we.events if isinstance(event, BookUpdate)]
    assert updates[-1].prev_seq == updates[-2].seq + 1
    we.wait(50)
    updates = [event for event in we.events if isinstance(event, BookUpdate)]
    assert updates[-1].snapshot
    assert we.depth()[1][ASK] == 985


def test_link_down() -> None:
    """What is on the way to us is lost, what we wait for is in doubt, what we send is not sent; then all is found."""
    we = plagued("link_down", entry="20ms", response="30ms")
    we.venue.subscribe(SYMBOL)
    we.place("rest", BUY, 10, BID)
    we.wait(970)
    assert we.news() == [Heard("new", "rest")]
    we.place("take", SELL, 1_005, BID)  # at the venue at 990 ms, its answer due at 1020 ms
    we.events.clear()
    we.wait(30)
    assert we.links == [True, False]
    assert we.failed == [
        RequestFailed(
            cl_ord_id=we.book("take").cl_ord_id,
            request=we.failed[0].request,
            reach=Reach.IN_DOUBT,
            code="link_down",
            text="the link broke before the answer",
        )
    ]
    assert isinstance(we.events[-1], BookReset)
    we.cancel("rest")
    assert we.news() == [Heard("place in_doubt", "take"), Heard("cancel not_sent", "rest")]
    with pytest.raises(NotSent, match=r"is down; nothing was sent. Try again once it is back"):
        at_once(we.venue.account())
    we.venue.calm()
    we.events.clear()
    we.wait(200)
    assert we.links == [True, False, True]
    assert [event.snapshot for event in we.events if isinstance(event, BookUpdate)] == [True]
    we.query("take")
    we.query("rest")
    we.wait(100)
    assert we.news() == [
        Heard("trade", "take", 1_000, BID),
        Heard("trade", "take", 5, BID),
        Heard("status filled", "take", 1_005),
        Heard("trade", "rest", 5, BID),
        Heard("status partially_filled", "rest", 5),
    ]


def test_after_the_storm_lookups_tell_everything_once() -> None:
    """All faults that lose or delay, over a market that trades with us; then calm, and one lookup of each order."""
    storm = {f"fault.{name}": "0.2" for name in SWITCHES if name not in ("overfill", "duplicate", "link_down")}
    for seed in range(10):
        we = Customer(ZI, storm, {"fault.link_down": "0.1"}, lookup_lag_ms="100", seed=str(seed))
        for number in range(30):
            side = (BUY, SELL)[number % 2]
            we.place(f"o{number}", side, 50, 600_000 - side)
            we.wait(400)
            we.cancel(f"o{number // 2}")
            we.wait(200)
        we.venue.calm()
        we.wait(10_000)
        for order in we.venue.audit():
            we.query(order.cl_ord_id)
        trades = [(one.cl_ord_id, one.exec_id) for one in we.reports if one.exec_type is ExecType.TRADE]
        booked = [(order.cl_ord_id, exec_id) for order in we.venue.audit() for exec_id in order.exec_ids]
        assert sorted(trades) == sorted(booked)
        assert booked
        stated = {one.cl_ord_id: one.cum_lots for one in we.reports if one.exec_type is ExecType.STATUS}
        assert stated == {order.cl_ord_id: order.filled_lots for order in we.venue.audit()}


def test_without_faults_nothing_is_drawn_and_everything_is_told() -> None:
    calm = Customer(ZI)
    for number in range(30):
        side = (BUY, SELL)[number % 2]
        calm.place(f"o{number}", side, 50, 600_000 - 3 * side)
        calm.wait(600)
    assert calm.failed == []
    assert calm.links == [True]
    told = [(one.cl_ord_id, one.exec_id) for one in calm.reports if one.exec_type is ExecType.TRADE]
    booked = [(order.cl_ord_id, exec_id) for order in calm.venue.audit() for exec_id in order.exec_ids]
    assert sorted(told) == sorted(booked)
    assert len(told) == len(set(told)) > 5
