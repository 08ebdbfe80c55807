"""What a venue publishes of one instrument, written down as it comes: a log of lines that a tape is made from.

A line is a JSON object, `t` says what it is: `log` the beginning (instrument, source), `book`, `trade`, `reset` (the
book was lost), `link` (the connection went or came), `end`. Prices are ticks and sizes lots of the instrument in the
first line of each part; `v` is the venue's time, `r` ours, both ns.

Each line is with the system as soon as it is written, so that a process that is killed loses none, and on the disk when
`settle` returns, so that a machine that fails loses no more than what came since. A part is closed when it is large and
a next one begun. What is torn at the end of a part is left out when it is read (`sor.lab.importers.market_log`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import msgspec

from sor.errors import CallerError
from sor.ids import Symbol
from sor.instruments import Instrument
from sor.market import BookReset, BookUpdate, Level, MarketEvent, TradePrint

LOG_FORMAT = 1
PART_BYTES = 256 * 1024 * 1024
"""A part is closed when it is that large."""


class Begin(msgspec.Struct, frozen=True, tag_field="t", tag="log"):
    """The first line of each part."""

    format: int
    instrument: Instrument
    source: str


class Book(msgspec.Struct, frozen=True, tag_field="t", tag="book", omit_defaults=True, gc=False):
    """A `BookUpdate`."""

    v: int
    r: int
    b: tuple[Level, ...] = ()
    a: tuple[Level, ...] = ()
    snapshot: bool = False
    seq: int = -1
    prev: int = -1


class Trade(msgspec.Struct, frozen=True, tag_field="t", tag="trade", gc=False):
    """A `TradePrint`; `s` is the aggressor's side, +1 or -1."""

    v: int
    r: int
    s: int
    p: int
    q: int


class Reset(msgspec.Struct, frozen=True, tag_field="t", tag="reset"):
    """The book is lost until the next snapshot."""

    r: int


class Link(msgspec.Struct, frozen=True, tag_field="t", tag="link"):
    """Whether the connection stands, and why not."""

    r: int
    up: bool
    why: str = ""


class End(msgspec.Struct, frozen=True, tag_field="t", tag="end"):
    """Nothing follows, and why."""

    r: int
    why: str


Entry = Begin | Book | Trade | Reset | Link | End


class Heard(msgspec.Struct):
    """What a log holds so far.

    last_ns     our time of the last event of the market, 0 before there is one.
    """

    books: int = 0
    trades: int = 0
    resets: int = 0
    drops: int = 0
    bytes: int = 0
    last_ns: int = 0


class MarketLog:
    """A `MarketSink` that writes one symbol's market into parts of a directory. now_ns: our clock.

    Raises what the system says of a full disk out of every call: a log with a hole would be no recording.
    """

    def __init__(
        self, folder: Path, symbol: Symbol, *, source: str, now_ns: Callable[[], int], part_bytes: int = PART_BYTES
    ) -> None:
        self.heard = Heard()
        self.relisted = False
        self._folder = folder
        self._symbol = symbol
        self._source = source
        self._now_ns = now_ns
        self._part_bytes = part_bytes
        self._instrument: Instrument | None = None
        self._file: BinaryIO | None = None
        self._written = 0
        self._up = True
        self._encode = msgspec.json.Encoder().encode

    @property
    def parts(self) -> tuple[Path, ...]:
        """What has been written, in order."""
        return tuple(sorted(self._folder.glob("part-*.jsonl")))

    @property
    def listed(self) -> Instrument | None:
        """The instrument, once the venue has listed it."""
        return self._instrument

    def begin(self) -> None:
        """Make the directory and the first part. Raises `CallerError` where it is taken or cannot be made."""
        if self._instrument is None:
            raise CallerError(f"{self._symbol} is not listed there; nothing was recorded")
        try:
            self._folder.mkdir(parents=True)
        except FileExistsError as error:
            raise CallerError(
                f"{self._folder} is there already, from a recording that did not end; nothing was recorded. Make its "
                f"tape with `sor tape import {self._folder}/part-*.jsonl`, or remove it"
            ) from error
        except OSError as error:
            raise CallerError(
                f"{self._folder} cannot be made: {error.strerror or error}; nothing was recorded"
            ) from error
        self._open()

    def market(self, event: MarketEvent) -> None:
        """Write one event; marks are not on tapes."""
        if event.symbol != self._symbol or self._file is None:
            return
        if isinstance(event, BookUpdate):
            self.heard.books += 1
            self._put(
                Book(
                    event.venue_ns,
                    event.recv_ns,
                    tuple(event.bids),
                    tuple(event.asks),
                    event.snapshot,
                    event.seq,
                    event.prev_seq,
                )
            )
        elif isinstance(event, TradePrint):
            self.heard.trades += 1
            self._put(Trade(event.venue_ns, event.recv_ns, int(event.side), event.price_ticks, event.qty_lots))
        elif isinstance(event, BookReset):
            self.heard.resets += 1
            self._put(Reset(event.recv_ns))
        else:
            return
        self.heard.last_ns = event.recv_ns

    def instrument(self, instrument: Instrument) -> None:
        """Remember what is listed. With other steps than it began with, a recording is over: `relisted`."""
        if instrument.symbol != self._symbol:
            return
        was = self._instrument
        if was is not None and self._file is not None:
            self.relisted |= (was.tick_size, was.lot_size, was.multiplier) != (
                instrument.tick_size,
                instrument.lot_size,
                instrument.multiplier,
            )
            return
        self._instrument = instrument

    def link(self, up: bool, reason: str) -> None:
        """Write down that the connection went or came back; the venue says by itself that a book was lost."""
        self.heard.drops += self._up and not up  # it is said again for every attempt that fails
        self._up = up
        if self._file is not None:
            self._put(Link(self._now_ns(), up, reason))

    def settle(self) -> None:
        """Have everything on the disk."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def end(self, why: str) -> None:
        """Write the last line, and close. What cannot be written any more is not needed."""
        if self._file is None:
            return
        self._put(End(self._now_ns(), why))
        self.settle()
        self.close()

    def close(self) -> None:
        """Close as it is; to be called however a recording ends."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _put(self, entry: Entry) -> None:
        assert self._file is not None
        if self._written >= self._part_bytes:
            self.settle()
            self.close()
            self._open()
        self._write(entry)

    def _open(self) -> None:
        assert self._instrument is not None
        path = self._folder / f"part-{len(self.parts):05d}.jsonl"
        self._file = path.open("xb", buffering=0)
        self._written = 0
        self._write(Begin(LOG_FORMAT, self._instrument, self._source))

    def _write(self, entry: Entry) -> None:
        assert self._file is not None
        line = self._encode(entry) + b"\n"
        self._written += len(line)
        self.heard.bytes += len(line)
        while line:  # an unbuffered file may take only a part of it
            line = line[self._file.write(line) :]
