import gzip
import json
from operator import itemgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sor.errors import VenueFault
from sor.ids import Symbol
from sor.market import BookUpdate, LateLevels, Levels, MarketEvent, MarkUpdate, TradePrint
from sor.orders import Side
from tests.fakes.bingx import RECV_NS, answer, btc
from venues.bingx.codec import inflate
from venues.bingx.market import (
    PING_NS,
    SILENCE_MAX_NS,
    TOPICS_MAX,
    BookChain,
    Channel,
    Ping,
    Step,
    TopicAnswer,
    TopicData,
    read_depth,
    read_frame,
    read_premium_index,
    read_topic,
    read_trades,
    topic,
)

BTC = btc()
SYMBOL = Symbol("BTCUSDT")
AT_NS = 1_760_000_000_123_000_000


def frame(data_type: str, data: object, **more: object) -> TopicData:
    """A push, gzipped and back."""
    text = json.dumps({"code": 0, "dataType": data_type, "data": data, **more}, separators=(",", ":"))
    read = read_frame(inflate(gzip.compress(text.encode())))
    assert isinstance(read, TopicData)
    return read


def pushed(data_type: str, data: object, **more: object) -> tuple[MarketEvent, ...]:
    return read_topic(frame(data_type, data, **more), BTC, RECV_NS)


def test_frames() -> None:
    assert read_frame(b"Ping") == Ping()
    assert read_frame(b'{"id":"7","code":0,"msg":"","dataType":"","data":null}') == TopicAnswer("7", 0, "")
    refusal = b'{"id":"8","code":80015,"msg":"dataType not support","dataType":"","data":null}'
    assert read_frame(refusal) == TopicAnswer("8", 80015, "dataType not support")
    assert read_frame(b'{"code":0,"id":"9","msg":"SUCCESS","timestamp":1}') == TopicAnswer("9", 0, "SUCCESS")
    spaced = b'{ "code": 0, "dataType": "BTC-USDT@trade", "data": [] }'
    assert read_frame(spaced) == TopicData("BTC-USDT@trade", spaced)
    assert topic(BTC, Channel.BOOK) == "BTC-USDT@incrDepth"
    assert SILENCE_MAX_NS > 2 * PING_NS
    assert TOPICS_MAX == 200


def test_a_book_snapshot_and_an_update() -> None:
    # Asks worst first and bids unsorted, as both have been seen.
    data = {
        "action": "all",
        "lastUpdateId": 41,
        "time": 1760000000123,
        "bids": [["59999.9", "0.50000"], ["60000.0", "1.5"], ["59999.0", "2"]],
        "asks": [["60001.0", "3.000"], ["60000.1", "0.0129"]],
    }
    assert pushed("BTC-USDT@incrDepth", data) == (
        BookUpdate(
            symbol=SYMBOL,
            bids=((600_000, 1_500), (599_999, 500), (599_990, 2_000)),
            asks=((600_001, 12), (600_010, 3_000)),
            venue_ns=AT_NS,
            recv_ns=RECV_NS,
            snapshot=True,
            seq=41,
        ),
    )
    update = {"action": "update", "lastUpdateId": 47, "time": 1760000000123, "bids": [["60000.0", "0.0000"]]}
    assert pushed("BTC-USDT@incrDepth", update) == (
        BookUpdate(symbol=SYMBOL, bids=((600_000, 0),), asks=(), venue_ns=AT_NS, recv_ns=RECV_NS, seq=47),
    )


def test_a_price_named_twice_keeps_its_order() -> None:
    data = {"action": "update", "lastUpdateId": 5, "bids": [["60000.0", "2"], ["60000.0", "1"]], "asks": None}
    (update,) = pushed("BTC-USDT@incrDepth", data)
    assert isinstance(update, BookUpdate)
    assert update.bids == ((600_000, 2_000), (600_000, 1_000))


def test_trades_come_oldest_first_with_the_side_that_took() -> None:
    rows = [
        {"T": 1760000000125, "s": "BTC-USDT", "p": "60000.1", "q": "0.500", "m": False},
        {"T": 1760000000123, "s": "BTC-USDT", "p": "60000.0", "q": "0.0005", "m": True},
        {"T": 1760000000123, "s": "BTC-USDT", "p": "60000.0", "q": "0.002", "m": True},
    ]
    assert pushed("BTC-USDT@trade", rows) == (
        TradePrint(symbol=SYMBOL, side=Side.SELL, price_ticks=600_000, qty_lots=2, venue_ns=AT_NS, recv_ns=RECV_NS),
        TradePrint(
            symbol=SYMBOL,
            side=Side.BUY,
            price_ticks=600_001,
            qty_lots=500,
            venue_ns=AT_NS + 2_000_000,
            recv_ns=RECV_NS,
        ),
    )
    assert pushed("BTC-USDT@trade", None) == ()


