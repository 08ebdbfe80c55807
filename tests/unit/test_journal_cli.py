"""`sor journal verify` and `sor journal show`."""

import shutil
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from sor.cli.common import Output
from sor.cli.journal import journal
from sor.errors import CallerError, JournalFault
from sor.events import InstrumentAdopted, VenueDown
from sor.ids import VenueName
from sor.journal import Environment, Journal, verify
from sor.journal.words import Narrator, utc
from tests.replay.golden.make_journal import JOURNAL, T0, TURNS

AS_JSON = Output()
AS_JSON.json = True


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A copy of the golden journal: an index may be made beside it."""
    return Path(shutil.copytree(JOURNAL, tmp_path / "j"))


def run(*args: str | Path, obj: Output | None = None) -> Result:
    return CliRunner().invoke(journal, [str(arg) for arg in args], obj=obj)


def damage(path: Path) -> None:
    """Flip a bit of the last turn of segment 2, which is turn 5, with seven records."""
    content = bytearray((path / "000002.seg").read_bytes())
    content[-1] ^= 1
    (path / "000002.seg").write_bytes(content)


def told(result: Result) -> list[list[str]]:
    """Cells of the table, row by row."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.output.splitlines() if "│" in line]


def test_a_sound_journal_verifies(path: Path) -> None:
    result = run("verify", path)
    assert result.exit_code == 0
    assert result.output == (
        f"{path} verifies: 7 turns with 54 records in 3 segment(s), simulated, epoch 60466183.\n"
        f"  last chain value {verify(path).last_chain}; keep it elsewhere to show later that nothing was changed.\n"
    )


def test_an_unfinished_turn_is_told_and_no_fault(path: Path) -> None:
    with (path / "000003.seg").open("ab") as file:
        file.write(b"\x01\x02\x03")
    result = run("verify", path)
    assert result.exit_code == 0
    assert "  3 bytes at the end are an unfinished turn: " in result.output


def test_a_damaged_journal_does_not_verify(path: Path) -> None:
    damage(path)
    result = run("verify", path)
    assert result.exit_code == 1
    first, second, last = result.output.splitlines()
    assert first == f"{path} does not verify."
    assert second.startswith(f"  {path}/000002.seg, byte ")
    assert last == "  6 turns with 47 records do check."


def test_verify_as_json(path: Path) -> None:
    said = msgspec.json.decode(run("verify", path, obj=AS_JSON).output)
    assert said == {
        "verifies": True,
        "epoch": 60466183,
        "environment": "simulated",
        "turns": 7,
        "records": 54,
        "segments": 3,
        "first_turn": 1,
        "checkpoints": 0,
        "spare_segments": 0,
        "last_chain": verify(path).last_chain,
        "torn_tail_bytes": 0,
        "faults": [],
    }
    damage(path)
    result = run("verify", path, obj=AS_JSON)
    assert (result.exit_code, msgspec.json.decode(result.output)["verifies"]) == (1, False)


@pytest.mark.parametrize("args", [["verify"], ["show"], ["show", "--parent", "P-1"]])
def test_what_is_no_journal_is_said_in_one_sentence(tmp_path: Path, args: list[str]) -> None:
    result = run(*args, tmp_path)
    assert isinstance(result.exception, CallerError)
    assert str(result.exception) == (
        f"there is no journal at {tmp_path}; nothing was changed and nothing was sent. The first router on it makes it"
    )
    assert result.output == ""


def test_show_tells_every_record(path: Path) -> None:
    result = run("show", path)
    assert result.exit_code == 0
    rows = [row for row in told(result) if row[1]]  # a long line goes on in a row without a turn
    assert [int(row[1]) for row in rows] == [number for number, turn in enumerate(TURNS, start=1) for _ in turn]
    assert ["2026-11-21 06:40:45.000000", "3", "place"] in [row[:3] for row in rows]
    assert (
        rows[18][3]
        == "parent 1.1: sell 0.250 BTCUSDT @ 64000.1 ioc post-only reduce-only at sim as sor100007000-000001-0001e"
    )


