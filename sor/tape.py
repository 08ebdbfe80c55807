"""A tape: one instrument's recorded market as a directory of `.npy` columns and a manifest; numpy alone reads it.

Books are level changes in groups: all changes of one group became visible at one instant. Times are the venue's
(`*_venue_ns`) and the recorder's after its constant clock offset is removed (`*_recv_ns`), both ns since the epoch,
and neither ever goes back. Trades of a group's instant come before the group: a trade meets the book as it was.

The book is unknown before the first snapshot group. A snapshot group without levels says that it was lost (a gap in
the venue's sequence): it is unknown again until the next snapshot.

A tape is written beside its place and then moved there, so it is either whole or absent; the same columns always give
the same bytes. `open_tape` looks at types and lengths only, `open_whole` at every digest, `check_tape` at every rule.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from tokenize import TokenError
from typing import Annotated, BinaryIO, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.files import read_small
from sor.instruments import Instrument

IntColumn = NDArray[np.int64]
ByteColumn = NDArray[np.int8]

_Scalar = TypeVar("_Scalar", np.int64, np.int8)

_Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
_Time = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
_Signed = Annotated[int, msgspec.Meta(gt=-(1 << 62), lt=1 << 62)]

TAPE_FORMAT = 1
"""Version of the directory's layout; another one is refused, never guessed at."""
MANIFEST = "manifest.json"
_MANIFEST_BYTES_MAX = 16 * 1024 * 1024


class OrderKind(IntEnum):
    """What an order-by-order feed said of one order; the values stand in the column `order_kind`."""

    CREATED = 1
    CHANGED = 2
    DELETED = 3


