"""When a venue's account is read again after fills: in the background, one read at a time, at most one more (B5).

A fill needs no confirmation: its report is the truth about it. What is checked is the account behind it, twice: at
once, so that whoever asks for balance and positions gets young ones, and once more when the symbol has been quiet for
long enough that the venue's word on the position counts. The account is read whole: one read serves every symbol.

No I/O, no clock: `next_ns` says when, whoever reads says how it went. A read that fails is tried again later and later,
and given up after `TRIES_MAX`: a venue that limits our rate must not be asked more because it does.
"""

from __future__ import annotations

from collections.abc import Mapping

from sor.ids import Symbol
from sor.units import NS

GAP_NS = NS
"""Between the end of one read and the next."""
RETRY_NS = NS
"""After the first failure; doubled for each one more, up to `RETRY_NS_MAX`."""
RETRY_NS_MAX = 60 * NS
TRIES_MAX = 8
"""After so many failures in a row nobody is asked until the next fill."""


class Refresh:
    """What one venue's account is to be read for, and when.

    It holds one time per symbol that has traded: a fill that comes during a read is seen to by the next one, however
    many come.
    """

    __slots__ = ("_due", "_failures", "_filled_ns", "_not_before_ns", "_reading")

    def __init__(self) -> None:
        self._due: dict[Symbol, int] = {}
        self._filled_ns: dict[Symbol, int] = {}
        self._reading: tuple[Symbol, ...] | None = None
        self._not_before_ns = 0
        self._failures = 0

    def filled(self, symbol: Symbol, at_ns: int) -> bool:
        """The latest fill of a symbol was at `at_ns`. Returns whether that is news."""
        if self._filled_ns.get(symbol, 0) == at_ns:
            return False
        self._filled_ns[symbol] = at_ns
        self._due[symbol] = at_ns
        return True

    def next_ns(self) -> int | None:
        """When to read; None while a read is under way, or nothing is wanted."""
        if self._reading is not None or not self._due:
            return None
        return max(min(self._due.values()), self._not_before_ns)

    def begin(self, now_ns: int) -> tuple[Symbol, ...]:
        """A read begins; returns the symbols that it is for."""
        assert self._reading is None, "one read at a time"
        reading = self._reading = tuple(symbol for symbol, at_ns in self._due.items() if at_ns <= now_ns)
        for symbol in reading:
            del self._due[symbol]
        return reading

    def done(self, now_ns: int, *, later: Mapping[Symbol, int]) -> None:
        """The read has succeeded.

        later    symbols that were still moving, and when each will have been quiet for long enough.
        """
        self._reading = None
        self._failures = 0
        self._not_before_ns = now_ns + GAP_NS
        for symbol, at_ns in later.items():
            self._due.setdefault(symbol, at_ns)  # a fill since then is due sooner

    def failed(self, now_ns: int) -> bool:
        """The read has failed. Returns whether it will be tried again."""
        reading, self._reading = self._reading, None
        assert reading is not None, "no read is under way"
        self._failures += 1
        if self._failures >= TRIES_MAX:
            self._failures = 0
            self._due.clear()
            return False
        self._not_before_ns = now_ns + min(RETRY_NS << (self._failures - 1), RETRY_NS_MAX)
        for symbol in reading:
            self._due.setdefault(symbol, now_ns)
        return True
