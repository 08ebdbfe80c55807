"""Run the commands that the README tells a newcomer to type.

    python .ci/readme.py [--recordings DIR] [README.md]

A fenced `console` block counts when the line above it (blank lines aside) is one of these comments:

    <!-- run -->               run it
    <!-- run: recordings -->   run it where there are recordings, else say that it was skipped

Lines that begin with `$ ` are commands, and a trailing backslash continues one on the next line; the rest is what a
reader would see and is not compared. Each block is one shell script, stopped by its first failing command, run in the
current directory with the current environment: the caller prepares both. Exits with 1 at the first block that fails,
and also when there is nothing to run, because a README whose marks were lost would otherwise pass.
"""

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

BLOCK = re.compile(
    r"^<!-- run(?P<needs>: recordings)? -->[ \t]*\n(?:[ \t]*\n)*```console[ \t]*\n(?P<body>.*?)^```[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
MARK = re.compile(r"^<!--\s*run\b", re.MULTILINE)


class Block(NamedTuple):
    """One runnable block: where it begins, what it needs, and its commands in order."""

    line: int
    needs_recordings: bool
    commands: list[str]


def commands_in(body: str) -> Iterator[str]:
    """Commands of a block, continuation lines joined to the line that they continue."""
    lines = iter(body.splitlines())
    for line in lines:
        if line.startswith("$ "):
            command = line.removeprefix("$ ")
            while command.endswith("\\"):
                command += "\n" + next(lines, "")
            yield command


def blocks_in(text: str) -> list[Block]:
    """Runnable blocks of a page. A mark without a block that can be read is an error, not an omission."""
    blocks = [
        Block(
            line=text[: match.start()].count("\n") + 1,
            needs_recordings=match["needs"] is not None,
            commands=list(commands_in(match["body"])),
        )
        for match in BLOCK.finditer(text)
    ]
    if len(blocks) != len(MARK.findall(text)) or not all(block.commands for block in blocks):
        raise SystemExit("readme.py: a <!-- run --> mark is not followed by a ```console block with a `$ ` line")
    return blocks


def run(block: Block) -> int:
    """Exit code of the block, its commands shown before they run."""
    script = "set -euo pipefail\n"
    for command in block.commands:
        shown = command.replace("'", "'\\''")
        script += f"printf '$ %s\\n' '{shown}'\n{command}\n"
    return subprocess.run(["bash", "-c", script], stdin=subprocess.DEVNULL, check=False).returncode


def main() -> int:
    """Run all blocks in order; the exit code for the shell."""
    parser = argparse.ArgumentParser(description="run the README's marked commands")
    parser.add_argument("page", nargs="?", type=Path, default=Path("README.md"))
    parser.add_argument("--recordings", type=Path, default=None, help="directory of recordings, if there is one")
    arguments = parser.parse_args()
    page: Path = arguments.page
    recordings: Path | None = arguments.recordings
    blocks = blocks_in(page.read_text(encoding="utf-8"))
    if not blocks:
        print(f"readme.py: {page} has no block marked <!-- run -->", file=sys.stderr)
        return 1
    for block in blocks:
        if block.needs_recordings and (recordings is None or not recordings.is_dir()):
            print(f"-- {page}:{block.line} skipped: it needs recordings, and there are none here", flush=True)
            continue
        print(f"-- {page}:{block.line}", flush=True)
        started = time.monotonic()
        code = run(block)
        print(f"-- {page}:{block.line} took {time.monotonic() - started:.1f} s", flush=True)
        if code:
            print(f"readme.py: {page}:{block.line} failed with exit code {code}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
