"""Writes `docs/machines.md` from the tables in the code: `python -m tests.tables.page`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path

from sor.child import CHILD_TABLE, Absorb, Go, Happened, Life, Refuse
from sor.orders import RejectKind
from sor.parent import PARENT_TABLE, GoParent, ParentEvent, ParentLife
from sor.refusals import REFUSALS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "machines.md"
_OPENING = """# The two machines

Written from the tables in the code by `python -m tests.tables.page`; a test compares. A word in capitals is where life
goes; *a word in italics* is why the event is absorbed: legal, and life stays as it is; **a word in bold** is why it is
refused: the venue broke its contract, the order is left as it was, and the symbol is halted until somebody has looked.

Whatever life says, the ledger counts every trade once by its ExecID, and after every step of every parent
`OrderQty + over == CumQty + working + in_doubt + free`, none negative. PENDING_NEW and LIVE hold what they may still
fill as `working`, IN_DOUBT as `in_doubt`; ABSENT and DONE hold nothing.
"""
_CHILD = """
## An order

`sor/child.py`. ABSENT never reached the book: refused, provably not sent, or proven not to have arrived. An event that
brings an ABSENT order back to life counts, withdraws it, and halts the symbol. PROVEN_ABSENT is the router's own
conclusion, drawn only in doubt; NOT_SENT of an order that has been heard of is a contradiction.
"""
_PARENT = """
## A parent

`sor/parent.py`. STOP is any decided end: complete, canceled, expired, denied, rejected, halted, completed by others, a
plug-in's fault. CLEAR means that none of its orders can be at the venue; the router says so to no parent that is not
STOPPING, and an assertion stands behind it.
"""
_REFUSED = """
## What a refusal does to its parent

`sor/refusals.py`, by the venue's reason. WAITS: asked again, ever later, and it does not count. COUNTS: asked again,
and `risk.rejects_max` in a row end the parent. ENDS: at once, with the venue's code and text. CLOSED: others have
completed it. What counts or ends also counts for the breaker of its symbol.
"""


def page() -> str:
    """The whole page."""
    child = table(Life, Happened, {key: _word(verdict) for key, verdict in CHILD_TABLE.items()})
    parent = table(ParentLife, ParentEvent, {key: _word(verdict) for key, verdict in PARENT_TABLE.items()})
    return f"{_OPENING}{_CHILD}\n{child}{_PARENT}\n{parent}{_REFUSED}\n{refusals()}"


def refusals() -> str:
    """Reasons down. One without a consequence is a KeyError."""
    rows = [["reason", "consequence"], ["---", "---"]]
    rows += [[kind.name, REFUSALS[kind].name] for kind in RejectKind]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def table(lives: type[IntEnum], events: type[IntEnum], cells: Mapping[tuple[IntEnum, IntEnum], str]) -> str:
    """Events down, lives across. A pair without a verdict is a KeyError."""
    rows = [["", *(life.name for life in lives)], ["---"] * (len(lives) + 1)]
    rows += [[event.name, *(cells[life, event] for life in lives)] for event in events]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _word(verdict: Go | GoParent | Absorb | Refuse) -> str:
    match verdict:
        case Go() | GoParent():
            return verdict.to.name
        case Absorb():
            return f"*{verdict.why.value.replace('_', ' ')}*"
        case Refuse():
            return f"**{verdict.why.value.replace('_', ' ')}**"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
