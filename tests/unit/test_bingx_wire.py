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
from sor.orders import OrdType, PositionSide, RejectKind, Side, Tif
from tests.fakes.bingx import answer, btc, contract, listings
from venues.bingx import endpoints, wire
from venues.bingx.account import read_leverage
from venues.bingx.dialect import BingxDialect, endpoint_name, failure_of, group_name, limits, reading, units, verdict_of
from venues.bingx.errors import Asked, Cause, Outcome, judge_answer, judge_code
from venues.bingx.wire import Call, OrderWire
from venues.plumbing.budget import Budget, Priority
from venues.plumbing.client import Fate, Trouble, Usage
from venues.plumbing.keys import HmacSha256, Secret
from venues.plumbing.transport import WireReply
from venues.plumbing.verdict import Failure, Kind

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
DIALECT = BingxDialect(api_key=Secret(KEY), secret=Secret(SECRET))
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


def text(call: Call) -> str:
    """What is signed at `NOW_MS`."""
    return call.params.replace("timestamp=", f"timestamp={NOW_MS}")


def target(call: Call, dialect: BingxDialect = DIALECT) -> str:
    """Path and query at `NOW_MS`."""
    endpoint = call.endpoint
    return dialect.target(path=endpoint.path, params=call.params, signed=endpoint.signed, venue_ms=NOW_MS)


def hmac_hex(signed: str) -> str:
    """The signature, by the standard library."""
    return hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).hexdigest()


def parameters(call: Call) -> dict[str, str]:
    """What is signed, without what every signed call has."""
    pairs = dict(parse_qsl(text(call), strict_parsing=True))
    assert pairs.pop("timestamp") == str(NOW_MS)
    assert pairs.pop("recvWindow") == "5000"
    return pairs


@pytest.mark.parametrize(("signed", "signature"), [(S1, S1_SIGNED), (S2, S2_SIGNED)])
def test_signature_vectors(signed: str, signature: str) -> None:
    params = signed.replace(f"timestamp={NOW_MS}", "timestamp=")
    sent = DIALECT.target(path="/x", params=params, signed=True, venue_ms=NOW_MS)
    assert sent.endswith(f"&signature={signature}")
    assert unquote(sent) == f"/x?{signed}&signature={signature}"


def test_b4_another_receive_window_is_signed_and_sent() -> None:
    dialect = BingxDialect(api_key=Secret(KEY), secret=Secret(SECRET), recv_window_ms=3_000)
    sent = dialect.target(path="/x", params="a=1&recvWindow=5000&timestamp=", signed=True, venue_ms=NOW_MS)
    signed, _, signature = sent.removeprefix("/x?").partition("&signature=")
    assert signed == f"a=1&recvWindow=3000&timestamp={NOW_MS}"
    assert signature == HmacSha256(Secret(SECRET)).hex(signed.encode())


def test_an_order_as_it_goes_out() -> None:
    call = ORDERS.place(order(tif=Tif.IOC))
    assert text(call) == S1
    endpoint = call.endpoint
    assert endpoint is endpoints.PLACE
    request = DIALECT.request(
        method=endpoint.method, path=endpoint.path, params=call.params, signed=True, venue_ms=NOW_MS, deadline_ns=7
    )
    assert request.method == "POST"
    assert request.target == f"/openApi/swap/v2/trade/order?{S1}&signature={S1_SIGNED}".encode()
    assert (request.headers, request.body, request.deadline_ns) == (((b"X-BX-APIKEY", KEY.encode()),), b"", 7)


