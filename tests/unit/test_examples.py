"""What a newcomer copies runs as it stands: the examples, and the program in the README."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
SAYS = {
    "hello.py": r"filled: average price \d+\.\d+, cost -?\d+\.\d\d bps\n$",
    "own_policy.py": r"join_then_cross +[+-]\d+\.\d+ bps",
    "intents.py": r"completed_by_others: sell 0\.500 at",
}


def ran(program: Path, home: Path) -> str:
    """Standard output of a program that ended well."""
    ended = subprocess.run(
        [sys.executable, str(program)],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def test_every_example_is_run() -> None:
    assert sorted(SAYS) == sorted(path.name for path in (REPO / "examples").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("name", SAYS)
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    assert re.search(SAYS[name], ran(REPO / "examples" / name, tmp_path))


@pytest.mark.slow
def test_the_program_in_the_readme_runs_twice(tmp_path: Path) -> None:
    """The second time the parent is in the journal already: it is answered from there and trades nothing."""
    (program,) = re.findall(r"```python\n(.*?)```", (REPO / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "strategy.py").write_text(program, encoding="utf-8")
    first = ran(tmp_path / "strategy.py", tmp_path)
    assert first.startswith("filled ")
    assert ran(tmp_path / "strategy.py", tmp_path) == first
