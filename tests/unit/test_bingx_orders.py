import json
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sor.adapter import AccountState, OpenOrder, Position
from sor.errors import VenueFault
from sor.ids import ClOrdId, ExecId, Symbol, VenueOrderId
from sor.orders import AccountFill, ExecType, FeeSource, OrdStatus, PositionSide, Provenance, Side
from tests.fakes.bingx import RECV_NS, answer, contract, listings
from venues.bingx.account import (
    Balance,
    Countdown,
    Leverage,
    Positions,
    account_state,
    identity_of,
    read_balances,
    read_countdown,
    read_fees,
    read_leverage,
    read_leverage_set,
    read_listen_key,
    read_position_mode,
    read_positions,
    read_server_time,
)
from venues.bingx.caps import CLIENT_IDS, capabilities, market_bound_bps
from venues.bingx.environments import Env
from venues.bingx.fills import FillColumn, read_fills
from venues.bingx.listings import VENUE, Fees, read_trading_rules
from venues.bingx.market import Ping
from venues.bingx.orders import (
    Amended,
    Failure,
    OrderNews,
    open_order,
    read_ack,
    read_amended,
    read_batch,
    read_canceled,
    read_canceled_many,
    read_order,
    read_orders,
    read_replaced,
    read_test,
    status_of,
)
from venues.bingx.push import (
    AccountPush,
    BalanceChange,
    ConfigPush,
    KeyExpired,
    Named,
    Noise,
    OrderPush,
    UnlistedOrder,
    named,
    read_push,
)
from venues.plumbing.keys import Secret

SOME = listings()
BTC = SOME.stated("BTC-USDT")
SYMBOL = Symbol("BTCUSDT")
ORDER_ID = VenueOrderId("2000000000000000001")
CLIENT_ID = ClOrdId("sor-7f3a9c01")

# Shapes as captured and documented, values invented.
ACK = {
    "orderId": 2000000000000000001,
    "orderID": "2000000000000000001",
    "symbol": "BTC-USDT",
    "positionSide": "BOTH",
    "side": "BUY",
    "type": "MARKET",
    "price": 0,
    "quantity": 0.002,
    "quoteOrderQty": 0,
    "stopPrice": 0,
    "workingType": "MARK_PRICE",
    "clientOrderID": "sor-7f3a9c01",
    "clientOrderId": "",
    "timeInForce": "GTC",
    "priceRate": 0,
    "stopLoss": "",
    "takeProfit": "",
    "reduceOnly": False,
    "activationPrice": 0,
    "closePosition": "",
    "stopGuaranteed": "",
    "status": "FILLED",
    "avgPrice": "60000.4",
    "executedQty": "0.0020",
}
READ = {
    "symbol": "BTC-USDT",
    "orderId": 2000000000000000001,
    "side": "BUY",
    "positionSide": "BOTH",
    "type": "LIMIT",
    "origQty": "0.0020",
    "price": "60000.5",
    "executedQty": "0.0010",
    "avgPrice": "60000.4",
    "cumQuote": "60",
    "stopPrice": "",
    "profit": "0.0000",
    "commission": "-0.030000",
    "status": "PARTIALLY_FILLED",
    "time": 1760000000123,
    "updateTime": 1760000000456,
    "clientOrderId": "sor-7f3a9c01",
    "leverage": "20X",
    "takeProfit": {"type": "", "quantity": 0, "stopPrice": 0, "price": 0, "workingType": ""},
    "stopLoss": "",
    "advanceAttr": 0,
    "positionID": 0,
    "onlyOnePosition": True,
    "reduceOnly": False,
    "stopGuaranteed": False,
    "triggerOrderId": 0,
}
READ_NEWS = OrderNews(
    listing=BTC,
    source=Provenance.QUERY,
    recv_ns=RECV_NS,
    side=Side.BUY,
    cl_ord_id=CLIENT_ID,
    order_id=ORDER_ID,
    status=OrdStatus.PARTIALLY_FILLED,
    word="PARTIALLY_FILLED",
    order_lots=2,
    price_ticks=600_005,
    cum_lots=1,
    avg_ticks=Decimal(600_004),
    # 0.03 USDT at 10**-12: ticks of 0.1 x lots of 0.001 leave 4 decimals, rates 8.
    fee_atoms=30_000_000_000,
    fee_asset="USDT",
    fee_is_total=True,
    created_ns=1_760_000_000_123_000_000,
    venue_ns=1_760_000_000_456_000_000,
)


