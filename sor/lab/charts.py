"""Line and bar charts as inline SVG, and the page that holds them: no script, no font, no file beside it.

Colours come from the page's style by class (`s0`, `s1`, ...), so a dark page has dark charts. Every text is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, floor, isfinite, log10

import msgspec

from sor.errors import CallerError

WIDTH, HEIGHT = 640, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 12, 40
_TICKS = 6

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --dim: #5b6675; --rule: #d9dee5; --paper: #ffffff; --a: #1f6fb2;
  --b: #c2571a; --c: #4c8c4a; --d: #7a5aa6; --e: #b3427e; --f: #2c8c8c; --g: #8a6d1f; --h: #57606f; --i: #9c3b3b;
  --j: #4a52a8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --dim: #9aa5b3; --rule: #333c48; --paper: #14191f;
  --a: #6db3ef; --b: #f0985e; --c: #86c983; --d: #b79be0; --e: #e88bb9; --f: #6cc9c9; --g: #d6b95c; --h: #a7b1c0;
  --i: #e08585; --j: #959df0; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 72rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.decision { font-size: 1.1rem; border-left: 4px solid var(--a); padding: .4rem .8rem; }
.decision.undecided { border-color: var(--dim); }
table { border-collapse: collapse; margin: .6rem 0 1.2rem; }
th, td { padding: .25rem .8rem .25rem 0; text-align: right; }
th:first-child, td:first-child { text-align: left; } th { color: var(--dim); font-weight: 500; }
tr + tr td { border-top: 1px solid var(--rule); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)); gap: 1rem 2rem; }
figure { margin: 0; } figcaption { font-weight: 600; } svg { width: 100%; height: auto; }
.grid { stroke: var(--rule); } .zero, .sum { stroke: var(--ink); } .tick, .axis { fill: var(--dim); font-size: 12px; }
path { fill: none; stroke-width: 1.8; } .dashed { stroke-dasharray: 5 4; } .span { stroke-width: 2.5; }
.legend span { margin-right: 1rem; color: var(--dim); } .legend i { display: inline-block; width: .8em; height: .8em;
  margin-right: .4em; } .none, .note { color: var(--dim); }
pre { overflow-x: auto; font-size: 12.5px; line-height: 1.35; } details { margin: .3rem 0; }
"""
_COLOURS = "abcdefghij"
"""One for each series; more than so many begin again."""
_SERIES = "".join(
    f".s{no} {{ stroke: var(--{one}); }} .f{no}, .k{no} {{ fill: var(--{one}); background: var(--{one}); }} "
    f".b{no} {{ fill: var(--{one}); opacity: .18; }} .decision.{one} {{ border-color: var(--{one}); }}\n"
    for no, one in enumerate(_COLOURS)
)


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Points joined in order. series: which colour. step: each value is held until the next."""

    points: Sequence[tuple[float, float]]
    series: int
    label: str = ""
    step: bool = False
    dashed: bool = False


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """Area between two values at each x."""

    points: Sequence[tuple[float, float, float]]
    series: int
    label: str = ""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a stacked bar; parts below zero are stacked to the left."""

    value: float
    series: int


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A value with its interval, None where there is none."""

    name: str
    at: float
    low: float | None
    high: float | None
    series: int


def document(body: str, *, title: str) -> str:
    """A whole page of HTML; `body` is HTML, `title` is text."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}{_SERIES}</style></head><body>'
        f"{body}</body></html>\n"
    )


def chart(
    shapes: Sequence[Line | Band], *, x_label: str, y_label: str, zero: bool = False, title: str, log_x: bool = False
) -> str:
    """Lines and bands on common axes; zero: y reaches to 0 and a rule is drawn there. x > 0 where log_x."""
    drawn = _drawn(shapes, x_label=x_label, y_label=y_label, zero=zero, log_x=log_x)
    if drawn is None:
        return f'<p class="none">{escape(title)}: nothing to draw.</p>'
    return _framed(drawn, title=title, legend=_legend(shapes))


