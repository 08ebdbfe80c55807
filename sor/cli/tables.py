"""How runs and costs look on a terminal."""

from __future__ import annotations

from rich.table import Table

from sor.lab.replay import Comparison, Outcome
from sor.units import NS


def comparison_table(comparison: Comparison) -> Table:
    """One row per policy: filled, cost with its interval, what it is made of, how it was placed."""
    table = Table(title="Cost against the arrival mid, bps: positive is a cost, fees and completion in", box=None)
    table.add_column("policy", style="bold")
    for name in ("parents", "filled", "mean cost", "95 % interval", "p95", "spread", "timing", "fees"):
        table.add_column(name, justify="right")
    for name in ("passive", "timeouts", "fallbacks", "first fill"):
        table.add_column(name, justify="right")
    for outcome in comparison.outcomes:
        summed, cost = outcome.summary, outcome.cost
        split = summed.shortfall_bps
        table.add_row(
            outcome.policy,
            str(summed.parents),
            f"{summed.filled_share:.1%}",
            _bps(None if cost is None else cost.mean),
            "" if cost is None else _interval(cost.low, cost.high, cost.blocks),
            _bps(outcome.cost_p95),
            _bps(None if split is None else split.spread),
            _bps(None if split is None else split.timing),
            _bps(summed.fees_bps),
            "-" if summed.passive_share is None else f"{summed.passive_share:.1%}",
            str(summed.timeouts),
            str(summed.fallbacks),
            "-" if summed.first_fill_s.median is None else f"{summed.first_fill_s.median:.2f} s",
        )
    return table


def difference_lines(comparison: Comparison) -> list[str]:
    """Each policy against the first, on the same parents."""
    lines = []
    first = comparison.outcomes[0].policy
    for outcome, found in zip(comparison.outcomes, comparison.differences, strict=True):
        if found is None:
            continue
        line = f"{outcome.policy} against {first}, same parents: {found.mean:+.3f} bps"
        if found.low is None or found.high is None or found.p_value is None:
            line += f" ({found.blocks} blocks of time: too few for an interval)"
        else:
            line += f" ({found.low:+.3f} to {found.high:+.3f}, p = {found.p_value:.3f}, {found.blocks} blocks)"
        lines.append(line)
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
    longest = f"{drawn.horizons_ns[-1] / NS:g} s" if drawn.horizons_ns else "none"
    return (
        f"{instrument.symbol} on {instrument.venue}, {ground.name}, {seconds:.0f} s; {plan.parents} parents of "
        f"{drawn.quantity} {instrument.base or 'units'}{share}, deadline {plan.deadline_s:g} s, seed {plan.seed}, "
        f"queue {plan.queue}, schedule {plan.schedule}, param-set {plan.param_set}, longest markout {longest}."
    )


def _bps(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"


def _interval(low: float | None, high: float | None, blocks: int) -> str:
    if low is None or high is None:
        return f"- ({blocks} blocks)"
    return f"{low:+.3f} .. {high:+.3f} ({blocks} blocks)"
