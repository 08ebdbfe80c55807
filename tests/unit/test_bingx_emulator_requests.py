"""Keys, signatures, transports, limits and routes of the BingX emulator, as its pages describe them."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from sor.units import MS, NS
from tests.fakes.bingx_face import KEYS, START_NS, Face, Reply, sign
from venues.bingx.emulator.emulator import READ_ONLY_KEY, READ_ONLY_SECRET, EmulatorSettings
from venues.bingx.emulator.limits import Excess, Group, LimitRules, Limits, Pass, Stop
from venues.bingx.emulator.routes import ROUTES

KEY, SECRET = KEYS["one-way"]
ORDER = "/openApi/swap/v2/trade/order"
TERMS = {"symbol": "BTC-USDT", "side": "BUY", "positionSide": "BOTH", "type": "MARKET", "quantity": "0.01"}


def raw(face: Face, method: str, target: str, *, key: str = KEY, body: bytes = b"", kind: str = "") -> Reply:
    headers = {"X-BX-APIKEY": key} if key else {}
    if kind:
        headers["Content-Type"] = kind
    reply = face.send(method, target, body=body, headers=headers)
    assert reply is not None
    return reply


def stamp(face: Face) -> str:
    return str(face.app.exchange.now_ms())


def filled(reply: Reply) -> bool:
    return reply.at("order", "status") == "FILLED"


# --- the three ways of a POST -----------------------------------------------------------------------------------------


def test_a_query_is_verified_as_it_came_in_whatever_order() -> None:
    face = Face()
    for pairs in (
        [*TERMS.items(), ("timestamp", stamp(face))],
        sorted([*TERMS.items(), ("timestamp", stamp(face))]),
        [("timestamp", stamp(face)), *reversed(TERMS.items())],
    ):
        text = "&".join([f"{key}={value}" for key, value in pairs])
        assert filled(raw(face, "POST", f"{ORDER}?{text}&signature={sign(text, SECRET)}"))


def test_values_are_decoded_before_they_are_verified() -> None:
    face = Face()
    batch = json.dumps([TERMS])
    text = f"batchOrders={batch}&timestamp={stamp(face)}"
    target = f"/openApi/swap/v2/trade/batchOrders?batchOrders={quote(batch)}&timestamp={stamp(face)}"
    reply = raw(face, "POST", f"{target}&signature={sign(text, SECRET)}")
    assert reply.at("orders", 0, "status") == "FILLED"


def test_hex_in_capitals_passes() -> None:
    face = Face()
    text = "&".join([f"{key}={value}" for key, value in {**TERMS, "timestamp": stamp(face)}.items()])
    assert filled(raw(face, "POST", f"{ORDER}?{text}&signature={sign(text, SECRET).upper()}"))


def test_a_form_body_passes() -> None:
    face = Face()
    text = "&".join([f"{key}={value}" for key, value in {**TERMS, "timestamp": stamp(face)}.items()])
    body = f"{text}&signature={sign(text, SECRET)}".encode()
    assert filled(raw(face, "POST", ORDER, body=body, kind="application/x-www-form-urlencoded"))


@pytest.mark.parametrize("covers", ["plain", "encoded"])
def test_a_form_may_be_signed_plain_or_encoded_until_that_is_switched(covers: str) -> None:
    face = Face()
    batch = json.dumps([TERMS])
    encoded = f"batchOrders={quote(batch, safe='')}&timestamp={stamp(face)}"
    signed = encoded if covers == "encoded" else f"batchOrders={batch}&timestamp={stamp(face)}"
    body = f"{encoded}&signature={sign(signed, SECRET)}".encode()
    form = "application/x-www-form-urlencoded"
    path = "/openApi/swap/v2/trade/batchOrders"
    assert raw(face, "POST", path, body=body, kind=form).code == 0
    face.app.switch("form-encoded-signature")
    assert raw(face, "POST", path, body=body, kind=form).code == (0 if covers == "encoded" else 100001)


@pytest.mark.parametrize("in_order", [True, False])
def test_a_json_body_passes_signed_as_it_came_or_sorted(*, in_order: bool) -> None:
    face = Face()
    said: dict[str, object] = {**TERMS, "quantity": 0.01, "timestamp": int(stamp(face))}
    keys = list(said) if in_order else sorted(said)
    said["signature"] = sign("&".join([f"{key}={said[key]}" for key in keys]), SECRET)
    assert filled(raw(face, "POST", ORDER, body=json.dumps(said).encode(), kind="application/json"))


def test_the_published_vectors() -> None:
    secret = "demo-secret-not-real"
    one = (
        "clientOrderId=sor-7f3a9c01&positionSide=BOTH&price=60000.5&quantity=0.002&recvWindow=5000&side=BUY"
        "&symbol=BTC-USDT&timeInForce=IOC&timestamp=1760000000000&type=LIMIT"
    )
    assert sign(one, secret) == "57478848e2d4930e93c8c0b1b08a7181f691ebf8519599ab06f3c1b914d36604"


# --- who may not ------------------------------------------------------------------------------------------------------


def test_refusals_in_their_order() -> None:
    face = Face()
    now = stamp(face)
    path = "/openApi/swap/v2/user/positions"
    good = f"timestamp={now}"
    assert raw(face, "GET", f"{path}?{good}", key="").code == 100413
    assert raw(face, "GET", f"{path}?{good}", key="nobody").code == 100413
    assert raw(face, "GET", f"{path}?{good}").code == 100412
    assert raw(face, "GET", f"{path}?signature={sign('', SECRET)}").code == 100421
    assert raw(face, "GET", f"{path}?{good}&signature={sign(good, 'wrong')}").code == 100001
    assert raw(face, "GET", f"{path}?{good}&signature={sign(good, SECRET)}").code == 0
    assert [one.status for one in [raw(face, "GET", path, key="")]] == [200]


@pytest.mark.parametrize(
    ("off_ms", "window", "code"),
    [
        (-5_000, "", 0),
        (-5_001, "", 100421),
        (5_000, "", 0),
        (5_001, "", 100421),
        (-1_001, "1000", 100421),
        (-1_000, "1000", 0),
        (-5_001, "60000", 100421),
    ],
)
def test_the_window(off_ms: int, window: str, code: int) -> None:
    face = Face()
    text = f"recvWindow={window}&" if window else ""
    text += f"timestamp={START_NS // MS + off_ms}"
    reply = raw(face, "GET", f"/openApi/swap/v2/user/positions?{text}&signature={sign(text, SECRET)}")
    assert reply.code == code


def test_a_read_only_key_reads() -> None:
    face = Face()
    text = f"timestamp={stamp(face)}"
    tail = f"{text}&signature={sign(text, READ_ONLY_SECRET)}"
    assert raw(face, "GET", f"/openApi/swap/v2/user/positions?{tail}", key=READ_ONLY_KEY).code == 0
    assert raw(face, "POST", f"{ORDER}?{tail}", key=READ_ONLY_KEY).code == 100004


def test_a_listen_key_takes_the_key_alone_or_a_right_signature() -> None:
    face = Face()
    path = "/openApi/user/auth/userDataStream"
    key = raw(face, "POST", path).json["listenKey"]
    assert raw(face, "POST", f"{path}?timestamp={stamp(face)}&signature=00").code == 100001
    face.run(1_000)
    assert [raw(face, "PUT", f"{path}?listenKey={one}").status for one in (key, "gone")] == [200, 404]
    face.run(1_000)
    assert raw(face, "PUT", path).status == 204
    assert [raw(face, "DELETE", f"{path}?listenKey={key}").status for _ in range(2)] == [200, 404]


# --- routes -----------------------------------------------------------------------------------------------------------


def test_what_does_not_exist() -> None:
    face = Face()
    assert raw(face, "GET", "/openApi/swap/v2/trade/nothing").code == 100400
    assert raw(face, "PATCH", ORDER).code == 100404
    assert raw(face, "GET", "/elsewhere").status == 404


def test_every_route_answers_something_sensible_to_nothing() -> None:
    """No route falls over when nothing is said: an envelope with a code, or a listen key's own answers."""
    face = Face(EmulatorSettings(limits=LimitRules(users=False, addresses=False)))
    for route in ROUTES:
        if route.market is not None:
            reply = raw(face, route.method, route.path)
            assert reply.code in (0, 109400)
        else:
            reply = face.call(route.method, route.path)
            assert reply.status in (200, 204)
            assert not reply.raw.body or "listenKey" in reply.json or reply.code in (0, 101205, 109400, 109420)


