"""One storm: faults first (nothing unsafe), then calm (everything finishes), and then the judgement.

Parents of every kind are handed in, cancelled, paused, resumed and amended while requests, reports, books, sessions and
processes get lost, late, doubled and out of order. Then it becomes calm, and the venue's own books are set beside what
was asked for and what the router says. One seed and one commit decide everything; no clock, no thread, no chance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from functools import partial
from hashlib import blake2b
from pathlib import Path
from random import Random

import msgspec

from sor.adapter import VenueOrder
from sor.checkpoint import freeze
from sor.commands import Alarm
from sor.errors import CallerError, SorError, VenueFault
from sor.ids import ParentId
from sor.instruments import Instrument
from sor.journal import Durability
from sor.market import Trust
from sor.orders import ParentOrder, PositionSide, Side
from sor.parent import Parent
from sor.parents import Parents
from sor.rig import Books, Fault, FaultKind, OpenRig
from sor.router import Core
from sor.settings import Settings
from sor.sim.disk import Disk
from sor.sim.faults import CHECKPOINT, CRASH, POWER, brew, only
from sor.sim.lives import START_NS, STARTS_MAX, CoreLife, Life, OpenLife, StackLife, Tape, folded
from sor.sim.oracle import Verdict, judge
from sor.sim.reckoning import Told, reckon, unfounded, unsettled
from sor.sim.testimony import asked_of, claimed_of, open_lots, terms_of, told_of
from sor.sim.workload import PRICED, Ask, Haggle, Meddling, Shape, draw
from sor.sim.world import VirtualScheduler
from sor.units import NS

STACK_RETIRE_S = 2.0
"""While the storm still rages."""
FAULTLESS_S = 3.0
"""How long after its deadline a parent may still end where nothing at all goes wrong."""


class Level(StrEnum):
    """How much of it is real."""

    CORE = "core"
    STACK = "stack"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a level is simulated: its usual rig, what a process is, what ends it or is kept of it, and a storm's size."""

    rig: str
    life: OpenLife
    deaths: tuple[FaultKind, ...]
    shape: Shape


PLANS: Mapping[Level, Plan] = {
    Level.CORE: Plan(
        rig="simulated",
        life=CoreLife,
        deaths=(CRASH, CHECKPOINT),
        shape=Shape(
            parents=4, storm_s=6.0, deadlines_s=(1.5, 3.0, 6.0), first_s=0.5, settled_s=0.5, sizes=(3, 30, 300)
        ),
    ),
    Level.STACK: Plan(
        rig="bingx",
        life=StackLife,
        deaths=(CRASH, POWER, CHECKPOINT),
        shape=Shape(
            parents=14,
            storm_s=45.0,
            deadlines_s=(3.0, 10.0, 40.0),
            first_s=1.0,
            settled_s=4.0,
            sizes=(3, 30, 300, 3_000),
        ),
    ),
}


