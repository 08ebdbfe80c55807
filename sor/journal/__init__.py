"""The journal: every fact before the core's wishes are carried out, in an append-only chain of checksummed turns (D9).

    with Journal.create(path, epoch=epoch, environment=Environment.DEMO) as journal:
        journal.append([fact, wish])        # returns when the turn is recorded
    for turn in turns(path):                # what recovery folds
        ...
    verify(path).faults                     # empty when nothing was changed, damaged or lost in between

`sor.journal.segment` has the format and what it does and does not promise, `sor.journal.index` the query index.
"""

from sor.journal.layout import Environment as Environment
from sor.journal.reader import Turn as Turn
from sor.journal.reader import Verification as Verification
from sor.journal.reader import pick as pick
from sor.journal.reader import turns as turns
from sor.journal.reader import verify as verify
from sor.journal.records import Record as Record
from sor.journal.writer import Durability as Durability
from sor.journal.writer import Journal as Journal
