"""A comparison as one page of HTML: everything in it, nothing fetched, so it can be mailed and opened anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.ids import ParentId
from sor.lab.ab.paired import ALPHA, TAIL, Decision
from sor.lab.ab.run import Ab, Market
from sor.lab.bootstrap import block_of, difference
from sor.lab.charts import Band, Line, Part, bars, chart, document
from sor.lab.probes import columns_with_delay
from sor.lab.replay import Comparison
from sor.models.survival import kaplan_meier
from sor.orders import Side
from sor.tca import ParentReport
from sor.units import NS, to_ns

Floats = NDArray[np.float64]

WORST = 5
"""Parents of each arm whose stories are on the page."""
_CURVE_POINTS = 200
_THIRDS = ("low", "middle", "high")
_STREAM = 5
_SERIES = {"a": 0, "b": 1}
_COST_LINES = ("timing", "spread", "fees", "rest")


class Worst(msgspec.Struct, frozen=True, kw_only=True):
    """One of an arm's dearest parents. comparison: which market's."""

    arm: str
    parent_id: ParentId
    cost_bps: float
    comparison: Comparison


def worst_parents(ab: Ab) -> tuple[Worst, ...]:
    """The dearest `WORST` parents of each arm, dearest first."""
    found = []
    for arm, comparisons in (("a", ab.a), ("b", ab.b)):
        costed = [
            Worst(arm=arm, parent_id=one.parent_id, cost_bps=one.arrival_cost_bps, comparison=comparison)
            for comparison in comparisons
            for one in comparison.outcomes[0].reports
            if one.arrival_cost_bps is not None
        ]
        found += sorted(costed, key=lambda one: -one.cost_bps)[:WORST]
    return tuple(found)


def page(ab: Ab, markets: Sequence[Market], stories: Mapping[ParentId, str], *, setting: str) -> str:
    """The page.

    markets    those of the comparison, in order. stories: what is told of the worst parents. setting: what was run.
    """
    found = ab.found
    names = {arm: one[0].outcomes[0].policy for arm, one in (("a", ab.a), ("b", ab.b))}
    title = f"{names['a']} against {names['b']}"
    says = found.decision if found.decision is Decision.UNDECIDED else f"{found.decision} ({names[found.decision]})"
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="decision {found.decision}">Decision: <b>{escape(says)}</b>. {escape(_sentence(found.why))}</p>',
        f'<p class="note">{escape(setting)}</p>',
        "<h2>What was found</h2>",
        _summary(ab),
        _guards(ab),
        "<h2>Where it comes from</h2>",
        '<div class="charts">',
        _cumulative(ab),
        _distribution(ab, names),
        _split(ab, names),
        _markouts(ab, names),
        _fills(ab, names),
        "</div>",
        "<h2>By side and regime</h2>",
        _regimes(ab, markets),
        f"<h2>The {WORST} dearest parents of each arm</h2>",
        _stories(ab, stories),
    ]
    return document("".join(body), title=title)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


# --- numbers ----------------------------------------------------------------------------------------------------------


def _summary(ab: Ab) -> str:
    found = ab.found
    gap, looks = found.difference, found.looks
    rows = [
        ("mean of a, of b", f"{found.cost_a.mean():+.3f}, {found.cost_b.mean():+.3f} bps"),
        ("cost(a) - cost(b)", f"{gap.mean:+.4f} bps"),
        (f"{1 - ALPHA:.0%} interval, one look", _interval(gap.low, gap.high)),
        ("p by turning blocks", "-" if gap.p_value is None else f"{gap.p_value:.4f}"),
        ("parents, blocks, effective", f"{found.costed}, {gap.blocks}, {_rounded(found.effective)}"),
        ("however often one looks", "-" if looks is None else _interval(float(looks.low[-1]), float(looks.high[-1]))),
        ("always valid p", "-" if looks is None else f"{looks.p_value[-1]:.4f}"),
        (
            f"{TAIL:.0%} of parents cost at most",
            f"{np.quantile(found.cost_a, TAIL):+.3f}, {np.quantile(found.cost_b, TAIL):+.3f} bps",
        ),
        (f"parents to see {found.effect_bps:.3f} bps", "-" if found.needed is None else f"{found.needed:,}"),
    ]
    return _table((), rows)


def _guards(ab: Ab) -> str:
    rows = [(guard.name, "holds" if guard.holds else "BROKEN", guard.says) for guard in ab.found.guards]
    return _table(("guard", "", ""), rows)


def _regimes(ab: Ab, markets: Sequence[Market]) -> str:
    """The difference by side, and by thirds of spread and volatility at arrival."""
    sides, known, block = [], [], []
    seen: dict[str, list[Floats]] = {"spread_bps": [], "volatility": []}
    gaps, before = [], 0
    for a, b, market in zip(ab.a, ab.b, markets, strict=True):
        columns = columns_with_delay(market.tape, 0)
        starts = np.array([start.at_ns for start in a.drawn.starts], np.int64)
        for feature, parts in seen.items():
            parts.append(columns.values(feature, starts))
        sides.append(np.array([start.side is Side.BUY for start in a.drawn.starts]))
        gap = a.outcomes[0].costs_bps - b.outcomes[0].costs_bps
        gaps.append(gap)
        known.append(np.isfinite(gap))
        own = block_of(starts, deadline_ns=to_ns(a.plan.deadline_s))
        block.append(own + before)
        before += int(own.max()) + 1
    gap, there, blocks = np.concatenate(gaps), np.concatenate(known), np.concatenate(block)
    buys = np.concatenate(sides)
    groups = [("buys", buys), ("sells", ~buys)]
    for feature, parts in seen.items():
        values = np.concatenate(parts)
        edges = np.nanquantile(values, (1 / 3, 2 / 3)) if np.isfinite(values).any() else np.zeros(2)
        third = np.searchsorted(edges, values)
        for no, name in enumerate(_THIRDS):
            groups.append((f"{feature} {name}", (third == no) & np.isfinite(values)))
    rows = []
    for name, chosen in groups:
        kept = chosen & there
        if not kept.any():
            continue
        rng = np.random.default_rng([ab.plan.seed, _STREAM])
        found = difference(ours=gap[kept], theirs=np.zeros(int(kept.sum())), block=blocks[kept], rng=rng)
        rows.append((name, str(int(kept.sum())), f"{found.mean:+.4f}", _interval(found.low, found.high)))
    note = (
        '<p class="note">Looked at after the fact, and eight rows of it: an interval here that leaves out zero is a '
        "question for the next comparison, not an answer. All parents have the same size.</p>"
    )
    return _table(("at arrival", "parents", "cost(a) - cost(b), bps", "95 % interval"), rows) + note


def _stories(ab: Ab, stories: Mapping[ParentId, str]) -> str:
    told = []
    for one in worst_parents(ab):
        head = f"{one.arm}: {one.parent_id}, {one.cost_bps:+.3f} bps"
        text = stories.get(one.parent_id, "")
        told.append(
            f'<details id="{escape(one.parent_id, quote=True)}"><summary>{escape(head)}</summary>'
            f"<pre>{escape(text)}</pre></details>"
        )
    return "".join(told)


# --- charts -----------------------------------------------------------------------------------------------------------


def _cumulative(ab: Ab) -> str:
    found = ab.found
    gap = found.cost_a - found.cost_b
    mean = np.cumsum(gap) / np.arange(1, len(gap) + 1)
    first = min(len(gap) - 1, 10)  # the mean of a handful would make the rest of it flat
    shapes: list[Line | Band] = []
    if found.looks is not None:
        looks = zip(found.seen.tolist(), found.looks.low.tolist(), found.looks.high.tolist(), strict=True)
        shapes.append(Band(points=[one for one in looks if one[0] > first], series=2, label="holds at every look"))
    points = [(no + 1.0, float(mean[no])) for no in range(first, len(gap))]
    shapes.append(Line(points=points, series=2, label="mean so far"))
    return chart(
        shapes, x_label="parents", y_label="cost(a) - cost(b), bps", zero=True, title="The difference as it came"
    )


def _distribution(ab: Ab, names: Mapping[str, str]) -> str:
    shapes = []
    for arm, costs in (("a", ab.found.cost_a), ("b", ab.found.cost_b)):
        at = np.unique(np.quantile(costs, np.linspace(0.005, 0.995, _CURVE_POINTS)))
        points = [(float(cost), float((costs <= cost).mean())) for cost in at]
        shapes.append(Line(points=points, series=_SERIES[arm], label=f"{arm} {names[arm]}", step=True))
    return chart(shapes, x_label="cost, bps", y_label="share of parents", title="Cost of a parent")


def _split(ab: Ab, names: Mapping[str, str]) -> str:
    rows = []
    for arm, comparisons in (("a", ab.a), ("b", ab.b)):
        reports = [one for comparison in comparisons for one in comparison.outcomes[0].reports]
        lines = np.array([line for one in reports if (line := _cost_lines(one)) is not None])
        means = lines.mean(axis=0) if len(lines) else np.zeros(len(_COST_LINES))
        rows.append((f"{arm} {names[arm]}", [Part(value=float(mean), series=no) for no, mean in enumerate(means)]))
    legend = [(name, no) for no, name in enumerate(_COST_LINES)]
    return bars(rows, x_label="bps; the mark is the sum", title="Where the cost comes from", legend=legend)


def _cost_lines(one: ParentReport) -> tuple[float, ...] | None:
    split = one.shortfall_bps
    if one.arrival_cost_bps is None or split.timing is None or split.spread is None or split.fees is None:
        return None
    return split.timing, split.spread, split.fees, one.completion_bps or 0.0


def _markouts(ab: Ab, names: Mapping[str, str]) -> str:
    shapes = []
    for arm, comparisons in (("a", ab.a), ("b", ab.b)):
        for is_maker, kind in ((True, "maker"), (False, "taker")):
            sums: dict[int, list[tuple[int, float]]] = {}
            for comparison in comparisons:
                for one in comparison.outcomes[0].reports:
                    for fill in one.fills:
                        for markout in fill.markouts if fill.is_maker is is_maker else ():
                            sums.setdefault(markout.horizon_ns, []).append((fill.lots, markout.markout_bps))
            points = [
                (horizon / NS, sum(lots * bps for lots, bps in known) / sum(lots for lots, _ in known))
                for horizon, known in sorted(sums.items())
            ]
            if points:
                label = f"{arm} {names[arm]}, {kind}"
                shapes.append(Line(points=points, series=_SERIES[arm], label=label, dashed=not is_maker))
    return chart(
        shapes,
        x_label="seconds after the fill",
        y_label="bps, positive helps us",
        zero=True,
        title="Where the mid went after fills (taker dashed)",
        log_x=True,
    )


def _fills(ab: Ab, names: Mapping[str, str]) -> str:
    """Kaplan-Meier of being filled whole by resting, crossing censors; dashed: the share filled by then at all."""
    shapes = []
    for arm, comparisons in (("a", ab.a), ("b", ab.b)):
        reports = [one for comparison in comparisons for one in comparison.outcomes[0].reports]
        ended = [one for one in reports if one.last_fill_ns is not None]
        if not ended:
            continue
        seconds = np.array([max(one.last_fill_ns or 0, 1) / NS for one in ended])
        rested = np.array([one.taker_lots == 0 and one.filled_lots >= one.qty_lots for one in ended])
        curve = kaplan_meier(seconds, rested)
        grid: Floats = np.linspace(0.0, float(seconds.max()), _CURVE_POINTS, dtype=np.float64)
        points = [(float(at), 1.0 - float(value)) for at, value in zip(grid, curve.at(grid), strict=True)]
        label = f"{arm} {names[arm]}"
        shapes.append(Line(points=points, series=_SERIES[arm], label=label, step=True))
        by_then = [(float(at), float((seconds <= at).sum()) / len(reports)) for at in grid]
        shapes.append(Line(points=by_then, series=_SERIES[arm], step=True, dashed=True))
    return chart(
        shapes,
        x_label="seconds since acceptance",
        y_label="probability, share",
        zero=True,
        title="Filled by resting (Kaplan-Meier); dashed: filled by then, crossings too",
    )


# --- pieces -----------------------------------------------------------------------------------------------------------


def _interval(low: float | None, high: float | None) -> str:
    known = low is not None and high is not None and np.isfinite(low) and np.isfinite(high)
    return f"{low:+.4f} to {high:+.4f}" if known else "-"


def _rounded(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = f"<tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>" if head else ""
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{top}{body}</table>"
