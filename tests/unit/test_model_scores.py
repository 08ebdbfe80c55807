"""Models of the time to fill beside one another, and how waits end by stratum, on samples with known answers."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
import pytest

from sor.lab.calibration import ModelScore
from sor.lab.calibration_sample import draw_sample
from sor.lab.model_scores import HAZARD, KAPLAN_MEIER, lifetime_forecasts, model_scores
from sor.lab.probes import ProbePlan, Probes, draw_probes
from sor.lab.scores import counted_forecast
from sor.lab.strata import PLACES, counted_fills, first_exits, place_of, strata_of
from sor.models.survival import CENSORED, FILLED, MOVED_AWAY, Floats, Ints, aalen_johansen, kaplan_meier
from sor.units import NS
from tests.fakes.planted import PLAN, SMALL, found, planted, quietly
from tests.fakes.tape_script import Book, tape_of

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


def wide_probes() -> Probes:
    """Probes of a book 1000 / 1016 that nothing happens to: in a second its price is taken to move by 0.8 ticks."""
    tape = tape_of([Book(0, {1000: 4}, {1016: 4}, snapshot=True), Book(900 * NS, {999: 9}, {})], SMALL)
    return draw_probes(tape, ProbePlan(every_ns=NS, grid_ns=(25 * NS,), feed_ns=0, entry_ns=0, scattered=1))


def test_a_place_is_inside_at_or_behind_the_touch() -> None:
    probes = wide_probes()
    place = place_of(probes, 9.0)
    assert set(np.unique(place).tolist()) == set(range(len(PLACES)))
    # Past the middle are more than 8 of 16 ticks; 9 s move the price by three times 0.8 ticks.
    expected = [(9, 15), (1, 8), (0, 0), (-2, -1), (-16, -3)]
    for number, (least, most) in enumerate(expected):
        ticks = probes.inside_ticks[place == number]
        assert least <= int(ticks.min()) <= int(ticks.max()) <= most


def test_a_stratum_that_hardly_occurs_counts_with_its_place() -> None:
    number = np.arange(160)
    place = np.repeat([0, 1], [100, 60])
    strata = np.where(number < 10, 1, 9 * place)
    cause = np.where(number % np.where(place == 0, 4, 2) == 0, FILLED, CENSORED)
    counted = counted_fills(place, strata, np.ones(160), cause, np.ones(160, np.bool_), (0.0, 1.0))
    assert counted.filled[:10, 1] == pytest.approx([25 / 100] * 10)
    assert counted.filled[10:100, 1] == pytest.approx([22 / 90] * 90)
    assert counted.filled[100:, 1] == pytest.approx([1 / 2] * 60)


def test_scores_are_told_by_place() -> None:
    judged = found().judged[-1]
    (touch,) = judged.places
    assert (touch.place, touch.probes) == ("touch", judged.probes)
    assert (touch.log_score, touch.log_score_km) == (judged.log_score, judged.log_score_km)
    assert (touch.forecast, touch.observed) == (judged.forecast, judged.observed)
    assert touch.worst == max(abs(one.forecast - one.observed.mean) for one in touch.reliability)


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
    strata = strata_of(probes, np.ones(len(waited), np.bool_), place_of(probes, 5.0))
    whole = (strata == np.bincount(strata).argmax()) & (probes.seen_ns >= probes.arrived_ns + 5 * 10**9)
    curve = aalen_johansen(waited[whole], cause[whole])
    for which in (FILLED, MOVED_AWAY):
        share = float((cause[whole] == which).mean())
        assert float(curve.at(np.full(1, 5.0), cause=which)[0]) == pytest.approx(share, abs=1e-12)
