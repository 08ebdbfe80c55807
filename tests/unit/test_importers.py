"""Importers on recordings written by hand: a few lines each, and every column that must come of them."""

from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Callable, Sequence
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from sor.errors import CallerError
from sor.ids import Symbol, VenueName
from sor.instruments import Instrument
from sor.lab.importers import Terms, import_recording
from sor.lab.importers.recording import Steps
from sor.tape import Manifest, Tape, check_tape, open_tape
from sor.units import MS
from tests.fakes.tapes import Group, Traded, groups_in, trades_in

T0 = 1_723_161_256_000  # ms, the venue's clock
BEHIND = 1_270 * MS  # the recorder's clock is behind by this


def at(ms: float) -> int:
    """Venue time in ns, `ms` after the beginning."""
    return (T0 * 1_000 + round(ms * 1_000)) * 1_000


# --- Binance lines ------------------------------------------------------------------------------------------------


class Futures:
    """Writes the lines of a USD-M recording, or with a pair of a COIN-M one; `late` ms is from event to arrival."""

    def __init__(self, symbol: str, *, pair: str = "", book: int = 0) -> None:
        self.symbol = symbol
        self.stream = symbol.lower()
        self.pair: dict[str, object] = ({"ps": pair} if pair else {}) | ({"st": book} if book else {})

    def line(self, ms: float, what: str, data: dict[str, object], late: float = 0.0) -> str:
        message = {"stream": f"{self.stream}@{what}", "data": {"s": self.symbol, **self.pair, **data}}
        return f"{at(ms + late) - BEHIND} {json.dumps(message)}\n"

    def diff(
        self, ms: int, ids: tuple[int, int, int], bids: dict[str, str], asks: dict[str, str], late: float = 0.0
    ) -> str:
        """`ids` are (U, u, pu); made 1 ms before the event."""
        data = {
            "e": "depthUpdate",
            "E": T0 + ms,
            "T": T0 + ms - 1,
            "U": ids[0],
            "u": ids[1],
            "pu": ids[2],
            "b": list(bids.items()),
            "a": list(asks.items()),
        }
        return self.line(ms, "depth@0ms", data, late)

    def ticker(self, ms: int, u: int, bid: tuple[str, str], ask: tuple[str, str], late: float = 0.0) -> str:
        data = {
            "e": "bookTicker",
            "u": u,
            "b": bid[0],
            "B": bid[1],
            "a": ask[0],
            "A": ask[1],
            "T": T0 + ms,
            "E": T0 + ms,
        }
        return self.line(ms, "bookTicker", data, late)

    def trade(self, ms: int, number: int, price: str, qty: str, *, sold: bool, origin: str = "MARKET") -> str:
        data = {
            "e": "trade",
            "E": T0 + ms,
            "T": T0 + ms,
            "t": number,
            "p": price,
            "q": qty,
            "X": origin,
            "m": sold,
        }
        return self.line(ms, "trade", data)

    def aggregate(self, ms: int, number: int, price: str, qty: str, *, sold: bool) -> str:
        data = {"e": "aggTrade", "E": T0 + ms + 5, "T": T0 + ms, "a": number, "p": price, "q": qty, "m": sold}
        return self.line(ms + 5, "aggTrade", data | {"f": 10 * number, "l": 10 * number + 2})

    def snapshot(self, ms: int, last_id: int, bids: dict[str, str], asks: dict[str, str]) -> str:
        """Made 10 ms before it is received."""
        data = {
            "lastUpdateId": last_id,
            "E": T0 + ms - 10,
            "T": T0 + ms - 10,
            "bids": list(bids.items()),
            "asks": list(asks.items()),
        }
        return f"{at(ms) - BEHIND} {json.dumps(data)}\n"


class Spot:
    """Writes the lines of a spot recording: no `pu`, no transaction times, tickers without any time."""

    def line(self, ms: float, what: str, data: dict[str, object]) -> str:
        message = {"stream": f"btcusdt@{what}", "data": {"s": "BTCUSDT", **data}}
        return f"{at(ms) - BEHIND} {json.dumps(message)}\n"

    def diff(
        self, ms: int, first: int, last: int, bids: dict[str, str], asks: dict[str, str], late: float = 0.0
    ) -> str:
        data = {"e": "depthUpdate", "E": T0 + ms, "U": first, "u": last, "b": [*bids.items()], "a": [*asks.items()]}
        return self.line(ms + late, "depth@100ms", data)

    def ticker(self, ms: float, u: int, bid: tuple[str, str], ask: tuple[str, str]) -> str:
        return self.line(ms, "bookTicker", {"u": u, "b": bid[0], "B": bid[1], "a": ask[0], "A": ask[1]})

    def snapshot(self, ms: int, last_id: int, bids: dict[str, str], asks: dict[str, str]) -> str:
        data = {"lastUpdateId": last_id, "bids": list(bids.items()), "asks": list(asks.items())}
        return f"{at(ms) - BEHIND} {json.dumps(data)}\n"


