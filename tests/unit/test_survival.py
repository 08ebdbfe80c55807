"""Counting: the Freireich figures of methods 2.5, and small cases by hand."""

from math import sqrt

import numpy as np
import pytest

from sor.errors import CallerError
from sor.models.survival import aalen_johansen, by_stratum, censoring_curve, constant_rate, kaplan_meier

# Freireich et al. 1963, weeks of remission under 6-MP.
EVENTS = [6, 6, 6, 7, 10, 13, 16, 22, 23]
CENSORED = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
WEEKS = np.array(EVENTS + CENSORED, np.float64)
RELAPSED = np.array([True] * len(EVENTS) + [False] * len(CENSORED))


def test_freireich_kaplan_meier() -> None:
    curve = kaplan_meier(WEEKS, RELAPSED)
    assert curve.times_s.tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert curve.at_risk.tolist() == [21, 17, 15, 12, 11, 7, 6]
    assert curve.ended.tolist() == [3, 1, 1, 1, 1, 1, 1]
    assert curve.survival == pytest.approx([0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482], abs=5e-5)


def test_freireich_greenwood() -> None:
    curve = kaplan_meier(WEEKS, RELAPSED)
    # (18/21)^2 x 3 / (21 x 18) = 0.0058309, and 1 / (17 x 16) more in the sum.
    assert curve.variance[0] == pytest.approx(0.0058309, abs=5e-8)
    assert curve.variance[1] == pytest.approx((18 / 21 * 16 / 17) ** 2 * (3 / 378 + 1 / 272))


def test_freireich_rate() -> None:
    rate = constant_rate(WEEKS, RELAPSED)
    assert rate.ends == 9
    assert rate.per_s == pytest.approx(9 / 359)
    assert rate.per_s == pytest.approx(0.02507, abs=5e-6)
    assert rate.error_per_s == pytest.approx(3 / 359)


def test_a_curve_steps_at_its_times() -> None:
    curve = kaplan_meier(WEEKS, RELAPSED)
    assert curve.at(np.array([0.0, 5.9, 6.0, 40.0])) == pytest.approx([1.0, 1.0, 18 / 21, curve.survival[-1]])
    assert curve.before(np.array([6.0, 6.1])) == pytest.approx([1.0, 18 / 21])


def test_without_censoring_survival_is_the_share_that_is_left() -> None:
    times = np.array([3.0, 1.0, 2.0, 2.0])
    curve = kaplan_meier(times, np.ones(4, bool))
    assert curve.survival.tolist() == [0.75, 0.25, 0.0]
    assert curve.variance == pytest.approx([0.75 * 0.25 / 4, 0.25 * 0.75 / 4, 0.0])


def test_censoring_is_counted_after_ends_at_the_same_time() -> None:
    # At 6: 3 relapse, 1 of the 18 that are left is censored. At 10: 1 relapses, 1 of 14 is censored.
    curve = censoring_curve(WEEKS, RELAPSED)
    assert curve.times_s.tolist() == [6, 9, 10, 11, 17, 19, 20, 25, 32, 34, 35]
    assert curve.at_risk.tolist() == [18, 16, 14, 13, 10, 9, 8, 5, 4, 2, 1]
    assert curve.survival[:3] == pytest.approx([17 / 18, 17 / 18 * 15 / 16, 17 / 18 * 15 / 16 * 13 / 14])
    assert curve.survival[-1] == 0.0


def test_two_causes_by_hand() -> None:
    # 1: fill of 5. 2: moved away of 4. 3: censored. 4: fill of 2. 5: moved away of 1.
    found = aalen_johansen(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([1, 2, 0, 1, 2]))
    assert found.times_s.tolist() == [1, 2, 4, 5]
    assert found.survival == pytest.approx([0.8, 0.6, 0.3, 0.0])
    assert found.incidence[:, 0] == pytest.approx([0.2, 0.2, 0.5, 0.5])
    assert found.incidence[:, 1] == pytest.approx([0.0, 0.2, 0.2, 0.5])
    assert found.at(np.array([0.5, 1.0, 4.5]), cause=1) == pytest.approx([0.0, 0.2, 0.5])
    assert found.resting(np.array([0.5, 4.0])) == pytest.approx([1.0, 0.3])


def test_the_variance_of_an_incidence_without_censoring_is_binomial() -> None:
    rng = np.random.default_rng(3)
    causes = rng.integers(1, 3, 400)
    found = aalen_johansen(rng.exponential(size=400), causes)
    share = found.incidence
    assert found.variance == pytest.approx(share * (1 - share) / 400, abs=1e-12)
    assert sqrt(found.variance[-1, 0]) == pytest.approx(0.025, abs=1e-3)


def test_the_variance_of_an_incidence_is_what_it_is_over_many_samples() -> None:
    rng = np.random.default_rng(4)
    at, seen, claimed = np.array([1.0]), [], []
    for _ in range(400):
        fills, moves, stops = rng.exponential([1.0, 2.0, 1.5], (100, 3)).T
        ends = np.minimum(np.minimum(fills, moves), stops)
        found = aalen_johansen(ends, np.select([ends == fills, ends == moves], [1, 2], 0))
        seen.append(found.at(at, cause=1)[0])
        claimed.append(found.variance[np.searchsorted(found.times_s, 1.0, side="right") - 1, 0])
    # A third of a half each second: 2/3 (1 - e^-1.5). The sample variance of 400 has an error of 7 %.
    assert np.mean(seen) == pytest.approx(2 / 3 * (1 - np.exp(-1.5)), abs=0.01)
    assert np.var(seen) == pytest.approx(np.mean(claimed), rel=0.2)


def test_strata_are_counted_apart() -> None:
    durations, causes = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 2, 1, 0])
    found = by_stratum(durations, causes, np.array([7, 7, 3, 3]))
    assert list(found) == [3, 7]
    assert found[3].incidence[:, 0].tolist() == [0.5]
    assert found[7].incidence[-1].tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("durations", "causes"),
    [
        ([], []),
        ([1.0], [1, 0]),
        ([-1.0], [1]),
        ([float("nan")], [1]),
        ([float("inf")], [0]),
        ([1.0], [3]),
        ([1.0], [-1]),
    ],
)
def test_senseless_samples_are_refused(durations: list[float], causes: list[int]) -> None:
    with pytest.raises(CallerError, match="nothing was computed"):
        aalen_johansen(np.array(durations), np.array(causes, np.int64))


def test_no_time_at_risk_is_no_rate() -> None:
    with pytest.raises(CallerError, match="watched for no time"):
        constant_rate(np.zeros(2), np.array([True, False]))
