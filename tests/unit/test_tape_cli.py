"""`sor tape`: what it says, and that whatever is wrong ends in one sentence, an exit code and nothing half-written."""

import errno
import gzip
import os
import re
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest

from sor.cli.main import run
from sor.tape import MANIFEST, Manifest, read_manifest
from tests.fakes.patience import PATIENCE_S
from tests.unit.test_importers import BEHIND, EXACT, LATER, OPENING, OTHER, USDM, at, opening_of


class Said(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Say = Callable[..., Said]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Run `sor tape ...` in this process."""

    def run_tape(*arguments: str | Path) -> Said:
        code = run(["tape", *map(str, arguments)])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return run_tape


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A recording of half a dozen lines; its clock offset is -1.27 s."""
    path = tmp_path / "recording"
    path.write_text("".join([*OPENING, USDM.trade(40, 7, "100.1", "0.500", sold=False), *LATER]))
    return path


@pytest.fixture
def tape(recording: Path, say: Say) -> Path:
    path = recording.parent / "tape"
    assert say("import", recording, "--out", path, "--clock-offset-ns", EXACT.clock_offset_ns).code == 0
    return path


def cells(text: str) -> list[list[str]]:
    """Rows of a table without lines."""
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines() if line.strip()]


# --- what it says -------------------------------------------------------------------------------------------------


def test_import_says_what_was_found(recording: Path, say: Say) -> None:
    said = say("import", recording, "--out", recording.parent / "tape", "--clock-offset-ns", -BEHIND)
    manifest = read_manifest(recording.parent / "tape")
    assert (said.code, said.err) == (0, "")
    assert cells(said.out) == [
        [f"tape tape, digest {manifest.digest}"],
        ["instrument", "BTCUSDT on binance_usdm"],
        ["steps", "tick 0.1, lot 0.001"],
        ["fees", "maker 2 bps, taker 5 bps"],
        ["book", "2024-08-08 23:54:16.010 to 2024-08-08 23:54:18.999, 3.0 s"],
        ["groups", "4, of 7 level changes"],
        ["trades", "1"],
        ["clock", "-1.270000 s removed from the recorder's"],
        ["from", f"recording (sha256 {manifest.source[0].sha256[:16]})"],
        ["lines", "6", "read"],
        ["diffs", "4", "depth diffs"],
        ["trades", "1", "trade messages"],
        ["snapshots", "1", "REST depth snapshots"],
        ["too_old", "1", "diffs and tickers that the snapshot held already"],
        ["silence_ns_max", "1.960 s", "longest time without any message"],
        ["clock_offset_ns", "-1.270 s", "subtracted from the recorder's clock; as stated"],
    ]


def test_info_says_the_same_and_names_what_was_not_there(tape: Path, say: Say) -> None:
    said = say("info", tape)
    assert (said.code, said.err) == (0, "")
    rows = cells(said.out)
    assert ["instrument", "BTCUSDT on binance_usdm"] in rows
    assert [
        "gaps",
        "0",
        "breaks of the update chain; the book is lost from each to the next snapshot that fits",
    ] in rows


def test_check_reads_it_all(tape: Path, say: Say) -> None:
    assert say("check", tape) == Said(
        0,
        f"tape is whole: 12 columns as written, digest {read_manifest(tape).digest}; times in order, no crossed book "
        f"in 4 groups\n",
        "",
    )


def test_as_json_each_prints_one_document_and_nothing_else(recording: Path, say: Say) -> None:
    path = recording.parent / "tape"
    said = say("import", recording, "--out", path, "--json")
    manifest = read_manifest(path)
    assert (said.code, said.err) == (0, "")
    assert msgspec.json.decode(said.out, type=Manifest) == manifest
    said = say("info", "--json", path)
    assert msgspec.json.decode(said.out, type=Manifest) == manifest
    said = say("check", "--json", path)
    assert msgspec.json.decode(said.out) == {"tape": "tape", "digest": manifest.digest, "whole": True}


def test_terms_are_taken_as_written(recording: Path, say: Say) -> None:
    recording.write_text("".join(opening_of(OTHER)))
    path = recording.parent / "tape"
    terms = "--tick 0.10 --lot 1 --min-notional 5 --maker-bps -0.5 --taker-bps 4.5 --symbol sol-usdt"
    said = say("import", recording, "--out", path, *terms.split())
    assert (said.code, said.err) == (0, "")
    found = read_manifest(path).instrument
    assert (found.tick_size, found.maker_fee_e8, found.taker_fee_e8) == (Decimal("0.10"), -5_000, 45_000)


