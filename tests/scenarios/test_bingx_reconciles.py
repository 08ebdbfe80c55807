"""Router, caretaker, adapter and emulated BingX in virtual time, on an account that others use too.

BingX's fill history has neither client order ids nor the trade ids of its stream: whose a trade was is told by the
order's own id, and what BingX closed by itself by a list of its own.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import TypeVar

import pytest

from sor.commands import Alarm
from sor.events import Contradicted, FlowCause, PositionMoved, Reading, StrayFound
from sor.ids import AccountId, ParentId
from sor.orders import OrdStatus, ParentOrder, ParentStatus, PositionSide, Side
from sor.own_book import OwnBook
from sor.parent import Parent
from sor.router import Core
from sor.settings import Settings
from sor.sim.disk import Disk
from sor.sim.lives import EPOCH, START_NS, StackLife
from sor.sim.world import VirtualScheduler
from sor.units import NS
from venues.bingx.caps import CLIENT_IDS
from venues.bingx.emulator.orders import Forced, Kind, OrderAsk, TimeInForce
from venues.bingx.emulator.refusals import Refusal
from venues.bingx.emulator.rig import CONTRACT, BingxRig
from venues.bingx.emulator.settings import AccountSettings

T = TypeVar("T")
STRAY = CLIENT_IDS.encode(EPOCH, 999, 1, closing=False)


class Plain:
    """A `Draw` that takes the first of everything, and of accounts that of `mode`: the oldest limits, no delays."""

    def __init__(self, mode: PositionSide) -> None:
        self._hedge = mode is not PositionSide.BOTH

    def random(self) -> float:
        return 0.0

    def uniform(self, low: float, high: float, /) -> float:
        del high
        return low

    def choice(self, options: Sequence[T], /) -> T:
        return options[-1] if self._hedge and isinstance(options[0], AccountSettings) else options[0]


class Shared:
    """One account at the emulator and one router on it: a `Ground`. mode: the side of the one position that it has."""

    def __init__(self, folder: Path, mode: PositionSide = PositionSide.BOTH) -> None:
        self.mode = mode
        self.clock = VirtualScheduler(START_NS)
        self.rig = BingxRig(seed=3, draw=Plain(mode), scheduler=self.clock, folder=folder)
        self.disk = Disk(Random(1))
        self.alarms: list[Alarm] = []  # of earlier processes
        self.crashes: list[str] = []
        self.router_settings = Settings(journal=folder / "journal", positions_s=10.0, reconcile_s=15.0)
        self.life = StackLife(self)
        assert self.life.start() is None
        self.life.market()
        self.wait(8)

    def restart(self) -> None:
        self.life.kill()
        self.life = StackLife(self)
        assert self.life.start() is None

    def wait(self, duration_s: float) -> None:
        self.clock.run_until(self.clock.now_ns() + round(duration_s * NS))

    def submit(self, name: str, side: Side, lots: int, **terms: object) -> Parent:
        known: dict[str, object] = {
            "parent_id": ParentId(name),
            "symbol": "btc-usdt",
            "side": side,
            "quantity": self.core.in_force.instruments[self.life.venue.name, self.rig.symbol].quantity(lots),
            "policy": "cross",
            "deadline_s": 300.0,
            "position_side": self.mode,
            **terms,
        }
        order = ParentOrder(**known)  # type: ignore[arg-type]
        self.life.submit(order)
        return self.core.by_id[order.parent_id]

    def other(self, side: Side, lots: int, *, client_id: str = "", below_ticks: int = 0) -> None:
        """An order on this account that this router did not send; MARKET unless it rests so far below the mark."""
        exchange = self.rig.app.exchange
        pit = exchange.pits[CONTRACT.symbol]
        ask = OrderAsk(
            symbol=CONTRACT.symbol,
            side=side,
            kind=Kind.LIMIT if below_ticks else Kind.MARKET,
            position_side=self.mode,
            qty=pit.qty(lots),
            price=pit.price(pit.mark_ticks - below_ticks) if below_ticks else None,
            tif=TimeInForce.GTC if below_ticks else "",
            client_id=client_id,
        )
        answer = exchange.place(self.rig.account, ask)
        assert not isinstance(answer, Refusal), answer

    def force(self, why: Forced) -> None:
        """The exchange closes the position by itself."""
        (held,) = [one for one in self.rig.account.positions.values() if one.lots]
        answer = self.rig.app.exchange.force(self.rig.account, held.position_id, why)
        assert not isinstance(answer, Refusal), answer

    def resting(self) -> list[str]:
        """Client ids of what rests at the exchange."""
        return [str(one.cl_ord_id) for one in self.rig.books().orders if one.leaves_lots]

    def held(self) -> int:
        """The position in the exchange's books."""
        return self.rig.books().positions.get(self.mode, 0)

    def facts(self, kind: type[T]) -> list[T]:
        return [record for turn in self.life.turns() for record in turn if isinstance(record, kind)]

    def texts(self) -> list[str]:
        """Every alarm so far."""
        return [alarm.text for alarm in (*self.alarms, *self.life.alarms())]

    def flows(self) -> list[tuple[FlowCause, Reading, int]]:
        return [(one.cause, one.by, one.qty_lots) for one in self.facts(PositionMoved)]

    @property
    def core(self) -> Core:
        return self.life.core

    @property
    def book(self) -> OwnBook:
        return self.core.desk.books[self.life.venue.name, AccountId("default"), self.rig.symbol]


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Shared]:
    shared = Shared(tmp_path / "rig")
    yield shared
    shared.life.kill()
    assert shared.crashes == []
    assert shared.rig.books().broken == ()


