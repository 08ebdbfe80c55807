"""What the emulator says has the shape of what was recorded, and our own readers understand all of it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from sor.orders import OrdStatus, Side
from sor.units import NS
from tests.fakes.bingx_face import START_NS, Face, Reply
from venues.bingx import account, fills, listings, market, orders, push
from venues.bingx.emulator.emulator import EmulatorSettings
from venues.bingx.emulator.limits import LimitRules

NO_LIMITS = EmulatorSettings(limits=LimitRules(users=False, addresses=False))


def kind(value: object) -> str:
    """The JSON type of a value; the bool first, which Python counts among the integers."""
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def missing(recorded: object, ours: object, where: str = "") -> Iterator[str]:
    """What was recorded and is not here, or is of another type; ours may say more."""
    if kind(recorded) != kind(ours):
        yield f"{where}: {kind(recorded)} was recorded, here is {kind(ours)}"
    elif isinstance(recorded, dict) and isinstance(ours, dict):
        for key, value in recorded.items():
            if key in ours:
                yield from missing(value, ours[key], f"{where}/{key}")
            else:
                yield f"{where}/{key} is not here"
    elif isinstance(recorded, list) and isinstance(ours, list) and recorded:
        if not ours:
            yield f"{where}: empty here"
        for row in ours[:3]:
            yield from missing(recorded[0], row, f"{where}[]")


def test_differences_are_found() -> None:
    assert list(missing({"a": "1", "b": [{"c": 1}]}, {"a": 1, "b": [{"d": 1}], "e": 0})) == [
        "/a: string was recorded, here is number",
        "/b[]/c is not here",
    ]


@pytest.fixture(scope="module")
def recorded(recordings: Path) -> dict[str, str]:
    with gzip.open(recordings / "bingx-messages" / "bingx_messages.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    return {row["origin_path"].rpartition("/")[2].removesuffix(".txt"): row["text"] for row in rows}


def lived_in() -> Face:
    """An emulator in which something has happened: a trade, a position in each mode, an ended and an open order."""
    face = Face(NO_LIMITS)
    face.run(1_000)
    face.order(clientOrderId="bought-1")
    face.order("hedge", positionSide="LONG", quantity="0.02")
    face.order(type="LIMIT", price="59000", clientOrderId="open-1")
    face.run(1_000)
    return face


def answers(face: Face) -> dict[str, Reply]:
    """An answer of ours for each endpoint that was recorded and is emulated."""
    resting = {"type": "LIMIT", "price": "58000", "quantity": "0.01", "side": "BUY", "symbol": "BTC-USDT"}
    replaced = face.order(**{**resting, "positionSide": "BOTH"}).at("order", "orderId")
    amended = face.order(**{**resting, "positionSide": "BOTH"}).at("order", "orderId")
    listed = [face.order(**{**resting, "positionSide": "BOTH"}).at("order", "orderId") for _ in range(2)]
    batch = json.dumps([{**resting, "positionSide": "BOTH", "type": "MARKET"}])
    now_ms = face.app.exchange.now_ms()
    return {
        "GetBookTicker": face.public("v2/quote/bookTicker", symbol="BTC-USDT"),
        "GetFundingRate": face.public("v2/quote/premiumIndex", symbol="BTC-USDT"),
        "GetKlines": face.public("v3/quote/klines", symbol="BTC-USDT", interval="1h"),
        "GetMarkPriceKlines": face.public("v1/market/markPriceKlines", symbol="BTC-USDT", interval="1m"),
        "GetOrderBook": face.public("v2/quote/depth", symbol="BTC-USDT", limit="5"),
        "GetTicker": face.public("v2/quote/ticker", symbol="BTC-USDT"),
        "GetOpenOrders": face.call("GET", "v2/trade/openOrders"),
        "GetOrders": face.call("GET", "v1/trade/fullOrder", startTime=0, endTime=now_ms, limit=10),
        "PlaceMultipleOrder": face.call("POST", "v2/trade/batchOrders", batchOrders=batch),
        "PlaceTestOrder": face.call("POST", "v2/trade/order/test", **{**resting, "positionSide": "BOTH"}),
        "EditOrder": face.call("POST", "v1/trade/amend", symbol="BTC-USDT", orderId=amended, quantity="0.02"),
        "CancelReplaceOrder": face.call(
            "POST",
            "v1/trade/cancelReplace",
            **{**resting, "positionSide": "BOTH", "price": "57000"},
            cancelOrderId=replaced,
            cancelReplaceMode="STOP_ON_FAILURE",
        ),
        "CancelMultipleOrder": face.call(
            "DELETE", "v2/trade/batchOrders", symbol="BTC-USDT", orderIdList=json.dumps(listed)
        ),
        "CancelAllOrder": face.call("DELETE", "v2/trade/allOpenOrders", symbol="BTC-USDT"),
        "CloseAllPositions": face.call("POST", "v2/trade/closeAllPositions", "hedge"),
    }


# Recorded and not emulated: TWAP orders and the history of positions.
NOT_EMULATED = {"GetClosedTwapOrders", "GetTwapOrder", "GetPositionHistory"}


def test_answers_have_the_recorded_shapes(recorded: dict[str, str]) -> None:
    face = lived_in()
    ours = answers(face)
    endpoints = {name for name, text in recorded.items() if not text.startswith(">")}
    assert endpoints == set(ours) | NOT_EMULATED
    for name, reply in ours.items():
        body = json.loads("".join(recorded[name].splitlines()[3:]))
        body.pop("timestamp", None)  # one endpoint was seen with a time of 0 beside its code
        assert list(missing(body, reply.json, name)) == []


def test_pushes_have_the_recorded_shapes(recorded: dict[str, str]) -> None:
    topics = {name: text for name, text in recorded.items() if text.startswith(">")}
    for name, text in topics.items():
        face = lived_in()
        socket = face.market_socket()
        pushed = [line.lstrip("=12 \n") for line in text.splitlines() if "dataType" in line and "reqType" not in line]
        for number, line in enumerate(pushed):
            message = json.loads(line)
            # The suffix of 100 ms ended in June 2025.
            topic = message["dataType"].replace("@100ms", "@200ms")
            socket.subscribe(topic, str(number))
            face.order(symbol="ETH-USDT", quantity="0.1")
            face.run(1_100)
            news = socket.news()
            ack = next(one for one in news if one.get("id") == str(number))
            assert list(missing({"id": "", "code": 0, "msg": ""}, ack, name)) == []
            data = next(one for one in news if one.get("dataType") == topic)
            assert list(missing(message, data, name)) == []


def test_our_readers_understand_every_answer() -> None:
    face = lived_in()
    known = listings.read_listings(face.public("v2/quote/contracts").raw.body)
    btc = known.stated("BTC-USDT")
    recv_ns = START_NS
    assert account.read_server_time(face.public("v2/server/time").raw.body) == face.time.now_ns()
    listings.read_trading_rules(face.public("v1/tradingRules", symbol="BTC-USDT").raw.body)
    depth = market.read_depth(face.public("v2/quote/depth", symbol="BTC-USDT", limit="5").raw.body, btc, recv_ns)
    assert depth.bids[0] == (599_999, 1_000)
    assert len(market.read_trades(face.public("v2/quote/trades", symbol="BTC-USDT").raw.body, btc, recv_ns)) == 2
    market.read_premium_index(face.public("v2/quote/premiumIndex", symbol="BTC-USDT").raw.body, btc, recv_ns)

    balances = account.read_balances(face.call("GET", "v3/user/balance").raw.body)
    assert balances == account.read_balances(face.call("GET", "v2/user/balance").raw.body)
    assert balances["USDT"].balance == Decimal("99999.7000")
    held = account.read_positions(face.call("GET", "v2/user/positions").raw.body, known)
    assert [one.qty_lots for one in held.held] == [100]
    assert account.read_position_mode(face.call("GET", "v1/positionSide/dual").raw.body) is False
    account.read_leverage(face.call("GET", "v2/trade/leverage", symbol="BTC-USDT").raw.body)
    asked = {"symbol": "ETH-USDT", "side": "BOTH", "leverage": 7}
    assert account.read_leverage_set(face.call("POST", "v2/trade/leverage", **asked).raw.body) == 7
    armed = account.read_countdown(face.call("POST", "v2/trade/cancelAllAfter", type="ACTIVATE", timeOut=10).raw.body)
    assert armed.trigger_ns == face.time.now_ns() + 10 * NS
    account.read_fees(face.call("GET", "v2/user/commissionRate").raw.body)
    assert account.read_listen_key(face.call("POST", "/openApi/user/auth/userDataStream").raw.body)
    face.app.switch("listen-key-wrapped")
    assert account.read_listen_key(face.call("POST", "/openApi/user/auth/userDataStream").raw.body)

    acked = orders.read_ack(face.order(clientOrderId="read-1").raw.body, known, recv_ns)
    assert (acked.status, acked.cum_lots, acked.cl_ord_id) == (OrdStatus.FILLED, 100, "read-1")
    name = {"symbol": "BTC-USDT", "clientOrderId": "read-1"}
    found = orders.read_order(face.call("GET", "v2/trade/order", **name).raw.body, known, recv_ns)
    assert (found.status, found.cum_lots, found.side) == (OrdStatus.FILLED, 100, Side.BUY)
    opened = orders.read_orders(face.call("GET", "v2/trade/openOrders").raw.body, known, recv_ns)
    assert [one.cl_ord_id for one in opened.orders] == ["open-1"]
    now_ms = face.app.exchange.now_ms()
    span = {"startTs": now_ms - 60_000, "endTs": now_ms, "symbol": "BTC-USDT"}
    rows = fills.read_fills(face.call("GET", "v2/trade/fillHistory", **span).raw.body, known, recv_ns)
    assert len(rows.fills) == 2


def test_our_readers_understand_every_frame() -> None:
    face = lived_in()
    known = listings.read_listings(face.public("v2/quote/contracts").raw.body)
    for mode in ("one-way", "hedge"):
        socket = face.account_socket(mode)
        face.app.switch("snapshot-noise")
        side = "BOTH" if mode == "one-way" else "SHORT"
        face.order(mode, side="SELL", positionSide=side, quantity="0.005")
        face.order(mode, side="SELL", positionSide=side, type="LIMIT", price="60500")
        face.call("DELETE", "v2/trade/allOpenOrders", mode)
        wanted = {"symbol": "ETH-USDT", "side": "BOTH" if mode == "one-way" else "LONG", "leverage": 7}
        face.call("POST", "v2/trade/leverage", mode, **wanted)
        face.run(5_100)
        face.app.switch("expire-listen-keys")
        read = [
            push.read_push(message, known, hedge=mode == "hedge", recv_ns=at_ns)
            for at_ns, message in socket.wire.frames
        ]
        kinds = {type(one) for one in read}
        expected = {push.OrderPush, push.AccountPush, push.ConfigPush, push.Noise, push.KeyExpired, market.Ping}
        assert kinds >= expected
        told = [one.execution for one in read if isinstance(one, push.OrderPush)]
        ended = ["CANCELED"] * (2 if mode == "one-way" else 1)
        assert told == ["NEW", "TRADE", "NEW", *ended]


def test_our_readers_understand_every_topic() -> None:
    face = lived_in()
    known = listings.read_listings(face.public("v2/quote/contracts").raw.body)
    socket = face.market_socket()
    topics = ("incrDepth", "trade", "markPrice", "depth20@500ms", "bookTicker", "lastPrice", "ticker", "kline_1m")
    for number, topic in enumerate(topics):
        socket.subscribe(f"BTC-USDT@{topic}", str(number))
    face.run(600)
    face.order()
    face.run(1_000)
    frames = [market.read_frame(message) for _, message in socket.wire.frames]
    answered = [one for one in frames if isinstance(one, market.TopicAnswer)]
    assert [(one.request_id, one.code) for one in answered] == [(str(number), 0) for number in range(len(topics))]
    told = [one for one in frames if isinstance(one, market.TopicData)]
    assert {one.topic for one in told} == {f"BTC-USDT@{topic}" for topic in topics}
    for one in told:
        if one.topic.partition("@")[2] in topics[:4]:  # those that we read
            assert market.read_topic(one, known.stated("BTC-USDT"), START_NS)
