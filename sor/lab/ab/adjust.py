"""Less noise in a comparison by what was known before arms were given out: CUPED, and regression with interactions.

Only what was measured before assignment may adjust (spread and volatility at arrival, forecast cost, size over depth):
anything later is itself an effect of the arm, and adjusting for it removes what is to be measured.

`adjusted` is Deng, Xu, Kohavi and Walker (2013) with any number of covariates; the variance falls by the share that
they explain. `effect` is Lin's (2013) estimator: outcomes on arm, centred covariates and their products, which is never
worse than the plain difference in large samples, with errors clustered by block (Liang and Zeger 1986, with the usual
correction for few clusters), as parents of one hour share their market. Source: methods 8.2.
"""

from __future__ import annotations

from math import sqrt

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

CLUSTERS_MIN = 10
"""Fewer clusters than this give errors that are too small whatever is done."""


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """Mean outcome of treated less that of others.

    error        standard error, clustered. clusters: how many there are; its t has one degree of freedom less.
    explained    share of the outcome's variance within arms that covariates took away.
    """

    mean: float
    error: float
    clusters: int
    explained: float


def adjusted(outcomes: Floats, covariates: Floats) -> Floats:
    """Outcomes less what covariates from before forecast of them, (N,); the mean stays.

    outcomes      (N,) of all arms together. covariates: (N,) or (N, C), measured before assignment.
    """
    columns = _columns(outcomes, covariates)
    centred = columns - columns.mean(axis=0)
    slope, *_ = np.linalg.lstsq(centred, outcomes - outcomes.mean(), rcond=None)
    rest: Floats = outcomes - centred @ slope
    return rest


def effect(outcomes: Floats, treated: Flags, covariates: Floats, cluster: Ints) -> Effect:
    """Average effect of treatment on the outcome.

    outcomes      (N,) finite. treated: (N,). covariates: (N,) or (N, C). cluster: (N,) block of time or symbol.
    Raises        CallerError for an arm without parents, and fewer clusters than CLUSTERS_MIN.
    """
    columns = _columns(outcomes, covariates)
    if treated.shape != outcomes.shape or cluster.shape != outcomes.shape or treated.all() or not treated.any():
        raise CallerError("both arms need parents, each with a block; nothing was computed")
    clusters, member = np.unique(cluster, return_inverse=True)
    if len(clusters) < CLUSTERS_MIN:
        raise CallerError(
            f"{len(clusters)} blocks are too few for an error that can be believed; nothing was computed. "
            f"{CLUSTERS_MIN} are needed"
        )
    arm = treated.astype(np.float64)
    centred = columns - columns.mean(axis=0)
    design = np.column_stack([np.ones(len(outcomes)), arm, centred, centred * arm[:, np.newaxis]])
    bread = np.linalg.pinv(design.T @ design)
    slope = bread @ design.T @ outcomes
    residual = outcomes - design @ slope
    scores = np.zeros((len(clusters), design.shape[1]))
    np.add.at(scores, member, design * residual[:, np.newaxis])
    count, terms, groups = len(outcomes), design.shape[1], len(clusters)
    few = groups / (groups - 1.0) * (count - 1.0) / (count - terms)
    covariance = few * bread @ scores.T @ scores @ bread
    plain = np.where(treated, outcomes - outcomes[treated].mean(), outcomes - outcomes[~treated].mean())
    before = float(plain @ plain)
    return Effect(
        mean=float(slope[1]),
        error=sqrt(float(covariance[1, 1])),
        clusters=groups,
        explained=1.0 - float(residual @ residual) / before if before > 0.0 else 0.0,
    )


def _columns(outcomes: Floats, covariates: Floats) -> Floats:
    columns = covariates[:, np.newaxis] if covariates.ndim == 1 else covariates
    if outcomes.ndim != 1 or len(columns) != len(outcomes) or not len(outcomes):
        raise CallerError(f"{len(outcomes)} outcomes beside {len(columns)} rows of covariates; nothing was computed")
    if not (np.isfinite(outcomes).all() and np.isfinite(columns).all()):
        raise CallerError("an outcome or a covariate is not finite; nothing was computed. Leave such parents out")
    return columns
