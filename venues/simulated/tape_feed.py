"""The market of one recording as a strategy sees it: looked up by local time, and watched by looking ahead.

Instead of judging every condition at every event, the feed asks the columns when a condition next comes true and has
the scheduler call it then. Semantics are those of the live feed: a trigger that already held in what was
seen, and still does, must first become false; a book that is not sound satisfies no condition but `on_untrusted`; a
price that has moved by 0 ticks has not moved.

After the last event the view stays as it was, and its age says so.

The place of an own order in its queue is walked along the recording when it is asked for; a watch on it walks a copy
ahead, a stretch at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from sor.adapter import OwnRest, Scheduler
from sor.errors import CallerError
from sor.features import FEATURE_NAMES
from sor.ids import ClOrdId, VenueName
from sor.market import MarketView, Trust
from sor.revisit import Revisit, Trigger
from venues.simulated.tape_conditions import NEVER
from venues.simulated.tape_market import TapeMarket
from venues.simulated.tape_standing import TapeStanding


class _QueueWatch:
    """Who is to be woken when less than `below_lots` is ahead of an order, unless that was `near` already."""

    __slots__ = ("below_lots", "near", "serial")

    def __init__(self, serial: int, below_lots: int, near: frozenset[ClOrdId]) -> None:
        self.serial = serial
        self.below_lots = below_lots
        self.near = near


class TapeFeed:
    """A `Feed` off a recording.

    name    of the venue, in the views.
    wake    called with the key of a watch, once, from the scheduler.
    """

    __slots__ = (
        "_columns",
        "_conditions",
        "_market",
        "_name",
        "_queue_watches",
        "_scheduler",
        "_serial",
        "_standings",
        "_view",
        "_view_ns",
        "_wake",
        "_watches",
    )

    def __init__(
        self,
        market: TapeMarket,
        name: VenueName,
        *,
        wake: Callable[[int], None],
        scheduler: Scheduler,
    ) -> None:
        self._market = market
        self._columns = market.columns
        self._conditions = market.conditions
        self._name = name
        self._wake = wake
        self._scheduler = scheduler
        self._watches: dict[int, int] = {}
        self._queue_watches: dict[int, _QueueWatch] = {}
        self._standings: dict[ClOrdId, TapeStanding] = {}
        self._serial = 0
        self._view_ns = -NEVER
        self._view: MarketView | None = None

    def view(self, now_ns: int) -> MarketView:
        """What is known at `now_ns`."""
        view = self._view
        if view is None or now_ns != self._view_ns:
            view = self._columns.at(now_ns)
            if view.venue != self._name:
                view = msgspec.structs.replace(view, venue=self._name)
            self._view = view
            self._view_ns = now_ns
        return view

    def mid_hticks(self, now_ns: int) -> int:
        """Mid in half-ticks as known at `now_ns`, 0 while unknown or not to be trusted."""
        return self._columns.mid_hticks(now_ns)

    def watch(self, key: int, revisit: Revisit, seen: MarketView, now_ns: int) -> None:
        """Call `wake(key)` once, when a market condition of `revisit` comes true against `seen`; replaces an older one.

        A condition that already holds at `now_ns` fires at once, through the scheduler, if it did not hold in `seen`.
        Raises `CallerError` for a feature that does not exist; the older watch stays.
        """
        for trigger in revisit.triggers:
            if trigger.feature not in FEATURE_NAMES:
                raise CallerError(
                    f"no market feature is called {trigger.feature!r}; nothing was sent. "
                    f"A trigger may watch {', '.join(FEATURE_NAMES)}"
                )
        at_ns = self._due_ns(revisit, seen, now_ns)
        self._serial += 1
        self._watches[key] = self._serial
        if at_ns < NEVER:
            self._scheduler.call_at(at_ns, partial(self._fire, key, self._serial))
        self._queue_watches.pop(key, None)
        below_lots = revisit.queue_ahead_below_lots
        if below_lots:
            near = frozenset([cl_ord_id for cl_ord_id, lots in self.ahead(key, now_ns) if lots < below_lots])
            watch = self._queue_watches[key] = _QueueWatch(self._serial, below_lots, near)
            for standing in self._standings.values():
                if standing.key == key:
                    self._walk_ahead(watch, standing, now_ns)

    def unwatch(self, key: int) -> None:
        """Forget a watch; unknown keys are fine."""
        self._watches.pop(key, None)
        self._queue_watches.pop(key, None)

    def stand(self, key: int, own: OwnRest, *, anew: bool, now_ns: int) -> None:
        """Follow the place of an order of `key` in its queue; see `Feed`. One that is there already fires at once."""
        standing = self._standings.get(own.cl_ord_id)
        if standing is None or anew:
            self._standings.pop(own.cl_ord_id, None)
            standing = self._standings[own.cl_ord_id] = TapeStanding(self._market, key, own, now_ns=now_ns)
        else:
            standing.advance(now_ns)
            standing.change(own)
        watch = self._queue_watches.get(key)
        if watch is not None:
            self._walk_ahead(watch, standing, now_ns)

    def gone(self, cl_ord_id: ClOrdId) -> None:
        """An order rests no longer; unknown ones are fine."""
        self._standings.pop(cl_ord_id, None)

    def ahead(self, key: int, now_ns: int) -> tuple[tuple[ClOrdId, int], ...]:
        """Lots ahead of each resting order of `key` at `now_ns`, as far as is known."""
        if not self._standings or self.view(now_ns).trust is not Trust.OK:
            return ()
        found: list[tuple[ClOrdId, int]] = []
        for cl_ord_id, standing in self._standings.items():
            if standing.key == key:
                standing.advance(now_ns)
                lots = standing.ahead_lots
                if lots is not None:
                    found.append((cl_ord_id, lots))
        return tuple(found)

    def _walk_ahead(self, watch: _QueueWatch, standing: TapeStanding, now_ns: int) -> None:
        """Have this looked at again when so little is ahead of an order, or where the stretch walked ends."""
        if standing.cl_ord_id in watch.near:
            return
        at_ns = standing.next_below(watch.below_lots, now_ns)
        if at_ns < NEVER:
            self._scheduler.call_at(at_ns, partial(self._look_at_queue, watch, standing, at_ns))

    def _look_at_queue(self, watch: _QueueWatch, standing: TapeStanding, at_ns: int) -> None:
        """Wake the asker, or walk on; unless the watch or the order was replaced since."""
        key = standing.key
        if self._queue_watches.get(key) is not watch or self._standings.get(standing.cl_ord_id) is not standing:
            return
        if any(no == standing.cl_ord_id and lots < watch.below_lots for no, lots in self.ahead(key, at_ns)):
            self._fire(key, watch.serial)
        else:
            self._walk_ahead(watch, standing, at_ns)

    def _fire(self, key: int, serial: int) -> None:
        """Wake one asker, unless the watch was replaced or forgotten since."""
        if self._watches.get(key) == serial:
            del self._watches[key]
            self._queue_watches.pop(key, None)
            self._wake(key)

    def _due_ns(self, revisit: Revisit, seen: MarketView, now_ns: int) -> int:
        """Local time at which the first of the market conditions comes true, `NEVER` when none does."""
        conditions = self._conditions
        view = self.view(now_ns)
        if view is not seen and _came_true(revisit, seen, view):
            return now_ns
        due_ns = conditions.next_trust_change(now_ns) if revisit.on_untrusted else NEVER
        if revisit.best_moved_ticks:
            moved_ns = conditions.next_best_move(now_ns, seen=seen, at_least_ticks=revisit.best_moved_ticks)
            due_ns = min(due_ns, moved_ns)
        for trigger in revisit.triggers:
            from_ns = now_ns
            if _holds(trigger, view):
                from_ns = conditions.next_trigger(now_ns, trigger, holds=False)
            if from_ns < due_ns:
                due_ns = min(due_ns, conditions.next_trigger(from_ns, trigger, holds=True))
        return due_ns


def _came_true(revisit: Revisit, seen: MarketView, view: MarketView) -> bool:
    """Whether a condition that did not hold in `seen` does in `view`."""
    if revisit.on_untrusted and view.trust is not seen.trust:
        return True
    if view.trust is not Trust.OK:
        return False
    far = revisit.best_moved_ticks
    if far and seen.bids and seen.asks:
        moved = max(abs(view.bids[0][0] - seen.bids[0][0]), abs(view.asks[0][0] - seen.asks[0][0]))
        if moved >= far:
            return True
    return any(_holds(trigger, view) and not _holds(trigger, seen) for trigger in revisit.triggers)


def _holds(trigger: Trigger, view: MarketView) -> bool:
    """Whether a trigger holds in a view; none does while the book is not sound."""
    if view.features is None:
        return False
    value = getattr(view.features, trigger.feature)
    return bool(value > trigger.level if trigger.above else value < trigger.level)
