"""Sockets of the BingX emulator in virtual time: frames, pings, topics, books, and what an account is told."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from tests.fakes.bingx_face import START_NS, Face, Json, Socket
from venues.bingx.emulator.contracts import listed
from venues.bingx.emulator.emulator import EmulatorSettings
from venues.bingx.emulator.market_streams import TOPICS_MAX
from venues.bingx.emulator.render_market import INTERVALS_MS
from venues.bingx.emulator.settings import Settings


def of_topic(news: Sequence[Json], topic: str) -> list[Json]:
    return [one for one in news if one.get("dataType") == topic]


def data(message: Json) -> Json:
    found = message["data"]
    assert isinstance(found, dict)
    return found


def codes(news: Sequence[Json]) -> list[object]:
    return [one["code"] for one in news if "id" in one]


# --- both -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["market", "account"])
def test_a_ping_every_five_seconds_and_an_end_without_a_word(which: str) -> None:
    face = Face()
    socket = face.market_socket(pongs=False) if which == "market" else face.account_socket(pongs=False)
    face.run(30_499)
    assert socket.pings_ms() == [5_000, 10_000, 15_000, 20_000, 25_000, 30_000]
    assert socket.wire.ended == ""
    face.run(1)
    assert socket.wire.ended == "drop"
    face.run(60_000)
    assert len(socket.pings_ms()) == 6


def test_who_answers_stays() -> None:
    face = Face()
    socket = face.market_socket()
    face.run(300_000)
    assert socket.wire.ended == ""
    assert len(socket.pings_ms()) == 60


def test_one_late_answer_is_enough() -> None:
    face = Face()
    socket = face.market_socket(pongs=False)
    face.run(30_400)
    socket.say("Pong")
    face.run(30_000)
    assert socket.wire.ended == ""
    face.run(200)
    assert socket.wire.ended == "drop"


def test_the_sixty_first_socket_is_refused() -> None:
    face = Face()
    sockets = [face.market_socket() for _ in range(60)]
    assert all(socket.refused is None for socket in sockets)
    assert face.market_socket().refused is not None
    sockets[0].leave()
    assert face.market_socket().refused is None


def test_another_path_is_no_socket() -> None:
    refused = Socket(Face(), "/market").refused
    assert refused is not None
    assert refused.status == 404


# --- topics -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "topic",
    [
        "NONE-USDT@trade",
        "btc-usdt@trade",
        "BTC-USDT@depth7",
        "BTC-USDT@depth5@100ms",
        "BTC-USD@trade",
        "BTC-USDT@news",
        "BTC-USDT@kline_7m",
        "PAUSED-USDT@trade",
        "all@ticker",
        "",
    ],
)
def test_unknown_topics(topic: str) -> None:
    face = Face()
    socket = face.market_socket()
    socket.subscribe(topic, "mine")
    [answer] = socket.news()
    assert (answer["id"], answer["code"], answer["data"]) == ("mine", 80015, None)
    face.run(2_000)
    assert socket.news() == []


def test_two_hundred_topics() -> None:
    contracts = listed(["AAA-USDT", "BBB-USDT", "CCC-USDT"])
    face = Face(EmulatorSettings(exchange=Settings(contracts=contracts)))
    socket = face.market_socket()
    feeds = [f"depth{n}{suffix}" for n in (5, 10, 20, 50, 100) for suffix in ("", "@200ms", "@500ms")]
    feeds += ["incrDepth", "trade", "bookTicker", "markPrice", "lastPrice", "ticker"]
    feeds += [f"kline_{interval}" for interval in INTERVALS_MS]
    distinct = [f"{one.symbol}@{feed}" for one in contracts if one.trades for feed in feeds]
    for topic in distinct[:TOPICS_MAX]:
        socket.subscribe(topic)
    assert codes(socket.news()) == [0] * TOPICS_MAX
    socket.subscribe(distinct[TOPICS_MAX])
    socket.subscribe(distinct[0])
    assert codes(socket.news()) == [80403, 0]
    socket.say({"id": "1", "reqType": "unsub", "dataType": distinct[1]})
    socket.subscribe(distinct[TOPICS_MAX])
    assert codes(socket.news()) == [0, 0]


def test_one_topic_a_frame() -> None:
    face = Face()
    socket = face.market_socket()
    socket.say({"id": "1", "reqType": "sub", "dataType": ["BTC-USDT@trade"]})
    assert socket.news() == []
    socket.say("{")
    socket.say({"id": "2", "reqType": "please", "dataType": "BTC-USDT@trade"})
    assert codes(socket.news()) == [80014, 80014]


def test_twice_subscribed_is_one_stream_until_unsubscribed() -> None:
    face = Face()
    socket = face.market_socket()
    socket.subscribe("BTC-USDT@trade", "1")
    socket.subscribe("BTC-USDT@trade", "2")
    face.order()
    face.run(100)
    assert [len(of_topic(socket.news(), "BTC-USDT@trade"))] == [1]
    socket.say({"id": "3", "reqType": "unsub", "dataType": "BTC-USDT@trade"})
    face.order()
    face.run(100)
    assert of_topic(socket.news(), "BTC-USDT@trade") == []


def test_trades_of_one_moment_come_together_newest_first() -> None:
    face = Face()
    socket = face.market_socket()
    socket.subscribe("BTC-USDT@trade")
    face.order(quantity="0.25")
    face.run(1)
    [message] = of_topic(socket.news(), "BTC-USDT@trade")
    rows = message["data"]
    assert isinstance(rows, list)
    assert [(row["p"], row["q"], row["m"]) for row in rows] == [
        ("60000.3", "0.0500", False),
        ("60000.2", "0.1000", False),
        ("60000.1", "0.1000", False),
    ]


# --- books ------------------------------------------------------------------------------------------------------------


def book_frames(face: Face, socket: Socket, *, orders: int) -> list[Json]:
    """A fresh incrDepth subscription over `orders` changes of the book; its data, oldest first."""
    socket.subscribe("BTC-USDT@incrDepth")
    for _ in range(orders):
        face.order(quantity="0.001")
        face.run(200)
    return [data(one) for one in of_topic(socket.news(), "BTC-USDT@incrDepth")]


def ids(frames: Sequence[Json]) -> list[int]:
    found = [frame["lastUpdateId"] for frame in frames]
    assert all(isinstance(one, int) for one in found)
    return [one for one in found if isinstance(one, int)]


def test_a_snapshot_then_updates_from_the_next_id_on() -> None:
    face = Face()
    frames = book_frames(face, face.market_socket(), orders=8)
    assert [frame["action"] for frame in frames] == ["all"] + ["update"] * 8
    numbers = ids(frames)
    assert numbers[1] == numbers[0] + 1
    gaps = [late - early for early, late in pairwise(numbers[1:])]
    assert all(1 <= gap <= 9 for gap in gaps)
    assert max(gaps) > 1
    asks = frames[0]["asks"]
    assert isinstance(asks, list)
    assert asks[-1][0] == "60000.1"  # worst first
    assert frames[-1]["asks"] == [["60000.1", "0.0920"]]


def test_a_quiet_book_is_told_after_half_a_second() -> None:
    face = Face()
    socket = face.market_socket()
    socket.subscribe("BTC-USDT@incrDepth")
    face.run(529)
    assert of_topic(socket.news(), "BTC-USDT@incrDepth") == []
    face.run(1)
    [only] = of_topic(socket.news(), "BTC-USDT@incrDepth")
    assert data(only)["action"] == "all"
    face.run(5_000)
    assert of_topic(socket.news(), "BTC-USDT@incrDepth") == []


def test_consecutive_ids_are_a_switch() -> None:
    face = Face()
    face.app.switch("ids-consecutive")
    numbers = ids(book_frames(face, face.market_socket(), orders=5))
    assert numbers == list(range(numbers[0], numbers[0] + 6))


@pytest.mark.parametrize(
    ("fault", "broken"),
    [("ids-back", "back"), ("ids-repeat", "repeat"), ("book-loss", "loss"), ("book-crossed", "crossed")],
)
def test_broken_books(fault: str, broken: str) -> None:
    face = Face()
    face.app.switch("ids-consecutive")
    face.app.switch(f"{fault}=after=2,count=1")
    frames = book_frames(face, face.market_socket(), orders=5)
    numbers = ids(frames)
    rises = [late - early for early, late in pairwise(numbers)]
    assert {
        "back": min(rises) < 0,
        "repeat": 0 in rises and len(frames) == 7,
        "loss": rises == [1, 1, 2, 1],
        "crossed": frames[3]["bids"] == [["60000.1", "0.0970"]] and set(rises) == {1},
    }[broken]


def test_an_update_may_come_before_its_snapshot() -> None:
    face = Face()
    first = face.market_socket()
    book_frames(face, first, orders=2)
    face.app.switch("updates-first")
    frames = book_frames(face, face.market_socket(), orders=2)
    assert [frame["action"] for frame in frames][:2] == ["update", "all"]


def test_partial_books_are_sent_over_and_over() -> None:
    face = Face()
    socket = face.market_socket()
    for topic in ("BTC-USDT@depth5@500ms", "BTC-USDT@depth5", "COARSE-USDT@depth5@200ms"):
        socket.subscribe(topic)
    face.run(1_000)
    news = socket.news()
    counted = [
        len(of_topic(news, topic)) for topic in ("BTC-USDT@depth5@500ms", "BTC-USDT@depth5", "COARSE-USDT@depth5@200ms")
    ]
    assert counted == [5, 2, 2]  # the large ones every 200 ms, whatever was asked for
    book = of_topic(news, "BTC-USDT@depth5")[0]
    assert book["ts"] == START_NS // 1_000_000 + 500
    assert data(book)["asks"] == [[f"60000.{n}", "0.1000"] for n in (5, 4, 3, 2, 1)]
    face.app.switch("asks-best-first")
    face.run(500)
    assert data(of_topic(socket.news(), "BTC-USDT@depth5")[0])["asks"] == [
        [f"60000.{n}", "0.1000"] for n in (1, 2, 3, 4, 5)
    ]


def test_a_silent_market_still_pings_and_acknowledges() -> None:
    face = Face()
    socket = face.market_socket()
    socket.subscribe("BTC-USDT@depth5", "1")
    face.run(1_000)
    assert socket.news()
    face.app.switch("market-silent=on=@depth")
    face.run(5_000)
    assert socket.news() == []
    assert len(socket.pings_ms()) == 1
    socket.subscribe("BTC-USDT@markPrice", "2")
    face.run(1_100)
    assert [one.get("dataType") for one in socket.news()] == ["", "BTC-USDT@markPrice"]


def test_late_market_data_keeps_its_order() -> None:
    face = Face()
    socket = face.market_socket()
    socket.subscribe("BTC-USDT@depth5@200ms")
    socket.news()
    face.app.switch("market-late=ms=1000")
    face.run(1_199)
    assert socket.news() == []
    face.run(401)
    stamps = [one["ts"] for one in socket.news()]
    assert stamps == [START_NS // 1_000_000 + n for n in (200, 400, 600)]


def test_a_stale_first_ticker_and_a_leak() -> None:
    face = Face()
    face.app.switch("stale-ticker=count=1")
    face.app.switch("topic-leak")
    socket = face.market_socket()
    socket.subscribe("BTC-USDT@bookTicker")
    first = data(of_topic(socket.news(), "BTC-USDT@bookTicker")[0])
    assert first["E"] == START_NS // 1_000_000
    assert first["T"] == START_NS // 1_000_000 - 22 * 60_000
    assert float(str(first["b"])) > 60_000.1
    socket.subscribe("PAUSED-USDT@depth5")
    assert [(one.get("code"), one["dataType"]) for one in socket.news()] == [(80015, ""), (0, "PAUSED-USDT@depth5")]


# --- the account ------------------------------------------------------------------------------------------------------


def told(socket: Socket) -> list[tuple[object, ...]]:
    """Order events and account events since the last look."""
    found: list[tuple[object, ...]] = []
    for one in socket.news():
        order, change = one.get("o"), one.get("a")
        if isinstance(order, dict):
            found.append((one["e"], order["x"], order["X"], order["c"]))
        elif isinstance(change, dict):
            found.append((one["e"], change["m"]))
    return found


BOUGHT = [
    ("ORDER_TRADE_UPDATE", "NEW", "NEW", "a"),
    ("ORDER_TRADE_UPDATE", "TRADE", "FILLED", "a"),
    ("ACCOUNT_UPDATE", "ORDER"),
]


def test_what_an_order_does_is_told_after_its_answer() -> None:
    face = Face()
    socket = face.account_socket()
    face.order(clientOrderId="a")
    assert told(socket) == []
    face.run(2)
    assert told(socket) == BOUGHT


def test_every_socket_of_the_account_hears_it_and_no_other() -> None:
    face = Face()
    mine, also = face.account_socket(), face.account_socket()
    face.run(1_000)
    other = face.account_socket("hedge")
    face.order(clientOrderId="a")
    face.run(2)
    assert [told(mine), told(also), told(other)] == [BOUGHT, BOUGHT, []]


def test_configuration_comes_in_bursts() -> None:
    face = Face()
    socket = face.account_socket()
    words = [one["e"] for one in socket.news()]
    assert words == ["ACCOUNT_CONFIG_UPDATE", "SNAPSHOT"] * 5
    face.run(5_000)
    assert len(socket.news()) == 10


def test_nothing_may_be_said_there() -> None:
    face = Face()
    socket = face.account_socket()
    socket.news()
    socket.say("{}")
    assert [one["code"] for one in socket.news()] == [80014]


def test_a_key_lives_an_hour_unless_it_is_extended() -> None:
    face = Face()
    key = face.listen_key()
    socket = Socket(face, f"/swap-market?listenKey={key}")
    face.run(3_000_000)
    assert face.call("PUT", "/openApi/user/auth/userDataStream", listenKey=key).status == 200
    face.run(3_599_999)
    assert "listenKeyExpired" not in [one["e"] for one in socket.news()]
    face.run(1)
    assert [(one["e"], one["listenKey"]) for one in socket.news()] == [("listenKeyExpired", key)]
    face.order()
    face.run(60_000)
    assert socket.news() == []
    assert socket.wire.ended == ""


def test_a_wrong_key_is_told_and_closed() -> None:
    socket = Socket(Face(), "/swap-market?listenKey=nobodys")
    assert [one["e"] for one in socket.news()] == ["listenKeyExpired"]
    assert socket.wire.ended == "close"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("push-drop=on=TRADE FILLED", BOUGHT),  # the filter is the event, not its status
        ("push-drop=on=UPDATE TRADE", [BOUGHT[0], BOUGHT[2]]),
        ("push-duplicate=on=UPDATE TRADE", [BOUGHT[0], BOUGHT[1], BOUGHT[1], BOUGHT[2]]),
        ("push-swap=on=UPDATE TRADE,count=1", [BOUGHT[0], BOUGHT[2], BOUGHT[1]]),
        ("push-late=on=UPDATE NEW,ms=100", [BOUGHT[1], BOUGHT[2], BOUGHT[0]]),
        ("push-no-client-id=on=TRADE", [(*BOUGHT[0][:3], ""), (*BOUGHT[1][:3], ""), BOUGHT[2]]),
        ("push-short-name=count=1", [("TRADE_UPDATE", *BOUGHT[0][1:]), *BOUGHT[1:]]),
        ("zombie", []),
    ],
)
def test_pushes_that_go_wrong(fault: str, expected: list[tuple[object, ...]]) -> None:
    face = Face()
    socket = face.account_socket()
    told(socket)
    face.app.switch(fault)
    face.order(clientOrderId="a")
    face.run(1_000)
    assert told(socket) == expected


def test_two_sockets_may_get_different_halves() -> None:
    face = Face()
    mine, also = face.account_socket(), face.account_socket()
    face.app.switch("push-split")
    face.order(clientOrderId="a")
    face.run(10)
    halves = told(mine), told(also)
    assert sorted([*halves[0], *halves[1]], key=str) == sorted(BOUGHT, key=str)
    assert halves[0]
    assert halves[1]


def test_old_pushes_lack_what_came_later() -> None:
    face = Face()
    socket = face.account_socket()
    socket.news()
    face.app.switch("push-bare")
    face.app.switch("push-id-text")
    face.order()
    face.run(10)
    event = next(one for one in socket.news() if one["e"] == "ORDER_TRADE_UPDATE")
    order = event["o"]
    assert isinstance(order, dict)
    assert not {"l", "L", "td", "tv"} & set(order)
    assert order["T"] == 0
    assert isinstance(order["i"], str)
    assert "T" not in event


def test_sockets_can_be_dropped_and_refused() -> None:
    face = Face()
    market, account = face.market_socket(), face.account_socket()
    face.app.switch("drop-sockets=which=market,close=yes")
    assert (market.wire.ended, account.wire.ended) == ("close", "")
    face.app.switch("drop-sockets")
    assert account.wire.ended == "drop"
    face.app.switch("refuse-socket=which=account")
    assert face.account_socket().refused is not None
    assert face.market_socket().refused is None


def test_keys_can_end_with_and_without_a_word() -> None:
    face = Face()
    socket = face.account_socket()
    socket.news()
    face.app.switch("expire-listen-keys")
    assert [one["e"] for one in socket.news()] == ["listenKeyExpired"]
    silent = face.account_socket()
    silent.news()
    face.app.switch("key-dies-silently")
    face.app.switch("expire-listen-keys")
    face.order()
    face.run(6_000)
    assert silent.news() == []
    assert len(silent.pings_ms()) == 1


def test_no_pings_and_no_drop() -> None:
    face = Face()
    face.app.switch("no-ping=which=market")
    socket = face.market_socket(pongs=False)
    face.run(120_000)
    assert socket.pings_ms() == []
    assert socket.wire.ended == ""
