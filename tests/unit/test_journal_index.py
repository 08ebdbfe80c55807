"""The query index: right, up to date, and never in the way."""

import shutil
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from sor.errors import CallerError
from sor.events import Reported, Woke
from sor.ids import ClOrdId, ExecId, ParentId, Symbol, VenueName
from sor.journal import Environment, Journal, Record, turns
from sor.journal import index as index_module
from sor.journal.index import Index, ParentRow
from sor.orders import ParentStatus, Side
from sor.reasons import EndReason
from tests.replay.golden.make_journal import CL_ORD_ID, EPOCH, FULL_REPORT, SIM, T0, TURNS

P1, P2, P3 = ParentId("P-1"), ParentId("P-2"), ParentId("P-3")
ROWS = [
    ParentRow(
        parent_no=1,
        parent_id=P1,
        strategy="momentum",
        account="main",
        venue=SIM,
        symbol=Symbol("BTCUSDT"),
        side=Side.SELL,
        quantity=Decimal("0.250"),
        submitted_ns=T0 + 10,
        status=ParentStatus.HALTED,
        reason=EndReason.HALTED,
        cum_lots=100,
        ended_ns=T0 + 51,
    ),
    ParentRow(
        parent_no=2,
        parent_id=P2,
        strategy="default",
        account="default",
        venue=SIM,
        symbol=Symbol("BTCUSDT"),
        side=Side.BUY,
        quantity=Decimal(1),
        submitted_ns=T0 + 20,
        status=ParentStatus.CANCELED,
        reason=EndReason.SHUTDOWN,
        cum_lots=0,
        ended_ns=T0 + 45,
    ),
    ParentRow(
        parent_no=3,
        parent_id=P3,
        strategy="default",
        account="default",
        venue=SIM,
        symbol=Symbol("BTCUSDT"),
        side=Side.BUY,
        quantity=Decimal("0.002"),
        submitted_ns=T0 + 22,
        status=None,
        reason=None,
        cum_lots=None,
        ended_ns=None,
    ),
]


def write(path: Path, turns_to_write: list[list[Record]]) -> Path:
    """A journal with these turns; goes on where there is one."""
    opened = (
        Journal.open(path, segment_bytes=3000)
        if path.exists()
        else Journal.create(path, epoch=EPOCH, environment=Environment.SIMULATED, segment_bytes=3000)
    )
    with opened as journal:
        for turn in turns_to_write:
            journal.append(turn)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "j", TURNS)


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path / "index.sqlite")) as database:
        return database.execute(query).fetchall()


def parents(path: Path) -> list[ParentRow]:
    with Index.open(path) as index:
        assert index.fault is None
        return index.parents()


def test_parents_and_where_they_are(path: Path) -> None:
    with Index.open(path) as index:
        assert index.parents() == ROWS
        assert index.parent_records(P1) == [
            *((3, place) for place in range(4)),
            *((5, place) for place in range(7)),
            *((6, place) for place in range(6)),
            *((7, place) for place in range(4)),
            (7, 6),
        ]
        assert index.parent_records(P2) == [(4, 0), (4, 1), (4, 2), (4, 3), (4, 4), (6, 6), (6, 7)]
        assert index.parent_records(P3) == [(4, 5), (4, 6)]
        assert index.parent_records(ParentId("stranger")) == []
        assert index.instrument_turns() == [2]


def test_tables_for_people(path: Path) -> None:
    Index.open(path).close()
    assert rows(
        path, "SELECT cl_ord_id, parent_no, child_no, side, ord_type, qty_lots, price_ticks, turn FROM orders"
    ) == [
        (CL_ORD_ID, 1, 1, -1, "limit", 250, 640_001, 3),
        ("sor100007000-000003-0001e", 3, 1, 1, "market", 2, 0, 4),
    ]
    assert rows(path, "SELECT exec_id, parent_no, lots, ticks, is_maker, fee_atoms, fee_source, turn FROM fills") == [
        ("E-1", 1, 100, 640_001, 0, -3_200_005_000_000_000, "WS_SETTLED", 5)
    ]
    assert rows(path, "SELECT turn, place, parent_no, time_ns, cause, decided_by, reason FROM decisions") == [
        (3, 2, 1, T0 + 11, "start", "cross", "rest_is_cheaper"),
        (4, 2, 2, T0 + 21, "revisit", "maker_first", "no_market"),
    ]
    assert rows(path, "SELECT turn, place, parent_no, venue, text, halts FROM alarms") == [
        (7, 2, 1, "sim", "order not found for 30 s", 1)
    ]


def test_a_fill_that_is_told_again_is_one_fill_with_the_latest_fee(path: Path) -> None:
    settled = msgspec.structs.replace(FULL_REPORT, fee_atoms=2**64 - 1)
    silent = msgspec.structs.replace(FULL_REPORT, fee_atoms=None)
    foreign = msgspec.structs.replace(FULL_REPORT, cl_ord_id=ClOrdId("by hand"), exec_id=ExecId("E-2"))
    write(path, [[Reported(now_ns=T0 + 60, report=each, mid_hticks=0)] for each in (settled, silent, foreign)])
    Index.open(path).close()
    assert rows(path, "SELECT exec_id, parent_no, fee_atoms, turn FROM fills ORDER BY exec_id") == [
        ("E-1", 1, float(2**64 - 1), 5),  # more than SQLite's integers hold: rounded here, exact in the journal
        ("E-2", None, FULL_REPORT.fee_atoms, 10),
    ]


