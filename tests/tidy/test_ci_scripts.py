"""The helper scripts of CI fail when they should: a check that passes by doing nothing is the worst kind."""

import runpy
import shlex
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.fakes.patience import PATIENCE_S
from tests.tidy.tree import ROOT

AUDIT = ROOT / ".ci" / "audit.py"
WITHIN = ROOT / ".ci" / "within.py"
SHIPPED = runpy.run_path(str(ROOT / ".ci" / "shipped.py"))


def run_readme(page: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / ".ci" / "readme.py"), *options, str(page)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=page.parent)


def block(*lines: str, mark: str = "<!-- run -->") -> str:
    return "\n".join([mark, "```console", *lines, "```", ""])


def test_marked_blocks_run_in_order_and_the_rest_does_not(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(
        "# Title\n\n```console\n$ echo unmarked > order\n```\n\n"
        + block("$ echo first >> order", "not a command", "$ echo sec\\", "ond >> order")
        + block("$ cd /", '$ false || echo "it\'s" > /dev/null')
        + block("$ echo third >> order", "$ cat order")
    )
    done = run_readme(page)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "order").read_text() == "first\nsecond\nthird\n"
    assert "$ cat order\nfirst\n" in done.stdout


def test_a_failing_command_stops_everything(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(block("$ false", "$ touch after") + block("$ touch later"))
    assert run_readme(page).returncode == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md"]


def test_recordings_are_needed_only_where_the_mark_says(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(block("$ echo it ran", mark="<!-- run: recordings -->") + block("$ true"))
    assert "skipped" in run_readme(page).stdout
    assert "it ran\n" in run_readme(page, "--recordings", str(tmp_path)).stdout
    assert "skipped" in run_readme(page, "--recordings", str(tmp_path / "absent")).stdout


@pytest.mark.parametrize(
    "text",
    [
        "nothing is marked\n```console\n$ true\n```\n",
        "<!-- run -->\n```sh\n$ true\n```\n",
        block("no command"),
        block("$ true", mark="<!-- run: recording -->"),
    ],
)
def test_a_page_that_would_run_nothing_is_refused(tmp_path: Path, text: str) -> None:
    page = tmp_path / "README.md"
    page.write_text(text)
    assert run_readme(page).returncode == 1


def test_a_wheel_is_held_against_the_tree(tmp_path: Path) -> None:
    wheel = tmp_path / "sor-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("sor/__init__.py", "")
        archive.writestr("sor/stray.log", "")
        archive.writestr("sor-0.1.0.dist-info/METADATA", "")
    shipped = SHIPPED["in_wheel"](wheel)
    assert SHIPPED["differences"](shipped=shipped, kept=shipped) == []
    assert SHIPPED["differences"](shipped=shipped, kept={"sor/__init__.py", "paramsets/demo/1.json"}) == [
        "not in the wheel: paramsets/demo/1.json",
        "in the wheel but not in git: sor/stray.log",
    ]


def test_the_tree_is_the_four_packages() -> None:
    kept = SHIPPED["kept_by_git"]()
    assert "sor/__init__.py" in kept
    assert {path.partition("/")[0] for path in kept} <= set(SHIPPED["PACKAGES"])


REPORTS = "import json, sys; json.dump({'dependencies': %s}, open(sys.argv[sys.argv.index('--output') + 1], 'w'))"
ADVISED = [{"name": "p", "version": "1.0", "vulns": [{"id": "X-1", "fix_versions": ["1.1"]}]}]


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("import time; time.sleep(60)", 3, "no answer within 0.7 s. Run it where the network reaches it"),
        (
            "import sys; sys.exit('Traceback\\n  a page\\nConnectionError: unreachable')",
            3,
            "ConnectionError: unreachable",
        ),
        ("pass", 3, "so nothing is known: exit code 0"),
        (REPORTS % [], 3, "every package was not looked up"),
        (REPORTS % [{"name": "p", "skip_reason": "x"}], 3, "p was not looked up"),
        (REPORTS % ADVISED, 1, "audit: p 1.0 has X-1; mended in: 1.1"),
        (REPORTS % [{"name": "p", "version": "1.0", "vulns": []}], 0, "nothing is known against the 1 packages"),
    ],
)
def test_an_audit_ends_in_one_sentence_and_in_time(tmp_path: Path, body: str, code: int, said: str) -> None:
    tool = tmp_path / "tool"
    tool.write_text(f"#!{sys.executable}\n{body}\n")
    tool.chmod(0o700)
    limit_s = "0.7" if "sleep" in body else "60"
    done = subprocess.run([sys.executable, AUDIT, tool, limit_s], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    (line,) = (done.stdout + done.stderr).splitlines()
    assert said in line


@pytest.mark.parametrize(
    ("limit_s", "command", "code", "said"),
    [
        ("600", "exit 7", 7, ""),
        ("600", "kill -s KILL $$", 137, ""),
        ("0.2", "sleep 600 & sleep 600", 124, "not over after 0.2 s, and ended: bash -c 'sleep 600 & sleep 600'"),
    ],
)
def test_what_has_a_time_ends_in_it_with_all_that_it_started(limit_s: str, command: str, code: int, said: str) -> None:
    """Whoever were left would hold the pipe that is read here to its end."""
    words = [sys.executable, str(WITHIN), limit_s, "bash", "-c", command]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr


def test_what_hangs_says_where_it_was() -> None:
    stuck = "import time\ndef stuck():\n    print('stuck', flush=True)\n    time.sleep(600)\nstuck()"
    words = [sys.executable, str(WITHIN), "5", "bash", "-c", f"{sys.executable} -c {shlex.quote(stuck)}; true"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 124, done.stderr
    assert "in stuck" in done.stderr or not done.stdout, (
        done.stderr
    )  # nothing: the machine was too slow for it to begin


def test_who_is_asked_to_end_takes_it_along() -> None:
    """Asked at once, which on a slow machine is while it starts it."""
    words = [sys.executable, str(WITHIN), "600", "bash", "-c", "kill -s TERM $PPID; sleep 600"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, ""), done.stderr
