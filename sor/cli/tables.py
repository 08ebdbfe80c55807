"""How runs and costs look on a terminal."""

from __future__ import annotations

from collections import Counter

from rich.table import Table

from sor.cli.words import amount, bps, count
from sor.lab.bootstrap import BLOCKS_MIN
from sor.lab.comparison import Comparison, Outcome
from sor.units import NS

Titled = tuple[str, Table]
"""A table and what is said above it, which may be wider than the table."""


def comparison_tables(comparison: Comparison) -> list[Titled]:
    """What each policy cost, where that comes from, and how the market moved after its fills; 80 columns wide."""
    return [_costs(comparison), _sources(comparison), *_markouts(comparison), *_impacted(comparison)]


def _costs(comparison: Comparison) -> Titled:
    table = _table(("parents", "filled", "mean", "95 % interval", "p95", "passive", "orders", "rejects"))
    for outcome in comparison.outcomes:
        summed, cost = outcome.summary, outcome.cost
        table.add_row(
            outcome.policy,
            str(summed.parents),
            f"{summed.filled_share:.1%}",
            bps(None if cost is None else cost.mean),
            "-" if cost is None else _ends(cost.low, cost.high),
            bps(outcome.cost_p95),
            "-" if summed.passive_share is None else f"{summed.passive_share:.1%}",
            str(summed.orders),
            str(summed.rejects),
        )
    return "Cost against the arrival mid, bps: positive is a cost, fees and completion in", table


def _sources(comparison: Comparison) -> Titled:
    """The mean split: timing, spread, fees and completing the rest add up to the mean cost.

    The saving is against crossing at once, as the book at arrival priced it.
    """
    table = _table(("timing", "spread", "fees", "rest", "saved", "first fill", "timeouts", "fallbacks"))
    for outcome in comparison.outcomes:
        summed, split, first = outcome.summary, outcome.summary.shortfall_bps, outcome.summary.first_fill_s.median
        table.add_row(
            outcome.policy,
            bps(None if split is None else split.timing),
            bps(None if split is None else split.spread),
            bps(None if split is None else split.fees),
            bps(_mean_completion(outcome)),
            bps(summed.saved_bps),
            "-" if first is None else f"{first:.2f} s",
            str(summed.timeouts),
            str(summed.fallbacks),
        )
    return "Where it comes from, bps; rest is the cost of completing what was left", table


def _mean_completion(outcome: Outcome) -> float | None:
    """Mean cost of completing, over the parents that have a cost."""
    known = [one.completion_bps for one in outcome.reports if one.arrival_cost_bps is not None]
    return sum(each or 0.0 for each in known) / len(known) if known else None


def _markouts(comparison: Comparison) -> list[Titled]:
    """One row for each kind of fill of each policy; no table without fills, or without looks after them."""
    horizons = comparison.drawn.horizons_ns
    if not horizons:
        return []
    table = _table(("fills", *(f"{horizon / NS:g} s" for horizon in horizons)))
    for outcome in comparison.outcomes:
        for is_maker, kind in ((True, "maker"), (False, "taker"), (None, "unknown")):
            lines = {line.horizon_ns: line for line in outcome.summary.markouts if line.is_maker is is_maker}
            if lines:
                table.add_row(
                    f"{outcome.policy}, {kind}",
                    str(max(line.fills for line in lines.values())),
                    *(bps(lines[each].lots_bps) if each in lines else "-" for each in horizons),
                )
    return [("Where the mid went after fills, bps: positive helps us", table)] if table.row_count else []


def _impacted(comparison: Comparison) -> list[Titled]:
    """The same trades under the plan's scenario of own impact, if it has one."""
    scenario = comparison.plan.impact
    if scenario is None:
        return []
    table = _table(("on top", "mean", "95 % interval", "against the first", "95 % interval"))
    for outcome, found in zip(comparison.outcomes, comparison.impacted, strict=True):
        cost, gap = found.cost, found.against_first
        before = None if outcome.cost is None else outcome.cost.mean
        table.add_row(
            outcome.policy,
            bps(None if cost is None or before is None else cost.mean - before),
            bps(None if cost is None else cost.mean),
            "-" if cost is None else _ends(cost.low, cost.high),
            bps(None if gap is None else gap.mean),
            "-" if gap is None else _ends(gap.low, gap.high),
        )
    title = (
        f"A scenario, not a measurement: the same trades if own takes moved the market, {scenario.coefficient:g} x the "
        f"square-root law, half gone in {scenario.half_life_s:g} s"
    )
    return [(title, table)]


