"""Which orders an adapter is told of again at a start: those of which something is to come, and nothing else."""

from __future__ import annotations

import msgspec
import pytest

from sor.child import Child
from sor.events import Reported
from sor.ids import ParentId, VenueName
from sor.orders import ExecType, FeeSource, OrdStatus
from sor.recall import recalled
from tests.fakes.bench import A, Bench, parent_order
from tests.fakes.policies import Wanting, decision, take


@pytest.fixture
def bench() -> Bench:
    wanting = Wanting()
    wanting.wishes[ParentId("P1")] = lambda view: decision(take(A, view.open_lots, 10_005))
    bench = Bench(wanting)
    bench.submit(parent_order(lots=100))
    return bench


def order_of(bench: Bench) -> Child:
    (parent,) = bench.core.parents
    return parent.children[0]


def settle(bench: Bench, child: Child, fee_atoms: int) -> None:
    """The last fill is told again, with its fee."""
    trade = msgspec.structs.replace(
        child.trades[-1][0], fee_atoms=fee_atoms, fee_asset="USDT", fee_source=FeeSource.REST_SETTLED
    )
    bench.post(Reported(now_ns=bench.now_ns, report=trade, mid_hticks=0))


def test_an_order_that_may_be_open_is_recalled_with_its_fills(bench: Bench) -> None:
    child = order_of(bench)
    bench.ack(child)
    bench.trade(child, 40, 10_001, cum=40)
    (order,) = recalled(bench.core, A)
    assert (order.ref.cl_ord_id, order.ref.venue_order_id) == (child.order.cl_ord_id, "v-1")
    assert (order.side, order.qty_lots, order.is_maker, order.end) == (child.order.side, 100, False, None)
    assert [(fill.last_lots, fill.last_ticks, fill.fee_atoms) for fill in order.fills] == [(40, 10_001, None)]


def test_an_order_that_has_ended_is_recalled_until_its_fees_are_settled(bench: Bench) -> None:
    child = order_of(bench)
    bench.trade(child, 100, 10_001, cum=100)
    (order,) = recalled(bench.core, A)
    assert (order.end, [fill.last_lots for fill in order.fills]) == (OrdStatus.FILLED, [100])
    settle(bench, child, 50)
    assert list(recalled(bench.core, A)) == []


def test_an_order_whose_total_says_more_than_its_fills_is_not_recalled(bench: Bench) -> None:
    child = order_of(bench)
    bench.ack(child)
    bench.trade(child, 40, 10_001, cum=40)
    bench.report(child, ExecType.CANCELED, cum=60)
    assert child.order.cl_ord_id not in {order.ref.cl_ord_id for order in recalled(bench.core, A)}


def test_nothing_is_recalled_of_another_venue(bench: Bench) -> None:
    bench.ack(order_of(bench))
    assert list(recalled(bench.core, VenueName("other"))) == []
