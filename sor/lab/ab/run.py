"""Both arms of a comparison on the same parents, market by market, and the document that programs rely on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from sor.errors import CallerError
from sor.lab.ab.document import conclusion, estimate_document
from sor.lab.ab.guards import Guard
from sor.lab.ab.paired import Findings, Paired, findings
from sor.lab.replay import (
    Comparison,
    Ground,
    Plan,
    Replayer,
    impacted_bps,
    outcome_document,
    run_all,
    tape_ground,
)
from sor.params import ParamSet
from sor.tape import Tape
from sor.units import to_ns

DESIGN = "paired"
ARMS = ("a", "b")


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


def run_ab(
    plan: Plan,
    markets: Sequence[Market],
    *,
    sets: Mapping[str, ParamSet],
    runs: Path,
    effect_bps: float | None = None,
    margin_bps: float = 0.0,
    progress: Callable[[str, int], None],
    jobs: int = 1,
) -> Ab:
    """Run and compare. Each arm draws delays of its own, so the same policy twice is an A/A test of the machinery.

    plan         its two policies are the arms; parents are per market, whose draws differ.
    progress     called with "a" or "b" and how many of its parents have ended.
    jobs         runs at a time; what comes out is the same.
    """
    if len(plan.policies) != len(ARMS):
        raise CallerError(f"a comparison has two arms, not {len(plan.policies)}; nothing was run")
    replayers: list[Replayer] = []
    for no, market in enumerate(markets):
        for at, arm in enumerate(ARMS):
            own = msgspec.structs.replace(plan, policies=(plan.policies[at],), seed=plan.seed + no)
            ground = tape_ground(market.tape, market.path, own)
            ground = _with_delays(ground, seed=2 * own.seed + at)
            replayers.append(Replayer.installed(own, ground, sets=sets, runs=runs / arm))
    ended = [0] * len(replayers)

    def tell(no: int, _: str, parents: int) -> None:
        ended[no] = parents
        progress(ARMS[no % 2], sum(ended[no % 2 :: 2]))

    compared = run_all(replayers, progress=tell, jobs=jobs)
    pairs = list(zip(compared[::2], compared[1::2], strict=True))
    found = findings(
        [_paired(a, b) for a, b in pairs],
        seed=plan.seed,
        effect_bps=effect_bps,
        margin_bps=margin_bps,
        guards=[_books(pairs), *([] if plan.impact is None else [_impact(pairs)])],
    )
    return Ab(plan=plan, a=tuple(a for a, _ in pairs), b=tuple(b for _, b in pairs), found=found)


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


def _books(pairs: Sequence[tuple[Comparison, Comparison]]) -> Guard:
    """What the venue's own books say of both arms: where they contradict the router no figure means anything."""
    outcomes = [outcome for pair in pairs for one in pair for outcome in one.outcomes]
    details = [detail for outcome in outcomes for detail in outcome.verdict.details]
    says = details[0] if details else "the venue's books agree with every fill"
    return Guard(name="books", holds=not details, says=says)


def _impact(pairs: Sequence[tuple[Comparison, Comparison]]) -> Guard:
    """Whether the difference lies on the same side if own takes had moved the market, as the plan's scenario has it."""
    as_recorded, moved = (
        np.nanmean(np.concatenate([costs(a.outcomes[0]) - costs(b.outcomes[0]) for a, b in pairs]))
        for costs in (lambda outcome: outcome.costs_bps, impacted_bps)
    )
    says = f"if own takes had moved the market the difference would be {moved:+.3f} bps"
    return Guard(name="impact", holds=bool(as_recorded * moved > 0.0), says=says)
