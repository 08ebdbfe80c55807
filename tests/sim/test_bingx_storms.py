"""Faults first (nothing unsafe), then calm (everything finishes), for the whole BingX stack: R1 to R3, R5, R6, F2, B9.

A failing seed says how to run it again. The slow test is the same with more seeds: as many as SOR_SEEDS says.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from sor.adapter import NewOrder, OrderRef, Reach, Request, RequestFailed, Scheduler, Sink
from sor.ids import ClOrdId, ExecId
from sor.instruments import Instrument
from sor.market import MarketEvent
from sor.orders import ExecType, ExecutionReport, Provenance, RejectKind
from tests.conftest import REPO
from tests.sim.bingx_storm import BingxStorm
from venues.bingx.adapter import BingxVenue
from venues.bingx.options import Settings
from venues.plumbing.links import Links

FEW = 16
RESTARTED = 6
MANY = int(os.environ.get("SOR_SEEDS", "60"))
MUTANT_SEEDS = 12
"""In how many storms at most a broken adapter must be caught."""


def weather(seed: int, folder: Path, *, restarts: int, test: str) -> BingxStorm:
    """One storm; fails with everything that is wrong at once and the command that repeats it."""
    again = f"again: python -m pytest 'tests/sim/test_bingx_storms.py::{test}[{seed}]'"
    try:
        storm = BingxStorm(seed, folder, restarts=restarts)
        try:
            storm.run()
            wrong = storm.wrong()
        finally:
            storm.close()
    except Exception as error:
        error.add_note(f"seed {seed}; {again}")
        raise
    if wrong:
        pytest.fail("\n".join([f"seed {seed}, of {len(storm.parents)} parents:", *wrong, again]))
    return storm


@pytest.mark.parametrize("seed", range(FEW))
def test_faults_then_calm(seed: int, tmp_path: Path) -> None:
    weather(seed, tmp_path, restarts=0, test="test_faults_then_calm")


@pytest.mark.parametrize("seed", range(RESTARTED))
def test_faults_and_restarts_then_calm(seed: int, tmp_path: Path) -> None:
    weather(seed, tmp_path, restarts=2, test="test_faults_and_restarts_then_calm")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FEW, MANY))
def test_many_faults_then_calm(seed: int, tmp_path: Path) -> None:
    weather(seed, tmp_path, restarts=seed % 3 if seed % 2 else 0, test="test_many_faults_then_calm")


def test_one_seed_is_one_run_in_every_process() -> None:
    """Journal and wire are the same to the byte, whatever the order of hashes; another seed gives others."""
    script = Path(__file__).with_name("bingx_digest.py")

    def digests(seed: int, hash_seed: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, str(script), str(seed)],
            cwd=REPO,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(REPO)},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.split()

    first, second, other = digests(3, "1"), digests(3, "2"), digests(4, "1")
    assert len(first) == 2
    assert first == second
    assert first[0] != other[0]
    assert first[1] != other[1]


# --- whether it would be noticed --------------------------------------------------------------------------------------


class Ear:
    """A sink before the router's, for an adapter that misunderstands something. By default it hands on."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink

    def execution(self, event: ExecutionReport | RequestFailed) -> None:
        self.sink.execution(event)

    def market(self, event: MarketEvent) -> None:
        self.sink.market(event)

    def instrument(self, instrument: Instrument) -> None:
        self.sink.instrument(instrument)

    def link(self, up: bool, reason: str) -> None:
        self.sink.link(up, reason)


class Mutant(BingxVenue):
    """An adapter with an ear of its own."""

    def ear(self, sink: Sink) -> Sink:
        raise NotImplementedError

    async def connect(self, sink: Sink, scheduler: Scheduler) -> None:
        await super().connect(self.ear(sink), scheduler)