def test_an_acknowledgement_with_its_numbers_as_numbers() -> None:
    assert read_ack(answer({"order": ACK}), SOME, RECV_NS) == OrderNews(
        listing=BTC,
        source=Provenance.ACK,
        recv_ns=RECV_NS,
        side=Side.BUY,
        cl_ord_id=CLIENT_ID,
        order_id=ORDER_ID,
        status=OrdStatus.FILLED,
        word="FILLED",
        order_lots=2,
        cum_lots=2,
        avg_ticks=Decimal(600_004),
    )


def test_an_old_acknowledgement_says_little() -> None:
    row = {"symbol": "BTC-USDT", "orderId": 7, "side": "BUY", "type": "LIMIT", "price": 60000.5, "clientOrderId": "A-B"}
    assert read_ack(answer({"order": row}), SOME, RECV_NS) == OrderNews(
        listing=BTC,
        source=Provenance.ACK,
        recv_ns=RECV_NS,
        side=Side.BUY,
        cl_ord_id=ClOrdId("a-b"),
        order_id=VenueOrderId("7"),
        price_ticks=600_005,
        final=False,
    )
    empty = {**row, "status": "", "avgPrice": "", "executedQty": "", "quantity": 0.002}
    news = read_ack(answer({"order": empty}), SOME, RECV_NS)
    assert (news.status, news.cum_lots, news.avg_ticks, news.order_lots) == (None, -1, Decimal(0), 2)


def test_a_limit_order_read_back() -> None:
    assert read_order(answer({"order": READ}), SOME, RECV_NS) == READ_NEWS


def test_an_end_in_the_answer_to_a_cancel_is_evidence_only() -> None:
    news = read_canceled(answer({"order": {**READ, "status": "CANCELLED"}}), SOME, RECV_NS)
    assert (news.status, news.final, news.source) == (OrdStatus.CANCELED, False, Provenance.ACK)
    ack = read_ack(answer({"order": {**ACK, "status": "EXPIRED"}}), SOME, RECV_NS)
    assert (ack.status, ack.final) == (OrdStatus.EXPIRED, False)


def test_the_answer_to_a_test_order() -> None:
    assert read_test(answer({"order": {"symbol": "BTC-USDT", "side": "BUY", "orderId": 1}})) == "BTC-USDT"


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("NEW", OrdStatus.NEW),
        ("Pending", OrdStatus.NEW),
        ("WORKING", OrdStatus.NEW),
        ("Running", OrdStatus.NEW),
        ("PARTIALLY_FILLED", OrdStatus.PARTIALLY_FILLED),
        ("FILLED", OrdStatus.FILLED),
        ("CANCELED", OrdStatus.CANCELED),
        ("CANCELLED", OrdStatus.CANCELED),
        ("FAILED", OrdStatus.CANCELED),
        ("EXPIRED", OrdStatus.EXPIRED),
        ("Unknown", None),
        ("", None),
        (None, None),
    ],
)
def test_status_words(word: str | None, status: OrdStatus | None) -> None:
    assert status_of(word) is status


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"side": "HOLD"}, "side of an order"),
        ({"orderId": 2e18}, "an order id"),  # a float has lost its last digits
        ({"executedQty": "0.00105"}, "between two steps"),
        ({"price": "60000.55"}, "between two steps"),
        ({"executedQty": "-1"}, "not negative"),
        ({"avgPrice": "abc"}, "decimal number"),
        ({"symbol": "XYZ-USDT"}, "does not list"),
        ({"symbol": None}, "symbol"),
    ],
)
def test_an_order_that_cannot_be_read_is_one_fault(change: dict[str, object], says: str) -> None:
    with pytest.raises(VenueFault, match=says):
        read_order(answer({"order": {**READ, **change}}), SOME, RECV_NS)


