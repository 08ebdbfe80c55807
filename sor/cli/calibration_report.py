"""What `sor calibrate` found: tables and sentences for people, one document for programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from sor.cli.common import Output
from sor.cli.words import moment

if TYPE_CHECKING:
    from sor.lab.calibration import (
        Calibration,
        ExcursionBudget,
        ImpactLaw,
        Judged,
        Refusal,
        RegimeFit,
        RegimeRefusal,
        SizeCheck,
    )
    from sor.params import ParamSet

_SCORES_NOTE = (
    "score: log-likelihood a probe; gain: over Kaplan-Meier by stratum, with its 95 % interval by block; identity: "
    "p AS - (1 - p) D, 0 where the mid has no drift"
)
_MODELS_NOTE = (
    "lead: score of the hazard less the model's; worst: forecast against observed in groups; uneven: chi-square of "
    "D-calibration. The hazard is what is published, as it is what policies read"
)


def show(output: Output, found: Calibration, made: ParamSet | None, out: Path | None) -> None:
    """For people: what the tapes know, how the fit did, and what is refused, admitted and published."""
    say = output.out.print
    for tape in found.tapes:
        say(f"{tape.name} ({tape.digest}): {tape.probes:,} probes, {moment(tape.first_ns)} to {moment(tape.last_ns)}")
    say(
        f"one every {found.every_s:g} s, both sides, at the touch, inside the spread and behind; "
        f"{found.refused_as_taking:,} would have taken"
    )
    for heading, table, note in _tables(found):
        say()
        say(heading, style="italic")
        say(table)
        if note:
            say(note)
    say()
    for sentence in _findings(found):
        say(sentence)
    if made is None:
        say("Nothing was admitted, and nothing was written.")
        return
    fitted = found.fitted
    if fitted is not None:
        kept = "with covariates" if any(fitted.drift.coefs) else "without covariates, which were of no use"
        say(
            f"Admitted up to {fitted.horizon_s:g} s: {fitted.fills:,} fills in {fitted.blocks} blocks; drift "
            f"{fitted.drift.base:.3f} of its bound {kept} (error of {fitted.drift.se:.3f})"
        )
    if out is None:
        say("Nothing was written. Name a file with --out to publish it")
    else:
        say(f"Published {made.set_id}, digest {made.digest}, as {out}. Try: sor params {out}")


def _tables(found: Calibration) -> Iterator[tuple[str, Table, str]]:
    """Heading, table, and what its columns mean."""
    yield "What the fitted part knows", _support_table(found), ""
    if found.judged:
        last = found.judged[-1]
        yield (
            "How the fit did on the held-out part",
            _judged_table(found),
            _SCORES_NOTE,
        )
        yield f"The same by place, {last.horizon_s:g} s", _places_table(last), ""
        yield (
            "The hazard beside other models of the time to fill, on the same part",
            _models_table(found),
            _MODELS_NOTE,
        )
    if found.exits:
        longest = found.exits[-1].horizon_s
        yield (
            f"How waits of {longest:g} s end where the touch may move away first (Aalen-Johansen)",
            _exits_table(found),
            "",
        )


def _findings(found: Calibration) -> Iterator[str]:
    """What is refused and what the checks found, a sentence each."""
    for refusal in found.refusals:
        yield f"{refusal.horizon_s:g} s is refused: {refusal.reason}"
    for judged in found.judged:
        if judged.identity is not None and not judged.sound:
            yield (
                f"{judged.horizon_s:g} s: fill probability, drift and what the filled found do not add up "
                f"({judged.identity.bps:+.3f} bps, {abs(judged.identity.bps) / judged.identity.se_bps:.1f} standard "
                "errors): one of them is biased, or the mid had a drift"
            )
        for model in judged.models:
            if model.beats_hazard:
                yield (
                    f"{judged.horizon_s:g} s: {_spoken(model.model)} forecasts better than the hazard by "
                    f"{-model.lead:.4f} a probe, which is more than noise: look at the hazard's covariates and bins"
                )
    if found.size is not None:
        yield _size_told(found.size)
    for regime in found.regimes:
        yield _regime_told(regime)
    if found.excursion is not None:
        yield _excursion_told(found.excursion)
    yield _impact_told(found.impact)


def _size_told(size: SizeCheck) -> str:
    within = ""
    if size.rate_ratio_low is not None:
        within = f" [{size.rate_ratio_low:.2f}, {size.rate_ratio_high:.2f}]"
    return (
        f"Orders of {size.lots:,} lots, as many as stand at the touch: {size.observed.mean:.3f} filled by "
        f"{size.horizon_s:g} s where the fit on the smallest says {size.forecast:.3f}; {size.rate_ratio:.2f}{within} "
        "times its rate, 1 where own size counts like the queue ahead"
    )


def _regime_told(one: RegimeFit | RegimeRefusal) -> str:
    from sor.lab.calibration import RegimeRefusal

    if isinstance(one, RegimeRefusal):
        return f"The {one.regime} market ({one.probes:,} probes) has no fit of its own: {one.reason}"
    return (
        f"The {one.regime} market ({one.probes:,} probes) has a fit of its own: {one.gain:+.4f} "
        f"[{one.gain_low:+.4f}, {one.gain_high:+.4f}] log-likelihood an order over the whole fit; {one.fitted.fills:,} "
        f"fills in {one.fitted.blocks} blocks"
    )


def _excursion_told(budget: ExcursionBudget | Refusal) -> str:
    from sor.lab.calibration import Refusal

    if isinstance(budget, Refusal):
        return f"Excursion budget up to {budget.horizon_s:g} s: none, {budget.reason}"
    return (
        f"Excursion budget up to {budget.horizon_s:g} s: {budget.value_bps:.3g} bps [{budget.low_bps:.3g}, "
        f"{budget.high_bps:.3g}] with fees of {budget.fees}; on the held-out part staying costs "
        f"{budget.remaining_below_bps:+.3f} bps against crossing from half of it on, and "
        f"{budget.remaining_beyond.mean:+.3f} bps from beyond it"
    )


def _impact_told(law: ImpactLaw | Refusal) -> str:
    from sor.lab.calibration import Refusal

    if isinstance(law, Refusal):
        return f"Impact in {law.horizon_s:g} s is refused, and stays as it is in the base: {law.reason}"
    value, low, high = law.paid
    return (
        f"Impact in {law.window_s:g} s: {value:.3f} [{low:.3f}, {high:.3f}] paid on average, exponent "
        f"{law.exponent:g} (own {law.own_exponent:.2f} [{law.own_exponent_low:.2f}, {law.own_exponent_high:.2f}]), "
        f"{law.windows:,} windows in {law.blocks} blocks; held-out error {law.error:.3f}, of no impact "
        f"{law.error_of_none:.3f}, of a line {law.error_of_linear:.3f}. An upper bound: the moves hold what takers knew"
    )


def _support_table(found: Calibration) -> Table:
    table = Table(box=None)
    for name in ("wait", "probes", "fills", "not overlapping", "effective", ""):
        table.add_column(name, justify="left" if not name else "right")
    for one in found.support:
        table.add_row(
            f"{one.horizon_s:g} s",
            f"{one.probes:,}",
            f"{one.fills:,}",
            f"{one.non_overlapping:,}",
            "-" if one.effective is None else f"{one.effective:,.0f}",
            "enough" if one.enough else "too few",
        )
    return table


def _judged_table(found: Calibration) -> Table:
    table = Table(box=None)
    for name in (
        "wait",
        "probes",
        "score",
        "KM",
        "gain",
        "",
        "Brier",
        "KM",
        "forecast",
        "observed",
        "worst",
        "identity",
    ):
        table.add_column(name, justify="right")
    for one in found.judged:
        within = "" if one.gain_low is None else f"[{one.gain_low:+.4f}, {one.gain_high:+.4f}]"
        gap = one.identity
        table.add_row(
            f"{one.horizon_s:g} s",
            f"{one.probes:,}",
            f"{one.log_score:.4f}",
            f"{one.log_score_km:.4f}",
            f"{one.gain:+.4f}",
            within,
            f"{one.brier:.4f}",
            f"{one.brier_km:.4f}",
            f"{one.forecast:.3f}",
            f"{one.observed:.3f}",
            f"{one.worst:.3f}",
            "-" if gap is None else f"{gap.bps:+.3f} ({gap.se_bps:.3f})",
        )
    return table


def _models_table(found: Calibration) -> Table:
    table = Table(box=None)
    for name in ("wait", "model", "score", "lead", "", "Brier", "forecast", "worst", "uneven"):
        table.add_column(name, justify="left" if name == "model" else "right")
    for judged in found.judged:
        for at, one in enumerate(judged.models):
            hazard = at == 0
            within = "" if hazard or one.lead_low is None else f"[{one.lead_low:+.4f}, {one.lead_high:+.4f}]"
            table.add_row(
                f"{judged.horizon_s:g} s" if hazard else "",
                _spoken(one.model),
                f"{one.log_score:.4f}",
                "" if hazard else f"{one.lead:+.4f}",
                within,
                f"{one.brier:.4f}",
                f"{one.forecast:.3f}",
                f"{one.worst:.3f}",
                f"{one.unevenness:,.0f}",
            )
    return table


def _spoken(model: str) -> str:
    return {"kaplan_meier": "Kaplan-Meier", "log_normal": "log-normal", "log_logistic": "log-logistic"}.get(
        model, "Weibull" if model == "weibull" else model
    )


def _exits_table(found: Calibration) -> Table:
    table = Table(box=None)
    for name in ("place", "queue", "lean", "probes", "filled", "", "moved away", "", "still there"):
        table.add_column(name, justify="left" if name in {"place", "queue", "lean"} else "right")
    for one in found.exits:
        if one.horizon_s == found.exits[-1].horizon_s:
            cells = []
            for share in (one.filled, one.moved_away):
                cells.append(f"{share.mean:.3f}")
                cells.append("" if share.low is None else f"[{share.low:.3f}, {share.high:.3f}]")
            table.add_row(
                one.place,
                ("short", "middling", "long")[one.queue],
                ("theirs", "even", "ours")[one.lean],
                f"{one.filled.parents:,}",
                *cells,
                f"{max(1.0 - one.filled.mean - one.moved_away.mean, 0.0):.3f}",
            )
    return table


def _places_table(judged: Judged) -> Table:
    table = Table(box=None)
    for name in ("", "probes", "score", "KM", "forecast", "observed", "worst"):
        table.add_column(name, justify="right" if name else "left")
    for one in judged.places:
        table.add_row(
            one.place,
            f"{one.probes:,}",
            f"{one.log_score:.4f}",
            f"{one.log_score_km:.4f}",
            f"{one.forecast:.3f}",
            f"{one.observed:.3f}",
            f"{one.worst:.3f}",
        )
    return table


def document(found: Calibration, made: ParamSet | None, out: Path | None) -> dict[str, object]:
    """For programs: all that people are told, and the values."""
    from sor.lab.calibration import Refusal, RegimeRefusal

    fitted = found.fitted
    values = {}
    if made is not None:
        venue, symbol = found.plan.venue, found.plan.symbol
        values = {
            record.id: str(record.value)
            for record in made.records
            if (record.scope.venue, record.scope.symbol, record.scope.regime) == (venue, symbol, "*")
        }
    return {
        "plan": found.plan,
        "tapes": found.tapes,
        "digest": found.digest,
        "every_s": found.every_s,
        "refused_as_taking": found.refused_as_taking,
        "support": found.support,
        "judged": found.judged,
        "exits": found.exits,
        "impact": None if isinstance(found.impact, Refusal) else found.impact,
        "impact_refused": found.impact.reason if isinstance(found.impact, Refusal) else None,
        "size": found.size,
        "excursion": None if isinstance(found.excursion, Refusal) else found.excursion,
        "excursion_refused": found.excursion.reason if isinstance(found.excursion, Refusal) else None,
        "regimes": [
            {
                "regime": one.regime,
                "probes": one.probes,
                "refused": one.reason if isinstance(one, RegimeRefusal) else None,
                "gain": None if isinstance(one, RegimeRefusal) else (one.gain, one.gain_low, one.gain_high),
                "judged": None if isinstance(one, RegimeRefusal) else one.judged,
            }
            for one in found.regimes
        ],
        "broken_identities": [one.horizon_s for one in found.judged if not one.sound],
        "refusals": found.refusals,
        "horizon_s": None if fitted is None else fitted.horizon_s,
        "drift_judged": None if fitted is None else fitted.drift_judged,
        "values": values,
        "published": None if made is None or out is None else {"set": made.set_id, "digest": made.digest},
    }
