"""What of ours rests at a venue by the venue's own word, told by the mark in the order's id, and taking it away (R2).

Nothing here needs a router: this is what is left to do when there is none, or none that can be relied upon.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import anyio
import msgspec

from sor.adapter import OpenOrder, OrderRef, RequestFailed, Scheduler, VenueAdapter
from sor.events import TradingMode
from sor.ids import ClOrdId, ClOrdIdCodec
from sor.instruments import Instrument
from sor.market import MarketEvent
from sor.orders import ExecutionReport
from sor.units import NS

AGAIN_S: Final = 1.0
"""How long a cancel is given before the open orders are read again."""


class Withdrawn(msgspec.Struct, frozen=True, kw_only=True):
    """What became of our orders at a venue.

    asked     those that a cancel was asked for. left: those that were there still when it was read last.
    proven    nothing was left, and that was read when nothing that had been sent could arrive any more.
    """

    asked: tuple[ClOrdId, ...]
    left: tuple[ClOrdId, ...]
    proven: bool


class Deaf:
    """A sink that hears nothing: what became of a cancel is read off the open orders."""

    def execution(self, event: ExecutionReport | RequestFailed) -> None:
        """Not heard."""

    def market(self, event: MarketEvent) -> None:
        """Not heard."""

    def instrument(self, instrument: Instrument) -> None:
        """Not heard."""

    def link(self, up: bool, reason: str) -> None:
        """Not heard."""


def marked(orders: Sequence[OpenOrder], codec: ClOrdIdCodec, *, epoch: int, mode: TradingMode) -> list[OpenOrder]:
    """Those of a journal that may not rest in `mode`: all of them, or those that do not only close."""
    found: list[OpenOrder] = []
    for order in orders:
        owned = codec.decode(order.cl_ord_id)
        if owned is not None and owned.epoch == epoch and not (mode is TradingMode.REDUCE_ONLY and owned.closing):
            found.append(order)
    return found


def settled_ns(adapter: VenueAdapter, last_sent_ns: int) -> int | None:
    """From when on what was sent by `last_sent_ns` has arrived or never will, and shows where it rests (D3).

    None where the venue gives no such bound.
    """
    capabilities = adapter.capabilities
    if not capabilities.receive_window_ns:
        return None
    return last_sent_ns + capabilities.receive_window_ns + capabilities.clock_error_ns + capabilities.lookup_lag_ns


async def withdraw(
    adapter: VenueAdapter,
    scheduler: Scheduler,
    *,
    epoch: int,
    mode: TradingMode,
    last_sent_ns: int,
    patience_s: float,
) -> Withdrawn:
    """Cancel what of a journal may not rest, until the venue's open orders hold none of it.

    adapter         connected; its sink need not hear anything.
    last_sent_ns    nothing is sent by anybody else after this: until it can have arrived, none being there is no proof.
    Raises          `NotSent` or `InDoubt` when the open orders cannot be read within `patience_s`.
    """
    asked: dict[ClOrdId, None] = {}
    left: list[OpenOrder] = []
    final_ns = settled_ns(adapter, last_sent_ns)
    until_ns = max(scheduler.now_ns(), final_ns or 0) + round(patience_s * NS)
    while True:
        read_ns = scheduler.now_ns()
        left = marked(await adapter.open_orders(), adapter.capabilities.client_ids, epoch=epoch, mode=mode)
        proven = not left and final_ns is not None and read_ns >= final_ns
        if proven or read_ns >= until_ns or (not left and final_ns is None):
            return Withdrawn(asked=tuple(asked), left=tuple(one.cl_ord_id for one in left), proven=proven)
        for order in left:
            asked[order.cl_ord_id] = None
            adapter.cancel(
                OrderRef(cl_ord_id=order.cl_ord_id, symbol=order.symbol, venue_order_id=order.venue_order_id)
            )
        await anyio.sleep(AGAIN_S)
