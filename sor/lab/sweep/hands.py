"""What a lone parent has at the venue: its orders, and what becomes of the placements that a decision wants.

As `sor.placement` and `sor.desk` have it, for one parent that nobody shares a side with; the risk gate is production's.
"""

from __future__ import annotations

from typing import Final, Protocol

from sor.adapter import AmendModel, Capabilities
from sor.desk import VenueState
from sor.events import TradingMode
from sor.ids import ClOrdId
from sor.lab.sweep.exchange import AMEND, CANCEL, LIVE, NOTHING, Sent
from sor.limits import Limits
from sor.market import MarketView
from sor.own_book import OwnBook
from sor.parent import Parent
from sor.placement import fitting, matched
from sor.policy import Decision, Placement, Rest, Take
from sor.reasons import Denial
from sor.revisit import Revisit
from sor.risk import Proposal, deny
from sor.snapshot import Resting, View

_ACTIVE: Final = TradingMode.ACTIVE


class Surroundings(Protocol):
    """What a parent needs of whoever runs it."""

    def market(self) -> MarketView:
        """As known now."""

    def decided(self, view: View) -> Decision:
        """What the policy answers, after the invariants."""

    def arm(self, at_ns: int) -> None:
        """Call `Solo.woke` then, and not when that was asked for before; `NEVER` for never."""

    def watch(self, revisit: Revisit | None, seen: MarketView) -> None:
        """Call `Solo.revisited` when a market condition comes true, and for none before; None for none at all."""

    def place(self, sent: Sent) -> None:
        """Send a new order."""

    def cancel(self, sent: Sent) -> None:
        """Ask for it to be withdrawn."""

    def amend(self, sent: Sent, *, qty_lots: int, price_ticks: int) -> None:
        """Ask for other terms."""

    def stands(self, sent: Sent, *, anew: bool, filled: bool) -> None:
        """It is known to rest under its terms, at a new place or where it stood; some of it has just been filled."""

    def resting(self, sent: Sent, market: MarketView) -> Resting:
        """What a view says of an order that is known to rest."""

    def next_id(self, child_no: int) -> ClOrdId:
        """The client id of its order of that number, from 1."""


