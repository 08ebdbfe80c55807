"""Our stationary bootstrap and our families of arms beside those of `arch`, on the same series.

Needs the extra `peers`, which CI installs. `arch` draws its means one by one, so its runs are fewer than ours.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sor.lab.ab.family import UNDECIDED, Family
from sor.lab.ab.several import Several, Together, compare_together
from sor.lab.stationary import block_length, series
from sor.units import NS
from tests.fakes.walks import autoregressive, overlapping

peer = pytest.importorskip("arch.bootstrap", reason="needs the extra `peers`")

Floats = NDArray[np.float64]


def theirs_of(values: Floats) -> float:
    return max(1.0, float(peer.optimal_block_length(values)["stationary"].iloc[0]))


@pytest.mark.parametrize("keeps", [-0.4, 0.0, 0.3, 0.7])
@pytest.mark.parametrize("count", [300, 3_000])
def test_the_automatic_length_is_theirs(keeps: float, count: int) -> None:
    # They divide a lag's covariance by the spread of the values that it joins, we as in the paper by that of all: where
    # a lag lies at the edge of chance the window differs (in 4 % of series like these). Else it is the same number.
    samples = [autoregressive(np.random.default_rng([1, no]), count, keeps=keeps) for no in range(20)]
    same = [
        block_length(one[:, np.newaxis], sizes=[count]) == pytest.approx(theirs_of(one), rel=1e-9) for one in samples
    ]
    assert sum(same) >= 18


def test_the_length_of_skewed_differences_that_overlap_is_theirs() -> None:
    rng, same = np.random.default_rng(2), 0
    for _ in range(20):
        start, cost = overlapping(rng, parents=600, span=6_000, deadline=100)
        cost = cost[np.argsort(start, kind="stable")]
        same += block_length(cost[:, np.newaxis], sizes=[600]) == pytest.approx(theirs_of(cost), rel=1e-9)
    assert same >= 17


def test_on_a_long_series_the_interval_is_theirs() -> None:
    values = autoregressive(np.random.default_rng(3), 4_000, keeps=0.5)
    (ours,) = series(values[:, np.newaxis], sizes=[4_000], rng=np.random.default_rng(4))
    drawn = peer.StationaryBootstrap(ours.block_parents, values, seed=5)
    low, high = drawn.conf_int(np.mean, reps=2_000, method="percentile").ravel()
    assert ours.low is not None
    assert ours.high is not None
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.1 * (high - low))


def test_percentiles_see_what_is_not_there_more_often() -> None:
    rng, runs, seen = np.random.default_rng(6), 150, {"ours": 0, "percentiles": 0}
    for run in range(runs):
        start, cost = overlapping(rng, parents=120, span=3_000, deadline=100)
        cost = cost[np.argsort(start, kind="stable")]
        (ours,) = series(cost[:, np.newaxis], sizes=[120], rng=np.random.default_rng(run))
        drawn = peer.StationaryBootstrap(ours.block_parents, cost, seed=run)
        low, high = drawn.conf_int(np.mean, reps=300, method="percentile").ravel()
        seen["percentiles"] += not low <= 0.0 <= high
        seen["ours"] += ours.low is not None and ours.high is not None and not ours.low <= 0.0 <= ours.high
    assert seen["ours"] / runs <= 0.11
    assert seen["percentiles"] > 1.3 * seen["ours"]


# --- several arms: SPA and the model confidence set -------------------------------------------------------------------


def arms(seed: int, *, effects: tuple[float, ...], blocks: int = 60) -> Floats:
    """(blocks, arms) of skewed costs with something that all share; one parent a block, so that blocks are equal."""
    rng = np.random.default_rng([7, seed])
    shared = rng.standard_normal((blocks, 1))
    costs: Floats = shared + rng.standard_exponential((blocks, len(effects))) + np.array(effects)
    return costs


def ours_of(costs: Floats, family: Family, *, seed: int) -> Several:
    # One parent every four deadlines: blocks of one parent, up to 30 of them; here two to a block.
    market = Together(costs=costs, start_ns=np.arange(len(costs)) * 4 * NS, deadline_ns=NS)
    return compare_together([market], family=family, seed=seed, margin_bps=9.0)


def confidence_set(costs: Floats, *, seed: int) -> set[int]:
    found = peer.MCS(costs, size=0.05, reps=500, block_size=2, method="max", bootstrap="stationary", seed=seed)
    found.compute()
    return set(found.included)


def test_those_that_nobody_beat_are_a_model_confidence_set() -> None:
    # Far apart: both leave the two cheap ones, whose difference is none.
    for seed in range(5):
        costs = arms(seed, effects=(0.0, 0.0, 2.0, 3.0))
        ours = ours_of(costs, Family.ALL, seed=seed).verdict
        assert set(ours.cheapest) == {"abcd"[no] for no in confidence_set(costs, seed=seed)} == {"a", "b"}


def test_superior_predictive_ability_is_an_arm_that_is_cheaper_than_the_control() -> None:
    for effects, better in (
        ((0.0, 0.0, -1.5, 0.5), True),
        ((0.0, 0.0, 0.0, 0.5), False),
        ((0.0, 1.0, 2.0, 0.5), False),
    ):
        agree = 0
        for seed in range(10):
            costs = arms(seed, effects=effects)
            ours = ours_of(costs, Family.CONTROL, seed=seed)
            cheaper = any(one.decision not in (UNDECIDED, "a") for one in ours.versus)
            theirs = peer.SPA(costs[:, 0], costs[:, 1:], block_size=2, reps=500, bootstrap="stationary", seed=seed)
            theirs.compute()
            agree += cheaper == (float(theirs.pvalues["consistent"]) < 0.05) == better
        assert agree >= 8, effects
