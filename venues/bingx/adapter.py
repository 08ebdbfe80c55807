"""BingX as a `VenueAdapter`: one account, its orders, its market, over the shared plumbing.

What is decided where: the wording in `wire`, the meaning of answers in `errors`, `orders` and `push`, what of it is new
in `reports`, when something is asked in `order_desk`. Here is what makes a session of them: the order of connecting,
when the link is up, and what the account's own settings change about it.

The link is up while the account socket stands. When it was lost, or something of it may have been missed, the link goes
down and up again, and the router looks up every order of ours.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from math import ceil
from typing import Final

import msgspec

from sor.adapter import (
    AccountState,
    Capabilities,
    Check,
    LeverageSet,
    MoneyEntry,
    NewOrder,
    OpenOrder,
    OrderRef,
    Reach,
    RecalledOrder,
    Request,
    RequestFailed,
    Scheduler,
    Sink,
)
from sor.errors import CallerError, InDoubt, NotSent
from sor.ids import Symbol, VenueName, VenueOrderId
from sor.orders import AccountFill, FillCause, PositionSide
from sor.units import MS, NS
from venues.bingx import wire
from venues.bingx.account import identity_of
from venues.bingx.account_stream import AccountStream, Unread
from venues.bingx.caps import CLIENT_IDS, CLOCK_ERROR_NS, capabilities
from venues.bingx.checks import check_all
from venues.bingx.endpoints import PLACE
from venues.bingx.environments import Env
from venues.bingx.errors import Cause, Verdict
from venues.bingx.fills import FillPage
from venues.bingx.holdings import Holdings
from venues.bingx.leverage import AccountLeverage
from venues.bingx.listings import VENUE, Listing, TradingRules
from venues.bingx.market_streams import MarketStreams
from venues.bingx.options import Settings, TransportKind, read
from venues.bingx.order_desk import HISTORY_NS, OrderDesk
from venues.bingx.orders import open_order
from venues.bingx.public import SOCKET_WAIT_NS
from venues.bingx.push import AccountEvent, AccountPush, ConfigPush, OrderPush
from venues.bingx.rest import ORDER_WAIT_NS, READ_WAIT_NS, SETTING_WAIT_NS, answer_of
from venues.bingx.session import CONTRACTS_WAIT_NS, Session
from venues.plumbing.budget import Priority
from venues.plumbing.client import Trouble
from venues.plumbing.leverage import LeverageCache, leverage_file
from venues.plumbing.link_ask import Later
from venues.plumbing.link_lean_net import LeanLinks
from venues.plumbing.link_net import NetLinks
from venues.plumbing.links import Links
from venues.plumbing.outlet import Outlet

MODE_AGAIN_NS: Final = 10 * NS
"""The account's mode is not read more often than this."""
GAP_EVERY_NS: Final = NS
"""Every gap has all open orders looked up, five a second."""
PAGES_MAX: Final = 20
RULES_MAX: Final = 10
"""Contracts whose trading rules are read; with more of them no bound of MARKET orders is claimed."""
_FORCED: Final = {"LIQUIDATION": FillCause.LIQUIDATION, "ADL": FillCause.ADL}
"""What BingX calls the causes for which it closes a position by itself."""
_ENVIRONMENTS: Final = {Env.EMULATOR: "simulated", Env.VST: "demo", Env.LIVE: "live"}
_UNCONNECTED: Final = "BingX is not connected; nothing was sent. Connect it first"
_log = logging.getLogger(__name__)


