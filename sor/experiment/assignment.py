"""Which arm a parent gets: a hash of the experiment's salt and of the parent's id, or of its period of time.

The same hash as exploring (`sor.explore`): no generator and no order of drawing, so that anybody who has the journal
can throw every coin again, and nobody without the salt can choose an id to get an arm. The experiment's name is in the
text that is hashed, so that two experiments of one salt do not give the same parents the same arms.

Arms that were stopped have no share; those that are left share what it was, in proportion. One arm alone is no
experiment: from then on parents go by their own terms.
"""

from __future__ import annotations

from collections.abc import Collection

from sor.experiment.assigned import Assigned
from sor.experiment.definition import By, Eligible, Experiment
from sor.explore import uniform
from sor.ids import ParentId, Symbol, VenueName
from sor.orders import ParentOrder, Side

ARMS_MIN = 2
"""With fewer there is nothing to compare."""


def assign(
    experiment: Experiment,
    *,
    order: ParentOrder,
    venue: VenueName,
    symbol: Symbol,
    stopped: Collection[str],
    since_ns: int,
    now_ns: int,
) -> Assigned:
    """The arm of a parent that is at the door at `now_ns`.

    venue, symbol    where it would trade. stopped: arms that take nobody any more. since_ns: when it began.
    """
    why = left_out(experiment.eligible, order=order, venue=venue, symbol=symbol)
    if why:
        return untouched(experiment, why)
    open_arms = [arm for arm in experiment.arms if arm.name not in stopped]
    if len(open_arms) < ARMS_MIN:
        return untouched(experiment, "fewer than two arms are left")
    period, drawn = _drawn(experiment, order.parent_id, venue, symbol, now_ns - since_ns)
    total = float(sum(arm.share for arm in open_arms))
    chances = tuple((arm.name, float(arm.share) / total) for arm in open_arms)
    below = 0.0
    chosen = open_arms[-1]  # where rounding leaves the last sum below 1
    for arm, (_, chance) in zip(open_arms, chances, strict=True):
        below += chance
        if drawn < below:
            chosen = arm
            break
    return Assigned(
        experiment=experiment.name,
        digest=experiment.digest,
        arm=chosen.name,
        policy=chosen.policy,
        param_set=chosen.param_set,
        chances=chances,
        period=period,
    )


def untouched(experiment: Experiment, why: str) -> Assigned:
    """A parent that goes by its own terms."""
    return Assigned(experiment=experiment.name, digest=experiment.digest, why=why)


def left_out(eligible: Eligible, *, order: ParentOrder, venue: VenueName, symbol: Symbol) -> str:
    """Why a parent does not take part, "" if it does."""
    if eligible.venues and venue not in eligible.venues:
        return f"it trades on {venue}"
    if eligible.symbols and symbol not in eligible.symbols:
        return f"it trades {symbol}"
    if eligible.side is not None and (order.side is Side.BUY) is not (eligible.side == "buy"):
        return f"it is a {order.side.name.lower()}"
    if eligible.quantity_min is not None and order.quantity < eligible.quantity_min:
        return f"{order.quantity} is less than {eligible.quantity_min}"
    if eligible.quantity_max is not None and order.quantity > eligible.quantity_max:
        return f"{order.quantity} is more than {eligible.quantity_max}"
    return ""


def _drawn(
    experiment: Experiment, parent_id: ParentId, venue: VenueName, symbol: Symbol, age_ns: int
) -> tuple[int, float]:
    """(period or -1, number in [0, 1) that is drawn)."""
    if experiment.by is By.PARENT:
        return -1, uniform(experiment.salt, f"{experiment.name}/{parent_id}")
    period = max(0, age_ns) // experiment.period_ns
    return period, _of_coin(experiment, venue, symbol, period // experiment.coin_periods)


def _of_coin(experiment: Experiment, venue: str, symbol: str, coin: int) -> float:
    return uniform(experiment.salt, f"{experiment.name}/{venue}/{symbol}/{coin}")


def arm_of_period(experiment: Experiment, period: int) -> str:
    """The arm of a switchback's period, whether a parent came in it or not."""
    eligible = experiment.eligible
    drawn = _of_coin(experiment, eligible.venues[0], eligible.symbols[0], period // experiment.coin_periods)
    return experiment.arms[0 if drawn < experiment.arms[0].share else 1].name