def test_open_orders_do_not_hide_behind_one_that_cannot_be_read() -> None:
    rows = [
        READ,
        {**READ, "symbol": "XYZ-USDT"},
        {**READ, "orderId": 8, "origQty": "0.00205"},
        {**READ, "orderId": 9, "status": "PENDING", "executedQty": "0", "side": "SELL", "clientOrderId": ""},
    ]
    many = read_orders(answer({"orders": rows}), SOME, RECV_NS)
    assert [one.order_id for one in many.orders] == ["2000000000000000001", "9"]
    assert many.unlisted == ("XYZ-USDT", "BTC-USDT")
    assert [open_order(one) for one in many.orders] == [
        OpenOrder(
            cl_ord_id=CLIENT_ID,
            venue_order_id=ORDER_ID,
            symbol=SYMBOL,
            side=Side.BUY,
            price_ticks=600_005,
            leaves_lots=1,
            created_ns=1_760_000_000_123_000_000,
        ),
        OpenOrder(
            cl_ord_id=ClOrdId(""),
            venue_order_id=VenueOrderId("9"),
            symbol=SYMBOL,
            side=Side.SELL,
            price_ticks=600_005,
            leaves_lots=2,
            created_ns=1_760_000_000_123_000_000,
        ),
    ]
    ended = read_orders(answer({"orders": [{**READ, "status": "FILLED"}]}), SOME, RECV_NS).orders[0]
    assert open_order(ended) is None
    empties: list[object] = [None, {}, {"orders": None}, {"orders": []}]
    for empty in empties:
        assert read_orders(answer(empty), SOME, RECV_NS).orders == ()


def test_cancels_of_many_tell_what_failed() -> None:
    failed = {"orderId": 8, "clientOrderId": "SOR-8", "errorCode": 109422, "errorMessage": "order filled"}
    many = read_canceled_many(answer({"success": [READ], "failed": [failed]}), SOME, RECV_NS)
    assert [one.final for one in many.orders] == [False]
    assert many.failed == (
        Failure(cl_ord_id=ClOrdId("sor-8"), order_id=VenueOrderId("8"), code="109422", text="order filled"),
    )
    assert read_canceled_many(answer({"success": None, "failed": None}), SOME, RECV_NS).orders == ()
    assert read_canceled_many(answer(None), SOME, RECV_NS).orders == ()


def test_a_batch_with_a_leg_that_failed() -> None:
    legs = {"orders": [ACK], "errors": [{"code": "101204", "msg": "Insufficient margin", "clientOrderID": "sor-2"}]}
    many = read_batch(answer(legs), SOME, RECV_NS)
    assert [one.cl_ord_id for one in many.orders] == [CLIENT_ID]
    assert many.failed == (
        Failure(cl_ord_id=ClOrdId("sor-2"), order_id=VenueOrderId(""), code="101204", text="Insufficient margin"),
    )


def test_amends_and_replaces() -> None:
    amended = {"orderId": 2000000000000000001, "clientOrderId": "", "symbol": "BTC-USDT", "quantity": 0.002}
    assert read_amended(answer(amended), SOME) == Amended(
        symbol=SYMBOL, cl_ord_id=ClOrdId(""), order_id=ORDER_ID, order_lots=2
    )
    half = {
        "cancelResult": "true",
        "cancelMsg": "",
        "cancelResponse": {**READ, "status": "PENDING"},
        "replaceResult": "false",
        "replaceMsg": "Insufficient margin",
        "newOrderResponse": None,
    }
    replaced = read_replaced(answer(half), SOME, RECV_NS)
    assert (replaced.canceled, replaced.placed, replaced.place_text) == (True, False, "Insufficient margin")
    assert replaced.old is not None
    assert (replaced.old.final, replaced.new, replaced.cancel_text) == (False, None, "")


FILL = {
    "filledTm": "2025-10-09T16:53:20Z",
    "volume": "0.0010",
    "price": "60000.4",
    "qty": "0.0010",
    "quoteQty": "60.0004",
    "commission": "-0.0300",
    "commissionAsset": "USDT",
    "orderId": "2000000000000000001",
    "tradeId": "511000001",
    "filledTime": "2025-10-09T16:53:20.000+0800",
    "symbol": "BTC-USDT",
    "role": "taker",
    "side": "buy",
    "positionSide": "both",
}


