"""When a router writes its state down, and how little of it trading waits for (0112).

Frozen is the state between two turns: that is all which everything waits for. Encoding what is over, syncing the turns
and writing the file go on in a thread beside the loop.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import anyio
import anyio.to_thread

from sor import __version__
from sor.checkpoint import Frozen, freeze, layout
from sor.dispatch import Dispatcher
from sor.errors import JournalFault
from sor.fit_watch import FitWatches
from sor.journal import Journal
from sor.journal.checkpoint import Head
from sor.router import Core

_log = logging.getLogger(__name__)
POLL_S: Final = 1.0
"""How often a router looks whether one is due."""


class Checkpoints:
    """The checkpoints of one journal.

    core, fits    as of its last turn, whenever no turn is being taken in.
    every_bytes   how much is recorded from one to the next, at least; 0 for never.
    alarm         is told where one could not be written; trading goes on.
    """

    def __init__(
        self, core: Core, fits: FitWatches, journal: Journal, *, every_bytes: int, alarm: Callable[[str], None]
    ) -> None:
        self._core = core
        self._fits = fits
        self._journal = journal
        self._every_bytes = every_bytes
        self._alarm = alarm
        self._size = 0
        self.stale = False
        """The newest cannot be read here, so that another one is due."""

    @property
    def due(self) -> bool:
        """Whether enough was recorded: also no less than the last one has bytes, so that they never are most of it."""
        if not self._every_bytes:
            return False
        return self.stale or self._journal.grown >= max(self._every_bytes, self._size)

    def write(self) -> None:
        """Write one now; everything waits for it. Raises `JournalFault` where the turns cannot be synced."""
        self._told(self._put(*self._freeze()))

    async def keep(self, dispatcher: Dispatcher) -> None:
        """Write one whenever it is due."""
        while True:
            await anyio.sleep(POLL_S)
            if dispatcher.fault is not None:
                return  # what the core holds is ahead of what is on disk
            if self.due:
                try:
                    self._told(await anyio.to_thread.run_sync(self._put, *self._freeze()))
                except JournalFault as fault:
                    self._alarm(str(fault))  # the next turn will meet it, and stop what has to be stopped
                    return

    def _freeze(self) -> tuple[Frozen, Head]:
        self.stale = False
        frozen = freeze(self._core, self._fits)
        head = self._journal.here(layout=layout(), version=__version__, now_ns=frozen.now_ns, parents=frozen.given)
        return frozen, head

    def _put(self, frozen: Frozen, head: Head) -> OSError | None:
        """Perhaps in a thread of its own."""
        try:
            self._size = self._journal.keep(head, frozen.pieces())
        except OSError as error:
            return error
        return None

    def _told(self, error: OSError | None) -> None:
        if error is not None:
            text = f"no checkpoint could be written: {error.strerror}. A start reads more turns; nothing else changes"
            _log.warning(text)
            self._alarm(text)
