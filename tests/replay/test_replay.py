"""`sor replay` on a real recording: what programs rely on, and the same bytes whatever process runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sor.cli.main import run
from sor.lab.bootstrap import BLOCKS_MIN

REPO = Path(__file__).resolve().parents[2]
USDM = Path("binance-20240808-btc") / "usdm_btcusdt_20240808.gz"


@pytest.fixture(scope="module")
def tape(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The USD-M recording as a tape."""
    path = tmp_path_factory.mktemp("tape") / "btc.tape"
    assert run(["tape", "import", str(recordings / USDM), "--out", str(path)]) == 0
    return path


def replayed(tape: Path, home: Path, hash_seed: str, *more: str) -> bytes:
    """Standard output of a replay in a process of its own, with journals in `home`."""
    words = ["replay", str(tape), "--parents", "40", "--seed", "7", "--runs", str(home), "--json", *more]
    ended = subprocess.run(
        [sys.executable, "-c", "from sor.cli.main import main; main()", *words],
        env={**os.environ, "PYTHONPATH": str(REPO), "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        check=False,
        timeout=600,
    )
    assert (ended.returncode, ended.stderr.decode()) == (0, "")
    return ended.stdout


def files_under(home: Path) -> dict[str, bytes]:
    """Every journal file but its lock and its index, by relative path."""
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in sorted(home.rglob("*"))
        if path.suffix in (".seg", ".json")
    }


@pytest.mark.slow
def test_same_arguments_same_bytes(tape: Path, tmp_path: Path) -> None:
    """Not only what is printed: also the journals, by processes that hash strings differently, one for each arm."""
    first = replayed(tape, tmp_path / "one", "1")
    assert replayed(tape, tmp_path / "two", "2", "--jobs", "2") == first
    journals = files_under(tmp_path / "one")
    assert len(journals) == 4
    assert files_under(tmp_path / "two") == journals
    assert replayed(tape, tmp_path / "three", "1", "--seed", "8") != first

    document = json.loads(first)
    assert (document["tape"], document["seed"], document["queue"]) == ("btc.tape", 7, "risk_averse")
    assert [one["policy"] for one in document["policies"]] == ["cross", "maker_first"]
    for one in document["policies"]:
        assert (one["parents"], one["filled_share"]) == (40, 1.0)
        assert (one["overfills"], one["orphans"], one["double_fills"], one["missed_fills"]) == (0, 0, 0, 0)
        cost = one["cost_bps"]
        assert one["blocks"] >= BLOCKS_MIN
        assert cost["low"] <= cost["mean"] <= cost["high"]
        assert cost["mean"] <= cost["p95"]
    cross, maker = document["policies"]
    # A taker pays the fee and something of the spread; who rests pays less fee for what is filled passively.
    assert (cross["passive_share"], cross["timeouts"], cross["fallbacks"]) == (0.0, 0, 0)
    assert cross["fees_bps"] == pytest.approx(5.0, abs=0.01)
    assert cross["cost_bps"]["mean"] > 5.0
    assert 0.0 < maker["passive_share"] <= 1.0
    assert 2.0 <= maker["fees_bps"] < 5.0


@pytest.mark.slow
def test_every_parent_is_explained_and_checks_bit_for_bit(
    tape: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A decision recomputed from the journal is the decision that was made, on recorded data as well."""
    home = str(tmp_path / "runs")
    assert run(["replay", str(tape), "--parents", "10", "--schedule", "twap", "--runs", home]) == 0
    capsys.readouterr()
    assert run(["explain", "maker_first-0005", "--runs", home, "--check"]) == 0
    told = capsys.readouterr().out
    assert "bit for bit" in told
    assert "schedule twap" in told


def test_a_deadline_longer_than_the_recording_is_refused(
    tape: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["replay", str(tape), "--deadline", "10m", "--runs", str(tmp_path)]) == 1
    assert "too short for a deadline of 600.0 s" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--seed", "-1"], "seed -1: give 0 to 2**53; nothing was replayed"),
        (["--deadline", "0.0000001ms"], "give 1 ms to 1 day; nothing was replayed"),
        (["--schedule-arg", "slices=5"], "schedule immediate takes no arguments, got slices"),
        (["--schedule", "twap", "--schedule-arg", "slices=nan"], "twap: slices is nan"),
        (["--qty", "1e30"], "is more than 2**53 steps; nothing was sent"),
        (["--policies", "cross,cost_aware@"], "'cost_aware@' names no param-set; nothing was replayed"),
        (["--queue", "exact"], "does not have every order, so nobody's exact place is known; nothing was opened"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_the_router_would_refuse_is_refused_before_anything_is_written(
    tape: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert run(["replay", str(tape), "--runs", str(tmp_path / "runs"), *words]) == 1
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert says in told.err
    assert not (tmp_path / "runs").exists()


def test_an_excursion_budget_bounds_the_wait_of_every_parent(
    tape: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing rests once the mid is a hundredth of a basis point away, or as good as sure to be."""
    shares = {}
    for budget in ([], ["--excursion-bps", "0.01"]):
        words = ["--json", "replay", str(tape), "--policies", "maker_first", "--parents", "8", "--runs", str(tmp_path)]
        assert run([*words, *budget]) == 0
        document = json.loads(capsys.readouterr().out)
        shares[document["excursion_bps"]] = document["policies"][0]["passive_share"]
    assert (shares[0.01], shares[None] > 0.5) == (0.0, True)


@pytest.mark.slow
def test_parents_that_the_gate_refuses_are_told_with_what_completing_them_costs(
    tape: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A position of 50 USDT is less than the least order: nothing trades, and the whole cost is that of completing."""
    home = tmp_path / "runs of today"
    content = json.loads((REPO / "paramsets" / "baseline" / "2026-11-21.json").read_text(encoding="utf-8"))
    content["set_id"] = "tight/2026-11-21"
    for record in content["records"]:
        if record["id"] == "risk.position_notional_max":
            record["value"] = "50"
    (tmp_path / "sets" / "tight").mkdir(parents=True)
    (tmp_path / "sets" / "tight" / "2026-11-21.json").write_text(json.dumps(content), encoding="utf-8")
    words = ["replay", str(tape), "--parents", "6", "--qty", "50", "--policies", "cross", "--runs", str(home)]
    assert run([*words, "--param-set", "tight", "--param-dir", str(tmp_path / "sets")]) == 0
    told = capsys.readouterr()
    assert "parents of 50 BTC, deadline 15 s" in told.out
    assert "cross: 6 of 6 parents were not filled in full, ended by deadline 6; the first is cross-0001." in told.out
    costs, sources = (line.split() for line in told.out.splitlines() if line.startswith("cross  "))
    assert (costs[2], sources[1:4], sources[4]) == ("0.0%", ["+0.000"] * 3, costs[3])
    assert float(costs[3]) > 4.0
    assert f"Try: sor explain cross-0001 --runs '{home}'" in told.err

    assert run(["explain", "cross-0001", "--runs", str(home)]) == 0
    story = capsys.readouterr().out
    assert "buy 50 BTC, BTCUSDT on binance_usdm, accepted 2024-08-08 23:55:20.710 UTC at a mid of 61804.05" in story
    assert "risk gate refused it: position notional (risk.position_notional_max is 50)" in story
    assert "0.000 of 50.000 filled; 0 orders." in story
    assert "Completing the rest at the end would have cost +4.832 bps, fee in, or more" in story
