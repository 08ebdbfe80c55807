"""A public client that was not written here, pointed at the emulator over TCP: only its base addresses are changed."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator

import pytest

from tests.fakes.bingx_server import Served, serving
from tests.fakes.patience import PATIENCE_S
from venues.bingx.environments import EMULATOR_HEDGE_KEY, EMULATOR_HEDGE_SECRET, EMULATOR_KEY, EMULATOR_SECRET

ccxt = pytest.importorskip("ccxt", reason="the public client is not installed: pip install sor[peers]")
pro = pytest.importorskip("ccxt.pro", reason="the public client is not installed: pip install sor[peers]")

BTC = "BTC/USDT:USDT"
WAIT_S = PATIENCE_S


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
        api["ws"] = {**api["ws"], "linear": venue.socket}
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


def test_changing_several_at_once(venue: Served) -> None:
    client = blocking(venue)
    client.load_markets()

    def buy(price: float) -> dict[str, object]:
        return {"symbol": BTC, "type": "limit", "side": "buy", "amount": 0.01, "price": price}

    first, second = client.create_orders([buy(58_000), buy(57_000)])
    edited = client.edit_order(first["id"], BTC, "limit", "buy", 0.01, 56_000)
    opened = {order["price"]: order["id"] for order in client.fetch_open_orders(BTC)}
    assert set(opened) == {57_000, 56_000}
    assert edited["id"] == opened[56_000]
    canceled = client.cancel_orders([second["id"]], BTC)
    assert [order["id"] for order in canceled] == [second["id"]]
    client.cancel_all_orders_after(10_000)
    client.cancel_all_orders_after(0)
    client.cancel_all_orders(BTC)
    spent = client.create_market_order_with_cost(BTC, "buy", 500)
    assert spent["filled"] == pytest.approx(0.0083)
    client.close_position(BTC)
    assert client.fetch_positions([BTC]) == []


# The client is not typed throughout: what it hands out is looked at as it comes.
Row = dict[str, object]
Heard = dict[str, list[Row]]


async def _watched(venue: Served) -> Heard:
    """What the client's socket side sees of a book, of trades and of orders of its own, in hedge mode."""
    keys = {"apiKey": EMULATOR_HEDGE_KEY, "secret": EMULATOR_HEDGE_SECRET}
    client = pro.bingx({**keys, "options": {"defaultType": "swap"}})
    pointed(client, venue)
    try:
        await client.load_markets()
        book = await asyncio.wait_for(client.watch_order_book(BTC), WAIT_S)
        # The balance first: the client never finishes it behind another watch of the same socket.
        balance = asyncio.ensure_future(client.watch_balance())
        watches = {
            "trades": client.watch_trades(BTC),
            "orders": client.watch_orders(BTC),
            "fills": client.watch_my_trades(BTC),
            "positions": client.watch_positions([BTC]),
        }
        heard = {name: asyncio.ensure_future(watch) for name, watch in watches.items()}
        # Everything is subscribed when its socket has been acknowledged, which the client does not tell: so trade
        # until all has been heard, a bounded number of times.
        placed: list[Row] = []
        for _ in range(100):
            order = await client.create_order(BTC, "market", "buy", 0.001, None, {"hedged": True})
            placed.append(order)
            waiting = [*heard.values(), balance]
            done, _ = await asyncio.wait(waiting, timeout=0.5, return_when=asyncio.ALL_COMPLETED)
            if len(done) == len(waiting):
                break
        found = {name: list(await asyncio.wait_for(watch, WAIT_S)) for name, watch in heard.items()}
        money = await asyncio.wait_for(balance, WAIT_S)
    finally:
        await client.close()
    return {**found, "placed": placed, "book": [book], "balance": [money["USDT"]]}


def test_watching(venue: Served) -> None:
    found = asyncio.run(_watched(venue))
    ids = [order["id"] for order in found["placed"]]
    [book] = found["book"]
    bids, asks = book["bids"], book["asks"]
    assert isinstance(bids, list)
    assert isinstance(asks, list)
    assert bids[0][0] == 59999.9 < asks[0][0]
    order, trade, fill, position = (found[name][-1] for name in ("orders", "trades", "fills", "positions"))
    assert (order["id"] in ids, order["symbol"]) == (True, BTC)
    assert (trade["amount"], trade["side"]) == (0.001, "buy")
    assert (fill["order"] in ids, fill["amount"], fill["price"]) == (True, 0.001, pytest.approx(60_000, rel=0.001))
    assert position["side"] == "long"
    assert found["balance"][0]["free"] == pytest.approx(100_000, abs=10)