USDM = Futures("BTCUSDT")
SPOT = Spot()
EXACT = Terms(clock_offset_ns=-BEHIND)
OPENING = [
    USDM.diff(0, (1, 5, 0), {}, {"100.1": "9.000"}),
    USDM.snapshot(20, 10, {"100.0": "1.000", "99.9": "2.000"}, {"100.1": "3.000", "100.3": "4.000"}),
    USDM.diff(30, (6, 12, 5), {"99.9": "2.500"}, {}),
]
"""A book from 20 ms on: bids 100.0 (1.000) and 99.9, asks 100.1 (3.000) and 100.3."""
OPENED = Group(at(10), at(20), [(1, 1000, 1000), (1, 999, 2000), (-1, 1001, 3000), (-1, 1003, 4000)], snapshot=True)
SECOND = Group(at(29), at(30), [(1, 999, 2500)])


def imported(folder: Path, lines: Sequence[str], terms: Terms = EXACT) -> tuple[Tape, dict[str, int]]:
    """The tape of a recording with these lines, checked, and its findings."""
    file = folder / "recording"
    file.write_text("".join(lines))
    manifest = import_recording([file], folder / "tape", terms=terms, overwrite=True)
    assert check_tape(folder / "tape") == manifest
    return open_tape(folder / "tape"), found(manifest)


def found(manifest: Manifest) -> dict[str, int]:
    """The findings that are not 0, without the counts that every recording has."""
    usual = {"lines", "diffs", "tickers", "trades", "snapshots", "too_old", "silence_ns_max", "clock_offset_ns"}
    return {one.what: one.count for one in manifest.findings if one.count and one.what not in usual}


# --- numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "text", "steps"),
    [
        ("0.1", "61800.20", 618_002),
        ("0.1", "61800", 618_000),
        ("0.1", "0.10000000", 1),
        ("0.00001", "3.78826000", 378_826),
        ("1", "1645", 1645),
        ("10", "120", 12),
        ("0.5", "1.50", 3),
        ("0.25", "0.000", 0),
        ("0.1", "6.18E+3", 61_800),
        ("0.001", "5e-3", 5),
    ],
)
def test_decimal_text_is_whole_steps(step: str, text: str, steps: int) -> None:
    assert Steps(Decimal(step), what="price")[text] == steps


@pytest.mark.parametrize(("step", "text"), [("0.1", "1.05"), ("0.5", "0.7"), ("10", "15"), ("1", "1.5E-1")])
def test_text_between_steps_is_refused(step: str, text: str) -> None:
    with pytest.raises(CallerError, match=f"price {text} is off the step of {step}; nothing was written"):
        Steps(Decimal(step), what="price")[text]


@pytest.mark.parametrize("text", ["", "abc", "-1.0", "NaN", "Infinity", "1.2.3", "1,5", " "])
def test_text_that_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(CallerError, match="is not a price; nothing was written"):
        Steps(Decimal("0.1"), what="price")[text]


def test_text_of_more_steps_than_there_are_is_refused() -> None:
    steps = Steps(Decimal("0.1"), what="price")
    assert steps["900719925474099.2"] == 1 << 53
    with pytest.raises(CallerError, match=r"price 900719925474099.3 is over 2\*\*53 steps of 0.1; nothing was written"):
        steps["900719925474099.3"]


def test_old_sizes_between_steps_are_rounded_down_and_counted() -> None:
    steps = Steps(Decimal("0.001"), what="quantity", lenient=True)
    assert [steps[text] for text in ("0.0019", "0.0001", "0.002", "0", "0.0019")] == [1, 1, 2, 0, 1]
    assert (steps.off, steps.texts) == (2, 4)


# --- Binance: the book --------------------------------------------------------------------------------------------


def test_diffs_before_the_snapshot_are_buffered_and_folded_into_it(tmp_path: Path) -> None:
    lines = [
        USDM.diff(0, (1, 5, 0), {}, {"100.1": "9.000"}),  # older than the snapshot
        USDM.diff(5, (6, 9, 5), {"100.0": "7.000"}, {}),  # likewise
        USDM.diff(12, (10, 12, 9), {"99.9": "2.500"}, {"100.2": "0.500"}),  # the snapshot lies inside it
        USDM.ticker(13, 13, ("100.0", "1.100"), ("100.1", "3.000")),
        USDM.snapshot(20, 10, {"100.0": "1.000", "99.9": "2.000"}, {"100.1": "3.000"}),
        USDM.diff(30, (13, 14, 12), {"100.0": "1.100"}, {"100.2": "0.000"}),
    ]
    tape, findings = imported(tmp_path, lines)
    assert groups_in(tape) == [
        Group(at(13), at(20), [(1, 1000, 1100), (1, 999, 2500), (-1, 1001, 3000), (-1, 1002, 500)], snapshot=True),
        Group(at(29), at(30), [(-1, 1002, 0)]),  # the ticker had told the bid
    ]
    assert findings == {}


