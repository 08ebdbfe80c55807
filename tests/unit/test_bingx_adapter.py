"""The adapter against its emulator, byte for byte, in virtual time: orders, and what becomes of them."""

import logging
from decimal import Decimal
from pathlib import Path

import pytest

from sor.adapter import ReduceOnly
from sor.errors import CallerError, InDoubt, NotSent
from sor.ids import ClOrdId
from sor.orders import ExecutionReport, FeeSource, OrdType, PositionSide, RejectKind, Side, Tif
from sor.units import MS, NS
from tests.fakes.bingx_rig import BTC, CODEC, LONG, PLACE, SECRETS, SHORT, WAY_NS, Rig, brief

pytestmark = pytest.mark.anyio
POST, DELETE, GET = f"POST {PLACE}", f"DELETE {PLACE}", f"GET {PLACE}"
ROUND_TRIP_MS = 2 * WAY_NS // MS


@pytest.fixture
async def rig(tmp_path: Path) -> Rig:
    return await Rig(tmp_path).connect()


def found(ticks: int) -> list[str]:
    """What a lookup of a filled order tells: its fill, how it stands, and the fill again with its fee."""
    return [f"query trade 20@{ticks}", "query status filled 20", f"query trade 20@{ticks} REST_SETTLED"]


# --- the good way -----------------------------------------------------------------------------------------------------


async def test_b5_b6_a_market_order_is_one_request_and_filled_by_its_answer(rig: Rig) -> None:
    order = rig.order()
    rig.venue.submit(order)
    assert rig.told() == []
    rig.run(ROUND_TRIP_MS)
    assert rig.told() == ["ack trade 20@600001"]
    assert rig.requests() == [POST]
    rig.run(60_000)
    assert rig.told() == ["ack trade 20@600001 WS_SETTLED"]  # the same trade with its fee, by push
    assert rig.requests() == []


async def test_f1_f2_a_fill_says_who_made_it_and_what_it_cost(rig: Rig) -> None:
    rig.venue.submit(rig.order())
    rig.run(100)
    first, settled = rig.ear.reports
    assert isinstance(first, ExecutionReport)
    assert isinstance(settled, ExecutionReport)
    assert (first.is_maker, first.fee_atoms, first.recv_ns) == (False, None, rig.time.now_ns() - 90 * MS)
    instrument = rig.ear.instruments[BTC]
    assert instrument.taker_fee_e8 == 50_000
    assert settled.exec_id == first.exec_id
    assert settled.fee_source is FeeSource.WS_SETTLED
    assert settled.fee_atoms == instrument.fee_atoms(20, 600_001, 50_000)
    assert (settled.fee_asset, settled.cum_lots) == ("USDT", 20)


async def test_f2_a_fee_that_no_push_brought_is_looked_up_once_in_the_background(rig: Rig) -> None:
    rig.switch("push-drop=on=ORDER_TRADE_UPDATE")
    order = rig.order()
    rig.venue.submit(order)
    rig.run(1_900)
    assert (rig.told(), rig.requests()) == (["ack trade 20@600001"], [POST])
    rig.run(60_000)
    assert (rig.told(), rig.requests()) == (["ack trade 20@600001 REST_SETTLED"], [GET])


async def test_f2_lookups_of_fees_stand_in_nobodys_way(rig: Rig) -> None:
    rig.switch("push-drop=on=ORDER_TRADE_UPDATE")
    orders = [rig.order(qty_lots=1) for _ in range(4)]
    for order in orders:
        rig.venue.submit(order)
    rig.run(2_000 + 2 * ROUND_TRIP_MS)
    assert rig.requests() == [POST] * 4 + [GET]  # one at a time, however many are owed
    for order in orders:  # five lookups a second are allowed, and these are the router's
        rig.venue.query(rig.ref(order))
    rig.run(ROUND_TRIP_MS + 1)
    assert sum(told.startswith("query status filled 1") for told in rig.told()) == 4


