"""Delays on the three ways between us and a recorded venue, drawn from seeded generators.

feed       venue -> us, market data: a whole column at once, as every event of the recording has its own
entry      us -> venue, requests
response   venue -> us, reports

Each way of each connection draws from a generator of its own, so how often one is asked does not change what another
answers.
"""

from __future__ import annotations

from math import exp
from pathlib import Path
from random import Random
from statistics import median_low

import msgspec
import numpy as np

from sor.errors import CallerError
from sor.files import read_small
from sor.tape import IntColumn
from sor.units import MS, NS, US

_UNITS = {"ns": 1, "us": US, "ms": MS, "s": NS}


MEASURED_MAX = 100_000
"""More measured delays than this say nothing more; they are refused."""


class Delay(msgspec.Struct, frozen=True, kw_only=True):
    """A constant, or log-normal around a median, or drawn from delays that were measured.

    median_ns      >= 0.
    sigma          standard deviation of the logarithm; 0 makes it constant.
    measured_ns    what probes took, in any order; `median_ns` is their median. Each draw is by itself, so the tails are
                   those of the probes, but slow moments that came together do not.
    """

    median_ns: int
    sigma: float = 0.0
    measured_ns: tuple[int, ...] = ()

    @property
    def drawn(self) -> bool:
        """Whether there is anything to draw."""
        return self.sigma > 0 or bool(self.measured_ns)


def read_delay(text: str) -> Delay:
    """Read `5ms`, `250us`, `0`, or `5ms~0.4` (log-normal: median and sigma), or `@PATH` (measured, one on each line).

    Raises `CallerError` for anything else.
    """
    if text.startswith("@"):
        return _read_measured(Path(text[1:]))
    median, tilde, spread = text.partition("~")
    median_ns = _read_ns(median)
    try:
        sigma = float(spread) if tilde else 0.0
    except ValueError:
        sigma = -1.0
    if median_ns is None or not 0 <= sigma < 10:
        raise CallerError(
            f"{text!r} is no delay; nothing was opened. Write 5ms, 5ms~0.4 for log-normal, or @PATH for measured ones"
        )
    return Delay(median_ns=median_ns, sigma=sigma)


def _read_measured(path: Path) -> Delay:
    try:
        lines = read_small(path, bytes_max=64 * MEASURED_MAX).decode("ascii").split()
    except (OSError, ValueError) as error:
        raise CallerError(f"measured delays in {path} cannot be read ({error}); nothing was opened") from error
    if not 1 <= len(lines) <= MEASURED_MAX:
        raise CallerError(f"{path} holds {len(lines)} delays; nothing was opened. Give 1 to {MEASURED_MAX}")
    measured_ns: list[int] = []
    for number, line in enumerate(lines, start=1):
        delay_ns = _read_ns(line)
        if delay_ns is None:
            raise CallerError(f"{path}: entry {number}, {line!r}, is no delay; nothing was opened. Write it like 5.2ms")
        measured_ns.append(delay_ns)
    return Delay(median_ns=median_low(measured_ns), measured_ns=tuple(measured_ns))


def _read_ns(text: str) -> int | None:
    """A duration of at least 0 as ns, None for anything else."""
    number = text.rstrip("nums")
    try:
        duration_ns = round(float(number) * _UNITS[text[len(number) :] or "ns"])
    except (ValueError, KeyError, OverflowError):
        return None
    return duration_ns if duration_ns >= 0 else None


class Line:
    """One way of one connection: everything on it takes a delay of its own, and nothing overtakes."""

    __slots__ = ("_delay", "_last_ns", "_random")

    def __init__(self, delay: Delay, *, seed: int, way: str) -> None:
        self._delay = delay
        self._random = Random(f"{seed}/{way}") if delay.drawn else None
        self._last_ns = 0

    def arrival_ns(self, sent_ns: int) -> int:
        """When what is sent now arrives."""
        delay = self._delay
        delay_ns = delay.median_ns
        if self._random is not None:
            if delay.measured_ns:
                delay_ns = self._random.choice(delay.measured_ns)
            else:
                delay_ns = round(delay_ns * exp(self._random.gauss(0.0, delay.sigma)))
        at_ns = self._last_ns = max(self._last_ns, sent_ns + delay_ns)
        return at_ns


def local_times(venue_ns: IntColumn, delay: Delay, *, seed: int, way: str) -> IntColumn:
    """When each event of a column reaches us: its venue time and a delay of its own, in the venue's order."""
    if not delay.drawn:
        return venue_ns + delay.median_ns
    generator = np.random.default_rng([seed, *way.encode()])
    if delay.measured_ns:
        delays_ns = generator.choice(np.array(delay.measured_ns, dtype=np.int64), len(venue_ns))
    else:
        draws = generator.standard_normal(len(venue_ns))
        delays_ns = np.rint(delay.median_ns * np.exp(delay.sigma * draws)).astype(np.int64)
    return np.maximum.accumulate(venue_ns + delays_ns)
