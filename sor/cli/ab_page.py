"""Pages of comparisons, and the stories that are on them."""

from __future__ import annotations

import shlex
from io import StringIO
from pathlib import Path

from rich.console import Console

from sor.cli.common import PIPE_WIDTH, Output
from sor.cli.story import tell_story
from sor.errors import CallerError
from sor.ids import ParentId
from sor.lab.ab.page import Page, render


def check_page(path: Path) -> None:
    """Raise `CallerError` where no file can lie, before anything is run for it."""
    if not path.absolute().parent.is_dir():
        raise CallerError(f"{path} cannot be written: there is no folder {path.parent}; nothing was run")


def story_of(journal: Path, parent_id: ParentId) -> str:
    """What is told of a parent, as text."""
    told = StringIO()
    console = Console(file=told, width=PIPE_WIDTH, highlight=False, markup=False, soft_wrap=True)
    tell_story(console, journal, parent_id)
    return told.getvalue()


def command_of(journal: Path, parent_id: ParentId) -> str:
    """The command that tells it."""
    return shlex.join(["sor", "explain", parent_id, "--journal", str(journal)])


def write_page(output: Output, path: Path, page: Page) -> None:
    """Write it and say where. Raises `CallerError` where that cannot be done."""
    try:
        path.write_text(render(page), encoding="utf-8")
    except OSError as error:
        raise CallerError(f"{path} cannot be written: {error.strerror}; the comparison was run, not told") from error
    output.err.print(f"The page is {path}.")
