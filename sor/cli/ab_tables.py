"""How a comparison of two policies looks on a terminal."""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.table import Table

from sor.cli.tables import setting_line
from sor.cli.words import bps, count
from sor.experiment.bounds import LOOKS_FROM
from sor.lab.ab.explored import Explored
from sor.lab.ab.live import Live
from sor.lab.ab.paired import TAIL, Decision, Findings
from sor.lab.ab.run import Ab


def report(out: Console, ab: Ab) -> None:
    """Setting, both arms, the difference, what may be said of it, and the decision."""
    found = ab.found
    out.print(setting_line(ab.a[0]))
    if len(ab.a) > 1:
        out.print(f"And {count(len(ab.a) - 1, 'further market')}: {', '.join(one.ground.name for one in ab.a[1:])}.")
    out.print()
    out.print(_arms(ab))
    out.print()
    for line in (*_difference_lines(found), *_guard_lines(found)):
        out.print(line)
    out.print()
    out.print(_verdict_line(ab), style="bold")


def _arms(ab: Ab) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("arm", style="bold", no_wrap=True)
    for name in ("parents", "filled", "mean bps", f"{TAIL:.0%} below", "passive", "timeouts", "fallbacks"):
        table.add_column(name, justify="right", no_wrap=True)
    for arm, comparisons, costs in (("a", ab.a, ab.found.cost_a), ("b", ab.b, ab.found.cost_b)):
        summaries = [comparison.outcomes[0].summary for comparison in comparisons]
        lots = [(one.maker_lots, one.taker_lots) for each in comparisons for one in each.outcomes[0].reports]
        maker, known = sum(each[0] for each in lots), sum(sum(each) for each in lots)
        table.add_row(
            f"{arm} {comparisons[0].outcomes[0].policy}",
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
    return [f"{'holds ' if guard.holds else 'BROKEN'}  {guard.name}: {guard.says}" for guard in found.guards]


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


def report_live(out: Console, live: Live) -> None:
    """The arms of an experiment, the difference, what may be said of it, and the decision."""
    rows = live.rows
    by = "by parent" if live.design == "parents" else "a switchback"
    out.print(f"Experiment {live.experiment.name} ({live.experiment.digest}), {by}.")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("arm", style="bold", no_wrap=True)
    for name in ("policy", "given", "costed", "mean bps", f"{TAIL:.0%} below"):
        table.add_column(name, justify="left" if name == "policy" else "right", no_wrap=True)
    for name, arm, given, ours in (
        ("a", live.a, rows.given[0], rows.ours),
        ("b", live.b, rows.given[1], ~rows.ours),
    ):
        costs = rows.cost[ours]
        table.add_row(
            f"{name} {arm.name}",
            f"{arm.policy}@{arm.param_set}",
            str(given),
            str(len(costs)),
            bps(float(costs.mean())),
            bps(float(np.quantile(costs, TAIL))),
        )
    out.print(table)
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
    if live.decision is not Decision.UNDECIDED:
        winner = live.a if live.decision is Decision.A else live.b
        out.print(f"Decision: {live.decision} ({winner.name}). {live.why[0].upper()}{live.why[1:]}.", style="bold")
        return
    more = "" if live.needed is None else f" {_takes(live.effect_bps, live.needed - len(rows.cost), live.needed)}"
    out.print(f"Undecided: {live.why}.{more}", style="bold")


def _takes(effect_bps: float, more: int, needed: int) -> str:
    told = f"{more:,} more parents" if more > 0 else f"{needed:,} parents, which there are"
    return f"A difference of {effect_bps:.3f} bps takes {told} (power 80 %, one look)."


def report_explored(out: Console, found: Explored) -> None:
    """A policy's own way beside the others, and the decision."""
    ways = ((found.own, "its own way"), (~found.own, "the other ways"))
    out.print(f"{found.policy}: {count(len(found.cost), 'parent')} that had a choice.")
    for name, (went, way), snips, doubly in zip("ab", ways, found.snips, found.dr, strict=True):
        told = f"{snips:+.3f} bps by weight, {doubly:+.3f} doubly robust"
        out.print(f"{name} {way}: {count(int(went.sum()), 'parent')}, {told}")
    out.print(f"cost(a) - cost(b): {found.mean:+.4f} bps, 95 % {found.low:+.4f} to {found.high:+.4f}, for one look.")
    for line in _guard_lines(found):
        out.print(line)
    more = ""
    if found.decision is Decision.UNDECIDED and found.needed is not None:
        more = f" {_takes(found.effect_bps, found.needed - len(found.cost), found.needed)}"
    word = "Undecided" if found.decision is Decision.UNDECIDED else f"Decision: {found.decision}"
    out.print(f"{word}: {found.why}.{more}", style="bold")
