"""`sor record`: a venue's public market as a tape, while it happens."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sor.cli.common import Output, say_json
from sor.cli.venue import ALLOW_LIVE, LIVE, access_of, venue_options
from sor.errors import CallerError

if TYPE_CHECKING:
    from sor.cli.record_run import Recording


@click.command(short_help="Record a venue's market as a tape.")
@click.option("--venue", required=True, help="Name of the venue, such as bingx.")
@venue_options
@click.option("--symbol", required=True, help="What to record, in any spelling: BTC-USDT, BTCUSDT, btc/usdt.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Directory of the tape to make.")
@click.option("--for", "length", help="How long, like 90s, 10m or 24h; without it until Ctrl-C.")
@click.option("--force", is_flag=True, help="Replace the tape that is there.")
@click.option("--keep", is_flag=True, help="Keep the log that the tape was made from.")
@click.option("--allow-live", is_flag=True, help=f"Permit the real venue, together with {ALLOW_LIVE}=yes.")
@click.pass_context
def record(
    ctx: click.Context,
    venue: str,
    env: str | None,
    secrets: Path | None,
    pairs: tuple[str, ...],
    symbol: str,
    out: Path,
    length: str | None,
    force: bool,
    keep: bool,
    allow_live: bool,
) -> None:
    """Record book and trades of one instrument off a venue's public streams; no key is used and nothing is ordered.

    Everything is written down as it comes, in OUT.log, and made into the tape in the end: after --for, upon Ctrl-C, and
    when the disk is full. If the machine fails, `sor tape import OUT.log/part-*.jsonl` makes it of what is there.
    """
    from sor.cli.live import run_live
    from sor.cli.record_run import Recording, recorded
    from sor.cli.terms import seconds
    from sor.lab.importers import import_recording
    from sor.tape import refuse_occupied

    output = ctx.ensure_object(Output)
    if env == LIVE and not (allow_live and os.environ.get(ALLOW_LIVE, "") == "yes"):
        raise CallerError(
            f"{venue} (live) is the real venue: give --allow-live and set {ALLOW_LIVE}=yes in the environment to "
            "permit it; nothing was opened"
        )
    access = access_of(venue, env=env, secrets=secrets, pairs=pairs, symbol=symbol)
    refuse_occupied(out, overwrite=force)
    job = Recording(
        access=access,
        symbol=symbol,
        folder=out.with_name(f"{out.name}.log"),
        length_s=None if length is None else seconds(length),
    )
    ended = run_live(partial(recorded, job, output))
    manifest = import_recording(ended.parts, out, overwrite=force)
    if not keep:
        _remove(job)
    if output.json:
        say_json(manifest)
    else:
        from sor.cli.tape import say_tape

        say_tape(output, out, manifest)
    output.err.print(f"Ended: {ended.why}.")
    if ended.failed:
        ctx.exit(1)


def _remove(job: Recording) -> None:
    """The log, of which the tape now has everything."""
    for part in sorted(job.folder.glob("part-*.jsonl")):
        part.unlink()
    job.folder.rmdir()
