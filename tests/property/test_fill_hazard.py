"""Whatever the coefficients: probabilities are probabilities, nothing comes back, and nothing is lost."""

from math import inf, isinf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sor.models.fill_hazard import CauseHazard, ExitCurve, FillHazard
from sor.models.survival import aalen_johansen, kaplan_meier

EDGES_S = (0.0, 0.25, 1.0, 4.0, 15.0)
LOGITS = st.floats(-40.0, 40.0)
TIMES = st.floats(0.0, 30.0)
ROUNDING = 1e-9


@st.composite
def causes(draw: st.DrawFn) -> CauseHazard:
    alphas = tuple(draw(LOGITS) for _ in EDGES_S[1:])
    return CauseHazard(alphas=alphas, coefs=(draw(st.floats(-5.0, 5.0)),))


@st.composite
def exits(draw: st.DrawFn) -> ExitCurve:
    model = FillHazard(edges_s=EDGES_S, names=("x",), fill=draw(causes()), away=draw(causes()))
    return model.exits((draw(st.floats(-4.0, 4.0)),))


@given(exits(), TIMES, TIMES)
def test_nothing_comes_back(curve: ExitCurve, one: float, other: float) -> None:
    early, late = sorted((one, other))
    assert 0.0 <= curve.survival(late) <= curve.survival(early) <= 1.0
    assert 0.0 <= curve.filled(early) <= curve.filled(late) + ROUNDING <= 1.0 + 2 * ROUNDING
    assert 0.0 <= curve.fill.probability(late, since_s=early) <= 1.0
    assert curve.resting_s(early) <= curve.resting_s(late) * (1 + ROUNDING)


@given(exits(), TIMES)
def test_nothing_is_lost(curve: ExitCurve, at_s: float) -> None:
    assert curve.survival(at_s) + curve.filled(at_s) + curve.moved_away(at_s) == pytest.approx(1.0, abs=ROUNDING)
    # The hazards add up: an order by itself survives each cause, and both together their product.
    assert curve.survival(at_s) == pytest.approx(curve.fill.survival(at_s) * curve.away.survival(at_s))
    assert curve.filled(at_s) <= curve.fill.probability(at_s) + ROUNDING


@given(exits(), TIMES)
def test_an_order_rests_no_longer_than_it_may(curve: ExitCurve, until_s: float) -> None:
    rest = curve.resting_s(until_s)
    assert until_s * curve.survival(until_s) * (1 - ROUNDING) <= rest <= until_s * (1 + ROUNDING)
    assert rest <= curve.fill.resting_s(until_s) * (1 + ROUNDING)


@given(exits())
def test_ever_is_after_the_last_edge(curve: ExitCurve) -> None:
    assert curve.survival(inf) == curve.survival(EDGES_S[-1])
    assert curve.filled(inf) == curve.filled(EDGES_S[-1])
    assert isinf(curve.fill.resting_s(inf)) == (curve.fill.survival(inf) > 0.0)


@given(exits(), st.floats(1e-6, 10.0))
def test_the_hazard_falls_where_it_says(curve: ExitCurve, rate: float) -> None:
    falls = curve.fill.falls_to(rate)
    assert list(falls) == sorted(falls)
    for edge in falls:
        assert curve.fill.hazard(edge - 1e-6) > rate >= curve.fill.hazard(edge)
    if any(curve.fill.hazard(edge) > rate for edge in EDGES_S):
        assert falls  # after the last edge it is 0


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 2)), min_size=1, max_size=40))
def test_counting_loses_nobody(samples: list[tuple[int, int]]) -> None:
    durations = np.array([time for time, _ in samples], np.float64)
    ends = np.array([cause for _, cause in samples], np.int64)
    found = aalen_johansen(durations, ends)
    assert found.survival + found.incidence.sum(axis=1) == pytest.approx(np.ones(len(found.times_s)))
    assert (np.diff(found.incidence, axis=0) >= 0.0).all()
    assert (found.variance >= 0.0).all()
    assert (found.variance <= 0.25 + ROUNDING).all()
    any_end = kaplan_meier(durations, ends > 0)
    assert any_end.survival == pytest.approx(found.survival)
