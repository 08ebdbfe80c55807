"""What demo and replay share: set-up of a run, its progress, and how its outcome is shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sor.cli.common import Output, progress_of, say_json
from sor.cli.tables import (
    comparison_tables,
    difference_lines,
    interval_line,
    setting_line,
    unfilled_lines,
    unfitted_lines,
    verdict_line,
)
from sor.lab.comparison import Comparison, document
from sor.lab.plan import Ground, Plan, arms_of
from sor.lab.replay import Replayer
from sor.params import ParamSet, ParamStore

EXIT_BROKEN = 3
"""A run in which the venue's books contradict the router."""


def sets_of(plan: Plan, param_dirs: Sequence[Path], *, now_ns: int) -> dict[str, ParamSet]:
    """The param-sets that a plan's arms read. Raises `CallerError` for one that is missing or wrong."""
    store = ParamStore(*param_dirs)
    names = dict.fromkeys([plan.param_set, *(arm.param_set for arm in arms_of(plan))])
    return {name: store.get(name, now_ns=now_ns) for name in names}


def compare(
    output: Output, plan: Plan, ground: Ground, runs: Path, *, param_dirs: Sequence[Path] = (), jobs: int = 1
) -> Comparison:
    """Run a plan with a progress bar for each policy. `param_dirs` are searched after the packaged param-sets."""
    sets = sets_of(plan, param_dirs, now_ns=ground.first_ns)
    replayer = Replayer.installed(plan, ground, sets=sets, runs=runs)
    if not output.json:
        output.err.print(f"Routing {plan.parents} parents under each of {', '.join(plan.policies)} ...")
    with progress_of(output, dict.fromkeys(plan.policies, plan.parents)) as bars:

        def progress(policy: str, ended: int) -> None:
            bar, task = bars[policy]
            bar.update(task, completed=ended)  # type: ignore[arg-type]

        return replayer.run(progress=progress, jobs=jobs)


def show(output: Output, comparison: Comparison) -> None:
    """Tables for people, or the document for programs."""
    if output.json:
        say_json(document(comparison))
        return
    out = output.out
    out.print(setting_line(comparison))
    out.print()
    for title, table in comparison_tables(comparison):
        out.print(title, style="italic")
        out.print(table)
        out.print()
    out.print(interval_line(comparison))
    for line in difference_lines(comparison):
        out.print(line)
    for line in (*unfitted_lines(comparison.outcomes), *unfilled_lines(comparison.outcomes)):
        out.print(line)
    out.print(verdict_line(comparison.outcomes))
    for outcome in comparison.outcomes:
        for detail in outcome.verdict.details:
            out.print(f"  {outcome.policy}: {detail}")


def exit_code(comparison: Comparison) -> int:
    """0, or `EXIT_BROKEN` when a promise was broken: no figure of such a run means anything."""
    broken = any(
        one.verdict.overfills or one.verdict.orphans or one.verdict.double_fills or one.verdict.missed_fills
        for one in comparison.outcomes
    )
    return EXIT_BROKEN if broken else 0