async def test_a_post_only_order_rests_trades_in_parts_and_is_cancelled(rig: Rig) -> None:
    order = rig.resting(price_ticks=600_000, qty_lots=30)  # the touch: in front of nobody, between the ladders
    rig.venue.submit(order)
    rig.run(ROUND_TRIP_MS)
    assert rig.told() == ["ack new"]
    seller = rig.other_venue
    await rig.wait(seller.connect(rig.other_ear, rig.time))
    rig.requests()
    seller.submit(rig.order(side=Side.SELL, qty_lots=12, position_side=SHORT))
    rig.run(50)
    assert rig.told() == ["push trade 12@600000 WS_SETTLED"]
    rig.venue.cancel(rig.ref(order))
    rig.run(ROUND_TRIP_MS)
    assert rig.told() == []  # the answer to a cancel is evidence, not proof
    rig.run(50)
    assert rig.told() == ["push canceled 12"]
    rig.run(60_000)
    assert rig.told() == []
    assert rig.requests() == [POST, DELETE]


async def test_an_ioc_that_fills_in_part_ends_by_push(rig: Rig) -> None:
    order = rig.order(ord_type=OrdType.LIMIT, tif=Tif.IOC, price_ticks=600_001, qty_lots=1_500)
    rig.venue.submit(order)
    rig.run(5_000)
    told = rig.told()
    assert told[0] == "ack trade 1000@600001"
    assert "push canceled 1000" in told
    assert rig.requests() == [POST]


async def test_a_reduce_only_order_says_so_unless_told_not_to(rig: Rig, tmp_path: Path) -> None:
    assert rig.venue.capabilities.reduce_only is ReduceOnly.FLAG
    rig.venue.submit(rig.order(side=Side.SELL, reduce_only=True))
    rig.run(50)
    assert rig.told() == ["ack rejected nothing_to_reduce 101205"]
    (tmp_path / "two").mkdir()
    other = await Rig(tmp_path / "two", settings={"reduce_only": "no"}).connect()
    assert other.venue.capabilities.reduce_only is ReduceOnly.NONE


# --- answers and pushes that are lost, late, or too soon --------------------------------------------------------------


async def test_b10_a_cancel_whose_push_is_lost_is_confirmed_by_a_lookup(rig: Rig) -> None:
    order = rig.resting()
    rig.venue.submit(order)
    rig.run(50)
    rig.switch("push-drop")
    rig.venue.cancel(rig.ref(order))
    rig.run(900)
    assert rig.told() == ["ack new"]
    rig.run(200)
    assert rig.told() == ["query status canceled 0"]
    assert rig.requests() == [POST, DELETE, GET]
    rig.run(60_000)
    assert (rig.told(), rig.requests()) == ([], [])


async def test_b10_a_cancel_of_an_order_that_ended_unheard_of_is_looked_up(rig: Rig) -> None:
    order = rig.resting()
    rig.venue.submit(order)
    rig.run(50)
    rig.told()
    rig.switch("cancel-races-fill")
    rig.switch("push-drop")
    rig.venue.cancel(rig.ref(order))
    rig.run(50)
    assert rig.told() == ["ack cancel_rejected too_late 109422"]
    rig.run(1_100)
    assert rig.told() == found(599_990)


async def test_b10_an_order_is_named_by_the_venues_id_else_by_ours_else_refused(rig: Rig) -> None:
    order = rig.resting()
    rig.venue.submit(order)
    rig.run(50)
    report = rig.ear.reports[0]
    assert isinstance(report, ExecutionReport)
    with pytest.raises(CallerError, match="cannot be named; nothing was sent"):
        rig.venue.cancel(rig.ref(rig.order(cl_ord_id=ClOrdId(""))))
    rig.venue.cancel(rig.ref(order, report.venue_order_id))
    rig.run(50)
    assert rig.told()[-1] == "push canceled 0"


