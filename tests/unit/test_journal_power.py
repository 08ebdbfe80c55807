"""A last turn with holes: the power took pages of it before its sync had returned. Cut where that is sure, else not."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

import pytest

from sor.errors import JournalFault
from sor.events import ParamsAdopted
from sor.journal import Durability, Environment, Journal, Record, turns, verify
from sor.journal.layout import read_meta, segment_paths
from sor.journal.mark import MARK_NAME, Mark, Synced, read_mark
from sor.journal.reader import Scan
from sor.journal.segment import BLOCK, FRAME_HEAD, HEADER_SIZE
from sor.sim.disk import Disk

LONG = 3 * BLOCK
"""Of a text: a turn of four or five blocks."""


def long(no: int, *, size: int = LONG) -> list[Record]:
    return [ParamsAdopted(now_ns=no, name="n", digest="d", text=f"{no}" * size)]


def made(path: Path, *, durability: Durability = Durability.SYNCED, segment_bytes: int = 1 << 20) -> Path:
    """Three turns, of which the sync of the last has not returned; the process is dead."""
    with Journal.create(
        path, epoch=7, environment=Environment.SIMULATED, durability=durability, segment_bytes=segment_bytes
    ) as journal:
        for no in (1, 2):
            journal.append(long(no))
        before = (path / MARK_NAME).read_bytes() if durability is Durability.SYNCED else b""
        journal.append(long(3))
    if before:
        (path / MARK_NAME).write_bytes(before)
    return path


def last(path: Path) -> Path:
    return max(path.glob("*.seg"))


def hole(path: Path, start: int, end: int) -> None:
    with last(path).open("r+b") as file:
        file.seek(start)
        file.write(bytes(end - start))


def recorded(path: Path) -> list[list[Record]]:
    return [turn.records for turn in turns(path)]


def starts(path: Path) -> list[int]:
    """Where the turns of the last segment begin, and where the last one ends."""
    number = int(last(path).stem)
    return [*(turn.offset for turn in turns(path) if turn.segment == number), last(path).stat().st_size]


def refused(path: Path) -> bool:
    """Whether it does not open, and nothing of it was changed."""
    before = {file.name: file.read_bytes() for file in sorted(path.iterdir()) if file.name != "LOCK"}
    try:
        with Journal.open(path, durability=Durability.SYNCED):
            return False
    except JournalFault:
        assert verify(path).faults
        assert {file.name: file.read_bytes() for file in sorted(path.iterdir()) if file.name != "LOCK"} == before
        return True


def test_any_choice_of_its_blocks_may_come_back(tmp_path: Path) -> None:
    whole = made(tmp_path / "whole")
    start, size = starts(whole)[2:]
    first = start // BLOCK
    blocks = range(first, (size - 1) // BLOCK + 1)
    assert len(blocks) >= 4
    for choice in range(1, 1 << len(blocks)):
        path = tmp_path / f"{choice}"
        shutil.copytree(whole, path)
        for no, block in enumerate(blocks):
            if choice >> no & 1:
                hole(path, max(start, block * BLOCK), min(size, (block + 1) * BLOCK))
        assert recorded(path) == [long(1), long(2)]
        assert (verify(path).torn_tail_bytes, verify(path).faults) == (size - start, ())
        with Journal.open(path, durability=Durability.SYNCED) as journal:
            assert (journal.last_turn, journal.torn_tail_bytes) == (2, size - start)
            journal.append(long(4))
        assert recorded(path) == [long(1), long(2), long(4)]


def test_nothing_but_what_a_power_loss_leaves_is_cut(tmp_path: Path) -> None:
    """Other damage of the same turn, by the byte: it may have been acted upon, so a person decides."""
    path = made(tmp_path / "j")
    start, size = starts(path)[2:]
    whole = last(path).read_bytes()
    for at in (*range(start, start + FRAME_HEAD), *range(start, size, 101)):
        last(path).write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(JournalFault):
            recorded(path)
    last(path).write_bytes(whole)
    hole(path, start + FRAME_HEAD, start + FRAME_HEAD + BLOCK // 2)
    assert refused(path)


def test_what_was_synced_is_never_cut(tmp_path: Path) -> None:
    """A hole in any turn but the last, wherever it lies, and however old the note is that was left."""
    path = made(tmp_path / "j")
    first, second, third, _ = starts(path)
    whole, note = last(path).read_bytes(), (path / MARK_NAME).read_bytes()
    for start in (first, *range(BLOCK, third, BLOCK)):
        hole(path, start, min(third, start - start % BLOCK + BLOCK))
        for reached in (HEADER_SIZE, second, third):
            mark = Mark(path)
            mark.reached(1, reached)
            mark.close()
            assert refused(path), (start, reached)
        (path / MARK_NAME).write_bytes(note[:-1])
        assert refused(path), start
        last(path).write_bytes(whole)


def test_a_last_turn_that_is_known_to_be_synced_is_not_cut(tmp_path: Path) -> None:
    path = made(tmp_path / "j")
    start, size = starts(path)[2:]
    mark = Mark(path)
    mark.reached(1, size)
    mark.close()
    hole(path, (start // BLOCK + 1) * BLOCK, (start // BLOCK + 2) * BLOCK)
    assert refused(path)


def test_turns_that_are_known_to_be_synced_are_missed(tmp_path: Path) -> None:
    """An end that comes too soon, as zeros, in a turn or between two, a header that is gone, and a whole segment."""
    path = made(tmp_path / "j", segment_bytes=4 * BLOCK)
    mark = Mark(path)
    mark.reached(3, last(path).stat().st_size)
    mark.close()
    whole = last(path).read_bytes()
    for left in (whole[:-1], whole[:HEADER_SIZE], whole[:HEADER_SIZE] + bytes(BLOCK), whole[:5], bytes(len(whole))):
        last(path).write_bytes(left)
        assert refused(path), len(left)
    last(path).unlink()
    assert refused(path)
    with pytest.raises(JournalFault, match="segment 000003 was synced, and is missing after it"):
        recorded(path)


def test_a_reader_that_has_listed_the_segments_is_not_misled(tmp_path: Path) -> None:
    """The writer has begun another one since."""
    path = made(tmp_path / "j", segment_bytes=4 * BLOCK)
    mark = Mark(path)
    mark.reached(3, last(path).stat().st_size)
    mark.close()
    scan = Scan(path, read_meta(path), segment_paths(path)[:2])
    scan.check()
    assert scan.turn_no == 2


def test_a_hole_is_damage_where_nothing_is_synced(tmp_path: Path) -> None:
    """The process may have acted upon the turn before the power went."""
    path = made(tmp_path / "j", durability=Durability.KERNEL)
    assert not (path / MARK_NAME).exists()
    start = starts(path)[2]
    hole(path, (start // BLOCK + 1) * BLOCK, (start // BLOCK + 2) * BLOCK)
    assert refused(path)


def test_the_note_follows_the_syncs_and_goes_with_them(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal.create(
        path, epoch=7, environment=Environment.SIMULATED, durability=Durability.SYNCED, segment_bytes=4 * BLOCK
    ) as journal:
        for no in (1, 2, 3):
            journal.append(long(no))
            assert read_mark(path) == Synced(no, last(path).stat().st_size)
    with Journal.open(path):  # by the kernel from here on
        assert read_mark(path) is None
    with Journal.open(path, durability=Durability.SYNCED):
        assert read_mark(path) == Synced(3, last(path).stat().st_size)


def test_a_segment_may_begin_with_a_hole(tmp_path: Path) -> None:
    """Its header is synced with its first turn, and goes with it."""
    path = made(tmp_path / "j", segment_bytes=4 * BLOCK)
    size = last(path).stat().st_size
    hole(path, 0, BLOCK)
    with Journal.open(path, durability=Durability.SYNCED, segment_bytes=4 * BLOCK) as journal:
        assert (journal.last_turn, journal.torn_tail_bytes) == (2, size)
        journal.append(long(4))
    assert recorded(path) == [long(1), long(2), long(4)]


def test_a_synced_segment_does_not(tmp_path: Path) -> None:
    path = made(tmp_path / "j", segment_bytes=4 * BLOCK)
    hole(path, 0, BLOCK)
    mark = Mark(path)
    mark.reached(3, HEADER_SIZE + 1)
    mark.close()
    assert refused(path)


def test_storms_leave_such_tails(tmp_path: Path) -> None:
    """The disk of the simulator: what was synced stays, and holes are among what may follow it."""
    path = made(tmp_path / "j")
    size = last(path).stat().st_size
    disk, torn = Disk(Random(1)), 0
    for _ in range(40):
        with last(path).open("rb") as segment:
            disk.sync(segment.fileno())
        disk.lose_power(path)
        tail = last(path).read_bytes()[size:]
        torn += len(tail) > BLOCK and 0 < tail.count(0) < len(tail) and not tail.startswith(bytes(FRAME_HEAD))
        with Journal.open(path, durability=Durability.SYNCED) as journal:
            assert (journal.last_turn, journal.torn_tail_bytes) == (3, len(tail))
    assert torn > 3
