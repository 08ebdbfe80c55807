"""Ask the public advisory database about everything in requirements.lock, and say in one sentence how that ended.

    python .ci/audit.py PIP_AUDIT [SECONDS]

PIP_AUDIT is the tool's command. It is given SECONDS (300) in all: without a database it may go on trying for as long as
there are packages, and ends with a page about sockets.

Exit codes: 0 nothing is known against any package, 1 something is (each is named), 3 it could not be asked. Runs on the
bare interpreter.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
LIMIT_S = 300.0
ANSWER_S = 15
"""For one answer of the database."""
EXIT_FOUND, EXIT_UNASKED = 1, 3
OPTIONS = ("--strict", "--disable-pip", "--require-hashes", "--progress-spinner", "off", "--timeout", f"{ANSWER_S}")


def unasked(why: str) -> int:
    """The sentence for what is not known."""
    print(
        f"audit: the advisory database could not be asked about {LOCK.name}, so nothing is known: {why}",
        file=sys.stderr,
    )
    return EXIT_UNASKED


def main(tool: str, limit_s: float = LIMIT_S) -> int:
    """Run the tool, to our exit code."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = (tool, *OPTIONS, "--requirement", str(LOCK), "--format", "json", "--output", str(report))
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit_s)
        except subprocess.TimeoutExpired:
            return unasked(f"no answer within {limit_s:g} s. Run it where the network reaches it")
        except OSError as error:
            return unasked(f"{tool}: {error.strerror}")
        try:
            found = json.loads(report.read_bytes())["dependencies"]
        except (OSError, ValueError, KeyError):
            said = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
            return unasked(said[-1].strip())
    skipped = [one["name"] for one in found if "skip_reason" in one]
    if skipped or not found:
        return unasked(f"{', '.join(skipped) or 'every package'} was not looked up")
    known = [(one["name"], one["version"], advice) for one in found for advice in one["vulns"]]
    for name, version, advice in known:
        better = ", ".join(advice.get("fix_versions", ())) or "none yet"
        print(f"audit: {name} {version} has {advice['id']}; mended in: {better}")
    if known:
        return EXIT_FOUND
    print(f"audit: nothing is known against the {len(found)} packages of {LOCK.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *(float(one) for one in sys.argv[2:3])))
