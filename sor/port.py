"""The execution port: one venue behind the verbs that a strategy framework knows (P2).

connect, disconnect, `state`, `refresh_state`, `submit_intent`, `cancel`, `reconcile`. It adds no machinery to the
router's: what it answers was journaled and is what `sor explain` tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

import anyio
import msgspec

from sor.adapter import AccountState, OpenOrder, VenueAdapter
from sor.caretaker import Books, read_books
from sor.engine import Router
from sor.errors import CallerError, InDoubt, NotSent
from sor.ids import ClOrdId, ParentId, Symbol, VenueName
from sor.instruments import Instrument, canonical_symbol
from sor.orders import ExecutionReceipt, ExecutionReport, Intent, ParentStatus
from sor.reconciliation import Reconciled
from sor.settings import Settings


class CancelVerdict(StrEnum):
    """How a cancel was answered."""

    ACK = "CANCEL_ACK"
    """It is known to be gone, and the cancel is why."""
    REJECT = "CANCEL_REJECT"
    """There is no such order, or it ended otherwise: filled, expired, refused."""


class CancelAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a cancel; `filled` is what was traded of it."""

    order: str
    verdict: CancelVerdict
    status: ParentStatus | None
    filled: Decimal
    text: str


class Source(StrEnum):
    """Where a snapshot comes from."""

    VENUE = "venue"
    KEPT = "kept"
    """A read failed, and what was known before stands in."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The account as the venue tells it (B11).

    capital         free to trade with; equity: what the account is worth, the venue's figure. Both in `asset`.
    positions       signed quantity in the venue's unit, by symbol, flat ones left out; hedge-mode sides are netted.
    open_orders     everything that rests, also what is not ours; open_notional: its value in quote units.
    account         as it was read; stale: a part of this is older than `ts_ns` says, as its read failed.
    history         TRADE reports since `since_ns` when history was asked for.
    recovered       what the reconciliation found when the port connected.
    """

    ts_ns: int
    capital: Decimal
    equity: Decimal
    asset: str
    positions: Mapping[Symbol, Decimal]
    open_orders: tuple[OpenOrder, ...]
    open_notional: Decimal
    account: AccountState
    source: Source
    stale: bool
    history: tuple[ExecutionReport, ...] = ()
    recovered: Reconciled | None = None


