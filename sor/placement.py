"""From a decision to orders.

What a policy sees, what the machine decides itself when time is up, and the difference between the placements wanted
and the orders there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

import msgspec

from sor.adapter import Capabilities, NewOrder, ReduceOnly
from sor.child import Child, Life, Pending
from sor.desk import Desk, key_of
from sor.events import TradingMode
from sor.ids import ClOrdId
from sor.limits import Limits
from sor.market import Levels, MarketView
from sor.orders import OrdType, Tif
from sor.own_book import OwnBook
from sor.parent import Parent
from sor.policy import Decision, Placement, Rest, Take
from sor.pricing import collar_ticks, nearer_ticks
from sor.reasons import Denial
from sor.revisit import Revisit
from sor.risk import Proposal, deny, reducible_lots
from sor.snapshot import Cause, Contradiction, Costs, Resting, View
from sor.units import BPS, NS, rate_bps


class Carried(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What became of a decision: orders placed (and how many take), cancels sent, and what the risk gate denied."""

    placed: int
    takes: int
    cancels: int
    denials: tuple[Denial, ...]
    nothing_to_reduce: bool


# Members by name: CPython 3.11 takes longer to read a member off its enum than to compare it, and these are read for
# every report.
_LIVE: Final = Life.LIVE
_NOTHING_PENDING: Final = Pending.NONE
_LIMIT: Final = OrdType.LIMIT
_IOC: Final = Tif.IOC


def view_of(
    parent: Parent,
    *,
    cause: Cause,
    market: MarketView,
    open_lots: int,
    due_ns: int,
    capabilities: Capabilities,
    now_ns: int,
    ahead: tuple[tuple[ClOrdId, int], ...] = (),
    contradicted: Contradiction | None = None,
) -> View:
    """What the policy sees of a parent.

    ahead           lots ahead of those of its orders of which that is known.
    contradicted    what says that its set's models do not predict its policy's fills.
    """
    order = parent.order
    instrument = parent.instrument
    arrival = parent.arrival_hticks
    assert arrival is not None
    mid = market.mid_hticks
    adverse = 0.0 if mid is None else BPS * parent.side * (mid - arrival) / arrival
    resting: tuple[Resting, ...] = ()
    if parent.open_children:
        ahead_of = dict(ahead)
        resting = tuple(
            [
                Resting(
                    child.order.cl_ord_id,
                    child.venue,
                    child.price_ticks,
                    child.leaves_lots,
                    child.sent_ns,
                    child.expire_ns,
                    ahead_of.get(child.order.cl_ord_id),
                )
                for child in parent.open_children
                if child.rests and child.life is _LIVE
            ]
        )
    return View(
        now_ns=now_ns,
        cause=cause,
        side=parent.side,
        parent_lots=parent.ledger.order_lots,
        open_lots=open_lots,
        remaining_lots=parent.remaining_lots,
        filled_lots=parent.ledger.cum_lots,
        due_ns=due_ns,
        deadline_ns=parent.deadline_ns,
        arrival_hticks=arrival,
        adverse_bps=adverse,
        limit_ticks=parent.limit_ticks,
        may_rest=order.may_rest,
        urgency=parent.urgency,
        holding_s=order.holding_s,
        mae_budget_bps=order.mae_budget_bps,
        max_participation=order.max_participation,
        reduce_only=order.reduce_only,
        resting=resting,
        timeouts=parent.timeouts,
        requotes=parent.requotes,
        refusals=parent.refusals,
        market=market,
        instrument=instrument,
        costs=Costs(
            rate_bps(instrument.maker_fee_e8),
            rate_bps(instrument.taker_fee_e8),
            capabilities.submit_rtt_ns,
            capabilities.cancel_rtt_ns,
        ),
        memory=parent.memory,
        parent_id=parent.id,
        funding_s=(market.funding_ns - now_ns) / NS if market.funding_ns else None,
        contradicted=contradicted,
    )


