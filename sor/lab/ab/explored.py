"""What a policy's own way saves against the ways that it did not go, from parents that explored (`explore:NAME`).

At its first decision that places anything a parent went the policy's own way with a chance of 1 - epsilon, else one of
the others that were possible; the journal holds the chance. Parents that had no choice say nothing and are left out.
Arm a is the policy as it is, arm b the others as they were drawn; each is estimated from its own parents weighted by
one over their chance (IPS, SNIPS, and doubly robust with a forecast by what was known at arrival, fitted on the other
half of the parents), the difference with an interval by bootstrap over parents. The doubly robust one is the one that
decides. Where exploring was so rare that b weighs hardly anything nothing is concluded (`offpolicy`). A winner needs
the sequence by design too, as with experiments. Beside it stands the betting sequence of weights times cost, which
assumes nothing but the cut and that no parent foretells the next, and is wider for it by far (methods 8.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from sor.commands import Decided
from sor.errors import CallerError
from sor.experiment.bounds import COSTED_MIN, TAIL
from sor.explore import PREFIX
from sor.journal import Record
from sor.lab.ab.betting import Betting, betting
from sor.lab.ab.document import conclusion, estimate_document, finite
from sor.lab.ab.guards import Guard, tail
from sor.lab.ab.live import by_design
from sor.lab.ab.live_rows import costed, known_of, reported
from sor.lab.ab.offpolicy import Estimate, Logged, Weights, differences, dr, estimates, ips, logged, snips, weights
from sor.lab.ab.paired import ALPHA, Decision, by_winner
from sor.lab.ab.sequential import Looks, needed
from sor.parent import Parent
from sor.router import Core
from sor.tca import ParentReport

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

CUT_BPS = 100.0
"""Costs beyond this count as this: the estimand is the mean of the cut costs."""


class Way(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One of the two ways. says: in words. went: (N,) which parents went it. bps: mean cost by each estimator.

    intervals    of the means, 95 %; empty where the weights do not carry an estimate.
    """

    letter: str
    says: str
    went: Flags
    log: Logged
    weights: Weights
    bps: Mapping[str, float]
    intervals: Mapping[str, Estimate]


