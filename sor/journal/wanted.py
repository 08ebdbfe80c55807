"""How somebody outside asks for experiments and the end of halts: files in a journal's directory for its router.

As with the kill switch (`sor.journal.switch`): the router that writes the journal looks for them a few times a second,
records what is asked, and removes the file. Where no router runs the file stays, and the next one heeds it at its
start. What it refuses it leaves beside, under another ending and with the reason in it, for whoever asked.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

import msgspec

from sor.errors import CallerError
from sor.files import read_small
from sor.journal.layout import write_durably

WANTED_NAME: Final = "asked"
"""The folder within the journal's."""
_ASKED: Final = ".asked"
_REFUSED: Final = ".refused"
_BYTES_MAX: Final = 1_000_000


class StartAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="start"):
    """An experiment is to take parents: the text of its file, and where that lay."""

    text: str
    where: str


class StopAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="stop"):
    """An arm of an experiment, "" for all, is to take no more parents."""

    experiment: str
    arm: str
    reason: str


class LiftAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="lift"):
    """Somebody has looked at a halted symbol and takes responsibility for trading on."""

    venue: str
    symbol: str
    reason: str


Asked = StartAsked | StopAsked | LiftAsked
_decoder: msgspec.json.Decoder[Asked] = msgspec.json.Decoder(Asked)


def ask_router(directory: Path, asked: Asked) -> Path:
    """Leave it for the journal's router. Raises `CallerError` when it cannot be written."""
    folder = directory / WANTED_NAME
    path = folder / f"{time.time_ns()}-{os.getpid()}{_ASKED}"
    new = path.with_suffix(".new")
    try:
        folder.mkdir(exist_ok=True)
        write_durably(new, msgspec.json.encode(asked))
        os.replace(new, path)
    except OSError as exc:
        raise CallerError(f"{path} cannot be written: {exc.strerror}; the journal's router was told nothing") from exc
    return path


def wanted(directory: Path) -> list[Path]:
    """What was left there and not taken yet, in the order in which it was asked."""
    try:
        names = os.listdir(directory / WANTED_NAME)
    except OSError:
        return []
    return [directory / WANTED_NAME / name for name in sorted(names) if name.endswith(_ASKED)]


def asked_in(path: Path) -> Asked:
    """What a file asks. Raises `CallerError` for one that cannot be read."""
    try:
        return _decoder.decode(read_small(path, bytes_max=_BYTES_MAX))
    except (OSError, ValueError) as error:
        raise CallerError(f"{path.name} cannot be read: {error}; nothing was changed") from error


def take_wanted(path: Path) -> None:
    """It is on record: remove it. Raises `OSError` when that fails."""
    path.unlink(missing_ok=True)


def refuse_wanted(path: Path, reason: str) -> None:
    """It is not to be: leave the reason instead. Raises `OSError` when that fails."""
    write_durably(path.with_suffix(_REFUSED), reason.encode())
    path.unlink(missing_ok=True)


def refusal_of(path: Path) -> str | None:
    """Why what was asked in this file was refused, None if it was not; the reason is removed with reading it."""
    try:
        reason = read_small(path.with_suffix(_REFUSED), bytes_max=_BYTES_MAX).decode(errors="replace")
        path.with_suffix(_REFUSED).unlink(missing_ok=True)
    except OSError:
        return None
    return reason
