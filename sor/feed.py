"""The live feed of one symbol: a book, and who wants to be told when it gets somewhere.

Conditions are judged after each event and cost nothing while nobody watches. While somebody does, an event costs one
comparison per kind of condition, however many watch: the nearest level of each kind is kept, and only when it is
reached are the watches gone through. A trigger that already held in the view it was set with, and still does, must
first become false. A book that is not OK satisfies no condition but `on_untrusted`.

Time alone fires nothing: windows that empty while no event comes are judged at the next one, and staleness is the
asker's `Revisit.at_ns`, as only the param-set knows when a book is stale.
`wake` is called after the event is in the book, each time with the watch already gone, so it may watch again.
A price that has moved by 0 ticks has not moved: such a condition never comes true.

Where orders of ours rest, each event also moves their places in the queue (`sor.standing`); where none does, it costs
one look at an empty dictionary.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from typing import Final, assert_never

from sor.adapter import OwnRest, Scheduler
from sor.book import READERS, Book
from sor.errors import CallerError
from sor.features import FEATURE_NAMES
from sor.ids import ClOrdId, Symbol, VenueName
from sor.market import BookReset, BookUpdate, MarketEvent, MarketView, MarkUpdate, TradePrint, Trust
from sor.revisit import Revisit, Trigger
from sor.standing import Standing

# Bound once: CPython 3.11 takes longer to read a member off its enum than to compare it, and this is read per event.
_OK: Final = Trust.OK
_FAR = 1 << 62
"""Further than any price moves."""


class _Armed:
    """One trigger of one watch; `armed` is False while it waits to become false first."""

    __slots__ = ("armed", "trigger")

    def __init__(self, trigger: Trigger, *, armed: bool) -> None:
        self.trigger = trigger
        self.armed = armed


class _Watch:
    """What one asker waits for. `due` when it has come true and `wake` has not been called yet.

    moved_ticks    a best price this far from `bid_ticks` / `ask_ticks` fires; `_FAR` for never.
    ahead_lots     less than this ahead of an order of the asker fires, 0 for never, unless it is one of `near`: those
                   of which that was known when this was set.
    """

    __slots__ = (
        "ahead_lots",
        "ask_ticks",
        "bid_ticks",
        "due",
        "moved_ticks",
        "near",
        "on_untrusted",
        "triggers",
        "trust",
    )

    def __init__(self, revisit: Revisit, seen: MarketView, triggers: list[_Armed], near: frozenset[ClOrdId]) -> None:
        moved = revisit.best_moved_ticks
        self.moved_ticks = moved if moved and seen.bids and seen.asks else _FAR
        self.bid_ticks = seen.bids[0][0] if seen.bids else 0
        self.ask_ticks = seen.asks[0][0] if seen.asks else 0
        self.on_untrusted = revisit.on_untrusted
        self.trust = seen.trust
        self.triggers = triggers
        self.ahead_lots = revisit.queue_ahead_below_lots or 0
        self.near = near
        self.due = False

    def concerned(self, book: Book) -> bool:
        """Whether trust has changed, or a best price is far enough from where it was."""
        if book.trust is not self.trust and self.on_untrusted:
            return True
        if book.trust is not _OK:
            return False
        far = self.moved_ticks
        return abs(book.bid_ticks - self.bid_ticks) >= far or abs(book.ask_ticks - self.ask_ticks) >= far


class _Levels:
    """The nearest levels of one feature that anybody waits for: reaching one is when the watches are gone through.

    read               what reads the feature off the book.
    above, below       armed triggers fire strictly beyond these.
    at_most, at_least  triggers that wait to become false are armed at these or beyond.
    """

    __slots__ = ("above", "at_least", "at_most", "below", "read")

    def __init__(self, read: Callable[[Book], float]) -> None:
        self.read = read
        self.above = inf
        self.below = -inf
        self.at_most = -inf
        self.at_least = inf

    def add(self, trigger: Trigger, *, armed: bool) -> None:
        """Take another trigger's level in."""
        if trigger.above:
            if armed:
                self.above = min(self.above, trigger.level)
            else:
                self.at_most = max(self.at_most, trigger.level)
        elif armed:
            self.below = max(self.below, trigger.level)
        else:
            self.at_least = min(self.at_least, trigger.level)


