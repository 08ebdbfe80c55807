"""The root of the command line: `sor` and what it can do."""

from __future__ import annotations

import click

from sor import __version__
from sor.cli.ab import ab
from sor.cli.calibrate import calibrate
from sor.cli.chaos import chaos
from sor.cli.common import Output, add_json
from sor.cli.demo import demo
from sor.cli.doctor import doctor
from sor.cli.emulate import emulate
from sor.cli.experiment import experiment
from sor.cli.explain import explain
from sor.cli.journal import journal
from sor.cli.kill import kill
from sor.cli.lift import lift
from sor.cli.params import params
from sor.cli.policies import policies
from sor.cli.record import record
from sor.cli.replay import replay
from sor.cli.route import route
from sor.cli.simulate import simulate
from sor.cli.sweep import sweep
from sor.cli.tape import tape
from sor.cli.truth import truth


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="sor", message="%(prog)s %(version)s")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
@click.pass_context
def cli(ctx: click.Context, as_json: bool) -> None:
    """Smart order routing for crypto perpetual futures.

    A parent order says what to trade, how much and by when; a policy decides again and again whether to rest a
    post-only limit order or to take; what each trade cost is measured, so that policies can be compared.

    Start with `sor demo`: it runs on a simulated venue, as replay does. Only `sor route --env live` can trade real
    money, and only when it is permitted twice.
    """
    ctx.ensure_object(Output).json = as_json


for command in (
    demo,
    route,
    kill,
    lift,
    doctor,
    emulate,
    simulate,
    chaos,
    record,
    tape,
    calibrate,
    replay,
    sweep,
    ab,
    experiment,
    truth,
    explain,
    journal,
    params,
    policies,
):
    cli.add_command(command)
add_json(cli)
