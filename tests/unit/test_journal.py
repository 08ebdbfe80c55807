"""The journal's one writer and its readers: what survives a kill, a flipped bit, a full disk and a second process."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from sor.commands import Ended
from sor.errors import CallerError, JournalFault
from sor.events import AnyFact, Fact, ParamsAdopted, Woke
from sor.ids import EPOCH_BOUND
from sor.journal import Durability, Environment, Journal, Record, Turn, pick, turns, verify
from sor.journal import writer as writer_module
from sor.journal.records import encode, fingerprint, schema
from sor.journal.segment import FRAME_HEAD, HEADER_SIZE, MAX_BODY
from sor.orders import ParentStatus
from sor.policy import Decision
from sor.reasons import EndReason
from sor.revisit import Revisit
from tests.conftest import REPO
from tests.replay.golden.make_journal import TURNS

EPOCH = 7
TWO_TURNS = 140
"""Segment size that takes two turns of `woke`."""


def woke(at_ns: int) -> list[Record]:
    return [Woke(now_ns=at_ns, parent_no=1, market=False)]


def make(path: Path, turns_to_write: list[list[Record]], *, segment_bytes: int = 1 << 20) -> Path:
    with Journal.create(path, epoch=EPOCH, environment=Environment.SIMULATED, segment_bytes=segment_bytes) as journal:
        for number, turn in enumerate(turns_to_write, start=1):
            assert journal.append(turn) == number
    return path


def recorded(path: Path) -> list[list[Record]]:
    return [turn.records for turn in turns(path)]


def contents(path: Path) -> dict[str, bytes]:
    """Every file but the lock, whose pid is not part of the record."""
    return {file.name: file.read_bytes() for file in sorted(path.iterdir()) if file.name != "LOCK"}


def segments(path: Path) -> list[Path]:
    return sorted(path.glob("*.seg"))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Three turns of one record each in one segment."""
    return make(tmp_path / "small", [woke(1), woke(2), woke(3)])


# --- what is written is read ------------------------------------------------------------------------------------------


def test_every_record_type_comes_back_as_it_was(tmp_path: Path) -> None:
    path = make(tmp_path / "j", TURNS)
    assert recorded(path) == TURNS
    assert {type(record) for turn in TURNS for record in turn} == set(get_args(Record))


def test_samples_have_each_default_and_each_other_value() -> None:
    # Otherwise a golden journal could not tell that a default was changed or a field moved.
    types = [each for each in get_args(Record) if each.__struct_defaults__]
    for each in types:
        samples = [record for turn in TURNS for record in turn if type(record) is each]
        defaulted = each.__struct_fields__[-len(each.__struct_defaults__) :]
        distinct = {name: {repr(getattr(sample, name)) for sample in samples} for name in defaulted}
        assert all(len(values) > 1 for values in distinct.values()), (each, distinct)


def test_a_journal_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = make(tmp_path / "j", [woke(1)])
    with Journal.open(path) as journal:
        assert (journal.last_turn, journal.torn_tail_bytes) == (1, 0)
        assert (journal.path, journal.epoch, journal.environment) == (path, EPOCH, Environment.SIMULATED)
        assert journal.append([]) == 1  # nothing to record is not a turn
        assert journal.append(woke(2)) == 2
        assert journal.last_chain == verify(path).last_chain
    assert recorded(path) == [woke(1), woke(2)]
    assert len(segments(path)) == 1
    found = verify(path)
    assert (found.turns, found.records, found.segments, found.torn_tail_bytes, found.faults) == (2, 2, 1, 0, ())
    assert (found.epoch, found.environment) == (EPOCH, "simulated")


