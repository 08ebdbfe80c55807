"""`sor tape head` and `sor tape plot`: the first events, the whole in stretches, and what both print."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from sor.cli.root import cli
from sor.cli.tape_look import picture
from sor.errors import CallerError
from sor.lab.look import Row, What, head, page, stretches
from sor.tape import Tape, save_tape
from tests.fakes.tapes import Group, Traded, tape_of

TAPE = tape_of(
    [
        Group(0, 5, [(1, 998, 5_000), (-1, 1_002, 4_000)], True),
        Group(25, 26, [(1, 999, 1_000)]),
        Group(45, 46, [], True),
        Group(70, 71, [(1, 990, 1_000), (-1, 996, 1_000), (-1, 997, 1_000)], True),
        Group(99, 99, [(-1, 996, 0)]),
    ],
    [Traded(25, 30, -1, 998, 2_000), Traded(75, 80, 1, 996, 500), Traded(76, 80, 1, 996, 250)],
)


def test_the_first_events_with_the_best_after_each() -> None:
    bid, ask = (998, 5_000), (1_002, 4_000)
    assert head(TAPE, 4) == (
        Row(venue_ns=0, recv_after_ns=5, what=What.SNAPSHOT, levels=2, bid=bid, ask=ask),
        Row(venue_ns=25, recv_after_ns=5, what=What.SELL, ticks=998, lots=2_000, bid=bid, ask=ask),
        Row(venue_ns=25, recv_after_ns=1, what=What.CHANGE, levels=1, bid=(999, 1_000), ask=ask),
        Row(venue_ns=45, recv_after_ns=1, what=What.LOST, bid=None, ask=None),
    )
    assert len(head(TAPE, 99)) == 8


def test_the_whole_in_stretches() -> None:
    drawn = stretches(TAPE, 10)
    nan = np.nan
    assert (drawn.begin_ns, drawn.each_ns) == (0, 10)
    # A mid holds until it changes; from 45 on the book is lost until 70.
    mid = [100.0, 100.0, 100.0, 100.05, 100.05, nan, nan, 99.3, 99.3, 99.3]
    np.testing.assert_allclose(drawn.mid_least, mid)
    np.testing.assert_allclose(drawn.mid_most, [100.0, 100.0, 100.05, 100.05, *mid[4:9], 99.35])
    np.testing.assert_allclose(drawn.spread_ticks, [4.0, 4.0, 3.5, 3.0, 3.0, nan, nan, 6.0, 6.0, 6.5])
    np.testing.assert_allclose(drawn.sold, [0, 0, 2, 0, 0, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(drawn.bought, [0, 0, 0, 0, 0, 0, 0, 0.75, 0, 0])
    assert drawn.lost.tolist() == [4 <= at < 7 for at in range(10)]


def test_the_picture() -> None:
    lines = picture(stretches(TAPE, 10))
    assert lines[0] == "         100.02 |#####"
    assert lines[11] == "          99.33 |       ###"
    assert lines[12] == "      book lost |    xxx   "
    assert lines[14] == "         bought |       #    up to 0.75"


def test_a_tape_without_a_book_is_not_drawn() -> None:
    with pytest.raises(CallerError, match="no sound book at any time"):
        stretches(tape_of([Group(1, 1, [], True)]), 10)
    with pytest.raises(CallerError, match="draw between 1 and 2000"):
        stretches(TAPE, 0)


def test_a_page_holds_everything_itself() -> None:
    text = page(TAPE, stretches(TAPE, 10), begin="then & there")
    assert text.count("<svg") == 3
    assert "lost in 3 of 10 stretches" in text
    assert "then &amp; there" in text
    assert "nan" not in text
    assert "src=" not in text
    assert "<script" not in text


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save(TAPE, tmp_path / "tape")
    return tmp_path / "tape"


def save(tape: Tape, path: Path) -> None:
    save_tape(tape, path, findings=(), source=(), importer="test")


def test_both_commands(saved: Path) -> None:
    said = CliRunner().invoke(cli, ["tape", "head", str(saved), "-n", "2"])
    assert said.exit_code == 0
    assert "sell at 99.8" in said.output
    assert len(said.output.splitlines()) == 3
    said = CliRunner().invoke(cli, ["tape", "head", str(saved), "-n", "1", "--json"])
    assert msgspec.json.decode(said.output)[0]["what"] == "snapshot"
    page_path = saved.parent / "page.html"
    said = CliRunner().invoke(cli, ["tape", "plot", str(saved), "--html", str(page_path)])
    assert said.exit_code == 0
    assert "book lost" in said.output
    assert page_path.read_text().startswith("<!doctype html>")
    said = CliRunner().invoke(cli, ["tape", "plot", str(saved), "--json"])
    assert msgspec.json.decode(said.stdout)["mid_last"][0] == 100.0
