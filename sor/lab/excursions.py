"""The excursion budget: how far the mid may leave a resting order before staying costs more than crossing.

Orders at the touch or one tick inside are followed to the longest wait: C is what each has cost by then against
crossing at once, -A if it was filled and the move of the mid if not. Of those whose mid has been b away at some time,
staying from there costs C - b on average, as crossing there costs b. That is the remaining cost at excursion b, and the
budget is where it turns from a saving into a cost. It is taken to rise with b (isotonic regression); a mid without
memory would never turn it, and then there is no budget: that is the usual answer.

Errors       By blocks of time that are drawn again; refused where fewer than 95 % of the draws have such a level.
Check        On the held-out end of the tapes staying must save from half of the budget, and cost, by more than noise,
             from half-way between it and the farthest excursions. (At the budget itself both cost the same.)

Not promised: a mid that jumps over several ticks at once is crossed dearer than at the next of them. An order that is
moved is another one.

Source       methods 6.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from sor.lab.bootstrap import LEVEL, Interval, interval
from sor.lab.calibration import CalibrationPlan, ExcursionBudget, Refusal
from sor.lab.calibration_sample import Progress, Sample, draw_sample, known_by
from sor.models.survival import Flags, Floats, Ints
from sor.tape import Tape
from sor.units import BPS, NS

_LEVELS = 40
_REACHED = 0.02
"""Share of the orders that the highest level is reached by."""
_BLOCKS_MIN = 12
"""The budget has a percentile interval, which few blocks make too narrow."""
_DRAWS = 500
_E8_PER_BPS = 1e4


class Stays(NamedTuple):
    """N orders that stayed where they were: what each cost against crossing at once, and how far the mid went.

    cost_bps       (N,) by the end of the wait. excursion_bps: (N,) the largest adverse move while it rested, >= 0.
    block, held    (N,) as of a `Sample`.
    """

    cost_bps: Floats
    excursion_bps: Floats
    block: Ints
    held: Flags


def fit_budget(
    tapes: Sequence[Tape], sample: Sample, plan: CalibrationPlan, horizon_s: float, progress: Progress
) -> ExcursionBudget | Refusal:
    """The budget of orders that rest for up to `horizon_s`, or why there is none."""
    if horizon_s < plan.horizons_s[-1]:  # probes of the sample were followed for longer, and so were their excursions
        horizons_s = tuple(one for one in plan.horizons_s if one <= horizon_s)
        sample = draw_sample(tapes, msgspec.structs.replace(plan, horizons_s=horizons_s, scattered=0), progress)
    instrument = tapes[0].instrument
    taker, maker = instrument.taker_fee_e8 / _E8_PER_BPS, instrument.maker_fee_e8 / _E8_PER_BPS
    found = budget_of(stays_of(sample, horizon_s, fee_gap_bps=taker - maker), horizon_s=horizon_s, seed=plan.seed)
    if isinstance(found, Refusal):
        return found
    return msgspec.structs.replace(found, fees=f"maker {maker:g} bps, taker {taker:g} bps")


def stays_of(sample: Sample, horizon_s: float, *, fee_gap_bps: float) -> Stays:
    """The orders of a sample that was followed for no longer than the horizon.

    fee_gap_bps    what a taker pays more than a maker.
    """
    probes, horizon_ns = sample.probes, round(horizon_s * NS)
    moves = probes.moves_bps[:, probes.plan.grid_ns.index(horizon_ns)]
    filled = probes.filled_ns <= probes.arrived_ns + horizon_ns
    near = (probes.inside_ticks == 0) | (probes.inside_ticks == 1)
    chosen = near & known_by(probes, horizon_ns) & (filled | np.isfinite(moves))
    # Once it is known what became of it, a probe is on one side of the split or on the other.
    chosen &= sample.held | sample.fits(horizon_s)
    mid = probes.mid_hticks / 2.0
    saved = probes.spread_bps / 2.0 + BPS * probes.side * (mid - probes.price_ticks) / mid + fee_gap_bps
    return Stays(
        cost_bps=np.where(filled, -saved, moves)[chosen],
        excursion_bps=probes.excursion_bps[chosen],
        block=sample.blocks(chosen, horizon_s),
        held=sample.held[chosen],
    )


def budget_of(stays: Stays, *, horizon_s: float, seed: int) -> ExcursionBudget | Refusal:
    """The level at which the remaining cost of staying turns from a saving into a cost, or why there is none."""
    ours = ~stays.held
    cost, excursion = stays.cost_bps[ours], stays.excursion_bps[ours]
    numbers, place = np.unique(stays.block[ours], return_inverse=True)
    if len(numbers) < _BLOCKS_MIN or not stays.held.any():
        return Refusal(
            horizon_s, f"{len(numbers)} blocks of time to fit on where {_BLOCKS_MIN} are needed: record for longer"
        )
    top = float(np.quantile(excursion, 1.0 - _REACHED))
    if top <= 0.0:
        return Refusal(horizon_s, "the mid hardly ever leaves an order that rests")
    even: Floats = np.arange(1, _LEVELS + 1, dtype=np.float64) * (top / _LEVELS)
    # A mid on a grid of ticks is crossed where it is, not between: a level is the least excursion beyond it.
    levels: Floats = np.unique([_next(excursion, level) for level in even.tolist()])
    counts, sums = np.zeros((len(numbers), len(levels))), np.zeros((len(numbers), len(levels)))
    for at, level in enumerate(levels.tolist()):
        reached = excursion >= level
        counts[:, at] = np.bincount(place[reached], minlength=len(numbers))
        sums[:, at] = np.bincount(place[reached], weights=cost[reached], minlength=len(numbers))

    def turn(times: Floats) -> float:
        """The budget of blocks that are there so often, (blocks,); NaN for none."""
        orders = times @ counts
        known = orders > 0.0
        return _turn(levels[known], (times @ sums)[known] / orders[known] - levels[known], orders[known])

    value = turn(np.ones(len(numbers)))
    if not np.isfinite(value):
        remaining = float(sums[:, 0].sum() / counts[:, 0].sum() - levels[0])
        if remaining >= 0.0:
            return Refusal(
                horizon_s, f"staying does not pay from the first {levels[0]:.3g} bps on: no level to wait for"
            )
        return Refusal(horizon_s, f"staying pays at every excursion seen, up to {top:.3g} bps: no level to cross at")
    rng = np.random.default_rng([seed, 11])
    drawn = rng.multinomial(len(numbers), np.full(len(numbers), 1.0 / len(numbers)), _DRAWS)
    turns = np.array([turn(times.astype(np.float64)) for times in drawn])
    sure = float(np.isfinite(turns).mean())
    if sure < LEVEL:
        return Refusal(
            horizon_s, f"{value:.3g} bps looks like a budget, but in {1.0 - sure:.0%} of redrawn tapes there is none"
        )
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.nanquantile(turns, (tail, 1.0 - tail)).tolist()
    below, beyond = (_remaining(stays, level, rng) for level in (0.5 * value, 0.5 * (value + top)))
    if below is None or beyond is None or below.mean >= 0.0 or beyond.low is None or beyond.low <= 0.0:
        return Refusal(
            horizon_s,
            f"out of sample staying costs {_told(below)} from half of {value:.3g} bps on and {_told(beyond)} from "
            "beyond it, where the first should save and the second cost by more than noise",
        )
    return ExcursionBudget(
        horizon_s=horizon_s,
        orders=int(ours.sum()),
        blocks=len(numbers),
        value_bps=value,
        low_bps=min(low, value),
        high_bps=max(high, value),
        remaining_below_bps=below.mean,
        remaining_beyond=beyond,
    )


def _remaining(stays: Stays, level: float, rng: np.random.Generator) -> Interval | None:
    """What staying costs from the level on, against crossing there, on the held-out part; None where nobody came."""
    reached = stays.held & (stays.excursion_bps >= level)
    if not reached.any():
        return None
    return interval(stays.cost_bps[reached] - _next(stays.excursion_bps[reached], level), stays.block[reached], rng)


def _told(remaining: Interval | None) -> str:
    if remaining is None:
        return "nobody anything"
    within = "" if remaining.low is None else f" [{remaining.low:+.3f}, {remaining.high:+.3f}]"
    return f"{remaining.mean:+.3f}{within} bps"


def _next(excursion: Floats, level: float) -> float:
    """The least excursion at or beyond a level; there is one."""
    return float(excursion[excursion >= level].min())


def _turn(levels: Floats, remaining: Floats, weights: Floats) -> float:
    """Where a rising curve that is nearest to the remaining costs goes from below 0 to above; NaN where it does not."""
    rising = _isotonic(remaining, weights)
    if not len(rising) or rising[0] >= 0.0 or rising[-1] < 0.0:
        return float("nan")
    after = int((rising >= 0.0).argmax())
    part = -rising[after - 1] / (rising[after] - rising[after - 1])
    return float(levels[after - 1] + part * (levels[after] - levels[after - 1]))


def _isotonic(values: Floats, weights: Floats) -> Floats:
    """The rising sequence of least weighted squared distance: neighbours that fall are pooled."""
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        pool = (value, weight, 1)
        while pools and pools[-1][0] > pool[0]:
            before = pools.pop()
            whole = before[1] + pool[1]
            pool = ((before[0] * before[1] + pool[0] * pool[1]) / whole, whole, before[2] + pool[2])
        pools.append(pool)
    return np.repeat([pool[0] for pool in pools], [pool[2] for pool in pools])