def test_it_grows_with_the_journal(tmp_path: Path) -> None:
    path = write(tmp_path / "j", [])
    for number, turn in enumerate(TURNS, start=1):
        write(path, [turn])
        Index.open(path).close()
        assert rows(path, "SELECT turn FROM about") == [(number,)]
    assert parents(path) == ROWS
    before = rows(path, "SELECT * FROM parent_records")
    (path / "index.sqlite").unlink()
    assert parents(path) == ROWS
    assert rows(path, "SELECT * FROM parent_records") == before


def test_it_is_made_while_another_process_writes(path: Path) -> None:
    with Journal.open(path) as journal:
        journal.append([Woke(now_ns=T0 + 70, parent_no=3, market=False)])
        with Index.open(path) as index:
            assert index.parent_records(P3)[-1] == (8, 0)


@pytest.mark.parametrize("content", [b"", b"not a database at all", b"SQLite format 3\0" + bytes(4080)])
def test_a_damaged_index_is_made_anew(path: Path, content: bytes) -> None:
    (path / "index.sqlite").write_bytes(content)
    assert parents(path) == ROWS
    assert parents(path) == ROWS


def test_an_index_damaged_anywhere_gives_an_answer(path: Path) -> None:
    Index.open(path).close()
    whole = (path / "index.sqlite").read_bytes()
    for start in range(0, len(whole), 997):
        (path / "index.sqlite").write_bytes(whole[:start] + b"\xff" * 997 + whole[start + 997 :])
        with Index.open(path) as index:
            assert index.parents() == ROWS
            assert len(index.parent_records(P1)) == 22
            assert index.instrument_turns() == [2]


def test_an_index_that_lacks_a_table_is_made_anew(path: Path) -> None:
    Index.open(path).close()
    with closing(sqlite3.connect(path / "index.sqlite")) as database:
        database.execute("DROP TABLE parents")
        database.commit()
    assert parents(path) == ROWS


def test_an_index_of_another_layout_is_made_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(index_module, "LAYOUT", 0)
        Index.open(path).close()
    assert parents(path) == ROWS
    assert rows(path, "SELECT layout FROM about") == [(index_module.LAYOUT,)]


def test_an_index_of_another_journal_is_made_anew(path: Path, tmp_path: Path) -> None:
    with Journal.create(tmp_path / "other", epoch=EPOCH + 1, environment=Environment.SIMULATED):
        Index.open(tmp_path / "other").close()
    shutil.copy(tmp_path / "other" / "index.sqlite", path / "index.sqlite")
    assert parents(path) == ROWS


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_an_index_of_turns_that_were_lost_is_made_anew(path: Path, tmp_path: Path, lost: int) -> None:
    # After power loss a journal may end before what the index has seen, and go on differently.
    ahead = write(tmp_path / "ahead", TURNS)
    Index.open(ahead).close()
    shorter = write(tmp_path / "shorter", TURNS[:-lost])
    shutil.copy(ahead / "index.sqlite", shorter / "index.sqlite")
    assert len(parents(shorter)) == 3
    assert rows(shorter, "SELECT turn FROM about") == [(len(TURNS) - lost,)]
    news: list[Record] = [Woke(now_ns=1, parent_no=2, market=True)]
    other = write(tmp_path / "other", TURNS[:-lost] + [news] * lost)
    shutil.copy(ahead / "index.sqlite", other / "index.sqlite")
    with Index.open(other) as index:
        assert index.parent_records(P2)[-1] == (len(TURNS), 0)


def test_a_directory_that_cannot_be_written_has_its_index_in_memory(path: Path) -> None:
    (path / "index.sqlite").mkdir()  # stands for a read-only directory, which does not stop root
    with Index.open(path) as index:
        assert index.parents() == ROWS
        assert len(index.parent_records(P1)) == 22


def test_a_busy_index_is_not_touched(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Index.open(path).close()
    monkeypatch.setattr(index_module, "BUSY_S", 0.01)
    with closing(sqlite3.connect(path / "index.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(CallerError, match="in use by another process"):
            Index.open(path)
        other.execute("ROLLBACK")
    assert parents(path) == ROWS


def test_a_damaged_journal_is_indexed_up_to_there(path: Path) -> None:
    third = next(turn for turn in turns(path) if turn.no == 4)
    segment = path / f"{third.segment:06}.seg"
    content = bytearray(segment.read_bytes())
    content[third.offset + 40] ^= 1
    segment.write_bytes(content)
    with Index.open(path) as index:
        assert index.fault is not None
        assert f"byte {third.offset}" in str(index.fault)
        assert [row.parent_id for row in index.parents()] == [P1]
    with Index.open(path) as index:  # and again, from where it was left
        assert index.fault is not None
        assert index.parent_records(P1) == [(3, place) for place in range(4)]


def test_there_is_no_index_without_a_journal(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="no journal"):
        Index.open(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_ids_and_venues_stay_what_they_were(path: Path) -> None:
    with Index.open(path) as index:
        assert {type(row.venue) for row in index.parents()} == {str}
        assert [row.venue for row in index.parents()] == [VenueName("sim")] * 3
