"""The whole BingX stack, router to emulator, through a storm of faults in one process: one seed decides everything.

Core, dispatcher, caretaker and adapter as they run live, over the lean transport and pipe; the emulator behind a
memory network; all in virtual time. Parents of every kind are submitted, cancelled, paused, resumed and amended while
requests, pushes, books, sockets and single bytes get lost, late, doubled and out of order, and, if wanted, while the
process dies and starts again from its journal. Then it becomes calm, and the emulator's own books are set beside what
was asked for and what the router says.
"""

from __future__ import annotations

from asyncio import Task
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from decimal import Decimal
from functools import cache
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import TypeVar

from sor.caretaker import Caretaker
from sor.child import Child
from sor.commands import Alarm, Happening, Recorded
from sor.decide import Recorded as RecordedDecisions
from sor.decide import decide
from sor.dispatch import Dispatcher
from sor.errors import InDoubt, NotSent, SorError, VenueFault
from sor.events import (
    AmendAsked,
    AnyFact,
    CancelAsked,
    ParamsAdopted,
    PauseAsked,
    Reported,
    RequestLost,
    ResumeAsked,
    SessionStarted,
    Submitted,
)
from sor.ids import AccountId, ClOrdId, ParentId, Symbol
from sor.instruments import Instrument
from sor.intake import admit
from sor.journal.records import encode
from sor.market import Trust
from sor.orders import FeeSource, OrdStatus, ParentOrder, PositionSide, Side
from sor.params import ParamSet, ParamStore
from sor.parent import Parent
from sor.plugins import Plugins
from sor.recovery import fold
from sor.router import Core
from sor.settings import Settings as RouterSettings
from sor.sim.loop import VirtualLoop
from sor.sim.oracle import Asked, Claimed, Verdict, judge
from sor.sim.world import VirtualScheduler
from sor.units import MS, NS
from venues.bingx.adapter import BingxVenue
from venues.bingx.emulator.accounts import TradingAccount
from venues.bingx.emulator.audit import audit
from venues.bingx.emulator.contracts import DEFAULTS
from venues.bingx.emulator.emulator import BingxEmulator, EmulatorSettings
from venues.bingx.emulator.limits import LimitRules
from venues.bingx.emulator.market import start_synthetic
from venues.bingx.emulator.money import money
from venues.bingx.emulator.orders import CustomerOrder
from venues.bingx.emulator.settings import HEDGE, ONE_WAY, Settings
from venues.bingx.options import Settings as VenueSettings
from venues.bingx.options import read
from venues.emulation.links import MemoryLinks
from venues.emulation.memory import MemoryNet
from venues.emulation.server import Server
from venues.plumbing.bytestream import ByteListener, ByteStream
from venues.plumbing.link_lean import LeanSettings
from venues.plumbing.links import Links

T = TypeVar("T")
Turn = list[AnyFact | Recorded]
OpenVenue = Callable[[VenueSettings, Callable[[], Links]], BingxVenue]

START_NS = 1_760_000_000 * NS
SYMBOL = Symbol("BTCUSDT")
CONTRACT = DEFAULTS[0]
TICK, LOT = Decimal("0.1"), Decimal("0.0001")
EPOCH = 7
PARENTS = 16
STARTS_MAX = 16
DEADLINE_S_MAX = 45.0
STORM_S = 50.0
CALM_S_MAX = 420.0
"""Once it is calm everything must have ended within this: BingX's rate limits and bans stand for 300 s after the call
that met them, cancels included; then the deadline of who waited, and the longest back-off (10 s) a few times."""
SETTLED_S = 40.0
"""How long after its end the fees of an order take: two lookups at 2 and 20 s, one order after the other. Where the
venue lets nobody ask, they take until it does, at most as long as anything else may take once it is calm."""
FEE_STEP = Decimal("0.000001")
"""BingX states the fees of an order to six decimals."""

