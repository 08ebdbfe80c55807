"""One symbol's paper orders: requests as they arrive, and what pushed market data does to those that rest.

Taker         Walks the whole displayed book as it is known when the request arrives. What paper orders took from a
              level stays taken until its displayed size changes.
Maker         Joins behind what is displayed. It is filled by a trade at its price, once those ahead are served (queue
              model); by what was traded through its price; and by what the other side displays at its price or better.
              Never by more than was traded or is displayed.
Not sound     Before the first snapshot, in a gap, crossed, stale, or while the link is down: nothing is filled, and
              every new order is refused. Cancels and lookups are answered all the same.
Self-trade    A new order that would reach one of ours is refused, whole.
Reduce-only   Refused without a position to reduce; fills at most the position; cancelled once that is closed.
"""

from __future__ import annotations

from collections.abc import Iterable

from sor.adapter import NewOrder, OrderRef
from sor.ids import ClOrdId
from sor.instruments import Instrument
from sor.market import BookReset, BookUpdate, TradePrint
from sor.models.queues import QueueModel
from sor.orders import ExecType, ExecutionReport, OrdType, Provenance, RejectKind, Side, Tif
from venues.paper.book import VisibleBook
from venues.paper.level import Order, PaperLevel
from venues.paper.reports import PaperReports
from venues.simulated.tape_market import FAR
from venues.simulated.tape_owner import Held, Holder, Ledger, Take
from venues.simulated.tape_terms import UNKNOWN, USED, Refusal, cross_refusal, terms_refusal