def test_secrets_are_not_shown() -> None:
    assert KEY not in repr(DIALECT)
    assert SECRET not in repr(DIALECT)
    public = DIALECT.request(method="GET", path="/x", params="", signed=False, venue_ms=1, deadline_ns=1)
    assert (public.headers, public.target) == ((), b"/x")  # the key goes only where it is needed


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
    keys = [key for key, _ in parse_qsl(text(call))]
    assert keys == sorted(keys)
    assert ORDERS.place(order(**terms)) == call  # now from its template
    test = ORDERS.test(order(**terms))
    assert (test.endpoint, test.params) == (endpoints.PLACE_TEST, call.params)


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
    query = target(call).partition("?")[2]
    sent, _, signature = query.rpartition("&signature=")
    assert signature == hmac_hex(text(call))
    assert unquote(sent) == text(call)
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
    path, _, query = target(call).partition("?")
    sent, _, signature = query.rpartition("&signature=")
    assert path == endpoint.path
    assert unquote(sent) == text(call)
    assert signature == hmac_hex(text(call))


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (wire.server_time(), "/openApi/swap/v2/server/time"),
        (wire.contracts(), "/openApi/swap/v2/quote/contracts"),
        (wire.trading_rules(BTC), "/openApi/swap/v1/tradingRules?symbol=BTC-USDT"),
        (wire.depth(BTC, levels=20), "/openApi/swap/v2/quote/depth?limit=20&symbol=BTC-USDT"),
        (wire.trades(BTC, rows=10), "/openApi/swap/v2/quote/trades?limit=10&symbol=BTC-USDT"),
        (wire.premium_index(BTC), "/openApi/swap/v2/quote/premiumIndex?symbol=BTC-USDT"),
    ],
)
def test_every_public_call(call: Call, expected: str) -> None:
    assert target(call) == expected
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


# --- what the shared client needs ------------------------------------------------------------------------------------


def test_endpoints_have_budgets() -> None:
    every = endpoints.ALL
    assert list(every) == [one for one in vars(endpoints).values() if isinstance(one, endpoints.Endpoint)]
    assert len(every) == len({endpoint_name(one) for one in every}) == 31
    for one in every:
        assert one.per_s <= one.per_s_2026
        assert (one.per_s > 0) or not one.signed
    for newest in (False, True):
        budget = Budget(limits(newest=newest))
        for one in every:
            assert budget.take(budget.cost(units(one)), Priority.READ, 0) == 0


def test_the_order_endpoint_keeps_room_for_what_reduces() -> None:
    budget = Budget(limits())
    cost = budget.cost(units(endpoints.PLACE))
    assert [budget.take(cost, Priority.OPEN, 0) > 0 for _ in range(5)] == [False, False, False, False, True]
    assert budget.take(cost, Priority.REDUCE, 0) == 0
    assert budget.take(budget.cost(units(endpoints.CANCEL)), Priority.CANCEL, 0) == 0


def reply(body: bytes = b"", **headers: str) -> WireReply:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return WireReply(status=200, headers=named, body=body, sent_ns=0, recv_ns=1_760_000_000_000_000_000)


def test_what_headers_say_of_the_rate_limit() -> None:
    found = reply(b"", X_RateLimit_Requests_Remain="499", X_RateLimit_Requests_Expire="9990")
    expected = Usage(limit="ip-market", remaining=499, ends_in_ns=9_990_000_000)
    assert list(DIALECT.usage(found)) == [expected]
    assert list(DIALECT.usage(reply())) == []
    assert list(DIALECT.usage(reply(b"", X_RateLimit_Requests_Remain="-1"))) == []
    Budget(limits()).observe_remaining(expected.limit, 499, 0)  # there is such a limit


def test_a_reader_for_the_client() -> None:
    read = reading(endpoints.LEVERAGE, Asked.READ, lambda body, recv_ns: read_leverage(body))
    good = answer({"longLeverage": 3, "shortLeverage": 3})
    assert read(reply(body=good)) == read_leverage(good)
    broken = read(reply(body=answer({"longLeverage": 3})))
    assert isinstance(broken, Failure)
    assert (broken.kind, broken.code) == (Kind.UNSURE, "unreadable")
    refused = read(reply(body=answer({}, code=100413, msg="Incorrect apiKey")))
    assert refused == Failure(kind=Kind.REFUSED, code="100413", text="Incorrect apiKey")
    key = reading(endpoints.LISTEN_KEY, Asked.SETTING, lambda body, recv_ns: recv_ns, enveloped=False)
    assert key(reply()) == 1_760_000_000_000_000_000