def cross_decision(view: View, limits: Limits) -> Decision:
    """Time is up: take all that is left, at the risk collar or the limit price, whichever is nearer."""
    ladder = view.market.ladder(view.side)
    if not ladder:
        return Decision(placements=(), revisit=Revisit(), reason="time_up", note="Time is up, but the book is empty.")
    worst = collar_ticks(view.side, touch_ticks=ladder[0][0], collar_bps=limits.collar_bps)
    worst = nearer_ticks(view.side, worst, view.limit_ticks)
    take = Take(view.instrument.venue, view.open_lots, worst)
    return Decision(
        placements=(take,),
        revisit=Revisit(),
        reason="time_up",
        note="Time is up: take what is left, at the collar or better.",
        inputs=(("collar_ticks", float(worst)), ("open_lots", float(view.open_lots))),
    )


def carry_out(
    desk: Desk, parent: Parent, view: View, decision: Decision, *, mode: TradingMode, limits: Limits
) -> Carried:
    """Work out what `decision` changes and do it: keep what is as wanted, withdraw the rest, place what is missing.

    Where anything must be withdrawn first, nothing is placed: the policy is asked again once the cancels are known.
    """
    now = view.now_ns
    wanted = decision.placements
    if not any(isinstance(want, Take) for want in wanted):
        desk.book_of(parent).give_way(parent.side, parent.no)
    standing = [
        child for child in parent.open_children if child.rests and child.life is _LIVE and not child.cancel_wanted
    ]
    kept, unmatched, missing = matched(standing, wanted, least=parent.instrument.min_qty_lots)
    for child, expire_ns in kept:
        child.expire_ns = expire_ns
        if not child.unseen:
            child.check_ns = expire_ns
    if len(unmatched) == 1 and len(missing) == 1 and desk.can_amend(unmatched[0]):
        rest, lots = missing[0]
        if isinstance(rest, Rest) and _move(desk, parent, view, unmatched[0], rest, lots, mode=mode, limits=limits):
            return Carried(placed=1, takes=0, cancels=0, denials=(), nothing_to_reduce=False)
    for child in unmatched:
        desk.cancel(child, now, limits)
    if unmatched:
        if any(isinstance(w, Rest) for w, _ in missing):
            parent.requotes += 1
        return Carried(placed=0, takes=0, cancels=len(unmatched), denials=(), nothing_to_reduce=False)
    return _place_all(desk, parent, view, missing, mode=mode, limits=limits)


class AtPrice(Protocol):
    """An order that rests, as far as it is compared with what is wanted."""

    @property
    def price_ticks(self) -> int:
        """Its price."""

    @property
    def leaves_lots(self) -> int:
        """What it may still fill."""


OrderT = TypeVar("OrderT", bound=AtPrice)


def matched(
    orders: Sequence[OrderT], wanted: tuple[Placement, ...], *, least: int
) -> tuple[list[tuple[OrderT, int]], list[OrderT], list[tuple[Placement, int]]]:
    """What rests against what is wanted: orders that stay, with their new expiry; those that go; what is missing.

    least    lots below which a part of what is wanted is not placed beside what stays for it.
    """
    left = [want.qty_lots for want in wanted]
    if not orders:
        return [], [], list(zip(wanted, left, strict=True))
    kept: list[tuple[OrderT, int]] = []
    unmatched: list[OrderT] = []
    for order in orders:
        found = _stays_for(order, wanted, left)
        if found is None:
            unmatched.append(order)
            continue
        no, want = found
        left[no] -= order.leaves_lots
        kept.append((order, want.expire_ns))
    missing = [(want, lots) for want, lots in zip(wanted, left, strict=True) if lots == want.qty_lots or lots >= least]
    return kept, unmatched, missing


def _stays_for(child: AtPrice, wanted: tuple[Placement, ...], left: list[int]) -> tuple[int, Rest] | None:
    """The placement that an order stays for, with its number, by what is left of each; None: for none.

    A smaller order keeps its place, and several may make up one wanted; a larger one would overfill. What is wanted in
    its very size is its own, so that no other that is wanted as well loses its place.
    """
    found: tuple[int, Rest] | None = None
    for no, want in enumerate(wanted):
        if isinstance(want, Rest) and want.price_ticks == child.price_ticks and child.leaves_lots <= left[no]:
            if child.leaves_lots == left[no]:
                return no, want
            found = found or (no, want)
    return found


