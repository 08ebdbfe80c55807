"""Adapters that misunderstand BingX, each caught by the emulator's books within a few storms of the whole stack."""

from __future__ import annotations

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
from sor.sim.seeds import Season, outcome
from sor.sim.storm import Level
from tests.sim.rigs import Spoken
from venues.bingx.adapter import BingxVenue
from venues.bingx.options import Settings
from venues.plumbing.links import Links

SEEDS = range(3, 33)
"""Within which storms a broken adapter must be caught. The rarest is caught by one in fifteen, here by the third."""


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


@pytest.mark.slow
@pytest.mark.parametrize("mutant", [Resending, Hasty, Gullible, Credulous, Deaf])
def test_a_broken_adapter_is_caught(mutant: type[Mutant], tmp_path: Path) -> None:
    """By the books, not by its own words: within a few storms, and for a reason that names lots or orders."""
    plan = Season(level=Level.STACK, rig="bingx", first=SEEDS[0], last=SEEDS[-1])
    for seed in SEEDS:
        if outcome(plan, seed, folder=tmp_path / f"{seed}", open_rig=Spoken(mutant)).findings.unsafe:
            return
    pytest.fail(f"{mutant.__name__} went through {len(SEEDS)} storms unnoticed")
