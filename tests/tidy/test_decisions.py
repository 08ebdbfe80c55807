"""A decision page can be found, read in one go, and undone knowingly."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest

from tests.tidy.tree import Finding, report, text_of, tracked

FOLDER = "docs/decisions/"
FILE_NAME = re.compile(r"(\d{4})-[a-z0-9]+(-[a-z0-9]+)*\.md")
SECTIONS = ("Context", "Decision", "Price", "What would reverse it")


def pages() -> list[str]:
    """Paths of the decision pages; the folder's README is its index."""
    return [path for path in tracked() if path.startswith(FOLDER) and path != f"{FOLDER}README.md"]


def broken_names(names: Iterable[str]) -> Iterator[str]:
    """What is wrong with the file names: unnumbered, or a number taken twice."""
    numbers: Counter[str] = Counter()
    for name in names:
        if match := FILE_NAME.fullmatch(name):
            numbers[match.group(1)] += 1
        else:
            yield f"{name}: not named like 0001-short-title.md"
    yield from (f"{number} is taken {times} times" for number, times in numbers.items() if times > 1)


def broken_page(text: str) -> Iterator[Finding]:
    """Missing, empty or misplaced sections."""
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    wanted = [heading for heading in headings if heading in SECTIONS]
    if wanted != list(SECTIONS):
        yield Finding(1, f"has the sections {wanted}; wants {list(SECTIONS)}, in this order, each once")
    for heading, body in re.findall(r"^## (.+)\n((?:(?!## ).*\n?)*)", text, re.MULTILINE):
        if not body.strip():
            yield Finding(text[: text.index(f"## {heading}")].count("\n") + 1, f"the section {heading} is empty")
    if not re.match(r"# \d{4} \S", text):
        yield Finding(1, "does not begin with its number and title: # 0001 Short title")


def test_decision_files_are_numbered() -> None:
    assert not list(broken_names(path.removeprefix(FOLDER) for path in pages()))


def test_decision_pages_are_whole() -> None:
    findings = [(path, found) for path in pages() for found in broken_page(text_of(path) or "")]
    assert not findings, report(findings)


def test_every_decision_is_in_the_index() -> None:
    index = text_of(f"{FOLDER}README.md") or ""
    assert not [path for path in pages() if f"({path.removeprefix(FOLDER)})" not in index]


@pytest.mark.parametrize(
    "names", [["dependencies.md"], ["1-dependencies.md"], ["0001-a.md", "0001-b.md"], ["0001-Dependencies.md"]]
)
def test_broken_names_are_found(names: list[str]) -> None:
    assert list(broken_names(names))


WHOLE = "# 0001 Title\n\n" + "\n".join(f"## {section}\n\nText.\n" for section in SECTIONS)


@pytest.mark.parametrize(
    "text",
    [
        WHOLE.replace("## Price\n\nText.\n", ""),
        WHOLE.replace("## Price\n\nText.\n", "## Price\n\n"),
        WHOLE.replace("## Decision", "## Price", 1),
        WHOLE.replace("# 0001 ", "# ", 1),
    ],
)
def test_broken_pages_are_found(text: str) -> None:
    assert list(broken_page(text))


def test_a_whole_page_is_not() -> None:
    assert not list(broken_page(WHOLE))
    assert not list(broken_names(["0001-a.md", "0002-b-2.md"]))
