"""Print the part of requirements.lock that the base dependencies and the named extras need.

    python .ci/locked.py [EXTRA ...] > wanted.txt
    pip install --require-hashes -r wanted.txt

There is one lock file for everything, the benchmarks' peers included, so installing it whole would give every
developer a gigabyte that only `make bench` needs, and a check of the base alone would not notice a dependency
that only a tool pulls in. The "via" comments of the lock say who asked for each entry; this follows them down from the
direct requirements. Hashes and markers are passed on untouched, and pip still refuses anything that is not among them.

Promises nothing about versions: whether the lock satisfies pyproject.toml is for `make lock`, and tests/tidy looks.
Runs on the bare interpreter, before anything is installed.
"""

import re
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
VIA = "    # via "


class LockError(Exception):
    """The lock or pyproject.toml cannot answer what was asked."""


@dataclass
class Locked:
    """What the lock says of one distribution."""

    entries: list[str] = field(default_factory=list)  # several when the version depends on the interpreter
    via: set[str] = field(default_factory=set)  # canonical names of those that asked for it


def canonical(requirement: str) -> str:
    """Normalised name of the distribution that a requirement begins with."""
    match = NAME.match(requirement)
    if match is None:
        raise LockError(f"no distribution name at the start of {requirement!r}")
    return re.sub(r"[-_.]+", "-", match.group()).lower()


def read_lock(lock_text: str) -> dict[str, Locked]:
    """Every distribution in the lock, by canonical name, in the order of the file."""
    lock: dict[str, Locked] = {}
    current: Locked | None = None
    for line in lock_text.splitlines():
        if line.startswith(VIA) and current is not None:
            askers = line.removeprefix(VIA).split(", ")  # "-c" and what follows is a bound, not a distribution
            current.via.update(canonical(asker) for asker in askers if not asker.startswith("-"))
        elif NAME.match(line):
            current = lock.setdefault(canonical(line), Locked())
            current.entries.append(line)
        elif line.startswith("    --hash=") and current is not None:
            current.entries[-1] += "\n" + line
        elif line:
            raise LockError(f"cannot read this line of the lock: {line!r}")
    return lock


def direct(pyproject_text: str, extras: list[str]) -> set[str]:
    """Canonical names of the base dependencies and those of `extras`."""
    project = tomllib.loads(pyproject_text)["project"]
    optional = project["optional-dependencies"]
    if unknown := [extra for extra in extras if extra not in optional]:
        raise LockError(f"no such extra: {', '.join(unknown)}; there are {', '.join(sorted(optional))}")
    requirements = [*project["dependencies"], *(line for extra in extras for line in optional[extra])]
    return {canonical(line) for line in requirements}


def wanted(pyproject_text: str, lock_text: str, extras: list[str]) -> list[str]:
    """Lock entries of the base dependencies, of `extras` and of all that these need, in the order of the lock."""
    lock = read_lock(lock_text)
    names = direct(pyproject_text, extras)
    if missing := sorted(names - lock.keys()):
        raise LockError(f"not in requirements.lock: {', '.join(missing)}; run `make lock`")
    grown = True
    while grown:
        needed = {name for name, locked in lock.items() if locked.via & names}
        grown = not needed <= names
        names |= needed
    return [entry for name, locked in lock.items() if name in names for entry in locked.entries]


def main() -> None:
    """Read the two files at the repository root and print the entries."""
    pyproject_text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lock_text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    try:
        print("\n".join(wanted(pyproject_text, lock_text, sys.argv[1:])))
    except LockError as error:
        raise SystemExit(f"locked.py: {error}") from error


if __name__ == "__main__":
    main()
