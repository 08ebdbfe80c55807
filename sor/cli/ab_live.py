"""`sor ab --live`: what experiments and exploring policies have done so far, from a journal."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from sor.cli.ab_page import command_of, write_page
from sor.cli.ab_tables import report_explored, report_live, report_live_several
from sor.cli.common import Output, say_json
from sor.cli.terms import BadValue
from sor.experiment.reading import named
from sor.experiment.running import Running
from sor.explore import PREFIX
from sor.journal import turns
from sor.lab.ab.explored import compare_explored, explored_document
from sor.lab.ab.family import Family
from sor.lab.ab.live import compare_live, live_document
from sor.lab.ab.live_several import compare_live_several, live_several_document
from sor.lab.ab.page import Page
from sor.lab.ab.page_explored import page_of_explored
from sor.lab.ab.page_live import Explaining, page_of_live, page_of_live_several
from sor.recovery import folded
from sor.router import Core


def tell_live(
    output: Output,
    journal: Path,
    name: str | None,
    arm_a: str | None,
    arms_b: tuple[str, ...],
    *,
    family: str | None,
    html: Path | None,
    effect_bps: float | None,
    margin_bps: float,
) -> None:
    """Compare two arms of an experiment, several where there are more --b or a family, or an exploring policy's ways.

    Raises    BadValue for options that do not go together, before the journal is read.
    """

    explaining = partial(command_of, journal)
    if arm_a is not None and arm_a.startswith(PREFIX):
        if family is not None or arms_b:
            told = "leave --b and --family out; nothing was read"
            raise BadValue(f"{arm_a} is compared with what was tried instead: {told}")
        _explored(output, journal, arm_a, explaining, html=html, effect_bps=effect_bps, margin_bps=margin_bps)
        return
    core = folded(journal)
    running = named(core, name)
    if family is not None or len(arms_b) > 1:
        _several(
            output,
            core,
            running,
            arm_a,
            arms_b,
            family=Family(family or "control"),
            html=html,
            explaining=explaining,
            effect_bps=effect_bps,
            margin_bps=margin_bps,
        )
        return
    b = arms_b[0] if arms_b else None
    found = compare_live(core, running, a=arm_a, b=b, effect_bps=effect_bps, margin_bps=margin_bps)
    _tell(
        output,
        html,
        page=partial(page_of_live, found, explaining),
        document=partial(live_document, found),
        report=partial(report_live, output.out, found),
    )


def _several(
    output: Output,
    core: Core,
    running: Running,
    arm_a: str | None,
    arms_b: tuple[str, ...],
    *,
    family: Family,
    html: Path | None,
    explaining: Explaining,
    effect_bps: float | None,
    margin_bps: float,
) -> None:
    """The arms that are named, else all; the control first: the one that is named, else that of the file."""
    first = arm_a or running.experiment.reference.name
    others = arms_b or [arm.name for arm in running.experiment.arms if arm.name != first]
    found = compare_live_several(
        core, running, family=family, arms=(first, *others), effect_bps=effect_bps, margin_bps=margin_bps
    )
    _tell(
        output,
        html,
        page=partial(page_of_live_several, found, explaining),
        document=partial(live_several_document, found),
        report=partial(report_live_several, output.out, found),
    )


def _explored(
    output: Output,
    journal: Path,
    policy: str,
    explaining: Explaining,
    *,
    html: Path | None,
    effect_bps: float | None,
    margin_bps: float,
) -> None:
    """What a policy does by itself beside what was tried instead."""
    core = folded(journal)
    records = (record for turn in turns(journal) for record in turn.records)
    found = compare_explored(core, records, policy, effect_bps=effect_bps, margin_bps=margin_bps)
    _tell(
        output,
        html,
        page=partial(page_of_explored, found, explaining),
        document=partial(explored_document, found),
        report=partial(report_explored, output.out, found),
    )


def _tell(
    output: Output,
    html: Path | None,
    *,
    page: Callable[[], Page],
    document: Callable[[], dict[str, object]],
    report: Callable[[Page], None],
) -> None:
    """The document for programs or the report for people, and the page where it is asked for."""
    drawn = cache(page)
    if html is not None:
        write_page(output, html, drawn())
    if output.json:
        say_json(document())
    else:
        report(drawn())
