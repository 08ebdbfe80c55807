"""The benchmarks run and check their own work; nothing here looks at a clock."""

from pathlib import Path

import msgspec
import pytest

from benchmarks import __main__ as suite
from benchmarks import (
    book_path,
    book_server,
    book_stages,
    decision,
    journal_append,
    journal_recovery,
    maker,
    order_round,
    rows,
    synthetic,
)
from benchmarks.rig import WrongWork
from benchmarks.rows import Bar, Document, Row, Spread
from sor.events import Looked, Reported
from sor.market import BookUpdate
from sor.tape import Tape


def _silent(line: str) -> None:
    del line


def _row(ours: list[float], theirs: list[float], *, bar: Bar | None = None) -> Row:
    """Two arms that report these figures; the first of each is the dropped round."""
    mine, other = iter(ours), iter(theirs)
    return rows.measured(
        name="example",
        what="ours",
        baseline="the other",
        unit="us",
        ours=lambda: [next(mine)],
        theirs=lambda: [next(other)],
        rounds=len(ours) - 1,
        checked="nothing",
        progress=_silent,
        bar=bar,
    )


def test_a_ratio_is_taken_round_by_round_and_the_first_round_is_dropped() -> None:
    row = _row([100.0, 2.0, 9.0, 8.0], [1.0, 4.0, 3.0, 2.0])
    assert (row.ratio, row.ours, row.theirs) == (Spread(0.5, 3.0, 4.0), Spread(2.0, 8.0, 9.0), Spread(2.0, 3.0, 4.0))
    assert (row.rounds, row.ours_p99, row.verdict) == (3, None, "")


def test_the_arms_take_turns_in_going_first() -> None:
    order: list[str] = []

    def arm(name: str) -> list[float]:
        order.append(name)
        return [1.0]

    rows.measured(
        name="turns",
        what="",
        baseline="",
        unit="",
        ours=lambda: arm("ours"),
        theirs=lambda: arm("theirs"),
        rounds=3,
        checked="",
        progress=_silent,
    )
    assert order == ["theirs", "ours", "ours", "theirs"] * 2


def test_a_row_is_the_median_of_each_rounds_measurements_and_has_the_p99_of_all() -> None:
    row = rows.measured(
        name="many",
        what="",
        baseline="",
        unit="",
        ours=lambda: [float(value) for value in range(1, 101)],
        theirs=lambda: [2.0],
        rounds=2,
        checked="",
        progress=_silent,
    )
    assert (row.ours.median, row.ratio.median, row.ours_p99, row.theirs_p99) == (50.5, 25.25, 100.0, None)


@pytest.mark.parametrize(
    ("bar", "verdict"),
    [(Bar(0.5), "met"), (Bar(0.4), "missed"), (Bar(0.5, at_least=True), "met"), (Bar(0.6, at_least=True), "missed")],
)
def test_the_median_is_held_against_the_bar(bar: Bar, verdict: str) -> None:
    assert _row([1.0, 1.0], [1.0, 2.0], bar=bar).verdict == verdict


def test_the_table_names_both_arms_and_what_was_checked() -> None:
    assert rows.table([_row([1.0, 1500.0], [1.0, 2.0], bar=Bar(5.0))]).splitlines() == [
        "example  ratio 750  [750 - 750]  bar <= 5: missed",
        "  ours      1,500 us [1,500 - 1,500]: ours",
        "  baseline  2 us [2 - 2]: the other",
        "  checked   nothing",
        "",
        "Ratio: ours / baseline, median [least - largest] over rounds in which the two took turns.",
    ]


def test_the_synthetic_market_is_never_crossed_and_keeps_its_depth() -> None:
    book: dict[int, dict[int, int]] = {1: {}, -1: {}}
    for event in synthetic.events(2_000):
        if event.trade is not None:
            aggressor, ticks, lots = event.trade
            assert lots < book[-aggressor][ticks]
            assert ticks == (min(book[-1]) if aggressor > 0 else max(book[1]))
        for side, ticks, lots in event.levels:
            book[side].pop(ticks, None)
            if lots:
                book[side][ticks] = lots
        assert min(book[-1]) - max(book[1]) == 1
        assert {len(levels) for levels in book.values()} == {synthetic.DEPTH}


