"""`sor truth`: what a replay by price levels would have said of orders that were really there."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sor.cli.common import Output, say_json

if TYPE_CHECKING:
    from sor.lab.truth import Scores, Truth
    from sor.tape import Tape


@click.command(short_help="Do queue models say what happened?")
@click.argument("recording", type=click.Path(path_type=Path))
@click.option("--horizon", default="60s", show_default=True, help="Filled by then? That is what is judged.")
@click.option("--from", "begin", metavar="TIME", help="Orders from this time of the recording on; default: a twelfth.")
@click.option("--split", metavar="TIME", help="Fitted before, scored after; default: half of the recording.")
@click.pass_context
def truth(ctx: click.Context, recording: Path, horizon: str, begin: str | None, split: str | None) -> None:
    """Judge queue models on RECORDING, a tape or a raw file that has every order by its id.

    Each order that somebody placed at or inside the touch is taken out of its level and put back as one of ours would
    be; each model says whether it fills by the horizon, and is set beside what happened. The exponent of one power
    law is fitted on the first part; every model is scored on the second. What holds here holds for this market.
    """
    from sor.cli.terms import BadValue, seconds
    from sor.lab.truth import truth as judge
    from sor.units import to_ns

    output = ctx.ensure_object(Output)
    horizon_s = seconds(horizon)
    begin_s, split_s = (None if text is None else seconds(text) for text in (begin, split))
    with tempfile.TemporaryDirectory(prefix="sor-truth-") as scratch:
        tape = _opened(recording, Path(scratch))
        first_ns, end_ns = (int(tape.group_venue_ns[at]) for at in (0, -1))
        from_ns = first_ns + ((end_ns - first_ns) // 12 if begin_s is None else to_ns(begin_s))
        split_ns = first_ns + ((end_ns - first_ns) // 2 if split_s is None else to_ns(split_s))
        if not from_ns < split_ns < end_ns:
            raise BadValue("--from must come before --split, and both before the recording's end; nothing was scored")
        say = (lambda _: None) if output.json else output.err.print
        found = judge(tape, from_ns=from_ns, split_ns=split_ns, until_ns=end_ns, horizon_s=horizon_s, say=say)
    if output.json:
        say_json({"orders": found.scored, **_document(found)})
        return
    _tell(output, found)


def _opened(recording: Path, scratch: Path) -> Tape:
    from sor.lab.importers import import_recording
    from sor.tape import open_whole

    if recording.is_dir():
        return open_whole(recording)
    import_recording([recording], scratch / "tape")
    return open_whole(scratch / "tape")


def _document(found: Truth) -> dict[str, object]:
    return {
        "horizon_s": found.horizon_s,
        "fitted": found.fitted,
        "exponent": found.exponent,
        "models": found.models,
    }


def _tell(output: Output, found: Truth) -> None:
    from rich.table import Table

    out = output.out
    first = found.models[0]
    fitted = "any exponent does" if found.exponent is None else f"n = {found.exponent:g}"
    out.print(
        f"{found.scored:,} orders at or inside the touch, scored by {found.horizon_s:g} s; {first.orders:,} were not "
        f"withdrawn before. Of them {first.happened:.1%} filled. Fitted on {found.fitted:,} orders before: {fitted}."
    )
    out.print()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("queue", style="bold", no_wrap=True)
    for name in ("said", "bias", "wrong", "skill", "slope", "calibration", "log score", "late, 5 % to 95 %"):
        table.add_column(name, justify="right", no_wrap=True)
    for model in found.models:
        low, middle, high = model.late_s
        table.add_row(
            model.queue,
            f"{model.said:.1%}",
            f"{model.bias_pp:+.2f} pp",
            f"{model.brier:.2%}",
            f"{model.skill:.3f}",
            f"{model.slope:.3f}",
            f"{model.calibration_error_pp:.2f} pp",
            f"{model.log_score:.3f}",
            f"{low:+.1f}, {middle:+.1f}, {high:+.1f} s",
        )
    out.print(table)
    out.print()
    for model in (found.models[0], found.models[-1]):
        _curve(output, model)


def _curve(output: Output, model: Scores) -> None:
    """Said beside happened, for orders with more and more ahead of them."""
    output.out.print(f"{model.queue}: filled, by how much was ahead (said, happened)", style="italic")
    for no, (orders, said, happened) in enumerate(model.curve):
        name = "nobody ahead" if not no else f"group {no} of {len(model.curve) - 1}"
        bar = "".join(_mark(place / 40, said, happened) for place in range(41))
        output.out.print(f"  {name:<14}{orders:>7,}  {said:>6.1%} {happened:>6.1%}  |{bar}|")


def _mark(place: float, said: float, happened: float) -> str:
    near = [round(40 * share) / 40 == place for share in (said, happened)]
    return {(True, True): "#", (True, False): "o", (False, True): "x"}.get((near[0], near[1]), " ")
