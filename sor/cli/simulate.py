"""`sor simulate`: storms of faults in virtual time, judged by the venue's own books."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click
from rich.table import Table

from sor.cli.common import Output, progress_of, say_json

if TYPE_CHECKING:
    from sor.sim.seeds import Outcome, Season, Tally

EXIT_UNSAFE = 3
EXIT_STUCK = 4
EXIT_CRASHED = 5
SENTENCES_MAX = 6
"""Of one seed that are shown to people; programs get all."""
NO_FAULTS = "none"


@click.command(short_help="Run storms of faults in virtual time.")
@click.option(
    "--level",
    type=click.Choice(["core", "stack"]),
    default="core",
    show_default=True,
    help="core: machines, policies and a model venue. stack: the router's tasks, a real adapter and its emulator.",
)
@click.option("--seeds", default="0..99", show_default=True, metavar="A..B", help="Seeds A to B, or a single one.")
@click.option("--faults", metavar="NAMES", help="Only these of each seed's faults, by name; `none` for none at all.")
@click.option("--shrink", "shrinks", is_flag=True, help="For each seed that fails, find the fewest faults that do it.")
@click.option("--venue", help="Whose rig; see the group sor.rigs.  [default: simulated for core, bingx for stack]")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1, 256), help="Processes.")
@click.pass_context
def simulate(
    ctx: click.Context, level: str, seeds: str, faults: str | None, shrinks: bool, venue: str | None, jobs: int
) -> None:
    """Run a router through storms of faults, then calm, each decided by its seed, and judge it by the venue's books.

    Nothing unsafe may happen in the storm, and everything must end within a bound once it is calm. At least 8 kinds of
    faults are on in each. No network, no real time, no money. A seed that fails prints the line that runs it again.

    Exit codes: 0 all is well, 3 a seed was unsafe, 5 one crashed, 4 one was stuck; the first of these that holds.
    """
    from sor.cli.terms import names
    from sor.sim.seeds import Tally, run, season
    from sor.sim.storm import Level

    output = ctx.ensure_object(Output)
    first, last = _range(seeds)
    only = None if faults is None else () if faults == NO_FAULTS else names(faults, what="--faults")
    plan = season(level=Level(level), rig=venue, first=first, last=last, faults=only)
    tally = Tally()
    with progress_of(output, {"seeds": last - first + 1}) as bars:
        bar, task = bars["seeds"]
        for outcome in run(plan, jobs=jobs):
            tally.add(outcome)
            if not outcome.findings.clean:
                bar.console.print(f"seed {outcome.seed} failed; again: {_again(plan, outcome)}")
            bar.update(task, advance=1)  # type: ignore[arg-type]
    smallest = {one.seed: _smallest(output, plan, one) for one in tally.failed} if shrinks else {}
    if output.json:
        say_json(_document(plan, tally, smallest))
    else:
        _show(output, plan, tally, smallest)
    ctx.exit(_exit_code(tally))


def _range(text: str) -> tuple[int, int]:
    """`A..B` or `A`, both included. Raises `BadValue` for anything else."""
    from sor.cli.terms import BadValue

    low, dots, high = text.partition("..")
    if not (low.isascii() and low.isdigit() and (not dots or (high.isascii() and high.isdigit()))):
        raise BadValue(f"--seeds {text!r}: write it like 0..99, or 17 for a single one; nothing was run")
    first, last = int(low), int(high if dots else low)
    if last < first:
        raise BadValue(f"--seeds {text!r}: the first comes before the last; nothing was run")
    return first, last


def _again(plan: Season, outcome: Outcome, faults: tuple[str, ...] | None = None) -> str:
    """The line that runs one seed again, with only these faults where they are given."""
    from sor.sim.storm import PLANS

    only = plan.faults if faults is None else faults
    words = ["sor", "simulate", "--level", plan.level.value, "--seeds", f"{outcome.seed}"]
    if plan.rig != PLANS[plan.level].rig:
        words += ["--venue", plan.rig]
    if only is not None:
        words += ["--faults", ",".join(only) or NO_FAULTS]
    return shlex.join(words)


def _smallest(output: Output, plan: Season, failed: Outcome) -> Outcome:
    """The seed with the fewest faults that still fail."""
    from sor.sim.seeds import shrink

    with progress_of(output, {f"seed {failed.seed}": len(failed.armed)}) as bars:
        ((bar, task),) = bars.values()

        def tried(tests: int, left: int) -> None:
            bar.update(task, completed=len(failed.armed) - left, description=f"seed {failed.seed}, run {tests}")  # type: ignore[arg-type]

        return shrink(plan, failed, tried=tried)


def _document(plan: Season, tally: Tally, smallest: dict[int, Outcome]) -> dict[str, object]:
    """For programs."""

    def told(kind: str) -> list[dict[str, object]]:
        found: list[dict[str, object]] = []
        for one in tally.failed:
            what: list[str] = getattr(one.findings, kind)
            if what:
                least = smallest.get(one.seed)
                entry: dict[str, object] = {"seed": one.seed, "what": what, "again": _again(plan, one)}
                if least is not None:
                    entry |= {"faults": least.armed, "again_smallest": _again(plan, one, least.armed)}
                found.append(entry)
        return found

    return {
        "level": plan.level.value,
        "seeds": tally.outcomes,
        "parents": tally.parents,
        "orders": tally.orders,
        "fills": tally.fills,
        "faults": dict(sorted(tally.struck.items())),
        "virtual_s": round(tally.virtual_s, 3),
        "unsafe": told("unsafe"),
        "stuck": told("stuck"),
        "crashed": told("crashed"),
        "digest": tally.digest,
    }


def _show(output: Output, plan: Season, tally: Tally, smallest: dict[int, Outcome]) -> None:
    """For people."""
    out = output.out
    table = Table(title=f"{plan.level.value}, {plan.rig}", title_justify="left", box=None, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for what, value in (
        ("seeds", f"{plan.first}..{plan.last}"),
        ("parents", f"{tally.parents:,}"),
        ("orders", f"{tally.orders:,}"),
        ("fills", f"{tally.fills:,}"),
        ("virtual time", f"{tally.virtual_s:,.0f} s"),
        ("faults", f"{tally.struck.total():,} of {len(tally.struck)} kinds"),
        ("", ", ".join(f"{name} {number}" for name, number in tally.struck.most_common())),
        ("digest", tally.digest),
    ):
        table.add_row(what, value)
    out.print(table)
    for one in tally.failed:
        out.print()
        for kind in ("unsafe", "crashed", "stuck"):
            sentences: list[str] = getattr(one.findings, kind)
            for sentence in sentences[:SENTENCES_MAX]:
                out.print(f"seed {one.seed} {kind}: {sentence}")
            if len(sentences) > SENTENCES_MAX:
                out.print(f"seed {one.seed} {kind}: and {len(sentences) - SENTENCES_MAX} more")
        least = smallest.get(one.seed)
        out.print(f"again: {_again(plan, one)}")
        if least is not None:
            out.print(f"with the fewest faults: {_again(plan, one, least.armed)}")
    if not tally.failed:
        out.print("Nothing unsafe, nothing stuck, nothing crashed, says the venue's own book-keeping.")


def _exit_code(tally: Tally) -> int:
    for code, kind in ((EXIT_UNSAFE, "unsafe"), (EXIT_CRASHED, "crashed"), (EXIT_STUCK, "stuck")):
        if any(getattr(one.findings, kind) for one in tally.failed):
            return code
    return 0
