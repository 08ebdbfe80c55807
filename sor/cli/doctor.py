"""`sor doctor`: what works and what does not, before anything is traded."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from sor.cli.common import Output, say_json
from sor.cli.venue import Access, access_of, venue_options

if TYPE_CHECKING:
    from sor.adapter import Check
    from sor.cli.live import Interrupts

SYMBOL = "BTC-USDT"
PATIENCE_S = 120.0
"""How long all the checks of an adapter may take."""
STYLES = {"ok": "green", "note": "yellow", "failed": "red", "skipped": "dim"}


@click.command(short_help="Check keys, clock, account and market of a venue.")
@click.argument("name")
@venue_options
@click.option("--symbol", default=SYMBOL, show_default=True, help="Whose market is looked at.")
@click.pass_context
def doctor(
    ctx: click.Context, name: str, env: str | None, secrets: Path | None, pairs: tuple[str, ...], symbol: str
) -> None:
    """Look at everything that trading on the venue NAME needs, and change nothing.

    Only reads, in every environment. Exit code 0 when nothing failed, 1 otherwise.
    """
    from sor.cli.live import run_live

    output = ctx.ensure_object(Output)
    access = access_of(name, env=env, secrets=secrets, pairs=pairs)
    found = run_live(partial(_checked, access, symbol, output))
    failed = [check for check in found if check.state == "failed"]
    if output.json:
        say_json({"venue": name, "env": access.env, "symbol": symbol, "healthy": not failed, "checks": found})
    else:
        output.out.print(_table(found))
        output.out.print(_verdict(access, found))
    ctx.exit(1 if failed else 0)


async def _checked(access: Access, symbol: str, output: Output, interrupts: Interrupts) -> list[Check]:
    """Every check. Raises `CallerError` for options that the venue does not take."""
    import anyio

    from sor.adapter import Check, CheckState, Diagnosed
    from sor.cli.checks import Checkup, dead_man
    from sor.cli.live import beside
    from sor.cli.notes import noted, unsaid
    from sor.clock import LoopScheduler
    from sor.errors import SorError
    from sor.plugins import Plugins

    del interrupts  # whatever comes ends it: there is nothing to withdraw
    adapter = access.opened(Plugins.installed())
    scheduler = LoopScheduler()
    checks = adapter.checks(symbol, scheduler) if isinstance(adapter, Diagnosed) else None
    found: list[Check] = []

    async def collect() -> None:
        try:
            with anyio.fail_after(PATIENCE_S):
                async for check in checks or Checkup(adapter, symbol, scheduler).checks():
                    found.append(check)
                    if sys.stderr.isatty() and not output.json:
                        output.err.print(f"{check.name}: {check.state}")
                found.extend(dead_man(adapter))
        except TimeoutError:
            text = f"the checks did not end within {PATIENCE_S:g} s"
            found.append(Check(name="time", state=CheckState.FAILED, text=text, advice="Try again; is the venue up?"))
        except SorError as error:
            found.append(Check(name="checks", state=CheckState.FAILED, text=str(error)))
        scheduler.stop()

    with noted(unsaid):  # each check says it in its own words
        await beside(collect, scheduler.run)
    return [access.advised(check) for check in found]


def _table(found: list[Check]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("check", "state", "found", "what to do"):
        table.add_column(column, overflow="fold", no_wrap=column in ("check", "state"))
    for check in found:
        state = Text(check.state, STYLES[check.state])
        table.add_row(Text(check.name, "bold"), state, Text(check.text), Text(check.advice))
    return table


def _verdict(access: Access, found: list[Check]) -> str:
    """One line: what it adds up to."""
    failed = sum(check.state == "failed" for check in found)
    notes = sum(check.state == "note" for check in found)
    if failed:
        return f"{access.label}: {failed} of {len(found)} checks failed. Nothing was ordered, nothing was changed."
    beside_that = f", {notes} to know about" if notes else ""
    return f"{access.label}: nothing failed{beside_that}. Nothing was ordered, nothing was changed."