def test_tickers_make_the_best_exact_between_diffs(tmp_path: Path) -> None:
    lines = [
        *OPENING,
        USDM.ticker(40, 13, ("100.0", "0.400"), ("100.1", "3.000")),  # the best bid shrinks
        USDM.ticker(41, 14, ("99.9", "2.500"), ("100.1", "3.000")),  # ... and goes
        USDM.ticker(42, 15, ("99.9", "2.500"), ("100.0", "0.200")),  # an ask improves
        USDM.ticker(43, 16, ("99.7", "0.100"), ("100.0", "0.200")),  # a bid the book did not know becomes the best
        USDM.diff(50, (13, 17, 12), {"100.0": "0.000", "99.9": "0.000", "99.7": "0.100"}, {"100.0": "0.200"}),
    ]
    tape, findings = imported(tmp_path, lines)
    assert groups_in(tape) == [
        OPENED,
        SECOND,
        Group(at(40), at(40), [(1, 1000, 400)]),
        Group(at(41), at(41), [(1, 1000, 0)]),
        Group(at(42), at(42), [(-1, 1000, 200)]),
        Group(at(43), at(43), [(1, 999, 0), (1, 997, 100)]),
        # The diff at 50 tells nothing that its tickers had not told: no group.
    ]
    assert findings == {}


def test_a_best_that_moves_through_the_other_side_removes_it(tmp_path: Path) -> None:
    lines = [*OPENING, USDM.ticker(40, 13, ("100.2", "1.000"), ("100.3", "4.000"))]
    tape, _ = imported(tmp_path, lines)
    assert groups_in(tape)[2:] == [Group(at(40), at(40), [(1, 1002, 1000), (-1, 1001, 0)])]


def test_a_far_best_removes_all_between(tmp_path: Path) -> None:
    # More prices lie between than the book has levels, so it is searched the other way round.
    lines = [*OPENING, USDM.ticker(40, 13, ("90.0", "1.000"), ("120.0", "1.000"))]
    tape, _ = imported(tmp_path, lines)
    levels = [(1, 1000, 0), (1, 999, 0), (1, 900, 1000), (-1, 1001, 0), (-1, 1003, 0), (-1, 1200, 1000)]
    assert groups_in(tape)[2:] == [Group(at(40), at(40), levels)]


def test_a_stale_diff_does_not_undo_a_newer_ticker(tmp_path: Path) -> None:
    # The diff of updates 13..14 arrives 4 ms after the ticker of update 15: it still belongs before it, and the ticker
    # is seen only when the diff is.
    lines = [
        *OPENING,
        USDM.ticker(42, 15, ("100.0", "0.300"), ("100.1", "3.000")),
        USDM.diff(41, (13, 14, 12), {"100.0": "0.900"}, {}, late=5),
        USDM.diff(60, (15, 15, 14), {"100.0": "0.300"}, {}),
    ]
    tape, findings = imported(tmp_path, lines)
    assert groups_in(tape)[2:] == [
        Group(at(40), at(46), [(1, 1000, 900)]),
        Group(at(42), at(46), [(1, 1000, 300)]),
    ]
    assert findings == {"recv_raised": 1}


def test_a_level_only_a_ticker_has_shown_stays(tmp_path: Path) -> None:
    # 99.5 rested below the snapshot's reach, so no diff lists it while it does not change.
    lines = [
        *OPENING,
        USDM.ticker(40, 13, ("99.5", "0.700"), ("100.1", "3.000")),
        USDM.diff(50, (13, 14, 12), {"100.0": "0.000", "99.9": "0.000"}, {"100.3": "5.000"}),
        USDM.diff(60, (15, 16, 14), {"99.5": "0.000", "99.4": "1.000"}, {}),
    ]
    tape, findings = imported(tmp_path, lines)
    assert groups_in(tape)[2:] == [
        Group(at(40), at(40), [(1, 1000, 0), (1, 999, 0), (1, 995, 700)]),
        Group(at(49), at(50), [(-1, 1003, 5000)]),
        Group(at(59), at(60), [(1, 995, 0), (1, 994, 1000)]),
    ]
    assert findings == {"best_disagreed": 1}  # no ticker told that 99.4 became the best: the diff is believed


def test_spot_follows_its_own_chain_and_tickers_take_the_receive_time(tmp_path: Path) -> None:
    lines = [
        SPOT.diff(0, 1, 5, {}, {}),
        SPOT.snapshot(20, 10, {"100.00": "1.00000000"}, {"100.01": "2.00000000"}),
        SPOT.diff(100, 6, 12, {"100.00": "1.50000000"}, {}),
        SPOT.ticker(130.5, 13, ("100.00", "1.40000000"), ("100.01", "2.00000000")),
        SPOT.ticker(205, 14, ("100.00", "1.30000000"), ("100.01", "2.00000000")),  # received after its diff was made
        SPOT.diff(200, 13, 14, {"100.00": "1.30000000"}, {"100.02": "1.50000000"}, late=6),
        SPOT.ticker(207, 15, ("100.00", "1.20000000"), ("100.01", "2.00000000")),
    ]
    tape, findings = imported(tmp_path, lines)
    assert tape.instrument.venue == "binance_spot"
    assert groups_in(tape) == [
        Group(at(20), at(20), [(1, 10_000, 100_000), (-1, 10_001, 200_000)], snapshot=True),
        Group(at(100), at(100), [(1, 10_000, 150_000)]),
        Group(at(130.5), at(130.5), [(1, 10_000, 140_000)]),
        Group(at(200), at(205), [(1, 10_000, 130_000)]),  # not after the diff that ends with it
        Group(at(200), at(206), [(-1, 10_002, 150_000)]),
        Group(at(207), at(207), [(1, 10_000, 120_000)]),
    ]
    assert findings == {"ticker_times_held": 1}


