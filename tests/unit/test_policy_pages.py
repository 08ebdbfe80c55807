"""A page for each policy that comes with the package, which names its parameters as they are."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from sor.param_table import RESERVED, TABLE, definition_of
from sor.params import ParamStore
from sor.plugins import Plugins
from sor.policy import Policy
from tests.fakes.views import NOW_NS
from tests.tidy.tree import ROOT

PAGES = ROOT / "docs" / "policies"
INDEX = ROOT / "docs" / "policies.md"
SECTIONS = ("**When.**", "**When not.**", "**The simple case.**", "**Evidence.**", "## What its explanation shows")
EXPLORE = "explore"
ROW = re.compile(r"^\| `([a-z_.]+)` \| (\S+) \| (\S+) \| .+ \|$", re.MULTILINE)
NAMED = re.compile(r"`([a-z]+(?:\.[a-z0-9_]+)+)`")


def installed() -> dict[str, Policy]:
    return dict(Plugins.installed().policies)


def page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


def ours() -> list[str]:
    """The names of the pages."""
    return sorted(path.stem for path in PAGES.iterdir())


def test_every_policy_has_a_page_and_the_index_leads_to_it() -> None:
    assert ours() == sorted([*installed(), EXPLORE])
    links = re.findall(r"\]\(policies/([a-z_]+)\.md\)", INDEX.read_text(encoding="utf-8"))
    assert sorted(set(links)) == ours()


@pytest.mark.parametrize("name", ours())
def test_a_page_says_all_there_is_to_say(name: str) -> None:
    text = page(name)
    assert text.startswith(f"# `{name}")
    assert [part for part in SECTIONS if part not in text] == []
    assert re.search(r"^    \S|^- ", text, re.MULTILINE), "its formula stands by itself"
    assert re.search(r"^```text\n.*weighed .*^```$", text, re.MULTILINE | re.DOTALL), "what was weighed is shown"


@pytest.mark.parametrize("name", ours())
def test_a_page_has_the_parameters_that_its_policy_reads(name: str) -> None:
    own = {param_id for param_id in TABLE if param_id.startswith(f"{EXPLORE}.")}
    needs = own if name == EXPLORE else set(installed()[name].needs)
    rows = {row[0]: row[1:] for row in ROW.findall(page(name))}
    assert set(rows) == needs
    records = {one.id: one for one in ParamStore().get("baseline", now_ns=NOW_NS).records}
    for param_id, (unit, value) in rows.items():
        definition = definition_of(param_id)
        assert definition is not None
        assert definition.unit == unit
        record = records.get(param_id)
        given = "none" if record is None else record.value
        assert given == (value if isinstance(given, str) else Decimal(value)), param_id


@pytest.mark.parametrize("path", [INDEX, *sorted(PAGES.iterdir())], ids=lambda path: path.name)
def test_every_parameter_that_a_page_names_exists(path: Path) -> None:
    named = set(NAMED.findall(path.read_text(encoding="utf-8")))
    strange = [one for one in named if one.partition(".")[0] in RESERVED and definition_of(one) is None]
    assert strange == []
