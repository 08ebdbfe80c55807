"""What the core does beside orders: marks, foreign reports, decisions that are none, and when it wants to come back."""

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from sor.commands import Alarm, Decided, EndMark, MarkAt, WakeAt, Watch
from sor.decide import decide
from sor.events import EndMarked, Looked, Marked, Reported, Woke
from sor.ids import ClOrdId, ExecId, ParentId, VenueName
from sor.market import Trust
from sor.orders import ExecType, ExecutionReport, OrdStatus, ParentStatus, RejectKind
from sor.policy import POLICY_FAULT, Decision, Due, Rest, Take
from sor.reasons import EndReason, TimeoutBound
from sor.revisit import Revisit, Trigger
from sor.snapshot import Cause, View
from sor.units import MS, NS
from tests.fakes.bench import BTC, START_NS, A, Bench, book, decided, outward, parent_order
from tests.fakes.policies import Immediate, ScriptedPolicy, Wanting, decision, rest, take

P1 = ParentId("P1")


def bench_of(wish: Callable[[View], Decision]) -> Bench:
    wanting = Wanting()
    wanting.wishes[P1] = wish
    return Bench(wanting)


def test_a_fill_is_to_be_marked_out_and_an_unfilled_end_too() -> None:
    bench = bench_of(lambda view: decision(rest(A, 60, 9_999, until_ns=view.now_ns + 30 * NS)))
    parent = bench.submit(parent_order(deadline_s=40.0))
    made = bench.trade(parent.children[0], 10, 9_999, exec_id="x1")
    assert [wish for wish in made if isinstance(wish, MarkAt)] == [MarkAt(1, ExecId("x1"), bench.now_ns)]
    for mid in (20_004, 0):
        bench.post(Marked(now_ns=bench.now_ns, parent_no=1, exec_id=ExecId("x1"), horizon_ns=NS, mid_hticks=mid))
    assert parent.markouts == [("x1", NS, 20_004)]  # an unknown mid is no mark
    bench.run_for(30 * NS)
    bench.canceled(parent.children[0], 10)
    bench.market = book(bids=((9_990, 5),))
    bench.run_for(11 * NS)
    for child in parent.open_children.copy():
        bench.canceled(child, child.counted_lots)
    assert parent.status is ParentStatus.EXPIRED
    assert any(isinstance(fact, EndMarked) for fact, _ in bench.turns)
    assert parent.end_market is not None
    assert parent.end_market.bids == ((9_990, 5),)


def test_what_is_wanted_in_another_order_stays_where_it_is() -> None:
    sizes = [(30, 50), (50, 30)]

    def wish(view: View) -> Decision:
        turn = sizes[min(len(view.resting), 1)]
        return decision(*[rest(A, lots, 9_999, until_ns=view.deadline_ns) for lots in turn])

    bench = bench_of(wish)
    parent = bench.submit(parent_order())
    for child in tuple(parent.open_children):
        bench.ack(child)
    assert [child.leaves_lots for child in parent.open_children] == [30, 50]
    bench.wake_by_market(parent)
    assert [(child.leaves_lots, child.cancel_wanted) for child in parent.open_children] == [(30, False), (50, False)]


def test_a_complete_parent_needs_no_mark_at_its_end() -> None:
    bench = bench_of(lambda view: decision(take(A, 100, 10_001)))
    parent = bench.submit(parent_order())
    made = bench.trade(parent.children[0], 100, 10_001)
    assert parent.ended
    assert not any(isinstance(wish, EndMark) for wish in made)


@pytest.mark.parametrize("terms", [{"cl_ord_id": ClOrdId("web-17")}, {"venue": VenueName("moon")}])
def test_other_peoples_orders_are_not_touched(terms: dict[str, object]) -> None:
    bench = bench_of(lambda view: decision(take(A, 100, 10_001)))
    child = bench.submit(parent_order()).children[0]
    report = ExecutionReport(
        venue=A,
        symbol=BTC,
        cl_ord_id=child.order.cl_ord_id,
        exec_type=ExecType.TRADE,
        exec_id=ExecId("x"),
        last_lots=5,
        last_ticks=10_001,
    )
    foreign = msgspec.structs.replace(report, **terms)
    assert bench.post(Reported(now_ns=bench.now_ns, report=foreign, mid_hticks=0)) == []
    assert (bench.core.foreign.reports, child.counted_lots) == (1, 0)


# --- decisions that are none ----------------------------------------------------------------------------------------


def nonsense(answer: object) -> Callable[[View], Decision]:
    return lambda view: answer  # type: ignore[return-value]


