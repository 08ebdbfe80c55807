"""Run one storm and say what its journal and its wire came to; for a process of its own.

The masks and keys that RFC 6455 wants drawn at random are drawn from the seed here: they are all that may differ.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path
from random import Random

import pytest
import websockets.frames
import websockets.utils

from tests.sim.bingx_storm import BingxStorm


class Drawn:
    """What websockets takes of the module `secrets`."""

    def __init__(self, seed: int) -> None:
        self.token_bytes = Random(seed).randbytes


def main(seed: int) -> None:
    """Write both digests."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(websockets.frames, "secrets", Drawn(seed))
        patch.setattr(websockets.utils, "secrets", Drawn(seed))
        storm = BingxStorm(seed, Path(folder), restarts=1)
        storm.run()
        storm.close()
    sys.stdout.write(f"{storm.tape.digest()} {storm.wire.hexdigest()}\n")


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    main(int(sys.argv[1]))
