"""`sor policies`: which placement policies and schedules are installed."""

from __future__ import annotations

import click
from rich.table import Table

from sor.cli.common import Output, say_json
from sor.errors import CallerError


@click.command()
@click.pass_context
def policies(ctx: click.Context) -> None:
    """List the installed placement policies and schedules, and what is wrong with those that cannot be used."""
    from sor.plugins import Plugins

    output = ctx.ensure_object(Output)
    plugins = Plugins.installed()
    needs: dict[str, list[str]] = {}
    schedules: list[str] = []
    broken: list[str] = []
    for name in plugins.policies:
        try:
            needs[name] = list(plugins.policy(name).needs)
        except CallerError as error:
            broken.append(str(error))
    for name in plugins.schedules:
        try:
            schedules.append(plugins.schedule(name).name)
        except CallerError as error:
            broken.append(str(error))
    found = {"policies": needs, "schedules": schedules, "broken": broken}
    if output.json:
        say_json(found)
        return
    table = Table(box=None)
    table.add_column("policy", style="bold")
    table.add_column("reads these parameters", overflow="fold")
    for name, ids in needs.items():
        table.add_row(name, ", ".join(ids))
    output.out.print(table)
    output.out.print(f"schedules: {', '.join(schedules)}")
    for sentence in broken:
        output.out.print(f"broken: {sentence}", markup=False)
