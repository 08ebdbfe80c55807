"""A router's process that has lost its journal when it begins to live: as on a disk that was replaced."""

import sys
from pathlib import Path

import msgspec

from sor.adapter import VenueAdapter
from sor.chaos.worker import Job, main
from sor.plugins import Plugins


def opens(options: dict[str, str]) -> VenueAdapter:
    """The installed adapter; the journal goes before it is made."""
    job = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Job)
    if job.journal.exists():
        lost = len(list(Path(job.folder).glob("lost-*")))
        job.journal.rename(Path(job.folder) / f"lost-{lost}")
    return Plugins.installed().venue(job.venue)(options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], open_venue=opens))