def test_a_mark_may_lie_between_ticks() -> None:
    data = {"e": "markPriceUpdate", "E": 1760000000123, "s": "BTC-USDT", "p": "60000.57"}
    assert pushed("BTC-USDT@markPrice", data) == (
        MarkUpdate(symbol=SYMBOL, mark_ticks=600_005.7, venue_ns=AT_NS, recv_ns=RECV_NS),
    )


def test_partial_depth_is_a_snapshot_without_an_id() -> None:
    data = {"bids": [["60000.0", "1"]], "asks": [["60000.2", "1"], ["60000.1", "1"]]}
    assert pushed("BTC-USDT@depth20@200ms", data, ts=1760000000123) == (
        BookUpdate(
            symbol=SYMBOL,
            bids=((600_000, 1_000),),
            asks=((600_001, 1_000), (600_002, 1_000)),
            venue_ns=AT_NS,
            recv_ns=RECV_NS,
            snapshot=True,
        ),
    )


def test_a_depth_of_floats_says_what_it_says_as_texts() -> None:
    data = {
        "bids": [["59999.9", "0.29"], ["60000.0", "1.0019"], ["59999.7", "0.0009"], ["59999.9", "0.3"]],
        "asks": [["60000.7", "12345"], ["60000.1", "0.001"]],
    }
    (update,) = pushed("BTC-USDT@depth20@200ms", data)
    assert isinstance(update, BookUpdate)
    assert (type(update.bids), type(update.asks)) == (LateLevels, LateLevels)
    assert update.bids == ((600_000, 1_001), (599_999, 300))
    assert (update.asks[0], list(update.asks), len(update.asks)) == (
        (600_001, 1),
        [(600_001, 1), (600_007, 12_345_000)],
        2,
    )
    assert update.asks == update.asks
    assert update.bids != update.asks
    assert update.bids != 1
    assert hash(update.asks) == hash(tuple(update.asks))


@pytest.mark.parametrize(
    ("bids", "read"),
    [
        ([], ()),
        ([["60000.0", "0"], ["59999.9", "1"]], ((600_000, 0), (599_999, 1_000))),
        ([["60000.0", "0.0004"], ["59999.9", "1"]], ((600_000, 0), (599_999, 1_000))),
        ([["60000.0", "1"], ["60000.0", "2"]], ((600_000, 1_000), (600_000, 2_000))),
        ([["060000.0", "1"]], ((600_000, 1_000),)),
        ([["60000.0", "1000000000"]], ((600_000, 1_000_000_000_000),)),
        ([["200000000000000", "1"]], ((2_000_000_000_000_000, 1_000),)),
        (None, ()),
    ],
)
def test_a_depth_that_is_not_plain_is_read_as_texts(bids: object, read: Levels) -> None:
    (update,) = pushed("BTC-USDT@depth5", {"bids": bids, "asks": [["70000", "1"]]})
    assert isinstance(update, BookUpdate)
    assert (type(update.bids), update.bids, update.asks) == (tuple, read, ((700_000, 1_000),))


@pytest.mark.parametrize("text", ["60000.05", "-1", "0", "nan", "inf", "1e400", "x", "", "60000.10000000001"])
def test_a_best_price_that_cannot_be_is_a_fault_in_a_depth_too(text: str) -> None:
    with pytest.raises(VenueFault):
        pushed("BTC-USDT@depth5", {"bids": [["1", "1"], [text, "1"]], "asks": [["70000", "1"]]})
    with pytest.raises(VenueFault):
        pushed("BTC-USDT@depth5", {"bids": [["1", "1"]], "asks": [[text, "1"]]})


@pytest.mark.parametrize(
    "row",
    [
        ["nan", "1"],
        ["59999.5", "nan"],
        ["59999.5", "inf"],
        ["59999.5", "-1"],
        ["-59999.5", "1"],
        ["0.0", "1"],
        ["59999.5", ""],
        ["59999.", "x"],
        ["59999.5"],
        ["59999.5", None],
    ],
)
def test_a_broken_level_in_the_middle_is_found_when_it_comes(row: list[object]) -> None:
    good = [["60000.0", "1"], ["59999.0", "1"]]
    push = frame("BTC-USDT@depth5", {"bids": [good[0], row, good[1]], "asks": [["70000", "1"]]})
    with pytest.raises(VenueFault):
        read_topic(push, BTC, RECV_NS)


