"""Every recorded message of BingX that there is, read by what reads it live."""

import gzip
import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

from sor.errors import VenueFault
from sor.market import BookUpdate, MarkUpdate, TradePrint
from sor.orders import OrdStatus, Side
from tests.fakes.bingx import RECV_NS, contract, listings
from venues.bingx.codec import envelope, inflate
from venues.bingx.listings import Listings
from venues.bingx.market import TopicAnswer, TopicData, read_depth, read_frame, read_premium_index, read_topic
from venues.bingx.orders import (
    open_order,
    read_amended,
    read_batch,
    read_canceled_many,
    read_orders,
    read_replaced,
    read_test,
)

ETH = contract("ETH-USDT", pricePrecision=2, quantityPrecision=2, tradeMinQuantity=0.01)
SOME = listings(
    contract("BTC-USDT", pricePrecision=1, quantityPrecision=5),
    ETH,
    contract("ATOM-USDT", pricePrecision=3, quantityPrecision=2, tradeMinQuantity=0.01),
    contract("PYTH-USDT", pricePrecision=4, quantityPrecision=0, tradeMinQuantity=1),
    contract("ID-USDT", pricePrecision=4, quantityPrecision=0, tradeMinQuantity=1),
    contract("1000X-USDT", pricePrecision=9, quantityPrecision=0, tradeMinQuantity=1),
)


@pytest.fixture(scope="module")
def messages(recordings: Path) -> dict[str, str]:
    """Recorded text by the name of its file."""
    path = recordings / "bingx-messages" / "bingx_messages.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return {Path(row["origin_path"]).stem: row["text"] for row in rows}


def body(messages: dict[str, str], name: str) -> bytes:
    """The answer in a recorded call: what follows method, path and whether it is signed."""
    return messages[name].split("\n", 3)[3].encode()


def frames(text: str) -> list[bytes]:
    """What the server sent: the lines marked `<`, and the pushes, which may go on for lines."""
    found = re.findall(r"^[<=]\d?[ \t]*(.*(?:\n(?![<>=]).*)*)", text.replace("\r", ""), re.MULTILINE)
    return [one.strip().encode() for one in found]


def test_every_answer_has_its_envelope(messages: dict[str, str]) -> None:
    calls = [name for name, text in messages.items() if text.startswith(("GET", "POST", "DELETE"))]
    assert len(calls) == 18
    for name in calls:
        assert envelope(body(messages, name)).code == 0, name


def test_every_frame_is_an_answer_or_a_push(messages: dict[str, str]) -> None:
    recorded = {name: frames(text) for name, text in messages.items() if text.startswith(">")}
    assert len(recorded) == 8
    routed: dict[str, list[object]] = {}
    for name, texts in recorded.items():
        for text in texts:
            found = read_frame(inflate(gzip.compress(text)))
            if isinstance(found, TopicAnswer):
                assert found.code == 0, name
                continue
            assert isinstance(found, TopicData), name
            symbol, _, channel = found.topic.partition("@")
            if channel.startswith(("trade", "depth", "markPrice")):
                routed[channel] = [*read_topic(found, SOME.stated(symbol), RECV_NS)]
            else:  # bookTicker is stale, and prices of trades, days and candles are made from trades here
                with pytest.raises(VenueFault, match="nobody asked for"):
                    read_topic(found, SOME.stated(symbol), RECV_NS)
    assert set(routed) == {"trade", "depth20@100ms", "markPrice"}
    (mark,) = routed["markPrice"]
    assert isinstance(mark, MarkUpdate)
    assert mark.mark_ticks == 299_963.0
    (book,) = routed["depth20@100ms"]
    assert isinstance(book, BookUpdate)
    # Recorded worst ask first.
    assert (book.bids[0], book.asks[0], len(book.bids), len(book.asks)) == ((299_064, 1_413), (299_071, 1_526), 20, 20)
    prints = [one for one in routed["trade"] if isinstance(one, TradePrint)]
    assert len(prints) == 23
    assert [one.venue_ns for one in prints] == sorted(one.venue_ns for one in prints)
    assert (prints[0].side, prints[0].qty_lots, prints[-1].side, prints[-1].price_ticks) == (
        Side.BUY,
        678,
        Side.BUY,
        298_348,
    )


def test_recorded_market_data_over_rest(messages: dict[str, str]) -> None:
    book = read_depth(body(messages, "GetOrderBook"), SOME.stated("1000X-USDT"), RECV_NS)
    assert (book.bids[0], book.asks[0]) == ((9_854, 483_909), (9_856, 687_669))
    premium = read_premium_index(body(messages, "GetFundingRate"), SOME.stated("BTC-USDT"), RECV_NS)
    assert (premium.mark.mark_ticks, premium.funding_rate) == (422_164.0, "0.00025100")


def test_recorded_orders(messages: dict[str, str]) -> None:
    resting = read_orders(body(messages, "GetOpenOrders"), SOME, RECV_NS)
    assert [open_order(one) is not None for one in resting.orders] == [True, True]
    assert [one.price_ticks for one in resting.orders] == [444_596, 444_546]
    (filled,) = read_orders(body(messages, "GetOrders"), SOME, RECV_NS).orders
    assert (filled.status, filled.cum_lots, filled.avg_ticks) == (OrdStatus.FILLED, 33, Decimal(3_916))
    # 33 x 0.3916 = 12.9228 at 0.02 % is 0.00258456; the venue says 0.002585.
    assert filled.fee_atoms == filled.listing.instrument.atoms(Decimal("0.002585"))
    for name, ids in (
        ("CancelAllOrder", ["1736013373487123500"] * 2),
        ("CancelMultipleOrder", ["1735924831603391200", "1735924833239172400"]),
    ):
        canceled = read_canceled_many(body(messages, name), SOME, RECV_NS)
        assert [one.order_id for one in canceled.orders] == ids
        assert [(one.status, one.final) for one in canceled.orders] == [(OrdStatus.CANCELED, False)] * 2
        assert canceled.failed == ()


def test_recorded_answers_to_orders(messages: dict[str, str]) -> None:
    replaced = read_replaced(body(messages, "CancelReplaceOrder"), SOME, RECV_NS)
    assert (replaced.canceled, replaced.placed) == (True, True)
    assert replaced.old is not None
    assert replaced.new is not None
    assert (replaced.old.status, replaced.old.final, replaced.old.order_id) == (OrdStatus.NEW, False, "123456789")
    assert (replaced.new.price_ticks, replaced.new.order_lots, replaced.new.status) == (380_000, 100_000, None)
    assert read_amended(body(messages, "EditOrder"), SOME).order_lots == 9  # 0.00009, a number with an exponent or not
    (leg,) = read_batch(body(messages, "PlaceMultipleOrder"), SOME, RECV_NS).orders
    assert (leg.order_id, leg.side, leg.cum_lots, leg.status) == ("1736010300483712300", Side.SELL, -1, None)
    assert read_test(body(messages, "PlaceTestOrder")) == "BTC-USDT"


def test_orders_of_contracts_that_are_not_listed_are_named(messages: dict[str, str]) -> None:
    none = Listings([], {})
    assert read_orders(body(messages, "GetOrders"), none, RECV_NS).unlisted == ("PYTH-USDT",)
