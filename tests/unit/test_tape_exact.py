"""Exact places on a recording that has every order: the tape-fed venue and the probes fill at the same nanosecond."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import numpy as np
import pytest

from sor.errors import CallerError
from sor.lab.columns import columns_of
from sor.lab.order_hits import NEVER
from sor.lab.queue_fills import Orders, QueueFills
from sor.orders import Side
from sor.tape import OrderKind, Tape
from tests.fakes.tape_script import INSTRUMENT, NOW, Told, Trader
from tests.fakes.tapes import Group, Ordered, Traded, tape_of
from venues.simulated.tape import TapeVenue, open_market
from venues.simulated.tape_settings import TapeSettings

BUY, SELL = Side.BUY, Side.SELL
SMALL = msgspec.structs.replace(INSTRUMENT, min_notional=Decimal(0))
EXACT = TapeSettings(queue="exact", entry=NOW, response=NOW)
END_NS = 40_000


class _Queues:
    """A matching engine of one lot an order, first come first served, that publishes what it does."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.at_ns = 100
        self.next_id = 1
        self.queues: dict[tuple[int, int], list[int]] = {}
        self.groups: list[Group] = []
        self.trades: list[Traded] = []
        self.told: list[Ordered] = []

    def tape(self) -> Tape:
        for side, prices in ((1, range(994, 1000)), (-1, range(1001, 1007))):
            for ticks in prices:
                for _ in range(3):
                    self.join(side, ticks)
        self.show(snapshot=True)
        while self.at_ns < END_NS:
            self.at_ns += int(self.rng.choice([0, 1, 5, 20]))
            side = int(self.rng.choice([1, -1]))
            best = {one: self.best(one) for one in (1, -1)}
            what = self.rng.random()
            if what < 0.4:
                ticks = best[side] + side * int(self.rng.integers(-3, 2))
                if side * (ticks - best[-side]) < 0:
                    self.join(side, ticks)
            elif what < 0.42:  # of an order that nobody heard of: it reaches none that is known to wait
                self.trades.append(Traded(self.at_ns, self.at_ns, -side, best[side] - 3 * side, 1))
            elif what < 0.65:
                self.cancel(side, best[side] - side * int(self.rng.integers(0, 3)))
            else:
                self.trade(side, best[side])
            self.show()
        return msgspec.structs.replace(tape_of(self.groups, self.trades, self.told), instrument=SMALL)

    def best(self, side: int) -> int:
        return max((ticks for one, ticks in self.queues if one == side), key=lambda ticks: side * ticks)

    def join(self, side: int, ticks: int) -> None:
        self.queues.setdefault((side, ticks), []).append(self.next_id)
        self.told.append(Ordered(self.at_ns, OrderKind.CREATED, self.next_id, side, ticks, 1))
        self.next_id += 1

    def cancel(self, side: int, ticks: int) -> None:
        waiting = self.queues.get((side, ticks), [])
        if waiting and len([key for key in self.queues if key[0] == side]) > 1:
            gone = waiting.pop(int(self.rng.integers(len(waiting))))
            self.told.append(Ordered(self.at_ns, OrderKind.DELETED, gone, side, ticks, 1))

    def trade(self, side: int, ticks: int) -> None:
        """Somebody takes from `side` at its best price, if that leaves another price."""
        if len([key for key in self.queues if key[0] == side]) > 2:
            first = self.queues[side, ticks].pop(0)
            self.trades.append(Traded(self.at_ns, self.at_ns, -side, ticks, 1))
            self.told.append(Ordered(self.at_ns, OrderKind.DELETED, first, side, ticks, 0))

    def show(self, *, snapshot: bool = False) -> None:
        """The sizes after what happened, as one group."""
        sizes = {key: len(waiting) for key, waiting in self.queues.items()}
        levels = [(side, ticks, lots) for (side, ticks), lots in sorted(sizes.items())]
        self.groups.append(Group(self.at_ns, self.at_ns, levels, snapshot))
        self.queues = {key: waiting for key, waiting in self.queues.items() if waiting}


