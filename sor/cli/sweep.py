"""`sor sweep`: what each timeout of `maker_first`, or each of several policies, costs on a recording."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sor.cli.common import PARAM_DIR_HELP, RUNS, Output, say_json
from sor.cli.terms import BadValue, decimal

if TYPE_CHECKING:
    from rich.table import Table

    from sor.lab.bootstrap import Difference, Interval
    from sor.lab.replay import Replayer
    from sor.lab.sweep.arms import ArmsFound
    from sor.lab.sweep.compiled import Kernel
    from sor.lab.sweep.grid import Grid, Setting, Swept
    from sor.params import ParamSet
    from sor.tape import Tape


TIMEOUTS = "500ms,1s,2s,5s,10s,15s"


@click.command(short_help="Compare many timeouts, or policies, on a recording.")
@click.argument("tape", type=click.Path(path_type=Path))
@click.option("--timeouts", help=f"Timeouts to compare.  [default: {TIMEOUTS}]")
@click.option(
    "--policies", default="", help="Compare these policies instead of timeouts: NAME or NAME@SET, with commas between."
)
@click.option("--parents", default=5_000, show_default=True, help="Parent orders, the same for all.")
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
    timeouts: str | None,
    policies: str,
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
    costs. With --policies any policies are compared, each asked at the instants and with the views of the router, some
    times faster than by `sor replay`, without journals and markouts. A parent that meets what the lane does not have is
    counted nowhere and said. It chooses nothing: replay what looks good with `sor replay` before trading on it.
    """
    from sor.cli.run import sets_of
    from sor.cli.terms import names, seconds
    from sor.lab.plan import Plan, tape_ground
    from sor.lab.replay import Replayer
    from sor.lab.sweep.compiled import compiled
    from sor.lab.sweep.grid import Grid
    from sor.tape import open_whole
    from sor.units import to_ns

    if policies and timeouts:
        raise BadValue("either --timeouts or --policies are compared; nothing was replayed. Give one of them")
    swept = () if policies else names(timeouts or TIMEOUTS, what="--timeouts")
    grid = Grid(
        timeouts_s=tuple(seconds(one) for one in swept),
        deadline_s=seconds(deadline),
        queue=queue,
        latency_ns=to_ns(seconds(latency)),
        seed=seed,
    )
    arms = names(policies, what="--policies") if policies else ("maker_first",)
    kernel = compiled()
    plan = Plan(
        policies=arms,
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
    if policies:
        arms_found = _compare(output, recording, kernel, grid, replayer, sets)
        if _begin(output, recording, replayer, grid, arms_found):
            _tell_arms(output, arms_found)
    else:
        found = _compare_timeouts(recording, kernel, grid, replayer, sets)
        if _begin(output, recording, replayer, grid, found):
            _tell(output, found)


def _begin(output: Output, recording: Tape, replayer: Replayer, grid: Grid, found: Swept | ArmsFound) -> bool:
    """Say what was compared, all of it to a program; returns whether a table is to follow."""
    quantity, plan = replayer.drawn.quantity, replayer.plan
    if output.json:
        say_json({"tape": recording.name, "quantity": str(quantity), "grid": grid, "found": found})
        return False
    output.out.print(
        f"{recording.name}: {found.parents:,} of {plan.parents:,} parents of {quantity} {replayer.instrument.symbol}, "
        f"{plan.deadline_s:g} s each, queue {plan.queue}, latency {plan.latency}, seed {plan.seed}, "
        f"param-set {plan.param_set}"
    )
    output.out.print()
    return True


def _compare_timeouts(
    recording: Tape, kernel: Kernel, grid: Grid, replayer: Replayer, sets: dict[str, ParamSet]
) -> Swept:
    """The timeouts of a grid on the parents that a replay of `maker_first` would have."""
    from sor.lab.sweep.grid import swept
    from sor.lab.sweep.lane import FEED_NS
    from sor.lab.sweep.tables import market_of

    instrument, now_ns = replayer.instrument, replayer.ground.first_ns
    market = market_of(
        recording,
        kernel,
        group_local_ns=recording.group_venue_ns + FEED_NS,
        trade_local_ns=recording.trade_venue_ns + FEED_NS,
    )
    params = sets[replayer.plan.param_set].resolve(instrument.venue, instrument.symbol, now_ns=now_ns)
    return swept(kernel, market, grid, replayer.drawn, instrument=instrument, params=params)


def _compare(
    output: Output, recording: Tape, kernel: Kernel, grid: Grid, replayer: Replayer, sets: dict[str, ParamSet]
) -> ArmsFound:
    """The policies of a plan on the parents that a replay of it would have."""
    from sor.lab.plan import arms_of
    from sor.lab.sweep.arms import side_by_side
    from sor.lab.sweep.ground import Ground
    from sor.lab.sweep.lane import FEED_NS
    from sor.lab.sweep.routed import Terms
    from sor.plugins import Plugins

    plugins = Plugins.installed()
    return side_by_side(
        Ground(recording, kernel, feed_ns=FEED_NS),
        Terms(entry_ns=grid.latency_ns, response_ns=grid.latency_ns, shared=grid.queue == "moderate"),
        arms_of(replayer.plan),
        replayer.drawn,
        instrument=replayer.instrument,
        deadline_s=grid.deadline_s,
        seed=grid.seed,
        sets=sets,
        policies=plugins.policies,
        progress=lambda label: None if output.json else output.err.print(f"{label} is through."),
    )


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
            _interval(cost),
            f"{setting.cost_p95:.2f}",
            f"{setting.maker_share:.1%}",
            f"{setting.timed_out:.1%}",
            _beside_own(setting),
        )
    _close(output, table, found)


def _tell_arms(output: Output, found: ArmsFound) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("policy", style="bold", no_wrap=True)
    for name in ("cost, bps", "95 % interval", "p95", "maker", "asked", "against the first"):
        table.add_column(name, justify="right", no_wrap=True)
    for arm in found.arms:
        table.add_row(
            arm.label,
            f"{arm.cost.mean:.3f}",
            _interval(arm.cost),
            f"{arm.cost_p95:.2f}",
            f"{arm.maker_share:.1%}",
            f"{arm.asked:.1f}",
            "the first" if arm.against_first is None else _paired(arm.against_first),
        )
    _close(output, table, found)


def _close(output: Output, table: Table, found: Swept | ArmsFound) -> None:
    out = output.out
    out.print(table)
    out.print()
    for why, parents in found.beyond.items():
        out.print(f"{parents:,} parents are not counted: {why}.")
    out.print("Differences are paired; their intervals are for one comparison, and there are several here.")


def _interval(cost: Interval) -> str:
    return "too few blocks" if cost.low is None or cost.high is None else f"[{cost.low:.3f}, {cost.high:.3f}]"


def _beside_own(setting: Setting) -> str:
    return "its own" if setting.against_own is None else _paired(setting.against_own)


def _paired(paired: Difference) -> str:
    if paired.low is None or paired.high is None:
        return f"{paired.mean:+.3f}"
    return f"{paired.mean:+.3f} [{paired.low:+.3f}, {paired.high:+.3f}]"
