"""The placement harness on two minutes of market: what it compares, and what it makes of it."""

from math import log
from pathlib import Path

import msgspec
import numpy as np
import pytest

from benchmarks.placement import markets, parts, tables
from benchmarks.placement.__main__ import main
from benchmarks.placement.parts import Desk
from benchmarks.placement.scales import BUDGET_STEP_BPS, SCALE_MAX, SCALE_MIN, budget_of, matched, scales_of
from benchmarks.placement.scores import Against, Pool, Score
from benchmarks.placement.study import (
    CAREFUL,
    CROSS,
    FITTED,
    FIXED,
    MAKER_BPS,
    OTHERS,
    TAKER_BPS,
    TUNED,
    UNFITTED,
    Scene,
    Study,
    arms_of,
    fixed_of,
    sets_of,
    timeouts_of,
)
from benchmarks.placement.tails import Floats, Span, Tail, quantile, span, tail_of, worst
from sor.errors import CallerError
from sor.lab.bootstrap import Difference
from sor.params import ParamStore
from sor.units import NS
from tests.fakes.tape_script import Book, tape_of

FEES_BPS = TAKER_BPS - MAKER_BPS
STUDY = Study(deadline_s=5.0, queue="risk_averse", parents=12, budget_bps=5.0, rung="improve")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(scratch=tmp_path_factory.mktemp("placement"), data=Path("nowhere"), say=lambda line: None)


@pytest.fixture(scope="module")
def scene(desk: Desk) -> Scene:
    """A hundred seconds of the busy market, with the set that comes with the package."""
    tape, path = markets.made_up(desk.scratch, "score", seed=2, seconds=100.0, options={})
    return Scene(tape=tape, path=path, fitted=ParamStore().get("synthetic", now_ns=2**60))


@pytest.fixture(scope="module")
def found(desk: Desk, scene: Scene) -> Score:
    return parts.pooled("tiny", [scene], STUDY, desk).score("tiny", STUDY)


@pytest.mark.slow
def test_every_arm_meets_the_same_parents_and_breaks_nothing(found: Score) -> None:
    assert found.broken == 0
    arms = {one.arm: one for one in found.arms}
    assert list(arms) == [CROSS, *FIXED, *OTHERS, UNFITTED, FITTED, TUNED, "oracle"]
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
    assert [(one.arm, one.fixed) for one in found.against][:4] == [(OTHERS[0], fixed) for fixed in FIXED]
    for one in found.against:
        assert one.difference.mean == pytest.approx(cost[one.arm] - cost[one.fixed])


@pytest.mark.slow
def test_the_tables_name_every_arm_and_line(found: Score) -> None:
    text = tables.shown(found)
    assert text.startswith("tiny: 12 parents of ")
    assert all(one.arm in text for one in found.arms)
    assert text.count("tail of") == len(found.tails) == 6


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-2.0, -0.1, "cheaper"), (0.1, 2.0, "dearer"), (-0.1, 0.1, "undecided"), (None, None, "undecided")],
)
def test_only_an_interval_beside_zero_decides(low: float | None, high: float | None, verdict: str) -> None:
    gap = Difference(mean=-1.0, low=low, high=high, p_value=None, blocks=9, parents=90)
    assert Against(arm=FITTED, fixed=FIXED[0], difference=gap).verdict == verdict


def test_the_tail_rule_asks_for_both() -> None:
    unknown = Span(None, None)
    tail = Tail(
        arm=FITTED,
        nearest=FIXED[0],
        p95=2.0,
        nearest_p95=2.0,
        excess_p95=5.0,
        budget_bps=5.0,
        gap=unknown,
        excess=unknown,
    )
    assert tail.met
    assert not msgspec.structs.replace(tail, p95=2.1).met
    assert not msgspec.structs.replace(tail, excess_p95=5.1).met


def test_the_tail_is_held_against_the_fixed_wait_that_costs_as_much() -> None:
    """The short wait costs 5 on average, the long one 2: an arm of 3 is nearer to the long one, whose tail is 12."""
    few = np.arange(100) < 10
    costs = {
        CROSS: np.full(100, 5.0),
        FIXED[0]: np.full(100, 5.0),
        FIXED[3]: np.where(few, 12.0, 8.0 / 9.0),
        FITTED: np.where(few, 11.0, 19.0 / 9.0),
    }

    def tail(budget_bps: float) -> Tail:
        return tail_of(
            FITTED,
            costs,
            cross=CROSS,
            fixed=(FIXED[0], FIXED[3]),
            budget_bps=budget_bps,
            block=np.zeros(100, np.int64),
            rng=np.random.default_rng(1),
        )

    found = tail(6.0)
    assert (found.nearest, found.p95, found.nearest_p95, found.excess_p95) == (FIXED[3], 11.0, 12.0, 6.0)
    assert found.met
    assert not tail(5.9).met


