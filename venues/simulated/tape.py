"""A venue whose market is a recording: an ordinary adapter, with fills by queue model and latency on every way.

Two clocks    The matcher lives in venue time: a request sent at local t meets the recording at t + entry. The strategy
              lives in local time: it learns of an event at venue time + feed, of a report at match + response. Both
              are the scheduler's scale. Requests stay in order, and so do reports. Nobody is told anything before its
              time, although the venue may look ahead to find out when that is.
Ties          At one instant of venue time the recording's trades come first, then its book changes, then our
              requests in the order of sending: a cancel loses to a fill of its own instant.
Taker         Walks the recorded book as of its arrival, all of it. Orders of one owner get no lot twice: what they
              took from a level stays taken until the recording changes that level. Everybody else's later book is as
              recorded, which is the bias of every replay: own trades move nothing, own resting size attracts nobody.
              It grows with the size; keep orders small against the touch.
Maker         Joins behind what is displayed; see `venues.simulated.tape_level` for what fills it, and
              `sor.models.queues` for its way to the front, or `venues.simulated.tape_exact` where the recording
              knows it. A post-only order that would take is refused.
Owners        Positions, reduce-only, self-trade and what was taken are kept per owner. `owner_of` tells the owner of
              an order; by default there is one. A replay that asks "what if this parent had been alone?" makes every
              parent its own owner (`owners=parents`): then each has a queue place, a book to take from, a position
              and connections of its own, and its result does not depend on who else trades.
Self-trade    A new order that would reach an order of its owner is refused, whole.
Reduce-only   Refused without a position to reduce; fills at most the position; cancelled once that is closed.
Ends          Before the first snapshot there is no market and every order is refused. After the last event the book
              stays as it was: makers are not filled any more, takers still meet it. A replay ends its parents before
              `TapeMarket.end_ns`.

Recordings carry no marks, no funding and no margin; an account has as much of everything as it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from sor.adapter import (
    AccountState,
    AmendModel,
    Capabilities,
    LeverageSet,
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
from sor.ids import ClOrdId, Symbol, VenueName
from sor.instruments import Instrument
from sor.lab.columns import columns_of
from sor.orders import (
    AccountFill,
    ExecType,
    ExecutionReport,
    OrdType,
    Provenance,
    RejectKind,
    Side,
    Tif,
)
from sor.tape import Tape, open_tape
from venues.simulated.tape_conditions import NEVER
from venues.simulated.tape_exact import level_maker
from venues.simulated.tape_feed import TapeFeed
from venues.simulated.tape_latency import Delay, Line, local_times
from venues.simulated.tape_level import Level
from venues.simulated.tape_market import FAR, TapeMarket
from venues.simulated.tape_owner import CLIENT_IDS, Ledger, Owner, OwnerOf, OwnOrder, Take, owners_named
from venues.simulated.tape_reports import Reports
from venues.simulated.tape_settings import TapeSettings, read_feed, read_instrument, read_settings
from venues.simulated.tape_terms import UNKNOWN, USED, Refusal, cross_refusal, size_refusal, terms_refusal


class TapeVenue:
    """A `VenueAdapter` with its own feed and books that may be read.

    market        the recording; share one among all venues that trade on it.
    instrument    instead of the recording's own, to trade under other fees or another name; same steps.
    owner_of      instead of what `settings.owners` names; see the module.
    """

    def __init__(
        self,
        market: TapeMarket,
        settings: TapeSettings | None = None,
        *,
        instrument: Instrument | None = None,
        owner_of: OwnerOf | None = None,
    ) -> None:
        settings = settings or TapeSettings()
        recorded = market.tape.instrument
        instrument = instrument or recorded
        if (instrument.tick_size, instrument.lot_size) != (recorded.tick_size, recorded.lot_size):
            raise CallerError(f"{instrument.symbol}: the recording has other steps; nothing was opened")
        self._market = market
        self._instrument = instrument
        self._settings = settings
        self._new_level = level_maker(market, settings.queue)
        self._owner_of = owner_of or owners_named(settings.owners)
        self._scheduler: Scheduler | None = None
        self._reports: Reports | None = None
        self._owners: dict[str, Owner] = {}
        self._orders: dict[ClOrdId, OwnOrder] = {}
        self._live: dict[ClOrdId, OwnOrder] = {}
        self._trades: list[tuple[ExecutionReport, Side]] = []
        self._ledger = Ledger(instrument)
        rtt_ns = settings.entry.median_ns + settings.response.median_ns
        self._capabilities = Capabilities(
            client_ids=CLIENT_IDS,
            tif=frozenset({Tif.GTC, Tif.IOC, Tif.FOK}),
            amend=AmendModel.NATIVE_SAME_ID if settings.amends else AmendModel.NONE,
            amend_keeps_priority_on_size_down=True,
            self_trade=SelfTrade.CANCEL_TAKER,
            orders_per_s=10_000.0,
            submit_rtt_ns=rtt_ns,
            cancel_rtt_ns=rtt_ns,
            book_shows_own=False,
        )

    # --- the adapter --------------------------------------------------------------------------------------------

    @property
    def name(self) -> VenueName:
        """The venue's name."""
        return self._instrument.venue

    @property
    def market(self) -> TapeMarket:
        """The recording it trades on; shared with others, never changed."""
        return self._market

    @property
    def capabilities(self) -> Capabilities:
        """What this session can do."""
        return self._capabilities

    async def connect(self, sink: Sink, scheduler: Scheduler) -> None:
        """Open the session; never fails."""
        self._scheduler = scheduler
        self._reports = Reports(self._instrument, scheduler, sink)
        sink.instrument(self._instrument)
        sink.link(True, "recording opened")

    async def disconnect(self) -> None:
        """Close the session: reports still on their way are lost, orders that rest stay."""
        if self._reports is not None:
            self._reports.sink = None

    def subscribe(self, symbol: Symbol) -> None:
        """Market data comes from `feed`; nothing is pushed. Raises `CallerError` for an unknown symbol."""
        self._check_symbol(symbol)

    def feed(self, symbol: Symbol, wake: Callable[[int], None]) -> TapeFeed:
        """The recording as it can be looked at. Raises `CallerError` for an unknown symbol or before `connect`."""
        self._check_symbol(symbol)
        if self._scheduler is None:
            raise CallerError(f"{self.name} is not connected; nothing was sent. Connect it first")
        return TapeFeed(self._market, self.name, wake=wake, scheduler=self._scheduler)

    def submit(self, order: NewOrder) -> None:
        """Send a new order. Afterwards: NEW, TRADE and EXPIRED reports, or REJECTED."""
        owner, at_ns = self._send(order.cl_ord_id)
        self._clock.call_at(at_ns, partial(self._enter, owner, order, at_ns))

    def cancel(self, ref: OrderRef) -> None:
        """Ask for a cancel. Afterwards: CANCELED, or CANCEL_REJECTED behind what ended the order before."""
        owner, at_ns = self._send(ref.cl_ord_id)
        self._clock.call_at(at_ns, partial(self._cancel, owner, ref, at_ns))

    def amend(self, ref: OrderRef, *, qty_lots: int, price_ticks: int) -> None:
        """Ask for new total quantity and price. Afterwards: REPLACED, AMEND_REJECTED, or CANCELED (nothing was left).

        Less quantity at the same price keeps the place in the queue; anything else is a new place.
        """
        owner, at_ns = self._send(ref.cl_ord_id)
        self._clock.call_at(at_ns, partial(self._amend, owner, ref, at_ns, qty_lots=qty_lots, price_ticks=price_ticks))

    def query(self, ref: OrderRef) -> None:
        """Look an order up. Afterwards: STATUS, behind every trade it counts; or NOT_FOUND."""
        owner, at_ns = self._send(ref.cl_ord_id)
        self._clock.call_at(at_ns, partial(self._query, owner, ref, at_ns))

    async def open_orders(self) -> tuple[OpenOrder, ...]:
        """Every live order, as of now at the venue; fills whose reports are still on their way are counted."""
        self._settle_all(self._clock.now_ns())
        return tuple(order.shown(self._instrument.symbol) for order in self._live.values())

    async def fills_since(self, venue_ns: int) -> tuple[AccountFill, ...]:
        """Trades from `venue_ns` on, as of now at the venue, oldest first."""
        self._settle_all(self._clock.now_ns())
        return tuple(AccountFill.of(report, side) for report, side in self._trades if report.venue_ns >= venue_ns)

    async def account(self) -> AccountState:
        """Equity at the mid of now at the venue, and the position of all owners together."""
        now_ns = self._clock.now_ns()
        self._settle_all(now_ns)
        instrument = self._instrument
        position_lots = self._settings.opening_lots * max(len(self._owners), 1) + self._ledger.lots
        equity = self._settings.equity + self._ledger.profit(self._market.mid_hticks(self._market.group_at(now_ns)))
        return AccountState(
            equity=equity,
            available=equity,
            asset=instrument.settle or instrument.quote,
            positions=(Position(symbol=instrument.symbol, qty_lots=position_lots),) if position_lots else (),
            venue_ns=now_ns,
        )

    async def set_leverage(self, symbol: Symbol, leverage: Decimal) -> LeverageSet:
        """There is none."""
        raise CallerError(f"{self.name} has no leverage to set to {leverage} for {symbol}; nothing was sent")

    async def arm_dead_man(self, timeout_s: float) -> None:
        """There is none."""
        raise CallerError(f"{self.name} has no dead-man's switch to arm for {timeout_s} s; nothing was sent")

    async def server_time_ns(self) -> int:
        """The venue's clock, which is the scheduler's."""
        return self._clock.now_ns()

    def audit(self) -> tuple[VenueOrder, ...]:
        """Every order it ever accepted, in the order of acceptance, as far as the scheduler has come."""
        return tuple(order.audited(self._instrument.symbol) for order in self._orders.values())

    # --- requests, at the time they arrive ----------------------------------------------------------------------

    def _enter(self, owner: Owner, new: NewOrder, at_ns: int) -> None:
        self._settle(owner, at_ns)
        market, side = self._market, new.side
        group = market.group_at(at_ns)
        refusal = self._terms_refusal(new, owner, group)
        if refusal is not None:
            self._told.refuse(new.cl_ord_id, owner, ExecType.REJECTED, at_ns, refusal)
            return
        limit_signed = FAR if new.ord_type is OrdType.MARKET else side * new.price_ticks
        want_lots = new.qty_lots
        if new.reduce_only:
            want_lots = min(want_lots, -side * owner.position_lots)
        takes, left_lots = self._takes(owner, side, want_lots, group=group, limit_signed=limit_signed)
        refusal = self._cross_refusal(
            owner, side, takes, left_lots, group=group, limit_signed=limit_signed, post_only=new.post_only
        )
        if refusal is not None:
            self._told.refuse(new.cl_ord_id, owner, ExecType.REJECTED, at_ns, refusal)
            return
        order = OwnOrder(new, owner, number=len(self._orders) + 1, created_ns=at_ns)
        self._orders[order.cl_ord_id] = self._live[order.cl_ord_id] = order
        self._told.tell(order, ExecType.NEW, at_ns, provenance=Provenance.ACK)
        if not (new.tif is Tif.FOK and left_lots):
            self._take(order, takes, at_ns)
        if new.tif is Tif.GTC and new.ord_type is OrdType.LIMIT:
            self._rest(order, at_ns)
        elif order.leaves_lots:
            self._end(order, ExecType.EXPIRED, at_ns, reject=RejectKind.NO_LIQUIDITY)

    def _cancel(self, owner: Owner, ref: OrderRef, at_ns: int) -> None:
        order = self._working(owner, ref, ExecType.CANCEL_REJECTED, at_ns)
        if order is not None:
            self._leave(order, at_ns)
            self._end(order, ExecType.CANCELED, at_ns, provenance=Provenance.ACK)

    def _amend(self, owner: Owner, ref: OrderRef, at_ns: int, *, qty_lots: int, price_ticks: int) -> None:
        order = self._working(owner, ref, ExecType.AMEND_REJECTED, at_ns)
        if order is None:
            return
        if qty_lots <= order.filled_lots:
            self._leave(order, at_ns)
            self._end(order, ExecType.CANCELED, at_ns, provenance=Provenance.ACK)
            return
        market, side = self._market, order.side
        group = market.group_at(at_ns)
        limit_signed = side * price_ticks
        leaves_lots = qty_lots - order.filled_lots
        stays = price_ticks == order.price_ticks and qty_lots <= order.order_lots
        takes: list[Take] = []
        refusal = size_refusal(self._instrument, qty_lots, price_ticks=price_ticks)
        if refusal is None and not stays:
            takes, left_lots = self._takes(owner, side, leaves_lots, group=group, limit_signed=limit_signed)
            refusal = self._cross_refusal(
                owner, side, takes, left_lots, group=group, limit_signed=limit_signed, post_only=order.post_only
            )
        if refusal is not None:
            self._told.refuse(order.cl_ord_id, owner, ExecType.AMEND_REJECTED, at_ns, refusal)
            return
        level = order.level
        assert level is not None, "a working order rests"
        if stays:
            # Those of the same owner behind it may have been sent ahead with its old quantity.
            level.rewind(market.moment(at_ns))
        else:
            self._leave(order, at_ns)
        order.order_lots, order.leaves_lots, order.price_ticks = qty_lots, leaves_lots, price_ticks
        self._told.tell(order, ExecType.REPLACED, at_ns, provenance=Provenance.ACK, terms=True)
        if stays:
            self._plan(owner, level)
        else:
            self._take(order, takes, at_ns)
            self._rest(order, at_ns)

    def _query(self, owner: Owner, ref: OrderRef, at_ns: int) -> None:
        order = self._orders.get(ref.cl_ord_id)
        if order is None:
            self._told.refuse(ref.cl_ord_id, owner, ExecType.NOT_FOUND, at_ns, UNKNOWN)
            return
        self._settle(owner, at_ns)
        self._told.tell(order, ExecType.STATUS, at_ns, provenance=Provenance.QUERY)

    def _working(self, owner: Owner, ref: OrderRef, otherwise: ExecType, at_ns: int) -> OwnOrder | None:
        """The order a request is about, as of `at_ns`; None, and the refusal told, when it does not work any more."""
        order = self._orders.get(ref.cl_ord_id)
        if order is None:
            self._told.refuse(ref.cl_ord_id, owner, otherwise, at_ns, UNKNOWN)
            return None
        self._settle(owner, at_ns)
        if not order.leaves_lots:
            refusal = RejectKind.TOO_LATE, f"the order is {order.status.value}"
            self._told.refuse(ref.cl_ord_id, owner, otherwise, at_ns, refusal)
            return None
        return order

    # --- terms --------------------------------------------------------------------------------------------------

    def _terms_refusal(self, new: NewOrder, owner: Owner, group: int) -> Refusal | None:
        """Why a new order is not valid at all, or None."""
        market = self._market
        if new.cl_ord_id in self._orders:
            return USED
        if group < market.columns.first_group:
            return RejectKind.VENUE_CLOSED, "the recording has not begun"
        return terms_refusal(
            new,
            self._instrument,
            position_lots=owner.position_lots,
            opposite_signed=market.opposite_best(new.side, group),
        )

    def _cross_refusal(
        self,
        owner: Owner,
        side: Side,
        takes: list[Take],
        left_lots: int,
        *,
        group: int,
        limit_signed: int,
        post_only: bool,
    ) -> Refusal | None:
        """Why an order may not meet what it would meet, or None."""
        return cross_refusal(
            side,
            takes,
            left_lots,
            opposite_signed=self._market.opposite_best(side, group),
            own_signed=owner.nearest(side),
            limit_signed=limit_signed,
            post_only=post_only,
        )

    # --- matching -----------------------------------------------------------------------------------------------

    def _takes(
        self, owner: Owner, side: Side, want_lots: int, *, group: int, limit_signed: int
    ) -> tuple[list[Take], int]:
        """What an order would take from the book after `group`, and the lots for which that is not enough."""
        takes: list[Take] = []
        for price_ticks, displayed_lots, version in self._market.ladder(side, group, limit_signed=limit_signed):
            lots = min(want_lots, displayed_lots - owner.taken_lots(side * price_ticks, version))
            if lots > 0:
                takes.append(Take(price_ticks, lots, version))
                want_lots -= lots
                if not want_lots:
                    break
        return takes, want_lots

    def _take(self, order: OwnOrder, takes: list[Take], at_ns: int) -> None:
        owner, side = order.owner, order.side
        for take in takes:
            signed = side * take.price_ticks
            owner.take(signed, lots=take.lots, version=take.version)
            self._fill(order, take.lots, take.price_ticks, at_ns, maker=False)

    def _rest(self, order: OwnOrder, at_ns: int) -> None:
        """Put what is left of an order into the queue at its price."""
        if not order.leaves_lots:
            return
        owner = order.owner
        if order.reduce_only:
            if -order.side * owner.position_lots <= 0:
                self._end(order, ExecType.CANCELED, at_ns, reject=RejectKind.NOTHING_TO_REDUCE)
                return
            owner.reducing[order.cl_ord_id] = order
        at = self._market.moment(at_ns)
        signed = order.side * order.price_ticks
        level = owner.levels.get(signed)
        if level is None:
            level = owner.levels[signed] = self._new_level(order.side, order.price_ticks, at)
        order.level = level
        level.join(order, at)
        self._plan(owner, level)

    def _leave(self, order: OwnOrder, at_ns: int) -> None:
        """Take a resting order out of its queue; everything due by `at_ns` has been played."""
        level = order.level
        assert level is not None, "a working order rests"
        if len(level.orders) > 1:
            level.rewind(self._market.moment(at_ns))
        level.drop(order)
        order.level = None
        self._plan(order.owner, level)

    def _plan(self, owner: Owner, level: Level[OwnOrder]) -> None:
        """Have the scheduler call when something happens at a level next, or forget the level."""
        if not level.orders:
            del owner.levels[level.signed]
            level.due_ns = NEVER
            return
        level.plan()
        if level.due_ns < NEVER:
            self._clock.call_at(level.due_ns, partial(self._wake, owner, level))

    def _wake(self, owner: Owner, level: Level[OwnOrder]) -> None:
        # Plans change; the calls of older ones come all the same and find nothing due.
        now_ns = self._clock.now_ns()
        if level.due_ns <= now_ns:
            self._settle(owner, now_ns)

    def _settle(self, owner: Owner, at_ns: int) -> None:
        """Let everything happen to an owner's orders that is due by `at_ns`, in order of time."""
        levels = owner.levels
        while levels:
            level = min(levels.values(), key=_due_ns)
            due_ns = level.due_ns
            if due_ns > at_ns:
                return
            for order, lots in level.play():
                self._fill(order, lots, level.price_ticks, due_ns, maker=True)
                spent = order.reduce_only and -order.side * owner.position_lots <= 0
                if spent or not order.leaves_lots:
                    level.drop(order)
                    order.level = None
                if spent and order.leaves_lots:  # the recording would go on to fill it for ever
                    self._end(order, ExecType.CANCELED, due_ns, reject=RejectKind.NOTHING_TO_REDUCE)
            self._plan(owner, level)

    def _settle_all(self, at_ns: int) -> None:
        for owner in self._owners.values():
            self._settle(owner, at_ns)

    def _fill(self, order: OwnOrder, lots: int, price_ticks: int, at_ns: int, *, maker: bool) -> None:
        """One trade of one order; a reduce-only order trades no more than its owner has to reduce."""
        owner, side = order.owner, order.side
        if order.reduce_only:
            lots = min(lots, -side * owner.position_lots)
            if lots <= 0:
                return
        order.fill(lots, price_ticks)
        if not order.leaves_lots:
            del self._live[order.cl_ord_id]
            owner.reducing.pop(order.cl_ord_id, None)
        fee_atoms = self._ledger.trade(side, lots=lots, ticks=price_ticks, maker=maker)
        report = self._told.trade(order, at_ns, lots=lots, ticks=price_ticks, maker=maker, fee_atoms=fee_atoms)
        self._trades.append((report, side))
        if owner.reducing and any(-one.side * owner.position_lots <= 0 for one in owner.reducing.values()):
            # Not here: the trade that closed the position may have more to do to the same orders.
            self._clock.call_at(at_ns, partial(self._cancel_reducing, owner, at_ns))

    def _cancel_reducing(self, owner: Owner, at_ns: int) -> None:
        """Cancel the reduce-only orders of an owner that have nothing left to reduce."""
        self._settle(owner, at_ns)
        for order in tuple(owner.reducing.values()):
            if -order.side * owner.position_lots <= 0:
                self._leave(order, at_ns)
                self._end(order, ExecType.CANCELED, at_ns, reject=RejectKind.NOTHING_TO_REDUCE)

    def _end(
        self,
        order: OwnOrder,
        exec_type: ExecType,
        at_ns: int,
        *,
        reject: RejectKind = RejectKind.NONE,
        provenance: Provenance = Provenance.PUSH,
    ) -> None:
        """An order ends without being filled."""
        order.end(expired=exec_type is ExecType.EXPIRED)
        del self._live[order.cl_ord_id]
        order.owner.reducing.pop(order.cl_ord_id, None)
        self._told.tell(order, exec_type, at_ns, reject=reject, provenance=provenance)

    # --- who and when -------------------------------------------------------------------------------------------

    @property
    def _clock(self) -> Scheduler:
        scheduler = self._scheduler
        assert scheduler is not None, "connect comes first"
        return scheduler

    @property
    def _told(self) -> Reports:
        reports = self._reports
        assert reports is not None, "connect comes first"
        return reports

    def _send(self, cl_ord_id: ClOrdId) -> tuple[Owner, int]:
        """Whose request it is, and when it arrives if it is sent now."""
        name = self._owner_of(cl_ord_id)
        owner = self._owners.get(name)
        if owner is None:
            settings = self._settings
            owner = self._owners[name] = Owner(
                settings.opening_lots,
                entry=Line(settings.entry, seed=settings.seed, way=f"entry/{name}"),
                response=Line(settings.response, seed=settings.seed, way=f"response/{name}"),
            )
        return owner, owner.entry.arrival_ns(self._clock.now_ns())

    def _check_symbol(self, symbol: Symbol) -> None:
        if symbol != self._instrument.symbol:
            raise CallerError(f"{self.name} has no {symbol}; nothing was sent. It trades {self._instrument.symbol}")


