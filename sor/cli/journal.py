"""`sor journal`: check a journal, and read it. Both only read, also while a router is writing it."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args

import click
import msgspec
from rich.table import Table
from rich.text import Text

from sor.cli.common import Output, Printer, say_json
from sor.errors import CallerError, JournalFault
from sor.events import Fact
from sor.ids import ParentId
from sor.journal import Record, Turn, pick, turns, verify
from sor.journal.index import Index
from sor.journal.layout import segment_name, segment_paths
from sor.journal.records import by_name, kind_of
from sor.journal.words import Narrator, utc

SHOWN = 200
"""Records in the table unless `--limit` says otherwise."""
WIDE = 200
"""Columns of the table where no terminal says how wide it is."""
KINDS = sorted(str(each.__struct_config__.tag) for each in get_args(Record))

journal_path = click.argument("path", type=click.Path(path_type=Path))


class Entry(msgspec.Struct, frozen=True):
    """One record as it is shown; a wish has the time of the fact that caused it, 0 when that is not at hand."""

    turn_no: int
    place: int
    time_ns: int
    record: Record
    narrator: Narrator


@click.group()
def journal() -> None:
    """Check and read journals."""


@journal.command("verify")
@journal_path
@click.option("--decisions", is_flag=True, help="Also recompute every decision, and compare it bit for bit.")
@click.option("--checkpoints", is_flag=True, help="Also make every checkpoint anew, and compare it bit for bit.")
@click.pass_context
def verify_command(ctx: click.Context, path: Path, decisions: bool, checkpoints: bool) -> None:
    """Check every byte of the journal at PATH. Exit code 1 when it does not verify.

    With --decisions each decision is made anew by the policies installed here, from what it saw and the parameters of
    then. The first that differs is named, with what differs, and the exit code is 1. With --checkpoints so is the first
    checkpoint that is not the state which the turns before it give.
    """
    found = verify(path)
    recomputed = None
    if decisions and not found.faults:
        from sor.cli.story import recompute

        recomputed = recompute(path)
    remade = None
    if checkpoints and not found.faults:
        from sor.recovery import recompute_checkpoints

        remade = recompute_checkpoints(path)
    if ctx.ensure_object(Output).json:
        more = {"decisions": recomputed} if decisions else {}
        more |= {"checkpoints_made_anew": remade} if checkpoints else {}
        say_json({"verifies": not found.faults, **msgspec.structs.asdict(found), **more})
    elif found.faults:
        click.echo(f"{path} does not verify.")
        for fault in found.faults:
            click.echo(f"  {fault}.")
        click.echo(f"  {found.turns} turns with {found.records} records do check.")
    else:
        size = f"{found.turns} turns with {found.records} records in {found.segments} segment(s)"
        click.echo(f"{path} verifies: {size}, {found.environment}, epoch {found.epoch}.")
        if found.first_turn > 1:
            click.echo(f"  turns before {found.first_turn} are not here; a checkpoint stands for them.")
        if found.checkpoints:
            spare = f"; no start needs the first {found.spare_segments} segment(s)" if found.spare_segments else ""
            click.echo(f"  {found.checkpoints} checkpoint(s) stand in these turns{spare}.")
        click.echo(f"  last chain value {found.last_chain}; keep it elsewhere to show later that nothing was changed.")
        if found.torn_tail_bytes:
            click.echo(
                f"  {found.torn_tail_bytes} bytes at the end are an unfinished turn: a router is writing it now, or "
                "was killed while it did, and then nothing of it was acted upon."
            )
        if recomputed is not None:
            click.echo(f"  {recomputed} decisions were made anew, each the same bit for bit.")
        if remade is not None:
            click.echo(f"  {remade} checkpoint(s) were made anew, each the same bit for bit.")
    if found.faults:
        ctx.exit(1)


@journal.command("show")
@journal_path
@click.option("--parent", "parent_id", metavar="ID", help="Only this parent and its orders.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Only records of this kind; repeatable.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    help=f"Only the last N; 0 shows all. Without it a table has the last {SHOWN}, JSON has all.",
)
@click.option("--json", "json", is_flag=True, help="Print one JSON object a line instead of a table.")
@click.pass_context
def show_command(
    ctx: click.Context, path: Path, parent_id: str | None, kinds: tuple[str, ...], limit: int | None, json: bool
) -> None:
    """Show the records of the journal at PATH, oldest first."""
    found = _entries(turns(path), _narrator(path)) if parent_id is None else _entries_of(path, ParentId(parent_id))
    wanted = (entry for entry in found if not kinds or kind_of(entry.record) in kinds)
    if json or ctx.ensure_object(Output).json:
        for entry in _last(wanted, limit or 0):
            line = {"turn": entry.turn_no, "time_ns": entry.time_ns, "record": by_name(entry.record)}
            click.echo(msgspec.json.encode(line))
    else:
        _show_table(wanted, SHOWN if limit is None else limit)


def _narrator(path: Path) -> Narrator:
    """One that knows the instruments of before the first turn that is there."""
    if segment_paths(path)[:1] in ([], [path / segment_name(1)]):
        return Narrator()
    from sor.decide import Recorded
    from sor.recovery import past

    return Narrator(past(path, Recorded(), keep=False).core.in_force.instruments)


def _entries(found: Iterable[Turn], narrator: Narrator) -> Iterator[Entry]:
    """Every record of some turns."""
    time_ns = 0
    for turn in found:
        for place, record in enumerate(turn.records):
            narrator = narrator.after(record)
            if isinstance(record, Fact):
                time_ns = record.now_ns
            yield Entry(turn.no, place, time_ns, record, narrator)


def _entries_of(path: Path, parent_id: ParentId) -> Iterator[Entry]:
    """The records of one parent, found through the index; those before a fault in the journal come first."""
    with Index.open(path) as index:
        places = frozenset(index.parent_records(parent_id))
        context = index.instrument_turns()
        fault = index.fault
    if not places and fault is None:
        raise CallerError(f"no parent {parent_id} in the journal at {path}; nothing was changed")
    for entry in _entries(pick(path, [*context, *sorted(turn_no for turn_no, _ in places)]), _narrator(path)):
        if (entry.turn_no, entry.place) in places:
            yield entry
    if fault is not None:
        raise fault


def _last(entries: Iterable[Entry], keep: int) -> Iterator[Entry]:
    """The last `keep` entries, all for 0; when reading has to stop, what was read comes before the fault."""
    if keep == 0:
        yield from entries
        return
    kept: deque[Entry] = deque(maxlen=keep)
    fault = None
    try:
        for entry in entries:
            kept.append(entry)
    except JournalFault as error:
        fault = error
    yield from kept
    if fault is not None:
        raise fault


def _show_table(entries: Iterable[Entry], keep: int) -> None:
    console = Printer(width=None if sys.stdout.isatty() else WIDE)
    table = Table("time (UTC)", "turn", "kind", "what")
    fault = None
    try:
        for entry in _last(entries, keep):
            # Text, not str: what a venue said is not markup.
            what = Text(entry.narrator.tell(entry.record))
            table.add_row(utc(entry.time_ns), str(entry.turn_no), kind_of(entry.record), what)
    except JournalFault as error:
        fault = error
    if table.row_count == keep > 0:
        table.caption = f"the last {keep} records at most; --limit 0 shows all"
    if table.row_count:
        console.print(table)
    elif fault is None:
        click.echo("no records")
    if fault is not None:
        raise fault
