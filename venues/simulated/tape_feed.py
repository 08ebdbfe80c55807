"""The market of one recording as a strategy sees it: looked up by local time, and watched by looking ahead.

Instead of judging every condition at every event, the feed asks the columns when a condition next comes true and has
the scheduler call it then. Semantics are those of the live feed: a trigger that already held in what was
seen, and still does, must first become false; a book that is not sound satisfies no condition but `on_untrusted`; a
price that has moved by 0 ticks has not moved.

After the last event the view stays as it was, and its age says so.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from sor.adapter import Scheduler
from sor.errors import CallerError
from sor.features import FEATURE_NAMES
from sor.ids import VenueName
from sor.lab.columns import FeatureColumns
from sor.market import MarketView, Trust
from sor.revisit import Revisit, Trigger
from venues.simulated.tape_conditions import NEVER, TapeConditions


class TapeFeed:
    """A `Feed` off a recording.

    name    of the venue, in the views.
    wake    called with the key of a watch, once, from the scheduler.
    """

    __slots__ = ("_columns", "_conditions", "_name", "_scheduler", "_serial", "_view", "_view_ns", "_wake", "_watches")

    def __init__(
        self,
        columns: FeatureColumns,
        conditions: TapeConditions,
        name: VenueName,
        *,
        wake: Callable[[int], None],
        scheduler: Scheduler,
    ) -> None:
        self._columns = columns
        self._conditions = conditions
        self._name = name
        self._wake = wake
        self._scheduler = scheduler
        self._watches: dict[int, int] = {}
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

    def unwatch(self, key: int) -> None:
        """Forget a watch; unknown keys are fine."""
        self._watches.pop(key, None)

    def _fire(self, key: int, serial: int) -> None:
        """Wake one asker, unless the watch was replaced or forgotten since."""
        if self._watches.get(key) == serial:
            del self._watches[key]
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
