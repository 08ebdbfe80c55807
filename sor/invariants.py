"""Hard invariants: what no calibration, policy or experiment may do. Code, not parameters, and evaluated last.

    no placement      on a book that is empty, gapped, crossed or locked, or older than the stale limit: hold. What
                      only reduces and has run out of time may still take, at the collar of the touch that was seen
                      last: it fills there or better or not at all, and to wait is the greater risk (decision 0086).
    no resting        above a spread of 50 bps; where the caller forbids it; with less time left than a cancel and a
                      crossing take. Such a `Rest` becomes a `Take` of the same size: the caller wants it done.
    no new order      rests in a market unlike all that the param-set was fitted on, where the set says what that was: a
                      covariate of the order is beyond its range by more than `STRANGE_WIDTHS` of the range. Estimates
                      have no support there, so it becomes a `Take` at the collar. What rests keeps its place, and an
                      order rests where the limit forbids to cross, as that is all there is. Until flow and volatility
                      rest on `placement.window_s_min` of data a market is not known to be unlike anything.
    no new order      rests by a fit that outcomes contradict (`sor.fit_watch`): it becomes a `Take` likewise, while
                      the set is the same and nobody has said that it is to be trusted (decision 0076).
    no resting        at a price that would take: it is moved back to the near side of the far touch (post-only always).
                      An own order that the market has come through is in the book already and takes nothing by
                      staying: it is kept where it is, and not made larger.
    no price          beyond the caller's limit, or below one tick; what cannot trade there is withdrawn.
    no quantity       beyond what is open or below one lot, and none at another venue than the one whose book was seen.
    no expiry         later than leaves time to cancel and to cross before the deadline.

An empty answer means hold, and whatever rests is then withdrawn. What rests is watched from here too, whatever the
policy asked for: a spread beyond 50 bps and a book gone stale bring the parent back at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Final

import msgspec
from msgspec.structs import replace

from sor.market import Trust
from sor.models.covariates import COVARIATES, covariates_of
from sor.models.forecast import FORECAST_NEEDS
from sor.params import Params
from sor.policy import Decision, Placement, Rest, Take
from sor.pricing import collar_ticks, nearer_ticks
from sor.reasons import TimeoutBound
from sor.revisit import Revisit, Trigger
from sor.snapshot import Resting, View
from sor.units import BPS, MS

SPREAD_BPS_MAX = 50.0
"""Nothing rests in a market wider than this (S3)."""
STALE_MS_CAP = 10_000.0
"""`market.stale_ms_max` counts up to here, whatever a param-set says."""

STRANGE_WIDTHS = 0.5
"""A range holds 99 % of a fit's orders. Of a Gaussian covariate this far beyond lies one order in four million."""

_WIDE = Trigger("spread_bps", above=True, level=SPREAD_BPS_MAX)


class Veto(StrEnum):
    """The invariants by name, as decision records carry them."""

    BOOK_EMPTY = "book_empty"
    BOOK_GAP = "book_gap"
    BOOK_CROSSED = "book_crossed"
    BOOK_STALE = "book_stale"
    SPREAD_TOO_WIDE = "spread_too_wide"
    MAY_NOT_REST = "may_not_rest"
    TOO_LATE_TO_REST = "too_late_to_rest"
    UNLIKE_FIT = "unlike_fit"
    FIT_CONTRADICTED = "fit_contradicted"
    WOULD_TAKE = "would_take"
    LIMIT_PRICE = "limit_price"
    BELOW_ONE_TICK = "below_one_tick"
    QUANTITY = "quantity"
    OTHER_VENUE = "other_venue"
    EXPIRES_TOO_LATE = "expires_too_late"


class Admissible(msgspec.Struct, frozen=True, gc=False):
    """What may be done at all now, and the invariants that say no to the rest."""

    may_rest: bool
    may_take: bool
    vetoes: tuple[str, ...]


class Ruled(msgspec.Struct, frozen=True, gc=False):
    """A decision after the invariants: its reason stays the policy's, `vetoes` name what changed its placements."""

    decision: Decision
    vetoes: tuple[str, ...]


