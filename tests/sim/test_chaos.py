"""Real processes, really killed: R4. What is broken on purpose is caught by the emulator's books."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from sor.chaos.plan import POLICIES, Moment, draw
from sor.chaos.power import lose_power
from sor.chaos.supervisor import Served, run
from sor.errors import CallerError
from sor.orders import Side
from sor.plugins import Plugins
from sor.sim.storm import Findings
from tests.conftest import REPO
from venues.bingx.emulator.faults import read_fault
from venues.bingx.emulator.weather import BANS, WEATHER
from venues.emulation.faults import ByteFaults

SOR = (sys.executable, "-c", "from sor.cli.main import main; main()")
KILLS = 5
RUNS = (("--seed", "1"), ("--seed", "2", "--account", "hedge", "--bans", "--power-loss"))
"""As CI runs it, together ten kills: on both position modes, and the second with all that can be asked for."""
MUTANT_SEEDS = (3, 4, 5)
"""In how many runs at most a broken router must be caught."""


@pytest.mark.slow
def test_ten_kills(tmp_path: Path) -> None:
    """Through the command, with faults, both runs at once; nothing unsafe, nothing stuck, nobody crashed."""
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(one_run, [tmp_path / f"run-{no}" for no in range(len(RUNS))], RUNS):
            pass


def one_run(keep: Path, options: tuple[str, ...]) -> None:
    """Five kills, and what they leave behind."""
    done = subprocess.run(
        [*SOR, "--json", "chaos", "--kills", f"{KILLS}", "--keep", str(keep), *options],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert (found["unsafe"], found["stuck"], found["crashed"]) == ([], [], [])
    assert (found["level"], found["seeds"], sum(found["kills"].values())) == ("process", 1, KILLS)
    assert found["lives"] == KILLS + 1 + found["gave_up"]
    assert found["parents"] >= KILLS
    assert found["orders"] >= KILLS
    assert (found["power_loss"] is not None) is ("--power-loss" in options)
    assert found["faults"]
    assert {"journal", "said", "books.json", "emulator.log", "worker.log"} <= {path.name for path in keep.iterdir()}
    notes = msgspec.json.decode((keep / "emulator.log").read_bytes(), type=Served).serving.notes
    secrets = [word.encode() for name, said in notes.items() if name.startswith("key,") for word in said.split(" / ")]
    assert len(secrets) == 6, notes
    for path in keep.rglob("*"):
        if path.is_file() and path.name != "emulator.log":  # which says them
            assert not [secret for secret in secrets if secret in path.read_bytes()], path


@pytest.mark.slow
def test_a_broken_router_is_caught(tmp_path: Path) -> None:
    """Losing its journal between two lives, blindly sending again, and syncing nothing where the power fails."""
    mutants = (
        ("chaos_forgetful", "unknown order", False),
        ("chaos_resending", "unknown order", False),
        ("chaos_unsynced", "unknown order", True),
    )

    def unnoticed(mutant: tuple[str, str, bool]) -> str:
        name, symptom, power_loss = mutant
        worker = (sys.executable, "-m", f"tests.fakes.{name}")
        for seed in MUTANT_SEEDS:
            folder = tmp_path / f"{name}-{seed}"
            outcome = run(seed=seed, kills=3, folder=folder, weather=False, power_loss=power_loss, worker=worker)
            if any(symptom in sentence for sentence in outcome.findings.unsafe):
                return ""
        return name

    with ThreadPoolExecutor() as pool:
        assert [name for name in pool.map(unnoticed, mutants) if name] == []


def test_a_plan_is_decided_by_its_seed() -> None:
    plan = draw(seed=5, kills=200, weather=WEATHER)
    assert draw(seed=5, kills=200, weather=WEATHER) == plan
    assert draw(seed=6, kills=200, weather=WEATHER) != plan
    assert {kill.moment for kill in plan.kills} == set(Moment)
    assert {ask.policy for ask in plan.asks} == set(POLICIES)
    assert {ask.side for ask in plan.asks} == set(Side)
    kinds = Counter((change.lots > 0, change.deadline_s > 0) for change in plan.changes)
    assert set(kinds) == {(False, False), (True, False), (False, True)}
    assert not draw(seed=5, kills=3, weather=()).gusts


def test_every_policy_is_at_work() -> None:
    assert set(POLICIES) == set(Plugins.installed().policies)


def test_what_may_be_asked_is_the_most_that_ever_was() -> None:
    plan = draw(seed=5, kills=50, weather=())
    asked = {ask.parent_id: ask.lots for ask in plan.asks}
    raised = [change for change in plan.changes if change.lots > asked[change.parent_id]]
    assert raised
    for change in raised:
        assert plan.lots_max()[change.parent_id] == change.lots


def test_all_weather_can_be_had() -> None:
    """Each is a fault that the emulator knows, and over by itself."""
    for fault in dict.fromkeys((*WEATHER, *BANS)):
        if ByteFaults().switch(fault):
            continue
        strike = read_fault(fault)
        assert strike.fault.name in fault
        at_once = fault.startswith(("drop-sockets", "expire-listen-keys")) or strike.whole("count") == 1
        assert at_once or 0 < strike.whole("for_ms") <= 4_000, fault


def test_nobody_is_killed_where_somebody_else_has_been(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="is there already"):
        run(seed=1, kills=0, folder=tmp_path)


def test_an_account_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match=r"no account 'both'; nothing was started\. It has: one-way, hedge"):
        run(seed=1, kills=0, folder=tmp_path / "run", account="both")
    assert not (tmp_path / "run").exists()


def test_the_power_takes_what_was_not_synced_and_nothing_else(tmp_path: Path) -> None:
    """Whole turns that were synced stay, byte by byte; of the rest a part may stay, or be zeros."""
    (tmp_path / "000001.seg").write_bytes(b"a" * 100)
    (tmp_path / "000002.seg").write_bytes(b"b" * 60 + b"c" * 40)
    notes = tmp_path / "synced"
    inodes = [(tmp_path / name).stat().st_ino for name in ("000001.seg", "000002.seg")]
    notes.write_text(f"[{inodes[0]},100]\n[{inodes[1]},20]\n[{inodes[1]},60]\n[{inodes[1]},9", "utf-8")
    ends = Counter[str]()
    for loss in draw(seed=1, kills=100, weather=()).losses:
        (tmp_path / "000002.seg").write_bytes(b"b" * 60 + b"c" * 40)
        lost = lose_power(tmp_path, notes, loss)
        assert (tmp_path / "000001.seg").read_bytes() == b"a" * 100
        left = (tmp_path / "000002.seg").read_bytes()
        assert left.startswith(b"b" * 60)
        rest = left[60:]
        assert rest in (b"c" * len(rest), bytes(len(rest))), rest
        assert lost == 40 - rest.count(b"c")
        ends["nothing" if not rest else "zeros" if 0 in rest else "all" if len(rest) == 40 else "part"] += 1
    assert set(ends) == {"nothing", "zeros", "part", "all"}, ends


@pytest.mark.parametrize(("kind", "code"), [("unsafe", 3), ("stuck", 4), ("crashed", 5)])
def test_what_is_wrong_is_not_clean(kind: str, code: int) -> None:
    from sor.cli.chaos import exit_code

    assert Findings().clean
    assert exit_code(Findings()) == 0
    findings = Findings(**{kind: ["x"]})
    assert not findings.clean
    assert exit_code(findings) == code
    assert exit_code(Findings(unsafe=["x"], stuck=["x"], crashed=["x"])) == 3
