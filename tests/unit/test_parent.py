"""The ledger: every movement of lots, and the equation after it."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from sor.adapter import NewOrder
from sor.child import Child, Life
from sor.ids import ClOrdId
from sor.orders import OrdType, ParentStatus, Side
from sor.parent import Ledger, Parent, ParentEvent
from tests.fakes.bench import BTC, BTC_A, START_NS, A, parent_order


def child_of(lots: int) -> Child:
    order = NewOrder(cl_ord_id=ClOrdId("c"), symbol=BTC, side=Side.BUY, ord_type=OrdType.LIMIT, qty_lots=lots)
    return Child(
        parent_no=1,
        child_no=1,
        venue=A,
        order=order,
        sent_ns=START_NS,
        expire_ns=0,
        mid_hticks=0,
        mark_ticks=None,
    )


def columns(ledger: Ledger) -> tuple[int, int, int, int, int, int]:
    """order, over, cum, working, in doubt, free."""
    return (
        ledger.order_lots,
        ledger.over_lots,
        ledger.cum_lots,
        ledger.working_lots,
        ledger.in_doubt_lots,
        ledger.free_lots,
    )


def test_lots_move_from_free_to_working_to_doubt_to_filled_and_back() -> None:
    ledger, child = Ledger(100), child_of(60)
    ledger.enter(child)
    assert columns(ledger) == (100, 0, 0, 60, 0, 40)
    child.life = Life.IN_DOUBT
    ledger.enter(child)
    assert columns(ledger) == (100, 0, 0, 0, 60, 40)
    child.counted_lots = 25
    ledger.enter(child)
    assert columns(ledger) == (100, 0, 25, 0, 35, 40)
    child.life = Life.DONE
    ledger.enter(child)
    assert columns(ledger) == (100, 0, 25, 0, 0, 75)
    ledger.enter(child)
    assert columns(ledger) == (100, 0, 25, 0, 0, 75)


def test_what_goes_beyond_is_over_and_is_paid_back_first() -> None:
    ledger, child, other = Ledger(100), child_of(60), child_of(40)
    ledger.enter(child)
    ledger.enter(other)
    child.counted_lots = 75
    ledger.enter(child)
    assert columns(ledger) == (100, 15, 75, 40, 0, 0)
    other.life = Life.DONE
    ledger.enter(other)
    assert columns(ledger) == (100, 0, 75, 0, 0, 25)


def test_an_order_shrinks_as_its_lots_come_back() -> None:
    ledger, child = Ledger(100), child_of(60)
    ledger.enter(child)
    ledger.resize(50)
    assert (columns(ledger), ledger.shrink_lots) == ((60, 0, 0, 60, 0, 0), 10)
    child.counted_lots = 45
    child.life = Life.DONE
    ledger.enter(child)
    assert (columns(ledger), ledger.shrink_lots) == ((50, 0, 45, 0, 0, 5), 0)


def test_an_order_grows_out_of_what_still_had_to_shrink_then_out_of_over() -> None:
    ledger, child = Ledger(100), child_of(100)
    ledger.enter(child)
    ledger.resize(40)
    assert (columns(ledger), ledger.shrink_lots) == ((100, 0, 0, 100, 0, 0), 60)
    ledger.resize(70)
    assert (columns(ledger), ledger.shrink_lots) == ((100, 0, 0, 100, 0, 0), 30)
    ledger.resize(110)
    assert (columns(ledger), ledger.shrink_lots) == ((110, 0, 0, 100, 0, 10), 0)
    child.counted_lots = 130
    ledger.enter(child)
    assert columns(ledger) == (110, 20, 130, 0, 0, 0)
    ledger.resize(140)
    assert columns(ledger) == (140, 0, 130, 0, 0, 10)


def test_the_equation_is_readable() -> None:
    assert repr(Ledger(7)) == "order 7 + over 0 == cum 0 + working 0 + in_doubt 0 + free 7"


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["fill", "doubt", "live", "done", "resize"]), st.integers(1, 80)),
        max_size=30,
    )
)
def test_the_equation_holds_whatever_happens(moves: list[tuple[int, str, int]]) -> None:
    ledger = Ledger(100)
    children = [child_of(40), child_of(30), child_of(30)]
    for child in children:
        ledger.enter(child)
    for no, move, lots in moves:
        child = children[no]
        if move == "resize":
            ledger.resize(max(lots, ledger.cum_lots))  # asserts the equation itself, as does every entry
            continue
        if move == "fill":
            child.counted_lots += lots
        else:
            child.life = {"doubt": Life.IN_DOUBT, "live": Life.LIVE, "done": Life.DONE}[move]
        ledger.enter(child)
        assert ledger.cum_lots == sum(one.counted_lots for one in children)
        assert ledger.working_lots + ledger.in_doubt_lots == sum(one.leaves_lots for one in children)


def test_a_parent_in_the_callers_words() -> None:
    order = parent_order(limit=Decimal(9_998), deadline_s=2.5, decision_price=Decimal("10000.5"))
    parent = Parent(no=1, order=order, intent=None, venue=A, instrument=BTC_A, set_name="baseline", now_ns=START_NS)
    assert (parent.limit_ticks, parent.deadline_ns - START_NS) == (9_998, 2_500_000_000)
    assert parent.decision_hticks == 20_001
    assert (parent.status, parent.active, parent.ended, parent.remaining_lots) == (
        ParentStatus.WAITING,
        True,
        False,
        100,
    )
    parent.apply(ParentEvent.STOP)
    assert (parent.status, parent.active, parent.ended) == (ParentStatus.STOPPING, False, False)
    assert parent.apply(ParentEvent.PAUSE) is parent.apply(ParentEvent.STOP)
    assert parent.absorbed == 2