class LiveFeed:
    """A `Feed` built from pushed events.

    wake         called with the key of a watch, once: from `on_event`, or from the scheduler where a condition had
                 come true before it was watched; never from inside `watch`.
    scheduler    for the latter.
    """

    __slots__ = (
        "_ask_above",
        "_ask_below",
        "_bid_above",
        "_bid_below",
        "_book",
        "_features",
        "_queue_watched",
        "_scheduler",
        "_standings",
        "_trust",
        "_waiting",
        "_wake",
        "_watches",
    )

    def __init__(self, *, venue: VenueName, symbol: Symbol, wake: Callable[[int], None], scheduler: Scheduler) -> None:
        self._book = Book(venue=venue, symbol=symbol)
        self._wake = wake
        self._scheduler = scheduler
        self._watches: dict[int, _Watch] = {}
        self._standings: dict[ClOrdId, Standing] = {}
        self._trust = Trust.EMPTY
        self._narrow()

    def on_event(self, event: MarketEvent) -> None:
        """Take one event of this feed's symbol, then wake whoever it concerns."""
        book = self._book
        if isinstance(event, BookUpdate):  # nearly always, and a pattern takes four times as long
            book.apply(event)
            if self._standings:
                self._see_sizes()
        else:
            match event:
                case TradePrint():
                    book.trade(event)
                    if self._standings:
                        self._see_trade(event)
                case MarkUpdate():
                    book.mark(event)
                    return
                case BookReset():
                    book.reset(event)
                    for standing in self._standings.values():
                        standing.lose()
                case _:
                    assert_never(event)
        if self._watches and self._concerns(event.recv_ns):
            self._fire(event.recv_ns)

    def view(self, now_ns: int) -> MarketView:
        """What is known at `now_ns`, which never goes back."""
        return self._book.view(now_ns)

    def mid_hticks(self, now_ns: int) -> int:
        """Mid in half-ticks as of the last event, 0 while unknown or not to be trusted; `now_ns` is the caller's."""
        del now_ns  # a mid does not age; a feed off a tape has to look it up
        return self._book.mid_hticks()

    def watch(self, key: int, revisit: Revisit, seen: MarketView, now_ns: int) -> None:
        """Call `wake(key)` once, when a market condition of `revisit` comes true against `seen`; replaces an older one.

        A condition that already holds at `now_ns` fires at once, through the scheduler, if it did not hold in `seen`.
        Raises `CallerError` for a feature that does not exist; the older watch stays.
        """
        book = self._book
        below_lots = revisit.queue_ahead_below_lots or 0
        near = frozenset([cl_ord_id for cl_ord_id, lots in self.ahead(key, now_ns) if lots < below_lots])
        watch = _Watch(revisit, seen, [], near)
        due = watch.concerned(book)
        for trigger in revisit.triggers:
            if trigger.feature not in FEATURE_NAMES:
                raise CallerError(
                    f"no market feature is called {trigger.feature!r}; nothing was sent. "
                    f"A trigger may watch {', '.join(FEATURE_NAMES)}"
                )
            holds = _holds(trigger, book.feature(trigger.feature, now_ns))
            held = seen.features is not None and _holds(trigger, getattr(seen.features, trigger.feature))
            due = due or (holds and not held)
            watch.triggers.append(_Armed(trigger, armed=not holds))
        self._watches.pop(key, None)
        if not self._watches:
            self._trust = book.trust
            self._narrow()
        self._watches[key] = watch
        if due:
            watch.due = True
            self._scheduler.call_at(now_ns, partial(self._tell, key, watch))
        else:
            self._take_in(watch)

    def unwatch(self, key: int) -> None:
        """Forget a watch; unknown keys are fine."""
        self._watches.pop(key, None)  # its levels stay taken in: at worst the watches are gone through once for nothing

    # --- our own orders -----------------------------------------------------------------------------------------

    def stand(self, key: int, own: OwnRest, *, anew: bool, now_ns: int) -> None:
        """Follow the place of an order of `key` in its queue; see `Feed`. One that is there already fires at once."""
        known = self._standings.get(own.cl_ord_id)
        if known is not None and not anew:
            known.change(own)
        else:
            self._standings.pop(own.cl_ord_id, None)
            standing = self._standings[own.cl_ord_id] = Standing(key, own)
            book = self._book
            if not book.lost:
                lots, inside = book.size_at(own.side, own.price_ticks)
                standing.join(lots, inside=inside, venue_ns=book.venue_ns)
        watch = self._watches.get(key)
        if watch is not None and watch.ahead_lots and not watch.due and self._arrived(key, watch):
            watch.due = True
            self._scheduler.call_at(now_ns, partial(self._tell, key, watch))

    def gone(self, cl_ord_id: ClOrdId) -> None:
        """An order rests no longer; unknown ones are fine."""
        self._standings.pop(cl_ord_id, None)

    def ahead(self, key: int, now_ns: int) -> tuple[tuple[ClOrdId, int], ...]:
        """Lots ahead of each resting order of `key`, as of the last event, as far as is known."""
        del now_ns  # what nobody has told has not happened; a feed off a tape has to look it up
        if not self._standings or self._book.trust is not _OK:
            return ()
        return tuple(
            [
                (cl_ord_id, lots)
                for cl_ord_id, standing in self._standings.items()
                if standing.key == key and (lots := standing.ahead_lots) is not None
            ]
        )

    def _see_sizes(self) -> None:
        """The book has changed, or was found to be lost."""
        book = self._book
        for standing in self._standings.values():
            if book.lost:
                standing.lose()
            else:
                own = standing.own
                lots, inside = book.size_at(own.side, own.price_ticks)
                standing.sees(lots, inside=inside, venue_ns=book.venue_ns)

    def _see_trade(self, trade: TradePrint) -> None:
        late = 0 < trade.venue_ns <= self._book.venue_ns
        for standing in self._standings.values():
            own = standing.own
            if trade.price_ticks == own.price_ticks and trade.side is not own.side:
                standing.traded(trade.qty_lots, late=late)

    def _arrived(self, key: int, watch: _Watch) -> bool:
        """Whether so little is ahead of an order as its owner waits for."""
        return any(lots < watch.ahead_lots and no not in watch.near for no, lots in self.ahead(key, 0))

    # --- what is near -------------------------------------------------------------------------------------------

    def _narrow(self) -> None:
        """Take in the levels of every watch anew."""
        self._bid_below = self._ask_below = -_FAR
        self._bid_above = self._ask_above = _FAR
        self._features: dict[str, _Levels] = {}
        self._queue_watched = False
        self._waiting = False
        for watch in self._watches.values():
            if not watch.due:
                self._take_in(watch)

    def _take_in(self, watch: _Watch) -> None:
        """Let the levels of one watch count."""
        far = watch.moved_ticks
        self._bid_below = max(self._bid_below, watch.bid_ticks - far)
        self._bid_above = min(self._bid_above, watch.bid_ticks + far)
        self._ask_below = max(self._ask_below, watch.ask_ticks - far)
        self._ask_above = min(self._ask_above, watch.ask_ticks + far)
        self._queue_watched = self._queue_watched or watch.ahead_lots > 0
        for armed in watch.triggers:
            feature = armed.trigger.feature
            if feature not in self._features:
                self._features[feature] = _Levels(READERS[feature])
            self._features[feature].add(armed.trigger, armed=armed.armed)
            self._waiting = self._waiting or not armed.armed

    def _concerns(self, now_ns: int) -> bool:
        """Whether any watch may have come true, or have to be armed: never misses one, and is rarely wrong."""
        book = self._book
        trust = book.trust
        changed = trust is not self._trust
        self._trust = trust
        if changed:
            return True
        if trust is not _OK:
            return self._waiting
        if not (self._bid_below < book.bid_ticks < self._bid_above):
            return True
        if not (self._ask_below < book.ask_ticks < self._ask_above):
            return True
        if self._features:
            if now_ns > book.clock_ns:
                book.look(now_ns)
            for levels in self._features.values():
                value = levels.read(book)
                if value > levels.above or value < levels.below or value <= levels.at_most or value >= levels.at_least:
                    return True
        return self._queue_watched and any(
            self._arrived(key, watch) for key, watch in self._watches.items() if watch.ahead_lots and not watch.due
        )

    def _fire(self, now_ns: int) -> None:
        """Go through the watches: arm what became false, and wake who is concerned, in the order they were set."""
        book = self._book
        values = {feature: book.feature(feature, now_ns) for feature in self._features}
        due: list[tuple[int, _Watch]] = []
        for key, watch in self._watches.items():
            if watch.due:
                continue
            watch.due = watch.concerned(book) or (watch.ahead_lots > 0 and self._arrived(key, watch))
            for armed in watch.triggers:
                if not _holds(armed.trigger, values[armed.trigger.feature]):
                    armed.armed = True
                elif armed.armed:
                    watch.due = True
            if watch.due:
                due.append((key, watch))
        self._narrow()
        for key, watch in due:
            self._tell(key, watch)

    def _tell(self, key: int, watch: _Watch) -> None:
        """Wake one asker, unless it has been forgotten or has asked anew since it was found."""
        if self._watches.get(key) is watch:
            del self._watches[key]
            self._wake(key)


def _holds(trigger: Trigger, value: float | None) -> bool:
    """Whether a feature, None while the book is not OK, is beyond a trigger's level."""
    if value is None:
        return False
    return value > trigger.level if trigger.above else value < trigger.level
