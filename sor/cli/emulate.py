"""`sor emulate`: an emulated venue to point programs at, with its faults on switches."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from sor.cli.common import Output, say_json

if TYPE_CHECKING:
    from sor.emulation import Emulator, Serving


@click.command(short_help="Serve an emulated venue on this machine.")
@click.argument("name")
@click.option("--port", type=click.IntRange(0, 65535), help="0 takes a free one.  [default: where the adapter looks]")
@click.option("--tape", type=click.Path(path_type=Path), help="Directory of the tape whose market it shows.")
@click.option("--synthetic", type=click.IntRange(min=0), metavar="SEED", help="A made-up market, decided by this seed.")
@click.option("--symbol", "symbols", multiple=True, help="Symbol it lists; may be given again.")
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), help="Seconds of market in a second.")
@click.option("--fault", "faults", multiple=True, metavar="NAME[=ARGS]", help="Switch a fault on; may be given again.")
@click.option("--faults", "list_faults", is_flag=True, help="List the faults that it knows, and end.")
@click.pass_context
def emulate(
    ctx: click.Context,
    name: str,
    port: int | None,
    tape: Path | None,
    synthetic: int | None,
    symbols: tuple[str, ...],
    speed: float | None,
    faults: tuple[str, ...],
    list_faults: bool,
) -> None:
    """Serve an emulation of the venue NAME on 127.0.0.1, until Ctrl-C.

    It speaks the venue's own HTTP and WebSocket dialect, so that any client of that venue can be pointed at it. No
    network, no money; the keys it takes are printed.
    """
    from sor.plugins import Plugins

    if tape is not None and synthetic is not None:
        raise click.UsageError("give --tape or --synthetic, not both: there is one market")
    output = ctx.ensure_object(Output)
    given = {
        "tape": tape,
        "synthetic": synthetic,
        "symbol": ",".join(symbols) or None,
        "speed": None if speed is None else f"{speed:g}",
    }
    emulator = Plugins.installed().emulator(name)(
        {key: f"{value}" for key, value in given.items() if value is not None}
    )
    if list_faults:
        _list(output, emulator)
        return
    for fault in faults:
        emulator.switch(fault)

    def started(serving: Serving) -> None:
        if output.json:
            say_json({"serving": serving, "faults": faults})
        else:
            output.out.print(_told(serving, faults))
            output.out.print("Ctrl-C ends it.")
        sys.stdout.flush()  # whoever started it in a pipe waits for this

    _serve(emulator, port=emulator.port if port is None else port, started=started)


def _list(output: Output, emulator: Emulator) -> None:
    if output.json:
        say_json(emulator.faults)
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("fault", style="bold", no_wrap=True)
    table.add_column("what happens", overflow="fold")
    table.add_column("arguments", overflow="fold")
    for fault in emulator.faults:
        table.add_row(fault.name, fault.text, fault.args)
    output.out.print(table)


def _told(serving: Serving, faults: tuple[str, ...]) -> Table:
    table = Table(title=f"{serving.venue}, emulated", title_justify="left", box=None, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for rows in (serving.addresses, serving.notes):
        for what, value in rows.items():
            table.add_row(what, value)
    table.add_row("faults on", "\n".join(faults) or "none")
    return table


def _serve(emulator: Emulator, *, port: int, started: Callable[[Serving], None]) -> None:
    """Serve until a signal comes, which then ends the command like any other."""
    import anyio

    from sor.cli.live import Received
    from sor.cli.stopped import Stopped
    from sor.clock import LoopScheduler
    from sor.errors import SorError

    problems: list[SorError | OSError] = []

    async def until_stopped() -> int | None:
        heard: int | None = None
        scheduler = LoopScheduler()
        async with anyio.create_task_group() as tasks:

            async def serve() -> None:
                try:
                    await emulator.serve(port=port, scheduler=scheduler, started=started)
                except (SorError, OSError) as error:  # by itself, not in a group: it is one sentence or none
                    problems.append(error)
                finally:
                    scheduler.stop()
                    tasks.cancel_scope.cancel()

            tasks.start_soon(scheduler.run)
            tasks.start_soon(serve)
            async for number in signals:
                heard = number
                tasks.cancel_scope.cancel()
        return heard

    with Received() as signals:
        number = anyio.run(until_stopped)
    if problems:
        raise problems[0]
    if number is not None:
        raise Stopped(number)
