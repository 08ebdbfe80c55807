"""Real processes, really killed: R4. What is broken on purpose is caught by the emulator's books."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from sor.chaos.plan import POLICIES, Moment, draw
from sor.chaos.supervisor import Served, run
from sor.errors import CallerError
from sor.orders import Side
from sor.plugins import Plugins
from sor.sim.storm import Findings
from tests.conftest import REPO
from venues.bingx.emulator.faults import read_fault
from venues.bingx.emulator.weather import WEATHER
from venues.emulation.faults import ByteFaults

SOR = (sys.executable, "-c", "from sor.cli.main import main; main()")
KILLS = 10
MUTANT_SEEDS = (3, 4, 5)
"""In how many runs at most a broken router must be caught."""


@pytest.mark.slow
def test_ten_kills(tmp_path: Path) -> None:
    """As CI runs it: through the command, with faults; nothing unsafe, nothing stuck, nobody crashed."""
    keep = tmp_path / "run"
    done = subprocess.run(
        [*SOR, "--json", "chaos", "--kills", f"{KILLS}", "--seed", "1", "--keep", str(keep)],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert (found["unsafe"], found["stuck"], found["crashed"]) == ([], [], [])
    assert (found["level"], found["seeds"], sum(found["kills"].values())) == ("process", 1, KILLS)
    assert found["lives"] == KILLS + 1 + found["gave_up"]
    assert found["parents"] >= KILLS
    assert found["orders"] >= KILLS
    assert found["faults"]
    assert {"journal", "said", "books.json", "emulator.log", "worker.log"} <= {path.name for path in keep.iterdir()}
    notes = msgspec.json.decode((keep / "emulator.log").read_bytes(), type=Served).serving.notes
    secrets = [word.encode() for name, said in notes.items() if name.startswith("key,") for word in said.split(" / ")]
    assert len(secrets) == 6, notes
    for path in keep.rglob("*"):
        if path.is_file() and path.name != "emulator.log":  # which says them
            assert not [secret for secret in secrets if secret in path.read_bytes()], path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "symptom"), [("chaos_forgetful", "unknown order"), ("chaos_resending", "unknown order")]
)
def test_a_broken_router_is_caught(name: str, symptom: str, tmp_path: Path) -> None:
    """One that loses its journal between two lives, and one that blindly sends again what it may have sent."""
    worker = (sys.executable, "-m", f"tests.fakes.{name}")
    for seed in MUTANT_SEEDS:
        outcome = run(seed=seed, kills=3, folder=tmp_path / f"{seed}", weather=False, worker=worker)
        if any(symptom in sentence for sentence in outcome.findings.unsafe):
            return
    pytest.fail(f"{name} went through {len(MUTANT_SEEDS)} runs unnoticed")


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
    for fault in dict.fromkeys(WEATHER):
        if ByteFaults().switch(fault):
            continue
        strike = read_fault(fault)
        assert strike.fault.name in fault
        at_once = fault.startswith(("drop-sockets", "expire-listen-keys"))
        assert at_once or 0 < strike.whole("for_ms") <= 4_000, fault


def test_nobody_is_killed_where_somebody_else_has_been(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="is there already"):
        run(seed=1, kills=0, folder=tmp_path)


@pytest.mark.parametrize(("kind", "code"), [("unsafe", 3), ("stuck", 4), ("crashed", 5)])
def test_what_is_wrong_is_not_clean(kind: str, code: int) -> None:
    from sor.cli.chaos import exit_code

    assert Findings().clean
    assert exit_code(Findings()) == 0
    findings = Findings(**{kind: ["x"]})
    assert not findings.clean
    assert exit_code(findings) == code
    assert exit_code(Findings(unsafe=["x"], stuck=["x"], crashed=["x"])) == 3
