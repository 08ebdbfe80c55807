"""Who may import whom, which library lives where, and that no import is undeclared.

values <- machines <- router <- engine; venues and policies see sor's values and the protocol they fulfil, never each
other, never the shell. An import under TYPE_CHECKING or inside a function counts like any other: an arrow is an arrow.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import packages_distributions

import pytest

from tests.tidy.tree import ROOMS, ROOT, SHIPPED, Finding, imports_in, python_files, report, source_of, within

VALUES = (
    "sor.commands",
    "sor.errors",
    "sor.events",
    "sor.features",
    "sor.ids",
    "sor.instruments",
    "sor.market",
    "sor.orders",
    "sor.reasons",
    "sor.revisit",
    "sor.tape",
    "sor.units",
)

# What each shipped room may see of the first-party packages. A module missing here is missing on purpose: adding one
# is a change of the architecture and wants a reason in the commit.
MAY_SEE = {
    "sor": ("sor",),
    "policies": ("policies", *VALUES, "sor.models", "sor.params", "sor.policy", "sor.pricing", "sor.snapshot"),
    # A tape-fed venue reads the vectorised features, the one definition of each beside the live one. Queue models are
    # the same for who matches and for who estimates where he stands, and so is whom trades reached on a recording. A
    # made-up market has its rates from the formulas whose known answers it is tested by.
    "venues": (
        *("venues", *VALUES, "sor.adapter", "sor.emulation", "sor.files", "sor.rig"),
        *("sor.lab.columns", "sor.lab.order_hits", "sor.standing"),
        *("sor.models.hawkes", "sor.models.queue_reactive", "sor.models.queues"),
    ),
    "paramsets": ("paramsets",),
}

# Libraries that belong to few places. What is not named here may be used in any shipped room.
LOOPS = (
    "sor/engine*",
    "sor/caretaker*",
    "sor/checkpoints*",
    "sor/clock*",
    "sor/handle*",
    "sor/kill*",
    "sor/outside*",
    "sor/port*",
    "sor/session*",
    "sor/uninterrupted*",
    "sor/chaos/*",
    "sor/cli/*",
    "sor/conformance/*",
    "sor/sim/*",
    "venues/*/link*",
    "venues/simulated/*",
)
HOMES = {
    "anyio": LOOPS,
    "asyncio": LOOPS,
    "trio": LOOPS,
    "uvloop": ("sor/engine*", "sor/cli/*"),
    "threading": ("sor/engine*", "sor/cli/*", "sor/journal*"),
    "sqlite3": ("sor/journal*", "sor/cli/*"),
    "httpx": ("venues/*/link*",),
    "websockets": ("venues/*/frames*", "venues/*/link*"),
    "socket": ("venues/*/link*",),
    "click": ("sor/cli/*",),
    "rich": ("sor/cli/*",),
    "scipy": ("sor/lab/*",),
    "pydantic": ("sor/param*", "sor/config*", "sor/experiment/definition*", "sor/cli/*"),
    "polars": ("sor/lab/parquet*",),
}


def against_arrows(source: str, path: str) -> Iterator[Finding]:
    """Imports of first-party packages that the room of `path` may not see."""
    may_see = MAY_SEE[path.partition("/")[0]]
    for line, name, *_ in imports_in(ast.parse(source), path):
        if name.partition(".")[0] in ROOMS and not within(name, may_see):
            yield Finding(line, f"imports {name}; this room sees only {', '.join(may_see)}")


def away_from_home(source: str, path: str) -> Iterator[Finding]:
    """Imports of libraries that live elsewhere."""
    for line, name, *_ in imports_in(ast.parse(source), path):
        homes = HOMES.get(name.partition(".")[0])
        if homes is not None and not any(fnmatchcase(path, home) for home in homes):
            yield Finding(line, f"imports {name}, which lives in {', '.join(homes)}")


def undeclared(source: str, path: str, declared: frozenset[str]) -> Iterator[Finding]:
    """Imports that are neither the standard library, nor ours, nor from a declared distribution.

    An import inside a `try` is an optional one and is left to whoever handles its absence.
    """
    tree = ast.parse(source)
    optional = {line for node in ast.walk(tree) if isinstance(node, ast.Try) for line, *_ in imports_in(node, path)}
    origin = origins()
    for line, name, *_ in imports_in(tree, path):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top in ROOMS or line in optional:
            continue
        distributions = {canonical(one) for one in origin.get(top, [top])}
        if not distributions & declared:
            yield Finding(line, f"imports {name}, which is not in [project] dependencies")


@cache
def origins() -> Mapping[str, list[str]]:
    """Distributions by what they let one import; reading all of them takes a third of a second."""
    return packages_distributions()


def canonical(requirement: str) -> str:
    """Normalised distribution name at the start of a requirement."""
    match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement)
    assert match is not None, requirement
    return re.sub(r"[-_.]+", "-", match.group()).lower()


def base_dependencies() -> frozenset[str]:
    """Canonical names of the base dependencies in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return frozenset(canonical(requirement) for requirement in project["dependencies"])