def test_a_few_sizes_may_lie_between_two_lots(tmp_path: Path) -> None:
    sizes = {f"{90 + n / 100:.2f}": f"{n + 1}.00000000" for n in range(240)}
    lines = [
        SPOT.diff(0, 1, 5, {}, {}),
        SPOT.snapshot(20, 5, {"100.00": "1.00000000"}, {"100.01": "2.00000000"}),
        SPOT.diff(100, 6, 7, sizes, {"200.00": "25.426189", "300.00": "0.000001"}),
    ]
    tape, findings = imported(tmp_path, lines)
    assert groups_in(tape)[1].levels[-2:] == [(-1, 20_000, 2_542_618), (-1, 30_000, 1)]
    assert findings == {"sizes_off_step": 2}
    # All but the 24 tens among the 240, and the two above.
    with pytest.raises(CallerError, match=r"218 of 242 different quantities are off the lot of 10; .* right --lot"):
        imported(tmp_path, lines, Terms(lot=Decimal(10)))


# --- Binance: sequence --------------------------------------------------------------------------------------------


def test_a_gap_loses_the_book_until_the_next_snapshot_that_fits(tmp_path: Path) -> None:
    lines = [
        *OPENING,
        USDM.diff(40, (20, 22, 19), {"100.0": "5.000"}, {}),  # 13..19 are missing
        USDM.ticker(45, 23, ("100.0", "4.000"), ("100.1", "3.000")),
        USDM.diff(50, (23, 24, 22), {"100.0": "4.000"}, {}),
        USDM.snapshot(60, 15, {"100.0": "8.000"}, {"100.1": "8.000"}),  # too old to go on from
        USDM.diff(1_500, (25, 26, 24), {"99.0": "1.000"}, {}),
        USDM.snapshot(1_600, 25, {"100.0": "6.000"}, {"100.1": "6.000"}),
        USDM.diff(1_700, (27, 28, 26), {"98.0": "1.000"}, {}),
        USDM.diff(3_000, (29, 30, 28), {"98.0": "2.000"}, {}),
    ]
    tape, findings = imported(tmp_path, lines)
    assert groups_in(tape) == [
        OPENED,
        SECOND,
        Group(at(39), at(40), [], snapshot=True),
        Group(at(1_590), at(1_600), [(1, 1000, 6000), (1, 990, 1000), (-1, 1001, 6000)], snapshot=True),
        Group(at(1_699), at(1_700), [(1, 980, 1000)]),
        Group(at(2_999), at(3_000), [(1, 980, 2000)]),
    ]
    assert findings == {"gaps": 1, "snapshots_refused": 1}


def test_a_snapshot_received_before_the_gap_was_noticed_is_kept(tmp_path: Path) -> None:
    # The recorder asked anew at once: both snapshots come before the first was tried, and the second (at update 21)
    # comes before the diff that shows the gap and contains it.
    lines = [
        *OPENING,
        USDM.snapshot(35, 21, {"100.0": "8.000"}, {"100.1": "8.000"}),
        USDM.diff(40, (20, 22, 19), {"100.0": "5.000"}, {}),
        USDM.diff(50, (23, 24, 22), {"100.0": "4.000"}, {}),
    ]
    tape, findings = imported(tmp_path, lines)
    assert groups_in(tape) == [
        OPENED,
        SECOND,
        Group(at(39), at(40), [], snapshot=True),
        Group(at(39), at(40), [(1, 1000, 5000), (-1, 1001, 8000)], snapshot=True),
        Group(at(49), at(50), [(1, 1000, 4000)]),
    ]
    assert findings == {"gaps": 1, "recv_raised": 1}


def test_a_snapshot_that_crosses_with_the_diffs_on_it_does_not_fit(tmp_path: Path) -> None:
    lines = [
        USDM.diff(0, (1, 5, 0), {}, {}),
        USDM.diff(10, (6, 12, 5), {"100.1": "1.000"}, {}),
        USDM.snapshot(20, 10, {"100.0": "1.000"}, {"100.1": "3.000"}),
        USDM.snapshot(30, 12, {"100.1": "1.000", "100.0": "0.000"}, {"100.2": "3.000"}),
        USDM.diff(40, (13, 14, 12), {}, {"100.3": "1.000"}),
    ]
    tape, findings = imported(tmp_path, lines)
    assert groups_in(tape) == [
        Group(at(20), at(30), [(1, 1001, 1000), (-1, 1002, 3000)], snapshot=True),
        Group(at(39), at(40), [(-1, 1003, 1000)]),
    ]
    assert findings == {"snapshots_refused": 1}


