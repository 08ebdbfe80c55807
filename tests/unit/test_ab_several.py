"""Several arms at once: what is found, what is not, and how often something is found that is not there."""

from __future__ import annotations

from math import nan

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import nct, norm, t, ttest_1samp

from sor.errors import CallerError
from sor.lab.ab.betting import discoveries
from sor.lab.ab.family import LETTERS, UNDECIDED, Family, Verdict, Versus, verdict
from sor.lab.ab.guards import Guard, false_positives_allowed
from sor.lab.ab.paired import ALPHA, Paired, findings
from sor.lab.ab.sequential import MixtureBound, e_values
from sor.lab.ab.several import Several, Together, compare_together
from sor.lab.bootstrap import BLOCKS_MIN, blocks_needed, differences
from sor.units import NS

Floats = NDArray[np.float64]
DEADLINE_NS = 10 * NS


def market(
    rng: np.random.Generator, *, arms: int = 4, parents: int = 120, hours: float = 1.0, effects: tuple[float, ...] = ()
) -> Together:
    """Parents that overlap, so that neighbours share what the market did to each arm; costs are skewed.

    effects    of the last arms, bps.
    """
    start_ns = np.sort(rng.integers(0, int(hours * 3_600) * NS, parents))
    moment = start_ns // DEADLINE_NS
    shared = rng.standard_exponential((arms, int(moment.max()) + 1))
    costs = (shared[:, moment] + 0.5 * rng.standard_normal((arms, parents))).T
    costs[:, arms - len(effects) :] += np.array(effects)
    return Together(costs=costs, start_ns=start_ns, deadline_ns=DEADLINE_NS)


def told(found: Several) -> dict[str, str]:
    return {one.first + one.second: one.decision for one in found.versus}


# --- how often something is found that is not there -------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("family", Family)
def test_arms_that_are_all_alike_are_told_apart_no_more_often_than_stated(family: Family) -> None:
    runs, blocks = 200, 12
    pairs = [(LETTERS.index(first), LETTERS.index(second)) for first, second in family.pairs("abcd")]
    found = dict.fromkeys(("interval", "signs", "alone"), 0)
    for run in range(runs):
        costs = np.random.default_rng([1, run]).standard_exponential((blocks, 4))
        gaps = np.column_stack([costs[:, first] - costs[:, second] for first, second in pairs])
        drawn = differences(gaps, block=np.arange(blocks), rng=np.random.default_rng(run))
        found["interval"] += any(not (one.low or 0.0) <= 0.0 <= (one.high or 0.0) for one in drawn)
        found["signs"] += any((one.p_value or 0.0) < ALPHA for one in drawn)
        found["alone"] += bool((ttest_1samp(gaps, 0.0).pvalue < ALPHA).any())
    # Each of the two holds by itself, and a winner takes both.
    assert max(found["interval"], found["signs"]) <= runs * false_positives_allowed(runs, alpha=ALPHA)
    assert found["alone"] > runs * false_positives_allowed(runs, alpha=ALPHA)
    assert found["signs"] > 0


@pytest.mark.slow
def test_a_dear_arm_does_not_make_equal_ones_look_different() -> None:
    runs, wrong, right = 60, 0, 0
    for run in range(runs):
        brief = market(np.random.default_rng([2, run]), parents=80, hours=0.3, effects=(3.0,))
        found = told(compare_together([brief], family=Family.ALL, seed=run, margin_bps=9.0))
        wrong += any(found[pair] != UNDECIDED for pair in ("ab", "ac", "bc"))
        right += all(found[pair] == pair[0] for pair in ("ad", "bd", "cd"))
    assert wrong <= runs * false_positives_allowed(runs, alpha=ALPHA)
    assert right > 0.9 * runs


def test_e_values_find_too_much_in_5_percent_of_streams_at_most_however_often_one_looks() -> None:
    # Three arms against a control, of which the last differs: what all three share is in the control.
    rng = np.random.default_rng(3)
    runs, looks = 2_000, 400
    control = rng.standard_exponential((runs, 1, looks))
    arms = rng.standard_exponential((runs, 3, looks))
    alike = e_values(control - arms, alpha=ALPHA / 3, tightest_at=200)
    found = np.sort(alike, axis=1)[:, ::-1] >= 3 / (ALPHA * np.arange(1, 4))[:, np.newaxis]
    stopped = found.any(axis=(1, 2)).mean()
    assert stopped <= false_positives_allowed(runs, alpha=ALPHA)
    planted = e_values(control - arms - 0.5, alpha=ALPHA / 3, tightest_at=200)[:, :, -1]
    assert np.mean([discoveries(one, alpha=ALPHA).all() for one in planted]) > 0.95


# --- what is found ----------------------------------------------------------------------------------------------------


