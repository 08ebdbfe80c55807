"""A router on the simulated venue through a storm of faults: one seed decides everything that happens.

Parents of every kind are submitted, cancelled, paused, resumed and amended while requests, reports, books and sessions
get lost, late, doubled and out of order, and, if wanted, while the router dies and starts again from its journal. Then
it becomes calm, and the venue's own books are set beside what was asked for and what the router says.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from random import Random

from sor.adapter import VenueOrder
from sor.commands import Alarm, Recorded
from sor.decide import Recorded as RecordedDecisions
from sor.decide import decide
from sor.errors import VenueFault
from sor.events import AmendAsked, AnyFact, CancelAsked, PauseAsked, PositionKnown, ResumeAsked
from sor.ids import AccountId, ClOrdId, ParentId, Symbol
from sor.orders import OrdStatus, ParentOrder, PositionSide, Side
from sor.params import ParamSet, ParamStore
from sor.parent import Parent
from sor.plugins import Plugins
from sor.recovery import fold
from sor.router import Core
from sor.sim.oracle import Asked, Claimed, Verdict, judge
from sor.sim.world import World, at_once
from sor.units import NS
from venues.simulated.adapter import SimulatedVenue, open_venue
from venues.simulated.faults import SWITCHES

START_NS = 1_700_000_000 * NS
SYMBOL = Symbol("BTCUSDT")
PARENTS = 10
DEADLINE_S_MAX = 25.0
CALM_S_MAX = 120.0
"""Once it is calm everything must have ended within this: the deadlines, and the longest back-off a few times."""

Turn = list[AnyFact | Recorded]


class Tape:
    """A journal in memory."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []

    def append(self, records: Sequence[AnyFact | Recorded]) -> int:
        """Keep one turn."""
        self.turns.append(list(records))
        return len(self.turns)


@cache
def _plugins() -> Plugins:
    return Plugins.installed()


@cache
def _baseline() -> ParamSet:
    return ParamStore().get("baseline", now_ns=START_NS)


