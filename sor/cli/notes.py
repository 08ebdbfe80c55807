"""What adapters tell their log while a command runs, shown where its reader is looking."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

REPEAT_S = 10.0
"""The same words are not repeated sooner: a link that is opened again and again would drown everything else."""


class Notes(logging.Handler):
    """Hands every warning to `say`, which may be replaced while it runs."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self.say = say
        self._said_s: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Called by `logging`."""
        text, now_s = record.getMessage(), time.monotonic()
        if now_s - self._said_s.get(text, -REPEAT_S) >= REPEAT_S:
            self._said_s = {known: at_s for known, at_s in self._said_s.items() if now_s - at_s < REPEAT_S}
            self._said_s[text] = now_s
            self.say(text)


@contextmanager
def noted(say: Callable[[str], None]) -> Iterator[Notes]:
    """Show warnings in here by `say`, instead of as bare lines on stderr."""
    notes = Notes(say)
    logging.getLogger().addHandler(notes)
    try:
        yield notes
    finally:
        logging.getLogger().removeHandler(notes)


def unsaid(text: str) -> None:
    """Shows nothing: for answers that are one document, or say the same in other words."""
    del text