def test_texts_of_bad_parameters() -> None:
    face = Face()
    assert face.public("v2/quote/depth", symbol="BTC-USDT", limit="7").code == 109400
    assert face.public("v2/quote/depth", symbol="NONE-USDT").code == 109425
    assert face.public("v2/quote/depth", symbol="PAUSED-USDT").code == 109415
    assert face.public("v2/quote/trades", symbol="BTC-USDT", limit="1001").code == 109400
    assert face.public("v2/quote/klines", symbol="BTC-USDT", interval="7m").code == 109400
    assert face.order(side="UP").code == 109400
    assert face.order(quantity="much").code == 109400
    assert face.order(quantity="1e400").code == 109400
    assert face.order("hedge").code == 109400
    assert face.order(positionSide="LONG").code == 109400
    face.run(1_000)
    assert face.order(stopLoss='{"type":"STOP"}').code == 109400
    assert face.call("DELETE", "v2/trade/order", symbol="BTC-USDT").code == 109400
    assert face.call("POST", "v2/trade/cancelAllAfter", type="ACTIVATE", timeOut=9).code == 109400


# --- limits -----------------------------------------------------------------------------------------------------------


def test_public_replies_say_what_is_left() -> None:
    face = Face()
    reply = face.public("v2/server/time")
    assert (reply.headers["x-ratelimit-requests-remain"], reply.headers["x-ratelimit-requests-expire"]) == (
        "499",
        "10000",
    )
    face.run(4_000)
    reply = face.public("v2/server/time")
    assert (reply.headers["x-ratelimit-requests-remain"], reply.headers["x-ratelimit-requests-expire"]) == (
        "498",
        "6000",
    )
    assert "x-ratelimit-requests-remain" not in face.call("GET", "v2/user/positions").headers


