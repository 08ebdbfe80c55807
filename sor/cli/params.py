"""`sor params` and `sor policies`: what there is to choose from."""

from __future__ import annotations

import time
from pathlib import Path

import click
from rich.table import Table

from sor.cli.common import PARAM_DIR_HELP, Output, say_json
from sor.errors import CallerError


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
    for column in ("id", "value", "unit", "bounds", "kind", "source"):
        table.add_column(column, justify="right" if column == "value" else "left", overflow="fold")
    for record in found.records:
        value, low, high = (f"{number.normalize():f}" for number in (record.value, *record.bounds))
        table.add_row(record.id, value, record.unit, f"{low} to {high}", record.kind.value, record.source)
    output.out.print(table)


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
