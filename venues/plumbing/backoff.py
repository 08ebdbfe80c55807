"""Back-off: how long to wait before the n-th attempt, spread out so that many who failed together do not come back so.

Full jitter: a uniform draw between nothing and a bound that doubles. Of the usual forms it loads a recovering server
least (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). The draw is handed in, seeded, so a
run can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from sor.errors import CallerError
from sor.units import MS, NS

Draw = Callable[[], float]
"""Uniform in [0, 1), such as `random.Random(seed).random`."""


class Backoff(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Bounds of the wait: the first is below `first_ns`, each later bound doubles, none is above `most_ns`."""

    first_ns: int = 100 * MS
    most_ns: int = 30 * NS

    def __post_init__(self) -> None:
        if not 0 < self.first_ns <= self.most_ns:
            raise CallerError(f"a back-off needs 0 < first <= most, got {self.first_ns} and {self.most_ns} ns")

    def wait_ns(self, failures: int, draw: Draw) -> int:
        """How long to wait after that many failures in a row (from 1)."""
        # 2**62 ns is above any bound; a larger exponent would only make large numbers.
        bound_ns = min(self.most_ns, self.first_ns << min(failures - 1, 62))
        return int(bound_ns * draw())
