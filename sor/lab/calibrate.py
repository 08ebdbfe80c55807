"""From tapes to a calibrated forecast: probe, fit, score on later time, and refuse what the data do not support.

Split       The last part of each tape is held out; what is fitted has seen nothing of it, and no probe of the fit was
            followed into it. What is published is what was scored: it is not fitted again on everything.
Support     A horizon needs `FILLS_MIN` fills among probes that do not overlap, or as many effective ones: the number of
            independent probes that would know the fill probability as well as these do, by blocks of time.
Admission   Of the supported horizons the longest at which the hazard is no worse, by right-censored log-likelihood on
            the held-out part, than Kaplan-Meier by stratum. Longer ones are refused, each with its reason.
Checks      Brier score and reliability at every horizon, and the martingale identity between the fitted p and D and
            what the filled found. A broken identity is said; it refuses nothing by itself.

The drift keeps its covariates only where they forecast the held-out part better than its base alone does.

Source      methods 2.4, 2.5, 6.2 (the refusals).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import msgspec
import numpy as np

from sor.errors import CallerError
from sor.ids import Symbol, VenueName
from sor.lab.bootstrap import BLOCKS_MIN, block_of, difference
from sor.lab.columns import FloatColumn
from sor.lab.costs import RIDGE, DriftRows, LinearFit, drift_rows, fit_drift, fit_markout
from sor.lab.fitting import HazardFit, fit_hazard, person_periods
from sor.lab.probes import ProbePlan, Probes, draw_probes, joined, non_overlapping, probed_span
from sor.lab.scores import (
    Forecast,
    Reliable,
    brier_scores,
    hazard_forecast,
    log_scores,
    reliability,
    survival_forecast,
)
from sor.models.covariates import COVARIATES
from sor.models.drift import DRIFT_COVARIATES, MARKOUT_COVARIATES, Drift, Markout
from sor.models.rule import Gap, martingale_gap
from sor.models.survival import CENSORED, FILLED, Flags, Floats, Ints, kaplan_meier
from sor.param_table import definition_of
from sor.tape import IntColumn, Tape
from sor.units import NS

VERSION = "1"
"""Of the estimator: goes up when the same tapes would give other values."""
EDGES_S = (0.0, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0)
"""Bins of time; horizons are chosen among the later ones."""
HORIZONS_S = (1.0, 5.0, 15.0, 60.0)
FILLS_MIN = 200
_EFFECTIVE_BLOCKS = 30
"""An effective number is worked out from at least this many blocks of four horizons."""
_TIMES = 5_000
"""Times probed over all tapes unless a spacing is given."""
_EVERY_NS_MIN = NS // 10
_BEYOND_NS = 1_000
"""Probes are followed a microsecond longer than the longest horizon: who was not filled by it was watched beyond it."""
_STRATUM_MIN = 30
"""A stratum of Kaplan-Meier with fewer probes counts with all."""
_GROUPS = 5
_TAIL = 0.005
_DRIFT_TERMS = ("base", *DRIFT_COVARIATES)
_MARKOUT_TERMS = ("base", *MARKOUT_COVARIATES)
_Z = 1.959963984540054


class CalibrationPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is calibrated.

    venue, symbol    of the tapes; another tape is refused.
    from_s, until_s      bounds counted from the start of each tape, negative from its end; None: all of it.
    from_share, until_share    the same as shares of each tape.
    holdout          share of each tape's stretch, its end, that is held out.
    horizons_s       asked for, among `EDGES_S`, ascending.
    every_s          time between probes; None: so that there are about `_TIMES` over all tapes.
    latency_ns       delay of market data and of orders, each.
    """

    venue: VenueName
    symbol: Symbol
    from_s: float | None = None
    until_s: float | None = None
    from_share: float = 0.0
    until_share: float = 1.0
    holdout: float = 0.3
    horizons_s: tuple[float, ...] = HORIZONS_S
    every_s: float | None = None
    queue: str = "risk_averse"
    latency_ns: int = 5_000_000
    inside_ticks: tuple[int, ...] = (0, 1)
    seed: int = 3


