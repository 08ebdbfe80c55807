"""The guards: no more false alarms than stated whenever one looks, harm is found, and what is counted for whom."""

import json
import random
from math import inf

import numpy as np
import pytest

from sor.experiment.assigned import Assigned
from sor.experiment.bounds import LOOKS_FROM, TIGHTEST_AT, MeanBounds, RatioTest, ShareTest
from sor.experiment.definition import parse_experiment
from sor.experiment.watch import ALL, Over, Watch
from sor.lab.ab.guards import false_positives_allowed
from sor.lab.ab.sequential import asymptotic
from tests.fakes.experiments import experiment_text

EVEN = (("a", 0.5), ("b", 0.5))


def watch(*, arms: int = 2, by_period: bool = False, **guards: str) -> Watch:
    content = json.loads(experiment_text(*[("cross", "baseline")] * arms, guards=guards))
    shares = {2: ["0.5", "0.5"], 3: ["0.4", "0.3", "0.3"]}[arms]
    for arm, share in zip(content["arms"], shares, strict=True):
        arm["share"] = share
    if by_period:
        content |= {"by": "period", "period_s": "60", "eligible": {"venues": ["v"], "symbols": ["BTCUSDT"]}}
    return Watch(parse_experiment(json.dumps(content), where="x"))


def given(arm: str, chances: tuple[tuple[str, float], ...] = EVEN, *, period: int = -1) -> Assigned:
    return Assigned(experiment="trial", digest="", arm=arm, chances=chances, period=period)


def over(cost_bps: float | None = 0.0, *, rejected: bool = False, timed_out: bool = False) -> Over:
    return Over(cost_bps=cost_bps, rejected=rejected, timed_out=timed_out)


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_the_bounds_of_a_mean_are_those_of_the_whole_row() -> None:
    values = np.random.default_rng(5).normal(1.0, 3.0, 400)
    looks = asymptotic(values, alpha=0.05, tightest_at=TIGHTEST_AT)
    bounds = MeanBounds(alpha=0.05)
    for at, value in enumerate(values):
        bounds.add(float(value))
        assert bounds.low == pytest.approx(looks.low[at])
        assert bounds.high == pytest.approx(looks.high[at])
    early = MeanBounds(alpha=0.05)
    for _ in range(LOOKS_FROM - 1):
        early.add(1.0)
    assert (early.low, early.high) == (-inf, inf)


def test_a_share_within_its_limit_is_accused_no_more_often_than_stated_and_one_beyond_it_is_found() -> None:
    rng = random.Random(3)

    def accused(share: float) -> int:
        found = 0
        for _ in range(300):
            test = ShareTest(most=0.1)
            for _ in range(300):
                test.add(rng.random() < share)
                if test.evidence >= 20.0:
                    found += 1
                    break
        return found

    assert accused(0.1) <= 300 * false_positives_allowed(300, alpha=0.05)
    assert accused(0.25) > 290


def test_a_share_by_hand() -> None:
    test = ShareTest(most=0.5)
    test.add(True)
    assert test.evidence == pytest.approx((1.1 + 1.3 + 1.6) / 3)
    test.add(False)
    assert test.evidence == pytest.approx((1.1 * 0.9 + 1.3 * 0.7 + 1.6 * 0.4) / 3)
    assert (test.hits, test.count) == (1, 2)


def test_a_true_ratio_is_accused_no_more_often_than_stated_and_a_false_one_is_found() -> None:
    rng = random.Random(4)

    def accused(true: float, level: float) -> int:
        found = 0
        for _ in range(100):
            test = RatioTest({"a": 0.5, "b": 0.5})
            for _ in range(300):
                test.add("a" if rng.random() < true else "b", dict(EVEN))
            found += test.p_value < level
        return found

    assert accused(0.5, 0.05) <= 100 * false_positives_allowed(100, alpha=0.05)
    assert accused(0.7, 0.001) > 95


def test_the_ratio_follows_chances_that_change() -> None:
    """Once an arm is stopped the others get what it had, and nobody is accused for that."""
    test = RatioTest({"a": 0.4, "b": 0.3, "c": 0.3})
    rng = random.Random(5)
    for _ in range(1_000):
        test.add(rng.choices("abc", (0.4, 0.3, 0.3))[0], {"a": 0.4, "b": 0.3, "c": 0.3})
    for _ in range(1_000):
        test.add(rng.choices("ab", (4 / 7, 3 / 7))[0], {"a": 4 / 7, "b": 3 / 7})
    assert test.p_value > 0.01
    assert test.expected["a"] == pytest.approx(400 + 4_000 / 7)


