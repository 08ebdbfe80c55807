"""`sor replay`: compare policies on a recording."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from sor.cli.common import PARAM_DIR_HELP, RUNS, Output


@click.command(short_help="Compare policies on a recording.")
@click.argument("tape", type=click.Path(path_type=Path))
@click.option(
    "--policies",
    "policy_list",
    default="cross,maker_first",
    show_default=True,
    metavar="NAMES",
    help="Policies to compare, the first is the yardstick; see `sor policies`. NAME@SET reads another param-set.",
)
@click.option("--parents", default=200, show_default=True, help="Parent orders for each policy.")
@click.option("--seed", default=7, show_default=True, help="Decides start times, sides and drawn delays.")
@click.option("--qty", "quantity", help="Quantity of each parent; default: a tenth of the median size at the touch.")
@click.option("--deadline", default="15s", show_default=True, help="Time each parent has, like 15s or 2m.")
@click.option(
    "--queue",
    type=click.Choice(["risk_averse", "moderate", "exact"]),
    default="risk_averse",
    show_default=True,
    help="How own place in a queue moves when others cancel; exact: known, where TAPE has every order by its id.",
)
@click.option(
    "--latency",
    default="5ms",
    show_default=True,
    help="Delay each way: 5ms, or 5ms~0.4 for log-normal with its sigma.",
)
@click.option(
    "--excursion-bps",
    metavar="BPS",
    help="Adverse move from arrival that each parent's waiting may cost at most; default: none.",
)
@click.option("--schedule", default="immediate", show_default=True, help="How a parent is spread over its time.")
@click.option("--schedule-arg", "schedule_args", multiple=True, metavar="NAME=NUMBER", help="Such as slices=5.")
@click.option("--param-set", default="baseline", show_default=True, help="Name or family of the param-set.")
@click.option("--param-dir", "param_dirs", multiple=True, type=click.Path(path_type=Path), help=PARAM_DIR_HELP)
@click.option("--runs", type=click.Path(path_type=Path), default=RUNS, show_default=True, help="Where journals go.")
@click.pass_context
def replay(
    ctx: click.Context,
    tape: Path,
    policy_list: str,
    parents: int,
    seed: int,
    quantity: str | None,
    deadline: str,
    queue: str,
    latency: str,
    excursion_bps: str | None,
    schedule: str,
    schedule_args: tuple[str, ...],
    param_set: str,
    param_dirs: tuple[Path, ...],
    runs: Path,
) -> None:
    """Run the same parent orders on TAPE under each policy and compare what they cost.

    Parents start at random times on random sides, the same for every policy, each on an account of its own. Costs are
    against the mid at arrival, with fees and with the cost of completing what was left. Own orders do not move the
    recording: a small quantity keeps that harmless.
    """
    from sor.cli.run import compare, exit_code, show
    from sor.cli.terms import arguments, decimal, names, seconds
    from sor.lab.replay import Plan, tape_ground
    from sor.tape import open_whole

    output = ctx.ensure_object(Output)
    plan = Plan(
        policies=names(policy_list, what="--policies"),
        parents=parents,
        seed=seed,
        quantity=None if quantity is None else decimal(quantity),
        deadline_s=seconds(deadline),
        queue=queue,
        latency=latency,
        excursion_bps=None if excursion_bps is None else float(decimal(excursion_bps, what="--excursion-bps")),
        schedule=schedule,
        schedule_args=arguments(schedule_args),
        param_set=param_set,
    )
    comparison = compare(output, plan, tape_ground(open_whole(tape), tape, plan), runs, param_dirs=param_dirs)
    show(output, comparison)
    if not output.json:
        example = comparison.outcomes[-1].reports[0].parent_id
        where = "" if runs == RUNS else f" --runs {shlex.quote(str(runs))}"
        output.err.print(f"Journals are in {comparison.outcomes[0].journal.parent}. Try: sor explain {example}{where}")
    ctx.exit(exit_code(comparison))
