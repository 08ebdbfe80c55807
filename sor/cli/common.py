"""What every command shares: the `--json` switch, the consoles, progress, and how errors end a command.

Results go to stdout, everything else (progress, notes, errors) to stderr, so that a pipe gets only the result.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

RUNS = Path(".sor") / "runs"
"""Where demo and replay put the journals of their runs, so that `sor explain` finds them."""


PIPE_WIDTH = 160
"""Columns of a table that nobody's terminal bounds."""
PARAM_DIR_HELP = "A further directory of param-sets; may be given again."


class Printer(Console):
    """A console that leaves it to `sor.cli.main` how a command ends whose reader went away."""

    def on_broken_pipe(self) -> None:
        """Called by rich, whose own answer would be exit code 1, as if something had been wrong."""
        raise BrokenPipeError


class Output:
    """How this invocation wants its answer. What is printed is text as it stands: names may hold any brackets."""

    def __init__(self) -> None:
        self.json = False

    @property
    def out(self) -> Console:
        """For results; in a file or a pipe nothing is cut to a width."""
        watched = sys.stdout.isatty()
        return Printer(highlight=False, markup=False, soft_wrap=not watched, width=None if watched else PIPE_WIDTH)

    @property
    def err(self) -> Console:
        """For notes; in a file or a pipe nothing is cut to a width either, so that a command it names can be copied."""
        return Printer(stderr=True, highlight=False, markup=False, soft_wrap=not sys.stderr.isatty())


def say_json(document: object) -> None:
    """One JSON document on stdout, UTF-8 whatever the terminal speaks; the same value always gives the same bytes."""
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))


def _switch_json(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Output).json = True


def add_json(group: click.Group) -> None:
    """Give every command under `group` its own `--json`, so that it may stand before or after the command's name."""
    for command in group.commands.values():
        if isinstance(command, click.Group):
            add_json(command)
        elif not any(parameter.name == "json" for parameter in command.params):
            command.params.append(
                click.Option(
                    ["--json"],
                    is_flag=True,
                    expose_value=False,
                    callback=_switch_json,
                    help="Print one JSON document instead of tables.",
                )
            )


@contextmanager
def progress_of(output: Output, totals: dict[str, int]) -> Iterator[dict[str, tuple[Progress, int]]]:
    """A progress bar for each name on stderr; nothing where nobody is watching."""
    with Progress(
        TextColumn("{task.description:>14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=output.err,
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as bars:
        yield {name: (bars, int(bars.add_task(name, total=total))) for name, total in totals.items()}
