"""Market data: frames of the market socket and answers of the public REST endpoints as market events.

Sizes are base coins; what is finer than a lot is cut off. Sides are put best first whatever order they came in: some
pushes are worst first. A price off the tick is a fault, not rounded: it says that the contract's terms have changed.
Of a depthN snapshot, of which there are many and which is forgotten with the next, only the best levels are made ticks
and lots at once, and held to this; the others are read as numbers, and made whole when somebody looks (`LateLevels`).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from math import isfinite
from operator import itemgetter
from typing import Annotated, Final

import msgspec

from sor.errors import VenueFault
from sor.market import BookUpdate, LateLevels, Levels, MarketEvent, MarkUpdate, TradePrint
from sor.orders import Side
from sor.units import MS
from venues.bingx.codec import ABSENT, data_of, decoded, ms_to_ns, whole_of
from venues.bingx.listings import Listing, Listings
from venues.bingx.steps import Steps

PING: Final = b"Ping"
TOPICS_MAX = 200
"""Topics of one socket; the next is refused (80403)."""
PING_NS = 5_000_000_000
SILENCE_MAX_NS = 15_000_000_000
"""A socket that has sent nothing for three pings is dead; a quiet market is silent but for its pings."""

_Rows = list[tuple[str, str]] | None
_first: Callable[[tuple[int, int]], int] = itemgetter(0)
_FLOAT_QTY_MAX: Final = 1e9
_FLOAT_DIGITS_MAX: Final = 6
"""Quantities beyond these are read as texts: of those within, every step has a float of its own."""
_FloatPrice = Annotated[float, msgspec.Meta(gt=0.0)]  # which nan is not
_LateRows = list[tuple[_FloatPrice, Annotated[float, msgspec.Meta(gt=0.0, lt=_FLOAT_QTY_MAX)]]]
_FloatRows = list[tuple[_FloatPrice, Annotated[float, msgspec.Meta(ge=0.0, lt=_FLOAT_QTY_MAX)]]]
_first_price: Callable[[tuple[float, float]], float] = itemgetter(0)


class Channel(StrEnum):
    """The topics that are routed on, as they stand after the `@`."""

    BOOK = "incrDepth"
    TRADES = "trade"
    MARK = "markPrice"


def topic(listing: Listing, channel: Channel) -> str:
    """What to subscribe to."""
    return f"{listing.venue_symbol}@{channel.value}"


# --- frames -----------------------------------------------------------------------------------------------------------


class Ping(msgspec.Struct, frozen=True, gc=False):
    """To be answered with `wire.PONG`; without, the socket drops after 30 s."""


class TopicAnswer(msgspec.Struct, frozen=True, gc=False):
    """The answer to a subscription; `code` 0 is yes. Only then is the topic's data to be read (a refused one leaks)."""

    request_id: str
    code: int
    text: str


class TopicData(msgspec.Struct, frozen=True, gc=False):
    """A push of one topic, not yet read: `read_topic` with its listing."""

    topic: str
    message: bytes


class _Answer(msgspec.Struct, frozen=True, gc=False):
    id: str = ""
    code: int = 0
    msg: str | None = None
    data_type: str = msgspec.field(default="", name="dataType")


_ANSWER = msgspec.json.Decoder(_Answer)
_TOPIC_KEY: Final = b'"dataType":"'


def read_frame(message: bytes) -> Ping | TopicAnswer | TopicData:
    """One inflated frame of the market socket. Raises `VenueFault` for what is none."""
    if message == PING:
        return Ping()
    start = message.find(_TOPIC_KEY, 0, 256)  # a look instead of a second pass over a book; the readers check it
    if start >= 0:
        start += len(_TOPIC_KEY)
        name = message[start : message.find(b'"', start)]
        if name and name.isascii():
            return TopicData(name.decode(), message)
    answer = decoded(_ANSWER, message, "a market frame")
    if answer.data_type and not answer.code:
        return TopicData(answer.data_type, message)
    return TopicAnswer(answer.id, answer.code, answer.msg or "")


# --- what is routed on ------------------------------------------------------------------------------------------------


class _Book(msgspec.Struct, frozen=True, gc=False):
    last_update_id: int = msgspec.field(name="lastUpdateId")
    action: str
    time: int = 0
    bids: _Rows = None
    asks: _Rows = None


