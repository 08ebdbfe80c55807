import copy
import hashlib
import hmac
import json
from decimal import Decimal
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sor.adapter import NewOrder, OrderRef
from sor.errors import CallerError
from sor.ids import ClOrdId, Symbol, VenueOrderId
from sor.orders import OrdType, PositionSide, Side, Tif
from tests.fakes.bingx import btc, contract, listings
from venues.bingx import endpoints, wire
from venues.bingx.sign import KEY_HEADER, Signer
from venues.bingx.wire import Call, OrderWire

# Worked out apart from this code, with
#   printf %s "$S1" | openssl dgst -sha256 -hmac demo-secret-not-real
S1 = (
    "clientOrderId=sor-7f3a9c01&positionSide=BOTH&price=60000.5&quantity=0.002&recvWindow=5000&side=BUY"
    "&symbol=BTC-USDT&timeInForce=IOC&timestamp=1760000000000&type=LIMIT"
)
S1_SIGNED = "57478848e2d4930e93c8c0b1b08a7181f691ebf8519599ab06f3c1b914d36604"
S2 = (
    'batchOrders=[{"symbol":"BTC-USDT","type":"MARKET","side":"BUY","positionSide":"BOTH","quantity":0.001}]'
    "&recvWindow=5000&timestamp=1760000000000"
)
S2_SIGNED = "f1916f9df993a6b3bcb2b8c4d518eb7451dfc50f69582901a46c4607826bfa24"

NOW_MS = 1_760_000_000_000
KEY, SECRET = "demo-key", "demo-secret-not-real"
SIGNER = Signer(api_key=KEY, secret=SECRET)
BTC = btc()
ORDERS = OrderWire(BTC)


def order(**terms: object) -> NewOrder:
    """A limit order to buy 0.002 at 60000.5."""
    known: dict[str, object] = {
        "cl_ord_id": ClOrdId("sor-7f3a9c01"),
        "symbol": Symbol("BTCUSDT"),
        "side": Side.BUY,
        "ord_type": OrdType.LIMIT,
        "qty_lots": 2,
        "price_ticks": 600_005,
        **terms,
    }
    return NewOrder(**known)  # type: ignore[arg-type]


def ref(order_id: str = "2000000000000000001", cl_ord_id: str = "sor-7f3a9c01") -> OrderRef:
    return OrderRef(cl_ord_id=ClOrdId(cl_ord_id), symbol=Symbol("BTCUSDT"), venue_order_id=VenueOrderId(order_id))


def parameters(call: Call) -> dict[str, str]:
    """What is signed, without what every signed call has."""
    pairs = dict(parse_qsl(call.text(NOW_MS), strict_parsing=True))
    assert pairs.pop("timestamp") == str(NOW_MS)
    assert pairs.pop("recvWindow") == "5000"
    return pairs


@pytest.mark.parametrize(("text", "signed"), [(S1, S1_SIGNED), (S2, S2_SIGNED)])
def test_signature_vectors(text: str, signed: str) -> None:
    assert SIGNER.sign(text) == signed


