"""The files that the tidy rules look at, and how a rule says what it found."""

import ast
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
SHIPPED = ("sor", "venues", "policies", "paramsets")
ROOMS = (*SHIPPED, "tests", "benchmarks", "examples")


class Finding(NamedTuple):
    """One broken rule at one line of the text that was checked."""

    line: int
    what: str


@cache
def tracked() -> tuple[str, ...]:
    """Paths from the root of all files git keeps or would keep: a new file is checked before it is added."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return tuple(sorted({path for path in listing.split("\0") if path and (ROOT / path).is_file()}))


def python_files(*rooms: str) -> list[str]:
    """Paths of the Python files under the named top-level folders; all of them when none is named."""
    wanted = rooms or (*ROOMS, ".ci")
    return [path for path in tracked() if path.endswith(".py") and path.partition("/")[0] in wanted]


@cache
def text_of(path: str) -> str | None:
    """Text of a file, or None when it is absent or not UTF-8 text."""
    try:
        text = (ROOT / path).read_bytes().decode()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return None if "\0" in text else text


def source_of(path: str) -> str:
    """Text of a tracked Python file."""
    text = text_of(path)
    assert text is not None, f"{path} is not UTF-8 text"
    return text


def report(findings: Iterable[tuple[str, Finding]]) -> str:
    """One line per finding, in the form that editors can jump to; empty when there are none."""
    return "\n".join(f"{path}:{finding.line}: {finding.what}" for path, finding in findings)


def dotted(node: ast.expr) -> str | None:
    """`a.b.c` for a chain of attributes on a plain name, else None."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])


class Import(NamedTuple):
    """One imported name: `import a.b` names `a.b` and binds `a` to `a`; `from a import b as c` binds `c` to `a.b`."""

    line: int
    name: str
    local: str
    bound_to: str


def imports_in(tree: ast.AST, path: str) -> Iterator[Import]:
    """Every import, wherever in the file it stands.

    `from a import b` gives `a.b`, since b may be a module; a relative import is resolved against `path`. A call of
    `import_module` or `__import__` with a literal counts too.
    """
    package = path.removesuffix(".py").split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                yield Import(node.lineno, alias.name, alias.asname or top, alias.name if alias.asname else top)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                name = f"{base}.{alias.name}"
                yield Import(node.lineno, name, alias.asname or alias.name, name)
        elif isinstance(node, ast.Call) and (dotted(node.func) or "").endswith(("import_module", "__import__")):
            match node.args:
                case [ast.Constant(value=str() as name), *_]:
                    yield Import(node.lineno, name, "", name)
                case _:
                    pass


def within(name: str, prefixes: Iterable[str]) -> bool:
    """Whether a dotted name is one of `prefixes` or lies below one."""
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)
