"""What the engine did, in the order it did it. `order` is the engine's own object: numbers of the moment stand beside.

A request is answered by exactly one of Accepted, Rejected, Amended, AmendRejected, Canceled or CancelRejected; trades,
the end of what may not rest, and what the request did to other orders follow it.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from sor.orders import RejectKind
from venues.matching.orders import Order


class Cause(StrEnum):
    """Why an order was cancelled."""

    REQUEST = "request"
    SELF_TRADE = "self_trade"
    REDUCE_ONLY = "reduce_only"
    AMEND = "amend"


class Accepted(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The order is valid and was taken; trades of its arrival follow."""

    order: Order
    ts_ns: int


class Rejected(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The order was refused and left no trace."""

    order: Order
    ts_ns: int
    kind: RejectKind
    text: str


class Trade(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One match, both sides. `trade_id` counts from 1; `*_cum_lots` and fees are each side's as of this trade."""

    trade_id: int
    ts_ns: int
    price_ticks: int
    lots: int
    taker: Order
    maker: Order
    taker_cum_lots: int
    maker_cum_lots: int
    taker_fee_atoms: int
    maker_fee_atoms: int


class Canceled(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The order left the book, or stopped matching, with `canceled_lots` undone."""

    order: Order
    ts_ns: int
    canceled_lots: int
    cause: Cause


class CancelRejected(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """There was nothing left to cancel."""

    order: Order
    ts_ns: int


class Expired(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a MARKET, IOC or FOK order could not do at once: `expired_lots` > 0."""

    order: Order
    ts_ns: int
    expired_lots: int


class Amended(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Asked-for new terms: total quantity and price; trades follow when the new price crosses."""

    order: Order
    ts_ns: int
    order_lots: int
    price_ticks: int
    kept_priority: bool


class AmendRejected(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The order stays as it was."""

    order: Order
    ts_ns: int
    kind: RejectKind
    text: str


class Resized(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The engine cut a reduce-only order to what its position still allows; `order_lots` is the new total."""

    order: Order
    ts_ns: int
    order_lots: int


OrderEvent = Accepted | Rejected | Canceled | CancelRejected | Expired | Amended | AmendRejected | Resized
"""About one order; a trade is about two."""
Event = OrderEvent | Trade
