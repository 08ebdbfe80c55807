"""What a venue is to the router: capabilities as data, commands out, one stream of facts in.

The adapter hides that venues answer over one channel and push over another (D10): whatever it learns of an order, it
hands to the sink once, in the venue's order, as an `ExecutionReport`. Commands return at once and never raise for
business reasons: every outcome arrives through the sink as a report or as a `RequestFailed`. Nothing here blocks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec

from sor.ids import ClOrdId, ClOrdIdCodec, Symbol, VenueName, VenueOrderId
from sor.instruments import Instrument
from sor.market import MarketEvent, MarketView
from sor.orders import AccountFill, ExecutionReport, OrdStatus, OrdType, PositionSide, Side, Tif
from sor.revisit import Revisit


class AmendModel(StrEnum):
    """What the venue offers when an order should change."""

    NONE = "none"
    NATIVE_SAME_ID = "native_same_id"
    NATIVE_NEW_ID = "native_new_id"
    CANCEL_REPLACE = "cancel_replace"


class AckModel(StrEnum):
    """What a positive answer to a new order means."""

    ENGINE = "engine"
    GATEWAY_ONLY = "gateway_only"
    REPORT_ONLY = "report_only"


class ReduceOnly(StrEnum):
    """How the venue is told that an order may only reduce a position."""

    FLAG = "flag"
    IMPLIED_BY_MODE = "implied_by_mode"
    NONE = "none"


class DeadMan(StrEnum):
    """Scope of the venue's dead-man's switch."""

    NONE = "none"
    PER_SYMBOL = "per_symbol"
    ACCOUNT = "account"
    TAG = "tag"
    CONNECTION = "connection"


class SelfTrade(StrEnum):
    """What the venue does when two orders of one account would trade with each other."""

    ALLOWED = "allowed"
    CANCEL_TAKER = "cancel_taker"
    CANCEL_MAKER = "cancel_maker"
    CANCEL_BOTH = "cancel_both"


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue can do, as data, read per session (D11). The router asks these, never the venue's name.

    lookup_lag_ns        a lookup sooner than this after a send may not find a live order yet.
    receive_window_ns    the venue refuses a request that arrives later than its timestamp plus this; 0: no such bound,
                         and an order in doubt then stays in doubt until there is positive evidence.
    market_bound_bps     how far from the touch the venue itself lets a MARKET order trade; None: no such bound.
    marks                the venue publishes a mark price, so a parent waits until it is known.
    asks_while_down      cancels and lookups go on while the link is down: they have another way than its pushes.
    cancels_per_s        how many cancels and amends a second the venue takes; 0: it does not count them.
    states_positions     the account may hold what we did not trade, and `account` states it: until it has been read no
                         position is known to be zero.
    book_shows_own       the sizes of its book have our own resting orders in them.
    """

    client_ids: ClOrdIdCodec
    tif: frozenset[Tif] = frozenset({Tif.GTC, Tif.IOC})
    post_only: bool = True
    post_only_failure_async: bool = False
    reduce_only: ReduceOnly = ReduceOnly.FLAG
    amend: AmendModel = AmendModel.NONE
    amend_keeps_priority_on_size_down: bool = False
    ack_model: AckModel = AckModel.ENGINE
    query_by_client_id: bool = True
    lookup_lag_ns: int = 0
    receive_window_ns: int = 0
    clock_error_ns: int = 0
    fills_lookup: bool = True
    dead_man: DeadMan = DeadMan.NONE
    self_trade: SelfTrade = SelfTrade.ALLOWED
    position_modes: frozenset[PositionSide] = frozenset({PositionSide.BOTH})
    market_bound_bps: float | None = None
    marks: bool = False
    asks_while_down: bool = False
    venue_may_reprice: bool = False
    venue_may_resize: bool = False
    orders_per_s: float = 10.0
    submit_rtt_ns: int = 50_000_000
    cancel_rtt_ns: int = 50_000_000
    book_shows_own: bool = True
    cancels_per_s: float = 0.0
    states_positions: bool = False


class NewOrder(msgspec.Struct, frozen=True, gc=False, kw_only=True, array_like=True):
    """One order as it goes to a venue. `price_ticks` is 0 for MARKET."""

    cl_ord_id: ClOrdId
    symbol: Symbol
    side: Side
    ord_type: OrdType
    qty_lots: int
    price_ticks: int = 0
    tif: Tif = Tif.GTC
    post_only: bool = False
    reduce_only: bool = False
    position_side: PositionSide = PositionSide.BOTH


