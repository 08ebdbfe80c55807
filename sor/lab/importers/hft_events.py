"""hftbacktest's event files (format 2): an array of events, alone in an `.npz`.

A row is `ev`, `exch_ts`, `local_ts`, `px`, `qty`, `order_id`, `ival`, `fval`, 64 bytes; both times in ns. `ev` is flags
and a kind: the exchange saw it, we did, bid or buyer, ask or seller; depth, trade, clear, snapshot, best.

Times       The files' own: their maker has already set the clocks right, so no offset is taken off. An event that came
            out of order stands twice, once for each clock: the row for the exchange counts, the other is left out. Rows
            of a snapshot to begin with may have no time; theirs is that of the first row after them.
Book        Depth rows say a level's new size. Consecutive ones with the same two times are one group. A clear takes
            away all from the best to its price, or everything where it names no side or price; a best takes away what
            is better.
Begin       At the first clear or snapshot. What depth rows said before is kept: the files mean it so.
Trades      The side is the aggressor's.
Prices      Are binary floats, taken as the nearest tick and lot; what is further off than a thousandth of a step is
            refused.
Orders      Files by order (market-by-order) are refused: a tape of them would need the book of their venue.

The files name nothing: state venue, symbol, tick and lot.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.instruments import Instrument
from sor.lab.both_sides import BothSides
from sor.lab.importers.recording import (
    STEPS_MAX,
    TIME_NS_MAX,
    Imported,
    Progress,
    RecordingFile,
    Terms,
    stated_instrument,
)
from sor.lab.importers.spine import Reading, finished
from sor.tape import IntColumn

EVENT = np.dtype(
    [
        ("ev", "<u8"),
        ("exch_ts", "<i8"),
        ("local_ts", "<i8"),
        ("px", "<f8"),
        ("qty", "<f8"),
        ("order_id", "<u8"),
        ("ival", "<i8"),
        ("fval", "<f8"),
    ]
)
DEPTH, TRADE, CLEAR, SNAPSHOT, BEST = 1, 2, 3, 4, 5
BUY, SELL, LOCAL, EXCH = 1 << 29, 1 << 28, 1 << 30, 1 << 31
_KIND = 0xFF
_BY_ORDER = (10, 13)
"""The first and the last kind of rows that tell of single orders."""
_NEAR = 1e-3
_CHUNK = 1 << 18
_PLACES_MAX = 5

_Events = NDArray[np.void]
_Bools = NDArray[np.bool_]


class _Reading(Reading):
    """What is collected while the rows go by. `_before`: what stood where the open group has changed something."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []
        self._book = BothSides()
        self._before: dict[tuple[int, int], int] = {}
        self._at = (0, 0)
        self._begins = False  # the open group holds the first snapshot
        self._begun = False

    def depth(self, kind: int, at: tuple[int, int], side: int, ticks: int, lots: int) -> None:
        """A row of the book."""
        if at != self._at:
            self.close()
            self._at = at
        self.counts["depth"] += 1
        if kind in (CLEAR, SNAPSHOT) and not self._begun:
            self._begins = True
        if kind == CLEAR:
            self.counts["clears"] += 1
            for one in (side,) if side else (1, -1):
                self._take_away(one, ticks)
            return
        if kind == BEST:
            self._take_away(side, ticks + side)
        self._set(side, ticks, lots)

    def close(self) -> None:
        """End the open group."""
        book, columns = self._book, self.columns
        if self._begins:
            self._begun = True
            self._before = {(1, ticks): 0 for ticks in sorted(book.bids, reverse=True)}
            self._before |= {(-1, ticks): 0 for ticks in sorted(book.asks)}
        if self._begun:
            for (side, ticks), was in self._before.items():
                lots = (book.bids if side > 0 else book.asks).get(ticks, 0)
                if lots != was:
                    columns.side.append(side)
                    columns.ticks.append(ticks)
                    columns.lots.append(lots)
            columns.close(venue_ns=self._at[0], recv_ns=self._at[1], snapshot=self._begins)
        self._begins = False
        self._before = {}

    def _take_away(self, side: int, ticks: int) -> None:
        """Levels of `side` from the best to `ticks`; all where it is 0."""
        levels, best = (self._book.bids, self._book.bid) if side > 0 else (self._book.asks, self._book.ask)
        if not best or (ticks and (best - ticks) * side < 0):
            return
        gone = range(best, ticks - side, -side) if ticks and abs(best - ticks) < len(levels) else list(levels)
        for price in gone:
            if price in levels and (not ticks or (price - ticks) * side >= 0):
                self._set(side, price, 0)

    def _set(self, side: int, ticks: int, lots: int) -> None:
        levels = self._book.bids if side > 0 else self._book.asks
        self._before.setdefault((side, ticks), levels.get(ticks, 0))
        self._book.put(side, ticks, lots)


