"""Fits find again what was planted, and say how sure they are."""

import subprocess
import sys

import msgspec
import numpy as np
import pytest

from sor.errors import CallerError
from sor.lab.fitting import fit_hazard, person_periods
from sor.lab.lifetimes import Family, Lifetime, fit_lifetime
from sor.lab.scores import bin_logits
from sor.models.fill_hazard import EDGES_S, rate_logit
from sor.models.fill_time import LogNormal, Weibull
from sor.models.survival import CENSORED, FILLED, MOVED_AWAY, Flags, Floats, Ints
from tests.fakes.fills import NAMES, drawn_fills, planted


def sample(count: int, seed: int, *, watched_s: float = 60.0) -> tuple[Floats, Floats, Ints]:
    """Covariates, durations and causes of the planted model."""
    rng = np.random.default_rng(seed)
    covariates = rng.normal([0.5, 0.0, -3.0], [1.0, 0.5, 2.0], (count, 3))
    durations, causes = drawn_fills(planted(), covariates, rng, watched_s=watched_s)
    return covariates, durations, causes


# --- without the extra ------------------------------------------------------------------------------------------------


def test_without_scipy_one_can_forecast_and_score_but_not_fit() -> None:
    program = (
        "import sys; sys.modules['scipy'] = sys.modules['scipy.optimize'] = sys.modules['scipy.special'] = None\n"
        "import sor.models.fill_hazard, sor.models.survival, sor.lab.scores\n"
        "from sor.errors import CallerError\n"
        "for module in ('fitting', 'lifetimes'):\n"
        "    try:\n"
        "        __import__(f'sor.lab.{module}')\n"
        "    except CallerError as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.count("Install sor[lab]") == 2


# --- rows -------------------------------------------------------------------------------------------------------------


def test_rows_by_hand() -> None:
    # Bins (0, 1], (1, 4]: filled at 0.5, censored at the edge, moved away at 2.5, filled after the last edge.
    covariates = np.array([[5.0], [6.0], [7.0], [8.0]])
    rows = person_periods(np.array([0.5, 1.0, 2.5, 9.0]), np.array([1, 0, 2, 1]), covariates, edges_s=(0.0, 1.0, 4.0))
    assert rows.sample.tolist() == [0, 1, 2, 2, 3, 3]
    assert rows.bin_no.tolist() == [0, 0, 0, 1, 0, 1]
    assert rows.watched == pytest.approx([0.5, 1.0, 1.0, 0.5, 1.0, 1.0])
    assert rows.cause.tolist() == [1, 0, 0, 2, 0, 0]
    assert rows.covariates[:, 0].tolist() == [5.0, 6.0, 7.0, 7.0, 8.0, 8.0]


def test_rows_keep_time_at_risk_and_ends() -> None:
    covariates, durations, causes = sample(500, 1)
    rows = person_periods(durations, causes, covariates)
    watched_s = rows.watched * np.diff(EDGES_S)[rows.bin_no]
    assert np.bincount(rows.sample, watched_s) == pytest.approx(durations)
    assert np.bincount(rows.cause)[1:].tolist() == np.bincount(causes)[1:].tolist()


@pytest.mark.parametrize(
    ("durations", "causes", "covariates"),
    [
        ([], [], np.zeros((0, 1))),
        ([1.0], [1, 1], np.zeros((1, 1))),
        ([1.0], [1], np.zeros((2, 1))),
        ([1.0], [1], np.zeros(1)),
        ([-1.0], [1], np.zeros((1, 1))),
        ([1.0], [1], np.full((1, 1), np.nan)),
    ],
)
def test_senseless_samples_are_refused(durations: list[float], causes: list[int], covariates: Floats) -> None:
    with pytest.raises(CallerError, match="nothing was fitted"):
        person_periods(np.array(durations), np.array(causes, np.int64), covariates)


# --- the hazard -------------------------------------------------------------------------------------------------------


def test_a_constant_rate_in_one_bin_is_ends_over_time() -> None:
    # The likelihood of times has the exponential's maximum: 2 ends in 0.5 + 1 + 1 + 0.5 s.
    durations, causes = np.array([0.5, 1.0, 1.0, 0.5]), np.array([1, 1, 0, 0])
    rows = person_periods(durations, causes, np.zeros((4, 0)), edges_s=(0.0, 1.0))
    found = fit_hazard(rows, names=())
    assert found.model.fill.alphas == pytest.approx([rate_logit(2.0 / 3.0, 1.0)])
    assert found.fill.log_likelihood == pytest.approx(2.0 * np.log(2.0 / 3.0) - 2.0)


def test_planted_coefficients_are_found_for_both_causes() -> None:
    covariates, durations, causes = sample(8_000, 2)
    rows = person_periods(durations, causes, covariates)
    found = fit_hazard(rows, names=NAMES, both_causes=True)
    truth = planted()
    assert found.model.away is not None
    assert truth.away is not None
    for fitted, wanted in ((found.model.fill, truth.fill), (found.model.away, truth.away)):
        errors = np.sqrt(np.diag(np.array(fitted.covariance)))
        off = (np.array([*fitted.alphas, *fitted.coefs]) - [*wanted.alphas, *wanted.coefs]) / errors
        # 9 bins in which there are many, and 3 coefficients
        assert np.abs(off[[*range(9), 11, 12, 13]]).max() < 3.5
        assert errors[-3:] == pytest.approx([0.02, 0.04, 0.01], rel=0.5)
    assert found.fill.ends == np.count_nonzero(causes == FILLED)
    assert found.away is not None
    assert found.away.ends == np.count_nonzero(causes == MOVED_AWAY)


def test_a_planted_fading_is_found() -> None:
    fill = msgspec.structs.replace(planted().fill, fades=(0.25,))
    truth = msgspec.structs.replace(planted(), fill=fill, away=None, fading=NAMES[:1])
    rng = np.random.default_rng(4)
    covariates = rng.normal(size=(8_000, 3))
    spent = np.cumsum(np.logaddexp(0.0, bin_logits(truth, fill, covariates)), axis=1)
    drawn = rng.exponential(size=8_000)
    rows = zip(drawn, np.pad(spent, ((0, 0), (1, 0))), strict=True)
    durations = np.array([np.interp(one, row, EDGES_S) for one, row in rows])
    causes = np.where(drawn < spent[:, -1], FILLED, CENSORED)
    found = fit_hazard(person_periods(durations, causes, covariates), names=NAMES, fading=NAMES[:1]).model
    errors = np.sqrt(np.diag(np.array(found.fill.covariance)))[-4:]
    off = (np.array([*found.fill.coefs, *found.fill.fades]) - [*fill.coefs, *fill.fades]) / errors
    assert np.abs(off).max() < 3.5
    assert errors[-1] < 0.02
    assert found.fading == NAMES[:1]


def test_times_within_bins_do_not_drop_who_left_half_way() -> None:
    # One bin of 60 s, in which nearly all leave for one cause or the other: Bernoulli trials make up what was not seen.
    rng = np.random.default_rng(3)
    fills, moves = rng.exponential(20.0, 4_000), rng.exponential(20.0, 4_000)
    durations = np.minimum(np.minimum(fills, moves), 60.0)
    causes = np.select([durations == fills, durations == moves], [1, 2], 0)
    rows = person_periods(durations, causes, np.zeros((4_000, 0)), edges_s=(0.0, 60.0))
    wanted = rate_logit(0.05, 60.0)
    assert fit_hazard(rows, names=()).model.fill.alphas[0] == pytest.approx(wanted, abs=0.1)
    assert fit_hazard(rows, names=(), timed=False).model.fill.alphas[0] < wanted - 0.5


def test_a_ridge_draws_coefficients_in_and_says_so() -> None:
    covariates, durations, causes = sample(300, 4)
    rows = person_periods(durations, causes, covariates)
    loose = fit_hazard(rows, names=NAMES, ridge=0.0)
    tight = fit_hazard(rows, names=NAMES, ridge=1e6)
    assert np.abs(tight.model.fill.coefs).max() < 1e-3
    assert tight.fill.log_likelihood < loose.fill.log_likelihood


def test_a_bin_without_events_has_the_rate_of_its_neighbours() -> None:
    durations = np.array([0.5] * 30 + [1.5] * 30 + [3.0] * 30)
    causes = np.array([1] * 30 + [0] * 30 + [1] * 30)
    rows = person_periods(durations, causes, np.zeros((90, 0)), edges_s=(0.0, 1.0, 2.0, 4.0))
    model = fit_hazard(rows, names=(), smooth=1.0).model
    curve = model.curve(())
    assert 0.0 < curve.hazard(1.5) < min(curve.hazard(0.5), curve.hazard(3.0))
    stiff = fit_hazard(rows, names=(), smooth=1e9).model.curve(())
    assert stiff.hazard(0.5) == pytest.approx(stiff.hazard(1.5), rel=1e-4)


def test_bins_that_nobody_reached_are_not_promised() -> None:
    rows = person_periods(np.array([0.1, 0.2, 0.9, 0.7]), np.array([1, 1, 0, 1]), np.zeros((4, 0)))
    assert fit_hazard(rows, names=()).model.edges_s == (0.0, 0.25, 0.5, 1.0)


def test_blocks_that_share_a_market_widen_the_errors() -> None:
    # Each of 40 blocks has a market of its own, which 50 samples see: errors as if there were 2 000 are far too small.
    rng = np.random.default_rng(5)
    block = np.repeat(np.arange(40), 50)
    rate = 0.2 * np.exp(rng.normal(0.0, 0.8, 40))[block]
    fills = rng.exponential(1.0 / rate)
    durations = np.minimum(fills, 15.0)
    rows = person_periods(durations, np.where(fills <= 15.0, 1, 0), np.zeros((2_000, 0)))
    alone = fit_hazard(rows, names=()).model.chance((), 8.0)
    shared = fit_hazard(rows, names=(), blocks=block).model.chance((), 8.0)
    assert alone.low is not None
    assert alone.high is not None
    assert shared.low is not None
    assert shared.high is not None
    assert shared.high - shared.low > 2.5 * (alone.high - alone.low)
    assert shared.probability == alone.probability


def test_intervals_cover() -> None:
    covered = 0
    at, by_s = (0.5, 0.0, -3.0), 8.0
    truth = planted().curve(at).probability(by_s)
    for seed in range(40):
        covariates, durations, causes = sample(400, 100 + seed)
        rows = person_periods(durations, causes, covariates)
        found = fit_hazard(rows, names=NAMES, blocks=np.arange(400) // 10).model.chance(at, by_s)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
    assert 35 <= covered <= 40


def test_few_blocks_give_no_errors() -> None:
    covariates, durations, causes = sample(200, 6)
    rows = person_periods(durations, causes, covariates)
    found = fit_hazard(rows, names=NAMES, blocks=np.arange(200) // 50)
    assert found.fill.blocks == 4
    assert found.model.fill.covariance == ()


def test_covariates_may_change_from_bin_to_bin() -> None:
    # The covariate is the age of the bin itself, so it takes up what the base rate would have said.
    rng = np.random.default_rng(7)
    rows = person_periods(rng.exponential(3.0, 3_000), np.ones(3_000, np.int64), np.zeros((3_000, 1)))
    rows.covariates[:] = np.array(EDGES_S)[rows.bin_no][:, None]
    found = fit_hazard(rows, names=("age",), smooth=1e6, ridge=0.0)
    error = np.sqrt(found.model.fill.covariance[-1][-1])
    assert abs(found.model.fill.coefs[0]) < 3 * error


@pytest.mark.parametrize("names", [NAMES[:2], NAMES])
def test_what_cannot_be_fitted_is_refused(names: tuple[str, ...]) -> None:
    covariates, durations, _ = sample(50, 8)
    rows = person_periods(durations, np.where(np.arange(50) == 0, 1, 0) * (len(names) == 2), covariates)
    with pytest.raises(CallerError, match="nothing was fitted"):
        fit_hazard(rows, names=names)


def test_what_the_samples_do_not_say_is_refused() -> None:
    covariates, durations, causes = sample(200, 9)
    twice = np.concatenate((covariates, covariates[:, :1]), axis=1)
    with pytest.raises(CallerError, match="do not say what a parameter is"):
        fit_hazard(person_periods(durations, causes, twice), names=(*NAMES, "queue again"), ridge=0.0)


# --- lifetimes --------------------------------------------------------------------------------------------------------


def lifetimes(family: Family, count: int, seed: int) -> tuple[Floats, Flags, Floats]:
    """Log T is 1 + 0.5 x1 - 0.3 x2 + 0.7 e, censored at exponential times: durations, ended, covariates."""
    rng = np.random.default_rng(seed)
    covariates = rng.normal([2.0, 0.0], 1.0, (count, 2))
    drawn = {
        Family.WEIBULL: np.log(rng.exponential(size=count)),
        Family.LOG_NORMAL: rng.normal(size=count),
        Family.LOG_LOGISTIC: rng.logistic(size=count),
    }[family]
    times = np.exp(1.0 + covariates @ [0.5, -0.3] + 0.7 * drawn)
    stops = rng.exponential(20.0, count)
    return np.minimum(times, stops), times <= stops, covariates


@pytest.mark.parametrize("family", list(Family))
def test_planted_lifetimes_are_found(family: Family) -> None:
    durations, ended, covariates = lifetimes(family, 4_000, 1)
    found = fit_lifetime(durations, ended, covariates, family=family)
    errors = np.sqrt(np.diag(np.array(found.covariance)))
    off = np.array([*found.coefs, found.log_scale]) - [1.0, 0.5, -0.3, np.log(0.7)]
    assert np.abs(off / errors).max() < 3.5
    assert errors.max() < 0.06
    scores = np.where(ended, found.log_density(durations, covariates), found.log_survival(durations, covariates))
    assert found.log_likelihood == pytest.approx(scores.sum())


@pytest.mark.parametrize("family", list(Family))
def test_a_density_is_the_slope_of_its_survival(family: Family) -> None:
    durations, ended, covariates = lifetimes(family, 100, 2)
    found = fit_lifetime(durations, ended, covariates, family=family)
    nudge = 1e-6 * durations
    survivals = [np.exp(found.log_survival(durations + sign * nudge, covariates)) for sign in (-1, 1)]
    slope = (survivals[0] - survivals[1]) / (2 * nudge)
    assert np.exp(found.log_density(durations, covariates)) == pytest.approx(slope, rel=1e-5, abs=1e-8)
    grid = found.log_survival(np.tile(durations[:, None], 3), covariates)
    assert grid[:, 1].tolist() == found.log_survival(durations, covariates).tolist()


def test_an_exponential_is_a_weibull_whose_rate_is_ends_over_time() -> None:
    # Freireich: at shape 1 the scale is 359 / 9; the fitted Weibull can only be more likely.
    events, stops = [6, 6, 6, 7, 10, 13, 16, 22, 23], [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    durations, ended = np.array(events + stops, float), np.arange(21) < 9
    found = fit_lifetime(durations, ended, np.zeros((21, 0)), family=Family.WEIBULL)
    assert found.log_likelihood > 9 * np.log(9 / 359) - 9
    assert found.log_likelihood == pytest.approx(9 * np.log(9 / 359) - 9, abs=1.0)


def test_lifetimes_as_times_to_fill() -> None:
    durations, ended, covariates = lifetimes(Family.WEIBULL, 300, 3)
    at, times = (0.4, -1.0), np.array([0.5, 2.0, 9.0])
    for family, kind in ((Family.WEIBULL, Weibull), (Family.LOG_NORMAL, LogNormal)):
        found = fit_lifetime(durations, ended, covariates, family=family)
        fill = found.fill_time(at)
        assert isinstance(fill, kind)
        survival = np.exp(found.log_survival(times, np.tile(at, (3, 1))))
        assert [fill.survival(float(time)) for time in times] == pytest.approx(survival)
    with pytest.raises(CallerError, match="tabulate"):
        fit_lifetime(durations, ended, covariates, family=Family.LOG_LOGISTIC).fill_time(at)


def test_lifetimes_of_blocks_have_wider_errors_and_few_blocks_none() -> None:
    rng = np.random.default_rng(4)
    block = np.repeat(np.arange(40), 50)
    durations = np.exp(rng.normal(0.0, 0.5, 40)[block] + 0.3 * rng.normal(size=2_000))

    def fitted(blocks: Ints | None) -> Lifetime:
        return fit_lifetime(
            durations, np.ones(2_000, bool), np.zeros((2_000, 0)), family=Family.LOG_NORMAL, blocks=blocks
        )

    alone, shared = fitted(None), fitted(block)
    assert shared.covariance[0][0] > 20 * alone.covariance[0][0]
    assert fitted(block // 10).covariance == ()


@pytest.mark.parametrize(
    ("durations", "ended"),
    [([1.0], [True]), ([1.0, 2.0, 3.0], [True, False, False]), ([0.0, 1.0, 2.0], [True] * 3), ([1.0, 2.0], [True] * 3)],
)
def test_senseless_lifetimes_are_refused(durations: list[float], ended: list[bool]) -> None:
    with pytest.raises(CallerError, match="nothing was fitted"):
        fit_lifetime(np.array(durations), np.array(ended), np.zeros((len(durations), 0)), family=Family.WEIBULL)
