"""The order desk: commands out, and everything that BingX says of our orders back as one stream of reports.

Rules
- An order and a cancel are sent once. What comes of them is told by whoever knows first: answer, push or lookup.
- An end that an answer shows is evidence, not proof (B10): unless the push confirms it in time, it is looked up here. A
  lookup that nobody asked for tells what it finds, and is silent when it finds nothing.
- What is held back here is told as refused and rate limited, never as sent.
- While BingX bars the account from trading (RISK), orders that open are held back; cancels and orders that reduce go.
- After an order's end, fills without a settled fee are looked up in the background, one at a time (F2).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from sor.adapter import NewOrder, OrderRef, RecalledOrder, Request, RequestFailed
from sor.ids import ClOrdId, Symbol, VenueOrderId
from sor.orders import ExecutionReport, OrdStatus, PositionSide, RejectKind, Side
from sor.units import MS, NS
from venues.bingx import wire
from venues.bingx.account_stream import Unread
from venues.bingx.caps import CLIENT_IDS
from venues.bingx.dialect import verdict_of
from venues.bingx.errors import Asked, Cause, Outcome, Verdict
from venues.bingx.listings import Listing
from venues.bingx.orders import OrderNews
from venues.bingx.push import OrderPush
from venues.bingx.reports import Reports
from venues.bingx.rest import BACKGROUND_WAIT_NS, CANCEL_WAIT_NS, ORDER_WAIT_NS, READ_WAIT_NS
from venues.bingx.session import Session
from venues.bingx.wire import OrderWire
from venues.plumbing.budget import Priority
from venues.plumbing.client import Fate, Trouble
from venues.plumbing.outlet import Outlet

CONFIRM_NS: Final = 1 * NS
"""How long the push of an end that an answer has shown may take before the order is looked up."""
CONFIRM_TRIES: Final = 3
FEE_AFTER_NS: Final = (2 * NS, 20 * NS)
"""When fees are looked up after an order's end, and again if they had not been settled by then."""
FEE_SPACING_NS: Final = 500 * MS
FEE_WAITING_MAX: Final = 256
HISTORY_NS: Final = 7 * 24 * 3_600 * NS
"""How far back BingX's fill history goes; how long single orders are found is not said."""
_log = logging.getLogger(__name__)

_OPEN = frozenset({OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED})
_CLOSES = {PositionSide.LONG: Side.SELL, PositionSide.SHORT: Side.BUY}
_ASKED = {Request.PLACE: Asked.PLACE, Request.CANCEL: Asked.CANCEL, Request.QUERY: Asked.QUERY}


class _Owed(msgspec.Struct, frozen=True, gc=False):
    """Fees that are owed: which order, when to ask, and how often that was done."""

    ref: OrderRef
    at_ns: int
    tries: int


