"""What happens on our accounts without a parent of ours (R5): strays, neighbours, and trades that moved a position.

A position is its baseline (`PositionKnown`), our fills since, and foreign flows, each of which is a fact with a cause.
A trade counts once, by its id, however often it is read. Orders without a mark are counted and never touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sor.adapter import OrderRef
from sor.commands import Alarm, Cancel, Query
from sor.desk import Desk, Effect
from sor.events import Contradicted, FlowCause, ForeignTrade, NeighbourFound, PositionMoved, Reading, StrayFound
from sor.ids import ClOrdId, ExecId, Symbol, VenueName, VenueOrderId
from sor.orders import TERMINAL, ExecType, ExecutionReport, Provenance, Side

TRADES_MAX: Final = 10_000
"""Foreign trades that are remembered; a reading goes back by minutes, so the oldest are never read again."""
STRAY_ALARM: Final = 3
"""A stray that was found so often, and asked to go each time, needs a hand."""

_BY: Mapping[FlowCause, str] = {
    FlowCause.STRAY: "an order of our mark that the journal does not know",
    FlowCause.NEIGHBOUR: "an order of another journal",
    FlowCause.MANUAL: "somebody else, by hand or by another program",
    FlowCause.LIQUIDATION: "the venue, which liquidated",
    FlowCause.ADL: "the venue, which deleveraged the account",
}
_ENDS = frozenset({ExecType.CANCELED, ExecType.EXPIRED, ExecType.REJECTED, ExecType.NOT_FOUND})
TradeKey = tuple[VenueName, Symbol, ExecId, Side]


class Stray:
    """An order that is ours to close. found: how often it was seen at rest. gone: the venue has said that it ended."""

    __slots__ = ("found", "gone", "venue_order_id")

    def __init__(self, venue_order_id: VenueOrderId) -> None:
        self.venue_order_id = venue_order_id
        self.found = 0
        self.gone = False


class Foreign:
    """The foreign side of our accounts, as a fold of facts. Wishes go to the desk's `out`.

    strays       by client id, also those that have gone.
    neighbours   how many orders of each other journal were seen, by venue and epoch.
    reports      reports and refusals of orders that are nobody's here.
    suspects     orders of ours that a reading contradicts, and which, until their lookup is answered.
    missed_lots  lots of ours that were learned by reading, and by no push.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.strays: dict[ClOrdId, Stray] = {}
        self.neighbours: dict[tuple[VenueName, int], int] = {}
        self.reports = 0
        self.suspects: dict[ClOrdId, Reading] = {}
        self.missed_lots = 0
        self.trades: dict[TradeKey, None] = {}

    # --- strays and neighbours ------------------------------------------------------------------------------------

    def stray_found(self, fact: StrayFound) -> None:
        """Have it withdrawn, and what became of it told; again and again for as long as it is found."""
        desk, cl_ord_id = self._desk, fact.cl_ord_id
        stray = self.strays.get(cl_ord_id)
        if stray is None:
            stray = self.strays[cl_ord_id] = Stray(fact.venue_order_id)
        stray.found += 1
        stray.gone = False
        what = f"{fact.leaves_lots} lots of {fact.symbol}"
        if stray.found == 1:
            why = "is over by the journal" if desk.order(cl_ord_id) is not None else "is unknown to the journal"
            text = f"stray order {cl_ord_id} rests on {fact.venue} with {what}: it {why}, and is withdrawn"
            desk.out.append(Alarm(0, fact.venue, text, halts=False))
        elif stray.found == STRAY_ALARM:
            text = f"stray order {cl_ord_id} on {fact.venue} does not go: it still has {what}. Cancel it by hand"
            desk.out.append(Alarm(0, fact.venue, text, halts=False))
        ref = OrderRef(cl_ord_id=cl_ord_id, symbol=fact.symbol, venue_order_id=fact.venue_order_id)
        desk.out.append(Cancel(0, fact.venue, ref))
        desk.out.append(Query(0, fact.venue, ref))

    def neighbour_found(self, fact: NeighbourFound) -> None:
        """Somebody should know, once; their orders are not ours to close."""
        key = (fact.venue, fact.epoch)
        if key not in self.neighbours:
            text = (
                f"{len(fact.cl_ord_ids)} orders on {fact.venue} carry the mark of another journal, epoch {fact.epoch}: "
                f"{', '.join(fact.cl_ord_ids)}. If its router still runs, two of them trade this account: give one "
                "another account. If it does not, start with `--adopt` to have them withdrawn"
            )
            self._desk.out.append(Alarm(0, fact.venue, text, halts=False))
        self.neighbours[key] = max(self.neighbours.get(key, 0), len(fact.cl_ord_ids))

    def reported(self, report: ExecutionReport) -> None:
        """A report of an order that is no child of ours."""
        self.reports += 1
        stray = self.strays.get(report.cl_ord_id)
        if stray is not None and (report.exec_type in _ENDS or report.ord_status in TERMINAL):
            stray.gone = True

    # --- positions ------------------------------------------------------------------------------------------------

    def counted(self, venue: VenueName, symbol: Symbol, exec_id: ExecId, side: Side) -> bool:
        """Whether this trade has moved the position already."""
        return (venue, symbol, exec_id, side) in self.trades

    def moved(self, fact: PositionMoved) -> None:
        """A foreign flow: the position follows, by what of it has not been counted before."""
        lots = fact.qty_lots
        if fact.trades:
            lots = sum(trade.side * trade.lots for trade in fact.trades if self._count(fact, trade))
        book = self._desk.books[fact.venue, fact.account, fact.symbol]
        side = fact.position_side
        before = book.positions[side]
        book.move(side, fact.cause, lots)
        where = f"{fact.symbol} on {fact.venue}"
        if fact.cause is FlowCause.UNEXPLAINED:
            book.base(side, book.positions[side], fact.now_ns)  # a trade of before that comes to light is in it
            text = (
                f"{where}: the venue has {before + lots} lots, where our fills and all other trades that it tells of "
                f"make {before}; this cannot be explained, and the venue's word counts from now on"
            )
        else:
            done = "bought" if lots > 0 else "sold"
            text = f"{where}: {abs(lots)} lots were {done} by {_BY[fact.cause]}; the position is {before + lots} now"
        self._desk.out.append(Alarm(0, fact.venue, text, halts=False))

    def _count(self, fact: PositionMoved, trade: ForeignTrade) -> bool:
        """Remember a trade; False for one that is known."""
        key = (fact.venue, fact.symbol, trade.exec_id, trade.side)
        if key in self.trades:
            return False
        self.trades[key] = None
        if len(self.trades) > TRADES_MAX:
            del self.trades[next(iter(self.trades))]
        return True

    # --- orders of ours that the venue's books contradict ---------------------------------------------------------

    def suspect(self, fact: Contradicted) -> None:
        """Until its lookup is answered, what that brings to light was told by nobody else."""
        self.suspects[fact.cl_ord_id] = fact.by

    def cleared(self, report: ExecutionReport, effect: Effect) -> None:
        """A report of a suspect: say so if only asking has brought it to light."""
        if report.provenance is not Provenance.QUERY:
            return
        cl_ord_id = report.cl_ord_id
        by = self.suspects[cl_ord_id]
        if report.exec_type is not ExecType.TRADE:
            del self.suspects[cl_ord_id]
        if not (effect.new_lots or effect.closed):
            return
        self.missed_lots += effect.new_lots
        what = f"{effect.new_lots} lots of it had filled" if effect.new_lots else "it was over"
        text = (
            f"order {cl_ord_id}: {what}, and nobody had told; found by reading the venue's {by.value.replace('_', ' ')}"
        )
        self._desk.out.append(Alarm(0, report.venue, text, halts=False))
