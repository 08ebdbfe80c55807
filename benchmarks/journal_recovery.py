"""G12 and G13: what power-loss durability costs with many turns in flight, and how quickly a journal becomes a state.

G12 syncs once for 256 turns, as `Journal.sync` lets whoever drives it; the router's own setting `SYNCED` syncs each
turn before anything of it is sent. What is read there is wall time: a sync is waiting.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter_ns, process_time_ns

from benchmarks.journal_append import routed
from benchmarks.order_round import ours as route
from benchmarks.rig import EPOCH, WrongWork
from benchmarks.rows import Bar, Row, measured
from sor.decide import Recorded as RecordedDecisions
from sor.journal import Environment, Journal, turns, verify
from sor.journal.records import decode, encode
from sor.plugins import Plugins
from sor.recovery import fold

SYNC_BAR = Bar(0.5, at_least=True)
FOLD_BAR = Bar(0.25, at_least=True)
IN_FLIGHT = 256
NS_S = 1_000_000_000


class Synced:
    """A journal and a plain file on one disk."""

    def __init__(self, directory: Path, count: int) -> None:
        self._records = routed().fill
        self._path = directory / "journal"
        self._journal = Journal.create(self._path, epoch=EPOCH, environment=Environment.SIMULATED)
        self._frame = os.urandom(len(encode(self._records)) + 24)
        self._plain = os.open(directory / "plain", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
        self._syncs = max(1, count // IN_FLIGHT)
        self._appended = 0

    def append(self) -> Sequence[float]:
        """Turns a second: append 256, then sync, again and again."""
        begun_ns = perf_counter_ns()
        for _ in range(self._syncs):
            for _ in range(IN_FLIGHT):
                self._journal.append(self._records)
            self._journal.sync()
        taken_ns = perf_counter_ns() - begun_ns
        self._appended += self._syncs * IN_FLIGHT
        return [self._syncs * IN_FLIGHT * NS_S / taken_ns]

    def write(self) -> Sequence[float]:
        """As many bytes in one write, then one fdatasync."""
        begun_ns = perf_counter_ns()
        for _ in range(self._syncs):
            os.write(self._plain, self._frame * IN_FLIGHT)
            os.fdatasync(self._plain)
        return [self._syncs * IN_FLIGHT * NS_S / (perf_counter_ns() - begun_ns)]

    def close(self) -> None:
        """Check that every turn is there and whole."""
        os.close(self._plain)
        self._journal.close()
        verified = verify(self._path)
        if verified.faults or verified.turns != self._appended:
            raise WrongWork(f"{self._appended} turns were appended, and the journal holds: {verified}")


class Folded:
    """A journal of routed parents, to be folded into a state."""

    def __init__(self, directory: Path, orders: int) -> None:
        route(orders, directory=directory)
        self._path = directory / "journal"
        self._plugins = Plugins.installed()
        self._bodies = [encode(turn.records) for turn in turns(self._path)]
        self._orders = orders

    def fold(self) -> Sequence[float]:
        """Turns a second: read, check the chain, decode, step, and demand that every recorded wish comes out again."""
        begun_ns = process_time_ns()
        core = fold(
            (turn.records for turn in turns(self._path)),
            policies=self._plugins.policies,
            schedules=self._plugins.schedules,
            decisions=RecordedDecisions(),
        )
        taken_ns = process_time_ns() - begun_ns
        if len(core.parents) < self._orders or not all(parent.ended for parent in core.parents):
            raise WrongWork(f"{len(core.parents)} parents came out, not {self._orders} that have ended")
        return [len(self._bodies) * NS_S / taken_ns]

    def decode(self) -> Sequence[float]:
        """Turns a second: the records of each turn out of bytes in memory, and nothing else."""
        begun_ns = process_time_ns()
        for body in self._bodies:
            decode(body)
        return [len(self._bodies) * NS_S / (process_time_ns() - begun_ns)]


def rows(*, count: int, orders: int, rounds: int, progress: Callable[[str], None]) -> list[Row]:
    """Both goals. count: turns of one round that are synced; orders: routed parents that are folded."""
    with tempfile.TemporaryDirectory() as directory:
        synced = Synced(Path(directory), count)
        durable = measured(
            name="g12",
            what=f"Journal.append of {IN_FLIGHT} turns, then Journal.sync; wall time",
            baseline="one write of as many bytes and one fdatasync",
            unit="turns/s",
            ours=synced.append,
            theirs=synced.write,
            rounds=rounds,
            checked="the journal verified, every turn there",
            progress=progress,
            bar=SYNC_BAR,
        )
        synced.close()
    with tempfile.TemporaryDirectory() as directory:
        folded = Folded(Path(directory), orders)
        recovered = measured(
            name="g13",
            what="a journal into a state: read, chain, decode, step, every wish compared",
            baseline="the decoding of its turns alone, from memory",
            unit="turns/s",
            ours=folded.fold,
            theirs=folded.decode,
            rounds=rounds,
            checked=f"{orders} parents, all ended",
            progress=progress,
            bar=FOLD_BAR,
        )
    return [durable, recovered]
