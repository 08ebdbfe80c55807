"""The venue's books set beside ours: open orders, fills, positions. Each difference becomes a fact, once.

    open orders    an order of ours that is not there, or has less left than we know, is looked up: its answer counts as
                   any other. One with our mark that nobody works is a stray; one with another journal's is a neighbour.
    fills          more of an order of ours than is counted: looked up. Trades of nobody here are foreign flows.
    positions      stated otherwise than baseline + our fills + foreign flows: fills are read, orders looked up, and
                   what two readings in a row say alike and nothing explains is a flow of its own.

Nothing here counts a fill of ours: only the order's own reports do (D10), by ExecID and stated total, so that what was
found by reading and is told later, or the other way round, counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from sor.adapter import AccountState, OpenOrder, VenueAdapter
from sor.child import Child, Life, Pending
from sor.dispatch import Dispatcher
from sor.errors import CallerError, InDoubt, NotSent, SorError, VenueFault
from sor.events import (
    Contradicted,
    FlowCause,
    ForeignTrade,
    NeighbourFound,
    PositionKnown,
    PositionMoved,
    Reading,
    StrayFound,
)
from sor.ids import ClOrdId, Symbol, VenueName, VenueOrderId
from sor.orders import AccountFill, FillCause, PositionSide
from sor.own_book import OwnBook
from sor.router import Core
from sor.settings import Neighbours, Settings
from sor.units import NS

POSITION_QUIET_NS = 5 * NS
"""A venue's word on a position counts where no fill of ours is younger than this: account reads lag behind fills. Two
readings that are to bear each other out lie as far apart."""
FILLS_BACK_NS: Final = 60 * NS
"""Each reading of fills goes back behind the one before by this: venues list them late, and clocks differ. At a start
it goes back as far behind the end of the journal, and by the time between two readings."""
UNANSWERED: Final = (CallerError, NotSent, InDoubt, VenueFault)
"""What a question may end with instead of an answer. A refusal is one of them: a venue that refuses a question now (a
clock that was set, a setting in progress, a key without a right) is asked again later, and nobody is stopped by it."""
_FORCED: Mapping[FillCause, FlowCause] = {
    FillCause.LIQUIDATION: FlowCause.LIQUIDATION,
    FillCause.ADL: FlowCause.ADL,
}


def fills_back_ns(settings: Settings) -> int:
    """How far behind the end of the journal fills are read at a start."""
    return FILLS_BACK_NS + round(max(settings.reconcile_s, settings.positions_s) * NS)


def check_memory(settings: Settings) -> None:
    """Raises `CallerError` for parents that would be forgotten while their fills are still read.

    They would count again, as a stranger's.
    """
    if settings.retire_s < 0 or settings.forget_s < 0:
        raise CallerError("parents cannot be retired or forgotten before they are over; nothing was started")
    back_s = fills_back_ns(settings) / NS
    if 0 < settings.forget_s < back_s:
        raise CallerError(
            f"parents that are over would be forgotten after {settings.forget_s:g} s, and fills are read from "
            f"{back_s:g} s back: theirs would count again, as a stranger's; nothing was started. Forget them later"
        )


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """What a reconciliation found: our live orders, strays, which were canceled, and how many are others'.

    A stray carries our mark, and yet nobody works it: it is not in our journal, or was over before the venue was asked.
    Neighbours carry the mark of another journal, and stay.
    """

    ours: tuple[ClOrdId, ...]
    strays: tuple[ClOrdId, ...]
    foreign: int
    neighbours: tuple[ClOrdId, ...] = ()


class _Difference(NamedTuple):
    """What a venue states of a position, what we know, and when that was first read."""

    stated: int
    known: int
    asked_ns: int


_Key = tuple[VenueName, Symbol, PositionSide]


class Reconciler:
    """Sets the books of the venues of one router beside its core."""

    def __init__(self, core: Core, dispatcher: Dispatcher, *, settings: Settings) -> None:
        self._core = core
        self._dispatcher = dispatcher
        self._settings = settings
        self._start_ns = (core.now_ns or dispatcher.scheduler.now_ns()) - fills_back_ns(settings)
        self._since_ns: dict[VenueName, int] = {}
        self._differences: dict[_Key, _Difference] = {}

    # --- open orders ----------------------------------------------------------------------------------------------

    async def orders(
        self, adapter: VenueAdapter, wanted: Symbol | None = None, *, starting: bool = False
    ) -> Reconciled:
        """Set a venue's open orders beside ours.

        wanted      only this symbol.
        starting    nothing was done yet: with orders of another journal there it is refused, unless somebody has said
                    what they are.
        Raises      `NotSent` or `InDoubt` when the venue cannot be asked, `CallerError` for what is refused.
        """
        asked_ns = self._dispatcher.now_ns()
        codec = adapter.capabilities.client_ids
        desk = self._core.desk
        open_before = [child for child in self._open_children(adapter.name) if wanted in (None, child.order.symbol)]
        live = [child for child in open_before if child.life is Life.LIVE]
        working = {child.order.cl_ord_id for child in open_before}
        listed: dict[ClOrdId, OpenOrder] = {}
        strays: list[OpenOrder] = []
        neighbours: dict[int, list[ClOrdId]] = {}
        foreign = 0
        for order in await adapter.open_orders():
            if wanted is not None and order.symbol != wanted:
                continue
            child = desk.order(order.cl_ord_id)
            owned = codec.decode(order.cl_ord_id)
            if child is not None and child.venue != adapter.name:
                child = None
            if child is not None and (order.cl_ord_id in working or child.sent_ns >= asked_ns):
                listed[order.cl_ord_id] = order
            elif child is not None or (owned is not None and self._ours_to_close(owned.epoch)):
                # Turns were lost with the power, or the venue took back an end that it had told.
                strays.append(order)
            elif owned is not None:
                neighbours.setdefault(owned.epoch, []).append(order.cl_ord_id)
            else:
                foreign += 1
        if starting and neighbours and self._settings.neighbours is Neighbours.REFUSE:
            raise CallerError(_refusal(adapter.name, neighbours))
        for order in strays:
            self._dispatcher.record(
                StrayFound(
                    now_ns=self._dispatcher.now_ns(),
                    venue=adapter.name,
                    symbol=order.symbol,
                    cl_ord_id=order.cl_ord_id,
                    venue_order_id=order.venue_order_id,
                    side=order.side,
                    price_ticks=order.price_ticks,
                    leaves_lots=order.leaves_lots,
                )
            )
        for epoch, ids in neighbours.items():
            if (adapter.name, epoch) not in self._core.foreign.neighbours:
                self._dispatcher.record(
                    NeighbourFound(
                        now_ns=self._dispatcher.now_ns(), venue=adapter.name, epoch=epoch, cl_ord_ids=tuple(ids)
                    )
                )
        lag_ns = adapter.capabilities.lookup_lag_ns
        self._doubt(live, listed, sent_by_ns=asked_ns - lag_ns)
        return Reconciled(
            ours=tuple(listed),
            strays=tuple(order.cl_ord_id for order in strays),
            foreign=foreign,
            neighbours=tuple(cl_ord_id for ids in neighbours.values() for cl_ord_id in ids),
        )

    def _ours_to_close(self, epoch: int) -> bool:
        """Whether orders of this mark are, where nobody works them."""
        return epoch == self._core.desk.epoch or self._settings.neighbours is Neighbours.ADOPT

    def _doubt(self, live: Iterable[Child], listed: Mapping[ClOrdId, OpenOrder], *, sent_by_ns: int) -> None:
        """Look up what was live before the venue was asked, and is not there as it should be."""
        for child in live:
            if child.life is not Life.LIVE or child.pending is not Pending.NONE or child.sent_ns > sent_by_ns:
                continue  # something was heard of it meanwhile, or will be
            row = listed.get(child.order.cl_ord_id)
            if row is None:
                self._contradict(child, Reading.OPEN_ORDERS, "it is not among them")
            elif row.leaves_lots < child.leaves_lots:
                said = f"{row.leaves_lots} lots of it are left, and {child.leaves_lots} by what was told"
                self._contradict(child, Reading.OPEN_ORDERS, said)

    # --- fills ----------------------------------------------------------------------------------------------------

    async def fills(self, adapter: VenueAdapter) -> None:
        """Set a venue's fills beside ours. Raises `NotSent`, `InDoubt`, `CallerError` or `VenueFault` unanswered."""
        if not adapter.capabilities.fills_lookup:
            return
        venue = adapter.name
        asked_ns = self._dispatcher.now_ns()
        since_ns = self._since_ns.get(venue, self._start_ns)
        next_ns = asked_ns - FILLS_BACK_NS
        ours: dict[ClOrdId, int] = {}
        foreign: dict[tuple[Symbol, PositionSide, FlowCause], list[ForeignTrade]] = {}
        for fill in await adapter.fills_since(since_ns):
            child = self._child(venue, fill)
            if child is not None:
                cl_ord_id = child.order.cl_ord_id
                ours[cl_ord_id] = ours.get(cl_ord_id, 0) + fill.last_lots
            elif self._core.foreign.counted(venue, fill.symbol, fill.exec_id, fill.side):
                continue
            elif not fill.cl_ord_id and self._may_be_ours(venue, fill.symbol):
                next_ns = min(next_ns, fill.venue_ns)  # an order of ours has no name at the venue yet: read it again
            elif self._since_baseline(venue, fill):
                flow = (fill.symbol, fill.position_side, self._cause(adapter, fill))
                foreign.setdefault(flow, []).append(_trade(fill))
        for cl_ord_id, lots in ours.items():
            child = self._core.desk.order(cl_ord_id)
            if child is not None and lots > child.counted_lots:
                self._contradict(child, Reading.FILLS, f"{lots} lots are there, {child.counted_lots} were told")
        for (symbol, side, cause), trades in foreign.items():
            self._move(venue, symbol, side, cause, Reading.FILLS, sum(t.side * t.lots for t in trades), tuple(trades))
        self._since_ns[venue] = max(since_ns, next_ns)

    def _child(self, venue: VenueName, fill: AccountFill) -> Child | None:
        """The order of ours that a fill is of."""
        desk = self._core.desk
        child = desk.order(fill.cl_ord_id)
        if child is not None and child.venue == venue:
            return child
        return desk.order_named(venue, fill.venue_order_id)

    def _may_be_ours(self, venue: VenueName, symbol: Symbol) -> bool:
        """Whether an order of ours may be at the venue under a name that we do not know yet."""
        return any(child.order.symbol == symbol and not child.venue_order_id for child in self._open_children(venue))

    def _since_baseline(self, venue: VenueName, fill: AccountFill) -> bool:
        """Whether a fill is not in the position that the venue stated first."""
        book = self._book(venue, fill.symbol)
        base = None if book is None else book.baselines.get(fill.position_side)
        return base is not None and fill.venue_ns > base[1]

    def _cause(self, adapter: VenueAdapter, fill: AccountFill) -> FlowCause:
        owned = adapter.capabilities.client_ids.decode(fill.cl_ord_id)
        strays = self._core.foreign.strays
        if fill.cl_ord_id in strays or (owned is not None and owned.epoch == self._core.desk.epoch):
            return FlowCause.STRAY
        if fill.venue_order_id and any(stray.venue_order_id == fill.venue_order_id for stray in strays.values()):
            return FlowCause.STRAY
        if owned is not None:
            return FlowCause.NEIGHBOUR
        return _FORCED.get(fill.cause, FlowCause.MANUAL)

    # --- positions ------------------------------------------------------------------------------------------------

    def differs(self, venue: VenueName) -> bool:
        """Whether a position of this venue is stated otherwise than we know, and another reading has to tell why."""
        return any(key[0] == venue for key in self._differences)

    def again_ns(self, venue: VenueName, symbol: Symbol, asked_ns: int) -> int | None:
        """When a symbol whose position was asked for at `asked_ns` is to be asked for again; None: it is settled."""
        book = self._book(venue, symbol)
        if book is not None and book.filled_ns >= asked_ns - POSITION_QUIET_NS:
            return book.filled_ns + POSITION_QUIET_NS + 1
        differs = any((venue, symbol, side) in self._differences for side in PositionSide)
        return asked_ns + POSITION_QUIET_NS + 1 if differs else None

    async def positions(self, adapter: VenueAdapter, account: AccountState, asked_ns: int) -> None:
        """Set positions that were asked for at `asked_ns` beside ours.

        Raises as `fills`, once all is done that can be done without them.
        """
        differing = self._differing(adapter, account, asked_ns)
        unread: SorError | None = None
        if differing:
            try:
                await self.fills(adapter)
            except UNANSWERED as error:
                unread = error  # exits must not wait for a history that cannot be had
            differing = self._differing(adapter, account, asked_ns)
        for key in [key for key in self._differences if key[0] == adapter.name and key not in differing]:
            del self._differences[key]
        for key, now in differing.items():
            before = self._differences.get(key)
            if before is None or before[:2] != now[:2]:
                self._differences[key] = now
                self._look_up_all(key)
            elif now.asked_ns - before.asked_ns >= POSITION_QUIET_NS and not self._unsure(key):
                del self._differences[key]
                venue, symbol, side = key
                lots = now.stated - now.known
                self._move(venue, symbol, side, FlowCause.UNEXPLAINED, Reading.POSITIONS, lots)
        if unread is not None:
            raise unread

    def _differing(self, adapter: VenueAdapter, account: AccountState, asked_ns: int) -> dict[_Key, _Difference]:
        """Positions that the venue states otherwise, where no fill is so young that it may not know of it.

        What it states of a position that was never known is its baseline, where nothing of ours is open.
        """
        still_ns = asked_ns - POSITION_QUIET_NS
        venue = adapter.name
        stated = {(position.symbol, position.position_side): position.qty_lots for position in account.positions}
        modes = adapter.capabilities.position_modes
        found: dict[_Key, _Difference] = {}
        for place, symbol in tuple(self._core.in_force.instruments):
            if place != venue:
                continue
            book = self._book(venue, symbol)
            for side in PositionSide:
                if side not in modes:
                    continue
                lots = stated.get((symbol, side), 0)
                known = None if book is None else book.positions.get(side)
                if known is None:
                    if book is None or book.still_since(still_ns):
                        self._base(venue, symbol, side, lots)
                elif known != lots and book is not None and book.filled_ns < still_ns:
                    found[venue, symbol, side] = _Difference(stated=lots, known=known, asked_ns=asked_ns)
        return found

    def _look_up_all(self, key: _Key) -> None:
        """An order of ours may have filled without a word."""
        venue, symbol, side = key
        for child in self._open_children(venue):
            if child.order.symbol == symbol and child.order.position_side is side and child.life is Life.LIVE:
                self._contradict(child, Reading.POSITIONS, "the position is not what its fills make it")

    def _unsure(self, key: _Key) -> bool:
        """Whether an order of ours may still explain a difference."""
        venue, symbol, _ = key
        return any(
            child.order.symbol == symbol and (child.life is not Life.LIVE or child.unseen)
            for child in self._open_children(venue)
        )

    # --- facts ----------------------------------------------------------------------------------------------------

    def _base(self, venue: VenueName, symbol: Symbol, side: PositionSide, lots: int) -> None:
        self._dispatcher.record(
            PositionKnown(
                now_ns=self._dispatcher.now_ns(),
                venue=venue,
                account=self._settings.account,
                symbol=symbol,
                position_side=side,
                qty_lots=lots,
            )
        )

    def _move(
        self,
        venue: VenueName,
        symbol: Symbol,
        side: PositionSide,
        cause: FlowCause,
        by: Reading,
        lots: int,
        trades: tuple[ForeignTrade, ...] = (),
    ) -> None:
        self._dispatcher.record(
            PositionMoved(
                now_ns=self._dispatcher.now_ns(),
                venue=venue,
                account=self._settings.account,
                symbol=symbol,
                position_side=side,
                cause=cause,
                by=by,
                qty_lots=lots,
                trades=trades,
            )
        )

    def _contradict(self, child: Child, by: Reading, text: str) -> None:
        """Have an order looked up, unless it is being looked up for such a reason already."""
        cl_ord_id = child.order.cl_ord_id
        if cl_ord_id not in self._core.foreign.suspects:
            self._dispatcher.record(
                Contradicted(now_ns=self._dispatcher.now_ns(), cl_ord_id=cl_ord_id, by=by, text=text)
            )

    # --- what is known --------------------------------------------------------------------------------------------

    def _open_children(self, venue: VenueName) -> Iterable[Child]:
        parents = self._core.parents.at_work.values()
        return (child for parent in parents if parent.venue == venue for child in parent.open_children)

    def _book(self, venue: VenueName, symbol: Symbol) -> OwnBook | None:
        return self._core.desk.books.get((venue, self._settings.account, symbol))


def _trade(fill: AccountFill) -> ForeignTrade:
    return ForeignTrade(
        fill.exec_id,
        fill.cl_ord_id,
        VenueOrderId(fill.venue_order_id),
        fill.side,
        fill.last_lots,
        fill.last_ticks,
        fill.venue_ns,
    )


def _refusal(venue: VenueName, neighbours: Mapping[int, list[ClOrdId]]) -> str:
    ids = [cl_ord_id for found in neighbours.values() for cl_ord_id in found]
    whose = f"another journal, epoch {', '.join(str(epoch) for epoch in neighbours)}"
    return (
        f"{venue} has {len(ids)} open orders that carry the mark of {whose}: {', '.join(ids)}. Two routers on "
        "one account would spend each other's positions, so nothing was started and nothing was sent. Where that "
        "router still runs, give this one another account, or let both stay (`--leave`, `neighbours`); where it does "
        "not, start it once more on its own journal, or have the orders withdrawn here (`--adopt`)"
    )
