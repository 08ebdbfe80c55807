"""The log of `sor record` as a tape: what a venue published of one instrument, in its own ticks and lots.

Book        Snapshots and changes. A change whose `prev` is not the last `seq` loses the book, as a reset does, and as
            does a connection that went: until the next snapshot.
Parts       In the order of their first receive times. A part whose beginning names other steps than the first is
            refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import msgspec

from sor.errors import CallerError
from sor.instruments import Instrument
from sor.lab.importers.recording import TIME_NS_MAX, Imported, Progress, RecordingFile, Terms, take_lines
from sor.lab.importers.spine import Reading, finished
from sor.lab.market_log import LOG_FORMAT, Begin, Book, End, Entry, Link, Reset, Trade

_BEGIN = b'{"t":"log",'
_decode = msgspec.json.Decoder(Entry).decode


class _Reading(Reading):
    """What is collected while the lines of a log go by."""

    def __init__(self, instrument: Instrument) -> None:
        super().__init__()
        self._instrument = instrument
        self._book: dict[tuple[int, int], int] = {}
        self._live = False
        self._up = True
        self._seq = -1
        self._last = (0, 0)

    def take(self, line: bytes) -> None:
        """One line. Raises `ValueError` or `msgspec.DecodeError` when it is malformed."""
        entry = _decode(line)
        match entry:
            case Begin():
                self._check(entry.instrument)
            case Book():
                self._timed(entry.v, entry.r)
                self._take_book(entry)
            case Trade():
                self._timed(entry.v, entry.r)
                if entry.s not in (1, -1) or entry.p <= 0 or entry.q <= 0:
                    raise ValueError(entry)
                self.counts["trades"] += 1
                self.trades.add(venue_ns=entry.v, recv_ns=entry.r, side=entry.s, ticks=entry.p, lots=entry.q)
            case Reset():
                self.counts["resets"] += 1
                self._lose(entry.r)
            case Link():
                if self._up and not entry.up:  # it is said again for every attempt that fails
                    self.counts["drops"] += 1
                    self._lose(entry.r)
                self._up = entry.up
            case End():
                self.counts["ends"] += 1
            case _:
                assert_never(entry)

    def _check(self, instrument: Instrument) -> None:
        ours = self._instrument
        if (ours.symbol, ours.tick_size, ours.lot_size, ours.multiplier) != (
            instrument.symbol,
            instrument.tick_size,
            instrument.lot_size,
            instrument.multiplier,
        ):
            raise CallerError(
                f"the parts are of {ours.symbol} and {instrument.symbol}, or their steps differ; nothing was written. "
                "Import those that agree"
            )

    def _timed(self, venue_ns: int, recv_ns: int) -> None:
        if not (0 < venue_ns < TIME_NS_MAX and 0 < recv_ns < TIME_NS_MAX):
            raise ValueError(venue_ns)
        self.latency_ns.append(recv_ns - venue_ns)

    def _take_book(self, book: Book) -> None:
        levels = [(side, ticks, lots) for side, rows in ((1, book.b), (-1, book.a)) for ticks, lots in rows]
        if any(ticks <= 0 or lots < 0 for _, ticks, lots in levels):
            raise ValueError(book)
        if not book.snapshot and not self._live:
            self.counts["unplaced"] += 1
            return
        if not book.snapshot and book.prev >= 0 and book.prev != self._seq:
            self.counts["gaps"] += 1
            self._last = book.v, book.r
            self._lose(book.r)
            return
        if book.snapshot:
            self.counts["snapshots"] += 1
            self._book.clear()
        columns = self.columns
        for side, ticks, lots in levels:
            if self._book.get((side, ticks), 0) != lots:
                if lots:
                    self._book[side, ticks] = lots
                else:
                    del self._book[side, ticks]
                columns.side.append(side)
                columns.ticks.append(ticks)
                columns.lots.append(lots)
        self.counts["books"] += 1
        self._live, self._seq, self._last = True, book.seq, (book.v, book.r)
        columns.close(venue_ns=book.v, recv_ns=book.r, snapshot=book.snapshot)

    def _lose(self, recv_ns: int) -> None:
        if self._live:
            self.columns.close(venue_ns=self._last[0], recv_ns=max(recv_ns, self._last[1]), snapshot=True)
        self._live = False


def looks_like(first_line: bytes) -> bool:
    """Whether a file that begins with this line is a part of a log."""
    return first_line.startswith(_BEGIN)


def import_market_log(files: Sequence[RecordingFile], terms: Terms, progress: Progress | None = None) -> Imported:
    """One log from its parts, in whatever order they are named.

    Raises `CallerError` for another format, for parts of different instruments, and where there is no snapshot.
    """
    openings = [(_opening(file), file) for file in files]
    ordered = sorted(openings, key=lambda one: one[0][1])
    begin = ordered[0][0][0]
    instrument = terms.applied_to(begin.instrument)
    reading = _Reading(begin.instrument)
    reading.bad_lines = take_lines(
        [file for _, file in ordered], reading.take, reading.counts, progress, strict=terms.strict
    )
    if not any(reading.columns.snapshot):
        raise CallerError(
            f"no book of {instrument.symbol} was recorded; nothing was written. Was the market followed long enough?"
        )
    notes = {
        "lines": "read",
        "books": "snapshots and changes of the book",
        "snapshots": "of these, snapshots",
        "trades": "trades",
        "resets": "times that the venue's side said that the book was lost",
        "drops": "times that the connection went; the book is lost until the next snapshot",
        "gaps": "breaks of the venue's sequence; the book is lost until the next snapshot",
        "unplaced": "changes without a book to change; left out",
        "ends": "1 where the recording was ended and not cut off",
    }
    return finished(reading, instrument, terms, importer=f"record {begin.source}", notes=notes)


def _opening(file: RecordingFile) -> tuple[Begin, int]:
    """The beginning of a part, and its first receive time; the year 2116 where nothing follows that can be read."""
    lines = file.lines()
    try:
        begin = msgspec.json.decode(next(lines, b""), type=Begin)
    except msgspec.DecodeError as error:
        raise CallerError(f"{file.path} has no beginning that can be read; nothing was written ({error})") from error
    if begin.format != LOG_FORMAT:
        raise CallerError(
            f"{file.path} has log format {begin.format}, this program reads {LOG_FORMAT}; nothing was written"
        )
    for line in lines:
        try:
            entry = _decode(line)
        except msgspec.DecodeError:
            continue  # counted when the file is read in earnest
        if isinstance(entry, Book | Trade | Reset | Link) and entry.r:
            return begin, entry.r
    return begin, TIME_NS_MAX
