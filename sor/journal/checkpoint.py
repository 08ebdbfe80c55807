"""Checkpoint files: the state that the turns up to one of them make, beside the segments (0112).

    head      magic 8s, format u16, zero u16, length u32, that many bytes of msgpack (`Head`), crc32 of all that u32
    pieces    length u32 > 0, that many bytes; a length of 0 ends them
    digest    blake2b-128 over everything before

A checkpoint is no part of the record: no segment changes for it, and while all segments are there it can be thrown away
at will. It is there whole or not at all: written under another name, synced, and only then named. What it stands for is
on stable storage before it is, so no loss of power leaves one that the turns do not reach.

Segments before the one that a checkpoint names are not needed to go on from it. Where the first ones are gone, the
journal begins at its oldest checkpoint that the segments left can follow: its *base*.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final
from zlib import crc32

import msgspec

from sor.errors import JournalFault
from sor.journal.layout import named, segment_paths, sync_directory
from sor.journal.records import encode
from sor.journal.segment import WHAT_TO_DO

FORMAT: Final = 1
KEPT: Final = 2
"""So many checkpoints are kept; should the newest be damaged, the one before it will do."""
PIECE_MAX: Final = 1 << 31
_MAGIC: Final = b"sor chkp"
_FIXED: Final = struct.Struct("<8sHHI")
_U32: Final = struct.Struct("<I")
_HEAD_MAX: Final = 64 * 1024
_DIGEST: Final = 16
_SUFFIX: Final = ".checkpoint"
_NAME: Final = re.compile(r"\d{16}\.checkpoint")
_NEW: Final = ".new"


class Head(msgspec.Struct, frozen=True, gc=False, array_like=True, kw_only=True):
    """What a checkpoint stands for, and who made it.

    epoch             of its journal. segment, offset: where the next turn was going to be written.
    turn, chain       the last turn that is in it, and the chain value there.
    layout, version   of the program that wrote it: only the same one reads it.
    now_ns            time of the last fact. parents: how many there have been.
    """

    epoch: int
    segment: int
    offset: int
    turn: int
    chain: bytes
    layout: bytes
    version: str
    now_ns: int
    parents: int


def checkpoint_paths(directory: Path) -> list[Path]:
    """Checkpoint files, the oldest first."""
    return named(directory, _NAME)


def read_head(path: Path, *, epoch: int) -> Head:
    """What a checkpoint stands for. Raises `JournalFault` where that is damaged, or of another journal."""
    try:
        with path.open("rb") as file:
            return _head(file.read(_FIXED.size + _HEAD_MAX + _U32.size), path, epoch)[0]
    except OSError as exc:
        raise _unreadable(path, exc) from exc


def read_checkpoint(path: Path, *, epoch: int) -> tuple[Head, list[bytes]]:
    """A checkpoint and its pieces, checked to the last byte. Raises as `read_head`."""
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise _unreadable(path, exc) from exc
    head, at = _head(content, path, epoch)
    whole = memoryview(content)
    end = len(content) - _DIGEST
    if end < at or blake2b(whole[:end], digest_size=_DIGEST).digest() != content[end:]:
        raise _damage(path, at, "the checkpoint does not match its digest")
    pieces: list[bytes] = []
    while True:
        (length,) = _U32.unpack_from(content, at)
        at += _U32.size
        if not length:
            break
        pieces.append(bytes(whole[at : at + length]))
        at += length
    return head, pieces


def write_checkpoint(directory: Path, head: Head, pieces: Iterable[bytes]) -> int:
    """Put a checkpoint beside the segments; returns its size in bytes once it is on stable storage.

    What it stands for must be there already. Raises `OSError`, and there is no such checkpoint then.
    """
    path = directory / f"{head.turn:016}{_SUFFIX}"
    new = path.with_name(path.name + _NEW)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    digest = blake2b(digest_size=_DIGEST)
    size = 0

    def put(content: bytes) -> None:
        nonlocal size
        digest.update(content)
        size += len(content)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(fd, rest) :]

    try:
        packed = encode(head)
        plain = _FIXED.pack(_MAGIC, FORMAT, 0, len(packed)) + packed
        put(plain + _U32.pack(crc32(plain)))
        for piece in pieces:
            assert 0 < len(piece) < PIECE_MAX, len(piece)
            put(_U32.pack(len(piece)))
            put(piece)
        put(_U32.pack(0))
        put(digest.digest())
        os.fsync(fd)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise
    finally:
        os.close(fd)
    os.replace(new, path)
    sync_directory(directory)
    return size


def base_of(directory: Path, *, epoch: int) -> Head | None:
    """The checkpoint at which a journal begins whose first segments are gone; None where they are all there.

    Raises `JournalFault` where no checkpoint stands for the turns that are gone.
    """
    paths = segment_paths(directory)
    first = int(paths[0].stem) if paths else 1
    if first == 1:
        return None
    for path in checkpoint_paths(directory):
        with suppress(JournalFault):
            head = read_head(path, epoch=epoch)
            if head.segment >= first:
                return head
    raise JournalFault(
        f"{directory}: the segments before {first:06} are missing, and no checkpoint stands for them. {WHAT_TO_DO}"
    )


def newest_of(directory: Path, *, epoch: int) -> Head | None:
    """The newest checkpoint whose head can be read, None without one."""
    for path in reversed(checkpoint_paths(directory)):
        with suppress(JournalFault):
            return read_head(path, epoch=epoch)
    return None


def prune(directory: Path, *, epoch: int) -> None:
    """Remove checkpoints that nobody needs: all but the newest, and the one at which the journal begins.

    Raises `OSError`.
    """
    try:
        base = base_of(directory, epoch=epoch)
    except JournalFault:
        return  # which of them somebody may still need, somebody has to say
    for path in checkpoint_paths(directory)[:-KEPT]:
        if base is None or path.name != f"{base.turn:016}{_SUFFIX}":
            path.unlink()
    for path in directory.glob(f"*{_SUFFIX}{_NEW}"):
        path.unlink()


def _head(content: bytes, path: Path, epoch: int) -> tuple[Head, int]:
    """The head, and where the pieces begin."""
    if len(content) < _FIXED.size:
        raise _damage(path, 0, f"the checkpoint's head has {len(content)} of {_FIXED.size} bytes")
    magic, layout, _, length = _FIXED.unpack_from(content)
    end = _FIXED.size + length
    if magic != _MAGIC or length > _HEAD_MAX or content[end : end + _U32.size] != _U32.pack(crc32(content[:end])):
        raise _damage(path, 0, "the checkpoint's head does not match its checksum")
    if layout != FORMAT:
        raise _damage(path, 0, f"the checkpoint has format {layout}, and this program reads {FORMAT}")
    try:
        head = msgspec.msgpack.decode(content[_FIXED.size : end], type=Head)
    except ValueError as exc:
        raise _damage(path, 0, f"the checkpoint's head is none that this program knows ({exc})") from exc
    if head.epoch != epoch or path.name != f"{head.turn:016}{_SUFFIX}":
        raise _damage(path, 0, "the checkpoint belongs elsewhere, its head says so")
    return head, end + _U32.size


def _damage(path: Path, at: int, what: str) -> JournalFault:
    return JournalFault(
        f"{path}, byte {at}: {what}. While all segments are there it can be removed: a start goes on from the "
        "checkpoint before it, or reads the turns. Else put it back from a copy"
    )


def _unreadable(path: Path, exc: OSError) -> JournalFault:
    return JournalFault(f"{path} cannot be read: {exc.strerror}. Nothing was changed and nothing was sent")
