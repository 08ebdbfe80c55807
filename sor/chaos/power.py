"""Power loss, with real processes: what a killed one had not synced is on the disk, or not, or as zeros, or in pieces.

The kernel goes on after a `kill -9` and keeps all that was written; without power only what was synced is sure. So a
process notes how far each sync of its reached, and when it has been killed what is behind that may go. What a file
system promises of names is believed: files stay where they are, and what was renamed stays renamed.

Seldom does a kill strike between a write and the end of its sync; where it did not, the turn that would have been
written next stands for the one that it missed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Protocol

import msgspec

from sor.chaos.plan import Loss
from sor.journal.layout import META_NAME, segment_paths
from sor.journal.mark import read_mark
from sor.sim.disk import punch, unfinished

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
    """Take from a journal whose process is dead what the power may have taken; bytes that are gone or zeros."""
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
        if loss.blocks:
            lost += punch(path, safe, loss.blocks)
            continue
        kept = round(loss.keeps * open_bytes)
        os.truncate(path, safe if loss.zeros else safe + kept)
        if loss.zeros:
            os.truncate(path, safe + kept)  # a hole reads as zeros
        lost += open_bytes if loss.zeros else open_bytes - kept
    if not lost and loss.blocks and (journal / META_NAME).exists() and read_mark(journal) is not None:
        path = segment_paths(journal)[-1]
        size = path.stat().st_size
        with path.open("ab") as segment:
            segment.write(unfinished(loss.blocks))
        lost += punch(path, size, loss.blocks)
    return lost
