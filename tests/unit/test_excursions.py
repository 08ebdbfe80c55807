"""The excursion budget on orders whose answer is known, and where there is none."""

from __future__ import annotations

from math import exp

import msgspec
import numpy as np
import pytest

from sor.ids import Symbol, VenueName
from sor.lab.calibration import ExcursionBudget, Refusal
from sor.lab.calibration_sample import draw_sample
from sor.lab.excursions import Stays, budget_of, stays_of
from sor.lab.publish import param_set_of
from sor.params import ParamStore
from tests.fakes.planted import PLAN, found, planted, quietly

SAVED, LOST, SHARE, REACH = 4.0, 25.0, 0.92, 2.0


def trending(seed: int, count: int = 6_000, *, lost: float = LOST, share: float = SHARE) -> Stays:
    """A mid that comes back with probability `share`, from an exponential excursion, and fills; or runs `lost` away.

    Of those that were b away the share r = share e^(-b / REACH) / (share e^(-b / REACH) + 1 - share) comes back, so
    staying costs (1 - r) (lost - b) - r (SAVED + b) from there.
    """
    rng = np.random.default_rng(seed)
    back = rng.random(count) < share
    excursion = np.where(back, rng.exponential(REACH, count), lost)
    return Stays(
        cost_bps=np.where(back, -SAVED, lost),
        excursion_bps=excursion,
        block=np.arange(count) * 30 // count,
        held=np.arange(count) >= 0.7 * count,
    )


def truth() -> float:
    """Where that cost is 0, by halving."""
    low, high = 0.0, LOST
    while high - low > 1e-9:
        middle = 0.5 * (low + high)
        back = SHARE * exp(-middle / REACH)
        saves = (1.0 - SHARE) * (LOST - middle) < back * (SAVED + middle)
        low, high = (middle, high) if saves else (low, middle)
    return low


def test_the_known_budget_comes_out() -> None:
    assert 2.0 < truth() < 3.0
    budget = budget_of(trending(1, 40_000), horizon_s=15.0, seed=3)
    assert isinstance(budget, ExcursionBudget)
    assert budget.value_bps == pytest.approx(truth(), rel=0.1)
    assert budget.remaining_below_bps < -0.5 < 0.5 < budget.remaining_beyond.mean
    assert (budget.orders, budget.blocks) == (28_000, 21)


def test_its_interval_covers_it() -> None:
    budgets = [budget_of(trending(seed, 20_000), horizon_s=15.0, seed=3) for seed in range(12)]
    told = [one for one in budgets if isinstance(one, ExcursionBudget)]
    assert len(told) >= 9
    assert sum(one.low_bps <= truth() <= one.high_bps for one in told) >= len(told) - 2


def without_memory() -> Stays:
    """A symmetric walk of steps of 1 bp with a fill at -2: what comes back to it is as likely from anywhere."""
    rng = np.random.default_rng(4)
    count, steps = 4_000, 60
    path = np.cumsum(rng.choice([-1.0, 1.0], (count, steps)), axis=1)
    hit = path <= -2.0
    filled = hit.any(axis=1)
    rested = np.where(np.cumsum(hit, axis=1) > 0, -np.inf, path)
    return Stays(
        cost_bps=np.where(filled, -6.0, path[:, -1]),
        excursion_bps=np.maximum(rested.max(axis=1), 0.0),
        block=np.arange(count) * 30 // count,
        held=np.arange(count) >= 0.7 * count,
    )


@pytest.mark.parametrize(
    ("stays", "reason"),
    [
        (without_memory(), "staying"),
        (trending(1, share=0.5), "staying does not pay from"),
        (trending(1)._replace(block=np.arange(6_000) // 1_000), "5 blocks of time to fit on where 12 are needed"),
        (trending(1)._replace(held=np.zeros(6_000, np.bool_)), "blocks of time to fit on where 12 are needed"),
        (trending(1)._replace(excursion_bps=np.zeros(6_000)), "hardly ever leaves an order"),
        (trending(2, 600), "by more than noise"),
    ],
)
def test_what_tapes_do_not_support_is_refused(stays: Stays, reason: str) -> None:
    budget = budget_of(stays, horizon_s=15.0, seed=3)
    assert isinstance(budget, Refusal)
    assert budget.horizon_s == 15.0
    assert all(part in budget.reason for part in reason.split("%"))


def test_a_budget_that_loses_on_later_time_is_refused() -> None:
    stays = trending(1, 40_000)
    turned = np.where(stays.held, -SAVED, stays.cost_bps)  # from then on everybody comes back
    budget = budget_of(stays._replace(cost_bps=turned), horizon_s=15.0, seed=3)
    assert isinstance(budget, Refusal)
    assert "out of sample staying costs" in budget.reason


def test_stays_are_those_of_the_probes() -> None:
    sample = draw_sample([planted(400)], msgspec.structs.replace(PLAN, horizons_s=(5.0,)), quietly)
    stays = stays_of(sample, 5.0, fee_gap_bps=3.0)
    probes = sample.probes
    assert 0 < len(stays.held) <= len(probes.side)
    # At the touch a fill saves the spread and the difference of the fees; a tick is about a basis point here.
    filled = stays.cost_bps < 0.0
    assert filled.any()
    assert np.quantile(-stays.cost_bps[stays.cost_bps < -3.0] - 3.0, [0.01, 0.99]) == pytest.approx(
        [1.0, 3.0], abs=0.05
    )
    unfilled = stays.cost_bps > 0.0
    assert (stays.cost_bps[unfilled] <= stays.excursion_bps[unfilled] + 1e-9).all()


def test_a_budget_is_published_with_its_fees() -> None:
    budget = budget_of(trending(1, 40_000), horizon_s=5.0, seed=3)
    assert isinstance(budget, ExcursionBudget)
    told = msgspec.structs.replace(found(), excursion=msgspec.structs.replace(budget, fees="maker 2 bps, taker 5 bps"))
    made, _ = param_set_of(told, ParamStore().get("baseline", now_ns=0), set_id="acme/2026-11-21")
    record = next(one for one in made.records if one.id == "placement.excursion_bps")
    assert float(str(record.value)) == pytest.approx(budget.value_bps, rel=1e-5)
    evidence = made.evidence_of(record)
    assert evidence.fee_tier == "maker 2 bps, taker 5 bps"
    assert evidence.sample_size == budget.orders
    here = made.resolve(VenueName("rec"), Symbol("BTCUSDT"), now_ns=0)
    assert "placement.excursion_bps" in here
    # The made-up market itself has no memory: what it says is a refusal.
    assert isinstance(found().excursion, Refusal)
