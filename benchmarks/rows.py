"""What every benchmark hands back, one row, and the one way in which rows are measured and shown.

The two arms of a row take turns within one process, the order changing from round to round, and each round gives one
ratio: on a machine that is shared, whatever slows a round down slows both arms of it. What is read is the processor
time of the process, all its threads, since the work of every arm is its own and waits for nobody. A row is the least,
the median and the largest of those ratios; the two absolute figures stand beside it for orientation only.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from statistics import median
from typing import TypeVar

import msgspec

T = TypeVar("T")


class Spread(msgspec.Struct, frozen=True):
    """Least, median and largest of several repetitions."""

    least: float
    median: float
    largest: float


class Bar(msgspec.Struct, frozen=True):
    """What the median ratio must reach: at most `ratio`, or at least it."""

    ratio: float
    at_least: bool = False

    def met(self, ratio: float) -> bool:
        """Whether a ratio reaches it."""
        return ratio >= self.ratio if self.at_least else ratio <= self.ratio

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {figure(self.ratio)}"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison.

    name        short and stable: what `--only` selects.
    what        what was timed, in words; `baseline` likewise for the other arm.
    unit        of both arms' figures, such as "us an order".
    ratio       ours / baseline, round by round. `ours`, `theirs`: the figures themselves, by round too.
    bar         what the ratio is held against; None where nothing was promised.
    ours_p99, theirs_p99    99th percentile over all single measurements, None where an arm is timed as a whole.
    checked     what was verified of the work that was timed: a run whose work is wrong raises and gives no row.
    """

    name: str
    what: str
    baseline: str
    unit: str
    rounds: int
    ratio: Spread
    ours: Spread
    theirs: Spread
    bar: Bar | None = None
    ours_p99: float | None = None
    theirs_p99: float | None = None
    checked: str = ""

    def with_check(self, checked: str) -> Row:
        """The row with what only the run could tell of its checks."""
        return msgspec.structs.replace(self, checked=checked)

    @property
    def verdict(self) -> str:
        """Whether the median ratio reaches the bar: met, missed, or empty where there is none."""
        if self.bar is None:
            return ""
        return "met" if self.bar.met(self.ratio.median) else "missed"


Arm = Callable[[], Sequence[float]]
"""Runs one repetition and checks its work; returns its single measurements, or one figure for the whole."""


def measured(
    *,
    name: str,
    what: str,
    baseline: str,
    unit: str,
    ours: Arm,
    theirs: Arm,
    rounds: int,
    checked: str,
    progress: Callable[[str], None],
    bar: Bar | None = None,
) -> Row:
    """Let two arms take turns for `rounds` rounds and put the ratios of their medians into a row.

    One round more is run first and dropped: it fills caches and compiles what is compiled.
    """
    figures: list[tuple[float, float]] = []
    singles: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        progress(f"{name}: round {number} of {rounds}" if number else f"{name}: warming up")
        turn = (0, 1) if number % 2 else (1, 0)
        taken: dict[int, Sequence[float]] = {}
        for arm in turn:
            taken[arm] = alone((ours, theirs)[arm])
        if number:
            figures.append((median(taken[0]), median(taken[1])))
            singles[0].extend(taken[0])
            singles[1].extend(taken[1])
    return Row(
        name=name,
        what=what,
        baseline=baseline,
        unit=unit,
        rounds=rounds,
        ratio=spread([mine / other for mine, other in figures]),
        ours=spread([mine for mine, _ in figures]),
        theirs=spread([other for _, other in figures]),
        bar=bar,
        ours_p99=p99(singles[0], rounds),
        theirs_p99=p99(singles[1], rounds),
        checked=checked,
    )


def spread(values: Sequence[float]) -> Spread:
    """Least, median and largest of `values`, which are not empty."""
    return Spread(min(values), median(values), max(values))


def alone(arm: Callable[[], T]) -> T:
    """Run one repetition with what the other arm left behind collected and out of the collector's sight."""
    gc.collect()
    gc.freeze()
    try:
        return arm()
    finally:
        gc.unfreeze()


def p99(singles: Sequence[float], rounds: int) -> float | None:
    """99th percentile of the single measurements, None when there is only one a round."""
    if len(singles) <= rounds:
        return None
    return sorted(singles)[min(len(singles) - 1, len(singles) * 99 // 100)]


def figure(value: float) -> str:
    """Three significant digits, and thousands as thousands."""
    if value >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def table(rows: Sequence[Row]) -> str:
    """Rows for people."""
    lines: list[str] = []
    for row in rows:
        ratio, bar = row.ratio, row.bar
        promised = "no bar" if bar is None else f"bar {bar}: {row.verdict}"
        lines += [
            f"{row.name}  ratio {figure(ratio.median)}  [{figure(ratio.least)} - {figure(ratio.largest)}]  {promised}",
            f"  ours      {_arm(row.ours, row.ours_p99, row.unit)}: {row.what}",
            f"  baseline  {_arm(row.theirs, row.theirs_p99, row.unit)}: {row.baseline}",
            f"  checked   {row.checked}",
            "",
        ]
    lines.append("Ratio: ours / baseline, median [least - largest] over rounds in which the two took turns.")
    return "\n".join(lines)


def _arm(values: Spread, slowest: float | None, unit: str) -> str:
    tail = "" if slowest is None else f", p99 {figure(slowest)}"
    return f"{figure(values.median)} {unit} [{figure(values.least)} - {figure(values.largest)}{tail}]"


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where rows were measured, in general terms."""

    cpus: int
    system: str
    python: str
    packages: dict[str, str]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` prints. `missing` names the rows that could not be measured here, with the reason."""

    machine: Machine
    rows: tuple[Row, ...]
    missing: dict[str, str]