def test_the_fill_history() -> None:
    # 16:53:20 at +08:00 is 08:53:20 UTC; the Z of `filledTm` is the same wall clock and a lie.
    expected = AccountFill(
        venue=VENUE,
        symbol=SYMBOL,
        cl_ord_id=ClOrdId(""),
        exec_type=ExecType.TRADE,
        provenance=Provenance.QUERY,
        venue_order_id=ORDER_ID,
        venue_ns=1_760_000_000_000_000_000,
        recv_ns=RECV_NS,
        exec_id=ExecId("511000001"),
        last_lots=1,
        last_ticks=600_004,
        is_maker=False,
        fee_atoms=30_000_000_000,
        fee_asset="USDT",
        fee_source=FeeSource.REST_SETTLED,
        side=Side.BUY,
    )
    page = read_fills(answer({"fill_history_orders": [FILL, {**FILL, "symbol": "X-USDT"}]}), SOME, RECV_NS)
    assert (page.fills, page.unlisted, page.rows) == ((expected,), ("X-USDT",), 2)
    (alone,) = read_fills(answer({"fill_history_orders": [{**FILL, "filledTime": ""}]}), SOME, RECV_NS).fills
    assert alone.venue_ns == expected.venue_ns
    for empty in (None, {"fill_history_orders": None, "total": 0}):
        assert read_fills(answer(empty), SOME, RECV_NS).fills == ()
    with pytest.raises(VenueFault, match="time of a fill"):
        read_fills(answer({"fill_history_orders": [{**FILL, "filledTime": "yesterday"}]}), SOME, RECV_NS)


@pytest.mark.parametrize(
    ("volume", "qty", "column", "lots"),
    [
        ("0.001", "10", FillColumn.PRODUCT, 1),
        ("10", "0.001", FillColumn.PRODUCT, 1),
        ("0.002", "0.003", FillColumn.PRODUCT, 2),  # neither fits 60.0004: the nearer one
        ("0.002", "0.003", FillColumn.QTY, 3),
        ("0.002", "0.001", FillColumn.VOLUME, 2),
        (None, "0.001", FillColumn.VOLUME, 1),
        ("0.001", None, FillColumn.PRODUCT, 1),
    ],
)
def test_which_column_of_a_fill_is_the_quantity(
    volume: str | None, qty: str | None, column: FillColumn, lots: int
) -> None:
    row = {**FILL, "volume": volume, "qty": qty}
    (fill,) = read_fills(answer({"fill_history_orders": [row]}), SOME, RECV_NS, column=column).fills
    assert fill.last_lots == lots


# --- the account ------------------------------------------------------------------------------------------------------


def test_balances_in_all_their_shapes() -> None:
    row = {
        "userId": "1",
        "asset": "USDT",
        "balance": "100.5",
        "equity": "101",
        "unrealizedProfit": "0.5",
        "realisedProfit": "2",
        "availableMargin": "90",
        "usedMargin": "11",
        "freezedMargin": "1",
        "shortUid": "2",
    }
    expected = Balance(
        asset="USDT",
        balance=Decimal("100.5"),
        equity=Decimal(101),
        available=Decimal(90),
        used_margin=Decimal(11),
        frozen_margin=Decimal(1),
        unrealized=Decimal("0.5"),
        realized=Decimal(2),
        user_id="1",
    )
    renamed = {**row, "realizedProfit": row["realisedProfit"], "frozenMargin": row["freezedMargin"]}
    del renamed["realisedProfit"], renamed["freezedMargin"]
    unused = {"asset": "USDC", **{key: "" for key in row if key not in {"asset", "userId"}}}
    balances = read_balances(answer([row, unused]))
    assert balances["USDT"] == read_balances(answer([renamed]))["USDT"] == expected
    assert balances["USDC"].equity == 0
    assert read_balances(answer({"balance": row})) == {"USDT": expected}  # the older version
    assert read_balances(answer(None)) == {}
    held = Positions(held=(Position(symbol=SYMBOL, qty_lots=-2),))
    state = account_state(balances, held, asset="USDT", venue_ns=7, fresh=True)
    assert state == AccountState(
        equity=Decimal(101),
        available=Decimal(90),
        asset="USDT",
        positions=held.held,
        venue_ns=7,
        wallet=Decimal("100.5"),
    )
    assert account_state(balances, held, asset="USDT", venue_ns=7, fresh=False).wallet is None
    absent = account_state(balances, held, asset="VST", venue_ns=7, fresh=True)
    assert absent.equity == 0 == absent.wallet


def test_an_account_is_told_by_its_user_id_and_else_by_its_key() -> None:
    def identity(*user_ids: object, key: str = "key-one", env: Env = Env.VST) -> str:
        rows = [{"asset": f"A{no}", "userId": user_id} for no, user_id in enumerate(user_ids)]
        return identity_of(read_balances(answer(rows)), key=Secret(key), env=env)

    assert identity("17") == identity("17", key="key-two") == identity(17) == identity("", "17")
    assert len({identity("17"), identity("18"), identity("17", env=Env.LIVE)}) == 3
    assert identity() == identity("") != identity(key="key-two")
    assert identity("17").startswith("uid-")
    assert identity().startswith("key-")


