"""The probes of a calibration: drawn on all tapes, split by time, and how much they know of a horizon."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from sor.errors import CallerError
from sor.lab.bootstrap import block_of
from sor.lab.calibration import EDGES_S, CalibrationPlan, Support, TapeUse
from sor.lab.probes import ProbePlan, Probes, draw_probes, joined, non_overlapping, probed_span
from sor.models.survival import Flags, Ints
from sor.tape import IntColumn, Tape
from sor.units import NS

Progress = Callable[[str], None]
"""Told what begins."""

BEYOND_NS = 1_000
"""Probes are followed a microsecond longer than the longest horizon: who was not filled by it was watched beyond it."""
_EFFECTIVE_BLOCKS = 30
"""An effective number is worked out from at least this many blocks of four horizons."""
_TIMES = 5_000
"""Times probed over all tapes unless a spacing is given."""
_EVERY_NS_MIN = NS // 10


class Sample(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Probes of all tapes: which tape each is of, and from when on that tape is held out."""

    probes: Probes
    tape: IntColumn
    cut_ns: IntColumn
    uses: tuple[TapeUse, ...]

    def take(self, chosen: Flags) -> Sample:
        """Some of the probes."""
        return Sample(
            probes=self.probes.take(chosen), tape=self.tape[chosen], cut_ns=self.cut_ns[chosen], uses=self.uses
        )

    @property
    def held(self) -> Flags:
        """(N,) whether each is held out."""
        held: Flags = self.probes.arrived_ns >= self.cut_ns
        return held

    def fits(self, horizon_s: float) -> Flags:
        """(N,) whether each is fitted: those that were not followed into what is held out."""
        fits: Flags = self.probes.arrived_ns + round(horizon_s * NS) + BEYOND_NS <= self.cut_ns
        return fits

    def blocks(self, chosen: Flags, horizon_s: float) -> Ints:
        """(n,) block of each chosen probe: four horizons long, none shared by two tapes."""
        blocks = np.zeros(len(self.tape), np.int64)
        first = 0
        for tape in range(len(self.uses)):
            ours = np.flatnonzero(chosen & (self.tape == tape))
            if len(ours):
                own = block_of(self.probes.arrived_ns[ours], deadline_ns=round(horizon_s * NS))
                blocks[ours] = own + first
                first += int(own.max()) + 1
        return blocks[chosen]