def test_show_of_one_parent_knows_the_instruments_of_before(path: Path) -> None:
    rows = [row for row in told(run("show", path, "--parent", "P-3")) if row[1]]
    assert [row[1:] for row in rows] == [
        ["4", "submit", "parent P-3: buy 0.002 BTCUSDT on sim, cost_aware over immediate, 60 s"],
        ["4", "place", "parent 3.1: buy 0.002 BTCUSDT market gtc at sim as sor100007000-000003-0001e"],
    ]


def test_show_of_an_unknown_parent_is_refused(path: Path) -> None:
    result = run("show", path, "--parent", "P-9")
    assert isinstance(result.exception, CallerError)
    assert str(result.exception) == f"no parent P-9 in the journal at {path}; nothing was changed"
    assert result.output == ""


def test_show_of_kinds_and_of_the_last(path: Path) -> None:
    kinds = ["show", str(path), "--kind", "look", "--kind", "endmark"]
    assert [row[2] for row in told(run(*kinds))] == ["look", "look", "endmark"]
    last = run(*kinds, "--limit", "2")
    assert [row[2] for row in told(last)] == ["look", "endmark"]
    assert "the last 2 records at most; --limit 0 shows all" in last.output
    assert [row[2] for row in told(run(*kinds, "--limit", "0"))] == ["look", "look", "endmark"]
    assert run("show", path, "--kind", "nonsense").exit_code == 2


def test_show_as_json_lines(path: Path) -> None:
    lines = [msgspec.json.decode(line) for line in run("show", path, obj=AS_JSON).output.splitlines()]
    assert len(lines) == 54
    assert lines[0] == {
        "turn": 1,
        "time_ns": T0,
        "record": {
            "kind": "session",
            "now_ns": T0,
            "epoch": 60466183,
            "version": "0.1.0",
            "default_set": "baseline",
            "same_accounts": False,
            "last_ns": 0,
            "retire_ns": 0,
            "forget_ns": 0,
        },
    }
    assert lines[16]["time_ns"] == T0 + 11  # a wish has the time of its fact
    one = run("show", path, "--limit", "1", "--json").output
    assert [msgspec.json.decode(line) for line in one.splitlines()] == lines[-1:]


@pytest.mark.parametrize("args", [[], ["--parent", "P-1"], ["--limit", "3"]])
@pytest.mark.parametrize("obj", [None, AS_JSON], ids=["table", "json"])
def test_show_of_a_damaged_journal_shows_what_is_before(path: Path, args: list[str], obj: Output | None) -> None:
    damage(path)
    result = run("show", path, *args, obj=obj)
    assert isinstance(result.exception, JournalFault)
    assert "000002.seg, byte" in str(result.exception)
    assert "place" in result.output


def test_an_empty_journal_shows_nothing(tmp_path: Path) -> None:
    Journal.create(tmp_path / "j", epoch=1, environment=Environment.DEMO).close()
    assert (run("show", tmp_path / "j").exit_code, run("show", tmp_path / "j").output) == (0, "no records\n")


def test_a_price_is_told_by_the_instrument_of_its_time() -> None:
    place = next(record for turn in TURNS for record in turn if type(record).__name__ == "Place")
    adopted = [record for turn in TURNS for record in turn if isinstance(record, InstrumentAdopted)]
    unknown = Narrator()
    assert "250 lots BTCUSDT @ 640001 ticks" in unknown.tell(place)
    known = unknown.after(adopted[0])
    assert "0.250 BTCUSDT @ 64000.1 " in known.tell(place)
    assert known.after(place) is known
    assert "250 lots" in unknown.tell(place)  # telling changes nothing


def test_what_a_venue_says_cannot_drive_the_terminal() -> None:
    said = Narrator().tell(VenueDown(now_ns=1, venue=VenueName("sim"), reason="\x1b[2J[bold]gone[/bold]\nnow"))
    assert said == "sim is down: \N{REPLACEMENT CHARACTER}[2J[bold]gone[/bold]\N{REPLACEMENT CHARACTER}now"


def test_times_are_utc_to_the_microsecond() -> None:
    assert utc(T0 + 123_456_789) == "2026-11-21 06:40:45.123456"
