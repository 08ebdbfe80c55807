"""The paper venue as a `VenueAdapter`: market data is passed on as it comes, orders go no further than here.

It has only the public side of a venue (`MarketSource`), which needs no key and can order nothing. What fills an order
is in `venues.paper.matcher`; how honest that is, in quirks.md. Everything is plain calls and `Scheduler.call_at`, and
every answer comes through the scheduler, so nothing is told within a request.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import assert_never

import msgspec

from sor.adapter import (
    AccountState,
    Capabilities,
    LeverageSet,
    MarketSource,
    NewOrder,
    OpenOrder,
    OrderRef,
    Position,
    Scheduler,
    SelfTrade,
    Sink,
    VenueOrder,
)
from sor.errors import CallerError
from sor.ids import Symbol, VenueName
from sor.instruments import Instrument
from sor.market import BookReset, BookUpdate, MarketEvent, MarkUpdate, TradePrint
from sor.models.queues import QueueModel, queue_model
from sor.orders import AccountFill, ExecType, ExecutionReport, RejectKind, Tif
from venues.paper.matcher import Matcher
from venues.paper.reports import PaperReports
from venues.paper.settings import PaperSettings, open_market, read_settings
from venues.simulated.session import Untold
from venues.simulated.tape_latency import Line
from venues.simulated.tape_owner import CLIENT_IDS, Holder


class PaperVenue:
    """A `VenueAdapter` over any market; its books may be read. One account, which lives as long as this object."""

    def __init__(self, market: MarketSource, settings: PaperSettings | None = None) -> None:
        settings = settings or PaperSettings()
        self._market = market
        self._settings = settings
        self._name = VenueName(settings.name) or market.name
        self._model: QueueModel = queue_model(settings.queue)
        self._entry = Line(settings.entry, seed=settings.seed, way="entry")
        self._response = Line(settings.response, seed=settings.seed, way="response")
        self._sink: Sink | None = None
        self._scheduler: Scheduler | None = None
        self._up = False
        self._untold = Untold()
        self._listed: dict[Symbol, Instrument] = {}
        self._matchers: dict[Symbol, Matcher] = {}
        self._leverage: dict[Symbol, int] = {}
        rtt_ns = settings.entry.median_ns + settings.response.median_ns
        self._capabilities = Capabilities(
            client_ids=CLIENT_IDS,
            tif=frozenset({Tif.GTC, Tif.IOC, Tif.FOK}),
            self_trade=SelfTrade.CANCEL_TAKER,
            marks=market.marks,
            submit_rtt_ns=rtt_ns,
            cancel_rtt_ns=rtt_ns,
            book_shows_own=False,
        )

    # --- the adapter --------------------------------------------------------------------------------------------

    @property
    def name(self) -> VenueName:
        """The market's name, unless another was given: parameters measured for a venue hold on paper too."""
        return self._name

    @property
    def identity(self) -> str:
        """Which account this is."""
        return self._settings.account

    @property
    def capabilities(self) -> Capabilities:
        """What this session can do."""
        return self._capabilities

    async def connect(self, sink: Sink, scheduler: Scheduler) -> None:
        """Open the market. Raises as it does."""
        self._sink = sink
        self._scheduler = scheduler
        for matcher in self._matchers.values():
            matcher.reports = self._reports(matcher.instrument)
            matcher.book.lose()
        await self._market.connect(self, scheduler)

    async def disconnect(self) -> None:
        """Close the market: orders that rest stay, and are not filled; a lookup tells the trades still on their way."""
        self._rely(up=False)
        self._sink = None
        for matcher in self._matchers.values():
            matcher.reports.sink = None
        await self._market.disconnect()

    def subscribe(self, symbol: Symbol) -> None:
        """Start market data of one symbol. Raises `CallerError` for an unknown one."""
        self._matcher(symbol)
        self._market.subscribe(symbol)

    def submit(self, order: NewOrder) -> None:
        """Take a paper order. Afterwards: NEW, TRADE and EXPIRED reports, or REJECTED."""
        matcher = self._matcher(order.symbol)
        settle = matcher.instrument.settle or matcher.instrument.quote
        if settle == self._settings.asset:
            self._send(lambda now_ns: matcher.enter(order, now_ns))
            return
        refusal = RejectKind.BAD_TERMS, f"{order.symbol} settles in {settle}, paper money is {self._settings.asset}"
        self._send(
            lambda now_ns: matcher.reports.refuse(order.cl_ord_id, matcher.holder, ExecType.REJECTED, now_ns, refusal)
        )

    def cancel(self, ref: OrderRef) -> None:
        """Ask for a cancel. Afterwards: CANCELED, or CANCEL_REJECTED behind what ended the order before."""
        matcher = self._matcher(ref.symbol)
        self._send(lambda now_ns: matcher.cancel(ref, now_ns))

    def amend(self, ref: OrderRef, *, qty_lots: int, price_ticks: int) -> None:
        """Afterwards: AMEND_REJECTED. Paper orders are cancelled and placed anew, as most venues want it."""
        del qty_lots, price_ticks
        matcher = self._matcher(ref.symbol)
        refusal = RejectKind.BAD_TERMS, "orders are not amended here"
        self._send(
            lambda now_ns: matcher.reports.refuse(
                ref.cl_ord_id, matcher.holder, ExecType.AMEND_REJECTED, now_ns, refusal
            )
        )

    def query(self, ref: OrderRef) -> None:
        """Look an order up. Afterwards: its trades that were lost, then STATUS; or NOT_FOUND."""
        matcher = self._matcher(ref.symbol)
        self._send(lambda now_ns: matcher.query(ref, now_ns))

    async def open_orders(self) -> tuple[OpenOrder, ...]:
        """Every live order; fills whose reports are still on their way are counted."""
        return tuple(
            order.shown(symbol) for symbol, matcher in self._matchers.items() for order in matcher.live.values()
        )

    async def fills_since(self, venue_ns: int) -> tuple[AccountFill, ...]:
        """Trades from `venue_ns` on, oldest first."""
        trades = [trade for matcher in self._matchers.values() for trade in matcher.trades]
        since = [AccountFill.of(report, side) for report, side in trades if report.venue_ns >= venue_ns]
        return tuple(sorted(since, key=_venue_ns))

    async def account(self) -> AccountState:
        """Paper money at the marks, else the mids, and what the leverage leaves of it; funding is not charged."""
        equity = self._settings.equity
        margin = Decimal(0)
        positions: list[Position] = []
        for symbol, matcher in self._matchers.items():
            mark = matcher.mark_ticks
            hticks = matcher.book.mid_hticks() if mark is None else round(2 * mark)
            equity += matcher.ledger.profit(hticks)
            lots = matcher.holder.position_lots
            if lots:
                positions.append(Position(symbol=symbol, qty_lots=lots))
                ticks = Decimal(hticks or 2 * matcher.ledger.last_ticks) / 2
                one = matcher.instrument.notional(abs(lots), 1)
                margin += (one if matcher.instrument.inverse else one * ticks) / self._leverage.get(symbol, 1)
        return AccountState(
            equity=equity,
            available=max(Decimal(0), equity - margin),
            asset=self._settings.asset,
            positions=tuple(positions),
            venue_ns=self._clock.now_ns(),
        )

    async def set_leverage(self, symbol: Symbol, leverage: Decimal) -> LeverageSet:
        """Rounded down and capped (B4); it only changes what `account` calls available."""
        self._matcher(symbol)
        in_force = max(1, min(int(leverage), self._settings.leverage_max))
        sent = self._leverage.get(symbol, 1) != in_force
        self._leverage[symbol] = in_force
        return LeverageSet(asked=leverage, in_force=in_force, sent=sent)

    async def arm_dead_man(self, timeout_s: float) -> None:
        """There is none: orders that rest here harm nobody."""
        raise CallerError(f"paper has no dead-man's switch to arm for {timeout_s} s; nothing was sent")

    async def server_time_ns(self) -> int:
        """The market's clock. Raises as it does."""
        return await self._market.server_time_ns()

    def audit(self) -> tuple[VenueOrder, ...]:
        """Every order it ever accepted, by symbol, in the order of acceptance."""
        return tuple(
            order.audited(symbol) for symbol, matcher in self._matchers.items() for order in matcher.orders.values()
        )

    # --- what the market tells ----------------------------------------------------------------------------------

    def market(self, event: MarketEvent) -> None:
        """One market event: paper orders meet it, then the router sees it, and what it did to them a way later."""
        matcher = self._matchers.get(event.symbol)
        if matcher is not None:
            now_ns = self._clock.now_ns()
            match event:
                case BookUpdate() | BookReset():
                    matcher.on_book(event, now_ns)
                case TradePrint():
                    matcher.on_trade(event, now_ns)
                case MarkUpdate():
                    matcher.mark_ticks = event.mark_ticks
                case _:
                    assert_never(event)
        if self._sink is not None:
            self._sink.market(event)

    def instrument(self, instrument: Instrument) -> None:
        """A listed instrument, or a new version of one, under our name and fees."""
        settings = self._settings
        ours = msgspec.structs.replace(
            instrument,
            venue=self._name,
            maker_fee_e8=instrument.maker_fee_e8 if settings.maker_fee_e8 is None else settings.maker_fee_e8,
            taker_fee_e8=instrument.taker_fee_e8 if settings.taker_fee_e8 is None else settings.taker_fee_e8,
        )
        self._listed[ours.symbol] = ours
        matcher = self._matchers.get(ours.symbol)
        if matcher is not None:
            old = matcher.instrument
            if (old.tick_size, old.lot_size, old.multiplier) != (ours.tick_size, ours.lot_size, ours.multiplier):
                matcher.close(self._clock.now_ns())
            else:
                matcher.instrument = matcher.ledger.instrument = ours
                matcher.reports = self._reports(ours)
        if self._sink is not None:
            self._sink.instrument(ours)

    def link(self, up: bool, reason: str) -> None:
        """Whether what the market tells can be relied on: if not, nothing is filled."""
        self._rely(up=up)
        if self._sink is not None:
            self._sink.link(up, reason)

    # --- inside -------------------------------------------------------------------------------------------------

    def _rely(self, *, up: bool) -> None:
        self._up = up
        for matcher in self._matchers.values():
            matcher.up = up

    def _send(self, arrive: Callable[[int], None]) -> None:
        """Have a request arrive after the way in."""
        clock = self._clock
        at_ns = self._entry.arrival_ns(clock.now_ns())
        clock.call_at(at_ns, partial(self._arrived, arrive))

    def _arrived(self, arrive: Callable[[int], None]) -> None:
        arrive(self._clock.now_ns())

    def _matcher(self, symbol: Symbol) -> Matcher:
        """Where a symbol is traded. Raises `CallerError` for an unknown one."""
        matcher = self._matchers.get(symbol)
        if matcher is None:
            instrument = self._listed.get(symbol)
            if instrument is None:
                raise CallerError(f"{self._name} has no {symbol}; nothing was sent. Connect it first, or name another")
            matcher = self._matchers[symbol] = Matcher(
                instrument,
                self._model,
                Holder(0, entry=self._entry, response=self._response),
                self._reports(instrument),
                stale_ns=self._settings.stale_ns,
            )
            matcher.up = self._up
        return matcher

    def _reports(self, instrument: Instrument) -> PaperReports:
        sink = self._sink
        assert sink is not None, "connect comes first"
        return PaperReports(instrument, self._clock, sink, untold=self._untold)

    @property
    def _clock(self) -> Scheduler:
        scheduler = self._scheduler
        assert scheduler is not None, "connect comes first"
        return scheduler


def _venue_ns(report: ExecutionReport) -> int:
    return report.venue_ns


def open_venue(options: dict[str, str]) -> PaperVenue:
    """An unconnected paper venue, from configuration.

    market     whose market it is: an entry point of group `sor.markets`. The only option that must be given.
    paper.*    how orders are filled: queue, entry, response, seed, maker_fee_bps, taker_fee_bps, name, equity, asset,
               stale_ms, leverage_max; see `venues.paper.settings`.
    Every other option is the market's. Raises `CallerError` for one that is none or does not read: nothing was opened.
    """
    settings = read_settings(options)
    return PaperVenue(open_market(options), settings)
