"""Router, adapter and emulated BingX together: over memory in virtual time, and once over TCP in real time.

Whatever goes wrong on the way, what the router counted is what the exchange's own books say, nothing is left resting,
and nobody is filled twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

import anyio
import msgspec
import pytest

from sor.adapter import AccountState, Sink, VenueOrder
from sor.commands import Alarm, Recorded
from sor.decide import Recorded as RecordedDecisions
from sor.decide import decide
from sor.engine import Router, Settings
from sor.errors import CallerError, InDoubt, NotSent
from sor.events import AnyFact, PositionKnown
from sor.ids import AccountId, ClOrdId, ExecId, ParentId
from sor.journal import Environment, verify
from sor.orders import OrdType, ParentOrder, ParentStatus, PositionSide, Side
from sor.params import ParamStore
from sor.parent import Parent
from sor.plugins import Plugins
from sor.recovery import fold
from sor.router import Core
from sor.sim.oracle import Asked, Claimed, judge
from sor.sim.world import VirtualScheduler, World
from sor.units import NS
from tests.fakes.bingx_rig import BTC, PLACE, Rig
from tests.fakes.bingx_server import serving
from tests.fakes.patience import PATIENCE_S, until
from venues.bingx.adapter import BingxVenue, open_venue
from venues.bingx.emulator.audit import audit
from venues.bingx.emulator.contracts import DEFAULTS, Contract, Rules

pytestmark = pytest.mark.anyio
TRIO_TOO = pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
POST, DELETE, GET = f"POST {PLACE}", f"DELETE {PLACE}", f"GET {PLACE}"


@pytest.fixture
def anyio_backend() -> str:
    """In virtual time no loop matters."""
    return "asyncio"


class Tape:
    """A journal in memory."""

    def __init__(self) -> None:
        self.turns: list[list[AnyFact | Recorded]] = []

    def append(self, records: Sequence[AnyFact | Recorded]) -> int:
        self.turns.append(list(records))
        return len(self.turns)


class Life:
    """A process's own view of virtual time: what it has scheduled dies with it."""

    def __init__(self, time: VirtualScheduler) -> None:
        self._time = time
        self.over = False

    def now_ns(self) -> int:
        return self._time.now_ns()

    def call_at(self, at_ns: int, action: Callable[[], object]) -> None:
        self._time.call_at(at_ns, lambda: None if self.over else action())


