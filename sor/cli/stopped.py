"""How a process is cut short, and what is then true of the venue. Nothing but the standard library, as `main`."""

from __future__ import annotations

import signal
import time

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
QUIET_S = 1.0
"""A signal this soon after the last one is the same wish: it must not stop the tidying up that the first one began."""


class Wishes:
    """The signals of this process, whoever hears them: those that come together are one wish."""

    def __init__(self) -> None:
        self._heard_s = float("-inf")

    def is_new(self) -> bool:
        """Whether the signal that has just come is another wish than the one before."""
        now_s = time.monotonic()
        new = now_s - self._heard_s >= QUIET_S
        if new:
            self._heard_s = now_s
        return new


WISHES = Wishes()


class Reached:
    """What the venue has to do with a command that is cut short, also while it tells its outcome.

    text    "" while nothing can have been sent; else where what was sent can be read.
    """

    def __init__(self) -> None:
        self.text = ""


REACHED = Reached()


class Stopped(KeyboardInterrupt):
    """A signal asked this process to end. Like `KeyboardInterrupt`, no handler of ordinary errors catches it.

    text    what is to be said about it; most commands end with the same sentence.
    """

    def __init__(self, number: int, text: str = "") -> None:
        super().__init__(number)
        self.exit_code = 128 + number
        self.text = text
