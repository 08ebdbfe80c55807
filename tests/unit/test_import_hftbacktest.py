"""hftbacktest's event files as a tape: groups, clears, bests, the two clocks, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import msgspec
import numpy as np
import pytest

from sor.errors import CallerError
from sor.lab.importers import Terms, import_recording
from sor.lab.importers.hft_events import BEST, BUY, CLEAR, DEPTH, EVENT, EXCH, LOCAL, SELL, SNAPSHOT, TRADE
from sor.tape import Tape, check_tape, level_changes, open_tape
from tests.fakes.tapes import Group, Traded, groups_in, trades_in

BOTH = EXCH | LOCAL
STEPS = Terms(venue="acme", symbol="BTCUSDT", tick=Decimal("0.1"), lot=Decimal("0.001"))
Row = tuple[int, int, int, float, float]
"""ev, exch_ts, local_ts, px, qty"""

BEGIN: tuple[Row, ...] = (
    (BOTH | CLEAR | BUY, 10, 15, 99.0, 0.0),
    (BOTH | SNAPSHOT | BUY, 10, 15, 99.9, 2.0),
    (BOTH | SNAPSHOT | BUY, 10, 15, 99.8, 1.0),
    (BOTH | CLEAR | SELL, 10, 15, 101.0, 0.0),
    (BOTH | SNAPSHOT | SELL, 10, 15, 100.1, 1.5),
)
BEGUN = Group(10, 15, [(1, 999, 2_000), (1, 998, 1_000), (-1, 1_001, 1_500)], True)


def written(path: Path, rows: Sequence[Row]) -> Path:
    events = np.zeros(len(rows), EVENT)
    for at, row in enumerate(rows):
        events[at] = (*row, 0, 0, 0.0)
    np.savez_compressed(path, data=events)
    return path


def imported(tmp_path: Path, *files: Sequence[Row], terms: Terms = STEPS) -> tuple[Tape, dict[str, int]]:
    paths = [written(tmp_path / f"{no}.npz", rows) for no, rows in enumerate(files)]
    manifest = import_recording(paths, tmp_path / "tape", terms=terms, overwrite=True)
    check_tape(tmp_path / "tape")
    return open_tape(tmp_path / "tape"), {one.what: one.count for one in manifest.findings if one.count}


def test_groups_trades_and_clears(tmp_path: Path) -> None:
    tape, found = imported(
        tmp_path,
        [
            (BOTH | DEPTH | BUY, 5, 9, 50.0, 7.0),  # deeper than the snapshot reaches: it stays
            *BEGIN,
            (BOTH | TRADE | SELL, 20, 26, 99.9, 0.5),
            (BOTH | DEPTH | BUY, 20, 26, 99.9, 1.5),
            (BOTH | DEPTH | SELL, 20, 26, 100.2, 3.0),
            (BOTH | DEPTH | BUY, 20, 27, 99.8, 1.0),  # as it was
            (BOTH | BEST | BUY, 30, 36, 99.8, 4.0),
            (BOTH | CLEAR | SELL, 40, 46, 100.1, 0.0),
            (BOTH | CLEAR, 50, 56, float("nan"), 0.0),  # all, and told again with one change
            (BOTH | SNAPSHOT | BUY, 50, 56, 99.8, 4.0),
            (BOTH | SNAPSHOT | SELL, 50, 56, 100.2, 1.0),
            (BOTH | 99, 41, 47, 1.0, 1.0),
        ],
    )
    assert groups_in(tape) == [
        Group(10, 15, [(1, 999, 2_000), (1, 998, 1_000), (1, 500, 7_000), (-1, 1_001, 1_500)], True),
        Group(20, 26, [(1, 999, 1_500), (-1, 1_002, 3_000)]),
        Group(30, 36, [(1, 999, 0), (1, 998, 4_000)]),
        Group(40, 46, [(-1, 1_001, 0)]),
        Group(50, 56, [(1, 500, 0), (-1, 1_002, 1_000)]),
    ]
    assert trades_in(tape) == [Traded(20, 26, -1, 999, 500)]
    assert (found["lines"], found["depth"], found["clears"], found["trades"], found["others"]) == (16, 14, 4, 1, 1)


def test_an_event_out_of_order_counts_where_the_exchange_saw_it(tmp_path: Path) -> None:
    rows = [
        *BEGIN,
        (EXCH | DEPTH | BUY, 20, 60, 99.9, 1.0),
        (BOTH | DEPTH | SELL, 30, 35, 100.1, 1.0),
        (LOCAL | DEPTH | BUY, 20, 60, 99.9, 1.0),
    ]
    tape, found = imported(tmp_path, rows)
    assert groups_in(tape)[1:] == [Group(20, 60, [(1, 999, 1_000)]), Group(30, 60, [(-1, 1_001, 1_000)])]
    assert (found["second_rows"], found["recv_raised"]) == (1, 1)


def test_an_initial_snapshot_has_no_time_of_its_own(tmp_path: Path) -> None:
    initial = [(ev, 0, 0, px, qty) for ev, _, _, px, qty in BEGIN]
    tape, _ = imported(tmp_path, [(BOTH | DEPTH | BUY, 20, 26, 99.9, 1.0)], initial)
    assert groups_in(tape) == [
        Group(20, 20, BEGUN.levels, True),
        Group(20, 26, [(1, 999, 1_000)]),
    ]


def test_times_are_the_files_own_unless_an_offset_is_stated(tmp_path: Path) -> None:
    assert groups_in(imported(tmp_path, BEGIN)[0]) == [BEGUN]
    stated = msgspec.structs.replace(STEPS, clock_offset_ns=3)
    assert imported(tmp_path, BEGIN, terms=stated)[0].group_recv_ns.tolist() == [12]


def test_bad_rows_are_counted_and_named(tmp_path: Path) -> None:
    bad: list[Row] = [
        (BOTH | DEPTH | BUY, 20, 26, float("nan"), 1.0),
        (BOTH | DEPTH | BUY, 20, 26, 99.9, -1.0),
        (BOTH | DEPTH, 20, 26, 99.9, 1.0),
        (BOTH | TRADE | BUY, 20, 26, 99.9, 0.0),
    ]
    path = written(tmp_path / "a.npz", [*BEGIN, *bad])
    manifest = import_recording([path], tmp_path / "tape", terms=STEPS)
    (malformed,) = [one for one in manifest.findings if one.what == "malformed"]
    assert malformed.count == 4
    assert malformed.note.endswith("row 6 of a.npz, row 7 of a.npz, row 8 of a.npz, row 9 of a.npz")
    strict = msgspec.structs.replace(STEPS, strict=True)
    with pytest.raises(CallerError, match=r"row 6 of a.npz cannot be read; nothing was written"):
        import_recording([path], tmp_path / "strict", terms=strict)


@pytest.mark.parametrize(
    ("rows", "terms", "sentence"),
    [
        (BEGIN, Terms(venue="acme", symbol="BTCUSDT"), "State its --venue, --symbol, --tick and --lot"),
        (((BOTH | DEPTH | BUY, 1, 2, 99.9, 1.0),), STEPS, "no snapshot or clear to begin the book with"),
        (((BOTH | 10 | BUY, 1, 2, 99.9, 1.0),), STEPS, "tells of single orders"),
        (
            (*BEGIN, (BOTH | DEPTH | BUY, 20, 26, 99.95, 1.0)),
            STEPS,
            "price .*99.95.* in row 6 of 0.npz is off the step",
        ),
        ((*BEGIN, (BOTH | DEPTH | BUY, 20, 26, 99.9, 0.0005)), STEPS, "quantity .* in row 6 of 0.npz is off the step"),
    ],
)
def test_what_cannot_be_a_tape_is_refused(tmp_path: Path, rows: Sequence[Row], terms: Terms, sentence: str) -> None:
    with pytest.raises(CallerError, match=sentence):
        imported(tmp_path, rows, terms=terms)
    assert not (tmp_path / "tape").exists()


def test_a_damaged_file_leaves_no_tape(tmp_path: Path) -> None:
    path = written(tmp_path / "a.npz", BEGIN)
    content = bytearray(path.read_bytes())
    content[200:230] = bytes(30)
    path.write_bytes(content)
    with pytest.raises(CallerError, match=r"is damaged .*; nothing was written"):
        import_recording([path], tmp_path / "tape", terms=STEPS)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("hftbacktest") is None, reason="hftbacktest is not installed; it is in the extra `bench`")
def test_what_hftbacktest_itself_writes_is_the_same_market(tmp_path: Path, recordings: Path) -> None:
    """Its own converter's file of a recording, beside our import of it: same trades, same book at the end."""
    from hftbacktest.data.utils import binancefutures

    raw = recordings / "binance-20240718-btc/usdm_btcusdt_20240718.gz"
    binancefutures.convert(str(raw), str(tmp_path / "theirs.npz"))
    terms = Terms(venue="binance_usdm", symbol="BTCUSDT", tick=Decimal("0.1"), lot=Decimal("0.001"))
    import_recording([tmp_path / "theirs.npz"], tmp_path / "theirs", terms=terms)
    import_recording([raw], tmp_path / "ours")
    theirs, ours = open_tape(tmp_path / "theirs"), open_tape(tmp_path / "ours")
    assert [one[0::2] for one in trades_in(theirs)] == [one[0::2] for one in trades_in(ours)]
    ours_last = last_book(ours)
    assert len(ours_last) > 4_000
    assert {place: last_book(theirs)[place] for place in ours_last} == ours_last  # theirs keeps what came before it


def last_book(tape: Tape) -> dict[int, int]:
    """Lots by key of `level_changes`, as the tape leaves them."""
    key, _, lots = level_changes(tape)
    last = np.append(key[1:] != key[:-1], True)
    return {place: left for place, left in zip(key[last].tolist(), lots[last].tolist(), strict=True) if left}
