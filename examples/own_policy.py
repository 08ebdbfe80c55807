"""A policy of one's own against `cross`, on a made-up market in virtual time.

    python examples/own_policy.py

To make it available to `sor replay` and to live parents, give it an entry point: docs/policies.md.
"""

import tempfile
from pathlib import Path

from sor.lab.plan import Plan, synthetic_ground
from sor.lab.replay import Replayer
from sor.market import Trust
from sor.params import Params, ParamStore
from sor.plugins import Plugins
from sor.policy import Decision, Rest, Take
from sor.pricing import collar_ticks, nearer_ticks
from sor.reasons import TimeoutBound
from sor.revisit import Revisit
from sor.snapshot import View
from sor.units import NS

PATIENCE_NS = 2 * NS


class JoinThenCross:
    """Joins the touch for two seconds, then takes."""

    name = "join_then_cross"
    needs = ("placement.collar_bps",)

    def decide(self, view: View, params: Params) -> Decision:
        """Pure: everything it knows is in `view`, and a restart decides the same."""
        market = view.market
        if market.trust is not Trust.OK or not market.bids or not market.asks:
            return Decision(placements=(), revisit=Revisit(), reason="no_book")
        if view.resting:
            kept = tuple(
                Rest(one.venue, one.leaves_lots, one.price_ticks, one.expire_ns, TimeoutBound.FIXED)
                for one in view.resting
            )
            return Decision(placements=kept, revisit=Revisit(), reason="keep")
        if view.timeouts:
            touch = market.ladder(view.side)[0][0]
            collar = collar_ticks(view.side, touch_ticks=touch, collar_bps=params["placement.collar_bps"])
            take = Take(market.venue, view.open_lots, nearer_ticks(view.side, collar, view.limit_ticks))
            return Decision(placements=(take,), revisit=Revisit(), reason="patience_over")
        near = nearer_ticks(view.side, market.ladder(view.side.opposite)[0][0], view.limit_ticks)
        rest = Rest(market.venue, view.open_lots, near, view.now_ns + PATIENCE_NS, TimeoutBound.FIXED)
        return Decision(placements=(rest,), revisit=Revisit(), reason="join")


def main(runs: Path) -> None:
    """Fifty parents under each policy, and what they cost."""
    plugins = Plugins.installed()
    plan = Plan(policies=("cross", JoinThenCross.name), parents=50, seed=3)
    ground = synthetic_ground(plan, start_ns=1_767_225_600 * NS, spacing_s=10.0)
    comparison = Replayer(
        plan,
        ground,
        open_venue=plugins.venue("simulated"),
        policies={**plugins.policies, JoinThenCross.name: JoinThenCross()},
        schedules=plugins.schedules,
        sets={plan.param_set: ParamStore().get(plan.param_set, now_ns=ground.first_ns)},
        runs=runs,
    ).run(progress=lambda policy, ended: None)
    for outcome in comparison.outcomes:
        found, cost = outcome.summary, outcome.cost
        assert cost is not None
        interval = "no interval" if cost.low is None else f"{cost.low:+.3f} to {cost.high:+.3f}"
        print(f"{outcome.policy:16} {cost.mean:+.3f} bps ({interval}), {found.passive_share:.0%} passive")
        assert outcome.verdict.overfills == outcome.verdict.orphans == outcome.verdict.double_fills == 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(Path(directory))
