"""The risk gate: the last thing between a placement and a venue, always on (R8). It denies, it never changes a price.

Quantities may be cut (to what is free, to the venue's maximum, to what is left to reduce); prices may not.
"""

from __future__ import annotations

from typing import Final

import msgspec

from sor.desk import VenueState
from sor.events import TradingMode
from sor.limits import Limits
from sor.market import MarketView
from sor.orders import Side
from sor.own_book import OwnBook
from sor.parent import Parent
from sor.pricing import collar_ticks
from sor.reasons import Denial


class Proposal(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One order as it would be sent: `ticks` is the limit of one that rests and the collar of one that takes."""

    takes: bool
    lots: int
    ticks: int


# Members by name: CPython 3.11 takes longer to read a member off its enum than to compare it, and these are read for
# every report.
_BUY: Final = Side.BUY
_HALTED: Final = TradingMode.HALTED
_REDUCE_ONLY: Final = TradingMode.REDUCE_ONLY


def reducible_lots(parent: Parent, book: OwnBook) -> int | None:
    """What a reduce-only parent may still close, open exits of others already taken off; None while unknown (P1)."""
    side = parent.order.position_side
    position = book.positions.get(side)
    if position is None:
        return None
    held = -position if parent.side is _BUY else position
    return max(0, held) - book.reducing.get(side, 0)


def deny(
    proposal: Proposal,
    *,
    parent: Parent,
    book: OwnBook,
    venue: VenueState,
    market: MarketView,
    mode: TradingMode,
    limits: Limits,
    now_ns: int,
) -> Denial | None:
    """Why the proposal may not be sent, or None."""
    if mode is _HALTED:
        return Denial.KILL_SWITCH
    if mode is _REDUCE_ONLY and not parent.order.reduce_only:
        return Denial.REDUCE_ONLY_MODE
    if book.halted:
        return Denial.SYMBOL_HALTED
    if not venue.up:
        return Denial.VENUE_DOWN
    if not (proposal.takes or venue.capabilities.post_only):
        return Denial.NOT_SUPPORTED  # without the flag an order that is to rest may take
    order = parent.order
    if venue.capabilities.states_positions and not order.reduce_only and order.position_side not in book.positions:
        return Denial.POSITION_UNKNOWN  # what it would add to is not known, so its limit cannot be kept
    return (
        _price(proposal, parent, market, limits)
        or _size(proposal, parent, book, limits)
        or _own(proposal, parent, book)
        or _pace(proposal, parent, venue, limits, now_ns)
    )


def _pace(proposal: Proposal, parent: Parent, venue: VenueState, limits: Limits, now_ns: int) -> Denial | None:
    """How often may we? What rests will have to be withdrawn: where too much is withdrawn already, nothing new rests.

    Cancels themselves never pass here.
    """
    capabilities, pace = venue.capabilities, venue.pace(parent.order.account)
    if pace.rate_full(now_ns, min(limits.orders_per_s_max, capabilities.orders_per_s)):
        return Denial.ORDER_RATE
    if proposal.takes:
        return None
    per_s = limits.cancels_per_s_max
    if capabilities.cancels_per_s:
        per_s = min(per_s, capabilities.cancels_per_s)
    if pace.withdraw_rate_full(now_ns, per_s):
        return Denial.CANCEL_RATE
    return Denial.CANCEL_RATIO if pace.cancels_too_much(now_ns, limits) else None


def _price(proposal: Proposal, parent: Parent, market: MarketView, limits: Limits) -> Denial | None:
    side, ticks = parent.side, proposal.ticks
    ladder = market.ladder(side)
    if not ladder or ticks < 1:
        return Denial.NO_MARKET
    if parent.limit_ticks is not None and side * (ticks - parent.limit_ticks) > 0:
        return Denial.LIMIT_PRICE
    touch = ladder[0][0]
    if proposal.takes:
        if side * (touch - ticks) > 0:
            # The touch is already beyond the worst price allowed: with a limit that is the limit's doing.
            return Denial.LIMIT_PRICE if ticks == parent.limit_ticks else Denial.COLLAR
        worst = collar_ticks(side, touch_ticks=touch, collar_bps=limits.collar_bps)
        return Denial.COLLAR if side * (ticks - worst) > 0 else None
    return Denial.WOULD_TAKE if side * (ticks - touch) >= 0 else None


def _size(proposal: Proposal, parent: Parent, book: OwnBook, limits: Limits) -> Denial | None:
    instrument = parent.instrument
    lots, ticks = proposal.lots, proposal.ticks
    if lots < instrument.min_qty_lots:
        return Denial.MIN_QTY
    order, open_lots = parent.order, book.open_lots
    units = lots if instrument.inverse else lots * ticks
    if units < instrument.min_value_units and not order.reduce_only:
        return Denial.MIN_NOTIONAL
    if instrument.max_qty_lots and lots > instrument.max_qty_lots:
        return Denial.MAX_QTY
    value = instrument.value
    if value(lots, ticks) > limits.order_notional_max:
        return Denial.ORDER_NOTIONAL
    if value(sum(open_lots.values()) + lots, ticks) > limits.open_notional_max:
        return Denial.OPEN_NOTIONAL
    if not order.reduce_only:
        # As if everything that is open on this side filled: parents of one side may not add up to what one may not do.
        position = book.positions.get(order.position_side, 0)
        after = abs(position + parent.side * (open_lots[parent.side] + lots))
        if after > abs(position) and value(after, ticks) > limits.position_notional_max:
            return Denial.POSITION_NOTIONAL
    return None


def _own(proposal: Proposal, parent: Parent, book: OwnBook) -> Denial | None:
    """Opposite parents never trade with each other (P4)."""
    side = parent.side
    opposite = side.opposite
    if not proposal.takes and opposite in book.crosser:
        return Denial.SELF_TRADE  # somebody waits to take from this side: nothing new may be put in the way
    for child in book.rests[opposite].values():
        if side * (proposal.ticks - child.boldest_ticks) >= 0:
            return Denial.SELF_TRADE
    return None
