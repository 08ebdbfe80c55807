import pytest

from policies.immediate import Immediate
from policies.twap import Twap
from sor.errors import CallerError
from sor.policy import Due, Schedule
from sor.units import NS

START_NS = 1_700_000_000 * NS
END_NS = START_NS + 100 * NS
EVEN = {"slices": 4.0, "jitter_time": 0.0, "jitter_size": 0.0}


def due(
    schedule: Schedule, *, after_s: float, lots: int = 100, least: int = 1, args: dict[str, float] | None = None
) -> Due:
    return schedule.due(
        qty_lots=lots,
        start_ns=START_NS,
        deadline_ns=END_NS,
        now_ns=START_NS + round(after_s * NS),
        min_lots=least,
        args=args or {},
    )


def curve(lots: int, least: int, args: dict[str, float]) -> list[tuple[float, int]]:
    """(seconds from the start, cumulative target) of every slice."""
    steps: list[tuple[float, int]] = []
    after_ns: int | None = START_NS
    while after_ns is not None:
        found = Twap().due(
            qty_lots=lots, start_ns=START_NS, deadline_ns=END_NS, now_ns=after_ns, min_lots=least, args=args
        )
        steps.append(((after_ns - START_NS) / NS, found.target_lots))
        after_ns = found.next_ns
    return steps


def test_immediate_wants_everything_at_once() -> None:
    assert [due(Immediate(), after_s=after_s) for after_s in (0, 50, 100)] == [Due(100, END_NS, None)] * 3
    Immediate().check({})
    with pytest.raises(CallerError, match="takes no arguments, got slices; nothing was sent"):
        Immediate().check({"slices": 4.0})


def test_even_slices_by_hand() -> None:
    seen = [due(Twap(), after_s=after_s, args=EVEN) for after_s in (-1, 0, 24.999, 25, 50, 75, 100, 500)]
    quarter = 25 * NS
    assert seen == [
        Due(0, START_NS, START_NS),
        Due(25, START_NS + quarter, START_NS + quarter),
        Due(25, START_NS + quarter, START_NS + quarter),
        Due(50, START_NS + 2 * quarter, START_NS + 2 * quarter),
        Due(75, START_NS + 3 * quarter, START_NS + 3 * quarter),
        Due(100, END_NS, None),
        Due(100, END_NS, None),
        Due(100, END_NS, None),
    ]


def test_what_does_not_divide_is_spread() -> None:
    assert curve(10, 1, {**EVEN, "slices": 4.0}) == [(0.0, 2), (25.0, 5), (50.0, 7), (75.0, 10)]


@pytest.mark.parametrize(
    ("lots", "least", "steps"),
    [
        (100, 40, [(0.0, 50), (50.0, 100)]),  # four of 25 would be too small: two are made
        (100, 51, [(0.0, 100)]),
        (100, 100, [(0.0, 100)]),
        (30, 100, [(0.0, 30)]),  # the whole is below the minimum: that is for others to judge
        (1, 1, [(0.0, 1)]),
    ],
)
def test_no_slice_is_below_the_minimum(lots: int, least: int, steps: list[tuple[float, int]]) -> None:
    assert curve(lots, least, EVEN) == steps


def test_jitter_is_the_seeds_and_only_the_seeds() -> None:
    args = {"slices": 5.0, "jitter_time": 0.3, "jitter_size": 0.3, "seed": 7.0}
    assert curve(1_000, 1, args) == curve(1_000, 1, args)
    assert curve(1_000, 1, {**args, "seed": 8.0}) != curve(1_000, 1, args)
    # Written down, because a journal of yesterday must fold to the same schedule tomorrow.
    assert curve(1_000, 1, args) == [
        (0.0, 195),
        (23.481281292, 379),
        (35.073405662, 580),
        (63.802299403, 794),
        (81.02364031, 1000),
    ]


def test_without_a_seed_the_start_is_the_seed() -> None:
    args = {"slices": 5.0, "jitter_size": 0.3}

    def sizes(start_ns: int) -> list[int]:
        return [
            Twap()
            .due(qty_lots=1_000, start_ns=start_ns, deadline_ns=start_ns + 5 * NS, now_ns=now, min_lots=1, args=args)
            .target_lots
            for now in range(start_ns, start_ns + 6 * NS, NS)
        ]

    assert sizes(START_NS) == sizes(START_NS)
    assert sizes(START_NS) != sizes(START_NS + NS)


def test_jitter_does_not_change_the_expected_curve() -> None:
    lots, slices, seeds = 1_000, 8, 800
    curves = [
        curve(lots, 10, {"slices": slices, "jitter_time": 0.3, "jitter_size": 0.3, "seed": float(seed)})
        for seed in range(seeds)
    ]
    for index in range(slices):
        begins = [steps[index][0] for steps in curves]
        targets = [steps[index][1] for steps in curves]
        # U(-0.3, 0.3) of 12.5 s has sd 2.17 s, its mean over 800 seeds 0.077 s; 4 of those.
        assert abs(sum(begins) / seeds - 12.5 * index) < 0.31
        assert abs(sum(targets) / seeds - 125 * (index + 1)) < 5.0
    assert len({steps[3] for steps in curves}) > seeds // 2  # and yet it moves


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"slice": 4.0}, "does not know slice"),
        ({"slices": 0.0}, "slices is 0"),
        ({"slices": 2.5}, "slices is 2.5"),
        ({"slices": 1_001.0}, "slices is 1001"),
        ({"slices": float("nan")}, "slices is nan"),
        ({"slices": float("inf")}, "slices is inf"),
        ({"jitter_time": 0.31}, "jitter_time is 0.31"),
        ({"jitter_size": -0.1}, "jitter_size is -0.1"),
        ({"jitter_size": float("nan")}, "jitter_size is nan"),
        ({"seed": 0.5}, "seed is 0.5"),
        ({"seed": -1.0}, "seed is -1"),
        ({"seed": 2.0**54}, "seed is"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(args: dict[str, float], words: str) -> None:
    with pytest.raises(CallerError, match=f"{words}.*; nothing was sent"):
        Twap().check(args)


def test_sound_arguments_pass() -> None:
    for args in ({}, EVEN, {"slices": 1_000.0, "jitter_time": 0.3, "jitter_size": 0.3, "seed": 2.0**53}):
        Twap().check(args)
