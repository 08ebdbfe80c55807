"""Reports, never forbids: the longest files and functions, after a run that included the tidy rules."""

import ast
from collections.abc import Iterator

import pytest

from tests.tidy.tree import SHIPPED, python_files, source_of

FILE_LINES = 500
FUNCTION_LINES = 70
SHOWN = 10


def long_files(path: str, source: str) -> Iterator[tuple[int, str]]:
    """(lines, where) of a file that is over the mark."""
    lines = source.count("\n")
    if lines > FILE_LINES:
        yield lines, path


def long_functions(path: str, source: str) -> Iterator[tuple[int, str]]:
    """(lines, where) of each function that is over the mark, docstring and all."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield lines, f"{path}:{node.lineno} {node.name}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what is over the marks, longest first."""
    sources = {path: source_of(path) for path in python_files(*SHIPPED)}
    for what, mark, measure in [("files", FILE_LINES, long_files), ("functions", FUNCTION_LINES, long_functions)]:
        found = sorted((one for path, source in sources.items() for one in measure(path, source)), reverse=True)
        if found:
            terminalreporter.section(f"{len(found)} {what} over {mark} lines (reported, not forbidden)", sep="-")
        for lines, where in found[:SHOWN]:
            terminalreporter.write_line(f"{lines:5} {where}")
        if len(found) > SHOWN:
            terminalreporter.write_line(f"      and {len(found) - SHOWN} more")
