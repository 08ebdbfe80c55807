"""`sor emulate`: found like any plug-in, up with one table or one document, down with a signal."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from sor.cli.main import run
from tests.fakes.patience import PATIENCE_S
from tests.tidy.tree import ROOT

Ended = tuple[int, str, str]


def install(where: Path) -> None:
    """The tiny emulator, as an installer would leave it."""
    folder = where / "tiny_venue-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-venue\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[sor.emulators]\ntiny = tests.fakes.tiny_emulator:open_emulator\n")


@pytest.fixture
def sor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run a command where the tiny emulator is installed."""
    install(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def call(*words: str) -> Ended:
        code = run([*words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        yield int(held.getsockname()[1])


def test_lists_its_faults(sor: Callable[..., Ended]) -> None:
    code, out, err = sor("emulate", "tiny", "--faults")
    assert (code, err) == (0, "")
    assert "grumpy" in out
    assert "half-open" in out
    code, out, err = sor("emulate", "tiny", "--faults", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)[0] == {"name": "grumpy", "args": "", "text": "says no"}


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("emulate",), 2, "Missing argument 'NAME'"),
        (("emulate", "acme"), 1, "there is no 'acme' among sor.emulators"),
        (("emulate", "tiny", "--port", "65536"), 2, "65536 is not in the range"),
        (("emulate", "tiny", "--speed", "0"), 2, "0.0 is not in the range"),
        (("emulate", "tiny", "--synthetic", "x"), 2, "'x' is not a valid integer"),
        (("emulate", "tiny", "--synthetic", "1", "--tape", "t"), 2, "give --tape or --synthetic, not both"),
        (("emulate", "tiny", "--symbol", "NOPE"), 1, "no symbol NOPE here; nothing was started"),
        (("emulate", "tiny", "--fault", "magic"), 1, "there is no fault 'magic'; nothing was switched"),
        (("emulate", "tiny", "--fault", "reset=after_bytes=x"), 1, "nothing was switched"),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, tuple) else "",
)
def test_a_mistake_gets_one_sentence(sor: Callable[..., Ended], words: tuple[str, ...], code: int, says: str) -> None:
    ended = sor(*words)
    assert ended[:2] == (code, "")
    assert says in ended[2]
    assert "Traceback" not in ended[2]
    if code == 1:
        assert ended[2].startswith("sor: ")
        assert ended[2].count("\n") == 1


def test_a_port_that_is_taken(sor: Callable[..., Ended], taken: int) -> None:
    code, out, err = sor("emulate", "tiny", "--port", f"{taken}")
    assert (code, out) == (1, "")
    assert err == (
        f"sor: port {taken} on 127.0.0.1 cannot be had: Address already in use; nothing was started. "
        "Take 0 for a free one\n"
    )


def start(site: Path, *words: str, code: str = "") -> subprocess.Popen[str]:
    """`sor emulate tiny` in a process of its own; `code` runs before it."""
    install(site)
    main = f"{code}\nfrom sor.cli.main import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", main, "emulate", "tiny", "--port", "0", *words],
        cwd=site,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{site}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


IMPATIENT = """
import asyncio, os, signal
import sor.cli.stopped
from sor.cli import main

sor.cli.stopped.QUIET_S = 60.0  # on any machine these are one wish
close, interrupted = asyncio.Runner.close, main._interrupted

def closed(runner):
    os.kill(os.getpid(), {number})
    close(runner)
    os.kill(os.getpid(), {number})

def told(stopped):
    os.kill(os.getpid(), {number})
    return interrupted(stopped)

asyncio.Runner.close, main._interrupted = closed, told
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serves_until_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    """And those that come while it ends are the same wish."""
    words = ["--json", "--synthetic", "7", "--symbol", "A", "--symbol", "B", "--speed", "2.5", "--fault", "chunked"]
    process = start(tmp_path, *words, code=IMPATIENT.format(number=number.value))
    try:
        assert process.stdout is not None
        told = ""
        while not told.endswith("\n}\n"):
            line = process.stdout.readline()
            assert line, process.communicate()
            told += line
        document = json.loads(told)
        port = document["serving"]["port"]
        assert document == {
            "serving": {
                "venue": "tiny",
                "port": port,
                "addresses": {"rest": f"http://127.0.0.1:{port}", "socket": f"ws://127.0.0.1:{port}/stream"},
                "notes": {"options": "synthetic=7, symbol=A,B, speed=2.5"},
            },
            "faults": ["chunked"],
        }
        with httpx.Client(trust_env=False) as client:
            first, second = (client.get(document["serving"]["addresses"]["rest"]) for _ in range(2))
        assert (first.text, first.headers.get("transfer-encoding")) == ("GET /", "chunked")
        assert (second.text, second.headers.get("transfer-encoding")) == ("GET /", None)
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, out) == (128 + number, "")
    assert err.startswith("sor: interrupted. Nothing was sent")
    assert err.count("\n") == 1


@pytest.mark.slow
def test_tells_people_where_it_is(tmp_path: Path) -> None:
    process = start(tmp_path, "--symbol", "A", "--fault", "grumpy", "--fault", "reset=every=10,count=0")
    try:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or lines[-1] != "Ctrl-C ends it.":
            lines.append(process.stdout.readline().rstrip())
            assert lines[-1] or process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.communicate()
    port = lines[1].rpartition(":")[2]
    assert [line.split() for line in lines] == [
        ["tiny,", "emulated"],
        ["rest", f"http://127.0.0.1:{port}"],
        ["socket", f"ws://127.0.0.1:{port}/stream"],
        ["options", "symbol=A"],
        ["faults", "on", "grumpy"],
        ["reset=every=10,count=0"],
        ["Ctrl-C", "ends", "it."],
    ]


@pytest.mark.slow
def test_a_reader_that_has_gone_ends_it_quietly(tmp_path: Path) -> None:
    """`sor emulate tiny | head -0`."""
    process = start(tmp_path)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, err) == (128 + signal.SIGPIPE, "")
