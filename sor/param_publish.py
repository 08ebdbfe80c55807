"""Publishing a param-set: a file that is written once, whole or not at all, and never over another."""

from __future__ import annotations

import os
import re
import tempfile
from datetime import date
from pathlib import Path

from sor.errors import CallerError

_PLACE = re.compile(r"[a-z0-9_-]+")


def set_name(out: Path) -> str:
    """The name of a set by its place, `<family>/<date>.json`.

    Raises    CallerError for a place that is no such name, or that is taken: what is published stays as it is.
    """
    whole = out.absolute()
    family, day = whole.parent.name, whole.stem
    try:
        date.fromisoformat(day)
        sound = whole.suffix == ".json" and _PLACE.fullmatch(family) is not None and len(day) == len("2026-11-21")
    except ValueError:
        sound = False
    if not sound:
        raise CallerError(
            f"{out} is no place for a param-set; nothing was done. Name it FAMILY/DATE.json, such as "
            "paramsets/acme/2026-11-21.json"
        )
    if whole.exists() or whole.is_symlink():
        raise CallerError(
            f"{out} is published already and is never written over; nothing was done. Give another date or family"
        )
    above = next(folder for folder in whole.parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise CallerError(f"{out} cannot be written: {above} is no directory that may be written; nothing was done")
    return f"{family}/{day}"


def publish(text: str, out: Path) -> None:
    """Write the file, whole or not at all, where there is none. Raises `CallerError` where there is one by now."""
    out = out.absolute()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(part, 0o644)
            os.link(part, out)  # unlike a rename, this never replaces anything
        finally:
            os.unlink(part)
    except FileExistsError as error:
        raise CallerError(f"{out} was published meanwhile and is never written over; nothing was written") from error
    except OSError as error:
        raise CallerError(f"{out} cannot be written: {error.strerror or error}; nothing was written") from error
