"""What a venue that matches against a displayed book refuses: terms that are not valid, and meetings that may not be.

Pure; prices signed by side as everywhere in `venues.simulated.tape_market`: larger is more aggressive for both.
"""

from __future__ import annotations

from sor.adapter import NewOrder
from sor.instruments import Instrument
from sor.orders import OrdType, PositionSide, RejectKind, Side, Tif
from venues.simulated.tape_market import FAR
from venues.simulated.tape_owner import Take

Refusal = tuple[RejectKind, str]
"""Why a request changes nothing, and the same in words."""
USED: Refusal = (RejectKind.DUPLICATE_ID, "this client order id was used before")
UNKNOWN: Refusal = (RejectKind.UNKNOWN_ORDER, "no such order")


def terms_refusal(new: NewOrder, instrument: Instrument, *, position_lots: int, opposite_signed: int) -> Refusal | None:
    """Why a new order is not valid at all, or None.

    opposite_signed    the best price that it could meet, `FAR` for none.
    """
    if new.symbol != instrument.symbol:
        return RejectKind.BAD_TERMS, f"{new.symbol} is not traded here"
    if new.position_side is not PositionSide.BOTH:
        return RejectKind.BAD_TERMS, "positions are one-way"
    price_ticks = new.price_ticks
    if new.ord_type is OrdType.MARKET:
        if opposite_signed == FAR:
            return RejectKind.NO_LIQUIDITY, "nothing rests on the other side"
        price_ticks = abs(opposite_signed)
        rests = False
    else:
        if new.tif is Tif.GTD:
            return RejectKind.BAD_TERMS, "good-till-date is not offered"
        rests = new.tif is Tif.GTC
    if new.post_only and not rests:
        return RejectKind.BAD_TERMS, "a post-only order must be able to rest"
    if new.reduce_only and -new.side * position_lots <= 0:
        return RejectKind.NOTHING_TO_REDUCE, "there is no position that it would reduce"
    return size_refusal(instrument, new.qty_lots, price_ticks=price_ticks)


def size_refusal(instrument: Instrument, qty_lots: int, *, price_ticks: int) -> Refusal | None:
    """Why a price and a quantity are not valid, or None."""
    if price_ticks <= 0:
        return RejectKind.BAD_TERMS, f"price {price_ticks} ticks is not positive"
    least_lots = instrument.min_lots_at(price_ticks)
    if qty_lots < least_lots:
        return RejectKind.BAD_TERMS, f"quantity {qty_lots} lots is below the minimum of {least_lots} at its price"
    if instrument.max_qty_lots and qty_lots > instrument.max_qty_lots:
        return RejectKind.BAD_TERMS, f"quantity {qty_lots} lots is above the maximum of {instrument.max_qty_lots}"
    return None


def cross_refusal(
    side: Side,
    takes: list[Take],
    left_lots: int,
    *,
    opposite_signed: int,
    own_signed: int,
    limit_signed: int,
    post_only: bool,
) -> Refusal | None:
    """Why an order may not meet what it would meet, or None. It reaches its limit unless what it takes is enough.

    takes, left_lots    what it would take, and what that leaves of it.
    own_signed          the best price of an own order that it could meet.
    """
    if post_only and opposite_signed <= limit_signed:
        return RejectKind.WOULD_TAKE, "post-only order would take"
    if own_signed <= (limit_signed if left_lots else side * takes[-1].price_ticks):
        return RejectKind.SELF_TRADE, "an order of the same owner rests there"
    return None
