"""Adjustment, switchbacks, off-policy estimates and guards: published values and what must hold exactly."""

import numpy as np
import pytest
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.lab.ab.adjust import CLUSTERS_MIN, adjusted, effect
from sor.lab.ab.guards import sample_ratio, tail, uniform
from sor.lab.ab.offpolicy import Logged, dr, estimates, ips, logged, shrunk, snips, weights
from sor.lab.ab.switchback import Estimator, Switchback

Floats = NDArray[np.float64]


def seeded(seed: int = 3) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_period_without_an_outcome_is_passed_over() -> None:
    design = Switchback.every(1, 6, lag=0)
    arms = np.array([[1, 0, 1, 0, 1, 0]], np.int8)
    outcomes = np.array([3.0, 1.0, np.nan, 2.0, 5.0, np.nan])
    assert design.estimate(outcomes, arms)[0] == pytest.approx(4.0 - 1.5)


# --- CUPED ------------------------------------------------------------------------------------------------------------


def test_a_forecast_with_a_correlation_of_seven_tenths_halves_the_variance() -> None:
    rng = seeded()
    known = rng.standard_normal(100_000)
    outcome = 0.7 * known + np.sqrt(0.51) * rng.standard_normal(100_000)
    rest = adjusted(outcome, known)
    assert rest.var() / outcome.var() == pytest.approx(0.51, abs=0.02)
    assert rest.mean() == pytest.approx(outcome.mean())


def clustered(
    rng: np.random.Generator, *, blocks: int, each: int
) -> tuple[Floats, NDArray[np.bool_], Floats, NDArray[np.int64]]:
    block = np.repeat(np.arange(blocks), each)
    shock = rng.standard_normal(blocks)[block]
    known = rng.standard_normal(len(block))
    treated = np.repeat(rng.permutation(blocks) % 2 == 0, each)
    return 1.5 * treated + known + shock + 0.5 * rng.standard_normal(len(block)), treated, known, block


def test_an_effect_with_blocks_that_share_their_market() -> None:
    rng = seeded(4)
    seen = []
    for _ in range(200):
        outcome, treated, known, block = clustered(rng, blocks=40, each=10)
        found = effect(outcome, treated, known, block)
        seen.append((found.mean, abs(found.mean - 1.5) <= 2.02 * found.error))
    means, covered = np.array(seen).T
    assert means.mean() == pytest.approx(1.5, abs=0.1)
    # Taken one by one the parents would cover 40 %.
    assert 0.90 <= covered.mean() <= 0.99


def test_clustered_errors_are_those_of_statsmodels() -> None:
    api = pytest.importorskip("statsmodels.api", reason="statsmodels is not installed (extra peers)")
    outcome, treated, known, block = clustered(seeded(5), blocks=20, each=7)
    centred = known - known.mean()
    design = np.column_stack([np.ones(len(known)), treated, centred, centred * treated])
    theirs = api.OLS(outcome, design).fit(cov_type="cluster", cov_kwds={"groups": block})
    ours = effect(outcome, treated, known, block)
    assert ours.mean == pytest.approx(float(theirs.params[1]), rel=1e-9)
    assert ours.error == pytest.approx(float(theirs.bse[1]), rel=1e-9)
    assert ours.clusters == 20


# --- switchback -------------------------------------------------------------------------------------------------------


def test_the_points_of_the_optimal_design() -> None:
    assert Switchback.optimal(12, lag=2).points.tolist() == [1, 5, 7, 9]
    assert Switchback.optimal(4, lag=1).points.tolist() == [1, 3]
    assert Switchback.optimal(3, lag=0).points.tolist() == [1, 2, 3]


def test_the_spread_of_both_estimators_by_design() -> None:
    rng, periods, lag, draws = seeded(6), 120, 2, 8_000
    spread = {}
    for name, design in (
        ("optimal", Switchback.optimal(periods, lag=lag)),
        ("every m", Switchback.every(lag, periods, lag=lag)),
        ("every 2m", Switchback.every(2 * lag, periods, lag=lag)),
        ("each", Switchback.every(1, periods, lag=lag)),
    ):
        arms = design.assign(rng, draws)
        before = np.pad(arms.astype(np.float64), ((0, 0), (lag, 0)))
        level = np.log(np.arange(1, periods + 1))
        noise = rng.standard_normal((draws, periods))
        outcome = level + before[:, 2:] + before[:, 1:-1] + before[:, :-2] + noise
        for by in Estimator:
            found = design.estimate(outcome, arms, by=by)
            assert np.nanmean(found) == pytest.approx(3.0, abs=5 * np.nanstd(found) / np.sqrt(draws))
            spread[name, by] = float(np.nanstd(found))
    plain, own = Estimator.HORVITZ_THOMPSON, Estimator.HAJEK
    for name, sd in (("optimal", 2.84), ("every m", 2.87), ("every 2m", 3.00), ("each", 3.24)):
        assert spread[name, plain] == pytest.approx(sd, rel=0.04)
    for name, sd in (("optimal", 0.505), ("every m", 0.515), ("each", 0.626)):
        assert spread[name, own] == pytest.approx(sd, rel=0.04)
    assert spread["optimal", plain] < spread["every 2m", plain] < spread["each", plain]


