"""`sor experiment`: compare policies on live parents, and take the winner over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from sor.cli.asking import ask
from sor.cli.common import Output, say_json
from sor.errors import CallerError

JOURNAL_HELP = "The journal whose router runs it, or will."

journal_option = click.option("--journal", required=True, type=click.Path(path_type=Path), help=JOURNAL_HELP)
wait_option = click.option(
    "--wait", default="5s", show_default=True, help="How long to wait for a router that runs to heed it."
)


@click.group()
def experiment() -> None:
    """Give live parents to policies by chance, stop what does harm, and take the winner over.

    docs/experiments.md has the file, the guards and what is promised.
    """


@experiment.command(short_help="Start the experiment in FILE.")
@click.argument("file", type=click.Path(path_type=Path))
@journal_option
@wait_option
@click.pass_context
def start(ctx: click.Context, file: Path, journal: Path, wait: str) -> None:
    """Check the experiment in FILE, and have the router of a journal run it.

    A router that runs takes it up within a second; where none runs, the next one does, before it connects. From then
    on parents that name the experiment are given to its arms. Exit code 1 when it is refused, with the reason.
    """
    from sor.experiment.definition import parse_experiment
    from sor.experiment.keeper import check_start
    from sor.files import read_small
    from sor.journal.wanted import StartAsked
    from sor.param_file import FILE_BYTES_MAX
    from sor.recovery import folded

    try:
        text = read_small(file, bytes_max=FILE_BYTES_MAX).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise CallerError(f"{file} cannot be read: {error}; nothing was started") from error
    wanted = parse_experiment(text, where=str(file))
    check_start(folded(journal), wanted)
    heeded = ask(journal, StartAsked(text=text, where=str(file)), wait)
    _say(
        ctx,
        {"experiment": wanted.name, "digest": wanted.digest, "heeded": heeded},
        f"{wanted.name} ({wanted.digest}) takes parents that name it."
        if heeded
        else f"{wanted.name} ({wanted.digest}) is left for the journal's next router.",
    )


@experiment.command(short_help="Arms, costs with their bounds, guards, sample ratio.")
@click.argument("name", required=False)
@journal_option
@click.pass_context
def status(ctx: click.Context, name: str | None, journal: Path) -> None:
    """Say how an experiment stands, by the journal alone; without NAME all of the journal.

    Bounds hold at all times at once: looking often, and stopping when one likes what one sees, is fine.
    """
    from sor.cli.experiment_tables import show_status
    from sor.experiment.reading import named, statuses
    from sor.recovery import folded

    core = folded(journal)
    told = statuses(core)
    if name is not None:
        which = named(core, name).experiment.name
        told = tuple(one for one in told if one.name == which)
    output = ctx.ensure_object(Output)
    if output.json:
        say_json({"journal": str(journal), "experiments": told})
        return
    if not told:
        output.out.print("No experiment was ever started on this journal.")
    for one in told:
        show_status(output.out, one)


@experiment.command(short_help="Stop an experiment, or one arm of it.")
@click.argument("name")
@journal_option
@click.option("--arm", default="", help="Only this arm.")
@click.option("--reason", default="asked", show_default=True, help="Why, for the record.")
@wait_option
@click.pass_context
def stop(ctx: click.Context, name: str, journal: Path, arm: str, reason: str, wait: str) -> None:
    """Have an experiment take no more parents; those that it has go on to their end.

    What has ended is not started again: an experiment that goes on later is another one, with another name.
    """
    from sor.experiment.keeper import check_stop
    from sor.journal.wanted import StopAsked
    from sor.recovery import folded

    asked = StopAsked(experiment=name, arm=arm, reason=reason)
    check_stop(folded(journal), asked)
    heeded = ask(journal, asked, wait)
    what = f"arm {arm} of {name}" if arm else name
    _say(
        ctx,
        {"experiment": name, "arm": arm, "heeded": heeded},
        f"{what} takes no more parents." if heeded else f"{what} takes no more parents from the next start on.",
    )


def _say(ctx: click.Context, document: Mapping[str, object], line: str) -> None:
    output = ctx.ensure_object(Output)
    if output.json:
        say_json(document)
    else:
        output.out.print(line)


@experiment.command(short_help="Take an arm's param-set over, with its evidence.")
@click.argument("name")
@click.option("--arm", required=True, help="The arm whose set is taken over.")
@journal_option
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="The new file, FAMILY/DATE.json; never written over."
)
@click.option("--force", default="", metavar="REASON", help="Against the evidence; the set keeps your reason.")
@click.pass_context
def promote(ctx: click.Context, name: str, arm: str, journal: Path, out: Path, force: str) -> None:
    """Publish an arm's param-set as the newest of a family, with what speaks for it.

    Refused, with all reasons, where the evidence does not carry it: the bounds of the difference do not lie below zero,
    a guard is broken, the tail is worse, too few parents. A router that has the directory takes the set up by itself.
    """
    from sor.experiment.promotion import evidence_for, promoted
    from sor.param_publish import publish, set_name
    from sor.recovery import folded

    set_id = set_name(out)
    core = folded(journal)
    found = evidence_for(core, name, arm)
    made, text = promoted(core, found, set_id=set_id, reason=force)
    publish(text, out)
    gap = found.watch.gap
    document = {
        "set": made.set_id,
        "digest": made.digest,
        "out": str(out),
        "gap_bps": made.model_dump(mode="json")["origin"]["gap_bps"],
        "against": list(found.against),
    }
    forced = f" Against it speaks: {'; '.join(found.against)}." if found.against else ""
    _say(ctx, document, f"{made.set_id} ({made.digest}) is published: {gap.mean:+.3f} bps a parent.{forced}")


@experiment.command(short_help="Go back to the param-set before.")
@click.argument("family")
@click.option("--param-dir", "directory", required=True, type=click.Path(path_type=Path), help="Where its files lie.")
@click.option("--to", metavar="SET", help="Which set to restore. Default: the one before the newest.")
@click.option("--reason", default="", help="Why, for the set's record.")
@click.pass_context
def rollback(ctx: click.Context, family: str, directory: Path, to: str | None, reason: str) -> None:
    """Publish the values that FAMILY had before as its newest set; nothing is deleted.

    A router that has the directory takes it up by itself. What only the newest gives stays, as a set under one name
    never gives less.
    """
    from datetime import UTC, datetime

    from sor.experiment.promotion import rolled_back
    from sor.param_publish import publish
    from sor.params import ParamStore

    sets = ParamStore(directory).published(family)
    set_id, (made, text) = rolled_back(sets, to=to, reason=reason, today=datetime.now(UTC).date())
    out = directory / f"{set_id}.json"
    publish(text, out)
    assert made.origin is not None
    document = {"set": made.set_id, "digest": made.digest, "out": str(out), "restores": made.origin.set_id}
    _say(ctx, document, f"{made.set_id} ({made.digest}) is published, with the values of {made.origin.set_id}.")