@pytest.mark.parametrize("fault", ["answer-never", "answer-reset", "answer-http", "answer-busy", "answer-garbled"])
async def test_a_lost_answer_is_doubt_and_a_lookup_settles_it(rig: Rig, fault: str) -> None:
    rig.switch(f"{fault}=count=1,on=POST")
    rig.switch("push-drop")
    order = rig.order()
    rig.venue.submit(order)
    rig.run(6_000)
    (told,) = rig.told()
    assert told.startswith("place in_doubt")
    rig.venue.query(rig.ref(order))
    rig.run(100)
    assert rig.told() == found(600_001)
    assert rig.requests() == [POST, GET]  # it was not sent again


async def test_a_request_that_never_left_is_not_sent(rig: Rig) -> None:
    rig.net.refusing = True
    rig.links[0].drop()
    rig.venue.submit(rig.order())
    rig.run(5_000)
    assert rig.told() == ["place not_sent not_sent"]


async def test_a_push_may_overtake_the_answer(rig: Rig) -> None:
    rig.switch("push-first")
    order = rig.order()
    rig.venue.submit(order)
    rig.run(500)
    told = rig.told()
    assert [one for one in told if "trade" in one] == ["push trade 20@600001 WS_SETTLED"]
    assert rig.requests() == [POST]


async def test_a_bare_acknowledgement_is_confirmed_by_the_push_or_a_lookup(rig: Rig) -> None:
    rig.switch("ack-bare")
    rig.switch("push-drop=on=ORDER_TRADE_UPDATE")
    rig.venue.submit(rig.order())
    rig.run(900)
    assert rig.told() == ["ack new"]
    rig.run(200)
    assert rig.told() == found(600_001)


async def test_a_lookup_that_nobody_asked_for_is_silent_when_it_finds_nothing(rig: Rig) -> None:
    rig.switch("ack-bare")
    rig.switch("push-drop=on=ORDER_TRADE_UPDATE")
    rig.switch("lookup-lag=ms=60000")
    rig.venue.submit(rig.order())
    rig.run(30_000)
    assert rig.told() == ["ack new"]
    assert rig.requests() == [POST, GET]


async def test_an_unknown_order_is_not_found(rig: Rig) -> None:
    rig.venue.query(rig.ref(rig.order()))
    rig.run(50)
    assert rig.told() == ["query not_found"]


async def test_amends_are_never_sent(rig: Rig) -> None:
    order = rig.resting()
    rig.venue.amend(rig.ref(order), qty_lots=10, price_ticks=599_991)
    assert rig.told() == ["amend not_sent"]
    rig.run(50)
    assert rig.requests() == []


# --- refusals ---------------------------------------------------------------------------------------------------------


async def test_b12_what_the_venue_refuses_keeps_its_code_and_text(rig: Rig) -> None:
    rig.switch("refuse=code=101204,count=1")
    rig.venue.submit(rig.order())
    rig.run(50)
    (report,) = rig.ear.reports
    assert isinstance(report, ExecutionReport)
    assert (report.reject, report.code) == (RejectKind.NO_MARGIN, "101204")
    assert report.text


async def test_a_used_id_is_looked_up_and_an_own_one_never_sent_twice(rig: Rig) -> None:
    order = rig.order()
    rig.venue.submit(order)
    rig.run(2_000)
    rig.told()
    with pytest.raises(CallerError, match="was used before; nothing was sent"):
        rig.venue.submit(order)
    again = rig.new_venue()  # a process that knows nothing of it
    await rig.wait(again.connect(rig.ear, rig.time))
    again.submit(order)
    rig.run(50)
    assert rig.told() == ["ack rejected duplicate_id 101400"]
    await rig.wait(again.disconnect())


async def test_the_same_id_within_a_second_is_doubt_for_an_order_and_later_for_a_cancel(rig: Rig) -> None:
    rig.switch("duplicate-code=code=109201")
    order = rig.resting()
    rig.venue.submit(order)
    rig.run(50)
    again = rig.new_venue()
    await rig.wait(again.connect(rig.other_ear, rig.time))
    rig.run(2_000)
    again.submit(order)
    rig.run(50)
    assert [brief(one) for one in rig.other_ear.reports] == ["place in_doubt 109201"]
    rig.told()
    rig.switch("cancel-races-fill")
    rig.venue.cancel(rig.ref(order))
    rig.venue.cancel(rig.ref(order))
    rig.run(50)
    assert "ack cancel_rejected rate_limited 109201" in rig.told()
    await rig.wait(again.disconnect())


