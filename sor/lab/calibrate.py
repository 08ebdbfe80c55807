"""From tapes to a calibrated forecast: probe, fit, score on later time, and refuse what the data do not support.

Split       The last part of each tape is held out; what is fitted has seen nothing of it, and no probe of the fit was
            followed into it. What is published is what was scored: it is not fitted again on everything.
Support     A horizon needs `FILLS_MIN` fills among probes that do not overlap, or as many effective ones: the number of
            independent probes that would know the fill probability as well as these do, by blocks of time.
Admission   Of the supported horizons the longest at which the hazard is no worse, by right-censored log-likelihood on
            the held-out part, than Kaplan-Meier by stratum. Longer ones are refused, each with its reason.
Checks      Brier score and reliability at every horizon, other models of the time to fill beside the hazard
            (`sor.lab.model_scores`), how waits end by stratum (`sor.lab.strata`), and the martingale identity between
            the fitted p and D and what the filled found. What a check finds is said; it refuses nothing by itself.

The drift keeps its covariates only where they forecast the held-out part better than its base alone does.

Source      methods 2.4, 2.5, 6.2 (the refusals).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec
import numpy as np

from sor.errors import CallerError
from sor.lab.bootstrap import BLOCKS_MIN, difference
from sor.lab.calibration import (
    EDGES_S,
    Calibration,
    CalibrationPlan,
    DriftJudged,
    Fitted,
    Judged,
    ModelScore,
    Placed,
    Range,
    Refusal,
    RegimeFit,
    RegimeRefusal,
    Support,
    too_few,
)
from sor.lab.calibration_sample import BEYOND_NS, Progress, Sample, draw_sample, effective_fills, known_by, support_of
from sor.lab.columns import FloatColumn
from sor.lab.costs import RIDGE, DriftRows, LinearFit, drift_rows, fit_drift, fit_markout
from sor.lab.excursions import fit_budget
from sor.lab.fitting import HazardFit, fit_hazard, person_periods
from sor.lab.model_scores import GROUPS, HAZARD, KAPLAN_MEIER, lifetime_forecasts, model_scores
from sor.lab.probes import Probes
from sor.lab.regimes import fit_regimes
from sor.lab.scores import Forecast, bin_logits, brier_scores, hazard_forecast, log_scores, reliability
from sor.lab.size_check import check_size
from sor.lab.strata import PLACES, counted_fills, exits_of, place_of, strata_of
from sor.lab.tape_impact import fit_law, windows_of
from sor.models.covariates import COVARIATES, FADING
from sor.models.drift import DRIFT_COVARIATES, MARKOUT_COVARIATES, Drift, Markout
from sor.models.rule import Gap, martingale_gap
from sor.models.survival import CENSORED, FILLED, Flags, Floats, Ints, kaplan_meier
from sor.param_table import definition_of
from sor.tape import Tape
from sor.units import NS

_TAIL = 0.005
_DRIFT_TERMS = ("base", *DRIFT_COVARIATES)
_MARKOUT_TERMS = ("base", *MARKOUT_COVARIATES)
_Z = 1.959963984540054


def calibrate(tapes: Sequence[Tape], plan: CalibrationPlan, progress: Progress) -> Calibration:
    """Calibrate on tapes of one instrument.

    Raises    CallerError for a senseless plan, tapes of something else, or too short for one probe a side. Data that
              do not support a horizon are no error: the answer says so.
    """
    _refuse_senseless(tapes, plan)
    sample = draw_sample(tapes, plan, progress)
    supports = tuple(support_of(sample, horizon_s) for horizon_s in plan.horizons_s)
    known_s = [one.horizon_s for one in supports if one.enough]
    shortest_s = plan.horizons_s[0]
    strata = strata_of(sample.probes, sample.fits(shortest_s), place_of(sample.probes, shortest_s))
    refusals = {one.horizon_s: too_few(one) for one in supports if not one.enough}
    fitted: Fitted | None = None
    judged: tuple[Judged, ...] = ()
    for support in reversed(supports):
        if not support.enough:
            continue
        progress(f"fitting up to {support.horizon_s:g} s")
        attempt = _attempt(sample, plan, supports, support)
        if isinstance(attempt, str):
            refusals[support.horizon_s] = attempt
        else:
            fitted, judged = attempt
            break
    regimes: tuple[RegimeFit | RegimeRefusal, ...] = ()
    if fitted is not None and plan.regimes is not None:
        regimes = fit_regimes(sample, plan, fitted, attempt=_attempt, progress=progress)
    return Calibration(
        plan=plan,
        tapes=sample.uses,
        every_s=sample.probes.plan.every_ns / NS,
        refused_as_taking=sample.probes.refused,
        support=supports,
        judged=judged,
        exits=tuple(
            one for horizon_s in known_s for one in exits_of(sample, strata, horizon_s=horizon_s, seed=plan.seed)
        ),
        refusals=tuple(Refusal(horizon_s, reason) for horizon_s, reason in sorted(refusals.items())),
        fitted=fitted,
        impact=fit_law(windows_of(tapes, sample), plan),
        regimes=regimes,
        excursion=None if fitted is None else fit_budget(tapes, sample, plan, fitted.horizon_s, progress),
        size=None if fitted is None else check_size(tapes, sample, plan, fitted, progress),
    )


# --- fit and admission ------------------------------------------------------------------------------------------------


def _attempt(
    sample: Sample, plan: CalibrationPlan, supports: tuple[Support, ...], support: Support
) -> tuple[Fitted, tuple[Judged, ...]] | str:
    """The fit up to one horizon with its scores, or why it is refused."""
    horizon_s, probes = support.horizon_s, sample.probes
    edges = tuple(edge for edge in EDGES_S if edge <= horizon_s)
    fits = sample.fits(horizon_s)
    block = sample.blocks(fits, horizon_s)
    blocks = len(np.unique(block))
    if blocks < BLOCKS_MIN:
        return f"{blocks} blocks of time to fit on where errors need {BLOCKS_MIN}: record for longer"
    waited, cause = _cut(probes, horizon_s)
    rows = person_periods(waited[fits], cause[fits], probes.covariates[fits], edges_s=edges)
    hazard = fit_hazard(rows, names=COVARIATES, fading=FADING, blocks=block, ridge=RIDGE)
    if not hazard.model.fill.covariance or len(hazard.model.edges_s) < len(edges):
        return "the fit has no error, or no probe lasted as long: record for longer"
    curves = hazard_forecast(hazard.model, probes.covariates)
    place = place_of(probes, horizon_s)
    counted = counted_fills(place, strata_of(probes, fits, place), waited, cause, fits, edges)
    judged = tuple(
        _judged(sample, curves, counted, place, horizon_s=one.horizon_s, seed=plan.seed)
        for one in supports
        if one.horizon_s <= horizon_s
    )
    if judged[-1].gain < 0.0:
        return (
            f"out of sample it forecasts worse than Kaplan-Meier by stratum: {judged[-1].log_score:.4f} against "
            f"{judged[-1].log_score_km:.4f} log-likelihood a probe"
        )
    resting = _resting_on_grid(curves, probes, horizon_s)
    short = _within(probes, horizon_s)
    drift, drift_fit, drift_judged = _drift(short, resting, fits, sample.held, block)
    if drift.base <= 0.0 and not any(drift.coefs):
        return f"the unfilled do not lose: the fitted drift is {drift.base:.3f} of its bound, which cannot be believed"
    fill = hazard.model.fill
    beyond = (
        _beyond((f"fill.{name}", value) for name, value in zip(COVARIATES, fill.coefs, strict=True))
        or _beyond((f"fading.{name}", value) for name, value in zip(FADING, fill.fades, strict=True))
        or _beyond((f"drift.{name}", one) for name, one in zip(_DRIFT_TERMS, (drift.base, *drift.coefs), strict=True))
    )
    if beyond:
        return f"{beyond} is beyond what makes sense: too little of the tapes differs in it. Record for longer"
    markout, markout_fit = _markout(probes.take(fits), block)
    rivals = lifetime_forecasts(waited, cause, probes.covariates, fits, edges_s=edges)
    forecasts = {HAZARD: curves, KAPLAN_MEIER: counted, **rivals}
    judged = tuple(
        msgspec.structs.replace(
            one,
            models=_models(sample, forecasts, one.horizon_s, plan.seed),
            identity=_identity(sample, curves, drift, one),
        )
        for one in judged
    )
    fills = int(max(support.non_overlapping, support.effective or 0.0))
    fitted = Fitted(
        horizon_s=horizon_s,
        hazard=hazard,
        fill_se=_typical_se(hazard, probes.covariates[fits]),
        drift=drift,
        drift_fit=drift_fit,
        drift_judged=drift_judged,
        markout=markout,
        markout_fit=markout_fit,
        ranges=_ranges(probes.covariates[fits], independent=fills),
        blocks=blocks,
        fills=fills,
    )
    return fitted, judged


def _beyond(values: Iterable[tuple[str, float]]) -> str:
    """The first value outside the bounds of its definition, with its id; "" for none."""
    for param_id, value in values:
        definition = definition_of(param_id)
        assert definition is not None, param_id
        if not float(definition.low) <= value <= float(definition.high):
            return f"{param_id} = {value:.4g}"
    return ""


def _cut(probes: Probes, horizon_s: float) -> tuple[Floats, Ints]:
    """Seconds each probe was watched and how that ended, followed to just beyond the horizon at most."""
    most = horizon_s + BEYOND_NS / NS
    waited = np.minimum(probes.rested_s, most)
    cause = np.where(probes.filled & (probes.rested_s <= horizon_s), FILLED, CENSORED)
    return waited, cause


def _judged(sample: Sample, curves: Forecast, counted: Forecast, place: Ints, *, horizon_s: float, seed: int) -> Judged:
    """Scores at one horizon on the held-out part."""
    probes, held = sample.probes, sample.held
    waited, cause = _cut(probes, horizon_s)
    waited, cause = waited[held], cause[held]
    ours, theirs = _of(curves, held, horizon_s), _of(counted, held, horizon_s)
    block = sample.blocks(held, horizon_s)
    score, score_km = log_scores(ours, waited, cause), log_scores(theirs, waited, cause)
    rng = np.random.default_rng([seed, 5])
    gain = difference(ours=score, theirs=score_km, block=block, rng=rng)
    everybody = np.full(1, horizon_s)

    def observed(chosen: Flags) -> float:
        return 1.0 - float(kaplan_meier(waited[chosen], cause[chosen] == FILLED).at(everybody)[0])

    def placed(number: int) -> Placed:
        there = place[held] == number
        own = _of(ours, there, horizon_s)
        return Placed(
            place=PLACES[number],
            probes=int(there.sum()),
            log_score=float(score[there].mean()),
            log_score_km=float(score_km[there].mean()),
            forecast=float(own.at(horizon_s).mean()),
            observed=observed(there),
            reliability=reliability(
                own, waited[there], cause[there], horizon_s=horizon_s, block=block[there], rng=rng, groups=GROUPS
            ),
        )

    return Judged(
        horizon_s=horizon_s,
        probes=len(waited),
        log_score=float(score.mean()),
        log_score_km=float(score_km.mean()),
        gain=gain.mean,
        gain_low=gain.low,
        gain_high=gain.high,
        brier=float(brier_scores(ours, waited, cause, horizon_s=horizon_s).mean()),
        brier_km=float(brier_scores(theirs, waited, cause, horizon_s=horizon_s).mean()),
        forecast=float(ours.at(horizon_s).mean()),
        observed=observed(np.ones(len(waited), np.bool_)),
        places=tuple([placed(number) for number in np.unique(place[held]).tolist()]),
        reliability=reliability(ours, waited, cause, horizon_s=horizon_s, block=block, rng=rng, groups=GROUPS),
        models=(),
        identity=None,
    )


def _models(sample: Sample, forecasts: dict[str, Forecast], horizon_s: float, seed: int) -> tuple[ModelScore, ...]:
    """Scores of all models at one horizon on the held-out part."""
    held = sample.held
    waited, cause = _cut(sample.probes, horizon_s)
    return model_scores(
        {model: _of(forecast, held, horizon_s) for model, forecast in forecasts.items()},
        waited[held],
        cause[held],
        horizon_s=horizon_s,
        block=sample.blocks(held, horizon_s),
        rng=np.random.default_rng([seed, 6]),
    )


def _of(forecast: Forecast, chosen: Flags, horizon_s: float) -> Forecast:
    """The curves of the chosen probes up to a horizon, which is one of the edges."""
    count = int(np.searchsorted(forecast.edges_s, horizon_s)) + 1
    return Forecast(
        edges_s=forecast.edges_s[:count],
        resting=forecast.resting[chosen][:, :count],
        filled=forecast.filled[chosen][:, :count],
    )


def _typical_se(hazard: HazardFit, covariates: Floats) -> float:
    """Root mean square standard error of the log of the cumulative hazard at the horizon, over the probes."""
    cause = hazard.model.fill
    logits = bin_logits(hazard.model, cause, covariates)
    spent = np.logaddexp(0.0, logits)
    slopes = np.exp(logits - spent)
    level = slopes.sum(axis=1, keepdims=True)
    aged = slopes @ np.array(hazard.model.log_ages)[:, None]
    fading = covariates[:, hazard.model.fading_at]
    slopes = np.concatenate((slopes, level * covariates, aged * fading), axis=1) / spent.sum(axis=1, keepdims=True)
    variance = np.einsum("ri,ij,rj->r", slopes, np.array(cause.covariance), slopes)
    return float(np.sqrt(np.maximum(variance, 0.0).mean()))


def _ranges(covariates: Floats, *, independent: int) -> tuple[Range, ...]:
    """Quantiles of each covariate; their intervals are quantiles too, as far off as so many independent probes know."""
    found = []
    for column in range(covariates.shape[1]):
        ends = []
        for share in (_TAIL, 1.0 - _TAIL):
            reach = _Z * np.sqrt(share * (1.0 - share) / independent)
            at = np.clip((share - reach, share, share + reach), 0.0, 1.0)
            ends.append(np.quantile(covariates[:, column], at).tolist())
        (low_from, low, low_to), (high_from, high, high_to) = ends
        found.append(Range(low, (low_from, low_to), high, (high_from, high_to)))
    return tuple(found)


# --- costs ------------------------------------------------------------------------------------------------------------


def _within(probes: Probes, horizon_s: float) -> Probes:
    """The probes with the mid at times up to the horizon only."""
    grid = probes.plan.grid_ns
    count = sum(1 for at_ns in grid if at_ns <= round(horizon_s * NS))
    plan = msgspec.structs.replace(probes.plan, grid_ns=grid[:count])
    return msgspec.structs.replace(probes, plan=plan, moves_bps=probes.moves_bps[:, :count])


def _resting_on_grid(curves: Forecast, probes: Probes, horizon_s: float) -> Floats:
    """(N, J) P(not filled) at the times of the grid up to the horizon: they are the edges."""
    grid_s = [at_ns / NS for at_ns in probes.plan.grid_ns if at_ns <= round(horizon_s * NS)]
    return curves.resting[:, np.searchsorted(curves.edges_s, grid_s)]


def _drift(
    probes: Probes, resting: Floats, fits: Flags, held: Flags, block: Ints
) -> tuple[Drift, LinearFit, DriftJudged]:
    """The drift, with its covariates if they are of use on the held-out part."""
    rows = drift_rows(probes.take(fits), resting[fits])
    later = drift_rows(probes.take(held), resting[held])
    whole, whole_fit = fit_drift(rows, block=block)
    plain, plain_fit = fit_drift(rows, block=block, covariates=False)
    judged = DriftJudged(
        with_covariates=_mean(later.loss(whole)),
        base_only=_mean(later.loss(plain)),
        nothing=_mean(later.moves_bps**2 * later.weight),
    )
    if judged.with_covariates < judged.base_only:
        return whole, whole_fit, judged
    return plain, plain_fit, judged


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else 0.0


def _markout(probes: Probes, block: Ints) -> tuple[Markout | None, LinearFit | None]:
    """The markout at the longest time after a fill; none where too few were followed that long, or it is senseless."""
    try:
        markout, fit = fit_markout(probes, block=block, at=len(probes.plan.markout_ns) - 1)
    except CallerError:
        return None, None
    terms = zip(_MARKOUT_TERMS, (markout.base, *markout.coefs), strict=True)
    return (None, None) if _beyond((f"markout.{name}", value) for name, value in terms) else (markout, fit)


def _identity(sample: Sample, curves: Forecast, drift: Drift, judged: Judged) -> Gap | None:
    """The gap p AS - (1 - p) D on the held-out part: p and D as fitted, AS as it happened to those that were filled."""
    horizon_ns, horizon_s = round(judged.horizon_s * NS), judged.horizon_s
    at = sample.probes.plan.grid_ns.index(horizon_ns)
    moves = sample.probes.moves_bps[:, at]
    chosen = sample.held & known_by(sample.probes, horizon_ns) & np.isfinite(moves)
    filled = chosen & (sample.probes.filled_ns <= sample.probes.arrived_ns + horizon_ns)
    if int(filled.sum()) < 2 or not chosen.any():
        return None
    chance = _of(curves, chosen, horizon_s).at(horizon_s)
    expected = _expected_drift(sample.probes.take(chosen), 1.0 - chance, drift, horizon_s)
    unfilled = float((1.0 - chance).sum())
    drift_bps = float(((1.0 - chance) * expected).sum()) / unfilled
    effective = effective_fills(sample, chosen, filled, horizon_s)
    orders = effective / float(filled[chosen].mean()) if effective else float(judged.probes)
    return martingale_gap(
        orders=orders,
        fill_probability=float(chance.mean()),
        selection_bps=-float(moves[filled].mean()),
        drift_bps=drift_bps,
        selection_se_bps=_block_se(moves[filled], sample.blocks(filled, horizon_s)),
        drift_se_bps=drift_bps * drift.se / max(drift.base, drift.se),
    )


def _expected_drift(probes: Probes, resting: FloatColumn, drift: Drift, horizon_s: float) -> Floats:
    """D of each probe by the horizon, filled or not."""
    nobody = np.full(len(resting), np.iinfo(np.int64).max)
    horizon_ns = round(horizon_s * NS)
    still = msgspec.structs.replace(
        probes,
        plan=msgspec.structs.replace(probes.plan, grid_ns=(horizon_ns,)),
        filled_ns=nobody,
        seen_ns=nobody,
        moves_bps=np.zeros((len(resting), 1)),
    )
    rows: DriftRows = drift_rows(still, resting[:, None])
    return rows.expected_bps(drift)


def _block_se(values: Floats, block: Ints) -> float:
    """Standard error of a mean by sums over blocks."""
    sums = np.bincount(block, weights=values - values.mean())
    return float(np.sqrt((sums**2).sum())) / len(values)


def _refuse_senseless(tapes: Sequence[Tape], plan: CalibrationPlan) -> None:
    """Raise `CallerError` for tapes or a plan that nothing can come of."""
    if not tapes:
        raise CallerError("no tape was named; nothing was fitted. Name one at least")
    for tape in tapes:
        instrument = tape.instrument
        if instrument.symbol != plan.symbol or instrument.venue != plan.venue:
            raise CallerError(
                f"tape {tape.name} is of {instrument.symbol} on {instrument.venue}, not of {plan.symbol} on "
                f"{plan.venue}; nothing was fitted. Name the tapes of one instrument, and it"
            )
        if len(tape.group_venue_ns) < 2:
            raise CallerError(f"tape {tape.name} holds no market to learn from; nothing was fitted")
    digests = [tape.digest for tape in tapes]
    if len(dict.fromkeys(digests)) < len(digests):
        raise CallerError("a tape was named twice, and would count twice; nothing was fitted. Name each once")
    known = ", ".join(f"{edge:g}" for edge in EDGES_S[1:])
    horizons = plan.horizons_s
    rising = all(one < other for one, other in pairwise(horizons))
    if not horizons or not rising or any(horizon not in EDGES_S[1:] for horizon in horizons):
        raise CallerError(f"--horizons must be some of {known}, ascending; nothing was fitted")
    if not 0.05 <= plan.holdout <= 0.9:
        raise CallerError(f"--holdout {plan.holdout:g}: hold out between 0.05 and 0.9; nothing was fitted")
    if plan.every_s is not None and not 0.001 <= plan.every_s <= 3_600:
        raise CallerError(f"--every {plan.every_s:g} s: give between 1 ms and an hour; nothing was fitted")