_Stamp = tuple[tuple[str, int, int, int], ...]
"""Name, inode, size and time of the last change of each file of a recording."""


def _due_ns(level: Level[OwnOrder]) -> int:
    return level.due_ns


def open_market(tape: Tape, *, feed: Delay | None = None, seed: int = 0) -> TapeMarket:
    """Index a recording for any number of venues: the expensive step, done once.

    feed    delay of market data; None takes the times at which the recorder received it.
    """
    if feed is None:
        group_local_ns = np.maximum(tape.group_recv_ns, tape.group_venue_ns)
        trade_local_ns = np.maximum(tape.trade_recv_ns, tape.trade_venue_ns)
    else:
        group_local_ns = local_times(tape.group_venue_ns, feed, seed=seed, way="groups")
        trade_local_ns = local_times(tape.trade_venue_ns, feed, seed=seed, way="trades")
    return TapeMarket(tape, columns_of(tape, group_local_ns=group_local_ns, trade_local_ns=trade_local_ns))


def open_tape_venue(options: dict[str, str]) -> TapeVenue:
    """An unconnected venue on a recording, from configuration.

    tape                           directory of the recording; the only option that must be given.
    queue                          `risk_averse` (default) or `moderate`, or another of `QUEUES`; `exact` where the
                                   recording has every order by its id.
    feed, entry, response          delays, `5ms` each unless given: `250us`, `0`, `5ms~0.4`, `@PATH` of measured ones;
                                   feed may be `recorded`.
    seed                           of the delays that are drawn, 0 by default.
    maker_fee_bps, taker_fee_bps   instead of the recording's; at most four decimals.
    name                           instead of the recording's venue.
    opening_lots, equity           position and money to begin with.
    owners                         `one` account (default), or `parents`: each parent as if it were alone.
    amends                         `yes` (default) or `no`: whether the venue changes orders that rest.
    market                         `tape`, if given: what tells this venue from the synthetic ones.
    Raises                         CallerError for an unknown option or one that does not read: nothing was opened.
    """
    settings, feed = read_settings(options), read_feed(options)
    if "tape" not in options:
        raise CallerError("a recorded venue needs the option tape, a recording's directory; nothing was opened")
    path = Path(options["tape"]).absolute()
    drawn = feed is not None and feed.drawn
    market = _market_at(path, _stamp(path), feed, settings.seed if drawn else 0)
    return TapeVenue(market, settings, instrument=read_instrument(options, market.tape.instrument))


@lru_cache(maxsize=2)
def _market_at(path: Path, stamp: _Stamp, feed: Delay | None, seed: int) -> TapeMarket:
    """The market of a recording, kept for the next policy: indexing it takes longer than to replay a policy on it.

    Everything that decides the answer is in the arguments; what a market remembers of questions changes no answer. Not
    for two threads at once.
    """
    del stamp  # part of the key only
    return open_market(open_tape(path), feed=feed, seed=seed)


def _stamp(path: Path) -> _Stamp:
    """What changes when a recording is replaced or one of its files is written to; empty when there is none."""
    try:
        files = sorted(entry for entry in path.iterdir() if entry.is_file())
        stats = [(file.name, file.stat()) for file in files]
    except OSError:
        return ()  # opening it says what is wrong
    return tuple((name, stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in stats)
