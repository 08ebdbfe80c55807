"""Costs that hang together over time, with a mean that is known to be 0."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def overlapping(rng: np.random.Generator, *, parents: int, span: int, deadline: int) -> tuple[Ints, Floats]:
    """Starts and costs with mean 0 of parents that rest while a random walk runs.

    A gain is at most 1, a move against us costs twice its size: what a resting order that then crosses looks like.
    """
    walk = np.concatenate([[0.0], np.cumsum(rng.standard_normal(span + deadline))])
    start = rng.integers(0, span, parents)
    move = (walk[start + deadline] - walk[start]) / np.sqrt(deadline)
    return start, np.where(move < 0, -1.0, 2 * move) - (2 / np.sqrt(2 * np.pi) - 0.5)


def autoregressive(rng: np.random.Generator, count: int, *, keeps: float) -> Floats:
    """Normal values of which each keeps a share of the one before."""
    steps = rng.standard_normal(count + 100)
    for no in range(1, len(steps)):
        steps[no] += keeps * steps[no - 1]
    values: Floats = steps[100:]
    return values
