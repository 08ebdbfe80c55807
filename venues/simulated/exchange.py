"""The venue's side: one instrument, one customer, and what the engine does told as execution reports.

Client order ids are burned for ever once an order was accepted under them. Time is handed in; nothing here knows of
connections, delays or losses, so its reports carry no `recv_ns`: whoever hears one adds it.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from sor.adapter import NewOrder, OpenOrder, OrderRef, VenueOrder
from sor.ids import ClOrdId, ExecId, VenueOrderId
from sor.orders import (
    ExecType,
    ExecutionReport,
    FeeSource,
    OrdStatus,
    OrdType,
    PositionSide,
    Provenance,
    RejectKind,
    Side,
    Tif,
)
from sor.units import BPS
from venues.matching.engine import Engine
from venues.matching.events import (
    Accepted,
    Amended,
    AmendRejected,
    Canceled,
    CancelRejected,
    Event,
    Expired,
    OrderEvent,
    Rejected,
    Resized,
    Trade,
)
from venues.matching.orders import Account, Order

_BOTH = PositionSide.BOTH
_ACK, _PUSH, _QUERY = Provenance.ACK, Provenance.PUSH, Provenance.QUERY
_TRADE = ExecType.TRADE
_MARKET = OrdType.MARKET
_FILLED, _PARTIALLY = OrdStatus.FILLED, OrdStatus.PARTIALLY_FILLED
_REST_SETTLED, _WS_SETTLED = FeeSource.REST_SETTLED, FeeSource.WS_SETTLED


class OwnOrder(Order, kw_only=True, eq=False):
    """An order of the customer: the engine's, with what the venue keeps about it.

    cost_lot_ticks   sum of lots x ticks over its fills.
    ended            how it ended, None while it rests; FILLED is not said here, the quantities say it.
    fills            its TRADE reports as first made, oldest first.
    stands_for       the order whose overfill this one is, None for an ordinary order.
    """

    cl_ord_id: ClOrdId
    venue_order_id: VenueOrderId
    created_ns: int
    cost_lot_ticks: int = 0
    ended: OrdStatus | None = None
    fills: list[ExecutionReport]
    stands_for: OwnOrder | None = None

    def __repr__(self) -> str:
        return f"{self.cl_ord_id} {super().__repr__()}"

    @property
    def status(self) -> OrdStatus:
        """Where it stands."""
        if self.filled_lots >= self.order_lots:
            return _FILLED
        return self.ended or (_PARTIALLY if self.filled_lots else OrdStatus.NEW)

    @property
    def avg_hticks(self) -> int:
        """Average fill price in half-ticks, rounded; 0 before the first fill."""
        return _average_hticks(cost_lot_ticks=self.cost_lot_ticks, lots=self.filled_lots)


class Exchange:
    """Orders, fills and trades of one customer at one instrument.

    account             the customer's ledger; `crowd` is everybody else's.
    clock_offset_ns     how far the venue's clock is ahead of the one that times are handed in by.
    market_bound_bps    how far from the touch a MARKET order trades, 0 for no bound.

    orders        every order accepted, by client id, in the order of acceptance.
    resting       those on the book.
    fills         TRADE reports of the account, oldest first.
    prints        trades that have not been published; filled only while `publishes`.
    n_resent      orders that came again under an id that had been accepted.
    """

    def __init__(
        self,
        engine: Engine,
        account: Account,
        crowd: Account,
        *,
        clock_offset_ns: int = 0,
        market_bound_bps: float = 0.0,
    ) -> None:
        self.engine = engine
        self.account = account
        self.crowd = crowd
        self.orders: dict[ClOrdId, OwnOrder] = {}
        self.resting: dict[int, OwnOrder] = {}
        self.fills: list[ExecutionReport] = []
        self.prints: list[Trade] = []
        self.publishes = False
        self.n_resent = 0
        self._by_venue_id: dict[VenueOrderId, OwnOrder] = {}
        self._offset_ns = clock_offset_ns
        self._bound_bps = market_bound_bps
        self._venue = engine.instrument.venue
        self._symbol = engine.instrument.symbol
        self._settle = engine.instrument.settle
        self._n_orders = 0

    # --- requests --------------------------------------------------------------------------------------------------

    def place(self, order: NewOrder, *, now_ns: int) -> list[ExecutionReport]:
        """Take a new order. An order that rests is told as NEW and its trades; one that ended at once by its end."""
        cl_ord_id = order.cl_ord_id
        if cl_ord_id in self.orders:
            self.n_resent += 1
            return [self.refuse(cl_ord_id, ExecType.REJECTED, RejectKind.DUPLICATE_ID, now_ns=now_ns)]
        if order.symbol != self._symbol or order.position_side is not _BOTH:
            text = f"{order.symbol} {order.position_side} is not traded here"
            return [self.refuse(cl_ord_id, ExecType.REJECTED, RejectKind.BAD_TERMS, text, now_ns=now_ns)]
        self._n_orders = number = self._n_orders + 1
        ord_type, price_ticks, tif = order.ord_type, order.price_ticks, order.tif
        if ord_type is _MARKET:
            price_ticks = self._bound_ticks(order.side)
            if price_ticks:
                ord_type, tif = OrdType.LIMIT, Tif.FOK if tif is Tif.FOK else Tif.IOC
        own = OwnOrder(
            number,
            self.account,
            order.side,
            ord_type,
            order.qty_lots,
            price_ticks,
            tif,
            order.post_only,
            order.reduce_only,
            cl_ord_id=cl_ord_id,
            venue_order_id=VenueOrderId(str(number)),
            created_ns=now_ns,
            fills=[],
        )
        events = self.engine.place(own, now_ns=now_ns)
        if type(events[0]) is not Rejected:
            self.orders[cl_ord_id] = own
            self._by_venue_id[own.venue_order_id] = own
            if own.level is not None:
                self.resting[number] = own
        return self.told(events, provenance=_ACK)

    def cancel(self, ref: OrderRef, *, now_ns: int) -> list[ExecutionReport]:
        """Cancel by venue id, else by client id."""
        own = self.find(ref)
        if own is None:
            unknown = RejectKind.UNKNOWN_ORDER
            return [self.refuse(ref.cl_ord_id, ExecType.CANCEL_REJECTED, unknown, now_ns=now_ns)]
        events = self.engine.cancel(own, now_ns=now_ns)
        return self.told(events, provenance=_ACK)

    def amend(self, ref: OrderRef, *, qty_lots: int, price_ticks: int, now_ns: int) -> list[ExecutionReport]:
        """Give an order a new total quantity and price."""
        own = self.find(ref)
        if own is None:
            unknown = RejectKind.UNKNOWN_ORDER
            return [self.refuse(ref.cl_ord_id, ExecType.AMEND_REJECTED, unknown, now_ns=now_ns)]
        events = self.engine.amend(own, qty_lots=qty_lots, price_ticks=price_ticks, now_ns=now_ns)
        return self.told(events, provenance=_ACK)

    def status(self, own: OwnOrder, *, now_ns: int) -> ExecutionReport:
        """Where an order stands."""
        return msgspec.structs.replace(
            self._about(own, ExecType.STATUS, _QUERY, own.status, now_ns=now_ns),
            cum_lots=own.filled_lots,
            avg_hticks=own.avg_hticks,
            order_lots=own.order_lots,
            price_ticks=own.price_ticks,
        )

    def not_found(self, cl_ord_id: ClOrdId, *, now_ns: int) -> ExecutionReport:
        """The answer to a lookup of an order that the venue does not know, or not yet."""
        return ExecutionReport(
            venue=self._venue,
            symbol=self._symbol,
            cl_ord_id=cl_ord_id,
            exec_type=ExecType.NOT_FOUND,
            provenance=_QUERY,
            venue_ns=now_ns + self._offset_ns,
        )

    def refuse(
        self,
        cl_ord_id: ClOrdId,
        exec_type: ExecType,
        kind: RejectKind,
        text: str = "",
        *,
        now_ns: int,
    ) -> ExecutionReport:
        """A refusal of a request that never reached the engine."""
        return ExecutionReport(
            venue=self._venue,
            symbol=self._symbol,
            cl_ord_id=cl_ord_id,
            exec_type=exec_type,
            provenance=_ACK,
            venue_ns=now_ns + self._offset_ns,
            ord_status=OrdStatus.REJECTED if exec_type is ExecType.REJECTED else None,
            reject=kind,
            code=kind.value,
            text=text or kind.value.replace("_", " "),
        )

    # --- what others do --------------------------------------------------------------------------------------------

    def take_crowd(
        self, side: Side, *, qty_lots: int, price_ticks: int, rests: bool, now_ns: int
    ) -> tuple[Order, list[ExecutionReport]]:
        """An order of somebody else, IOC unless it `rests`, MARKET at price 0; and what we hear of it."""
        ord_type = OrdType.LIMIT if price_ticks else OrdType.MARKET
        tif = Tif.GTC if rests else Tif.IOC
        order = Order(0, self.crowd, side, ord_type, qty_lots, price_ticks, tif)
        events = self.engine.place(order, now_ns=now_ns)
        return order, self.told(events, provenance=_PUSH)

    def cancel_all(self, *, now_ns: int) -> list[ExecutionReport]:
        """Cancel everything that rests (the dead-man's switch)."""
        reports: list[ExecutionReport] = []
        for own in list(self.resting.values()):
            if own.level is not None:
                reports += self.told(self.engine.cancel(own, now_ns=now_ns), provenance=_PUSH)
        return reports

    def overfill(self, own: OwnOrder, *, lots: int, now_ns: int) -> list[ExecutionReport]:
        """Fill an order beyond its quantity, as far as the book allows: the venue breaks its own contract."""
        self._n_orders += 1
        extra = OwnOrder(
            self._n_orders,
            self.account,
            own.side,
            OrdType.MARKET,
            lots,
            cl_ord_id=own.cl_ord_id,
            venue_order_id=own.venue_order_id,
            created_ns=now_ns,
            fills=[],
            stands_for=own,
        )
        # Its trades, and whatever it did to other orders; of the extra order itself nobody has ever heard.
        events: list[Event] = [
            event
            for event in self.engine.place(extra, now_ns=now_ns)
            if isinstance(event, Trade) or event.order is not extra
        ]
        return self.told(events, provenance=_PUSH)

    # --- books -----------------------------------------------------------------------------------------------------

    def _bound_ticks(self, side: Side) -> int:
        """Worst price of a MARKET order now, 0 where there is no bound or nothing to trade with."""
        touch = self.engine.best_ask if side is Side.BUY else self.engine.best_bid
        if not touch or not self._bound_bps:
            return 0
        return max(1, touch + side * int(touch * self._bound_bps / BPS))

    def find(self, ref: OrderRef) -> OwnOrder | None:
        """An order by the venue's id, else by ours."""
        if ref.venue_order_id:
            return self._by_venue_id.get(ref.venue_order_id)
        return self.orders.get(ref.cl_ord_id)

    def open_orders(self) -> tuple[OpenOrder, ...]:
        """What rests, oldest first."""
        return tuple(
            OpenOrder(
                cl_ord_id=own.cl_ord_id,
                venue_order_id=own.venue_order_id,
                symbol=self._symbol,
                side=own.side,
                price_ticks=own.price_ticks,
                leaves_lots=own.leaves_lots,
                created_ns=own.created_ns,
            )
            for own in self.resting.values()
        )

    def audit(self) -> tuple[VenueOrder, ...]:
        """Every order ever accepted."""
        return tuple(
            VenueOrder(
                cl_ord_id=own.cl_ord_id,
                symbol=self._symbol,
                side=own.side,
                order_lots=own.order_lots,
                filled_lots=own.filled_lots,
                leaves_lots=own.leaves_lots,
                exec_ids=tuple(fill.exec_id for fill in own.fills),
            )
            for own in self.orders.values()
        )

    # --- telling ---------------------------------------------------------------------------------------------------

    def told(self, events: list[Event], *, provenance: Provenance) -> list[ExecutionReport]:
        """Enter the engine's events into the books and tell those that are about our orders, in their order.

        Only what the request itself was about is `provenance`: whatever else happened to our orders is a push.
        """
        reports: list[ExecutionReport] = []
        subject: Order | None = None
        for event in events:
            if isinstance(event, Trade):
                if self.publishes:
                    self.prints.append(event)
                taker, maker = event.taker, event.maker
                if taker.account is self.account:
                    assert isinstance(taker, OwnOrder)
                    reports.append(self._fill(event, taker, is_maker=False, provenance=provenance))
                if maker.account is self.account:
                    assert isinstance(maker, OwnOrder)
                    reports.append(self._fill(event, maker, is_maker=True, provenance=_PUSH))
                continue
            own = event.order
            if not isinstance(own, OwnOrder):
                continue
            if subject is None:
                subject = own
            if own.level is None and isinstance(event, Accepted):
                continue  # an order that ended at once is told by its trades and its end
            reports.append(self._told_of(event, own, provenance if own is subject else _PUSH))
        return reports

    def _fill(self, trade: Trade, own: OwnOrder, *, is_maker: bool, provenance: Provenance) -> ExecutionReport:
        """Book one fill and tell it."""
        lots, ticks = trade.lots, trade.price_ticks
        if own.stands_for is None:
            cum_lots = trade.maker_cum_lots if is_maker else trade.taker_cum_lots
        else:
            own = own.stands_for
            own.filled_lots = cum_lots = own.filled_lots + lots
        own.cost_lot_ticks += lots * ticks
        if own.level is None and own.order_id in self.resting:
            del self.resting[own.order_id]
        report = ExecutionReport(
            venue=self._venue,
            symbol=self._symbol,
            cl_ord_id=own.cl_ord_id,
            exec_type=_TRADE,
            provenance=provenance,
            venue_order_id=own.venue_order_id,
            venue_ns=trade.ts_ns + self._offset_ns,
            exec_id=ExecId(f"{trade.trade_id}{'m' if is_maker else 't'}"),
            last_lots=lots,
            last_ticks=ticks,
            is_maker=is_maker,
            fee_atoms=trade.maker_fee_atoms if is_maker else trade.taker_fee_atoms,
            fee_asset=self._settle,
            fee_source=_WS_SETTLED if provenance is _PUSH else _REST_SETTLED,
            cum_lots=cum_lots,
            avg_hticks=_average_hticks(cost_lot_ticks=own.cost_lot_ticks, lots=cum_lots),
            ord_status=_FILLED if cum_lots >= own.order_lots else _PARTIALLY,
        )
        own.fills.append(report)
        self.fills.append(report)
        return report

    def _told_of(self, event: OrderEvent, own: OwnOrder, provenance: Provenance) -> ExecutionReport:
        """Book and tell one event about one order of ours, trades apart."""

        def report(exec_type: ExecType, status: OrdStatus | None = None) -> ExecutionReport:
            return self._about(own, exec_type, provenance, status, now_ns=event.ts_ns)

        match event:
            case Accepted():
                return report(ExecType.NEW, OrdStatus.NEW)
            case Rejected():
                return _because(report(ExecType.REJECTED, OrdStatus.REJECTED), event.kind, event.text)
            case Canceled():
                return self._end(report(ExecType.CANCELED, OrdStatus.CANCELED), own, event.cause.value)
            case Expired():
                return self._end(report(ExecType.EXPIRED, OrdStatus.EXPIRED), own, "not filled at once")
            case CancelRejected():
                return _because(report(ExecType.CANCEL_REJECTED), RejectKind.TOO_LATE, "the order has ended")
            case AmendRejected():
                return _because(report(ExecType.AMEND_REJECTED), event.kind, event.text)
            case Amended():
                return _terms(report(ExecType.REPLACED), order_lots=event.order_lots, price_ticks=event.price_ticks)
            case Resized():
                return _terms(report(ExecType.REPLACED), order_lots=event.order_lots, price_ticks=own.price_ticks)
        assert_never(event)

    def _end(self, report: ExecutionReport, own: OwnOrder, text: str) -> ExecutionReport:
        """Book the end of an order that was not filled."""
        own.ended = report.ord_status
        self.resting.pop(own.order_id, None)
        return msgspec.structs.replace(report, cum_lots=own.filled_lots, avg_hticks=own.avg_hticks, text=text)

    def _about(
        self,
        own: OwnOrder,
        exec_type: ExecType,
        provenance: Provenance,
        status: OrdStatus | None,
        *,
        now_ns: int,
    ) -> ExecutionReport:
        """What every report about an order of ours has in common."""
        return ExecutionReport(
            venue=self._venue,
            symbol=self._symbol,
            cl_ord_id=own.cl_ord_id,
            exec_type=exec_type,
            provenance=provenance,
            venue_order_id=own.venue_order_id,
            venue_ns=now_ns + self._offset_ns,
            ord_status=status,
        )


def _because(report: ExecutionReport, kind: RejectKind, text: str) -> ExecutionReport:
    return msgspec.structs.replace(report, reject=kind, code=kind.value, text=text)


def _terms(report: ExecutionReport, *, order_lots: int, price_ticks: int) -> ExecutionReport:
    return msgspec.structs.replace(report, order_lots=order_lots, price_ticks=price_ticks)


def _average_hticks(*, cost_lot_ticks: int, lots: int) -> int:
    """Average price in half-ticks, rounded to the nearest; 0 before the first fill."""
    return (4 * cost_lot_ticks + lots) // (2 * lots) if lots else 0
