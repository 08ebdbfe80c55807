"""BingX under simulation: the adapter over the lean transport and pipe, the emulator behind a memory network.

One account that nobody else trades on, one symbol, a made-up market. Everything that the emulator can do wrong is a
kind of fault here, and the network between the two adds its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path
from typing import Final

from sor.adapter import Scheduler, VenueAdapter
from sor.ids import ClOrdId, Symbol
from sor.rig import BookFill, BookOrder, Books, Draw, Fault, FaultKind, Rig
from sor.units import MS, NS
from venues.bingx.adapter import BingxVenue
from venues.bingx.emulator.accounts import TradingAccount
from venues.bingx.emulator.audit import audit
from venues.bingx.emulator.contracts import DEFAULTS
from venues.bingx.emulator.emulator import BingxEmulator, EmulatorSettings
from venues.bingx.emulator.limits import LimitRules
from venues.bingx.emulator.market import start_synthetic
from venues.bingx.emulator.orders import CustomerOrder
from venues.bingx.emulator.settings import HEDGE, ONE_WAY
from venues.bingx.emulator.settings import Settings as ExchangeSettings
from venues.bingx.options import Settings, read
from venues.emulation.links import MemoryLinks
from venues.emulation.memory import MemoryNet
from venues.emulation.server import Server
from venues.plumbing.bytestream import ByteListener, ByteStream
from venues.plumbing.link_lean import LeanSettings
from venues.plumbing.links import Links

OpenVenue = Callable[[Settings, Callable[[], Links]], BingxVenue]

CONTRACT: Final = DEFAULTS[0]
ACCEPTED_LATE_NS: Final = 9 * NS
"""The receive window of 5 s, and the skew of either clock."""
FEE_SLACK: Final = Decimal("0.000001")
"""BingX states the fees of an order to six decimals."""
USUAL: Final = (0.02, 0.1, 0.3)
SELDOM: Final = (0.002, 0.02)
SMALL: Final = 0.12
"""Of storms: whoever has no market, or is banned, does nothing else that could go wrong."""
STALL, REFUSE, SWALLOW = "net-stall", "net-refuse", "net-swallow"
UPGRADE: Final = b"Upgrade: websocket"
CROWDING: Final = (STALL, "clock-skew", "rate-limited", "banned", "firewall", "risk-control")
"""After these a rate limit may be exceeded and it is nobody's fault: the emulator counts by its own clock."""
ORDER: Final = "/openApi/swap/v2/trade/order"


def _often(name: str, *ways: str) -> FaultKind:
    return FaultKind(name=name, ways=ways or ("",), odds=USUAL)


def _book(name: str) -> FaultKind:
    return FaultKind(name=name, odds=SELDOM, share=SMALL)


def _way(name: str, *ways: str) -> FaultKind:
    """How the venue may be, for the whole storm."""
    return FaultKind(name=name, ways=ways or ("",), share=0.5)


def _once(name: str, *ways: str, share: float = 1.0) -> FaultKind:
    return FaultKind(name=name, ways=ways or ("",), lasts=False, share=share)


