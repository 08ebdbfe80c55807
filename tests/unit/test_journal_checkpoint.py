"""Checkpoint files beside the segments: whole or not there, and where the first segments are gone."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sor.errors import CallerError, JournalFault
from sor.journal import Durability, Environment, Journal, Turn, pick, turns, verify
from sor.journal.checkpoint import Head, base_of, checkpoint_paths, read_checkpoint, read_head, write_checkpoint
from sor.journal.index import Index
from sor.journal.layout import segment_paths
from sor.journal.reader import check_stands
from tests.unit.test_journal import woke

EPOCH = 41
THREE_TURNS = 175
"""Segment size that takes three turns of `woke`."""
PIECES = [b"first", bytes(3_000), b"x"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Nine turns in three segments of three; checkpoints behind turns 2, 5 and 8, of which the newest two are kept."""
    directory = tmp_path / "j"
    with create(directory) as journal:
        for number in range(1, 10):
            journal.append(woke(number))
            if number % 3 == 2:
                journal.keep(head_of(journal, parents=number), PIECES)
    assert [one.name for one in segment_paths(directory)] == ["000001.seg", "000002.seg", "000003.seg"]
    return directory


def create(directory: Path, *, durability: Durability = Durability.KERNEL) -> Journal:
    environment = Environment.SIMULATED
    return Journal.create(
        directory, epoch=EPOCH, environment=environment, durability=durability, segment_bytes=THREE_TURNS
    )


def head_of(journal: Journal, *, parents: int = 0) -> Head:
    return journal.here(layout=b"L" * 16, version="test", now_ns=parents * 10, parents=parents)


def numbers(found: Iterator[Turn]) -> list[int]:
    return [turn.no for turn in found]


def test_a_checkpoint_is_read_as_it_was_written(path: Path) -> None:
    fifth, eighth = checkpoint_paths(path)
    head, pieces = read_checkpoint(eighth, epoch=EPOCH)
    assert pieces == PIECES
    assert head == read_head(eighth, epoch=EPOCH)
    (turn,) = pick(path, [8])
    assert (head.turn, head.chain, head.segment, head.parents, head.now_ns) == (8, turn.chain, 3, 8, 80)
    assert (head.layout, head.version, head.epoch) == (b"L" * 16, "test", EPOCH)
    assert read_head(fifth, epoch=EPOCH).turn == 5
    assert numbers(turns(path, from_turn=head.turn + 1)) == [9]
    found = verify(path)
    assert (found.faults, found.checkpoints, found.first_turn, found.turns) == ((), 2, 1, 9)
    assert found.spare_segments == 1  # a start from turn 5 needs the second


def test_turns_are_the_same_with_checkpoints_and_without(path: Path, tmp_path: Path) -> None:
    with create(tmp_path / "bare") as bare:
        for number in range(1, 10):
            bare.append(woke(number))
    for one, other in zip(segment_paths(path), segment_paths(tmp_path / "bare"), strict=True):
        assert one.read_bytes() == other.read_bytes()


# --- whole, or not there ----------------------------------------------------------------------------------------------


def test_a_checkpoint_that_is_not_whole_is_none(path: Path) -> None:
    newest = checkpoint_paths(path)[-1]
    content = newest.read_bytes()
    for size in (*range(120), len(content) - 1, len(content) - 17):
        newest.write_bytes(content[:size])
        with pytest.raises(JournalFault):
            read_checkpoint(newest, epoch=EPOCH)
    newest.write_bytes(content + b"\0")
    with pytest.raises(JournalFault, match="does not match its digest"):
        read_checkpoint(newest, epoch=EPOCH)


def test_one_bit_is_noticed_wherever_it_is(path: Path) -> None:
    newest = checkpoint_paths(path)[-1]
    content = newest.read_bytes()
    for at in (*range(160), *range(160, len(content), 97)):
        newest.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        with pytest.raises(JournalFault):
            read_checkpoint(newest, epoch=EPOCH)
        assert verify(path).faults, at


def test_one_of_another_journal_or_turn_is_refused(path: Path, tmp_path: Path) -> None:
    fifth, eighth = checkpoint_paths(path)
    with pytest.raises(JournalFault, match="belongs elsewhere"):
        read_head(eighth, epoch=EPOCH + 1)
    eighth.write_bytes(fifth.read_bytes())
    with pytest.raises(JournalFault, match="belongs elsewhere"):
        read_head(eighth, epoch=EPOCH)


