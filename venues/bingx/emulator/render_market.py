"""Market data as BingX writes it, over REST and on the socket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from venues.bingx.emulator.contracts import Contract
from venues.bingx.emulator.events import BookChanged, PriceLevels, TradePrinted
from venues.bingx.emulator.pit import BookRow, Candle, DayRow, Pit, PremiumRow
from venues.bingx.emulator.render import Json, fixed, number

HOUR_MS = 3_600_000
INTERVALS_MS: Mapping[str, int] = {
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": HOUR_MS,
    "2h": 2 * HOUR_MS,
    "4h": 4 * HOUR_MS,
    "6h": 6 * HOUR_MS,
    "8h": 8 * HOUR_MS,
    "12h": 12 * HOUR_MS,
    "1d": 24 * HOUR_MS,
    "3d": 72 * HOUR_MS,
    "1w": 168 * HOUR_MS,
    "1M": 720 * HOUR_MS,
}
"""Candles; a month is thirty days here."""


def levels(side: PriceLevels, contract: Contract, *, worst_first: bool = False) -> list[list[str]]:
    """(price, quantity) as strings with the contract's decimals; 0 quantities stay."""
    price_digits, qty_digits = contract.price_precision, contract.qty_precision
    rows = [[fixed(price, price_digits), fixed(qty, qty_digits)] for price, qty in side]
    return rows[::-1] if worst_first else rows


def contract_row(contract: Contract) -> dict[str, Json]:
    """One row of quote/contracts."""
    return {
        "contractId": contract.contract_id,
        "symbol": contract.symbol,
        "displayName": contract.symbol,
        "size": "0",
        "quantityPrecision": contract.qty_precision,
        "pricePrecision": contract.price_precision,
        "feeRate": number(contract.taker_fee),
        "makerFeeRate": number(contract.maker_fee),
        "takerFeeRate": number(contract.taker_fee),
        "tradeMinLimit": 0,
        "tradeMinQuantity": number(contract.min_qty),
        "tradeMinUSDT": number(contract.min_notional),
        "maxLongLeverage": contract.leverage_max,
        "maxShortLeverage": contract.leverage_max,
        "currency": contract.quote,
        "asset": contract.asset,
        "status": contract.status,
        "apiStateOpen": "true" if contract.api_open else "false",
        "apiStateClose": "true" if contract.api_close else "false",
        "ensureTrigger": False,
        "triggerFeeRate": "0",
        "brokerState": False,
        "launchTime": contract.launch_ms,
        "maintainTime": 0,
        "offTime": 0,
    }


def rules_row(contract: Contract) -> dict[str, Json]:
    """Row of tradingRules: strings throughout."""
    rules = contract.rules
    return {
        "symbol": contract.symbol,
        "minSizeCoin": f"{contract.min_qty:f}",
        "minSizeUsd": f"{contract.min_notional:f}",
        "maxNumOrder": str(rules.open_orders_max),
        "protectionThreshold": f"{rules.protection_threshold:f}",
        "buyMaxPrice": f"{rules.buy_max:f}",
        "buyMinPrice": f"{rules.buy_min:f}",
        "sellMaxPrice": f"{rules.sell_max:f}",
        "sellMinPrice": f"{rules.sell_min:f}",
        "marketRatio": f"{rules.market_ratio:f}",
    }


def depth(book: BookRow, contract: Contract, *, worst_first: bool) -> dict[str, Json]:
    """Answer of quote/depth: no id, so it cannot be joined to the socket's updates."""
    bids, asks = levels(book.bids, contract), levels(book.asks, contract, worst_first=worst_first)
    return {"T": book.at_ms, "bids": bids, "asks": asks, "bidsCoin": bids, "asksCoin": asks}


def trade_row(trade: TradePrinted, contract: Contract) -> dict[str, Json]:
    """One row of quote/trades: without an id."""
    return {
        "time": trade.at_ms,
        "isBuyerMaker": trade.buyer_is_maker,
        "price": fixed(trade.price, contract.price_precision),
        "qty": fixed(trade.qty, contract.qty_precision),
        "quoteQty": fixed(trade.price * trade.qty, 2),
    }


