import doctest
import re

from tests.tidy.tree import ROOT

PAGE = ROOT / "docs" / "models.md"


def test_the_page_is_true() -> None:
    ran = doctest.testfile(str(PAGE), module_relative=False)
    assert ran.attempted > 15
    assert ran.failed == 0


def anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_the_page_links_to_its_own_sections() -> None:
    text = PAGE.read_text(encoding="utf-8")
    headings = {anchor(heading) for heading in re.findall(r"^## (.+)$", text, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= headings