def test_shipped_rooms_see_only_what_they_may() -> None:
    findings = [(path, found) for path in python_files(*SHIPPED) for found in against_arrows(source_of(path), path)]
    assert not findings, report(findings)


def test_libraries_stay_in_their_homes() -> None:
    findings = [(path, found) for path in python_files(*SHIPPED) for found in away_from_home(source_of(path), path)]
    assert not findings, report(findings)


def test_shipped_rooms_import_only_what_an_install_brings() -> None:
    declared = base_dependencies()
    findings = [
        (path, found) for path in python_files(*SHIPPED) for found in undeclared(source_of(path), path, declared)
    ]
    assert not findings, report(findings)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("sor/router.py", "import venues.simulated"),
        ("sor/router.py", "def f() -> None:\n    from policies import cross"),
        ("sor/params.py", "import paramsets"),
        ("sor/cli/main.py", "from importlib import import_module\nimport_module('venues.simulated.adapter')"),
        ("sor/a.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from venues import simulated"),
        ("sor/units.py", "from tests.conftest import REPO"),
        ("policies/cross.py", "from sor.engine import Router"),
        ("policies/cross.py", "from sor import router"),
        ("policies/cross.py", "from venues.simulated import adapter"),
        ("venues/simulated/adapter.py", "from sor.router import step"),
        ("venues/simulated/adapter.py", "from ...sor import router"),
        ("venues/simulated/adapter.py", "import policies"),
    ],
)
def test_an_arrow_backwards_is_found(path: str, source: str) -> None:
    assert list(against_arrows(source, path))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("sor/router.py", "from sor.child import CHILD_TABLE\nimport venuesque"),
        ("policies/cross.py", "from sor.policy import Decision\nfrom sor import reasons"),
        ("venues/simulated/adapter.py", "from sor.adapter import VenueAdapter\nfrom .engine import match"),
    ],
)
def test_an_arrow_forwards_is_not(path: str, source: str) -> None:
    assert not list(against_arrows(source, path))


@pytest.mark.parametrize(
    ("path", "source", "lives_there"),
    [
        ("sor/router.py", "import anyio", False),
        ("sor/engine.py", "import anyio", True),
        ("sor/child.py", "from asyncio import sleep", False),
        ("venues/okx/codec.py", "import httpx", False),
        ("venues/okx/link.py", "import httpx", True),
        ("policies/cross.py", "import rich.table", False),
        ("sor/models/survival.py", "from scipy.special import expit", False),
        ("sor/lab/likelihood.py", "from scipy.optimize import minimize", True),
    ],
)
def test_libraries_away_from_home_are_found(path: str, source: str, *, lives_there: bool) -> None:
    assert bool(list(away_from_home(source, path))) is not lives_there


def test_undeclared_imports_are_found() -> None:
    source = "import json\nimport sor.units\nimport numpy as np\nimport hypothesis\ntry: import uvloop\nfinally: ..."
    assert [found.line for found in undeclared(source, "sor/a.py", frozenset({"numpy"}))] == [4]
