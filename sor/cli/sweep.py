"""`sor sweep`: what each timeout of `maker_first` costs on a recording."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sor.cli.common import PARAM_DIR_HELP, RUNS, Output, say_json

if TYPE_CHECKING:
    from sor.lab.sweep.grid import Setting, Swept


@click.command(short_help="Compare many timeouts on a recording.")
@click.argument("tape", type=click.Path(path_type=Path))
@click.option("--timeouts", default="500ms,1s,2s,5s,10s,15s", show_default=True, help="Timeouts to compare.")
@click.option("--parents", default=5_000, show_default=True, help="Parent orders for each timeout.")
@click.option("--seed", default=7, show_default=True, help="Decides start times and sides, as in `sor replay`.")
@click.option("--qty", "quantity", help="Quantity of each parent; default: a tenth of the median size at the touch.")
@click.option("--deadline", default="30s", show_default=True, help="Time each parent has, like 15s or 2m.")
@click.option(
    "--queue",
    type=click.Choice(["risk_averse", "moderate"]),
    default="risk_averse",
    show_default=True,
    help="How own place in a queue moves when others cancel.",
)
@click.option("--latency", default="5ms", show_default=True, help="Delay each way, constant.")
@click.option("--param-set", default="baseline", show_default=True, help="Name or family of the param-set.")
@click.option("--param-dir", "param_dirs", multiple=True, type=click.Path(path_type=Path), help=PARAM_DIR_HELP)
@click.pass_obj
def sweep(
    output: Output,
    tape: Path,
    timeouts: str,
    parents: int,
    seed: int,
    quantity: str | None,
    deadline: str,
    queue: str,
    latency: str,
    param_set: str,
    param_dirs: tuple[Path, ...],
) -> None:
    """Run the same parents on TAPE through `maker_first` with each of several timeouts and compare what they cost.

    A compiled lane (extra sor[sweep]) replays them some hundred times faster than `sor replay`, with the same fills and
    costs; a parent that meets what it does not have is counted under no timeout and said. It chooses nothing: replay a
    timeout with `sor replay` before trading on it.
    """
    from sor.cli.run import sets_of
    from sor.cli.terms import decimal, names, seconds
    from sor.lab.replay import Plan, Replayer, tape_ground
    from sor.lab.sweep.compiled import compiled
    from sor.lab.sweep.grid import Grid, swept
    from sor.lab.sweep.lane import FEED_NS
    from sor.lab.sweep.tables import market_of
    from sor.tape import open_whole
    from sor.units import to_ns

    grid = Grid(
        timeouts_s=tuple(seconds(one) for one in names(timeouts, what="--timeouts")),
        deadline_s=seconds(deadline),
        queue=queue,
        latency_ns=to_ns(seconds(latency)),
        seed=seed,
    )
    kernel = compiled()
    plan = Plan(
        policies=("maker_first",),
        parents=parents,
        seed=seed,
        quantity=None if quantity is None else decimal(quantity),
        deadline_s=grid.deadline_s,
        queue=queue,
        latency=latency,
        param_set=param_set,
    )
    recording = open_whole(tape)
    ground = tape_ground(recording, tape, plan)
    sets = sets_of(plan, param_dirs, now_ns=ground.first_ns)
    replayer = Replayer.installed(plan, ground, sets=sets, runs=RUNS)
    instrument = replayer.instrument
    market = market_of(
        recording,
        kernel,
        group_local_ns=recording.group_venue_ns + FEED_NS,
        trade_local_ns=recording.trade_venue_ns + FEED_NS,
    )
    found = swept(
        kernel,
        market,
        grid,
        replayer.drawn,
        instrument=instrument,
        params=sets[param_set].resolve(instrument.venue, instrument.symbol, now_ns=ground.first_ns),
    )
    if output.json:
        say_json({"tape": recording.name, "quantity": str(replayer.drawn.quantity), "grid": grid, "found": found})
        return
    output.out.print(
        f"{recording.name}: {found.parents:,} of {parents:,} parents of {replayer.drawn.quantity} {instrument.symbol}, "
        f"{deadline} each, queue {queue}, latency {latency}, seed {seed}, param-set {param_set}"
    )
    output.out.print()
    _tell(output, found)


def _tell(output: Output, found: Swept) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("timeout", style="bold", no_wrap=True)
    for name in ("cost, bps", "95 % interval", "p95", "maker", "timed out", "against the set's own"):
        table.add_column(name, justify="right", no_wrap=True)
    for setting in found.settings:
        cost = setting.cost
        table.add_row(
            f"{setting.timeout_s:g} s",
            f"{cost.mean:.3f}",
            "too few blocks" if cost.low is None or cost.high is None else f"[{cost.low:.3f}, {cost.high:.3f}]",
            f"{setting.cost_p95:.2f}",
            f"{setting.maker_share:.1%}",
            f"{setting.timed_out:.1%}",
            _beside_own(setting),
        )
    out = output.out
    out.print(table)
    out.print()
    for why, parents in found.beyond.items():
        out.print(f"{parents:,} parents are not counted: {why}.")
    out.print("Differences are paired; their intervals are for one comparison, and there are several here.")


def _beside_own(setting: Setting) -> str:
    paired = setting.against_own
    if paired is None:
        return "its own"
    if paired.low is None or paired.high is None:
        return f"{paired.mean:+.3f}"
    return f"{paired.mean:+.3f} [{paired.low:+.3f}, {paired.high:+.3f}]"
