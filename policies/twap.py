"""`twap`: equal slices at equal times, optionally jittered so that nobody else can tell the next one (methods 5.4).

    slices        1 to 1000, 10 if not given; fewer are made where one would be smaller than the minimum order.
    jitter_time   a in 0 to 0.3, 0.2 if not given: each slice but the first moves by U(-a, a) of an interval around
                  its place in the even grid. Not cumulative.
    jitter_size   b in 0 to 0.3, 0.2 if not given: what each slice holds beyond the minimum is weighted by U(1-b, 1+b).
    seed          whole number in 0 to 2**53. If not given the start time is the seed, which differs per parent and is
                  in the journal. One seed gives one jitter.

The target is a pure function of the terms and of now: it survives a restart and needs no state. Jitter does not change
the expected curve: moves are symmetric around the even grid and weights are exchangeable. A slice is due by the moment
the next one begins, the last by the deadline. Sums are exact to the lot.
The uniform numbers are hashes of (seed, what, slice): no generator, no order of drawing.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache

from sor.errors import CallerError
from sor.policy import Due

SLICES_MAX = 1000
JITTER_MAX = 0.3
_DEFAULTS = {"slices": 10.0, "jitter_time": 0.2, "jitter_size": 0.2}
_SEED_MAX = float(1 << 53)
_MASK = (1 << 64) - 1
_TIME, _SIZE = 1, 2
_WEIGHT_UNIT = 1 << 32


class Twap:
    """Schedule: time-weighted slices."""

    name = "twap"

    def check(self, args: dict[str, float]) -> None:
        """Raise `CallerError` for an unknown argument or one out of its range."""
        unknown = sorted(set(args) - {*_DEFAULTS, "seed"})
        if unknown:
            raise CallerError(
                f"schedule twap does not know {', '.join(unknown)}; nothing was sent. "
                f"It takes slices, jitter_time, jitter_size and seed"
            )
        slices = args.get("slices", _DEFAULTS["slices"])
        if not (1 <= slices <= SLICES_MAX and slices == int(slices)):
            raise CallerError(f"twap: slices is {slices:g}; nothing was sent. Give a whole number, 1 to {SLICES_MAX}")
        for name in ("jitter_time", "jitter_size"):
            if not 0.0 <= args.get(name, 0.0) <= JITTER_MAX:
                raise CallerError(f"twap: {name} is {args[name]:g}; nothing was sent. Give a number, 0 to {JITTER_MAX}")
        seed = args.get("seed", 0.0)
        if not (0.0 <= seed <= _SEED_MAX and seed == int(seed)):
            raise CallerError(f"twap: seed is {seed:g}; nothing was sent. Give a whole number, 0 to 2**53")

    def due(
        self, *, qty_lots: int, start_ns: int, deadline_ns: int, now_ns: int, min_lots: int, args: dict[str, float]
    ) -> Due:
        """What the slices that have begun by `now_ns` add up to. Nothing is due before `start_ns`."""
        begins_ns, targets = _plan(
            qty_lots,
            start_ns,
            deadline_ns,
            max(min_lots, 1),
            int(args.get("slices", _DEFAULTS["slices"])),
            args.get("jitter_time", _DEFAULTS["jitter_time"]),
            args.get("jitter_size", _DEFAULTS["jitter_size"]),
            int(args["seed"]) if "seed" in args else start_ns,
        )
        begun = bisect_right(begins_ns, now_ns)
        next_ns = begins_ns[begun] if begun < len(begins_ns) else None
        return Due(targets[begun - 1] if begun else 0, deadline_ns if next_ns is None else next_ns, next_ns)


@lru_cache(maxsize=1024)
def _plan(
    qty_lots: int,
    start_ns: int,
    deadline_ns: int,
    min_lots: int,
    slices: int,
    jitter_time: float,
    jitter_size: float,
    seed: int,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(when each slice begins, the cumulative target from then on); kept, as it is asked for at every decision."""
    slices = max(1, min(slices, qty_lots // min_lots))
    span_ns = max(0, deadline_ns - start_ns)
    begins_ns = [start_ns]
    for index in range(1, slices):
        move = jitter_time * (2.0 * _uniform(seed, _TIME, index) - 1.0)
        begins_ns.append(start_ns + span_ns * index // slices + int(span_ns * move / slices))
    # Integer weights, so that the shares add up exactly.
    weights = [
        int(_WEIGHT_UNIT * (1.0 + jitter_size * (2.0 * _uniform(seed, _SIZE, index) - 1.0))) for index in range(slices)
    ]
    least = min_lots if slices > 1 else qty_lots
    excess = qty_lots - least * slices
    whole = sum(weights)
    targets: list[int] = []
    weight = 0
    for index in range(slices):
        weight += weights[index]
        targets.append(least * (index + 1) + excess * weight // whole)
    return tuple(begins_ns), tuple(targets)


def _uniform(seed: int, what: int, index: int) -> float:
    """A number in [0, 1) that is a pure function of its arguments: SplitMix64 (Steele, Lea, Flood 2014) as a hash."""
    return (_mix(_mix(_mix(seed) ^ what) ^ index) >> 11) * 2.0**-53


def _mix(number: int) -> int:
    """One step of SplitMix64: 64 bits in, 64 well mixed bits out."""
    mixed = (number + 0x9E3779B97F4A7C15) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return mixed ^ (mixed >> 31)
