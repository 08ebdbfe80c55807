"""Faults first (nothing unsafe), then calm (everything finishes), at both levels: R1 to R6 (docs/reliability.md).

A failing seed says how to run it again. CI runs many more of them with `sor simulate`; SOR_SEEDS says how many here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sor.commands import Place
from sor.errors import CallerError
from sor.rig import FaultKind
from sor.sim.faults import CRASH, KINDS_MIN, POWER, brew
from sor.sim.seeds import Outcome, Season, outcome, run, season
from sor.sim.storm import PLANS, Level, Storm
from tests.conftest import REPO
from tests.sim.rigs import Overfilling
from venues.bingx.emulator.rig import FAULTS as BINGX_FAULTS
from venues.simulated.rig import FAULTS as SIMULATED_FAULTS

CORE_SEEDS = int(os.environ.get("SOR_SEEDS", "60"))
STACK_SEEDS = max(2, CORE_SEEDS // 20)


def weather(level: Level, last: int) -> list[Outcome]:
    """Seeds 0 to `last`; fails with everything that is wrong and the commands that repeat it."""
    outcomes = list(run(season(level=level, rig=None, first=0, last=last)))
    wrong = [
        f"sor simulate --level {level.value} --seeds {one.seed}: {one.findings}"
        for one in outcomes
        if not one.findings.clean
    ]
    assert not wrong, "\n".join(wrong)
    return outcomes


@pytest.mark.slow
def test_core_faults_then_calm() -> None:
    outcomes = weather(Level.CORE, CORE_SEEDS - 1)
    assert sum(one.fills for one in outcomes) > 2 * CORE_SEEDS, "hardly anything is traded: nothing is shown"


@pytest.mark.slow
def test_stack_faults_then_calm() -> None:
    outcomes = weather(Level.STACK, STACK_SEEDS - 1)
    assert sum(one.fills for one in outcomes) > 10 * STACK_SEEDS, "hardly anything is traded: nothing is shown"


@pytest.mark.parametrize(
    ("level", "faults"),
    [(Level.CORE, (*SIMULATED_FAULTS, CRASH)), (Level.STACK, (*BINGX_FAULTS, CRASH, POWER))],
)
def test_every_storm_has_kinds_enough_and_every_kind_its_storms(level: Level, faults: tuple[FaultKind, ...]) -> None:
    storm_s = PLANS[level].shape.storm_s
    storms = [brew(level=level, seed=seed, kinds=faults, storm_s=storm_s) for seed in range(300)]
    assert all(len({fault.kind for fault in storm}) >= KINDS_MIN for storm in storms)
    assert {fault.kind for storm in storms for fault in storm} == {kind.name for kind in faults}
    assert all(len({fault.label for fault in storm}) == len(storm) for storm in storms)


@pytest.mark.slow
def test_one_seed_is_one_run_in_every_process() -> None:
    """Journal, wire and books are the same to the byte, whatever the order of hashes; another seed gives others."""

    def digests(hash_seed: str) -> list[str]:
        found: list[str] = []
        for level, seeds in (("core", "0..3"), ("core", "4"), ("stack", "3")):
            words = ["simulate", "--level", level, "--seeds", seeds, "--json"]
            done = subprocess.run(
                [sys.executable, "-c", "import sys; from sor.cli.main import run; sys.exit(run(sys.argv[1:]))", *words],
                cwd=REPO,
                env={**os.environ, "PYTHONHASHSEED": hash_seed},
                capture_output=True,
                text=True,
                check=True,
            )
            found.append(json.loads(done.stdout)["digest"])
        return found

    first, second = digests("1"), digests("2")
    assert first == second
    assert len(set(first)) == len(first)


def test_the_order_of_processes_changes_nothing() -> None:
    plan = Season(level=Level.CORE, rig="simulated", first=0, last=9)
    assert list(run(plan, jobs=2)) == list(run(plan))


def test_fewer_faults_are_the_same_storm_without_them(tmp_path: Path) -> None:
    """What strategies do does not depend on what goes wrong."""
    plan = Season(level=Level.CORE, rig="simulated", first=7, last=7)
    whole = outcome(plan, 7, folder=tmp_path / "whole")
    label = whole.armed[0]
    without = tuple(one for one in whole.armed if one != label)
    fewer = outcome(
        Season(level=Level.CORE, rig="simulated", first=7, last=7, faults=without), 7, folder=tmp_path / "fewer"
    )
    assert fewer.armed == without
    assert fewer.parents == whole.parents
    calm = outcome(Season(level=Level.CORE, rig="simulated", first=7, last=7, faults=()), 7, folder=tmp_path / "calm")
    assert calm.findings.clean
    assert calm.struck == {}


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(CallerError, match="has no fault 'sunspots'"):
        season(level=Level.CORE, rig=None, first=0, last=1, faults=("sunspots",))
    with pytest.raises(CallerError, match=r"sor\.rigs"):
        season(level=Level.CORE, rig="nowhere", first=0, last=1)


@pytest.mark.parametrize("seed", range(4))
def test_a_venue_that_overfills_is_not_traded_with_any_more(seed: int, tmp_path: Path) -> None:
    """What it filled too much is counted, nothing stays behind, and the symbol is halted until somebody has looked."""
    storm = Storm(level=Level.CORE, seed=seed, open_rig=Overfilling(), folder=tmp_path / "files", wanted=())
    storm.run()
    assert any(order.filled_lots > order.order_lots for order in storm.rig.books().orders)
    assert [alarm.halts for alarm in storm.life.alarms()] == [True]
    records = [record for turn in storm.tape.turns for record in turn]
    halted_at = records.index(storm.life.alarms()[0])
    assert not any(isinstance(record, Place) for record in records[halted_at:])
    verdict = storm.verdict()
    assert (verdict.orphans, verdict.double_fills, verdict.missed_fills, verdict.unknown_orders) == (0, 0, 0, 0)
    assert storm.findings().stuck == []
