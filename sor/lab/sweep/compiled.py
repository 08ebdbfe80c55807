"""The replay kernel as it runs: compiled by numba, of the extra `sweep`, or as the plain Python that it is."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from sor.errors import CallerError
from sor.lab.sweep import kernel, steps
from sor.lab.sweep.kernel import Asked, Bytes, Filled, Floats, Ints, Ints32, Market, Terms

_PARTS = (
    kernel._books,
    kernel._changes,
    kernel.past,
    kernel.level_at,
    kernel.change_at,
    kernel.joined,
    kernel.moved,
    kernel.followed,
    kernel.wide,
    kernel.rest_ticks,
    kernel.next_look,
    kernel.withdrawn,
    kernel.taken,
    kernel.run_parent,
    steps.opened,
    steps._ladder,
    steps._keep,
    steps.holds,
    steps._begin,
    steps._deeper,
    steps._sees,
    steps._reached,
    steps._walked_together,
)


class Kernel(NamedTuple):
    """The functions that are called from outside: best prices of a tape, its parents, and the steps of one parent."""

    told_apart: Callable[[Ints, int, Ints32, Ints], int]
    tabled: Callable[[Ints, Bytes, Bytes, Ints, Ints, int, Ints32, Market], int]
    run: Callable[[Market, Terms, Asked, Filled], int]
    looked: Callable[[Ints, int, int, Ints], tuple[int, int, int, int, int]]
    opposite_at: Callable[[Ints, int, int, int], tuple[int, int]]
    rested: Callable[[Ints, Ints, Floats, int, int, int, int, int, int], None]
    walked: Callable[[Ints, Ints, Floats, Ints, int, int, int], int]
    awaited: Callable[[Ints, Ints, Floats, int], int]
    met: Callable[[Ints, int, int, int, int, Ints], int]
    stands: Callable[[Ints, Ints, Floats, int, int], None]
    stood: Callable[[Ints, Ints, Floats, int], int]


_STEPS = (
    steps.looked,
    steps.opposite_at,
    steps.rested,
    steps.walked,
    steps.awaited,
    steps.met,
    steps.stands,
    steps.stood,
)
_TYPES = (
    "i8[::1], i8, i8, i8[:, :, ::1]",
    "i8[::1], i8, i8, i8",
    "i8[::1], i8[:, ::1], f8[:, ::1], i8, i8, i8, i8, i8, i8",
    "i8[::1], i8[:, ::1], f8[:, ::1], i8[::1], i8, i8, i8",
    "i8[::1], i8[::1], f8[::1], i8",
    "i8[::1], i8, i8, i8, i8, i8[:, ::1]",
    "i8[::1], i8[::1], f8[::1], i8, i8",
    "i8[::1], i8[::1], f8[::1], i8",
)
"""What each takes, as numba writes it: C-contiguous arrays that may be written to, and integers."""
INTERPRETED = Kernel(kernel.told_apart, kernel.tabled, kernel.run, *_STEPS)
"""As Python runs it, a hundred times slower: what the tests hold the compiled one to."""


@cache
def compiled() -> Kernel:
    """The kernel as machine code: compiled the first time, for half a minute, and kept beside the sources.

    Raises `CallerError` without numba.
    """
    try:
        from numba import njit
        from numba.extending import register_jitable
    except ModuleNotFoundError as error:
        raise CallerError(
            "sweeps are compiled by numba, which is not installed; nothing was replayed. Install sor[sweep]"
        ) from error
    # The parts that run parents make no arrays. Told so, numba leaves out counting the references to fourteen of them
    # around every call, which would take two thirds of the time.
    for part in _PARTS:
        register_jitable(_nrt=False)(part)
    whole = njit(cache=True, _nrt=False)
    tabled = njit(cache=True)(kernel.tabled)
    # With its types named a step refuses all others, where it would be compiled anew for them.
    made = [njit(f"({types})", cache=True, _nrt=False)(step) for step, types in zip(_STEPS, _TYPES, strict=True)]
    return Kernel(whole(kernel.told_apart), tabled, whole(kernel.run), *made)