UNTIL = "will be unblocked after 1760000007000"


@pytest.mark.parametrize(
    ("code", "text", "kind", "wait_ns", "names"),
    [
        (101204, "Insufficient margin", Kind.REFUSED, 0, ()),
        (100421, "timestamp", Kind.SKEWED, 0, ()),
        (109500, "busy", Kind.UNSURE, 0, ()),
        (123456, "?", Kind.UNSURE, 0, ()),
        (101214, "settling", Kind.REFUSED, 0, ()),
        (109429, "slow", Kind.THROTTLED, 300_000_000_000, ("POST /openApi/swap/v2/trade/order",)),
        (100410, UNTIL, Kind.THROTTLED, 7_000_000_000, ("POST /openApi/swap/v2/trade/order",)),
    ],
)
def test_verdicts_in_the_words_of_the_client(
    code: int, text: str, kind: Kind, wait_ns: int, names: tuple[str, ...]
) -> None:
    verdict = judge_code(code=code, text=text, asked=Asked.PLACE)
    found = failure_of(verdict, endpoints.PLACE, recv_ns=1_760_000_000_000_000_000)
    assert found == Failure(kind=kind, code=str(code), text=text, wait_ns=wait_ns, limits=names)


def test_a_ban_stops_everything_and_a_public_limit_its_group() -> None:
    banned = judge_answer(status=418, body=b"", asked=Asked.READ)
    slow = judge_answer(status=429, body=b"", asked=Asked.READ)
    assert banned is not None
    assert slow is not None
    assert failure_of(banned, endpoints.DEPTH, recv_ns=0).limits == ()
    assert failure_of(slow, endpoints.DEPTH, recv_ns=0).limits == (group_name(endpoints.IpGroup.MARKET),)


@pytest.mark.parametrize(
    ("fate", "code", "outcome", "reject", "cause"),
    [
        (Fate.NOT_SENT, "unreachable", Outcome.NOT_SENT, RejectKind.OTHER, Cause.TRANSPORT),
        (Fate.IN_DOUBT, "timeout", Outcome.IN_DOUBT, RejectKind.OTHER, Cause.TRANSPORT),
        (Fate.IN_DOUBT, "109500", Outcome.IN_DOUBT, RejectKind.OTHER, Cause.TRANSPORT),
        (Fate.RATE_LIMITED, "", Outcome.RETRY_LATER, RejectKind.RATE_LIMITED, Cause.RATE),
        (Fate.RATE_LIMITED, "http 418", Outcome.RETRY_LATER, RejectKind.RATE_LIMITED, Cause.BAN),
        (Fate.RATE_LIMITED, "100410", Outcome.RETRY_LATER, RejectKind.RATE_LIMITED, Cause.RATE),
        (Fate.REFUSED, "101204", Outcome.REFUSED, RejectKind.NO_MARGIN, Cause.FUNDS),
        (Fate.REFUSED, "http 404", Outcome.REFUSED, RejectKind.BAD_TERMS, Cause.TERMS),
    ],
)
def test_what_the_client_ended_with_as_a_verdict(
    fate: Fate, code: str, outcome: Outcome, reject: RejectKind, cause: Cause
) -> None:
    verdict = verdict_of(Trouble(fate=fate, name="order", code=code, text="words"), Asked.PLACE)
    text = "words" if code else "not sent: words"  # our own budget held it back
    assert (verdict.outcome, verdict.reject, verdict.cause, verdict.text) == (outcome, reject, cause, text)
    if fate is not Fate.NOT_SENT:
        assert verdict.code == (code or "rate_limited")


def test_each_contract_has_its_own_spelling() -> None:
    both = listings(contract(), contract("1000PEPE-USDT", pricePrecision=7, quantityPrecision=0, tradeMinQuantity=1))
    pepe = OrderWire(both.of(Symbol("1000PEPEUSDT")))
    sent = parameters(pepe.place(order(price_ticks=123, qty_lots=40)))
    assert (sent["symbol"], sent["price"], sent["quantity"]) == ("1000PEPE-USDT", "0.0000123", "40")
