"""When a policy wants to be asked again, as data that a live feed and a tape can both watch (D7)."""

from __future__ import annotations

import msgspec


class Trigger(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Ask again when a market feature is above (or below) a level; `feature` is one of `FEATURE_NAMES`."""

    feature: str
    above: bool
    level: float


class Revisit(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Conditions, any of which asks the policy again. Fills, order events and timeouts always ask.

    at_ns              absolute time, or None.
    best_moved_ticks   either best price is at least this many ticks from where the view had it, or None.
    triggers           market features above or below a level.
    on_untrusted       the book becomes stale, gapped, crossed or empty, or becomes sound again.
    queue_ahead_below_lots
                       less than this is ahead of one of its resting orders, as far as is known, and was not when this
                       was set; 1 is "nobody is ahead". None for never.
    """

    at_ns: int | None = None
    best_moved_ticks: int | None = None
    triggers: tuple[Trigger, ...] = ()
    on_untrusted: bool = True
    queue_ahead_below_lots: int | None = None
