"""Scores: by hand, proper on what is known, and blind to what was censored away."""

import msgspec
import numpy as np
import pytest

from sor.errors import CallerError
from sor.lab.bootstrap import difference
from sor.lab.fitting import fit_hazard, person_periods
from sor.lab.lifetimes import Family, fit_lifetime
from sor.lab.scores import (
    Forecast,
    brier_scores,
    censoring_weights,
    counted_forecast,
    d_calibration,
    fills_only,
    hazard_forecast,
    log_scores,
    reliability,
    survival_forecast,
    time_scores,
)
from sor.models.fill_hazard import EDGES_S, FillHazard
from sor.models.survival import Flags, Floats, aalen_johansen, kaplan_meier
from tests.fakes.fills import NAMES, drawn_fills, planted

GRID = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)


def halves(samples: int) -> Forecast:
    """Bins of 1 s and 3 s, half of what is left ends in each, two thirds of that by a fill."""
    resting, filled = np.array([1.0, 0.5, 0.25]), np.array([0.0, 1 / 3, 0.5])
    return Forecast(
        edges_s=np.array([0.0, 1.0, 4.0]), resting=np.tile(resting, (samples, 1)), filled=np.tile(filled, (samples, 1))
    )


class Weibulls:
    """T = exp(1 + 0.8 x) E^0.7 for each sample, watched for an exponential time of its own."""

    def __init__(self, count: int, seed: int, *, watched_s: float = 12.0) -> None:
        rng = np.random.default_rng(seed)
        self.covariates = rng.normal(size=(count, 1))
        self.scale = np.exp(1.0 + 0.8 * self.covariates[:, 0])
        self.fills: Floats = self.scale * rng.exponential(size=count) ** 0.7
        stops = rng.exponential(watched_s, count)
        self.durations: Floats = np.minimum(self.fills, stops)
        self.ended: Flags = self.fills <= stops
        self.causes = self.ended.astype(np.int64)

    def survival(self, times_s: Floats, *, shape: float = 1 / 0.7, scale: float = 1.0) -> Floats:
        """True survival at (N,) or (T,) times, or one with other parameters."""
        per = self.scale[:, None] if times_s.shape != self.scale.shape else self.scale
        survival: Floats = np.exp(-((times_s / (scale * per)) ** shape))
        return survival


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_log_scores_by_hand() -> None:
    # Filled in either bin, moved away in the first, censored within the second, after the last edge.
    scores = log_scores(halves(5), np.array([0.3, 4.0, 1.0, 2.5, 9.0]), np.array([1, 1, 2, 0, 1]))
    assert np.exp(scores) == pytest.approx([1 / 3, 1 / 6, 1 / 6, 0.5**1.5, 0.25])


def test_a_forecast_that_rules_out_what_happened_is_charged_and_not_infinitely() -> None:
    never = survival_forecast(np.array([[1.0, 1.0, 0.5]]), edges_s=(0.0, 1.0, 2.0))
    assert log_scores(never, np.array([0.5]), np.array([1])) == pytest.approx([-27.63], abs=0.01)


def test_between_edges_the_share_of_fills_is_that_of_the_bin() -> None:
    forecast = halves(2)
    assert forecast.at(0.5) == pytest.approx([(1 - 0.5**0.5) * 2 / 3] * 2)
    assert forecast.at(4.0) == pytest.approx([0.5] * 2)
    assert forecast.at(99.0) == pytest.approx([0.5] * 2)
    assert forecast.resting_at(np.array([0.0, 2.5])) == pytest.approx([1.0, 0.5**1.5])


def test_brier_scores_by_hand() -> None:
    # Of four, one is censored at 2 with three at risk of it: what ends later, or lasts, weighs 3/2.
    durations, causes = np.array([1.0, 2.0, 3.0, 5.0]), np.array([1, 0, 2, 1])
    assert censoring_weights(durations, causes, horizon_s=4.0) == pytest.approx([1.0, 0.0, 1.5, 1.5])
    # At one time ends come first: what ended at 2 was watched for certain.
    tied = censoring_weights(np.array([2.0, 2.0, 3.0, 5.0]), causes=np.array([1, 0, 2, 1]), horizon_s=4.0)
    assert tied == pytest.approx([1.0, 0.0, 1.5, 1.5])
    assert brier_scores(halves(4), durations, causes, horizon_s=4.0) == pytest.approx([0.25, 0.0, 0.375, 0.375])
    assert brier_scores(halves(4), durations, causes, horizon_s=1.0) == pytest.approx([4 / 9, 1 / 9, 1 / 9, 1 / 9])


