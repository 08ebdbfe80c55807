"""How somebody outside moves the kill switch of a journal: a file in its directory, which its router takes.

The router that writes the journal looks for it a few times a second, records what is asked, and then removes the file:
that it is gone says that it was heeded. Where no router runs the file stays, and the next one heeds it before it
connects. One that cannot be read asks for a halt: somebody wanted something, and that is the safe half of it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from sor.errors import CallerError
from sor.events import TradingMode
from sor.files import read_small
from sor.journal.layout import write_durably

SWITCH_NAME: Final = "switch.json"
_BYTES_MAX: Final = 64 * 1024


class SwitchAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the switch is wanted, and why."""

    mode: TradingMode
    reason: str


def ask_switch(directory: Path, asked: SwitchAsked) -> None:
    """Leave it for the journal's router; what was left before and not taken yet is replaced.

    Raises `CallerError` when it cannot be written.
    """
    new = directory / f"{SWITCH_NAME}.{os.getpid()}.new"
    try:
        write_durably(new, msgspec.json.encode(asked))
        os.replace(new, directory / SWITCH_NAME)
    except OSError as exc:
        raise CallerError(
            f"{directory / SWITCH_NAME} cannot be written: {exc.strerror}; its router was told nothing. Send it SIGUSR1"
        ) from exc


def switch_asked(directory: Path) -> SwitchAsked | None:
    """What was left there and not taken yet, None where nothing was."""
    try:
        return msgspec.json.decode(read_small(directory / SWITCH_NAME, bytes_max=_BYTES_MAX), type=SwitchAsked)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        return SwitchAsked(mode=TradingMode.HALTED, reason=f"{SWITCH_NAME} cannot be read: {error}")


def take_switch(directory: Path) -> None:
    """It is on record: remove it. Raises `OSError` when that fails."""
    (directory / SWITCH_NAME).unlink(missing_ok=True)