def chart_file(
    shapes: Sequence[Line | Band], *, x_label: str, y_label: str, zero: bool = False, title: str, log_x: bool = False
) -> str:
    """The same as a file of its own, SVG with style, title and legend in it. Raises `CallerError` for no points."""
    drawn = _drawn(shapes, x_label=x_label, y_label=y_label, zero=zero, log_x=log_x)
    if drawn is None:
        raise CallerError(f"{title}: there is nothing to draw; nothing was written")
    keys = "".join(
        f'<rect class="f{series}" x="{_LEFT}" y="{HEIGHT + 8 + 18 * no}" width="10" height="10"/>'
        f'<text class="tick" x="{_LEFT + 16}" y="{HEIGHT + 17 + 18 * no}">{escape(label)}</text>'
        for no, (label, series) in enumerate(_legend(shapes))
    )
    room = 28
    height = room + HEIGHT + 18 * len(_legend(shapes)) + 12
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif">'
        f"<style>{_STYLE}{_SERIES}</style><title>{escape(title)}</title>"
        f'<rect width="{WIDTH}" height="{height}" style="fill: var(--paper)"/>'
        f'<text x="{_LEFT}" y="19" style="fill: var(--ink); font-weight: 600; font-size: 14px">{escape(title)}</text>'
        f'<g transform="translate(0 {room})">{drawn}{keys}</g></svg>\n'
    )


def _legend(shapes: Sequence[Line | Band]) -> list[tuple[str, int]]:
    return [(one.label, one.series) for one in shapes if one.label]


