"""Execution reports of a paper venue: those of the recorded one, and those that nobody was there to hear."""

from __future__ import annotations

import msgspec

from sor.adapter import Scheduler, Sink
from sor.ids import ClOrdId
from sor.instruments import Instrument
from sor.orders import ExecutionReport, Provenance
from venues.simulated.session import Untold
from venues.simulated.tape_reports import Reports


class PaperReports(Reports):
    """Reports whose fees are estimates; what arrives after the session has left is told when it is asked for.

    untold    shared by the sessions of one venue.
    """

    __slots__ = ("_untold",)

    def __init__(self, instrument: Instrument, scheduler: Scheduler, sink: Sink, *, untold: Untold) -> None:
        super().__init__(instrument, scheduler, sink, settled_fees=False)
        self._untold = untold

    def tell_lost(self, cl_ord_id: ClOrdId, *, recv_ns: int) -> None:
        """Tell the trades of an order that were lost on the way, each once, oldest first; they arrive at `recv_ns`."""
        for trade in self._untold.take(cl_ord_id):
            self._send(msgspec.structs.replace(trade, provenance=Provenance.QUERY, recv_ns=recv_ns))

    def lose(self, report: ExecutionReport) -> None:
        """Nobody listens: keep it for a lookup."""
        self._untold.add(report)
