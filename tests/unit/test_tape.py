"""Tapes on disk: whole or absent, the same bytes from the same columns, and every kind of damage named."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from sor.errors import CallerError
from sor.tape import (
    MANIFEST,
    Finding,
    Manifest,
    SourceFile,
    Tape,
    check_tape,
    open_tape,
    open_whole,
    read_manifest,
    refuse_occupied,
    save_tape,
)
from tests.fakes.tapes import Group, Ordered, Traded, groups_in, orders_in, tape_of, trades_in

GROUPS = [
    Group(1_000, 1_010, [(1, 100, 5), (1, 99, 7), (-1, 101, 6)], snapshot=True),
    Group(2_000, 2_010, [(1, 100, 0), (-1, 100, 4)]),
    Group(2_000, 2_020, [], snapshot=True),
    Group(3_000, 3_010, [(1, 98, 1), (-1, 102, 1)], snapshot=True),
]
TRADES = [Traded(900, 905, 1, 101, 2), Traded(2_000, 2_004, -1, 100, 5)]
ORDERS = [Ordered(900, 1, 7, 1, 100, 5), Ordered(2_000, 3, 7, 1, 100, 0)]
FINDINGS = (Finding("lines", 12, "read"), Finding("gaps", 1, "breaks of the chain"))
SOURCE = (SourceFile("a.gz", "00" * 32),)


def save(tape: Tape, path: Path, *, overwrite: bool = False) -> Manifest:
    return save_tape(
        tape, path, findings=FINDINGS, source=SOURCE, importer="hand", clock_offset_ns=-7, overwrite=overwrite
    )


def test_a_saved_tape_is_read_back_whole(tmp_path: Path) -> None:
    manifest = save(tape_of(GROUPS, TRADES, ORDERS, warm_up_ns=50), tmp_path / "t")
    tape = open_tape(tmp_path / "t")
    assert (tape.name, tape.digest, tape.warm_up_ns) == ("t", manifest.digest, 50)
    assert groups_in(tape) == GROUPS
    assert trades_in(tape) == TRADES
    assert orders_in(tape) == ORDERS
    assert not tape.level_ticks.flags.writeable
    assert check_tape(tmp_path / "t") == read_manifest(tmp_path / "t") == manifest
    shapes = (manifest.groups, manifest.levels, manifest.trades, manifest.orders)
    assert shapes == (4, 7, 2, 2)
    spans = (manifest.first_ns, manifest.last_ns, manifest.trade_first_ns, manifest.trade_last_ns)
    assert spans == (1_000, 3_000, 900, 2_000)
    assert (manifest.clock_offset_ns, manifest.findings, manifest.source) == (-7, FINDINGS, SOURCE)
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


def test_a_tape_may_be_empty(tmp_path: Path) -> None:
    save(tape_of([]), tmp_path / "t")
    check_tape(tmp_path / "t")
    tape = open_tape(tmp_path / "t")
    assert (groups_in(tape), trades_in(tape), tape.order_id) == ([], [], None)


def test_numpy_alone_reads_a_column(tmp_path: Path) -> None:
    save(tape_of(GROUPS, TRADES), tmp_path / "t")
    assert np.load(tmp_path / "t" / "level_ticks.npy").tolist() == [100, 99, 101, 100, 100, 98, 102]


def test_the_same_columns_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tape_of(GROUPS, TRADES), tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "b").iterdir())
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


def test_one_other_value_is_another_digest(tmp_path: Path) -> None:
    first = save(tape_of(GROUPS, TRADES), tmp_path / "a")
    other = save(tape_of(GROUPS, [*TRADES[:1], Traded(2_000, 2_004, -1, 100, 6)]), tmp_path / "b")
    assert len(first.digest) == 16
    assert first.digest != other.digest


def test_the_manifest_names_files_not_folders(tmp_path: Path) -> None:
    save(tape_of(GROUPS), tmp_path / "t")
    assert str(tmp_path) not in (tmp_path / "t" / MANIFEST).read_text()


# --- where a tape may be put ---


def test_a_tape_is_replaced_only_on_request(tmp_path: Path) -> None:
    save(tape_of(GROUPS), tmp_path / "t")
    old = open_tape(tmp_path / "t")
    with pytest.raises(CallerError, match="is a tape already; nothing was written"):
        save(tape_of(GROUPS[:1]), tmp_path / "t")
    save(tape_of(GROUPS[:1]), tmp_path / "t", overwrite=True)
    assert groups_in(open_tape(tmp_path / "t")) == GROUPS[:1]
    assert groups_in(old) == GROUPS  # what is open stays as it was
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


def test_what_is_no_tape_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "file").write_text("x")
    for name in ("precious", "file"):
        with pytest.raises(CallerError, match="is not a tape; nothing was written"):
            save(tape_of(GROUPS), tmp_path / name, overwrite=True)
    refuse_occupied(tmp_path / "new", overwrite=False)


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CallerError, match="file is no directory that may be written; nothing was written"):
        refuse_occupied(tmp_path / "file" / "t", overwrite=False)
    with pytest.raises(CallerError, match="cannot be written: File name too long; nothing was written"):
        refuse_occupied(tmp_path / ("n" * 300), overwrite=False)
    (tmp_path / "closed").mkdir(mode=0o500)
    if os.geteuid():  # root may write anywhere
        with pytest.raises(CallerError, match="closed is no directory that may be written; nothing was written"):
            refuse_occupied(tmp_path / "closed" / "t", overwrite=False)


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_interrupted_save_leaves_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, overwrite: bool
) -> None:
    if overwrite:
        save(tape_of(GROUPS), tmp_path / "t")
    synced: list[int] = []

    def stop_late(file: int) -> None:
        synced.append(file)
        if len(synced) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop_late)
    with pytest.raises(KeyboardInterrupt):
        save(tape_of(GROUPS[:1]), tmp_path / "t", overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["t"] * overwrite
    if overwrite:
        assert groups_in(open_tape(tmp_path / "t")) == GROUPS


def test_a_replacement_that_fails_between_its_renames_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tape_of(GROUPS), tmp_path / "t")
    rename = Path.rename

    def fail_second(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise OSError("disk gone")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail_second)
    with pytest.raises(CallerError, match="disk gone; nothing was changed"):
        save(tape_of(GROUPS[:1]), tmp_path / "t", overwrite=True)
    assert groups_in(open_tape(tmp_path / "t")) == GROUPS
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


# --- rules ---


@pytest.mark.parametrize(
    ("groups", "trades", "orders", "rule"),
    [
        ([Group(2, 2, []), Group(1, 3, [])], [], [], "group_venue_ns goes back"),
        ([Group(1, 3, []), Group(2, 2, [])], [], [], "group_recv_ns goes back"),
        ([Group(1, 1, [(0, 5, 5)])], [], [], r"level_side holds something other than \+1 and -1"),
        ([Group(1, 1, [(1, 0, 5)])], [], [], "level_ticks holds something that is not positive"),
        ([Group(1, 1, [(1, 5, -1)])], [], [], "level_lots holds something negative"),
        ([], [Traded(2, 2, 1, 5, 5), Traded(1, 2, 1, 5, 5)], [], "trade_venue_ns goes back"),
        ([], [Traded(1, 1, 2, 5, 5)], [], "trade_side holds something other"),
        ([], [Traded(1, 1, 1, 5, 0)], [], "trade_lots holds something that is not positive"),
        ([], [], [Ordered(1, 4, 1, 1, 5, 5)], "order_kind holds something that is no OrderKind"),
        ([], [], [Ordered(1, 1, 1, 1, 5, -5)], "order_lots holds something negative"),
    ],
)
def test_columns_that_break_a_rule_are_not_saved(
    tmp_path: Path, groups: list[Group], trades: list[Traded], orders: list[Ordered], rule: str
) -> None:
    with pytest.raises(CallerError, match=rule):
        save(tape_of(groups, trades, orders), tmp_path / "t")
    assert list(tmp_path.iterdir()) == []


def test_offsets_types_lengths_and_missing_order_columns_are_rules_too(tmp_path: Path) -> None:
    tape = tape_of(GROUPS, TRADES, ORDERS)
    cases: list[tuple[dict[str, object], str]] = [
        ({"group_first": np.array([0, 3, 2, 5, 7])}, "group_first does not lead"),
        ({"group_first": np.array([0, 3, 5, 5, 6])}, "group_first does not lead"),
        ({"level_ticks": tape.level_ticks.astype(np.int32)}, r"level_ticks is \(7,\) <i4"),
        ({"trade_lots": tape.trade_lots[:1]}, r"trade_lots is \(1,\) <i8, not \(2,\)"),
        ({"group_snapshot": np.array([1, 0, 2, 1], dtype=np.int8)}, "group_snapshot holds"),
        ({"order_id": None}, "some order columns lacks order_id"),
    ]
    for broken, rule in cases:
        with pytest.raises(CallerError, match=rule):
            save(msgspec.structs.replace(tape, **broken), tmp_path / "t")


@pytest.mark.parametrize(
    ("groups", "first_crossed"),
    [
        ([Group(1, 1, [(1, 100, 1), (-1, 100, 1)], snapshot=True)], 0),
        ([*GROUPS[:2], Group(4, 4, [(1, 101, 1)])], 2),
        ([*GROUPS[:1], Group(4, 4, [(-1, 99, 1)]), Group(5, 5, [(-1, 99, 0)])], 1),
    ],
)
def test_a_crossed_or_locked_book_is_found(tmp_path: Path, groups: list[Group], first_crossed: int) -> None:
    at = [group._replace(venue_ns=10_000 + n, recv_ns=10_000 + n) for n, group in enumerate(groups)]
    save(tape_of(at), tmp_path / "t")
    with pytest.raises(CallerError, match=f"group {first_crossed} leaves the book crossed; import"):
        check_tape(tmp_path / "t")


def test_a_best_that_goes_away_gives_way_to_the_next(tmp_path: Path) -> None:
    # 100 bid is gone in group 1, so an ask at 100 does not cross; a snapshot forgets what was before it.
    groups = [*GROUPS, Group(4_000, 4_010, [(1, 101, 3)]), Group(5_000, 5_010, [(1, 101, 0), (-1, 99, 2)])]
    save(tape_of(groups), tmp_path / "t")
    check_tape(tmp_path / "t")


# --- damage ---


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save(tape_of(GROUPS, TRADES), tmp_path / "t")
    return tmp_path / "t"


def test_where_there_is_no_tape(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match=r"there is no tape at .*; make one with `sor tape import`"):
        open_tape(tmp_path / "nowhere")
    with pytest.raises(CallerError, match=r"is not a tape: it has no readable manifest\.json"):
        open_tape(tmp_path)
    recording = tmp_path / "recording.gz"
    recording.touch()
    with pytest.raises(CallerError, match=r"recording\.gz is a file and a tape is a directory; make one of it with"):
        open_tape(recording)


def test_another_format_is_refused(saved: Path) -> None:
    text = (saved / MANIFEST).read_text()
    (saved / MANIFEST).write_text(text.replace('"format": 1', '"format": 2'))
    with pytest.raises(CallerError, match="has tape format 2, this program reads 1; import the recording again"):
        open_tape(saved)


@pytest.mark.parametrize("text", [b"", b"{", b'{"format": 1}', b'{"format": "one"}', b'{"format": "\xc9"}'])
def test_a_damaged_manifest_is_refused(saved: Path, text: bytes) -> None:
    (saved / MANIFEST).write_bytes(text)
    with pytest.raises(CallerError, match=r"manifest\.json of .* is damaged .*; import the recording again"):
        open_tape(saved)


@pytest.mark.parametrize(
    ("field", "value"), [("first_ns", 1 << 62), ("groups", -1), ("clock_offset_ns", -(10**30)), ("count", 1 << 62)]
)
def test_a_manifest_with_impossible_numbers_is_refused(saved: Path, field: str, value: int) -> None:
    text = (saved / MANIFEST).read_text()
    (saved / MANIFEST).write_text(re.sub(rf'"{field}": -?\d+', f'"{field}": {value}', text, count=1))
    with pytest.raises(CallerError, match=r"manifest\.json of .* is damaged .*; import the recording again"):
        read_manifest(saved)


def test_a_manifest_that_lists_other_columns_is_refused(saved: Path) -> None:
    text = (saved / MANIFEST).read_text()
    (saved / MANIFEST).write_text(text.replace('"name": "level_side"', '"name": "level_sides"'))
    with pytest.raises(CallerError, match="lists other columns than a tape has; import the recording again"):
        open_tape(saved)


def test_a_missing_column_is_named(saved: Path) -> None:
    (saved / "trade_side.npy").unlink()
    with pytest.raises(CallerError, match="has no column trade_side; import the recording again"):
        open_tape(saved)


@pytest.mark.parametrize("left", [0, 5, 100, 135])
def test_a_column_that_was_cut_off_is_named(saved: Path, left: int) -> None:
    file = saved / "level_ticks.npy"
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(CallerError, match=r"column level_ticks of .* is cut off or damaged; import the"):
        open_tape(saved)


@pytest.mark.parametrize(("at", "byte"), [(10, "("), (11, "9"), (12, "\xff"), (70, "}"), (0, "x"), (6, "7")])
def test_a_damaged_header_is_named(saved: Path, at: int, byte: str) -> None:
    file = saved / "level_ticks.npy"
    data = bytearray(file.read_bytes())
    data[at] = ord(byte)
    file.write_bytes(data)
    with pytest.raises(CallerError, match=r"column level_ticks of .*; import the recording again"):
        open_tape(saved)


def test_a_column_of_another_type_or_length_is_named(saved: Path) -> None:
    np.save(saved / "level_ticks.npy", np.arange(6))
    with pytest.raises(CallerError, match=r"level_ticks of .* holds \(6,\) <i8 where the manifest says \(7,\) <i8"):
        open_tape(saved)


@pytest.mark.parametrize("read", [open_whole, check_tape])
def test_a_changed_value_is_found_by_whoever_reads_it_all(saved: Path, read: Callable[[Path], object]) -> None:
    file = saved / "level_lots.npy"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    open_tape(saved)
    with pytest.raises(CallerError, match=r"column level_lots of .* was changed after it was written; import it again"):
        read(saved)


@pytest.mark.parametrize("read", [open_whole, check_tape])
def test_a_changed_digest_is_found(saved: Path, read: Callable[[Path], object]) -> None:
    digest = read_manifest(saved).digest
    text = (saved / MANIFEST).read_text()
    (saved / MANIFEST).write_text(text.replace(digest, "f" * 16))
    with pytest.raises(CallerError, match="is not that of its columns; import the recording again"):
        read(saved)


@pytest.mark.parametrize("read", [open_whole, check_tape])
def test_a_tick_or_a_fee_that_was_changed_by_hand_is_found(saved: Path, read: Callable[[Path], object]) -> None:
    text = (saved / MANIFEST).read_text()
    (saved / MANIFEST).write_text(text.replace('"taker_fee_e8": 50000', '"taker_fee_e8": 40000'))
    with pytest.raises(CallerError, match=r"manifest\.json of .* was changed after it was written; import the"):
        read(saved)
    unsealed = re.sub(r',\n  "seal": "[0-9a-f]{16}"', "", text)  # as before there were seals
    assert unsealed != text
    (saved / MANIFEST).write_text(unsealed)
    read(saved)


def test_a_disk_that_is_full_is_called_so_and_the_old_tape_stays(saved: Path) -> None:
    """The plain way of numpy says "4 requested and 2 written"; a limit on the size of files stands in for the disk."""
    before = {file.name: file.read_bytes() for file in saved.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150, hard))
    try:
        with pytest.raises(CallerError, match="cannot be written: File too large; nothing was changed"):
            save(tape_of(GROUPS, TRADES), saved, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {file.name: file.read_bytes() for file in saved.iterdir()} == before
    assert list(saved.parent.iterdir()) == [saved]


def test_the_guide_names_every_column_and_every_field_of_the_manifest() -> None:
    guide = (Path(__file__).resolve().parents[2] / "docs" / "tape.md").read_text(encoding="utf-8")
    rows = [line for line in guide.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    columns = {
        name for name in Tape.__struct_fields__ if name.partition("_")[0] in {"group", "level", "trade", "order"}
    }
    assert named == columns | set(Manifest.__struct_fields__)
