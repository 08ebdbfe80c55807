"""The production model of fills, by hand and against integrals of its own hazard."""

from math import exp, expm1, inf, log, log1p, nan

import pytest

from sor.errors import CallerError
from sor.models.fill_hazard import EDGES_S, CauseHazard, FillCurve, FillHazard, rate_logit
from tests.fakes.fills import planted

EVEN = 0.0  # a logit of 0: a probability of 1/2


def two_bins(*, away: bool = False, covariance: tuple[tuple[float, ...], ...] = ()) -> FillHazard:
    """Bins of 1 s and 3 s, an even chance in each where x = 0; the touch never or as often moves away."""
    fill = CauseHazard(alphas=(EVEN, EVEN), coefs=(1.0,), covariance=covariance)
    return FillHazard(edges_s=(0.0, 1.0, 4.0), names=("x",), fill=fill, away=fill if away else None)


def test_each_bin_takes_its_share_of_what_is_left() -> None:
    curve = two_bins().curve((0.0,))
    assert curve.survival(1.0) == pytest.approx(0.5)
    assert curve.survival(4.0) == pytest.approx(0.25)
    assert curve.probability(4.0) == pytest.approx(0.75)
    assert curve.probability(4.0, since_s=1.0) == pytest.approx(0.5)
    # log(3) on the logit: the odds are 3, a quarter is left.
    assert two_bins().curve((log(3.0),)).survival(1.0) == pytest.approx(0.25)


def test_the_rate_is_constant_within_a_bin() -> None:
    curve = two_bins().curve((0.0,))
    assert curve.survival(0.5) == pytest.approx(0.5**0.5)
    assert curve.survival(2.5) == pytest.approx(0.5**1.5)
    assert [curve.hazard(at_s) for at_s in (0.0, 0.9)] == pytest.approx([log(2.0)] * 2)
    assert [curve.hazard(at_s) for at_s in (1.0, 3.9)] == pytest.approx([log(2.0) / 3.0] * 2)


def test_after_the_last_edge_nothing_is_promised() -> None:
    curve = two_bins().curve((0.0,))
    assert curve.hazard(4.0) == 0.0
    assert curve.survival(100.0) == curve.survival(inf) == pytest.approx(0.25)
    assert curve.resting_s(6.0) == pytest.approx(curve.resting_s(4.0) + 2.0 * 0.25)
    assert curve.resting_s(inf) == inf


def test_mean_rest_by_hand() -> None:
    # The integral of 2^-t over 1 s is 0.5 / log 2; that of 0.5 x 2^-(t/3) over 3 s is 3 x that, halved.
    curve = two_bins().curve((0.0,))
    assert curve.resting_s(0.0) == 0.0
    assert curve.resting_s(1.0) == pytest.approx(0.5 / log(2.0))
    assert curve.resting_s(4.0) == pytest.approx(0.5 / log(2.0) + 0.75 / log(2.0))
    assert curve.resting_s(0.5) == pytest.approx((1.0 - 0.5**0.5) / log(2.0))


def test_a_hazard_that_all_but_vanishes_keeps_an_order_resting() -> None:
    never = FillCurve((0.0, 1.0, 4.0), (0.0, 0.0, 1e-14))
    assert never.resting_s(4.0) == pytest.approx(4.0, abs=1e-13)
    for hazard in (5e-4, 2e-3):
        nearly = FillCurve((0.0, 2.0), (0.0, hazard))
        assert nearly.resting_s(2.0) == pytest.approx(-2.0 * expm1(-hazard) / hazard, rel=1e-12)


def test_edges_where_the_hazard_falls_through_a_rate() -> None:
    curve = two_bins().curve((0.0,))
    assert curve.falls_to(0.5) == (1.0,)
    assert curve.falls_to(0.1) == (4.0,)
    assert curve.falls_to(0.7) == ()
    # Up and down again: rates 0.1, 0.4, 0.1.
    hump = FillCurve((0.0, 1.0, 2.0, 3.0), (0.0, 0.1, 0.5, 0.6))
    assert hump.falls_to(0.2) == (2.0,)
    assert hump.falls_to(0.05) == (3.0,)