def looks_like(first_line: bytes) -> bool:
    """Whether a file that begins with this line is such an array."""
    return first_line.startswith(b"\x93NUMPY") and b"'ev'" in first_line and b"'exch_ts'" in first_line


def import_hftbacktest(files: Sequence[RecordingFile], terms: Terms, progress: Progress | None = None) -> Imported:
    """One recording from its files, in whatever order they are named; they are read in that of time.

    Raises `CallerError` for steps, venue or symbol that are not stated, prices and sizes off their steps, files by
    order, a row that cannot be read where `terms` are strict, and where no snapshot or clear begins the book.
    """
    instrument = _instrument(terms)
    reading = _Reading()
    begins = {file.path: _begin(_load(file)) for file in files}
    ordered = sorted(files, key=lambda file: begins[file.path])
    first_ns = next((begins[file.path] for file in ordered if begins[file.path]), 0)
    for file in ordered:
        _Rows(file, instrument, begins[file.path] or first_ns).hand_to(reading, strict=terms.strict)
        if progress is not None:
            progress(file.path.stat().st_size)
    reading.close()
    reading.bad_lines = ", ".join(reading.places)
    if not any(reading.columns.snapshot):
        raise CallerError(
            "the files hold no snapshot or clear to begin the book with; nothing was written. Name the initial "
            "snapshot too"
        )
    notes = {
        "lines": "rows",
        "depth": "rows of the book",
        "clears": "clears of levels",
        "trades": "trades",
        "second_rows": "rows that say for our clock what another says for the exchange's; left out",
        "others": "rows of other kinds; left out",
    }
    return finished(reading, instrument, terms, importer="hftbacktest", notes=notes, clocks_agree=True)


def _instrument(terms: Terms) -> Instrument:
    unknown = "the files name no instrument"
    if terms.venue is None or terms.symbol is None or terms.tick is None or terms.lot is None:
        raise CallerError(f"{unknown}; nothing was written. State its --venue, --symbol, --tick and --lot")
    return stated_instrument(terms.symbol, terms.venue, terms, unknown=unknown)


def _load(file: RecordingFile) -> _Events:
    """All rows of a file. Raises `CallerError` where it is damaged, or holds another array."""
    try:
        loaded: _Events | Mapping[str, _Events] = np.load(file.path, allow_pickle=False)
        events = loaded if isinstance(loaded, np.ndarray) else next(iter(loaded.values()))
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise CallerError(f"{file.path} is damaged ({error}); nothing was written. Get the file again") from error
    if events.ndim != 1 or events.dtype != EVENT:
        raise CallerError(f"{file.path} holds another array than events; nothing was written")
    return events


def _begin(events: _Events) -> int:
    """The first time that is one, 0 where there is none."""
    times: IntColumn = events["exch_ts"]
    known = times[times > 0]
    return int(known[0]) if len(known) else 0


