"""Orders that call for orders: a Hawkes process with an exponential kernel, and what is known of it.

Each arrival raises the rate by `jump_per_s`, and what it raised fades with `decay_per_s`. Each thus has `branching` =
jump / decay children on average, near in time, and the process is stable while that is below one.

Source    Bacry, Mastromatteo, Muzy, Hawkes processes in finance, Market Microstructure and Liquidity 1 (1), 2015;
          methods 7.3.
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError

Seconds = NDArray[np.float64]


class HawkesRates(msgspec.Struct, frozen=True, kw_only=True):
    """One process: `base_per_s` arrivals that nothing called for, > 0, `jump_per_s` >= 0 and `decay_per_s` > 0.

    Raises    CallerError for rates out of bounds, or a branching of one or more, at which arrivals never end.
    """

    base_per_s: float
    jump_per_s: float
    decay_per_s: float

    def __post_init__(self) -> None:
        if self.base_per_s <= 0.0 or self.jump_per_s < 0.0 or self.decay_per_s <= 0.0:
            raise CallerError(f"{self} has a rate that is not positive; nothing was worked out")
        if self.branching >= 1.0:
            raise CallerError(
                f"each arrival calls for {self.branching:g} others, which never ends; give a jump below the decay"
            )

    @classmethod
    def of_mean(cls, *, mean_per_s: float, branching: float, decay_per_s: float) -> HawkesRates:
        """The process of that mean rate whose arrivals have so many children each."""
        return cls(
            base_per_s=mean_per_s * (1.0 - branching), jump_per_s=branching * decay_per_s, decay_per_s=decay_per_s
        )

    @property
    def branching(self) -> float:
        """Children of an arrival, on average."""
        return self.jump_per_s / self.decay_per_s

    @property
    def mean_per_s(self) -> float:
        """Arrivals per second in the long run."""
        return self.base_per_s / (1.0 - self.branching)

    @property
    def fano(self) -> float:
        """Variance of the number of arrivals in a long time over its mean; 1 where none calls for another."""
        return (1.0 - self.branching) ** -2


def rescaled_gaps(rates: HawkesRates, at_s: Seconds) -> Seconds:
    """Gaps between arrivals in units of what was expected in them, shape (n - 1,).

    at_s      times of arrivals in ascending order, seconds, shape (n,), from a time before which there were none.

    If the arrivals are of this process the gaps are independent and exponential of mean 1 (time rescaling), which is
    how a fit is tested.
    """
    gaps_s = np.diff(at_s)
    expected = np.empty(len(gaps_s))
    raised = 0.0  # what has been raised and not yet faded, per second, just after an arrival
    for i, gap_s in enumerate(gaps_s.tolist()):
        raised += rates.jump_per_s
        left = raised * float(np.exp(-rates.decay_per_s * gap_s))
        expected[i] = rates.base_per_s * gap_s + (raised - left) / rates.decay_per_s
        raised = left
    return expected
