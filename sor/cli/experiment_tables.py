"""How an experiment looks on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from sor.cli.words import count
from sor.experiment.reading import ArmStatus, Interval, Status
from sor.journal.words import utc


def show_status(out: Console, one: Status) -> None:
    """What runs, its arms, its guards, and who was left out."""
    state = "runs" if one.running else f"has ended: {one.ended}"
    out.print(f"{one.name} ({one.digest}), by {one.by}, since {utc(one.since_ns)[:19]} UTC, {state}", style="bold")
    if one.note:
        out.print(one.note)
    out.print(_arms(one.arms))
    out.print(f"Sample ratio: {one.ratio_says} (p = {one.ratio_p:.3g} at all times).")
    for guard in one.guards:
        whose = f"{guard.arm} " if guard.arm else ""
        said = f": {guard.says}" if guard.says else ""
        out.print(f"{'holds ' if guard.holds else 'BROKEN'}  {whose}{guard.guard}, limit {guard.limit}{said}")
    for why, number in one.own_terms.items():
        out.print(f"{count(number, 'parent')} by their own terms: {why}.")
    if one.late:
        out.print(f"{count(one.late, 'parent')} ended when their period had been counted, and are in no mean.")
    out.print()


def _arms(arms: tuple[ArmStatus, ...]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("arm", style="bold", no_wrap=True)
    table.add_column("policy", no_wrap=True)
    table.add_column("set", no_wrap=True)
    for name in ("share", "given", "over", "costed", "mean bps", "bounds", "less the first", "bounds"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("state")
    for arm in arms:
        table.add_row(
            arm.name,
            arm.policy,
            arm.param_set,
            arm.share,
            str(arm.given),
            str(arm.over),
            str(arm.costed),
            *_shown(arm.cost_bps),
            *(("-", "-") if arm.gap_bps is None else _shown(arm.gap_bps)),
            "takes parents" if arm.running else f"stopped: {arm.stopped}",
        )
    return table


def _shown(interval: Interval) -> tuple[str, str]:
    mean = "-" if interval.mean is None else f"{interval.mean:+.3f}"
    if interval.low is None or interval.high is None:
        return mean, "-"
    return mean, f"{interval.low:+.3f}..{interval.high:+.3f}"
