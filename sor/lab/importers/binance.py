"""Binance raw recordings: depth diffs, best bid and ask, trades and one REST snapshot, as one recorder wrote them.

A line is `<receive time, ns> <message>`; the message is the combined stream's `{"stream", "data"}` or the answer of
the REST depth endpoint. The market (USD-M, COIN-M, spot) is told by the fields of the diffs, the symbol by the
messages. `sor.lab.importers.binance_book` has the rules by which they become one book.

Clocks      Venue time is `T` where there is one, the event time `E` of spot's diffs, and for spot's tickers the receive
            time less the clock offset, held between its neighbours. The offset is a low percentile of receive
            time - `E`, so what stays of the latency is small and hardly ever negative; a receive time before the venue
            time is raised to it. The clocks' drift (some ms in ten minutes) is not removed.
Trades      By id, at `T`; fills that did not come from the book (insurance fund, deleveraging) are left out. A price or
            quantity off its step is refused. Where a recording has no `@trade` (the futures' is silent since 2026), its
            `@aggTrade` are the trades: all fills of one taker at one price, with the same volume on each side.
Files       Read in the order of their first receive times, as one recording. A torn end is a finding.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np

from sor.errors import CallerError
from sor.ids import VenueName
from sor.instruments import Instrument, canonical_symbol
from sor.lab.importers.binance_book import Diff, Entry, Fuser, Id, Market, Millis, Snapshot, Ticker
from sor.lab.importers.recording import (
    OFFSET_PERCENTILE,
    TIME_NS_MAX,
    Imported,
    Progress,
    RecordingFile,
    Steps,
    Terms,
    estimated_offset,
    forwards,
    int_column,
    recv_times,
    take_lines,
)
from sor.lab.importers.spine import TradeRows
from sor.tape import Finding, IntColumn
from sor.units import MS

_LOOK_LINES = 20_000


def _known(market: Market, symbol: str, **terms: str) -> Instrument:
    inverse = market is Market.COINM
    return Instrument(
        symbol=canonical_symbol(symbol),
        venue=VenueName(f"binance_{market}"),
        base="BTC",
        quote="USD" if inverse else "USDT",
        settle="BTC" if inverse else "USDT",
        tick_size=Decimal(terms["tick"]),
        lot_size=Decimal(terms["lot"]),
        multiplier=Decimal(terms.get("contract", "1")),
        inverse=inverse,
        min_notional=Decimal(terms["min_notional"]),
        maker_fee_e8=100_000 if market is Market.SPOT else 20_000,
        taker_fee_e8=100_000 if market is Market.SPOT else 50_000,
    )


# Filters of August 2024 (exchangeInfo; the notional of 100 also in code -4164 of July 2024) and the base fee tier.
KNOWN: Mapping[tuple[Market, str], Instrument] = {
    (Market.USDM, "BTCUSDT"): _known(Market.USDM, "BTCUSDT", tick="0.1", lot="0.001", min_notional="100"),
    (Market.COINM, "BTCUSD_PERP"): _known(
        Market.COINM, "BTCUSD_PERP", tick="0.1", lot="1", contract="100", min_notional="0"
    ),
    (Market.SPOT, "BTCUSDT"): _known(Market.SPOT, "BTCUSDT", tick="0.01", lot="0.00001", min_notional="5"),
}
"""What is known without being told. Everything else must be stated: a guessed tick loses money."""


# --- messages ---


class _Line(msgspec.Struct, rename={"snapshot_id": "lastUpdateId"}):
    """Either a stream's message or the REST snapshot."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()
    snapshot_id: int = -1


class _Trade(
    msgspec.Struct,
    gc=False,
    rename={
        "event_ms": "E",
        "symbol": "s",
        "trade_id": "t",
        "price": "p",
        "qty": "q",
        "made_ms": "T",
        "buyer_is_maker": "m",
        "origin": "X",
    },
):
    event_ms: Millis
    symbol: str
    trade_id: Id
    price: str
    qty: str
    made_ms: Millis
    buyer_is_maker: bool
    origin: str = "MARKET"