_EITHER = ("rest", "take")
_TAKE_ONLY = ("take",)
_ALL = Admissible(may_rest=True, may_take=True, vetoes=())
_UNTRUSTED: Mapping[Trust, Veto] = {
    Trust.EMPTY: Veto.BOOK_EMPTY,
    Trust.GAP: Veto.BOOK_GAP,
    Trust.CROSSED: Veto.BOOK_CROSSED,
}
# Members by name: CPython 3.11 takes longer to read a member off its enum than to compare it.
_OK: Final = Trust.OK
_MAY_NOT_REST: Final = Veto.MAY_NOT_REST


def admissible(view: View, params: Params, *, pressed: bool = False) -> Admissible:
    """Which kinds of placement the market, the caller and the clock allow.

    pressed    time is up: what reduces may take on a book that has gone silent.
    Raises KeyError for a param-set without those of `param_table.ALWAYS`, which the door refuses.
    """
    market = view.market
    if market.trust is not _OK:
        return _nothing(_UNTRUSTED[market.trust])
    bids = market.bids
    asks = market.asks
    if not bids or not asks:
        return _nothing(Veto.BOOK_EMPTY)
    bid = bids[0][0]
    ask = asks[0][0]
    if bid >= ask:
        return _nothing(Veto.BOOK_CROSSED)
    now_ns = view.now_ns
    if now_ns - market.recv_ns > stale_ns(params):
        if pressed and view.reduce_only:
            return Admissible(may_rest=False, may_take=True, vetoes=(Veto.BOOK_STALE,))
        return _nothing(Veto.BOOK_STALE)
    vetoes: tuple[str, ...] = ()
    if 2.0 * BPS * (ask - bid) > SPREAD_BPS_MAX * (bid + ask):
        vetoes = (Veto.SPREAD_TOO_WIDE,)
    if not view.may_rest:
        vetoes += (_MAY_NOT_REST,)
    if now_ns > _rest_until_ns(view):
        vetoes += (Veto.TOO_LATE_TO_REST,)
    return Admissible(may_rest=False, may_take=True, vetoes=vetoes) if vetoes else _ALL


def apply(decision: Decision, view: View, params: Params, *, pressed: bool = False, regime: str = "") -> Ruled:
    """What is left of a policy's decision: inadmissible placements replaced, and the names of what replaced them.

    pressed    as for `admissible`. regime: whose parameters counted, for the record.
    The invariants are named in the order of the module's list, each once, and only those that changed something. Where
    a market is unlike the fit, `inputs` say in what: the covariate, and the bound of its range that it is beyond. Where
    outcomes contradict the fit they say how many orders rested, were filled, and should have been.
    """
    allowed = admissible(view, params, pressed=pressed)
    if not allowed.may_take:
        revisit = _until_sound(view, params, decision)
        held = replace(decision, placements=(), revisit=revisit, admissible=(), regime=regime, removed=allowed.vetoes)
        return Ruled(held, allowed.vetoes if decision.placements else ())
    fired: list[str] = []
    strange: dict[str, float] = {}
    kept: list[Placement] = []
    left = view.open_lots
    rests = False
    placements = decision.placements
    touch = view.market.ladder(view.side)[0][0]
    through = _come_through(placements, view, touch) if view.resting else None
    doubtful = allowed.may_rest and (view.contradicted is not None or bool(params.ranges))
    for no, wanted in enumerate(placements):
        fit = allowed
        if doubtful:
            doubts = _doubts(wanted, view, params, touch)
            for grounds in doubts.values():
                strange |= grounds
            if doubts:
                fit = Admissible(may_rest=False, may_take=True, vetoes=tuple(doubts))
        placement = _admit(wanted, view, params, fit, touch, through.get(no) if through else None, fired)
        if placement is None:
            continue
        lots = placement.qty_lots
        if lots > left or lots <= 0:
            fired.append(Veto.QUANTITY)
            if left <= 0 or lots <= 0:
                continue
            lots = left
            placement = replace(placement, qty_lots=left)
        left -= lots
        if isinstance(placement, Rest):
            rests = True
        kept.append(placement)
    names = _EITHER if allowed.may_rest else _TAKE_ONLY
    revisit = decision.revisit
    if rests:
        revisit = _watched(revisit, view, params)
    elif fired and not kept:
        revisit = Revisit(revisit.at_ns, best_moved_ticks=1, triggers=revisit.triggers)
    if not fired:
        unchanged = replace(decision, revisit=revisit, admissible=names, regime=regime, removed=allowed.vetoes)
        return Ruled(unchanged, ())
    ruled = replace(
        decision,
        placements=tuple(kept),
        revisit=revisit,
        admissible=names,
        regime=regime,
        removed=allowed.vetoes,
        inputs=(*decision.inputs, *strange.items()),
    )
    return Ruled(ruled, tuple(veto for veto in Veto if veto in fired))


