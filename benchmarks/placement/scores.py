"""What arms cost on the same parents: pooled over markets, with intervals, an oracle and the tail."""

from __future__ import annotations

from math import inf

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.placement.study import CROSS, LATENCY_NS, MAKER_BPS, Scene, Study, fixed_of
from benchmarks.placement.tails import Tail, quantile, tail_of, worst
from sor.lab.bootstrap import Difference, Interval, block_of, difference, interval
from sor.lab.comparison import Comparison
from sor.lab.order_hits import NEVER
from sor.lab.probes import columns_with_delay
from sor.lab.queue_fills import Orders, QueueFills
from sor.tape import Tape
from sor.units import BPS, MS, to_ns

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ORACLE = "oracle"
FEED_NS = 5 * MS
"""Of market data, as the recorded venue has it unless told otherwise."""
_Z_LEVEL, _Z_POWER = 1.959963984540054, 0.8416212335729143
"""Two-sided 5 %, and a power of 80 %."""


class ArmScore(msgspec.Struct, frozen=True, kw_only=True):
    """One arm over all scenes. Costs in bps against the arrival mid.

    saved           against `cross`, paired. captured: the share of the oracle's saving.
    p95             of the cost. excess_p95: of what it cost more than `cross`, parent by parent.
    worst           mean of the costs beyond p95.
    passive_share   None of the oracle, which sends nothing.
    """

    arm: str
    cost: Interval
    saved: Difference
    captured: float
    p95: float
    excess_p95: float
    worst: float
    passive_share: float | None
    requotes: float
    timeouts: int
    fallbacks: int


