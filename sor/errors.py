"""The error tree: six children of `SorError`, told apart by what reached the venue.

Business ends (filled, canceled, expired, rejected, denied) are facts, not exceptions. Once a byte has left, a
timeout, a reset, a 5xx or an unreadable reply is `InDoubt`: it is never retried, only reconciled.
Every message says what was wrong, whether anything reached the venue, and what to do.
"""


class SorError(Exception):
    """Base of everything this package raises on purpose."""


class CallerError(SorError):
    """Malformed request: nothing happened, nothing was sent."""


class NotSent(SorError):
    """The request provably never left this machine; it may be retried."""


class RateLimited(NotSent):
    """The venue takes nothing from us, for having been asked too much; who goes on asking makes it longer.

    until_ns    wall time from which it may be asked again, nanoseconds; 0 where nobody knows.
    """

    def __init__(self, text: str, until_ns: int = 0) -> None:
        super().__init__(text)
        self.until_ns = until_ns


class InDoubt(SorError):
    """The request may have arrived; only reconciliation may settle it."""


class VenueFault(SorError):
    """The venue broke its own contract; trading on it stops until somebody has looked."""


class JournalFault(SorError):
    """The journal cannot be written or does not verify; sending stops."""


class ReplayDiverged(SorError):
    """The same journal gave other wishes than those it recorded."""