def test_careful_rests_as_long_as_the_tail_allows_on_what_is_not_scored(
    desk: Desk, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[float | None, tuple[str, ...]]] = []

    def ran(scene: Scene, study: Study, runs: Path, arms: tuple[str, ...]) -> dict[str, Floats]:
        asked.append((study.patience, arms))
        return {arm: np.ones(8) for arm in arms}

    monkeypatch.setattr(parts, "compare", ran)
    monkeypatch.setattr(parts, "costs_of", lambda costs: costs)
    met = iter([False, False, True, True, *[False] * 4])
    monkeypatch.setattr(Tail, "met", property(lambda tail: next(met)))
    study = parts.careful(scene, STUDY, desk)
    assert study == msgspec.structs.replace(STUDY, patience=0.4)
    assert asked == [(None, (CROSS, *FIXED, TUNED)), (0.6, (CAREFUL,)), (0.4, (CAREFUL,))]
    assert arms_of(scene, study, brief=True)[-2:] == (TUNED, CAREFUL)
    values = {record.id: str(record.value) for record in sets_of(scene, study)["careful"].records}
    assert [values[f"ladder.{rung}.until"] for rung in ("rest", "join", "improve")] == ["0", "0", "0.4"]
    assert parts.careful(scene, STUDY, desk) == STUDY  # met with all the time
    assert parts.careful(scene, STUDY, desk) == STUDY  # met by no share that is tried


def test_the_tail_of_parents_that_share_their_moves_is_as_sure_as_its_blocks() -> None:
    """Twenty parents a block pay the same: a tenth of 30 blocks is dear, and a quantile of 600 is one of 30."""
    block = np.repeat(np.arange(30), 20)
    ours = np.where(block < 3, 20.0, 2.0)
    nothing = np.zeros(600)
    found = span(ours, nothing, block, np.random.default_rng(1))
    assert (quantile(ours), worst(ours)) == (20.0, 20.0)
    assert (found.low, found.high) == (2.0, 20.0)  # no dear block in 1 of 24 draws, one in 1 of 8
    assert span(ours, ours, block, np.random.default_rng(1)) == Span(0.0, 0.0)  # drawn for both alike
    assert span(ours[:100], ours[:100], block[:100], np.random.default_rng(1)) == Span(None, None)  # five blocks


def test_the_worst_are_those_beyond_the_percentile() -> None:
    costs = np.array([*[2.0] * 95, 1.0, 3.0, 5.0, 7.0, 9.0])
    assert worst(costs) == pytest.approx(5.2)  # 9, 7, 5, 3 and one of 2
    assert worst(costs[-3:]) == 9.0


def test_the_longest_fixed_wait_is_the_deadline(scene: Scene) -> None:
    """At 15 s and 60 s it is among the four; at 300 s it is a fifth, and has a set and a column like the others."""
    assert timeouts_of(60.0) == (1, 5, 15, 60)
    assert fixed_of(300.0) == (*FIXED, "maker_first@t300")
    study = Study(deadline_s=300.0, queue="exact", parents=1, budget_bps=5.0)
    assert arms_of(scene, study, brief=True) == (CROSS, *FIXED, "maker_first@t300", FITTED)
    values = {record.id: str(record.value) for record in sets_of(scene, study)["t300"].records}
    assert values["placement.timeout_s_max"] == "300"


def test_the_hours_that_a_difference_needs_fall_with_its_square() -> None:
    pool = Pool()
    block = np.repeat(np.arange(20), 5)
    noise = np.where(np.arange(100) % 10 < 5, 1.0, -1.0)
    pool.block.append(block)
    pool.costs = {"fixed": [np.zeros(100)], "small": [noise + 0.1], "large": [noise + 0.2]}
    # 20 blocks of mean +-1: an error of 1 / sqrt(20); (1.96 + 0.84)^2 / 20 / 0.1^2 hours.
    assert pool.hours_needed("small", "fixed", hours=1.0) == pytest.approx(39.24, abs=0.01)
    assert pool.hours_needed("large", "fixed", hours=1.0) == pytest.approx(39.24 / 4.0, abs=0.01)


@pytest.mark.slow
def test_a_page_gets_the_tables_between_its_marks_and_equal_queues_once(found: Score) -> None:
    page = "Before.\n<!-- tiny: printed by the program -->\nOf last year.\n<!-- end of tiny -->\nAfter.\n"
    other = msgspec.structs.replace(found, queue="moderate")
    deeper = msgspec.structs.replace(other, queue="deeper", parents=13)
    text = tables.put(page, "tiny", [found, other, deeper])
    assert text.startswith("Before.\n<!-- tiny")
    assert text.endswith("\n<!-- end of tiny -->\nAfter.\n")
    assert "last year" not in text
    assert text.count("**tiny, deadline 5 s, queue risk_averse and moderate**: 12 parents of ") == 1
    assert text.count("**tiny, deadline 5 s, queue deeper**: 13 parents of ") == 1
    assert text.count("\n| cross |") == 2
    assert "tuned ladder from `improve` on" in text
    assert tables.put(text, "tiny", [found, other, deeper]) == text
    with pytest.raises(CallerError, match="end of other --> once; nothing was written"):
        tables.put(page, "other", [found])


