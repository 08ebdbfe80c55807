"""`sor calibrate`: from tapes to a param-set, or to the reasons why not."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from sor.cli.common import PARAM_DIR_HELP, Output, say_json
from sor.cli.words import moment
from sor.units import NS

if TYPE_CHECKING:
    from sor.lab.calibration import (
        Calibration,
        CalibrationPlan,
        ExcursionBudget,
        ImpactLaw,
        Judged,
        Refusal,
        RegimeFit,
        RegimeRefusal,
        SizeCheck,
    )
    from sor.params import ParamSet
    from sor.regime import Thresholds

EXIT_REFUSED = 1


@click.command(short_help="Fit a param-set on tapes, or say why not.")
@click.argument("tapes", nargs=-1, required=True, metavar="TAPE...", type=click.Path(path_type=Path))
@click.option("--venue", required=True, help="Venue of the tapes, as `sor tape info` says it.")
@click.option("--symbol", required=True, help="What they are of, in any spelling: BTC-USDT, BTCUSDT.")
@click.option("--out", type=click.Path(path_type=Path), help="FAMILY/DATE.json to publish; without it only the report.")
@click.option("--from", "since", metavar="WHEN", help="Leave out what is before: 1h, 25%, or -30m from the end.")
@click.option("--until", metavar="WHEN", help="Leave out what is after, likewise.")
@click.option("--holdout", default="30%", show_default=True, metavar="SHARE", help="End of each tape to score on.")
@click.option("--horizons", default="1s,5s,15s,60s", show_default=True, help="Waits to calibrate, longest last.")
@click.option("--every", help="Time between probes; default: about 5000 times over all tapes.")
@click.option(
    "--queue",
    type=click.Choice(["risk_averse", "moderate", "exact"]),
    default="risk_averse",
    show_default=True,
    help="How a place in a queue moves; exact where the tape has every order.",
)
@click.option("--latency", default="5ms", show_default=True, help="Delay of market data, and of orders.")
@click.option("--base", default="baseline", show_default=True, help="Param-set that gives everything else.")
@click.option("--param-dir", "param_dirs", multiple=True, type=click.Path(path_type=Path), help=PARAM_DIR_HELP)
@click.option("--regimes", is_flag=True, help="Fit each market regime of the base by itself too, where that says more.")
@click.option("--seed", default=3, show_default=True, type=click.IntRange(0), help="Decides when is probed.")
@click.pass_context
def calibrate(
    ctx: click.Context,
    tapes: tuple[Path, ...],
    venue: str,
    symbol: str,
    out: Path | None,
    since: str | None,
    until: str | None,
    holdout: str,
    horizons: str,
    every: str | None,
    queue: str,
    latency: str,
    base: str,
    param_dirs: tuple[Path, ...],
    regimes: bool,
    seed: int,
) -> None:
    """Fit fill probability and drift on TAPE..., score them on later time, and publish what the data support.

    Small hypothetical orders are followed on the tapes. A wait is admitted when there are 200 fills that do not
    overlap, or as many effective ones, and when the fit forecasts the held-out end of each tape no worse than
    Kaplan-Meier by stratum. What is refused is said with its reason; when all is, nothing is written and the exit code
    is 1.
    """
    from sor.cli.terms import names, seconds
    from sor.ids import VenueName
    from sor.instruments import canonical_symbol
    from sor.lab.calibrate import calibrate as run
    from sor.lab.calibration import CalibrationPlan
    from sor.lab.publish import param_set_of, publish, set_name
    from sor.params import ParamStore
    from sor.tape import open_whole

    output = ctx.ensure_object(Output)
    set_id = None if out is None else set_name(out)
    base_set = ParamStore(*param_dirs).get(base, now_ns=time.time_ns())
    from_s, from_share = _when(since, "--from", otherwise=0.0)
    until_s, until_share = _when(until, "--until", otherwise=1.0)
    plan = CalibrationPlan(
        venue=VenueName(venue),
        symbol=canonical_symbol(symbol),
        from_s=from_s,
        from_share=from_share,
        until_s=until_s,
        until_share=until_share,
        holdout=_share(holdout, "--holdout"),
        horizons_s=tuple(seconds(one) for one in names(horizons, what="--horizons")),
        every_s=None if every is None else seconds(every),
        queue=queue,
        latency_ns=0 if latency == "0" else round(seconds(latency) * NS),
        seed=seed,
    )
    if regimes:
        plan = msgspec.structs.replace(plan, regimes=_thresholds(base_set, plan))
    with _told(output) as tell:
        tell("reading the tapes")
        found = run([open_whole(path) for path in tapes], plan, tell)
    made: tuple[ParamSet, str] | None = None
    if found.admitted:
        made = param_set_of(found, base_set, set_id=set_id or "unpublished/2000-01-01")
        if out is not None:
            publish(made[1], out)
    if output.json:
        say_json(_document(found, made[0] if made else None, out))
    else:
        _show(output, found, made[0] if made else None, out)
    if made is None:
        ctx.exit(EXIT_REFUSED)


def _thresholds(base: ParamSet, plan: CalibrationPlan) -> Thresholds:
    """What the base says of regimes where the tapes are from. Raises `CallerError` where it says nothing."""
    from sor.errors import CallerError

    found = base.resolve(plan.venue, plan.symbol, now_ns=time.time_ns()).thresholds
    if found is None:
        raise CallerError(
            f"{base.set_id} does not say what regimes there are (regime.*); nothing was fitted. Name another --base, "
            "or leave out --regimes"
        )
    return found


def _when(text: str | None, what: str, *, otherwise: float) -> tuple[float | None, float]:
    """(seconds from the beginning, negative from the end; None) or (None, share) of what was typed."""
    from sor.cli.terms import seconds

    if text is None:
        return None, otherwise
    if text.endswith("%"):
        return None, _share(text, what)
    if text == "0":
        return None, 0.0
    return (-seconds(text[1:]) if text.startswith("-") else seconds(text)), otherwise


def _share(text: str, what: str) -> float:
    """A share such as 25% or 0.25. Raises `BadValue` for anything else."""
    from sor.cli.terms import BadValue

    try:
        share = float(text.removesuffix("%")) / (100.0 if text.endswith("%") else 1.0)
    except ValueError:
        share = -1.0
    if not 0.0 <= share <= 1.0:
        raise BadValue(f"{what} {text!r}: write a share like 25% or 0.25; nothing was done")
    return share


@contextmanager
def _told(output: Output) -> Iterator[Callable[[str], None]]:
    """Says on stderr what is going on, where somebody watches."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=output.err,
        transient=True,
        disable=output.json or not sys.stderr.isatty(),
    ) as bars:
        task = bars.add_task("", total=None)
        yield lambda what: bars.update(task, description=what)


