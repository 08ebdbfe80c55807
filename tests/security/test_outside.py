"""What comes from outside is bounded and stays in its place: files, links, names.

Frames, bodies, heads, inflated messages, param-set texts and turns are bounded where they are tested: unit tests of
frames, http1, transports, inflate, params, journal and of the emulators' server.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from sor.errors import CallerError, JournalFault
from sor.files import read_small
from sor.journal import Environment, Journal
from sor.journal.layout import META_NAME, read_meta, segment_name
from sor.journal.lock import LOCK_NAME
from sor.params import ParamStore, Refused
from sor.tape import MANIFEST, open_tape, read_manifest, save_tape
from tests.conftest import REPO
from tests.fakes.tapes import Group, tape_of
from venues.plumbing.credentials import read_keys

HUGE = 1 << 40
"""Bytes of a file that no memory holds; on disk it is a hole."""
DEEP = b"[" * 100_000 + b"]" * 100_000


def huge(path: Path) -> None:
    path.touch(mode=0o600)
    os.truncate(path, HUGE)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def silent(path: Path) -> None:
    os.mkfifo(path, mode=0o600)


def deep(path: Path) -> None:
    path.touch(mode=0o600)
    path.write_bytes(b'{"format": 1, "boot": "b", "leverages": {}, "more": ' + DEEP + b"}")


BAD: dict[str, Callable[[Path], None]] = {"huge": huge, "endless": endless, "a pipe": silent, "deep": deep}
bad = pytest.mark.parametrize("make", BAD.values(), ids=BAD)


def test_a_file_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    assert read_small(file, bytes_max=5) == b"12345"
    with pytest.raises(OSError, match="it is larger than 4 bytes"):
        read_small(file, bytes_max=4)
    with pytest.raises(FileNotFoundError):
        read_small(tmp_path / "none", bytes_max=4)


@bad
def test_a_param_set(make: Callable[[Path], None], tmp_path: Path) -> None:
    (tmp_path / "fit").mkdir()
    store = ParamStore(tmp_path, packaged=False)
    make(tmp_path / "fit" / "2026-01-02.json")
    (news,) = store.reload()
    assert isinstance(news, Refused)
    assert news.reason in {
        "it is larger than 1000000 bytes",
        "it is nested too deeply",
        "it is no file, or gone",
    }


@bad
def test_a_journals_description(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / META_NAME)
    with pytest.raises((CallerError, JournalFault), match=r"cannot be read|is damaged") as caught:
        read_meta(tmp_path)
    assert "othing was sent" in str(caught.value)


@bad
def test_a_tapes_description(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / MANIFEST)
    with pytest.raises(CallerError, match=r"is not a tape|is damaged"):
        read_manifest(tmp_path)


@bad
def test_a_file_of_keys(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "keys")
    with pytest.raises(CallerError):
        read_keys(key_name="K", secret_name="S", file=tmp_path / "keys")


def test_a_column_runs_no_code_and_takes_no_other_place(tmp_path: Path) -> None:
    """A column of objects would be unpickled; a name of one is never taken from the manifest."""
    path = tmp_path / "t"
    tape = tape_of([Group(1_000, 1_010, [(1, 100, 5), (-1, 101, 5)])])
    save_tape(tape, path, findings=(), source=(), importer="hand")
    np.save(path / "level_ticks.npy", np.array([object()], dtype=object))
    with pytest.raises(CallerError, match=r"column level_ticks of .* is cut off or damaged"):
        open_tape(path)
    manifest = path / MANIFEST
    for elsewhere in ("../other", "/etc/passwd"):
        text = manifest.read_text("utf-8").replace('"name": "level_side"', f'"name": "{elsewhere}"')
        assert elsewhere in text
        (tmp_path / "m.json").write_text(text, "utf-8")
        manifest.rename(path / "kept")
        (tmp_path / "m.json").rename(manifest)
        with pytest.raises(CallerError, match="lists other columns than a tape has"):
            open_tape(path)
        (path / "kept").rename(manifest)


@pytest.mark.parametrize("name", [LOCK_NAME, segment_name(1), f"{META_NAME}.new"])
def test_a_journal_is_not_written_through_a_link(name: str, tmp_path: Path) -> None:
    """A link that somebody put in its place would have another file written."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"kept")
    path = tmp_path / "j"
    path.mkdir()
    (path / name).symlink_to(victim)
    with suppress(CallerError, JournalFault):  # or the link is replaced
        Journal.create(path, epoch=1, environment=Environment.SIMULATED).close()
    assert victim.read_bytes() == b"kept"


def test_a_segment_is_not_gone_on_with_through_a_link(tmp_path: Path) -> None:
    path = tmp_path / "j"
    Journal.create(path, epoch=1, environment=Environment.SIMULATED).close()
    segment = path / segment_name(1)
    segment.rename(tmp_path / "elsewhere")
    segment.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JournalFault, match="cannot be opened for writing: Too many levels of symbolic links"):
        Journal.open(path)


@pytest.mark.parametrize("set_id", ["../2026-01-02", "fit/../../2026-01-02", "/etc/2026-01-02", "fit/2026-01-02/x"])
def test_a_param_set_says_no_other_place(set_id: str, tmp_path: Path) -> None:
    text = next((REPO / "paramsets" / "baseline").glob("*.json")).read_text("utf-8")
    (tmp_path / "fit").mkdir()
    store = ParamStore(tmp_path, packaged=False)
    (tmp_path / "fit" / "2026-01-02.json").write_text(text.replace("baseline/2026-11-21", set_id), "utf-8")
    (news,) = store.reload()
    assert isinstance(news, Refused)
