"""A public client that was not written here, pointed at the emulator over TCP: only its base addresses are changed."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator

import pytest

from tests.fakes.bingx_server import Served, serving
from venues.bingx.environments import EMULATOR_HEDGE_KEY, EMULATOR_HEDGE_SECRET, EMULATOR_KEY, EMULATOR_SECRET

ccxt = pytest.importorskip("ccxt", reason="the public client is not installed: pip install sor[peers]")
pro = pytest.importorskip("ccxt.pro", reason="the public client is not installed: pip install sor[peers]")

BTC = "BTC/USDT:USDT"
WAIT_S = 10.0


@pytest.fixture(scope="module")
def venue() -> Iterator[Served]:
    with serving() as served:
        yield served


def pointed(client: object, venue: Served) -> object:
    """The client with every address replaced by the emulator's."""
    urls = client.urls  # type: ignore[attr-defined]
    api = urls["api"]
    for name, address in api.items():
        if isinstance(address, str):
            api[name] = f"{venue.rest}/openApi"
    if "ws" in api:
        api["ws"] = dict.fromkeys(api["ws"], venue.socket)
    return client


def blocking(venue: Served, *, key: str = EMULATOR_KEY, secret: str = EMULATOR_SECRET):  # type: ignore[no-untyped-def]  # noqa: ANN201
    return pointed(ccxt.bingx({"apiKey": key, "secret": secret, "options": {"defaultType": "swap"}}), venue)


def control(venue: Served, name: str, **body: object) -> object:
    request = urllib.request.Request(f"{venue.rest}/_emulator/{name}", data=json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=WAIT_S) as reply:
        return json.load(reply)


def test_markets_and_public_data(venue: Served) -> None:
    client = blocking(venue)
    markets = client.load_markets()
    btc = markets[BTC]
    assert (btc["precision"]["price"], btc["precision"]["amount"]) == (0.1, 0.0001)
    assert (btc["limits"]["amount"]["min"], btc["limits"]["cost"]["min"]) == (0.0001, 2)
    assert btc["active"]
    assert (btc["settle"], btc["linear"], btc["contractSize"]) == ("USDT", True, 1)
    book = client.fetch_order_book(BTC, 5)
    assert len(book["bids"]) == len(book["asks"]) == 5
    assert book["bids"][0][0] == 59999.9
    control(venue, "trade", symbol="BTC-USDT", side="BUY", qty="0.001", price="60000.1")
    newest = client.fetch_trades(BTC)[-1]
    assert (newest["price"], newest["amount"], newest["side"]) == (60000.1, 0.001, "buy")
    assert client.fetch_ticker(BTC)["last"] == 60000.1
    assert client.fetch_ohlcv(BTC)[-1][4] == 60000.1
    funding = client.fetch_funding_rate(BTC)
    assert funding["markPrice"] == pytest.approx(60_000, rel=0.001)
    assert client.fetch_open_interest(BTC)["openInterestValue"] == 0
    assert abs(client.fetch_time() - client.milliseconds()) < 5_000


