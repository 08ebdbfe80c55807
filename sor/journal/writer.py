"""The journal as its one writer sees it: a turn is recorded before any of its wishes is carried out (D9).

`append` is the hot path: encode, chain, one write. Frames are put together from bytes objects: filling a reused buffer
was measured and is slower, since a bytearray slice costs more to assign than these sizes cost to copy.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from threading import Lock
from types import TracebackType

from sor.errors import CallerError, JournalFault
from sor.ids import EPOCH_BOUND
from sor.journal.checkpoint import Head, newest_of, prune, write_checkpoint
from sor.journal.layout import (
    META_NAME,
    SEGMENT_MAX,
    Environment,
    Meta,
    check_free,
    read_meta,
    segment_name,
    segment_paths,
    sync_directory,
    write_durably,
)
from sor.journal.lock import take_lock
from sor.journal.mark import MARK_NAME, Mark
from sor.journal.reader import Scan
from sor.journal.records import Record, encode, fingerprint
from sor.journal.segment import (
    COMPLEMENT,
    FORMAT,
    FRAME_HEAD,
    HEADER_SIZE,
    MAX_BODY,
    Header,
    chain_of,
    pack_frame_head,
)

SEGMENT_BYTES = 1 << 26
"""Size in bytes at which the next segment is begun, unless the caller names another."""


def sync_data(fd: int) -> None:
    """Bring what was written to a file to stable storage. Raises `OSError`."""
    os.fdatasync(fd)


class Durability(StrEnum):
    """What `append` waits for."""

    KERNEL = "kernel"
    """Handed to the kernel: survives the death of the process."""
    SYNCED = "synced"
    """On stable storage: survives power loss. One sync for each turn, so what happens together is synced together."""


class Journal:
    """An open journal: this process is its only writer until `close`.

    Made by `create` or `open`, not directly. Use it as a context manager, or close it. After a `JournalFault` it takes
    nothing more, since what is on disk is then behind what the core knows: end the process and open it again.

    After power loss under `Durability.KERNEL` the last turns may be missing although they were acted upon. Recovery
    finds such orders at the venue by the epoch in their ids (B9). Not for use from several threads.
    """

    __slots__ = (
        "_chain",
        "_directory",
        "_end",
        "_fault",
        "_fd",
        "_grown",
        "_keeping",
        "_limit",
        "_lock_fd",
        "_mark",
        "_meta",
        "_number",
        "_segment_bytes",
        "_sync",
        "_synced",
        "_synced_number",
        "_turn",
        "torn_tail_bytes",
    )

    def __init__(
        self,
        directory: Path,
        lock_fd: int,
        meta: Meta,
        durability: Durability,
        segment_bytes: int,
        sync: Callable[[int], None],
    ) -> None:
        self._directory = directory
        self._lock_fd = lock_fd
        self._meta = meta
        self._sync = sync
        self._synced = durability is Durability.SYNCED
        self._segment_bytes = segment_bytes
        self._fault = ""
        self._fd = -1
        self._number = 0
        self._synced_number = 1
        self._grown = 0
        self._keeping = Lock()
        self._end = 0
        self._mark: Mark | None = None
        self._limit = 0
        self._turn = 0
        self._chain = meta.chain
        self.torn_tail_bytes = 0
        """Bytes of an unfinished turn that opening cut off; as far as this journal's durability reaches, it was never
        acknowledged."""

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        epoch: int,
        environment: Environment,
        durability: Durability = Durability.KERNEL,
        segment_bytes: int = SEGMENT_BYTES,
        sync: Callable[[int], None] = sync_data,
    ) -> Journal:
        """Make a journal in a new or empty directory and open it.

        epoch            ownership mark of its client order ids, in [0, EPOCH_BOUND); drawn at random by the caller,
                         never used twice on one account.
        segment_bytes    size at which the next segment is begun, > 0.
        sync             brings the turns of a file descriptor to stable storage; raises `OSError` when it cannot.
        Raises `CallerError` when there is something at `path` already, `JournalFault` when the disk does not take it.
        """
        if not 0 <= epoch < EPOCH_BOUND:
            raise CallerError(f"epoch {epoch} is not in [0, {EPOCH_BOUND}); no journal was made. Draw one below it")
        check_free(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise CallerError(f"journal {path} cannot be made: {exc.strerror}; nothing was changed") from exc
        lock_fd = take_lock(path)
        try:
            check_free(path)  # again: another process may have been quicker
            meta = Meta(format=FORMAT, epoch=epoch, environment=environment)
            journal = cls(path, lock_fd, meta, durability, segment_bytes, sync)
            try:
                (path / segment_name(1)).unlink(missing_ok=True)
                journal._begin_segment()
                journal.sync()
                journal._open_mark()
                # Last and in one step: a directory without it is no journal yet.
                write_durably(path / f"{META_NAME}.new", meta.encode())
                os.replace(path / f"{META_NAME}.new", path / META_NAME)
                sync_directory(path)
            except OSError as exc:
                raise JournalFault(f"journal {path} cannot be made: {exc.strerror}; nothing was sent") from exc
        except BaseException:
            os.close(lock_fd)
            raise
        return journal

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        environment: Environment | None = None,
        durability: Durability = Durability.KERNEL,
        segment_bytes: int = SEGMENT_BYTES,
        sync: Callable[[int], None] = sync_data,
    ) -> Journal:
        """Lock a journal, check it, cut an unfinished turn off its end, and go on where it stops.

        What stands before its newest checkpoint is not read: `verify` does.

        environment    what the caller means to trade in: a journal of another one is refused (B7). None: any.
        Raises `CallerError` when there is none, another process has it, it is of another environment or of a newer
        program; `JournalFault` when it does not check. Nothing was changed then.
        """
        read_meta(path)  # before the lock, which would leave a file where no journal is
        lock_fd = take_lock(path)
        try:
            meta = read_meta(path)
            if environment is not None and environment is not meta.environment:
                raise CallerError(
                    f"journal {path} is of the {meta.environment} environment, not {environment}; nothing was changed "
                    "and nothing was sent. Name another journal"
                )
            journal = cls(path, lock_fd, meta, durability, segment_bytes, sync)
            journal._recover(Scan(path, meta, segment_paths(path)))
        except BaseException:
            os.close(lock_fd)
            raise
        return journal

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def path(self) -> Path:
        """The journal's directory."""
        return self._directory

    @property
    def epoch(self) -> int:
        """Ownership mark of the client order ids made under this journal."""
        return self._meta.epoch

    @property
    def environment(self) -> Environment:
        """What its orders are."""
        return self._meta.environment

    @property
    def last_turn(self) -> int:
        """Number of the last recorded turn, 0 when there is none."""
        return self._turn

    @property
    def last_chain(self) -> str:
        """Chain value of everything recorded so far, hexadecimal."""
        return self._chain.hex()

    def append(self, records: Sequence[Record]) -> int:
        """Record one turn; what it says may be acted upon when this returns.

        records    facts in the order the core took them, each followed by the wishes it caused. Nothing is written
                   for none.
        Returns    the turn's number, from 1; the last turn's for no records.
        Raises     `JournalFault` when it could not be recorded whole, and ever after; `CallerError` when closed.
        """
        if not records:
            return self._turn
        try:
            body = encode(records)
        except (TypeError, ValueError, OverflowError) as exc:
            raise self._stop(f"a record cannot be encoded: {exc}") from exc
        size = len(body)
        if self._end + size > self._limit:
            self._make_room(size)
        chain = chain_of(self._chain, body)
        frame = pack_frame_head(size, size ^ COMPLEMENT, chain) + body
        try:
            written = os.write(self._fd, frame)
            if self._synced:
                self._sync(self._fd)
            if written == len(frame):
                self._chain = chain
                self._end += written
                self._grown += written
                if self._mark is not None:
                    self._mark.reached(self._number, self._end)
                self._turn += 1
                return self._turn
        except OSError as exc:
            raise self._stop(f"the disk does not take the turn: {exc.strerror}") from exc
        except BaseException:
            # Ctrl-C may come between the write and what we remember of it; the next turn would not follow then.
            self._stop("it was interrupted in the middle of a turn")
            raise
        raise self._stop(f"the disk took {written} of {len(frame)} bytes of a turn, most likely it is full")

    @property
    def grown(self) -> int:
        """Bytes that were recorded since the newest checkpoint, since the beginning without one."""
        return self._grown

    def here(self, *, layout: bytes, version: str, now_ns: int, parents: int) -> Head:
        """What a checkpoint of this moment stands for, between two turns; `keep` puts it down. Raises as `sync`."""
        self._check_usable()
        self._grown = 0
        return Head(
            epoch=self._meta.epoch,
            segment=self._number,
            offset=self._end,
            turn=self._turn,
            chain=self._chain,
            layout=layout,
            version=version,
            now_ns=now_ns,
            parents=parents,
        )

    def keep(self, head: Head, pieces: Iterable[bytes]) -> int:
        """Put a checkpoint down once everything that it stands for is on stable storage; its size in bytes.

        Another thread may do it while turns go on, if the journal is not closed before it returns; one waits for
        another.
        Raises    `JournalFault`, and the journal takes nothing more, where turns do not sync; `OSError` where there is
                  no such checkpoint, and nothing else has changed.
        """
        try:
            self._sync_segments(self._synced_number, head.segment)
        except OSError as exc:
            raise self._stop(f"the disk does not sync: {exc.strerror}") from exc
        with self._keeping:  # what is tidied away would be the other's unfinished file
            size = write_checkpoint(self._directory, head, pieces)
            prune(self._directory, epoch=self._meta.epoch)
        return size

    def sync(self) -> None:
        """Bring everything recorded so far to stable storage. Raises `JournalFault`, and ever after."""
        self._check_usable()
        try:
            # The kernel may have dropped what it could not write, so a failed sync is never tried again.
            self._sync_segments(self._synced_number, self._number - 1)
            self._sync(self._fd)
        except OSError as exc:
            raise self._stop(f"the disk does not sync: {exc.strerror}") from exc
        self._synced_number = self._number

    def close(self) -> None:
        """Sync, let the lock go and take nothing more; again is fine. Raises `JournalFault` when the sync fails."""
        if self._lock_fd < 0:
            return
        try:
            if not self._fault:
                self.sync()
        finally:
            self._limit = -1
            if self._mark is not None:
                self._mark.close()
            os.close(self._fd)
            os.close(self._lock_fd)
            self._fd = self._lock_fd = -1

    def _sync_segments(self, first: int, last: int) -> None:
        """Bring segments that are not open here to stable storage, both included, and their names."""
        for number in range(first, last + 1):
            fd = os.open(self._directory / segment_name(number), os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._sync(fd)
            finally:
                os.close(fd)
        if first <= last:
            sync_directory(self._directory)

    def _recover(self, scan: Scan) -> None:
        """Take over where the last writer stopped."""
        since = newest_of(self._directory, epoch=self._meta.epoch)
        checked = scan.check(since)
        path = scan.paths[-1]
        self._number = int(path.stem)
        # What a checkpoint stands for was synced before it was written.
        self._synced_number = int(scan.paths[0].stem) if since is None else since.segment
        self._turn = scan.turn_no
        self._chain = scan.chain
        self.torn_tail_bytes = scan.torn
        try:
            if checked is None:
                # It stopped while it began a segment, so nothing is in there: begin it again.
                path.unlink()
                self._number -= 1
                self._begin_segment()
            else:
                header, frames = checked
                self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
                if scan.torn:
                    os.ftruncate(self._fd, frames.offset)
                self._end = frames.offset
                self._limit = self._segment_bytes - FRAME_HEAD
                if header.schema != fingerprint():
                    self._begin_segment()  # one segment, one set of record types
        except OSError as exc:
            raise JournalFault(f"journal {self._directory} cannot be opened for writing: {exc.strerror}") from exc
        from_segment, from_byte = (0, 0) if since is None else (since.segment, since.offset)
        later = [path for path in segment_paths(self._directory) if int(path.stem) >= from_segment]
        self._grown = sum(path.stat().st_size for path in later) - from_byte
        # What is done from here on rests on turns that the writer before may not have synced.
        self.sync()
        try:
            self._open_mark()
        except OSError as exc:
            raise JournalFault(f"journal {self._directory} cannot be opened for writing: {exc.strerror}") from exc

    def _open_mark(self) -> None:
        """From here on each turn is synced and the note says so, or there is none, also after power loss."""
        if self._synced:
            self._mark = Mark(self._directory)
            self._mark.reached(self._number, self._end)
        elif (self._directory / MARK_NAME).exists():
            (self._directory / MARK_NAME).unlink()
            sync_directory(self._directory)

    def _make_room(self, size: int) -> None:
        """Begin the next segment for a body of `size` bytes; where no turn can be taken any more, say why."""
        self._check_usable()
        if size > MAX_BODY:
            raise self._stop(f"a turn of {size} bytes is longer than {MAX_BODY}")
        if self._end == HEADER_SIZE:
            return  # longer than a segment should be: it gets one for itself
        try:
            self._begin_segment()
        except OSError as exc:
            raise self._stop(f"the disk does not take another segment: {exc.strerror}") from exc

    def _begin_segment(self) -> None:
        number = self._number + 1
        if number > SEGMENT_MAX:
            raise self._stop(f"it has {SEGMENT_MAX} segments, which is the most")
        header = Header(
            number=number,
            epoch=self._meta.epoch,
            first_turn=self._turn + 1,
            schema=fingerprint(),
            chain_before=self._chain,
        )
        content = header.pack()
        path = self._directory / segment_name(number)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        if os.write(fd, content) != len(content):
            os.close(fd)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        if self._synced:
            sync_directory(self._directory)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = fd
        self._number = number
        self._chain = header.chain
        self._end = len(content)
        self._limit = self._segment_bytes - FRAME_HEAD

    def _check_usable(self) -> None:
        if self._fault:
            raise JournalFault(self._fault)
        if self._lock_fd < 0:
            raise CallerError(f"journal {self._directory} is closed; nothing was recorded. Open it again")

    def _stop(self, what: str) -> JournalFault:
        """Take nothing more from here on, and say why."""
        self._limit = -1
        self._fault = (
            f"journal {self._directory}, turn {self._turn + 1}: {what}. None of the turn's wishes may be carried out. "
            "Stop, and start again once the cause is gone: opening the journal repairs its end"
        )
        return JournalFault(self._fault)