@pytest.mark.parametrize("seed", range(3))
def test_the_venue_and_the_probes_fill_at_the_same_nanosecond(seed: int) -> None:
    """Orders that come at any time at any price, half of which move to another one or to the end of their queue."""
    tape = _Queues(seed).tape()
    market = open_market(tape, feed=NOW)
    rng = np.random.default_rng(seed + 50)
    trader = Trader(market, EXACT, instrument=SMALL, owner_of=lambda cl_ord_id: cl_ord_id)
    rows: list[tuple[int, int, int, int, int]] = []
    for number, at_ns in enumerate(np.sort(rng.integers(100, END_NS, 200)).tolist()):
        side = Side(int(rng.choice([1, -1])))
        best = side * market.best[side][market.group_at(at_ns)]
        ticks = best - side * int(rng.integers(-1, 3))
        moved_ns = at_ns + int(rng.integers(1, 2_000)) if number % 2 else END_NS
        moved = ticks - side * int(rng.integers(0, 2))
        trader.rest(at_ns, str(number), side, 1, ticks)
        if number % 2:
            trader.amend(moved_ns, str(number), 2, moved)
        rows += [(int(side), ticks, 1, at_ns, moved_ns), (int(side), moved, 2, moved_ns, END_NS)]
    columns = columns_of(tape, group_local_ns=tape.group_venue_ns, trade_local_ns=tape.trade_venue_ns)
    sides, prices, lots, arrived, until = np.array(rows, np.int64).T
    fates = QueueFills(tape, columns, queue="exact").fates(Orders(sides.astype(np.int8), prices, lots, arrived, until))
    expected: dict[str, int] = {}
    for number in range(200):
        if fates.refused[2 * number]:
            continue
        first_ns, then_ns = fates.filled_ns[2 * number : 2 * number + 2].tolist()
        expected[str(number)] = first_ns if first_ns < NEVER or not number % 2 else then_ns
    told = trader.run()
    assert not [one for one in told if one.what.startswith("replaced") and expected[one.order] <= one.at_ns]
    filled = {one.order: one.at_ns for one in told if one.what == "trade"}
    assert filled == {order: at_ns for order, at_ns in expected.items() if at_ns < NEVER}
    assert 60 < len(filled) < 200
    assert len([one for one in told if one.what == "replaced" and one.order in filled]) > 10


def a_queue() -> Tape:
    """Orders 1 and 2 rest at 999, 3 joins at 300. 1 is cancelled, 2 and 3 are filled, then the ask comes to 999."""
    groups = [
        Group(100, 100, ((1, 999, 2), (1, 998, 5), (-1, 1001, 5)), True),
        Group(900, 900, ((1, 999, 0), (-1, 999, 4))),
    ]
    told = [
        Ordered(100, OrderKind.CREATED, 1, 1, 999, 1),
        Ordered(110, OrderKind.CREATED, 2, 1, 999, 1),
        Ordered(300, OrderKind.CREATED, 3, 1, 999, 1),
        Ordered(400, OrderKind.DELETED, 1, 1, 999, 1),
        Ordered(500, OrderKind.DELETED, 2, 1, 999, 0),
        Ordered(700, OrderKind.DELETED, 3, 1, 999, 0),
    ]
    return tape_of(groups, [Traded(500, 500, -1, 999, 1), Traded(700, 700, -1, 999, 1)], told)


def filled(*amends: tuple[int, int, int], at_ns: int = 200) -> list[tuple[int, int]]:
    """When 4 lots that join 999 at a time are filled, and how many, with amends (time, lots, ticks)."""
    trader = Trader(open_market(a_queue(), feed=NOW), EXACT)
    trader.rest(at_ns, "a", BUY, 4, 999)
    for amend_ns, lots, ticks in amends:
        trader.amend(amend_ns, "a", lots, ticks)
    return [(one.at_ns, one.lots) for one in trader.run() if one.what == "trade"]


def test_an_order_is_filled_whole_when_one_behind_it_is() -> None:
    assert filled() == [(700, 4)]
    assert filled(at_ns=300) == [(900, 4)]  # 3 was there in that instant: only the ask is left to reach it


def test_a_place_moves_with_the_order_and_stays_with_less_of_it() -> None:
    assert filled((350, 3, 999)) == [(700, 3)]
    assert filled((350, 5, 999)) == [(900, 5)]  # behind 3 now
    assert filled((350, 4, 1000)) == [(500, 4)]  # alone at a better price: the trade with 2 would have met it
    assert filled((350, 4, 998)) == []  # the ask stops above it


def test_orders_of_one_owner_have_turns_of_their_own() -> None:
    trader = Trader(open_market(a_queue(), feed=NOW), EXACT)
    trader.rest(200, "early", BUY, 4, 999)
    trader.rest(210, "gone", BUY, 4, 999)
    trader.rest(350, "late", BUY, 4, 999)
    trader.cancel(600, "gone")
    assert [one for one in trader.run() if one.what == "trade"] == [
        Told(700, "trade", "early", 4, 999, True),
        Told(900, "trade", "late", 4, 999, True),
    ]


def test_what_took_all_up_to_its_price_waits_for_size_shown_afresh() -> None:
    trader = Trader(open_market(a_queue(), feed=NOW), EXACT)
    trader.place(750, "a", BUY, 8, 1001)
    trades = [(one.at_ns, one.lots, one.maker) for one in trader.run() if one.what == "trade"]
    assert trades == [(750, 5, False), (900, 3, True)]


def test_a_reduce_only_order_ends_where_its_position_does() -> None:
    trader = Trader(open_market(a_queue(), feed=NOW), msgspec.structs.replace(EXACT, opening_lots=-2))
    trader.place(200, "a", BUY, 4, 999, post_only=True, reduce_only=True)
    ends = [(one.at_ns, one.what, one.lots) for one in trader.run()]
    assert ends == [(200, "new", 0), (700, "trade", 2), (700, "canceled:nothing_to_reduce", 0)]


def test_a_recording_without_orders_has_no_exact_places() -> None:
    bare = tape_of([Group(100, 100, ((1, 999, 2), (-1, 1001, 5)), True)])
    with pytest.raises(CallerError, match="nobody's exact place is known; nothing was opened"):
        TapeVenue(open_market(bare, feed=NOW), EXACT)
