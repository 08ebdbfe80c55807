"""Parents that are over leave working memory (0018): what stays, what is late, and when nothing is left."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from sor.child import Child
from sor.commands import Alarm, Cancel, Query
from sor.decide import Recorded as RecordedDecisions
from sor.errors import CallerError
from sor.events import ArmStopped, Contradicted, ExperimentAdopted, Marked, Reading, Submitted
from sor.experiment.assigned import Assigned
from sor.ids import ClOrdId, ExecId, ParentId, VenueOrderId
from sor.intake import admit
from sor.orders import ExecType, OrdStatus, ParentStatus, PositionSide, RejectKind, Side
from sor.packed import LEFT_OUT, MADE_ANEW, PackedChild, PackedParent
from sor.parent import Parent
from sor.recall import recalled
from sor.records import record_of
from sor.recovery import fold
from sor.units import NS
from tests.fakes.bench import A, Bench, book, outward, parent_order
from tests.fakes.experiments import experiment_text
from tests.fakes.policies import Wanting, decision, rest, take

P1, P2 = ParentId("P1"), ParentId("P2")
KEEP_NS, FORGET_NS = 900 * NS, 86_400 * NS


def bench_of(*, retire_ns: int = KEEP_NS, forget_ns: int = FORGET_NS) -> Bench:
    """A bench whose parents take at once."""
    wanting = Wanting()
    for name in ("P1", "P2", "P3"):
        wanting.wishes[ParentId(name)] = lambda view: decision(take(A, view.open_lots, 10_000 + 5 * view.side))
    bench = Bench(wanting, retire_ns=retire_ns, forget_ns=forget_ns)
    bench.position(0)
    return bench


def filled(bench: Bench, name: str = "P1", *, side: Side = Side.BUY) -> ClOrdId:
    """A parent that has filled; its order's id. Nobody holds the parent."""
    (child,) = bench.submit(parent_order(name, side)).children
    bench.report(child, ExecType.NEW, venue_order_id=f"v-{name}")
    bench.trade(child, 40, 10_001, exec_id=f"{name}-a")
    bench.trade(child, 60, 10_002, exec_id=f"{name}-b")
    assert bench.core.by_id[ParentId(name)].status is ParentStatus.FILLED
    return child.order.cl_ord_id


def wait(bench: Bench, duration_ns: int) -> None:
    """Time passes; something else is heard of every so often."""
    bench.run_for(duration_ns)
    for _ in range(3):
        bench.down()
        bench.up()


def retired(bench: Bench) -> list[int]:
    return [*bench.core.parents.retired]


def position(bench: Bench) -> int:
    (own,) = bench.core.desk.books.values()
    return own.positions[PositionSide.BOTH]


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_every_field_is_packed_or_somebody_has_said_why_not() -> None:
    named = {*PackedParent.__struct_fields__, *LEFT_OUT, *MADE_ANEW}
    assert {*Parent.__slots__} - {"__weakref__"} - named == set()
    assert {*Child.__slots__} - {*PackedChild.__struct_fields__, *MADE_ANEW} == set()
    assert {*Parent.__slots__} > LEFT_OUT


def test_what_a_retired_parent_reports_is_what_it_reported() -> None:
    bench = bench_of()
    cl_ord_id = filled(bench)
    for exec_id in ("P1-a", "P1-b"):
        bench.post(Marked(now_ns=bench.now_ns, parent_no=1, exec_id=ExecId(exec_id), horizon_ns=NS, mid_hticks=20_004))
    before = record_of(bench.core.by_id[P1], bench.core)
    fields = {name: getattr(bench.core.by_id[P1].children[0], name) for name in Child.__slots__}
    wait(bench, KEEP_NS)
    assert (retired(bench), bench.core.parents.working, bench.core.desk.children) == ([1], {}, {})
    assert bench.core.desk.venues[A].orders == {}
    parent = bench.core.parents[0]
    assert record_of(parent, bench.core) == before
    assert len(before.fills) == len(before.markouts) == 2
    assert {name: getattr(parent.children[0], name) for name in Child.__slots__} == fields
    assert (bench.core.by_id[P1], [*bench.core.parents], len(bench.core.parents)) == (parent, [parent], 1)
    assert retired(bench) == [1]  # reading recalls nobody
    found = bench.core.desk.order(cl_ord_id)
    assert found is bench.core.desk.order_named(A, VenueOrderId("v-P1")) is parent.children[0]
    assert bench.core.desk.order(ClOrdId(f"{cl_ord_id[:-1]}x")) is None
    assert bench.core.desk.order_named(A, VenueOrderId("v-P2")) is None