FAULTS: Final = (
    # requests
    _often("answer-late", "ms=300", "ms=1500", "ms=7000"),
    _often("answer-never"),
    _often("answer-reset"),
    _often("answer-http", "status=504", "status=502"),
    _often("answer-busy", "code=109500", "code=110500", "code=80012"),
    _often("answer-garbled"),
    _often("request-lost"),
    _often("request-late", "ms=300", "ms=3000", "ms=7000", "ms=12000"),
    _often("refuse-busy", "code=109500", "code=100500"),
    _often("refuse-http", "status=503"),
    _often("ack-bare"),
    _often("ack-pending"),
    _often("ack-lacks-fill"),
    _often("cancel-races-fill"),
    _often("post-only-late"),
    _often("read-http", "status=504", "status=500"),
    _often("read-busy", "code=109500", "code=101500"),
    _often("read-late", "ms=1000", "ms=6000"),
    _often("read-never"),
    # what is pushed of the account
    _often("push-drop"),
    _often("push-duplicate"),
    _often("push-late", "ms=500", "ms=3000"),
    _often("push-swap", "ms=200", "ms=2000"),
    _often("push-first", "ms=50", "ms=500"),
    _often("push-bare"),
    _often("push-no-client-id"),
    _often("push-short-name"),
    _often("push-id-text"),
    _often("snapshot-noise"),
    # books
    _book("book-loss"),
    _book("book-crossed"),
    _book("ids-back"),
    _book("ids-repeat"),
    _book("updates-first"),
    # ways that the venue may have
    _way("lookup-lag", "ms=1000", "ms=4000"),
    _way("duplicate-code", "code=101481", "code=109201"),
    _way("leftover-expired"),
    _way("oversize-refused"),
    _way("ids-consecutive"),
    _way("asks-best-first"),
    _way("listen-key-wrapped"),
    _way("clock-skew", "ms=2500", "ms=-2500"),
    # the network between
    FaultKind(name=STALL, odds=SELDOM, share=0.5),
    _once(REFUSE, "500", "2000", "6000"),
    _once(SWALLOW, "500", "2000", "6000"),
    # what happens at some moment, once or for a while
    _once("maintenance", "for_ms=3000"),
    _once("settling", "for_ms=2000"),
    _once(
        "refuse",
        f"count=2,code=101204,on=POST {ORDER}",
        f"count=1,code=101400,on=POST {ORDER}",
        f"count=1,code=109201,on=DELETE {ORDER}",
        "count=1,code=999999",
    ),
    _once("symbol-paused", "symbol=BTC-USDT,for_ms=3000"),
    _once("market-silent", "for_ms=4000"),
    _once("market-late", "ms=2000,for_ms=4000"),
    _once("no-ping", "for_ms=9000"),
    _once("zombie", "which=account,for_ms=8000", "which=market,for_ms=8000"),
    _once("refuse-socket", "which=all,for_ms=4000"),
    _once("drop-sockets", "which=all,close=no", "which=account,close=yes", "which=market,close=no"),
    _once("expire-listen-keys"),
    _once("key-dies-silently", "for_ms=1000"),
    _once(
        "pieces",
        "bytes_each=7,gap_ms=1,count=5",
        "bytes_each=3,gap_ms=2,count=3,hits=message",
        "bytes_each=50,gap_ms=5,hits=standing",
    ),
    _once("chunked", "bytes_each=10,count=5"),
    _once("interim", "status=103,replies=2,count=3"),
    _once("cut-off", "after_bytes=0,count=2", "after_bytes=120,count=2", "after_bytes=4,count=1,hits=message"),
    _once(
        "reset",
        "after_bytes=0,count=2",
        "after_bytes=120,count=2",
        "after_bytes=0,hits=standing",
        "after_bytes=700,count=2,hits=connection",
    ),
    _once("half-open", "after_bytes=60,count=1", "after_bytes=0,count=1,hits=message", "after_bytes=0,hits=standing"),
    _once("close-on-reuse", "reset=false,count=3", "reset=true,count=3"),
    # what keeps the adapter away for a minute or for five
    _once(
        "rate-limited",
        "count=1",
        "count=2,code=109429",
        "count=1,code=429",
        f"count=1,on=DELETE {ORDER}",
        share=SMALL,
    ),
    _once("banned", "count=1", share=SMALL / 3),
    _once("firewall", "count=1", share=SMALL / 3),
    _once("risk-control", "count=1", share=SMALL / 3),
)