@given(secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=200), text=st.text())
def test_signing_is_hmac_sha256(secret: str, text: str) -> None:
    # Longer than one block of the hash too: such a key is hashed first (RFC 2104).
    expected = hmac.new(secret.encode(), text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
    assert Signer(api_key="k", secret=secret).sign(text) == expected


def test_an_order_as_it_goes_out() -> None:
    call = ORDERS.place(order(tif=Tif.IOC))
    assert call.text(NOW_MS) == S1
    assert call.endpoint is endpoints.PLACE
    target = call.target(now_ms=NOW_MS, signer=SIGNER)
    assert target == f"/openApi/swap/v2/trade/order?{S1}&signature={S1_SIGNED}"


def test_secrets_are_not_shown() -> None:
    assert KEY not in repr(SIGNER)
    assert SECRET not in repr(SIGNER)
    with pytest.raises(TypeError, match="does not leave"):
        copy.copy(SIGNER)
    assert (KEY_HEADER, SIGNER.api_key) == ("X-BX-APIKEY", KEY)


@pytest.mark.parametrize(("api_key", "secret"), [("", "s"), ("k", ""), ("k\n", "s"), ("k", "s s"), ("ké", "s")])
def test_a_key_that_is_none_is_refused_without_being_shown(api_key: str, secret: str) -> None:
    with pytest.raises(CallerError) as refused:
        Signer(api_key=api_key, secret=secret)
    assert "nothing was sent" in str(refused.value)
    assert "ké" not in str(refused.value)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        (
            {"ord_type": OrdType.MARKET, "price_ticks": 0, "side": Side.SELL},
            {"type": "MARKET", "side": "SELL", "positionSide": "BOTH"},
        ),
        ({}, {"type": "LIMIT", "side": "BUY", "positionSide": "BOTH", "price": "60000.5", "timeInForce": "GTC"}),
        (
            {"post_only": True},
            {"type": "LIMIT", "side": "BUY", "positionSide": "BOTH", "price": "60000.5", "timeInForce": "PostOnly"},
        ),
        (
            {"tif": Tif.FOK, "reduce_only": True, "side": Side.SELL},
            {
                "type": "LIMIT",
                "side": "SELL",
                "positionSide": "BOTH",
                "price": "60000.5",
                "timeInForce": "FOK",
                "reduceOnly": "true",
            },
        ),
        (
            {"position_side": PositionSide.SHORT, "side": Side.SELL},
            {"type": "LIMIT", "side": "SELL", "positionSide": "SHORT", "price": "60000.5", "timeInForce": "GTC"},
        ),
        (  # closing in hedge mode: the two sides say it, and the flag would be refused
            {"position_side": PositionSide.LONG, "side": Side.SELL, "reduce_only": True},
            {"type": "LIMIT", "side": "SELL", "positionSide": "LONG", "price": "60000.5", "timeInForce": "GTC"},
        ),
    ],
)
def test_every_kind_of_order(terms: dict[str, object], expected: dict[str, str]) -> None:
    expected = {**expected, "symbol": "BTC-USDT", "quantity": "0.002", "clientOrderId": "sor-7f3a9c01"}
    call = ORDERS.place(order(**terms))
    assert parameters(call) == expected
    keys = [key for key, _ in parse_qsl(call.text(NOW_MS))]
    assert keys == sorted(keys)
    assert ORDERS.place(order(**terms)) == call  # now from its template
    test = ORDERS.test(order(**terms))
    assert (test.endpoint, test.text(NOW_MS)) == (endpoints.PLACE_TEST, call.text(NOW_MS))


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({"tif": Tif.GTD}, "no gtd order"),
        ({"tif": Tif.IOC, "post_only": True}, "no ioc post-only order"),
        ({"ord_type": OrdType.MARKET, "post_only": True}, "contradict"),
        ({"position_side": PositionSide.SHORT, "side": Side.SELL, "reduce_only": True}, "a SELL opens the short"),
        ({"position_side": PositionSide.LONG, "side": Side.BUY, "reduce_only": True}, "a BUY opens the long"),
        ({"qty_lots": 0}, "must be positive"),
        ({"price_ticks": 0}, "must be positive"),
        ({"cl_ord_id": ClOrdId("")}, "1 to 40"),
        ({"cl_ord_id": ClOrdId("a" * 41)}, "1 to 40"),
        ({"cl_ord_id": ClOrdId("Sor-1")}, "gives back unchanged"),
        ({"cl_ord_id": ClOrdId("a&side=SELL")}, "gives back unchanged"),
    ],
)
def test_what_bingx_has_no_words_for_is_refused(terms: dict[str, object], says: str) -> None:
    with pytest.raises(CallerError, match=says) as refused:
        OrderWire(BTC).place(order(**terms))
    assert "nothing was sent" in str(refused.value)