def test_planted_differences_are_found_with_their_signs_and_the_cheapest_is_named() -> None:
    far = market(np.random.default_rng(4), parents=600, hours=4.0, effects=(0.0, 1.0, -1.0))
    found = compare_together([far], family=Family.ALL, seed=1, margin_bps=2.0)
    assert told(found) == {"ab": UNDECIDED, "ac": "a", "ad": "d", "bc": "b", "bd": "d", "cd": "d"}
    assert (found.verdict.decision, found.verdict.cheapest, found.verdict.needed) == ("d", ("d",), None)
    assert found.verdict.why.startswith("d is cheaper than every other arm")
    for one in found.versus:
        assert one.low is not None
        assert one.high is not None
        assert one.low < one.mean < one.high
        assert one.series is not None
        assert one.series.low is not None
        assert one.series.low < one.mean
        assert one.listed is (one.decision != UNDECIDED)
        assert (one.stopped_at is not None) is one.listed
    # Against the control alone d and b are not compared, and its intervals are narrower.
    control = compare_together([far], family=Family.CONTROL, seed=1, margin_bps=2.0)
    assert told(control) == {"ab": UNDECIDED, "ac": "a", "ad": "d"}
    assert control.verdict.decision == UNDECIDED
    assert control.verdict.why == (
        "a is cheaper than c; d is cheaper than a; the cheapest may be b or d, which only --family all tells apart"
    )
    assert control.verdict.needed == control.versus[0].needed
    assert widths(control)["ac"] < widths(found)["ac"]


def widths(found: Several) -> dict[str, float]:
    return {one.first + one.second: one.high - one.low for one in found.versus if one.high and one.low}


def test_of_two_arms_it_is_the_comparison_of_two() -> None:
    both = market(np.random.default_rng(5), arms=2, parents=300, hours=4.0, effects=(0.4,))
    (one,) = compare_together([both], family=Family.CONTROL, seed=1, effect_bps=0.1).versus
    pair = Paired(
        cost_a=both.costs[:, 0], cost_b=both.costs[:, 1], start_ns=both.start_ns, deadline_ns=both.deadline_ns
    )
    two = findings([pair], seed=1, effect_bps=0.1)
    assert (one.mean, one.decision, one.needed, one.units) == pytest.approx(
        (two.difference.mean, str(two.decision), two.needed, two.difference.blocks)
    )
    assert one.low == pytest.approx(two.difference.low, rel=0.1)
    assert one.p_value == pytest.approx(two.difference.p_value, abs=0.005)
    assert one.series == two.series
    assert one.looks is not None
    assert two.looks is not None
    assert one.looks.low.tolist() == two.looks.low.tolist()


def test_nothing_is_named_that_the_design_does_not_carry() -> None:
    brief = market(np.random.default_rng(6), hours=0.04, parents=100, effects=(9.0,))
    found = compare_together([brief], family=Family.ALL, seed=1)
    assert {one.why for one in found.versus} == {found.verdict.why}
    assert found.verdict.why == f"{found.blocks} blocks of start time are too few for an interval: 8 are needed"
    assert found.verdict.needed is None
    clear = market(np.random.default_rng(4), parents=600, hours=4.0, effects=(-1.0,))
    assert compare_together([clear], family=Family.CONTROL, seed=1).verdict.decision == UNDECIDED
    broken = Guard(name="books", holds=False, says="parent 3 was filled twice")
    stopped = compare_together([clear], family=Family.ALL, seed=1, margin_bps=2.0, guards=[broken])
    assert {one.decision for one in stopped.versus} == {UNDECIDED}
    assert "parent 3 was filled twice" in stopped.versus[2].why
    assert "d looks cheaper, but: parent 3 was filled twice" in stopped.verdict.why
    one = compare_together(
        [clear],
        family=Family.CONTROL,
        seed=1,
        margin_bps=2.0,
        own_guards=lambda first, second: [broken] if (first, second) == (0, 3) else [],
    )
    assert one.versus[2].decision == UNDECIDED
    assert [len(each.guards) for each in one.versus] == [1, 1, 2]
    clear.costs[:20, 1] = nan
    some = compare_together([clear], family=Family.ALL, seed=1, margin_bps=2.0)
    assert (some.costed, some.parents, some.verdict.decision) == (580, 600, UNDECIDED)
    clear.costs[:, 1] = nan
    with pytest.raises(CallerError, match="no parent has a cost under every arm; nothing was compared"):
        compare_together([clear], family=Family.ALL, seed=1)


def test_a_cheaper_arm_with_a_longer_tail_beats_nobody() -> None:
    wild = market(np.random.default_rng(7), parents=1_000, hours=4.0, effects=(-2.0,))
    wild.costs[::10, -1] += 12.0
    found = compare_together([wild], family=Family.CONTROL, seed=1)
    last = found.versus[-1]
    assert last.decision == UNDECIDED
    assert last.why.startswith("d looks cheaper, but: 95% of parents of d cost at most")


def test_the_number_of_parents_that_would_tell_is_one_for_all_at_once() -> None:
    few = market(np.random.default_rng(8), parents=300, hours=4.0)
    asked = {family: compare_together([few], family=family, seed=1, effect_bps=0.2).verdict.needed for family in Family}
    control, every = asked[Family.CONTROL], asked[Family.ALL]
    assert control is not None
    assert every is not None
    assert 300 < control < every


