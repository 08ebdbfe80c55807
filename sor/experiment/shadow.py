"""What the shadows of an experiment would have done: the same view, the same invariants, and nothing comes of it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from sor.commands import Rehearse
from sor.decide import decide
from sor.events import Shadowed
from sor.router import Core


def shadowed(core: Core, wish: Rehearse, *, now_ns: int) -> Iterator[Shadowed]:
    """A fact for each shadow of the parent's experiment; one whose policy or set is not there or not enough is mute."""
    parent = core.parents[wish.parent_no - 1]
    assert parent.assigned is not None, "it has shadows"
    for shadow in core.in_force.experiments[parent.assigned.experiment].experiment.shadows:
        policy = core.deciding.policies.get(shadow.policy)
        if policy is None or shadow.param_set not in core.in_force.sets:
            continue
        params, _ = core.in_force.resolved(shadow.param_set, parent.instrument, core.now_ns)
        if params.missing(policy.needs):
            continue
        view = msgspec.structs.replace(
            wish.view,
            memory=parent.shadows.get(shadow.name, {}),
            contradicted=core.in_force.doubt_of(shadow.policy, params),
        )
        decision, vetoes = decide(parent, policy, view, params)
        yield Shadowed(
            now_ns=now_ns,
            parent_no=parent.no,
            shadow=shadow.name,
            policy=shadow.policy,
            set_id=params.set_id,
            params_digest=params.digest,
            decision=decision,
            vetoes=vetoes,
        )
