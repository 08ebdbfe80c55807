"""Fits of the production model of fills, the discrete-time hazard.

Hazard        Penalised logistic regression on person-periods: a row for each bin that a sample was watched in. Where
              times are known within a bin (`timed`, the default), a row counts with the share of the bin that it was
              watched, at the constant rate within a bin that `sor.models.fill_hazard` has: nobody is dropped who was
              censored half-way, and what the other cause took away is censored, not survived. Without, it is the
              textbook's Bernoulli likelihood, weighted by that share where nothing happened.
Penalties     A ridge on the coefficients of standardised covariates, and one on how far the log of the base rate jumps
              from bin to bin, so that a bin without events has a rate: both are precisions of normal beliefs.
Errors        Standard errors are robust and clustered by block: what overlaps in time shares a market. With fewer than
              BLOCKS_MIN blocks there is none. Without blocks they are the model's own.

Needs the `lab` extra. Source: methods 2.4 (2); Allison 1982 for the rows.
"""

from __future__ import annotations

import msgspec
import numpy as np

from sor.errors import CallerError
from sor.lab.likelihood import as_rows, covariance, minimum, sums_by_block
from sor.models.fill_hazard import EDGES_S, CauseHazard, FillHazard, log_ages
from sor.models.survival import CENSORED, FILLED, MOVED_AWAY, Flags, Floats, Ints

_ROUNDING = 1e-12
"""A deviation of this part of the mean is rounding: the covariate is the same in all rows."""


