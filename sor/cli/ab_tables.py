"""How a comparison of two policies looks on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from sor.cli.ab_short import tell_short
from sor.cli.tables import setting_line
from sor.cli.words import bps, count
from sor.experiment.bounds import LOOKS_FROM, TAIL
from sor.experiment.definition import Arm
from sor.lab.ab.explored import CUT_BPS, Explored
from sor.lab.ab.family import UNDECIDED, Family, Verdict, Versus
from sor.lab.ab.guards import Guard
from sor.lab.ab.live import Live
from sor.lab.ab.live_several import LiveSeveral
from sor.lab.ab.page import Page, between
from sor.lab.ab.paired import Decision, Findings
from sor.lab.ab.run import Ab, AbSeveral
from sor.lab.comparison import Comparison

Floats = NDArray[np.float64]


def report(out: Console, ab: Ab, page: Page) -> None:
    """Setting, both arms, the difference, what may be said of it, the page in short, and the decision."""
    found = ab.found
    out.print(setting_line(ab.a[0]))
    if len(ab.a) > 1:
        out.print(f"And {count(len(ab.a) - 1, 'further market')}: {', '.join(one.ground.name for one in ab.a[1:])}.")
    out.print()
    both = (("a", ab.a, found.cost_a), ("b", ab.b, found.cost_b))
    out.print(_arms([(letter, runs[0].outcomes[0].policy, runs, costs) for letter, runs, costs in both]))
    out.print()
    for line in (*_difference_lines(found), *_guard_lines(found)):
        out.print(line)
    tell_short(out, page)
    out.print()
    out.print(_verdict_line(ab), style="bold")


def report_several(out: Console, ab: AbSeveral, page: Page) -> None:
    """Setting, every arm, every comparison, the page in short, and the decision."""
    found = ab.found
    out.print(setting_line(ab.arms[0][0]))
    out.print()
    out.print(_arms([(*one, costs) for one, costs in zip(_named(ab), found.costs.T, strict=True)]))
    out.print()
    family_lines(out, found.verdict, found.versus, units="block")
    for guard in found.guards:
        out.print(_guard_line(guard))
    tell_short(out, page)
    out.print()
    policies = {letter: name for letter, name, _ in _named(ab)}
    _tell_verdict(out, found.verdict, policies, have=found.costed, where=" on such markets")


def _named(ab: AbSeveral) -> list[tuple[str, str, tuple[Comparison, ...]]]:
    """(letter, label, runs) of each arm."""
    return [(letter, runs[0].outcomes[0].policy, runs) for letter, runs in zip(ab.found.arms, ab.arms, strict=True)]


def family_lines(out: Console, verdict: Verdict, versus: Sequence[Versus], *, units: str) -> None:
    """A row for each comparison, and what the rows are."""
    what = "each against a" if verdict.family is Family.CONTROL else "each against each"
    fewest, most = min(one.units for one in versus), max(one.units for one in versus)
    on = count(most, units) if fewest == most else f"{fewest} to {count(most, units)}"
    told = f"{count(len(versus), 'comparison')}, {what}, on {on}"
    out.print(f"{told}; intervals and p hold for all at once, at 5 %.")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("costs", style="bold", no_wrap=True)
    paired = [one.series for one in versus if one.series is not None]
    as_series = ("95 %, as a series",) if paired else ()
    for name in ("bps", "95 %, one look", *as_series, "p", "95 %, any look", "e", "needs", "cheaper"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in versus:
        looks = one.looks
        watched = (None, None) if looks is None else (float(looks.low[-1]), float(looks.high[-1]))
        table.add_row(
            f"{one.first} - {one.second}",
            f"{one.mean:+.3f}",
            between(one.low, one.high, digits=3),
            *(() if one.series is None else (between(one.series.low, one.series.high, digits=3),)),
            "-" if one.p_value is None else f"{one.p_value:.3f}",
            between(*watched, digits=3),
            "-" if one.e_value is None else f"{one.e_value:.3g}{'*' if one.listed else ''}",
            "-" if one.needed is None else f"{one.needed:,}",
            "-" if one.decision == UNDECIDED else one.decision,
        )
    out.print(table)
    if paired:
        out.print(f"As a series: by stationary bootstrap, in blocks of {paired[0].block_parents:.1f} parents.")
    if any(one.listed for one in versus):
        out.print("* found by e-BH, whenever one looks: of such differences 5 % are none on average.")
    if any(one.looks is None for one in versus):
        out.print(f"No sequence that may be watched: it takes {count(LOOKS_FROM, units)}.")
    for one in versus:
        for guard in one.guards:
            if not guard.holds:
                out.print(f"{one.first} - {one.second}: {_guard_line(guard)}")


def _tell_verdict(out: Console, verdict: Verdict, names: Mapping[str, str], *, have: int, where: str = "") -> None:
    if verdict.decision != UNDECIDED:
        line = f"Decision: {verdict.decision} ({names[verdict.decision]}). {verdict.why[0].upper()}{verdict.why[1:]}."
        out.print(line, style="bold")
        return
    line = f"Undecided: {verdict.why}."
    if verdict.needed is not None:
        more = verdict.needed - have
        told = f"{more:,} more parents{where}" if more > 0 else "no more parents than there are"
        line += f" What is open takes {told} (power 80 %)."
    out.print(line, style="bold")


def _arms(arms: Sequence[tuple[str, str, Sequence[Comparison], Floats]]) -> Table:
    """(letter, label, runs, costs) of each arm."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("arm", style="bold", no_wrap=True)
    for name in ("parents", "filled", "mean bps", f"{TAIL:.0%} below", "passive", "timeouts", "fallbacks"):
        table.add_column(name, justify="right", no_wrap=True)
    for letter, label, comparisons, costs in arms:
        summaries = [comparison.outcomes[0].summary for comparison in comparisons]
        lots = [(one.maker_lots, one.taker_lots) for each in comparisons for one in each.outcomes[0].reports]
        maker, known = sum(each[0] for each in lots), sum(sum(each) for each in lots)
        table.add_row(
            f"{letter} {label}",
            str(sum(one.parents for one in summaries)),
            f"{np.mean([one.filled_share for one in summaries]):.1%}",
            bps(float(costs.mean())),
            bps(float(np.quantile(costs, TAIL))),
            f"{maker / known:.1%}" if known else "-",
            str(sum(one.timeouts for one in summaries)),
            str(sum(one.fallbacks for one in summaries)),
        )
    return table


