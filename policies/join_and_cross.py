"""`join_and_cross`: split what is due into a part that rests at the touch and a part that crosses now.

Cont and Kukanov's question for one venue (methods 1.1): of the units that would join the queue, the last have the least
chance to be filled by the horizon; which of them are worth it? The queue ahead is what the book shows at the touch.
What leaves it by the horizon is a random outflow, with the mean of the measured taker flow times `split.outflow_scale`
and the shape `split.outflow_shape`. A unit that is filled saves A of equation (1); one that is missing at the horizon
crosses then, after the mid has run away by D, and costs `split.under_bps` besides. So those units rest whose chance
exceeds what rule (2) asks for, and the others cross: with a sure fill all of it rests, with none all of it crosses.

    A    spread, fee difference, and own book walk of all that is due.
    D    what a Gaussian mid moves against the unfilled at most, in the mean and at the chance p that is just enough:
         `placement.drift_scale` * sigma * sqrt(horizon) * phi(z) / (1 - p).

Urgency u prices the risk of the wait: `placement.risk_weight` * u / (1 - u) standard deviations of the mid over it.
What rests and what crosses are together never more than is due: what a perpetual fills too much is a position.

The resting part keeps its place until the horizon, at most the excursion budget and the time left; then what is left of
it crosses. It leaves earlier when the spread opens beyond `placement.calm_exit_ratio` times the calm one. When the
touch has run `placement.chase_bps_min` away and the order is `placement.dwell_ms` old, it is split again at the new
touch, at most `placement.requotes_max` times a slice. What becomes due beside it is split behind it.
Parts below the venue's minimum go with the other. Until flow and volatility are measured all of it rests, for
`placement.unmeasured_timeout_s`.
"""

from __future__ import annotations

from enum import StrEnum
from math import sqrt

import msgspec

from policies.case import NEEDS, NOT_ESTIMATED, Case, Why, kept_rests
from policies.parts import least_lots
from policies.resting import RestingPolicy
from sor.models.drift import gaussian_loss, selection
from sor.models.rule import break_even
from sor.models.split import SplitPrices, WeibullOutflow, expected_cost, rest_quantity
from sor.policy import Alternative, Decision, Rest, Take
from sor.pricing import collar_ticks, nearer_ticks
from sor.reasons import TimeoutBound
from sor.revisit import Revisit
from sor.units import NS

_NOT_MEASURED = Alternative("rest", None, None, "flow and volatility are not measured yet")
_BISECTIONS = 40
_NOTE = "estimate, not calibrated"


class SplitWhy(StrEnum):
    """Why `join_and_cross` answered as it did, beside `policies.case.Why`: what it does with what it splits."""

    SPLIT = "split"
    JOIN_ALL = "join_all"
    CROSS_ALL = "cross_all"


class JoinAndCross(RestingPolicy):
    """Placement policy: part of an order rests at the touch, the other part crosses."""

    name = "join_and_cross"
    needs = tuple(
        sorted(
            {
                *NEEDS,
                "placement.drift_scale",
                "placement.refusals_max",
                "placement.risk_weight",
                "placement.timeout_s_max",
                "placement.timeouts_max",
                "placement.unmeasured_timeout_s",
                "split.horizon_s",
                "split.outflow_scale",
                "split.outflow_shape",
                "split.under_bps",
            }
        )
    )

    def work(self, case: Case) -> Decision:
        """Rest a part and cross a part of what is due."""
        tired = case.worn_out()
        if tired is not None:
            return case.cross(tired)
        return _stay(case) if case.own else _split(case)


class _Parts(msgspec.Struct, frozen=True, gc=False):
    """How many lots rest and how many cross, and the estimates that say so."""

    rest_lots: int
    take_lots: int
    alternatives: tuple[Alternative, ...]


def _stay(case: Case) -> Decision:
    """Keep what rests, with what became due beside it split; split anew at a touch that ran away; or cross."""
    if case.too_wide(case.params["placement.calm_exit_ratio"]):
        return case.cross(Why.WIDE)
    kept = case.kept()
    if kept is None:
        return case.cross(Why.RAN_AWAY) if case.chased_out() else _split(case)
    rests = kept_rests(case.own, case.view.open_lots)
    left = case.view.open_lots - sum([order.qty_lots for order in rests])
    return kept if left < least_lots(case) else _split(case, rests, kept.revisit)


def _split(case: Case, kept: tuple[Rest, ...] = (), revisit: Revisit | None = None) -> Decision:
    """Split what is due and not `kept`, for which it is to be asked again by `revisit`."""
    if case.late():
        return case.cross(Why.TOO_LATE)
    if case.too_wide(1.0):
        return case.cross(Why.WIDE)
    if not case.measured:
        return _rest_unmeasured(case)
    horizon_s, bound = case.bounded_s(case.params["split.horizon_s"])
    case.inputs["horizon_s"] = horizon_s
    if horizon_s < case.floor_s:
        return case.cross(Why.EXCURSION if bound is TimeoutBound.EXCURSION else Why.TOO_LATE)
    parts = _parts(case, horizon_s, case.view.open_lots - sum([order.qty_lots for order in kept]))
    if not parts.rest_lots and not kept:
        return case.cross(Why.NOT_WORTH_IT, parts.alternatives)
    expire_ns = min(case.view.now_ns + int(horizon_s * NS), case.latest_ns)
    return _answer(case, kept, parts, expire_ns, bound, revisit or case.watch(case.tolerated))


