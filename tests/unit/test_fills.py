"""What a fill cost, to the atom, and what is not known is absent."""

from decimal import Decimal

import msgspec

from sor.child import Child
from sor.events import Submitted
from sor.fills import fills_of
from sor.ids import ExecId, ParentId
from sor.instruments import Instrument
from sor.orders import (
    Action,
    ExecType,
    ExecutionReport,
    FeeSource,
    Fill,
    Intent,
    OrdStatus,
    ParentStatus,
    PositionSide,
    Provenance,
    Side,
)
from sor.parent import Parent
from sor.records import fills_of_parent, receipt_of
from sor.units import NS
from tests.fakes.bench import BTC_A, START_NS, A, Bench, book, parent_order
from tests.fakes.policies import Wanting, decision, rest, take

TENTHS = msgspec.structs.replace(BTC_A, tick_size=Decimal("0.1"), lot_size=Decimal("0.001"))
P1 = ParentId("P1")


def working(side: Side = Side.BUY, *, takes: bool = False, mark: float | None = 9_999.5) -> tuple[Bench, Parent, Child]:
    """An order of 100 lots that rests at 9_999 (or takes at up to 10_005) with the mark at 9_999.5 ticks."""
    wanting = Wanting()
    if takes:
        wanting.wishes[P1] = lambda view: decision(take(A, 100, 10_000 + 5 * view.side))
    else:
        price = 9_999 if side is Side.BUY else 10_001
        wanting.wishes[P1] = lambda view: decision(rest(A, 100, price, until_ns=view.now_ns + 30 * NS))
    bench = Bench(wanting, instrument=TENTHS)
    bench.market = book(mark=mark)
    parent = bench.submit(parent_order(side=side, quantity=Decimal("0.1")))
    return bench, parent, parent.children[0]


def only(child: Child, instrument: Instrument = TENTHS) -> Fill:
    (fill,) = fills_of(child, parent_id=P1, instrument=instrument)
    return fill


def test_a_maker_fill_with_its_estimated_fee() -> None:
    bench, _, child = working()
    bench.run_for(2 * NS)
    bench.report(child, ExecType.TRADE, lots=40, ticks=9_999, exec_id="x1", is_maker=True)
    # 0.040 at 999.9 is 39.996 USDT, of which 0.02 % are 0.0079992.
    assert only(child) == Fill(
        parent_id=P1,
        cl_ord_id=child.order.cl_ord_id,
        exec_id=ExecId("x1"),
        venue=A,
        symbol=BTC_A.symbol,
        side=Side.BUY,
        lots=40,
        ticks=9_999,
        recv_ns=START_NS + 2 * NS,
        submit_ns=START_NS,
        is_maker=True,
        fee_atoms=TENTHS.atoms(Decimal("0.0079992")),
        fee_asset="USDT",
        fee_source=FeeSource.ESTIMATED_MAKER,
        fee_estimated_atoms=TENTHS.atoms(Decimal("0.0079992")),
        mid_hticks=20_000,
        mark_at_submit_ticks=9_999.5,
        slippage_bps=10_000 * (9_999 - 9_999.5) / 9_999.5,
    )


def test_slippage_is_positive_when_adverse_on_both_sides() -> None:
    for side, ticks in ((Side.BUY, 10_003), (Side.SELL, 9_996)):
        bench, _, child = working(side, takes=True)
        bench.trade(child, 100, ticks)
        slippage = only(child).slippage_bps
        assert slippage is not None
        assert round(slippage, 6) == round(10_000 * 3.5 / 9_999.5, 6)


def test_without_a_mark_there_is_no_slippage() -> None:
    bench, _, child = working(mark=None)
    bench.trade(child, 10, 9_999)
    assert (only(child).slippage_bps, only(child).mark_at_submit_ticks) == (None, None)


