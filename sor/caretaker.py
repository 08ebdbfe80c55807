"""Looks after the venues of a running router: positions, open orders, dead-man's switches, leverage.

What it does is in the background and never in the way of orders: a venue that cannot be asked is asked again later.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from decimal import Decimal

import anyio
import msgspec

from sor.adapter import AccountState, DeadMan, OpenOrder, VenueAdapter
from sor.balances import BalanceReconciler
from sor.child import Child
from sor.commands import Alarm
from sor.dispatch import Dispatcher
from sor.errors import CallerError, InDoubt, NotSent, SorError, VenueFault
from sor.ids import StrategyId, Symbol, VenueName
from sor.instruments import canonical_symbol
from sor.parent import Parent
from sor.reconciliation import UNANSWERED, Reconciled, Reconciler
from sor.refresh import Refresh
from sor.router import Core
from sor.settings import Settings
from sor.units import NS

POSITION_RETRY_S = 1.0
"""Positions that could not be read at all are asked for again after this."""
POSITION_AGAIN_S = 5.1
"""Positions that differ from ours are asked for again after this: one reading alone does not count."""
ROUND_GAP_S = 5.0
"""A venue that comes and goes is not reconciled more often than this."""
DEAD_MAN_AGAIN_S = 1.0
"""A dead-man's switch that was not renewed is asked again after this; BingX allows one such request a second."""


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
        except UNANSWERED as error:
            failures.append(error)

    async def read_orders() -> None:
        nonlocal open_orders
        try:
            open_orders = await adapter.open_orders()
        except UNANSWERED as error:
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
        self._disarmed: dict[VenueName, anyio.Event] = {}
        self._pokes = {adapter.name: anyio.Event() for adapter in self._adapters}
        self._returned = anyio.Event()
        self._reconciler = Reconciler(core, dispatcher, settings=settings)
        self._balances = BalanceReconciler(core, dispatcher, settings=settings)
        self._unread: dict[VenueName, None] = {}
        self._uncounted: dict[VenueName, None] = {}
        self._locks: dict[tuple[VenueName, Symbol], anyio.Lock] = {}
        self._clamped: dict[tuple[VenueName, Symbol], tuple[Decimal, int]] = {}

    # --- reconciliation -----------------------------------------------------------------------------------------

    async def meet(self, adapter: VenueAdapter) -> Reconciled:
        """Set a venue's open orders beside ours before anything else is done there.

        Raises     `CallerError` where orders of another journal rest and nobody has said what they are; `NotSent` or
                   `InDoubt` when it cannot be asked. Nothing was sent then.
        """
        return await self._reconciler.orders(adapter, starting=True)

    async def reconcile(self, symbol: str | None = None) -> Reconciled:
        """Set the venues' open orders and fills beside ours: strays are canceled, others are not touched.

        symbol     open orders of this one only, in any spelling. Raises `NotSent` or `InDoubt` when a venue cannot be
                   asked.
        """
        wanted = None if symbol is None else canonical_symbol(symbol)
        return all_of([await self._reconcile(adapter, wanted) for adapter in self._adapters])

    async def _reconcile(self, adapter: VenueAdapter, wanted: Symbol | None) -> Reconciled:
        found = await self._reconciler.orders(adapter, wanted)
        await self._reconciler.fills(adapter)
        return found

    def came_back(self) -> None:
        """A venue's link stands again: what was missed meanwhile is looked for soon."""
        self._returned.set()

    async def keep_reconciled(self) -> None:
        """Go on setting the venues' books beside ours; one that cannot be asked is asked again next time."""
        every_s = self._settings.reconcile_s
        while True:
            await anyio.sleep(min(ROUND_GAP_S, every_s) if every_s else ROUND_GAP_S)
            with anyio.move_on_after(max(0.0, every_s - ROUND_GAP_S) if every_s else None):
                await self._returned.wait()
            self._returned = anyio.Event()
            if self._dispatcher.fault is not None:
                return
            for adapter in self._adapters:
                try:
                    await self._reconcile(adapter, None)
                except UNANSWERED as error:
                    text = f"open orders and fills were not reconciled: {error}"
                    self._alarm(Alarm(0, adapter.name, text, halts=False))

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
        """Have the switch, which is armed, armed while anything of ours rests and no longer; let it fire on a fault.

        It is renewed three times as often as needed, on a beat that waits for no answer: one that is slow or lost costs
        a beat and not the next one. What comes to rest while it is disarmed has it armed as soon as that is known; for
        the first beat it stays as the start has armed it: taking it back at once would only stand in the way of that,
        where a venue (BingX) takes such a request once a second.
        """
        every_s = self._settings.dead_man_s / 3
        armed = True
        await anyio.sleep(every_s)
        while self._dispatcher.fault is None:
            began_ns = self._dispatcher.now_ns()
            rests = self._rests(adapter.name)
            waits_s = every_s
            if rests or armed:
                try:
                    with anyio.move_on_after(every_s) as patience:
                        await adapter.arm_dead_man(self._settings.dead_man_s if rests else 0)
                    armed = rests or patience.cancelled_caught
                except UNANSWERED as error:
                    armed = True  # it may be
                    waits_s = min(every_s, DEAD_MAN_AGAIN_S)
                    if rests:
                        text = f"the dead-man's switch was not renewed, and is asked again: {error}"
                        self._alarm(Alarm(0, adapter.name, text, halts=False))
            if armed:
                await anyio.sleep(max(0.0, waits_s - (self._dispatcher.now_ns() - began_ns) / NS))
            elif not self._rests(adapter.name):
                disarmed = self._disarmed[adapter.name] = anyio.Event()
                with anyio.move_on_after(every_s):
                    await disarmed.wait()
        if not armed and self._rests(adapter.name):
            # It came to rest an instant before the fault, and nobody will look after it any more: let that fire, too.
            await self._set_dead_man(adapter, self._settings.dead_man_s)

    def _rests(self, venue: VenueName) -> bool:
        return any(child.rests and child.venue == venue for child in open_children(self._core))

    async def leave_dead_man(self, adapter: VenueAdapter) -> None:
        """Nobody renews the switch from now on: where something of ours may be left it is armed, to fire.

        Where nothing is, it is disarmed: it would only cancel what is placed by hand later.
        """
        left = any(child.venue == adapter.name for child in open_children(self._core))
        await self._set_dead_man(adapter, self._settings.dead_man_s if left else 0)

    async def _set_dead_man(self, adapter: VenueAdapter, timeout_s: float) -> None:
        """Once; if it cannot be, it stays as it is, and at worst fires on an empty account."""
        with suppress(*UNANSWERED):
            await adapter.arm_dead_man(timeout_s)

    # --- positions ----------------------------------------------------------------------------------------------

    async def learn_positions(self, adapter: VenueAdapter) -> bool:
        """Set the venue's word on positions beside ours (R5).

        Returns    whether it could be read; where it could not, reduce-only parents wait.
        """
        asked_ns = self._dispatcher.now_ns()
        books = await read_books(adapter, orders=False)
        if books.account is None:
            return False
        await self._take_positions(adapter, books.account, asked_ns)
        return True

    async def _take_positions(self, adapter: VenueAdapter, account: AccountState, asked_ns: int) -> None:
        try:
            await self._reconciler.positions(adapter, account, asked_ns)
        except UNANSWERED as error:
            if adapter.name not in self._unread:
                text = f"positions differ from what fills make them, and the fills could not be read: {error}"
                self._alarm(Alarm(0, adapter.name, text, halts=False))
            self._unread[adapter.name] = None
        else:
            self._unread.pop(adapter.name, None)
        try:
            await self._balances.take(adapter, account, asked_ns)
        except UNANSWERED as error:
            if adapter.name not in self._uncounted:
                text = f"the wallet is not what is known of it, and the changes of it could not be read: {error}"
                self._alarm(Alarm(0, adapter.name, text, halts=False))
            self._uncounted[adapter.name] = None
        else:
            self._uncounted.pop(adapter.name, None)

    async def keep_positions(self, adapter: VenueAdapter, learned: bool) -> None:
        """Go on setting the venue's positions beside ours, sooner as long as nothing could be read, or they differ."""
        every_s = self._settings.positions_s
        while every_s or not learned or self._reconciler.differs(adapter.name):
            if not learned:
                pause_s = POSITION_RETRY_S
            elif self._reconciler.differs(adapter.name):
                pause_s = POSITION_AGAIN_S
            else:
                pause_s = every_s
            await anyio.sleep(min(pause_s, every_s or pause_s))
            if self._dispatcher.fault is not None:
                return
            learned = await self.learn_positions(adapter) or learned

    # --- the account after fills --------------------------------------------------------------------------------

    def heard(self, parent: Parent) -> None:
        """A venue has reported something of a parent: if it was a fill, its account is read again soon (B5)."""
        disarmed = self._disarmed.get(parent.venue)
        if disarmed is not None and not disarmed.is_set() and any(child.rests for child in parent.open_children):
            disarmed.set()
        filled_ns = self._core.desk.book_of(parent).filled_ns
        if filled_ns and self._refreshes[parent.venue].filled(parent.instrument.symbol, filled_ns):
            self._pokes[parent.venue].set()

    async def keep_refreshed(self, adapter: VenueAdapter) -> None:
        """Go on reading the account after fills, as `sor.refresh` says when."""
        refresh = self._refreshes[adapter.name]
        while self._dispatcher.fault is None:
            now_ns, next_ns = self._dispatcher.now_ns(), refresh.next_ns()
            if next_ns is not None and next_ns <= now_ns:
                await self._refresh(adapter, refresh)
                continue
            poke = self._pokes[adapter.name] = anyio.Event()
            with anyio.move_on_after(None if next_ns is None else (next_ns - now_ns) / NS):
                await poke.wait()

    async def _refresh(self, adapter: VenueAdapter, refresh: Refresh) -> None:
        asked_ns = self._dispatcher.now_ns()
        symbols = refresh.begin(asked_ns)
        books = await read_books(adapter, orders=self._listener is not None)
        if self._dispatcher.fault is not None:
            return
        if self._listener is not None:
            self._listener(adapter.name, books)
        if books.account is None:
            if not refresh.failed(self._dispatcher.now_ns()):
                text = f"the account could not be read after fills, and is not tried again: {books.failures[0]}"
                self._alarm(Alarm(0, adapter.name, text, halts=False))
            return
        await self._take_positions(adapter, books.account, asked_ns)
        again = {symbol: self._reconciler.again_ns(adapter.name, symbol, asked_ns) for symbol in symbols}
        refresh.done(
            self._dispatcher.now_ns(), later={symbol: at_ns for symbol, at_ns in again.items() if at_ns is not None}
        )

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
        claim = self._core.claims.against(key, strategy=strategy, leverage=leverage)
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


def all_of(found: Sequence[Reconciled]) -> Reconciled:
    """What was found at several venues, together."""
    return Reconciled(
        ours=tuple(cl_ord_id for one in found for cl_ord_id in one.ours),
        strays=tuple(cl_ord_id for one in found for cl_ord_id in one.strays),
        foreign=sum(one.foreign for one in found),
        neighbours=tuple(cl_ord_id for one in found for cl_ord_id in one.neighbours),
    )


def open_children(core: Core) -> Iterator[Child]:
    """Every order that is, or may be, at a venue."""
    return (child for parent in core.parents.at_work.values() for child in parent.open_children)