def test_force_replaces_a_tape(tape: Path, recording: Path, say: Say) -> None:
    before = read_manifest(tape)
    recording.write_text("".join(OPENING))
    assert say("import", recording, "--out", tape, "--force").code == 0
    assert read_manifest(tape).digest != before.digest
    assert sorted(path.name for path in tape.parent.iterdir()) == ["recording", "tape"]


OFF_THE_TICK = USDM.trade(40, 1, "100.05", "1", sold=True)

# --- what is wrong ------------------------------------------------------------------------------------------------


def refused(said: Said, sentence: str) -> None:
    """One line on stderr, which says this; nothing on stdout."""
    assert said.out == ""
    assert said.code == 1
    assert said.err.startswith("sor: ")
    assert said.err.count("\n") == 1, said.err
    assert re.search(sentence, said.err), said.err


@pytest.mark.parametrize("json", [[], ["--json"]])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "absent cannot be read: No such file or directory; nothing was written"),
        (b"", "is no recording that can be imported .binance, bitstamp, .*; nothing was written"),
        (b"\x89PNG\r\n", "is no recording that can be imported"),
        (
            gzip.compress(b"".join(line.encode() for line in OPENING), mtime=0)[:30],
            "is no recording that can be imported",
        ),
        (
            "".join(opening_of(OTHER)).encode(),
            "usdm SOLUSDT is not known here; nothing was written. State its tick, lot",
        ),
        ("".join([OPENING[0], OPENING[2]]).encode(), "no depth snapshot in the recording .* fits its diffs"),
        ("".join([*OPENING, OFF_THE_TICK]).encode(), "price 100.05 is off the step of 0.1; nothing was written"),
    ],
)
def test_a_recording_that_cannot_be_imported(
    tmp_path: Path, say: Say, content: bytes | None, sentence: str, json: list[str]
) -> None:
    file = tmp_path / "absent"
    if content is not None:
        file = tmp_path / "file"
        file.write_bytes(content)
    refused(say("import", file, "--out", tmp_path / "out" / "tape", *json), sentence)
    assert sorted(path.name for path in tmp_path.iterdir()) == (["file"] if content is not None else [])


def test_a_directory_or_a_pipe_is_no_recording(tmp_path: Path, say: Say) -> None:
    refused(say("import", tmp_path, "--out", tmp_path / "tape"), "cannot be read: Is a directory; nothing was written")
    read_end, write_end = os.pipe()
    try:
        refused(say("import", f"/dev/fd/{read_end}", "--out", tmp_path / "tape"), "is a pipe, .* Name its files")
    finally:
        os.close(read_end)
        os.close(write_end)


def test_a_place_that_is_taken_or_cannot_be_written(tape: Path, recording: Path, say: Say) -> None:
    refused(say("import", recording, "--out", tape), "tape is a tape already; nothing was written. .* overwrite it")
    refused(say("import", recording, "--out", recording, "--force"), "exists and is not a tape; nothing was written")
    refused(say("import", recording, "--out", recording.parent), "exists and is not a tape; nothing was written")
    refused(
        say("import", recording, "--out", recording / "tape"), "recording is no directory that may be written; nothing"
    )
    refused(
        say("import", recording, "--out", recording.parent / ("n" * 300)), "File name too long; nothing was written"
    )


