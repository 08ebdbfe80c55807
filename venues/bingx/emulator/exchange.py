"""The exchange: takes orders of customers, tells what became of them, and keeps time.

Every refusal is a `Refusal` that is returned; nothing is raised at a caller. What happened is told to the listeners
before a call returns, in the order in which it happened.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from sor.adapter import Scheduler
from venues.bingx.emulator.accounts import TradingAccount
from venues.bingx.emulator.desk import AccountDesk
from venues.bingx.emulator.events import Listener
from venues.bingx.emulator.history import History
from venues.bingx.emulator.listen_keys import ListenKeys
from venues.bingx.emulator.orders import OrderAsk, OrderKey, OrderRow
from venues.bingx.emulator.pit import Pit
from venues.bingx.emulator.refusals import Refusal
from venues.bingx.emulator.settings import Settings, Switches


class Unchanged(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One order that a mass cancel could not cancel."""

    order_id: int
    client_id: str
    refusal: Refusal


class Canceled(msgspec.Struct, frozen=True, kw_only=True):
    """What a mass cancel did."""

    done: tuple[OrderRow, ...]
    failed: tuple[Unchanged, ...]


class Replaced(msgspec.Struct, frozen=True, kw_only=True):
    """Both halves of a cancelReplace. `placed` is None where the failed cancel stopped it.

    canceled    the order as it was before it was cancelled.
    """

    canceled: OrderRow | Refusal
    placed: OrderRow | Refusal | None


class Countdown(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """cancelAllAfter: `trigger_ms` is 0 when it is off."""

    active: bool
    trigger_ms: int


class Exchange:
    """One emulated BingX.

    accounts      by name. `account` finds one by its API key.
    pits          one per contract, by symbol: the book, public trades, marks.
    history       questions about orders, fills and income.
    desk          balances, positions, leverage, margin types, position modes.
    listen_keys   of account streams.
    switches      what may be changed while it runs.
    """

    def __init__(self, scheduler: Scheduler, settings: Settings) -> None:
        self.scheduler = scheduler
        self.settings = settings
        self.switches = Switches()
        self.accounts: dict[str, TradingAccount] = {}
        self.pits: dict[str, Pit] = {}
        self.history: History
        self.desk: AccountDesk
        self.listen_keys: ListenKeys

    def listen(self, listener: Listener) -> None:
        """Tell `listener` everything from now on."""
        raise NotImplementedError

    def now_ms(self) -> int:
        """The exchange's clock."""
        raise NotImplementedError

    def account(self, api_key: str) -> TradingAccount | None:
        """Whose API key it is; the account holds the secret."""
        raise NotImplementedError

    def pit(self, symbol: str) -> Pit | Refusal:
        """The market of a contract that trades; 109425 for an unknown one, 109415 for a paused one."""
        raise NotImplementedError

    # --- orders ---------------------------------------------------------------------------------------------------

    def place(self, account: TradingAccount, ask: OrderAsk) -> OrderRow | Refusal:
        """Take a new order: as it stands once it has been matched."""
        raise NotImplementedError

    def check(self, account: TradingAccount, ask: OrderAsk) -> OrderRow | Refusal:
        """The test order: everything is checked, nothing is done, and its id belongs to no order."""
        raise NotImplementedError

    def cancel(self, account: TradingAccount, key: OrderKey) -> OrderRow | Refusal:
        """Cancel one order; once a second per order."""
        raise NotImplementedError

    def cancel_many(self, account: TradingAccount, keys: tuple[OrderKey, ...]) -> Canceled:
        """Cancel several, each on its own."""
        raise NotImplementedError

    def cancel_all(self, account: TradingAccount, *, symbol: str = "", kind: str = "") -> Canceled | Refusal:
        """Cancel all live orders of one symbol, or of all for "", of one type, or of all for ""."""
        raise NotImplementedError

    def cancel_replace(
        self, account: TradingAccount, key: OrderKey, ask: OrderAsk, *, stop_on_failure: bool, restriction: str = ""
    ) -> Replaced:
        """Cancel one order, then place another: two steps.

        stop_on_failure    place nothing when the cancel fails (STOP_ON_FAILURE), else place anyway (ALLOW_FAILURE).
        restriction        ONLY_NEW, ONLY_PENDING or ONLY_PARTIALLY_FILLED: cancel only an order in that state.
        """
        raise NotImplementedError

    def amend(self, account: TradingAccount, key: OrderKey, qty: Decimal) -> OrderRow | Refusal:
        """Change a resting order's total quantity."""
        raise NotImplementedError

    def close_positions(self, account: TradingAccount, *, symbol: str = "") -> tuple[OrderRow | Refusal, ...]:
        """Close every position (of one symbol, or of all for "") with MARKET orders; what is pending to close stays."""
        raise NotImplementedError

    def close_position(self, account: TradingAccount, position_id: int) -> OrderRow | Refusal:
        """Close one position with a MARKET order."""
        raise NotImplementedError

    def cancel_all_after(self, account: TradingAccount, *, timeout_s: int) -> Countdown | Refusal:
        """Cancel all orders of the account in `timeout_s` seconds (10 to 120) unless asked again; 0 switches it off."""
        raise NotImplementedError
