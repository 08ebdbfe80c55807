"""Crossed books on the way onto a tape: lost until the next snapshot, or repaired where the caller asks for it.

A group after which the best bid is not below the best ask contradicts itself: a message is missing, late or wrong, and
nothing says which. By default the book is lost there, as after a gap. Repaired, the levels that the group itself named
are believed, and those of the other side that they contradict, which are older, are taken away; where it named both
sides of the contradiction there is nothing to believe, and the book is lost all the same.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

import msgspec
import numpy as np

from sor.lab.both_sides import BothSides
from sor.lab.importers.recording import BookColumns, byte_column, int_column
from sor.tape import Tape

_Places = list[tuple[int, int]]
"""(side, ticks)"""


class Crossings(NamedTuple):
    """A tape without crossed books, and how many groups had one: `repaired` of them, else lost.

    first_ns    venue time of the first, 0 for none.
    """

    tape: Tape
    crossed: int
    repaired: int
    first_ns: int


def uncrossed(tape: Tape, *, repair: bool) -> Crossings:
    """`tape` with no group that leaves the book crossed; the same object where there was none."""
    sides, ticks, lots = tape.level_side.tolist(), tape.level_ticks.tolist(), tape.level_lots.tolist()
    book, lost = BothSides(), False
    crossed = repaired = first_ns = begin = 0
    mended: dict[int, _Places | None] = {}  # group -> what is taken away in it; None: it says that the book is lost
    dropped: dict[int, None] = {}
    for group, (end, snapshot) in enumerate(
        zip(tape.group_first[1:].tolist(), tape.group_snapshot.tolist(), strict=True)
    ):
        if snapshot:
            book.clear()
            lost = False
        if lost:
            dropped[group] = None
        else:
            for at in range(begin, end):
                book.put(sides[at], ticks[at], lots[at])
            if book.crossed:
                crossed += 1
                first_ns = first_ns or int(tape.group_venue_ns[group])
                named = {(sides[at], ticks[at]) for at in range(begin, end)} if repair else set()
                mended[group] = _contradicted(book, named) or None
                lost = mended[group] is None
                repaired += not lost
        begin = end
    return Crossings(_rebuilt(tape, mended, dropped) if crossed else tape, crossed, repaired, first_ns)


def _contradicted(book: BothSides, named: set[tuple[int, int]]) -> _Places:
    """Take away what the group's own levels contradict; what that was, or nothing where it cannot be told."""
    gone: _Places = []
    while book.crossed:
        bid, ask = (1, book.bid), (-1, book.ask)
        if (bid in named) == (ask in named):
            return []
        place = ask if bid in named else bid
        gone.append(place)
        book.put(*place, 0)
    return gone


def _rebuilt(tape: Tape, mended: dict[int, _Places | None], dropped: dict[int, None]) -> Tape:
    """The tape with some groups dropped, some emptied, and levels added to some."""
    columns = BookColumns()
    first = tape.group_first.tolist()
    at = 0
    for group in sorted([*mended, *dropped]):
        _copy(tape, columns, at, group)
        at = group + 1
        gone = mended.get(group, [])
        if group in dropped:
            continue
        snapshot = bool(tape.group_snapshot[group])
        if gone is not None:
            _copy_levels(tape, columns, first[group], first[group + 1])
            for side, ticks in gone:
                columns.side.append(side)
                columns.ticks.append(ticks)
                columns.lots.append(0)
        columns.close(
            venue_ns=int(tape.group_venue_ns[group]),
            recv_ns=int(tape.group_recv_ns[group]),
            snapshot=snapshot or gone is None,
        )
    _copy(tape, columns, at, len(tape.group_venue_ns))
    return msgspec.structs.replace(
        tape,
        group_venue_ns=int_column(columns.venue_ns),
        group_recv_ns=int_column(columns.recv_ns),
        group_first=int_column(columns.first),
        group_snapshot=byte_column(columns.snapshot),
        level_side=byte_column(columns.side),
        level_ticks=int_column(columns.ticks),
        level_lots=int_column(columns.lots),
    )


def _copy(tape: Tape, columns: BookColumns, begin: int, end: int) -> None:
    """Groups [begin, end) as they are."""
    if begin >= end:
        return
    first = tape.group_first[begin : end + 1]
    shift = len(columns.side) - int(first[0])
    _copy_levels(tape, columns, int(first[0]), int(first[-1]))
    _extend(columns.venue_ns, tape.group_venue_ns[begin:end])
    _extend(columns.recv_ns, tape.group_recv_ns[begin:end])
    _extend(columns.first, first[1:] + shift)
    columns.snapshot.frombytes(tape.group_snapshot[begin:end].tobytes())


def _copy_levels(tape: Tape, columns: BookColumns, begin: int, end: int) -> None:
    columns.side.frombytes(tape.level_side[begin:end].tobytes())
    _extend(columns.ticks, tape.level_ticks[begin:end])
    _extend(columns.lots, tape.level_lots[begin:end])


def _extend(column: array[int], values: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> None:
    column.frombytes(np.ascontiguousarray(values).tobytes())
