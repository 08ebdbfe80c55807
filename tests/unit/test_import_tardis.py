"""Tardis' CSV files as a tape: groups by arrival, resets by snapshot, the aggressor's side, and what is refused."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from sor.errors import CallerError
from sor.lab.importers import Terms, import_recording
from sor.tape import Tape, check_tape, open_tape
from sor.units import US
from tests.fakes.tapes import Group, Traded, groups_in, trades_in

BOOK = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"
TRADES = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount"
T = 1_700_000_000_000_000
"""Microseconds."""
STEPS = Terms(tick=Decimal("0.1"), lot=Decimal("0.001"), clock_offset_ns=0)


def row(venue: int, recv: int, kind: str, side: str, price: str, amount: str, *, symbol: str = "BTCUSDT") -> str:
    return f"binance-futures,{symbol},{T + venue},{T + recv},{kind},{side},{price},{amount}"


BOOK_ROWS = (
    row(0, 50, "true", "bid", "99.9", "2"),
    row(0, 50, "true", "ask", "100.1", "1.5"),
    row(10, 60, "false", "bid", "99.9", "1"),
    row(11, 60, "false", "ask", "100.1", "0"),
    row(11, 60, "false", "ask", "100.2", "3"),
    row(20, 75, "false", "bid", "99.8", "0.001"),
    row(40, 90, "true", "bid", "99.5", "1"),  # connected anew
    row(40, 90, "true", "ask", "100.0", "1"),
)
TRADE_ROWS = (
    row(9, 55, "101", "sell", "99.9", "1"),
    row(31, 80, "102", "unknown", "99.9", "1"),
    row(45, 95, "103", "buy", "100", "0.5"),
)


def written(path: Path, header: str, rows: tuple[str, ...], *, packed: bool = False) -> Path:
    text = "\n".join([header, *rows]) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return path


def imported(tmp_path: Path, *files: Path, terms: Terms = STEPS) -> Tape:
    import_recording(list(files), tmp_path / "tape", terms=terms)
    check_tape(tmp_path / "tape")
    return open_tape(tmp_path / "tape")


@pytest.fixture
def book(tmp_path: Path) -> Path:
    return written(tmp_path / "book.csv.gz", BOOK, BOOK_ROWS, packed=True)


@pytest.fixture
def trades(tmp_path: Path) -> Path:
    return written(tmp_path / "trades.csv", TRADES, TRADE_ROWS)


def test_rows_that_arrived_together_are_a_group_and_a_snapshot_replaces_the_book(
    tmp_path: Path, book: Path, trades: Path
) -> None:
    tape = imported(tmp_path, trades, book)
    at = T * US
    assert groups_in(tape) == [
        Group(at, at + 50 * US, [(1, 999, 2_000), (-1, 1_001, 1_500)], True),
        Group(at + 11 * US, at + 60 * US, [(1, 999, 1_000), (-1, 1_001, 0), (-1, 1_002, 3_000)]),
        Group(at + 20 * US, at + 75 * US, [(1, 998, 1)]),
        Group(at + 40 * US, at + 90 * US, [(1, 995, 1_000), (-1, 1_000, 1_000)], True),
    ]
    assert trades_in(tape) == [
        Traded(at + 9 * US, at + 55 * US, -1, 999, 1_000),
        Traded(at + 45 * US, at + 95 * US, 1, 1_000, 500),
    ]
    assert (tape.instrument.venue, tape.instrument.symbol) == ("binance_usdm", "BTCUSDT")
    assert tape.instrument.tick_size == Decimal("0.1")


def test_what_was_found_is_said(tmp_path: Path, book: Path) -> None:
    damaged = written(tmp_path / "trades.csv", TRADES, (*TRADE_ROWS, "binance-futures,BTCUSDT,soon", TRADE_ROWS[0]))
    manifest = import_recording([book, damaged], tmp_path / "tape", terms=STEPS)
    found = {finding.what: finding for finding in manifest.findings}
    counts = {what: one.count for what, one in found.items()}
    assert (counts["levels"], counts["groups"], counts["snapshots"]) == (8, 4, 2)
    assert (counts["trades"], counts["trades_no_side"], counts["malformed"]) == (4, 1, 1)
    assert "line 5 of trades.csv" in found["malformed"].note


def test_the_recorders_clock_is_estimated_where_none_is_stated(tmp_path: Path, book: Path) -> None:
    tape = imported(tmp_path, book, terms=Terms(tick=Decimal("0.1"), lot=Decimal("0.001")))
    # 49 us is the least receive time - event time of a row.
    assert tape.group_recv_ns[0] == T * US + 1 * US
    assert (tape.group_recv_ns >= tape.group_venue_ns).all()


def test_days_are_read_in_order_of_time(tmp_path: Path, book: Path) -> None:
    later = written(tmp_path / "a-later-day.csv", BOOK, (row(70, 99, "false", "bid", "99.4", "7"),))
    tape = imported(tmp_path, later, book)
    assert groups_in(tape)[-1].levels == [(1, 994, 7_000)]


def test_an_inverse_contract_has_a_face_value(tmp_path: Path, book: Path) -> None:
    terms = Terms(tick=Decimal("0.1"), lot=Decimal("0.001"), contract=Decimal(100))
    instrument = imported(tmp_path, book, terms=terms).instrument
    assert (instrument.inverse, instrument.multiplier) == (True, Decimal(100))


@pytest.mark.parametrize(
    ("rows", "terms", "sentence"),
    [
        (BOOK_ROWS, Terms(), "State its --tick and --lot"),
        (BOOK_ROWS, Terms(tick=Decimal("0.25"), lot=Decimal("0.001")), "is off the step"),
        (
            BOOK_ROWS,
            Terms(tick=Decimal("0.1"), lot=Decimal("0.001"), symbol="ETHUSDT"),
            "is of BTCUSDT, not of ETHUSDT",
        ),
        (BOOK_ROWS[2:6], STEPS, "holds no snapshot of the book"),
        ((*BOOK_ROWS, row(99, 99, "false", "bid", "1", "1", symbol="ETHUSDT")), STEPS, "Import each on its own"),
    ],
)
def test_what_cannot_be_a_tape_is_refused(tmp_path: Path, rows: tuple[str, ...], terms: Terms, sentence: str) -> None:
    file = written(tmp_path / "book.csv", BOOK, rows)
    with pytest.raises(CallerError, match=sentence):
        import_recording([file], tmp_path / "tape", terms=terms)
    assert not (tmp_path / "tape").exists()


def test_trades_alone_are_no_market(tmp_path: Path, trades: Path) -> None:
    with pytest.raises(CallerError, match="holds no incremental_book_L2"):
        import_recording([trades], tmp_path / "tape", terms=STEPS)
