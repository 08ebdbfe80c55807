"""The desk: every order of ours that is, or may be, at a venue.

It sends, cancels and looks up; it moves each order's life and its parent's ledger together; it settles what is in doubt
by evidence (D3) and knows what of ours rests where. It decides nothing about parents (`sor.settling`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from sor.adapter import AmendModel, Capabilities, NewOrder, OrderRef, OwnRest, Reach, Request, RequestFailed
from sor.child import Child, Go, Happened, Life, Pending, Refuse, happened_of
from sor.commands import Amend, AnyWish, Cancel, Gone, MarkAt, Place, Query, Stand
from sor.fills import estimated_fee, fee_of, inferred_ticks
from sor.ids import AccountId, ClOrdId, Symbol, VenueName, VenueOrderId
from sor.limits import Limits
from sor.market import MarketView
from sor.orders import ExecType, ExecutionReport, OrdStatus, RejectKind
from sor.own_book import OwnBook
from sor.pace import Pace
from sor.parent import Parent
from sor.parents import Parents
from sor.realised import Realised

BookKey = tuple[VenueName, AccountId, Symbol]


class VenueState:
    """One venue's session.

    here        it came up since this process began; up: and its link stands now, so that orders may be sent.
    identity    of the account whose orders these are, "" while not known.
    paces       how often each account sends. A router trades on one; more there are in the lab only.
    orders      ours, by the venue's ids as far as they are known: some of its books name orders by nothing else.
    retired     numbers of retired parents by the venue's ids of their orders.
    """

    __slots__ = ("capabilities", "here", "identity", "orders", "paces", "retired", "up")

    def __init__(self, capabilities: Capabilities) -> None:
        self.capabilities = capabilities
        self.identity = ""
        self.here = True
        self.up = True
        self.paces: dict[AccountId, Pace] = {}
        self.orders: dict[VenueOrderId, Child] = {}
        self.retired: dict[VenueOrderId, int] = {}

    @property
    def can_ask(self) -> bool:
        """Whether cancels and lookups may be sent: they take risk away, and need no stream of pushes."""
        return self.up or (self.here and self.capabilities.asks_while_down)

    def pace(self, account: AccountId) -> Pace:
        """How often that account sends here."""
        pace = self.paces.get(account)
        if pace is None:
            pace = self.paces[account] = Pace()
        return pace


class Effect(msgspec.Struct, frozen=True, gc=False):
    """What a report did: newly counted lots, whether the order is newly closed, and what is wrong, if anything."""

    new_lots: int
    closed: bool
    fault: str
    life_moved: bool


LOST: Mapping[tuple[Request, Reach], Happened] = {
    (Request.PLACE, Reach.NOT_SENT): Happened.NOT_SENT,
    (Request.PLACE, Reach.IN_DOUBT): Happened.SILENT,
    (Request.CANCEL, Reach.NOT_SENT): Happened.CANCEL_NOT_SENT,
    (Request.CANCEL, Reach.IN_DOUBT): Happened.CANCEL_SILENT,
    (Request.AMEND, Reach.NOT_SENT): Happened.AMEND_REFUSED,
    (Request.AMEND, Reach.IN_DOUBT): Happened.CANCEL_SILENT,  # a lookup will state the terms in force
    (Request.QUERY, Reach.NOT_SENT): Happened.QUERY_FAILED,
    (Request.QUERY, Reach.IN_DOUBT): Happened.QUERY_FAILED,
}


# Members by name: CPython 3.11 takes longer to read a member off its enum than to compare it, and these are read for
# every report.
_PENDING_NEW: Final = Life.PENDING_NEW
_LIVE: Final = Life.LIVE
_IN_DOUBT: Final = Life.IN_DOUBT
_NOTHING_PENDING: Final = Pending.NONE
_CANCEL_PENDING: Final = Pending.CANCEL
_AMEND_PENDING: Final = Pending.AMEND
_ABSENT: Final = Life.ABSENT
_TRADE: Final = ExecType.TRADE
_STATUS: Final = ExecType.STATUS
_REPLACED: Final = ExecType.REPLACED
_SILENT: Final = Happened.SILENT
_CLOSED: Final = Happened.CLOSED
_NOT_FOUND: Final = Happened.NOT_FOUND
_H_REJECTED: Final = Happened.REJECTED
_CANCEL_REFUSED: Final = Happened.CANCEL_REFUSED
_SEEN_OPEN: Final = Happened.SEEN_OPEN
_KNOWS_THE_ORDER: Final = frozenset({RejectKind.DUPLICATE_ID, RejectKind.TOO_LATE})


class Desk:
    """All children of all parents. Wishes are appended to `out`, which the router hands over at the end of a step.

    children    those of parents in working memory; `order` finds the others too.
    """

    def __init__(self, out: list[AnyWish], parents: Parents) -> None:
        self.out = out
        self._parents = parents
        self.epoch = self.session = 0
        self.venues: dict[VenueName, VenueState] = {}
        self.children: dict[ClOrdId, Child] = {}
        self.books: dict[BookKey, OwnBook] = {}

    def book_of(self, parent: Parent) -> OwnBook:
        """Our own orders where `parent` trades."""
        book = parent.book
        if book is None:
            key = key_of(parent)
            book = self.books.get(key)
            if book is None:
                book = self.books[key] = OwnBook()
            parent.book = book
        return book

    # --- orders of parents that are over --------------------------------------------------------------------------

    def order(self, cl_ord_id: ClOrdId) -> Child | None:
        """An order of ours by its client id, to be read only; None for one of nobody, or of a forgotten parent."""
        child = self.children.get(cl_ord_id)
        if child is not None or not self._parents.retired:
            return child
        for state in self.venues.values():  # the id names its parent
            owned = state.capabilities.client_ids.decode(cl_ord_id)
            if owned is not None and owned.epoch == self.epoch and owned.parent_no in self._parents.retired:
                for one in self._children_of(owned.parent_no):
                    if one.order.cl_ord_id == cl_ord_id:
                        return one
        return None

    def order_named(self, venue: VenueName, venue_order_id: VenueOrderId) -> Child | None:
        """The same by the venue's own id of it."""
        state = self.venues.get(venue)
        if state is None:
            return None
        child = state.orders.get(venue_order_id)
        if child is not None or venue_order_id not in state.retired:
            return child
        for one in self._children_of(state.retired[venue_order_id]):
            if one.venue_order_id == venue_order_id:
                return one
        return None

    def _children_of(self, parent_no: int) -> list[Child]:
        parent = self._parents.get(parent_no)
        return [] if parent is None else parent.children

    def retire(self, parent: Parent) -> None:
        """The orders of a parent that leaves working memory go with it."""
        for child in parent.children:
            state = self.venues[child.venue]
            if self.children.get(child.order.cl_ord_id) is child:
                del self.children[child.order.cl_ord_id]
            if state.orders.get(child.venue_order_id) is child:
                del state.orders[child.venue_order_id]
                state.retired[child.venue_order_id] = parent.no

    def recall(self, parent: Parent) -> None:
        """They are back with it."""
        for child in parent.children:
            state = self.venues[child.venue]
            self.children[child.order.cl_ord_id] = child
            if state.retired.get(child.venue_order_id) == parent.no:
                del state.retired[child.venue_order_id]
                state.orders[child.venue_order_id] = child

    def forget(self, parent: Parent) -> None:
        """Nobody knows the orders of a retired parent any more."""
        for child in parent.children:
            retired = self.venues[child.venue].retired
            if retired.get(child.venue_order_id) == parent.no:
                del retired[child.venue_order_id]

    # --- sending --------------------------------------------------------------------------------------------------

    def place(
        self,
        parent: Parent,
        order: NewOrder,
        *,
        expire_ns: int,
        market: MarketView,
        now_ns: int,
        limits: Limits,
    ) -> Child:
        """Send a new order; the risk gate has let it through and `order.qty_lots <= free`."""
        assert order.qty_lots <= parent.ledger.free_lots, (order, parent.ledger)
        child = Child(
            parent_no=parent.no,
            child_no=parent.next_child_no,
            venue=parent.venue,
            order=order,
            sent_ns=now_ns,
            expire_ns=expire_ns,
            mid_hticks=market.mid_hticks or 0,
            mark_ticks=market.mark_ticks,
        )
        parent.next_child_no += 1
        parent.children.append(child)
        parent.open_children.append(child)
        self.children[order.cl_ord_id] = child
        child.check_ns = now_ns + limits.ack_timeout_ns
        self._pace_of(parent).sends.append(now_ns)
        self._enter(parent, child)
        self.out.append(
            Place(parent.no, child.child_no, parent.venue, order, expire_ns, child.mid_hticks, child.mark_ticks)
        )
        return child

    def next_id(self, parent: Parent, *, closing: bool) -> ClOrdId:
        """The ClOrdID of the parent's next child: a pure function of epoch, session, parent and counter (B9)."""
        codec = self.venues[parent.venue].capabilities.client_ids
        return codec.encode(self.epoch, parent.no, parent.next_child_no, closing=closing, session=self.session)

    def cancel(self, child: Child, now_ns: int, limits: Limits) -> None:
        """Withdraw an order: at once if the venue can be asked, else as soon as it can."""
        child.cancel_wanted = True
        if child.pending is _AMEND_PENDING:
            child.give_up_amend()  # a cancel, perhaps the kill switch's, does not wait for its answer
        if child.pending is _NOTHING_PENDING:
            if child.life is _LIVE:
                self._send_cancel(child, now_ns, limits)
            elif child.life is _IN_DOUBT:
                self._cancel_doubted(child, now_ns)

    def amend(
        self, parent: Parent, child: Child, *, qty_lots: int, price_ticks: int, now_ns: int, limits: Limits
    ) -> None:
        """Ask for another total quantity and price; only where the venue keeps the order's identity."""
        assert child.life is _LIVE
        assert child.pending is _NOTHING_PENDING
        child.reserve_amend(qty_lots=qty_lots, price_ticks=price_ticks)
        child.checks = 0
        child.check_ns = now_ns + limits.ack_timeout_ns
        pace = self._pace_of(parent)
        pace.sends.append(now_ns)
        pace.withdrawing(now_ns)
        self._enter(parent, child)
        self.out.append(Amend(child.parent_no, child.venue, ref_of(child), qty_lots, price_ticks))

    def can_amend(self, child: Child) -> bool:
        """Whether the venue changes price and quantity of a live order under the same client id."""
        state = self.venues[child.venue]
        can = state.up and state.capabilities.amend is AmendModel.NATIVE_SAME_ID
        return can and child.life is _LIVE and not child.no_amend

    def _send_cancel(self, child: Child, now_ns: int, limits: Limits) -> None:
        venue = self.venues[child.venue]
        if not venue.can_ask:
            child.check_ns = now_ns + limits.query_first_ns
            return
        self._withdrawing(child, now_ns)
        child.pending = _CANCEL_PENDING
        child.check_ns = now_ns + limits.ack_timeout_ns
        self.out.append(Cancel(child.parent_no, child.venue, ref_of(child)))

    def _withdrawing(self, child: Child, now_ns: int) -> None:
        parent = self._parents.get(child.parent_no)
        assert parent is not None, child  # who has an order at work is in working memory
        self._pace_of(parent).withdrawing(now_ns)

    def _pace_of(self, parent: Parent) -> Pace:
        return self.venues[parent.venue].pace(parent.order.account)

    def _send_query(self, child: Child, now_ns: int, limits: Limits) -> None:
        child.checks += 1
        child.check_ns = now_ns + limits.backoff_ns(child.checks)
        if self.venues[child.venue].can_ask:
            child.queried_ns = now_ns
            proof = self.proof_ns(child)
            if proof is None or now_ns < proof:
                child.early_queries += 1
            self.out.append(Query(child.parent_no, child.venue, ref_of(child)))

    def look_up(self, child: Child, now_ns: int, limits: Limits) -> None:
        """The venue's books say something else of it than it has told: ask, also about one that is over.

        What is in doubt is being looked up already, and what has just been sent is young.
        """
        if child.life is _LIVE:
            child.unseen = True
            self._send_query(child, now_ns, limits)
        elif child.closed and self.venues[child.venue].can_ask:
            self.out.append(Query(child.parent_no, child.venue, ref_of(child)))

    # --- time -----------------------------------------------------------------------------------------------------

    def tend(self, parent: Parent, child: Child, now_ns: int, limits: Limits) -> None:
        """Do what is due for one open order: time out, ask again, or gather evidence."""
        if now_ns < child.check_ns:
            return
        if child.life is _PENDING_NEW:
            child.apply(_SILENT)
            self._enter(parent, child)
        if child.life is _IN_DOUBT:
            self._gather(child, now_ns, limits)
        elif child.life is _LIVE:
            if child.pending is not _NOTHING_PENDING:
                self._send_query(child, now_ns, limits)  # an answer is overdue
            elif child.cancel_wanted:
                if child.unseen:
                    self._send_query(child, now_ns, limits)  # it may have ended behind our back
                self._send_cancel(child, now_ns, limits)
            elif child.rests and now_ns >= child.expire_ns:
                child.timed_out = child.cancel_wanted = True
                self._send_cancel(child, now_ns, limits)
            elif child.unseen or not child.rests:
                self._send_query(child, now_ns, limits)  # so is news of it after a lost session, or a taker's end
            else:
                child.check_ns = child.expire_ns

    def _gather(self, child: Child, now_ns: int, limits: Limits) -> None:
        """One step of settling an order in doubt: a lookup, and where one was not enough, a cancel by its client id."""
        self._send_query(child, now_ns, limits)
        if child.checks > 1 or child.cancel_wanted:
            self._cancel_doubted(child, now_ns)

    def _cancel_doubted(self, child: Child, now_ns: int) -> None:
        """Cancel what may be there: it goes, or the refusal is half of a proof that it never arrived."""
        venue = self.venues[child.venue]
        if not child.cancel_unknown and venue.can_ask:
            self._withdrawing(child, now_ns)
            child.pending = _CANCEL_PENDING
            self.out.append(Cancel(child.parent_no, child.venue, ref_of(child)))

    def proof_ns(self, child: Child) -> int | None:
        """From when on a lookup that finds nothing proves absence; None where the venue gives no such bound (D3).

        The last moment at which the request may have arrived, and then the lookup's own lag on top.
        """
        capabilities = self.venues[child.venue].capabilities
        if not capabilities.receive_window_ns:
            return None
        window = capabilities.receive_window_ns + capabilities.clock_error_ns + capabilities.lookup_lag_ns
        return child.sent_ns + window

    # --- what venues say ------------------------------------------------------------------------------------------

    def report(
        self, parent: Parent, child: Child, report: ExecutionReport, *, mid_hticks: int, now_ns: int, limits: Limits
    ) -> Effect:
        """Take a report into ledger and life."""
        broken = _broken(report, child)
        if broken:
            return Effect(new_lots=0, closed=False, fault=self._refused(child, broken), life_moved=False)
        if report.venue_order_id and not child.venue_order_id:
            child.venue_order_id = report.venue_order_id
            self.venues[child.venue].orders[report.venue_order_id] = child
        child.told_ns = report.venue_ns
        known = child.by_exec.get(report.exec_id) if report.exec_type is _TRADE else None
        before = None if known is None else child.trades[known][0]
        new_lots = child.count(report, mid_hticks)
        if new_lots or report.exec_type is _TRADE:
            self._realise(parent, child, report, before, now_ns)
        if child.qty_lots < child.counted_lots and child.qty_lots < child.asked_lots:
            child.settle_amend()  # only the quantity that was asked for allows so much, so it is in force
        happened = happened_of(report, child)
        wanted = child.cancel_wanted
        if report.exec_type is _REPLACED:
            happened = self._replaced(child, report)
        elif child.pending is _AMEND_PENDING and report.exec_type is _STATUS:
            happened = self._settle_amend(child, report, happened)
        if not child.closed and (happened is _CLOSED or happened is _H_REJECTED):
            child.status_hint = _end_status(report)
            child.reject = report if report.code or report.text or report.reject else child.reject
        if report.reject in _KNOWS_THE_ORDER:
            child.heard = True  # other refusals speak of the request, not of the order
        effect = self._move(parent, child, happened, new_lots=new_lots, now_ns=now_ns, limits=limits)
        if child.cancel_wanted and not wanted:
            self.cancel(child, now_ns, limits)
        if new_lots:
            book = self.book_of(parent)
            book.rejects = 0
            book.filled_ns = now_ns
            if child.counted_lots == new_lots:
                self._pace_of(parent).traded.add(now_ns)
            side = parent.order.position_side
            if side in book.positions:
                book.positions[side] += parent.side * new_lots
            if report.exec_type is _TRADE:
                self.out.append(MarkAt(parent.no, report.exec_id, now_ns))
        return effect

    def _realise(
        self, parent: Parent, child: Child, report: ExecutionReport, before: ExecutionReport | None, now_ns: int
    ) -> None:
        """Let what an order has filled and paid, as is known now, count in what its symbol has realised.

        before    the same trade as it was told first, None for a new one.
        """
        instrument = parent.instrument
        if report.exec_type is _TRADE:
            if before is None:
                child.sum_fee_atoms += fee_of(report, child, instrument)
            elif before.fee_atoms is None and report.fee_atoms is not None:
                child.sum_fee_atoms += fee_of(report, child, instrument) - fee_of(before, child, instrument)
        lot_ticks, fee_atoms = child.sum_lot_ticks, child.sum_fee_atoms
        inferred = child.counted_lots - child.sum_lots
        if inferred > 0:
            ticks = inferred_ticks(child, inferred)
            lot_ticks += inferred * ticks
            fee_atoms += estimated_fee(child, inferred, ticks, instrument, is_maker=None)
        booked = child.booked
        child.booked = child.counted_lots, lot_ticks, fee_atoms
        position_side = parent.order.position_side
        realised = self.book_of(parent).realised.get(position_side)
        if realised is None:
            realised = self.book_of(parent).realised[position_side] = Realised()
        realised.fill(
            parent.side * (child.counted_lots - booked[0]),
            parent.side * (lot_ticks - booked[1]),
            fee_atoms - booked[2],
            instrument=instrument,
            now_ns=now_ns,
        )

    def _replaced(self, child: Child, report: ExecutionReport) -> Happened:
        """Terms were confirmed: those asked for, or others, by a venue that may change orders of its own accord."""
        lots = report.order_lots or child.asked_lots
        ticks = report.price_ticks or child.asked_ticks
        if (lots, ticks) != (child.asked_lots, child.asked_ticks):
            capabilities = self.venues[child.venue].capabilities
            if child.pending is _AMEND_PENDING or not (capabilities.venue_may_resize or capabilities.venue_may_reprice):
                return Happened.ACCEPTED  # the late echo of an earlier amend: all it proves is life
        if child.pending is _AMEND_PENDING:
            child.pending = _NOTHING_PENDING
        child.replace(qty_lots=lots, price_ticks=ticks)
        return happened_of(report, child)

    @staticmethod
    def _settle_amend(child: Child, report: ExecutionReport, happened: Happened) -> Happened:
        """An amend that waits for its answer was looked up: the terms it asked for settle it, and nothing else.

        The old terms in force say only that it had not arrived by then: it may still.
        """
        if (report.order_lots, report.price_ticks) == (child.asked_lots, child.asked_ticks):
            child.settle_amend()
            return happened_of(report, child)
        if child.checks and happened is _SEEN_OPEN:
            child.give_up_amend()
        return happened

    def lost(self, parent: Parent, child: Child, failed: RequestFailed, *, now_ns: int, limits: Limits) -> Effect:
        """Take in that a request of ours has no answer."""
        happened = LOST[failed.request, failed.reach]
        if isinstance(child.verdict(happened), Refuse):
            fault = self._refused(child, "it was called unsent, and had been heard of")
            return Effect(new_lots=0, closed=False, fault=fault, life_moved=False)
        if failed.request is Request.PLACE:
            child.failed = failed
        if failed.request is Request.QUERY and child.early_queries:
            child.early_queries -= 1
        if happened is Happened.AMEND_REFUSED and child.counted_lots >= child.qty_lots:
            happened = Happened.FILLED  # what was left of the old quantity has filled meanwhile
        return self._move(parent, child, happened, new_lots=0, now_ns=now_ns, limits=limits)

    def session_lost(self, parent: Parent, child: Child, now_ns: int) -> None:
        """The session or the process went away: what was pending is not known, and everything is looked up."""
        if child.life is _PENDING_NEW:
            child.apply(_SILENT)
        if child.pending is _AMEND_PENDING:
            child.give_up_amend()
        child.pending = _NOTHING_PENDING
        child.unseen = True
        child.checks = 0
        child.check_ns = now_ns
        self._enter(parent, child)

    def _move(
        self, parent: Parent, child: Child, happened: Happened, *, new_lots: int, now_ns: int, limits: Limits
    ) -> Effect:
        before = child.life
        verdict, revived = child.apply(happened)
        if happened is _NOT_FOUND and self._proven_absent(child):
            child.apply(Happened.PROVEN_ABSENT)
        if revived:
            child.cancel_wanted = True
            if not child.closed and child not in parent.open_children:
                parent.open_children.append(child)
        if isinstance(verdict, Go):
            self._set_check(child, happened, now_ns, limits)
        self._enter(parent, child)
        closed = child.closed and before <= _IN_DOUBT
        if closed:
            parent.close(child)
        fault = ""
        if revived or (new_lots and before is _ABSENT):
            gone = "refused" if child.status_hint is OrdStatus.REJECTED else "proven absent"
            fault = f"order {child.order.cl_ord_id} is alive although it was {gone}"
        elif child.over_lots and new_lots:
            fault = f"order {child.order.cl_ord_id} was filled {child.over_lots} lots beyond its quantity"
        return Effect(new_lots=new_lots, closed=closed, fault=fault, life_moved=child.life is not before)

    def _set_check(self, child: Child, happened: Happened, now_ns: int, limits: Limits) -> None:
        """When the order should be looked at next, after an event that counted."""
        if child.life is _IN_DOUBT:
            if happened is _SILENT or child.checks == 0:
                lag = self.venues[child.venue].capabilities.lookup_lag_ns
                child.check_ns = max(now_ns, child.sent_ns + lag) + limits.query_first_ns
            else:
                child.check_ns = now_ns + limits.backoff_ns(child.checks)
        elif child.life is _LIVE:
            if child.pending is not _NOTHING_PENDING:
                child.check_ns = max(child.check_ns, now_ns + limits.query_first_ns)
            elif happened is _CANCEL_REFUSED or happened is _SEEN_OPEN or happened is Happened.CANCEL_NOT_SENT:
                # Refused, unsent or seen alive: ask again, but never in a tight loop with a venue that keeps saying no.
                child.checks += 1
                child.unseen = child.unseen or happened is _CANCEL_REFUSED
                child.check_ns = now_ns + limits.backoff_ns(child.checks)
                if child.rests and not child.cancel_wanted:
                    child.check_ns = child.expire_ns
            elif child.cancel_wanted:
                child.check_ns = now_ns
            elif child.rests:
                child.check_ns = child.expire_ns
            else:
                child.check_ns = now_ns + limits.ack_timeout_ns

    def _proven_absent(self, child: Child) -> bool:
        """D3: looked up after the bound and not found, a cancel refused as unknown, and nothing ever heard of it.

        Answers do not say which lookup they belong to, so as many as were sent too early are not counted; and one that
        says when the venue gave it must have been given after the bound, for it may have been long on its way.
        """
        if child.early_queries:
            child.early_queries -= 1
            return False
        if child.life is not _IN_DOUBT or child.heard or not child.cancel_unknown:
            return False
        proof = self.proof_ns(child)
        return proof is not None and child.queried_ns >= proof and not 0 < child.told_ns < proof

    def _enter(self, parent: Parent, child: Child) -> None:
        """Ledger, own book and exposure follow every change of a child."""
        before = child.held_working + child.held_doubt
        parent.ledger.enter(child)
        after = child.held_working + child.held_doubt
        book = self.book_of(parent)
        book.open_lots[child.order.side] += after - before
        if parent.order.reduce_only:  # whether or not the venue has a flag for it
            side = child.order.position_side
            book.reducing[side] = book.reducing.get(side, 0) + after - before
        if child.rests:
            rests = book.rests[child.order.side]
            if after:
                rests[child.order.cl_ord_id] = child
            else:
                rests.pop(child.order.cl_ord_id, None)
            self._follow(child)

    def _follow(self, child: Child) -> None:
        """Have the place of a resting order followed from when it is known to rest until it is known to be gone."""
        before = child.stood
        if child.life is _LIVE:
            now = (child.price_ticks, child.qty_lots, child.counted_lots)
            if now != before:
                child.stood = now
                anew = before is None or not self._keeps_place(child, before)
                filled_before = 0 if before is None else child.counted_lots if anew else before[2]
                self.out.append(self._stand(child, anew=anew, filled=child.counted_lots > filled_before))
        elif before is not None and child.closed:  # in doubt it may rest still, and then where it stood
            child.stood = None
            self.out.append(Gone(child.venue, child.order.symbol, child.order.cl_ord_id))

    def restate(self, child: Child) -> None:
        """Whoever follows its place may be new, or may have lost it."""
        if child.stood is not None:
            self.out.append(self._stand(child, anew=False, filled=False))

    def _keeps_place(self, child: Child, before: tuple[int, int, int]) -> bool:
        """Whether its present terms leave it where it was in the queue."""
        price_ticks, qty_lots, _ = before
        if child.price_ticks != price_ticks:
            return False
        cut = child.qty_lots < qty_lots and self.venues[child.venue].capabilities.amend_keeps_priority_on_size_down
        return cut or child.qty_lots == qty_lots

    def _stand(self, child: Child, *, anew: bool, filled: bool) -> Stand:
        order = child.order
        shown = self.venues[child.venue].capabilities.book_shows_own
        own = OwnRest(
            order.cl_ord_id,
            order.side,
            child.price_ticks,
            child.leaves_lots,
            child.told_ns,
            shown,
            filled,
        )
        return Stand(child.parent_no, child.venue, order.symbol, own, anew)

    @staticmethod
    def _refused(child: Child, how: str) -> str:
        return f"order {child.order.cl_ord_id}: the venue broke its contract: {how}"


