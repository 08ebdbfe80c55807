"""OKX's public messages (v5): `books` with checksums, trades, tickers.

Book        Snapshot, then updates. Each update's `prevSeqId` is the last `seqId`; that it may be smaller than it (a
            maintenance reset) or equal (nothing changed for a minute) breaks nothing. Messages from before there were
            such ids, and all until 2026, have a checksum; since then it is 0, which is none.
Sizes       Are contracts on futures and swaps: `ctVal` times `ctMult` units each.
Quotes      Tickers are left out and counted: their `ts` and that of the books cannot be compared. Of 12 that fell
            between two books by `ts`, 11 showed the best of another book than those two.
Trades      `side` is the taker's. Upon subscription the venue repeats the last trade.
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

_NO_CHECKSUM = 0


class _Book(msgspec.Struct, gc=False, rename="camel"):
    bids: list[list[str]]
    asks: list[list[str]]
    ts: str
    checksum: int = _NO_CHECKSUM
    seq_id: int = -1
    prev_seq_id: int = -1


class _Trade(msgspec.Struct, gc=False, rename="camel"):
    inst_id: str
    trade_id: str
    px: str
    sz: str
    side: Literal["buy", "sell"]
    ts: str


class _Ticker(msgspec.Struct, gc=False, rename="camel"):
    inst_id: str
    bid_px: str
    bid_sz: str
    ask_px: str
    ask_sz: str
    ts: str


class _Listed(msgspec.Struct, rename="camel"):
    inst_id: str
    inst_type: str
    tick_sz: str
    lot_sz: str
    base_ccy: str = ""
    quote_ccy: str = ""
    settle_ccy: str = ""
    ct_type: str = ""
    ct_val: str = ""
    ct_mult: str = ""


class _Answer(msgspec.Struct):
    data: list[_Listed] = []


_decode_books = msgspec.json.Decoder(list[_Book]).decode
_decode_trades = msgspec.json.Decoder(list[_Trade]).decode
_decode_tickers = msgspec.json.Decoder(list[_Ticker]).decode


class Okx(OwnSnapshots):
    """The dialect."""

    name = "okx"

    def venue(self, address: str) -> str:
        """One market has all."""
        del address
        return "okx"

    def listing(self, url: str, body: str, venue: str, symbol: str) -> Instrument | None:
        """From `public/instruments`."""
        if "/public/instruments" not in url:
            return None
        listed = next(
            (one for one in msgspec.json.decode(body, type=_Answer).data if one.inst_id == symbol),
            None,
        )
        if listed is None:
            return None
        spot = listed.inst_type == "SPOT"
        return Instrument(
            symbol=canonical_symbol(symbol),
            venue=VenueName(venue),
            base=listed.base_ccy,
            quote=listed.quote_ccy,
            settle=listed.settle_ccy,
            tick_size=Decimal(listed.tick_sz),
            lot_size=Decimal(listed.lot_sz),
            multiplier=Decimal(listed.ct_val or 1) * Decimal(listed.ct_mult or 1),
            inverse=listed.ct_type == "inverse",
            maker_fee_e8=80_000 if spot else 20_000,
            taker_fee_e8=100_000 if spot else 50_000,
        )

    def said(self, text: bytes) -> Sequence[Said]:
        """Books, trades or tickers of one message."""
        message = message_of(text)
        if message is None:
            return ()
        channel = message.arg.channel
        if channel == "books" or channel.endswith("l2-tbt"):
            return [_book(message, one) for one in _decode_books(message.data)]
        if channel == "trades":
            return [_trade(one) for one in _decode_trades(message.data)]
        if channel == "tickers":
            return [_quote(one) for one in _decode_tickers(message.data)]
        return ()


def _book(message: ChannelMessage, book: _Book) -> BookSaid:
    at = millis_ns(book.ts)
    return BookSaid(
        symbol=message.arg.inst_id,
        snapshot=message.action == "snapshot",
        bids=[(level[0], level[1]) for level in book.bids],
        asks=[(level[0], level[1]) for level in book.asks],
        venue_ns=at,
        event_ns=at,
        seq=book.seq_id,
        prev_seq=book.prev_seq_id,
        checksum=None if book.checksum == _NO_CHECKSUM else book.checksum,
    )


def _trade(trade: _Trade) -> TradeSaid:
    at = millis_ns(trade.ts)
    return TradeSaid(
        symbol=trade.inst_id,
        trade_id=trade.trade_id,
        side=SIDES[trade.side],
        price=trade.px,
        qty=trade.sz,
        venue_ns=at,
        event_ns=at,
    )


def _quote(ticker: _Ticker) -> QuoteSaid:
    return QuoteSaid(
        symbol=ticker.inst_id,
        bid=ticker.bid_px,
        bid_qty=ticker.bid_sz,
        ask=ticker.ask_px,
        ask_qty=ticker.ask_sz,
        venue_ns=millis_ns(ticker.ts),
    )
