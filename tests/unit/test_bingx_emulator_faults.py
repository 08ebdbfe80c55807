"""Every fault of the BingX emulator by name: what it does, and how it is switched, filtered and documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from sor.errors import CallerError
from sor.units import MS, NS
from tests.conftest import REPO
from tests.fakes.bingx_face import START_NS, Face, Reply
from venues.bingx.emulator.fault_table import FAULTS, Kind
from venues.bingx.emulator.faults import Faults, fault_help, manual, read_fault
from venues.emulation.faults import KINDS, Reset

TERMS = {"symbol": "BTC-USDT", "side": "BUY", "positionSide": "BOTH", "type": "MARKET", "quantity": "0.01"}


def live_ids(face: Face) -> list[str]:
    """Client ids of every order that the exchange ever took."""
    return [one.client_id for account in face.app.exchange.accounts.values() for one in account.orders.values()]


def post(face: Face, client_id: str = "x", **terms: object) -> list[Reply]:
    return face.start("POST", "v2/trade/order", **{**TERMS, "clientOrderId": client_id, **terms})


# --- the registry -----------------------------------------------------------------------------------------------------


def test_the_page_is_made_of_the_registry() -> None:
    page = REPO / "venues" / "bingx" / "emulator" / "faults.md"
    assert page.read_text(encoding="utf-8") == manual(), "write it anew: venues.bingx.emulator.faults.manual()"


def test_every_fault_is_tested_by_name() -> None:
    tests = "".join(
        [path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_bingx_emulator_*.py")]
    )
    untested = [name for name in FAULTS if f'"{name}' not in tests]
    assert untested == []


def test_the_command_line_lists_bytes_too() -> None:
    names = [one.name for one in fault_help()]
    assert names == [*FAULTS, *KINDS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nonsense", "no fault 'nonsense'"),
        ("-nonsense", "no fault 'nonsense'"),
        ("answer-late=ms", "key=value"),
        ("answer-late=size=3", "key=value"),
        ("answer-late=ms=soon", "a whole number"),
        ("answer-late=ms=-5", "a whole number"),
        ("answer-late=p=2", "from 0 to 1"),
        ("answer-http=status=200", "one of 504"),
        ("symbol-paused", "needs symbol"),
    ],
)
def test_what_cannot_be_switched(text: str, why: str) -> None:
    face = Face()
    with pytest.raises(CallerError, match=why):
        face.app.switch(text)
    assert face.app.faults.active() == {}


def test_counts_skips_filters_and_ends() -> None:
    now = [0]
    faults = Faults(lambda: now[0])
    faults.switch("push-drop=count=2,after=1,on=TRADE,symbol=BTC-USDT")

    def hit(on: str = "UPDATE TRADE", symbol: str = "BTC-USDT") -> bool:
        return faults.strikes("push-drop", on=on, symbol=symbol) is not None

    assert [hit("UPDATE NEW"), hit(symbol="ETH-USDT"), hit(), hit(), hit(), hit()] == [False] * 3 + [True] * 2 + [False]
    assert faults.active() == {}
    assert faults.struck() == {"push-drop": 2}
    faults.switch("push-drop=for_ms=5")
    assert hit()
    now[0] = 5 * MS
    assert not hit()
    faults.switch("push-drop")
    faults.switch("-push-drop")
    assert not hit()


def test_chance_is_the_seeds() -> None:
    def course(seed: int) -> list[bool]:
        faults = Faults(lambda: 0)
        faults.switch(f"push-drop=p=0.3,seed={seed}")
        return [faults.strikes("push-drop") is not None for _ in range(400)]

    assert course(1) == course(1)
    assert course(1) != course(2)
    assert 90 <= sum(course(1)) <= 150


# --- orders whose answer goes astray ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("answer-http", 504, None),
        ("answer-http=status=502", 502, None),
        ("answer-busy", 200, 109500),
        ("answer-busy=code=110500", 200, 110500),
    ],
)
def test_carried_out_and_answered_wrongly(fault: str, status: int, code: int | None) -> None:
    face = Face()
    face.app.switch(fault)
    [reply] = post(face)
    assert reply.status == status
    assert (reply.code if status == 200 else None) == code
    assert live_ids(face) == ["x"]


def test_carried_out_and_answered_late() -> None:
    face = Face()
    face.app.switch("answer-late=ms=700")
    replies = post(face)
    assert (replies, live_ids(face)) == ([], ["x"])
    face.run(1_000)
    assert [one.at_ns for one in replies] == [START_NS + 700 * MS]


def test_carried_out_and_never_answered() -> None:
    face = Face()
    face.app.switch("answer-never=count=1")
    replies = post(face)
    face.run(600_000)
    assert (replies, live_ids(face)) == ([], ["x"])
    assert post(face, "y")


def test_carried_out_and_reset_or_garbled() -> None:
    face = Face()
    face.app.switch("answer-reset=count=1")
    [reply] = post(face)
    assert reply.raw.faults == (Reset(after_bytes=0),)
    face.app.switch("answer-garbled")
    [reply] = post(face, "y")
    assert reply.status == 200
    assert not reply.raw.body.endswith(b"}")
    assert live_ids(face) == ["x", "y"]


def test_pushes_may_come_before_the_answer() -> None:
    face = Face()
    socket = face.account_socket()
    socket.news()
    face.app.switch("push-first")
    replies = post(face)
    face.run(10)
    assert replies == []
    assert [one["e"] for one in socket.news()] == ["ORDER_TRADE_UPDATE"] * 2 + ["ACCOUNT_UPDATE"]
    face.run(40)
    assert len(replies) == 1


# --- orders that never came about -------------------------------------------------------------------------------------


def test_lost_on_the_way() -> None:
    face = Face()
    face.app.switch("request-lost=symbol=BTC-USDT")
    replies = post(face)
    face.run(60_000)
    assert (replies, live_ids(face)) == ([], [])
    assert post(face, "y", symbol="ETH-USDT", quantity="0.1")[0].code == 0


def test_late_on_the_way_may_be_too_late() -> None:
    face = Face()
    face.app.switch("request-late=ms=4000")
    replies = post(face)
    face.run(4_000)
    assert (replies[0].code, live_ids(face)) == (0, ["x"])
    face.app.switch("request-late=ms=6000")
    replies = post(face, "y")
    face.run(6_000)
    assert (replies[0].code, live_ids(face)) == (100421, ["x"])


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("refuse-busy", 200, 109500),
        ("refuse-http", 503, None),
        ("settling", 200, 101214),
        ("risk-control", 200, 109403),
        ("refuse=code=110424", 200, 110424),
        ("symbol-paused=symbol=BTC-USDT", 200, 109415),
    ],
)
def test_not_carried_out(fault: str, status: int, code: int | None) -> None:
    face = Face()
    face.app.switch(fault)
    [reply] = post(face)
    assert reply.status == status
    assert (reply.code if status == 200 else None) == code
    assert live_ids(face) == []


def test_a_paused_contract_shows_it_everywhere() -> None:
    face = Face()
    before = face.market_socket()
    before.subscribe("BTC-USDT@depth5")
    post(face, type="LIMIT", price="59000")
    face.app.switch("symbol-paused=symbol=BTC-USDT")
    assert [one.get("dataType") for one in before.news()] == [""]
    face.run(2_000)
    assert before.news() == []
    assert face.call("DELETE", "v2/trade/order", symbol="BTC-USDT", clientOrderId="x").code == 0
    assert face.public("v2/quote/contracts", symbol="BTC-USDT").at(0, "status") == 25
    assert face.public("v2/quote/depth", symbol="BTC-USDT").code == 109415
    socket = face.market_socket()
    socket.subscribe("BTC-USDT@trade")
    assert socket.news()[0]["code"] == 80015
    assert face.public("v2/quote/depth", symbol="ETH-USDT").code == 0


# --- answers that say less --------------------------------------------------------------------------------------------


def test_acknowledgements_that_say_less() -> None:
    face = Face()
    face.app.switch("ack-bare=count=1")
    bare = face.order().at("order")
    assert isinstance(bare, dict)
    assert not {"status", "avgPrice", "executedQty", "orderID"} & set(bare)
    face.app.switch("ack-lacks-fill=count=1")
    [reply] = post(face, "y")
    assert [reply.at("order", key) for key in ("status", "avgPrice", "executedQty")] == ["NEW", "0.0", "0.0000"]
    face.app.switch("ack-pending")
    [reply] = post(face, "z", type="LIMIT", price="59000")
    assert reply.at("order", "status") == "PENDING"


# --- what the exchange does -------------------------------------------------------------------------------------------


def test_a_cancel_may_come_too_late() -> None:
    face = Face()
    post(face, type="LIMIT", price="59999.9", quantity="0.05")
    face.app.switch("cancel-races-fill")
    refused = face.call("DELETE", "v2/trade/order", symbol="BTC-USDT", clientOrderId="x")
    assert refused.code == 109422
    found = face.call("GET", "v2/trade/order", symbol="BTC-USDT", clientOrderId="x")
    assert [found.at("order", key) for key in ("status", "executedQty")] == ["FILLED", "0.0500"]


def test_post_only_may_fail_later() -> None:
    face = Face()
    terms = {"type": "LIMIT", "price": "60500", "timeInForce": "PostOnly"}
    assert post(face, **terms)[0].code == 101215
    socket = face.account_socket()
    socket.news()
    face.app.switch("post-only-late")
    assert post(face, "y", **terms)[0].at("order", "status") == "NEW"
    face.run(100)
    orders = [one["o"] for one in socket.news() if "o" in one]
    assert [one["X"] for one in orders if isinstance(one, dict)] == ["NEW", "CANCELED"]


@pytest.mark.parametrize(
    ("fault", "code"), [("", 101400), ("duplicate-code", 101481), ("duplicate-code=code=109201", 109201)]
)
def test_a_used_client_id(fault: str, code: int) -> None:
    face = Face()
    post(face)
    face.run(2_000)
    if fault:
        face.app.switch(fault)
    [again] = post(face, "X")
    assert again.code == code
    assert live_ids(face) == ["x"]


def test_leftovers_and_oversize() -> None:
    face = Face()
    ioc = {"type": "LIMIT", "price": "60000.1", "quantity": "0.2", "timeInForce": "IOC"}
    assert post(face, **ioc)[0].at("order", "status") == "CANCELLED"
    face.app.switch("leftover-expired")
    assert post(face, "y", **{**ioc, "price": "60000.2"})[0].at("order", "status") == "EXPIRED"
    more = {"side": "SELL", "reduceOnly": "true", "quantity": "5"}
    face.app.switch("oversize-refused")
    assert post(face, "z", **more)[0].code == 101290
    face.app.switch("-oversize-refused")
    assert post(face, "w", **more)[0].code == 0


# --- what is read -----------------------------------------------------------------------------------------------------


def test_a_new_order_may_not_be_found_yet() -> None:
    face = Face()
    face.app.switch("lookup-lag=ms=2000")
    post(face, type="LIMIT", price="59000")
    asked = {"symbol": "BTC-USDT", "clientOrderId": "x"}
    assert face.call("GET", "v2/trade/order", **asked).code == 109421
    assert face.call("GET", "v2/trade/openOrders").at("orders") == []
    face.run(2_000)
    assert face.call("GET", "v2/trade/order", **asked).at("order", "status") == "PENDING"


def test_histories_may_lag() -> None:
    face = Face()
    post(face)
    face.run(1_000)
    span = {"symbol": "BTC-USDT", "startTs": START_NS // MS - 1, "endTs": START_NS // MS + 60_000}
    face.app.switch("history-lag")
    assert face.call("GET", "v2/trade/fillHistory", **span).at("total") == 0
    assert face.call("GET", "v2/trade/allOrders", limit=5).at("orders") == []
    face.run(5_000)
    assert face.call("GET", "v2/trade/fillHistory", **span).at("total") == 1


def test_reading_may_fail_too() -> None:
    face = Face()
    face.app.switch("read-http=count=1")
    assert face.public("v2/server/time").status == 504
    face.app.switch("read-busy=count=1")
    assert face.public("v2/server/time").code == 109500
    face.app.switch("read-never=count=1")
    assert face.start("GET", "v2/user/positions") == []
    face.app.switch("read-late=count=1,ms=300")
    replies = face.start("GET", "v2/user/positions")
    assert replies == []
    post(face)
    face.run(300)
    assert replies[0].data == []  # what was true when it was asked
    face.app.switch("depth-worst-first")
    assert face.public("v2/quote/depth", symbol="BTC-USDT", limit="5").at("asks", 0, 0) == "60000.5"


# --- everybody --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status"), [("firewall", 403), ("maintenance", 503), ("banned", 418), ("rate-limited=code=429", 429)]
)
def test_shut_out(fault: str, status: int) -> None:
    face = Face()
    face.app.switch(fault)
    assert face.public("v2/server/time").status == status
    assert face.call("GET", "v2/user/positions").status == status
    assert face.market_socket().refused is not None
    face.app.switch(f"-{fault.partition('=')[0]}")
    assert face.public("v2/server/time").status == 200


def test_limits_are_forgiven() -> None:
    face = Face()
    assert [face.call("GET", "v2/trade/openOrders").code for _ in range(6)][-1] == 100410
    face.app.switch("forgive")
    assert face.call("GET", "v2/trade/openOrders").code == 0


def test_limits_are_lifted_for_a_while() -> None:
    face = Face()
    face.app.switch("no-limits")
    assert {face.call("GET", "v2/trade/openOrders").code for _ in range(400)} == {0}
    face.app.switch("-no-limits")
    assert [face.call("GET", "v2/trade/openOrders").code for _ in range(6)] == [0] * 5 + [100410]
    face.app.switch("no-limits")
    assert face.call("GET", "v2/trade/openOrders").code == 0


def test_a_wrong_clock_shows_and_is_checked() -> None:
    face = Face()
    true_ms = START_NS // MS
    face.app.switch("clock-skew=ms=-7000")
    assert face.public("v2/server/time").at("serverTime") == true_ms - 7_000
    assert face.call("GET", "v2/user/positions").code == 0  # the client follows the venue's clock
    face.app.switch("-clock-skew")
    assert face.public("v2/server/time").at("serverTime") == true_ms


def test_what_lasts_ends_by_itself() -> None:
    face = Face()
    face.app.switch("clock-skew=ms=60000,for_ms=3000")
    face.run(4_000)
    assert face.app.exchange.now_ms() == START_NS // MS + 4_000


def test_kinds_are_all_used() -> None:
    assert {fault.kind for fault in FAULTS.values()} == set(Kind)
    assert read_fault("answer-late").ns() == NS