class _Aggregate(
    msgspec.Struct,
    gc=False,
    rename={
        "event_ms": "E",
        "symbol": "s",
        "trade_id": "a",
        "price": "p",
        "qty": "q",
        "made_ms": "T",
        "buyer_is_maker": "m",
    },
):
    event_ms: Millis
    symbol: str
    trade_id: Id
    price: str
    qty: str
    made_ms: Millis
    buyer_is_maker: bool


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_snapshot = msgspec.json.Decoder(Snapshot).decode
_decode_diff = msgspec.json.Decoder(Diff).decode
_decode_ticker = msgspec.json.Decoder(Ticker).decode
_decode_trade = msgspec.json.Decoder(_Trade).decode
_decode_aggregate = msgspec.json.Decoder(_Aggregate).decode


# --- the recording ------------------------------------------------------------------------------------------------


class _Trades(TradeRows):
    """Columns of trades with their ids, growing."""

    __slots__ = ("trade_id",)

    def __init__(self) -> None:
        super().__init__()
        self.trade_id = array("q")


class _Reading:
    """What is collected while the lines of a recording go by."""

    def __init__(self, instrument: Instrument, market: Market, symbol: str) -> None:
        self.counts: Counter[str] = Counter()
        self.market = market
        self.symbol = symbol
        self.fuser = Fuser(instrument, self.counts, spot=market is Market.SPOT)
        self._kinds: dict[str, str] = {}
        self._ticks = Steps(instrument.tick_size, what="price")
        self._lots = Steps(instrument.lot_size, what="quantity")
        self.latency_ns = array("q")  # receive time - event time, clock offset included
        self.trades = _Trades()
        self.aggregates = _Trades()
        self.last_recv_ns = 0
        self.silence_ns = 0
        self.bad_lines = ""

    def take(self, line: bytes) -> None:
        """One line. Raises `ValueError` or `msgspec.DecodeError` when it is malformed."""
        recv_text, _, text = line.partition(b" ")
        recv_ns = int(recv_text)
        if not 0 < recv_ns < TIME_NS_MAX:
            raise ValueError(recv_ns)
        message = _decode_line(text)
        silence = recv_ns - (self.last_recv_ns or recv_ns)
        if silence < 0:
            self.counts["out_of_order"] += 1
        else:
            self.last_recv_ns = recv_ns
            self.silence_ns = max(self.silence_ns, silence)
        if not message.stream:
            if message.snapshot_id >= 0:
                self.fuser.push_snapshot(recv_ns, _decode_snapshot(text))
            else:
                self.counts["others"] += 1
            return
        stream = message.stream
        kind = self._kinds.get(stream)
        if kind is None:
            kind = self._kinds[stream] = _kind(stream)
        match kind:
            case "depth":
                diff = _decode_diff(message.data)
                self._of_this_book(diff.symbol, diff.market)
                self.counts["diffs"] += 1
                self._book(recv_ns, diff, is_diff=True)
            case "bookTicker":
                ticker = _decode_ticker(message.data)
                self._of_this_book(ticker.symbol, self.market)
                self.counts["tickers"] += 1
                self._book(recv_ns, ticker, is_diff=False)
            case "trade":
                trade = _decode_trade(message.data)
                self._of_this_book(trade.symbol, self.market)
                self.counts["trades"] += 1
                self._trade(self.trades, recv_ns, trade, from_book=trade.origin == "MARKET")
            case "aggTrade":
                aggregate = _decode_aggregate(message.data)
                self._of_this_book(aggregate.symbol, self.market)
                self.counts["aggregates"] += 1
                self._trade(self.aggregates, recv_ns, aggregate, from_book=True)
            case _:
                self.counts["others"] += 1

    def _of_this_book(self, symbol: str, market: Market) -> None:
        if symbol != self.symbol or market is not self.market:
            raise CallerError(
                f"the recording is of {self.market} {self.symbol} but holds {market} {symbol} too; nothing was "
                f"written. A tape is of one instrument: import each on its own"
            )

    def _book(self, recv_ns: int, message: Diff | Ticker, *, is_diff: bool) -> None:
        if message.event_ms >= 0:
            self.latency_ns.append(recv_ns - message.event_ms * MS)
        self.fuser.push(Entry(message.last_id, is_diff, self.counts["lines"], recv_ns, message))

    def _trade(self, into: _Trades, recv_ns: int, trade: _Trade | _Aggregate, *, from_book: bool) -> None:
        self.latency_ns.append(recv_ns - trade.event_ms * MS)
        lots, ticks = self._lots[trade.qty], self._ticks[trade.price]
        if not from_book or not lots or not ticks:
            self.counts["off_book"] += 1
            return
        into.trade_id.append(trade.trade_id)
        side = -1 if trade.buyer_is_maker else 1
        into.add(venue_ns=trade.made_ms * MS, recv_ns=recv_ns, side=side, ticks=ticks, lots=lots)