class Findings(msgspec.Struct, kw_only=True):
    """What is wrong after a storm, one sentence each.

    unsafe     a promise is broken, now or by what could still happen.
    stuck      it did not finish within its bound, long after it became calm.
    crashed    something raised that nobody expected.
    """

    unsafe: list[str] = msgspec.field(default_factory=list)
    stuck: list[str] = msgspec.field(default_factory=list)
    crashed: list[str] = msgspec.field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Nothing is wrong."""
        return not (self.unsafe or self.stuck or self.crashed)


class Storm:
    """One run of one seed. `folder` is for the adapter's files.

    faults          what goes wrong, and when.
    asked_lots      the most that was ever asked for, by parent: an amendment may raise it.
    deadlines_ns    the latest deadline that each ever had.
    crashes         what would have ended a live router.
    unfounded       what was said to be in force and was not.
    kept            checkpoints that were written, by way.
    unlike          where the state was not what all turns from the first on give.
    """

    def __init__(
        self,
        *,
        level: Level,
        seed: int,
        open_rig: OpenRig,
        folder: Path,
        wanted: Sequence[str] | None = None,
    ) -> None:
        plan = PLANS[level]
        self._shape = plan.shape
        self._open_life = plan.life
        kinds = (*open_rig.faults, *plan.deaths)
        self.faults = only(brew(level=level, seed=seed, kinds=kinds, storm_s=plan.shape.storm_s), wanted)
        self._load = draw(level=level, seed=seed, shape=plan.shape)
        self.clock = VirtualScheduler(START_NS)
        self.rig = open_rig(seed=seed, draw=Random(f"{level} rig {seed}"), scheduler=self.clock, folder=folder)
        rng = Random(f"{level} router {seed}")
        self.router_settings = Settings(
            journal=folder / "journal",
            positions_s=rng.choice((5.0, 30.0)),
            reconcile_s=rng.choice((7.0, 60.0)),
            dead_man_s=rng.choice((0.0, 0.0, 10.0)),
            exclusive=True,
            durability=self._durability(rng),
            start_patience_s=0.0,  # a storm is shorter than what a venue shuts us out for
            switch_poll_s=1.0,
            params_poll_s=60.0,
            retire_s=STACK_RETIRE_S,
        )
        self.tape = Tape()
        self.disk = Disk(Random(f"{level} disk {seed}"))
        self.alarms: list[Alarm] = []
        self.crashes: list[str] = []
        self.asked_lots: dict[ParentId, int] = {}
        self.deadlines_ns: dict[ParentId, int] = {}
        self._haggled: ParentId | None = None
        self.unfounded: list[str] = []
        self.died: Counter[str] = Counter()
        self.kept: Counter[str] = Counter()
        self.unlike: list[str] = []
        self._whole: tuple[int, Core] | None = None
        self.calm_ns = 0
        for fault in self.faults:
            if fault.at_s is None:
                self.rig.switch(fault)
        self.life = self._start()

    @property
    def core(self) -> Core:
        """The router's state."""
        return self.life.core

    @property
    def parents(self) -> Parents:
        """Every parent, in the order of submission."""
        return self.core.parents

    @property
    def virtual_s(self) -> float:
        """How long it has lasted."""
        return (self.clock.now_ns() - START_NS) / NS

    def struck(self) -> dict[str, int]:
        """How often each kind of fault has struck."""
        kept = {CHECKPOINT.name: self.kept.total()} if self.kept else {}
        return dict(sorted({**self._struck(), **kept}.items()))

    def _struck(self) -> dict[str, int]:
        return dict(sorted({**self.rig.struck(), **self.died}.items()))

    # --- the course of it -------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Storm, then calm, until everything has ended or the bound is over."""
        shape, load = self._shape, self._load
        self._wait(shape.first_s)
        for side, lots in zip(load.first if self._hedged else load.first[:1], load.first_lots, strict=False):
            self._hand_in(side, lots=lots, closes=False, policy="cross")
        self._wait(shape.settled_s)
        happenings: list[tuple[float, Callable[[], None]]] = []
        happenings += [(one.at_s, partial(self._ask, one)) for one in load.asks]
        happenings += [(one.at_s, partial(self._meddle, one)) for one in load.meddlings]
        happenings += [(load.haggled.at_s, self._begin_haggling)]
        happenings += [(one.at_s, partial(self._haggle, one)) for one in load.haggling]
        happenings += [(one.at_s, partial(self._strike, one)) for one in self.faults if one.at_s is not None]
        happenings.sort(key=lambda one: one[0])
        began_ns = self.clock.now_ns()
        for at_s, happens in happenings:
            self.clock.run_until(began_ns + round(at_s * NS))
            happens()
        self.clock.run_until(began_ns + round(shape.storm_s * NS))
        self._calm()
        bound_ns = self.calm_ns + round(self.rig.calm_s_max * NS)
        self.clock.run_until(bound_ns, done=self._all_ended)
        self._wait(self.rig.settled_s)
        while (self._market_lost() or self._unsettled()) and self.clock.now_ns() < bound_ns:
            self._wait(10.0)

    def close(self) -> None:
        """Let nothing of it go on."""
        self.life.kill()

    def _calm(self) -> None:
        """Everything is as it should be from now on; what stands in doubt, or in a back-off, still has to come out."""
        self.rig.calm()
        self.calm_ns = self.clock.now_ns()

    def _durability(self, rng: Random) -> Durability:
        """What a loss of power must not take is synced; otherwise either will do."""
        drawn = rng.choice((Durability.KERNEL, Durability.SYNCED))
        return Durability.SYNCED if any(fault.kind == POWER.name for fault in self.faults) else drawn

    def _start(self) -> Life:
        """A router's life begins, sooner or later: one that cannot reach the venue ends, and is started again."""
        error: SorError | None = None
        for attempt in range(STARTS_MAX):
            life = self._open_life(self)
            error = life.start()
            if error is None:
                return life
            life.kill()
            if attempt == STARTS_MAX // 2:
                self._calm()  # no storm is for ever
            self._wait(min(5.0 * 2**attempt, 120.0))  # who comes back sooner is banned for longer
        raise AssertionError(f"it never came up: {error}")

    def _strike(self, fault: Fault) -> None:
        """Something goes wrong now."""
        if fault.kind == CHECKPOINT.name:
            self.kept[fault.way] += 1
            self.life.checkpoint(fault.way, Random(fault.seed))
        elif fault.kind in (CRASH.name, POWER.name):
            self.unlike += self._unlike()
            self.died[fault.kind] += 1
            self.life.kill()
            if fault.kind == POWER.name:
                self.disk.lose_power(self.router_settings.journal)
            self.life = self._start()
        else:
            self.rig.switch(fault)

    def _ask(self, ask: Ask) -> None:
        self._hand_in(
            ask.side,
            lots=ask.lots,
            closes=ask.closes,
            policy=ask.policy,
            near_ticks=ask.near_ticks,
            deadline_s=ask.deadline_s,
            schedule=ask.schedule,
        )

    def _hand_in(
        self,
        side: Side,
        *,
        lots: int,
        closes: bool,
        policy: str,
        near_ticks: int = 0,
        deadline_s: float = 3.0,
        schedule: str = "immediate",
    ) -> None:
        instrument = self._instrument
        position_side = PositionSide.BOTH
        if self._hedged:
            position_side = PositionSide.LONG if (side is Side.BUY) is not closes else PositionSide.SHORT
        limit = Decimal(self.rig.touch_ticks() + near_ticks) * instrument.tick_size
        order = ParentOrder(
            parent_id=ParentId(f"p{self.parents.given + 1}"),
            symbol=self.rig.symbol,
            side=side,
            quantity=instrument.quantity(lots),
            deadline_s=deadline_s,
            limit=limit if policy == PRICED else None,
            policy=policy,
            schedule=schedule,
            reduce_only=closes,
            position_side=position_side,
        )
        now_ns = self.clock.now_ns()
        try:
            self.life.submit(order)
        except VenueFault:
            return  # halted, as it should be: nothing is sent
        self.asked_lots[order.parent_id] = lots
        self.deadlines_ns[order.parent_id] = now_ns + round(deadline_s * NS)

    def _meddle(self, meddling: Meddling) -> None:
        parent = self.parents.get(1 + int(meddling.which * self.parents.given))
        if parent is None:
            return  # there is none yet, or it is forgotten
        life, now_ns = self.life, self.clock.now_ns()
        match meddling.what:
            case 0:
                life.cancel(parent.id)
            case 1:
                life.pause(parent.id)
            case 2:
                life.resume(parent.id)
            case 3:
                self._reask(parent, lots=meddling.lots)
            case 4:
                if parent.active:
                    until_ns = now_ns + round(meddling.deadline_s * NS)
                    self.deadlines_ns[parent.id] = max(self.deadlines_ns[parent.id], until_ns)
                    life.amend(parent.id, deadline_s=meddling.deadline_s)
            case _:
                life.keep("leverage", partial(self._set_leverage, Decimal(meddling.leverage)))

    def _begin_haggling(self) -> None:
        before = self.parents.given
        self._ask(self._load.haggled)
        self._haggled = self.parents[-1].id if self.parents.given > before else None

    def _haggle(self, haggle: Haggle) -> None:
        parent = None if self._haggled is None else self.core.by_id.get(self._haggled)
        if parent is None or not parent.active:
            return
        limit = parent.instrument.price(self.rig.touch_ticks() + haggle.near_ticks)
        self._reask(parent, lots=max(haggle.lots, parent.ledger.cum_lots + 1), limit=limit)

    def _reask(self, parent: Parent, *, lots: int, limit: Decimal | None = None) -> None:
        """Another quantity, which is refused where the parent is over or has filled as much."""
        before = terms_of(self.core)
        try:
            self.life.amend(parent.id, quantity=parent.instrument.quantity(lots), limit=limit)
        except CallerError:
            return
        after = terms_of(self.core)
        if after != before:
            self.unfounded += unfounded(before, after, self.rig.books())
        self.asked_lots[parent.id] = max(self.asked_lots[parent.id], lots)

    async def _set_leverage(self, leverage: Decimal) -> None:
        try:
            await self.life.venue.set_leverage(self.rig.symbol, leverage)
        except SorError:
            return  # its caller would be told

    def _wait(self, duration_s: float) -> None:
        self.clock.run_until(self.clock.now_ns() + round(duration_s * NS))

    def _all_ended(self) -> bool:
        return not self.core.parents.at_work

    @property
    def _hedged(self) -> bool:
        return PositionSide.BOTH not in self.life.venue.capabilities.position_modes

    @property
    def _instrument(self) -> Instrument:
        return self.core.in_force.instruments[self.life.venue.name, self.rig.symbol]

    # --- the judgement ----------------------------------------------------------------------------------------------

    def verdict(self) -> Verdict:
        """What the oracle says of orders: R1, R2, R3."""
        books, core = self.rig.books(), self.whole()
        return judge(
            asked=asked_of(core, self.asked_lots),
            claimed=claimed_of(core, fill_by_fill=books.fill_by_fill),
            owners={child.order.cl_ord_id: parent.id for parent in core.parents for child in parent.children},
            books=_venue_orders(books),
        )

    def findings(self) -> Findings:
        """Everything that is not as it must be."""
        books = self.rig.books()
        slack_ns = None if self.faults else round(FAULTLESS_S * NS)
        told = self._told()
        return Findings(
            unsafe=[
                *self.verdict().details,
                *self.unfounded,
                *reckon(told, books, deadline_slack_ns=slack_ns),
                *self._still_open(),
                *self._asked_the_venue(books),
                *[alarm.text for alarm in (*self.alarms, *self.life.alarms()) if _is_wrong(alarm)],
            ],
            stuck=[*self._unended(), *self._untold(), *self._market_lost(), *self._unsettled()],
            crashed=[*self._left(), *self._replayed(), *self.unlike, *self._unlike()],
        )

    def digest(self) -> str:
        """Of the journal's bytes, of everything on the wire, and of the books."""
        digest = blake2b(digest_size=16)
        for piece in self.life.recorded():
            digest.update(piece)
        digest.update(self.rig.wire().encode())
        digest.update(msgspec.json.encode([self.rig.books(), self._struck()], order="deterministic"))
        return digest.hexdigest()

    def whole(self) -> Core:
        """The router's state, and where it has forgotten parents, what its journal says of all of them.

        What it still has is the same in both (`_replayed`).
        """
        if len(self.parents) == self.parents.given:
            return self.core
        turns = len(self.tape.turns)
        if self._whole is None or self._whole[0] != turns:
            self._whole = turns, folded(self.life.turns(), keep=True)
        return self._whole[1]

    def _told(self) -> Told:
        core = self.whole()
        return told_of(core, venue=self.life.venue.name, symbol=self.rig.symbol, deadlines_ns=self.deadlines_ns)

    def _still_open(self) -> list[str]:
        """What the account's book here has open though every parent is over."""
        if not self._all_ended():
            return []
        return open_lots(self.core, venue=self.life.venue.name, symbol=self.rig.symbol)

    def _unended(self) -> list[str]:
        return [
            f"{parent.id} is {parent.status} {self.rig.calm_s_max:.0f} s after the storm, with "
            f"{[child.status for child in parent.open_children]}"
            for parent in self.parents
            if not parent.ended or parent.open_children
        ]

    def _untold(self) -> list[str]:
        return [f"{name} has ended, and who waits for it was not told" for name in self.life.unanswered()]

    def _left(self) -> list[str]:
        """What ended a process, or one of its callers; leaving comes last, and must not fail either."""
        self.life.leave()
        return self.crashes

    def _market_lost(self) -> list[str]:
        """The book is there again, whatever became of sockets and topics (R6)."""
        trust = self.life.market().trust
        return [] if trust is Trust.OK else [f"the book is {trust.value} long after the storm"]

    def _unsettled(self) -> list[str]:
        """Fees of orders that ended once it was calm; whoever died before has asked for what it missed."""
        return unsettled(self._told(), self.rig.books(), since_ns=self.calm_ns)

    def _replayed(self) -> list[str]:
        """The journal tells the same story."""
        again = folded(self.life.turns())
        known, others = ([[*core.parents.working], [*core.parents.retired]] for core in (self.core, again))
        if known != others:
            return [f"parents {known} are working and retired, and by the journal {others}"]
        return [
            f"{parent.id} is {parent.status}, {parent.ledger!r}, and by the journal {other.status}, {other.ledger!r}"
            for core in (again, self.whole())
            for parent in self.parents
            for other in (core.parents[parent.no - 1],)
            if (parent.status, repr(parent.ledger)) != (other.status, repr(other.ledger))
        ]

    def _unlike(self) -> list[str]:
        """All of the state is what the whole journal gives, to the bit, whatever checkpoints it has come by."""
        now, again = (list(freeze(core, fits).pieces()) for core, fits in (self.life.state(), self.life.refolded()))
        if now == again:
            return []
        after_s = (self.clock.now_ns() - START_NS) / NS
        return [f"after {after_s:.3f} s the state is another than what all turns from the first on give"]

    def _asked_the_venue(self, books: Books) -> list[str]:
        """What the adapter says when it is asked now: positions as in the books, and nothing that rests."""
        venue, until_ns = self.life.venue, self.clock.now_ns() + round(self.rig.calm_s_max * NS)
        account = self.life.ask(venue.account, until_ns=until_ns)
        told = {one.position_side: one.qty_lots for one in account.positions if one.qty_lots}
        found: list[str] = []
        if told != {side: lots for side, lots in books.positions.items() if lots}:
            found.append(f"positions are {told}, says the venue, and {dict(books.positions)} in its books")
        if self._all_ended():
            resting = self.life.ask(venue.open_orders, until_ns=until_ns)
            found += [f"still resting, says the venue: {one.cl_ord_id}" for one in resting]
        return found


def _venue_orders(books: Books) -> list[VenueOrder]:
    """As the oracle reads them."""
    return [
        VenueOrder(
            cl_ord_id=order.cl_ord_id,
            symbol=order.symbol,
            side=order.side,
            order_lots=order.order_lots,
            filled_lots=order.filled_lots,
            leaves_lots=order.leaves_lots,
            exec_ids=tuple(fill.exec_id for fill in order.fills),
        )
        for order in books.orders
    ]


def _is_wrong(alarm: Alarm) -> bool:
    """Nothing that these faults do is a breach of contract, and nobody else trades on this account."""
    if alarm.halts:
        return "were refused, last" not in alarm.text  # the breaker, after refusals that a fault has made
    return any(word in alarm.text for word in ("stray", "somebody else", "cannot be explained", "another journal"))