BAD_REST = Rest(A, 10.5, 9_999, 0, TimeoutBound.FIXED)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (None, "ValidationError"),
        ("rest", "ValidationError"),
        (decision(BAD_REST), "Expected `int`, got `float`"),
        (decision(reason=7), "Expected `str`, got `int`"),  # type: ignore[arg-type]
        (decision(revisit=Revisit(triggers=(Trigger("moon_phase", above=True, level=1.0),))), "'moon_phase'"),
        (decision(revisit=object()), "cannot hold a object"),  # type: ignore[arg-type]
    ],
)
def test_nonsense_ends_the_parent_and_nobody_else(answer: object, says: str) -> None:
    bench = bench_of(nonsense(answer))
    parent = bench.submit(parent_order())
    other = bench.submit(parent_order("P2"))
    assert (parent.status, parent.end_reason) == (ParentStatus.CANCELED, EndReason.POLICY_FAULT)
    assert says in parent.end_text
    assert other.status is ParentStatus.WORKING
    alarms = [wish for _, wishes in bench.turns for wish in wishes if isinstance(wish, Alarm)]
    assert [(alarm.parent_no, alarm.halts) for alarm in alarms] == [(1, False)]
    records = [record for _, wishes in bench.turns for record in decided(wishes) if record.parent_no == 1]
    assert [record.decision.reason for record in records] == [POLICY_FAULT]


def test_numpy_numbers_become_plain_ones() -> None:
    made = Decision(
        placements=(Rest(A, np.int64(10), np.int32(9_999), np.int64(10**18), TimeoutBound.FIXED),),  # type: ignore[arg-type]
        revisit=Revisit(),
        reason="numpy",
        inputs=(("x", np.float64(1.5)),),
        memory={"y": np.float32(0.5)},  # type: ignore[dict-item]
    )
    bench = bench_of(lambda view: msgspec.structs.replace(made))
    parent = bench.submit(parent_order())
    record = next(record for _, wishes in bench.turns for record in decided(wishes))
    assert type(record.decision.inputs[0][1]) is float
    assert {type(value) for value in parent.memory.values()} == {float}
    order = parent.children[0].order
    assert (type(order.qty_lots), type(order.price_ticks)) == (int, int)


class Odd(Immediate):
    """Answers what it was given."""

    def __init__(self, answer: object) -> None:
        self._answer = answer

    def due(self, **asked: object) -> Due:
        return self._answer  # type: ignore[return-value]


@pytest.mark.parametrize("answer", [None, Due("many", 0, None), Due(1, 0, "soon")])  # type: ignore[arg-type]
def test_a_schedule_that_talks_nonsense_ends_its_parent(answer: object) -> None:
    bench = Bench(Wanting(), schedules={"immediate": Odd(answer)})
    parent = bench.submit(parent_order())
    assert (parent.status, parent.end_reason) == (ParentStatus.CANCELED, EndReason.POLICY_FAULT)
    assert parent.end_text.startswith("schedule 'immediate' raised")


def test_a_schedule_that_wants_less_than_nothing_places_nothing() -> None:
    bench = Bench(decide, schedules={"immediate": Odd(Due(-5, 0, None))})
    bench.policies = {"scripted": ScriptedPolicy([decision(take(A, 10, 10_001))])}
    parent = bench.submit(parent_order())
    assert (parent.children, parent.status) == ([], ParentStatus.WORKING)


# --- when it wants to come back ---------------------------------------------------------------------------------------


def test_one_wake_up_a_parent_the_earliest_and_only_when_it_changes() -> None:
    bench = bench_of(lambda view: decision(rest(A, 100, 9_999, until_ns=view.now_ns + 30 * NS)))
    start = bench.now_ns
    parent = bench.submit(parent_order())
    wakes = [wish for _, wishes in bench.turns for wish in wishes if isinstance(wish, WakeAt)]
    assert wakes[-1] == WakeAt(1, start + NS)  # the answer to the order would be overdue
    assert [wish for wish in bench.ack(parent.children[0]) if isinstance(wish, WakeAt)] == [
        WakeAt(1, start + 3_000_000_001)  # the book would be stale
    ]
    assert bench.ack(parent.children[0]) == []
    bench.trade(parent.children[0], 100, 9_999)
    assert bench.wakes[1] == 0


def test_a_wake_up_that_comes_too_early_or_for_nothing_does_nothing() -> None:
    bench = bench_of(lambda view: decision(rest(A, 100, 9_999, until_ns=view.now_ns + 30 * NS)))
    parent = bench.submit(parent_order())
    bench.ack(parent.children[0])
    made = bench.post(Woke(now_ns=bench.now_ns, parent_no=1, market=False))
    assert outward(made) == []
    bench.trade(parent.children[0], 100, 9_999)
    for market in (True, False):
        assert bench.post(Woke(now_ns=bench.now_ns, parent_no=1, market=market)) == []


