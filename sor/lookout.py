"""Says when a venue falls silent, and when it no longer is: books that stand still, requests that come to nothing.

Nothing here changes what is done. A book that is not sound or too old lets nothing be placed (`sor.invariants`), what
is unanswered is in doubt, a link that is away is looked after by the dispatcher; all of that recovers by itself. But
somebody should know that it began, and that it is over. Only what parents at work need is looked at, once a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from sor.commands import Alarm
from sor.dispatch import Dispatcher
from sor.ids import ParentId, Symbol, VenueName
from sor.invariants import stale_ns
from sor.market import MarketView, Trust
from sor.units import NS

LOOK_EVERY_NS: Final = NS
BOOK_ALARM_NS: Final = 5 * NS
"""A book that nothing may be placed on for this long, while a parent is at work, is an alarm."""
MISSES_ALARM: Final = 3
"""So many requests in a row without an answer that says something are an alarm."""


class _Silence(msgspec.Struct):
    """A book that nothing may be placed on. since_ns: when that was seen first; told: whether an alarm said so."""

    since_ns: int
    told: bool = False


class Lookout:
    """Of one router. `start` it once; it looks until the dispatcher has a fault."""

    def __init__(self, dispatcher: Dispatcher, *, alarm: Callable[[Alarm], None]) -> None:
        self._dispatcher = dispatcher
        self._alarm = alarm
        self._books: dict[tuple[VenueName, Symbol], _Silence] = {}
        self._requests: dict[VenueName, int] = {}

    def start(self) -> None:
        """Begin to look."""
        scheduler = self._dispatcher.scheduler
        scheduler.call_at(scheduler.now_ns() + LOOK_EVERY_NS, self._look)

    def _look(self) -> None:
        if self._dispatcher.fault is None:
            now_ns = self._dispatcher.scheduler.now_ns()
            self._look_at_books(now_ns)
            self._look_at_requests(now_ns)
            self.start()

    def _look_at_books(self, now_ns: int) -> None:
        core = self._dispatcher.core
        needed: dict[tuple[VenueName, Symbol], tuple[ParentId, int]] = {}
        for parent in core.parents.at_work.values():
            state = core.desk.venues.get(parent.venue)
            if parent.active and state is not None and state.here:
                params, _ = core.in_force.resolved(parent.set_name, parent.instrument, core.now_ns)
                needed.setdefault((parent.venue, parent.instrument.symbol), (parent.id, stale_ns(params)))
        for key in [key for key in self._books if key not in needed]:
            del self._books[key]  # nobody waits for it any more
        for key, (parent_id, stale_after_ns) in needed.items():
            venue, symbol = key
            why = _unsound(self._dispatcher.feed(venue, symbol).view(now_ns), now_ns, stale_after_ns)
            known = self._books.get(key)
            if not why:
                if known is not None and known.told:
                    seconds = (now_ns - known.since_ns) / NS
                    self._say(venue, f"the book of {symbol} on {venue} is sound again after {seconds:.0f} s")
                self._books.pop(key, None)
            elif known is None:
                self._books[key] = _Silence(now_ns)
            elif not known.told and now_ns - known.since_ns >= BOOK_ALARM_NS:
                known.told = True
                self._say(
                    venue,
                    f"the book of {symbol} on {venue} {why}: nothing is placed on it, {parent_id} among others waits. "
                    "What rests is withdrawn, and cancels go on",
                )

    def _look_at_requests(self, now_ns: int) -> None:
        misses = self._dispatcher.misses
        for venue, (count, excuse) in misses.items():
            if count >= MISSES_ALARM and venue not in self._requests:
                self._requests[venue] = now_ns
                text = (
                    f"{venue} answered none of the last {count} requests with more than an excuse, the last being "
                    f"{excuse or 'silence'}. What may have arrived is looked up, and nothing is sent twice"
                )
                self._say(venue, text)
        for venue in [venue for venue in self._requests if venue not in misses]:
            since_ns = self._requests.pop(venue)
            self._say(venue, f"{venue} answers again after {(now_ns - since_ns) / NS:.0f} s")

    def _say(self, venue: VenueName, text: str) -> None:
        self._alarm(Alarm(0, venue, text, halts=False))


def _unsound(view: MarketView, now_ns: int, stale_after_ns: int) -> str:
    """Why nothing may be placed on a book, "" where it may."""
    if view.trust is not Trust.OK:
        return f"is {view.trust.value}"
    silent_ns = now_ns - view.recv_ns
    return f"has said nothing for {silent_ns / NS:.0f} s" if silent_ns > stale_after_ns else ""