def test_trading(venue: Served) -> None:
    client = blocking(venue)
    client.load_markets()
    client.set_position_mode(hedged=False)
    assert client.fetch_position_mode(BTC)["hedged"] is False
    client.set_leverage(5, BTC, {"side": "BOTH"})
    assert client.fetch_leverage(BTC)["longLeverage"] == 5

    bought = client.create_order(BTC, "market", "buy", 0.01, None, {"clientOrderId": "ccxt-market-1"})
    assert (bought["status"], bought["filled"], bought["average"]) == ("closed", 0.01, pytest.approx(60000.1))
    assert bought["clientOrderId"] == "ccxt-market-1"
    seen = client.fetch_order(bought["id"], BTC)
    assert (seen["status"], seen["filled"], seen["fee"]["currency"]) == ("closed", 0.01, "USDT")
    assert seen["fee"]["cost"] == pytest.approx(0.01 * 60000.1 * 0.0005, abs=1e-6)

    resting = client.create_order(BTC, "limit", "buy", 0.01, 59_000)
    maker = client.create_order(BTC, "limit", "sell", 0.02, 61_000, {"postOnly": True})
    opened = {order["id"]: order for order in client.fetch_open_orders(BTC)}
    assert set(opened) == {resting["id"], maker["id"]}
    assert opened[maker["id"]]["price"] == 61_000
    assert opened[resting["id"]]["status"] == "open"
    with pytest.raises(ccxt.ExchangeError, match="101215"):
        client.create_order(BTC, "limit", "buy", 0.01, 60_500, {"postOnly": True})
    with pytest.raises(ccxt.InvalidOrder, match="unique check"):
        client.create_order(BTC, "limit", "buy", 0.01, 59_000, {"clientOrderId": "ccxt-market-1"})

    canceled = client.cancel_order(resting["id"], BTC)
    assert canceled["status"] == "canceled"
    with pytest.raises(ccxt.OrderNotFound):
        client.cancel_order("1234567890123456789", BTC)
    client.cancel_all_orders(BTC)
    assert client.fetch_open_orders(BTC) == []
    states = {order["id"]: order["status"] for order in client.fetch_orders(BTC, limit=10)}
    assert states[maker["id"]] == "canceled"

    fills = client.fetch_my_trades(BTC)
    assert [(fill["order"], fill["amount"], fill["price"]) for fill in fills] == [(bought["id"], 0.01, 60000.1)]
    [position] = client.fetch_positions([BTC])
    assert (position["side"], position["contracts"], position["leverage"]) == ("long", 0.01, 5)
    balance = client.fetch_balance()["USDT"]
    assert balance["used"] == pytest.approx(0.01 * 60000.1 / 5, abs=0.001)

    client.create_order(BTC, "market", "sell", 0.01, None, {"reduceOnly": True})
    assert client.fetch_positions([BTC]) == []


def test_a_wrong_secret_is_refused(venue: Served) -> None:
    client = blocking(venue, secret="somebody-elses")
    with pytest.raises(ccxt.AuthenticationError, match="100001"):
        client.fetch_balance({"type": "swap"})


async def _watched(venue: Served) -> dict[str, object]:
    """What the client's socket side sees of a book, a trade and an order of its own, in hedge mode."""
    keys = {"apiKey": EMULATOR_HEDGE_KEY, "secret": EMULATOR_HEDGE_SECRET}
    client = pointed(pro.bingx({**keys, "options": {"defaultType": "swap"}}), venue)
    found: dict[str, object] = {}
    try:
        await client.load_markets()  # type: ignore[attr-defined]
        watch = client.watch_order_book, client.watch_trades, client.watch_orders  # type: ignore[attr-defined]
        found["book"] = await asyncio.wait_for(watch[0](BTC), WAIT_S)

        orders = asyncio.ensure_future(watch[2](BTC))
        trades = asyncio.ensure_future(watch[1](BTC))
        # Both are subscribed when their sockets have been acknowledged, which the client does not tell: so trade until
        # something is heard, a bounded number of times.
        placed: list[str] = []
        for _ in range(10):
            terms = {"hedged": True}
            order = await client.create_order(BTC, "market", "buy", 0.001, None, terms)  # type: ignore[attr-defined]
            placed.append(order["id"])
            done, _ = await asyncio.wait({orders, trades}, timeout=0.5, return_when=asyncio.ALL_COMPLETED)
            if len(done) == 2:
                break
        found["orders"] = await asyncio.wait_for(orders, WAIT_S)
        found["trades"] = await asyncio.wait_for(trades, WAIT_S)
        found["placed"] = placed
    finally:
        await client.close()  # type: ignore[attr-defined]
    return found


def test_watching(venue: Served) -> None:
    found = asyncio.run(_watched(venue))
    book, orders, trades, placed = found["book"], found["orders"], found["trades"], found["placed"]
    assert isinstance(book, dict)
    assert isinstance(orders, list)
    assert isinstance(trades, list)
    assert isinstance(placed, list)
    assert book["bids"][0][0] == 59999.9
    assert book["bids"][0][0] < book["asks"][0][0]
    assert orders[-1]["id"] in placed
    assert orders[-1]["symbol"] == BTC
    assert trades[-1]["amount"] == 0.001
    assert trades[-1]["side"] == "buy"
