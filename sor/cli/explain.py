"""`sor explain`: the story of one parent."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from sor.cli.common import RUNS, Output, say_json
from sor.errors import CallerError, JournalFault
from sor.ids import ParentId


@click.command(short_help="Tell the story of one parent order.")
@click.argument("parent_id", metavar="PARENT")
@click.option(
    "--journal", "path", type=click.Path(path_type=Path), help="The journal; default: the newest run with it."
)
@click.option("--runs", type=click.Path(path_type=Path), default=RUNS, show_default=True, help="Where to look for it.")
@click.option("--check", is_flag=True, help="Recompute every decision and compare it bit for bit.")
@click.pass_context
def explain(ctx: click.Context, parent_id: str, path: Path | None, runs: Path, check: bool) -> None:
    """Tell the story of PARENT: each decision, what it saw, what else it weighed, orders, fills and cost."""
    from sor.cli.story import read_story, tell_story
    from sor.journal.records import by_name

    output = ctx.ensure_object(Output)
    journal = path or _newest_with(ParentId(parent_id), runs)
    if output.json:
        story = read_story(journal, ParentId(parent_id), check=check)
        say_json(
            {
                "parent": parent_id,
                "journal": str(journal),
                "checked": check,
                "costs": msgspec.to_builtins(story.costs),
                "records": [{"time_ns": at_ns, "record": by_name(record)} for at_ns, record in story.records],
            }
        )
        return
    tell_story(output.out, journal, ParentId(parent_id), check=check)
    if check:
        output.out.print("Every decision was recomputed from the journal and is the same, bit for bit.")


def _newest_with(parent_id: ParentId, runs: Path) -> Path:
    """The newest journal under `runs` that knows the parent."""
    from sor.journal.index import Index

    # A run that is still being written lies in a hidden directory beside the one it will replace.
    whole = [file for file in runs.glob("**/journal.json") if not file.parent.name.startswith(".")]
    damaged = 0
    for file in sorted(whole, key=lambda file: file.stat().st_mtime_ns, reverse=True):
        try:
            with Index.open(file.parent) as index:
                if any(row.parent_id == parent_id for row in index.parents()):
                    return file.parent
        except JournalFault:
            damaged += 1
    searched = f"{len(whole)} searched" + (f", {damaged} of them damaged" if damaged else "")
    raise CallerError(
        f"no journal under {runs} knows a parent {parent_id!r} ({searched}); nothing was changed. "
        "Run `sor demo` or `sor replay` first, or name the journal with --journal"
    )
