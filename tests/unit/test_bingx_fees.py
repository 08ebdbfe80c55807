"""Fees that are owed while BingX lets nobody ask: they are asked for when it does again (F2)."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from sor.adapter import NewOrder, OrderRef, RecalledOrder
from sor.orders import ExecType, ExecutionReport, FeeSource, OrdStatus, Side
from tests.fakes.bingx_rig import Ear, Rig
from venues.bingx.order_desk import HISTORY_NS

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = await Rig(tmp_path).connect()
    yield rig
    await rig.wait(rig.venue.disconnect())


def settled(rig: Rig) -> list[FeeSource | None]:
    reports = [one for one in rig.ear.reports if isinstance(one, ExecutionReport)]
    return [one.fee_source for one in reports if one.exec_type is ExecType.TRADE]


async def test_a_fee_is_asked_for_again_when_a_rate_limit_is_over(rig: Rig) -> None:
    """Five minutes are longer than both lookups wait; they were never sent, so they are not used up."""
    rig.switch("push-drop")
    rig.switch("rate-limited=on=GET /openApi/swap/v2/trade/order,count=1")
    rig.venue.submit(rig.order())
    rig.run(60_000)
    assert settled(rig) == [None]
    before = rig.requests().count("GET /openApi/swap/v2/trade/order")
    assert before == 1
    rig.run(250_000)
    assert settled(rig) == [None, FeeSource.REST_SETTLED]
    assert rig.requests().count("GET /openApi/swap/v2/trade/order") == 1


def recalled(rig: Rig, order: NewOrder, *, end: OrdStatus | None) -> RecalledOrder:
    """What the journal of the process before has of an order: the fills that it was told."""
    reports = [one for one in rig.ear.reports if isinstance(one, ExecutionReport) and one.last_lots]
    return RecalledOrder(
        ref=OrderRef(cl_ord_id=order.cl_ord_id, symbol=order.symbol),
        side=order.side,
        qty_lots=order.qty_lots,
        price_ticks=order.price_ticks,
        is_maker=None,
        sent_ns=rig.time.now_ns(),
        end=end,
        fills=tuple(reports),
    )


async def another_process(rig: Rig, *orders: RecalledOrder) -> None:
    """The one before has gone."""
    await rig.wait(rig.venue.disconnect())
    rig.venue, rig.ear = rig.new_venue(), Ear()
    for order in orders:
        rig.venue.recall(order)
    await rig.connect()


@pytest.mark.parametrize("known", [True, False])
async def test_a_new_process_asks_for_the_fees_that_the_old_one_was_going_to_ask_for(rig: Rig, known: bool) -> None:
    rig.switch("push-drop")
    order = rig.order()
    rig.venue.submit(order)
    rig.run(1_000)
    (fill,) = [one for one in rig.ear.reports if isinstance(one, ExecutionReport) and one.last_lots]
    assert fill.fee_source is None
    before = recalled(rig, order, end=OrdStatus.FILLED)
    await another_process(rig, *([before] if known else []))
    rig.run(60_000)
    again = [one for one in rig.ear.reports if isinstance(one, ExecutionReport)]
    if not known:
        assert again == []
        return
    (settled_fill,) = again
    assert (settled_fill.exec_id, settled_fill.last_lots) == (fill.exec_id, fill.last_lots)
    assert settled_fill.fee_source is FeeSource.REST_SETTLED
    assert settled_fill.fee_atoms


async def test_what_filled_between_two_processes_is_told_as_a_fill_with_its_fee(rig: Rig) -> None:
    """Of an order that nobody recalls, only the total would be."""
    order = rig.resting()
    rig.venue.submit(order)
    rig.run(1_000)
    before = recalled(rig, order, end=None)
    await rig.wait(rig.venue.disconnect())
    pit = rig.app.exchange.pits["BTC-USDT"]
    pit.trade_as_crowd(Side.SELL, qty=Decimal(100), price=Decimal(order.price_ticks) / 10)
    await another_process(rig, before)
    rig.venue.query(before.ref)
    rig.run(60_000)
    fills = [one for one in rig.ear.reports if isinstance(one, ExecutionReport) and one.last_lots]
    assert [(one.last_lots, one.last_ticks) for one in fills][:1] == [(order.qty_lots, order.price_ticks)]
    assert {one.exec_id for one in fills} == {fills[0].exec_id}
    assert fills[-1].fee_source is FeeSource.REST_SETTLED


async def test_an_order_that_the_venue_has_forgotten_is_not_asked_for(rig: Rig) -> None:
    rig.switch("push-drop")
    order = rig.order()
    rig.venue.submit(order)
    rig.run(1_000)
    before = msgspec.structs.replace(
        recalled(rig, order, end=OrdStatus.FILLED), sent_ns=rig.time.now_ns() - HISTORY_NS - 1
    )
    await another_process(rig, before)
    rig.run(60_000)
    assert rig.requests().count("GET /openApi/swap/v2/trade/order") == 0
