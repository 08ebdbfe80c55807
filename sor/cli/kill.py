"""`sor kill`: stop trading of a journal now, and see that nothing of it rests."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from sor.cli.common import Output, say_json
from sor.cli.venue import access_of, venue_options

EXIT_LEFT = 6
"""As of `sor route`: something is not confirmed gone."""


@click.command(short_help="Kill switch: withdraw everything of a journal, and prove it.")
@click.argument("name")
@venue_options
@click.option("--journal", type=click.Path(path_type=Path), help="Default: .sor/journals/VENUE-ENV.")
@click.option("--paper", is_flag=True, help="The journal of paper trading on the venue's market.")
@click.option(
    "--mode",
    type=click.Choice(["halted", "reduce_only", "active"]),
    default="halted",
    show_default=True,
    help="Where the switch goes; reduce_only leaves what closes, active lets trading go on.",
)
@click.option("--reason", default="", help="Why, for the record.")
@click.option("--wait", default="30s", show_default=True, help="How long to go on cancelling and asking, at most.")
@click.pass_context
def kill(
    ctx: click.Context,
    name: str,
    env: str | None,
    secrets: Path | None,
    pairs: tuple[str, ...],
    journal: Path | None,
    paper: bool,
    mode: str,
    reason: str,
    wait: str,
) -> None:
    """Move the kill switch of a journal of the venue NAME, and withdraw what it forbids.

    A router that runs on the journal is told, and ends its parents; what carries the journal's mark at the venue is
    cancelled here as well, with or without a router; and the venue's open orders are read until none of it is there and
    nothing that was sent can arrive any more. It only takes risk away, so no permission is needed. The switch stays
    where it is until it is moved again.

    Exit codes: 0 nothing is left, 6 something is, or it could not be proven that nothing is; 1 an error, 2 wrong usage.
    """
    from sor.cli.live import run_live
    from sor.cli.stop import Killing, stop
    from sor.cli.terms import seconds
    from sor.events import TradingMode
    from sor.journal.switch import SwitchAsked

    output = ctx.ensure_object(Output)
    access = access_of(name, env=env, secrets=secrets, pairs=pairs, paper=paper)
    asked = SwitchAsked(mode=TradingMode(mode), reason=reason or "sor kill")
    killing = Killing(access=access, journal=journal or access.journal, asked=asked, wait_s=seconds(wait))
    stopped = run_live(partial(stop, killing))
    exit_code = 0 if stopped.done else EXIT_LEFT
    if output.json:
        say_json({"venue": name, "env": access.env, "mode": mode, **stopped.document(), "exit_code": exit_code})
    else:
        for line in stopped.lines(access.label, mode):
            output.out.print(line)
    ctx.exit(exit_code)