def book_ticker(book: BookRow, contract: Contract, now_ms: int) -> dict[str, Json]:
    """Answer of quote/bookTicker: snake case and numbers. A side without orders is 0."""
    bid, ask = _best(book.bids), _best(book.asks)
    return {
        "book_ticker": {
            "symbol": contract.symbol,
            "bid_price": number(bid[0]),
            "bid_qty": number(bid[1]),
            "ask_price": number(ask[0]),
            "ask_qty": number(ask[1]),
            "lastUpdateId": book.update_id,
            "time": now_ms,
        }
    }


def _best(side: PriceLevels) -> tuple[Decimal, Decimal]:
    return side[0] if side else (Decimal(0), Decimal(0))


def day_of(pit: Pit) -> DayRow:
    """The ticker's figures; before the first trade all prices are the mark, as no market shows a price of 0."""
    day = pit.day()
    if day.last:
        return day
    mark = pit.premium().mark
    return msgspec.structs.replace(day, open=mark, high=mark, low=mark, last=mark)


def _change(day: DayRow) -> tuple[Decimal, Decimal]:
    """Since the day's open: absolute, and in percent."""
    change = day.last - day.open
    return change, 100 * change / day.open if day.open else Decimal(0)


def ticker(day: DayRow, book: BookRow, contract: Contract) -> dict[str, Json]:
    """Answer of quote/ticker."""
    price_digits, qty_digits = contract.price_precision, contract.qty_precision
    change, percent = _change(day)
    bid, ask = _best(book.bids), _best(book.asks)
    return {
        "symbol": contract.symbol,
        "priceChange": fixed(change, price_digits),
        "priceChangePercent": fixed(percent, 2),
        "lastPrice": fixed(day.last, price_digits),
        "lastQty": fixed(day.last_qty, qty_digits),
        "highPrice": fixed(day.high, price_digits),
        "lowPrice": fixed(day.low, price_digits),
        "volume": fixed(day.volume, qty_digits),
        "quoteVolume": fixed(day.value, 2),
        "openPrice": fixed(day.open, price_digits),
        "openTime": day.open_ms,
        "closeTime": day.close_ms,
        "askPrice": fixed(ask[0], price_digits),
        "askQty": fixed(ask[1], qty_digits),
        "bidPrice": fixed(bid[0], price_digits),
        "bidQty": fixed(bid[1], qty_digits),
    }


def premium_index(row: PremiumRow, contract: Contract) -> dict[str, Json]:
    """Answer of quote/premiumIndex; `updateTime` is the last settlement and says nothing about freshness."""
    settled_ms = row.settled_ms or row.next_funding_ms - row.funding_hours * HOUR_MS
    return {
        "symbol": contract.symbol,
        "markPrice": fixed(row.mark, contract.price_precision),
        "indexPrice": fixed(row.index, contract.price_precision),
        "lastFundingRate": fixed(row.funding_rate, 8),
        "nextFundingTime": row.next_funding_ms,
        "fundingIntervalHours": row.funding_hours,
        "minFundingRate": "-0.02",
        "maxFundingRate": "0.02",
        "updateTime": settled_ms,
    }


class Bar(msgspec.Struct, gc=False):
    """One candle of any interval, while it is put together."""

    at_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


def bars(minutes: Sequence[Candle], interval_ms: int) -> list[Bar]:
    """Candles of an interval out of minutes, newest first in and out; an interval without a trade is absent."""
    found: list[Bar] = []
    for minute in reversed(minutes):
        at_ms = minute.at_ms // interval_ms * interval_ms
        if found and found[-1].at_ms == at_ms:
            bar = found[-1]
            bar.high = max(bar.high, minute.high)
            bar.low = min(bar.low, minute.low)
            bar.close = minute.close
            bar.volume += minute.volume
        else:
            found.append(Bar(at_ms, minute.open, minute.high, minute.low, minute.close, minute.volume))
    return found[::-1]


