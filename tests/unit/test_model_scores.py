"""Models of the time to fill beside one another, and how waits end by stratum, on samples with known answers."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
import pytest

from sor.lab.calibration import ModelScore
from sor.lab.calibration_sample import draw_sample
from sor.lab.model_scores import HAZARD, KAPLAN_MEIER, lifetime_forecasts, model_scores
from sor.lab.scores import counted_forecast
from sor.lab.strata import first_exits, strata_of
from sor.models.survival import CENSORED, FILLED, MOVED_AWAY, Floats, Ints, aalen_johansen, kaplan_meier
from tests.fakes.planted import PLAN, found, planted, quietly

EDGES = (0.0, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0)
COUNT = 6_000


class Drawn(NamedTuple):
    """Times to a fill with one covariate that matters and one that never differs, watched for a minute at most."""

    waited: Floats
    cause: Ints
    covariates: Floats


def drawn(seed: int, *, log_normal: bool) -> Drawn:
    """Weibull with shape 1.2 or log-normal with deviation 1; the same median level, a coefficient of 0.8."""
    rng = np.random.default_rng(seed)
    covariates = np.stack((rng.normal(size=COUNT), np.full(COUNT, 3.0)), axis=1)
    scatter = 1.0 * rng.normal(size=COUNT) if log_normal else np.log(rng.exponential(size=COUNT)) / 1.2
    times = np.exp(1.5 + 0.8 * covariates[:, 0] + scatter)
    watched = rng.uniform(20.0, 90.0, COUNT)
    cause = np.where(times <= np.minimum(watched, 60.0), FILLED, CENSORED)
    return Drawn(np.minimum(np.minimum(times, watched), 60.000001), cause, covariates)


def scored(sample: Drawn) -> dict[str, ModelScore]:
    """Scores on the second half of what was fitted on the first, beside one counted curve in the hazard's place."""
    fits = np.arange(COUNT) < COUNT // 2
    held = ~fits
    curve = kaplan_meier(sample.waited[fits], sample.cause[fits] == FILLED)
    counted = counted_forecast(curve, edges_s=EDGES, samples=COUNT)
    forecasts = {HAZARD: counted, **lifetime_forecasts(*sample, fits, edges_s=EDGES)}
    found = model_scores(
        {
            name: msgspec.structs.replace(one, resting=one.resting[held], filled=one.filled[held])
            for name, one in forecasts.items()
        },
        sample.waited[held],
        sample.cause[held],
        horizon_s=15.0,
        block=np.arange(COUNT // 2) % 20,
        rng=np.random.default_rng(1),
    )
    return {one.model: one for one in found}


@pytest.mark.parametrize(
    ("log_normal", "best", "other"), [(False, "weibull", "log_normal"), (True, "log_normal", "weibull")]
)
def test_the_family_that_drew_the_times_scores_best(log_normal: bool, best: str, other: str) -> None:
    by_model = scored(drawn(5, log_normal=log_normal))
    assert max(by_model.values(), key=lambda one: one.log_score).model == best
    assert by_model[best].beats_hazard  # which is a counted curve here, and knows no covariate
    assert by_model[best].lead == pytest.approx(by_model[HAZARD].log_score - by_model[best].log_score)
    assert not by_model[HAZARD].beats_hazard
    assert by_model[best].brier < by_model[HAZARD].brier
    # The best is calibrated: 9 degrees of freedom; the wrong shape shows in a chi-square many times that.
    assert by_model[best].unevenness < 25.0
    assert by_model[other].unevenness > 5.0 * by_model[best].unevenness
    assert by_model[best].worst < 0.07


def test_what_has_no_maximum_is_left_out() -> None:
    nobody = drawn(6, log_normal=False)._replace(cause=np.full(COUNT, CENSORED))
    assert lifetime_forecasts(*nobody, np.ones(COUNT, np.bool_), edges_s=EDGES) == {}


def test_a_calibration_scores_all_models_on_the_same_probes() -> None:
    for judged in found().judged:
        by_model = {one.model: one for one in judged.models}
        assert list(by_model) == [HAZARD, KAPLAN_MEIER, "weibull", "log_normal", "log_logistic"]
        assert by_model[HAZARD].log_score == judged.log_score
        assert by_model[KAPLAN_MEIER].log_score == judged.log_score_km
        assert by_model[KAPLAN_MEIER].lead == pytest.approx(judged.gain)
        assert (by_model[HAZARD].brier, by_model[KAPLAN_MEIER].brier) == (judged.brier, judged.brier_km)
        assert (by_model[HAZARD].lead, by_model[HAZARD].lead_low) == (0.0, 0.0)


def test_waits_that_the_touch_ends_are_counted_by_stratum() -> None:
    calibration = found()
    assert {one.horizon_s for one in calibration.exits} == {1.0, 5.0}
    at_once, later = (
        {(one.queue, one.lean): one for one in calibration.exits if one.horizon_s == horizon_s}
        for horizon_s in (1.0, 5.0)
    )
    assert at_once.keys() == later.keys()
    for stratum, one in later.items():
        assert 0.0 <= one.filled.mean + one.moved_away.mean <= 1.0 + 1e-12
        assert one.filled.mean >= at_once[stratum].filled.mean
        assert one.filled.low is not None
        assert one.filled.high is not None
        assert one.filled.low <= one.filled.mean <= one.filled.high


def test_a_wait_ends_with_what_came_first() -> None:
    probes = draw_sample([planted(2_000)], PLAN, quietly).probes
    waited, cause = first_exits(probes, 5.0)
    both = (probes.filled_ns < probes.away_ns) & (waited <= 5.0) & probes.filled
    assert (cause[both] == FILLED).all()
    left = (probes.away_ns < probes.filled_ns) & (probes.away_ns <= probes.arrived_ns + 5 * 10**9)
    assert left.any()
    assert (cause[left] == MOVED_AWAY).all()
    assert (waited[cause == CENSORED] <= 5.0 + 1e-5).all()
    # By hand for one stratum: the share of each end where nobody was lost from sight.
    strata = strata_of(probes, np.ones(len(waited), np.bool_))
    whole = (strata == np.bincount(strata).argmax()) & (probes.seen_ns >= probes.arrived_ns + 5 * 10**9)
    curve = aalen_johansen(waited[whole], cause[whole])
    for which in (FILLED, MOVED_AWAY):
        share = float((cause[whole] == which).mean())
        assert float(curve.at(np.full(1, 5.0), cause=which)[0]) == pytest.approx(share, abs=1e-12)
