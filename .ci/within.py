"""Run a command for so many seconds at most; one that hangs is named, its Python says where it was, and nobody is left.

    python .ci/within.py SECONDS COMMAND [WORD ...]

Exit codes: the command's own, 128 and the number of the signal that ended it, or 124 when its time was over. When this
process is asked to end, the command ends too. Runs on the bare interpreter.
"""

import os
import shlex
import signal
import subprocess
import sys
import time

EXIT_HANGS = 124
LAST_WORDS_S = 10.0
"""For the stacks of who is ended."""
LOOK_S = 0.05


def _sent(process: subprocess.Popen[bytes], number: int) -> bool:
    """Whether anybody of its group was there to be sent the signal; 0 only asks."""
    try:
        os.killpg(process.pid, number)
    except OSError:
        return False
    return True


def main(limit_s: float, command: list[str]) -> int:
    """Run it, to the exit code."""
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))  # raised, it could come while we start it
    # In a group of its own, so that whatever it has started can be ended with it.
    process = subprocess.Popen(command, start_new_session=True, env={**os.environ, "PYTHONFAULTHANDLER": "1"})
    until_s = time.monotonic() + limit_s
    while process.poll() is None and not asked and time.monotonic() < until_s:
        time.sleep(LOOK_S)
    code = process.returncode
    if asked:
        code = -asked[0]
    elif code is None:
        print(f"within.py: not over after {limit_s:g} s, and ended: {shlex.join(command)}", file=sys.stderr, flush=True)
        code = EXIT_HANGS
        last_s = time.monotonic() + LAST_WORDS_S
        number: int = signal.SIGABRT  # at which Python writes the stacks of all threads
        while _sent(process, number) and time.monotonic() < last_s:
            number = 0
            process.poll()
            time.sleep(LOOK_S)
    _sent(process, signal.SIGKILL)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