@given(
    ticks=st.integers(1, 10**12), lots=st.integers(1, 10**12), digits=st.tuples(st.integers(0, 9), st.integers(0, 9))
)
def test_numbers_on_the_wire_are_exact(ticks: int, lots: int, digits: tuple[int, int]) -> None:
    listing = btc(pricePrecision=digits[0], quantityPrecision=digits[1], tradeMinQuantity=1)
    sent = parameters(OrderWire(listing).place(order(price_ticks=ticks, qty_lots=lots)))
    assert Decimal(sent["price"]) == ticks * listing.instrument.tick_size
    assert Decimal(sent["quantity"]) == lots * listing.instrument.lot_size
    assert (listing.ticks[sent["price"]], listing.lots[sent["quantity"]]) == (ticks, lots)


def test_a_batch_is_json_in_one_parameter() -> None:
    market = order(ord_type=OrdType.MARKET, price_ticks=0, cl_ord_id=ClOrdId("sor-2"))
    call = wire.place_batch([(order(tif=Tif.IOC), BTC), (market, BTC)])
    rows = parameters(call)["batchOrders"]
    assert '"price":60000.5,' in rows  # a number, spelled by us
    assert '"quantity":0.002,' in rows
    assert json.loads(rows) == [
        {
            "symbol": "BTC-USDT",
            "side": "BUY",
            "positionSide": "BOTH",
            "type": "LIMIT",
            "timeInForce": "IOC",
            "price": 60000.5,
            "quantity": 0.002,
            "clientOrderId": "sor-7f3a9c01",
        },
        {
            "symbol": "BTC-USDT",
            "side": "BUY",
            "positionSide": "BOTH",
            "type": "MARKET",
            "quantity": 0.002,
            "clientOrderId": "sor-2",
        },
    ]
    # Signed as it is, sent with its values encoded, keys not, space as %20, the signature last.
    target = call.target(now_ms=NOW_MS, signer=SIGNER)
    query = target.partition("?")[2]
    sent, _, signature = query.rpartition("&signature=")
    assert signature == SIGNER.sign(call.text(NOW_MS))
    assert unquote(sent) == call.text(NOW_MS)
    assert sent.startswith("batchOrders=%5B%7B%22")
    assert "[" not in sent
    assert "+" not in sent


def test_a_batch_has_one_to_five_orders() -> None:
    for count in (0, 6):
        with pytest.raises(CallerError, match=f"not of {count}"):
            wire.place_batch([(order(), BTC)] * count)


