"""Bitget's public messages (v1): `books` with checksums, trades, tickers, of spot and of linear contracts.

Book        Snapshot, then updates. They are not numbered: what tells a lost one is the checksum that every message has
            (369 of 369 recorded ones were right).
Sizes       Are base coins, of contracts too. Coin-margined contracts (`dmcbl`) are, though they settle inversely, which
            is none of our kinds of instrument: they are not taken from the listing.
Quotes      Tickers are left out and counted: they have no place among the books, and on spot no sizes.
Trades      `side` is the taker's. They have no ids, so upon subscription the venue's last trades, which it repeats as a
            `snapshot`, could not be told from those told before: these are left out.
Not read    v2, whose sockets serve all markets at one address.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

import msgspec

from sor.ids import VenueName
from sor.instruments import Instrument, canonical_symbol
from sor.lab.importers.channel_message import SIDES, ChannelMessage, message_of
from sor.lab.importers.said import BookSaid, OwnSnapshots, QuoteSaid, Said, TradeSaid, millis_ns
from sor.units import RATE_E8

_KINDS = ("sp", "mc")
_INVERSE = "DMCBL"


class _Book(msgspec.Struct, gc=False):
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    ts: str
    checksum: int


class _Ticker(msgspec.Struct, gc=False, rename="camel"):
    inst_id: str
    ts: int | str
    best_bid: str = ""
    best_ask: str = ""


class _Listed(msgspec.Struct, rename="camel"):
    """A row of spot's `products` (scales) or of the contracts' (places)."""

    symbol: str
    base_coin: str
    quote_coin: str
    maker_fee_rate: Decimal
    taker_fee_rate: Decimal
    price_scale: int | str | None = None
    quantity_scale: int | str | None = None
    price_place: int | str | None = None
    price_end_step: Decimal = Decimal(1)
    volume_place: int | str | None = None


class _Answer(msgspec.Struct):
    data: list[_Listed] = []


_Trade = tuple[str, str, str, Literal["buy", "sell"]]
"""Time, price, size, side."""

_decode_books = msgspec.json.Decoder(list[_Book]).decode
_decode_trades = msgspec.json.Decoder(list[_Trade]).decode
_decode_tickers = msgspec.json.Decoder(list[_Ticker]).decode


class Bitget(OwnSnapshots):
    """The dialect."""

    name = "bitget"

    def venue(self, address: str) -> str:
        """Told by the socket's path; contracts where it does not say."""
        return "bitget_spot" if "/spot/" in address else "bitget"

    def listing(self, url: str, body: str, venue: str, symbol: str) -> Instrument | None:
        """From `public/products` of spot or `market/contracts`, where `_SPBL` or another mark ends each symbol."""
        if not url.partition("?")[0].endswith(("/products", "/contracts")) or self.venue(url) != venue:
            return None
        for one in msgspec.json.decode(body, type=_Answer).data:
            name, _, mark = one.symbol.partition("_")
            if name == symbol and mark != _INVERSE:
                return Instrument(
                    symbol=canonical_symbol(symbol),
                    venue=VenueName(venue),
                    base=one.base_coin,
                    quote=one.quote_coin,
                    settle=one.quote_coin,
                    tick_size=one.price_end_step * _step(one.price_place, one.price_scale),
                    lot_size=_step(one.volume_place, one.quantity_scale),
                    maker_fee_e8=int(one.maker_fee_rate * RATE_E8),
                    taker_fee_e8=int(one.taker_fee_rate * RATE_E8),
                )
        return None

    def said(self, text: bytes) -> Sequence[Said]:
        """Books, trades or tickers of one message."""
        message = message_of(text)
        if message is None or message.arg.inst_type.lower() not in _KINDS:
            return ()
        arg = message.arg
        if arg.channel == "books":
            return [_book(message, one) for one in _decode_books(message.data)]
        if arg.channel == "trade" and message.action == "update":
            return [_trade(message, one) for one in _decode_trades(message.data)]
        if arg.channel == "ticker":
            return [_quote(one) for one in _decode_tickers(message.data)]
        return ()


def _step(place: int | str | None, scale: int | str | None) -> Decimal:
    """10**-n, n being the decimals that either names. Raises `KeyError` where neither does."""
    named = place if place is not None else scale
    if named is None:
        raise KeyError("decimals")
    return Decimal(1).scaleb(-int(named))


def _book(message: ChannelMessage, book: _Book) -> BookSaid:
    at = millis_ns(book.ts)
    return BookSaid(
        symbol=message.arg.inst_id,
        snapshot=message.action == "snapshot",
        bids=book.bids,
        asks=book.asks,
        venue_ns=at,
        event_ns=at,
        checksum=book.checksum,
    )


def _trade(message: ChannelMessage, trade: _Trade) -> TradeSaid:
    made, price, qty, side = trade
    at = millis_ns(made)
    return TradeSaid(
        symbol=message.arg.inst_id,
        trade_id="",
        side=SIDES[side],
        price=price,
        qty=qty,
        venue_ns=at,
        event_ns=at,
    )


def _quote(ticker: _Ticker) -> QuoteSaid:
    return QuoteSaid(
        symbol=ticker.inst_id,
        bid=ticker.best_bid,
        bid_qty="",
        ask=ticker.best_ask,
        ask_qty="",
        venue_ns=millis_ns(ticker.ts),
    )
