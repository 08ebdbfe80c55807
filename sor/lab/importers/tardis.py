"""Tardis' normalised CSV files: `incremental_book_L2` and `trades`, of any of its exchanges.

Several files (days, and both kinds) are one recording of one instrument. Times are in microseconds: `timestamp` is the
exchange's, `local_timestamp` that of the arrival at the recorder.

Book     Rows that arrived together are one group. The first row of a snapshot after rows that were none replaces the
         whole book; so it is, says its maker, after every reconnection. An amount of 0 takes a level away.
Trades   `side` is the aggressor's. A trade without one is left out and counted: nothing says whom it filled.

The files name exchange and symbol, and no steps: --tick and --lot have to be stated, as prices alone do not tell them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sor.errors import CallerError
from sor.instruments import Instrument, canonical_symbol
from sor.lab.importers.recording import (
    TIME_NS_MAX,
    Imported,
    Progress,
    RecordingFile,
    Steps,
    Terms,
    stated_instrument,
    take_lines,
)
from sor.lab.importers.spine import Reading, finished
from sor.units import US

_BOOK = b"exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"
_TRADES = b"exchange,symbol,timestamp,local_timestamp,id,side,price,amount"
_COLUMNS = 8
_VENUES: Mapping[str, str] = {
    "binance": "binance_spot",
    "binance-futures": "binance_usdm",
    "binance-delivery": "binance_coinm",
}
"""Where its name of an exchange is not ours; else dashes become underscores."""
_BOOK_SIDES = {"bid": 1, "ask": -1}
_TRADE_SIDES = {"buy": 1, "sell": -1}
_FLAGS = {"true": True, "false": False}


class _Reading(Reading):
    """What is collected while the rows of a recording go by."""

    def __init__(self, exchange: str, symbol: str, instrument: Instrument) -> None:
        super().__init__()
        self._named = (exchange, symbol)
        self._ticks = Steps(instrument.tick_size, what="price")
        self._lots = Steps(instrument.lot_size, what="quantity")
        self._group = 0  # when the open group arrived, 0 while there is none
        self._group_venue = 0
        self._resets = False  # the open group begins with a snapshot
        self._in_snapshot = False
        self._is_book = False

    def take(self, line: bytes) -> None:
        """One row, or a header. Raises `ValueError` when it is malformed."""
        text = line.rstrip(b"\r\n")
        if text in (_BOOK, _TRADES):
            self.close()
            self._is_book = text == _BOOK
            return
        row = text.decode("ascii").split(",")
        if len(row) != _COLUMNS:
            raise ValueError(row)
        if (row[0], row[1]) != self._named:
            raise CallerError(
                f"the recording holds {row[1]} of {row[0]} beside {self._named[1]} of {self._named[0]}; nothing was "
                "written. Import each on its own"
            )
        venue_ns, recv_ns = int(row[2]) * US, int(row[3]) * US
        if not (0 < venue_ns < TIME_NS_MAX and 0 < recv_ns < TIME_NS_MAX):
            raise ValueError(venue_ns)
        ticks, lots = self._ticks[row[6]], self._lots[row[7]]
        if not ticks:
            raise ValueError(row[6])
        if self._is_book:
            self._level(row, venue_ns, recv_ns, ticks, lots)
        else:
            self._trade(row[5], venue_ns, recv_ns, ticks, lots)
        self.latency_ns.append(recv_ns - venue_ns)

    def close(self) -> None:
        """End the open group."""
        if self._group:
            self.columns.close(venue_ns=self._group_venue, recv_ns=self._group, snapshot=self._resets)
            self.counts["groups"] += 1
            self.counts["snapshots"] += self._resets
        self._group, self._resets = 0, False

    def _level(self, row: list[str], venue_ns: int, recv_ns: int, ticks: int, lots: int) -> None:
        flag, side = _FLAGS.get(row[4]), _BOOK_SIDES.get(row[5])
        if flag is None or side is None:
            raise ValueError(row)
        resets = flag and not self._in_snapshot
        if recv_ns != self._group or resets:
            self.close()
            self._group, self._group_venue, self._resets = recv_ns, venue_ns, resets
        self._group_venue = max(self._group_venue, venue_ns)
        self._in_snapshot = flag
        self.counts["levels"] += 1
        self.columns.side.append(side)
        self.columns.ticks.append(ticks)
        self.columns.lots.append(lots)

    def _trade(self, side_name: str, venue_ns: int, recv_ns: int, ticks: int, lots: int) -> None:
        side = _TRADE_SIDES.get(side_name)
        self.counts["trades"] += 1
        if side is None or not lots:
            self.counts["trades_no_side"] += 1
            return
        self.trades.add(venue_ns=venue_ns, recv_ns=recv_ns, side=side, ticks=ticks, lots=lots)


def looks_like(first_line: bytes) -> bool:
    """Whether a file that begins with this line is one of the two kinds."""
    return first_line.rstrip(b"\r\n") in (_BOOK, _TRADES)


def import_tardis(files: Sequence[RecordingFile], terms: Terms, progress: Progress | None = None) -> Imported:
    """One recording from its files, in whatever order they are named; each kind is read in the order of time.

    Raises `CallerError` without a book, for rows of several instruments, for steps that are not stated or not right.
    """
    order = [(*_opening(file), file) for file in files]
    known = [(first, row, file) for first, row, file in order if row]
    if not any(first == _BOOK for first, _, _ in known):
        raise CallerError("the recording holds no incremental_book_L2; nothing was written. Name that file too")
    exchange, symbol = known[0][1][:2]
    instrument = _instrument(exchange, symbol, terms)
    reading = _Reading(exchange, symbol, instrument)
    ordered = [file for _, row, file in sorted(known, key=lambda one: (one[0], int(one[1][3])))]
    reading.bad_lines = take_lines(ordered, reading.take, reading.counts, progress, strict=terms.strict)
    reading.close()
    if not any(reading.columns.snapshot):
        raise CallerError("the recording holds no snapshot of the book; nothing was written. Begin with a whole day")
    return finished(reading, instrument, terms, importer="tardis", notes=_NOTES)


def _opening(file: RecordingFile) -> tuple[bytes, list[str]]:
    """Kind and first row of a file, no row where it has only a header."""
    lines = file.lines()
    header = next(lines, b"").rstrip(b"\r\n")
    row = next(lines, b"").rstrip(b"\r\n").decode("ascii", "replace").split(",")
    return header, row if len(row) == _COLUMNS and row[3].isdigit() else []


def _instrument(exchange: str, symbol: str, terms: Terms) -> Instrument:
    if terms.symbol is not None and canonical_symbol(terms.symbol) != canonical_symbol(symbol):
        raise CallerError(f"the recording is of {symbol}, not of {terms.symbol}; nothing was written")
    venue = _VENUES.get(exchange, exchange.replace("-", "_"))
    return stated_instrument(symbol, venue, terms, unknown=f"the files do not name steps of {symbol}")


_NOTES = {
    "lines": "read",
    "levels": "changes of a level",
    "groups": "groups of them that arrived together",
    "snapshots": "of these, snapshots that replace the book",
    "trades": "trades",
    "trades_no_side": "trades without an aggressor or a size; left out",
}
