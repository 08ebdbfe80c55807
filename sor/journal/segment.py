"""The bytes of a segment file: a header, then one frame for each turn of the loop.

    segment   header, frame, frame, ...
    header    magic 8s, format u16, zero u16, number u32, epoch u64, first turn u64, schema 16s, previous chain 16s,
              crc32 of all that u32; little-endian
    frame     length u32, its complement u32, chain 16s, body
    body      msgpack array of the turn's records

    chain of a frame    blake2b-128 over (chain before it, body)
    chain of a header   blake2b-128 over the header; what the first frame of the segment follows
    previous chain      of segment 1: blake2b-128 over `journal.json`; of the others: the last chain of the one before

Each byte is covered by a hash that everything after it depends on. The chain is the frame's checksum as well: a second
one would only cost. The length has its complement, because it is believed before the body can be checked: without it a
flipped bit in a length could pass for a tail that was not written to its end, and whatever follows would be cut off.

Torn or corrupt. A tail of the last segment is **torn** when it is shorter than its header says (the process was killed
in mid-write), or nothing but zeros from the end of a whole frame on (the machine lost power after the file had grown
and before its data were written). Where each turn is synced before it is acknowledged, so is a last frame with *holes*,
blocks of zeros that the power left where pages were not written, if nothing stands behind it and no sync is known to
have reached it (sor.journal.mark; decision 0102). Torn bytes were never acknowledged, so opening cuts them off.
Everything else that does not check is **corrupt**, also any other last frame with all its bytes, and an end before what
is known to have been synced: it may have been acted upon, so a person decides.

What the chain does not promise: who can write the whole directory can make another history that verifies, or leave
turns off at its end. Both show only against a chain value that is kept elsewhere.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from zlib import crc32

import msgspec

from sor.errors import CallerError, JournalFault

FORMAT = 1
"""Version of the layout above. A program reads its own and older ones, and refuses newer ones."""
MAGIC = b"sor jrnl"
MAX_BODY = 1 << 26
"""Longest body of a frame in bytes. A turn that needs more is a runaway, not a turn."""
COMPLEMENT = 0xFFFFFFFF
_COMPLEMENT_BYTES = COMPLEMENT.to_bytes(4, "little")
CHAIN_SIZE = 16
BLOCK = 512
"""What a disk writes whole or not at all, in bytes; pages are some of these."""

_HEADER = struct.Struct("<8sHHIQQ16s16s")
HEADER_SIZE = _HEADER.size + 4
_FRAME = struct.Struct("<II16s")
FRAME_HEAD = _FRAME.size
pack_frame_head = _FRAME.pack

WHAT_TO_DO = (
    "Nothing was changed and nothing was sent. Put the file back from a copy; without one, keep the directory as "
    "evidence, cancel the account's open orders at the venue and start a new journal"
)


_EMPTY = blake2b(digest_size=CHAIN_SIZE)


def chain_of(before: bytes, content: bytes) -> bytes:
    """The chain value of `content` that follows the chain value `before`, 16 bytes."""
    digest = _EMPTY.copy()  # a fifth quicker than to set one up, which parses a dozen parameters
    digest.update(before)
    digest.update(content)
    return digest.digest()


class Header(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a segment says of itself. `chain_before` is the previous segment's last chain value."""

    number: int
    epoch: int
    first_turn: int
    schema: bytes
    chain_before: bytes

    def pack(self) -> bytes:
        """The header as bytes."""
        fields = (MAGIC, FORMAT, 0, self.number, self.epoch, self.first_turn, self.schema, self.chain_before)
        plain = _HEADER.pack(*fields)
        return plain + crc32(plain).to_bytes(4, "little")

    @property
    def chain(self) -> bytes:
        """The chain value that the segment's first frame follows."""
        return chain_of(b"", self.pack())