def test_a_spot_gap_is_seen_by_the_first_id(tmp_path: Path) -> None:
    lines = [
        SPOT.diff(0, 1, 5, {}, {}),
        SPOT.snapshot(20, 5, {"100.00": "1.00000"}, {"100.01": "2.00000"}),
        SPOT.diff(100, 6, 7, {"100.00": "2.00000"}, {}),
        SPOT.diff(200, 9, 9, {"100.00": "3.00000"}, {}),
    ]
    tape, findings = imported(tmp_path, lines)
    assert [(group.snapshot, len(group.levels)) for group in groups_in(tape)] == [(True, 2), (False, 1), (True, 0)]
    assert findings == {"gaps": 1}


def test_what_was_told_before_is_left_out(tmp_path: Path) -> None:
    ticker = USDM.ticker(40, 13, ("100.0", "0.500"), ("100.1", "3.000"))
    trade = USDM.trade(41, 7, "100.0", "0.500", sold=True)
    diff = USDM.diff(50, (13, 14, 12), {"99.8": "1.000"}, {})
    tape, findings = imported(tmp_path, [*OPENING, ticker, ticker, trade, trade, diff, diff])
    assert groups_in(tape)[2:] == [
        Group(at(40), at(40), [(1, 1000, 500)]),
        Group(at(49), at(50), [(1, 998, 1000)]),
    ]
    assert trades_in(tape) == [Traded(at(41), at(41), -1, 1000, 500)]
    assert findings == {"duplicates": 3}


def test_a_diff_that_comes_seconds_late_loses_the_book(tmp_path: Path) -> None:
    lines = [
        *OPENING,
        USDM.ticker(42, 15, ("100.0", "0.300"), ("100.1", "3.000")),
        USDM.ticker(1_800, 16, ("100.0", "0.200"), ("100.1", "3.000")),
        USDM.diff(41, (13, 14, 12), {"100.0": "0.900"}, {}, late=1_800),
    ]
    tape, findings = imported(tmp_path, lines)
    assert groups_in(tape)[2:3] == [Group(at(42), at(42), [(1, 1000, 300)])]
    assert groups_in(tape)[-1].levels == []
    assert findings["late"] == 1


def test_a_diff_that_crosses_the_book_loses_it(tmp_path: Path) -> None:
    lines = [*OPENING, USDM.diff(40, (13, 14, 12), {"100.1": "1.000"}, {})]
    tape, findings = imported(tmp_path, lines)
    assert groups_in(tape)[2:] == [Group(at(39), at(40), [], snapshot=True)]
    assert findings == {"crossed": 1}


@pytest.mark.parametrize(
    ("bid", "ask"),
    [(("100.1", "1.0"), ("100.1", "1.0")), (("0.0", "0.0"), ("100.1", "3.0")), (("9", "0"), ("10", "1"))],
)
def test_a_ticker_without_a_sound_best_is_left_out(tmp_path: Path, bid: tuple[str, str], ask: tuple[str, str]) -> None:
    tape, findings = imported(tmp_path, [*OPENING, USDM.ticker(40, 13, bid, ask)])
    assert groups_in(tape) == [OPENED, SECOND]
    assert findings == {"odd_tickers": 1}


def test_trades_are_in_the_order_of_their_ids(tmp_path: Path) -> None:
    lines = [
        *OPENING,
        USDM.trade(40, 8, "100.1", "0.200", sold=False),
        USDM.trade(40, 7, "100.0", "0.100", sold=True),
        USDM.trade(41, 10, "100.0", "5.000", sold=True, origin="INSURANCE_FUND"),
        USDM.trade(42, 12, "100.2", "0.300", sold=False),
    ]
    tape, findings = imported(tmp_path, lines)
    assert trades_in(tape) == [
        Traded(at(40), at(40), -1, 1000, 100),
        Traded(at(40), at(40), 1, 1001, 200),
        Traded(at(42), at(42), 1, 1002, 300),
    ]
    assert findings == {"off_book": 1, "trades_missing": 3}


def test_aggregate_trades_stand_in_where_there_are_no_others(tmp_path: Path) -> None:
    aggregates = [
        USDM.aggregate(40, 3, "100.1", "0.200", sold=False),
        USDM.aggregate(41, 5, "100.0", "0.100", sold=True),
    ]
    tape, findings = imported(tmp_path, [*OPENING, *aggregates])
    assert trades_in(tape) == [
        Traded(at(40), at(45), 1, 1001, 200),
        Traded(at(41), at(46), -1, 1000, 100),
    ]
    assert findings == {"aggregates": 2, "trades_missing": 1}
    tape, findings = imported(tmp_path, [*OPENING, *aggregates, USDM.trade(40, 30, "100.1", "0.200", sold=False)])
    assert trades_in(tape) == [Traded(at(40), at(40), 1, 1001, 200)]
    assert findings == {"aggregates": 2, "out_of_order": 1}


# --- Binance: clocks ----------------------------------------------------------------------------------------------