CHANGES: dict[str, tuple[str, ...]] = {
    "answer-late": ("ms=300", "ms=1500", "ms=7000"),
    "answer-never": ("",),
    "answer-reset": ("",),
    "answer-http": ("status=504", "status=502"),
    "answer-busy": ("code=109500", "code=110500", "code=80012"),
    "answer-garbled": ("",),
    "request-lost": ("",),
    "request-late": ("ms=300", "ms=3000", "ms=7000", "ms=12000"),
    "refuse-busy": ("code=109500", "code=100500"),
    "refuse-http": ("status=503",),
    "ack-bare": ("",),
    "ack-pending": ("",),
    "ack-lacks-fill": ("",),
    "cancel-races-fill": ("",),
    "post-only-late": ("",),
    "read-http": ("status=504", "status=500"),
    "read-busy": ("code=109500", "code=101500"),
    "read-late": ("ms=1000", "ms=6000"),
    "read-never": ("",),
}
"""Faults of requests, each with the arguments it may have; on for the whole storm, with a probability."""
PUSHES: dict[str, tuple[str, ...]] = {
    "push-drop": ("",),
    "push-duplicate": ("",),
    "push-late": ("ms=500", "ms=3000"),
    "push-swap": ("ms=200", "ms=2000"),
    "push-first": ("ms=50", "ms=500"),
    "push-bare": ("",),
    "push-no-client-id": ("",),
    "push-short-name": ("",),
    "push-id-text": ("",),
    "snapshot-noise": ("",),
}
"""Faults of what is pushed of the account, likewise."""
BOOKS: dict[str, tuple[str, ...]] = {
    "book-loss": ("",),
    "book-crossed": ("",),
    "ids-back": ("",),
    "ids-repeat": ("",),
    "updates-first": ("",),
}
"""Faults of books, likewise; in one storm of three, as whoever has no market does nothing else that could go wrong."""
LASTING = (
    "lookup-lag=ms=1000",
    "lookup-lag=ms=4000",
    "duplicate-code=code=101481",
    "duplicate-code=code=109201",
    "leftover-expired",
    "oversize-refused",
    "ids-consecutive",
    "asks-best-first",
    "listen-key-wrapped",
    "clock-skew=ms=2500",
    "clock-skew=ms=-2500",
)
"""Ways that the venue may have, for the whole storm."""
SPELLS = (
    "maintenance=for_ms=3000",
    "settling=for_ms=2000",
    "refuse=count=2,code=101204,on=POST /openApi/swap/v2/trade/order",
    "refuse=count=1,code=101400,on=POST /openApi/swap/v2/trade/order",
    "refuse=count=1,code=109201,on=DELETE /openApi/swap/v2/trade/order",
    "refuse=count=1,code=999999",
    "symbol-paused=symbol=BTC-USDT,for_ms=3000",
    "market-silent=for_ms=4000",
    "market-late=ms=2000,for_ms=4000",
    "no-ping=for_ms=9000",
    "zombie=which=account,for_ms=8000",
    "zombie=which=market,for_ms=8000",
    "refuse-socket=which=all,for_ms=4000",
    "drop-sockets=which=all,close=no",
    "drop-sockets=which=account,close=yes",
    "drop-sockets=which=market,close=no",
    "expire-listen-keys",
    "key-dies-silently=for_ms=1000",
    "clock-skew=ms=2500,for_ms=6000",
    "pieces=bytes_each=7,gap_ms=1,count=5",
    "pieces=bytes_each=3,gap_ms=2,count=3,hits=message",
    "pieces=bytes_each=50,gap_ms=5,hits=standing",
    "chunked=bytes_each=10,count=5",
    "interim=status=103,replies=2,count=3",
    "cut-off=after_bytes=0,count=2",
    "cut-off=after_bytes=120,count=2",
    "cut-off=after_bytes=4,count=1,hits=message",
    "reset=after_bytes=0,count=2",
    "reset=after_bytes=120,count=2",
    "reset=after_bytes=0,hits=standing",
    "reset=after_bytes=700,count=2,hits=connection",
    "half-open=after_bytes=60,count=1",
    "half-open=after_bytes=0,count=1,hits=message",
    "half-open=after_bytes=0,hits=standing",
    "close-on-reuse=reset=false,count=3",
    "close-on-reuse=reset=true,count=3",
)
"""What happens at some moment of the storm, once or for a while."""
BANS = (
    "rate-limited=count=1",
    "rate-limited=count=2,code=109429",
    "rate-limited=count=1,code=429",
    "rate-limited=count=1,on=DELETE /openApi/swap/v2/trade/order",
    "banned=count=1",
    "firewall=count=1",
    "risk-control=count=1",
)
"""What keeps the adapter away for a minute or for five; in one storm of five, as little else happens then."""


