"""Gate's public messages of futures (v4): `order_book_update` or `obu`, `book_ticker`, `trades`.

Book        `order_book_update` sends changes only; what they change is the REST `order_book`, asked for `with_id`. They
            are held until it comes: the first that fits has `U` <= id + 1 <= `u`, and each next one's `U` is the last
            `u` plus 1 (125 of 125 recorded). An answer that they have run past is a gap. `obu` sends its own snapshots
            (`full`). Source: the venue's announcements 19776 (2021-03) and 44946 (2025-05).
Sizes       Are contracts: `quanto_multiplier` coins each, of BTC_USD 1 USD.
Quotes      The tickers' `u` is in one order with the books': 10 of 10 that had the `u` of a change showed its best.
Trades      A negative `size` is a taker's who sold. Those of the insurance fund or deleveraging are not of the book.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

import msgspec

from sor.ids import VenueName
from sor.instruments import Instrument, canonical_symbol
from sor.lab.importers.said import BookSaid, Pairs, QuoteSaid, Said, TradeSaid, millis_ns
from sor.units import RATE_E8

_Id = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
_Size = int | str
"""A number; text for those who ask for decimal sizes."""


class _Message(msgspec.Struct):
    channel: str = ""
    event: str = ""
    time_ms: int = 0
    result: msgspec.Raw = msgspec.Raw()


class _Level(msgspec.Struct, gc=False):
    p: str
    s: _Size


_AnyLevel = _Level | tuple[str, str]


class _Update(msgspec.Struct, gc=False, rename={"first_id": "U", "last_id": "u", "made_ms": "t"}):
    """Of `order_book_update`, and with levels as pairs and a longer name in `s` of `obu`."""

    s: str
    last_id: _Id
    made_ms: int
    first_id: _Id = 0
    full: bool = False
    b: list[_AnyLevel] = []
    a: list[_AnyLevel] = []


class _Ticker(
    msgspec.Struct,
    gc=False,
    rename={"last_id": "u", "made_ms": "t", "bid": "b", "bid_qty": "B", "ask": "a", "ask_qty": "A"},
):
    s: str
    last_id: _Id
    made_ms: int
    bid: str
    bid_qty: _Size
    ask: str
    ask_qty: _Size


class _Trade(msgspec.Struct, gc=False, rename={"trade_id": "id", "made_ms": "create_time_ms"}):
    contract: str
    trade_id: _Id
    size: _Size
    price: str
    made_ms: int
    is_internal: bool = False


class _Answer(msgspec.Struct):
    """The REST book; times in seconds, the last change's and the answer's. Without an id: a refusal, or no base."""

    bids: list[_Level] = []
    asks: list[_Level] = []
    update: Decimal = Decimal(0)
    current: Decimal = Decimal(0)
    id: _Id = 0


class _Listed(msgspec.Struct):
    name: str
    type: str
    order_price_round: Decimal
    quanto_multiplier: Decimal
    maker_fee_rate: Decimal
    taker_fee_rate: Decimal


_decode = msgspec.json.Decoder(_Message).decode
_decode_update = msgspec.json.Decoder(_Update).decode
_decode_ticker = msgspec.json.Decoder(_Ticker).decode
_decode_trades = msgspec.json.Decoder(list[_Trade]).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode


class Gate:
    """The dialect."""

    name = "gate"

    def venue(self, address: str) -> str:
        """Told by the coin that is settled in, a part of every path; USDT where it does not say."""
        return "gate_btc" if "btc" in urlsplit(address).path.split("/") else "gate"

    def listing(self, url: str, body: str, venue: str, symbol: str) -> Instrument | None:
        """From `contracts`. Of an inverse one the multiplier is 0 there, and a contract is 1 USD."""
        if not urlsplit(url).path.endswith("/contracts") or self.venue(url) != venue:
            return None
        listed = next((one for one in msgspec.json.decode(body, type=list[_Listed]) if one.name == symbol), None)
        if listed is None:
            return None
        base, _, quote = symbol.partition("_")
        inverse = listed.type == "inverse"
        return Instrument(
            symbol=canonical_symbol(symbol),
            venue=VenueName(venue),
            base=base,
            quote=quote,
            settle=base if inverse else quote,
            tick_size=listed.order_price_round,
            lot_size=Decimal(1),
            multiplier=listed.quanto_multiplier or Decimal(1),
            inverse=inverse,
            maker_fee_e8=int(listed.maker_fee_rate * RATE_E8),
            taker_fee_e8=int(listed.taker_fee_rate * RATE_E8),
        )

    def said(self, text: bytes) -> Sequence[Said]:
        """Book, best quotes or trades of one message."""
        message = _decode(text)
        if message.event not in ("update", "") or not message.result:
            return ()
        match message.channel:
            case "futures.order_book_update" | "futures.obu":
                return (_book(message, _decode_update(message.result)),)
            case "futures.book_ticker":
                return (_quote(_decode_ticker(message.result)),)
            case "futures.trades":
                return [_trade(message, one) for one in _decode_trades(message.result)]
            case _:
                return ()

    def answered(self, url: str, body: str) -> Sequence[BookSaid]:
        """From `order_book`, where it was asked for `with_id`."""
        parts = urlsplit(url)
        if not parts.path.endswith("/order_book"):
            return ()
        book = _decode_answer(body)
        contract = parse_qs(parts.query).get("contract", [""])[0]
        if not book.id:
            return ()
        snapshot = BookSaid(
            symbol=contract,
            snapshot=True,
            beside=True,
            bids=_pairs(book.bids),
            asks=_pairs(book.asks),
            venue_ns=millis_ns(int(book.update * 1_000)),
            event_ns=millis_ns(int(book.current * 1_000)),
            seq=book.id,
            order=book.id,
        )
        return (snapshot,)


def _pairs(levels: Sequence[_AnyLevel]) -> Pairs:
    return [(one.p, str(one.s)) if isinstance(one, _Level) else one for one in levels]


def _book(message: _Message, update: _Update) -> BookSaid:
    channel, _, rest = update.s.partition(".")
    return BookSaid(
        symbol=rest.partition(".")[0] if channel == "ob" else update.s,  # ob.BTC_USDT.50
        snapshot=update.full,
        bids=_pairs(update.b),
        asks=_pairs(update.a),
        venue_ns=millis_ns(update.made_ms),
        event_ns=millis_ns(message.time_ms or update.made_ms),
        seq=update.last_id,
        prev_seq=update.first_id - 1,
        order=update.last_id,
    )


def _quote(ticker: _Ticker) -> QuoteSaid:
    return QuoteSaid(
        symbol=ticker.s,
        bid=ticker.bid,
        bid_qty=str(ticker.bid_qty),
        ask=ticker.ask,
        ask_qty=str(ticker.ask_qty),
        venue_ns=millis_ns(ticker.made_ms),
        order=ticker.last_id,
    )


def _trade(message: _Message, trade: _Trade) -> TradeSaid:
    size = str(trade.size)
    at = millis_ns(trade.made_ms)
    return TradeSaid(
        symbol=trade.contract,
        trade_id=str(trade.trade_id),
        side=-1 if size.startswith("-") else 1,
        price=trade.price,
        qty=size.removeprefix("-"),
        venue_ns=at,
        event_ns=millis_ns(message.time_ms) if message.time_ms else at,
        off_book=trade.is_internal,
    )
