"""Our estimators beside lifelines' and statsmodels': equal to rounding where the estimator is the same.

Needs the extra `peers`, which CI installs.
"""

import msgspec
import numpy as np
import pytest

from sor.lab.fitting import fit_hazard, person_periods
from sor.lab.lifetimes import Family, fit_lifetime
from sor.lab.scores import brier_scores, survival_forecast
from sor.models.survival import FILLED, MOVED_AWAY, Floats, Ints, aalen_johansen, censoring_curve, kaplan_meier

lifelines = pytest.importorskip("lifelines", reason="needs the extra `peers`")
survfunc = pytest.importorskip("statsmodels.duration.survfunc", reason="needs the extra `peers`")
linear = pytest.importorskip("statsmodels.genmod.api", reason="needs the extra `peers`")
pandas = pytest.importorskip("pandas", reason="needs the extra `peers`")


def sample(seed: int, *, tied: bool) -> tuple[Floats, Ints]:
    """500 durations, in steps of 0.1 s where they are tied, with two causes and censoring."""
    rng = np.random.default_rng(seed)
    fills, moves, stops = rng.exponential([5.0, 9.0, 12.0], (500, 3)).T + 0.1
    if tied:
        fills, moves, stops = (np.round(times, 1) for times in (fills, moves, stops))
    durations = np.minimum(np.minimum(fills, moves), stops)
    return durations, np.select([stops == durations, fills == durations], [0, FILLED], MOVED_AWAY)


def test_kaplan_meier_and_its_variance() -> None:
    durations, causes = sample(1, tied=True)
    ours = kaplan_meier(durations, causes == FILLED)
    theirs = survfunc.SurvfuncRight(durations, (causes == FILLED).astype(int))
    assert ours.times_s.tolist() == theirs.surv_times.tolist()
    assert ours.survival == pytest.approx(theirs.surv_prob, abs=1e-12)
    left = ours.survival > 0.0  # where nobody is left, theirs is not a number
    assert ours.variance[left] == pytest.approx(theirs.surv_prob_se[left] ** 2, abs=1e-12)
    assert not ours.variance[~left].any()
    other = lifelines.KaplanMeierFitter().fit(durations, causes == FILLED)
    assert ours.survival == pytest.approx(other.survival_function_at_times(ours.times_s).to_numpy(), abs=1e-12)


def test_the_curve_of_censoring() -> None:
    durations, causes = sample(2, tied=False)  # the peers count ends and censorings at one time otherwise
    ours = censoring_curve(durations, causes > 0)
    theirs = survfunc.SurvfuncRight(durations, (causes == 0).astype(int))
    assert ours.survival == pytest.approx(theirs.surv_prob, abs=1e-12)


def test_cumulative_incidences_and_their_variance() -> None:
    durations, causes = sample(3, tied=True)
    ours = aalen_johansen(durations, causes)
    theirs = survfunc.CumIncidenceRight(durations, causes)
    stepped = np.isin(theirs.times, ours.times_s)
    for cause in (FILLED, MOVED_AWAY):
        assert ours.at(theirs.times, cause=cause) == pytest.approx(theirs.cinc[cause - 1], abs=1e-12)
        error = theirs.cinc_se[cause - 1][stepped]
        known = np.isfinite(error)
        assert known.sum() > 60
        assert ours.variance[known, cause - 1] == pytest.approx(error[known] ** 2, abs=1e-12)


def test_cumulative_incidences_of_lifelines() -> None:
    durations, causes = sample(4, tied=False)
    ours = aalen_johansen(durations, causes)
    for cause in (FILLED, MOVED_AWAY):
        theirs = lifelines.AalenJohansenFitter(calculate_variance=True).fit(durations, causes, event_of_interest=cause)
        incidence = theirs.cumulative_density_.iloc[:, 0].reindex(ours.times_s).to_numpy()
        assert ours.incidence[:, cause - 1] == pytest.approx(incidence, abs=1e-12)
        variance = theirs.variance_.reindex(ours.times_s).to_numpy()
        known = np.isfinite(variance)
        assert ours.variance[known, cause - 1] == pytest.approx(variance[known], abs=1e-12)


