"""How far a synced journal has been synced: what tells a turn that the power took from one that was damaged later.

After power loss the pages of a turn that was not synced are there in any choice, so it may have all of its bytes and a
hole in the middle, as a damaged turn may. Under `Durability.SYNCED` the writer therefore notes after each sync how far
it reached, in a file beside the segments. The note is handed to the kernel and no further: once it was lost with the
power too, an older one stands there, which claims less. It never claims what was not synced, so turns that it reaches
and that are not there, or not whole, are missed.

There is a note for as long as every turn is synced before it is acknowledged, and no longer: opening a journal under
`Durability.KERNEL` removes it. Without one nothing is known, and a hole is damage.
"""

from __future__ import annotations

import os
from pathlib import Path
from struct import Struct
from typing import Final
from zlib import crc32

import msgspec

MARK_NAME: Final = "SYNCED"
_MARK = Struct("<IQ")
_CHECKED = Struct("<IQI")


class Synced(msgspec.Struct, frozen=True, gc=False):
    """Everything up to byte `end` of segment `number` has been on stable storage; of what follows, one turn at most."""

    number: int
    end: int


def read_mark(directory: Path) -> Synced | None:
    """The note of a synced journal; None for any other, or where the note itself is damaged."""
    try:
        content = (directory / MARK_NAME).read_bytes()
    except OSError:
        return None
    if len(content) != _CHECKED.size:
        return None
    number, end, check = _CHECKED.unpack(content)
    return Synced(number, end) if crc32(content[: _MARK.size]) == check else None


class Mark:
    """The note, held open by the one writer. `OSError` where the disk does not take it."""

    __slots__ = ("_fd",)

    def __init__(self, directory: Path) -> None:
        path = directory / MARK_NAME
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)

    def reached(self, number: int, end: int) -> None:
        """A sync of everything up to there has returned."""
        plain = _MARK.pack(number, end)
        os.pwrite(self._fd, plain + crc32(plain).to_bytes(4, "little"), 0)

    def close(self) -> None:
        """No more notes."""
        os.close(self._fd)
