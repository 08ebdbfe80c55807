"""Looks after the venues of a running router: positions, open orders, dead-man's switches.

What it does is in the background and never in the way of orders: a venue that cannot be asked is asked again later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import anyio
import msgspec

from sor.adapter import DeadMan, OrderRef, VenueAdapter
from sor.child import Child
from sor.commands import Alarm
from sor.dispatch import Dispatcher
from sor.errors import CallerError, InDoubt, NotSent
from sor.events import PositionKnown
from sor.ids import ClOrdId, Symbol, VenueName
from sor.instruments import canonical_symbol
from sor.orders import PositionSide
from sor.router import Core
from sor.settings import Settings
from sor.units import NS

POSITION_QUIET_NS = 5 * NS
"""A venue's word on a position counts where no fill of ours is younger than this: account reads lag behind fills."""
POSITION_RETRY_S = 1.0
"""Positions that could not be read at all are asked for again after this."""


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """What a reconciliation found: our live orders, strays, which were canceled, and how many are others'.

    A stray carries our mark, and yet nobody works it: it is not in our journal, or was over before the venue was asked.
    """

    ours: tuple[ClOrdId, ...]
    strays: tuple[ClOrdId, ...]
    foreign: int


class Caretaker:
    """Looks after the venues of one router.

    core, dispatcher    the router's. alarm: takes what somebody should look at.
    """

    def __init__(
        self,
        core: Core,
        dispatcher: Dispatcher,
        *,
        settings: Settings,
        adapters: Sequence[VenueAdapter],
        alarm: Callable[[Alarm], None],
    ) -> None:
        self._core = core
        self._dispatcher = dispatcher
        self._settings = settings
        self._adapters = tuple(adapters)
        self._alarm = alarm

    # --- open orders --------------------------------------------------------------------------------------------

    async def reconcile(self, symbol: str | None = None) -> Reconciled:
        """Set the venues' open orders beside ours: strays of our own epoch are canceled, others are not touched.

        symbol     only this one, in any spelling. Raises `NotSent` or `InDoubt` when a venue cannot be asked.
        """
        core = self._core
        wanted = None if symbol is None else canonical_symbol(symbol)
        ours: list[ClOrdId] = []
        strays: list[ClOrdId] = []
        foreign = 0
        for adapter in self._adapters:
            codec = adapter.capabilities.client_ids
            asked_ns = self._now()
            working = {child.order.cl_ord_id for child in open_children(core)}
            for order in await adapter.open_orders():
                if wanted is not None and order.symbol != wanted:
                    continue
                child = core.desk.children.get(order.cl_ord_id)
                owned = codec.decode(order.cl_ord_id)
                if child is not None and child.venue != adapter.name:
                    child = None
                if child is not None and (order.cl_ord_id in working or child.sent_ns >= asked_ns):
                    ours.append(order.cl_ord_id)
                elif child is not None or (owned is not None and owned.epoch == core.desk.epoch):
                    # Turns were lost with the power, or the venue took back an end that it had told.
                    strays.append(order.cl_ord_id)
                    adapter.cancel(
                        OrderRef(cl_ord_id=order.cl_ord_id, symbol=order.symbol, venue_order_id=order.venue_order_id)
                    )
                else:
                    foreign += 1
        return Reconciled(ours=tuple(ours), strays=tuple(strays), foreign=foreign)

    async def keep_reconciled(self) -> None:
        """Go on setting the venues' open orders beside ours; one that cannot be asked is asked again next time."""
        while True:
            await anyio.sleep(self._settings.reconcile_s)
            if self._dispatcher.fault is not None:
                return
            try:
                found = await self.reconcile()
            except (NotSent, InDoubt) as error:
                self._alarm(Alarm(0, VenueName(""), f"open orders were not reconciled: {error}", halts=False))
                continue
            if found.strays:
                text = f"{len(found.strays)} stray orders of our mark are withdrawn: {', '.join(found.strays)}"
                self._alarm(Alarm(0, VenueName(""), text, halts=False))

    # --- dead-man's switches ------------------------------------------------------------------------------------

    async def arm_dead_man(self, adapter: VenueAdapter) -> None:
        """Arm a venue's switch for the first time. Raises `CallerError` where it may not be (R2)."""
        scope = adapter.capabilities.dead_man
        if scope is DeadMan.NONE:
            raise CallerError(
                f"{adapter.name} has no dead-man's switch; nothing was started. Set dead_man_s to 0 and accept that "
                "orders stay when this machine dies"
            )
        if scope in (DeadMan.ACCOUNT, DeadMan.PER_SYMBOL) and not self._settings.exclusive:
            raise CallerError(
                f"the dead-man's switch of {adapter.name} cancels orders of others too ({scope.value}); nothing was "
                "started. Declare the account exclusive, or set dead_man_s to 0"
            )
        await adapter.arm_dead_man(self._settings.dead_man_s)

    async def keep_dead_man(self, adapter: VenueAdapter) -> None:
        """Say that we are alive, three times as often as needed, as long as we can look after what rests."""
        while True:
            await anyio.sleep(self._settings.dead_man_s / 3)
            if self._dispatcher.fault is not None:
                return  # let it fire
            try:
                await adapter.arm_dead_man(self._settings.dead_man_s)
            except (NotSent, InDoubt) as error:
                self._alarm(Alarm(0, adapter.name, f"the dead-man's switch was not renewed: {error}", halts=False))

    async def disarm_dead_man(self, adapter: VenueAdapter) -> None:
        """Nothing of ours rests: an armed switch would only cancel what is placed by hand later."""
        try:
            await adapter.arm_dead_man(0)
        except (NotSent, InDoubt):
            return  # it fires on an empty account

    # --- positions ----------------------------------------------------------------------------------------------

    async def learn_positions(self, adapter: VenueAdapter) -> bool:
        """Take the venue's word on positions where nothing of ours can have changed them lately (R5).

        Returns    whether it could be read; where it could not, reduce-only parents wait.
        """
        still_ns = self._now() - POSITION_QUIET_NS
        try:
            account = await adapter.account()
        except (NotSent, InDoubt):
            return False
        stated = {(position.symbol, position.position_side): position.qty_lots for position in account.positions}
        modes = adapter.capabilities.position_modes
        for venue, symbol in tuple(self._core.instruments):
            book = self._core.desk.books.get((venue, self._settings.account, symbol))
            if venue != adapter.name or not (book is None or book.still_since(still_ns)):
                continue
            for side in PositionSide:
                lots = stated.get((symbol, side), 0)
                known = None if book is None else book.positions.get(side)
                if side in modes and known != lots:
                    self._take_position(adapter.name, symbol, side, lots=lots, known=known)
        return True

    def _take_position(
        self, venue: VenueName, symbol: Symbol, side: PositionSide, *, lots: int, known: int | None
    ) -> None:
        if known is not None:
            text = (
                f"{symbol} on {venue}: the venue has {lots} lots, with our fills it should be {known}. Somebody else "
                "traded there, or it was liquidated; the venue's word counts from now on"
            )
            self._alarm(Alarm(0, venue, text, halts=False))
        if self._dispatcher.fault is not None:
            raise self._dispatcher.fault
        self._dispatcher.post(
            PositionKnown(
                now_ns=self._now(),
                venue=venue,
                account=self._settings.account,
                symbol=symbol,
                position_side=side,
                qty_lots=lots,
            )
        )

    async def keep_positions(self, adapter: VenueAdapter, learned: bool) -> None:
        """Go on setting the venue's positions beside ours, sooner as long as nothing could be read at all."""
        every_s = self._settings.positions_s
        while every_s or not learned:
            await anyio.sleep(every_s if learned else min(POSITION_RETRY_S, every_s or POSITION_RETRY_S))
            if self._dispatcher.fault is not None:
                return
            learned = await self.learn_positions(adapter) or learned

    def _now(self) -> int:
        return self._dispatcher.scheduler.now_ns()


def open_children(core: Core) -> Iterator[Child]:
    """Every order that is, or may be, at a venue."""
    return (child for parent in core.at_work.values() for child in parent.open_children)
