"""Reading a journal, also one that another process is writing: nothing here locks or changes anything.

The end of the last segment is where the writer may be at work, so an unfinished turn there is no fault. Where the first
segments are gone, what is read begins behind the checkpoint that stands for them (`sor.journal.checkpoint`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from sor.errors import CallerError, JournalFault
from sor.journal.checkpoint import Head, base_of, checkpoint_paths, read_checkpoint
from sor.journal.layout import Meta, read_meta, segment_name, segment_paths
from sor.journal.mark import read_mark
from sor.journal.records import Record, decode, fingerprint
from sor.journal.segment import HEADER_SIZE, WHAT_TO_DO, Frames, Header, damage, has_holes, read_header


class Turn(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One turn of the loop as it was recorded.

    no                 from 1, without gaps.
    records            facts in the order the core took them, each followed by the wishes it caused.
    segment, offset    where its frame begins.
    chain              chain value up to and with this turn.
    """

    no: int
    records: list[Record]
    segment: int
    offset: int
    chain: bytes


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What checking a whole journal found.

    first_turn         1, unless the first segments are gone: of the first segment that is there.
    checkpoints        that check and stand in these turns.
    spare_segments     how many of the first segments no start needs, should the newest checkpoint be damaged too.
    last_chain         hexadecimal, empty after a fault. Kept elsewhere, it shows later that nothing up to here was
                       changed or left off.
    torn_tail_bytes    an unfinished turn at the end: of a writer at work, or of one that was killed. No fault.
    faults             what does not check; empty when the journal verifies. Counts are of what does check.
    """

    epoch: int | None
    environment: str | None
    turns: int
    records: int
    segments: int
    first_turn: int
    checkpoints: int
    spare_segments: int
    last_chain: str
    torn_tail_bytes: int
    faults: tuple[str, ...]


class Scan:
    """Segments of a journal from first to last, each checked against the one before; what open, read and verify share.

    turn_no    of the last turn that checked. chain: its chain value. torn: bytes of a torn tail.
    base       the checkpoint at which the journal begins where its first segments are gone.
    """

    __slots__ = ("_mark", "_previous", "base", "chain", "directory", "meta", "paths", "torn", "turn_no")

    def __init__(self, directory: Path, meta: Meta, paths: list[Path]) -> None:
        self.directory = directory
        self.meta = meta
        self.paths = paths
        self.turn_no = 0
        self.chain = meta.chain
        self.torn = 0
        self._previous = 0
        self._mark = read_mark(directory)
        if not paths:
            raise JournalFault(f"{directory} has no segment, so turns are missing. Put the segments back from a copy")
        self.base = base_of(directory, epoch=meta.epoch)

    def enter(self, path: Path, content: bytes, *, trust: bool = False) -> tuple[Header, Frames] | None:
        """Header and frames of the next segment; None for a last one whose header is torn, `torn` is then set.

        trust    believe the header about what came before: for who begins to read in the middle.
        Raises `JournalFault` when the header does not follow the segment before, or names another journal.
        """
        is_last = path == self.paths[-1]
        synced = self._synced(path) if is_last else None
        if is_last and _is_begun(content, lossy=synced == 0) and len(self.paths) > 1:
            if synced:
                raise damage(path, 0, "the segment was synced, and its header is gone")
            self.torn = len(content)
            return None
        header = read_header(content, path)
        if trust or (path == self.paths[0] and self.base is not None):
            self._previous, self.chain, self.turn_no = header.number - 1, header.chain_before, header.first_turn - 1
        if header.epoch != self.meta.epoch or path.stem != f"{header.number:06}":
            raise damage(path, 0, "the segment belongs elsewhere, its header says so")
        if header.number != self._previous + 1:
            raise damage(path, 0, f"segment {self._previous + 1:06} is missing before it")
        if header.chain_before != self.chain or header.first_turn != self.turn_no + 1:
            raise damage(path, 0, "the segment does not follow from what is before it")
        self._previous = header.number
        self.chain = header.chain
        return header, Frames(content, header, path, is_last=is_last, synced=synced)

    def _synced(self, path: Path) -> int | None:
        """Up to which byte the last segment is known to have been synced; None where no turn waits for its sync."""
        mark = self._mark
        number = int(path.stem)
        if mark is None:
            return None
        if mark.number > number:
            if (self.directory / segment_name(mark.number)).exists():
                return None  # begun since the segments were listed, so this is not the last one
            raise damage(path, 0, f"segment {mark.number:06} was synced, and is missing after it")
        return mark.end if mark.number == number else 0

    def check(self, since: Head | None = None) -> tuple[Header, Frames] | None:
        """Check everything without decoding; returns the last segment, None when its header is torn.

        since    a checkpoint that stands for everything before it: only its segment and those after it are read.
        """
        entered = None
        waiting = set() if since is None else {(since.turn, since.chain)}
        for path in self.paths:
            if since is not None and int(path.stem) < since.segment:
                continue
            entered = self.enter(path, read(path), trust=since is not None and int(path.stem) == since.segment)
            if entered is not None:
                frames = entered[1]
                waiting.discard((self.turn_no, self.chain))
                for _ in frames:
                    self.turn_no += 1
                    if waiting:
                        waiting.discard((self.turn_no, frames.chain))
                self.chain = frames.chain
                self.torn = frames.torn
        if waiting and since is not None:
            raise _unfounded(self.directory, since)
        return entered

    def turns(
        self, path: Path, header: Header, frames: Frames, *, from_turn: int = 1, only: frozenset[int] | None = None
    ) -> Iterator[Turn]:
        """The turns of one segment from `from_turn` on, or of these the ones in `only`; others are checked, no more."""
        offset = HEADER_SIZE
        base = self.base if self.base is not None and self.base.segment == header.number else None
        if base is not None and self.turn_no == base.turn and self.chain != base.chain:
            raise _unfounded(self.directory, base)
        for body in frames:
            self.turn_no += 1
            if base is not None and self.turn_no == base.turn and frames.chain != base.chain:
                raise _unfounded(self.directory, base)
            if self.turn_no >= from_turn and (only is None or self.turn_no in only):
                yield Turn(
                    no=self.turn_no,
                    records=decode_body(body, path, offset, header),
                    segment=header.number,
                    offset=offset,
                    chain=frames.chain,
                )
            offset = frames.offset
        self.chain = frames.chain
        self.torn = frames.torn


def check_stands(path: Path, head: Head) -> None:
    """Raise `JournalFault` unless a checkpoint of the journal at `path` stands where its turns are."""
    paths = segment_paths(path)
    if paths and head.segment < int(paths[0].stem):
        raise _unfounded(path, head)
    Scan(path, read_meta(path), paths).check(head)


def _unfounded(directory: Path, head: Head) -> JournalFault:
    return JournalFault(
        f"{directory}: a checkpoint stands behind turn {head.turn}, which was safe before it was written, and there is "
        f"no such turn. {WHAT_TO_DO}"
    )


def _is_begun(content: bytes, *, lossy: bool) -> bool:
    """Whether a segment was only begun. lossy: nothing of it was synced, and the power took of it what it liked."""
    if len(content) < HEADER_SIZE or not any(content):
        return True
    return lossy and not any(content[:HEADER_SIZE]) and has_holes(content, 0)


def decode_body(body: bytes, path: Path, offset: int, header: Header) -> list[Record]:
    """Records of a frame whose chain value is right."""
    try:
        return decode(body)
    except (ValueError, CallerError) as exc:
        # A record that was whole when it was written and is none of ours: another program wrote it.
        hint = "" if header.schema == fingerprint() else ", a version of sor with other record types wrote it"
        raise damage(
            path, offset, f"the turn checks but holds no records that this program knows{hint} ({exc})"
        ) from exc


def read(path: Path, size: int = -1) -> bytes:
    """Content of a segment, or its first `size` bytes; how long a segment gets is the writer's choice."""
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as exc:
        raise JournalFault(f"{path} cannot be read: {exc.strerror}. Nothing was changed and nothing was sent") from exc