def test_a_level_is_in_the_spread_of_one_estimator_and_not_of_the_other() -> None:
    rng, periods, lag, draws = seeded(12), 120, 2, 8_000
    for design, plain, own in (
        (Switchback.optimal(periods, lag=lag), 5.93, 0.274),
        (Switchback.every(1, periods, lag=lag), 6.73, 0.400),
    ):
        arms = design.assign(rng, draws)
        before = np.pad(arms.astype(np.float64), ((0, 0), (lag, 0)))
        outcome = 10.0 + before[:, 2:] + before[:, 1:-1] + before[:, :-2] + rng.standard_normal((draws, periods))
        for by, sd in ((Estimator.HORVITZ_THOMPSON, plain), (Estimator.HAJEK, own)):
            found = design.estimate(outcome, arms, by=by)
            assert np.nanmean(found) == pytest.approx(3.0, abs=5 * np.nanstd(found) / np.sqrt(draws))
            assert np.nanstd(found) == pytest.approx(sd, rel=0.04)


def test_the_exact_test_is_uniform_without_an_effect_and_finds_one() -> None:
    rng, design = seeded(7), Switchback.optimal(60, lag=2)
    level = np.sin(np.arange(60) / 5.0)
    p_values = []
    for _ in range(100):
        arms = design.assign(rng)[0]
        p_values.append(design.p_value(level + rng.standard_normal(60), arms, rng, draws=199))
    assert uniform(np.array(p_values)) > 0.01
    arms = design.assign(rng)[0]
    assert design.p_value(level + 3.0 * arms, arms, rng) < 0.01


def test_estimates_by_hand() -> None:
    # Four periods, a coin each, no lag: the plain means, weighted by 2.
    design = Switchback.every(1, 4, lag=0)
    outcome, arms = np.array([4.0, 1.0, 6.0, 2.0]), np.array([[1, 0, 1, 0]], np.int8)
    assert design.estimate(outcome, arms).tolist() == [3.5]
    assert design.estimate(outcome, arms, by=Estimator.HORVITZ_THOMPSON).tolist() == [3.5]
    # With a lag of one only periods 3 and 4 had one arm for two periods, at chances of 1/4 and 1/2.
    lagged = Switchback(points=np.array([1, 2, 3]), lag=1, periods=4)
    arms = np.array([[0, 1, 1, 1]], np.int8)
    seen = lagged.estimate(np.array([0.0, 0.0, 6.0, 2.0]), arms, by=Estimator.HORVITZ_THOMPSON)
    assert seen.tolist() == [pytest.approx((6.0 * 4.0 + 2.0 * 2.0) / 3.0)]
    assert np.isnan(lagged.estimate(np.ones(4), arms)).all()  # arm 0 never stood for two


# --- off-policy -------------------------------------------------------------------------------------------------------


def log_of(rng: np.random.Generator, *, count: int = 4_000, wrong: str = "") -> tuple[Logged, float]:
    """Three actions with costs that depend on x, logged by one policy and judged for another."""
    x = rng.standard_normal(count)
    costs = np.stack([1.0 + x, 2.0 - x, np.full(count, 0.5)], axis=1)
    by = np.exp(np.stack([0.5 * x, -0.5 * x, np.zeros(count)], axis=1))
    by /= by.sum(axis=1, keepdims=True)
    judged = np.stack([np.full(count, 0.5), np.full(count, 0.2), np.full(count, 0.3)], axis=1)
    done = (rng.random((count, 1)) > np.cumsum(by, axis=1)).sum(axis=1)
    row = np.arange(count)
    reward = costs[row, done] + 0.3 * rng.standard_normal(count)
    forecast = np.zeros_like(costs) + 5.0 if wrong == "forecast" else costs
    chance = np.full_like(by, 1.0 / 3.0) if wrong == "propensity" else by
    log = logged(
        reward=reward,
        chance=judged[row, done],
        propensity=chance[row, done],
        parent=row // 2,
        forecast=forecast[row, done],
        expected=(judged * forecast).sum(axis=1),
    )
    return log, float((judged * costs).sum(axis=1).mean())