class Matcher:
    """Paper orders of one symbol.

    instrument    replaced when the venue lists a new version with the same steps.
    reports       replaced by each connection.
    up            whether what the market tells can be relied on.
    closed        the venue changed tick or lot size: what was counted in the old ones has no meaning any more.
    """

    def __init__(
        self,
        instrument: Instrument,
        model: QueueModel,
        holder: Holder,
        reports: PaperReports,
        *,
        stale_ns: int,
    ) -> None:
        self.instrument = instrument
        self.reports = reports
        self.up = True
        self.closed = False
        self.book = VisibleBook()
        self.mark_ticks: float | None = None
        self.holder = holder
        self.ledger = Ledger(instrument)
        self.orders: dict[ClOrdId, Order] = {}
        self.live: dict[ClOrdId, Order] = {}
        self.trades: list[tuple[ExecutionReport, Side]] = []
        self._model = model
        self._stale_ns = stale_ns
        self._levels: dict[int, PaperLevel] = {}
        self._reducing: dict[ClOrdId, Order] = {}

    # --- market data --------------------------------------------------------------------------------------------

    def on_book(self, event: BookUpdate | BookReset, now_ns: int) -> None:
        """A change of the book, or its loss."""
        if isinstance(event, BookReset):
            self.book.lose()
            return
        if not self.book.apply(event) or not self._levels or not self._sound(now_ns):
            return
        for level in self._levels.values():
            level.shows(self.book.lots(level.side, level.price_ticks))
        for level in self._by_aggression():
            for ticks, lots, version in self._offered(level.side, level.signed):
                used = self._make(level, level.swept(lots, venue_ns=0), now_ns)
                self.holder.take(level.side * ticks, lots=used, version=version)
        self._settle(now_ns)

    def on_trade(self, trade: TradePrint, now_ns: int) -> None:
        """A public trade: it fills those through whom it went, then those whose turn it was."""
        if not self._levels or not self._sound(now_ns):
            return
        late = 0 < trade.venue_ns <= self.book.venue_ns
        side, lots = trade.side.opposite, trade.qty_lots
        reached = side * trade.price_ticks
        for level in self._by_aggression():
            if level.side is not side or level.signed < reached or not lots:
                continue
            if level.signed == reached:
                filled = level.reached(lots, venue_ns=trade.venue_ns, late=late)
            else:
                filled = level.swept(lots, venue_ns=trade.venue_ns)
            lots -= self._make(level, filled, now_ns)
        self._settle(now_ns)

    def _sound(self, now_ns: int) -> bool:
        book = self.book
        return self.up and book.sound and now_ns - book.recv_ns <= self._stale_ns

    def _by_aggression(self) -> list[PaperLevel]:
        return sorted(self._levels.values(), key=_signed, reverse=True)

    def _offered(self, side: Side, limit_signed: int) -> Iterable[tuple[int, int, int]]:
        """What the other side displays within a limit and nothing of ours has taken yet: price, lots, version."""
        if -self.book.best(side.opposite) > limit_signed:
            return
        for ticks, displayed_lots, version in self.book.ladder(side, limit_signed=limit_signed):
            lots = displayed_lots - self.holder.taken_lots(side * ticks, version)
            if lots > 0:
                yield ticks, lots, version

    # --- requests, when they arrive -----------------------------------------------------------------------------

    def enter(self, new: NewOrder, now_ns: int) -> None:
        """A new order."""
        holder, side = self.holder, new.side
        refusal = self._refusal(new, now_ns)
        if refusal is not None:
            self.reports.refuse(new.cl_ord_id, holder, ExecType.REJECTED, now_ns, refusal)
            return
        limit_signed = FAR if new.ord_type is OrdType.MARKET else side * new.price_ticks
        want_lots = min(new.qty_lots, -side * holder.position_lots) if new.reduce_only else new.qty_lots
        takes: list[Take] = []
        for ticks, displayed_lots, version in self.book.ladder(side, limit_signed=limit_signed):
            lots = min(want_lots, displayed_lots - holder.taken_lots(side * ticks, version))
            if lots > 0:
                takes.append(Take(ticks, lots, version))
                want_lots -= lots
        refusal = cross_refusal(
            side,
            takes,
            want_lots,
            opposite_signed=-self.book.best(side.opposite),
            own_signed=self._nearest(side),
            limit_signed=limit_signed,
            post_only=new.post_only,
        )
        if refusal is not None:
            self.reports.refuse(new.cl_ord_id, holder, ExecType.REJECTED, now_ns, refusal)
            return
        order: Order = Held(new, holder, number=len(self.orders) + 1, created_ns=now_ns)
        self.orders[order.cl_ord_id] = self.live[order.cl_ord_id] = order
        self.reports.tell(order, ExecType.NEW, now_ns, provenance=Provenance.ACK)
        if not (new.tif is Tif.FOK and want_lots):
            for take in takes:
                holder.take(side * take.price_ticks, lots=take.lots, version=take.version)
                self._fill(order, take.lots, take.price_ticks, now_ns, maker=False)
        if order.leaves_lots:
            if new.tif is Tif.GTC and new.ord_type is OrdType.LIMIT:
                self._rest(order)
            else:
                self._end(order, ExecType.EXPIRED, now_ns, reject=RejectKind.NO_LIQUIDITY)
        self._settle(now_ns)

    def cancel(self, ref: OrderRef, now_ns: int) -> None:
        """A cancel: fills until now have won."""
        order = self.orders.get(ref.cl_ord_id)
        if order is None or not order.leaves_lots:
            refusal = UNKNOWN if order is None else (RejectKind.TOO_LATE, f"the order is {order.status.value}")
            self.reports.refuse(ref.cl_ord_id, self.holder, ExecType.CANCEL_REJECTED, now_ns, refusal)
            return
        self._end(order, ExecType.CANCELED, now_ns, provenance=Provenance.ACK)

    def query(self, ref: OrderRef, now_ns: int) -> None:
        """A lookup: trades that were lost on the way, then where the order stands."""
        order = self.orders.get(ref.cl_ord_id)
        if order is None:
            self.reports.refuse(ref.cl_ord_id, self.holder, ExecType.NOT_FOUND, now_ns, UNKNOWN)
            return
        self.reports.tell_lost(ref.cl_ord_id, recv_ns=self.holder.response.arrival_ns(now_ns))
        self.reports.tell(order, ExecType.STATUS, now_ns, provenance=Provenance.QUERY)

    def close(self, now_ns: int) -> None:
        """Steps have changed: nothing is traded here any more."""
        self.closed = True
        for order in tuple(self.live.values()):
            self._end(order, ExecType.CANCELED, now_ns, reject=RejectKind.VENUE_CLOSED)

    def _refusal(self, new: NewOrder, now_ns: int) -> Refusal | None:
        if new.cl_ord_id in self.orders:
            return USED
        if self.closed:
            return RejectKind.VENUE_CLOSED, "tick or lot size has changed; start again with a new journal"
        if not self._sound(now_ns):
            return RejectKind.VENUE_CLOSED, self._why_not(now_ns)
        return terms_refusal(
            new,
            self.instrument,
            position_lots=self.holder.position_lots,
            opposite_signed=-self.book.best(new.side.opposite),
        )

    def _why_not(self, now_ns: int) -> str:
        book = self.book
        if not self.up:
            return "the link to the market is down"
        if not book.synced:
            return "the book is not known: there is a gap, or nothing has come yet"
        if now_ns - book.recv_ns > self._stale_ns:
            return "the book is stale"
        return "the book is crossed, or one side of it is empty"

    # --- what becomes of orders ---------------------------------------------------------------------------------

    def _nearest(self, side: Side) -> int:
        """Price of the own order that one of `side` would meet first, in its signed terms; beyond `FAR` for none."""
        return min((-level.signed for level in self._levels.values() if level.side is not side), default=FAR + 1)

    def _make(self, level: PaperLevel, filled: list[tuple[Order, int]], now_ns: int) -> int:
        """Makers are filled at their own price; returns the lots that they traded together."""
        return sum([self._fill(order, lots, level.price_ticks, now_ns, maker=True) for order, lots in filled])

    def _rest(self, order: Order) -> None:
        if order.reduce_only:
            self._reducing[order.cl_ord_id] = order
        signed = order.side * order.price_ticks
        level = self._levels.get(signed)
        if level is None:
            displayed = self.book.lots(order.side, order.price_ticks)
            level = self._levels[signed] = PaperLevel(
                self._model, order.side, order.price_ticks, displayed_lots=displayed
            )
        level.join(order, since_ns=self.book.venue_ns)

    def _fill(self, order: Order, lots: int, price_ticks: int, now_ns: int, *, maker: bool) -> int:
        """One trade of one order; returns its lots: a reduce-only order trades no more than there is to reduce."""
        if order.reduce_only:
            lots = min(lots, -order.side * self.holder.position_lots)
        if lots <= 0:
            return 0
        order.fill(lots, price_ticks)
        if not order.leaves_lots:
            self._forget(order)
        fee_atoms = self.ledger.trade(order.side, lots=lots, ticks=price_ticks, maker=maker)
        report = self.reports.trade(order, now_ns, lots=lots, ticks=price_ticks, maker=maker, fee_atoms=fee_atoms)
        self.trades.append((report, order.side))
        return lots

    def _settle(self, now_ns: int) -> None:
        """Cancel the reduce-only orders that have nothing left to reduce."""
        for order in tuple(self._reducing.values()):
            if -order.side * self.holder.position_lots <= 0:
                self._end(order, ExecType.CANCELED, now_ns, reject=RejectKind.NOTHING_TO_REDUCE)

    def _end(
        self,
        order: Order,
        exec_type: ExecType,
        now_ns: int,
        *,
        reject: RejectKind = RejectKind.NONE,
        provenance: Provenance = Provenance.PUSH,
    ) -> None:
        """An order ends without being filled."""
        order.end(expired=exec_type is ExecType.EXPIRED)
        self._forget(order)
        self.reports.tell(order, exec_type, now_ns, reject=reject, provenance=provenance)

    def _forget(self, order: Order) -> None:
        """It does not work any more."""
        del self.live[order.cl_ord_id]
        self._reducing.pop(order.cl_ord_id, None)
        signed = order.side * order.price_ticks
        level = self._levels.get(signed)
        if level is not None:
            level.drop(order)
            if not level.orders:
                del self._levels[signed]


def _signed(level: PaperLevel) -> int:
    return level.signed
