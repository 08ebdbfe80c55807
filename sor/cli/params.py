"""`sor params` and `sor policies`: what there is to choose from."""

from __future__ import annotations

import time
from pathlib import Path

import click
from rich.table import Table

from sor.cli.common import PARAM_DIR_HELP, Output, say_json


@click.command()
@click.argument("name", default="baseline")
@click.option("--param-dir", "directories", multiple=True, type=click.Path(path_type=Path), help=PARAM_DIR_HELP)
@click.pass_context
def params(ctx: click.Context, name: str, directories: tuple[Path, ...]) -> None:
    """Show the param-set NAME: every value with its unit, bounds, kind and source."""
    from sor.params import ParamStore

    output = ctx.ensure_object(Output)
    store = ParamStore(*directories)
    found = store.get(name, now_ns=time.time_ns())
    if output.json:
        say_json({"set": found.set_id, "digest": found.digest, "records": found.model_dump(mode="json")["records"]})
        return
    table = Table(title=f"{found.set_id}, digest {found.digest}", box=None)
    for column in ("id", "value", "unit", "kind", "source"):
        table.add_column(column, justify="right" if column == "value" else "left", overflow="fold")
    for record in found.records:
        table.add_row(record.id, f"{record.value.normalize():f}", record.unit, record.kind.value, record.source)
    output.out.print(table)


@click.command()
@click.pass_context
def policies(ctx: click.Context) -> None:
    """List the installed placement policies and schedules."""
    from sor.plugins import Plugins

    output = ctx.ensure_object(Output)
    plugins = Plugins.installed()
    found = {
        "policies": {name: list(policy.needs) for name, policy in plugins.policies.items()},
        "schedules": list(plugins.schedules),
    }
    if output.json:
        say_json(found)
        return
    table = Table(box=None)
    table.add_column("policy", style="bold")
    table.add_column("reads these parameters", overflow="fold")
    for name, policy in plugins.policies.items():
        table.add_row(name, ", ".join(policy.needs))
    output.out.print(table)
    output.out.print(f"schedules: {', '.join(plugins.schedules)}")