def test_the_synthetic_market_is_the_same_as_a_tape_and_as_pushed_events() -> None:
    made = synthetic.events(500)
    recorded: Tape = synthetic.tape(made)
    updates = [event for event in decision.pushed(made) if isinstance(event, BookUpdate)]
    levels = list(
        zip(recorded.level_side.tolist(), recorded.level_ticks.tolist(), recorded.level_lots.tolist(), strict=True)
    )
    assert levels == [level for event in made for level in event.levels]
    assert sum(len(update.bids) + len(update.asks) for update in updates) == len(levels)
    assert [update.recv_ns for update in updates] == recorded.group_recv_ns.tolist()
    assert len(recorded.trade_side) == sum(event.trade is not None for event in made)


def test_parents_are_routed_filled_and_journaled(tmp_path: Path) -> None:
    assert len(order_round.ours(3, directory=tmp_path)) == 3


def test_the_journal_rows_append_what_a_routed_order_left_there() -> None:
    seen = journal_append.routed()
    assert any(isinstance(record, Looked) for record in seen.decision)
    assert any(isinstance(record, Reported) for record in seen.fill)


def test_the_journal_rows_find_turns_that_are_missing(tmp_path: Path) -> None:
    files = journal_append.Files(tmp_path, [journal_append.routed().fill], 2)
    files.append()
    segment = tmp_path / "journal" / "000001.seg"
    segment.write_bytes(segment.read_bytes()[: -int(files.frame_bytes)])
    with pytest.raises(WrongWork, match="3 turns were appended"):
        files.close()


def test_the_maker_quotes_fills_and_agrees_with_the_venues_books() -> None:
    made, _ = maker.ours(2_000)
    assert made.quotes > 50
    assert made.fills > 10
    assert maker.ours(2_000)[0] == made


def test_both_arms_of_the_decision_rows_rest_in_a_calm_market() -> None:
    assert [len(arm()) for arm in decision.event_arms(200)] == [1, 1]
    for fitted in (False, True):
        assert [len(arm()) for arm in decision.decision_arms(200, fitted=fitted)] == [200, 200]


def test_json_has_the_rows_and_names_what_could_not_be_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacks(size: suite.Size, say: suite.Progress) -> list[Row]:
        del size, say
        raise ModuleNotFoundError("no", name="peer")

    monkeypatch.setitem(suite.SUITE, "g10", lacks)
    assert suite.main(["--tiny", "--json", "--only", "g11", "--only", "g10"]) == 1
    document = msgspec.json.decode(capsys.readouterr().out, type=Document)
    assert [row.name for row in document.rows] == ["g11", "g11-markout", "g11-fill", "g11-decision"]
    assert document.missing == {"g10": "peer is not installed; `make bench` installs every peer"}


def test_books_are_of_the_size_that_the_goals_name_and_never_cross() -> None:
    whole = list(book_server.messages("depth", 50))
    assert {len(text) for text in whole} == {932}
    assert len(set(whole)) == 50
    packed = [len(book_server.framed(text, packed=True)) for text in whole]
    assert 340 < sum(packed) / len(packed) < 400
    (last,) = [found[0][0][0] for found in [book_path.last_book(50)]]
    assert f'"{last}"'.encode() in whole[-1]


@pytest.mark.parametrize(
    ("kind", "packed", "fast"), [("depth", True, False), ("depth", False, True), ("diff", True, True)]
)
def test_every_message_is_taken_and_the_book_is_as_it_was_sent(kind: str, packed: bool, fast: bool) -> None:
    if fast:
        pytest.importorskip("uvloop")
    with book_server.serving(kind, packed=packed, count=60) as port:
        assert len(book_path.ours(port, kind, 60, fast=fast)) == 1
        assert len(book_path.ours(port, kind, 60, fast=fast, reads=True)) == 1


def test_a_message_too_many_is_wrong_work() -> None:
    with book_server.serving("depth", packed=False, count=60) as port, pytest.raises(WrongWork, match="60 of 59"):
        book_path.ours(port, "depth", 59, fast=False)


def test_the_stages_run() -> None:
    for kind in ("depth", "diff"):
        assert all(us > 0 for _, us in book_stages.least(book_stages.stages(kind), 1))


def test_recovery_and_durability_check_their_work() -> None:
    durable, by_turns, recovered, kept = journal_recovery.rows(count=512, orders=3, rounds=1, progress=_silent)
    rows = (durable, by_turns, recovered, kept)
    assert [row.name for row in rows] == ["g12", "g12-turns", "g13", "g13-checkpoint"]
    assert all(row.ratio.median > 0 for row in rows)


def test_a_fold_that_loses_a_parent_is_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folded = journal_recovery.Folded(tmp_path, 2)
    monkeypatch.setattr(folded, "_orders", 1_000)
    with pytest.raises(WrongWork, match="parents came out, not 1000"):
        folded.fold()
