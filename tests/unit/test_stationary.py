"""The stationary bootstrap: small cases by hand, what a resample is made of, and what its intervals cover."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.lab.bootstrap import BLOCKS_MIN
from sor.lab.stationary import Series, block_length, series
from tests.fakes.walks import autoregressive, overlapping

Floats = NDArray[np.float64]


def seeded(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def only(values: Floats, *, sizes: list[int] | None = None, seed: int = 7) -> Series:
    (one,) = series(values[:, np.newaxis], sizes=sizes or [len(values)], rng=seeded(seed))
    return one


def length_of(values: Floats, *, sizes: list[int] | None = None) -> float:
    return block_length(values[:, np.newaxis], sizes=sizes or [len(values)])


def width(one: Series) -> float:
    assert one.low is not None
    assert one.high is not None
    return one.high - one.low


# --- how long blocks are ----------------------------------------------------------------------------------------------


def test_the_length_of_a_series_by_hand() -> None:
    # 16 of +1, then 16 of -1: the autocovariance of lag k is (32 - 3 k) / 32, as k of 32 - k pairs are of both. Lag 7
    # is the first of five in a row within 2 sqrt(log10(32) / 32) = 0.434. The window would be 14 wide, but no more than
    # ceil(sqrt(32)) + 5 = 11 lags are looked at. Weights are 1 up to lag 5, then 2 (1 - k / 11).
    weighted = [29, 26, 23, 20, 17, 14 * 10 / 11, 11 * 8 / 11, 8 * 6 / 11, 5 * 4 / 11, 2 * 2 / 11, 0]
    slope = 2 * sum(lag * one for lag, one in enumerate(weighted, start=1)) / 32
    spectrum = 1 + 2 * sum(weighted) / 32
    assert (slope, spectrum) == pytest.approx((31.392045, 9.892045), abs=1e-6)
    length = (slope**2 / spectrum**2 * 32) ** (1 / 3)
    assert length_of(np.repeat([1.0, -1.0], 16)) == pytest.approx(length, rel=1e-12)
    assert length == pytest.approx(6.8565, abs=1e-3)


@pytest.mark.parametrize(("count", "longest"), [(36, 12.0), (100, 30.0), (400, 60.0)])
def test_a_block_is_no_longer_than_a_third_of_the_series_and_three_of_its_roots(count: int, longest: float) -> None:
    # What was noise and then had the one before taken off has a long run that vanishes: its blocks would be endless.
    lengths = [length_of(np.diff(seeded(no).standard_normal(count + 1))) for no in range(12)]
    assert max(lengths) == longest


def test_what_is_independent_has_blocks_of_one_or_two() -> None:
    lengths = [length_of(seeded(no).standard_normal(400)) for no in range(50)]
    assert min(lengths) >= 1.0
    assert np.median(lengths) < 3.0


def test_blocks_grow_with_what_a_series_remembers() -> None:
    lengths = [length_of(autoregressive(seeded(1), 2_000, keeps=keeps)) for keeps in (0.0, 0.4, 0.8)]
    assert lengths == sorted(lengths)
    # In theory (2 g^2 / D n)^(1/3), with g / spectrum = 2 keeps / (1 - keeps^2): 5.8 and 27.3.
    for keeps, length in zip((0.4, 0.8), lengths[1:], strict=True):
        assert length == pytest.approx((2 * keeps / (1 - keeps**2)) ** (2 / 3) * 2_000 ** (1 / 3), rel=0.35)


def test_a_market_s_end_and_the_next_one_s_beginning_are_no_neighbours() -> None:
    # Two markets that rise throughout: joined at their seam they would fall once, which says nothing of either.
    one, two = autoregressive(seeded(2), 200, keeps=0.6), autoregressive(seeded(3), 200, keeps=0.6)
    values = np.concatenate([one, two])
    apart, joined = length_of(values, sizes=[200, 200]), length_of(values)
    assert apart != joined
    assert apart == pytest.approx(joined, rel=0.3)
    # Markets of one parent each have no neighbours at all: blocks are parents.
    assert length_of(values, sizes=[1] * 400) == 1.0


# --- what is drawn ----------------------------------------------------------------------------------------------------


def test_the_spread_of_resampled_means_is_the_one_that_is_known() -> None:
    # Politis, Romano (1994), lemma 1: the variance of a resample's mean, given the series and the length of blocks.
    count = 4_000
    values = autoregressive(seeded(4), count, keeps=0.5)
    length = length_of(values)
    off, lags, goes_on = values - values.mean(), np.arange(1, count), 1.0 - 1.0 / length
    covariance = np.array([(off[lag:] * off[: count - lag]).sum() / count for lag in range(count)])
    share = (1 - lags / count) * goes_on**lags + lags / count * goes_on ** (count - lags)
    error = sqrt((covariance[0] + 2 * (share * covariance[1:]).sum()) / count)
    found = only(values)
    assert found.block_parents == length
    assert width(found) == pytest.approx(2 * 1.96 * error, rel=0.06)
    # As independent ones they would seem to say more.
    assert width(found) > 1.5 * 2 * 1.96 * float(values.std()) / sqrt(count)


def test_several_markets_are_drawn_as_one_would_be() -> None:
    one = autoregressive(seeded(5), 600, keeps=0.5)
    whole, parts = only(one), only(one, sizes=[200, 150, 250])
    assert width(parts) == pytest.approx(width(whole), rel=0.15)
    # Markets that differ in level are drawn anew, so what they differ by is in the interval.
    level = np.repeat([-3.0, 3.0, 0.0, -3.0, 3.0, 0.0], 100)
    assert width(only(one + level, sizes=[100] * 6)) > 2 * width(only(one, sizes=[100] * 6))


def test_a_block_goes_round_in_a_market_that_is_shorter_than_it() -> None:
    # Markets of four, each of +1 or -1 throughout: a block of L is worth L of its market's sign however often it goes
    # round, so the variance of a mean is that of the squares of geometric lengths, (2 b - 1) / n.
    count = 8_000
    found = only(np.repeat(np.where(np.arange(count // 4) % 2, 1.0, -1.0), 4), sizes=[4] * (count // 4))
    assert found.block_parents > 20.0
    half = 1.96 * sqrt((2.0 * found.block_parents - 1.0) / count)
    assert (found.low, found.high) == pytest.approx((-half, half), rel=0.06)


def test_what_costs_the_same_everywhere_is_known() -> None:
    known = only(np.full(70, 0.1))
    assert known.low == known.high == pytest.approx(0.1)
    assert only(np.zeros(70)) == Series(low=0.0, high=0.0, block_parents=1.0)


def test_too_few_blocks_give_no_interval() -> None:
    # 32 that ask for blocks of 6.9 get six of them.
    assert only(np.repeat([1.0, -1.0], 16)).block_parents == 32 / BLOCKS_MIN
    few = only(np.array([1.0, 2.0, 3.0, 2.0]))
    assert (few.low, few.high) == (None, None)
    # More comparisons need more blocks.
    many = seeded(6).random((10, 45))
    assert only(many[:, 0]).low is not None
    assert series(many, sizes=[10], rng=seeded())[0].low is None


def test_one_seed_names_a_result_and_more_than_one_go_is_needed_for_many() -> None:
    values = autoregressive(seeded(7), 5_000, keeps=0.5)
    assert only(values) == only(values)
    assert only(values, seed=1) != only(values, seed=2)
    assert width(only(values, seed=1)) == pytest.approx(width(only(values, seed=2)), rel=0.1)


def test_several_series_hold_at_once() -> None:
    rng = seeded(8)
    gaps = np.column_stack([autoregressive(rng, 400, keeps=0.4) for _ in range(6)])
    together = series(gaps, sizes=[400], rng=seeded())
    assert len({one.block_parents for one in together}) == 1
    alone = [length_of(gap) for gap in gaps.T]
    assert min(alone) < together[0].block_parents == block_length(gaps, sizes=[400]) < max(alone)
    # Six at once at 5 % by independent draws would be wider by 2.63 / 1.96.
    ratio = np.median([width(one) / width(only(gap)) for one, gap in zip(together, gaps.T, strict=True)])
    assert 1.15 < ratio < 1.6
    # One that never varies keeps its value and leaves the others as they are.
    (first, last) = series(np.column_stack([gaps[:, 0], np.ones(400)]), sizes=[400], rng=seeded())
    assert (last.low, last.high) == (1.0, 1.0)
    assert (first.low, first.high) == pytest.approx((only(gaps[:, 0]).low, only(gaps[:, 0]).high))


# --- what it covers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("parents", "deadlines"), [(200, 60), (400, 200)])
def test_nothing_is_seen_that_is_not_there_where_ignoring_overlap_sees_it(parents: int, deadlines: int) -> None:
    rng, runs, deadline = seeded(11), 250, 100
    seen = seen_if_independent = 0
    for run in range(runs):
        start, cost = overlapping(rng, parents=parents, span=deadlines * deadline, deadline=deadline)
        cost = cost[np.argsort(start, kind="stable")]
        found = only(cost, seed=run)
        assert found.low is not None
        assert found.high is not None
        seen += not found.low <= 0.0 <= found.high
        seen_if_independent += abs(cost.mean()) > 1.96 * cost.std() / sqrt(parents)
    assert seen / runs <= 0.09
    assert seen_if_independent / runs >= 0.20


@pytest.mark.parametrize(
    ("gaps", "sizes"),
    [
        (np.zeros((0, 1)), []),
        (np.zeros((3, 0)), [3]),
        (np.zeros(3), [3]),
        (np.zeros((3, 1)), [2]),
        (np.zeros((3, 1)), [3, 0]),
        (np.array([[1.0], [np.nan]]), [2]),
    ],
)
def test_senseless_series_are_refused(gaps: Floats, sizes: list[int]) -> None:
    with pytest.raises(CallerError, match="nothing was computed"):
        series(gaps, sizes=sizes, rng=seeded())
