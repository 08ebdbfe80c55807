"""What a page of a comparison shows, in short on a terminal: where costs come from, what followed, and for whom."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isfinite

import numpy as np
from rich.console import Console
from rich.table import Table

from sor.cli.words import bps
from sor.lab.ab.figures import COST_LINES, Shown, markouts_of, resting_of, split_of
from sor.lab.ab.page import Page

_QUANTILES = {"5 %": 0.05, "median": 0.5, "95 %": 0.95}
_MARKOUT_S = 1.0
"""The markout that is told; the longest one is told beside it."""
_RESTING_S = (1.0, 10.0)
_MORE = re.compile(r"[ ,].*")
"""Behind a mean: its interval, and how many parents it is of."""


def tell_short(out: Console, page: Page) -> None:
    """Costs and their parts, fills and what followed them, groups at arrival, and the dearest parent of each arm."""
    out.print()
    out.print("Cost of a parent and where it comes from, bps; rest is what completing by crossing came to.")
    out.print(_costs(page.arms))
    out.print()
    out.print(_fill_line(page.arms))
    out.print(_fills(page.arms))
    if page.groups:
        out.print()
        out.print("By side, regime and size; looked at after the fact, so a question for the next comparison.")
        out.print(_groups(page))
    out.print()
    for arm in page.arms:
        dearest = next((one for one in page.worst if one.letter == arm.letter), None)
        if dearest is not None:
            out.print(
                f"Dearest of {arm.letter}: {dearest.parent_id}, {bps(dearest.cost_bps)} bps. {_command(dearest.told)}"
            )


def _command(told: str) -> str:
    """How to have it explained: the last line of what is told."""
    return told.splitlines()[-1]


def _table(head: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for no, name in enumerate(head):
        table.add_column(name, style="bold" if no == 0 else "", justify="left" if no == 0 else "right", no_wrap=True)
    return table


def _costs(arms: Sequence[Shown]) -> Table:
    table = _table(("arm", *_QUANTILES, *COST_LINES))
    for arm in arms:
        quantiles = np.quantile(arm.costs, list(_QUANTILES.values()))
        table.add_row(arm.label, *(_known(float(one)) for one in (*quantiles, *split_of(arm))))
    return table


def _fill_line(arms: Sequence[Shown]) -> str:
    longest = max((one[-1][0] for arm in arms for one in _markouts(arm) if one), default=0.0)
    after = f"after {_MARKOUT_S:g} s and {longest:g} s" if longest else "where any were recorded"
    return f"Filled whole by resting alone within (Kaplan-Meier), filled at all, and markouts in bps {after}."


def _markouts(arm: Shown) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    return markouts_of(arm, is_maker=True), markouts_of(arm, is_maker=False)


def _fills(arms: Sequence[Shown]) -> Table:
    table = _table(("arm", *(f"{at:g} s" for at in _RESTING_S), "ever", "at all", "maker after", "taker after"))
    for arm in arms:
        found = resting_of(arm)
        shares = ["-"] * (len(_RESTING_S) + 2)
        if found is not None:
            last = float(found.seconds.max())
            resting = found.by_resting(np.array([*_RESTING_S, last]))
            shares = [f"{float(one):.0%}" for one in (*resting, found.at_all(np.array([last]))[0])]
        table.add_row(arm.label, *shares, *(_after(one) for one in _markouts(arm)))
    return table


def _after(known: Sequence[tuple[float, float]]) -> str:
    """The markout after a second, or the next one that there is, and the longest."""
    if not known:
        return "-"
    first = next((value for at, value in known if at >= _MARKOUT_S), known[-1][1])
    return f"{first:+.3f}, {known[-1][1]:+.3f}"


def _groups(page: Page) -> Table:
    """The means alone: intervals are on the page."""
    table = _table(page.groups_head)
    for name, *cells in page.groups:
        table.add_row(name, *(_MORE.sub("", cell) for cell in cells))
    return table


def _known(value: float) -> str:
    return bps(value) if isfinite(value) else "-"