class Resending(Mutant):
    """Takes silence for a refusal: an order without an answer is sent again, once, under a fresh id (D3)."""

    def __init__(self, settings: Settings, links: Callable[[], Links]) -> None:
        super().__init__(settings, links)
        self.sent: dict[ClOrdId, NewOrder] = {}
        self.meant: dict[ClOrdId, ClOrdId] = {}

    def submit(self, order: NewOrder) -> None:
        self.sent[order.cl_ord_id] = order
        super().submit(order)

    def ear(self, sink: Sink) -> Sink:
        venue = self

        class Again(Ear):
            def execution(self, event: ExecutionReport | RequestFailed) -> None:
                lost = isinstance(event, RequestFailed) and event.request is Request.PLACE
                order = venue.sent.pop(event.cl_ord_id, None) if lost else None
                if isinstance(event, RequestFailed) and event.reach is Reach.IN_DOUBT and order is not None:
                    again = ClOrdId(f"{order.cl_ord_id}2")
                    venue.meant[again] = order.cl_ord_id
                    BingxVenue.submit(venue, msgspec.structs.replace(order, cl_ord_id=again))
                    return
                meant = venue.meant.get(event.cl_ord_id, event.cl_ord_id)
                self.sink.execution(msgspec.structs.replace(event, cl_ord_id=meant))

        return Again(sink)


class Hasty(Mutant):
    """Takes the request for a cancel for the cancel itself: what may fill until then is nobody's (D4, B10)."""

    def __init__(self, settings: Settings, links: Callable[[], Links]) -> None:
        super().__init__(settings, links)
        self.heard: Sink | None = None
        self.cum_lots: Counter[ClOrdId] = Counter()

    def cancel(self, ref: OrderRef) -> None:
        super().cancel(ref)
        assert self.heard is not None
        self.heard.execution(
            ExecutionReport(
                venue=self.name,
                symbol=ref.symbol,
                cl_ord_id=ref.cl_ord_id,
                exec_type=ExecType.CANCELED,
                provenance=Provenance.ACK,
                cum_lots=self.cum_lots[ref.cl_ord_id],
            )
        )

    def ear(self, sink: Sink) -> Sink:
        venue = self

        class Counting(Ear):
            def execution(self, event: ExecutionReport | RequestFailed) -> None:
                if isinstance(event, ExecutionReport):
                    venue.cum_lots[event.cl_ord_id] = max(venue.cum_lots[event.cl_ord_id], event.cum_lots)
                self.sink.execution(event)

        self.heard = Counting(sink)
        return self.heard


class Gullible(Mutant):
    """Counts what every message says was traded, whether or not another one has said it: ids by message (R3)."""

    def ear(self, sink: Sink) -> Sink:
        class Twice(Ear):
            told = 0

            def execution(self, event: ExecutionReport | RequestFailed) -> None:
                self.sink.execution(event)
                if isinstance(event, ExecutionReport) and event.exec_type is ExecType.TRADE:
                    self.told += 1
                    if event.provenance is Provenance.PUSH and not self.told % 5:  # a push that came twice
                        again = msgspec.structs.replace(event, exec_id=ExecId(f"{event.exec_id}/{self.told}"))
                        self.sink.execution(again)

        return Twice(sink)


class Credulous(Mutant):
    """Takes "not found" for "never was", however early it was asked (D3)."""

    def ear(self, sink: Sink) -> Sink:
        class Believing(Ear):
            def execution(self, event: ExecutionReport | RequestFailed) -> None:
                if isinstance(event, ExecutionReport) and event.exec_type is ExecType.NOT_FOUND:
                    event = msgspec.structs.replace(event, exec_type=ExecType.REJECTED)
                self.sink.execution(event)

        return Believing(sink)


class Deaf(Mutant):
    """Says that an order was canceled when its cancel was refused as too late: it had filled."""

    def ear(self, sink: Sink) -> Sink:
        class Assuming(Ear):
            def execution(self, event: ExecutionReport | RequestFailed) -> None:
                refused = isinstance(event, ExecutionReport) and event.exec_type is ExecType.CANCEL_REJECTED
                if refused and isinstance(event, ExecutionReport) and event.reject is RejectKind.TOO_LATE:
                    event = msgspec.structs.replace(event, exec_type=ExecType.CANCELED, cum_lots=0)
                self.sink.execution(event)

        return Assuming(sink)


@pytest.mark.parametrize("mutant", [Resending, Hasty, Gullible, Credulous, Deaf])
def test_a_broken_adapter_is_caught(mutant: type[Mutant], tmp_path: Path) -> None:
    """By the books, not by its own words: within a few storms, and for a reason that names lots or orders."""
    for seed in range(MUTANT_SEEDS):
        folder = tmp_path / str(seed)
        folder.mkdir()
        storm = BingxStorm(seed, folder, open_venue=mutant)
        try:
            storm.run()
            verdict = storm.verdict()
        finally:
            storm.close()
        if not verdict.clean:
            return
    pytest.fail(f"{mutant.__name__} went through {MUTANT_SEEDS} storms unnoticed")
