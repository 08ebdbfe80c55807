"""Fits of what the unfilled lose and the filled find: `sor.models.drift` on probes.

Both are weighted least squares of a few terms, with a ridge of `RIDGE` rows' weight on the coefficients of covariates,
and errors clustered by block of time: rows of one probe, and probes of one minute, say the same thing again.

drift      a row for each probe and time of the grid at which it was still there: the move of the mid by then, against
           the Gaussian bound at the fill probability that the hazard gives it. Forgetting the filled is the point here:
           it is what the unfilled lose. Forgetting the unfilled anywhere else is the usual mistake.
markout    a row for each filled probe.
"""

from __future__ import annotations

from math import sqrt

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.lab.probes import Probes
from sor.models.covariates import COVARIATES, unit_bps
from sor.models.drift import (
    DRIFT_COVARIATES,
    FORM_MAX,
    MARKOUT_COVARIATES,
    Drift,
    Markout,
    selection,
)
from sor.tape import IntColumn
from sor.units import NS

Floats = NDArray[np.float64]

_DRIFT_AT = [COVARIATES.index(name) for name in DRIFT_COVARIATES]
_MARKOUT_AT = [COVARIATES.index(name) for name in MARKOUT_COVARIATES]
_Z = 1.959963984540054
_ROWS_MIN = 50
RIDGE = 10.0
"""A covariate that was out of the ordinary for a handful of rows is not to be believed by those."""