class _Rows:
    """The rows of one file; `first_ns` is the time of those that have none."""

    def __init__(self, file: RecordingFile, instrument: Instrument, first_ns: int) -> None:
        self._name = file.path.name
        self._events = _load(file)
        self._instrument = instrument
        self._first_ns = first_ns

    def hand_to(self, reading: _Reading, *, strict: bool) -> None:
        """Hand every row over. Raises `CallerError` as the import does."""
        for begin in range(0, len(self._events), _CHUNK):
            self._chunk(reading, self._events[begin : begin + _CHUNK], begin, strict=strict)

    def _chunk(self, reading: _Reading, events: _Events, begin: int, *, strict: bool) -> None:
        ev: NDArray[np.uint64] = events["ev"]
        kind = (ev & np.uint64(_KIND)).astype(np.int64)
        side = ((ev & np.uint64(BUY)) != 0).astype(np.int64) - ((ev & np.uint64(SELL)) != 0)
        if bool(((kind >= _BY_ORDER[0]) & (kind <= _BY_ORDER[1])).any()):
            raise CallerError(f"{self._name} tells of single orders; nothing was written. Only files by level are read")
        ours = (ev & np.uint64(EXCH)) != 0
        known = (kind >= DEPTH) & (kind <= BEST)
        reading.counts["lines"] += len(events)
        reading.counts["second_rows"] += int(np.count_nonzero(~ours))
        reading.counts["others"] += int(np.count_nonzero(ours & ~known))
        venue_ns = np.where(events["exch_ts"] == 0, self._first_ns, events["exch_ts"])
        recv_ns = np.where(events["local_ts"] == 0, venue_ns, events["local_ts"])
        px = np.where((kind == CLEAR) & ~np.isfinite(events["px"]), 0.0, events["px"])
        qty = np.where(kind == CLEAR, 0.0, events["qty"])
        sound = np.isfinite(px) & np.isfinite(qty) & (qty >= 0.0) & (venue_ns > 0) & (venue_ns < TIME_NS_MAX)
        sound &= (recv_ns > 0) & (recv_ns < TIME_NS_MAX)
        sound &= np.where(kind == CLEAR, px >= 0.0, (px > 0.0) & (side != 0) & ((kind != TRADE) | (qty > 0.0)))
        wanted = ours & known
        for row in np.flatnonzero(wanted & ~sound).tolist():
            place = f"row {begin + row + 1} of {self._name}"
            if strict:
                raise CallerError(f"{place} cannot be read; nothing was written. Without --strict it is left out")
            reading.counts["malformed"] += 1
            if len(reading.places) < _PLACES_MAX:
                reading.places.append(place)
        wanted &= sound
        at = np.flatnonzero(wanted) + begin + 1
        ticks = self._steps(px[wanted], self._instrument.tick_size, at, what="price")
        lots = self._steps(qty[wanted], self._instrument.lot_size, at, what="quantity")
        columns = (kind[wanted], venue_ns[wanted], recv_ns[wanted], side[wanted], ticks, lots)
        depth = reading.depth
        for one, venue, recv, way, price, size in zip(*(column.tolist() for column in columns), strict=True):
            if one == TRADE:
                reading.counts["trades"] += 1
                reading.trades.add(venue_ns=venue, recv_ns=recv, side=way, ticks=price, lots=size)
            else:
                depth(one, (venue, recv), way, price, size)
        reading.latency_ns.frombytes((recv_ns - venue_ns)[wanted].tobytes())

    def _steps(self, values: NDArray[np.float64], step: Decimal, rows: IntColumn, *, what: str) -> IntColumn:
        """Values as whole steps. Raises `CallerError` for one between two."""
        count = values / float(step)
        near = np.rint(count)
        off: _Bools = (np.abs(count - near) > _NEAR) | (near > STEPS_MAX)
        if bool(off.any()):
            first = int(np.flatnonzero(off)[0])
            raise CallerError(
                f"{what} {values[first]!r} in row {rows[first]} of {self._name} is off the step of {step}; nothing was "
                f"written. State the right step"
            )
        return near.astype(np.int64)
