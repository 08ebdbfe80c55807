"""The simulated venue as a `VenueAdapter`: an ordinary one, with everything between us and a venue made explicit.

A request takes the entry delay to the venue, is carried out there against the market as of that moment, and its answer
takes the response delay back. What happens to our orders by itself is pushed the same way (`session`). What may go
wrong on purpose is in `faults`, who else trades in `options` and the flows (`market_zi`, `market_qr`), and where it
differs from real venues in quirks.md.

Everything is plain calls and `Scheduler.call_at`: no tasks, no loop, no clock. So it runs on asyncio, on trio and in
virtual time alike, and with no delays `submit` calls the sink before it returns.

The coroutines of the protocol never wait: they read the venue's books as of the moment of the call.

The venue outlives its connections: orders rest and the market goes on while nobody is connected. It holds one
connection at a time; a newer one displaces it, and gives way to it again when it leaves.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from random import Random
from typing import Final, assert_never

import msgspec

from sor.adapter import (
    AccountState,
    AmendModel,
    Capabilities,
    DeadMan,
    LeverageSet,
    NewOrder,
    OpenOrder,
    OrderRef,
    Position,
    Reach,
    Request,
    Scheduler,
    Sink,
    VenueAdapter,
    VenueOrder,
)
from sor.errors import CallerError, NotSent
from sor.ids import ClOrdIdCodec, Symbol, VenueName
from sor.instruments import Instrument
from sor.market import BookReset
from sor.orders import AccountFill, ExecType, ExecutionReport, OrdStatus, Provenance, RejectKind, Side, Tif
from sor.units import NS, RATE_E8
from venues.matching.engine import Engine
from venues.matching.orders import Account
from venues.matching.rules import Rules
from venues.simulated.exchange import Exchange, OwnOrder
from venues.simulated.faults import Chance, Faults
from venues.simulated.flow import Flow
from venues.simulated.options import FlowStart, LadderShape, Setup, read
from venues.simulated.publisher import Publisher
from venues.simulated.session import Lines, Sent, Session, Untold
from venues.simulated.tape_latency import Line

LEVERAGE_MAX = 125
_REFUSED: Mapping[Request, ExecType] = {
    Request.PLACE: ExecType.REJECTED,
    Request.CANCEL: ExecType.CANCEL_REJECTED,
    Request.AMEND: ExecType.AMEND_REJECTED,
}
_ANSWERS = frozenset(_REFUSED.values())
# Members by name: CPython 3.11 takes longer to read a member off its enum than to compare it.
_PLACE: Final = Request.PLACE
_AMEND: Final = Request.AMEND
_FILLED: Final = OrdStatus.FILLED
_TRADE: Final = ExecType.TRADE
_QUERIED: Final = Provenance.QUERY


class _Party(msgspec.Struct):
    """Somebody who has connected, and whether they want market data."""

    sink: Sink
    scheduler: Scheduler
    subscribed: bool = False


class SimulatedVenue:
    """A `VenueAdapter` in front of a matching engine and a made-up market; its books may be read."""

    def __init__(self, setup: Setup) -> None:
        instrument, seed = setup.instrument, setup.seed
        self._setup = setup
        engine = Engine(instrument, Rules(reduce_only_oversize=setup.oversize))
        account = Account(
            "customer",
            maker_fee_e8=instrument.maker_fee_e8,
            taker_fee_e8=instrument.taker_fee_e8,
            self_trade=setup.self_trade,
        )
        self._exchange = Exchange(
            engine,
            account,
            Account("crowd", silent=True),
            clock_offset_ns=setup.clock_offset_ns,
            market_bound_bps=setup.market_bound_bps,
        )
        self._flow: Flow | None = None
        self._open_for_trade = False
        self._lines = Lines(
            Line(setup.entry, seed=seed, way="entry"),
            Line(setup.response, seed=seed, way="response"),
            Line(setup.feed, seed=seed, way="feed"),
        )
        self._chance = Chance(Random(f"{seed}/faults"), setup.faults)
        self._untold = Untold()
        self._parties: list[_Party] = []
        self._session: Session | None = None
        self._publisher: Publisher | None = None
        self._mark_ticks: float | None = None
        self._waits_for_market = False
        self._taken_ns: deque[int] = deque()
        self._burst_end_ns = 0
        self._dead_man_ns = 0
        self._leverage = 1
        rtt_ns = setup.entry.median_ns + setup.response.median_ns
        self._capabilities = Capabilities(
            client_ids=ClOrdIdCodec(),
            tif=frozenset({Tif.GTC, Tif.IOC, Tif.FOK}),
            amend=setup.amend,
            amend_keeps_priority_on_size_down=setup.amend is not AmendModel.NONE,
            lookup_lag_ns=setup.lookup_lag_ns,
            receive_window_ns=setup.receive_window_ns,
            dead_man=DeadMan.ACCOUNT,
            self_trade=setup.self_trade,
            market_bound_bps=setup.market_bound_bps or None,
            marks=True,
            orders_per_s=float(setup.orders_per_s),
            submit_rtt_ns=rtt_ns,
            cancel_rtt_ns=rtt_ns,
        )

    # --- the adapter ------------------------------------------------------------------------------------------------

    @property
    def name(self) -> VenueName:
        """The venue's name."""
        return self._setup.name

    @property
    def identity(self) -> str:
        """Which account this is."""
        return self._setup.account

    @property
    def capabilities(self) -> Capabilities:
        """What this session can do."""
        return self._capabilities

    async def connect(self, sink: Sink, scheduler: Scheduler) -> None:
        """Open the session; never fails. Whoever was connected before is told that the link is down."""
        if self._session is not None:
            self._session.take_down("another session took over")
            self._session.close()
            self._session = None
        self._parties.append(_Party(sink, scheduler))
        self._open("connected")

    async def disconnect(self) -> None:
        """Close the session: what is on its way to us is lost, orders that rest stay."""
        self.leave()

    def subscribe(self, symbol: Symbol) -> None:
        """Start market data: a snapshot, updates, trades and a mark. Raises `CallerError` for an unknown symbol."""
        self._check_symbol(symbol)
        session = self._connected
        self._parties[-1].subscribed = True
        if session.up and self._publisher is not None:
            self._publisher.start()

    def submit(self, order: NewOrder) -> None:
        """Send a new order. Afterwards: NEW if it rests, TRADE, EXPIRED; or REJECTED, or `RequestFailed`."""
        self._send(Sent(request=_PLACE, cl_ord_id=order.cl_ord_id, sent_ns=self._now(), order=order))

    def cancel(self, ref: OrderRef) -> None:
        """Ask for a cancel. Afterwards: CANCELED; CANCEL_REJECTED behind what ended the order; or `RequestFailed`."""
        self._send(Sent(request=Request.CANCEL, cl_ord_id=ref.cl_ord_id, sent_ns=self._now(), ref=ref))

    def amend(self, ref: OrderRef, *, qty_lots: int, price_ticks: int) -> None:
        """Ask for new total quantity and price. Afterwards: REPLACED and its trades, AMEND_REJECTED, `RequestFailed`.

        Also CANCELED, when no more is asked for than has filled. Less quantity at the same price keeps the queue place.
        """
        self._send(
            Sent(
                request=Request.AMEND,
                cl_ord_id=ref.cl_ord_id,
                sent_ns=self._now(),
                ref=ref,
                qty_lots=qty_lots,
                price_ticks=price_ticks,
            )
        )

    def query(self, ref: OrderRef) -> None:
        """Look an order up. Afterwards: the trades of it that were lost, STATUS; or NOT_FOUND; or `RequestFailed`."""
        self._send(Sent(request=Request.QUERY, cl_ord_id=ref.cl_ord_id, sent_ns=self._now(), ref=ref))

    async def open_orders(self) -> tuple[OpenOrder, ...]:
        """Every live order. Raises `NotSent` while the link is down."""
        self._read()
        return self._exchange.open_orders()

    async def fills_since(self, venue_ns: int) -> tuple[AccountFill, ...]:
        """Trades of the account from `venue_ns` on, oldest first. Raises `NotSent` while the link is down."""
        now_ns = self._read()
        fills, orders = self._exchange.fills, self._exchange.orders
        first = bisect_left(fills, venue_ns, key=_venue_ns)
        return tuple(
            AccountFill.of(
                msgspec.structs.replace(fill, provenance=Provenance.QUERY, recv_ns=now_ns), orders[fill.cl_ord_id].side
            )
            for fill in fills[first:]
        )

    async def account(self) -> AccountState:
        """Equity at the mark, else at the mid, and what the leverage leaves of it. `NotSent` while the link is down."""
        now_ns = self._read()
        instrument, account = self._setup.instrument, self._exchange.account
        lots = account.position_lots
        hticks = self._mark_hticks()
        unit = instrument.unit_atoms * RATE_E8
        profit = (lots * hticks - 2 * account.cost_lot_ticks) * unit // 2 - account.fees_atoms
        equity = self._setup.equity + instrument.money(profit)
        margin = instrument.money(abs(lots) * hticks * unit // (2 * self._leverage))
        return AccountState(
            equity=equity,
            available=max(Decimal(0), equity - margin),
            asset=instrument.settle,
            positions=(Position(symbol=instrument.symbol, qty_lots=lots),) if lots else (),
            venue_ns=now_ns + self._setup.clock_offset_ns,
        )

    async def set_leverage(self, symbol: Symbol, leverage: Decimal) -> LeverageSet:
        """Set the leverage, which only changes what `account` calls available. Raises `CallerError` out of bounds."""
        self._check_symbol(symbol)
        if not 1 <= leverage <= LEVERAGE_MAX:
            raise CallerError(f"leverage {leverage} is not from 1 to {LEVERAGE_MAX}; nothing was sent")
        whole = int(leverage)
        sent = whole != self._leverage
        if sent:
            self._read()
            self._leverage = whole
        return LeverageSet(asked=leverage, in_force=whole, sent=sent)

    async def arm_dead_man(self, timeout_s: float) -> None:
        """Cancel everything unless called again within `timeout_s`; 0 disarms. Raises `CallerError` for less than 0."""
        if timeout_s < 0:
            raise CallerError(f"a dead-man's switch of {timeout_s} s: give 0 or more; nothing was sent")
        now_ns = self._read()
        self._dead_man_ns = now_ns + round(timeout_s * NS) if timeout_s else 0
        self._watch_dead_man()

    async def server_time_ns(self) -> int:
        """The venue's clock. Raises `NotSent` while the link is down."""
        return self._read() + self._setup.clock_offset_ns

    # --- for tests and oracles --------------------------------------------------------------------------------------

    def leave(self) -> None:
        """As `disconnect`, from outside: the process that was connected is gone."""
        if self._session is None:
            return
        self._quiet()
        self._session.close()
        self._session = None
        self._parties.pop()
        if self._parties:
            self._open("the other session left")

    @property
    def instrument(self) -> Instrument:
        """What it lists."""
        return self._setup.instrument

    @property
    def start_ticks(self) -> int:
        """Where its market started."""
        return self._setup.mid_ticks

    @property
    def position_lots(self) -> int:
        """The customer's position."""
        return self._exchange.account.position_lots

    @property
    def n_resent(self) -> int:
        """Orders that came again under an id that had been accepted."""
        return self._exchange.n_resent

    def orders(self) -> tuple[OwnOrder, ...]:
        """Every order it ever accepted with its fills, in the order of acceptance."""
        return tuple(self._exchange.orders.values())

    def struck(self) -> Counter[str]:
        """How often each fault has hit."""
        return self._chance.struck

    def audit(self) -> tuple[VenueOrder, ...]:
        """Every order it ever accepted, in the order of acceptance."""
        return self._exchange.audit()

    def calm(self) -> None:
        """Switch every fault off. What was lost stays lost until it is looked up; a broken link comes back in time."""
        self._chance.faults = Faults()
        self._burst_end_ns = 0

    # --- connections ------------------------------------------------------------------------------------------------

    def _open(self, reason: str) -> None:
        """Connect the party that came last."""
        setup, party = self._setup, self._parties[-1]
        scheduler = party.scheduler
        now_ns = scheduler.now_ns()
        self._open_market(now_ns)
        if 0 < self._dead_man_ns <= now_ns:
            self._catch_up(self._dead_man_ns)
            self._cancel_all(self._dead_man_ns)
        self._catch_up(now_ns)
        # Somebody new may know nothing: a lookup tells everything once.
        self._untold = Untold()
        for fill in self._exchange.fills:
            self._untold.add(fill)
        session = self._session = Session(
            party.sink,
            scheduler,
            lines=self._lines,
            timeout_ns=setup.timeout_ns,
            chance=self._chance,
            untold=self._untold,
            arrive=self._arrive,
            broken=self._link_broken,
            restored=self._link_restored,
        )
        self._publisher = Publisher(
            self._exchange,
            scheduler=scheduler,
            channel=session.feed,
            catch_up=self._catch_up,
            next_ns=self._next_ns,
            chance=self._chance,
            book_ns=setup.book_ns,
            mark_s=setup.mark_s,
            mark_ticks=self._mark_ticks,
            clock_offset_ns=setup.clock_offset_ns,
            refetch_ns=setup.entry.median_ns + setup.response.median_ns,
        )
        self._waits_for_market = False
        self._wait_for_market()
        self._watch_dead_man()
        party.sink.instrument(setup.instrument)
        session.open(reason)

    def _link_broken(self) -> None:
        self._quiet()
        party = self._parties[-1]
        if party.subscribed:
            party.sink.market(BookReset(symbol=self._setup.instrument.symbol, recv_ns=party.scheduler.now_ns()))

    def _link_restored(self) -> None:
        if self._parties[-1].subscribed and self._publisher is not None:
            self._publisher.start()

    def _quiet(self) -> None:
        """No more market data for now."""
        if self._publisher is not None:
            self._publisher.stop()
            self._mark_ticks = self._publisher.mark_ticks

    @property
    def _connected(self) -> Session:
        session = self._session
        if session is None:
            raise CallerError(f"{self.name} is not connected; nothing was sent. Connect it first")
        return session

    def _now(self) -> int:
        return self._connected.scheduler.now_ns()

    def _send(self, sent: Sent) -> None:
        self._connected.send(sent)

    def _read(self) -> int:
        """Bring the books up to now, which is returned, for a request that reads them."""
        session = self._session
        if session is None or not session.up:
            raise NotSent(f"the link to {self.name} is down; nothing was sent. Try again once it is back")
        now_ns = session.scheduler.now_ns()
        self._catch_up(now_ns)
        return now_ns

    def _check_symbol(self, symbol: Symbol) -> None:
        listed = self._setup.instrument.symbol
        if symbol != listed:
            raise CallerError(f"{self.name} has no {symbol}; nothing was sent. It trades {listed}")

    # --- requests, when they arrive ---------------------------------------------------------------------------------

    def _arrive(self, sent: Sent) -> None:
        now_ns = self._now()
        self._catch_up(now_ns)
        reports: list[ExecutionReport] = []
        refusal = self._refusal(sent, now_ns)
        if refusal is not None:
            kind, text = refusal
            if sent.request is Request.QUERY:
                sent.answer = sent.failed(Reach.IN_DOUBT, kind.value, text)
            else:
                sent.answer = self._exchange.refuse(sent.cl_ord_id, _REFUSED[sent.request], kind, text, now_ns=now_ns)
        else:
            reports = self._carry_out(sent, now_ns)
            if reports and reports[0].exec_type in _ANSWERS:
                sent.answer = reports.pop()
        self._tell(reports, now_ns, sent)
        self._after(now_ns)

    def _refusal(self, sent: Sent, now_ns: int) -> tuple[RejectKind, str] | None:
        """Why a request is refused before anybody looks at what it wants."""
        setup, chance = self._setup, self._chance
        if setup.receive_window_ns and now_ns + setup.clock_offset_ns - sent.sent_ns > setup.receive_window_ns:
            return RejectKind.OTHER, "arrived after its receive window"
        if now_ns >= self._burst_end_ns and chance.hits(chance.faults.rate_limit, "rate_limit"):
            self._burst_end_ns = now_ns + 1 + chance.up_to_twice_ns(chance.faults.burst_ms)
        if now_ns < self._burst_end_ns:
            return RejectKind.RATE_LIMITED, "too many requests"
        if sent.request is _PLACE or sent.request is _AMEND:
            taken = self._taken_ns
            while taken and now_ns - taken[0] >= NS:
                taken.popleft()
            if len(taken) >= setup.orders_per_s:
                return RejectKind.RATE_LIMITED, f"more than {setup.orders_per_s} orders in a second"
            taken.append(now_ns)
        return None

    def _carry_out(self, sent: Sent, now_ns: int) -> list[ExecutionReport]:
        """Do what a request asks for; its reports, a refusal alone."""
        exchange, order, ref = self._exchange, sent.order, sent.ref
        match sent.request:
            case Request.PLACE:
                assert order is not None
                return exchange.place(order, now_ns=now_ns)
            case Request.CANCEL:
                assert ref is not None
                self._race(ref, now_ns)
                return exchange.cancel(ref, now_ns=now_ns)
            case Request.AMEND:
                assert ref is not None
                if self._setup.amend is AmendModel.NONE:
                    kind, text = RejectKind.BAD_TERMS, "orders cannot be amended here"
                    return [exchange.refuse(ref.cl_ord_id, ExecType.AMEND_REJECTED, kind, text, now_ns=now_ns)]
                return exchange.amend(ref, qty_lots=sent.qty_lots, price_ticks=sent.price_ticks, now_ns=now_ns)
            case Request.QUERY:
                assert ref is not None
                own = exchange.find(ref)
                if own is None or self._overlooked(own, now_ns):
                    sent.answer = exchange.not_found(ref.cl_ord_id, now_ns=now_ns)
                    return []
                sent.answer = exchange.status(own, now_ns=now_ns)
                lost = self._untold.take(own.cl_ord_id)
                return [msgspec.structs.replace(trade, provenance=Provenance.QUERY) for trade in lost]
        assert_never(sent.request)

    def _overlooked(self, own: OwnOrder, now_ns: int) -> bool:
        """Whether a lookup comes too soon to find an order, by a fault."""
        young = now_ns - own.created_ns < self._setup.lookup_lag_ns
        return young and own.level is not None and self._chance.hits(self._chance.faults.not_found, "not_found")

    def _race(self, ref: OrderRef, now_ns: int) -> None:
        """Somebody may take an order just before its cancel."""
        chance, exchange = self._chance, self._exchange
        own = exchange.find(ref)
        if own is None or own.level is None or not chance.hits(chance.faults.cancel_race, "cancel_race"):
            return
        lots = exchange.engine.lots_ahead(own) + chance.part(own.leaves_lots)
        lots = max(lots, self._setup.instrument.min_lots_at(own.price_ticks))
        _, reports = exchange.take_crowd(
            own.side.opposite, qty_lots=lots, price_ticks=own.price_ticks, rests=False, now_ns=now_ns
        )
        self._tell(reports, now_ns)

    def _tell(self, reports: list[ExecutionReport], now_ns: int, sent: Sent | None = None) -> None:
        """Let us hear what happened, if anybody is there to hear it."""
        chance = self._chance
        for report in () if chance.calm else tuple(reports):
            filled = report.ord_status is _FILLED and report.exec_type is _TRADE
            if filled and report.provenance is not _QUERIED and chance.hits(chance.faults.overfill, "overfill"):
                own = self._exchange.orders[report.cl_ord_id]
                reports += self._exchange.overfill(own, lots=chance.part(own.order_lots), now_ns=now_ns)
        if self._session is None:
            for report in reports:
                self._untold.add(report)
        else:
            self._session.tell(reports, now_ns=now_ns, sent=sent)

    # --- the market -------------------------------------------------------------------------------------------------

    def _open_market(self, now_ns: int) -> None:
        """Let the others come, once."""
        if self._open_for_trade:
            return
        self._open_for_trade = True
        setup, exchange = self._setup, self._exchange
        crowd = setup.crowd
        if isinstance(crowd, FlowStart):
            self._flow = crowd.flow(exchange.engine, exchange.crowd, mid_ticks=setup.mid_ticks, seed=f"{setup.seed}")
            self._flow.start(now_ns, burn_in_s=crowd.burn_in_s)
        elif isinstance(crowd, LadderShape):
            bid_ticks = setup.mid_ticks - crowd.spread_ticks // 2
            for level in range(crowd.levels):
                for side, price_ticks in (
                    (Side.BUY, bid_ticks - level),
                    (Side.SELL, bid_ticks + crowd.spread_ticks + level),
                ):
                    exchange.take_crowd(
                        side, qty_lots=crowd.level_lots, price_ticks=price_ticks, rests=True, now_ns=now_ns
                    )

    def _catch_up(self, now_ns: int) -> None:
        """Let the market do what it has done by now."""
        if self._flow is not None and self._flow.next_ns <= now_ns:
            events = self._flow.advance(now_ns)
            if events:
                self._tell(self._exchange.told(events, provenance=Provenance.PUSH), now_ns)

    def _next_ns(self) -> int | None:
        return None if self._flow is None else self._flow.next_ns

    def _after(self, now_ns: int) -> None:
        """A request has changed the books, or may have."""
        if self._publisher is not None:
            self._publisher.touched(now_ns)
        self._wait_for_market()

    def _wait_for_market(self) -> None:
        """Be there when somebody may next meet one of our orders: nobody else needs the market to run by itself."""
        session = self._session
        if self._flow is None or session is None or self._waits_for_market or not self._exchange.resting:
            return
        self._waits_for_market = True
        session.scheduler.call_at(self._flow.next_market_ns, partial(self._met, session))

    def _met(self, session: Session) -> None:
        if session is not self._session:
            return
        self._waits_for_market = False
        now_ns = session.scheduler.now_ns()
        self._catch_up(now_ns)
        self._after(now_ns)

    def _mark_hticks(self) -> int:
        """The mark, the mid, or the last trade, whichever is known, in half-ticks; 0 before anything is."""
        engine = self._exchange.engine
        mark_ticks = self._mark_ticks if self._publisher is None else self._publisher.mark_ticks
        if mark_ticks is not None:
            return round(2 * mark_ticks)
        if engine.best_bid and engine.best_ask:
            return engine.best_bid + engine.best_ask
        return 2 * engine.last_ticks

    # --- the dead-man's switch --------------------------------------------------------------------------------------

    def _watch_dead_man(self) -> None:
        session, at_ns = self._session, self._dead_man_ns
        if session is not None and at_ns:
            session.scheduler.call_at(at_ns, partial(self._dead_man, session, at_ns))

    def _dead_man(self, session: Session, at_ns: int) -> None:
        if session is self._session and at_ns == self._dead_man_ns:
            now_ns = session.scheduler.now_ns()
            self._catch_up(now_ns)
            self._cancel_all(now_ns)

    def _cancel_all(self, now_ns: int) -> None:
        self._dead_man_ns = 0
        self._tell(self._exchange.cancel_all(now_ns=now_ns), now_ns)
        self._after(now_ns)


def _venue_ns(report: ExecutionReport) -> int:
    return report.venue_ns


def open_venue(options: Mapping[str, str]) -> VenueAdapter:
    """An unconnected simulated venue, from configuration; `venues.simulated.options.TABLE` lists the options.

    With `tape`, or `market` as `tape`, the market is a recording: see `venues.simulated.tape.open_tape_venue`.
    Raises `CallerError` for an unknown option or a value out of bounds: no venue was opened.
    """
    if "tape" in options or options.get("market") == "tape":
        # Here and not above: the array code of recordings takes longer to import than all the rest of this venue.
        from venues.simulated.tape import open_tape_venue

        return open_tape_venue(dict(options))
    return SimulatedVenue(read(options))
