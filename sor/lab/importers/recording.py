"""What every importer needs: the lines of packed files, exact integers from decimal text, and columns that grow.

A recording is one or more text files, plain, gzip, xz or one alone in a zip (told apart by their first bytes, not by
their names), one message a line. Files of a recorder that was killed end in the middle of a line or of their
compression: that is counted as torn, not refused.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import zipfile
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import msgspec
import numpy as np

from sor.errors import CallerError
from sor.ids import VenueName
from sor.instruments import Instrument, canonical_symbol
from sor.tape import ByteColumn, Finding, IntColumn, SourceFile, Tape
from sor.units import BPS, NS, RATE_E8

Progress = Callable[[int], None]
"""Told now and then how many bytes of the packed files have been read since it was last told."""

TIME_NS_MAX = 1 << 62
"""The year 2116: a later time is a damaged one."""
STEPS_MAX = 1 << 53
"""More steps than that are no price or quantity, but damage or a wrong step; up to there floats are exact."""
OFFSET_NS_MAX = 366 * 86_400 * NS
"""No recorder's clock is further off."""
OFFSET_PERCENTILE = 1.0
"""Of receive time - event time: low enough to leave the latency, high enough to ignore a stray clock step."""
LINE_BYTES_MAX = 1 << 22
"""No message of any feed is this long: what is, is no line."""
E8_PER_BPS = RATE_E8 // int(BPS)
_PROGRESS_LINES = 4096
_TEXTS_MAX = 1 << 20
_PLACES_MAX = 5
"""Bad lines that are named; of the others the number is told."""


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the caller states of the instrument and the clock, where it is not known or not right; None leaves it.

    symbol            where the recording does not name it; must agree with it where it does. Of a recording of several
                      instruments it says which.
    venue             likewise.
    tick, lot         price and quantity step. contract: quote units of one contract, inverse instruments only.
    maker_bps, taker_bps    signed fees in bps of notional.
    clock_offset_ns   the recorder's clock minus the venue's, instead of the estimate: state one for several venues
                      recorded by one machine, and their receive times can be compared.
    strict            refuse a recording with a line that cannot be read, instead of leaving the line out.
    repair            where a message crosses the book, take the levels away that it contradicts, instead of taking the
                      book as lost until the next snapshot.
    """

    symbol: str | None = None
    venue: str | None = None
    tick: Decimal | None = None
    lot: Decimal | None = None
    contract: Decimal | None = None
    min_notional: Decimal | None = None
    maker_bps: Decimal | None = None
    taker_bps: Decimal | None = None
    clock_offset_ns: int | None = None
    strict: bool = False
    repair: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no number, or no possible clock offset, before a recording is read."""
        for name in ("tick", "lot", "contract", "min_notional", "maker_bps", "taker_bps"):
            value = getattr(self, name)
            if value is not None and not value.is_finite():
                raise CallerError(f"{name} {value} is not a number; nothing was written. State it as the exchange does")
        for name, bps in (("maker_bps", self.maker_bps), ("taker_bps", self.taker_bps)):
            if bps is not None and (bps * E8_PER_BPS != int(bps * E8_PER_BPS) or abs(bps) >= BPS):
                raise CallerError(f"{name} {bps} is no fee in whole 1/{E8_PER_BPS} bps; nothing was written")
        if self.clock_offset_ns is not None and abs(self.clock_offset_ns) > OFFSET_NS_MAX:
            raise CallerError(
                f"a clock offset of {self.clock_offset_ns} ns is over a year; nothing was written. Leave it out "
                f"to have it estimated"
            )

    def applied_to(self, known: Instrument) -> Instrument:
        """`known` with the stated terms in the place of its own."""
        return Instrument(
            symbol=known.symbol,
            venue=known.venue,
            base=known.base,
            quote=known.quote,
            settle=known.settle,
            tick_size=known.tick_size if self.tick is None else self.tick,
            lot_size=known.lot_size if self.lot is None else self.lot,
            multiplier=known.multiplier if self.contract is None else self.contract,
            inverse=known.inverse,
            min_notional=known.min_notional if self.min_notional is None else self.min_notional,
            maker_fee_e8=known.maker_fee_e8 if self.maker_bps is None else int(self.maker_bps * E8_PER_BPS),
            taker_fee_e8=known.taker_fee_e8 if self.taker_bps is None else int(self.taker_bps * E8_PER_BPS),
        )