def test_the_best_of_a_side_is_known_at_once_whatever_its_order_and_lengths() -> None:
    bids = [["9999.9", "1"], ["10000.1", "2"], ["9999.8", "3"], ["10000.0", "4"]]
    asks = [["100000.0", "5"], ["99999.9", "6"], ["100000.1", "7"]]
    (update,) = pushed("BTC-USDT@depth5", {"bids": bids, "asks": asks})
    assert isinstance(update, BookUpdate)
    assert isinstance(update.bids, LateLevels)
    assert isinstance(update.asks, LateLevels)
    assert (update.bids.best, update.asks.best) == ((100_001, 2_000), (999_999, 6_000))
    assert update.bids == ((100_001, 2_000), (100_000, 4_000), (99_999, 1_000), (99_998, 3_000))
    assert update.asks == ((999_999, 6_000), (1_000_000, 5_000), (1_000_001, 7_000))


decimals = st.builds(
    lambda whole, rest: f"{whole}.{rest}" if rest else str(whole),
    st.integers(1, 99_999),
    st.text("0123456789", max_size=1),
)
quantities = st.builds(
    lambda whole, rest: f"{whole}.{rest}", st.integers(0, 9_999), st.text("0123456789", min_size=1, max_size=8)
)


@given(st.lists(st.tuples(decimals, quantities), max_size=8), st.lists(st.tuples(decimals, quantities), max_size=8))
def test_floats_and_texts_agree_on_every_depth(bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> None:
    push = frame("BTC-USDT@depth5", {"bids": bids, "asks": asks})
    (update,) = read_topic(push, BTC, RECV_NS)
    assert isinstance(update, BookUpdate)
    for found, rows, best in ((update.bids, bids, max), (update.asks, asks, min)):
        held = {BTC.ticks[price]: BTC.sizes[size] for price, size in rows}
        held = {ticks: lots for ticks, lots in held.items() if lots}
        assert {ticks: lots for ticks, lots in dict(found).items() if lots} == held
        if isinstance(found, LateLevels):
            assert found.best == (best(held), held[best(held)]) == found[0]


@given(st.lists(st.tuples(decimals, quantities), max_size=8), st.lists(st.tuples(decimals, quantities), max_size=8))
def test_floats_and_texts_agree_on_every_update(bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> None:
    push = frame("BTC-USDT@incrDepth", {"action": "update", "lastUpdateId": 5, "bids": bids, "asks": asks})
    price = itemgetter(0)
    told = [[(BTC.ticks[text], BTC.sizes[size]) for text, size in rows] for rows in (bids, asks)]
    (update,) = read_topic(push, BTC, RECV_NS)
    assert isinstance(update, BookUpdate)
    assert update.bids == tuple(sorted(told[0], key=price, reverse=True))
    assert update.asks == tuple(sorted(told[1], key=price))


@pytest.mark.parametrize(
    ("row", "level"),
    [
        (["60000.0", "1000000000.5"], (600_000, 1_000_000_000_500)),
        (["200000000000000", "1"], (2_000_000_000_000_000, 1_000)),
        (["060000.0", "1"], (600_000, 1_000)),
        ([60000.0, 1], (600_000, 1_000)),
        (["6.00001e4", "29e-2"], (600_001, 290)),
    ],
)
def test_levels_may_be_spelled_in_other_ways(row: list[object], level: tuple[int, int]) -> None:
    (update,) = pushed("BTC-USDT@incrDepth", {"action": "update", "lastUpdateId": 5, "bids": [row]})
    assert isinstance(update, BookUpdate)
    assert update.bids == (level,)


def test_a_depth_of_another_topic_or_with_a_code_is_a_fault() -> None:
    data = {"bids": [["60000.0", "1"]], "asks": [["60000.2", "1"]]}
    push = frame("BTC-USDT@depth5", data)
    with pytest.raises(VenueFault, match="under the topic"):
        read_topic(TopicData("BTC-USDT@depth10", push.message), BTC, RECV_NS)
    with pytest.raises(VenueFault, match="with code 1"):
        read_topic(TopicData(push.topic, push.message.replace(b'"code":0', b'"code":1')), BTC, RECV_NS)


@pytest.mark.parametrize(
    ("data_type", "data", "says"),
    [
        ("ETH-USDT@trade", [], "where BTC-USDT was expected"),
        ("BTC-USDT@bookTicker", {"s": "BTC-USDT"}, "nobody asked for"),
        ("BTC-USDT@incrDepth", {"action": "all", "bids": []}, "lastUpdateId"),
        ("BTC-USDT@incrDepth", {"action": "more", "lastUpdateId": 1}, "action 'more'"),
        ("BTC-USDT@incrDepth", {"action": "all", "lastUpdateId": 1, "bids": [["60000.05", "1"]]}, "between two steps"),
        ("BTC-USDT@incrDepth", {"action": "all", "lastUpdateId": 1, "bids": [["0", "1"]]}, "positive price"),
        ("BTC-USDT@incrDepth", {"action": "all", "lastUpdateId": 1, "bids": [["1", "-1"]]}, "not negative"),
        ("BTC-USDT@incrDepth", {"action": "all", "lastUpdateId": 1, "bids": [["1"]]}, "a book update"),
        ("BTC-USDT@markPrice", {"p": "0"}, "mark price"),
        ("BTC-USDT@trade", [{"p": "1"}], "public trades"),
    ],
)
def test_pushes_that_cannot_be_read(data_type: str, data: object, says: str) -> None:
    with pytest.raises(VenueFault, match=says):
        pushed(data_type, data)


def test_a_push_under_another_name_is_a_fault() -> None:
    other = frame("BTC-USDT@trade", [])
    with pytest.raises(VenueFault, match="under the topic"):
        read_topic(TopicData("BTC-USDT@trade", other.message.replace(b"BTC-USDT@trade", b"ETH-USDT@trade")), BTC, 1)
    with pytest.raises(VenueFault, match="with code 1"):
        read_topic(TopicData("BTC-USDT@trade", other.message.replace(b'"code":0', b'"code":1')), BTC, 1)


@given(message=st.binary(max_size=300))
def test_garbage_is_a_fault_and_nothing_else(message: bytes) -> None:
    for one in (message, b'{"dataType":"BTC-USDT@incrDepth","data":' + message, gzip.compress(message)[:-3]):
        try:
            read = read_frame(inflate(one))
            if isinstance(read, TopicData):
                read_topic(read, BTC, RECV_NS)
        except VenueFault:
            pass


# --- the chain --------------------------------------------------------------------------------------------------------


def book(seq: int, bids: Levels = (), asks: Levels = (), *, snapshot: bool = False) -> BookUpdate:
    return BookUpdate(symbol=SYMBOL, bids=bids, asks=asks, venue_ns=0, recv_ns=0, snapshot=snapshot, seq=seq)


SNAPSHOT = book(10, ((100, 5), (99, 5)), ((102, 5), (103, 5)), snapshot=True)


def test_ids_may_skip_and_never_come_back() -> None:
    chain = BookChain()
    steps = [chain.judge(one) for one in (SNAPSHOT, book(11), book(13), book(22), book(22), book(23), SNAPSHOT)]
    apply, ignore, resync = Step.APPLY, Step.IGNORE, Step.RESYNC
    assert steps == [apply, apply, apply, apply, resync, ignore, apply]


def test_an_update_before_the_snapshot_is_a_lost_book() -> None:
    chain = BookChain()
    assert [chain.judge(one) for one in (book(3), book(4), SNAPSHOT, book(11))] == [
        Step.RESYNC,
        Step.IGNORE,
        Step.APPLY,
        Step.APPLY,
    ]
    chain.restart()
    assert chain.judge(book(12)) is Step.RESYNC


@pytest.mark.parametrize(
    ("updates", "last"),
    [
        ([book(11, ((102, 1),))], Step.RESYNC),  # a bid at the ask
        ([book(11, (), ((100, 1),))], Step.RESYNC),
        ([book(11, ((102, 1),), ((102, 0),))], Step.APPLY),  # the ask went in the same frame
        ([book(11, ((101, 1),)), book(12, (), ((101, 1),))], Step.RESYNC),
        ([book(11, ((101, 1),)), book(12, ((101, 0),)), book(13, (), ((101, 1),))], Step.APPLY),
        ([book(11, ((100, 0), (99, 0))), book(12, (), ((98, 1),))], Step.APPLY),  # an empty side crosses nothing
        ([book(11, ((100, 0), (99, 0))), book(12, ((97, 1),), ((97, 1),))], Step.RESYNC),
        ([book(11, ((100, 0),)), book(12, (), ((99, 1),))], Step.RESYNC),  # the next best is known
        ([book(11, ((55, 0),))], Step.APPLY),  # a level that was never there
    ],
)
def test_a_crossed_book_is_a_lost_book(updates: list[BookUpdate], last: Step) -> None:
    chain = BookChain()
    assert chain.judge(SNAPSHOT) is Step.APPLY
    assert [chain.judge(one) for one in updates][-1] is last


def test_a_crossed_snapshot_is_a_lost_book() -> None:
    assert BookChain().judge(book(1, ((5, 1),), ((5, 1),), snapshot=True)) is Step.RESYNC


def test_levels_that_are_gone_are_forgotten_in_time() -> None:
    chain = BookChain()
    assert chain.judge(SNAPSHOT) is Step.APPLY
    many = 5_000
    for seq in range(11, 21):  # each frame brings thousands of levels below the best, and takes the last one's away
        low = -seq * many
        bids = tuple([(price, 1) for price in range(low + many - 1, low - 1, -1)])
        gone = tuple([(price, 0) for price in range(low + 2 * many - 1, low + many - 1, -1)])
        assert chain.judge(book(seq, gone + bids)) is Step.APPLY
    assert chain.judge(book(21, ((101, 1),))) is Step.APPLY
    assert chain.judge(book(22, (), ((101, 1),))) is Step.RESYNC


levels = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 2)), max_size=4).map(tuple)


