"""Strings that no tracked text file may hold: they tie the project to one machine or to one place to install from."""

import re
from collections.abc import Iterator

import pytest

from tests.tidy.tree import Finding, report, text_of, tracked

# In pieces, so that this file holds none of them.
REGISTRY_HOSTS = tuple(
    ".".join(parts)
    for parts in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("deb", "debian", "org"),
        ("conda", "anaconda", "org"),
    ]
)
ABSOLUTE = "|".join(["wo" + "rk/", "ro" + "ot/", "ho" + "me/[a-z]", "Us" + "ers/[A-Za-z]"])
MACHINE_PATH = re.compile(rf"(?<![\w.~*-])/(?:{ABSOLUTE})")
INDEX_OPTION = re.compile(r"^--(?:index-url|extra-index-url|find-links|trusted-host)", re.MULTILINE)

# The recordings lie beside the checkout and are too large to ship; only what explains, tests or measures names them.
BESIDE = ".." + "/shared/"
RECORDINGS = BESIDE + "data"
MAY_NAME_RECORDINGS = ("README.md", "CHANGELOG.md", "docs/", "tests/", ".ci/", "benchmarks/", "examples/")


def forbidden_strings(text: str, path: str) -> Iterator[Finding]:
    """Registry hosts, absolute paths of a machine, index options, and paths out of the checkout."""
    for number, line in enumerate(text.splitlines(), start=1):
        for host in REGISTRY_HOSTS:
            if host in line:
                yield Finding(number, f"names the registry {host}; the installer's own configuration says where from")
        if found := MACHINE_PATH.search(line):
            yield Finding(number, f"absolute path of one machine: {found.group()}")
        if path.endswith(".lock") and INDEX_OPTION.match(line):
            yield Finding(number, "a lock says what to install, not from where")
        others = line.replace(RECORDINGS, "") if path.startswith(MAY_NAME_RECORDINGS) else line
        if BESIDE in others:
            yield Finding(
                number, f"{BESIDE} stands outside the checkout; only {RECORDINGS} may be named, in {path} not"
            )


def test_no_forbidden_string() -> None:
    findings = [
        (path, found)
        for path in tracked()
        if (text := text_of(path)) is not None
        for found in forbidden_strings(text, path)
    ]
    assert not findings, report(findings)


def test_text_files_end_their_lines_one_way() -> None:
    # Digests of param-sets and golden files are taken over bytes.
    assert not [path for path in tracked() if "\r\n" in (text_of(path) or "")]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        *[("docs/guide.md", f"install from https://{host}/simple") for host in REGISTRY_HOSTS],
        ("sor/a.py", "open('/wo" + "rk/main/x')"),
        ("docs/guide.md", "/ro" + "ot/.cache"),
        ("README.md", "cd /ho" + "me/ann/sor"),
        ("sor/a.py", f"tape = '{RECORDINGS}/btc'"),
        ("README.md", f"see {BESIDE}notes.md"),
        ("requirements.lock", "--index-url https://example.com/simple"),
    ],
)
def test_forbidden_strings_are_found(path: str, text: str) -> None:
    assert list(forbidden_strings(text, path))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("README.md", f"sor tape import {RECORDINGS}/binance/x.gz --out btc"),
        ("docs/guide.md", "the queue is drained in two passes/work/rest, see https://example.com/work/"),
        ("sor/a.py", "path = root / 'work'"),
    ],
)
def test_looking_alike_is_not_enough(path: str, text: str) -> None:
    assert not list(forbidden_strings(text, path))