class BingxRig:
    """A `Rig`. `open_venue` makes the adapter: a broken one, to see whether it is caught."""

    def __init__(
        self, *, seed: int, draw: Draw, scheduler: Scheduler, folder: Path, open_venue: OpenVenue = BingxVenue
    ) -> None:
        self._clock = scheduler
        self._draw = draw
        self._open_venue = open_venue
        customer = draw.choice((ONE_WAY, ONE_WAY, ONE_WAY, HEDGE, HEDGE))
        oldest = draw.random() < 0.5
        self.app = BingxEmulator(
            scheduler,
            EmulatorSettings(
                exchange=ExchangeSettings(seed=f"{seed}", contracts=(CONTRACT,)),
                limits=LimitRules(oldest=oldest),
                push_delay_ns=draw.choice((0, 2, 40)) * MS,
            ),
        )
        start_synthetic(self.app.exchange, seed=f"{seed}")
        self.account: TradingAccount = self.app.exchange.accounts[customer.name]
        self._way_ms = draw.choice((1, 8, 60))
        self._stalls = 0.0
        self._struck = Counter[str]()
        self._excused = False
        self._n_adapters = 0
        self._net = MemoryNet(
            Server(self.app, scheduler=scheduler, faults=self.app.byte_faults), up=self._delay, down=self._delay
        )
        self._wire = blake2b(digest_size=16)
        self._tap = _Tap(self._net, scheduler, self._wire)
        self._warm = draw.choice((0, 2))
        folder.mkdir(parents=True)
        secrets = folder / "keys"
        secrets.touch(mode=0o600)
        secrets.write_text(
            f"BINGX_EMULATOR_API_KEY={customer.api_key}\nBINGX_EMULATOR_API_SECRET={customer.secret}\n",
            encoding="utf-8",
        )
        self._settings = read(
            {
                "env": "emulator",
                "symbols": "btc-usdt",
                "secrets": str(secrets),
                "leverage_cache": str(folder),
                "push_fee": draw.choice(("first_only", "per_fill")),
                "newest_limits": "no" if oldest else draw.choice(("no", "yes")),
                "reduce_only": draw.choice(("yes", "yes", "no")),
            }
        )

    @property
    def symbol(self) -> Symbol:
        """What is traded."""
        return Symbol("BTCUSDT")

    @property
    def calm_s_max(self) -> float:
        """Rate limits and bans stand for 300 s after the call that met them, cancels included; then the rest."""
        return 420.0

    @property
    def settled_s(self) -> float:
        """Two lookups at 2 and 20 s, one order after the other."""
        return 40.0

    def adapter(self) -> VenueAdapter:
        """The adapter of a new process."""
        self._n_adapters += 1
        self._tap = tap = _Tap(self._net, self._clock, self._wire)
        return self._open_venue(self._settings, lambda: MemoryLinks(tap, http=LeanSettings(warm=self._warm)))

    def leave(self) -> None:
        """Nobody is there any more."""
        self._tap.cut()

    def switch(self, fault: Fault) -> None:
        """Switch a fault on, of the network or of the emulator. Raises `CallerError` for one that is not known."""
        self._excused = self._excused or fault.kind in CROWDING
        match fault.kind:
            case "net-stall":
                self._stalls = fault.odds or 0.0
            case "net-refuse" | "net-swallow":
                self._struck[fault.kind] += 1
                self._shut(refusing=fault.kind == REFUSE, for_ns=int(fault.way) * MS)
            case _:
                drawn = f"p={fault.odds},seed={fault.seed}" if fault.odds is not None else ""
                args = ",".join(one for one in (fault.way, drawn) if one)
                self.app.switch(f"{fault.kind}={args}" if args else fault.kind)
                if fault.kind == "key-dies-silently":
                    self.app.switch("expire-listen-keys")
                if fault.kind in ("clock-skew", "leftover-expired", "oversize-refused", "ids-consecutive"):
                    self._struck[fault.kind] += 1  # these do not strike: they are

    def calm(self) -> None:
        """No fault of any kind, and nothing held against us."""
        self.app.faults.clear()
        self.app.byte_faults.disarm()
        self.app.limits.forgive()
        self._net.refusing = self._net.black_hole = False
        self._stalls = 0.0

    def struck(self) -> Mapping[str, int]:
        """By the name of the fault."""
        return Counter(self.app.faults.struck()) + self.app.byte_faults.struck + self._struck

    def touch_ticks(self) -> int:
        """The mark."""
        return self.app.exchange.pits[CONTRACT.symbol].mark_ticks

    def books(self) -> Books:
        """The account's orders and positions, and what the exchange's own audit finds."""
        read = audit(self.app.exchange)
        own = next(one for one in read.accounts if one.name == self.account.name)
        pit = self.app.exchange.pits[CONTRACT.symbol]
        instrument = pit.instrument

        def order(one: CustomerOrder) -> BookOrder:
            return BookOrder(
                cl_ord_id=ClOrdId(one.client_id),
                symbol=instrument.symbol,
                side=one.side,
                position_side=one.position_side,
                order_lots=one.told_lots,
                price_ticks=one.price_ticks,
                filled_lots=one.done_lots,
                leaves_lots=one.told_lots - one.done_lots if one.live else 0,
                created_ns=one.created_ms * MS,
                updated_ns=one.updated_ms * MS,
                fills=tuple(
                    BookFill(
                        exec_id=f"{one.order_id}:{instrument.lots(fill.cum)}",
                        lots=instrument.lots(fill.qty),
                        ticks=instrument.ticks(fill.price),
                        fee=fill.fee,
                    )
                    for fill in one.fills
                ),
            )

        return Books(
            orders=tuple(order(one) for one in self.account.orders.values()),
            positions={one.position_side: one.qty_lots for one in own.positions},
            resent=own.duplicate,
            broken=(*read.broken, *self._too_many()),
            fill_by_fill=False,
            price_slack=2,
            fee_slack=FEE_SLACK,
            late_ns=ACCEPTED_LATE_NS,
        )

    def _too_many(self) -> list[str]:
        """The venue's rate limits are kept to, where no fault holds requests up or moves its windows.

        Not where processes died: the next one does not know what the one before it has spent of the last second.
        """
        n_calls = self.app.limits.exceeded
        blamed = n_calls and self._n_adapters == 1 and not self._excused
        return [f"{n_calls} requests exceeded a rate limit"] if blamed else []

    def wire(self) -> str:
        """Of every byte both ways, with its time; of what goes over sockets times and lengths."""
        return self._wire.hexdigest()

    def _delay(self) -> int:
        """One way of one write."""
        draw = self._draw
        if self._stalls and draw.random() < self._stalls:
            self._struck[STALL] += 1
            return round(draw.uniform(0.5, 8.0) * NS)
        return round(self._way_ms * draw.uniform(0.5, 2.0) * MS)

    def _shut(self, *, refusing: bool, for_ns: int) -> None:
        """For a while nobody can connect."""
        net = self._net
        if refusing:
            net.refusing = True
        else:
            net.black_hole = True

        def over() -> None:
            net.refusing = net.black_hole = False

        self._clock.call_at(self._clock.now_ns() + for_ns, over)