class BingxVenue:
    """A `VenueAdapter`, and also `Diagnosed`, `Identified`, `Keyed`, `Recalling`, `Selective` and `Situated`.

    links    makes the links of a session: over TCP unless somebody brings others.
    """

    def __init__(self, settings: Settings, links: Callable[[], Links] = NetLinks) -> None:
        self._settings = settings
        self._links = links
        self._on: _On | None = None
        self._recalled: list[RecalledOrder] = []

    @property
    def name(self) -> VenueName:
        """The venue's name."""
        return VENUE

    @property
    def environment(self) -> str:
        """What its orders are, for the journal (B7)."""
        return _ENVIRONMENTS[self._settings.env]

    @property
    def identity(self) -> str:
        """Which account this is: a digest of its user id, "" while not connected."""
        return "" if self._on is None else self._on.identity

    @property
    def capabilities(self) -> Capabilities:
        """What this session can do; the account's position mode changes it."""
        on = self._on
        return capabilities(hedge=False) if on is None else on.capabilities

    def check_keys(self) -> None:
        """Whether there are keys to connect with. Raises `CallerError`, saying which to set where; nothing is asked."""
        self._settings.keys()

    async def connect(self, sink: Sink, scheduler: Scheduler) -> None:
        """Open the session: contracts and fees are known, and the account socket stands, when this returns.

        Raises `CallerError` for missing or refused keys and for contracts that cannot be routed, `NotSent` when BingX
        cannot be reached, `VenueFault` when what it says cannot be read. Nothing has been ordered.
        """
        if self._on is not None:
            raise CallerError("BingX is connected already; nothing was sent")
        on = self._on = _On(self._settings, self._links(), sink, scheduler)
        recalled, self._recalled = self._recalled, []
        for order in recalled:
            on.desk.recall(order)
        try:
            await on.open()
            on.desk.settle_recalled()
        except BaseException as error:
            await self.disconnect()
            if isinstance(error, InDoubt):
                raise NotSent(str(error)) from error
            raise

    async def disconnect(self) -> None:
        """Close the session; harmless where there is none. Orders that rest stay as they are."""
        on, self._on = self._on, None
        if on is not None:
            await on.close()

    def recall(self, order: RecalledOrder) -> None:
        """Go on with an order of an earlier process, from the next session on."""
        self._recalled.append(order)

    def subscribe(self, symbol: Symbol) -> None:
        """Start market data of one symbol. Raises `CallerError` for one that cannot be routed."""
        self._connected.subscribe(symbol)

    def submit(self, order: NewOrder) -> None:
        """Send a new order. Afterwards: NEW, TRADE, REJECTED, EXPIRED reports, or `RequestFailed`."""
        self._connected.submit(order)

    def cancel(self, ref: OrderRef) -> None:
        """Ask for a cancel. Afterwards: CANCELED by push or STATUS by lookup, CANCEL_REJECTED, or `RequestFailed`."""
        self._connected.desk.cancel(ref)

    def amend(self, ref: OrderRef, *, qty_lots: int, price_ticks: int) -> None:
        """Never sent: BingX amends quantities alone, and changes a price by cancelling and placing anew."""
        del qty_lots, price_ticks
        text = "BingX has no amend that keeps an order and changes its price; cancel it and place another"
        self._connected.outlet.execution(
            RequestFailed(cl_ord_id=ref.cl_ord_id, request=Request.AMEND, reach=Reach.NOT_SENT, text=text)
        )

    def query(self, ref: OrderRef) -> None:
        """Look an order up. Afterwards: its missing trades, then STATUS; or NOT_FOUND; or `RequestFailed`."""
        self._connected.desk.query(ref)

    async def open_orders(self) -> tuple[OpenOrder, ...]:
        """Every live order of the account, also those that are not ours. Raises `NotSent` or `InDoubt`."""
        return await self._connected.open_orders()

    async def fills_since(self, venue_ns: int) -> tuple[AccountFill, ...]:
        """Trades of the last seven days at most, of the contracts that were traded, followed or held here.

        Their ids are those of BingX's archive and none of the stream's. Raises `NotSent` or `InDoubt`.
        """
        return await self._connected.fills_since(venue_ns)

    async def money_since(self, venue_ns: int) -> tuple[MoneyEntry, ...]:
        """Changes of the wallets; BingX keeps them for three months. Raises `NotSent` or `InDoubt`."""
        return await self._connected.money_since(venue_ns)

    async def account(self) -> AccountState:
        """Equity and positions. Raises `NotSent` or `InDoubt`; money alone may be older, and `venue_ns` says so."""
        return await self._connected.account()

    async def set_leverage(self, symbol: Symbol, leverage: Decimal) -> LeverageSet:
        """See to it that the account has this leverage for a symbol; costs nothing where it is known to have it (B1).

        Raises `CallerError` when BingX refuses it, `NotSent` or `InDoubt` when it could not be told.
        """
        return await self._connected.leverage.set(symbol, leverage)

    async def arm_dead_man(self, timeout_s: float) -> None:
        """Cancel every order of the account unless called again within `timeout_s`, 10 to 120; 0 disarms."""
        await self._connected.arm_dead_man(timeout_s)

    async def server_time_ns(self) -> int:
        """The venue's clock. Raises `NotSent` or `InDoubt`."""
        return await self._connected.session.server_time_ns()

    def checks(self, symbol: str, scheduler: Scheduler) -> AsyncIterator[Check]:
        """Look at keys, clock, permissions, account, instrument and sockets; nothing is ordered, nothing changed."""
        return check_all(self._settings, self._links, symbol, scheduler)

    def why_not(self, symbol: Symbol) -> str:
        """Why a contract that BingX lists cannot be traded: paused, closed to the API, without known steps."""
        return self._connected.session.listings.why_not(symbol)

    @property
    def _connected(self) -> _On:
        if self._on is None:
            raise CallerError(_UNCONNECTED)
        return self._on