def _difference_lines(found: Findings) -> list[str]:
    gap = found.difference
    line = f"cost(a) - cost(b): {gap.mean:+.4f} bps on {count(found.costed, 'parent')} in {count(gap.blocks, 'block')}"
    if gap.low is None or gap.high is None:
        return [f"{line}; too few blocks for an interval."]
    lines = [f"{line}, 95 % {gap.low:+.4f} to {gap.high:+.4f} (p = {gap.p_value:.3f}), for one look at the end."]
    again = f"stationary bootstrap of blocks of {found.series.block_parents:.1f} parents"
    lines.append(f"As a series ({again}): 95 % {between(found.series.low, found.series.high)}.")
    if found.effective is not None:
        lines.append(f"They overlap, and know as much as {found.effective:.0f} parents that do not.")
    if found.looks is None:
        lines.append(f"No sequence that may be watched: it takes {LOOKS_FROM} blocks of four deadlines.")
    else:
        stopped = "" if found.stopped_at is None else f", zero excluded after {count(found.stopped_at, 'parent')}"
        lines.append(
            f"However often one looks: {found.looks.low[-1]:+.4f} to {found.looks.high[-1]:+.4f} "
            f"(always valid p = {found.looks.p_value[-1]:.3f}{stopped})."
        )
    return lines


def _guard_lines(found: Findings | Live | Explored) -> list[str]:
    return [_guard_line(guard) for guard in found.guards]


def _guard_line(guard: Guard) -> str:
    return f"{'holds ' if guard.holds else 'BROKEN'}  {guard.name}: {guard.says}"


def _verdict_line(ab: Ab) -> str:
    found = ab.found
    if found.decision is not Decision.UNDECIDED:
        winner = (ab.a if found.decision is Decision.A else ab.b)[0].outcomes[0].policy
        return f"Decision: {found.decision} ({winner}). {found.why[0].upper()}{found.why[1:]}."
    line = f"Undecided: {found.why}."
    if found.needed is None:
        return line
    more = found.needed - found.costed
    told = f"{more:,} more parents" if more > 0 else f"{found.needed:,} parents, which there are"
    return f"{line} A difference of {found.effect_bps:.3f} bps takes {told} on such markets (power 80 %)."