def test_positions_get_their_sign_from_label_or_amount() -> None:
    def one(side: str, amount: str, *, one_way: bool) -> dict[str, object]:
        return {"symbol": "BTC-USDT", "positionSide": side, "positionAmt": amount, "onlyOnePosition": one_way}

    rows = [
        one("LONG", "0.0020", one_way=False),
        one("SHORT", "0.0030", one_way=False),
        one("SHORT", "-0.003", one_way=True),  # one-way, and labelled all the same
        one("BOTH", "-0.004", one_way=True),
        one("LONG", "0.000", one_way=True),
        {"symbol": "OLD-USDT", "positionAmt": "5", "positionSide": "LONG"},
        {"symbol": "GONE-USDT", "positionAmt": "0", "positionSide": "LONG"},
    ]
    assert read_positions(answer(rows), SOME) == Positions(
        held=(
            Position(symbol=SYMBOL, qty_lots=2, position_side=PositionSide.LONG),
            Position(symbol=SYMBOL, qty_lots=-3, position_side=PositionSide.SHORT),
            Position(symbol=SYMBOL, qty_lots=-3, position_side=PositionSide.BOTH),
            Position(symbol=SYMBOL, qty_lots=-4, position_side=PositionSide.BOTH),
        ),
        unlisted=("OLD-USDT",),
    )
    assert read_positions(answer(None), SOME).held == ()
    for wrong in (one("LONG", "-1", one_way=False), one("NET", "1", one_way=False)):
        with pytest.raises(VenueFault, match="position of"):
            read_positions(answer([wrong]), SOME)


def test_settings() -> None:
    assert read_position_mode(answer({"dualSidePosition": "true"}))
    assert not read_position_mode(answer({"dualSidePosition": "false"}))
    leverage = {"longLeverage": 3, "shortLeverage": 5, "maxLongLeverage": 125, "maxShortLeverage": 100, "x": "1"}
    assert read_leverage(answer(leverage)) == Leverage(long=3, short=5, long_max=125, short_max=100)
    assert read_leverage_set(answer({"leverage": 3, "symbol": "BTC-USDT"})) == 3
    rates = {"commission": {"takerCommissionRate": 0.0005, "makerCommissionRate": "0.0002"}}
    assert read_fees(answer(rates)) == Fees(maker_fee_e8=20_000, taker_fee_e8=50_000)
    assert read_server_time(answer({"serverTime": 1760000000123})) == 1_760_000_000_123_000_000
    for read, data in (
        (read_fees, {"commission": {"takerCommissionRate": 0.0005}}),
        (read_fees, {"commission": {"takerCommissionRate": 0.0005, "makerCommissionRate": None}}),
        (read_server_time, {"serverTime": 0}),
        (read_position_mode, {}),
        (read_leverage, {"longLeverage": 3}),
        (read_leverage_set, None),
    ):
        with pytest.raises(VenueFault):
            read(answer(data))


def test_a_listen_key_bare_or_wrapped() -> None:
    assert read_listen_key(b'{"listenKey":"abc"}') == "abc"
    assert read_listen_key(answer({"listenKey": "abc"})) == "abc"
    with pytest.raises(VenueFault, match="no listen key: 100413 Incorrect apiKey"):
        read_listen_key(answer({}, code=100413, msg="Incorrect apiKey"))
    with pytest.raises(VenueFault):
        read_listen_key(b"{}")


def test_the_countdown_in_seconds_or_milliseconds() -> None:
    data = {"triggerTime": 1760000030, "status": "ACTIVATED", "note": "All your orders will be closed"}
    expected = Countdown(
        status="ACTIVATED", trigger_ns=1_760_000_030_000_000_000, note="All your orders will be closed"
    )
    assert read_countdown(answer(data)) == expected
    assert read_countdown(answer({**data, "triggerTime": 1760000030000})) == expected
    assert read_countdown(answer({"triggerTime": 0, "status": "closed"})) == Countdown(
        status="CLOSED", trigger_ns=0, note=""
    )


# --- the account socket -----------------------------------------------------------------------------------------------

