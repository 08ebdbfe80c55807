"""What a message of any venue's public socket says of a market, in one form: book, best quotes, trades.

Each venue's module turns its own messages into these and knows its own rules; `sor.lab.importers.sockets` makes a tape
of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from sor.instruments import Instrument
from sor.lab.importers.recording import TIME_NS_MAX
from sor.units import MS

Pairs = Sequence[tuple[str, str]]
"""Levels as (price, quantity), both decimal text."""


class BookSaid(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Levels with their new total size; "0" takes one away.

    symbol      as the venue spells it.
    snapshot    it replaces the whole book. beside: it came beside the stream of changes (a REST answer), so that
                changes told before it may belong after it, and the first of these may reach back over it.
    venue_ns    when the levels were so, by the matching engine where it says so; event_ns: when the venue sent it.
    seq         the place of this state in the venue's own order; prev_seq: that of the state it changes, -1 where the
                venue names none, so that a gap cannot be seen in it.
    order       the place among the best quotes of the same venue, -1 where the two cannot be compared.
    checksum    CRC32 of the book afterwards, signed, None where the venue gives none.
    """

    symbol: str
    snapshot: bool
    bids: Pairs
    asks: Pairs
    venue_ns: int
    event_ns: int
    seq: int = -1
    prev_seq: int = -1
    order: int = -1
    checksum: int | None = None
    beside: bool = False


class QuoteSaid(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The best of both sides; `order` as in `BookSaid`."""

    symbol: str
    bid: str
    bid_qty: str
    ask: str
    ask_qty: str
    venue_ns: int
    order: int = -1


class TradeSaid(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A trade; `side` is the aggressor's, `trade_id` "" where the venue gives none, so that one told twice is not seen.

    off_book    not matched in the book (block trades, fills of an insurance fund).
    """

    symbol: str
    trade_id: str
    side: int
    price: str
    qty: str
    venue_ns: int
    event_ns: int
    off_book: bool = False


Said = BookSaid | QuoteSaid | TradeSaid


class Dialect(Protocol):
    """One venue's messages. It may remember what a later message leaves out.

    name      the importer's name in the manifest.
    """

    @property
    def name(self) -> str: ...
    def venue(self, address: str) -> str:
        """Our name of the market that a socket or an answer at `address` is of; "" asks for the main one."""

    def listing(self, url: str, body: str, venue: str, symbol: str) -> Instrument | None:
        """The instrument as an answer of the REST interface lists it, None where it does not."""

    def said(self, text: bytes) -> Sequence[Said]:
        """What a message says, nothing where it is of another kind. Raises as `msgspec` where it is malformed."""

    def answered(self, url: str, body: str) -> Sequence[BookSaid]:
        """The book that an answer of the REST interface has, where the venue's sockets need one. Raises as `said`."""


class OwnSnapshots:
    """Of a dialect whose sockets send the whole book too."""

    def answered(self, url: str, body: str) -> Sequence[BookSaid]:
        """Nothing."""
        del url, body
        return ()


def millis_ns(millis: int | str) -> int:
    """Milliseconds since the epoch, some venues' as text, in ns. Raises `ValueError` for what is no time."""
    at = int(millis) * MS
    if not 0 < at < TIME_NS_MAX:
        raise ValueError(millis)
    return at
