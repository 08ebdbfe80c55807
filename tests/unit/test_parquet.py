"""`sor tape export --parquet`: the same columns come back, and what cannot be written is not begun."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from sor.cli.main import run
from sor.cli.root import cli
from sor.tape import Tape, read_manifest, save_tape
from tests.fakes.tapes import Group, Ordered, Traded, tape_of

TAPE = tape_of(
    [
        Group(10, 15, [(1, 998, 5_000), (-1, 1_002, 4_000)], True),
        Group(25, 26, [], True),
        Group(40, 41, [(1, 999, (1 << 53) + 1)], True),  # more than a float holds
    ],
    [Traded(25, 30, -1, 998, 2_000)],
    [Ordered(12, 1, (1 << 60) + 1, -1, 1_002, 4_000)],
)

needs_polars = pytest.mark.skipif(
    find_spec("polars") is None, reason="polars is not installed; it is in the extra `parquet`"
)


def saved(tape: Tape, path: Path) -> Path:
    save_tape(tape, path, findings=(), source=(), importer="test")
    return path


@needs_polars
def test_every_column_comes_back(tmp_path: Path) -> None:
    import polars

    tape = saved(TAPE, tmp_path / "tape")
    said = CliRunner().invoke(cli, ["tape", "export", str(tape), "--parquet", str(tmp_path / "out"), "--json"])
    assert said.exit_code == 0, said.output
    assert msgspec.json.decode(said.stdout) == {"groups": 3, "levels": 3, "trades": 1, "orders": 1}
    read = {path.stem: polars.read_parquet(path) for path in sorted((tmp_path / "out").glob("*.parquet"))}
    assert sorted(read) == ["groups", "levels", "orders", "trades"]
    groups, levels, trades, orders = (read[name] for name in ("groups", "levels", "trades", "orders"))
    assert str(groups["venue_time"].dtype) == "Datetime(time_unit='ns', time_zone='UTC')"
    back = {
        "group_venue_ns": groups["venue_time"].cast(polars.Int64),
        "group_recv_ns": groups["recv_time"].cast(polars.Int64),
        "group_snapshot": groups["snapshot"],
        "level_side": levels["side"],
        "level_ticks": levels["ticks"],
        "level_lots": levels["lots"],
        "trade_venue_ns": trades["venue_time"].cast(polars.Int64),
        "trade_recv_ns": trades["recv_time"].cast(polars.Int64),
        "trade_side": trades["side"],
        "trade_ticks": trades["ticks"],
        "trade_lots": trades["lots"],
        "order_venue_ns": orders["venue_time"].cast(polars.Int64),
        "order_kind": orders["kind"],
        "order_id": orders["id"],
        "order_side": orders["side"],
        "order_ticks": orders["ticks"],
        "order_lots": orders["lots"],
    }
    for name, column in back.items():
        assert column.to_list() == getattr(TAPE, name).tolist(), name
    assert np.cumsum([0, *groups["levels"].to_list()]).tolist() == TAPE.group_first.tolist()
    assert levels["group"].to_list() == [0, 0, 2]
    assert read_manifest(tmp_path / "out") == read_manifest(tape)


@needs_polars
def test_a_place_that_is_taken_or_a_tape_that_is_not_whole(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tape = saved(tape_of([Group(10, 15, [(1, 998, 5)], True)]), tmp_path / "tape")
    assert run(["tape", "export", str(tape), "--parquet", str(tmp_path)]) == 1
    assert "exists; nothing was written. Name a directory that is not there" in capfd.readouterr().err
    column = np.load(tape / "level_lots.npy")
    np.save(tape / "level_lots.npy", column + 1)
    assert run(["tape", "export", str(tape), "--parquet", str(tmp_path / "out")]) == 1
    assert "column level_lots of" in capfd.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tape"]


def test_without_polars_it_says_what_to_install(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    monkeypatch.delitem(sys.modules, "sor.lab.parquet", raising=False)
    tape = saved(TAPE, tmp_path / "tape")
    assert run(["tape", "export", str(tape), "--parquet", str(tmp_path / "out")]) == 1
    assert "writing Parquet needs polars" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_format_must_be_named(tmp_path: Path) -> None:
    tape = saved(TAPE, tmp_path / "tape")
    said = CliRunner().invoke(cli, ["tape", "export", str(tape)])
    assert said.exit_code == 2
    assert "Missing option '--parquet'" in said.output