class Desk(Rig):
    """A router in front of the adapter."""

    def __init__(self, folder: Path, *, contracts: tuple[Contract, ...] = DEFAULTS) -> None:
        super().__init__(folder, contracts=contracts)
        self.tape = Tape()
        self.alarms: list[Alarm] = []
        plugins = Plugins.installed()
        self.world = self._world(Core(policies=plugins.policies, schedules=plugins.schedules, decider=decide))

    def _world(self, core: Core) -> World:
        world = World(
            core, start_ns=self.time.now_ns(), recorder=self.tape, horizons_ns=(NS,), alarm=self.alarms.append
        )
        world.scheduler = self.time
        self.life = world.dispatcher.scheduler = Life(self.time)
        return world

    @property
    def core(self) -> Core:
        return self.world.core

    async def start(self) -> Desk:
        """A session begins, or goes on after a death."""
        world = self.world
        sink = world.dispatcher.sink(self.venue)
        param_set = ParamStore().get("baseline", now_ns=self.time.now_ns())
        world.open(epoch=1, version="test", sets={"baseline": param_set}, default_set="baseline")
        account = await self._connected(sink)
        if not self.core.parents:
            lots = {one.symbol: one.qty_lots for one in account.positions}
            world.dispatcher.post(
                PositionKnown(
                    now_ns=self.time.now_ns(),
                    venue=self.venue.name,
                    account=AccountId("default"),
                    symbol=BTC,
                    position_side=PositionSide.BOTH,
                    qty_lots=lots.get(BTC, 0),
                )
            )
        world.dispatcher.connected(self.venue)
        world.dispatcher.feed(self.venue.name, BTC)
        self.run(3_000)
        self.requests()
        return self

    async def _connected(self, sink: Sink) -> AccountState:
        """Connect, and try again as whoever starts a router does."""
        while True:
            try:
                await self.wait(self.venue.connect(sink, self.life))
                return await self.wait(self.venue.account())
            except (NotSent, InDoubt):
                await self.wait(self.venue.disconnect())
                self.run(2_000)

    async def die(self, successor: BingxVenue | None = None) -> None:
        """The process is gone, whatever was on its way, and another one takes over from the journal.

        successor    its adapter, if it has not the same keys.
        """
        self.life.over = True
        await self.wait(self.venue.disconnect())
        plugins = Plugins.installed()
        core = fold(
            self.tape.turns,
            policies=plugins.policies,
            schedules=plugins.schedules,
            decisions=RecordedDecisions(),
        )
        core.deciding.decider = decide
        self.venue = successor or self.new_venue()
        self.world = self._world(core)
        self.run(1_000)
        await self.start()

    def submit(self, name: str = "one", **terms: object) -> Parent:
        known: dict[str, object] = {
            "parent_id": ParentId(name),
            "symbol": "btc-usdt",
            "side": Side.BUY,
            "quantity": Decimal("0.0020"),
            "policy": "cross",
            "deadline_s": 20.0,
            **terms,
        }
        return self.world.submit(ParentOrder(**known))  # type: ignore[arg-type]

    def books(self) -> dict[ClOrdId, VenueOrder]:
        """Every order that the exchange has of our account."""
        checked = audit(self.app.exchange)
        assert checked.broken == ()
        account = next(one for one in checked.accounts if one.name == "one-way")
        return {order.cl_ord_id: order for order in account.orders}

    def disagreements(self) -> list[str]:
        """Where the exchange's books are not what the router says, in words; storms are in `tests.sim`."""
        books = self.books()
        parents = self.core.parents
        found = [
            *judge(
                asked=[
                    Asked(
                        parent_id=one.id,
                        symbol=BTC,
                        side=one.side,
                        qty_lots=one.ledger.order_lots,
                        terminal=one.ended,
                    )
                    for one in parents
                ],
                claimed=[
                    Claimed(
                        parent_id=one.id,
                        filled_lots=one.ledger.cum_lots,
                        # Trades that were learned of together are one fill here: lots are compared below, not ids.
                        exec_ids=tuple(
                            ExecId(exec_id)
                            for child in one.children
                            if child.order.cl_ord_id in books
                            for exec_id in books[child.order.cl_ord_id].exec_ids
                        ),
                    )
                    for one in parents
                ],
                owners={child.order.cl_ord_id: one.id for one in parents for child in one.children},
                books=tuple(books.values()),
            ).details
        ]
        for parent in parents:
            if not parent.ended or parent.open_children:
                found.append(f"{parent.id} is {parent.status}: {[child.status for child in parent.open_children]}")
            for child in parent.children:
                order = books.get(child.order.cl_ord_id)
                lots = 0 if order is None else order.filled_lots
                if lots != child.counted_lots:
                    found.append(f"{child.order.cl_ord_id} counted {child.counted_lots}, the exchange {lots}")
                if order is not None and order.leaves_lots:
                    found.append(f"{child.order.cl_ord_id} still rests")
        return [*found, *(alarm.text for alarm in self.alarms if alarm.halts)]


# --- the good way -----------------------------------------------------------------------------------------------------


BOUNDED = tuple(msgspec.structs.replace(one, rules=Rules(market_ratio=Decimal("0.001"))) for one in DEFAULTS)
"""Contracts whose MARKET orders trade within 10 bps of the mark, which is inside the collar."""


@pytest.mark.parametrize(("contracts", "kind"), [(BOUNDED, OrdType.MARKET), (DEFAULTS, OrdType.LIMIT)])
async def test_b5_b6_a_cross_is_one_request_and_nothing_waits_after_it(
    tmp_path: Path, contracts: tuple[Contract, ...], kind: OrdType
) -> None:
    desk = await Desk(tmp_path, contracts=contracts).start()
    parent = desk.submit()
    desk.run(10)
    assert (parent.status, parent.ledger.cum_lots) == (ParentStatus.FILLED, 20)
    assert [child.order.ord_type for child in parent.children] == [kind]
    assert desk.requests() == [POST]
    desk.run(30_000)
    assert desk.requests() == []
    assert desk.disagreements() == []


async def test_maker_first_rests_is_withdrawn_and_crosses_what_is_left(tmp_path: Path) -> None:
    desk = await Desk(tmp_path).start()
    parent = desk.submit(policy="maker_first", urgency=0.0, deadline_s=30.0)
    desk.run(40_000)
    assert (parent.status, parent.ledger.cum_lots) == (ParentStatus.FILLED, 20)
    requests = desk.requests()
    assert requests.count(POST) == len(parent.children)
    assert GET not in requests  # every end was pushed
    assert desk.disagreements() == []


# --- what goes wrong on the way ---------------------------------------------------------------------------------------