@pytest.mark.parametrize(
    ("call", "endpoint", "expected"),
    [
        (wire.balance(), endpoints.BALANCE, {}),
        (wire.positions(), endpoints.POSITIONS, {}),
        (wire.positions(BTC), endpoints.POSITIONS, {"symbol": "BTC-USDT"}),
        (wire.commission_rate(), endpoints.COMMISSION_RATE, {}),
        (wire.position_mode(), endpoints.POSITION_MODE, {}),
        (wire.set_position_mode(hedge=True), endpoints.SET_POSITION_MODE, {"dualSidePosition": "true"}),
        (wire.set_position_mode(hedge=False), endpoints.SET_POSITION_MODE, {"dualSidePosition": "false"}),
        (wire.leverage(BTC), endpoints.LEVERAGE, {"symbol": "BTC-USDT"}),
        (
            wire.set_leverage(BTC, PositionSide.BOTH, 3),
            endpoints.SET_LEVERAGE,
            {"symbol": "BTC-USDT", "side": "BOTH", "leverage": "3"},
        ),
        (wire.cancel(ref(), BTC), endpoints.CANCEL, {"symbol": "BTC-USDT", "orderId": "2000000000000000001"}),
        (wire.cancel(ref(""), BTC), endpoints.CANCEL, {"symbol": "BTC-USDT", "clientOrderId": "sor-7f3a9c01"}),
        (wire.query(ref(), BTC), endpoints.QUERY, {"symbol": "BTC-USDT", "orderId": "2000000000000000001"}),
        (wire.query(ref(""), BTC), endpoints.QUERY, {"symbol": "BTC-USDT", "clientOrderId": "sor-7f3a9c01"}),
        (
            wire.cancel_batch([ref("11"), ref("12")], BTC),
            endpoints.CANCEL_BATCH,
            {"symbol": "BTC-USDT", "orderIdList": "[11,12]"},
        ),
        (
            wire.cancel_batch([ref("11"), ref("", "sor-2")], BTC),
            endpoints.CANCEL_BATCH,
            {"symbol": "BTC-USDT", "clientOrderIdList": '["sor-7f3a9c01","sor-2"]'},
        ),
        (wire.cancel_all(BTC), endpoints.CANCEL_ALL, {"symbol": "BTC-USDT"}),
        (wire.cancel_all(None), endpoints.CANCEL_ALL, {}),
        (
            wire.amend(ref(), BTC, qty_lots=5),
            endpoints.AMEND,
            {"symbol": "BTC-USDT", "orderId": "2000000000000000001", "quantity": "0.005"},
        ),
        (wire.open_orders(), endpoints.OPEN_ORDERS, {}),
        (wire.open_orders(BTC), endpoints.OPEN_ORDERS, {"symbol": "BTC-USDT"}),
        (
            wire.order_history(start_ms=1, end_ms=2),
            endpoints.ORDER_HISTORY,
            {"startTime": "1", "endTime": "2", "limit": "500"},
        ),
        (
            wire.fill_history(start_ms=1, end_ms=2, listing=BTC),
            endpoints.FILL_HISTORY,
            {"symbol": "BTC-USDT", "startTs": "1", "endTs": "2", "pageIndex": "1", "pageSize": "1000"},
        ),
        (wire.countdown(30), endpoints.COUNTDOWN, {"type": "ACTIVATE", "timeOut": "30"}),
        (wire.countdown(0), endpoints.COUNTDOWN, {"type": "CLOSE", "timeOut": "0"}),
        (wire.new_listen_key(), endpoints.LISTEN_KEY, {}),
        (wire.extend_listen_key("abc1"), endpoints.EXTEND_LISTEN_KEY, {"listenKey": "abc1"}),
        (wire.close_listen_key("abc1"), endpoints.CLOSE_LISTEN_KEY, {"listenKey": "abc1"}),
    ],
)
def test_every_signed_call(call: Call, endpoint: endpoints.Endpoint, expected: dict[str, str]) -> None:
    assert call.endpoint is endpoint
    assert endpoint.signed
    assert parameters(call) == expected
    target = call.target(now_ms=NOW_MS, signer=SIGNER)
    path, _, query = target.partition("?")
    sent, _, signature = query.rpartition("&signature=")
    assert path == endpoint.path
    assert unquote(sent) == call.text(NOW_MS)
    assert signature == hmac.new(SECRET.encode(), call.text(NOW_MS).encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("call", "target"),
    [
        (wire.server_time(), "/openApi/swap/v2/server/time"),
        (wire.contracts(), "/openApi/swap/v2/quote/contracts"),
        (wire.trading_rules(BTC), "/openApi/swap/v1/tradingRules?symbol=BTC-USDT"),
        (wire.depth(BTC, levels=20), "/openApi/swap/v2/quote/depth?limit=20&symbol=BTC-USDT"),
        (wire.trades(BTC, rows=10), "/openApi/swap/v2/quote/trades?limit=10&symbol=BTC-USDT"),
        (wire.premium_index(BTC), "/openApi/swap/v2/quote/premiumIndex?symbol=BTC-USDT"),
    ],
)
def test_every_public_call(call: Call, target: str) -> None:
    assert call.target(now_ms=NOW_MS, signer=SIGNER) == target
    assert call.endpoint.method == "GET"


