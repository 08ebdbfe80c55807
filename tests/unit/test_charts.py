"""Charts as text: what is drawn where, and what a file of one has in it."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from sor.errors import CallerError
from sor.lab.charts import Line, Span, chart, chart_file, spans

LINE = Line(points=[(1.0, 0.0), (2.0, 4.0)], series=0, label="a < b")


def test_a_file_is_whole_by_itself() -> None:
    text = chart_file([LINE], x_label="x", y_label="y", title="One & all")
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    words = [node.text for node in root.iter() if node.text]
    assert {"One & all", "a < b", "x", "y"} <= set(words)
    assert any("--paper" in word for word in words)  # its own colours
    inside = re.search(r'<path class="s0" d="[^"]+"/>', text)
    assert inside is not None
    assert inside.group() in chart([LINE], x_label="x", y_label="y", title="One & all")
    with pytest.raises(CallerError, match="nothing to draw; nothing was written"):
        chart_file([], x_label="x", y_label="y", title="None")
    assert "nothing to draw" in chart([], x_label="x", y_label="y", title="None")


def test_intervals_lie_around_their_values_and_what_has_none_is_a_point() -> None:
    rows = [
        Span(name="a - b", at=1.0, low=0.5, high=2.0, series=2),
        Span(name="a - c", at=-1.0, low=None, high=None, series=2),
    ]
    text = spans(rows, x_label="bps", title="Differences")
    ((low, high),) = re.findall(r'class="span s2" x1="([\d.]+)" x2="([\d.]+)"', text)
    first, second = re.findall(r'<circle class="f2" cx="([\d.]+)"', text)
    (zero,) = re.findall(r'<line class="zero" x1="([\d.]+)"', text)
    assert float(second) < float(zero) < float(low) < float(first) < float(high)
    assert text.count("a - ") == 2