def test_the_same_turns_give_the_same_bytes_under_every_hash_seed() -> None:
    script = "from tests.replay.golden.make_journal import TURNS\nfrom sor.journal.records import encode\n"
    script += "import sys; sys.stdout.buffer.write(b''.join(map(encode, TURNS)))"
    made = [
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=REPO,
            env={"PYTHONHASHSEED": seed, "PATH": os.environ["PATH"]},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert made[0] == made[1] == b"".join(encode(turn) for turn in TURNS)


def test_numbers_of_numpy_are_recorded_as_numbers() -> None:
    given, plain = (
        Decision(placements=(), revisit=Revisit(), reason="", inputs=(("p", p),), memory={"n": n})
        for p, n in ((np.float64(0.25), np.float64(3)), (0.25, 3.0))
    )
    assert encode(given) == encode(plain)
    assert encode([np.int64(3), np.bool_(True)]) == encode([3, True])


# --- segments ---------------------------------------------------------------------------------------------------------


def test_segments_follow_each_other(tmp_path: Path) -> None:
    path = make(tmp_path / "j", [woke(number) for number in range(1, 11)], segment_bytes=TWO_TURNS)
    assert len(segments(path)) == 5
    assert all(file.stat().st_size <= TWO_TURNS for file in segments(path))
    assert [turn.records for turn in turns(path)] == [woke(number) for number in range(1, 11)]
    with Journal.open(path, segment_bytes=TWO_TURNS) as journal:
        assert journal.append(woke(11)) == 11
    assert verify(path).turns == 11
    assert verify(path).segments == 6


def test_a_turn_longer_than_a_segment_has_one_for_itself(tmp_path: Path) -> None:
    long = [*woke(2), ParamsAdopted(now_ns=2, name="n", digest="d", text="x" * 500)]
    path = make(tmp_path / "j", [woke(1), long, woke(3)], segment_bytes=TWO_TURNS)
    assert recorded(path) == [woke(1), long, woke(3)]
    assert len(segments(path)) == 3


@pytest.mark.parametrize("from_turn", range(1, 13))
def test_reading_may_begin_anywhere(tmp_path: Path, from_turn: int) -> None:
    path = make(tmp_path / "j", [woke(number) for number in range(1, 11)], segment_bytes=TWO_TURNS)
    assert list(turns(path, from_turn=from_turn)) == list(turns(path))[from_turn - 1 :]


@pytest.mark.parametrize("numbers", [[], [1], [10], [2, 3], [9, 1, 5, 5], [0, 4, 11]])
def test_turns_can_be_picked(tmp_path: Path, numbers: list[int]) -> None:
    path = make(tmp_path / "j", [woke(number) for number in range(1, 11)], segment_bytes=TWO_TURNS)
    assert list(pick(path, numbers)) == [turn for turn in turns(path) if turn.no in numbers]


def test_turns_say_where_they_stand(small: Path) -> None:
    frame = FRAME_HEAD + len(encode(woke(1)))
    found = list(turns(small))
    assert [(turn.no, turn.segment, turn.offset) for turn in found] == [
        (1, 1, HEADER_SIZE),
        (2, 1, HEADER_SIZE + frame),
        (3, 1, HEADER_SIZE + 2 * frame),
    ]
    assert found[-1].chain.hex() == verify(small).last_chain


def test_a_program_with_other_record_types_begins_a_segment(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "fingerprint", lambda: b"another program!")
    with Journal.open(small) as journal:
        journal.append(woke(4))
    with Journal.open(small) as journal:
        journal.append(woke(5))
    assert [(turn.no, turn.segment) for turn in turns(small)] == [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2)]


def test_a_turn_of_another_program_is_named_as_such(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "fingerprint", lambda: b"another program!")
    monkeypatch.setattr(writer_module, "encode", lambda _: encode([("later", 1)]))
    with Journal.open(small) as journal:
        journal.append(woke(4))
    with pytest.raises(JournalFault, match="other record types"):
        list(turns(small))
    assert verify(small).turns == 3
    assert "other record types" in verify(small).faults[0]


# --- torn: cut off and gone on ----------------------------------------------------------------------------------------


