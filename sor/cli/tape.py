"""`sor tape`: recordings into tapes, and what a tape holds."""

from __future__ import annotations

import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from sor.cli.common import Output, say_json
from sor.cli.tape_look import export, head, plot
from sor.cli.words import moment
from sor.units import NS, rate_bps

if TYPE_CHECKING:
    from sor.tape import Finding, Manifest

TORN = "torn"
"""How importers call files that end in the middle."""


class _Number(click.ParamType[Decimal]):
    """A decimal number, taken exactly as written."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """The number. Fails as wrong usage when it is none."""
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            number = Decimal("nan")
        if not number.is_finite():
            self.fail(f"{value} is not a number", param, ctx)
        return number


@click.group()
def tape() -> None:
    """Make tapes from recordings, and look at them."""


@tape.command("import", short_help="Make a tape from a recording.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Directory of the tape to make.")
@click.option("--force", is_flag=True, help="Replace the tape that is there.")
@click.option("--symbol", help="Symbol, where the recording does not name it, or which one where it holds several.")
@click.option("--venue", help="Venue, likewise.")
@click.option("--tick", type=_Number(), help="Price step, where the instrument is not known or has another.")
@click.option("--lot", type=_Number(), help="Quantity step, likewise.")
@click.option("--contract", type=_Number(), help="Quote units of one contract, inverse instruments only.")
@click.option("--min-notional", type=_Number(), help="Least value of an order in quote units.")
@click.option("--maker-bps", type=_Number(), help="Maker fee in bps of notional, negative for a rebate.")
@click.option("--taker-bps", type=_Number(), help="Taker fee in bps of notional.")
@click.option(
    "--clock-offset-ns",
    type=int,
    help="Recorder's clock minus the venue's, instead of the estimate; one for all makes several tapes comparable.",
)
@click.option("--strict", is_flag=True, help="Refuse a recording with a line that cannot be read; else it is left out.")
@click.option(
    "--repair", is_flag=True, help="Take away what a crossing message contradicts; else the book is lost there."
)
@click.pass_context
def import_command(
    ctx: click.Context,
    paths: tuple[Path, ...],
    out: Path,
    force: bool,
    symbol: str | None,
    venue: str | None,
    tick: Decimal | None,
    lot: Decimal | None,
    contract: Decimal | None,
    min_notional: Decimal | None,
    maker_bps: Decimal | None,
    taker_bps: Decimal | None,
    clock_offset_ns: int | None,
    strict: bool,
    repair: bool,
) -> None:
    """Import the files PATHS of one recording as a tape, and say what was found.

    Reads raw Binance streams (USD-M, COIN-M and spot: depth diffs, best bid and ask, trades, one REST snapshot),
    Bitstamp's order-by-order feed, raw sockets of Bybit and OKX, Bybit's history of books, ccapi's CSV (Gemini), and
    what others sell or make: Tardis' CSV files (incremental_book_L2 and trades; state --tick and --lot), hftbacktest's
    event files. Plain, gzip, xz or zip; several files are one recording.
    """
    from sor.lab.importers import Terms, import_recording

    output = ctx.ensure_object(Output)
    terms = Terms(
        symbol=symbol,
        venue=venue,
        tick=tick,
        lot=lot,
        contract=contract,
        min_notional=min_notional,
        maker_bps=maker_bps,
        taker_bps=taker_bps,
        clock_offset_ns=clock_offset_ns,
        strict=strict,
        repair=repair,
    )
    with Progress(
        TextColumn("reading"),
        BarColumn(),
        DownloadColumn(),
        TimeElapsedColumn(),
        console=output.err,
        transient=True,
        disable=output.json or not sys.stderr.isatty(),
    ) as bars:
        bar = bars.add_task("reading", total=sum(path.stat().st_size for path in paths if path.is_file()))
        manifest = import_recording(
            paths, out, terms=terms, overwrite=force, progress=lambda read: bars.advance(bar, read)
        )
    if output.json:
        say_json(manifest)
        return
    say_tape(output, out, manifest)
    for finding in manifest.findings:
        if finding.what == TORN and finding.count:
            output.err.print(
                "The recording ends in the middle, as one does that is still being made or was not copied whole: the "
                "tape holds what came before."
            )


@tape.command(short_help="Make a tape of a made-up market.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Directory of the tape to make.")
@click.option("--for", "length", default="1h", show_default=True, help="How much of the market, like 90s, 10m or 2h.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="Decides everything that is drawn.")
@click.option("--option", "pairs", multiple=True, metavar="KEY=VALUE", help="An option of the venue; repeatable.")
@click.option("--force", is_flag=True, help="Replace the tape that is there.")
@click.pass_context
def record(ctx: click.Context, out: Path, length: str, seed: int, pairs: tuple[str, ...], force: bool) -> None:
    """Record the market of the simulated venue in virtual time: the same seed and options give the same tape.

    Unless options say otherwise it is the zero-intelligence market as it is published, without a delay of market data
    (feed=0), so that whoever reads the tape can add its own. With book_ms=0 every change of the book is by itself.
    """
    from sor.cli.common import progress_of
    from sor.cli.terms import seconds
    from sor.cli.venue import access_of
    from sor.lab.recorder import record_market
    from sor.plugins import Plugins
    from sor.tape import refuse_occupied, save_tape

    output = ctx.ensure_object(Output)
    length_s = seconds(length)
    given = access_of("simulated", env=None, secrets=None, pairs=pairs).options
    options = {"market": "zi", "feed": "0", "seed": str(seed), **given}
    refuse_occupied(out, overwrite=force)
    with progress_of(output, {"recording": round(length_s)}) as bars:
        bar, task = bars["recording"]

        def progress(done_s: float) -> None:
            bar.update(task, completed=done_s)  # type: ignore[arg-type]

        made = record_market(Plugins.installed().venue("simulated"), options, seconds=length_s, progress=progress)
    manifest = save_tape(made.tape, out, findings=made.findings, source=(), importer=made.importer, overwrite=force)
    if output.json:
        say_json(manifest)
        return
    say_tape(output, out, manifest)


@tape.command(short_help="What a tape holds and what its import found.")
@click.argument("path", metavar="TAPE", type=click.Path(path_type=Path))
@click.pass_context
def info(ctx: click.Context, path: Path) -> None:
    """Show what a tape holds, where it came from and what its import found. Reads the manifest only."""
    from sor.tape import read_manifest

    output = ctx.ensure_object(Output)
    manifest = read_manifest(path)
    if output.json:
        say_json(manifest)
        return
    output.out.print(_summary(path.absolute().name, manifest))
    output.out.print(_findings(manifest.findings, zeros=True))


@tape.command(short_help="Verify a whole tape.")
@click.argument("path", metavar="TAPE", type=click.Path(path_type=Path))
@click.pass_context
def check(ctx: click.Context, path: Path) -> None:
    """Read a whole tape and verify every digest and every rule of tapes; exit code 1 when one does not hold."""
    from sor.tape import check_tape

    output = ctx.ensure_object(Output)
    manifest = check_tape(path)
    if output.json:
        say_json({"tape": path.absolute().name, "digest": manifest.digest, "whole": True})
        return
    output.out.print(
        f"{path.absolute().name} is whole: {len(manifest.columns)} columns as written, digest {manifest.digest}; times "
        f"in order, no crossed book in {manifest.groups:,} groups"
    )


tape.add_command(head)
tape.add_command(plot)
tape.add_command(export)


def say_tape(output: Output, out: Path, manifest: Manifest) -> None:
    """Print what a tape that was just made is, and what was found."""
    output.out.print(_summary(out.absolute().name, manifest))
    output.out.print(_findings(manifest.findings, zeros=False))


def _summary(name: str, manifest: Manifest) -> Table:
    """What the tape is, one fact a row."""
    instrument = manifest.instrument
    contract = f", {instrument.multiplier} {instrument.quote} a contract" if instrument.inverse else ""
    table = Table(title=f"tape {name}, digest {manifest.digest}", title_justify="left", box=None, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("instrument", f"{instrument.symbol} on {instrument.venue}")
    table.add_row("steps", f"tick {instrument.tick_size:f}, lot {instrument.lot_size:f}{contract}")
    table.add_row(
        "fees", f"maker {rate_bps(instrument.maker_fee_e8):g} bps, taker {rate_bps(instrument.taker_fee_e8):g} bps"
    )
    if manifest.groups:
        seconds = (manifest.last_ns - manifest.first_ns) / NS
        table.add_row("book", f"{moment(manifest.first_ns)} to {moment(manifest.last_ns)}, {seconds:,.1f} s")
    table.add_row("groups", f"{manifest.groups:,}, of {manifest.levels:,} level changes")
    table.add_row("trades", f"{manifest.trades:,}")
    if manifest.orders:
        table.add_row("orders", f"{manifest.orders:,} events")
    if manifest.warm_up_ns:
        table.add_row("warm-up", f"{manifest.warm_up_ns / NS:,.0f} s from the first group: the book is not sure yet")
    table.add_row("clock", f"{manifest.clock_offset_ns / NS:+.6f} s removed from the recorder's")
    for at, source in enumerate(manifest.source):
        table.add_row("" if at else "from", f"{source.name} (sha256 {source.sha256[:16]})")
    return table


def _findings(findings: tuple[Finding, ...], *, zeros: bool) -> Table:
    """What the import counted; without zeros, only what was there."""
    table = Table(box=None, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    for finding in findings:
        if finding.count or zeros:
            count = f"{finding.count / NS:,.3f} s" if "_ns" in finding.what else f"{finding.count:,}"
            table.add_row(finding.what, count, finding.note)
    return table
