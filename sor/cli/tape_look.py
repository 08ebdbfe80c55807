"""`sor tape head`, `plot` and `export`: a tape in the terminal, as a page, and as tables for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sor.cli.common import Output, say_json
from sor.cli.words import moment
from sor.errors import CallerError
from sor.units import MS

if TYPE_CHECKING:
    from sor.instruments import Instrument
    from sor.lab.look import Row, Stretches

_ROWS = 12
_WIDTH = 100
_SHADES = " .:-=+*#"
_STRETCHES = 400
"""Of a page, which has no columns to count."""


@click.command(short_help="The first events of a tape.")
@click.argument("path", metavar="TAPE", type=click.Path(path_type=Path))
@click.option("-n", "--rows", default=20, show_default=True, type=click.IntRange(1, 100_000), help="How many.")
@click.pass_context
def head(ctx: click.Context, path: Path, rows: int) -> None:
    """Show the first events of a tape: changes of the book and trades, and the best of both sides after each."""
    from rich.table import Table

    from sor.lab.look import head as head_of
    from sor.tape import open_tape

    output = ctx.ensure_object(Output)
    tape = open_tape(path)
    found = head_of(tape, rows)
    if output.json:
        say_json(found)
        return
    table = Table(box=None)
    for name in ("venue time", "seen after", "what", "size", "bid", "", "ask", ""):
        table.add_column(name, justify="left" if name in ("venue time", "what") else "right")
    for row in found:
        table.add_row(*_cells(tape.instrument, row))
    output.out.print(table)


def _cells(instrument: Instrument, row: Row) -> tuple[str, ...]:
    what, size = str(row.what), f"{row.levels} levels" if row.levels else ""
    if row.ticks:
        what, size = f"{what} at {instrument.price(row.ticks):f}", f"{instrument.quantity(row.lots):f}"
    best: list[str] = []
    for side in (row.bid, row.ask):
        best += ("-", "") if side is None else (f"{instrument.price(side[0]):f}", f"{instrument.quantity(side[1]):f}")
    return (moment(row.venue_ns), f"{row.recv_after_ns / MS:.3f} ms", what, size, *best)


@click.command(short_help="Draw a tape.")
@click.argument("path", metavar="TAPE", type=click.Path(path_type=Path))
@click.option("--html", type=click.Path(path_type=Path), help="Also write a page with charts, whole in one file.")
@click.pass_context
def plot(ctx: click.Context, path: Path, html: Path | None) -> None:
    """Draw the whole of a tape: the range of its mid, its spread, what takers bought and sold; `x`: book lost."""
    from sor.lab.look import page, stretches
    from sor.tape import open_tape

    output = ctx.ensure_object(Output)
    tape = open_tape(path)
    begin = moment(int(tape.group_venue_ns[0])) if len(tape.group_venue_ns) else ""
    if html is not None:
        text = page(tape, stretches(tape, _STRETCHES), begin=begin)
        try:
            html.write_text(text, encoding="utf-8")
        except OSError as error:
            raise CallerError(f"{html} cannot be written: {error.strerror or error}; nothing was changed") from error
        output.err.print(f"The page is {html}.")
    drawn = stretches(tape, max(min(output.out.width, _WIDTH) - 18, 20))
    if output.json:
        say_json(
            {
                "begin_ns": drawn.begin_ns,
                "each_ns": drawn.each_ns,
                "mid_last": _known(drawn.mid_last.tolist()),
                "spread_ticks": _known(drawn.spread_ticks.tolist()),
                "bought": drawn.bought.tolist(),
                "sold": drawn.sold.tolist(),
                "lost": drawn.lost.tolist(),
            }
        )
        return
    for line in picture(drawn):
        output.out.print(line, no_wrap=True)


@click.command(short_help="A tape as Parquet files.")
@click.argument("path", metavar="TAPE", type=click.Path(path_type=Path))
@click.option("--parquet", "out", required=True, type=click.Path(path_type=Path), help="Directory of files to make.")
@click.pass_context
def export(ctx: click.Context, path: Path, out: Path) -> None:
    """Write a tape as Parquet files, a table each (groups, levels, trades, orders), beside its manifest."""
    from sor.lab.parquet import export_parquet

    output = ctx.ensure_object(Output)
    rows = export_parquet(path, out)
    if output.json:
        say_json(rows)
        return
    for name, count in rows.items():
        output.out.print(f"{out / name}.parquet: {count:,} rows")


def _known(values: list[float]) -> list[float | None]:
    return [value if value == value else None for value in values]  # noqa: PLR0124 - NaN is not itself


def picture(drawn: Stretches) -> tuple[str, ...]:
    """The lines: mid by price, then spread and trades by shade, each with its largest, then the time."""
    least, most = drawn.mid_least.tolist(), drawn.mid_most.tolist()
    known = [value for value in (*least, *most) if value == value]  # noqa: PLR0124 - NaN is not itself
    low, high = min(known), max(known)
    step = (high - low) / _ROWS
    digits = max(0, min(8, -_exponent(step or high)))
    lines: list[str] = []
    for no in range(_ROWS - 1, -1, -1):
        floor, top = low + no * step, low + (no + 1) * step
        marks = "".join("#" if _within(one, other, floor, top) else " " for one, other in zip(least, most, strict=True))
        label = f"{(floor + top) / 2:,.{digits}f}" if no in (0, _ROWS // 2, _ROWS - 1) else ""
        lines.append(f"{label:>15} |{marks}".rstrip())
    if drawn.lost.any():
        lines.append(f"{'book lost':>15} |" + "".join("x" if one else " " for one in drawn.lost.tolist()))
    for name, values in (
        ("spread, ticks", drawn.spread_ticks.tolist()),
        ("bought", drawn.bought.tolist()),
        ("sold", drawn.sold.tolist()),
    ):
        most_of = max((value for value in values if value == value), default=0.0)  # noqa: PLR0124 - NaN is not itself
        lines.append(f"{name:>15} |{_shaded(values, most_of)}  up to {most_of:,.6g}")
    begin, end = drawn.begin_ns, drawn.begin_ns + drawn.each_ns * len(least)
    lines.append(f"{'':>15} |{moment(begin)} to {moment(end)}, a column is {drawn.each_ns / 1e9:,.3g} s")
    return tuple(lines)


def _exponent(value: float) -> int:
    """Decimal places left of the point, negative right of it, of the first digit."""
    return int(f"{value:e}".partition("e")[2])


def _within(least: float, most: float, floor: float, top: float) -> bool:
    """Whether a range touches a row; a row holds its floor, the highest its top as well."""
    return most >= floor and (least < top or least == most == top)


def _shaded(values: list[float], most: float) -> str:
    """A character a value, darker for more."""
    last = len(_SHADES) - 1
    return "".join(
        _SHADES[min(last, max(1, round(value / most * last)))] if value == value and value > 0.0 else " "  # noqa: PLR0124
        for value in values
    )