# --- guards -----------------------------------------------------------------------------------------------------------


def stream(one: Watch, rng: random.Random, *, parents: int, extra_bps: float) -> int | None:
    """After how many parents an arm is stopped for harm; the market drifts meanwhile, for both alike."""
    for number in range(parents):
        arm = rng.choice("ab")
        cost = rng.gauss(5.0 + 4.0 * number / parents, 3.0) + (extra_bps if arm == "b" else 0.0)
        one.over(given(arm), over(cost))
        if one.arms["b"].gap.low > one.experiment.guards.harm_bps:
            assert [stop.guard for stop in one.broken()] == ["harm"]
            return number + 1
    assert not one.broken()
    return None


def test_arms_that_are_the_same_are_stopped_no_more_often_than_stated_and_harm_is_found() -> None:
    rng = random.Random(6)
    false = [stream(watch(harm_bps="0"), rng, parents=200, extra_bps=0.0) for _ in range(100)]
    assert sum(at is not None for at in false) <= 100 * false_positives_allowed(100, alpha=0.05)
    true = [stream(watch(harm_bps="0.5"), rng, parents=600, extra_bps=3.0) for _ in range(10)]
    assert all(at is not None and at < 400 for at in true)


def test_who_stops_for_what() -> None:
    one = watch(arms=3, harm_bps="2", cost_max_bps="8", rejects_max="0.2", timeouts_max="0.5")
    rng = random.Random(8)
    for _ in range(600):
        arm = rng.choices("abc", (0.4, 0.3, 0.3))[0]
        three = given(arm, (("a", 0.4), ("b", 0.3), ("c", 0.3)))
        one.given(three)
        cost = rng.gauss({"a": 4.0, "b": 9.0, "c": 5.0}[arm], 1.0)
        one.over(three, over(cost, rejected=arm == "c" and rng.random() < 0.5, timed_out=arm == "a"))
    found = {(stop.guard, stop.broken_by): stop.arm for stop in one.broken()}
    # The first arm is what the others are measured by: without it nothing is left of the experiment.
    assert found == {("harm", "b"): "b", ("cost", "b"): "b", ("rejects", "c"): "c", ("timeouts", "a"): ALL}
    [harm] = [stop for stop in one.broken() if stop.guard == "harm"]
    assert harm.text.startswith("b costs +")
    assert harm.text.endswith("bps more than a, and harm_bps is 2 (423 counted)")


def test_a_ratio_that_is_off_stops_all() -> None:
    one = watch()
    for _ in range(60):
        one.given(given("a"))
    [stop] = one.broken()
    assert (stop.arm, stop.guard) == (ALL, "sample_ratio")
    assert stop.text == "arms do not get what they should: a 60 of 30 expected, b 0 of 30 expected (p < 0.001)"


def test_costs_are_cut_and_what_has_none_counts_as_over() -> None:
    one = watch(cut_bps="10")
    for cost in (None, 50.0, -50.0, 4.0):
        one.over(given("a"), over(cost))
    arm = one.arms["a"]
    assert (arm.over, arm.costed, arm.cost.total) == (4, 3, 4.0)


def test_a_difference_by_hand() -> None:
    """Costs less the mean of those before, over the chance of the arm; the first of all only sets the level."""
    one = watch()
    for arm, cost in (("a", 4.0), ("b", 7.0), ("a", 5.5), ("b", 5.5)):
        one.over(given(arm), over(cost))
    gap = one.arms["b"].gap
    assert gap.count == 3
    assert gap.total == pytest.approx(2 * (7.0 - 4.0) - 2 * (5.5 - 5.5) + 2 * (5.5 - 5.5))


def test_in_a_switchback_a_period_counts_once_when_two_later_ones_are_over() -> None:
    one = watch(by_period=True)
    for period, arm, cost in ((0, "a", 1.0), (0, "a", 3.0), (1, "b", 9.0), (2, "a", 4.0)):
        one.given(given(arm, period=period))
        one.over(given(arm, period=period), over(cost))
    assert one.arms["a"].cost.count == 1
    assert one.arms["a"].cost.mean == 2.0
    assert one.ratio.counts == {"a": 2, "b": 1}
    one.over(given("a", period=0), over(5.0))
    assert one.late == 1