@given(st.lists(st.tuples(levels, levels), max_size=12))
def test_crossing_is_found_as_a_plain_book_finds_it(changes: list[tuple[Levels, Levels]]) -> None:
    chain = BookChain()
    chain.judge(SNAPSHOT)
    bids, asks = dict(SNAPSHOT.bids), dict(SNAPSHOT.asks)
    for seq, (new_bids, new_asks) in enumerate(changes, start=11):
        for held, new in ((bids, new_bids), (asks, new_asks)):
            held.update(dict(new))
            for price in [price for price, size in held.items() if not size]:
                del held[price]
        crossed = bool(bids) and bool(asks) and max(bids) >= min(asks)
        first = itemgetter(0)
        sides = tuple(sorted(new_bids, key=first, reverse=True)), tuple(sorted(new_asks, key=first))
        assert chain.judge(book(seq, *sides)) is (Step.RESYNC if crossed else Step.APPLY)
        if crossed:
            return


# --- public REST ------------------------------------------------------------------------------------------------------


def test_a_book_over_rest_has_no_id() -> None:
    data = {
        "T": 1760000000123,
        "bids": [["60000.0", "1"]],
        "asks": [["60000.2", "2"], ["60000.1", "1"]],
        "bidsCoin": [["60000.0", "99"]],
        "asksCoin": [],
    }
    assert read_depth(answer(data), BTC, RECV_NS) == BookUpdate(
        symbol=SYMBOL,
        bids=((600_000, 1_000),),
        asks=((600_001, 1_000), (600_002, 2_000)),
        venue_ns=AT_NS,
        recv_ns=RECV_NS,
        snapshot=True,
    )


