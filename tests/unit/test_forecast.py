"""A param-set as a forecast: the same as the models it was written from, and what lies beyond them."""

from __future__ import annotations

from math import exp, log, pi, sqrt

import pytest

from sor.models.covariates import COVARIATES, FADING
from sor.models.drift import DRIFT_COVARIATES, FORM_MAX, MARKOUT_COVARIATES, Drift, Markout, gaussian_loss, selection
from sor.models.forecast import FORECAST_NEEDS, MARKOUT_IDS, RANGE_IDS, Forecast, Situation, read_forecast
from sor.models.rule import expected_difference_bps
from sor.models.timeout import static_rest
from sor.params import Params

EDGES, ALPHAS = (0.5, 1.0, 4.0), (-1.0, -0.5, 0.3)
VALUES: dict[str, float] = {
    **{f"fill.edge_{at:02d}": edge for at, edge in enumerate(EDGES)},
    **{f"fill.alpha_{at:02d}": alpha for at, alpha in enumerate(ALPHAS)},
    **{f"fill.{name}": 0.0 for name in COVARIATES},
    **{f"fading.{name}": 0.0 for name in FADING},
    "fill.lean": -0.5,
    "fill.se": 0.1,
    "drift.base": 0.5,
    **{f"drift.{name}": 0.0 for name in DRIFT_COVARIATES},
    "drift.lean": 0.2,
    "drift.se": 0.05,
}
MARKOUTS: dict[str, float] = {
    "markout.base": 0.5,
    **{f"markout.{name}": 0.0 for name in MARKOUT_COVARIATES},
    "markout.lean": -0.25,
    "markout.se": 0.02,
    "markout.after_s": 5.0,
}
RANGES: dict[str, float] = {
    **{f"range.{name}_low": -1.0 for name in COVARIATES},
    **{f"range.{name}_high": 1.0 for name in COVARIATES},
}
LEAN = COVARIATES.index("lean")


def params(**changes: float) -> Params:
    values = {**VALUES, **{name.replace("__", "."): value for name, value in changes.items()}}
    return Params(set_id="test/2026-11-21", digest="0" * 16, values=values)


def forecast(extra: dict[str, float] | None = None) -> Forecast:
    return read_forecast(Params(set_id="test/2026-11-21", digest="0" * 16, values={**VALUES, **(extra or {})}))


def order(lean: float = 0.0, *, volatility: float = 2.0, spread_bps: float = 4.0) -> Situation:
    values = [0.0] * len(COVARIATES)
    values[LEAN] = lean
    return Situation(tuple(values), volatility, spread_bps)


def test_needs_are_all_that_is_read() -> None:
    assert set(FORECAST_NEEDS) >= {name for name in VALUES if "_0" not in name}
    assert not params().missing(FORECAST_NEEDS)
    lacking = dict(VALUES)
    del lacking["drift.se"]
    short = Params(set_id="test/2026-11-21", digest="0" * 16, values=lacking)
    assert short.missing(FORECAST_NEEDS) == ("drift.se",)
    with pytest.raises(KeyError):
        read_forecast(short)


def test_the_fill_probability_is_that_of_the_hazards() -> None:
    """Nobody is left by 1 s but those that two bins have spared."""
    spared = 1.0
    for alpha in ALPHAS[:2]:
        spared *= 1.0 - 1.0 / (1.0 + exp(-(alpha - 0.5 * 0.6)))
    found = forecast().outlook(order(lean=0.6), until_s=1.0)
    assert found.fill_probability == pytest.approx(1.0 - spared)
    assert found.fill_se == pytest.approx(spared * -log(spared) * 0.1)
    assert forecast().horizon_s == 4.0


def test_the_drift_is_its_bound_times_the_form() -> None:
    found = forecast().outlook(order(lean=0.6), until_s=1.0)
    bound = 1.0 * selection(found.fill_probability) * (2.0 + 0.05 * 4.0)
    assert found.drift_bps == pytest.approx(bound * (0.5 + 0.2 * 0.6))
    assert found.drift_se_bps == pytest.approx(bound * 0.05)