class Tape:
    """A journal in memory."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []

    def append(self, records: Sequence[AnyFact | Recorded]) -> int:
        """Keep one turn."""
        self.turns.append(list(records))
        return len(self.turns)

    def digest(self) -> str:
        """Of the bytes that a journal would hold of them."""
        digest = blake2b(digest_size=16)
        for turn in self.turns:
            digest.update(encode(turn))
        return digest.hexdigest()


class Tap:
    """Every byte of one process's connections goes through here; `cut` ends them all as the kernel does for the dead.

    digest    of what went both ways, with the time.
    """

    def __init__(self, net: MemoryNet, clock: VirtualScheduler, digest: blake2b) -> None:
        self.net = net
        self.clock = clock
        self.digest = digest
        self.alive = True
        self.ends: list[_End] = []

    def dial(self, listener: ByteListener) -> None:
        """Connect to the emulator."""
        self.net.dial(_End(self, listener, len(self.ends)))

    def cut(self) -> None:
        """Nobody is there any more."""
        self.alive = False
        for end in self.ends:
            if end.stream is not None:
                end.stream.abort()


class _End:
    """One connection: a `ByteListener` towards the net, a `ByteStream` towards the adapter."""

    def __init__(self, tap: Tap, listener: ByteListener, no: int) -> None:
        self.tap = tap
        self.listener = listener
        self.no = no
        self.stream: ByteStream | None = None
        tap.ends.append(self)

    def connected(self, stream: ByteStream) -> None:
        self.stream = stream
        if self.tap.alive:
            self.listener.connected(self)
        else:
            stream.abort()

    def received(self, data: bytes) -> None:
        if self.tap.alive:
            self._note(b"<", data)
            self.listener.received(data)

    def ended(self, why: str, *, never_connected: bool) -> None:
        if self.tap.alive:
            self._note(b"!", why.encode())
            self.listener.ended(why, never_connected=never_connected)

    def write(self, data: bytes) -> None:
        assert self.stream is not None
        if self.tap.alive:
            self._note(b">", data)
            self.stream.write(data)

    def close(self) -> None:
        assert self.stream is not None
        self.stream.close()

    def abort(self) -> None:
        assert self.stream is not None
        self.stream.abort()

    def _note(self, way: bytes, data: bytes) -> None:
        self.tap.digest.update(b"%d %d %s %d " % (self.tap.clock.now_ns(), self.no, way, len(data)))
        self.tap.digest.update(data)


class Lifetime:
    """The scheduler of one process: once that is dead, nothing that it planned happens."""

    def __init__(self, clock: VirtualScheduler) -> None:
        self._clock = clock
        self.alive = True

    def now_ns(self) -> int:
        """Virtual time."""
        return self._clock.now_ns()

    def call_at(self, at_ns: int, action: Callable[[], object]) -> None:
        """Run `action` then, if the process lives."""
        self._clock.call_at(at_ns, lambda: action() if self.alive else None)


class Process:
    """One life of the router: everything that dies with it."""

    def __init__(self, storm: BingxStorm, core: Core) -> None:
        self.storm = storm
        self.core = core
        self.time = Lifetime(storm.clock)
        self.loop = VirtualLoop(self.time)
        self._kept: list[Task[None]] = []
        self.tap = Tap(storm.net, storm.clock, storm.wire)
        self.venue = storm.open_venue(
            storm.venue_settings, lambda: MemoryLinks(self.tap, http=LeanSettings(warm=storm.warm))
        )
        self.dispatcher = Dispatcher(
            core,
            scheduler=self.time,
            recorder=storm.tape,
            tell=self._tell,
            alarm=storm.alarms.append,
            horizons_ns=(NS,),
        )
        self.care = Caretaker(
            core,
            self.dispatcher,
            settings=storm.router_settings,
            adapters=(self.venue,),
            alarm=storm.alarms.append,
            listener=None,
        )

    async def start(self) -> None:
        """As the engine does it: connect, learn, reconcile, and let the parents go on last."""
        storm, dispatcher, care, venue = self.storm, self.dispatcher, self.care, self.venue
        sink = dispatcher.sink(venue)
        baseline = _baseline()
        dispatcher.post(SessionStarted(now_ns=self.time.now_ns(), epoch=EPOCH, version="test", default_set="baseline"))
        dispatcher.post(
            ParamsAdopted(now_ns=self.time.now_ns(), name="baseline", digest=baseline.digest, text=baseline.text)
        )
        await venue.connect(sink, self.time)
        if storm.router_settings.dead_man_s:
            await care.arm_dead_man(venue)
            self.keep("dead-man's switch", care.keep_dead_man(venue))
        learned = await care.learn_positions(venue)
        await care.reconcile()
        dispatcher.connected(venue)
        self.keep("refresh", care.keep_refreshed(venue))
        self.keep("positions", care.keep_positions(venue, learned))
        self.keep("reconciliation", care.keep_reconciled())

    def keep(self, name: str, coroutine: Coroutine[object, object, None]) -> None:
        """Something in the background; where it fails, a router would end."""

        async def kept() -> None:
            try:
                await coroutine
            except Exception as error:  # noqa: BLE001 - noted, as everything that is wrong in a storm
                self.storm.crashes.append(f"{name} ended the router: {type(error).__name__}: {error}")

        self._kept.append(self.loop.create_task(kept()))

    def kill(self) -> None:
        """As `kill -9`: no goodbye, no timer, no task goes on."""
        self.time.alive = False
        self.tap.cut()
        self.loop.close()

    def _tell(self, happening: Happening) -> None:
        if happening.report is not None:
            self.care.heard(self.core.parents[happening.parent_no - 1])


@cache
def _plugins() -> Plugins:
    return Plugins.installed()


@cache
def _baseline() -> ParamSet:
    return ParamStore().get("baseline", now_ns=START_NS)


class BingxStorm:
    """One run. `folder` is for the adapter's files.

    asked_lots    the most that was ever asked for, by parent: an amendment may raise it.
    crashes       what would have ended a live router.
    fired         faults of every kind, by name, as often as they struck.
    open_venue    makes the adapter: a broken one, to see whether it is caught.
    """

    def __init__(
        self,
        seed: int,
        folder: Path,
        *,
        restarts: int = 0,
        open_venue: OpenVenue = BingxVenue,
    ) -> None:
        self.rng = rng = Random(f"bingx storm {seed}")
        self.restarts = restarts
        self.open_venue = open_venue
        self.clock = VirtualScheduler(START_NS)
        self.hedge = rng.random() < 0.4
        self.account_settings = HEDGE if self.hedge else ONE_WAY
        oldest = rng.random() < 0.5
        self.app = BingxEmulator(
            self.clock,
            EmulatorSettings(
                exchange=Settings(seed=str(seed), contracts=(CONTRACT,)),
                limits=LimitRules(oldest=oldest),
                push_delay_ns=rng.choice((0, 2, 40)) * MS,
            ),
        )
        start_synthetic(self.app.exchange, seed=str(seed))
        self._net_rng = Random(f"bingx net {seed}")
        self._way_ms = rng.choice((1, 8, 60))
        self._stalls = 0.0
        self._stalled = self._banned = self._skewed = False
        self.net = MemoryNet(
            Server(self.app, scheduler=self.clock, faults=self.app.byte_faults), up=self._delay, down=self._delay
        )
        self.warm = rng.choice((0, 2))
        secrets = folder / "keys"
        secrets.touch(mode=0o600)
        secrets.write_text(
            f"BINGX_EMULATOR_API_KEY={self.account_settings.api_key}\n"
            f"BINGX_EMULATOR_API_SECRET={self.account_settings.secret}\n",
            encoding="utf-8",
        )
        self.venue_settings = read(
            {
                "env": "emulator",
                "symbols": "btc-usdt",
                "secrets": str(secrets),
                "leverage_cache": str(folder),
                "push_fee": rng.choice(("first_only", "per_fill")),
                "newest_limits": "no" if oldest else rng.choice(("no", "yes")),
                "reduce_only": rng.choice(("yes", "yes", "no")),
            }
        )
        self.router_settings = RouterSettings(
            journal=folder / "none",
            positions_s=rng.choice((5.0, 30.0)),
            reconcile_s=rng.choice((7.0, 60.0)),
            dead_man_s=rng.choice((0.0, 0.0, 10.0)),
            exclusive=True,
        )
        self.wire = blake2b(digest_size=16)
        self.tape = Tape()
        self.alarms: list[Alarm] = []
        self.crashes: list[str] = []
        self.spells: Counter[str] = Counter()
        self.asked_lots: dict[ParentId, int] = {}
        self.calm_ns = 0
        self.process = self._start(Core(policies=_plugins().policies, schedules=_plugins().schedules, decider=decide))

    @property
    def core(self) -> Core:
        """The router's state."""
        return self.process.core

    @property
    def parents(self) -> list[Parent]:
        """Every parent, in the order of submission."""
        return self.core.parents

    @property
    def account(self) -> TradingAccount:
        """The account at the emulator."""
        return self.app.exchange.accounts[self.account_settings.name]

    @property
    def fired(self) -> dict[str, int]:
        """How often each fault has struck."""
        return {**self.app.faults.struck(), "bytes": self.app.byte_faults.fired}

    # --- the course of it ---------------------------------------------------------------------------------------------

    def run(self) -> bool:
        """Storm, then calm: True when everything has ended by then."""
        rng = self.rng
        self._wait(1.0)
        self._open_positions()
        self._wait(4.0)
        self._brew()
        happenings = [(rng.uniform(0.0, 0.8 * STORM_S), self._submit) for _ in range(PARENTS)]
        happenings += [(rng.uniform(0.0, STORM_S), self._meddle) for _ in range(PARENTS)]
        happenings += [(rng.uniform(0.0, STORM_S), self._spell) for _ in range(rng.randint(0, 12))]
        happenings += [(rng.uniform(0.0, STORM_S), self._stumble) for _ in range(rng.randint(0, 2))]
        happenings += [(rng.uniform(1.0, STORM_S), self._die) for _ in range(self.restarts)]
        if rng.random() < 0.2:
            happenings.append((rng.uniform(0.0, STORM_S), self._ban))
        happenings.sort(key=lambda one: one[0])
        began_ns = self.clock.now_ns()
        for at_s, happens in happenings:
            self.clock.run_until(began_ns + round(at_s * NS))
            happens()
        self.clock.run_until(began_ns + round(STORM_S * NS))
        self._calm()
        ended = self.clock.run_until(self.calm_ns + round(CALM_S_MAX * NS), done=self._all_ended)
        self.ended_s = (self.clock.now_ns() - self.calm_ns) / NS
        self._wait(SETTLED_S)
        while (self._fees_owed() or self._market_lost()) and self.clock.now_ns() < self.calm_ns + round(
            CALM_S_MAX * NS
        ):
            self._wait(10.0)
        return ended

    def close(self) -> None:
        """Let nothing of it go on."""
        self.process.kill()

    def _brew(self) -> None:
        """Choose the faults that hold for the whole storm."""
        rng = self.rng
        usual, books = (0.0, 0.0, 0.0, 0.02, 0.1, 0.3), (0.0, 0.002, 0.02)
        for faults, weights in ((CHANGES, usual), (PUSHES, usual), (BOOKS, books)):
            if faults is BOOKS and rng.random() < 0.7:
                continue
            for name, variants in faults.items():
                probability = rng.choice(weights)
                if probability:
                    args = ",".join([one for one in (rng.choice(variants), f"p={probability}") if one])
                    self.app.switch(f"{name}={args},seed={rng.randrange(1_000_000)}")
        for fault in rng.sample(LASTING, rng.randint(0, 3)):
            self._switch(fault)
        self._stalls = rng.choice((0.0, 0.0, 0.002, 0.02))
        self._stalled = self._stalls > 0

    def _calm(self) -> None:
        """Everything is as it should be from now on; what stands in doubt, or in a back-off, still has to come out."""
        self.app.faults.clear()
        self.app.byte_faults.disarm()
        self.app.limits.forgive()
        self.net.refusing = self.net.black_hole = False
        self._stalls = 0.0
        self.calm_ns = self.clock.now_ns()

    def _delay(self) -> int:
        """One way of one write."""
        rng = self._net_rng
        if self._stalls and rng.random() < self._stalls:
            return round(rng.uniform(0.5, 8.0) * NS)
        return round(self._way_ms * rng.uniform(0.5, 2.0) * MS)

    # --- what happens -------------------------------------------------------------------------------------------------

    def _start(self, core: Core) -> Process:
        """A router's life begins, sooner or later: one that cannot reach the venue ends, and is started again."""
        error: BaseException | None = None
        for attempt in range(STARTS_MAX):
            process = Process(self, core)
            task = process.loop.create_task(process.start())
            assert self.clock.run_until(self.clock.now_ns() + 120 * NS, done=task.done), "connecting never ends"
            error = task.exception()
            if error is None:
                return process
            process.kill()
            if not isinstance(error, SorError):
                raise error
            if attempt == STARTS_MAX // 2:
                self._calm()  # no storm is for ever
            self._wait(min(5.0 * 2**attempt, 120.0))  # who comes back sooner is banned for longer
            core = self._folded()
            core.decider = decide
        raise AssertionError(f"it never came up: {error}")

    def _die(self) -> None:
        """The process is gone, whatever was on its way; another one folds the journal and goes on."""
        self.process.kill()
        core = self._folded()
        core.decider = decide
        self.process = self._start(core)

    def _folded(self) -> Core:
        plugins = _plugins()
        return fold(
            self.tape.turns,
            policies=plugins.policies,
            schedules=plugins.schedules,
            decisions=RecordedDecisions(),
        )

    def _open_positions(self) -> None:
        """Something to close."""
        for side in (Side.BUY, Side.SELL) if self.hedge else (self.rng.choice((Side.BUY, Side.SELL)),):
            position_side = PositionSide.BOTH
            if self.hedge:
                position_side = PositionSide.LONG if side is Side.BUY else PositionSide.SHORT
            self._hand_in(
                ParentOrder(
                    parent_id=self._next_id,
                    symbol="BTC-USDT",
                    side=side,
                    quantity=LOT * self.rng.randint(200, 2_000),
                    policy="cross",
                    position_side=position_side,
                )
            )

    @property
    def _next_id(self) -> ParentId:
        return ParentId(f"p{len(self.parents) + 1}")

    def _submit(self) -> None:
        rng = self.rng
        side = rng.choice((Side.BUY, Side.SELL))
        closes = rng.random() < 0.25
        policy = rng.choice(("cross", "maker_first", "calm_market", "cost_aware", "plain_limit"))
        pit = self.app.exchange.pits[CONTRACT.symbol]
        near_ticks = rng.randint(-60, 60)
        position_side = PositionSide.BOTH
        if self.hedge:
            position_side = PositionSide.LONG if (side is Side.BUY) is not closes else PositionSide.SHORT
        order = ParentOrder(
            parent_id=self._next_id,
            symbol="BTC-USDT",
            side=side,
            quantity=LOT * max(1, round(rng.choice((3, 30, 300, 3_000)) * rng.uniform(0.3, 1.0))),
            deadline_s=rng.choice((3.0, 10.0, DEADLINE_S_MAX)) * rng.uniform(0.6, 1.0),
            limit=TICK * (pit.mark_ticks + near_ticks) if policy == "plain_limit" else None,
            policy=policy,
            schedule=rng.choice(("immediate", "immediate", "twap")),
            reduce_only=closes,
            position_side=position_side,
        )
        self._hand_in(order)

    def _hand_in(self, order: ParentOrder) -> None:
        try:
            venue = admit(self.core, order)
        except VenueFault:
            return  # halted, as it should be: nothing is sent
        assert not isinstance(venue, Parent)
        self.process.dispatcher.post(Submitted(now_ns=self.clock.now_ns(), order=order, venue=venue))
        parent = self.core.by_id[order.parent_id]
        self.asked_lots[parent.id] = parent.instrument.lots(order.quantity)

    def _meddle(self) -> None:
        """A caller changes its mind about one of its parents, or about the account's leverage."""
        rng = self.rng
        if not self.parents:
            return
        parent = rng.choice(self.parents)
        post, now_ns = self.process.dispatcher.post, self.clock.now_ns()
        match rng.randrange(6):
            case 0:
                post(CancelAsked(now_ns=now_ns, parent_no=parent.no))
            case 1:
                post(PauseAsked(now_ns=now_ns, parent_no=parent.no))
            case 2:
                post(ResumeAsked(now_ns=now_ns, parent_no=parent.no))
            case 3:
                lots = rng.randint(1, 3_000)
                if parent.active:
                    self.asked_lots[parent.id] = max(self.asked_lots[parent.id], lots)
                    post(AmendAsked(now_ns=now_ns, parent_no=parent.no, quantity=parent.instrument.quantity(lots)))
            case 4:
                if parent.active:
                    post(AmendAsked(now_ns=now_ns, parent_no=parent.no, deadline_s=rng.uniform(0.5, DEADLINE_S_MAX)))
            case _:
                self.process.keep("leverage", self._set_leverage(Decimal(rng.randint(1, 3))))

    async def _set_leverage(self, leverage: Decimal) -> None:
        try:
            await self.process.venue.set_leverage(SYMBOL, leverage)
        except SorError:
            return  # its caller would be told

    def _spell(self) -> None:
        """Something goes wrong now."""
        self._cast(self.rng.choice(SPELLS))

    def _ban(self) -> None:
        """The venue wants to hear nothing of us for a while."""
        self._banned = True
        self._cast(self.rng.choice(BANS))

    def _cast(self, fault: str) -> None:
        self.spells[fault.partition("=")[0]] += 1
        self._switch(fault)
        if fault.startswith("key-dies-silently"):
            self.app.switch("expire-listen-keys")

    def _switch(self, fault: str) -> None:
        self._skewed = self._skewed or fault.startswith("clock-skew")
        self.app.switch(fault)

    def _stumble(self) -> None:
        """For a few seconds nobody can connect."""
        net = self.net
        if self.rng.random() < 0.5:
            net.refusing = True
        else:
            net.black_hole = True

        def over() -> None:
            net.refusing = net.black_hole = False

        self.clock.call_at(self.clock.now_ns() + round(self.rng.uniform(0.5, 6.0) * NS), over)

    def _wait(self, duration_s: float) -> None:
        self.clock.run_until(self.clock.now_ns() + round(duration_s * NS))

    def _all_ended(self) -> bool:
        return all(parent.ended and not parent.open_children for parent in self.parents)

    # --- the judgement ------------------------------------------------------------------------------------------------

    def wrong(self) -> list[str]:
        """Everything that is not as it must be, one sentence each."""
        return [
            *self.verdict().details,
            *self._unended(),
            *self._orders(),
            *self._positions(),
            *self._asked_again(),
            *self._throttled(),
            *self._market_lost(),
            *self._replayed(),
            *self._alarmed(),
            *self.crashes,
            *audit(self.app.exchange).broken,
        ]

    def verdict(self) -> Verdict:
        """What the oracle says, which reads the emulator's own books. Fills are told apart by `_orders`."""
        books = next(one for one in audit(self.app.exchange).accounts if one.name == self.account.name)
        return judge(
            asked=[
                Asked(
                    parent_id=parent.id,
                    symbol=SYMBOL,
                    side=parent.side,
                    qty_lots=self.asked_lots[parent.id],
                    terminal=parent.ended,
                )
                for parent in self.parents
            ],
            claimed=[
                Claimed(parent_id=parent.id, filled_lots=parent.ledger.cum_lots, exec_ids=()) for parent in self.parents
            ],
            owners={child.order.cl_ord_id: parent.id for parent in self.parents for child in parent.children},
            books=books.orders,
        )

    def _unended(self) -> list[str]:
        return [
            f"{parent.id} is {parent.status} {CALM_S_MAX:.0f} s after the storm, with "
            f"{[child.status for child in parent.open_children]}"
            for parent in self.parents
            if not parent.ended or parent.open_children
        ]

    def _orders(self) -> list[str]:
        """Where the router's view of single orders is not the venue's: lots, each of them once, money and fees."""
        books: dict[ClOrdId, CustomerOrder] = {
            ClOrdId(order.client_id): order for order in self.account.orders.values()
        }
        found: list[str] = []
        for parent in self.parents:
            for child in parent.children:
                name = child.order.cl_ord_id
                order = books.get(name)
                filled_lots = 0 if order is None else order.done_lots
                if child.counted_lots != filled_lots:
                    found.append(f"{name}: counted {child.counted_lots} lots, the venue filled {filled_lots}")
                elif order is not None and filled_lots:
                    found += [f"{name}: {text}" for text in _fills_wrong(child, order)]
                    found += [f"{name}: {text}" for text in self._fees_wrong(child, order)]
                    if filled_lots >= order.told_lots == child.qty_lots and child.status is not OrdStatus.FILLED:
                        found.append(f"{name} is {child.status} here and filled at the venue")
        return found

    def _fees_owed(self) -> bool:
        return any("not known here" in text for text in self._orders())

    def _fees_wrong(self, child: Child, order: CustomerOrder) -> list[str]:
        """Settled fees are the venue's, and those of orders that ended once it was calm are settled."""
        atoms = [report.fee_atoms for report, _ in child.trades]
        known = [one for one in atoms if one is not None]
        fee = money(order.fee_atoms)
        if child.sum_lots == child.counted_lots and len(known) == len(atoms):
            ours = self._instrument.money(sum(known))
            if abs(ours - fee) > FEE_STEP * len(known):
                return [f"its fees are {ours} here and {fee} at the venue"]
        elif order.updated_ms * MS > self.calm_ns and not self.restarts:
            return [f"its fee of {fee} is settled at the venue, and not known here: {atoms}"]
        settled = {FeeSource.WS_SETTLED, FeeSource.REST_SETTLED}
        return [
            f"a fee of {report.fee_atoms} from {report.fee_source}"
            for report, _ in child.trades
            if report.fee_atoms is not None and report.fee_source not in settled
        ]

    def _positions(self) -> list[str]:
        """The position here, what fills make of it, what the venue's books say, and what it tells when it is asked."""
        held = {one.mode: one.lots for one in self.account.positions.values() if one.lots}
        made: Counter[PositionSide] = Counter()
        for parent in self.parents:
            made[parent.order.position_side] += int(parent.side) * parent.ledger.cum_lots
        venue = self.process.venue
        account = self._await(venue.account)
        told = {one.position_side: one.qty_lots for one in account.positions}
        found: list[str] = []
        book = self.core.desk.books.get((venue.name, AccountId("default"), SYMBOL))
        for side in PositionSide:
            lots = held.get(side, 0)
            if not lots == made[side] == told.get(side, 0):
                found.append(f"{side} {lots} lots at the venue, {made[side]} by our fills, {told.get(side, 0)} told")
            if book is not None and book.positions.get(side, lots) != lots:
                found.append(f"{side} {lots} lots at the venue, {book.positions[side]} here")
        if book is not None and (any(book.open_lots.values()) or any(book.reducing.values())):
            found.append(f"nothing is open, and yet {book.open_lots} lots, {book.reducing} of them reducing")
        resting = self._await(venue.open_orders)
        if resting:
            found.append(f"still resting, says the venue: {[one.cl_ord_id for one in resting]}")
        return found

    def _asked_again(self) -> list[str]:
        """No new order may be sent twice (B9)."""
        return [f"{self.account.n_duplicate} orders were sent again"] if self.account.n_duplicate else []

    def _throttled(self) -> list[str]:
        """The venue's rate limits are kept to.

        Not where a fault says that they were not, where requests were held up on their way, or where the venue's clock
        was set: the emulator counts its windows by that clock.
        """
        if self._banned or self._stalled or self._skewed:
            return []
        text = "trigger frequency limit"
        told = [
            repr(record) for turn in self.tape.turns for record in turn if isinstance(record, Reported | RequestLost)
        ]
        return [f"too many requests: {one}" for one in told if text in one][:1]

    def _market_lost(self) -> list[str]:
        """The book is there again, whatever became of sockets and topics (R6)."""
        trust = self.process.dispatcher.look(self.process.venue.name, SYMBOL).trust
        return [] if trust is Trust.OK else [f"the book is {trust.value} long after the storm"]

    def _replayed(self) -> list[str]:
        """The journal tells the same story."""
        again = self._folded()
        return [
            f"{parent.id} is {parent.status}, {parent.ledger!r}, and by the journal {other.status}, {other.ledger!r}"
            for parent, other in zip(self.parents, again.parents, strict=True)
            if (parent.status, repr(parent.ledger)) != (other.status, repr(other.ledger))
        ]

    def _alarmed(self) -> list[str]:
        """Nothing that these faults do is a breach of contract, and nobody else trades on this account."""
        return [alarm.text for alarm in self.alarms if _is_wrong(alarm)]

    @property
    def _instrument(self) -> Instrument:
        return self.core.instruments[self.process.venue.name, SYMBOL]

    def _await(self, ask: Callable[[], Coroutine[object, object, T]]) -> T:
        """An answer of the adapter's: at once, or when the last ban is over."""
        until_ns = self.clock.now_ns() + round(CALM_S_MAX * NS)
        while True:
            task = self.process.loop.create_task(ask())
            assert self.clock.run_until(until_ns, done=task.done), "it does not come back"
            if not isinstance(task.exception(), NotSent | InDoubt) or self.clock.now_ns() >= until_ns:
                return task.result()
            self._wait(10.0)


def _is_wrong(alarm: Alarm) -> bool:
    if alarm.halts:
        return "were refused, last" not in alarm.text  # the breaker, after refusals that a fault has made
    return "stray" in alarm.text or "Somebody else" in alarm.text


def _fills_wrong(child: Child, order: CustomerOrder) -> list[str]:
    """Fills are told by the quantity reached, so they must join without gap and overlap, for the right money."""
    reached = 0
    value = 0
    for report, _ in sorted(child.trades, key=lambda one: one[0].cum_lots):
        if report.cum_lots - report.last_lots < reached:
            return [f"its lots up to {reached} and those of {report.exec_id} overlap"]
        reached = report.cum_lots
        value += report.last_lots * report.last_ticks
    # Averages that were rounded twice, in the message before and in this one, leave up to a tick each for every lot.
    if child.sum_lots == order.done_lots and abs(value - order.cost_lot_ticks) > 2 * order.done_lots:
        return [f"{order.done_lots} lots for {value} lot-ticks, at the venue for {order.cost_lot_ticks}"]
    return []
