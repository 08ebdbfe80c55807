"""In a replay every parent fares as if it were alone on the recording."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from sor.ids import ExecId, ParentId
from sor.lab.importers import import_recording
from sor.lab.replay import Ground, Plan, Replayer, tape_ground
from sor.params import ParamStore
from sor.tape import open_tape
from sor.tca import ParentReport


@pytest.fixture(scope="module")
def tape(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three minutes of a perpetual."""
    path = tmp_path_factory.mktemp("tapes") / "tape"
    import_recording([recordings / "binance-20240718-btc" / "usdm_btcusdt_20240718.gz"], path)
    return path


def replayed(ground: Ground, plan: Plan, runs: Path, *, every: int = 1) -> dict[ParentId, ParentReport]:
    """What the parents that a plan draws came to, when only every so many of them run."""
    sets = {plan.param_set: ParamStore().get(plan.param_set, now_ns=ground.first_ns)}
    replayer = Replayer.installed(plan, ground, sets=sets, runs=runs)
    replayer.drawn = msgspec.structs.replace(replayer.drawn, starts=replayer.drawn.starts[::every])
    (outcome,) = replayer.run(progress=lambda policy, ended: None).outcomes
    return {one.parent_id: _nameless(one) for one in outcome.reports}


def _nameless(report: ParentReport) -> ParentReport:
    """A report without the names of its executions, which say how many orders the venue had taken before."""
    fills = tuple(msgspec.structs.replace(fill, exec_id=ExecId("")) for fill in report.fills)
    return msgspec.structs.replace(report, fills=fills)


@pytest.mark.parametrize("queue", ["risk_averse", "moderate"])
def test_a_parent_does_not_depend_on_who_else_runs(tape: Path, tmp_path: Path, queue: str) -> None:
    plan = Plan(policies=("maker_first",), parents=60, queue=queue, quantity=Decimal(3))
    ground = tape_ground(open_tape(tape), tape, plan)
    everyone = replayed(ground, plan, tmp_path)
    some = replayed(ground, plan, tmp_path, every=3)
    assert len(some) == 20
    assert some == {parent_id: everyone[parent_id] for parent_id in some}
    # The same parents on one account do meet: they queue behind each other, share a book and refuse each other.
    plan = msgspec.structs.replace(plan, together=True)
    met = replayed(tape_ground(open_tape(tape), tape, plan), plan, tmp_path)
    assert sum(met[parent_id] != everyone[parent_id] for parent_id in some) >= 3
