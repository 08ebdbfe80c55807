"""What an adapter has to know of the orders that earlier processes sent, out of the state that the journal gives.

A process that dies takes with it what its adapter knew: what of an order was told fill by fill, and whose fees it was
going to ask for. Without that, what fills of such an order is only known as a total, at an estimated price, and its
fees are never settled. An order of which a total is known but not every fill cannot be gone on with.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from sor.adapter import RecalledOrder
from sor.child import Child
from sor.desk import ref_of
from sor.ids import VenueName
from sor.orders import ExecutionReport, FeeSource, OrdType, Tif
from sor.router import Core

SETTLED = (FeeSource.WS_SETTLED, FeeSource.REST_SETTLED)


def recalled(core: Core, venue: VenueName) -> Iterator[RecalledOrder]:
    """Orders at `venue`, oldest first, whose fills are all known, and that may be open or have fees to be settled.

    Not those of retired parents: whoever asks for fees has given up long before, and what is told late all the same
    finds its order (`Desk.order`).
    """
    for parent in core.parents.working.values():
        if parent.venue != venue:
            continue
        for child in parent.children:
            if child.sum_lots != child.counted_lots:
                continue
            fills = tuple(_as_settled(trade) for trade, _ in child.trades)
            if not child.closed or any(fill.fee_atoms is None for fill in fills):
                yield _order(child, fills)


def _as_settled(trade: ExecutionReport) -> ExecutionReport:
    """A fill with its fee, if that is the venue's word."""
    if trade.fee_source in SETTLED:
        return trade
    return msgspec.structs.replace(trade, fee_atoms=None, fee_source=None)


def _order(child: Child, fills: tuple[ExecutionReport, ...]) -> RecalledOrder:
    order = child.order
    is_maker: bool | None = None
    if order.post_only:
        is_maker = True
    elif order.ord_type is OrdType.MARKET or order.tif in {Tif.IOC, Tif.FOK}:
        is_maker = False
    return RecalledOrder(
        ref=ref_of(child),
        side=order.side,
        qty_lots=child.qty_lots,
        price_ticks=child.price_ticks,
        is_maker=is_maker,
        sent_ns=child.sent_ns,
        end=child.status if child.closed else None,
        fills=fills,
    )
