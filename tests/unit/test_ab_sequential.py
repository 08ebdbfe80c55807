"""Bounds that hold at every look: published values, what they let through on A/A data, and what they find."""

import numpy as np
import pytest
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.experiment.bounds import LOOKS_FROM
from sor.lab.ab.betting import betting, capital, cut, discoveries
from sor.lab.ab.guards import false_positives_allowed, uniform
from sor.lab.ab.live import by_design
from sor.lab.ab.paired import block_means
from sor.lab.ab.sequential import (
    MixtureBound,
    Msprt,
    asymptotic,
    fixed_sample,
    polynomial_stitched,
    stitched,
)
from sor.lab.bootstrap import block_of, difference
from tests.fakes.walks import overlapping

Floats = NDArray[np.float64]
ALPHA = 0.05
RUNS, LOOKS = 2_000, 1_000


@pytest.fixture(scope="module")
def nothing() -> Floats:
    """A/A: (RUNS, LOOKS) differences without effect."""
    return np.random.default_rng(11).standard_normal((RUNS, LOOKS))


# --- published values (methods 8.2) -----------------------------------------------------------------------------------


def test_the_normal_mixture_bound() -> None:
    bound = MixtureBound.tightest_at(100.0, alpha=ALPHA)
    assert bound.rate == pytest.approx(12.60056, abs=1e-5)
    assert float(bound.at(np.array(100.0))) == pytest.approx(30.35209, abs=1e-5)
    # 1.549 times the interval of a fixed sample there.
    assert float(bound.at(np.array(100.0))) / (1.959964 * 10.0) == pytest.approx(1.549, abs=5e-4)


def test_the_bound_is_tightest_where_it_was_asked_to_be() -> None:
    asked = float(MixtureBound.tightest_at(100.0, alpha=ALPHA).at(np.array(100.0)))
    for other in (50.0, 80.0, 125.0, 200.0):
        assert float(MixtureBound.tightest_at(other, alpha=ALPHA).at(np.array(100.0))) > asked


def test_the_stitched_bounds() -> None:
    assert stitched(np.array([100.0, 1_000.0]), alpha=ALPHA).tolist() == pytest.approx([39.906, 130.26], abs=5e-3)
    found = polynomial_stitched(100.0, alpha=ALPHA, from_time=10.0, scale=3.0, power=1.4, epoch=2.0)
    assert found == pytest.approx(64.48755, abs=1e-5)
    # Before its first time it stands still.
    assert polynomial_stitched(1.0, alpha=ALPHA, from_time=10.0) == polynomial_stitched(
        10.0, alpha=ALPHA, from_time=10.0
    )


def test_the_mixture_likelihood_ratio() -> None:
    ratio = Msprt(variance=1.0, mixing=0.1).ratio(np.array(100.0), np.array(20.0))
    assert float(ratio) == pytest.approx(1.85750, abs=1e-5)


def test_pairs_that_a_fixed_sample_needs() -> None:
    assert fixed_sample(sd=10.0, effect=1.0) == 785


def test_what_peeking_does_to_an_interval_of_a_fixed_sample() -> None:
    # Armitage, McPherson, Rowe (1969), as recomputed: a share of A/A runs of 20,000 that some look of k finds.
    known = {1: 0.049, 2: 0.084, 3: 0.106, 4: 0.126, 5: 0.142, 10: 0.192, 20: 0.250, 30: 0.279, 50: 0.319, 100: 0.371}
    steps = np.random.default_rng(5).standard_normal((20_000, 100))
    scores = np.abs(np.cumsum(steps, axis=1)) / np.sqrt(np.arange(1, 101))
    for looks, share in known.items():
        assert float((scores[:, :looks].max(axis=1) > 1.959964).mean()) == pytest.approx(share, abs=0.01)


# --- A/A and planted effects ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mixing", [0.01, 0.1, 1.0])
def test_msprt_finds_nothing_where_nothing_is(nothing: Floats, mixing: float) -> None:
    found = Msprt(variance=1.0, mixing=mixing).p_values(nothing)[:, -1] <= ALPHA
    assert found.mean() <= false_positives_allowed(RUNS, alpha=ALPHA)