PUSH = {
    "s": "BTC-USDT",
    "c": "sor-7f3a9c01",
    "i": 2000000000000000001,
    "S": "BUY",
    "o": "LIMIT",
    "q": "0.00200000",
    "p": "60000.50000000",
    "sp": "0.00000000",
    "ap": "60000.40000000",
    "x": "TRADE",
    "X": "PARTIALLY_FILLED",
    "N": "USDT",
    "n": "-0.03000020",
    "T": 1760000000455,
    "wt": "MARK_PRICE",
    "ps": "BOTH",
    "rp": "0.00000000",
    "z": "0.00100000",
    "sg": "false",
    "ti": 0,
    "ro": False,
    "td": 511000001,
    "tv": "60.0",
}


def push(event: str, **data: object) -> bytes:
    return json.dumps({"e": event, "E": 1760000000460, **data}).encode()


def read(message: bytes, *, hedge: bool = False) -> object:
    return read_push(message, SOME, hedge=hedge, recv_ns=RECV_NS)


@pytest.mark.parametrize("event", ["ORDER_TRADE_UPDATE", "TRADE_UPDATE"])
def test_an_order_event(event: str) -> None:
    # The value of the trade is 60.0: 0.001 at 60000.4 is 600004 lot-ticks, and 60.0 is 600000 of them.
    found = read(push(event, T=1760000000455, o=PUSH))
    assert found == OrderPush(
        news=OrderNews(
            listing=BTC,
            source=Provenance.PUSH,
            recv_ns=RECV_NS,
            side=Side.BUY,
            cl_ord_id=CLIENT_ID,
            order_id=ORDER_ID,
            status=OrdStatus.PARTIALLY_FILLED,
            word="PARTIALLY_FILLED",
            order_lots=2,
            price_ticks=600_005,
            cum_lots=1,
            avg_ticks=Decimal(600_004),
            last_value=600_000.0,
            last_value_slack=4_000.0,
            fee_atoms=30_000_200_000,
            fee_asset="USDT",
            venue_ns=1_760_000_000_455_000_000,
        ),
        execution="TRADE",
        trade_id="511000001",
    )


def test_whose_order_an_unreadable_event_is_about() -> None:
    broken = {**PUSH, "z": "much"}
    assert named(push("ORDER_TRADE_UPDATE", o=broken), SOME) == Named(
        symbol=BTC.instrument.symbol, cl_ord_id=CLIENT_ID, order_id=ORDER_ID
    )
    for nobodys in (
        {**broken, "s": "DOGE-USDT"},
        {**broken, "c": "", "i": 0},
        {**broken, "i": 1.5},
        {**broken, "c": ["x"]},
    ):
        assert named(push("ORDER_TRADE_UPDATE", o=nobodys), SOME) is None
    assert named(b"nonsense", SOME) is None
    assert named(push("ACCOUNT_UPDATE"), SOME) is None


def test_an_order_event_in_other_spellings() -> None:
    other = {**PUSH, "i": "2000000000000000001", "T": 0, "l": 0.001, "L": 60000.4, "c": "", "td": "511000001"}
    del other["tv"]
    found = read(push("ORDER_TRADE_UPDATE", o=other))
    assert isinstance(found, OrderPush)
    news = found.news
    assert (news.order_id, news.cl_ord_id, news.last_lots, news.last_ticks) == (ORDER_ID, "", 1, 600_004)
    assert (news.last_value, found.trade_id) == (0.0, "511000001")
    assert news.venue_ns == 1_760_000_000_460_000_000  # the event's own time, where the trade has none
    new = {**PUSH, "x": "NEW", "X": "NEW", "z": "0.00000000", "ap": "0.00000000", "n": "0.00000000", "L": "0.05"}
    opened = read(push("ORDER_TRADE_UPDATE", o=new))
    assert isinstance(opened, OrderPush)
    assert (opened.news.status, opened.news.cum_lots, opened.news.fee_atoms) == (OrdStatus.NEW, 0, None)
    assert opened.news.last_ticks == 0  # an optional price that lies between two ticks is not known
    assert read(push("ORDER_TRADE_UPDATE", o={**PUSH, "s": "X-USDT"})) == UnlistedOrder("X-USDT")


