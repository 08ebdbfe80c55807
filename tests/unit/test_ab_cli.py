"""`sor ab`: one document for programs, a decision in words for people, and one sentence for every mistake."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from sor.cli.main import run
from tests.fakes.pages import read_page

pytestmark = pytest.mark.slow


class Said(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Say = Callable[..., Said]
BRIEF = ("--synthetic", "5m", "--parents", "30", "--seed", "5")


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Say:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Said:
        code = run(["ab", *arguments])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return call


def test_patience_is_cheaper_than_crossing_on_a_made_up_market(say: Say) -> None:
    arms = ("--a", "maker_first", "--b", "cross")
    said = say(*arms, *BRIEF, "--json")
    assert said.code == 0
    found = json.loads(said.out)
    assert (found["design"], found["decision"], found["n"]) == ("paired", "a", 30)
    _programs_rely_on(found)
    assert found["estimate_bps"]["high"] < 0.0
    assert found["estimate_bps"]["alpha"] == 0.05
    drawn = found["stationary_bootstrap"]
    assert drawn["low"] < found["estimate_bps"]["mean"] < drawn["high"] < 0.0
    assert (drawn["alpha"], drawn["block_parents"] >= 1.0) == (0.05, True)
    assert found["tail"]["a"] <= found["tail"]["b"]
    assert {name: guard["holds"] for name, guard in found["guards"].items()} == {
        "costed": True,
        "tail": True,
        "books": True,
    }
    assert found["sequential"]["stopped_at"] is None  # 5 minutes are too few blocks to be watched
    assert found["a"]["markets"][0]["orphans"] == 0
    assert say(*arms, *BRIEF, "--jobs", "2", "--json").out == said.out  # the same bytes again, in other processes
    told = say(*arms, *BRIEF, "--html", "page.html").out
    _look_at(Path("page.html").read_text(encoding="utf-8"))
    assert told.splitlines()[-1].startswith("Decision: a (maker_first). A is cheaper")
    _look_at_the_short_page(told, found["tail"])
    assert "holds   books: the venue's books agree with every fill" in told
    blocks = f"As a series (stationary bootstrap of blocks of {drawn['block_parents']:.1f} parents)"
    assert f"{blocks}: 95 % {drawn['low']:+.4f} to {drawn['high']:+.4f}." in told
    assert f"by stationary bootstrap {drawn['low']:+.4f} to {drawn['high']:+.4f}" in page_text("page.html")


def _programs_rely_on(found: dict[str, dict[str, object]]) -> None:
    """Names that stay, whatever else is added."""
    assert {"design", "a", "b", "n", "decision", "needed_n", "tail", "guards"} <= found.keys()
    assert {"mean", "low", "high", "alpha"} <= found["estimate_bps"].keys()
    assert {"low", "high", "p_always_valid", "stopped_at"} <= found["sequential"].keys()
    assert {"a", "b"} <= found["tail"].keys()


def _look_at_the_short_page(told: str, tails: dict[str, float]) -> None:
    """What the page shows is on the terminal too: costs and their parts, fills, markouts, groups, the dearest."""
    lines = told.splitlines()
    heads = [at for at, line in enumerate(lines) if line.startswith("arm ")]
    arms, costs, fills = ({line[0]: line.split()[2:] for line in lines[at + 1 : at + 3]} for at in heads)
    for arm in "ab":
        five, median, tail, *parts = map(float, costs[arm])
        assert five <= median <= tail == pytest.approx(tails[arm], abs=6e-4)
        assert sum(parts) == pytest.approx(float(arms[arm][2]), abs=3e-3)  # they are what the mean is made of
    assert fills["b"][:4] == ["0%", "0%", "0%", "100%"]
    assert fills["a"][3] == "100%"
    for what in ("buys ", "sells ", "spread_bps high", "volatility low", "size over touch middle"):
        assert any(line.startswith(what) for line in lines)
    (command,) = (line.partition(" bps. ")[2] for line in lines if line.startswith("Dearest of a: "))
    assert run(shlex.split(command)[1:]) == 0


def page_text(path: str) -> str:
    return " ".join(read_page(Path(path).read_text(encoding="utf-8")).words)


def _look_at(page: str) -> None:
    """A whole page: five charts, tables, and ten stories."""
    reader = read_page(page)
    assert (reader.count["svg"], reader.count["details"]) == (5, 10)
    text = " ".join(reader.words)
    for said in ("Decision:", "The difference as it came", "volatility high", "Filled by resting", "maker_first-0"):
        assert said in text
    assert "size over touch high" in text


def test_several_arms_are_told_at_once(say: Say) -> None:
    arms = ("--a", "cross", "--b", "maker_first", "--b", "cross@synthetic")
    terms = (*BRIEF, "--margin-bps", "1", "--family", "all")
    found = json.loads(say(*arms, *terms, "--json").out)
    assert list(found["arms"]) == ["a", "b", "c"]
    assert [one["policy"] for one in found["arms"].values()] == ["cross", "maker_first", "cross@synthetic"]
    assert (found["design"], found["family"], found["n"], found["decision"]) == ("paired", "all", 30, "b")
    assert found["cheapest"] == ["b"]
    pairs = {one["first"] + one["second"]: one for one in found["comparisons"]}
    assert {name: one["decision"] for name, one in pairs.items()} == {"ab": "b", "ac": "undecided", "bc": "b"}
    assert 0.0 < pairs["ab"]["estimate_bps"]["low"] < pairs["ab"]["estimate_bps"]["mean"]
    assert pairs["ab"]["sequential"]["e_value"] is None  # too few blocks
    assert pairs["ab"]["stationary_bootstrap"]["low"] > 0.0
    assert all(guard["holds"] for one in (found, *pairs.values()) for guard in one["guards"].values())
    control = say(*arms, *terms[:-2], "--html", "page.html").out
    reader = read_page(Path("page.html").read_text(encoding="utf-8"))
    assert (reader.count["svg"], reader.count["details"]) == (7, 6)
    text = " ".join(reader.words)
    for told in ("Differences, with intervals", "cost(a) - cost(c) as it came", "a - b, bps", "a - c tail"):
        assert told in text
    assert "2 comparisons, each against a" in control
    assert "95 %, as a series" in control
    assert "95%, as a series" in text
    assert "Undecided: b is cheaper than a; the cheapest may be b or c, which only --family all tells apart." in control


def test_a_page_that_cannot_be_written_says_so(say: Say) -> None:
    said = say("--a", "cross", "--b", "maker_first", *BRIEF, "--html", "nowhere/page.html")
    assert said.code == 1
    assert "nowhere/page.html cannot be written: there is no folder nowhere; nothing was run" in said.err


def test_a_policy_against_itself_under_other_delays_is_undecided(say: Say) -> None:
    arms = (
        "--a",
        "maker_first",
        "--b",
        "maker_first",
        "--latency",
        "50ms~0.8",
        "--markets",
        "2",
        "--effect-bps",
        "0.5",
    )
    found = json.loads(say(*arms, *BRIEF, "--json").out)
    assert found["decision"] == "undecided"
    assert found["estimate_bps"]["mean"] != 0.0  # the delays did differ
    assert (found["n"], found["effect_bps"]) == (60, 0.5)
    assert found["markets"] == ["synthetic-1", "synthetic-2"]
    assert found["needed_n"] > 0


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--a", "cross"), 2, "give --a and --b; nothing was run"),
        (("--a", "cross", *(("--b", "cross") * 10), "--synthetic", "9m"), 2, "11 arms: give up to 10; nothing was run"),
        (("--a", "cross", "--b", "cross"), 2, "give --tape or --synthetic, one of them; nothing was run"),
        (
            ("--a", "cross", "--b", "cross", "--tape", "x", "--option", "market=zi"),
            2,
            "--tape is none; nothing was run",
        ),
        (("--a", "cross", "--b", "cross", "--tape", "none", "--synthetic", "1h"), 2, "one of them"),
        (("--a", "cross", "--b", "cross", "--tape", "none"), 1, "none"),
        (("--a", "cross", "--b", "magic", "--synthetic", "2m"), 1, "there is no policy 'magic'"),
        (("--a", "cross", "--b", "cross@nope", "--synthetic", "2m"), 1, "nope"),
        (("--a", "cross", "--b", "cross", "--synthetic", "soon"), 2, "write it like 15s, 500ms or 2m"),
        (("--a", "cross", "--b", "cross", "--synthetic", "1m", "--markets", "0"), 2, "give 1 to 1000"),
        (("--a", "cross", "--b", "cross", "--synthetic", "1m", "--effect-bps", "-1"), 2, "must be positive"),
        (("--a", "cross", "--b", "cross", "--synthetic", "10s"), 1, "too short for a deadline"),
    ],
)
def test_mistakes_are_one_sentence(say: Say, arguments: tuple[str, ...], code: int, sentence: str) -> None:
    said = say(*arguments)
    assert said.code == code
    assert sentence in said.err
    assert said.out == ""
    assert "Traceback" not in said.err