def test_of_the_market_at_the_end_what_completing_it_takes_is_kept() -> None:
    bench = bench_of()
    bench.market = book(asks=((10_001, 30), (10_003, 60), (10_004, 80)))
    parent = bench.submit(parent_order(deadline_s=1.0))
    bench.report(parent.children[0], ExecType.CANCELED, cum=0)
    bench.run_for(2 * NS)
    while parent.open_children:
        bench.canceled(parent.open_children[0], 0)
    before = record_of(parent, bench.core)
    assert before.completion is not None
    wait(bench, KEEP_NS)
    del parent
    assert retired(bench) == [1]
    assert record_of(bench.core.parents[0], bench.core) == before


def test_the_same_order_again_is_the_same_parent_and_another_is_refused() -> None:
    bench = bench_of()
    filled(bench)
    wait(bench, KEEP_NS)
    assert retired(bench) == [1]
    known = admit(bench.core, parent_order())
    assert isinstance(known, Parent)
    assert (known.status, known.ledger.cum_lots) == (ParentStatus.FILLED, 100)
    with pytest.raises(CallerError, match="submitted before with other terms; nothing was sent"):
        admit(bench.core, parent_order(lots=99))


def test_the_id_of_a_forgotten_parent_never_trades_again() -> None:
    bench = bench_of(retire_ns=NS, forget_ns=NS)
    filled(bench)
    for _ in range(3):
        wait(bench, 2 * NS)
    assert len(bench.core.parents) == 0
    for _ in range(2):  # nor after a restart
        with pytest.raises(CallerError, match="ended too long ago to be remembered; nothing was sent"):
            admit(bench.core, parent_order())
        assert not isinstance(admit(bench.core, parent_order("P2")), Parent)
        bench.restart()


def test_whoever_holds_a_parent_sees_what_becomes_of_it() -> None:
    bench = bench_of()
    cl_ord_id = filled(bench)
    held = bench.core.parents[0]
    wait(bench, KEEP_NS)
    bench.report(cl_ord_id, ExecType.TRADE, lots=5, ticks=10_003, exec_id="late")
    assert held.ledger.cum_lots == 105
    assert bench.core.parents[0] is held


# --- when -------------------------------------------------------------------------------------------------------------


def test_it_stays_for_as_long_as_anything_is_heard_of_it() -> None:
    bench = bench_of()
    filled(bench)
    wait(bench, KEEP_NS - 1)
    bench.post(Marked(now_ns=bench.now_ns, parent_no=1, exec_id=ExecId("P1-a"), horizon_ns=NS, mid_hticks=20_004))
    wait(bench, KEEP_NS - 1)
    assert retired(bench) == []
    wait(bench, 1)
    assert retired(bench) == [1]


def refused(bench: Bench) -> ClOrdId:
    """A parent whose orders the venue has refused until it ended; the id of the first. Nobody holds the parent."""
    parent = bench.submit(parent_order())
    while not parent.ended:
        for child in parent.open_children.copy():
            bench.report(child, ExecType.REJECTED, reject=RejectKind.OTHER, text="no")
        bench.run_for(NS)
    return parent.children[0].order.cl_ord_id


def test_it_stays_while_an_order_of_it_is_alive_again() -> None:
    bench = bench_of()
    cl_ord_id = refused(bench)
    bench.report(cl_ord_id, ExecType.NEW)
    bench.wakes.clear()  # nobody looks after it, and so nothing is heard of it
    wait(bench, 3 * KEEP_NS)
    assert retired(bench) == []
    assert bench.core.parents[0].open_children
    bench.report(cl_ord_id, ExecType.CANCELED, cum=0)
    wait(bench, KEEP_NS - 1)
    assert retired(bench) == []
    wait(bench, 1)
    assert retired(bench) == [1]


def test_it_stays_while_the_venues_books_contradict_an_order_of_it() -> None:
    bench = bench_of()
    cl_ord_id = filled(bench)
    bench.post(Contradicted(now_ns=bench.now_ns, cl_ord_id=cl_ord_id, by=Reading.FILLS, text=""))
    wait(bench, 2 * KEEP_NS)
    assert retired(bench) == []
    bench.report(cl_ord_id, ExecType.STATUS, cum=100, status=OrdStatus.FILLED, asked=True)
    wait(bench, KEEP_NS)
    assert retired(bench) == [1]


