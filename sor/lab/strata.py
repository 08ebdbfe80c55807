"""Probes by stratum, and what counting says of each: the baseline of every fit, and how waits end.

A stratum is a place, a third of the queue and a third of the lean, by the thirds of the probes that are fitted. Three
ideas that a fit has to beat, and few enough that each stratum holds probes.

fills    Kaplan-Meier: an order that follows the touch and ends with a fill only.
exits    Aalen-Johansen: an order that stays where it is, and ends with a fill or when the touch has moved away from it,
         whichever is first. Probes overlap, so their intervals are by block of time.

Source    methods 2.4 (1).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from sor.lab.bootstrap import interval
from sor.lab.calibration import Exits
from sor.lab.calibration_sample import BEYOND_NS, Sample
from sor.lab.probes import Probes
from sor.lab.scores import Forecast, censoring_weights, survival_forecast
from sor.models.covariates import COVARIATES
from sor.models.survival import (
    CENSORED,
    FILLED,
    MOVED_AWAY,
    Flags,
    Floats,
    Ints,
    aalen_johansen,
    censoring_curve,
    kaplan_meier,
)
from sor.units import NS

PLACES = ("beyond the middle", "inside", "touch", "behind", "far behind")
"""Where probes stand: inside the spread and nearer to the other side, or to ours; at the own touch; behind it by no
more than one standard deviation of the price over the wait, or by more."""
_TOUCH = PLACES.index("touch")
_THIRDS = 9
"""Strata of one place."""
STRATUM_MIN = 30
"""A stratum with fewer probes counts with all of its place, a place with fewer with all; or it is not told at all."""


def place_of(probes: Probes, horizon_s: float) -> Ints:
    """(N,) where each probe stands for a wait of `horizon_s`, an index into `PLACES`."""
    gap, behind = (probes.covariates[:, COVARIATES.index(name)] for name in ("log_gap", "log_behind"))
    inside, below = probes.inside_ticks > 0, probes.inside_ticks < 0
    far = behind > np.log1p(np.sqrt(horizon_s))
    place: Ints = np.select([inside & (gap < np.log(0.5)), inside, below & far, below], [0, 1, 4, 3], _TOUCH)
    return place


def strata_of(probes: Probes, fits: Flags, place: Ints) -> Ints:
    """(N,) stratum of each probe: nine of each place, by queue and then lean; `fits` says whose thirds count."""
    stratum = place
    for name in ("log_queue_s", "lean"):
        values = probes.covariates[:, COVARIATES.index(name)]
        bounds = np.quantile(values[fits], (1 / 3, 2 / 3))
        stratum = 3 * stratum + np.searchsorted(bounds, values)
    return stratum


def counted_fills(
    place: Ints, strata: Ints, waited: Floats, cause: Ints, fits: Flags, edges: tuple[float, ...]
) -> Forecast:
    """Kaplan-Meier of each probe's stratum, counted on the fitted part."""
    grid = np.array(edges)
    resting = np.tile(kaplan_meier(waited[fits], cause[fits] == FILLED).at(grid), (len(strata), 1))
    for groups in (place, strata):
        for group in np.unique(groups):
            ours = fits & (groups == group)
            if int(ours.sum()) >= STRATUM_MIN:
                resting[groups == group] = kaplan_meier(waited[ours], cause[ours] == FILLED).at(grid)
    return survival_forecast(resting, edges_s=edges)


def first_exits(probes: Probes, horizon_s: float) -> tuple[Floats, Ints]:
    """Seconds to the first end of each probe, (N,), and which it was; followed to just beyond the horizon at most."""
    ended_ns = np.minimum(probes.filled_ns, probes.away_ns)
    last_ns = np.minimum(probes.seen_ns, probes.arrived_ns + round(horizon_s * NS) + BEYOND_NS)
    ended = ended_ns <= last_ns
    cause = np.where(probes.filled_ns <= probes.away_ns, FILLED, MOVED_AWAY)
    waited = (np.minimum(ended_ns, last_ns) - probes.arrived_ns) / NS
    return waited, np.where(ended & (waited <= horizon_s), cause, CENSORED)


def exits_of(sample: Sample, strata: Ints, *, horizon_s: float, seed: int) -> tuple[Exits, ...]:
    """How the waits of each stratum had ended by the horizon, on the whole tapes; `seed` draws the intervals."""
    return tuple(_exits(sample, strata, horizon_s, np.random.default_rng([seed, 7])))


def _exits(sample: Sample, strata: Ints, horizon_s: float, rng: np.random.Generator) -> Iterator[Exits]:
    waited, cause = first_exits(sample.probes, horizon_s)
    for stratum in np.unique(strata).tolist():
        ours = strata == stratum
        place, third = divmod(stratum, _THIRDS)
        if place > _TOUCH or int(ours.sum()) < STRATUM_MIN:
            continue
        still_watched = censoring_curve(waited[ours], cause[ours] != CENSORED).before(np.full(1, horizon_s))
        if float(still_watched[0]) <= 0.0:
            continue
        curve = aalen_johansen(waited[ours], cause[ours])
        block = sample.blocks(ours, horizon_s)
        weight = censoring_weights(waited[ours], cause[ours], horizon_s=horizon_s)
        shares = []
        for which in (FILLED, MOVED_AWAY):
            # The mean of outcomes that are weighted for censoring is the Aalen-Johansen figure itself.
            found = interval(weight * (cause[ours] == which), block, rng)
            shares.append(msgspec.structs.replace(found, mean=float(curve.at(np.full(1, horizon_s), cause=which)[0])))
        yield Exits(
            horizon_s=horizon_s,
            place=PLACES[place],
            queue=third // 3,
            lean=third % 3,
            filled=shares[0],
            moved_away=shares[1],
        )
