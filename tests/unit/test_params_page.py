"""`docs/params.md` as it stands: its files are made, its commands run, and what they say is what it says they do."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from sor.cli.main import run
from tests.tidy.tree import ROOT

PAGE = (ROOT / "docs" / "params.md").read_text(encoding="utf-8")


def files(page: str) -> Iterator[tuple[str, str]]:
    """(path, content) of each file that the page shows."""
    yield from re.findall(r"^File `([^`]+)`:\n\n```json\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def commands(page: str) -> Iterator[tuple[list[str], str]]:
    """(arguments, what is said) of each `$ sor` on the page, in order."""
    for block in re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        for command, said in re.findall(r"^\$ sor (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            yield shlex.split(command), said


def plain(text: str) -> str:
    """Without the blanks at the ends of lines that tables have."""
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def test_a_venue_that_a_set_does_not_name_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    for venue, said in (("bingx", False), ("BingX", True)):
        assert run(["params", "resolve", "bingx", "--venue", venue, "--symbol", "BTC-USDT"]) == 0
        assert (f"No value of this set is for {venue}; some are for bingx." in capsys.readouterr().out) is said


def test_the_page_says_what_its_commands_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for path, content in files(PAGE):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content, encoding="utf-8")
    told = list(commands(PAGE))
    assert [arguments[1] for arguments, _ in told] == [
        *("validate", "validate", "show", "show", "diff", "history", "resolve", "resolve")
    ]
    for arguments, said in told:
        code = run(arguments)
        ended = capsys.readouterr()
        assert (plain(ended.out), ended.err) == (plain(said), "")
        assert code == int("broken" in " ".join(arguments) or arguments[1] == "diff")
