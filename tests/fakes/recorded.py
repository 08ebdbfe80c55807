"""Recordings of raw sockets, made up line by line, and the tapes that they become."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

from sor.lab.importers import Terms, import_recording
from sor.tape import Tape, check_tape, open_tape

T = 1_786_310_820_000
"""Milliseconds."""


def line(kind: str, at: int, *, conn: str = "BYBIT.ws.1", **fields: str) -> str:
    """A recorder's line, 100 ms behind the venue's clock at `at` ms."""
    return json.dumps({"t": kind, "conn": conn, "ts": (T + at + 100) / 1_000, **fields}, separators=(",", ":"))


def recv(at: int, message: object, *, conn: str = "BYBIT.ws.1") -> str:
    """A pushed message."""
    return line("recv", at, conn=conn, data=json.dumps(message, separators=(",", ":")))


def crc(text: str) -> int:
    """CRC32 as venues write it, signed."""
    value = zlib.crc32(text.encode())
    return value - (1 << 32) if value >= 1 << 31 else value


def written(path: Path, lines: tuple[str, ...]) -> Path:
    """A file of these lines."""
    path.write_text("\n".join(lines) + "\n")
    return path


def imported(tmp_path: Path, lines: tuple[str, ...], terms: Terms | None = None) -> tuple[Tape, dict[str, int]]:
    """The tape of these lines, checked, and its findings that are not 0."""
    manifest = import_recording([written(tmp_path / "sockets", lines)], tmp_path / "tape", terms=terms, overwrite=True)
    check_tape(tmp_path / "tape")
    return open_tape(tmp_path / "tape"), {one.what: one.count for one in manifest.findings if one.count}
