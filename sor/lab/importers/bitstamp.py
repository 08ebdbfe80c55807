"""Bitstamp's order-by-order recordings: every order by its id, trades, and the top of the book now and then.

A line is `<receive time, ms> <event> <message>`: `order_created`, `order_changed` and `order_deleted` with what is left
of the order, `trade`, and `order_book`, the best 20 levels a side. There is no sequence, and no clock but the
recorder's: venue time is receive time, and the clock offset is 0. `sor.lab.importers.bitstamp_book` has the rules by
which the orders become a book of price levels.

Trades      Say neither side nor order. A fill is an order's decrease at an unchanged price; a trade belongs to the
            nearest unused fill of one bid and one ask of its size within `MATCH_NS`. Of the two, the resting one is
            the one that was not hidden and has the trade's price, else the older id; the aggressor is the other. Where
            one fill is all there is (the other order was unknown), it rests if it was not hidden and has the trade's
            price. A trade without any fill takes the side that its price is nearer to. A trade's venue time is that of
            its resting fill, so that it meets the book as it was; its receive time is its own.
Orders      Kept as published in the tape's order columns, including what the rules above set right.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, NamedTuple

import msgspec

from sor.errors import CallerError
from sor.ids import Symbol, VenueName
from sor.instruments import Instrument, canonical_symbol
from sor.lab.importers.bitstamp_book import WARM_UP_NS, Fill, OrderBook
from sor.lab.importers.recording import (
    TIME_NS_MAX,
    Imported,
    Progress,
    RecordingFile,
    Steps,
    Terms,
    TradeColumns,
    byte_column,
    forwards,
    int_column,
    take_lines,
)
from sor.tape import Finding, OrderKind
from sor.units import MS, NS

MATCH_NS = 2 * NS
"""A trade and its fills are told within this time."""
_ONE_BOOK_UNTIL_NS = 1_451_606_400 * NS
"""2016-01-01: until then BTC/USD was the venue's only book, and its feed did not name it."""

BTCUSD = Instrument(
    symbol=Symbol("BTCUSD"),
    venue=VenueName("bitstamp"),
    base="BTC",
    quote="USD",
    settle="USD",
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.00000001"),
    min_notional=Decimal(5),
    maker_fee_e8=250_000,
    taker_fee_e8=250_000,
)
"""As of 2015: cents, satoshis, and the fee of the lowest volume tier."""


# --- messages -----------------------------------------------------------------------------------------------------


class _OrderEvent(msgspec.Struct, gc=False):
    id: Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
    price: str
    amount: str
    order_type: int


class _Trade(msgspec.Struct, gc=False):
    price: Decimal
    amount: Decimal


class _Published(msgspec.Struct):
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


_decode_order = msgspec.json.Decoder(_OrderEvent).decode
_decode_trade = msgspec.json.Decoder(_Trade).decode
_decode_published = msgspec.json.Decoder(_Published).decode

_KINDS = {
    b"order_created": OrderKind.CREATED,
    b"order_changed": OrderKind.CHANGED,
    b"order_deleted": OrderKind.DELETED,
}


# --- the recording ------------------------------------------------------------------------------------------------


class _TradeLine(NamedTuple):
    """A trade as it was told, with the best prices the book had then."""

    recv_ns: int
    ticks: int
    lots: int
    bid: int
    ask: int


class _Reading:
    """What is collected while the lines of a recording go by."""

    def __init__(self, instrument: Instrument) -> None:
        self.counts: Counter[str] = Counter()
        self.book = OrderBook(self.counts)
        self.trades: list[_TradeLine] = []
        self.order_venue = array("q")
        self.order_kind = array("b")
        self.order_id = array("q")
        self.order_side = array("b")
        self.order_ticks = array("q")
        self.order_lots = array("q")
        self.first_ns = self.last_ns = 0
        self.silence_ns = 0
        self.bad_lines = ""
        self._ticks = Steps(instrument.tick_size, what="price")
        self._lots = Steps(instrument.lot_size, what="quantity")

    def take(self, line: bytes) -> None:
        """One line. Raises `ValueError` or `msgspec.DecodeError` when it is malformed."""
        recv_text, _, rest = line.partition(b" ")
        event, _, text = rest.partition(b" ")
        now_ns = int(recv_text) * MS
        if not 0 < now_ns < TIME_NS_MAX:
            raise ValueError(now_ns)
        if self.last_ns:
            # The recorder's clock is the only one: a line from before the last is taken at the last one's time.
            self.counts["out_of_order"] += now_ns < self.last_ns
            now_ns = max(now_ns, self.last_ns)
            self.silence_ns = max(self.silence_ns, now_ns - self.last_ns)
        kind = _KINDS.get(event)
        if kind is not None:
            self._order(kind, _decode_order(text), now_ns)
        elif event == b"trade":
            trade = _decode_trade(text)
            ticks, lots = self._ticks.nearest(trade.price), self._lots.nearest(trade.amount)
            if not ticks or not lots:
                raise ValueError(text)
            self.counts["trades"] += 1
            self.trades.append(_TradeLine(now_ns, ticks, lots, self.book.bids.best, self.book.asks.best))
        elif event == b"order_book":
            top = _decode_published(text)
            self.counts["books"] += 1
            self.book.published(self._levels(top.bids), self._levels(top.asks), now_ns)
        else:
            self.counts["others"] += 1
        self.first_ns = self.first_ns or now_ns
        self.last_ns = now_ns

    def _order(self, kind: OrderKind, order: _OrderEvent, now_ns: int) -> None:
        side = 1 if order.order_type == 0 else -1
        ticks, lots = self._ticks[order.price], self._lots[order.amount]
        if ticks == 0 or order.order_type not in {0, 1}:
            raise ValueError(order.id)
        self.counts[kind.name.lower()] += 1
        self.order_venue.append(now_ns)
        self.order_kind.append(kind)
        self.order_id.append(order.id)
        self.order_side.append(side)
        self.order_ticks.append(ticks)
        self.order_lots.append(lots)
        self.book.event(kind, order.id, side=side, ticks=ticks, lots=lots, now_ns=now_ns)

    def _levels(self, pairs: list[tuple[str, str]]) -> list[tuple[int, int]]:
        return [(self._ticks[price], self._lots[amount]) for price, amount in pairs]