def turns(path: Path, *, from_turn: int = 1) -> Iterator[Turn]:
    """The turns of a journal in order, checked one by one; an unfinished one at the end is left out.

    from_turn    first turn wanted; whole segments before it are not read. Where the first segments are gone, the first
                 there is, is the one behind the checkpoint that stands for them.
    Raises       `CallerError` when there is no journal, `JournalFault` where one does not check: after the turns
                 before it were handed out.
    """
    meta = read_meta(path)
    paths = segment_paths(path)
    scan = Scan(path, meta, paths)
    if scan.base is not None:
        from_turn = max(from_turn, scan.base.turn + 1)
    first = bisect_right(_first_turns(paths), from_turn) - 1 if from_turn > 1 else 0
    trust = first > 0
    for segment in paths[first:]:
        entered = scan.enter(segment, read(segment), trust=trust)
        trust = False
        if entered is not None:
            yield from scan.turns(segment, *entered, from_turn=from_turn)


def pick(path: Path, numbers: Iterable[int]) -> Iterator[Turn]:
    """Some turns of a journal by number, in order; numbers that it does not have are left out.

    Reads and checks the segments that hold one of them, each as far as the last turn wanted, and no others.
    Raises as `turns` does.
    """
    meta = read_meta(path)
    paths = segment_paths(path)
    scan = Scan(path, meta, paths)
    firsts = _first_turns(paths)
    groups: dict[int, list[int]] = {}
    for number in sorted(set(numbers)):
        if number >= firsts[0]:
            groups.setdefault(bisect_right(firsts, number) - 1, []).append(number)
    for at, group in groups.items():
        entered = scan.enter(paths[at], read(paths[at]), trust=at > 0)
        if entered is not None:
            for turn in scan.turns(paths[at], *entered, only=frozenset(group)):
                yield turn
                if turn.no == group[-1]:
                    break