def test_a_policy_that_judges_itself_gets_the_mean() -> None:
    rng = seeded(8)
    reward, chance = rng.standard_normal(500), 0.1 + 0.9 * rng.random(500)
    log = logged(reward=reward, chance=chance, propensity=chance, parent=np.arange(500))
    assert ips(log) == pytest.approx(reward.mean(), abs=1e-12)
    assert snips(log) == pytest.approx(reward.mean(), abs=1e-12)
    assert dr(log) == pytest.approx(reward.mean(), abs=1e-12)
    assert weights(log).effective == pytest.approx(500.0)


@pytest.mark.parametrize("wrong", ["", "forecast", "propensity"])
def test_doubly_robust_is_right_when_either_half_is(wrong: str) -> None:
    gaps, plain = [], []
    for seed in range(60):
        log, truth = log_of(seeded(seed), wrong=wrong)
        gaps.append(dr(log) - truth)
        plain.append(ips(log) - truth)
    assert abs(np.mean(gaps)) < 3.0 * np.std(gaps) / np.sqrt(60) + 1e-3
    if wrong == "propensity":
        assert abs(np.mean(plain)) > 0.1


def test_weights_add_up_to_one_but_for_chance() -> None:
    found = weights(log_of(seeded(9))[0])
    assert abs(found.mean - 1.0) < 3.0 * found.error
    assert found.refusal == ""


def test_an_interval_holds_the_truth() -> None:
    log, truth = log_of(seeded(10))
    for name, found in estimates(log, seeded(11), draws=500).items():
        assert found.low < truth < found.high, name
    narrow, wide = (estimates(log, seeded(11), draws=500)[name] for name in ("dr", "ips"))
    assert narrow.high - narrow.low < wide.high - wide.low


def test_a_shrunk_weight_is_smaller_the_larger_it_was() -> None:
    log = logged(reward=np.ones(3), chance=np.array([0.1, 0.5, 1.0]), propensity=np.full(3, 0.1), parent=np.arange(3))
    assert shrunk(log, level=1e12).weight.tolist() == pytest.approx([1.0, 5.0, 10.0])
    assert shrunk(log, level=10.0).weight.tolist() == pytest.approx([10 / 11, 50 / 35, 100 / 110])


def test_policies_that_never_agree_are_not_compared() -> None:
    chance = np.where(np.arange(100) == 0, 1.0, 0.001)
    log = logged(reward=np.ones(100), chance=chance, propensity=np.full(100, 0.05), parent=np.arange(100))
    assert "hardly ever agree" in weights(log).refusal
    with pytest.raises(CallerError, match="Explore more evenly"):
        estimates(log, seeded())


# --- guards -----------------------------------------------------------------------------------------------------------


def test_a_lopsided_split_stops_a_comparison() -> None:
    even = {"a": 0.5, "b": 0.5}
    assert sample_ratio({"a": 520, "b": 480}, even).holds
    broken = sample_ratio({"a": 600, "b": 400}, even)
    assert not broken.holds
    assert broken.says.startswith("a 600 of 500 expected, b 400 of 500 expected (p = ")
    assert sample_ratio({"a": 900, "b": 100}, {"a": 0.9, "b": 0.1}).holds
    assert sample_ratio({"a": 0, "b": 0}, even).holds


def test_a_winner_with_a_worse_tail_is_stopped() -> None:
    calm, wild = seeded().uniform(0.0, 4.0, 400), seeded().uniform(-4.0, 6.0, 400)
    assert tail(calm, wild, winner="a", margin_bps=0.0).holds
    assert not tail(wild, calm, winner="b", margin_bps=1.0).holds
    assert tail(wild, calm, winner="b", margin_bps=2.0).holds


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: adjusted(np.ones(3), np.ones(2)),
        lambda: adjusted(np.array([1.0, np.inf]), np.ones(2)),
        lambda: effect(np.ones(40), np.ones(40, np.bool_), np.ones(40), np.arange(40)),
        lambda: effect(np.ones(40), np.arange(40) < 20, np.ones(40), np.arange(40) % (CLUSTERS_MIN - 1)),
        lambda: Switchback.optimal(12, lag=5),
        lambda: Switchback.every(0, 12, lag=0),
        lambda: logged(reward=np.ones(2), chance=np.ones(2), propensity=np.array([1.0, 0.0]), parent=np.arange(2)),
        lambda: logged(reward=np.ones(2), chance=np.full(2, 1.1), propensity=np.ones(2), parent=np.arange(2)),
        lambda: shrunk(log_of(seeded())[0], level=0.0),
        lambda: sample_ratio({"a": 1}, {"a": 0.5}),
        lambda: uniform(np.array([1.5])),
    ],
)
def test_what_means_nothing_is_refused(wrong: object) -> None:
    assert callable(wrong)
    with pytest.raises(CallerError, match=r"nothing was (computed|assigned)"):
        wrong()
