"""ccapi's CSV files as a tape: one best a second, trades between them, and what must be stated."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from sor.errors import CallerError
from sor.lab.importers import Terms, import_recording
from sor.tape import check_tape, open_tape
from sor.units import MS, NS
from tests.fakes.tapes import Group, Traded, groups_in, trades_in

BEST = "time_seconds,bid_price_bid_size,ask_price_ask_size"
TRADES = "time_seconds,price,size,is_buyer_maker"
T = 1_625_097_600
GEMINI = Terms(venue="gemini", symbol="eth/usd")
ROWS = (f"{T},2271.58_1.6,2279.63_28.4", f"{T + 1},2271.58_1.5,2279.63_28.4", f"{T + 4},2271.6_1,2279.62_0.00000001")


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_rows_are_the_best_at_their_second(tmp_path: Path) -> None:
    best = written(tmp_path / "b", BEST, *ROWS)
    trades = written(tmp_path / "a", TRADES, f"{T}.647,2271.58,0.1,1", f"{T + 3}.989,2279.63,28.4,0")
    manifest = import_recording([trades, best], tmp_path / "tape", terms=GEMINI)
    check_tape(tmp_path / "tape")
    tape = open_tape(tmp_path / "tape")
    lot = 10**8
    assert groups_in(tape) == [
        Group(T * NS, T * NS, [(1, 227_158, 16 * lot // 10), (-1, 227_963, 284 * lot // 10)], True),
        Group((T + 1) * NS, (T + 1) * NS, [(1, 227_158, 15 * lot // 10)]),
        Group((T + 4) * NS, (T + 4) * NS, [(1, 227_158, 0), (1, 227_160, lot), (-1, 227_963, 0), (-1, 227_962, 1)]),
    ]
    first, last = T * NS + 647 * MS, (T + 3) * NS + 989 * MS
    assert trades_in(tape) == [
        Traded(first, first, -1, 227_158, lot // 10),
        Traded(last, last, 1, 227_963, 284 * lot // 10),
    ]
    found = {one.what: one.count for one in manifest.findings}
    assert (found["rows"], found["trades"], found["silence_ns_max"], found["malformed"]) == (3, 2, 3 * NS, 0)
    assert (manifest.instrument.venue, manifest.instrument.taker_fee_e8) == ("gemini", 350_000)


@pytest.mark.parametrize("bad", ["soon,1_1,2_1", f"{T + 2},2271.58,2279.63_1", f"{T + 2},2271.58_1,_", f"{T + 2},1_1"])
def test_a_row_that_cannot_be_read_is_named(tmp_path: Path, bad: str) -> None:
    best = written(tmp_path / "best", BEST, ROWS[0], bad, ROWS[1])
    manifest = import_recording([best], tmp_path / "tape", terms=GEMINI)
    (malformed,) = [one for one in manifest.findings if one.what == "malformed"]
    assert (malformed.count, malformed.note) == (1, "lines that could not be read; left out: line 3 of best")
    assert manifest.groups == 2


@pytest.mark.parametrize(
    ("lines", "terms", "sentence"),
    [
        ((BEST, *ROWS), Terms(), "name neither venue nor symbol; nothing was written. State --venue and --symbol"),
        ((BEST, *ROWS), Terms(venue="gemini", symbol="BTCUSD"), "BTCUSD on gemini is not known here; .* its --tick"),
        ((TRADES, f"{T},1,1,1"), GEMINI, "holds no best bid and ask"),
        ((BEST, *ROWS), Terms(venue="gemini", symbol="ETHUSD", tick=Decimal("0.5")), "price 2271.58 is off the step"),
        ((BEST, *ROWS), Terms(venue="gemini", symbol="ETHUSD", clock_offset_ns=1), "one clock only"),
    ],
)
def test_what_cannot_be_a_tape_is_refused(tmp_path: Path, lines: tuple[str, ...], terms: Terms, sentence: str) -> None:
    with pytest.raises(CallerError, match=sentence):
        import_recording([written(tmp_path / "file", *lines)], tmp_path / "tape", terms=terms)
    assert not (tmp_path / "tape").exists()
