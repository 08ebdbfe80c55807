"""A router's process whose journal is not synced turn by turn, whatever was asked for."""

import sys

import pytest

from sor.chaos import worker
from sor.journal import Durability


class Unsynced:
    """What the worker takes for the two levels."""

    SYNCED = KERNEL = Durability.KERNEL


if __name__ == "__main__":
    pytest.MonkeyPatch().setattr(worker, "Durability", Unsynced)
    sys.exit(worker.main(sys.argv[1:]))
