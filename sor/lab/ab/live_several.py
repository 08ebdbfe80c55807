"""Several arms of an experiment at once: every difference of a family from its live parents, told for all together.

Each comparison is that of two arms (`live`), at the level over the number of comparisons: by Bonferroni, as the pairs
do not have the same parents, and what ties them is not worth a model of it (with nine arms against one the intervals
are 3 % wider than they had to be). An arm is cheaper only where the sequence, which may be watched, says so too, so
nothing is lost by looking often. Source: methods 8.1 and 8.2; decision 0101.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.errors import CallerError
from sor.experiment.definition import Arm, Experiment
from sor.experiment.running import Running
from sor.lab.ab.betting import discoveries
from sor.lab.ab.document import family_document
from sor.lab.ab.family import LETTERS, UNDECIDED, Family, Verdict, Versus, verdict
from sor.lab.ab.live import Live, compare_pair
from sor.lab.ab.live_rows import reports_of
from sor.lab.ab.paired import ALPHA, Decision
from sor.router import Core

Floats = NDArray[np.float64]


class LiveSeveral(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a comparison of K arms came to. lives: the comparisons as of two arms each, beside `versus`.

    costs    of each arm the parents that were given it while the control took parents too, and have a cost. given: how
             many were given it then.
    """

    experiment: Experiment
    arms: tuple[Arm, ...]
    letters: str
    lives: tuple[Live, ...]
    versus: tuple[Versus, ...]
    verdict: Verdict
    costs: tuple[Floats, ...]
    given: tuple[int, ...]


def compare_live_several(
    core: Core,
    running: Running,
    *,
    family: Family,
    arms: Sequence[str] = (),
    seed: int = 0,
    effect_bps: float | None = None,
    margin_bps: float = 0.0,
) -> LiveSeveral:
    """Compare arms of an experiment, the first of which is the control; without names all of them, in its order.

    Raises `CallerError` for arms that there are not, and where no parent of one has a cost.
    """
    experiment = running.experiment
    known = {arm.name: arm for arm in experiment.arms}
    names = list(arms) or list(known)
    if len(dict.fromkeys(names)) < len(names) or not all(name in known for name in names):
        told = ", ".join(known)
        raise CallerError(f"{experiment.name} has the arms {told}; nothing was compared. Name each of yours once")
    letters = LETTERS[: len(names)]
    pairs = family.pairs(letters)
    reports = reports_of(core, experiment)
    named = dict(zip(letters, (known[name] for name in names), strict=True))
    lives = [
        compare_pair(
            core,
            running,
            (named[first], named[second]),
            reports,
            seed=seed,
            effect_bps=effect_bps,
            margin_bps=margin_bps,
            letters=first + second,
            comparisons=len(pairs),
        )
        for first, second in pairs
    ]
    listed = discoveries(np.array([one.e_value or 0.0 for one in lives]), alpha=ALPHA)
    versus = [_versus(pair, live, listed=bool(found)) for pair, live, found in zip(pairs, lives, listed, strict=True)]
    control = {pair[1]: live for pair, live in zip(pairs, lives, strict=True) if pair[0] == letters[0]}
    rows = [live.rows for live in control.values()]
    above = {letters[0]: 0.0, **{letter: -live.mean for letter, live in control.items()}}
    return LiveSeveral(
        experiment=experiment,
        arms=tuple(named.values()),
        letters=letters,
        lives=tuple(lives),
        versus=tuple(versus),
        verdict=verdict(family, letters, versus, leader=min(above, key=above.__getitem__)),
        costs=(rows[0].cost[rows[0].ours], *(one.cost[~one.ours] for one in rows)),
        given=(rows[0].given[0], *(one.given[1] for one in rows)),
    )


def _versus(pair: tuple[str, str], live: Live, *, listed: bool) -> Versus:
    letters = {Decision.A: pair[0], Decision.B: pair[1], Decision.UNDECIDED: UNDECIDED}
    return Versus(
        first=pair[0],
        second=pair[1],
        parents=len(live.rows.cost),
        units=live.units,
        mean=live.mean,
        low=live.low,
        high=live.high,
        p_value=live.p_value,
        series=None,
        looks=live.looks,
        stopped_at=None if live.looks is None else live.looks.stopped_at(),
        e_value=live.e_value,
        listed=listed,
        effect_bps=live.effect_bps,
        needed=live.needed,
        guards=live.guards,
        decision=letters[live.decision],
        why=live.why,
    )


def live_several_document(found: LiveSeveral) -> dict[str, object]:
    """The `--json` document, of the same form as that of several replayed arms."""
    return {
        "design": found.lives[0].design,
        "arms": {
            letter: {
                "arm": arm.name,
                "policy": arm.policy,
                "param_set": arm.param_set,
                "given": given,
                "costed": len(costs),
                "mean_bps": float(costs.mean()),
            }
            for letter, arm, given, costs in zip(found.letters, found.arms, found.given, found.costs, strict=True)
        },
        "experiment": found.experiment.name,
        "n": sum(len(costs) for costs in found.costs),
        **family_document(
            found.verdict,
            found.versus,
            costs=dict(zip(found.letters, found.costs, strict=True)),
            guards=(),
        ),
    }
