"""What is read off the tapes that `cost_aware` is fitted to, for everybody else: scales, and the excursion budget.

`join_and_cross` and `market_limit_qvi` judge by measured flow with one factor each, and by one factor of the drift.
Probes at the touch say which factors make the share filled by the horizon, and the mean move of the unfilled, come out
right on those tapes.

The excursion budget is a term of the parents, as a desk would give it: so much that a minute's move of the mid hardly
exceeds it. It goes by volatility alone and is the same for every arm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from benchmarks.placement.study import LATENCY_NS
from sor.lab.probes import ProbePlan, columns_with_delay, draw_probes, joined
from sor.models.covariates import COVARIATES
from sor.models.drift import selection
from sor.tape import Tape
from sor.units import BPS, NS, to_ns

Floats = NDArray[np.float64]

EVERY_NS = 10 * NS
"""Waits that overlap bias no mean."""
SCALE_MIN, SCALE_MAX = 0.01, 10.0
DRIFT_MAX = 5.0
"""Bounds of the parameters."""
BUDGET_DEVIATIONS = 2.0
BUDGET_STEP_BPS = 5.0
MINUTE_NS = 60 * NS
_BISECTIONS = 40


def budget_of(tapes: Sequence[Tape], *, from_s: float = 0.0, until_s: float | None = None) -> float:
    """Two standard deviations of the mid's move in a minute, bps, rounded up to a multiple of 5.

    from_s, until_s    of each tape's time, counted from its beginning.
    """
    moves = []
    for tape in tapes:
        columns = columns_with_delay(tape, 0)
        begin_ns = int(columns.group_local_ns[columns.first_group])
        end_ns = int(columns.group_local_ns[-1]) if until_s is None else begin_ns + to_ns(until_s)
        times = np.arange(begin_ns + to_ns(from_s), end_ns, MINUTE_NS)
        row = columns.group_local_ns.searchsorted(times, "right") - 1
        both = (columns.bid_depth[row] > 0) & (columns.ask_depth[row] > 0)
        mid = columns.bid_ticks[row, 0].astype(np.float64)[both] + columns.ask_ticks[row, 0][both]
        moves.append(BPS * np.diff(mid) / mid[:-1])
    deviation = float(np.concatenate(moves).std())
    return BUDGET_STEP_BPS * max(1, ceil(BUDGET_DEVIATIONS * deviation / BUDGET_STEP_BPS))


def scales_of(
    tapes: Sequence[Tape], *, horizon_s: float, queue: str, from_s: float = 0.0, until_s: float | None = None
) -> dict[str, float]:
    """`placement.fill_rate_scale`, `split.outflow_scale` and `placement.drift_scale` for waits of this length.

    from_s, until_s    of each tape's time, counted from its beginning.
    """
    plan = ProbePlan(
        every_ns=EVERY_NS, grid_ns=(to_ns(horizon_s),), inside_ticks=(0,), queue=queue, entry_ns=LATENCY_NS
    )
    found = joined(
        [
            draw_probes(
                tape,
                plan,
                from_ns=None if not from_s else int(tape.group_venue_ns[0]) + to_ns(from_s),
                until_ns=None if until_s is None else int(tape.group_venue_ns[0]) + to_ns(until_s),
            )
            for tape in tapes
        ]
    )
    whole = found.take(found.filled | (found.rested_s >= horizon_s))
    share = float(whole.filled.mean())
    queue_s: Floats = np.exp(whole.covariates[:, COVARIATES.index("log_queue_s")])
    lost = whole.moves_bps[~whole.filled & np.isfinite(whole.moves_bps[:, 0]), 0]
    bound = float(whole.volatility.mean()) * sqrt(horizon_s) * selection(share)
    return {
        "placement.fill_rate_scale": matched(lambda scale: -np.expm1(-scale * horizon_s / queue_s), share),
        "split.outflow_scale": matched(lambda scale: np.exp(-queue_s / (scale * horizon_s)), share),
        "placement.drift_scale": min(max(float(lost.mean()) / bound, 0.0), DRIFT_MAX) if len(lost) and bound else 1.0,
    }


def matched(filled: Callable[[float], Floats], share: float) -> float:
    """The scale at which the mean chance, which rises with it, is the share that was filled."""
    low, high = SCALE_MIN, SCALE_MAX
    for _ in range(_BISECTIONS):
        middle = sqrt(low * high)
        if float(filled(middle).mean()) < share:
            low = middle
        else:
            high = middle
    return sqrt(low * high)
