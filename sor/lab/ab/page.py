"""A comparison as one page of HTML: everything in it, nothing fetched, so it can be mailed and opened anywhere.

What a page is made of, whatever the design: `page_replay` and `page_live` fill it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.ids import ParentId
from sor.lab.ab.family import Versus
from sor.lab.ab.figures import COST_LINES, Shown, markouts_of, resting_of, split_of
from sor.lab.ab.guards import Guard
from sor.lab.ab.paired import ALPHA
from sor.lab.ab.sequential import Looks
from sor.lab.charts import Band, Line, Part, Span, bars, chart, document, spans

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]
Rows = Sequence[Sequence[str]]

THIRDS = ("low", "middle", "high")
_CURVE_POINTS = 200
_DIFFERENCE = 2
"""Series of what is a difference and no arm."""
_NAME_ROOM = 20
"""Letters that fit beside a bar."""


class Course(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A difference as it came.

    gaps    (N,) what each unit says of it, in order.
    looks   the sequence, None without one. seen: (L,) units behind each of its looks.
    """

    title: str
    gaps: Floats
    looks: Looks | None
    seen: Ints


class Forest(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Values with their intervals, one below the other."""

    title: str
    rows: Sequence[Span]


class Worst(msgspec.Struct, frozen=True, kw_only=True):
    """One of an arm's dearest parents. told: its story, or how to get it."""

    letter: str
    parent_id: ParentId
    cost_bps: float
    told: str


class Page(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A comparison to look at.

    decision    class of the verdict's frame: a letter, or `undecided`. setting: what was run or read.
    facts       (what, value). versus: comparisons of several arms, empty for two. forests: further estimates.
    guards      (whose, guard). units: what courses count.
    groups      the table of sides and regimes with its heading, and what has to be said of it.
    """

    title: str
    decision: str
    says: str
    why: str
    setting: str
    facts: Rows
    versus: Sequence[Versus]
    guards: Sequence[tuple[str, Guard]]
    arms: Sequence[Shown]
    courses: Sequence[Course]
    units: str
    groups_head: Sequence[str]
    groups: Rows
    groups_note: str
    worst: Sequence[Worst]
    forests: Sequence[Forest] = ()


def render(page: Page) -> str:
    """The whole of it."""
    frame = f"decision {escape(page.decision, quote=True)}"
    body = [
        f"<h1>{escape(page.title)}</h1>",
        f'<p class="{frame}">Decision: <b>{escape(page.says)}</b>. {escape(_sentence(page.why))}</p>',
        f'<p class="note">{escape(page.setting)}</p>',
        "<h2>What was found</h2>",
        _table((), page.facts),
        _comparisons(page.versus),
        _table(
            ("guard", "", ""),
            [(f"{who}{one.name}", "holds" if one.holds else "BROKEN", one.says) for who, one in page.guards],
        ),
        "<h2>Where it comes from</h2>",
        '<div class="charts">',
        _forest(page.versus),
        *(spans(one.rows, x_label="bps", title=one.title) for one in page.forests),
        *(_course(course, page.units) for course in page.courses),
        _distribution(page.arms),
        _split(page.arms),
        _markouts(page.arms),
        _fills(page.arms),
        "</div>",
        "<h2>By side, regime and size</h2>",
        _table(page.groups_head, page.groups),
        f'<p class="note">{escape(page.groups_note)}</p>',
        "<h2>The dearest parents of each arm</h2>",
        *(_worst(one) for one in page.worst),
    ]
    return document("".join(body), title=page.title)


def group_masks(
    flags: Mapping[str, Flags], measures: Mapping[str, Floats], edges: Mapping[str, Floats]
) -> list[tuple[str, Flags]]:
    """Groups of parents: by what is so or not, and by thirds of what is measured; edges: of `third_edges`."""
    groups = list(flags.items())
    for name, values in measures.items():
        third = np.searchsorted(edges[name], values)
        groups += [(f"{name} {word}", (third == no) & np.isfinite(values)) for no, word in enumerate(THIRDS)]
    return groups


def third_edges(measures: Mapping[str, Floats]) -> dict[str, Floats]:
    """Where the thirds of each measure end, two values; parents of which it is not known are in none."""
    found = {}
    for name, values in measures.items():
        known = values[np.isfinite(values)]
        found[name] = np.quantile(known, (1 / 3, 2 / 3)) if known.size else np.zeros(2)
    return found


def between(low: float | None, high: float | None, *, digits: int = 4) -> str:
    """An interval, `-` where it is not known."""
    known = low is not None and high is not None and np.isfinite(low) and np.isfinite(high)
    return f"{low:+.{digits}f} to {high:+.{digits}f}" if known else "-"


def with_interval(mean: float, low: float | None, high: float | None) -> str:
    """A mean and its interval, if it has one."""
    told = between(low, high)
    return f"{mean:+.4f}" if told == "-" else f"{mean:+.4f} ({told})"


def watched(looks: Looks | None) -> tuple[str, str]:
    """The sequence and its p-value as they stand now."""
    if looks is None:
        return "-", "-"
    return between(float(looks.low[-1]), float(looks.high[-1])), f"{looks.p_value[-1]:.4f}"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _comparisons(versus: Sequence[Versus]) -> str:
    level = f"{1 - ALPHA:.0%}"
    paired = any(one.series is not None for one in versus)
    as_series = (f"{level}, as a series",) if paired else ()
    head = ("costs", "bps", f"{level}, one look", *as_series, "p", f"{level}, any look", "e", "needs", "cheaper")
    rows = [
        (
            f"{one.first} - {one.second}",
            f"{one.mean:+.4f}",
            between(one.low, one.high),
            *(() if one.series is None else (between(one.series.low, one.series.high),)),
            "-" if one.p_value is None else f"{one.p_value:.4f}",
            watched(one.looks)[0],
            "-" if one.e_value is None else f"{one.e_value:.3g}{' (listed)' if one.listed else ''}",
            "-" if one.needed is None else f"{one.needed:,}",
            one.decision,
        )
        for one in versus
    ]
    note = (
        '<p class="note">Intervals and p-values hold for all comparisons at once. Listed: found by e-BH, whenever one '
        "looks; of such differences 5 % are none on average."
        f"{' As a series: in the order of time, by stationary bootstrap.' if paired else ''}</p>"
    )
    return f"{_table(head, rows)}{note}" if rows else ""


def _worst(one: Worst) -> str:
    head = f"{one.letter}: {one.parent_id}, {one.cost_bps:+.3f} bps"
    return (
        f'<details id="{escape(one.parent_id, quote=True)}"><summary>{escape(head)}</summary>'
        f"<pre>{escape(one.told)}</pre></details>"
    )


# --- charts -----------------------------------------------------------------------------------------------------------


def _forest(versus: Sequence[Versus]) -> str:
    rows = [
        Span(name=f"{one.first} - {one.second}", at=one.mean, low=one.low, high=one.high, series=_DIFFERENCE)
        for one in versus
    ]
    return spans(rows, x_label="bps", title="Differences, with intervals that hold all at once") if rows else ""


def _course(course: Course, units: str) -> str:
    gap = course.gaps
    if not gap.size:
        return f'<p class="none">{escape(course.title)}: nothing to draw.</p>'
    mean = np.cumsum(gap) / np.arange(1, len(gap) + 1)
    first = min(len(gap) - 1, 10)  # the mean of a handful would make the rest of it flat
    shapes: list[Line | Band] = []
    if course.looks is not None:
        looks = zip(course.seen.tolist(), course.looks.low.tolist(), course.looks.high.tolist(), strict=True)
        shapes.append(
            Band(points=[one for one in looks if one[0] > first], series=_DIFFERENCE, label="holds at every look")
        )
    points = [(no + 1.0, float(mean[no])) for no in range(first, len(gap))]
    shapes.append(Line(points=points, series=_DIFFERENCE, label="mean so far"))
    return chart(shapes, x_label=units, y_label="bps", zero=True, title=course.title)


def _distribution(arms: Sequence[Shown]) -> str:
    shapes = []
    for series, arm in enumerate(arms):
        at = np.unique(np.quantile(arm.costs, np.linspace(0.005, 0.995, _CURVE_POINTS)))
        points = [(float(cost), float((arm.costs <= cost).mean())) for cost in at]
        shapes.append(Line(points=points, series=series, label=arm.label, step=True))
    return chart(shapes, x_label="cost, bps", y_label="share of parents", title="Cost of a parent")


def _split(arms: Sequence[Shown]) -> str:
    rows = []
    for arm in arms:
        means = np.nan_to_num(split_of(arm))
        label = arm.label if len(arm.label) <= _NAME_ROOM else f"{arm.label[: _NAME_ROOM - 1]}…"
        rows.append((label, [Part(value=float(mean), series=no) for no, mean in enumerate(means)]))
    legend = [(name, no) for no, name in enumerate(COST_LINES)]
    return bars(rows, x_label="bps; the mark is the sum", title="Where the cost comes from", legend=legend)


def _markouts(arms: Sequence[Shown]) -> str:
    shapes = []
    for series, arm in enumerate(arms):
        for is_maker, kind in ((True, "maker"), (False, "taker")):
            points = markouts_of(arm, is_maker=is_maker)
            if points:
                label = f"{arm.label}, {kind}"
                shapes.append(Line(points=points, series=series, label=label, dashed=not is_maker))
    return chart(
        shapes,
        x_label="seconds after the fill",
        y_label="bps, positive helps us",
        zero=True,
        title="Where the mid went after fills (taker dashed)",
        log_x=True,
    )


def _fills(arms: Sequence[Shown]) -> str:
    """Kaplan-Meier of being filled whole by resting, crossing censors; dashed: the share filled by then at all."""
    shapes = []
    for series, arm in enumerate(arms):
        found = resting_of(arm)
        if found is None:
            continue
        grid: Floats = np.linspace(0.0, float(found.seconds.max()), _CURVE_POINTS, dtype=np.float64)
        for values, label in ((found.by_resting(grid), arm.label), (found.at_all(grid), "")):
            points = [(float(at), float(value)) for at, value in zip(grid, values, strict=True)]
            shapes.append(Line(points=points, series=series, label=label, step=True, dashed=not label))
    return chart(
        shapes,
        x_label="seconds since acceptance",
        y_label="probability, share",
        zero=True,
        title="Filled by resting (Kaplan-Meier); dashed: filled by then, crossings too",
    )


def _table(head: Sequence[str], rows: Rows) -> str:
    top = f"<tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>" if head else ""
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{top}{body}</table>"
