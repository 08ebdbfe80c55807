"""Public endpoints: what each takes and answers."""

from __future__ import annotations

from venues.bingx.emulator.calls import Market
from venues.bingx.emulator.events import TradePrinted
from venues.bingx.emulator.parameters import Refused
from venues.bingx.emulator.refusals import invalid
from venues.bingx.emulator.render import Json, fixed
from venues.bingx.emulator.render_market import (
    INTERVALS_MS,
    bars,
    book_ticker,
    contract_row,
    day_of,
    depth,
    kline_row,
    premium_index,
    rules_row,
    ticker,
    trade_row,
)

DEPTHS = (5, 10, 20, 50, 100, 500, 1000)


def server_time(call: Market) -> Json:
    """GET v2/server/time."""
    return {"serverTime": call.now_ms()}


def contracts(call: Market) -> Json:
    """GET v2/quote/contracts."""
    symbol = call.parameters.text("symbol")
    return [contract_row(one) for one in ([call.contract(symbol)] if symbol else call.contracts())]


def trading_rules(call: Market) -> Json:
    """GET v1/tradingRules."""
    return rules_row(call.contract(call.parameters.needed("symbol")))


def quote_depth(call: Market) -> Json:
    """GET v2/quote/depth."""
    pit = call.pit(call.parameters.needed("symbol"))
    limit = call.parameters.whole("limit", default=20)
    if limit not in DEPTHS:
        raise Refused(invalid(f"limit: must be one of {', '.join([str(each) for each in DEPTHS])}"))
    worst = call.faults.strikes("depth-worst-first", on=call.where, symbol=pit.contract.symbol) is not None
    return depth(pit.book(limit), pit.contract, worst_first=worst)


def _limited(call: Market, *, default: int, most: int) -> int:
    limit = call.parameters.whole("limit", default=default)
    if not 1 <= limit <= most:
        raise Refused(invalid(f"limit: must be from 1 to {most}"))
    return limit


def quote_trades(call: Market) -> Json:
    """GET v2/quote/trades."""
    pit = call.pit(call.parameters.needed("symbol"))
    return [trade_row(one, pit.contract) for one in pit.trades(_limited(call, default=500, most=1000))]


def historical_trades(call: Market) -> Json:
    """GET v1/market/historicalTrades: the same with ids; `fromId` is the oldest wanted."""
    pit = call.pit(call.parameters.needed("symbol"))
    limit = _limited(call, default=50, most=100)
    first = call.parameters.whole("fromId", default=0)
    found: tuple[TradePrinted, ...] = tuple([one for one in pit.trades(1000) if one.trade_id >= first])
    kept = found[-limit:] if first else found[:limit]
    return [{**trade_row(one, pit.contract), "id": str(one.trade_id)} for one in kept]


def quote_book_ticker(call: Market) -> Json:
    """GET v2/quote/bookTicker."""
    pit = call.pit(call.parameters.needed("symbol"))
    return book_ticker(pit.book(1), pit.contract, call.now_ms())


def quote_ticker(call: Market) -> Json:
    """GET v2/quote/ticker: an object with `symbol`, else an array."""
    pits, one = call.asked_pits()
    rows = [ticker(day_of(pit), pit.book(1), pit.contract) for pit in pits]
    return rows[0] if one else rows


def ticker_price(call: Market) -> Json:
    """GET v1/ticker/price: an object with `symbol`, else an array."""
    pits, one = call.asked_pits()
    rows: list[dict[str, Json]] = [
        {
            "symbol": pit.contract.symbol,
            "price": fixed(day_of(pit).last, pit.contract.price_precision),
            "time": call.now_ms(),
        }
        for pit in pits
    ]
    return rows[0] if one else rows


def quote_premium_index(call: Market) -> Json:
    """GET v2/quote/premiumIndex: an object with `symbol`, else an array."""
    pits, one = call.asked_pits()
    rows = [premium_index(pit.premium(), pit.contract) for pit in pits]
    return rows[0] if one else rows


def funding_rate(call: Market) -> Json:
    """GET v2/quote/fundingRate: newest first, null for none."""
    limit = _limited(call, default=100, most=1000)
    start_ms, end_ms = _span(call)
    pit = call.pit(call.parameters.needed("symbol"))
    rows: list[Json] = [
        {"symbol": pit.contract.symbol, "fundingRate": fixed(rate, 8), "fundingTime": at_ms}
        for at_ms, rate in pit.fundings()
        if start_ms <= at_ms <= end_ms
    ]
    return rows[:limit] or None


def _span(call: Market) -> tuple[int, int]:
    start_ms = call.parameters.whole("startTime", default=0)
    end_ms = call.parameters.whole("endTime", default=0) or call.now_ms()
    if start_ms > end_ms:
        raise Refused(invalid("startTime must not be later than endTime"))
    return start_ms, end_ms


def klines(call: Market) -> Json:
    """GET v3/quote/klines: newest first, made of the trades that are kept."""
    pit = call.pit(call.parameters.needed("symbol"))
    interval_ms = INTERVALS_MS.get(call.parameters.needed("interval"))
    if interval_ms is None:
        raise Refused(invalid(f"interval: must be one of {', '.join(INTERVALS_MS)}"))
    limit = _limited(call, default=500, most=1440)
    start_ms, end_ms = _span(call)
    found = [one for one in bars(pit.candles(1440), interval_ms) if start_ms <= one.at_ms <= end_ms]
    return [kline_row(one, pit.contract) for one in found[:limit]]


def mark_price_klines(call: Market) -> Json:
    """GET v1/market/markPriceKlines: as klines, of trades too. Both times are its beginning, as was recorded."""
    rows = klines(call)
    assert isinstance(rows, list)
    found: list[dict[str, Json]] = []
    for row in rows:
        opened = row.pop("time")
        found.append({**row, "openTime": opened, "closeTime": opened})
    return found


def open_interest(call: Market) -> Json:
    """GET v2/quote/openInterest: its value, as a client's capture of some 3e9 for BTC can be nothing else."""
    pit = call.pit(call.parameters.needed("symbol"))
    return {
        "openInterest": fixed(pit.open_interest() * pit.premium().mark, 2),
        "symbol": pit.contract.symbol,
        "time": call.now_ms(),
    }


def no_rows(_call: Market) -> Json:
    """Another product's list, empty here: clients that read all of BingX's markets ask for it."""
    return []


def no_symbols(_call: Market) -> Json:
    """Spot symbols, none here."""
    return {"symbols": []}
