"""Bybit's public messages (v5): order book, tickers, trades, off a socket or in its history files.

Book        Snapshot, then deltas with absolute sizes; each delta's `u` is one more than the last, which the venue does
            not promise and recordings keep (991 of 991): one that is not loses the book. `u` = 1 says that the service
            began anew, and is a snapshot. Venue time is `cts`, the matching engine's, which trades have too.
Quotes      Tickers name only what changed. Their `cs` is in one order with the books' `seq`, over all topics.
Trades      `S` is the taker's side. Block trades are not of the book.
History     A line is one message, without a receive time: the time it was sent, `ts`, stands for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from sor.ids import VenueName
from sor.instruments import Instrument, canonical_symbol
from sor.lab.importers.recording import TIME_NS_MAX
from sor.lab.importers.said import BookSaid, OwnSnapshots, QuoteSaid, Said, TradeSaid
from sor.units import MS

_Id = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
_Millis = Annotated[int, msgspec.Meta(ge=0, le=TIME_NS_MAX // MS)]
_SIDES = {"Buy": 1, "Sell": -1}
_VENUES = {"linear": "bybit", "spot": "bybit_spot", "inverse": "bybit_inverse"}
_TAKER_E8 = {"bybit": 55_000, "bybit_inverse": 55_000, "bybit_spot": 100_000}
_MAKER_E8 = {"bybit": 20_000, "bybit_inverse": 20_000, "bybit_spot": 100_000}


class _Message(msgspec.Struct):
    topic: str = ""
    type: str = ""
    data: msgspec.Raw = msgspec.Raw()
    ts: _Millis = 0
    cts: _Millis = 0
    cs: _Id = 0


class _Book(msgspec.Struct, gc=False):
    s: str
    u: _Id
    seq: _Id
    b: list[tuple[str, str]] = []
    a: list[tuple[str, str]] = []


class _Ticker(msgspec.Struct, gc=False, rename="camel"):
    symbol: str
    bid1_price: str = ""
    bid1_size: str = ""
    ask1_price: str = ""
    ask1_size: str = ""


class _Trade(
    msgspec.Struct,
    gc=False,
    rename={"made_ms": "T", "side": "S", "qty": "v", "price": "p", "trade_id": "i", "block": "BT"},
):
    made_ms: _Millis
    s: str
    side: Literal["Buy", "Sell"]
    qty: str
    price: str
    trade_id: str
    block: bool = False


class _Listed(msgspec.Struct, rename="camel"):
    symbol: str
    price_filter: dict[str, str]
    lot_size_filter: dict[str, str]
    base_coin: str = ""
    quote_coin: str = ""
    settle_coin: str = ""


class _Page(msgspec.Struct, rename={"listed": "list"}):
    category: str = ""
    listed: list[_Listed] = []


class _Answer(msgspec.Struct):
    result: _Page


_decode = msgspec.json.Decoder(_Message).decode
_decode_book = msgspec.json.Decoder(_Book).decode
_decode_ticker = msgspec.json.Decoder(_Ticker).decode
_decode_trades = msgspec.json.Decoder(list[_Trade]).decode


class Bybit(OwnSnapshots):
    """The dialect, with the tickers' fields as last said."""

    name = "bybit"

    def __init__(self) -> None:
        self._tickers: dict[str, _Ticker] = {}

    def venue(self, address: str) -> str:
        """Told by the last part of the socket's path; linear contracts where it does not say."""
        return _VENUES.get(address.rpartition("/")[2], "bybit")

    def listing(self, url: str, body: str, venue: str, symbol: str) -> Instrument | None:
        """From `instruments-info`."""
        if "instruments-info" not in url:
            return None
        page = msgspec.json.decode(body, type=_Answer).result
        listed = next((one for one in page.listed if one.symbol == symbol), None)
        if listed is None or _VENUES.get(page.category) != venue:
            return None
        lots = listed.lot_size_filter
        return Instrument(
            symbol=canonical_symbol(symbol),
            venue=VenueName(venue),
            base=listed.base_coin,
            quote=listed.quote_coin,
            settle=listed.settle_coin,
            tick_size=Decimal(listed.price_filter["tickSize"]),
            lot_size=Decimal(lots.get("qtyStep") or lots["basePrecision"]),
            inverse=venue == "bybit_inverse",
            min_notional=Decimal(lots.get("minNotionalValue") or lots.get("minOrderAmt") or "0"),
            maker_fee_e8=_MAKER_E8[venue],
            taker_fee_e8=_TAKER_E8[venue],
        )

    def said(self, text: bytes) -> Sequence[Said]:
        """Book, ticker or trades of one message."""
        message = _decode(text)
        topic = message.topic.partition(".")[0]
        if topic == "orderbook":
            return (_book(message, _decode_book(message.data)),)
        if topic == "tickers":
            return self._ticker(message, _decode_ticker(message.data))
        if topic == "publicTrade":
            return [_trade(message, one) for one in _decode_trades(message.data)]
        return ()

    def _ticker(self, message: _Message, ticker: _Ticker) -> Sequence[Said]:
        last = self._tickers.get(ticker.symbol) if message.type == "delta" else None
        if last is not None:
            ticker = _Ticker(
                ticker.symbol,
                ticker.bid1_price or last.bid1_price,
                ticker.bid1_size or last.bid1_size,
                ticker.ask1_price or last.ask1_price,
                ticker.ask1_size or last.ask1_size,
            )
        self._tickers[ticker.symbol] = ticker
        if ticker == last or not all((ticker.bid1_price, ticker.bid1_size, ticker.ask1_price, ticker.ask1_size)):
            return ()
        quote = QuoteSaid(
            symbol=ticker.symbol,
            bid=ticker.bid1_price,
            bid_qty=ticker.bid1_size,
            ask=ticker.ask1_price,
            ask_qty=ticker.ask1_size,
            venue_ns=message.ts * MS,
            order=message.cs,
        )
        return (quote,)


def _book(message: _Message, book: _Book) -> BookSaid:
    return BookSaid(
        symbol=book.s,
        snapshot=message.type == "snapshot" or book.u == 1,
        bids=book.b,
        asks=book.a,
        venue_ns=(message.cts or message.ts) * MS,
        event_ns=message.ts * MS,
        seq=book.u,
        prev_seq=book.u - 1,
        order=book.seq,
    )


def _trade(message: _Message, trade: _Trade) -> TradeSaid:
    return TradeSaid(
        symbol=trade.s,
        trade_id=trade.trade_id,
        side=_SIDES[trade.side],
        price=trade.price,
        qty=trade.qty,
        venue_ns=trade.made_ms * MS,
        event_ns=message.ts * MS,
        off_book=trade.block,
    )
