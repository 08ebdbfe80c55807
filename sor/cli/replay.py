"""`sor replay`: compare policies on a recording."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Unpack

import click

from sor.cli.common import PARAM_DIR_HELP, RUNS, Output
from sor.cli.plan import PlanTerms, jobs_option, plan_of, plan_options


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
@plan_options
@jobs_option
@click.option("--param-dir", "param_dirs", multiple=True, type=click.Path(path_type=Path), help=PARAM_DIR_HELP)
@click.option("--runs", type=click.Path(path_type=Path), default=RUNS, show_default=True, help="Where journals go.")
@click.pass_context
def replay(
    ctx: click.Context,
    tape: Path,
    policy_list: str,
    jobs: int,
    param_dirs: tuple[Path, ...],
    runs: Path,
    **terms: Unpack[PlanTerms],
) -> None:
    """Run the same parent orders on TAPE under each policy and compare what they cost.

    Parents start at random times on random sides, the same for every policy, each on an account of its own. Costs are
    against the mid at arrival, with fees and with the cost of completing what was left. Own orders do not move the
    recording: a small quantity keeps that harmless.
    """
    from sor.cli.run import compare, exit_code, show
    from sor.cli.terms import names
    from sor.lab.plan import tape_ground
    from sor.tape import open_whole

    output = ctx.ensure_object(Output)
    plan = plan_of(names(policy_list, what="--policies"), **terms)
    ground = tape_ground(open_whole(tape), tape, plan)
    comparison = compare(output, plan, ground, runs, param_dirs=param_dirs, jobs=jobs)
    show(output, comparison)
    if not output.json:
        example = comparison.outcomes[-1].reports[0].parent_id
        where = "" if runs == RUNS else f" --runs {shlex.quote(str(runs))}"
        output.err.print(f"Journals are in {comparison.outcomes[0].journal.parent}. Try: sor explain {example}{where}")
    ctx.exit(exit_code(comparison))
