"""G11: one recorded turn against one `os.write` of the very bytes that it put on disk.

The turns are those of a routed parent. Two are taken from a journal that the router itself wrote: a fill's report with
the end that it means, and the parent, the look at the market, the decision and the order that follows. The third, the
smallest and most frequent, is one markout, of which a fill has one for each horizon. The goal is judged on all of them
together, each as often as it is written; each kind stands beside it. Durability is the default: handed to the kernel,
not synced.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from time import process_time_ns

import msgspec

from benchmarks.order_round import ours as route
from benchmarks.rig import EPOCH, START_NS, WrongWork
from benchmarks.rows import Bar, Row, measured
from sor.events import Marked, Reported
from sor.ids import ExecId
from sor.journal import Environment, Journal, Record, turns, verify
from sor.tca import HORIZONS_NS

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

    def __init__(self, directory: Path, cycle: Sequence[Sequence[Record]], count: int) -> None:
        self._path = directory / "journal"
        self._journal = Journal.create(self._path, epoch=EPOCH, environment=Environment.SIMULATED)
        self._frames: list[bytes] = []
        for records in cycle:
            before = _size(self._path)
            self._journal.append(records)
            self._frames.append(os.urandom(_size(self._path) - before))
        self._plain = os.open(directory / "plain", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
        self._cycle = cycle
        self._rounds = max(1, count // len(cycle))
        self._appended = len(cycle)

    @property
    def frame_bytes(self) -> str:
        """What each turn puts on disk."""
        return " + ".join(f"{frames} x {size}" if frames > 1 else f"{size}" for size, frames in _runs(self._frames))

    def append(self) -> Sequence[float]:
        """Nanoseconds of one cycle: encode, chain and write each turn."""
        append, cycle = self._journal.append, self._cycle
        begun_ns = process_time_ns()
        for _ in range(self._rounds):
            for records in cycle:
                append(records)
        taken_ns = process_time_ns() - begun_ns
        self._appended += self._rounds * len(cycle)
        return [taken_ns / self._rounds]

    def write(self) -> Sequence[float]:
        """Nanoseconds of one cycle: a plain write of as many bytes for each turn."""
        write, fd, frames = os.write, self._plain, self._frames
        begun_ns = process_time_ns()
        for _ in range(self._rounds):
            for frame in frames:
                write(fd, frame)
        return [(process_time_ns() - begun_ns) / self._rounds]

    def close(self) -> None:
        """Check that every turn is there and whole."""
        os.close(self._plain)
        self._journal.close()
        verified = verify(self._path)
        if verified.faults or verified.turns != self._appended:
            raise WrongWork(f"{self._appended} turns were appended, and the journal holds: {verified}")


def rows(*, count: int, rounds: int, progress: Callable[[str], None]) -> list[Row]:
    """The goal's row, everything that one routed parent journals, and each kind of its turns by itself."""
    seen = routed()
    markouts = [
        (Marked(now_ns=START_NS, parent_no=1, exec_id=ExecId("1t"), horizon_ns=horizon, mid_hticks=1_200_001),)
        for horizon in HORIZONS_NS
    ]
    cycles: dict[str, tuple[str, Sequence[Sequence[Record]]]] = {
        "g11": ("every turn of one parent: decision, fill, a markout each", [seen.decision, seen.fill, *markouts]),
        "g11-markout": ("a markout's turn", markouts[:1]),
        "g11-fill": ("a fill's turn", [seen.fill]),
        "g11-decision": ("a decision's turn", [seen.decision]),
    }
    return [
        _row(name, what, cycle, count=count, rounds=rounds, progress=progress) for name, (what, cycle) in cycles.items()
    ]


def _row(
    name: str,
    what: str,
    cycle: Sequence[Sequence[Record]],
    *,
    count: int,
    rounds: int,
    progress: Callable[[str], None],
) -> Row:
    with tempfile.TemporaryDirectory() as directory:
        files = Files(Path(directory), cycle, count)
        measurement = measured(
            name=name,
            what=f"Journal.append of {what}: encode, hash chain, write; not synced",
            baseline=f"one os.write a turn of as many bytes ({files.frame_bytes}) to a file opened the same way",
            unit="ns a turn" if len(cycle) == 1 else "ns a parent",
            ours=files.append,
            theirs=files.write,
            rounds=rounds,
            checked=f"{count} turns a round; the journal verified, every turn there",
            progress=progress,
            bar=BAR,
        )
        files.close()
    return measurement


def _runs(frames: Sequence[bytes]) -> list[tuple[int, int]]:
    """Sizes of the frames, each with how often it comes in a row."""
    return [(size, len(list(run))) for size, run in groupby(len(frame) for frame in frames)]


def _size(journal: Path) -> int:
    return sum(entry.stat().st_size for entry in journal.glob("*.seg"))