def _doubts(wanted: Placement, view: View, params: Params, touch: int) -> dict[Veto, dict[str, float]]:
    """Why a new resting order is not to be judged by the set's fit, each reason with its numbers.

    Nothing for what takes or rests already, for what a limit leaves nothing else, and where nothing is fitted.
    """
    told = None if view.contradicted is None or params.missing(FORECAST_NEEDS) else view.contradicted
    if told is None and not params.ranges:
        return {}
    if not isinstance(wanted, Rest) or wanted.qty_lots <= 0 or wanted.venue != view.market.venue:
        return {}
    if view.limit_ticks is not None and view.side * (touch - view.limit_ticks) > 0:
        return {}
    if any(order.price_ticks == wanted.price_ticks and order.leaves_lots >= wanted.qty_lots for order in view.resting):
        return {}
    found: dict[Veto, dict[str, float]] = {}
    unlike = _unlike_fit(wanted, view, params) if params.ranges else {}
    if unlike:
        found[Veto.UNLIKE_FIT] = unlike
    if told is not None:
        found[Veto.FIT_CONTRADICTED] = {
            "fit_orders": float(told.orders),
            "fit_filled": float(told.filled),
            "fit_expected": told.expected,
        }
    return found


def _unlike_fit(wanted: Rest, view: View, params: Params) -> dict[str, float]:
    """In what a new resting order is unlike all that the set was fitted on, once that is known."""
    market = view.market
    features = market.features
    side = view.side
    if features is None:
        return {}
    if "placement.window_s_min" in params and features.window_s < params["placement.window_s_min"]:
        return {}
    covariates = covariates_of(
        features,
        side,
        bid_ticks=market.bids[0][0],
        ask_ticks=market.asks[0][0],
        price_ticks=wanted.price_ticks,
        ahead_lots=dict(market.ladder(side.opposite)).get(wanted.price_ticks, 0),
        lots=wanted.qty_lots,
    )
    found: dict[str, float] = {}
    for name, value, (low, high) in zip(COVARIATES, covariates, params.ranges, strict=True):
        spare = STRANGE_WIDTHS * (high - low)
        if not low - spare <= value <= high + spare:
            found |= {
                f"fit_{name}": value,
                f"fit_{name}_{'min' if value < low else 'max'}": low if value < low else high,
            }
    return found


def _come_through(placements: tuple[Placement, ...], view: View, touch: int) -> dict[int, Resting]:
    """Own orders at the touch or beyond, by the number of the placement that names each of them.

    The machine lets an order stay for a placement of its price that is no smaller. One of its very size has it before a
    larger one; of those that are smaller than what is wanted the largest stays.
    """
    side, venue = view.side, view.market.venue
    free = [order for order in view.resting if side * (order.price_ticks - touch) >= 0 and order.venue == venue]
    found: dict[int, Resting] = {}
    if not free:
        return found
    for exactly in (True, False):
        for no, wanted in enumerate(placements):
            if no in found or not isinstance(wanted, Rest) or wanted.venue != venue:
                continue
            price, lots = nearer_ticks(side, wanted.price_ticks, view.limit_ticks), wanted.qty_lots
            named = [
                order
                for order in free
                if order.price_ticks == price and (order.leaves_lots == lots if exactly else order.leaves_lots < lots)
            ]
            if named:
                found[no] = max(named, key=_leaves)
                free.remove(found[no])
    return found


def _leaves(order: Resting) -> int:
    return order.leaves_lots


