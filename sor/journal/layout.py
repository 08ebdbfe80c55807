"""A journal's directory: which files there are, and `journal.json`, which makes it a journal.

LOCK            who writes (sor.journal.lock)
journal.json    what this journal is; never written again. The first segment's chain begins with its bytes
000001.seg ...  the turns (sor.journal.segment)
....checkpoint  the state behind a turn; no part of the record (sor.journal.checkpoint)
SYNCED          where each turn is synced: how far (sor.journal.mark)
index.sqlite    made from the segments and made anew at will (sor.journal.index); no part of the record
"""

from __future__ import annotations

import os
import re
from enum import StrEnum
from pathlib import Path

import msgspec

from sor.errors import CallerError, JournalFault
from sor.files import read_small
from sor.ids import EPOCH_BOUND
from sor.journal.lock import LOCK_NAME
from sor.journal.mark import MARK_NAME
from sor.journal.segment import FORMAT, HEADER_SIZE, WHAT_TO_DO, chain_of

META_NAME = "journal.json"
INDEX_NAME = "index.sqlite"
_META_BYTES_MAX = 64 * 1024
_SEGMENT_NAME = re.compile(r"(\d{6})\.seg")
SEGMENT_MAX = 999_999


class Environment(StrEnum):
    """What the orders of a journal are: they never mix (B7)."""

    DEMO = "demo"
    LIVE = "live"
    SIMULATED = "simulated"


class Meta(msgspec.Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """`journal.json`: fixed when the journal is created.

    epoch    ownership mark in every client order id, drawn once, in [0, EPOCH_BOUND).
    """

    format: int
    epoch: int
    environment: Environment

    def encode(self) -> bytes:
        """The only bytes that `journal.json` may hold for these values."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @property
    def chain(self) -> bytes:
        """The chain value that the first segment follows."""
        return chain_of(b"", self.encode())


def read_meta(directory: Path) -> Meta:
    """What a journal is.

    Raises `CallerError` when there is none or a newer program made it, `JournalFault` when its description is damaged.
    """
    path = directory / META_NAME
    try:
        content = read_small(path, bytes_max=_META_BYTES_MAX)
    except (FileNotFoundError, NotADirectoryError) as exc:
        if segment_paths(directory):
            raise JournalFault(f"{path} is missing although there are segments. {WHAT_TO_DO}") from exc
        raise CallerError(
            f"there is no journal at {directory}; nothing was changed and nothing was sent. "
            "The first router on it makes it"
        ) from exc
    except OSError as exc:
        raise CallerError(f"{path} cannot be read: {exc.strerror}; nothing was changed and nothing was sent") from exc
    try:
        layout = msgspec.json.decode(content, type=dict[str, object])["format"]
        if isinstance(layout, int) and layout > FORMAT:
            raise CallerError(
                f"{directory} has journal format {layout}, this program reads {FORMAT}; nothing was changed and "
                "nothing was sent. Use the version of sor that wrote it"
            )
        meta = msgspec.json.decode(content, type=Meta)
    except (ValueError, KeyError, RecursionError) as exc:  # not text, not JSON, or not this JSON
        raise JournalFault(f"{path} is damaged: {exc}. {WHAT_TO_DO}") from exc
    if meta.encode() != content or not 0 <= meta.epoch < EPOCH_BOUND:
        raise JournalFault(f"{path} is not as it was written. {WHAT_TO_DO}")
    return meta


def segment_name(number: int) -> str:
    """File name of segment `number`, from 1."""
    return f"{number:06}.seg"


def segment_paths(directory: Path) -> list[Path]:
    """Segment files in order; empty when the directory is none or holds none."""
    return named(directory, _SEGMENT_NAME)


def named(directory: Path, pattern: re.Pattern[str]) -> list[Path]:
    """Files of a directory whose whole name is `pattern`, in order of name; empty when it is none."""
    try:
        names = [entry.name for entry in os.scandir(directory)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as exc:
        raise CallerError(f"{directory} cannot be read: {exc.strerror}; nothing was changed") from exc
    return [directory / name for name in sorted(names) if pattern.fullmatch(name)]


def check_free(directory: Path) -> None:
    """Raise `CallerError` unless a journal can be made here.

    It can where nothing is, in an empty directory, and where a creation did not get to its end: it left no turn behind.
    """
    if not directory.exists():
        return
    if not directory.is_dir():
        raise CallerError(f"{directory} is not a directory; nothing was changed. Name a new one for the journal")
    rest = {LOCK_NAME, MARK_NAME, f"{META_NAME}.new", segment_name(1)}
    strange = sorted(entry.name for entry in os.scandir(directory) if entry.name not in rest)
    if META_NAME in strange:
        raise CallerError(f"there is a journal at {directory} already; nothing was changed. Open it, or name a new one")
    first = directory / segment_name(1)
    if strange or (first.exists() and first.stat().st_size > HEADER_SIZE):
        raise CallerError(f"{directory} is not empty; nothing was changed. Name a new directory for the journal")


def write_durably(path: Path, content: bytes) -> None:
    """Make a file with this content, on stable storage when this returns. `OSError` when it cannot be."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        written = os.write(fd, content)
        if written != len(content):
            raise OSError(0, f"only {written} of {len(content)} bytes were written", str(path))
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