class Against(msgspec.Struct, frozen=True, kw_only=True):
    """One arm's cost less that of a fixed timeout, the same parents; negative is cheaper."""

    arm: str
    fixed: str
    difference: Difference

    @property
    def verdict(self) -> str:
        """What the interval says."""
        low, high = self.difference.low, self.difference.high
        if low is None or high is None or low <= 0.0 <= high:
            return "undecided"
        return "cheaper" if high < 0.0 else "dearer"


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """Mean cost of `cost_aware` on what is not scored, by spread threshold in bps and then by first rung."""

    spreads: dict[str, float]
    rungs: dict[str, float]


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a study on some scenes.

    parents, broken    broken: overfills, orphans, double and missed fills in the venue's own books; must be 0.
    tuning             what chose spread threshold and rung; None where neither was chosen.
    patience           as of `Study`.
    """

    name: str
    deadline_s: float
    queue: str
    spread_bps: float
    rung: str | None
    parents: int
    quantity: str
    broken: int
    arms: tuple[ArmScore, ...]
    against: tuple[Against, ...]
    tails: tuple[Tail, ...]
    tuning: Tuning | None = None
    patience: float | None = None


def costs_of(comparison: Comparison) -> dict[str, Floats]:
    """(P,) cost of each parent by arm, NaN where it is not known."""
    return {outcome.policy: outcome.costs_bps for outcome in comparison.outcomes}


def oracle_bps(tape: Tape, comparison: Comparison, crossing: Floats, study: Study) -> Floats:
    """(P,) cost of each parent that knew: the touch if an order there is filled by the deadline, else crossing."""
    columns = columns_with_delay(tape, FEED_NS)
    starts = np.array([start.at_ns for start in comparison.drawn.starts], np.int64)
    side = np.array([int(start.side) for start in comparison.drawn.starts], np.int8)
    row = columns.group_local_ns.searchsorted(starts, "right") - 1
    bid, ask = (touch[row, 0].astype(np.int64) for touch in (columns.bid_ticks, columns.ask_ticks))
    price = np.where(side > 0, bid, ask)
    instrument = comparison.instrument
    lots = np.full(len(starts), instrument.lots(comparison.drawn.quantity), np.int64)
    orders = Orders(side, price, lots, starts + LATENCY_NS, starts + to_ns(study.deadline_s))
    fates = QueueFills(tape, columns, queue=study.queue).fates(orders)
    filled = ~fates.refused & (fates.filled_ns < NEVER)
    mid = (bid + ask) / 2.0
    resting = BPS * side * (price - mid) / mid + MAKER_BPS
    return np.where(filled, np.minimum(resting, crossing), crossing)


class Pool:
    """Costs of all scenes, one after the other."""

    def __init__(self) -> None:
        self.costs: dict[str, list[Floats]] = {}
        self.block: list[Ints] = []
        self.blocks = 0
        self.broken = 0
        self.counts: dict[str, list[tuple[float, int, int, int]]] = {}
        self.quantities: list[str] = []

    def add(self, scene: Scene, comparison: Comparison, study: Study) -> None:
        """One more scene; `cross` is among its arms."""
        costs = costs_of(comparison)
        costs[ORACLE] = oracle_bps(scene.tape, comparison, costs[CROSS], study)
        known = np.all([np.isfinite(one) for one in costs.values()], axis=0)
        starts = np.array([start.at_ns for start in comparison.drawn.starts], np.int64)
        length_ns = max(to_ns(study.deadline_s), to_ns(study.block_s / 4.0))
        block = block_of(starts, deadline_ns=length_ns)
        for arm, values in costs.items():
            self.costs.setdefault(arm, []).append(values[known])
        self.block.append(block[known] + self.blocks)
        self.blocks += int(block.max()) + 1
        for outcome in comparison.outcomes:
            verdict = outcome.verdict
            self.broken += sum(1 for one in outcome.reports if one.end_reason == "policy_fault")
            self.broken += verdict.overfills + verdict.orphans + verdict.double_fills + verdict.missed_fills
            shares = [one.passive_share for one in outcome.reports if one.passive_share is not None]
            self.counts.setdefault(outcome.policy, []).append(
                (
                    float(np.mean(shares)) if shares else 0.0,
                    sum(one.requotes for one in outcome.reports),
                    sum(one.timeouts for one in outcome.reports),
                    sum(one.fallbacks for one in outcome.reports),
                )
            )
        self.quantities.append(str(comparison.drawn.quantity))

    def cost(self, arm: str) -> Floats:
        """(P,) of all scenes."""
        joined: Floats = np.concatenate(self.costs[arm])
        return joined

    def score(self, name: str, study: Study, tuning: Tuning | None = None) -> Score:
        """What it came to."""
        waits = fixed_of(study.deadline_s)
        ours = [arm for arm in self.costs if arm not in (CROSS, ORACLE, *waits)]
        arms = {arm: self._arm(arm, study) for arm in self.costs}
        block = np.concatenate(self.block)
        return Score(
            name=name,
            deadline_s=study.deadline_s,
            queue=study.queue,
            spread_bps=study.spread_bps,
            rung=study.rung,
            parents=len(self.cost(CROSS)),
            quantity=", ".join(dict.fromkeys(self.quantities)),
            broken=self.broken,
            arms=tuple(arms.values()),
            against=tuple(
                Against(
                    arm=arm,
                    fixed=fixed,
                    difference=difference(
                        ours=self.cost(arm), theirs=self.cost(fixed), block=block, rng=_rng(study, 4)
                    ),
                )
                for arm in ours
                for fixed in waits
            ),
            tails=tuple(
                tail_of(
                    arm,
                    {one: self.cost(one) for one in (arm, CROSS, *waits)},
                    cross=CROSS,
                    fixed=waits,
                    budget_bps=study.budget_bps,
                    block=block,
                    rng=_rng(study, 5),
                )
                for arm in ours
            ),
            tuning=tuning,
            patience=study.patience,
        )

    def hours_needed(self, arm: str, fixed: str, *, hours: float) -> float:
        """Hours for a power of 80 % to tell the difference seen here from none, by the spread of its blocks."""
        gap = self.cost(arm) - self.cost(fixed)
        block = np.concatenate(self.block)
        mean = float(gap.mean())
        sums = np.bincount(block, weights=gap - mean)
        error = float(np.sqrt((sums**2).sum())) / len(gap)
        return hours * ((_Z_LEVEL + _Z_POWER) * error / mean) ** 2 if mean else inf

    def _arm(self, arm: str, study: Study) -> ArmScore:
        block = np.concatenate(self.block)
        cross, costs = self.cost(CROSS), self.cost(arm)
        counts = np.array(self.counts.get(arm, [(0.0, 0, 0, 0)]))
        saving = float((cross - self.cost(ORACLE)).mean())
        return ArmScore(
            arm=arm,
            cost=interval(costs, block, _rng(study, 2)),
            saved=difference(ours=cross, theirs=costs, block=block, rng=_rng(study, 3)),
            captured=float((cross - costs).mean()) / saving if saving else 0.0,
            p95=quantile(costs),
            excess_p95=quantile(costs - cross),
            worst=worst(costs),
            passive_share=float(counts[:, 0].mean()) if arm in self.counts else None,
            requotes=float(counts[:, 1].sum()) / len(costs),
            timeouts=int(counts[:, 2].sum()),
            fallbacks=int(counts[:, 3].sum()),
        )


def _rng(study: Study, stream: int) -> np.random.Generator:
    return np.random.default_rng([study.seed, stream])
