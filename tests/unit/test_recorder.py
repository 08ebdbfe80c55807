"""Recording a simulated market: the book that a listener has is the book that the tape has, and the same twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sor.cli.main import run
from sor.errors import CallerError
from sor.lab.columns import columns_of
from sor.lab.recorder import START_NS, record_market
from sor.market import Trust
from sor.tape import Tape, check_tape, read_manifest, save_tape
from sor.units import NS
from venues.simulated.adapter import open_venue

OPTIONS = {"market": "zi", "seed": "5", "feed": "0", "book_ms": "0"}


def recorded(seconds: float = 20.0, **options: str) -> Tape:
    return record_market(open_venue, {**OPTIONS, **options}, seconds=seconds).tape


def test_a_tape_holds_what_was_published(tmp_path: Path) -> None:
    """Sizes at the best prices are those of a market of the same seed that is asked itself."""
    tape = recorded()
    save_tape(tape, tmp_path / "zi", findings=(), source=(), importer="test")
    manifest = check_tape(tmp_path / "zi")
    assert manifest.groups > 1_000
    assert manifest.trades > 30
    columns = columns_of(tape, group_local_ns=tape.group_recv_ns, trade_local_ns=tape.trade_recv_ns)
    for at_s in (0.5, 7.0, 19.9):
        view = columns.at(START_NS + round(at_s * NS))
        short = recorded(at_s)
        again = columns_of(short, group_local_ns=short.group_recv_ns, trade_local_ns=short.trade_recv_ns)
        assert view.trust is Trust.OK
        assert (view.bids, view.asks) == (again.at(START_NS + 30 * NS).bids, again.at(START_NS + 30 * NS).asks)


def test_trades_take_what_the_book_then_lacks() -> None:
    """At each time with trades, the lots traded at a price are at least what its level lost."""
    tape = recorded()
    level_ns = np.repeat(tape.group_venue_ns, np.diff(tape.group_first))
    sizes: dict[tuple[int, int], int] = {}
    trades = list(zip(tape.trade_venue_ns, -tape.trade_side, tape.trade_ticks, tape.trade_lots, strict=True))
    at = 0
    for at_ns, side, ticks, lots in trades:
        while at < len(level_ns) and level_ns[at] < at_ns:
            sizes[int(tape.level_side[at]), int(tape.level_ticks[at])] = int(tape.level_lots[at])
            at += 1
        assert sizes[int(side), int(ticks)] >= lots
    assert trades


def test_same_seed_same_bytes_and_another_seed_others() -> None:
    one, same, other = recorded(5.0), recorded(5.0), recorded(5.0, seed="6")
    for name in ("group_venue_ns", "level_ticks", "level_lots", "trade_venue_ns", "trade_lots"):
        assert np.array_equal(getattr(one, name), getattr(same, name))
    assert not np.array_equal(one.group_venue_ns, other.group_venue_ns)


@pytest.mark.parametrize(
    ("seconds", "options", "text"),
    [
        (0.0, {}, "more than nothing"),
        (1e9, {}, "up to a week"),
        (5.0, {"market": "empty"}, "published no book"),
        (5.0, {"zi.mu": "-1"}, "option zi.mu"),
    ],
)
def test_what_cannot_be_recorded_is_refused(seconds: float, options: dict[str, str], text: str) -> None:
    with pytest.raises(CallerError, match=text):
        record_market(open_venue, {**OPTIONS, **options}, seconds=seconds)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "zi"
    assert run(["tape", "record", "--out", str(out), "--for", "5s", "--seed", "5"]) == 0
    manifest = read_manifest(out)
    assert "made up by simulated with feed=0 market=zi seed=5" in capsys.readouterr().out
    assert run(["tape", "record", "--out", str(out), "--for", "5s"]) == 1
    assert "is a tape already; nothing was written" in capsys.readouterr().err
    assert run(["--json", "tape", "record", "--out", str(out), "--for", "5s", "--seed", "5", "--force"]) == 0
    assert read_manifest(out).digest == manifest.digest
