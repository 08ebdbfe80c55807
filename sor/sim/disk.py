"""The disk under a journal in a storm: what was synced survives a loss of power, and of the rest perhaps a piece.

Files are real ones, so the journal writes, reads and locks as it always does; only what a sync is worth is simulated.
It costs nothing here and is remembered: when the power goes, files are cut back to what was synced, or to any byte
behind it, and the turn that was being written may leave a beginning, nothing but zeros where it was going to be, or
any choice of its blocks. The note of how far was synced, which nothing syncs, may be an older one then.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from sor.journal.layout import segment_paths
from sor.journal.mark import Mark, read_mark
from sor.journal.segment import BLOCK, COMPLEMENT, HEADER_SIZE, pack_frame_head
from sor.rig import Draw

BODY_BYTES: Final = 4 * BLOCK
"""The most of the turn that was being written when the power went."""


def unfinished(body_bytes: int) -> bytes:
    """A turn that was being written: all of its bytes are there, and nothing of it was synced."""
    return pack_frame_head(body_bytes, body_bytes ^ COMPLEMENT, bytes(16)) + b"\x90" * body_bytes


def punch(path: Path, start: int, blocks: int) -> int:
    """Zeros for blocks of a file behind byte `start`; how many bytes that were.

    blocks    a bit for each, which is set where it is gone; where no bit of these is, the last one is.
    """
    size = path.stat().st_size
    all_of_them = range(start // BLOCK, (size - 1) // BLOCK + 1)
    gone = [block for no, block in enumerate(all_of_them) if blocks >> no & 1] or [all_of_them[-1]]
    taken = 0
    with path.open("r+b") as file:
        for block in gone:
            begin, end = max(start, block * BLOCK), min(size, (block + 1) * BLOCK)
            file.seek(begin)
            taken += file.write(bytes(end - begin))
    return taken


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
        draw = self._draw
        path = segment_paths(journal)[-1]
        file = path.stat()
        safe = self._safe.get(file.st_ino, 0)
        kept = safe + int((file.st_size - safe + 1) * draw.random())
        os.truncate(path, kept)
        turn = unfinished(1 + int(BODY_BYTES * draw.random()))
        part = int(len(turn) * draw.random())
        if kept == file.st_size and part:
            tail = draw.choice((bytes(part), turn[:part], turn))
            with path.open("ab") as segment:
                segment.write(tail)
            if tail is turn:
                punch(path, kept, int(2 ** (len(turn) // BLOCK + 2) * draw.random()))
        mark = read_mark(journal)
        if mark is not None and draw.random() < 0.5:
            older = Mark(journal)
            older.reached(mark.number, min(mark.end, HEADER_SIZE))
            older.close()
