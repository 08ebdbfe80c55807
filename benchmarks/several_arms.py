"""How often equal arms are told apart, and how often a planted difference is found, when several are compared at once.

    python -m benchmarks.several_arms [--runs N] [--folder docs]

Design
- Costs are exponential, so that they are skewed as costs of patient orders are; every arm has its own, blocks are
  independent. One look is after `BLOCKS` blocks, looks that are repeated are after each of `LOOKS` blocks.
- What is counted is the share of runs in which any statement of a family is wrong (equal arms), and in which the arm
  that is cheaper by so many standard deviations of a block's difference is told from the control.
- Taken one by one: the same program, two arms at a time.

Same arguments, same figures. Two charts are written to the folder, the numbers are printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sor.lab.ab.family import LETTERS, Family
from sor.lab.ab.paired import ALPHA, told_apart
from sor.lab.ab.sequential import asymptotic, e_values
from sor.lab.bootstrap import differences
from sor.lab.charts import Line, chart_file
from sor.lab.stationary import series

Floats = NDArray[np.float64]

ARMS = (2, 3, 4, 6, 8, 10)
PLANTED = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
"""In standard deviations of a block's difference."""
PLANTED_ARMS = 5
BLOCKS = 20
LOOKS = 300
NAMES = {Family.CONTROL: "each against the first", Family.ALL: "each against each"}


def main(argv: Sequence[str] | None = None) -> None:
    """Count, print and draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.several_arms", description="Error control by count.")
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--folder", type=Path, default=Path("docs"))
    asked = parser.parse_args(argv)
    alike = {**one_look(asked.runs), **any_look(asked.runs)}
    found = planted(asked.runs)
    _tell("arms", ARMS, alike)
    _tell("planted, sd", PLANTED, found)
    told = f"runs with a wrong statement, of {asked.runs}"
    _draw(asked.folder / "several-arms-alike.svg", ARMS, alike, x_label="arms, all alike", title=f"Share of {told}")
    _draw(
        asked.folder / "several-arms-planted.svg",
        PLANTED,
        found,
        x_label="how much one of 5 arms is cheaper, in standard deviations of a block",
        title=f"Share of {asked.runs} runs that find it",
    )


def one_look(runs: int) -> dict[str, list[float]]:
    """Share of runs that tell equal arms apart at the end, by the number of arms."""
    wrong = {name: np.zeros(len(ARMS)) for name in ("one by one", *NAMES.values())}
    for run in range(runs):
        costs = np.random.default_rng([1, run]).standard_exponential((BLOCKS, max(ARMS)))
        alone = {pair: found(costs, (pair,), seed=run)[0] for pair in Family.ALL.pairs(LETTERS)}
        for at, count in enumerate(ARMS):
            every = Family.ALL.pairs(LETTERS[:count])
            wrong["one by one"][at] += any(alone[pair] for pair in every)
            for family, name in NAMES.items():
                wrong[name][at] += any(found(costs, family.pairs(LETTERS[:count]), seed=run))
    return {name: (counts / runs).tolist() for name, counts in wrong.items()}


def any_look(runs: int) -> dict[str, list[float]]:
    """Share of runs that at any of `LOOKS` looks tell equal arms apart: e-values by e-BH, and the sequences."""
    shares: dict[str, list[float]] = {"e-BH at every look": [], "sequences at every look": []}
    for count in ARMS:
        pairs = [(LETTERS.index(one), LETTERS.index(other)) for one, other in Family.ALL.pairs(LETTERS[:count])]
        wanted = len(pairs) / (ALPHA * np.arange(1, len(pairs) + 1))
        listed = watched = 0
        for run in range(runs):
            costs = np.random.default_rng([2, run]).standard_exponential((LOOKS, count))
            gaps = np.array([costs[:, one] - costs[:, other] for one, other in pairs])
            e = e_values(gaps, alpha=ALPHA / len(pairs), tightest_at=LOOKS)
            listed += bool((np.sort(e, axis=0)[::-1] >= wanted[:, np.newaxis]).any())
            watched += any(
                asymptotic(gap, alpha=ALPHA / len(pairs), tightest_at=LOOKS).stopped_at() is not None for gap in gaps
            )
        shares["e-BH at every look"].append(listed / runs)
        shares["sequences at every look"].append(watched / runs)
    return shares


def planted(runs: int) -> dict[str, list[float]]:
    """Share of runs that tell the arm that is cheaper from the control, by how much it is."""
    shares: dict[str, list[float]] = {name: [] for name in ("alone", *NAMES.values())}
    for effect in PLANTED:
        hits = dict.fromkeys(shares, 0)
        for run in range(runs):
            costs = np.random.default_rng([3, run]).standard_exponential((BLOCKS, PLANTED_ARMS))
            costs[:, 1] -= effect * sqrt(2.0)  # a difference of two such costs has this standard deviation
            hits["alone"] += found(costs, (("a", "b"),), seed=run)[0]
            for family, name in NAMES.items():
                hits[name] += found(costs, family.pairs(LETTERS[:PLANTED_ARMS]), seed=run)[0]
        for name, count in hits.items():
            shares[name].append(count / runs)
    return shares


def found(costs: Floats, pairs: Sequence[tuple[str, str]], *, seed: int) -> list[bool]:
    """Which of some comparisons are told apart at one look. costs: (B, K), one parent a block."""
    gaps = np.column_stack([costs[:, LETTERS.index(one)] - costs[:, LETTERS.index(other)] for one, other in pairs])
    told = differences(gaps, block=np.arange(len(costs)), rng=np.random.default_rng(seed))
    drawn = series(gaps, sizes=[len(gaps)], rng=np.random.default_rng([seed, 1]))
    return [told_apart(*both, "", (), comparisons=len(pairs))[0] for both in zip(told, drawn, strict=True)]


def _tell(what: str, at: Sequence[float], shares: Mapping[str, Sequence[float]]) -> None:
    print(f"| {what} | {' | '.join(f'{one:g}' for one in at)} |")
    print(f"| --- |{' --- |' * len(at)}")
    for name, row in shares.items():
        print(f"| {name} | {' | '.join(f'{share:.1%}' for share in row)} |")


def _draw(path: Path, at: Sequence[float], shares: Mapping[str, Sequence[float]], *, x_label: str, title: str) -> None:
    lines = [
        Line(points=[(float(x), share) for x, share in zip(at, row, strict=True)], series=no, label=name)
        for no, (name, row) in enumerate(shares.items())
    ]
    lines.append(Line(points=[(float(x), ALPHA) for x in (at[0], at[-1])], series=7, label="5 %", dashed=True))
    path.write_text(chart_file(lines, x_label=x_label, y_label="share", zero=True, title=title), encoding="utf-8")


if __name__ == "__main__":
    main()
