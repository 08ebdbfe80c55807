"""Asking something of the router of a journal, from another process."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from sor.errors import CallerError

if TYPE_CHECKING:
    from sor.journal.wanted import Asked


def ask(journal: Path, asked: Asked, wait: str) -> bool:
    """Leave it for the router and wait while one runs; whether it was heeded. Raises `CallerError` with its refusal."""
    from sor.cli.terms import seconds
    from sor.journal.lock import lock_holder
    from sor.journal.wanted import ask_router, refusal_of

    until_s = time.monotonic() + seconds(wait)
    path = ask_router(journal, asked)
    if lock_holder(journal) is None:
        return False
    while path.exists() and time.monotonic() < until_s:
        time.sleep(0.05)
    refused = refusal_of(path)
    if refused is not None:
        raise CallerError(refused)
    return not path.exists()
