"""Say whether a wheel holds what it must, and nothing that it must not.

    python .ci/shipped.py dist/sor-0.1.0-py3-none-any.whl

Every file that git keeps under the four packages is in the wheel, param-sets included, and nothing else is. A wheel
that lacks a data file passes every test that runs from the checkout; this is the one that would notice.
"""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("sor", "venues", "policies", "paramsets")


def kept_by_git() -> set[str]:
    """Paths of the tracked files of the four packages that exist."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *PACKAGES],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return {path for path in listing.split("\0") if path and (ROOT / path).is_file()}


def in_wheel(wheel: Path) -> set[str]:
    """Paths in the wheel, its metadata aside."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.partition("/")[0].endswith(".dist-info")}


def differences(*, shipped: set[str], kept: set[str]) -> list[str]:
    """What the wheel lacks and what it has too much of, a sentence each."""
    return [
        *(f"not in the wheel: {path}" for path in sorted(kept - shipped)),
        *(f"in the wheel but not in git: {path}" for path in sorted(shipped - kept)),
    ]


def main() -> int:
    """Compare the two and name the differences; the exit code for the shell."""
    shipped, kept = in_wheel(Path(sys.argv[1])), kept_by_git()
    found = differences(shipped=shipped, kept=kept)
    for difference in found:
        print(f"shipped.py: {difference}", file=sys.stderr)
    if found:
        return 1
    print(f"{len(shipped)} files, each of them kept by git")
    return 0


if __name__ == "__main__":
    sys.exit(main())