class _On:
    """One session of one account, from connect to disconnect; listens to the account socket."""

    def __init__(self, settings: Settings, links: Links, sink: Sink, scheduler: Scheduler) -> None:
        keys = settings.keys()
        self.outlet = Outlet(sink, scheduler)
        self.session = Session(settings, keys, links, scheduler=scheduler, outlet=self.outlet, lost=self._lost)
        self.desk = OrderDesk(self.session, self.outlet, troubled=self._troubled, gap=self.stream_gap)
        self.holdings = Holdings(self.session)
        file = leverage_file(venue=VENUE, environment=settings.env.value, key=keys.key, folder=settings.leverage_cache)
        self.leverage = AccountLeverage(
            self.session, LeverageCache(file, now_ns=scheduler.now_ns), hedge=lambda: self._hedge
        )
        self.capabilities = capabilities(hedge=False)
        self.identity = ""
        self._key = keys.key
        self._market = MarketStreams(self.session, _market_link)
        self._stream: AccountStream | None = None
        self._stands: Later[str] = Later()
        self._hedge = False
        self._rules: TradingRules | None = None
        self._up = False
        self._mode_ns = 0
        self._gap_ns = 0
        self._gap_waits = False
        self._concerned: dict[Symbol, None] = dict.fromkeys(settings.symbols)

    # --- life ---------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Time, then what the account is, its leverages, and at last its socket."""
        session, scheduler = self.session, self.session.scheduler
        await session.open()
        rest = session.rest
        leave_by_ns = session.now_ns() + CONTRACTS_WAIT_NS
        contracts = rest.begin(rest.contracts, wire.contracts(), leave_by_ns=leave_by_ns)
        mode = rest.begin(rest.position_mode, wire.position_mode(), leave_by_ns=leave_by_ns)
        fees = rest.begin(rest.fees, wire.commission_rate(), leave_by_ns=leave_by_ns)
        money = rest.begin(rest.balance, wire.balance(), leave_by_ns=leave_by_ns)
        # All of them before any is judged: who leaves now leaves nothing under way.
        answers = await contracts.wait(), await mode.wait(), await fees.wait(), await money.wait()
        self.identity = identity_of(answer_of(answers[3]), key=self._key, env=session.settings.env)
        self._hedge = answer_of(answers[1])
        session.fees = answer_of(answers[2])
        session.adopt(answer_of(answers[0]))
        self._rules = await self._read_rules()
        await session.server_time_ns()  # over a connection that stands: what orders will take
        self.capabilities = self._capabilities()
        await self.leverage.compare()  # before anything is pushed, so that what is remembered is what is compared
        stream = self._stream = AccountStream(session, self, hedge=lambda: self._hedge)
        await stream.key.make()
        scheduler.call_at(session.now_ns() + SOCKET_WAIT_NS, lambda: self._stands.set("no account socket came about"))
        stream.start()
        why = await self._stands.wait()
        if why:
            raise NotSent(f"BingX: {why}; nothing was sent. Try again later")

    async def close(self) -> None:
        """End sockets and links; nothing is told any more."""
        self.outlet.close()
        self._market.close()
        if self._stream is not None:
            self._stream.close()
        await self.session.close()

    def _capabilities(self) -> Capabilities:
        session, settings = self.session, self.session.settings
        now_ns = session.now_ns()
        return capabilities(
            hedge=self._hedge,
            rules=self._rules,
            orders_per_s=float(PLACE.per_s_2026 if settings.newest_limits else PLACE.per_s),
            clock_error_ns=max(CLOCK_ERROR_NS, session.clock.error_ns(now_ns)),
            rtt_ns=session.rtt_ns,
            recv_window_ms=settings.recv_window_ms,
            order_wait_ns=ORDER_WAIT_NS,
            reduce_only_flag=settings.reduce_only,
        )

    async def _read_rules(self) -> TradingRules | None:
        """The loosest bound of MARKET orders of the contracts that may be traded; None where one has none."""
        settings, session = self.session.settings, self.session
        if settings.all_instruments or len(settings.symbols) > RULES_MAX:
            return None
        rest = session.rest
        leave_by_ns = session.now_ns() + READ_WAIT_NS
        asked = [
            rest.begin(rest.trading_rules, wire.trading_rules(session.listings.of(symbol)), leave_by_ns=leave_by_ns)
            for symbol in settings.symbols
        ]
        found = [await later.wait() for later in asked]
        loosest: TradingRules | None = None
        for rules in found:
            if isinstance(rules, Trouble) or rules.market_ratio is None:
                return None  # a MARKET order is then an IOC at its collar
            if loosest is None or loosest.market_ratio is None or rules.market_ratio > loosest.market_ratio:
                loosest = rules
        return loosest

    # --- orders and market --------------------------------------------------------------------------------------------

    def subscribe(self, symbol: Symbol) -> None:
        """Follow a contract."""
        listing = self.session.listings.of(symbol)
        self._concerned[symbol] = None
        self.session.tell(listing)
        self._market.subscribe(listing)

    def submit(self, order: NewOrder) -> None:
        """Send an order."""
        self._concerned[order.symbol] = None
        self.desk.submit(order)

    # --- the account, asked -------------------------------------------------------------------------------------------

    async def account(self) -> AccountState:
        """Money and positions; what is held concerns us."""
        state = await self.holdings.read()
        for position in state.positions:
            self._concerned[position.symbol] = None
        return state

    async def open_orders(self) -> tuple[OpenOrder, ...]:
        """Everything that rests; the sink is told of contracts that it did not know of."""
        session = self.session
        rest = session.rest
        answer = await rest.demand(rest.open_orders, wire.open_orders(), leave_by_ns=session.now_ns() + READ_WAIT_NS)
        if answer.unlisted:
            _log.warning("orders that cannot be expressed rest in %s", ", ".join(answer.unlisted))
        for news in answer.orders:
            session.tell(news.listing)
            if CLIENT_IDS.decode(news.cl_ord_id) is not None:
                self._concerned[news.symbol] = None
        return tuple([one for news in answer.orders if (one := open_order(news)) is not None])

    async def fills_since(self, venue_ns: int) -> tuple[AccountFill, ...]:
        """Fills of the contracts that concern us, oldest first."""
        session = self.session
        now_ns = session.clock.venue_ns(session.now_ns())
        start_ms = max(venue_ns, now_ns - HISTORY_NS + NS) // MS - 1
        end_ms = now_ns // MS + 1_000
        fills: list[AccountFill] = []
        if start_ms >= end_ms:
            return ()
        for symbol in tuple(self._concerned):
            listing = session.listings.of(symbol)
            for page in range(1, PAGES_MAX + 1):
                found = await self._page(listing, start_ms=start_ms, end_ms=end_ms, page=page)
                fills += [fill for fill in found.fills if fill.venue_ns >= venue_ns]
                if found.rows < wire.HISTORY_MAX:
                    break
            else:
                raise InDoubt(
                    f"BingX has more than {PAGES_MAX * wire.HISTORY_MAX} fills of {symbol} since then; nothing was "
                    "changed. Ask for a later time"
                )
        fills = await self._marked(fills)
        if not self._hedge:  # labels of one-way mode name no side of their own
            fills = [msgspec.structs.replace(fill, position_side=PositionSide.BOTH) for fill in fills]
        return tuple(sorted(fills, key=_venue_ns))

    async def _marked(self, fills: list[AccountFill]) -> list[AccountFill]:
        """Fills with the cause that BingX gives them; nobody asks where all of them are of orders that are known."""
        strange = dict.fromkeys(fill.symbol for fill in fills if not self.desk.knows(fill.venue_order_id))
        causes: dict[VenueOrderId, FillCause] = {}
        rest = self.session.rest
        for symbol in strange:
            listing = self.session.listings.of(symbol)
            for why, cause in _FORCED.items():
                leave_by_ns = self.session.now_ns() + READ_WAIT_NS
                answer = await rest.demand(
                    rest.forced_orders, wire.forced_orders(listing, why), leave_by_ns=leave_by_ns
                )
                causes |= {news.order_id: cause for news in answer.orders}
        return [msgspec.structs.replace(fill, cause=causes.get(fill.venue_order_id, FillCause.ORDER)) for fill in fills]

    async def money_since(self, venue_ns: int) -> tuple[MoneyEntry, ...]:
        """What changed the wallets, oldest first: from the newest on back, as BingX gives the newest of too many."""
        session = self.session
        rest = session.rest
        found: dict[str, MoneyEntry] = {}
        end_ms = session.clock.venue_ns(session.now_ns()) // MS + 1_000
        for _ in range(PAGES_MAX):
            call = wire.income(start_ms=venue_ns // MS, end_ms=end_ms)
            page = await rest.demand(rest.income, call, leave_by_ns=session.now_ns() + READ_WAIT_NS)
            found = {entry.entry_id: entry for entry in page} | found
            if len(page) < wire.HISTORY_MAX:
                return tuple(entry for entry in found.values() if entry.venue_ns >= venue_ns)
            if page[0].venue_ns // MS >= end_ms:
                break  # more in one millisecond than it gives at once
            end_ms = page[0].venue_ns // MS
        raise InDoubt(
            f"BingX has more than {PAGES_MAX * wire.HISTORY_MAX} changes of the wallet since then; nothing was "
            "changed. Ask for a later time"
        )

    async def _page(self, listing: Listing, *, start_ms: int, end_ms: int, page: int) -> FillPage:
        rest = self.session.rest
        call = wire.fill_history(start_ms=start_ms, end_ms=end_ms, listing=listing, page=page)
        return await rest.demand(rest.fill_history, call, leave_by_ns=self.session.now_ns() + READ_WAIT_NS)

    async def arm_dead_man(self, timeout_s: float) -> None:
        """Start, renew or end the countdown."""
        session = self.session
        rest = session.rest
        call = wire.countdown(ceil(timeout_s))
        answer = await rest.demand(
            rest.countdown, call, leave_by_ns=session.now_ns() + SETTING_WAIT_NS, priority=Priority.CANCEL
        )
        wanted = "ACTIVATED" if timeout_s else "CLOSED"
        if answer.status != wanted:
            raise InDoubt(f"BingX answered a countdown of {timeout_s} s with {answer.status} {answer.note}".rstrip())

    # --- what the account socket says ---------------------------------------------------------------------------------

    def stream_up(self) -> None:
        """Pushes come: orders may be sent."""
        self._up = True
        self._stands.set("")
        self.outlet.link(True, "")

    def stream_down(self, why: str) -> None:
        """Pushes do not come any more."""
        self._up = False
        _log.warning("BingX: %s", why)
        self.outlet.link(False, why)

    def stream_gap(self, why: str) -> None:
        """Pushes may have been missed: whoever sees the link come up looks everything up, at most once a second."""
        now_ns = self.session.now_ns()
        if not self._up:
            return
        if now_ns < self._gap_ns:
            if not self._gap_waits:
                self._gap_waits = True
                self.session.scheduler.call_at(self._gap_ns, lambda: self._gap_again(why))
            return
        self._gap_ns = now_ns + GAP_EVERY_NS
        self.outlet.link(False, why)
        self.outlet.link(True, "")

    def _gap_again(self, why: str) -> None:
        self._gap_waits = False
        if not self.session.closed:
            self.stream_gap(why)

    def pushed(self, event: AccountEvent | Unread, recv_ns: int) -> None:
        """One push; those that nothing is done about end here."""
        del recv_ns
        if isinstance(event, OrderPush):
            self.desk.pushed(event)
        elif isinstance(event, Unread):
            self.desk.unread(event)
        elif isinstance(event, ConfigPush):
            self.leverage.pushed(event)
        elif isinstance(event, AccountPush):
            self.holdings.pushed(event)

    # --- trouble ------------------------------------------------------------------------------------------------------

    def _lost(self, why: str) -> None:
        self._up = False
        self._stands.set(why)
        self.outlet.link(False, why)

    def _troubled(self, verdict: Verdict) -> None:
        """What a failed request says of the account as a whole."""
        if verdict.cause is Cause.MODE:
            self._read_mode_again()
        elif verdict.cause is Cause.AUTH:
            _log.error("BingX: %s %s: %s", verdict.code, verdict.text, verdict.advice)

    def _read_mode_again(self) -> None:
        session = self.session
        now_ns = session.now_ns()
        if session.closed or now_ns - self._mode_ns < MODE_AGAIN_NS:
            return
        self._mode_ns = now_ns

        def answered(hedge: bool | Trouble) -> None:
            if isinstance(hedge, Trouble) or hedge is self._hedge:
                return
            self._hedge = hedge
            self.capabilities = self._capabilities()
            self.stream_gap(f"the account is in {'hedge' if hedge else 'one-way'} mode now")

        rest = session.rest
        rest.call(
            rest.position_mode,
            wire.position_mode(),
            priority=Priority.READ,
            leave_by_ns=now_ns + READ_WAIT_NS,
            on_answer=answered,
        )


def _market_link(up: bool, reason: str) -> None:
    """Books say themselves when they are lost; the link is that of the account."""
    if not up:
        _log.warning("BingX: %s", reason)


def _venue_ns(report: AccountFill) -> int:
    return report.venue_ns


class _Opens:
    """`open_venue`: an `OpenVenue` that says which environments there are."""

    environments = tuple(env.value for env in Env)

    def __call__(self, options: dict[str, str]) -> BingxVenue:
        """An unconnected BingX, from configuration; `venues.bingx.options.TABLE` lists the options.

        Raises `CallerError`, naming the option, for bad options: env live without permission is one. Keys are read when
        it connects, or `check_keys` asks for them.
        """
        settings = read(options)
        return BingxVenue(settings, LeanLinks if settings.transport is TransportKind.LEAN else NetLinks)


open_venue = _Opens()