def test_other_account_events() -> None:
    data = {
        "m": "ORDER",
        "B": [{"a": "USDT", "wb": "100.5", "cw": "90", "bc": "-0.03"}],
        "P": [
            {"s": "BTC-USDT", "pa": "0.00300000", "ep": "60000", "ps": "SHORT"},
            {"s": "X-USDT", "pa": "1", "ps": "LONG"},
        ],
    }
    for hedge, side in ((True, PositionSide.SHORT), (False, PositionSide.BOTH)):
        assert read(push("ACCOUNT_UPDATE", a=data), hedge=hedge) == AccountPush(
            reason="ORDER",
            balances=(
                BalanceChange(asset="USDT", wallet=Decimal("100.5"), cross=Decimal(90), change=Decimal("-0.03")),
            ),
            positions=(Position(symbol=SYMBOL, qty_lots=-3, position_side=side),),
            unlisted=("X-USDT",),
            venue_ns=1_760_000_000_460_000_000,
        )
    funding = read(push("ACCOUNT_UPDATE", a={"m": "FUNDING_FEE", "B": [{"a": "USDT"}]}))
    assert isinstance(funding, AccountPush)
    assert (funding.reason, funding.positions) == ("FUNDING_FEE", ())
    config = push("ACCOUNT_CONFIG_UPDATE", ac={"s": "BTC-USDT", "l": 3, "S": 5, "mt": "Cross"})
    assert read(config) == ConfigPush(venue_symbol="BTC-USDT", long_leverage=3, short_leverage=5, isolated=False)
    assert read(push("listenKeyExpired", listenKey="secret")) == KeyExpired()
    assert read(push("SNAPSHOT", ac={"s": "BTC-USDT", "l": 1, "S": 1, "mt": "cross"})) == Noise("SNAPSHOT")
    assert read(b"{}") == Noise("")
    assert read(b"Ping") == Ping()


@given(message=st.binary(max_size=200), event=st.sampled_from(["ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "X"]))
def test_garbage_is_a_fault_and_nothing_else(message: bytes, event: str) -> None:
    wrapped = b'{"e":"' + event.encode() + b'","o":' + message + b',"a":' + message + b"}"
    for one in (message, wrapped):
        try:
            read(one)
        except VenueFault:
            continue


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("1"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(field=st.sampled_from(sorted(READ)), pushed=st.sampled_from(sorted(PUSH)), value=json_values)
def test_any_field_may_hold_anything(field: str, pushed: str, value: object) -> None:
    calls: list[Callable[[], object]] = [
        lambda: read_order(answer({"order": {**READ, field: value}}), SOME, RECV_NS),
        lambda: read_ack(answer({"order": {**ACK, field: value}}), SOME, RECV_NS),
        lambda: read(push("ORDER_TRADE_UPDATE", o={**PUSH, pushed: value})),
        lambda: read_fills(answer({"fill_history_orders": [{**FILL, field: value}]}), SOME, RECV_NS),
        lambda: listings({**contract(), field: value}),
    ]
    for call in calls:
        try:
            call()
        except VenueFault:
            continue


# --- capabilities -----------------------------------------------------------------------------------------------------


def test_capabilities_follow_the_mode_of_the_account() -> None:
    one_way, hedge = capabilities(hedge=False), capabilities(hedge=True)
    assert (one_way.position_modes, one_way.reduce_only.value) == (frozenset({PositionSide.BOTH}), "flag")
    assert hedge.position_modes == frozenset({PositionSide.LONG, PositionSide.SHORT})
    assert (hedge.reduce_only.value, hedge.receive_window_ns) == ("implied_by_mode", 5_000_000_000)
    assert (one_way.orders_per_s, one_way.market_bound_bps) == (5.0, None)


@pytest.mark.parametrize(("ratio", "bps"), [("0.05", 500.0), ("", None), ("0", None), ("1.2", None)])
def test_a_market_bound_needs_a_fraction(ratio: str, bps: float | None) -> None:
    assert market_bound_bps(read_trading_rules(answer({"marketRatio": ratio}))) == bps
    assert market_bound_bps(None) is None


@given(st.integers(0, 36**6 - 1), st.integers(1, 36**6 - 1), st.integers(1, 36**4 - 1), st.booleans())
def test_client_ids_are_what_bingx_gives_back(epoch: int, parent: int, child: int, closing: bool) -> None:
    text = CLIENT_IDS.encode(epoch, parent, child, closing=closing)
    assert 1 <= len(text) <= 40
    assert text == text.lower()
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    owned = CLIENT_IDS.decode(text.upper())
    assert owned is not None
    assert (owned.epoch, owned.parent_no, owned.child_no, owned.closing) == (epoch, parent, child, closing)