def test_what_an_experiment_counts_on_is_not_forgotten_before_it_ends() -> None:
    bench = bench_of()
    text = experiment_text(("scripted", "baseline"), ("scripted", "baseline"))
    bench.post(ExperimentAdopted(now_ns=bench.now_ns, name="trial", digest="", text=text))
    given = Assigned(experiment="trial", digest="", arm="a", policy="scripted", param_set="baseline")
    bench.post(Submitted(now_ns=bench.now_ns, order=parent_order(), venue=A, assigned=given))
    bench.trade(bench.core.parents[0].children[0], 100, 10_001)
    filled(bench, "P2")
    wait(bench, KEEP_NS)
    wait(bench, FORGET_NS)
    assert retired(bench) == [1]
    bench.post(ArmStopped(now_ns=bench.now_ns, experiment="trial", arm="", guard="", text="enough"))
    wait(bench, FORGET_NS - 1)  # counted from when it would have been forgotten
    assert retired(bench) == [1]
    wait(bench, 1)
    assert retired(bench) == []


def test_without_a_time_nobody_leaves_and_a_later_session_may_give_one() -> None:
    bench = bench_of(retire_ns=0)
    filled(bench)
    wait(bench, 1_000 * FORGET_NS)
    assert retired(bench) == []
    bench._retire_ns = KEEP_NS
    bench.restart()
    bench.up()
    assert retired(bench) == [1]


def test_a_restart_retires_at_the_same_facts() -> None:
    bench = bench_of()
    filled(bench)
    wait(bench, KEEP_NS)
    filled(bench, "P2")
    bench.restart()  # folds the journal and sets it beside the core
    wait(bench, KEEP_NS)
    assert retired(bench) == [1, 2]
    bench.restart()
    assert retired(bench) == [1, 2]
    assert [*recalled(bench.core, A)] == []  # nobody asks for fees that were given up


# --- what is late -----------------------------------------------------------------------------------------------------


def test_a_late_fill_counts_once_moves_the_position_and_is_said() -> None:
    bench = bench_of()
    cl_ord_id = filled(bench)
    wait(bench, KEEP_NS)
    made = bench.report(cl_ord_id, ExecType.TRADE, lots=5, ticks=10_003, exec_id="late")
    alarms = [wish.text for wish in made if isinstance(wish, Alarm)]
    assert f"order {cl_ord_id} has filled 5 lots that nobody had told of when parent P1 was retired" in alarms[0]
    assert alarms[1] == f"order {cl_ord_id} was filled 5 lots beyond its quantity"
    assert (position(bench), retired(bench)) == (105, [])
    assert bench.report(cl_ord_id, ExecType.TRADE, lots=5, ticks=10_003, exec_id="late") == []
    wait(bench, KEEP_NS)
    assert retired(bench) == [1]
    for exec_id, lots, ticks in (("late", 5, 10_003), ("P1-a", 40, 10_001), ("P1-b", 60, 10_002)):
        assert outward(bench.report(cl_ord_id, ExecType.TRADE, lots=lots, ticks=ticks, exec_id=exec_id)) == []
    assert (position(bench), bench.core.parents[0].ledger.cum_lots) == (105, 105)
    bench.restart()
    assert bench.core.parents[0].ledger.cum_lots == 105


def test_a_late_fill_of_what_was_canceled_is_no_overfill() -> None:
    bench = bench_of()
    parent = bench.submit(parent_order(deadline_s=1.0))
    cl_ord_id = parent.children[0].order.cl_ord_id
    while not parent.ended:
        while parent.open_children:
            bench.canceled(parent.open_children[0], 0)
        bench.run_for(NS)
    del parent
    wait(bench, KEEP_NS)
    assert retired(bench) == [1]
    (said,) = outward(bench.trade(bench.core.parents[0].children[0], 30, 10_001))
    assert isinstance(said, Alarm)
    assert (said.halts, said.text.partition(" has filled ")[0]) == (False, f"order {cl_ord_id}")
    (late,) = outward(bench.report(cl_ord_id, ExecType.TRADE, lots=10, ticks=10_001, exec_id="later still"))
    assert isinstance(late, Alarm)
    ledger = bench.core.parents[0].ledger
    assert (ledger.cum_lots, ledger.free_lots, ledger.over_lots, position(bench)) == (40, 60, 0, 40)


def test_an_order_that_was_refused_and_lives_is_withdrawn_though_its_parent_is_retired() -> None:
    bench = bench_of()
    cl_ord_id = refused(bench)
    wait(bench, KEEP_NS)
    assert retired(bench) == [1]
    made = bench.report(cl_ord_id, ExecType.NEW)
    assert any(isinstance(wish, Alarm) and wish.halts for wish in made)
    assert any(isinstance(wish, Cancel) and wish.ref.cl_ord_id == cl_ord_id for wish in made)
    assert 1 in bench.core.parents.at_work


