"""The lane of policies: what policies are shown, what is sent and what is filled, as behind the router itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from benchmarks import synthetic
from benchmarks.maker import Join
from policies.calm_market import CalmMarket
from policies.cost_aware import CostAware
from policies.cross import Cross
from policies.join_and_cross import JoinAndCross
from policies.maker_first import MakerFirst
from sor.cli.main import run
from sor.errors import CallerError
from sor.lab.plan import Start
from sor.lab.sweep import compiled as compiling
from sor.lab.sweep.compiled import INTERPRETED, Kernel, compiled
from sor.lab.sweep.ground import Ground
from sor.lab.sweep.kernel import BEYOND_FAULT, BEYOND_PLACE, BEYOND_TIE, BEYOND_TOGETHER, DONE, ENDED
from sor.lab.sweep.routed import Desk, Routed, Terms
from sor.params import Params, parse
from sor.policy import Decision, Policy, Rest
from sor.reasons import TimeoutBound
from sor.revisit import Revisit, Trigger
from sor.snapshot import View
from sor.tape import Tape, save_tape
from sor.units import MS
from tests.fakes.alone import Ran, Watched, order_of, param_text, run_alone
from tests.fakes.tape_script import Book, Print
from tests.unit.test_probes import a_market
from tests.unit.test_sweep import BUY, CALM, FEED_NS, SELL, starts_of, stretched


def both(
    tape: Tape,
    starts: tuple[Start, ...],
    policy: Policy,
    *,
    lots: int,
    deadline_s: float,
    queue: str = "moderate",
    latency_ns: int = 5 * MS,
    values: Mapping[str, str] = CALM,
    amends: bool = True,
    kernel: Kernel = INTERPRETED,
) -> tuple[Ran, list[Routed]]:
    """The parents behind the router and in the lane, held to each other wherever the lane has an answer."""
    ran = run_alone(
        tape,
        starts,
        lots=lots,
        deadline_s=deadline_s,
        queue=queue,
        latency_ns=latency_ns,
        feed_ns=FEED_NS,
        values=values,
        policy=policy,
        amends=amends,
    )
    watched = Watched(policy)
    desk = Desk(
        Ground(tape, kernel, feed_ns=FEED_NS),
        Terms(entry_ns=latency_ns, response_ns=latency_ns, shared=queue == "moderate", amends=amends),
        instrument=ran.instrument,
        param_set=parse(param_text(values), where="t"),
        policies={policy.name: watched},
    )
    found = []
    for at, start in enumerate(starts):
        order = order_of(start, ran.instrument, lots=lots, deadline_s=deadline_s, policy=policy.name)
        routed = desk.run(order, start.at_ns)
        found.append(routed)
        if routed.state in (DONE, ENDED):
            assert watched.views.get(order.parent_id, []) == ran.views[at], start
            assert list(routed.fills) == ran.fills[at], start
            assert (routed.orders, routed.amends, routed.cancels) == ran.sent[at], start
            assert routed.timeouts == ran.reports[at].timeouts, start
    return ran, found


POLICIES: tuple[Policy, ...] = (Join(2), MakerFirst(), CalmMarket(), JoinAndCross(), Cross())


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@pytest.mark.parametrize("seed", range(3))
def test_a_parent_does_what_it_does_behind_the_router(policy: Policy, seed: int) -> None:
    """Books that cross, lose a side and are replaced, many events at one instant, latency on and off their grid."""
    tape = stretched(a_market(seed, 600), 7)
    _, found = both(
        tape,
        starts_of(tape, 60, seed=seed, deadline_s=1.5),
        policy,
        lots=3,
        deadline_s=1.5,
        latency_ns=7 * MS if seed % 2 else 2_345_678,
        queue="moderate" if seed < 1 else "risk_averse",
        amends=seed < 2,
    )
    assert sum(one.state in (DONE, ENDED) for one in found) > 50
    assert sum(len(one.fills) for one in found) >= 60


def test_partial_fills_long_crossings_and_refusals_are_the_same() -> None:
    """Parents of many times the touch on a busy market: orders filled in parts while they are moved or withdrawn."""
    tape = synthetic.tape(synthetic.events(10_000))
    starts = starts_of(tape, 30, seed=3, deadline_s=3.0)
    for policy, amends in ((Join(40), True), (Join(40), False), (JoinAndCross(), True), (MakerFirst(), True)):
        ran, found = both(
            tape,
            starts,
            policy,
            lots=150,
            deadline_s=3.0,
            amends=amends,
            values={"placement.timeouts_max": "4", "placement.timeout_s_max": "0.2", "risk.orders_per_s_max": "1000"},
        )
        assert all(one.state in (DONE, ENDED) for one in found)
        assert sum(len(one.fills) for one in found) > 2 * len(starts)
        if policy.name == "join":
            assert sum(told.rejects for told in ran.reports) > 0 or amends
            assert sum(one.amends for one in found) > 50 or not amends
            assert sum(one.cancels for one in found) > 50 or amends


class Steps:
    """A third each at the best price and one and two ticks behind it, asked again by an imbalance and by the spread."""

    name = "steps"
    needs: tuple[str, ...] = ()

    def decide(self, view: View, params: Params) -> Decision:
        del params
        market, side = view.market, view.side
        best = market.ladder(side.opposite)[0][0]
        lots = max(1, view.open_lots // 3)
        shares = [lots, lots, view.open_lots - 2 * lots]
        rests = tuple(
            Rest(market.venue, share, best - side * behind, view.due_ns, TimeoutBound.NONE)
            for behind, share in enumerate(shares)
            if share > 0
        )
        triggers = (Trigger("imbalance", above=True, level=0.8), Trigger("spread_bps", above=False, level=9.0))
        return Decision(placements=rests, revisit=Revisit(None, 2, triggers), reason="steps")


class Queued(Steps):
    """Waits until nobody is ahead of it, which the lane does not have."""

    name = "queued"

    def decide(self, view: View, params: Params) -> Decision:
        made = super().decide(view, params)
        return msgspec.structs.replace(made, revisit=Revisit(queue_ahead_below_lots=1))


class Crowd(Steps):
    """An order for each lot, all at one price: more than the lane has room for."""

    name = "crowd"

    def decide(self, view: View, params: Params) -> Decision:
        first, *_ = super().decide(view, params).placements
        one = msgspec.structs.replace(first, qty_lots=1)
        return Decision(placements=(one,) * view.open_lots, revisit=Revisit(), reason="crowd")


class Broken(Steps):
    """Raises."""

    name = "broken"

    def decide(self, view: View, params: Params) -> Decision:
        raise ZeroDivisionError


@pytest.mark.parametrize("policy", [CostAware(), Steps()], ids=lambda policy: policy.name)
def test_places_in_the_queue_are_told_and_several_orders_may_rest(policy: Policy) -> None:
    tape = synthetic.tape(synthetic.events(12_000))
    _, found = both(
        tape,
        starts_of(tape, 20, seed=4, deadline_s=4.0),
        policy,
        lots=120,
        deadline_s=4.0,
        values={"risk.orders_per_s_max": "1000"},
    )
    assert all(one.state in (DONE, ENDED) for one in found)
    assert sum(one.orders for one in found) > 20
    assert sum(len(one.fills) for one in found) > 50


def test_a_place_behind_the_last_level_is_not_known_to_be_the_first() -> None:
    """Books of few levels: an order that rests deeper than all of them joins whatever is displayed there later."""
    tape = stretched(a_market(103, 600), 7)
    starts = starts_of(tape, 25, seed=103, deadline_s=1.5)
    ran, found = both(tape, starts, Steps(), lots=9, deadline_s=1.5, latency_ns=3 * MS, queue="risk_averse")
    assert all(one.state in (DONE, ENDED) for one in found)
    shown = [msgspec.convert(view["resting"], list[dict[str, object]]) for views in ran.views for view in views]
    ahead = [resting["ahead_lots"] for rests in shown for resting in rests]
    assert None in ahead
    assert len({lots for lots in ahead if lots}) > 5


@pytest.mark.parametrize(
    ("policy", "state"), [(Queued(), BEYOND_PLACE), (Crowd(), BEYOND_TOGETHER), (Broken(), BEYOND_FAULT)]
)
def test_what_the_lane_has_no_answer_for_is_named_and_the_next_parent_goes_on(policy: Policy, state: int) -> None:
    tape = synthetic.tape(synthetic.events(3_000))
    _, found = both(tape, starts_of(tape, 3, seed=5, deadline_s=1.0), policy, lots=30, deadline_s=1.0)
    assert [one.state for one in found] == [state] * 3


def test_a_fill_beside_something_else_is_a_tie() -> None:
    """We are filled at 500 ms, when we hear of a larger bid and wait for its next change: we hear of both at 505 ms."""
    events: list[Book | Print] = [
        Book(1, {999: 4}, {1001: 4}, snapshot=True),
        Book(495, {999: 8}, {}),
        Print(500, SELL, 999, 99),
        Book(500, {999: 2}, {}),
        Book(9_000, {996: 1}, {}),
    ]
    tape = stretched(events, 1)
    _, found = both(tape, (Start(1, 100 * MS, BUY),), Follow(), lots=3, deadline_s=2.0)
    assert found[0].state == BEYOND_TIE


class Follow(Steps):
    """All at the best bid of its first look, asked at every change of the imbalance."""

    name = "follow"

    def decide(self, view: View, params: Params) -> Decision:
        (first, *_) = super().decide(view, params).placements
        kept = msgspec.structs.replace(first, qty_lots=view.open_lots, price_ticks=999)
        assert view.market.features is not None
        seen = view.market.features.imbalance
        triggers = tuple(Trigger("imbalance", above=above, level=seen) for above in (True, False))
        return Decision(placements=(kept,), revisit=Revisit(None, None, triggers), reason="follow")


def test_delays_of_nothing_are_refused() -> None:
    tape = synthetic.tape(synthetic.events(3_000))
    with pytest.raises(CallerError, match="at least a nanosecond"):
        both(tape, starts_of(tape, 1, seed=5, deadline_s=0.1), Cross(), lots=1, deadline_s=0.1, latency_ns=0)


@pytest.mark.slow
def test_the_compiled_steps_do_what_the_interpreted_ones_do() -> None:
    pytest.importorskip("numba", reason="needs the extra `sweep`")
    tape = synthetic.tape(synthetic.events(6_000))
    starts = starts_of(tape, 20, seed=6, deadline_s=2.0)
    for policy in (Join(30), CostAware(), Cross()):
        one, other = (
            both(tape, starts, policy, lots=90, deadline_s=2.0, kernel=kernel)[1]
            for kernel in (INTERPRETED, compiled())
        )
        assert one == other


def test_the_command_compares_policies_as_a_replay_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compiling, "compiled", lambda: INTERPRETED)
    path = tmp_path / "made.tape"
    save_tape(synthetic.tape(synthetic.events(12_000)), path, findings=(), source=(), importer="test")
    terms = ["--policies", "maker_first,calm_market@baseline", "--parents", "15", "--deadline", "2s", "--qty", "0.02"]
    assert run(["sweep", str(path), *terms]) == 0
    assert "against the first" in capsys.readouterr().out
    assert run(["sweep", str(path), *terms, "--timeouts", "1s"]) == 2
    assert "either --timeouts or --policies" in capsys.readouterr().err
    assert run(["sweep", str(path), *terms, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["grid"]["timeouts_s"] == []
    found = document["found"]
    assert run(["replay", str(path), *terms, "--runs", str(tmp_path / "runs"), "--json"]) == 0
    replayed = json.loads(capsys.readouterr().out)["policies"]
    assert (found["parents"], found["beyond"]) == (15, {})
    for ours, theirs in zip(found["arms"], replayed, strict=True):
        assert ours["label"] == theirs["policy"]
        for name in ("mean", "low", "high"):
            assert ours["cost"][name] == pytest.approx(theirs["cost_bps"][name], abs=1e-9)
        assert ours["cost_p95"] == pytest.approx(theirs["cost_bps"]["p95"], abs=1e-9)
        assert ours["maker_share"] == pytest.approx(theirs["passive_share"])