def looks_like(first_line: bytes) -> bool:
    """Whether a file that begins with this line is such a recording: milliseconds, an event's name, a JSON object."""
    recv, _, rest = first_line.partition(b" ")
    event, _, text = rest.partition(b" ")
    return (
        len(recv) == 13
        and recv.isdigit()
        and (event in _KINDS or event in {b"trade", b"order_book"})
        and text[:1] == b"{"
    )


def import_bitstamp(files: Sequence[RecordingFile], terms: Terms, progress: Progress | None = None) -> Imported:
    """One order-by-order recording from its files, in whatever order they are named; they are read in that of time.

    Raises `CallerError` when the pair is neither stated in `terms` nor told by the date, when a price or quantity is
    off its step, or when no published book was found to begin with.
    """
    if terms.clock_offset_ns is not None:
        raise CallerError("an order-by-order recording has no venue clock; nothing was written. Leave the offset out")
    ordered = sorted(files, key=lambda file: int(file.first_line().partition(b" ")[0]))
    instrument = _instrument(int(ordered[0].first_line().partition(b" ")[0]) * MS, terms)
    reading = _Reading(instrument)
    reading.bad_lines = take_lines(ordered, reading.take, reading.counts, progress, strict=terms.strict)
    if not reading.book.began_ns:
        raise CallerError("the recording has no order_book to begin the book with; nothing was written. Record it too")
    return _finished(reading, instrument)


def _instrument(first_ns: int, terms: Terms) -> Instrument:
    if terms.contract is not None:
        raise CallerError("Bitstamp's spot books have no contract size; nothing was written. Leave it out")
    symbol = BTCUSD.symbol if terms.symbol is None else canonical_symbol(terms.symbol)
    if terms.symbol is None and first_ns >= _ONE_BOOK_UNTIL_NS:
        raise CallerError(
            "the recording does not say its pair, and since 2016 the venue has several; nothing was written. State "
            "--symbol, --tick and --lot"
        )
    if symbol == BTCUSD.symbol:
        return terms.applied_to(BTCUSD)
    if terms.tick is None or terms.lot is None:
        raise CallerError(f"{symbol} on Bitstamp is not known here; nothing was written. State its --tick and --lot")
    return terms.applied_to(msgspec.structs.replace(BTCUSD, symbol=symbol, base="", quote="", settle=""))


# --- trades and findings ------------------------------------------------------------------------------------------


class _Matched(NamedTuple):
    venue_ns: int
    recv_ns: int
    side: int
    ticks: int
    lots: int


class _Matcher:
    """Finds the fills of each trade, each fill once."""

    def __init__(self, fills: Sequence[Fill]) -> None:
        self._fills = fills
        self._used = bytearray(len(fills))
        self._by_lots: dict[int, list[int]] = defaultdict(list)
        for at, fill in enumerate(fills):
            self._by_lots[fill.lots].append(at)

    def nearest(self, trade: _TradeLine, side: int, *, lots: int) -> int | None:
        """The unused fill of one side and `lots`, nearest in time, whose price allows the trade; None without one."""
        fills, ours = self._fills, self._by_lots.get(lots, [])
        begin = bisect_left(ours, trade.recv_ns - MATCH_NS, key=lambda at: fills[at].now_ns)
        found, least = None, MATCH_NS + 1
        for at in ours[begin:]:
            fill = fills[at]
            away = abs(fill.now_ns - trade.recv_ns)
            if fill.now_ns > trade.recv_ns + MATCH_NS:
                break
            if away < least and not self._used[at] and fill.side == side and self._allows(fill, trade):
                found, least = at, away
        return found

    def _allows(self, fill: Fill, trade: _TradeLine) -> bool:
        if fill.lots == 0:
            return fill.ticks == trade.ticks
        return (fill.ticks - trade.ticks) * fill.side >= 0

    def match(self, trade: _TradeLine) -> tuple[Fill | None, Fill | None]:
        """The (bid, ask) fills of a trade; a fill of unknown size is taken where no other is there."""
        found: list[Fill | None] = []
        for side in (1, -1):
            at = self.nearest(trade, side, lots=trade.lots)
            if at is not None:
                self._used[at] = 1
            found.append(None if at is None else self._fills[at])
        for index, side in enumerate((1, -1)):
            if found[index] is None and found[1 - index] is not None:
                at = self.nearest(trade, side, lots=0)
                if at is not None:
                    self._used[at] = 1
                    found[index] = self._fills[at]
        return found[0], found[1]


