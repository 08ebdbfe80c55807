"""A simulator that does not catch bugs that are there shows nothing by finding none."""

from __future__ import annotations

from pathlib import Path

import pytest

from sor.sim.seeds import Season, outcome
from sor.sim.storm import Level
from tests.sim.mutations import MUTATIONS, Plant

SEEDS = 60
"""Within how many storms of the core, from seed 0 on, each must be caught. The slowest took 19 when it was written."""


@pytest.mark.slow
@pytest.mark.parametrize("plant", MUTATIONS, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_caught(plant: Plant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plan = Season(level=Level.CORE, rig="simulated", first=0, last=SEEDS - 1)
    plant(monkeypatch)
    caught = (seed for seed in range(SEEDS) if not outcome(plan, seed, folder=tmp_path / f"{seed}").findings.clean)
    assert next(caught, None) is not None, f"{plant.__name__} went through {SEEDS} storms unnoticed"
