"""Own impact, on executions whose coefficient is known."""

import numpy as np
import pytest

from sor.errors import CallerError
from sor.lab.impact import PARENTS_MIN, Executions, check_exponent, fit_impact


def simulated(
    rng: np.random.Generator,
    *,
    coefficients: tuple[float, ...],
    parents: int,
    fills: int = 1,
    noise: float = 0.02,
    exponent: float = 0.5,
) -> Executions:
    """Fills of one parent share its drift, which has heavy tails; each has a little of its own."""
    group = np.repeat(np.arange(len(coefficients)), parents * fills)
    parent = np.repeat(np.arange(len(coefficients) * parents), fills)
    share = 10.0 ** rng.uniform(-4.0, -1.5, len(parent))
    volatility = rng.uniform(30.0, 90.0, len(parent))
    drift = np.repeat(rng.standard_t(3, len(coefficients) * parents), fills)
    own = rng.normal(0.0, 0.1, len(parent))
    impact = np.array(coefficients)[group] * share**exponent
    return Executions(
        shortfall_bps=volatility * (impact + noise * (drift + own)),
        volatility_bps=volatility,
        share=share,
        parent=parent,
        group=group,
    )


def test_without_noise_it_is_exact() -> None:
    fit = fit_impact(simulated(np.random.default_rng(1), coefficients=(0.6, 1.1), parents=20, noise=0.0))
    assert [fit.groups[group].value for group in (0, 1)] == pytest.approx([0.6, 1.1])
    assert fit.spread == pytest.approx(0.5 / np.sqrt(2), rel=1e-3)


def test_intervals_cover_although_fills_of_a_parent_are_not_independent() -> None:
    rng = np.random.default_rng(2)
    covered = naive = 0
    for _ in range(100):
        executions = simulated(rng, coefficients=(0.8,), parents=80, fills=4)
        found = fit_impact(executions).pool
        covered += found.low <= 0.8 <= found.high
        alone = Executions(
            shortfall_bps=executions.shortfall_bps,
            volatility_bps=executions.volatility_bps,
            share=executions.share,
            parent=np.arange(len(executions.share)),
            group=executions.group,
        )
        found = fit_impact(alone).pool
        naive += found.low <= 0.8 <= found.high
    # 95 of 100, give or take 2; with fills counted as evidence it is 77, give or take 4.
    assert covered >= 89
    assert naive <= 88


def test_a_few_wild_executions_do_not_move_it() -> None:
    sound = simulated(np.random.default_rng(3), coefficients=(0.8,), parents=200)
    shortfall = sound.shortfall_bps.copy()
    shortfall[:6] = 5_000.0
    wild = Executions(
        shortfall_bps=shortfall,
        volatility_bps=sound.volatility_bps,
        share=sound.share,
        parent=sound.parent,
        group=sound.group,
    )
    at = wild.volatility_bps * np.sqrt(wild.share)
    squares = float((at * shortfall).sum() / (at * at).sum())
    assert squares > 5.0
    assert fit_impact(wild).pool.value == pytest.approx(fit_impact(sound).pool.value, abs=0.1)


def test_groups_are_drawn_to_the_pool_and_come_nearer_to_the_truth() -> None:
    rng = np.random.default_rng(4)
    own_error = drawn_error = 0.0
    covered = 0
    for _ in range(40):
        truth = tuple(rng.normal(0.8, 0.1, 8))
        fit = fit_impact(simulated(rng, coefficients=truth, parents=40, noise=0.03))
        for group, true in enumerate(truth):
            found = fit.groups[group]
            assert found.own is not None
            assert min(found.own, fit.pool.value) <= found.value <= max(found.own, fit.pool.value)
            own_error += (found.own - true) ** 2
            drawn_error += (found.value - true) ** 2
            covered += found.low <= true <= found.high
    assert drawn_error < 0.8 * own_error
    assert covered >= 300  # of 320; 296 if the uncertainty of the spread is left out


def test_three_groups_say_too_little_of_their_spread_to_be_drawn() -> None:
    fit = fit_impact(simulated(np.random.default_rng(10), coefficients=(0.4, 0.8, 1.2), parents=40))
    assert [one.value for one in fit.groups.values()] == [one.own for one in fit.groups.values()]


def test_a_group_of_few_gets_the_mean_of_all_with_the_spread_of_groups() -> None:
    rng = np.random.default_rng(5)
    many = simulated(rng, coefficients=(0.4, 0.8, 1.2), parents=100)
    few = many.of((many.group < 2) | (many.parent >= many.parent.max() - PARENTS_MIN + 2))
    fit = fit_impact(few)
    assert fit.groups[2].own is None
    assert fit.groups[2].parents == PARENTS_MIN - 1
    assert fit.groups[2].value == fit.pool.value
    assert fit.groups[2].high - fit.groups[2].low > fit.pool.high - fit.pool.low
    assert fit.pool.parents == 209


def test_the_exponent_is_seen_whatever_it_is() -> None:
    rng = np.random.default_rng(6)
    for exponent, noise in ((0.5, 0.01), (0.7, 0.002)):
        covered = 0
        for _ in range(15):
            found = check_exponent(simulated(rng, coefficients=(1.0,), parents=1_500, noise=noise, exponent=exponent))
            assert found is not None
            assert abs(found.value - exponent) < 0.1
            covered += found.low <= exponent <= found.high
        assert covered >= 13


def test_an_exponent_is_not_claimed_from_noise() -> None:
    rng = np.random.default_rng(7)
    for _ in range(60):
        assert check_exponent(simulated(rng, coefficients=(0.0,), parents=200)) is None
    assert check_exponent(simulated(np.random.default_rng(8), coefficients=(1.0,), parents=30, noise=0.0)) is None


def test_too_few_parents_are_refused() -> None:
    few = simulated(np.random.default_rng(9), coefficients=(0.5, 0.5), parents=PARENTS_MIN - 1, fills=50)
    with pytest.raises(CallerError, match="no group has 10 parents, the largest of 2 has 9; nothing was fitted"):
        fit_impact(few)
    with pytest.raises(CallerError, match="nothing was fitted"):
        fit_impact(few.of(few.group > 5))


@pytest.mark.parametrize(
    "wrong",
    [
        {"share": np.array([0.1, 0.0])},
        {"volatility_bps": np.array([1.0, -1.0])},
        {"shortfall_bps": np.array([1.0, np.nan])},
        {"share": np.array([0.1])},
        {"share": np.array([0.1, np.inf])},
    ],
)
def test_what_is_no_execution_is_refused(wrong: dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]) -> None:
    columns = {name: np.array([1.0, 1.0]) for name in ("shortfall_bps", "volatility_bps", "share")} | wrong
    with pytest.raises(CallerError, match="nothing was fitted"):
        Executions(
            shortfall_bps=columns["shortfall_bps"],
            volatility_bps=columns["volatility_bps"],
            share=columns["share"],
            parent=np.array([1, 2]),
            group=np.array([0, 0]),
        )