def test_a_kill_at_every_byte_of_the_last_turn(small: Path, tmp_path: Path) -> None:
    whole = segments(small)[0].read_bytes()
    frame = FRAME_HEAD + len(encode(woke(3)))
    for missing in range(1, frame + 1):
        path = tmp_path / str(missing)
        shutil.copytree(small, path)
        segments(path)[0].write_bytes(whole[:-missing])
        left = frame - missing
        assert recorded(path) == [woke(1), woke(2)]
        assert (verify(path).torn_tail_bytes, verify(path).faults) == (left, ())
        with Journal.open(path) as journal:
            assert (journal.last_turn, journal.torn_tail_bytes) == (2, left)
            assert segments(path)[0].read_bytes() == whole[:-frame]
            assert journal.append(woke(4)) == 3
        assert recorded(path) == [woke(1), woke(2), woke(4)]


@pytest.mark.parametrize("zeros", [1, 7, 8, 23, 24, 25, 4096])
def test_zeros_that_power_loss_left_are_torn(small: Path, zeros: int) -> None:
    with segments(small)[0].open("ab") as file:
        file.write(bytes(zeros))
    assert (verify(small).torn_tail_bytes, verify(small).faults) == (zeros, ())
    with Journal.open(small) as journal:
        assert (journal.last_turn, journal.torn_tail_bytes) == (3, zeros)
        journal.append(woke(4))
    assert recorded(small) == [woke(1), woke(2), woke(3), woke(4)]


def test_zeros_with_something_behind_them_are_not(small: Path) -> None:
    with segments(small)[0].open("ab") as file:
        file.write(bytes(100) + b"\x01")
    with pytest.raises(JournalFault, match="head of a frame is damaged"):
        Journal.open(small)


@pytest.mark.parametrize("length", [0, 1, HEADER_SIZE - 1])
def test_a_segment_that_was_only_begun_is_begun_again(tmp_path: Path, length: int) -> None:
    path = make(tmp_path / "j", [woke(1), woke(2), woke(3)], segment_bytes=TWO_TURNS)
    second = segments(path)[1]
    second.write_bytes(second.read_bytes()[:length])
    assert recorded(path) == [woke(1), woke(2)]
    assert (verify(path).torn_tail_bytes, verify(path).faults) == (length, ())
    assert [turn.no for turn in pick(path, [2, 3])] == [2]
    with Journal.open(path, segment_bytes=TWO_TURNS) as journal:
        assert (journal.last_turn, journal.torn_tail_bytes) == (2, length)
        assert journal.append(woke(4)) == 3
    assert recorded(path) == [woke(1), woke(2), woke(4)]
    assert len(segments(path)) == 2


def test_a_creation_that_was_killed_is_done_again(tmp_path: Path) -> None:
    path = make(tmp_path / "j", [])
    (path / "journal.json").rename(path / "journal.json.new")
    with pytest.raises(JournalFault, match="is missing although there are segments"):
        Journal.open(path)
    make(path, [woke(1)])
    assert recorded(path) == [woke(1)]


# --- corrupt: refused and left alone ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_every_flipped_byte_is_found(tmp_path: Path, mask: int) -> None:
    path = make(tmp_path / "j", [woke(1), woke(2), woke(3)], segment_bytes=TWO_TURNS)
    for file in (path / "journal.json", *segments(path)):
        whole = file.read_bytes()
        for offset in range(len(whole)):
            file.write_bytes(whole[:offset] + bytes([whole[offset] ^ mask]) + whole[offset + 1 :])
            before = contents(path)
            with pytest.raises((JournalFault, CallerError)):
                Journal.open(path)
            try:
                assert verify(path).faults, (file.name, offset)
            except CallerError as error:
                assert "format" in str(error)  # noqa: PT017 the flip made it a newer format, no other error will do
            assert contents(path) == before
            held = list(turns_before_fault(path))
            assert held == [woke(1), woke(2), woke(3)][: len(held)]
        file.write_bytes(whole)
    assert recorded(path) == [woke(1), woke(2), woke(3)]


def turns_before_fault(path: Path) -> Iterator[list[Record]]:
    try:
        for turn in turns(path):
            yield turn.records
    except (JournalFault, CallerError):
        return


