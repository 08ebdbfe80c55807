"""G11: one recorded turn against one `os.write` of the very bytes that it put on disk.

The turns are those of a routed order. Two are taken from a journal that the router itself wrote: a fill's report with
the end that it means, and the parent, the look at the market, the decision and the order that follows. The third, the
smallest and most frequent, is one markout. Durability is the default: handed to the kernel, not synced.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import process_time_ns

import msgspec

from benchmarks.order_round import ours as route
from benchmarks.rig import EPOCH, START_NS, WrongWork
from benchmarks.rows import Bar, Row, measured
from sor.events import Marked, Reported
from sor.ids import ExecId
from sor.journal import Environment, Journal, Record, turns, verify
from sor.units import NS

BAR = Bar(5.0)


class Turns(msgspec.Struct, frozen=True):
    """The two turns of a routed order."""

    decision: tuple[Record, ...]
    fill: tuple[Record, ...]


def routed() -> Turns:
    """Route two parents and read back what the journal holds of the second."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        route(2, directory=path)
        recorded = [tuple(turn.records) for turn in turns(path / "journal")]
    fill = [one for one in recorded if any(isinstance(record, Reported) for record in one)][-1]
    return Turns(decision=recorded[recorded.index(fill) - 1], fill=fill)


class Files:
    """A journal and a plain file beside it, both on the same disk, for as long as a row is measured."""

    def __init__(self, directory: Path, records: Sequence[Record], count: int) -> None:
        self._path = directory / "journal"
        self._journal = Journal.create(self._path, epoch=EPOCH, environment=Environment.SIMULATED)
        before = _size(self._path)
        self._journal.append(records)
        self._frame = os.urandom(_size(self._path) - before)
        self._plain = os.open(directory / "plain", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
        self._records = records
        self._count = count
        self._appended = 1

    @property
    def frame_bytes(self) -> int:
        """What one turn puts on disk."""
        return len(self._frame)

    def append(self) -> Sequence[float]:
        """Nanoseconds of one turn: encode, chain, write."""
        append, records = self._journal.append, self._records
        begun_ns = process_time_ns()
        for _ in range(self._count):
            append(records)
        taken_ns = process_time_ns() - begun_ns
        self._appended += self._count
        return [taken_ns / self._count]

    def write(self) -> Sequence[float]:
        """Nanoseconds of one plain write of as many bytes."""
        write, fd, frame = os.write, self._plain, self._frame
        begun_ns = process_time_ns()
        for _ in range(self._count):
            write(fd, frame)
        return [(process_time_ns() - begun_ns) / self._count]

    def close(self) -> None:
        """Check that every turn is there and whole."""
        os.close(self._plain)
        self._journal.close()
        verified = verify(self._path)
        if verified.faults or verified.turns != self._appended:
            raise WrongWork(f"{self._appended} turns were appended, and the journal holds: {verified}")


def rows(*, count: int, rounds: int, progress: Callable[[str], None]) -> list[Row]:
    """The goal's rows: a markout's turn, a fill's and a decision's."""
    seen = routed()
    markout = Marked(now_ns=START_NS, parent_no=1, exec_id=ExecId("1t"), horizon_ns=NS, mid_hticks=1_200_001)
    return [
        _row("g11-markout", "a markout's turn", (markout,), count=count, rounds=rounds, progress=progress),
        _row("g11-fill", "a fill's turn", seen.fill, count=count, rounds=rounds, progress=progress),
        _row("g11-decision", "a decision's turn", seen.decision, count=count, rounds=rounds, progress=progress),
    ]


def _row(
    name: str, turn: str, records: Sequence[Record], *, count: int, rounds: int, progress: Callable[[str], None]
) -> Row:
    with tempfile.TemporaryDirectory() as directory:
        files = Files(Path(directory), records, count)
        measurement = measured(
            name=name,
            what=f"Journal.append of {turn}, records {len(records)}: encode, hash chain, write; not synced",
            baseline=f"one os.write of as many bytes ({files.frame_bytes}) to a file opened the same way",
            unit="ns a turn",
            ours=files.append,
            theirs=files.write,
            rounds=rounds,
            checked=f"{count} turns a round; the journal verified, every turn there",
            progress=progress,
            bar=BAR,
        )
        files.close()
    return measurement


def _size(journal: Path) -> int:
    return sum(entry.stat().st_size for entry in journal.glob("*.seg"))