FAULTS = (
    "answer-never=count=1,on=POST",
    "answer-reset=count=2,on=trade/order",
    "answer-busy=count=2,on=trade/order",
    "answer-http=count=1,on=POST",
    "answer-garbled=count=2,on=trade/order",
    "answer-late=count=2,ms=2500,on=trade/order",
    "request-lost=count=2,on=trade/order",
    "request-late=count=1,ms=3000,on=POST",
    "refuse-busy=count=2,on=trade/order",
    "settling=count=2",
    "ack-bare",
    "ack-lacks-fill",
    "cancel-races-fill=count=1",
    "push-drop",
    "push-duplicate",
    "push-late=ms=800",
    "push-swap",
    "push-first",
    "push-bare",
    "push-no-client-id",
    "read-busy=count=3",
    "lookup-lag=ms=3000",
    "post-only-late",
    "leftover-expired",
    "drop-sockets",
    "expire-listen-keys",
    "rate-limited=count=1,on=GET /openApi/swap/v2/trade/order",
)


@pytest.mark.parametrize("fault", FAULTS)
async def test_one_fault_costs_time_and_nothing_else(tmp_path: Path, fault: str) -> None:
    desk = await Desk(tmp_path).start()
    parents = [desk.submit(deadline_s=25.0)]
    desk.switch(fault)
    parents.append(desk.submit("two", side=Side.SELL, policy="maker_first", deadline_s=25.0))
    desk.run(1_500)
    parents.append(desk.submit("three", deadline_s=25.0))
    desk.run(30_000)
    desk.switch(f"-{fault.partition('=')[0]}")
    desk.run(20_000)
    assert desk.disagreements() == []
    assert {one.status for one in parents} <= {ParentStatus.FILLED, ParentStatus.EXPIRED}


async def test_a_fill_that_was_missed_with_the_socket_is_found_by_looking(tmp_path: Path) -> None:
    desk = await Desk(tmp_path).start()
    parent = desk.submit(policy="plain_limit", limit=Decimal("60000.0"), deadline_s=300.0)
    desk.run(1_000)
    assert parent.status is ParentStatus.WORKING
    desk.switch("push-drop=on=ORDER_TRADE_UPDATE")
    seller = desk.other_venue
    await desk.wait(seller.connect(desk.other_ear, desk.time))
    seller.submit(desk.order(side=Side.SELL, position_side=PositionSide.SHORT, qty_lots=20))
    desk.run(1_000)
    assert parent.status is ParentStatus.WORKING  # nobody has said so
    desk.switch("drop-sockets=which=account")
    desk.run(3_000)
    assert (parent.status, parent.ledger.cum_lots) == (ParentStatus.FILLED, 20)
    assert desk.disagreements() == []


async def test_r6_what_rests_is_withdrawn_in_time_while_pushes_are_away(tmp_path: Path) -> None:
    desk = await Desk(tmp_path).start()
    parent = desk.submit(policy="plain_limit", limit=Decimal("59990.0"), deadline_s=10.0)
    desk.run(1_000)
    assert [child.closed for child in parent.children] == [False]
    desk.switch("refuse-socket=which=account")
    desk.switch("drop-sockets=which=account")
    desk.run(12_000)
    assert (parent.ended, parent.ledger.cum_lots, list(parent.open_children)) == (True, 0, [])
    assert desk.disagreements() == []


async def test_a_venue_that_stays_away_is_an_alarm_and_a_socket_that_comes_back_is_none(tmp_path: Path) -> None:
    desk = await Desk(tmp_path).start()
    parent = desk.submit(policy="plain_limit", limit=Decimal("59990.0"), deadline_s=60.0)
    desk.run(500)
    desk.switch("drop-sockets=which=account")
    desk.run(500)
    desk.net.refusing = True
    desk.links[-1].drop()
    desk.switch("drop-sockets=which=account")
    desk.run(4_900)
    assert desk.alarms == []
    desk.run(30_000)
    (alarm,) = desk.alarms
    assert alarm.text == (
        "bingx has been away for 5 s (account socket: no connection: connection refused), "
        f"and {parent.children[0].order.cl_ord_id} may still be there: look, and cancel by hand what must not wait"
    )
    desk.run(31_000)
    (again,) = [alarm.text for alarm in desk.alarms[1:] if "has been away" in alarm.text]
    assert again.startswith("bingx has been away for 65 s (account socket: ")
    desk.net.refusing = False
    desk.run(60_000)
    assert desk.disagreements() == []
    assert len(desk.alarms) == 4  # the third is of the order that nobody could withdraw
    assert desk.alarms[-1].text == "bingx is back after 68 s; what may be there is looked up"


@pytest.mark.parametrize("at_ms", [3, 7, 12, 400, 2_500])
async def test_r4_a_process_that_dies_and_comes_back_settles_everything(tmp_path: Path, at_ms: int) -> None:
    desk = await Desk(tmp_path).start()
    desk.submit(policy="maker_first", deadline_s=30.0)
    desk.submit("two", side=Side.SELL, deadline_s=30.0)
    desk.run(at_ms)
    await desk.die()
    desk.run(60_000)
    assert desk.disagreements() == []
    assert all(parent.ended for parent in desk.core.parents)


