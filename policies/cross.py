"""`cross`: take what is due now, with a collar.

The collar is `placement.collar_bps` beyond the touch it takes from, and never beyond the parent's limit. It is measured
from the touch of the moment and not from arrival: a market that ran is bounded by the limit price and the excursion
budget, which belong to the caller; the collar keeps one order from eating through a thin book.
Where the limit is already behind the touch nothing can trade, and it asks again when the touch has come back that far.
"""

from __future__ import annotations

from enum import StrEnum

from sor.market import Trust
from sor.params import Params
from sor.policy import Alternative, Decision, Take
from sor.pricing import collar_ticks, nearer_ticks, sweep
from sor.revisit import Revisit
from sor.snapshot import View
from sor.units import BPS


class CrossReason(StrEnum):
    """Why `cross` answered as it did."""

    CROSS = "cross"
    UNTRUSTED = "untrusted"
    LIMIT_AWAY = "limit_away"
    NOTHING_DUE = "nothing_due"


_SOUND = Trust.OK
_ON_FILLS = Revisit(on_untrusted=False)
_WHEN_SOUND = Revisit()
_UNKNOWN_REST = Alternative("rest", None, None, "not estimated by this policy")


class Cross:
    """Placement policy: a taking order for everything that is due."""

    name = "cross"
    needs = ("placement.collar_bps",)

    def decide(self, view: View, params: Params) -> Decision:
        """One `Take` of `open_lots`, or nothing while the book cannot be trusted or the limit forbids it."""
        market = view.market
        bids = market.bids
        asks = market.asks
        if market.trust is not _SOUND or not bids or not asks:
            return Decision(
                placements=(),
                revisit=_WHEN_SOUND,
                reason=CrossReason.UNTRUSTED,
                note=f"The book is {market.trust.value}: wait until it is sound.",
            )
        lots = view.open_lots
        if lots <= 0:
            return Decision(
                placements=(), revisit=_ON_FILLS, reason=CrossReason.NOTHING_DUE, note="Nothing is due now."
            )
        side = view.side
        ladder = asks if side > 0 else bids
        touch = ladder[0][0]
        limit = view.limit_ticks
        if limit is not None and side * (touch - limit) > 0:
            away = side * (touch - limit)
            return Decision(
                placements=(),
                revisit=Revisit(best_moved_ticks=away),
                reason=CrossReason.LIMIT_AWAY,
                note=f"The touch is {away} ticks beyond the limit: wait until it comes back.",
                inputs=(("limit_away_ticks", float(away)),),
            )
        collar = nearer_ticks(
            side, collar_ticks(side, touch_ticks=touch, collar_bps=params["placement.collar_bps"]), limit
        )
        average, caveat = walk_ticks(view, lots)
        cost_bps = cross_bps(view, average)
        return Decision(
            placements=(Take(market.venue, lots, collar),),
            revisit=_ON_FILLS,
            reason=CrossReason.CROSS,
            note=f"Cross {view.instrument.quantity(lots)!s} at {cost_bps:.2f} bps expected{caveat}.",
            inputs=(("open_lots", float(lots)), ("touch_ticks", float(touch)), ("collar_ticks", float(collar))),
            alternatives=(Alternative("cross", cost_bps, None, caveat), _UNKNOWN_REST),
        )


def walk_ticks(view: View, lots: int) -> tuple[float, str]:
    """Average price of crossing `lots` now by the displayed book, and a caveat or "".

    What the ladder does not show is priced at its last level, which makes the figure a lower bound, and the caveat says
    so. `lots` > 0; the side to take from has a level.
    """
    ladder = view.market.asks if view.side > 0 else view.market.bids
    cost, filled = sweep(ladder, lots)
    if filled == lots:
        return cost / lots, ""
    return (cost + ladder[-1][0] * (lots - filled)) / lots, " or more: the book shows less than that"


def cross_bps(view: View, average_ticks: float) -> float:
    """Expected cost of crossing at `average_ticks`, in bps of the arrival mid, positive when bad.

    Half the spread, the walk, the drift since arrival and the taker fee in one: the price against the arrival mid.
    """
    return BPS * view.side * (2.0 * average_ticks / view.arrival_hticks - 1.0) + view.costs.taker_fee_bps