def test_where_the_disk_is_full_there_is_no_checkpoint_and_turns_go_on(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"some"
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with create(tmp_path / "j") as journal:
        journal.append(woke(1))
        with pytest.raises(OSError, match="No space"):
            journal.keep(head_of(journal), pieces())
        assert journal.append(woke(2)) == 2
    assert sorted(one.name for one in (tmp_path / "j").iterdir()) == ["000001.seg", "LOCK", "journal.json"]


def test_what_a_killed_process_left_half_written_is_no_checkpoint_and_goes(path: Path) -> None:
    newest = checkpoint_paths(path)[-1]
    newest.rename(f"{newest}.new")
    assert [one.stem for one in checkpoint_paths(path)] == [f"{5:016}"]
    with Journal.open(path, segment_bytes=THREE_TURNS) as journal:
        journal.append(woke(10))
        journal.keep(head_of(journal), PIECES)
    assert not [*path.glob("*.new")]
    assert [int(one.stem) for one in checkpoint_paths(path)] == [5, 10]


def test_turns_that_do_not_sync_have_no_checkpoint_and_stop_the_journal(tmp_path: Path) -> None:
    fails = False

    def sync(fd: int) -> None:
        del fd
        if fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    journal = Journal.create(tmp_path / "j", epoch=EPOCH, environment=Environment.SIMULATED, sync=sync)
    journal.append(woke(1))
    fails = True
    with pytest.raises(JournalFault, match="does not sync"):
        journal.keep(head_of(journal), PIECES)
    with pytest.raises(JournalFault, match="does not sync"):
        journal.append(woke(2))
    journal.close()
    assert checkpoint_paths(tmp_path / "j") == []


def test_everything_that_it_stands_for_is_synced_before_it_is_there(tmp_path: Path) -> None:
    synced: dict[int, int] = {}

    def sync(fd: int) -> None:
        about = os.fstat(fd)
        synced[about.st_ino] = about.st_size

    directory = tmp_path / "j"
    with Journal.create(
        directory, epoch=EPOCH, environment=Environment.SIMULATED, segment_bytes=THREE_TURNS, sync=sync
    ) as journal:
        for number in range(1, 9):
            journal.append(woke(number))
        synced.clear()
        journal.keep(head_of(journal), PIECES)
        assert synced == {one.stat().st_ino: one.stat().st_size for one in segment_paths(directory)}


# --- opening ----------------------------------------------------------------------------------------------------------


def test_opening_reads_no_more_than_what_is_behind_the_newest(path: Path) -> None:
    first = segment_paths(path)[0]
    content = first.read_bytes()
    first.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with Journal.open(path, segment_bytes=THREE_TURNS) as journal:
        assert journal.append(woke(10)) == 10
    assert "does not match its chain value" in verify(path).faults[0]
    assert numbers(turns(path, from_turn=9)) == [9, 10]


def test_growth_counts_from_the_newest_on(path: Path) -> None:
    with Journal.open(path, segment_bytes=THREE_TURNS) as journal:
        before = journal.grown
        journal.append(woke(10))
        grown = journal.grown - before
        assert before == grown  # turn 9, and turn 10
        head_of(journal)
        assert journal.grown == 0
    for one in checkpoint_paths(path):
        one.unlink()
    with Journal.open(path, segment_bytes=THREE_TURNS) as journal:
        assert journal.grown == sum(one.stat().st_size for one in segment_paths(path))


@pytest.mark.parametrize("left", [7, 8])
def test_turns_that_a_checkpoint_stands_for_are_missed(path: Path, left: int) -> None:
    offsets = {turn.no: turn.offset for turn in turns(path)}
    last = segment_paths(path)[-1]
    os.truncate(last, offsets[left + 1])
    if left == 8:
        with Journal.open(path, segment_bytes=THREE_TURNS) as journal:
            assert journal.last_turn == 8
        return
    with pytest.raises(JournalFault, match="a checkpoint stands behind turn 8, which was safe before it was written"):
        Journal.open(path, segment_bytes=THREE_TURNS)
    assert any("a checkpoint stands behind turn 8" in fault for fault in verify(path).faults)


def test_a_checkpoint_of_another_history_is_missed(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    with create(other) as journal:
        for number in range(1, 10):
            journal.append(woke(number + 1))
            if number == 8:
                journal.keep(head_of(journal), PIECES)
    (strange,) = checkpoint_paths(other)
    checkpoint_paths(path)[-1].write_bytes(strange.read_bytes())
    with pytest.raises(JournalFault, match="there is no such turn"):
        Journal.open(path, segment_bytes=THREE_TURNS)
    assert any("there is no such turn" in fault for fault in verify(path).faults)
    fifth = read_head(checkpoint_paths(path)[0], epoch=EPOCH)
    check_stands(path, fifth)


def test_a_head_that_cannot_be_read_is_passed_over(path: Path) -> None:
    newest = checkpoint_paths(path)[-1]
    newest.write_bytes(b"sor chkp" + bytes(100))
    with Journal.open(path, segment_bytes=THREE_TURNS) as journal:
        assert journal.last_turn == 9


# --- the first segments are gone --------------------------------------------------------------------------------------


@pytest.mark.parametrize("durability", Durability)
def test_a_journal_goes_on_without_what_a_checkpoint_stands_for(path: Path, durability: Durability) -> None:
    whole = {turn.no: turn for turn in turns(path)}
    segment_paths(path)[0].unlink()
    assert [turn.no for turn in turns(path)] == [6, 7, 8, 9]
    assert all(turn == whole[turn.no] for turn in turns(path))
    with Journal.open(path, segment_bytes=THREE_TURNS, durability=durability) as journal:
        assert journal.append(woke(10)) == 10
        journal.keep(head_of(journal), PIECES)
        journal.append(woke(11))
        journal.keep(head_of(journal), PIECES)
    assert [int(one.stem) for one in checkpoint_paths(path)] == [5, 10, 11]  # where it begins, and the newest
    found = verify(path)
    assert (found.faults, found.first_turn, found.turns, found.checkpoints) == ((), 4, 8, 3)
    assert numbers(turns(path)) == [6, 7, 8, 9, 10, 11]
    assert numbers(pick(path, [1, 4, 7, 10])) == [4, 7, 10]
    assert numbers(turns(path, from_turn=8)) == [8, 9, 10, 11]


def test_the_newest_checkpoint_may_be_all_there_is(path: Path) -> None:
    for one in segment_paths(path)[:2]:
        one.unlink()
    assert numbers(turns(path)) == [9]
    base = base_of(path, epoch=EPOCH)
    assert base is not None
    assert base.turn == 8
    with Journal.open(path, segment_bytes=THREE_TURNS) as journal:
        assert journal.append(woke(10)) == 10


def test_what_is_gone_in_the_middle_is_a_fault(path: Path) -> None:
    segment_paths(path)[1].unlink()
    with pytest.raises(JournalFault, match="segment 000002 is missing before it"):
        list(turns(path))
    assert verify(path).faults


def test_what_no_checkpoint_stands_for_is_a_fault(path: Path) -> None:
    for one in checkpoint_paths(path):
        one.unlink()
    segment_paths(path)[0].unlink()
    for read in (lambda: list(turns(path)), lambda: Journal.open(path)):
        with pytest.raises(JournalFault, match="segments before 000002 are missing, and no checkpoint stands for them"):
            read()
    assert verify(path).faults


def test_a_base_of_another_history_is_a_fault(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    with create(other) as journal:
        for number in range(1, 10):
            journal.append(woke(number + 1))
            if number == 5:
                journal.keep(head_of(journal), PIECES)
    (strange,) = checkpoint_paths(other)
    segment_paths(path)[0].unlink()
    checkpoint_paths(path)[0].write_bytes(strange.read_bytes())
    with pytest.raises(JournalFault, match="there is no such turn"):
        list(turns(path))


def test_an_index_goes_on_where_the_journal_begins(path: Path) -> None:
    with Index.open(path) as index:
        assert index.fault is None
    segment_paths(path)[0].unlink()
    with Index.open(path) as index:  # as far as it had read there is nothing new
        assert index.fault is None
    for each in path.glob("index.sqlite*"):
        each.unlink()
    with Index.open(path) as index:
        assert index.fault is None
        assert index.parents() == []


def test_reading_a_directory_that_is_none(tmp_path: Path) -> None:
    assert checkpoint_paths(tmp_path / "none") == []
    with pytest.raises(CallerError):
        list(turns(tmp_path / "none"))


def test_a_checkpoint_with_nothing_in_it_is_whole_too(path: Path) -> None:
    head = read_head(checkpoint_paths(path)[-1], epoch=EPOCH)
    write_checkpoint(path, head, [])
    assert read_checkpoint(checkpoint_paths(path)[-1], epoch=EPOCH) == (head, [])
