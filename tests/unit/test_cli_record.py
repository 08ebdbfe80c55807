"""`sor record` off BingX's public market on loopback: a tape in the end, and the log of it when there is no end."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sor.cli.main import run
from sor.lab.market_log import MarketLog
from sor.tape import check_tape
from tests.fakes.bingx_server import serving
from tests.fakes.patience import PATIENCE_S
from tests.tidy.tree import ROOT

Sor = Callable[..., tuple[int, str, str]]


@pytest.fixture
def sor(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sor:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SOR_ALLOW_LIVE", raising=False)

    def call(*words: str) -> tuple[int, str, str]:
        code = run([*words])
        said = capfd.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture(scope="module")
def market() -> Iterator[tuple[str, ...]]:
    """The words that name a market that moves."""
    with serving(seed="7") as served:
        words = ("record", "--venue", "bingx", "--env", "emulator", "--option", f"url={served.rest}")
        yield (*words, "--symbol", "BTC-USDT")


def test_a_recording_for_a_time_is_a_sound_tape(sor: Sor, market: tuple[str, ...], tmp_path: Path) -> None:
    def recorded(time_s: str) -> tuple[int, str, str]:
        return sor(*market, "--out", "btc.tape", "--for", time_s)

    time_s = "0.8s"
    code, out, err = recorded(time_s)
    if "Was the market followed long enough?" in err or (code == 0 and check_tape(tmp_path / "btc.tape").groups == 1):
        # Here the market takes long to come, so that there is nothing of so short a time.
        shutil.rmtree(tmp_path / "btc.tape", ignore_errors=True)
        time_s = "20s"
        code, out, err = recorded(time_s)
    assert (code, f"Ended: after {time_s[:-1]} s.") == (0, err.splitlines()[-1])
    assert "Recording BTC-USDT on bingx (emulator) in btc.tape.log; Ctrl-C ends it." in err
    assert "BTCUSDT on bingx" in out
    manifest = check_tape(tmp_path / "btc.tape")
    found = {one.what: one.count for one in manifest.findings}
    assert (manifest.importer, found["ends"], found["gaps"], found["torn"]) == ("record bingx (emulator)", 1, 0, 0)
    assert manifest.groups > 1
    assert [path.name for path in tmp_path.iterdir()] == ["btc.tape"]
    code, _, err = sor(*market, "--out", "btc.tape", "--for", "1s")
    assert (code, "is a tape already; nothing was written" in err) == (1, True)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (
            ("--env", "live", "--symbol", "BTC-USDT"),
            1,
            "give --allow-live and set SOR_ALLOW_LIVE=yes .* nothing was opened",
        ),
        (("--env", "live", "--allow-live", "--symbol", "BTC-USDT"), 1, "set SOR_ALLOW_LIVE=yes"),
        (("--env", "nowhere", "--symbol", "BTC-USDT"), 2, "is not one of"),
        (
            ("--env", "emulator", "--option", "url=http://127.0.0.1:9", "--symbol", "BTC-USDT"),
            1,
            "Is its emulator running",
        ),
    ],
)
def test_what_it_refuses_leaves_nothing(
    sor: Sor, words: tuple[str, ...], code: int, sentence: str, tmp_path: Path
) -> None:
    ended, _, err = sor("record", "--venue", "bingx", *words, "--out", "x")
    assert ended == code
    assert re.search(sentence, err), err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("method", ["settle", "market"])
def test_a_disk_that_is_full_ends_it_with_what_there_is(
    sor: Sor, market: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    real = getattr(MarketLog, method)

    def full(log: MarketLog, *arguments: object) -> None:
        if log.heard.books >= 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(log, *arguments)

    monkeypatch.setattr(MarketLog, method, full)
    code, _, err = sor(*market, "--out", "btc.tape", "--for", "30s")
    assert code == 1
    assert "Ended: the log cannot be written (No space left on device); the tape holds what came before." in err
    assert check_tape(tmp_path / "btc.tape").groups >= 1


def spawned(home: Path, words: tuple[str, ...]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from sor.cli.main import main; main()", *words],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def wait_for_market(log: Path, process: subprocess.Popen[str]) -> None:
    """Until the log holds a book and some trades, as a process that can only be looked at from outside says."""
    until = time.monotonic() + PATIENCE_S

    def held(what: bytes) -> int:
        return log.read_bytes().count(b'"t":"%s"' % what) if log.exists() else 0

    while not (held(b"book") and held(b"trade") >= 3):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.slow
def test_ctrl_c_finishes_the_tape_and_a_kill_leaves_the_log(market: tuple[str, ...], tmp_path: Path, sor: Sor) -> None:
    logs = [tmp_path / f"{name}.tape.log" / "part-00000.jsonl" for name in "ab"]
    asked, killed = (spawned(tmp_path, (*market, "--out", f"{name}.tape", "--keep")) for name in "ab")
    try:
        wait_for_market(logs[0], asked)
        asked.send_signal(signal.SIGINT)
        wait_for_market(logs[1], killed)
        killed.kill()
        out, err = asked.communicate(timeout=PATIENCE_S)
        killed.communicate(timeout=PATIENCE_S)
    finally:
        asked.kill()
        killed.kill()
    assert asked.returncode == 0, err
    assert err.splitlines()[-1] == "Ended: it was asked to end."
    assert "BTCUSDT on bingx" in out
    check_tape(tmp_path / "a.tape")
    assert logs[0].read_bytes().rstrip().endswith(b'"why":"it was asked to end"}')
    assert not (tmp_path / "b.tape").exists()
    code, _, err = sor("tape", "import", str(logs[1]), "--out", "b.tape")
    assert (code, err) == (0, "")
    assert check_tape(tmp_path / "b.tape").trades >= 3
