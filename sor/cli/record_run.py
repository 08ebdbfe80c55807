"""One recording while it runs: connected, followed, settled on the disk every second, ended in good order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import msgspec
from rich.console import Console
from rich.live import Live
from rich.text import Text

from sor.adapter import MarketSource
from sor.cli.common import Output
from sor.cli.live import Interrupts, beside
from sor.cli.venue import Access
from sor.clock import LoopScheduler
from sor.errors import NotSent
from sor.instruments import canonical_symbol
from sor.lab.market_log import MarketLog
from sor.plugins import Plugins
from sor.units import NS

SETTLE_S = 1.0
"""How often what was written goes to the disk, and the line is shown anew."""
TOLD_S = 60.0
"""How often a log that is no terminal hears that it goes on."""
SILENT_S = 10.0
"""A market that has said nothing for this long is worth a word."""
LEAVE_S = 5.0


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """What to record. folder: of the log. length_s: None until it is interrupted."""

    access: Access
    symbol: str
    folder: Path
    length_s: float | None


class Ended(msgspec.Struct, frozen=True):
    """How a recording ended: the parts of its log, why, and whether something was wrong."""

    parts: tuple[Path, ...]
    why: str
    failed: bool = False


async def recorded(job: Recording, output: Output, interrupts: Interrupts) -> Ended:
    """Record until the time is over or somebody asks for the end.

    Raises `CallerError` where the market or the log cannot be opened, `NotSent` where the venue cannot be reached. Then
    there is no log.
    """
    market = Plugins.installed().market(job.access.venue)(dict(job.access.options))
    scheduler = LoopScheduler()
    symbol = canonical_symbol(job.symbol)
    log = MarketLog(job.folder, symbol, source=job.access.label, now_ns=scheduler.now_ns)
    broken: list[OSError] = []
    why: list[str] = []

    async def drive() -> None:
        try:
            await scheduler.run()
        except OSError as error:  # the log cannot be written: what there is of it is kept
            broken.append(error)

    async def follow() -> None:
        try:
            try:
                await market.connect(log, scheduler)
            except NotSent as error:
                raise job.access.unreachable(error) from error
            log.begin()
            why.append(await _followed(job, log, market, output.err, interrupts, scheduler, broken))
        finally:
            with anyio.move_on_after(LEAVE_S, shield=True):
                await market.disconnect()
            scheduler.stop()
            log.close()

    await beside(follow, drive)
    return Ended(log.parts, why[0], failed=bool(broken))


async def _followed(
    job: Recording,
    log: MarketLog,
    market: MarketSource,
    console: Console,
    interrupts: Interrupts,
    scheduler: LoopScheduler,
    broken: list[OSError],
) -> str:
    """Follow the market until the end; why it ended."""
    over = anyio.Event()
    interrupts.mean(stop=over.set, hurry=over.set)
    market.subscribe(canonical_symbol(job.symbol))
    began_ns = told_ns = scheduler.now_ns()
    if not console.is_terminal:
        console.print(f"Recording {job.symbol} on {job.access.label} in {job.folder}; Ctrl-C ends it.")
    try:
        with _shown(console) as live:
            while True:
                left_s = SETTLE_S if job.length_s is None else began_ns / NS + job.length_s - scheduler.now_ns() / NS
                with anyio.move_on_after(max(0.0, min(SETTLE_S, left_s))):
                    await over.wait()
                log.settle()
                now_ns = scheduler.now_ns()
                line = _line(job, log, now_ns=now_ns, began_ns=began_ns)
                if live is not None:
                    live.update(Text(line, "dim"), refresh=True)
                elif now_ns - told_ns >= TOLD_S * NS:
                    told_ns = now_ns
                    console.print(line)
                if broken:
                    raise broken[0]
                if over.is_set():
                    why = "it was asked to end"
                elif log.relisted:
                    why = f"{job.symbol} was listed anew with other steps; record it again"
                elif job.length_s is not None and now_ns - began_ns >= job.length_s * NS:
                    why = f"after {job.length_s:g} s"
                else:
                    continue
                log.end(why)
                return why
    except OSError as error:
        if not broken:
            broken.append(error)
        return f"the log cannot be written ({error.strerror or error}); the tape holds what came before"


@contextmanager
def _shown(console: Console) -> Iterator[Live | None]:
    """A line of a terminal that changes, and is gone in the end."""
    if not console.is_terminal:
        yield None
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield live


def _line(job: Recording, log: MarketLog, *, now_ns: int, began_ns: int) -> str:
    """How far it is."""
    heard = log.heard
    of = "" if job.length_s is None else f" of {job.length_s:g}"
    parts = [
        f"Recording {job.symbol} on {job.access.label}: {(now_ns - began_ns) / NS:.0f}{of} s",
        f"{heard.books:,} books",
        f"{heard.trades:,} trades",
        f"{heard.bytes / 1e6:.1f} MB",
    ]
    if heard.resets or heard.drops:
        parts.append(f"book lost {heard.resets} times, connection {heard.drops} times")
    quiet_s = (now_ns - (heard.last_ns or began_ns)) / NS
    if quiet_s >= SILENT_S:
        parts.append(f"nothing for {quiet_s:.0f} s")
    return ", ".join(parts)