def test_what_the_books_say_of_a_retired_order_is_looked_up() -> None:
    bench = bench_of()
    cl_ord_id = filled(bench)
    wait(bench, KEEP_NS)
    made = bench.post(Contradicted(now_ns=bench.now_ns, cl_ord_id=cl_ord_id, by=Reading.FILLS, text=""))
    assert [wish.ref.cl_ord_id for wish in made if isinstance(wish, Query)] == [cl_ord_id]


# --- when nothing is left ---------------------------------------------------------------------------------------------


def test_what_is_forgotten_is_nobodys() -> None:
    bench = bench_of()
    cl_ord_id = filled(bench)
    wait(bench, KEEP_NS)
    wait(bench, FORGET_NS - 1)
    assert retired(bench) == [1]
    wait(bench, 1)
    core = bench.core
    assert (len(core.parents), [*core.parents], retired(bench), len(core.by_id)) == (0, [], [], 0)
    assert core.desk.venues[A].retired == {}
    assert (core.parents.get(1), core.desk.order(cl_ord_id), P1 in core.by_id) == (None, None, False)
    reports = core.foreign.reports
    assert bench.report(cl_ord_id, ExecType.TRADE, lots=5, ticks=10_003, exec_id="late") == []
    assert (core.foreign.reports, position(bench)) == (reports + 1, 100)
    bench.post(Marked(now_ns=bench.now_ns, parent_no=1, exec_id=ExecId("P1-a"), horizon_ns=NS, mid_hticks=20_004))
    assert bench.submit(parent_order("P2")).no == 2  # its number is not given again, nor its orders' ids
    bench.restart()


def test_whoever_reads_a_whole_journal_keeps_everything_whole() -> None:
    bench = bench_of()
    filled(bench)
    wait(bench, KEEP_NS)
    bench.report(ClOrdId("nobody"), ExecType.NEW)
    wait(bench, FORGET_NS)
    filled(bench, "P2", side=Side.SELL)
    assert len(bench.core.parents) == 1
    whole = fold(
        bench.journal,
        policies=bench.policies,
        schedules=bench.schedules,
        decisions=RecordedDecisions(),
        keep=True,
    )
    assert [parent.id for parent in whole.parents] == [P1, P2]
    assert (len(whole.parents), whole.by_id[P1].ledger.cum_lots) == (2, 100)
    arrival = whole.parents[0].arrival_market
    assert arrival is not None
    assert arrival.bids == bench.market.bids


def test_the_money_of_the_day_and_the_limits_do_not_notice() -> None:
    books = []
    for retire_ns in (0, 1):
        bench = bench_of(retire_ns=retire_ns, forget_ns=retire_ns)
        filled(bench)
        wait(bench, NS)
        filled(bench, "P2", side=Side.SELL)
        wait(bench, NS)
        wait(bench, NS)
        assert len(bench.core.parents) == (2 if not retire_ns else 0)
        (own,) = bench.core.desk.books.values()
        (pace,) = bench.core.desk.venues[A].paces.values()
        realised = own.realised[PositionSide.BOTH]
        window_ns = 3_600 * NS
        books.append(
            (
                *(realised.atoms, realised.net_lots, realised.today(bench.instrument, bench.now_ns)),
                *(pace.traded.within(window_ns, bench.now_ns), pace.withdrawn.within(window_ns, bench.now_ns)),
                own.positions,
            )
        )
    assert books[0] == books[1]
    assert books[0][2] < Decimal(0)


def test_an_order_of_another_session_with_the_same_numbers_is_not_its() -> None:
    bench = bench_of()
    cl_ord_id = filled(bench)
    wait(bench, KEEP_NS)
    codec = bench.capabilities.client_ids
    owned = codec.decode(cl_ord_id)
    assert owned is not None
    other = codec.encode(owned.epoch, owned.parent_no, owned.child_no, closing=owned.closing, session=9)
    assert bench.core.desk.order(other) is None
    bench.report(other, ExecType.TRADE, lots=5, ticks=10_003, exec_id="other")
    assert (retired(bench), position(bench)) == ([1], 100)


def test_resting_orders_are_packed_too() -> None:
    wanting = Wanting()
    wanting.wishes[P1] = lambda view: decision(rest(A, 100, 9_999, until_ns=view.now_ns + 30 * NS))
    bench = Bench(wanting, retire_ns=KEEP_NS)
    (child,) = bench.submit(parent_order()).children
    bench.ack(child)
    bench.trade(child, 100, 9_999)
    before = msgspec.structs.asdict(record_of(bench.core.parents[0], bench.core))
    del child
    wait(bench, KEEP_NS)
    assert retired(bench) == [1]
    assert msgspec.structs.asdict(record_of(bench.core.parents[0], bench.core)) == before
