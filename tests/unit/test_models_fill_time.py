from collections.abc import Callable
from math import gamma, inf

import numpy as np
import pytest

from sor.errors import CallerError
from sor.models.fill_time import Exponential, FillTime, LogNormal, Tabulated, Weibull

TABLE = Tabulated((0.0, 1.0, 3.0, 4.0), (1.0, 0.5, 0.5, 0.2))
ALL: list[FillTime] = [
    Exponential(0.3),
    Weibull(0.6, 8.0),
    Weibull(1.0, 8.0),
    Weibull(2.5, 3.0),
    LogNormal(6.0, 1.2),
    LogNormal(2.0, 0.3),
    TABLE,
]


@pytest.mark.parametrize("fill", ALL)
def test_the_three_forms_are_one_distribution(fill: FillTime) -> None:
    grid = np.linspace(1e-4, 5.0, 5_001)
    survived = np.array([fill.survival(float(time)) for time in grid])
    assert fill.survival(0.0) == 1.0
    assert (np.diff(survived) <= 1e-15).all()
    for at_s in (0.4, 1.7, 3.3):
        # The hazard is the slope of -log S, the mean time at rest the area under S.
        slope = -(np.log(fill.survival(at_s + 1e-5)) - np.log(fill.survival(at_s - 1e-5))) / 2e-5
        assert fill.hazard(at_s) == pytest.approx(slope, rel=1e-5, abs=1e-9)
        seen = grid <= at_s
        area = np.trapezoid(survived[seen], grid[seen]) + 1e-4
        assert fill.resting_s(at_s) == pytest.approx(area, abs=1.5e-3)


@pytest.mark.parametrize("fill", ALL)
def test_nobody_rests_before_it_begins(fill: FillTime) -> None:
    assert fill.resting_s(0.0) == 0.0


def test_means_of_all_time() -> None:
    assert Exponential(0.25).resting_s(inf) == 4.0
    assert Weibull(0.5, 3.0).resting_s(inf) == pytest.approx(3.0 * gamma(3.0))
    assert LogNormal(2.0, 0.5).resting_s(inf) == pytest.approx(2.0 * np.exp(0.125))
    assert Weibull(0.5, 3.0).resting_s(1e7) == pytest.approx(3.0 * gamma(3.0))
    assert LogNormal(2.0, 0.5).resting_s(1e7) == pytest.approx(2.0 * np.exp(0.125))
    for fill in ALL[:-1]:
        assert fill.survival(inf) == 0.0


def test_a_weibull_of_shape_one_is_an_exponential() -> None:
    for at_s in (0.1, 2.0, 30.0):
        assert Weibull(1.0, 4.0).survival(at_s) == pytest.approx(Exponential(0.25).survival(at_s))
        assert Weibull(1.0, 4.0).resting_s(at_s) == pytest.approx(Exponential(0.25).resting_s(at_s))
        assert Weibull(1.0, 4.0).hazard(at_s) == Exponential(0.25).hazard(at_s) == 0.25


def test_hazards_at_the_start() -> None:
    assert Weibull(0.6, 8.0).hazard(0.0) == inf
    assert Weibull(1.0, 8.0).hazard(0.0) == 0.125
    assert Weibull(1.5, 8.0).hazard(0.0) == 0.0
    assert LogNormal(6.0, 1.2).hazard(0.0) == 0.0
    assert LogNormal(6.0, 1.2).hazard(inf) == 0.0


@pytest.mark.parametrize("fill", [Weibull(0.6, 8.0), LogNormal(6.0, 1.2), LogNormal(2.0, 0.1), LogNormal(5.0, 4.0)])
@pytest.mark.parametrize("rate", [1e-4, 0.01, 0.06, 0.1])
def test_where_the_hazard_falls_to_a_rate(fill: FillTime, rate: float) -> None:
    found = fill.falls_to(rate)
    for at_s in found:
        assert fill.hazard(at_s) == pytest.approx(rate)
        assert fill.hazard(1.001 * at_s) < rate < fill.hazard(0.999 * at_s)
    if not found:
        assert max(fill.hazard(float(at_s)) for at_s in np.geomspace(1e-3, 1e4, 2_000)) <= rate


def test_what_does_not_fall_never_gets_there() -> None:
    assert Exponential(0.3).falls_to(0.1) == ()
    assert Weibull(1.0, 8.0).falls_to(0.01) == ()
    assert Weibull(2.0, 8.0).falls_to(0.01) == ()
    assert LogNormal(6.0, 1.2).falls_to(10.0) == ()
    # So slowly that the time is beyond any float.
    assert Weibull(0.9999, 1.0).falls_to(0.5) == ()
    assert LogNormal(1.0, 20.0).falls_to(1e-307) == ()


def test_a_table_by_hand() -> None:
    assert [TABLE.survival(at_s) for at_s in (0.5, 1.0, 2.0, 3.5, 4.0, 50.0)] == pytest.approx(
        [0.75, 0.5, 0.5, 0.35, 0.2, 0.2]
    )
    assert [TABLE.resting_s(at_s) for at_s in (1.0, 3.0, 4.0, 14.0, inf)] == pytest.approx([0.75, 1.75, 2.1, 4.1, inf])
    assert [TABLE.hazard(at_s) for at_s in (0.5, 2.0, 3.5, 9.0)] == pytest.approx([0.5 / 0.75, 0.0, 0.3 / 0.35, 0.0])
    assert TABLE.falls_to(0.1) == (1.0, 4.0)
    assert TABLE.falls_to(1.2) == (4.0,)
    assert TABLE.falls_to(2.0) == ()


def test_a_table_that_ends_with_everything_filled() -> None:
    emptied = Tabulated((0.0, 2.0, 3.0), (1.0, 0.5, 0.0))
    assert emptied.survival(inf) == emptied.survival(3.0) == 0.0
    assert emptied.resting_s(inf) == emptied.resting_s(3.0) == 1.75
    assert emptied.hazard(3.0) == emptied.hazard(99.0) == 0.0
    assert emptied.falls_to(0.1) == (3.0,)


@pytest.mark.parametrize(
    ("times", "survived"),
    [
        ((), ()),
        ((0.0,), (1.0,)),
        ((0.0, 1.0), (1.0, 0.5, 0.2)),
        ((1.0, 2.0), (1.0, 0.5)),
        ((0.0, 1.0), (0.9, 0.5)),
        ((0.0, 1.0, 1.0), (1.0, 0.5, 0.4)),
        ((0.0, 1.0, 2.0), (1.0, 0.5, 0.6)),
        ((0.0, 1.0), (1.0, -0.1)),
        ((0.0, 1.0), (1.0, float("nan"))),
    ],
)
def test_what_is_no_survival_curve_is_refused(times: tuple[float, ...], survived: tuple[float, ...]) -> None:
    with pytest.raises(CallerError, match="is not one; nothing was computed"):
        Tabulated(times, survived)


@pytest.mark.parametrize("wrong", [0.0, -1.0, inf, float("nan")])
def test_what_is_no_scale_is_refused(wrong: float) -> None:
    makers: list[Callable[[float], FillTime]] = [
        Exponential,
        lambda one: Weibull(one, 1.0),
        lambda one: Weibull(1.0, one),
        lambda one: LogNormal(one, 1.0),
        lambda one: LogNormal(1.0, one),
    ]
    for make in makers:
        with pytest.raises(CallerError, match="Give a positive number"):
            make(wrong)