@pytest.mark.parametrize(
    ("forced", "cause"), [(Forced.LIQUIDATION, FlowCause.LIQUIDATION), (Forced.ADL, FlowCause.ADL)]
)
def test_what_the_venue_closes_by_itself_is_told_apart_from_a_hand(
    shared: Shared, forced: Forced, cause: FlowCause
) -> None:
    assert shared.submit("in", Side.BUY, 30).status is not None
    shared.wait(8)
    shared.other(Side.BUY, 10)
    shared.wait(40)
    assert shared.book.positions == {PositionSide.BOTH: shared.held()} == {PositionSide.BOTH: 40}
    shared.force(forced)
    shared.wait(40)
    assert shared.book.positions == {PositionSide.BOTH: shared.held()} == {PositionSide.BOTH: 0}
    told = [(FlowCause.MANUAL, Reading.FILLS, 10), (cause, Reading.FILLS, -40)]
    assert shared.flows() == told
    assert len(shared.texts()) == 2
    shared.restart()
    shared.wait(40)
    assert shared.flows() == told  # its own fills of before are not taken for somebody else's either
    out = shared.submit("out", Side.SELL, 40, reduce_only=True)
    shared.wait(5)
    assert (out.status, out.ledger.cum_lots) == (ParentStatus.COMPLETED_BY_OTHERS, 0)


def test_in_hedge_mode_each_position_has_flows_of_its_own(tmp_path: Path) -> None:
    shared = Shared(tmp_path / "rig", PositionSide.SHORT)
    shared.submit("in", Side.SELL, 30)
    shared.wait(8)
    shared.other(Side.BUY, 10)
    shared.wait(40)
    assert shared.held() == -20
    assert shared.book.positions == {PositionSide.SHORT: -20, PositionSide.LONG: 0}
    assert shared.book.flows == {(PositionSide.SHORT, FlowCause.MANUAL): 10}
    shared.life.kill()
    assert shared.crashes == []


def test_a_stray_goes_and_what_others_placed_stays(shared: Shared) -> None:
    shared.other(Side.BUY, 5, client_id="by-hand", below_ticks=300)
    shared.other(Side.BUY, 7, below_ticks=301)
    shared.other(Side.BUY, 9, client_id=STRAY, below_ticks=302)
    shared.wait(30)
    assert shared.resting() == ["by-hand", ""]
    assert [one.cl_ord_id for one in shared.facts(StrayFound)] == [STRAY]
    assert shared.core.foreign.strays[STRAY].gone
    assert len(shared.texts()) == 1
    shared.restart()
    shared.wait(30)
    assert shared.resting() == ["by-hand", ""]
    assert len(shared.texts()) == 1