def read_header(content: bytes, path: Path) -> Header:
    """Header of a segment file.

    Raises `JournalFault` when it is damaged, `CallerError` when a newer program wrote it.
    """
    if len(content) < HEADER_SIZE:
        raise damage(path, 0, f"the segment's header has {len(content)} of {HEADER_SIZE} bytes")
    plain = content[: _HEADER.size]
    magic, layout, _, number, epoch, first_turn, schema, chain_before = _HEADER.unpack(plain)
    if magic != MAGIC or content[_HEADER.size : HEADER_SIZE] != crc32(plain).to_bytes(4, "little"):
        raise damage(path, 0, "the segment's header does not match its checksum")
    if layout != FORMAT:
        raise CallerError(
            f"{path} has journal format {layout}, this program reads {FORMAT}; nothing was changed and nothing was "
            "sent. Use the version of sor that wrote it"
        )
    return Header(number=number, epoch=epoch, first_turn=first_turn, schema=schema, chain_before=chain_before)


class Frames:
    """The frames of one segment, checked one after the other; iterate once.

    synced     up to which byte the segment is known to have been synced, where no turn was acknowledged before it was;
               None where that is not known.
    offset     of the next frame: behind the last one that checked.
    chain      of the last frame that checked, of the header before the first.
    torn       bytes of a torn tail, known when the iteration has ended.
    """

    __slots__ = ("_content", "_is_last", "_path", "_synced", "chain", "offset", "torn")

    def __init__(self, content: bytes, header: Header, path: Path, *, is_last: bool, synced: int | None = None) -> None:
        self._content = content
        self._path = path
        self._is_last = is_last
        self._synced = synced
        self.offset = HEADER_SIZE
        self.chain = header.chain
        self.torn = 0

    def __iter__(self) -> Iterator[bytes]:
        """Bodies in order; `offset` and `chain` are already those behind the body that is handed out.

        Raises `JournalFault` at the first frame that is corrupt.
        """
        content = self._content
        unpack = _FRAME.unpack_from
        size = len(content)
        while self.offset < size:
            start = self.offset
            at = start + FRAME_HEAD
            if at > size:
                return self._tear(size - start)
            length, complement, chain = unpack(content, start)
            if length ^ complement != COMPLEMENT or length > MAX_BODY:
                if content.count(0, start) == size - start or (self._unsynced and has_holes(content, start)):
                    return self._tear(size - start)
                raise damage(self._path, start, "the head of a frame is damaged")
            end = at + length
            if end > size:
                return self._tear(size - start)
            body = content[at:end]
            if chain_of(self.chain, body) != chain:
                if end == size and self._unsynced and _has_hole(content, start):
                    return self._tear(size - start)
                raise damage(self._path, start, "a turn does not match its chain value")
            self.chain = chain
            self.offset = end
            yield body
        return self._check_synced()

    @property
    def _unsynced(self) -> bool:
        """Whether the next frame may be one that the power took before its sync had returned."""
        return self._synced is not None and self.offset >= self._synced

    def _tear(self, length: int) -> None:
        if not self._is_last:
            raise damage(self._path, self.offset, "the segment ends in the middle of a turn, and another one follows")
        self._check_synced()
        self.torn = length

    def _check_synced(self) -> None:
        """Raise `JournalFault` where turns end before what is known to have been synced."""
        if self._synced is not None and self.offset < self._synced:
            raise damage(self._path, self.offset, f"turns that were synced are missing, up to byte {self._synced}")


def has_holes(content: bytes, start: int) -> bool:
    """Whether what begins at `start`, and does not say how long it is, may be one frame with holes, and nothing else.

    Anything in it that may be the head of a frame stands for one, of which the sync of the one before is the premise.
    """
    size = len(content) - start - 4  # each four bytes beside the four behind them
    if size > 0:
        ones, others = (int.from_bytes(content[at : at + size], "little") for at in (start, start + 4))
        sums = (ones ^ others).to_bytes(size, "little")
        at = sums.find(_COMPLEMENT_BYTES)
        while at >= 0:
            if int.from_bytes(content[start + at : start + at + 4], "little") <= MAX_BODY:
                return False
            at = sums.find(_COMPLEMENT_BYTES, at + 1)
    return _has_hole(content, start)


def _has_hole(content: bytes, start: int) -> bool:
    """Whether a block, or what of it lies behind `start`, is nothing but zeros."""
    for block in range(start - start % BLOCK, len(content), BLOCK):
        part = content[max(block, start) : block + BLOCK]
        if part.count(0) == len(part):
            return True
    return False


def damage(path: Path, offset: int, what: str) -> JournalFault:
    """The error for bytes that do not check."""
    return JournalFault(f"{path}, byte {offset}: {what}. {WHAT_TO_DO}")