async def test_r6_a_rate_limit_stops_one_endpoint_for_five_minutes(rig: Rig) -> None:
    resting = rig.resting()
    rig.venue.submit(resting)
    rig.run(1_500)
    rig.told()
    rig.switch("rate-limited=count=1,on=POST")
    rig.venue.submit(rig.order())
    rig.run(50)
    assert rig.told() == ["ack rejected rate_limited 100410"]
    rig.requests()
    rig.run(299_000)
    rig.venue.submit(rig.order())  # held back here
    rig.venue.cancel(rig.ref(resting))  # another endpoint
    rig.run(50)
    told = rig.told()
    assert told[0].startswith("ack rejected rate_limited")
    assert told[1:] == ["push canceled 0"]
    assert DELETE in rig.requests()
    rig.run(2_000)
    rig.venue.submit(rig.order())
    rig.run(50)
    assert rig.told()[0] == "ack trade 20@600001"


async def test_r6_a_ban_stops_everything(rig: Rig) -> None:
    resting = rig.resting()
    rig.venue.submit(resting)
    rig.run(50)
    rig.told()
    rig.switch("banned=count=1,on=POST")
    rig.venue.submit(rig.order())
    rig.run(50)
    assert rig.told() == ["ack rejected rate_limited http 418"]
    rig.requests()
    rig.venue.cancel(rig.ref(resting))
    rig.venue.query(rig.ref(resting))
    rig.run(20_000)
    told = rig.told()
    assert told[0].startswith("ack cancel_rejected rate_limited")
    assert told[1].startswith("query in_doubt")
    assert rig.requests() == []


async def test_our_own_budget_holds_back_and_lets_cancels_through(rig: Rig) -> None:
    resting = rig.resting()
    rig.venue.submit(resting)
    rig.run(2_000)
    rig.told()
    orders = [rig.resting() for _ in range(12)]
    for order in orders:
        rig.venue.submit(order)
    rig.venue.cancel(rig.ref(resting))
    rig.run(600)
    told = rig.told()
    assert told.count("ack new") == 4  # five a second, one of which is kept for orders that reduce
    assert sum(one.startswith("ack rejected rate_limited") for one in told) == 8
    assert "push canceled 0" in told
    assert rig.requests().count(POST) == 5


async def test_r6_a_barred_account_opens_nothing_for_a_minute_and_still_closes(rig: Rig) -> None:
    rig.venue.submit(rig.order())
    rig.run(1_500)
    rig.told()
    rig.switch("risk-control=count=1,on=POST")
    rig.venue.submit(rig.order())
    rig.run(50)
    assert rig.told() == ["ack rejected other 109403"]
    rig.requests()
    rig.run(58_000)
    rig.venue.submit(rig.order())
    assert rig.told() == ["ack rejected rate_limited held_back"]
    rig.venue.submit(rig.order(side=Side.SELL, reduce_only=True, qty_lots=5))
    rig.run(50)
    assert rig.told()[0] == "ack trade 5@599999"
    assert rig.requests() == [POST]
    rig.run(2_000)
    rig.venue.submit(rig.order())
    rig.run(50)
    assert rig.told()[0] == "ack trade 20@600001"


async def test_r6_where_no_flag_is_used_our_own_mark_tells_what_closes(tmp_path: Path) -> None:
    rig = await Rig(tmp_path, settings={"reduce_only": "no"}).connect()
    rig.venue.submit(rig.order())
    rig.run(1_500)
    rig.switch("risk-control=count=1,on=POST")
    rig.venue.submit(rig.order())
    rig.run(50)
    rig.told()
    rig.venue.submit(rig.order(cl_ord_id=CODEC.encode(7, 2, 1, closing=True), side=Side.SELL, qty_lots=5))
    rig.run(50)
    assert rig.told()[0] == "ack trade 5@599999"


