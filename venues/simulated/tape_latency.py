"""Delays on the three ways between us and a recorded venue, drawn from seeded generators.

feed       venue -> us, market data: a whole column at once, as every event of the recording has its own
entry      us -> venue, requests
response   venue -> us, reports

Each way of each connection draws from a generator of its own, so how often one is asked does not change what another
answers.
"""

from __future__ import annotations

from math import exp, log
from random import Random

import msgspec
import numpy as np

from sor.errors import CallerError
from sor.tape import IntColumn
from sor.units import MS, NS, US

_UNITS = {"ns": 1, "us": US, "ms": MS, "s": NS}


class Delay(msgspec.Struct, frozen=True, kw_only=True):
    """A constant, or log-normal around a median.

    median_ns    >= 0.
    sigma        standard deviation of the logarithm; 0 makes it constant.
    """

    median_ns: int
    sigma: float = 0.0


def read_delay(text: str) -> Delay:
    """Read `5ms`, `250us`, `0`, or `5ms~0.4` (log-normal: median and sigma). Raises `CallerError` for anything else."""
    median, tilde, spread = text.partition("~")
    number = median.rstrip("nums")
    unit = median[len(number) :]
    try:
        delay = Delay(median_ns=round(float(number) * _UNITS[unit or "ns"]), sigma=float(spread) if tilde else 0.0)
    except (ValueError, KeyError, OverflowError):
        delay = Delay(median_ns=-1)
    if delay.median_ns < 0 or not 0 <= delay.sigma < 10:
        raise CallerError(f"{text!r} is no delay; nothing was opened. Write 5ms, or 5ms~0.4 for log-normal")
    return delay


class Line:
    """One way of one connection: everything on it takes a delay of its own, and nothing overtakes."""

    __slots__ = ("_delay", "_last_ns", "_random")

    def __init__(self, delay: Delay, *, seed: int, way: str) -> None:
        self._delay = delay
        self._random = Random(f"{seed}/{way}") if delay.sigma else None
        self._last_ns = 0

    def arrival_ns(self, sent_ns: int) -> int:
        """When what is sent now arrives."""
        delay_ns = self._delay.median_ns
        if self._random is not None:
            delay_ns = round(delay_ns * exp(self._random.gauss(0.0, self._delay.sigma)))
        at_ns = self._last_ns = max(self._last_ns, sent_ns + delay_ns)
        return at_ns


def local_times(venue_ns: IntColumn, delay: Delay, *, seed: int, way: str) -> IntColumn:
    """When each event of a column reaches us: its venue time and a delay of its own, in the venue's order."""
    if not delay.sigma:
        return venue_ns + delay.median_ns
    draws = np.random.default_rng([seed, *way.encode()]).standard_normal(len(venue_ns))
    return np.maximum.accumulate(
        venue_ns + np.rint(np.exp(log(delay.median_ns) + delay.sigma * draws)).astype(np.int64)
    )
