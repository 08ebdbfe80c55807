"""The judgement of a run: the plan, the journal that the dead have left, and the emulator's own books.

The oracle is that of the simulator and trusts no sum of the router's. Beside it stand orders, money and fees one by
one, positions, the journal's own checks, and the promise that what was accepted is on disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec

from sor.adapter import MoneyCause
from sor.balances import SLACK
from sor.chaos.plan import Plan
from sor.chaos.worker import Line, Said
from sor.child import Child
from sor.emulation import AccountBooks, OrderMoney
from sor.errors import JournalFault, ReplayDiverged
from sor.ids import AccountId, VenueName
from sor.instruments import Instrument, canonical_symbol
from sor.journal import verify
from sor.orders import FeeSource, OrdStatus, PositionSide
from sor.recovery import folded, recompute_checkpoints
from sor.router import Core
from sor.sim.oracle import Asked, Claimed, judge
from sor.sim.storm import Findings
from sor.wallets import Wallet

FEE_STEP = Decimal("0.000001")
"""Venues state fees to so many decimals."""
PRICE_SLACK_TICKS = 2
"""By which the price told of a lot may be off, where rounded averages are told."""
_SETTLED = (FeeSource.WS_SETTLED, FeeSource.REST_SETTLED)


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """What there was to judge. `fees_open`: orders with fills whose fees the journal does not have in full.

    wallet    what the router has for the wallet, None where it never knew it.
    """

    parents: int = 0
    orders: int = 0
    fills: int = 0
    fees_open: int = 0
    wallet: Decimal | None = None


def examine(
    *,
    plan: Plan,
    journal: Path,
    venue: VenueName,
    symbol: str,
    said: Sequence[Line],
    books: AccountBooks,
    broken: Sequence[str],
    money: bool,
    findings: Findings,
) -> Count:
    """Add everything that is wrong to `findings`."""
    unsafe = findings.unsafe
    unsafe += broken
    if books.duplicate:
        unsafe.append(f"{books.duplicate} orders were sent again under an id that had been accepted")
    try:
        unsafe += [f"the journal: {fault}" for fault in verify(journal).faults]
        core = folded(journal)
        recompute_checkpoints(journal)
    except (JournalFault, ReplayDiverged) as error:
        unsafe.append(f"the journal: {error}")
        return Count(orders=len(books.orders))
    unsafe += _lost(core, plan, said)
    unsafe += _judged(core, plan, books)
    findings.stuck += _unended(core)
    instrument = core.in_force.instruments.get((venue, canonical_symbol(symbol)))
    if instrument is None:
        unsafe.append("the journal: it has no instrument")
        return Count(orders=len(books.orders))
    children = [child for parent in core.parents for child in parent.children]
    theirs = {order.cl_ord_id: order for order in books.orders}
    for child in children:
        name = child.order.cl_ord_id
        order = theirs.get(name)
        filled_lots = 0 if order is None else order.filled_lots
        full = order is not None and filled_lots >= order.order_lots == child.qty_lots
        paid = books.money.get(name)
        unsafe += [f"{name}: {text}" for text in _wrong(child, filled_lots, paid, instrument, full=full)]
    unsafe += _positions(core, books, venue=venue)
    wallet = core.wallets.of(venue, AccountId("default")) if money else None
    if wallet is not None:
        unsafe += wallet_wrong(wallet, books)
    return Count(
        parents=len(core.parents),
        orders=len(books.orders),
        fills=sum(len(order.exec_ids) for order in books.orders),
        wallet=None if wallet is None else wallet.expected,
        fees_open=sum(child.counted_lots > 0 and _fees(child) is None for child in children),
    )


def _lost(core: Core, plan: Plan, said: Sequence[Line]) -> Iterator[str]:
    """What `submit` has returned for and is not there, and what is there and nobody has asked for."""
    for line in said:
        if line.said is Said.ACCEPTED and line.text not in core.by_id:
            yield f"lost: {line.text} was accepted by process {line.life}, and is not in the journal"
    known = plan.lots_max()
    for parent in core.parents:
        if parent.id not in known:
            yield f"nobody asked for {parent.id}"


def _unended(core: Core) -> Iterator[str]:
    for parent in core.parents:
        if not parent.ended or parent.open_children:
            yield f"{parent.id} is {parent.status}, with {[child.status.value for child in parent.open_children]}"


def _judged(core: Core, plan: Plan, books: AccountBooks) -> tuple[str, ...]:
    """The oracle's word. Fills are told apart order by order elsewhere, as several may be told as one."""
    lots = plan.lots_max()
    return judge(
        asked=[
            Asked(
                parent_id=parent.id,
                symbol=parent.instrument.symbol,
                side=parent.side,
                qty_lots=lots.get(parent.id, 0),
                terminal=parent.ended,
            )
            for parent in core.parents
        ],
        claimed=[
            Claimed(parent_id=parent.id, filled_lots=parent.ledger.cum_lots, exec_ids=()) for parent in core.parents
        ],
        owners={child.order.cl_ord_id: parent.id for parent in core.parents for child in parent.children},
        books=books.orders,
    ).details


