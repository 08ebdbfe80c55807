"""The importer of order-by-order recordings, on recordings written by hand: every column that must come of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from sor.errors import CallerError
from sor.lab.importers import Terms, import_recording
from sor.tape import Tape, check_tape, open_tape
from sor.units import MS
from tests.fakes.tapes import Group, Ordered, Traded, groups_in, orders_in, trades_in

T0 = 1_430_438_404_000  # ms
BTC = 100_000_000  # lots
BID, ASK = 0, 1  # the feed's own words for a side
CREATED, CHANGED, DELETED = 1, 2, 3
WORDS = {CREATED: "order_created", CHANGED: "order_changed", DELETED: "order_deleted"}


def at(ms: int) -> int:
    """Time in ns, `ms` after the beginning."""
    return (T0 + ms) * MS


def order(ms: int, kind: int, order_id: int, order_type: int, price: str, amount: str) -> str:
    data = {"price": price, "amount": amount, "datetime": "1430438404", "id": order_id, "order_type": order_type}
    return f"{T0 + ms} {WORDS[kind]} {json.dumps(data)}\n"


def trade(ms: int, price: float, amount: float, number: int = 7) -> str:
    return f'{T0 + ms} trade {{"price": {price!r}, "amount": {amount!r}, "id": {number}}}\n'


def top(ms: int, bids: dict[str, str], asks: dict[str, str]) -> str:
    return f"{T0 + ms} order_book {json.dumps({'bids': list(bids.items()), 'asks': list(asks.items())})}\n"


BEGINNING = [
    order(0, CREATED, 101, BID, "100.00", "2.00000000"),
    top(2_000, {"100.00": "5.00000000", "99.00": "1.00000000"}, {"101.00": "3.00000000"}),
]
"""From 2000 ms on: bids 100.00 (order 101 with 2, and 3 that are nameless) and 99.00 (1), asks 101.00 (3)."""
BEGUN = Group(at(2_000), at(2_000), [(1, 10_000, 5 * BTC), (1, 9_900, BTC), (-1, 10_100, 3 * BTC)], snapshot=True)


def imported(folder: Path, lines: Sequence[str], terms: Terms | None = None) -> tuple[Tape, dict[str, int]]:
    """The tape of a recording with these lines, checked, and what was found odd about it."""
    file = folder / "recording"
    file.write_text("".join(lines))
    manifest = import_recording([file], folder / "tape", terms=terms, overwrite=True)
    assert check_tape(folder / "tape") == manifest
    usual = {"lines", "created", "changed", "deleted", "trades", "books", "books_compared", "books_agreed"}
    odd = {one.what: one.count for one in manifest.findings if one.count and one.what not in usual}
    odd.pop("silence_ns_max", None)
    return open_tape(folder / "tape"), odd


def test_the_first_published_top_begins_the_book_and_orders_move_it(tmp_path: Path) -> None:
    lines = [
        *BEGINNING,
        order(3_000, CREATED, 102, ASK, "100.50", "1.00000000"),
        order(3_100, CHANGED, 102, ASK, "100.50", "0.40000000"),
        order(3_200, DELETED, 101, BID, "100.00", "2.00000000"),
        order(3_300, CHANGED, 102, ASK, "100.70", "0.40000000"),
    ]
    tape, odd = imported(tmp_path, lines)
    assert groups_in(tape) == [
        BEGUN,
        Group(at(3_000), at(3_000), [(-1, 10_050, BTC)]),
        Group(at(3_100), at(3_100), [(-1, 10_050, 40_000_000)]),
        Group(at(3_200), at(3_200), [(1, 10_000, 3 * BTC)]),
        Group(at(3_300), at(3_300), [(-1, 10_050, 0), (-1, 10_070, 40_000_000)]),
    ]
    assert orders_in(tape) == [
        Ordered(at(0), CREATED, 101, 1, 10_000, 2 * BTC),
        Ordered(at(3_000), CREATED, 102, -1, 10_050, BTC),
        Ordered(at(3_100), CHANGED, 102, -1, 10_050, 40_000_000),
        Ordered(at(3_200), DELETED, 101, 1, 10_000, 2 * BTC),
        Ordered(at(3_300), CHANGED, 102, -1, 10_070, 40_000_000),
    ]
    assert odd == {"repriced": 1}
    assert tape.warm_up_ns == 3_600_000 * MS
    instrument = tape.instrument
    assert f"{instrument.symbol} {instrument.venue} {instrument.tick_size} {instrument.lot_size:f}" == (
        "BTCUSD bitstamp 0.01 0.00000001"
    )


def test_a_taker_is_hidden_and_its_trade_belongs_to_the_resting_fill(tmp_path: Path) -> None:
    lines = [
        *BEGINNING,
        order(3_000, CREATED, 102, ASK, "100.50", "1.00000000"),
        order(4_000, CREATED, 103, BID, "101.00", "1.00000000"),
        order(4_050, DELETED, 102, ASK, "100.50", "0.00000000"),
        order(4_052, DELETED, 103, BID, "101.00", "0.00000000"),
        trade(4_060, 100.5, 1.0),
    ]
    tape, odd = imported(tmp_path, lines)
    assert groups_in(tape)[1:] == [
        Group(at(3_000), at(3_000), [(-1, 10_050, BTC)]),
        Group(at(4_050), at(4_050), [(-1, 10_050, 0)]),
    ]
    assert trades_in(tape) == [Traded(at(4_050), at(4_060), 1, 10_050, BTC)]
    assert odd == {"takers": 1}


def test_what_is_left_of_a_taker_rests(tmp_path: Path) -> None:
    # The taker wants 4 and meets 1. Its own message is the later one, so that until then only what it met is known.
    lines = [
        *BEGINNING,
        order(3_000, CREATED, 102, ASK, "100.50", "1.00000000"),
        order(4_000, CREATED, 103, BID, "100.60", "4.00000000"),
        order(4_050, DELETED, 102, ASK, "100.50", "0.00000000"),
        order(4_052, CHANGED, 103, BID, "100.60", "3.00000000"),
        trade(4_060, 100.5, 1.0),
        order(5_000, DELETED, 103, BID, "100.60", "3.00000000"),
    ]
    tape, odd = imported(tmp_path, lines)
    assert groups_in(tape)[2:] == [
        Group(at(4_050), at(4_050), [(1, 10_060, 3 * BTC), (-1, 10_050, 0)]),
        Group(at(5_000), at(5_000), [(1, 10_060, 0)]),
    ]
    assert trades_in(tape) == [Traded(at(4_050), at(4_060), 1, 10_050, BTC)]
    assert odd == {"takers": 1}


def test_fills_of_orders_from_before_the_recording_are_found_too(tmp_path: Path) -> None:
    # Order 5 was there before; it is the nameless 3 at 100.00, and its fill says no size.
    lines = [
        *BEGINNING,
        order(2_500, DELETED, 101, BID, "100.00", "2.00000000"),
        order(4_000, CREATED, 103, ASK, "100.00", "3.00000000"),
        order(4_050, DELETED, 5, BID, "100.00", "0.00000000"),
        order(4_052, DELETED, 103, ASK, "100.00", "0.00000000"),
        trade(4_060, 100.0, 3.0),
    ]
    tape, odd = imported(tmp_path, lines)
    assert groups_in(tape)[1:] == [
        Group(at(2_500), at(2_500), [(1, 10_000, 3 * BTC)]),
        # For 2 ms the taker seems to rest, as nothing yet says what it took.
        Group(at(4_050), at(4_050), [(1, 10_000, 0), (-1, 10_000, 3 * BTC)]),
        Group(at(4_052), at(4_052), [(-1, 10_000, 0)]),
    ]
    assert trades_in(tape) == [Traded(at(4_050), at(4_060), -1, 10_000, 3 * BTC)]
    assert odd == {"takers": 1, "unknown_deleted": 1}


def test_a_trade_with_one_fill_or_none_still_has_a_side(tmp_path: Path) -> None:
    lines = [
        *BEGINNING,
        order(3_000, DELETED, 101, BID, "100.00", "0.00000000"),  # filled; the seller was never told of
        trade(3_010, 100.0, 2.0),
        trade(9_000, 100.9, 0.5),  # nearer to the ask
        trade(9_100, 100.1, 0.5),  # nearer to the bid
    ]
    tape, odd = imported(tmp_path, lines)
    assert trades_in(tape) == [
        Traded(at(3_000), at(3_010), -1, 10_000, 2 * BTC),
        Traded(at(9_000), at(9_000), 1, 10_090, BTC // 2),
        Traded(at(9_100), at(9_100), -1, 10_010, BTC // 2),
    ]
    assert odd == {"trades_one_fill": 1, "trades_no_fill": 2}


def test_a_trade_beyond_two_seconds_of_a_fill_is_not_its(tmp_path: Path) -> None:
    lines = [
        *BEGINNING,
        order(3_000, DELETED, 101, BID, "100.00", "0.00000000"),
        trade(5_001, 100.0, 2.0),
    ]
    assert imported(tmp_path, lines)[1] == {"trades_no_fill": 1}
    assert imported(tmp_path, [*lines[:-1], trade(5_000, 100.0, 2.0)])[1] == {"trades_one_fill": 1}


def test_published_tops_correct_only_what_is_nameless_and_quiet(tmp_path: Path) -> None:
    lines = [
        *BEGINNING,
        order(3_000, CREATED, 102, BID, "99.00", "1.00000000"),
        # 100.00: of the nameless 3 one is left. 99.00 was touched 0.5 s ago: a top may be older than that.
        top(3_500, {"100.00": "3.00000000", "99.00": "1.00000000"}, {"101.00": "3.00000000"}),
        # 99.00 is quiet now: its nameless 1 is gone. 101.00 is not shown though 102.00 is: gone too.
        top(5_000, {"100.00": "3.00000000", "99.00": "1.00000000"}, {"102.00": "7.00000000"}),
    ]
    tape, odd = imported(tmp_path, lines)
    assert groups_in(tape)[1:] == [
        Group(at(3_000), at(3_000), [(1, 9_900, 2 * BTC)]),
        Group(at(3_500), at(3_500), [(1, 10_000, 3 * BTC)]),
        Group(at(5_000), at(5_000), [(1, 9_900, BTC), (-1, 10_200, 7 * BTC), (-1, 10_100, 0)]),
    ]
    assert odd == {"nameless_corrected": 4}


def test_messages_after_an_orders_end_are_ignored(tmp_path: Path) -> None:
    lines = [
        *BEGINNING,
        order(3_000, DELETED, 104, ASK, "100.40", "1.00000000"),  # overtakes its create
        order(3_001, CREATED, 104, ASK, "100.40", "1.00000000"),
        order(3_100, DELETED, 101, BID, "100.00", "2.00000000"),
        order(3_101, CHANGED, 101, BID, "100.00", "1.00000000"),
        order(3_102, DELETED, 101, BID, "100.00", "2.00000000"),
    ]
    tape, odd = imported(tmp_path, lines)
    assert groups_in(tape)[1:] == [Group(at(3_100), at(3_100), [(1, 10_000, 3 * BTC)])]
    assert len(orders_in(tape)) == 6  # kept as published
    assert odd == {"told_after_end": 3, "unknown_deleted": 1}


def test_an_order_that_never_gets_its_delete_is_dropped_by_a_published_top(tmp_path: Path) -> None:
    lines = [
        *BEGINNING,
        order(3_000, CREATED, 102, BID, "100.30", "1.00000000"),
        top(8_000, {"100.00": "5.00000000"}, {"101.00": "3.00000000"}),  # better than published for 5 s: not yet
        top(8_001, {"100.00": "5.00000000"}, {"101.00": "3.00000000"}),
    ]
    tape, odd = imported(tmp_path, lines)
    assert groups_in(tape)[1:] == [
        Group(at(3_000), at(3_000), [(1, 10_030, BTC)]),
        Group(at(8_001), at(8_001), [(1, 10_030, 0)]),
    ]
    assert odd == {"stale_orders": 1}


def test_a_changed_order_from_before_is_known_from_then_on(tmp_path: Path) -> None:
    lines = [
        *BEGINNING,
        order(3_000, CHANGED, 5, ASK, "101.00", "1.00000000"),  # one of the nameless 3
        order(3_100, DELETED, 5, ASK, "101.00", "1.00000000"),
        order(3_200, CREATED, 101, BID, "100.00", "2.00000000"),  # told twice
    ]
    tape, odd = imported(tmp_path, lines)
    assert groups_in(tape)[1:] == [Group(at(3_100), at(3_100), [(-1, 10_100, 2 * BTC)])]
    assert odd == {"unknown_changed": 1, "duplicates": 1}


def test_lines_that_cannot_be_read_and_lines_out_of_order(tmp_path: Path) -> None:
    lines = [
        *BEGINNING,
        f"{T0} trade {{}}\n",
        f'{T0} trade {{"price": 1e40, "amount": 1.0}}\n',
        f'{T0} trade {{"price": 100.0, "amount": 0.0}}\n',
        order(3_000, CREATED, 102, 2, "100.30", "1.00000000"),
        order(3_000, CREATED, 1 << 63, BID, "100.30", "1.00000000"),
        f"{10**18} order_deleted {{}}\n",
        f"{T0} heartbeat {{}}\n",
        order(1_000, CREATED, 102, BID, "100.30", "1.00000000"),  # 1 s back: taken at the time of the line before
    ]
    tape, odd = imported(tmp_path, lines)
    assert groups_in(tape)[1:] == [Group(at(2_000), at(2_000), [(1, 10_030, BTC)])]
    assert odd == {"malformed": 6, "others": 1, "out_of_order": 5}


@pytest.mark.parametrize(
    ("lines", "terms", "sentence"),
    [
        (BEGINNING[:1], Terms(), "has no order_book to begin the book with; nothing was written"),
        (BEGINNING, Terms(clock_offset_ns=0), "has no venue clock; nothing was written"),
        (BEGINNING, Terms(contract=Decimal(1)), "no contract size; nothing was written"),
        (BEGINNING, Terms(symbol="eth-usd"), "ETHUSD on Bitstamp is not known here; .* its --tick and --lot"),
        (
            ["1451606400000" + line[13:] for line in BEGINNING],
            Terms(),
            "does not say its pair, and since 2016 the venue has several; .* --symbol, --tick and --lot",
        ),
        ([order(0, CREATED, 1, BID, "100.005", "1"), *BEGINNING], Terms(), "price 100.005 is off the step of 0.01"),
    ],
)
def test_what_is_not_known_is_refused(tmp_path: Path, lines: list[str], terms: Terms, sentence: str) -> None:
    with pytest.raises(CallerError, match=sentence):
        imported(tmp_path, lines, terms)
    assert not (tmp_path / "tape").exists()


def test_a_stated_pair_is_taken(tmp_path: Path) -> None:
    stated = Terms(symbol="ETH/USD", tick=Decimal("0.01"), lot=Decimal("0.00000001"), taker_bps=Decimal(30))
    instrument = imported(tmp_path, ["1600000000000" + line[13:] for line in BEGINNING], stated)[0].instrument
    assert f"{instrument.symbol} {instrument.venue} {instrument.maker_fee_e8} {instrument.taker_fee_e8}" == (
        "ETHUSD bitstamp 250000 300000"
    )