def test_two_equal_causes_share_what_leaves() -> None:
    exits = two_bins(away=True).exits((0.0,))
    assert exits.survival(1.0) == pytest.approx(0.25)
    assert exits.filled(1.0) == exits.moved_away(1.0) == pytest.approx(0.375)
    assert exits.filled(4.0) == pytest.approx(0.375 + 0.25 * 0.375)
    assert exits.filled(inf) == exits.filled(4.0)
    assert exits.resting_s(1.0) == pytest.approx(0.75 / (2.0 * log(2.0)))


def test_constant_rates_give_the_stationary_answer() -> None:
    # Rates 0.08 and 0.05: fills are 8/13 of what leaves, and the mean rest tends to 1 / 0.13 (methods 6.2 c).
    edges = tuple(float(edge) for edge in range(0, 400, 4))
    causes = [CauseHazard(alphas=(rate_logit(rate, 4.0),) * (len(edges) - 1), coefs=()) for rate in (0.08, 0.05)]
    exits = FillHazard(edges_s=edges, names=(), fill=causes[0], away=causes[1]).exits(())
    assert exits.filled(396.0) == pytest.approx(8.0 / 13.0)
    assert exits.resting_s(396.0) == pytest.approx(1.0 / 0.13)
    cost = -4.0 * exits.filled(396.0) + 1.5 * exits.moved_away(396.0)
    assert cost == pytest.approx(-1.8846, abs=5e-5)


def test_integrals_are_those_of_the_survival() -> None:
    model = planted()
    curve, exits = model.curve((0.5, -0.2, 1.0)), model.exits((0.5, -0.2, 1.0))
    step_s, until_s = 0.001, 20.0
    middles = [step_s * (number + 0.5) for number in range(int(until_s / step_s))]
    assert curve.resting_s(until_s) == pytest.approx(sum(map(curve.survival, middles)) * step_s, abs=1e-6)
    assert exits.resting_s(until_s) == pytest.approx(sum(map(exits.survival, middles)) * step_s, abs=1e-6)
    flow = sum(exits.survival(at_s) * exits.fill.hazard(at_s) for at_s in middles) * step_s
    assert exits.filled(until_s) == pytest.approx(flow, abs=1e-6)


def test_an_interval_by_the_delta_method() -> None:
    # One bin: H = log(1 + e^a), dH/da = 1/2 at a = 0, so log H has the error 0.1 x 0.5 / log 2.
    fill = CauseHazard(alphas=(EVEN,), coefs=(), covariance=((0.01,),))
    found = FillHazard(edges_s=(0.0, 1.0), names=(), fill=fill).chance((), 1.0)
    reach = exp(1.959963985 * 0.05 / log(2.0))
    assert found.low is not None
    assert found.high is not None
    assert found.probability == pytest.approx(0.5)
    assert found.low == pytest.approx(1.0 - 0.5 ** (1.0 / reach))
    assert found.high == pytest.approx(1.0 - 0.5**reach)


def test_the_slopes_of_an_interval_are_those_of_the_hazard() -> None:
    # Only one parameter is uncertain at a time; moving it by its error must move the hazard as the interval says.
    covariates, by_s, nudge = (0.7,), 2.5, 1e-6
    for place in range(3):
        rows = tuple(tuple(nudge**2 if place == row == column else 0.0 for column in range(3)) for row in range(3))
        found = two_bins(covariance=rows).chance(covariates, by_s, level=0.6826894921370859)
        theta = [EVEN, EVEN, 1.0]
        theta[place] += nudge
        moved = FillHazard(
            edges_s=(0.0, 1.0, 4.0), names=("x",), fill=CauseHazard(alphas=tuple(theta[:2]), coefs=(theta[2],))
        )
        assert found.high is not None
        assert found.high - found.probability == pytest.approx(
            moved.curve(covariates).probability(by_s) - found.probability, rel=1e-4
        )


def aging(theta: tuple[float, ...], covariance: tuple[tuple[float, ...], ...] = ()) -> FillHazard:
    """Two bins of which the middles are 2 and 6 s; the effect of `x` changes with age, that of `y` does not."""
    fill = CauseHazard(alphas=theta[:2], coefs=theta[2:4], fades=theta[4:], covariance=covariance)
    return FillHazard(edges_s=(0.0, 4.0, 8.0), names=("y", "x"), fill=fill, fading=("x",))