def _drawn(shapes: Sequence[Line | Band], *, x_label: str, y_label: str, zero: bool, log_x: bool) -> str | None:
    """Axes and shapes, None where there is no point."""
    xs = [point[0] for shape in shapes for point in shape.points]
    ys = [value for shape in shapes for point in shape.points for value in point[1:] if isfinite(value)]
    if not xs or not ys:
        return None
    scale_x = _Scale(min(xs), max(xs), _LEFT, WIDTH - _RIGHT, log=log_x)
    low, high = min(ys + [0.0] * zero), max(ys + [0.0] * zero)
    room = 0.04 * (high - low or abs(high) or 1.0)
    scale_y = _Scale(low - room, high + room, HEIGHT - _BOTTOM, _TOP)
    drawn = [_grid(scale_x, scale_y)]
    if zero:
        at = scale_y.at(0.0)
        drawn.append(f'<line class="zero" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
    drawn += [
        _band(shape, scale_x, scale_y) if isinstance(shape, Band) else _line(shape, scale_x, scale_y)
        for shape in shapes
    ]
    drawn.append(_axis_labels(x_label, y_label))
    return "".join(drawn)


def bars(
    rows: Sequence[tuple[str, Sequence[Part]]], *, x_label: str, title: str, legend: Sequence[tuple[str, int]]
) -> str:
    """Stacked bars, one a row, with a mark at each row's sum."""
    low = min([0.0, *(sum(min(0.0, part.value) for part in parts) for _, parts in rows)])
    high = max([0.0, *(sum(max(0.0, part.value) for part in parts) for _, parts in rows)])
    if low == high:
        return f'<p class="none">{escape(title)}: nothing to draw.</p>'
    height = _TOP + _BOTTOM + 44 * len(rows)
    scale = _Scale(low, high, _LEFT + 90, WIDTH - _RIGHT)
    drawn = _across(scale, height=height, label=x_label)
    for no, (name, parts) in enumerate(rows):
        top = _TOP + 44 * no + 8
        left = right = 0.0
        for part in parts:
            begin = right if part.value >= 0.0 else left + part.value
            width = scale.at(begin + abs(part.value)) - scale.at(begin)
            drawn.append(
                f'<rect class="f{part.series}" x="{scale.at(begin):.1f}" y="{top}" width="{width:.1f}" height="26"/>'
            )
            right, left = (right + part.value, left) if part.value >= 0.0 else (right, left + part.value)
        total = sum(part.value for part in parts)
        at = scale.at(total)
        drawn.append(f'<line class="sum" x1="{at:.1f}" x2="{at:.1f}" y1="{top - 4}" y2="{top + 30}"/>')
        drawn.append(f'<text class="tick" x="{_LEFT + 82}" y="{top + 17}" text-anchor="end">{escape(name)}</text>')
    return _framed("".join(drawn), title=title, legend=legend, height=height)


def spans(rows: Sequence[Span], *, x_label: str, title: str) -> str:
    """Values with their intervals, one a row, and a rule at zero."""
    ends = [end for one in rows for end in (one.at, one.low, one.high) if end is not None and isfinite(end)]
    height = _TOP + _BOTTOM + 24 * len(rows)
    scale = _Scale(min([0.0, *ends]), max([0.0, *ends]), _LEFT + 90, WIDTH - _RIGHT)
    drawn = _across(scale, height=height, label=x_label)
    zero = scale.at(0.0)
    drawn.append(f'<line class="zero" x1="{zero:.1f}" x2="{zero:.1f}" y1="{_TOP}" y2="{height - _BOTTOM}"/>')
    for no, one in enumerate(rows):
        middle = _TOP + 24 * no + 12
        if one.low is not None and one.high is not None:
            low, high = scale.at(one.low), scale.at(one.high)
            drawn.append(
                f'<line class="span s{one.series}" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>'
            )
        drawn.append(f'<circle class="f{one.series}" cx="{scale.at(one.at):.1f}" cy="{middle}" r="4"/>')
        drawn.append(
            f'<text class="tick" x="{_LEFT + 82}" y="{middle + 4}" text-anchor="end">{escape(one.name)}</text>'
        )
    return _framed("".join(drawn), title=title, legend=(), height=height)


def _across(scale: _Scale, *, height: int, label: str) -> list[str]:
    """Grid, ticks and name of the axis of a chart of rows."""
    drawn = []
    for tick in scale.ticks():
        at = scale.at(tick)
        drawn.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{height - _BOTTOM}"/>')
        drawn.append(
            f'<text class="tick" x="{at:.1f}" y="{height - _BOTTOM + 16}" text-anchor="middle">{tick:g}</text>'
        )
    drawn.append(
        f'<text class="axis" x="{(scale.start + scale.end) / 2:.1f}" y="{height - 6}" text-anchor="middle">'
        f"{escape(label)}</text>"
    )
    return drawn


class _Scale:
    """From values to places on the page."""

    def __init__(self, low: float, high: float, start: float, end: float, *, log: bool = False) -> None:
        self.log = log
        self.low, self.high = (log10(low), log10(high)) if log else (low, high)
        if self.low == self.high:
            self.low, self.high = self.low - 0.5, self.high + 0.5
        self.start, self.end = start, end

    def at(self, value: float) -> float:
        place = log10(value) if self.log else value
        return self.start + (place - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values within the scale."""
        if self.log:
            powers = range(floor(self.low), ceil(self.high) + 1)
            found = [step * 10.0**power for power in powers for step in (1.0, 2.0, 5.0)]
            return [tick for tick in found if self.low - 1e-9 <= log10(tick) <= self.high + 1e-9]
        rough = (self.high - self.low) / _TICKS
        power = 10.0 ** floor(log10(rough))
        step = next(size * power for size in (1.0, 2.0, 5.0, 10.0) if size * power >= rough)
        first, last = ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9)
        return [round(no * step, 10) + 0.0 for no in range(first, last + 1)]


def _grid(scale_x: _Scale, scale_y: _Scale) -> str:
    drawn = []
    for tick in scale_y.ticks():
        at = scale_y.at(tick)
        drawn.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        drawn.append(f'<text class="tick" x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in scale_x.ticks():
        at = scale_x.at(tick)
        drawn.append(
            f'<text class="tick" x="{at:.1f}" y="{HEIGHT - _BOTTOM + 16}" text-anchor="middle">{tick:g}</text>'
        )
    return "".join(drawn)


def _line(line: Line, scale_x: _Scale, scale_y: _Scale) -> str:
    places = [(scale_x.at(x), scale_y.at(y)) for x, y in line.points if isfinite(y)]
    path: list[str] = []
    for no, (x, y) in enumerate(places):
        if no and line.step:
            path.append(f"H{x:.1f}")
        path.append(f"{'L' if no else 'M'}{x:.1f} {y:.1f}")
    return f'<path class="s{line.series}{" dashed" if line.dashed else ""}" d="{"".join(path)}"/>'


def _band(band: Band, scale_x: _Scale, scale_y: _Scale) -> str:
    known = [point for point in band.points if isfinite(point[1]) and isfinite(point[2])]
    there = [f"{scale_x.at(x):.1f},{scale_y.at(high):.1f}" for x, _, high in known]
    back = [f"{scale_x.at(x):.1f},{scale_y.at(low):.1f}" for x, low, _ in reversed(known)]
    return f'<polygon class="b{band.series}" points="{" ".join(there + back)}"/>'


def _axis_labels(x_label: str, y_label: str) -> str:
    middle = (_TOP + HEIGHT - _BOTTOM) / 2
    return (
        f'<text class="axis" x="{(_LEFT + WIDTH - _RIGHT) / 2:.1f}" y="{HEIGHT - 6}" text-anchor="middle">'
        f"{escape(x_label)}</text>"
        f'<text class="axis" x="14" y="{middle:.1f}" text-anchor="middle" transform="rotate(-90 14 {middle:.1f})">'
        f"{escape(y_label)}</text>"
    )


def _framed(drawn: str, *, title: str, legend: Sequence[tuple[str, int]], height: int = HEIGHT) -> str:
    keys = "".join(f'<span><i class="k{series}"></i>{escape(label)}</span>' for label, series in legend)
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title, quote=True)}">{drawn}</svg><div class="legend">{keys}</div></figure>'
    )
