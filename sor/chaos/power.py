"""Power loss, with real processes: what a killed one had not synced is on the disk, or not, or as zeros.

The kernel goes on after a `kill -9` and keeps all that was written; without power only what was synced is sure. So a
process notes how far each sync of its reached, and when it has been killed what is behind that may go. What a file
system promises of names is believed: files stay where they are, and what was renamed stays renamed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Protocol

import msgspec

from sor.chaos.plan import Loss
from sor.journal.layout import segment_paths

NOTES_NAME: Final = "synced"


class Opened(Protocol):
    """What the system's calls take in the place of a descriptor."""

    def fileno(self) -> int:
        """Its descriptor."""


class Reached(msgspec.Struct, frozen=True, array_like=True):
    """A sync: so many bytes of the file with this number are on the disk."""

    inode: int
    n_bytes: int


def note_syncs(notes: Path) -> None:
    """From now on this process notes how far each `os.fdatasync` of its reached, once it has returned."""
    sync = os.fdatasync
    file = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def fdatasync(fd: int | Opened) -> None:
        about = os.fstat(fd if isinstance(fd, int) else fd.fileno())  # before: what comes meanwhile may not be there
        sync(fd)
        os.write(file, msgspec.json.encode(Reached(about.st_ino, about.st_size)) + b"\n")

    os.fdatasync = fdatasync


def lose_power(journal: Path, notes: Path, loss: Loss) -> int:
    """Take from a journal whose process is dead what the power may have taken; bytes that are gone."""
    synced: dict[int, int] = {}
    if notes.exists():
        for line in notes.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                reached = msgspec.json.decode(line, type=Reached)
                synced[reached.inode] = max(reached.n_bytes, synced.get(reached.inode, 0))
    lost = 0
    for path in segment_paths(journal):
        about = path.stat()
        safe = synced.get(about.st_ino, 0)
        open_bytes = about.st_size - safe
        if open_bytes <= 0:
            continue
        kept = round(loss.keeps * open_bytes)
        os.truncate(path, safe if loss.zeros else safe + kept)
        if loss.zeros:
            os.truncate(path, safe + kept)  # a hole reads as zeros
        lost += open_bytes if loss.zeros else open_bytes - kept
    return lost
