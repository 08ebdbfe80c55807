"""Storms in which the state is written down again and again, and whoever is killed goes on from there."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from sor.checkpoint import freeze, thaw
from sor.decide import decide
from sor.sim.faults import CHECKPOINT
from sor.sim.lives import installed
from sor.sim.seeds import Season, outcome
from sor.sim.storm import PLANS, Level, Storm
from tests.fakes.walk import walked

SEEDS = {Level.CORE: range(40), Level.STACK: range(6)}


def season(level: Level) -> Season:
    seeds = SEEDS[level]
    return Season(level=level, rig=PLANS[level].rig, first=seeds[0], last=seeds[-1])


@pytest.mark.slow
@pytest.mark.parametrize("level", Level)
def test_a_storm_with_checkpoints_has_the_digest_that_it_has_without(level: Level, tmp_path: Path) -> None:
    plan = season(level)
    kept = deaths = 0
    for seed in SEEDS[level]:
        whole = outcome(plan, seed, folder=tmp_path / f"{seed}")
        labels = tuple(one for one in whole.armed if one.partition(".")[0] != CHECKPOINT.name)
        bare = outcome(msgspec.structs.replace(plan, faults=labels), seed, folder=tmp_path / f"{seed}-bare")
        assert whole.findings.clean
        assert CHECKPOINT.name not in bare.struck
        assert whole.digest == bare.digest, seed
        kept += whole.struck[CHECKPOINT.name]
        deaths += sum(whole.struck.get(name, 0) for name in ("crash", "power"))
    assert kept >= 2 * len(SEEDS[level])
    assert deaths >= len(SEEDS[level]) // 3


@pytest.mark.slow
@pytest.mark.parametrize("level", Level)
def test_everything_that_a_storm_leaves_is_there_again(level: Level, tmp_path: Path) -> None:
    plugins = installed()
    plan = season(level)
    for seed in SEEDS[level]:
        storm = Storm(level=level, seed=seed, open_rig=plugins.rig(plan.rig), folder=tmp_path / f"{seed}")
        try:
            storm.run()
            core, fits = storm.life.state()
            pieces = list(freeze(core, fits).pieces())
            again, fits_again = thaw(pieces, policies=plugins.policies, schedules=plugins.schedules, decider=decide)
            assert walked(again) == walked(core), seed
            assert walked(fits_again) == walked(fits), seed
            assert list(freeze(again, fits_again).pieces()) == pieces
        finally:
            storm.close()