# --- what follows from what -------------------------------------------------------------------------------------------


def versus(pair: str, decision: str = UNDECIDED, *, needed: int | None = 7) -> Versus:
    return Versus(
        first=pair[0],
        second=pair[1],
        parents=10,
        units=9,
        mean=0.0,
        low=None,
        high=None,
        p_value=None,
        series=None,
        looks=None,
        stopped_at=None,
        e_value=None,
        listed=False,
        effect_bps=0.1,
        needed=needed,
        guards=(),
        decision=decision,
        why="the interval holds zero",
    )


def judged(family: Family, arms: str, *pairs: tuple[str, str]) -> Verdict:
    decided = dict(pairs)
    return verdict(
        family, arms, [versus(f"{x}{y}", decided.get(f"{x}{y}", UNDECIDED)) for x, y in family.pairs(arms)], leader="b"
    )


def test_the_cheapest_may_follow_from_comparisons_with_the_control() -> None:
    # b is below the control and all others are above it, so that b is below them too.
    found = judged(Family.CONTROL, "abcd", ("ab", "b"), ("ac", "a"), ("ad", "a"))
    assert (found.decision, found.cheapest, found.needed) == ("b", ("b",), None)
    found = judged(Family.CONTROL, "abcd", ("ab", "b"), ("ac", "c"))
    assert (found.decision, found.cheapest, found.needed) == (UNDECIDED, ("b", "c", "d"), 7)
    assert found.why.startswith("b and c are cheaper than a; the cheapest may be b, c or d")
    found = judged(Family.ALL, "abc")
    assert (found.why, found.cheapest) == ("the interval holds zero", ("a", "b", "c"))


def test_families_and_their_sizes() -> None:
    assert Family.CONTROL.pairs("abc") == (("a", "b"), ("a", "c"))
    assert Family.ALL.pairs("abc") == (("a", "b"), ("a", "c"), ("b", "c"))
    assert len(Family.ALL.pairs(LETTERS)) == 45
    for arms in ("a", f"{LETTERS}k"):
        with pytest.raises(CallerError, match=f"not {len(arms)}; nothing was compared"):
            Family.ALL.pairs(arms)


# --- the pieces -------------------------------------------------------------------------------------------------------


def test_an_e_value_is_the_ratio_of_the_t_distributions() -> None:
    values = np.random.default_rng(9).normal(0.3, 2.0, 60)
    rate = MixtureBound.tightest_at(100.0, alpha=ALPHA).rate
    seen = values.mean() / values.std(ddof=1) * np.sqrt(60)

    def given(effect: float) -> float:
        return float(nct.pdf(seen, 59, effect * np.sqrt(60)) * norm.pdf(effect, 0.0, 1.0 / np.sqrt(rate)))

    mixed = quad(given, -2.0, 2.0)[0] / t.pdf(seen, 59)
    found = e_values(values, alpha=ALPHA, tightest_at=100)
    assert found[-1] == pytest.approx(mixed)
    assert (found[:29] == 1.0).all()
    assert e_values(1e6 * values, alpha=ALPHA, tightest_at=100) == pytest.approx(found)  # of no scale
    assert e_values(np.zeros(40), alpha=ALPHA, tightest_at=100)[-1] < 1.0
    assert np.isfinite(e_values(np.full(9_000, 1.0), alpha=ALPHA, tightest_at=100)).all()
    with pytest.raises(CallerError, match="nothing was computed"):
        e_values(np.array([nan]), alpha=ALPHA, tightest_at=100)


def test_blocks_that_a_family_needs() -> None:
    assert [blocks_needed(count) for count in (1, 2, 3, 9, 45)] == [BLOCKS_MIN, 7, 7, 9, 11]
    block = np.arange(40) % 7
    gaps = np.column_stack([1.0 + 0.01 * np.arange(40)] * 3)
    rng = np.random.default_rng(11)
    found = differences(gaps, block=block, rng=rng)
    assert {one.p_value for one in found} == {2 / 2**7}  # of one difference three times: as of one
    assert len({one.low for one in found}) == 1
    assert differences(np.tile(gaps, 2), block=block, rng=rng)[0].p_value is None
    with pytest.raises(CallerError, match="Give a column for each"):
        differences(gaps[:, :0], block=block, rng=rng)


def test_what_does_not_vary_has_no_part_in_the_intervals_of_others() -> None:
    rng = np.random.default_rng(12)
    block = np.repeat(np.arange(20), 5)
    noise = rng.standard_normal(100)
    alone = differences(noise[:, np.newaxis], block=block, rng=np.random.default_rng(1))[0]
    beside = differences(np.column_stack([noise, np.full(100, 2.0)]), block=block, rng=np.random.default_rng(1))
    assert (beside[0].low, beside[0].high) == (alone.low, alone.high)
    assert (beside[1].low, beside[1].high) == (2.0, 2.0)