def test_a_fill_whose_push_was_dropped_is_found_in_the_books(shared: Shared) -> None:
    """The socket stands and says nothing of it; no cancel and no deadline is near."""
    pit = shared.rig.app.exchange.pits[CONTRACT.symbol]
    limit = Decimal(pit.price(pit.mark_ticks - 200))
    parent = shared.submit("rest", Side.BUY, 6, policy="plain_limit", limit=limit)
    shared.wait(8)
    (child,) = parent.open_children
    shared.rig.app.switch("push-drop")
    pit.trade_as_crowd(Side.SELL, qty=Decimal(1_000_000), price=limit)
    shared.wait(40)
    assert (parent.status, child.counted_lots) == (ParentStatus.FILLED, 6)
    assert shared.book.positions == {PositionSide.BOTH: shared.held()} == {PositionSide.BOTH: 6}
    assert [one.cl_ord_id for one in shared.facts(Contradicted)] == [child.order.cl_ord_id]
    assert shared.flows() == []


def test_a_fill_of_an_order_in_doubt_is_not_taken_for_somebody_elses(shared: Shared) -> None:
    """Answer and pushes are lost, so its number at BingX is not known; the history has its fill under that alone."""
    shared.rig.app.switch("push-drop")
    shared.rig.app.switch("answer-never=count=1")
    shared.rig.app.switch("read-busy=on=order")
    parent = shared.submit("in", Side.BUY, 6)
    shared.wait(2)
    (child,) = parent.open_children
    assert not child.venue_order_id
    assert shared.held() == 6
    shared.wait(20)  # positions are read four times, and each time the fills
    assert not child.venue_order_id
    assert shared.flows() == []
    for fault in ("push-drop", "answer-never", "read-busy"):
        shared.rig.app.switch(f"-{fault}")
    shared.wait(60)
    assert (parent.status, parent.ledger.cum_lots, shared.held()) == (ParentStatus.FILLED, 6, 6)
    assert shared.book.positions == {PositionSide.BOTH: 6}
    assert shared.flows() == []


def test_a_stop_of_somebodys_that_no_push_tells_of_is_found_by_reading(shared: Shared) -> None:
    """BingX may send no event when a stop triggers: the position follows all the same, and an exit sells nothing."""
    shared.submit("in", Side.BUY, 30)
    shared.wait(8)
    shared.rig.app.switch("push-drop")
    shared.other(Side.SELL, 30)
    shared.wait(40)
    assert shared.flows() == [(FlowCause.MANUAL, Reading.FILLS, -30)]
    assert shared.book.positions == {PositionSide.BOTH: shared.held()} == {PositionSide.BOTH: 0}
    out = shared.submit("out", Side.SELL, 30, reduce_only=True)
    shared.wait(5)
    assert (out.status, shared.held()) == (ParentStatus.COMPLETED_BY_OTHERS, 0)


def test_a_mode_that_somebody_switched_refuses_orders_and_opens_nothing(shared: Shared) -> None:
    """One-way became hedge behind the router's back: no order of the old mode may open a side of the new."""
    assert shared.rig.app.exchange.desk.set_mode(shared.rig.account, hedge=True) is None
    parent = shared.submit("in", Side.BUY, 30, deadline_s=5.0)
    shared.wait(20)
    assert parent.ended
    assert (parent.ledger.cum_lots, parent.open_children) == (0, [])
    assert {child.status for child in parent.children} == {OrdStatus.REJECTED}
    assert shared.resting() == []
    assert shared.rig.books().positions == {}
    shared.mode = PositionSide.LONG
    shared.restart()  # reads the mode anew
    shared.wait(15)
    again = shared.submit("again", Side.BUY, 30)
    shared.wait(8)
    assert (again.status, shared.held()) == (ParentStatus.FILLED, 30)
