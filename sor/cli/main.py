"""How every command begins and ends: with an exit code and, when something is wrong, one sentence on stderr.

Nothing but the standard library is imported up here, by `sor.cli.stopped` neither. The commands need half a second to
load, and in that half second, too, Ctrl-C is to end in a sentence and not in a traceback.

Exit codes: 0 fine, 1 an error, 2 wrong usage (what was typed cannot be read: no number, no duration, not one of the
words; what can be read and does not fit the venue, the market or the journal is an error), 3 a run in which the venue's
books contradict the router; 128 and the signal's number where a signal or a closed pipe ended it (130 for Ctrl-C).
`sor route` has more: see `sor.cli.outcome`.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from types import FrameType

from sor.cli.stopped import REACHED, SIGNALS, WISHES, Stopped

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_PIPE_CLOSED = 128 + signal.SIGPIPE


def _listen() -> None:
    """From now on; what whoever started us chose to ignore (nohup, a job in the background) stays ignored."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _hear)


def _hear(number: int, frame: FrameType | None) -> None:
    """Raise `Stopped` in the main thread when a signal comes."""
    del frame
    if WISHES.is_new():
        raise Stopped(number)


def main() -> None:
    """The console script."""
    try:
        _listen()
        _prepare_streams()
        code = run(sys.argv[1:])
    except KeyboardInterrupt as stopped:  # between two lines of ours
        code = _interrupted(stopped)
    for number in SIGNALS:  # all is said and done: what is left is Python's own taking down
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    REACHED.text = ""
    try:
        return _run(arguments)
    except KeyboardInterrupt as stopped:
        return _interrupted(stopped)
    except BrokenPipeError:
        # The reader of our output went away (`sor ... | head`): end quietly, and keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE_CLOSED
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        _say(f"{what}{error.strerror or error}; {_at_venue()}.")
        return EXIT_ERROR
    except UnicodeError as error:
        _say(f"a name or a text here is not valid UTF-8 ({error}); {_at_venue()}. Rename the file")
        return EXIT_ERROR


def _run(arguments: list[str]) -> int:
    import click

    from sor.cli.root import cli
    from sor.cli.terms import BadValue
    from sor.errors import SorError

    try:
        # Not `cli.main`, which turns interrupts and closed pipes into exit codes of its own.
        with cli.make_context("sor", arguments) as ctx:
            cli.invoke(ctx)
        code = 0
    except click.exceptions.Exit as ended:
        code = ended.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except SorError as error:
        _say(str(error))
        code = EXIT_USAGE if isinstance(error, BadValue) else EXIT_ERROR
    sys.stdout.flush()  # here, where a full disk or a closed pipe still gets its answer
    return code


def _interrupted(stopped: KeyboardInterrupt) -> int:
    text = stopped.text if isinstance(stopped, Stopped) else ""
    if not text and REACHED.text:
        text = f"interrupted; {REACHED.text}."
    _say(text or "interrupted. Nothing was sent to a real venue; what was finished is kept, the rest can be run again.")
    return stopped.exit_code if isinstance(stopped, Stopped) else EXIT_INTERRUPTED


def _at_venue() -> str:
    return REACHED.text or "nothing was sent to a venue"


def _say(sentence: str) -> None:
    """One sentence on stderr, if anybody is still there to read it."""
    try:
        sys.stderr.write(f"sor: {sentence}\n")
        sys.stderr.flush()
    except OSError:
        return


def _prepare_streams() -> None:
    """Streams that were closed swallow what they get; what a terminal cannot show is shown by its code."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 -- for as long as the process lives
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