def test_a_watch_is_withdrawn_when_its_parent_ends() -> None:
    bench = bench_of(
        lambda view: decision(rest(A, 100, 9_999, until_ns=view.now_ns + 30 * NS), revisit=Revisit(best_moved_ticks=2))
    )
    parent = bench.submit(parent_order())
    watch = bench.watched[1]
    assert watch.revisit is not None
    assert watch.revisit.best_moved_ticks == 2
    bench.ack(parent.children[0])
    bench.trade(parent.children[0], 100, 9_999)
    assert bench.watched[1] == Watch(1, None, None)


def test_a_waiting_parent_looks_again_and_is_told_by_the_market() -> None:
    bench = bench_of(lambda view: decision(take(A, 100, 10_001)))
    bench.market = book((), (), trust=Trust.EMPTY)
    parent = bench.submit(parent_order())
    assert (parent.status, bench.wakes[1]) == (ParentStatus.WAITING, bench.now_ns + 250 * MS)
    assert bench.watched[1].revisit is not None
    bench.market = book()
    bench.wake_by_market(parent)
    assert (parent.status, parent.arrival_hticks, len(parent.children)) == (ParentStatus.WORKING, 20_000, 1)


def test_why_a_policy_is_asked() -> None:
    wanting = Wanting()
    wanting.wishes[P1] = lambda view: decision(rest(A, view.open_lots, 9_999, until_ns=view.now_ns + 2 * NS))
    bench = Bench(wanting)
    parent = bench.submit(parent_order(deadline_s=10.0))
    bench.ack(parent.children[0])
    bench.trade(parent.children[0], 10, 9_999)
    bench.run_for(2 * NS)
    bench.canceled(parent.children[0], 10)
    bench.report(parent.children[1], ExecType.REJECTED)
    bench.run_for(200 * MS)
    bench.ack(parent.children[2])
    bench.wake_by_market(parent)
    assert [view.cause for _, view in wanting.asked] == [
        Cause.START,
        Cause.FILL,
        Cause.TIMEOUT,
        Cause.ORDER_EVENT,
        Cause.REVISIT,
    ]
    assert [view.timeouts for _, view in wanting.asked] == [0, 0, 1, 1, 1]
    assert [order.status for order in parent.children[:2]] == [OrdStatus.CANCELED, OrdStatus.REJECTED]


def test_a_crossing_is_recorded_as_the_machines_own_and_as_a_fallback() -> None:
    bench = bench_of(lambda view: decision(rest(A, view.open_lots, 9_999, until_ns=view.now_ns + 60 * NS)))
    parent = bench.submit(parent_order(deadline_s=2.0))
    bench.ack(parent.children[0])
    bench.run_for(1_500 * MS)
    bench.canceled(parent.children[0], 0)
    records: list[Decided] = [record for _, wishes in bench.turns for record in decided(wishes)]
    assert [(record.by, record.fallback, record.cause) for record in records] == [
        ("scripted", False, Cause.START),
        ("deadline", True, Cause.DEADLINE),
    ]
    assert records[1].decision.placements == (Take(A, 100, 10_051),)


def test_only_parents_at_work_are_gone_through() -> None:
    """Also one that has ended, while an order of it that was refused turns out to be alive."""
    wanting = Wanting()
    wanting.wishes[ParentId("P1")] = lambda view: decision(take(A, 100, 10_001))
    world = Bench(wanting)
    parent = world.submit(parent_order())
    (child,) = parent.children
    assert list(world.core.parents.at_work.values()) == [parent]
    world.report(child, ExecType.REJECTED, reject=RejectKind.NOTHING_TO_REDUCE)
    assert (parent.ended, parent.market, world.core.parents.at_work) == (True, None, {})
    world.ack(child)
    assert list(world.core.parents.at_work.values()) == [parent]
    world.canceled(child, cum=0)
    assert world.core.parents.at_work == {}


def test_who_waits_for_its_market_looks_ever_less_often() -> None:
    """Each look is a record: four a second would be a third of a million a day for each parent."""
    world = Bench(Wanting())
    world.market = book((), (), trust=Trust.EMPTY)
    world.submit(parent_order(deadline_s=7_200.0))
    world.run_for(3_600 * NS)
    looks = [fact.now_ns - START_NS for fact, _ in world.turns if isinstance(fact, Looked)]
    assert looks[:3] == [0, NS // 4, NS // 2]
    assert looks[-1] - looks[-2] == 10 * NS
    assert len(looks) < 400