def test_the_weights_of_a_brier_score() -> None:
    rng = np.random.default_rng(5)
    fills, stops = rng.exponential([5.0, 8.0], (500, 2)).T
    durations, ended = np.minimum(fills, stops), fills <= stops
    chance = rng.uniform(size=(500, 1))
    forecast = survival_forecast(np.concatenate((np.ones((500, 1)), chance), axis=1), edges_s=(0.0, 4.0))
    watched = lifelines.KaplanMeierFitter().fit(durations, ~ended)
    at_end = watched.survival_function_at_times(durations).to_numpy()  # without ties, as just before
    at_horizon = float(watched.survival_function_at_times(4.0).iloc[0])
    died, lasted = ended & (durations <= 4.0), durations > 4.0
    errors = np.where(died, chance[:, 0] ** 2, (1.0 - chance[:, 0]) ** 2 * lasted)
    graf = (errors / np.where(died, at_end, at_horizon)).mean()
    ours = brier_scores(forecast, durations, ended.astype(np.int64), horizon_s=4.0).mean()
    assert ours == pytest.approx(graf, abs=1e-12)


@pytest.mark.parametrize(
    ("family", "fitter"),
    [
        (Family.WEIBULL, "WeibullAFTFitter"),
        (Family.LOG_NORMAL, "LogNormalAFTFitter"),
        (Family.LOG_LOGISTIC, "LogLogisticAFTFitter"),
    ],
)
def test_lifetimes(family: Family, fitter: str) -> None:
    rng = np.random.default_rng(6)
    covariates = rng.normal(size=(400, 2))
    times = np.exp(1.0 + covariates @ [0.5, -0.3] + 0.7 * rng.normal(size=400))
    stops = rng.exponential(9.0, 400)
    durations, ended = np.minimum(times, stops), times <= stops
    ours = fit_lifetime(durations, ended, covariates, family=family)
    frame = pandas.DataFrame({"x1": covariates[:, 0], "x2": covariates[:, 1], "t": durations, "e": ended})
    theirs = getattr(lifelines, fitter)().fit(frame, "t", "e")
    scale = theirs.params_.to_numpy()[3] * (1 if family is Family.LOG_NORMAL else -1)
    # Its search stops where the likelihood is flat to 1e-4, so ours is at least as likely.
    assert [*ours.coefs, ours.log_scale] == pytest.approx([*theirs.params_.to_numpy()[[2, 0, 1]], scale], abs=1e-3)
    assert ours.log_likelihood >= theirs.log_likelihood_
    assert ours.log_likelihood == pytest.approx(theirs.log_likelihood_, abs=1e-3)
    errors = np.sqrt(np.diag(np.array(ours.covariance)))
    assert errors == pytest.approx(theirs.standard_errors_.to_numpy()[[2, 0, 1, 3]], rel=1e-3)


@pytest.mark.parametrize("blocks", [None, 25])
def test_the_logistic_regression_and_its_clustered_errors(blocks: int | None) -> None:
    durations, causes = sample(7, tied=False)
    covariates = np.random.default_rng(8).normal(size=(500, 2))
    rows = person_periods(durations, causes, covariates, edges_s=(0.0, 0.5, 1.0, 2.0, 4.0, 8.0))
    rows = msgspec.structs.replace(rows, watched=np.ones(len(rows.sample)))  # the textbook's rows are whole
    block = None if blocks is None else np.arange(500) % blocks
    ours = fit_hazard(rows, names=("x1", "x2"), blocks=block, ridge=0.0, smooth=0.0, timed=False)
    design = np.concatenate((np.eye(5)[rows.bin_no], rows.covariates), axis=1)
    model = linear.GLM((rows.cause == FILLED).astype(float), design, family=linear.families.Binomial())
    clustered = {} if block is None else {"cov_type": "cluster", "cov_kwds": {"groups": block[rows.sample]}}
    theirs = model.fit(tol=1e-14, **clustered)
    assert [*ours.model.fill.alphas, *ours.model.fill.coefs] == pytest.approx(theirs.params, abs=1e-9)
    assert ours.fill.log_likelihood == pytest.approx(theirs.llf, abs=1e-9)
    assert np.array(ours.model.fill.covariance) == pytest.approx(theirs.cov_params(), abs=1e-9)
