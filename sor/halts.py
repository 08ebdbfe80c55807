"""Whether the halt of a symbol may be lifted (R8). Somebody who has looked takes responsibility; this helps to look.

A halt says that the venue filled beyond an order, broke its contract, refused too much, or changed its steps. What of
it a router can still see is an order of that symbol that is not over: while there is one, nobody knows what is held.
"""

from __future__ import annotations

from collections.abc import Iterator

from sor.errors import CallerError
from sor.ids import Symbol, VenueName
from sor.router import Core


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
