"""Faults first (nothing unsafe), then calm (everything finishes): R1 to R3, one seed and one commit name a run.

A failing seed says how to run it again. The slow test is the same with more seeds: as many as SOR_SEEDS says.
"""

import os

import pytest

from sor.commands import Place
from tests.sim.storm import Storm

FEW = 25
MANY = int(os.environ.get("SOR_SEEDS", "60"))


def weather(seed: int, *, restarts: int, test: str) -> None:
    """One storm; fails with everything that is wrong at once and the command that repeats it."""
    storm = Storm(seed, restarts=restarts)
    storm.run()
    wrong = [*storm.verdict().details, *storm.disagreements()]
    wrong += [
        f"{parent.id} is {parent.status} with {[child.status for child in parent.open_children]}"
        for parent in storm.parents
        if not parent.ended or parent.open_children
    ]
    # Nothing that these faults do is the venue's breach of contract, so nothing may be taken for one.
    wrong += [alarm.text for alarm in storm.alarms if alarm.halts]
    if wrong:
        again = f"again: python -m pytest 'tests/sim/test_seeds.py::{test}[{seed}]'"
        pytest.fail("\n".join([f"seed {seed}, of {len(storm.parents)} parents:", *wrong, again]))


@pytest.mark.parametrize("seed", range(FEW))
def test_faults_then_calm(seed: int) -> None:
    weather(seed, restarts=0, test="test_faults_then_calm")


@pytest.mark.parametrize("seed", range(FEW))
def test_faults_and_restarts_then_calm(seed: int) -> None:
    weather(seed, restarts=2, test="test_faults_and_restarts_then_calm")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FEW, MANY))
def test_many_faults_then_calm(seed: int) -> None:
    weather(seed, restarts=seed % 4, test="test_many_faults_then_calm")


@pytest.mark.parametrize("seed", range(5))
def test_one_seed_is_one_run(seed: int) -> None:
    """Turn by turn, two runs of one seed are the same."""
    first, second = Storm(seed, restarts=1), Storm(seed, restarts=1)
    assert first.run() == second.run()
    assert first.tape.turns == second.tape.turns


@pytest.mark.parametrize("seed", range(5))
def test_a_venue_that_overfills_is_not_traded_with_any_more(seed: int) -> None:
    """What it filled too much is counted, nothing stays behind, and the symbol is halted until somebody has looked."""
    storm = Storm(seed, faults={"overfill": 1.0})
    assert storm.run()
    assert any(order.filled_lots > order.order_lots for order in storm.venue.audit())
    assert [alarm.halts for alarm in storm.alarms] == [True]
    records = [record for turn in storm.tape.turns for record in turn]
    halted_at = records.index(storm.alarms[0])
    assert not any(isinstance(record, Place) for record in records[halted_at:])
    verdict = storm.verdict()
    assert (verdict.orphans, verdict.double_fills, verdict.missed_fills, verdict.unknown_orders) == (0, 0, 0, 0)
    assert storm.disagreements() == []
