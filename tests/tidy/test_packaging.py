"""The lock, the metadata and the one way to run things say the same."""

import importlib
import re
import runpy
import tomllib
from importlib.util import find_spec

import pytest
from packaging.requirements import Requirement

from tests.tidy.tree import ROOT, text_of

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
LOCKED = runpy.run_path(str(ROOT / ".ci" / "locked.py"))
TARGETS = [
    *PROJECT["scripts"].values(),
    *(target for group in PROJECT["entry-points"].values() for target in group.values()),
]


def declared() -> list[Requirement]:
    """Every requirement in pyproject.toml, the extras' included."""
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    return [Requirement(line) for line in [*PROJECT["dependencies"], *extras]]


def pins() -> dict[str, list[str]]:
    """Locked versions by canonical name."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([a-z0-9.-]+)==(\S+)", LOCK, re.MULTILINE):
        found.setdefault(name, []).append(version)
    return found


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_the_lock_satisfies_what_is_declared(requirement: Requirement) -> None:
    versions = pins().get(re.sub(r"[-_.]+", "-", requirement.name).lower(), [])
    assert versions, f"{requirement.name} is not locked: run `make lock`"
    assert all(requirement.specifier.contains(version, prereleases=True) for version in versions)


def test_every_pin_has_a_hash() -> None:
    entries = re.findall(r"^\S+==.*\n(?:    --hash=sha256:[0-9a-f]{64}.*\n)+", LOCK, re.MULTILINE)
    assert len(entries) == sum(len(versions) for versions in pins().values())


def test_the_tests_environment_holds_no_peer() -> None:
    pyproject_text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = re.search(r"^\$\(VENV\)/ready: EXTRAS := (.+)$", text_of("Makefile") or "", re.MULTILINE)
    assert named is not None
    extras = named[1].split()
    names = [entry.partition("==")[0] for entry in LOCKED["wanted"](pyproject_text, LOCK, extras)]
    assert {"numpy", "httpcore", "pytest", "uvloop", "scipy"} <= set(names)  # a base, an indirect, a tool, two extras
    assert not {"nautilus-trader", "hftbacktest", "pandas", "lifelines", "statsmodels"} & set(names)


def test_the_base_holds_nothing_that_only_fitting_needs() -> None:
    pyproject_text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    names = [entry.partition("==")[0] for entry in LOCKED["wanted"](pyproject_text, LOCK, [])]
    assert "numpy" in names
    assert not {"scipy", "pandas"} & set(names)


def test_an_unlocked_dependency_is_refused() -> None:
    pyproject_text = '[project]\ndependencies = ["nowhere>=1"]\n[project.optional-dependencies]\n'
    with pytest.raises(LOCKED["LockError"], match="nowhere"):
        LOCKED["wanted"](pyproject_text, LOCK, [])


@pytest.mark.parametrize("target", TARGETS)
def test_entry_points_lead_somewhere(target: str) -> None:
    module, _, name = target.partition(":")
    if find_spec(module.partition(".")[0]) is None or text_of_module(module) is None:
        pytest.skip(f"{module} is not in this checkout")
    assert callable(getattr(importlib.import_module(module), name))


def text_of_module(module: str) -> str | None:
    """Source of a first-party module, or None when the checkout has no such file."""
    stem = module.replace(".", "/")
    found = [path for path in (f"{stem}.py", f"{stem}/__init__.py") if (ROOT / path).is_file()]
    return text_of(found[0]) if found else None


def test_there_is_one_command_that_tests() -> None:
    makefile = text_of("Makefile") or ""
    assert "\nPY := $(VENV)/bin/python\n" in makefile
    assert re.search(r"^test: .*\n\t\$\(PY\) -m pytest$", makefile, re.MULTILINE)
    assert re.search(r"^\s*make test$", text_of(".ci/run") or "", re.MULTILINE)