def test_who_was_watched_until_the_very_horizon_has_lasted() -> None:
    # All are watched for 4 s: nothing is censored before, so nothing is weighted.
    durations, causes = np.array([1.0, 4.0, 4.0, 4.0]), np.array([1, 0, 0, 1])
    assert censoring_weights(durations, causes, horizon_s=4.0).tolist() == [1.0, 1.0, 1.0, 1.0]
    assert brier_scores(halves(4), durations, causes, horizon_s=4.0) == pytest.approx([0.25] * 4)
    # And where all have ended, every later horizon is known.
    assert censoring_weights(durations, np.ones(4, np.int64), horizon_s=9.0).tolist() == [1.0] * 4


def test_d_calibration_by_hand() -> None:
    # S(T) of 0.5 and 0.25 and one censored at 0.5, which is spread over [0, 0.5]: two halves.
    found = d_calibration(halves(3), np.array([1.0, 4.0, 1.0]), np.array([1, 1, 0]), bins=2)
    assert found.shares == pytest.approx([2 / 3, 1 / 3])
    assert found.statistic == pytest.approx(2 * 0.5**2 / 1.5)
    # At S(T) = 0.875 of four bins, the last holds (0.875 - 0.75) / 0.875 of it, the others 0.25 / 0.875 each.
    one = survival_forecast(np.array([[1.0, 0.875]]), edges_s=(0.0, 1.0))
    assert d_calibration(one, np.array([1.0]), np.array([0]), bins=4).shares == pytest.approx(
        [2 / 7, 2 / 7, 2 / 7, 1 / 7]
    )


# --- forecasts --------------------------------------------------------------------------------------------------------


def test_a_forecast_is_the_model_that_routes() -> None:
    covariates = np.random.default_rng(1).normal(size=(20, 3))
    model = planted()
    alone, both = hazard_forecast(model, covariates), hazard_forecast(model, covariates, both_causes=True)
    for at_s in (0.1, 1.0, 7.3, 200.0, 400.0):
        curves, exits = [model.curve(one) for one in covariates], [model.exits(one) for one in covariates]
        assert alone.at(at_s) == pytest.approx([curve.probability(at_s) for curve in curves])
        assert both.at(at_s) == pytest.approx([one.filled(at_s) for one in exits])
        assert both.resting_at(np.full(20, at_s)) == pytest.approx([one.survival(at_s) for one in exits])


def test_a_forecast_knows_what_fades() -> None:
    covariates = np.random.default_rng(2).normal(size=(20, 3))
    fill = msgspec.structs.replace(planted().fill, fades=(0.4, -0.3))
    model = FillHazard(edges_s=EDGES_S, names=NAMES, fill=fill, fading=("noise", "queue"))
    found = hazard_forecast(model, covariates)
    for at_s in (0.1, 1.0, 7.3, 200.0):
        assert found.at(at_s) == pytest.approx([model.curve(one).probability(at_s) for one in covariates])


def test_a_model_of_fills_alone_has_no_second_cause() -> None:
    model = planted()
    with pytest.raises(CallerError, match="fills alone"):
        hazard_forecast(type(model)(edges_s=EDGES_S, names=NAMES, fill=model.fill), np.zeros((1, 3)), both_causes=True)


# --- what scores are for ----------------------------------------------------------------------------------------------


def test_the_true_model_has_the_best_log_likelihood() -> None:
    drawn = Weibulls(20_000, 1)
    edges = np.array(GRID)
    block = np.arange(20_000) // 100
    rng = np.random.default_rng(2)
    truth = log_scores(survival_forecast(drawn.survival(edges), edges_s=GRID), drawn.durations, drawn.causes)
    wrong = {
        "counted": counted_forecast(kaplan_meier(drawn.durations, drawn.ended), edges_s=GRID, samples=20_000),
        "too slow": survival_forecast(drawn.survival(edges, scale=1.2), edges_s=GRID),
        "too fast": survival_forecast(drawn.survival(edges, scale=0.85), edges_s=GRID),
        "too steep": survival_forecast(drawn.survival(edges, shape=1.7), edges_s=GRID),
        "too flat": survival_forecast(drawn.survival(edges, shape=1.2), edges_s=GRID),
    }
    for name, forecast in wrong.items():
        found = difference(ours=truth, theirs=log_scores(forecast, drawn.durations, drawn.causes), block=block, rng=rng)
        assert found.low is not None
        assert found.low > 0, name


def test_the_true_model_has_the_best_likelihood_of_times() -> None:
    drawn = Weibulls(20_000, 3)
    fitted = {family: fit_lifetime(drawn.durations, drawn.ended, drawn.covariates, family=family) for family in Family}
    fresh = Weibulls(20_000, 4)
    means = {
        family: time_scores(
            log_density=model.log_density(fresh.durations, fresh.covariates),
            log_survival=model.log_survival(fresh.durations, fresh.covariates),
            ended=fresh.ended,
        ).mean()
        for family, model in fitted.items()
    }
    assert max(means, key=lambda family: means[family]) is Family.WEIBULL