def test_the_clock_offset_is_a_low_percentile_of_the_latency(tmp_path: Path) -> None:
    # 101 messages with an event time: one came 500 ms too early by a step of the clock, the others 2 to 51 ms late.
    # The first percentile is the second smallest: 2 ms of latency are taken for the clock's.
    lines = [
        USDM.diff(0, (1, 10, 0), {}, {}, late=2),
        USDM.snapshot(20, 10, {"100.0": "1.000"}, {"100.1": "3.000"}),
        *(
            USDM.diff(100 * n, (10 + n, 10 + n, 9 + n), {"99.0": f"{n}.000"}, {}, late=2 + 7 * n % 50)
            for n in range(1, 100)
        ),
        USDM.diff(10_000, (110, 110, 109), {"99.0": "9.500"}, {}, late=-500),
    ]
    (tmp_path / "recording").write_text("".join(lines))
    manifest = import_recording([tmp_path / "recording"], tmp_path / "tape")
    groups = groups_in(open_tape(tmp_path / "tape"))
    assert manifest.clock_offset_ns == 2 * MS - BEHIND
    assert groups[1] == Group(at(99), at(100 + 7), [(1, 990, 1000)])
    # The stray one is seen neither before it happened nor before what was seen earlier.
    assert groups[-1] == Group(at(9_999), at(9_999), [(1, 990, 9500)])
    assert found(manifest) == {"out_of_order": 1, "recv_raised": 1}


def test_one_clock_offset_can_be_stated(tmp_path: Path) -> None:
    tape, _ = imported(tmp_path, OPENING, Terms(clock_offset_ns=-BEHIND - 3 * MS))
    assert [group.recv_ns for group in groups_in(tape)] == [at(23), at(33)]


# --- Binance: instruments -----------------------------------------------------------------------------------------


COINM = Futures("BTCUSD_PERP", pair="BTCUSD")
OTHER = Futures("SOLUSDT")
OTHER_COINM = Futures("ETHUSD_PERP", pair="ETHUSD")


def opening_of(writer: Futures, qty: str = "1") -> list[str]:
    """A book of one level a side."""
    return [
        writer.diff(0, (1, 5, 0), {}, {}),
        writer.snapshot(20, 5, {"100.0": qty}, {"100.1": qty}),
        writer.diff(30, (6, 7, 5), {"99.0": qty}, {}),
    ]


def test_the_three_books_are_told_apart_by_their_messages(tmp_path: Path) -> None:
    spot = [SPOT.diff(0, 1, 5, {}, {}), SPOT.snapshot(20, 5, {"100.00": "1.0"}, {"100.01": "2.0"})]
    instruments = [imported(tmp_path, lines)[0].instrument for lines in (OPENING, opening_of(COINM), spot)]
    told = [
        f"{one.symbol} on {one.venue}: tick {one.tick_size}, lot {one.lot_size}, {one.multiplier} a contract, "
        f"{'inverse' if one.inverse else 'linear'}, in {one.settle}, from {one.min_notional}, "
        f"maker {one.maker_fee_e8}, taker {one.taker_fee_e8}"
        for one in instruments
    ]
    assert told == [
        (
            "BTCUSDT on binance_usdm: tick 0.1, lot 0.001, 1 a contract, linear, in USDT, from 100, "
            "maker 20000, taker 50000"
        ),
        (
            "BTCUSDPERP on binance_coinm: tick 0.1, lot 1, 100 a contract, inverse, in BTC, from 0, "
            "maker 20000, taker 50000"
        ),
        (
            "BTCUSDT on binance_spot: tick 0.01, lot 0.00001, 1 a contract, linear, in USDT, from 5, "
            "maker 100000, taker 100000"
        ),
    ]


@pytest.mark.parametrize(
    ("symbol", "pair", "book", "venue"),
    [
        ("BTCUSDT", "", 0, "binance_usdm"),
        ("BTCUSDT", "BTCUSDT", 1, "binance_usdm"),  # as messages are since 2026
        ("BTCUSDT", "BTCUSDT", 0, "binance_usdm"),
        ("BTCUSDT_240927", "BTCUSDT", 0, "binance_usdm"),
        ("BTCUSD_PERP", "BTCUSD", 0, "binance_coinm"),
        ("BTCUSD_PERP", "BTCUSD", 2, "binance_coinm"),
    ],
)
def test_a_pair_alone_does_not_make_it_coin_margined(
    tmp_path: Path, symbol: str, pair: str, book: int, venue: str
) -> None:
    contract = Decimal(100) if venue == "binance_coinm" else None
    terms = Terms(tick=Decimal("0.1"), lot=Decimal(1), contract=contract)
    lines = opening_of(Futures(symbol, pair=pair, book=book))
    assert imported(tmp_path, lines, terms)[0].instrument.venue == VenueName(venue)