def draw_sample(tapes: Sequence[Tape], plan: CalibrationPlan, progress: Progress, *, lots: int = 0) -> Sample:
    """Probe every tape with orders of `lots`, 0 for the smallest.

    Raises    CallerError where nothing would be left to fit on or to hold out.
    """
    bounds = [_bounds(tape, plan) for tape in tapes]
    whole_ns = sum(until_ns - from_ns for from_ns, until_ns in bounds)
    every_ns = max(whole_ns // _TIMES, _EVERY_NS_MIN) if plan.every_s is None else round(plan.every_s * NS)
    longest_ns = round(plan.horizons_s[-1] * NS)
    grid_ns = tuple(round(edge * NS) for edge in EDGES_S[1:] if edge <= plan.horizons_s[-1])
    probing = ProbePlan(
        every_ns=every_ns,
        grid_ns=(*grid_ns, longest_ns + BEYOND_NS),
        inside_ticks=plan.inside_ticks,
        lots=lots,
        scattered=plan.scattered,
        queue=plan.queue,
        feed_ns=plan.latency_ns,
        entry_ns=plan.latency_ns,
        seed=plan.seed,
    )
    drawn: list[Probes] = []
    uses: list[TapeUse] = []
    cuts: list[int] = []
    for tape, (from_ns, until_ns) in zip(tapes, bounds, strict=True):
        progress(f"probing {tape.name}")
        probes = draw_probes(tape, probing, from_ns=from_ns, until_ns=until_ns)
        if not len(probes.side):
            raise CallerError(f"no probe rested on tape {tape.name}; nothing was fitted. Take a longer stretch")
        first_ns = int(probes.arrived_ns[0])
        cut_ns = until_ns - round(plan.holdout * (until_ns - first_ns))
        cuts.append(cut_ns)
        uses.append(
            TapeUse(name=tape.name, digest=tape.digest, first_ns=first_ns, last_ns=until_ns, probes=len(probes.side))
        )
        drawn.append(probes)
    sample = Sample(
        probes=joined(drawn),
        tape=np.repeat(np.arange(len(drawn)), [len(probes.side) for probes in drawn]),
        cut_ns=np.repeat(np.array(cuts, np.int64), [len(probes.side) for probes in drawn]),
        uses=tuple(uses),
    )
    if not sample.fits(plan.horizons_s[0]).any() or not sample.held.any():
        raise CallerError(
            f"{whole_ns / NS:,.0f} s of tape leave nothing to fit on or to hold out when orders are followed for "
            f"{plan.horizons_s[0]:g} s; nothing was fitted. Give longer tapes or shorter --horizons"
        )
    return sample


def _bounds(tape: Tape, plan: CalibrationPlan) -> tuple[int, int]:
    """Venue time within which a tape is used. Raises `CallerError` where nothing is left."""
    begin_ns, end_ns = int(tape.group_venue_ns[0]), int(tape.group_venue_ns[-1])
    span_ns = end_ns - begin_ns

    def at(seconds: float | None, share: float, otherwise_ns: int) -> int:
        if seconds is not None:
            return (begin_ns if seconds >= 0 else end_ns) + round(seconds * NS)
        return otherwise_ns if share in (0.0, 1.0) else begin_ns + round(share * span_ns)

    return probed_span(
        tape,
        from_ns=at(plan.from_s, plan.from_share, begin_ns),
        until_ns=at(plan.until_s, plan.until_share, end_ns),
    )


def support_of(sample: Sample, horizon_s: float) -> Support:
    """What the part that is fitted up to this horizon knows of it."""
    probes, horizon_ns = sample.probes, round(horizon_s * NS)
    known = sample.fits(horizon_s) & known_by(probes, horizon_ns)
    by_then = probes.filled_ns <= probes.arrived_ns + horizon_ns
    apart = 0
    for tape in range(len(sample.uses)):
        rows = np.flatnonzero(known & (sample.tape == tape))
        apart += int((non_overlapping(probes.take(rows), horizon_ns) & by_then[rows]).sum())
    return Support(
        horizon_s=horizon_s,
        probes=int(known.sum()),
        fills=int((known & by_then).sum()),
        non_overlapping=apart,
        effective=effective_fills(sample, known, by_then, horizon_s),
    )


def effective_fills(sample: Sample, known: Flags, by_then: Flags, horizon_s: float) -> float | None:
    """Fills among as many independent probes as would know the share of fills equally well; None with few blocks.

    The variance of the share comes from sums over blocks of four horizons, which overlap at their seams alone.
    """
    count = int(known.sum())
    if not count:
        return None
    length_ns = 4 * round(horizon_s * NS)
    start_ns = sample.probes.arrived_ns[known]
    block = (start_ns - int(start_ns.min())) // length_ns + sample.tape[known] * (1 << 40)
    names, place = np.unique(block, return_inverse=True)
    if len(names) < _EFFECTIVE_BLOCKS:
        return None
    filled = by_then[known].astype(np.float64)
    share = float(filled.mean())
    sums = np.bincount(place, weights=filled - share)
    variance = float((sums**2).sum()) / count**2
    if variance <= 0.0 or not 0.0 < share < 1.0:
        return None
    return min(share * (1.0 - share) / variance, float(count)) * share


def known_by(probes: Probes, horizon_ns: int) -> Flags:
    """Whether it is known what became of each probe by the horizon."""
    known: Flags = probes.filled | (probes.seen_ns >= probes.arrived_ns + horizon_ns)
    return known