class OrderDesk:
    """The orders of one account.

    troubled    told the verdict on every request that failed: what it says of the account is not the desk's business.
    gap         told why, when a push was lost and it cannot be seen whose order it was about.
    """

    def __init__(
        self,
        session: Session,
        outlet: Outlet,
        *,
        troubled: Callable[[Verdict], None],
        gap: Callable[[str], None],
    ) -> None:
        self._session = session
        self._outlet = outlet
        self._troubled = troubled
        self._gap = gap
        self._reports = Reports(push_fee=session.settings.push_fee)
        self._wires: dict[Symbol, tuple[Listing, OrderWire]] = {}
        self._barred_until_ns = 0
        self._barred = ""
        self._confirming: dict[ClOrdId, None] = {}
        self._owed: deque[_Owed] = deque()
        self._recalled: list[OrderRef] = []
        self._asking_fees = False

    # --- commands -----------------------------------------------------------------------------------------------------

    def submit(self, order: NewOrder) -> None:
        """Send a new order. Raises `CallerError` for what BingX has no words for: nothing was sent."""
        session = self._session
        now_ns = session.now_ns()
        call = self._wire(order.symbol).place(order)
        # Its flag, its side or our own mark say so: where the flag is not used, the mark is all there is.
        owned = CLIENT_IDS.decode(order.cl_ord_id)
        closes = order.reduce_only or _CLOSES.get(order.position_side) is order.side
        reduces = closes or (owned is not None and owned.closing)
        self._reports.sent(order, not_before_ns=session.least_venue_ns(now_ns))
        if not reduces and now_ns < self._barred_until_ns:
            held = Verdict(
                outcome=Outcome.RETRY_LATER,
                reject=RejectKind.RATE_LIMITED,
                cause=Cause.RISK,
                code="held_back",
                text=f"not sent: BingX bars this account from opening: {self._barred}",
            )
            self._refused(held, Request.PLACE, cl_ord_id=order.cl_ord_id, symbol=order.symbol)
            return

        def answered(answer: OrderNews | Trouble) -> None:
            if isinstance(answer, Trouble):
                self._failed(answer, Request.PLACE, cl_ord_id=order.cl_ord_id, symbol=order.symbol)
            else:
                self._hear(answer)
                if answer.status not in _OPEN:
                    self._confirm(order.cl_ord_id, order.symbol)

        rest = session.rest
        rest.call(
            rest.place,
            call,
            priority=Priority.REDUCE if reduces else Priority.OPEN,
            leave_by_ns=now_ns + ORDER_WAIT_NS,
            on_answer=answered,
        )

    def recall(self, order: RecalledOrder) -> None:
        """Go on with an order of an earlier process; one that BingX has forgotten is left as it is."""
        if self._session.now_ns() - order.sent_ns > HISTORY_NS:
            return
        self._reports.recall(order)
        if order.end is not None:
            self._recalled.append(order.ref)

    def settle_recalled(self) -> None:
        """The session stands: ask for the fees of recalled orders that have ended."""
        recalled, self._recalled = self._recalled, []
        for ref in recalled:
            if self._session.listings.find(ref.symbol) is not None and self._reports.unsettled(ref.cl_ord_id):
                self._owe(ref)

    def cancel(self, ref: OrderRef) -> None:
        """Ask for a cancel. Raises `CallerError` for an order that cannot be named."""
        session = self._session
        call = wire.cancel(ref, session.listings.of(ref.symbol))

        def answered(answer: OrderNews | Trouble) -> None:
            if isinstance(answer, Trouble):
                self._failed(answer, Request.CANCEL, cl_ord_id=ref.cl_ord_id, symbol=ref.symbol)
            else:
                self._hear(answer)
                self._confirm(ref.cl_ord_id, ref.symbol)

        rest = session.rest
        leave_by_ns = session.now_ns() + CANCEL_WAIT_NS
        rest.call(rest.cancel, call, priority=Priority.CANCEL, leave_by_ns=leave_by_ns, on_answer=answered)

    def query(self, ref: OrderRef) -> None:
        """Look an order up. Raises `CallerError` for one that cannot be named."""

        def answered(answer: OrderNews | Trouble) -> None:
            if isinstance(answer, Trouble):
                self._failed(answer, Request.QUERY, cl_ord_id=ref.cl_ord_id, symbol=ref.symbol)
            else:
                self._hear(answer)

        self._look_up(ref, answered, wait_ns=READ_WAIT_NS)

    def knows(self, order_id: VenueOrderId) -> bool:
        """Whether an order with BingX's id is one that was sent, or asked for, from here."""
        return self._reports.ref(cl_ord_id=ClOrdId(""), order_id=order_id) is not None

    # --- what comes unasked -------------------------------------------------------------------------------------------

    def pushed(self, push: OrderPush) -> None:
        """An order event. Orders that are not ours are nobody's business here."""
        news = push.news
        if not news.cl_ord_id or CLIENT_IDS.decode(news.cl_ord_id) is not None:
            self._hear(news)

    def unread(self, push: Unread) -> None:
        """A push that could not be read: its order is looked up, and if that is not known, everything is."""
        about = push.order
        ref = None if about is None else self._reports.ref(cl_ord_id=about.cl_ord_id, order_id=about.order_id)
        _log.warning("a push of BingX could not be read: %s", push.why)
        if ref is not None:
            self._look_again(ref, 1)
        elif about is None or not about.cl_ord_id or CLIENT_IDS.decode(about.cl_ord_id) is not None:
            self._gap(f"a push that could not be read: {push.why}")

    # --- lookups of our own -------------------------------------------------------------------------------------------

    def _confirm(self, cl_ord_id: ClOrdId, symbol: Symbol) -> None:
        """See to it that an end is told soon, by a lookup if not by a push."""
        if self._reports.ended(cl_ord_id) or cl_ord_id in self._confirming:
            return
        self._confirming[cl_ord_id] = None

        def due() -> None:
            del self._confirming[cl_ord_id]
            if not self._reports.ended(cl_ord_id):
                ref = self._reports.ref(cl_ord_id=cl_ord_id, order_id=VenueOrderId(""))
                self._look_again(ref or OrderRef(cl_ord_id=cl_ord_id, symbol=symbol), 1)

        self._session.scheduler.call_at(self._session.now_ns() + CONFIRM_NS, due)

    def _look_again(self, ref: OrderRef, attempt: int) -> None:
        """A lookup that nobody asked for; one that fails is made again, a few times."""
        if self._session.closed:
            return

        def answered(answer: OrderNews | Trouble) -> None:
            if not isinstance(answer, Trouble):
                self._hear(answer)
                return
            verdict = verdict_of(answer, Asked.QUERY)
            self._troubled(verdict)
            if attempt < CONFIRM_TRIES and verdict.reject is not RejectKind.UNKNOWN_ORDER:
                at_ns = self._session.now_ns() + (CONFIRM_NS << attempt)
                self._session.scheduler.call_at(at_ns, lambda: self._look_again(ref, attempt + 1))

        self._look_up(ref, answered, wait_ns=BACKGROUND_WAIT_NS)

    def _look_up(self, ref: OrderRef, answered: Callable[[OrderNews | Trouble], None], *, wait_ns: int) -> None:
        session = self._session
        rest = session.rest
        call = wire.query(ref, session.listings.of(ref.symbol))
        rest.call(rest.query, call, priority=Priority.READ, leave_by_ns=session.now_ns() + wait_ns, on_answer=answered)

    def _owe(self, ref: OrderRef) -> None:
        """Fills of an order that has ended have no settled fee: ask for it when nobody is in a hurry."""
        if any(owed.ref.cl_ord_id == ref.cl_ord_id for owed in self._owed):
            return
        if len(self._owed) >= FEE_WAITING_MAX:
            self._owed.popleft()  # its estimate stands
        self._owe_from(ref, tries=0)

    def _owe_from(self, ref: OrderRef, *, tries: int, not_before_ns: int = 0) -> None:
        at_ns = max(self._session.now_ns() + FEE_AFTER_NS[tries], not_before_ns)
        self._owed.append(_Owed(ref, at_ns, tries))
        self._session.scheduler.call_at(at_ns, self._ask_fees)

    def _ask_fees(self) -> None:
        """Ask for the fees of the first order that is due, unless another is being asked for."""
        now_ns = self._session.now_ns()
        if self._session.closed or self._asking_fees:
            return
        due = next((owed for owed in self._owed if owed.at_ns <= now_ns), None)
        if due is None:
            return
        self._owed.remove(due)

        def answered(answer: OrderNews | Trouble) -> None:
            self._asking_fees = False
            if not isinstance(answer, Trouble):
                # Its state is old news to everybody.
                told = self._reports.told(answer)
                self._tell([one for one in told if isinstance(one, ExecutionReport) and one.last_lots])
            if isinstance(answer, Trouble) and answer.fate is Fate.RATE_LIMITED:
                self._owe_from(due.ref, tries=due.tries, not_before_ns=answer.until_ns)  # nobody was asked
            elif self._reports.unsettled(due.ref.cl_ord_id) and due.tries + 1 < len(FEE_AFTER_NS):
                self._owe_from(due.ref, tries=due.tries + 1)
            self._session.scheduler.call_at(self._session.now_ns() + FEE_SPACING_NS, self._ask_fees)

        if self._reports.unsettled(due.ref.cl_ord_id):
            self._asking_fees = True
            self._look_up(due.ref, answered, wait_ns=BACKGROUND_WAIT_NS)
        else:
            self._session.scheduler.call_at(now_ns, self._ask_fees)

    # --- reports ------------------------------------------------------------------------------------------------------

    def _hear(self, news: OrderNews) -> None:
        """Something was said about an order: tell what of it is new."""
        self._tell(self._reports.told(news))
        ref = self._reports.ref(cl_ord_id=news.cl_ord_id, order_id=news.order_id)
        if ref is not None and self._reports.ended(ref.cl_ord_id) and self._reports.unsettled(ref.cl_ord_id):
            self._owe(ref)

    def _failed(self, trouble: Trouble, request: Request, *, cl_ord_id: ClOrdId, symbol: Symbol) -> None:
        """A request did not succeed."""
        verdict = verdict_of(trouble, _ASKED[request])
        if verdict.cause is Cause.RISK:
            self._barred_until_ns = self._session.now_ns() + verdict.pause_ns
            self._barred = f"{verdict.code} {verdict.text}"
        self._troubled(verdict)
        self._refused(verdict, request, cl_ord_id=cl_ord_id, symbol=symbol)
        if request is Request.CANCEL and verdict.reject in {RejectKind.UNKNOWN_ORDER, RejectKind.TOO_LATE}:
            self._confirm(cl_ord_id, symbol)  # it ended without our hearing of it

    def _refused(self, verdict: Verdict, request: Request, *, cl_ord_id: ClOrdId, symbol: Symbol) -> None:
        now_ns = self._session.now_ns()
        self._tell(self._reports.refused(verdict, request, cl_ord_id=cl_ord_id, symbol=symbol, recv_ns=now_ns))

    def _tell(self, told: list[ExecutionReport | RequestFailed]) -> None:
        for one in told:
            self._outlet.execution(one)

    def _wire(self, symbol: Symbol) -> OrderWire:
        listing = self._session.listings.of(symbol)
        known = self._wires.get(symbol)
        if known is None or known[0] is not listing:
            known = self._wires[symbol] = (listing, OrderWire(listing))
        return known[1]
