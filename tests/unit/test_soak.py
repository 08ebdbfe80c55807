"""The soak runs, and notices what grows; its figures are its user's business."""

import subprocess
import sys

import msgspec
import pytest

from benchmarks.soak import Sample, Soaked, growing, shown, slope_of
from tests.conftest import REPO


def soak(*words: str) -> str:
    """In a process of its own: a census counts everything that is there."""
    command = [sys.executable, "-m", "benchmarks.soak", *words]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True, timeout=600)
    return done.stdout


def test_parents_follow_one_another_and_nothing_waits_longer_than_they_do() -> None:
    text = soak("--parents", "20", "--hours", "0.02", "--deadline", "30", "--step", "18", "--json")
    soaked = msgspec.json.decode(text, type=Soaked)
    last = soaked.samples[-1]
    assert (len(soaked.samples), soaked.at_work_max, soaked.refused, soaked.alarms) == (4, 20, 0, 0)
    assert sum(soaked.statuses.values()) >= 60
    assert last.ended >= 40
    assert last.orders > last.ended
    assert (soaked.turns > 500, 1 <= soaked.turn_facts_max < 100, soaked.journal > 0) == (True, True, True)
    assert last.census["Parents.working"][0] == last.census["Parents._numbers"][0] >= last.ended
    assert last.census["Parents.at_work"][0] <= 20
    assert last.census["Dispatcher._queue"] == (0, 0)
    assert last.census["VirtualScheduler._heap"][1] <= 20 * 12  # each parent that ended half a minute ago included
    assert [line.split()[0] for line in shown(soaked).splitlines()] == [
        *("simulated,", "parents", "orders", "turns", "resident", "waiting", "grew"),
    ]


def sample(hours: float, **census: int) -> Sample:
    counted = {name: (number, number) for name, number in census.items()}
    return Sample(hours=hours, ended=0, orders=0, heap=0, venue_heap=0, rss=0, census=counted)


def test_what_grows_is_named() -> None:
    samples = [sample(hours, leak=1_000 * hours, still=5_000, few=10 * hours) for hours in range(1, 9)]
    assert growing(samples) == [("leak", 3_000, 8_000)]


def test_a_slope_by_hand() -> None:
    assert msgspec.structs.astuple(slope_of([0, 1, 2], [1, 3, 5])) == (2.0, 0.0)
    slope = slope_of([0, 1, 2], [0, 3, 3])  # residuals -1/2, 1, -1/2
    assert slope.per == 1.5
    assert slope.error == pytest.approx(0.75**0.5)