class ExecutionPort:
    """One venue's port. `connect` and `disconnect` belong to one task, as an async context manager does."""

    def __init__(self, settings: Settings, adapter: VenueAdapter) -> None:
        self.router = Router(settings, venues=[adapter])
        self._adapter = adapter
        self._state: State | None = None
        self.router.follow(self._after_fills)

    @property
    def state(self) -> State:
        """The last snapshot; costs nothing. Raises `CallerError` before `connect`.

        It follows fills by itself, in the background: never in the way of an order, so a little later (B5).
        """
        if self._state is None:
            raise CallerError("the port is not connected; nothing was sent. Await connect() first")
        return self._state

    async def connect(self) -> State:
        """Start the router, settle what the journal left open, and read the account.

        Raises as entering a `Router` does, and as `refresh_state` when the account cannot be read.
        """
        await self.router.__aenter__()
        try:
            return await self.refresh_state()
        except BaseException:
            await self.disconnect()
            raise

    async def disconnect(self) -> None:
        """Withdraw everything and stop. Raises `InDoubt`, naming what could not be confirmed gone."""
        self._state = None
        await self.router.__aexit__(None, None, None)

    async def refresh_state(self, symbol: str | None = None, *, history: bool = False, since_ns: int = 0) -> State:
        """Read account and open orders at the same time, each with the last snapshot to fall back on.

        symbol     keep only this symbol's positions and orders; any spelling.
        history    also the account's trades from `since_ns`, venue time, on.
        Raises     `NotSent`, `InDoubt` or `VenueFault` when something cannot be read that was never read before.
        """
        fills: tuple[ExecutionReport, ...] = ()
        failed: list[NotSent | InDoubt] = []
        books = Books(account=None, open_orders=None)

        async def read_account() -> None:
            nonlocal books
            books = await read_books(self._adapter)

        async def read_history() -> None:
            nonlocal fills
            try:
                fills = await self._adapter.fills_since(since_ns)
            except (NotSent, InDoubt) as error:
                failed.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read_account)
            if history:
                tasks.start_soon(read_history)
        state = self._merged(books, fills, stale=bool(books.failures or failed))
        if state is None:
            raise books.failures[0]
        self._state = state
        return state if symbol is None else self._only(state, canonical_symbol(symbol))

    def _after_fills(self, venue: VenueName, books: Books) -> None:
        """The router has read the account in the background: the snapshot follows, unless it is younger (B5)."""
        del venue  # there is one
        last = self._state
        if last is None or (books.account is not None and books.account.venue_ns < last.account.venue_ns):
            return
        self._state = self._merged(books, last.history, stale=bool(books.failures))

    def _merged(self, books: Books, fills: tuple[ExecutionReport, ...], *, stale: bool) -> State | None:
        """What was read, with the last snapshot in the place of what could not be; None when that is not there."""
        last = self._state
        account = books.account or (None if last is None else last.account)
        orders = books.open_orders
        if orders is None and last is not None:
            orders = last.open_orders
        return None if account is None or orders is None else self._snapshot(account, orders, fills, stale=stale)

    async def submit_intent(self, intent: Intent) -> ExecutionReceipt:
        """Carry an intent out; see `Router.submit_intent`."""
        return await self.router.submit_intent(intent)

    async def cancel(self, order: ParentId | ClOrdId, reason: str = "") -> CancelAnswer:
        """Withdraw a parent, named by its own id or by one of its orders', and wait until that is known.

        Waits as long as the venue leaves it in doubt. Raises `JournalFault` when the router had to stop meanwhile.
        """
        core = self.router.core
        parent = core.by_id.get(ParentId(order))
        if parent is None:
            child = core.desk.order(ClOrdId(order))
            parent = None if child is None else core.parents[child.parent_no - 1]
        if parent is None:
            return CancelAnswer(
                order=order,
                verdict=CancelVerdict.REJECT,
                status=None,
                filled=Decimal(0),
                text="there is no such order; nothing was sent",
            )
        asked = not parent.ended
        if asked:
            self.router.cancel(parent.id, reason)
        await self.router.handle(parent.id).ended()
        acknowledged = asked and parent.status is ParentStatus.CANCELED
        return CancelAnswer(
            order=order,
            verdict=CancelVerdict.ACK if acknowledged else CancelVerdict.REJECT,
            status=parent.status,
            filled=parent.instrument.quantity(parent.ledger.cum_lots),
            text="" if acknowledged else f"it ended {parent.status.value} before the cancel could count",
        )

    async def reconcile(self, symbol: str | None = None) -> Reconciled:
        """Set the venue's open orders beside ours, of one symbol or of all; see `Router.reconcile`."""
        return await self.router.reconcile(symbol)

    def _snapshot(
        self, account: AccountState, orders: tuple[OpenOrder, ...], fills: tuple[ExecutionReport, ...], *, stale: bool
    ) -> State:
        positions: dict[Symbol, int] = {}
        for position in account.positions:
            positions[position.symbol] = positions.get(position.symbol, 0) + position.qty_lots
        return State(
            ts_ns=account.venue_ns,
            capital=account.available,
            equity=account.equity,
            asset=account.asset,
            positions={symbol: self._instrument(symbol).quantity(lots) for symbol, lots in positions.items() if lots},
            open_orders=orders,
            open_notional=self._value(orders),
            account=account,
            source=Source.KEPT if stale else Source.VENUE,
            stale=stale,
            history=fills,
            recovered=self.router.recovered,
        )

    def _only(self, state: State, symbol: Symbol) -> State:
        orders = tuple(order for order in state.open_orders if order.symbol == symbol)
        return msgspec.structs.replace(
            state,
            positions={name: lots for name, lots in state.positions.items() if name == symbol},
            open_orders=orders,
            open_notional=self._value(orders),
            history=tuple(fill for fill in state.history if fill.symbol == symbol),
        )

    def _value(self, orders: tuple[OpenOrder, ...]) -> Decimal:
        values = (self._instrument(order.symbol).notional(order.leaves_lots, order.price_ticks) for order in orders)
        return sum(values, Decimal(0))

    def _instrument(self, symbol: Symbol) -> Instrument:
        return self.router.core.in_force.instruments[self._adapter.name, symbol]