def test_trades_over_rest() -> None:
    rows = [
        {"time": 1760000000124, "isBuyerMaker": False, "price": "60000.1", "qty": "0.5", "quoteQty": "30000.05"},
        {"time": 1760000000123, "isBuyerMaker": True, "price": "60000.0", "qty": "0.002", "quoteQty": "120"},
    ]
    prints = read_trades(answer(rows), BTC, RECV_NS)
    assert [(one.side, one.price_ticks, one.qty_lots, one.venue_ns) for one in prints] == [
        (Side.SELL, 600_000, 2, AT_NS),
        (Side.BUY, 600_001, 500, AT_NS + 1_000_000),
    ]
    assert read_trades(answer(None), BTC, RECV_NS) == ()


def test_the_premium_index() -> None:
    data = {
        "symbol": "BTC-USDT",
        "markPrice": "60000.55",
        "indexPrice": "60001",
        "lastFundingRate": "0.00010000",
        "nextFundingTime": 1760000000123,
        "fundingIntervalHours": 8,
        "updateTime": 1759900000000,
    }
    premium = read_premium_index(answer(data), BTC, RECV_NS)
    assert premium.mark == MarkUpdate(
        symbol=SYMBOL, mark_ticks=600_005.5, venue_ns=0, recv_ns=RECV_NS, funding_ns=AT_NS, funding_rate=0.0001
    )
    for text in ("", "nan", "inf", "odd"):
        assert read_premium_index(answer({**data, "lastFundingRate": text}), BTC, RECV_NS).mark.funding_rate is None
    assert (premium.funding_rate, premium.next_funding_ns, premium.interval_h) == ("0.00010000", AT_NS, 8)
    with pytest.raises(VenueFault, match="answered with 'ETH-USDT'"):
        read_premium_index(answer({**data, "symbol": "ETH-USDT"}), BTC, RECV_NS)
