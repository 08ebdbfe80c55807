"""An experiment at the door: a parent is given an arm only if every arm could have worked it.

Whether a parent takes part must not depend on the arm that it would get, or arms would differ in their parents and not
in what they do with them. So one that any arm would refuse goes by its own terms, and its record says why.
"""

from __future__ import annotations

import msgspec

from sor.errors import CallerError
from sor.experiment.assigned import Assigned
from sor.experiment.assignment import assign, untouched
from sor.ids import VenueName
from sor.instruments import canonical_symbol
from sor.intake import check_plugins
from sor.orders import ParentOrder
from sor.router import Core


def assigned_of(core: Core, order: ParentOrder, venue: VenueName, *, now_ns: int) -> Assigned | None:
    """What the experiment that an admitted order names gives it, None where it names none."""
    if not order.experiment:
        return None
    running = core.in_force.experiments[order.experiment]
    experiment = running.experiment
    if running.ended:
        return untouched(experiment, running.ended)
    instrument = core.in_force.instruments[venue, canonical_symbol(order.symbol)]
    assigned = assign(
        experiment,
        order=order,
        venue=venue,
        symbol=instrument.symbol,
        stopped=running.stopped,
        since_ns=running.since_ns,
        now_ns=now_ns,
    )
    for arm in experiment.arms if assigned.arm else ():
        try:
            check_plugins(core, in_force(order, policy=arm.policy, param_set=arm.param_set), instrument)
        except CallerError as error:
            return untouched(experiment, f"arm {arm.name} would refuse it: {error}")
    return assigned


def with_arm(order: ParentOrder, assigned: Assigned | None) -> ParentOrder:
    """The order by the terms that count."""
    if assigned is None or not assigned.arm:
        return order
    return in_force(order, policy=assigned.policy, param_set=assigned.param_set)


def in_force(order: ParentOrder, *, policy: str, param_set: str) -> ParentOrder:
    """The order by other terms."""
    return msgspec.structs.replace(order, policy=policy, param_set=param_set)
