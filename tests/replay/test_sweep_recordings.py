"""The compiled lane on recordings: what the router does there, parent by parent."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from benchmarks.maker import Join
from policies.calm_market import CalmMarket
from policies.cost_aware import CostAware
from policies.join_and_cross import JoinAndCross
from sor.lab.sweep.kernel import DONE, ENDED
from sor.policy import Policy
from sor.tape import open_tape
from sor.units import MS
from tests.replay.conftest import Recorded, beginning_of
from tests.unit.test_routed import both as routed
from tests.unit.test_sweep import both, starts_of

GROUPS = 8_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "lots", "queue", "values"),
    [
        ("usdm_aug", 2_000, "moderate", {}),
        ("spot_aug", 3_000, "risk_averse", {}),
        ("bitstamp", 50_000_000, "moderate", {"placement.calm_spread_max": "30"}),
    ],
)
def test_a_parent_fills_as_behind_the_router(
    name: str, lots: int, queue: str, values: dict[str, str], recorded: Mapping[str, Recorded]
) -> None:
    tape = beginning_of(open_tape(recorded[name].path), groups=GROUPS)
    starts = starts_of(tape, 50, seed=1, deadline_s=10.0)
    _, found = both(
        tape, starts, lots=lots, deadline_s=10.0, queue=queue, latency_ns=5 * MS, timeout_s=2.0, values=values
    )
    assert (found.state == DONE).sum() > 20
    assert found.timeouts.any()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "lots", "policy"),
    [
        ("usdm_aug", 2_000, CalmMarket()),
        ("usdm_aug", 300, Join(300)),
        ("spot_aug", 3_000, JoinAndCross()),
        ("bitstamp", 50_000_000, CostAware()),
    ],
)
def test_a_policy_is_asked_and_filled_as_behind_the_router(
    name: str, lots: int, policy: Policy, recorded: Mapping[str, Recorded]
) -> None:
    tape = beginning_of(open_tape(recorded[name].path), groups=GROUPS)
    starts = starts_of(tape, 50, seed=1, deadline_s=10.0)
    values = {"risk.orders_per_s_max": "100", "placement.calm_spread_max": "30"}
    _, found = routed(tape, starts, policy, lots=lots, deadline_s=10.0, values=values)
    assert sum(one.state in (DONE, ENDED) for one in found) > 40
    assert sum(one.asked for one in found) > 50