class Hands:
    """See the module.

    open           orders that may still fill, oldest first. orders: how many were ever sent. requotes: moved.
    filled_lots    of the whole parent. pace: how often it sends.
    """

    __slots__ = (
        "_around",
        "_book",
        "_can_amend",
        "_instrument",
        "_limits",
        "_order_lots",
        "_parent",
        "_side",
        "_sign",
        "_venue",
        "filled_lots",
        "open",
        "orders",
        "pace",
        "requotes",
    )

    def __init__(self, around: Surroundings, parent: Parent, *, limits: Limits, capabilities: Capabilities) -> None:
        """`parent` carries its terms for the risk gate; nothing of it is changed."""
        self._around = around
        self._parent = parent
        self._order_lots = parent.ledger.order_lots
        self._side = parent.side
        self._sign = int(parent.side)  # as the compiled steps take it
        self._instrument = parent.instrument
        self._limits = limits
        self._venue = VenueState(capabilities)
        self._venue.up = True
        self._book = OwnBook()
        self._can_amend = capabilities.amend is AmendModel.NATIVE_SAME_ID
        self.pace = self._venue.pace(parent.order.account)
        self.open: list[Sent] = []
        self.orders = self.requotes = self.filled_lots = 0

    def withdraw(self, sent: Sent, now_ns: int) -> None:
        """It is to go: a cancel leaves now, or as soon as it is known to be there."""
        sent.cancel_wanted = True
        if sent.pending == AMEND:
            sent.pending = NOTHING
        if sent.life == LIVE and not sent.pending:
            self.send_cancel(sent, now_ns)

    def send_cancel(self, sent: Sent, now_ns: int) -> None:
        """A cancel leaves."""
        self.pace.withdrawing(now_ns)
        sent.pending = CANCEL
        sent.check_ns = now_ns + self._limits.ack_timeout_ns
        self._around.cancel(sent)

    def carry_out(self, view: View, wanted: tuple[Placement, ...]) -> tuple[int, int, int]:
        """Keep what is as wanted, withdraw the rest, place what is missing: orders placed, denied, and withdrawn."""
        now_ns = view.now_ns
        standing = self.open and [
            sent for sent in self.open if sent.expire_ns and sent.life == LIVE and not sent.cancel_wanted
        ]
        kept, unmatched, missing = matched(standing, wanted, least=self._instrument.min_qty_lots)
        for sent, expire_ns in kept:
            sent.expire_ns = sent.check_ns = expire_ns
        if unmatched and len(unmatched) == len(missing) == 1 and self._moves(unmatched[0], *missing[0], view):
            return 1, 0, 0
        if unmatched:
            for sent in unmatched:
                self.withdraw(sent, now_ns)
            self.requotes += any(isinstance(want, Rest) for want, _ in missing)
            return 0, 0, len(unmatched)
        if not missing:
            return 0, 0, 0
        placed, denials = self._place_all(missing, view)
        return placed, denials, 0

    def _out_lots(self) -> int:
        """What is at the venue."""
        return sum([sent.leaves_lots for sent in self.open]) if self.open else 0

    def _denied(self, proposal: Proposal, view: View, out_lots: int) -> Denial | None:
        self._book.open_lots[self._side] = out_lots
        return deny(
            proposal,
            parent=self._parent,
            book=self._book,
            venue=self._venue,
            market=view.market,
            mode=_ACTIVE,
            limits=self._limits,
            now_ns=view.now_ns,
        )

    def _moves(self, sent: Sent, want: Placement, lots: int, view: View) -> bool:
        """Amend an order to what is wanted instead, where venue and gate allow it."""
        if not self._can_amend or sent.no_amend or sent.pending or not isinstance(want, Rest):
            return False
        out_lots = self._out_lots()
        lots = min(lots, self._order_lots - self.filled_lots - out_lots + sent.leaves_lots)
        lots = fitting(self._parent, lots, want.price_ticks, self._limits)
        if self._denied(Proposal(takes=False, lots=lots, ticks=want.price_ticks), view, out_lots) is not None:
            return False
        now_ns = view.now_ns
        sent.pending = AMEND
        sent.asked_lots, sent.asked_ticks = sent.counted_lots + lots, want.price_ticks
        sent.reserved_lots = max(sent.qty_lots, sent.asked_lots)
        sent.check_ns = now_ns + self._limits.ack_timeout_ns
        sent.expire_ns = want.expire_ns
        self.pace.sends.append(now_ns)
        self.pace.withdrawing(now_ns)
        self.requotes += 1
        self._around.amend(sent, qty_lots=sent.asked_lots, price_ticks=want.price_ticks)
        return True

    def _place_all(self, missing: list[tuple[Placement, int]], view: View) -> tuple[int, int]:
        """Send what is missing: how many orders were placed, and how many denied."""
        placed = denials = 0
        now_ns, out_lots = view.now_ns, self._out_lots()
        for want, wanted_lots in missing:
            if isinstance(want, Take):
                takes, ticks, expire_ns = True, want.collar_ticks, 0
            else:
                takes, ticks, expire_ns = False, want.price_ticks, want.expire_ns
            lots = min(wanted_lots, self._order_lots - self.filled_lots - out_lots)
            lots = fitting(self._parent, lots, ticks, self._limits)
            if lots <= 0:
                continue
            if self._denied(Proposal(takes=takes, lots=lots, ticks=ticks), view, out_lots) is not None:
                denials += 1
                continue
            out_lots += lots
            self.orders += 1
            sent = Sent(self._around.next_id(self.orders), self._sign, lots, ticks, now_ns, expire_ns)
            sent.check_ns = now_ns + self._limits.ack_timeout_ns
            self.open.append(sent)
            self.pace.sends.append(now_ns)
            self._around.place(sent)
            placed += 1
        return placed, denials