def test_a_settled_fee_stands_beside_the_estimate_also_when_it_comes_later() -> None:
    for later in (False, True):
        bench, _, child = working(takes=True)
        if later:
            bench.trade(child, 100, 10_001, exec_id="x1")
            assert only(child).fee_source is FeeSource.ESTIMATED_TAKER
        bench.report(child, ExecType.TRADE, lots=100, ticks=10_001, exec_id="x1", fee_atoms=77)
        # 0.1 at 1000.1 is 100.01 USDT, of which 0.05 % are 0.050005.
        fill = only(child)
        assert (fill.fee_atoms, fill.fee_estimated_atoms) == (77, TENTHS.atoms(Decimal("0.050005")))
        assert child.counted_lots == 100


def test_what_only_the_total_proves_is_inferred_at_the_price_that_the_average_leaves() -> None:
    bench, _, child = working()
    bench.trade(child, 40, 9_999, exec_id="x1")
    # 100 at 9_996.6 on average, 40 of them at 9_999: the others made 9_995.
    bench.report(child, ExecType.STATUS, status=OrdStatus.FILLED, cum=100, avg_hticks=19_993)
    first, second = fills_of(child, parent_id=P1, instrument=TENTHS)
    assert (first.lots, first.ticks, first.inferred) == (40, 9_999, False)
    assert (second.lots, second.ticks, second.inferred) == (60, 9_995, True)
    bench.trade(child, 60, 9_995, exec_id="x2")
    assert [(fill.lots, fill.inferred) for fill in fills_of(child, parent_id=P1, instrument=TENTHS)] == [
        (40, False),
        (60, False),
    ]


def test_inferred_without_an_average_is_at_the_price_it_was_sent_with() -> None:
    bench, _, child = working()
    bench.report(child, ExecType.CANCELED, cum=30)
    assert (only(child).ticks, only(child).lots, only(child).inferred) == (9_999, 30, True)


def test_every_fill_of_a_parent_and_its_average() -> None:
    bench, parent, child = working()
    bench.trade(child, 40, 9_999, exec_id="x1")
    bench.trade(child, 60, 9_999, exec_id="x2")
    assert [fill.lots for fill in fills_of_parent(parent)] == [40, 60]
    assert parent.ended


def test_the_receipt_of_an_intent_has_the_exact_average_and_fee() -> None:
    wanting = Wanting()
    wanting.wishes[P1] = lambda view: decision(take(A, view.open_lots, 10_005))
    bench = Bench(wanting, instrument=TENTHS)
    intent = Intent(intent_id=P1, action=Action.ENTER, side=PositionSide.LONG, asset="BTC-USDT", size=Decimal("0.1"))
    order = parent_order(quantity=Decimal("0.1"))
    bench.post(Submitted(now_ns=bench.now_ns, order=order, venue=A, intent=intent))
    parent = bench.core.by_id[P1]
    child = parent.children[0]
    bench.trade(child, 40, 10_001)
    bench.trade(child, 60, 10_003)
    receipt = receipt_of(parent, intent, bench.core, now_ns=bench.now_ns)
    # 0.04 at 1000.1 and 0.06 at 1000.3: 100.022 USDT for 0.1, and 0.05 % of that.
    assert (receipt.status, receipt.quantity, receipt.price) == (
        ParentStatus.FILLED,
        Decimal("0.100"),
        Decimal("1000.22"),
    )
    assert (receipt.fee, receipt.fee_asset) == (Decimal("0.050011"), "USDT")
    assert receipt.cl_ord_ids == (child.order.cl_ord_id,)
    assert receipt.slippage_bps is None


def test_provenance_is_not_a_different_event() -> None:
    bench, _, child = working()
    bench.trade(child, 40, 9_999, exec_id="x1")
    known = child.trades[0][0]
    again: ExecutionReport = msgspec.structs.replace(known, provenance=Provenance.QUERY)
    child.count(again, 0)
    assert (child.counted_lots, len(child.trades)) == (40, 1)