def kline_row(bar: Bar, contract: Contract) -> dict[str, Json]:
    """One row of quote/klines."""
    digits = contract.price_precision
    return {
        "open": fixed(bar.open, digits),
        "close": fixed(bar.close, digits),
        "high": fixed(bar.high, digits),
        "low": fixed(bar.low, digits),
        "volume": fixed(bar.volume, contract.qty_precision),
        "time": bar.at_ms,
    }


# --- the socket -------------------------------------------------------------------------------------------------------


def on_topic(topic: str, data: Json, **beside: Json) -> dict[str, Json]:
    """A data frame. beside: what stands next to the data."""
    return {"code": 0, "dataType": topic, **beside, "data": data}


def incr_depth(
    action: str, update_id: int, at_ms: int, bids: PriceLevels, asks: PriceLevels, contract: Contract, *, worst: bool
) -> dict[str, Json]:
    """`all` or `update` of incrDepth. worst: asks come worst first."""
    return {
        "action": action,
        "lastUpdateId": update_id,
        "time": at_ms,
        "bids": levels(bids, contract),
        "asks": levels(asks, contract, worst_first=worst),
    }


def book_update(event: BookChanged, contract: Contract, *, worst: bool) -> dict[str, Json]:
    """One `update`."""
    return incr_depth("update", event.update_id, event.at_ms, event.bids, event.asks, contract, worst=worst)


def trade_push(trade: TradePrinted, contract: Contract) -> dict[str, Json]:
    """One row of a trade array."""
    return {
        "q": fixed(trade.qty, contract.qty_precision),
        "p": fixed(trade.price, contract.price_precision),
        "T": trade.at_ms,
        "m": trade.buyer_is_maker,
        "s": contract.symbol,
    }


def book_ticker_push(book: BookRow, contract: Contract, now_ms: int) -> dict[str, Json]:
    """BookTicker: b and B are the bid's price and size, a and A the ask's."""
    price_digits, qty_digits = contract.price_precision, contract.qty_precision
    bid, ask = _best(book.bids), _best(book.asks)
    return {
        "e": "bookTicker",
        "u": book.update_id,
        "E": now_ms,
        "T": book.at_ms,
        "s": contract.symbol,
        "b": fixed(bid[0], price_digits),
        "B": fixed(bid[1], qty_digits),
        "a": fixed(ask[0], price_digits),
        "A": fixed(ask[1], qty_digits),
    }


def ticker_push(day: DayRow, book: BookRow, contract: Contract, now_ms: int) -> dict[str, Json]:
    """24hTicker: here B and A are prices, b and a sizes, the reverse of bookTicker."""
    price_digits, qty_digits = contract.price_precision, contract.qty_precision
    change, percent = _change(day)
    bid, ask = _best(book.bids), _best(book.asks)
    return {
        "e": "24hTicker",
        "E": now_ms,
        "s": contract.symbol,
        "p": fixed(change, price_digits),
        "P": fixed(percent, 2),
        "c": fixed(day.last, price_digits),
        "L": fixed(day.last_qty, qty_digits),
        "h": fixed(day.high, price_digits),
        "l": fixed(day.low, price_digits),
        "v": fixed(day.volume, qty_digits),
        "q": fixed(day.value, 2),
        "o": fixed(day.open, price_digits),
        "O": day.open_ms,
        "C": day.close_ms,
        "A": fixed(ask[0], price_digits),
        "a": fixed(ask[1], qty_digits),
        "B": fixed(bid[0], price_digits),
        "b": fixed(bid[1], qty_digits),
    }


def kline_push(bar: Bar, contract: Contract) -> dict[str, Json]:
    """The running candle."""
    digits = contract.price_precision
    return {
        "c": fixed(bar.close, digits),
        "o": fixed(bar.open, digits),
        "h": fixed(bar.high, digits),
        "l": fixed(bar.low, digits),
        "v": fixed(bar.volume, contract.qty_precision),
        "T": bar.at_ms,
    }