def _move(
    desk: Desk,
    parent: Parent,
    view: View,
    child: Child,
    rest: Rest,
    lots: int,
    *,
    mode: TradingMode,
    limits: Limits,
) -> bool:
    """Amend a live order to a wanted one where the gate allows it."""
    if child.pending is not _NOTHING_PENDING:
        return False
    lots = min(lots, parent.ledger.free_lots + child.leaves_lots)
    if parent.order.reduce_only:
        budget = reducible_lots(parent, desk.book_of(parent))
        if budget is None:
            return False
        lots = min(lots, budget + child.leaves_lots)  # what it holds already is in the budget of open exits
    lots = fitting(parent, lots, rest.price_ticks, limits)
    denied = deny(
        Proposal(takes=False, lots=lots, ticks=rest.price_ticks),
        parent=parent,
        book=desk.book_of(parent),
        venue=desk.venues[parent.venue],
        market=view.market,
        mode=mode,
        limits=limits,
        now_ns=view.now_ns,
    )
    if denied is not None:
        return False
    desk.amend(
        parent,
        child,
        qty_lots=child.counted_lots + lots,
        price_ticks=rest.price_ticks,
        now_ns=view.now_ns,
        limits=limits,
    )
    child.expire_ns = rest.expire_ns
    parent.requotes += 1
    return True


def _place_all(
    desk: Desk,
    parent: Parent,
    view: View,
    missing: list[tuple[Rest | Take, int]],
    *,
    mode: TradingMode,
    limits: Limits,
) -> Carried:
    book = desk.book_of(parent)
    venue = desk.venues[parent.venue]
    placed = takes = 0
    denials: list[Denial] = []
    nothing_to_reduce = False
    for want, lots_wanted in missing:
        lots = _cut(parent, book, want, lots_wanted, limits)
        if isinstance(lots, Denial):
            denials.append(lots)
            nothing_to_reduce = lots is Denial.NOTHING_TO_REDUCE and not any(book.reducing.values())
            continue
        if lots <= 0:
            continue
        proposal = _proposal(want, lots)
        take, ticks = proposal.takes, proposal.ticks
        denied = deny(
            proposal,
            parent=parent,
            book=book,
            venue=venue,
            market=view.market,
            mode=mode,
            limits=limits,
            now_ns=view.now_ns,
        )
        if denied is not None:
            denials.append(denied)
            if denied is Denial.SELF_TRADE and take:
                _clear_the_way(desk, parent, ticks, view.now_ns, limits)
            continue
        order = _order(desk, parent, want, lots, view, venue.capabilities, limits)
        expire_ns = want.expire_ns if isinstance(want, Rest) else 0
        desk.place(parent, order, expire_ns=expire_ns, market=view.market, now_ns=view.now_ns, limits=limits)
        if take:
            takes += 1
            book.give_way(parent.side, parent.no)
        placed += 1
    return Carried(placed=placed, takes=takes, cancels=0, denials=tuple(denials), nothing_to_reduce=nothing_to_reduce)


def _cut(parent: Parent, book: OwnBook, want: Placement, lots: int, limits: Limits) -> int | Denial:
    """What of a wanted quantity is free, is left to reduce, and fits into one order."""
    lots = min(lots, parent.ledger.free_lots)
    if parent.order.reduce_only:
        budget = reducible_lots(parent, book)
        if budget is None:
            return Denial.POSITION_UNKNOWN
        if budget <= 0:
            return Denial.NOTHING_TO_REDUCE
        lots = min(lots, budget)
    return fitting(parent, lots, _ticks_of(want), limits)


def fitting(parent: Parent, lots: int, ticks: int, limits: Limits) -> int:
    """What of `lots` one order may hold, by the venue's largest quantity and by our own largest value.

    What is left is placed later, when this has come to an end or the policy wants it, so it is not left too small to be
    placed. Where not even the venue's smallest order may be that large, nothing is cut: the gate says why.
    """
    instrument = parent.instrument
    if ticks < 1:
        return lots  # the gate says what is wrong with it
    most = instrument.most_lots(ticks=ticks, value_max=limits.order_notional_max)
    if instrument.max_qty_lots:
        most = min(most, instrument.max_qty_lots)
    if lots <= most:
        return lots
    least = instrument.least_lots(touch_ticks=ticks, reduce_only=parent.order.reduce_only)
    if most < least:
        return lots
    short = least - (lots - most)
    return most - short if 0 < short <= most - least else most