def test_a_fault_says_where_and_what_to_do(small: Path) -> None:
    segment = segments(small)[0]
    at = next(turn.offset for turn in turns(small) if turn.no == 2)
    content = bytearray(segment.read_bytes())
    content[at + FRAME_HEAD] ^= 1
    segment.write_bytes(content)
    with pytest.raises(JournalFault) as fault:
        Journal.open(small)
    assert str(fault.value) == (
        f"{segment}, byte {at}: a turn does not match its chain value. Nothing was changed and nothing was sent. Put "
        "the file back from a copy; without one, keep the directory as evidence, cancel the account's open orders at "
        "the venue and start a new journal"
    )
    found = verify(small)
    assert (found.turns, found.last_chain, found.faults) == (1, "", (str(fault.value),))


def test_a_long_length_with_its_complement_is_not_torn(small: Path) -> None:
    # Nobody flips 64 bits by accident, but a length beyond reason must not cut the turns behind it off.
    segment = segments(small)[0]
    length = MAX_BODY + 1
    head = length.to_bytes(4, "little") + (length ^ 0xFFFFFFFF).to_bytes(4, "little")
    content = segment.read_bytes()
    segment.write_bytes(content[:HEADER_SIZE] + head + content[HEADER_SIZE + 8 :])
    with pytest.raises(JournalFault, match="head of a frame"):
        Journal.open(small)


def test_a_rewritten_turn_shows_in_everything_behind_it(small: Path, tmp_path: Path) -> None:
    # Whoever can make frames cannot put one of another history in.
    other = make(tmp_path / "other", [woke(1), woke(9), woke(3)])
    ours, theirs = segments(small)[0], segments(other)[0]
    frame = FRAME_HEAD + len(encode(woke(1)))
    start, end = HEADER_SIZE + frame, HEADER_SIZE + 2 * frame
    whole = ours.read_bytes()
    ours.write_bytes(whole[:start] + theirs.read_bytes()[start:end] + whole[end:])
    with pytest.raises(JournalFault, match=f"byte {end}"):
        Journal.open(small)


@pytest.mark.parametrize("missing", [0, 1, 2, 3])
def test_a_missing_segment_is_found(tmp_path: Path, missing: int) -> None:
    path = make(tmp_path / "j", [woke(number) for number in range(1, 11)], segment_bytes=TWO_TURNS)
    segments(path)[missing].unlink()
    with pytest.raises(JournalFault, match="missing"):
        Journal.open(path)
    assert len(verify(path).faults) == 1


def test_a_journal_without_segments_is_not_an_empty_one(small: Path) -> None:
    segments(small)[0].unlink()
    with pytest.raises(JournalFault, match="no segment"):
        Journal.open(small)
    assert verify(small).faults


def test_a_segment_of_another_journal_is_found(tmp_path: Path) -> None:
    path = make(tmp_path / "j", [woke(1), woke(2), woke(3)], segment_bytes=TWO_TURNS)
    twin = make(tmp_path / "twin", [woke(1), woke(7), woke(3)], segment_bytes=TWO_TURNS)
    shutil.copy(segments(twin)[1], segments(path)[1])
    with pytest.raises(JournalFault, match="does not follow"):
        Journal.open(path)
    (path / "000002.seg").unlink()
    shutil.copy(segments(path)[0], path / "000002.seg")
    with pytest.raises(JournalFault, match="belongs elsewhere"):
        Journal.open(path)


def test_a_torn_turn_inside_is_corrupt(tmp_path: Path) -> None:
    path = make(tmp_path / "j", [woke(1), woke(2), woke(3)], segment_bytes=TWO_TURNS)
    first = segments(path)[0]
    first.write_bytes(first.read_bytes()[:-1])
    with pytest.raises(JournalFault, match="ends in the middle of a turn"):
        Journal.open(path)


def test_one_damaged_segment_does_not_hide_the_others(tmp_path: Path) -> None:
    path = make(tmp_path / "j", [woke(number) for number in range(1, 11)], segment_bytes=TWO_TURNS)
    for file in (segments(path)[1], segments(path)[3]):
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    found = verify(path)
    assert ["000002.seg" in found.faults[0], "000004.seg" in found.faults[1], len(found.faults)] == [True, True, 2]
    assert (found.turns, found.records) == (8, 8)