def test_the_weighted_brier_score_is_that_without_censoring() -> None:
    drawn = Weibulls(40_000, 5)
    forecast = survival_forecast(drawn.survival(np.array(GRID)), edges_s=GRID)
    assert np.count_nonzero(~drawn.ended) > 8_000
    for horizon_s in (1.0, 4.0, 8.0):
        known = (forecast.at(horizon_s) - (drawn.fills <= horizon_s)) ** 2
        weighted = brier_scores(forecast, drawn.durations, drawn.causes, horizon_s=horizon_s)
        error = weighted.std() / np.sqrt(len(weighted))
        assert abs(weighted.mean() - known.mean()) < 3 * error
        # Leaving the censored out instead would not do.
        kept = (drawn.ended & (drawn.durations <= horizon_s)) | (drawn.durations > horizon_s)
        assert horizon_s < 4.0 or abs(known[kept].mean() - known.mean()) > 3 * error


def test_the_true_model_is_calibrated_and_a_slow_one_is_not() -> None:
    drawn = Weibulls(10_000, 6)
    # A grid on which straight log survival between edges is as good as the curve itself.
    edges_s = tuple(np.linspace(0.0, 40.0, 401).tolist())
    true, slow = (
        survival_forecast(drawn.survival(np.array(edges_s), scale=scale), edges_s=edges_s) for scale in (1.0, 1.3)
    )
    # Chi-square with 9 degrees of freedom, which censoring makes smaller: 27.9 is exceeded once in a thousand.
    assert d_calibration(true, drawn.durations, drawn.causes).statistic < 27.9
    assert d_calibration(slow, drawn.durations, drawn.causes).statistic > 100.0


def test_reliability_of_a_true_and_of_a_slow_model() -> None:
    drawn = Weibulls(20_000, 7)
    block, rng = np.arange(20_000) // 100, np.random.default_rng(8)
    covered = []
    for scale in (1.0, 1.5):
        forecast = survival_forecast(drawn.survival(np.array(GRID), scale=scale), edges_s=GRID)
        found = reliability(forecast, drawn.durations, drawn.causes, horizon_s=4.0, block=block, rng=rng)
        assert len(found) == 10
        assert [one.forecast for one in found] == sorted(one.forecast for one in found)
        inside = [
            one.observed.low <= one.forecast <= one.observed.high
            for one in found
            if one.observed.low is not None and one.observed.high is not None
        ]
        covered.append(sum(inside))
    assert covered[0] >= 8
    assert covered[1] <= 1


def test_a_fitted_hazard_beats_counting_on_fresh_samples_with_both_causes() -> None:
    rng = np.random.default_rng(9)
    model = planted()
    past, fresh = rng.normal(size=(4_000, 3)), rng.normal(size=(4_000, 3))
    durations, causes = drawn_fills(model, past, rng, watched_s=60.0)
    fitted = fit_hazard(person_periods(durations, causes, past), names=NAMES, both_causes=True).model
    counted = aalen_johansen(durations, causes)
    durations, causes = drawn_fills(model, fresh, rng, watched_s=60.0)
    block = np.arange(4_000) // 50
    ours = hazard_forecast(fitted, fresh, both_causes=True)
    theirs = counted_forecast(counted, edges_s=fitted.edges_s, samples=4_000)
    found = difference(
        ours=log_scores(ours, durations, causes), theirs=log_scores(theirs, durations, causes), block=block, rng=rng
    )
    assert found.low is not None
    assert found.low > 0.05
    true = log_scores(hazard_forecast(model, fresh, both_causes=True), durations, causes)
    assert true.mean() - log_scores(ours, durations, causes).mean() == pytest.approx(0.0, abs=0.005)
    for horizon_s in (1.0, 5.0, 15.0, 60.0):
        errors = [brier_scores(forecast, durations, causes, horizon_s=horizon_s).mean() for forecast in (ours, theirs)]
        assert errors[0] < errors[1]


def test_for_fills_alone_the_rest_is_censored() -> None:
    assert fills_only(np.array([0, 1, 2, 1])).tolist() == [0, 1, 0, 1]


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_horizon_that_nobody_was_watched_for_is_refused() -> None:
    with pytest.raises(CallerError, match="no sample is watched for"):
        brier_scores(halves(2), np.array([1.0, 2.0]), np.array([1, 0]), horizon_s=3.0)


def test_unequal_samples_are_refused() -> None:
    with pytest.raises(CallerError, match="forecasts of 2 samples"):
        log_scores(halves(2), np.array([1.0]), np.array([1]))