def test_an_unknown_instrument_is_refused_until_its_steps_are_stated(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match=r"usdm SOLUSDT is not known here; .* its tick, lot \(--tick --lot\)"):
        imported(tmp_path, opening_of(OTHER))
    with pytest.raises(CallerError, match="State its lot"):
        imported(tmp_path, opening_of(OTHER), Terms(tick=Decimal("0.1")))
    stated = Terms(
        tick=Decimal("0.1"),
        lot=Decimal(1),
        min_notional=Decimal(5),
        maker_bps=Decimal("-0.5"),
        taker_bps=Decimal("4.5"),
    )
    assert imported(tmp_path, opening_of(OTHER), stated)[0].instrument == Instrument(
        symbol=Symbol("SOLUSDT"),
        venue=VenueName("binance_usdm"),
        tick_size=Decimal("0.1"),
        lot_size=Decimal(1),
        min_notional=Decimal(5),
        maker_fee_e8=-5_000,
        taker_fee_e8=45_000,
    )


def test_an_unknown_inverse_instrument_needs_its_contract(tmp_path: Path) -> None:
    steps = Terms(tick=Decimal("0.1"), lot=Decimal(1))
    with pytest.raises(CallerError, match=r"coinm ETHUSD_PERP is not known here; .* its contract \(--contract\)"):
        imported(tmp_path, opening_of(OTHER_COINM), steps)
    stated = Terms(tick=Decimal("0.1"), lot=Decimal(1), contract=Decimal(10))
    instrument = imported(tmp_path, opening_of(OTHER_COINM), stated)[0].instrument
    assert (instrument.symbol, instrument.inverse, int(instrument.multiplier)) == (Symbol("ETHUSDPERP"), True, 10)


def test_a_linear_instrument_has_no_contract_and_a_symbol_must_agree(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="usdm BTCUSDT has no contract size; nothing was written"):
        imported(tmp_path, OPENING, Terms(contract=Decimal(100)))
    with pytest.raises(CallerError, match="the recording is of BTCUSDT, not of ETHUSDT; nothing was written"):
        imported(tmp_path, OPENING, Terms(symbol="ETHUSDT"))
    assert imported(tmp_path, OPENING, Terms(symbol="btc-usdt"))[0].instrument.symbol == "BTCUSDT"


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        ({"tick": Decimal("NaN")}, "tick NaN is not a number"),
        ({"min_notional": Decimal("Infinity")}, "min_notional Infinity is not a number"),
        ({"maker_bps": Decimal("0.00001")}, "maker_bps 0.00001 is no fee in whole 1/10000 bps"),
        ({"taker_bps": Decimal(10_000)}, "taker_bps 10000 is no fee"),
    ],
)
def test_terms_that_are_no_terms_are_refused(terms: dict[str, Decimal], sentence: str) -> None:
    with pytest.raises(CallerError, match=f"{sentence}.*; nothing was written"):
        msgspec.structs.replace(Terms(), **terms)


def test_a_clock_offset_of_years_is_refused() -> None:
    with pytest.raises(CallerError, match=r"a clock offset of 10{18} ns is over a year; nothing was written"):
        Terms(clock_offset_ns=10**18)


# --- files --------------------------------------------------------------------------------------------------------

LATER = [
    USDM.diff(2_000, (13, 14, 12), {"99.8": "1.000"}, {}),
    USDM.diff(3_000, (15, 16, 14), {"99.8": "2.000"}, {}),
]


def test_packed_files_in_any_order_are_one_recording_and_the_same_bytes(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("".join(OPENING + LATER))
    first, second = tmp_path / "b.gz", tmp_path / "a.xz"
    first.write_bytes(gzip.compress("".join(OPENING).encode()))
    second.write_bytes(lzma.compress("".join(LATER).encode()))
    one = import_recording([plain], tmp_path / "one", terms=EXACT)
    two = import_recording([second, first], tmp_path / "two", terms=EXACT)
    assert two.columns == one.columns
    assert two.digest == one.digest
    assert [source.name for source in two.source] == ["a.xz", "b.gz"]
    import_recording([first, second], tmp_path / "three", terms=EXACT)
    files = sorted(path.name for path in (tmp_path / "two").iterdir())
    assert len(files) == 13  # twelve columns and the manifest
    for name in files:
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "three" / name).read_bytes(), name


@pytest.mark.parametrize("cut", [1, 9, 40, 200])
@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bytes])
def test_a_torn_end_is_told_and_what_is_whole_is_taken(
    tmp_path: Path, pack: Callable[[bytes], bytes], cut: int
) -> None:
    noise = [USDM.line(60 + n, "other", {"n": sha256(bytes([n])).hexdigest()}) for n in range(50)]  # hard to pack
    packed = pack("".join([*OPENING, *noise]).encode())
    (tmp_path / "recording").write_bytes(packed[:-cut])
    manifest = import_recording([tmp_path / "recording"], tmp_path / "tape", terms=EXACT)
    tape = open_tape(tmp_path / "tape")
    assert groups_in(tape) == [OPENED, SECOND]
    findings = found(manifest)
    others = findings.pop("others")
    assert 40 <= others <= 50
    # Of plain text a cut line break leaves a whole line.
    assert findings == ({} if pack is bytes and cut == 1 else {"torn": 1})