@pytest.mark.parametrize(
    ("excess", "status", "code"),
    [(Excess.OLD_CODE, 200, 100410), (Excess.NEW_CODE, 200, 109429), (Excess.HTTP, 429, 429)],
)
def test_a_call_too_many(excess: Excess, status: int, code: int) -> None:
    rules = LimitRules(excess=excess, pause_ns=2 * NS, ban_after=2, ban_ns=5 * NS)
    face = Face(EmulatorSettings(limits=rules))
    for _ in range(5):
        assert face.call("GET", "v2/trade/openOrders").code == 0
    over = face.call("GET", "v2/trade/openOrders")
    assert (over.status, over.code) == (status, code)
    assert f"unblocked after {START_NS // MS + 2_000}" in str(over.json["msg"])
    assert face.call("GET", "v2/trade/openOrders", "hedge").code == 0  # another user
    assert face.call("GET", "v2/user/positions").code == 0  # another endpoint
    face.call("GET", "v2/trade/openOrders")
    assert face.call("GET", "v2/trade/openOrders").status == 418
    assert face.public("v2/server/time").status == 418
    face.run(5_000)
    assert face.call("GET", "v2/trade/openOrders").code == 0


def test_figures_of_2025() -> None:
    face = Face(EmulatorSettings(limits=LimitRules(oldest=True)))
    codes = [face.order(quantity="0.0001").code for _ in range(6)]
    assert codes == [0, 0, 0, 0, 0, 100410]


def test_an_address_has_500_public_calls_in_ten_seconds() -> None:
    limits = Limits(LimitRules())

    def ask(endpoint: str, now_ns: int) -> Pass | Stop:
        return limits.ask(
            host="a", account="", endpoint=endpoint, group=Group.MARKET, per_s=0, now_ns=now_ns, shown=True
        )

    assert all(isinstance(ask("one", 0), Pass) for _ in range(300))
    assert all(isinstance(ask("two", NS), Pass) for _ in range(200))
    assert ask("two", NS) == Stop(until_ns=301 * NS, banned=False)
    limits.forgive()
    assert ask("two", NS) == Pass(remain=499, expire_ms=10_000)


def test_what_is_not_enforced_is_only_shown() -> None:
    face = Face(EmulatorSettings(limits=LimitRules(users=False, addresses=False)))
    replies = [face.public("v2/server/time") for _ in range(600)]
    assert {one.status for one in replies} == {200}
    assert [one.headers["x-ratelimit-requests-remain"] for one in replies[498:502]] == ["1", "0", "0", "0"]
    assert {face.call("GET", "v2/trade/openOrders").code for _ in range(400)} == {0}