def _admit(
    wanted: Placement,
    view: View,
    params: Params,
    allowed: Admissible,
    touch: int,
    own: Resting | None,
    fired: list[str],
) -> Placement | None:
    """One placement as it may be; None when nothing of it may. What changed it is added to `fired`.

    touch    the price that a crossing order would take from.
    own      the order of ours at the touch or beyond that it names.
    """
    if wanted.venue != view.market.venue:
        fired.append(Veto.OTHER_VENUE)
        return None
    side = view.side
    limit = view.limit_ticks
    taken = wanted
    if isinstance(taken, Rest):
        if allowed.may_rest:
            return _admit_rest(taken, view, touch, own, fired)
        fired += allowed.vetoes
        collar = collar_ticks(side, touch_ticks=touch, collar_bps=params["placement.collar_bps"])
        taken = Take(taken.venue, taken.qty_lots, nearer_ticks(side, collar, limit))
    worst = nearer_ticks(side, taken.collar_ticks, limit)
    if limit is not None and side * (touch - limit) > 0:
        fired.append(Veto.LIMIT_PRICE)
        return None
    if worst != taken.collar_ticks:
        fired.append(Veto.LIMIT_PRICE)
        return Take(taken.venue, taken.qty_lots, worst)
    return taken


def _admit_rest(wanted: Rest, view: View, touch: int, own: Resting | None, fired: list[str]) -> Rest | None:
    """A resting order as it may be."""
    side = view.side
    lots = wanted_lots = wanted.qty_lots
    wanted_ticks = wanted.price_ticks
    price = nearer_ticks(side, wanted_ticks, view.limit_ticks)
    if price != wanted_ticks:
        fired.append(Veto.LIMIT_PRICE)
    if side * (price - touch) >= 0:
        if own is None:
            fired.append(Veto.WOULD_TAKE)
            price = touch - side
        elif lots > own.leaves_lots:
            fired.append(Veto.WOULD_TAKE)
            lots = own.leaves_lots
    if price < 1:
        fired.append(Veto.BELOW_ONE_TICK)
        return None
    last_ns = _rest_until_ns(view)
    if wanted.expire_ns > last_ns:
        fired.append(Veto.EXPIRES_TOO_LATE)
        return Rest(wanted.venue, lots, price, last_ns, TimeoutBound.TIME_LEFT)
    if price == wanted_ticks and lots == wanted_lots:
        return wanted
    return Rest(wanted.venue, lots, price, wanted.expire_ns, wanted.bound_by)


def _nothing(veto: Veto) -> Admissible:
    return Admissible(may_rest=False, may_take=False, vetoes=(veto,))


@lru_cache(maxsize=256)
def stale_ns(params: Params) -> int:
    """Age at which a book is no longer acted on; worked out once for each set, venue, symbol and regime."""
    return int(min(params["market.stale_ms_max"], STALE_MS_CAP) * MS)


def _rest_until_ns(view: View) -> int:
    """The last moment at which an order may still rest: afterwards a cancel and a crossing do not fit any more."""
    costs = view.costs
    return view.deadline_ns - costs.cancel_rtt_ns - costs.submit_rtt_ns


def _watched(revisit: Revisit, view: View, params: Params) -> Revisit:
    """`revisit`, and what anything that rests must be asked about: a market too wide, or one that says nothing."""
    stale_at_ns = view.market.recv_ns + stale_ns(params) + 1
    at_ns = revisit.at_ns
    if at_ns is None or at_ns > stale_at_ns:
        at_ns = stale_at_ns
    triggers = revisit.triggers
    for trigger in triggers:
        if trigger.feature == "spread_bps" and trigger.above and trigger.level <= SPREAD_BPS_MAX:
            break
    else:
        triggers = (*triggers, _WIDE)
    return Revisit(at_ns, revisit.best_moved_ticks, triggers, queue_ahead_below_lots=revisit.queue_ahead_below_lots)


def _until_sound(view: View, params: Params, decision: Decision) -> Revisit:
    """Asked again when the book is sound: the feed tells, but for staleness, where nothing happens to be told of."""
    wanted = decision.revisit
    at_ns = view.now_ns + stale_ns(params)
    if wanted.at_ns is not None and wanted.at_ns < at_ns:
        at_ns = wanted.at_ns
    return Revisit(at_ns, best_moved_ticks=1)