def _ends(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:+.3f}..{high:+.3f}"


def _table(columns: tuple[str, ...]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("policy", style="bold", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def interval_line(comparison: Comparison) -> str:
    """What the intervals rest on."""
    blocks = max((one.cost.blocks for one in comparison.outcomes if one.cost is not None), default=0)
    if blocks < BLOCKS_MIN:
        return f"{count(blocks, 'block')} of start time: too few for an interval (it takes {BLOCKS_MIN})."
    return (
        f"Intervals: 95 % block bootstrap over {blocks} blocks of start time; parents that overlap are not independent."
    )


def difference_lines(comparison: Comparison) -> list[str]:
    """Each policy against the first, on the same parents."""
    lines = []
    first = comparison.outcomes[0].policy
    for outcome, found in zip(comparison.outcomes, comparison.differences, strict=True):
        if found is None:
            continue
        line = f"{outcome.policy} against {first}, same parents: {found.mean:+.3f} bps"
        if found.low is None or found.high is None or found.p_value is None:
            line += " (too few blocks for an interval)"
        else:
            line += f" ({found.low:+.3f} to {found.high:+.3f}, p = {found.p_value:.3f})"
        lines.append(line)
    return lines


def unfitted_lines(outcomes: tuple[Outcome, ...]) -> list[str]:
    """Which arms read a set whose fitted models are for another market."""
    return [
        f"{outcome.policy}: what {outcome.param_set} was fitted to ({'; '.join(outcome.fitted_elsewhere)}) is not this "
        "market, so it decided by estimates that nobody fitted."
        for outcome in outcomes
        if outcome.fitted_elsewhere
    ]


def unfilled_lines(outcomes: tuple[Outcome, ...]) -> list[str]:
    """Which parents were not filled in full and why: their cost is what completing them would have taken."""
    lines = []
    for outcome in outcomes:
        short = [one for one in outcome.reports if one.filled_lots < one.qty_lots]
        if not short:
            continue
        ends = Counter("no end" if one.end_reason is None else one.end_reason.replace("_", " ") for one in short)
        told = ", ".join(f"{reason} {number}" for reason, number in ends.most_common())
        lines.append(
            f"{outcome.policy}: {len(short)} of {len(outcome.reports)} parents were not filled in full, ended by "
            f"{told}; the first is {short[0].parent_id}."
        )
    return lines


def verdict_line(outcomes: tuple[Outcome, ...]) -> str:
    """The promise, as the venue's own books see it."""
    counts = {
        "overfills": sum(one.verdict.overfills for one in outcomes),
        "orphans": sum(one.verdict.orphans for one in outcomes),
        "double fills": sum(one.verdict.double_fills for one in outcomes),
        "missed fills": sum(one.verdict.missed_fills for one in outcomes),
    }
    told = ", ".join(f"{name} {count}" for name, count in counts.items())
    return f"In the venue's own books, over {sum(one.summary.parents for one in outcomes)} parents: {told}."


def setting_line(comparison: Comparison) -> str:
    """What was run, in words."""
    plan, drawn, ground = comparison.plan, comparison.drawn, comparison.ground
    instrument = comparison.instrument
    seconds = (ground.end_ns - ground.first_ns) / NS
    share = "" if plan.quantity is not None else " (a tenth of the median size at the touch)"
    schedule = " ".join([plan.schedule, *(f"{name}={value:g}" for name, value in plan.schedule_args.items())])
    longest = f"{drawn.horizons_ns[-1] / NS:g} s" if drawn.horizons_ns else "none"
    excursion = "" if plan.excursion_bps is None else f"excursion budget {plan.excursion_bps:g} bps, "
    together = "all on one account, " if plan.together else ""
    return (
        f"{instrument.symbol} on {instrument.venue}, {ground.name}, {seconds:.0f} s; {plan.parents} parents of "
        f"{amount(instrument, drawn.quantity)}{share}, {together}deadline {plan.deadline_s:g} s, {excursion}"
        f"seed {plan.seed}, queue {plan.queue}, delay {plan.latency} each way, schedule {schedule}, "
        f"param-set {plan.param_set}, longest markout {longest}."
    )
