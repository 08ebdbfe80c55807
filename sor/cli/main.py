"""`sor`: the command line's root, and how every command ends."""

from __future__ import annotations

import os
import sys

import click

from sor import __version__
from sor.cli.common import Output, add_json
from sor.cli.demo import demo
from sor.cli.explain import explain
from sor.cli.journal import journal
from sor.cli.params import params, policies
from sor.cli.replay import replay
from sor.cli.tape import tape
from sor.errors import SorError

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="sor", message="%(prog)s %(version)s")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
@click.pass_context
def cli(ctx: click.Context, as_json: bool) -> None:
    """Smart order routing for crypto perpetual futures.

    A parent order says what to trade, how much and by when; a policy decides again and again whether to rest a
    post-only limit order or to take; what each trade cost is measured, so that policies can be compared.

    Start with `sor demo`. Nothing here trades real money: demo and replay run on simulated venues.
    """
    ctx.ensure_object(Output).json = as_json


for command in (demo, tape, replay, explain, journal, params, policies):
    cli.add_command(command)
add_json(cli)


def main() -> None:
    """Run the command line; every way out has an exit code and, when something is wrong, one sentence on stderr."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code: 0 fine, 1 an error, 2 wrong usage, 130 interrupted."""
    try:
        result = cli.main(arguments, prog_name="sor", standalone_mode=False)
    except SorError as error:
        click.echo(f"sor: {error}", err=True)
        return EXIT_ERROR
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo(
            "sor: interrupted. Nothing was sent to a real venue; what was finished is kept, the rest can be run again.",
            err=True,
        )
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`sor ... | head`): end quietly, and keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        click.echo(f"sor: {what}{error.strerror or error}; nothing was sent to a venue.", err=True)
        return EXIT_ERROR
    return result if isinstance(result, int) else 0