async def test_what_bingx_has_no_words_for_never_leaves(rig: Rig) -> None:
    with pytest.raises(CallerError, match="MARKET and post-only"):
        rig.venue.submit(rig.order(post_only=True))
    with pytest.raises(CallerError, match="lists no"):
        rig.venue.submit(rig.order(symbol="NOSUCHUSDT"))
    rig.run(100)
    assert (rig.told(), rig.requests()) == ([], [])


async def test_requests_before_connect_are_refused(tmp_path: Path) -> None:
    venue = Rig(tmp_path).venue
    with pytest.raises(CallerError, match="not connected; nothing was sent"):
        venue.cancel(Rig(tmp_path).ref(Rig(tmp_path).order()))


# --- clocks and modes -------------------------------------------------------------------------------------------------


async def test_r6_requests_carry_the_venues_time(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.switch("clock-skew=ms=60000")
    await rig.connect()
    rig.venue.submit(rig.order())
    rig.run(50)
    assert rig.told()[0] == "ack trade 20@600001"


async def test_r6_a_clock_that_jumps_is_read_again(rig: Rig) -> None:
    rig.switch("clock-skew=ms=30000")
    rig.venue.submit(rig.order())
    rig.run(200)
    (told,) = rig.told()
    assert told.startswith("ack rejected other 1")  # refused: nothing was ordered
    rig.venue.submit(rig.order())
    rig.run(200)
    assert rig.told()[0] == "ack trade 20@600001"


async def test_r1_an_order_is_dated_by_a_clock_no_worse_than_is_declared(rig: Rig) -> None:
    rig.switch("clock-skew=ms=30000")
    rig.switch("read-late=ms=4000,on=server/time")
    rig.venue.submit(rig.order())  # refused, and the clock is begun anew, from one sample of four seconds
    rig.run(6_000)
    rig.told()
    rig.venue.submit(rig.order())  # so its date may be two seconds off either way
    rig.run(200)
    assert rig.told()[0] == "ack trade 20@600001"
    assert rig.venue.capabilities.clock_error_ns >= 2 * NS


async def test_hedge_mode_names_the_side_of_the_position(tmp_path: Path) -> None:
    rig = await Rig(tmp_path, hedge=True).connect()
    capabilities = rig.venue.capabilities
    assert capabilities.position_modes == {LONG, SHORT}
    assert capabilities.reduce_only is ReduceOnly.IMPLIED_BY_MODE
    rig.venue.submit(rig.order(position_side=LONG))
    rig.run(50)
    rig.venue.submit(rig.order(position_side=SHORT, side=Side.SELL, qty_lots=7))
    rig.run(50)
    rig.venue.submit(rig.order(position_side=LONG, side=Side.SELL, qty_lots=5, reduce_only=True))
    rig.run(50)
    account = await rig.wait(rig.venue.account())
    assert {(one.position_side, one.qty_lots) for one in account.positions} == {(LONG, 15), (SHORT, -7)}
    with pytest.raises(CallerError, match="cannot be reduce-only"):
        rig.venue.submit(rig.order(position_side=LONG, reduce_only=True))


async def test_a_mode_that_was_changed_elsewhere_is_read_again(rig: Rig) -> None:
    rig.app.exchange.accounts["one-way"].hedge = True
    rig.venue.submit(rig.order())
    rig.run(200)
    assert rig.told() == ["ack rejected not_allowed 109400"]
    assert rig.venue.capabilities.position_modes == {LONG, SHORT}
    assert rig.ear.links[-2:] == [(False, "the account is in hedge mode now"), (True, "")]


# --- the account ------------------------------------------------------------------------------------------------------


async def test_b11_account_orders_and_fills_as_the_venue_has_them(rig: Rig) -> None:
    rig.venue.submit(rig.order())
    resting = rig.resting()
    rig.venue.submit(resting)
    rig.run(2_000)
    account = await rig.wait(rig.venue.account())
    assert account.asset == "USDT"
    assert account.equity == Decimal("99999.9398")  # 20 lots of 60000.1: the fee of 0.06 and half a spread
    assert [(one.symbol, one.qty_lots, one.position_side) for one in account.positions] == [
        (BTC, 20, PositionSide.BOTH)
    ]
    (order,) = await rig.wait(rig.venue.open_orders())
    assert (order.cl_ord_id, order.side, order.price_ticks, order.leaves_lots) == (
        resting.cl_ord_id,
        Side.BUY,
        599_990,
        20,
    )
    (fill,) = await rig.wait(rig.venue.fills_since(0))
    assert (fill.last_lots, fill.last_ticks, fill.fee_source) == (20, 600_001, FeeSource.REST_SETTLED)
    assert await rig.wait(rig.venue.fills_since(rig.time.now_ns() + NS)) == ()


async def test_b11_money_degrades_to_what_is_known_and_positions_do_not(rig: Rig) -> None:
    first = await rig.wait(rig.venue.account())
    rig.venue.submit(rig.order())
    rig.run(5_000)
    rig.switch("rate-limited=on=balance")
    second = await rig.wait(rig.venue.account())
    assert [one.qty_lots for one in second.positions] == [20]
    assert second.equity < first.equity  # the wallet's change was pushed
    assert second.venue_ns == first.venue_ns  # and yet it is called as old as the read is
    rig.switch("rate-limited=on=positions")
    with pytest.raises(NotSent, match=r"limits how often it is asked: 100410 .* nothing was ordered"):
        await rig.wait(rig.venue.account())


async def test_r2_the_dead_mans_switch_counts_down_at_the_venue(rig: Rig) -> None:
    order = rig.resting()
    rig.venue.submit(order)
    rig.run(50)
    with pytest.raises(CallerError, match="10 to 120 s"):
        await rig.wait(rig.venue.arm_dead_man(5))
    await rig.wait(rig.venue.arm_dead_man(10))
    rig.run(9_000)
    await rig.wait(rig.venue.arm_dead_man(10))
    rig.run(9_000)
    assert rig.told() == ["ack new"]
    rig.run(2_000)
    assert rig.told() == ["push canceled 0"]
    await rig.wait(rig.venue.arm_dead_man(0))


async def test_connections_are_kept_warm_and_the_clock_known(rig: Rig) -> None:
    standing = rig.net.standing
    assert standing >= 2  # the account socket and a lane
    rig.run(600_000)
    rig.venue.submit(rig.order())
    rig.run(ROUND_TRIP_MS)  # a handshake would have taken another round trip
    assert rig.told() == ["ack trade 20@600001"]
    assert rig.app.ledger.arrivals(path="server/time")[-1].at_ns >= rig.time.now_ns() - 25 * NS


# --- secrets ----------------------------------------------------------------------------------------------------------


async def test_r7_no_secret_in_any_text(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []
    for fault in (
        "answer-garbled",
        "answer-http",
        "refuse=code=100001",
        "refuse=code=100413",
        "rate-limited",
        "banned",
    ):
        name = fault.partition("=")[0]
        rig.switch(fault)
        for ask in (rig.venue.account, rig.venue.open_orders, rig.venue.server_time_ns):
            try:
                texts.append(repr(await rig.wait(ask())))
            except (NotSent, InDoubt, CallerError) as error:
                texts.append(str(error))
        rig.venue.submit(rig.order())
        rig.switch("expire-listen-keys")
        rig.run(10_000)
        rig.switch(f"-{name}")
    rig.run(60_000)
    texts += [repr(one) for one in rig.ear.reports] + [reason for _, reason in rig.ear.links]
    texts += [record.getMessage() for record in caplog.records] + [repr(rig.venue), repr(vars(rig.venue))]
    whole = "\n".join(texts)
    for secret in (*SECRETS, "signature=", "listenKey="):
        assert secret not in whole
