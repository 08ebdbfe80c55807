"""The disk under a journal in a storm: what was synced survives a loss of power, and of the rest perhaps a piece.

Files are real ones, so the journal writes, reads and locks as it always does; only what a sync is worth is simulated.
It costs nothing here and is remembered: when the power goes, files are cut back to what was synced, or to any byte
behind it, and the turn that was being written may leave a beginning, or nothing but zeros where it was going to be.
"""

from __future__ import annotations

import os
from pathlib import Path

from sor.journal.layout import segment_paths
from sor.journal.segment import COMPLEMENT, pack_frame_head
from sor.rig import Draw

BODY_BYTES = 64
"""Of the turn that was being written when the power went."""
_FRAME = pack_frame_head(BODY_BYTES, BODY_BYTES ^ COMPLEMENT, bytes(16)) + b"\x90" * BODY_BYTES


class Disk:
    """What it has safe of each file, by inode. `draw` decides what becomes of the rest."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._safe: dict[int, int] = {}

    def sync(self, fd: int) -> None:
        """Everything that was written to this file so far is safe."""
        file = os.fstat(fd)
        self._safe[file.st_ino] = file.st_size

    def lose_power(self, journal: Path) -> None:
        """Leave of a journal that nobody has open what a loss of power leaves of it."""
        path = segment_paths(journal)[-1]
        file = path.stat()
        safe = self._safe.get(file.st_ino, 0)
        kept = safe + int((file.st_size - safe + 1) * self._draw.random())
        os.truncate(path, kept)
        torn = int(len(_FRAME) * self._draw.random())
        if kept == file.st_size and torn:
            with path.open("ab") as segment:
                segment.write(self._draw.choice((bytes(torn), _FRAME[:torn])))