def _kind(stream: str) -> str:
    """`depth` of `btcusdt@depth@100ms`."""
    return stream.partition("@")[2].partition("@")[0]


def looks_like(first_line: bytes) -> bool:
    """Whether a file that begins with this line is such a recording: nanoseconds, a blank, a JSON object."""
    recv, _, text = first_line.partition(b" ")
    return len(recv) == 19 and recv.isdigit() and text.startswith(b"{")


def import_binance(files: Sequence[RecordingFile], terms: Terms, progress: Progress | None = None) -> Imported:
    """One instrument's recording from its files, in whatever order they are named; they are read in that of time.

    Raises `CallerError` when the files are of different instruments, when the instrument is neither known nor stated
    in `terms`, when a price or quantity is off its step, or when no snapshot was found to begin the book with.
    """
    ordered, market, symbol = _identify(files)
    instrument = _instrument(market, symbol, terms)
    reading = _Reading(instrument, market, symbol)
    reading.bad_lines = take_lines(ordered, reading.take, reading.counts, progress, strict=terms.strict)
    reading.fuser.finish()
    if not len(reading.fuser.columns.venue_ns):
        raise CallerError(
            f"no depth snapshot in the recording of {market} {symbol} fits its diffs, so there is no book; nothing was "
            f"written. Record the REST depth beside the streams"
        )
    return _finished(reading, instrument, terms)


def _identify(files: Sequence[RecordingFile]) -> tuple[list[RecordingFile], Market, str]:
    """The files in order of time, and what all of them are recordings of."""
    found: list[tuple[int, RecordingFile, Market, str]] = []
    for file in files:
        begin = 0
        for count, line in enumerate(file.lines(), start=1):
            recv, _, text = line.partition(b" ")
            try:
                begin = begin or int(recv)
                message = _decode_line(text)
                if _kind(message.stream) == "depth":
                    diff = _decode_diff(message.data)
                    found.append((begin, file, diff.market, diff.symbol))
                    break
            except (ValueError, msgspec.DecodeError):
                pass  # counted when the file is read in earnest
            if count >= _LOOK_LINES:
                break
        if not found or found[-1][1] is not file:
            raise CallerError(
                f"{file.path} has no depth diff in its first {_LOOK_LINES} lines, so its instrument cannot be told; "
                f"nothing was written. Leave it out, or record `@depth` with it"
            )
    _, first, market, symbol = found[0]
    for _, file, other_market, other_symbol in found:
        if (other_market, other_symbol) != (market, symbol):
            raise CallerError(
                f"{first.path.name} is of {market} {symbol}, {file.path.name} of {other_market} {other_symbol}; "
                f"nothing was written. A tape is of one instrument: import each on its own"
            )
    found.sort(key=lambda one: one[0])
    return [file for _, file, _, _ in found], market, symbol


def _instrument(market: Market, symbol: str, terms: Terms) -> Instrument:
    if terms.symbol is not None and canonical_symbol(terms.symbol) != canonical_symbol(symbol):
        raise CallerError(f"the recording is of {symbol}, not of {terms.symbol}; nothing was written")
    if terms.contract is not None and market is not Market.COINM:
        raise CallerError(f"{market} {symbol} has no contract size; nothing was written. Leave it out")
    known = KNOWN.get((market, symbol))
    if known is not None:
        return terms.applied_to(known)
    inverse = market is Market.COINM
    needed = {"tick": terms.tick, "lot": terms.lot} | ({"contract": terms.contract} if inverse else {})
    missing = [name for name, value in needed.items() if value is None]
    if missing:
        raise CallerError(
            f"{market} {symbol} is not known here; nothing was written. State its {', '.join(missing)} "
            f"(--{' --'.join(missing)}) as the exchange lists them"
        )
    fees = KNOWN[market, "BTCUSD_PERP" if inverse else "BTCUSDT"]
    blank = Instrument(
        symbol=canonical_symbol(symbol),
        venue=fees.venue,
        tick_size=Decimal(1),
        lot_size=Decimal(1),
        inverse=inverse,
        maker_fee_e8=fees.maker_fee_e8,
        taker_fee_e8=fees.taker_fee_e8,
    )
    return terms.applied_to(blank)