def test_an_effect_fades_with_the_log_of_the_age() -> None:
    # Logits 0 + 1 y + (1 - log(t) / log 2) x at y = 0.5, x = 1: 0.5 at 2 s, and 1.5 - log2(6) at 6 s.
    curve = aging((0.0, 0.0, 1.0, 1.0, -1.0 / log(2.0))).curve((0.5, 1.0))
    first, second = (log1p(exp(logit)) for logit in (0.5, 1.5 - log(6.0) / log(2.0)))
    assert curve.spent == pytest.approx((0.0, first, first + second))


def test_the_slopes_of_an_interval_know_what_fades() -> None:
    theta, covariates, by_s, nudge = (0.1, -0.4, 0.3, 0.6, -0.2), (0.7, 1.3), 6.5, 1e-6
    for place in range(5):
        rows = tuple(tuple(nudge**2 if place == row == column else 0.0 for column in range(5)) for row in range(5))
        found = aging(theta, rows).chance(covariates, by_s, level=0.6826894921370859)
        moved = aging(tuple(one + nudge * (at == place) for at, one in enumerate(theta)))
        assert found.high is not None
        off = abs(moved.curve(covariates).probability(by_s) - found.probability)
        assert found.high - found.probability == pytest.approx(off, rel=1e-4)


def test_what_fades_is_one_of_the_names_and_says_how() -> None:
    for fading, fades in ((("z",), (0.1,)), (("x",), ())):
        fill = CauseHazard(alphas=(0.0,), coefs=(1.0,), fades=fades)
        with pytest.raises(CallerError, match="is not one"):
            FillHazard(edges_s=(0.0, 1.0), names=("x",), fill=fill, fading=fading)


def test_without_a_covariance_there_is_no_interval() -> None:
    found = two_bins().chance((0.0,), 1.0)
    assert found.probability == pytest.approx(0.5)
    assert found.low is found.high is None
    known = two_bins(covariance=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))
    assert known.chance((0.0,), 0.0).low is None  # nothing can have happened yet


def test_rates_and_logits() -> None:
    assert log1p(exp(rate_logit(0.3, 2.0))) == pytest.approx(0.6)
    assert log1p(exp(rate_logit(1e-9, 1.0))) == pytest.approx(1e-9, rel=1e-12)


@pytest.mark.parametrize("x", [nan, inf, 1e300])
def test_senseless_covariates_are_refused(x: float) -> None:
    with pytest.raises(CallerError, match="not a finite number"):
        two_bins().curve((x * 1e10,))


def test_wrong_covariates_are_refused() -> None:
    with pytest.raises(CallerError, match="2 covariates for a model of 1"):
        two_bins().curve((1.0, 2.0))
    with pytest.raises(CallerError, match="fills alone"):
        two_bins().exits((1.0,))


@pytest.mark.parametrize(
    ("edges", "alphas", "coefs", "covariance"),
    [
        ((0.0,), (), (1.0,), ()),
        ((1.0, 2.0), (0.0,), (1.0,), ()),
        ((0.0, 2.0, 2.0), (0.0, 0.0), (1.0,), ()),
        ((0.0, 1.0, inf), (0.0, 0.0), (1.0,), ()),
        ((0.0, 1.0), (0.0, 0.0), (1.0,), ()),
        ((0.0, 1.0), (0.0,), (), ()),
        ((0.0, 1.0), (0.0,), (1.0,), ((1.0,),)),
        ((0.0, 1.0), (0.0,), (1.0,), ((1.0, 0.0), (0.0,))),
    ],
)
def test_models_that_do_not_fit_together_are_refused(
    edges: tuple[float, ...],
    alphas: tuple[float, ...],
    coefs: tuple[float, ...],
    covariance: tuple[tuple[float, ...], ...],
) -> None:
    with pytest.raises(CallerError, match="is not one"):
        FillHazard(edges_s=edges, names=("x",), fill=CauseHazard(alphas=alphas, coefs=coefs, covariance=covariance))


def test_the_bins_are_those_of_the_methods() -> None:
    assert EDGES_S == (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0)