def test_a_full_disk_leaves_nothing(recording: Path, say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    refused(
        say("import", recording, "--out", recording.parent / "tape"),
        "tape cannot be written: No space left on device; nothing was changed",
    )
    assert [path.name for path in recording.parent.iterdir()] == ["recording"]


@pytest.mark.parametrize("command", ["info", "check"])
def test_where_there_is_no_tape(tmp_path: Path, say: Say, command: str) -> None:
    refused(say(command, tmp_path / "absent"), "there is no tape at .*absent; make one with `sor tape import`")
    refused(say(command, tmp_path), "is not a tape: it has no readable manifest.json")


def truncate(tape: Path) -> None:
    with (tape / "level_lots.npy").open("r+b") as file:
        file.truncate(140)


def other_version(tape: Path) -> None:
    text = (tape / MANIFEST).read_text()
    (tape / MANIFEST).write_text(text.replace('"format": 1', '"format": 99'))


def change_a_size(tape: Path) -> None:
    column = np.load(tape / "level_lots.npy")
    column[0] += 1
    np.save(tape / "level_lots.npy", column)


def change_the_digest(tape: Path) -> None:
    text = (tape / MANIFEST).read_text()
    (tape / MANIFEST).write_text(text.replace(read_manifest(tape).digest, "0" * 16))


def spoil_the_manifest(tape: Path) -> None:
    (tape / MANIFEST).write_bytes(b"\xff\xfe{")


def drop_a_column(tape: Path) -> None:
    (tape / "trade_side.npy").unlink()


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (truncate, "column level_lots of .* is cut off or damaged; import the recording again"),
        (other_version, "has tape format 99, this program reads 1; import the recording again"),
        (change_a_size, "column level_lots of .* was changed after it was written; import it again"),
        (change_the_digest, "the digest of .* is not that of its columns; import the recording again"),
        (spoil_the_manifest, "manifest.json of .* is damaged .*; import the recording again"),
        (drop_a_column, "has no column trade_side; import the recording again"),
        (lambda tape: shutil.rmtree(tape), "there is no tape at"),
    ],
)
def test_check_names_what_is_wrong_with_a_tape(
    tape: Path, say: Say, harm: Callable[[Path], None], sentence: str
) -> None:
    harm(tape)
    refused(say("check", tape), sentence)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["import"], "Missing argument 'PATHS...'"),
        (["import", "x"], "Missing option '--out'"),
        (["import", "x", "--out", "y", "--tick", "abc"], "abc is not a number"),
        (["import", "x", "--out", "y", "--tick", "nan"], "nan is not a number"),
        (["import", "x", "--out", "y", "--clock-offset-ns", "1.5"], "'1.5' is not a valid integer"),
        (["info"], "Missing argument 'TAPE'"),
        (["check", "a", "b"], "unexpected extra argument"),
        (["cut"], "No such command 'cut'"),
    ],
)
def test_wrong_usage_is_told_apart(say: Say, arguments: list[str], sentence: str) -> None:
    said = say(*arguments)
    assert (said.code, said.out) == (2, "")
    assert sentence in said.err


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        (["--tick", "0"], "tick size 0 is not positive"),
        (["--contract", "100"], "has no contract size; nothing was written"),
        (["--repair"], "a binance recording has rules of its own for a crossed book; nothing was written"),
        (["--symbol", "ETHUSDT"], "the recording is of BTCUSDT, not of ETHUSDT"),
        (["--symbol", "--"], "is not a symbol"),
        (["--taker-bps", "0.00001"], "is no fee in whole 1/10000 bps"),
        (["--clock-offset-ns", str(10**30)], "is over a year; nothing was written"),
    ],
)
def test_terms_that_cannot_be(recording: Path, say: Say, terms: list[str], sentence: str) -> None:
    refused(say("import", recording, "--out", recording.parent / "tape", *terms), sentence)
    assert not (recording.parent / "tape").exists()


# --- a terminal ---------------------------------------------------------------------------------------------------


def test_progress_is_shown_on_a_terminal_and_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "recording"
    ticker = USDM.ticker(40, 13, ("100.0", "0.400"), ("100.1", "3.000")).partition(" ")[2]
    stamps = range(at(40) - BEHIND, at(40) - BEHIND + 400_000)
    file.write_text("".join([*OPENING, *(f"{stamp} {ticker}" for stamp in stamps)]))  # several seconds of work
    master, slave = os.openpty()
    command = "from sor.cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "tape", "import", str(file), "--out", str(tmp_path / "tape")],
        stdout=subprocess.PIPE,
        stderr=slave,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(slave)
    shown = b""
    try:
        while b"reading" not in shown:
            assert select.select([master], [], [], 60)[0], shown
            shown += os.read(master, 4096)
        process.send_signal(signal.SIGINT)
        while select.select([master], [], [], 60)[0]:
            try:
                shown += os.read(master, 4096)
            except OSError:  # the other end is closed
                break
        out, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        os.close(master)
    assert process.returncode == 130
    assert out == b""
    last = shown.decode().replace("\r", "").strip().splitlines()[-1]
    assert "sor: interrupted. Nothing was sent to a real venue" in last
    assert "Traceback" not in shown.decode()
    assert [path.name for path in tmp_path.iterdir()] == ["recording"]