class Explored(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a comparison of a policy's own way with the others came to; differences are cost(a) - cost(b), bps.

    ways         a and b. estimates: of the difference, by `ips`, `snips` and `dr`.
    cost, own    (N,) of parents that had a choice and have a cost. chance: (N,) of the own way.
    parents      (N) as the core has them. reports: (N) of TCA. counted: (N - 1,) what each but the first says.
    looks        the sequence of that. bets: the one that assumes no more than bounds.
    """

    policy: str
    ways: tuple[Way, Way]
    estimates: Mapping[str, Estimate]
    cost: Floats
    own: Flags
    chance: Floats
    parents: tuple[Parent, ...]
    reports: tuple[ParentReport, ...]
    counted: Floats
    looks: Looks | None
    bets: Betting
    effect_bps: float
    needed: int | None
    guards: tuple[Guard, ...]
    decision: Decision
    why: str

    @property
    def mean(self) -> float:
        """The doubly robust difference."""
        return self.estimates["dr"].mean

    @property
    def low(self) -> float:
        """Of its 95 % interval."""
        return self.estimates["dr"].low

    @property
    def high(self) -> float:
        """Of its 95 % interval."""
        return self.estimates["dr"].high


def first_choices(records: Iterable[Record], policy: str) -> dict[int, tuple[float, bool]]:
    """(chance of the own way, whether it was gone) of each parent of an exploring policy that had a choice."""
    found: dict[int, tuple[float, bool]] = {}
    for record in records:
        if isinstance(record, Decided) and record.by == policy and record.parent_no not in found:
            inputs = dict(record.decision.inputs)
            epsilon = inputs.get("explore_epsilon", 0.0)
            if epsilon > 0.0:
                found[record.parent_no] = (1.0 - epsilon, inputs["explore_drawn"] >= epsilon)
    return found


def compare_explored(
    core: Core,
    records: Iterable[Record],
    policy: str,
    *,
    seed: int = 0,
    effect_bps: float | None = None,
    margin_bps: float = 0.0,
) -> Explored:
    """Compare. policy: with `explore:` before its name. Raises `CallerError` where one way was never gone."""
    name = policy if policy.startswith(PREFIX) else f"{PREFIX}{policy}"
    choices = first_choices(records, name)
    over = [parent for parent in core.parents if parent.no in choices and parent.ended]
    kept, cost, reports = costed(over, reported(core, over), cut_bps=CUT_BPS)
    parents = tuple(over[at] for at in kept)
    own = np.array([choices[parent.no][1] for parent in parents], np.bool_)
    if own.all() or not own.any():
        raise CallerError(
            f"of {len(kept)} parents of {name} that had a choice and have a cost {int(own.sum())} went its own way; "
            "nothing was compared. It takes parents of both"
        )
    chance = np.array([choices[parent.no][0] for parent in parents], np.float64)
    known, rng = known_of(parents), np.random.default_rng([seed, 6])
    ours, theirs = (_logged(cost, own, chance, known, arm=arm) for arm in (True, False))
    apart = differences(ours, theirs, rng)
    ways = (
        _way("a", "its own way", own, ours, rng),
        _way("b", "the other ways, as they were drawn", ~own, theirs, rng),
    )
    counted, looks = by_design(cost, own, chance)
    found = apart["dr"]
    likely = Decision.A if found.mean < 0.0 else Decision.B
    refusals = [way.weights.refusal for way in ways if way.weights.refusal]
    guards = (
        Guard(
            name="costed",
            holds=len(kept) >= COSTED_MIN * len(over),
            says=f"{len(kept)} of {len(over)} parents that had a choice have a cost",
        ),
        Guard(name="weights", holds=not refusals, says=refusals[0] if refusals else "both ways carry an estimate"),
        tail(*by_winner(cost[own], cost[~own], likely=likely), winner=likely, margin_bps=margin_bps, quantile=TAIL),
    )
    decision, why = _decided(found.low, found.high, looks, guards, likely)
    effect = abs(found.mean) if effect_bps is None else effect_bps
    return Explored(
        policy=name,
        ways=ways,
        estimates=apart,
        cost=cost,
        own=own,
        chance=chance,
        parents=parents,
        reports=reports,
        counted=counted,
        looks=looks,
        bets=bets_on(cost, own, chance),
        effect_bps=effect,
        needed=needed(error=found.error, count=len(cost), effect=effect, alpha=ALPHA),
        guards=guards,
        decision=decision,
        why=why,
    )


def bets_on(cost: Floats, own: Flags, chance: Floats) -> Betting:
    """The betting sequence of the difference, from each cost over the chance of its way, with the sign of the way.

    cost     (N,) within `CUT_BPS` either way. own: (N,) whether of the own way. chance: (N,) of that way, in (0, 1).
    """
    weighed = np.where(own, cost / chance, -cost / (1.0 - chance))
    most = CUT_BPS / float(min(chance.min(), (1.0 - chance).min()))
    return betting(weighed, low=-most, high=most, alpha=ALPHA)


def part_of(log: Logged, chosen: Flags) -> Logged:
    """Some of the decisions of a log."""
    return Logged(**{name: getattr(log, name)[chosen] for name in Logged.__struct_fields__})


def _way(letter: str, says: str, went: Flags, log: Logged, rng: np.random.Generator) -> Way:
    found = weights(log)
    return Way(
        letter=letter,
        says=says,
        went=went,
        log=log,
        weights=found,
        bps={"ips": ips(log), "snips": snips(log), "dr": dr(log)},
        intervals={} if found.refusal else estimates(log, rng),
    )


def _logged(cost: Floats, own: Flags, chance: Floats, known: Floats, *, arm: bool) -> Logged:
    """The log as it speaks of always going one way: what went it counts, by one over its chance."""
    went = own == arm
    forecast = _forecast(cost, went, known)
    return logged(
        reward=cost,
        chance=went.astype(np.float64),
        propensity=np.where(own, chance, 1.0 - chance),
        parent=np.arange(len(cost), dtype=np.int64),
        forecast=forecast,
        expected=forecast,
    )


def _forecast(cost: Floats, went: Flags, known: Floats) -> Floats:
    """Cost of going the way by what was known at arrival, each half of the parents forecast by the other."""
    terms = np.column_stack([np.ones(len(cost)), known])
    half = np.arange(len(cost)) % 2 == 0
    forecast = np.zeros(len(cost))
    for at in (half, ~half):
        fit = ~at & went
        if fit.sum() > 2 * terms.shape[1]:
            forecast[at] = terms[at] @ np.linalg.lstsq(terms[fit], cost[fit], rcond=None)[0]
        elif fit.any():
            forecast[at] = cost[fit].mean()
    return forecast


def _decided(
    low: float, high: float, looks: Looks | None, guards: tuple[Guard, ...], likely: Decision
) -> tuple[Decision, str]:
    broken = [guard.says for guard in guards if not guard.holds]
    if broken:
        return Decision.UNDECIDED, f"nothing can be concluded: {'; '.join(broken)}"
    if looks is None or not (looks.low[-1] > 0.0 or looks.high[-1] < 0.0):
        return Decision.UNDECIDED, "the sequence that may be watched holds zero"
    if low <= 0.0 <= high:
        return Decision.UNDECIDED, "the interval of the difference holds zero"
    return likely, f"{likely} is cheaper, however often one has looked, and all guards hold"


def explored_document(found: Explored) -> dict[str, object]:
    """The `--json` document, of the same form as that of the other designs."""
    return {
        "design": "offpolicy",
        **{
            way.letter: {
                "policy": found.policy,
                "way": way.says,
                "costed": int(way.went.sum()),
                "effective_n": way.weights.effective,
                **{f"{name}_bps": value for name, value in way.bps.items()},
            }
            for way in found.ways
        },
        "n": len(found.cost),
        "estimate_bps": estimate_document(found.mean, found.low, found.high),
        "by_betting": {"low": finite(found.bets.low[-1]), "high": finite(found.bets.high[-1])},
        "by_estimator": {name: estimate_document(one.mean, one.low, one.high) for name, one in found.estimates.items()},
        **conclusion(
            looks=found.looks,
            stopped_at=None if found.looks is None else found.looks.stopped_at(),
            decision=found.decision,
            why=found.why,
            effect_bps=found.effect_bps,
            needed=found.needed,
            costs={way.letter: found.cost[way.went] for way in found.ways},
            guards=found.guards,
        ),
    }
