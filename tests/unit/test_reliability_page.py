"""The tables of docs/reliability.md and docs/bingx.md name tests that exist, and a test for every theme."""

import re

import pytest

from tests.conftest import REPO
from venues.bingx.emulator.fault_table import FAULTS

PAGE = REPO / "docs" / "reliability.md"
THEMES = 19
NAMED = re.compile(r"`(tests/[\w/]+\.(?:py|txt))(?:::(\w+))?`")
DEFINED = re.compile(r"^ *(?:async )?def (\w+)\(", re.MULTILINE)
SCRIPT = re.compile(r"`([a-z_*]+\.txt)`")


def missing(text: str) -> list[str]:
    """Tests and scripts that the text names and that are not there."""
    gone: list[str] = []
    for path, name in NAMED.findall(text):
        file = REPO / path
        if not file.is_file():
            gone.append(path)
        elif name and name not in functions(file.read_text(encoding="utf-8")):
            gone.append(f"{path}::{name}")
    scripts = REPO / "tests" / "scenarios"
    return gone + [pattern for pattern in SCRIPT.findall(text) if not list(scripts.glob(pattern))]


def families(text: str) -> list[str]:
    """Files that are named with the beginning of their tests' names, and hold none of that beginning."""
    named = re.findall(r"`(tests/[\w/]+\.py)` \(`(test_\w+)`\)", text)
    return [path for path, start in named if not any(one.startswith(start) for one in functions(source_of(path)))]


def source_of(path: str) -> str:
    return (REPO / path).read_text(encoding="utf-8")


def functions(source: str) -> set[str]:
    return set(DEFINED.findall(source))


@pytest.mark.parametrize("page", ["reliability.md", "bingx.md"])
def test_every_test_that_is_named_exists(page: str) -> None:
    text = (REPO / "docs" / page).read_text(encoding="utf-8")
    assert len(NAMED.findall(text)) > 20
    assert missing(text) == []
    assert families(text) == []


def test_what_is_not_there_is_found() -> None:
    assert missing("`tests/unit/test_no.py`, `tests/unit/test_ids.py::test_no`, `no_such.txt`") == [
        "tests/unit/test_no.py",
        "tests/unit/test_ids.py::test_no",
        "no_such.txt",
    ]


def test_every_theme_has_a_test() -> None:
    rows = re.findall(r"^\| (\d+) .*$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(no) for no in rows] == list(range(1, THEMES + 1))
    for row in re.findall(r"^\| \d+ .*$", PAGE.read_text(encoding="utf-8"), re.MULTILINE):
        assert NAMED.search(row), row


def test_faults_that_the_page_of_bingx_names_can_be_switched_on() -> None:
    text = (REPO / "docs" / "bingx.md").read_text(encoding="utf-8")
    section = text.partition("## Where nobody knows")[2].partition("\n## ")[0]
    switches = [row.split("|")[2] for row in section.splitlines() if row.startswith("|")]
    named = [name for cell in switches for name in re.findall(r"`([a-z]+(?:-[a-z]+)+)`", cell)]
    assert len(named) > 10
    assert [name for name in named if name not in FAULTS] == []


def test_every_test_that_the_traps_of_bingx_name_exists() -> None:
    text = (REPO / "venues" / "bingx" / "quirks.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", text))
    files = [*(REPO / "tests" / "unit").glob("test_*.py"), *(REPO / "tests" / "replay").glob("test_bingx*.py")]
    known = {name for file in files for name in functions(file.read_text(encoding="utf-8"))}
    assert len(named) > 60
    assert sorted(named - known) == []
