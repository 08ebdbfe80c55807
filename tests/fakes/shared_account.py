"""A router in virtual time whose account is traded by others too: by hand, by another journal, by the venue itself."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from random import Random

import msgspec

from sor.adapter import AccountState, NewOrder, Position
from sor.commands import Alarm
from sor.events import Fact
from sor.ids import AccountId, ClOrdId, Symbol, VenueName
from sor.journal.layout import segment_paths
from sor.orders import AccountFill, ExecutionReport, FillCause, OrdType, ParentOrder, PositionSide, Side, Tif
from sor.own_book import OwnBook
from sor.parent import Parent
from sor.router import Core
from sor.settings import Neighbours, Settings
from sor.sim.disk import Disk
from sor.sim.lives import StackLife
from sor.sim.world import VirtualScheduler
from sor.units import NS
from tests.fakes.simulated import BID, LADDER
from venues.simulated.adapter import SimulatedVenue
from venues.simulated.faults import Faults
from venues.simulated.options import read

START_NS = 1_760_000_000 * NS
BTC = Symbol("BTCUSDT")
VENUE = VenueName("simulated")


class SharedVenue(SimulatedVenue):
    """The ladder, with an account that others use.

    forced    fills of these orders are told as the venue's own doing.
    stolen    lots by which the stated position is off, which no trade accounts for.
    """

    def __init__(self) -> None:
        super().__init__(read(dict(LADDER)))
        self.forced: dict[ClOrdId, FillCause] = {}
        self.stolen = 0

    def other(self, name: str, side: Side, lots: int, ticks: int = 0) -> None:
        """An order on this account that this router did not send; MARKET without a price."""
        order = NewOrder(
            cl_ord_id=ClOrdId(name),
            symbol=BTC,
            side=side,
            ord_type=OrdType.LIMIT if ticks else OrdType.MARKET,
            qty_lots=lots,
            price_ticks=ticks,
            tif=Tif.GTC if ticks else Tif.IOC,
        )
        self.submit(order)

    def crowd(self, side: Side, lots: int) -> None:
        """Somebody else's order takes so many lots."""
        now_ns = self._now()
        _, reports = self._exchange.take_crowd(side, qty_lots=lots, price_ticks=0, rests=False, now_ns=now_ns)
        self._tell(reports, now_ns)
        self._after(now_ns)

    def pulse(self) -> None:
        """Something moves far from the touch, so that the book is not taken for stale."""
        now_ns = self._now()
        self._exchange.take_crowd(Side.BUY, qty_lots=1, price_ticks=BID - 9, rests=True, now_ns=now_ns)
        self._after(now_ns)

    def deaf(self, lost: bool) -> None:
        """Pushes are lost from now on, or no longer; the link stands."""
        self._chance.faults = Faults(lost_push=1.0 if lost else 0.0)

    def push(self, report: ExecutionReport) -> None:
        """A report comes, perhaps again."""
        self._parties[-1].sink.execution(report)

    def flap(self) -> None:
        """The link goes and comes."""
        sink = self._parties[-1].sink
        sink.link(False, "test")
        sink.link(True, "test")

    async def fills_since(self, venue_ns: int) -> tuple[AccountFill, ...]:
        fills = await super().fills_since(venue_ns)
        return tuple(
            msgspec.structs.replace(fill, cause=self.forced.get(fill.cl_ord_id, FillCause.ORDER)) for fill in fills
        )

    async def account(self) -> AccountState:
        state = await super().account()
        lots = self.position_lots + self.stolen
        return msgspec.structs.replace(state, positions=(Position(symbol=BTC, qty_lots=lots),) if lots else ())

    def resting(self) -> dict[str, int]:
        """What is left of the orders in the book, by client id."""
        return {str(one.cl_ord_id): one.leaves_lots for one in self.audit() if one.leaves_lots}


class Account:
    """One account and one router on it, whose journal is in `folder`: a `Ground` for its process."""

    def __init__(
        self,
        folder: Path,
        *,
        neighbours: Neighbours = Neighbours.REFUSE,
        reconcile_s: float = 20.0,
        positions_s: float = 10.0,
        retire_s: float = Settings(journal=Path()).retire_s,
        forget_s: float = Settings(journal=Path()).forget_s,
        beside: Account | None = None,
    ) -> None:
        """`beside` another router, or after it: on its account and in its time, with a journal of its own."""
        self.clock: VirtualScheduler = VirtualScheduler(START_NS) if beside is None else beside.clock
        self.disk = Disk(Random(1))
        self.alarms: list[Alarm] = []
        self._read = 0
        self.crashes: list[str] = []
        self.books: SharedVenue = SharedVenue() if beside is None else beside.books
        self.router_settings = Settings(
            journal=folder / ("journal" if beside is None else "beside"),
            neighbours=neighbours,
            positions_s=positions_s,
            reconcile_s=reconcile_s,
            retire_s=retire_s,
            forget_s=forget_s,
        )
        self.life = self._born()

    # --- what a `Ground` has ----------------------------------------------------------------------------------------

    @property
    def rig(self) -> Account:
        """The venue outlives each process, so it needs no rig beside itself."""
        return self

    def adapter(self) -> SharedVenue:
        return self.books

    def leave(self) -> None:
        self.books.leave()

    # --- processes --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """The router comes up; raises what keeps it from that."""
        error = self.life.start()
        if error is not None:
            self.life.kill()
            raise error

    def restart(self, *, left: bytes | None = None) -> None:
        """`kill -9`, and another process goes on from the journal, or from what the power has left of it."""
        self.life.kill()
        if left is not None:
            self._segment().write_bytes(left)
        self.life = self._born()
        self.start()

    def recorded(self) -> bytes:
        """The journal so far."""
        return self._segment().read_bytes()

    def _segment(self) -> Path:
        (path,) = segment_paths(self.router_settings.journal)
        return path

    def _born(self) -> StackLife:
        """Of a rig, a life uses what is here."""
        return StackLife(self)  # type: ignore[arg-type]

    def close(self) -> None:
        self.life.kill()
        assert not self.crashes, self.crashes

    # --- what happens -----------------------------------------------------------------------------------------------

    def wait(self, duration_s: float) -> None:
        until_ns = self.clock.now_ns() + round(duration_s * NS)
        while self.clock.now_ns() < until_ns:
            self.books.pulse()
            self.clock.run_until(min(until_ns, self.clock.now_ns() + NS))

    def submit(self, name: str, side: Side, lots: int, **terms: object) -> Parent:
        """A parent: `cross`, unless the terms name another policy."""
        order = ParentOrder(
            parent_id=name,  # type: ignore[arg-type]
            symbol=BTC,
            side=side,
            quantity=Decimal(lots) / 1_000,
            policy="cross",
            deadline_s=600.0,
        )
        order = msgspec.structs.replace(order, **terms)
        self.life.submit(order)
        return self.core.by_id[order.parent_id]

    # --- what is known ----------------------------------------------------------------------------------------------

    @property
    def core(self) -> Core:
        return self.life.core

    @property
    def book(self) -> OwnBook:
        return self.core.desk.books[VENUE, AccountId("default"), BTC]

    @property
    def position(self) -> int:
        """By the router."""
        return self.book.positions[PositionSide.BOTH]

    def facts(self, *kinds: type[Fact]) -> list[Fact]:
        """Of these kinds, as the journal has them."""
        return [record for turn in self.life.turns() for record in turn if isinstance(record, kinds)]

    def texts(self) -> list[str]:
        """The alarms since the last time."""
        alarms = (*self.alarms, *self.life.alarms())[self._read :]
        self._read += len(alarms)
        return [alarm.text for alarm in alarms]