def test_cancel_replace_names_the_old_order_and_all_of_the_new_one() -> None:
    new = order(cl_ord_id=ClOrdId("sor-2"), price_ticks=600_010)
    expected = {
        "symbol": "BTC-USDT",
        "side": "BUY",
        "positionSide": "BOTH",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "price": "60001.0",
        "quantity": "0.002",
        "clientOrderId": "sor-2",
    }
    strict = wire.cancel_replace(ref(), new, BTC)
    assert parameters(strict) == {
        **expected,
        "cancelOrderId": "2000000000000000001",
        "cancelReplaceMode": "STOP_ON_FAILURE",
    }
    loose = wire.cancel_replace(ref(""), new, BTC, even_if_not_canceled=True)
    assert parameters(loose) == {
        **expected,
        "cancelClientOrderId": "sor-7f3a9c01",
        "cancelReplaceMode": "ALLOW_FAILURE",
    }


def test_an_order_without_any_name_cannot_be_cancelled() -> None:
    with pytest.raises(CallerError, match="cannot be named"):
        wire.cancel(ref("", ""), BTC)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: wire.depth(BTC, levels=21),
        lambda: wire.trades(BTC, rows=1_001),
        lambda: wire.set_leverage(BTC, PositionSide.BOTH, 0),
        lambda: wire.set_leverage(BTC, PositionSide.BOTH, 151),
        lambda: wire.cancel_batch([], BTC),
        lambda: wire.cancel_batch([ref()] * 11, BTC),
        lambda: wire.amend(ref(), BTC, qty_lots=0),
        lambda: wire.order_history(start_ms=1, end_ms=2, rows=1_001),
        lambda: wire.fill_history(start_ms=2, end_ms=2, listing=BTC),
        lambda: wire.fill_history(start_ms=1, end_ms=2, listing=BTC, page=0),
        lambda: wire.countdown(9),
        lambda: wire.countdown(121),
        lambda: wire.cancel(ref("", "a&b"), BTC),
        lambda: wire.cancel(ref("", "a b"), BTC),
    ],
)
def test_out_of_bounds_is_refused(wrong: object) -> None:
    assert callable(wrong)
    with pytest.raises(CallerError, match="nothing was sent"):
        wrong()


def test_a_listen_key_that_is_none_is_not_shown() -> None:
    with pytest.raises(CallerError) as refused:
        wire.account_stream("secret key&x")
    assert "secret" not in str(refused.value)
    assert wire.account_stream("abc1") == "/swap-market?listenKey=abc1"


def test_frames_of_the_market_socket() -> None:
    sub = '{"id":"7","reqType":"sub","dataType":"BTC-USDT@incrDepth"}'
    assert wire.subscribe("BTC-USDT@incrDepth", request_id="7") == sub
    assert wire.unsubscribe("BTC-USDT@incrDepth", request_id="7") == sub.replace('"sub"', '"unsub"')
    assert wire.PONG == "Pong"


def test_endpoints_have_budgets() -> None:
    every = [one for one in vars(endpoints).values() if isinstance(one, endpoints.Endpoint)]
    assert len(every) == len({(one.method, one.path) for one in every}) == 29
    for one in every:
        assert one.per_s <= one.per_s_2026
        assert one.group in endpoints.IP_LIMITS
        assert (one.per_s > 0) or not one.signed


def test_each_contract_has_its_own_spelling() -> None:
    both = listings(contract(), contract("1000PEPE-USDT", pricePrecision=7, quantityPrecision=0, tradeMinQuantity=1))
    pepe = OrderWire(both.of(Symbol("1000PEPEUSDT")))
    sent = parameters(pepe.place(order(price_ticks=123, qty_lots=40)))
    assert (sent["symbol"], sent["price"], sent["quantity"]) == ("1000PEPE-USDT", "0.0000123", "40")
