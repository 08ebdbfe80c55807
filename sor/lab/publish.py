"""A calibration as a param-set: records with what they rest on, in a file that is written once.

The set is whole: what a base set gives and the calibration does not is taken over as it stands, and what was fitted
holds for the tapes' venue and symbol. A published file is never written over: a better fit has another date.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import sqrt

from sor import __version__
from sor.errors import CallerError
from sor.lab.calibration import VERSION, Calibration, ExcursionBudget, Fitted, ImpactLaw, RegimeFit
from sor.lab.costs import LinearFit
from sor.models.covariates import COVARIATES, FADING
from sor.models.drift import DRIFT_COVARIATES, MARKOUT_COVARIATES
from sor.models.impact import LAW_EXPONENT
from sor.param_table import definition_of
from sor.params import ParamSet, parse

_Z = 1.959963984540054
_HAZARD = "discrete-time hazard by penalised likelihood, errors by block of time"
_SQUARES = "weighted least squares with a ridge, errors by block of time"
_QUANTILES = "quantile over probes"

Json = dict[str, object]


def param_set_of(calibration: Calibration, base: ParamSet, *, set_id: str) -> tuple[ParamSet, str]:
    """The set and the text of its file.

    base      what gives everything that was not fitted; the same ids for other venues and symbols are kept.
    Raises    CallerError when nothing was admitted.
    """
    if not calibration.admitted:
        raise CallerError("nothing was admitted, so there is nothing to publish")
    scope = {"venue": calibration.plan.venue, "symbol": calibration.plan.symbol}
    day = set_id.partition("/")[2]
    names = ", ".join(f"{tape.name} ({tape.digest})" for tape in calibration.tapes)
    source = f"sor calibrate on {names}, latency {calibration.plan.latency_ns / 1e6:g} ms, {calibration.plan.queue}"
    ours = [
        {"source": source, "scope": scope, **record, "observed": day} for record in _all_records(calibration, scope)
    ]
    keys = [(str(record["id"]), str(scope["venue"]), str(scope["symbol"])) for record in ours]
    kept: list[Json] = [
        record.model_dump(mode="json", exclude_defaults=True)
        for record in base.records
        if (record.id, record.scope.venue, record.scope.symbol) not in keys
    ]
    evidence = base.evidence.model_dump(mode="json", exclude_defaults=True)
    if calibration.fitted is not None:
        evidence |= _evidence(calibration, calibration.fitted)
    content: Json = {
        "format": 1,
        "set_id": set_id,
        "note": _note(calibration, base),
        "evidence": evidence,
        "records": [*kept, *ours],
    }
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return parse(text, where=set_id), text


# --- what it says -----------------------------------------------------------------------------------------------------


def _note(calibration: Calibration, base: ParamSet) -> str:
    plan = calibration.plan
    parts = []
    if calibration.fitted is not None:
        own = [str(one.regime) for one in calibration.regimes if isinstance(one, RegimeFit)]
        apart = f", {' and '.join(own)} markets apart," if own else ""
        parts.append(f"fill and drift up to {calibration.fitted.horizon_s:g} s{apart}")
    if isinstance(calibration.excursion, ExcursionBudget):
        parts.append("excursion budget")
    if isinstance(calibration.impact, ImpactLaw):
        parts.append(f"impact in {calibration.impact.window_s:g} s")
    what = " and ".join(parts)
    return (
        f"{what[0].upper()}{what[1:]} of {plan.symbol} on {plan.venue}, fitted by sor calibrate; everything else as in "
        f"{base.set_id}."
    )


def _evidence(calibration: Calibration, fitted: Fitted) -> Json:
    """What all values of the fill and the drift share."""
    judged = calibration.judged[-1]
    return {
        **_tapes(calibration),
        "method": _HAZARD,
        "sample_size": fitted.fills,
        "score": {
            "name": f"right-censored log-likelihood a probe up to {judged.horizon_s:g} s, held out; reference: "
            "Kaplan-Meier by stratum",
            "value": _text(judged.log_score),
            "reference": _text(judged.log_score_km),
        },
    }


def _tapes(calibration: Calibration) -> Json:
    """What anything fitted on these tapes rests on."""
    first = min(tape.first_ns for tape in calibration.tapes)
    last = max(tape.last_ns for tape in calibration.tapes)
    return {
        "version": VERSION,
        "window": [_moment(first), _moment(last)],
        "input_digest": calibration.digest,
        "author": f"sor calibrate {__version__}",
    }


def _all_records(calibration: Calibration, scope: Mapping[str, str]) -> Iterator[Json]:
    if calibration.fitted is not None:
        yield from _records(calibration, calibration.fitted)
    for one in calibration.regimes:
        if isinstance(one, RegimeFit):
            yield from _of_regime(calibration, one, {**scope, "regime": str(one.regime)})
    if isinstance(calibration.impact, ImpactLaw):
        yield from _impact(calibration, calibration.impact)
    if isinstance(calibration.excursion, ExcursionBudget):
        yield _excursion(calibration, calibration.excursion)


def _of_regime(calibration: Calibration, one: RegimeFit, scope: Json) -> Iterator[Json]:
    """The records of a regime's own fit; what rests on data says so by itself, as the set's evidence is the whole's.

    The ranges stay the whole's: they say which markets no fit has seen, and a regime is bounded by its thresholds.
    """
    evidence: Json = {
        "method": _HAZARD,
        "sample_size": one.fitted.fills,
        "score": {
            "name": f"right-censored log-likelihood a probe up to {one.fitted.horizon_s:g} s in the {one.regime} "
            "market, held out; reference: the fit for all regimes",
            "value": _text(one.judged.log_score),
            "reference": _text(one.judged.log_score - one.gain),
        },
    }
    for record in _records(calibration, one.fitted):
        if str(record["id"]).startswith("range."):
            continue
        shared = {} if record["kind"] == "assumed" else evidence
        yield {**shared, **record, "scope": scope}


def _excursion(calibration: Calibration, budget: ExcursionBudget) -> Json:
    return {
        **_record("placement.excursion_bps", budget.value_bps, (budget.low_bps, budget.high_bps)),
        **_tapes(calibration),
        "method": f"remaining cost of orders that stay up to {budget.horizon_s:g} s by isotonic regression on the "
        "excursion, bootstrap over blocks of time",
        "fee_tier": budget.fees,
        "sample_size": budget.orders,
        "score": {
            "name": "cost of staying against crossing from half-way between the budget and the farthest excursions, "
            "bps, held out; reference: from half of the budget",
            "value": _text(budget.remaining_beyond.mean),
            "reference": _text(budget.remaining_below_bps),
        },
    }


def _impact(calibration: Calibration, law: ImpactLaw) -> Iterator[Json]:
    shared: Json = {
        **_tapes(calibration),
        "method": f"moves of the mid in {law.window_s:g} s on net taker flow through the origin, Huber's loss, "
        "bootstrap over blocks of time",
        "sample_size": law.windows,
        "score": {
            "name": "mean squared error of the move over volatility, held out; reference: no impact",
            "value": _text(law.error),
            "reference": _text(law.error_of_none),
        },
    }
    value, low, high = law.paid
    yield {**_record("impact.coefficient", value, (low, high)), **shared}
    for end, at in (("low", low), ("high", high)):
        # An end is as far off as the value, and as the width of the interval is not known better.
        reach = abs(at - value) * sqrt(1.0 + _Z * _Z / (2.0 * (law.blocks - 1)))
        yield {**_record(f"impact.coefficient_{end}", at, (at - reach, at + reach)), **shared}
    own = (law.own_exponent_low, law.own_exponent_high)
    if law.exponent == LAW_EXPONENT:
        yield {
            **_record("impact.exponent", law.exponent, kind="published"),
            "source": "square-root law; 0.489 +- 0.0015 over all liquid Tokyo stocks (Sato, Kanazawa 2024, arXiv "
            f"2411.13965); the tapes' own is {own[0]:.2f} to {own[1]:.2f}",
        }
    else:
        yield {**_record("impact.exponent", law.exponent, own), **shared}


def _records(calibration: Calibration, fitted: Fitted) -> Iterator[Json]:
    model = fitted.hazard.model
    errors = [sqrt(max(row[at], 0.0)) for at, row in enumerate(model.fill.covariance)]
    bins = len(model.fill.alphas)
    for at, edge in enumerate(model.edges_s[1:]):
        yield _record(f"fill.edge_{at:02d}", edge, kind="assumed")
    for at, alpha in enumerate(model.fill.alphas):
        yield _record(f"fill.alpha_{at:02d}", alpha, _around(alpha, errors[at]))
    for at, (name, coef) in enumerate(zip(COVARIATES, model.fill.coefs, strict=True)):
        yield _record(f"fill.{name}", coef, _around(coef, errors[bins + at]))
    for at, (name, fade) in enumerate(zip(FADING, model.fill.fades, strict=True), bins + len(COVARIATES)):
        yield _record(f"fading.{name}", fade, _around(fade, errors[at]))
    yield _record("fill.se", fitted.fill_se, _of_error(fitted.fill_se, fitted.blocks))
    judged = fitted.drift_judged
    score: Json = {
        "name": "weighted mean squared error of D, held out; reference: no drift",
        "value": _text(judged.with_covariates if any(fitted.drift.coefs) else judged.base_only),
        "reference": _text(judged.nothing),
    }
    drift: Json = {"method": _SQUARES, "sample_size": fitted.drift_fit.blocks, "score": score}
    ids = ("drift.base", *(f"drift.{name}" for name in DRIFT_COVARIATES))
    yield from _linear(ids, (fitted.drift.base, *fitted.drift.coefs), fitted.drift_fit, drift)
    yield {**_record("drift.se", fitted.drift.se, _of_error(fitted.drift.se, fitted.blocks)), **drift}
    if fitted.markout is not None and fitted.markout_fit is not None:
        yield from _markout(fitted)
    size = calibration.support[-1].probes
    for name, one in zip(COVARIATES, fitted.ranges, strict=True):
        for end, value, within in (("low", one.low, one.low_interval), ("high", one.high, one.high_interval)):
            record = _record(f"range.{name}_{end}", value, within, kind="measured")
            yield {**record, "method": _QUANTILES, "sample_size": max(size, 1)}


def _markout(fitted: Fitted) -> Iterator[Json]:
    markout, fit = fitted.markout, fitted.markout_fit
    assert markout is not None
    assert fit is not None
    shared: Json = {"method": _SQUARES, "sample_size": fit.blocks}
    ids = ("markout.base", *(f"markout.{name}" for name in MARKOUT_COVARIATES))
    yield from _linear(ids, (markout.base, *markout.coefs), fit, shared)
    yield {**_record("markout.se", markout.se, _of_error(markout.se, fit.blocks)), **shared}
    yield _record("markout.after_s", markout.after_s, kind="assumed")


def _linear(ids: Sequence[str], values: Sequence[float], fit: LinearFit, shared: Json) -> Iterator[Json]:
    for at, (param_id, value) in enumerate(zip(ids, values, strict=True)):
        yield {**_record(param_id, value, fit.interval(at)), **shared}


def _record(param_id: str, value: float, interval: tuple[float, float] | None = None, *, kind: str = "fitted") -> Json:
    definition = definition_of(param_id)
    assert definition is not None, param_id
    record: Json = {
        "id": param_id,
        "value": _text(value),
        "unit": definition.unit.value,
        "bounds": [f"{definition.low:f}", f"{definition.high:f}"],
        "kind": kind,
    }
    if interval is not None:
        low, high = interval
        # Rounding must not put a value outside of its own interval.
        record["interval"] = [_text(min(low, value)), _text(max(high, value))]
    return record


def _around(value: float, error: float) -> tuple[float, float]:
    return value - _Z * error, value + _Z * error


def _of_error(error: float, blocks: int) -> tuple[float, float]:
    """Interval of a standard error that so many blocks have told."""
    reach = _Z / sqrt(2.0 * max(blocks - 1, 1))
    return error * max(1.0 - reach, 0.0), error * (1.0 + reach)


def _text(value: float) -> str:
    """Plain decimal text of six significant digits."""
    text = f"{value:.6g}"
    if "e" in text:
        text = f"{value:.12f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def _moment(at_ns: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_ns // 1_000)).isoformat()
