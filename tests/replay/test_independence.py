"""In a replay every parent fares as if it were alone on the recording."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from sor.ids import ExecId, ParentId
from sor.lab.importers import import_recording
from sor.lab.plan import Ground, Plan, tape_ground
from sor.lab.replay import Replayer
from sor.params import ParamStore
from sor.tape import open_tape
from sor.tca import ParentReport
from sor.units import NS


@pytest.fixture(scope="module")
def tape(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three minutes of a perpetual."""
    path = tmp_path_factory.mktemp("tapes") / "tape"
    import_recording([recordings / "binance-20240718-btc" / "usdm_btcusdt_20240718.gz"], path)
    return path


def replayed(
    ground: Ground, plan: Plan, runs: Path, *, every: int = 1, within_ns: int | None = None
) -> dict[ParentId, ParentReport]:
    """What the parents that a plan draws came to, when only every so many of them run.

    within_ns    start them all, evenly, within so much time from the first start on.
    """
    sets = {plan.param_set: ParamStore().get(plan.param_set, now_ns=ground.first_ns)}
    replayer = Replayer.installed(plan, ground, sets=sets, runs=runs)
    starts = replayer.drawn.starts
    if within_ns is not None:
        first_ns, step_ns = starts[0].at_ns, within_ns // len(starts)
        starts = tuple(msgspec.structs.replace(one, at_ns=first_ns + step_ns * one.no) for one in starts)
    replayer.drawn = msgspec.structs.replace(replayer.drawn, starts=starts[::every])
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


def test_a_parent_does_not_wait_for_the_rates_of_those_that_start_with_it(tape: Path, tmp_path: Path) -> None:
    plan = Plan(policies=("maker_first",), parents=100, quantity=Decimal("0.1"), deadline_s=1.0)
    ground = tape_ground(open_tape(tape), tape, plan)
    crowd = replayed(ground, plan, tmp_path, within_ns=NS)
    (lonely,) = replayed(ground, plan, tmp_path, within_ns=NS, every=100).items()
    some = replayed(ground, plan, tmp_path, within_ns=NS, every=10)
    assert (len(crowd), len(some)) == (100, 10)
    assert crowd.items() >= some.items() >= {lonely}
    # On one account they share its rate, 10 orders a second: those that come later start later.
    plan = msgspec.structs.replace(plan, together=True)
    met = replayed(tape_ground(open_tape(tape), tape, plan), plan, tmp_path, within_ns=NS)
    assert sum(met[parent_id] != crowd[parent_id] for parent_id in met) > 50
