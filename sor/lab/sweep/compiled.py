"""The replay kernel as it runs: compiled by numba, of the extra `sweep`, or as the plain Python that it is."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from sor.errors import CallerError
from sor.lab.sweep import kernel
from sor.lab.sweep.kernel import Asked, Bytes, Filled, Ints, Market, Terms

_PARTS = (
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
)


class Kernel(NamedTuple):
    """The two functions that are called from outside: best prices of a tape, and its parents."""

    tabled: Callable[[Ints, Bytes, Bytes, Ints, Ints, Ints, Ints, Ints, Bytes], tuple[Ints, Ints, Ints]]
    run: Callable[[Market, Terms, Asked, Filled], int]


INTERPRETED = Kernel(kernel.tabled, kernel.run)
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
    return Kernel(njit(cache=True)(kernel.tabled), njit(cache=True, _nrt=False)(kernel.run))
