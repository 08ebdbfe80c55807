"""Fills drawn from a known hazard, with a touch that moves away and a watcher who stops watching."""

import numpy as np

from sor.models.fill_hazard import EDGES_S, CauseHazard, FillHazard, rate_logit
from sor.models.survival import CENSORED, FILLED, MOVED_AWAY, Floats, Ints

NAMES = ("queue", "lean", "noise")


def planted() -> FillHazard:
    """Fills slow down with age, the touch moves away at one rate; the third covariate means nothing."""
    widths = np.diff(EDGES_S)
    fills = [rate_logit(0.12 / (1.0 + 0.05 * edge), width) for edge, width in zip(EDGES_S[:-1], widths, strict=True)]
    return FillHazard(
        edges_s=EDGES_S,
        names=NAMES,
        fill=CauseHazard(alphas=tuple(fills), coefs=(-0.8, 0.5, 0.0)),
        away=CauseHazard(alphas=tuple(rate_logit(0.04, width) for width in widths), coefs=(0.3, -0.4, 0.0)),
    )


def times_to(cause: CauseHazard, covariates: Floats, rng: np.random.Generator) -> Floats:
    """(N,) times to an end of the cause alone, infinite if not by the last edge; a constant rate within each bin."""
    edges = np.array(EDGES_S)
    spent = np.logaddexp(0.0, np.array(cause.alphas) + (covariates @ np.array(cause.coefs))[:, None])
    spent = np.concatenate((np.zeros((len(spent), 1)), np.cumsum(spent, axis=1)), axis=1)
    drawn = rng.exponential(size=len(spent))
    return np.array([np.interp(one, row, edges, right=np.inf) for one, row in zip(drawn, spent, strict=True)])


def drawn_fills(
    model: FillHazard, covariates: Floats, rng: np.random.Generator, *, watched_s: float = np.inf
) -> tuple[Floats, Ints]:
    """(N,) durations and causes; each is watched for an exponential time of mean `watched_s`, and 300 s at most."""
    fills = times_to(model.fill, covariates, rng)
    assert model.away is not None
    moves = times_to(model.away, covariates, rng)
    stops = np.full(len(fills), EDGES_S[-1])
    if np.isfinite(watched_s):
        stops = np.minimum(stops, rng.exponential(watched_s, len(fills)))
    durations = np.minimum(np.minimum(fills, moves), stops)
    causes = np.select([durations == fills, durations == moves], [FILLED, MOVED_AWAY], CENSORED)
    return durations, causes
