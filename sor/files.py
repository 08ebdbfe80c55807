"""Reading files that somebody else may have written: whole, bounded, and only what is a plain file."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def at_once(path: str, flags: int) -> int:
    """An opener for `open` that does not wait for the other end of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def read_small(path: Path, *, bytes_max: int) -> bytes:
    """All of a plain file of at most `bytes_max` bytes; links are followed.

    A pipe or a device is refused unread: opening one may wait for ever. Raises `OSError`, whose `strerror` says why.
    """
    with open(path, "rb", opener=at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no plain file", str(path))
        content = file.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise OSError(errno.EFBIG, f"it is larger than {bytes_max} bytes", str(path))
    return content
