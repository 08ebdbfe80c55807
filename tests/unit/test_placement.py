"""The placement harness on two minutes of market: what it compares, and what it makes of it."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from benchmarks import placement
from benchmarks.placement import FITTED, FIXED, UNFITTED, Against, Desk, Pool, Score, Study, Tail
from sor.errors import CallerError
from sor.lab.bootstrap import Difference
from sor.params import ParamStore

FEES_BPS = placement.TAKER_BPS - placement.MAKER_BPS


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Score:
    """Two minutes of the busy market, with the set that comes with the package."""
    desk = Desk(scratch=tmp_path_factory.mktemp("placement"), data=Path("nowhere"), say=lambda line: None)
    tape, path = placement.made_up(desk.scratch, "score", seed=2, seconds=100.0, options={})
    scene = placement.Scene(tape=tape, path=path, fitted=ParamStore().get("synthetic", now_ns=2**60))
    return placement.score("tiny", [scene], Study(deadline_s=5.0, queue="risk_averse", parents=12), desk)


@pytest.mark.slow
def test_every_arm_meets_the_same_parents_and_breaks_nothing(found: Score) -> None:
    assert found.broken == 0
    arms = {one.arm: one for one in found.arms}
    assert list(arms) == ["cross", *FIXED, UNFITTED, FITTED, placement.BOLD, "oracle"]
    assert [one.cost.parents for one in found.arms] == [12] * len(arms)
    assert arms["cross"].captured == 0.0
    assert arms["oracle"].captured == pytest.approx(1.0)
    # Five seconds are the deadline of all: a timeout of a minute is one of a quarter.
    assert arms["maker_first@t15"].cost == arms["maker_first@t60"].cost
    assert arms["maker_first@t1"].fallbacks > arms["maker_first@t15"].fallbacks


@pytest.mark.slow
def test_nobody_saves_more_than_the_fees_and_the_spread(found: Score) -> None:
    # A tenth of a bps of spread, and what the mid did meanwhile.
    assert all(one.saved.mean < FEES_BPS + 0.5 for one in found.arms)


@pytest.mark.slow
def test_differences_are_those_of_the_means(found: Score) -> None:
    cost = {one.arm: one.cost.mean for one in found.arms}
    assert [(one.arm, one.fixed) for one in found.against][:4] == [(UNFITTED, fixed) for fixed in FIXED]
    for one in found.against:
        assert one.difference.mean == pytest.approx(cost[one.arm] - cost[one.fixed])


@pytest.mark.slow
def test_the_tables_name_every_arm_and_line(found: Score) -> None:
    text = placement.shown(found)
    assert text.startswith("tiny: 12 parents of ")
    assert all(one.arm in text for one in found.arms)
    assert text.count("tail of") == len(found.tails) == 3


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-2.0, -0.1, "cheaper"), (0.1, 2.0, "dearer"), (-0.1, 0.1, "undecided"), (None, None, "undecided")],
)
def test_only_an_interval_beside_zero_decides(low: float | None, high: float | None, verdict: str) -> None:
    gap = Difference(mean=-1.0, low=low, high=high, p_value=None, blocks=9, parents=90)
    assert Against(arm=FITTED, fixed=FIXED[0], difference=gap).verdict == verdict


def test_the_tail_rule_asks_for_both() -> None:
    tail = Tail(arm=FITTED, nearest=FIXED[0], p95=2.0, nearest_p95=2.0, excess_p95=5.0, budget_bps=5.0)
    assert tail.met
    assert not msgspec.structs.replace(tail, p95=2.1).met
    assert not msgspec.structs.replace(tail, excess_p95=5.1).met


def test_the_hours_that_a_difference_needs_fall_with_its_square() -> None:
    pool = Pool()
    block = np.repeat(np.arange(20), 5)
    noise = np.where(np.arange(100) % 10 < 5, 1.0, -1.0)
    pool.block.append(block)
    pool.costs = {"fixed": [np.zeros(100)], "small": [noise + 0.1], "large": [noise + 0.2]}
    # 20 blocks of mean +-1: an error of 1 / sqrt(20); (1.96 + 0.84)^2 / 20 / 0.1^2 hours.
    assert pool.hours_needed("small", "fixed", hours=1.0) == pytest.approx(39.24, abs=0.01)
    assert pool.hours_needed("large", "fixed", hours=1.0) == pytest.approx(39.24 / 4.0, abs=0.01)


def test_without_the_recordings_it_says_which_are_missing(tmp_path: Path) -> None:
    desk = Desk(scratch=tmp_path, data=tmp_path, say=lambda line: None)
    with pytest.raises(CallerError, match=r"lacks bitstamp-l3-20150501/.*--data"):
        placement.bitstamp(desk)
