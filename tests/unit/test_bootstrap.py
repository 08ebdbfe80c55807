"""Blocks, intervals and p-values: small cases by hand, and what the intervals cover when parents overlap."""

import numpy as np
import pytest

from sor.errors import CallerError
from sor.lab.bootstrap import BLOCKS_MAX, BLOCKS_MIN, Difference, Interval, block_of, difference, interval
from tests.fakes.walks import overlapping


def seeded(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("starts", "deadline", "blocks"),
    [
        ([1_000], 10, [0]),
        ([0, 19], 10, [0, 0]),
        ([1_000, 1_039, 1_040, 1_399], 10, [0, 0, 1, 9]),  # 400 ns: 10 blocks of 4 deadlines
        ([99, 0, 20, 19, 80], 10, [4, 0, 1, 0, 4]),  # 100 ns: 5 blocks of 2 deadlines
        ([0, 100, 2_999], 10, [0, 1, BLOCKS_MAX - 1]),  # 3000 ns: no more than 30 blocks, of 10 deadlines
    ],
)
def test_blocks_are_equal_stretches_of_start_time(starts: list[int], deadline: int, blocks: list[int]) -> None:
    assert block_of(np.array(starts), deadline_ns=deadline).tolist() == blocks


def test_nanoseconds_since_the_epoch_do_not_overflow() -> None:
    day = 86_400 * 10**9
    starts = 1_721_260_800 * 10**9 + np.array([0, day // 2, 400 * day])
    assert block_of(starts, deadline_ns=60 * 10**9).tolist() == [0, 0, BLOCKS_MAX - 1]


def test_what_costs_the_same_everywhere_is_known() -> None:
    values, block = np.full(70, 3.3), np.arange(70) // 7
    found = interval(values, block, seeded())
    assert found == Interval(mean=found.mean, low=found.mean, high=found.mean, blocks=10, parents=70)
    assert found.mean == pytest.approx(3.3)


def test_few_blocks_give_a_mean_and_no_interval() -> None:
    values, block = np.array([1.0, 2.0, 6.0]), np.array([0, 0, 4])
    assert interval(values, block, seeded()) == Interval(mean=3.0, low=None, high=None, blocks=2, parents=3)
    paired = difference(ours=values, theirs=values - 1, block=block, rng=seeded())
    assert paired == Difference(mean=1.0, low=None, high=None, p_value=None, blocks=2, parents=3)


def test_one_block_that_differs_makes_a_long_interval_and_not_an_endless_one() -> None:
    # A third of the resamples never draw that block; their own error would be 0.
    found = interval(np.array([1.0, 1.0, 1.0, 1.0, 1.0, 9.0]), np.arange(6), seeded())
    assert found.low is not None
    assert found.high is not None
    # Four standard errors of 4/3 up at most, since no error is believed below a quarter of that.
    assert found.low < 1.0
    assert found.high == pytest.approx(14 / 6 + 4 * 4 / 3)


def test_each_parent_weighs_the_same_whatever_the_size_of_its_block() -> None:
    assert interval(np.array([9.0, 1.0, 1.0, 1.0]), np.array([3, 1, 1, 1]), seeded()).mean == 3.0


def test_many_normal_blocks_give_the_textbook_interval() -> None:
    values = seeded(1).normal(5.0, 2.0, 400)
    found = interval(values, np.arange(400), seeded(2))
    half = 1.966 * values.std(ddof=1) / 20  # t with 399 degrees of freedom
    assert found.low == pytest.approx(values.mean() - half, abs=0.03)
    assert found.high == pytest.approx(values.mean() + half, abs=0.03)


def test_a_long_tail_of_costs_makes_the_interval_longer_on_its_side() -> None:
    values = seeded(3).exponential(1.0, 15)
    found = interval(values, np.arange(15), seeded())
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.mean > 1.3 * (found.mean - found.low)


def test_one_seed_names_a_result() -> None:
    values, block = seeded(4).normal(size=60), np.arange(60) // 4
    assert interval(values, block, seeded()) == interval(values, block, seeded())
    assert interval(values, block, seeded(8)) != interval(values, block, seeded(9))


@pytest.mark.parametrize(
    ("sums", "p_value"),
    [
        ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2 / 64),
        ([1.0, 1.0, 1.0, 1.0, 1.0, -1.0], 14 / 64),  # 0, 1, 5 or 6 of the six negative: 1 + 6 + 6 + 1
        ([0.1, 0.2, -0.3, 0.0, 0.0, 0.0], 1.0),
        ([0.0] * 7, 1.0),
    ],
)
def test_p_value_counts_sign_patterns(sums: list[float], p_value: float) -> None:
    ours = np.array(sums)
    assert difference(ours=ours, theirs=0 * ours, block=np.arange(len(sums)), rng=seeded()).p_value == p_value


def test_p_value_flips_blocks_not_parents() -> None:
    # Six blocks of ten parents that always agree are six coins, not sixty.
    ours = np.repeat([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 10)
    found = difference(ours=ours, theirs=0 * ours, block=np.arange(60) // 10, rng=seeded())
    assert (found.p_value, found.blocks, found.parents) == (2 / 64, 6, 60)


def test_p_value_of_many_blocks_is_drawn_and_never_zero() -> None:
    found = difference(ours=np.full(20, 5.0), theirs=np.full(20, 4.0), block=np.arange(20), rng=seeded())
    assert found == Difference(mean=1.0, low=1.0, high=1.0, p_value=1e-4, blocks=20, parents=20)


def test_pairing_takes_out_what_both_policies_share() -> None:
    market = seeded(5).normal(0.0, 10.0, 300)
    ours, theirs = market + seeded(6).normal(1.0, 0.5, 300), market
    block = np.arange(300) // 15
    paired = difference(ours=ours, theirs=theirs, block=block, rng=seeded())
    alone = interval(ours, block, seeded())
    assert paired.low is not None
    assert paired.high is not None
    assert alone.low is not None
    assert alone.high is not None
    assert 0.9 < paired.low < paired.mean < paired.high < 1.1
    assert alone.low < 0 < alone.high
    assert paired.p_value is not None
    assert paired.p_value < 0.001


def test_the_interval_covers_where_ignoring_overlap_does_not() -> None:
    rng = seeded(11)
    deadline, runs = 100, 300
    covered = covered_if_independent = rejected = blocks = 0
    for _ in range(runs):
        start, cost = overlapping(rng, parents=200, span=60 * deadline, deadline=deadline)
        block = block_of(start, deadline_ns=deadline)
        found = difference(ours=cost, theirs=np.zeros(200), block=block, rng=rng)
        assert found.low is not None
        assert found.high is not None
        assert found.p_value is not None
        covered += found.low <= 0 <= found.high
        rejected += found.p_value <= 0.05
        blocks += found.blocks
        one_by_one = rng.choice(cost, (400, 200)).mean(axis=1)
        low, high = np.quantile(one_by_one, [0.025, 0.975])
        covered_if_independent += bool(low <= 0 <= high)
    assert 14 <= blocks / runs <= 15
    assert covered / runs >= 0.91
    assert rejected / runs <= 0.09
    assert covered_if_independent / runs <= 0.75


def test_six_blocks_are_few_and_still_cover() -> None:
    rng = seeded(12)
    covered = 0
    for _ in range(200):
        start, cost = overlapping(rng, parents=100, span=BLOCKS_MIN * 200, deadline=50)
        block = start // 200
        found = interval(cost, block, rng)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0 <= found.high
    assert covered / 200 >= 0.9


@pytest.mark.parametrize(
    ("values", "block"),
    [([], []), ([1.0], [0, 1]), ([1.0, float("nan")], [0, 1]), ([1.0, float("inf")], [0, 1])],
)
def test_senseless_values_are_refused(values: list[float], block: list[int]) -> None:
    with pytest.raises(CallerError, match="nothing was computed"):
        interval(np.array(values), np.array(block, np.int64), seeded())


def test_unpaired_policies_are_refused() -> None:
    with pytest.raises(CallerError, match="same parents in the same order"):
        difference(ours=np.ones(3), theirs=np.ones(2), block=np.arange(3), rng=seeded())


@pytest.mark.parametrize(("starts", "deadline"), [([], 10), ([1, 2], 0), ([1, 2], -5)])
def test_senseless_blocks_are_refused(starts: list[int], deadline: int) -> None:
    with pytest.raises(CallerError, match="positive deadline"):
        block_of(np.array(starts, np.int64), deadline_ns=deadline)
