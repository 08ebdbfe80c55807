"""Arms of a sweep side by side: which parents count, and what each arm costs beside one of them.

One parent that the lane does not answer under some arm counts under none, so that arms differ in what they do and not
in whom they count.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from sor.errors import CallerError
from sor.lab.bootstrap import Difference, Interval, block_of, difference, interval
from sor.lab.sweep.kernel import DONE, Bytes, Floats, Ints
from sor.lab.sweep.lane import BEYOND
from sor.units import to_ns

_STREAM = 4


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What an arm costs against the arrival mid, bps, as `sor replay` has it; p95 of single parents.

    beside    less what the arm costs that it is set beside; None for that one itself.
    """

    mean: Interval
    p95: float
    beside: Difference | None


class Counted(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The parents that every arm has an answer for.

    kept      (K,) which of the N they are. block: (K,) the block of start time of each.
    beyond    how many others there are, by why.
    """

    kept: Ints
    block: Ints
    beyond: dict[str, int]

    def cost(self, values: Floats, other: Floats | None, *, seed: int) -> Cost:
        """Of (K,) costs, beside (K,) `other`; None: it is what the others are set beside."""
        rng = np.random.default_rng([seed, _STREAM])
        mean = interval(values, self.block, rng)
        beside = None if other is None else difference(ours=values, theirs=other, block=self.block, rng=rng)
        return Cost(mean=mean, p95=float(np.quantile(values, 0.95)), beside=beside)


def counted(states: Sequence[Bytes], start_ns: Ints, *, deadline_s: float) -> Counted:
    """By how each arm left the (N,) parents. Raises `CallerError` when every one is beyond the lane under some arm."""
    state: Bytes = states[0]
    for other in states[1:]:
        state = np.where(state == DONE, other, state)
    kept = np.flatnonzero(state == DONE)
    if not kept.size:
        raise CallerError("the lane can answer none of these parents; nothing was compared. Use sor replay")
    return Counted(
        kept=kept,
        block=block_of(start_ns, deadline_ns=to_ns(deadline_s))[kept],
        beyond={why: int((state == code).sum()) for code, why in BEYOND.items() if (state == code).any()},
    )