def test_lines_that_cannot_be_read_are_left_out_and_counted(tmp_path: Path) -> None:
    stamp = at(25) - BEHIND
    bad = [
        "no line\n",
        "\n",
        f"{stamp} {{\n",
        f'{stamp} {{"stream": "btcusdt@depth@0ms", "data": {{"e": "depthUpdate"}}}}\n',
        OPENING[2].replace(f'"E": {T0 + 30}', f'"E": {10**17}'),
        OPENING[2].replace('"u": 12', '"u": -12'),
        f"{10**19} " + OPENING[2].partition(" ")[2],
    ]
    tape, findings = imported(tmp_path, [*OPENING[:2], *bad, OPENING[2]])
    assert groups_in(tape) == [OPENED, SECOND]
    assert findings == {"malformed": 7}
    manifest = import_recording([tmp_path / "recording"], tmp_path / "tape", terms=EXACT, overwrite=True)
    note = next(one.note for one in manifest.findings if one.what == "malformed")
    assert note.endswith("; left out: " + ", ".join(f"line {at} of recording" for at in range(3, 8)))


def damaged(packed: bytes) -> bytes:
    """The same with zeros in its middle."""
    return packed[:200] + bytes(40) + packed[240:]


REFUSED: dict[str, tuple[dict[str, bytes], str]] = {
    "nothing": ({}, "no recording was named"),
    "empty": ({"a": b""}, r"a is no recording that can be imported \(binance, bitstamp, .*\)"),
    "prose": ({"a": b"Dear all,\n"}, "a is no recording that can be imported"),
    "zeros": ({"a": bytes(100)}, "a is no recording that can be imported"),
    "one endless line": ({"a": b"x" * (1 << 22)}, "a has a line over 4194304 bytes"),
    "damaged gzip": (
        {"a": damaged(gzip.compress("".join(OPENING * 9).encode()))},
        "a is damaged",
    ),
    "damaged xz": (
        {"a": damaged(lzma.compress("".join(OPENING * 9).encode()))},
        "a is damaged",
    ),
    "two formats": (
        {"a": OPENING[0].encode(), "b": b'1430438404000 trade {"price": 1, "amount": 1}\n'},
        "a is a binance recording, b a bitstamp one; .* Import each on its own",
    ),
    "two books": (
        {"a": "".join(OPENING).encode(), "b": "".join(opening_of(COINM)).encode()},
        "a is of usdm BTCUSDT, b of coinm BTCUSD_PERP; .* import each on its own",
    ),
    "two symbols in one file": (
        {"a": "".join([*OPENING, USDM.trade(40, 1, "100.0", "1", sold=True), *opening_of(OTHER)]).encode()},
        "of usdm BTCUSDT but holds usdm SOLUSDT too; .* import each on its own",
    ),
    "no depth": (
        {"a": USDM.trade(40, 1, "100.0", "1", sold=True).encode()},
        "a has no depth diff in its first 20000 lines, so its instrument cannot be told",
    ),
    "no snapshot": (
        {"a": (OPENING[0] + OPENING[2]).encode()},
        "no depth snapshot in the recording of usdm BTCUSDT fits its diffs, so there is no book",
    ),
    "price off the tick": (
        {"a": "".join([*OPENING, USDM.trade(40, 1, "100.05", "1", sold=True)]).encode()},
        "price 100.05 is off the step of 0.1; nothing was written. State the right step",
    ),
    "price beyond reason": (
        {"a": "".join([*OPENING, USDM.trade(40, 1, "1e30", "1", sold=True)]).encode()},
        r"price 1e30 is over 2\*\*53 steps of 0.1; nothing was written",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_imported_leaves_nothing_behind(tmp_path: Path, case: str) -> None:
    contents, sentence = REFUSED[case]
    folder = tmp_path / "in"
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    with pytest.raises(CallerError, match=sentence):
        import_recording([folder / name for name in contents], tmp_path / "out" / "tape", terms=EXACT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_files_that_cannot_be_opened_or_are_named_twice_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "recording"
    file.write_text("".join(OPENING))
    with pytest.raises(CallerError, match="absent cannot be read: No such file or directory; nothing was written"):
        import_recording([file, tmp_path / "absent"], tmp_path / "tape")
    with pytest.raises(CallerError, match="cannot be read: Is a directory; nothing was written"):
        import_recording([tmp_path], tmp_path / "tape")
    with pytest.raises(CallerError, match="a file was named twice; nothing was written"):
        import_recording([file, tmp_path / "." / "recording"], tmp_path / "tape")
    assert not (tmp_path / "tape").exists()


def test_a_place_that_is_taken_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    with pytest.raises(CallerError, match="notes exists and is not a tape; nothing was written"):
        import_recording([tmp_path / "absent"], tmp_path / "notes", overwrite=True)
    imported(tmp_path, OPENING)
    with pytest.raises(CallerError, match="is a tape already; nothing was written"):
        import_recording([tmp_path / "absent"], tmp_path / "tape")


def test_progress_adds_up_to_the_size_of_the_files(tmp_path: Path) -> None:
    file = tmp_path / "recording"
    others = [USDM.line(60 + n, "other", {}) for n in range(5_000)]
    file.write_text("".join([*OPENING, *others]))
    told: list[int] = []
    import_recording([file], tmp_path / "tape", progress=told.append)
    assert len(told) == 2
    assert sum(told) == file.stat().st_size
