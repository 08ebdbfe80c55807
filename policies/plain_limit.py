"""`plain_limit`: a limit order as a caller means one: take at the limit or better, rest what is left at the limit.

While the touch is within the parent's limit it takes what is open, reaching no further than `placement.collar_bps`
beyond the touch and never beyond the limit. Otherwise it rests post-only at the limit itself, in one order that keeps
its place until time is up: no calm market is asked for, no timeout, no chase. An order of ours that the market comes
through stays where it is, as it is about to be filled. A parent without a limit is refused at the door.

The invariants hold here too: above a spread of 50 bps, on a book that cannot be trusted, and where the caller forbids
to rest, nothing rests, and it waits until the touch comes within the limit or the market is sound again.
"""

from __future__ import annotations

from enum import StrEnum

from policies.cross import cross_bps, walk_ticks
from sor.errors import CallerError
from sor.market import Trust
from sor.orders import ParentOrder
from sor.params import Params
from sor.policy import Alternative, Decision, Placement, Rest, Take
from sor.pricing import collar_ticks, nearer_ticks
from sor.reasons import TimeoutBound
from sor.revisit import Revisit
from sor.snapshot import View
from sor.units import BPS


class PlainLimitReason(StrEnum):
    """Why `plain_limit` answered as it did."""

    TAKE = "take"
    REST = "rest"
    KEEP = "keep"
    LIMIT_AWAY = "limit_away"
    NO_LIMIT = "no_limit"
    UNTRUSTED = "untrusted"
    NOTHING_DUE = "nothing_due"


_Why = PlainLimitReason
_ON_FILLS = Revisit(on_untrusted=False)
_WHEN_SOUND = Revisit()
_CANNOT_CROSS = Alternative("cross", None, None, "the limit forbids it")


class PlainLimit:
    """Placement policy: one limit order, in as many pieces as post-only and the collar make of it."""

    name = "plain_limit"
    needs = ("placement.collar_bps",)

    def check(self, order: ParentOrder) -> None:
        """Raise `CallerError` for a parent without a limit: there is no price to rest at."""
        if order.limit is None:
            raise CallerError(
                f"parent {order.parent_id!r}: policy 'plain_limit' needs a limit price; nothing was sent. "
                "Give a limit, or use policy 'cross' or 'maker_first'"
            )

    def decide(self, view: View, params: Params) -> Decision:
        """Take within the limit, else rest at it; hold while the book is not sound."""
        market = view.market
        limit = view.limit_ticks
        if limit is None:
            return _hold(_Why.NO_LIMIT, "There is no limit price to trade at.", _ON_FILLS)
        if market.trust is not Trust.OK or not market.bids or not market.asks:
            return _hold(_Why.UNTRUSTED, "The book is not sound: wait until it is.", _WHEN_SOUND)
        if view.open_lots <= 0:
            return _hold(_Why.NOTHING_DUE, "Nothing is due now.", _ON_FILLS)
        touch = market.ladder(view.side)[0][0]
        away = view.side * (touch - limit)
        until_ns = view.deadline_ns - view.costs.cancel_rtt_ns - view.costs.submit_rtt_ns
        kept, left = _kept(view, limit, until_ns)
        if kept and left < view.instrument.min_qty_lots:
            return _answer(view, limit, kept, _WHEN_SOUND, _Why.KEEP, "Keep resting at the limit.")
        quantity = view.instrument.quantity(left)
        if away <= 0:
            collar = collar_ticks(view.side, touch_ticks=touch, collar_bps=params["placement.collar_bps"])
            take = Take(market.venue, left, nearer_ticks(view.side, collar, limit))
            note = f"Take {quantity!s}: the touch is within the limit."
            return _answer(view, limit, (*kept, take), _ON_FILLS, _Why.TAKE, note)
        if not view.may_rest or until_ns <= view.now_ns:
            note = f"The touch is {away} ticks beyond the limit and nothing may rest: wait until it comes back."
            return _answer(view, limit, (), Revisit(best_moved_ticks=away), _Why.LIMIT_AWAY, note)
        rest = Rest(market.venue, left, limit, until_ns, TimeoutBound.TIME_LEFT)
        note = f"Rest {quantity!s} at the limit, {view.instrument.price(limit)!s}."
        return _answer(view, limit, (*kept, rest), _WHEN_SOUND, _Why.REST, note)


def _kept(view: View, limit: int, until_ns: int) -> tuple[tuple[Rest, ...], int]:
    """Own orders at the limit, to stay until then, and how many of the open lots they leave over."""
    kept: list[Rest] = []
    left = view.open_lots
    for order in view.resting:
        lots = min(left, order.leaves_lots)
        if lots > 0 and order.price_ticks == limit and order.venue == view.market.venue:
            kept.append(Rest(order.venue, lots, limit, until_ns, TimeoutBound.TIME_LEFT))
            left -= lots
    return tuple(kept), left


def _answer(
    view: View,
    limit: int,
    placements: tuple[Placement, ...],
    revisit: Revisit,
    reason: PlainLimitReason,
    note: str,
) -> Decision:
    """The decision with both ways costed: crossing now where the limit allows it, and a fill at the limit."""
    away = view.side * (view.market.ladder(view.side)[0][0] - limit)
    cross = _CANNOT_CROSS
    if away <= 0:
        average, caveat = walk_ticks(view, view.open_lots)
        cross = Alternative("cross", cross_bps(view, average), None, caveat)
    at_limit_bps = BPS * view.side * (2.0 * limit / view.arrival_hticks - 1.0) + view.costs.maker_fee_bps
    return Decision(
        placements=placements,
        revisit=revisit,
        reason=reason,
        note=note,
        inputs=(("limit_away_ticks", float(away)), ("open_lots", float(view.open_lots))),
        alternatives=(cross, Alternative("rest", at_limit_bps, None, "if it is filled at the limit")),
    )


def _hold(reason: PlainLimitReason, note: str, revisit: Revisit) -> Decision:
    return Decision(placements=(), revisit=revisit, reason=reason, note=note)