class _BookFrame(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    data_type: str
    data: _Book
    code: int = 0


class _Trade(msgspec.Struct, frozen=True, gc=False):
    at_ms: int = msgspec.field(name="T")
    price: str = msgspec.field(name="p")
    size: str = msgspec.field(name="q")
    buyer_is_maker: bool = msgspec.field(name="m")


class _TradeFrame(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    data_type: str
    data: list[_Trade] | None
    code: int = 0


class _Mark(msgspec.Struct, frozen=True, gc=False):
    price: str = msgspec.field(name="p")
    at_ms: int = msgspec.field(name="E", default=0)


class _MarkFrame(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    data_type: str
    data: _Mark
    code: int = 0


class _Levels(msgspec.Struct, frozen=True, gc=False):
    bids: _Rows = None
    asks: _Rows = None


class _LevelsFrame(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    data_type: str
    data: _Levels
    ts: int = 0
    code: int = 0


class _FloatBook(msgspec.Struct, frozen=True, gc=False):
    last_update_id: int = msgspec.field(name="lastUpdateId")
    action: str
    time: int = 0
    bids: _FloatRows = []
    asks: _FloatRows = []


class _FloatBookFrame(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    data_type: str
    data: _FloatBook
    code: int = 0


class _LateLevels(msgspec.Struct, frozen=True, gc=False):
    bids: _LateRows = []
    asks: _LateRows = []


class _LateFrame(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    data_type: str
    data: _LateLevels
    ts: int = 0
    code: int = 0


_BOOK = msgspec.json.Decoder(_BookFrame)
_TRADE = msgspec.json.Decoder(_TradeFrame)
_MARK = msgspec.json.Decoder(_MarkFrame)
_LEVELS = msgspec.json.Decoder(_LevelsFrame)
_FLOAT_BOOK = msgspec.json.Decoder(_FloatBookFrame, strict=False)  # numbers in texts
_LATE = msgspec.json.Decoder(_LateFrame, strict=False)


def read_topic(push: TopicData, listing: Listing, recv_ns: int) -> tuple[MarketEvent, ...]:
    """A push of `listing` as events, oldest first: book, trades, mark, and the depthN snapshots.

    Raises `VenueFault` when it cannot be read, belongs to another contract, or is of a topic that is not routed on.
    """
    symbol, _, channel = push.topic.partition("@")
    if symbol != listing.venue_symbol:
        raise VenueFault(f"BingX pushed {push.topic!r} where {listing.venue_symbol} was expected")
    if channel == "incrDepth":
        return (_float_book(push, listing, recv_ns) or _book(push, listing, recv_ns),)
    if channel == "trade":
        return _trades(push, listing, recv_ns)
    if channel == "markPrice":
        mark = decoded(_MARK, push.message, "a mark price")
        _check(push, mark.data_type, mark.code)
        return (_mark_update(listing, mark.data.price, mark.data.at_ms * MS, recv_ns),)
    if channel.startswith("depth"):
        return (_late_depth(push, listing, recv_ns) or _depth(push, listing, recv_ns),)
    raise VenueFault(f"BingX pushed {push.topic!r}, which nobody asked for")


def _check(push: TopicData, data_type: str, code: int) -> None:
    if data_type != push.topic or code:
        raise VenueFault(f"BingX pushed {data_type!r} with code {code} under the topic {push.topic!r}")


def _float_book(push: TopicData, listing: Listing, recv_ns: int) -> BookUpdate | None:
    """What `_book` says, by way of floats, in less than half the time; None for what is not as plain as usual."""
    try:
        frame = _FLOAT_BOOK.decode(push.message)
        data = frame.data
        bids = _float_side(listing, data.bids, best_is_high=True)
        asks = _float_side(listing, data.asks, best_is_high=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, VenueFault):
        return None
    snapshot = data.action == "all"
    if frame.data_type != push.topic or frame.code or not (snapshot or data.action == "update"):
        return None
    if listing.qty_digits > _FLOAT_DIGITS_MAX:
        return None
    return BookUpdate(
        symbol=listing.instrument.symbol,
        bids=bids,
        asks=asks,
        venue_ns=data.time * MS,
        recv_ns=recv_ns,
        snapshot=snapshot,
        seq=data.last_update_id,
    )


def _float_side(listing: Listing, rows: _FloatRows, *, best_is_high: bool) -> Levels:
    """What `_side` says of the same numbers. Raises `VenueFault` for what it may say otherwise of."""
    rows.sort(key=_first_price, reverse=best_is_high)
    ticks = listing.float_ticks
    steps = listing.qty_steps
    # As `whole_lots` has it, without the call.
    return tuple(
        [(ticks[price], lots if (lots := round(qty * steps)) / steps <= qty else lots - 1) for price, qty in rows]
    )


def _book(push: TopicData, listing: Listing, recv_ns: int) -> BookUpdate:
    frame = decoded(_BOOK, push.message, "a book update")
    _check(push, frame.data_type, frame.code)
    data = frame.data
    if data.action not in {"all", "update"}:
        raise VenueFault(f"BingX pushed a book with the action {data.action!r}")
    return BookUpdate(
        symbol=listing.instrument.symbol,
        bids=_side(listing, data.bids, best_is_high=True),
        asks=_side(listing, data.asks, best_is_high=False),
        venue_ns=data.time * MS,
        recv_ns=recv_ns,
        snapshot=data.action == "all",
        seq=data.last_update_id,
    )


def _side(listing: Listing, rows: _Rows, *, best_is_high: bool) -> Levels:
    """One side, best first; of a price named twice the later one stays later, as it is the one that counts."""
    if not rows:
        return ()
    ticks: Steps = listing.ticks
    sizes: Steps = listing.sizes
    levels = [(ticks[price], sizes[size]) for price, size in rows]
    levels.sort(key=_first, reverse=best_is_high)
    return tuple(levels)


def _depth(push: TopicData, listing: Listing, recv_ns: int) -> BookUpdate:
    levels = decoded(_LEVELS, push.message, "a book snapshot")
    _check(push, levels.data_type, levels.code)
    return _snapshot(listing, levels.data.bids, levels.data.asks, levels.ts * MS, recv_ns)


def _late_depth(push: TopicData, listing: Listing, recv_ns: int) -> BookUpdate | None:
    """What `_depth` says, with levels read late; None for everything that is not as plain as it nearly always is."""
    try:
        frame = _LATE.decode(push.message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    data = frame.data
    bids, asks = data.bids, data.asks
    if frame.data_type != push.topic or frame.code or not (bids and asks) or listing.qty_digits > _FLOAT_DIGITS_MAX:
        return None
    bids.sort(key=_first_price, reverse=True)
    asks.sort(key=_first_price)
    ticks = listing.float_ticks
    steps = listing.qty_steps
    (bid, bid_qty), (ask, ask_qty) = bids[0], asks[0]
    try:
        best_bid, best_ask, _ = ticks[bid], ticks[ask], ticks[asks[-1][0]]  # the last is the largest
    except VenueFault:
        return None
    # As `whole_lots` has it, without the call.
    bid_lots = lots if (lots := round(bid_qty * steps)) / steps <= bid_qty else lots - 1
    ask_lots = lots if (lots := round(ask_qty * steps)) / steps <= ask_qty else lots - 1
    if not (bid_lots and ask_lots):
        return None
    if (len(bids) > 1 and bids[1][0] == bid) or (len(asks) > 1 and asks[1][0] == ask):
        return None  # the best price twice
    price_steps = ticks.steps
    return BookUpdate(
        symbol=listing.instrument.symbol,
        bids=LateLevels((best_bid, bid_lots), bids, price_steps, steps),
        asks=LateLevels((best_ask, ask_lots), asks, price_steps, steps),
        venue_ns=frame.ts * MS,
        recv_ns=recv_ns,
        snapshot=True,
    )


def _snapshot(listing: Listing, bids: _Rows, asks: _Rows, venue_ns: int, recv_ns: int) -> BookUpdate:
    return BookUpdate(
        symbol=listing.instrument.symbol,
        bids=_side(listing, bids, best_is_high=True),
        asks=_side(listing, asks, best_is_high=False),
        venue_ns=venue_ns,
        recv_ns=recv_ns,
        snapshot=True,
    )


def _trades(push: TopicData, listing: Listing, recv_ns: int) -> tuple[MarketEvent, ...]:
    frame = decoded(_TRADE, push.message, "public trades")
    _check(push, frame.data_type, frame.code)
    rows = frame.data or []
    rows.reverse()  # newest first on the wire
    rows.sort(key=_at_ms)
    prints = [_print(listing, row.price, row.size, row.buyer_is_maker, row.at_ms * MS, recv_ns) for row in rows]
    return tuple([one for one in prints if one.qty_lots])


def _at_ms(row: _Trade) -> int:
    return row.at_ms


def _print(listing: Listing, price: str, size: str, buyer_is_maker: bool, venue_ns: int, recv_ns: int) -> TradePrint:
    return TradePrint(
        symbol=listing.instrument.symbol,
        side=Side.SELL if buyer_is_maker else Side.BUY,
        price_ticks=listing.ticks[price],
        qty_lots=listing.sizes[size],
        venue_ns=venue_ns,
        recv_ns=recv_ns,
    )


def _mark_update(listing: Listing, price: str, venue_ns: int, recv_ns: int) -> MarkUpdate:
    ticks = listing.in_ticks(price)
    if ticks <= 0:
        raise VenueFault(f"BingX sent {price!r} as the mark price of {listing.venue_symbol}")
    return MarkUpdate(symbol=listing.instrument.symbol, mark_ticks=float(ticks), venue_ns=venue_ns, recv_ns=recv_ns)


# --- the chain of a book ----------------------------------------------------------------------------------------------


class Step(StrEnum):
    """What to do with a book update."""

    APPLY = "apply"
    IGNORE = "ignore"
    """The book is lost already and a new snapshot has been asked for."""
    RESYNC = "resync"
    """The book is lost with this: say so (`BookReset`), unsubscribe and subscribe again."""


class BookChain:
    """Whether the updates of one subscription can be believed, from their ids and their prices.

    Ids grow by 1 to 9 from frame to frame without anything being lost, so a step over ids means nothing, whatever the
    documentation says. What does mean something: an id that is not newer, an update before the snapshot, and a book
    that crosses. Make a new chain, or call `restart`, for every subscription.

    Of the book only as much is kept as crossing takes: the sizes, and for each side a price that nothing in it is
    better than. Only when these two cross are the true best prices looked for.
    """

    __slots__ = ("_asks", "_bids", "_kept_max", "_last", "_least_ask", "_lost", "_most_bid")

    def __init__(self) -> None:
        self._last = -1
        self._lost = False
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}
        self._most_bid = -1
        self._least_ask = _FAR
        self._kept_max = _KEPT_MAX

    def restart(self) -> None:
        """A new subscription: the snapshot is next."""
        self._last = -1
        self._lost = False

    @property
    def sound(self) -> bool:
        """Whether there is a book that what came since its snapshot fits to."""
        return self._last >= 0 and not self._lost

    def judge(self, update: BookUpdate) -> Step:
        """What to do with `update`; RESYNC is said once, after which everything up to a snapshot is ignored."""
        if update.snapshot:
            self._bids.clear()
            self._asks.clear()
            self._most_bid = -1
            self._least_ask = _FAR
            self._lost = False
        elif self._lost:
            return Step.IGNORE
        elif self._last < 0 or update.seq <= self._last:
            return self._lose()
        self._last = update.seq
        self._bids.update(update.bids)
        self._asks.update(update.asks)
        for price, size in update.bids:
            if size:
                self._most_bid = max(self._most_bid, price)
                break  # best first
        for price, size in update.asks:
            if size:
                self._least_ask = min(self._least_ask, price)
                break
        if self._most_bid >= self._least_ask or len(self._bids) + len(self._asks) > self._kept_max:
            return self._look()
        return Step.APPLY

    def _look(self) -> Step:
        """Drop the levels that are gone, and compare the best prices of what is left."""
        self._bids = {price: size for price, size in self._bids.items() if size}
        self._asks = {price: size for price, size in self._asks.items() if size}
        self._most_bid = max(self._bids, default=-1)
        self._least_ask = min(self._asks, default=_FAR)
        self._kept_max = max(_KEPT_MAX, 2 * (len(self._bids) + len(self._asks)))
        return self._lose() if self._most_bid >= self._least_ask else Step.APPLY

    def _lose(self) -> Step:
        self._lost = True
        return Step.RESYNC


_FAR = 1 << 62
_KEPT_MAX = 8_192
"""Levels, gone ones included, at which those are dropped; a snapshot has at most 2048. Twice what is left is the next
mark, so that it costs nothing worth counting however many there are."""


# --- public REST ------------------------------------------------------------------------------------------------------


class _Depth(msgspec.Struct, frozen=True, gc=False):
    """`bidsCoin` and `asksCoin` are not read: base coins are in `bids` and `asks`, and they did not always agree."""

    at_ms: int = msgspec.field(name="T", default=0)
    bids: _Rows = None
    asks: _Rows = None


class _TradeRow(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    time: int
    is_buyer_maker: bool
    price: str
    qty: str


class PremiumIndex(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Mark and funding of one contract.

    funding_rate      running estimate for the next settlement, as it is spelled; positive: longs pay.
    next_funding_ns   when that is: a moment, although the documentation calls it what is left.
    interval_h        hours between settlements, 0 when not stated.
    """

    mark: MarkUpdate
    funding_rate: str
    next_funding_ns: int
    interval_h: int


class _Premium(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    symbol: str
    mark_price: str
    last_funding_rate: str = ""
    next_funding_time: msgspec.Raw = ABSENT
    funding_interval_hours: msgspec.Raw = ABSENT


_DEPTH = msgspec.json.Decoder(_Depth)
_TRADE_ROWS = msgspec.json.Decoder(list[_TradeRow] | None)
_PREMIUM = msgspec.json.Decoder(_Premium)


def read_depth(body: bytes, listing: Listing, recv_ns: int) -> BookUpdate:
    """The answer of `wire.depth`: a snapshot without an id, after which no update of the socket can follow."""
    depth = data_of(body, _DEPTH, "a book")
    return _snapshot(listing, depth.bids, depth.asks, depth.at_ms * MS, recv_ns)


def read_trades(body: bytes, listing: Listing, recv_ns: int) -> tuple[TradePrint, ...]:
    """The answer of `wire.trades`, oldest first."""
    rows = data_of(body, _TRADE_ROWS, "public trades")
    rows = rows if rows is not None else []
    rows.reverse()  # newest first on the wire
    rows.sort(key=_row_ms)
    prints = [_print(listing, row.price, row.qty, row.is_buyer_maker, row.time * MS, recv_ns) for row in rows]
    return tuple([one for one in prints if one.qty_lots])


def _row_ms(row: _TradeRow) -> int:
    return row.time


def _rate(text: str) -> float | None:
    """A rate that somebody decides by, None where there is none or it is no number."""
    try:
        rate = float(text)
    except ValueError:
        return None
    return rate if isfinite(rate) else None


def read_premium_index(body: bytes, listing: Listing, recv_ns: int) -> PremiumIndex:
    """The answer of `wire.premium_index`; `updateTime` is the last settlement, so the mark carries no venue time."""
    premium = data_of(body, _PREMIUM, "a mark price")
    if premium.symbol != listing.venue_symbol:
        raise VenueFault(f"BingX answered with {premium.symbol!r} for {listing.venue_symbol}")
    return _premium_index(premium, listing, recv_ns)


def read_funding(body: bytes, listings: Listings, recv_ns: int) -> PremiumIndex:
    """The same answer, of the contract that it names."""
    premium = data_of(body, _PREMIUM, "a mark price")
    return _premium_index(premium, listings.stated(premium.symbol), recv_ns)


def _premium_index(premium: _Premium, listing: Listing, recv_ns: int) -> PremiumIndex:
    funding_ns = ms_to_ns(premium.next_funding_time)
    return PremiumIndex(
        mark=msgspec.structs.replace(
            _mark_update(listing, premium.mark_price, 0, recv_ns),
            funding_ns=funding_ns,
            funding_rate=_rate(premium.last_funding_rate),
        ),
        funding_rate=premium.last_funding_rate,
        next_funding_ns=funding_ns,
        interval_h=whole_of(premium.funding_interval_hours),
    )