def _rest_unmeasured(case: Case) -> Decision:
    """All of it at the touch for a fixed time, as there is nothing to split by."""
    timeout_s, bound = case.bounded_s(case.params["placement.unmeasured_timeout_s"])
    if timeout_s < case.floor_s:
        return case.cross(Why.TOO_LATE)
    why = "Flow is not measured yet."
    return case.post(Why.REST_UNMEASURED, case.near, timeout_s, bound, (_NOT_MEASURED,), why=why)


def _parts(case: Case, horizon_s: float, lots: int) -> _Parts:
    """The split of `lots` that is expected to cost least."""
    view, params, features = case.view, case.params, case.features
    mean = case.flow_against() * params["split.outflow_scale"] * horizon_s
    ahead = float(case.ahead_lots(case.near))
    half = 0.5 * features.spread_bps
    rebate = -view.costs.maker_fee_bps
    advantage = case.advantage_bps(case.near)
    taker = advantage - 2.0 * half - rebate  # the taker fee and the walk
    root = features.volatility * sqrt(horizon_s)
    risk = case.risk_weight() * root
    loss = _loss_bps(advantage, params["placement.drift_scale"] * root, params["split.under_bps"], risk)
    case.inputs |= {
        "ahead_lots": ahead,
        "outflow_lots": mean,
        "advantage_bps": advantage,
        "loss_bps": loss,
        "risk_bps": risk,
        "fill_probability_min": min(1.0, break_even(advantage_bps=advantage - risk, drift_bps=loss + risk)),
    }
    if mean <= 0.0:
        return _Parts(0, lots, (NOT_ESTIMATED,))
    outflow = WeibullOutflow(mean, params["split.outflow_shape"])
    prices = SplitPrices(half_spread=half, taker_fee=taker, under=half + taker + loss, over=0.0)
    # What rests pays for its risk, filled or not; crossing saves as much.
    judged = msgspec.structs.replace(prices, taker_fee=taker - risk)
    limit = rest_quantity(judged, target=float(lots), queue=ahead, rebate=rebate, outflow=outflow)
    rest_lots = _whole_part(case, int(limit), lots)
    case.inputs |= {"rest_lots": float(rest_lots), "fill_probability": 1.0 - outflow.cdf(ahead + rest_lots)}

    def way(name: str, resting: int) -> Alternative:
        cost = expected_cost(
            prices, target=float(lots), limit=float(resting), queue=ahead, rebate=rebate, outflow=outflow
        )
        return Alternative(name, case.cost_bps + cost / lots - (half + taker), None, _NOTE)

    ways = [way("rest", lots)]
    if 0 < rest_lots < lots:
        ways.append(way("split", rest_lots))
    return _Parts(rest_lots, lots - rest_lots, tuple(ways))


def _loss_bps(advantage: float, root: float, under: float, risk: float) -> float:
    """What a unit that is missing at the horizon costs beside crossing it, at the chance that is just enough.

    Rule (2) with risk, p A = (1 - p) (D(p) + under) + risk, where the Gaussian bound D depends on p itself. The left
    overtakes the right once, which is found by halves; where it never does no chance is enough.
    """
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        chance = 0.5 * (low + high)
        if chance * advantage > root * gaussian_loss(chance) + (1.0 - chance) * under + risk:
            high = chance
        else:
            low = chance
    return root * selection(high) + under


def _whole_part(case: Case, rest_lots: int, lots: int) -> int:
    """Lots to rest so that neither part is below what the venue takes."""
    least = least_lots(case)
    if rest_lots < least:
        return 0
    return lots if lots - rest_lots < least else rest_lots


def _answer(
    case: Case, kept: tuple[Rest, ...], parts: _Parts, expire_ns: int, bound: TimeoutBound, revisit: Revisit
) -> Decision:
    """What rests already, then the new part that rests and the part that crosses."""
    view = case.view
    instrument, venue = view.instrument, view.market.venue
    rest_lots, take_lots = parts.rest_lots, parts.take_lots
    placements: list[Rest | Take] = list(kept)
    said: list[str] = []
    if rest_lots:
        placements.append(Rest(venue, rest_lots, case.near, expire_ns, bound))
        said.append(f"rest {instrument.quantity(rest_lots)!s} at {instrument.price(case.near)!s}")
    if take_lots:
        collar = collar_ticks(view.side, touch_ticks=case.touch, collar_bps=case.params["placement.collar_bps"])
        placements.append(Take(venue, take_lots, nearer_ticks(view.side, collar, view.limit_ticks)))
        said.append(f"cross {instrument.quantity(take_lots)!s}")
    reason = SplitWhy.SPLIT if rest_lots and take_lots else SplitWhy.JOIN_ALL if rest_lots else SplitWhy.CROSS_ALL
    note = f"{' and '.join(said)}: what rests is what has chance enough to be filled."
    return Decision(
        placements=tuple(placements),
        revisit=revisit,
        reason=reason,
        note=note[0].upper() + note[1:],
        inputs=tuple(case.inputs.items()),
        alternatives=(case.crossing(), *parts.alternatives),
        memory=case.slice,
    )
