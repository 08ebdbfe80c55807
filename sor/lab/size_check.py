"""How the fill rate falls with size: probes as large as what stands at the touch, against the fit on the smallest.

The fit knows own size as a part of the queue: twice the order waits as long as one behind twice the queue. Larger
probes on the held-out part, at the touch and a tick inside it, say whether that holds: their fills by the longest wait,
observed and forecast, and the ratio of the two rates, 1 where size counts like queue. A probe is filled when its last
lot is. That nobody reacts to it is assumed as for any probe; it is the larger an assumption the larger the probe.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import msgspec
import numpy as np

from sor.lab.bootstrap import interval
from sor.lab.calibration import CalibrationPlan, Fitted, SizeCheck
from sor.lab.calibration_sample import Progress, Sample, draw_sample
from sor.lab.scores import censoring_weights, hazard_forecast
from sor.models.survival import CENSORED, FILLED
from sor.tape import Tape

_TIMES_MIN = 2
"""Sizes that differ by less say nothing of size."""
_SURE = 1e-9


def check_size(
    tapes: Sequence[Tape], sample: Sample, plan: CalibrationPlan, fitted: Fitted, progress: Progress
) -> SizeCheck | None:
    """Probes of the median size at the touch; None where that is hardly more than the smallest order."""
    probes = sample.probes
    touch = probes.ahead_lots[(probes.inside_ticks == 0) & (probes.ahead_lots > 0)]
    lots = int(np.median(touch)) if len(touch) else 0
    if lots < _TIMES_MIN * int(np.median(probes.lots)):
        return None
    progress(f"probing with {lots} lots")
    large = draw_sample(tapes, msgspec.structs.replace(plan, scattered=0), progress, lots=lots)
    held, horizon_s = large.held, fitted.horizon_s
    waited = np.minimum(large.probes.rested_s, horizon_s + 1e-6)[held]
    cause = np.where(large.probes.filled[held] & (waited <= horizon_s), FILLED, CENSORED)
    forecast = float(hazard_forecast(fitted.hazard.model, large.probes.covariates[held]).at(horizon_s).mean())
    filled = censoring_weights(waited, cause, horizon_s=horizon_s) * (cause == FILLED)
    observed = interval(filled, large.blocks(held, horizon_s), np.random.default_rng([plan.seed, 9]))
    ends = [None if end is None else _rate(end) / _rate(forecast) for end in (observed.low, observed.high)]
    return SizeCheck(
        horizon_s=horizon_s,
        lots=lots,
        forecast=forecast,
        observed=observed,
        rate_ratio=_rate(observed.mean) / _rate(forecast),
        rate_ratio_low=ends[0],
        rate_ratio_high=ends[1],
    )


def _rate(probability: float) -> float:
    """Hazard that gives this probability of a fill."""
    return -log(1.0 - min(max(probability, _SURE), 1.0 - _SURE))
