"""A tape as Parquet files, for whoever works with tables: pandas, polars, DuckDB, Spark.

A directory with one file for each table of the tape, every column as it stands there, integers exact, and the manifest,
in which tick and lot are:

groups    venue_time, recv_time, snapshot, levels: how many level changes are of this group. levels    group: the row in
`groups` it belongs to, side, ticks, lots. In the order of the tape. trades    venue_time, recv_time, side, ticks, lots.
orders    venue_time, kind, id, side, ticks, lots; only where the tape has them.

Times are timestamps in ns, UTC. The way back is not needed: a tape is made from its recording. The digest in the
manifest is that of the tape, and not of these files, whose bytes depend on the library that wrote them.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.tape import MANIFEST, Tape, open_whole, read_manifest

try:
    import polars
except ImportError as error:  # the base install has no polars: nothing else needs it
    raise CallerError(
        "writing Parquet needs polars, which is not installed; nothing was written. Install sor[parquet]"
    ) from error

_Column = NDArray[np.int64] | NDArray[np.int8] | NDArray[np.bool_]


def export_parquet(tape_path: Path, out: Path) -> dict[str, int]:
    """Write the tape at `tape_path` as the directory `out`, whole or not at all; rows by table.

    Raises `CallerError` when `out` is there, when it cannot be written, or when the tape is not whole.
    """
    manifest = read_manifest(tape_path)
    tape = open_whole(tape_path)
    if out.exists() or out.is_symlink():
        raise CallerError(f"{out} exists; nothing was written. Name a directory that is not there")
    tables = _tables(tape)
    try:
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".part", dir=out.absolute().parent))
        try:
            fresh = aside / "new"
            fresh.mkdir()  # the outer directory is private to us
            for name, columns in tables.items():
                _write(columns, fresh / f"{name}.parquet")
            shutil.copyfile(tape_path / MANIFEST, fresh / MANIFEST)
            fresh.rename(out)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise CallerError(f"{out} cannot be written: {error.strerror or error}; nothing was written") from error
    return {"groups": manifest.groups, "levels": manifest.levels, "trades": manifest.trades} | (
        {"orders": manifest.orders} if "orders" in tables else {}
    )


def _tables(tape: Tape) -> Mapping[str, Mapping[str, _Column]]:
    """The tape's columns by table."""
    count = np.diff(tape.group_first)
    tables: dict[str, Mapping[str, _Column]] = {
        "groups": {
            "venue_time": tape.group_venue_ns,
            "recv_time": tape.group_recv_ns,
            "snapshot": tape.group_snapshot != 0,
            "levels": count,
        },
        "levels": {
            "group": np.repeat(np.arange(len(count), dtype=np.int64), count),
            "side": tape.level_side,
            "ticks": tape.level_ticks,
            "lots": tape.level_lots,
        },
        "trades": {
            "venue_time": tape.trade_venue_ns,
            "recv_time": tape.trade_recv_ns,
            "side": tape.trade_side,
            "ticks": tape.trade_ticks,
            "lots": tape.trade_lots,
        },
    }
    orders = {
        "venue_time": tape.order_venue_ns,
        "kind": tape.order_kind,
        "id": tape.order_id,
        "side": tape.order_side,
        "ticks": tape.order_ticks,
        "lots": tape.order_lots,
    }
    present: dict[str, _Column] = {name: column for name, column in orders.items() if column is not None}
    return tables | ({"orders": present} if present else {})


def _write(columns: Mapping[str, _Column], path: Path) -> None:
    frame = polars.DataFrame(dict(columns))
    times = [name for name in columns if name.endswith("_time")]
    frame.with_columns(polars.col(times).cast(polars.Datetime("ns", "UTC"))).write_parquet(path, compression="zstd")
