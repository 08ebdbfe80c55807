"""`sor demo`: what a newcomer sees first."""

from __future__ import annotations

from pathlib import Path

import click
from rich.text import Text

from sor.cli.common import RUNS, Output

START_NS = 1_767_225_600_000_000_000
"""The made-up market opens at 2026-01-01 00:00 UTC: any moment would do, but always the same."""
SPACING_S = 10.0
LATENCY = "20ms~0.3"
"""Each way: neither colocated nor far away."""
RANDOM = (
    "The order flow is random and knows nothing, so resting looks better here than on a real market: "
    "`sor replay` on a recording is evidence, this is a tour."
)


@click.command(short_help="A tour: orders on a simulated venue, and their costs.")
@click.option(
    "--policies",
    "policy_list",
    default="cross,maker_first",
    show_default=True,
    metavar="NAMES",
    help="Policies to compare; see `sor policies`.",
)
@click.option("--parents", default=36, show_default=True, help="Parent orders for each policy.")
@click.option("--qty", "quantity", default="0.6", show_default=True, help="Quantity of each parent, in coins.")
@click.option("--seed", default=7, show_default=True, help="Decides the market, start times and sides.")
@click.option("--runs", type=click.Path(path_type=Path), default=RUNS, show_default=True, help="Where journals go.")
@click.pass_context
def demo(ctx: click.Context, policy_list: str, parents: int, quantity: str, seed: int, runs: Path) -> None:
    """Route parent orders on an embedded simulated venue and show what they cost.

    The venue is a matching engine with random order flow, in virtual time: minutes of market take seconds. No network,
    no keys, no money.
    """
    from sor.cli.run import compare, exit_code, show
    from sor.cli.story import tell_story
    from sor.cli.terms import decimal, names
    from sor.lab.plan import Plan, synthetic_ground

    output = ctx.ensure_object(Output)
    plan = Plan(
        policies=names(policy_list, what="--policies"),
        parents=parents,
        quantity=decimal(quantity),
        seed=seed,
        latency=LATENCY,
    )
    ground = synthetic_ground(plan, start_ns=START_NS, spacing_s=SPACING_S)
    comparison = compare(output, plan, ground, runs)
    show(output, comparison)
    if not output.json:
        output.out.print(RANDOM)
        last = comparison.outcomes[-1]
        told = max(last.reports, key=lambda one: (one.timeouts, one.requotes, one.filled_lots))
        output.out.print(Text.assemble("\n", ("One parent explained", "bold"), f" (sor explain {told.parent_id})"))
        tell_story(output.out, last.journal, told.parent_id, decisions=2)
    ctx.exit(exit_code(comparison))
