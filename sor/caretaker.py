"""Looks after the venues of a running router: positions, open orders, dead-man's switches, leverage.

What it does is in the background and never in the way of orders: a venue that cannot be asked is asked again later.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

import anyio
import msgspec

from sor.adapter import AccountState, DeadMan, OpenOrder, OrderRef, VenueAdapter
from sor.child import Child
from sor.commands import Alarm
from sor.dispatch import Dispatcher
from sor.errors import CallerError, InDoubt, NotSent, SorError, VenueFault
from sor.events import PositionKnown
from sor.ids import ClOrdId, StrategyId, Symbol, VenueName
from sor.instruments import canonical_symbol
from sor.leverage import LeverageClaims
from sor.orders import PositionSide
from sor.parent import Parent
from sor.refresh import Refresh
from sor.router import Core
from sor.settings import Settings
from sor.units import NS

POSITION_QUIET_NS = 5 * NS
"""A venue's word on a position counts where no fill of ours is younger than this: account reads lag behind fills."""
POSITION_RETRY_S = 1.0
"""Positions that could not be read at all are asked for again after this."""
_UNANSWERED = (CallerError, NotSent, InDoubt, VenueFault)
"""What a question may end with instead of an answer. A refusal is one of them: a venue that refuses a question now (a
clock that was set, a setting in progress, a key without a right) is asked again later, and nobody is stopped by it."""


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """What a reconciliation found: our live orders, strays, which were canceled, and how many are others'.

    A stray carries our mark, and yet nobody works it: it is not in our journal, or was over before the venue was asked.
    """

    ours: tuple[ClOrdId, ...]
    strays: tuple[ClOrdId, ...]
    foreign: int


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue says of the account. None: it could not be asked, and `failures` say why."""

    account: AccountState | None
    open_orders: tuple[OpenOrder, ...] | None
    failures: tuple[SorError, ...] = ()


async def read_books(adapter: VenueAdapter, *, orders: bool = True) -> Books:
    """Ask for account and, if `orders`, for open orders at the same time; one that cannot be had fails no other."""
    account: AccountState | None = None
    open_orders: tuple[OpenOrder, ...] | None = None
    failures: list[SorError] = []

    async def read_account() -> None:
        nonlocal account
        try:
            account = await adapter.account()
        except _UNANSWERED as error:
            failures.append(error)

    async def read_orders() -> None:
        nonlocal open_orders
        try:
            open_orders = await adapter.open_orders()
        except _UNANSWERED as error:
            failures.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read_account)
        if orders:
            tasks.start_soon(read_orders)
    return Books(account=account, open_orders=open_orders, failures=tuple(failures))


Listener = Callable[[VenueName, Books], None]
"""Who wants to know what a venue said of the account after fills."""


class Caretaker:
    """Looks after the venues of one router.

    core, dispatcher    the router's. alarm: takes what somebody should look at.
    listener            told what each read after fills has brought.
    """

    def __init__(
        self,
        core: Core,
        dispatcher: Dispatcher,
        *,
        settings: Settings,
        adapters: Sequence[VenueAdapter],
        alarm: Callable[[Alarm], None],
        listener: Listener | None,
    ) -> None:
        self._core = core
        self._dispatcher = dispatcher
        self._settings = settings
        self._adapters = tuple(adapters)
        self._alarm = alarm
        self._listener = listener
        self._refreshes = {adapter.name: Refresh() for adapter in self._adapters}
        self._pokes = {adapter.name: anyio.Event() for adapter in self._adapters}
        self._claims = LeverageClaims(core)
        self._locks: dict[tuple[VenueName, Symbol], anyio.Lock] = {}
        self._clamped: dict[tuple[VenueName, Symbol], tuple[Decimal, int]] = {}

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
            except _UNANSWERED as error:
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
            except _UNANSWERED as error:
                self._alarm(Alarm(0, adapter.name, f"the dead-man's switch was not renewed: {error}", halts=False))

    async def disarm_dead_man(self, adapter: VenueAdapter) -> None:
        """Nothing of ours rests: an armed switch would only cancel what is placed by hand later."""
        try:
            await adapter.arm_dead_man(0)
        except _UNANSWERED:
            return  # it fires on an empty account

    # --- positions ----------------------------------------------------------------------------------------------

    async def learn_positions(self, adapter: VenueAdapter) -> bool:
        """Take the venue's word on positions where nothing of ours can have changed them lately (R5).

        Returns    whether it could be read; where it could not, reduce-only parents wait.
        """
        asked_ns = self._now()
        books = await read_books(adapter, orders=False)
        if books.account is None:
            return False
        self._take_positions(adapter, books.account, asked_ns)
        return True

    def _take_positions(self, adapter: VenueAdapter, account: AccountState, asked_ns: int) -> None:
        """Set the positions that were asked for at `asked_ns` beside ours."""
        still_ns = asked_ns - POSITION_QUIET_NS
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

    # --- the account after fills --------------------------------------------------------------------------------

    def heard(self, parent: Parent) -> None:
        """A venue has reported something of a parent: if it was a fill, its account is read again soon (B5)."""
        filled_ns = self._core.desk.book_of(parent).filled_ns
        if filled_ns and self._refreshes[parent.venue].filled(parent.instrument.symbol, filled_ns):
            self._pokes[parent.venue].set()

    async def keep_refreshed(self, adapter: VenueAdapter) -> None:
        """Go on reading the account after fills, as `sor.refresh` says when."""
        refresh = self._refreshes[adapter.name]
        while self._dispatcher.fault is None:
            now_ns, next_ns = self._now(), refresh.next_ns()
            if next_ns is not None and next_ns <= now_ns:
                await self._refresh(adapter, refresh)
                continue
            poke = self._pokes[adapter.name] = anyio.Event()
            with anyio.move_on_after(None if next_ns is None else (next_ns - now_ns) / NS):
                await poke.wait()

    async def _refresh(self, adapter: VenueAdapter, refresh: Refresh) -> None:
        asked_ns = self._now()
        symbols = refresh.begin(asked_ns)
        books = await read_books(adapter, orders=self._listener is not None)
        if self._dispatcher.fault is not None:
            return
        if self._listener is not None:
            self._listener(adapter.name, books)
        if books.account is None:
            if not refresh.failed(self._now()):
                text = f"the account could not be read after fills, and is not tried again: {books.failures[0]}"
                self._alarm(Alarm(0, adapter.name, text, halts=False))
            return
        self._take_positions(adapter, books.account, asked_ns)
        later: dict[Symbol, int] = {}
        for symbol in symbols:
            own = self._core.desk.books.get((adapter.name, self._settings.account, symbol))
            if own is not None and own.filled_ns >= asked_ns - POSITION_QUIET_NS:
                later[symbol] = own.filled_ns + POSITION_QUIET_NS + 1
        refresh.done(self._now(), later=later)

    # --- leverage -----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def alone(self, venue: VenueName, symbol: Symbol) -> AsyncIterator[None]:
        """Nobody else enters this symbol with a leverage meanwhile; does not wait, or yield, while nobody does."""
        lock = self._locks.get((venue, symbol))
        if lock is None:
            lock = self._locks[venue, symbol] = anyio.Lock()
        try:
            lock.acquire_nowait()
        except anyio.WouldBlock:
            await lock.acquire()
        try:
            yield
        finally:
            lock.release()

    async def set_leverage(
        self, adapter: VenueAdapter, symbol: Symbol, *, strategy: StrategyId, leverage: Decimal
    ) -> int:
        """See to the leverage that an order is to enter with; call it, and submit the order, within `alone`.

        Returns    what is in force, which is an alarm where it is not what was asked for (B4).
        Raises     `CallerError` where another strategy holds on to another one (B3), or the venue refuses it;
                   `NotSent` where it could not be set: whatever became of it, the order was not sent (B1).
        """
        if not leverage.is_finite() or leverage <= 0:
            raise CallerError(f"leverage {leverage} is not a positive number; nothing was sent")
        key = (adapter.name, self._settings.account, symbol)
        claim = self._claims.against(key, strategy=strategy, leverage=leverage)
        if claim is not None:
            raise CallerError(
                f"strategy {strategy!r} wants leverage {leverage} for {symbol} on {adapter.name}, where strategy "
                f"{claim.strategy!r} has {claim.leverage} and still has a parent at work or a position; nothing was "
                "sent. Leverage belongs to the account: ask for the same, or wait until that is closed"
            )
        try:
            done = await adapter.set_leverage(symbol, leverage)
        except NotSent as error:
            raise NotSent(
                f"leverage {leverage} for {symbol} on {adapter.name} was not set, so the order was not sent: {error}"
            ) from error
        except (InDoubt, VenueFault) as error:
            raise NotSent(
                f"whether {symbol} on {adapter.name} has leverage {leverage} now is not known, so the order was not "
                f"sent: {error}"
            ) from error
        told = done.asked, done.in_force
        if done.clamped and self._clamped.get((adapter.name, symbol)) != told:
            self._clamped[adapter.name, symbol] = told
            text = (
                f"{symbol} on {adapter.name}: leverage {done.asked} was asked for by {strategy!r}, {done.in_force} is "
                "in force: it is rounded down and capped"
            )
            self._alarm(Alarm(0, adapter.name, text, halts=False))
        return done.in_force

    def _now(self) -> int:
        return self._dispatcher.scheduler.now_ns()


def open_children(core: Core) -> Iterator[Child]:
    """Every order that is, or may be, at a venue."""
    return (child for parent in core.at_work.values() for child in parent.open_children)
