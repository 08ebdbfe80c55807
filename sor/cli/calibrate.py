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

from sor.cli.calibration_report import document, show
from sor.cli.common import PARAM_DIR_HELP, Output, say_json
from sor.units import NS

if TYPE_CHECKING:
    from sor.lab.calibration import (
        CalibrationPlan,
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
    """Fit fill, drift, impact and excursions on TAPE..., score them on later time, and publish what the data support.

    Small hypothetical orders are followed on the tapes. A wait is admitted when there are 200 fills that do not
    overlap, or as many effective ones, and when the fit forecasts the held-out end of each tape no worse than
    Kaplan-Meier by stratum; impact and an excursion budget by rules of their own. What is refused is said with its
    reason; when all is, nothing is written and the exit code is 1.
    """
    from sor.cli.terms import names, seconds
    from sor.ids import VenueName
    from sor.instruments import canonical_symbol
    from sor.lab.calibrate import calibrate as run
    from sor.lab.calibration import CalibrationPlan
    from sor.lab.publish import param_set_of
    from sor.param_publish import publish, set_name
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
        say_json(document(found, made[0] if made else None, out))
    else:
        show(output, found, made[0] if made else None, out)
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