# --- refused at the door ----------------------------------------------------------------------------------------------


def test_what_is_no_journal_is_said_to_be_none(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(CallerError, match="there is no journal"):
            Journal.open(path)
        with pytest.raises(CallerError, match="there is no journal"):
            verify(path)
        with pytest.raises(CallerError, match="there is no journal"):
            list(turns(path))
    assert list(tmp_path.iterdir()) == []  # asking leaves nothing behind


def test_a_journal_is_not_made_over_something(small: Path, tmp_path: Path) -> None:
    before = contents(small)
    with pytest.raises(CallerError, match="there is a journal"):
        make(small, [])
    assert contents(small) == before
    (small / "journal.json").unlink()
    with pytest.raises(CallerError, match="not empty"):
        make(small, [])
    (tmp_path / "file").touch()
    with pytest.raises(CallerError, match="not a directory"):
        make(tmp_path / "file", [])
    with pytest.raises(CallerError, match="cannot be made"):
        make(tmp_path / "file" / "below", [])
    with pytest.raises(CallerError, match="not empty"):
        make(tmp_path, [])


@pytest.mark.parametrize("epoch", [-1, EPOCH_BOUND])
def test_an_epoch_out_of_range_is_refused(tmp_path: Path, epoch: int) -> None:
    with pytest.raises(CallerError, match="epoch"):
        Journal.create(tmp_path / "j", epoch=epoch, environment=Environment.DEMO)
    assert not (tmp_path / "j").exists()


def test_environments_never_mix(small: Path) -> None:
    before = contents(small)
    with pytest.raises(CallerError, match="is of the simulated environment, not live"):
        Journal.open(small, environment=Environment.LIVE)
    assert contents(small) == before
    with Journal.open(small, environment=Environment.SIMULATED) as journal:
        assert journal.last_turn == 3


def test_a_newer_format_is_refused(small: Path) -> None:
    meta = small / "journal.json"
    meta.write_bytes(meta.read_bytes().replace(b'"format": 1', b'"format": 2, "news": 1'))
    for act in (Journal.open, verify):
        with pytest.raises(CallerError, match="has journal format 2, this program reads 1"):
            act(small)


def test_a_closed_journal_takes_nothing(small: Path) -> None:
    journal = Journal.open(small)
    journal.close()
    journal.close()
    for act in (lambda: journal.append(woke(4)), journal.sync):
        with pytest.raises(CallerError, match="closed"):
            act()
    assert verify(small).turns == 3


# --- one writer -------------------------------------------------------------------------------------------------------

HOLD = """
import sys
from pathlib import Path
from sor.journal import Journal
with Journal.open(Path(sys.argv[1])) as journal:
    print("held", flush=True)
    sys.stdin.read()
"""

APPEND = """
import sys
from pathlib import Path
from sor.events import Woke
from sor.journal import Journal
with Journal.open(Path(sys.argv[1]), segment_bytes=4096) as journal:
    for at_ns in range(10**9):
        turn = journal.append([Woke(now_ns=at_ns, parent_no=1, market=False)] * (1 + at_ns % 3))
        sys.stdout.write(f"{turn}\\n")
        sys.stdout.flush()
"""

FILL_UP = """
import resource, sys
from pathlib import Path
from sor.errors import JournalFault
from sor.events import Woke
from sor.journal import Journal
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
turn = 3
with Journal.open(Path(sys.argv[1])) as journal:
    for attempt in range(100):
        try:
            turn = journal.append([Woke(now_ns=attempt, parent_no=1, market=False)])
        except JournalFault as fault:
            print(turn, attempt, fault)
"""


def child(script: str, *args: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", script, *args], cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_a_second_process_is_refused_until_the_first_dies(small: Path) -> None:
    with child(HOLD, str(small)) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        before = contents(small)
        with pytest.raises(CallerError, match=f"in use by process {holder.pid};"):
            Journal.open(small)
        with pytest.raises(CallerError, match="there is a journal"):
            make(small, [])
        assert contents(small) == before
        assert verify(small).turns == 3  # reading needs no lock
        holder.send_signal(signal.SIGKILL)
    with Journal.open(small) as journal:
        assert journal.append(woke(4)) == 4


def test_a_second_writer_in_one_process_is_refused(small: Path) -> None:
    with Journal.open(small), pytest.raises(CallerError, match=f"in use by process {os.getpid()};"):
        Journal.open(small)
    Journal.open(small).close()


@pytest.mark.parametrize("acknowledged", [1, 200, 500])
def test_what_was_acknowledged_survives_a_kill(small: Path, acknowledged: int) -> None:
    with child(APPEND, str(small)) as writer:
        assert writer.stdout is not None
        for _ in range(acknowledged):
            last = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        last = max([last, *map(int, writer.stdout.read().split("\n")[:-1])])
    with Journal.open(small) as journal:
        assert last <= journal.last_turn <= last + 1  # one may have been recorded and not yet told
        journal.append(woke(0))
    found = verify(small)
    assert (found.faults, found.torn_tail_bytes, found.turns) == ((), 0, journal.last_turn)


# --- a disk that does not take it -------------------------------------------------------------------------------------


def test_a_full_disk_stops_the_journal_and_loses_nothing(small: Path) -> None:
    frame = FRAME_HEAD + len(encode(woke(0)))
    room = segments(small)[0].stat().st_size + 2 * frame + 10  # two more turns, and ten bytes of a third
    with child(FILL_UP, str(small), str(room)) as writer:
        said, _ = writer.communicate()
    lines = said.splitlines()
    assert len(lines) == 98  # the first two went well, the others did not and were not tried
    assert lines[0].startswith(f"5 2 journal {small}, turn 6: the disk took 10 of {frame} bytes of a turn")
    assert "None of the turn's wishes may be carried out" in lines[0]
    assert {line.partition("journal")[2] for line in lines} == {lines[0].partition("journal")[2]}
    assert verify(small).torn_tail_bytes == 10
    with Journal.open(small) as journal:
        assert (journal.last_turn, journal.torn_tail_bytes) == (5, 10)


def break_disk(journal: Journal, device: str) -> None:
    """Put a device in the place of the journal's last segment, which its descriptor is found by."""
    target = str(segments(journal.path)[-1])
    links = {fd: os.path.realpath(f"/proc/self/fd/{fd}") for fd in map(int, os.listdir("/proc/self/fd"))}
    broken = os.open(device, os.O_WRONLY)
    os.dup2(broken, next(fd for fd, link in links.items() if link == target))
    os.close(broken)


def test_an_error_of_the_disk_stops_the_journal(small: Path) -> None:
    with Journal.open(small) as journal:
        break_disk(journal, "/dev/full")
        with pytest.raises(JournalFault, match="turn 4: the disk does not take the turn: No space left"):
            journal.append(woke(4))
        for act in (lambda: journal.append(woke(5)), journal.sync):
            with pytest.raises(JournalFault, match="turn 4: "):
                act()
    assert verify(small).turns == 3


def test_a_sync_that_fails_stops_the_journal(small: Path) -> None:
    with Journal.open(small) as journal:
        break_disk(journal, "/dev/null")  # takes everything, syncs nothing
        assert journal.append(woke(4)) == 4
        with pytest.raises(JournalFault, match="turn 5: the disk does not sync: Invalid argument"):
            journal.sync()
        with pytest.raises(JournalFault, match="turn 5: the disk does not sync"):
            journal.append(woke(5))


def test_a_synced_turn_that_does_not_sync_is_not_acknowledged(small: Path) -> None:
    with Journal.open(small, durability=Durability.SYNCED) as journal:
        break_disk(journal, "/dev/null")
        for _ in range(2):
            with pytest.raises(JournalFault, match="turn 4: the disk does not take the turn: Invalid argument"):
                journal.append(woke(4))


def test_a_segment_that_cannot_be_begun_stops_the_journal(small: Path) -> None:
    size = segments(small)[0].stat().st_size
    (small / "000002.seg").mkdir()
    with pytest.raises(JournalFault):
        Journal.open(small)
    (small / "000002.seg").rmdir()
    with Journal.open(small, segment_bytes=size) as journal:
        (small / "000002.seg").mkdir()
        with pytest.raises(JournalFault, match="does not take another segment"):
            journal.append(woke(4))
        (small / "000002.seg").rmdir()
        with pytest.raises(JournalFault, match="does not take another segment"):
            journal.append(woke(4))
    assert verify(small).turns == 3


@pytest.mark.parametrize("durability", Durability)
def test_syncing_reaches_every_segment(tmp_path: Path, durability: Durability) -> None:
    with Journal.create(
        tmp_path / "j", epoch=EPOCH, environment=Environment.DEMO, durability=durability, segment_bytes=TWO_TURNS
    ) as journal:
        for number in range(1, 8):
            journal.append(woke(number))
        journal.sync()
        journal.sync()
    assert recorded(tmp_path / "j") == [woke(number) for number in range(1, 8)]


@pytest.mark.parametrize(
    "bad",
    [
        ParamsAdopted(now_ns=1, name="\ud800", digest="", text=""),
        ParamsAdopted(now_ns=2**64, name="", digest="", text=""),
        Ended(1, ParentStatus.FILLED, EndReason.COMPLETE, 1, object()),  # type: ignore[arg-type]
        ParamsAdopted(now_ns=1, name="", digest="", text="x" * (MAX_BODY + 1)),
    ],
    ids=["surrogate", "int", "object", "long"],
)
def test_what_cannot_be_recorded_stops_the_journal(small: Path, bad: Record) -> None:
    before = contents(small)
    with Journal.open(small) as journal:
        with pytest.raises(JournalFault, match="turn 4: "):
            journal.append([*woke(4), bad])
        with pytest.raises(JournalFault, match="turn 4: "):
            journal.append(woke(4))
    assert contents(small) == before


def test_an_interrupt_in_the_middle_of_a_turn_stops_the_journal(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write

    def interrupted(fd: int, data: bytes) -> int:
        write(fd, data)
        raise KeyboardInterrupt

    with Journal.open(small) as journal:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", interrupted)
            with pytest.raises(KeyboardInterrupt):
                journal.append(woke(4))
        with pytest.raises(JournalFault, match="interrupted"):
            journal.append(woke(5))
    assert recorded(small) == [woke(1), woke(2), woke(3), woke(4)]  # it had reached the disk, whole


# --- what a journal may hold ------------------------------------------------------------------------------------------

SECRET_WORDS = ("secret", "signature", "password", "passphrase", "token", "credential", "apikey", "api_key", "private")


def test_no_record_has_a_field_for_a_secret() -> None:
    names = [field.partition(":")[0] for fields in schema().values() for field in fields if ": " in field]
    assert len(names) > 150
    assert not [name for name in names if any(word in name.lower() for word in SECRET_WORDS)]
    assert not [name for name in names if "key" in name.lower().split("_")]


def test_the_fingerprint_is_of_the_types() -> None:
    assert schema()["Woke"] == ("tag woke, array", "now_ns: int", "parent_no: int", "market: bool")
    assert schema()["OrderRef"][-1] == 'venue_order_id: str = ""'
    assert schema()["Side"] == ("1", "-1")
    assert len(fingerprint()) == 16
    assert {each.__name__ for each in get_args(AnyFact)} < set(schema())
    assert all(issubclass(each, Fact) for each in get_args(AnyFact))


def test_a_turn_is_a_value() -> None:
    turn = Turn(no=1, records=woke(1), segment=1, offset=HEADER_SIZE, chain=bytes(16))
    assert turn == Turn(no=1, records=woke(1), segment=1, offset=HEADER_SIZE, chain=bytes(16))