async def test_r4_the_keys_of_another_account_prove_nothing_absent(tmp_path: Path) -> None:
    """The first account's order rests all the while: it is neither given up nor placed a second time."""
    desk = await Desk(tmp_path).start()
    desk.submit(policy="plain_limit", limit=Decimal(59990), deadline_s=120.0)
    desk.run(2_000)
    (child,) = desk.core.parents[0].open_children
    assert child.order.cl_ord_id in desk.books()
    await desk.die(desk.other_venue)
    desk.run(30_000)
    assert "parents at work on account uid-" in desk.alarms[0].text
    asked = desk.requests()
    assert GET not in asked
    assert DELETE not in asked
    (child,) = desk.core.parents[0].open_children
    assert child.unseen
    await desk.die()
    (child,) = desk.core.parents[0].open_children
    assert not child.unseen
    desk.run(120_000)
    assert desk.core.parents[0].status is ParentStatus.EXPIRED
    assert desk.disagreements() == []


async def test_an_exit_never_opens(tmp_path: Path) -> None:
    desk = await Desk(tmp_path).start()
    desk.submit()
    desk.run(1_000)
    await desk.die()  # and positions are learned anew
    exit_order = desk.submit("exit", side=Side.SELL, quantity=Decimal("0.0050"), reduce_only=True)
    desk.run(30_000)
    assert exit_order.ledger.cum_lots == 20
    account = await desk.wait(desk.venue.account())
    assert account.positions == ()
    assert desk.disagreements() == []


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        ({"env": "vst"}, Environment.SIMULATED),
        ({"env": "live", "allow_live": "yes"}, Environment.DEMO),
        ({}, Environment.LIVE),
        ({"env": "emulator"}, Environment.DEMO),
    ],
)
async def test_b7_a_journal_of_another_environment_is_not_even_opened(
    tmp_path: Path, options: dict[str, str], environment: Environment
) -> None:
    router = Router(Settings(journal=tmp_path / "j", environment=environment), venues=[open_venue(options)])
    with pytest.raises(CallerError, match=f"router's are to be {environment.value}; nothing was started"):
        async with router:
            pass
    assert not (tmp_path / "j").exists()


async def test_missing_keys_are_found_before_a_journal_is_made(tmp_path: Path) -> None:
    venue = open_venue({"env": "vst", "secrets": str(tmp_path / "nowhere")})
    router = Router(Settings(journal=tmp_path / "j", environment=Environment.DEMO), venues=[venue])
    with pytest.raises(CallerError, match="nowhere cannot be read"):
        async with router:
            pass
    assert not (tmp_path / "j").exists()


# --- over TCP, in real time -------------------------------------------------------------------------------------------


@TRIO_TOO
async def test_a_router_over_tcp_routes_by_cross_and_by_maker_first(tmp_path: Path) -> None:
    with serving() as served:
        options = {"env": "emulator", "url": served.rest, "symbols": "BTCUSDT", "leverage_cache": str(tmp_path)}
        settings = Settings(
            journal=tmp_path / "j",
            environment=Environment.SIMULATED,
            watch=("BTC-USDT",),
            dead_man_s=60.0,
            exclusive=True,
        )
        venue = open_venue(options)
        assert isinstance(venue, BingxVenue)
        with anyio.fail_after(PATIENCE_S):
            async with Router(settings, venues=[venue]) as router:
                crossed = await router.submit(
                    ParentOrder(
                        parent_id=ParentId("cross"),
                        symbol="BTC/USDT",
                        side=Side.BUY,
                        quantity=Decimal("0.002"),
                        policy="cross",
                    )
                )
                costs = await crossed.result()
                assert (crossed.status, crossed.filled) == (ParentStatus.FILLED, Decimal("0.0020"))
                assert costs.passive_share == 0.0
                made = await router.submit(
                    ParentOrder(
                        parent_id=ParentId("maker"),
                        symbol="BTCUSDT",
                        side=Side.SELL,
                        quantity=Decimal("0.002"),
                        policy="maker_first",
                        deadline_s=3.0,
                    )
                )
                await made.result()
                assert made.status is ParentStatus.FILLED
                resting = await router.submit(
                    ParentOrder(
                        parent_id=ParentId("rests"),
                        symbol="BTCUSDT",
                        side=Side.BUY,
                        quantity=Decimal("0.002"),
                        policy="plain_limit",
                        limit=Decimal("59990.0"),
                    )
                )
                await until(lambda: bool(resting.parent.open_children))
            assert resting.status is ParentStatus.CANCELED  # leaving leaves nothing behind
        assert verify(tmp_path / "j").faults == ()