def _rests(fill: Fill, trade: _TradeLine) -> bool:
    return not fill.hidden and fill.ticks == trade.ticks


def _aggressor(bid: Fill | None, ask: Fill | None, trade: _TradeLine) -> tuple[int, int]:
    """(side of the aggressor, venue time) of a trade; the module's docstring has the rule."""
    if bid is not None and ask is not None:
        bid_rests, ask_rests = _rests(bid, trade), _rests(ask, trade)
        if bid_rests == ask_rests:
            bid_rests = bid.order_id < ask.order_id
        return (-1, bid.now_ns) if bid_rests else (1, ask.now_ns)
    only = bid or ask
    if only is not None:
        return (-only.side if _rests(only, trade) else only.side), only.now_ns
    return (1 if 2 * trade.ticks > trade.bid + trade.ask else -1), trade.recv_ns


def _finished(reading: _Reading, instrument: Instrument) -> Imported:
    counts, columns = reading.counts, reading.book.columns
    matcher = _Matcher(reading.book.fills)
    matched: list[_Matched] = []
    for trade in reading.trades:
        bid, ask = matcher.match(trade)
        counts["trades_one_fill"] += (bid is None) != (ask is None)
        counts["trades_no_fill"] += bid is None and ask is None
        side, venue_ns = _aggressor(bid, ask, trade)
        matched.append(_Matched(venue_ns, max(trade.recv_ns, venue_ns), side, trade.ticks, trade.lots))
    matched.sort(key=lambda one: one.venue_ns)
    trade_recv, counts["recv_raised"] = forwards(int_column(array("q", [one.recv_ns for one in matched])))
    group_ns = int_column(columns.venue_ns)
    trades = TradeColumns(
        int_column(array("q", [one.venue_ns for one in matched])),
        trade_recv,
        byte_column(array("b", [one.side for one in matched])),
        int_column(array("q", [one.ticks for one in matched])),
        int_column(array("q", [one.lots for one in matched])),
    )
    tape = msgspec.structs.replace(
        columns.tape(instrument, trades, venue_ns=group_ns, recv_ns=group_ns),
        order_venue_ns=int_column(reading.order_venue),
        order_kind=byte_column(reading.order_kind),
        order_id=int_column(reading.order_id),
        order_side=byte_column(reading.order_side),
        order_ticks=int_column(reading.order_ticks),
        order_lots=int_column(reading.order_lots),
        warm_up_ns=WARM_UP_NS,
    )
    return Imported(tape=tape, importer="bitstamp", clock_offset_ns=0, findings=_findings(reading))


_NOTES = {
    "lines": "read",
    "created": "orders created",
    "changed": "orders changed",
    "deleted": "orders deleted",
    "trades": "trades",
    "books": "published tops of the book",
    "books_compared": "published tops that the rebuilt book was compared with",
    "books_agreed": "of them, best bid and best ask both equal",
    "warm_books_compared": "published tops compared after the warm-up",
    "warm_books_agreed": "of them, best bid and best ask both equal",
    "unknown_deleted": "deletes of orders that were not known: from before the recording, or told before their create",
    "unknown_changed": "changes of such orders; known from then on",
    "told_after_end": "messages of an order after its delete (repeated deletes, late creates and changes); ignored",
    "stale_orders": "orders that never got their delete; dropped when a published top showed it",
    "nameless_corrected": "corrections of the size of unknown orders by a published top",
    "takers": "orders that crossed the book when they came or were priced anew; hidden while they did",
    "repriced": "changes of an order's price; each places it afresh",
    "trades_one_fill": "trades of which only one order's fill was found; their side is as sure as that order's",
    "trades_no_fill": "trades without any fill; their side is a guess from the price",
    "duplicates": "creates of an order that was there; ignored",
    "recv_raised": "trades received before one that happened earlier; raised",
    "out_of_order": "lines received before the line above them; taken at its time",
    "others": "messages of other kinds; left out",
    "malformed": "lines that could not be read; left out",
    "torn": "files that end in the middle of a line or of their compression",
}


def _findings(reading: _Reading) -> tuple[Finding, ...]:
    notes = dict(_NOTES)
    if reading.bad_lines:
        notes["malformed"] += f": {reading.bad_lines}"
    found = [Finding(what, reading.counts[what], note) for what, note in notes.items()]
    return (*found, Finding("silence_ns_max", reading.silence_ns, "longest time without any message"))
