"""What somebody does by hand, and takes responsibility for: each is checked, and becomes a fact with its reason.

The kill switch may always be moved. A halt (R8) says that the venue filled beyond an order, broke its contract, refused
too much, or changed its steps; while an order of that symbol is not over, nobody knows what is held, and it stays. Who
has looked may trust a fit again, and settle an order in doubt.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from sor.child import Life
from sor.errors import CallerError
from sor.events import FitTrusted, HaltLifted, ModeSet, Reported, TradingMode
from sor.ids import ClOrdId, Symbol, VenueName
from sor.instruments import canonical_symbol
from sor.intake import as_recorded
from sor.orders import ExecType, ExecutionReport
from sor.router import Core


def mode_set(mode: TradingMode, reason: str, *, now_ns: int) -> ModeSet:
    """The kill switch is moved. Raises `CallerError` for what is no mode."""
    return as_recorded(ModeSet(now_ns=now_ns, mode=mode, reason=reason))


def halted(core: Core) -> Iterator[tuple[VenueName, Symbol, str]]:
    """Every symbol that is halted, and why."""
    for (venue, _, symbol), book in core.desk.books.items():
        if book.halted:
            yield venue, symbol, book.halted


def check_lift(core: Core, venue: VenueName, symbol: Symbol) -> Symbol:
    """The symbol, where it may trade again. Raises `CallerError`, saying why, where it may not, or is not halted."""
    found = [(place, name) for place, name, _ in halted(core)]
    if (venue, symbol) not in found:
        listing = ", ".join(f"{name} on {place}" for place, name in found) or "nothing"
        raise CallerError(f"{symbol} on {venue} is not halted; nothing was changed. Halted is: {listing}")
    for parent in core.parents.at_work.values():
        if parent.venue == venue and parent.instrument.symbol == symbol:
            open_ids = ", ".join(child.order.cl_ord_id for child in parent.open_children)
            what = f"its orders {open_ids} are not known to be over" if open_ids else "it has not ended"
            raise CallerError(
                f"{symbol} on {venue} stays halted, nothing was changed: parent {parent.id} is still at work, {what}. "
                "Wait until it has ended, or settle what is in doubt (`Router.settle`)"
            )
    return symbol


def halt_lifted(core: Core, venue: VenueName, symbol: str, *, reason: str, now_ns: int) -> HaltLifted:
    """A halted symbol, in any spelling, may trade again. Raises as `check_lift`."""
    lifted = check_lift(core, venue, canonical_symbol(symbol))
    return as_recorded(HaltLifted(now_ns=now_ns, venue=venue, symbol=lifted, reason=reason))


def fit_trusted(core: Core, name: str, *, reason: str, now_ns: int) -> FitTrusted:
    """A set that outcomes contradict counts again.

    name      of the set, or of the family whose set it is.
    Raises    `CallerError` where nothing contradicts it.
    """
    doubted = dict.fromkeys(told.set_id for told in core.in_force.doubted_fits.values())
    newest = core.in_force.sets.get(name)
    set_id = name if name in doubted or newest is None else newest.set_id
    if set_id not in doubted:
        listing = ", ".join(doubted) or "nothing"
        raise CallerError(f"outcomes do not contradict {name!r}, nothing was changed. They contradict {listing}")
    return as_recorded(FitTrusted(now_ns=now_ns, set_id=set_id, reason=reason))


def settled(core: Core, cl_ord_id: ClOrdId, *, filled: Decimal, reason: str, now_ns: int) -> Reported:
    """An order in doubt is over, with this total filled quantity.

    Raises    `CallerError` unless it is an order of ours in doubt, and may have filled so much.
    """
    child = core.desk.children.get(cl_ord_id)
    if child is None or child.life is not Life.IN_DOUBT:
        raise CallerError(f"{cl_ord_id!r} is no order of ours in doubt; nothing was changed")
    instrument = core.parents[child.parent_no - 1].instrument
    lots = instrument.lots(filled) if filled else 0
    if not child.counted_lots <= lots <= child.reserved_lots:
        low, high = instrument.quantity(child.counted_lots), instrument.quantity(child.reserved_lots)
        raise CallerError(f"{cl_ord_id} has filled {low} to {high}, not {filled}; nothing was changed")
    report = ExecutionReport(
        venue=child.venue,
        symbol=instrument.symbol,
        cl_ord_id=cl_ord_id,
        exec_type=ExecType.CANCELED,
        cum_lots=lots,
        text=f"settled by hand: {reason}",
    )
    return Reported(now_ns=now_ns, report=report, mid_hticks=0)