class TapeUse(msgspec.Struct, frozen=True, kw_only=True):
    """What was used of one tape: its name and digest, the stretch in venue time, and how many probes rested."""

    name: str
    digest: str
    first_ns: int
    last_ns: int
    probes: int


class Support(msgspec.Struct, frozen=True, kw_only=True):
    """How much the part that is fitted knows of one horizon.

    probes           followed for as long, or filled before.
    non_overlapping  fills among probes that do not overlap. effective: see the module, None with too few blocks.
    """

    horizon_s: float
    probes: int
    fills: int
    non_overlapping: int
    effective: float | None

    @property
    def enough(self) -> bool:
        """Whether it reaches `FILLS_MIN` one way or the other."""
        return max(self.non_overlapping, self.effective or 0.0) >= FILLS_MIN


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """How the forecast did at one horizon on the held-out part.

    log_score, log_score_km    mean right-censored log-likelihood, of it and of Kaplan-Meier by stratum; gain: their
                               difference, with its interval by block, which few blocks have none of.
    brier, brier_km            at the horizon. forecast, observed: mean fill probability, and what happened.
    reliability                in groups of about equal size. identity: p AS - (1 - p) D with its standard error.
    """

    horizon_s: float
    probes: int
    log_score: float
    log_score_km: float
    gain: float
    gain_low: float | None
    gain_high: float | None
    brier: float
    brier_km: float
    forecast: float
    observed: float
    reliability: tuple[Reliable, ...]
    identity: Gap | None


class Refusal(msgspec.Struct, frozen=True):
    """A horizon that is not published, and why."""

    horizon_s: float
    reason: str


class DriftJudged(msgspec.Struct, frozen=True, kw_only=True):
    """Mean weighted squared error of D on the held-out part: with covariates, with the base alone, and of no drift."""

    with_covariates: float
    base_only: float
    nothing: float


class Range(msgspec.Struct, frozen=True):
    """Where nearly all probes of the fit lay: the 0.5 % and the 99.5 % quantile of a covariate, with intervals."""

    low: float
    low_interval: tuple[float, float]
    high: float
    high_interval: tuple[float, float]