def _first_turns(paths: list[Path]) -> list[int]:
    """Number of the first turn of each segment, as its header says; a last header that is torn is left out."""
    firsts = [1] if int(paths[0].stem) == 1 else []
    for path in paths[len(firsts) :]:
        head = read(path, HEADER_SIZE)
        if path == paths[-1] and (len(head) < HEADER_SIZE or not any(head)):
            break
        firsts.append(read_header(head, path).first_turn)
    return firsts


def verify(path: Path) -> Verification:
    """Check every byte of a journal and decode every record.

    After a fault the next segment is checked on its own, so that one damaged segment does not hide the others.
    Raises `CallerError` when there is no journal at `path`.
    """
    faults: list[str] = []
    records = 0
    turns_read = 0
    try:
        meta = read_meta(path)
        stands = _Stands(path, meta.epoch)  # first: what a writer adds meanwhile stands in turns that are read
        scan = Scan(path, meta, segment_paths(path))
    except JournalFault as fault:
        return Verification(
            epoch=None,
            environment=None,
            turns=0,
            records=0,
            segments=len(segment_paths(path)),
            first_turn=1,
            checkpoints=0,
            spare_segments=0,
            last_chain="",
            torn_tail_bytes=0,
            faults=(str(fault),),
        )
    stands.begin(int(scan.paths[0].stem))
    trust = False
    for segment in scan.paths:
        try:
            entered = scan.enter(segment, read(segment), trust=trust)
            trust = False
            if entered is not None:
                stands.at(scan.turn_no, scan.chain)
                for turn in scan.turns(segment, *entered):
                    turns_read += 1
                    records += len(turn.records)
                    stands.at(turn.no, turn.chain)
        except JournalFault as fault:
            faults.append(str(fault))
            trust = True
    faults += stands.faults(broken=bool(faults))
    return Verification(
        epoch=meta.epoch,
        environment=meta.environment.value,
        turns=turns_read,
        records=records,
        segments=len(scan.paths),
        first_turn=_first_turns(scan.paths)[0] if scan.base is not None else 1,
        checkpoints=len(stands.found),
        spare_segments=sum(int(segment.stem) < stands.needed for segment in scan.paths),
        last_chain="" if faults else scan.chain.hex(),
        torn_tail_bytes=scan.torn,
        faults=tuple(faults),
    )


class _Stands:
    """Which checkpoints stand in the turns that are read; those before the first segment stand in none."""

    def __init__(self, directory: Path, epoch: int) -> None:
        self.found: list[Head] = []
        self._directory = directory
        self._faults: list[str] = []
        self._waiting: dict[tuple[int, bytes], Head] = {}
        for path in checkpoint_paths(directory):
            try:
                head = read_checkpoint(path, epoch=epoch)[0]
                self._waiting[head.turn, head.chain] = head
            except JournalFault as fault:
                if path.exists():  # a writer removes those that nobody needs
                    self._faults.append(str(fault))

    def begin(self, first: int) -> None:
        """Segments before number `first` are gone, and whatever stood there."""
        self._waiting = {at: head for at, head in self._waiting.items() if head.segment >= first}

    def at(self, turn_no: int, chain: bytes) -> None:
        """The turns have come so far."""
        head = self._waiting.pop((turn_no, chain), None)
        if head is not None:
            self.found.append(head)

    @property
    def needed(self) -> int:
        """Number of the first segment that a start needs which cannot read the newest checkpoint, 0 for all of them."""
        return self.found[-2].segment if len(self.found) > 1 else 0

    def faults(self, *, broken: bool) -> list[str]:
        """What is wrong with them. broken: turns are, and then nobody can tell what would have stood there."""
        return self._faults + [str(_unfounded(self._directory, head)) for head in self._waiting.values() if not broken]