class _Tap:
    """Every byte of one process's connections goes through here; `cut` ends them all as the kernel does for the dead.

    digest    of what went both ways, with the time.
    """

    def __init__(self, net: MemoryNet, clock: Scheduler, digest: blake2b) -> None:
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

    def __init__(self, tap: _Tap, listener: ByteListener, no: int) -> None:
        self.tap = tap
        self.listener = listener
        self.no = no
        self.stream: ByteStream | None = None
        self.is_socket = False
        tap.ends.append(self)

    def connected(self, stream: ByteStream) -> None:
        """The emulator answers."""
        self.stream = stream
        if self.tap.alive:
            self.listener.connected(self)
        else:
            stream.abort()

    def received(self, data: bytes) -> None:
        """From the emulator."""
        if self.tap.alive:
            self._note(b"<", data)
            self.listener.received(data)

    def ended(self, why: str, *, never_connected: bool) -> None:
        """By the emulator, or the network."""
        if self.tap.alive:
            self._note(b"!", why.encode())
            self.listener.ended(why, never_connected=never_connected)

    def write(self, data: bytes) -> None:
        """To the emulator."""
        assert self.stream is not None
        if self.tap.alive:
            self.is_socket = self.is_socket or UPGRADE in data
            self._note(b">", data)
            self.stream.write(data)

    def close(self) -> None:
        """By the adapter."""
        assert self.stream is not None
        self.stream.close()

    def abort(self) -> None:
        """By the adapter."""
        assert self.stream is not None
        self.stream.abort()

    def _note(self, way: bytes, data: bytes) -> None:
        """Take a piece into the digest: its time and length, and itself where the system draws nothing in it."""
        self.tap.digest.update(b"%d %d %s %d " % (self.tap.clock.now_ns(), self.no, way, len(data)))
        if not self.is_socket:  # where the system draws keys and masks, as RFC 6455 wants it
            self.tap.digest.update(data)


class _OpenBingx:
    """The entry point."""

    faults = FAULTS

    def __call__(self, *, seed: int, draw: Draw, scheduler: Scheduler, folder: Path) -> Rig:
        """A rig for one storm."""
        return BingxRig(seed=seed, draw=draw, scheduler=scheduler, folder=folder)


open_rig = _OpenBingx()
