"""The log of `sor record`: every event in a line, parts, torn ends, losses; and the tape that is made of it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from sor.errors import CallerError
from sor.ids import Symbol
from sor.lab.importers import Terms, import_recording
from sor.lab.market_log import PART_BYTES, MarketLog
from sor.market import BookReset, BookUpdate, LateLevels, MarketEvent, MarkUpdate, TradePrint
from sor.orders import Side
from sor.tape import Tape, check_tape, open_tape
from tests.fakes.tapes import INSTRUMENT, Group, Traded, groups_in, trades_in

SYMBOL = INSTRUMENT.symbol
T = 1_700_000_000_000_000_000
EXACT = Terms(clock_offset_ns=0)


def book(
    at: int,
    bids: tuple[tuple[int, int], ...] | LateLevels,
    asks: tuple[tuple[int, int], ...] = (),
    *,
    snapshot: bool = False,
    seq: int = -1,
    prev: int = -1,
) -> BookUpdate:
    return BookUpdate(
        symbol=SYMBOL,
        bids=bids,
        asks=asks,
        venue_ns=T + at,
        recv_ns=T + at + 5,
        snapshot=snapshot,
        seq=seq,
        prev_seq=prev,
    )


def trade(at: int, side: Side = Side.BUY) -> TradePrint:
    return TradePrint(symbol=SYMBOL, side=side, price_ticks=1_001, qty_lots=7, venue_ns=T + at, recv_ns=T + at + 5)


SNAPSHOT = book(0, ((999, 20), (998, 10)), ((1_001, 15),), snapshot=True, seq=1)


def logged(folder: Path, *events: MarketEvent, part_bytes: int = PART_BYTES) -> MarketLog:
    """A log that has been begun, with these events."""
    log = MarketLog(folder, SYMBOL, source="acme (demo)", now_ns=lambda: T + 1_000, part_bytes=part_bytes)
    log.instrument(INSTRUMENT)
    log.begin()
    for event in events:
        log.market(event)
    return log


def imported(log: MarketLog, out: Path) -> tuple[Tape, dict[str, int]]:
    log.close()
    manifest = import_recording(log.parts, out, terms=EXACT)
    check_tape(out)
    assert manifest.importer == "record acme (demo)"
    return open_tape(out), {one.what: one.count for one in manifest.findings if one.count}


def group(at: int, levels: list[tuple[int, int, int]], *, snapshot: bool = False) -> Group:
    return Group(T + at, T + at + 5, levels, snapshot)


BEGUN = group(0, [(1, 999, 20), (1, 998, 10), (-1, 1_001, 15)], snapshot=True)


def test_what_was_published_is_what_the_tape_holds(tmp_path: Path) -> None:
    late = LateLevels(best=(997, 4), rows=[(99.7, 0.004), (99.6, 0.001)], price_steps=10.0, qty_steps=1_000.0)
    log = logged(
        tmp_path / "log",
        book(-9, ((990, 1),), seq=0),  # before there is a book
        SNAPSHOT,
        trade(10),
        book(20, ((999, 0), (998, 10)), ((1_001, 16),), seq=2, prev=1),
        MarkUpdate(symbol=SYMBOL, mark_ticks=1_000.5, venue_ns=T + 21, recv_ns=T + 21),
        TradePrint(symbol=Symbol("ETHUSDT"), side=Side.BUY, price_ticks=1, qty_lots=1, venue_ns=T, recv_ns=T),
        trade(30, Side.SELL),
        book(40, late, ((999, 3),), snapshot=True, seq=9),
    )
    log.end("enough")
    tape, found = imported(log, tmp_path / "tape")
    assert groups_in(tape) == [
        BEGUN,
        group(20, [(1, 999, 0), (-1, 1_001, 16)]),
        group(40, [(1, 997, 4), (1, 996, 1), (-1, 999, 3)], snapshot=True),
    ]
    assert trades_in(tape) == [Traded(T + 10, T + 15, 1, 1_001, 7), Traded(T + 30, T + 35, -1, 1_001, 7)]
    assert tape.instrument == INSTRUMENT
    assert found == {"lines": 8, "books": 3, "snapshots": 2, "trades": 2, "unplaced": 1, "ends": 1}
    assert (log.heard.books, log.heard.trades, log.heard.last_ns) == (4, 2, T + 45)


def test_every_way_to_lose_the_book_is_on_the_tape(tmp_path: Path) -> None:
    log = logged(
        tmp_path / "log", SNAPSHOT, BookReset(symbol=SYMBOL, recv_ns=T + 11), book(20, ((999, 1),), seq=2, prev=1)
    )
    again = msgspec.structs.replace
    log.market(again(SNAPSHOT, venue_ns=T + 30, recv_ns=T + 35))
    log.market(book(40, ((999, 1),), seq=7, prev=5))  # 2 to 5 are missing
    log.market(again(SNAPSHOT, venue_ns=T + 50, recv_ns=T + 55))
    log.link(False, "reset by peer")
    log.link(False, "no connection")
    log.link(True, "")
    log.market(book(60, ((999, 1),), seq=2, prev=1))
    tape, found = imported(log, tmp_path / "tape")
    assert [(one.venue_ns - T, one.recv_ns - T, len(one.levels), one.snapshot) for one in groups_in(tape)] == [
        (0, 5, 3, True),
        (0, 11, 0, True),
        (30, 35, 3, True),
        (40, 45, 0, True),
        (50, 55, 3, True),
        (50, 1_000, 0, True),
    ]
    assert (found["resets"], found["gaps"], found["drops"], found["unplaced"]) == (1, 1, 1, 2)
    assert (log.heard.resets, log.heard.drops) == (1, 1)


def test_a_process_that_is_killed_loses_at_most_the_line_it_was_writing(tmp_path: Path) -> None:
    log = logged(tmp_path / "log", SNAPSHOT, *(book(at, ((999, at),)) for at in range(10, 15)))
    (part,) = log.parts  # read while the log is open: nothing waits in a buffer
    content = part.read_bytes()
    assert content.count(b"\n") == 7
    part.write_bytes(content[:-4])
    tape, found = imported(log, tmp_path / "tape")
    assert len(groups_in(tape)) == 5
    assert (found["torn"], found.get("ends", 0)) == (1, 0)


def test_parts_are_bounded_and_make_one_tape(tmp_path: Path) -> None:
    log = logged(tmp_path / "log", SNAPSHOT, *(book(at, ((999, at),)) for at in range(10, 40)), part_bytes=1_024)
    log.end("enough")
    assert len(log.parts) > 2
    assert max(part.stat().st_size for part in log.parts) < 1_024 + 200
    assert all(part.read_bytes().startswith(b'{"t":"log",') for part in log.parts)
    tape, _ = imported(log, tmp_path / "tape")
    assert [one.levels[0][2] for one in groups_in(tape)[1:]] == list(range(10, 40))


def test_an_instrument_that_is_listed_anew_with_other_steps_ends_it(tmp_path: Path) -> None:
    log = logged(tmp_path / "log", SNAPSHOT)
    log.instrument(msgspec.structs.replace(INSTRUMENT, version=2, maker_fee_e8=1))
    seen = [log.relisted]
    log.instrument(msgspec.structs.replace(INSTRUMENT, version=3, tick_size=INSTRUMENT.tick_size * 2))
    assert [*seen, log.relisted] == [False, True]
    log.close()


def test_parts_of_two_instruments_are_refused(tmp_path: Path) -> None:
    first = logged(tmp_path / "a", SNAPSHOT)
    other = MarketLog(tmp_path / "b", SYMBOL, source="acme (demo)", now_ns=lambda: T)
    other.instrument(msgspec.structs.replace(INSTRUMENT, tick_size=INSTRUMENT.tick_size * 2))
    other.begin()
    other.market(SNAPSHOT)
    first.close()
    other.close()
    with pytest.raises(CallerError, match="or their steps differ; nothing was written"):
        import_recording([*first.parts, *other.parts], tmp_path / "tape")


def test_what_cannot_be_begun(tmp_path: Path) -> None:
    log = MarketLog(tmp_path / "log", SYMBOL, source="acme", now_ns=lambda: T)
    with pytest.raises(CallerError, match="BTCUSDT is not listed there; nothing was recorded"):
        log.begin()
    log.market(SNAPSHOT)  # nothing is written before it is begun
    assert not log.parts
    logged(tmp_path / "log", SNAPSHOT).close()
    log.instrument(INSTRUMENT)
    with pytest.raises(CallerError, match=r"from a recording that did not end; .* `sor tape import .*part-\*.jsonl`"):
        log.begin()


def test_a_log_without_a_book_is_no_tape(tmp_path: Path) -> None:
    log = logged(tmp_path / "log", trade(1))
    log.end("enough")
    with pytest.raises(CallerError, match="no book of BTCUSDT was recorded; nothing was written"):
        imported(log, tmp_path / "tape")


def test_a_full_disk_is_said_and_not_passed_over(tmp_path: Path) -> None:
    log = logged(tmp_path / "log", SNAPSHOT)
    log.close()
    log._file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115 - the log closes it
    with pytest.raises(OSError, match="No space left on device"):
        log.market(trade(10))
    log.close()
    tape, _ = imported(log, tmp_path / "tape")
    assert groups_in(tape) == [BEGUN]
    assert os.listdir(tmp_path / "log") == ["part-00000.jsonl"]