def report_live(out: Console, live: Live, page: Page) -> None:
    """The arms of an experiment, the difference, what may be said of it, the page in short, and the decision."""
    rows = live.rows
    by = "by parent" if live.design == "parents" else "a switchback"
    out.print(f"Experiment {live.experiment.name} ({live.experiment.digest}), {by}.")
    table = _live_arms()
    table.add_row(*_live_arm("a", live.a, rows.given[0], rows.cost[rows.ours]))
    table.add_row(*_live_arm("b", live.b, rows.given[1], rows.cost[~rows.ours]))
    out.print(table)
    if (arms := len(live.experiment.arms)) > len("ab"):
        out.print(f"Of {arms} arms: --family control sets each against the first, --family all each against each.")
    line = f"cost(a) - cost(b): {live.mean:+.4f} bps on {count(len(rows.cost), 'parent')}, {count(live.units, 'coin')}"
    if live.low is None or live.high is None or live.p_value is None:
        out.print(f"{line}; too few for an interval.")
    else:
        known = f", {live.explained:.0%} of the variance was known at arrival" if live.explained else ""
        out.print(f"{line}, 95 % {live.low:+.4f} to {live.high:+.4f} (p = {live.p_value:.3f}), for one look{known}.")
    if live.looks is not None:
        stopped = live.looks.stopped_at()
        told = "" if stopped is None else f", zero excluded after {count(stopped, 'coin')}"
        out.print(
            f"However often one looks: {live.looks.low[-1]:+.4f} to {live.looks.high[-1]:+.4f} "
            f"(always valid p = {live.looks.p_value[-1]:.3f}{told})."
        )
    for line in _guard_lines(live):
        out.print(line)
    tell_short(out, page)
    out.print()
    if live.decision is not Decision.UNDECIDED:
        winner = live.a if live.decision is Decision.A else live.b
        out.print(f"Decision: {live.decision} ({winner.name}). {live.why[0].upper()}{live.why[1:]}.", style="bold")
        return
    more = "" if live.needed is None else f" {_takes(live.effect_bps, live.needed - len(rows.cost), live.needed)}"
    out.print(f"Undecided: {live.why}.{more}", style="bold")


def report_live_several(out: Console, found: LiveSeveral, page: Page) -> None:
    """Every arm of an experiment, every comparison, the page in short, and the decision."""
    by = "by parent" if found.lives[0].design == "parents" else "a switchback"
    out.print(f"Experiment {found.experiment.name} ({found.experiment.digest}), {by}.")
    table = _live_arms()
    for letter, arm, given, costs in zip(found.letters, found.arms, found.given, found.costs, strict=True):
        table.add_row(*_live_arm(letter, arm, given, costs))
    out.print(table)
    out.print()
    family_lines(out, found.verdict, found.versus, units="coin")
    tell_short(out, page)
    out.print()
    names = {letter: arm.name for letter, arm in zip(found.letters, found.arms, strict=True)}
    _tell_verdict(out, found.verdict, names, have=min(one.parents for one in found.versus), where=" of two arms")


def _live_arms() -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("arm", style="bold", no_wrap=True)
    for name in ("policy", "given", "costed", "mean bps", f"{TAIL:.0%} below"):
        table.add_column(name, justify="left" if name == "policy" else "right", no_wrap=True)
    return table


def _live_arm(letter: str, arm: Arm, given: int, costs: Floats) -> tuple[str, ...]:
    return (
        f"{letter} {arm.name}",
        f"{arm.policy}@{arm.param_set}",
        str(given),
        str(len(costs)),
        bps(float(costs.mean())),
        bps(float(np.quantile(costs, TAIL))),
    )


def _takes(effect_bps: float, more: int, needed: int) -> str:
    told = f"{more:,} more parents" if more > 0 else f"{needed:,} parents, which there are"
    return f"A difference of {effect_bps:.3f} bps takes {told} (power 80 %, one look)."


def report_explored(out: Console, found: Explored, page: Page) -> None:
    """A policy's own way beside the others, the page in short, and the decision."""
    out.print(f"{found.policy}: {count(len(found.cost), 'parent')} that had a choice.")
    for way in found.ways:
        bps_by = way.bps
        told = f"IPS {bps_by['ips']:+.3f}, SNIPS {bps_by['snips']:+.3f}, doubly robust {bps_by['dr']:+.3f} bps"
        on = f"{count(int(way.went.sum()), 'parent')} that weigh as {way.weights.effective:.0f}"
        out.print(f"{way.letter} {way.says.partition(',')[0]}: {on}, {told}")
    out.print(f"cost(a) - cost(b): {found.mean:+.4f} bps, 95 % {found.low:+.4f} to {found.high:+.4f}, for one look.")
    if found.looks is not None:
        out.print(f"However often one looks: {between(float(found.looks.low[-1]), float(found.looks.high[-1]))}.")
    bets = between(float(found.bets.low[-1]), float(found.bets.high[-1]))
    out.print(f"The same by betting, which assumes no more than costs within {CUT_BPS:g} bps: {bets}.")
    for line in _guard_lines(found):
        out.print(line)
    tell_short(out, page)
    out.print()
    more = ""
    if found.decision is Decision.UNDECIDED and found.needed is not None:
        more = f" {_takes(found.effect_bps, found.needed - len(found.cost), found.needed)}"
    word = "Undecided" if found.decision is Decision.UNDECIDED else f"Decision: {found.decision}"
    out.print(f"{word}: {found.why}.{more}", style="bold")
