"""Shipped code that nothing names: no other shipped code, no test, no example, no entry point.

vulture reads the whole tree and goes by names alone. Its verdicts on functions, methods, classes, properties, imports
and unreachable statements are kept; those on variables and attributes are not, because fields of structs and enum
members are read by encoders and tables that it cannot see.
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import vulture

from tests.tidy.tree import ROOT, SHIPPED, Finding, python_files, report, source_of

JUDGED = frozenset({"function", "method", "class", "property", "import", "unreachable_code"})
# The CLI library and pydantic call what these decorate.
CALLED_BY_DECORATOR = ["@*.command", "@*.group", "@*.callback", "@*validator", "@*.fixture", "@override"]


def dead_code(sources: Mapping[str, str], called_from_outside: list[str]) -> Iterator[tuple[str, Finding]]:
    """(path, finding) for each piece of shipped code that none of `sources` uses."""
    judge = vulture.Vulture(ignore_names=called_from_outside, ignore_decorators=CALLED_BY_DECORATOR)
    for path, source in sources.items():
        judge.scan(source, filename=Path(path))
    for item in judge.get_unused_code():
        path = Path(item.filename).as_posix()
        if path.partition("/")[0] in SHIPPED and item.typ in JUDGED:
            yield path, Finding(item.first_lineno, f"{item.message}; delete it, or add the test that uses it")


def entry_point_names() -> list[str]:
    """Names that the package's metadata refers to: `main` of `sor.cli.main:main`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["scripts"], *project["entry-points"].values()]
    targets = [target for group in groups for target in group.values()]
    return [target.partition(":")[2] for target in targets]


def test_no_dead_code() -> None:
    findings = list(dead_code({path: source_of(path) for path in python_files()}, entry_point_names()))
    assert not findings, report(findings)


def test_dead_code_is_found() -> None:
    sources = {
        "sor/a.py": "import os\n\ndef used(): ...\n\ndef unused(): ...\n\nclass Unused: ...\n\ndef main(): ...\n",
        "tests/test_a.py": "from sor.a import used\n\nused()\n\ndef also_unused(): ...\n",
    }
    assert {(path, found.line) for path, found in dead_code(sources, ["main"])} == {
        ("sor/a.py", 1),
        ("sor/a.py", 5),
        ("sor/a.py", 7),
    }