def _broken(report: ExecutionReport, child: Child) -> str:
    """How a report contradicts what the venue has said before, or itself, or ""; such a report changes nothing."""
    if report.exec_type is _TRADE:
        if report.last_lots <= 0 or report.last_ticks <= 0 or not report.exec_id:
            return "a trade without quantity, price or id"
        known = child.by_exec.get(report.exec_id)
        if known is not None:
            first = child.trades[known][0]
            if (first.last_lots, first.last_ticks) != (report.last_lots, report.last_ticks):
                return f"trade {report.exec_id} came a second time with other terms"
    elif report.exec_type is ExecType.REJECTED or report.ord_status is OrdStatus.REJECTED:
        known_of = isinstance(child.verdict(_H_REJECTED), Refuse) or (child.life is _IN_DOUBT and child.heard)
        if known_of and happened_of(report, child) is _H_REJECTED:
            return "it was refused, and had been heard of"
    return ""


def key_of(parent: Parent) -> BookKey:
    """Where a parent trades."""
    return parent.venue, parent.order.account, parent.instrument.symbol


def ref_of(child: Child) -> OrderRef:
    """How a venue is told which order is meant."""
    return OrderRef(cl_ord_id=child.order.cl_ord_id, symbol=child.order.symbol, venue_order_id=child.venue_order_id)


def _end_status(report: ExecutionReport) -> OrdStatus:
    """The terminal OrdStatus that a report stands for."""
    if report.ord_status is not None:
        return report.ord_status
    if report.exec_type is ExecType.EXPIRED:
        return OrdStatus.EXPIRED
    return OrdStatus.REJECTED if report.exec_type is ExecType.REJECTED else OrdStatus.CANCELED
