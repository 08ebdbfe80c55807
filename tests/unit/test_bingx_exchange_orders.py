"""Orders at the emulated BingX: what is told, what is refused, and with which code."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from tests.fakes.bingx_exchange import BOTH, BTC, BUY, LONG, SELL, SHORT, START_MS, Bench, key, limit, market
from venues.bingx.emulator.exchange import Canceled, Replaced, Unchanged
from venues.bingx.emulator.orders import Kind, OrderAsk, OrderKey, OrderRow, State, TimeInForce
from venues.bingx.emulator.refusals import Refusal
from venues.matching.rules import Oversize


def code(answer: object) -> int:
    assert isinstance(answer, Refusal), answer
    return answer.code


def test_a_market_order_walks_the_book() -> None:
    bench = Bench()
    row = bench.place(market(BUY, "0.15"))
    # 0.1 at 60000.1 and 0.05 at 60000.2; fees are 5e-4 of each.
    assert bench.told() == [
        "NEW NEW 0.0000/0.1500",
        "print buy 0.1000@60000.1",
        "TRADE PARTIALLY_FILLED 0.1000/0.1500 0.1000@60000.1 taker fee 3.000005",
        "account ORDER -3.000005 long 0.1000@60000.1",
        "print buy 0.0500@60000.2",
        "TRADE FILLED 0.1500/0.1500 0.0500@60000.2 taker fee 1.500005",
        "account ORDER -1.500005 long 0.1500@60000.13333333333333333333333",
    ]
    assert row == OrderRow(
        order_id=1_760_000_000_000_000_001,
        client_id="",
        symbol=BTC,
        side=BUY,
        position_side=BOTH,
        kind=Kind.MARKET,
        tif=TimeInForce.GTC,
        reduce_only=False,
        qty=Decimal("0.1500"),
        price=Decimal("60000.1"),
        quote_qty=Decimal(0),
        state=State.FILLED,
        filled=Decimal("0.1500"),
        cost=Decimal("9000.02"),
        fee=Decimal("4.50001"),
        profit=Decimal(0),
        leverage=10,
        created_ms=START_MS,
        updated_ms=START_MS,
    )
    assert row.order_id > 2**53
    assert len(str(row.order_id)) == 19
    bench.check()


def test_a_market_order_by_value() -> None:
    bench = Bench()
    ask = OrderAsk(symbol=BTC, side=BUY, kind="MARKET", position_side=BOTH, quote_qty=Decimal(100))
    assert bench.place(ask).qty == Decimal("0.0016")  # 100 / 60000.1 = 0.00166...
    assert bench.place(msgspec.structs.replace(ask, qty=Decimal("0.002"))).qty == Decimal("0.002")


def test_a_market_order_goes_no_further_than_its_ratio_of_the_mark() -> None:
    bench = Bench()
    # The ladder ends at 60002.0 after 2 BTC; the next ask stands beyond the bound.
    far = bench.pit.crowd_order(SELL, lots=10_000, price_ticks=630_001)  # the bound is 60000 x 1.05 = 63000.0
    bench.pit.engine.place(far, now_ns=0)
    row = bench.place(market(BUY, "2.5"))
    assert (row.state, row.filled) == (State.CANCELED, Decimal("2.0"))
    assert bench.told()[-1] == "CANCELED CANCELED 2.0000/2.5000"


def test_a_market_order_into_nothing_ends_with_nothing() -> None:
    bench = Bench(quiet=False)
    row = bench.place(market(BUY, "0.01"))
    assert (row.state, row.filled) == (State.CANCELED, Decimal(0))
    assert bench.told() == ["NEW NEW 0.0000/0.0100", "CANCELED CANCELED 0.0000/0.0100"]
    bench.check()


def test_a_limit_order_rests_and_fills_behind_the_queue() -> None:
    bench = Bench()
    row = bench.place(limit(BUY, "0.05", "59999.9"))
    assert row.state is State.NEW
    assert bench.crowd(SELL, "0.12", "59999.9") == Decimal("0.12")  # 0.1 were there before us
    assert bench.told() == [
        "NEW NEW 0.0000/0.0500",
        "print sell 0.1000@59999.9",
        "print sell 0.0200@59999.9",
        "TRADE PARTIALLY_FILLED 0.0200/0.0500 0.0200@59999.9 maker fee 0.2399996",  # 1199.998 x 2e-4
        "account ORDER -0.2399996 long 0.0200@59999.9",
    ]
    assert bench.now(row).fee == Decimal("0.2399996")
    bench.check()


@pytest.mark.parametrize(
    ("tif", "leftover", "told"),
    [
        (
            "IOC",
            State.CANCELED,
            ["NEW", "print", "TRADE", "account", "CANCELED CANCELED 0.1000/0.1500"],
        ),
        ("IOC", State.EXPIRED, ["NEW", "print", "TRADE", "account", "EXPIRED EXPIRED 0.1000/0.1500"]),
        ("FOK", State.CANCELED, ["NEW", "CANCELED CANCELED 0.0000/0.1500"]),
    ],
)
def test_what_may_not_rest_ends(tif: str, leftover: State, told: list[str]) -> None:
    bench = Bench()
    bench.exchange.switches.leftover = leftover
    row = bench.place(limit(BUY, "0.15", "60000.1", tif=tif))
    lines = bench.told()
    assert [line.startswith(start) for line, start in zip(lines, told, strict=True)] == [True] * len(told), lines
    assert row.state is leftover
    assert not bench.exchange.history.open_orders(bench.one_way)
    bench.check()


def test_fok_that_fits_fills() -> None:
    bench = Bench()
    assert bench.place(limit(BUY, "0.15", "60000.2", tif="FOK")).state is State.FILLED


def test_post_only_that_would_take() -> None:
    bench = Bench()
    assert code(bench.try_place(limit(BUY, "0.01", "60000.1", tif="PostOnly"))) == 101215
    assert bench.told() == []
    bench.exchange.switches.post_only_async = True
    assert bench.place(limit(BUY, "0.01", "60000.1", tif="PostOnly")).state is State.CANCELED
    assert bench.told() == ["NEW NEW 0.0000/0.0100", "CANCELED CANCELED 0.0000/0.0100"]
    assert bench.place(limit(BUY, "0.01", "60000.0", tif="PostOnly")).state is State.NEW
    bench.check()


def test_what_is_finer_than_a_step_is_cut_off() -> None:
    bench = Bench()
    row = bench.place(limit(SELL, "0.00129999", "60010.19"))
    assert (row.qty, row.price) == (Decimal("0.0012"), Decimal("60010.1"))


ASK = limit(BUY, "0.01", "59000.0")


@pytest.mark.parametrize(
    ("ask", "refused"),
    [
        (msgspec.structs.replace(ASK, symbol="BTC-USDX"), 109425),
        (msgspec.structs.replace(ASK, symbol="btc-usdt"), 109425),
        (msgspec.structs.replace(ASK, symbol="PAUSED-USDT"), 109415),
        (msgspec.structs.replace(ASK, kind="STOP_MARKET"), 109400),
        (msgspec.structs.replace(ASK, kind="limit"), 109400),
        (msgspec.structs.replace(ASK, tif="POSTONLY"), 109400),
        (msgspec.structs.replace(ASK, position_side=LONG), 109400),
        (msgspec.structs.replace(ASK, position_side=None), 109400),
        (msgspec.structs.replace(ASK, qty=None), 109400),
        (msgspec.structs.replace(ASK, qty=Decimal(-1)), 109400),
        (msgspec.structs.replace(ASK, qty=Decimal("NaN")), 109400),
        (msgspec.structs.replace(ASK, qty=Decimal("1e99999")), 109400),
        (msgspec.structs.replace(ASK, qty=None, quote_qty=Decimal(100)), 109400),
        (msgspec.structs.replace(ASK, price=None), 109400),
        (msgspec.structs.replace(ASK, price=Decimal(0)), 109400),
        (msgspec.structs.replace(ASK, client_id="x" * 41), 109400),
        (msgspec.structs.replace(ASK, client_id="a b"), 109400),
        (msgspec.structs.replace(ASK, qty=Decimal("0.00009")), 101400),
        (msgspec.structs.replace(ASK, qty=Decimal("1e-99999")), 101400),
        (limit(BUY, "1", "1.3", symbol="COARSE-USDT"), 101400),  # worth 1.3, less than 2
        (msgspec.structs.replace(ASK, price=Decimal("66000.1")), 101211),  # above 60000 x 1.1
        (msgspec.structs.replace(ASK, side=SELL, price=Decimal("53999.9")), 101211),
        (msgspec.structs.replace(ASK, qty=Decimal(400)), 101209),  # 24 million, 20 are the most
        (msgspec.structs.replace(ASK, qty=Decimal(20)), 101204),  # 1.18 million / 10
        (msgspec.structs.replace(ASK, side=SELL, reduce_only=True), 101205),
    ],
)
def test_refusals(ask: OrderAsk, refused: int) -> None:
    bench = Bench()
    answer = bench.try_place(ask)
    assert code(answer) == refused
    assert bench.exchange.check(bench.one_way, ask) == answer
    assert bench.told() == []
    assert bench.one_way.orders == {}


def test_price_bounds_are_included() -> None:
    bench = Bench()
    bench.place(limit(BUY, "0.01", "66000.0", tif="IOC"))
    bench.place(limit(SELL, "0.01", "54000.0", tif="IOC"))
    bench.check()


def test_refusal_texts_that_clients_judge_by() -> None:
    bench = Bench()
    bench.place(msgspec.structs.replace(ASK, client_id="once"))
    bench.pass_ms(1_000)
    assert bench.try_place(msgspec.structs.replace(ASK, client_id="once")) == Refusal(
        101400, "clientOrderID unique check failed"
    )
    hedge = msgspec.structs.replace(ASK, reduce_only=True, position_side=LONG)
    assert bench.try_place(hedge, bench.hedge) == Refusal(
        109400, "Invalid parameters, err:In the Hedge mode, the 'ReduceOnly' field can not be filled."
    )


def test_hedge_mode_takes_long_where_nothing_is_said() -> None:
    bench = Bench()
    assert bench.place(msgspec.structs.replace(ASK, position_side=None), bench.hedge).position_side is LONG
    assert code(bench.try_place(ASK, bench.hedge)) == 109400


def test_a_client_id_is_lower_cased_and_burned_for_ever() -> None:
    bench = Bench()
    row = bench.place(limit(BUY, "0.01", "59000", name="Sor-1"))
    assert row.client_id == "sor-1"
    again = limit(BUY, "0.02", "59000", name="SOR-1")
    assert code(bench.try_place(again)) == 109201  # within a second of the first
    bench.pass_ms(999)
    assert code(bench.try_place(again)) == 109201
    bench.pass_ms(1)
    assert code(bench.try_place(again)) == 101400
    found = bench.exchange.cancel(bench.one_way, OrderKey(symbol=BTC, client_id="SOR-1"))
    assert isinstance(found, OrderRow)
    assert found.state is State.CANCELED
    bench.pass_ms(60_000)
    bench.exchange.switches.duplicate_code = 101481
    assert code(bench.try_place(again)) == 101481
    assert (bench.one_way.n_accepted, bench.one_way.n_duplicate, bench.one_way.n_refused) == (1, 4, 4)


def test_an_id_refused_for_another_reason_is_not_burned() -> None:
    bench = Bench()
    assert code(bench.try_place(limit(BUY, "20", "59000", name="big"))) == 101204
    bench.pass_ms(1_000)
    assert bench.place(limit(BUY, "0.2", "59000", name="big")).client_id == "big"


def test_two_accounts_may_use_one_id() -> None:
    bench = Bench()
    bench.place(limit(BUY, "0.01", "59000", name="same"))
    bench.place(limit(BUY, "0.01", "59000", name="same", mode=LONG), bench.hedge)


def test_the_test_order_leaves_no_trace() -> None:
    bench = Bench()
    ask = limit(BUY, "0.01", "59000", name="dry")
    row = bench.exchange.check(bench.one_way, ask)
    assert isinstance(row, OrderRow)
    assert (row.state, row.filled) == (State.NEW, Decimal(0))
    assert bench.one_way.orders == {}
    assert code(bench.exchange.history.order(bench.one_way, key(row))) == 109421
    assert code(bench.exchange.check(bench.one_way, limit(BUY, "1", "60001", tif="PostOnly"))) == 101215
    bench.place(ask)


def test_too_many_orders() -> None:
    bench = Bench()
    for _ in range(200):
        bench.place(limit(BUY, "0.001", "59000"))
    assert code(bench.try_place(limit(BUY, "0.001", "59000"))) == 101419
    bench.place(market(BUY, "0.001"))
    bench.place(limit(BUY, "0.01", "2900", symbol="ETH-USDT"))


def test_funding_settlement_refuses_orders() -> None:
    bench = Bench()
    bench.exchange.switches.settling = True
    assert code(bench.try_place(ASK)) == 101214


def test_reduce_only() -> None:
    bench = Bench()
    bench.place(market(BUY, "0.1"))
    assert code(bench.try_place(market(BUY, "0.1", reduce_only=True))) == 101290
    bench.exchange.switches.reduce_oversize = Oversize.REFUSE
    assert code(bench.try_place(market(SELL, "0.2", reduce_only=True))) == 101290
    bench.exchange.switches.reduce_oversize = Oversize.CLIP
    bench.told()
    row = bench.place(
        msgspec.structs.replace(limit(SELL, "0.2", "60010"), reduce_only=True),
    )
    assert bench.told() == ["NEW NEW 0.0000/0.2000", "RESIZED NEW 0.0000/0.1000"]
    assert row.qty == Decimal("0.1")
    # Half of the position goes another way: the order follows; then all of it: the order goes.
    bench.place(market(SELL, "0.05"))
    assert bench.told()[-1] == "RESIZED NEW 0.0000/0.0500"
    bench.place(market(SELL, "0.08"))
    assert "CANCELED CANCELED 0.0000/0.0500" in bench.told()
    bench.check()


def test_closing_in_hedge_mode() -> None:
    bench = Bench()
    assert code(bench.try_place(market(SELL, "0.1", mode=LONG), bench.hedge)) == 101205
    bench.place(market(BUY, "0.1", mode=LONG), bench.hedge)
    bench.place(market(SELL, "0.1", mode=SHORT), bench.hedge)  # opens a second position
    bench.place(limit(SELL, "0.06", "60010", mode=LONG), bench.hedge)
    assert code(bench.try_place(market(SELL, "0.05", mode=LONG), bench.hedge)) == 110424
    bench.place(market(SELL, "0.04", mode=LONG), bench.hedge)
    assert [(one.side, one.qty, one.available) for one in bench.exchange.desk.positions(bench.hedge)] == [
        (LONG, Decimal("0.06"), Decimal(0)),
        (SHORT, Decimal("0.1"), Decimal("0.1")),
    ]
    bench.check()


def test_minimum_value_may_be_waived_for_closing() -> None:
    bench = Bench()
    bench.place(market(BUY, "3", symbol="COARSE-USDT"))
    close_one = msgspec.structs.replace(market(SELL, "1", symbol="COARSE-USDT"), reduce_only=True)
    assert code(bench.try_place(close_one)) == 101400
    bench.exchange.switches.reduce_any_value = True
    assert bench.place(close_one).state is State.FILLED


# --- cancel, replace, amend -------------------------------------------------------------------------------------------


def test_cancel() -> None:
    bench = Bench()
    row = bench.place(ASK)
    bench.told()
    canceled = bench.exchange.cancel(bench.one_way, key(row))
    assert isinstance(canceled, OrderRow)
    assert canceled.state is State.CANCELED
    assert bench.told() == ["CANCELED CANCELED 0.0000/0.0100"]
    assert code(bench.exchange.cancel(bench.one_way, key(row))) == 109201
    bench.pass_ms(1_000)
    assert code(bench.exchange.cancel(bench.one_way, key(row))) == 109422
    assert code(bench.exchange.cancel(bench.one_way, OrderKey(symbol=BTC, order_id=7))) == 109421
    assert code(bench.exchange.cancel(bench.one_way, OrderKey(symbol="ETH-USDT", order_id=row.order_id))) == 109421
    assert code(bench.exchange.cancel(bench.one_way, OrderKey(symbol=BTC))) == 109400
    assert code(bench.exchange.cancel(bench.hedge, key(row))) == 109421
    bench.check()


def test_cancel_several() -> None:
    bench = Bench()
    first, second = bench.place(ASK), bench.place(limit(BUY, "0.01", "58000", name="two"))
    bench.exchange.cancel(bench.one_way, key(first))
    keys = (key(first), OrderKey(symbol=BTC, client_id="two"), OrderKey(symbol=BTC, client_id="three"))
    answer = bench.exchange.cancel_many(bench.one_way, keys)
    assert answer == Canceled(
        done=(bench.now(second),),
        failed=(
            Unchanged(
                order_id=first.order_id,
                client_id="",
                refusal=Refusal(109422, "the order is already FILLED or CANCELLED"),
            ),
            Unchanged(order_id=0, client_id="three", refusal=Refusal(109421, "order not exist")),
        ),
    )


def test_cancel_all() -> None:
    bench = Bench()
    rows = [bench.place(ASK), bench.place(limit(BUY, "1", "2900", symbol="ETH-USDT")), bench.place(ASK)]
    assert code(bench.exchange.cancel_all(bench.one_way, symbol="NO-USDT")) == 109425
    here = bench.exchange.cancel_all(bench.one_way, symbol=BTC, kind="LIMIT")
    assert isinstance(here, Canceled)
    assert [one.order_id for one in here.done] == [rows[0].order_id, rows[2].order_id]
    rest = bench.exchange.cancel_all(bench.one_way)
    assert isinstance(rest, Canceled)
    assert [one.order_id for one in rest.done] == [rows[1].order_id]
    assert bench.one_way.live == {}


def test_cancel_replace() -> None:
    bench = Bench()
    row = bench.place(ASK)
    new = limit(BUY, "0.02", "59100")
    answer = bench.exchange.cancel_replace(bench.one_way, key(row), new, stop_on_failure=True)
    assert answer.canceled == row  # as it was
    assert isinstance(answer.placed, OrderRow)
    assert bench.now(row).state is State.CANCELED
    bench.pass_ms(1_000)
    ended = Refusal(109422, "the order is already FILLED or CANCELLED")
    stopped = bench.exchange.cancel_replace(bench.one_way, key(row), new, stop_on_failure=True)
    assert stopped == Replaced(canceled=ended, placed=None)
    bench.pass_ms(1_000)
    both = bench.exchange.cancel_replace(bench.one_way, key(row), new, stop_on_failure=False)
    assert both.canceled == ended
    assert isinstance(both.placed, OrderRow)
    assert len(bench.one_way.live) == 2


def test_cancel_replace_restrictions() -> None:
    bench = Bench()
    row = bench.place(ASK)
    kept = bench.exchange.cancel_replace(
        bench.one_way, key(row), ASK, stop_on_failure=True, restriction="ONLY_PARTIALLY_FILLED"
    )
    assert isinstance(kept.canceled, Refusal)
    assert kept.placed is None
    assert bench.now(row).state is State.NEW
    odd = bench.exchange.cancel_replace(bench.one_way, key(row), ASK, stop_on_failure=True, restriction="MAYBE")
    assert isinstance(odd.canceled, Refusal)
    done = bench.exchange.cancel_replace(bench.one_way, key(row), ASK, stop_on_failure=True, restriction="ONLY_NEW")
    assert isinstance(done.canceled, OrderRow)


def test_amend_changes_the_quantity_and_loses_the_place() -> None:
    bench = Bench()
    first, second = bench.place(limit(BUY, "0.05", "59999.0")), bench.place(limit(BUY, "0.05", "59999.0"))
    bench.told()
    row = bench.exchange.amend(bench.one_way, key(first), Decimal("0.03"))
    assert isinstance(row, OrderRow)
    assert row.qty == Decimal("0.03")
    assert bench.told() == ["RESIZED NEW 0.0000/0.0300"]
    bench.crowd(SELL, "1.05", "59999.0")  # nine levels of 0.1 above it, and 0.1 at it
    assert (bench.now(first).filled, bench.now(second).filled) == (Decimal(0), Decimal("0.05"))
    bench.check()


def test_amend_may_keep_the_place() -> None:
    bench = Bench()
    bench.exchange.switches.amend_keeps_place = True
    first, second = bench.place(limit(BUY, "0.05", "59999.0")), bench.place(limit(BUY, "0.05", "59999.0"))
    bench.exchange.amend(bench.one_way, key(first), Decimal("0.03"))
    bench.crowd(SELL, "1.04", "59999.0")
    assert (bench.now(first).filled, bench.now(second).filled) == (Decimal("0.03"), Decimal("0.01"))


def test_amend_refusals() -> None:
    bench = Bench()
    row = bench.place(limit(BUY, "0.05", "59999.95"))
    bench.crowd(SELL, "0.13", "59999.9")  # 0.1 before us, 0.03 of ours
    amend = bench.exchange.amend
    assert code(amend(bench.one_way, key(row), Decimal("0.03"))) == 109400
    assert code(amend(bench.one_way, key(row), Decimal(0))) == 109400
    assert code(amend(bench.one_way, key(row), Decimal("0.00001"))) == 101400
    assert code(amend(bench.one_way, key(row), Decimal(30))) == 101204
    assert code(amend(bench.one_way, OrderKey(symbol=BTC, order_id=1), Decimal(1))) == 109421
    bench.exchange.cancel(bench.one_way, key(row))
    assert code(amend(bench.one_way, key(row), Decimal("0.04"))) == 109422


def test_countdown() -> None:
    bench = Bench()
    exchange = bench.exchange
    assert code(exchange.cancel_all_after(bench.one_way, timeout_s=9)) == 109400
    assert code(exchange.cancel_all_after(bench.one_way, timeout_s=121)) == 109400
    for _ in range(25):
        bench.place(ASK)
    bench.place(limit(BUY, "1", "2900", symbol="ETH-USDT"))
    other = bench.place(limit(BUY, "0.01", "59000", mode=LONG), bench.hedge)
    exchange.cancel_all_after(bench.one_way, timeout_s=10)
    bench.pass_ms(9_000)
    armed = exchange.cancel_all_after(bench.one_way, timeout_s=10)
    assert not isinstance(armed, Refusal)
    assert (armed.active, armed.trigger_ms) == (True, START_MS + 19_000)
    bench.pass_ms(9_999)
    assert len(bench.one_way.live) == 26
    bench.pass_ms(1)
    assert len(bench.one_way.live) == 6  # a batch of twenty
    assert isinstance(exchange.cancel_all_after(bench.one_way, timeout_s=0), Refusal)
    bench.pass_ms(200)
    assert bench.one_way.live == {}
    off = exchange.cancel_all_after(bench.one_way, timeout_s=0)
    assert not isinstance(off, Refusal)
    assert not off.active
    assert bench.now(other, bench.hedge).state is State.NEW
    bench.check()


def test_countdown_switched_off() -> None:
    bench = Bench()
    bench.place(ASK)
    bench.exchange.cancel_all_after(bench.one_way, timeout_s=10)
    bench.exchange.cancel_all_after(bench.one_way, timeout_s=0)
    bench.pass_ms(60_000)
    assert len(bench.one_way.live) == 1


def test_close_positions() -> None:
    bench = Bench()
    bench.place(market(BUY, "0.1", mode=LONG), bench.hedge)
    bench.place(market(SELL, "0.05", mode=SHORT), bench.hedge)
    rows = bench.exchange.close_positions(bench.hedge, symbol=BTC)
    assert [isinstance(row, OrderRow) and row.state for row in rows] == [State.FILLED, State.FILLED]
    assert bench.exchange.desk.positions(bench.hedge) == ()
    assert code(bench.exchange.close_position(bench.hedge, 1)) == 109420
    bench.place(market(BUY, "0.1"))
    (row,) = bench.exchange.close_positions(bench.one_way)
    assert isinstance(row, OrderRow)
    assert (row.reduce_only, row.side, row.state) == (True, SELL, State.FILLED)
    bench.check()


def test_one_account_may_trade_with_itself() -> None:
    bench = Bench()
    bench.place(limit(BUY, "0.05", "60000.0"))
    bench.told()
    bench.place(limit(SELL, "0.05", "60000.0"))
    assert bench.told() == [
        "NEW NEW 0.0000/0.0500",
        "print sell 0.0500@60000.0",
        "TRADE FILLED 0.0500/0.0500 0.0500@60000.0 taker fee 1.5",
        "account ORDER -1.5 short 0.0500@60000",
        "TRADE FILLED 0.0500/0.0500 0.0500@60000.0 maker fee 0.6",
        "account ORDER -0.6 both 0.0000@0",
    ]
    bench.check()
