"""Pages of HTML as a reader without a network meets them."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser


class PageReader(HTMLParser):
    """Checks that elements close in order and that nothing is fetched; collects what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.count: Counter[str] = Counter()
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One more that is open; a meta element never closes."""
        self.count[tag] += 1
        assert not {"src", "href"} & {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One that is closed at once."""
        del attrs
        self.count[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        """The last one that is open closes."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Text."""
        self.words.append(data)


def read_page(page: str) -> PageReader:
    """A whole page, read to its end."""
    reader = PageReader()
    reader.feed(page)
    assert reader.open == []
    assert reader.count["script"] == 0
    drawn = page.partition("<h2>Where it comes from</h2>")[2].partition("<h2>By side")[0]
    assert drawn
    assert "nan" not in drawn
    return reader
