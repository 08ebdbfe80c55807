"""Jitter: numbers that spread attempts out. They need not be unpredictable, only different from machine to machine.

A counter and a mixer instead of a generator of the standard library, so that a session's back-off is a function of its
seed and of nothing else, the same on every platform.

Source: SplitMix64, G. Steele, D. Lea and C. Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014).
"""

from __future__ import annotations

from itertools import count

from venues.plumbing.backoff import Draw

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def jitter(seed: int) -> Draw:
    """Uniform numbers in [0, 1), always the same ones for a seed."""
    steps = count(1)

    def draw() -> float:
        mixed = (seed + next(steps) * _GOLDEN) & _MASK
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return ((mixed ^ (mixed >> 31)) >> 11) / (1 << 53)

    return draw