@pytest.mark.parametrize(
    ("mixing", "wrong", "power", "stopped"),
    [(0.01, 0.0275, 0.95, 847), (0.1, 0.036, 0.92, 900), (1.0, 0.028, 0.86, 1_077)],
)
def test_msprt_is_as_wrong_as_strong_and_as_quick_as_published(
    mixing: float, wrong: float, power: float, stopped: int
) -> None:
    # An effect of a tenth of the spread, 2,000 differences; who has not stopped by then counts as stopping there.
    steps = np.random.default_rng(12).standard_normal((RUNS, 2_000))
    bound = Msprt(variance=1.0, mixing=mixing)
    assert (bound.p_values(steps)[:, -1] <= ALPHA).mean() == pytest.approx(wrong, abs=0.012)
    found = bound.p_values(steps + 0.1) <= ALPHA
    assert found[:, -1].mean() == pytest.approx(power, abs=0.03)
    assert np.where(found[:, -1], found.argmax(axis=1) + 1, 2_000).mean() == pytest.approx(stopped, rel=0.04)


def test_an_interval_that_is_looked_at_after_each_difference_finds_something_in_half_the_streams() -> None:
    steps = np.random.default_rng(12).standard_normal((RUNS, 2_000))
    scores = np.abs(np.cumsum(steps, axis=1)) / np.sqrt(np.arange(1, 2_001))
    assert (scores[:, 19:] > 1.959964).any(axis=1).mean() == pytest.approx(0.465, abs=0.03)


def test_coins_of_live_parents_find_nothing_where_nothing_is() -> None:
    # Skewed costs that drift, arms of unequal shares, a look after each parent.
    rng, stopped = np.random.default_rng(16), 0
    for _ in range(RUNS):
        costs = rng.standard_exponential(300) + np.linspace(0.0, 1.0, 300)
        chance = np.full(300, rng.choice([0.3, 0.5, 0.7]))
        looks = by_design(costs, rng.random(300) < chance, chance)[1]
        stopped += looks is not None and looks.stopped_at() is not None
    assert stopped / RUNS <= false_positives_allowed(RUNS, alpha=ALPHA)