def _ticks_of(want: Placement) -> int:
    """The price that a placement is valued at: its limit, or the worst that it may take at."""
    return want.collar_ticks if isinstance(want, Take) else want.price_ticks


def _proposal(want: Placement, lots: int) -> Proposal:
    return Proposal(takes=isinstance(want, Take), lots=lots, ticks=_ticks_of(want))


def foreseen(
    desk: Desk, parent: Parent, view: View, decision: Decision, *, mode: TradingMode, limits: Limits
) -> tuple[Denial | None, ...]:
    """What the risk gate would say of each placement of a parent that has nothing at a venue; nothing is changed."""
    book = desk.books.get(key_of(parent)) or OwnBook()
    found: list[Denial | None] = []
    for want in decision.placements:
        lots = _cut(parent, book, want, want.qty_lots, limits)
        if isinstance(lots, Denial):
            found.append(lots)
            continue
        denied = deny(
            _proposal(want, lots),
            parent=parent,
            book=book,
            venue=desk.venues[parent.venue],
            market=view.market,
            mode=mode,
            limits=limits,
            now_ns=view.now_ns,
        )
        found.append(denied)
    return tuple(found)


def _clear_the_way(desk: Desk, parent: Parent, collar: int, now_ns: int, limits: Limits) -> None:
    """Withdraw own opposite orders that a taking order would meet; their parents are asked again afterwards."""
    book = desk.book_of(parent)
    book.crosser.setdefault(parent.side, parent.no)
    for child in tuple(book.rests[parent.side.opposite].values()):
        if parent.side * (collar - child.price_ticks) >= 0 and not child.cancel_wanted:
            desk.cancel(child, now_ns, limits)


def _order(
    desk: Desk,
    parent: Parent,
    want: Rest | Take,
    lots: int,
    view: View,
    capabilities: Capabilities,
    limits: Limits,
) -> NewOrder:
    """The order as the venue gets it."""
    closing = parent.order.reduce_only
    flag = closing and capabilities.reduce_only is ReduceOnly.FLAG
    cl_ord_id = desk.next_id(parent, closing=closing)
    symbol = parent.instrument.symbol
    if isinstance(want, Rest):
        return NewOrder(
            cl_ord_id=cl_ord_id,
            symbol=symbol,
            side=parent.side,
            ord_type=OrdType.LIMIT,
            qty_lots=lots,
            price_ticks=want.price_ticks,
            tif=Tif.GTC,
            post_only=True,
            reduce_only=flag,
            position_side=parent.order.position_side,
        )
    silent = view.now_ns - view.market.recv_ns > limits.stale_ns  # then the venue's touch is not ours
    as_market = not silent and _market_is_safe(parent, want, lots, view.market.ladder(parent.side), capabilities)
    return NewOrder(
        cl_ord_id=cl_ord_id,
        symbol=symbol,
        side=parent.side,
        ord_type=OrdType.MARKET if as_market else _LIMIT,
        qty_lots=lots,
        price_ticks=0 if as_market else want.collar_ticks,
        tif=_IOC,
        reduce_only=flag,
        position_side=parent.order.position_side,
    )


def _market_is_safe(parent: Parent, take: Take, lots: int, ladder: Levels, capabilities: Capabilities) -> bool:
    """MARKET only where the book walk and the venue's own price bound both lie inside the collar (design 4).

    Never for a parent with a limit: the venue's bound goes with its touch, which may have moved when the order arrives.
    """
    bound = capabilities.market_bound_bps
    if bound is None or not ladder or parent.limit_ticks is not None:
        return False
    side = parent.side
    touch = ladder[0][0]
    if touch * bound / BPS > side * (take.collar_ticks - touch):
        return False
    left = lots
    for ticks, depth in ladder:
        if side * (ticks - take.collar_ticks) > 0:
            return False
        left -= depth
        if left <= 0:
            return True
    return False