class Storm:
    """One run.

    asked_lots    the most that was ever asked for, by parent: an amendment may raise it.
    """

    def __init__(self, seed: int, *, faults: dict[str, float] | None = None, restarts: int = 0) -> None:
        self.rng = rng = Random(f"storm {seed}")
        if faults is None:
            faults = {name: rng.choice((0.0, 0.02, 0.1, 0.3)) for name in SWITCHES if name != "overfill"}
        options = {
            "seed": str(seed),
            "zi.burn_in_s": "2",
            "lookup_lag_ms": rng.choice(("100", "1000")),
            "latency": rng.choice(("retail", "near", "zero")),
            "amend": rng.choice(("native_same_id", "none")),
            "market_bound_bps": rng.choice(("0", "10")),
            "timeout_ms": rng.choice(("300", "1500")),
            "fault.late_ms": rng.choice(("50", "3000")),  # the latter beyond the receive window of 5 s
            "fault.down_ms": rng.choice(("200", "3000")),
            **{f"fault.{name}": str(probability) for name, probability in faults.items()},
        }
        venue = open_venue(options)
        assert isinstance(venue, SimulatedVenue)
        self.venue = venue
        self.restarts = restarts
        self.tape = Tape()
        self.alarms: list[Alarm] = []
        self.asked_lots: dict[ParentId, int] = {}
        self.world = self._start(Core(policies=_plugins().policies, schedules=_plugins().schedules, decider=decide))

    @property
    def core(self) -> Core:
        """The router's state."""
        return self.world.core

    @property
    def parents(self) -> list[Parent]:
        """Every parent, in the order of submission."""
        return self.world.core.parents

    def run(self) -> bool:
        """Storm, then calm: True when everything has ended by then."""
        rng = self.rng
        self._wait(3.0)
        starts = sorted(rng.uniform(0.0, 20.0) for _ in range(PARENTS))
        deaths = sorted(rng.uniform(1.0, 30.0) for _ in range(self.restarts))
        happenings = [(at_s, self._submit) for at_s in starts]
        happenings += [(at_s, self._meddle) for at_s in sorted(rng.uniform(0.0, 30.0) for _ in range(PARENTS))]
        happenings += [(at_s, self._die) for at_s in deaths]
        happenings.sort(key=lambda one: one[0])
        began_ns = self.world.scheduler.now_ns()
        for at_s, happens in happenings:
            self.world.scheduler.run_until(began_ns + round(at_s * NS))
            happens()
        self.world.scheduler.run_until(began_ns + 35 * NS)
        self.venue.calm()
        now_ns = self.world.scheduler.now_ns()
        ended = self.world.scheduler.run_until(now_ns + round(CALM_S_MAX * NS), done=self._all_ended)
        self._wait(5.0)
        return ended

    def verdict(self) -> Verdict:
        """What the oracle says."""
        parents = self.parents
        return judge(
            asked=[
                Asked(
                    parent_id=parent.id,
                    symbol=SYMBOL,
                    side=parent.side,
                    qty_lots=self.asked_lots[parent.id],
                    terminal=parent.ended,
                )
                for parent in parents
            ],
            claimed=[
                Claimed(
                    parent_id=parent.id,
                    filled_lots=parent.ledger.cum_lots,
                    exec_ids=tuple(trade.exec_id for child in parent.children for trade, _ in child.trades),
                )
                for parent in parents
            ],
            owners={child.order.cl_ord_id: parent.id for parent in parents for child in parent.children},
            books=self.venue.audit(),
        )

    def disagreements(self) -> list[str]:
        """Where the router's view of single orders and of the position is not the venue's."""
        books: dict[ClOrdId, VenueOrder] = {order.cl_ord_id: order for order in self.venue.audit()}
        found: list[str] = []
        for parent in self.parents:
            for child in parent.children:
                order = books.pop(child.order.cl_ord_id, None)
                filled_lots = 0 if order is None else order.filled_lots
                if child.counted_lots != filled_lots:
                    found.append(f"{child.order.cl_ord_id}: counted {child.counted_lots}, the venue {filled_lots}")
                full = order is not None and order.filled_lots >= order.order_lots == child.qty_lots
                if full and child.status is not OrdStatus.FILLED:
                    found.append(f"{child.order.cl_ord_id} is {child.status} here and filled at the venue")
        stated = {one.symbol: one.qty_lots for one in at_once(self.venue.account()).positions}
        for (_, _, symbol), book in self.core.desk.books.items():
            lots = book.positions.get(PositionSide.BOTH, 0)
            if lots != stated.get(symbol, 0):
                found.append(f"position {lots} lots here, {stated.get(symbol, 0)} at the venue")
            if any(book.open_lots.values()) or any(book.reducing.values()):
                found.append(f"nothing is open, and yet {book.open_lots} lots, {book.reducing} of them reducing")
        return found

    # --- what happens -----------------------------------------------------------------------------------------------

    def _start(self, core: Core) -> World:
        """A router's life begins: on an empty journal, or where the one before it stopped."""
        now_ns = self.world.scheduler.now_ns() if self.tape.turns else START_NS
        world = World(core, start_ns=now_ns, recorder=self.tape, horizons_ns=(NS,), alarm=self.alarms.append)
        sink = world.dispatcher.sink(self.venue)  # first, for parents of an earlier life that want to look at once
        world.open(epoch=1, version="test", sets={"baseline": _baseline()}, default_set="baseline")
        at_once(self.venue.connect(sink, world.scheduler))
        world.dispatcher.connected(self.venue)
        if not core.parents:
            world.dispatcher.post(
                PositionKnown(
                    now_ns=now_ns,
                    venue=self.venue.name,
                    account=AccountId("default"),
                    symbol=SYMBOL,
                    position_side=PositionSide.BOTH,
                    qty_lots=0,
                )
            )
        return world

    def _die(self) -> None:
        """The process is gone, whatever was on its way; another one folds the journal and goes on."""
        at_once(self.venue.disconnect())
        plugins = _plugins()
        core = fold(
            self.tape.turns,
            policies=plugins.policies,
            schedules=plugins.schedules,
            decisions=RecordedDecisions(),
        )
        core.decider = decide
        self.world = self._start(core)

    def _submit(self) -> None:
        rng = self.rng
        side = rng.choice((Side.BUY, Side.SELL))
        policy = rng.choice(("cross", "maker_first", "calm_market", "cost_aware", "plain_limit"))
        near = Decimal(rng.randint(-30, 30)) / 10
        order = ParentOrder(
            parent_id=ParentId(f"p{len(self.parents) + 1}"),
            symbol=SYMBOL,
            side=side,
            quantity=Decimal(rng.randint(1, 2_000)) / 1_000,
            deadline_s=rng.uniform(2.0, DEADLINE_S_MAX),
            limit=60_000 + near if policy == "plain_limit" else None,
            policy=policy,
            schedule=rng.choice(("immediate", "twap")),
            reduce_only=rng.random() < 0.2,
        )
        try:
            parent = self.world.submit(order)
        except VenueFault:
            return  # halted, as it should be: nothing is sent
        self.asked_lots[parent.id] = parent.ledger.order_lots

    def _meddle(self) -> None:
        """A caller changes its mind about one of its parents."""
        rng = self.rng
        if not self.parents:
            return
        parent = rng.choice(self.parents)
        post, now_ns = self.world.dispatcher.post, self.world.scheduler.now_ns()
        match rng.randrange(4):
            case 0:
                post(CancelAsked(now_ns=now_ns, parent_no=parent.no))
            case 1:
                post(PauseAsked(now_ns=now_ns, parent_no=parent.no))
            case 2:
                post(ResumeAsked(now_ns=now_ns, parent_no=parent.no))
            case _:
                lots = rng.randint(1, 2_000)
                if parent.active:
                    self.asked_lots[parent.id] = max(self.asked_lots[parent.id], lots)
                    quantity = parent.instrument.quantity(lots)
                    post(AmendAsked(now_ns=now_ns, parent_no=parent.no, quantity=quantity))

    def _wait(self, duration_s: float) -> None:
        self.world.scheduler.run_until(self.world.scheduler.now_ns() + round(duration_s * NS))

    def _all_ended(self) -> bool:
        return all(parent.ended and not parent.open_children for parent in self.parents)