def stated_instrument(symbol: str, venue: str, terms: Terms, *, unknown: str) -> Instrument:
    """An instrument of which nothing is known but what is stated; inverse where a contract's size is.

    Raises `CallerError` where a step is not stated: first `unknown`, which says what is not known.
    """
    if terms.tick is None or terms.lot is None:
        raise CallerError(f"{unknown}; nothing was written. State its --tick and --lot as the exchange lists them")
    plain = Instrument(
        symbol=canonical_symbol(symbol),
        venue=VenueName(venue),
        tick_size=terms.tick,
        lot_size=terms.lot,
        inverse=terms.contract is not None,
    )
    return terms.applied_to(plain)


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What an importer hands back: a tape without a name or a digest, which it gets when it is saved."""

    tape: Tape
    importer: str
    clock_offset_ns: int
    findings: tuple[Finding, ...]


class RecordingFile:
    """One file of a recording, read once from its beginning to its end.

    torn     set when the file ended in the middle of its compression.
    """

    __slots__ = ("path", "torn")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn = False

    def first_line(self) -> bytes:
        """The first line, b"" when there is none. Raises `CallerError` when the file cannot be read."""
        return next(self.lines(), b"")

    def lines(self, progress: Progress | None = None) -> Iterator[bytes]:
        """Every line, its line break included where it has one.

        Raises `CallerError` when the file cannot be opened, is damaged in the middle, or has no line breaks.
        """
        try:
            with self.path.open("rb") as packed:
                yield from self._lines(packed, progress)
        except (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, lzma.LZMAError) as error:
            raise CallerError(f"{self.path} is damaged ({error}); nothing was written. Get the file again") from error
        except OSError as error:
            raise CallerError(f"{self.path} cannot be read: {error.strerror or error}; nothing was written") from error

    def _lines(self, packed: BinaryIO, progress: Progress | None) -> Iterator[bytes]:
        if not packed.seekable():
            raise CallerError(
                f"{self.path} is a pipe, and a recording is read more than once; nothing was written. Name its files"
            )
        told = count = 0
        text = _unpacked(packed, self.path)
        try:
            while line := text.readline(LINE_BYTES_MAX):
                if len(line) == LINE_BYTES_MAX:
                    raise CallerError(f"{self.path} has a line over {LINE_BYTES_MAX} bytes: it is no recording")
                yield line
                count += 1
                if progress is not None and count % _PROGRESS_LINES == 0:
                    at = packed.tell()
                    progress(at - told)
                    told = at
        except EOFError:
            self.torn = True
        if progress is not None:
            progress(packed.tell() - told)

    def source(self) -> SourceFile:
        """Name and sha256 of the file as it lies there."""
        with self.path.open("rb") as file:
            return SourceFile(self.path.name, hashlib.file_digest(file, "sha256").hexdigest())


def take_lines(
    files: Sequence[RecordingFile],
    take: Callable[[bytes], None],
    counts: Counter[str],
    progress: Progress | None,
    *,
    strict: bool,
) -> str:
    """Hand every line of the files to `take`, and count `lines`, `malformed` ones and files that are `torn`.

    A line is malformed when `take` raises `ValueError` or msgspec's error. The last line of a file is torn instead: its
    recorder was killed while writing it. Returns where the first malformed lines are, "" for none; raises `CallerError`
    at the first one where `strict`.
    """
    places: list[str] = []
    for file in files:
        bad = 0
        for number, line in enumerate(file.lines(progress), start=1):
            counts["lines"] += 1
            if bad:  # a malformed line that is not the last of its file
                counts["malformed"] += 1
                place = f"line {bad} of {file.path.name}"
                if strict:
                    raise CallerError(f"{place} cannot be read; nothing was written. Without --strict it is left out")
                if len(places) < _PLACES_MAX:
                    places.append(place)
                bad = 0
            try:
                take(line)
            except (ValueError, msgspec.DecodeError):
                bad = number
        counts["torn"] += bool(bad) or file.torn
    return ", ".join(places)


def _unpacked(packed: BinaryIO, path: Path) -> BinaryIO:
    magic = packed.read(6)
    packed.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.GzipFile(fileobj=packed))
    if magic == b"\xfd7zXZ\x00":
        return cast(BinaryIO, lzma.LZMAFile(packed))
    if magic.startswith(b"PK\x03\x04"):
        archive = zipfile.ZipFile(packed)
        names = archive.namelist()
        if len(names) != 1:
            raise CallerError(f"{path} holds {len(names)} files; nothing was written. Unpack it, and name those wanted")
        return cast(BinaryIO, archive.open(names[0]))
    return packed


class Steps(dict[str, int]):
    """Decimal text to whole steps, exactly; a text that was seen before costs one look-up.

    step       the price or quantity step; `what` names it in errors, such as "price".
    lenient    a text between two steps is taken as the lower one, but at least 1, instead of refused: sizes of orders
               that are older than a venue's present step. `off` counts such texts, `texts` all different ones.
    """

    __slots__ = ("_digits", "_lenient", "_mantissa", "_what", "off", "step", "texts")

    def __init__(self, step: Decimal, *, what: str, lenient: bool = False) -> None:
        super().__init__()
        exponent = step.normalize().as_tuple().exponent
        assert isinstance(exponent, int)  # an instrument has finite steps
        self._digits = max(0, -exponent)
        self._mantissa = int(step.scaleb(self._digits))
        self.step = step
        self._what = what
        self._lenient = lenient
        self.off = self.texts = 0

    def __missing__(self, text: str) -> int:
        """Steps of a text that is not remembered.

        Raises `CallerError` when it is no number, negative, too large, or lies between two steps.
        """
        whole, _, fraction = text.partition(".")
        digits = self._digits
        if whole.isdecimal() and (fraction.isdecimal() or not fraction) and not fraction[digits:].strip("0"):
            count, rest = divmod(int(whole + fraction[:digits].ljust(digits, "0")), self._mantissa)
        else:
            count, rest = self._slowly(text)
        if count > STEPS_MAX:
            raise CallerError(
                f"{self._what} {text} is over 2**53 steps of {self.step}; nothing was written. State the right step"
            )
        if rest:
            if not self._lenient:
                raise CallerError(
                    f"{self._what} {text} is off the step of {self.step}; nothing was written. State the right step"
                )
            self.off += 1
            count = max(1, count)
        self.texts += 1
        if len(self) >= _TEXTS_MAX:
            self.clear()
        self[text] = count
        return count

    def _slowly(self, text: str) -> tuple[int, int]:
        """(steps, 1 if there is a rest) of a text in a less plain notation."""
        try:
            count = Decimal(text) / self.step
            if count < 0 or not count.is_finite():
                raise InvalidOperation
        except InvalidOperation as error:
            raise CallerError(f"{text!r} is not a {self._what}; nothing was written") from error
        return int(count), int(count != int(count))

    def nearest(self, value: Decimal) -> int:
        """Steps nearest to `value`, for feeds that print decimals as binary floats.

        Raises `ValueError` when it is not positive, or too large to be one.
        """
        if not value.is_finite() or not 0 < value < self.step * STEPS_MAX:
            raise ValueError(value)
        return int((value / self.step).to_integral_value())


class TradeColumns(NamedTuple):
    """Trades of a tape, in the order of their venue time."""

    venue_ns: IntColumn
    recv_ns: IntColumn
    side: ByteColumn
    ticks: IntColumn
    lots: IntColumn


class BookColumns:
    """Groups of level changes, growing: append to `side`, `ticks` and `lots`, then close the group.

    venue_ns, recv_ns, snapshot    one entry a group. first: one more, the offsets.
    side, ticks, lots              one entry a level change, in step; lots 0 where the level is gone.
    """

    __slots__ = ("first", "lots", "recv_ns", "side", "snapshot", "ticks", "venue_ns")

    def __init__(self) -> None:
        self.venue_ns = array("q")
        self.recv_ns = array("q")
        self.first = array("q", [0])
        self.snapshot = array("b")
        self.side = array("b")
        self.ticks = array("q")
        self.lots = array("q")

    def close(self, *, venue_ns: int, recv_ns: int, snapshot: bool = False) -> None:
        """End the open group. Without a level there is none, unless it is a snapshot: then the book is lost."""
        end = len(self.side)
        if snapshot or end > self.first[-1]:
            self.venue_ns.append(venue_ns)
            self.recv_ns.append(recv_ns)
            self.snapshot.append(snapshot)
            self.first.append(end)

    def tape(self, instrument: Instrument, trades: TradeColumns, *, venue_ns: IntColumn, recv_ns: IntColumn) -> Tape:
        """All groups and trades as a tape without a name. venue_ns, recv_ns: of the groups, as they are to stand."""
        return Tape(
            name="",
            digest="",
            instrument=instrument,
            group_venue_ns=venue_ns,
            group_recv_ns=recv_ns,
            group_first=int_column(self.first),
            group_snapshot=byte_column(self.snapshot),
            level_side=byte_column(self.side),
            level_ticks=int_column(self.ticks),
            level_lots=int_column(self.lots),
            trade_venue_ns=trades.venue_ns,
            trade_recv_ns=trades.recv_ns,
            trade_side=trades.side,
            trade_ticks=trades.ticks,
            trade_lots=trades.lots,
        )

    def drop_open(self) -> None:
        """Forget the levels of the open group."""
        begin = self.first[-1]
        del self.side[begin:], self.ticks[begin:], self.lots[begin:]


def int_column(values: array[int]) -> IntColumn:
    """A grown column of typecode "q" as numpy has it."""
    return np.frombuffer(values.tobytes(), dtype=np.int64)


def byte_column(values: array[int]) -> ByteColumn:
    """A grown column of typecode "b" as numpy has it."""
    return np.frombuffer(values.tobytes(), dtype=np.int8)


def forwards(times: IntColumn) -> tuple[IntColumn, int]:
    """`times` with each that goes back raised to the latest before it, and how many were."""
    raised = np.maximum.accumulate(times) if len(times) else times
    return raised, int(np.count_nonzero(raised != times))


def recv_times(recv: IntColumn, venue: IntColumn) -> tuple[IntColumn, int]:
    """Receive times, not before the venue's and never going back, and how many had to be raised for either."""
    times, _ = forwards(np.maximum(recv, venue))
    return times, int(np.count_nonzero(times != recv))


def estimated_offset(latency: IntColumn) -> int:
    """The recorder's clock minus the venue's, from receive time - event time of at least one message."""
    return int(np.percentile(latency, OFFSET_PERCENTILE, method="lower"))