class Tape(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Columns of one recording. G groups of book changes, L level changes, T trades, N order events.

    name             the directory's name.
    digest           sha256 over the columns' names, types, lengths and bytes in a fixed order, 16 hex characters.
    group_venue_ns   (G,) int64, non-decreasing. group_recv_ns: (G,), non-decreasing.
    group_first      (G+1,) int64: the level changes of group g are [group_first[g], group_first[g+1]).
    group_snapshot   (G,) int8: 1 where the group replaces the whole book.
    level_side       (L,) int8: +1 bid, -1 ask.
    level_ticks      (L,) int64. level_lots: (L,) int64, the new total size at that price, 0 removes it.
    trade_venue_ns   (T,) int64, non-decreasing. trade_recv_ns likewise.
    trade_side       (T,) int8: the aggressor, +1 buyer.
    trade_ticks      (T,) int64. trade_lots: (T,) int64 > 0.
    warm_up_ns       from the first group on, while the book is not yet to be trusted; 0 where a snapshot began it.

    Only where the venue publishes every order, else all None; as published, not cleaned:
    order_venue_ns   (N,) int64, non-decreasing. order_kind: (N,) int8, an `OrderKind`. order_id: (N,) int64.
    order_side       (N,) int8: +1 bid, -1 ask. order_ticks: (N,) int64.
    order_lots       (N,) int64 >= 0: what is left of the order. A delete with 0 is a fill, with more a cancel.
    """

    name: str
    digest: str
    instrument: Instrument
    group_venue_ns: IntColumn
    group_recv_ns: IntColumn
    group_first: IntColumn
    group_snapshot: ByteColumn
    level_side: ByteColumn
    level_ticks: IntColumn
    level_lots: IntColumn
    trade_venue_ns: IntColumn
    trade_recv_ns: IntColumn
    trade_side: ByteColumn
    trade_ticks: IntColumn
    trade_lots: IntColumn
    order_venue_ns: IntColumn | None = None
    order_kind: ByteColumn | None = None
    order_id: IntColumn | None = None
    order_side: ByteColumn | None = None
    order_ticks: IntColumn | None = None
    order_lots: IntColumn | None = None
    warm_up_ns: int = 0


class _Column(NamedTuple):
    """`rows` names what a column has one entry of; "groups+1" has one more."""

    name: str
    dtype: str
    rows: str


_INT, _BYTE = "<i8", "|i1"
_COLUMNS = (
    _Column("group_venue_ns", _INT, "groups"),
    _Column("group_recv_ns", _INT, "groups"),
    _Column("group_first", _INT, "groups+1"),
    _Column("group_snapshot", _BYTE, "groups"),
    _Column("level_side", _BYTE, "levels"),
    _Column("level_ticks", _INT, "levels"),
    _Column("level_lots", _INT, "levels"),
    _Column("trade_venue_ns", _INT, "trades"),
    _Column("trade_recv_ns", _INT, "trades"),
    _Column("trade_side", _BYTE, "trades"),
    _Column("trade_ticks", _INT, "trades"),
    _Column("trade_lots", _INT, "trades"),
)
_ORDER_COLUMNS = (
    _Column("order_venue_ns", _INT, "orders"),
    _Column("order_kind", _BYTE, "orders"),
    _Column("order_id", _INT, "orders"),
    _Column("order_side", _BYTE, "orders"),
    _Column("order_ticks", _INT, "orders"),
    _Column("order_lots", _INT, "orders"),
)


class Finding(msgspec.Struct, frozen=True):
    """One thing an import counted, zero included: `note` says in a sentence what it means and what was done."""

    what: str
    count: _Signed
    note: str


class SourceFile(msgspec.Struct, frozen=True):
    """A recording that went into a tape: its name without any folder, and the sha256 of the file as it lay there."""

    name: str
    sha256: str


class ColumnRecord(msgspec.Struct, frozen=True):
    """One column as it was written; `sha256` is over the values' bytes, little-endian, without the file's header."""

    name: str
    dtype: str
    length: _Count
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What stands beside the columns.

    clock_offset_ns    what was subtracted from the recorder's clock; 0 where there was no venue clock to compare with.
    warm_up_ns         as in `Tape`.
    first_ns, last_ns  venue time of the first and the last group, 0 when there is none; trade_* likewise.
    columns            in the order of the digest.
    seal               sha256 over all the rest, 16 hex characters: a tick or a fee that is changed by hand is found.
                       Empty in tapes from before there was one.
    """

    format: int
    importer: str
    digest: str
    instrument: Instrument
    groups: _Count
    levels: _Count
    trades: _Count
    orders: _Count
    first_ns: _Time
    last_ns: _Time
    trade_first_ns: _Time
    trade_last_ns: _Time
    clock_offset_ns: _Signed
    warm_up_ns: _Count
    source: tuple[SourceFile, ...]
    findings: tuple[Finding, ...]
    columns: tuple[ColumnRecord, ...]
    seal: str = ""


class _Version(msgspec.Struct):
    format: int


# --- write --------------------------------------------------------------------------------------------------------


def refuse_occupied(path: Path, *, overwrite: bool) -> None:
    """Raise `CallerError` when a tape may not be put at `path`; asked before a long import and again when it is saved.

    A tape that is there is replaced only where `overwrite` says so; anything else that is there never is. Nor may it
    be put below something that is no directory, or that may not be written.
    """
    try:
        taken = path.is_symlink() or path.exists()
        above = next(folder for folder in path.absolute().parents if folder.exists())
    except OSError as error:
        raise CallerError(f"{path} cannot be written: {error.strerror or error}; nothing was written") from error
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise CallerError(f"{path} cannot be written: {above} is no directory that may be written; nothing was written")
    if not taken:
        return
    if not (path / MANIFEST).is_file():
        raise CallerError(f"{path} exists and is not a tape; nothing was written. Name a directory that is not there")
    if not overwrite:
        raise CallerError(f"{path} is a tape already; nothing was written. Name another place, or ask to overwrite it")


def save_tape(
    tape: Tape,
    path: Path,
    *,
    findings: tuple[Finding, ...],
    source: tuple[SourceFile, ...],
    importer: str,
    clock_offset_ns: int = 0,
    overwrite: bool = False,
) -> Manifest:
    """Write `tape` as the directory `path`, whole or not at all; its name and digest are those of what is written.

    The columns go to a hidden directory beside `path`, are synced, and are moved into place by one rename. An old tape
    is moved away first and deleted last.

    Raises `CallerError` when `path` is taken (see `refuse_occupied`), when it cannot be written, or when the columns
    break a rule of `Tape` other than that of crossed books, which only `check_tape` looks for.
    """
    refuse_occupied(path, overwrite=overwrite)
    columns = _present(tape)
    if broken := _broken_rule(columns):
        raise CallerError(f"a tape for {path} would be broken: {broken}; nothing was written. The importer is at fault")
    records = tuple(
        ColumnRecord(name, column.dtype.str, len(column), hashlib.sha256(column.data).hexdigest())
        for name, column in columns.items()
    )
    groups, trades = columns["group_venue_ns"], columns["trade_venue_ns"]
    manifest = Manifest(
        format=TAPE_FORMAT,
        importer=importer,
        digest=_digest(records),
        instrument=tape.instrument,
        groups=len(groups),
        levels=len(columns["level_side"]),
        trades=len(trades),
        orders=len(columns.get("order_id", ())),
        first_ns=int(groups[0]) if len(groups) else 0,
        last_ns=int(groups[-1]) if len(groups) else 0,
        trade_first_ns=int(trades[0]) if len(trades) else 0,
        trade_last_ns=int(trades[-1]) if len(trades) else 0,
        clock_offset_ns=clock_offset_ns,
        warm_up_ns=tape.warm_up_ns,
        source=source,
        findings=findings,
        columns=records,
    )
    manifest = msgspec.structs.replace(manifest, seal=_seal(manifest))
    try:
        _write(path, columns, manifest)
    except OSError as error:
        raise CallerError(f"{path} cannot be written: {error.strerror or error}; nothing was changed") from error
    return manifest


def _write(path: Path, columns: Mapping[str, IntColumn | ByteColumn], manifest: Manifest) -> None:
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    fresh, old = aside / "new", aside / "old"
    try:
        fresh.mkdir()  # the outer directory is private to us; what is moved into place has ordinary rights
        for name, column in columns.items():
            with (fresh / f"{name}.npy").open("wb") as file:
                np.save(_Plain(file), column, allow_pickle=False)
                _sync(file)
        with (fresh / MANIFEST).open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
            _sync(file)
        if path.exists():
            path.rename(old)
        fresh.rename(path)
    finally:
        if old.exists() and not path.exists():  # stopped between the two renames
            old.rename(path)
        shutil.rmtree(aside, ignore_errors=True)


class _Plain:
    """A file that numpy does not write past us: its own way says of a full disk only how many values it wrote."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        """Write all of it, or raise what the system says."""
        return self._file.write(data)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


# --- read ---------------------------------------------------------------------------------------------------------


def read_manifest(path: Path) -> Manifest:
    """The manifest of the tape at `path`.

    Raises `CallerError` when there is no tape, when its format is another version's, or when it cannot be read.
    """
    if path.is_file():
        raise CallerError(f"{path} is a file and a tape is a directory; make one of it with `sor tape import`")
    if not path.is_dir():
        raise CallerError(f"there is no tape at {path}; make one with `sor tape import`")
    try:
        text = read_small(path / MANIFEST, bytes_max=_MANIFEST_BYTES_MAX)
    except OSError as error:
        why = error.strerror
        raise CallerError(
            f"{path} is not a tape: it has no readable {MANIFEST} ({why}); import the recording again"
        ) from error
    try:
        version = msgspec.json.decode(text, type=_Version).format
        if version == TAPE_FORMAT:
            return msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CallerError(f"{MANIFEST} of {path} is damaged ({error}); import the recording again") from error
    raise CallerError(f"{path} has tape format {version}, this program reads {TAPE_FORMAT}; import the recording again")


def open_tape(path: Path) -> Tape:
    """The tape at `path`, its columns memory-mapped and read-only: quick, however long it is.

    Raises `CallerError` when there is no tape, its format is unknown, or a column is missing, cut off or of another
    type or length than the manifest says. It does not read the columns: `check_tape` does.
    """
    return _open(path, read_manifest(path))


def open_whole(path: Path) -> Tape:
    """The tape at `path` as `open_tape` gives it, once every digest has been found right: a run is as good as its tape.

    Reads all columns, which takes about a second per GB. Raises `CallerError` as `open_tape` does, and for a column or
    a manifest that was changed after it was written.
    """
    manifest = read_manifest(path)
    tape = _open(path, manifest)
    _check_digests(path, manifest, _present(tape))
    return tape


def _check_digests(path: Path, manifest: Manifest, columns: Mapping[str, IntColumn | ByteColumn]) -> None:
    for record in manifest.columns:
        if hashlib.sha256(columns[record.name].data).hexdigest() != record.sha256:
            raise CallerError(f"column {record.name} of {path} was changed after it was written; import it again")
    if _digest(manifest.columns) != manifest.digest:
        raise CallerError(f"the digest of {path} is not that of its columns; import the recording again")
    if manifest.seal and _seal(manifest) != manifest.seal:
        raise CallerError(f"{MANIFEST} of {path} was changed after it was written; import the recording again")


def _open(path: Path, manifest: Manifest) -> Tape:
    lengths = {
        "groups": manifest.groups,
        "groups+1": manifest.groups + 1,
        "levels": manifest.levels,
        "trades": manifest.trades,
        "orders": manifest.orders,
    }
    expected = _COLUMNS if len(manifest.columns) == len(_COLUMNS) else _COLUMNS + _ORDER_COLUMNS
    listed = tuple((record.name, record.dtype, record.length) for record in manifest.columns)
    if listed != tuple((column.name, column.dtype, lengths[column.rows]) for column in expected):
        raise CallerError(f"{MANIFEST} of {path} lists other columns than a tape has; import the recording again")
    integers: dict[str, IntColumn] = {}
    small: dict[str, ByteColumn] = {}
    for record in manifest.columns:
        if record.dtype == _INT:
            integers[record.name] = _map(path, record, np.int64)
        else:
            small[record.name] = _map(path, record, np.int8)
    return Tape(
        name=path.absolute().name,
        digest=manifest.digest,
        instrument=manifest.instrument,
        group_venue_ns=integers["group_venue_ns"],
        group_recv_ns=integers["group_recv_ns"],
        group_first=integers["group_first"],
        group_snapshot=small["group_snapshot"],
        level_side=small["level_side"],
        level_ticks=integers["level_ticks"],
        level_lots=integers["level_lots"],
        trade_venue_ns=integers["trade_venue_ns"],
        trade_recv_ns=integers["trade_recv_ns"],
        trade_side=small["trade_side"],
        trade_ticks=integers["trade_ticks"],
        trade_lots=integers["trade_lots"],
        order_venue_ns=integers.get("order_venue_ns"),
        order_kind=small.get("order_kind"),
        order_id=integers.get("order_id"),
        order_side=small.get("order_side"),
        order_ticks=integers.get("order_ticks"),
        order_lots=integers.get("order_lots"),
        warm_up_ns=manifest.warm_up_ns,
    )


def _map(path: Path, record: ColumnRecord, scalar: type[_Scalar]) -> NDArray[_Scalar]:
    """One column, memory-mapped. Raises `CallerError` unless it is what the manifest says."""
    file = path / f"{record.name}.npy"
    try:
        column = np.load(file, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise CallerError(f"{path} has no column {record.name}; import the recording again") from error
    except (OSError, ValueError, EOFError, SyntaxError, TokenError) as error:  # a header is Python text
        raise CallerError(
            f"column {record.name} of {path} is cut off or damaged; import the recording again"
        ) from error
    if column.dtype.str != record.dtype or column.shape != (record.length,):
        raise CallerError(
            f"column {record.name} of {path} holds {column.shape} {column.dtype.str} where the manifest says "
            f"({record.length},) {record.dtype}; import the recording again"
        )
    return np.asarray(column, dtype=scalar)  # the same memory without the slower memmap class


# --- verify -------------------------------------------------------------------------------------------------------


def check_tape(path: Path) -> Manifest:
    """Read the whole tape at `path` and verify it: every digest, and every rule that `Tape` states.

    Times never go back, group offsets are whole, sides are +1 or -1, prices and traded sizes are positive, and no
    group leaves the book crossed or locked.

    Raises `CallerError` naming the first column or rule that does not hold.
    """
    manifest = read_manifest(path)
    tape = _open(path, manifest)
    columns = _present(tape)
    _check_digests(path, manifest, columns)
    broken = _broken_rule(columns)
    if not broken and (crossed := _crossed_group(tape)) is not None:
        broken = f"group {crossed} leaves the book crossed"
    if broken:
        raise CallerError(f"{path} breaks a rule of tapes: {broken}; import the recording again")
    return manifest


def level_changes(tape: Tape) -> tuple[IntColumn, IntColumn, IntColumn]:
    """Every mention of a level as (key, group, lots), sorted by key, then time; a key is 2 x ticks + (1 for a bid).

    What a snapshot does not name it removes: those removals are made explicit. Of a level named twice in one group the
    last word counts.
    """
    count = len(tape.group_venue_ns)
    group = np.repeat(np.arange(count), np.diff(tape.group_first))
    key = 2 * tape.level_ticks + (tape.level_side > 0)
    order = np.argsort(key, kind="stable")
    key, group, lots = key[order], group[order], tape.level_lots[order]
    last = np.ones(len(key), np.bool_)
    last[:-1] = (key[1:] != key[:-1]) | (group[1:] != group[:-1])
    key, group, lots = key[last], group[last], lots[last]
    snapshots = np.append(np.flatnonzero(tape.group_snapshot), count)
    wiped = snapshots[snapshots.searchsorted(group, "right")]
    named = np.full(len(key), count)
    named[:-1] = np.where(key[1:] == key[:-1], group[1:], count)
    gone = np.flatnonzero((lots > 0) & (wiped < named))
    return np.insert(key, gone + 1, key[gone]), np.insert(group, gone + 1, wiped[gone]), np.insert(lots, gone + 1, 0)


def _present(tape: Tape) -> dict[str, IntColumn | ByteColumn]:
    """The columns of `tape` in the order of its digest; the order-by-order ones are all there or all absent."""
    absent = [column.name for column in _ORDER_COLUMNS if getattr(tape, column.name) is None]
    if 0 < len(absent) < len(_ORDER_COLUMNS):
        raise CallerError(f"a tape with some order columns lacks {', '.join(absent)}; nothing was written. Give all")
    names = [column.name for column in (_COLUMNS if absent else _COLUMNS + _ORDER_COLUMNS)]
    return {name: np.ascontiguousarray(getattr(tape, name)) for name in names}


def _digest(records: tuple[ColumnRecord, ...]) -> str:
    lines = "".join(f"{one.name} {one.dtype} {one.length} {one.sha256}\n" for one in records)
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def _seal(manifest: Manifest) -> str:
    return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(manifest, seal=""))).hexdigest()[:16]


def _broken_rule(columns: Mapping[str, IntColumn | ByteColumn]) -> str:
    """The first rule of `Tape` that `columns` break, "" when they keep all; crossed books are not looked for."""
    first = columns["group_first"]
    levels = len(columns["level_side"])
    expected = {
        "groups": len(columns["group_venue_ns"]),
        "groups+1": len(columns["group_venue_ns"]) + 1,
        "levels": levels,
        "trades": len(columns["trade_side"]),
        "orders": len(columns.get("order_id", ())),
    }
    present = [column for column in _COLUMNS + _ORDER_COLUMNS if column.name in columns]
    for name, dtype, rows in present:
        column = columns[name]
        if column.dtype.str != dtype or column.shape != (expected[rows],):
            return f"{name} is {column.shape} {column.dtype.str}, not ({expected[rows]},) {dtype}"
    if first[0] != 0 or first[-1] != levels or np.any(np.diff(first) < 0):
        return "group_first does not lead from 0 to the number of level changes without going back"
    for name, _, _ in present:
        column = columns[name]
        if name.endswith("_ns") and np.any(np.diff(column) < 0):
            return f"{name} goes back"
        if name.endswith("_side") and not np.all(np.abs(column) == 1):
            return f"{name} holds something other than +1 and -1"
        if name in {"level_ticks", "trade_ticks", "trade_lots", "order_ticks"} and np.any(column <= 0):
            return f"{name} holds something that is not positive"
        if name in {"level_lots", "order_lots"} and np.any(column < 0):
            return f"{name} holds something negative"
        if name == "group_snapshot" and not np.all((column == 0) | (column == 1)):
            return "group_snapshot holds something other than 0 and 1"
        if name == "order_kind" and not np.all((column >= OrderKind.CREATED) & (column <= OrderKind.DELETED)):
            return "order_kind holds something that is no OrderKind"
    return ""


def _crossed_group(tape: Tape) -> int | None:
    """The first group after which the best bid is not below the best ask, or None."""
    sides, ticks, lots = tape.level_side.tolist(), tape.level_ticks.tolist(), tape.level_lots.tolist()
    bids: dict[int, int] = {}
    asks: dict[int, int] = {}
    best_bid = best_ask = begin = 0
    for group, (end, snapshot) in enumerate(
        zip(tape.group_first[1:].tolist(), tape.group_snapshot.tolist(), strict=True)
    ):
        if snapshot:
            bids.clear()
            asks.clear()
            best_bid = best_ask = 0
        for at in range(begin, end):
            price, size = ticks[at], lots[at]
            if sides[at] > 0:
                if size:
                    bids[price] = size
                    best_bid = max(best_bid, price)
                elif bids.pop(price, 0) and price == best_bid:
                    best_bid = max(bids, default=0)
            elif size:
                asks[price] = size
                best_ask = min(best_ask or price, price)
            elif asks.pop(price, 0) and price == best_ask:
                best_ask = min(asks, default=0)
        begin = end
        if best_bid >= best_ask > 0:
            return group
    return None
