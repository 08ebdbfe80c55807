"""A venue that keeps its contract in the most inconvenient way: no lies, but everything late, twice or never.

Requests and reports wait in two lists until a test lets one of them through, in any order it likes. What is promised
to the router is kept: a new order or an amend that arrives after its receive window is refused, a lookup may miss an
order for no longer than the lookup lag, an end that states a filled quantity states the final one, and answers to
requests (lookups, amends) come at most once. Only pushed reports are duplicated.
"""

from __future__ import annotations

from sor.adapter import Capabilities, NewOrder
from sor.commands import Amend, Cancel, Place, Query
from sor.ids import ClOrdId, ExecId, Symbol, VenueName, VenueOrderId
from sor.orders import ExecType, ExecutionReport, OrdStatus, Provenance, RejectKind, Side

Request = Place | Cancel | Amend | Query
OnTheWire = tuple[Request, int]
"""A request and when it was sent."""


class Standing:
    """One order in the venue's books."""

    __slots__ = ("arrived_ns", "end", "execs", "filled_lots", "order", "price_ticks", "qty_lots")

    def __init__(self, order: NewOrder, now_ns: int) -> None:
        self.order = order
        self.qty_lots = order.qty_lots
        self.price_ticks = order.price_ticks
        self.arrived_ns = now_ns
        self.filled_lots = 0
        self.execs: list[ExecutionReport] = []
        self.end: OrdStatus | None = None

    @property
    def live(self) -> bool:
        return self.end is None

    @property
    def leaves_lots(self) -> int:
        return max(0, self.qty_lots - self.filled_lots) if self.live else 0


