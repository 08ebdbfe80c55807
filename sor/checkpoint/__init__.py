"""The state of a router at one turn, as bytes: what a start goes on from, instead of all turns before (0112).

    taken = freeze(core, fits)                  # between two turns
    for piece in taken.pieces(): ...            # in any thread: what they are made of does not change any more
    core, fits = thaw(pieces, policies=..., schedules=..., decider=...)

`sor.checkpoint.shapes` lists every class and field of the state; `tests/unit/test_checkpoint.py` holds the lists beside
what there is. Where the bytes lie is the journal's business (`sor.journal.checkpoint`).
"""

from sor.checkpoint.freezing import Frozen as Frozen
from sor.checkpoint.freezing import freeze as freeze
from sor.checkpoint.shapes import layout as layout
from sor.checkpoint.thawing import thaw as thaw
