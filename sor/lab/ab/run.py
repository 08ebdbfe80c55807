"""The arms of a comparison on the same parents, market by market, and the documents that programs rely on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from sor.errors import CallerError
from sor.lab.ab.document import conclusion, estimate_document, family_document, series_document
from sor.lab.ab.family import LETTERS, Family
from sor.lab.ab.guards import Guard
from sor.lab.ab.paired import Findings, Paired, findings
from sor.lab.ab.several import Several, Together, compare_together
from sor.lab.comparison import Comparison, impacted_bps, outcome_document
from sor.lab.plan import Ground, Plan, tape_ground
from sor.lab.replay import Replayer, run_all
from sor.params import ParamSet
from sor.tape import Tape
from sor.units import to_ns

DESIGN = "paired"


class Market(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A tape that both arms are run on, and where it lies."""

    tape: Tape
    path: Path


class Ab(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Both arms' runs on each market, in order, and what they came to. plan: its policies are the labels of a and b."""

    plan: Plan
    a: tuple[Comparison, ...]
    b: tuple[Comparison, ...]
    found: Findings


class AbSeveral(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The runs of several arms on each market, and what they came to. plan: its policies are the arms' labels.

    arms    of each arm its run on each market, in order.
    """

    plan: Plan
    arms: tuple[tuple[Comparison, ...], ...]
    found: Several


def run_arms(
    plan: Plan,
    markets: Sequence[Market],
    *,
    sets: Mapping[str, ParamSet],
    runs: Path,
    progress: Callable[[str, int], None],
    jobs: int = 1,
) -> tuple[tuple[Comparison, ...], ...]:
    """Of each arm its run on each market. Each draws delays of its own: the same policy twice tests the machinery.

    plan         its policies are the arms; parents are per market, whose draws differ.
    progress     called with the arm's letter and how many of its parents have ended.
    jobs         runs at a time; what comes out is the same.
    """
    arms = LETTERS[: len(plan.policies)]
    if not 2 <= len(plan.policies) <= len(LETTERS):
        raise CallerError(f"a comparison has 2 to {len(LETTERS)} arms, not {len(plan.policies)}; nothing was run")
    replayers: list[Replayer] = []
    for no, market in enumerate(markets):
        for at, arm in enumerate(arms):
            own = msgspec.structs.replace(plan, policies=(plan.policies[at],), seed=plan.seed + no)
            ground = tape_ground(market.tape, market.path, own)
            ground = _with_delays(ground, seed=len(arms) * own.seed + at)
            replayers.append(Replayer.installed(own, ground, sets=sets, runs=runs / arm))
    ended = [0] * len(replayers)

    def tell(no: int, _: str, parents: int) -> None:
        ended[no] = parents
        at = no % len(arms)
        progress(arms[at], sum(ended[at :: len(arms)]))

    compared = run_all(replayers, progress=tell, jobs=jobs)
    return tuple(tuple(compared[at :: len(arms)]) for at in range(len(arms)))


def compare_ab(
    plan: Plan,
    arms: tuple[tuple[Comparison, ...], ...],
    *,
    effect_bps: float | None = None,
    margin_bps: float = 0.0,
) -> Ab:
    """Compare the runs of two arms."""
    a, b = arms
    found = findings(
        [_paired(*pair) for pair in zip(a, b, strict=True)],
        seed=plan.seed,
        effect_bps=effect_bps,
        margin_bps=margin_bps,
        guards=[_books(arms), *_impact(plan, a, b)],
    )
    return Ab(plan=plan, a=a, b=b, found=found)


def compare_arms(
    plan: Plan,
    arms: tuple[tuple[Comparison, ...], ...],
    *,
    family: Family,
    effect_bps: float | None = None,
    margin_bps: float = 0.0,
) -> AbSeveral:
    """Compare the runs of several arms; the first is the control."""
    found = compare_together(
        [_together(runs) for runs in zip(*arms, strict=True)],
        family=family,
        seed=plan.seed,
        effect_bps=effect_bps,
        margin_bps=margin_bps,
        guards=[_books(arms)],
        own_guards=lambda first, second: _impact(plan, arms[first], arms[second]),
    )
    return AbSeveral(plan=plan, arms=arms, found=found)


def ab_document(ab: Ab) -> dict[str, object]:
    """The `--json` document."""
    found = ab.found
    gap = found.difference
    return {
        "design": DESIGN,
        "a": _arm_document(ab.a),
        "b": _arm_document(ab.b),
        "markets": [one.ground.name for one in ab.a],
        "n": found.costed,
        "parents": found.parents,
        "blocks": gap.blocks,
        "effective_n": found.effective,
        "estimate_bps": estimate_document(gap.mean, gap.low, gap.high, p_value=gap.p_value),
        "stationary_bootstrap": series_document(found.series),
        **conclusion(
            looks=found.looks,
            stopped_at=found.stopped_at,
            decision=found.decision,
            why=found.why,
            effect_bps=found.effect_bps,
            needed=found.needed,
            costs={"a": found.cost_a, "b": found.cost_b},
            guards=found.guards,
        ),
    }


def several_document(ab: AbSeveral) -> dict[str, object]:
    """The `--json` document of several arms."""
    found = ab.found
    return {
        "design": DESIGN,
        "arms": {letter: _arm_document(runs) for letter, runs in zip(found.arms, ab.arms, strict=True)},
        "markets": [one.ground.name for one in ab.arms[0]],
        "n": found.costed,
        "parents": found.parents,
        "blocks": found.blocks,
        **family_document(
            found.verdict,
            found.versus,
            costs=dict(zip(found.arms, found.costs.T, strict=True)),
            guards=found.guards,
        ),
    }


def _arm_document(comparisons: Sequence[Comparison]) -> dict[str, object]:
    return {
        "policy": comparisons[0].outcomes[0].policy,
        "markets": [outcome_document(one.outcomes[0], None) for one in comparisons],
    }


def _with_delays(ground: Ground, *, seed: int) -> Ground:
    """Another draw of every delay; the market of a tape has no other use for the seed."""
    return msgspec.structs.replace(ground, options={**ground.options, "seed": str(seed)})


def _paired(a: Comparison, b: Comparison) -> Paired:
    starts = [start.at_ns for start in a.drawn.starts]
    assert starts == [start.at_ns for start in b.drawn.starts]
    return Paired(
        cost_a=a.outcomes[0].costs_bps,
        cost_b=b.outcomes[0].costs_bps,
        start_ns=np.array(starts, np.int64),
        deadline_ns=to_ns(a.plan.deadline_s),
    )


def _together(runs: Sequence[Comparison]) -> Together:
    starts = [start.at_ns for start in runs[0].drawn.starts]
    assert all(starts == [start.at_ns for start in one.drawn.starts] for one in runs)
    return Together(
        costs=np.column_stack([one.outcomes[0].costs_bps for one in runs]),
        start_ns=np.array(starts, np.int64),
        deadline_ns=to_ns(runs[0].plan.deadline_s),
    )


def _books(arms: Sequence[Sequence[Comparison]]) -> Guard:
    """What the venue's own books say of all arms: where they contradict the router no figure means anything."""
    outcomes = [outcome for runs in zip(*arms, strict=True) for one in runs for outcome in one.outcomes]
    details = [detail for outcome in outcomes for detail in outcome.verdict.details]
    says = details[0] if details else "the venue's books agree with every fill"
    return Guard(name="books", holds=not details, says=says)


def _impact(plan: Plan, a: Sequence[Comparison], b: Sequence[Comparison]) -> tuple[Guard, ...]:
    """Whether the difference lies on the same side if own takes had moved the market, where the plan has a scenario."""
    if plan.impact is None:
        return ()
    as_recorded, moved = (
        np.nanmean(np.concatenate([costs(x.outcomes[0]) - costs(y.outcomes[0]) for x, y in zip(a, b, strict=True)]))
        for costs in (lambda outcome: outcome.costs_bps, impacted_bps)
    )
    says = f"if own takes had moved the market the difference would be {moved:+.3f} bps"
    return (Guard(name="impact", holds=bool(as_recorded * moved > 0.0), says=says),)