# --- what people read -------------------------------------------------------------------------------------------------


def _show(output: Output, found: Calibration, made: ParamSet | None, out: Path | None) -> None:
    out_console = output.out
    for tape in found.tapes:
        out_console.print(
            f"{tape.name} ({tape.digest}): {tape.probes:,} probes, {moment(tape.first_ns)} to {moment(tape.last_ns)}"
        )
    out_console.print(
        f"one every {found.every_s:g} s, both sides, at the touch, inside the spread and behind; "
        f"{found.refused_as_taking:,} would have taken"
    )
    out_console.print()
    out_console.print("What the fitted part knows", style="italic")
    out_console.print(_support_table(found))
    if found.judged:
        out_console.print()
        out_console.print("How the fit did on the held-out part", style="italic")
        out_console.print(_judged_table(found))
        out_console.print(
            "score: log-likelihood a probe; gain: over Kaplan-Meier by stratum, with its 95 % interval by block; "
            "identity: p AS - (1 - p) D, 0 where the mid has no drift"
        )
        out_console.print()
        out_console.print(f"The same by place, {found.judged[-1].horizon_s:g} s", style="italic")
        out_console.print(_places_table(found.judged[-1]))
        out_console.print()
        out_console.print("The hazard beside other models of the time to fill, on the same part", style="italic")
        out_console.print(_models_table(found))
        out_console.print(
            "lead: score of the hazard less the model's; worst: forecast against observed in groups; uneven: "
            "chi-square of D-calibration. The hazard is what is published, as it is what policies read"
        )
    if found.exits:
        out_console.print()
        out_console.print(
            f"How waits of {found.exits[-1].horizon_s:g} s end where the touch may move away first (Aalen-Johansen)",
            style="italic",
        )
        out_console.print(_exits_table(found))
    out_console.print()
    for refusal in found.refusals:
        out_console.print(f"{refusal.horizon_s:g} s is refused: {refusal.reason}")
    for judged in found.judged:
        if judged.identity is not None and not judged.sound:
            out_console.print(
                f"{judged.horizon_s:g} s: fill probability, drift and what the filled found do not add up "
                f"({judged.identity.bps:+.3f} bps, {abs(judged.identity.bps) / judged.identity.se_bps:.1f} standard "
                "errors): one of them is biased, or the mid had a drift"
            )
        for model in judged.models:
            if model.beats_hazard:
                out_console.print(
                    f"{judged.horizon_s:g} s: {_spoken(model.model)} forecasts better than the hazard by "
                    f"{-model.lead:.4f} a probe, which is more than noise: look at the hazard's covariates and bins"
                )
    if found.size is not None:
        out_console.print(_size_told(found.size))
    for regime in found.regimes:
        out_console.print(_regime_told(regime))
    if found.excursion is not None:
        out_console.print(_excursion_told(found.excursion))
    out_console.print(_impact_told(found.impact))
    if made is None:
        out_console.print("Nothing was admitted, and nothing was written.")
        return
    fitted = found.fitted
    if fitted is not None:
        kept = "with covariates" if any(fitted.drift.coefs) else "without covariates, which were of no use"
        out_console.print(
            f"Admitted up to {fitted.horizon_s:g} s: {fitted.fills:,} fills in {fitted.blocks} blocks; drift "
            f"{fitted.drift.base:.3f} of its bound {kept} (error of {fitted.drift.se:.3f})"
        )
    if out is None:
        out_console.print("Nothing was written. Name a file with --out to publish it")
    else:
        out_console.print(f"Published {made.set_id}, digest {made.digest}, as {out}. Try: sor params {out}")


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


def _document(found: Calibration, made: ParamSet | None, out: Path | None) -> dict[str, object]:
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
