"""Venue clock: how far the venue's clock is from ours, with a bound that can be relied on.

The venue reads its clock somewhere between our sending and our receiving, so one sample proves an interval for the
offset, as wide as the round trip plus the venue's rounding. Intervals of several samples are intersected; between
samples the interval grows by the greatest drift that two clocks are trusted to have. So the sample with the least
delay decides for as long as it is the best witness, and an asymmetric path, which would fool an average of half round
trips, cannot put the truth outside the bound. Nothing is kept but the interval.

Two samples that cannot both be true mean that a clock was set, or that the machine slept: the one sent later is
believed, and the estimate begins anew unless it was that one's already. Answers may arrive in another order.

Source: the interval intersection of K. Marzullo's thesis (1984), as in RFC 5905 section 11.2.1.
"""

from __future__ import annotations

from enum import Enum

from sor.errors import CallerError
from sor.units import MS

_PPM = 1_000_000


class Skew(Enum):
    """Whether the venue would accept a timestamp read from our own clock."""

    UNKNOWN = "unknown"
    """No sample yet."""
    WITHIN = "within"
    """Certainly accepted."""
    UNSURE = "unsure"
    """The bounds of the estimate lie on both sides of a limit."""
    BEYOND = "beyond"
    """Certainly refused."""


class VenueClock:
    """The venue's clock as seen from ours. All times in ns; offsets are venue time minus our time.

    rounding_ns     the venue truncates its time to this: most give milliseconds.
    drift_ppm_max   the two clocks run apart by at most this much; quartz without discipline stays below 100.
    """

    __slots__ = (
        "_anchor",
        "_at_ns",
        "_drift_ppm",
        "_drift_ppm_max",
        "_high_ns",
        "_known",
        "_low_ns",
        "_rounding_ns",
        "_sent_ns",
    )

    def __init__(self, *, rounding_ns: int = MS, drift_ppm_max: int = 100) -> None:
        if rounding_ns < 0 or drift_ppm_max < 0:
            raise CallerError("rounding and drift of a clock must not be negative; nothing was sent")
        self._rounding_ns = rounding_ns
        self._drift_ppm_max = drift_ppm_max
        self._known = False
        self._low_ns = 0
        self._high_ns = 0
        self._at_ns = 0
        self._sent_ns = 0
        self._anchor = (0, 0, 0)
        self._drift_ppm = (-float(drift_ppm_max), float(drift_ppm_max))

    @property
    def known(self) -> bool:
        """Whether there was a sample."""
        return self._known

    def sample(self, *, sent_ns: int, recv_ns: int, venue_ns: int) -> bool:
        """Learn from one request: the venue's time in an answer to what we sent at `sent_ns`, received at `recv_ns`.

        Returns False when it contradicts what was known (a clock was set): the estimate has then begun anew from it,
        unless it was sent before what is known, which then stands.
        Raises `CallerError` when it was received before it was sent.
        """
        if recv_ns < sent_ns:
            raise CallerError(f"a clock sample was received {sent_ns - recv_ns} ns before it was sent; it is not used")
        # The offset now is what it was when the venue looked, give or take the drift of a round trip.
        since_ns = self._drift_ns(recv_ns - sent_ns)
        low_ns, high_ns = venue_ns - recv_ns - since_ns, venue_ns + self._rounding_ns - sent_ns + since_ns
        if self._known:
            known_low, known_high = self.bounds_ns(recv_ns)
            if low_ns <= known_high and known_low <= high_ns:
                self._learn_drift(low_ns, high_ns, recv_ns)
                self._low_ns, self._high_ns, self._at_ns = max(low_ns, known_low), min(high_ns, known_high), recv_ns
                self._sent_ns = max(self._sent_ns, sent_ns)
                return True
            if sent_ns < self._sent_ns:
                return False
        first = not self._known
        self._anchor = (low_ns, high_ns, recv_ns)
        self._drift_ppm = (-float(self._drift_ppm_max), float(self._drift_ppm_max))
        self._known = True
        self._low_ns, self._high_ns, self._at_ns, self._sent_ns = low_ns, high_ns, recv_ns, sent_ns
        return first

    def bounds_ns(self, now_ns: int) -> tuple[int, int]:
        """The least and the greatest offset that the samples and the drift leave possible now.

        Raises `CallerError` before the first sample.
        """
        if not self._known:
            raise CallerError("the venue's clock is not known yet; ask for its time first")
        grown_ns = self._drift_ns(abs(now_ns - self._at_ns))
        return self._low_ns - grown_ns, self._high_ns + grown_ns

    def offset_ns(self, now_ns: int) -> int:
        """Best single value of venue time minus our time: the middle of the bounds; 0 before the first sample."""
        return sum(self.bounds_ns(now_ns)) // 2 if self._known else 0

    def error_ns(self, now_ns: int) -> int:
        """How far the truth can be from `offset_ns`, at most. Raises `CallerError` before the first sample."""
        low_ns, high_ns = self.bounds_ns(now_ns)
        return -(-(high_ns - low_ns) // 2)

    def venue_ns(self, now_ns: int) -> int:
        """Our time as the venue would tell it; our own time before the first sample."""
        return now_ns + self.offset_ns(now_ns)

    def drift_ppm(self) -> tuple[float, float]:
        """Bounds of how much faster the venue's clock runs than ours, since the estimate began."""
        return self._drift_ppm

    def skew(self, now_ns: int, *, behind_ns: int, ahead_ns: int) -> Skew:
        """Whether the venue accepts a timestamp of our own clock, uncorrected.

        behind_ns   it refuses timestamps older than this (the receive window).
        ahead_ns    it refuses timestamps further in its future than this.
        """
        if not self._known:
            return Skew.UNKNOWN
        low_ns, high_ns = self.bounds_ns(now_ns)
        if low_ns > behind_ns or high_ns < -ahead_ns:
            return Skew.BEYOND
        if high_ns <= behind_ns and low_ns >= -ahead_ns:
            return Skew.WITHIN
        return Skew.UNSURE

    def _drift_ns(self, span_ns: int) -> int:
        """The most that the clocks can run apart in `span_ns`, rounded up."""
        return -(-span_ns * self._drift_ppm_max // _PPM)

    def _learn_drift(self, low_ns: int, high_ns: int, at_ns: int) -> None:
        first_low, first_high, first_ns = self._anchor
        span_ns = at_ns - first_ns
        if span_ns > 0:
            least, most = self._drift_ppm
            least = max(least, (low_ns - first_high) * _PPM / span_ns)
            most = min(most, (high_ns - first_low) * _PPM / span_ns)
            # Bounds may cross by the rounding of floats when both ends are met exactly.
            self._drift_ppm = (least, max(least, most))
