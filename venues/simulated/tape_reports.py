"""Execution reports of a recorded venue, or a paper one: written at the venue's time, delivered at ours."""

from __future__ import annotations

from functools import partial

from sor.adapter import Scheduler, Sink
from sor.ids import ClOrdId, ExecId
from sor.instruments import Instrument
from sor.orders import ExecType, ExecutionReport, FeeSource, Provenance, RejectKind
from venues.simulated.tape_owner import Held, Holder
from venues.simulated.tape_terms import Refusal

_ESTIMATED = {True: FeeSource.ESTIMATED_MAKER, False: FeeSource.ESTIMATED_TAKER}


class Reports:
    """Writes reports and has the scheduler deliver them, each when its owner's way back has brought it.

    sink          None while nobody listens: what arrives then is lost.
    settled_fees  the fees in the reports are what was charged, not what the rates make of it.
    """

    __slots__ = ("_instrument", "_scheduler", "_settled_fees", "sink")

    def __init__(self, instrument: Instrument, scheduler: Scheduler, sink: Sink, *, settled_fees: bool = True) -> None:
        self._instrument = instrument
        self._settled_fees = settled_fees
        self._scheduler = scheduler
        self.sink: Sink | None = sink

    def tell(
        self,
        order: Held[Holder],
        exec_type: ExecType,
        at_ns: int,
        *,
        provenance: Provenance,
        reject: RejectKind = RejectKind.NONE,
        terms: bool = False,
    ) -> None:
        """Report anything but a trade; `terms` adds total quantity and price."""
        instrument = self._instrument
        self._send(
            ExecutionReport(
                venue=instrument.venue,
                symbol=instrument.symbol,
                cl_ord_id=order.cl_ord_id,
                exec_type=exec_type,
                provenance=provenance,
                venue_order_id=order.venue_order_id,
                venue_ns=at_ns,
                recv_ns=order.owner.response.arrival_ns(at_ns),
                cum_lots=order.filled_lots,
                avg_hticks=order.avg_hticks,
                order_lots=order.order_lots if terms else 0,
                price_ticks=order.price_ticks if terms else 0,
                ord_status=order.status,
                reject=reject,
            )
        )

    def trade(
        self, order: Held[Holder], at_ns: int, *, lots: int, ticks: int, maker: bool, fee_atoms: int
    ) -> ExecutionReport:
        """Report the latest trade of an order, already in its `filled_lots` and `exec_ids`."""
        instrument = self._instrument
        report = ExecutionReport(
            venue=instrument.venue,
            symbol=instrument.symbol,
            cl_ord_id=order.cl_ord_id,
            exec_type=ExecType.TRADE,
            venue_order_id=order.venue_order_id,
            venue_ns=at_ns,
            recv_ns=order.owner.response.arrival_ns(at_ns),
            exec_id=ExecId(order.exec_ids[-1]),
            last_lots=lots,
            last_ticks=ticks,
            is_maker=maker,
            fee_atoms=fee_atoms,
            fee_asset=instrument.quote,
            fee_source=FeeSource.WS_SETTLED if self._settled_fees else _ESTIMATED[maker],
            cum_lots=order.filled_lots,
            avg_hticks=order.avg_hticks,
        )
        self._send(report)
        return report

    def refuse(self, cl_ord_id: ClOrdId, owner: Holder, exec_type: ExecType, at_ns: int, refusal: Refusal) -> None:
        """Report that a request changed nothing."""
        kind, text = refusal
        self._send(
            ExecutionReport(
                venue=self._instrument.venue,
                symbol=self._instrument.symbol,
                cl_ord_id=cl_ord_id,
                exec_type=exec_type,
                provenance=Provenance.QUERY if exec_type is ExecType.NOT_FOUND else Provenance.ACK,
                venue_ns=at_ns,
                recv_ns=owner.response.arrival_ns(at_ns),
                reject=kind,
                code=kind.value,
                text=text,
            )
        )

    def _send(self, report: ExecutionReport) -> None:
        self._scheduler.call_at(report.recv_ns, partial(self._deliver, report))

    def _deliver(self, report: ExecutionReport) -> None:
        if self.sink is not None:
            self.sink.execution(report)
        else:
            self.lose(report)

    def lose(self, report: ExecutionReport) -> None:
        """Nobody listens: it is gone."""