class PersonPeriods(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A row for each bin that each sample was watched in: R rows of N samples, P covariates.

    sample        (R,) int64, the sample's place in its arrays. bin_no: (R,) int64 from 0.
    watched       (R,) float64 in [0, 1], share of the bin until the sample ended, was censored or outlasted the bin.
    cause         (R,) int64 as in `sor.models.survival`, of an end within the bin.
    covariates    (R, P) float64, finite; at entry, or as they stood in each bin.
    edges_s       (K + 1,).
    """

    sample: Ints
    bin_no: Ints
    watched: Floats
    cause: Ints
    covariates: Floats
    edges_s: tuple[float, ...]


class CauseFit(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """How well one cause was fitted.

    log_likelihood    without the penalties; of times (densities per second) if `timed`, else of bins.
    ends, rows        how many of this cause, of how many person-periods. blocks: None if errors are not clustered.
    """

    log_likelihood: float
    ends: int
    rows: int
    blocks: int | None


class HazardFit(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A model and how well it was fitted; `away` is None if that cause was not asked for."""

    model: FillHazard
    fill: CauseFit
    away: CauseFit | None


def person_periods(
    durations_s: Floats, causes: Ints, covariates: Floats, *, edges_s: tuple[float, ...] = EDGES_S
) -> PersonPeriods:
    """Samples cut into bins; a bin holds its later edge, and what lasts beyond the last edge is censored there.

    durations_s (N,) >= 0, causes (N,), covariates (N, P), as in `sor.models.survival`.
    Raises    CallerError for no, unequal, negative or not finite samples.
    """
    count = len(durations_s)
    sound = durations_s.shape == causes.shape == (count,) and covariates.ndim == 2 and len(covariates) == count > 0
    if not sound or not np.isfinite(covariates).all() or not (np.isfinite(durations_s) & (durations_s >= 0.0)).all():
        raise CallerError(
            f"{durations_s.size} durations, {causes.size} causes and {len(covariates)} rows of covariates, or one is "
            "negative or not finite; nothing was fitted. Give one of each for at least one sample"
        )
    edges = np.array(edges_s)
    last = np.minimum(np.searchsorted(edges[1:], durations_s, side="left"), len(edges) - 2)
    bins = last + 1
    sample = np.repeat(np.arange(count), bins)
    bin_no = np.arange(len(sample)) - np.repeat(np.cumsum(bins) - bins, bins)
    width = np.diff(edges)[bin_no]
    watched = np.clip((durations_s[sample] - edges[bin_no]) / width, 0.0, 1.0)
    ends_here = (bin_no == last[sample]) & (durations_s[sample] <= edges[-1])
    return PersonPeriods(
        sample=sample,
        bin_no=bin_no,
        watched=watched,
        cause=np.where(ends_here, causes[sample], CENSORED),
        covariates=covariates[sample],
        edges_s=edges_s,
    )


def fit_hazard(
    rows: PersonPeriods,
    *,
    names: tuple[str, ...],
    fading: tuple[str, ...] = (),
    blocks: Ints | None = None,
    both_causes: bool = False,
    ridge: float = 1.0,
    smooth: float = 1.0,
    timed: bool = True,
) -> HazardFit:
    """The production model.

    names          of the covariates, (P,). fading: those of them whose effect changes with the log of the age, (Q,).
    blocks         (N,) int64, by sample: which overlap in time.
    both_causes    fit the touch moving away as well; if not, such ends count as censored.
    ridge          precision of the coefficients of standardised covariates around 0, >= 0.
    smooth         precision of the jumps of the log base rate from bin to bin, >= 0; a constant rate is free.
    timed          use the times within bins.
    Raises         CallerError if a cause never ended a sample, or the data do not say what a parameter is.

    Bins that no sample reached are left off the end: the model's last edge is then earlier than the rows'.
    """
    if rows.covariates.shape[1] != len(names) or not set(fading) <= set(names):
        raise CallerError(
            f"{rows.covariates.shape[1]} covariates for {len(names)} names, of which {len(fading)} fade; nothing was "
            "fitted. Give a name for each covariate, and let fade what has one"
        )
    aged = np.array(log_ages(rows.edges_s))[rows.bin_no]
    fades = [rows.covariates[:, names.index(name)] * aged for name in fading]
    design = np.column_stack((rows.covariates, *fades))
    fill, how = _fit_cause(rows, FILLED, design, blocks, ridge=ridge, smooth=smooth, timed=timed)
    away, how_away = None, None
    if both_causes:
        away, how_away = _fit_cause(rows, MOVED_AWAY, design, blocks, ridge=ridge, smooth=smooth, timed=timed)
    edges = rows.edges_s[: int(rows.bin_no.max()) + 2]
    if fading:
        fill = _with_fades(fill, len(fading))
        away = None if away is None else _with_fades(away, len(fading))
    model = FillHazard(edges_s=edges, names=names, fill=fill, away=away, fading=fading)
    return HazardFit(model=model, fill=how, away=how_away)


def _with_fades(cause: CauseHazard, count: int) -> CauseHazard:
    """The last coefficients as fades."""
    return CauseHazard(
        alphas=cause.alphas, coefs=cause.coefs[:-count], covariance=cause.covariance, fades=cause.coefs[-count:]
    )


def _fit_cause(
    rows: PersonPeriods, cause: int, columns: Floats, blocks: Ints | None, *, ridge: float, smooth: float, timed: bool
) -> tuple[CauseHazard, CauseFit]:
    """One cause by the covariates and fades of each row, (R, P + Q); all of them come back as its coefficients."""
    ended = rows.cause == cause
    ends, count, width = int(np.count_nonzero(ended)), len(ended), columns.shape[1]
    if not ends:
        raise CallerError(f"no sample ended of cause {cause}; nothing was fitted. Give samples that end")
    bins = int(rows.bin_no.max()) + 1
    middle, scale = columns.mean(axis=0), columns.std(axis=0)
    scale[scale <= _ROUNDING * np.abs(middle)] = 1.0
    design = (columns - middle) / scale
    widths_s = np.diff(rows.edges_s)[:bins]
    log_widths = np.log(widths_s)
    jumps = np.diff(np.eye(bins), axis=0)
    stiffness = smooth * jumps.T @ jumps

    def terms(theta: Floats) -> tuple[Floats, Floats, Floats]:
        """Log-likelihood of each row, and its first two derivatives by the row's logit, (R,) each."""
        logit = theta[rows.bin_no] + design @ theta[bins:]
        return _timed_terms(logit, ended, rows.watched) if timed else _binned_terms(logit, ended, rows.watched)

    def objective(theta: Floats) -> tuple[float, Floats, Floats]:
        value, first, second = terms(theta)
        base, coefs = theta[:bins], theta[bins:]
        weighted = second[:, None] * design
        slope = np.concatenate((np.bincount(rows.bin_no, first, bins), design.T @ first))
        bend = np.zeros((bins + width, bins + width))
        bend[:bins, :bins] = np.diag(np.bincount(rows.bin_no, second, bins))
        for column in range(width):
            bend[bins + column, :bins] = np.bincount(rows.bin_no, weighted[:, column], bins)
        bend[:bins, bins:] = bend[bins:, :bins].T
        bend[bins:, bins:] = design.T @ weighted
        # The belief about the coefficients, and the one about the log rates of the bins where covariates are average.
        log_spent, ratio, turn = _log_softplus(base)
        pull = stiffness @ (log_spent - log_widths)
        total = float(value.sum()) - 0.5 * ridge * float(coefs @ coefs) - 0.5 * float(pull @ (log_spent - log_widths))
        slope -= np.concatenate((ratio * pull, ridge * coefs))
        bend[:bins, :bins] -= ratio[:, None] * stiffness * ratio + np.diag(turn * pull)
        bend[bins:, bins:] -= ridge * np.eye(width)
        return -total / ends, -slope / ends, -bend / ends

    rate = ends / max(float(rows.watched @ widths_s[rows.bin_no]), 1e-9)
    start = np.concatenate((np.log(np.expm1(np.minimum(rate * widths_s, 30.0))), np.zeros(width)))
    theta, bend = minimum(objective, start)
    value, first, _ = terms(theta)
    scores = None
    if blocks is not None:
        steps = np.zeros((count, bins))
        steps[np.arange(count), rows.bin_no] = first
        scores = sums_by_block(np.concatenate((steps, design * first[:, None]), axis=1), blocks[rows.sample])
    errors = covariance(bend * ends, scores=scores, rows=count)
    # Back to the covariates as they are given: alpha less the sum of b m / s, and b / s.
    back = np.eye(bins + width)
    back[:bins, bins:] = -(middle / scale)
    back[bins:, bins:] = np.diag(1.0 / scale)
    raw = back @ theta
    hazard = CauseHazard(
        alphas=tuple(raw[:bins].tolist()),
        coefs=tuple(raw[bins:].tolist()),
        covariance=as_rows(None if errors is None else back @ errors @ back.T),
    )
    likelihood = float(value.sum()) - (float(log_widths[rows.bin_no[ended]].sum()) if timed else 0.0)
    return hazard, CauseFit(
        log_likelihood=likelihood, ends=ends, rows=count, blocks=None if scores is None else len(scores)
    )


def _log_softplus(logit: Floats) -> tuple[Floats, Floats, Floats]:
    """log(log(1 + e^logit)), the log of a bin's hazard, and its first two derivatives."""
    spent = np.logaddexp(0.0, logit)
    chance = -np.expm1(-spent)
    ratio = chance / spent
    return np.log(spent), ratio, ratio * (1.0 - chance - ratio)


def _timed_terms(logit: Floats, ended: Flags, watched: Floats) -> tuple[Floats, Floats, Floats]:
    """With s = log(1 + e^logit) the hazard of a whole bin: log s where it ended, less the part of s watched."""
    spent = np.logaddexp(0.0, logit)
    chance = -np.expm1(-spent)
    log_spent, ratio, turn = _log_softplus(logit)
    value = np.where(ended, log_spent, 0.0) - watched * spent
    return value, ended * ratio - watched * chance, ended * turn - watched * chance * (1.0 - chance)


def _binned_terms(logit: Floats, ended: Flags, watched: Floats) -> tuple[Floats, Floats, Floats]:
    """Bernoulli trials; one without an end weighs as much as it was watched."""
    weight = np.where(ended, 1.0, watched)
    spent = np.logaddexp(0.0, logit)
    chance = -np.expm1(-spent)
    return ended * logit - weight * spent, ended - weight * chance, -weight * chance * (1.0 - chance)
