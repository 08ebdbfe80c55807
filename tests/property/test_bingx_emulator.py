"""Whatever comes in, the BingX emulator answers in its envelope and its books stay right."""

from __future__ import annotations

from string import printable

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.bingx_face import KEYS, Face
from venues.bingx.emulator.audit import audit
from venues.bingx.emulator.emulator import EmulatorSettings
from venues.bingx.emulator.fault_table import FAULTS
from venues.bingx.emulator.limits import LimitRules
from venues.bingx.emulator.routes import ROUTES, Route

FREE = EmulatorSettings(limits=LimitRules(users=False, addresses=False))
NAMES = """
symbol side positionSide type quantity quoteOrderQty price timeInForce reduceOnly clientOrderId clientOrderID orderId
batchOrders orderIdList clientOrderIdList cancelReplaceMode cancelOrderId cancelClientOrderId cancelRestrictions limit
interval startTime endTime startTs endTs pageIndex pageSize lastFillId tradingUnit leverage marginType dualSidePosition
timeOut incomeType listenKey positionId fromId recvWindow assetMode currency
"""
VALUES = """
BTC-USDT ETH-USDT PAUSED-USDT NONE-USDT BUY SELL BOTH LONG SHORT MARKET LIMIT STOP GTC IOC FOK PostOnly true false 0 1
-1 0.01 0.0001 3 100 60000 59999.9 60000.1 1e9 1e-9 1e25 NaN Infinity 99999999999999999999 STOP_ON_FAILURE ALLOW_FAILURE
ONLY_NEW ACTIVATE CLOSE COIN 1m 1M 1d CROSSED SEPARATE_ISOLATED a-1 A-1 [1,2] [] {} [{}] null
"""
SENSIBLE = {
    "symbol": "BTC-USDT",
    "side": "BUY",
    "positionSide": "BOTH",
    "type": "LIMIT",
    "quantity": "0.01",
    "price": "60000.1",
    "interval": "1m",
    "startTs": "1759999000000",
    "endTs": "1760000060000",
    "tradingUnit": "COIN",
    "limit": "5",
    "cancelReplaceMode": "ALLOW_FAILURE",
    "cancelClientOrderId": "a-1",
    "clientOrderId": "a-1",
}
BATCH = '[{"symbol":"BTC-USDT","side":"BUY","positionSide":"BOTH","type":"LIMIT","quantity":0.01,"price":59000}]'
parameters = st.dictionaries(
    st.sampled_from(NAMES.split()),
    st.one_of(st.sampled_from([*VALUES.split(), BATCH]), st.text(printable, max_size=12)),
    max_size=5,
)
calls = st.lists(
    st.tuples(
        st.sampled_from(ROUTES),
        st.sampled_from(list(KEYS)),
        st.sampled_from([SENSIBLE, {}]),
        parameters,
        st.integers(0, 1_500),
    ),
    max_size=25,
)


@settings(max_examples=40)
@given(calls)
def test_signed_nonsense_is_answered_and_changes_no_rule(
    said: list[tuple[Route, str, dict[str, str], dict[str, str], int]],
) -> None:
    face = Face(FREE)
    sockets = [face.market_socket(), *(face.account_socket(account) for account in KEYS)]
    for route, account, sensible, values, wait_ms in said:
        [reply] = face.start(route.method, route.path, account, **{**sensible, **values})
        assert reply.status in (200, 204, 404)
        if reply.raw.body:
            found = reply.json
            assert "listenKey" in found or isinstance(found["code"], int)
        face.run(wait_ms)
    assert audit(face.app.exchange).broken == ()
    for socket in sockets:
        socket.news()


@settings(max_examples=100)
@given(st.binary(max_size=200), st.sampled_from(["", "application/json", "application/x-www-form-urlencoded"]))
def test_any_body_is_answered(body: bytes, kind: str) -> None:
    face = Face(FREE, market=False)
    for query in ("", "?timestamp=x&signature=%zz&=&&a"):
        reply = face.send(
            "POST",
            f"/openApi/swap/v2/trade/order{query}",
            body=body,
            headers={"X-BX-APIKEY": KEYS["one-way"][0], "Content-Type": kind},
        )
        assert reply is not None
        assert reply.code in (100412, 100421, 109400)


@settings(max_examples=100)
@given(st.one_of(st.text(max_size=40), st.text(printable, max_size=80)))
def test_any_frame_is_survived(text: str) -> None:
    face = Face(FREE)
    for socket in (face.market_socket(), face.account_socket()):
        socket.say(text)
        socket.subscribe(text)
        socket.say(msgspec.json.encode({"id": text, "reqType": text, "dataType": [text]}).decode())
        face.run(1_000)
        assert socket.wire.ended == ""


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(st.sampled_from(list(FAULTS)), st.sampled_from(["", "=count=1", "=p=0.5", "=after=1"])), max_size=6
    )
)
def test_any_mix_of_faults_keeps_the_books_right(switched: list[tuple[str, str]]) -> None:
    face = Face(FREE)
    face.account_socket()
    face.market_socket().subscribe("BTC-USDT@incrDepth")
    for name, args in switched:
        needs = "symbol=ETH-USDT" if name == "symbol-paused" else ""
        text = f"{name}{args}{',' if args and needs else '=' if needs else ''}{needs}"
        face.app.switch(text)
    for number in range(4):
        terms = {"symbol": "BTC-USDT", "side": "BUY", "positionSide": "BOTH", "type": "LIMIT", "quantity": "0.01"}
        terms |= {"price": "60000.1" if number % 2 else "59000", "clientOrderId": f"n{number}"}
        face.start("POST", "v2/trade/order", **terms)
        face.start("DELETE", "v2/trade/order", symbol="BTC-USDT", clientOrderId=f"n{number}")
        face.start("GET", "v2/trade/openOrders")
        face.run(1_500)
    assert audit(face.app.exchange).broken == ()
