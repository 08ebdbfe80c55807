"""`sor params` and `sor policies`: what there is to choose from."""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.padding import Padding
from rich.table import Table

from sor.cli.common import PARAM_DIR_HELP, Output, say_json
from sor.errors import CallerError

if TYPE_CHECKING:
    from sor.params import Record


@click.command(short_help="Show a param-set: units, bounds, sources.")
@click.argument("name", default="baseline")
@click.option("--param-dir", "directories", multiple=True, type=click.Path(path_type=Path), help=PARAM_DIR_HELP)
@click.pass_context
def params(ctx: click.Context, name: str, directories: tuple[Path, ...]) -> None:
    """Show the param-set NAME: every value with its unit, bounds, kind and source."""
    from sor.param_table import definition_of
    from sor.params import ParamStore, Scope

    output = ctx.ensure_object(Output)
    store = ParamStore(*directories)
    found = store.get(name, now_ns=time.time_ns())
    if output.json:
        say_json({"set": found.set_id, "digest": found.digest, "records": found.model_dump(mode="json")["records"]})
        return
    out = output.out
    out.print(f"{found.set_id}, digest {found.digest}", style="bold")
    for record in found.records:
        where = "" if record.scope == Scope() else f" for {record.scope}"
        out.print()
        out.print(f"{record.id} = {_value(record)}{where}, {_room(record)}, {record.kind}")
        definition = definition_of(record.id)
        for text in (definition.meaning if definition else "", f"Source: {record.source}"):
            if text:
                out.print(Padding(text, (0, 0, 0, 4)) if out.is_terminal else f"    {text}", style="dim")


def _value(record: Record) -> str:
    """A value with its unit, which a word has none of."""
    return record.value if isinstance(record.value, str) else f"{_plain(record.value)} {record.unit}"


def _room(record: Record) -> str:
    """What a record's own bounds or words leave."""
    if record.bounds is None:
        return f"one of {', '.join(record.words or ())}"
    low, high = record.bounds
    return f"within {_plain(low)} to {_plain(high)}"


def _plain(number: Decimal) -> str:
    return f"{number.normalize():,f}"


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
