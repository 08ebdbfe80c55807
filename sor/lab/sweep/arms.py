"""Policies side by side in the lane: the same parents under each, and what they cost beside the first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np

from sor.ids import ParentId
from sor.instruments import Instrument
from sor.lab.bootstrap import Difference, Interval
from sor.lab.plan import Arm, Drawn
from sor.lab.sweep.ground import Ground
from sor.lab.sweep.kernel import Asked, Floats, Ints
from sor.lab.sweep.lane import Fills, costs_bps
from sor.lab.sweep.routed import Desk, Routed, Terms
from sor.lab.sweep.side import counted
from sor.orders import ParentOrder
from sor.params import ParamSet
from sor.policy import Policy


class ArmFound(msgspec.Struct, frozen=True, kw_only=True):
    """One policy with its param-set.

    cost          against the arrival mid, bps, as `sor replay` has it; cost_p95 of single parents.
    maker_share   of the lots. asked: how often the policy was, a parent.
    against_first cost less that of the first arm; None for itself.
    """

    label: str
    param_set: str
    cost: Interval
    cost_p95: float
    maker_share: float
    asked: float
    against_first: Difference | None


class ArmsFound(msgspec.Struct, frozen=True, kw_only=True):
    """All arms in their order; how many parents count, and how many do not, by why."""

    arms: tuple[ArmFound, ...]
    parents: int
    beyond: dict[str, int]


def side_by_side(
    ground: Ground,
    terms: Terms,
    arms: Sequence[Arm],
    drawn: Drawn,
    *,
    instrument: Instrument,
    deadline_s: float,
    seed: int,
    sets: Mapping[str, ParamSet],
    policies: Mapping[str, Policy],
    progress: Callable[[str], None],
) -> ArmsFound:
    """Run the parents under each arm; `progress(label)` is called when an arm is through.

    Raises `CallerError` for a policy or param-set that is not there, or when no parent can be answered.
    """
    outcomes: list[list[Routed]] = []
    for arm in arms:
        desk = Desk(
            ground,
            terms,
            instrument=instrument,
            param_set=sets[arm.param_set],
            policies=policies,
        )
        outcomes.append(
            [
                desk.run(
                    ParentOrder(
                        parent_id=ParentId(f"{arm.slug}-{start.no:04d}"),
                        symbol=instrument.symbol,
                        side=start.side,
                        quantity=drawn.quantity,
                        deadline_s=deadline_s,
                        policy=arm.policy,
                    ),
                    start.at_ns,
                )
                for start in drawn.starts
            ]
        )
        progress(arm.label)
    starts_ns = np.array([start.at_ns for start in drawn.starts], np.int64)
    states = [np.array([one.state for one in outcome], np.int8) for outcome in outcomes]
    which = counted(states, starts_ns, deadline_s=deadline_s)
    kept = which.kept.tolist()
    side = np.array([int(drawn.starts[at].side) for at in kept], np.int64)
    lots = instrument.lots(drawn.quantity)
    routed = [[outcome[at] for at in kept] for outcome in outcomes]
    costs = [_costs_bps(one, side, lots, instrument) for one in routed]

    def judged(at: int) -> ArmFound:
        cost = which.cost(costs[at], costs[0] if at else None, seed=seed)
        made = sum(size for one in routed[at] for _, _, size, maker in one.fills if maker)
        return ArmFound(
            label=arms[at].label,
            param_set=sets[arms[at].param_set].set_id,
            cost=cost.mean,
            cost_p95=cost.p95,
            maker_share=made / (lots * len(kept)),
            asked=float(np.mean([one.asked for one in routed[at]])),
            against_first=cost.beside,
        )

    return ArmsFound(arms=tuple(judged(at) for at in range(len(arms))), parents=len(kept), beyond=which.beyond)


def _costs_bps(routed: Sequence[Routed], side: Ints, lots: int, instrument: Instrument) -> Floats:
    """(N,) cost of each filled parent against its arrival mid, fees included, as TCA has it."""
    fills = [(parent, *fill) for parent, one in enumerate(routed) for fill in one.fills]
    columns = np.array(fills, np.int64).T
    found = Fills(
        parent=columns[0],
        ns=columns[1],
        ticks=columns[2],
        lots=columns[3],
        maker=columns[4].astype(np.int8),
        state=np.zeros(len(routed), np.int8),
        orders=np.array([one.orders for one in routed], np.int64),
        timeouts=np.array([one.timeouts for one in routed], np.int64),
    )
    start_ns = np.zeros(len(routed), np.int64)
    asked = Asked(side=side, lots=np.full(len(routed), lots, np.int64), start_ns=start_ns)
    arrival_hticks = np.array([one.arrival_hticks for one in routed], np.int64)
    return costs_bps(found, asked, arrival_hticks, instrument)