class ContraryVenue:
    """Its books, and what is on the way in both directions."""

    def __init__(
        self, name: VenueName, symbol: Symbol, capabilities: Capabilities, *, says_terms: bool, says_totals: bool
    ) -> None:
        self.name = name
        self.symbol = symbol
        self.capabilities = capabilities
        self.says_terms = says_terms
        self.says_totals = says_totals
        self.books: dict[ClOrdId, Standing] = {}
        self.wire: list[OnTheWire] = []
        self.mail: list[ExecutionReport] = []
        self._exec = 0
        self._vexed: dict[ClOrdId, bool] = {}

    # --- requests -----------------------------------------------------------------------------------------------------

    def may_still_arrive(self, sent_ns: int, now_ns: int) -> bool:
        """Whether a request sent then is not too old to be taken."""
        return now_ns <= sent_ns + self.capabilities.receive_window_ns

    def arrive(self, on_the_wire: OnTheWire, now_ns: int, *, moody: bool) -> None:
        """A request reaches the venue. `moody`: it takes the less convenient course that its contract leaves it."""
        request, sent_ns = on_the_wire
        match request:
            case Place():
                self._place(request.order, sent_ns, now_ns, moody=moody)
            case Cancel():
                self._cancel(request.ref.cl_ord_id, moody=moody)
            case Amend():
                self._amend(request, sent_ns, now_ns, moody=moody)
            case Query():
                self._query(request.ref.cl_ord_id, now_ns, moody=moody)

    def _place(self, order: NewOrder, sent_ns: int, now_ns: int, *, moody: bool) -> None:
        if order.cl_ord_id in self.books:
            self._say(order.cl_ord_id, ExecType.REJECTED, reject=RejectKind.DUPLICATE_ID)
            return
        if not self.may_still_arrive(sent_ns, now_ns):
            self._say(order.cl_ord_id, ExecType.REJECTED, reject=RejectKind.OTHER)
            return
        if moody:
            kind = RejectKind.WOULD_TAKE if order.post_only else RejectKind.NO_LIQUIDITY
            self._say(order.cl_ord_id, ExecType.REJECTED, reject=kind)
            return
        standing = self.books[order.cl_ord_id] = Standing(order, now_ns)
        self._say(order.cl_ord_id, ExecType.NEW)
        if not order.post_only:
            self.fill(standing, max(1, order.qty_lots // 2))
            if standing.live:
                self.end(standing, OrdStatus.CANCELED)

    def _cancel(self, name: ClOrdId, *, moody: bool) -> None:
        standing = self.books.get(name)
        if moody and name not in self._vexed:
            self._vexed[name] = True  # once it may say no for a reason that has nothing to do with the order
            self._say(name, ExecType.CANCEL_REJECTED, reject=RejectKind.RATE_LIMITED)
        elif standing is None:
            self._say(name, ExecType.CANCEL_REJECTED, reject=RejectKind.UNKNOWN_ORDER)
        elif not standing.live:
            kind = RejectKind.UNKNOWN_ORDER if moody else RejectKind.TOO_LATE
            self._say(name, ExecType.CANCEL_REJECTED, reject=kind)
        else:
            self.end(standing, OrdStatus.CANCELED)

    def _amend(self, request: Amend, sent_ns: int, now_ns: int, *, moody: bool) -> None:
        name = request.ref.cl_ord_id
        standing = self.books.get(name)
        late = not self.may_still_arrive(sent_ns, now_ns)
        if standing is None or not standing.live or late or moody or request.qty_lots <= standing.filled_lots:
            self._say(name, ExecType.AMEND_REJECTED)
            return
        standing.qty_lots = request.qty_lots
        standing.price_ticks = request.price_ticks
        self._say(name, ExecType.REPLACED, order_lots=request.qty_lots, price_ticks=request.price_ticks)

    def _query(self, name: ClOrdId, now_ns: int, *, moody: bool) -> None:
        standing = self.books.get(name)
        if standing is None or (moody and now_ns < standing.arrived_ns + self.capabilities.lookup_lag_ns):
            self._say(name, ExecType.NOT_FOUND, answer=True)
            return
        self.mail += standing.execs
        status = standing.end or (OrdStatus.PARTIALLY_FILLED if standing.filled_lots else OrdStatus.NEW)
        terms = self.says_terms and standing.live
        self._say(
            name,
            ExecType.STATUS,
            answer=True,
            cum_lots=standing.filled_lots,
            ord_status=status,
            order_lots=standing.qty_lots if terms else 0,
            price_ticks=standing.price_ticks if terms else 0,
        )

    # --- what happens there -------------------------------------------------------------------------------------------

    def fill(self, standing: Standing, lots: int) -> None:
        """Somebody trades with an order."""
        lots = min(lots, standing.leaves_lots)
        if lots <= 0:
            return
        standing.filled_lots += lots
        self._exec += 1
        trade = ExecutionReport(
            venue=self.name,
            symbol=self.symbol,
            cl_ord_id=standing.order.cl_ord_id,
            exec_type=ExecType.TRADE,
            exec_id=ExecId(f"x{self._exec}"),
            venue_order_id=VenueOrderId(f"v-{standing.order.cl_ord_id}"),
            last_lots=lots,
            last_ticks=standing.price_ticks or 10_000,
            cum_lots=standing.filled_lots,
        )
        standing.execs.append(trade)
        self.mail.append(trade)
        if not standing.leaves_lots:
            standing.end = OrdStatus.FILLED

    def end(self, standing: Standing, status: OrdStatus) -> None:
        """An order leaves the book unfilled."""
        standing.end = status
        exec_type = ExecType.EXPIRED if status is OrdStatus.EXPIRED else ExecType.CANCELED
        self._say(standing.order.cl_ord_id, exec_type, cum_lots=standing.filled_lots if self.says_totals else -1)

    def _say(
        self,
        name: ClOrdId,
        exec_type: ExecType,
        *,
        answer: bool = False,
        reject: RejectKind = RejectKind.NONE,
        cum_lots: int = -1,
        order_lots: int = 0,
        price_ticks: int = 0,
        ord_status: OrdStatus | None = None,
    ) -> None:
        standing = self.books.get(name)
        known = standing is not None and reject is not RejectKind.UNKNOWN_ORDER
        self.mail.append(
            ExecutionReport(
                venue=self.name,
                symbol=self.symbol,
                cl_ord_id=name,
                exec_type=exec_type,
                provenance=Provenance.QUERY if answer else Provenance.PUSH,
                venue_order_id=VenueOrderId(f"v-{name}" if known else ""),
                reject=reject,
                cum_lots=cum_lots,
                order_lots=order_lots,
                price_ticks=price_ticks,
                ord_status=ord_status,
            )
        )

    # --- the truth ----------------------------------------------------------------------------------------------------

    def worst_lots(self, name: ClOrdId, now_ns: int) -> int:
        """The most that an order may ever fill, counting what is still on its way here."""
        standing = self.books.get(name)
        coming = [
            request.qty_lots if isinstance(request, Amend) else request.order.qty_lots
            for request, sent_ns in self.wire
            if isinstance(request, Amend | Place) and self.may_still_arrive(sent_ns, now_ns) and _name(request) == name
        ]
        if standing is None:
            return max(coming, default=0)
        return max([standing.qty_lots, *coming]) if standing.live else standing.filled_lots

    def live_ticks(self, side: Side) -> list[int]:
        """Prices of what rests here on one side."""
        return [
            standing.price_ticks
            for standing in self.books.values()
            if standing.live and standing.order.side is side and standing.order.post_only
        ]


PUSHED = frozenset({ExecType.NEW, ExecType.TRADE, ExecType.CANCELED, ExecType.EXPIRED})
"""The reports that may come twice or never."""


def _name(request: Request) -> ClOrdId:
    return request.order.cl_ord_id if isinstance(request, Place) else request.ref.cl_ord_id