@pytest.mark.slow
def test_scores_that_were_kept_are_put_on_a_page_later(
    found: Score, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, kept = tmp_path / "page.md", tmp_path / "scores.json"
    kept.write_bytes(msgspec.json.encode([found]))
    page.write_text("<!-- busy: printed by the program -->\n<!-- end of busy -->\n", encoding="utf-8")
    main(["--part", "busy", "--scores", str(kept), "--page", str(page)])
    assert tables.tables([found]) in page.read_text(encoding="utf-8")
    assert capsys.readouterr().out == f"{tables.shown(found)}\n"
    with pytest.raises(CallerError, match="end of slow --> once; nothing was written"):
        main(["--part", "slow", "--scores", str(kept), "--page", str(page)])


@pytest.mark.slow
def test_spread_and_rung_are_those_that_cost_least_on_the_tuning_market(desk: Desk, scene: Scene) -> None:
    asked = msgspec.structs.replace(STUDY, parents=6, rung=None)
    study, tuning = parts.tuned([scene], asked, desk)
    assert tuning is not None
    assert list(tuning.spreads) == ["2", "5", "15", "50"]
    assert tuning.spreads[f"{study.spread_bps:g}"] == min(tuning.spreads.values())
    assert study.rung is not None
    assert tuning.rungs[study.rung] == min(tuning.rungs.values())
    assert tuning.rungs["rest"] == min(tuning.spreads.values())  # the whole ladder, at the threshold that was chosen
    assert parts.tuned([msgspec.structs.replace(scene, fitted=None)], asked, desk) == (asked, None)


def test_arms_read_the_sets_that_make_them_these_arms(scene: Scene) -> None:
    study = Study(deadline_s=60.0, queue="risk_averse", parents=1, budget_bps=5.0, spread_bps=15.0, rung="join")
    asked = {"split.outflow_scale": 0.25}
    sets = sets_of(msgspec.structs.replace(scene, scales=asked), study)
    values = {name: {record.id: str(record.value) for record in one.records} for name, one in sets.items()}
    assert {one["placement.calm_spread_max"] for one in values.values()} == {"15"}
    assert [values[f"t{timeout_s}"]["placement.timeout_s_max"] for timeout_s in (1, 60)] == ["1", "60"]
    assert [values["scaled"][name] for name in ("split.horizon_s", "qvi.horizon_s")] == ["60", "60"]
    assert values["scaled"]["split.outflow_scale"] == "0.25" != values["patient"]["split.outflow_scale"]
    assert (values["tuned"]["ladder.rest.until"], values["fitted"]["ladder.rest.until"]) == ("0", "1")


def test_a_scale_makes_the_mean_chance_the_share_that_was_filled() -> None:
    """Half of those who wait 4 s for their turn are filled after 2 s: 1 - exp(-2 s / 4) = 1/2. Never is the bound."""
    waits = np.full(3, 4.0)
    assert matched(lambda scale: -np.expm1(-scale * 2.0 / waits), 0.5) == pytest.approx(2.0 * log(2.0))
    assert matched(lambda scale: -np.expm1(-scale * 2.0 / waits), 0.0) == pytest.approx(SCALE_MIN)


@pytest.mark.slow
def test_what_optimisers_assume_is_read_off_probes_at_the_touch(scene: Scene) -> None:
    short, long = (scales_of([scene.tape], horizon_s=at_s, queue="risk_averse") for at_s in (1.0, 5.0))
    assert set(short) == {"placement.fill_rate_scale", "split.outflow_scale", "placement.drift_scale"}
    assert all(SCALE_MIN < one[name] < SCALE_MAX for one in (short, long) for name in list(short)[:2])
    assert all(0.0 < one["placement.drift_scale"] < 2.0 for one in (short, long))
    ends = scales_of([scene.tape], horizon_s=1.0, queue="risk_averse", from_s=50.0, until_s=90.0)
    assert ends != short


def test_a_budget_is_two_deviations_of_a_minute_rounded_up_to_five() -> None:
    """A mid of 10,000 ticks that goes up and down by 10 bps each minute: 20 bps, and by a hundredth more 25.

    Then it stands still: 5 bps are the least.
    """
    for bid, budget_bps in ((10_009, 20.0), (10_010, 25.0)):
        bids = [bid if minute % 2 and minute < 60 else 9_999 for minute in range(121)]
        books = [Book(60 * NS * at, {best: 1}, {best + 2: 1}, snapshot=True) for at, best in enumerate(bids)]
        assert budget_of([tape_of(books)], until_s=3_600.0) == budget_bps
        assert budget_of([tape_of(books)], from_s=3_600.0) == BUDGET_STEP_BPS


def test_without_the_recordings_it_says_which_are_missing(tmp_path: Path) -> None:
    desk = Desk(scratch=tmp_path, data=tmp_path, say=lambda line: None)
    with pytest.raises(CallerError, match=r"lacks bitstamp-l3-20150501/.*--data"):
        parts.bitstamp(desk)
