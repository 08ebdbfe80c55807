"""Paper trading under any market: its book is the router's own, and no order gets more than there was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sor.adapter import NewOrder, OrderRef
from sor.book import Book
from sor.ids import ClOrdId
from sor.market import BookReset, BookUpdate, Trust
from sor.orders import ExecType, OrdType, Side, Tif
from sor.sim.world import at_once
from sor.units import MS, NS
from tests.fakes.markets import ACME, BTC
from tests.unit.test_paper_venue import Customer
from venues.paper.book import VisibleBook

LEVELS = st.dictionaries(st.integers(95, 105), st.integers(0, 9), max_size=4)
UPDATES = st.lists(
    st.one_of(
        st.none(),
        st.tuples(st.booleans(), LEVELS, LEVELS, st.integers(-1, 12), st.sampled_from([-1, 0, 1, 2])),
    ),
    max_size=30,
)

Update = tuple[bool, dict[int, int], dict[int, int], int, int]


@given(UPDATES)
def test_the_paper_book_is_the_routers_book(updates: list[Update | None]) -> None:
    """Whatever comes: the same trust, and while it may be acted on the same levels."""
    book, visible = Book(venue=ACME, symbol=BTC), VisibleBook()
    now_ns = NS
    for update in updates:
        now_ns += MS
        if update is None:
            book.reset(BookReset(symbol=BTC, recv_ns=now_ns))
            visible.lose()
        else:
            snapshot, bids, asks, seq, back = update
            event = BookUpdate(
                symbol=BTC,
                bids=tuple(sorted(bids.items(), reverse=True)),
                asks=tuple(sorted(asks.items())),
                venue_ns=now_ns,
                recv_ns=now_ns,
                snapshot=snapshot,
                seq=seq,
                prev_seq=max(-1, seq - back) if back >= 0 else -1,
            )
            book.apply(event)
            visible.apply(event)
        view = book.view(now_ns)
        assert visible.sound is (view.trust is Trust.OK)
        if visible.sound:
            for side, seen in ((Side.SELL, view.bids), (Side.BUY, view.asks)):
                mine = [(ticks, lots) for ticks, lots, _ in visible.ladder(side, limit_signed=1 << 62)]
                assert tuple(mine[:10]) == seen


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell", "take", "cancel", "trade", "late", "book", "reset"]),
        st.integers(96, 104),
        st.integers(1, 9),
        st.sampled_from([1, MS]),
    ),
    max_size=40,
)


@given(STEPS, st.sampled_from(["risk_averse", "moderate"]))
def test_no_order_gets_more_than_it_wants_or_than_there_was(steps: list[tuple[str, int, int, int]], queue: str) -> None:
    customer = Customer(queue=queue, delay_ns=MS // 2)
    market = customer.market_source
    shown = {Side.BUY: {98: 5, 99: 5}, Side.SELL: {101: 5, 102: 5}}
    market.book(shown[Side.BUY], shown[Side.SELL], snapshot=True)
    traded, displayed = 0, 20
    names: list[str] = []
    for what, ticks, lots, wait_ns in steps:
        match what:
            case "buy" | "sell" | "take":
                names.append(f"o{len(names)}")
                customer.venue.submit(
                    NewOrder(
                        cl_ord_id=ClOrdId(names[-1]),
                        symbol=BTC,
                        side=Side.SELL if what == "sell" else Side.BUY,
                        ord_type=OrdType.LIMIT,
                        qty_lots=lots,
                        price_ticks=ticks,
                        tif=Tif.IOC if what == "take" else Tif.GTC,
                    )
                )
            case "cancel":
                if names:
                    customer.venue.cancel(OrderRef(cl_ord_id=ClOrdId(names[ticks % len(names)]), symbol=BTC))
            case "trade" | "late":
                side = Side.BUY if ticks > 100 else Side.SELL
                traded += lots
                market.trade(side, ticks, lots, venue_ns=market.now_ns - (MS if what == "late" else 0))
            case "book":
                displayed += lots
                market.book({min(ticks, 99): lots}, {max(ticks, 101): lots})
                displayed += lots
            case _:
                market.reset()
                market.book({99: lots}, {101: lots}, snapshot=True)
                displayed += 2 * lots
        customer.clock.run_until(customer.clock.now_ns() + wait_ns)
    customer.clock.run()
    fills = [one for one in customer.reports if one.exec_type is ExecType.TRADE]
    # Each displayed lot may be taken once, and each traded lot serve one of ours.
    assert sum(one.last_lots for one in fills) <= traded + displayed
    assert len({one.exec_id for one in fills}) == len(fills)
    position = 0
    for order in customer.venue.audit():
        assert 0 <= order.filled_lots + order.leaves_lots <= order.order_lots
        own = [one for one in fills if one.cl_ord_id == order.cl_ord_id]
        assert sum(one.last_lots for one in own) == order.filled_lots
        position += order.side * order.filled_lots
    assert sum(one.qty_lots for one in at_once(customer.venue.account()).positions) == position
    live = {order.cl_ord_id: order.leaves_lots for order in customer.venue.audit() if order.leaves_lots}
    assert {one.cl_ord_id: one.leaves_lots for one in at_once(customer.venue.open_orders())} == live