def test_blocks_of_parents_that_overlap_find_nothing_where_nothing_is() -> None:
    # The sequence of a replay: a look after each block of four deadlines; p-values of one look are uniform.
    rng, stopped, p_values = np.random.default_rng(17), 0, []
    for run in range(RUNS):
        start, gap = overlapping(rng, parents=400, span=32_000, deadline=100)
        means, _ = block_means(gap, start // 400)
        stopped += asymptotic(means, alpha=ALPHA, tightest_at=len(means)).stopped_at() is not None
        if run % 10 == 0:
            found = difference(ours=gap, theirs=np.zeros(400), block=block_of(start, deadline_ns=100), rng=rng)
            p_values.append(found.p_value)
    assert stopped / RUNS <= false_positives_allowed(RUNS, alpha=ALPHA)
    assert uniform(np.array(p_values)) > 0.01


def test_the_other_sequences_find_nothing_where_nothing_is(nothing: Floats) -> None:
    times = np.arange(1, LOOKS + 1, dtype=np.float64)
    totals = np.abs(np.cumsum(nothing, axis=1))
    allowed = false_positives_allowed(RUNS, alpha=ALPHA)
    mixture = MixtureBound.tightest_at(300.0, alpha=ALPHA).at(times)
    assert (totals > mixture).any(axis=1).mean() <= allowed
    assert (totals[:, 1:] > stitched(times[1:], alpha=ALPHA)).any(axis=1).mean() <= allowed
    one_sided = np.array([polynomial_stitched(time, alpha=ALPHA / 2, from_time=1.0) for time in times])
    assert (totals > one_sided).any(axis=1).mean() <= allowed
    stopped = [asymptotic(run, alpha=ALPHA, tightest_at=300).stopped_at() is not None for run in nothing]
    assert np.mean(stopped) <= allowed


def test_betting_finds_nothing_where_nothing_is_and_something_where_it_is() -> None:
    rng = np.random.default_rng(13)
    shares = rng.beta(2.0, 5.0, (RUNS, 500))
    ruined = (capital(shares, 2.0 / 7.0, alpha=ALPHA) >= 1.0 / ALPHA).any(axis=1)
    assert ruined.mean() <= false_positives_allowed(RUNS, alpha=ALPHA)
    assert (capital(shares, 0.4, alpha=ALPHA)[:, -1] >= 1.0 / ALPHA).mean() > 0.99
    values = rng.beta(2.0, 5.0, 2_000)
    found = betting(values, low=0.0, high=1.0)
    assert found.low[-1] > 0.25
    assert found.high[-1] < 0.32
    assert (np.diff(found.low) >= 0.0).all()
    assert (np.diff(found.high) <= 0.0).all()


def test_betting_speaks_the_units_of_the_values() -> None:
    shares = np.random.default_rng(14).random(300)
    plain, costs = betting(shares, low=0.0, high=1.0), betting(200.0 * shares - 100.0, low=-100.0, high=100.0)
    assert costs.low.tolist() == pytest.approx((200.0 * plain.low - 100.0).tolist())
    # Of one value the sequence is what its capital leaves.
    out = float(plain.low[-1]) - 0.002
    assert (capital(shares, out) >= 1.0 / ALPHA).any()
    assert not (capital(shares, out + 0.004) >= 1.0 / ALPHA).any()
    mirrored = betting(1.0 - shares, low=0.0, high=1.0)
    assert mirrored.low.tolist() == pytest.approx((1.0 - plain.high).tolist(), abs=2e-3)


def test_a_sequence_holds_what_a_p_value_says() -> None:
    looks = asymptotic(np.random.default_rng(15).standard_normal(3_000) + 0.1, alpha=ALPHA, tightest_at=785)
    stopped = looks.stopped_at()
    assert stopped is not None
    assert LOOKS_FROM <= stopped < 3_000
    assert looks.p_value[stopped - 1] <= ALPHA < looks.p_value[stopped - 2]
    assert np.isinf(looks.low[: LOOKS_FROM - 1]).all()


def test_differences_that_never_differ_are_known() -> None:
    none = asymptotic(np.zeros(100), alpha=ALPHA, tightest_at=50)
    assert (none.low[-1], none.high[-1], none.p_value[-1]) == (0.0, 0.0, 1.0)
    assert none.stopped_at() is None
    assert asymptotic(np.ones(100), alpha=ALPHA, tightest_at=50).stopped_at() == LOOKS_FROM


def test_several_hypotheses_by_their_e_values() -> None:
    # At 5 % of four: the best needs 80, two 40 each, three 26.7, all 20.
    assert discoveries(np.array([45.0, 1.0, 41.0, 0.0])).tolist() == [True, False, True, False]
    assert discoveries(np.array([79.0, 39.0, 26.0, 19.0])).tolist() == [False] * 4
    assert discoveries(np.array([20.0, 20.0, 20.0, 20.0])).tolist() == [True] * 4


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: MixtureBound.tightest_at(0.0, alpha=ALPHA),
        lambda: MixtureBound.tightest_at(1.0, alpha=1.0),
        lambda: asymptotic(np.array([1.0, np.nan]), alpha=ALPHA, tightest_at=5),
        lambda: asymptotic(np.ones(5), alpha=ALPHA, tightest_at=0),
        lambda: fixed_sample(sd=1.0, effect=0.0),
        lambda: betting(np.array([0.5, 1.5]), low=0.0, high=1.0),
        lambda: cut(np.ones(3), low=1.0, high=1.0),
        lambda: discoveries(np.array([-1.0])),
    ],
)
def test_what_means_nothing_is_refused(wrong: object) -> None:
    assert callable(wrong)
    with pytest.raises(CallerError, match="nothing was computed"):
        wrong()
