"""What a replay came to: each policy's run, each against the first, and the document of it."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from pathlib import Path

import msgspec
import numpy as np

from sor.adapter import VenueOrder
from sor.ids import ClOrdId, ParentId
from sor.instruments import Instrument
from sor.lab.bootstrap import Difference, Floats, Interval
from sor.lab.plan import Drawn, Ground, Plan
from sor.parent import Parent
from sor.sim.oracle import Asked, Claimed, Verdict, judge
from sor.tca import ParentReport, PolicyReport
from sor.units import NS


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One arm's run. `policy` is its label; fitted_elsewhere: scopes of its set's fit, where none holds here.

    impact_bps    (P,) what each parent would have paid more under the plan's scenario; None where there is none.
    """

    policy: str
    param_set: str
    fitted_elsewhere: tuple[str, ...]
    params_digest: str
    reports: tuple[ParentReport, ...]
    summary: PolicyReport
    cost: Interval | None
    cost_p95: float | None
    verdict: Verdict
    journal: Path
    impact_bps: tuple[float, ...] | None = None

    @property
    def costs_bps(self) -> Floats:
        """(P,) cost of each parent against its arrival mid, NaN where it is not known."""
        return costs_of(self.reports)


class Impacted(msgspec.Struct, frozen=True, kw_only=True):
    """One arm's cost under the plan's scenario of own impact, and against the first arm's under the same."""

    cost: Interval | None
    against_first: Difference | None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All policies of a plan, and each against the first; `impacted` once more under its scenario, if it has one."""

    ground: Ground
    plan: Plan
    drawn: Drawn
    instrument: Instrument
    outcomes: tuple[Outcome, ...]
    differences: tuple[Difference | None, ...]
    impacted: tuple[Impacted, ...] = ()


def verdict_of(parents: Sequence[Parent], books: tuple[VenueOrder, ...]) -> Verdict:
    """What the oracle says of all parents, given the venue's own books."""
    owners: dict[ClOrdId, ParentId] = {}
    for parent in parents:
        for child in parent.children:
            owners[child.order.cl_ord_id] = parent.id
    return judge(
        asked=[
            Asked(
                parent_id=parent.id,
                symbol=parent.instrument.symbol,
                side=parent.side,
                qty_lots=parent.instrument.lots(parent.order.quantity),
                terminal=parent.ended,
            )
            for parent in parents
        ],
        claimed=[
            Claimed(
                parent_id=parent.id,
                filled_lots=parent.ledger.cum_lots,
                exec_ids=tuple(trade.exec_id for child in parent.children for trade, _ in child.trades),
            )
            for parent in parents
        ],
        owners=owners,
        books=books,
    )


def costs_of(reports: Sequence[ParentReport]) -> Floats:
    """(P,) cost of each parent against its arrival mid, NaN where it is not known."""
    return np.array([nan if one.arrival_cost_bps is None else one.arrival_cost_bps for one in reports], np.float64)


def impacted_bps(outcome: Outcome) -> Floats:
    """(P,) the same with what the plan's scenario adds. The outcome has one."""
    assert outcome.impact_bps is not None
    return outcome.costs_bps + np.array(outcome.impact_bps, np.float64)


def document(comparison: Comparison) -> dict[str, object]:
    """The `--json` document that programs rely on."""
    plan, drawn = comparison.plan, comparison.drawn
    return {
        "tape": comparison.ground.name,
        "seed": plan.seed,
        "queue": plan.queue,
        "latency": plan.latency,
        "quantity": str(drawn.quantity),
        "deadline_s": plan.deadline_s,
        "excursion_bps": plan.excursion_bps,
        "together": plan.together,
        "impact": _impact_document(comparison),
        "schedule": plan.schedule,
        "schedule_args": plan.schedule_args,
        "param_set": plan.param_set,
        "horizons_s": [horizon / NS for horizon in drawn.horizons_ns],
        "policies": [
            outcome_document(one, diff) for one, diff in zip(comparison.outcomes, comparison.differences, strict=True)
        ],
    }


def _impact_document(comparison: Comparison) -> dict[str, object] | None:
    """The plan's scenario and what each arm came to under it, in the order of the arms; None where there is none."""
    plan, flow = comparison.plan, comparison.ground.flow
    if plan.impact is None or flow is None:
        return None
    return {
        **msgspec.to_builtins(plan.impact),
        **msgspec.to_builtins(flow),
        "policies": [
            {"policy": outcome.policy, **msgspec.to_builtins(one)}
            for outcome, one in zip(comparison.outcomes, comparison.impacted, strict=True)
        ],
    }


def outcome_document(outcome: Outcome, diff: Difference | None) -> dict[str, object]:
    """One arm's part of a document; `diff`: against the first of them."""
    summed, cost = outcome.summary, outcome.cost
    return {
        "policy": outcome.policy,
        "param_set": outcome.param_set,
        "params_digest": outcome.params_digest,
        "parents": summed.parents,
        "filled_share": summed.filled_share,
        "cost_bps": {
            "mean": None if cost is None else cost.mean,
            "low": None if cost is None else cost.low,
            "high": None if cost is None else cost.high,
            "p95": outcome.cost_p95,
        },
        "blocks": 0 if cost is None else cost.blocks,
        "against_first_bps": None if diff is None else msgspec.to_builtins(diff),
        "fees_bps": summed.fees_bps,
        "passive_share": summed.passive_share,
        "timeouts": summed.timeouts,
        "fallbacks": summed.fallbacks,
        "overfills": outcome.verdict.overfills,
        "orphans": outcome.verdict.orphans,
        "double_fills": outcome.verdict.double_fills,
        "missed_fills": outcome.verdict.missed_fills,
        "summary": msgspec.to_builtins(summed),
    }
