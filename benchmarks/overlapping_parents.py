"""How often a difference of two policies is seen that is not there, and one that is, when parents overlap in time.

    python -m benchmarks.overlapping_parents [--runs N]

Design
- A resting order against one that crosses: it gains 1 where the market comes, and pays twice the move where it goes
  away, so differences are skewed, and parents that overlap share their market (a random walk).
- Each row is a recording: how many parents, over how many deadlines. In the last three the market has a mood as well
  that fades within 4 or 16 deadlines and moves all differences by a third of their own spread, or by the whole of
  it: that is longer than the blocks of start time know of.
- What is counted is the share of runs in which a method leaves out 0: of differences whose mean is 0, and of the same
  ones moved by 2.8 standard deviations of their mean, which a test that knew that deviation would see in 80 %.

Same arguments, same figures.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from math import exp, pi, sqrt

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.lab.ab.paired import ALPHA, told_apart
from sor.lab.bootstrap import block_of, difference
from sor.lab.stationary import series

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DEADLINE = 100
"""Steps of the walk."""
POWER = 2.8
"""Of the standard deviation of the mean."""
_MEAN = 2.0 / sqrt(2.0 * pi) - 0.5
_SPREAD = sqrt(2.5 - _MEAN**2)
METHODS = ("one by one", "blocks", "signs", "stationary", "blocks and signs", "all three")


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A recording. mood: deadlines within which the market's mood fades, 0 without one; share: of the own spread."""

    parents: int
    deadlines: int
    mood: float = 0.0
    share: float = 1.0 / 3.0

    @property
    def name(self) -> str:
        told = f"{self.parents} over {self.deadlines}"
        return f"{told}, mood of {self.mood:g}, {self.share:.0%}" if self.mood else told


CASES = (
    Case(parents=100, deadlines=60),
    Case(parents=200, deadlines=60),
    Case(parents=600, deadlines=60),
    Case(parents=120, deadlines=360),
    Case(parents=400, deadlines=200),
    Case(parents=400, deadlines=200, mood=4.0),
    Case(parents=400, deadlines=200, mood=16.0),
    Case(parents=400, deadlines=200, mood=16.0, share=1.0),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overlapping_parents", description="Errors by count.")
    parser.add_argument("--runs", type=int, default=1_000)
    runs = parser.parse_args(argv).runs
    for title, moved in (("the same policy twice", 0.0), ("a difference that is there", POWER)):
        print(f"\n{title}: share of {runs} runs that see one\n")
        print(f"| parents over deadlines | {' | '.join(METHODS)} | mean block |")
        print(f"| --- |{' --- |' * (len(METHODS) + 1)}")
        for case in CASES:
            shares, block = count(case, runs, moved=moved)
            print(f"| {case.name} | {' | '.join(f'{share:.1%}' for share in shares)} | {block:.1f} |", flush=True)


def count(case: Case, runs: int, *, moved: float) -> tuple[Floats, float]:
    """Share of runs in which each of `METHODS` leaves out 0, and the mean length of a block in parents.

    moved   by how many standard deviations of its mean every difference is moved.
    """
    drawn = [sample(case, np.random.default_rng([1, run])) for run in range(runs)]
    effect = moved * float(np.std([gap.mean() for _, gap in drawn]))
    seen, lengths = np.zeros(len(METHODS)), 0.0
    for run, (start, gap) in enumerate(drawn):
        told, length = methods(start, gap + effect, seed=run)
        seen += told
        lengths += length
    return seen / runs, lengths / runs


def sample(case: Case, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """(starts in order, differences with mean 0) of one recording."""
    span = case.deadlines * DEADLINE
    walk = np.concatenate([[0.0], np.cumsum(rng.standard_normal(span + DEADLINE))])
    start: Ints = np.sort(rng.integers(0, span, case.parents))
    move = (walk[start + DEADLINE] - walk[start]) / sqrt(DEADLINE)
    gap: Floats = np.where(move < 0.0, -1.0, 2.0 * move) - _MEAN
    if case.mood:
        keeps = exp(-1.0 / case.mood)
        mood = np.empty(case.deadlines)
        mood[0] = rng.standard_normal()
        for no in range(1, case.deadlines):
            mood[no] = keeps * mood[no - 1] + sqrt(1.0 - keeps**2) * rng.standard_normal()
        gap = gap + case.share * _SPREAD * mood[start // DEADLINE]
    return start, gap


def methods(start: Ints, gap: Floats, *, seed: int) -> tuple[Floats, float]:
    """Whether each of `METHODS` leaves out 0, and the mean length of a block in parents."""
    rng = np.random.default_rng([seed, 1])
    found = difference(ours=gap, theirs=np.zeros_like(gap), block=block_of(start, deadline_ns=DEADLINE), rng=rng)
    (drawn,) = series(gap[:, np.newaxis], sizes=[len(gap)], rng=np.random.default_rng([seed, 2]))
    assert found.low is not None
    assert found.high is not None
    assert found.p_value is not None
    alone = abs(gap.mean()) > 1.96 * gap.std() / sqrt(len(gap))
    blocks, signs = not found.low <= 0.0 <= found.high, found.p_value < ALPHA
    stationary = drawn.low is not None and drawn.high is not None and not drawn.low <= 0.0 <= drawn.high
    all_three = told_apart(found, drawn, "", ())[0]
    return np.array([alone, blocks, signs, stationary, blocks and signs, all_three], np.float64), drawn.block_parents


if __name__ == "__main__":
    main()