def _wrong(
    child: Child, filled_lots: int, money: OrderMoney | None, instrument: Instrument, *, full: bool
) -> Iterator[str]:
    """One order: lots, each of them once, for the right money and fees."""
    if child.counted_lots != filled_lots:
        yield f"counted {child.counted_lots} lots, the venue filled {filled_lots}"
        return
    if full and child.status is not OrdStatus.FILLED:
        yield f"{child.status} here, filled at the venue"
    reached = value = 0
    for report, _ in sorted(child.trades, key=lambda one: one[0].cum_lots):
        if report.cum_lots - report.last_lots < reached:
            yield f"its lots up to {reached} and those of {report.exec_id} overlap"
            return
        reached = report.cum_lots
        value += report.last_lots * report.last_ticks
    if money is None or child.sum_lots != filled_lots:
        return  # a lot that nobody told the price of is an estimate, and said to be one
    if abs(value - money.value_lot_ticks) > PRICE_SLACK_TICKS * filled_lots:
        yield f"{filled_lots} lots for {value} lot-ticks, at the venue for {money.value_lot_ticks}"
    atoms = _fees(child)
    if atoms is not None and abs(instrument.money(atoms) - money.fee) > FEE_STEP * max(1, len(child.trades)):
        yield f"its fees are {instrument.money(atoms)} here and {money.fee} at the venue"


def _fees(child: Child) -> int | None:
    """Fees that the venue stated for all of its lots, in atoms; None where something is missing."""
    if child.sum_lots != child.counted_lots:
        return None
    total = 0
    for report, _ in child.trades:
        if report.fee_atoms is None or report.fee_source not in _SETTLED:
            return None
        total += report.fee_atoms
    return total


def _positions(core: Core, books: AccountBooks, *, venue: VenueName) -> Iterator[str]:
    """What the fills of all parents make, what the router holds for its position, and what the venue's books have."""
    held = {(one.symbol, one.position_side): one.qty_lots for one in books.positions}
    made: Counter[tuple[str, PositionSide]] = Counter()
    for parent in core.parents:
        made[parent.instrument.symbol, parent.order.position_side] += int(parent.side) * parent.ledger.cum_lots
    for symbol, side in dict.fromkeys((*held, *made)):
        lots = held.get((canonical_symbol(symbol), side), 0)
        if lots != made[symbol, side]:
            yield f"position {side} of {symbol}: {lots} lots at the venue, {made[symbol, side]} by our fills"
        book = core.desk.books.get((venue, AccountId("default"), canonical_symbol(symbol)))
        if book is not None and book.positions.get(side, lots) != lots:
            yield f"position {side} of {symbol}: {lots} lots at the venue, {book.positions[side]} here"


def wallet_wrong(wallet: Wallet, books: AccountBooks) -> Iterator[str]:
    """What the wallet should hold by all changes of it that were read, each once, and what it does hold."""
    if books.wallet is not None and abs(wallet.expected - books.wallet) > SLACK:
        yield f"the wallet: {books.wallet} {wallet.asset} at the venue, {wallet.expected} here"
    unexplained = wallet.flows.get(MoneyCause.UNEXPLAINED)
    if unexplained:
        yield f"the wallet: {unexplained} {wallet.asset} could not be explained, and nobody else trades here"
