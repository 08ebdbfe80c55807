"""A simulator that does not catch bugs that are there shows nothing by finding none."""

from __future__ import annotations

from pathlib import Path

import pytest

from sor.sim.seeds import Season, outcome
from sor.sim.storm import Level
from tests.sim.mutations import MUTATIONS, STACK_MUTATIONS, Plant

SEEDS = 60
"""Within how many storms of the core, from seed 0 on, each must be caught. The slowest took 29 when it was written."""
STACK_SEEDS = range(3, 9)
"""Within which storms of the stack. From 0 on they took 4 and 5."""


@pytest.mark.slow
@pytest.mark.parametrize("plant", MUTATIONS, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_caught(plant: Plant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plant(monkeypatch)
    assert _caught(Season(level=Level.CORE, rig="simulated", first=0, last=SEEDS - 1), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("plant", STACK_MUTATIONS, ids=lambda plant: plant.__name__)
def test_a_bug_that_is_planted_in_the_shell_is_caught(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plant(monkeypatch)
    assert _caught(Season(level=Level.STACK, rig="bingx", first=STACK_SEEDS[0], last=STACK_SEEDS[-1]), tmp_path)


def _caught(plan: Season, folder: Path) -> bool:
    """Whether any storm finds it; the first that does is the last that is run."""
    seeds = range(plan.first, plan.last + 1)
    return not all(outcome(plan, seed, folder=folder / f"{seed}").findings.clean for seed in seeds)
