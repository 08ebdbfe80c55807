"""Maximum likelihood: the search, and errors that know which samples share a market.

Needs the `lab` extra.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sor.errors import CallerError
from sor.lab.bootstrap import BLOCKS_MIN
from sor.models.survival import Floats, Ints

try:
    from scipy.optimize import minimize
except ImportError as error:  # the base install has no scipy: routing does not fit
    raise CallerError("fitting needs scipy, which is not installed; nothing was computed. Install sor[lab]") from error

Objective = Callable[[Floats], tuple[float, Floats, Floats]]
"""Value, gradient (D,) and Hessian (D, D) of what is minimised; the value is infinite where it has none."""

_GRADIENT = 1e-8
"""Length of the gradient at which the search ends; one Newton step then takes it to rounding."""
_GRADIENT_ACCEPTED = 1e-6
_STEPS_MAX = 500


def minimum(objective: Objective, start: Floats) -> tuple[Floats, Floats]:
    """Where a smooth convex function is least, and its Hessian there.

    objective    of the order of 1, such as a mean over samples.
    Raises       CallerError if there is no such point: the samples do not say what a parameter is.
    """
    held: list[tuple[bytes, tuple[float, Floats, Floats]]] = []

    def at(theta: Floats) -> tuple[float, Floats, Floats]:
        """Value and derivatives in one pass, which the search asks for one by one."""
        key = theta.tobytes()
        if not held or held[0][0] != key:
            held[:] = [(key, objective(theta))]
        return held[0][1]

    found = minimize(
        lambda theta: at(theta)[0],
        start,
        method="trust-exact",
        jac=lambda theta: at(theta)[1],
        hess=lambda theta: at(theta)[2],
        options={"gtol": _GRADIENT, "maxiter": _STEPS_MAX},
    )
    theta = np.asarray(found.x, np.float64)
    _, slope, bend = objective(theta)
    try:
        theta = theta - np.linalg.solve(bend, slope)
        value, slope, bend = objective(theta)
        np.linalg.cholesky(bend)
    except np.linalg.LinAlgError:
        value = np.inf
    if not np.isfinite(value) or float(np.abs(slope).max()) > _GRADIENT_ACCEPTED:
        raise CallerError(
            "the likelihood has no maximum: the samples do not say what a parameter is; nothing was fitted. Leave out "
            "covariates that are constant or follow from others, or use a ridge"
        )
    return theta, bend


def covariance(bend: Floats, *, scores: Floats | None, rows: int) -> Floats | None:
    """Covariance (D, D) of what was fitted to `rows` rows.

    bend      (D, D), the negative Hessian of the whole log-likelihood, penalties included.
    scores    (G, D), gradients of the log-likelihood by block: errors are then robust, and clustered, and None with
              fewer than BLOCKS_MIN blocks. Without: the inverse of `bend`, the model's own.
    Source    Liang, Zeger 1986, with the usual correction G / (G - 1) x (rows - 1) / (rows - D).
    """
    inverse: Floats = np.asarray(np.linalg.inv(bend), np.float64)
    if scores is None:
        return inverse
    blocks, width = scores.shape
    if blocks < BLOCKS_MIN:
        return None
    off = scores - scores.mean(axis=0)  # penalties keep their sum from being 0
    correction = blocks / (blocks - 1) * (rows - 1) / (rows - width)
    robust: Floats = correction * (inverse @ (off.T @ off) @ inverse)
    return robust


def sums_by_block(values: Floats, block: Ints) -> Floats:
    """Sums of (R, D) values over each block that has rows, (G, D); `block` (R,) int64."""
    numbers, place = np.unique(block, return_inverse=True)
    sums: Floats = np.stack([np.bincount(place, column, len(numbers)) for column in values.T], axis=1)
    return sums


def as_rows(matrix: Floats | None) -> tuple[tuple[float, ...], ...]:
    """A matrix as rows of plain numbers; none of None."""
    return () if matrix is None else tuple([tuple(row) for row in matrix.tolist()])
