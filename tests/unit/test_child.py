"""One order: what it counts, what it holds, and what it is called."""

import pytest

from sor.child import Child, Happened, Life, Pending
from sor.commands import Alarm
from sor.orders import ExecType, ExecutionReport, OrdStatus, RejectKind, Side
from sor.units import NS
from tests.fakes.bench import A, Bench, parent_order
from tests.fakes.policies import Wanting, decision, rest


def resting(side: Side = Side.BUY, *, asked_lots: int = 60) -> tuple[Bench, Child]:
    """An order of 60 that has just been sent, for a parent of so many."""
    wanting = Wanting()
    order = parent_order(side=side, lots=asked_lots)
    price = 9_999 if side is Side.BUY else 10_001
    wanting.wishes[order.parent_id] = lambda view: decision(rest(A, 60, price, until_ns=view.now_ns + 50 * NS))
    bench = Bench(wanting)
    return bench, bench.submit(order).children[0]


def test_every_execution_counts_once() -> None:
    bench, child = resting()
    for exec_id in ("x1", "x2", "x1", "x1", "x2"):
        bench.trade(child, 10, 9_999, exec_id=exec_id)
    assert (child.counted_lots, child.sum_lots, len(child.trades)) == (20, 20, 2)


def test_a_stated_total_is_a_floor_until_the_trades_explain_it() -> None:
    bench, child = resting()
    bench.trade(child, 10, 9_999, exec_id="x1")
    bench.report(child, ExecType.STATUS, status=OrdStatus.PARTIALLY_FILLED, cum=30)
    assert (child.counted_lots, child.sum_lots, child.leaves_lots) == (30, 10, 30)
    bench.trade(child, 15, 9_999, exec_id="x2")
    assert child.counted_lots == 30  # one of those that the total has counted
    bench.trade(child, 15, 9_999, exec_id="x3")
    assert child.counted_lots == 40
    bench.report(child, ExecType.STATUS, status=OrdStatus.PARTIALLY_FILLED, cum=20)
    assert child.counted_lots == 40  # an older answer


def test_the_total_within_a_trade_is_not_a_floor() -> None:
    bench, child = resting()
    bench.trade(child, 10, 9_999, exec_id="x2", cum=30)  # x1, of 20, is still on its way
    assert child.counted_lots == 10
    bench.trade(child, 20, 9_999, exec_id="x1", cum=20)
    assert child.counted_lots == 30


def test_both_quantities_and_the_bolder_price_are_held_while_an_amend_is_open() -> None:
    for side, bolder in ((Side.BUY, 10_000), (Side.SELL, 9_990)):
        bench, child = resting(side)
        bench.ack(child)
        child.reserve_amend(qty_lots=40, price_ticks=9_990 if side is Side.SELL else 10_000)
        assert (child.leaves_lots, child.boldest_ticks, child.status) == (60, bolder, OrdStatus.PENDING_REPLACE)
        child.replace(qty_lots=40, price_ticks=9_995)
        assert (child.leaves_lots, child.boldest_ticks) == (40, 9_995)


def test_an_amend_that_cannot_be_settled_holds_both_and_must_go() -> None:
    bench, child = resting()
    bench.ack(child)
    child.reserve_amend(qty_lots=80, price_ticks=9_998)
    child.give_up_amend()
    assert (child.leaves_lots, child.qty_lots, child.cancel_wanted, child.pending) == (80, 60, True, Pending.NONE)


@pytest.mark.parametrize(("filled", "over"), [(61, 0), (80, 0), (81, 1)])
@pytest.mark.parametrize("given_up", [False, True])
def test_a_fill_beyond_the_old_quantity_says_that_the_amend_is_in_force(filled: int, over: int, given_up: bool) -> None:
    bench, child = resting(asked_lots=100)
    bench.ack(child)
    child.reserve_amend(qty_lots=80, price_ticks=9_998)
    if given_up:
        child.give_up_amend()
    wishes = bench.trade(child, filled, 9_998)
    assert (child.qty_lots, child.price_ticks, child.over_lots) == (80, 9_998, over)
    assert child.pending is not Pending.AMEND
    assert child.no_amend
    # What is left goes: its policy wants another price, and it may not be asked to amend again.
    assert child.status is (OrdStatus.FILLED if filled >= 80 else OrdStatus.PENDING_CANCEL)
    assert any(isinstance(wish, Alarm) for wish in wishes) is (over > 0)
    # Its own answer comes late, and says nothing new.
    bench.report(child, ExecType.REPLACED, order_lots=80, price_ticks=9_998)
    assert (child.qty_lots, child.leaves_lots, child.over_lots) == (80, max(0, 80 - filled), over)


@pytest.mark.parametrize(
    ("life", "pending", "counted", "status"),
    [
        (Life.PENDING_NEW, Pending.NONE, 0, OrdStatus.PENDING_NEW),
        (Life.LIVE, Pending.NONE, 0, OrdStatus.NEW),
        (Life.LIVE, Pending.NONE, 10, OrdStatus.PARTIALLY_FILLED),
        (Life.LIVE, Pending.CANCEL, 10, OrdStatus.PENDING_CANCEL),
        (Life.LIVE, Pending.AMEND, 10, OrdStatus.PENDING_REPLACE),
        (Life.IN_DOUBT, Pending.CANCEL, 10, OrdStatus.IN_DOUBT),
        (Life.ABSENT, Pending.NONE, 0, OrdStatus.CANCELED),
        (Life.DONE, Pending.NONE, 10, OrdStatus.EXPIRED),
        (Life.DONE, Pending.NONE, 60, OrdStatus.FILLED),
    ],
)
def test_the_status_is_computed(life: Life, pending: Pending, counted: int, status: OrdStatus) -> None:
    _, child = resting()
    child.life, child.pending, child.counted_lots = life, pending, counted
    if status is OrdStatus.EXPIRED:
        child.status_hint = status
    assert child.status is status


def test_an_end_keeps_its_name() -> None:
    bench, child = resting()
    bench.report(child, ExecType.EXPIRED, cum=0)
    bench.report(child, ExecType.CANCELED, cum=0)
    bench.report(child, ExecType.REJECTED, reject=RejectKind.OTHER)
    assert (child.life, child.status, child.reject, child.absorbed) == (Life.DONE, OrdStatus.EXPIRED, None, 2)


def test_the_fee_of_a_known_trade_may_come_later_and_only_once() -> None:
    bench, child = resting()
    bench.trade(child, 10, 9_999, exec_id="x1")
    for fee in (None, 7, 9):
        bench.report(child, ExecType.TRADE, lots=10, ticks=9_999, exec_id="x1", fee_atoms=fee)
    trades: list[tuple[ExecutionReport, int]] = child.trades
    assert [report.fee_atoms for report, _ in trades] == [7]
    assert child.counted_lots == 10


def test_hearing_of_an_order_rules_out_that_it_never_arrived() -> None:
    for happened in (Happened.ACCEPTED, Happened.SEEN_OPEN, Happened.TRADE):
        _, child = resting()
        child.apply(happened)
        assert child.heard, happened
    for happened in (Happened.SILENT, Happened.CANCEL_UNKNOWN, Happened.NOT_FOUND, Happened.CANCEL_REFUSED):
        _, child = resting()
        child.apply(happened)
        assert not child.heard, happened
