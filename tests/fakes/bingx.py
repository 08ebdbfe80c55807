"""BingX as tests need it: a contract list, and news of orders."""

from __future__ import annotations

import json

from venues.bingx.listings import Listing, Listings, read_listings

RECV_NS = 1_760_000_000_500_000_000

ROW: dict[str, object] = {
    "contractId": "100",
    "symbol": "BTC-USDT",
    "displayName": "BTC-USDT",
    "size": "0.0001",
    "quantityPrecision": 3,
    "pricePrecision": 1,
    "feeRate": 0.0005,
    "makerFeeRate": 0.0002,
    "takerFeeRate": 0.0005,
    "tradeMinLimit": 0,
    "tradeMinQuantity": 0.001,
    "tradeMinUSDT": 2,
    "maxLongLeverage": 150,
    "maxShortLeverage": 150,
    "currency": "USDT",
    "asset": "BTC",
    "status": 1,
    "apiStateOpen": "true",
    "apiStateClose": "true",
    "ensureTrigger": True,
    "triggerFeeRate": "0.0005",
    "brokerState": False,
    "launchTime": 1700000000000,
    "maintainTime": 0,
    "offTime": 0,
}


def answer(data: object, *, code: int = 0, msg: str = "") -> bytes:
    """An answer in its envelope."""
    return json.dumps({"code": code, "msg": msg, "data": data}).encode()


def contract(symbol: str = "BTC-USDT", **terms: object) -> dict[str, object]:
    """A row of the contract list."""
    return {**ROW, "symbol": symbol, "displayName": symbol, "asset": symbol.partition("-")[0], **terms}


def listings(*rows: dict[str, object]) -> Listings:
    """Contracts by row; BTC-USDT with ticks of 0.1 and lots of 0.001 where none is given."""
    return read_listings(answer([*rows] or [contract()]))


def btc(**terms: int) -> Listing:
    """BTC-USDT."""
    return listings({**contract(), **terms}).stated("BTC-USDT")
