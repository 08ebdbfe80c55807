"""One writer for a journal: an advisory lock on its `LOCK` file, which the kernel lets go when the holder dies."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from sor.errors import CallerError

LOCK_NAME = "LOCK"


def take_lock(directory: Path) -> int:
    """Lock a journal for this process; the lock is held until the returned file descriptor is closed.

    flock rather than fcntl locks: those would not keep a second `Journal` of the same process out, and would be lost
    with the first descriptor of the file that anybody closes. The file stays when the lock is let go: removing it
    would let two processes lock two files of one name.

    Raises `CallerError` naming the holder when another process (or another `Journal` of this one) has it.
    """
    path = directory / LOCK_NAME
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as exc:
        raise CallerError(
            f"journal {directory} cannot be opened for writing: {exc.strerror}; nothing was changed"
        ) from exc
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(fd)
        if not isinstance(exc, BlockingIOError):
            raise CallerError(f"journal {directory} cannot be locked: {exc.strerror}; nothing was changed") from exc
        raise CallerError(
            f"journal {directory} is in use by process {holder}; nothing was changed and nothing was sent. Stop that "
            "process, or give this one a journal of its own"
        ) from exc
    with suppress(OSError):  # only for the message above; padded, so that it covers whatever pid stood there
        os.pwrite(fd, f"{os.getpid():<19}\n".encode(), 0)
    return fd


def lock_holder(directory: Path) -> str | None:
    """Who writes a journal: the process's id, "unknown" where it does not say; None where nobody does.

    Asking takes the lock for an instant, and a writer that starts in that very instant is refused.
    """
    try:
        fd = os.open(directory / LOCK_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
    finally:
        os.close(fd)
    return None
