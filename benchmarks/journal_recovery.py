"""G12 and G13: what power-loss durability costs with many events in flight, and how quickly a journal becomes a state.

A router whose journal is synced takes in what has come meanwhile as one turn, which one sync serves (group commit):
G12 is that turn, of 256 reports of fills and what follows from them. `g12-turns` has a turn for each, then one sync.
What is read there is wall time: a sync is waiting.
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
from sor import __version__
from sor.checkpoint import freeze, layout
from sor.decide import Recorded as RecordedDecisions
from sor.decide import decide
from sor.fit_watch import FitWatches
from sor.journal import Durability, Environment, Journal, turns, verify
from sor.journal.records import decode, encode
from sor.journal.segment import FRAME_HEAD
from sor.plugins import Plugins
from sor.recovery import fold, newest
from sor.router import Core

SYNC_BAR = Bar(0.5, at_least=True)
FOLD_BAR = Bar(0.25, at_least=True)
IN_FLIGHT = 256
NS_S = 1_000_000_000


class Synced:
    """A journal and a plain file on one disk; each sync is of the records of 256 fills.

    gathered    they are one turn of a synced journal, and else a turn each, synced once at their end.
    """

    def __init__(self, directory: Path, count: int, *, gathered: bool) -> None:
        records = routed().fill
        durability = Durability.SYNCED if gathered else Durability.KERNEL
        self._path = directory / "journal"
        self._journal = Journal.create(
            self._path, epoch=EPOCH, environment=Environment.SIMULATED, durability=durability
        )
        self._gathered = gathered
        self._turns = [records * IN_FLIGHT] if gathered else [records] * IN_FLIGHT
        self._frames = os.urandom(sum(len(encode(turn)) + FRAME_HEAD for turn in self._turns))
        self._plain = os.open(directory / "plain", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
        self._syncs = max(1, count // IN_FLIGHT)
        self._appended = 0

    def append(self) -> Sequence[float]:
        """Fills a second: append 256, then sync, again and again."""
        begun_ns = perf_counter_ns()
        for _ in range(self._syncs):
            for records in self._turns:
                self._journal.append(records)
            if not self._gathered:
                self._journal.sync()
        taken_ns = perf_counter_ns() - begun_ns
        self._appended += self._syncs * len(self._turns)
        return [self._syncs * IN_FLIGHT * NS_S / taken_ns]

    def write(self) -> Sequence[float]:
        """As many bytes in one write, then one fdatasync."""
        begun_ns = perf_counter_ns()
        for _ in range(self._syncs):
            os.write(self._plain, self._frames)
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

    def keep(self) -> None:
        """Write the state behind the last turn down, as a router does."""
        core, fits = self._folded(), FitWatches()
        core.deciding.decider = decide
        with Journal.open(self._path) as journal:
            frozen = freeze(core, fits)
            head = journal.here(layout=layout(), version=__version__, now_ns=frozen.now_ns, parents=frozen.given)
            journal.keep(head, frozen.pieces())

    def fold(self) -> Sequence[float]:
        """Turns a second: read, check the chain, decode, step, and demand that every recorded wish comes out again."""
        begun_ns = process_time_ns()
        core = self._folded()
        return self._rate(core, process_time_ns() - begun_ns)

    def go_on(self) -> Sequence[float]:
        """Turns a second that a start makes up for which reads the checkpoint behind them."""
        begun_ns = process_time_ns()
        begun = newest(
            self._path,
            policies=self._plugins.policies,
            schedules=self._plugins.schedules,
            decider=RecordedDecisions(),
        )
        taken_ns = process_time_ns() - begun_ns
        if begun.turn != len(self._bodies):
            raise WrongWork(f"the checkpoint stands behind turn {begun.turn}, not behind {len(self._bodies)}")
        return self._rate(begun.core, taken_ns)

    def _folded(self) -> Core:
        return fold(
            (turn.records for turn in turns(self._path)),
            policies=self._plugins.policies,
            schedules=self._plugins.schedules,
            decisions=RecordedDecisions(),
        )

    def _rate(self, core: Core, taken_ns: int) -> Sequence[float]:
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
    """Both goals, and what a checkpoint spares.

    count    fills of one round that are synced. orders: routed parents that are folded.
    """
    durable = _synced_row(
        "g12",
        f"{IN_FLIGHT} fills that came together: Journal.append of their turn, synced; wall time",
        count=count,
        rounds=rounds,
        progress=progress,
        gathered=True,
        bar=SYNC_BAR,
    )
    by_turns = _synced_row(
        "g12-turns",
        f"Journal.append of {IN_FLIGHT} turns, then Journal.sync; wall time",
        count=count,
        rounds=rounds,
        progress=progress,
        gathered=False,
    )
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
        folded.keep()
        kept = measured(
            name="g13-checkpoint",
            what="the same state out of a checkpoint behind the last turn, every parent of it in working memory",
            baseline="the fold of all turns (g13)",
            unit="turns/s",
            ours=folded.go_on,
            theirs=folded.fold,
            rounds=rounds,
            checked=f"{orders} parents, all ended",
            progress=progress,
        )
    return [durable, by_turns, recovered, kept]


def _synced_row(
    name: str,
    what: str,
    *,
    count: int,
    rounds: int,
    progress: Callable[[str], None],
    gathered: bool,
    bar: Bar | None = None,
) -> Row:
    with tempfile.TemporaryDirectory() as directory:
        synced = Synced(Path(directory), count, gathered=gathered)
        row = measured(
            name=name,
            what=what,
            baseline="one write of as many bytes and one fdatasync",
            unit="fills/s",
            ours=synced.append,
            theirs=synced.write,
            rounds=rounds,
            checked="the journal verified, every turn there",
            progress=progress,
            bar=bar,
        )
        synced.close()
    return row