def test_selection_is_the_mean_of_a_normal_over_its_worst() -> None:
    assert selection(0.5) == pytest.approx(sqrt(2.0 / pi))
    assert selection(0.0) == selection(-1e-12) == 0.0
    assert selection(1.0) == selection(0.999) > selection(0.99)


def test_a_form_is_held_within_bounds() -> None:
    drift = Drift(base=0.5, coefs=(0.0, 10.0, 0.0, 0.0), se=0.0)
    assert [drift.form(order(lean).covariates) for lean in (-1.0, 0.0, 1.0)] == [0.0, 0.5, FORM_MAX]


def test_a_saving_is_minus_equation_2_with_its_error() -> None:
    found = forecast().outlook(order(), until_s=4.0)
    assert found.saving_bps(7.0) == pytest.approx(
        -expected_difference_bps(fill_probability=found.fill_probability, advantage_bps=7.0, drift_bps=found.drift_bps)
    )
    by_fill = found.fill_se * (7.0 + found.drift_bps)
    by_drift = (1.0 - found.fill_probability) * found.drift_se_bps
    assert found.saving_se_bps(7.0) == pytest.approx(sqrt(by_fill**2 + by_drift**2))


def test_a_table_is_what_the_static_timeout_takes() -> None:
    one, here = forecast(), order(lean=0.3)
    table = one.table(here, longest_s=3.0)
    assert table.times_s == (0.0, 0.25, 0.5, 0.75, 1.0, 2.0, 3.0)
    assert table.survived[0] == 1.0
    assert table.drift_bps[0] == 0.0
    for time_s, left, drift in zip(*table, strict=True):
        found = one.outlook(here, until_s=time_s)
        assert 1.0 - left == pytest.approx(found.fill_probability)
        assert drift == pytest.approx(found.drift_bps)
    assert one.table(here, longest_s=99.0).times_s[-1] == 4.0
    rest = static_rest(
        times_s=table.times_s, survived=table.survived, drift_bps=table.drift_bps, advantage_bps=7.0, se_bps=0.0
    )
    assert rest.cost_bps == min(-one.outlook(here, until_s=time_s).saving_bps(7.0) for time_s in table.times_s)


def test_markouts_and_ranges_are_optional() -> None:
    assert forecast().markout_bps(order()) is None
    assert forecast().strange(order(lean=99.0)) == ()
    whole = forecast({**MARKOUTS, **RANGES})
    assert whole.markout_bps(order(lean=0.4)) == pytest.approx((4.0 + 2.0) * (0.5 - 0.25 * 0.4))
    assert whole.strange(order(lean=1.0)) == ()
    assert whole.strange(order(lean=1.01)) == ("lean",)
    assert len(MARKOUT_IDS) == len(MARKOUTS)
    assert len(RANGE_IDS) == len(RANGES)


def test_markout_model_by_hand() -> None:
    one = Markout(base=1.0, coefs=(0.0, 0.0, 0.0, 2.0, 0.0, 0.0), se=0.1, after_s=5.0)
    values = [0.0] * len(COVARIATES)
    values[COVARIATES.index("log_gap")] = -0.25
    assert one.expected_bps(values, volatility=3.0, spread_bps=8.0) == (8.0 + 3.0) * 0.5


def test_the_loss_of_the_worst_share_of_a_gaussian() -> None:
    # The mean of the worse half is sqrt(2 / pi), times the half; by symmetry p and 1 - p lose the same.
    assert gaussian_loss(0.5) == pytest.approx(0.5 * sqrt(2 / pi))
    assert gaussian_loss(0.9) == pytest.approx(0.17549833, abs=1e-8)
    assert gaussian_loss(0.1) == pytest.approx(gaussian_loss(0.9))
    assert [gaussian_loss(p) for p in (0.0, 1.0)] == [0.0, 0.0]
