"""What an arm of a comparison has to show, in numbers: pages draw them, the terminal tells them in short."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.models.survival import SurvivalCurve, kaplan_meier
from sor.tca import ParentReport
from sor.units import NS

Floats = NDArray[np.float64]

COST_LINES = ("timing", "spread", "fees", "rest")
"""What a cost is the sum of; rest is what completing by crossing came to."""


class Shown(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One arm. costs: (N,) bps, of those that count. reports: of all its parents that are over."""

    letter: str
    name: str
    costs: Floats
    reports: Sequence[ParentReport]

    @property
    def label(self) -> str:
        """How charts call it."""
        return f"{self.letter} {self.name}"


def split_of(arm: Shown) -> Floats:
    """Mean of each of `COST_LINES` over the parents that have all of them, bps; nan without one."""
    lines = np.array([line for one in arm.reports if (line := _cost_lines(one)) is not None])
    means: Floats = lines.mean(axis=0) if len(lines) else np.full(len(COST_LINES), np.nan)
    return means


def _cost_lines(one: ParentReport) -> tuple[float, ...] | None:
    split = one.shortfall_bps
    if one.arrival_cost_bps is None or split.timing is None or split.spread is None or split.fees is None:
        return None
    return split.timing, split.spread, split.fees, one.completion_bps or 0.0


def markouts_of(arm: Shown, *, is_maker: bool) -> list[tuple[float, float]]:
    """(seconds after the fill, bps that the mid went our way), by size, at each horizon that any fill has."""
    sums: dict[int, list[tuple[int, float]]] = {}
    for one in arm.reports:
        for fill in one.fills:
            for markout in fill.markouts if fill.is_maker is is_maker else ():
                sums.setdefault(markout.horizon_ns, []).append((fill.lots, markout.markout_bps))
    return [
        (horizon / NS, sum(lots * bps for lots, bps in known) / sum(lots for lots, _ in known))
        for horizon, known in sorted(sums.items())
    ]


class Resting(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """How an arm's parents were filled. seconds: (N,) of those with a fill, when the last one was.

    curve    of not being filled whole by resting; crossing censors, so it says how long resting alone takes.
    parents  of the arm, with a fill or without.
    """

    seconds: Floats
    curve: SurvivalCurve
    parents: int

    def by_resting(self, at_s: Floats) -> Floats:
        """Chance of having been filled whole by resting, by Kaplan and Meier."""
        return 1.0 - self.curve.at(at_s)

    def at_all(self, at_s: Floats) -> Floats:
        """Share of all parents that had their last fill by then, crossings too."""
        shares: Floats = (self.seconds[:, np.newaxis] <= at_s).sum(axis=0) / self.parents
        return shares


def resting_of(arm: Shown) -> Resting | None:
    """Fills of an arm, None without any."""
    ended = [one for one in arm.reports if one.last_fill_ns is not None]
    if not ended:
        return None
    seconds = np.array([max(one.last_fill_ns or 0, 1) / NS for one in ended])
    rested = np.array([one.taker_lots == 0 and one.filled_lots >= one.qty_lots for one in ended])
    return Resting(seconds=seconds, curve=kaplan_meier(seconds, rested), parents=len(arm.reports))