class OrderRef(msgspec.Struct, frozen=True, gc=False, kw_only=True, array_like=True):
    """How an existing order is named to a venue: its own id where known, else ours."""

    cl_ord_id: ClOrdId
    symbol: Symbol
    venue_order_id: VenueOrderId = VenueOrderId("")


class Request(StrEnum):
    """Which command an outcome belongs to."""

    PLACE = "place"
    CANCEL = "cancel"
    AMEND = "amend"
    QUERY = "query"


class Reach(StrEnum):
    """How far a failed request got."""

    NOT_SENT = "not_sent"
    IN_DOUBT = "in_doubt"


class RequestFailed(msgspec.Struct, frozen=True, gc=False, kw_only=True, array_like=True):
    """A command without an answer from the venue: it never left (`not_sent`), or nobody knows (`in_doubt`)."""

    cl_ord_id: ClOrdId
    request: Request
    reach: Reach
    code: str = ""
    text: str = ""


class Position(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A position as the venue states it; `qty_lots` is signed, long positive."""

    symbol: Symbol
    qty_lots: int
    position_side: PositionSide = PositionSide.BOTH


class MoneyCause(StrEnum):
    """What changed a wallet."""

    FEE = "fee"
    REALISED = "realised"
    """Profit or loss of what was closed, whoever closed it."""
    FUNDING = "funding"
    TRANSFER = "transfer"
    """A deposit, a withdrawal, or a transfer between wallets of the customer."""
    OTHER = "other"
    """Something else that the venue has a word for: insurance, a deduction, a bonus."""
    UNEXPLAINED = "unexplained"
    """The wallet is stated so, and the venue's own list of changes does not say why. No entry has it."""


class MoneyEntry(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One change of a wallet, as the venue's list of them has it; positive when money came.

    entry_id    the same whenever the list is read, and no other entry's. word: the venue's own, for the record.
    """

    entry_id: str
    cause: MoneyCause
    word: str
    amount: Decimal
    asset: str
    venue_ns: int


class AccountState(msgspec.Struct, frozen=True, kw_only=True):
    """Account truth: equity and free capital in the settlement asset, and positions.

    wallet    money without what open positions would bring, None where it was not read just now or is not stated.
    """

    equity: Decimal
    available: Decimal
    asset: str
    positions: tuple[Position, ...]
    venue_ns: int
    wallet: Decimal | None = None


class OpenOrder(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An order that the venue says is live."""

    cl_ord_id: ClOrdId
    venue_order_id: VenueOrderId
    symbol: Symbol
    side: Side
    price_ticks: int
    leaves_lots: int
    created_ns: int


class LeverageSet(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a wish for leverage.

    in_force    what the venue has now: `asked` rounded down to a whole number, within what is allowed.
    sent        whether the venue had to be told; False when it was known to have it already.
    """

    asked: Decimal
    in_force: int
    sent: bool

    @property
    def clamped(self) -> bool:
        """Whether it is not what was asked for."""
        return self.asked != self.in_force


class MarketSink(Protocol):
    """Where market data goes. Plain calls; each returns before anything else happens."""

    def market(self, event: MarketEvent) -> None:
        """One market event."""

    def instrument(self, instrument: Instrument) -> None:
        """A listed instrument, or a new version of one."""

    def link(self, up: bool, reason: str) -> None:
        """Whether what is told here can be relied on; said on every change."""


class Sink(MarketSink, Protocol):
    """Where an adapter puts what it learns; its link is up while orders can be sent and reports be trusted to come."""

    def execution(self, event: ExecutionReport | RequestFailed) -> None:
        """One report or failed request, in the venue's order, each trade once."""


class Scheduler(Protocol):
    """Time, handed in: an adapter of ours reads no clock of its own."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch."""

    def call_at(self, at_ns: int, action: Callable[[], object]) -> None:
        """Run `action` at `at_ns` (at once when it has passed), after what was scheduled earlier for that time."""


@runtime_checkable
class VenueAdapter(Protocol):
    """One venue, one account. `submit`, `cancel`, `amend` and `query` answer through the sink."""

    @property
    def name(self) -> VenueName:
        """The venue's name in orders, journals and reports."""

    @property
    def capabilities(self) -> Capabilities:
        """What this session can do; valid once `connect` has returned."""

    async def connect(self, sink: Sink, scheduler: Scheduler) -> None:
        """Open the session: instruments are known to the sink and the link is up when this returns.

        Raises `CallerError` for bad options, `NotSent` when the venue cannot be reached. Nothing has been ordered.
        """

    async def disconnect(self) -> None:
        """Close the session. Orders that rest stay as they are: the router cancels them before it comes here."""

    def subscribe(self, symbol: Symbol) -> None:
        """Start market data of one symbol: a snapshot, then updates. Raises `CallerError` for an unknown one."""

    def submit(self, order: NewOrder) -> None:
        """Send a new order. Afterwards: NEW, TRADE, REJECTED, EXPIRED reports, or `RequestFailed`."""

    def cancel(self, ref: OrderRef) -> None:
        """Ask for a cancel. Afterwards: CANCELED, CANCEL_REJECTED, a fill that won the race, or `RequestFailed`."""

    def amend(self, ref: OrderRef, *, qty_lots: int, price_ticks: int) -> None:
        """Ask for new total quantity and price. Afterwards: REPLACED, AMEND_REJECTED, or `RequestFailed`."""

    def query(self, ref: OrderRef) -> None:
        """Look an order up. Afterwards: its missing trades, then STATUS; or NOT_FOUND; or `RequestFailed`."""

    async def open_orders(self) -> tuple[OpenOrder, ...]:
        """Every live order of the account, also those that are not ours. Raises `NotSent` or `InDoubt`."""

    async def fills_since(self, venue_ns: int) -> tuple[AccountFill, ...]:
        """Trades of the account from `venue_ns` on, whoever's, oldest first. Raises `NotSent` or `InDoubt`.

        `exec_id` is the same each time, and need not be that of the reports. Where `Capabilities.fills_lookup` is False
        it is not called.
        """

    async def account(self) -> AccountState:
        """Equity and positions. Raises `NotSent` or `InDoubt`."""

    async def set_leverage(self, symbol: Symbol, leverage: Decimal) -> LeverageSet:
        """See to it that the account has this leverage for a symbol, rounded down and capped as configured (B4).

        Raises `CallerError` where the venue has none or refuses it, `NotSent` or `InDoubt` when it could not be told.
        """

    async def arm_dead_man(self, timeout_s: float) -> None:
        """Cancel everything unless called again within `timeout_s`; 0 disarms. `CallerError` where there is none."""

    async def server_time_ns(self) -> int:
        """The venue's clock."""


class OwnRest(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An order of ours as it rests.

    venue_ns    the venue's clock when it took these terms, 0 where it does not say.
    shown       the venue's book counts it in.
    filled      something of it has traded since it was last said how it rests.
    """

    cl_ord_id: ClOrdId
    side: Side
    price_ticks: int
    leaves_lots: int
    venue_ns: int
    shown: bool
    filled: bool


class Feed(Protocol):
    """The market of one symbol as it can be looked at: built from pushed events (`sor.feed`), or read off a tape."""

    def view(self, now_ns: int) -> MarketView:
        """What is known at `now_ns`, which never goes back."""

    def mid_hticks(self, now_ns: int) -> int:
        """Mid in half-ticks as known at `now_ns`, 0 while unknown or not to be trusted."""

    def watch(self, key: int, revisit: Revisit, seen: MarketView, now_ns: int) -> None:
        """Call `wake(key)` once, when a market condition of `revisit` comes true against `seen`; replaces an older one.

        A condition that already holds at `now_ns` fires at once only if it did not hold in `seen`.
        """

    def unwatch(self, key: int) -> None:
        """Forget a watch; unknown keys are fine."""

    def stand(self, key: int, own: OwnRest, *, anew: bool, now_ns: int) -> None:
        """An order of `key` rests like this: follow its place in the queue.

        anew    at the back, also if it is known already. Else it keeps its place; an unknown one is followed from now.
        """

    def gone(self, cl_ord_id: ClOrdId) -> None:
        """It rests no longer; unknown ones are fine."""

    def ahead(self, key: int, now_ns: int) -> tuple[tuple[ClOrdId, int], ...]:
        """Lots ahead of each resting order of `key`, oldest first, as far as is known (`sor.standing`)."""


@runtime_checkable
class OwnFeed(Protocol):
    """An adapter that brings its own feeds, because it can skip along a recording instead of pushing every update."""

    def feed(self, symbol: Symbol, wake: Callable[[int], None]) -> Feed:
        """The feed of one symbol; `wake(key)` is called from the scheduler, never from inside `watch`."""


class VenueOrder(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One order as the venue's own books have it: what an independent oracle reads."""

    cl_ord_id: ClOrdId
    symbol: Symbol
    side: Side
    order_lots: int
    filled_lots: int
    leaves_lots: int
    exec_ids: tuple[str, ...]


@runtime_checkable
class Audited(Protocol):
    """A simulated venue, whose books may be read."""

    def audit(self) -> tuple[VenueOrder, ...]:
        """Every order it ever accepted, in the order of acceptance."""


@runtime_checkable
class MarketSource(Protocol):
    """The public side of one venue: what it lists and its market. Needs no key and can order nothing."""

    @property
    def name(self) -> VenueName:
        """The venue whose market it is."""

    @property
    def marks(self) -> bool:
        """Whether mark prices come."""

    async def connect(self, sink: MarketSink, scheduler: Scheduler) -> None:
        """Open it: instruments are known to the sink and the link is up when this returns. Raises as an adapter's."""

    async def disconnect(self) -> None:
        """Close it."""

    def subscribe(self, symbol: Symbol) -> None:
        """Start market data of one symbol: a snapshot, then updates. Raises `CallerError` for an unknown one."""

    async def server_time_ns(self) -> int:
        """The venue's clock."""


class CheckState(StrEnum):
    """How a check came out."""

    OK = "ok"
    NOTE = "note"
    """Works, but somebody should know."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """Not looked at, because something before it failed."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at: what was found, and what to do about it ("" when nothing)."""

    name: str
    state: CheckState
    text: str
    advice: str = ""


@runtime_checkable
class Diagnosed(Protocol):
    """An adapter that can say what works before anything is traded. Nothing is ordered, nothing is changed."""

    def checks(self, symbol: str, scheduler: Scheduler) -> AsyncIterator[Check]:
        """Look at keys, clock, permissions, account, instruments and sockets, one after another, unconnected.

        What it finds is an answer and never raised; the session it opens is closed when the iteration ends.
        """


@runtime_checkable
class Selective(Protocol):
    """An adapter whose venue lists more than can be traded, and that can say why."""

    def why_not(self, symbol: Symbol) -> str:
        """Why nothing of that symbol can be ordered now, in words; "" when it knows of none. Valid once connected."""


@runtime_checkable
class Situated(Protocol):
    """An adapter of a venue that has environments."""

    @property
    def environment(self) -> str:
        """What its orders are: `simulated`, `demo` or `live`, the words of `journal.Environment` (B7)."""


@runtime_checkable
class Keyed(Protocol):
    """An adapter that needs keys."""

    def check_keys(self) -> None:
        """Look for them; asks nobody. Raises `CallerError`, saying which to set where, when there are none."""


@runtime_checkable
class Identified(Protocol):
    """An adapter that can tell the account it trades from every other."""

    @property
    def identity(self) -> str:
        """The account: a digest, or a name that may be read by everybody. Valid once connected, "" if not known.

        The same for as long as the account lives, whichever keys it is reached with. An order of one account is not
        found with another one's keys, and that would be taken for proof that it never arrived.
        """


class RecalledOrder(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An order that an earlier process sent, as its journal has it.

    qty_lots, price_ticks    the terms that were in force last; price_ticks 0: none. is_maker: where its kind says so.
    sent_ns                  when it was sent, by the router's clock.
    end                      how it ended, None when it may still be open.
    fills                    every lot that was counted of it; `fee_atoms` None where the fee was not settled.
    """

    ref: OrderRef
    side: Side
    qty_lots: int
    price_ticks: int
    is_maker: bool | None
    sent_ns: int
    end: OrdStatus | None
    fills: tuple[ExecutionReport, ...]


@runtime_checkable
class Recalling(Protocol):
    """An adapter that goes on with orders of earlier processes where those have stopped."""

    def recall(self, order: RecalledOrder) -> None:
        """Know this order again; called before `connect`.

        What fills of it from now on is told fill by fill, as of an order that was sent from here, and fees that were
        not settled are asked for, as far back as the venue answers: the fill is told again with its fee (F2).
        """


@runtime_checkable
class Ledgered(Protocol):
    """An adapter of a venue that lists what changed a wallet, and why."""

    async def money_since(self, venue_ns: int) -> tuple[MoneyEntry, ...]:
        """Changes of the account's wallets from `venue_ns` on, oldest first. Raises `NotSent` or `InDoubt`."""


OpenVenue = Callable[[dict[str, str]], VenueAdapter]
"""An entry point of group `sor.venues`: options from the configuration in, an unconnected adapter out.

Options that every venue with environments knows: `env`, `secrets` (a file with keys), `allow_live` ("yes"), `symbols`
(what will be traded, with commas between). Raises `CallerError` for one it does not know, or cannot use.
"""


@runtime_checkable
class HasEnvironments(Protocol):
    """What opens a venue that has environments, and says which: an `OpenVenue` with an attribute."""

    @property
    def environments(self) -> tuple[str, ...]:
        """The words that its option `env` may have."""


OpenMarket = Callable[[dict[str, str]], MarketSource]
"""An entry point of group `sor.markets`, with the same options as the venue of that name."""
