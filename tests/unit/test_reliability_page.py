"""The tables of docs/reliability.md name tests that exist, and a test for every theme."""

import ast
import re

from tests.conftest import REPO

PAGE = REPO / "docs" / "reliability.md"
THEMES = 19
NAMED = re.compile(r"`(tests/[\w/]+\.(?:py|txt))(?:::(\w+))?`")
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


def functions(source: str) -> set[str]:
    return {
        node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_test_that_is_named_exists() -> None:
    assert missing(PAGE.read_text(encoding="utf-8")) == []
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