class Fitted(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What was admitted.

    hazard, fill_se      fill_se: standard error of the log cumulative hazard at the horizon, typical probe.
    drift, drift_fit, drift_judged; markout, markout_fit    None where too few fills were followed.
    ranges               (P,) of each covariate.
    blocks, fills        of the fit; fills as in `Support`: the larger of the two numbers, whole.
    """

    horizon_s: float
    hazard: HazardFit
    fill_se: float
    drift: Drift
    drift_fit: LinearFit
    drift_judged: DriftJudged
    markout: Markout | None
    markout_fit: LinearFit | None
    ranges: tuple[Range, ...]
    blocks: int
    fills: int


class Calibration(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What came of it. `fitted` is None when every horizon was refused."""

    plan: CalibrationPlan
    tapes: tuple[TapeUse, ...]
    every_s: float
    refused_as_taking: int
    support: tuple[Support, ...]
    judged: tuple[Judged, ...]
    refusals: tuple[Refusal, ...]
    fitted: Fitted | None

    @property
    def digest(self) -> str:
        """Of all tapes together, 16 hex characters."""
        return hashlib.sha256(" ".join(tape.digest for tape in self.tapes).encode()).hexdigest()[:16]


Progress = Callable[[str], None]
"""Told what begins."""


def calibrate(tapes: Sequence[Tape], plan: CalibrationPlan, progress: Progress) -> Calibration:
    """Calibrate on tapes of one instrument.

    Raises    CallerError for a senseless plan, tapes of something else, or too short for one probe a side. Data that
              do not support a horizon are no error: the answer says so.
    """
    _refuse_senseless(tapes, plan)
    sample = _draw(tapes, plan, progress)
    supports = tuple(_support(sample, horizon_s) for horizon_s in plan.horizons_s)
    refusals = {one.horizon_s: _too_few(one) for one in supports if not one.enough}
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
    return Calibration(
        plan=plan,
        tapes=sample.uses,
        every_s=sample.probes.plan.every_ns / NS,
        refused_as_taking=sample.probes.refused,
        support=supports,
        judged=judged,
        refusals=tuple(Refusal(horizon_s, reason) for horizon_s, reason in sorted(refusals.items())),
        fitted=fitted,
    )


# --- the sample -------------------------------------------------------------------------------------------------------


class _Sample(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Probes of all tapes: which tape each is of, and from when on that tape is held out."""

    probes: Probes
    tape: IntColumn
    cut_ns: IntColumn
    uses: tuple[TapeUse, ...]

    @property
    def held(self) -> Flags:
        """(N,) whether each is held out."""
        held: Flags = self.probes.arrived_ns >= self.cut_ns
        return held

    def fits(self, horizon_s: float) -> Flags:
        """(N,) whether each is fitted: those that were not followed into what is held out."""
        fits: Flags = self.probes.arrived_ns + round(horizon_s * NS) + _BEYOND_NS <= self.cut_ns
        return fits

    def blocks(self, chosen: Flags, horizon_s: float) -> Ints:
        """(n,) block of each chosen probe: four horizons long, none shared by two tapes."""
        blocks = np.zeros(len(self.tape), np.int64)
        first = 0
        for tape in range(len(self.uses)):
            ours = np.flatnonzero(chosen & (self.tape == tape))
            if len(ours):
                own = block_of(self.probes.arrived_ns[ours], deadline_ns=round(horizon_s * NS))
                blocks[ours] = own + first
                first += int(own.max()) + 1
        return blocks[chosen]


def _draw(tapes: Sequence[Tape], plan: CalibrationPlan, progress: Progress) -> _Sample:
    bounds = [_bounds(tape, plan) for tape in tapes]
    whole_ns = sum(until_ns - from_ns for from_ns, until_ns in bounds)
    every_ns = max(whole_ns // _TIMES, _EVERY_NS_MIN) if plan.every_s is None else round(plan.every_s * NS)
    longest_ns = round(plan.horizons_s[-1] * NS)
    grid_ns = tuple(round(edge * NS) for edge in EDGES_S[1:] if edge <= plan.horizons_s[-1])
    probing = ProbePlan(
        every_ns=every_ns,
        grid_ns=(*grid_ns, longest_ns + _BEYOND_NS),
        inside_ticks=plan.inside_ticks,
        queue=plan.queue,
        feed_ns=plan.latency_ns,
        entry_ns=plan.latency_ns,
        seed=plan.seed,
    )
    drawn: list[Probes] = []
    uses: list[TapeUse] = []
    cuts: list[int] = []
    for tape, (from_ns, until_ns) in zip(tapes, bounds, strict=True):
        progress(f"probing {tape.name}")
        probes = draw_probes(tape, probing, from_ns=from_ns, until_ns=until_ns)
        if not len(probes.side):
            raise CallerError(f"no probe rested on tape {tape.name}; nothing was fitted. Take a longer stretch")
        first_ns = int(probes.arrived_ns[0])
        cut_ns = until_ns - round(plan.holdout * (until_ns - first_ns))
        cuts.append(cut_ns)
        uses.append(
            TapeUse(name=tape.name, digest=tape.digest, first_ns=first_ns, last_ns=until_ns, probes=len(probes.side))
        )
        drawn.append(probes)
    sample = _Sample(
        probes=joined(drawn),
        tape=np.repeat(np.arange(len(drawn)), [len(probes.side) for probes in drawn]),
        cut_ns=np.repeat(np.array(cuts, np.int64), [len(probes.side) for probes in drawn]),
        uses=tuple(uses),
    )
    if not sample.fits(plan.horizons_s[0]).any() or not sample.held.any():
        raise CallerError(
            f"{whole_ns / NS:,.0f} s of tape leave nothing to fit on or to hold out when orders are followed for "
            f"{plan.horizons_s[0]:g} s; nothing was fitted. Give longer tapes or shorter --horizons"
        )
    return sample


def _bounds(tape: Tape, plan: CalibrationPlan) -> tuple[int, int]:
    """Venue time within which a tape is used. Raises `CallerError` where nothing is left."""
    begin_ns, end_ns = int(tape.group_venue_ns[0]), int(tape.group_venue_ns[-1])
    span_ns = end_ns - begin_ns

    def at(seconds: float | None, share: float, otherwise_ns: int) -> int:
        if seconds is not None:
            return (begin_ns if seconds >= 0 else end_ns) + round(seconds * NS)
        return otherwise_ns if share in (0.0, 1.0) else begin_ns + round(share * span_ns)

    return probed_span(
        tape,
        from_ns=at(plan.from_s, plan.from_share, begin_ns),
        until_ns=at(plan.until_s, plan.until_share, end_ns),
    )


# --- support ----------------------------------------------------------------------------------------------------------


def _support(sample: _Sample, horizon_s: float) -> Support:
    probes, horizon_ns = sample.probes, round(horizon_s * NS)
    known = sample.fits(horizon_s) & _known(probes, horizon_ns)
    by_then = probes.filled_ns <= probes.arrived_ns + horizon_ns
    apart = 0
    for tape in range(len(sample.uses)):
        rows = np.flatnonzero(known & (sample.tape == tape))
        apart += int((non_overlapping(probes.take(rows), horizon_ns) & by_then[rows]).sum())
    return Support(
        horizon_s=horizon_s,
        probes=int(known.sum()),
        fills=int((known & by_then).sum()),
        non_overlapping=apart,
        effective=_effective(sample, known, by_then, horizon_s),
    )


def _effective(sample: _Sample, known: Flags, by_then: Flags, horizon_s: float) -> float | None:
    """Fills among as many independent probes as would know the share of fills equally well; None with few blocks.

    The variance of the share comes from sums over blocks of four horizons, which overlap at their seams alone.
    """
    count = int(known.sum())
    if not count:
        return None
    length_ns = 4 * round(horizon_s * NS)
    start_ns = sample.probes.arrived_ns[known]
    block = (start_ns - int(start_ns.min())) // length_ns + sample.tape[known] * (1 << 40)
    names, place = np.unique(block, return_inverse=True)
    if len(names) < _EFFECTIVE_BLOCKS:
        return None
    filled = by_then[known].astype(np.float64)
    share = float(filled.mean())
    sums = np.bincount(place, weights=filled - share)
    variance = float((sums**2).sum()) / count**2
    if variance <= 0.0 or not 0.0 < share < 1.0:
        return None
    return min(share * (1.0 - share) / variance, float(count)) * share


def _known(probes: Probes, horizon_ns: int) -> Flags:
    """Whether it is known what became of each probe by the horizon."""
    known: Flags = probes.filled | (probes.seen_ns >= probes.arrived_ns + horizon_ns)
    return known


def _too_few(support: Support) -> str:
    effective = "" if support.effective is None else f", {support.effective:.0f} effective ones,"
    return (
        f"{support.non_overlapping} fills of probes that do not overlap{effective} where {FILLS_MIN} are needed: "
        "record for longer"
    )


# --- fit and admission ------------------------------------------------------------------------------------------------


def _attempt(
    sample: _Sample, plan: CalibrationPlan, supports: tuple[Support, ...], support: Support
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
    hazard = fit_hazard(rows, names=COVARIATES, blocks=block, ridge=RIDGE)
    if not hazard.model.fill.covariance or len(hazard.model.edges_s) < len(edges):
        return "the fit has no error, or no probe lasted as long: record for longer"
    curves = hazard_forecast(hazard.model, probes.covariates)
    strata = _strata(probes, fits)
    counted = _counted(strata, waited, cause, fits, edges)
    judged = tuple(
        _judged(sample, curves, counted, horizon_s=one.horizon_s, seed=plan.seed)
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
    beyond = _beyond(
        (f"fill.{name}", value) for name, value in zip(COVARIATES, hazard.model.fill.coefs, strict=True)
    ) or _beyond((f"drift.{name}", value) for name, value in zip(_DRIFT_TERMS, (drift.base, *drift.coefs), strict=True))
    if beyond:
        return f"{beyond} is beyond what makes sense: too little of the tapes differs in it. Record for longer"
    markout, markout_fit = _markout(probes.take(fits), block)
    identities = [_identity(sample, curves, drift, one) for one in judged]
    judged = tuple(
        msgspec.structs.replace(one, identity=identity) for one, identity in zip(judged, identities, strict=True)
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
    most = horizon_s + _BEYOND_NS / NS
    waited = np.minimum(probes.rested_s, most)
    cause = np.where(probes.filled & (probes.rested_s <= horizon_s), FILLED, CENSORED)
    return waited, cause


def _strata(probes: Probes, fits: Flags) -> Ints:
    """(N,) stratum of each probe: place in the spread, and thirds of the queue and of the lean."""
    stratum: Ints = np.zeros(len(probes.side), np.int64)
    for name in ("log_queue_s", "lean"):
        values = probes.covariates[:, COVARIATES.index(name)]
        bounds = np.quantile(values[fits], (1 / 3, 2 / 3))
        stratum = 3 * stratum + np.searchsorted(bounds, values)
    return 2 * stratum + (probes.inside_ticks > 0)


def _counted(strata: Ints, waited: Floats, cause: Ints, fits: Flags, edges: tuple[float, ...]) -> Forecast:
    """Kaplan-Meier of each probe's stratum, counted on the fitted part; of all for one that hardly occurs there."""
    everybody = kaplan_meier(waited[fits], cause[fits] == FILLED)
    grid = np.array(edges)
    resting = np.tile(everybody.at(grid), (len(strata), 1))
    for stratum in np.unique(strata):
        ours = fits & (strata == stratum)
        if int(ours.sum()) >= _STRATUM_MIN:
            resting[strata == stratum] = kaplan_meier(waited[ours], cause[ours] == FILLED).at(grid)
    return survival_forecast(resting, edges_s=edges)


def _judged(sample: _Sample, curves: Forecast, counted: Forecast, *, horizon_s: float, seed: int) -> Judged:
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
        observed=1.0 - float(kaplan_meier(waited, cause == FILLED).at(everybody)[0]),
        reliability=reliability(ours, waited, cause, horizon_s=horizon_s, block=block, rng=rng, groups=_GROUPS),
        identity=None,
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
    logits = np.array(cause.alphas) + (covariates @ np.array(cause.coefs))[:, None]
    spent = np.logaddexp(0.0, logits)
    slopes = np.exp(logits - spent)
    level = slopes.sum(axis=1, keepdims=True)
    slopes = np.concatenate((slopes, level * covariates), axis=1) / spent.sum(axis=1, keepdims=True)
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


def _identity(sample: _Sample, curves: Forecast, drift: Drift, judged: Judged) -> Gap | None:
    """The gap p AS - (1 - p) D on the held-out part: p and D as fitted, AS as it happened to those that were filled."""
    horizon_ns, horizon_s = round(judged.horizon_s * NS), judged.horizon_s
    at = sample.probes.plan.grid_ns.index(horizon_ns)
    moves = sample.probes.moves_bps[:, at]
    chosen = sample.held & _known(sample.probes, horizon_ns) & np.isfinite(moves)
    filled = chosen & (sample.probes.filled_ns <= sample.probes.arrived_ns + horizon_ns)
    if int(filled.sum()) < 2 or not chosen.any():
        return None
    chance = _of(curves, chosen, horizon_s).at(horizon_s)
    expected = _expected_drift(sample.probes.take(chosen), 1.0 - chance, drift, horizon_s)
    unfilled = float((1.0 - chance).sum())
    drift_bps = float(((1.0 - chance) * expected).sum()) / unfilled
    effective = _effective(sample, chosen, filled, horizon_s)
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