class LinearFit(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A weighted least-squares fit: D terms.

    coefs, errors    (D,), errors clustered by block.
    covariance       (D, D). rows, blocks: how many there were.
    """

    coefs: Floats
    errors: Floats
    covariance: Floats
    rows: int
    blocks: int

    def interval(self, at: int) -> tuple[float, float]:
        """95 % interval of one coefficient."""
        reach = _Z * float(self.errors[at])
        return float(self.coefs[at]) - reach, float(self.coefs[at]) + reach


class DriftRows(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Probes that were still there at times of the grid: R rows.

    probe, at        (R,) the probe's number, and which time of the grid.
    moves_bps        (R,) of the mid by then, adverse positive.
    bound            (R,) sqrt(tau) m(p), sqrt(s). unit: (R,) see `covariates.unit_bps`.
    weight           (R,) 1 / ((unit^2 + its median^2) tau), 1/bps^2: a move varies about as much, and a minute in
                     which nothing moved does not count for all the others.
    terms            (R, 1 + len(DRIFT_COVARIATES)) what the coefficients of the form multiply.
    """

    probe: IntColumn
    at: IntColumn
    moves_bps: Floats
    bound: Floats
    unit: Floats
    weight: Floats
    terms: Floats

    def expected_bps(self, drift: Drift) -> Floats:
        """D of each row."""
        form = np.clip(self.terms @ np.array([drift.base, *drift.coefs]), 0.0, FORM_MAX)
        expected: Floats = self.bound * self.unit * form
        return expected

    def loss(self, drift: Drift) -> Floats:
        """Squared error of each row, (R,), weighted as in the fit: about 1 for one that knows the mean."""
        loss: Floats = (self.moves_bps - self.expected_bps(drift)) ** 2 * self.weight
        return loss


def drift_rows(probes: Probes, resting: Floats) -> DriftRows:
    """Rows of the drift.

    resting    (N, J) P(not filled) at each time of the probes' grid, from the hazard.
    """
    grid = np.array(probes.plan.grid_ns, np.int64)
    ends_ns = probes.arrived_ns[:, None] + grid
    there = (probes.filled_ns[:, None] > ends_ns) & (probes.seen_ns[:, None] >= ends_ns) & np.isfinite(probes.moves_bps)
    probe, at = np.nonzero(there)
    chance = 1.0 - resting[probe, at]
    bound = np.sqrt(grid[at] / NS) * np.array([selection(p) for p in chance.tolist()])
    sigma, spread = probes.volatility[probe], probes.spread_bps[probe]
    unit = unit_bps(volatility=sigma, spread_bps=spread)
    return DriftRows(
        probe=probe,
        at=at,
        moves_bps=probes.moves_bps[probe, at],
        bound=bound,
        unit=unit,
        weight=1.0 / (_scale_squared(unit) * grid[at] / NS),
        terms=np.concatenate((np.ones((len(probe), 1)), probes.covariates[probe][:, _DRIFT_AT]), axis=1),
    )


def fit_drift(rows: DriftRows, *, block: IntColumn, covariates: bool = True) -> tuple[Drift, LinearFit]:
    """The drift model.

    block         (N,) of each probe.
    covariates    whether the form has them; without, only the base.
    Raises        CallerError for too few rows.
    """
    design = (rows.bound * rows.unit)[:, None] * rows.terms
    count = 1 + len(DRIFT_COVARIATES)
    free = np.ones(count, np.bool_)
    free[1:] = covariates
    fit = _least_squares(design, rows.moves_bps, rows.weight, block[rows.probe], penalised=range(1, count), free=free)
    se = sqrt(float(np.einsum("ri,ij,rj->r", rows.terms, fit.covariance, rows.terms).mean()))
    base, *coefs = fit.coefs.tolist()
    return Drift(base=base, coefs=tuple(coefs), se=se), fit


def fit_markout(probes: Probes, *, block: IntColumn, at: int) -> tuple[Markout, LinearFit]:
    """The markout model at the time `at` of the probes' markouts. Raises `CallerError` for too few fills."""
    markouts = probes.markouts_bps[:, at]
    rows = np.flatnonzero(np.isfinite(markouts))
    sigma, spread = probes.volatility[rows], probes.spread_bps[rows]
    after_s = probes.plan.markout_ns[at] / NS
    form = np.concatenate((np.ones((len(rows), 1)), probes.covariates[rows][:, _MARKOUT_AT]), axis=1)
    design = (spread + sigma)[:, None] * form
    count = 1 + len(MARKOUT_COVARIATES)
    weight = 1.0 / (_scale_squared(unit_bps(volatility=sigma, spread_bps=spread)) * after_s + spread**2 / 4.0)
    fit = _least_squares(
        design, markouts[rows], weight, block[rows], penalised=range(1, count), free=np.ones(count, np.bool_)
    )
    mean = design.mean(axis=0)
    base, *coefs = fit.coefs.tolist()
    markout = Markout(
        base=base,
        coefs=tuple(coefs),
        se=sqrt(float(mean @ fit.covariance @ mean)),
        after_s=after_s,
    )
    return markout, fit


def _scale_squared(unit: Floats) -> Floats:
    """What moves in one second are worth, bps^2/s."""
    squared: Floats = unit**2 + (np.median(unit) ** 2 if len(unit) else 0.0)
    return squared


def _least_squares(
    design: Floats, values: Floats, weight: Floats, block: IntColumn, *, penalised: range, free: NDArray[np.bool_]
) -> LinearFit:
    """(D,) coefficients of (R, D) terms; those not free are 0."""
    blocks = np.unique(block)
    if len(values) < _ROWS_MIN or len(blocks) < 2:
        raise CallerError(
            f"{len(values)} rows in {len(blocks)} blocks of time are too few to fit a cost to; nothing was fitted. "
            "Give a longer tape"
        )
    root = np.sqrt(weight)
    scaled = design[:, free] * root[:, None]
    size = np.sqrt((scaled**2).mean(axis=0))
    size[size == 0.0] = 1.0
    scaled /= size
    ridge = np.array([RIDGE if at in penalised else 1e-6 for at in range(design.shape[1])])[free]
    bend = scaled.T @ scaled + np.diag(ridge)
    coefs = np.linalg.solve(bend, scaled.T @ (values * root))
    scores = scaled * (values * root - scaled @ coefs)[:, None]
    place = np.searchsorted(blocks, block)
    sums = np.zeros((len(blocks), len(coefs)))
    np.add.at(sums, place, scores)
    inverse = np.linalg.inv(bend)
    # Few blocks know less than their sum of squares says.
    covariance = inverse @ (sums.T @ sums) @ inverse * (len(blocks) / (len(blocks) - 1))
    whole = np.zeros((design.shape[1], design.shape[1]))
    whole[np.ix_(free, free)] = covariance / np.outer(size, size)
    found = np.zeros(design.shape[1])
    found[free] = coefs / size
    return LinearFit(
        coefs=found,
        errors=np.sqrt(np.diag(whole)),
        covariance=whole,
        rows=len(values),
        blocks=len(blocks),
    )