# --- times and findings -------------------------------------------------------------------------------------------


def _finished(reading: _Reading, instrument: Instrument, terms: Terms) -> Imported:
    counts, columns = reading.counts, reading.fuser.columns
    offset = terms.clock_offset_ns
    if offset is None:
        latency = int_column(reading.latency_ns)
        offset = estimated_offset(latency)
    group_venue, held = _venue_times(int_column(columns.venue_ns), int_column(columns.recv_ns) - offset)
    group_recv, group_raised = recv_times(int_column(columns.recv_ns) - offset, group_venue)

    trades = reading.trades if counts["trades"] else reading.aggregates
    ids, keep = np.unique(int_column(trades.trade_id), return_index=True)
    counts["duplicates"] += len(trades.trade_id) - len(ids)
    counts["trades_missing"] = sum(int(after) - int(before) - 1 for before, after in pairwise(ids))
    kept, trade_back, trade_raised = trades.columns(keep, offset)
    counts["times_back"] = held.back + trade_back
    counts["ticker_times_held"] = held.bounded
    counts["recv_raised"] = group_raised + trade_raised
    tape = columns.tape(instrument, kept, venue_ns=group_venue, recv_ns=group_recv)
    return Imported(
        tape=tape,
        importer="binance",
        clock_offset_ns=offset,
        findings=_findings(reading, offset, estimated=terms.clock_offset_ns is None),
    )


class _Held(NamedTuple):
    """How many venue times went back, and how many unknown ones had to be held between their neighbours."""

    back: int
    bounded: int


def _venue_times(venue: IntColumn, recv: IntColumn) -> tuple[IntColumn, _Held]:
    """Venue times of the groups: where one is unknown (-1) the receive time, held between the known ones around it."""
    unknown = venue < 0
    before = np.maximum.accumulate(venue)
    after = np.minimum.accumulate(np.where(unknown, np.iinfo(np.int64).max, venue)[::-1])[::-1]
    between = np.clip(recv, before, np.maximum(after, before))
    times, _ = forwards(np.where(unknown, between, before))
    back = np.count_nonzero(~unknown & (before != venue))
    return times, _Held(int(back), int(np.count_nonzero(unknown & (times != recv))))


_NOTES: Mapping[str, str] = {
    "lines": "read",
    "diffs": "depth diffs",
    "tickers": "changes of the best bid or ask between diffs",
    "trades": "trade messages",
    "aggregates": "aggregate trades; the trades of a recording without trade messages, else left out",
    "snapshots": "REST depth snapshots",
    "gaps": "breaks of the update chain; the book is lost from each to the next snapshot that fits",
    "late": "diffs that came more than a second after their place; the book is lost as in a gap",
    "crossed": "diffs that crossed the book; it is lost as in a gap",
    "snapshots_refused": "snapshots that did not fit the diffs around them and were not used",
    "too_old": "diffs and tickers that the snapshot held already",
    "best_disagreed": "diffs after which the best was not the last ticker's; the diff was believed",
    "odd_tickers": "tickers without a sound bid and ask; left out",
    "sizes_off_step": "different sizes between two lots (orders older than the present step); rounded down, at least 1",
    "duplicates": "messages that had been told before; left out",
    "out_of_order": "lines received before the line above them",
    "times_back": "venue times that went back; raised",
    "recv_raised": "receive times raised, because of the order of updates or to the venue time",
    "ticker_times_held": "tickers without a venue time of their own, held between their neighbours",
    "trades_missing": "trade ids that were skipped",
    "off_book": "fills that did not come from the book (insurance fund, deleveraging); left out",
    "others": "messages of other streams; left out",
    "malformed": "lines that could not be read; left out",
    "torn": "files that end in the middle of a line or of their compression",
}


def _findings(reading: _Reading, offset_ns: int, *, estimated: bool) -> tuple[Finding, ...]:
    counts = reading.counts
    notes = dict(_NOTES)
    if reading.bad_lines:
        notes["malformed"] += f": {reading.bad_lines}"
    found = [Finding(what, counts[what], note) for what, note in notes.items()]
    how = f"estimated, percentile {OFFSET_PERCENTILE:g} of receive time - event time" if estimated else "as stated"
    return (
        *found,
        Finding("silence_ns_max", reading.silence_ns, "longest time without any message"),
        Finding("clock_offset_ns", offset_ns, f"subtracted from the recorder's clock; {how}"),
    )
